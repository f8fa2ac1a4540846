"""The schema's history (Alembic); hides the tool: callers know ``HEAD`` and ``migrate``."""

from __future__ import annotations

from pathlib import Path

from labelsvc.db import Database
from labelsvc.errors import LabelsvcError

#: The newest revision. Kept here so that a start on a current schema needs no Alembic; a test compares it with versions/.
HEAD = "0008"


def migrate(database: Database) -> None:
    """Bring the schema to the newest revision, in one transaction; safe to call at every start, and from two processes at once.

    Rows of an earlier version are kept. Raises LabelsvcError ``database.newer`` for the database of a later version,
    ``key.missing`` if what is sealed in an earlier one can't be opened.
    """
    found = database.revision()
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise LabelsvcError(
            f"the database is a later version's (its schema is {found}, ours {HEAD}): start that version, or restore a backup",
            code="database.newer",
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database"] = database
    command.upgrade(config, "head")
