#!/usr/bin/env python3
"""What slow and vanishing clients cost a rbeed whose worker is tests/tools/fast_worker.c; told by
bench_proxy.sh. Usage: proxy_facts.py SOCKET PID WORKER-LOG

Prints one line a figure, with its bound. Standard library only."""
import json
import os
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from http_wire import Wire, ask, request  # noqa: E402

MB = 1_000_000
FLOOD_BYTES = 300 * MB
LEAVERS = 200
CROWD = 500  # at 512 places
LIMIT_S = 60


class Rbeed:
    def __init__(self, path, pid, log):
        self.path, self.pid = path, pid
        self.log_path, self.log = log, None  # it is made with the worker's first line

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(LIMIT_S)
        s.connect(self.path)
        return s

    def status_kb(self, key):
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)

    def ask(self, prompt):
        """A connection on which a stream to that prompt has started."""
        s = self.connect()
        s.sendall(request("/v1/inference", "POST",
                          body=json.dumps({"model": "fast", "prompt": prompt}).encode()))
        wire = Wire(s)
        wire.until(b'"type":"started"')
        return s, wire

    def worker(self):
        return json.loads(ask(self, request("/v1/workers/fast")).body)

    def next_gone_us(self):
        """When the worker saw the next of its clients leave."""
        end, text = time.monotonic() + LIMIT_S, b""
        while time.monotonic() < end:
            if self.log is None and os.path.exists(self.log_path):
                self.log = open(self.log_path, "rb")
            text += self.log.readline() if self.log else b""
            if text.endswith(b"\n"):
                if b"gone " in text:
                    return int(text.split(b"gone ")[1])
                text = b""
            else:
                time.sleep(0.001)
        raise TimeoutError("the worker has seen nobody leave")


def idle(rbeed):
    print(f"idle, a worker ready: {rbeed.status_kb('VmRSS') / 1000:.1f} MB resident (bound 12 MB)")


def stalled_reader(rbeed):
    """Nobody reads, then 300 MB are read, then nobody reads again."""
    open(f"/proc/{rbeed.pid}/clear_refs", "w").write("5")  # the peak begins anew
    before_kb = rbeed.status_kb("VmRSS")
    s, _ = rbeed.ask("flood")
    with s:
        time.sleep(1)
        left, buffer = FLOOD_BYTES, bytearray(1 << 20)
        while left > 0:
            left -= s.recv_into(buffer)
        time.sleep(1)
        grown_kb = rbeed.status_kb("VmHWM") - before_kb
    rbeed.next_gone_us()
    print(f"a reader that stalls before and after 300 MB: {grown_kb / 1000:.2f} MB at the most (bound 4 MB)")


def disconnects(rbeed):
    took_ms = []
    for _ in range(LEAVERS):
        s, _ = rbeed.ask("hold")
        left_ns = time.monotonic_ns()
        s.close()
        took_ms.append((rbeed.next_gone_us() * 1000 - left_ns) / 1e6)
    took_ms.sort()
    print(f"a client leaves until its worker sees it: median {statistics.median(took_ms):.2f} ms, "
          f"longest of {LEAVERS} {took_ms[-1]:.2f} ms (bound 5 ms)")


def slots(rbeed):
    took_ms = []
    for _ in range(5):
        crowd = [rbeed.ask("hold") for _ in range(CROWD)]
        assert rbeed.worker()["in_flight"] == CROWD
        with rbeed.connect() as s:
            wire = Wire(s)
            began = time.monotonic()
            for client, _ in crowd:
                client.close()
            while True:
                s.sendall(request("/v1/workers/fast"))
                if json.loads(wire.reply().body)["in_flight"] == 0:
                    break
            took_ms.append((time.monotonic() - began) * 1000)
    print(f"{CROWD} clients leave at once until all slots are free: median "
          f"{statistics.median(took_ms):.1f} ms, longest of 5 {max(took_ms):.1f} ms (bound 250 ms)")


if __name__ == "__main__":
    it = Rbeed(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    idle(it)
    stalled_reader(it)
    disconnects(it)
    slots(it)
