"""The one directory that PlantUML may read: a copy, in hard links, of one job's inputs.

A JVM lives longer than a job and cannot change its working directory, yet names in a diagram are relative
to the diagram's own folder. So the working directory is always the same, and each job's files are laid
around it as they lie around the source. For ``slides/m/pu/a.pu`` the working directory stands for
``slides/m/pu``, its parent for ``slides/m``, and so on up to the course root::

    box/up/up/…/up          the course root: everything, also under its own name
    box/up/up/…/up/up       slides: everything below it
    …                       working directory: what lies beside the source

Every level holds its whole subtree, so ``../pu/b.pu`` is found as well. Above the course root there are
only empty directories. PlantUML's allow-list is a comparison of text prefixes; the box therefore lies in a
private directory in which no other name starts like its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from clx.errors import ConversionError

_LEVELS = 16
_UP = ".clx-up"
"""Name of a level; a source tree has no such directory."""


class Stage:
    """The box, empty at first; *parent* is a private, existing directory on a path without symbolic links."""

    def __init__(self, parent: Path) -> None:
        self.box = parent / "box"
        self._levels = [self.box.joinpath(*[_UP] * depth) for depth in range(_LEVELS)]
        self.directory = self._levels[-1]
        """The working directory of the JVM."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def fill(self, inputs: Path, source: PurePosixPath) -> None:
        """Replace the content by *inputs* as seen from the folder of *source*, which must not lie too deep.

        Only regular files come in, and symbolic links that stay inside *inputs*.
        """
        folder = source.parent.parts
        if len(folder) >= _LEVELS:
            raise ConversionError(f"The file lies more than {_LEVELS - 1} directories deep.")
        self.clear()
        levels = self._levels[-len(folder) - 1 :]
        for path, file in _files(inputs):
            for depth, level in enumerate(levels):
                if path.parts[:depth] != folder[:depth]:
                    break
                _link(file, level.joinpath(*path.parts[depth:]))

    def replace(self, inputs: Path, source: PurePosixPath, path: Path, content: bytes) -> None:
        """Give the input *path* another *content*, in the box only."""
        folder = source.parent.parts
        parts = path.relative_to(inputs).parts
        for depth, level in enumerate(self._levels[-len(folder) - 1 :]):
            if parts[:depth] != folder[:depth]:
                break
            copy = level.joinpath(*parts[depth:])
            copy.unlink(missing_ok=True)  # The hard link, so that the input itself is not written to.
            copy.write_bytes(content)

    def clear(self) -> None:
        """Remove everything but the levels themselves."""
        for level in self._levels:
            with os.scandir(level) as entries:
                for entry in entries:
                    if entry.name == _UP:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        Path(entry.path).unlink()


def _files(inputs: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Every file of a job: its path below *inputs*, and the real file behind it."""
    top = inputs.resolve()
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            real = path.resolve()
            if real.is_relative_to(top) and real.is_file():
                yield PurePosixPath(path.relative_to(top)), real


def _link(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.hardlink_to(file)
    except OSError:
        # Another file system, or a file of somebody else (fs.protected_hardlinks).
        shutil.copyfile(file, place)
