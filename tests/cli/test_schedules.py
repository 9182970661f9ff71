"""``clx schedules``: the real commands, what they print, and the page that documents them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.serving import listening

from clx import NewJob, Queue, Schedule
from clx.cli.schedules import command
from clx.db.clock import now_ms
from clx.remote.connection import Connection

_PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
NIGHTLY = ("add", "nightly", "0 6 * * *", "--type", "report", "--zone", "Europe/Berlin")


def clx(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clx", "schedules", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def document(*arguments: str, cwd: Path) -> Any:
    return json.loads(clx(*arguments, "--format", "json", cwd=cwd).stdout)


def test_from_adding_to_removing(tmp_path: Path) -> None:
    added = clx(*NIGHTLY, "--payload", '{"to": "me"}', cwd=tmp_path).stdout
    assert re.fullmatch(r"nightly fires next at \d{4}-\d\d-\d\d 06:00\+0[12]:00 \(Europe/Berlin\)\.\n", added)
    listed = clx("list", cwd=tmp_path).stdout
    assert re.search(r"^nightly +0 6 \* \* \* +Europe/Berlin +report +\S+ 06:00\+0[12]:00 +–$", listed, re.MULTILINE)

    assert clx("run", "nightly", cwd=tmp_path).stdout == "Job 1 was queued.\n"
    refused = clx("run", "nightly", cwd=tmp_path, code=2).stderr
    assert refused == "Error: Job 1 of this schedule waits still.\nCancel it: clx jobs cancel 1\n"
    filled = clx("backfill", "nightly", "2026-01-01", "2026-01-03", "--at-most", "2", cwd=tmp_path).stdout
    assert filled == (
        "2 job(s) queued: 2026-01-01 06:00+01:00 to 2026-01-02 06:00+01:00.\n"
        "1 time(s) left: type the same again with --only-missing.\n"
    )
    shown = clx("show", "nightly", cwd=tmp_path).stdout
    assert 'Queues: report {"to": "me"}' in shown
    assert "Overlap: skip. Catch-up: last, within 7 days." in shown
    assert re.search(r"^2026-01-01 06:00:00\+01:00 +queued +job 2 queued$", shown, re.MULTILINE)

    assert "is paused" in clx("pause", "nightly", cwd=tmp_path).stdout
    assert " paused " in clx("list", cwd=tmp_path).stdout
    assert "fires next" in clx("resume", "nightly", cwd=tmp_path).stdout
    assert clx("remove", "nightly", cwd=tmp_path).stdout == "nightly was removed.\n"
    assert clx("list", cwd=tmp_path).stdout == "No schedules.\n"
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        dates = [job.payload["schedule"]["data_date"] for job in queue.search()]
    assert dates[:2] == ["2026-01-02", "2026-01-01"]


def test_every_option_arrives(tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text('{"n": 1}')
    (tmp_path / ".clx").mkdir()
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        queue.set_limit("reports", concurrency=2)
    clx(
        "add", "x", "@hourly", "--type", "t", "--payload", "@payload.json", "--catch-up", "all", "--window", "0.5",
        "--ends", "2090-12-31", "--pool", "p", "--priority", "5", "--max-runs", "1", "--timeout", "1.5",
        "--key", "k", "--limit", "reports", "--paused", cwd=tmp_path,
    )  # fmt: skip
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        found: Schedule = queue.schedules.get("x")
    job = found.job
    assert (found.cron, found.zone, found.overlap, found.catch_up, found.window) == (
        "@hourly", "UTC", "queue", "all", 43_200_000,
    )  # fmt: skip
    assert (found.ends_at, found.paused) == (3_818_447_999_999, True)
    assert (job.type, job.payload, job.pool, job.priority, job.max_runs, job.timeout, job.key) == (
        "t", {"n": 1}, "p", 5, 1, 1500, "k",
    )  # fmt: skip


def test_what_was_missed_and_what_is_due_is_told(tmp_path: Path) -> None:
    clx(*NIGHTLY, cwd=tmp_path)
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        day = 86_400_000
        past = (queue.schedules.get("nightly").next_at or 0) - 3 * day
        queue.database.write("late", lambda tx: tx.execute("UPDATE schedules SET next_at = ?", (past,)))
        assert "is due since" in clx("show", "nightly", cwd=tmp_path).stdout
        assert " due 2" in clx("list", cwd=tmp_path).stdout
        queue.schedules.fire_due()
    shown = clx("show", "nightly", cwd=tmp_path).stdout
    assert re.search(r"06:00:00\+0[12]:00 +missed +–$", shown, re.MULTILINE)
    assert "of its times were missed: nobody was there. `clx schedules backfill` queues them." in shown


def test_one_whose_job_cannot_go_in_says_why(tmp_path: Path) -> None:
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        queue.set_limit("two", concurrency=2)
        queue.schedules.add(Schedule("n", "@hourly", NewJob("t", limit="two")))
        late = (now_ms() - 5000,)
        queue.database.write("late", lambda tx: tx.execute("UPDATE schedules SET next_at = ?", late))
        queue.database.write("gone", lambda tx: tx.execute("DELETE FROM limits"))
        queue.schedules.fire_due()
    shown = clx("show", "n", cwd=tmp_path).stdout
    assert shown.startswith("n cannot queue its job: There is no limit 'two'. Set it first: clx limits set two ")
    assert "1 of its times were missed: nobody was there, or its job could not go in." in shown
    assert document("show", "n", cwd=tmp_path)["refusal"] == "There is no limit 'two'."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "n", "0 25 * * *", "--type", "t"], ["bad hour", "Write minute, hour"]),
        (["add", "n", "@daly", "--type", "t"], ['Did you mean "@daily"?']),
        (["add", "n", "@daily", "--type", "t", "--zone", "Europe/Berlni"], ['Did you mean "Europe/Berlin"?']),
        (["add", "n", "@daily", "--type", "t", "--overlap", "quue"], ["--overlap", "queue"]),
        (["add", "n", "@daily", "--type", "t", "--catch-up", "all", "--overlap", "skip"], ["do not go together"]),
        (["add", "n", "@daily", "--type", "t", "--payload", "{"], ["The payload is no JSON", "Write"]),
        (["add", "n", "@daily", "--type", "t", "--payload", "[]"], ["no JSON object"]),
        (["add", "n", "@daily", "--type", "t", "--payload", "@none.json"], ["none.json cannot be read"]),
        (["add", "n", "@daily", "--type", "t", "--ends", "soon"], ['"soon" is no date', "Write 2026-11-30"]),
        (["add", "n", "@daily", "--type", "t", "--ends", "2020-01-01"], ["would never fire"]),
        (["add", "n", "@daily", "--type", "t", "--window", "nan"], ["Invalid value for '--window'"]),
        (["add", "nightly", "@daily", "--type", "t"], ['a schedule "nightly" already', "replace=True"]),
        (["add", "a b", "@daily", "--type", "t"], ["cannot be called 'a b'"]),
        (["show", "nightli"], ['There is no schedule "nightli"', 'Did you mean "nightly"?']),
        (["backfill", "nightly", "2026-02-01", "2026-01-01"], ["is later", "backfill nightly 2026-01-01 2026-02-01"]),
        (["backfill", "nightly", "2026-01-01", "x"], ['"x" is no date']),
        (["backfill", "nightly", "0001-01-01", "9999-12-31"], []),
    ],
)  # fmt: skip
def test_refusals_say_what_to_type(tmp_path: Path, arguments: list[str], said: list[str]) -> None:
    clx(*NIGHTLY, cwd=tmp_path)
    failed = clx(*arguments, cwd=tmp_path, code=2 if said else 0)
    for each in said:
        assert each in failed.stderr


def test_every_document_is_on_the_page(tmp_path: Path) -> None:
    def keys(name: str) -> set[str]:
        [row] = [line for line in _PAGE.splitlines() if line.startswith("| `clx") and f"`clx schedules {name} " in line]
        return set(re.findall(r"`([a-z_]+)`", row.split(" | ")[-1]))

    added = document(*NIGHTLY, cwd=tmp_path)
    fire = document("run", "nightly", cwd=tmp_path)
    assert set(added) | set(fire) | {"queued", "skipped", "missed"} == keys("add")
    assert set(document("show", "nightly", cwd=tmp_path)) - set(added) == keys("show")
    assert set(document("pause", "nightly", cwd=tmp_path)) == set(added)
    assert set(document("resume", "nightly", cwd=tmp_path)) == set(added)
    assert set(document("backfill", "nightly", "2026-01-01", "2026-01-01", cwd=tmp_path)) | {"last"} == keys("backfill")
    assert document("list", cwd=tmp_path)["schedules"][0]["name"] == "nightly"
    assert set(document("remove", "nightly", cwd=tmp_path)) == keys("remove")


def test_documents_are_those_of_the_interface(tmp_path: Path) -> None:
    """The same fields, the same units."""
    clx(*NIGHTLY, "--timeout", "1.5", "--ends", "2090-12-31", cwd=tmp_path)
    clx("run", "nightly", cwd=tmp_path)
    (fire,) = document("show", "nightly", cwd=tmp_path)["fires"]
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue, listening(queue) as served:
        call = Connection(served.url, served.secrets["read"]).call
        (there,) = call("GET", "/schedules", dict[str, Any])["schedules"]
        (fired,) = call("GET", "/schedules/fires", dict[str, Any], query={"name": "nightly"})["fires"]
    (here,) = document("list", cwd=tmp_path)["schedules"]
    assert (here, fire) == (there, fired)
    assert here["last"] == fired
    assert (here["job"]["timeout"], here["window"], here["ends_at"]) == (
        1500,
        7 * 86_400_000,
        3_818_444_399_999,
    )
    assert datetime.fromisoformat(here["next"]).timestamp() * 1000 == here["next_at"]


def test_every_command_and_option_is_on_the_page() -> None:
    assert set(re.findall(r"clx schedules\s+([a-z]+)", _PAGE)) == set(command.commands)
    options = {option for each in command.commands.values() for param in each.params for option in param.opts}
    shared = {"--db", "--db-path", "-v", "--verbose", "--type", "--format", "--limit", "-h", "--help"}
    assert {each for each in options if each.startswith("--")} - shared <= set(re.findall(r"--[a-z-]+", _PAGE))
