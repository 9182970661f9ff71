"""Starting a tool that a setting names, to see whether it is one: before the first job, not with every one."""

from __future__ import annotations

from functools import lru_cache

from clx.tools.catalog import TOOLS
from clx.tools.finding import Tool
from clx.tools.program import run

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
    try:
        code, said = run([program, option], None, _LIMIT_S)
    except TimeoutError:
        return f"{program} {option} did not end within {_LIMIT_S} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror}"
    if code <= 0:  # one that somebody killed may run the next time
        return ""
    return f"{program} {option} ended with exit code {code}" + (f": {said.splitlines()[-1]}" if said else "")
