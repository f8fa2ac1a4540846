"""Sets (子母件): several parcels of one order under one parent number, against the real mock carrier network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pypdfium2
import pytest
from support.house import House, calm, house, order
from support.programs import MockCarrier, mock_carrier

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, Refused
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import Waybill


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=20) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    calm(mock)


@pytest.fixture
def home(database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor) -> Iterator[House]:
    with house(database, sealer, mock, factory) as found:
        yield found


def test_set(home: House, mock: MockCarrier):
    """W7: three parcels of one order get three numbers under one parent, by one call; the balance falls by three."""
    request, mark = order(), mock.mark()
    before = home.subscriptions.balance(home.actor, home.subscription_id)
    pieces = home.waybills.issue_set(home.actor, request, 3, "k1")
    assert [(one.piece, one.pieces) for one in pieces] == [(1, 3), (2, 3), (3, 3)]
    assert len({one.number for one in pieces}) == 3
    parents = {one.parent_number for one in pieces}
    assert len(parents) == 1
    assert not parents & {"", *(one.number for one in pieces)}
    assert home.calls(mark, "pdd.waybill.get") == ["pdd.waybill.get"]
    assert sorted(mock.live(request.orders[0])) == sorted(one.number for one in pieces)
    assert home.subscriptions.balance(home.actor, home.subscription_id) == before - 3
    assert home.waybills.get(home.actor, pieces[1].number) == pieces[1]
    assert home.waybills.issue_set(home.actor, request, 3, "k1") == pieces


def test_labels_say_which(home: House):
    """W7: the labels print 1/2 and 2/2, and their data carry the parent's number."""
    pieces = home.waybills.issue_set(home.actor, order(), 2, "k1")
    for one, sequence in zip(pieces, ("1/2", "2/2"), strict=True):
        data = home.waybills._register.filed(one.id).print_data
        assert (data["print"]["sequence"], data["parentWaybillCode"]) == (sequence, one.parent_number)
        _, label = home.waybills.open_pdf(home.actor, one.id, f"p {one.id}")
        document = pypdfium2.PdfDocument(home.jobs.open_pdf(home.actor, label.id))
        try:
            assert sequence in document[0].get_textpage().get_text_bounded()
        finally:
            document.close()
    alone = home.waybills.issue(home.actor, order(), "k2")
    assert (alone.piece, alone.pieces, alone.parent_number) == (1, 1, "")


def test_partial_set_is_completed(
    home: House, mock: MockCarrier, database: Database, sealer: Sealer, merchant: Actor, tmp_path
):
    """W7, W4: a set that the balance covers only in part shows which pieces are refused; the same key completes it later."""
    with mock_carrier(tmp_path, opening_balance=2) as poor, house(database, sealer, poor, merchant) as other:
        spent = other.issued()
        request = order()
        first = other.waybills.issue_set(merchant, request, 2, "k1")
        assert [type(one) for one in first].count(Refused) == 1
        issued = next(one for one in first if isinstance(one, Waybill))
        other.waybills.cancel(merchant, spent.id)
        whole = other.waybills.issue_set(merchant, request, 2, "k1")
        assert all(isinstance(one, Waybill) for one in whole)
        assert issued in whole
        assert len({one.parent_number for one in whole}) == 1
        assert other.waybills.issue_set(merchant, request, 2, "k1") == whole
        assert sorted(poor.live(request.orders[0])) == sorted(one.number for one in whole)


def test_lost_answer_of_a_set(home: House, mock: MockCarrier):
    """W7, W2: a set whose answer was lost is found again with its parent, and completed by the same key without a new number."""
    request = order()
    mock.control(script=[{"fault": "drop", "only": "pdd.waybill.get", "times": 3}])
    home.waybills.issue_set(home.actor, request, 3, "k1")
    given = sorted(mock.live(request.orders[0]))
    assert len(given) == 3
    mock.control(script=[])
    pieces = home.waybills.issue_set(home.actor, request, 3, "k1")
    assert sorted(one.number for one in pieces) == given
    assert len({one.parent_number for one in pieces} - {""}) == 1


def test_set_meets_others(home: House):
    """W7, W2: a live set can't be asked for with another number of pieces, nor as a single parcel; wrong numbers are invalid."""
    request = order()
    home.waybills.issue_set(home.actor, request, 2, "k1")
    for other in home.waybills.issue_set(home.actor, request, 3, "k2")[:2]:
        assert isinstance(other, Conflict)
        assert other.facts["fields"] == ["pieces"]
    with pytest.raises(Conflict):
        home.waybills.issue(home.actor, request, "k3")
    for wrong in (0, 51, "3"):
        with pytest.raises(Invalid):
            home.waybills.issue_set(home.actor, order(), wrong, "k4")
    with pytest.raises(Invalid):
        home.waybills.issue(home.actor, replace(order(), pieces=2, piece=3), "k5")
