"""``python -m clx.serving.worker FD [MODULE…]``: a worker at the socket that it has inherited as *FD*.

Models that are code it has of these modules alone."""

from __future__ import annotations

import signal
import socket
import sys

from clx.serving.worker.process import Worker


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the group; the controller decides
    Worker(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]).run()


main()
