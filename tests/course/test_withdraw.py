"""What became private leaves the files of earlier builds, also those that a build does not replace."""

from __future__ import annotations

import shutil

import pytest
from tests.support.courses import HEADER, SPEC, Course, clx

SECRET = 'password = "Zebra"'
TAGS = ' tags=["private"]'
TOPIC = "slides/module_1/topic_100_values"


def deck(tags: str = "", more: str = "") -> str:
    return HEADER % ("Werte", "Values") + f"# %%\n1\n\n# %%{tags}\n{SECRET}\n{more}"


def holding(course: Course, folder: str = "output") -> set[str]:
    """The public files with the secret, in pages too, by extension."""
    found = [path for path in (course.root / folder).rglob("public/**/*") if path.is_file()]
    return {path.suffix for path in found if b"Zebra" in path.read_bytes()}


@pytest.fixture
def built(course: Course) -> Course:
    course.deck("values", deck())
    course.deck("names")
    course.spec("values", "names")
    course.build()
    assert holding(course) == {".html", ".ipynb", ".js", ".py"}
    return course


@pytest.mark.parametrize(
    "options",
    [("--format", "code"), ("--language", "en"), ("--kind", "code-along"), ("--target", "speaker")],
    ids=lambda options: options[0],
)
def test_files_that_the_build_was_not_asked_for_are_removed(built: Course, options: tuple[str, str]) -> None:
    others = {path for path in built.output.rglob("*names*") if path.is_file()}
    built.deck("values", deck(TAGS))
    done = built.build(*options)
    assert holding(built) == set()
    [warning] = [line for line in done.stderr.splitlines() if "what is private now" in line]
    assert "Values" in warning or "Werte" in warning
    assert f"{TOPIC}/slides_values.py:7 (cell 3)" in warning
    assert done.report["outputs"]["removed"]
    assert all(path.exists() for path in others)
    again = built.build(*options)
    assert again.report["outputs"]["removed"] == []
    assert "private now" not in again.stderr
    built.build()
    assert holding(built) == set()


def test_a_deck_that_fails_keeps_no_page_with_what_is_private_now(built: Course) -> None:
    built.deck("values", deck(TAGS, "\n# %%\n1 / 0\n"))
    done = built.build(code=1)
    assert holding(built) == set()
    assert "what is private now" in done.stderr


def test_a_deck_that_fails_keeps_its_last_good_pages_when_nothing_private_is_in_them(built: Course) -> None:
    built.deck("values", deck(TAGS))
    built.build()
    pages = {path for path in built.output.rglob("public/**/*.html") if path.is_file()}
    built.deck("values", deck(TAGS, "\n# %% tags=['notes']\nother = 'Giraffe'\n\n# %%\n1 / 0\n"))
    built.build(code=1)
    assert all(path.exists() for path in pages)


def test_other_outputs_of_the_course_lose_theirs_when_they_are_built(built: Course) -> None:
    """Whoever builds into another directory, or by another course file, may be the first to see the edit."""
    second = built.write("second.yaml", (built.root / "course.yaml").read_text().replace("My Course", "Second"))
    assert clx("build", str(second), "-o", str(built.root / "second")).returncode == 0
    built.deck("values", deck(TAGS))
    built.build("-o", str(built.root / "third"))
    built.build("--format", "code")
    assert holding(built) == set()
    assert holding(built, "second") == {".html", ".ipynb", ".js", ".py"}
    assert clx("build", str(second), "-o", str(built.root / "second"), "--format", "code").returncode == 0
    assert holding(built, "second") == set()


def test_the_files_of_a_renamed_deck_go_too(built: Course) -> None:
    (built.root / TOPIC / "slides_values.py").unlink()
    built.write(f"{TOPIC}/slides_numbers.py", deck(TAGS))
    built.build("--format", "code")
    assert holding(built) == set()


def test_a_copy_that_the_build_was_not_asked_for_is_removed(course: Course) -> None:
    course.deck("values", deck().replace(SECRET, "2"))
    course.write("div/more.txt", SECRET)
    course.write("course.yaml", SPEC % "      - values" + "dir_groups:\n  - {name: More, path: div}\n")
    course.build()
    assert holding(course) == {".txt"}
    course.deck("values", deck(TAGS))
    course.build("--target", "speaker")
    assert holding(course) == set()


def test_a_file_that_somebody_changed_stays_and_fails_the_deck_until_it_is_gone(built: Course) -> None:
    [page] = built.output.glob("public/En/*/Slides/Html/Completed/*/01*.html")
    page.write_text(page.read_text() + "<!-- mine -->")
    built.deck("values", deck(TAGS))
    for _ in range(2):
        done = built.build("--format", "code", code=1)
        assert f"{TOPIC}/slides_values.py:7 (cell 3): the text of this private cell stands in {page}" in done.stderr
    assert page.exists()
    page.unlink()
    built.build("--format", "code")


def test_a_file_that_somebody_changed_and_that_is_replaced_fails_nothing(built: Course) -> None:
    [page] = built.output.glob("public/En/*/Slides/Html/Completed/*/01*.html")
    page.write_text(page.read_text() + "<!-- mine -->")
    built.deck("values", deck(TAGS))
    done = built.build()
    assert holding(built) == set()
    assert "private now" not in done.stderr
    assert done.report["outputs"]["removed"] == []


def test_a_build_that_was_killed_before_it_looked_leaves_it_to_the_next(built: Course) -> None:
    built.deck("values", deck(TAGS))
    killed = clx("build", str(built.root / "course.yaml"), CLX_CRASH="remember.after_commit")
    assert killed.returncode == -9
    assert holding(built)
    built.build("--format", "code")
    assert holding(built) == set()


def test_files_of_builds_that_nobody_remembers_are_told_of(built: Course) -> None:
    """All that CLX knew was removed; it removes nothing that it does not know to be its own."""
    shutil.rmtree(built.root / ".clx")
    built.deck("values", deck(TAGS))
    done = built.build("--format", "code")
    assert holding(built) == {".html", ".ipynb", ".js"}
    [warning] = [line for line in done.stderr.splitlines() if "does not know to have written" in line]
    assert "Values" in warning or "Werte" in warning
    assert "peaker" not in warning
    assert "does not know" not in built.build().stderr
    assert holding(built) == set()
