"""The tables of calls and routines, drawn once (:mod:`clx.db.schema` has the others)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table

from clx.db.drawing import Number, Text, metadata, where

calls = Table(
    "calls",
    metadata,
    Column("parent_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("occurrence", Number, nullable=False),
    Column("type", Text),
    # no foreign key: what was called may be pruned before its caller, which still tells of it
    Column("job_id", Number),
    Column("value", Text),
    Column("created_at", Number, nullable=False),
    PrimaryKeyConstraint("parent_id", "name", "occurrence"),
    CheckConstraint("(type IS NULL) = (value IS NOT NULL)", name="call_or_value"),
    CheckConstraint("value IS NULL OR job_id IS NULL", name="call_value"),
    sqlite_with_rowid=False,
)
Index("calls_job", calls.c.job_id, **where("job_id IS NOT NULL"))

wants = Table(
    "wants",
    metadata,
    Column("job_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Number, nullable=False),
    PrimaryKeyConstraint("job_id", "name"),
    sqlite_with_rowid=False,
)

routines = Table(
    "routines",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("module", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("doc", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("after_id", Text),
    Column("after_on", Text),
    Column("parameter", Text),
    Column("seen_at", Number, nullable=False),
    PrimaryKeyConstraint("id"),
    CheckConstraint("after_on IS NULL OR after_on IN ('success', 'failure', 'always')", name="routine_after_on"),
    CheckConstraint("(after_id IS NULL) = (after_on IS NULL)", name="routine_after"),
    sqlite_with_rowid=False,
)
Index("routines_after", routines.c.after_id, **where("after_id IS NOT NULL"))
