#!/usr/bin/env python3
"""Types into a shell on a terminal and says what the shell made of it: completion_pty.py SHELL FILE

Each line on stdin is one try: "KEYS<TAB>TEXT", with KEYS "tab" (complete) or "all" (insert every match).
For each, the command line as it then stands is printed, its words with one space between them.
"""
import os
import pty
import re
import select
import struct
import sys
import fcntl
import termios
import time

LIMIT_S = float(os.environ.get("WAIT_LIMIT_S", "60"))
PROMPT = "READY>"
ALL_MATCHES = {"bash": "\x1b*", "zsh": "\x18a", "fish": None}
# The prompt's text must not stand in what is typed, which the terminal shows as well.
BEGIN = {
    "bash": [
        "bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'",
        "show() { printf 'GOT<%s>\\n' \"$*\"; }",
        "source @FILE@",
    ],
    "zsh": [
        "bindkey -e; unsetopt beep; show() { printf 'GOT<%s>\\n' \"$*\"; }",
        "fpath=(@FOLDER@ $fpath); autoload -Uz compinit; compinit -u -D",
        "zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches",
        "zstyle ':completion:all-matches:*' completer _all_matches _complete",
        "zstyle ':completion:all-matches:*' insert yes; zstyle ':completion:*' sort no",
    ],
    "fish": ["function show; printf 'GOT<%s>\\n' \"$argv\"; end", "source @FILE@"],
}
SET_PROMPT = {
    "bash": "PS1='REA''DY>'",
    "zsh": "PROMPT='REA''DY>'",
    "fish": "function fish_prompt; echo -n REA; echo -n 'DY>'; end",
}
PROGRAM = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


class Shell:
    def __init__(self, name, file):
        self.name = name
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="vt100", PROMPT_EOL_MARK="")
            os.execvp(PROGRAM[name][0], PROGRAM[name])
        self.pid = pid
        self.seen = ""
        # Wide enough that no line is broken, low enough that nothing asks before it lists.
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 4000, 0, 0))
        self.command(SET_PROMPT[name])
        for line in BEGIN[name]:
            self.command(line.replace("@FILE@", file).replace("@FOLDER@", os.path.dirname(file)))

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        end = time.monotonic() + LIMIT_S
        while True:
            match = re.search(pattern, self.seen, re.S)
            if match:
                self.seen = self.seen[match.end():]
                return match
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                sys.exit(f"{self.name} did not show {pattern!r}; it showed {self.seen!r}")
            try:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                sys.exit(f"{self.name} has ended; it showed {self.seen!r}")

    def command(self, line):
        self.type(line + "\r")
        self.wait_for(PROMPT)

    def complete(self, keys, text):
        """The words of the line after the keys: it is run as the arguments of a function."""
        if self.name == "fish" and keys == "all":
            quoted = text.replace("\\", "\\\\").replace("'", "\\'")
            before = text.rpartition(" ")[0]
            self.type(f"show {before} (complete -C '{quoted}' | string replace -r '\\t.*' '')\r")
        else:
            self.type(text + ("\t" if keys == "tab" else ALL_MATCHES[self.name]) + "\x01show \r")
        got = self.wait_for(r"GOT<(?!%s)(.*?)>\r?\n").group(1)
        self.wait_for(PROMPT)
        return re.sub(r"\s+", " ", got).strip()

    def end(self):
        self.type("\x15exit\r")
        os.waitpid(self.pid, 0)


def main():
    shell = Shell(sys.argv[1], os.path.abspath(sys.argv[2]))
    for line in sys.stdin:
        keys, text = line.rstrip("\n").split("\t", 1)
        print(shell.complete(keys, text), flush=True)
    shell.end()


main()
