#!/usr/bin/env python3
"""A worker's client from outside, as polite or rude as a test wants it. Standard library only.

    worker_client.py SOCKET TOKEN SCENARIO [ARGUMENT...]      TOKEN "-": none is sent

Each scenario is a function below that begins with do_: it prints what a test compares, or ends with
a message and status 1 when a rule is broken.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

from unix_http import UnixConnection

PATIENCE_S = int(os.environ.get("WAIT_LIMIT_S", "60"))  # of tests/helpers.bash


class Stream:
    """One streamed inference: its events in order, the connection to be dropped at any time."""

    def __init__(self, client, body, headers=None):
        self.connection = UnixConnection(client.path, PATIENCE_S)
        self.connection.request("POST", "/v1/inference", json.dumps(body),
                                {**client.headers, **(headers or {})})
        self.reply = None

    def events(self):
        """The events that have not been read yet; waits for the reply's head first."""
        if self.reply is None:
            self.reply = self.connection.getresponse()
        if self.reply.status != 200:
            raise SystemExit(f"status {self.reply.status}: {self.reply.read().decode()}")
        while True:
            line = self.reply.readline()
            if not line:
                return
            if line.startswith(b"data: "):
                text = line[len(b"data: "):].strip()
                yield text.decode() if text == b"[DONE]" else json.loads(text)

    def read_until(self, kind, count=1):
        """The events up to the COUNTth of that kind."""
        seen = []
        for event in self.events():
            seen.append(event)
            if event != "[DONE]" and event["type"] == kind:
                count -= 1
                if count == 0:
                    return seen
        raise SystemExit(f"the stream ended before {kind}: {seen}")

    def leave(self):
        """The whole connection; the reply holds a reference of its own to the socket."""
        if self.reply is not None:
            self.reply.close()
        self.connection.close()


class Client:
    def __init__(self, path, token):
        self.path = path
        self.headers = {} if token == "-" else {"Authorization": "Bearer " + token}

    def call(self, method, target, body=None, headers=None):
        connection = UnixConnection(self.path, PATIENCE_S)
        try:
            connection.request(method, target, body, {**self.headers, **(headers or {})})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def ready(self):
        status, _, body = self.call("GET", "/ready")
        return status, json.loads(body)

    def wait_ready(self):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.ready()[0] == 200:
                return
            time.sleep(0.01)
        raise SystemExit("never ready")

    def counters(self):
        _, body = self.ready()
        return body["tokens"], body["prefill_tokens"]

    def whole(self, **body):
        status, _, reply = self.call("POST", "/v1/inference", json.dumps({"stream": False, **body}))
        return status, json.loads(reply)


def check(holds, *what):
    if not holds:
        raise SystemExit("broken: " + " ".join(str(w) for w in what))


LONG = {"prompt": "once upon a time", "raw": True, "temperature": 0}
SHORT = {**LONG, "max_tokens": 1}


# ---- plain calls ----

def do_wait_ready(client):
    client.wait_ready()


def do_call(client, method, target, body=None, *headers):
    """Prints the status and the error's code, or the body."""
    status, _, reply = client.call(method, target, body,
                                   dict(header.split(": ", 1) for header in headers))
    try:
        print(status, json.loads(reply)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        print(status, reply.decode())


def do_text(client, body):
    """The text of an answer in one piece."""
    status, answer = client.whole(**json.loads(body))
    check(status == 200, status, answer)
    sys.stdout.write(answer["text"])


def do_reason(client, body):
    status, answer = client.whole(**json.loads(body))
    check(status == 200, status, answer)
    print(answer["stop_reason"], answer["usage"]["prompt_tokens"],
          answer["usage"]["completion_tokens"])


def do_error(client, body):
    """Status, code and message of a request that fails before its first event."""
    status, _, reply = client.call("POST", "/v1/inference", body.encode())
    error = json.loads(reply)["error"]
    print(status, error["code"], error["message"], json.dumps(error["details"]))


def do_events(client, body, *headers):
    """The whole stream, one event a line."""
    stream = Stream(client, json.loads(body), dict(h.split(": ", 1) for h in headers))
    for event in stream.events():
        print(event if event == "[DONE]" else json.dumps(event, ensure_ascii=False))


# ---- what must hold for every stream ----

def do_stream_rules(client, body):
    """Order, indexes, whole characters, timings, and the same text as in one piece."""
    body = json.loads(body)
    events = list(Stream(client, body).events())
    kinds = [event if event == "[DONE]" else event["type"] for event in events]
    tokens = [event for event in events if event != "[DONE]" and event["type"] == "token"]
    check(kinds[0] == "started" and kinds[-2:] == ["end", "[DONE]"], kinds)
    check(all(kind == "token" for kind in kinds[1:-2]), kinds)
    check([token["i"] for token in tokens] == list(range(len(tokens))), tokens)
    check(all(token["t"] for token in tokens), "an event without text")
    end = events[-2]
    check(len(tokens) <= end["usage"]["completion_tokens"], end)
    timings = end["timings"]
    check(timings["first_token_ms"] >= timings["queue_ms"] + timings["prefill_ms"] - 1, timings)
    check(timings["load_ms"] == 0, timings)
    _, whole = client.whole(**body)
    check(whole["text"] == "".join(token["t"] for token in tokens), whole["text"], tokens)
    cached = whole["usage"].pop("cached_tokens")  # the second time, what the first has computed
    check(end["usage"].pop("cached_tokens") == 0, end)
    check(cached <= end["usage"]["prompt_tokens"], cached)
    check(whole["stop_reason"] == end["stop_reason"] and whole["usage"] == end["usage"], end)
    check(whole["id"] != events[0]["id"], "ids differ from request to request")


# ---- clients that leave ----

def assert_free(client):
    """The slot is free: a request starts without waiting for another's end."""
    status, answer = client.whole(**SHORT)
    check(status == 200, status, answer)
    return answer


def do_leave_in_decode(client):
    stream = Stream(client, LONG)
    stream.read_until("token", 3)
    seen, _ = client.counters()
    stream.leave()
    answer = assert_free(client)
    after, _ = client.counters()
    # What was computed between the look at the counter and the leaving, and the one step that may
    # have been running; then the short request's own.
    check(after - seen <= 4 + answer["usage"]["completion_tokens"], seen, after)
    check(client.counters()[0] == after, "tokens are computed for nobody")


def do_leave_in_prefill(client, words):
    """WORDS make a prompt that takes far longer than one chunk."""
    prompt_tokens = int(words)
    stream = Stream(client, {**LONG, "prompt": "z " * prompt_tokens})
    stream.read_until("started")
    stream.leave()
    answer = assert_free(client)
    _, prefilled = client.counters()
    check(prefilled < prompt_tokens + answer["usage"]["prompt_tokens"], "all was computed",
          prefilled)


def do_leave_in_queue(client):
    running = Stream(client, {**LONG, "max_tokens": 12})
    running.read_until("token")
    waiting = Stream(client, {**LONG, "prompt": "z " * 50})
    seen = waiting.read_until("queued")
    check(seen[-1]["position"] == 1, seen)
    before = client.counters()[1]
    waiting.leave()
    end = running.read_until("end")[-1]
    check(end["usage"]["completion_tokens"] == 12, end)
    answer = assert_free(client)
    prefilled = client.counters()[1] - before
    check(prefilled == answer["usage"]["prompt_tokens"], "the one that left was computed")


def do_delete(client):
    """DELETE ends a stream with one `cancelled`; it is answered alike for every id."""
    stream = Stream(client, LONG, {"X-Inference-Id": "mine"})
    started = stream.read_until("started")[-1]
    check(started["id"] == "mine", started)
    stream.read_until("token", 2)
    for _ in range(2):
        check(client.call("DELETE", "/v1/inference/mine")[0] == 204)
    rest = list(stream.events())
    check(rest[-1] == "[DONE]" and rest[-2]["type"] == "end", rest[-2:])
    check(rest[-2]["stop_reason"] == "cancelled", rest[-2])
    check(client.call("DELETE", "/v1/inference/never-was")[0] == 204)
    assert_free(client)


def do_slow_reader(client, context_tokens):
    """A client that does not read pauses its own answer, keeps nobody else from asking how the
    worker is, and loses nothing when it reads on."""
    stream = Stream(client, {**LONG, "max_tokens": -1})
    stream.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    last, still = 0, 0
    while still < 20:  # a second without a token, where each takes far less than a millisecond
        time.sleep(0.05)
        now, _ = client.counters()
        still = still + 1 if now == last and now > 0 else 0
        last = now
    check(last < int(context_tokens) * 3 // 4, "computed for a client that does not read:", last)
    events = list(stream.events())
    check(events[-1] == "[DONE]" and events[-2]["type"] == "end", events[-2:])
    check([e["i"] for e in events[1:-2]] == list(range(len(events) - 3)), "an event is missing")
    usage = events[-2]["usage"]
    check(usage["prompt_tokens"] + usage["completion_tokens"] == int(context_tokens), usage)


def do_two_at_once(client):
    """The second waits, says so, and then gets the same answer as if it were alone."""
    _, alone = client.whole(**{**LONG, "max_tokens": 6})
    first = Stream(client, {**LONG, "max_tokens": 12})
    first.read_until("token")
    second = Stream(client, {**LONG, "max_tokens": 6})
    events = second.read_until("end")
    check([e["type"] for e in events[:2]] == ["queued", "started"], events)
    check("".join(e["t"] for e in events if e["type"] == "token") == alone["text"], events, alone)
    check(events[-1]["timings"]["queue_ms"] > 0, events[-1])
    check(first.read_until("end")[-1]["usage"]["completion_tokens"] == 12)


def do_many_at_once(client, count):
    """Each says what it says alone, whoever shares its steps, its blocks and the queue."""
    # Some begin alike, so that they share what has been computed; lengths differ.
    bodies = [{**LONG, "prompt": "once upon a time there was " * (i % 3 * 2) + f"number {i} ",
               "max_tokens": 20 + i} for i in range(int(count))]
    alone = [client.whole(**body)[1]["text"] for body in reversed(bodies)]
    streams = [Stream(client, body) for body in bodies]
    texts = [None] * len(streams)

    def read(i):
        texts[i] = "".join(e["t"] for e in streams[i].read_until("end") if e["type"] == "token")

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(streams))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    for i, text in enumerate(reversed(alone)):
        check(texts[i] == text, i, texts[i], text)


def do_same_id_twice(client):
    first = Stream(client, LONG, {"X-Inference-Id": "twin"})
    first.read_until("started")
    status, _, reply = client.call("POST", "/v1/inference", json.dumps(LONG),
                                   {"X-Inference-Id": "twin"})
    print(status, json.loads(reply)["error"]["code"])
    first.leave()


# ---- deadlines ----

# A prompt of one token, so that its time goes into the answer.
ENDLESS = {**LONG, "prompt": "a", "max_tokens": -1}


def within(ms):
    """MS, and ten times as much where a sanitizer slows the worker down."""
    ms = ms * PATIENCE_S // 60
    return {"X-Deadline-Left": str(ms), "X-Deadline": "1"}  # the second is obeyed by nobody here


def do_deadline_in_decode(client):
    """One error event, at most one step more than was told, and the slot is free."""
    before, _ = client.counters()
    stream = Stream(client, ENDLESS, within(700))
    events = list(stream.events())
    after, _ = client.counters()
    told = [e for e in events if e != "[DONE]" and e["type"] == "token"]
    error = events[-2]
    check(events[-1] == "[DONE]" and error["type"] == "error", events[-2:])
    check(error["code"] == "DEADLINE_EXCEEDED" and error["details"]["phase"] == "decode", error)
    check(sum(e != "[DONE]" and e["type"] in ("end", "error") for e in events) == 1, events[-3:])
    check(0 < len(told) <= after - before <= len(told) + 1, len(told), before, after)
    answer = assert_free(client)
    check(client.counters()[0] == after + answer["usage"]["completion_tokens"], "computed for nobody")


def do_deadline_in_prefill(client, words):
    """WORDS make a prompt that takes far longer than its time."""
    status, _, reply = client.call(
        "POST", "/v1/inference",
        json.dumps({**LONG, "prompt": "z " * int(words), "stream": False}), within(300))
    error = json.loads(reply)["error"]
    check(status == 504 and error["details"]["phase"] == "prefill", status, error)
    _, prefilled = client.counters()
    answer = assert_free(client)
    check(client.counters()[1] == prefilled + answer["usage"]["prompt_tokens"]
          - answer["usage"]["cached_tokens"], "computed for nobody")
    check(prefilled < int(words), prefilled)


def do_deadline_in_queue(client):
    running = Stream(client, ENDLESS)
    running.read_until("token")
    _, before = client.counters()
    events = list(Stream(client, {**LONG, "prompt": "z " * 50}, within(200)).events())
    check([e if e == "[DONE]" else e["type"] for e in events] == ["queued", "error", "[DONE]"], events)
    check(events[1]["details"]["phase"] == "queue", events[1])
    running.read_until("token", 5)
    check(client.counters()[1] == before, "the one that was late was computed")
    running.leave()


def do_deadline_on_arrival(client):
    """Over, and none at all: neither is looked at further."""
    before = client.counters()
    status, _, reply = client.call("POST", "/v1/inference", "no JSON", within(0))
    check(status == 504, status)
    check(json.loads(reply)["error"]["details"]["phase"] == "arrival", reply)
    for value in ("", "-1", "+1", "1.5", "soon", "007", "1 2", "1790000000000000"):
        status, _, reply = client.call("POST", "/v1/inference", json.dumps(SHORT),
                                       {"X-Deadline-Left": value})
        check(status == 400, value, status)
        check(json.loads(reply)["error"]["code"] == "INVALID_DEADLINE", value, reply)
    check(client.counters() == before, "something was computed")


# ---- stopping ----

def do_term(client, pid, when):
    """TERM while a request decodes or prefills: one error event, then the end."""
    body = LONG if when == "token" else {**LONG, "prompt": "z " * 300}
    stream = Stream(client, body)
    stream.read_until(when)
    started = time.monotonic()
    os.kill(int(pid), signal.SIGTERM)
    rest = list(stream.events())
    check(rest[-1] == "[DONE]" and rest[-2]["type"] == "error", rest[-2:])
    print(rest[-2]["code"])
    check(time.monotonic() - started < PATIENCE_S / 6, "took too long")


def do_term_in_body(client, pid):
    """TERM while a body is on its way: the link is closed."""
    connection = UnixConnection(client.path, PATIENCE_S)
    connection.connect()
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers.items())
    connection.sock.sendall((f"POST /v1/inference HTTP/1.1\r\nHost: worker\r\n{head}"
                             "Content-Type: application/json\r\n"
                             "Content-Length: 100\r\n\r\n{").encode())
    client.ready()  # the loop has read what was sent before
    client.ready()
    os.kill(int(pid), signal.SIGTERM)
    check(connection.sock.recv(1000) == b"", "a reply")


def main():
    path, token, scenario, *arguments = sys.argv[1:]
    globals()["do_" + scenario](Client(path, token), *arguments)


if __name__ == "__main__":
    main()
