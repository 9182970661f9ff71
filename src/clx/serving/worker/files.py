"""Files of models, as a worker of another machine has them: below a directory of its own, or by their digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from clx.serving.frames import Load
from clx.serving.onnx_parts import IN_OTHER_FILES, other_files_of
from clx.serving.worker.models import ModelError

Fetch = Callable[[int], bytes]
"""The bytes of a file from a place on, as many as come at once; none: they cannot be had."""


class Files:
    """Where a worker looks for what it is told to load.

    Args:
        below: the directory below which paths are; None: it has none.
        kept: where files that came by the link are kept; None: on a worker of this machine, which is told any path.
    """

    def __init__(self, below: Path | None = None, kept: Path | None = None) -> None:
        self._below = below
        self._kept = kept

    def find(self, asked: Load, fetch: Fetch) -> str:
        """The path of a file.

        Raises:
            ModelError: there is none, or it is not what it should be.
        """
        if self._kept is None:
            return asked.path
        if asked.path:
            return self._of_directory(asked.path)
        path = self._by_digest(self._kept, asked, fetch)
        elsewhere = other_files_of(Path(path))
        if elsewhere:
            raise ModelError(f"it has {IN_OTHER_FILES.format(', '.join(elsewhere)[:200])}")
        return path

    def _of_directory(self, path: str) -> str:
        if self._below is None:
            raise ModelError(f"it has no directory of models, so no {path}: start it with --models DIR")
        directory = self._below.resolve()
        try:
            found = (directory / path).resolve()
        except (OSError, RuntimeError, ValueError):
            raise ModelError(f"{path!r} is no path") from None
        if not found.is_relative_to(directory):
            raise ModelError(f"{path} is not below its directory of models, {directory}")
        if not found.is_file():
            raise ModelError(f"there is no {path} below {directory}")
        return str(found)

    def _by_digest(self, kept: Path, asked: Load, fetch: Fetch) -> str:
        if len(asked.digest) != 64 or set(asked.digest) - set("0123456789abcdef"):
            raise ModelError(f"{asked.digest[:80]!r} is no digest")
        target = kept / asked.digest
        try:
            if not target.is_file() or _digest(target) != asked.digest:
                kept.mkdir(parents=True, exist_ok=True)
                _fetch(target, asked, fetch)
        except OSError as error:
            raise ModelError(f"{target} cannot be kept: {error.strerror or error}") from None
        return str(target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(target: Path, asked: Load, fetch: Fetch) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    digest, at = hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            while at < asked.size:
                piece = fetch(at)
                if not piece:
                    raise ModelError("its file cannot be read where the controller is")
                digest.update(piece)
                file.write(piece)
                at += len(piece)
        if digest.hexdigest() != asked.digest:
            raise ModelError("its file came damaged: its digest is another")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
