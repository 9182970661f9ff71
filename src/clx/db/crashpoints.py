"""Places where a test can kill the process: before and after every COMMIT.

``CLX_CRASH=claim.before_commit:2`` makes the second arrival at that point a SIGKILL of this process.
Disarmed, a point costs one dictionary test.
"""

from __future__ import annotations

import os

from clx.platforms import system

_armed: dict[str, int] = {}
if _setting := os.environ.get("CLX_CRASH"):
    _name, _, _nth = _setting.partition(":")
    _armed[_name] = int(_nth or 1)


def crash_point(transaction: str, moment: str) -> None:
    """Die here, at ``transaction.moment``, when the environment asks for it."""
    if not _armed or (name := f"{transaction}.{moment}") not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        system.send_signal(os.getpid(), system.KILL)
