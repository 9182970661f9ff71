"""What an interpreter would run cells with: part of the key under which results are reused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path

from clx.errors import ToolMissingError

_DISTRIBUTIONS = (".dist-info", ".egg-info", ".egg-link")
_ASK = "import sys, site, platform; print(platform.python_version()); print(*sys.path[1:], sep='\\n')"


def interpreter_fingerprint(python: str | None) -> dict[str, str]:
    """Version of *python* and a digest of the names (with versions) of what is installed for it.

    Only directories are listed. Another interpreter than CLX's own (None) is asked once per process
    where it looks for packages, and again when its file changes.

    Raises:
        ToolMissingError: *python* cannot be run.
    """
    if python is None or python == sys.executable:
        version = ".".join(map(str, sys.version_info[:3]))
        places = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path)
    else:
        version, *places_found = _ask(python, _modified(python))
        places = tuple(places_found)
    names = sorted({name for place in dict.fromkeys(places) for name in _distributions(place)})
    return {"python": version, "packages": hashlib.sha256("\n".join(names).encode()).hexdigest()}


def _distributions(place: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if entry.name.endswith(_DISTRIBUTIONS)]
    except OSError:
        return []


def _modified(python: str) -> int:
    try:
        return Path(python).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=16)
def _ask(python: str, _modified: int) -> tuple[str, ...]:
    try:
        answer = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissingError(
            f"the interpreter {python} cannot be run: {error}",
            "Set notebook.python to a Python interpreter that has ipykernel installed.",
            settings=["notebook.python"],
        ) from error
    return tuple(answer.stdout.splitlines())
