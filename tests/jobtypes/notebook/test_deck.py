"""What is known of a deck from its name and its text."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck import DECK_EXTENSIONS, PROG_LANG, deck_language, is_deck, linked_files, relinked


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("slides_intro.py", True),
        ("topic_100_intro.cpp", True),
        ("slides_intro.md", True),
        ("slides_intro.c", True),
        ("intro.py", False),
        ("slides_intro.txt", False),
        ("slides_intro", False),
        ("my_slides_intro.py", False),
    ],
)
def test_a_deck_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_deck(name) is expected


def test_every_language_has_an_extension_and_a_directory() -> None:
    expected = {".py", ".cpp", ".cs", ".java", ".ts", ".rs", ".c", ".md", ".ipynb"}
    assert expected == DECK_EXTENSIONS
    directories = [language.directory for language in PROG_LANG.values()]
    assert directories == ["Python", "Cpp", "CSharp", "Java", "TypeScript", "Rust", "C"]


def test_a_markdown_deck_is_in_the_language_of_the_course() -> None:
    assert deck_language("slides_a.md", "rust").name == "rust"
    assert deck_language("slides_a.java", "rust").name == "java"
    with pytest.raises(ConversionError, match="cobol"):
        deck_language("slides_a.md", "cobol")


def test_linked_files_are_local_and_named_once() -> None:
    text = """
# <img src="img/a.png" style="width:50%"> <IMG alt='x' src='./img/b.svg'>
# ![](img/c%20d.png) and [data](data/table.csv "A table") and ![again](img/a.png)
# <img alt="over two lines"
#      src="img/e.png">
# [site](https://example.org/x.png) ![](data:image/png;base64,AAA) [top](#top) [root](/etc/passwd)
# [notes](<my notes.md#part>) [ref]
# [ref]: img/f.png
"""
    assert linked_files(text) == [
        "img/a.png",
        "img/b.svg",
        "img/c d.png",
        "data/table.csv",
        "img/e.png",
        "my notes.md",
        "img/f.png",
    ]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("../a/x.py", "[x](01%20X.html)"),
        ("./../a/./x.py", "[x](./01%20X.html)"),
        ("../../m/a/x.py#A-b", "[x](01%20X.html#a-b)"),
        ("../../../../s/m/a/x.py", "[x](../../../../s/m/a/x.py)"),
        ("x.py", "[x](x.py)"),
        ("#A-b", "[x](#A-b)"),
    ],
)
def test_a_path_may_lead_out_of_the_decks_directory_and_back(written: str, found: str) -> None:
    assert relinked(f"[x]({written})", {"../a/x.py": "01 X.html"}, str.lower, folder="s/m/b") == found


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ('<a title="x" href="x.py">', '<a title="x" href="y">'),
        ('<video src="x.py" poster="x.py">', '<video src="y" poster="y">'),
        ('<object data="x.py">', '<object data="y">'),
        ('<span data-src="x.py">', '<span data-src="x.py">'),
        ('<img data-src="x.py">', '<img data-src="x.py">'),
    ],
)
def test_whatever_a_tag_names_is_relinked(tag: str, found: str) -> None:
    assert relinked(tag, {"x.py": "y"}) == found


def test_planning_imports_nothing_heavy() -> None:
    code = """
import sys
import clx.jobtypes.notebook.deck, clx.jobtypes.notebook.fingerprint
heavy = {"jinja2", "jupytext", "nbformat", "pygments", "markdown_it", "zmq", "jupyter_client", "IPython"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_pictures_of_srcset_are_files_like_others() -> None:
    text = '<img src="a.png" srcset="a.png 1x,\n img/b%20c.png 2x, https://x/y.png 3x"><source srcset="d.webp">'
    assert linked_files(text) == ["a.png", "img/b c.png", "d.webp"]
    files = {"a.png": "n/a.svg", "img/b c.png": "n/b.png", "d.webp": "n/d.webp"}
    assert relinked(text, files) == (
        '<img src="n/a.svg" srcset="n/a.svg 1x,\n n/b.png 2x, https://x/y.png 3x"><source srcset="n/d.webp">'
    )
    carried = '<img srcset="data:image/png;base64,AAAA 1x">'
    assert (linked_files(carried), relinked(carried, {"AAAA": "x"})) == ([], carried)


def test_pictures_are_relinked_wherever_they_are_named_but_not_in_code() -> None:
    text = """\
<img src="img/x.png" width=3> <IMG alt='a' src='./img/x.png?v=1#top'> [![alt](img/x.png "T")](img/x.png)
![](<img/a b.png>) ![](img/a%20b.png) ![](img/other.png) ![](https://host/img/x.png) [ref] `![](img/x.png)`

```html
<img src="img/x.png">
```

[ref]: img/x.png
"""
    assert (
        relinked(text, {"img/x.png": "img/x.svg", "img/a b.png": "img/a b.svg"})
        == """\
<img src="img/x.svg" width=3> <IMG alt='a' src='./img/x.svg?v=1#top'> [![alt](img/x.svg "T")](img/x.svg)
![](<img/a b.svg>) ![](img/a%20b.svg) ![](img/other.png) ![](https://host/img/x.png) [ref] `![](img/x.png)`

```html
<img src="img/x.png">
```

[ref]: img/x.svg
"""
    )
