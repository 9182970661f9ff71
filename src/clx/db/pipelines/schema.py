"""The tables of pipelines, drawn once (:mod:`clx.db.schema` has the others)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, text

from clx.db.drawing import Number, Text, metadata, one_of, where

pipeline_configs = Table(
    "pipeline_configs",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("yaml", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("deployments", Text, nullable=False, server_default=text("'[]'")),
    Column("schedule", Text),
    Column("lives", Number),
    Column("spawned", Number, nullable=False, server_default=text("0")),
    Column("created_at", Number, nullable=False),
    CheckConstraint("spawned >= 0", name="pipeline_config_spawned"),
    CheckConstraint("(schedule IS NULL) = (lives IS NULL)", name="pipeline_config_schedule"),
)
Index("pipeline_configs_name", pipeline_configs.c.name, pipeline_configs.c.id)

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("config_id", Text, ForeignKey("pipeline_configs.id", ondelete="CASCADE"), nullable=False),
    Column("matrix", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'running'")),
    Column("stage", Number),
    Column("reason", Text),
    Column("created_at", Number, nullable=False),
    Column("ended_at", Number),
    CheckConstraint(one_of("status", "running", "paused", "success", "failure", "cancelled"), name="pipeline_status"),
    CheckConstraint("(status = 'running' OR status = 'paused') = (ended_at IS NULL)", name="pipeline_ended"),
)
Index("pipelines_config", pipelines.c.config_id, pipelines.c.id)
Index("pipelines_live", pipelines.c.id, **where("ended_at IS NULL"))

pipeline_steps = Table(
    "pipeline_steps",
    metadata,
    Column("id", Number, primary_key=True),
    Column("pipeline_id", Text, ForeignKey("pipelines.id", ondelete="CASCADE"), nullable=False),
    Column("position", Number, nullable=False),
    Column("name", Text, nullable=False),
    Column("stage", Number),
    Column("status", Text, nullable=False, server_default=text("'created'")),
    Column("reason", Text),
    Column("works", Number, nullable=False, server_default=text("0")),
    Column("definition", Text, nullable=False),
    Column("started_at", Number),
    Column("ended_at", Number),
    CheckConstraint(
        one_of("status", "created", "running", "success", "failure", "cancelled"), name="pipeline_step_status"
    ),
    CheckConstraint("(status = 'created' OR status = 'running') = (ended_at IS NULL)", name="pipeline_step_ended"),
    sqlite_autoincrement=True,
)
Index("pipeline_steps_pipeline", pipeline_steps.c.pipeline_id, pipeline_steps.c.position, unique=True)
Index("pipeline_steps_running", pipeline_steps.c.pipeline_id, **where("status = 'running'"))
