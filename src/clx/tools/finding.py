"""Where a tool lies: setting, environment, cache, system, in this order.

Nothing here starts a process: a converter's fingerprint asks these questions for every build. The first
place that is named decides, also when nothing is there: a wrong setting never falls back silently.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from clx.errors import ToolMissingError
from clx.settings.schema import Settings
from clx.tools.catalog import PINS, TOOLS, install_hint
from clx.tools.spec import Pin

Origin = Literal["setting", "environment", "cache", "system"]


class Tool(msgspec.Struct, frozen=True):
    """A tool that was found."""

    name: str
    path: Path
    """The jar, the executable, or the directory of a web application; absolute."""
    version: str
    """As far as it can be told without starting the tool; may be empty."""
    origin: Origin


def locate(name: str, settings: Settings) -> Tool | None:
    """Find the tool *name*, or return ``None``.

    ``None`` also where a setting or variable names something that is not there; :func:`require` says so.
    """
    named = next(_named(name, settings), None)
    if named is None:
        return cached(name) or _system(name)
    origin, _, value = named
    path = _resolve(name, value)
    return _tool(name, path, origin) if path else None


def require(name: str, settings: Settings) -> Tool:
    """Find the tool *name*.

    Raises:
        ToolMissingError: it is nowhere, or a setting or variable names a place where it is not.
    """
    found = locate(name, settings)
    if found is not None:
        return found
    named = next(_named(name, settings), None)
    if named is None:
        raise ToolMissingError(f"{name} is not installed.", f"Type: {install_hint(name)}")
    origin, where, value = named
    raise ToolMissingError(
        f"{where} names {value}, where {name} is not.",
        f"Correct or remove {where}.",
        settings=[TOOLS[name].setting] if origin == "setting" else [],
    )


def cache_root() -> Path:
    """The user's cache directory for CLX: ``CLX_CACHE_DIR``, else where the platform keeps caches."""
    if chosen := os.environ.get("CLX_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("clx")


def cache_directory(pin: Pin) -> Path:
    """Where ``clx tools install`` unpacks *pin*."""
    return cache_root() / "tools" / pin.name / pin.version


def cached(name: str) -> Tool | None:
    """The installed copy of the pinned version of *name*, when it is complete."""
    pin = PINS.get(name)
    if pin is None or not pin.runs_here():
        return None
    directory = cache_directory(pin)
    if not (directory / pin.proof).is_file():
        return None
    return Tool(name, directory / pin.entry, pin.version, "cache")


def _named(name: str, settings: Settings) -> Iterator[tuple[Origin, str, str]]:
    """Every explicit choice of a place for *name*: its origin, what it is called, its value."""
    tool = TOOLS[name]
    section, _, field = tool.setting.partition(".")
    if value := getattr(getattr(settings, section), field) if field else None:
        yield "setting", f"the setting {tool.setting}", value
    if value := os.environ.get(tool.variable):
        yield "environment", f"the variable {tool.variable}", value


def _resolve(name: str, value: str) -> Path | None:
    """The absolute path that *value* names, when such a tool can be there."""
    if not TOOLS[name].programs:
        path = Path(value).expanduser().absolute()
        proof = path if path.suffix == ".jar" else path / PINS[name].proof
        return path if proof.is_file() else None
    program = shutil.which(os.fspath(Path(value).expanduser()))
    return Path(program).absolute() if program else None


def _system(name: str) -> Tool | None:
    for program in TOOLS[name].programs:
        if found := shutil.which(program):
            return _tool(name, Path(found).absolute(), "system")
    for candidate in _files(name):
        if path := _resolve(name, candidate):
            return _tool(name, path, "system")
    return None


def _files(name: str) -> tuple[str, ...]:
    return TOOLS[name].files


def _tool(name: str, path: Path, origin: Origin) -> Tool:
    return Tool(name, path, TOOLS[name].version(path), origin)
