"""The statements of pipelines; the dialect has those that lock rows or take lists."""

from __future__ import annotations

LIVE_WORK = "w.status = 'queued' OR w.status = 'running'"
FAR = 2**63 - 1
"""When the works of a paused pipeline may be withdrawn: never, until it is resumed."""

CONFIG = (
    "INSERT INTO pipeline_configs "
    "(id, name, version, owner, yaml, definition, deployments, schedule, lives, created_at) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
PIPELINE = "INSERT INTO pipelines (id, config_id, matrix, created_at) VALUES (?,?,?,?)"
STEP = "INSERT INTO pipeline_steps (pipeline_id, position, name, stage, definition) VALUES (?,?,?,?,?)"

# -- advancing --------------------------------------------------------------------------------------------

OF_STEP = "SELECT p.id FROM pipeline_steps s JOIN pipelines p ON p.id = s.pipeline_id WHERE s.id = ?"
STATE = "SELECT status, matrix FROM pipelines WHERE id = ?"
STEP_STATE = "SELECT status, works, definition FROM pipeline_steps WHERE id = ?"
IS_LIVE = f"SELECT 1 FROM works w WHERE w.step_id = ? AND ({LIVE_WORK}) LIMIT 1"
SUCCEEDED = "SELECT count(*) FROM works WHERE step_id = ? AND status = 'success'"
IS_RUNNING = "SELECT 1 FROM pipeline_steps WHERE pipeline_id = ? AND status = 'running' LIMIT 1"
STEPS = "SELECT id, name, stage, status, works FROM pipeline_steps WHERE pipeline_id = ? ORDER BY position"
DEFINITIONS = (
    "SELECT id, definition FROM pipeline_steps WHERE pipeline_id = :pipeline AND status = 'created' "
    "AND (stage = :stage OR (stage IS NULL AND CAST(:stage AS BIGINT) IS NULL)) ORDER BY position"
)
DEFINITION = "SELECT definition FROM pipeline_steps WHERE id = ?"
END_STEP = (
    "UPDATE pipeline_steps SET status = :status, reason = :reason, ended_at = :now, "
    "started_at = coalesce(started_at, :now) WHERE id = :id"
)
BEGIN_STEP = "UPDATE pipeline_steps SET status = 'running', works = ?, started_at = ? WHERE id = ?"
REACH = "UPDATE pipelines SET stage = ? WHERE id = ?"
END = "UPDATE pipelines SET status = :status, reason = :reason, ended_at = :now WHERE id = :id"
DOCUMENTS_OF_STEP = "SELECT document FROM works WHERE step_id = ? ORDER BY job_id"

# -- changing ---------------------------------------------------------------------------------------------

SET_STATUS = "UPDATE pipelines SET status = ? WHERE id = ?"
GO_ON = "UPDATE pipelines SET status = 'running', reason = NULL, ended_at = NULL WHERE id = ?"
STOP_STEPS = (
    "UPDATE pipeline_steps SET status = 'cancelled', reason = :reason, ended_at = :now "
    "WHERE pipeline_id = :id AND (status = 'created' OR status = 'running')"
)
RESTART_STEP = "UPDATE pipeline_steps SET status = 'running', reason = NULL, ended_at = NULL WHERE id = ?"
RESET_STEP = (
    "UPDATE pipeline_steps SET status = 'created', reason = NULL, works = 0, started_at = NULL, ended_at = NULL "
    "WHERE id = ?"
)
LET_GO = "UPDATE works SET step_id = NULL WHERE step_id = ?"
ENDED_STEPS = "SELECT id, stage, status, works, started_at FROM pipeline_steps WHERE pipeline_id = ? ORDER BY position"
_OF_PIPELINE = "(SELECT s.id FROM pipeline_steps s WHERE s.pipeline_id = :id)"
LET_ALL_GO = f"UPDATE works SET step_id = NULL WHERE step_id IN {_OF_PIPELINE}"
LIVE_JOBS = f"SELECT w.job_id FROM works w WHERE w.step_id IN {_OF_PIPELINE} AND ({LIVE_WORK}) ORDER BY w.job_id"
LIVE_OF_STEP = f"SELECT w.job_id FROM works w WHERE w.step_id = ? AND ({LIVE_WORK}) ORDER BY w.job_id"
FAILED_JOBS = (
    "SELECT job_id FROM works WHERE step_id = ? AND (status = 'failure' OR status = 'cancelled') ORDER BY job_id"
)
_ITS_JOBS = f"id IN (SELECT w.job_id FROM works w WHERE w.step_id IN {_OF_PIPELINE} AND w.status = 'queued')"
HOLD_JOBS = f"UPDATE jobs SET ready = 0, not_before = {FAR} WHERE state = 'queued' AND waits_for = 0 AND {_ITS_JOBS}"
FREE_JOBS = (
    f"UPDATE jobs SET ready = 1, not_before = :now WHERE state = 'queued' AND waits_for = 0 AND not_before = {FAR} "
    f"AND {_ITS_JOBS} RETURNING type"
)
IS_PAUSED = (
    "SELECT 1 FROM pipeline_steps s JOIN pipelines p ON p.id = s.pipeline_id WHERE s.id = ? AND p.status = 'paused'"
)
HOLD_JOB = f"UPDATE jobs SET ready = 0, not_before = {FAR} WHERE id = ? AND state = 'queued' AND waits_for = 0"
REMOVE = "DELETE FROM pipelines WHERE id = ?"
REMOVE_CONFIG = "DELETE FROM pipeline_configs WHERE id = ?"

# -- at times ---------------------------------------------------------------------------------------------

SCHEDULED = "SELECT definition, lives, spawned FROM pipeline_configs WHERE id = ? AND schedule IS NOT NULL"
SPAWNED = "UPDATE pipeline_configs SET spawned = spawned + 1 WHERE id = ?"
SPAWN_ENDED = (
    "UPDATE jobs SET state = 'succeeded', ready = 0, finished_at = :now, result = :result "
    "WHERE id = :id AND state = 'queued'"
)
END_SCHEDULE = "UPDATE schedules SET ends_at = :at WHERE name = :name"
FORGET_SCHEDULE = "UPDATE pipeline_configs SET schedule = NULL, lives = NULL WHERE id = ? AND schedule IS NOT NULL"

# -- looking ----------------------------------------------------------------------------------------------

CONFIGS = (
    "SELECT id, name, version, owner, yaml, deployments, schedule, lives, spawned, created_at FROM pipeline_configs"
)
PIPELINES = (
    "SELECT p.id, p.config_id, c.name, c.owner, p.matrix, p.status, p.stage, p.reason, p.created_at, p.ended_at "
    "FROM pipelines p JOIN pipeline_configs c ON c.id = p.config_id"
)
STEPS_OF = (
    "SELECT id, name, stage, status, reason, works, definition, started_at, ended_at FROM pipeline_steps "
    "WHERE pipeline_id = ? ORDER BY position"
)
WORKS_OF = (
    "SELECT w.step_id, w.id, w.status, w.start, j.created_at, w.pipeline FROM works w JOIN jobs j ON j.id = w.job_id "
    "WHERE w.step_id IN (SELECT s.id FROM pipeline_steps s WHERE s.pipeline_id = ?) ORDER BY w.job_id"
)
IDS_OF = "SELECT id FROM pipelines WHERE config_id = ? ORDER BY id"
"""The pipelines of a config."""
MADE_AT = "SELECT id, created_at FROM pipelines WHERE config_id = ? ORDER BY id"
STATUSES = "SELECT status, count(*) FROM pipelines GROUP BY status"
COUNT_CONFIGS = "SELECT name, count(*) FROM pipeline_configs GROUP BY name ORDER BY name"
COUNT_PIPELINES = (
    "SELECT c.name, count(*) FROM pipelines p JOIN pipeline_configs c ON c.id = p.config_id GROUP BY c.name "
    "ORDER BY c.name"
)
