"""Leases of printers on PostgreSQL: who may drive, until when, and what a machine that lost one can no longer do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from support.postgres import Cluster

from labelsvc.db import Database, take_turn
from labelsvc.errors import Invalid
from labelsvc.labels import StandardTemplates
from labelsvc.printing import (
    DocumentRequest,
    LabelState,
    Printers,
    PrintJobs,
    PrintRequest,
    Profiles,
    Wakeups,
    journal,
    leases,
)
from labelsvc.printing.driverlock import DriverLock
from labelsvc.printing.leases import Lease, LeaseLost, Node
from labelsvc.security import Accounts, Actor, Role, Sealer, StoreKind

LEASE_S = 1.0
NEVER = threading.Event()
TEMPLATE = '<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30"><layout/></page>'


class House:
    """A printing room on one PostgreSQL database, and nodes that end with the test."""

    def __init__(self, url: str, sealer: Sealer) -> None:
        self.url, self.sealer = url, sealer
        self.database = Database(url, sealer=sealer)
        store = Accounts(self.database).create_store("青山工厂", StoreKind.FACTORY)
        Accounts(self.database).create_user(Actor.operator(store.id), "owner", Role.OWNER)
        self.actor = Actor.operator(store.id, via="test")
        self.printers = Printers(self.database, Profiles(), node="a")
        self.jobs = PrintJobs(self.database, self.printers, StandardTemplates())
        self._nodes: list[tuple[Database, Node]] = []

    def printer(self, name: str = "p", **options) -> str:
        """Add a printer that nobody will connect to; its id."""
        uri = options.pop("uri", "tcp://127.0.0.1:9")
        return self.printers.add(self.actor, name, uri, "virtual-zpl-203", **options).id

    def print(self, printer: str = "p", key: str = "k"):
        """A job of two labels."""
        document = DocumentRequest("own", {}, template_text=TEMPLATE, copies=2)
        return self.jobs.submit(self.actor, PrintRequest(printer, (document,), key))

    def node(self, name: str, lock: Path | None = None, lease_s: float = LEASE_S) -> Node:
        """A machine with a pool of its own, not yet driving."""
        database = Database(self.url, sealer=self.sealer)
        node = Node(database, name, lease_s, DriverLock(lock) if lock else None)
        self._nodes.append((database, node))
        return node

    def claim(self, lease: Lease, label_id: str) -> None:
        """Commit the intent to send a label, as a printer's thread does."""
        with self.database.transaction(journal.TURN) as connection:
            lease.require(connection)
            assert journal.claim(connection, label_id, b"x", 7, self.database.now(), "spooler")

    def state(self, label_id: str) -> LabelState:
        """Where a label stands."""
        return self.jobs.label(self.actor, label_id).state

    def close(self) -> None:
        """End it all."""
        for database, node in self._nodes:
            node.release()
            database.close()
        self.database.close()


@pytest.fixture
def house(postgresql_url: str, sealer: Sealer) -> Iterator[House]:
    """The house of one test."""
    found = House(postgresql_url, sealer)
    yield found
    found.close()


def until(true: Callable[[], object], what: str) -> None:
    """Wait until it is; a test that never gets there fails."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def taken(node: Node, printer_id: str) -> Lease:
    """The lease; it must be to be had."""
    found = node.take(printer_id)
    assert found is not None
    return found[0]


def freeze(node: Node) -> None:
    """No more heartbeats, and nobody who notices: what SIGSTOP does to the thread that sends them."""
    node._left.set()
    assert node._heart
    node._heart.join(5)


def test_a_printer_is_one_machines_until_it_gives_it_back(house: House):
    """P7: of two machines one has a printer; given back, it is the other's at once, with a higher epoch."""
    printer_id = house.printer()
    a, b = house.node("a"), house.node("b")
    assert a.acquire(NEVER) and b.acquire(NEVER)
    first = taken(a, printer_id)
    assert first.holds()
    assert b.take(printer_id) is None
    with house.database.reading() as connection:
        assert [opening.free for opening in b.openings(connection)] == [False]
    a.give_back(first)
    assert not first.holds()
    second = taken(b, printer_id)
    assert second.epoch > first.epoch
    b.release()
    assert not second.holds()
    assert taken(a, printer_id).epoch > second.epoch


def test_racing_machines_get_a_printer_once(house: House):
    """P7: two machines that want twenty printers at the same moment share them out, none has two."""
    ids = [house.printer(f"p{n}") for n in range(20)]
    nodes = [house.node("a"), house.node("b")]
    assert all(node.acquire(NEVER) for node in nodes)
    together = threading.Barrier(2)
    got: list[list[Lease]] = [[], []]

    def grab(which: int) -> None:
        for printer_id in ids:
            together.wait(10)
            found = nodes[which].take(printer_id)
            if found:
                got[which].append(found[0])

    threads = [threading.Thread(target=grab, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(lease.printer_id for lease in got[0] + got[1]) == sorted(ids)
    assert all(lease.holds() for lease in got[0] + got[1])


def test_a_lease_that_ran_out_is_taken_over_and_fenced(house: House):
    """P7: what the silent machine was sending is uncertain, on that printer only; what it says afterwards changes nothing."""
    printer_id, other_id = house.printer(), house.printer("other", node="a")
    a, b = house.node("a"), house.node("b")
    assert a.acquire(NEVER) and b.acquire(NEVER)
    lost, kept = taken(a, printer_id), taken(a, other_id)
    first, second = house.print().labels
    (elsewhere, _) = house.print("other", "k2").labels
    house.claim(lost, first.id)
    house.claim(kept, elsewhere.id)
    freeze(a)
    until(lambda: b.take(printer_id), "a's lease ran out")
    assert not lost.holds(), "the old holder counts by its own clock, and stops before another may begin"
    assert house.state(first.id) is LabelState.UNCERTAIN
    assert house.jobs.label(house.actor, first.id).reason == "the lease of node a ran out while sending"
    assert house.state(second.id) is LabelState.QUEUED
    assert house.state(elsewhere.id) is LabelState.SENDING, "another printer's label is none of this"
    assert b.take(other_id) is None, "it hangs on a"
    for refused in (
        lambda: house.claim(lost, second.id),
        lambda: _commit(house, lost, first.id),
    ):
        with pytest.raises(LeaseLost):
            refused()
    assert house.state(first.id) is LabelState.UNCERTAIN


def _commit(house: House, lease: Lease, label_id: str) -> None:
    with house.database.transaction(journal.TURN) as connection:
        lease.require(connection)
        journal.step(connection, label_id, LabelState.PRINTED, house.database.now(), actor="spooler")


def test_a_machine_that_lapsed_goes_on_with_what_nobody_took(house: House):
    """P7: after a silence its leases hold again, with their epochs; the one that was taken over doesn't."""
    ids = [house.printer("p"), house.printer("q")]
    a, b = house.node("a"), house.node("b")
    assert a.acquire(NEVER) and b.acquire(NEVER)
    mine = [taken(a, printer_id) for printer_id in ids]
    with house.database.transaction() as connection:  # a's heartbeat waits for its row
        connection.execute(text("SELECT 1 FROM nodes WHERE name = 'a' FOR UPDATE"))
        until(lambda: not mine[0].holds(), "the lease ran out")
    until(lambda: mine[0].holds() and mine[1].holds(), "a came back")
    freeze(a)
    until(lambda: b.take(ids[0]), "b took one over")
    a._left.clear()
    a._heart = threading.Thread(target=a._beat, args=(a._run, a._left), daemon=True)
    a._heart.start()
    until(mine[1].holds, "a came back once more")
    assert not mine[0].holds()


def test_a_heartbeat_waits_for_nobody(house: House):
    """P7: with the whole pool in use and printing's turn taken, leases are renewed all the same."""
    node = house.node("a")
    assert node.acquire(NEVER)
    lease = taken(node, house.printer())
    pool = [node._database.engine.connect() for _ in range(48)]
    try:
        with house.database.transaction() as connection:
            take_turn(connection, journal.TURN)
            end = time.monotonic() + 1.5 * LEASE_S
            while time.monotonic() < end:
                assert lease.holds()
                time.sleep(0.02)
    finally:
        for each in pool:
            each.close()


def test_a_name_is_one_processs_at_a_time(house: House, tmp_path: Path):
    """P7: a second process of the same name waits; it needn't wait for a dead one whose lock file it holds itself."""
    first, second = house.node("a", tmp_path / "lock"), house.node("a")
    assert first.acquire(NEVER)
    lease = taken(first, house.printer())
    assert not second._enter()
    freeze(first)
    assert first._lock
    first._lock.release()  # the kernel does that when a process dies
    third = house.node("a", tmp_path / "lock", lease_s=60)
    assert third.acquire(NEVER), "its forerunner is surely dead"
    assert taken(third, lease.printer_id).epoch > lease.epoch
    assert not second._enter()
    third.release()
    assert second._enter()


def test_a_process_learns_that_its_name_is_anothers(house: House):
    """P7: a machine that stood still for so long that another process has its name drives nothing more under it."""
    first, second = house.node("a"), house.node("a")
    assert first.acquire(NEVER)
    lease = taken(first, house.printer())
    freeze(first)
    assert second.acquire(NEVER)
    first._left.clear()
    first._beat(first._run, first._left)
    assert first.lost and not first.held and not lease.holds()


def test_a_machines_own_clock_is_asked_for_nothing(
    house: House, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
):
    """P7: with its clock set wrong by an hour a machine still goes by the server's."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(hours=1)

    monkeypatch.setattr("labelsvc.db.datetime", Wrong)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    database = Database(postgresql_url)
    with database.reading() as connection:
        servers = connection.execute(select(func.clock_timestamp())).scalar_one()
    assert abs(database.now() - servers) < timedelta(seconds=5)
    database.close()


def test_words_are_heard_and_again_after_a_break(
    house: House, postgresql_cluster: Cluster, postgresql_url: str
):
    """A job posted elsewhere wakes its printer here, an outcome those who wait; also once the connection was lost."""
    wakeups = Wakeups()
    database = Database(postgresql_url)
    printer_id = house.printer()
    woken = wakeups.of_printer(printer_id)
    wakeups.listen(database)
    try:
        until(lambda: wakeups.hears, "it listens")
        woken.clear()
        label = house.print().labels[0]
        assert woken.wait(10)
        woken.clear()
        turn = wakeups.turn
        node = house.node("a")
        assert node.acquire(NEVER)
        house.claim(taken(node, printer_id), label.id)
        until(lambda: wakeups.turn > turn, "a step is heard")
        assert not woken.is_set(), "a label that leaves is nothing to do"
        postgresql_cluster.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN%%'",
            [database.url.database],
        )
        assert woken.wait(10), "what was missed is looked for"
        until(lambda: wakeups.hears, "it listens again")
        woken.clear()
        house.print(key="k2")
        assert woken.wait(10)
    finally:
        wakeups.stop_listening()
        database.close()


def test_who_drives_a_printer_is_shown(house: House):
    """P13: the machine that drives it; when that is away, that instead of what was known of the printer."""
    tcp = house.printer()
    assert house.printers.get(house.actor, tcp).state.reason == "not_driven"
    node = house.node("a")
    assert node.acquire(NEVER)
    lease = taken(node, tcp)
    found = house.printers.get(house.actor, tcp)
    assert (found.node, found.driven_by) == (None, "a")
    assert [(seen.name, seen.alive, seen.printers) for seen in house.printers.nodes(house.actor)] == [
        ("a", True, 1)
    ]
    freeze(node)
    until(lambda: not lease.holds(), "it ran out")
    until(lambda: house.printers.get(house.actor, tcp).driven_by is None, "that is shown")
    state = house.printers.get(house.actor, tcp).state
    assert (state.value, state.reason) == ("unknown", "node_away")
    assert state.at is not None and datetime.now(UTC) - state.at < timedelta(seconds=30)
    assert [seen.alive for seen in house.printers.nodes(house.actor)] == [False]


def test_where_a_printer_hangs(house: House, tmp_path: Path):
    """P13: only that machine drives it; by an edit it hangs elsewhere, also where its folder exists on that machine alone."""
    printer = house.printers.add(house.actor, "files", f"file://{tmp_path}", "file-zpl-203")
    assert printer.node == "a", "nobody else can reach a folder"
    b = house.node("b")
    assert b.acquire(NEVER)
    assert b.take(printer.id) is None
    moved = house.printers.edit(house.actor, "files", node="b", uri="file:///no/such/folder/here")
    assert moved.node == "b"
    assert b.take(printer.id)
    with pytest.raises(Invalid) as refused:
        house.printers.edit(house.actor, "files", node="b/../c")
    assert [error.field for error in refused.value.errors] == ["node"]
    assert leases.NODE_NAME.fullmatch(leases.host_name())


def test_on_sqlite_no_printer_has_a_machine(sqlite_database: Database, factory: Actor):
    """P13: there one process drives them all, so a machine can't be chosen."""
    printers = Printers(sqlite_database, Profiles())
    with pytest.raises(Invalid) as refused:
        printers.add(factory, "p", "tcp://127.0.0.1:9", "virtual-zpl-203", node="a")
    assert [error.field for error in refused.value.errors] == ["node"]
    assert printers.nodes(factory) == []
