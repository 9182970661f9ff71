"""What is live is found whatever else lies in the table, and what has ended since is told."""

from __future__ import annotations

from clx.db.jobs import Queue
from clx.db.live import JobFact, ended_since, live_jobs, newest_job
from clx.db.models import NewJob


def test_jobs_that_wait_or_run_are_found_each_once(queue: Queue) -> None:
    assert live_jobs(queue.database, 10) == []
    assert newest_job(queue.database) == 0
    first, *_ = queue.enqueue_many([NewJob("t"), NewJob("t"), NewJob("t", pool="p")])
    queue.enqueue_many([NewJob("u", not_before=10**13), NewJob("u", needs=[3])])
    (job,) = queue.claim(["t"])
    queue.finish(job.id, job.run)
    queue.claim(["t"])
    assert live_jobs(queue.database, 10) == [
        JobFact(2, "t", "", "running", 1),
        JobFact(3, "t", "p", "queued", 0),
        JobFact(4, "u", "", "queued", 0),
        JobFact(5, "u", "", "queued", 0),
    ]
    assert live_jobs(queue.database, 4) is not None
    assert live_jobs(queue.database, 3) is None
    assert newest_job(queue.database) == 5
    assert ended_since(queue.database, 3, [first], 10)[0] == JobFact(1, "t", "", "succeeded", 1)
    assert [fact.id for fact in ended_since(queue.database, 3, [], 1)] == [4]


def test_what_has_ended_is_not_read(queue: Queue) -> None:
    """A look every second must not read a long table."""
    queue.enqueue_many([NewJob("t") for _ in range(3)])
    asked: list[str] = []
    usual = queue.database.read

    def read(sql: str, *given: object) -> list[tuple[object, ...]]:
        asked.append(sql)
        return usual(sql, *given)  # type: ignore[arg-type]

    queue.database.read = read  # type: ignore[assignment, method-assign]
    live_jobs(queue.database, 10)
    (statement,) = asked
    for part in statement.split("UNION ALL"):
        assert "state = 'queued'" in part or "state = 'running'" in part
