"""Reading cells; jupytext says what is right."""

from __future__ import annotations

import json
from typing import Any

import jupytext
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from clx.errors import ConversionError
from clx.jobtypes.notebook.cells import first_line_of, read_cells
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.formats import other_format

PYTHON = PROG_LANG["python"]


def as_read(text: str, language: str = "python") -> list[tuple[str, str, tuple[str, ...], str | None]]:
    cells = read_cells(text, PROG_LANG[language], problems=[])  # jupytext has none
    return [(cell.kind, cell.source, cell.tags, cell.lang) for cell in cells]


def as_jupytext_reads(text: str, language: str) -> list[tuple[str, str, tuple[str, ...], str | None]]:
    fmt = {"extension": PROG_LANG[language].extension, "format_name": "percent"}
    cells = jupytext.reads(text, fmt).cells
    return [
        (
            cell.cell_type,
            without_outer_blank_lines(str(cell.source)),
            tuple(cell.metadata.get("tags", ())),
            cell.metadata.get("lang"),
        )
        for cell in cells
    ]


def without_outer_blank_lines(text: str) -> str:
    lines = text.split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    return "\n".join(lines)


CODE_LINES = (
    "x = 1",
    "    y = f(x)  # comment",
    "",
    "# a comment",
    "// another",
    '"""',
    "'''",
    's = \'"""\'  # quotes in quotes',
    "r'''a''' + \"\"\"b\"\"\"",
    "# %matplotlib inline",
    "%time f()",
    "# %%timeit",
    "# !ls -l",
    "!pip list",
    "files = !ls",
    "# x = %sql select",
    "# ls -l",
    "# cd = 3",
    "# Why?",
    "print?",
    "# %load noescape  # noescape",
    "// %magic on",
    "// :dep rand",
    "// #!csharp",
    "# wget a \\",
    "#   --flag",
    "# !wget a \\",
    "print('it''s')",
    "\ttabbed\t",
)
TEXT_LINES = (
    "# Title",
    "",
    "- item",
    "  - nested",
    "plain `code` with ''' and \"\"\"",
    "```",
    "```mermaid",
    "%% in a diagram",
    "~~~~",
    "~~~",
    "    indented",
    "$$x$$",
    "Umlaute: äöü",
)
MARKERS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["", "[markdown]", "[md]", "[raw]"]),
        "title": st.sampled_from(["", "A title", "Part 2:"]),
        "lang": st.sampled_from([None, "de", "en"]),
        "tags": st.lists(st.sampled_from(["slide", "keep", "notes", "my-tag"]), unique=True, max_size=3),
        "swapped": st.booleans(),
        "blanks": st.sampled_from([" ", "  ", "   "]),
    }
)
CELLS = st.tuples(
    MARKERS,
    st.lists(st.sampled_from(CODE_LINES), max_size=6),
    st.lists(st.sampled_from(TEXT_LINES), max_size=6),
    st.integers(0, 3),
)


def marker(comment: str, options: dict[str, Any]) -> str:
    attributes = []
    if options["lang"]:
        attributes.append(f'lang="{options["lang"]}"')
    if options["tags"]:
        attributes.append(f"tags={json.dumps(options['tags'])}")
    if options["swapped"]:
        attributes.reverse()
    words = [comment, "%%", options["title"], options["kind"], *attributes]
    return str(options["blanks"].join(word for word in words if word))


def deck_of(cells: list[Any], comment: str) -> str:
    lines = []
    for options, code, text, blanks in cells:
        lines.append(marker(comment, options))
        lines += [f"{comment} {line}".rstrip() for line in text] if options["kind"] else code
        lines += [""] * blanks
    return "\n".join(lines) + "\n"


@settings(max_examples=examples(150))
@given(cells=st.lists(CELLS, min_size=1, max_size=5), language=st.sampled_from(sorted(set(PROG_LANG) - {"c"})))
def test_cells_are_those_jupytext_reads(cells: list[Any], language: str) -> None:
    text = deck_of(cells, PROG_LANG[language].comment)
    assert as_read(text, language) == as_jupytext_reads(text, language)


@pytest.mark.parametrize(
    "text",
    [
        "import os\n\n# %%\nx\n",
        "# -*- coding: utf-8 -*-\n# %%\nx\n",
        "#!/usr/bin/env python\n# %%\nx\n",
        "# ---\n# jupyter:\n#   jupytext:\n#     main_language: python\n# ---\n\n# %%\nx\n",
        '# %% [markdown]\n"""\nA $x$ text\n# %% no marker\n"""\n\n# %%\n1\n',
        "# %% [markdown]\nr'''raw\ntext'''\n",
        '# %% [markdown]\n"""one line"""\n',
        "# %%\n\n\n\nx\n\n\n",
        "# In[1]:\nx\n# <codecell>\ny\n",
        "    # %%\nx\n",
        "# %%%% deeper [markdown]\n# a\n",
        "x = 1\n",
    ],
)
def test_odd_decks_are_read_as_jupytext_reads_them(text: str) -> None:
    assert as_read(text) == as_jupytext_reads(text, "python")


@pytest.mark.parametrize(
    "marker",
    [
        '# %% [markdown] lang="de" tags=["slide", "notes"]',
        '#%%   [markdown]lang = "de"   tags = [ "slide","notes" ]',
        '# %% tags=["slide", "notes"] lang="de" [markdown]',
        '# %% lang="de" [markdown] tags=["slide", "notes"]',
        "# %%[markdown] lang='de' tags=['slide', 'notes']",
        '# %% A title [md] lang=de tags="slide notes"',
        '# %% [Markdown] {"lang": "de", "tags": ["slide", "notes"]}',
        '   #  %%  [ markdown ]  lang="DE"  tags=["slide", "notes",]  ',
    ],
)
def test_markers_in_the_wild(marker: str) -> None:
    assert as_read(f"{marker}\n# text\n") == [("markdown", "text", ("slide", "notes"), "de")]


@pytest.mark.parametrize(
    ("marker", "tags"),
    [
        ('# %% [markdown] lang="de" tags=["slide"', ("slide",)),
        ('# %% [markdown] lang="de" tags=["slide", "keep"  ', ("slide", "keep")),
        ('# %% [markdown] lang="de" tags=["subslide", alt]', ("subslide", "alt")),
        ("# %% [markdown] tags=[subslide, alt] lang='de'", ("subslide", "alt")),
        ('# %% [markdown] lang="de" tags=[slide', ("slide",)),
        ("# %% [markdown] lang='de' tags=['demo', answer", ("demo", "answer")),
    ],
)
def test_tags_whose_meaning_is_plain_are_read_and_told(marker: str, tags: tuple[str, ...]) -> None:
    [cell] = read_cells(f"{marker}\n# text\n", PYTHON)
    assert (cell.kind, cell.tags, cell.lang) == ("markdown", tags, "de")
    assert cell.respelt == f"tags={json.dumps(tags)}"
    [right] = read_cells(f'# %% [markdown] lang="de" {cell.respelt}\n# text\n', PYTHON)
    assert (right.tags, right.respelt) == (tags, "")


def test_all_mistakes_of_a_deck_are_noted() -> None:
    problems: list[ConversionError] = []
    text = '# %% tag=["private"]\nx\n\n# %% tags=["keep"]\ny\n\n# %% notes\n# %% tags=["Private"]\n'
    read_cells(text, PYTHON, problems=problems)
    assert [problem.line for problem in problems] == [1, 7, 8]
    problems.clear()
    markdown = '# T\n\n```python tag=["private"]\nx\n```\n\n```python tags=["Private"]\ny\n```\n'
    read_cells(markdown, PYTHON, is_markdown=True, problems=problems)
    assert len(problems) == 2


@pytest.mark.parametrize(
    "marker",
    [
        '# %% tags=["private"',
        '# %% tags=["slide", private]',
        '# %% tags=["slide",\n# "private"]',
        '# %% tags=["slide", notes',
        '# %% tags=["slide", del]',
        '# %% tags=["slide", "privat"',
        '# %% tags=["slide", Notes]',
        '# %% tags=["slide" lang="de"',
        '# %% tags=["slide", lang="de"',
        '# %% tags=["slide", Title of it',
        '# %% tags=["slide" "keep"]',
        '# %% tags=["slide""private"]',
        "# %% tags=['slide'  'private', 'keep']",
        '# %% tags="slide" "private"',
        '# %% tags=["slide", demo]',
        '# %% tags=["slide, "keep"]',
        "# %% tags=[private]",
        '# %% tag=["private"]',
        '# %% Tags=["private"]',
        '# %% tags="private',
        "# %% tags={1: 2}",
        '# %% language="de"',
        '# %% lang=["de"]',
        '# %% {"tags": ["private"]',
    ],
)
def test_a_marker_that_would_lose_a_tag_is_an_error(marker: str) -> None:
    with pytest.raises(ConversionError) as caught:
        read_cells(f"# %%\nx\n\n{marker}\nsecret\n", PYTHON)
    assert caught.value.line == 4


@pytest.mark.parametrize(
    ("marker", "next_step"),
    [
        ("# %% [markdown] private", 'Write tags=["private"].'),
        ("# %% private", 'Write tags=["private"].'),
        ("# %% [markdown, private]", 'Write tags=["private"].'),
        ("# %% [markdown] Private, notes", 'Write tags=["private", "notes"].'),
        ('# %% [markdown] tags: ["private"]', 'Write tags=["private"].'),
        ('# %% [markdown] tags["private"]', 'Write tags=["private"].'),
        ('# %% [markdown] tag["private"]', 'Write tags=["private"].'),
        ('# %% A title tags ["private"]', 'Write tags=["private"].'),
        ('# %% tags=["slide"], "private"', 'Write tags=["private"].'),
        ('# %% tags=["slide"] ["private"]', 'Write tags=["private"].'),
        ('# %% tags=["private"] tags=["slide"]', 'Write tags=["slide", "keep"].'),
        ('# %% [markdown] lang: "de"', 'Write lang="de".'),
        ("# %% markdown", "Write [markdown]."),
        ("# %% [markdwn]", "Write [markdown]."),
        ('# %% lang="eng"', 'Write lang="en".'),
        ('# %% lang="7"', 'Write two letters, as in lang="de".'),
        ('# %% tgas=["private"]', "Write tags=…."),
        ('# %% {"tag": ["private"]}', "Write tags=…."),
        ('# %% tags=["Private"]', 'Did you mean "private"?'),
        ('# %% tags=["note"]', 'Did you mean "notes"?'),
        ('# %% tags=["slide;private"]', 'Did you mean "private"?'),
        ('# %%tags=["privat"]', 'Did you mean "private"?'),
        ('# %% {"tags": ["NOTES"]}', 'Did you mean "notes"?'),
    ],
)
def test_a_misspelt_marker_is_an_error_that_says_how_it_is_written(marker: str, next_step: str) -> None:
    with pytest.raises(ConversionError) as caught:
        read_cells(f"# %%\nx\n\n{marker}\n# secret\n", PYTHON)
    assert (caught.value.line, caught.value.next_step) == (4, next_step)


@pytest.mark.parametrize(
    "opens", ['# %%\ntext = """', "# %% tags=['keep']\nf('a', \"\"\"b", "# %% [markdown]\n# ```python\n# x = 1"]
)
@pytest.mark.parametrize("tag", ["private", "notes", "del"])
def test_the_marker_of_a_hidden_cell_is_never_text_of_a_public_one(opens: str, tag: str) -> None:
    text = f'{opens}\n\n# %% tags=["slide", "{tag}"]\n"""Zebra"""\n\n# ```\nx = 1\n'
    with pytest.raises(ConversionError, match="would be published") as caught:
        read_cells(text, PYTHON)
    assert caught.value.line == text.split("\n").index(f'# %% tags=["slide", "{tag}"]') + 1


@pytest.mark.parametrize(
    ("text", "is_markdown"),
    [
        ("# # Title\n\n# + tags=['private']\nx = 1\n# -\n", False),
        ("# %%\ny\n# + {'tags': ['notes']}\nx = 1\n", False),
        ("# T\n\n```{r tags=['private']}\nx = 1\n```\n", True),
        ("# T\n\n# %% tags=['private']\nx = 1\n", True),
    ],
)
def test_what_hides_a_cell_in_other_formats_is_never_text(text: str, is_markdown: bool) -> None:
    with pytest.raises(ConversionError, match=r"looks like the marker of a (private|notes) cell") as caught:
        read_cells(text, PYTHON, is_markdown=is_markdown)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("slide", "tags"),
    [
        ("notes", ("notes",)),
        ("skip", ("del",)),
        ("slide", ("slide",)),
        ("subslide", ("subslide",)),
        ("fragment", ("fragment",)),
        ("-", ()),
    ],
)
def test_slide_types_of_jupyter_are_tags(slide: str, tags: tuple[str, ...]) -> None:
    for marker in (
        f'# %% slideshow={{"slide_type": "{slide}"}}',
        f'# %% [code] {{"slideshow": {{"slide_type": "{slide}"}}}}',
    ):
        assert as_read(f"{marker}\nx\n") == [("code", "x", tags, None)]
    fence = f'# T\n\n```python slideshow={{"slide_type": "{slide}"}}\nx\n```\n'
    assert read_cells(fence, PYTHON, is_markdown=True)[1].tags == tags
    [cell] = read_cells(f'# %% slideshow={{"slide_type": "{slide}"}} tags=["keep"]\nx\n', PYTHON)
    assert cell.tags == ("keep", *tags)


@pytest.mark.parametrize("slide", ['{"slide_type": "note"}', '{"slide_type": 1}', "notes", '{"slide_type": ["skip"]}'])
def test_a_slide_type_that_cannot_be_read_is_an_error(slide: str) -> None:
    with pytest.raises(ConversionError, match=r"slide type cannot be read|hides no cell"):
        read_cells(f"# %% slideshow={slide}\nx\n", PYTHON)


@pytest.mark.parametrize("slide", ["notes", "skip"])
def test_the_marker_of_a_cell_that_jupyter_hides_is_no_text(slide: str) -> None:
    text = f'# %%\nx = """\n# %% slideshow={{"slide_type": "{slide}"}}\nZebra\n"""\n'
    with pytest.raises(ConversionError, match="would be published"):
        read_cells(text, PYTHON)


@pytest.mark.parametrize(
    ("options", "tags"),
    [
        ('jupyter={"source_hidden": true}', ("hide-input",)),
        ('jupyter={"outputs_hidden": true, "source_hidden": false}', ("hide-output",)),
        ("eval=false", ("skip-execution",)),
        ("echo=FALSE include=true", ("remove-input",)),
        ("collapsed=true", ("hide-output",)),
        ('{"jupyter": {"source_hidden": true}, "eval": false}', ("hide-input", "skip-execution")),
        ('tags=["hide_input", "remove_cell", "collapse"]', ("hide-input", "remove-cell", "collapse")),
        ('results="hide"', ("remove-output",)),
    ],
)
def test_attributes_of_other_tools_are_tags(options: str, tags: tuple[str, ...]) -> None:
    [cell] = read_cells(f"# %% {options}\nx\n", PYTHON)
    assert (cell.tags, cell.unread) == (tags, ())


def test_quartos_options_are_tags() -> None:
    [cell] = read_cells("# %%\n#| label: a\n#| eval: false\n#| echo: False\nx\n#| include: false\n", PYTHON)
    assert cell.tags == ("skip-execution", "remove-input")


def test_attributes_that_mean_nothing_are_known_by_name() -> None:
    [cell] = read_cells('# %% name="a" editable=false fold=3 jupyter={"x": 1}\nx\n', PYTHON)
    assert cell.unread == ("fold", "jupyter.x")


@pytest.mark.parametrize(
    ("text", "kind", "source"),
    [
        (
            '# %% language="bash"\n# echo hello\n# # a comment\n#\n# ls\n',
            "code",
            "%%bash\necho hello\n# a comment\n\nls",
        ),
        ('# %% magic_args="bash -e" language="script"\n# ls\n', "code", "%%script bash -e\nls"),
        ('# %% language="html" tags=["keep"]\n<b>x</b>\n', "code", "%%html\n<b>x</b>"),
        ('# %% language="python"\nx = 1\n', "code", "x = 1"),
        ('# %% active="ipynb"\n# x = 1\n', "code", "x = 1"),
        ('# %% tags=["active-ipynb"]\n# x = 1\n', "code", "x = 1"),
        ('# %% active="py"\nx = 1\n', "raw", "x = 1"),
        ('# %% active="ipynb,py"\nx = 1\n', "code", "x = 1"),
    ],
)
def test_cells_of_other_languages_are_as_jupytext_means_them(text: str, kind: str, source: str) -> None:
    [cell] = read_cells(text, PYTHON)
    [meant] = jupytext.reads(text, fmt="py:percent").cells
    assert (cell.kind, cell.source) == (kind, source)
    if "<b>" not in text:  # which jupytext would run as Python
        assert (meant.cell_type, meant.source) == (kind, source)
    assert first_line_of(cell, text.split("\n"), PYTHON) == 2 - cell.in_marker


def test_other_markers_may_be_text() -> None:
    text = 'deck = """\n# %% tags=["keep"]\n# % % tags=["private"]\n"""'
    assert [cell.source for cell in read_cells(text, PYTHON)] == [text]
    hidden = f"# %% tags=['notes']\n{text.replace('% %', '%%')}"
    assert [cell.tags for cell in read_cells(hidden, PYTHON)] == [("notes",)]


def test_an_unknown_tag_is_quoted() -> None:
    with pytest.raises(ConversionError, match='unknown tag "Private"'):
        read_cells('# %% tags=["Private"]\n', PYTHON)


@pytest.mark.parametrize(
    "marker",
    [
        "# %% My title",
        "# %% Private attributes [markdown]",
        "# %% How to start",
        "# %% Notes on slicing",
        "# %% A new language: Rust",
        '# %% Vantage points tags=["demo", "model", "hide-input", "remove_cell", "exercise", "active-py"]',
        '# %% name="start" id="answer" slideshow={"slide_type": "slide"}',
    ],
)
def test_titles_other_tags_and_other_attributes_are_left_alone(marker: str) -> None:
    assert [source for _, source, _, _ in as_read(f"{marker}\nx\n")] == ["x"]


HEADER = "# ---\n# jupyter:\n#   jupytext:\n#     text_representation:\n#       format_name: {}\n# ---\n"


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        (HEADER.format("light") + "\n# # Title\n\nx = 1\n", 1, "light"),
        (HEADER.format("sphinx") + "x = 1\n", 1, "sphinx"),
        ("# # Title\n\n# + tags=['keep']\nx = 1\n# -\n", 3, "light"),
        ("#+\nx = 1\n", 1, "light"),
        ("x = 1\n" + "#" * 79 + "\n# Some text\n# ---------\nprint(x)\n", 2, "sphinx"),
    ],
)
def test_another_format_of_jupytext_is_refused_with_the_command_that_converts_it(
    text: str, line: int, name: str
) -> None:
    with pytest.raises(ConversionError, match=f"{name} format") as caught:
        read_cells(text, PYTHON)
    assert caught.value.line == line
    assert caught.value.next_step == "Type: jupytext --to py:percent FILE"


@pytest.mark.parametrize(
    "text",
    [
        HEADER.format("hydrogen") + "# %%\n%matplotlib inline\nx = 1\n",
        HEADER.format("percent") + "# %%\n# + a list\n",
        "# %%\n# + no marker\n# -\n# %%\nx\n",
        "# %%\n# + no marker\nx\n",
        "x = 1  # no marker at all\n" + "#" * 79 + "\n",
    ],
)
def test_percent_and_hydrogen_are_read(text: str) -> None:
    assert read_cells(text, PYTHON)


def test_markers_of_other_formats_are_comments_where_there_are_percent_cells() -> None:
    lines = ["# + a", "x"]
    assert other_format(lines, PYTHON, 2) is None
    assert other_format(lines, PROG_LANG["cpp"], 1) is None
    assert other_format(["// + a"], PROG_LANG["cpp"], 1) is not None


def test_private_cells_of_a_hydrogen_deck_are_private() -> None:
    found = read_cells(HEADER.format("hydrogen") + '# %% tags=["private"]\n%time x\n# %%\n!ls\n', PYTHON)
    assert [(cell.source, cell.tags) for cell in found] == [("%time x", ("private",)), ("!ls", ())]


def test_a_marker_without_a_blank_is_one() -> None:
    assert as_read('# %%\na\n# %%tags=["private"]\nb\n')[1] == ("code", "b", ("private",), None)


@pytest.mark.parametrize(
    "text",
    [
        "```python private\nx\n```\n",
        '```python tags: ["private"]\nx\n```\n',
        '```python tags=["private"\nx\n```\n',
        '```python Tags=["private"]\nx\n```\n',
        '```python tags=["Private"]\nx\n```\n',
        "<!-- #region private -->\nx\n<!-- #endregion -->\n",
        '<!-- #region tags["private"] -->\nx\n<!-- #endregion -->\n',
        '<!-- #region tags=["private" -->\nx\n<!-- #endregion -->\n',
        '<!-- #region tag=["private"] -->\nx\n<!-- #endregion -->\n',
    ],
)
def test_misspelt_markers_of_markdown_decks_are_errors_too(text: str) -> None:
    with pytest.raises(ConversionError) as caught:
        read_cells(f"# T\n\n{text}", PYTHON, is_markdown=True)
    assert "tag" in caught.value.next_step or "private" in caught.value.next_step


@pytest.mark.parametrize(
    "marker",
    [
        '# %% {"tags": ["private"], "tags": ["slide"]}',
        '# %% {"tags": ["slide"], "x": {"a": 1, "a": 2}}',
        '# %% tags=["private"] tags=["slide"]',
    ],
)
def test_an_attribute_that_is_given_twice_is_an_error(marker: str) -> None:
    with pytest.raises(ConversionError, match="attribute twice"):
        read_cells(f"{marker}\nx\n", PROG_LANG["python"])


@pytest.mark.parametrize(
    ("marker", "fact"),
    [
        ("# %% [private] solution", "no kind of cell"),
        ('# %% lang="private"', "no language"),
        ('# %% lang="eng"', "two letters"),
        ('# %% lang="sql"', "two letters"),
        ('# %% lang="del"', "is no language"),
        ('# %% lang="e"', "two letters"),
    ],
)
def test_a_tag_in_the_place_of_something_else_is_an_error(marker: str, fact: str) -> None:
    with pytest.raises(ConversionError, match=fact):
        read_cells(f"{marker}\nx\n", PROG_LANG["python"])


@pytest.mark.parametrize("first", ["# ---\n# title: x\n", "# ---\n# title\n", "#\n# ---\n", "#!/x\n# ---\n"])
@pytest.mark.parametrize("tag", ["private", "notes"])
def test_a_header_swallows_no_cell(first: str, tag: str) -> None:
    text = f'{first}# %% [markdown] tags=["{tag}"]\n# Hello\n# ---\n# Zebra\n\n# %% [markdown]\n# hi\n'
    assert "Zebra" not in "".join(cell.source for cell in read_cells(text, PROG_LANG["python"]) if tag not in cell.tags)
    with pytest.raises(ConversionError, match=r"is like the marker|would be published"):
        read_cells(text.replace("%% [", "% % ["), PROG_LANG["python"])


def test_only_line_ends_end_lines() -> None:
    text = "# %%\nx = 1\n\x0cy = '\u2028'\n\n# %% tags=[1]\n"
    assert as_read(text.partition("\n\n")[0]) == [("code", "x = 1\n\x0cy = '\u2028'", (), None)]
    with pytest.raises(ConversionError) as caught:
        read_cells(text, PYTHON)
    assert caught.value.line == 5


def test_cells_know_their_lines() -> None:
    cells = read_cells("import a\n\n# %%\nx\n\n# %% [markdown]\n# b\n", PYTHON)
    assert [cell.line for cell in cells] == [1, 3, 6]


@pytest.mark.parametrize("text", ["", "\n\n", "# ---\n# title: x\n# ---\n"])
def test_a_deck_without_cells_is_an_error(text: str) -> None:
    with pytest.raises(ConversionError, match="no cells"):
        read_cells(text, PYTHON)


def test_markdown_decks() -> None:
    text = """---
jupyter:
  kernelspec: {name: python3, display_name: Python, language: python}
---

# Title

```python tags=["keep"] lang="de"
x = 1
```

<!-- #region lang="de" tags=["slide"] -->
Text
<!-- #endregion -->

```
not code
```
"""
    found = read_cells(text, PYTHON, is_markdown=True)
    assert [(cell.kind, cell.source, cell.tags, cell.lang) for cell in found] == [
        ("markdown", "# Title", (), None),
        ("code", "x = 1", ("keep",), "de"),
        ("markdown", "Text", ("slide",), "de"),
        ("markdown", "```\nnot code\n```", (), None),
    ]
    with pytest.raises(ConversionError, match="YAML block"):
        read_cells("---\njupyter: [\n---\n\ntext\n", PYTHON, is_markdown=True)


@pytest.mark.parametrize(
    "line", ['# # %% tags=["private"]', 'x = 1  # %% tags=["private"]', '## %% tags=["notes"]', '%% tags=["del"]']
)
def test_a_hidden_marker_behind_text_is_an_error(line: str) -> None:
    """As a template leaves it that takes the end of the line before away."""
    with pytest.raises(ConversionError, match="behind text") as caught:
        read_cells(f"# %%\nx = 0\n{line}\nsecret = 1\n", PYTHON)
    assert caught.value.line == 3
