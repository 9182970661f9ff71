"""``clx status`` and ``clx jobs``: the state at one glance, and the story of every job."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from typing import Literal

import pytest
from tests.support.scene import PATIENCE, Scene, until

from clx.db.consumer import Consumer
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue

START = ("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")


def test_status_counts_workers_queue_and_times(scene: Scene) -> None:
    """REQ-8.4: active workers per type, queue depth per type, mean processing time."""
    scene.decks("one")
    scene.clx(*START)
    scene.build()
    pool = scene.workers()[0].pool
    for number in range(3):
        scene.enqueue(pool, source=f"import time; time.sleep(60) # {number}")
    until(scene.running)
    found = scene.json("status")
    assert found["state"] == "working"
    assert found["workers"]["notebook"]["busy"] == 1
    queue = found["queue"]["notebook"]
    assert (queue["queued"], queue["running"], queue["succeeded"], queue["failed"]) == (2, 1, 2, 0)
    assert 0 < queue["mean_seconds"] < 20
    assert queue["seconds_left"] > 0
    assert found["services"] == {"supervisor": "running", "wanted": {"notebook": 1}}
    assert found["warnings"] == []
    scene.clx("stop-services", "--timeout", "0")
    found = scene.json("status")
    assert (found["state"], found["workers"]["notebook"]["busy"]) == ("waiting", 0)
    assert "3 notebook job(s) wait and no worker takes them" in found["warnings"][0]


def test_status_shows_live_builds_and_follows(scene: Scene) -> None:
    """REQ-8.4: one document per line until interrupted."""
    scene.decks("one", cell="import time; time.sleep(60)")
    build = scene.begin("build", "course.yaml")
    until(scene.running)
    follower = scene.begin("status", "--follow", "--format", "json")
    assert follower.stdout is not None
    lines = [json.loads(follower.stdout.readline()) for _ in range(2)]
    follower.send_signal(signal.SIGINT)
    assert follower.wait(PATIENCE) == 130
    assert lines[0]["batches"][0]["name"] == "build course.yaml"
    assert lines[0]["batches"][0]["jobs"]["running"] == 1
    build.send_signal(signal.SIGINT)
    assert build.wait(PATIENCE) == 130


def test_status_of_a_broken_database_is_an_error(scene: Scene) -> None:
    """What cannot be read is never shown as zero."""
    scene.course.write(".clx/jobs.db", "this is no database, whatever its name is" * 100)
    failed = scene.clx("status", code=4)
    assert "Not a usable CLX database" in failed.stderr
    assert failed.stdout == ""


def test_story_of_a_job_that_failed(scene: Scene) -> None:
    """`show` says who wanted it, every run, and why it failed; `retry` gives it another chance."""
    scene.decks("one", cell="1 / 0")
    scene.build(code=1)
    [failed] = scene.json("jobs", "list", "--state", "failed")["jobs"]
    told = scene.clx("jobs", "show", str(failed["id"])).stdout
    assert "for batch 1 (build course.yaml, done); priority 3 because: new: it has no result yet." in told
    assert "Run 1 on worker #1: failed: ZeroDivisionError: division by zero" in told
    assert "Failed for good" in told
    assert "Traceback" not in told
    assert f"1 job(s) queued again: {failed['id']}" in scene.clx("jobs", "retry", str(failed["id"])).stdout
    assert " 0/3 " in scene.clx("jobs", "list", "--state", "queued").stdout, "the runs before do not count"
    waits = scene.clx("jobs", "show", str(failed["id"])).stdout
    assert "Waits for a notebook worker since" in waits
    assert "no worker of its pool" in waits
    assert f"clx start-services --db-path {scene.database}" in waits
    assert "1 job(s) cancelled" in scene.clx("jobs", "cancel", str(failed["id"])).stdout
    told = scene.clx("jobs", "cancel", "1", "2", str(failed["id"])).stdout
    assert "0 job(s) cancelled." in told
    assert "Job 1 was over already: it succeeded." in told
    assert f"Job {failed['id']} was cancelled already." in told
    document = scene.json("jobs", "show", str(failed["id"]))
    assert [run["outcome"] for run in document["runs"]] == ["failed"]


def test_retry_tells_what_was_done_with_each_job(scene: Scene) -> None:
    """What waits already is not counted as queued again; what succeeded is refused, and nothing is changed then."""
    scene.decks("one", cell="1 / 0")
    scene.build(code=1)
    [failed] = [job.id for job in scene.jobs("failed")]
    [done] = [job.id for job in scene.jobs("succeeded")]
    refused = scene.clx("jobs", "retry", str(failed), str(done), code=2)
    assert f"Job {done} succeeded: there is nothing to try again." in refused.stderr
    assert [job.id for job in scene.jobs("failed")] == [failed]
    assert "1 job(s) queued again" in scene.clx("jobs", "retry", str(failed)).stdout
    again = scene.clx("jobs", "retry", str(failed)).stdout
    assert "0 job(s) queued again." in again
    assert f"Job {failed} was queued already." in again


def test_retry_queues_the_newest_of_those_that_ask_the_same(scene: Scene) -> None:
    """A deck that failed in two builds left two jobs with one key; one live job of a key is all there can be."""
    scene.decks("one", "two", cell="1 / 0")
    scene.build(code=1)
    scene.build(code=1)
    failed = scene.jobs("failed")
    newest = {job.key: job.id for job in sorted(failed, key=lambda job: job.id)}
    assert (len(failed), len(newest)) == (4, 2)
    told = scene.clx("jobs", "retry", "--failed").stdout
    assert "2 job(s) queued again" in told
    assert sorted(job.id for job in scene.jobs("queued")) == sorted(newest.values())
    left = [job for job in failed if job.id != newest[job.key]]
    for job in left:
        assert f"Job {job.id} asks the same question as job {newest[job.key]}." in told
    one, other = sorted(left, key=lambda job: job.id)
    scene.clx("jobs", "cancel", str(newest[other.key]))
    told = scene.clx("jobs", "retry", str(one.id), str(other.id)).stdout
    assert f"1 job(s) queued again: {other.id}." in told
    assert f"Job {one.id} asks the same question as job {newest[one.key]}, which waits already." in told


def test_waiting_is_told_since_the_job_became_queued_again(scene: Scene) -> None:
    """Not since it was made: after a retry, and after a worker handed it back."""
    scene.decks("one", cell="1 / 0")
    scene.build(code=1)
    [failed] = scene.jobs("failed")
    with scene.open() as database:
        database.write(
            "age", lambda connection: connection.execute("UPDATE jobs SET created_at = created_at - 86400000")
        )
        database.write("age", lambda connection: connection.execute("UPDATE runs SET ended_at = ended_at - 7200000"))
    before = int(time.time())
    scene.clx("jobs", "retry", str(failed.id))
    assert before <= waits_since(scene, failed.id) <= time.time()
    scene.clx(*START)
    pool = scene.workers()[0].pool
    job = scene.enqueue(pool, source="import time; time.sleep(60)")
    until(lambda: [each for each in scene.jobs("running") if each.id == job])
    with scene.open() as database:
        database.write(
            "age", lambda connection: connection.execute("UPDATE jobs SET created_at = created_at - 86400000")
        )
    before = int(time.time())
    scene.clx("stop-services", "--timeout", "0")
    assert before <= waits_since(scene, job) <= time.time()
    told = scene.clx("jobs", "show", str(job)).stdout
    assert f"no worker of its pool ({pool}) is alive" in told


def waits_since(scene: Scene, job: int) -> float:
    """The moment that `show` names, in seconds."""
    told = scene.clx("jobs", "show", str(job)).stdout
    moment = told.partition("Waits for a notebook worker since ")[2][: len("2026-01-01 00:00:00")]
    return datetime.strptime(moment, "%Y-%m-%d %H:%M:%S").timestamp()  # noqa: DTZ007  (local, as it is shown)


def test_story_of_a_job_that_waits_for_others(scene: Scene) -> None:
    """A job that needs others names them, not a worker."""
    scene.state.mkdir(exist_ok=True)
    with scene.open() as database:
        queue = Queue(database)
        first = queue.enqueue(NewJob("notebook"))
        second = queue.enqueue(NewJob("notebook", needs=[first]))
    assert f"Waits for 1 other job(s) to succeed: {first} (queued)." in scene.clx("jobs", "show", str(second)).stdout
    assert "2 job(s) cancelled: 1, 2." in scene.clx("jobs", "cancel", "1", "2").stdout


def test_story_of_a_job_that_waits_for_a_program(scene: Scene) -> None:
    """A program that takes jobs of several types, of its own pool or of none, is a worker as any other."""
    scene.state.mkdir(exist_ok=True)
    with scene.open() as database:
        queue = Queue(database)
        jobs = {pool: queue.enqueue(NewJob("resize", pool=pool)) for pool in ("", "gpu")}
        none = {"": "no program that takes it is alive", "gpu": "no worker of its pool (gpu) is alive"}
        for pool, job in jobs.items():
            assert f"{none[pool]}." in scene.clx("jobs", "show", str(job)).stdout
        for pool, there in {"": "there are", "gpu": "of its pool there are"}.items():
            consumer = Consumer(queue, {"mail": print, "resize": print}, pool=pool)
            assert f"; {there}: #{consumer.worker} idle." in scene.clx("jobs", "show", str(jobs[pool])).stdout


def test_batch_of_a_killed_build_is_abandoned(scene: Scene) -> None:
    """REQ-8.4: `status` and `show` only read, and judge by the owner; nobody has to sweep first."""
    scene.decks("one", cell="import time; time.sleep(60)")
    build = scene.begin("build", "course.yaml")
    job = until(scene.running)
    [batch] = scene.json("status")["batches"]
    assert (batch["state"], batch["reason"]) == ("live", "")
    build.kill()
    build.wait()
    [batch] = scene.json("status")["batches"]
    assert (batch["state"], batch["reason"]) == ("abandoned", "its process is gone")
    assert "abandoned, its process is gone; " in scene.clx("status").stdout
    assert "(build course.yaml, abandoned)" in scene.clx("jobs", "show", str(job.id)).stdout
    until(lambda: scene.processes() == [])
    assert scene.json("status")["state"] == "waiting"


def test_story_of_a_job_that_waits_and_one_that_runs(scene: Scene) -> None:
    """For which worker type, since when, and what those workers do instead."""
    scene.clx(*START)
    pool = scene.workers()[0].pool
    first = scene.enqueue(pool, source="import time; time.sleep(60)")
    until(scene.running)
    second = scene.enqueue(pool, source="print(2)")
    assert "of its pool there are: #1 busy." in scene.clx("jobs", "show", str(second)).stdout
    assert "Run 1 on worker #1 goes on for" in scene.clx("jobs", "show", str(first)).stdout
    assert f"Job {first} runs; worker #1 is told to stop it." in scene.clx("jobs", "cancel", str(first)).stdout
    until(lambda: not any(job.is_live for job in scene.jobs()))
    assert {job.id: job.state for job in scene.jobs()} == {first: "cancelled", second: "succeeded"}
    scene.clx("stop-services")


def test_job_over_its_time_is_killed_and_told(scene: Scene) -> None:
    """The cause is in the story, nobody waits for the next heartbeat; the worker is replaced."""
    scene.settings("[jobs]\nlease = 600\nheartbeat = 300\n")
    scene.clx(*START)
    job = scene.enqueue(scene.workers()[0].pool, source="import time; time.sleep(600)", timeout=700)
    until(lambda: scene.jobs("failed"))
    assert "it ran longer than 0.7 seconds" in scene.clx("jobs", "show", str(job)).stdout
    until(scene.workers)
    scene.clx("stop-services")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs", "show", "7"], "There is no job 7."),
        (["jobs", "retry"], "No job was named."),
        (["jobs", "cancel"], "No job was named."),
        (["jobs", "retry", "7"], "There is no job 7."),
        (["jobs", "list", "--limit", "0"], "--limit"),
        (["workers", "logs", "7"], "There is no worker #7."),
        (["workers", "stop", "7"], "There is no worker #7."),
        (["start-services", "--worker-count", "0"], "nothing to start"),
        (["start-services", "--workers", "podman"], "podman"),
        (["stop-services", "--timeout", "-1"], "--timeout"),
        (["config", "set", "workers.notebook.cout", "1"], 'Did you mean "workers.notebook.count"?'),
        (["config", "set", "workers.notebook.count", "many"], "a whole number from 0 to 256"),
        (["config", "show", "workers.count"], "is not a setting"),
        (["build", "nothing.yaml", "--watch", "--dry-run"], "do not go together"),
    ],
)
def test_user_errors_name_the_fact(scene: Scene, arguments: list[str], words: str) -> None:
    """Exit code 2, no traceback."""
    assert words in scene.clx(*arguments, code=2).stderr


COMMANDS = [
    ["start-services"], ["stop-services"], ["status"],
    ["workers"], ["workers", "list"], ["workers", "cleanup"], ["workers", "stop"], ["workers", "logs"],
    ["jobs"], ["jobs", "list"], ["jobs", "show"], ["jobs", "retry"], ["jobs", "cancel"],
    ["config"], ["config", "show"], ["config", "path"], ["config", "init"], ["config", "set"], ["config", "check"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_ends_in_examples(scene: Scene, command: list[str]) -> None:
    """Every command shows how it is used."""
    text = scene.clx(*command, "--help").stdout
    assert f"  clx {' '.join(command)}" in text.split("Examples:")[1]


def test_locked_database_is_waited_for_and_then_explained(scene: Scene) -> None:
    """REQ-7.3: path, owner, mode, free space and who holds it; exit code 4, without a traceback."""
    import os

    scene.decks("one")
    scene.build()
    scene.settings("[database]\nbusy_timeout = 0.1\n")
    with scene.open() as database:
        connection = database.connection()
        connection.execute("BEGIN IMMEDIATE")
        failed = scene.clx("jobs", "cancel", "1", code=4)
        connection.execute("ROLLBACK")
    for words in (
        f"stayed locked: {scene.database}",
        f"owner {os.getuid()}:",
        "mode -rw",
        "MiB free",
        f"{os.getpid()} (",
    ):
        assert words in failed.stderr
    scene.clx("jobs", "cancel", "1")


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_only_who_holds_the_lock_is_named(scene: Scene, journal: Literal["wal", "delete"]) -> None:
    """Of several that have the database open: somebody may end the process that is named (REQ-7.3)."""
    scene.state.mkdir(exist_ok=True)
    Database.open(scene.database, journal_mode=journal).close()
    scene.settings("[database]\nbusy_timeout = 0.1\n")
    scene.clx("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")
    holds = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE')"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{holds}; print('held', flush=True); sys.stdin.read()", str(scene.database)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        failed = scene.clx("stop-services", code=4)
        assert f"held by process {holder.pid} ({sys.executable} -c " in failed.stderr
        assert str(scene.supervisor()) not in failed.stderr
        holder.kill()
    scene.clx("stop-services")


def test_locked_database_is_waited_for(scene: Scene) -> None:
    """REQ-7.3: retried with growing pauses while somebody else writes."""
    scene.decks("one")
    scene.build()
    scene.settings("[database]\nbusy_timeout = 2\n")  # for four times as long, and pauses, it is tried
    with scene.open() as database:
        connection = database.connection()
        connection.execute("BEGIN IMMEDIATE")
        command = scene.begin("jobs", "cancel", "1")
        with pytest.raises(Exception, match="timed out"):
            command.wait(3)
        connection.execute("ROLLBACK")
    assert command.wait(PATIENCE) == 0


def test_database_that_may_not_be_written(scene: Scene) -> None:
    """REQ-7.3: the fact, and what to do."""
    failed = scene.clx(*START, "--db-path", "/proc/clx/jobs.db", code=4)
    assert "--db-path" in failed.stderr


def test_status_of_a_queue_that_builds_no_courses(scene: Scene) -> None:
    """Nobody is told to start services for jobs of somebody's own program; a batch with a callback has no owner."""
    scene.state.mkdir(exist_ok=True)
    with Queue.open(scene.state / "jobs.db") as queue:
        queue.enqueue_batch([NewJob("resize")], NewJob("mail"))
    said = scene.clx("status").stdout
    assert "1 resize job(s) wait and no worker takes them. Start the program that does them." in said
    assert "Batch 1: 1 queued" in said
    assert "Start the program that does them." in scene.clx("jobs", "show", "1").stdout
