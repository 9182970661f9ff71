"""What a build says of itself when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from clx.course.report import FailedOutput, Report, of_pointers
from clx.errors import EXIT_DONE, EXIT_JOB_FAILED


def failure(error: dict[str, Any], task: str = "execute de") -> FailedOutput:
    return FailedOutput("notebook", "slides/a.py", task, error)


@pytest.mark.parametrize(
    ("error", "place"),
    [
        ({}, "slides/a.py"),
        ({"line": 7}, "slides/a.py, line 7"),
        ({"cell": 3}, "slides/a.py, cell 3"),
        ({"cell": 3, "line": 2}, "slides/a.py, cell 3, line 2"),
        ({"source_line": 40}, "slides/a.py:40"),
        ({"source_line": 40, "cell": 3, "line": 2}, "slides/a.py:40 (cell 3)"),
    ],
)
def test_a_failure_names_the_place_to_look_at_as_closely_as_it_is_known(error: dict[str, Any], place: str) -> None:
    assert failure(error).place == place


@pytest.mark.parametrize(
    ("task", "error", "line"),
    [
        ("execute de", {"message": "no", "line": 1}, "slides/a.py, line 1, execute de: no"),
        ("", {"message": "no"}, "slides/a.py: no"),
        ("", {}, "slides/a.py: failed"),
        ("", {"message": "two\nlines\x1b[2J"}, "slides/a.py: two\\nlines\\x1b[2J"),
    ],
)
def test_a_failure_is_one_line_whatever_it_says(task: str, error: dict[str, Any], line: str) -> None:
    assert failure(error, task).line == line


def test_a_failure_is_called_as_its_job_is() -> None:
    assert failure({}).label == "slides/a.py (execute de)"
    assert failure({}, "").label == "slides/a.py"


@pytest.mark.parametrize(("failures", "code"), [([], EXIT_DONE), ([failure({})], EXIT_JOB_FAILED)])
def test_a_failed_job_is_exit_code_1(failures: list[FailedOutput], code: int) -> None:
    assert Report(failures=failures).exit_code == code


def test_the_document_has_every_documented_key_and_value() -> None:
    failed = FailedOutput("notebook", "slides/a.py", "execute de", {"message": "no", "line": 4}, ["/out/old.html"])
    report = Report(
        course="course.yaml",
        output="/out",
        targets=["/out/public"],
        decks=2,
        jobs=8,
        to_run=5,
        ran=4,
        reused=3,
        files=20,
        written=6,
        removed=["/out/x"],
        kept=["/out/y"],
        failures=[failed],
        warnings=["look"],
        reasons=[("a", "new")],
        seconds=1.23456,
    )
    assert report.as_dict() == {
        "exit_code": 1,
        "dry_run": False,
        "course": "course.yaml",
        "output": "/out",
        "targets": ["/out/public"],
        "decks": 2,
        "outputs": {"files": 20, "written": 6, "removed": ["/out/x"], "kept": ["/out/y"]},
        "jobs": {"planned": 8, "to_run": 5, "ran": 4, "failed": 1},
        "reused": 3,
        "failures": [
            {
                "type": "notebook",
                "source": "slides/a.py",
                "task": "execute de",
                "message": "no",
                "line": 4,
                "stale": ["/out/old.html"],
            }
        ],
        "warnings": ["look"],
        "reasons": [{"job": "a", "reason": "new"}],
        "seconds": 1.235,
    }


def test_pointers_of_git_lfs_are_one_failure_however_many_there_are() -> None:
    one = of_pointers(["a.png"])
    assert one.line == "a.png: This is a Git LFS pointer, not the file itself"
    assert one.error["next_step"] == "Type: git lfs pull"
    many = of_pointers([f"{number:02}.png" for number in range(12)])
    assert many.line.startswith("00.png: This is a Git LFS pointer, not the file itself, and so are 11 more: 01.png, ")
    assert many.line.endswith("09.png, …")
