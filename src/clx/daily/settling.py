"""Whether a lake's folders have what was published, and having them laid out anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clx.daily.lake import Lake, laid_out
from clx.errors import ClxError
from clx.regular import open_regular

if TYPE_CHECKING:
    from clx.db.lake.table import VersionRow

_APART = (".", "_")
"""What names of files begin with that programs which read the folder of a table pass over."""


class Difference(NamedTuple):
    """A day whose folder is not what was published.

    Attributes:
        version: the newest, which should lie there.
        why: what differs, in one line.
    """

    dataset: str
    day: str
    version: int
    folder: Path
    why: str


def published(lake: Lake) -> int:
    """How many days of datasets a lake has."""
    return len(_rows(lake))


def differences(lake: Lake) -> Iterator[Difference]:
    """The days that differ, by dataset and day; every byte of a lake is read.

    Raises:
        DatabaseError: the table cannot be read.
    """
    for row in _rows(lake):
        folder = lake.path(row.dataset, row.day)
        if (why := _why(row, folder) or _lacks(row, lake)) and lake.table.get(row.lake, row.dataset, row.day) == row:
            yield Difference(row.dataset, row.day, row.version, folder, why)  # else it was published meanwhile


def sampled(lake: Lake, most: int) -> Iterator[Difference]:
    """So many of the newest days, whether they differ or not: those that do not have no *why*.

    Raises:
        DatabaseError: the table cannot be read.
    """
    for row in sorted(_rows(lake), key=lambda each: (each.day, each.dataset), reverse=True)[:most]:
        folder = lake.path(row.dataset, row.day)
        yield Difference(row.dataset, row.day, row.version, folder, _why(row, folder) or _lacks(row, lake))


def not_laid_out(lake: Lake, flow: str, day: str) -> Iterator[Difference]:
    """What *flow* has published of a day, and does not lie in its folder; no byte of a table is read.

    Raises:
        DatabaseError: the table cannot be read.
    """
    mark = lake.known_mark
    for row in lake.table.of_flow(flow, day, day) if mark is not None else ():
        folder = lake.path(row.dataset, row.day)
        if row.lake == mark and (why := _why(row, folder, bytes_too=False)):
            yield Difference(row.dataset, row.day, row.version, folder, why)


def repaired(lake: Lake, found: Difference) -> str:
    """Lay out a day's folder anew; returns why that cannot be, empty where it was done."""
    try:
        lake.settle(found.dataset, found.day, anew=True)
    except ClxError as error:
        return error.fact
    return ""


def _rows(lake: Lake) -> list[VersionRow]:
    mark = lake.known_mark  # which makes none
    return [] if mark is None else list(lake.table.newest(mark))


def _why(row: VersionRow, folder: Path, *, bytes_too: bool = True) -> str:
    if not folder.is_dir():
        return "there is no folder"
    found = laid_out(folder)
    if found is None:
        return "nothing says which version lies there"
    if found != (row.version, row.files):
        return f"version {found[0]} lies there"
    if not bytes_too:
        return ""
    files = {each["name"]: each for each in json.loads(row.files)}
    for name, each in files.items():
        if said := _differs(folder / name, each["size"], each["digest"]):
            return said
    more = sorted(each.name for each in folder.iterdir() if not each.name.startswith(_APART) and each.name not in files)
    return f"{more[0]} was not published" if more else ""


def _differs(path: Path, size: int, digest: str) -> str:
    try:
        with open_regular(path) as stream:
            if path.stat().st_size == size and file_digest(stream, "sha256").hexdigest() == digest:
                return ""
    except FileNotFoundError:
        return f"{path.name} is not there"
    except (OSError, ClxError) as error:
        return f"{path.name} cannot be read: {error}"
    return f"{path.name} has other bytes"


def _lacks(row: VersionRow, lake: Lake) -> str:
    """What steps could not read, though it lies in the folder; of a server of artifacts that is not asked."""
    from clx.artifacts.store import ArtifactStore

    if type(lake.store) is not ArtifactStore:
        return ""
    lacking = [each["name"] for each in json.loads(row.files) if not lake.store.path(each["digest"]).exists()]
    return f"{lacking[0]} is not in the store of artifacts" if lacking else ""
