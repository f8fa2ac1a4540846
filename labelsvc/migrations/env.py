"""Alembic's entry: runs revisions on the connection that ``labelsvc.migrations.migrate`` hands over."""

from __future__ import annotations

from alembic import context

from labelsvc.db import Database, metadata

database: Database = context.config.attributes["database"]

# One at a time over the look and the change: of two processes that start at once, the second finds nothing to do.
with database.changing_schema() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True
    )
    with context.begin_transaction():
        context.run_migrations()
