"""What may go wrong on one machine: nothing is lost, nothing is averaged twice, and each is told with its cause."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.laboratory import STEPS, Laboratory, gold_of_one_process, laboratory, tree
from tests.support.scene import until

from clx.db.jobs import Queue

_LEASE = {"CLX_JOBS__LEASE": "2", "CLX_JOBS__HEARTBEAT": "0.4", "CLX_JOBS__MAX_RUNS": "100"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Laboratory]:
    """With readings that are staged."""
    with laboratory(tmp_path / "lab", environment=_LEASE) as found:
        found.stage()
        yield found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of gold that nothing has disturbed."""
    return gold_of_one_process(tmp_path_factory.mktemp("expected") / "lab")


def jobs(lab: Laboratory) -> list[str]:
    found = json.loads(lab.clx("jobs", "list", "--format", "json", "--limit", "1000"))["jobs"]
    return [each["type"] for each in found]


_ONCE = {f"{step} {item}": 1 for step in STEPS for item in (range(1, 8) if step == "infer" else "-")}
"""How often each step begins where nothing goes wrong."""


def test_two_who_ask_for_one_day_have_one_run_of_it(lab: Laboratory, expected: str) -> None:
    lab.hold("infer")
    asked = [lab.run("--workers", "2"), lab.run()]
    lab.until_begun("infer")
    lab.free("infer")
    found = [json.loads(lab.said(each)) for each in asked]
    assert found[0]["job"] == found[1]["job"]
    assert lab.times() == _ONCE
    assert sum(each == "workflow:lab" for each in jobs(lab)) == 1
    assert (lab.gold(), lab.counts(), lab.described()["version"]) == (expected, {7}, 1)


def test_a_completion_that_comes_too_late_and_twice_counts_once(lab: Laboratory, expected: str) -> None:
    """A worker is frozen in a model until another has done it, and then ends it once more."""
    lab.hold("infer.3")
    frozen = lab.work()
    asked = lab.run()
    lab.until_begun("patterns")
    until(lambda: lab.times()["infer 3"])
    for each in tree(frozen):
        each.send_signal(signal.SIGSTOP)
    with Queue.open(str(lab.folder / ".clx" / "jobs.db")) as queue:
        (job,) = (each for each in queue.search(type="task:lab.infer:1.0.0") if each.payload["arguments"]["slm"] == 3)
        other = lab.work()
        until(lambda: lab.times()["infer 3"] == 2, 120)
        lab.free("infer.3")
        until(lambda: not queue.get_many([job.id])[0].is_live, 120)
        for each in tree(frozen):
            each.send_signal(signal.SIGCONT)
        lab.said(asked)
        (ended,) = queue.get_many([job.id])
    assert (ended.state, ended.run) == ("succeeded", 2)
    assert (lab.gold(), lab.counts(), lab.described()["version"]) == (expected, {7}, 1)
    assert other.poll() is None


def test_a_late_seventh_makes_the_second_version_from_seven(lab: Laboratory, expected: str) -> None:
    lab.replace("deadline=30 * MINUTE", "deadline=1")
    lab.replace('Step("cleanup"', 'Step("end"')
    lab.hold("infer.3")
    asked = lab.run("--workers", "2")
    until((lab.day_folder("gold/aggregated") / "job_1.parquet").exists, 120)
    first = lab.described()
    assert (first["version"], first["missing"], lab.counts()) == (1, ["3"], {6})
    lab.free("infer.3")
    found = json.loads(lab.said(asked))
    second = lab.described()
    assert (found["missing"], second["version"], second["missing"], lab.counts()) == ({}, 2, [], {7})
    assert lab.gold() == expected
    assert lab.times()["infer 3"] == 1


_KINDS = ("step", "keeper", "worker python", "worker workflow", "daily work")
"""What kills strike: the step itself, the parent of steps, their worker, the host of the workflow, the command."""


def _process(lab: Laboratory, kind: str) -> psutil.Process:
    """One that the day needs."""
    if kind == "step":
        return psutil.Process(int(lab.begun()[-1][3]))
    worker = next(each for each in lab.commands("work") if each.poll() is None)
    return until(lambda: [each for each in tree(worker) if kind in _words(each)])[0]


def _until_another(lab: Laboratory, kind: str, pid: int) -> None:
    until(lambda: _process(lab, kind).pid != pid)


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return ""


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_whichever_process_is_killed_in_whichever_step_the_day_is_done_right(
    lab: Laboratory, expected: str, step: str
) -> None:
    """kill -9, one after the other, while the step is at it; then staging, with what is staged."""
    flow = lab.folder / "flow.py"
    flow.write_text(flow.read_text().replace("max_runs=3", "max_runs=100"))  # a kill is a run
    lab.hold(step)
    lab.work()
    asked = lab.run()
    lab.until_begun(step)
    for kind in _KINDS:
        before = len([each for each in lab.begun() if each[0] == step])
        struck = _process(lab, kind)
        struck.kill()
        if kind == "daily work":
            lab.work()
        if kind == "worker workflow":
            _until_another(lab, kind, struck.pid)
        elif kind in {"step", "worker python"}:  # without keeper or command a worker ends what it is at
            lab.until_begun(step, before + 1)
    (staging,) = lab.commands("staging")
    staging.kill()
    staging.wait()
    lab.stage(port=int(lab.environment["LAB_STAGING"].rpartition(":")[2]))
    lab.free(step)
    found = json.loads(lab.said(asked))
    assert (found["missing"], found["errors"]) == ({}, {})
    assert (lab.gold(), lab.counts(), lab.described()["version"]) == (expected, {7}, 1)
    begun = lab.times()
    assert {name for name, times in begun.items() if times > 1} <= {f"{step} {item}" for item in ("-", *range(1, 8))}
