#!/usr/bin/env python3
"""kill -9 of rbeed, again and again, at random moments but from a seed, under load and with workers
that crash. Told by the suite supervisor_kill9:

    kill9.py WORLD KILLS SEED

WORLD is the test's folder, whose configuration has the workers, all with autostart. After each kill:

    nothing that a worker was or had started is left, soon
    the database has what the API had shown: restarts, attempts, openings of breakers never go back
    every request without an end is `interrupted` from the next start on
    each worker that was wanted and not running is started again, sooner or later
    no worker ever had two processes (each of the fakes holds a lock as long as it lives)

The configuration forgives nothing (stable_after, probe_stable are long), so that counts only grow.
Ends with 1 and what was wrong, else prints figures. Standard library only.
"""

import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from unix_http import UnixConnection

PATIENCE_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
LATEST_KILL_S = 2.0  # a worker's whole round, from its start to its end, is shorter
CLIENTS = 4


class Broken(Exception):
    """A promise was not kept."""


def wait_until(what, condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Broken(f"not in {PATIENCE_S:.0f} s: {what}")
        time.sleep(0.01)


class Shown:
    """The highest of each count that the API has shown."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {}  # (worker, what) -> count
        self.looks = 0

    def take(self, records, key, names):
        """Whether one of them is higher than it was."""
        has_risen = False
        with self.lock:
            self.looks += 1
            for record in records:
                for name in names:
                    at = (record[key], name)
                    if record[name] < self.counts.get(at, 0):
                        raise Broken(f"{at} was shown as {self.counts[at]}, now as {record[name]}")
                    has_risen = has_risen or record[name] > self.counts.get(at, 0)
                    self.counts[at] = record[name]
        return has_risen


class Run:
    """One supervisor, from its start to the kill."""

    def __init__(self, world, shown, rnd):
        self.world = world
        self.shown = shown
        self.rnd = rnd
        self.is_over = threading.Event()
        self.dies_of_news = False  # killed as soon as a count is shown to have risen
        self.broken = []
        self.socket = os.path.join(world, "run/rbee/rbee.sock")
        read_end, write_end = os.pipe()
        with open(os.path.join(world, "rbeed.log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(world, "bin/rbeed"), "--ready-fd", str(write_end)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write_end])
        os.close(write_end)
        with os.fdopen(read_end) as file:
            said = file.readline().strip()
        if said != "ready":
            raise Broken(f"rbeed said '{said}'")

    def ask(self, method, path, body=None):
        """The whole reply; None when the supervisor was killed meanwhile."""
        conn = UnixConnection(self.socket, PATIENCE_S)
        try:
            conn.request(method, path, None if body is None else json.dumps(body))
            return conn.getresponse().read()
        except (OSError, http.client.HTTPException):
            if not self.is_over.is_set():
                time.sleep(0.01)  # it has been killed, or refuses more clients
            return None
        finally:
            conn.close()

    def look(self):
        for path, kind, key, names in (
                ("/v1/workers", "workers", "name", ("restarts", "attempt")),
                ("/v1/breakers", "breakers", "name", ("trips",))):
            reply = self.ask("GET", path)
            if reply and self.shown.take(json.loads(reply)[kind], key, names) and self.dies_of_news:
                os.kill(self.process.pid, signal.SIGKILL)
                self.is_over.set()

    def watch(self):
        try:
            while not self.is_over.is_set():
                self.look()
        except Broken as broken:
            self.broken.append(broken)

    def client(self, number):
        rnd = random.Random(number)
        while not self.is_over.is_set():
            self.ask("POST", "/v1/inference",
                     {"model": rnd.choice(["good", "flaky", "loop", "asked"]), "prompt": "x"})

    def load(self):
        targets = [(self.watch, ())]
        targets += [(self.client, (self.rnd.random(),)) for _ in range(CLIENTS)]
        self.threads = [threading.Thread(target=t, args=a, daemon=True) for t, a in targets]
        for thread in self.threads:
            thread.start()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.is_over.set()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        if self.broken:
            raise self.broken[0]


class Harness:
    def __init__(self, world, kills, seed):
        self.world = world
        self.kills = kills
        self.rnd = random.Random(seed)
        self.shown = Shown()
        self.gone_ms = []
        self.unended = set()  # requests that a kill has cut off
        self.interrupted = 0
        self.models = os.path.join(world, "m")
        self.workers = ["good", "flaky", "loop"]

    # -- what is left

    def left(self):
        """Pids of workers and of what they have started that are still there."""
        inside = (self.models + "/").encode()
        children = set()
        for name in os.listdir(self.models):
            if name.endswith(".child"):
                with open(os.path.join(self.models, name), encoding="ascii") as file:
                    children.update(file.read().split())
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read()
                is_child = pid in children and words.startswith(b"/bin/sleep\0infinity")
                if inside in words or is_child:
                    found.append(pid)
            except OSError:
                pass  # it has ended
        return found

    def check_gone(self):
        began = time.monotonic()
        wait_until("workers of the killed supervisor are gone", lambda: not self.left())
        self.gone_ms.append((time.monotonic() - began) * 1000)

    # -- what is stored

    def read(self):
        """The rows as the next supervisor will find them, from a copy: its own recovery of the file
        is part of what is tried."""
        state = os.path.join(self.world, "state/rbee")
        with tempfile.TemporaryDirectory(dir=self.world) as folder:
            for name in ("rbee.db", "rbee.db-wal"):
                if os.path.exists(os.path.join(state, name)):
                    shutil.copy(os.path.join(state, name), folder)
            db = sqlite3.connect(os.path.join(folder, "rbee.db"))
            try:
                counts = {}
                for name, total, attempt in db.execute(
                        "SELECT name, restart_count, attempt FROM workers"):
                    counts[(name, "restarts")] = total
                    counts[(name, "attempt")] = attempt
                for key, trips in db.execute("SELECT key, trip_count FROM breakers"):
                    counts[(key.removeprefix("worker:"), "trips")] = trips
                outcomes = dict(db.execute("SELECT id, outcome FROM requests"))
            finally:
                db.close()
        return counts, outcomes

    def check_stored(self):
        counts, outcomes = self.read()
        for at, count in self.shown.counts.items():
            if counts.get(at, 0) < count:
                raise Broken(f"{at} was shown as {count} and is stored as {counts.get(at, 0)}")
        for request in self.unended:
            if outcomes.get(request) != "interrupted":
                raise Broken(f"request {request} was cut off, and is '{outcomes.get(request)}'")
        self.interrupted += len(self.unended)
        self.unended = {request for request, outcome in outcomes.items() if outcome == ""}

    # -- starts

    def starts(self, name):
        try:
            with open(os.path.join(self.models, name + ".gguf.started"), encoding="ascii") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0

    def wait_for_starts(self, before):
        for name in self.workers:
            wait_until(f"worker {name} is started again", lambda n=name: self.starts(n) > before[n])

    def check_doubles(self):
        for name in os.listdir(self.models):
            if name.endswith(".log"):
                with open(os.path.join(self.models, name), encoding="utf-8") as file:
                    if any('"what": "double"' in line for line in file):
                        raise Broken(f"{name}: two processes at a time")

    # -- all of it

    def round(self):
        before = {name: self.starts(name) for name in self.workers}
        run = Run(self.world, self.shown, self.rnd)
        try:
            run.load()
            # Half of the kills come at any moment, the others after every worker has begun again:
            # so a restart that is due may be put off by kills, but not for ever. A third of all come
            # as soon as there is news, which must not be forgotten.
            if self.rnd.random() < 0.5:
                self.wait_for_starts(before)
            run.dies_of_news = self.rnd.random() < 1 / 3
            run.is_over.wait((PATIENCE_S if run.dies_of_news else self.rnd.random() * LATEST_KILL_S))
        finally:
            run.kill()
        self.check_gone()
        self.check_stored()
        self.check_doubles()

    def run(self):
        for number in range(1, self.kills + 1):
            try:
                self.round()
            except Broken as broken:
                print(f"kill {number}: {broken}")
                return 1
        self.report()
        return 0

    def report(self):
        counts, _ = self.read()
        total = {what: sum(n for (_, w), n in counts.items() if w == what)
                 for what in ("restarts", "trips")}
        starts = sum(self.starts(name) for name in self.workers + ["asked"])
        gone = sorted(self.gone_ms)
        print(f"{self.kills} kills -9: {starts} starts, {total['restarts']} restarts, "
              f"{total['trips']} openings, {self.interrupted} requests interrupted, "
              f"{self.shown.looks} looks; all workers gone after {gone[len(gone) // 2]:.0f} ms "
              f"(median), {gone[-1]:.0f} ms (worst)")


if __name__ == "__main__":
    sys.exit(Harness(sys.argv[1], int(sys.argv[2]), sys.argv[3]).run())
