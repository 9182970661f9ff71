"""Two workers' steps in every order: whole, between the look and the lock of the other, and inside its transaction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at

from clx.db.check import check
from clx.db.jobs import NewJob, Queue, Success
from clx.db.sqlite import database as database_module
from clx.errors import DatabaseBusyError, JobExistsError, LostRunError

_STEPS: dict[str, Callable[[Queue], Any]] = {
    "claim": lambda queue: at(queue, 500).claim(["t"], worker=2),
    "settle": lambda queue: at(queue, 500).settle([Success(1, 1)], ["t"], 1, worker=1),
    "finish": lambda queue: at(queue, 500).finish(1, 1),
    "fail": lambda queue: at(queue, 500).fail(1, 1, {"message": "no"}, retry=True, backoff=0),
    "release": lambda queue: at(queue, 500).release(1, 1),
    "heartbeat": lambda queue: at(queue, 500).heartbeat(1, 1),
    "rescue": lambda queue: at(queue, 500).rescue(),
    "rescue_worker": lambda queue: at(queue, 500).rescue_worker(1, {"kind": "gone"}),
    "rescue, claim": lambda queue: (at(queue, 500).rescue(), at(queue, 500).claim(["t"], worker=2)),
    "cancel": lambda queue: at(queue, 500).cancel([1, 2]),
    "end_cancelled": lambda queue: at(queue, 500).end_cancelled(1, 1),
    "want too": lambda queue: at(queue, 500).enqueue(NewJob("t", {"n": 9}, key="k"), on_conflict="return"),
    "replace": lambda queue: at(queue, 500).enqueue(NewJob("t", {"n": 9}, key="k"), on_conflict="replace"),
    "retry": lambda queue: at(queue, 500).retry([1]),
}


def _do(step: str, queue: Queue) -> str:
    try:
        _STEPS[step](queue)
    except LostRunError:
        return "lost"
    except JobExistsError:
        return "exists"
    except DatabaseBusyError:
        return "busy"
    return "done"


@pytest.mark.parametrize("first", _STEPS)
def test_any_two_steps_in_any_order(first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = tmp_path / "prepared.db"
    with Queue.open(prepared) as queue:
        _prepare(queue)
    for number, (second, moment) in enumerate(product(_STEPS, ["after", "before the lock", "in the transaction"])):
        path = Path(shutil.copy(prepared, tmp_path / f"{number}.db"))
        with Queue.open(path, busy_timeout=0) as one, Queue.open(path, busy_timeout=0) as other:
            told = _interleave(monkeypatch, one, first, other, second, moment)
            assert check(one.database) == [], (first, second, moment)
            assert "busy" not in told[0], (first, second, moment, told)
            outcomes = [run["outcome"] for run in one.runs(1)]
            reports = {"settle", "finish", "fail", "release", "end_cancelled"}
            taken = [step for step, answer in zip((first, second), told, strict=True)
                     if step in reports and answer == "done"]  # fmt: skip
            if "settle" not in taken:  # which says what was lost instead of raising
                assert len([outcome for outcome in outcomes if outcome != "rescued"]) == len(taken)
            assert len(outcomes) <= 2


def test_a_lease_renewed_between_the_look_and_the_lock_is_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue.open(tmp_path / "jobs.db") as one, Queue.open(tmp_path / "jobs.db") as other:
        _prepare(one)
        assert _interleave(monkeypatch, one, "rescue", other, "heartbeat", "before the lock") == ("done", "done")
        job = one.get(1)
        assert job is not None
        assert (job.state, job.run, job.kills) == ("running", 1, 0)


def test_a_transaction_has_the_lock_before_it_reads(tmp_path: Path) -> None:
    """Else a write after a read fails at once with BUSY_SNAPSHOT when somebody committed between."""
    with Queue.open(tmp_path / "jobs.db") as one, Queue.open(tmp_path / "jobs.db", busy_timeout=0) as other:

        def body(connection: Any) -> str:
            connection.execute("SELECT count(*) FROM jobs").fetchone()
            try:
                other.enqueue(NewJob("t"))
            except DatabaseBusyError:
                return "locked"
            return "free"

        assert one.database.write("look", body) == "locked"


def _prepare(queue: Queue) -> None:
    """Job 1 runs under a lease that is over at 500; job 2 waits; workers 1 and 2 are there."""
    from clx.db.workers import register_this_process

    for _ in range(2):
        register_this_process(queue.database, "t")
    at(queue, 1).enqueue_many([NewJob("t", key="k"), NewJob("t")])
    at(queue, 1).claim(["t"], worker=1, lease=100)


def _interleave(
    monkeypatch: pytest.MonkeyPatch, one: Queue, first: str, other: Queue, second: str, moment: str
) -> tuple[str, str]:
    """Do *first*, and *second* at that *moment* of it; returns what each was told."""
    if moment == "after":
        return _do(first, one), _do(second, other)
    told: list[str] = []

    def meanwhile() -> None:
        if not told:
            told.append("")
            told[0] = _do(second, other)

    if moment == "before the lock":
        write = one.database.write

        def write_late(name: str, body: Callable[[Any], Any]) -> Any:
            meanwhile()
            return write(name, body)

        monkeypatch.setattr(one.database, "write", write_late)
        answer = _do(first, one)
    else:
        monkeypatch.setattr(
            database_module, "crash_point", lambda _name, moment: meanwhile() if moment == "before_commit" else None
        )
        answer = _do(first, one)
        monkeypatch.undo()
    if told and told[0] == "busy":
        told[0] = _do(second, other)  # as its retry does
    return answer, told[0] if told else _do(second, other)
