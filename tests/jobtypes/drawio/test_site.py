"""The made-up web site that the browser sees: the application, MathJax, and nothing else at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.errors import ToolMissingError
from clx.jobtypes.drawio.site import ORIGIN, START_PAGE, Site

NEEDED = ("js/app.min.js", "js/export.js", "js/stencils.min.js", "js/shapes-14-6-5.min.js")


@pytest.fixture
def application(tmp_path: Path) -> Path:
    root = tmp_path / "dio"
    for name in (*NEEDED, "img/a b.svg", "font.woff2", "data.unknown", "clx-exporter.js"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "dio-2").mkdir()
    (tmp_path / "dio-2/secret").write_text("secret")
    (root / "link").symlink_to("../dio-2/secret")
    (tmp_path / "math").mkdir()
    (tmp_path / "math/startup.js").write_text("math")
    return root


@pytest.fixture
def site(application: Path) -> Site:
    return Site(application, application.with_name("math"))


@pytest.mark.parametrize(
    ("path", "body", "type_"),
    [
        ("js/app.min.js", b"js/app.min.js", "text/javascript; charset=utf-8"),
        ("js/app.min.js?x=1#y", b"js/app.min.js", "text/javascript; charset=utf-8"),
        ("img/a%20b.svg", b"img/a b.svg", "image/svg+xml"),
        ("font.woff2", b"font.woff2", "font/woff2"),
        ("data.unknown", b"data.unknown", "application/octet-stream"),
        ("math/es5/startup.js", b"math", "text/javascript; charset=utf-8"),
    ],
)
def test_files_of_the_application_are_answered_with_their_type(site: Site, path: str, body: bytes, type_: str) -> None:
    answer = site.answer(f"{ORIGIN}/{path}")
    assert answer is not None
    assert (answer[1], answer[0]["Content-Type"]) == (body, type_)


def test_every_answer_confines_what_a_page_may_do(site: Site) -> None:
    answer = site.answer(START_PAGE)
    assert answer is not None
    headers, body = answer
    assert b"clx-exporter.js" in body
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert not any("unsafe-eval" in each or "http" in each for each in policy)


def test_our_own_files_are_not_replaced_by_the_applications(site: Site) -> None:
    answer = site.answer(f"{ORIGIN}/clx-exporter.js")
    assert answer is not None
    assert answer[1] != b"clx-exporter.js"


@pytest.mark.parametrize(
    "url",
    [
        f"{ORIGIN}/gone.js",
        f"{ORIGIN}/js",
        f"{ORIGIN}/../dio-2/secret",
        f"{ORIGIN}/%2e%2e/dio-2/secret",
        f"{ORIGIN}/link",
        f"{ORIGIN}/js/%00",
        f"{ORIGIN}/math/es5/../../dio/js/app.min.js",
        f"{ORIGIN}.example.org/js/app.min.js",
        "file:///etc/passwd",
        "http://drawio.invalid/js/app.min.js",
        "",
    ],
)
def test_nothing_else_is_there(site: Site, url: str) -> None:
    assert site.answer(url) is None


def test_without_mathjax_there_are_no_formulas(application: Path) -> None:
    assert Site(application, None).answer(f"{ORIGIN}/math/es5/startup.js") is None


@pytest.mark.parametrize("name", NEEDED)
def test_an_application_that_is_not_complete_is_a_missing_tool(application: Path, name: str) -> None:
    (application / name).unlink()
    with pytest.raises(ToolMissingError, match=f"is not a complete draw.io application: {name} is missing") as caught:
        Site(application, None)
    assert caught.value.next_step == "Type: clx tools install drawio"


def test_an_address_is_told_as_the_author_wrote_it() -> None:
    assert Site.name(f"{ORIGIN}/img/a.png") == "img/a.png"
    assert Site.name("https://example.org/a.png") == "https://example.org/a.png"
