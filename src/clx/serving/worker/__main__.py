"""``python -m clx.serving.worker FD [KEPT [MODELS]] [--module=NAME…] [--path=DIR…]``: a worker at the socket *FD*.

With *KEPT*, where files that come by the link are kept, its controller is on another machine. Models that are code it
has of the named modules alone, which are looked for in those directories last.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from clx.platforms.offspring import die_with_parent
from clx.serving.worker.files import Files
from clx.serving.worker.process import Worker

_MODULE, _PATH = "--module=", "--path="


def main() -> None:
    die_with_parent()  # also when a model hangs, and nobody reads that the other end is gone
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the group; the controller decides
    link = socket.socket(fileno=int(sys.argv[1]))
    link.setblocking(True)
    words = sys.argv[2:]
    modules = [each.removeprefix(_MODULE) for each in words if each.startswith(_MODULE)]
    sys.path += [each.removeprefix(_PATH) for each in words if each.startswith(_PATH)]  # behind all that is installed
    directories = [Path(each) for each in words if not each.startswith("--")]
    kept, below = (*directories, None, None)[:2]
    Worker(link, Files(below, kept), modules).run()


if __name__ == "__main__":
    main()
