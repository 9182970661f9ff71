"""The cells of an imported notebook as those of a deck: what is said of them, what is attached, what ends none of them.

What a cell's metadata mean is read as a build reads them in a notebook: what it would honour is kept, and what it would
refuse is refused, so that no cell becomes public by being imported.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

from clx.errors import ConversionError, CourseError
from clx.jobtypes.notebook.attributes import meaning_of, options_of
from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.fences import Fence, closes_fence, opened_fence
from clx.jobtypes.notebook.hidden_blocks import hidden_block_at
from clx.jobtypes.notebook.magics import Quotes
from clx.jobtypes.notebook.markers import HIDDEN_TAGS, KNOWN_TAGS, Marker, marker_pattern, read_attributes

_ATTACHED = re.compile(r"attachment:([^)\s\"'>]+)")
_SOLUTION = re.compile(r"^\s*(?:#{2,}|//+)\s*(BEGIN SOLUTION|BEGIN HIDDEN TESTS|BEGIN MARK SCHEME)", re.MULTILINE)
_TAGS_OPTION = re.compile(r"^\s*(?:#|//)\|\s*tags\s*:.*\n?", re.MULTILINE)
_UNSAFE = re.compile(r"[^\w.-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS = re.compile(r"%%|In\[|<codecell>")
_NOT_FOR_ALL = HIDDEN_TAGS | {"answer", "alt"}
"""Tags of cells that some get and some do not: a file beside the deck would be for all."""
_TOLD_ELSEWHERE = frozenset(
    {"tags", "slideshow", "jupyter", "lang", "active", "collapsed", "scrolled", "trusted", "editable", "deletable"}
    | {"execution", "vscode", "ExecuteTime", "pycharm", "colab", "id", "hidden", "name", "lines_to_next_cell"}
    | {"format", "raw_mimetype", "attachments"}
)


class Told(Protocol):
    """What an import makes, and what is told of it."""

    pictures: dict[str, bytes]
    mapped: Counter[str]
    left: Counter[str]


def mapping(value: Any) -> Mapping[str, Any]:
    """*value* if it is a mapping, as it ought to be; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def map_cells(path: Path, cells: Iterable[Any], language: ProgLang, found: Told) -> list[Any]:
    """The cells of a deck, with tags for what their metadata mean.

    Raises:
        CourseError: a build would refuse what a cell says of itself: it may be meant to be hidden.
    """
    made: list[Any] = []
    for number, cell in enumerate(cells, 1):
        try:
            if cell.cell_type == "code":
                _take_tags(cell)
            marker = read_attributes(dict(cell.metadata), 1)
        except ConversionError as error:
            raise CourseError(f"{path}, cell {number}: {error.fact}.", error.next_step) from error
        _tell(cell, found)
        cell.metadata = type(cell.metadata)(_kept(cell.metadata, marker, found))
        made.append(cell)
    made = list(_parted(made, found))
    for cell in made:
        _write_attachments(cell, path.stem, found)
        _keep_whole(cell, language, found)
    return made


def _take_tags(cell: Any) -> None:
    """Quarto's option for tags (``#| tags: [private]``) is metadata, as Quarto itself has it in notebooks."""
    import yaml

    written = options_of(cell.source).get("tags", "")
    if not written:
        return  # also where they follow as a list: a deck with that is refused
    with contextlib.suppress(yaml.YAMLError):
        found = yaml.safe_load(written)
        if isinstance(found, str):
            found = re.split(r"[\s,]+", found)
        known = cell.metadata.get("tags") or []
        if isinstance(found, list) and isinstance(known, list):
            cell.metadata["tags"] = [*known, *found]
            cell.source = _TAGS_OPTION.sub("", cell.source, count=1)


def _tell(cell: Any, found: Told) -> None:
    metadata = cell.metadata
    if cell.cell_type == "code":
        if cell.get("outputs"):
            found.left["outputs, which a build makes anew"] += 1
        cell.outputs, cell.execution_count = [], None
    known: set[str] = set()
    for name, value in metadata.items():
        inner = mapping(value) if name in ("slideshow", "jupyter") else {name: value}
        for key, part in inner.items():
            meant = meaning_of({name: {key: part}} if name in ("slideshow", "jupyter") else inner, 1).tags
            for tag in meant:
                told = key if part is True else f"{key} {part!r}"
                found.mapped[f"{told} is the tag {tag!r}"] += 1
                known.add(name)
    for name in sorted(set(metadata) - _TOLD_ELSEWHERE - known):
        found.left[f"metadata {name!r}"] += 1
    for mark in _SOLUTION.findall(cell.source):
        found.left[f"### {mark}: CLX does not take it out of cells tagged 'keep'; look at these cells"] += 1


def _kept(metadata: Mapping[str, Any], marker: Marker, found: Told) -> dict[str, Any]:
    """What the deck's marker says of a cell."""
    tags = []
    for tag in marker.tags:
        if tag in KNOWN_TAGS or tag.startswith("active-"):
            tags.append(tag)
        else:
            found.left[f"the tag {tag!r}, which means nothing to CLX"] += 1
    kept: dict[str, Any] = {"tags": tags} if tags else {}
    if marker.lang:
        kept["lang"] = marker.lang
    if isinstance(metadata.get("active"), str):
        kept["active"] = metadata["active"]
    return kept


# -- ::: {.notes}


def _parted(cells: Iterable[Any], found: Told) -> Iterator[Any]:
    """Cells whose hidden blocks (``::: {.notes}``) are cells of their own, also where a block goes over several."""
    open_tag = ""
    for cell in cells:
        is_text = cell.cell_type == "markdown"
        before: list[tuple[str, list[str]]] = []
        lines = cell.source.split("\n")
        if open_tag:
            closing = _closing(lines) if is_text else None
            before = [(open_tag, lines if closing is None else lines[:closing])]
            lines = [] if closing is None else lines[closing + 1 :]
            open_tag = open_tag if closing is None else ""
        if is_text and HIDDEN_TAGS.isdisjoint(cell.metadata.get("tags", ())):
            pieces, left_open = _pieces(lines)
            open_tag = open_tag or left_open
        else:
            pieces = [("", lines)]
        for tag, _ in pieces:
            if tag:
                found.mapped[f"a `:::` block that is hidden is a cell with the tag {tag!r}"] += 1
        if not before and len(pieces) == 1 and not pieces[0][0]:
            yield cell
            continue
        for tag, inside in before + pieces:
            if any(map(str.strip, inside)):
                yield _part(cell, inside, tag)


def _pieces(lines: list[str]) -> tuple[list[tuple[str, list[str]]], str]:
    """A text in pieces, each with its tag (empty: none of its own), and the tag of one that is left open at its end."""
    found: list[tuple[str, list[str]]] = []
    start, index, fence = 0, 0, Fence()
    while index < len(lines):
        block = None if fence.read(lines[index]) else hidden_block_at(lines, index)
        if block is None:
            index += 1
            continue
        found += [("", lines[start:index]), (block.tag, lines[block.start + 1 : block.end])]
        if block.end == len(lines):
            return found, block.tag
        start = index = block.end + 1
    return [*found, ("", lines[start:])], ""


def _closing(lines: list[str]) -> int | None:
    """Index of the line that closes a block that was opened in a cell before."""
    block = hidden_block_at(["::: notes", *lines], 0)
    assert block is not None
    return block.end - 1 if block.end <= len(lines) else None


def _part(cell: Any, lines: list[str], tag: str = "") -> Any:
    """A part of a cell, with one tag more."""
    made = cell.copy()
    made.source = "\n".join(lines).strip("\n")
    tags = [*cell.metadata.get("tags", ()), *([tag] if tag else [])]
    made.metadata = type(cell.metadata)({**cell.metadata, "tags": tags} if tags else cell.metadata)
    return made


# -- attachments


def _write_attachments(cell: Any, stem: str, found: Told) -> None:
    """Attachments are files beside the deck; those of cells that not everybody gets stay with the cell."""
    attachments = mapping(cell.pop("attachments", None))
    if not attachments or "attachment:" not in cell.source:
        return
    if cell.cell_type != "code" and not _NOT_FOR_ALL.isdisjoint(cell.metadata.get("tags", ())):
        cell.metadata["attachments"] = attachments
        found.mapped["attachments of cells that not all students get stay in the cell"] += 1
        return
    links: dict[str, str] = {}
    named = {unquote(name) for name in _ATTACHED.findall(cell.source)}
    for name, data in attachments.items():
        if name not in named:
            continue
        encoded = next(iter(mapping(data).values()), "")
        try:
            content = base64.b64decode("".join(encoded) if isinstance(encoded, list) else encoded)
        except (binascii.Error, ValueError, TypeError):
            found.left[f"the attachment {name!r}, which is damaged"] += 1
            continue
        base, dot, ending = _UNSAFE.sub("-", name).rpartition(".")
        wanted = f"img/{short(_UNSAFE.sub('-', stem))}-{short(base)}{dot}{short(ending)}"
        links[name] = _free(wanted, content, found.pictures)
        found.pictures[links[name]] = content
        found.mapped["attachments are files in img/"] += 1
    cell.source = _ATTACHED.sub(
        lambda match: quote(links[unquote(match[1])]) if unquote(match[1]) in links else match[0], cell.source
    )


def short(name: str, most: int = 70) -> str:
    """A part of a file's name, cut to so many bytes: all of a name has to be below 255."""
    return name.encode()[:most].decode(errors="ignore")


def _free(wanted: str, content: bytes, taken: Mapping[str, bytes]) -> str:
    """A path for a picture that no other one has: cells may each have an ``image.png``."""
    base, dot, ending = wanted.rpartition(".")
    path, number = wanted, 1
    while taken.get(path, content) != content:
        number += 1
        path = f"{base}-{number}{dot}{ending}"
    return path


# -- what would end a cell


def _keep_whole(cell: Any, language: ProgLang, found: Told) -> None:
    """Change what would end a cell in a text before its end: lines like markers, blocks and strings left open."""
    if _SURROGATE.search(cell.source):
        cell.source = _SURROGATE.sub("\ufffd", cell.source)
        found.left["half of a character (a surrogate), which no text can have"] += 1
    lines = cell.source.split("\n")
    if cell.cell_type == "code" and not _is_odd(lines, language):
        return
    if cell.cell_type == "code":  # commented out as a whole, nothing of it is taken for the end of the cell
        if "active" not in cell.metadata:
            cell.metadata["active"] = "ipynb"
            found.mapped[
                "code with a line like a cell's marker, or an open string, is commented out: it runs as before"
            ] += 1
    elif signs := _open_fence(lines):
        lines.append(signs)
        found.mapped["a fenced block that was left open is closed at the end of its cell"] += 1
    pattern = marker_pattern(language.comment)
    for index, line in enumerate(lines):
        if pattern.match(line) if _is_bare(cell, language) else pattern.match(f"{language.comment} {line}".rstrip()):
            lines[index] = _MARKS.sub(lambda sign: f"{sign[0][:-1]}\\{sign[0][-1]}", line, count=1)
            found.mapped["a line like a cell's marker has a backslash"] += 1
    cell.source = "\n".join(lines)


def _is_bare(cell: Any, language: ProgLang) -> bool:
    """Whether the lines of a cell stand in the deck without the sign of a comment."""
    active = cell.metadata.get("active")
    return cell.cell_type == "code" and (active is None or language.extension[1:] in re.split(r"[.,-]", active))


def _is_odd(lines: list[str], language: ProgLang) -> bool:
    """Whether code has a line like a marker, also once its magics are commented out, or a string that is left open."""
    quotes, pattern = Quotes(language.comment), marker_pattern(language.comment)
    for index, line in enumerate(lines):
        if pattern.match(line) or (index and pattern.match(f"{language.comment} {line}".rstrip())):
            return True
        quotes.read(line)
    return quotes.open


def _open_fence(lines: list[str]) -> str:
    signs = ""
    for line in lines:
        signs = ("" if closes_fence(line, signs) else signs) if signs else opened_fence(line) or ""
    return signs
