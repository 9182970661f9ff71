"""What can be searched is what stands on a page: by heading, without outputs, whatever they are made of."""

from __future__ import annotations

import pytest

from clx.course.pages.page_text import Section, sections


def said(body: str) -> list[Section]:
    return sections(
        f"<html><head><title>head</title><style>p {{}}</style></head><body><main id='m'>{body}</main></body>"
    )


def test_text_and_code_stand_under_their_heading() -> None:
    page = (
        '<section><div class="text"><p>Before &amp; all</p></div></section>'
        '<section class="slide"><div class="text">\n<h2 id="loops">Loops <code>for</code></h2>\n'
        "<p>Round <em>and</em> round.</p></div>"
        '<div class="code"><div class="in"><span class="n">[1]</span><pre><code>'
        '<span class="k">for</span> x <span>in</span> xs:</code></pre></div></div>'
        "</section>"
    )
    assert said(page) == [
        Section("", "", "Before & all"),
        Section("loops", "Loops for", "Round and round. for x in xs:"),
    ]


def test_words_are_kept_apart_by_blocks_and_not_by_colours() -> None:
    assert said("<p>one</p><p>two</p><ul><li>three<li>four</ul>a<span>b</span>c<br>d") == [
        Section("", "", "one two three four abc d")
    ]


@pytest.mark.parametrize(
    "output",
    [
        "<pre>42</pre>",
        '<div class="html"><div>42</div><p title="a > b">42</p></div>',
        '<div class="html"><div>never closed 42',
        "<!-- </div> 42 -->42",
        "<script>if (a < b) { '</div>' } 42</script>",
    ],
)
def test_what_cells_wrote_is_not_searched(output: str) -> None:
    page = (
        f'<div class="code"><div class="in"><pre>six</pre></div><div class="out">\n{output}</div>\n</div>'
        '<div class="text"><p>after</p></div>'
    )
    assert said(page) == [Section("", "", "six after")]


@pytest.mark.parametrize("name", ["script", "style", "svg", "math", "button", "template"])
def test_what_is_no_text_is_not_searched(name: str) -> None:
    assert said(f"<p>a <{name} x='1'>hidden <b>b</b></{name}> c</p>") == [Section("", "", "a c")]


def test_what_readers_press_is_not_searched() -> None:
    folded = '<details class="fold"><summary class="ui">Show cell</summary>\n<p>text</p></details>'
    found = said(f"{folded}<details><summary>Own</summary>")
    assert found == [Section("", "", "text Own")]


def test_a_page_without_a_main_part_says_nothing() -> None:
    assert sections("<html><body>text</body></html>") == []
    assert said("") == []


def test_text_of_one_heading_has_an_end() -> None:
    [found] = said("<p>" + "word " * 10_000 + "</p>")
    assert len(found.text) == 20_000
