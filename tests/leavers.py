#!/usr/bin/env python3
"""Clients that leave at random moments: while they send, in the queue, before the first token and
between two. Told by the suite leavers.

    leavers.py SOCKET COUNT SEED LONG MODEL [DONE-FILE]

LONG is the body of a stream that runs all the while; it ends by itself, or when DONE-FILE is there.
Prints its text. Ends with 1 when anything of what must hold does not: whoever stayed got the whole
answer, then nothing but the long stream runs, every slot is free, and the long stream has all of its
tokens. Who left when is random from SEED (and the machine), never what is asserted."""
import contextlib
import json
import os
import random
import select
import socket
import sys
import threading
import time

from http_wire import Wire, request

LIMIT_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
THREADS = 48
MOMENTS = ["half sent", "at once", "soon", "soon", "first event", "started", "token", "token", "end"]


class Left(Exception):
    """The client has seen enough."""


class Run:
    def __init__(self, path, count, seed, model):
        self.path, self.model = path, model
        self.rnd = random.Random(seed)
        self.todo = list(range(count))
        self.lock = threading.Lock()
        self.failures = []
        self.seen = set()  # labels of requests that have had an event: these exist

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(LIMIT_S)
        s.connect(self.path)
        return s

    def get(self, path):
        with self.connect() as s:
            s.sendall(request(path))
            return json.loads(Wire(s).reply().body)

    # -- one client

    def client(self, number, moment, rnd):
        label = f"c-{number}"
        body = json.dumps({"model": self.model, "prompt": f"hello {number}", "max_tokens": 24}).encode()
        data = request("/v1/inference", "POST", ["X-Request-Id: " + label], body)
        with self.connect() as s:
            if moment == "half sent":
                s.sendall(data[:rnd.randrange(1, len(data))])
                return
            s.sendall(data)
            if moment == "at once":
                return
            if moment == "soon":  # whatever goes on by then
                select.select([], [], [], rnd.random() * 0.03)
                return
            with contextlib.suppress(Left):
                self.read(Wire(s), label, moment, rnd.randrange(1, 20))

    def read(self, wire, label, moment, tokens):
        events = stream(wire)
        for event in events:
            with self.lock:
                self.seen.add(label)
            kind = event["type"]
            if moment == "first event" or (moment == "started" and kind == "started"):
                raise Left
            if moment == "token" and kind == "token" and event["i"] + 1 >= tokens:
                raise Left
            if kind == "error":
                raise AssertionError(f"{label}: {event}")
        if moment == "end":
            check_whole(events.all)

    def work(self, seed):
        rnd = random.Random(seed)
        while not self.failures:
            with self.lock:
                if not self.todo:
                    return
                number = self.todo.pop()
            try:
                self.client(number, rnd.choice(MOMENTS), rnd)
            except Exception as error:
                self.failures.append(f"client {number}: {error!r}")

    def storm(self):
        threads = [threading.Thread(target=self.work, args=(self.rnd.random(),)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class stream:
    """The events of a reply, one after the other, and all that have come so far."""

    def __init__(self, wire):
        self.wire, self.all, self.rest = wire, [], b""

    def __iter__(self):
        status, _ = self.wire.head()
        assert status == 200, status
        while chunk := self.wire.chunk():
            self.rest += chunk
            while b"\n\n" in self.rest:
                text, self.rest = self.rest.split(b"\n\n", 1)
                if text.startswith(b":") or text == b"data: [DONE]":
                    continue
                event = json.loads(text.removeprefix(b"data: "))
                self.all.append(event)
                yield event


def check_whole(events):
    """Started once, tokens that count from 0, one end, which knows how many they were."""
    kinds = [e["type"] for e in events if e["type"] != "queued"]
    tokens = [e for e in events if e["type"] == "token"]
    assert kinds == ["started"] + ["token"] * len(tokens) + ["end"], kinds[:5] + kinds[-5:]
    assert [e["i"] for e in tokens] == list(range(len(tokens)))
    assert tokens
    return "".join(e["t"] for e in tokens)


class Long(threading.Thread):
    """The stream that nobody disturbs."""

    def __init__(self, run, body):
        super().__init__()
        self.socket = run.connect()
        self.socket.sendall(request("/v1/inference", "POST", ["X-Request-Id: long"], body.encode()))
        self.events = stream(Wire(self.socket))
        self.has_begun = threading.Event()
        self.failure = None
        self.start()

    def run(self):
        try:
            for event in self.events:
                if event["type"] == "token":
                    self.has_begun.set()
        except Exception as error:
            self.failure = error
        self.has_begun.set()


def wait_until(what, question):
    end = time.monotonic() + LIMIT_S
    while not question():
        assert time.monotonic() < end, f"never: {what}"
        select.select([], [], [], 0.01)


def all_slots_answer(run, slots):
    """As many as there are places, at once: each is served to its end."""
    def one():
        try:
            with run.connect() as s:
                s.sendall(request("/v1/inference", "POST", body=json.dumps(
                    {"model": run.model, "prompt": "after", "max_tokens": 24}).encode()))
                events = stream(Wire(s))
                for _ in events:
                    pass
                check_whole(events.all)
        except Exception as error:
            run.failures.append(f"afterwards: {error!r}")
    threads = [threading.Thread(target=one) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(path, count, seed, long_body, model, done_file=None):
    run = Run(path, int(count), seed, model)
    long = Long(run, long_body)
    assert long.has_begun.wait(LIMIT_S) and not long.failure, long.failure
    run.storm()
    print(f"# {len(run.seen)} of {count} have had an event; the long stream {'goes on' if long.is_alive() else 'has ended'}",
          file=sys.stderr)
    if done_file:
        wait_until("nothing runs but the long stream", lambda: [
            r["request_id"] for r in run.get("/v1/status")["requests"]] == ["long"])
        worker = run.get(f"/v1/workers/{model}")
        assert (worker["in_flight"], worker["queued"]) == (1, 0), worker
    all_slots_answer(run, 8)
    if done_file:
        open(done_file, "w", encoding="ascii").close()
    long.join(LIMIT_S)
    assert not long.is_alive() and not long.failure, long.failure
    print(check_whole(long.events.all))
    wait_until("nothing runs", lambda: not run.get("/v1/status")["requests"])
    with open("seen", "w", encoding="ascii") as file:
        file.writelines(label + "\n" for label in sorted(run.seen))
    for failure in run.failures:
        print(failure, file=sys.stderr)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
