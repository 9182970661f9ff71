"""The tables of serving, drawn once (:mod:`clx.db.schema` has the others)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, text

from clx.db.drawing import Number, Text, metadata, one_of, where

_NONE, _NOTHING = text("0"), text("''")

serving_models = Table(
    "serving_models",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size", Number, nullable=False),
    Column("callable", Text, nullable=False, server_default=_NOTHING),
    Column("largest", Number, nullable=False, server_default=_NONE),
    Column("default_timeout", Number, nullable=False, server_default=_NONE),
    Column("chosen", Number, nullable=False, server_default=_NONE),
    Column("residence", Text, nullable=False, server_default=text("'loaded'")),
    Column("state", Text, nullable=False, server_default=text("'unloaded'")),
    Column("reason", Text, nullable=False, server_default=_NOTHING),
    Column("grown", Number, nullable=False, server_default=_NONE),
    Column("created_at", Number, nullable=False),
    Column("load_ns", Number, nullable=False, server_default=_NONE),
    PrimaryKeyConstraint("name", "version"),
    CheckConstraint("chosen IN (0, 1)", name="serving_model_chosen"),
    CheckConstraint("(digest = '') <> (callable = '')", name="serving_model_source"),
    CheckConstraint(one_of("residence", "unloaded", "loaded", "warm"), name="serving_model_residence"),
    CheckConstraint(one_of("state", "unloaded", "loading", "ready", "failed"), name="serving_model_state"),
    CheckConstraint("size >= 0 AND largest >= 0 AND default_timeout >= 0 AND grown >= 0", name="serving_model_numbers"),
    sqlite_with_rowid=False,
)
Index("serving_models_chosen", serving_models.c.name, unique=True, **where("chosen = 1"))

serving_settings = Table(
    "serving_settings",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("changes", Number, nullable=False, server_default=_NONE),
    PrimaryKeyConstraint("name"),
    sqlite_with_rowid=False,
)

# requests and actions are numbered by the server that had them; *server* counts its starts
serving_requests = Table(
    "serving_requests",
    metadata,
    Column("server", Number, nullable=False),
    Column("number", Number, nullable=False),
    Column("request", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("arrived_at", Number, nullable=False),
    Column("arrived_ns", Number, nullable=False),
    Column("began_ns", Number, nullable=False),
    Column("answered_ns", Number, nullable=False),
    Column("deadline_ns", Number, nullable=False),
    Column("rows", Number, nullable=False),
    Column("batch", Number, nullable=False),
    PrimaryKeyConstraint("server", "number"),
    sqlite_with_rowid=False,
)
Index("serving_requests_arrived", serving_requests.c.arrived_at)

serving_actions = Table(
    "serving_actions",
    metadata,
    Column("server", Number, nullable=False),
    Column("number", Number, nullable=False),
    Column("kind", Text, nullable=False),
    Column("worker", Number, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("sent_at", Number, nullable=False),
    Column("sent_ns", Number, nullable=False),
    Column("ended_ns", Number, nullable=False),
    Column("expected_ns", Number, nullable=False),
    Column("took_ns", Number, nullable=False),
    Column("requests", Number, nullable=False),
    Column("rows", Number, nullable=False),
    PrimaryKeyConstraint("server", "number"),
    sqlite_with_rowid=False,
)
Index("serving_actions_sent", serving_actions.c.sent_at)

# what a server says of the models that it serves, at most once a second; those of an older server go when one begins
serving_figures = Table(
    "serving_figures",
    metadata,
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("server", Number, nullable=False),
    Column("told_at", Number, nullable=False),
    Column("state", Text, nullable=False),
    Column("success", Number, nullable=False),
    Column("refused", Number, nullable=False),
    Column("missed", Number, nullable=False),
    Column("failed", Number, nullable=False),
    Column("withdrawn", Number, nullable=False),
    Column("bytes", Number, nullable=False),
    Column("p50_ns", Number, nullable=False),
    Column("p99_ns", Number, nullable=False),
    Column("p999_ns", Number, nullable=False),
    Column("detail", Text, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("model", "version"),
    CheckConstraint(
        "success >= 0 AND refused >= 0 AND missed >= 0 AND failed >= 0 AND withdrawn >= 0 AND bytes >= 0",
        name="serving_figure_numbers",
    ),
    sqlite_with_rowid=False,
)
