"""The crash sweep: kill -9 at every commit, printer call and carrier call, one after another; nothing twice, nothing lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, product

import pytest
from faults.launcher import SMALL
from faults.trial import BY_THE_CLOCK, Kill, Launcher, Street, Tally, Trial, points_of, street
from support.postgres import Cluster, cluster

SLICES = 4
#: Two labels show what a first one leaves to the next; the long sweep has more.
LABELS, SWEEP_PARCELS = 2, 20
#: On each wire; with the small label, so that a printer at 1 kB/s is bearable.
WIRE_LABELS, WIRE_SWEEP_LABELS = 3, 60
#: A printer that takes its time to take a label, and one that takes it at once and prints it when the daemon may be long dead.
PRINTERS = {
    "1 kB/s": {"bytes_per_s": 1000, "drain_delay_s": 0},
    "drains on": {"bytes_per_s": None, "drain_delay_s": 0.3},
}
WIRES = ("tcp", "usb", "serial")
TO_THE_PRINTER = ("printer ", "commit printing.spooler")
#: Of the points of issuing, a name's beginning: what a repeated request to the network can hang on.
ISSUING = ("carrier waybills.", "commit waybills.")


@pytest.fixture(scope="module")
def town(launcher: Launcher):
    """One street for all trials of this process."""
    with street(launcher=launcher) as found:
        yield found


@pytest.fixture(scope="module")
def postgresql_town(postgresql_cluster: Cluster, launcher: Launcher):
    """The same, with its databases on PostgreSQL."""
    with street(postgresql_cluster, launcher=launcher) as found:
        yield found


def _sweep(town: Street, parcels: int, kills: list[Kill], dropped: int = 0) -> Tally:
    tally = Tally()
    for kill in kills:
        tally.add(Trial(town, parcels, kill, dropped).run())
    return tally


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=pytest.mark.xdist_group(f"crash-{part}")) for part in range(SLICES)]
)
def test_a_kill_at_any_point_prints_each_label_once(town: Street, part: int):
    """Two labels, the daemon killed -9 at every point, one trial a point: each number on paper once and live once (W2, P1).

    Of the points that come as often as the clock has it, the first two; the long sweep kills at each, of twenty labels.
    """
    town.mock.control(repeat="same")
    kills = points_of(town, LABELS)
    assert len({kill.kind for kill in kills}) > 20, "points are missing: the launcher's patches miss the code"
    # A printer that is waited for is asked the same again and again.
    kills = [kill for kill in kills if kill.nth <= 2 or not kill.kind.startswith(BY_THE_CLOCK)]
    tally = _sweep(town, LABELS, kills[part::SLICES])
    print(tally.table(f"crash sweep, part {part + 1} of {SLICES}, {LABELS} labels"))
    tally.check()


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("crash-2")
def test_a_kill_at_any_point_on_postgresql(postgresql_town: Street):
    """On PostgreSQL too: one label, a kill -9 at each commit and at each step that can't be taken back: once, once (W2, P1)."""
    postgresql_town.mock.control(repeat="same")
    telling = ("commit ", "carrier ", "printer label ")
    kills = [
        kill for kill in points_of(postgresql_town, 1) if kill.nth == 1 and kill.kind.startswith(telling)
    ]
    assert len(kills) > 15, "points are missing: the launcher's patches miss the code"
    tally = _sweep(postgresql_town, 1, kills)
    print(tally.table("crash sweep on PostgreSQL, 1 label"))
    tally.check()


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("crash-0")
@pytest.mark.parametrize("repeat", ["new", "exists"])  # "same" is how it behaves in the tests above
def test_a_kill_while_issuing_leaves_one_live_number(town: Street, repeat: str):
    """Whatever the network answers to a repeated request, a parcel has one live number after a kill while issuing (W2)."""
    town.mock.control(repeat=repeat)
    kills = [kill for kill in points_of(town, 1) if kill.kind.startswith(ISSUING)]
    tally = _sweep(town, 1, kills)
    print(tally.table(f"network mode {repeat}, 1 label"))
    tally.check()


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("crash-1")
@pytest.mark.parametrize("repeat", ["same", "new", "exists"])
def test_a_lost_answer_and_a_kill_leave_one_live_number(town: Street, repeat: str):
    """An answer of the network that was lost on its way, then a kill before the next call: one live number (W2)."""
    town.mock.control(repeat=repeat)
    kinds = {kill.kind for kill in points_of(town, 1) if kill.kind.startswith("carrier waybills.")}
    kills = [Kill(kind) for kind in sorted(kinds) if kind.endswith((" before", " sent"))]
    assert kills
    _sweep(town, 1, kills, dropped=1).check()


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("crash-2")
@pytest.mark.parametrize("whom", ["worker", "arbiter"])
@pytest.mark.parametrize("point", ["commit printing.spooler:", "printer label", "carrier waybills."])
def test_each_process_killed_alone_prints_each_label_once(town: Street, whom: str, point: str):
    """The worker without its arbiter, and the arbiter without its worker: still one driver, each label once."""
    town.mock.control(repeat="same")
    kinds = [kill for kill in points_of(town, LABELS) if kill.kind.startswith(point)]
    wanted = [kill for kill in kinds if kill.kind.endswith((" after", " middle", " sent")) and kill.nth == 2][
        -1
    ]
    tally = _sweep(town, LABELS, [Kill(wanted.kind, wanted.nth, whom)])
    tally.check()


def _middle(kills: list[Kill], parcels: int) -> list[Kill]:
    """One point of each kind: the one that has as many before it as behind it, the first of what isn't done for each label."""
    kinds: dict[str, list[Kill]] = {}
    for kill in kills:
        kinds.setdefault(kill.kind, []).append(kill)
    return [of_kind[len(of_kind) // 2 if len(of_kind) >= parcels else 0] for of_kind in kinds.values()]


def _on_wire(town: Street, parcels: int, kills: list[tuple[Kill, str]]) -> Tally:
    """A trial for each kill, with the printer of that name."""
    tally = Tally()
    for kill, printer in kills:
        tally.add(Trial(town, parcels, kill, printer=PRINTERS[printer]).run())
    return tally


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "wire",
    [pytest.param(wire, marks=pytest.mark.xdist_group(f"crash-{at}")) for at, wire in enumerate(WIRES)],
)
def test_a_kill_on_any_wire_prints_each_label_once(wire: str, launcher: Launcher):
    """TCP, USB and a serial line, three labels each, a printer at 1 kB/s and one that drains on: a kill -9 while a label leaves, and
    at one point of every other kind on the way to a printer, these shared out between USB and serial: each number on paper once (P7).

    Kills while numbers are issued, which no wire makes a difference to, are above, and on each wire in the long sweep.
    """
    with street(wire=wire, template=SMALL, launcher=launcher, fifo_bytes=512) as town:
        town.mock.control(repeat="same")
        kills = _middle(points_of(town, WIRE_LABELS), WIRE_LABELS)
        leaving = [kill for kill in kills if kill.kind.startswith("printer label ")]
        # Before a question is after whatever came before it.
        others = [
            kill
            for kill in kills
            if kill.kind.startswith(TO_THE_PRINTER)
            and kill not in leaving
            and not (kill.kind.startswith("printer query") and kill.kind.endswith(" before"))
        ]
        assert len(leaving) == 3 and len(others) > 10, "points are missing: the patches miss the code"
        if wire == "tcp":
            trials = list(product(leaving[1:], PRINTERS))
        else:
            shared = others[WIRES.index(wire) % 2 :: 2]
            trials = [*product(leaving, PRINTERS), *zip(shared, cycle(PRINTERS), strict=False)]
        tally = _on_wire(town, WIRE_LABELS, trials)
    print(tally.table(f"crash sweep on {wire}, {WIRE_LABELS} labels"))
    tally.check()


@pytest.mark.sweep
@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("wire", WIRES)
def test_the_long_sweep_of_the_wires(wire: str, printer: str):
    """Sixty labels, each wire with each printer, a kill -9 in the middle of them at a point of every kind; ends with a table."""
    with ExitStack() as stack:
        towns = [
            stack.enter_context(street(wire=wire, template=SMALL, fifo_bytes=512))
            for _ in range(3 * (os.cpu_count() or 1))  # they wait for slow printers most of the time
        ]
        for town in towns:
            town.mock.control(repeat="same")
        kills = [
            (kill, printer) for kill in _middle(points_of(towns[0], WIRE_SWEEP_LABELS), WIRE_SWEEP_LABELS)
        ]
        with ThreadPoolExecutor(len(towns)) as lanes:
            parts = [
                lanes.submit(_on_wire, town, WIRE_SWEEP_LABELS, kills[lane :: len(towns)])
                for lane, town in enumerate(towns)
            ]
            whole = Tally(whole=True)
            for part in parts:
                whole.merge(part.result())
    print(whole.table(f"crash sweep on {wire}, a printer that is {printer}, {WIRE_SWEEP_LABELS} labels"))
    whole.check()


@pytest.mark.sweep
@pytest.mark.parametrize("repeat", ["same", "new", "exists"])
@pytest.mark.parametrize("dropped", [0, 3])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_long_sweep(kind: str, repeat: str, dropped: int):
    """Twenty labels, every point, each of the network's modes, with and without lost answers; ends with a table."""
    with ExitStack() as stack:
        lanes_wanted = os.cpu_count() or 1
        if kind == "postgresql":
            run = [stack.enter_context(cluster()) for _ in range(lanes_wanted)]
            towns = [stack.enter_context(street(each)) for each in run]
        else:
            towns = [stack.enter_context(street()) for _ in range(lanes_wanted)]
        for town in towns:
            town.mock.control(repeat=repeat)
        kills = points_of(towns[0], SWEEP_PARCELS)
        if repeat != "same" or dropped:  # what follows the number isn't the network's business any more
            kills = [kill for kill in kills if kill.kind.startswith(ISSUING)]
        with ThreadPoolExecutor(len(towns)) as lanes:
            parts = [
                lanes.submit(_sweep, town, SWEEP_PARCELS, kills[lane :: len(towns)], dropped)
                for lane, town in enumerate(towns)
            ]
            whole = Tally(whole=True)
            for part in parts:
                whole.merge(part.result())
    print(
        whole.table(
            f"crash sweep on {kind}, network mode {repeat}, {dropped} answers lost, {SWEEP_PARCELS} labels"
        )
    )
    whole.check()
