#!/usr/bin/env python3
"""A hub of models that speaks Hugging Face's API and misbehaves to order.

    fake_hub --root FOLDER --script FILE --log FILE --ready FILE [--host ADDRESS] [--tls FILE]

FOLDER/ORG/REPO/… are the repositories; what lies there is also served as /files/ORG/REPO/…, as any web
server would (PATH?QUERY as the file of that name, if there is one). FILE is the script: one directive
a line, read anew for each request, so that a test can change it. Each request is a line of JSON in the log. The port is written to the ready file. --tls FILE has its key and certificate. Standard
library only; run by a test, never part of the product.
"""

import argparse
import hashlib
import http.server
import json
import os
import ssl
import sys
import threading
import urllib.parse

DIRECTIVES = {
    # the listing
    "no_sum": "files are listed without a checksum",
    "wrong_sum": "files are listed with a checksum that is not theirs",
    "list_size": "N: files are listed with this size",
    "list_more": "PATH: the listing has this entry on top",
    "list_text": "TEXT: the listing is this text",
    "page": "N: so many entries a page",
    # who may ask
    "token": "TOKEN: who does not show it gets 401",
    "gated": "403 for everybody, as for a model whose terms were not accepted",
    # files
    "status": "CODE [TIMES [RETRY-AFTER]]: files are answered so, TIMES times",
    "list_status": "CODE [TIMES [RETRY-AFTER]]: the same for the listing",
    "redirect": "BASE: files are at BASE + path",
    "loop": "files are redirected to themselves",
    "cut": "N [TIMES]: a file reply breaks off after N bytes",
    "gate": "N FILE: a file reply stops after N bytes until FILE is there",
    "stall": "N [TIMES]: a file reply stops after N bytes for good",
    "no_ranges": "ranges are ignored",
    "odd_range": "a range begins a byte late",
    "blind_range": "If-Range is ignored, and a range has no ETag",
    "no_such_range": "every range is answered with 416",
    "no_length": "the length is not said",
    "length": "N: this length is said",
    "etag": "TEXT: every file has this one",
    "flip": "N [TIMES]: byte N of a file is another one",
    "page_instead": "a page is sent with status 200",
    "encoded": "the reply says that it is encoded",
}


class Script:
    """The directives as they are now; what is to happen a number of times is counted here."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.counts = {}

    def read(self):
        found = {}
        try:
            with open(self.path, encoding="utf-8") as script:
                for line in filter(str.strip, script):
                    name, *words = line.split()
                    assert name in DIRECTIVES, name
                    found[name] = words
        except FileNotFoundError:
            pass
        return found

    def take(self, words, name, limit_at):
        """Whether NAME is still to happen, once more."""
        if len(words) <= limit_at:
            return True
        key = name + " ".join(words)
        with self.lock:
            self.counts[key] = self.counts.get(key, 0) + 1
            return self.counts[key] <= int(words[limit_at])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_GET(self):
        self.script = self.server.script.read()
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        self.server.note({"path": path, "range": self.headers.get("Range", ""),
                          "if_range": self.headers.get("If-Range", ""),
                          "authorization": self.headers.get("Authorization", "")})
        if not self.is_let_in():
            return
        if path.startswith("/api/models/"):
            self.list_repository(path, urllib.parse.parse_qs(url.query))
        elif "/resolve/main/" in path:
            self.send_file(path.replace("/resolve/main/", "/", 1))
        elif path.startswith("/files/"):
            path = path[len("/files"):]
            asked = f"{path}?{url.query}"
            self.send_file(asked if os.path.exists(self.server.root + asked) else path)
        else:
            self.send_words(404, "no such thing")

    # ---- replies ----

    def has(self, name):
        return name in self.script

    def send_words(self, status, words, **headers):
        body = words.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def is_let_in(self):
        if self.has("gated"):
            self.send_words(403, "accept the terms", X_Error_Code="GatedRepo")
            return False
        if self.has("token") and self.headers.get("Authorization") != "Bearer " + self.script["token"][0]:
            self.send_words(401, "who are you", X_Error_Code="RepoNotFound"
                            if not self.headers.get("Authorization") else "")
            return False
        return True

    def refuses(self, directive):
        words = self.script.get(directive)
        if words is None or not self.server.script.take(words, directive, 1):
            return False
        more = {"Retry_After": words[2]} if len(words) > 2 else {}
        self.send_words(int(words[0]), "no", **more)
        return True

    def list_repository(self, path, query):
        if self.refuses("list_status"):
            return
        repository = path[len("/api/models/"):].removesuffix("/tree/main")
        folder = os.path.join(self.server.root, repository)
        if not os.path.isdir(folder):
            self.send_words(404, "no such repository", X_Error_Code="RepoNotFound")
            return
        if self.has("list_text"):
            self.send_words(200, " ".join(self.script["list_text"]))
            return
        entries = self.entries(folder)
        begin = int(query.get("cursor", ["0"])[0])
        count = int(self.script["page"][0]) if self.has("page") else len(entries)
        more = {}
        if begin + count < len(entries):
            host = self.headers["Host"]
            more["Link"] = f'<http://{host}{path}?recursive=true&cursor={begin + count}>; rel="next"'
        self.send_words(200, json.dumps(entries[begin:begin + count]), **more)

    def entries(self, folder):
        entries = []
        for where, folders, names in sorted(os.walk(folder)):
            inside = os.path.relpath(where, folder)
            for name in sorted(folders):
                entries.append({"type": "directory", "path": os.path.normpath(os.path.join(inside, name))})
            for name in sorted(names):
                entries.append(self.entry(folder, os.path.normpath(os.path.join(inside, name))))
        if self.has("list_more"):
            more = " ".join(self.script["list_more"]).encode().decode("unicode_escape")
            entries.append({"type": "file", "path": more, "size": 10})
        return entries

    def entry(self, folder, path):
        with open(os.path.join(folder, path), "rb") as file:
            data = file.read()
        size = int(self.script["list_size"][0]) if self.has("list_size") else len(data)
        entry = {"type": "file", "path": path, "size": size, "oid": "0" * 40}
        if not self.has("no_sum"):
            wrong = b"wrong" if self.has("wrong_sum") else b""
            entry["lfs"] = {"oid": hashlib.sha256(data + wrong).hexdigest(), "size": size}
        return entry

    # ---- files ----

    def send_file(self, path):
        if self.refuses("status"):
            return
        if self.has("redirect"):
            where = self.script["redirect"][0] + "/files" + urllib.parse.quote(path)
            self.send_words(302, "there", Location=where)
            return
        if self.has("loop"):
            self.send_words(302, "there", Location=self.path)
            return
        try:
            with open(self.server.root + path, "rb") as file:
                data = file.read()
        except OSError:
            self.send_words(404, "no such file")
            return
        if self.has("page_instead"):
            data = b"<html>please sign in</html>"
        self.send_data(data)

    def find_range(self, data, etag):
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or self.has("no_ranges"):
            return None
        if self.headers.get("If-Range", etag) != etag and not self.has("blind_range"):
            return None
        return int(asked[len("bytes="):].rstrip("-"))

    def send_data(self, data):
        etag = '"%s"' % (self.script["etag"][0] if self.has("etag") else hashlib.md5(data).hexdigest())
        begin = self.find_range(data, etag)
        if begin is not None and (begin >= len(data) or self.has("no_such_range")):
            self.send_words(416, "", Content_Range=f"bytes */{len(data)}")
            return
        first = 0 if begin is None else begin + self.has("odd_range")
        if self.has("flip") and self.server.script.take(self.script["flip"], "flip", 1):
            at = int(self.script["flip"][0])
            data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]
        self.send_response(200 if begin is None else 206)
        if begin is None or not self.has("blind_range"):
            self.send_header("ETag", etag)
        length = int(self.script["length"][0]) if self.has("length") else len(data) - first
        if self.has("no_length"):
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        if begin is not None:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        if self.has("encoded"):
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.send_body(data[first:])

    def send_body(self, body):
        try:
            self.send_in_order(body)
        except OSError:
            self.close_connection = True

    def send_in_order(self, body):
        script = self.server.script
        for name in ("cut", "stall", "gate"):
            words = self.script.get(name)
            if words is None or int(words[0]) >= len(body):
                continue
            if name != "gate" and not script.take(words, name, 1):
                continue
            self.wfile.write(body[:int(words[0])])
            self.wfile.flush()
            self.server.note({"stopped": name})
            if name == "cut":
                self.close_connection = True
                return
            self.wait(words[1] if name == "gate" else None)
            body = body[int(words[0]):]
        self.wfile.write(body)

    def wait(self, path):
        """For the file, or for ever: until the client leaves."""
        self.connection.settimeout(0.05)
        while path is None or not os.path.exists(path):
            try:
                if self.connection.recv(1) == b"":
                    raise OSError("gone")
            except TimeoutError:
                continue
        self.connection.settimeout(None)


class Hub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options):
        super().__init__((options.host, 0), Handler)
        self.root = options.root
        self.script = Script(options.script)
        self.log_path = options.log
        self.log_lock = threading.Lock()
        if options.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def note(self, what):
        with self.log_lock, open(self.log_path, "a", encoding="utf-8") as log:
            log.write(json.dumps(what) + "\n")

    def handle_error(self, request, client_address):
        pass  # a client that left


def main():
    parser = argparse.ArgumentParser()
    for name in ("root", "script", "log", "ready"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls")
    options = parser.parse_args()
    hub = Hub(options)
    with open(options.ready + ".tmp", "w", encoding="utf-8") as ready:
        ready.write(f"{hub.server_address[1]}\n")
    os.rename(options.ready + ".tmp", options.ready)
    hub.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
