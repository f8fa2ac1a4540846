"""Tables and queries of waybills; rows never leave here, nouns do.

The rules that two requests could race past are constraints: one live waybill a parcel (W2), one request a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata
from labelsvc.security import Sealed
from labelsvc.waybills.model import (
    LIVE,
    UNSETTLED,
    Filed,
    IssueRequest,
    Party,
    PrintWish,
    VoidWait,
    Waybill,
    WaybillEvent,
    WaybillState,
)
from labelsvc.waybills.people_store import delete_people

#: States in which the carrier's scans are looked for (W5), and how soon after the step to it.
FOLLOWED = LIVE | {WaybillState.HANDED_OVER, WaybillState.IN_TRANSIT, WaybillState.VOID_PENDING}
FIRST_LOOK = timedelta(minutes=10)

#: A rising number; SQLite counts up by itself only in an INTEGER.
Seq = BigInteger().with_variant(Integer, "sqlite")


class Raced(Exception):
    """Another request was first, as a constraint says; the transaction is lost and can be tried again."""


def one_of(column: str, words: type[StrEnum]) -> str:
    """A check that a column holds one of an enumeration's words."""
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


waybills = Table(
    "waybills",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("owner_id", ForeignKey("stores.id"), nullable=False),
    Column("subscription_id", ForeignKey("subscriptions.id"), nullable=False),
    Column("carrier", String(20), nullable=False),
    Column("carrier_name", String(60), nullable=False),
    Column("live_parcel", String(64), unique=True),  # the parcel's fingerprint while the waybill lives (W2)
    Column("state", String(16), nullable=False),
    Column("network", String(20), nullable=False, server_default="platform"),
    Column("number", String(40)),
    Column("request", Sealed("waybills.request"), nullable=False),
    Column("origin", Sealed("waybills.origin"), nullable=False),
    Column("answer", Sealed("waybills.answer")),
    Column("print_data", Sealed("waybills.print_data")),
    Column("route_code", String(60), nullable=False, server_default=""),
    Column("sorting_mark", String(80), nullable=False, server_default=""),
    Column("consolidation_centre", String(80), nullable=False, server_default=""),
    Column("reason", String(80), nullable=False, server_default=""),
    Column("held_reason", String(80), nullable=False, server_default=""),
    Column("void_wait", String(10)),
    Column("void_tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", UtcDateTime()),
    Column("label_destroyed", Boolean, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False),
    Column("attempt_until", UtcDateTime()),
    Column(
        "ask_after", UtcDateTime()
    ),  # when settling tries again; who asks for the waybill by name needn't wait for it
    Column("print_no", Integer, nullable=False, server_default="0"),
    Column("print_key", String(200), nullable=False, server_default=""),
    Column("print_printer", String(80), nullable=False, server_default=""),
    Column("print_template", String(80), nullable=False, server_default=""),
    Column("print_lane", String(10), nullable=False, server_default=""),
    Column("print_batch", String(40), nullable=False, server_default=""),
    Column("print_sequence", String(15), nullable=False, server_default=""),
    Column("print_at", UtcDateTime()),
    Column("print_clear", Boolean, nullable=False, server_default="0"),
    Column("parent_number", String(40), nullable=False, server_default=""),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("next_look_at", UtcDateTime()),  # the next look at its scans (W5); null: none
    Column("created_at", UtcDateTime(), nullable=False),
    Column("issued_at", UtcDateTime()),
    Column("printed_at", UtcDateTime()),
    Column("handed_over_at", UtcDateTime()),
    Column("delivered_at", UtcDateTime()),
    Column("cancelled_at", UtcDateTime()),
    Column("erased_at", UtcDateTime()),
    CheckConstraint(one_of("state", WaybillState), name="state"),
    CheckConstraint(f"void_wait IS NULL OR {one_of('void_wait', VoidWait)}", name="void_wait"),
    UniqueConstraint("carrier", "number"),
    Index("ix_waybills_store_id_state", "store_id", "state", "id"),
    # What erasure looks at: only what it hasn't been at.
    Index(
        "ix_waybills_not_erased",
        "created_at",
        sqlite_where=text("erased_at IS NULL"),
        postgresql_where=text("erased_at IS NULL"),
    ),
    Index("ix_waybills_state_attempt_until", "state", "attempt_until"),
    Index("ix_waybills_next_look_at", "next_look_at"),
)

waybill_orders = Table(
    "waybill_orders",
    metadata,
    Column("waybill_id", ForeignKey("waybills.id"), primary_key=True),
    Column("order_number", String(64), primary_key=True),
    Column("owner_id", ForeignKey("stores.id"), nullable=False),
    Index("ix_waybill_orders_owner_id_order_number", "owner_id", "order_number"),
)

#: Which request an idempotency key stood for; the content only as a keyed hash.
waybill_keys = Table(
    "waybill_keys",
    metadata,
    Column("store_id", ForeignKey("stores.id"), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("waybill_id", ForeignKey("waybills.id"), nullable=False),
)

waybill_events = Table(
    "waybill_events",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime(), nullable=False),
    Column("waybill_id", ForeignKey("waybills.id"), nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", String(80), nullable=False),
    sqlite_autoincrement=True,
)

#: How far a reader has read another room's feed.
feed_cursors = Table(
    "feed_cursors",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)


# --- waybills ---------------------------------------------------------------------------------------------------


def parcel_key(store_id: str, request: IssueRequest) -> str:
    """The name of a parcel: whose orders, which orders, which package and piece of them, shipped by whom.

    The first piece of a set (W7) is named as the orders' only parcel is: they can't both live.
    """
    named: list[Any] = [store_id, request.owner_id or store_id, sorted(request.orders), request.package]
    if request.piece > 1:
        named.append(request.piece)
    return hashlib.sha256(json.dumps(named, ensure_ascii=False).encode()).hexdigest()


def filed_from(row: Any) -> Filed:
    """The noun of a row of ``waybills``, or of its columns but ``answer``."""
    request = IssueRequest.from_dict(row.request)
    waybill = Waybill(
        id=row.id,
        store_id=row.store_id,
        owner_id=row.owner_id,
        number=row.number,
        state=WaybillState(row.state),
        carrier=row.carrier,
        carrier_name=row.carrier_name,
        subscription_id=row.subscription_id,
        orders=request.orders,
        package=request.package,
        recipient=request.recipient,
        shown_sender=request.shown_sender,
        origin=Party(**row.origin),
        items=request.items,
        weight_g=request.weight_g,
        note=request.note,
        store_name=request.store_name,
        route_code=row.route_code,
        sorting_mark=row.sorting_mark,
        consolidation_centre=row.consolidation_centre,
        reason=row.reason,
        held_reason=row.held_reason,
        void_wait=VoidWait(row.void_wait) if row.void_wait else None,
        created_at=row.created_at,
        issued_at=row.issued_at,
        printed_at=row.printed_at,
        cancelled_at=row.cancelled_at,
        parent_number=row.parent_number,
        piece=request.piece,
        pieces=request.pieces,
        revision=row.revision,
        handed_over_at=row.handed_over_at,
        delivered_at=row.delivered_at,
        erased_at=row.erased_at,
        next_try_at=row.next_try_at if row.state == WaybillState.VOID_PENDING.value else None,
    )
    wish = None
    if row.print_no:
        wish = PrintWish(
            row.print_printer, row.print_template, row.print_lane, row.print_batch, row.print_sequence
        )
    return Filed(
        waybill=waybill,
        request=request,
        print_data=row.print_data,
        attempts=row.attempts,
        attempt_until=row.attempt_until,
        label_destroyed=bool(row.label_destroyed),
        print_no=row.print_no,
        print_key=row.print_key,
        print_wish=wish,
        print_at=row.print_at,
        print_clear=bool(row.print_clear),
        void_tries=row.void_tries,
        network=row.network,
    )


def _waybill_event(
    connection: Connection, id: str, now: datetime, actor: str, before: str, after: WaybillState, reason: str
) -> None:
    connection.execute(
        waybill_events.insert().values(
            at=now, waybill_id=id, actor=actor, before=before, after=after.value, reason=reason
        )
    )


def filed(
    connection: Connection, id: str, store_id: str | None = None, *, lock: bool = False
) -> Filed | None:
    """A waybill by its id, of one store or of any; ``lock`` keeps it from being changed until the transaction ends."""
    query = select(waybills).where(waybills.c.id == id)
    if store_id is not None:
        query = query.where(waybills.c.store_id == store_id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).first()
    return filed_from(row) if row else None


def filed_by_number(connection: Connection, number: str, store_id: str) -> Filed | None:
    """A store's waybill by its number."""
    row = connection.execute(
        select(waybills).where(waybills.c.number == number, waybills.c.store_id == store_id)
    ).first()
    return filed_from(row) if row else None


def live_of_order(connection: Connection, owner_id: str, order_number: str) -> list[Filed]:
    """The live waybills that an order is in, newest first."""
    rows = connection.execute(
        select(waybills)
        .join(waybill_orders, waybill_orders.c.waybill_id == waybills.c.id)
        .where(
            waybill_orders.c.owner_id == owner_id,
            waybill_orders.c.order_number == order_number,
            waybills.c.live_parcel.is_not(None),
        )
        .order_by(waybills.c.id.desc())
    )
    return [filed_from(row) for row in rows]


def waybills_of(
    connection: Connection, store_id: str, after: str | None, limit: int, state: WaybillState | None
) -> list[Waybill]:
    """A page of a store's waybills, newest first, older than ``after``."""
    query = select(waybills).where(waybills.c.store_id == store_id)
    if after is not None:
        query = query.where(waybills.c.id < after)
    if state is not None:
        query = query.where(waybills.c.state == state.value)
    return [
        filed_from(row).waybill
        for row in connection.execute(query.order_by(waybills.c.id.desc()).limit(limit))
    ]


def waybill_history(connection: Connection, id: str) -> list[WaybillEvent]:
    """A waybill's history, oldest first."""
    rows = connection.execute(
        select(waybill_events).where(waybill_events.c.waybill_id == id).order_by(waybill_events.c.seq)
    )
    return [
        WaybillEvent(row.seq, row.at, row.waybill_id, row.actor, row.before, row.after, row.reason)
        for row in rows
    ]


#: Made once, as all that is asked every second: making it takes longer than asking.
_VOIDS_WAITING = (
    select(waybills.c.id)
    .where(
        waybills.c.state == WaybillState.VOID_PENDING.value,
        waybills.c.void_wait == VoidWait.NETWORK.value,
        or_(waybills.c.attempt_until.is_(None), waybills.c.attempt_until < bindparam("now")),
        or_(waybills.c.next_try_at.is_(None), waybills.c.next_try_at < bindparam("now")),
    )
    .order_by(waybills.c.id)
    .limit(bindparam("most"))
)


def voids_waiting(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Ids of void-pending waybills that wait for the network, and whose next try is due."""
    return [row.id for row in connection.execute(_VOIDS_WAITING, {"now": now, "most": limit})]


def take_lease(connection: Connection, seen: Filed, now: datetime, until: datetime) -> int | None:
    """Take the right to ask the network about a waybill, if nobody has it: the fence to give with every outcome."""
    changed = connection.execute(
        update(waybills)
        .where(
            waybills.c.id == seen.waybill.id,
            waybills.c.state == seen.waybill.state.value,
            waybills.c.attempts == seen.attempts,
            or_(waybills.c.attempt_until.is_(None), waybills.c.attempt_until < now),
        )
        .values(attempts=seen.attempts + 1, attempt_until=until)
    )
    return seen.attempts + 1 if changed.rowcount == 1 else None


def renew_lease(connection: Connection, id: str, fence: int, until: datetime) -> bool:
    """Keep the right for one more call; False if it was lost."""
    changed = connection.execute(
        update(waybills).where(waybills.c.id == id, waybills.c.attempts == fence).values(attempt_until=until)
    )
    return changed.rowcount == 1


def step_waybill(
    connection: Connection,
    id: str,
    before: Collection[WaybillState],
    after: WaybillState,
    *,
    now: datetime,
    actor: str,
    reason: str = "",
    fence: int | None = None,
    revision: int | None = None,
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Take a legal step and note it; False if the state, the fence or the revision was another.

    A parcel is free for a new waybill once this one is refused or cancelled (W2, W10). A repeated ``unknown`` is no event.
    """
    query = select(waybills.c.state).where(
        waybills.c.id == id, waybills.c.state.in_([s.value for s in before])
    )
    if fence is not None:
        query = query.where(waybills.c.attempts == fence)
    if revision is not None:
        query = query.where(waybills.c.revision == revision)
    was = connection.execute(query.with_for_update()).scalar()
    if was is None:
        return False
    changes: dict[str, Any] = {
        "state": after.value,
        "reason": reason,
        "next_look_at": now + FIRST_LOOK if after in FOLLOWED else None,
        **(values or {}),
    }
    if after in (WaybillState.REFUSED, WaybillState.CANCELLED):
        changes["live_parcel"] = None
    connection.execute(update(waybills).where(waybills.c.id == id).values(**changes))
    if was != after.value:
        _waybill_event(connection, id, now, actor, was, after, reason)
    return True


def set_held(connection: Connection, id: str, reason: str) -> None:
    """Note why a waybill's label must not come out; empty: it may."""
    connection.execute(update(waybills).where(waybills.c.id == id).values(held_reason=reason))


def set_void(
    connection: Connection,
    id: str,
    wait: VoidWait,
    reason: str,
    next_try_at: datetime | None,
    *,
    fence: int | None = None,
) -> None:
    """Say what a void-pending waybill waits for, and when it is tried again; with a ``fence``, give the lease back."""
    changing = update(waybills).where(
        waybills.c.id == id, waybills.c.state == WaybillState.VOID_PENDING.value
    )
    values = {"void_wait": wait.value, "reason": reason, "next_try_at": next_try_at}
    if fence is None:
        connection.execute(changing.values(**values))
    else:
        connection.execute(changing.where(waybills.c.attempts == fence).values(**values, attempt_until=None))


def count_void_try(connection: Connection, id: str, fence: int) -> None:
    """Note, before it happens, that the network is asked to cancel: the next try looks first whether it did."""
    connection.execute(
        update(waybills)
        .where(waybills.c.id == id, waybills.c.attempts == fence)
        .values(void_tries=waybills.c.void_tries + 1)
    )


def revise_waybill(
    connection: Connection,
    seen: Filed,
    request: IssueRequest,
    answer: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    now: datetime,
    actor: str,
) -> None:
    """Record an update (W6) of a locked waybill: the next revision, which nobody has printed yet, and a line of history."""
    was = seen.waybill.state
    after = WaybillState.ISSUED if was is WaybillState.PRINTED else was
    connection.execute(
        update(waybills)
        .where(waybills.c.id == seen.waybill.id)
        .values(
            state=after.value,
            request=request.as_dict(),
            answer=dict(answer),
            revision=seen.waybill.revision + 1,
            printed_at=None,
            print_key="",
            **values,
        )
    )
    _waybill_event(connection, seen.waybill.id, now, actor, was.value, after, "waybill.updated")


_LOOKS_DUE = (
    select(waybills.c.id, waybills.c.next_look_at)
    .where(waybills.c.next_look_at < bindparam("now"))
    .order_by(waybills.c.next_look_at)
    .limit(bindparam("most"))
)


def looks_due(connection: Connection, now: datetime, limit: int) -> list[tuple[str, datetime]]:
    """Ids of the waybills whose scans are to be looked at, longest due first, and the time that stands there."""
    found = connection.execute(_LOOKS_DUE, {"now": now, "most": limit})
    return [(row.id, row.next_look_at) for row in found]


def take_look(connection: Connection, id: str, seen: datetime, next_at: datetime | None) -> bool:
    """Claim one look at a waybill's scans and say when the next is due; False if another process has it."""
    changed = connection.execute(
        update(waybills)
        .where(waybills.c.id == id, waybills.c.next_look_at == seen)
        .values(next_look_at=next_at)
    )
    return changed.rowcount == 1


def claim_print(
    connection: Connection, seen: Filed, key: str, wish: PrintWish, clear: bool, now: datetime
) -> bool:
    """Claim the waybill's next print for a key, its recipient ``clear`` or masked; False if another request was first."""
    changed = connection.execute(
        update(waybills)
        .where(
            waybills.c.id == seen.waybill.id,
            waybills.c.print_no == seen.print_no,
            waybills.c.print_key == seen.print_key,
        )
        .values(
            print_no=seen.print_no + 1,
            print_key=key,
            print_printer=wish.printer,
            print_template=wish.template,
            print_lane=wish.lane,
            print_batch=wish.batch,
            print_sequence=wish.sequence,
            print_at=now,
            print_clear=clear,
        )
    )
    return changed.rowcount == 1


def give_back_print(connection: Connection, id: str, print_no: int) -> None:
    """Give a claim back whose job was refused before it was stored."""
    connection.execute(
        update(waybills).where(waybills.c.id == id, waybills.c.print_no == print_no).values(print_key="")
    )


def cursor(connection: Connection, name: str) -> int:
    """How far the reader ``name`` has read."""
    found = connection.execute(select(feed_cursors.c.seq).where(feed_cursors.c.name == name)).scalar()
    return int(found or 0)


def move_cursor(connection: Connection, name: str, seen: int, seq: int) -> None:
    """Move a cursor on. Raises Raced if another reader moved it meanwhile."""
    changed = connection.execute(
        update(feed_cursors).where(feed_cursors.c.name == name, feed_cursors.c.seq == seen).values(seq=seq)
    )
    if changed.rowcount == 1:
        return
    if seen != 0:
        raise Raced
    try:
        connection.execute(feed_cursors.insert().values(name=name, seq=seq))
    except IntegrityError as error:
        raise Raced from error


# --- people -----------------------------------------------------------------------------------------------------


def waybills_named(connection: Connection, ids: Collection[str], owner_id: str) -> list[Waybill]:
    """The waybills of these ids that carry an owner's orders, newest first."""
    rows = connection.execute(
        select(waybills)
        .where(waybills.c.id.in_(ids), waybills.c.owner_id == owner_id)
        .order_by(waybills.c.id.desc())
    )
    return [filed_from(row).waybill for row in rows]


def erasable(connection: Connection, before: datetime, limit: int) -> list[tuple[str, str]]:
    """Ids, and whose they are, of waybills made before a time whose personal data are still there, oldest first.

    One whose outcome is open keeps them: the identical request may have to be asked again (W2).
    """
    rows = connection.execute(
        select(waybills.c.id, waybills.c.owner_id)
        .where(*_erasable(before))
        .order_by(waybills.c.created_at)
        .limit(limit)
    )
    return [(row.id, row.owner_id) for row in rows]


def count_erasable(connection: Connection, before: datetime) -> int:
    """How many waybills ``erasable`` would name without a limit."""
    return connection.execute(
        select(func.count()).select_from(waybills).where(*_erasable(before))
    ).scalar_one()


def _erasable(before: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        waybills.c.erased_at.is_(None),
        waybills.c.created_at < before,
        waybills.c.state.not_in([state.value for state in UNSETTLED]),
    )


def erase_waybills(connection: Connection, ids: Collection[str], now: datetime) -> None:
    """Erase the personal data of waybills; number, carrier, state, times, orders and division stay."""
    rows = connection.execute(
        select(waybills.c.id, waybills.c.request, waybills.c.origin)
        .where(waybills.c.id.in_(ids))
        .with_for_update()
    ).all()
    for row in rows:
        request = IssueRequest.from_dict(row.request).erased()
        connection.execute(
            update(waybills)
            .where(waybills.c.id == row.id)
            .values(
                request=request.as_dict(),
                origin=Party(**row.origin).erased().as_dict(),
                answer=None,
                print_data=None,
                erased_at=now,
            )
        )
    delete_people(connection, list(ids))


def count_states(connection: Connection) -> dict[str, int]:
    """How many waybills of all stores are in each state."""
    rows = connection.execute(select(waybills.c.state, func.count().label("n")).group_by(waybills.c.state))
    return {state.value: 0 for state in WaybillState} | {row.state: row.n for row in rows}
