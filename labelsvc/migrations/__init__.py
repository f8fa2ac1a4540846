"""The schema's history (Alembic); hides the tool: callers know ``HEAD`` and ``migrate``."""

from __future__ import annotations

from pathlib import Path

from labelsvc.db import Database

#: The newest revision. Kept here so that a start on a current schema needs no Alembic; a test compares it with versions/.
HEAD = "0001"


def migrate(database: Database) -> None:
    """Bring the schema to the newest revision; safe to call at every start, and from two processes at once."""
    if database.revision() == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database"] = database
    command.upgrade(config, "head")
