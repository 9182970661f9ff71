"""Boxes in Markdown, as GitHub, MyST and Quarto write them, and links made of bare addresses."""

from __future__ import annotations

import pytest
from tests.jobtypes.notebook.test_page import markdown, page

from clx.jobtypes.notebook.callouts import KINDS
from clx.jobtypes.notebook.markup import Markup


def shown(text: str, language: str = "en") -> str:
    """The HTML of a text, without line breaks."""
    from clx.jobtypes.notebook.labels import words_in

    markup = Markup()
    markup.clear(words_in(language))
    return markup.html(text, doc="x").replace("\n", "")


def box(kind: str, title: str, inside: str) -> str:
    return f'<div class="callout {kind}" role="note"><p class="title">{title}</p>{inside}</div>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> [!NOTE]\n> a *b*\n>\n> - c", box("note", "Note", "<p>a <em>b</em></p><ul><li>c</li></ul>")),
        ("> [!warning]\n>\n> a", box("warning", "Warning", "<p>a</p>")),
        ("> [!CAUTION] Own *title*\n> a", box("caution", "Own <em>title</em>", "<p>a</p>")),
        ("> [!IMPORTANT]\n\nafter", box("important", "Important", "") + "<p>after</p>"),
        ("> > [!TIP]\n> > a", f"<blockquote>{box('tip', 'Tip', '<p>a</p>')}</blockquote>"),
        (":::{note}\na\n:::\nb", box("note", "Note", "<p>a</p>") + "<p>b</p>"),
        ("a\n:::{note}\nb\n:::", "<p>a</p>" + box("note", "Note", "<p>b</p>")),
        ("::: {.callout-tip}\n## Own\na\n:::", box("tip", "Own", "<p>a</p>")),
        ('::: {.callout-important title="Own title"}\na\n:::', box("important", "Own title", "<p>a</p>")),
        ("::: warning\na\n:::", box("warning", "Warning", "<p>a</p>")),
        ("```{danger} Own\na **b**\n```", box("caution", "Own", "<p>a <strong>b</strong></p>")),
        ("~~~{admonition} Own\n:class: warning\na\n~~~", box("warning", "Own", "<p>a</p>")),
        (":::{note}\nnever ended", box("note", "Note", "<p>never ended</p>")),
        ("- a\n\n  :::{tip}\n  b\n  :::", f"<ul><li><p>a</p>{box('tip', 'Tip', '<p>b</p>')}</li></ul>"),
        (
            "::::{note}\n:::{tip}\na\n:::\n::::\nb",
            box("note", "Note", box("tip", "Tip", "<p>a</p>")) + "<p>b</p>",
        ),
        (
            "::: {.callout-note}\n::: {.column}\na\n:::\n:::\nb",
            box("note", "Note", "<p>::: {.column}a:::</p>") + "<p>b</p>",
        ),
        (
            ":::{note}\n```\n:::\n```\n:::\nb",
            box("note", "Note", "<pre><code>:::</code></pre>") + "<p>b</p>",
        ),
    ],
)
def test_boxes(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("> [!NOTE]- T\n> a", False),
        ("> [!NOTE]+ T\n> a", True),
        (":::{note} T\n:class: dropdown\na\n:::", False),
        (":::{note} T\n:class: dropdown\n:open:\na\n:::", True),
        ('::: {.callout-note collapse="true"}\n# T\na\n:::', False),
        ('::: {.callout-note collapse="false" title=T}\na\n:::', True),
    ],
)
def test_boxes_that_fold(text: str, is_open: bool) -> None:
    opened = ' open=""' if is_open else ""
    assert shown(text) == f'<details class="callout note"{opened}><summary class="title">T</summary><p>a</p></details>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> [!FOO]\n> a", "<blockquote><p>[!FOO]a</p></blockquote>"),
        ("> a [!NOTE]", "<blockquote><p>a [!NOTE]</p></blockquote>"),
        ("```{python}\na\n```", '<pre><code class="language-{python}">a</code></pre>'),
        ("```note\na\n```", '<pre><code class="language-note">a</code></pre>'),
        ("::: {.column}\na\n:::", "<p>::: {.column}a:::</p>"),
        ("    :::{note}\n    a", "<pre><code>:::{note}a</code></pre>"),
    ],
)
def test_what_is_no_box(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_titles_speak_the_language_of_the_page() -> None:
    assert '<p class="title">Hinweis</p>' in shown("> [!NOTE]\n> a", "de")
    assert '<p class="title">Astuce</p>' in markdown("> [!TIP]\n> a", lang="fr")


def test_every_name_has_a_kind_that_is_styled() -> None:
    from clx.jobtypes.notebook.labels import words_in

    assert set(KINDS.values()) <= words_in("en").keys()
    css = page("# %%\n1\n")[0]
    assert all(f"--box-{kind}: " in css for kind in KINDS.values())


def test_a_directive_that_no_box_is_made_of_is_warned_about_with_its_line() -> None:
    html, warnings = page("# %% [markdown]\n# :::{figure} x.png\n# a\n# :::\n")
    assert ":::{figure} x.png" in html
    assert warnings == ["the directive {figure} is shown as its source: pages know boxes like {note} only"]
    assert page("# %% [markdown]\n# ```{python}\n# 1\n# ```\n")[1] == []


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://example.org/a_b?c=1.", ["https://example.org/a_b?c=1"]),
        ("(http://example.org)", ["http://example.org"]),
        ("mailto:a@example.org", ["mailto:a@example.org"]),
        *((text, []) for text in ("script.py", "README.md", "www.example.org", "a@example.org", "//example.org")),
        *((text, []) for text in ("`https://example.org`", "```\nhttps://example.org\n```", "javascript:alert(1)")),
        ("[https://a.example](https://b.example)", ["https://b.example"]),
        ('<a href="x">https://a.example</a>', ["x"]),
    ],
)
def test_bare_addresses_are_links(text: str, links: list[str]) -> None:
    import re

    assert re.findall('href="([^"]*)"', shown(text)) == links
