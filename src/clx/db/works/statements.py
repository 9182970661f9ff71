"""The statements of works that one text serves on every database; the dialect has the rest."""

from __future__ import annotations

from clx.db.works.models import COLUMNS, LIVE_AND_ENDED, OWN_COLUMNS

WORK = (
    "INSERT INTO works (job_id, id, pipeline, site, owner, creation, start, stop, attempt, retries, status, archived, "
    "locked, in_bucket, in_results, names_artifacts, document, step_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
NEW_WORK = f"{WORK} ON CONFLICT (id) DO NOTHING"
LABEL = "INSERT INTO work_labels (job_id, kind, value) VALUES (?, ?, ?)"
LABELS = "SELECT kind, value FROM work_labels WHERE job_id = ?"
UNLABEL = "DELETE FROM work_labels WHERE job_id = ? AND kind = ? AND value = ?"
STORE = (
    "UPDATE works SET site = :site, owner = :owner, creation = :creation, start = coalesce(:start, start), "
    "stop = CASE WHEN status IN ('success', 'failure', 'cancelled') THEN coalesce(:stop, stop) ELSE stop END, "
    "attempt = coalesce(:attempt, attempt), retries = :retries, archived = :archived, locked = :locked, "
    "names_artifacts = :names_artifacts, document = :document WHERE job_id = :job"
)
"""``:start``, ``:stop`` and ``:attempt`` are none where they stay what they are."""
STORE_AND_TELL = (
    f"{STORE} RETURNING step_id, {OWN_COLUMNS}, (SELECT j.error FROM jobs j WHERE j.id = works.job_id), "
    "(SELECT j.progress FROM jobs j WHERE j.id = works.job_id)"
)

# -- what follows what happens to the job ---------------------------------------------------------------

_STATUS = (
    "(SELECT CASE j.state "
    + " ".join(f"WHEN '{state}' THEN '{status}'" for state, status in LIVE_AND_ENDED.items())
    + " ELSE j.state END FROM jobs j WHERE j.id = works.job_id)"
)
END = f"UPDATE works SET status = {_STATUS}, stop = :now WHERE job_id = :id RETURNING step_id"
"""A job has ended, whichever way."""
BEGIN = (
    "UPDATE works SET status = 'running', attempt = attempt + 1, start = :now, stop = NULL WHERE job_id = :id "
    f"RETURNING {OWN_COLUMNS}"
)
WAIT = (
    "UPDATE works SET status = 'queued', attempt = attempt - CASE WHEN :released = 1 AND attempt > 0 THEN 1 ELSE 0 END "
    "WHERE job_id = :id RETURNING step_id"
)
"""A run has ended, or was given back as if it had not begun, and another is to come."""
RUNS_LEFT = (
    "UPDATE jobs SET max_runs = run - released + "
    "CASE WHEN :left > 0 THEN :left WHEN run - released = 0 THEN 1 ELSE 0 END WHERE id = :id"
)
"""How many runs a job has is what its Work says, whose attempts go on counting."""
ATTEMPTS_LEFT = "SELECT retries - attempt FROM works WHERE job_id = ?"

# -- changes that no run of a job makes -----------------------------------------------------------------

SUCCEED = (
    "UPDATE jobs SET state = 'succeeded', ready = 0, waits_for = 0, lease_until = NULL, finished_at = :now, "
    "result = 'null', error = NULL, cancel_requested = 0 WHERE id = :id"
)
FAIL = "UPDATE jobs SET state = 'failed', lease_until = NULL, finished_at = :now, error = :error WHERE id = :id"
CANCEL = "UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = :now, error = NULL WHERE id = :id"
ASK = (
    "UPDATE jobs SET priority = :priority, claim_rank = claim_rank + priority - :priority, timeout = :timeout, "
    "not_before = CASE WHEN not_before = 0 AND priority <> :priority THEN :now ELSE not_before END WHERE id = :id"
)
"""Claims may be past its id: it tells since when it is of this priority."""
DELETE = "DELETE FROM jobs WHERE id = ?"
LEAVE_BUCKET = "UPDATE works SET in_bucket = 0 WHERE job_id = ?"
LEAVE_RESULTS = "UPDATE works SET in_results = 0 WHERE job_id = ?"
ENTER_RESULTS = "UPDATE works SET in_results = 1 WHERE job_id = ? AND in_results = 0 RETURNING job_id"
_PIPELINES = (
    "WITH RECURSIVE p (name) AS (SELECT min(pipeline) FROM works {index} WHERE in_bucket = 1 UNION ALL "
    "SELECT (SELECT min(w.pipeline) FROM works w {index} WHERE w.in_bucket = 1 AND w.pipeline > p.name) "
    "FROM p WHERE p.name IS NOT NULL) "
)
"""The pipelines that have works in their buckets: a look into the index for each, however many works wait there."""


def _in_buckets(*statuses: str, more: str = "") -> str:
    """The works in buckets of some statuses, each looked for by itself: among them those that wait are not read."""
    wanted = " UNION ALL ".join(f"SELECT '{each}' AS status" for each in statuses)
    return (
        f"{_PIPELINES}SELECT w.job_id FROM p CROSS JOIN ({wanted}) s CROSS JOIN works w {{index}} {more}"
        "WHERE w.in_bucket = 1 AND w.pipeline = p.name AND w.status = s.status "
    )


MOVABLE = (
    f"{_in_buckets('success', 'failure', 'cancelled')}"
    "AND (w.status <> 'failure' OR w.attempt >= w.retries) AND (w.stop IS NULL OR w.stop <= :before) LIMIT :n"
)
MOVED = f"UPDATE works SET in_results = 1, in_bucket = 0 WHERE job_id IN ({MOVABLE}) RETURNING job_id"
"""What has ended for good goes from a bucket to the results."""

NOTE_RUN = (
    "UPDATE runs SET stderr = :said, peak_memory = :peak_memory "
    "WHERE job_id = (SELECT job_id FROM works WHERE id = :id) AND run = :run RETURNING job_id"
)
COUNT = "UPDATE works SET retries = :retries, attempt = :attempt WHERE job_id = :job"

# -- looking ----------------------------------------------------------------------------------------------

FROM = "FROM works w JOIN jobs j ON j.id = w.job_id"
CHANGING = (
    "SELECT w.job_id, w.id, j.type, j.state, j.run, j.released, j.priority, j.timeout, w.attempt, w.retries, w.status, "
    "w.locked, w.in_bucket, w.in_results, w.creation, w.start, w.stop, w.site, w.owner"
)
WAITING = (
    "j.state = 'queued' AND j.ready = 1 AND {pool} = '' AND {type} = :type "
    "AND NOT EXISTS (SELECT 1 FROM paused p WHERE p.type = j.type AND p.pool = j.pool)"
)
KNOWN_BY_IDS = "SELECT id, pipeline, creation FROM works WHERE id "
KNOWN_BY_ID = f"{KNOWN_BY_IDS}= ?"
CREATED = f"SELECT w.id, w.creation, w.pipeline, w.owner, w.document {FROM} WHERE j.created_at > :since AND w.creation "
CREATED_AT = f"{CREATED}= :moment ORDER BY w.job_id"
STATUS = "SELECT status, count(*) FROM works WHERE in_bucket = 1 AND pipeline = :pipeline GROUP BY status"
STATUS_OF_ALL = (
    "SELECT status, CAST(sum(n) AS BIGINT) FROM (SELECT status, count(*) AS n FROM works WHERE in_bucket = 1 "
    "GROUP BY pipeline, status) AS c GROUP BY status"
)
"""Counted in the order of the index: nothing is sorted."""
STATUS_BY_BUCKET = (
    "SELECT pipeline, status, count(*) FROM works WHERE in_bucket = 1 GROUP BY pipeline, status ORDER BY 1"
)
BUCKETS = f"{_PIPELINES}SELECT name FROM p WHERE name IS NOT NULL ORDER BY name"
RESULTS = "SELECT pipeline, count(*) FROM works {index} WHERE in_results = 1 GROUP BY pipeline ORDER BY pipeline"
FAILED = (
    f"{_in_buckets('failure')}AND w.attempt < w.retries "
    "AND (w.stop IS NULL OR w.stop <= :before) ORDER BY w.job_id LIMIT :n"
)
OVERDUE = (
    f"{_in_buckets('running', more='CROSS JOIN jobs j ')}AND j.id = w.job_id "
    "AND j.state = 'running' AND w.start + j.timeout * 1000 < :now ORDER BY w.job_id LIMIT :n"
)
STALE = "SELECT count(*) FROM works WHERE in_bucket = 1 AND creation < :before"
DOCUMENTS = f"SELECT {COLUMNS} {FROM} WHERE "
HELD = f"SELECT {COLUMNS}, j.run {FROM} WHERE j.worker_id = ? AND j.state = 'running' ORDER BY j.started_at, j.id"
NAMING = "SELECT document FROM works WHERE names_artifacts = 1"
