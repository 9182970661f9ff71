"""Files that cells write and the page shows: they become part of the page.

A page with them can be moved and sent as any other, nothing has to be published beside it, and what the cells of one
kind have written is seen in pages of that kind only.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Collection
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

LIMIT = 10_000_000
"""Bytes that such a file may have."""
_TYPES = {
    **{name: f"image/{name}" for name in ("png", "gif", "webp", "jpeg", "avif", "bmp")},
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "pdf": "application/pdf",
    "json": "application/json",
    "html": "text/html;charset=utf-8",
    "txt": "text/plain;charset=utf-8",
    "csv": "text/csv;charset=utf-8",
}
_IMAGE = re.compile(r"""<img\b(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_NAMED = re.compile(r"""(?<=[\s"'])(src|alt)=("[^"]*"|'[^']*')""")
_ATTRIBUTE = re.compile(r"""(?<=[\s"'])(src|href|poster|data)=("[^"<>]*"|'[^'<>]*')""")


def files_below(directory: Path) -> set[str]:
    """The files below *directory*, as paths."""
    return {os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names}  # noqa: PTH118


def with_placeholders(page: str, awaited: Collection[str], says: str) -> str:
    """A page whose cells are not run, with boxes in place of the pictures that they would write.

    Args:
        awaited: these pictures, relative to the deck's directory.
        says: what a box says beside the text that stands for its picture.
    """

    def boxed(match: re.Match[str]) -> str:
        found = {name: value[1:-1] for name, value in _NAMED.findall(match[0])}
        path = unquote(unescape(found.get("src", "")).strip().partition("#")[0].partition("?")[0])
        if not path or os.path.normpath(path) not in awaited:
            return match[0]
        alt = f"<b>{text}</b> " if (text := escape(unescape(found.get("alt", "")).strip())) else ""
        return f'<span class="awaited">{alt}{escape(says)}</span>'

    return _IMAGE.sub(boxed, page)


class MadeFiles:
    """What the cells of one run have written.

    Args:
        place: the directory of inputs that the run had.
        folder: the deck's directory in it.
        before: the files that were there before, as :func:`files_below` tells them.
    """

    def __init__(self, place: Path, folder: Path, before: Collection[str]) -> None:
        self._place = place
        self._folder = folder
        self._before = before

    def embedded(self, page: str, refs: Collection[str], warn: Callable[[str], None]) -> tuple[str, list[str]]:
        """The page with what cells have written in it.

        Args:
            refs: what the page refers to, as ``page_refs.references`` tells.
            warn: told of files that are too large.

        Returns:
            The page, and which of *refs* it has in itself now.
        """
        made = {ref: data for ref in refs if (data := self._data(ref, warn))}
        if not made:
            return page, []

        def with_data(match: re.Match[str]) -> str:
            ref = unescape(match[2][1:-1]).strip()
            if ref not in made:
                return match[0]
            name = f'download="{escape(ref.rpartition("/")[2])}" ' if match[1] == "href" else ""
            return f'{name}{match[1]}="{made[ref]}"'

        return _ATTRIBUTE.sub(with_data, page), list(made)

    def _data(self, ref: str, warn: Callable[[str], None]) -> str:
        """The file as a data address; empty if no cell has written it."""
        written = unquote(ref.partition("#")[0].partition("?")[0])
        path = os.path.normpath(self._folder / written) if written and "\0" not in written else ""
        if not path or path in self._before or not os.path.isfile(path):  # noqa: PTH113
            return ""
        found = Path(path).resolve()
        if not found.is_relative_to(self._place.resolve()):
            return ""
        if (size := found.stat().st_size) == 0:
            warn(f"{written}, which a cell writes, is empty")
        if size > LIMIT:
            size_of_it = f"{size / 1e6:.0f} MB, more than {LIMIT // 10**6}"
            warn(f"{written}, which a cell writes, is not shown: it has {size_of_it}")
            return ""
        kind = _TYPES.get(found.suffix[1:].lower(), "application/octet-stream")
        return f"data:{kind};base64,{base64.b64encode(found.read_bytes()).decode('ascii')}"
