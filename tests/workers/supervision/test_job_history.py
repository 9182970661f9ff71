"""What happened to a job, told; and why workers that run do not take it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import at

from clx import __version__
from clx.db.batches import BatchTable
from clx.db.clock import now_ms
from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.workers import WorkerRow, WorkerTable, register_this_process
from clx.settings.schema import JobsSettings, Settings
from clx.workers.executors.spec import WorkerSpec
from clx.workers.supervision.build_workers import passed_by, why_not
from clx.workers.supervision.configured_workers import image_id
from clx.workers.supervision.job_history import cause_words, job_history

DOCKER = {"mode": "docker", "image": "i"}


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "a b" / "jobs.db") as queue:
        yield queue


def test_what_holds_a_job_back_is_told(queue: Queue) -> None:
    queue.set_limit("api", concurrency=1, rate=5, per=60_000)
    for _ in range(2):
        queue.enqueue(NewJob("t", limit="api"))
    queue.claim(["t"], 2)

    assert told(queue, 2)[1:] == ["Waits for its limit api (1 at a time, 5 within 60 s): 1 run, 1 wait."]


def test_a_paused_type_is_told_with_the_command_that_resumes_it(queue: Queue) -> None:
    queue.enqueue(NewJob("t", pool="eu west"))
    queue.pause("t", "eu west")

    story = told(queue, 1)

    assert story[1] == "Waits: jobs of the type t are paused."
    assert story[2].startswith("Let them go on: clx jobs resume t --pool 'eu west' --db-path '")


def test_when_a_job_is_not_wanted_any_more_is_told(queue: Queue) -> None:
    now = now_ms()
    queue.enqueue(NewJob("t", expires=now + 60_000))
    assert told(queue, 1)[1] == "Is cancelled unless it has begun by @."

    at(queue, now + 60_000).rescue()

    (end,) = told(queue, 1)[1:]
    assert re.fullmatch(r"Cancelled @: it had not begun by @ UTC.", end)


def told(queue: Queue, id_: int) -> list[str]:
    """The story, with moments as ``@``."""
    job = queue.get(id_)
    assert job is not None
    told = job_history(queue.database, job, JobsSettings())
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "@", line) for line in told]


def test_a_job_that_waits_names_who_wants_it_why_and_that_nobody_is_there(queue: Queue, tmp_path: Path) -> None:
    batch = BatchTable(queue.database).open("build", host="h", pid=1, identity="x", lease=60_000)
    new = NewJob("notebook", {"why": "a.py changed"}, pool="p", priority=3)
    (id_,) = queue.enqueue_many([new], batch=batch)
    assert told(queue, id_) == [
        f"Queued @ for batch {batch} (build, live); priority 3 because: a.py changed.",
        "Waits for a notebook worker since @: no worker of its pool (p) is alive.",
        f"Start some: clx start-services --db-path '{tmp_path}/a b/jobs.db', or build again.",
    ]


@pytest.mark.parametrize(
    ("type_", "pool", "lines"),
    [
        ("own", "", ["no program that takes it is alive.", "Start the program that does them."]),
        ("notebook", "batch:7", ["only a worker of its build would take it, and there is none.", "Build again."]),
    ],
)
def test_what_to_do_depends_on_who_would_take_it(queue: Queue, type_: str, pool: str, lines: list[str]) -> None:
    found = told(queue, queue.enqueue(NewJob(type_, pool=pool)))
    assert [found[1].partition(": ")[2], found[2]] == lines


def test_workers_that_could_take_it_are_named(queue: Queue) -> None:
    worker = register_this_process(queue.database, "notebook", "p")
    register_this_process(queue.database, "notebook", "other")
    assert told(queue, queue.enqueue(NewJob("notebook", pool="p")))[1] == (
        f"Waits for a notebook worker since @; of its pool there are: #{worker} idle."
    )


def test_a_job_that_needs_others_names_those_that_have_not_succeeded(queue: Queue) -> None:
    first, second = queue.enqueue(NewJob("a")), queue.enqueue(NewJob("b"))
    job = queue.claim(["a"])[0]
    id_ = queue.enqueue(NewJob("c", needs=[first, second]))
    queue.finish(job.id, job.run)
    assert told(queue, id_)[1] == f"Waits for 1 other job(s) to succeed: {second} (queued)."


def test_each_run_tells_how_it_ended(queue: Queue) -> None:
    worker = register_this_process(queue.database, "t", "")
    id_ = at(queue, 0).enqueue(NewJob("t"))
    job = at(queue, 0).claim(["t"], worker=worker)[0]
    stderr = "".join(f"line {number}\n" for number in range(10))
    error = {"message": "no.", "next_step": "Mend it."}
    at(queue, 1500).fail(id_, job.run, error, retry=True, backoff=0, stderr=stderr, peak_memory=3 << 20)
    job = at(queue, 2000).claim(["t"], worker=worker)[0]
    at(queue, 3000).fail(id_, job.run, error)
    lines = told(queue, id_)
    assert lines[1] == f"Run 1 on worker #{worker}: failed: no after 1.5 s, peak memory 3 MiB."
    assert lines[2:10] == [f"    line {number}" for number in range(2, 10)]
    assert lines[10:] == [f"Run 2 on worker #{worker}: failed: no after 1.0 s.", "Failed for good @: no.", "Mend it."]


def test_the_pause_before_another_run_is_told(queue: Queue) -> None:
    id_ = queue.enqueue(NewJob("t", not_before=now_ms() + 60_000))
    assert re.fullmatch(r"Waits [56]\d\.\d s before run 1 as asked for\.", told(queue, id_)[1])


def test_a_job_that_runs_names_its_worker_and_what_is_wrong_with_it(queue: Queue) -> None:
    worker = register_this_process(queue.database, "t", "")
    id_ = queue.enqueue(NewJob("t"))
    job = queue.claim(["t"], worker=worker)[0]
    assert re.fullmatch(rf"Run 1 on worker #{worker} goes on for \d\.\d s\.", told(queue, id_)[1])
    queue.cancel([id_])
    assert told(queue, id_)[2] == "Somebody asked for it to be cancelled; its worker has not answered yet."
    queue.end_cancelled(id_, job.run)
    assert told(queue, id_)[-1] == "Cancelled @."


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ({"kind": "signal", "signal": "SIGKILL"}, "its worker was killed by SIGKILL"),
        (
            {"kind": "signal", "signal": "SIGKILL", "memory": True},
            "its worker was killed by SIGKILL, probably because memory ran out",
        ),
        ({"kind": "exit", "code": 3}, "its worker ended with exit code 3"),
        ({"kind": "oom"}, "its worker ran out of memory and was killed"),
        ({"kind": "silent"}, "its worker was silent until the lease ended"),
        ({"kind": "gone"}, "its worker's process was gone"),
        ({"kind": "new"}, "its worker was lost"),
        (None, "its worker was lost"),
    ],
)
def test_how_the_worker_of_a_rescued_job_ended(cause: dict[str, Any] | None, words: str) -> None:
    assert cause_words(cause) == words


# -- why not ----------------------------------------------------------------------------------------


def spec(**changes: Any) -> WorkerSpec:
    """One wanted worker with all that the tests do not care about."""
    facts = {"type": "t", "count": 1, "pool": "p", "config_source": "default", "mode": "direct", "image": None}
    return WorkerSpec(**{**facts, "settings": Settings(), **changes})


def worker(heard: int | None = None, **changes: Any) -> WorkerRow:
    with Queue.open("memory:") as queue:
        told: dict[str, Any] = {"type": "t", "pool": "p", "mode": "direct", "host": "elsewhere", "version": __version__}
        table = at(WorkerTable(queue.database), now_ms() if heard is None else heard)
        row = table.get(table.register(**{**told, "pid": 1, "identity": "elsewhere", **changes}))
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("changes", "need", "why"),
    [
        ({}, {"pool": "batch:3"}, "the build wants new ones (--force-new-workers)"),
        (DOCKER, {}, "it runs in docker mode, the build wants direct"),
        (DOCKER, {"mode": "docker", "image": "j"}, "its image is i, the build wants j"),
        ({"version": "0"}, {}, f"it is of version 0, the build of {__version__}"),
        ({"pool": "q"}, {}, "its tools or packages are other ones"),
        (
            {"pool": "q", "mode": "docker", "image": "i"},
            {"mode": "docker", "image": "i"},
            "its image has been made anew",
        ),
        ({"heard": 1}, {}, "it is silent"),
        ({}, {}, "it is idle"),
    ],
)
def test_a_worker_that_would_not_take_the_jobs_says_why(
    changes: dict[str, Any], need: dict[str, Any], why: str
) -> None:
    assert why_not(worker(**changes), spec(**need), JobsSettings(), now_ms()).startswith(why)


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({"service": "s", "pool": "q"}, True),
        ({"service": "s"}, False),
        ({"pool": "q"}, False),
        ({"service": "s", "pool": "q", "type": "u"}, False),
        ({"service": "s", "pool": "q", "mode": "docker", "image": "i"}, False),
    ],
)
def test_services_that_were_started_for_such_builds_are_told_of_when_they_are_passed_by(
    changes: dict[str, Any], is_told: bool
) -> None:
    row = worker(**changes)
    found = passed_by([row], [spec()], JobsSettings(), Path("/a b/jobs.db"))
    assert bool(found) is is_told
    if is_told:
        assert found == (
            f"Running services are not used: #{row.id} (t): its tools or packages are other ones. For new ones type: "
            "clx stop-services --db-path '/a b/jobs.db' && clx start-services --db-path '/a b/jobs.db'"
        )


@pytest.mark.parametrize(
    ("need", "source"),
    [
        (spec(), "default"),
        (spec(config_source="c.toml:3"), "c.toml:3"),
        (spec(mode_source="c.toml:1"), "c.toml:1"),
        (spec(config_source="a", mode="docker", image="i", mode_source="b", image_source="a"), "a, b"),
        (spec(mode="docker", image="i", mode_source="b", image_source="c"), "b, c"),
    ],
)
def test_where_workers_were_set_is_told_once_for_each_place(need: WorkerSpec, source: str) -> None:
    assert need.source == source


def test_only_a_container_has_an_image() -> None:
    assert image_id("direct", {"image": "x"}) is None
