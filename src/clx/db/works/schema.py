"""The tables of works, drawn once (:mod:`clx.db.schema` has the others)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, text

from clx.db.drawing import Number, Text, metadata, one_of, where

works = Table(
    "works",
    metadata,
    Column("job_id", Number, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("owner", Text, nullable=False),
    # microseconds: they are compared with what was told in seconds as a float, and must be found again exactly
    Column("creation", Number, nullable=False),
    Column("start", Number),
    Column("stop", Number),
    Column("attempt", Number, nullable=False, server_default=text("0")),
    Column("retries", Number, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    Column("archived", Number, nullable=False, server_default=text("0")),
    Column("locked", Number, nullable=False, server_default=text("0")),
    Column("in_bucket", Number, nullable=False, server_default=text("1")),
    Column("in_results", Number, nullable=False, server_default=text("0")),
    Column("names_artifacts", Number, nullable=False, server_default=text("0")),
    Column("document", Text, nullable=False),
    # no foreign key: a work stays when its pipeline is removed, and the check would cost a look-up per work
    Column("step_id", Number),
    CheckConstraint(one_of("status", "queued", "running", "success", "failure", "cancelled"), name="work_status"),
    CheckConstraint("attempt >= 0 AND retries >= 0", name="work_attempts"),
    CheckConstraint(
        "archived IN (0, 1) AND locked IN (0, 1) AND in_bucket IN (0, 1) AND in_results IN (0, 1) "
        "AND names_artifacts IN (0, 1)",
        name="work_flags",
    ),
)
Index("works_id", works.c.id, unique=True)
Index("works_pipeline", works.c.pipeline, works.c.job_id)
Index("works_owner", works.c.owner, works.c.job_id)
Index("works_creation", works.c.creation)
# counts of what is in a bucket; what was moved on to the results leaves it
Index("works_bucket", works.c.pipeline, works.c.status, **where("in_bucket = 1"))
# what is moved on comes into it, many at a time
Index("works_results", works.c.pipeline, **where("in_results = 1"))
Index("works_step", works.c.step_id, works.c.status, **where("step_id IS NOT NULL"))
Index("works_artifacts", works.c.job_id, **where("names_artifacts = 1"))

work_labels = Table(
    "work_labels",
    metadata,
    Column("job_id", Number, ForeignKey("works.job_id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("job_id", "kind", "value"),
    CheckConstraint(one_of("kind", "tag", "group", "event", "parent"), name="work_label_kind"),
    sqlite_with_rowid=False,
)
Index("work_labels_value", work_labels.c.kind, work_labels.c.value, work_labels.c.job_id)
