#!/usr/bin/env python3
"""A storm over rbeed: many clients at once do what clients, people and faults do, at random but from
a seed, while it runs with fake workers of every temper. Told by the suite supervisor_storm:

    storm.py SOCKET MODELS-FOLDER SECONDS SEED

Ends with 1 when the supervisor stops answering. What it must not do (die, leak, leave something
behind) is judged by the suite and by the sanitizers. Standard library only.
"""

import json
import os
import random
import signal
import socket
import sys
import threading
import time

TEMPERS = [
    'reply "a b c"', "tokens 50\ntoken_ms 5", "die_after 2 SEGV", "hang_after 1",
    "@1 exit 10 config no such thing", "ignore_term", "term_ms 400", "bad_json_after 1",
    "close_after 2", "load_steps 5 50", "child\ntokens 5", "tokens 2000\nreply " + "y" * 500,
    "no_done", "garbage_reply",
]
CLIENTS = 12
ANSWER_S = 60  # longer is a hang, however busy the machine


class Storm:
    def __init__(self, path, folder, seconds, seed):
        self.path = path
        self.folder = folder
        self.end = time.monotonic() + seconds
        self.seed = seed
        self.failures = []
        self.models = {}
        for number, temper in enumerate(TEMPERS):
            name = f"w{number}"
            self.models[name] = os.path.join(folder, name + ".gguf")
            with open(self.models[name], "w", encoding="utf-8") as file:
                file.write(temper + "\n")

    def send(self, method, path, body=None, leave_s=None):
        """One request; after LEAVE_S the client hangs up, whatever has come by then."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                f"Content-Length: {len(data)}\r\n\r\n").encode()
        until = time.monotonic() + (ANSWER_S if leave_s is None else leave_s)
        reply = b""
        with socket.socket(socket.AF_UNIX) as conn:
            conn.settimeout(ANSWER_S)
            conn.connect(self.path)
            conn.sendall(head + data)
            while (left := until - time.monotonic()) > 0:
                conn.settimeout(left)
                try:
                    chunk = conn.recv(65536)
                except TimeoutError:
                    break
                if not chunk:
                    return reply
                reply += chunk
        if leave_s is None:
            self.failures.append(f"{method} {path} was not answered")
        return reply

    def status(self):
        return json.loads(self.send("GET", "/v1/status").split(b"\r\n\r\n", 1)[1])

    # -- what may happen

    def infer(self, rnd, name, leave_s=3, **more):
        self.send("POST", "/v1/inference", {"model": name, "prompt": "x", **more}, leave_s)

    def leave(self, rnd, name):
        self.infer(rnd, name, rnd.random() * 0.3)

    def whole(self, rnd, name):
        self.infer(rnd, name, stream=False)

    def path_of_model(self, rnd, name):
        self.infer(rnd, self.models[name], rnd.random())

    def start(self, rnd, name):
        self.send("POST", f"/v1/workers/{name}/start", {})

    def stop(self, rnd, name):
        self.send("POST", f"/v1/workers/{name}/stop", {"force": rnd.random() < 0.5})

    def wait(self, rnd, name):
        goal = rnd.choice(["ready", "stopped"])
        self.send("GET", f"/v1/workers/{name}/wait?for={goal}", None, 1)

    def touch(self, rnd, name):
        os.utime(self.models[name])

    def add(self, rnd, name):
        self.send("POST", "/v1/models", {"path": self.models[name]}, rnd.choice([0.05, 5]))

    def remove(self, rnd, name):
        self.send("DELETE", f"/v1/models/{name}")

    def cancel(self, rnd, name):
        requests = self.status()["requests"]
        if requests:
            self.send("DELETE", "/v1/inference/" + rnd.choice(requests)["id"])

    def kill(self, rnd, name):
        pids = [w["pid"] for w in self.status()["workers"] if w["pid"]]
        try:
            if pids:
                os.kill(rnd.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            pass

    def client(self, number):
        rnd = random.Random(f"{self.seed}.{number}")
        deeds = ([self.infer] * 6 + [self.leave] * 4 + [self.add] * 2 +
                 [self.whole, self.path_of_model, self.start, self.stop, self.wait, self.touch,
                  self.remove, self.cancel, self.kill])
        while time.monotonic() < self.end and not self.failures:
            try:
                rnd.choice(deeds)(rnd, rnd.choice(list(self.models)))
            except OSError as error:
                self.failures.append(repr(error))

    def run(self):
        for name in self.models:
            self.send("POST", "/v1/models", {"path": self.models[name]})
        threads = [threading.Thread(target=self.client, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for failure in self.failures:
            print(failure)
        return 1 if self.failures else 0


if __name__ == "__main__":
    sys.exit(Storm(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]).run())
