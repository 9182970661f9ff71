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

_UNKNOWN_OPTION = 2
_DISTRIBUTIONS = (".dist-info", ".egg-info", ".egg-link")
_ASK = """import sys
if not getattr(sys.flags, "safe_path", False): del sys.path[0]
import platform
print(platform.python_version(), *sys.path, sep="\\n")"""


def interpreter_fingerprint(python: str | None) -> dict[str, str]:
    """Version of *python* and a digest of the names (with versions) of what is installed for it.

    Only directories are listed. Another interpreter than CLX's own (None) is asked once per process
    where it looks for packages, and again when its file changes.

    Raises:
        ToolMissingError: *python* cannot be run.
    """
    version, *places = _version_and_places(python)
    names = sorted({name for place in dict.fromkeys(places) for name in distributions(place)})
    return {"python": version, "packages": hashlib.sha256("\n".join(names).encode()).hexdigest()}


def packaged_file(python: str | None, path: str) -> Path | None:
    """A file that a package of *python* (None: CLX's own) brings, by its path where packages are installed.

    Raises:
        ToolMissingError: *python* cannot be run.
    """
    _, *places = _version_and_places(python)
    return next((found for place in places if place and (found := Path(place, path)).is_file()), None)


def python_command(python: str) -> list[str]:
    """How *python* is started so that no file of the current directory is taken for one of its modules.

    That is what ``-P`` is for, which Python knows since 3.11; an older one is started without.
    """
    return [python, *(["-P"] if python == sys.executable or _knows_safe_path(python, _modified(python)) else [])]


def distributions(place: str) -> list[str]:
    """The names, with versions, of what is installed in a directory; reading any of it would take longer."""
    try:
        return [entry.name for entry in os.scandir(place) if entry.name.endswith(_DISTRIBUTIONS)]
    except OSError:
        return []


def _version_and_places(python: str | None) -> tuple[str, ...]:
    """The version of *python*, and where it looks for packages."""
    if python is None or python == sys.executable:
        version = ".".join(map(str, sys.version_info[:3]))
        return version, sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path
    return _ask(python, _modified(python))


def _modified(python: str) -> int:
    try:
        return Path(python).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=16)
def _knows_safe_path(python: str, _modified: int) -> bool:
    try:
        done = subprocess.run([python, "-P", "-c", ""], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return True  # it cannot be run at all, which whoever asks for more is told
    return done.returncode != _UNKNOWN_OPTION


@lru_cache(maxsize=16)
def _ask(python: str, _modified: int) -> tuple[str, ...]:
    try:
        command = [*python_command(python), "-c", _ASK]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissingError(
            f"the interpreter {python} cannot be run: {error}",
            "Set notebook.python to a Python interpreter that has ipykernel installed.",
            settings=["notebook.python"],
        ) from error
    return tuple(answer.stdout.splitlines())
