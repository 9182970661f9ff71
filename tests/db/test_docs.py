"""The pages about the queue are true: every test they name exists, every call they show works."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import pytest

import clx
from clx.db.jobs import Queue

_ROOT = Path(__file__).parents[2]
_GUARANTEES = (_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
_QUEUE = (_ROOT / "docs" / "queue.md").read_text(encoding="utf-8")
_ERRORS = _QUEUE.partition("## Errors")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_/]+\.py(?:::\w+)?)`", _GUARANTEES))))
def test_what_is_said_to_hold_a_promise_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    file = _ROOT / path if path.startswith("benchmarks") else _ROOT / "tests" / path
    assert file.is_file()
    if function:
        assert f"def {function}(" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [line for line in _GUARANTEES.splitlines() if line.startswith("| Guarantee")])
def test_every_guarantee_names_its_test(line: str) -> None:
    assert ".py" in line.split("|")[3]


def test_every_call_on_the_page_exists() -> None:
    for name in re.findall(r"`(\w+)\(", _QUEUE):
        assert hasattr(Queue, name) or name in clx.__all__, name


def test_every_call_is_on_the_page() -> None:
    internal = {"end_cancelled", "get_changed", "live_among", "ended_among", "may_claim", "mean_seconds",
                "release_worker", "rescue_worker", "worker_for", "parts", "distrust_leases", "takes_writes",
                "close", "is_rescue_due"}  # fmt: skip
    on_their_own_page = {"schedules", "calls", "works", "pipelines"}
    public = {name for name in dir(Queue) if not name.startswith("_")} - internal - on_their_own_page
    assert {name for name in public if not re.search(rf"\b{name}\(", _QUEUE)} == set()


def test_every_error_is_on_the_page() -> None:
    """With the name it is imported by; no error is named that cannot be had so."""
    found = {name: getattr(clx, name) for name in clx.__all__}
    errors = {name for name, each in found.items() if isinstance(each, type) and issubclass(each, clx.ClxError)}
    listed = {
        name
        for row in re.findall(r"^\| (?:– )?(`.*?) \|", _ERRORS, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert listed == errors
    assert set(re.findall(r"`(\w+Error)`", _QUEUE)) <= errors | set(dir(builtins))


def test_the_examples_of_tasks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (_ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) > 5
    namespace: dict[str, object] = {"__name__": "examples"}
    for example in examples:
        if "within(" not in example:  # tests/db/postgresql/test_within.py
            exec(example, namespace)


@pytest.mark.parametrize(("section", "said"), [("Awaited", "queued\n"), ("Coroutine functions as handlers", "")])
def test_the_examples_with_event_loops_run(
    section: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (_ROOT / "docs" / "web.md").read_text(encoding="utf-8").partition(f"## {section}")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {"__name__": "examples"})
    assert capsys.readouterr().out == said


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", _QUEUE, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(first, namespace)
    exec(second.replace(".run()", ".run(until_idle=True)"), namespace)

    with clx.Queue.open("jobs.db") as queue:
        assert [job.result for job in queue.search()] == [{"done": "a.png"}]
