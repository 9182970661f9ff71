"""Which Jupyter kernels are installed, by name; cheap to ask in every build, so nothing of Jupyter is imported."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_SYSTEM = ("/usr/local/share/jupyter", "/usr/share/jupyter")
_AT_HOME = (".local/share/jupyter", "Library/Jupyter", ".ipython")


def other_kernels() -> str:
    """Names, languages and titles of the installed kernels that are not for Python, as part of a fingerprint.

    They decide what runs decks in other languages, and what students' notebooks ask for. Python's own do not: cells
    in Python run in ``notebook.python``.
    """
    found = {}
    for directory in _directories():
        with contextlib.suppress(OSError):
            for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
                if entry.name not in found and (told := _told(Path(entry.path, "kernel.json"))):
                    found[entry.name] = told
    return ", ".join(f"{name}={told}" for name, told in sorted(found.items()) if not told.startswith("python "))


def _told(file: Path) -> str:
    """Language and title that a ``kernel.json`` names; empty when there is none."""
    try:
        known = json.loads(file.read_bytes())
        return f"{str(known.get('language')).lower()} {known.get('display_name')}"
    except (OSError, ValueError, AttributeError):
        return ""


def _directories() -> Iterator[str]:
    """Where Jupyter looks, in its order as far as it matters."""
    given = [each for each in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if each]
    own = [os.environ[name] for name in ("JUPYTER_DATA_DIR",) if os.environ.get(name)]
    windows = [os.path.join(os.environ[name], "jupyter") for name in ("APPDATA", "PROGRAMDATA") if name in os.environ]  # noqa: PTH118
    home = os.path.expanduser("~")  # noqa: PTH111 (cheaper, and it does not fail)
    at_home = [f"{home}/{each}" for each in _AT_HOME]
    for each in (*given, *own, *at_home, f"{sys.prefix}/share/jupyter", *windows, *_SYSTEM):
        yield f"{each}/kernels"
