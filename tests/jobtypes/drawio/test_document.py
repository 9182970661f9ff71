"""What is read as a draw.io file, and what is said of everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.jobtypes.drawio.diagrams import cell, model, mxfile, pack

from clx.errors import ConversionError
from clx.jobtypes.drawio import document as module
from clx.jobtypes.drawio.document import Document, read_document

BILLION_LAUGHS = (
    '<!DOCTYPE mxfile [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
    '<mxfile><diagram name="&c;"/></mxfile>'
)
EXTERNAL_ENTITY = '<!DOCTYPE mxfile [<!ENTITY x SYSTEM "file:///etc/passwd">]><mxfile><diagram name="&x;"/></mxfile>'


def read(directory: Path, text: str | bytes) -> Document:
    source = directory / "d.drawio"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(source)


def test_the_three_spellings_hold_the_same_page(tmp_path: Path) -> None:
    page = model(cell("Grüße & <b>"))
    spellings = [mxfile(page), mxfile(pack(page)), page]
    values = [[each.get("value") for each in read(tmp_path, text).pages[0].model.iter("mxCell")] for text in spellings]
    assert values == [[None, None, "Grüße & <b>"]] * 3


def test_pages_keep_order_name_and_line(tmp_path: Path) -> None:
    pages = read(tmp_path, mxfile(model(), pack(model()), model())).pages
    assert [(page.number, page.name, page.line) for page in pages] == [
        (1, "Page 1", 2),
        (2, "Page 2", 3),
        (3, "Page 3", 4),
    ]


def test_the_application_sees_one_page_and_the_names_of_the_others(tmp_path: Path) -> None:
    document = read(tmp_path, mxfile(model(cell("first")), model(cell("second"))))
    xml = document.xml_for(document.pages[1])
    assert xml.count("<diagram ") == 2
    assert "second" in xml
    assert "first" not in xml


def test_line_breaks_in_labels_survive(tmp_path: Path) -> None:
    page = model(cell("a")).replace('value="a"', 'value="a&#10;b"')
    document = read(tmp_path, mxfile(page))
    assert "a&#10;b" in document.xml_for(document.pages[0])


@pytest.mark.parametrize(
    ("text", "fact", "line"),
    [
        ("", "This is not XML: no element found", 1),
        ("hello", "This is not XML: syntax error", 1),
        ("<mxfile>\n<diagram>\n</mxfile>", "This is not XML: mismatched tag", 3),
        ("\n<svg/>", "This is not a draw.io file: it holds <svg>", 2),
        ("<mxlibrary>[]</mxlibrary>", "This is not a draw.io file: it holds <mxlibrary>", 1),
        ("<mxfile/>", "The draw.io file has no pages", 1),
        ('<?xml version="1.0" encoding="no-such"?><mxfile/>', "unknown encoding", 1),
        (b"\xff\xfe\x00", "This is not XML", 1),
        ("<mxfile>\n<diagram>@@@ not base64</diagram></mxfile>", "Page 1 is damaged", 2),
        ("<mxfile>\n<diagram>AAAA</diagram></mxfile>", "Page 1 is damaged", 2),
        (mxfile(model(), pack("<mxGraphModel>")), "Page 2 is damaged: This is not XML", 3),
        (mxfile(pack(model())[:40]), "Page 1 is damaged: it ends too early", 2),
        (mxfile(pack("<svg/>")), "Page 1 is not a diagram: it holds <svg>", 2),
        (BILLION_LAUGHS, "The file declares a document type or entities", 1),
        (EXTERNAL_ENTITY, "The file declares a document type or entities", 1),
        (mxfile(pack(BILLION_LAUGHS)), "Page 1 is damaged: The file declares a document type", 2),
        ("<a>" * 300, "nested more than 200 levels deep", 1),
    ],
)
def test_what_is_not_a_diagram_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, fact: str, line: int
) -> None:
    with pytest.raises(ConversionError) as caught:
        read(tmp_path, text)
    assert fact in caught.value.fact
    assert caught.value.line == line
    assert caught.value.next_step
    assert not caught.value.retryable


def test_large_files_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE", 100)
    with pytest.raises(ConversionError, match="at most"):
        read(tmp_path, "<mxfile>" + " " * 200)


def test_a_small_page_that_unpacks_to_a_huge_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGE", 2**20)
    bomb = mxfile(pack("<mxGraphModel>" + "a" * (module.MAX_PAGE + 1)))
    assert len(bomb) < 10_000
    with pytest.raises(ConversionError, match="more than 1 MiB"):
        read(tmp_path, bomb)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="cannot be read: No such file"):
        read_document(tmp_path / "none.drawio")


@pytest.mark.parametrize(
    ("page", "needed"),
    [
        (model(cell("$$x^2$$"), attributes='math="1"'), True),
        (model(cell(r"\(x\)"), attributes='math="1"'), True),
        (model(cell("`x/y`"), attributes='math="1"'), True),
        (model(cell("plain"), attributes='math="1"'), False),
        (model(cell("$$x^2$$")), False),
    ],
)
def test_mathjax_is_needed_for_formulas_only(tmp_path: Path, page: str, needed: bool) -> None:
    document = read(tmp_path, page)
    assert document.pages[0].needs_math is needed
    assert ('math="1"' in document.xml_for(document.pages[0])) is needed


def test_emptiness_is_about_what_can_be_seen(tmp_path: Path) -> None:
    pages = read(tmp_path, mxfile("", model(), model(cell()), model(attributes="backgroundImage='{}'"))).pages
    assert [page.is_empty for page in pages] == [True, True, False, False]
