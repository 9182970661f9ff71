"""Where a file of a lake comes from: the version that it is of, and those that went into that, down to what came in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.daily.lake import ZONES, Lake, laid_out
from clx.daily.marks import MARK
from clx.errors import UsageError
from clx.regular import open_regular
from clx.routines.codecs import artifacts_of

if TYPE_CHECKING:
    from clx.db.lake.table import VersionRow

_DEEPEST = 50
_SHORT = 200


@dataclass
class Made:
    """A version, who made it of what.

    Attributes:
        name: ``gold/aggregated 2026-11-27``.
        at: when it was published, UTC.
        values: the arguments of its step that are no versions, as JSON.
        inputs: the versions among them.
        is_whole: whether the file that was asked for has the bytes that were published.
        job: of a step that has published nothing: its number; its *name* is the digest of what it made.
    """

    name: str
    version: int
    rows: int
    at: str
    flow: str
    step: str
    code: str
    host: str
    missing: list[str]
    values: dict[str, str] = field(default_factory=dict)
    inputs: list[Made] = field(default_factory=list)
    is_whole: bool = True
    job: int | None = None

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {**vars(self), "inputs": [each.document() for each in self.inputs]}


def origin(path: Path) -> Made:
    """Where a file comes from.

    Raises:
        UsageError: there is no such file, it lies in no lake, or was not published there.
        DatabaseError: the table cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", "Name a file of a lake.")
    root = next((each for each in path.parents if (each / MARK).is_file()), None)
    if root is None:
        raise UsageError(f"{path} lies in no lake.", "Name a file below the folder of one.")
    dataset, day = _place(path.parent.relative_to(root), path)
    with Lake(root) as lake:
        return _origin(lake, dataset, day, path)


def _origin(lake: Lake, dataset: str, day: str, path: Path) -> Made:
    found = laid_out(path.parent)
    # where it does not say which version it is, the newest is meant
    row = lake.table.get(lake.mark, dataset, day, None if found is None else found[0])
    files = {each["name"]: each["digest"] for each in json.loads(row.files)} if row is not None else {}
    if row is None or path.name not in files:
        raise UsageError(
            f"{path} was not published.", f"Published of {dataset} {day}: {', '.join(files) or 'nothing'}."
        )
    made = _made(lake, row, 0)
    with open_regular(path) as stream:
        made.is_whole = file_digest(stream, "sha256").hexdigest() == files[path.name]
    return made


def _place(folder: Path, path: Path) -> tuple[str, str]:
    text = folder.as_posix()
    for zone, place in ZONES.items():
        if text.startswith(place + "/"):
            name, *day = text[len(place) + 1 :].split("/")
            if len(day) == 3:
                return f"{zone}/{name}", "-".join(day)
    raise UsageError(f"{path} is no file of a day.", "Name one as clean/gold/NAME/2026/11/27/FILE.parquet.")


def _made(lake: Lake, row: VersionRow, depth: int) -> Made:
    at = datetime.fromtimestamp(row.made_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    made = Made(
        f"{row.dataset} {row.day}", row.version, row.rows, at, row.flow, row.step, row.code, row.host,
        json.loads(row.missing),
    )  # fmt: skip
    made_by = json.loads(row.made_of)
    _add(made, lake, json.loads(row.inputs), made_by, depth)
    return made


def _add(made: Made, lake: Lake, inputs: dict[str, Any], made_by: dict[str, Any], depth: int) -> None:
    """Note what went in: versions, what steps have made, and plain values."""
    for name, value in inputs.items():
        versions = list(_versions(value))
        artifacts = [each for each in artifacts_of(json.dumps(value, separators=(",", ":"))) if each in made_by]
        for dataset, day, version in versions if depth < _DEEPEST else ():
            found = lake.table.get(lake.mark, dataset, day, version)
            if found is not None:
                made.inputs.append(_made(lake, found, depth + 1))
        for digest in artifacts if depth < _DEEPEST else ():
            by = made_by[digest]
            each = Made(digest[:12], 0, 0, "", made.flow, by["step"], by["code"], "", [], job=by["job"])
            _add(each, lake, by["inputs"], made_by, depth + 1)
            made.inputs.append(each)
        if not versions and not artifacts:
            made.values[name] = _short(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"


def _versions(value: Any) -> Iterator[tuple[str, str, int]]:
    """The versions that a canonical value names, however deep."""
    if isinstance(value, dict):
        if {"dataset", "day", "version", "files"} <= value.keys():
            yield value["dataset"], value["day"], value["version"]
            return
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _versions(each)
