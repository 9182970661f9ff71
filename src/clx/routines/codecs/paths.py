"""Paths: as texts. What lies there does not travel: ``clx.File`` does."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from clx.routines.codecs.canonical import Writer, alone, as_type, quoted

_KINDS: dict[str, type[PurePath]] = {"path": Path, "posix": PurePosixPath, "windows": PureWindowsPath}


def writer(kind: type) -> Writer | None:
    """How values of *kind* are written: ``Path`` is one type, whichever system it was made on."""
    concrete = type(Path())
    name = next((name for name, each in _KINDS.items() if kind is (concrete if each is Path else each)), None)
    if name is None:
        return None
    return alone(lambda value: f'{{"$path":["{name}",{quoted(value.as_posix())}]}}')


def _read(data: Any) -> PurePath:
    kind, text = as_type(list, data, 2)
    return _KINDS[kind](as_type(str, text))


READ = {"$path": alone(_read)}
