"""What a document means that somebody sends who knows of no runs: clients of the other system, and people who edit."""

from __future__ import annotations

import pytest
from tests.db.works.conftest import deposit, document, end, ids, nothing, now, withdraw, without_run

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.works.updating import lock
from clx.db.works.withdrawing import Asked
from clx.errors import QueueError


@pytest.mark.parametrize("before", ["queued", "running", "success", "failure", "cancelled"])
@pytest.mark.parametrize("after", ["queued", "running", "success", "failure", "cancelled"])
def test_every_change_of_a_status_leaves_job_and_work_alike(queue: Queue, before: str, after: str) -> None:
    (work_id,) = deposit(queue, document(retries=1))
    if before != "queued":
        work = withdraw(queue)
        if before != "running":
            assert end(queue, work, before)

    taken = queue.works.update([{**without_run(now(queue, work_id)), "status": after}])

    assert taken == [
        (before, after)
        not in {("success", "running"), ("failure", "running"), ("cancelled", "running"), ("success", "queued")}
    ]
    expected = after if taken == [True] else before
    assert now(queue, work_id)["status"] == expected
    found = queue.works.get(work_id)
    assert found is not None
    job = queue.get(found.job_id)
    assert job is not None
    state = {"success": "succeeded", "failure": "failed"}.get(expected, expected)
    assert job.state == state
    assert check(queue.database) == []
    if expected == "queued":
        assert withdraw(queue)["id"] == work_id


def test_what_clients_set_is_stored(queue: Queue) -> None:
    (work_id,) = deposit(queue, document(retries=2))
    work = without_run(withdraw(queue))
    config = {"archive": {"results": False}}
    told = {"start": 5.5, "creation": 4.25, "attempt": 2, "config": config, "tags": ["n"], "site": "s"}

    assert queue.works.update([{**work, **told, "status": "failure"}]) == [True]

    stored = now(queue, work_id)
    assert {name: stored[name] for name in told} == told
    assert stored["status"] == "failure", "the attempts are used up, as the client says"
    assert ids(queue, tags="n") == [work_id]
    assert ids(queue, creation=(4, 5)) == [work_id]


def test_attempts_that_are_given_back_are_used(queue: Queue) -> None:
    (work_id,) = deposit(queue, document(retries=1))
    work = without_run(withdraw(queue))
    assert end(queue, work, "failure", retries=3)
    assert now(queue, work_id)["status"] == "queued"
    assert withdraw(queue)["attempt"] == 2


def test_a_priority_counts_from_when_it_is_said(queue: Queue) -> None:
    first, second, third = deposit(queue, document(), document(), document())
    assert queue.works.update([{**now(queue, third), "priority": 5}]) == [True]
    assert [withdraw(queue)["id"] for _ in range(3)] == [third, first, second]


def test_unknown_ones_and_those_of_another_pipeline_are_not_taken(queue: Queue) -> None:
    (work_id,) = deposit(queue)
    work = now(queue, work_id)
    assert queue.works.update([{**work, "id": "x"}, document(), {**work, "pipeline": "q"}]) == [False] * 3


def test_one_may_be_named_twice(queue: Queue) -> None:
    (work_id,) = deposit(queue)
    work = withdraw(queue)
    done = {**work, "status": "success", "results": {"a": 1}}
    assert queue.works.update([{**work, "progress": 1}, done, {**done, "plots": ["a.png"]}]) == [True] * 3
    assert now(queue, work_id)["plots"] == ["a.png"]


def test_only_what_unlocks_changes_a_locked_one(queue: Queue) -> None:
    (work_id,) = deposit(queue)
    end(queue, withdraw(queue), results={"a": 1})
    assert queue.works.update([lock(now(queue, work_id), locked=True)]) == [True]
    locked = now(queue, work_id)
    assert locked["results"] == {"a": 1, "locked": True}
    assert queue.works.update([{**locked, "tags": ["n"]}, {**locked, "status": "queued"}]) == [False, False]
    assert queue.works.delete([work_id]) == []
    assert queue.works.update([lock(locked, locked=False)]) == [True]
    assert queue.works.delete([work_id]) == [work_id]


def test_audits_see_to_what_was_left_until_then(queue: Queue) -> None:
    failed, overdue = deposit(queue, document("a", retries=2), document("b", retries=2))
    assert queue.works.update([{**withdraw(queue, "a"), "status": "failure"}], again=False) == [True]
    slow = without_run(withdraw(queue, "b"))
    assert queue.works.update([{**slow, "start": slow["start"] - 7200, "creation": 1.0}]) == [True]
    assert now(queue, failed)["status"] == "failure"

    assert [queue.works.audit(kind) for kind in ("failed", "expired", "stale")] == [1, 1, 1]

    assert now(queue, failed)["status"] == "queued"
    assert (now(queue, overdue)["status"], now(queue, overdue)["error"]["type"]) == ("failure", "WorkTimeout")
    assert [queue.works.audit(kind) for kind in ("failed", "expired")] == [1, 0]
    assert withdraw(queue, "a")["attempt"] == 2
    assert withdraw(queue, "b")["attempt"] == 2


def test_buckets_and_results_are_two_views_of_one_row(queue: Queue) -> None:
    moved, left = deposit(queue, document("a"), document("a"))
    end(queue, withdraw(queue, "a"))
    done = now(queue, moved)

    assert queue.works.enter_results([done]) == ["a"]
    assert queue.works.status("a") == {"queued": 1, "running": 0, "success": 1, "failure": 0, "cancelled": 0}
    assert queue.works.delete([moved], store="bucket") == [moved]
    assert queue.works.delete([moved], store="bucket") == []
    assert queue.works.status("a")["success"] == 0
    assert queue.works.results() == {"a": 1}
    assert ids(queue, in_bucket=True) == [left]
    assert ids(queue, in_results=True) == [moved]
    assert queue.works.delete([moved], store="results") == [moved]
    assert ids(queue) == [left]
    assert queue.works.delete([left]) == [left]
    assert queue.works.buckets() == []


def test_results_that_ended_elsewhere_come_in_with_their_id(queue: Queue) -> None:
    foreign = document("r", id="5f" * 12, status="success", attempt=1, start=1.0, stop=2.0, results={"x": 1})
    queue.works.enter_results([foreign, document("r", status="failure")])
    assert now(queue, "5f" * 12) == {**foreign, "creation": now(queue, "5f" * 12)["creation"]}
    assert queue.works.results() == {"r": 2}
    assert queue.works.status()["success"] == 0
    assert nothing(queue, "r")
    assert check(queue.database) == []
    assert queue.works.update([{**now(queue, "5f" * 12), "status": "failure"}]) == [True]
    assert ids(queue, status="failure", pipeline="r")[0] == "5f" * 12


def test_what_has_ended_for_good_moves_on(queue: Queue) -> None:
    deposit(queue, document("a"), document("a", retries=3), document("a"))
    end(queue, withdraw(queue, "a"))
    queue.works.update([{**withdraw(queue, "a"), "status": "failure"}], again=False)
    assert queue.works.move_on() == 1
    assert queue.works.results() == {"a": 1}
    assert queue.works.status() == {"queued": 1, "running": 0, "success": 0, "failure": 1, "cancelled": 0}


def test_a_running_work_is_deleted_and_its_holder_told(queue: Queue) -> None:
    (work_id,) = deposit(queue)
    work = withdraw(queue)
    assert queue.works.delete([work_id, work_id, "unknown"]) == [work_id]
    assert not end(queue, work)
    assert queue.stats() == {}
    assert check(queue.database) == []


@pytest.mark.parametrize("status", ["running", "success", "failure", "cancelled", "queued"])
def test_what_an_update_tells_is_what_is_there(queue: Queue, status: str) -> None:
    queue.works.deposit([{"pipeline": "p", "retries": 1}])
    work = queue.works.withdraw(Asked(("p",)))
    assert work is not None
    told = queue.works.updated({**work, "status": status, "progress": 0.5, "results": {"snr": 7.5}})
    assert told is not None
    assert told == queue.works.get(work["id"])
    assert told.document["results"] == {"snr": 7.5}
    assert queue.works.updated({**work, "run": 7}) is None
    assert queue.works.updated({**work, "id": "none"}) is None


def test_an_id_that_is_taken_leaves_nothing_behind(queue: Queue) -> None:
    made = {"pipeline": "p", "creation": 1_700_000_000.0, "id": "0123456789abcdef01234567"}
    assert queue.works.deposit([made]) == queue.works.deposit([made])
    with pytest.raises(QueueError, match="There is a work 0123456789abcdef01234567 already"):
        queue.works.deposit([{**made, "pipeline": "q"}])
    assert queue.stats() == {"work:p": {"queued": 1}}
    assert queue.database.read("SELECT count(*) FROM jobs")[0][0] == 1
