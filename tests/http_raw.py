#!/usr/bin/env python3
"""The HTTP layer from outside, byte by byte: raw sockets against tests/tools/http_echo.

http_raw.py CASE runs one case (a function below) on a Unix socket and on loopback TCP. A case
fails by an exception. Nothing here sleeps: it waits for lines of http_echo or for bytes."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

from http_wire import Wire, ask, assert_refused, fill, request, reset

LIMIT_S = 30  # an event that takes longer fails its test; nobody waits that long when all is well
AT_ONCE_S = 1.0  # what "at once" means where the machine is shared
KIB = 1024
SANITIZED = os.environ.get("RBEE_BUILD", "").rsplit("/", 1)[-1].split("-")[0] in ("address", "thread")


class Echo:
    """One http_echo and its lines."""

    def __init__(self, transport, *limits, descriptors=None):
        self.transport = transport
        self.path = os.path.join(os.getcwd(), "http.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        address = "unix:" + self.path if transport == "unix" else "127.0.0.1:0"
        self.process = subprocess.Popen(
            [*(["prlimit", f"--nofile={descriptors}"] if descriptors else []), "http_echo", address, *limits],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pending = b""
        self.port = self.expect(r"listening (.*)").group(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        status = self.process.wait(LIMIT_S)
        if kind is None:
            assert status == 0, f"http_echo ended with {status}"

    def line(self, limit_s=LIMIT_S):
        """The next line, or None when none comes in time."""
        end = time.monotonic() + limit_s
        while b"\n" not in self.pending:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, "http_echo has ended"
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def expect(self, pattern, limit_s=LIMIT_S):
        line = self.line(limit_s)
        assert line is not None, f"no line {pattern!r}"
        match = re.fullmatch(pattern, line)
        assert match, f"{line!r} is not {pattern!r}"
        return match

    def expect_nothing(self, for_s):
        line = self.line(for_s)
        assert line is None, f"unexpected {line!r}"

    def connect(self):
        if self.transport == "unix":
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.path)
        else:
            s = socket.create_connection(("127.0.0.1", int(self.port)))
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(LIMIT_S)
        return s

    def open_gate(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    @contextlib.contextmanager
    def stopped(self):
        """What is sent meanwhile is found all at once."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def cpu_s(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        return int(open(f"/proc/{self.process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


def assert_grown_less(echo, before_bytes, limit_bytes):
    if SANITIZED:  # they keep what was freed
        return
    grown_bytes = echo.resident_bytes() - before_bytes
    assert grown_bytes < limit_bytes, f"grown by {grown_bytes} bytes"


def assert_rests(echo, over):
    """A loop that spins gets a good part of a core, however busy the machine is; one that rests
    wakes a few times."""
    before_s = echo.cpu_s()
    echo.expect_nothing(0.5)
    used_s = echo.cpu_s() - before_s
    assert used_s < 0.04, f"the loop spins over {over}: {used_s} s of 0.5"


def each_transport(case):
    def run():
        for transport in ("unix", "tcp"):
            case(transport)
    run.__name__ = case.__name__
    run.__doc__ = case.__doc__
    return run


# ---- who leaves is seen ----


@each_transport
def leaves_before_the_reply(transport):
    with Echo(transport) as echo:
        for leave in (socket.socket.close, reset, lambda s: s.shutdown(socket.SHUT_WR)):
            s = echo.connect()
            s.sendall(request("/wait"))
            echo.expect("request GET /wait")
            leave(s)
            echo.expect("closed /wait completed=0 .*", AT_ONCE_S)


@each_transport
def leaves_while_it_streams(transport):
    with Echo(transport) as echo:
        for leave in (socket.socket.close, reset):
            s = echo.connect()
            s.sendall(request("/tick"))
            wire = Wire(s)
            wire.head()
            assert wire.chunk() == b"data: tick\n\n"
            echo.expect("request GET /tick")
            leave(s)
            echo.expect("closed /tick completed=0 .*", AT_ONCE_S)


@each_transport
def half_closed_counts_as_left(transport):
    """A client that ends its side of the connection has left, whatever it would still read: on TCP
    that cannot be told from one that closed, or died, until something is written to it."""
    def half_close(s):
        s.shutdown(socket.SHUT_WR)
    with Echo(transport) as echo:
        for path in ("/wait", "/tick"):
            with echo.connect() as s:
                s.sendall(request(path))
                echo.expect(f"request GET {path}")
                half_close(s)
                echo.expect(f"closed {path} completed=0 .*", AT_ONCE_S)
                Wire(s).rest()
        with echo.connect() as s:  # between requests
            s.sendall(request("/hello"))
            wire = Wire(s)
            assert wire.reply().body == b"hello"
            echo.expect("request GET /hello")
            echo.expect("closed /hello completed=1 .*")
            half_close(s)
            assert wire.rest() == b""
        with echo.connect() as s:  # the end comes together with the request: it is not executed
            s.sendall(request("/hello"))
            wire = Wire(s)
            wire.reply()
            echo.expect("request GET /hello")
            echo.expect("closed /hello completed=1 .*")
            with echo.stopped():
                s.sendall(request("/echo", "POST", body=b"x"))
                half_close(s)
            with contextlib.suppress(ConnectionResetError):  # what it sent was not even read
                wire.rest()
            assert wire.data == b""
        assert ask(echo, request("/path")).status == 200
        echo.expect("request GET /path")


@each_transport
def leaves_while_it_sends_a_body(transport):
    with Echo(transport) as echo:
        s = echo.connect()
        s.sendall(request("/echo", "POST", ["Content-Length: 1000", "Expect: 100-continue"]))
        assert Wire(s).reply().status == 100  # the head has been read
        s.sendall(b"abc")
        s.close()
        echo.expect("closed /echo completed=0 .*", AT_ONCE_S)


@each_transport
def leaves_with_unread_pipelined_bytes(transport):
    """More is sent behind a running request than is kept: the end is seen all the same, orderly or
    not, and nothing of it is executed."""
    for read_first in (False, True):
        with Echo(transport) as echo:
            for leave in (socket.socket.close, reset, lambda s: s.shutdown(socket.SHUT_WR)):
                s = echo.connect()
                s.sendall(request("/tick"))
                echo.expect("request GET /tick")
                if read_first:
                    Wire(s).head()
                fill(s, request("/hello") * 1000, 4000 * KIB)
                leave(s)
                echo.expect("closed /tick completed=0 .*", AT_ONCE_S)
            assert ask(echo, request("/hello")).body == b"hello"
            echo.expect("request GET /hello")


@each_transport
def leaves_while_reading_is_paused(transport):
    """The reply is written and not taken, and more is pipelined than is kept: then nothing is read.
    The loop rests, and a reset is seen."""
    with Echo(transport) as echo:
        s = echo.connect()
        s.sendall(request("/big?8000000"))
        echo.expect("request GET /big")
        Wire(s).exactly(1000)
        fill(s, request("/hello") * 1000, 64000 * KIB)
        assert_rests(echo, "bytes that it does not read")
        reset(s)
        echo.expect("closed /big completed=0 .*", AT_ONCE_S)
        assert ask(echo, request("/hello")).body == b"hello"


@each_transport
def floods_behind_a_request_are_cut(transport):
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/wait"))
        echo.expect("request GET /wait")
        before_bytes = echo.resident_bytes()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                s.sendall(b"x" * 1000000)
        echo.expect("closed /wait completed=0 .*", AT_ONCE_S)
        assert_grown_less(echo, before_bytes, 1000 * KIB)


@each_transport
def pipelined_beyond_the_limit_is_dropped(transport):
    """The running request gets its reply, then the connection ends."""
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/gated"))
        echo.expect("request GET /gated")
        s.sendall(request("/hello") * 4000)
        echo.open_gate()
        wire = Wire(s)
        reply = wire.reply()
        assert reply.body == b"open" and reply.headers["connection"] == "close"
        assert wire.rest() == b""
        echo.expect("closed /gated completed=1 .*")
        echo.expect_nothing(0.05)


@each_transport
def leaves_without_reading_a_flood(transport):
    with Echo(transport) as echo:
        for leave in (socket.socket.close, reset):
            s = echo.connect()
            s.sendall(request("/flood"))
            echo.expect("request GET /flood")
            Wire(s).head()
            echo.expect("paused")
            leave(s)
            echo.expect("closed /flood completed=0 .*", AT_ONCE_S)


# ---- pipelining ----


@each_transport
def pipelined_waits_for_the_reply(transport):
    """A request that comes with another, or while it runs, whole or in pieces, is not executed
    before the reply is complete."""
    behind = request("/hello") + request("/echo", "POST", body=b"xyz")
    for first in (0, len(behind) // 2, len(behind)):
        with Echo(transport) as echo, echo.connect() as s:
            s.sendall(request("/gated") + behind[:first])
            echo.expect("request GET /gated")
            s.sendall(behind[first:])
            echo.expect_nothing(0.2)
            echo.open_gate()
            wire = Wire(s)
            assert [wire.reply().body for _ in range(3)] == [b"open", b"hello", b"xyz"]
            for line in ("closed /gated completed=1 .*", "request GET /hello", "closed /hello completed=1 .*",
                         "request POST /echo", "closed /echo completed=1 .*"):
                echo.expect(line)


@each_transport
def many_pipelined_are_answered_in_order(transport):
    with Echo(transport) as echo, echo.connect() as s:
        count = 3000
        data = b"".join(request(f"/path/{i}") for i in range(count))
        wire = Wire(s)
        s.setblocking(False)
        seen = 0
        while seen < count:
            readable, writable, _ = select.select([s, echo.process.stdout], [s] if data else [], [], LIMIT_S)
            assert readable or writable
            if echo.process.stdout in readable:
                os.read(echo.process.stdout.fileno(), 65536)
            if writable:
                data = data[s.send(data):]
            if s in readable:
                wire.more()
            while b"}" in wire.data:
                assert json.loads(wire.reply().body)["path"] == f"/path/{seen}"
                seen += 1


@each_transport
def pipelined_garbage_harms_nobody(transport):
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/gated") + b"\x00\xff garbage\r\n\r\n")
        echo.expect("request GET /gated")
        echo.open_gate()
        wire = Wire(s)
        assert wire.reply().body == b"open"
        assert wire.reply().status == 400
        assert wire.rest() == b""
        assert ask(echo, request("/hello")).body == b"hello"


# ---- slow and greedy clients ----


@each_transport
def slow_reader_pauses_the_source(transport):
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/flood"))
        echo.expect("request GET /flood")
        echo.expect("paused")
        before_bytes = echo.resident_bytes()
        for _ in range(20 * 16):
            Wire(s).exactly(64 * KIB)  # each batch needs the source to go on
        assert_grown_less(echo, before_bytes, 4 * KIB * KIB)
        s.close()
        peak = int(echo.expect(r"closed /flood completed=0 peak_unsent=(\d+)").group(1))
        assert 256 * KIB < peak < 400 * KIB, peak


@each_transport
def deaf_source_is_cut(transport):
    """A service that never looks at what is unsent costs its own connection, not the process."""
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/deaf_flood"))
        echo.expect("request GET /deaf_flood")
        echo.expect("closed /deaf_flood completed=0 .*")
        assert ask(echo, request("/hello")).body == b"hello"


@each_transport
def reader_that_stops_is_cut(transport):
    with Echo(transport, "idle_time_ms=300") as echo, echo.connect() as s:
        s.sendall(request("/big?8000000"))
        echo.expect("request GET /big")
        began_s = time.monotonic()
        echo.expect("closed /big completed=0 .*")
        assert time.monotonic() - began_s >= 0.25
        s.close()


@each_transport
def big_reply_arrives_whole(transport):
    with Echo(transport) as echo:
        assert ask(echo, request("/big?8000000")).body == b"b" * 8000000


# ---- replies ----


@each_transport
def events_leave_at_once(transport):
    """Each event says when it was written. A small one behind another small one must not wait for
    the other side's acknowledgement, which comes up to 40 ms later."""
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/beat?100"))
        wire = Wire(s)
        wire.head()
        delays_us = []
        while chunk := wire.chunk():
            if transport == "tcp":  # acknowledge late, as a client does that has nothing to say
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            delays_us.append(time.monotonic_ns() // 1000 - int(chunk[len("data: "):]))
        delays_us.sort()
        print(f"# {transport}: an event arrives after {delays_us[50]} us (median)")
        assert delays_us[50] < 10000, delays_us


@each_transport
def head_has_no_body(transport):
    with Echo(transport) as echo, echo.connect() as s:
        wire = Wire(s)
        for path, status in (("/hello", 200), ("/nix", 404), ("/stream?3", 200), ("/secret", 401)):
            s.sendall(request(path, "HEAD"))
            assert wire.reply(to_head=True).status == status
        s.sendall(request("/hello"))
        assert wire.reply().body == b"hello"
        assert wire.data == b""


@each_transport
def version_1_0_ends_with_its_connection(transport):
    with Echo(transport) as echo:
        with echo.connect() as s:
            s.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
            wire = Wire(s)
            reply = wire.reply()
            assert reply.body == b"hello" and reply.headers["connection"] == "close"
            assert wire.rest() == b""
        with echo.connect() as s:
            s.sendall(b"GET /stream?2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            reply = Wire(s).reply()
            assert "transfer-encoding" not in reply.headers
            assert reply.body.count(b"data: ") == 2


@each_transport
def close_is_kept(transport):
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(request("/hello", headers=["Connection: close"]))
        wire = Wire(s)
        assert wire.reply().headers["connection"] == "close"
        assert wire.rest() == b""


@each_transport
def refusals_without_a_body_keep_the_connection(transport):
    with Echo(transport) as echo, echo.connect() as s:
        wire = Wire(s)
        s.sendall(request("/secret"))
        reply = wire.reply()
        assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        s.sendall(request("/refuse"))
        assert wire.reply().status == 403
        s.sendall(request("/hello"))
        assert wire.reply().body == b"hello"
        s.sendall(request("/refuse", "POST", ["Content-Length: 3"]))
        assert wire.reply().headers["connection"] == "close"
        assert wire.rest() == b""
        for line in ("request GET /hello", "closed /hello .*"):
            echo.expect(line)
        echo.expect_nothing(0.05)


@each_transport
def request_ids(transport):
    with Echo(transport) as echo:
        for given in ("a", "A-Z_0.9", "x" * 64):
            reply = ask(echo, request("/path", headers=[f"X-Request-Id: {given}"]))
            assert reply.headers["x-request-id"] == given == json.loads(reply.body)["request_id"]
        for given in ("x" * 65, "a b", "a\"b", "\u00e9", ""):
            reply = ask(echo, request("/path", headers=[f"X-Request-Id: {given}"]))
            assert re.fullmatch(r"q-[A-Za-z0-9_-]{22}", reply.headers["x-request-id"]), reply


@each_transport
def peer_is_known(transport):
    with Echo(transport) as echo:
        what = json.loads(ask(echo, request("/path")).body)
        assert what["is_unix"] == (transport == "unix")
        assert what["uid"] == (os.getuid() if transport == "unix" else -1)


# ---- bodies ----


@each_transport
def bodies_arrive(transport):
    with Echo(transport) as echo, echo.connect() as s:
        wire = Wire(s)
        body = os.urandom(300 * KIB)
        s.sendall(request("/echo", "POST", body=body))
        assert wire.reply().body == body
        chunks = b"".join(b"%x;x=y\r\n%s\r\n" % (len(c), c) for c in (b"a", b"bc" * 5000, b"\r\n"))
        s.sendall(request("/echo", "POST", ["Transfer-Encoding: chunked"]) + chunks + b"0\r\nTrailer: x\r\n\r\n")
        assert wire.reply().body == b"a" + b"bc" * 5000 + b"\r\n"
        s.sendall(request("/echo", "PUT", body=b"end"))
        assert wire.reply().body == b"end"


@each_transport
def expect_continue(transport):
    with Echo(transport) as echo:
        with echo.connect() as s:
            wire = Wire(s)
            s.sendall(request("/echo", "POST", ["Expect: 100-continue", "Content-Length: 3"]))
            assert wire.reply().status == 100
            s.sendall(b"abc")
            assert wire.reply().body == b"abc"
        # The limit is looked at first: nobody is asked for a body that will not be taken.
        assert_refused(echo, request("/echo", "POST", ["Expect: 100-continue", "Content-Length: 99999999"]),
                       413, "BODY_TOO_LARGE")
        assert_refused(echo, request("/refuse", "POST", ["Expect: 100-continue", "Content-Length: 3"]),
                       403, "FORBIDDEN")
        assert_refused(echo, request("/echo", "POST", ["Expect: tea", "Content-Length: 3"]),
                       417, "EXPECTATION_FAILED")


@each_transport
def body_limits(transport):
    with Echo(transport, "body_max_bytes=1000", "bodies_max_bytes=1500") as echo:
        assert ask(echo, request("/echo", "POST", body=b"x" * 1000)).body == b"x" * 1000
        assert_refused(echo, request("/echo", "POST", body=b"x" * 1001), 413, "BODY_TOO_LARGE")
        # Far more than the socket holds: the reply is read all the same, no reset overtakes it.
        assert_refused(echo, request("/echo", "POST", ["Content-Length: 3000000"]) + b"x" * 3000000,
                       413, "BODY_TOO_LARGE")
        assert_refused(echo, request("/echo", "POST", ["Transfer-Encoding: chunked"]) +
                       b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n", 413, "BODY_TOO_LARGE")
        with echo.connect() as first:
            first.sendall(request("/wait", "POST", body=b"x" * 1000))
            while not echo.line().startswith("request POST /wait"):
                pass
            reply = assert_refused(echo, request("/echo", "POST", body=b"x" * 600), 503, "SERVER_BUSY")
            assert reply.headers["retry-after"] == "1"
        while not echo.line().startswith("closed /wait"):
            pass
        assert ask(echo, request("/echo", "POST", body=b"x" * 600)).status == 200


# ---- limits in number and time ----


@each_transport
def clients_are_capped(transport):
    with Echo(transport, "client_max_count=3") as echo:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                s = stack.enter_context(echo.connect())
                s.sendall(request("/hello"))
                assert Wire(s).reply().status == 200
            for _ in range(3):
                with echo.connect() as s:
                    wire = Wire(s)
                    reply = wire.reply()
                    assert reply.status == 503 and reply.headers["retry-after"] == "1", reply
                    assert json.loads(reply.body)["error"]["code"] == "SERVER_BUSY"
                    assert wire.rest() == b""
            # A flood of them is closed without words and leaves those inside alone.
            flood = [stack.enter_context(echo.connect()) for _ in range(200)]
            s.close()
            assert all(c is not None for c in flood)
        end_s = time.monotonic() + LIMIT_S
        while True:
            with echo.connect() as s:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    s.sendall(request("/hello"))
                    if Wire(s).reply().status == 200:
                        break
            assert time.monotonic() < end_s


@each_transport
def no_descriptors_left(transport):
    """Clients that cannot be accepted wait in the queue; nobody spins, and nobody is forgotten."""
    with Echo(transport, descriptors=20) as echo, contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(echo.connect()) for _ in range(40)]
        for s in crowd:
            s.sendall(request("/hello"))
        assert Wire(crowd[0]).reply().body == b"hello"
        while echo.line(0.3):
            pass
        assert_rests(echo, "clients that it cannot accept")
        for s in crowd[:-1]:
            s.close()
        assert Wire(crowd[-1]).reply().body == b"hello"


@each_transport
def deadlines_are_absolute(transport):
    """A byte now and then does not keep a connection."""
    def drip(echo, data, limit_s, first=b""):
        with echo.connect() as s:
            if first:
                s.sendall(first)
                assert Wire(s).reply().status == 200
            began_s = time.monotonic()
            s.setblocking(False)
            for byte in data:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    s.send(bytes([byte]))
                if select.select([s], [], [], 0.02)[0]:
                    break
            else:
                raise AssertionError("the whole drip was taken")
            took_s = time.monotonic() - began_s
            assert limit_s <= took_s + 0.02, took_s
            s.setblocking(True)
            wire = Wire(s)
            assert wire.reply().status == 408
            assert wire.rest() == b""
    with Echo(transport, "head_time_ms=300", "body_time_ms=400") as echo:
        drip(echo, request("/hello", headers=["A: " + "x" * 4000]), 0.3)
        drip(echo, request("/hello", headers=["A: " + "x" * 4000]), 0.3, first=request("/hello"))
        drip(echo, request("/echo", "POST", body=b"x" * 4000), 0.3)
    with Echo(transport, "body_time_ms=300") as echo:
        head = request("/echo", "POST", ["Content-Length: 4000"])
        with echo.connect() as s:
            s.sendall(head)
            began_s = time.monotonic()
            assert Wire(s).reply().status == 408
            assert 0.28 <= time.monotonic() - began_s
        echo.expect("closed /echo completed=0 .*")


@each_transport
def silent_clients_are_closed(transport):
    with Echo(transport, "head_time_ms=200", "idle_time_ms=300") as echo:
        with echo.connect() as s:
            assert Wire(s).rest() == b""  # never said a word: gets none
        with echo.connect() as s:
            wire = Wire(s)
            s.sendall(request("/hello"))
            assert wire.reply().body == b"hello"
            began_s = time.monotonic()
            assert wire.rest() == b""
            assert 0.25 <= time.monotonic() - began_s


@each_transport
def https_on_a_plain_port_is_closed(transport):
    with Echo(transport) as echo, echo.connect() as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        began_s = time.monotonic()
        assert Wire(s).rest() == b""
        assert time.monotonic() - began_s < AT_ONCE_S


# ---- the door, one line each ----


@each_transport
def door(transport):
    """tests/unit/test_http_door.c walks the rules; here is that each has its status on the wire."""
    get = b"GET /hello HTTP/1.1\r\n"
    host = b"Host: a\r\n"
    post = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
    refused = [
        (get + b"\r\n", 400, "INVALID_REQUEST", "no Host"),
        (get + host + host + b"\r\n", 400, "INVALID_REQUEST", "two Hosts"),
        (get + b"Host: a\n\r\n", 400, "INVALID_REQUEST", "bare LF"),
        (get + host + b"A: b\r\n c\r\n\r\n", 400, "INVALID_REQUEST", "obs-fold"),
        (get + host + b"A: b\x00c\r\n\r\n", 400, "INVALID_REQUEST", "NUL"),
        (get + host + b"A : b\r\n\r\n", 400, "INVALID_REQUEST", "blank before the colon"),
        (post + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, "INVALID_REQUEST", "two lengths"),
        (post + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST",
         "length and chunked"),
        (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "INVALID_REQUEST",
         "chunked on 1.0"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "INVALID_REQUEST", "CONNECT"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "INVALID_REQUEST", "*"),
        (b"GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "INVALID_REQUEST", "absolute form"),
        (b"GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "PATH_TRAVERSAL", "dot segment"),
        (b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "INVALID_REQUEST", "%00"),
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "TARGET_TOO_LONG", "long target"),
        (get + host + b"A: " + b"a" * 16384 + b"\r\n\r\n", 431, "HEAD_TOO_LARGE", "long head"),
        (get + host + b"A: a\r\n" * 64 + b"\r\n", 431, "HEAD_TOO_LARGE", "65 headers"),
        (post + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na", 415, "UNSUPPORTED_ENCODING", "packed"),
        (post + b"Transfer-Encoding: gzip\r\n\r\n", 501, "NOT_IMPLEMENTED", "unknown coding"),
        (b"BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501, "NOT_IMPLEMENTED", "unknown method"),
        (b"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP_VERSION", "version 2.0"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP_VERSION", "HTTP/2 without asking"),
        (post + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "INVALID_REQUEST", "chunk size"),
    ]
    with Echo(transport) as echo:
        for data, status, code, note in refused:
            assert_refused(echo, data, status, code, note)
        assert ask(echo, get + host + b"A: a\r\n" * 63 + b"\r\n").status == 200
        assert ask(echo, b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").status == 200
        for line in iter(lambda: echo.line(0.05), None):
            assert line.startswith(("request GET /hello", "closed")), line


# ---- endurance ----


@each_transport
def keep_alive_leaks_nothing(transport):
    """10^5 requests on one connection. ASan builds say what leaks; here the process must not grow."""
    with Echo(transport) as echo, echo.connect() as s:
        batch = request("/hello") * 500
        wire = Wire(s)

        def rounds(count):
            for _ in range(count):
                s.sendall(batch)
                for _ in range(500):
                    assert wire.reply().body == b"hello"
                while select.select([echo.process.stdout], [], [], 0)[0]:
                    assert os.read(echo.process.stdout.fileno(), 1 << 20)
        rounds(20)
        before_bytes = echo.resident_bytes()
        rounds(180)
        assert_grown_less(echo, before_bytes, 512 * KIB)


@each_transport
def idle_connections_are_small(transport):
    with Echo(transport, "client_max_count=1000") as echo:
        assert ask(echo, request("/hello")).status == 200
        before_bytes = echo.resident_bytes()
        with contextlib.ExitStack() as stack:
            for _ in range(400):
                s = stack.enter_context(echo.connect())
                s.sendall(request("/hello"))
                assert Wire(s).reply().status == 200
            each_bytes = (echo.resident_bytes() - before_bytes) / 400
            print(f"# {transport}: {each_bytes:.0f} bytes for an idle connection")
            assert SANITIZED or each_bytes < 12 * KIB, each_bytes


CASES = {name: case for name, case in list(globals().items())
         if callable(case) and getattr(case, "__name__", "") == name and
         getattr(case, "__qualname__", "").startswith("each_transport.")}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or CASES:
        CASES[wanted]()
        print(f"# {wanted}: good", file=sys.stderr)
