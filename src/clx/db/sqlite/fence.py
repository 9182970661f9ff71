"""Another SQLite library of this process is kept from the files that it uses.

It knows nothing of the locks of the first one, and closing its look drops them all (sqlite.org/howtocorrupt.html,
2.2.1). Those that Python programs have are known by name; they are fenced in when they are loaded.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

_ENTRANCES = {
    "pysqlite3": "connect",
    "pysqlite3.dbapi2": "connect",
    "sqlean": "connect",
    "sqlean.dbapi2": "connect",
    "apsw": "Connection",
}
"""Module → what opens a file."""


def install(refuse: Callable[[str], None]) -> None:
    """Fence in those that are loaded, and those that will be; *refuse* is asked about each path that they open."""
    for name in _ENTRANCES:
        if (module := sys.modules.get(name)) is not None:
            _fence(module, refuse)
    sys.meta_path.insert(0, _Finder(refuse))


def _fence(module: ModuleType, refuse: Callable[[str], None]) -> None:
    name = _ENTRANCES[module.__name__]
    entrance = getattr(module, name, None)
    if isinstance(entrance, type):

        class Fenced(entrance):  # type: ignore[misc, valid-type]
            def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
                refuse(path_of(database))
                super().__init__(database, *arguments, **options)

        setattr(module, name, Fenced)
    elif entrance is not None:

        def connect(database: Any, *arguments: Any, **options: Any) -> Any:
            refuse(path_of(database))
            return entrance(database, *arguments, **options)

        setattr(module, name, connect)


def path_of(database: Any) -> str:
    """The file that a path or ``file:`` URI names."""
    text = os.fsdecode(database) if isinstance(database, str | bytes | os.PathLike) else ""
    return unquote(urlsplit(text).path) if text.startswith("file:") else text


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the others find, and fences it in when it has been loaded."""

    def __init__(self, refuse: Callable[[str], None]) -> None:
        self._refuse = refuse

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _ENTRANCES:
            return None
        for finder in sys.meta_path:
            found = None if finder is self else finder.find_spec(name, path, target)
            if found is not None and found.loader is not None:
                found.loader = _Loader(found.loader, self._refuse)
                return found
        return None


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, refuse: Callable[[str], None]) -> None:
        self._loader = loader
        self._refuse = refuse

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _fence(module, self._refuse)
