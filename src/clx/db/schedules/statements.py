"""The statements of schedules by name; one text serves every database.

Whoever changes a schedule, or what it fired, first has its row for itself: by an UPDATE that changes nothing. Where a
database has a single writer this is free, elsewhere it is the lock of that row.
"""

from __future__ import annotations

COLUMNS = "name, cron, zone, job, overlap, catch_up, catch_up_window, ends_at, paused, next_at, created_at"
_SELECT = f"SELECT {COLUMNS} FROM schedules"

ANY = "SELECT 1 FROM schedules LIMIT 1"
ALL = f"{_SELECT} ORDER BY name"
NAMES = "SELECT name FROM schedules ORDER BY name"
GET = f"{_SELECT} WHERE name = ?"
DUE = f"{_SELECT} WHERE paused = 0 AND next_at IS NOT NULL AND next_at <= ? ORDER BY next_at, name"
HOLD = f"UPDATE schedules SET next_at = next_at WHERE name = ? RETURNING {COLUMNS}"
HOLD_DUE = (
    "UPDATE schedules SET next_at = next_at "
    f"WHERE name = ? AND paused = 0 AND next_at IS NOT NULL AND next_at <= ? RETURNING {COLUMNS}"
)
"""Who comes second finds that the time was moved on, and gets no row."""
ADD = f"INSERT INTO schedules ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING RETURNING name"
REPLACE = (
    "UPDATE schedules SET cron = ?, zone = ?, job = ?, overlap = ?, catch_up = ?, catch_up_window = ?, ends_at = ?, "
    "paused = ?, next_at = ? WHERE name = ?"
)
MOVE = "UPDATE schedules SET next_at = ? WHERE name = ?"
PAUSE = "UPDATE schedules SET paused = 1 WHERE name = ?"
RESUME = "UPDATE schedules SET paused = 0, next_at = ? WHERE name = ?"
REMOVE_FIRES = "DELETE FROM fires WHERE schedule = ?"
REMOVE = "DELETE FROM schedules WHERE name = ?"

_FIRE = "INSERT INTO fires (schedule, fire_at, fired_at, outcome, job_id) VALUES (?,?,?,?,?) ON CONFLICT"
MISSED = f"{_FIRE} DO NOTHING"
FIRED = (
    f"{_FIRE} (schedule, fire_at) DO UPDATE SET fired_at = excluded.fired_at, outcome = excluded.outcome, "
    "job_id = excluded.job_id"
)
OUTCOME = "SELECT outcome FROM fires WHERE schedule = ? AND fire_at = ?"
LAST = (
    "SELECT f.job_id, j.state, j.cancel_requested FROM fires f LEFT JOIN jobs j ON j.id = f.job_id "
    "WHERE f.schedule = ? AND f.outcome = 'queued' AND f.fire_at <= ? ORDER BY f.fire_at DESC LIMIT 1"
)
"""The job of the latest fire; what a clock that was ahead has fired for the future is not asked about."""
_FIRES = (
    "SELECT f.schedule, f.fire_at, f.fired_at, f.outcome, f.job_id, j.state FROM fires f "
    "LEFT JOIN jobs j ON j.id = f.job_id WHERE f.schedule = ?"
)
FIRES = f"{_FIRES} ORDER BY f.fire_at DESC LIMIT ?"
FIRES_BETWEEN = f"{_FIRES} AND f.fire_at >= ? AND f.fire_at <= ?"
COUNTS = "SELECT outcome, count(*) FROM fires WHERE schedule = ? GROUP BY outcome"
