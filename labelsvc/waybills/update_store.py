"""Tables and queries of updates (W6): which one is on its way, what it wants, how it ended.

The rules that two requests could race past are constraints: one update of a waybill at a time, one update a key.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
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
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import UtcDateTime, metadata
from labelsvc.security import Sealed
from labelsvc.waybills.model import IssueRequest, Update, UpdateState
from labelsvc.waybills.store import Raced

_STATES = ", ".join(repr(state.value) for state in UpdateState)

waybill_updates = Table(
    "waybill_updates",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("key", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("waybill_id", ForeignKey("waybills.id"), nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", String(80), nullable=False, server_default=""),
    Column("pending_of", String(26), unique=True),  # the waybill's id while this is on its way, else null
    Column("wanted", Sealed("waybill_updates.wanted")),
    Column("attempts", Integer, nullable=False),
    Column("attempt_until", UtcDateTime()),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("ended_at", UtcDateTime()),
    Column("destroyed_at", UtcDateTime()),  # when the labels that this update made void were destroyed
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    UniqueConstraint("store_id", "key"),
    Index("ix_waybill_updates_state_attempt_until", "state", "attempt_until"),
    Index("ix_waybill_updates_store_id_destroyed_at", "store_id", "destroyed_at"),
)


def _update(row: Row[Any]) -> Update:
    return Update(
        id=row.id,
        waybill_id=row.waybill_id,
        actor=row.actor,
        revision=row.revision,
        state=UpdateState(row.state),
        reason=row.reason,
        wanted=IssueRequest.from_dict(row.wanted) if row.wanted else None,
        attempts=row.attempts,
        attempt_until=row.attempt_until,
    )


def insert_update(
    connection: Connection,
    *,
    id: str,
    store_id: str,
    key: str,
    fingerprint: str,
    waybill_id: str,
    actor: str,
    revision: int,
    wanted: IssueRequest,
    now: datetime,
    attempt_until: datetime | None,
) -> None:
    """File the intent to update; ``attempt_until`` None: there is nothing to change, and the key stands for that.

    Raises Raced if the key was used, or another update began, at the same time.
    """
    done = attempt_until is None
    try:
        connection.execute(
            waybill_updates.insert().values(
                id=id,
                store_id=store_id,
                key=key,
                fingerprint=fingerprint,
                waybill_id=waybill_id,
                actor=actor,
                revision=revision,
                state=(UpdateState.DONE if done else UpdateState.PENDING).value,
                pending_of=None if done else waybill_id,
                wanted=None if done else wanted.as_dict(),
                attempts=1,
                attempt_until=attempt_until,
                created_at=now,
                ended_at=now if done else None,
                destroyed_at=now if done else None,
            )
        )
    except IntegrityError as error:
        raise Raced from error


def reopen_update(
    connection: Connection, seen: Update, revision: int, wanted: IssueRequest, attempt_until: datetime
) -> int:
    """Ask again what was given back: the fence. Raises Raced if another request did, or another update began."""
    try:
        changed = connection.execute(
            update(waybill_updates)
            .where(
                waybill_updates.c.id == seen.id,
                waybill_updates.c.state == UpdateState.GIVEN_BACK.value,
                waybill_updates.c.attempts == seen.attempts,
            )
            .values(
                state=UpdateState.PENDING.value,
                reason="",
                pending_of=seen.waybill_id,
                revision=revision,
                wanted=wanted.as_dict(),
                attempts=seen.attempts + 1,
                attempt_until=attempt_until,
                ended_at=None,
            )
        )
    except IntegrityError as error:
        raise Raced from error
    if changed.rowcount != 1:
        raise Raced
    return seen.attempts + 1


def find_update(connection: Connection, id: str) -> Update:
    """One update."""
    return _update(connection.execute(select(waybill_updates).where(waybill_updates.c.id == id)).one())


def update_by_key(connection: Connection, store_id: str, key: str) -> tuple[str, Update] | None:
    """The fingerprint and the update of a key that was used."""
    row = connection.execute(
        select(waybill_updates).where(waybill_updates.c.store_id == store_id, waybill_updates.c.key == key)
    ).first()
    return (row.fingerprint, _update(row)) if row else None


def pending_update(connection: Connection, waybill_id: str) -> Update | None:
    """The update of a waybill that is on its way."""
    row = connection.execute(
        select(waybill_updates).where(waybill_updates.c.pending_of == waybill_id)
    ).first()
    return _update(row) if row else None


#: Made once, as all that is asked every second: making it takes longer than asking.
_UPDATES_WAITING = (
    select(waybill_updates)
    .where(
        waybill_updates.c.state == UpdateState.PENDING.value,
        or_(waybill_updates.c.attempt_until.is_(None), waybill_updates.c.attempt_until < bindparam("now")),
    )
    .order_by(waybill_updates.c.id)
    .limit(bindparam("most"))
)


def updates_waiting(connection: Connection, now: datetime, limit: int) -> list[Update]:
    """Updates on their way whose outcome nobody is asking for, oldest first."""
    return [_update(row) for row in connection.execute(_UPDATES_WAITING, {"now": now, "most": limit})]


def take_update(connection: Connection, seen: Update, now: datetime, until: datetime) -> int | None:
    """Take the right to ask the network about an update, if nobody has it: the fence."""
    changed = connection.execute(
        update(waybill_updates)
        .where(
            waybill_updates.c.id == seen.id,
            waybill_updates.c.state == UpdateState.PENDING.value,
            waybill_updates.c.attempts == seen.attempts,
            or_(waybill_updates.c.attempt_until.is_(None), waybill_updates.c.attempt_until < now),
        )
        .values(attempts=seen.attempts + 1, attempt_until=until)
    )
    return seen.attempts + 1 if changed.rowcount == 1 else None


def wait_for_look(connection: Connection, id: str, fence: int, until: datetime, reason: str) -> None:
    """Nobody knows yet whether the update happened: look at ``until``."""
    connection.execute(
        update(waybill_updates)
        .where(waybill_updates.c.id == id, waybill_updates.c.attempts == fence)
        .values(attempt_until=until, reason=reason)
    )


def end_update(
    connection: Connection, id: str, fence: int, state: UpdateState, reason: str, now: datetime
) -> bool:
    """Record how an update ended, and forget what it wanted; False if another asker did, or has the right to."""
    changed = connection.execute(
        update(waybill_updates)
        .where(
            waybill_updates.c.id == id,
            waybill_updates.c.attempts == fence,
            waybill_updates.c.state == UpdateState.PENDING.value,
        )
        .values(
            state=state.value,
            reason=reason,
            pending_of=None,
            wanted=None,
            attempt_until=None,
            ended_at=now,
        )
    )
    return changed.rowcount == 1


def forget_updates(connection: Connection, waybill_ids: Collection[str], now: datetime) -> None:
    """End the updates of erased waybills that are still on their way, and forget what they wanted.

    Whoever asks the network at this moment finds that his update has ended, and records nothing.
    """
    connection.execute(
        update(waybill_updates)
        .where(waybill_updates.c.pending_of.in_(waybill_ids))
        .values(
            state=UpdateState.REFUSED.value,
            reason="waybill.erased",
            pending_of=None,
            wanted=None,
            attempt_until=None,
            ended_at=now,
        )
    )


def undestroyed(
    connection: Connection, store_id: str, since: datetime, limit: int
) -> list[tuple[str, int, datetime]]:
    """A store's updates that were made, newest first: waybill, the revision made void, when; not those with nothing left."""
    found = connection.execute(
        select(waybill_updates.c.waybill_id, waybill_updates.c.revision, waybill_updates.c.ended_at)
        .where(
            waybill_updates.c.store_id == store_id,
            waybill_updates.c.destroyed_at.is_(None),
            waybill_updates.c.state == UpdateState.DONE.value,
            waybill_updates.c.ended_at >= since,
        )
        .order_by(waybill_updates.c.id.desc())
        .limit(limit)
    )
    return [(row.waybill_id, row.revision - 1, row.ended_at) for row in found]


def set_destroyed(connection: Connection, waybill_id: str, revision: int, now: datetime) -> bool:
    """Note that the labels of a revision that an update made void are destroyed; False if there was no such update."""
    changed = connection.execute(
        update(waybill_updates)
        .where(
            waybill_updates.c.waybill_id == waybill_id,
            waybill_updates.c.revision == revision + 1,
            waybill_updates.c.state == UpdateState.DONE.value,
        )
        .values(destroyed_at=now)
    )
    return changed.rowcount >= 1


#: Void labels older than this are no longer listed: their parcels have long left, or never will.
LISTED = timedelta(days=60)
