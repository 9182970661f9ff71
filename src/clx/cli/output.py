"""Workers as tables and JSON documents. The keys of the documents are only ever added to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clx.db.workers import WorkerRow
    from clx.workers.supervision.roster import Member


def worker_document(row: WorkerRow) -> dict[str, Any]:
    """What the table says of a worker."""
    return {
        "id": row.id,
        "type": row.type,
        "mode": row.mode,
        "pid": row.pid,
        "host": row.host,
        "container_id": row.container_id,
        "image": row.image,
        "pool": row.pool,
        "version": row.version,
        "started_at": row.started_at / 1000,
        "heartbeat_at": row.heartbeat_at / 1000,
        "jobs_succeeded": row.jobs_succeeded,
        "jobs_failed": row.jobs_failed,
        "batch": row.batch_id,
        "service": row.service,
        "config_source": row.config_source,
        "odd": list(row.odd),
    }


def member_document(member: Member) -> dict[str, Any]:
    """A worker as it is now; times in seconds, memory in bytes."""
    job = member.job
    return worker_document(member.row) | {
        "status": member.status,
        "reason": member.reason,
        "uptime": round(member.uptime, 3),
        "memory": member.memory,
        "current_job": None if job is None else {"id": job.id, "type": job.type, "what": job_words(job.payload)},
    }


def job_words(payload: object) -> str:
    """What a job is about, in few words; what is no mapping, which only other programs write, as it stands."""
    if not isinstance(payload, dict):
        return shortened(str(payload))
    parts = [payload.get("source") or payload.get("deck") or "", payload.get("task") or "", payload.get("lang") or ""]
    return " ".join(str(part) for part in parts if part)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def print_table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Aligned columns, the last one as long as it is."""
    rows = [tuple(visible_line(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    widths[-1] = 0
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headings, *rows]
    ]
    return "\n".join(lines)
