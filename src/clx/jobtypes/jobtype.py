"""What a kind of work says of itself, so that nothing elsewhere needs to know it."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from clx import __version__
from clx.jobtypes.converter import Converter
from clx.settings.schema import Settings

_OWN_FILES = (".py", ".j2", ".css", ".html", ".js")
_BUNDLE = 100 << 10
"""Bytes that only bundles of others have, which change as a whole with their version."""
_SAMPLE = 4096
_SAMPLES = 16


class JobType(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work. It is described in ``jobtype.py`` of its room, which imports its settings at most.

    Attributes:
        name: the job type.
        title: what a person calls what it does.
        converter: ``module:class`` of its converter, imported in the worker only.
        sources: endings of the files of a topic that are each a picture to be made; none: it makes none.
        recognizes: ``module:function`` that tells of a path whether it is one: other programs use the endings, too.
        draws: ``module:function`` that tells of a source whether there is a picture in it; None: in each. Others are
            only included.
        includes: ``module:function`` that names the files a source reads, given it and the course root; None: none.
        readable: ``module:function`` that reads a source without drawing it, given the course root and its path below
            it, and raises what is wrong with it; None: only drawing tells.
        options: settings that change a result, as options of its jobs.
        limits: settings that bound its jobs and change no result, as further options.
        priority: of its jobs, 1 to 5; pictures come before the decks that show them.
        depends_on: tools that decide how a result looks, each by what it is called in the fingerprint.
        fingerprint_of: ``module:function`` that names what else does, given the settings; None: nothing.
        tools: what it cannot work without.
        optional_tools: what it works better with.
        packages: Python package it imports → the extra of CLX that brings it.
        memory: bytes that a busy worker with its helpers takes (measured on the example course).
        extra: the extra of CLX that its container image holds.
        image_tools: tools that its image holds.
    """

    name: str
    title: str
    converter: str
    sources: tuple[str, ...] = ()
    recognizes: str | None = None
    draws: str | None = None
    includes: str | None = None
    readable: str | None = None
    options: Callable[[Settings], Mapping[str, Any]] = lambda _settings: {}
    limits: Callable[[Settings], Mapping[str, Any]] = lambda _settings: {}
    priority: int = 3
    depends_on: Mapping[str, str] = msgspec.field(default_factory=dict)
    fingerprint_of: str | None = None
    tools: tuple[str, ...] = ()
    optional_tools: tuple[str, ...] = ()
    packages: Mapping[str, str] = msgspec.field(default_factory=dict)
    memory: int = 250 << 20
    extra: str = "diagrams"
    image_tools: tuple[str, ...] = ()

    def fingerprint(self, settings: Settings) -> dict[str, str]:
        """What results of this type depend on besides their inputs, cheap to ask; fonts are not named.

        The converter is known by a digest of its own files, and of those by which it reads sources and runs programs.
        """
        from clx.tools.finding import locate
        from clx.tools.fingerprint import tool_fingerprint

        found = {name: tool_fingerprint(locate(tool, settings)) for name, tool in self.depends_on.items()}
        more: Mapping[str, str] = named(self.fingerprint_of)(settings) if self.fingerprint_of else {}
        return {"clx": __version__, "converter": _digest_of(self.name), **found, **more}

    def make_converter(self, settings: Settings, scratch: Path) -> Converter:
        """A converter of this type; imports whatever it needs.

        Args:
            scratch: a directory it may keep files in while it lives; made here.

        Raises:
            ToolMissingError: a package it needs is not installed.
        """
        scratch.mkdir(parents=True, exist_ok=True)
        made: Converter = named(self.converter)(settings, scratch)
        return made

    def is_source(self, path: Path) -> bool:
        """Whether a file with one of its endings is a picture to be made."""
        return self.recognizes is None or bool(named(self.recognizes)(path))

    def has_picture(self, source: Path) -> bool:
        """Whether *source* is drawn, and not only included by others."""
        return self.draws is None or bool(named(self.draws)(source))

    def read_through(self, root: Path, source: str) -> None:
        """Read a *source* without drawing it.

        Raises:
            ConversionError: it cannot be drawn as it is written.
        """
        if self.readable is not None:
            named(self.readable)(root, source)

    def read_by(self, source: Path, root: Path) -> list[Path]:
        """The files that *source* reads, near and far, all below the course *root*."""
        return list(named(self.includes)(source, root)) if self.includes else []


@functools.cache
def _digest_of(room: str) -> str:
    here = os.path.dirname(__file__)  # noqa: PTH120  (in every build: without pathlib)
    digest = hashlib.sha256()
    beside = [f"{here}/{name}.py" for name in ("browser", "browser_page", "glyphs", "source")]
    for shared in (*beside, f"{os.path.dirname(here)}/tools/program.py"):  # noqa: PTH120
        _add(digest, shared)
    start = len(f"{here}/{room}/")
    for path in sorted(f"{folder}/{name}" for folder, _, names in os.walk(f"{here}/{room}") for name in names):
        if path.endswith(_OWN_FILES):
            digest.update(f"{path[start:]}\0{os.stat(path).st_size}\0".encode())  # noqa: PTH116
            _add(digest, path)
    return digest.hexdigest()[:16]


def _add(digest: Any, path: str) -> None:
    """Add what a file says; of a bundle, which may have a megabyte, samples and its end."""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123
        size = os.fstat(stream.fileno()).st_size
        if size < _BUNDLE:
            digest.update(stream.readall())
            return
        for start in (*range(0, size, size // _SAMPLES), size - _SAMPLE):
            stream.seek(start)
            digest.update(stream.read(_SAMPLE))


def named(place: str) -> Any:
    """What ``module:name`` names; imports the module."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
