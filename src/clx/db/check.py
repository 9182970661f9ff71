"""What must be true of a job table at every moment, as questions to the file itself.

Each rule is one query that finds the rows that break it; a healthy table answers none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from clx.db.database import Database
from clx.db.odd_rows import WRONGLY_BEHIND, Reader, as_text, rows_of, shown, tables
from clx.db.pipelines.models import SPAWN
from clx.db.statements import PRUNE_TURN
from clx.db.works.models import WORK

_RULES = {
    "a job has not exactly one record per ended run": """
        SELECT j.id FROM jobs j LEFT JOIN (SELECT job_id, count(*) AS n, max(run) AS top FROM runs GROUP BY job_id) r
          ON r.job_id = j.id
        WHERE coalesce(r.n, 0) <> j.run - CASE WHEN j.state = 'running' THEN 1 ELSE 0 END
          OR coalesce(r.top, 0) > j.run""",
    "a succeeded job's last run did not succeed": f"""
        SELECT id FROM jobs j WHERE state = 'succeeded' AND NOT EXISTS
          (SELECT 1 FROM runs r WHERE r.job_id = j.id AND r.run = j.run AND r.outcome = 'succeeded')
          AND j.type <> '{SPAWN}'
          AND NOT EXISTS (SELECT 1 FROM works w WHERE w.job_id = j.id)""",
    "a job succeeded in a run that is not its last": """
        SELECT j.id FROM runs r JOIN jobs j ON j.id = r.job_id
        WHERE r.outcome = 'succeeded' AND (j.state <> 'succeeded' OR r.run <> j.run)
          AND NOT EXISTS (SELECT 1 FROM works w WHERE w.job_id = j.id)""",
    "a work has another status than its job has": f"""
        SELECT w.id FROM works w JOIN jobs j ON j.id = w.job_id WHERE j.type <> '{WORK}' || w.pipeline
          OR w.status <> CASE j.state WHEN 'succeeded' THEN 'success' WHEN 'failed' THEN 'failure' ELSE j.state END""",
    "a step of a pipeline runs, and none of its works waits or runs": """
        SELECT s.id FROM pipeline_steps s WHERE s.status = 'running' AND NOT EXISTS
          (SELECT 1 FROM works w WHERE w.step_id = s.id AND w.status IN ('queued', 'running'))""",
    "a pipeline runs, and none of its steps does": """
        SELECT p.id FROM pipelines p WHERE p.status = 'running' AND NOT EXISTS
          (SELECT 1 FROM pipeline_steps s WHERE s.pipeline_id = p.id AND s.status = 'running')""",
    "a job waits for another number of jobs than it needs": """
        SELECT j.id FROM jobs j WHERE j.state = 'queued' AND j.waits_for <>
          (SELECT count(*) FROM dependencies d JOIN jobs n ON n.id = d.needs_id
           WHERE d.job_id = j.id AND n.state <> 'succeeded') + CASE WHEN j.after_id IS NULL THEN 0 ELSE 1 END""",
    "a job waits behind one that is over or of another key": WRONGLY_BEHIND,
    "a job runs that was never begun": """
        SELECT id FROM jobs WHERE state = 'running' AND started_at IS NULL""",
    "a job waits for one that will never succeed": """
        SELECT j.id FROM jobs j JOIN dependencies d ON d.job_id = j.id JOIN jobs n ON n.id = d.needs_id
        WHERE j.state = 'queued' AND n.state IN ('failed', 'cancelled')""",
    "a batch counts other jobs than those it waits for": """
        SELECT b.id FROM batches b WHERE b.state = 'live' AND b.callback IS NOT NULL AND b.pending <>
          (SELECT count(*) FROM batch_jobs w JOIN jobs j ON j.id = w.job_id
           WHERE w.batch_id = b.id AND j.state IN ('queued', 'running'))""",
    "a job is held back that counts to no limit, or that could be claimed": """
        SELECT id FROM jobs WHERE held <> 0 AND (limit_name IS NULL OR state = 'running'
          OR (state = 'queued' AND (ready = 1 OR waits_for > 0)))""",
    "a job is held back by a limit that is not there": """
        SELECT id FROM jobs WHERE held = 1 AND state = 'queued' AND limit_name NOT IN (SELECT name FROM limits)""",
    "a key is taken for a time by no job": f"""
        SELECT key FROM recent_keys WHERE job_id = 0 AND type <> '{PRUNE_TURN}'""",
    "a job was queued by two times of schedules": """
        SELECT job_id FROM fires WHERE job_id IS NOT NULL GROUP BY job_id HAVING count(*) > 1""",
    "the digest of a token is none": """
        SELECT id FROM tokens WHERE length(digest) <> 64""",
    "a job is held by a worker that is not in the table": """
        SELECT id FROM jobs WHERE state = 'running' AND worker_id NOT IN (SELECT id FROM workers)""",
}
_SHOWN = 5


def check(database: Database) -> list[str]:
    """Every broken rule in words, the file's own structure first; empty when all is well.

    Raises:
        DatabaseCorruptError: the file is too damaged to be asked.
    """
    problems = database.faults()
    # SQLite's own check says nothing of broken rules where the file is only read
    found = database.look(_odd_rows) | database.look(_broken_checks)
    problems += [f"another program wrote {what}: {_few(rows)}" for what, rows in found.items()]
    for rule, query in _RULES.items():
        rows = [as_text(row[0]) for row in database.read(query)]
        if rows:
            problems.append(f"{rule}: {_few(rows)}")
    return problems


def _few(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{', '.join(rows[:_SHOWN])}{more}"


def _odd_rows(connection: Any) -> dict[str, list[str]]:
    """Rows that no queue would write: what is odd → each row with the value."""
    found: dict[str, list[str]] = {}
    for table in tables():
        reader = _reader(table)
        for row in rows_of(connection, table):
            for column, why in reader.judge(row).items():
                found.setdefault(f"what cannot be in {table}.{column}", []).append(f"{_name(table, row)} {why}")
    return found


@cache
def _reader(table: str) -> Reader:
    return Reader.of(table, json=True)


def _broken_checks(connection: Any) -> dict[str, list[str]]:
    """Rows that were written while CHECK was switched off: which rule they break → each row."""
    found = {}
    for table, facts in tables().items():
        for name, rule in facts.checks.items():
            if rows := [_name(table, row) for row in rows_of(connection, table, f"NOT ({rule})")]:
                found[f"what breaks {table}: {name} ({rule})"] = rows
    return found


def _name(table: str, row: Sequence[Any]) -> str:
    """A row by its key."""
    facts = tables()[table]
    values = dict(zip(facts.columns, row, strict=True))
    return (
        f"({', '.join(shown(values[name]) for name in facts.key)})"
        if len(facts.key) > 1
        else shown(values[facts.key[0]])
    )


def overdue(database: Database) -> int:
    """How many jobs run under a lease that was over: what the next sweep will rescue."""
    sql = "SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until <= ?"
    return int(database.read(sql, (database.clock.now(),))[0][0])
