"""The daemon's own duties: what nobody asks for is done all the same, also while the network is slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.daemon import CARRIER, SENDER, prepare, running_daemon
from support.programs import MockCarrier, mock_carrier, virtual_printer

from labelsvc.daemon import Rooms, assemble
from labelsvc.errors import Unavailable
from labelsvc.security import Actor
from labelsvc.settings import load
from labelsvc.waybills import BatchState, IssueRequest, Item, Party

RECIPIENT = Party("欧阳晓晴", "19900002001", "广东省", "深圳市", "南山区", "科技园高新南九道 10 号 801 室")


@dataclass
class Town:
    """A running daemon, and the same rooms in this process on the same database."""

    mock: MockCarrier
    rooms: Rooms
    actor: Actor

    def until(self, true: Callable[[], Any]) -> None:
        """Wait for what the daemon is to do by itself."""
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, "the daemon never did it"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("rounds")
    with mock_carrier(folder, opening_balance=10_000) as mock, virtual_printer(folder) as printer:
        prepared = prepare(folder / "state", mock, printer, network_timeout_s=1)
        with running_daemon(prepared.settings, folder / "log"):
            rooms = assemble(load(**prepared.settings))
            yield Town(mock, rooms, Actor.operator(prepared.store_id, via="test"))
            rooms.database.close()


def parcel(order: str) -> IssueRequest:
    return IssueRequest(CARRIER, (order,), RECIPIENT, SENDER, (Item("杯子", 1),))


def test_batches_are_worked_off(town: Town):
    """W3: the daemon works a filed batch off by itself, each parcel with one number."""
    batch = town.rooms.batches.create(town.actor, [parcel(f"B{n}") for n in range(25)], "b1")
    town.until(lambda: town.rooms.batches.get(town.actor, batch.id).state is BatchState.DONE)
    assert town.rooms.batches.get(town.actor, batch.id).issued == 25
    assert all(len(town.mock.live(f"B{n}")) == 1 for n in range(25))


def test_open_updates_are_settled(town: Town):
    """W6: the daemon looks by itself whether an update happened whose answer was lost, and doesn't ask for it again."""
    waybills = town.rooms.waybills
    waybill = waybills.issue(town.actor, parcel("U1"), "u1")
    mark = town.mock.mark()
    town.mock.control(script=[{"fault": "drop", "only": "pdd.waybill.update", "times": 1}])
    with pytest.raises(Unavailable):
        waybills.update(town.actor, waybill.id, "k1", recipient=replace(RECIPIENT, city="广州市", district="天河区"))  # fmt: skip
    town.until(lambda: waybills.get(town.actor, waybill.id).revision == 1)
    assert [entry["type"] for entry in town.mock.log(mark)].count("pdd.waybill.update") == 1


def test_printed_labels_are_known_while_the_network_is_slow(town: Town):
    """W5: a network that answers late keeps no printed label from being known."""
    waybills = town.rooms.waybills
    waybill = waybills.issue(town.actor, parcel("S1"), "s1")
    town.mock.control(script=[{"fault": "never", "only": "pdd.waybill.get", "ms": 20_000}])
    try:
        town.rooms.batches.create(town.actor, [parcel(f"S2-{n}") for n in range(5)], "b2")
        _, label = waybills.open_pdf(town.actor, waybill.id, "p1")
        town.rooms.jobs.open_pdf(town.actor, label.id)
        town.until(lambda: waybills.get(town.actor, waybill.id).state == "printed")
    finally:
        town.mock.control(script=[])
