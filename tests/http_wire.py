"""The wire side of HTTP for tests: requests made byte by byte, replies taken apart with no help of the
code under test. A server is anything with a method connect() that gives a connected socket."""
import contextlib
import json
import select
import socket
import struct


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:200]!r}"


def request(path, method="GET", headers=(), body=b"", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire:
    """What comes out of a socket, taken apart with no help of the code under test."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        self.data += data
        return bool(data)

    def until(self, mark):
        while mark not in self.data:
            assert self.more(), f"ended before {mark!r}: {self.data[:300]!r}"
        before, self.data = self.data.split(mark, 1)
        return before

    def exactly(self, count):
        while len(self.data) < count:
            assert self.more(), "ended inside a body"
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def head(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        return int(lines[0].split(" ")[1]), headers

    def chunk(self):
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def reply(self, to_head=False):
        status, headers = self.head()
        body = b""
        if to_head or status in (100, 204, 304):
            pass
        elif "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        elif "transfer-encoding" in headers:
            while chunk := self.chunk():
                body += chunk
        else:
            while self.more():
                pass
            body, self.data = self.data, b""
        return Reply(status, headers, body)

    def rest(self):
        """Everything to the end of the connection, which is an orderly one: a reset could overtake
        a reply on its way."""
        while self.more():
            pass
        return self.data


def ask(server, data):
    """One request on a connection of its own."""
    with server.connect() as s:
        s.sendall(data)
        return Wire(s).reply()


def assert_refused(server, data, status, code, note=""):
    """The request gets STATUS with the envelope, an id, and the end of the connection."""
    with server.connect() as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(data)
        wire = Wire(s)
        reply = wire.reply()
        assert reply.status == status, f"{note or data[:80]!r}: {reply} instead of {status}"
        error = json.loads(reply.body)["error"]
        assert error["code"] == code, f"{note}: {error}"
        assert error["request_id"] == reply.headers["x-request-id"]
        assert reply.headers["connection"] == "close", note
        assert wire.rest() == b"", f"{note}: something came behind the refusal"
        return reply


def fill(sock, data, at_most):
    """Sends copies of DATA until the other side takes no more, or AT_MOST bytes."""
    sent = 0
    sock.setblocking(False)
    while sent < at_most and select.select([], [sock], [], 0.3)[1]:
        with contextlib.suppress(BlockingIOError):
            sent += sock.send(data)
    sock.setblocking(True)
    return sent


def reset(sock):
    """Closes so that the other side sees an error and not an end."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()  # a Unix socket resets when it holds unread bytes
