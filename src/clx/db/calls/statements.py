"""The statements of calls and routines that one text serves on every database; the dialect has the rest."""

from __future__ import annotations

RECORD = "INSERT INTO calls (parent_id, name, occurrence, type, job_id, value, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
UNRECORD = "DELETE FROM calls WHERE parent_id = ? AND name = ? AND occurrence = ?"
FORGET_FAILURES = (
    "DELETE FROM calls WHERE parent_id = ? "
    "AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = calls.job_id AND (j.state = 'failed' OR j.state = 'cancelled'))"
)
"""For a caller that is run anew: what failed in its last life is tried again."""
VALUE = "SELECT value FROM calls WHERE parent_id = ? AND name = ? AND occurrence = ?"
OF = (
    "SELECT c.name, c.occurrence, c.type, c.job_id, j.state, c.value, c.created_at "
    "FROM calls c LEFT JOIN jobs j ON j.id = c.job_id WHERE c.parent_id = ?"
)
HANGS = (
    "SELECT 1 FROM calls c JOIN jobs j ON j.id = c.job_id "
    "WHERE c.parent_id = ? AND j.state IN ('queued', 'running') LIMIT 1"
)
"""Whether a caller waits for something that it has called."""
PARENTS = "SELECT parent_id FROM calls WHERE job_id = :id UNION SELECT 0 FROM wants WHERE job_id = :id"
WANT = "INSERT INTO wants (job_id, name, created_at) VALUES (?, ?, ?)"
LEAVE = "DELETE FROM wants WHERE job_id = ? AND name = ?"
FORGET = "DELETE FROM results WHERE type = :type AND (CAST(:key AS TEXT) IS NULL OR key = :key)"
ANSWER = "SELECT result, error FROM jobs WHERE id = ?"

COLUMNS = "id, name, module, source, signature, doc, job, after_id, after_on, parameter, seen_at"
ROUTINES = f"SELECT {COLUMNS} FROM routines ORDER BY id"
REGISTER = (
    f"INSERT INTO routines ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "module = excluded.module, source = excluded.source, signature = excluded.signature, doc = excluded.doc, "
    "job = excluded.job, after_id = excluded.after_id, after_on = excluded.after_on, parameter = excluded.parameter, "
    "seen_at = excluded.seen_at"
)
DISARM = "UPDATE routines SET after_id = NULL, after_on = NULL WHERE id = ?"
