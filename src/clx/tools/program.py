"""Running a program for a job: bounded in time, gone with its worker, and told little of the user's environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from clx.platforms import system

_LONGEST = 1_000_000
"""Bytes of what a program says that are read."""
_KEPT_VARIABLES = ("HOME", "LD_LIBRARY_PATH", "PATH", "TZ", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


def run(
    command: Sequence[str], directory: Path | None, timeout: float, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and all that a program said; its whole process group is ended after *timeout* seconds.

    Raises:
        TimeoutError: it did not end by itself.
        OSError: it cannot be started.
    """
    with tempfile.TemporaryFile() as said:  # a pipe would be waited for as long as any child of it lives
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        with process:
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise TimeoutError from None
            finally:
                if process.poll() is None:
                    system.kill_group(process.pid)
        said.seek(0)
        return process.returncode, said.read(_LONGEST).decode("utf-8", "replace").strip()


def dies_with_parent() -> list[str]:
    """What stands before a command that is to end at once when its worker is killed, even while it is busy."""
    setpriv = shutil.which("setpriv") if system.NAME == "linux" else None
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def at_most(memory: int) -> list[str]:
    """What stands before a command that may take so many bytes of address space, or fewer where fewer are allowed."""
    shell = shutil.which("sh")
    within = 'ulimit -S -v "$0" 2>/dev/null; exec "$@"'
    return [shell, "-c", within, str(memory >> 10)] if shell else []


def small_environment() -> dict[str, str]:
    """Little of the user's: diagrams may look at it, and variables that tools have of their own must not count."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    fonts = {name: value for name, value in os.environ.items() if name.startswith("FONTCONFIG_")}
    # SERVER_NAME makes Graphviz refuse every file that a diagram names (image=, shapefile=, <img src>).
    return kept | fonts | {"LC_ALL": "C.UTF-8", "SERVER_NAME": "clx"}
