#!/usr/bin/env python3
"""A worker that computes nothing and fails to order.

It obeys the contract of ARCHITECTURE.md, "Between supervisor and worker": the options, descriptor 3
(a listening Unix socket), descriptor 4 (the token), the routes, the events, the exit codes and the
last words. What it does is written in the file that --model names, so a test needs nothing but a
small text file as a model and `supervisor.worker_program` pointing here:

    # one directive a line; words are separated by blanks, the last argument may be quoted
    reply "Paris is a city."      the answer, one event a word [one two three four]
    tokens 100                    that many events, the reply's words over and over
    token_ms 20                   time between two events [0]

`@N directive` holds for the Nth start of this model file only (the count is kept in MODEL.starts).
DIRECTIVES below is the whole list. Paths in directives are relative to the model file's folder.
Standard library only; run by a test, never part of the product.
"""

import fcntl
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

DIRECTIVES = {
    # describing
    "describe_exit": "CODE REASON: --describe fails so",
    "describe_text": "TEXT: --describe prints this instead of its record",
    "describe_hang": "--describe never ends",
    "describe": "KEY VALUE: a field of the record (numbers and true/false are read as JSON)",
    # starting
    "stderr": "TEXT: a line on stderr at the start",
    "stdout": "TEXT: a line on stdout at the start",
    "child": "[shell] [session] [bare]: starts a grandchild that sleeps for ever, its pid in "
    "MODEL.child; below a shell (then both pids), in a session of its own, without environment",
    "exit": "CODE CLASS REASON: ends before it listens, with last words",
    "exit_silent": "CODE: the same without a word",
    "kill": "SIGNAL: dies of that signal (SEGV, KILL...) before it listens",
    "load_steps": "N MS: N reports of progress, MS apart, before ready",
    "load_gate": "PATH: loads until that file exists",
    "load_exit": "CODE CLASS REASON: ends after the load's steps",
    "load_hang": "loads for ever without progress",
    "never_answer": "takes connections and never answers",
    "never_accept": "never takes a connection",
    # answering
    "reply": "TEXT",
    "tokens": "N",
    "token_ms": "MS",
    "prefill_ms": "MS: before the first event",
    "gate_after": "N PATH: after N tokens waits for that file (0: before the first, after started)",
    "stop_reason": "stop|length|stop_string",
    "warning": "TEXT: a warning in the started event",
    "status": "CODE WIRE MESSAGE: every inference is answered with that error",
    "ready_text": "TEXT: /ready answers 200 with this body",
    # faults within a stream; N counts tokens sent before
    "die_after": "N SIGNAL|CODE: dies of the signal, or exits with the code",
    "last_words": "CLASS REASON: said before die_after",
    "hang_after": "N: says nothing more and keeps the connection",
    "close_after": "N: closes the connection without an end",
    "error_after": "N WIRE MESSAGE: the error event, then [DONE]",
    "garbage_after": "N: bytes that are no event, then the connection closes",
    "bad_json_after": "N: an event that is no JSON",
    "huge_after": "N BYTES: one event of that size",
    "lines_after": "N: a token event in several data lines",
    "no_done": "the stream ends without [DONE]",
    "garbage_reply": "an answer that is no HTTP",
    "split_bytes": "MS: the stream leaves byte by byte, MS apart (characters are cut)",
    "ping": "a comment before each token",
    # stopping
    "ignore_term": "TERM does nothing",
    "term_exit": "CODE: on TERM ends with this code",
    "term_ms": "MS: TERM is obeyed that much later",
    # looking
    "journal": "PATH: appends one JSON line for each thing that happens",
}


class Script:
    """The directives that hold for this start: a dictionary of argument lists."""

    def __init__(self, path, start):
        self.folder = os.path.dirname(os.path.abspath(path))
        self.values = {}
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                self.read_line(path, number, line, start)

    def read_line(self, path, number, line, start):
        words = shlex.split(line, comments=True)
        if words and words[0].startswith("@"):
            if int(words[0][1:]) != start:
                return
            words = words[1:]
        if not words:
            return
        if words[0] not in DIRECTIVES:
            leave(10, "config", f"{path}:{number}: unknown directive {words[0]}")
        self.values.setdefault(words[0], []).append(words[1:])

    def has(self, name):
        return name in self.values

    def args(self, name):
        """The arguments of the last NAME, or nothing."""
        return self.values.get(name, [[]])[-1]

    def text(self, name, default=""):
        return " ".join(self.args(name)) if self.has(name) else default

    def number(self, name, default):
        return float(self.args(name)[0]) if self.has(name) else default

    def path(self, name, index=0):
        return os.path.join(self.folder, self.args(name)[index])


def leave(code, fault_class=None, reason=""):
    if fault_class:
        os.write(2, f"fatal class={fault_class} reason={reason}\n".encode())
    os._exit(code)


def sleep_for_ever():
    while True:
        time.sleep(3600)


def die(how):
    """A number is an exit code, anything else the name of a signal."""
    if how.isdigit():
        os._exit(int(how))
    os.kill(os.getpid(), getattr(signal, "SIG" + how.upper()))
    sleep_for_ever()


def count_start(path):
    """How often this model has been started, this one included."""
    with open(path + ".starts", "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        count = int(file.read() or 0) + 1
        file.truncate(0)
        file.write(str(count))
    return count


def describe(path):
    try:
        script = Script(path, 0)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        leave(10, "config", f"open {path}: {error}")
    if script.has("describe_hang"):
        sleep_for_ever()
    if script.has("describe_exit"):
        code, *reason = script.args("describe_exit")
        leave(int(code), "config", " ".join(reason))
    if script.has("describe_text"):
        print(script.text("describe_text"))
        return
    record = {
        "name": os.path.splitext(os.path.basename(path))[0],
        "architecture": "fake",
        "parameters": 1000,
        "quantisation": "F32",
        "size_bytes": os.path.getsize(path),
        "context_tokens": 2048,
        "vocab": 256,
        "layers": 1,
        "template": "chatml",
    }
    for key, value in script.values.get("describe", []):
        try:
            record[key] = json.loads(value)
        except ValueError:
            record[key] = value
    print(json.dumps(record))


class Gone(Exception):
    """The client has left, or cancelled."""


class Worker:
    def __init__(self, options, script, token):
        self.options = options
        self.script = script
        self.token = token
        self.lock = threading.Lock()  # of all below
        self.tokens = 0
        self.prefill_tokens = 0
        self.done_bytes = 0
        self.total_bytes = 1000
        self.is_ready = False
        self.is_draining = False
        self.cancelled = {}  # id -> Event
        self.slot = threading.Lock()  # one request at a time, as in the real one

    def journal(self, what, **more):
        if not self.script.has("journal"):
            return
        line = json.dumps({"what": what, "pid": os.getpid(), **more}) + "\n"
        with open(self.script.path("journal"), "a", encoding="utf-8") as file:
            file.write(line)

    # -- loading

    def load(self):
        if self.script.has("load_hang"):
            return
        steps, step_ms = ([float(a) for a in self.script.args("load_steps")] + [0, 0])[:2]
        for step in range(int(steps)):
            time.sleep(step_ms / 1000)
            self.done_bytes = int(self.total_bytes * (step + 1) / steps)
        if self.script.has("load_gate"):
            wait_for_file(self.script.path("load_gate"), lambda: None)
        if self.script.has("load_exit"):
            code, fault_class, *reason = self.script.args("load_exit")
            self.journal("load_exit")
            leave(int(code), fault_class, " ".join(reason))
        self.is_ready = True
        self.journal("ready")

    # -- one connection

    def serve(self, conn):
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    more = conn.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                lines = head.decode("latin-1").split("\r\n")
                method, target = lines[0].split(" ")[:2]
                headers = {k.lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}
                length = int(headers.get("content-length", 0))
                while len(data) < length:
                    more = conn.recv(65536)
                    if not more:
                        return
                    data += more
                body, data = data[:length], data[length:]
                self.answer(conn, method, target, headers, body)
        except (Gone, OSError):
            pass
        finally:
            conn.close()

    def answer(self, conn, method, target, headers, body):
        if self.script.has("never_answer"):
            sleep_for_ever()
        if target == "/health":
            return send_json(conn, 200, {"status": "ok"})
        if headers.get("authorization", "") != "Bearer " + self.token:
            self.journal("unauthorized", target=target)
            return send_error(conn, 401, "INVALID_API_KEY", "the token is missing or wrong")
        if method == "GET" and target == "/ready":
            return self.answer_ready(conn)
        if method == "POST" and target == "/v1/inference":
            return self.answer_inference(conn, headers, body)
        if method == "DELETE" and target.startswith("/v1/inference/"):
            event = self.cancelled.get(target.rsplit("/", 1)[1])
            if event:
                event.set()
            self.journal("delete", id=target.rsplit("/", 1)[1], known=event is not None)
            return conn.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        return send_error(conn, 404, "NOT_FOUND", "no such route")

    def answer_ready(self, conn):
        if not self.is_ready:
            return send_json(conn, 503, {"phase": "load", "done_bytes": self.done_bytes,
                                         "total_bytes": self.total_bytes})
        if self.script.has("ready_text"):
            return send_body(conn, 200, self.script.text("ready_text").encode())
        return send_json(conn, 200, {
            "phase": "ready", "tokens": self.tokens, "prefill_tokens": self.prefill_tokens,
            "context_tokens": self.options.get("context") or 2048, "slots": 1,
            "device": self.options.get("device", "cpu"), "memory_bytes": 12345678})

    def answer_inference(self, conn, headers, body):
        request_id = headers.get("x-inference-id", "r-made-by-the-worker")
        self.journal("inference", id=request_id, body=json.loads(body),
                     deadline=headers.get("x-deadline"), left=headers.get("x-deadline-left"))
        if self.is_draining:
            return send_error(conn, 503, "WORKER_DRAINING", "the worker is stopping")
        if not self.is_ready:
            return send_error(conn, 503, "WORKER_LOADING", "the model is still loading")
        if self.script.has("status"):
            code, wire, *message = self.script.args("status")
            return send_error(conn, int(code), wire, " ".join(message))
        if self.script.has("garbage_reply"):
            conn.sendall(b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n")
            raise Gone
        cancelled = self.cancelled.setdefault(request_id, threading.Event())
        arrived = time.monotonic()
        try:
            while not self.slot.acquire(timeout=0.005):
                self.check(conn, cancelled)
            try:
                Reply(self, conn, request_id, json.loads(body), cancelled, arrived).run()
            finally:
                self.slot.release()
        except (Gone, OSError):
            self.journal("gone", id=request_id)
            raise Gone from None
        finally:
            self.cancelled.pop(request_id, None)

    @staticmethod
    def check(conn, cancelled):
        """The client has hung up when there is something to read and it is nothing."""
        if select.select([conn], [], [], 0)[0] and conn.recv(1, socket.MSG_PEEK) == b"":
            raise Gone
        return cancelled.is_set()

    # -- stopping

    def on_term(self, _number, _frame):
        self.journal("term")
        if self.script.has("ignore_term"):
            return
        self.is_draining = True
        time.sleep(self.script.number("term_ms", 0) / 1000)
        os._exit(int(self.script.number("term_exit", 0)))


class Reply:
    """One answer, with the faults of the script at their places."""

    def __init__(self, worker, conn, request_id, body, cancelled, arrived):
        self.worker = worker
        self.script = worker.script
        self.conn = conn
        self.id = request_id
        self.body = body
        self.cancelled = cancelled
        self.queue_ms = (time.monotonic() - arrived) * 1000
        self.is_stream = body.get("stream", True)

    def run(self):
        started = time.monotonic()
        self.pause(self.script.number("prefill_ms", 0))
        self.worker.prefill_tokens += 5
        first_ms = (time.monotonic() - started) * 1000
        if self.is_stream:
            self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
            self.event(self.started())
        pieces, stop_reason = self.tokens()
        end = {"stop_reason": stop_reason,
               "usage": {"prompt_tokens": 5, "completion_tokens": len(pieces)},
               "timings": {"queue_ms": self.queue_ms, "load_ms": 0, "prefill_ms": first_ms,
                           "decode_ms": (time.monotonic() - started) * 1000 - first_ms,
                           "first_token_ms": first_ms}}
        self.worker.journal("end", id=self.id, stop_reason=stop_reason, tokens=len(pieces))
        if not self.is_stream:
            return send_json(self.conn, 200, {"id": self.id, "model": self.worker.options["name"],
                                              "text": "".join(pieces), **end})
        self.event({"type": "end", **end})
        self.finish()
        return None

    def started(self):
        event = {"type": "started", "id": self.id, "model": self.worker.options["name"]}
        if self.script.has("warning"):
            event["warnings"] = [self.script.text("warning")]
        return event

    def tokens(self):
        words = [w + " " for w in self.script.text("reply", "one two three four").split()]
        wanted = int(self.script.number("tokens", len(words)))
        limit = self.body.get("max_tokens", -1)
        count = wanted if limit is None or limit < 0 else min(wanted, limit)
        pieces = []
        for index in range(count):
            self.fault(index)
            if self.pause(self.script.number("token_ms", 0)):
                return pieces, "cancelled"
            piece = words[index % len(words)]
            if index == count - 1:
                piece = piece[:-1]
            if self.script.has("ping") and self.is_stream:
                self.chunk(b": ping\n\n")
            if self.is_stream:
                self.event({"type": "token", "t": piece, "i": index})
            pieces.append(piece)
            self.worker.tokens += 1
        self.fault(count)
        return pieces, self.script.text("stop_reason", "stop" if count == wanted else "length")

    def fault(self, index):
        script = self.script

        def due(name):
            return script.has(name) and int(script.args(name)[0]) == index

        if due("gate_after"):
            self.worker.journal("gate", id=self.id)
            wait_for_file(script.path("gate_after", 1), lambda: self.pause(0))
        if due("die_after"):
            if script.has("last_words"):
                fault_class, *reason = script.args("last_words")
                os.write(2, f"fatal class={fault_class} reason={' '.join(reason)}\n".encode())
            die(script.args("die_after")[1])
        if due("hang_after"):
            self.worker.journal("hang", id=self.id)
            while not self.pause(1000):
                pass
        if due("close_after"):
            raise Gone
        if due("error_after"):
            _, wire, *message = script.args("error_after")
            self.event({"type": "error", "code": wire, "message": " ".join(message),
                        "request_id": self.id})
            self.finish()
            raise Gone
        if due("garbage_after"):
            self.send(b"\x00\xffzzz not a chunk\r\n")
            raise Gone
        if due("bad_json_after"):
            self.chunk(b'data: {"type":"token","t":\n\n')
        if due("lines_after"):
            self.chunk(b'data: {"type":"token",\ndata:\ndata: "t":"two","i":0}\n\n')
        if due("huge_after"):
            size = int(script.args("huge_after")[1])
            self.event({"type": "token", "t": "x" * size, "i": index})

    def pause(self, ms):
        """Waits, watching the client; true when the request was cancelled by DELETE."""
        until = time.monotonic() + ms / 1000
        while True:
            left = until - time.monotonic()
            if left > 0:
                select.select([self.conn], [], [], min(left, 0.005))
            if Worker.check(self.conn, self.cancelled):
                return True
            if left <= 0:
                return False

    def event(self, value):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self.chunk(b"data: " + text.encode() + b"\n\n")

    def finish(self):
        if not self.script.has("no_done"):
            self.chunk(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")

    def chunk(self, data):
        if not self.script.has("split_bytes"):
            return self.send(b"%x\r\n%s\r\n" % (len(data), data))
        for byte in data:
            self.send(b"1\r\n%c\r\n" % byte)
            time.sleep(self.script.number("split_bytes", 0) / 1000)
        return None

    def send(self, data):
        self.conn.sendall(data)


def wait_for_file(path, watch):
    while not os.path.exists(path):
        if watch():
            return
        time.sleep(0.002)


def send_body(conn, status, body):
    conn.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                 % (status, len(body), body))


def send_json(conn, status, value):
    send_body(conn, status, json.dumps(value).encode())


def send_error(conn, status, wire, message):
    send_json(conn, status, {"error": {"code": wire, "message": message, "details": {},
                                       "request_id": "r-fake"}})


def read_options(argv):
    flags = {"--allow-cpu"}
    options = {}
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        key = name.lstrip("-").replace("-", "_")
        if name in flags:
            options[key] = True
        else:
            options[key] = value if equals else next(words, "")
    for key in ("listen_fd", "token_fd", "context", "threads", "slots"):
        if key in options:
            options[key] = int(options[key])
    return options


def start_child(path, kinds):
    """Appends its pids to MODEL.child, one a line."""
    shell = ["/bin/sh", "-c", 'sleep infinity & echo $! >>"$0"; wait', path + ".child"]
    child = subprocess.Popen(
        shell if "shell" in kinds else ["/bin/sleep", "infinity"],
        stdin=subprocess.DEVNULL,
        start_new_session="session" in kinds,
        env={} if "bare" in kinds else None,
    )
    with open(path + ".child", "a", encoding="ascii") as file:
        file.write(f"{child.pid}\n")


def start(options):
    path = options["model"]
    try:
        script = Script(path, count_start(path))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        leave(10, "config", f"open {path}: {error}")
    for name, fd in (("stderr", 2), ("stdout", 1)):
        for words in script.values.get(name, []):
            os.write(fd, (" ".join(words) + "\n").encode())
    if script.has("child"):
        for kinds in script.values["child"]:
            start_child(path, kinds)
    with os.fdopen(options["token_fd"], encoding="ascii") as file:
        token = file.read().strip()
    worker = Worker(options, script, token)
    signal.signal(signal.SIGTERM, worker.on_term)
    worker.journal("start", argv=sys.argv[1:], environ=sorted(os.environ))
    if script.has("exit"):
        code, fault_class, *reason = script.args("exit")
        leave(int(code), fault_class, " ".join(reason))
    if script.has("exit_silent"):
        os._exit(int(script.args("exit_silent")[0]))
    if script.has("kill"):
        die(script.args("kill")[0])
    return worker


def main():
    options = read_options(sys.argv[1:])
    if "describe" in options:
        describe(options["describe"])
        return
    worker = start(options)
    threading.Thread(target=worker.load, daemon=True).start()
    listener = socket.socket(fileno=options["listen_fd"])
    listener.setblocking(False)
    while True:
        # A signal handler runs between two of these; the timeout costs nothing worth saving.
        if not select.select([] if worker.script.has("never_accept") else [listener], [], [], 1)[0]:
            continue
        try:
            conn, _ = listener.accept()
        except BlockingIOError:
            continue
        conn.setblocking(True)
        threading.Thread(target=worker.serve, args=(conn,), daemon=True).start()


if __name__ == "__main__":
    main()
