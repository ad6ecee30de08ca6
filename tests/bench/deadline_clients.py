"""Clients that give a request 300 ms: deadline_clients.py SOCKET WORKER-LOG. For bench_deadline.sh."""

import json
import socket
import statistics
import sys
import time

SOCKET, LOG = sys.argv[1:]
ROUNDS = 21
LEFT_MS = 300
KINDS = {"decode": "once upon a time", "prefill": "z " * 8000}


def ask(prompt, stream):
    """Milliseconds from the deadline to the last byte (negative: before it), and the reply."""
    body = json.dumps({"model": "model", "prompt": prompt, "raw": True, "temperature": 0,
                       "stream": stream}).encode()
    client = socket.socket(socket.AF_UNIX)
    client.connect(SOCKET)
    sent = time.monotonic()
    client.sendall(b"POST /v1/inference HTTP/1.1\r\nHost: rbee\r\nConnection: close\r\n"
                   b"Content-Type: application/json\r\nX-Timeout-Ms: %d\r\n"
                   b"Content-Length: %d\r\n\r\n" % (LEFT_MS, len(body)) + body)
    reply = b""
    while True:
        data = client.recv(1 << 16)
        if not data:
            break
        reply += data
    return (time.monotonic() - sent) * 1000 - LEFT_MS, reply


def computed(count):
    """Tokens that the worker says it computed for its last request, the COUNTth."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with open(LOG, encoding="utf-8") as log:
            done = [line for line in log if " request_done " in line]
        if len(done) >= count:
            return int(done[-1].split("completion_tokens=")[1].split()[0])
    raise SystemExit("the worker never told of the end of a request")


def main():
    count = 0
    for phase, prompt in KINDS.items():
        for stream in (True, False):
            late_ms, more = [], []
            for _ in range(ROUNDS):
                ms, reply = ask(prompt, stream)
                count += 1
                if b"DEADLINE_EXCEEDED" not in reply or f'"phase":"{phase}"'.encode() not in reply:
                    raise SystemExit(f"not ended in {phase}: {reply[-300:]}")
                late_ms.append(ms)
                if stream and phase == "decode":
                    more.append(computed(count) - reply.count(b'"type":"token"'))
                else:
                    computed(count)
            print(f"{phase}, {'a stream' if stream else 'in one piece'}: answered"
                  f" {statistics.median(late_ms):+.1f} ms from the deadline,"
                  f" {min(late_ms):+.1f} to {max(late_ms):+.1f} (bound +-50 ms)"
                  + (f"; the worker computed {statistics.median(more):.0f} tokens more than were told,"
                     f" at most {max(more)} (bound 1)" if more else ""))


main()
