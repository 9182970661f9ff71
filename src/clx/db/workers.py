"""Workers as the table knows them: they register themselves, beat, and are struck off when they end."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from clx.db.database import Database
from clx.db.doorbell import ENDED
from clx.db.identity import is_gone, is_of_an_earlier_boot
from clx.db.models import told_or_shown
from clx.db.odd_rows import Reader
from clx.db.transaction import Transaction

_NAMES = (
    "id", "type", "pool", "mode", "state", "host", "pid", "identity", "container_id", "image", "version", "started_at",
    "heartbeat_at", "ended_at", "reason", "jobs_succeeded", "jobs_failed", "job_id", "batch_id", "service",
    "config_source", "free_disk",
)  # fmt: skip
_JOB = "(SELECT id FROM jobs WHERE state = 'running' AND worker_id = workers.id LIMIT 1)"
_COMPUTED = {
    "job_id": _JOB,
    "state": f"CASE WHEN state IN ('starting', 'idle') AND {_JOB} IS NOT NULL THEN 'busy' ELSE state END",
}
"""What a worker holds is asked of the jobs: kept in its row as well, it would cost every claim a page more."""
_SELECT = f"SELECT {', '.join(_COMPUTED.get(name, name) for name in _NAMES)} FROM workers"
_READER = Reader.of("workers", _NAMES, job_id="jobs.worker_id")
_EVENT = Reader.of("worker_events", ("action", "detail"))
_LIVE = "state IN ('starting', 'idle', 'busy', 'stopping', 'hung')"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker; times in milliseconds UTC.

    Attributes:
        free_disk: bytes free where it keeps what it makes, at its last heartbeat; None: it does not tell.
        odd: what is odd in its row, in words (:mod:`clx.db.odd_rows`); only other programs write such.
        elsewhere_too: whether workers of other machines may be in its table: names and clocks of these say nothing.
    """

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
    free_disk: int | None = None
    odd: tuple[str, ...] = ()
    elsewhere_too: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Type and pool: what tells one kind of worker from another."""
        return (self.type, self.pool)

    @property
    def types(self) -> tuple[str, ...]:
        """The job types it takes: a program that claims jobs itself may name several, with commas between."""
        return (self.type, *self.type.split(","))

    def is_gone(self) -> bool:
        """Whether its process is known to have ended; false where that cannot be judged from here."""
        if self.elsewhere_too:  # a machine of the same name may be another one
            return is_gone(self.identity)
        return is_gone(self.identity) or is_of_an_earlier_boot(self.identity, self.host, self.heartbeat_at)


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
        log: str | None = None,
        routines: Sequence[str] = (),
        elsewhere: bool = False,
    ) -> int:
        """Enter a worker, idle (REQ-5.1); returns its id.

        Args:
            log: names the file that takes its output.
            routines: the job types it takes, where *type* is a kind of workers that take several.
            elsewhere: as of :meth:`beat`.
        """

        def body(tx: Transaction) -> int:
            at = (tx.now, tx.now)
            values = (type, pool, mode, "idle", host, pid, identity, container_id, image, version, *at, batch_id)
            worker_id = tx.insert(
                "INSERT INTO workers (type, pool, mode, state, host, pid, identity, container_id, image, version, "
                "started_at, heartbeat_at, batch_id, service, config_source, free_disk) "
                "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (*values, service, config_source, None if elsewhere else free_disk(self.database.state.shared)),
            )
            detail = {"type": type, "mode": mode, "pool": pool, "pid": pid, "config_source": config_source, "log": log}
            detail |= {"routines": list(routines)} if routines else {}
            _note(tx, worker_id, "started", detail)
            tx.bells.add(ENDED)
            return worker_id

        return self.database.write("register", body)

    def beat(self, worker_id: int, *, elsewhere: bool = False) -> str | None:
        """Say that a worker lives; returns its state, None when it has been struck off and must end.

        Args:
            elsewhere: somebody else says so for it, so that nothing is known of its disk.
        """
        sql = f"UPDATE workers SET heartbeat_at = ?, free_disk = ? WHERE id = ? AND {_LIVE} RETURNING state"
        free = None if elsewhere else free_disk(self.database.state.shared)

        def body(tx: Transaction) -> str | None:
            rows = tx.execute(sql, (tx.now, free, worker_id)).fetchall()
            return str(rows[0][0]) if rows else None

        return self.database.write("beat", body)

    def end(self, worker_id: int, reason: str, *, dead: bool = False) -> bool:
        """Strike a worker off: ``stopped`` by itself, or found ``dead``; false when it was off already."""

        def body(tx: Transaction) -> bool:
            tx.bells.add(ENDED)
            return end_worker(tx, worker_id, reason, dead=dead)

        return self.database.write("end_worker", body)

    def list(self, *, live: bool = True, batch: int | None = None, after: int = 0) -> builtins.list[WorkerRow]:
        """Workers by id, those with ids above *after*.

        Args:
            live: only those that have not ended.
            batch: only those of this batch.
        """
        conditions = ["id > :after", *([_LIVE] if live else [])]
        if batch is not None:
            conditions.append("batch_id = :batch")
        rows = self.database.read(
            f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY workers.id",
            {"after": after} | ({} if batch is None else {"batch": batch}),
        )
        return [self._from_row(row) for row in rows]

    def assign(self, worker_id: int, old: str, new: str) -> bool:
        """Move a live worker from pool *old* to pool *new*; false when it is not in *old* (any more)."""
        sql = f"UPDATE workers SET pool = ? WHERE id = ? AND pool = ? AND {_LIVE} RETURNING type"

        def body(tx: Transaction) -> bool:
            types = [row[0] for row in tx.execute(sql, (new, worker_id, old)).fetchall()]
            tx.bells.update(types)
            return bool(types)

        return self.database.write("assign", body)

    def routines(self, worker_id: int) -> tuple[str, ...]:
        """The job types that a worker of several takes, as it registered."""
        started = self.events(worker_id, action="started")
        told = started[0][1].get("routines") if started else None
        return tuple(map(str, told)) if isinstance(told, builtins.list) else ()

    def newest_id(self) -> int:
        """The highest id there is; 0 without workers."""
        return int(self.database.read("SELECT coalesce(max(id), 0) FROM workers")[0][0])

    def request_stop(self, worker_id: int, reason: str, *, grace: float) -> bool:
        """Ask a worker to end; it takes no more jobs and hands its own back after *grace* seconds from now.

        A worker of this machine is woken by a signal besides; any other sees it with its next beat.

        Returns:
            False when it has ended already.
        """

        def body(tx: Transaction) -> bool:
            sql = f"UPDATE workers SET state = 'stopping' WHERE id = ? AND {_LIVE} RETURNING id"
            found = tx.execute(sql, (worker_id,)).fetchall()
            if found:
                detail = {"reason": reason, "until": tx.now + int(grace * 1000)}
                _note(tx, worker_id, "stop_requested", detail)
            return bool(found)

        return self.database.write("request_stop", body)

    def stop_request(self, worker_id: int) -> dict[str, Any] | None:
        """The newest request to end (``reason``, ``until``); None when nobody asked."""
        found = self.events(worker_id, action="stop_requested")
        return found[-1][1] if found else None

    def note(self, worker_id: int, action: str, detail: Mapping[str, Any]) -> None:
        """Keep an event about a worker; worker 0 stands for a whole service."""

        def body(tx: Transaction) -> None:
            _note(tx, worker_id, action, detail)
            tx.bells.add(ENDED)

        self.database.write("note", body)

    def events(
        self, worker_id: int, *, action: str | None = None, after: int = 0
    ) -> builtins.list[tuple[str, dict[str, Any]]]:
        """What happened to a worker since *after* (milliseconds UTC): action and detail, oldest first.

        What another program wrote in place of a detail is its ``message``.
        """
        rows = self.database.read(
            "SELECT action, detail FROM worker_events WHERE worker_id = :id AND at >= :after "
            "AND (CAST(:action AS TEXT) IS NULL OR action = :action) ORDER BY id",
            {"id": worker_id, "after": after, "action": action},
        )
        return [(_EVENT.read(row)[0][0], told_or_shown(row[1]) or {}) for row in rows]

    def get(self, worker_id: int) -> WorkerRow | None:
        """One worker, or None."""
        rows = self.database.read(f"{_SELECT} WHERE id = ?", (worker_id,))
        return self._from_row(rows[0]) if rows else None

    def _from_row(self, row: Sequence[Any]) -> WorkerRow:
        values, odd = _READER.read(row)
        values += [odd, self.database.is_served]
        return WorkerRow(*values)


def free_disk(directory: Path) -> int | None:
    """Bytes free on the disk that *directory* is on, or will be; None: nobody can tell."""
    import shutil  # what it brings along, most programs never need

    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def end_worker(tx: Transaction, worker_id: int, reason: str, *, dead: bool) -> bool:
    """Strike a worker off within somebody's transaction; false when it was off already."""
    rows = tx.execute(
        f"UPDATE workers SET state = ?, ended_at = ?, reason = ? WHERE id = ? AND {_LIVE} "
        "RETURNING jobs_succeeded, jobs_failed, started_at",
        ("dead" if dead else "stopped", tx.now, reason, worker_id),
    ).fetchall()
    if rows:
        succeeded, failed, started_at = rows[0]
        counted = all(isinstance(each, int) for each in rows[0])  # else another program wrote it
        detail: dict[str, Any] = {"reason": reason}
        if counted:
            detail |= {"jobs": succeeded + failed, "uptime": (tx.now - started_at) / 1000}
        _note(tx, worker_id, "dead" if dead else "stopped", detail)
    return bool(rows)


def register_this_process(database: Database, type_: str, pool: str = "", mode: str = "direct", **more: Any) -> int:
    """Enter this process as a worker of *type_*, with what else :meth:`WorkerTable.register` takes; returns its id."""
    import os
    import platform

    from clx import __version__
    from clx.db.identity import process_identity

    more.setdefault("host", platform.node())
    return WorkerTable(database).register(
        type=type_, pool=pool, mode=mode, pid=os.getpid(), identity=process_identity(),
        version=__version__, **more,
    )  # fmt: skip


def _note(tx: Transaction, worker_id: int, action: str, detail: Mapping[str, Any]) -> None:
    tx.execute(
        "INSERT INTO worker_events (at, worker_id, action, detail) VALUES (?, ?, ?, ?)",
        (tx.now, worker_id, action, msgspec.json.encode(detail).decode()),
    )
