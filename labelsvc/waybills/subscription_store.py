"""Tables and queries of sender addresses, accounts at the network and subscriptions; rows never leave here, nouns do.

The rules that two requests could race past are constraints: 100 addresses a store (E4), one default, one network point
an address (E5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
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
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata, put
from labelsvc.errors import Conflict
from labelsvc.security import Sealed, fingerprint
from labelsvc.waybills.model import (
    ADDRESSES_PER_STORE,
    OCCUPYING,
    CarrierKind,
    Party,
    SenderAddress,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
)
from labelsvc.waybills.store import Raced, Seq, one_of

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
    Column("refresh_token", Sealed("network_accounts.refresh_token")),
    Column("expires_at", UtcDateTime()),
    Column("connected_at", UtcDateTime(), nullable=False),
    # Keyed hashes, to find the account of a token that has expired, also after another has renewed it.
    Column("token_print", String(64), nullable=False, index=True),
    Column("former_print", String(64), nullable=False, server_default="", index=True),
    Column("renewing_until", UtcDateTime()),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("carrier", String(20), nullable=False),
    Column("carrier_name", String(60), nullable=False),
    Column("kind", String(10)),  # null: a draft's
    Column("network", String(10), nullable=False, server_default="platform"),
    Column("address_id", ForeignKey("sender_addresses.id", ondelete="SET NULL"), index=True),
    Column("branch_code", String(40), nullable=False),
    Column("branch_name", String(80), nullable=False),
    Column("state", String(16), nullable=False),
    Column("origin", Sealed("subscriptions.origin"), nullable=False),
    Column("contact", Sealed("subscriptions.contact"), nullable=False),
    Column("settlement_account", Sealed("subscriptions.settlement_account"), nullable=False),
    Column("agreement_version", String(40), nullable=False),
    Column("accepted", Boolean, nullable=False, server_default="0"),
    Column("agreed_at", UtcDateTime()),
    Column("agreed_by", String(80), nullable=False, server_default=""),
    Column("occupies", String(60), unique=True),  # address, or address:carrier, while it is occupied (E5)
    Column("network_application_id", String(80), nullable=False, server_default=""),
    Column("reason", String(80), nullable=False, server_default=""),
    Column("carrier_reason", Sealed("subscriptions.carrier_reason")),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("opened_at", UtcDateTime()),
    # Who speaks with the network about it: the fence to give with the outcome, until when, and when to ask next.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("attempt_until", UtcDateTime()),
    Column("look_at", UtcDateTime()),
    CheckConstraint(one_of("state", SubscriptionState), name="state"),
    CheckConstraint(
        # By itself, IN lets a null pass.
        f"state IN ('draft', 'closed') OR (kind IS NOT NULL AND {one_of('kind', CarrierKind)})",
        name="kind",
    ),
    CheckConstraint("state IN ('draft', 'closed') OR agreed_at IS NOT NULL", name="agreed"),
    Index("ix_subscriptions_store_id_carrier", "store_id", "carrier"),
    Index("ix_subscriptions_look_at", "look_at"),
)

subscription_events = Table(
    "subscription_events",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime(), nullable=False),
    Column("subscription_id", ForeignKey("subscriptions.id"), nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", String(80), nullable=False),
    Column("carrier_reason", Sealed("subscription_events.carrier_reason")),
    Column("changed", String(200), nullable=False, server_default=""),
    sqlite_autoincrement=True,
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
    which = (sender_addresses.c.store_id == store_id, sender_addresses.c.id == id)
    if lock:
        # By itself and first: a statement that waits for a lock goes on counting services as before it waited.
        connection.execute(select(sender_addresses.c.id).where(*which).with_for_update())
    row = connection.execute(select(sender_addresses, _in_use()).where(*which)).first()
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


# --- accounts at the network ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """A store's account at the network, with its tokens in clear."""

    store_id: str
    access_token: str
    refresh_token: str
    expires_at: datetime | None
    connected_at: datetime


def _print(connection: Connection, token: str) -> str:
    return fingerprint(connection.dialect, "network.token", token)


def put_account(
    connection: Connection,
    store_id: str,
    access_token: str,
    now: datetime,
    refresh_token: str = "",
    expires_at: datetime | None = None,
) -> None:
    """Keep a store's access to the network, replacing an older one."""
    values = {
        "access_token": access_token,
        "refresh_token": refresh_token or None,
        "expires_at": expires_at,
        "connected_at": now,
        "token_print": _print(connection, access_token),
        "former_print": "",
        "renewing_until": None,
    }
    put(connection, network_accounts, {"store_id": store_id}, values)


def find_account(connection: Connection, store_id: str) -> Account | None:
    """A store's account."""
    row = connection.execute(select(network_accounts).where(network_accounts.c.store_id == store_id)).first()
    return _account(row) if row else None


def accounts_by_token(connection: Connection, token: str) -> list[Account]:
    """The accounts whose access token this is, or was before the last renewal."""
    known = _print(connection, token)
    rows = connection.execute(
        select(network_accounts)
        .where(or_(network_accounts.c.token_print == known, network_accounts.c.former_print == known))
        .order_by(network_accounts.c.store_id)
    )
    return [_account(row) for row in rows]


def _account(row: Row[Any]) -> Account:
    return Account(row.store_id, row.access_token, row.refresh_token or "", row.expires_at, row.connected_at)


def begin_renewal(connection: Connection, account: Account, now: datetime, until: datetime) -> bool:
    """Take the right to renew an account's token; False if another is at it, or has done it."""
    changed = connection.execute(
        update(network_accounts)
        .where(
            network_accounts.c.store_id == account.store_id,
            network_accounts.c.token_print == _print(connection, account.access_token),
            or_(network_accounts.c.renewing_until.is_(None), network_accounts.c.renewing_until < now),
        )
        .values(renewing_until=until)
    )
    return changed.rowcount == 1


def end_renewal(
    connection: Connection,
    account: Account,
    access_token: str,
    refresh_token: str,
    expires_at: datetime | None,
) -> bool:
    """Store what a renewal gave; False if the store was connected anew meanwhile."""
    former = _print(connection, account.access_token)
    changed = connection.execute(
        update(network_accounts)
        .where(
            network_accounts.c.store_id == account.store_id,
            network_accounts.c.token_print == former,
        )
        .values(
            access_token=access_token,
            refresh_token=refresh_token or None,
            expires_at=expires_at,
            token_print=_print(connection, access_token),
            former_print=former,
            renewing_until=None,
        )
    )
    return changed.rowcount == 1


def drop_renewal(connection: Connection, account: Account, *, for_good: bool) -> None:
    """Give the right to renew back; ``for_good``: the network doesn't take the refresh token any more."""
    values: dict[str, Any] = {"renewing_until": None}
    if for_good:
        values["refresh_token"] = None
    connection.execute(
        update(network_accounts)
        .where(
            network_accounts.c.store_id == account.store_id,
            network_accounts.c.token_print == _print(connection, account.access_token),
        )
        .values(**values)
    )


def access_token(connection: Connection, store_id: str) -> str | None:
    """A store's access token to the network."""
    found = find_account(connection, store_id)
    return found.access_token if found else None


# --- subscriptions ----------------------------------------------------------------------------------------------


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        id=row.id,
        store_id=row.store_id,
        carrier=row.carrier,
        carrier_name=row.carrier_name,
        kind=CarrierKind(row.kind) if row.kind else None,
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
        network=row.network,
        carrier_reason=row.carrier_reason or "",
        accepted=row.accepted,
    )


def _written(said: Subscription) -> dict[str, Any]:
    """The columns that an application fills."""
    return {
        "carrier": said.carrier,
        "carrier_name": said.carrier_name,
        "kind": said.kind.value if said.kind else None,
        "network": said.network,
        "address_id": said.address_id,
        "branch_code": said.branch_code,
        "branch_name": said.branch_name,
        "state": said.state.value,
        "origin": said.origin.as_dict(),
        "contact": {"name": said.contact_name, "phone": said.contact_phone},
        "settlement_account": said.settlement_account,
        "agreement_version": said.agreement_version,
        "accepted": said.accepted,
        "agreed_at": said.agreed_at,
        "agreed_by": said.agreed_by,
        "reason": said.reason,
        "carrier_reason": said.carrier_reason or None,
        "opened_at": said.opened_at,
        "network_application_id": said.network_application_id,
    }


def insert_subscription(
    connection: Connection,
    new: Subscription,
    occupies: str | None,
    *,
    actor: str,
    attempt_until: datetime | None = None,
) -> None:
    """Add a subscription, which occupies its address if it is more than a draft. Raises Raced if that is taken (E5).

    With ``attempt_until`` the caller holds its first lease, whose fence is 1.
    """
    try:
        connection.execute(
            subscriptions.insert().values(
                id=new.id,
                store_id=new.store_id,
                occupies=occupies,
                created_at=new.created_at,
                attempts=0 if attempt_until is None else 1,
                attempt_until=attempt_until,
                look_at=new.created_at,
                **_written(new),
            )
        )
    except IntegrityError as error:
        raise Raced from error
    _subscription_event(connection, new.id, new.created_at, actor, "", new.state, "")


def resubmit(
    connection: Connection,
    said: Subscription,
    before: SubscriptionState,
    occupies: str,
    *,
    now: datetime,
    actor: str,
    attempt_until: datetime,
    changed: Sequence[str],
) -> int | None:
    """Submit a draft, or a rejected application anew: the fence of the caller's lease, None if it is another's by now.

    Raises Raced if the address is taken (E5).
    """
    try:
        fence = connection.execute(
            update(subscriptions)
            .where(subscriptions.c.id == said.id, subscriptions.c.state == before.value)
            .values(
                occupies=occupies,
                attempts=subscriptions.c.attempts + 1,
                attempt_until=attempt_until,
                look_at=now,
                **_written(said),
            )
            .returning(subscriptions.c.attempts)
        ).scalar()
    except IntegrityError as error:
        raise Raced from error
    if fence is None:
        return None
    _subscription_event(connection, said.id, now, actor, before.value, said.state, "", changed=changed)
    return int(fence)


def update_draft(connection: Connection, said: Subscription) -> bool:
    """Change what a draft says; False if it is none any more."""
    changed = connection.execute(
        update(subscriptions)
        .where(
            subscriptions.c.id == said.id,
            subscriptions.c.store_id == said.store_id,
            subscriptions.c.state == SubscriptionState.DRAFT.value,
        )
        .values(**_written(said))
    )
    return changed.rowcount == 1


def _subscription_event(
    connection: Connection,
    id: str,
    now: datetime,
    actor: str,
    before: str,
    after: SubscriptionState,
    reason: str,
    carrier_reason: str = "",
    changed: Sequence[str] = (),
) -> None:
    connection.execute(
        subscription_events.insert().values(
            at=now,
            subscription_id=id,
            actor=actor,
            before=before,
            after=after.value,
            reason=reason,
            carrier_reason=carrier_reason or None,
            changed=" ".join(changed),
        )
    )


def take_lease(connection: Connection, id: str, now: datetime, until: datetime) -> int | None:
    """Take the right to speak with the network about a subscription, if nobody has it: the fence."""
    fence = connection.execute(
        update(subscriptions)
        .where(
            subscriptions.c.id == id,
            or_(subscriptions.c.attempt_until.is_(None), subscriptions.c.attempt_until < now),
        )
        .values(attempts=subscriptions.c.attempts + 1, attempt_until=until)
        .returning(subscriptions.c.attempts)
    ).scalar()
    return int(fence) if fence is not None else None


def end_lease(connection: Connection, id: str, fence: int, look_at: datetime) -> None:
    """Give the right back, and say when the network is asked next."""
    connection.execute(
        update(subscriptions)
        .where(subscriptions.c.id == id, subscriptions.c.attempts == fence)
        .values(attempt_until=None, look_at=look_at)
    )


def step_subscription(
    connection: Connection,
    seen: Subscription,
    fence: int,
    after: SubscriptionState,
    *,
    now: datetime,
    actor: str,
    look_at: datetime,
    reason: str = "",
    carrier_reason: str = "",
    application_id: str | None = None,
    lease_until: datetime | None = None,
) -> bool:
    """End a lease (or keep it for another call) with its outcome; the address is freed where the new state doesn't occupy it. False if it was lost.

    The same state again is no event.
    """
    values: dict[str, Any] = {
        "state": after.value,
        "reason": reason,
        "carrier_reason": carrier_reason or None,
        "attempt_until": lease_until,
        "look_at": look_at,
    }
    if after not in OCCUPYING:
        values["occupies"] = None
    if after in (SubscriptionState.OPEN, SubscriptionState.SUSPENDED) and seen.opened_at is None:
        values["opened_at"] = now
    if application_id is not None:
        values["network_application_id"] = application_id
    changed = connection.execute(
        update(subscriptions)
        .where(
            subscriptions.c.id == seen.id,
            subscriptions.c.state == seen.state.value,
            subscriptions.c.attempts == fence,
        )
        .values(**values)
    )
    if changed.rowcount != 1:
        return False
    if after is not seen.state:
        _subscription_event(connection, seen.id, now, actor, seen.state.value, after, reason, carrier_reason)
    return True


def find_subscription(connection: Connection, store_id: str, id: str) -> Subscription | None:
    """One subscription of a store."""
    row = connection.execute(
        select(subscriptions).where(subscriptions.c.store_id == store_id, subscriptions.c.id == id)
    ).first()
    return _subscription(row) if row else None


def kind_of(connection: Connection, id: str) -> CarrierKind | None:
    """Which kind of carrier a subscription of any store is with; None if none of that id says."""
    found = connection.execute(select(subscriptions.c.kind).where(subscriptions.c.id == id)).scalar()
    return CarrierKind(found) if found else None


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


#: Made once, as all that is asked every second: making it takes longer than asking.
_DUE = (
    select(subscriptions)
    .where(
        subscriptions.c.look_at <= bindparam("now"),
        subscriptions.c.state.in_([state.value for state in OCCUPYING]),
        or_(subscriptions.c.attempt_until.is_(None), subscriptions.c.attempt_until < bindparam("now")),
    )
    .order_by(subscriptions.c.look_at, subscriptions.c.id)
    .limit(bindparam("most"))
)


def due(connection: Connection, now: datetime, limit: int) -> list[Subscription]:
    """What the network is to be asked about: under review, open or suspended, longest due first."""
    return [_subscription(row) for row in connection.execute(_DUE, {"now": now, "most": limit})]


def subscription_history(connection: Connection, id: str) -> list[SubscriptionEvent]:
    """A subscription's history, oldest first."""
    rows = connection.execute(
        select(subscription_events)
        .where(subscription_events.c.subscription_id == id)
        .order_by(subscription_events.c.seq)
    )
    return [
        SubscriptionEvent(
            row.seq,
            row.at,
            row.subscription_id,
            row.actor,
            row.before,
            row.after,
            row.reason,
            row.carrier_reason or "",
            tuple(row.changed.split()),
        )
        for row in rows
    ]
