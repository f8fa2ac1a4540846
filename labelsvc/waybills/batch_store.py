"""Tables and queries of batches: which parcels were asked for in bulk, which have a result, who is at work on them.

A parcel's request is kept, sealed, only until it has its result: from then on the waybill holds it. That one process at a
time works on a batch is a lease with a fence; that a batch is made once a key is a constraint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata
from labelsvc.security import Sealed, fingerprint
from labelsvc.waybills.model import IssueRequest, WaybillState
from labelsvc.waybills.store import Raced, one_of, waybills


class BatchState(StrEnum):
    """Whether anything of a batch is still to be done."""

    OPEN = "open"
    DONE = "done"


class ItemState(StrEnum):
    """Where a parcel of a batch stands: it has a waybill, a reason why not, or neither yet."""

    OPEN = "open"
    ISSUED = "issued"
    REFUSED = "refused"


@dataclass(frozen=True)
class Batch:
    """Parcels asked for in bulk, and how far they are. ``name`` is the file's, or empty. 批次"""

    id: str
    store_id: str
    name: str
    state: BatchState
    total: int
    issued: int
    refused: int
    open: int
    created_at: datetime
    created_by: str
    ended_at: datetime | None


@dataclass(frozen=True)
class BatchItem:
    """A parcel's place in its batch, from 1, its row in the file (None without a file), and its result.

    ``code``, ``field`` and ``detail`` are the error's of a refused one, or what an open one waits for. ``number``,
    ``waybill_state`` and ``revision`` are its waybill's now.
    """

    place: int
    row: int | None
    order_number: str
    state: ItemState
    waybill_id: str | None
    code: str
    field: str
    detail: str
    number: str | None = None
    waybill_state: WaybillState | None = None
    revision: int = 0


@dataclass(frozen=True)
class NewItem:
    """A parcel to be asked for, and the row that it stands in."""

    request: IssueRequest
    row: int | None = None


@dataclass(frozen=True)
class Work:
    """A batch that a process has taken: what it needs to go on."""

    id: str
    store_id: str
    created_by: str
    tries: int
    fence: int


waybill_batches = Table(
    "waybill_batches",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("key", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("state", String(6), nullable=False),
    Column("total", Integer, nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("ended_at", UtcDateTime()),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("lease_until", UtcDateTime()),
    Column(
        "tries", Integer, nullable=False, server_default="0"
    ),  # rounds without a result since the last one
    Column("next_try_at", UtcDateTime()),
    CheckConstraint(one_of("state", BatchState), name="state"),
    UniqueConstraint("store_id", "key"),
    Index("ix_waybill_batches_state_lease_until", "state", "lease_until"),
)

waybill_batch_items = Table(
    "waybill_batch_items",
    metadata,
    Column("batch_id", ForeignKey("waybill_batches.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("row", Integer),
    Column("order_number", String(64), nullable=False),
    Column("state", String(8), nullable=False),
    Column("request", Sealed("waybill_batch_items.request")),
    Column("waybill_id", ForeignKey("waybills.id"), index=True),
    Column("code", String(80), nullable=False, server_default=""),
    Column("field", String(80), nullable=False, server_default=""),
    Column("detail", String(200), nullable=False, server_default=""),
    CheckConstraint(one_of("state", ItemState), name="state"),
)


def content_of(connection: Connection, items: Sequence[NewItem]) -> str:
    """A keyed hash of what a batch asks for, to tell a repeated key from a reused one."""
    return fingerprint(connection.dialect, "waybill.batch", [item.request.as_dict() for item in items])


def insert_batch(
    connection: Connection,
    *,
    id: str,
    store_id: str,
    key: str,
    fingerprint: str,
    name: str,
    created_by: str,
    items: Sequence[NewItem],
    now: datetime,
) -> None:
    """File a batch with all its parcels. Raises Raced if the key was used at the same time."""
    try:
        connection.execute(
            waybill_batches.insert().values(
                id=id,
                store_id=store_id,
                key=key,
                fingerprint=fingerprint,
                name=name,
                state=BatchState.OPEN.value,
                total=len(items),
                created_at=now,
                created_by=created_by,
            )
        )
    except IntegrityError as error:
        raise Raced from error
    connection.execute(
        waybill_batch_items.insert(),
        [
            {
                "batch_id": id,
                "place": place,
                "row": item.row,
                "order_number": item.request.orders[0],
                "state": ItemState.OPEN.value,
                "request": item.request.as_dict(),
            }
            for place, item in enumerate(items, 1)
        ],
    )


def batch_by_key(connection: Connection, store_id: str, key: str) -> tuple[str, str] | None:
    """The fingerprint and the batch of a key that was used."""
    row = connection.execute(
        select(waybill_batches.c.fingerprint, waybill_batches.c.id).where(
            waybill_batches.c.store_id == store_id, waybill_batches.c.key == key
        )
    ).first()
    return (row.fingerprint, row.id) if row else None


def find_batch(connection: Connection, store_id: str, id: str) -> Batch | None:
    """One batch of a store."""
    row = connection.execute(
        select(waybill_batches).where(waybill_batches.c.store_id == store_id, waybill_batches.c.id == id)
    ).first()
    return _batches(connection, [row])[0] if row else None


def batches_of(connection: Connection, store_id: str, after: str | None, limit: int) -> list[Batch]:
    """A page of a store's batches, newest first, older than ``after``."""
    query = select(waybill_batches).where(waybill_batches.c.store_id == store_id)
    if after is not None:
        query = query.where(waybill_batches.c.id < after)
    return _batches(
        connection, connection.execute(query.order_by(waybill_batches.c.id.desc()).limit(limit)).all()
    )


def _batches(connection: Connection, found: Sequence[Row[Any]]) -> list[Batch]:
    counted = connection.execute(
        select(waybill_batch_items.c.batch_id, waybill_batch_items.c.state, func.count().label("number"))
        .where(waybill_batch_items.c.batch_id.in_([row.id for row in found]))
        .group_by(waybill_batch_items.c.batch_id, waybill_batch_items.c.state)
    )
    counts = {(row.batch_id, row.state): int(row.number) for row in counted}
    return [
        Batch(
            id=row.id,
            store_id=row.store_id,
            name=row.name,
            state=BatchState(row.state),
            total=row.total,
            issued=counts.get((row.id, ItemState.ISSUED.value), 0),
            refused=counts.get((row.id, ItemState.REFUSED.value), 0),
            open=counts.get((row.id, ItemState.OPEN.value), 0),
            created_at=row.created_at,
            created_by=row.created_by,
            ended_at=row.ended_at,
        )
        for row in found
    ]


def items_of(connection: Connection, batch_id: str, after: int, limit: int) -> list[BatchItem]:
    """A batch's parcels in their order, from the place after ``after`` on."""
    rows = connection.execute(
        select(
            waybill_batch_items,
            waybills.c.number,
            waybills.c.state.label("waybill_state"),
            waybills.c.revision,
        )
        .outerjoin_from(waybill_batch_items, waybills, waybills.c.id == waybill_batch_items.c.waybill_id)
        .where(waybill_batch_items.c.batch_id == batch_id, waybill_batch_items.c.place > after)
        .order_by(waybill_batch_items.c.place)
        .limit(limit)
    )
    return [
        BatchItem(
            place=row.place,
            row=row.row,
            order_number=row.order_number,
            state=ItemState(row.state),
            waybill_id=row.waybill_id,
            code=row.code,
            field=row.field,
            detail=row.detail,
            number=row.number,
            waybill_state=WaybillState(row.waybill_state) if row.waybill_state else None,
            revision=row.revision or 0,
        )
        for row in rows
    ]


#: Made once, as all that is asked every second: making it takes longer than asking.
_BATCHES_DUE = (
    select(
        waybill_batches.c.id,
        waybill_batches.c.store_id,
        waybill_batches.c.created_by,
        waybill_batches.c.tries,
        waybill_batches.c.fence,
    )
    .where(
        waybill_batches.c.state == BatchState.OPEN.value,
        or_(waybill_batches.c.lease_until.is_(None), waybill_batches.c.lease_until < bindparam("now")),
        or_(waybill_batches.c.next_try_at.is_(None), waybill_batches.c.next_try_at < bindparam("now")),
    )
    .order_by(waybill_batches.c.id)
    .limit(10)
)


def batches_due(connection: Connection, now: datetime) -> list[Work]:
    """Open batches that nobody works on and whose next try is due, oldest first, as they would be taken."""
    rows = connection.execute(_BATCHES_DUE, {"now": now})
    return [Work(row.id, row.store_id, row.created_by, row.tries, row.fence + 1) for row in rows]


def take_batch(connection: Connection, work: Work, until: datetime) -> bool:
    """Take a batch; False if another process was first."""
    changed = connection.execute(
        update(waybill_batches)
        .where(
            waybill_batches.c.id == work.id,
            waybill_batches.c.state == BatchState.OPEN.value,
            waybill_batches.c.fence == work.fence - 1,
        )
        .values(fence=work.fence, lease_until=until)
    )
    return changed.rowcount == 1


def renew_batch(connection: Connection, work: Work, until: datetime) -> bool:
    """Keep a batch for a while longer; False if another process has taken it."""
    changed = connection.execute(
        update(waybill_batches)
        .where(waybill_batches.c.id == work.id, waybill_batches.c.fence == work.fence)
        .values(lease_until=until)
    )
    return changed.rowcount == 1


def end_leases(connection: Connection) -> int:
    """Give every open batch free: how many weren't. For leases whose holders are dead."""
    changed = connection.execute(
        update(waybill_batches)
        .where(waybill_batches.c.state == BatchState.OPEN.value, waybill_batches.c.lease_until.is_not(None))
        .values(lease_until=None)
    )
    return changed.rowcount


def open_items(
    connection: Connection, batch_id: str, after: int, limit: int
) -> list[tuple[int, IssueRequest]]:
    """Parcels without a result, in their order, from the place after ``after`` on."""
    rows = connection.execute(
        select(waybill_batch_items.c.place, waybill_batch_items.c.request)
        .where(
            waybill_batch_items.c.batch_id == batch_id,
            waybill_batch_items.c.state == ItemState.OPEN.value,
            waybill_batch_items.c.place > after,
        )
        .order_by(waybill_batch_items.c.place)
        .limit(limit)
    )
    return [(row.place, IssueRequest.from_dict(row.request)) for row in rows]


def set_result(
    connection: Connection,
    batch_id: str,
    place: int,
    state: ItemState,
    *,
    waybill_id: str | None = None,
    code: str = "",
    field: str = "",
    detail: str = "",
) -> None:
    """Record a parcel's result, and forget its request; or, of an open one, what it waits for."""
    values: dict[str, Any] = {
        "state": state.value,
        "code": code[:80],
        "field": field[:80],
        "detail": detail[:200],
    }
    if waybill_id is not None:
        values["waybill_id"] = waybill_id
    if state is not ItemState.OPEN:
        values["request"] = None
    connection.execute(
        update(waybill_batch_items)
        .where(
            waybill_batch_items.c.batch_id == batch_id,
            waybill_batch_items.c.place == place,
            waybill_batch_items.c.state == ItemState.OPEN.value,
        )
        .values(**values)
    )


def leave_batch(connection: Connection, work: Work, tries: int, next_try_at: datetime | None) -> None:
    """Let go of a batch that isn't done."""
    connection.execute(
        update(waybill_batches)
        .where(waybill_batches.c.id == work.id, waybill_batches.c.fence == work.fence)
        .values(lease_until=None, tries=tries, next_try_at=next_try_at)
    )


def end_batch(connection: Connection, work: Work, now: datetime) -> None:
    """Every parcel has its result."""
    connection.execute(
        update(waybill_batches)
        .where(waybill_batches.c.id == work.id, waybill_batches.c.fence == work.fence)
        .values(state=BatchState.DONE.value, lease_until=None, next_try_at=None, ended_at=now)
    )


def batches_before(connection: Connection, before: datetime, limit: int) -> list[str]:
    """Open batches made before ``before``, oldest first."""
    return list(
        connection.execute(
            select(waybill_batches.c.id)
            .where(waybill_batches.c.state == BatchState.OPEN.value, waybill_batches.c.created_at < before)
            .order_by(waybill_batches.c.id)
            .limit(limit)
        ).scalars()
    )


def count_batches_before(connection: Connection, before: datetime) -> int:
    """How many batches ``batches_before`` would name without a limit."""
    return connection.execute(
        select(func.count())
        .select_from(waybill_batches)
        .where(waybill_batches.c.state == BatchState.OPEN.value, waybill_batches.c.created_at < before)
    ).scalar_one()


def expire(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Give up, and forget, what is still open of these batches; whoever works on one loses it."""
    for id in ids:
        connection.execute(
            update(waybill_batch_items)
            .where(waybill_batch_items.c.batch_id == id, waybill_batch_items.c.state == ItemState.OPEN.value)
            .values(state=ItemState.REFUSED.value, code="batch.expired", request=None)
        )
        connection.execute(
            update(waybill_batches)
            .where(waybill_batches.c.id == id)
            .values(
                state=BatchState.DONE.value,
                ended_at=now,
                lease_until=None,
                fence=waybill_batches.c.fence + 1,
            )
        )
