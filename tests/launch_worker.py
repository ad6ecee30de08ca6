#!/usr/bin/env python3
"""Becomes a worker as the supervisor starts one: a listening socket on 3, the token on 4.

    launch_worker.py SOCKET TOKEN PROGRAM [OPTION...]
"""

import os
import socket
import sys


def main():
    path, token, program, *options = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    read_end, write_end = os.pipe()
    os.write(write_end, token.encode() + b"\n")
    os.close(write_end)
    # Out of the way of 3 and 4 first, whatever numbers they got.
    high = [os.dup(fd) for fd in (listener.fileno(), read_end)]
    high = [os.dup2(fd, 20 + i) for i, fd in enumerate(high)]
    os.dup2(high[0], 3)
    os.dup2(high[1], 4)
    os.closerange(5, 64)
    os.execv(program, [program, "--listen-fd", "3", "--token-fd", "4", *options])


if __name__ == "__main__":
    main()
