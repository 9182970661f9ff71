"""``clx pipelines work`` and ``deploy --work``: runners are there as long as their pipelines live, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.support.scene import until
from tests.support.serving import listening

from clx.db.jobs import Queue
from clx.pipelines.document import read
from clx.pipelines.planning import planned

_STEPS = """
import os, time
def detect(event):
    with open("begun", "a") as file:
        file.write(f"{event} {os.getpid()} {os.getppid()}\\n")
    while event == 2 and not os.path.exists("go"):
        time.sleep(0.01)
    return {"event": event}
"""
_FILE = """
name: survey
deployments:
  - {name: small, replicas: 2, lives: 2, resources: {cores: 1, ram: 8G, gpu: 1}}
  - {name: far, image: "tools:1"}
pipeline:
  steps:
    - name: detect
      stage: 1
      runs_on: small
      matrix: {event: {range: [1, 5]}}
      work: {function: steps.detect, parameters: {event: "${{ matrix.event }}"}, retries: 3}
    - name: report
      if: always
      runs_on: "small, far"
      work: {function: steps.detect, parameters: {event: 9}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLX_WORK__URL", "CLX_DATABASE__PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "steps.py").write_text(_STEPS)
    (tmp_path / "survey.yaml").write_text(_FILE)
    (tmp_path / ".clx").mkdir()
    (tmp_path / ".clx" / "config.toml").write_text('[python]\nmodules = ["steps"]\n')
    return tmp_path


@pytest.fixture
def queue(here: Path) -> Iterator[Queue]:
    with Queue.open(here / ".clx" / "jobs.db") as found:
        yield found


@contextmanager
def _clx(cwd: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "clx", "pipelines", *words]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _begun(here: Path) -> list[list[int]]:
    """For each run: its event, its process, and the one that keeps this."""
    file = here / "begun"
    return [[int(each) for each in line.split()] for line in file.read_text().splitlines()] if file.exists() else []


def _waits(here: Path) -> bool:
    return any(event == 2 for event, *_ in _begun(here))


def _runners(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def test_they_are_started_with_what_is_deployed_and_end_with_it(here: Path, queue: Queue) -> None:
    with _clx(here, "deploy", "survey.yaml", "--work") as process:
        until(lambda: _waits(here))
        assert len(_runners(process)) <= 2
        (here / "go").touch()
        told, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "success" in told
    assert "No runners of far of survey: it asks for the image tools:1" in said
    assert "gpu of small of survey is not enforced" in said
    assert Counter(event for event, *_ in _begun(here)) == dict.fromkeys((1, 2, 3, 4, 5, 9), 1)
    assert queue.works.status()["success"] == 6


def test_they_do_works_of_a_server(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "go").touch()
    with Queue.open(tmp_path / "far.db") as queue, listening(queue) as served:
        monkeypatch.setenv("CLX_TOKEN", served.secrets["admin"])
        with _clx(here, "deploy", "survey.yaml", "--work", "--url", served.url) as process:
            told, said = process.communicate(timeout=120)
    assert (process.returncode, "success" in told) == (0, True), said


def test_a_bucket_that_results_name_gets_the_runners_of_its_step(here: Path, queue: Queue) -> None:
    (here / "late.yaml").write_text(
        "name: late\nruns_on: d\ndeployments: [{name: d}]\npipeline:\n  steps:\n"
        "    - {name: first, stage: 1, work: {function: steps.detect, parameters: {event: 7}}}\n"
        "    - name: second\n      stage: 2\n      evaluate_on_runtime: true\n      work:\n"
        "        function: steps.detect\n        parameters: {event: 8}\n"
        '        pipeline: "beam-${{ pipeline.first.work.results.event }}"\n'
    )
    with _clx(here, "deploy", "late.yaml", "--work") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert sorted(queue.works.status_by_bucket()) == ["beam-7", "first"]


def test_killed_it_takes_its_runners_along_and_another_goes_on(here: Path, queue: Queue) -> None:
    made = queue.pipelines.deploy(planned(read(_FILE)))
    with _clx(here, "work", made.config) as process:
        until(lambda: _waits(here))
        runners = _runners(process)
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not any(each.is_running() and each.status() != "zombie" for each in runners))
        until(lambda: not any(psutil.pid_exists(pid) for _, *pids in _begun(here) for pid in pids))
    assert queue.pipelines.find(ids=made.pipelines)[0]["status"] == "running"
    (here / "go").touch()
    with _clx(here, "work", made.pipelines[0], "--quiet") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    runs = Counter(event for event, *_ in _begun(here))
    assert runs[2] == 2
    assert {event for event, *_ in _begun(here)} == {1, 2, 3, 4, 5, 9}
    assert queue.works.status() == {**queue.works.status(), "queued": 0, "running": 0, "success": 6}


def test_one_that_is_killed_is_replaced_and_a_signal_lets_all_finish(here: Path, queue: Queue) -> None:
    queue.pipelines.deploy(planned(read(_FILE)))
    with _clx(here, "work") as process:
        until(lambda: _waits(here))
        before = {each.pid for each in _runners(process)}
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: {each.pid for each in _runners(process)} - before)
        until(lambda: Counter(event for event, *_ in _begun(here))[2] == 2)
        process.terminate()
        (here / "go").touch()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "by signal 9; another begins in 0.25 s" in said
    assert queue.works.status()["running"] == 0


def test_what_cannot_be_started_is_told(here: Path, queue: Queue) -> None:
    bare = _FILE.replace("      runs_on: small\n", "").replace('      runs_on: "small, far"\n', "")
    for text, words, expected in (
        (_FILE, ("work", "nobody"), "There is no pipeline nobody."),
        (bare, ("deploy", "survey.yaml", "--work"), "No step of these runs on a deployment."),
        (_FILE, ("deploy", "survey.yaml", "--work", "--timeout", "1"), "Leave --timeout out."),
    ):
        (here / "survey.yaml").write_text(text)
        with _clx(here, *words) as process:
            _, said = process.communicate(timeout=60)
        assert (process.returncode, expected in said) == (2, True), said
    (here / ".clx" / "config.toml").write_text('[python]\nmodules = ["absent"]\n')
    made = queue.pipelines.deploy(planned(read(_FILE)))
    with _clx(here, "work", made.config) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "absent" in said
    (here / ".clx" / "config.toml").write_text("")
    with _clx(here, "work") as process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "nothing is allowed here" in said) == (2, True)
