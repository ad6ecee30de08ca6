#!/usr/bin/env python3
"""Mixed load on a worker: many clients at a time with prompts short and long, some of which leave
early. Whatever runs beside it, a greedy answer is the one that its prompt gets alone.

    load.py SOCKET SECONDS [CLIENTS]

Prints one line of key=value; ends with 1 when an answer differs or a request fails.
"""

import json
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from unix_http import UnixConnection  # noqa: E402

PATIENCE_S = 120
SEED = 6
ANSWER_TOKENS = 48
# Lengths around a block of the KV store, a split of attention and a chunk of a prompt.
PROMPTS = [("once upon a time " * count).strip() for count in (1, 3, 7, 12, 40, 70, 130)]
SHARE_THAT_LEAVES = 0.2


def ask(path, prompt, leave_after=None):
    """The text of the answer; None for who has left."""
    connection = UnixConnection(path, PATIENCE_S)
    connection.request("POST", "/v1/inference", json.dumps({
        "prompt": prompt, "raw": True, "temperature": 0, "max_tokens": ANSWER_TOKENS, "stream": True}))
    reply = connection.getresponse()
    if reply.status != 200:
        raise RuntimeError(f"status {reply.status}: {reply.read().decode()}")
    text, events, is_ended = [], 0, False
    for line in reply:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[len(b"data: "):])
        if event["type"] == "error":
            raise RuntimeError(event["message"])
        if event["type"] == "token":
            text.append(event["t"])
        is_ended = is_ended or event["type"] == "end"
        events += 1
        if leave_after is not None and events >= leave_after:
            reply.close()
            connection.close()
            return None
    connection.close()
    if not is_ended:
        raise RuntimeError("the stream ended before its end")
    return "".join(text)


def wait_until_ready(path):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            connection = UnixConnection(path, PATIENCE_S)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass # it has not got there yet
        time.sleep(0.1)
    raise SystemExit("the worker does not get ready")


class Load:
    def __init__(self, path, seconds):
        self.path = path
        self.alone = [ask(path, prompt) for prompt in PROMPTS]
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.answered = self.left = 0
        self.wrong = []

    def run_client(self, number):
        chance = random.Random(SEED * 1000 + number)
        while time.monotonic() < self.end:
            which = chance.randrange(len(PROMPTS))
            leaves = chance.random() < SHARE_THAT_LEAVES
            try:
                text = ask(self.path, PROMPTS[which], chance.randrange(1, 20) if leaves else None)
                problem = None if text is None or text == self.alone[which] else f"prompt {which}: another answer"
            except (OSError, RuntimeError) as error:
                text, problem = None, f"prompt {which}: {error}"
            with self.lock:
                if problem is not None:
                    self.wrong.append(problem)
                elif text is None:
                    self.left += 1
                else:
                    self.answered += 1
            if problem is not None:
                return


def main():
    path, seconds = sys.argv[1], float(sys.argv[2])
    clients = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    wait_until_ready(path)
    load = Load(path, seconds)
    threads = [threading.Thread(target=load.run_client, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"answered={load.answered} left={load.left} wrong={len(load.wrong)}")
    for problem in load.wrong:
        print(problem, file=sys.stderr)
    return 1 if load.wrong or load.answered == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
