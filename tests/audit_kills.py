#!/usr/bin/env python3
"""kill -9 of rbeed at its Nth write, sync or rename, while it is audited under load. Told by the suite
audit:

    audit_kills.py WORLD KILLS

WORLD is the test's folder. strace delivers the KILL as the system call begins, so that what the call
was to do has not happened. After each kill:

    every row is there whose deed had been answered (breakers are opened and reset, each answer waits
    for the disk), in the database or in an archive that had been answered
    every row is there that the list of rows had shown, with the hash it was shown with
    the next rbeed finds that the chain holds

Ends with 1 and what was wrong, else prints figures. Standard library only.
"""

import glob
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

from unix_http import UnixConnection

PATIENCE_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
# What is killed in, and how the count grows from kill to kill; a count that is never reached ends
# with a KILL of our own, after LOAD_S.
CALLS = [("pwrite64", 7), ("fdatasync", 2), ("write", 11), ("fsync", 1), ("rename", 1), ("ftruncate,unlink", 1)]
LOAD_S = 3.0
OPENERS = 2


# LeakSanitizer and strace exclude each other.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


class Broken(Exception):
    """A promise was not kept."""


class World:
    def __init__(self, folder):
        self.folder = folder
        self.socket = os.path.join(os.environ["XDG_RUNTIME_DIR"], "rbee/rbee.sock")
        self.state = os.path.join(os.environ["XDG_STATE_HOME"], "rbee")
        self.done = set()  # (request id, kind) of deeds that were answered
        self.shown = {}  # number: hash
        self.lock = threading.Lock()
        self.count = 0

    def ask(self, method, path, body=None, label="x"):
        """The reply, or None when there was none."""
        connection = UnixConnection(self.socket, PATIENCE_S)
        try:
            connection.request(method, path, body, {"X-Request-Id": label})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def label(self):
        with self.lock:
            self.count += 1
            return f"deed-{self.count}"


def open_and_reset(world, name, is_over):
    """Each answer says that its rows are on disk."""
    world.ask("POST", f"/v1/breakers/{name}/reset", b"{}")  # the run before may have left it open
    while not is_over.is_set():
        for act, kind in (("open", "breaker_forced_open"), ("reset", "breaker_closed")):
            label = world.label()
            reply = world.ask("POST", f"/v1/breakers/{name}/{act}", b"{}", label)
            if reply is None:
                return
            if reply[0] != 200:
                raise Broken(f"{act} of {name}: {reply}")
            with world.lock:
                world.done.add((label, kind))


def look(world, is_over):
    """What the list has shown is there for good."""
    while not is_over.is_set():
        reply = world.ask("GET", "/v1/audit?limit=50")
        if reply is None:
            return
        if reply[0] == 200:
            with world.lock:
                world.shown.update((row["seq"], row["hash"]) for row in reply[1]["rows"])


def archive(world, is_over):
    while not is_over.wait(0.15):
        if world.ask("POST", "/v1/audit/archive", b'{"before":"100ms"}') is None:
            return


def start(world, trace):
    reader, writer = os.pipe()
    log = open(os.path.join(world.folder, "kills.log"), "ab")
    command = trace + [os.path.join(world.folder, "bin/rbeed"), "--ready-fd", str(writer)]
    process = subprocess.Popen(command, pass_fds=[writer], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    os.close(writer)
    with os.fdopen(reader) as ready:
        said = ready.readline().strip()
    return process, said


def rbeed_pids(world):
    pids = []
    for path in glob.glob("/proc/[0-9]*/exe"):
        try:
            if os.readlink(path) == os.path.join(world.folder, "bin/rbeed"):
                pids.append(int(path.split("/")[2]))
        except OSError:
            pass
    return pids


def rows_on_disk(world):
    database = sqlite3.connect(os.path.join(world.state, "rbee.db"))
    rows = {}
    for name in sorted(glob.glob(os.path.join(world.state, "audit", "*.jsonl"))):
        for line in open(name, encoding="utf-8"):
            row = json.loads(line)
            rows[row["seq"]] = (row["request_id"], row["kind"], row["hash"])
    # A kill may have come before there was a table; then nothing has been answered either.
    if database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'audit'").fetchone()[0] == 1:
        for seq, request_id, kind, hash_ in database.execute("SELECT seq, request_id, kind, hash FROM audit"):
            rows[seq] = (request_id, kind, hash_)
    database.close()
    return rows


def check(world):
    rows = rows_on_disk(world)
    there = {(request_id, kind) for request_id, kind, _ in rows.values()}
    missing = world.done - there
    if missing:
        raise Broken(f"answered and forgotten: {sorted(missing)[:5]}")
    for seq, hash_ in world.shown.items():
        if seq not in rows or rows[seq][2] != hash_:
            raise Broken(f"row {seq} was shown, and is {rows.get(seq)}")


def one_kill(world, call, number):
    trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    process, said = start(world, trace)
    is_over = threading.Event()
    failures = []

    def guarded(work, *args):
        try:
            work(world, *args, is_over)
        except Broken as failure:
            failures.append(failure)

    jobs = [(open_and_reset, f"w{i}") for i in range(OPENERS)] + [(look,), (archive,)]
    threads = [threading.Thread(target=guarded, args=job) for job in jobs]
    was_reached = True
    if said == "ready":
        for thread in threads:
            thread.start()
        end = time.monotonic() + LOAD_S
        while time.monotonic() < end and any(thread.is_alive() for thread in threads[:OPENERS]):
            time.sleep(0.01)
        was_reached = not threads[0].is_alive()
        for pid in rbeed_pids(world):
            os.kill(pid, 9)
        is_over.set()
        for thread in threads:
            thread.join()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired as failure:
        raise Broken(f"strace does not end: {failure}") from failure
    if failures:
        raise failures[0]
    check(world)
    process, said = start(world, [])
    if said != "ready":
        raise Broken(f"the next rbeed says {said!r}")
    status, verdict = world.ask("GET", "/v1/audit/verify")
    process.terminate()
    if status != 200 or not verdict["good"]:
        raise Broken(f"the chain: {status} {verdict}")
    if process.wait(PATIENCE_S) != 0:
        raise Broken("the next rbeed does not end well")
    return was_reached


def main():
    world = World(sys.argv[1])
    kills = int(sys.argv[2])
    with open(os.path.join(os.environ["XDG_CONFIG_HOME"], "rbee/rbee.conf"), "a", encoding="utf-8") as config:
        for i in range(OPENERS):
            config.write(f'worker w{i} {{ model = "{world.folder}/m/none.gguf" }}\n')
    reached = 0
    for i in range(kills):
        call, step = CALLS[i % len(CALLS)]
        number = 1 + (i // len(CALLS)) * step
        try:
            reached += one_kill(world, call, number)
        except Broken as failure:
            print(f"kill {i + 1}, {call} number {number}: {failure}")
            sys.exit(1)
    print(f"{kills} kills, {reached} at the call, {len(world.done)} deeds answered, {len(world.shown)} rows shown, none lost")


main()
