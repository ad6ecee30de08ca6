#!/usr/bin/env python3
"""A server with OpenAI's API that computes nothing and fails to order: the command of a worker.

    fake_openai --script FILE (--port N | --uds PATH) [--token-file FILE] [ANYTHING...]

FILE is a script as fake_worker.py has them, which must lie beside this file; what is said there of
answers and faults within a stream holds here as well. What comes on top is in MORE, and below it as
faults. Standard library only; run by a test, never part of the product.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import fake_worker
from fake_script import AT_START, AT_TOKEN, DIRECTIVES, Script, fault, leave, sleep_for_ever, strike
from fake_worker import send_json

MORE = {
    # being asked
    "health_status": "CODE: of the health path, whatever else is well",
    "wants_token": "TOKEN: another one than that of its file",
    "models": "ID...: what /v1/models tells; without it there is no such route",
    "no_chat": "there is no /v1/chat/completions",
    "canary_status": "CODE MESSAGE: of every question for one token in one piece",
    "refuse": "CODE TYPE MESSAGE: every inference is answered with that error",
    "one_piece": "who asks for a stream gets one object",
    # within a stream
    "thoughts": "TEXT: reasoning_content before the answer",
    "no_reason": "no finish_reason",
    "finish_reason": "TEXT",
    "no_usage": "no usage",
    "token_at_end": "a token after the finish_reason",
}
DIRECTIVES.update(MORE)


@fault(AT_START, "steal", "exit|stay: another program has its port; it exits 1, or stays without one")
def start_steal(server, how):
    """A server of its own session and environment, that says yes to everything."""
    reader, writer = os.pipe()
    thief = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--thief-fd", str(writer), "--port",
         server.options["port"], "--script", os.devnull],
        start_new_session=True, pass_fds=[writer], env={"PATH": os.environ["PATH"]})
    os.read(reader, 1)
    server.journal("stolen", thief=thief.pid)
    if how == "exit":
        leave(1)
    sleep_for_ever()


@fault(AT_TOKEN, "fail_after", "N CODE MESSAGE: an error within the stream")
def fail_after(answer, code, *message):
    answer.put({"error": {"code": int(code), "message": " ".join(message), "type": "server_error"}})
    answer.finish()
    raise fake_worker.Gone


@fault(AT_TOKEN, "form_after", "N: an event that is JSON and nothing else")
def form_after(answer):
    answer.put(["no", "object"])


class Server(fake_worker.Worker):
    def answer(self, conn, method, target, headers, body):
        if self.script.has("never_answer"):
            sleep_for_ever()
        self.journal("asked", target=target, authorized="authorization" in headers)
        if target == "/health":
            default = 200 if self.is_ready else 503
            return send_json(conn, int(self.script.number("health_status", default)), {})
        if "x-request-id" in headers:  # as llama-cpp-python does with one that is no UUID
            return refuse(conn, 400, "invalid_request_error", "Invalid UUID in X-Request-ID")
        if self.token and headers.get("authorization", "") != "Bearer " + self.token:
            return refuse(conn, 401, "authentication_error", f"Invalid key: {self.token}")
        if method == "GET" and target == "/v1/models" and self.script.has("models"):
            models = [{"id": name, "object": "model"} for name in self.script.args("models")]
            return send_json(conn, 200, {"object": "list", "data": models})
        if target == "/v1/completions" or (target == "/v1/chat/completions"
                                           and not self.script.has("no_chat")):
            return self.answer_completion(conn, target, json.loads(body))
        return refuse(conn, 404, "not_found_error", "File Not Found")

    def answer_completion(self, conn, target, body):
        is_canary = not body["stream"]
        script = self.script
        self.journal("canary" if is_canary else "inference", target=target, body=body)
        if is_canary and script.has("canary_status"):
            code, *message = script.args("canary_status")
            return refuse(conn, int(code), "server_error", " ".join(message))
        if not is_canary and script.has("refuse"):
            code, kind, *message = script.args("refuse")
            return refuse(conn, int(code), kind, " ".join(message))
        if script.has("one_piece"):
            body["stream"] = False
        try:
            Answer(self, without_faults(script) if is_canary else script, conn, target, body).run()
        except (fake_worker.Gone, OSError):
            self.journal("gone")
            raise fake_worker.Gone from None
        return None


class Answer(fake_worker.Reply):
    """The events of the other fake in this language."""

    def __init__(self, server, script, conn, target, body):
        super().__init__(server, script, conn, "", body, threading.Event(), time.monotonic())
        self.is_chat = "chat" in target

    def event(self, value):
        getattr(self, "event_" + value["type"])(value)

    def event_started(self, _value):
        self.put_choice({"role": "assistant", "content": None}, "")
        if self.script.has("thoughts"):
            self.put_choice({"reasoning_content": self.script.text("thoughts")}, "")

    def event_token(self, value):
        self.put_choice({"content": value["t"]}, value["t"])

    def event_end(self, value):
        if not self.script.has("no_reason"):
            self.put_choice({}, "", self.script.text("finish_reason", value["stop_reason"]))
        if self.script.has("token_at_end"):
            self.put_choice({"content": "more"}, "more")
        if not self.script.has("no_usage") and "stream_options" in self.body:
            self.put({"choices": [], "usage": value["usage"]})

    def put_choice(self, delta, text, reason=None):
        content = {"delta": delta} if self.is_chat else {"text": text}
        self.put({"id": "x", "object": "chunk", "model": self.body["model"],
                  "choices": [{"index": 0, "finish_reason": reason, **content}]})

    def put(self, value):
        self.chunk(b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n")

    def send_whole(self, text, end):
        content = {"message": {"content": text}} if self.is_chat else {"text": text}
        send_json(self.conn, 200, {"choices": [{"finish_reason": end["stop_reason"], **content}],
                                   "usage": end["usage"]})


def without_faults(script):
    """For a canary: the faults are those of answers."""
    quiet = Script(script.folder, script.start)
    quiet.values = {name: args for name, args in script.values.items() if name not in AT_TOKEN}
    return quiet


def refuse(conn, status, kind, message):
    send_json(conn, status, {"error": {"code": status, "type": kind, "message": message}})


def listen(options):
    if "uds" in options:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(options["uds"])
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(options["port"])))
    listener.listen(64)
    return listener


def read_token(options):
    if "token_file" not in options:
        return ""
    with open(options["token_file"], encoding="ascii") as file:
        return file.read().strip()


def main():
    options = fake_worker.read_options(sys.argv[1:])
    path = options["script"]
    is_thief = "thief_fd" in options
    count = 0 if is_thief else fake_worker.count_start(path, os.environ.get("RBEE_INSTANCE", "-"))
    script = Script.read(path, count)
    fake_worker.say_first(script)
    server = Server({**options, "name": "fake", "model": path}, script,
                    script.text("wants_token") or read_token(options), None)
    signal.signal(signal.SIGTERM, server.on_term)
    server.journal("start", argv=sys.argv[1:], environ=[f"{k}={v}" for k, v in os.environ.items()])
    strike(AT_START, script, server)
    server.listener = listen(options)
    if is_thief:
        os.write(int(options["thief_fd"]), b"x")
    threading.Thread(target=server.load, daemon=True).start()
    fake_worker.accept(server)
    sleep_for_ever()


if __name__ == "__main__":
    main()
