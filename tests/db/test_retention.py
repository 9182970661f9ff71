"""What is long over goes; what a live row names stays; a year of building stays small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clx.course.build_state import BuildState, Owner, PublishedFile
from clx.db.batches import BatchTable
from clx.db.check import check
from clx.db.identity import process_identity
from clx.db.jobs import NewJob, Queue
from clx.db.results import find_results
from clx.db.retention import Policy, Pruned, named_text, prune, vacuum
from clx.db.workers import WorkerTable, register_this_process
from clx.errors import QueueError

_DAY = 24 * 3600 * 1000
_YEAR = 365 * _DAY


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as queue:
        yield queue
        assert check(queue.database) == []


def _do(queue: Queue, job: NewJob, now: int, *, fail: bool = False) -> int:
    job_id = queue.enqueue(job, now=now)
    claimed = queue.claim([job.type], now=now)[0]
    if fail:
        queue.fail(claimed.id, claimed.run, {"message": "no"}, now=now)
    else:
        queue.finish(claimed.id, claimed.run, now=now)
    return job_id


@pytest.mark.parametrize(("fail", "days"), [(False, 30), (True, 90)])
def test_ended_jobs_go_after_their_time_with_their_runs(queue: Queue, fail: bool, days: int) -> None:
    job_id = _do(queue, NewJob("t"), 0, fail=fail)

    assert prune(queue.database, Policy(), now=days * _DAY).jobs == 0
    assert prune(queue.database, Policy(), now=days * _DAY + 1).jobs == 1
    assert (queue.get(job_id), queue.runs(job_id)) == (None, [])


def test_with_a_job_goes_all_that_names_it(queue: Queue) -> None:
    """Runs, needs, places in batches: nothing is left that points to a row which is gone."""
    batch, (need,) = queue.enqueue_batch([NewJob("t")], NewJob("after"), now=0)
    for type_ in ("t", "after"):
        job = queue.claim([type_], now=0)[0]
        queue.finish(job.id, job.run, now=0)
    dependent = queue.enqueue(NewJob("t", needs=[need]), now=0)
    queue.finish(queue.claim(["t"], now=0)[0].id, 1, now=0)
    assert queue.needs(dependent)

    assert prune(queue.database, Policy(), now=_YEAR).jobs == 3

    count = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM dependencies), (SELECT count(*) FROM batch_jobs)"
    assert queue.database.read(count) == [(0, 0, 0)]
    assert BatchTable(queue.database).get(batch) is None


def test_cancelled_jobs_go_with_the_failed_ones(queue: Queue) -> None:
    job_id = queue.enqueue(NewJob("t"), now=0)
    queue.cancel([job_id], now=0)

    assert prune(queue.database, Policy(), now=90 * _DAY).jobs == 0
    assert prune(queue.database, Policy(), now=90 * _DAY + 1).jobs == 1


def test_live_rows_never_go(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = batches.open("b", host="h", pid=1, identity="i", lease=10**15, now=0)
    wanted, need = (_do(queue, NewJob("t", key=key), 0) for key in ("wanted", "need"))
    queue.database.write(
        "want", lambda connection: connection.execute("INSERT INTO batch_jobs VALUES (?, ?)", (batch, wanted))
    )
    waiting = queue.enqueue(NewJob("u", needs=[need], not_before=2 * _YEAR), now=0)
    queue.enqueue(NewJob("v"), now=0)
    held = queue.claim(["v"], lease=2 * _YEAR, now=0)[0]
    WorkerTable(queue.database).end(held.worker_id or 0, "struck off", dead=True, now=0)

    done = prune(queue.database, Policy(), now=_YEAR)

    assert (done.jobs, done.batches, done.workers) == (0, 0, 0)
    assert {job.id for job in queue.search()} == {wanted, need, waiting, held.id}


def test_results_go_when_nobody_used_them_for_long(queue: Queue) -> None:
    for key in ("used", "unused"):
        _do(queue, NewJob("t", key=key), 0)
    find_results(queue.database, ["used"], now=100 * _DAY)

    assert prune(queue.database, Policy(), now=200 * _DAY).results == 1
    assert list(find_results(queue.database, ["used", "unused"])) == ["used"]


def test_workers_events_and_batches_go_together(queue: Queue) -> None:
    table, batches = WorkerTable(queue.database), BatchTable(queue.database)
    old = register_this_process(queue.database, "t")
    table.end(old, "done", now=0)
    batches.close(batches.open("b", host="h", pid=1, identity="i", lease=10, now=0), now=0)
    living = register_this_process(queue.database, "t")

    done = prune(queue.database, Policy(), now=table.get(living).started_at + 31 * _DAY)  # type: ignore[union-attr]

    assert (done.workers, done.batches) == (1, 1)
    assert [row.id for row in table.list(live=False)] == [living]
    assert [action for action, _ in table.events(living)] == ["started"]
    assert table.events(old) == []


def test_a_batch_whose_owner_is_gone_keeps_nothing(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    silent = batches.open("b", host="h", pid=1, identity="i", lease=_DAY, now=0)
    done, left = queue.enqueue_many([NewJob("t"), NewJob("u")], batch=silent, now=0)
    queue.claim(["t"], now=0)
    queue.finish(done, 1, now=0)
    own = batches.open("mine", host="h", pid=1, identity=process_identity(), lease=2 * _YEAR, now=0)
    queue.enqueue_many([NewJob("v")], batch=own, now=0)

    assert prune(queue.database, Policy(), now=_DAY - 1).abandoned == 0
    removed = prune(queue.database, Policy(), now=31 * _DAY)

    assert (removed.abandoned, removed.jobs) == (1, 1)
    assert [(job.id, job.state) for job in queue.search(batch=silent)] == [(left, "cancelled")]
    assert [batch.id for batch in batches.live()] == [own]


def test_a_program_without_builds_prunes_its_queue_itself(queue: Queue) -> None:
    for _ in range(2):
        _do(queue, NewJob("t", key="k"), 0)
    _do(queue, NewJob("t"), 0, fail=True)

    assert queue.prune(now=31 * _DAY).jobs == 2
    assert queue.prune(failed=7, results=0.5, now=31 * _DAY) == Pruned(jobs=1, results=1)


@pytest.mark.parametrize("days", [-1, float("nan"), float("inf"), "30"])
def test_a_policy_is_given_in_days(queue: Queue, days: Any) -> None:
    with pytest.raises(QueueError, match="Nothing can be kept for"):
        queue.prune(succeeded=days)


@pytest.mark.slow
def test_a_year_of_daily_builds_stays_small(queue: Queue, tmp_path: Path) -> None:
    """40 jobs a day for a year, pruned every fifth day."""
    sizes = []
    for day in range(365):
        now = day * _DAY
        ids = queue.enqueue_many([NewJob("t", {"files": "x" * 300}, key=f"{day % 60}-{n}") for n in range(40)], now=now)
        for job in queue.claim(["t"], 40, now=now):
            queue.finish(job.id, job.run, {"outputs": "y" * 200}, now=now)
        assert len(ids) == 40
        if day % 5 == 0:
            prune(queue.database, Policy(), now=now)
            sizes.append(queue.database.read("SELECT page_count * 4096 FROM pragma_page_count")[0][0])

    assert sizes[-1] <= 1.2 * sizes[len(sizes) // 2]
    assert sizes[-1] < 8 << 20


def test_vacuum_gives_space_back(queue: Queue) -> None:
    for _ in range(3):
        queue.enqueue_many([NewJob("t", {"text": "x" * 1000}) for _ in range(500)], now=0)
    queue.cancel([job.id for job in queue.search(limit=2000)], now=0)
    prune(queue.database, Policy(), now=_YEAR)

    assert vacuum(queue.database) > 1 << 20


def test_a_need_that_failed_stays_as_long_as_what_it_took_down(queue: Queue) -> None:
    """The dependent may be tried again, and must not run as if its need had been met."""
    need = _do(queue, NewJob("t"), 0, fail=True)
    dependent = queue.enqueue(NewJob("u", needs=[need]), now=_YEAR - _DAY)

    assert prune(queue.database, Policy(), now=_YEAR).jobs == 0
    assert queue.retry([dependent], now=_YEAR) == []
    assert prune(queue.database, Policy(), now=2 * _YEAR).jobs == 2


def test_results_of_published_files_never_go(queue: Queue) -> None:
    _do(queue, NewJob("t", key="published"), 0)
    _do(queue, NewJob("t", key="other"), 0)
    state = BuildState(queue.database)
    state.published(Owner("c", "o"), [PublishedFile("t", "p", "", "s", "", "published", "d", 1, 2)])

    assert prune(queue.database, Policy(), now=_YEAR).results == 1
    assert list(find_results(queue.database, ["published", "other"])) == ["published"]


def test_a_batch_stays_while_one_of_its_jobs_is_live(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = batches.open("b", host="h", pid=1, identity="i", lease=10, now=0)
    (job_id,) = queue.enqueue_many([NewJob("t")], batch=batch, now=0)
    queue.enqueue_many([NewJob("t", key="k")], now=0)
    queue.claim(["t"], lease=2 * _YEAR, now=0)
    batches.close(batch, now=0)  # running: told, and live until it has heard

    assert prune(queue.database, Policy(), now=_YEAR).batches == 0
    queue.end_cancelled(job_id, 1, now=0)
    assert prune(queue.database, Policy(), now=_YEAR).batches == 1


def test_a_failed_chain_goes_as_a_whole_when_it_is_old(queue: Queue) -> None:
    previous = queue.enqueue(NewJob("t"), now=0)
    for _ in range(5):
        previous = queue.enqueue(NewJob("u", needs=[previous]), now=0)
    job = queue.claim(["t"], now=0)[0]
    queue.fail(job.id, job.run, {"message": "no"}, now=0)

    assert prune(queue.database, Policy(), now=_YEAR).jobs == 6


def test_whatever_may_name_an_artifact_is_told(queue: Queue) -> None:
    """Queued and running payloads, results of jobs, results that outlive their job, published files."""
    queue.enqueue(NewJob("u", {"input": "waiting"}), now=_YEAR)
    queue.enqueue(NewJob("v", {"input": "running"}), now=_YEAR)
    queue.claim(["v"], now=_YEAR)
    for key, now in (("pruned", 0), (None, _YEAR)):
        queue.enqueue(NewJob("t", key=key), now=now)
        queue.finish(queue.claim(["t"], now=now)[0].id, 1, f"result of {key}", now=now)
    file = PublishedFile("target", "path", "", "source", "", "key", "digest of a file", 1, 2)
    BuildState(queue.database).published(Owner("course", "output"), [file])
    assert prune(queue.database, Policy(results=1000), now=_YEAR).jobs == 1

    assert sorted(named_text(queue.database)) == [
        '"result of None"', '"result of pruned"', "digest of a file", '{"input":"running"}', '{"input":"waiting"}',
    ]  # fmt: skip
