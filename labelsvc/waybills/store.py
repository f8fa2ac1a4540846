"""Tables and queries of addresses, subscriptions and waybills; rows never leave here, nouns do.

The rules that two requests could race past are constraints: 100 addresses a store (E4), one default, one network point
an address (E5), one live waybill a parcel (W2), one request a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata
from labelsvc.errors import Conflict
from labelsvc.security import Sealed, fingerprint
from labelsvc.waybills.model import (
    ADDRESSES_PER_STORE,
    OCCUPYING,
    UNSETTLED,
    CarrierKind,
    Filed,
    IssueRequest,
    Party,
    PrintWish,
    SenderAddress,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
    VoidWait,
    Waybill,
    WaybillEvent,
    WaybillState,
)

_Seq = BigInteger().with_variant(Integer, "sqlite")


class Raced(Exception):
    """Another request was first, as a constraint says; the transaction is lost and can be tried again."""


def _one_of(column: str, words: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


sender_addresses = Table(
    "sender_addresses",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("party", Sealed("sender_addresses.party"), nullable=False),
    Column("default_of", String(26), unique=True),  # the store's id on its default address, else null
    Column("created_at", UtcDateTime(), nullable=False),
    Column("changed_at", UtcDateTime(), nullable=False),
    UniqueConstraint("store_id", "slot"),
    CheckConstraint(f"slot BETWEEN 1 AND {ADDRESSES_PER_STORE}", name="slot"),
)

network_accounts = Table(
    "network_accounts",
    metadata,
    Column("store_id", ForeignKey("stores.id"), primary_key=True),
    Column("access_token", Sealed("network_accounts.access_token"), nullable=False),
    Column("connected_at", UtcDateTime(), nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("carrier", String(20), nullable=False),
    Column("carrier_name", String(60), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("address_id", ForeignKey("sender_addresses.id", ondelete="SET NULL"), index=True),
    Column("branch_code", String(40), nullable=False),
    Column("branch_name", String(80), nullable=False),
    Column("state", String(16), nullable=False),
    Column("origin", Sealed("subscriptions.origin"), nullable=False),
    Column("contact", Sealed("subscriptions.contact"), nullable=False),
    Column("settlement_account", Sealed("subscriptions.settlement_account"), nullable=False),
    Column("agreement_version", String(40), nullable=False),
    Column("agreed_at", UtcDateTime(), nullable=False),
    Column("agreed_by", String(80), nullable=False),
    Column("occupies", String(60), unique=True),  # address, or address:carrier, while it is occupied (E5)
    Column("network_application_id", String(80), nullable=False, server_default=""),
    Column("reason", String(80), nullable=False, server_default=""),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("opened_at", UtcDateTime()),
    CheckConstraint(_one_of("state", SubscriptionState), name="state"),
    CheckConstraint(_one_of("kind", CarrierKind), name="kind"),
    Index("ix_subscriptions_store_id_carrier", "store_id", "carrier"),
)

subscription_events = Table(
    "subscription_events",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime(), nullable=False),
    Column("subscription_id", ForeignKey("subscriptions.id"), nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", String(80), nullable=False),
    sqlite_autoincrement=True,
)

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
    Column("label_destroyed", Boolean, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False),
    Column("attempt_until", UtcDateTime()),
    Column("print_no", Integer, nullable=False, server_default="0"),
    Column("print_key", String(200), nullable=False, server_default=""),
    Column("print_printer", String(80), nullable=False, server_default=""),
    Column("print_template", String(80), nullable=False, server_default=""),
    Column("print_lane", String(10), nullable=False, server_default=""),
    Column("print_at", UtcDateTime()),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("issued_at", UtcDateTime()),
    Column("printed_at", UtcDateTime()),
    Column("cancelled_at", UtcDateTime()),
    CheckConstraint(_one_of("state", WaybillState), name="state"),
    CheckConstraint(f"void_wait IS NULL OR {_one_of('void_wait', VoidWait)}", name="void_wait"),
    UniqueConstraint("carrier", "number"),
    Index("ix_waybills_store_id_state", "store_id", "state", "id"),
    Index("ix_waybills_state_attempt_until", "state", "attempt_until"),
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
    Column("seq", _Seq, primary_key=True, autoincrement=True),
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


# --- sender addresses -------------------------------------------------------------------------------------------


def _in_use() -> Any:
    return (
        select(func.count())
        .select_from(subscriptions)
        .where(
            subscriptions.c.address_id == sender_addresses.c.id,
            subscriptions.c.state.in_([state.value for state in OCCUPYING]),
        )
        .scalar_subquery()
        .label("in_use")
    )


def _address(row: Row[Any]) -> SenderAddress:
    return SenderAddress(
        id=row.id,
        store_id=row.store_id,
        party=Party(**row.party),
        is_default=row.default_of is not None,
        in_use=row.in_use > 0,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def insert_address(
    connection: Connection, id: str, store_id: str, party: Party, default: bool, now: datetime
) -> bool:
    """Add an address in a free slot; False if there is none (E4). Raises Raced."""
    rows = connection.execute(
        select(sender_addresses.c.slot, sender_addresses.c.default_of).where(
            sender_addresses.c.store_id == store_id
        )
    ).all()
    taken = {row.slot for row in rows}
    slot = next((slot for slot in range(1, ADDRESSES_PER_STORE + 1) if slot not in taken), None)
    if slot is None:
        return False
    has_default = any(row.default_of for row in rows)
    if default and has_default:
        _clear_default(connection, store_id)
    try:
        connection.execute(
            sender_addresses.insert().values(
                id=id,
                store_id=store_id,
                slot=slot,
                party=party.as_dict(),
                default_of=store_id if default or not has_default else None,
                created_at=now,
                changed_at=now,
            )
        )
    except IntegrityError as error:
        raise Raced from error
    return True


def addresses_of(connection: Connection, store_id: str) -> list[SenderAddress]:
    """A store's addresses, the default first, then oldest first."""
    rows = connection.execute(
        select(sender_addresses, _in_use())
        .where(sender_addresses.c.store_id == store_id)
        .order_by(sender_addresses.c.default_of.is_(None), sender_addresses.c.id)
    )
    return [_address(row) for row in rows]


def find_address(
    connection: Connection, store_id: str, id: str, *, lock: bool = False
) -> SenderAddress | None:
    """One address of a store; ``lock`` keeps it from being changed until the transaction ends."""
    found = select(sender_addresses, _in_use()).where(
        sender_addresses.c.store_id == store_id, sender_addresses.c.id == id
    )
    row = connection.execute(found.with_for_update(of=sender_addresses) if lock else found).first()
    return _address(row) if row else None


def update_address(connection: Connection, id: str, party: Party, now: datetime) -> None:
    """Change what an address says."""
    connection.execute(
        update(sender_addresses)
        .where(sender_addresses.c.id == id)
        .values(party=party.as_dict(), changed_at=now)
    )


def _clear_default(connection: Connection, store_id: str) -> None:
    connection.execute(
        update(sender_addresses).where(sender_addresses.c.default_of == store_id).values(default_of=None)
    )


def set_default(connection: Connection, store_id: str, id: str) -> None:
    """Make one address the default. Raises Conflict if another request did so at the same time."""
    _clear_default(connection, store_id)
    try:
        connection.execute(
            update(sender_addresses).where(sender_addresses.c.id == id).values(default_of=store_id)
        )
    except IntegrityError:
        raise Conflict("another address was made default at the same time", code="address.default") from None


def delete_address(connection: Connection, id: str) -> None:
    """Remove an address; its former subscriptions keep their frozen text."""
    connection.execute(delete(sender_addresses).where(sender_addresses.c.id == id))


# --- subscriptions ----------------------------------------------------------------------------------------------


def put_account(connection: Connection, store_id: str, access_token: str, now: datetime) -> None:
    """Keep a store's access token to the network, replacing an older one."""
    values = {"access_token": access_token, "connected_at": now}
    changed = connection.execute(
        update(network_accounts).where(network_accounts.c.store_id == store_id).values(**values)
    )
    if changed.rowcount == 0:
        connection.execute(network_accounts.insert().values(store_id=store_id, **values))


def access_token(connection: Connection, store_id: str) -> str | None:
    """A store's access token to the network."""
    found = connection.execute(
        select(network_accounts.c.access_token).where(network_accounts.c.store_id == store_id)
    ).scalar()
    return str(found) if found is not None else None


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        id=row.id,
        store_id=row.store_id,
        carrier=row.carrier,
        carrier_name=row.carrier_name,
        kind=CarrierKind(row.kind),
        address_id=row.address_id,
        branch_code=row.branch_code,
        branch_name=row.branch_name,
        state=SubscriptionState(row.state),
        origin=Party(**row.origin),
        contact_name=row.contact["name"],
        contact_phone=row.contact["phone"],
        settlement_account=row.settlement_account,
        agreement_version=row.agreement_version,
        agreed_at=row.agreed_at,
        agreed_by=row.agreed_by,
        created_at=row.created_at,
        opened_at=row.opened_at,
        reason=row.reason,
        network_application_id=row.network_application_id,
    )


def insert_subscription(connection: Connection, new: Subscription, occupies: str) -> None:
    """Add a subscription and occupy its address. Raises Raced if that is occupied (E5)."""
    try:
        connection.execute(
            subscriptions.insert().values(
                id=new.id,
                store_id=new.store_id,
                carrier=new.carrier,
                carrier_name=new.carrier_name,
                kind=new.kind.value,
                address_id=new.address_id,
                branch_code=new.branch_code,
                branch_name=new.branch_name,
                state=new.state.value,
                origin=new.origin.as_dict(),
                contact={"name": new.contact_name, "phone": new.contact_phone},
                settlement_account=new.settlement_account,
                agreement_version=new.agreement_version,
                agreed_at=new.agreed_at,
                agreed_by=new.agreed_by,
                occupies=occupies,
                created_at=new.created_at,
            )
        )
    except IntegrityError as error:
        raise Raced from error
    _subscription_event(connection, new.id, new.created_at, new.agreed_by, "", new.state, "")


def _subscription_event(
    connection: Connection,
    id: str,
    now: datetime,
    actor: str,
    before: str,
    after: SubscriptionState,
    reason: str,
) -> None:
    connection.execute(
        subscription_events.insert().values(
            at=now, subscription_id=id, actor=actor, before=before, after=after.value, reason=reason
        )
    )


def step_subscription(
    connection: Connection,
    id: str,
    before: SubscriptionState,
    after: SubscriptionState,
    *,
    now: datetime,
    actor: str,
    reason: str = "",
    application_id: str | None = None,
) -> bool:
    """Take a step, freeing the address where the new state doesn't occupy it; False if the state was another."""
    values: dict[str, Any] = {"state": after.value, "reason": reason}
    if after not in OCCUPYING:
        values["occupies"] = None
    if after is SubscriptionState.OPEN:
        values["opened_at"] = now
    if application_id is not None:
        values["network_application_id"] = application_id
    changed = connection.execute(
        update(subscriptions)
        .where(subscriptions.c.id == id, subscriptions.c.state == before.value)
        .values(**values)
    )
    if changed.rowcount != 1:
        return False
    _subscription_event(connection, id, now, actor, before.value, after, reason)
    return True


def find_subscription(connection: Connection, store_id: str, id: str) -> Subscription | None:
    """One subscription of a store."""
    row = connection.execute(
        select(subscriptions).where(subscriptions.c.store_id == store_id, subscriptions.c.id == id)
    ).first()
    return _subscription(row) if row else None


def subscriptions_of(
    connection: Connection,
    store_id: str | None = None,
    *,
    carrier: str | None = None,
    state: SubscriptionState | None = None,
    address_id: str | None = None,
) -> list[Subscription]:
    """Subscriptions that match, oldest first; ``store_id`` None: of every store."""
    query = select(subscriptions).order_by(subscriptions.c.id)
    if store_id is not None:
        query = query.where(subscriptions.c.store_id == store_id)
    if carrier is not None:
        query = query.where(subscriptions.c.carrier == carrier)
    if state is not None:
        query = query.where(subscriptions.c.state == state.value)
    if address_id is not None:
        query = query.where(subscriptions.c.address_id == address_id)
    return [_subscription(row) for row in connection.execute(query)]


def subscription_history(connection: Connection, id: str) -> list[SubscriptionEvent]:
    """A subscription's history, oldest first."""
    rows = connection.execute(
        select(subscription_events)
        .where(subscription_events.c.subscription_id == id)
        .order_by(subscription_events.c.seq)
    )
    return [
        SubscriptionEvent(row.seq, row.at, row.subscription_id, row.actor, row.before, row.after, row.reason)
        for row in rows
    ]


# --- waybills ---------------------------------------------------------------------------------------------------


def parcel_key(owner_id: str, store_id: str, orders: Collection[str], package: str) -> str:
    """The name of a parcel: whose orders, which orders, which package of them, shipped by whom."""
    named = json.dumps([store_id, owner_id, sorted(orders), package], ensure_ascii=False)
    return hashlib.sha256(named.encode()).hexdigest()


def content_of(connection: Connection, request: IssueRequest) -> str:
    """A keyed hash of a request's whole content, to tell a repeated key from a reused one."""
    return fingerprint(connection.dialect, "waybill.request", request.as_dict())


def _filed(row: Row[Any]) -> Filed:
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
    )
    wish = PrintWish(row.print_printer, row.print_template, row.print_lane) if row.print_no else None
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
    )


def insert_waybill(
    connection: Connection,
    *,
    id: str,
    store_id: str,
    subscription: Subscription,
    request: IssueRequest,
    parcel: str,
    now: datetime,
    attempt_until: datetime,
    actor: str,
) -> None:
    """File the intent to get a number. Raises Raced if the parcel has a live waybill (W2)."""
    owner_id = request.owner_id or store_id
    try:
        connection.execute(
            waybills.insert().values(
                id=id,
                store_id=store_id,
                owner_id=owner_id,
                subscription_id=subscription.id,
                carrier=subscription.carrier,
                carrier_name=subscription.carrier_name,
                live_parcel=parcel,
                state=WaybillState.REQUESTED.value,
                request=request.as_dict(),
                origin=subscription.origin.as_dict(),
                attempts=1,
                attempt_until=attempt_until,
                created_at=now,
            )
        )
    except IntegrityError as error:
        raise Raced from error
    connection.execute(
        waybill_orders.insert(),
        [{"waybill_id": id, "order_number": order, "owner_id": owner_id} for order in request.orders],
    )
    _waybill_event(connection, id, now, actor, "", WaybillState.REQUESTED, "")


def _waybill_event(
    connection: Connection, id: str, now: datetime, actor: str, before: str, after: WaybillState, reason: str
) -> None:
    connection.execute(
        waybill_events.insert().values(
            at=now, waybill_id=id, actor=actor, before=before, after=after.value, reason=reason
        )
    )


def insert_key(connection: Connection, store_id: str, key: str, fingerprint: str, waybill_id: str) -> None:
    """Remember what a key stood for. Raises Raced if it was used at the same time."""
    try:
        connection.execute(
            waybill_keys.insert().values(
                store_id=store_id, key=key, fingerprint=fingerprint, waybill_id=waybill_id
            )
        )
    except IntegrityError as error:
        raise Raced from error


def find_key(connection: Connection, store_id: str, key: str) -> tuple[str, str] | None:
    """The fingerprint and the waybill of a key that was used."""
    row = connection.execute(
        select(waybill_keys.c.fingerprint, waybill_keys.c.waybill_id).where(
            waybill_keys.c.store_id == store_id, waybill_keys.c.key == key
        )
    ).first()
    return (row.fingerprint, row.waybill_id) if row else None


def filed(connection: Connection, id: str, store_id: str | None = None) -> Filed | None:
    """A waybill by its id, of one store or of any."""
    query = select(waybills).where(waybills.c.id == id)
    if store_id is not None:
        query = query.where(waybills.c.store_id == store_id)
    row = connection.execute(query).first()
    return _filed(row) if row else None


def filed_by_number(connection: Connection, number: str, store_id: str) -> Filed | None:
    """A store's waybill by its number."""
    row = connection.execute(
        select(waybills).where(waybills.c.number == number, waybills.c.store_id == store_id)
    ).first()
    return _filed(row) if row else None


def filed_by_parcel(connection: Connection, parcel: str) -> Filed | None:
    """The live waybill of a parcel."""
    row = connection.execute(select(waybills).where(waybills.c.live_parcel == parcel)).first()
    return _filed(row) if row else None


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
    return [_filed(row) for row in rows]


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
        _filed(row).waybill for row in connection.execute(query.order_by(waybills.c.id.desc()).limit(limit))
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


def unsettled(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Ids of waybills whose number nobody is asking for, oldest first."""
    rows = connection.execute(
        select(waybills.c.id)
        .where(
            waybills.c.state.in_([state.value for state in UNSETTLED]),
            or_(waybills.c.attempt_until.is_(None), waybills.c.attempt_until < now),
        )
        .order_by(waybills.c.id)
        .limit(limit)
    )
    return [row.id for row in rows]


def voids_waiting(connection: Connection, now: datetime, limit: int) -> list[str]:
    """Ids of void-pending waybills that wait for the network, and whose next try is due."""
    rows = connection.execute(
        select(waybills.c.id)
        .where(
            waybills.c.state == WaybillState.VOID_PENDING.value,
            waybills.c.void_wait == VoidWait.NETWORK.value,
            or_(waybills.c.attempt_until.is_(None), waybills.c.attempt_until < now),
        )
        .order_by(waybills.c.id)
        .limit(limit)
    )
    return [row.id for row in rows]


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
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Take a legal step and note it; False if the state, or the fence, was another.

    A parcel is free for a new waybill once this one is refused or cancelled (W2, W10). A repeated ``unknown`` is no event.
    """
    query = select(waybills.c.state).where(
        waybills.c.id == id, waybills.c.state.in_([s.value for s in before])
    )
    if fence is not None:
        query = query.where(waybills.c.attempts == fence)
    was = connection.execute(query.with_for_update()).scalar()
    if was is None:
        return False
    changes: dict[str, Any] = {"state": after.value, "reason": reason, **(values or {})}
    if after in (WaybillState.REFUSED, WaybillState.CANCELLED):
        changes["live_parcel"] = None
    connection.execute(update(waybills).where(waybills.c.id == id).values(**changes))
    if was != after.value:
        _waybill_event(connection, id, now, actor, was, after, reason)
    return True


def number_taken(connection: Connection, carrier: str, number: str, id: str) -> bool:
    """Whether another waybill has this number."""
    return (
        connection.execute(
            select(waybills.c.id).where(
                waybills.c.carrier == carrier, waybills.c.number == number, waybills.c.id != id
            )
        ).first()
        is not None
    )


def set_held(connection: Connection, id: str, reason: str) -> None:
    """Note why a waybill's label must not come out; empty: it may."""
    connection.execute(update(waybills).where(waybills.c.id == id).values(held_reason=reason))


def set_void(connection: Connection, id: str, wait: VoidWait, reason: str, next_at: datetime | None) -> None:
    """Say what a void-pending waybill waits for, and when it is tried again."""
    connection.execute(
        update(waybills)
        .where(waybills.c.id == id, waybills.c.state == WaybillState.VOID_PENDING.value)
        .values(void_wait=wait.value, reason=reason, attempt_until=next_at)
    )


def claim_print(connection: Connection, seen: Filed, key: str, wish: PrintWish, now: datetime) -> bool:
    """Claim the waybill's next print for a key; False if another request did so first."""
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
            print_at=now,
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
