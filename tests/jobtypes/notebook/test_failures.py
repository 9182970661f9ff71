"""What an author hears of a cell that failed, of a kernel that is missing, and of a job that is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.execution import kernelspecs
from clx.jobtypes.notebook.execution.kernel_names import other_kernels
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
        (
            "RuntimeError",
            "asyncio.run() cannot be called from a running event loop",
            "RuntimeError: asyncio.run() cannot be called from a running event loop",
            "Write `await f()` in place of",
        ),
        (
            "ValueError",
            "Mime type rendering requires nbformat>=4.2.0 but it is not installed",
            "ValueError: Mime type rendering requires nbformat>=4.2.0 but it is not installed",
            "Type `pip install nbformat` for",
        ),
        ("UnreadableAnswer", "the kernel's answer", "the kernel's answer", "The cell changes what the kernel itself"),
    ],
)
def test_a_cell_that_raises_is_told_by_its_first_line_and_what_to_do(
    ename: str, evalue: str, fact: str, step: str
) -> None:
    error = told("error", ename, evalue, line=3, traceback="File /work/7/a.py")
    assert error.fact == fact
    assert error.next_step.startswith(step)
    assert (error.cell, error.line, error.traceback, error.retryable) == (9, 3, "File a.py", False)


def test_a_kernel_that_does_not_answer_is_told_apart_from_a_slow_cell() -> None:
    assert told("timeout", "CellTimeout", "it took 1 s").next_step.startswith("Make the cell faster")
    broken = told("timeout", "CellTimeout", "it took 1 s, and the kernel does not answer when it is interrupted")
    assert "has replaced what the kernel itself needs" in broken.next_step


def test_a_debugger_is_told_as_what_it_is() -> None:
    traceback = "Cell In[1], line 2\n\nFile /usr/lib/python3/IPython/core/debugger.py:9, in x"
    error = told("error", "StdinNotImplementedError", "the cell asks", traceback=traceback)
    assert error.fact.startswith("the cell starts a debugger")
    assert error.next_step.startswith("Remove the call")


@pytest.mark.parametrize(
    ("frames", "where"),
    [
        ("Cell In[1], line 2\n\nFile /work/7/slides/geo.py:2, in area(x)", " (in slides/geo.py:2)"),
        ("Cell In[1], line 2\n\nFile /work/7/geo.py:2, in f\n\nFile /usr/x.py:7, in g", " (in geo.py:2)"),
        ("Cell In[1], line 2\n\nFile /work/7/geo.py:2, in f\n\nCell In[1], line 9, in g", ""),
        ("Cell In[1], line 2\n\nFile ~/lib/x.py:7, in g\n\nFile <string>:1", ""),
        ("", ""),
    ],
)
def test_the_courses_own_file_is_told_with_its_line(frames: str, where: str) -> None:
    assert told("error", "ValueError", "v", traceback=frames).fact == f"ValueError: v{where}"


def test_a_module_that_lies_beside_the_deck_is_not_to_be_installed(tmp_path: Path) -> None:
    for path in ("deep/own.py", "pack/__init__.py"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    for name, place in {"own": "deep/own.py", "pack.part": "pack"}.items():
        missing = CellFailedError(1, "error", "ModuleNotFoundError", f"No module named '{name}'")
        assert failure(missing, CODE, tmp_path, tmp_path).next_step.startswith(f"{place} lies in the deck's directory")


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


def test_the_directory_of_a_job_is_not_shown_as_ipython_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert shortened("File ~/clx/7/a.py:2", Path("/home/me/clx/7")) == "File a.py:2"


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
    assert kernelspecs.kernel_of(PROG_LANG["cpp"]) == ("b", "b", ["/kernels/x/run"], {"A": "1"})
    assert kernelspecs.kernel_of(PROG_LANG["rust"]).name == "a"


def test_the_kernel_that_the_language_or_the_course_names_comes_first(specs: dict[str, Any]) -> None:
    specs.update({f"xcpp{year}": spec(f"C++{year}", display_name=f"C++ {year}") for year in (11, 14, 17, 20)})
    cpp = PROG_LANG["cpp"]
    assert kernelspecs.kernel_of(cpp).name == "xcpp17"
    assert kernelspecs.asked_for(cpp) == cpp
    named = read_job({**JOB, "source": "slides/a.cpp", "kernel": "xcpp20"}).language
    assert kernelspecs.kernel_of(named).name == "xcpp20"
    asked_for = kernelspecs.asked_for(named)
    assert (asked_for.kernel, asked_for.kernel_display_name) == ("xcpp20", "C++ 20")


def test_notebooks_ask_for_the_kernel_that_runs_the_cells(specs: dict[str, Any]) -> None:
    typescript = PROG_LANG["typescript"]
    assert kernelspecs.asked_for(typescript) == typescript
    specs["deno"] = spec("typescript", display_name="Deno")
    asked_for = kernelspecs.asked_for(typescript)
    assert (asked_for.kernel, asked_for.kernel_display_name) == ("deno", "Deno")


def test_a_kernel_that_the_course_names_and_that_is_not_there_is_told(specs: dict[str, Any]) -> None:
    named = read_job({**JOB, "source": "slides/a.cpp", "kernel": "xcpp23"}).language
    with pytest.raises(ToolMissingError, match="kernel xcpp23, which the course names, is not installed") as caught:
        kernelspecs.kernel_of(named)
    assert caught.value.next_step.startswith("None is installed.")
    specs["xcpp17"] = spec("C++17")
    with pytest.raises(ToolMissingError) as caught:
        kernelspecs.kernel_of(named)
    assert caught.value.next_step == "Installed: xcpp17. Correct `kernel:` in the course file, or install it."


@pytest.mark.parametrize(("spoken", "wanted"), [("c", "cpp"), ("c++", "c"), ("javascript", "java"), ("", "rust")])
def test_a_kernel_of_another_language_is_none(specs: dict[str, Any], spoken: str, wanted: str) -> None:
    specs["x"] = spec(spoken)
    with pytest.raises(ToolMissingError, match=f"no Jupyter kernel for {wanted} is installed") as caught:
        kernelspecs.kernel_of(PROG_LANG[wanted])
    assert caught.value.next_step.startswith("Install one")


def test_kernels_are_part_of_what_results_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    before = other_kernels()
    for name, text in {
        "a": '{"language": "C++17", "display_name": "C++ 17"}',
        "b": '{"language": "python", "display_name": "Python"}',
        "c": "no json",
        "d": "[]",
    }.items():
        (tmp_path / "kernels" / name).mkdir(parents=True)
        (tmp_path / "kernels" / name / "kernel.json").write_text(text)
    (tmp_path / "kernels" / "e").touch()
    assert other_kernels() == ", ".join(filter(None, ["a=c++17 C++ 17", before]))


# -- jobs -------------------------------------------------------------------------------------------

JOB = {
    "task": "render", "source": "slides/a.py", "topic": "slides", "lang": "en", "prog_lang": "cpp",
    "course": "C", "section": "S",
}  # fmt: skip


def test_a_job_knows_the_language_of_its_deck() -> None:
    assert read_job(JOB).language.name == "python"
    assert read_job({**JOB, "source": "slides/a.md", "unknown": 1}).language.name == "cpp"


def test_the_kernel_of_a_course_is_that_of_decks_in_its_language() -> None:
    assert read_job({**JOB, "kernel": "xcpp20"}).language.kernel == "python3"
    assert read_job({**JOB, "source": "slides/a.md", "kernel": "xcpp20"}).language.kernel == "xcpp20"


@pytest.mark.parametrize("changes", [{"task": "draw"}, {"lang": 3}, {"source": "/etc/passwd"}, {"source": "a/../../b"}])
def test_a_job_that_is_none_or_leads_out_of_the_course_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match=r"not a notebook job|lies outside the course"):
        read_job({**JOB, **changes})
