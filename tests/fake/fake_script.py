"""The language of fake_worker.py's scripts: directives, the stages of its faults, and how it ends.
What the faults do is fake_worker.py's."""

import fcntl
import os
import shlex
import signal
import time

# What is not a fault: name, arguments, meaning.
DIRECTIVES = {
    "include": "PATH: the directives of that file too, when it is there",
    # describing
    "describe_exit": "CODE REASON: --describe fails so",
    "describe_text": "TEXT: --describe prints this instead of its record",
    "describe_hang": "--describe never ends",
    "describe": "KEY VALUE: a field of the record (numbers and true/false are read as JSON)",
    # telling the devices (of the file `devices` beside the program)
    "device": "PCI [JSON]: a GPU with 8 GiB that can be used, but for the fields in JSON",
    "devices_reason": "TEXT: the reason of the whole",
    "devices_gate": "PATH: --devices waits until that file exists",
    "devices_hang": "--devices never ends",
    "devices_text": "TEXT: --devices prints this instead",
    "devices_exit": "CODE CLASS REASON: --devices fails so",
    # starting
    "stderr": "TEXT: a line on stderr at the start",
    "stdout": "TEXT: a line on stdout at the start",
    "load_steps": "N MS: N reports of progress, MS apart, before ready",
    "load_gate": "PATH: loads until that file exists",
    "load_follow": "PATH: the number in that file is how many percent are loaded; ready at 100",
    # answering
    "reply": "TEXT",
    "tokens": "N",
    "token_ms": "MS: between two events",
    "prefill_ms": "MS: before the first event",
    "prefill_steps": "N MS: the prompt is computed in N steps, MS apart, before the first event",
    "until": "PATH: tokens go on until that file exists; max_tokens counts",
    "slots": "N: requests at a time [what --slots says, or 1]",
    "memory": "BYTES: what /ready says of it",
    "runs_on": "DEVICE: what it says it runs on [what --device says]",
    "memory_parts": "BYTES BYTES: what it says of each of two devices, where it has two",
    "stop_reason": "stop|length|stop_string",
    "warning": "TEXT: a warning in the started event",
    "last_words": "CLASS REASON: said by whatever dies, of itself, without words of its own",
    "ping": "a comment before each token",
    # stopping
    "term_exit": "CODE: on TERM ends with this code",
    "term_ms": "MS: TERM is obeyed that much later",
    "ignore_term": "TERM does nothing",
    # switches of the transport
    "never_accept": "never takes a connection",
    "never_answer": "takes connections and never answers",
    "no_started": "the stream begins with its first token",
    "no_done": "the stream ends without [DONE]",
    "end_twice": "a second end event, and a token after it",
    "split_bytes": "MS: the stream leaves byte by byte, MS apart (characters are cut)",
    # looking
    "journal": "PATH: appends one JSON line for each thing that happens",
}

# The stages in which a fault strikes, each with its functions by name.
AT_START, IN_LOAD, WHEN_READY, IN_READY, IN_DRILL, IN_INFERENCE, AT_TOKEN = ({} for _ in range(7))


def fault(stage, name, text):
    """Makes a function the fault NAME of STAGE."""
    def register(function):
        DIRECTIVES[name] = text
        stage[name] = function
        return function
    return register


def strike(stage, script, *args):
    """Each fault of STAGE that SCRIPT has. A true result ends what was being done."""
    for name, function in stage.items():
        if script.has(name) and function(*args, *script.args(name)):
            return True
    return False


class Script:
    """The directives that hold for one start, or for one request of it: name -> arguments."""

    def __init__(self, folder, start):
        self.folder = folder
        self.start = start
        self.rows = []  # requests they hold for ("": the process), name, arguments
        self.values = {}

    @classmethod
    def read(cls, path, start):
        script = cls(os.path.dirname(os.path.abspath(path)), start)
        script.read_file(path)
        script.choose(0)
        return script

    def read_file(self, path):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                self.read_line(f"{path}:{number}", line)

    def read_line(self, place, line):
        words = shlex.split(line, comments=True)
        scopes = {"@": "", "%": ""}
        while words and words[0][:1] in scopes:
            scope = words.pop(0)
            scopes[scope[0]] = scope[1:]
        if not words or not in_range(self.start, scopes["@"]):
            return
        name, args = words[0], words[1:]
        if name not in DIRECTIVES:
            leave(10, "config", f"{place}: unknown directive {name}")
        if name != "include":
            self.rows.append((scopes["%"], name, args))
        elif os.path.exists(os.path.join(self.folder, args[0])):
            self.read_file(os.path.join(self.folder, args[0]))

    def choose(self, request):
        for requests, name, args in self.rows:
            if not requests or in_range(request, requests):
                self.values.setdefault(name, []).append(args)

    def for_request(self, number):
        """The same for the NUMBERth request of this process."""
        script = Script(self.folder, self.start)
        script.rows = self.rows
        script.choose(number)
        return script

    def has(self, name):
        return name in self.values

    def args(self, name):
        """The arguments of the last NAME, or nothing."""
        return self.values.get(name, [[]])[-1]

    def all(self, name):
        return self.values.get(name, [])

    def text(self, name, default=""):
        return " ".join(self.args(name)) if self.has(name) else default

    def number(self, name, default):
        return float(self.args(name)[0]) if self.has(name) else default

    def path(self, name, index=0):
        return self.locate(self.args(name)[index])

    def locate(self, path):
        return os.path.join(self.folder, path)


def in_range(number, text):
    """TEXT is N, N-M or N-; nothing holds always."""
    first, dash, last = text.partition("-")
    if not text:
        return True
    return int(first) <= number <= (int(last) if last else float("inf") if dash else int(first))


def count_start(path, instance):
    """How often this model has been started, this one included."""
    with open(path + ".starts", "a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        count = int(file.read() or 0) + 1
        file.truncate(0)
        file.write(str(count))
        with open(path + ".started", "a", encoding="ascii") as lines:
            lines.write(f"{time.monotonic_ns() // 1000000} {instance} {os.getpid()}\n")
    return count


def wait_for_file(path, watch=lambda: None):
    while not os.path.exists(path):
        if watch():
            return
        time.sleep(0.002)


def leave(code, fault_class=None, reason=""):
    if fault_class:
        os.write(2, f"fatal class={fault_class} reason={reason}\n".encode())
    os._exit(code)


def sleep_for_ever():
    while True:
        time.sleep(3600)


def die(script, how):
    """A number is an exit code, anything else the name of a signal."""
    if script.has("last_words"):
        fault_class, *reason = script.args("last_words")
        os.write(2, f"fatal class={fault_class} reason={' '.join(reason)}\n".encode())
    if how.isdigit():
        os._exit(int(how))
    os.kill(os.getpid(), getattr(signal, "SIG" + how.upper()))
    sleep_for_ever()


def stop_oneself():
    """Not a thread of us runs on until somebody sends CONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def spin():
    """Computes for ever in one call of C: no other thread runs, no signal is handled."""
    any(iter(int, 1))
