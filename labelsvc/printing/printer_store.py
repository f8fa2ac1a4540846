"""Queries of printers, and of which queues a printer may take labels from; hides SQL.

Rows never leave this file, nouns do. Functions take the connection of the caller's transaction; what a person chooses for a
printer is stored in the turn of ``journal.TURN``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import Prepared, notify
from labelsvc.errors import Conflict
from labelsvc.printing.model import (
    MODES,
    Label,
    LabelState,
    Printer,
    PrinterState,
)
from labelsvc.printing.store import leave_groups, printer_aliases, printer_members
from labelsvc.printing.tables import (
    labels,
    printers,
)


def _printer(row: Row[Any]) -> Printer:
    return Printer(
        id=row.id,
        store_id=row.store_id,
        name=row.name,
        uri=row.uri,
        profile=row.profile,
        dpi=row.dpi,
        created_at=row.created_at,
        darkness=row.darkness,
        speed=row.speed,
        offset_x=row.offset_x,
        offset_y=row.offset_y,
        letters=row.letters,
        font=row.font,
        paused_at=row.paused_at,
        answered_at=row.answered_at,
        node=row.node,
        state=PrinterState(row.state, row.state_reason, row.state_source, row.state_at),
        device_no=row.device_no,
        mode=row.mode,
    )


def _chosen(printer: Printer) -> dict[str, Any]:
    return {
        "name": printer.name,
        "uri": printer.uri,
        "profile": printer.profile,
        "dpi": printer.dpi,
        "darkness": printer.darkness,
        "speed": printer.speed,
        "offset_x": printer.offset_x,
        "offset_y": printer.offset_y,
        "letters": printer.letters,
        "font": printer.font,
        "paused_at": printer.paused_at,
        "answered_at": printer.answered_at,
        "node": printer.node,
        "device_no": printer.device_no,
        "mode": printer.mode,
    }


def made_for(printer: Printer) -> dict[str, Any]:
    """Where a label's bytes go, and all that makes other bytes."""
    beside = ("name", "paused_at", "answered_at", "node")
    return {name: value for name, value in _chosen(printer).items() if name not in beside} | {
        "id": printer.id
    }


def insert_printer(connection: Connection, printer: Printer) -> None:
    """Add a printer. Raises Conflict if the store has one of that name."""
    try:
        connection.execute(
            printers.insert().values(
                id=printer.id,
                store_id=printer.store_id,
                created_at=printer.created_at,
                state=printer.state.value,
                state_reason=printer.state.reason,
                state_source=printer.state.source,
                state_at=printer.state.at,
                **_chosen(printer),
            )
        )
    except IntegrityError:
        raise _name_taken() from None
    notify(connection, printer.id)


def update_printer(connection: Connection, printer: Printer, *, another_device: bool) -> None:
    """Store what a person chose. Raises Conflict if the new name is taken.

    Behind another address may be another device, whose counter says nothing about labels sent to the old one.
    """
    try:
        connection.execute(update(printers).where(printers.c.id == printer.id).values(**_chosen(printer)))
    except IntegrityError:
        raise _name_taken() from None
    if another_device:
        _forget_counters(connection, printer.id)
    notify(connection, printer.id)


def _forget_counters(connection: Connection, printer_id: str) -> None:
    """What the printer counts from now on says nothing about the labels that are open there."""
    connection.execute(
        update(labels)
        .where(
            labels.c.printer_id == printer_id,
            labels.c.state.in_([LabelState.SENDING, LabelState.UNCERTAIN]),
        )
        .values(counter_before=None)
    )


def _name_taken() -> Conflict:
    return Conflict("the store has a printer of this name", code="printer.exists", field="name")


def require_free_name(connection: Connection, store_id: str, name: str, but: str) -> None:
    """Raise Conflict if another printer than ``but`` has this name or alias; in the turn, since no constraint spans both."""
    found = find_printer(connection, store_id, name)
    if found is not None and found.id != but:
        raise _name_taken()


_FIND_PRINTER = Prepared(
    select(printers).where(
        printers.c.store_id == bindparam("store_id"),
        printers.c.removed_at.is_(None),
        or_(
            printers.c.id == bindparam("called"),
            printers.c.name == bindparam("called"),
            printers.c.id.in_(
                select(printer_aliases.c.printer_id).where(
                    printer_aliases.c.store_id == bindparam("store_id"),
                    printer_aliases.c.name == bindparam("called"),
                )
            ),
        ),
    )
)


def find_printer(connection: Connection, store_id: str, id_or_name: str) -> Printer | None:
    """The store's printer, or group, with this id, name or alias."""
    row = _FIND_PRINTER.first(connection, store_id=store_id, called=id_or_name)
    return _printer(row) if row else None


def is_busy_at(connection: Connection, uri: str) -> bool:
    """Whether a label is on its way to the printer at ``uri``, of whichever store, or will be by itself."""
    on_its_way = or_(
        labels.c.state == LabelState.SENDING,
        and_(labels.c.state == LabelState.QUEUED, printers.c.paused_at.is_(None)),
    )
    found = connection.execute(
        select(labels.c.id)
        .join(printers, printers.c.id == labels.c.printer_id)
        .where(printers.c.uri == uri, printers.c.removed_at.is_(None), on_its_way)
        .limit(1)
    ).first()
    return found is not None


def printers_at_scheme(connection: Connection, scheme: str) -> list[str]:
    """Ids of the printers, of all stores, whose address begins with ``scheme://``."""
    like = printers.c.uri.startswith(f"{scheme}://", autoescape=True)
    rows = connection.execute(select(printers.c.id).where(like, printers.c.removed_at.is_(None)))
    return list(rows.scalars())


def printer_of_label(connection: Connection, label: Label) -> Printer:
    """The printer that a label is for, removed or not."""
    return _printer(connection.execute(select(printers).where(printers.c.id == label.printer_id)).one())


def printers_of(connection: Connection, store_id: str) -> list[Printer]:
    """A store's printers, oldest first."""
    rows = connection.execute(
        select(printers)
        .where(printers.c.store_id == store_id, printers.c.removed_at.is_(None))
        .order_by(printers.c.id)
    )
    return [_printer(row) for row in rows]


_DRIVEN = Prepared(
    select(printers).where(
        printers.c.id == bindparam("printer_id"),
        printers.c.removed_at.is_(None),
        printers.c.paused_at.is_(None),
    )
)


def driven_printer(connection: Connection, printer_id: str) -> Printer | None:
    """The printer if labels may be sent to it now: not paused, not removed."""
    row = _DRIVEN.first(connection, printer_id=printer_id)
    return _printer(row) if row else None


#: A printer that nobody heard of for so long isn't waited for by those behind it in a group: its machine may be away.
_FORGOTTEN = timedelta(seconds=150)


_GROUPS_OF = Prepared(
    select(printers.c.id, printers.c.mode, printer_members.c.position)
    .join(printer_members, printer_members.c.group_id == printers.c.id)
    .where(
        printer_members.c.printer_id == bindparam("printer_id"),
        printers.c.removed_at.is_(None),
        printers.c.paused_at.is_(None),
    )
)


def queues_of(connection: Connection, printer_id: str, now: datetime) -> list[str]:
    """Whose labels a printer may take now: its own, and those of its groups unless one before it in the group can."""
    found = [printer_id]
    for group in _GROUPS_OF.all(connection, printer_id=printer_id):
        if group.mode == MODES[0]:
            before = connection.execute(
                select(printers)
                .join(printer_members, printer_members.c.printer_id == printers.c.id)
                .where(
                    printer_members.c.group_id == group.id,
                    printer_members.c.position < group.position,
                    printers.c.removed_at.is_(None),
                    printers.c.paused_at.is_(None),
                )
            )
            if any(_can_take(row, now) for row in before):
                continue
        found.append(group.id)
    return found


def _can_take(row: Row[Any], now: datetime) -> bool:
    """Whether a printer is ready, as far as it can say; one that was just added is soon asked."""
    heard = now - (row.state_at or row.created_at) < _FORGOTTEN
    return heard and (
        row.state == "ready" or (row.state == "unknown" and row.state_reason in ("", "no_status"))
    )


def set_printer_state(connection: Connection, printer_id: str, state: PrinterState) -> None:
    """Store what was learned of a printer."""
    connection.execute(
        update(printers)
        .where(printers.c.id == printer_id)
        .values(state=state.value, state_reason=state.reason, state_source=state.source, state_at=state.at)
    )


def note_answer(connection: Connection, printer_id: str, now: datetime) -> None:
    """The device in this place answers status queries: from now on its silence means something."""
    connection.execute(update(printers).where(printers.c.id == printer_id).values(answered_at=now))


def remove_printer(connection: Connection, printer_id: str, now: datetime) -> None:
    """Remove a printer. Raises Conflict while labels of it are open or uncertain."""
    open_ones = connection.execute(
        select(func.count())
        .select_from(labels)
        .where(
            or_(labels.c.printer_id == printer_id, labels.c.group_id == printer_id),
            labels.c.state.in_(
                [LabelState.QUEUED, LabelState.HELD, LabelState.SENDING, LabelState.UNCERTAIN]
            ),
        )
    ).scalar_one()
    if open_ones:
        raise Conflict("the printer has open labels", code="printer.busy", labels=open_ones)
    connection.execute(update(printers).where(printers.c.id == printer_id).values(removed_at=now))
    notify(connection, printer_id)
    connection.execute(delete(printer_aliases).where(printer_aliases.c.printer_id == printer_id))
    leave_groups(connection, printer_id)
