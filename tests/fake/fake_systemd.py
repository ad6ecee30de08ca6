#!/usr/bin/env python3
"""A service manager for one service: what systemd does with Type=notify and a socket unit, to order.

    fake_systemd.py [OPTION...] PROGRAM [ARGUMENT...]

    --notify NAME      NOTIFY_SOCKET: a path, or @NAME for an abstract socket
    --log FILE         each message that arrives there, a line each; newlines in it are ";"
    --watchdog USEC    WATCHDOG_USEC
    --watchdog-pid N   WATCHDOG_PID, where it is to be another process's
    --unix PATH        a listening Unix socket, handed over; may be repeated
    --tcp FILE         one on 127.0.0.1; its port is written to FILE
    --udp, --file      what is none of both, handed over
    --wrong-pid        LISTEN_PID is another process's
    --activate         starts the program at the first connection

TERM, INT and HUP go on to the program; USR1 is a mark in the log, "-". The exit status is the
program's. Standard library only.
"""
import argparse
import os
import select
import signal
import socket
import sys

LISTEN_FIRST_FD = 3


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--notify")
    parser.add_argument("--log")
    parser.add_argument("--watchdog")
    parser.add_argument("--watchdog-pid")
    parser.add_argument("--unix", action="append", default=[])
    parser.add_argument("--tcp")
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--file", action="store_true")
    parser.add_argument("--wrong-pid", action="store_true")
    parser.add_argument("--activate", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def listen_on(options):
    sockets = []
    for path in options.unix:
        made = socket.socket(socket.AF_UNIX)
        made.bind(path)
        os.chmod(path, 0o600)
        made.listen()
        sockets.append(made)
    if options.tcp:
        made = socket.socket(socket.AF_INET)
        made.bind(("127.0.0.1", 0))
        made.listen()
        with open(options.tcp, "w") as file:
            file.write(str(made.getsockname()[1]))
        sockets.append(made)
    if options.udp:
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    if options.file:
        sockets.append(open(os.devnull))
    return sockets


def become_service(options, sockets):
    """In the child: descriptors and environment as systemd leaves them."""
    copies = [os.dup2(made.fileno(), 100 + i, inheritable=False) for i, made in enumerate(sockets)]
    for i, fd in enumerate(copies):
        os.dup2(fd, LISTEN_FIRST_FD + i, inheritable=True)
    if sockets:
        os.environ["LISTEN_FDS"] = str(len(sockets))
        os.environ["LISTEN_PID"] = str(os.getpid() + options.wrong_pid)
        os.environ["LISTEN_FDNAMES"] = ":".join(["rbeed"] * len(sockets))
    if options.notify:
        os.environ["NOTIFY_SOCKET"] = options.notify
    if options.watchdog:
        os.environ["WATCHDOG_USEC"] = options.watchdog
        os.environ["WATCHDOG_PID"] = options.watchdog_pid or str(os.getpid())
    os.execvp(options.command[0], options.command)


def main():
    options = arguments()
    notify = None
    log = open(options.log, "w", buffering=1) if options.log else sys.stderr
    if options.notify and options.notify[0] in "/@":
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(options.notify.replace("@", "\0", 1))
        notify.settimeout(0)
    sockets = listen_on(options)
    print("listening", flush=True)
    if options.activate:
        select.select(sockets, [], [])
    # The tail of the pipe that a signal writes to, so that a wait for messages sees it.
    wake, wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_in)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        become_service(options, sockets)

    def note_messages():
        while notify:
            try:
                log.write(notify.recv(4096).decode().replace("\n", ";") + "\n")
            except BlockingIOError:
                return

    while True:
        select.select([wake] + ([notify] if notify else []), [], [])
        try:
            signals = os.read(wake, 64)
        except BlockingIOError:
            signals = b""
        done, status = os.waitpid(pid, os.WNOHANG)
        note_messages()
        if done:
            sys.exit(os.waitstatus_to_exitcode(status) % 256)
        for number in signals:
            if number == signal.SIGUSR1:
                log.write("-\n")
            elif number != signal.SIGCHLD:
                os.kill(pid, number)


main()
