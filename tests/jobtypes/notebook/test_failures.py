"""What an author hears of a cell that failed, of a kernel that is missing, and of a job that is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.notebook.execution import kernelspecs
from clx.jobtypes.notebook.execution.results import CellFailedError
from clx.jobtypes.notebook.failures import failure, shortened
from clx.jobtypes.notebook.job import read_job
from clx.platforms.container import IMAGE_VARIABLE

CODE: Any = [SimpleNamespace(number=4), SimpleNamespace(number=9)]


def told(kind: Any, ename: str, evalue: str, **more: Any) -> ConversionError:
    return failure(CellFailedError(1, kind, ename, evalue, **more), CODE, Path("/work/7"))


@pytest.mark.parametrize(
    ("ename", "evalue", "fact", "step"),
    [
        ("ValueError", "one\ntwo", "ValueError: one", "If the error is part of the lesson"),
        ("ValueError", "", "ValueError", "If the error is part of the lesson"),
        ("SyntaxError", "bad (1234.py, line 3)", "SyntaxError: bad", "Correct the code of the cell."),
        ("FileNotFoundError", "/work/7/a/b.csv", "FileNotFoundError: a/b.csv", "A file that a deck uses lies"),
        ("StdinNotImplementedError", "the cell asks", "the cell asks", "Write the value into the code"),
        ("SystemExit", "0", "SystemExit: 0", "Remove exit(), quit() or sys.exit()"),
    ],
)
def test_a_cell_that_raises_is_told_by_its_first_line_and_what_to_do(
    ename: str, evalue: str, fact: str, step: str
) -> None:
    error = told("error", ename, evalue, line=3, traceback="File /work/7/a.py")
    assert error.fact == fact
    assert error.next_step.startswith(step)
    assert (error.cell, error.line, error.traceback, error.retryable) == (9, 3, "File a.py", False)


@pytest.mark.parametrize(
    ("kind", "step", "retryable"),
    [
        ("timeout", "Make the cell faster, or raise notebook.cell_timeout.", False),
        ("died", "The kernel ended while the cell ran", True),
    ],
)
def test_a_cell_that_never_ended_is_told_by_how_it_was_ended(kind: str, step: str, retryable: bool) -> None:
    error = told(kind, "FileNotFoundError", "x")
    assert error.next_step.startswith(step)
    assert (error.retryable, error.traceback) == (retryable, None)


@pytest.mark.parametrize(
    ("evalue", "in_container", "step"),
    [
        ("No module named 'numpy'", False, "Type `pip install numpy` for the interpreter"),
        ("No module named 'numpy.linalg'", False, "Type `pip install numpy` for"),
        ("No module named 'sklearn'", False, "Type `pip install scikit-learn` for"),
        ("No module named 'numpy'", True, "Put numpy into a requirements file"),
        ("something else", False, "If the error is part of the lesson"),
    ],
)
def test_a_missing_module_is_told_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, evalue: str, in_container: bool, step: str
) -> None:
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    if in_container:
        monkeypatch.setenv(IMAGE_VARIABLE, "image")
    assert told("error", "ModuleNotFoundError", evalue).next_step.startswith(step)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("in /work/7/a/b.py", "in a/b.py"), ("at /work/7", "at ."), ("/work/8/a /work/7/b", "/work/8/a b"), ("", "")],
)
def test_the_directory_of_a_job_is_nobodys_business(text: str, shown: str) -> None:
    assert shortened(text, Path("/work/7")) == shown


# -- kernels ----------------------------------------------------------------------------------------


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The kernels that are installed: by name."""
    found: dict[str, Any] = {}
    manager = SimpleNamespace(get_all_specs=lambda: found)
    monkeypatch.setattr(kernelspecs, "KernelSpecManager", lambda: manager)
    return found


def spec(language: str, **more: Any) -> dict[str, Any]:
    return {"resource_dir": "/kernels/x", "spec": {"language": language, "argv": ["{resource_dir}/run"], **more}}


def test_the_first_kernel_that_speaks_the_language_is_taken(specs: dict[str, Any]) -> None:
    specs.update(b=spec("C++17", env={"A": "1"}), a=spec("rust"), c=spec("c++"))
    assert kernelspecs.kernel_command("cpp") == (["/kernels/x/run"], {"A": "1"})
    assert kernelspecs.kernel_command("rust") == (["/kernels/x/run"], {})


@pytest.mark.parametrize(("spoken", "wanted"), [("c", "cpp"), ("c++", "c"), ("javascript", "java"), ("", "rust")])
def test_a_kernel_of_another_language_is_none(specs: dict[str, Any], spoken: str, wanted: str) -> None:
    specs["x"] = spec(spoken)
    with pytest.raises(ToolMissingError, match=f"no Jupyter kernel for {wanted} is installed") as caught:
        kernelspecs.kernel_command(wanted)
    assert caught.value.next_step.startswith("Install one")


# -- jobs -------------------------------------------------------------------------------------------

JOB = {
    "task": "render", "source": "slides/a.py", "topic": "slides", "lang": "en", "prog_lang": "cpp",
    "course": "C", "section": "S",
}  # fmt: skip


def test_a_job_knows_the_language_of_its_deck() -> None:
    assert read_job(JOB).language.name == "python"
    assert read_job({**JOB, "source": "slides/a.md", "unknown": 1}).language.name == "cpp"


@pytest.mark.parametrize("changes", [{"task": "draw"}, {"lang": 3}, {"source": "/etc/passwd"}, {"source": "a/../../b"}])
def test_a_job_that_is_none_or_leads_out_of_the_course_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match=r"not a notebook job|lies outside the course"):
        read_job({**JOB, **changes})
