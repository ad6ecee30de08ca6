#!/usr/bin/env python3
"""Hostile clients at the door of a running rbeed, and of a worker: told by the suite door.

    door.py CASE SOCKET PID [ARGUMENT...]

CASE is a function below, PID whose socket it is. A case fails by an exception. Nothing here sleeps or
takes the time: it waits for bytes, for ends of connections, and for what /v1/status says. Limits are
those of the suite's configuration."""
import contextlib
import json
import os
import re
import resource
import select
import socket
import sys
import threading
import time

import door_cases
from http_wire import Wire, ask, assert_refused, fill, request

LIMIT_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
KIB, MIB = 1 << 10, 1 << 20
SANITIZED = os.environ.get("RBEE_BUILD", "").rsplit("/", 1)[-1].split("-")[0] in ("address", "thread")


class Server:
    """Who listens on a Unix socket."""

    def __init__(self, path, pid):
        self.path, self.pid = path, int(pid)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(LIMIT_S)
        s.connect(self.path)
        return s

    def resident_bytes(self):
        return int(open(f"/proc/{self.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def get(self, path, status=200):
        reply = ask(self, request(path))
        assert reply.status == status, f"{path}: {reply}"
        return json.loads(reply.body)

    def post(self, path, body, **more):
        return ask(self, request(path, "POST", body=json.dumps(body).encode(), **more))

    def open_requests(self):
        return self.get("/v1/status")["requests"]


def wait_until(what, question):
    end = time.monotonic() + LIMIT_S
    while not question():
        assert time.monotonic() < end, f"never: {what}"
        select.select([], [], [], 0.01)


@contextlib.contextmanager
def flat_memory(server, limit_bytes):
    """What comes within costs less than LIMIT_BYTES, once it is over."""
    before = server.resident_bytes()
    yield
    grown = server.resident_bytes() - before
    print(f"# grown by {grown} bytes", file=sys.stderr)
    assert SANITIZED or grown < limit_bytes, f"grown by {grown} bytes, of at most {limit_bytes}"


@contextlib.contextmanager
def ordinary_client(server, model):
    """Somebody who only wants answers, on one kept connection, all the while: each comes whole."""
    stop, failures, answers = threading.Event(), [], []

    def run():
        body = json.dumps({"model": model, "prompt": "hi", "stream": False}).encode()
        with server.connect() as s:
            wire = Wire(s)
            while not stop.is_set() or not answers:
                s.sendall(request("/v1/inference", "POST", body=body))
                reply = wire.reply()
                answers.append(reply.status)
                if reply.status != 200 or json.loads(reply.body)["text"] != "one two three four":
                    failures.append(repr(reply))
                    return

    def guarded():
        try:
            run()
        except Exception as error:  # told below
            failures.append(repr(error))
    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LIMIT_S)
    assert not failures and answers, failures or "it was never answered"
    print(f"# {len(answers)} answers for the ordinary client", file=sys.stderr)


# ---- no request ----


def assert_turned_away(server, data, note):
    """4xx or 5xx in the envelope and the end of the connection, or the end alone; nothing else of what
    was sent is answered."""
    with server.connect() as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
        wire = Wire(s)
        reply = wire.reply()
        assert 400 <= reply.status <= 505, f"{note}: {reply}"
        error = json.loads(reply.body)["error"]
        assert error["code"] and error["request_id"] == reply.headers["x-request-id"], f"{note}: {error}"
        assert reply.headers["connection"] == "close", f"{note}: {reply}"
        assert wire.rest() == b"", f"{note}: something came behind the refusal"


def smuggling(server, path, command, *headers):
    more = b"".join(h.encode() + b"\r\n" for h in headers)
    count = 0
    with flat_memory(server, 4 * MIB):
        for data, note in door_cases.all_of_them(path.encode(), command.encode(), more):
            try:
                assert_turned_away(server, data, note)
            except AssertionError:
                raise
            except Exception as error:
                raise AssertionError(f"{note}: {error!r} for {data[:200]!r}") from error
            count += 1
    assert ask(server, request("/health")).status == 200
    print(f"# {count} turned away", file=sys.stderr)


def limits(server):
    """The suite allows 64 KiB for a body and 128 KiB for all."""
    post = b"POST /v1/inference HTTP/1.1\r\nHost: x\r\n"
    for lines, status, code, note in door_cases.TOO_LARGE:
        assert_refused(server, post + b"\r\n".join(lines) + b"\r\n\r\n", status, code, note)
    assert_refused(server, b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "TARGET_TOO_LONG")
    head = post + b"Content-Length: %d\r\n\r\n"
    assert_refused(server, head % (64 * KIB + 1) + b"x" * (64 * KIB + 1), 413, "BODY_TOO_LARGE")
    assert_refused(server, head % (1 << 40), 413, "BODY_TOO_LARGE", "a length that will not come")
    assert_refused(server, post + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 0x8000 +
                   b"\r\n8001\r\n" + b"x" * 0x8001 + b"\r\n0\r\n\r\n", 413, "BODY_TOO_LARGE", "in chunks")
    # Bodies that are not whole yet count, too.
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            s = stack.enter_context(server.connect())
            s.sendall(head % (64 * KIB) + b" " * (64 * KIB - 1))
            wait_until("it has been read", lambda s=s: not unread_by_peer(s))
        wait_until("503 for a third one", lambda: is_refused_for_bodies(server, head))
    assert server.post("/v1/inference", {"model": "a", "prompt": "hi", "stream": False}).status == 200


def unread_by_peer(s):
    """Bytes that the other side has not taken from a Unix socket yet."""
    import array
    import fcntl
    import termios
    count = array.array("i", [0])
    fcntl.ioctl(s, termios.TIOCOUTQ, count)
    return count[0]


def is_refused_for_bodies(server, head):
    with server.connect() as s:
        s.sendall(head % (32 * KIB) + b" " * (32 * KIB - 1))
        if not select.select([s], [], [], 0.2)[0]:
            return False
        reply = Wire(s).reply()
        assert reply.status == 503 and int(reply.headers["retry-after"]) >= 1, reply
        assert json.loads(reply.body)["error"]["code"] == "SERVER_BUSY"
        return True


def deep_json(server):
    def nested(depth):
        return b'{"model":"a","prompt":"hi","stream":false,"x":' + b"[" * depth + b"]" * depth + b"}"
    cases = [
        (nested(63), 200, None), (nested(64), 400, "INVALID_JSON"), (nested(10000), 400, "INVALID_JSON"),
        (b"[" * 60000, 400, "INVALID_JSON"), (b'{"a":' * 10000, 400, "INVALID_JSON"),
        (b"[" + b"0," * 30000 + b"0]", 400, "INVALID_JSON"), (b"\xff" * 60000, 400, "INVALID_UTF8"),
        (b'"' + b"\\" * 60000, 400, "INVALID_JSON"), (b"1" * 60000, 400, "INVALID_JSON"),
        (b'{"prompt":"\\ud800"}', 400, "INVALID_JSON"), (b'{"a":1,"a":2}', 400, "INVALID_JSON"),
        (b"", 400, "INVALID_FIELD"), (b"{}", 400, "INVALID_FIELD"), (b"null", 400, "INVALID_JSON"),
    ]
    for _ in range(5):
        for body, status, code in cases:
            reply = ask(server, request("/v1/inference", "POST", body=body))
            assert reply.status == status, f"{body[:60]!r}: {reply}"
            assert code is None or json.loads(reply.body)["error"]["code"] == code, f"{body[:60]!r}: {reply}"


# ---- slow and silent ----

SLOW = 40  # of each kind


def drip(server, data):
    """Sends DATA in single bytes, one whenever nothing else is going on, until the server has had
    enough; returns what it says. For many at once: a generator that is asked to go on."""
    with server.connect() as s:
        for byte in data:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.send(bytes([byte]))
            if select.select([s], [], [], 0)[0]:
                break
            yield None
        wire = Wire(s)
        reply = wire.reply()
        assert reply.status == 408, reply
        assert wire.rest() == b""


def slow_clients(server):
    """A byte now and then keeps nobody's connection; those who say nothing at all are closed without a
    word, and who does not read loses its request. Meanwhile an ordinary client is served."""
    body = json.dumps({"model": "a", "prompt": "hi", "x": "y" * 30000}).encode()
    heads = [drip(server, request("/v1/status", headers=["A: " + "x" * 8000] * 2)) for _ in range(SLOW)]
    bodies = [drip(server, request("/v1/inference", "POST", body=body)) for _ in range(SLOW)]
    with flat_memory(server, 8 * MIB), contextlib.ExitStack() as stack, ordinary_client(server, "a"):
        silent = [stack.enter_context(server.connect()) for _ in range(SLOW)]
        deaf = [stack.enter_context(server.connect()) for _ in range(4)]
        for s in deaf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(request("/v1/inference", "POST", body=b'{"model":"flood","prompt":"hi"}'))
        dripping = heads + bodies
        while dripping:
            dripping = [d for d in dripping if next(d, "over") is None]
            select.select([], [], [], 0.005)
        for s in silent:
            assert Wire(s).rest() == b""
        wait_until("those who do not read are cut", lambda: all(
            r["worker"] != "flood" for r in server.open_requests()))


# ---- too many ----

CROWD = 600
PLACES = 512


def crowd(server):
    """More connections than there are places: each beyond them hears 503 or the end, the others go on,
    and when they have left everybody is served again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    hello = request("/ready")
    with flat_memory(server, 24 * MIB), ordinary_client(server, "a"), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(server.connect()) for _ in range(CROWD)]
        served, refused = [], 0
        for s in crowd:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(hello)
        for s in crowd:
            status = hear(s)
            assert status in (200, 503, None), status
            served += [s] if status == 200 else []
            refused += status != 200
        print(f"# {len(served)} served, {refused} refused", file=sys.stderr)
        # One place is the ordinary client's; nobody else had any.
        assert len(served) == PLACES - 1, len(served)
        for _ in range(3):  # who is inside stays inside
            for s in served:
                s.sendall(hello)
            for s in served:
                assert hear(s) == 200
    wait_until("a newcomer is served", lambda: newcomer(server) == 200)


def hear(s):
    """The status of the next reply; None when the connection ends without one."""
    try:
        return Wire(s).reply().status
    except (AssertionError, ConnectionResetError):
        return None


def newcomer(server):
    with server.connect() as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(request("/ready"))
        return hear(s)


# ---- what replies say ----

VALUES = ["", "/", "/etc/passwd", "/no/such/folder/x.gguf", "../../etc/passwd", "a\u202eb", "x" * 300, "\u0007",
          -1, 1e300, None, True, [], {}, {"path": "/etc/passwd"}]
FIELDS = ["model", "prompt", "messages", "path", "name", "device", "context", "slots", "threads", "reason", "kind",
          "drain_ms", "force", "stream", "stop", "seed", "max_tokens", "temperature", "logit_bias"]


def routes(table):
    """(method, path) of every row of routes.def."""
    rows = re.findall(r'^ROUTE\((\w+),\s*"([^"]+)"', open(table, encoding="utf-8").read(), re.M)
    assert len(rows) > 20
    return rows


def bad_requests(table):
    """Every route with names that are none, bodies that are none and fields of every wrong kind."""
    for method, pattern in routes(table):
        for name in ("none", "a", "broken", "gone", "..%2f..%2fetc", "x" * 79, "x" * 200, "%01", "gpu:none"):
            path = re.sub(r"\{\w+\}", name, pattern)
            bodies = [b"", b"{", b"[]", b"\xff"]
            bodies += [json.dumps({f: v, "prompt": CANARY}).encode() for f in FIELDS for v in VALUES]
            # Those that would do something which the rest of the walk needs undone.
            if pattern == "/v1/shutdown" or (method == "DELETE" and name == "a"):
                bodies = bodies[1:4]
            if method in ("GET", "DELETE"):
                bodies = [b""]
                path += "?since=/etc/passwd&limit=x&lines=-1&for=never&after=x" if method == "GET" else ""
            for body in bodies:
                yield method, path, body
            if path == pattern:
                break  # it has no name in it


CANARY = "xyzzy-canary"


def assert_says_nothing(place, reply, body, secrets):
    if reply.status < 400:
        return
    text = json.loads(reply.body)["error"]["message"]
    assert CANARY not in text, f"{place}: a prompt in {text}"
    for secret in secrets:
        assert secret not in text or secret.encode() in body, f"{place}: {secret} in {text}"


def nothing_private(server, table, *secrets):
    """No error message has a prompt in it, or a path that its client did not send."""
    seen = {}
    for method, path, body in bad_requests(table):
        if path.startswith("/v1/shutdown") and not body:
            continue
        reply = ask(server, request(path, method, body=body))
        assert_says_nothing(f"{method} {path} {body!r}", reply, body, secrets)
        seen[reply.status] = seen.get(reply.status, 0) + 1
    for model in ("broken", "gone", "torn", "dying"):  # whose failures come from the disk or from a worker
        for more in ({}, {"stream": False}):
            body = json.dumps({"model": model, "prompt": CANARY, **more}).encode()
            reply = ask(server, request("/v1/inference", "POST", body=body))
            events = re.findall(rb"^data: (\{.*\"type\":\"error\".*\})$", reply.body, re.M)
            assert reply.status >= 400 or events, f"{model}: {reply}"
            for event in events:
                text = json.loads(event)["message"]
                for secret in (CANARY, *secrets):
                    assert secret not in text, f"{model}: {secret} in {text}"
            assert_says_nothing(model, reply, body, secrets)
    print(f"# {sorted(seen.items())}", file=sys.stderr)
    assert seen.get(400, 0) > 100 and seen.get(404, 0) > 20, seen
    assert not [s for s in seen if s in (500, 501, 502)], seen


# ---- what the log says ----

LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) ([a-z_]+)((?: .*)?)')
FIELD = re.compile(r' ([a-z_0-9]+)=((?:[^ "\\]*)|"(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*")(?= |$)')


def fields(line):
    """The fields of a line of the log; fails where it is none."""
    match = LINE.fullmatch(line)
    assert match, line
    at, found = 0, {}
    while at < len(match.group(3)):
        field = FIELD.match(match.group(3), at)
        assert field, f"at {match.group(3)[at:]!r} of {line!r}"
        assert field.group(1) not in found, f"{field.group(1)} twice in {line}"
        value = field.group(2)
        if value.startswith('"'):
            value = re.sub(r'\\(["\\])', r"\1", value[1:-1])
        found[field.group(1)] = value
        at = field.end()
    return {"event": match.group(2), **found}


def read_log(path):
    """Every line is one event of key=value, and has no control character in it."""
    lines = open(path, encoding="utf-8", newline="\n").read().split("\n")
    assert lines.pop() == "" and lines
    assert not [l for l in lines if re.search(r"[\x00-\x1f\x7f-\x9f]", l)]
    return [fields(line) for line in lines]


def log_is_clean(server, path):
    print(f"# {len(read_log(path))} lines", file=sys.stderr)


def labels(server, log):
    """The caller's label is in every line of its requests, and in every reply."""
    def labelled(label, method, path, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        reply = ask(server, request(path, method, headers=["X-Request-Id: " + label], body=data))
        assert reply.headers["x-request-id"] == label, reply
        if reply.status >= 400:
            assert json.loads(reply.body)["error"]["request_id"] == label, reply
        return reply
    labelled("good-1", "POST", "/v1/inference", {"model": "a", "prompt": "hi"})
    labelled("bad-1", "POST", "/v1/inference", {"model": "none", "prompt": "hi"})
    labelled("bad-2", "POST", "/v1/inference", {"model": "dying", "prompt": "hi", "stream": False})
    labelled("deed-1", "POST", "/v1/workers/a/hold", {"reason": 'say "x" event=y \\ z'})
    labelled("deed-2", "POST", "/v1/workers/a/release")
    labelled("deed-3", "POST", "/v1/workers/none/stop", {})
    labelled("deed-4", "POST", "/v1/breakers/a/open", {"reason": 'a "quoted" \u202e to=closed'})
    labelled("nix-1", "GET", "/nowhere")
    lines = read_log(log)
    of = {}
    for line in lines:
        of.setdefault(line.get("request_id"), []).append(line["event"])
    assert of["good-1"] == ["request"] and of["bad-1"] == ["request_failed", "request"], of
    assert of["bad-2"] == ["request_failed", "request"], of
    assert [of[f"deed-{n}"] for n in (1, 2, 3, 4)] == [["api"]] * 4, of
    assert not [l for l in lines if l["event"] in ("request", "request_failed", "api") and not l["request_id"]]
    (opened,) = [l for l in lines if l["event"] == "breaker" and l["worker"] == "a" and l["to"] == "forced_open"]
    assert opened["reason"] == 'a "quoted" \\xe2\\x80\\xae to=closed', opened


CASES = {f.__name__: f for f in (smuggling, limits, deep_json, slow_clients, crowd, nothing_private, log_is_clean,
                                 labels)}

if __name__ == "__main__":
    CASES[sys.argv[1]](Server(*sys.argv[2:4]), *sys.argv[4:])
