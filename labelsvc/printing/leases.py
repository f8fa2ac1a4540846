"""Who may write to which printer: on SQLite one process to all, on PostgreSQL each machine to those that it leased. 租约

Hides the lock file, the name that a machine drives under, its heartbeat, and the clock by which a lease is counted down.
A lease is asked twice: ``holds`` before each piece that is written, by this machine's own count of seconds, and ``require``
in each transaction that commits what came of it, by the epoch. A machine that stood still past its lease so writes nothing
more, and what it believes to know of its label changes nothing.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from labelsvc.db import Apart, Database, elapsed, new_id
from labelsvc.errors import LabelsvcError, Unavailable
from labelsvc.log import get_logger
from labelsvc.printing import journal, lease_store
from labelsvc.printing.driverlock import DriverLock
from labelsvc.printing.lease_store import Opening
from labelsvc.printing.model import Label

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = get_logger("printing")

#: What a machine may be called.
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
NODE_RULE = "must be 1 to 64 letters, digits, dots, hyphens or underscores"

#: A lease is held for that part of its time by our own clock; the rest is for clocks that don't tick alike.
_OURS = 0.9
#: So many heartbeats in a lease's time: a few may fail.
_BEATS = 5


def host_name() -> str:
    """What a machine is called where it was given no name."""
    return re.sub(r"[^A-Za-z0-9._-]|^[^A-Za-z0-9]", "x", socket.gethostname()[:64]) or "localhost"


class LeaseLost(Exception):
    """Another machine has the printer since: what this one wanted to commit is none of its business; inside this room only."""


@dataclass(frozen=True)
class Lease:
    """The right to drive one printer, until it is lost."""

    printer_id: str
    epoch: int
    _driver: Driver

    def holds(self) -> bool:
        """Whether it surely is still ours; asked before each piece of a write, so it answers from memory."""
        return self._driver.holds(self)

    def require(self, connection: Connection) -> None:
        """Raise LeaseLost if another machine took the printer; in a transaction of ``journal.TURN``."""
        self._driver.require(connection, self)


class Driver(Protocol):
    """What a spooler asks before it drives anything."""

    name: str

    @property
    def held(self) -> bool:
        """Whether this process may drive, as far as it knows."""

    @property
    def lost(self) -> bool:
        """Whether it must ``acquire`` anew before it may drive again."""

    def acquire(self, stopping: threading.Event) -> bool:
        """Wait until this process may drive; False if ``stopping`` came first."""

    def openings(self, connection: Connection) -> list[Opening]:
        """The printers that it drives or might drive."""

    def take(self, printer_id: str) -> tuple[Lease, list[Label]] | None:
        """Take a printer, and make uncertain what whoever drove it before was sending; None if another has it.

        Printers may prove such a label printed. Nothing ever allows sending it again by itself: bytes of who sent it may
        still be on the network or in the printer's buffer, and come out later.
        """

    def give_back(self, lease: Lease) -> None:
        """Give one printer back: it is another machine's now."""

    def release(self) -> None:
        """Give everything back; harmless if there is nothing."""

    def holds(self, lease: Lease) -> bool:
        """See ``Lease``."""

    def require(self, connection: Connection, lease: Lease) -> None:
        """See ``Lease``."""


class OneProcess:
    """The driver of a SQLite database: whoever holds the lock file drives every printer."""

    name = ""

    def __init__(self, database: Database, lock: DriverLock) -> None:
        self._database = database
        self._lock = lock

    @property
    def held(self) -> bool:
        return self._lock.held

    @property
    def lost(self) -> bool:
        return not self._lock.held

    def acquire(self, stopping: threading.Event) -> bool:
        return self._lock.acquire(stopping)

    def openings(self, connection: Connection) -> list[Opening]:
        return lease_store.all_openings(connection)

    def take(self, printer_id: str) -> tuple[Lease, list[Label]] | None:
        with self._database.transaction(journal.TURN) as connection:
            swept = journal.sweep(connection, self._database.now(), printer_id)
        return Lease(printer_id, 0, self), swept

    def give_back(self, lease: Lease) -> None:
        """Nobody else could take it."""

    def release(self) -> None:
        self._lock.release()

    def holds(self, lease: Lease) -> bool:
        return self._lock.held

    def require(self, connection: Connection, lease: Lease) -> None:
        """The kernel keeps the lock as long as this process lives."""


class Node:
    """One of the machines on a PostgreSQL database, under a name that only one process has at a time. 节点

    A heartbeat in a thread and on a connection of its own keeps all its leases alive. ``lock`` is a file of this machine
    that only the node's process holds locked: its next process needn't wait for the lease of one that died.
    """

    def __init__(
        self, database: Database, name: str, lease_s: float = 15.0, lock: DriverLock | None = None
    ) -> None:
        self.name = name
        self._database = database
        self._lease_s = lease_s
        self._lock = lock
        self._run = ""
        self._until = 0.0
        self._epochs: dict[str, int] = {}
        self._left = threading.Event()
        self._heart: threading.Thread | None = None

    @property
    def held(self) -> bool:
        return bool(self._run) and elapsed() < self._until

    @property
    def lost(self) -> bool:
        return not self._run

    def acquire(self, stopping: threading.Event) -> bool:
        while not stopping.is_set():
            if (self._lock is None or self._lock.try_acquire()) and self._enter():
                return True
            stopping.wait(min(0.5, self._lease_s / _BEATS))
        return False

    def _enter(self) -> bool:
        run, began = new_id(), elapsed()
        lock = self._lock.identity if self._lock else ""
        try:
            with self._database.transaction() as connection:
                if not lease_store.enter(connection, self.name, run, lock, self._lease_s):
                    return False
        except Unavailable:
            return False  # the server is away: nobody drives until it is back
        self._run, self._epochs, self._until = run, {}, began + self._lease_s * _OURS
        self._left = threading.Event()
        self._heart = threading.Thread(
            target=self._beat, args=(run, self._left), name="heartbeat", daemon=True
        )
        self._heart.start()
        return True

    def _beat(self, run: str, left: threading.Event) -> None:
        """Renew the lease again and again; while the server can't be reached it just runs out."""
        pause = every = self._lease_s / _BEATS
        apart = Apart(self._database, timeout_s=self._lease_s)
        while not left.wait(pause):
            began, before = elapsed(), dict(self._epochs)
            try:
                with apart.connection() as connection:
                    kept = lease_store.renew(connection, self.name, run, self._lease_s)
                    apart.read_clock()
            except Exception as fault:
                log.warning("node.no_heartbeat", node=self.name, reason=type(fault).__name__)
                pause = min(0.5, every)
                continue
            if kept is None:
                log.error("node.name_lost", node=self.name)
                self._run = ""
                break
            for printer_id, epoch in before.items():
                if kept.get(printer_id) != epoch and self._epochs.get(printer_id) == epoch:
                    del self._epochs[printer_id]
                    log.error("node.lease_lost", node=self.name, printer=printer_id)
            self._until = began + self._lease_s * _OURS
            pause = every
        apart.close()

    def openings(self, connection: Connection) -> list[Opening]:
        return lease_store.openings(connection, self.name, self._run)

    def take(self, printer_id: str) -> tuple[Lease, list[Label]] | None:
        with self._database.transaction(journal.TURN) as connection:
            taken = lease_store.take(connection, printer_id, self.name, self._run)
            if taken is None:
                return None
            why = f"the lease of node {taken.from_node} ran out while sending" if taken.from_node else ""
            swept = journal.sweep(connection, self._database.now(), printer_id, why)
        self._epochs[printer_id] = taken.epoch
        if taken.from_node:
            log.warning("node.took_over", node=self.name, printer=printer_id, from_node=taken.from_node)
        return Lease(printer_id, taken.epoch, self), swept

    def give_back(self, lease: Lease) -> None:
        if self._epochs.get(lease.printer_id) == lease.epoch:
            del self._epochs[lease.printer_id]
        try:
            with self._database.transaction() as connection:
                lease_store.give_back(connection, lease.printer_id, self._run, lease.epoch)
        except LabelsvcError as fault:
            log.warning("node.lease_kept", printer=lease.printer_id, code=fault.code)

    def release(self) -> None:
        self._left.set()
        run, self._run = self._run, ""
        if self._heart is not None:
            self._heart.join(self._lease_s)
        if run:
            try:
                with self._database.transaction() as connection:
                    lease_store.leave(connection, self.name, run)
            except LabelsvcError as fault:  # it runs out by itself
                log.warning("node.lease_kept", code=fault.code)
        if self._lock is not None:
            self._lock.release()

    def holds(self, lease: Lease) -> bool:
        return (
            bool(self._run) and self._epochs.get(lease.printer_id) == lease.epoch and elapsed() < self._until
        )

    def require(self, connection: Connection, lease: Lease) -> None:
        if not lease_store.holds(connection, lease.printer_id, self._run, lease.epoch):
            raise LeaseLost
