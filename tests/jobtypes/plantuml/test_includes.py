from __future__ import annotations

from pathlib import Path

import pytest

from clx.jobtypes.plantuml.includes import closure, has_diagram, includes


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("!include part.puml", ["part.puml"]),
        ("  !include ../style/part.puml  ", ["../style/part.puml"]),
        ("!include part.puml!2", ["part.puml"]),
        ('!include "with blank.puml"', ["with blank.puml"]),
        ("!include_once part.puml", ["part.puml"]),
        ("!include_many part.puml", ["part.puml"]),
        ("!includesub part.puml!NAME", ["part.puml"]),
        ("!import parts.zip", ["parts.zip"]),
        ("!theme mine from themes", ["themes/puml-theme-mine.puml"]),
        ("sprite $logo img/logo.png", ["img/logo.png"]),
        ("note left : <img:img/a.png{scale=0.5}>", ["img/a.png"]),
        ('!$x = %load_json("data.json")', ["data.json"]),
        ("!include <C4/C4_Container>", []),
        ("!include https://example.org/a.puml", []),
        ("!include $folder/a.puml", []),
        ("!theme cerulean", []),
        ("A -> B : please include this", []),
    ],
)
def test_names_are_found_as_they_are_written(line: str, names: list[str]) -> None:
    assert includes(f"@startuml\n{line}\n@enduml\n") == names


def test_the_closure_follows_includes_from_the_file_that_names_them(tmp_path: Path) -> None:
    root = tmp_path / "course"
    folder = root / "slides" / "topic" / "pu"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.pu").write_text("!include sub/b.puml\n!include missing.puml\n!include ../../../../out.puml\n")
    (folder / "sub" / "b.puml").write_text("!include c.puml\n!include ../a.pu\n!include ../../style.puml\n")
    (folder / "sub" / "c.puml").write_text("class C\n")
    (folder.parent / "style.puml").write_text("class S\n!include linked.puml\n")
    (folder.parent / "linked.puml").symlink_to(tmp_path / "out.puml")
    (tmp_path / "out.puml").write_text("class OUT\n")
    expected = [folder / "sub" / "b.puml", folder / "sub" / "c.puml", folder.parent / "style.puml"]
    assert closure(folder / "a.pu", root) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        (b"@startuml\na -> b\n@enduml\n", True),
        (b"\xef\xbb\xbf@startuml\n", True),
        (b"' a style\n  @startmindmap\n", True),
        (b"skinparam monochrome true\n!procedure $x()\n!endprocedure\n", False),
        (b"' see @startuml\n", False),
        (b"  \n", True),
        ("größe".encode("latin-1"), True),
    ],
)
def test_a_source_without_a_start_is_only_included(tmp_path: Path, text: bytes, drawn: bool) -> None:
    source = tmp_path / "a.puml"
    source.write_bytes(text)
    assert has_diagram(source) is drawn
