"""``clx work run``: works are done by a function, a program, or what they name themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.clock import SetClock
from tests.support.scene import until
from tests.support.serving import listening

from clx.artifacts.store import ArtifactStore
from clx.cli.work_run import _named
from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
from clx.errors import UsageError

_STEPS = """
import os, subprocess, time
def add(a, b):
    return a + b
def draws():
    open("a.png", "wb").write(b"\\x89PNG\\r\\n\\x1a\\n")
    return None, None, ["a.png"]
def hangs(file):
    other = subprocess.Popen(["sleep", "600"])
    open(file + ".new", "w").write(f"{os.getpid()} {other.pid}")
    os.rename(file + ".new", file)
    while not os.path.exists(file + ".go"):
        time.sleep(0.01)
    other.kill()
    other.wait()
"""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    (tmp_path / "steps.py").write_text(_STEPS)
    (tmp_path / ".clx").mkdir()
    with Queue.open(tmp_path / ".clx" / "jobs.db") as found:
        yield found


def _clx(cwd: Path, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "clx", "work", "run", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


@contextmanager
def _running(cwd: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "clx", "work", "run", *arguments]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _pids(file: Path) -> list[int]:
    until(file.exists)
    return [int(each) for each in file.read_text().split()]


@pytest.mark.parametrize("words", [("p", "steps.add"), ("steps.add", "p"), ("p", "-f", "steps.add")])
def test_works_are_done_and_a_line_tells_of_each(queue: Queue, tmp_path: Path, words: tuple[str, ...]) -> None:
    (work_id,) = queue.works.deposit([{"pipeline": "p", "parameters": {"a": 1, "b": 2}}])
    said = _clx(tmp_path, "--until-idle", *words)
    assert said.split()[:3] == [work_id, "p", "success"]


def test_programs_and_filters_and_other_forms(queue: Queue, tmp_path: Path) -> None:
    first, second = queue.works.deposit([{"pipeline": "p", "tags": [each]} for each in ("x", "y")])
    told = json.loads(_clx(tmp_path, "p", "--tag", "y", "--lives", "1", "--format", "json", "-c", "sh", "-c", "exit 0"))
    assert (told["id"], told["status"]) == (second, "success")
    assert _clx(tmp_path, "p", "steps.add", "-q", "--until-idle") == ""
    assert queue.works.status() | {"queued": 0} == queue.works.status()
    assert queue.works.get(first).document["error"]["type"] == "TypeError"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "function", "expected"),
    [
        (("p",), None, (("p",), None)),
        (("p", "q", "a.b"), None, (("p", "q"), "a.b")),
        (("a.b", "p"), None, (("p",), "a.b")),
        (("p.1", "q"), "a.b", (("p.1", "q"), "a.b")),
        (("p.1", "a.b"), None, "Which word"),
        (("a.b",), None, "No pipeline"),
    ],
)
def test_the_word_with_a_dot_is_the_function(words: Any, function: Any, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            _named(words, function, has_program=False)
    else:
        assert _named(words, function, has_program=False) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("p", "", "a.b"), "One of the words is empty"),
        (("p", "steps.ad"), "Did you mean add?"),
        (("p",), "Type: clx work run p MODULE.FUNCTION"),
        (("p", "-c", "no-such-program"), "There is no program no-such-program."),
        (("p", "-f", "steps.add", "-c", "true"), "Leave -f or -c out."),
        (("p", "-c"), "-c needs a program"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_withdrawn(
    queue: Queue, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    queue.works.deposit([{"pipeline": "p"}])
    assert said in _clx(tmp_path, *words, code=2)
    assert queue.works.status()["queued"] == 1


def test_a_runner_that_is_killed_takes_its_child_along_and_its_work_goes_to_another(
    queue: Queue, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    (work_id,) = queue.works.deposit([{"pipeline": "p", "parameters": {"file": str(file)}}])
    with _running(tmp_path, "p", "steps.hangs") as runner:
        pids = _pids(file)
        os.kill(runner.pid, signal.SIGKILL)
        until(lambda: not any(map(psutil.pid_exists, pids)))
    queue.database.clock = SetClock(queue.database.clock.now() + 12_000)
    work = queue.works.withdraw(Asked(("p",)))
    assert work is not None
    assert (work["id"], work["attempt"]) == (work_id, 2)


def test_sigterm_lets_the_one_at_hand_finish(queue: Queue, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    work_id, other = queue.works.deposit([{"pipeline": "p", "parameters": {"file": str(file), **more}}
                                          for more in ({}, {"odd": 1})])  # fmt: skip
    with _running(tmp_path, "p", "steps.hangs") as runner:
        _pids(file)
        os.kill(runner.pid, signal.SIGTERM)
        (tmp_path / "pids.go").touch()
        said, _ = runner.communicate(timeout=60)
    assert (runner.returncode, said.split()[:3]) == (0, [work_id, "p", "success"])
    assert queue.works.get(other).document["status"] == "queued"  # type: ignore[union-attr]


def test_one_that_waits_begins_what_is_deposited_and_ends_by_a_signal(queue: Queue, tmp_path: Path) -> None:
    with _running(tmp_path, "p", "steps.add", "--format", "json") as runner:
        (work_id,) = queue.works.deposit([{"pipeline": "p", "parameters": {"a": 1, "b": 2}}])
        assert runner.stdout is not None
        assert json.loads(runner.stdout.readline())["id"] == work_id
        os.kill(runner.pid, signal.SIGINT)
        assert runner.wait(60) == 0


def test_plots_go_to_the_server_that_has_the_works(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "steps.py").write_text(_STEPS)
    (work_id,) = queue.works.deposit([{"pipeline": "p"}])
    with listening(queue) as served:
        monkeypatch.setenv("CLX_TOKEN", served.secrets["work"])
        _clx(elsewhere, "p", "steps.draws", "--until-idle", "--url", served.url)
    found = queue.works.get(work_id)
    assert found is not None
    (plot,) = found.document["artifacts"]["plots"]
    store = ArtifactStore(queue.database.state.shared / "artifacts")
    assert store.path(plot["digest"]).read_bytes() == (elsewhere / "a.png").read_bytes()


def test_a_token_that_may_only_read_is_told_which_role_is_needed_and_nothing_else(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.works.deposit([{"pipeline": "p"}])
    with listening(queue) as served:
        monkeypatch.setenv("CLX_TOKEN", served.secrets["read"])
        said = _clx(tmp_path, "p", "steps.add", "--until-idle", "--url", served.url, code=4)
    assert said.splitlines() == [
        "Error: The role read may not do this: register.",
        "Set CLX_TOKEN to a token with the role work; `clx server token add NAME --role work` makes it, at the server.",
    ]
    assert queue.works.status()["queued"] == 1


def test_another_python_than_its_own_is_refused(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLX_PYTHON__INTERPRETER", "/usr/bin/other")
    queue.works.deposit([{"pipeline": "p"}])
    said = _clx(tmp_path, "p", "steps.add", code=2)
    assert "python.interpreter names another" in said
    assert "/usr/bin/other -m clx work run" in said
    assert queue.works.status()["queued"] == 1
