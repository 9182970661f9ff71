"""Several PDF files as one: numbered pages, an outline, links within it. Only here is pypdf imported."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    Fit,
    NameObject,
    NullObject,
    NumberObject,
)

from clx.jobtypes.pdf.contents import GO, Part

_FONT = NameObject("/ClxNumber")
_SIZE = 9.0
_DIGIT = 0.556
"""Width of a digit of Helvetica, in parts of its size."""
_UP = 22.0
"""Points between the edge of the paper and the number."""


_FOOTER = re.compile(rb"\.337\d* \.333\d* \.329\d* rg\n")
"""The colour of the footers of pages (printer.py), as the browser writes it."""
_WORD = re.compile(rb"BT\n.*?\nET\n", re.DOTALL)
_OF_NUMBERS = 3
"""Words at the end of a footer that are the page's number in its deck: ``1``, `` / ``, ``2``."""


def page_count(pdf: bytes | Path) -> int:
    """The number of pages of a file."""
    return len(_reader(pdf).pages)


def joined(course: str, contents: bytes, parts: Sequence[Part], inputs: Path) -> bytes:
    """The contents and all decks, which are files in *inputs*, as one file.

    The file's structure for screen readers is that of its pages' text; headings are in the outline.
    """
    writer = PdfWriter()
    writer.append(_reader(contents), import_outline=False)
    firsts: list[int] = []
    for part in parts:
        parent = None
        for title, file in part.decks:
            first = len(writer.pages)
            firsts.append(first)
            reader = _reader(inputs / file)
            writer.append(reader, import_outline=False)
            _keep_links(reader, writer, first)
            for page in writer.pages[first:]:
                _without_own_number(page, writer)
            parent = parent or writer.add_outline_item(title=part.name, page_number=first, bold=True)
            own = writer.add_outline_item(title=title, page_number=first, parent=parent)
            _outline(reader, reader.outline, writer, own, first)
    _lead_to(writer, firsts)
    _number(writer)
    writer.add_metadata({"/Title": course, "/Producer": "CLX"})
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _reader(pdf: bytes | Path) -> PdfReader:
    return PdfReader(io.BytesIO(pdf if isinstance(pdf, bytes) else pdf.read_bytes()))


def _outline(reader: PdfReader, items: Sequence[Any], writer: PdfWriter, parent: Any, first: int) -> None:
    """The headings of one deck below its entry."""
    last = parent
    for item in items:
        if isinstance(item, list):
            _outline(reader, item, writer, last, first)
            continue
        page = reader.get_destination_page_number(item)
        if page is not None and page >= 0 and item.title:
            last = writer.add_outline_item(
                title=str(item.title), page_number=first + page, parent=parent, fit=Fit.xyz(top=item.top)
            )


def _keep_links(reader: PdfReader, writer: PdfWriter, first: int) -> None:
    """Let links to a heading of the same deck lead there: decks have headings of the same names."""
    named = reader.named_destinations
    for page in writer.pages[first:]:
        page.pop(NameObject("/StructParents"), None)  # the tree it points into belongs to the deck's own file
        for annotation in _annotations(page):
            target = named.get(str(annotation.get("/Dest", "")))
            number = reader.get_destination_page_number(target) if target is not None else None
            if target is not None and number is not None and number >= 0:
                corner = [NullObject() if each is None else each for each in (target.left, target.top)]
                fit = [NameObject("/XYZ"), *corner, NumberObject(0)]
                annotation[NameObject("/Dest")] = ArrayObject([writer.pages[first + number].indirect_reference, *fit])


def _lead_to(writer: PdfWriter, firsts: Sequence[int]) -> None:
    """Let the lines of the contents lead to their decks."""
    for page in writer.pages[: firsts[0] if firsts else 0]:
        page.pop(NameObject("/StructParents"), None)
        for annotation in _annotations(page):
            address = str(annotation.get("/A", {}).get("/URI", ""))
            if address.startswith(GO):
                first = writer.pages[firsts[int(address.removeprefix(GO))]]
                del annotation[NameObject("/A")]
                annotation[NameObject("/Dest")] = ArrayObject([first.indirect_reference, NameObject("/Fit")])


def _annotations(page: Any) -> list[Any]:
    return [each.get_object() for each in page.get("/Annots", ())]


def _without_own_number(page: Any, writer: PdfWriter) -> None:
    """Take the number that a page has in its deck out of its footer: it gets one of the whole course."""
    contents = page.get_contents()
    data = contents.get_data() if contents is not None else b""
    footer = next(reversed([*_FOOTER.finditer(data)]), None)
    if footer is None:
        return
    for word in [*_WORD.finditer(data, footer.end())][: -_OF_NUMBERS - 1 : -1]:
        data = data[: word.start()] + data[word.end() :]
    page[NameObject("/Contents")] = writer._add_object(_stream(data).flate_encode())


def _number(writer: PdfWriter) -> None:
    """Write the number of each page below it, whatever state its own drawing leaves behind."""
    font = writer._add_object(
        DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
    )
    before = writer._add_object(_stream(b"q\n"))
    for number, page in enumerate(writer.pages, 1):
        resources: Any = page["/Resources"].get_object()
        fonts = resources.setdefault(NameObject("/Font"), DictionaryObject()).get_object()
        fonts[_FONT] = font
        text = str(number)
        left = (float(page.mediabox.width) - len(text) * _DIGIT * _SIZE) / 2
        drawn = f"\nQ\nq 0.35 g BT {_FONT} {_SIZE:g} Tf {left:.2f} {_UP:g} Td ({text}) Tj ET Q\n"
        own = page["/Contents"].get_object()
        inner = list(own) if isinstance(own, ArrayObject) else [page.raw_get("/Contents")]
        page[NameObject("/Contents")] = ArrayObject([before, *inner, writer._add_object(_stream(drawn.encode()))])


def _stream(data: bytes) -> DecodedStreamObject:
    made = DecodedStreamObject()
    made.set_data(data)
    return made
