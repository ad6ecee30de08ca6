#!/usr/bin/env python3
"""`rbee top` on a terminal of its own, under something that behaves like a shell.

    top_terminal.py signals PROGRAM     for each signal, to the process that was started and to the one
                                        that draws: the terminal is as it was, and the status tells why
    top_terminal.py mouse PROGRAM       a press on a tab shows its view
    top_terminal.py cost SECONDS MARKER COMMAND...
                                        time to the first frame (of which MARKER, an expression, is
                                        the end), CPU and bytes a second, as JSON

The shell is a session leader with the terminal; what it runs gets a process group of its own in the
foreground, and the terminal's settings are compared before and after."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LIMIT_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
ROWS, COLUMNS = 24, 80
IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}  # by every rbee: writing fails instead
NOT_AN_END = {signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN,
              signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH}
# Switched on by the dashboard, and off again: the last word must be the second.
MODES = {"alternate screen": (rb"\x1b\[\?1049h", rb"\x1b\[\?1049l"),
         "hidden cursor": (rb"\x1b\[\?25l", rb"\x1b\[[?0-9;hl\x1b[]*25h"),
         "mouse": (rb"\x1b\[\?[0-9;]*1000h", rb"\x1b\[\?[0-9;]*1000l")}


class Shell:
    """A session with a terminal, in which COMMAND runs in the foreground."""

    def __init__(self, command):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.reports, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.reports)
            self.be_the_shell(command, write)
        os.close(write)
        self.started = int(self.read_report())

    def be_the_shell(self, command, write):
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(self.slave, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores these two
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.closerange(3, 64)
            os.environ["TERM"] = "xterm-256color"
            os.execvp(command[0], command)
        os.write(write, b"%d\n" % job)
        _, status = os.waitpid(job, 0)
        os.tcsetpgrp(self.slave, os.getpid())
        os.write(write, b"%d\n" % status)
        os._exit(0)

    def read_report(self):
        """A line that the shell says; what the terminal shows meanwhile is read."""
        line = b""
        end = time.monotonic() + LIMIT_S
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.reports, self.master], [], [], end - time.monotonic())
            if not ready:
                raise SystemExit("nothing was heard; the terminal shows %r" % self.output[-2000:])
            if self.master in ready:
                self.output += os.read(self.master, 65536)
            elif self.reports in ready:
                line += os.read(self.reports, 1)
        return line

    def await_output(self, pattern):
        end = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.output):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise SystemExit("no %r on the terminal: %r" % (pattern, self.output[-2000:]))
            self.output += os.read(self.master, 65536)

    def drain(self):
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)

    def end(self):
        os.waitpid(self.pid, 0)
        for fd in (self.master, self.slave, self.reports):
            os.close(fd)


def twin_of(pid):
    """The process that draws."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            children = file.read().split()
        if children:
            return int(children[0])
    raise SystemExit("nobody draws")


def is_there(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def check_restored(shell, what):
    faults = []
    for mode, (on, off) in MODES.items():
        starts = [match.start() for match in re.finditer(on, shell.output)]
        ends = [match.start() for match in re.finditer(off, shell.output)]
        if not starts:
            faults.append("%s was never on" % mode)
        elif not ends or ends[-1] < starts[-1]:
            faults.append("%s is left on" % mode)
    if termios.tcgetattr(shell.slave) != shell.before:
        faults.append("settings differ")
    if faults:
        raise SystemExit("%s: %s" % (what, ", ".join(faults)))


def one_signal(program, number, is_twin):
    what = "%s to the %s" % (signal.Signals(number).name, "twin" if is_twin else "guard")
    shell = Shell([program, "top"])
    shell.await_output(rb"Overview(.|\n)*quit")
    twin = twin_of(shell.started)
    os.kill(twin if is_twin else shell.started, number)
    if number in IGNORED:
        os.write(shell.master, b"q")
    status = int(shell.read_report())
    end = time.monotonic() + LIMIT_S
    while is_there(twin):  # a guard that was killed is survived by the time this takes
        shell.drain()
        if time.monotonic() > end:
            raise SystemExit("%s: the twin goes on" % what)
    shell.drain()
    check_restored(shell, what)
    wanted = 0 if number in IGNORED else number
    got = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
    if got != wanted:
        raise SystemExit("%s: it ended with %d, not with %d" % (what, got, wanted))
    shell.end()


def signals(program):
    count = 0
    for number in sorted(set(signal.Signals) - NOT_AN_END):
        if number >= signal.SIGRTMIN:
            continue
        for is_twin in (False, True):
            one_signal(program, number, is_twin)
            count += 1
    print("%d ends, the terminal as it was after each" % count)


def mouse(program):
    """A press on the tab of the events, as a terminal reports it (xterm's SGR form)."""
    shell = Shell([program, "top"])
    shell.await_output(rb"Overview(.|\n)*quit")
    column = len(" 1 Overview  2 Workers  3 Requests  4 GPUs  5 Breakers  6 E")
    os.write(shell.master, b"\x1b[<0;%d;2M\x1b[<0;%d;2m" % (column, column))
    shell.await_output(rb"events  \d+ lines")
    os.write(shell.master, b"q")
    shell.read_report()
    shell.end()
    print("a press on a tab shows its view")


def cpu_s(pids):
    """What they have computed, to the nanosecond (Documentation/scheduler/sched-stats)."""
    total = 0
    for pid in pids:
        with open("/proc/%d/schedstat" % pid, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def tree(pid):
    pids = [pid]
    for parent in pids:
        with open("/proc/%d/task/%d/children" % (parent, parent), encoding="ascii") as file:
            pids += [int(child) for child in file.read().split()]
    return pids


def cost(seconds, command, marker):
    began = time.monotonic()
    shell = Shell(command)
    shell.await_output(marker)
    first_ms = (time.monotonic() - began) * 1000
    shell.output = b""
    pids = tree(shell.started)
    computed_s, began = cpu_s(pids), time.monotonic()
    while time.monotonic() - began < seconds:
        if select.select([shell.master], [], [], 0.1)[0]:
            shell.output += os.read(shell.master, 65536)
    took = time.monotonic() - began
    share = (cpu_s(pids) - computed_s) / took
    os.write(shell.master, b"q")
    print(json.dumps({"command": " ".join(command), "first_frame_ms": round(first_ms, 1),
                      "cpu_percent": round(share * 100, 3),
                      "bytes_per_s": round(len(shell.output) / took)}))
    shell.read_report()
    shell.end()


def main():
    if sys.argv[1] == "signals":
        signals(sys.argv[2])
    elif sys.argv[1] == "mouse":
        mouse(sys.argv[2])
    else:
        cost(float(sys.argv[2]), sys.argv[4:], sys.argv[3].encode())


if __name__ == "__main__":
    main()
