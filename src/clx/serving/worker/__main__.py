"""``python -m clx.serving.worker FD [KEPT [MODELS]] [--module=NAME…]``: a worker at the socket that it has as *FD*.

With *KEPT*, where files that come by the link are kept, its controller is on another machine. Models that are code it
has of the named modules alone.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from clx.platforms.offspring import die_with_parent
from clx.serving.worker.files import Files
from clx.serving.worker.process import Worker

_MODULE = "--module="


def main() -> None:
    die_with_parent()  # also when a model hangs, and nobody reads that the other end is gone
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the group; the controller decides
    link = socket.socket(fileno=int(sys.argv[1]))
    link.setblocking(True)
    modules = [each.removeprefix(_MODULE) for each in sys.argv[2:] if each.startswith(_MODULE)]
    directories = [Path(each) for each in sys.argv[2:] if not each.startswith(_MODULE)]
    kept, below = (*directories, None, None)[:2]
    Worker(link, Files(below, kept), modules).run()


if __name__ == "__main__":
    main()
