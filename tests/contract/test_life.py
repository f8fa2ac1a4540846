"""A parcel's way after the bench (W5): handed over, in transit, delivered, as we and the carrier's scans say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from support.house import House, calm, house, order
from support.programs import MockCarrier, mock_carrier

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, LabelsvcError, NotFound, Refused
from labelsvc.printing import LabelState
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import Waybill, WaybillState

TRACE = "pdd.logistics.ordertrace.get"


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=10_000) as running:
        yield running


@pytest.fixture(name="home")
def _home(database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor) -> Iterator[House]:
    calm(mock)
    with house(database, sealer, mock, factory) as found:
        yield found
    calm(mock)


def code(result: Waybill | LabelsvcError) -> str:
    """An item's error code, or its state."""
    return result.code if isinstance(result, LabelsvcError) else result.state.value


def test_hand_over(home: House, merchant: Actor):
    """W5: parcels are handed over by number or id, each with a result of its own; one bad parcel doesn't stop the others."""
    printed, held, pending, cancelled, unprinted = (home.issued() for _ in range(5))
    home.printed(printed)
    home.printed(pending)
    home.waybills.hold(home.actor, held.id, "under review")
    home.waybills.cancel(home.actor, pending.id)
    home.waybills.cancel(home.actor, cancelled.id)
    names = [printed.number, held.id, pending.number, "nowhere", cancelled.id, unprinted.number, printed.id]
    results = home.waybills.hand_over(home.actor, names)
    assert [code(result) for result in results] == [
        "handed_over",
        "waybill.held",
        "waybill.void",
        "waybill.not_found",
        "waybill.void",
        "handed_over",
        "waybill.handed_over",
    ]
    assert home.waybills.get(home.actor, printed.id).handed_over_at is not None
    again = home.waybills.hand_over(home.actor, [printed.number])[0]
    assert isinstance(again, Conflict) and again.facts["state"] == "handed_over"
    assert isinstance(home.waybills.hand_over(merchant, [held.number])[0], NotFound)
    for wrong in ([], ["x"] * 501):
        with pytest.raises(Invalid):
            home.waybills.hand_over(home.actor, wrong)


def test_nothing_is_printed_any_more(home: House):
    """W5, W8: of a parcel that was handed over neither a label nor a reprint comes out, not even one that waits."""
    waybill = home.issued()
    label = home.printed(waybill)
    _, waiting = home.waybills.open_pdf(home.actor, waybill.id, "r1", reason="torn")
    assert waiting.reprint_count == 1
    home.waybills.hand_over(home.actor, [waybill.id])
    with pytest.raises(Refused):
        home.jobs.open_pdf(home.actor, waiting.id)
    assert home.jobs.label(home.actor, waiting.id).state is LabelState.CANCELLED
    with pytest.raises(Conflict):
        home.waybills.print(home.actor, waybill.id, "browser", "p2")
    with pytest.raises(Refused):
        home.jobs.reprint(home.actor, label.id, "torn", "r2")


def test_racing_hand_overs(home: House):
    """W5: of eight that hand one parcel over at once one does, and the others are told so."""
    waybill = home.issued()
    home.printed(waybill)
    with ThreadPoolExecutor(8) as threads:
        said = [
            code(result[0])
            for result in threads.map(lambda _: home.waybills.hand_over(home.actor, [waybill.id]), range(8))
        ]
    assert sorted(said) == ["handed_over"] + ["waybill.handed_over"] * 7
    steps = [event.after for event in home.waybills.history(home.actor, waybill.id)]
    assert steps.count("handed_over") == 1


def follow(home: House) -> int:
    """Let everything become due, and look."""
    home.later(timedelta(hours=13))
    return home.waybills.follow_traces()


def test_scans(home: House):
    """W5: issued, printed, handed over, in transit, delivered: the carrier's scans take the steps, with their times."""
    waybill = home.issued()
    home.printed(waybill)
    assert follow(home) == 0
    for action, state in (("GOT", "handed_over"), ("TRANSIT", "in_transit"), ("SIGN", "delivered")):
        home.scan(waybill.number, action)
        assert follow(home) == 1
        assert home.state(waybill) == state
    found = home.waybills.get(home.actor, waybill.id)
    assert found.handed_over_at is not None and found.delivered_at is not None
    assert found.handed_over_at <= found.delivered_at
    assert [event.after for event in home.waybills.history(home.actor, waybill.id)][-4:] == [
        "printed",
        "handed_over",
        "in_transit",
        "delivered",
    ]


def test_scans_of_a_parcel_whose_label_we_never_printed(home: House):
    """W5: its label came out elsewhere, by the carrier's own program: scans are followed all the same, and ours stays in."""
    waybill, waits = home.issued(), home.issued()
    _, label = home.waybills.open_pdf(home.actor, waits.id, "p1")
    for one in (waybill, waits):
        home.scan(one.number, "GOT")
    assert follow(home) == 2
    assert home.state(waybill) == home.state(waits) == "handed_over"
    with pytest.raises(Refused):
        home.jobs.open_pdf(home.actor, label.id)
    with pytest.raises(Conflict):
        home.waybills.print(home.actor, waybill.id, "browser", "p2")
    home.scan(waybill.number, "SIGN")
    assert follow(home) == 1
    found = home.waybills.get(home.actor, waybill.id)
    assert (found.state, found.printed_at) == (WaybillState.DELIVERED, None)


def test_never_backwards(home: House):
    """W5: a hand-over that we scan after the carrier has is refused, and an old scan read late changes nothing."""
    waybill = home.issued()
    home.printed(waybill)
    home.scan(waybill.number, "GOT")
    home.scan(waybill.number, "TRANSIT")
    assert follow(home) == 1
    assert home.state(waybill) == "in_transit"
    assert code(home.waybills.hand_over(home.actor, [waybill.id])[0]) == "waybill.handed_over"
    assert follow(home) == 0
    assert home.state(waybill) == "in_transit"


def test_pace(home: House, mock: MockCarrier):
    """W5: a waybill is looked at every ten minutes at most, more seldom with age, once only by eight at once; delivered, no more."""
    waybill = home.issued()
    home.printed(waybill)
    mark = mock.mark()
    assert home.waybills.follow_traces() == 0
    assert home.calls(mark) == []
    home.later(timedelta(minutes=11))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: home.waybills.follow_traces(), range(8)))
    assert home.calls(mark) == [TRACE]
    home.later(timedelta(minutes=9))
    home.waybills.follow_traces()
    assert home.calls(mark) == [TRACE]
    home.later(timedelta(days=4))
    home.waybills.follow_traces()
    home.later(timedelta(hours=7))  # four days old: every eight hours
    home.waybills.follow_traces()
    assert home.calls(mark) == [TRACE] * 2
    home.scan(waybill.number, "SIGN")
    mark = mock.mark()
    assert follow(home) == 1
    assert follow(home) == 0
    assert home.calls(mark) == [TRACE]


def test_given_up(home: House, mock: MockCarrier):
    """W5: a parcel that was never heard of is no longer asked about after two months."""
    home.printed(home.issued())
    home.later(timedelta(days=61))
    home.waybills.follow_traces()
    mark = mock.mark()
    assert follow(home) == 0
    assert home.calls(mark) == []


def test_silence(home: House, mock: MockCarrier):
    """W5: a silent network ends the round, loses nothing, and the next one learns what happened."""
    waybills = [home.issued() for _ in range(3)]
    for waybill in waybills:
        home.printed(waybill)
        home.scan(waybill.number, "GOT")
    mock.control(script=[{"fault": "http_500", "only": TRACE}])
    mark = mock.mark()
    assert follow(home) == 0
    assert home.calls(mark) == [TRACE]
    mock.control(script=[])
    home.later(timedelta(hours=13))
    taken = sum(home.waybills.follow_traces() for _ in range(3))
    assert taken == 3
    assert {home.state(waybill) for waybill in waybills} == {"handed_over"}


def test_scan_of_a_void_pending_parcel(home: House):
    """W5: a parcel whose number should have been given back, but which the carrier scanned, is out: its number lives on."""
    waybill = home.issued()
    home.printed(waybill)
    assert home.waybills.cancel(home.actor, waybill.id).state is WaybillState.VOID_PENDING
    home.scan(waybill.number, "GOT")
    assert follow(home) == 1
    found = home.waybills.get(home.actor, waybill.id)
    assert (found.state, found.void_wait, found.reason) == (
        WaybillState.HANDED_OVER,
        None,
        "waybill.picked_up",
    )


def test_set_is_printed_in_pieces(home: House):
    """W7: the parcels of one order share a parent number, and their labels say 1/3, 2/3, 3/3."""
    from labelsvc.printing import journal

    pieces = home.waybills.issue_set(home.actor, order(), 3, "s1")
    assert [(piece.piece, piece.pieces) for piece in pieces] == [(1, 3), (2, 3), (3, 3)]
    assert len({piece.number for piece in pieces}) == 3
    assert len({piece.parent_number for piece in pieces}) == 1 and pieces[0].parent_number
    said = []
    for piece in pieces:
        _, label = home.waybills.open_pdf(home.actor, piece.id, f"p{piece.piece}")
        with home.database.reading() as connection:
            said.append(journal.document_of(connection, label.id).data["print"]["sequence"])
    assert said == ["1/3", "2/3", "3/3"]
