"""Reports taken together end each as it would by itself, whatever hangs on it."""

from __future__ import annotations

from pathlib import Path

from clx.db.jobs import Failure, NewJob, Queue, Success
from clx.db.settling import Together
from clx.db.workers import WorkerTable


def _states(queue: Queue, ids: list[int]) -> list[str]:
    return [queue.get(id_).state for id_ in ids]  # type: ignore[union-attr]


def test_plain_ones_and_those_on_which_others_wait_end_in_one_transaction(queue: Queue) -> None:
    queue.set_limit("few", concurrency=1)
    plain, keyed, needed, limited, failing, lost = queue.enqueue_many(
        [NewJob("t"), NewJob("t", key="k"), NewJob("t"), NewJob("t", limit="few"), NewJob("t", max_runs=1), NewJob("t")]
    )
    held_back = queue.enqueue(NewJob("t", limit="few"))
    dependent = queue.enqueue(NewJob("u", needs=[needed]))
    batch, (watched,) = queue.enqueue_batch([NewJob("t")], NewJob("called"))
    held = {job.id: job for job in queue.claim(["t"], 20)}
    behind = queue.enqueue(NewJob("t", key="k"), on_conflict="after")
    queue.release(lost, held[lost].run)
    reports = [
        Success(id_, held[id_].run, {"n": id_, "text": 'a "quoted" \\ word, {so}'}, peak_memory=id_)
        for id_ in (watched, limited, needed, keyed, plain, lost)
    ]

    worker = held[plain].worker_id
    settled = queue.settle([*reports, Failure(failing, 1, {"message": "no"})], worker=worker)

    assert [report.job_id for report in settled.lost] == [lost]
    assert _states(queue, [plain, keyed, needed, limited, watched]) == ["succeeded"] * 5
    assert _states(queue, [failing, lost]) == ["failed", "queued"]
    assert [queue.get(id_).waits_for for id_ in (dependent, behind)] == [0, 0]  # type: ignore[union-attr]
    assert queue.get(plain).result == {"n": plain, "text": 'a "quoted" \\ word, {so}'}  # type: ignore[union-attr]
    assert [job.id for job in queue.claim(["t"], 20)] == [lost, held_back, behind]
    [called] = queue.claim(["called"])
    assert called.payload["batch"] == {"id": batch, "succeeded": 1, "failed": 0, "cancelled": 0}
    runs = queue.sql("SELECT job_id, outcome, peak_memory FROM runs WHERE outcome = 'succeeded' ORDER BY job_id")
    assert [(row["job_id"], row["peak_memory"]) for row in runs] == [
        (id_, id_) for id_ in sorted([plain, keyed, needed, limited, watched])
    ]
    row = next(each for each in WorkerTable(queue.database).list() if each.id == worker)
    assert (row.jobs_succeeded, row.jobs_failed) == (5, 1)


def test_of_two_reports_of_one_run_the_first_counts(queue: Queue) -> None:
    id_ = queue.enqueue(NewJob("t"))
    [job] = queue.claim(["t"])
    twice = [Success(id_, job.run, "first"), Success(id_, job.run, "second")]

    settled = queue.settle(twice, worker=job.worker_id)

    assert settled.lost == twice[1:]
    assert queue.get(id_).result == "first"  # type: ignore[union-attr]
    assert len(queue.sql("SELECT 1 FROM runs")) == 1


def test_a_report_of_an_earlier_run_ends_nothing(queue: Queue) -> None:
    id_ = queue.enqueue(NewJob("t"))
    [first] = queue.claim(["t"])
    queue.release(id_, first.run)
    [second] = queue.claim(["t"])

    settled = queue.settle([Success(id_, first.run)], ["t"], 5, worker=first.worker_id, harmless=True)

    assert [report.run for report in settled.lost] == [first.run]
    assert settled.claimed == []
    assert queue.get(id_).state == "running"  # type: ignore[union-attr]
    assert queue.settle([Success(id_, second.run)], worker=first.worker_id).lost == []


def test_what_a_report_lets_go_can_be_claimed_with_it(queue: Queue) -> None:
    first = queue.enqueue(NewJob("t"))
    [job] = queue.claim(["t"])
    second = queue.enqueue(NewJob("t", needs=[first]))

    settled = queue.settle([Success(first, job.run)], ["t"], 5, worker=job.worker_id, harmless=True)

    assert [each.id for each in settled.claimed] == [second]


def test_types_that_are_paused_are_left_out_of_what_is_claimed_with_reports(queue: Queue) -> None:
    queue.enqueue_many([NewJob("t") for _ in range(3)])
    [job] = queue.claim(["t"])
    queue.pause("t")
    assert queue.settle([Success(job.id, job.run)], ["t"], 5, worker=job.worker_id, harmless=True).claimed == []
    queue.pause("u")
    queue.resume("t")
    assert len(queue.settle((), ["t"], 5, worker=job.worker_id, harmless=True).claimed) == 2


def test_a_file_is_asked_one_report_after_the_other(tmp_path: Path) -> None:
    """There a statement costs no round trip, and one for all costs more than one for each."""
    with Queue.open(tmp_path / "jobs.db") as queue:
        reports = [Success(1, 1), Success(2, 1)]
        assert queue.database.write("settle", lambda tx: Together(tx, reports, ["1", "2"], 1).statements) == []
