"""What pages refer to is checked against what is published; what was found is said again until it is mended."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.courses import Course
from tests.support.planning import job_of

from clx.course.build_state import BuildState, Owner
from clx.course.layout import Selection
from clx.course.link_check import LinkCheck, line_of
from clx.course.page_facts import Pages
from clx.course.plan import OutputPath, Plan

OWNER = Owner("/course.yaml", "/output")
DECK = "slides/a.py"


class Site:
    """Published files, some of them pages."""

    def __init__(self, course: Course, state: BuildState) -> None:
        self.course, self.state = course, state
        self.plan = Plan()
        self.done: dict[str, Any] = {}
        self.files: set[tuple[int, str]] = set()
        course.write(DECK, "# %% [markdown]\n# first\n# [x](x.pdf)\n")

    def page(
        self, path: str, *refs: str, ids: tuple[str, ...] = (), deck: str = DECK, made: list[str] | None = None
    ) -> None:
        place = OutputPath(0, path, "en/completed/html")
        job = job_of(deck, f"execute {path}", key=path, places={"completed.html": [place]})
        self.plan.jobs.append(job)
        facts = {"refs": list(refs), "ids": list(ids), **({} if made is None else {"made": made})}
        self.done[path] = {"facts": {"pages": {"completed.html": facts}}}
        self.files.add((0, path))

    def published(self, *paths: str) -> None:
        self.files |= {(0, path) for path in paths}

    def pages(self, selection: Selection | None = None) -> Pages:
        return Pages(self.plan, selection or Selection(), self.state, OWNER, self.done)

    def warnings(self) -> list[str]:
        output = [str(self.course.output)]
        return LinkCheck(self.course.root, self.plan, self.pages(), output, self.files).warnings()


@pytest.fixture
def site(course: Course, state: BuildState) -> Site:
    return Site(course, state)


def test_what_is_there_is_not_told(site: Site) -> None:
    site.page("S/01.html", "img/a%20b.png?x=1", "02.html", "02.html#b", "../T/x.pdf", "#:~:text=x", "data/", "made.txt")
    site.page("S/02.html", ids=("b",))
    site.published("S/img/a b.png", "T/x.pdf")
    site.course.write("output/S/data/x.csv", "")
    site.course.write("output/S/made.txt", "")
    assert site.warnings() == []


def test_what_is_not_there_is_told_once_with_its_line(site: Site) -> None:
    for number in ("01", "02"):
        site.page(f"S/{number}.html", "x.pdf", "y.pdf")
    assert site.warnings() == [f"{DECK}: line 3: x.pdf is not published", f"{DECK}: y.pdf is not published"]


def test_what_cells_write_need_not_be_there_where_they_are_not_run(site: Site) -> None:
    site.page("code-along.html", "x.pdf", "y.pdf")
    site.page("completed.html", "y.pdf", made=["x.pdf"])
    site.page("speaker.html", made=["x.pdf", "y.pdf"])
    assert site.warnings() == [f"{DECK}: y.pdf is not published"]


@pytest.mark.parametrize(
    ("there", "written", "hint"),
    [
        ("img/Upper.PNG", "img/upper.png", "there is img/Upper.PNG"),
        ("Img/upper.png", "img/upper.png", "there is Img/upper.png"),
        ("img/gro\u0308\u00dfe.png", "img/gr\u00f6\u00dfe.png", "spelled with other Unicode characters"),
        ("img/overview.png", "img/overveiw.png", "there is img/overview.png"),
    ],
)
def test_what_is_there_instead_is_named(site: Site, there: str, written: str, hint: str) -> None:
    site.page("S/01.html", written)
    site.published(f"S/{there}")
    (told,) = site.warnings()
    assert told.endswith(hint)


def test_a_link_to_a_deck_without_a_page_says_so(site: Site) -> None:
    site.page("S/01.html", "../topic_200_b/slides_b.py#x")
    (told,) = site.warnings()
    assert told.endswith("../topic_200_b/slides_b.py is not published; the course has no page of this deck")


def test_anchors_must_be_there_on_their_own_page_and_on_others(site: Site) -> None:
    site.page("S/01.html", "#gone", "02.html#B", "02.html#b", "x.pdf#page=3")
    site.page("S/02.html", ids=("b",))
    site.published("S/x.pdf")
    assert site.warnings() == [
        f"{DECK}: the anchor #gone is not on the page",
        f"{DECK}: the page 02.html has no anchor #B",
    ]


def test_a_link_is_told_as_its_author_wrote_it(site: Site) -> None:
    site.course.write(DECK, "# %% [markdown]\n#\n# [x](slides_b.ipynb)\n# [y](slides_b.py#B) [z](../o/p.txt)\n")
    site.page("S/01.html", "02%20B.html#B", "files/p.txt")
    site.page("S/02 B.html", ids=("b",))
    forms = {"02%20B.html#B": ["slides_b.ipynb#B", "slides_b.py#B"], "files/p.txt": ["../o/p.txt"]}
    site.done["S/01.html"]["facts"]["pages"]["completed.html"]["written"] = forms
    assert site.warnings() == [
        f"{DECK}: line 4: the page slides_b.py has no anchor #B",
        f"{DECK}: line 4: ../o/p.txt is not published",
    ]


def test_what_is_made_of_a_pointer_of_git_lfs_is_not_told_twice(site: Site) -> None:
    site.page("S/01.html", "img/plan.png", "x.pdf")
    site.plan.pointers = ["slides/plan.drawio"]
    assert site.warnings() == [f"{DECK}: line 3: x.pdf is not published"]


def test_what_the_plan_tells_is_not_told_twice(site: Site) -> None:
    site.page("S/01.html", "./img/x.png")
    site.plan.told_links.add((DECK, "img/x.png"))
    assert site.warnings() == []


def test_what_was_told_is_remembered_for_the_same_variants_only(site: Site) -> None:
    site.page("S/01.html", "x.pdf")
    pages = site.pages()
    assert pages.told() is None
    pages.remember(["one"], whole=True)
    assert site.pages().told() == ["one"]
    assert site.pages(Selection(languages=frozenset({"de"}))).told() is None


def test_pages_that_are_not_made_again_are_still_known_but_not_those_of_another_job(site: Site) -> None:
    site.page("S/01.html", "x.pdf")
    site.pages().remember([], whole=True)
    site.done.clear()
    assert site.warnings() == [f"{DECK}: line 3: x.pdf is not published"]
    site.plan.jobs[0].key = "changed, and failed"
    assert site.warnings() == []


def again(site: Site, *refs: str, path: str = "S/01.html", **more: Any) -> Pages:
    """As a build after an edit of one deck knows its pages: there is a new result for one of two."""
    site.plan.jobs, site.done, site.files = [], {}, set()
    for each in ("S/01.html", "S/02.html"):
        site.page(each, *(refs if each == path else ("y.pdf",)), deck=f"{each}.py", **(more if each == path else {}))
    site.plan.jobs[0].key = "new"
    site.done = {"new": site.done.pop(path)}
    return site.pages()


def test_after_an_edit_nothing_is_looked_at_when_pages_refer_to_the_same(site: Site, state: BuildState) -> None:
    told = ["S/02.html.py: y.pdf is not published"]
    again(site, "#a", ids=("a",))
    site.done["S/02.html"] = {"facts": {"pages": {"completed.html": {"refs": ["y.pdf"], "ids": []}}}}
    site.pages().remember(told, whole=True)
    assert again(site, "#a", ids=("a",)).told_of_the_same() == told
    assert state.pages(OWNER)["S/01.html.py\nexecute S/01.html"]["key"] == "new"
    assert again(site, "#a", ids=("a", "b")).told_of_the_same() is None  # another page may link to that
    assert again(site, "#a", "x.pdf", ids=("a",)).told_of_the_same() is None
    assert again(site, "#a", ids=("a",), made=["x.pdf"]).told_of_the_same() is None


def test_after_an_edit_all_is_looked_at_where_something_else_has_changed(site: Site) -> None:
    same: dict[str, Any] = {"ids": ("a",)}
    again(site, "#a", **same).remember([], whole=True)
    assert again(site, "#a", **same).told_of_the_same() == []
    changed = again(site, "#a", **same)
    site.plan.places[0, "S/new.html"] = ("new.py", "key")
    assert changed.told_of_the_same() is None
    del site.plan.places[0, "S/new.html"]
    site.plan.told_links.add(("S/01.html.py", "x"))
    assert changed.told_of_the_same() is None
    site.plan.told_links.clear()
    assert site.pages(Selection(kinds=frozenset({"speaker"}))).told_of_the_same() is None
    changed.remember([], whole=False)  # a deck had failed: of its pages nothing was said
    assert changed.told_of_the_same() is None
    changed.remember(["S/01.html.py: line 3: the anchor #a is not on the page"], whole=True)
    assert changed.told_of_the_same() is None  # its lines may be others
    changed.remember(["S/02.html.py: line 3: the anchor #a is not on the page"], whole=True)
    assert changed.told_of_the_same() is not None


def test_pages_that_are_gone_are_forgotten(site: Site, state: BuildState) -> None:
    site.page("S/01.html", "x.pdf")
    site.page("S/02.html", "x.pdf")
    site.pages().remember([], whole=True)
    gone = site.plan.jobs.pop()
    site.pages().remember([], whole=True)
    assert f"{gone.source}\n{gone.task}" not in state.pages(OWNER)
    assert len(state.pages(OWNER)) == 2


def test_web_addresses_are_named_once_without_their_anchor(site: Site) -> None:
    site.page("S/01.html", "https://a.example/x#y", "https://a.example/x", "x.pdf")
    assert list(site.pages().on_the_web()) == ["https://a.example/x"]


@pytest.mark.parametrize(
    ("text", "written", "line"),
    [
        ("one\n# ![](img/a.png)", "img/a.png", 2),
        ("img/a.png.bak\n[x](img/a.png)", "img/a.png", 2),
        ("\n\n![](größe.png)", "gr%C3%B6%C3%9Fe.png", 3),
        ("nothing", "img/a.png", None),
    ],
)
def test_the_line_is_where_it_is_written(text: str, written: str, line: int | None) -> None:
    assert line_of(text, written) == line
