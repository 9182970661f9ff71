"""The tables, drawn once. Each database's ``schema.sql`` is generated from here and tested to agree.

A fresh database is made from its ``schema.sql``, so that no process of a build needs to import SQLAlchemy; migrations
(``clx/db/migrations``) start from :data:`metadata`.
The state machine of a job lives in CHECK constraints and partial indexes, not in code alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import (
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Table,
    text,
)

import clx.db.calls.schema
import clx.db.lake.schema
import clx.db.pipelines.schema
import clx.db.serving.schema
import clx.db.works.schema  # noqa: F401  (they draw tables)
from clx.db.drawing import Number, Text, metadata, one_of, where

__all__ = ["LIVE_WORKER", "REVISION", "ddl", "metadata", "postgresql_ddl"]

REVISION = "0014"
"""The migration that this schema corresponds to."""

_LIVE_TABLE = (
    "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0, "
    "autovacuum_analyze_scale_factor = 0.02, vacuum_index_cleanup = on"
)
"""For PostgreSQL: room for the next version of a row on its page, so that heartbeats touch no index, and old versions
that are removed before they are many, from the indexes, too."""
_BUSY_TABLES = ("jobs", "workers", "batches")


LIVE_WORKER = "state IN ('starting', 'idle', 'busy', 'stopping', 'hung')"

workers = Table(
    "workers",
    metadata,
    Column("id", Number, primary_key=True),
    Column("type", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Number, nullable=False),
    Column("identity", Text, nullable=False),
    Column("container_id", Text),
    Column("image", Text),
    Column("version", Text, nullable=False),
    Column("started_at", Number, nullable=False),
    Column("heartbeat_at", Number, nullable=False),
    Column("ended_at", Number),
    Column("reason", Text),
    Column("jobs_succeeded", Number, nullable=False, server_default=text("0")),
    Column("jobs_failed", Number, nullable=False, server_default=text("0")),
    Column("batch_id", Number),
    Column("service", Text),
    Column("config_source", Text),
    Column("free_disk", Number),
    CheckConstraint("mode IN ('direct', 'docker')", name="worker_mode"),
    CheckConstraint(
        "state IN ('starting', 'idle', 'busy', 'stopping', 'hung', 'dead', 'stopped')", name="worker_state"
    ),
    CheckConstraint("(state IN ('dead', 'stopped')) = (ended_at IS NOT NULL)", name="worker_ended"),
    sqlite_autoincrement=True,
)
Index("workers_live", workers.c.type, workers.c.pool, **where(LIVE_WORKER)).ddl_if("sqlite")
# a program that takes jobs of very many types names them all, and PostgreSQL indexes 2,700 bytes
Index("workers_live", workers.c.id, **where(LIVE_WORKER)).ddl_if("postgresql")

jobs = Table(
    "jobs",
    metadata,
    Column("id", Number, primary_key=True),
    Column("type", Text, nullable=False),
    Column("pool", Text, nullable=False, server_default=text("''")),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("priority", Number, nullable=False, server_default=text("3")),
    Column("payload", Text, nullable=False),
    Column("key", Text),
    Column("run", Number, nullable=False, server_default=text("0")),
    Column("released", Number, nullable=False, server_default=text("0")),
    Column("kills", Number, nullable=False, server_default=text("0")),
    Column("max_runs", Number, nullable=False, server_default=text("3")),
    Column("ready", Number, nullable=False, server_default=text("1")),
    Column("claim_rank", Number, nullable=False, server_default=text("2")),
    Column("not_before", Number, nullable=False, server_default=text("0")),
    Column("deadline", Number, nullable=False, server_default=text("9223372036854775807")),
    Column("timeout", Number),
    Column("lease_until", Number),
    Column("lease", Number),
    # no foreign key: workers are pruned long before their jobs, and the check would cost a look-up per claim
    Column("worker_id", Number),
    Column("waits_for", Number, nullable=False, server_default=text("0")),
    Column("unbatched", Number, nullable=False, server_default=text("0")),
    Column("cancel_requested", Number, nullable=False, server_default=text("0")),
    Column("progress", Text),
    Column("result", Text),
    Column("error", Text),
    Column("created_at", Number, nullable=False),
    Column("started_at", Number),
    Column("finished_at", Number),
    Column("rescues", Number, nullable=False, server_default=text("0")),
    Column("after_id", Number),
    Column("expires_at", Number),
    Column("limit_name", Text),
    Column("held", Number, nullable=False, server_default=text("0")),
    CheckConstraint(one_of("state", "queued", "running", "succeeded", "failed", "cancelled"), name="job_state"),
    CheckConstraint("priority BETWEEN 1 AND 5", name="job_priority"),
    CheckConstraint("ready IN (0, 1) AND unbatched IN (0, 1)", name="job_ready"),
    CheckConstraint("waits_for >= 0 AND (waits_for = 0 OR ready = 0)", name="job_waits"),
    CheckConstraint("max_runs >= 1 AND run >= 0 AND released BETWEEN 0 AND run", name="job_runs"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="job_lease"),
    CheckConstraint("state <> 'running' OR (worker_id IS NOT NULL AND run > 0 AND lease > 0)", name="job_claimed"),
    CheckConstraint("(state IN ('queued', 'running')) = (finished_at IS NULL)", name="job_finished"),
    CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="job_failed_why"),
    sqlite_autoincrement=True,
)
Index(
    "jobs_claim",
    jobs.c.pool,
    jobs.c.type,
    jobs.c.claim_rank,
    jobs.c.deadline,
    jobs.c.id,
    **where("state = 'queued' AND ready = 1"),
)
# PostgreSQL's claims begin above what has been done (clx.db.postgresql.frontier); these may lie below. One expression,
# so that the index of claims, which has all those entries, is not taken for the question
Index(
    "jobs_again",
    jobs.c.pool,
    jobs.c.type,
    jobs.c.claim_rank,
    jobs.c.deadline,
    jobs.c.id,
    **where(
        "CASE WHEN state = 'queued' AND ready = 1 THEN run <> 0 OR not_before <> 0 OR deadline < 9223372036854775807 "
        "OR claim_rank < 0 OR claim_rank >= 5 ELSE false END"
    ),
).ddl_if("postgresql")
Index("jobs_delayed", jobs.c.not_before, **where("state = 'queued' AND ready = 0 AND waits_for = 0"))
# few rows run at a time: one small index serves both "what does this worker hold" and "whose lease is over"
Index("jobs_running", jobs.c.worker_id, jobs.c.lease_until, **where("state = 'running'")).ddl_if("sqlite")
# with the lease in an index PostgreSQL would have to write all indexes anew with each heartbeat
Index("jobs_running", jobs.c.worker_id, **where("state = 'running'")).ddl_if("postgresql")
Index(
    "jobs_live_key",
    jobs.c.key,
    jobs.c.type,
    jobs.c.pool,
    unique=True,
    **where("key IS NOT NULL AND state IN ('queued', 'running') AND after_id IS NULL"),
)
# one job of a key waits behind one that runs
Index(
    "jobs_behind",
    jobs.c.after_id,
    unique=True,
    **where("after_id IS NOT NULL AND state = 'queued'"),
)
# what expires, and what a limit holds back: rare rows, so that nothing else pays for them
Index("jobs_expiring", jobs.c.expires_at, **where("state = 'queued' AND expires_at IS NOT NULL"))
Index(
    "jobs_limited",
    jobs.c.limit_name,
    jobs.c.held,
    jobs.c.claim_rank,
    jobs.c.deadline,
    jobs.c.id,
    **where("limit_name IS NOT NULL AND finished_at IS NULL"),
)
# for looking: none of these costs a plain enqueue, or a plain success, anything
Index("jobs_ended_key", jobs.c.key, **where("key IS NOT NULL AND finished_at IS NOT NULL"))
# counts of what has ended, of which nearly all jobs of a long table are; those that live are in the indexes above
Index("jobs_ended", jobs.c.type, jobs.c.state, **where("finished_at IS NOT NULL"))
# those that can be searched for beside the ones that other indexes hold; one, because each is asked at every change
Index("jobs_aside", jobs.c.id, jobs.c.state, **where("waits_for > 0 OR state IN ('failed', 'cancelled')"))

runs = Table(
    "runs",
    metadata,
    Column("job_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("run", Number, nullable=False),
    Column("worker_id", Number, nullable=False),
    Column("started_at", Number, nullable=False),
    Column("ended_at", Number, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error", Text),
    Column("cause", Text),
    Column("stderr", Text),
    Column("peak_memory", Number),
    PrimaryKeyConstraint("job_id", "run"),
    CheckConstraint(one_of("outcome", "succeeded", "failed", "rescued", "released", "cancelled"), name="run_outcome"),
    sqlite_with_rowid=False,
)

batches = Table(
    "batches",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'live'")),
    Column("host", Text, nullable=False),
    Column("pid", Number, nullable=False),
    Column("identity", Text, nullable=False),
    Column("lease_until", Number, nullable=False),
    Column("callback", Text),
    Column("callback_job", Number),
    Column("pending", Number, nullable=False, server_default=text("0")),
    Column("created_at", Number, nullable=False),
    Column("finished_at", Number),
    CheckConstraint("state IN ('live', 'done', 'abandoned')", name="batch_state"),
    CheckConstraint("pending >= 0", name="batch_pending"),
    CheckConstraint("(state = 'live') = (finished_at IS NULL)", name="batch_finished"),
    sqlite_autoincrement=True,
)
Index("batches_live", batches.c.id, **where("state = 'live'"))

batch_jobs = Table(
    "batch_jobs",
    metadata,
    Column("batch_id", Number, ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
    Column("job_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("batch_id", "job_id"),
    Index("batch_jobs_job", "job_id"),
    sqlite_with_rowid=False,
)

dependencies = Table(
    "dependencies",
    metadata,
    Column("job_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("needs_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("job_id", "needs_id"),
    CheckConstraint("job_id <> needs_id", name="dependency_of_another"),
    Index("dependencies_needs", "needs_id"),
    sqlite_with_rowid=False,
)

worker_events = Table(
    "worker_events",
    metadata,
    Column("id", Number, primary_key=True),
    Column("at", Number, nullable=False),
    Column("worker_id", Number, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("used_at", Number, nullable=False),
    PrimaryKeyConstraint("key", "type"),
    sqlite_with_rowid=False,
)

recent_keys = Table(
    "recent_keys",
    metadata,
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("job_id", Number, nullable=False),
    Column("unique_until", Number, nullable=False),
    PrimaryKeyConstraint("key", "type", "pool"),
    sqlite_with_rowid=False,
)

limits = Table(
    "limits",
    metadata,
    Column("name", Text, nullable=False),
    Column("concurrency", Number),
    Column("rate", Number),
    Column("period", Number),
    Column("window_at", Number, nullable=False, server_default=text("0")),
    Column("used", Number, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("name"),
    CheckConstraint("concurrency IS NULL OR concurrency >= 1", name="limit_concurrency"),
    CheckConstraint(
        "(rate IS NULL) = (period IS NULL) AND (rate IS NULL OR (rate >= 1 AND period >= 1))", name="limit_rate"
    ),
    sqlite_with_rowid=False,
)

paused = Table(
    "paused",
    metadata,
    Column("type", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("paused_at", Number, nullable=False),
    PrimaryKeyConstraint("type", "pool"),
    sqlite_with_rowid=False,
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("overlap", Text, nullable=False, server_default=text("'skip'")),
    Column("catch_up", Text, nullable=False, server_default=text("'last'")),
    Column("catch_up_window", Number, nullable=False),
    Column("ends_at", Number),
    Column("paused", Number, nullable=False, server_default=text("0")),
    Column("next_at", Number),
    Column("created_at", Number, nullable=False),
    PrimaryKeyConstraint("name"),
    CheckConstraint("overlap IN ('skip', 'queue', 'cancel')", name="schedule_overlap"),
    CheckConstraint("catch_up IN ('none', 'last', 'all')", name="schedule_catch_up"),
    CheckConstraint("paused IN (0, 1)", name="schedule_paused"),
    sqlite_with_rowid=False,
)
Index("schedules_due", schedules.c.next_at, **where("paused = 0 AND next_at IS NOT NULL"))

fires = Table(
    "fires",
    metadata,
    Column("schedule", Text, ForeignKey("schedules.name", ondelete="CASCADE"), nullable=False),
    Column("fire_at", Number, nullable=False),
    Column("fired_at", Number, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("job_id", Number),
    PrimaryKeyConstraint("schedule", "fire_at"),
    CheckConstraint("outcome IN ('queued', 'skipped', 'missed')", name="fire_outcome"),
    CheckConstraint("(outcome = 'queued') = (job_id IS NOT NULL)", name="fire_job"),
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    Column("used_at", Number),
    Column("expires_at", Number),
    Column("revoked_at", Number),
    CheckConstraint("role IN ('read', 'work', 'admin')", name="token_role"),
    sqlite_autoincrement=True,
)
Index("tokens_digest", tokens.c.digest, unique=True)

outputs = Table(
    "outputs",
    metadata,
    Column("target", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("slice", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size", Number, nullable=False),
    Column("mtime_ns", Number, nullable=False),
    Column("course", Text, nullable=False, server_default=text("''")),
    Column("output", Text, nullable=False, server_default=text("''")),
    Column("task", Text, nullable=False, server_default=text("''")),
    Column("key", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("target", "path"),
    sqlite_with_rowid=False,
)
Index("outputs_course", outputs.c.course, outputs.c.output)

files = Table(
    "files",
    metadata,
    Column("root", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size", Number, nullable=False),
    Column("mtime_ns", Number, nullable=False),
    Column("inode", Number, nullable=False),
    Column("digest", Text, nullable=False),
    Column("ctime_ns", Number, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("root", "path"),
    sqlite_with_rowid=False,
)

sources = Table(
    "sources",
    metadata,
    Column("root", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("facts", Text, nullable=False),
    PrimaryKeyConstraint("root", "path"),
    sqlite_with_rowid=False,
)


def ddl() -> str:
    """The statements that make a fresh SQLite database, in order."""
    from sqlalchemy.dialects import sqlite

    return _text([*_statements(sqlite.dialect()), *_VERSION])


def postgresql_ddl() -> str:
    """The statements that make the tables in a schema of a PostgreSQL database, in order."""
    from sqlalchemy.dialects import postgresql

    options = [f"ALTER TABLE {name} SET ({_LIVE_TABLE});" for name in _BUSY_TABLES]
    return _text([*_statements(postgresql.dialect()), *options, *_VERSION])  # type: ignore[no-untyped-call]


_VERSION = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);",
    f"INSERT INTO alembic_version VALUES ('{REVISION}');",
)


def _statements(dialect: Dialect) -> Iterator[str]:
    from sqlalchemy.schema import CreateIndex, CreateTable

    for table in metadata.sorted_tables:
        yield f"{str(CreateTable(table).compile(dialect=dialect)).strip()};"
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            only = index._ddl_if
            if only is None or only.dialect == dialect.name:
                yield f"{str(CreateIndex(index).compile(dialect=dialect)).strip()};"


def _text(statements: Iterable[str]) -> str:
    parts = ["-- Generated by `python -m clx.db.schema`; edit schema.py instead.", *statements]
    return "\n".join(line.rstrip() for line in "\n\n".join(parts).replace("\t", "  ").splitlines()) + "\n"


if __name__ == "__main__":
    from pathlib import Path

    for room, made in (("sqlite", ddl()), ("postgresql", postgresql_ddl())):
        (Path(__file__).parent / room / "schema.sql").write_text(made, encoding="utf-8")
