#!/usr/bin/env python3
"""Somebody at a terminal: runs a command in a pty and does what stdin says, one step a line.

    pty_drive.py [--columns N] [--rows N] COMMAND [ARGUMENT...]

    expect TEXT     waits until TEXT has come since the last expect; \\n, \\e and \\xNN as in Python
    send TEXT       types it, with the same escapes; no newline is added
    terminal cooked whether the terminal would echo and edit lines, "raw" otherwise: waits until so
    file PATH       waits until that file is there
    resize COLUMNS ROWS
    signal NAME     sends it to the command

All that came is printed at the end, and the exit status is the command's (128 + N by a signal), or 99
when something did not come within $WAIT_LIMIT_S. Standard library only.
"""

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

LIMIT_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
NOT_SEEN = 99


class Terminal:
    def __init__(self, command, columns, rows):
        self.seen = b""
        self.from_here = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvp(command[0], command)

    def read(self, wait_s):
        """False: the command has closed its side."""
        if not select.select([self.fd], [], [], wait_s)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def wait_for(self, is_so, what):
        end = time.monotonic() + LIMIT_S
        while not is_so():
            if time.monotonic() > end or not self.read(0.02):
                if is_so():
                    return
                self.give_up(what)

    def give_up(self, what):
        sys.stderr.write(f"pty_drive: {what} did not come\n")
        self.show()
        os.close(self.fd)
        os.waitpid(self.pid, 0)
        sys.exit(NOT_SEEN)

    def show(self):
        sys.stdout.buffer.write(self.seen)
        sys.stdout.flush()

    def do_expect(self, text):
        wanted = text.encode()
        self.wait_for(lambda: wanted in self.seen[self.from_here :], repr(text))
        self.from_here = self.seen.index(wanted, self.from_here) + len(wanted)

    def do_send(self, text):
        os.write(self.fd, text.encode())

    def do_terminal(self, state):
        def is_so():
            flags = termios.tcgetattr(self.fd)[3]
            return bool(flags & termios.ICANON) == (state == "cooked")

        self.wait_for(is_so, f"a {state} terminal")

    def do_file(self, path):
        self.wait_for(lambda: os.path.exists(path), path)

    def do_signal(self, name):
        os.kill(self.pid, signal.Signals["SIG" + name])

    def do_resize(self, size):
        columns, rows = map(int, size.split())
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def finish(self):
        end = time.monotonic() + LIMIT_S
        while self.read(0.1):
            if time.monotonic() > end:
                self.give_up("the end")
        self.show()
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    steps = [line.rstrip("\n").partition(" ") for line in sys.stdin if line.strip()]
    terminal = Terminal(options.command, options.columns, options.rows)
    for verb, _, text in steps:
        # unicode_escape takes bytes for Latin-1: what was UTF-8 is put together again.
        escaped = text.encode().decode("unicode_escape")
        getattr(terminal, "do_" + verb)(escaped.encode("latin-1").decode())
    return terminal.finish()


sys.exit(main())
