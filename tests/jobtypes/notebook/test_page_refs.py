"""What is found in a page: its references and its anchors, and nothing that only looks like one."""

from __future__ import annotations

import pytest

from clx.jobtypes.notebook.markup import slug_of
from clx.jobtypes.notebook.page_refs import references, with_known_anchors


def refs(page: str) -> list[str]:
    return list(references(page)["refs"])


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<img alt="" src="img/a%20b.png"><img src=\'b.png\'>', ["img/a%20b.png", "b.png"]),
        ('<a href="x.html#y">x</a><a href="x.html#y">x</a>', ["x.html#y"]),
        ('<video poster="p.png" src="v.mp4"></video><object data="o.pdf"></object>', ["p.png", "v.mp4", "o.pdf"]),
        ('<img srcset="a.png 1x, b.png 2x">', ["a.png", "b.png"]),
        ('<a href="a&amp;b.html">x</a>', ["a&b.html"]),
        ('<a href="https://example.org/x">x</a>', ["https://example.org/x"]),
        ('<a href="mailto:a@b.c">x</a><img src="data:,x"><a href="/abs"></a><a href="//host/x"></a><a href="">', []),
        ("<p>src=\"a.png\" &lt;img src='b.png'&gt;</p>", []),
        ('<script>x = "<img src=\'a.png\'>"</script><!-- <img src="b.png"> --><style>a[href="c"]{}</style>', []),
        ('<span data-src="a.png" title="href=&quot;x&quot;"></span>', []),
        ('<a title="a > b" href="c.html">', ["c.html"]),
        ('<img src="a.png"><!-- <img src="b.png"> --><img src="c.png">', ["a.png", "c.png"]),
        ('<SCRIPT>"<a href=x>"</Script><a HREF="d.html"><a href="e.html', ["d.html"]),
    ],
)
def test_what_tags_refer_to_is_found(page: str, found: list[str]) -> None:
    assert refs(page) == found


def test_only_what_the_author_wrote_counts() -> None:
    assert refs('<nav><a href="gone.html"></a></nav><main id="main"><a href="x.pdf"></a></main>') == ["x.pdf"]


def test_anchors_of_the_page_itself_are_references_only_where_they_are_missing() -> None:
    page = '<h2 id="a">A</h2><a name="b"></a><a href="#a"><a href="#b"><a href="#%C3%A4"><a href="#top"><a href="#c">'
    assert refs(page + '<h2 id="ä">') == ["#c"]


def test_anchors_inside_of_drawings_are_not_told() -> None:
    assert references('<h2 id="a">A</h2><svg><g id="glyph"></g></svg>')["ids"] == ["a"]
    assert refs('<a href="#glyph"></a><svg><g id="glyph"></g></svg>') == []
    assert references('<svg><svg><i id="x"/></svg><i id="y"/></svg><i id="a"><svg/><i id="b">')["ids"] == ["a", "b"]


def test_links_to_headings_as_jupyter_spells_them_lead_there() -> None:
    page = '<h2 id="a-heading">A Heading</h2><i id="Own"></i>'
    assert with_known_anchors(page + '<a href="#A-Heading">x</a>', slug_of) == page + '<a href="#a-heading">x</a>'
    for other in ('<a href="#Own">x</a>', '<a href="#Gone">x</a>', '<a href="b.html#A-Heading">x</a>'):
        assert with_known_anchors(page + other, slug_of) == page + other
