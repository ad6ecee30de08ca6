#!/usr/bin/env python3
"""Compares the metrics of a running rbeed with what else it says of itself.

    metrics_truth.py watch SOCKET   scrapes until TERM: no counter ever falls, each scrape is in order
    metrics_truth.py now SOCKET     gauges are what status and breakers say, counters what events say

Standard library only."""
import json
import os
import select
import signal
import socket
import sys
import time
from collections import Counter

import metrics_check
from http_wire import Wire, request

LIMIT_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
BREAKER_STATES = {"closed": 0, "open": 1, "half_open": 2, "forced_open": 3}


def get(path, target):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(LIMIT_S)
        s.connect(path)
        s.sendall(request(target))
        reply = Wire(s).reply()
        assert reply.status == 200, reply
        return reply.body.decode()


def scrape(path):
    """{(name, labels): value} of everything, and the names of what may only rise."""
    families = metrics_check.read(get(path, "/metrics"))
    series, rising = {}, set()
    for family in families.values():
        metrics_check.check(family)
        for name, labels, value in family.samples:
            key = (name, tuple(sorted(labels.items())))
            series[key] = value
            if family.type in ("counter", "histogram") and not name.endswith("_sum"):
                rising.add(key)
    return series, rising


def watch(path):
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    before, count = {}, 0
    while not over:
        series, rising = scrape(path)
        for key in rising:
            assert series[key] >= before.get(key, 0), f"{key} fell from {before[key]} to {series[key]}"
        assert set(before) <= rising, f"gone: {set(before) - rising}"
        before = {key: series[key] for key in rising}
        count += 1
        select.select([], [], [], 0.02)
    print(count)


def labelled(series, name, *labels):
    """Counter of the values of NAME by those labels, zeros left out."""
    found = Counter()
    for (title, pairs), value in series.items():
        if title == name and value:
            found[tuple(dict(pairs)[label] for label in labels)] += value
    return found


def events(path):
    after, found = 0, []
    while True:
        page = json.loads(get(path, f"/v1/events?after={after}&limit=1000"))
        found += page["events"]
        if not page["has_more"]:
            return found
        after = found[-1]["seq"]


def compare(path):
    """None when all is equal, else what is not. What is asked one after the other may differ because
    something happened in between: whoever asks tries again."""
    status = json.loads(get(path, "/v1/status"))
    breakers = json.loads(get(path, "/v1/breakers"))["breakers"]
    happened = events(path)
    series, _ = scrape(path)
    workers = status["workers"]
    pairs = [
        ("workers", labelled(series, "rbee_hive_workers", "state"), Counter((w["state"],) for w in workers)),
        ("restart count", labelled(series, "rbee_hive_workers_restart_count"),
         +Counter({(): sum(w["restarts"] for w in workers)})),
        ("breakers", labelled(series, "rbee_hive_circuit_breaker_state", "name"),
         +Counter({(b["name"],): BREAKER_STATES[b["state"]] for b in breakers})),
        ("requests", labelled(series, "rbee_hive_requests", "state"),
         Counter((r["state"],) for r in status["requests"])),
        ("queues", labelled(series, "rbee_hive_queue_depth", "worker"),
         +Counter({(w["name"],): w["queued"] for w in workers})),
        ("spawns", labelled(series, "rbee_hive_worker_spawns_total"),
         +Counter({(): sum(e["kind"] == "worker_spawned" for e in happened)})),
        ("openings", labelled(series, "rbee_hive_circuit_breaker_activations_total"),
         +Counter({(): sum(e["kind"] == "breaker" and e["details"]["to"] in ("open", "forced_open")
                           for e in happened)})),
    ]
    return next((f"{what}: {told} and not {true}" for what, told, true in pairs if told != true), None)


def now(path):
    end = time.monotonic() + LIMIT_S
    while (difference := compare(path)) is not None:
        assert time.monotonic() < end, difference
        select.select([], [], [], 0.05)


if __name__ == "__main__":
    {"watch": watch, "now": now}[sys.argv[1]](sys.argv[2])
