"""Reads a draw.io file and checks it, so that the application only ever sees well-formed pages.

Three spellings occur: ``<mxfile>`` with pages as elements, ``<mxfile>`` with compressed pages, and a bare
``<mxGraphModel>``. Everything else is an error that names the line where the parser can tell.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.parsers.expat import ErrorString

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from clx.errors import ConversionError
from clx.regular import read_regular

MAX_FILE = 20 * 1024 * 1024
"""Largest draw.io file that is read, in bytes."""
MAX_PAGE = 64 * 1024 * 1024
"""Largest page after decompression, in bytes: a small file must not fill the memory."""
MAX_DEPTH = 200
"""Deepest nesting of elements; draw.io itself writes less than ten levels."""

_FORMULA = re.compile(r"\$\$|\\\(|\\\[|`")
_TAG = re.compile(r"<[^<>]*>")
_PAGE = "data:page/id,"
_SAVE_AGAIN = "Open the file in draw.io and save it again."


@dataclass(frozen=True)
class Page:
    """One page of a draw.io file."""

    number: int
    """1-based, in the order of the file."""
    name: str
    line: int
    """1-based line of the file where the page begins."""
    model: ET.Element
    """The ``<mxGraphModel>``."""
    id: str = ""
    """By what other pages name it."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing on the page can be seen (layers and the root are cells too)."""
        drawn = any(cell.get("vertex") == "1" or cell.get("edge") == "1" for cell in self.model.iter("mxCell"))
        return not drawn and not self.model.get("backgroundImage")

    @property
    def behind(self) -> str | None:
        """The id of the page that is drawn behind this one, if one is."""
        try:
            picture = json.loads(self.model.get("backgroundImage", "null"))
        except (ValueError, RecursionError):
            return None
        source = picture.get("src") if isinstance(picture, dict) else None
        return source.removeprefix(_PAGE) if isinstance(source, str) and source.startswith(_PAGE) else None

    @property
    def needs_math(self) -> bool:
        """Whether formulas are to be typeset: switched on for the page, and there are some."""
        return self.model.get("math") == "1" and any(
            _FORMULA.search(value) for element in self.model.iter() for value in element.attrib.values()
        )

    @property
    def text(self) -> str:
        """What its labels say, without the marks of HTML."""
        labels = (element.get("value") or element.get("label") or "" for element in self.model.iter())
        return "\n".join(unescape(_TAG.sub("", label)) for label in labels if label)

    @property
    def background(self) -> str | None:
        """The page's own background as a CSS colour, or ``None``."""
        colour = self.model.get("background", "none")
        return colour if colour not in ("", "none") else None


@dataclass(frozen=True)
class Document:
    """A draw.io file that was read and checked."""

    pages: tuple[Page, ...]
    variables: str | None
    """The file's ``vars`` attribute: JSON with values for placeholders."""

    def behind(self, page: Page) -> Page | None:
        """The page that is drawn behind *page*, if it has one that is in the file."""
        return next((each for each in self.pages if each is not page and each.id and each.id == page.behind), None)

    def xml_for(self, page: Page, picture: str | None = None) -> str:
        """The file as the application needs it to draw *page*: the other pages are there by name only.

        Args:
            picture: what the application shall draw in place of the page behind it: its ``backgroundImage``.
        """
        root = ET.Element("mxfile", {"vars": self.variables} if self.variables else {})
        for each in self.pages:
            diagram = ET.SubElement(root, "diagram", {"id": f"page-{each.number}", "name": each.name})
            if each is page:
                diagram.append(_for_drawing(page, picture))
        return ET.tostring(root, encoding="unicode")


def read_document(source: Path) -> Document:
    """Read and check a draw.io file; an error where it is none, too large, without pages, or with a damaged page."""
    try:
        size = source.stat().st_size
        data = read_regular(source) if size <= MAX_FILE else b""
    except OSError as error:
        raise ConversionError(f"The file cannot be read: {error.strerror}.", "Look whether it is there.") from None
    if size > MAX_FILE:
        raise ConversionError(
            f"The file has {size / 1e6:.1f} MB; at most {MAX_FILE // 2**20} MiB are read.",
            "Make large pictures in the diagram smaller, or split it into several files.",
        )
    root, lines = _parse(data, first_line=1)
    if root.tag == "mxGraphModel":
        return Document((Page(1, "Page-1", 1, root),), None)
    if root.tag != "mxfile":
        raise ConversionError(f"This is not a draw.io file: it holds <{root.tag}>.", _SAVE_AGAIN, line=lines[0])
    diagrams = root.findall("diagram")
    if not diagrams:
        raise ConversionError("The draw.io file has no pages.", _SAVE_AGAIN, line=lines[0])
    places = lines[1 : len(diagrams) + 1]
    pages = (
        _page(number, diagram, line) for number, (diagram, line) in enumerate(zip(diagrams, places, strict=True), 1)
    )
    return Document(tuple(pages), root.get("vars"))


def read_below(root: Path, source: str) -> Document:
    """As :func:`read_document`, of the file *source* below *root*."""
    return read_document(root / source)


class _Builder(ET.TreeBuilder):
    """Builds the tree, notes where the root and its children begin, and bounds the depth."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []
        self.current_line: Callable[[], int] = lambda: 1
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConversionError(
                f"Elements are nested more than {MAX_DEPTH} levels deep.", _SAVE_AGAIN, line=self.current_line()
            )
        if self._depth == 1 or (self._depth == 2 and tag == "diagram"):
            self.lines.append(self.current_line())
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


def _parse(data: bytes, *, first_line: int) -> tuple[ET.Element, list[int]]:
    """The root element, and the lines of the root and of the pages in it."""
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    builder.current_line = lambda: int(parser.parser.CurrentLineNumber) + first_line - 1
    try:
        parser.feed(data)
        root = parser.close()
    except ET.ParseError as error:
        raise ConversionError(
            f"This is not XML: {ErrorString(error.code)}.", _SAVE_AGAIN, line=error.position[0] + first_line - 1
        ) from None
    except DefusedXmlException:
        raise ConversionError(
            "The file declares a document type or entities, which no draw.io file needs.",
            "Remove the <!DOCTYPE …> declaration.",
            line=builder.current_line(),
        ) from None
    except (LookupError, ValueError) as error:
        raise ConversionError(f"The file cannot be decoded: {error}.", "Save it as UTF-8.", line=1) from None
    return root, builder.lines


def _page(number: int, diagram: ET.Element, line: int) -> Page:
    name = diagram.get("name") or f"Page-{number}"
    model = diagram.find("mxGraphModel")
    packed = (diagram.text or "").strip()
    if model is None and packed:
        model = _unpack(packed, number, line)
    if model is None:
        model = ET.Element("mxGraphModel")
    return Page(number, name, line, model, diagram.get("id") or "")


def _unpack(packed: str, number: int, line: int) -> ET.Element:
    """Base64, raw deflate, percent encoding: the way draw.io compresses a page."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        text = inflate.decompress(base64.b64decode(packed, validate=False), MAX_PAGE + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ConversionError(f"Page {number} is damaged: {error}.", _SAVE_AGAIN, line=line) from None
    if len(text) > MAX_PAGE:
        raise ConversionError(
            f"Page {number} has more than {MAX_PAGE // 2**20} MiB when it is decompressed.",
            "Split the page into several ones.",
            line=line,
        )
    if not inflate.eof:
        raise ConversionError(f"Page {number} is damaged: it ends too early.", _SAVE_AGAIN, line=line)
    try:
        model, _ = _parse(unquote_to_bytes(text), first_line=line)
    except ConversionError as error:
        raise ConversionError(f"Page {number} is damaged: {error.fact}", error.next_step, line=line) from None
    if model.tag != "mxGraphModel":
        raise ConversionError(f"Page {number} is not a diagram: it holds <{model.tag}>.", _SAVE_AGAIN, line=line)
    return model


def _for_drawing(page: Page, picture: str | None) -> ET.Element:
    """The page's model as the application can draw it: without other pages, and without MathJax for no formulas."""
    changed = dict(page.model.items())
    if page.model.get("math") == "1" and not page.needs_math:
        del changed["math"]
    if page.behind is not None:
        del changed["backgroundImage"]
    if picture is not None:
        changed["backgroundImage"] = picture
    plain = ET.Element("mxGraphModel", changed)
    plain.extend(page.model)
    return plain
