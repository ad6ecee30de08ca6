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
    @1 kill SEGV                  at the first start alone
    @2- %3 hang_after 1           from the second start on, the third request of each process

`@S` says for which starts of this model file a directive holds, `%R` for which requests of a process:
N, N-M, or N- for all from there. The file is read at every start, and so is what it includes: a
script that changes while the model file must not is included. Of a directive that is given twice,
the last one counts. Paths are relative to the model file's folder.

Beside the model file it keeps MODEL.starts, how often it was started, and MODEL.started, a line for
each start: monotonic ms, instance, pid.

`fake_worker.py --directives` lists them all. Each fault is a function under "faults", in the stage
where it strikes; the rest is the table of fake_script.py, which lies beside this file, as fake_tell.py
does. Standard library only; run by a test, never part of the product.
"""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from fake_script import (AT_START, AT_TOKEN, DIRECTIVES, IN_DRILL, IN_INFERENCE, IN_LOAD, IN_READY, WHEN_READY,
                         Script, count_start, die, fault, leave, sleep_for_ever, spin, stop_oneself, strike,
                         wait_for_file)
from fake_tell import describe, list_devices


class Gone(Exception):
    """The client has left, or cancelled."""


class Worker:
    def __init__(self, options, script, token, listener):
        self.options = options
        self.script = script
        self.token = token
        self.listener = listener
        self.slots = int(script.number("slots", options.get("slots") or 1))
        self.free_slots = threading.Semaphore(self.slots)
        self.requests = 0  # inferences, those that were refused as well
        self.memory_bytes = 12345678
        self.resting = set()  # connections on which nothing is being answered
        self.is_refusing = False
        self.slow_until = 0
        self.lock = threading.Lock()  # of all that counts
        self.tokens = 0
        self.prefill_tokens = 0
        self.done_bytes = 0
        self.total_bytes = 1000
        self.is_ready = False
        self.is_draining = False
        self.cancelled = {}  # id -> Event

    def journal(self, what, **more):
        if not self.script.has("journal"):
            return
        line = json.dumps({"what": what, "pid": os.getpid(), **more}) + "\n"
        with open(self.script.path("journal"), "a", encoding="utf-8") as file:
            file.write(line)

    # -- loading

    def load(self):
        steps, step_ms = ([float(a) for a in self.script.args("load_steps")] + [0, 0])[:2]
        for step in range(int(steps)):
            time.sleep(step_ms / 1000)
            self.done_bytes = int(self.total_bytes * (step + 1) / steps)
        if self.script.has("load_follow"):
            self.follow(self.script.path("load_follow"))
        if self.script.has("load_gate"):
            wait_for_file(self.script.path("load_gate"))
        if strike(IN_LOAD, self.script, self):
            return
        self.is_ready = True
        self.journal("ready")
        strike(WHEN_READY, self.script, self)

    def follow(self, path):
        percent = 0
        while percent < 100:
            try:
                with open(path, encoding="ascii") as file:
                    percent = int(file.read())
            except (OSError, ValueError):
                pass  # not there yet, or being written
            self.done_bytes = self.total_bytes * percent // 100
            time.sleep(0.002)

    # -- one connection

    def serve(self, conn):
        data = b""
        try:
            while not self.is_refusing:
                self.resting.add(conn)
                while b"\r\n\r\n" not in data:
                    more = conn.recv(65536)
                    if not more:
                        return
                    data += more
                self.resting.discard(conn)
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
            self.resting.discard(conn)
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
        if method == "POST" and target == "/drill":
            return self.answer_drill(conn, json.loads(body)["kind"])
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
        reply = {
            "phase": "ready", "tokens": self.tokens, "prefill_tokens": self.prefill_tokens,
            "context_tokens": self.options.get("context") or 2048, "slots": self.slots,
            "device": self.script.text("runs_on", self.options.get("device", "cpu")),
            "memory_bytes": int(self.script.number("memory", self.memory_bytes))}
        reply["devices"] = self.tell_devices(reply)
        if strike(IN_READY, self.script, self, conn, reply):
            return None
        return send_json(conn, 200, reply)

    def tell_devices(self, reply):
        """Of two: as the script says, else a half each."""
        names = reply["device"].split(",")
        parts = [reply["memory_bytes"] // len(names)] * len(names)
        if len(names) == 2 and self.script.has("memory_parts"):
            parts = [int(text) for text in self.script.args("memory_parts")]
        return [{"device": name, "memory_bytes": part, "layers": 1} for name, part in zip(names, parts)]

    def answer_drill(self, conn, kind):
        self.journal("drill", kind=kind)
        if strike(IN_DRILL, self.script, self, conn):
            return
        if kind == "slow":
            self.slow_until = time.monotonic() + 30
            send_json(conn, 202, {"for_ms": 30000})
            return
        send_json(conn, 202, {"for_ms": 0})
        code, name = {"oom": (11, "host_memory"), "gpu-fault": (13, "gpu_fault")}[kind]
        leave(code, name, "a drill")

    def answer_inference(self, conn, headers, body):
        with self.lock:
            self.requests += 1
            number = self.requests
        script = self.script.for_request(number)
        request_id = headers.get("x-inference-id", f"r-fake-{number}")
        self.journal("inference", id=request_id, body=json.loads(body),
                     deadline=headers.get("x-deadline"), left=headers.get("x-deadline-left"))
        if self.is_draining:
            return send_error(conn, 503, "WORKER_DRAINING", "the worker is stopping")
        if not self.is_ready:
            return send_error(conn, 503, "WORKER_LOADING", "the model is still loading")
        if strike(IN_INFERENCE, script, self, conn):
            return None
        cancelled = self.cancelled.setdefault(request_id, threading.Event())
        arrived = time.monotonic()
        try:
            while not self.free_slots.acquire(timeout=0.005):
                self.check(conn, cancelled)
            try:
                Reply(self, script, conn, request_id, json.loads(body), cancelled, arrived).run()
            finally:
                self.free_slots.release()
        except (Gone, OSError):
            self.journal("gone", id=request_id)
            raise Gone from None
        finally:
            self.cancelled.pop(request_id, None)
        return None

    @staticmethod
    def check(conn, cancelled):
        """The client has hung up when there is something to read and it is nothing."""
        if select.select([conn], [], [], 0)[0] and conn.recv(1, socket.MSG_PEEK) == b"":
            raise Gone
        return cancelled is not None and cancelled.is_set()

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

    def __init__(self, worker, script, conn, request_id, body, cancelled, arrived):
        self.worker = worker
        self.script = script
        self.conn = conn
        self.id = request_id
        self.body = body
        self.cancelled = cancelled
        self.queue_ms = (time.monotonic() - arrived) * 1000
        self.is_stream = body.get("stream", True)
        self.index_jump = 0

    def run(self):
        started = time.monotonic()
        self.pause(self.script.number("prefill_ms", 0))
        self.prefill()
        first_ms = (time.monotonic() - started) * 1000
        if self.is_stream:
            self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
            if not self.script.has("no_started"):
                self.event(self.started())
        pieces, stop_reason = self.tokens()
        end = {"stop_reason": stop_reason,
               "usage": {"prompt_tokens": 5, "cached_tokens": 0, "completion_tokens": len(pieces)},
               "timings": {"queue_ms": self.queue_ms, "load_ms": 0, "prefill_ms": first_ms,
                           "decode_ms": (time.monotonic() - started) * 1000 - first_ms,
                           "first_token_ms": first_ms}}
        self.worker.journal("end", id=self.id, stop_reason=stop_reason, tokens=len(pieces))
        if not self.is_stream:
            return self.send_whole("".join(pieces), end)
        self.event({"type": "end", **end})
        if self.script.has("end_twice"):
            self.event({"type": "end", **end})
            self.event({"type": "token", "t": "more", "i": len(pieces)})
        self.finish()
        return None

    def prefill(self):
        steps, step_ms = ([float(a) for a in self.script.args("prefill_steps")] + [1, 0])[:2]
        for _ in range(int(steps)):
            self.pause(step_ms)
            with self.worker.lock:
                self.worker.prefill_tokens += 5

    def send_whole(self, text, end):
        send_json(self.conn, 200, {"id": self.id, "model": self.worker.options["name"],
                                   "text": text, **end})

    def started(self):
        event = {"type": "started", "id": self.id, "model": self.worker.options["name"]}
        if self.script.has("warning"):
            event["warnings"] = [self.script.text("warning")]
        return event

    def tokens(self):
        words = [w + " " for w in self.script.text("reply", "one two three four").split()]
        wanted = int(self.script.number("tokens", len(words)))
        limit = self.body.get("max_tokens", -1)
        if self.script.has("until"):
            wanted = sys.maxsize
        count = wanted if limit is None or limit < 0 else min(wanted, limit)
        pieces = []
        for index in range(count):
            if self.script.has("until") and os.path.exists(self.script.path("until")):
                return pieces, "stop"
            strike_at(index, self)
            slow_ms = 250 if time.monotonic() < self.worker.slow_until else 0
            if self.pause(max(slow_ms, self.script.number("token_ms", 0))):
                return pieces, "cancelled"
            piece = words[index % len(words)]
            if index == count - 1:
                piece = piece[:-1]
            if self.script.has("ping") and self.is_stream:
                self.chunk(b": ping\n\n")
            if self.is_stream:
                self.event({"type": "token", "t": piece, "i": index + self.index_jump})
            pieces.append(piece)
            with self.worker.lock:
                self.worker.tokens += 1
        strike_at(count, self)
        return pieces, self.script.text("stop_reason", "stop" if count == wanted else "length")

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


# ---- faults: at the start, before it listens ----

def start_one_child(path, kinds):
    """Appends its pids to PATH, one a line."""
    shell = ["/bin/sh", "-c", 'sleep infinity & echo $! >>"$0"; wait', path]
    child = subprocess.Popen(
        shell if "shell" in kinds else ["/bin/sleep", "infinity"],
        stdin=subprocess.DEVNULL,
        start_new_session="session" in kinds,
        env={} if "bare" in kinds else None,
    )
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{child.pid}\n")


@fault(AT_START, "child",
       "[shell] [session] [bare]: starts a grandchild that sleeps for ever, its pid in MODEL.child; "
       "below a shell (then both pids), in a session of its own, without environment")
def start_child(worker, *_):
    for kinds in worker.script.values["child"]:
        start_one_child(worker.options["model"] + ".child", kinds)


@fault(AT_START, "alone",
       "two processes of this model at a time are `double` in the journal: each holds a lock as long "
       "as it lives")
def start_alone(worker):
    # Not inherited by what it starts; kept open by being somebody's.
    worker.lock_file = open(worker.options["model"] + ".alone", "w", encoding="ascii")
    try:
        fcntl.flock(worker.lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        worker.journal("double")


@fault(AT_START, "flood", "LINES BYTES: that many lines of that length on stderr, at once")
def start_flood(worker, lines, size):
    for number in range(int(lines)):
        os.write(2, f"{number:<{int(size) - 1}}\n".encode())
    worker.journal("flooded")


@fault(AT_START, "allocate", "BYTES: takes that much memory, really, and says so in /ready")
def start_allocate(worker, size):
    worker.taken = b"\1" * int(size)
    worker.memory_bytes = len(worker.taken)


@fault(AT_START, "exit", "CODE CLASS REASON: ends before it listens, with last words")
def start_exit(_worker, code, fault_class, *reason):
    leave(int(code), fault_class, " ".join(reason))


@fault(AT_START, "exit_silent", "CODE: the same without a word")
def start_exit_silent(_worker, code):
    os._exit(int(code))


@fault(AT_START, "kill", "SIGNAL: dies of that signal (SEGV, KILL...) before it listens")
def start_kill(worker, how):
    die(worker.script, how)


# ---- faults: when all of the load but the last step is done ----

@fault(IN_LOAD, "load_exit", "CODE CLASS REASON: ends instead of being ready")
def load_exit(worker, code, fault_class, *reason):
    worker.journal("load_exit")
    leave(int(code), fault_class, " ".join(reason))


@fault(IN_LOAD, "load_die", "SIGNAL|CODE: dies instead of being ready")
def load_die(worker, how):
    worker.journal("load_die")
    die(worker.script, how)


@fault(IN_LOAD, "load_hang", "loads for ever without progress")
def load_hang(_worker):
    return True


@fault(IN_LOAD, "load_stall", "PERCENT: loads so far, and no further")
def load_stall(worker, percent):
    worker.done_bytes = worker.total_bytes * int(percent) // 100
    return True


# ---- faults: while it is ready. WHEN is ms from then on, or a file that is waited for ----

def later(worker, when, function):
    def wait():
        if when.isdigit():
            time.sleep(int(when) / 1000)
        else:
            wait_for_file(worker.script.locate(when))
        function()
    threading.Thread(target=wait, daemon=True).start()


@fault(WHEN_READY, "die_later", "WHEN SIGNAL|CODE: dies of the signal, or exits with the code")
def die_later(worker, when, how):
    later(worker, when, lambda: die(worker.script, how))


@fault(WHEN_READY, "stop_later", "WHEN: STOPs itself, so that nothing of it answers")
def stop_later(worker, when):
    later(worker, when, stop_oneself)


@fault(WHEN_READY, "spin_later", "WHEN: computes for ever, answers nothing and minds no TERM")
def spin_later(worker, when):
    later(worker, when, spin)


def refuse(worker):
    """No connection is taken from here on; what is being answered goes on."""
    worker.is_refusing = True
    worker.listener.shutdown(socket.SHUT_RDWR)
    for conn in list(worker.resting):
        try:
            conn.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has left by itself
    worker.journal("refuse")


@fault(WHEN_READY, "refuse_later", "WHEN: closes its listener and what rests, and goes on living")
def refuse_later(worker, when):
    later(worker, when, lambda: refuse(worker))


# ---- faults: in the answer to /ready ----

@fault(IN_READY, "ready_text", "TEXT: /ready answers 200 with this body")
def ready_text(_worker, conn, _reply, *words):
    send_body(conn, 200, " ".join(words).encode())
    return True


@fault(IN_READY, "ready_without_counters", "/ready leaves its counters out")
def ready_without_counters(_worker, _conn, reply):
    del reply["tokens"], reply["prefill_tokens"]


@fault(IN_READY, "counters_fall", "N: /ready begins at N tokens and says one fewer each time")
def counters_fall(worker, _conn, reply, first):
    worker.fallen = getattr(worker, "fallen", int(first) + 1) - 1
    reply["tokens"] = max(worker.fallen, 0)


# ---- faults: in the answer to /drill ----

@fault(IN_DRILL, "drill_status", "CODE WIRE MESSAGE: drills are answered with that error")
def drill_status(_worker, conn, code, wire, *message):
    send_error(conn, int(code), wire, " ".join(message))
    return True


@fault(IN_DRILL, "drill_silent", "ends of a drill without having answered")
def drill_silent(_worker, _conn):
    leave(11, "host_memory", "a drill")


# ---- faults: instead of an answer ----

@fault(IN_INFERENCE, "never_infer", "takes requests and says nothing to them; the rest answers")
def never_infer(worker, conn):
    worker.journal("never_infer")
    while not Worker.check(conn, None):
        time.sleep(0.005)


@fault(IN_INFERENCE, "status", "CODE WIRE MESSAGE: every inference is answered with that error")
def answer_status(_worker, conn, code, wire, *message):
    send_error(conn, int(code), wire, " ".join(message))
    return True


@fault(IN_INFERENCE, "garbage_reply", "an answer that is no HTTP")
def answer_garbage(_worker, conn):
    conn.sendall(b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n")
    raise Gone


# ---- faults: within a stream. The first argument, N, counts the tokens sent before ----
# At the same N they strike in this order: those that go on stand before those that do not.

def strike_at(index, reply):
    for name, function in AT_TOKEN.items():
        args = reply.script.args(name)
        if args and int(args[0]) == index:
            function(reply, *args[1:])


@fault(AT_TOKEN, "gate_after", "N PATH: waits for that file (0: before the first, after started)")
def gate_after(reply, path):
    reply.worker.journal("gate", id=reply.id)
    wait_for_file(reply.script.locate(path), lambda: reply.pause(0))


@fault(AT_TOKEN, "die_after", "N SIGNAL|CODE: dies of the signal, or exits with the code")
def die_after(reply, how):
    die(reply.script, how)


@fault(AT_TOKEN, "refuse_after", "N: closes its listener and what rests, and goes on")
def refuse_after(reply):
    refuse(reply.worker)


@fault(AT_TOKEN, "fall_after", "N: the counters fall to 0; goes on")
def fall_after(reply):
    with reply.worker.lock:
        reply.worker.tokens = reply.worker.prefill_tokens = 0


@fault(AT_TOKEN, "hang_after", "N: computes nothing more; all other routes answer as before")
def hang_after(reply):
    reply.worker.journal("hang", id=reply.id)
    while not reply.pause(1000):
        pass


@fault(AT_TOKEN, "stop_after", "N: STOPs itself")
def stop_after(reply):
    reply.worker.journal("stop", id=reply.id)
    stop_oneself()


@fault(AT_TOKEN, "spin_after", "N: computes for ever, answers nothing and minds no TERM")
def spin_after(reply):
    reply.worker.journal("spin", id=reply.id)
    spin()


@fault(AT_TOKEN, "close_after", "N: closes the connection without an end")
def close_after(_reply):
    raise Gone


@fault(AT_TOKEN, "error_after", "N WIRE MESSAGE: the error event, then [DONE]")
def error_after(reply, wire, *message):
    reply.event({"type": "error", "code": wire, "message": " ".join(message),
                 "request_id": reply.id})
    reply.finish()
    raise Gone


@fault(AT_TOKEN, "garbage_after", "N: bytes that are no event, then the connection closes")
def garbage_after(reply):
    reply.send(b"\x00\xffzzz not a chunk\r\n")
    raise Gone


@fault(AT_TOKEN, "bad_json_after", "N: an event that is no JSON")
def bad_json_after(reply):
    reply.chunk(b'data: {"type":"token","t":\n\n')


@fault(AT_TOKEN, "lines_after", "N: a token event in several data lines")
def lines_after(reply):
    reply.chunk(b'data: {"type":"token",\ndata:\ndata: "t":"two","i":0}\n\n')


@fault(AT_TOKEN, "huge_after", "N BYTES: one event of that size")
def huge_after(reply, size):
    reply.event({"type": "token", "t": "x" * int(size), "i": int(reply.script.args("huge_after")[0])})


@fault(AT_TOKEN, "index_after", "N: the indexes from there on are one too high")
def index_after(reply):
    reply.index_jump = 1


# ---- what they share ----

def send_body(conn, status, body):
    conn.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                 % (status, len(body), body))


def send_json(conn, status, value):
    send_body(conn, status, json.dumps(value).encode())


def send_error(conn, status, wire, message):
    send_json(conn, status, {"error": {"code": wire, "message": message, "details": {},
                                       "request_id": "r-fake"}})


def read_options(argv):
    flags = {"--allow-cpu", "--devices"}
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


def say_first(script):
    for name, fd in (("stderr", 2), ("stdout", 1)):
        for words in script.all(name):
            os.write(fd, (" ".join(words) + "\n").encode())


def start(options):
    path = options["model"]
    try:
        script = Script.read(path, count_start(path, options.get("instance", "-")))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        leave(10, "config", f"open {path}: {error}")
    say_first(script)
    with os.fdopen(options["token_fd"], encoding="ascii") as file:
        token = file.read().strip()
    worker = Worker(options, script, token, socket.socket(fileno=options["listen_fd"]))
    signal.signal(signal.SIGTERM, worker.on_term)
    worker.journal("start", argv=sys.argv[1:], environ=sorted(os.environ))
    strike(AT_START, script, worker)
    return worker


def accept(worker):
    """Takes connections until the listener is closed."""
    worker.listener.setblocking(False)
    wanted = [] if worker.script.has("never_accept") else [worker.listener]
    while not worker.is_refusing:
        # A signal handler runs between two of these; the timeout costs nothing worth saving.
        if not select.select(wanted, [], [], 1)[0]:
            continue
        try:
            conn, _ = worker.listener.accept()
        except OSError:
            continue  # it has gone, or the listener has
        conn.setblocking(True)
        threading.Thread(target=worker.serve, args=(conn,), daemon=True).start()
    worker.listener.close()  # who came in between is refused as well, not left without an answer


def main():
    if sys.argv[1:] == ["--directives"]:
        print("\n".join(f"{name:22} {text}" for name, text in DIRECTIVES.items()))
        return
    options = read_options(sys.argv[1:])
    if "devices" in options:
        list_devices()
        return
    if "describe" in options:
        describe(options["describe"])
        return
    worker = start(options)
    threading.Thread(target=worker.load, daemon=True).start()
    accept(worker)
    sleep_for_ever()


if __name__ == "__main__":
    main()
