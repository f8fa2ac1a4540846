"""The schema's history (Alembic); hides the tool: callers know ``HEAD`` and ``upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labelsvc.db import Database

#: The newest revision. Kept here so that a start on a current schema needs no Alembic; a test compares it with versions/.
HEAD = "0001"


def upgrade(database: Database) -> None:
    """Run every revision that the database lacks, each in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database"] = database
    command.upgrade(config, "head")
