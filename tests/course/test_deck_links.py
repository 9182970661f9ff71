"""What pages find of other decks, of files outside of their topics, and of misspelt files."""

from __future__ import annotations

import posixpath

import pytest
from tests.support.courses import SPEC, Course
from tests.support.planning import ENGLISH, ONE, linking, payload, places, plan_of

from clx.course.deck_links import near_file, relative

# -- other decks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["slides_two.py", "slides_two.ipynb", "slides_two.md"])
def test_links_to_decks_lead_to_their_files_in_each_format(two: Course, written: str) -> None:
    path = f"../topic_100_two/{written}"
    linking(two, f"{path}#part")
    plan = plan_of(two)
    assert payload(plan, "slides_one.py")["links"] == {
        "html": {path: "02 two en.html"},
        "notebook": {path: "02 two en.ipynb"},
    }
    assert payload(plan, "slides_one.py", "execute de")["links"]["html"] == {path: "02 two de.html"}
    assert "links" not in payload(plan, "slides_two.py")


def test_links_cross_sections_and_prefer_their_own(two: Course) -> None:
    linking(two, "../topic_100_two/slides_two.py")
    more = "  - name: {de: Woche 2, en: Week 2}\n    topics: [two%s]\n"
    two.write("course.yaml", SPEC % "      - one" + more % "")
    path = "../topic_100_two/slides_two.py"
    assert payload(plan_of(two), "slides_one.py")["links"]["html"] == {path: "../Week 2/01 two en.html"}
    two.write("course.yaml", SPEC % "      - two" + more % ", one")
    assert payload(plan_of(two), "slides_one.py")["links"]["html"] == {path: "01 two en.html"}


def test_a_deck_without_pages_is_linked_to_in_notebooks_only(two: Course) -> None:
    linking(two, "../topic_100_two/slides_two.py")
    two.spec("one", "{id: two, html: false}")
    assert list(payload(plan_of(two), "slides_one.py")["links"]) == ["notebook"]


def test_a_deck_that_the_course_does_not_have_is_neither_linked_to_nor_copied(two: Course) -> None:
    linking(two, "../topic_100_two/slides_two.py")
    two.spec("one")
    plan = plan_of(two)
    assert "links" not in payload(plan, "slides_one.py")
    assert plan.copies == []


def test_a_new_title_of_a_deck_makes_pages_that_link_to_it_anew(two: Course) -> None:
    linking(two, "../topic_100_two/slides_two.py")
    before = plan_of(two, selection=ENGLISH).jobs
    two.deck("two", "# %% [markdown]\n# other\n")
    after = plan_of(two, selection=ENGLISH).jobs
    assert not {job.key for job in before} & {job.key for job in after}


# -- files outside of the topic -----------------------------------------------------------------------


def test_what_a_deck_shows_from_elsewhere_in_the_course_is_published(two: Course) -> None:
    linking(two, "../up.png", "../../../assets/logo.svg")
    for path in ("slides/module_1/up.png", "assets/logo.svg"):
        two.write(path, "1")
    plan = plan_of(two)
    assert places(plan, "up.png") == {"Week 1/course-files/slides/module_1/up.png"} | {
        "Woche 1/course-files/slides/module_1/up.png"
    }
    assert payload(plan, "slides_one.py")["pictures"] == {
        "../../../assets/logo.svg": "course-files/assets/logo.svg",
        "../up.png": "course-files/slides/module_1/up.png",
    }
    assert {place.is_public for copy in plan.copies for place in copy.places} == {True, False}


def test_what_only_the_speaker_is_shown_goes_to_the_speaker(two: Course) -> None:
    linking(two, "../../../answers.pdf", before=' tags=["notes"]')
    two.write("answers.pdf", "1")
    [copy] = plan_of(two).copies
    assert copy.places
    assert not any(place.is_public for place in copy.places)
    linking(two, "../../../answers.pdf", before=' tags=["del"]')
    assert plan_of(two).copies == []


@pytest.mark.parametrize(
    "path",
    [".env", ".clx/settings.txt", "output/old.txt", "attic/slides_old.py", "slides_one.py.orig", "solutions/marked.py"],
)
def test_what_may_be_private_or_is_clx_own_is_not_published(two: Course, path: str) -> None:
    linking(two, f"../../../{path}")
    two.write(path, '# %% tags=["private"]\n# the secret\n')
    assert plan_of(two).copies == []


def test_code_that_looks_like_a_link_publishes_nothing(two: Course) -> None:
    two.deck("one", '# %%\nx["a"](../../../data.csv)\n')
    two.write("data.csv", "1")
    assert plan_of(two).copies == []


# -- directories --------------------------------------------------------------------------------------


def test_a_deck_in_a_directory_of_its_topic_stays_there_with_its_files(two: Course) -> None:
    two.write(f"{ONE}/sub/slides_deep.py", "# %% [markdown]\n# ![](img/p.png) ![](../q.png) [x](../slides_one.py)\n")
    two.write(f"{ONE}/sub/img/p.png", "1")
    two.write(f"{ONE}/q.png", "1")
    plan = plan_of(two, selection=ENGLISH)
    pages = {place.path.split("/", 5)[5] for job in plan.jobs for each in job.places.values() for place in each}
    assert "Week 1/sub/02 slides_deep.html" in pages
    assert places(plan, "p.png") == {"Week 1/sub/img/p.png"}
    assert payload(plan, "slides_deep.py")["links"]["html"] == {"../slides_one.py": "../01 One.html"}
    assert "pictures" not in payload(plan, "slides_deep.py")
    assert (payload(plan, "slides_deep.py").get("depth"), payload(plan, "slides_one.py").get("depth")) == (2, None)


@pytest.mark.parametrize("path", ["a/b/c.png", "a/x/c.png", "z.png", "a/b", "a", "a/bb/c"])
@pytest.mark.parametrize("folder", ["a/b", "a", "z/y", ""])
def test_paths_are_written_as_the_standard_library_does(path: str, folder: str) -> None:
    assert relative(path, folder) == posixpath.relpath(f"/{path}", f"/{folder}")


# -- misspelt files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "there", "found"),
    [
        ("a/Upper.png", ["a/upper.PNG"], ("a/upper.PNG", False)),
        ("a/\u00e4.png", ["a/a\u0308.png", "a/b.png"], ("a/a\u0308.png", True)),
        ("a/x.png", ["a/X.png", "a/x.PNG"], None),
        ("a/x.png", ["a/y.png"], None),
    ],
)
def test_the_only_file_that_could_be_meant_is_found(path: str, there: list[str], found: tuple[str, bool]) -> None:
    assert near_file(path, there) == found
