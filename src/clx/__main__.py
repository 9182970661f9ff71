"""``clx`` and ``python -m clx``: the command line, which also ends in order while it still loads."""

from __future__ import annotations

import gc
import os
import signal


def main() -> None:
    """Run the command line and exit with its code."""
    gc.disable()  # loading makes no garbage; the command that was found looks for it again
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    from clx.cli.main import main as run

    run()


def _end(number: int, _frame: object) -> None:
    """Nothing has begun yet: nothing to put in order, and Python would print where it was."""
    os.write(2, b"Interrupted.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
