"""What ``clx check`` finds without running anything, and that it leaves nothing behind."""

from __future__ import annotations

import pytest
from tests.support.courses import Course, tree
from tests.support.planning import Here

from clx.course import check as module
from clx.course.check import Checked, check
from clx.course.layout import Selection
from clx.settings.resolve import resolve
from clx.workers.supervision.checks import Finding

TOPIC = "slides/module_1/topic_100_values"


@pytest.fixture(autouse=True)
def missing(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Decks are read in this process, and this machine lacks what a test says."""
    found: list[Finding] = []
    monkeypatch.setattr(module, "DeckReader", Here)
    monkeypatch.setattr(module, "examine_workers", lambda *_: found)
    return found


def checked(course: Course, **selection: frozenset[str]) -> Checked:
    before = tree(course.root)
    found = check(course.root / "course.yaml", resolve(course.root), Selection(**selection))
    assert tree(course.root) == before
    return found


def test_a_course_without_mistakes_has_none(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    found = checked(course)
    assert (found.exit_code, found.mistakes, found.warnings, found.hints) == (0, [], [], [])
    assert (found.decks, found.jobs) == (1, 4)


def test_a_text_for_other_programs_is_told_as_such(course: Course) -> None:
    course.deck("values")
    path = course.spec("values")
    path.write_text(path.read_text() + "certificate: {de: Urkunde, en: Certificate}\n")
    found = checked(course)
    assert (found.exit_code, found.mistakes, found.warnings) == (0, [], [])
    assert found.hints == [f"{path}:7: certificate: is kept for other programs, CLX makes nothing of it"]


def test_mistakes_of_all_kinds_are_told(course: Course) -> None:
    course.deck("values", "# %% tags=[\n")
    course.spec("values", "unknown")
    found = checked(course)
    assert found.exit_code == 2
    unknown, marker = found.mistakes
    assert 'course.yaml:7:9: there is no topic "unknown"' in unknown
    assert marker.startswith(f"{TOPIC}/slides_values.py:1: ")


def test_a_broken_course_file_and_a_missing_root_are_mistakes(course: Course) -> None:
    course.spec("values")
    course.write("course.yaml", "name: [\n")
    assert checked(course).exit_code == 2


def test_warnings_of_decks_come_with_their_lines_and_are_no_mistakes(course: Course) -> None:
    text = '# %% [markdown] tags=["teh-tag"]\n# ![](img/none.png)\n# [x](#nowhere)\n# [y](gone.pdf)\n'
    course.deck("values", text)
    course.spec("values")
    found = checked(course)
    assert (found.exit_code, found.mistakes) == (0, [])
    deck = f"{TOPIC}/slides_values.py"
    assert f"{deck}: line 1: the tag 'teh-tag' means nothing to CLX" in found.warnings
    for part in ("img/none.png", "the anchor #nowhere is not on the page", "gone.pdf is not published"):
        assert any(text.startswith(deck) and part in text for text in found.warnings), part


def test_code_that_cannot_be_compiled_is_a_warning_with_its_line(course: Course) -> None:
    broken = "# %%\nx = 1\n\n# %%\n# %matplotlib inline\nawait f()\n\n# %%\nx = (\n"
    shown = '# %% tags=["raises-exception"]\ny = (\n\n# %% tags=["start"]\nz = ...\nz z\n'
    course.deck("values", f"{broken}\n{shown}")
    course.spec("values")
    found = checked(course)
    assert (found.exit_code, found.mistakes) == (0, [])
    [warning] = found.warnings
    assert warning.startswith(
        f"{TOPIC}/slides_values.py: line 9: cell 3: SyntaxError: '(' was never closed, as Python 3."
    )


def test_code_that_is_not_run_is_not_compiled(course: Course) -> None:
    course.deck("values", "# %%\nx = (\n")
    course.spec("{id: values, evaluate: false}")
    assert checked(course).warnings == []


def test_what_running_may_make_is_not_missed(course: Course) -> None:
    course.deck(
        "values", '# %%\nopen("made.csv", "w")\n\n# %% [markdown]\n# [x](made.csv) ![](img/n.png) ![](img/n-2.png)\n'
    )
    course.write(f"{TOPIC}/n.pu", "@startuml\na -> b\n@enduml\n")
    course.spec("values")
    assert checked(course).warnings == []


def test_diagrams_are_read_but_not_drawn(course: Course) -> None:
    course.deck("values")
    course.write(f"{TOPIC}/a.pu", "\n@startuml\na -> b\n")
    course.write(f"{TOPIC}/b.drawio", "<html/>")
    course.write(f"{TOPIC}/c.drawio", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    course.spec("values")
    found = checked(course)
    assert sorted(text.partition("\n")[0] for text in found.mistakes) == [
        f"{TOPIC}/a.pu:2: @startuml has no @enduml.",
        f"{TOPIC}/b.drawio:1: This is not a draw.io file: it holds <html>.",
        f"{TOPIC}/c.drawio: This is a Git LFS pointer, not the file itself",
    ]


def test_missing_tools_are_hints(course: Course, missing: list[Finding]) -> None:
    missing += [
        Finding("plantuml", "plantuml", False, True, "not found", "Type: clx tools install plantuml"),
        Finding("graphviz", "plantuml", False, False, "not found", ""),
        Finding("java", "plantuml", True, True, "/usr/bin/java", ""),
    ]
    course.deck("values")
    course.spec("values")
    found = checked(course)
    assert (found.exit_code, found.hints) == (
        *(0, ["plantuml (for plantuml): not found\nType: clx tools install plantuml"]),
    )


def test_mistakes_of_the_course_file_alone_are_told_one_by_one(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    text = (course.root / "course.yaml").read_text().replace("prog_lang: python", "prog_lang: pyton")
    course.write("course.yaml", f"{text}evaluate: perhaps\n")
    found = checked(course)
    assert [each.count("\n") for each in found.mistakes] == [1, 1]
    assert "\\n" not in "".join(found.mistakes)


def test_a_copied_file_that_holds_the_text_of_a_private_cell_is_a_mistake(course: Course) -> None:
    secret = "the solution multiplies both sides by seventeen"
    course.deck("values", f'# %% [markdown]\n# # T\n\n# %% [markdown] tags=["private"]\n# {secret}\n')
    course.write(f"{TOPIC}/notes.txt", f"Remember: {secret}.\n")
    course.spec("values")
    (mistake,) = checked(course).mistakes
    assert mistake.startswith(f"{TOPIC}/slides_values.py:4: the text of this private cell would be published in ")
    assert "notes.txt" in mistake


def test_a_link_to_a_directory_that_a_build_makes_is_none_of_nothing(course: Course) -> None:
    course.deck("values", "# %% [markdown]\n# # T\n# See [the data](data/).\n")
    course.write(f"{TOPIC}/data/a.csv", "1\n")
    course.spec("values")
    assert not checked(course).warnings
