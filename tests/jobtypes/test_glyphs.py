"""Characters that no font has are told, once, with what to type; where nothing can be asked, nothing is said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clx.jobtypes import glyphs
from clx.jobtypes.glyphs import numbered_lines, warn_of_boxes


@pytest.fixture
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ``fc-list`` of the test's own: it says what the files beside it hold, and notes each time it is asked."""
    program = tmp_path / "fc-list"
    program.write_text('#!/bin/sh\necho "$1" >> "$0.asked"\n[ "$1" = : ] && cat "$0.colour"\ncat "$0.plain"\n')
    program.chmod(0o755)
    Path(f"{program}.plain").write_text("20-7e a0-17f\n20-7e 400-45f 2200\n")
    Path(f"{program}.colour").write_text("1f600-1f64f\n")
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: str(program) if name == "fc-list" else which(name))
    glyphs._covered.cache_clear()
    yield program
    glyphs._covered.cache_clear()


def told(text: str, *, outlines_only: bool = False) -> list[str]:
    warnings: list[str] = []
    warn_of_boxes(numbered_lines(text), warnings.append, outlines_only=outlines_only)
    return warnings


def asked(fonts: Path) -> int:
    note = Path(f"{fonts}.asked")
    return len(note.read_text().splitlines()) if note.exists() else 0


def test_latin_letters_ask_nobody(fonts: Path) -> None:
    assert told("Größe, façade, Łódź\nplain\u200b \ufe0f") == []
    assert asked(fonts) == 0


def test_what_some_font_has_is_asked_once(fonts: Path) -> None:
    assert told("Привет ∀ 😀") == told("Привет") == []
    assert asked(fonts) == 1


def test_what_no_font_has_is_named_with_its_line_and_what_to_type(fonts: Path) -> None:
    [warning] = told("a\nb ∀ 文\nc ก 文")
    assert warning.startswith("line 2: no font here has 文 (U+6587), ก (U+0E01), so boxes are drawn for them; type: ")
    assert warning.endswith(", then clx build --force")
    assert "cjk" in warning.partition("type: ")[2]


def test_a_font_that_was_installed_since_is_seen(fonts: Path) -> None:
    assert told("文")
    Path(f"{fonts}.plain").write_text("4e00-9fff\n")
    assert told("文") == []


def test_coloured_fonts_do_not_count_where_they_are_not_drawn(fonts: Path) -> None:
    assert told("😀") == []
    [warning] = told("😀", outlines_only=True)
    assert "symbola" in warning


def test_characters_written_as_numbers_count(fonts: Path) -> None:
    [warning] = told("<U+6587> &#20013; &lt; <U+FFFFFF>")
    assert "文 (U+6587), 中 (U+4E2D)" in warning


def test_many_are_cut_and_private_ones_have_no_package(fonts: Path) -> None:
    [warning] = told("".join(map(chr, range(0xE000, 0xE020))))
    assert " and 22 more, so" in warning
    assert warning.endswith("install a font that has them, then clx build --force")


@pytest.mark.parametrize("broken", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho what\n", "no program"])
def test_a_fontconfig_that_does_not_answer_says_nothing(fonts: Path, broken: str) -> None:
    fonts.write_text(broken)
    assert told("文") == []


def test_without_fontconfig_nothing_is_said(fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert told("文") == []
