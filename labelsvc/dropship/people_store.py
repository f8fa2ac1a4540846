"""Table and queries of who an order is for, as keyed tokens only; a row stands and goes with its order's personal data."""

from __future__ import annotations

from sqlalchemy import Column, Connection, ForeignKey, Index, String, Table, delete, select

from labelsvc.db import metadata
from labelsvc.security import index_token
from labelsvc.waybills import Party

order_people = Table(
    "order_people",
    metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("phone", String(32), nullable=False),
    Column("name", String(32), nullable=False),
    Index("ix_order_people_phone", "phone"),
    Index("ix_order_people_name", "name"),
    sqlite_with_rowid=False,
)


def insert_person(connection: Connection, order_id: str, merchant_id: str, recipient: Party) -> None:
    """Make a new order findable by its recipient, among those of its merchant."""
    connection.execute(
        order_people.insert().values(
            order_id=order_id,
            phone=index_token(connection.dialect, "phone", recipient.phone, merchant_id),
            name=index_token(connection.dialect, "name", recipient.name, merchant_id),
        )
    )


def delete_people(connection: Connection, order_ids: list[str]) -> None:
    """Make orders findable no more."""
    connection.execute(delete(order_people).where(order_people.c.order_id.in_(order_ids)))


def orders_for(
    connection: Connection, merchant_id: str, phone: str | None, name: str | None, limit: int
) -> list[str]:
    """Ids of a merchant's orders for this person, newest first; a phone and a name must both fit."""
    query = select(order_people.c.order_id)
    if phone is not None:
        query = query.where(
            order_people.c.phone == index_token(connection.dialect, "phone", phone, merchant_id)
        )
    if name is not None:
        query = query.where(order_people.c.name == index_token(connection.dialect, "name", name, merchant_id))
    rows = connection.execute(query.order_by(order_people.c.order_id.desc()).limit(limit))
    return [row.order_id for row in rows]
