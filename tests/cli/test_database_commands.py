"""``clx db``, ``clx cache``, ``clx doctor --db``, ``clx selftest``, ``clx bench``: the real commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.clock import at
from tests.support.postgresql import Server

from clx.artifacts.store import ArtifactStore
from clx.cli.db import _pruned
from clx.db.batches import BatchTable
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.retention import Pruned
from clx.workers.supervision.pruning import DailyPruning, PruneReport, named_digests, prune_if_due


def _clx(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clx", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one finished job and its artifact."""
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        digest = ArtifactStore(queue.database.state.path / "artifacts").put_bytes(b"output")
        queue.enqueue(NewJob("t", key="k"))
        job = queue.claim(["t"])[0]
        queue.finish(job.id, job.run, {"outputs": [["out.html", digest, 6]], "warnings": [], "facts": {}})
    return tmp_path


def test_path_tells_where_the_job_table_is(project: Path) -> None:
    (project / "sub").mkdir()
    assert _clx("db", "path", cwd=project / "sub").stdout == f"{project}/.clx/jobs.db\n"
    assert _clx("db", "path", "--db-path", "x.db", cwd=project).stdout == f"{project}/x.db\n"


@pytest.mark.parametrize("command", [["db", "check"], ["db", "backup", "b.db"], ["db", "prune"]])
def test_without_a_database_there_is_a_next_step_and_nothing_is_made(command: list[str], tmp_path: Path) -> None:
    done = _clx(*command, cwd=tmp_path)

    assert done.returncode == 4
    assert "There is no database" in done.stderr
    assert "--db-path" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_is_silent_about_health_and_names_what_is_wrong(project: Path) -> None:
    done = _clx("db", "check", cwd=project)
    assert (done.returncode, done.stdout) == (0, f"{project}/.clx/jobs.db: ok\n")

    with Database.open(project / ".clx" / "jobs.db") as database:
        database.write("break", lambda connection: connection.execute("DELETE FROM runs"))
    done = _clx("db", "check", cwd=project)
    assert done.returncode == 4
    assert "a succeeded job's last run did not succeed: 1" in done.stderr


def test_check_notices_missing_artifacts(project: Path) -> None:
    store = ArtifactStore(project / ".clx" / "artifacts")
    store.path(next(iter(store.digests()))).unlink()

    assert "1 artifacts that results name are missing" in _clx("db", "check", cwd=project).stderr


def test_backup_makes_a_whole_copy_and_never_overwrites(project: Path) -> None:
    assert _clx("db", "backup", "copy.db", cwd=project).returncode == 0
    with Queue.open(project / "copy.db", readonly=True) as copy:
        assert copy.stats() == {"t": {"succeeded": 1}}

    done = _clx("db", "backup", "copy.db", cwd=project)
    assert (done.returncode, "is there already" in done.stderr) == (2, True)


def test_prune_says_what_went_and_keeps_what_is_named(project: Path) -> None:
    store = ArtifactStore(project / ".clx" / "artifacts")
    named = next(iter(store.digests()))
    unnamed = store.put_bytes(b"nobody names me")
    for digest in (named, unnamed):
        os.utime(store.path(digest), (0, 0))

    done = _clx("db", "prune", cwd=project)

    assert "1 artifacts" in done.stdout
    assert list(store.digests()) == [named]


def test_prune_ends_batches_whose_build_is_gone(project: Path) -> None:
    with Queue.open(project / ".clx" / "jobs.db") as queue:
        batch = at(BatchTable(queue.database), 0).open("b", host="h", pid=1, identity="i", lease=1)
        queue.enqueue_many([NewJob("u")], batch=batch)

        assert "Ended 1 batch(es) whose build is gone." in _clx("db", "prune", cwd=project).stdout

        assert queue.stats()["u"] == {"cancelled": 1}
        assert json.loads(_clx("status", "--format", "json", cwd=project).stdout)["batches"] == []


def test_pruning_everything_lets_artifacts_go_one_time_later(project: Path) -> None:
    """A build that has just looked a result up still finds its artifacts."""
    store = ArtifactStore(project / ".clx" / "artifacts")
    os.utime(store.path(next(iter(store.digests()))), (0, 0))
    time.sleep(0.01)  # results of this very millisecond are not older than zero days

    assert (
        "1 results, 0 fires of schedules, 0 pipelines; 0 artifacts"
        in _clx("cache", "prune", "--days", "0", "--vacuum", cwd=project).stdout
    )
    assert (
        "0 results, 0 fires of schedules, 0 pipelines; 1 artifacts"
        in _clx("cache", "prune", "--days", "0", cwd=project).stdout
    )


def test_builds_prune_once_a_day(project: Path) -> None:
    with Database.open(project / ".clx" / "jobs.db") as database:
        assert len(named_digests(database)) == 1
        assert prune_if_due(database) is not None
        assert prune_if_due(database) is None
        os.utime(project / ".clx" / "pruned", (0, 0))
        assert prune_if_due(database) is not None


def test_services_prune_once_a_day_unless_they_are_not_to(project: Path) -> None:
    mark = project / ".clx" / "pruned"
    with Database.open(project / ".clx" / "jobs.db") as database:
        unwanted, keeper = DailyPruning(database, wanted=False), DailyPruning(database, wanted=True)
        unwanted._look_at = 0.0
        unwanted.look()
        keeper.look()  # services have just begun
        assert not mark.exists()

        keeper._look_at = 0.0
        keeper.look()
        keeper.end(60)
        assert mark.exists()
        mark.unlink()
        keeper.look()  # it has just looked
        keeper.end(60)
        assert not mark.exists()


@pytest.mark.parametrize(("freed", "said"), [(1 << 20, "1.0 MiB smaller"), (-(1 << 20), "1.0 MiB larger")])
def test_a_database_that_grew_meanwhile_is_not_smaller_by_less_than_nothing(freed: int, said: str) -> None:
    done = PruneReport(Pruned(), 0, 0, 0, 0)
    assert list(_pruned(done, freed))[-1] == f"The database is {said}."


def test_cache_stats(project: Path) -> None:
    found = json.loads(_clx("cache", "stats", "--format", "json", cwd=project).stdout)["cache"]
    assert (found["results"], found["artifacts"], found["artifact_bytes"]) == (1, 1, 6)


def test_doctor_knows_the_ground_the_database_stands_on(project: Path) -> None:
    done = _clx("doctor", "--db", "--format", "json", cwd=project)

    found = {fact["name"]: fact for fact in json.loads(done.stdout)["findings"]}
    assert set(found) == {
        "SQLite", "file system", "free space", "journal mode", "durability", "write-ahead log", "database", "clock",
        "leases", "waking",
    }  # fmt: skip
    assert found["journal mode"]["detail"] == "wal"
    assert found["clock"]["ok"]
    assert (done.returncode == 0) == all(fact["ok"] for fact in found.values())


def test_doctor_notices_a_clock_that_is_wrong(project: Path) -> None:
    with Database.open(project / ".clx" / "jobs.db") as database:
        ahead = int(time.time() * 1000) + 3_600_000
        database.write("skew", lambda connection: connection.execute("UPDATE workers SET heartbeat_at = ?", (ahead,)))

    done = _clx("doctor", "--db", cwd=project)

    assert done.returncode == 4
    assert re.search(r"PROBLEM clock .* ahead of this one", done.stdout)


def test_selftest_storms_and_cleans_up(tmp_path: Path) -> None:
    done = _clx("selftest", "--seconds", "2", "--workers", "2", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+ jobs, \d+ runs, [1-9]\d* workers killed", done.stdout)
    assert "\nlost 0\ndoubled 0\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_selftest_storms_on_a_server_and_cleans_up(server: Server, tmp_path: Path) -> None:
    before = server.execute("SELECT datname FROM pg_database ORDER BY 1")
    done = _clx("selftest", "--seconds", "1", "--workers", "2", "--db", server.url("postgres"), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "\nlost 0\ndoubled 0\n" in done.stdout
    assert server.execute("SELECT datname FROM pg_database ORDER BY 1") == before
    assert list(tmp_path.iterdir()) == []


def test_who_may_make_no_database_is_told_who_can_let_him(server: Server, tmp_path: Path) -> None:
    server.execute("DROP ROLE IF EXISTS modest")
    server.execute("CREATE ROLE modest LOGIN")
    done = _clx("selftest", "--db", server.url("postgres").replace("clx@", "modest@"), cwd=tmp_path)
    assert done.returncode == 4
    assert 'ALTER ROLE "modest" CREATEDB' in done.stderr


def test_bench_measures_a_server_and_cleans_up(tmp_path: Path, postgresql: str) -> None:
    def databases() -> list[tuple[str]]:
        with Queue.open(postgresql) as queue:
            return queue.database.read("SELECT datname FROM pg_database ORDER BY datname")

    before = databases()
    done = _clx("bench", "--db", postgresql, "--scale", "0.03", "--format", "json", cwd=tmp_path)

    numbers = json.loads(done.stdout)["bench"]
    assert len(numbers) == 7
    assert all(number["value"] > 0 for number in numbers)
    assert (list(tmp_path.iterdir()), databases()) == ([], before)
    refused = _clx("bench", "--db", "jobs.db", cwd=tmp_path)
    assert (refused.returncode, "--db names no server." in refused.stderr) == (2, True)


def test_bench_measures_and_cleans_up(tmp_path: Path) -> None:
    done = _clx("bench", "--scale", "0.03", "--format", "json", cwd=tmp_path)

    numbers = json.loads(done.stdout)["bench"]
    assert len(numbers) == 7
    assert all(number["value"] > 0 for number in numbers)
    assert list(tmp_path.iterdir()) == []
