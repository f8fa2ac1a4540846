"""The audit trail (R1): who looked at clear personal data, or changed what protects them, when, through which door and why.

Hides that a line is written in the transaction of what it tells of: no look without its line, no line without its look.
"""

from __future__ import annotations

from sqlalchemy import Connection

from labelsvc.db import Database
from labelsvc.errors import Invalid
from labelsvc.security import audit_store as rows
from labelsvc.security.model import Actor, AuditEntry, Right

_LONGEST_REASON = 200


class Audit:
    """Each store's audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, connection: Connection, actor: Actor, action: str, subject: str, reason: str = "") -> None:
        """Add a line within the caller's transaction.

        ``action`` is a stable word (``waybill.clear``), ``subject`` an id, never a person's data; ``reason`` is what the
        actor wrote, and kept sealed.
        """
        rows.insert_entry(connection, self._database.now(), actor, action, subject, reason)

    def list(self, actor: Actor, after: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """The store's lines, newest first, older than number ``after``. Raises Forbidden, Invalid."""
        actor.require(Right.READ_AUDIT)
        if not 1 <= limit <= 500:
            raise Invalid("must be 1 to 500", field="limit")
        with self._database.reading() as connection:
            return rows.entries_of(connection, actor.store_id, after, limit)


def checked_reason(reason: str) -> str:
    """A look's reason, tidied; it may be empty. Raises Invalid."""
    tidy = " ".join(reason.split())
    if len(tidy) > _LONGEST_REASON or not tidy.isprintable():
        raise Invalid(f"must be at most {_LONGEST_REASON} printable characters", field="reason")
    return tidy
