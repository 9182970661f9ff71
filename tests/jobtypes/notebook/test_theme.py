"""Light and dark, and what a course adds to the look of its pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.theme import ThemeFiles, in_both_modes, read_theme


def test_what_is_for_dark_screens_also_obeys_the_page() -> None:
    css = "a { x: 1; }\n"
    css += "@media screen and (prefers-color-scheme: dark) { :root { --a: 1; } p, :is(b, i) c { y: 2; } }\nz {}"
    assert in_both_modes(css) == (
        "a { x: 1; }\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        ":root:where(:not([data-theme])) { --a: 1; }\n"
        ":where(:root:not([data-theme])) p, :where(:root:not([data-theme])) :is(b, i) c { y: 2; }\n"
        "}\n@media screen {\n"
        ':root:where([data-theme="dark"]) { --a: 1; }\n'
        ':where(:root[data-theme="dark"]) p, :where(:root[data-theme="dark"]) :is(b, i) c { y: 2; }\n'
        "}\nz {}"
    )
    assert in_both_modes("@media print { a { b: c; } }") == "@media print { a { b: c; } }"


def test_a_theme_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "t.css").write_text(
        "/* brand\n :root {} */\n  :root { --accent: #b00; }\n"
        "@media (prefers-color-scheme: dark) { html { --accent: #fcc; } }\n.x::before { content: '</style>'; }\n"
    )
    (tmp_path / "l.svg").write_text("<svg/>")
    theme = read_theme(ThemeFiles("t.css", "l.svg", "light"), tmp_path)
    assert theme.css.startswith(":root { --accent: #b00; }\n@media screen and")
    assert 'html:where([data-theme="dark"]) { --accent: #fcc; }' in theme.css
    assert "brand" not in theme.css
    assert "</" not in theme.css
    assert theme.logo == "data:image/svg+xml;base64,PHN2Zy8+"
    assert theme.mode == "light"
    assert read_theme(ThemeFiles(), tmp_path) == read_theme(ThemeFiles("", "", "auto"), tmp_path)


@pytest.mark.parametrize(
    ("css", "line"),
    [
        ("a {}\n@import 'x.css';", "line 2: @import 'x.css' names"),
        ("/* a\n b */\nh1 { background: url(img/x.png) }", "line 3: url(img/x.png"),
        ('@font-face { src: url("https://fonts.example/a.woff2") }', "line 1: url("),
    ],
)
def test_a_theme_that_names_other_files_is_an_error(tmp_path: Path, css: str, line: str) -> None:
    (tmp_path / "t.css").write_text(css)
    with pytest.raises(ConversionError, match="a page is one file") as caught:
        read_theme(ThemeFiles("t.css"), tmp_path)
    assert line in str(caught.value)
    (tmp_path / "t.css").write_text("a { background: url(data:image/png;base64,AA) } b { clip-path: url(#c) }")
    assert "url(data:" in read_theme(ThemeFiles("t.css"), tmp_path).css


def test_a_theme_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.css").write_bytes(b"a { content: '\xff'; }")
    with pytest.raises(ConversionError, match="is not UTF-8"):
        read_theme(ThemeFiles("t.css"), tmp_path)
