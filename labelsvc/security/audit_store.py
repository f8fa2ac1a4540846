"""Table and queries of the audit trail; lines are added and read, never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Index, Integer, String, Table, select

from labelsvc.db import UtcDateTime, metadata
from labelsvc.security.model import Actor, AuditEntry
from labelsvc.security.sealing import Sealed

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcDateTime(), nullable=False),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("user_id", String(80), nullable=False),
    Column("via", String(40), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(100), nullable=False),
    # People write names into reasons.
    Column("reason", Sealed("audit_entries.reason"), nullable=False),
    Index("ix_audit_entries_store_id_seq", "store_id", "seq"),
    sqlite_autoincrement=True,
)


def insert_entry(
    connection: Connection, at: datetime, actor: Actor, action: str, subject: str, reason: str
) -> None:
    """Add a line."""
    connection.execute(
        audit_entries.insert().values(
            at=at,
            store_id=actor.store_id,
            user_id=actor.user_id,
            via=actor.via[:40],
            action=action,
            subject=subject,
            reason=reason,
        )
    )


def entries_of(connection: Connection, store_id: str, after: int | None, limit: int) -> list[AuditEntry]:
    """A page of a store's lines, newest first."""
    query = select(audit_entries).where(audit_entries.c.store_id == store_id)
    if after is not None:
        query = query.where(audit_entries.c.seq < after)
    return [
        AuditEntry(row.seq, row.at, row.store_id, row.user_id, row.via, row.action, row.subject, row.reason)
        for row in connection.execute(query.order_by(audit_entries.c.seq.desc()).limit(limit))
    ]
