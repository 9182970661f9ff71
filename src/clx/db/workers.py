"""Workers as the table knows them: they register themselves, beat, and are struck off when they end."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from clx.db.clock import now_ms
from clx.db.database import Database

LIVE_STATES = ("starting", "idle", "busy", "stopping", "hung")
_NAMES = (
    "id", "type", "pool", "mode", "state", "host", "pid", "identity", "container_id", "image", "version", "started_at",
    "heartbeat_at", "ended_at", "reason", "jobs_succeeded", "jobs_failed", "job_id", "batch_id", "service",
    "config_source",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_NAMES)} FROM workers"
_LIVE = "state IN ('starting', 'idle', 'busy', 'stopping', 'hung')"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker; times in milliseconds UTC."""

    id: int
    type: str
    pool: str
    mode: str
    state: str
    host: str
    pid: int
    identity: str
    container_id: str | None
    image: str | None
    version: str
    started_at: int
    heartbeat_at: int
    ended_at: int | None
    reason: str | None
    jobs_succeeded: int
    jobs_failed: int
    job_id: int | None
    batch_id: int | None
    service: str | None
    config_source: str | None


class WorkerTable:
    """The workers of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def register(
        self,
        *,
        type: str,  # noqa: A002  (the vocabulary's word)
        pool: str,
        mode: str,
        host: str,
        pid: int,
        identity: str,
        version: str,
        container_id: str | None = None,
        image: str | None = None,
        batch_id: int | None = None,
        service: str | None = None,
        config_source: str | None = None,
        now: int | None = None,
    ) -> int:
        """Enter a worker, idle (REQ-5.1); returns its id."""
        at = now_ms() if now is None else now
        values = (
            type,
            pool,
            mode,
            "idle",
            host,
            pid,
            identity,
            container_id,
            image,
            version,
            at,
            at,
            batch_id,
        )

        def body(connection: Any) -> int:
            cursor = connection.execute(
                "INSERT INTO workers (type, pool, mode, state, host, pid, identity, container_id, image, version, "
                "started_at, heartbeat_at, batch_id, service, config_source) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (*values, service, config_source),
            )
            detail = {"type": type, "mode": mode, "pool": pool, "pid": pid, "config_source": config_source}
            _note(connection, int(cursor.lastrowid), "started", detail, at)
            return int(cursor.lastrowid)

        worker_id = self.database.write("register", body)
        self.database.doorbell.ring("build")
        return worker_id

    def beat(self, worker_id: int, *, now: int | None = None) -> bool:
        """Say that a worker lives; false when it has been struck off and must end."""
        at = now_ms() if now is None else now
        rows = self.database.write(
            "beat",
            lambda connection: connection.execute(
                f"UPDATE workers SET heartbeat_at = ? WHERE id = ? AND {_LIVE} RETURNING id",
                (at, worker_id),
            ).fetchall(),
        )
        return bool(rows)

    def end(self, worker_id: int, reason: str, *, dead: bool = False, now: int | None = None) -> bool:
        """Strike a worker off: ``stopped`` by itself, or found ``dead``; false when it was off already."""
        at = now_ms() if now is None else now

        def body(connection: Any) -> bool:
            rows = connection.execute(
                f"UPDATE workers SET state = ?, ended_at = ?, reason = ?, job_id = NULL WHERE id = ? AND {_LIVE} "
                "RETURNING jobs_succeeded, jobs_failed, started_at",
                ("dead" if dead else "stopped", at, reason, worker_id),
            ).fetchall()
            if rows:
                succeeded, failed, started_at = rows[0]
                detail = {"reason": reason, "jobs": succeeded + failed, "uptime": (at - started_at) / 1000}
                _note(connection, worker_id, "dead" if dead else "stopped", detail, at)
            return bool(rows)

        ended = self.database.write("end_worker", body)
        self.database.doorbell.ring("build")
        return ended

    def list(self, *, live: bool = True, batch: int | None = None) -> builtins.list[WorkerRow]:
        """Workers by id; only the live ones unless told otherwise, only those of *batch* where it is given."""
        conditions = [_LIVE] if live else []
        if batch is not None:
            conditions.append("batch_id = :batch")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self.database.read(f"{_SELECT}{where} ORDER BY id", {"batch": batch} if batch is not None else {})
        return [WorkerRow(*row) for row in rows]

    def get(self, worker_id: int) -> WorkerRow | None:
        """One worker, or None."""
        rows = self.database.read(f"{_SELECT} WHERE id = ?", (worker_id,))
        return WorkerRow(*rows[0]) if rows else None

    def by_identity(self, identities: Sequence[str]) -> builtins.list[WorkerRow]:
        """The workers that run in the processes named."""
        if not identities:
            return []
        wanted = msgspec.json.encode(list(identities)).decode()
        return [
            WorkerRow(*row)
            for row in self.database.read(
                f"{_SELECT} WHERE identity IN (SELECT value FROM json_each(?)) ORDER BY id", (wanted,)
            )
        ]


def _note(connection: Any, worker_id: int, action: str, detail: Mapping[str, Any], now: int) -> None:
    connection.execute(
        "INSERT INTO worker_events (at, worker_id, action, detail) VALUES (?, ?, ?, ?)",
        (now, worker_id, action, msgspec.json.encode(detail).decode()),
    )
