"""Pipelines whose runners and deploying programs are killed again and again end, and each work is there once."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.works.searching import Search
from clx.db.works.withdrawing import Asked

STAGES, STEPS, WORKS = 4, 3, 2
KILLS = 10
_NAMES = tuple(f"{stage}-{step}" for stage in range(STAGES) for step in range(STEPS))
_CONFIG = f"""
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
steps = tuple(
    StepDefinition(name, int(name[0]), works=({{"pipeline": name, "retries": 50}},) * {WORKS}) for name in {_NAMES!r}
)
config = ConfigDefinition("storm", "", (PipelineDefinition({{"n": 1}}, steps), PipelineDefinition({{"n": 2}}, steps)))
"""
_RUNNER = f"""
import sys
from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
with Queue.open(sys.argv[1]) as queue:
    while True:
        work = queue.works.withdraw(Asked({_NAMES!r}), wait=600, lease=2)
        if work is not None:
            print(work["id"], flush=True)
            sys.stdin.readline()
            queue.works.update([{{**work, "status": "success"}}])
"""
_DEPLOY = f"""
import sys
from clx.db.jobs import Queue
{_CONFIG}
with Queue.open(sys.argv[1]) as queue:
    queue.pipelines.deploy(config)
"""
_CHANGE = """
import sys
from clx.db.jobs import Queue
with Queue.open(sys.argv[1]) as queue:
    getattr(queue.pipelines, sys.argv[2])(sys.argv[3:])
"""


@pytest.fixture(params=["file", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that several processes use."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql"))
    return str(tmp_path / "jobs.db")


def _start(script: str, where: str, *words: str, crash: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, **({"CLX_CRASH": crash} if crash else {})}
    command = [sys.executable, "-c", script, where, *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _go_on(process: subprocess.Popen[str]) -> None:
    """Let a runner tell how the work ended that it holds."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _speaking(runners: list[subprocess.Popen[str]]) -> list[int]:
    """Which of them have told that they hold a work; within a second."""
    said = {each.stdout: index for index, each in enumerate(runners) if each.stdout is not None}
    ready, _, _ = select.select(list(said), [], [], 1)
    return [said[each] for each in ready if each.readline()]


def _do_all(queue: Queue, where: str, runners: list[subprocess.Popen[str]], chance: random.Random) -> None:
    """Let runners do all works; some are killed while they hold one, some while they tell how it ended."""
    left = KILLS
    while queue.pipelines.find(status=["running"]):
        for index in _speaking(runners):
            each = runners[index]
            fate = chance.randrange(3) if left else 2
            if fate:
                _go_on(each)
            if fate < 2:
                left -= 1
                _end(each)
                runners[index] = _start(_RUNNER, where)


def _judge(queue: Queue, pipelines: list[str]) -> None:
    """Every pipeline has ended well, and has each work of each step once."""
    for each in queue.pipelines.wait(pipelines, timeout=120):
        assert (each["status"], {step["status"] for step in each["steps"]}) == ("success", {"success"})
        assert {step["name"]: len(step["work_id"]) for step in each["steps"]} == dict.fromkeys(_NAMES, WORKS)
    found = Counter(each.document["pipeline"] for each in queue.works.find(Search(limit=None)).works)
    assert found == dict.fromkeys(_NAMES, WORKS * len(pipelines))
    assert check(queue.database) == []


def test_runners_are_killed_at_any_moment(where: str) -> None:
    chance = random.Random(8)
    with Queue.open(where) as queue:
        pipelines = queue.pipelines.deploy(_config()).pipelines
        runners = [_start(_RUNNER, where) for _ in range(3)]
        try:
            _do_all(queue, where, runners, chance)
            _judge(queue, pipelines)
        finally:
            for each in runners:
                _end(each)


@pytest.mark.parametrize(
    ("crash", "words"),
    [
        ("pause_pipeline", ["pause"]), ("stop_pipeline", ["stop"]), ("resume_pipeline", ["resume"]),
        ("retry_pipeline", ["retry"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("moment", ["before", "after"])
def test_who_changes_a_pipeline_is_killed(where: str, crash: str, words: list[str], moment: str) -> None:
    """Typed once more it is as if nothing had been; then it goes on to its end."""
    with Queue.open(where) as queue:
        pipelines = queue.pipelines.deploy(_config()).pipelines
        if words == ["resume"]:
            queue.pipelines.pause(pipelines)
        if words == ["retry"]:
            queue.pipelines.stop(pipelines)
        for told in (crash, ""):
            done = _start(_CHANGE, where, *words, *pipelines, crash=f"{told}.{moment}_commit" if told else "")
            assert done.wait() == (-signal.SIGKILL if told else 0)
            _end(done)
        queue.pipelines.resume(pipelines)
        queue.pipelines.retry(pipelines)
        while (work := queue.works.withdraw(Asked(_NAMES))) is not None:
            queue.works.update([{**work, "status": "success"}])
        _judge(queue, pipelines)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_deploying_program_is_killed(where: str, moment: str) -> None:
    """All of it is there, or nothing."""
    with Queue.open(where) as queue:
        done = _start(_DEPLOY, where, crash=f"deploy_pipelines.{moment}_commit")
        assert done.wait() == -signal.SIGKILL
        _end(done)
        found = [each["id"] for each in queue.pipelines.find()]
        assert len(found) == (0 if moment == "before" else 2)
        assert len(queue.works.find(Search(limit=None)).works) == len(found) * STEPS * WORKS
        assert check(queue.database) == []


def _config() -> ConfigDefinition:
    steps = tuple(
        StepDefinition(name, int(name[0]), works=({"pipeline": name, "retries": 50},) * WORKS) for name in _NAMES
    )
    return ConfigDefinition("storm", "", (PipelineDefinition({"n": 1}, steps), PipelineDefinition({"n": 2}, steps)))
