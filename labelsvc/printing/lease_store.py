"""Tables and queries of the machines that share a PostgreSQL database: which live, and which drives which printer; hides SQL.

Every time in here is the server's own, so that no machine's clock can shorten or stretch a lease. A lease of a printer is
its row's ``epoch`` and ``run``; it is in force while the node of that run keeps its own row alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    String,
    Table,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from labelsvc.db import UtcDateTime, metadata, notify
from labelsvc.printing.model import BROWSER_URI, GROUP_URI, Driven, LabelState, NodeSeen
from labelsvc.printing.store import printer_members
from labelsvc.printing.tables import labels, printers

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("run", String(26), nullable=False),  # of which process the name is, or was last
    Column("lock", String(200), nullable=False),  # the file that this process holds locked; "": none
    Column("started_at", UtcDateTime(), nullable=False),
    Column("seen_at", UtcDateTime(), nullable=False),
    Column("lease_until", UtcDateTime(), nullable=False),
)

printer_leases = Table(
    "printer_leases",
    metadata,
    Column("printer_id", ForeignKey("printers.id"), primary_key=True),
    Column("epoch", BigInteger, nullable=False),  # rises whenever it is taken
    Column("node", ForeignKey("nodes.name"), nullable=False),
    Column("run", String(26)),  # None: it was given back
    Column("taken_at", UtcDateTime(), nullable=False),
)

#: What is told when leases were given back, see ``db.notify``.
GIVEN_BACK = "leases"


@dataclass(frozen=True)
class Opening:
    """A printer that this machine drives or might drive."""

    printer_id: str
    paused: bool
    waiting: bool  #: whether a label waits for it
    free: bool  #: nobody else has its lease


@dataclass(frozen=True)
class Taken:
    """A lease just taken, and who had it before."""

    epoch: int
    from_node: str | None  #: a node that didn't give it back; None: nobody's, or this node's own


def _now() -> ColumnElement[datetime]:
    return func.clock_timestamp(type_=UtcDateTime())


def _after(seconds: float) -> ColumnElement[datetime]:
    return _now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def _alive() -> ColumnElement[bool]:
    """Whether the run of a lease's row is a living node's."""
    return exists().where(nodes.c.run == printer_leases.c.run, nodes.c.lease_until > _now())


# ---------------------------------------------------------------- nodes


def enter(connection: Connection, name: str, run: str, lock: str, lease_s: float) -> bool:
    """Take a node's name, if no living process has it; one statement, so that of racing twins one wins.

    A process that had it is dead if its lease ran out, or if we hold the very file locked that it held (``lock``).
    """
    values = {
        "run": run,
        "lock": lock,
        "started_at": _now(),
        "seen_at": _now(),
        "lease_until": _after(lease_s),
    }
    dead = nodes.c.lease_until <= _now()
    if lock:
        dead = or_(dead, nodes.c.lock == lock)
    row = connection.execute(
        postgresql.insert(nodes)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values, where=dead)
        .returning(nodes.c.name)
    ).first()
    return row is not None


def renew(connection: Connection, name: str, run: str, lease_s: float) -> dict[str, int] | None:
    """A heartbeat: the leases that are still ours by printer, with their epochs; None once the name is another's.

    On a connection where each statement is a transaction: what was taken from us while we waited in the first statement
    must be seen by the second.
    """
    kept = connection.execute(
        update(nodes)
        .where(nodes.c.name == name, nodes.c.run == run)
        .values(seen_at=_now(), lease_until=_after(lease_s))
    )
    if kept.rowcount == 0:
        return None
    rows = connection.execute(
        select(printer_leases.c.printer_id, printer_leases.c.epoch).where(printer_leases.c.run == run)
    )
    return {row.printer_id: row.epoch for row in rows}


def leave(connection: Connection, name: str, run: str) -> None:
    """Give everything back, and tell the others, who may take it at once."""
    connection.execute(update(printer_leases).where(printer_leases.c.run == run).values(run=None))
    connection.execute(
        update(nodes).where(nodes.c.name == name, nodes.c.run == run).values(lease_until=_now())
    )
    notify(connection, GIVEN_BACK)


def known(connection: Connection) -> list[NodeSeen]:
    """Every machine that ever drove, by name."""
    held = (
        select(func.count())
        .select_from(printer_leases)
        .where(printer_leases.c.run == nodes.c.run)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(nodes, (nodes.c.lease_until > _now()).label("alive"), held.label("held")).order_by(
            nodes.c.name
        )
    )
    return [
        NodeSeen(row.name, bool(row.alive), row.started_at, row.seen_at, row.held if row.alive else 0)
        for row in rows
    ]


def driven(connection: Connection) -> Mapping[str, Driven]:
    """By printer: the node that has its lease, or had it last, whether that node lives, and when it was heard of."""
    rows = connection.execute(
        select(
            printer_leases.c.printer_id,
            printer_leases.c.node,
            nodes.c.seen_at,
            and_(nodes.c.run == printer_leases.c.run, nodes.c.lease_until > _now()).label("alive"),
        ).join(nodes, nodes.c.name == printer_leases.c.node)
    )
    return {row.printer_id: Driven(row.node, bool(row.alive), row.seen_at) for row in rows}


# ---------------------------------------------------------------- leases of printers


def _eligible(name: str) -> tuple[ColumnElement[bool], ...]:
    return (
        printers.c.uri.not_in([BROWSER_URI, GROUP_URI]),
        printers.c.removed_at.is_(None),
        or_(printers.c.node.is_(None), printers.c.node == name),
    )


def _waiting() -> ColumnElement[bool]:
    def in_queue_of(owner: ColumnElement[str]) -> ColumnElement[bool]:
        return exists().where(labels.c.printer_id == owner, labels.c.state == LabelState.QUEUED)

    # One inside the other: a join, or a list of groups, has SQLite's planner read all labels of a long history.
    groups = exists().where(
        printer_members.c.printer_id == printers.c.id, in_queue_of(printer_members.c.group_id)
    )
    return or_(in_queue_of(printers.c.id), groups)


#: Made once: asked five times a second, and making it costs more than asking.
_ALL_OPENINGS = select(
    printers.c.id, printers.c.paused_at.is_not(None).label("paused"), _waiting().label("waiting")
).where(printers.c.uri.not_in([BROWSER_URI, GROUP_URI]), printers.c.removed_at.is_(None))


def all_openings(connection: Connection) -> list[Opening]:
    """Every printer with a wire, for the one process that drives a SQLite database."""
    rows = connection.execute(_ALL_OPENINGS)
    return [Opening(row.id, bool(row.paused), bool(row.waiting), free=True) for row in rows]


def openings(connection: Connection, name: str, run: str) -> list[Opening]:
    """The printers that may be driven from the node ``name``."""
    others = exists().where(
        printer_leases.c.printer_id == printers.c.id,
        printer_leases.c.run.is_not(None),
        printer_leases.c.run != run,
        _alive(),
    )
    rows = connection.execute(
        select(
            printers.c.id,
            printers.c.paused_at.is_not(None).label("paused"),
            _waiting().label("waiting"),
            others.label("others"),
        ).where(*_eligible(name))
    )
    return [Opening(row.id, bool(row.paused), bool(row.waiting), not row.others) for row in rows]


def take(connection: Connection, printer_id: str, name: str, run: str) -> Taken | None:
    """Take a printer's lease with a new epoch, unless somebody living has it or the printer isn't for this node.

    In the turn of ``journal.TURN``. The row of a node that lapsed stays locked until the transaction's end: should it
    come back to life at this moment, its heartbeat waits, and then finds this lease gone.
    """
    ours = connection.execute(
        select(literal(True)).where(
            exists().where(nodes.c.name == name, nodes.c.run == run, nodes.c.lease_until > _now()),
            exists().where(printers.c.id == printer_id, *_eligible(name)),
        )
    ).first()
    if ours is None:
        return None
    before = connection.execute(
        select(printer_leases).where(printer_leases.c.printer_id == printer_id).with_for_update()
    ).first()
    if before is None:
        connection.execute(
            printer_leases.insert().values(
                printer_id=printer_id, epoch=1, node=name, run=run, taken_at=_now()
            )
        )
        return Taken(1, None)
    if before.run is not None and before.run != run:
        holder = connection.execute(
            select((nodes.c.lease_until > _now()).label("alive"))
            .where(nodes.c.run == before.run)
            .with_for_update(read=True)
        ).first()
        if holder is not None and holder.alive:
            return None
    epoch: int = before.epoch + 1
    connection.execute(
        update(printer_leases)
        .where(printer_leases.c.printer_id == printer_id)
        .values(epoch=epoch, node=name, run=run, taken_at=_now())
    )
    lapsed = before.run is not None and before.node != name
    return Taken(epoch, before.node if lapsed else None)


def give_back(connection: Connection, printer_id: str, run: str, epoch: int) -> None:
    """Give one lease back, if it is still ours, and tell the others."""
    connection.execute(update(printer_leases).where(_this(printer_id, run, epoch)).values(run=None))
    notify(connection, GIVEN_BACK)


def holds(connection: Connection, printer_id: str, run: str, epoch: int) -> bool:
    """Whether nobody took this lease since; in the turn of ``journal.TURN`` it stays so until the transaction's end."""
    found: Any = connection.execute(
        select(literal(True, Boolean)).where(exists().where(_this(printer_id, run, epoch)))
    ).scalar()
    return bool(found)


def _this(printer_id: str, run: str, epoch: int) -> ColumnElement[bool]:
    return and_(
        printer_leases.c.printer_id == printer_id,
        printer_leases.c.run == run,
        printer_leases.c.epoch == epoch,
    )
