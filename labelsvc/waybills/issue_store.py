"""Queries of getting numbers, many at once: intents and their keys, leases, outcomes, and the counts to compare with the network's.

Hides how few statements and commits a waybill costs. Rows are written in the order of their parcels, then of their keys,
so that two calls with the same ones wait for each other and never both ways round.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from labelsvc.security import fingerprint
from labelsvc.waybills import people_store, subscription_store
from labelsvc.waybills.model import (
    UNSETTLED,
    Filed,
    IssueRequest,
    Subscription,
    Waybill,
    WaybillState,
)
from labelsvc.waybills.store import (
    FIRST_LOOK,
    FOLLOWED,
    Raced,
    filed_from,
    waybill_events,
    waybill_keys,
    waybill_orders,
    waybills,
)

#: What a waybill is made of again; the network's whole answer is kept for disputes and isn't among it.
_FILED: list[ColumnElement[Any]] = [column for column in waybills.c if column.name != "answer"]
_UNSETTLED = [state.value for state in UNSETTLED]


@dataclass(frozen=True)
class Intent:
    """A request that is about to be filed as a new waybill ``id``."""

    id: str
    store_id: str
    subscription: Subscription
    request: IssueRequest
    parcel: str


@dataclass(frozen=True)
class KeyUse:
    """What a key stands for from now on; ``again``: it stood for a refused waybill."""

    key: str
    content: str
    waybill_id: str
    again: bool


@dataclass(frozen=True)
class Outcome:
    """What came of asking for a waybill: its next state and, if that is *issued*, the columns of its number."""

    waybill: Waybill
    fence: int
    after: WaybillState
    reason: str = ""
    number: Mapping[str, Any] | None = None
    ask_after: datetime | None = None


@dataclass(frozen=True)
class Known:
    """What is known of a store's requests before they are filed: their contents' fingerprints, in order, the keys that were
    used, the parcels that have a live waybill, the subscriptions by carrier, and whether the store can speak to the network.
    """

    contents: list[str]
    keys: dict[str, tuple[str, str, WaybillState]]
    parcels: dict[str, Filed]
    subscriptions: dict[str, list[Subscription]]
    connected: bool


@dataclass(frozen=True)
class Standing:
    """Where a waybill stands, without opening anything sealed."""

    state: WaybillState
    reason: str
    attempt_until: datetime | None


def look_up(
    connection: Connection,
    store_id: str,
    requests: Sequence[tuple[IssueRequest, str]],
    parcels: Sequence[str],
) -> Known:
    """What is known of requests, each with its key and its parcel's name."""
    keys = connection.execute(
        select(waybill_keys.c.key, waybill_keys.c.fingerprint, waybill_keys.c.waybill_id, waybills.c.state)
        .join(waybills, waybills.c.id == waybill_keys.c.waybill_id)
        .where(waybill_keys.c.store_id == store_id, waybill_keys.c.key.in_([key for _, key in requests]))
    )
    used = {row.key: (row.fingerprint, row.waybill_id, WaybillState(row.state)) for row in keys}
    found = connection.execute(
        select(*_FILED, waybills.c.live_parcel).where(waybills.c.live_parcel.in_(parcels))
    )
    return Known(
        contents=[
            fingerprint(connection.dialect, "waybill.request", request.as_dict()) for request, _ in requests
        ],
        keys=used,
        parcels={row.live_parcel: filed_from(row) for row in found},
        subscriptions={
            carrier: subscription_store.subscriptions_of(connection, store_id, carrier=carrier)
            for carrier in {
                request.carrier
                for request, key in requests
                if key not in used or used[key][2] is WaybillState.REFUSED
            }
        },
        connected=subscription_store.access_token(connection, store_id) is not None,
    )


def file_intents(
    connection: Connection,
    store_id: str,
    intents: Sequence[Intent],
    keys: Sequence[KeyUse],
    *,
    now: datetime,
    attempt_until: datetime,
    actor: str,
) -> None:
    """File new waybills with their first lease, and what keys stand for.

    Raises Raced if a parcel has a live waybill by now (W2), or a key was used at the same time.
    """
    intents = sorted(intents, key=lambda one: one.parcel)
    # What keys refer to is locked as their foreign key will, but in the order of ``_held``: in that of the keys, the two
    # would wait for each other.
    if others := {use.waybill_id for use in keys} - {one.id for one in intents}:
        found = select(waybills.c.id).where(waybills.c.id.in_(others)).order_by(waybills.c.id)
        connection.execute(found.with_for_update(read=True, key_share=True))
    try:
        if intents:
            connection.execute(waybills.insert(), [_row(one, now, attempt_until) for one in intents])
            connection.execute(
                waybill_orders.insert(),
                [
                    {"waybill_id": one.id, "order_number": order, "owner_id": _owner(one)}
                    for one in intents
                    for order in one.request.orders
                ],
            )
            people_store.insert_people(
                connection, [(one.id, _owner(one), one.request.recipient) for one in intents]
            )
            connection.execute(
                waybill_events.insert(),
                [
                    {
                        "at": now,
                        "waybill_id": one.id,
                        "actor": actor,
                        "before": "",
                        "after": WaybillState.REQUESTED.value,
                        "reason": "",
                    }
                    for one in intents
                ],
            )
        for use in keys:
            if use.again:
                connection.execute(
                    update(waybill_keys)
                    .where(waybill_keys.c.store_id == store_id, waybill_keys.c.key == use.key)
                    .values(waybill_id=use.waybill_id)
                )
        if new := sorted((use for use in keys if not use.again), key=lambda use: use.key):
            connection.execute(
                waybill_keys.insert(),
                [
                    {
                        "store_id": store_id,
                        "key": use.key,
                        "fingerprint": use.content,
                        "waybill_id": use.waybill_id,
                    }
                    for use in new
                ],
            )
    except IntegrityError as error:
        raise Raced from error


def _owner(intent: Intent) -> str:
    return intent.request.owner_id or intent.store_id


def _row(intent: Intent, now: datetime, attempt_until: datetime) -> dict[str, Any]:
    subscription = intent.subscription
    return {
        "id": intent.id,
        "store_id": intent.store_id,
        "owner_id": _owner(intent),
        "subscription_id": subscription.id,
        "carrier": subscription.carrier,
        "carrier_name": subscription.carrier_name,
        "network": subscription.network,
        "live_parcel": intent.parcel,
        "state": WaybillState.REQUESTED.value,
        "request": intent.request.as_dict(),
        "origin": subscription.origin.as_dict(),
        "attempts": 1,
        "attempt_until": attempt_until,
        "created_at": now,
    }


def fresh(intent: Intent, now: datetime, attempt_until: datetime) -> Filed:
    """What ``file_intents`` has filed, without reading it again."""
    request, subscription = intent.request, intent.subscription
    waybill = Waybill(
        id=intent.id,
        store_id=intent.store_id,
        owner_id=_owner(intent),
        number=None,
        state=WaybillState.REQUESTED,
        carrier=subscription.carrier,
        carrier_name=subscription.carrier_name,
        subscription_id=subscription.id,
        orders=request.orders,
        package=request.package,
        recipient=request.recipient,
        shown_sender=request.shown_sender,
        origin=subscription.origin,
        items=request.items,
        weight_g=request.weight_g,
        note=request.note,
        store_name=request.store_name,
        route_code="",
        sorting_mark="",
        consolidation_centre="",
        reason="",
        held_reason="",
        void_wait=None,
        created_at=now,
        issued_at=None,
        printed_at=None,
        cancelled_at=None,
        piece=request.piece,
        pieces=request.pieces,
    )
    return Filed(
        waybill=waybill,
        request=request,
        print_data=None,
        attempts=1,
        attempt_until=attempt_until,
        label_destroyed=False,
        print_no=0,
        print_key="",
        print_wish=None,
        print_at=None,
        network=subscription.network,
    )


def filed_many(connection: Connection, ids: Collection[str]) -> dict[str, Filed]:
    """Waybills by their ids, of any store."""
    found = connection.execute(select(*_FILED).where(waybills.c.id.in_(ids)))
    return {row.id: filed_from(row) for row in found}


def standings(connection: Connection, ids: Collection[str]) -> dict[str, Standing]:
    """Where waybills stand."""
    found = connection.execute(
        select(waybills.c.id, waybills.c.state, waybills.c.reason, waybills.c.attempt_until).where(
            waybills.c.id.in_(ids)
        )
    )
    return {row.id: Standing(WaybillState(row.state), row.reason, row.attempt_until) for row in found}


#: Made once, as all that is asked every second: making it takes longer than asking.
_UNSETTLED_DUE = (
    select(*_FILED)
    .where(
        waybills.c.state.in_(_UNSETTLED),
        waybills.c.network.in_(bindparam("networks", expanding=True)),
        or_(waybills.c.attempt_until.is_(None), waybills.c.attempt_until < bindparam("now")),
        or_(waybills.c.ask_after.is_(None), waybills.c.ask_after < bindparam("now")),
    )
    .order_by(waybills.c.attempts, waybills.c.id)
    .limit(bindparam("most"))
)


def unsettled(connection: Connection, now: datetime, limit: int, networks: Collection[str]) -> list[Filed]:
    """Waybills of these networks whose number nobody is asking for and that are due, those asked least often first."""
    found = connection.execute(_UNSETTLED_DUE, {"now": now, "networks": list(networks), "most": limit})
    return [filed_from(row) for row in found]


def take_leases(
    connection: Connection, seen: Sequence[Filed], now: datetime, until: datetime
) -> dict[str, int]:
    """Take the right to ask the network about unsettled waybills, where nobody has it: their fences.

    The reason goes: on a *requested* waybill it says that nothing was asked yet, which from now on isn't certain.
    """
    fences: dict[str, int] = {}
    for filed in sorted(seen, key=lambda one: one.waybill.id):
        changed = connection.execute(
            update(waybills)
            .where(
                waybills.c.id == filed.waybill.id,
                waybills.c.state == filed.waybill.state.value,
                waybills.c.attempts == filed.attempts,
                or_(waybills.c.attempt_until.is_(None), waybills.c.attempt_until < now),
            )
            .values(attempts=filed.attempts + 1, attempt_until=until, reason="")
        )
        if changed.rowcount == 1:
            fences[filed.waybill.id] = filed.attempts + 1
    return fences


def renew_leases(connection: Connection, fences: Mapping[str, int], until: datetime) -> set[str]:
    """Keep the right for longer; the ids for which it wasn't lost."""
    kept = _held(connection, fences)
    if kept:
        connection.execute(update(waybills).where(waybills.c.id.in_(kept)).values(attempt_until=until))
    return set(kept)


def shorten_leases(connection: Connection, until: datetime) -> int:
    """Let no lease on a waybill run longer than that: how many did. For leases whose holders are dead."""
    changed = connection.execute(
        update(waybills)
        .where(
            waybills.c.state.in_([*_UNSETTLED, WaybillState.VOID_PENDING.value]),
            waybills.c.attempt_until > until,
        )
        .values(attempt_until=until)
    )
    return changed.rowcount


def _held(connection: Connection, fences: Mapping[str, int]) -> dict[str, str]:
    """Those of the waybills that are unsettled and ours to ask for, locked, with their states."""
    found = connection.execute(
        select(waybills.c.id, waybills.c.state, waybills.c.attempts)
        .where(waybills.c.id.in_(fences), waybills.c.state.in_(_UNSETTLED))
        .order_by(waybills.c.id)
        .with_for_update()
    )
    return {row.id: row.state for row in found if row.attempts == fences[row.id]}


def numbers_taken(connection: Connection, numbers: Mapping[str, Collection[str]]) -> set[tuple[str, str]]:
    """Which of a carrier's numbers waybills have already: (carrier, number)."""
    taken: set[tuple[str, str]] = set()
    for carrier, some in numbers.items():
        found = connection.execute(
            select(waybills.c.number).where(waybills.c.carrier == carrier, waybills.c.number.in_(some))
        )
        taken |= {(carrier, row.number) for row in found}
    return taken


_RECORD = update(waybills).where(waybills.c.id == bindparam("of_id"))


def record(connection: Connection, outcomes: Sequence[Outcome], *, now: datetime, actor: str) -> set[str]:
    """Write outcomes down, each with a line of history, and give the leases back; the ids whose lease wasn't lost.

    A waybill that stays *unknown*, or *requested*, has no new line. Raises Raced if another waybill got one of the numbers
    at the same time.
    """
    held = _held(connection, {one.waybill.id: one.fence for one in outcomes})
    ours = [one for one in outcomes if one.waybill.id in held]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in ours:
        values: dict[str, Any] = {
            "state": one.after.value,
            "reason": one.reason,
            "attempt_until": None,
            "ask_after": one.ask_after,
            "next_look_at": now + FIRST_LOOK if one.after in FOLLOWED else None,
            **(one.number or {}),
        }
        if one.after is WaybillState.REFUSED:
            values["live_parcel"] = None
        groups.setdefault(tuple(values), []).append({"of_id": one.waybill.id, **values})
    try:
        for columns, many in groups.items():
            connection.execute(_RECORD.values({name: bindparam(name) for name in columns}), many)
    except IntegrityError as error:
        raise Raced from error
    events = [
        {
            "at": now,
            "waybill_id": one.waybill.id,
            "actor": actor,
            "before": held[one.waybill.id],
            "after": one.after.value,
            "reason": one.reason,
        }
        for one in ours
        if held[one.waybill.id] != one.after.value
    ]
    if events:
        connection.execute(waybill_events.insert(), events)
    return set(held)


# --- comparing with the network ---------------------------------------------------------------------------------


def page_of(
    connection: Connection,
    store_id: str,
    after: str,
    limit: int,
    since: datetime | None,
    until: datetime | None,
) -> list[Filed]:
    """A store's waybills made in [since, until), oldest first, newer than the id ``after``."""
    query = select(*_FILED).where(waybills.c.store_id == store_id, waybills.c.id > after)
    if since is not None:
        query = query.where(waybills.c.created_at >= since)
    if until is not None:
        query = query.where(waybills.c.created_at < until)
    return [filed_from(row) for row in connection.execute(query.order_by(waybills.c.id).limit(limit))]


def counts(connection: Connection, store_id: str) -> dict[str, tuple[int, int]]:
    """By subscription: how many numbers the store's waybills ever got, and how many of them are cancelled."""
    found = connection.execute(
        select(
            waybills.c.subscription_id,
            func.count().label("issued"),
            func.sum(case((waybills.c.state == WaybillState.CANCELLED.value, 1), else_=0)).label("cancelled"),
        )
        .where(waybills.c.store_id == store_id, waybills.c.number.is_not(None))
        .group_by(waybills.c.subscription_id)
    )
    return {row.subscription_id: (int(row.issued), int(row.cancelled)) for row in found}
