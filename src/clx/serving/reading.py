"""``python -m clx.serving.reading FD``: reads and writes large JSON for the controller at the socket *FD*."""

from __future__ import annotations

import signal
import socket
import sys

from clx.platforms.offspring import die_with_parent
from clx.serving.aside import serve


def main() -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the group; the controller decides
    link = socket.socket(fileno=int(sys.argv[1]))
    link.setblocking(True)
    serve(link)


if __name__ == "__main__":
    main()
