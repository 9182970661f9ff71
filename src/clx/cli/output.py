"""What a command has found: the data first, as one JSON document, and the same in words.

The keys of the documents are only ever added to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clx.cli.terminal import echo
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clx.db.workers import WorkerRow
    from clx.workers.supervision.status import WorkerStatus

F = TypeVar("F", bound=Callable[..., Any])

format_choice = click.option(
    "--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How it is printed."
)
"""``--format`` of a command that prints as it goes; others have :func:`format_option`."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command has found.

    Attributes:
        document: for programs.
        lines: for people; iterated only when they are shown.
        asides: lines for people that come first, on standard error.
        exit_code: what the command ends with.
    """

    document: dict[str, Any]
    lines: Iterable[str]
    asides: Iterable[str] = ()
    exit_code: int = 0

    def show(self, format_: str) -> None:
        """Print it, and end with its code."""
        if format_ == "json":
            print_json(self.document)
        else:
            for text in self.asides:
                echo(text, err=True)
            for text in self.lines:
                echo(text)
        if self.exit_code:
            click.get_current_context().exit(self.exit_code)


def format_option(command: F) -> F:
    """``--format``: for people, or one JSON document; the command returns an :class:`Output`."""

    @wraps(command)
    def run(*arguments: Any, format_: str, **options: Any) -> None:
        command(*arguments, **options).show(format_)

    return format_choice(run)  # type: ignore[return-value]


def print_json(document: dict[str, Any]) -> None:
    """One document, for a program that reads standard output."""
    echo(json.dumps(document, indent=2))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns, the last one as long as it is."""
    cells = [headings, *([visible_line(cell) for cell in row] for row in rows)]
    widths = [*(max(map(len, column)) for column in zip(*cells, strict=True))]
    widths[-1] = 0
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


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
        "free_disk": row.free_disk,
        "odd": list(row.odd),
    }


def member_document(member: WorkerStatus) -> dict[str, Any]:
    """A worker as it is now; times in seconds, memory in bytes."""
    job = member.job
    return worker_document(member.row) | {
        "here": member.is_here,
        "status": member.status,
        "reason": member.reason,
        "routines": list(member.routines),
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
