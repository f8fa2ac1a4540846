"""Tables and queries of who a waybill is for, as keyed tokens only, and of what a store's labels show.

A row of tokens stands and goes with its waybill's personal data; nobody can read a phone or a name off them, nor see that
two stores ship to the same person.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    String,
    Table,
    delete,
    select,
)

from labelsvc.db import UtcDateTime, metadata, put
from labelsvc.security import index_token
from labelsvc.waybills.model import Party

#: One row a waybill: a second B-tree entry for each more would be paid at every number (the cost of issuing is measured).
waybill_people = Table(
    "waybill_people",
    metadata,
    Column("waybill_id", ForeignKey("waybills.id"), primary_key=True),
    Column("phone", String(32), nullable=False),
    Column("name", String(32), nullable=False),
    Index("ix_waybill_people_phone", "phone"),
    Index("ix_waybill_people_name", "name"),
    sqlite_with_rowid=False,
)

store_preferences = Table(
    "store_preferences",
    metadata,
    Column("store_id", ForeignKey("stores.id"), primary_key=True),
    Column("clear_labels", Boolean, nullable=False),
    Column("changed_at", UtcDateTime(), nullable=False),
)


def insert_people(connection: Connection, waybills: Sequence[tuple[str, str, Party]]) -> None:
    """Make new waybills (id, owner, recipient) findable by their recipients, among those of their owners."""
    connection.execute(
        waybill_people.insert(),
        [{"waybill_id": id, **_tokens(connection, owner, recipient)} for id, owner, recipient in waybills],
    )


def replace_person(connection: Connection, waybill_id: str, owner_id: str, recipient: Party) -> None:
    """The recipient was changed (W6)."""
    delete_people(connection, [waybill_id])
    insert_people(connection, [(waybill_id, owner_id, recipient)])


def delete_people(connection: Connection, waybill_ids: list[str]) -> None:
    """Make waybills findable no more."""
    connection.execute(delete(waybill_people).where(waybill_people.c.waybill_id.in_(waybill_ids)))


def waybills_for(
    connection: Connection, owner_id: str, phone: str | None, name: str | None, limit: int
) -> list[str]:
    """Ids of an owner's waybills for this person, newest first; a phone and a name must both fit."""
    query = select(waybill_people.c.waybill_id)
    if phone is not None:
        query = query.where(
            waybill_people.c.phone == index_token(connection.dialect, "phone", phone, owner_id)
        )
    if name is not None:
        query = query.where(waybill_people.c.name == index_token(connection.dialect, "name", name, owner_id))
    rows = connection.execute(query.order_by(waybill_people.c.waybill_id.desc()).limit(limit))
    return [row.waybill_id for row in rows]


def _tokens(connection: Connection, owner_id: str, recipient: Party) -> dict[str, str]:
    return {
        "phone": index_token(connection.dialect, "phone", recipient.phone, owner_id),
        "name": index_token(connection.dialect, "name", recipient.name, owner_id),
    }


def clear_labels(connection: Connection, owner_id: str) -> bool:
    """Whether a store wants its recipients in clear on labels; masked unless it said so."""
    found = connection.execute(
        select(store_preferences.c.clear_labels).where(store_preferences.c.store_id == owner_id)
    ).scalar()
    return bool(found)


def set_clear_labels(connection: Connection, store_id: str, clear: bool, now: datetime) -> None:
    """Store the choice; of two at once, the later one stays."""
    put(connection, store_preferences, {"store_id": store_id}, {"clear_labels": clear, "changed_at": now})
