"""How PlantUML is started: which tools, which flags, which little of the environment."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clx.jobtypes.plantuml.jvm import Jvm
from clx.jobtypes.plantuml.stage import Stage
from clx.settings.schema import Settings
from clx.tools.finding import cache_root, locate, require
from clx.tools.fingerprint import file_stamp
from clx.tools.program import dies_with_parent, small_environment

PICTURE_LIMIT_PX = 16_384
"""Longest side of a PNG; PlantUML cuts off what is beyond it without a word."""
_FLAGS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    # Quick to start and fast enough: diagrams are small (a third less time for a batch of twenty).
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
    f"-DPLANTUML_LIMIT_SIZE={PICTURE_LIMIT_PX}",
    "-DPLANTUML_SECURITY_PROFILE=ALLOWLIST",
)
_USUAL_DPI = 96
_STALE_S = 3600
_ARCHIVES_SINCE = 13
"""The first Java with ``-XX:ArchiveClassesAtExit``."""


@dataclass(frozen=True)
class Tools:
    """What a JVM is started with."""

    java: Path
    jar: Path
    dot: Path | None
    """Graphviz; ``None``: PlantUML's own layout (Smetana) stands in."""
    pinned: bool
    """Whether the jar is the one that CLX installed."""
    archives: bool
    """Whether this Java can write class archives and read them from the user's cache."""

    @classmethod
    def find(cls, settings: Settings) -> Tools:
        """Locate the tools."""
        jar, java, dot = require("plantuml", settings), require("java", settings), locate("graphviz", settings)
        major = java.version.partition(".")[0]
        return cls(
            java=java.path,
            jar=jar.path,
            dot=dot.path if dot else None,
            pinned=jar.origin == "cache",
            # A colon would separate two archives.
            archives=major.isdigit() and int(major) >= _ARCHIVES_SINCE and os.pathsep not in str(cache_root()),
        )


class Look(NamedTuple):
    """What pictures one JVM makes: it is told at its start."""

    format: str
    scale: float = 1.0
    """Of PNG files; 2: twice the pixels."""
    page: int = 0
    """Which of the pages that ``newpage`` makes of a diagram; 0-based."""

    def flags(self) -> list[str]:
        """As PlantUML is told."""
        flags = [f"-t{self.format}"]
        if self.scale != 1 and self.format == "png":
            flags.append(f"-Sdpi={round(_USUAL_DPI * self.scale)}")
        return [*flags, "-pipeimageindex", str(self.page)] if self.page else flags


def start(tools: Tools, dot: Path | None, stage: Stage, scratch: Path, look: Look, save: Path | None) -> Jvm:
    """Start a JVM for pictures of one look.

    Args:
        dot: the program that it calls as Graphviz.
        save: where the JVM writes its class archive when it ends (:func:`unsaved_archive`).
    """
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [
        *dies_with_parent(),
        str(tools.java),
        *_FLAGS,
        *_archive_flags(tools, save),
        f"-Dplantuml.allowlist.path={stage.box}",
        f"-Djava.io.tmpdir={temporary}",
        # Otherwise Java writes ~/.java/.userPrefs.
        f"-Djava.util.prefs.userRoot={temporary}",
        *("-jar", str(tools.jar), *look.flags(), "-charset", "UTF-8", "-nometadata"),
        *(("-graphvizdot", str(dot)) if dot else ("-Playout=smetana",)),
    ]
    return Jvm(command, stage.directory, small_environment(), scratch / f"{look.format}-{look.scale:g}-{look.page}.log")


def unsaved_archive(tools: Tools) -> Path | None:
    """Where to write the class archive of this Java and jar; ``None`` when it is there or cannot be kept.

    An archive of the loaded classes halves the start of a JVM. It is written once, by the first JVM that
    ends in good order; :func:`keep_archive` then moves it to its place. Without it everything is only slower.
    """
    archive = _archive(tools)
    if archive.exists() or not tools.archives:
        return None
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        for left in archive.parent.glob("*.tmp"):
            if time.time() - left.stat().st_mtime > _STALE_S:
                left.unlink()
    except OSError:
        return None
    return archive.with_suffix(f".{os.getpid()}.tmp") if os.access(archive.parent, os.W_OK) else None


def keep_archive(tools: Tools, saved: Path) -> None:
    """Move a completely written class archive to where the next JVM finds it."""
    with contextlib.suppress(OSError):
        saved.replace(_archive(tools))


def _archive(tools: Tools) -> Path:
    # The JVM ignores an archive of another Java or jar, so both are part of the name.
    known_by = "\n".join((file_stamp(tools.java), file_stamp(tools.jar), *_FLAGS))
    return cache_root() / "java-classes" / f"plantuml-{hashlib.sha256(known_by.encode()).hexdigest()[:16]}.jsa"


def _archive_flags(tools: Tools, save: Path | None) -> list[str]:
    if not tools.archives:
        return []
    # Java writes its remarks about archives to standard output, where pictures are expected.
    if save is not None:
        return ["-Xlog:disable", f"-XX:ArchiveClassesAtExit={save}"]
    archive = _archive(tools)
    return ["-Xlog:disable", f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"] if archive.exists() else []
