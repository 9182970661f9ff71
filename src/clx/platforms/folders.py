"""Two folders that change their names in one moment, where a system can do that."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from clx.platforms import system

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of renameat2(2)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one file system change their names in one moment; false, and nothing done, where none can."""
    if system.NAME != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # glibc 2.28 and newer
    return renameat2 is not None and renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
