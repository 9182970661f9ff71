"""PDF files joined: numbers, outline, links."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from clx.jobtypes.pdf.contents import GO, Part, contents_html
from clx.jobtypes.pdf.joining import joined, page_count

PARTS = [Part("One", [("01 A", "a.pdf"), ("02 B", "b.pdf")]), Part("Two", [("01 C", "c.pdf")])]


def pdf(pages: int, *headings: tuple[str, int]) -> bytes:
    """A file of empty pages with an outline."""
    writer = PdfWriter()
    for _ in range(pages):
        page = writer.add_blank_page(600, 800)
        page[NameObject("/Resources")] = DictionaryObject()
        page[NameObject("/Contents")] = writer._add_object(_empty())
    for title, page_number in headings:
        writer.add_outline_item(title=title, page_number=page_number)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _empty() -> Any:
    from pypdf.generic import DecodedStreamObject

    made = DecodedStreamObject()
    made.set_data(b"0.5 0 0 0.5 9 9 cm\n")
    return made


def linked(address: str) -> bytes:
    writer = PdfWriter(clone_from=io.BytesIO(pdf(1)))
    writer.add_annotation(0, Link(rect=(0, 0, 10, 10), url=address))
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def test_pages_are_numbered_and_decks_are_in_the_outline(tmp_path: Path) -> None:
    for name, count in (("a.pdf", 2), ("b.pdf", 1), ("c.pdf", 3)):
        (tmp_path / name).write_bytes(pdf(count, ("Heading", count - 1)))
    found = joined("Course", linked(f"{GO}2"), PARTS, tmp_path)
    assert found == joined("Course", linked(f"{GO}2"), PARTS, tmp_path)
    reader = PdfReader(io.BytesIO(found))
    assert page_count(found) == 7
    assert [page.extract_text().strip() for page in reader.pages] == [str(n) for n in range(1, 8)]
    outline: list[Any] = reader.outline
    told = [(each.title, reader.get_destination_page_number(each)) for each in flat(outline)]
    assert told == [
        *(("One", 1), ("01 A", 1), ("Heading", 2), ("02 B", 3), ("Heading", 3)),
        *(("Two", 4), ("01 C", 4), ("Heading", 6)),
    ]
    (link,) = (each.get_object() for each in reader.pages[0]["/Annots"])  # type: ignore[attr-defined]
    assert link["/Dest"][0].get_object() == reader.pages[4]
    assert reader.metadata is not None
    assert (reader.metadata.title, reader.metadata.creation_date) == ("Course", None)


def flat(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        found += flat(item) if isinstance(item, list) else [item]
    return found


def test_links_within_a_deck_lead_into_that_deck(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        writer = PdfWriter(clone_from=io.BytesIO(pdf(2)))
        writer.add_named_destination("same", 1)
        writer.add_annotation(0, Link(rect=(0, 0, 10, 10), target_page_index=0))
        annotation: Any = writer.pages[0]["/Annots"][0].get_object()  # type: ignore[index]
        annotation.pop("/A", None)
        annotation[NameObject("/Dest")] = TextStringObject("same")
        with (tmp_path / name).open("wb") as file:
            writer.write(file)
    reader = PdfReader(io.BytesIO(joined("Course", pdf(1), PARTS, tmp_path)))
    for first in (1, 3, 5):
        (link,) = (each.get_object() for each in reader.pages[first]["/Annots"])  # type: ignore[attr-defined]
        assert link["/Dest"][0].get_object() == reader.pages[first + 1]


def test_contents_name_sections_decks_and_pages_and_nothing_is_markup() -> None:
    parts = [Part("<One>", [("01 A & B", "a.pdf")])]
    html = contents_html("C <i>", "Completed", "de", parts, [2], view="slides")
    assert '<html lang="de">' in html
    assert "Inhalt" in html
    assert "<h2>&lt;One&gt;</h2>" in html
    assert f'<a href="{GO}0"><span>01 A &amp; B</span><span class="page">2</span></a>' in html
    assert "1280px" in html
    assert "1280px" not in contents_html("C", "Completed", "fr", parts, [2], view="page")
