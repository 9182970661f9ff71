"""Where a tool lies: setting, environment, cache, system, in this order.

Nothing here starts a process: a converter's fingerprint asks these questions for every build. The first
place that is named decides, also when nothing is there: a wrong setting never falls back silently.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clx.errors import ToolMissingError
from clx.settings.schema import Settings
from clx.tools.pins import PINS, Pin, install_hint

Origin = Literal["setting", "environment", "cache", "system"]

_VARIABLES = {
    "plantuml": "PLANTUML_JAR",
    "graphviz": "GRAPHVIZ_DOT",
    "drawio": "DRAWIO_APP",
    "drawio-math": "DRAWIO_MATH",
    "browser": "CHROME_PATH",
}
SETTINGS = {"plantuml": "plantuml.jar", "java": "plantuml.java", "browser": "drawio.executable"}
"""Tool → the setting, as dotted key, that names its place."""
_PROGRAMS = {
    "java": ("java",),
    "graphviz": ("dot",),
    "browser": (
        "chromium-headless-shell",
        "chrome-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ),
}
_FILES = {
    "plantuml": (
        "/usr/share/plantuml/plantuml.jar",
        "/usr/share/java/plantuml.jar",
        "/usr/share/java/plantuml/plantuml.jar",
        "/opt/homebrew/opt/plantuml/libexec/plantuml.jar",
        "/usr/local/opt/plantuml/libexec/plantuml.jar",
    ),
    "java": ("/opt/homebrew/opt/openjdk/bin/java", "/usr/local/opt/openjdk/bin/java"),
    "browser": (
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ),
}


@dataclass(frozen=True)
class Tool:
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
        settings=[SETTINGS[name]] if origin == "setting" else [],
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
    chosen = {
        "plantuml": settings.plantuml.jar,
        "java": settings.plantuml.java,
        "browser": settings.drawio.executable,
    }
    if value := chosen.get(name):
        yield "setting", f"the setting {SETTINGS[name]}", value
    variable = _VARIABLES.get(name, "")
    if value := os.environ.get(variable):
        yield "environment", f"the variable {variable}", value


def _resolve(name: str, value: str) -> Path | None:
    """The absolute path that *value* names, when such a tool can be there."""
    if name not in _PROGRAMS:
        path = Path(value).expanduser().absolute()
        proof = path if path.suffix == ".jar" else path / PINS[name].proof
        return path if proof.is_file() else None
    program = shutil.which(os.fspath(Path(value).expanduser()))
    return Path(program).absolute() if program else None


def _system(name: str) -> Tool | None:
    for program in _PROGRAMS.get(name, ()):
        if found := shutil.which(program):
            return _tool(name, Path(found).absolute(), "system")
    for candidate in (*_FILES.get(name, ()), *_beside_python(name)):
        if path := _resolve(name, candidate):
            return _tool(name, path, "system")
    return None


def _beside_python(name: str) -> tuple[str, ...]:
    """Where the pinned package puts its files when somebody installed it into this environment."""
    if name not in {"drawio", "drawio-math"}:
        return ()
    _, _, inside = PINS[name].prefix.partition("data/data/")
    return (str(Path(sys.prefix) / inside),)


def _tool(name: str, path: Path, origin: Origin) -> Tool:
    return Tool(name, path, _VERSIONS.get(name, _unknown_version)(path), origin)


def _unknown_version(_path: Path) -> str:
    return ""


def _jar_version(jar: Path) -> str:
    found = re.search(r"(\d+\.\d{4}\.\d+)", jar.name)
    return found.group(1) if found else ""


def _java_version(java: Path) -> str:
    """From the ``release`` file that every Java home carries."""
    try:
        release = (java.resolve().parent.parent / "release").read_text("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', release, re.MULTILINE)
    return found.group(1) if found else ""


_VERSIONS: dict[str, Callable[[Path], str]] = {"plantuml": _jar_version, "java": _java_version}
