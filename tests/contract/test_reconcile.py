"""Our books against the network's, with the real mock carrier network: every kind of difference is found, and what is safe is settled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.house import House, calm, house, order
from support.programs import MockCarrier, mock_carrier

from labelsvc.db import Database
from labelsvc.errors import Forbidden, Unavailable
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import DifferenceKind, PlatformNetwork, WaybillState
from labelsvc.waybills.carriers import GetRequest, ParcelRequest
from labelsvc.waybills.store import waybills

GET = "pdd.waybill.get"


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=500) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    calm(mock)


@pytest.fixture
def home(database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor) -> Iterator[House]:
    with house(database, sealer, mock, factory) as found:
        yield found


@pytest.fixture
def elsewhere(mock: MockCarrier) -> PlatformNetwork:
    """The same account, used behind our back."""
    return PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, 5.0)


def lost(home: House, mock: MockCarrier):
    """A waybill whose number was given and not heard of: its id and its request."""
    request = order()
    mock.control(script=[{"fault": "drop", "only": GET, "times": 3}])
    with pytest.raises(Unavailable) as caught:
        home.waybills.issue(home.actor, request, f"lost {request.orders[0]}")
    mock.control(script=[])
    return caught.value.facts["waybill_id"], request


def kinds(found) -> list[tuple[str, str, bool]]:
    """Kind, number, fixed of each difference but the totals."""
    return [(one.kind.value, one.number, one.fixed) for one in found.differences if one.kind != "totals"]


def test_books_agree(home: House, mock: MockCarrier):
    """W2, W4: with issued, printed, cancelled and refused waybills the books agree, number by number and in the totals."""
    made = [home.issued() for _ in range(6)]
    home.printed(made[0])
    home.waybills.cancel(home.actor, made[1].id)
    mock.control(script=[{"fault": "wrong_item", "only": GET, "times": 1}])
    with pytest.raises(Exception):  # noqa: B017 - whatever the refusal is called
        home.issued()
    told: list[int] = []
    found = home.waybills.reconcile(home.actor, progress=told.append)
    assert found.differences == ()
    assert (found.asked, found.unanswered) == (7, 0)
    assert told[-1] == 7
    point = next(one for one in found.points if one.carrier == "ZTO")
    assert (
        (point.ours_issued, point.ours_cancelled)
        == (point.theirs_allocated, point.theirs_cancelled)
        == (6, 1)
    )
    assert point.balance == home.subscriptions.balance(home.actor, home.subscription_id)


def test_cancelled_there(home: House, elsewhere: PlatformNetwork):
    """W2: a number that somebody cancelled at the network is named, and so are the totals; nothing is changed, also with fix."""
    waybill = home.issued()
    elsewhere.cancel(home.token, "ZTO", waybill.number)
    for fix in (False, True):
        found = home.waybills.reconcile(home.actor, fix=fix)
        assert kinds(found) == [("cancelled_there", waybill.number, False)]
        totals = [one for one in found.differences if one.kind is DifferenceKind.TOTALS]
        assert [(one.ours, one.theirs) for one in totals] == [("1", "0")]
    assert home.state(waybill) == "issued"


def test_unknown_there(home: House, mock: MockCarrier):
    """W2: a number that the network never gave is named."""
    waybill = home.issued()
    with home.database.transaction() as connection:
        connection.execute(
            waybills.update().where(waybills.c.id == waybill.id).values(number="73999999999999")
        )
    assert kinds(home.waybills.reconcile(home.actor)) == [
        ("unknown_there", "73999999999999", False),
        ("surplus", waybill.number, False),
    ]
    # The surplus number may be on the label: without ours at the network it isn't cancelled.
    assert ("surplus", waybill.number, False) in kinds(home.waybills.reconcile(home.actor, fix=True))
    assert mock.live(waybill.orders[0]) == [waybill.number]


def test_unrecorded_is_adopted(home: House, mock: MockCarrier):
    """W2: a number not recorded yet is named, and with fix adopted."""
    id, request = lost(home, mock)
    number = mock.live(request.orders[0])[0]
    assert kinds(home.waybills.reconcile(home.actor)) == [("unrecorded", number, False)]
    assert home.waybills.get(home.actor, id).state is WaybillState.UNKNOWN
    assert kinds(home.waybills.reconcile(home.actor, fix=True)) == [("unrecorded", number, True)]
    assert home.waybills.get(home.actor, id).number == number
    assert home.waybills.reconcile(home.actor).differences == ()


def test_surplus_is_cancelled(home: House, mock: MockCarrier, elsewhere: PlatformNetwork):
    """W2: a second live number of a parcel is named, and with fix cancelled; the recorded one stays."""
    request = order()
    waybill = home.waybills.issue(home.actor, request, "k1")
    ask_again(home, mock, elsewhere, waybill.id, request)
    (surplus,) = set(mock.live(request.orders[0])) - {waybill.number}
    assert kinds(home.waybills.reconcile(home.actor)) == [("surplus", surplus, False)]
    assert len(mock.live(request.orders[0])) == 2
    assert kinds(home.waybills.reconcile(home.actor, fix=True)) == [("surplus", surplus, True)]
    assert mock.live(request.orders[0]) == [waybill.number]
    assert home.waybills.reconcile(home.actor).differences == ()


def test_live_where_ours_is_cancelled(home: House, mock: MockCarrier, elsewhere: PlatformNetwork):
    """W2: a number given after ours was cancelled is named, and with fix cancelled."""
    request = order()
    waybill = home.waybills.issue(home.actor, request, "k1")
    home.waybills.cancel(home.actor, waybill.id)
    ask_again(home, mock, elsewhere, waybill.id, request)
    (number,) = mock.live(request.orders[0])
    assert kinds(home.waybills.reconcile(home.actor)) == [("live_there", number, False)]
    assert kinds(home.waybills.reconcile(home.actor, fix=True)) == [("live_there", number, True)]
    assert mock.live(request.orders[0]) == []


def test_numbers_got_elsewhere(home: House, elsewhere: PlatformNetwork):
    """W4: numbers that another program got on the same account show in the totals."""
    home.issued()
    filed = home.waybills._register.filed(home.waybills.list(home.actor)[0].id)
    parcel = ParcelRequest("other", ("X-1",), "OTHERS", filed.request.recipient, filed.request.items, 0)
    elsewhere.get(home.token, GetRequest("ZTO", filed.waybill.origin, (parcel,)))
    found = home.waybills.reconcile(home.actor)
    assert [(one.kind, one.ours, one.theirs) for one in found.differences] == [("totals", "1", "2")]


def test_slow_network_is_waited_for(home: House, mock: MockCarrier):
    """W2: a network that limits us is waited for; what it doesn't answer is counted and is no difference."""
    home.issued()
    mock.control(script=[{"fault": "error", "code": 52101, "only": "mock.waybill.find", "times": 1}])
    assert home.waybills.reconcile(home.actor).differences == ()
    mock.control(script=[{"fault": "http_500", "only": "mock.waybill.find"}])
    found = home.waybills.reconcile(home.actor)
    assert (found.asked, found.unanswered, found.differences) == (1, 1, ())


def test_a_page_at_a_time(home: House, mock: MockCarrier):
    """W2: pages of any period add up to the whole; what is missing is adopted on its page, and only the last one has totals."""
    first = [home.issued() for _ in range(3)]
    id, request = lost(home, mock)
    middle = home.clock()
    home.later()
    last = [home.issued() for _ in range(2)]
    seen, after = [], ""
    while True:
        page = home.waybills.reconcile(home.actor, after=after, limit=2, fix=True)
        seen.append((page.asked, kinds(page), bool(page.points)))
        if page.next is None:
            break
        after = page.next
    number = home.waybills.get(home.actor, id).number
    assert seen == [(2, [], False), (2, [("unrecorded", number, True)], False), (2, [], False), (0, [], True)]
    assert mock.live(request.orders[0]) == [number]
    assert home.waybills.reconcile(home.actor, until=middle).asked == len(first) + 1
    assert home.waybills.reconcile(home.actor, since=middle).asked == len(last)
    assert home.waybills.reconcile(home.actor, since=middle, until=middle).asked == 0


def test_rights_and_stores(home: House, merchant: Actor):
    """R1: reconciling needs the right, fixing a further one, and sees the store's own waybills only."""
    home.issued()
    blind = Actor(merchant.user_id, merchant.store_id, merchant.name, frozenset(), merchant.via)
    with pytest.raises(Forbidden):
        home.waybills.reconcile(blind)
    assert home.waybills.reconcile(merchant).asked == 0


def ask_again(home: House, mock: MockCarrier, elsewhere: PlatformNetwork, id: str, request) -> None:
    """The identical request reaches a network that gives a new number each time."""
    mock.control(repeat="new")
    origin = home.waybills._register.filed(id).waybill.origin
    parcel = ParcelRequest(
        id, request.orders, request.channel, request.recipient, request.items, request.weight_g
    )
    elsewhere.get(home.token, GetRequest("ZTO", origin, (parcel,)))
    mock.control(repeat="same")
