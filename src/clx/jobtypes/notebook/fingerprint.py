"""What converted decks depend on besides their sources: cheap to ask, imports nothing of it."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from pathlib import Path

from clx.jobtypes.notebook.execution.interpreter import interpreter_fingerprint
from clx.jobtypes.notebook.settings import NotebookSettings
from clx.settings.schema import Settings
from clx.tools.fingerprint import MISSING

_DISTRIBUTIONS = (
    "jinja2",
    "jupytext",
    "latex2mathml",
    "markdown_it_py",
    "mdit_py_plugins",
    "nbformat",
    "pygments",
)
_OWN_FILES = (".py", ".j2", ".css")


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name the converter, its libraries and the interpreter that runs the cells.

    The converter is named by a digest of its own files, so that no change of it can be forgotten. A
    library that is not installed is ``missing``.

    Raises:
        ToolMissingError: the interpreter of ``notebook.python`` cannot be run.
    """
    return {
        "converter": _own_digest(),
        **_versions(tuple(sys.path)),
        **interpreter_fingerprint(settings.section(NotebookSettings).python),
    }


@functools.cache
def _own_digest() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in here.rglob("*") if path.suffix in _OWN_FILES):
        digest.update(f"{path.relative_to(here).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=4)
def _versions(places: tuple[str, ...]) -> dict[str, str]:
    """Versions by the names of the directories that installers leave behind; reading them would take longer."""
    found: dict[str, str] = {}
    for place in places:
        for entry in _entries(place):
            name, _, rest = entry.partition("-")
            name = name.lower().replace("-", "_").replace(".", "_")
            if rest.endswith(".dist-info") and name in _DISTRIBUTIONS:
                found.setdefault(name, rest.removesuffix(".dist-info"))
    return {name: found.get(name, MISSING) for name in _DISTRIBUTIONS}


def _entries(place: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place or ".")]
    except OSError:
        return []
