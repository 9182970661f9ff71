"""A Work from its deposit to its results: its row says what its job does, in the same transaction, on every backend."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.works.conftest import deposit, document, end, ids, nothing, now, withdraw, without_run
from tests.support.clock import at, prune

from clx.db.check import check
from clx.db.jobs import Failure, NewJob, Queue
from clx.db.retention import Policy
from clx.errors import QueueError

DAY = 24 * 3600 * 1000


def job(queue: Queue, work_id: str) -> Any:
    found = queue.works.get(work_id)
    assert found is not None
    return queue.get(found.job_id)


def test_a_work_is_a_job_and_a_document(queue: Queue) -> None:
    given = document(parameters={"a": 1}, priority=5, retries=4, timeout=60, tags=["x"], custom={"kept": "as it is"})

    (work_id,) = deposit(queue, given)

    stored = now(queue, work_id)
    assert {name: stored[name] for name in given} == given
    assert (stored["status"], stored["attempt"], stored["start"], stored["stop"]) == ("queued", 0, None, None)
    assert isinstance(stored["creation"], float)
    its = job(queue, work_id)
    assert (its.type, its.priority, its.max_runs, its.timeout, its.state) == ("work:p", 5, 4, 60_000, "queued")


def test_ids_are_24_digits_that_rise(queue: Queue) -> None:
    found = deposit(queue, *[document() for _ in range(300)]) + deposit(queue)
    assert found == sorted(found)
    assert len(set(found)) == 301
    assert {len(each) for each in found} == {24}
    assert all(int(each, 16) for each in found)


def test_a_withdrawn_work_runs_and_its_success_is_stored(queue: Queue) -> None:
    (work_id,) = deposit(queue)

    work = at(queue.works, 1_000_000).withdraw
    found = withdraw(queue)
    assert (found["id"], found["status"], found["attempt"], found["run"]) == (work_id, "running", 1, 1)
    assert nothing(queue)

    assert end(queue, found, results={"sum": 3}, products=["a.h5"])

    stored = now(queue, work_id)
    assert (stored["status"], stored["results"], stored["products"]) == ("success", {"sum": 3}, ["a.h5"])
    assert stored["stop"] >= stored["start"]
    assert job(queue, work_id).state == "succeeded"
    assert check(queue.database) == []
    assert work is not None


def test_a_failure_waits_again_while_attempts_are_left(queue: Queue) -> None:
    (work_id,) = deposit(queue, document(retries=2))
    assert end(queue, withdraw(queue), "failure", error={"type": "ValueError", "message": "no"})
    assert (now(queue, work_id)["status"], now(queue, work_id)["error"]["message"]) == ("queued", "no")

    second = withdraw(queue)
    assert second["attempt"] == 2
    assert end(queue, second, "failure")

    assert now(queue, work_id)["status"] == "failure"
    assert nothing(queue)


@pytest.mark.parametrize("retries", [0, 1])
def test_with_one_attempt_the_first_failure_is_the_last(queue: Queue, retries: int) -> None:
    (work_id,) = deposit(queue, document(retries=retries))
    assert end(queue, withdraw(queue), "failure")
    assert now(queue, work_id)["status"] == "failure"


def test_a_late_update_of_who_was_given_up_on_changes_nothing(queue: Queue) -> None:
    (work_id,) = at(queue.works, 1000).deposit([document(timeout=10)])
    first = at(queue.works, 1000).withdraw(_asked())
    assert first is not None
    assert at(queue, 12_000).rescue() != []
    second = at(queue.works, 12_000).withdraw(_asked())
    assert second is not None
    assert second["attempt"] == 2

    before = now(queue, work_id)
    for status in ("running", "success", "failure", "queued", "cancelled"):
        assert not end(queue, first, status, results={"late": True})
        assert not end(queue, without_run(first), status, results={"late": True})
    assert now(queue, work_id) == before

    assert end(queue, second, results={"late": False})
    assert not end(queue, first, results={"late": True})
    assert now(queue, work_id)["results"] == {"late": False}


def test_a_success_after_the_lease_counts_as_long_as_nobody_has_begun_anew(queue: Queue) -> None:
    (work_id,) = at(queue.works, 1000).deposit([document(timeout=10)])
    first = at(queue.works, 1000).withdraw(_asked())
    assert first is not None
    at(queue, 12_000).rescue()
    assert not end(queue, first, "failure")
    assert end(queue, first, results={"a": 1})
    assert now(queue, work_id)["status"] == "success"


def test_an_update_renews_the_lease(queue: Queue) -> None:
    (work_id,) = at(queue.works, 1000).deposit([document(timeout=10)])
    work = at(queue.works, 1000).withdraw(_asked())
    assert work is not None
    assert at(queue.works, 9000).update([{**work, "progress": 1}]) == [True]
    assert at(queue, 12_000).rescue() == []
    assert at(queue, 19_500).rescue() != []
    assert now(queue, work_id)["status"] == "queued"


def test_the_timeout_of_the_last_attempt_is_a_failure(queue: Queue) -> None:
    (work_id,) = at(queue.works, 1000).deposit([document(timeout=10, retries=1)])
    assert at(queue.works, 1000).withdraw(_asked()) is not None
    at(queue, 12_000).rescue()
    stored = now(queue, work_id)
    assert (stored["status"], stored["stop"], stored["error"]["type"]) == ("failure", 12.0, "WorkerSilent")


def _asked() -> Any:
    from clx.db.works.withdrawing import Asked

    return Asked(("p",))


def test_a_work_that_is_handed_back_does_not_count_its_attempt(queue: Queue) -> None:
    (work_id,) = deposit(queue)
    assert end(queue, withdraw(queue), "queued")
    assert (now(queue, work_id)["status"], now(queue, work_id)["attempt"]) == ("queued", 0)
    assert withdraw(queue)["attempt"] == 1


def test_cancelling_waiting_and_running_ones(queue: Queue) -> None:
    waiting, running = deposit(queue, document("a"), document("b"))
    held = withdraw(queue, "b")
    assert queue.works.cancel([waiting, running]) == [waiting]
    assert now(queue, waiting)["status"] == "cancelled"
    assert now(queue, running)["status"] == "running"
    assert end(queue, held, "failure")
    assert now(queue, running)["status"] == "cancelled"


def test_a_retry_gives_one_attempt_at_least_and_attempts_go_on_counting(queue: Queue) -> None:
    (work_id,) = deposit(queue, document(retries=1))
    end(queue, withdraw(queue), "failure")
    assert queue.works.retry([work_id, "unknown"]) == [work_id]
    again = withdraw(queue)
    assert again["attempt"] == 2
    end(queue, again, "failure")
    assert now(queue, work_id)["status"] == "failure"


def test_whatever_ends_the_job_ends_the_work(queue: Queue) -> None:
    need = queue.enqueue(NewJob("t", max_runs=1))
    (work_id,) = deposit(queue)
    found = queue.works.get(work_id)
    assert found is not None
    queue.database.write(
        "note",
        lambda tx: (
            tx.execute("UPDATE jobs SET waits_for = 1, ready = 0 WHERE id = ?", (found.job_id,)),
            tx.execute("INSERT INTO dependencies (job_id, needs_id) VALUES (?, ?)", (found.job_id, need)),
        ),
    )
    (needed,) = queue.claim(["t"])
    queue.fail(needed.id, needed.run, {"message": "no"})
    assert now(queue, work_id)["status"] == "failure"
    assert now(queue, work_id)["error"]["type"] == "NeedNotMet"


def test_a_consumer_of_jobs_may_do_works_too(queue: Queue) -> None:
    first, second = deposit(queue, document(), document(retries=2))
    done, tried = queue.claim(["work:p"], 2)
    assert [now(queue, each)["status"] for each in (first, second)] == ["running", "running"]
    queue.settle([Failure(tried.id, tried.run, {"message": "no"}, retry=True, backoff=0)])
    queue.finish(done.id, done.run)
    assert [now(queue, each)["status"] for each in (first, second)] == ["success", "queued"]
    queue.claim(["work:p"])
    assert now(queue, second)["attempt"] == 2


def test_the_same_deposit_again_is_the_same_work(queue: Queue) -> None:
    told = document(creation=1.25, user="u", parameters={"a": 1})
    first = deposit(queue, told, told)
    assert len(set(first)) == 2
    assert deposit(queue, told, told) == first
    assert deposit(queue, told) == first[:1]
    assert len(deposit(queue, told, told, told)) == 3
    assert queue.works.status()["queued"] == 3
    for other in ({"parameters": {"a": 2}}, {"creation": 1.250001}, {"user": "v"}, {"pipeline": "q"}):
        assert deposit(queue, {**told, **other})[0] not in first
    late = at(queue.works, queue.database.clock.now() + 61_000).deposit([told])
    assert late[0] not in first


def test_works_that_are_alike_are_as_many_as_there_are_in_however_many_transactions_they_go_in(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clx.db.works.table._AT_ONCE", 2)
    told, other = document(creation=1.25), document("q", creation=1.25)
    made = deposit(queue, told, told, other, told, told, other)
    assert len(set(made)) == 6
    assert deposit(queue, told, told, other, told, told, other) == made
    assert len(set(deposit(queue, *[told] * 7))) == 7
    assert queue.works.status()["queued"] == 9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pipeline", ""),
        ("pipeline", None),
        ("pipeline", "a\0"),
        ("priority", 6),
        ("priority", "high"),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("retries", -1),
        ("status", "lost"),
        ("creation", "today"),
        ("creation", float("inf")),
        ("site", ""),
        ("user", 5),
        ("tags", ["a\0"]),
        ("event", [{}]),
        ("results", {"x": float("nan")}),
    ],
)
def test_what_no_work_can_be_is_refused_by_its_name(queue: Queue, field: str, value: Any) -> None:
    with pytest.raises(QueueError):
        deposit(queue, {**document(), field: value})
    assert ids(queue) == []


def test_an_id_that_is_given_is_taken_once(queue: Queue) -> None:
    assert deposit(queue, document(id="mine")) == ["mine"]
    with pytest.raises(QueueError, match="mine"):
        deposit(queue, document(), document(id="mine"))
    with pytest.raises(QueueError):
        deposit(queue, document(id="twice"), document(id="twice"))
    assert ids(queue) == ["mine"]


def test_works_are_kept_for_good_and_locked_ones_whatever_the_policy(queue: Queue) -> None:
    old, locked = deposit(queue, document("a"), document("b"))
    end(queue, withdraw(queue, "a"))
    end(queue, withdraw(queue, "b"), results={"locked": True})
    plain = queue.enqueue(NewJob("t"))
    queue.finish(plain, queue.claim(["t"])[0].run)
    (waiting,) = deposit(queue)
    later = queue.database.clock.now() + 400 * DAY

    prune(queue.database, Policy(), now=later)
    assert ids(queue) == [old, locked, waiting]
    assert queue.get(plain) is None
    prune(queue.database, Policy(works=100), now=later)
    assert ids(queue) == [locked, waiting]
