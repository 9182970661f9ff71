"""Alembic's entry point; CLX hands it an open connection (see clx.db.migrate)."""

from __future__ import annotations

from alembic import context

from clx.db.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
