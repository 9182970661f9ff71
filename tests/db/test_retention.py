"""What is long over goes; what a live row names stays; a year of building stays small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at, find_results, prune

from clx.course.build_state import BuildState, Owner, PublishedFile
from clx.db.batches import BatchTable
from clx.db.identity import process_identity
from clx.db.jobs import NewJob, Queue
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.retention import Policy, Pruned, named_text
from clx.db.workers import WorkerTable, register_this_process
from clx.db.works.withdrawing import Asked
from clx.errors import QueueError

_DAY = 24 * 3600 * 1000
_YEAR = 365 * _DAY


@pytest.fixture
def queue(kept: Queue) -> Queue:
    return kept


def _do(queue: Queue, job: NewJob, now: int, *, fail: bool = False) -> int:
    job_id = at(queue, now).enqueue(job)
    claimed = at(queue, now).claim([job.type])[0]
    if fail:
        at(queue, now).fail(claimed.id, claimed.run, {"message": "no"})
    else:
        at(queue, now).finish(claimed.id, claimed.run)
    return job_id


@pytest.mark.parametrize(("fail", "days"), [(False, 30), (True, 90)])
def test_ended_jobs_go_after_their_time_with_their_runs(queue: Queue, fail: bool, days: int) -> None:
    job_id = _do(queue, NewJob("t"), 0, fail=fail)

    assert prune(queue.database, Policy(), now=days * _DAY).jobs == 0
    assert prune(queue.database, Policy(), now=days * _DAY + 1).jobs == 1
    assert (queue.get(job_id), queue.runs(job_id)) == (None, [])


def _pipeline(queue: Queue, ended_at: int | None, **config: Any) -> str:
    """A pipeline of one work, deployed at 0."""
    work = {"pipeline": "p", "retries": 1}
    step = StepDefinition("s", 1, works=(work,))
    definition = ConfigDefinition("c", "name: c", (PipelineDefinition({}, (step,)),), **config)
    (found,) = at(queue.pipelines, 0).deploy(definition).pipelines
    if ended_at is not None:
        held = at(queue.works, ended_at).withdraw(Asked(("p",)))
        assert held is not None
        at(queue.works, ended_at).update([{**held, "status": "success"}])
    return found


def test_ended_pipelines_go_after_their_time_and_their_works_stay(queue: Queue) -> None:
    _pipeline(queue, 5)
    living = _pipeline(queue, None)

    assert prune(queue.database, Policy(), now=99 * _YEAR).pipelines == 0
    assert prune(queue.database, Policy(pipelines=1), now=_DAY + 5).pipelines == 0
    assert prune(queue.database, Policy(pipelines=1), now=_DAY + 6).pipelines == 1
    assert [each["id"] for each in queue.pipelines.find()] == [living]
    assert [each["pipelines"] for each in queue.pipelines.configs()] == [[living]]
    assert queue.works.status()["success"] == 1


def test_with_a_job_goes_all_that_names_it(queue: Queue) -> None:
    """Runs, needs, places in batches: nothing is left that points to a row which is gone."""
    batch, (need,) = at(queue, 0).enqueue_batch([NewJob("t")], NewJob("after"))
    for type_ in ("t", "after"):
        job = at(queue, 0).claim([type_])[0]
        at(queue, 0).finish(job.id, job.run)
    dependent = at(queue, 0).enqueue(NewJob("t", needs=[need]))
    at(queue, 0).finish(at(queue, 0).claim(["t"])[0].id, 1)
    assert queue.needs(dependent)

    assert prune(queue.database, Policy(), now=_YEAR).jobs == 3

    count = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM dependencies), (SELECT count(*) FROM batch_jobs)"
    assert queue.database.read(count) == [(0, 0, 0)]
    assert BatchTable(queue.database).get(batch) is None


def test_cancelled_jobs_go_with_the_failed_ones(queue: Queue) -> None:
    job_id = at(queue, 0).enqueue(NewJob("t"))
    at(queue, 0).cancel([job_id])

    assert prune(queue.database, Policy(), now=90 * _DAY).jobs == 0
    assert prune(queue.database, Policy(), now=90 * _DAY + 1).jobs == 1


def test_live_rows_never_go(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = at(batches, 0).open("b", host="h", pid=1, identity="i", lease=10**15)
    wanted, need = (_do(queue, NewJob("t", key=key), 0) for key in ("wanted", "need"))
    queue.database.write(
        "want", lambda connection: connection.execute("INSERT INTO batch_jobs VALUES (?, ?)", (batch, wanted))
    )
    waiting = at(queue, 0).enqueue(NewJob("u", needs=[need], not_before=2 * _YEAR))
    at(queue, 0).enqueue(NewJob("v"))
    held = at(queue, 0).claim(["v"], lease=2 * _YEAR)[0]
    at(WorkerTable(queue.database), 0).end(held.worker_id or 0, "struck off", dead=True)

    done = prune(queue.database, Policy(), now=_YEAR)

    assert (done.jobs, done.batches, done.workers) == (0, 0, 0)
    assert {job.id for job in queue.search()} == {wanted, need, waiting, held.id}


def test_results_go_when_nobody_used_them_for_long(queue: Queue) -> None:
    for key in ("used", "unused"):
        _do(queue, NewJob("t", key=key), 0)
    find_results(queue.database, ["used"], now=100 * _DAY)

    assert prune(queue.database, Policy(), now=200 * _DAY).results == 1
    assert list(queue.results(["used", "unused"])) == ["used"]


def test_workers_events_and_batches_go_together(queue: Queue) -> None:
    table, batches = WorkerTable(queue.database), BatchTable(queue.database)
    old = register_this_process(queue.database, "t")
    at(table, 0).end(old, "done")
    at(batches, 0).close(at(batches, 0).open("b", host="h", pid=1, identity="i", lease=10))
    living = register_this_process(queue.database, "t")

    done = prune(queue.database, Policy(), now=table.get(living).started_at + 31 * _DAY)  # type: ignore[union-attr]

    assert (done.workers, done.batches) == (1, 1)
    assert [row.id for row in table.list(live=False)] == [living]
    assert [action for action, _ in table.events(living)] == ["started"]
    assert table.events(old) == []


def test_a_batch_whose_owner_is_gone_keeps_nothing(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    silent = at(batches, 0).open("b", host="h", pid=1, identity="i", lease=_DAY)
    done, left = at(queue, 0).enqueue_many([NewJob("t"), NewJob("u")], batch=silent)
    at(queue, 0).claim(["t"])
    at(queue, 0).finish(done, 1)
    own = at(batches, 0).open("mine", host="h", pid=1, identity=process_identity(), lease=2 * _YEAR)
    at(queue, 0).enqueue_many([NewJob("v")], batch=own)

    assert prune(queue.database, Policy(), now=_DAY - 1).abandoned == 0
    removed = prune(queue.database, Policy(), now=31 * _DAY)

    assert (removed.abandoned, removed.jobs) == (1, 1)
    assert [(job.id, job.state) for job in queue.search(batch=silent)] == [(left, "cancelled")]
    assert [batch.id for batch in batches.live()] == [own]


def test_a_program_without_builds_prunes_its_queue_itself(queue: Queue) -> None:
    for _ in range(2):
        _do(queue, NewJob("t", key="k"), 0)
    _do(queue, NewJob("t"), 0, fail=True)

    assert at(queue, 31 * _DAY).prune().jobs == 2
    assert at(queue, 31 * _DAY).prune(failed=7, results=0.5) == Pruned(jobs=1, results=1)


@pytest.mark.parametrize("days", [-1, float("nan"), float("inf"), "30"])
def test_a_policy_is_given_in_days(queue: Queue, days: Any) -> None:
    with pytest.raises(QueueError, match="Nothing can be kept for"):
        queue.prune(succeeded=days)


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["wal"], indirect=True)
def test_a_year_of_daily_builds_stays_small(queue: Queue, tmp_path: Path) -> None:
    """40 jobs a day for a year, pruned every fifth day."""
    sizes = []
    for day in range(365):
        now = day * _DAY
        ids = at(queue, now).enqueue_many([NewJob("t", {"files": "x" * 300}, key=f"{day % 60}-{n}") for n in range(40)])
        for job in at(queue, now).claim(["t"], 40):
            at(queue, now).finish(job.id, job.run, {"outputs": "y" * 200})
        assert len(ids) == 40
        if day % 5 == 0:
            prune(queue.database, Policy(), now=now)
            sizes.append(queue.database.read("SELECT page_count * 4096 FROM pragma_page_count")[0][0])

    assert sizes[-1] <= 1.2 * sizes[len(sizes) // 2]
    assert sizes[-1] < 8 << 20


def test_vacuum_gives_space_back(queue: Queue) -> None:
    for _ in range(3):
        at(queue, 0).enqueue_many([NewJob("t", {"text": "x" * 1000}) for _ in range(500)])
    at(queue, 0).cancel([job.id for job in queue.search(limit=2000)])
    prune(queue.database, Policy(), now=_YEAR)

    assert queue.database.vacuum() > 1 << 20


def test_a_need_that_failed_stays_as_long_as_what_it_took_down(queue: Queue) -> None:
    """The dependent may be tried again, and must not run as if its need had been met."""
    need = _do(queue, NewJob("t"), 0, fail=True)
    dependent = at(queue, _YEAR - _DAY).enqueue(NewJob("u", needs=[need]))

    assert prune(queue.database, Policy(), now=_YEAR).jobs == 0
    assert at(queue, _YEAR).retry([dependent]) == []
    assert prune(queue.database, Policy(), now=2 * _YEAR).jobs == 2


def test_results_of_published_files_never_go(queue: Queue) -> None:
    _do(queue, NewJob("t", key="published"), 0)
    _do(queue, NewJob("t", key="other"), 0)
    state = BuildState(queue.database)
    state.published(Owner("c", "o"), [PublishedFile("t", "p", "", "s", "", "published", "d", 1, 2)])

    assert prune(queue.database, Policy(), now=_YEAR).results == 1
    assert list(queue.results(["published", "other"])) == ["published"]


def test_a_batch_stays_while_one_of_its_jobs_is_live(queue: Queue) -> None:
    batches = BatchTable(queue.database)
    batch = at(batches, 0).open("b", host="h", pid=1, identity="i", lease=10)
    (job_id,) = at(queue, 0).enqueue_many([NewJob("t")], batch=batch)
    at(queue, 0).enqueue_many([NewJob("t", key="k")])
    at(queue, 0).claim(["t"], lease=2 * _YEAR)
    at(batches, 0).close(batch)  # running: told, and live until it has heard

    assert prune(queue.database, Policy(), now=_YEAR).batches == 0
    at(queue, 0).end_cancelled(job_id, 1)
    assert prune(queue.database, Policy(), now=_YEAR).batches == 1


def test_a_failed_chain_goes_as_a_whole_when_it_is_old(queue: Queue) -> None:
    previous = at(queue, 0).enqueue(NewJob("t"))
    for _ in range(5):
        previous = at(queue, 0).enqueue(NewJob("u", needs=[previous]))
    job = at(queue, 0).claim(["t"])[0]
    at(queue, 0).fail(job.id, job.run, {"message": "no"})

    assert prune(queue.database, Policy(), now=_YEAR).jobs == 6


def test_whatever_may_name_an_artifact_is_told(queue: Queue) -> None:
    """Queued and running payloads, results of jobs, results that outlive their job, published files."""
    at(queue, _YEAR).enqueue(NewJob("u", {"input": "waiting"}))
    at(queue, _YEAR).enqueue(NewJob("v", {"input": "running"}))
    at(queue, _YEAR).claim(["v"])
    for key, now in (("pruned", 0), (None, _YEAR)):
        at(queue, now).enqueue(NewJob("t", key=key))
        at(queue, now).finish(at(queue, now).claim(["t"])[0].id, 1, f"result of {key}")
    file = PublishedFile("target", "path", "", "source", "", "key", "digest of a file", 1, 2)
    BuildState(queue.database).published(Owner("course", "output"), [file])
    assert prune(queue.database, Policy(results=1000), now=_YEAR).jobs == 1

    assert sorted(named_text(queue.database)) == [
        '"result of None"', '"result of pruned"', "digest of a file", '{"input":"running"}', '{"input":"waiting"}',
    ]  # fmt: skip
