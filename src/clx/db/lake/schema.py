"""The table of lakes, drawn once (:mod:`clx.db.schema` has the others)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, text

from clx.db.drawing import Number, Text, metadata

_NOTHING = text("''")

lake_versions = Table(
    "lake_versions",
    metadata,
    Column("lake", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("version", Number, nullable=False),
    Column("files", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("rows", Number, nullable=False),
    Column("missing", Text, nullable=False, server_default=text("'[]'")),
    Column("checks", Text, nullable=False, server_default=text("'[]'")),
    Column("flow", Text, nullable=False, server_default=_NOTHING),
    Column("step", Text, nullable=False, server_default=_NOTHING),
    Column("code", Text, nullable=False, server_default=_NOTHING),
    Column("inputs", Text, nullable=False, server_default=text("'{}'")),
    Column("made_of", Text, nullable=False, server_default=text("'{}'")),
    Column("host", Text, nullable=False, server_default=_NOTHING),
    Column("made_at", Number, nullable=False),
    PrimaryKeyConstraint("lake", "dataset", "day", "version"),
    CheckConstraint("version >= 1 AND rows >= 0", name="lake_version_numbers"),
    sqlite_with_rowid=False,
)
Index("lake_versions_days", lake_versions.c.flow, lake_versions.c.day)
