"""Opening the e-waybill service at the real mock carrier network: applications, occupied addresses, frozen origins."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from support.networks import networks_of
from support.programs import MockCarrier, mock_carrier
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor
from labelsvc.waybills import (
    Application,
    CarrierKind,
    Divisions,
    Party,
    PlatformNetwork,
    SenderAddresses,
    Subscriptions,
    SubscriptionState,
)

PARTY = Party("周掌柜", "13911112222", "浙江省", "杭州市", "西湖区", "文三路 1 号")
DIVISIONS = Divisions()


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network")) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    mock.control(drop_answers=0, fail_next=0, error=0, latency_ms=0, only="")


@pytest.fixture
def network(mock: MockCarrier) -> PlatformNetwork:
    return PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=3)


@pytest.fixture
def addresses(database: Database) -> SenderAddresses:
    return SenderAddresses(database, DIVISIONS)


@pytest.fixture(params=["address", "carrier"])
def setting(request: pytest.FixtureRequest) -> str:
    return request.param


def _subscriptions(database: Database, network: PlatformNetwork, actor: Actor, setting: str = "address"):
    made = Subscriptions(database, networks_of(database, network), setting, timeout_s=3)
    made.connect(actor, f"shop-{actor.store_id}")
    return made


def _application(subscriptions: Subscriptions, actor: Actor, address_id: str, carrier="ZTO", **changes):
    points = subscriptions.network_points(actor, carrier, address_id)
    return replace(
        Application(carrier, address_id, points[0].code, "王经理", "0571-88889999", "2026-01", True),
        **changes,
    )


def test_open(database, network, addresses, merchant):
    """E2, W4, E10: an application with everything is opened at once; balance and history are there."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    opened = subscriptions.apply(merchant, _application(subscriptions, merchant, address.id))
    assert opened.state is SubscriptionState.OPEN
    assert (opened.kind, opened.carrier_name) == (CarrierKind.FRANCHISE, "中通快递")
    assert opened.origin == PARTY
    assert opened.agreed_by == merchant.user_id
    assert subscriptions.balance(merchant, opened.id) > 0
    assert [event.after for event in subscriptions.history(merchant, opened.id)] == ["under_review", "open"]
    assert addresses.get(merchant, address.id).in_use
    assert subscriptions.list(merchant, carrier="ZTO", state="open") == [opened]
    assert subscriptions.list(merchant, carrier="YTO") == []


def test_each_missing_field_is_named(database, network, addresses, merchant):
    """E2: an application lacks nothing; each missing part is named, and nothing is stored."""
    subscriptions = _subscriptions(database, network, merchant)
    with pytest.raises(Invalid) as caught:
        subscriptions.apply(merchant, Application("", "", "", "", "", "", False))
    assert {error.field for error in caught.value.errors} == {
        "carrier",
        "address_id",
        "branch_code",
        "contact_name",
        "contact_phone",
        "agreement_version",
        "accepted",
    }
    address = addresses.create(merchant, PARTY)
    good = _application(subscriptions, merchant, address.id)
    for field, value in {
        "carrier": "NOPE",
        "address_id": "nope",
        "branch_code": "000",
        "contact_name": " ",
        "contact_phone": "call me",
        "agreement_version": "",
        "accepted": False,
    }.items():
        with pytest.raises(Invalid) as caught:
            subscriptions.apply(merchant, replace(good, **{field: value}))
        assert [error.field for error in caught.value.errors] == [field]
    assert subscriptions.list(merchant) == []


def test_direct_operated_carrier(database, network, addresses, merchant):
    """E9: a direct-operated carrier wants a settlement account and has no balance."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    application = _application(subscriptions, merchant, address.id, "SF")
    with pytest.raises(Invalid) as caught:
        subscriptions.apply(merchant, application)
    assert caught.value.errors[0].field == "settlement_account"
    opened = subscriptions.apply(merchant, replace(application, settlement_account="0571123456"))
    assert opened.state is SubscriptionState.OPEN
    assert subscriptions.balance(merchant, opened.id) is None


def test_no_point_is_an_answer(database, network, addresses, merchant):
    """E3: no network point for an address is an empty list."""
    subscriptions = _subscriptions(database, network, merchant)
    tibet = addresses.create(merchant, replace(PARTY, province="西藏", city="拉萨", district="城关"))
    assert subscriptions.network_points(merchant, "YUNDA", tibet.id) == []
    assert subscriptions.network_points(merchant, "ZTO", tibet.id)
    with pytest.raises(Invalid):
        subscriptions.network_points(merchant, "NOPE", tibet.id)
    with pytest.raises(NotFound):
        subscriptions.network_points(merchant, "ZTO", "nope")


def test_city_without_districts(database, network, addresses, merchant):
    """E2, E3: an address in a city without districts gets points and can be opened."""
    subscriptions = _subscriptions(database, network, merchant)
    dongguan = addresses.create(merchant, replace(PARTY, province="广东", city="东莞", district=""))
    opened = subscriptions.apply(merchant, _application(subscriptions, merchant, dongguan.id))
    assert opened.state is SubscriptionState.OPEN


def test_one_point_an_address(database, network, addresses, merchant, setting):
    """E5, E6: by default an address takes one point; with "carrier" one of each carrier; closing frees it."""
    subscriptions = _subscriptions(database, network, merchant, setting)
    address = addresses.create(merchant, PARTY)
    opened = subscriptions.apply(merchant, _application(subscriptions, merchant, address.id))
    with pytest.raises(Conflict) as caught:
        subscriptions.apply(merchant, _application(subscriptions, merchant, address.id))
    assert caught.value.code == "address.occupied"
    other_carrier = _application(subscriptions, merchant, address.id, "YTO")
    if setting == "carrier":
        assert subscriptions.apply(merchant, other_carrier).state is SubscriptionState.OPEN
    else:
        with pytest.raises(Conflict):
            subscriptions.apply(merchant, other_carrier)
    second = addresses.create(merchant, replace(PARTY, detail="文三路 2 号"))
    assert subscriptions.apply(merchant, _application(subscriptions, merchant, second.id)).state == "open"
    assert subscriptions.close(merchant, opened.id).state is SubscriptionState.CLOSED
    assert subscriptions.close(merchant, opened.id).state is SubscriptionState.CLOSED
    assert subscriptions.apply(merchant, _application(subscriptions, merchant, address.id)).state == "open"


def test_occupied_in_a_race(database, network, addresses, merchant, setting):
    """E5: of eight applications at once on one address, exactly one gets it."""
    subscriptions = _subscriptions(database, network, merchant, setting)
    address = addresses.create(merchant, PARTY)
    application = _application(subscriptions, merchant, address.id)

    def apply(_: int) -> str:
        try:
            return subscriptions.apply(merchant, application).state
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(threads.map(apply, range(8)))
    assert outcomes == ["address.occupied"] * 7 + ["open"]


def test_occupation_is_a_constraint(database, network, addresses, merchant, setting):
    """E5: the database itself keeps two from occupying one address, and forgets an occupation with its closing."""
    subscriptions = _subscriptions(database, network, merchant, setting)
    one, two = (addresses.create(merchant, replace(PARTY, detail=f"{n} 号")) for n in (1, 2))
    first, second = (
        subscriptions.apply(merchant, _application(subscriptions, merchant, address.id))
        for address in (one, two)
    )
    with database.reading() as connection:
        occupied = dict(connection.execute(text("SELECT id, occupies FROM subscriptions")).all())
    assert occupied[first.id] == (f"{one.id}:ZTO" if setting == "carrier" else one.id)
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(
            text("UPDATE subscriptions SET occupies = :first WHERE id = :second"),
            {"first": occupied[first.id], "second": second.id},
        )
    subscriptions.close(merchant, first.id)
    with database.reading() as connection:
        occupied = dict(connection.execute(text("SELECT id, occupies FROM subscriptions")).all())
    assert occupied[first.id] is None


def test_setting_changed_later(database, network, addresses, merchant):
    """E5: after a change to the strict setting, an address that has a point takes no further one."""
    address = addresses.create(merchant, PARTY)
    loose = _subscriptions(database, network, merchant, "carrier")
    loose.apply(merchant, _application(loose, merchant, address.id))
    strict = Subscriptions(database, networks_of(database, network), "address")
    with pytest.raises(Conflict):
        strict.apply(merchant, _application(strict, merchant, address.id, "YTO"))


def test_used_address_is_frozen(database, network, addresses, merchant):
    """E7: a used address isn't deleted nor moved; an edited detail is shown, and the origin keeps its text."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    opened = subscriptions.apply(merchant, _application(subscriptions, merchant, address.id))
    for forbidden in (
        lambda: addresses.delete(merchant, address.id),
        lambda: addresses.edit(merchant, address.id, replace(PARTY, district="余杭区")),
    ):
        with pytest.raises(Conflict) as caught:
            forbidden()
        assert caught.value.code == "address.in_use"
    addresses.edit(merchant, address.id, replace(PARTY, detail="文三路 9 号"))
    assert addresses.clear(merchant, address.id).party.detail == "文三路 9 号"
    assert subscriptions.get(merchant, opened.id).origin.detail == "文三路 1 号"
    subscriptions.close(merchant, opened.id)
    addresses.delete(merchant, address.id)
    assert subscriptions.get(merchant, opened.id).address_id is None


def test_lost_answer(database, network, mock, addresses, merchant):
    """E5: an application whose answer was lost stays under review, keeps the address, and is settled by asking again."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    application = _application(subscriptions, merchant, address.id)
    mock.control(only="mock.subscription.apply", drop_answers=1)
    waiting = subscriptions.apply(merchant, application)
    assert waiting.state is SubscriptionState.UNDER_REVIEW
    with pytest.raises(Conflict):
        subscriptions.apply(merchant, application)
    with pytest.raises(Conflict):
        subscriptions.close(merchant, waiting.id)
    assert subscriptions.settle() == 1
    assert subscriptions.get(merchant, waiting.id).state is SubscriptionState.OPEN
    assert subscriptions.settle() == 0


def test_rejected(database, network, mock, addresses, merchant):
    """E1, E5: a rejection keeps its reason as a code and frees the address."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    application = _application(subscriptions, merchant, address.id)
    mock.control(only="mock.subscription.apply", error=50002)
    rejected = subscriptions.apply(merchant, application)
    assert (rejected.state, rejected.reason) == (SubscriptionState.REJECTED, "network.50002")
    mock.control(error=0)
    assert subscriptions.apply(merchant, application).state is SubscriptionState.OPEN


def test_without_network(database, addresses, merchant):
    """A network that isn't there is Unavailable; a store without a token is told to connect."""
    nowhere = PlatformNetwork("http://127.0.0.1:9/api/router", "x", "y", timeout_s=1)
    subscriptions = Subscriptions(database, networks_of(database, nowhere))
    with pytest.raises(Refused) as refused:
        subscriptions.carriers(merchant)
    assert refused.value.code == "network.not_connected"
    subscriptions.connect(merchant, "shop")
    with pytest.raises(Unavailable) as silent:
        subscriptions.carriers(merchant)
    assert silent.value.may_have_happened is False


def test_tenancy(database, network, addresses, merchant, factory):
    """One store's subscriptions are not there for another."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    opened = subscriptions.apply(merchant, _application(subscriptions, merchant, address.id))
    subscriptions.connect(factory, "another")
    assert subscriptions.list(factory) == []
    for verb in (subscriptions.get, subscriptions.close, subscriptions.history, subscriptions.balance):
        with pytest.raises(NotFound):
            verb(factory, opened.id)


def test_sealed(database, network, addresses, merchant):
    """Contact, origin, settlement account and access token don't stand readable in the database file."""
    subscriptions = _subscriptions(database, network, merchant)
    address = addresses.create(merchant, PARTY)
    application = _application(subscriptions, merchant, address.id, "SF", settlement_account="ACC-998877")
    subscriptions.apply(merchant, application)
    content = stored_bytes(database)
    for secret in ("王经理", "88889999", "ACC-998877", f"shop-{merchant.store_id}", PARTY.detail):
        assert secret.encode() not in content
