"""A machine with models is lost, cut off, slow, full, or has another time: the day is done, and gold is the same."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.daily.test_same_bytes import TwoMachines, two_machines
from tests.support.laboratory import DAY, gold_of_one_process
from tests.support.scene import until

from clx.db.jobs import Queue
from clx.db.workers import WorkerTable

__all__ = ["two_machines"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of gold that nothing has disturbed."""
    return gold_of_one_process(tmp_path_factory.mktemp("expected") / "lab")


@pytest.fixture
def both(two_machines: TwoMachines) -> TwoMachines:
    """Both machines take models; the far one has one in hand that waits."""
    two_machines.lab.stage(port=8080)
    two_machines.work_there()
    two_machines.lab.hold("infer@far")
    two_machines.start("models")
    two_machines.lab.until_begun("infer", host="far")
    return two_machines


def is_right(machines: TwoMachines, expected: str) -> None:
    """Nothing is missing, and each of seven was counted once."""
    found = json.loads(machines.said())
    assert (found["missing"], found["errors"]) == ({}, {})
    assert (machines.lab.gold(), machines.lab.counts(), machines.lab.described()["version"]) == (expected, {7}, 1)


def test_one_that_is_lost_is_made_up_for(both: TwoMachines, expected: str) -> None:
    both.far.stop()
    is_right(both, expected)


def test_one_that_is_cut_off_is_made_up_for_and_counts_for_nothing_when_it_is_back(
    both: TwoMachines, expected: str
) -> None:
    both.far.link(up=False)
    is_right(both, expected)
    both.far.link(up=True)
    both.lab.free("infer@far")  # and now ends what it had in hand
    with Queue.open(both.net.url("clx")) as queue:
        far = [row.id for row in WorkerTable(queue.database).list() if row.host == "far"]
        until(lambda: not [job for job in queue.search(state="running") if job.worker_id in far])
    assert (both.lab.gold(), both.lab.counts(), both.lab.described()["version"]) == (expected, {7}, 1)


def test_one_that_is_slow_is_waited_for(both: TwoMachines, expected: str) -> None:
    done = subprocess.run(
        ["tc", "qdisc", "add", "dev", both.far.device, "root", "netem", "delay", "300ms", "50ms", "loss", "5%"],
        capture_output=True, text=True,
    )  # fmt: skip
    if "qdisc kind is unknown" in done.stderr:
        done = subprocess.run(
            ["tc", "qdisc", "add", "dev", both.far.device, "root", "tbf", "rate", "64kbit", "burst", "1540", "latency",
             "2s"], capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    both.lab.free("infer@far")
    is_right(both, expected)


@pytest.mark.parametrize("two_machines", [{"clock": 3600}, {"clock": -3600}], indirect=True, ids=["ahead", "behind"])
def test_one_with_the_time_of_another_hour_does_no_harm(both: TwoMachines, expected: str) -> None:
    both.lab.free("infer@far")
    is_right(both, expected)
    times = both.lab.times()
    assert set(times.values()) == {1}, times


def test_one_whose_disk_is_full_is_told_and_does_no_harm(two_machines: TwoMachines, expected: str) -> None:
    """Whatever it has taken by then, what is missing is named; with room again the same command makes up for it."""
    machines, state = two_machines, two_machines.far.home / "state"
    state.mkdir()
    machines.far.run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(state))
    machines.lab.stage(port=8080)
    machines.work_there()
    machines.lab.hold("infer@far")
    machines.start("models")
    machines.lab.until_begun("infer", host="far")
    machines.far.run("sh", "-c", f"dd if=/dev/zero of={state}/filling bs=4k 2>/dev/null; df --output=avail {state}")
    machines.lab.free("infer@far")
    machines.ended()
    happened = machines.lab.clx("daily", "show", DAY)
    assert "full" in happened or "No space left" in happened, happened
    if machines.lab.day_folder("gold/aggregated").exists():
        assert machines.lab.counts() == {7 - len(machines.lab.described()["missing"])}
    machines.far.run("rm", str(state / "filling"))
    machines.start("models")
    found = json.loads(machines.said())
    assert (found["missing"], found["errors"]) == ({}, {})
    assert (machines.lab.gold(), machines.lab.counts()) == (expected, {7})
