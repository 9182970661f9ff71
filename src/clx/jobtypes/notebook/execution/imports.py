"""Which heavy libraries the cells of a run import, so that the parent of the kernels can load them first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PRELOADABLE = ("numpy", "pandas", "matplotlib", "scipy", "sympy", "sklearn", "PIL", "networkx")
"""Libraries worth loading once: slow to import, and their import has no effect a deck could notice."""

_NAME = r"[A-Za-z_][\w.]*"
_LIST = rf"{_NAME}(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,[ \t]*{_NAME}(?:[ \t]+as[ \t]+\w+)?)*"
_IMPORT = re.compile(
    rf"^[ \t]*import[ \t]+({_LIST})|^[ \t]*from[ \t]+({_NAME})[ \t]+import[ \t]+\(?[ \t]*({_LIST})", re.MULTILINE
)
_ENVIRONMENT = re.compile(r"\b(?:environ|putenv|setenv|load_dotenv)\b|^[ \t]*%(?:set_)?env\b", re.MULTILINE)


def heavy_imports(cells: Iterable[str], allowed: Sequence[str], cwd: Path) -> list[str]:
    """The modules of *allowed* libraries (by their top-level name) that *cells* name in an import.

    What ``from package import name`` names may be a module or not; the importer finds out.
    A library that a file or directory of *cwd* shadows is left out: the deck means its own.
    """
    found: dict[str, None] = {}
    for cell in cells:
        for modules, package, members in _IMPORT.findall(cell):
            names = _names(modules) + ([package, *(f"{package}.{name}" for name in _names(members))] if package else [])
            found.update((name, None) for name in names if name.partition(".")[0] in allowed)
    return [name for name in found if not shadows(cwd, name)]


def imports_differently(cells: Iterable[str], cwd: Path) -> bool:
    """Whether an import in *cells* may depend on what only this run has.

    Libraries read environment variables while they are imported; matplotlib reads ``matplotlibrc``.
    """
    return (cwd / "matplotlibrc").exists() or any(_ENVIRONMENT.search(cell) for cell in cells)


def _names(listed: str) -> list[str]:
    return [each.split()[0] for each in listed.split(",") if each.strip()]


def shadows(cwd: Path, name: str) -> bool:
    """Whether a file or directory of *cwd* stands before the installed module *name*."""
    root = name.partition(".")[0]
    return (cwd / f"{root}.py").exists() or (cwd / root).is_dir()
