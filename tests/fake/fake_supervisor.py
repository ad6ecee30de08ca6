#!/usr/bin/env python3
"""A supervisor that supervises nothing and answers to order.

Installed as `rbeed` beside `rbee`, it obeys the contract of ARCHITECTURE.md ("The supervisor's API",
"Starting rbeed"): --ready-fd, the socket in $XDG_RUNTIME_DIR/rbee, TERM. What it answers stands in
the file $FAKE_SCRIPT, one line a route:

    POST /v1/inference  sse; started; tokens 3 "one "; end stop; done
    GET /v1/status      error 503 SERVER_BUSY "come back later"

The first line that fits wins; the path may hold the wildcards of the shell, and a line may begin with
conditions, CONDITIONS below. Steps are done in order; STEPS below is the whole list. A line that begins with `start` is done before the socket is made,
STARTS below. Without a line of its own: /v1/status and /v1/shutdown work, everything else is 404.

$FAKE_SCRIPT.log gets one JSON object a line: each start, each request with its body, and {"left": ID}
when a client went away before its reply was complete. Standard library only; run by a test, never
part of the product.
"""

import fnmatch
import json
import os
import shlex
import signal
import socket
import sys
import threading
import time

STEPS = {
    "json": "STATUS TEXT: a whole reply",
    "error": "STATUS WIRE MESSAGE [RETRY_AFTER_S]: an error envelope",
    "sse": "begins an event stream",
    "queued": "POSITION",
    "started": "[WARNING...]",
    "tokens": "N TEXT: so many token events",
    "event": "TEXT: one event as it stands",
    "bytes": "TEXT: raw bytes, with \\xNN, \\n and \\r",
    "end": "REASON: the end event",
    "fail": "WIRE MESSAGE: the error event",
    "done": "data: [DONE] and the end of the reply",
    "close": "closes the connection there and then",
    "gate": "PATH: goes on when that file exists",
    "hang": "until the client leaves",
}
CONDITIONS = {
    "if": "TEXT: only for requests whose body holds it",
    "times": "N: only so many times",
}
STARTS = {
    "error": "WIRE MESSAGE: says so instead of ready, and exits",
    "say": "TEXT: says that line instead of ready",
    "exit": "CODE: exits without a word",
    "kill": "dies of SIGKILL",
}


class Left(Exception):
    """The client went away."""


class Log:
    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()

    def write(self, **fields):
        with self.lock, open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(fields) + "\n")


class Exchange:
    """One request and the steps of its reply."""

    def __init__(self, connection, log, request):
        self.connection = connection
        self.log = log
        self.request = request
        self.index = 0
        self.is_chunked = False

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Left from error

    def send_body(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.send(b"%x\r\n%s\r\n" % (len(data), data) if self.is_chunked else data)

    def event(self, **fields):
        self.send_body(f"data: {json.dumps(fields, separators=(',', ':'))}\n\n")

    def do_json(self, status, text="", extra=""):
        body = text.encode()
        self.send(
            f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        )

    def do_error(self, status, code, message, retry_after_s=None):
        error = {"code": code, "type": "x", "message": message, "details": {}, "request_id": "q-1"}
        extra = f"Retry-After: {retry_after_s}\r\n" if retry_after_s else ""
        self.do_json(status, json.dumps({"error": error}), extra)

    def do_sse(self):
        self.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        self.is_chunked = True

    def do_queued(self, position):
        self.event(type="queued", id="r-1", position=int(position))

    def do_started(self, *warnings):
        extra = {"warnings": list(warnings)} if warnings else {}
        self.event(type="started", id="r-1", model="fake", **extra)

    def do_tokens(self, count, text):
        for _ in range(int(count)):
            self.event(type="token", t=text, i=self.index)
            self.index += 1

    def do_event(self, text):
        self.send_body(f"data: {text}\n\n")

    def do_bytes(self, text):
        self.send(text.encode().decode("unicode_escape").encode("latin-1"))

    def do_end(self, reason):
        usage = {"prompt_tokens": 5, "completion_tokens": self.index}
        timings = dict.fromkeys(["queue_ms", "load_ms"], 0)
        timings.update(prefill_ms=12.5, decode_ms=80.0, first_token_ms=13.0)
        self.event(type="end", stop_reason=reason, usage=usage, timings=timings)

    def do_fail(self, code, message):
        self.event(type="error", code=code, message=message, request_id="q-1")

    def do_done(self):
        self.send_body("data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")
        self.is_chunked = False

    def do_close(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        raise Left

    def do_gate(self, path):
        while not os.path.exists(path):
            time.sleep(0.005)

    def do_hang(self):
        while True:
            try:
                if not self.connection.recv(65536):
                    break
            except OSError:
                break
        self.log.write(left=self.request["path"])
        raise Left

    def run(self, steps):
        for words in steps:
            getattr(self, "do_" + words[0])(*words[1:])


def read_script(path):
    """[(words of one line, split into steps)]"""
    lines = []
    with open(path, encoding="utf-8") as script:
        for line in script:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";")
            lexer.whitespace_split = True
            words = list(lexer)
            if not words:
                continue
            head = words[:1] if words[0] == "start" else words[:2]
            steps = [[]]
            for word in words[len(head) :]:
                if word == ";":
                    steps.append([])
                else:
                    steps[-1].append(word)
            lines.append((head, [step for step in steps if step]))
    return lines


def read_request(connection, rest):
    """One request, and the bytes after it; None at the end."""
    while b"\r\n\r\n" not in rest:
        data = connection.recv(65536)
        if not data:
            return None, b""
        rest += data
    head, rest = rest.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    want = int(headers.get("content-length", 0))
    while len(rest) < want:
        data = connection.recv(65536)
        if not data:
            return None, b""
        rest += data
    request = {"method": method, "path": path, "body": rest[:want].decode()}
    if "x-timeout-ms" in headers:
        request["timeout_ms"] = int(headers["x-timeout-ms"])
    return request, rest[want:]


class Supervisor:
    def __init__(self):
        self.script_path = os.environ["FAKE_SCRIPT"]
        self.log = Log(self.script_path + ".log")
        folder = os.path.join(os.environ["XDG_RUNTIME_DIR"], "rbee")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.socket_path = os.path.join(folder, "rbee.sock")
        self.must_stop = threading.Event()
        self.uses = {}  # of each line, by its text
        self.uses_lock = threading.Lock()

    def fits(self, head, steps, request):
        """Whether its conditions hold; this use is counted."""
        key = repr((head, steps))
        conditions = [words for words in steps if words[0] in CONDITIONS]
        if any(words[0] == "if" and words[1] not in request["body"] for words in conditions):
            return False
        with self.uses_lock:
            self.uses[key] = self.uses.get(key, 0) + 1
            return all(self.uses[key] <= int(words[1]) for words in conditions if words[0] == "times")

    def status(self):
        return {
            "state": "ok", "pid": os.getpid(), "version": "fake", "uptime_ms": 1000,
            "socket": self.socket_path, "reasons": [], "workers": [], "requests": [],
        }  # fmt: skip

    def answer(self, exchange):
        request = exchange.request
        path = request["path"].split("?")[0]
        for head, steps in read_script(self.script_path):
            if head[0] != request["method"] or not fnmatch.fnmatch(path, head[1]):
                continue
            if self.fits(head, steps, request):
                exchange.run([words for words in steps if words[0] not in CONDITIONS])
                return
        if path == "/v1/status":
            exchange.do_json(200, json.dumps(self.status()))
        elif path == "/v1/shutdown":
            exchange.do_json(202, "{}")
            self.must_stop.set()
        else:
            exchange.do_error(404, "NOT_FOUND", "there is no such route")

    def serve_connection(self, connection):
        rest = b""
        with connection:
            try:
                while True:
                    request, rest = read_request(connection, rest)
                    if request is None:
                        return
                    self.log.write(**request)
                    self.answer(Exchange(connection, self.log, request))
            except Left:
                pass
            except OSError:
                pass

    def accept(self, listener):
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=self.serve_connection, args=(connection,), daemon=True)
            thread.start()

    def start(self, ready_fd):
        """Does the `start` lines; returns only when there is to be a supervisor."""
        for head, steps in read_script(self.script_path):
            if head != ["start"]:
                continue
            for words in steps:
                if words[0] == "error":
                    os.write(ready_fd, f"error {words[1]} {words[2]}\n".encode())
                    sys.exit(1)
                elif words[0] == "say":
                    os.write(ready_fd, (words[1] + "\n").encode())
                elif words[0] == "exit":
                    sys.exit(int(words[1]))
                elif words[0] == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)

    def run(self, ready_fd, argv):
        self.log.write(start=os.getpid(), argv=argv, cwd=os.getcwd(), session=os.getsid(0))
        self.start(ready_fd)
        if os.path.exists(self.socket_path):
            os.unlink(self.socket_path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket_path)
        listener.listen(64)
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
        if ready_fd >= 0:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)
        self.must_stop.wait()
        os.unlink(self.socket_path)


def main():
    argv = sys.argv[1:]
    ready_fd = int(argv[argv.index("--ready-fd") + 1]) if "--ready-fd" in argv else -1
    supervisor = Supervisor()
    signal.signal(signal.SIGTERM, lambda *_: supervisor.must_stop.set())
    supervisor.run(ready_fd, argv)


main()
