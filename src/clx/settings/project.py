"""Where a project begins: how far upwards its ``.clx``, its ``slides`` and its settings are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from clx.platforms import system


def upwards(start: Path) -> Iterator[Path]:
    """*start* and the directories above it that can belong to the same project.

    The last one is the home directory, or the last of the same file system, or the last before one that belongs to
    a user who is neither this one, nor root, nor the owner of *start*.
    """
    home = os.path.expanduser("~")  # noqa: PTH111
    device, believed = -1, {0, system.user_id()}
    for folder in (start, *start.parents):
        try:
            found = os.stat(folder)  # noqa: PTH116  (pathlib's takes longer, and every command asks)
        except (FileNotFoundError, NotADirectoryError):
            yield folder  # not there yet
            continue
        except OSError:
            return
        if device < 0:
            device, believed = found.st_dev, believed | {found.st_uid}
        if found.st_dev != device or found.st_uid not in believed:
            return
        yield folder
        if str(folder) == home:
            return


def is_project(folder: Path) -> bool:
    """Whether a directory is the root of a course or of a project."""
    return os.path.isdir(folder / ".clx") or os.path.isdir(folder / "slides")  # noqa: PTH112  (these raise nothing)


def project_file(start: Path) -> Path | None:
    """The settings file of the project that *start* lies in; None when it has none.

    The nearest one from *start* upwards to the top of the git work tree, outside of one to the root of the course
    or project: a directory above, which others may be able to write, decides about nothing.
    """
    top = _work_tree(start)
    for folder in upwards(start):
        candidate = folder / ".clx" / "config.toml"
        # lexists: a dangling link or a directory of that name is reported, not passed over.
        if os.path.lexists(candidate):
            return candidate
        if folder == top or (top is None and is_project(folder)):
            return None
    return None


def _work_tree(start: Path) -> Path | None:
    """The top of the git work tree that *start* lies in, unless somebody else put its ``.git`` there."""
    from clx.settings.owners import complaint

    for folder in upwards(start):
        if os.path.lexists(folder / ".git"):
            return None if complaint(folder / ".git") else folder
    return None
