"""Where the links of a course may lead.

A link's name may say something else than the name of what is behind it. So it is judged by both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from clx.jobtypes.notebook.deck import is_deck

OUTSIDE = "outside the course"


class Bounds(msgspec.Struct, frozen=True):
    """What of the file system belongs to a course.

    Attributes:
        shared: a directory outside of the root into which links may lead.
        own: directories that CLX writes into, as real paths, each with what it is: nothing is taken from them.
    """

    root: Path
    shared: Path | None = None
    own: Mapping[str, str] = {}

    def holds(self, path: str) -> bool:
        """Whether *path* lies below the root or in the shared directory once links are followed."""
        return self._below(os.path.realpath(path)) is not None

    def misled(self, link: str) -> str:
        """Where a *link* below the root leads that it must not, as what follows "is a link to"; empty if it may.

        It may be no link at all, then all is well.
        """
        real = os.path.realpath(link)
        if real == os.path.join(os.path.realpath(self.root), os.path.relpath(link, self.root)):  # noqa: PTH118
            return ""
        below = self._below(real)
        if below is None:
            return OUTSIDE
        if own := self.own_at(real):
            return own
        if below != "." and "/." in f"/{below}":
            return f"what begins with a dot ({below})"
        if is_deck(os.path.basename(real)) and not is_deck(os.path.basename(link)):  # noqa: PTH119
            return f"the deck {below} by another name"
        return ""

    def own_at(self, real: str) -> str:
        """What of CLX's own a real path lies in; empty when it lies in none."""
        return next((what for place, what in self.own.items() if is_below(real, place)), "")

    def _below(self, real: str) -> str | None:
        """A real path relative to the directory of the course that it lies in."""
        for folder in (self.root, self.shared):
            if folder is not None and is_below(real, top := os.path.realpath(folder)):
                return os.path.relpath(real, top)
        return None


def is_below(path: str, folder: str) -> bool:
    """Whether a normalized path is a directory or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
