"""Tables and queries of number pools; rows never leave here, nouns do.

A number is given to one parcel only, and a parcel has one live number, by constraint. Who draws holds the pool's row, so
that on PostgreSQL too numbers leave a pool one after the other, in the order of the carrier's file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
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
    delete,
    func,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata, new_id
from labelsvc.security import fingerprint
from labelsvc.waybills.model import Party
from labelsvc.waybills.store import Raced, waybills

_Seq = BigInteger().with_variant(Integer, "sqlite")
#: Values that one query may name, on every database.
_AT_ONCE = 500


class NumberState(StrEnum):
    """What became of a number of a pool; a cancelled one is never given again."""

    FREE = "free"
    GIVEN = "given"
    PARENT = "parent"
    CANCELLED = "cancelled"


number_pools = Table(
    "number_pools",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("carrier", String(20), nullable=False),
    Column("branch_code", String(40), nullable=False),
    Column("branch_name", String(80), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    UniqueConstraint("store_id", "carrier", "branch_code"),
)

#: Which sender addresses draw on which pool; the address itself only as a keyed hash.
pool_origins = Table(
    "pool_origins",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("pool_id", ForeignKey("number_pools.id"), nullable=False, index=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("carrier", String(20), nullable=False),
    Column("origin", String(64), nullable=False),
    UniqueConstraint("store_id", "carrier", "origin"),
)

pool_numbers = Table(
    "pool_numbers",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("pool_id", ForeignKey("number_pools.id"), nullable=False),
    Column("carrier", String(20), nullable=False),
    Column("number", String(40), nullable=False),
    Column("route_code", String(60), nullable=False),
    Column("sorting_mark", String(80), nullable=False),
    Column("consolidation_centre", String(80), nullable=False),
    Column("state", String(10), nullable=False),
    Column("parcel", String(64), index=True),
    Column("live_parcel", String(64), unique=True),  # the parcel while the number lives
    Column("recipient", String(64), nullable=False, server_default=""),
    Column("parent", String(40), nullable=False, server_default=""),
    Column("given_at", UtcDateTime()),
    Column("cancelled_at", UtcDateTime()),
    CheckConstraint("state IN ('free', 'given', 'parent', 'cancelled')", name="state"),
    UniqueConstraint("carrier", "number"),
    Index("ix_pool_numbers_pool_id_state", "pool_id", "state", "seq"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class PoolNumber:
    """A number as a carrier handed it over, with what its label shows for sorting, where the file says so."""

    number: str
    route_code: str = ""
    sorting_mark: str = ""
    consolidation_centre: str = ""


@dataclass(frozen=True)
class Pool:
    """The numbers that a store got for one network point. 号池"""

    id: str
    store_id: str
    carrier: str
    branch_code: str
    branch_name: str


@dataclass(frozen=True)
class Drawn:
    """A number that was drawn from a pool."""

    seq: int
    pool_id: str
    carrier: str
    about: PoolNumber
    state: NumberState
    parent: str
    recipient: str


@dataclass(frozen=True)
class Totals:
    """How many numbers of a pool are in which state."""

    free: int
    given: int
    cancelled: int


def of_origin(connection: Connection, origin: Party) -> str:
    """A keyed hash of where parcels leave from, character for character."""
    place = [origin.province, origin.city, origin.district, origin.town, origin.detail]
    return fingerprint(connection.dialect, "pool_origins.origin", place)


def of_recipient(connection: Connection, recipient: Party) -> str:
    """A keyed hash of whom a number was given for."""
    return fingerprint(connection.dialect, "pool_numbers.recipient", recipient.as_dict())


def _pool(row: Row[Any]) -> Pool:
    return Pool(row.id, row.store_id, row.carrier, row.branch_code, row.branch_name)


def pools_of(connection: Connection, store_id: str, carrier: str | None = None) -> list[Pool]:
    """A store's pools, oldest first."""
    found = select(number_pools).where(number_pools.c.store_id == store_id).order_by(number_pools.c.id)
    if carrier is not None:
        found = found.where(number_pools.c.carrier == carrier)
    return [_pool(row) for row in connection.execute(found)]


def find_pool(connection: Connection, store_id: str, carrier: str, branch_code: str) -> Pool | None:
    """The pool of a network point."""
    row = connection.execute(
        select(number_pools).where(
            number_pools.c.store_id == store_id,
            number_pools.c.carrier == carrier,
            number_pools.c.branch_code == branch_code,
        )
    ).first()
    return _pool(row) if row else None


def insert_pool(
    connection: Connection, store_id: str, carrier: str, branch_code: str, branch_name: str, now: datetime
) -> Pool:
    """Make an empty pool. Raises Raced."""
    pool = Pool(new_id(), store_id, carrier, branch_code, branch_name)
    try:
        connection.execute(
            number_pools.insert().values(
                id=pool.id,
                store_id=store_id,
                carrier=carrier,
                branch_code=branch_code,
                branch_name=branch_name,
                created_at=now,
            )
        )
    except IntegrityError as error:
        raise Raced from error
    return pool


def in_use(connection: Connection, carrier: str, numbers: Collection[str]) -> set[str]:
    """Those of the numbers that a pool has, or had, or a waybill."""
    found: set[str] = set()
    for some in _slices(list(numbers)):
        for table in (pool_numbers, waybills):
            found.update(
                connection.execute(
                    select(table.c.number).where(table.c.carrier == carrier, table.c.number.in_(some))
                ).scalars()
            )
    return found


def insert_numbers(connection: Connection, pool: Pool, numbers: Sequence[PoolNumber]) -> None:
    """Add numbers at the pool's end, in order. Raises Raced if one came to be known meanwhile."""
    try:
        for some in _slices(numbers):
            connection.execute(
                pool_numbers.insert(),
                [
                    {
                        "pool_id": pool.id,
                        "carrier": pool.carrier,
                        "number": one.number,
                        "route_code": one.route_code,
                        "sorting_mark": one.sorting_mark,
                        "consolidation_centre": one.consolidation_centre,
                        "state": NumberState.FREE.value,
                    }
                    for one in some
                ],
            )
    except IntegrityError as error:
        raise Raced from error


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def totals(connection: Connection, pool_id: str) -> Totals:
    """Count a pool's numbers; a parent's isn't a parcel's, so it is neither free nor given."""
    counted: dict[str, int] = {
        row.state: row.numbers
        for row in connection.execute(
            select(pool_numbers.c.state, func.count().label("numbers"))
            .where(pool_numbers.c.pool_id == pool_id)
            .group_by(pool_numbers.c.state)
        )
    }
    return Totals(counted.get("free", 0), counted.get("given", 0), counted.get("cancelled", 0))


# --- origins ----------------------------------------------------------------------------------------------------


def bind_origin(connection: Connection, pool: Pool, origin: Party) -> str:
    """Let an origin draw on a pool; the id of that. The same again gives the same. Raises Raced."""
    mark = of_origin(connection, origin)
    row = connection.execute(
        select(pool_origins).where(
            pool_origins.c.store_id == pool.store_id,
            pool_origins.c.carrier == pool.carrier,
            pool_origins.c.origin == mark,
        )
    ).first()
    if row is not None and row.pool_id == pool.id:
        return str(row.id)
    id = new_id()
    try:
        if row is not None:  # it was another point's: the last application holds
            connection.execute(delete(pool_origins).where(pool_origins.c.id == row.id))
        connection.execute(
            pool_origins.insert().values(
                id=id, pool_id=pool.id, store_id=pool.store_id, carrier=pool.carrier, origin=mark
            )
        )
    except IntegrityError as error:
        raise Raced from error
    return id


def is_bound(connection: Connection, store_id: str, id: str) -> bool:
    """Whether an origin still draws on its pool."""
    found = select(pool_origins.c.id).where(pool_origins.c.id == id, pool_origins.c.store_id == store_id)
    return connection.execute(found).first() is not None


def unbind_origin(connection: Connection, store_id: str, id: str) -> None:
    """Let an origin draw no more; harmless the second time."""
    connection.execute(
        delete(pool_origins).where(pool_origins.c.id == id, pool_origins.c.store_id == store_id)
    )


def pool_for(connection: Connection, store_id: str, carrier: str, origin: Party) -> Pool | None:
    """The pool that an origin draws on, held until the transaction ends."""
    row = connection.execute(
        select(number_pools)
        .join(pool_origins, pool_origins.c.pool_id == number_pools.c.id)
        .where(
            pool_origins.c.store_id == store_id,
            pool_origins.c.carrier == carrier,
            pool_origins.c.origin == of_origin(connection, origin),
        )
        .with_for_update(of=number_pools)
    ).first()
    return _pool(row) if row else None


# --- numbers ----------------------------------------------------------------------------------------------------


def _drawn(row: Row[Any]) -> Drawn:
    return Drawn(
        seq=row.seq,
        pool_id=row.pool_id,
        carrier=row.carrier,
        about=PoolNumber(row.number, row.route_code, row.sorting_mark, row.consolidation_centre),
        state=NumberState(row.state),
        parent=row.parent,
        recipient=row.recipient,
    )


def live_of(connection: Connection, parcel: str) -> Drawn | None:
    """A parcel's live number."""
    row = connection.execute(select(pool_numbers).where(pool_numbers.c.live_parcel == parcel)).first()
    return _drawn(row) if row else None


def all_of(connection: Connection, parcel: str) -> list[Drawn]:
    """Every number that a parcel was given, oldest first."""
    rows = connection.execute(
        select(pool_numbers)
        .where(pool_numbers.c.parcel == parcel)
        .order_by(pool_numbers.c.given_at, pool_numbers.c.seq)
    )
    return [_drawn(row) for row in rows]


def by_number(
    connection: Connection, store_id: str, carrier: str, number: str, *, lock: bool = False
) -> Drawn | None:
    """A number of a store's pools that was given to a parcel once; ``lock`` holds it."""
    found = (
        select(pool_numbers)
        .join(number_pools, number_pools.c.id == pool_numbers.c.pool_id)
        .where(
            number_pools.c.store_id == store_id,
            pool_numbers.c.carrier == carrier,
            pool_numbers.c.number == number,
            pool_numbers.c.state.in_([NumberState.GIVEN.value, NumberState.CANCELLED.value]),
        )
    )
    row = connection.execute(found.with_for_update(of=pool_numbers) if lock else found).first()
    return _drawn(row) if row else None


def draw(
    connection: Connection,
    pool: Pool,
    parcel: str,
    state: NumberState,
    now: datetime,
    recipient: str = "",
    parent: str = "",
) -> Drawn | None:
    """Give the pool's next number to a parcel; None if the pool is used up. Raises Raced if the parcel got one meanwhile."""
    row = connection.execute(
        select(pool_numbers)
        .where(pool_numbers.c.pool_id == pool.id, pool_numbers.c.state == NumberState.FREE.value)
        .order_by(pool_numbers.c.seq)
        .limit(1)
        .with_for_update()
    ).first()
    if row is None:
        return None
    try:
        # The state again: where the pool's row can't be held, a number that was drawn meanwhile isn't free.
        drawn = connection.execute(
            update(pool_numbers)
            .where(pool_numbers.c.seq == row.seq, pool_numbers.c.state == NumberState.FREE.value)
            .values(
                state=state.value,
                parcel=parcel,
                live_parcel=parcel,
                recipient=recipient,
                parent=parent,
                given_at=now,
            )
            .returning(pool_numbers)
        ).first()
    except IntegrityError as error:
        raise Raced from error
    if drawn is None:
        raise Raced
    return _drawn(drawn)


def cancel(connection: Connection, seq: int, now: datetime) -> None:
    """Mark a number cancelled; its parcel may get another."""
    connection.execute(
        update(pool_numbers)
        .where(pool_numbers.c.seq == seq, pool_numbers.c.state == NumberState.GIVEN.value)
        .values(state=NumberState.CANCELLED.value, live_parcel=None, cancelled_at=now)
    )


def set_recipient(connection: Connection, seq: int, recipient: str) -> None:
    """Note that a number is for somebody else now (W6)."""
    connection.execute(update(pool_numbers).where(pool_numbers.c.seq == seq).values(recipient=recipient))
