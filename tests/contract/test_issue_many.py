"""Hundreds of numbers at a time, against the real mock carrier network: a result for each, one number a parcel, none lost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from support.house import MOVED, ORIGIN, House, calm, house, networks_at, order, until_somebody_waits
from support.programs import MockCarrier, mock_carrier

from labelsvc.db import Database, metadata, new_id
from labelsvc.errors import Conflict, Invalid, KeyReused, LabelsvcError, Refused, Unavailable
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import Application, Divisions, PlatformNetwork, Waybill, WaybillState
from labelsvc.waybills.carriers import Networks
from labelsvc.waybills.carriers.offline import PoolNumber
from labelsvc.waybills.carriers.pacing import Breaker

GET = "pdd.waybill.get"
MODES = ("same", "new", "exists")


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=2000) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    calm(mock)


@pytest.fixture
def home(database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor) -> Iterator[House]:
    with house(database, sealer, mock, factory) as found:
        yield found


def parcels(count: int) -> list:
    """Requests for so many parcels, each with its key."""
    return [(request, f"key {request.orders[0]}") for request in (order() for _ in range(count))]


def codes(results) -> Counter:
    """How many of which result: a state, or an error's code."""
    return Counter(one.code if isinstance(one, LabelsvcError) else one.state.value for one in results)


def live(mock: MockCarrier, requests) -> dict[str, list[str]]:
    """The live numbers at the network, by order."""
    return {request.orders[0]: mock.live(request.orders[0]) for request, _ in requests}


# --- one call -------------------------------------------------------------------------------------------------


def test_one_call_many_numbers(home: House, mock: MockCarrier):
    """W3: 45 parcels take five calls of at most ten, several at once; each result is its own parcel's number, in order."""
    requests, mark = parcels(45), mock.mark()
    results = home.waybills.issue_many(home.actor, requests)
    assert codes(results) == {"issued": 45}
    assert [one.orders for one in results] == [request.orders for request, _ in requests]
    assert len({one.number for one in results}) == 45
    assert {
        o: [n] for o, n in zip((r.orders[0] for r, _ in requests), (w.number for w in results), strict=True)
    } == (live(mock, requests))
    gets = [entry for entry in mock.log(mark) if entry["type"] == GET]
    assert sorted(len(entry["package_ids"]) for entry in gets) == [5, 10, 10, 10, 10]
    assert home.waybills.get(home.actor, results[7].id) == results[7]
    history = home.waybills.history(home.actor, results[44].id)
    assert [event.after for event in history] == ["requested", "issued"]


def test_bad_ones_are_results(home: House, mock: MockCarrier):
    """W3: a wrong request, a reused key, an origin elsewhere and a differing parcel are results; the others get numbers."""
    (first, key), (other, _) = parcels(2)
    home.waybills.issue(home.actor, first, key)
    mark = mock.mark()
    results = home.waybills.issue_many(
        home.actor,
        [
            (order(items=()), "wrong"),
            (other, key),
            (order(origin=replace(ORIGIN, district="余杭区")), "elsewhere"),
            (order(carrier="YTO"), "unopened"),
            (replace(first, recipient=MOVED), "differs"),
            (order(), ""),
            (order(), "good"),
        ],
    )
    assert [type(one) for one in results] == [
        Invalid,
        KeyReused,
        Refused,
        Refused,
        Conflict,
        Invalid,
        Waybill,
    ]
    assert [one.code for one in results[2:5]] == [
        "origin.mismatch",
        "subscription.not_open",
        "parcel.differs",
    ]
    assert home.calls(mark) == [GET]
    for wrong in ([], parcels(1) * 501):
        with pytest.raises(Invalid):
            home.waybills.issue_many(home.actor, wrong)


def test_twice_in_one_call(home: House, mock: MockCarrier):
    """W2: a parcel or a key that comes twice in one call is one waybill; another content under the key is a conflict."""
    run = new_id()  # the network is the module's; each database asks for parcels of its own
    one, two = f"D-1 {run}", f"D-2 {run}"
    request, mark = order(orders=(one, two)), mock.mark()
    results = home.waybills.issue_many(
        home.actor,
        [
            (request, "a"),
            (request, "a"),
            (replace(request, orders=(two, one)), "b"),
            (replace(request, weight_g=7), "a"),
            (replace(request, recipient=MOVED), "c"),
        ],
    )
    assert [getattr(one, "code", None) for one in results] == [
        None,
        None,
        None,
        "key.reused",
        "parcel.differs",
    ]
    assert len({result.number for result in results[:3]}) == 1
    assert mock.live(one) == [results[0].number]
    assert home.calls(mark) == [GET]
    assert home.waybills.issue(home.actor, replace(request, orders=(two, one)), "b") == results[0]


def test_same_call_again(home: House, mock: MockCarrier):
    """W2: the same call again, and each of its keys alone, answers the same waybills without asking the network."""
    requests = parcels(13)
    first = home.waybills.issue_many(home.actor, requests)
    mark = mock.mark()
    assert home.waybills.issue_many(home.actor, requests) == first
    assert home.waybills.issue(home.actor, *requests[12]) == first[12]
    assert home.calls(mark) == []


def test_one_refused_item(home: House, mock: MockCarrier):
    """W3: the network refuses a batch whole for one wrong item; that item is refused, its nine neighbours get numbers."""
    requests = parcels(10)
    mock.control(script=[{"fault": "wrong_item", "only": GET, "times": 1}])
    results = home.waybills.issue_many(home.actor, requests)
    found = codes(results)
    assert found["issued"] == 9
    assert sum(found.values()) == 10
    refused = next(one for one in results if isinstance(one, Refused))
    at = results.index(refused)
    assert home.waybills.get(home.actor, refused.facts["waybill_id"]).state is WaybillState.REFUSED
    assert mock.live(requests[at][0].orders[0]) == []
    assert isinstance(home.waybills.issue(home.actor, requests[at][0], "again"), Waybill)


def test_balance_runs_out(home: House, database: Database, sealer: Sealer, merchant: Actor, tmp_path: Path):
    """W3, W4: where the balance covers eight of twelve, eight are issued and four refused, and nothing is lost or double."""
    with mock_carrier(tmp_path, opening_balance=8) as poor, house(database, sealer, poor, merchant) as other:
        requests = parcels(12)
        results = other.waybills.issue_many(merchant, requests)
        assert codes(results) == {"issued": 8, "balance.empty": 4}
        assert sorted(poor.live()) == sorted(one.number for one in results if isinstance(one, Waybill))


def test_two_carriers_two_points(home: House, mock: MockCarrier):
    """E0, W10: each parcel is asked for on its own subscription, with that one's origin."""
    address = home.addresses.create(home.actor, replace(ORIGIN, detail="二仓 2 号"))
    point = home.subscriptions.network_points(home.actor, "STO", address.id)[0]
    second = home.subscriptions.apply(
        home.actor, Application("STO", address.id, point.code, "王经理", "13900001111", "1", True, "")
    )
    mark = mock.mark()
    results = home.waybills.issue_many(
        home.actor, [(order(carrier=("ZTO", "STO")[n % 2]), f"mixed {mark} {n}") for n in range(14)]
    )
    assert codes(results) == {"issued": 14}
    assert {one.subscription_id for one in results} == {home.subscription_id, second.id}
    assert {one.origin.division["district"] for one in results} == {"西湖区"}
    assert sorted(len(entry["package_ids"]) for entry in mock.log(mark) if entry["type"] == GET) == [7, 7]


def test_offline_numbers(home: House, mock: MockCarrier, merchant: Actor):
    """E0, W2: a store that was never connected gets numbers from a pool that its carrier handed over, without the network."""
    address = home.addresses.create(merchant, ORIGIN)
    numbers = [PoolNumber(f"YT{n:013d}") for n in range(1, 4)]
    home.subscriptions.open_offline(merchant, "YTO", address.id, "571001", "杭州网点", numbers)
    mark = mock.mark()
    requests = [(order(carrier="YTO"), f"off {n}") for n in range(4)]
    results = home.waybills.issue_many(merchant, requests)
    assert codes(results[:3]) == {"issued": 3}
    assert {one.number for one in results[:3]} == {one.number for one in numbers}
    assert isinstance(results[3], Refused)
    assert home.waybills.issue_many(merchant, requests[:3]) == results[:3]
    assert home.calls(mark) == []


# --- silence and recovery -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_lost_answers(home: House, mock: MockCarrier, mode: str):
    """W2: when every answer of a call of 30 is lost, settling finds every number, in every mode of the network: one a parcel."""
    requests = parcels(30)
    mock.control(repeat=mode, script=[{"fault": "drop", "only": GET, "times": 3}])
    with_one_try(home, mock)
    results = home.waybills.issue_many(home.actor, requests)
    assert all(isinstance(one, Unavailable) for one in results)
    assert {home.waybills.get(home.actor, one.facts["waybill_id"]).state for one in results} == {"unknown"}
    given = live(mock, requests)
    assert all(len(numbers) == 1 for numbers in given.values())
    assert home.waybills.settle() == 30
    after = home.waybills.issue_many(home.actor, requests)
    assert {r.orders[0]: [w.number] for (r, _), w in zip(requests, after, strict=True)} == given
    assert live(mock, requests) == given


def with_one_try(home: House, mock: MockCarrier) -> None:
    """Let the room see every silence: the adapter asks once, and two calls at a time."""
    breaker = Breaker(pause_s=0.2, longest_s=0.4)
    platform = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, 1.0, tries=1, in_flight=2, breaker=breaker)
    networks = networks_at(mock.url, home.database, 1.0)
    home.waybills = type(home.waybills)(
        home.database, Networks(platform, networks.offline), home.jobs, home.printers, Divisions(), 1.0
    )


@pytest.mark.parametrize("mode", MODES)
def test_repeat_is_identical_item_by_item(home: House, mock: MockCarrier, mode: str):
    """W2, W3: a repeated request is identical for each parcel, whatever batch it comes in."""
    requests = parcels(24)
    mock.control(repeat=mode, script=[{"fault": "http_500", "only": GET, "times": 3}])
    with_one_try(home, mock)
    mark = mock.mark()
    results = home.waybills.issue_many(home.actor, requests)
    assert all(isinstance(one, Unavailable) for one in results)
    assert isinstance(
        home.waybills.issue(home.actor, *requests[5]), Waybill
    )  # so that the batches are others now
    assert home.waybills.settle() == 23
    assert codes(home.waybills.issue_many(home.actor, requests)) == {"issued": 24}
    digests: dict[str, list[str]] = {}
    for entry in mock.log(mark):
        if entry["type"] == GET:
            for parcel in entry["parcels"]:
                digests.setdefault(parcel["package_id"], []).append(parcel["digest"])
    assert len(digests) == 24
    assert {len(found) for found in digests.values()} == {2}
    assert {len(set(found)) for found in digests.values()} == {1}
    assert all(len(numbers) == 1 for numbers in live(mock, requests).values())


def test_busy_network_refuses_nothing(home: House, mock: MockCarrier):
    """W2: over the rate limit nothing has happened: the parcels stay requested, are never refused, and are got later by one ask."""
    requests = parcels(3)
    mock.control(script=[{"fault": "error", "code": 52101, "only": GET, "times": 1}])
    with_one_try(home, mock)
    mark = mock.mark()
    results = home.waybills.issue_many(home.actor, requests)
    assert codes(results) == {"network.busy": 3}
    ids = [one.facts["waybill_id"] for one in results]
    assert {home.waybills.get(home.actor, id).state for id in ids} == {"requested"}
    assert home.waybills.settle() == 0  # the network wants to be left alone
    home.later()
    assert home.waybills.settle() == 3
    # Nothing had happened, so nobody had to look for numbers.
    assert home.calls(mark) == [GET, GET]
    assert codes(home.waybills.issue_many(home.actor, requests)) == {"issued": 3}


def test_resting_network(home: House, mock: MockCarrier):
    """W2: once the breaker is open nothing is sent; every parcel says so, none is refused, and all are got after the pause."""
    requests = parcels(90)
    mock.control(script=[{"fault": "http_503", "only": GET}])
    with_one_try(home, mock)
    found = codes(home.waybills.issue_many(home.actor, requests))
    assert found["network.resting"] > 0
    assert set(found) <= {"network.resting", "network.silent", "network.busy", "network.unreachable"}
    mock.control(script=[])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        home.later()
        home.waybills.settle(500)
        if codes(home.waybills.list(home.actor, limit=200)) == {"issued": 90}:
            break
        time.sleep(0.2)
    assert all(len(numbers) == 1 for numbers in live(mock, requests).values())
    assert codes(home.waybills.issue_many(home.actor, requests)) == {"issued": 90}


def test_hopeless_ones_wait(home: House, mock: MockCarrier):
    """W2: waybills whose outcome can't be had now are asked less and less often, and stand in nobody's way."""
    hopeless = parcels(5)
    mock.control(script=[{"fault": "drop", "only": GET, "times": 1}])
    with_one_try(home, mock)
    assert codes(home.waybills.issue_many(home.actor, hopeless)) == {"network.silent": 5}
    home.subscriptions.connect(home.actor, "EXPIRED")
    mark = mock.mark()
    for _ in range(5):
        assert home.waybills.settle() == 0
    # One find each, then they are left alone for a while.
    assert home.calls(mark).count("mock.waybill.find") == 5
    home.subscriptions.connect(home.actor, home.token)
    fresh = parcels(3)
    assert codes(home.waybills.issue_many(home.actor, fresh)) == {"issued": 3}
    home.later()
    assert home.waybills.settle() == 5


# --- races and crashes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_racing_calls(home: House, mock: MockCarrier, mode: str):
    """W2: four calls at once for the same 25 parcels, in different order, give one number a parcel and the same to all."""
    mock.control(repeat=mode, latency_ms=40)
    requests, mark = parcels(25), mock.mark()

    def call(n: int) -> dict[str, str]:
        turned = requests[n * 6 :] + requests[: n * 6]
        mine = [(request, f"{n} {key}" if n % 2 else key) for request, key in turned]
        results = home.waybills.issue_many(home.actor, mine)
        return {request.orders[0]: one.number for (request, _), one in zip(mine, results, strict=True)}

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(call, range(4)))
    assert all(one == answers[0] for one in answers)
    assert live(mock, requests) == {name: [number] for name, number in answers[0].items()}
    asked = [id for entry in mock.log(mark) if entry["type"] == GET for id in entry["package_ids"]]
    assert len(asked) == len(set(asked)) == 25


def test_keys_for_parcels_whose_numbers_are_being_recorded(home: House):
    """W2: whoever asks again for parcels under other keys waits for who holds them, and neither waits in a circle."""
    if home.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    requests = parcels(2)
    ids = [one.id for one in home.waybills.issue_many(home.actor, requests)]
    (low, first), (high, second) = sorted(zip(ids, (request for request, _ in requests), strict=True))
    waybills = metadata.tables["waybills"]
    hold = select(waybills.c.id).with_for_update()
    with ThreadPoolExecutor(1) as threads:
        with home.database.transaction() as recording:
            recording.execute(hold.where(waybills.c.id == low))
            again = [
                (first, "b again"),
                (second, "a again"),
            ]  # in the order of the keys the higher id comes first
            asking = threads.submit(home.waybills.issue_many, home.actor, again)
            until_somebody_waits(home.database, asking)
            recording.execute(hold.where(waybills.c.id == high))
        assert [one.id for one in asking.result(30)] == [low, high]


def test_waiting_turn_keeps_its_lease(home: House, mock: MockCarrier):
    """W2: parcels that wait for their turn longer than a lease runs are not taken over by settling."""
    requests = parcels(30)
    platform = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, 5.0, in_flight=1)
    slow = type(home.waybills)(
        home.database,
        Networks(platform, networks_at(mock.url, home.database, 1.0).offline),
        home.jobs,
        home.printers,
        Divisions(),
        0.15,  # the lease is as short as if the network answered at once
    )
    mock.control(latency_ms=350)
    mark = mock.mark()
    with ThreadPoolExecutor(1) as threads:
        calling = threads.submit(slow.issue_many, home.actor, requests)
        while not calling.done():
            assert home.waybills.settle() == 0
            time.sleep(0.02)
        assert codes(calling.result()) == {"issued": 30}
    assert home.calls(mark) == [GET] * 3


_CHILD = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from support.house import networks_at, order
from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.printing import Printers, PrintJobs, Profiles
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import Divisions, Waybills
url, address, keys, store, orders = sys.argv[2:]
database = Database(address, sealer=Sealer.from_file(Path(keys)))
printers = Printers(database, Profiles())
jobs = PrintJobs(database, printers, StandardTemplates())
waybills = Waybills(database, networks_at(url, database, 20), jobs, printers, Divisions(), 20)
requests = [(order(orders=(name,)), f"key {name}") for name in json.loads(orders)]
waybills.issue_many(Actor.operator(store), requests)
"""


def test_killed_in_the_middle(home: House, mock: MockCarrier, tmp_path: Path):
    """W2: a process killed with -9 in the middle of a call of 60 loses no number and leaves none twice."""
    names = [request.orders[0] for request, _ in parcels(60)]
    mock.control(repeat="new", latency_ms=300)
    mark = mock.mark()
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _CHILD,
            json.dumps([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]),
            mock.url,
            home.database.url.render_as_string(hide_password=False),
            str(tmp_path / "sealing.key"),
            home.actor.store_id,
            json.dumps(names),
        ]
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not any(e["code"] is not None for e in mock.log(mark)):
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    mock.control(latency_ms=0)
    time.sleep(0.5)  # the network finishes what it was asked
    home.later()
    while home.waybills.settle():
        pass
    requests = [(order(orders=(name,)), f"after {name}") for name in names]
    results = home.waybills.issue_many(home.actor, requests)
    assert codes(results) == {"issued": 60}
    assert live(mock, requests) == {name: [one.number] for name, one in zip(names, results, strict=True)}


# --- parcels, addresses ---------------------------------------------------------------------------------------


def test_merged_and_split(home: House, mock: MockCarrier):
    """W1: several orders leave under one number (合单), and one order under several (拆单), each package its own."""
    run = new_id()  # the network is the module's; each database asks for parcels of its own
    merged = order(orders=(f"M-1 {run}", f"M-2 {run}", f"M-3 {run}"))
    split = order(orders=(f"P-1 {run}",))
    results = home.waybills.issue_many(
        home.actor,
        [(merged, "m"), (split, "s1"), (replace(split, package="2"), "s2")],
    )
    assert codes(results) == {"issued": 3}
    assert all(mock.live(name) == [results[0].number] for name in merged.orders)
    assert sorted(mock.live(split.orders[0])) == sorted(one.number for one in results[1:])
    assert [one.id for one in home.waybills.of_order(home.actor.store_id, merged.orders[1])] == [
        results[0].id
    ]


@pytest.mark.parametrize(
    "origin",
    [("浙江", "杭州", "西湖"), ("浙江省", "杭州", "西湖区"), ("浙江", "杭州市", "西湖区")],
)
def test_origin_spelt_otherwise(home: House, mock: MockCarrier, origin: tuple[str, str, str]):
    """E8: 浙江 is 浙江省: the same division is accepted however it is spelt, and the carrier gets the opened text (W10)."""
    province, city, district = origin
    asked = order(origin=replace(ORIGIN, province=province, city=city, district=district))
    waybill = home.waybills.issue(home.actor, asked, "k")
    assert waybill.origin.division == ORIGIN.division


def test_origin_elsewhere(home: House):
    """E8: another district is refused with both texts; a district that isn't one is refused with suggestions."""
    results = home.waybills.issue_many(
        home.actor,
        [
            (order(origin=replace(ORIGIN, district="余杭区")), "a"),
            (order(origin=replace(ORIGIN, district="西胡区")), "b"),
        ],
    )
    assert codes(results) == {"origin.mismatch": 2}
    for one, asked in zip(results, ("余杭区", "西胡区"), strict=True):
        assert one.facts["requested"]["district"] == asked
        assert one.facts["opened"] == ORIGIN.division
    assert results[0].facts["suggestions"] == ["浙江省 杭州市 西湖区"]
    assert "西湖区" in results[1].facts["suggestions"]


def test_number_of_another_parcel(home: House, mock: MockCarrier, monkeypatch: pytest.MonkeyPatch):
    """W9: a number that another waybill has is recorded for neither the second nor as a second: that one is refused."""
    first = home.waybills.issue(home.actor, order(), "k1")
    platform = home.network
    real = platform.get
    monkeypatch.setattr(
        platform, "get", lambda *asked: [replace(one, number=first.number) for one in real(*asked)]
    )
    with pytest.raises(Refused) as caught:
        home.waybills.issue(home.actor, order(), "k2")
    assert caught.value.code == "network.number_taken"
    assert home.waybills.get(home.actor, first.number) == first


def test_print_data_is_fetched(home: House, mock: MockCarrier, monkeypatch: pytest.MonkeyPatch):
    """W2: a number whose print data didn't come is asked about by its number; it is never recorded without its label."""
    real = home.network._get_once

    def spoiled(*asked):
        answer = real(*asked)
        for one in answer["modules"]:
            one["print_data"] = '{"data": '
        return answer

    monkeypatch.setattr(home.network, "_get_once", spoiled)
    mark = mock.mark()
    waybill = home.waybills.issue(home.actor, order(), "k1")
    assert home.calls(mark) == [GET, "pdd.waybill.query.by.waybillcode"]
    assert waybill.route_code
    assert (
        home.waybills._register.filed(waybill.id).print_data["routingInfo"]["routeCode"] == waybill.route_code
    )
    request = order()
    mock.control(script=[{"fault": "http_500", "only": "pdd.waybill.query.by.waybillcode", "times": 1}])
    with pytest.raises(Unavailable) as caught:
        home.waybills.issue(home.actor, request, "k2")
    assert home.waybills.get(home.actor, caught.value.facts["waybill_id"]).state is WaybillState.UNKNOWN
    monkeypatch.undo()
    assert home.waybills.settle() == 1
    assert mock.live(request.orders[0]) == [home.waybills.issue(home.actor, request, "k2").number]
