"""Giving numbers back (W5) against the real mock carrier network: its quota, its silence, and many who cancel at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from support.house import House, calm, house
from support.programs import MockCarrier, mock_carrier

from labelsvc.db import Database
from labelsvc.errors import Conflict, Refused
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import VoidWait, WaybillState

CANCEL, QUERY = "pdd.waybill.cancel", "pdd.waybill.query.by.waybillcode"
#: The platform's code of a business refusal; its words say which.
OVER_QUOTA = "waybill.cancel_limit"


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


@pytest.mark.parametrize("fault", ["drop", "broken_json", "half_answer"])
def test_repeated_cancel_looks_first(home: House, mock: MockCarrier, fault: str):
    """W5: a cancellation whose answer was lost is found done by looking; the network isn't asked to cancel twice."""
    waybill = home.issued()
    mock.control(script=[{"fault": fault, "only": CANCEL, "times": 1}])
    mark = mock.mark()
    pending = home.waybills.cancel(home.actor, waybill.id)
    assert (pending.state, pending.void_wait) == (WaybillState.VOID_PENDING, VoidWait.NETWORK)
    home.later()
    assert home.waybills.settle() == 1
    assert home.calls(mark) == [CANCEL, QUERY]
    assert home.state(waybill) == "cancelled"


def test_repeated_cancel_that_had_not_happened(home: House, mock: MockCarrier):
    """W5: where the look shows a live number, it is given back now."""
    waybill = home.issued()
    mock.control(script=[{"fault": "http_500", "only": CANCEL, "times": 1}])
    mark = mock.mark()
    home.waybills.cancel(home.actor, waybill.id)
    home.later()
    assert home.waybills.settle() == 1
    assert home.calls(mark) == [CANCEL, QUERY, CANCEL]
    assert mock.live(waybill.orders[0]) == []


def test_pauses_grow(home: House, mock: MockCarrier):
    """W5: a network that refuses for the moment is asked again by itself, each pause twice as long, and the reason is shown."""
    waybill = home.issued()
    mock.control(error=52102, only=CANCEL)
    pending = home.waybills.cancel(home.actor, waybill.id)
    pauses = []
    for _ in range(4):
        assert pending.state is WaybillState.VOID_PENDING and pending.reason == "network.busy"
        assert pending.next_try_at is not None
        pauses.append(pending.next_try_at - home.clock())
        assert home.waybills.settle() == 0  # not yet due
        home.later(pauses[-1] + timedelta(seconds=1))
        home.waybills.settle()
        pending = home.waybills.get(home.actor, waybill.id)
    assert all(later > 1.8 * sooner for sooner, later in pairwise(pauses)), pauses
    mock.control(error=0, only="")
    assert (
        home.waybills.cancel(home.actor, waybill.id).state is WaybillState.CANCELLED
    )  # a person needn't wait


def test_cancel_limit(
    database: Database, sealer: Sealer, factory: Actor, tmp_path_factory: pytest.TempPathFactory
):
    """W5: over the network's share of cancellations a waybill waits, visibly, keeps its number, and is cancelled once it may."""
    with (
        mock_carrier(tmp_path_factory.mktemp("quota"), opening_balance=10_000) as mock,
        house(database, sealer, mock, factory) as home,
    ):
        _issue_at_the_network(home, 505)
        live = iter(mock.live())
        for number in [next(live) for _ in range(101)]:  # a fifth of 505
            home.network.cancel(home.token, "ZTO", number)
        waybill = home.issued()
        pending = home.waybills.cancel(home.actor, waybill.id)
        assert (pending.state, pending.reason) == (WaybillState.VOID_PENDING, OVER_QUOTA)
        assert mock.live(waybill.orders[0]) == [waybill.number]
        assert home.waybills.list(home.actor, state="void_pending")[0].reason == OVER_QUOTA
        _issue_at_the_network(home, 20)
        home.later()
        assert home.waybills.settle() == 1
        assert home.state(waybill) == "cancelled"


def _issue_at_the_network(home: House, number: int) -> None:
    """Let the point give numbers that nobody here knows of."""
    from support.house import ORIGIN, RECIPIENT, order

    from labelsvc.waybills import Item
    from labelsvc.waybills.carriers import GetRequest, ParcelRequest

    parcels = [
        ParcelRequest(f"q{at}", order().orders, "OTHERS", RECIPIENT, (Item("杯子", 1),), 0)
        for at in range(number)
    ]
    for at in range(0, number, 10):
        home.network.get(home.token, GetRequest("ZTO", ORIGIN, tuple(parcels[at : at + 10])))


def test_racing_cancels(home: House, mock: MockCarrier):
    """W5: of eight that cancel one waybill at once one asks the network, and each gets the outcome."""
    waybill = home.issued()
    mock.control(latency_ms=100, only=CANCEL)
    mark = mock.mark()
    with ThreadPoolExecutor(8) as threads:
        states = set(threads.map(lambda _: home.waybills.cancel(home.actor, waybill.id).state, range(8)))
    assert states == {WaybillState.CANCELLED}
    assert home.calls(mark) == [CANCEL]


def test_balance_comes_back(home: House):
    """W4: the balance falls by one a number and rises when it is given back, once."""
    before = home.subscriptions.balance(home.actor, home.subscription_id)
    waybill = home.issued()
    assert home.subscriptions.balance(home.actor, home.subscription_id) == before - 1
    for _ in range(2):
        home.waybills.cancel(home.actor, waybill.id)
    assert home.subscriptions.balance(home.actor, home.subscription_id) == before


def test_handed_over_cannot_be_cancelled(home: House, mock: MockCarrier):
    """W5: a waybill that we handed over is refused without asking the network, and stays handed over."""
    waybill = home.issued()
    home.printed(waybill)
    home.waybills.hand_over(home.actor, [waybill.number])
    mark = mock.mark()
    for destroyed in (False, True):
        with pytest.raises(Refused) as caught:
            home.waybills.cancel(home.actor, waybill.id, label_destroyed=destroyed)
        assert caught.value.code == "waybill.handed_over"
    assert home.calls(mark) == []
    assert home.state(waybill) == "handed_over"


def test_picked_up_while_void_pending(home: House, mock: MockCarrier):
    """W5: a void-pending parcel that the carrier has already is handed over: its number lives on, and its label stays in."""
    waybill = home.issued()
    home.printed(waybill)
    home.waybills.cancel(home.actor, waybill.id)
    home.scan(waybill.number, "GOT")
    with pytest.raises(Refused) as caught:
        home.waybills.cancel(home.actor, waybill.id, label_destroyed=True)
    assert caught.value.code == "waybill.picked_up"
    found = home.waybills.get(home.actor, waybill.id)
    assert (found.state, found.void_wait) == (WaybillState.HANDED_OVER, None)
    assert found.handed_over_at is not None
    assert mock.live(waybill.orders[0]) in ([], [waybill.number])
    with pytest.raises(Conflict):
        home.waybills.reprint(home.actor, waybill.id, None, "torn", "r1")
