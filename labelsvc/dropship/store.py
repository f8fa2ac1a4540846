"""Tables and queries of bindings and orders; rows never leave here, nouns do."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Row,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata
from labelsvc.dropship.model import Binding, BindingState, NewOrder, Order, OrderState, erased
from labelsvc.dropship.people_store import delete_people, insert_person
from labelsvc.errors import Conflict
from labelsvc.security import Sealed
from labelsvc.waybills import Party


def _one_of(column: str, words: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


bindings = Table(
    "bindings",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("merchant_id", ForeignKey("stores.id"), nullable=False, index=True),
    Column("merchant_name", String(80), nullable=False),
    Column("factory_id", ForeignKey("stores.id"), nullable=False, index=True),
    Column("factory_name", String(80), nullable=False),
    Column("state", String(10), nullable=False),
    Column("live", String(60), unique=True),  # merchant:factory while proposed or accepted
    Column("created_at", UtcDateTime(), nullable=False),
    Column("answered_at", UtcDateTime()),
    CheckConstraint(_one_of("state", BindingState), name="state"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("merchant_id", ForeignKey("stores.id"), nullable=False),
    Column("number", String(64), nullable=False),
    Column("state", String(12), nullable=False),
    Column("factory_id", ForeignKey("stores.id")),
    Column(
        "content", Sealed("orders.content"), nullable=False
    ),  # the order as it arrived: parties, lines, note
    Column("shown_sender", Sealed("orders.shown_sender"), nullable=False),
    Column("held_reason", String(80), nullable=False, server_default=""),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("assigned_at", UtcDateTime()),
    Column("erased_at", UtcDateTime()),
    UniqueConstraint("merchant_id", "number"),
    CheckConstraint(_one_of("state", OrderState), name="state"),
    CheckConstraint("(state = 'assigned') = (factory_id IS NOT NULL)", name="factory"),
    Index("ix_orders_merchant_id_state", "merchant_id", "state", "id"),
    Index("ix_orders_factory_id_state", "factory_id", "state", "id"),
    # What erasure looks at: only what it hasn't been at.
    Index(
        "ix_orders_not_erased",
        "created_at",
        sqlite_where=text("erased_at IS NULL"),
        postgresql_where=text("erased_at IS NULL"),
    ),
)


def _binding(row: Row[Any]) -> Binding:
    return Binding(
        row.id,
        row.merchant_id,
        row.merchant_name,
        row.factory_id,
        row.factory_name,
        BindingState(row.state),
        row.created_at,
        row.answered_at,
    )


def insert_binding(connection: Connection, new: Binding) -> None:
    """Add a proposal. Raises Conflict ``binding.exists`` if the two have one that is proposed or accepted."""
    try:
        connection.execute(
            bindings.insert().values(
                id=new.id,
                merchant_id=new.merchant_id,
                merchant_name=new.merchant_name,
                factory_id=new.factory_id,
                factory_name=new.factory_name,
                state=new.state.value,
                live=f"{new.merchant_id}:{new.factory_id}",
                created_at=new.created_at,
            )
        )
    except IntegrityError:
        raise Conflict("the two are bound already, or it is proposed", code="binding.exists") from None


def step_binding(
    connection: Connection, id: str, before: BindingState, after: BindingState, now: datetime
) -> bool:
    """Take a step; False if the state was another."""
    values: dict[str, Any] = {"state": after.value, "answered_at": now}
    if after in (BindingState.DECLINED, BindingState.ENDED):
        values["live"] = None
    changed = connection.execute(
        update(bindings).where(bindings.c.id == id, bindings.c.state == before.value).values(**values)
    )
    return changed.rowcount == 1


def find_binding(connection: Connection, id: str, store_id: str, *, lock: bool = False) -> Binding | None:
    """A binding that a store is part of; ``lock`` keeps it from being changed until the transaction ends."""
    found = select(bindings).where(
        bindings.c.id == id,
        (bindings.c.merchant_id == store_id) | (bindings.c.factory_id == store_id),
    )
    row = connection.execute(found.with_for_update() if lock else found).first()
    return _binding(row) if row else None


def bindings_of(connection: Connection, store_id: str) -> list[Binding]:
    """A store's bindings, on either side, oldest first."""
    rows = connection.execute(
        select(bindings)
        .where((bindings.c.merchant_id == store_id) | (bindings.c.factory_id == store_id))
        .order_by(bindings.c.id)
    )
    return [_binding(row) for row in rows]


def is_bound(connection: Connection, merchant_id: str, factory_id: str) -> bool:
    """Whether an accepted binding joins the two."""
    found = connection.execute(
        select(bindings.c.id).where(
            bindings.c.merchant_id == merchant_id,
            bindings.c.factory_id == factory_id,
            bindings.c.state == BindingState.ACCEPTED.value,
        )
    ).first()
    return found is not None


def _order(row: Row[Any]) -> Order:
    content = NewOrder.from_dict(row.content)
    return Order(
        id=row.id,
        merchant_id=row.merchant_id,
        number=row.number,
        state=OrderState(row.state),
        factory_id=row.factory_id,
        recipient=content.recipient,
        shown_sender=NewOrder.from_dict({**row.content, "recipient": row.shown_sender}).recipient,
        lines=content.lines,
        store_name=content.store_name,
        note=content.note,
        held_reason=row.held_reason,
        waybill_id=None,
        created_at=row.created_at,
        assigned_at=row.assigned_at,
        clear=True,
        erased_at=row.erased_at,
    )


def insert_order(
    connection: Connection,
    *,
    id: str,
    merchant_id: str,
    new: NewOrder,
    shown_sender: dict[str, str],
    now: datetime,
) -> bool:
    """Add an order; False if the merchant has one of this number."""
    try:
        connection.execute(
            orders.insert().values(
                id=id,
                merchant_id=merchant_id,
                number=new.number,
                state=OrderState.UNASSIGNED.value,
                content=new.as_dict(),
                shown_sender=shown_sender,
                created_at=now,
            )
        )
    except IntegrityError:
        return False
    insert_person(connection, id, merchant_id, new.recipient)
    return True


def same_content(connection: Connection, merchant_id: str, new: NewOrder) -> tuple[str, bool] | None:
    """The id of the merchant's order of this number, and whether it says the same; None if there is none.

    Of an erased one, what is left is compared: the same order coming again from a file stays nothing new (D3).
    """
    row = connection.execute(
        select(orders.c.id, orders.c.content, orders.c.erased_at).where(
            orders.c.merchant_id == merchant_id, orders.c.number == new.number
        )
    ).first()
    if row is None:
        return None
    if row.erased_at is not None:
        new = erased(new)
    # Through JSON, as the stored one went: tuples and lists are the same there.
    return row.id, row.content == json.loads(json.dumps(new.as_dict()))


def _visible(store_id: str) -> Any:
    return (orders.c.merchant_id == store_id) | (orders.c.factory_id == store_id)


def find_order(connection: Connection, store_id: str, id_or_number: str) -> Order | None:
    """An order that a store may see: its own, by id or number, or one assigned to it, by id."""
    row = connection.execute(
        select(orders).where(
            ((orders.c.id == id_or_number) & _visible(store_id))
            | ((orders.c.number == id_or_number) & (orders.c.merchant_id == store_id))
        )
    ).first()
    return _order(row) if row else None


def orders_of(
    connection: Connection, store_id: str, after: str | None, limit: int, state: OrderState | None
) -> list[Order]:
    """A page of the orders that a store may see, newest first, older than ``after``."""
    query = select(orders).where(_visible(store_id))
    if after is not None:
        query = query.where(orders.c.id < after)
    if state is not None:
        query = query.where(orders.c.state == state.value)
    return [_order(row) for row in connection.execute(query.order_by(orders.c.id.desc()).limit(limit))]


def assign_order(connection: Connection, id: str, merchant_id: str, factory_id: str, now: datetime) -> bool:
    """Assign an unassigned order of the merchant; False if it is none."""
    changed = connection.execute(
        update(orders)
        .where(
            orders.c.id == id,
            orders.c.merchant_id == merchant_id,
            orders.c.state == OrderState.UNASSIGNED.value,
        )
        .values(state=OrderState.ASSIGNED.value, factory_id=factory_id, assigned_at=now)
    )
    return changed.rowcount == 1


def set_held(connection: Connection, id: str, reason: str) -> None:
    """Note why an order is held; empty: it isn't."""
    connection.execute(update(orders).where(orders.c.id == id).values(held_reason=reason))


def orders_named(connection: Connection, ids: Collection[str], merchant_id: str) -> list[Order]:
    """A merchant's orders of these ids, newest first."""
    rows = connection.execute(
        select(orders)
        .where(orders.c.id.in_(ids), orders.c.merchant_id == merchant_id)
        .order_by(orders.c.id.desc())
    )
    return [_order(row) for row in rows]


def erasable(connection: Connection, before: datetime, limit: int) -> list[tuple[str, str]]:
    """Ids and merchants of orders made before a time whose personal data are still there, oldest first."""
    rows = connection.execute(
        select(orders.c.id, orders.c.merchant_id)
        .where(orders.c.erased_at.is_(None), orders.c.created_at < before)
        .order_by(orders.c.created_at)
        .limit(limit)
    )
    return [(row.id, row.merchant_id) for row in rows]


def count_erasable(connection: Connection, before: datetime) -> int:
    """How many orders ``erasable`` would name without a limit."""
    return connection.execute(
        select(func.count())
        .select_from(orders)
        .where(orders.c.erased_at.is_(None), orders.c.created_at < before)
    ).scalar_one()


def erase_orders(connection: Connection, ids: Collection[str], now: datetime) -> None:
    """Erase the personal data of orders; number, goods, state, times and division stay."""
    rows = connection.execute(
        select(orders.c.id, orders.c.content, orders.c.shown_sender)
        .where(orders.c.id.in_(ids))
        .with_for_update()
    ).all()
    for row in rows:
        connection.execute(
            update(orders)
            .where(orders.c.id == row.id)
            .values(
                content=erased(NewOrder.from_dict(row.content)).as_dict(),
                shown_sender=Party(**row.shown_sender).erased().as_dict(),
                erased_at=now,
            )
        )
    delete_people(connection, list(ids))
