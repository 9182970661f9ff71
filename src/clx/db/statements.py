"""The statements of the queue by name, as far as one text serves every database; :mod:`clx.db.dialect` has the rest.

The driver caches compiled statements by their text, so each of these is compiled once per connection.
Times are parameters everywhere; nothing here asks the database for the time.
"""

from __future__ import annotations

from clx.db.identity import BY_LEASE

NO_TIME = 9223372036854775807
"""Later than every moment: no deadline, a lease without an end."""
CLAIMED_LAST = 100
"""Added to the rank of a job that killed its worker twice."""

COLUMNS = (
    "id, type, pool, state, priority, payload, key, run, released, kills, max_runs, not_before, deadline, timeout, "
    "lease_until, worker_id, cancel_requested, progress, result, error, created_at, started_at, finished_at, "
    "waits_for, rescues, after_id, expires_at, limit_name"
)
SELECT = f"SELECT {COLUMNS} FROM jobs"

# -- putting in -------------------------------------------------------------------------------------

_INSERTED = (
    "type, pool, priority, claim_rank, payload, key, max_runs, ready, not_before, deadline, timeout, created_at, "
    "waits_for, unbatched, after_id"
)
INSERT = f"INSERT INTO jobs ({_INSERTED}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
INSERT_MORE = f"INSERT INTO jobs ({_INSERTED}, expires_at, limit_name) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
"""For a job that expires or counts to a limit: few do, and all others would pay for it."""
REPLACE = (
    "UPDATE jobs SET type = ?, pool = ?, priority = ?, claim_rank = ?, payload = ?, key = ?, max_runs = ?, ready = ?, "
    "not_before = ?, deadline = ?, timeout = ?, created_at = ?, waits_for = ?, "
    "unbatched = CASE WHEN ? = 1 OR unbatched = 1 THEN 1 ELSE 0 END, after_id = ?, "
    "expires_at = ?, limit_name = ?, held = 0, released = run, kills = 0, rescues = 0, error = NULL "
    "WHERE id = ? AND state = 'queued'"
)
"""Another job in its place: what happened to the one before is none of its own."""
LIVE_BY_KEY = (
    "SELECT id, state FROM jobs WHERE pool = ? AND type = ? AND key = ? AND state IN ('queued', 'running') "
    "AND after_id IS NULL"
)
BEHIND = "SELECT id FROM jobs WHERE after_id = ? AND state = 'queued'"
"""The job that waits until another of its key has ended."""
WANT_TOO = (
    "UPDATE jobs SET unbatched = CASE WHEN ? = 1 OR unbatched = 1 THEN 1 ELSE 0 END, cancel_requested = 0 WHERE id = ?"
)
"""Whoever asked for its cancellation did not know of this one's interest."""
WANT = "INSERT INTO batch_jobs (batch_id, job_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
NEED = "INSERT INTO dependencies (job_id, needs_id) VALUES (?, ?) ON CONFLICT DO NOTHING"

PRUNE_TURN = "#prune"
"""The key, and type, that whoever prunes takes for a day; no job is of such a type."""
TAKE_KEY = (
    "INSERT INTO recent_keys (key, type, pool, job_id, unique_until) VALUES (:key, :type, :pool, 0, :until) "
    "ON CONFLICT (key, type, pool) DO UPDATE SET job_id = 0, unique_until = excluded.unique_until "
    "WHERE recent_keys.unique_until <= :now RETURNING key"
)
"""Whoever gets a row has the key until then; of two who ask at once the second waits for the first and gets none."""
KEY_IS_TAKEN = "SELECT 1 FROM recent_keys WHERE key = :key AND type = :type AND pool = :pool AND unique_until > :now"
NAME_KEY = "UPDATE recent_keys SET job_id = :id WHERE key = :key AND type = :type AND pool = :pool"
RECENT = "SELECT job_id FROM recent_keys WHERE key = :key AND type = :type AND pool = :pool"
STATE = "SELECT state FROM jobs WHERE id = ?"

# -- claiming ---------------------------------------------------------------------------------------

CLAIMABLE = (
    "SELECT 1 FROM jobs WHERE state = 'queued' AND ready = 1 AND pool = :pool AND type = :type AND NOT EXISTS "
    "(SELECT 1 FROM paused WHERE paused.type = jobs.type AND paused.pool = jobs.pool) LIMIT 1"
)
DUE = "SELECT 1 FROM jobs WHERE state = 'queued' AND ready = 0 AND waits_for = 0 AND not_before <= ? LIMIT 1"
MAY_CLAIM = (
    "SELECT EXISTS (SELECT 1 FROM workers WHERE id = :worker AND (state = 'idle' OR state = 'busy' "
    "OR state = 'starting' OR state = 'stopping' OR state = 'hung'){unchanged}), EXISTS (SELECT 1 FROM jobs "
    "WHERE state = 'queued' AND ready = 0 AND waits_for = 0 AND not_before <= :now), EXISTS (SELECT 1 FROM paused)"
)
"""Whether the worker was not struck off, whether delayed jobs are due, whether anything is paused. With IN SQLite would
build a table."""
DUE_FIRST = (
    "SELECT id FROM jobs WHERE state = 'queued' AND ready = 0 AND waits_for = 0 AND not_before <= ? "
    "ORDER BY not_before LIMIT ?"
)
PROMOTED = 1000
NEXT_DUE = "SELECT min(not_before) FROM jobs WHERE state = 'queued' AND ready = 0 AND waits_for = 0"

# -- what workers report: every one fenced by id, run and state ---------------------------------------

FENCED = "id = :id AND run = :run AND state = 'running'"
RUNNING = (
    "SELECT worker_id, started_at, released, kills, max_runs, type, cancel_requested, rescues, limit_name "
    f"FROM jobs WHERE {FENCED}"
)
_RENEW = "UPDATE jobs SET lease = coalesce(:lease, lease), lease_until = :now + coalesce(:lease, lease)"
"""Without a length the lease keeps the one it was claimed with."""
HEARTBEAT = f"{_RENEW} WHERE {FENCED} RETURNING cancel_requested, worker_id"
HEARTBEAT_PROGRESS = f"{_RENEW}, progress = :progress WHERE {FENCED} RETURNING cancel_requested, worker_id"
CANCEL_REQUESTED = "SELECT cancel_requested, state, run FROM jobs WHERE id = ?"
SUCCEED = (
    "UPDATE jobs SET state = 'succeeded', lease_until = NULL, finished_at = :now, result = :result, error = NULL "
    f"WHERE {FENCED} RETURNING worker_id, started_at, key, type, limit_name"
)
LATE = (
    "SELECT j.state, r.worker_id, r.outcome, j.key, j.type FROM jobs j "
    "JOIN runs r ON r.job_id = j.id AND r.run = j.run "
    "WHERE j.id = :id AND j.run = :run AND j.state IN ('queued', 'failed') AND j.rescues > 0 "
    """AND r.cause = '{"kind":"silent"}'"""
)
"""The newest run of a job, taken from a worker that was only silent, and that nobody has begun anew."""
SUCCEED_LATE = (
    "UPDATE jobs SET state = 'succeeded', waits_for = 0, finished_at = :now, result = :result, error = NULL "
    "WHERE id = :id"
)
RECORD_LATE = (
    "UPDATE runs SET outcome = 'succeeded', ended_at = :now, cause = NULL, error = NULL, peak_memory = :peak_memory, "
    "stderr = :stderr "
    "WHERE job_id = :id AND run = :run"
)
_REQUEUE_SET = (
    "state = 'queued', lease_until = NULL, worker_id = NULL, started_at = NULL, progress = NULL, cancel_requested = 0"
)
REQUEUE_FAILED = f"UPDATE jobs SET {_REQUEUE_SET}, ready = ?, not_before = ?, error = ?, expires_at = NULL WHERE id = ?"
"""It has begun, so that it does not expire any more."""
REQUEUE_RELEASED = (
    f"UPDATE jobs SET {_REQUEUE_SET}, ready = :ready, not_before = :not_before, released = released + 1 WHERE id = :id"
)
REQUEUE_RESCUED = (
    f"UPDATE jobs SET {_REQUEUE_SET}, ready = 1, kills = kills + :kills, rescues = rescues + 1, "
    "released = released + :released, claim_rank = claim_rank + :rank, "
    "expires_at = CASE WHEN :released = 1 THEN expires_at END WHERE id = :id"
)
RETRY = (
    f"UPDATE jobs SET {_REQUEUE_SET}, ready = 1, waits_for = 0, not_before = :now, released = run, "
    "kills = 0, rescues = 0, after_id = NULL, claim_rank = 5 - priority, finished_at = NULL, error = NULL, "
    "result = NULL, expires_at = NULL, held = 0 "
    "WHERE id = :id AND state IN ('failed', 'cancelled')"
)
NEEDS = "SELECT needs_id FROM dependencies WHERE job_id = ? ORDER BY needs_id"
UNMET_NEEDS = (
    "SELECT d.needs_id, j.state FROM dependencies d JOIN jobs j ON j.id = d.needs_id "
    "WHERE d.job_id = ? AND j.state <> 'succeeded'"
)
AWAIT_NEEDS = (
    "UPDATE jobs SET waits_for = :waits_for, ready = CASE WHEN CAST(:waits_for AS BIGINT) > 0 THEN 0 ELSE ready END "
    "WHERE id = :id AND state = 'queued' RETURNING id"
)
"""One that is held, as those of a paused pipeline, stays so."""
FAILED = "state = 'failed', lease_until = NULL, finished_at = ?, error = ?"
CANCELLED = "state = 'cancelled', lease_until = NULL, finished_at = ?, error = ?"
FAIL = f"UPDATE jobs SET {FAILED} WHERE id = ?"
CANCEL = f"UPDATE jobs SET {CANCELLED} WHERE id = ?"
EXPIRE = (
    "UPDATE jobs SET state = 'cancelled', finished_at = :now, error = :error WHERE id = :id AND state = 'queued' "
    "RETURNING type"
)
UNCLAIM = (
    f"UPDATE jobs SET {_REQUEUE_SET}, ready = 0, held = :held, not_before = :until, run = run - 1 "
    "WHERE id = :id AND state = 'running'"
)
"""As if it had not been claimed, in the transaction that claimed it."""
RECORD_ODD = (
    "INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome, error) "
    "SELECT id, CAST(run AS BIGINT), CAST(coalesce(worker_id, 0) AS BIGINT), "
    "CAST(coalesce(started_at, :now) AS BIGINT), :now, 'failed', :error "
    "FROM jobs WHERE id = :id AND state = 'running' ON CONFLICT DO NOTHING"
)
FAIL_ODD = (
    "UPDATE jobs SET state = 'failed', lease_until = NULL, finished_at = :now, error = :error "
    "WHERE id = :id AND state IN ('queued', 'running') RETURNING type"
)
"""For a row that another program wrote: whatever its other values are."""
COUNT_RESCUE = "UPDATE jobs SET kills = kills + ?, rescues = rescues + 1 WHERE id = ?"
SILENCES = """SELECT count(*) FROM runs WHERE job_id = ? AND outcome = 'rescued' AND cause = '{"kind":"silent"}'"""
REQUEST_CANCEL = "UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'"
RECORD = (
    "INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome, error, cause, stderr, peak_memory) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
KEEP_RESULT = (
    "INSERT INTO results (key, type, result, created_at, used_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key, type) "
    "DO UPDATE SET result = excluded.result, created_at = excluded.created_at, used_at = excluded.used_at"
)
KEEP_FIRST_RESULT = (
    "INSERT INTO results (key, type, result, created_at, used_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (key, type) DO NOTHING"
)
"""Of a run that ended late: what others have answered since then is newer."""
ACCOUNT = (
    "UPDATE workers SET jobs_succeeded = jobs_succeeded + ?, jobs_failed = jobs_failed + ?, "
    "heartbeat_at = CASE WHEN heartbeat_at < ? THEN ? ELSE heartbeat_at END WHERE id = ?"
)

# -- what follows from an end -------------------------------------------------------------------------

DEPENDENTS = "state = 'queued' AND id IN (SELECT job_id FROM dependencies WHERE needs_id = ?)"
_READY_NEXT = (
    "ready = CASE WHEN waits_for = 1 AND not_before <= :now THEN 1 ELSE 0 END, "
    "not_before = CASE WHEN not_before = 0 THEN :now ELSE not_before END"
)
"""One that could not be claimed when it went in tells since when it can: claims look for these by themselves."""
LET_GO = (
    f"UPDATE jobs SET after_id = NULL, waits_for = waits_for - 1, {_READY_NEXT} "
    "WHERE after_id = :id AND state = 'queued' RETURNING type"
)
"""The job behind one that has ended waits for it no more."""
UNLOCKED = f"waits_for = waits_for - 1, {_READY_NEXT}"
TO_UNLOCK = "state = 'queued' AND waits_for > 0 AND id IN (SELECT job_id FROM dependencies WHERE needs_id = :id)"
MATTERS = (
    "SELECT EXISTS (SELECT 1 FROM dependencies WHERE needs_id = ?), "
    "EXISTS (SELECT 1 FROM batches WHERE state = 'live' AND callback IS NOT NULL)"
)
"""Whether the end of a job matters to others: to jobs that need it, to batches with a callback."""
COUNTED_DOWN = "pending = CASE WHEN pending - 1 > 0 THEN pending - 1 ELSE 0 END"
AWAITING = "state = 'live' AND callback IS NOT NULL AND id IN (SELECT batch_id FROM batch_jobs WHERE job_id = ?)"
COUNT_UP = (
    "UPDATE batches SET pending = pending + 1 WHERE state = 'live' AND callback IS NOT NULL "
    "AND id IN (SELECT batch_id FROM batch_jobs WHERE job_id = ?)"
)
OPEN_OWNERLESS = "INSERT INTO batches (name, host, pid, identity, lease_until, created_at) VALUES (?, '', 0, '', ?, ?)"
_LIVE_OF_BATCH = (
    "(SELECT count(*) FROM batch_jobs b JOIN jobs j ON j.id = b.job_id "
    "WHERE b.batch_id = batches.id AND j.state IN ('queued', 'running'))"
)
SET_CALLBACK = f"UPDATE batches SET callback = ?, pending = {_LIVE_OF_BATCH} WHERE id = ? RETURNING pending"
KEEP_OPEN = (
    "UPDATE batches SET pending = CASE WHEN callback IS NULL THEN pending ELSE pending + 1 END "
    "WHERE id = ? AND state = 'live' RETURNING id"
)
COUNT_PENDING = (
    f"UPDATE batches SET pending = {_LIVE_OF_BATCH} WHERE id = ? AND callback IS NOT NULL RETURNING pending, callback"
)
BATCH_COUNTS = (
    "SELECT j.state, count(*) FROM batch_jobs b JOIN jobs j ON j.id = b.job_id WHERE b.batch_id = ? GROUP BY j.state"
)
BATCH_CALLED = "UPDATE batches SET state = 'done', finished_at = ?, callback_job = ? WHERE id = ?"

NOT_CALLED = (
    "NOT EXISTS (SELECT 1 FROM calls c JOIN jobs p ON p.id = c.parent_id "
    "WHERE c.job_id = {job} AND (p.state = 'queued' OR p.state = 'running')) "
    "AND NOT EXISTS (SELECT 1 FROM wants w WHERE w.job_id = {job})"
)
"""That neither a workflow that has not ended nor a program waits for a job."""
UNWANTED = (
    f"unbatched = 0 AND {NOT_CALLED.format(job='jobs.id')} "
    "AND NOT EXISTS (SELECT 1 FROM batch_jobs w JOIN batches b ON b.id = w.batch_id "
    "WHERE w.job_id = jobs.id AND b.state = 'live') "
    "AND NOT EXISTS (SELECT 1 FROM dependencies d JOIN jobs n ON n.id = d.job_id "
    "WHERE d.needs_id = jobs.id AND (n.state = 'queued' OR n.state = 'running'))"
)
"""That nobody wants a job: no workflow, no program, no batch, no job that needs it."""

# -- what is paused, and limits -----------------------------------------------------------------------

PAUSE = "INSERT INTO paused (type, pool, paused_at) VALUES (?, ?, ?) ON CONFLICT (type, pool) DO NOTHING RETURNING type"
RESUME = "DELETE FROM paused WHERE type = ? AND pool = ? RETURNING type"
PAUSED = "SELECT type, pool, paused_at FROM paused ORDER BY type, pool"
PAUSED_OF_POOL = "SELECT type FROM paused WHERE pool = ?"
SET_LIMIT = (
    "INSERT INTO limits (name, concurrency, rate, period) VALUES (:name, :concurrency, :rate, :period) "
    "ON CONFLICT (name) DO UPDATE SET concurrency = excluded.concurrency, rate = excluded.rate, "
    "period = excluded.period"
)
_LIMITING = "(concurrency IS NOT NULL OR rate IS NOT NULL)"
SET_NO_LIMIT = "UPDATE limits SET concurrency = NULL, rate = NULL, period = NULL WHERE name = ?"
REMOVE_LIMIT = (
    f"DELETE FROM limits WHERE name = :name AND NOT {_LIMITING} AND NOT EXISTS "
    "(SELECT 1 FROM jobs WHERE limit_name = :name AND held = 1 AND finished_at IS NULL)"
)
"""One that limits nothing any more stays until nothing is held by it, so that whoever sweeps finds what is left."""
IS_LIMIT = f"SELECT 1 FROM limits WHERE name = ? AND {_LIMITING}"
LIMITS = (
    "SELECT name, concurrency, rate, period, "
    "(SELECT count(*) FROM jobs WHERE state = 'running' AND limit_name = limits.name), "
    "(SELECT count(*) FROM jobs WHERE limit_name = limits.name AND held = 1 AND finished_at IS NULL) "
    f"FROM limits WHERE {_LIMITING} ORDER BY name"
)
USE_LIMIT = "UPDATE limits SET window_at = :window_at, used = :used WHERE name = :name"
GOES_ON = "NOT EXISTS (SELECT 1 FROM paused WHERE paused.type = jobs.type AND paused.pool = jobs.pool)"
"""Not of a type that is paused: who lets one of these go leaves a place to nobody."""
HELD = (
    f"SELECT id FROM jobs WHERE limit_name = :name AND held = 1 AND finished_at IS NULL AND {GOES_ON} "
    "ORDER BY claim_rank, deadline, id LIMIT :n"
)
AHEAD = (
    "SELECT id FROM jobs WHERE state = 'queued' AND ready = 1 AND id IN "
    "(SELECT id FROM (SELECT id, limit_name FROM jobs WHERE state = 'queued' AND ready = 1 AND pool = :pool "
    "AND type = :type ORDER BY claim_rank, deadline, id LIMIT :n) AS ahead WHERE limit_name = :name)"
)
EXPIRED = "SELECT 1 FROM jobs WHERE state = 'queued' AND expires_at <= ? LIMIT 1"
IS_HELD = "SELECT 1 FROM jobs WHERE id = ? AND held = 1 AND state = 'queued'"
BATCH_OF = (
    "SELECT max(b.id) FROM batch_jobs w JOIN batches b ON b.id = w.batch_id WHERE w.job_id = ? AND b.state = 'live'"
)

# -- leases -------------------------------------------------------------------------------------------

OVERDUE = "SELECT id, run, lease_until, lease, worker_id FROM jobs WHERE state = 'running' AND lease_until <= :now"
IMPLAUSIBLE = (
    "SELECT id, run, lease_until, lease, worker_id FROM jobs "
    "WHERE state = 'running' AND lease_until > :now + lease + :slack"
)
"""Leases longer than any renewal at this moment can have made them: written before the clock was set back."""
UNRENEWED = "SELECT 1 FROM jobs WHERE id = ? AND lease_until = ?"
"""Whether a lease ends when it was seen to end; whose it is now, the fence of the rescue asks."""
HELD_BY = "SELECT id, run FROM jobs WHERE state = 'running' AND worker_id = ?"
HOLDS_OTHERS = (
    "SELECT count(*) > 1 FROM jobs WHERE state = 'running' AND worker_id = :worker "
    f"AND NOT EXISTS (SELECT 1 FROM workers WHERE id = :worker AND identity = '{BY_LEASE}')"
)
"""Whether a worker has more than one, of which one may be its end; who holds by lease alone has no end."""
