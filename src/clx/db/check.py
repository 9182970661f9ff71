"""What must be true of a job table at every moment, as questions to the file itself.

Each rule is one query that finds the rows that break it; a healthy table answers none of them.
"""

from __future__ import annotations

from clx.db.sqlite.database import Database

_RULES = {
    "a job has not exactly one record per ended run": """
        SELECT j.id FROM jobs j LEFT JOIN (SELECT job_id, count(*) AS n, max(run) AS top FROM runs GROUP BY job_id) r
          ON r.job_id = j.id
        WHERE coalesce(r.n, 0) <> j.run - (j.state = 'running') OR coalesce(r.top, 0) > j.run""",
    "a succeeded job's last run did not succeed": """
        SELECT id FROM jobs j WHERE state = 'succeeded' AND NOT EXISTS
          (SELECT 1 FROM runs r WHERE r.job_id = j.id AND r.run = j.run AND r.outcome = 'succeeded')""",
    "a job succeeded in a run that is not its last": """
        SELECT j.id FROM runs r JOIN jobs j ON j.id = r.job_id
        WHERE r.outcome = 'succeeded' AND (j.state <> 'succeeded' OR r.run <> j.run)""",
    "a job waits for another number of jobs than it needs": """
        SELECT j.id FROM jobs j WHERE j.state = 'queued' AND j.waits_for <>
          (SELECT count(*) FROM dependencies d JOIN jobs n ON n.id = d.needs_id
           WHERE d.job_id = j.id AND n.state <> 'succeeded') + (j.after_id IS NOT NULL)""",
    "a job waits behind one that has ended": """
        SELECT j.id FROM jobs j LEFT JOIN jobs first ON first.id = j.after_id
        WHERE j.state = 'queued' AND j.after_id IS NOT NULL
          AND coalesce(first.state, '') NOT IN ('queued', 'running')""",
    "the payload of a job is no JSON object": """
        SELECT id FROM jobs WHERE NOT json_valid(payload) OR json_type(payload) <> 'object'""",
    "what a job left is no JSON": """
        SELECT id FROM jobs WHERE NOT (json_valid(coalesce(progress, '0')) AND json_valid(coalesce(result, '0'))
          AND json_valid(coalesce(error, '0')))""",
    "what a run left is no JSON": """
        SELECT job_id FROM runs WHERE NOT (json_valid(coalesce(error, '0')) AND json_valid(coalesce(cause, '0')))""",
    "a kept result is no JSON": """
        SELECT key FROM results WHERE NOT json_valid(result)""",
    "a job waits for one that will never succeed": """
        SELECT j.id FROM jobs j JOIN dependencies d ON d.job_id = j.id JOIN jobs n ON n.id = d.needs_id
        WHERE j.state = 'queued' AND n.state IN ('failed', 'cancelled')""",
    "a batch counts other jobs than those it waits for": """
        SELECT b.id FROM batches b WHERE b.state = 'live' AND b.callback IS NOT NULL AND b.pending <>
          (SELECT count(*) FROM batch_jobs w JOIN jobs j ON j.id = w.job_id
           WHERE w.batch_id = b.id AND j.state IN ('queued', 'running'))""",
    "a job is held by a worker that is not in the table": """
        SELECT id FROM jobs WHERE state = 'running' AND worker_id NOT IN (SELECT id FROM workers)""",
}
_SHOWN = 5


def check(database: Database) -> list[str]:
    """Every broken rule in words, the file's own structure first; empty when all is well.

    Raises:
        DatabaseCorruptError: the file is too damaged to be asked.
    """
    problems = [f"SQLite: {row[0]}" for row in database.read("PRAGMA integrity_check(20)") if row[0] != "ok"]
    problems += [
        f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there"
        for row in database.read("PRAGMA foreign_key_check")
    ]
    for rule, query in _RULES.items():
        found = [str(row[0]) for row in database.read(query)]
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            problems.append(f"{rule}: {', '.join(found[:_SHOWN])}{more}")
    return problems


def overdue(database: Database, now: int) -> int:
    """How many jobs run under a lease that was over at *now*: what the next sweep will rescue."""
    sql = "SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until <= ?"
    return int(database.read(sql, (now,))[0][0])
