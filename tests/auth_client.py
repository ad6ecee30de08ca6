#!/usr/bin/env python3
"""Who may call what, seen from outside, on the routes that a routes.def says there are.

    auth_client.py table routes.def ADDRESS TOKEN...   every route, method and way to show a token
    auth_client.py crowd ADDRESS TOKEN TARGET          50 good and 50 wrong tokens at the same moment

ADDRESS is unix:PATH or HOST:PORT. table's first TOKEN may ask models and change nothing (of a worker:
may everything); a second one may everything and is used on what only reads. Prints what it has
seen; an answer that breaks the rules ends it with status 1. Standard library only.
"""

import json
import os
import re
import socket
import sys

PATIENCE_S = int(os.environ.get("WAIT_LIMIT_S", "60"))  # of tests/helpers.bash
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
SPELLINGS = ("bearer", "Bearer", "BEARER", "bEaReR", "beareR")
ROUTE = re.compile(r'^ROUTE\((\w+), *"([^"]+)", *\w+, *(\w+),', re.MULTILINE)
WRONG = "f" * 64
HEADER_MAX_BYTES = 8 * 1024  # of bearer.h
CROWD = 50


def connect(address):
    if address.startswith("unix:"):
        link = socket.socket(socket.AF_UNIX)
        link.connect(address[len("unix:"):])  # with a time limit it would not wait for a place
        link.settimeout(PATIENCE_S)
        return link
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), PATIENCE_S)


def send(address, method, target, headers):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    link = connect(address)
    link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return link


def receive(link):
    """Status, headers in lower case, body."""
    data = b""
    while piece := link.recv(65536):
        data += piece
    link.close()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split(" ")[1]), dict(line.lower().split(": ", 1) for line in lines), body


def code_of(body):
    try:
        return json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None


class Table:
    """Counts the answers, and ends at the first that is none of those allowed."""

    def __init__(self, address):
        self.address = address
        self.counts = {}

    def ask(self, who, method, target, headers, is_right):
        status, answer, body = receive(send(self.address, method, target, headers))
        if not is_right(status, answer, body):
            sys.exit(f"{who}: {method} {target}: {status} {code_of(body)} {answer}")
        group = self.counts.setdefault(who, {})
        group[status] = group.get(status, 0) + 1

    def print(self):
        for who, group in self.counts.items():
            print(f"{who}: " + ", ".join(f"{n} x {status}" for status, n in sorted(group.items())))


def refused(wanted, code):
    """A stranger hears that, and nothing about the routes there are."""
    def is_right(status, answer, body):
        return (status == wanted and (not body or code_of(body) == code) and "allow" not in answer
                and (answer.get("www-authenticate") == "bearer") == (wanted == 401))
    return is_right


def let_in(status, answer, body):
    return status not in (401, 403, 421, 431) and code_of(body) != "MISSING_API_KEY"


def forbidden(status, answer, body):
    return status == 403 and (not body or code_of(body) == "FORBIDDEN")


def no_such_thing(status, answer, body):
    return status in (404, 405)


def do_table(def_file, address, token, admin=None):
    routes = ROUTE.findall(open(def_file, encoding="ascii").read())
    assert len(routes) >= 5, "the table of routes is not read as it is written"
    who_may = {(method, path): who for method, path, who in routes}
    paths = sorted({path for _, path, _ in routes}) + ["/", "/nothing", "/v1", "/v1/workers/x/y/z"]
    table = Table(address)
    for path in paths:
        target = re.sub(r"{\w+}", "x", path)
        for method in METHODS:
            who = who_may.get(("GET" if method == "HEAD" else method, path))
            ask_one(table, who, method, target, token)
            if admin and who == "ADMIN" and method in ("GET", "HEAD"):
                table.ask("admin", method, target, [f"Authorization: Bearer {admin}"], let_in)
    table.print()
    print(f"{len(routes)} routes, {len(paths)} paths x {len(METHODS)} methods")


def ask_one(table, who, method, target, token):
    good = f"Authorization: Bearer {token}"
    long = "Authorization: Bearer " + "x" * (HEADER_MAX_BYTES + 1 - len("Bearer "))
    if who in ("OPEN", "METRICS"):
        for headers in ([], [good], [f"Authorization: Bearer {WRONG}"], [good, good], [long]):
            table.ask("public", method, target, headers, let_in)
        return
    missing = refused(401, "MISSING_API_KEY")
    invalid = refused(401, "INVALID_API_KEY")
    table.ask("no token", method, target, [], missing)
    table.ask("wrong token", method, target, [f"Authorization: Bearer {WRONG}"], invalid)
    table.ask("token cut", method, target, [good[:-1]], invalid)
    table.ask("no scheme", method, target, [f"Authorization: {token}"], invalid)
    table.ask("Basic", method, target, ["Authorization: Basic eDp5"], invalid)
    table.ask("two spaces", method, target, [f"Authorization: Bearer  {token}"], invalid)
    table.ask("two headers", method, target, [good, good], refused(400, "INVALID_REQUEST"))
    table.ask("8 KiB and 1", method, target, [long], refused(431, "HEAD_TOO_LARGE"))
    for scheme in SPELLINGS:
        is_right = {None: no_such_thing, "ADMIN": forbidden}.get(who, let_in)
        table.ask("right token, " + str(who), method, target, [f"Authorization: {scheme} {token}"],
                  is_right)


def do_crowd(address, token, target):
    """All are connected before the first asks, and all have asked before one is read."""
    tokens = [token, WRONG] * CROWD
    links = [connect(address) for _ in tokens]
    for link, each in zip(links, tokens):
        link.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     f"Authorization: Bearer {each}\r\n\r\n".encode())
    statuses = [receive(link)[0] for link in links]
    for status in sorted(set(statuses)):
        print(f"{statuses.count(status)} x {status}")
    if statuses != [200, 401] * CROWD:
        sys.exit("an answer went to somebody else")


if __name__ == "__main__":
    globals()["do_" + sys.argv[1]](*sys.argv[2:])
