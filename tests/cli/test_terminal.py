"""Whatever a cell, a file name, a setting or a log says, a terminal shows it and obeys nothing of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.courses import HEADER, Course, clx

from clx.cli import terminal
from clx.visible import visible, visible_line

EVIL = "evil\x1b]0;PWNED\x07\x1b]52;c;cm0=\x07\x1b[2J\x9b31m\r"
TOLD = "evil\\x1b]0;PWNED\\x07\\x1b]52;c;cm0=\\x07\\x1b[2J\\x9b31m\\r"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")
NAME = "l\x1b[2J\nDone in 0.1 s: all is well.txt"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course whose deck fails with a text for the terminal, beside a link with such a name."""
    course = Course(tmp_path / "course")
    course.deck("a", HEADER % ("A", "A") + f"# %%\nraise ValueError({EVIL!r})\n")
    course.spec("a")
    (course.root / "slides/module_1/topic_100_a" / NAME).symlink_to("/nonexistent")
    return course


def _is_harmless(text: str) -> bool:
    return not RAW.search(text) and not re.search("^Done in 0.1 s", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ü 日本\n\tnext", "plain – ü 日本\n\tnext"),
        (EVIL, TOLD),
        ("\x00\x7f\x85\u2028\u202e", "\\x00\\x7f\\x85\\u2028\\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible_line(text) == shown.replace("\n", "\\n")


def test_there_is_one_way_to_the_terminal() -> None:
    direct = re.compile(r"click\.(echo|secho|style)\(|(?<!_console\.)\bprint\(")
    found = {path.name for path in Path(terminal.__file__).parent.glob("*.py") if direct.search(path.read_text())}
    assert found == {"terminal.py"}


@pytest.mark.parametrize("progress", ["plain", "rich", "none"])
def test_a_build_shows_what_cells_and_names_say(course: Course, progress: str) -> None:
    done = clx("build", str(course.root / "course.yaml"), "--progress", progress, "-v", "--language", "en")
    assert done.returncode == 1
    assert _is_harmless(done.stdout + done.stderr), done.stderr
    assert TOLD[:40] in (done.stdout + done.stderr).replace("\n", "")
    if progress != "none":
        assert "l\\x1b[2J\\nDone in 0.1 s: all is well.txt is a link to nothing" in done.stderr + done.stdout


def test_jobs_and_logs_show_what_cells_said(course: Course) -> None:
    clx("build", str(course.root / "course.yaml"), "--language", "en")
    table = str(course.root / ".clx/jobs.db")
    for command in (("jobs", "list"), ("jobs", "show", "2", "-v"), ("workers", "logs", "1"), ("status",)):
        done = clx(*command, "--db-path", table)
        assert done.returncode == 0, done.stderr
        assert _is_harmless(done.stdout + done.stderr), done.stdout
    assert TOLD[:20] in clx("jobs", "list", "--db-path", table).stdout


@pytest.mark.parametrize(
    "arguments",
    [("build", "x\x1b]0;P\x07.yaml"), ("build", "a", "b\x1b]0;P\x07"), ("x\x1b[2J",), ("jobs", "show", "\x1b[2J")],
)
def test_errors_show_what_was_typed(arguments: tuple[str, ...]) -> None:
    done = clx(*arguments)
    assert done.returncode == 2
    assert "\\x1b" in done.stderr
    assert _is_harmless(done.stderr)


def test_errors_show_what_settings_say(course: Course) -> None:
    course.write(".clx/config.toml", '[docker]\nmemory = "\\u001b[2J"\n')
    done = clx("build", str(course.root / "course.yaml"))
    assert done.returncode == 2
    assert _is_harmless(done.stderr), done.stderr


def test_errors_of_a_course_stay_one_line_each(course: Course) -> None:
    course.write(f"slides/module_1/topic_100_a/slides_{NAME}.py".replace(".txt.py", ".py"), "# {% if %}\n")
    done = clx("build", str(course.root / "course.yaml"))
    assert done.returncode == 2
    assert _is_harmless(done.stderr), done.stderr
