"""Starting a tool that a setting names, to see whether it is one: before the first job, not with every one."""

from __future__ import annotations

import subprocess
import tempfile
from functools import lru_cache

from clx.tools.catalog import TOOLS
from clx.tools.finding import Tool

_LIMIT_S = 20


def refusal(tool: Tool) -> str:
    """Why *tool* cannot be started, in words; empty when it can, or when it is nothing that is started.

    Each file is started once per process, and again when it has changed.
    """
    option = TOOLS[tool.name].trial(tool.path)
    if not option:
        return ""
    return _refusal(str(tool.path), option, tool.path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _refusal(program: str, option: str, _modified: int) -> str:
    with tempfile.TemporaryFile() as said:  # a pipe would be waited for as long as any child of it lives
        try:
            done = subprocess.run(
                [program, option], stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=_LIMIT_S, check=False
            )
        except OSError as error:
            return f"it cannot be started: {error.strerror}"
        except subprocess.TimeoutExpired:
            return f"{program} {option} did not end within {_LIMIT_S} s"
        if done.returncode <= 0:  # one that somebody killed may run the next time
            return ""
        said.seek(0)
        lines = said.read(4096).decode("utf-8", "replace").strip().splitlines()
    return f"{program} {option} ended with exit code {done.returncode}" + (f": {lines[-1]}" if lines else "")
