"""Waybills against the real mock carrier network and the real print queue: one number a parcel, one label, none lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from support.networks import networks_of
from support.programs import MockCarrier, mock_carrier
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.errors import Conflict, Forbidden, Invalid, KeyReused, NotFound, Refused, Unavailable
from labelsvc.labels import StandardTemplates
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.printing import LabelState, Printers, PrintJobs, Profiles
from labelsvc.security import Actor, Right, Sealer
from labelsvc.waybills import (
    Application,
    Divisions,
    IssueRequest,
    Item,
    Party,
    PlatformNetwork,
    SenderAddresses,
    Subscriptions,
    VoidWait,
    Waybills,
    WaybillState,
    looks_like,
)
from labelsvc.waybills.carriers import GetRequest, ParcelRequest

ORIGIN = Party("仓库发货部", "0571-88880000", "浙江省", "杭州市", "西湖区", "文三路 1 号")
SHOWN = Party("云上小店", "13911112222", "浙江省", "杭州市", "余杭区", "仓前街道 9 号")
RECIPIENT = Party(
    "欧阳春晓", "13812345678", "广东省", "广州市", "天河区", "天河北路 233 号 1204 室", "林和街道"
)
DIVISIONS = Divisions()
MODES = ("same", "new", "exists")
_TIMEOUT_S = 1.0
_orders = count(1)


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=12) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    mock.control(repeat="same", drop_answers=0, fail_next=0, error=0, latency_ms=0, only="")


class Clock:
    """The real time, which a test can put forward instead of waiting for a lease to lapse."""

    ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class House:
    """The rooms under test, and the store that acts."""

    database: Database
    clock: Clock
    addresses: SenderAddresses
    subscriptions: Subscriptions
    jobs: PrintJobs
    printers: Printers
    waybills: Waybills
    actor: Actor
    subscription_id: str

    def later(self) -> None:
        """Let every lease lapse."""
        self.clock.ahead += timedelta(minutes=5)

    def came_out(self, label_id: str) -> None:
        """Let a label leave: opened in a browser, which is a print (P6)."""
        assert self.jobs.open_pdf(self.actor, label_id).startswith(b"%PDF")
        assert self.jobs.label(self.actor, label_id).state is LabelState.SENT


def build(database: Database, url: str, actor: Actor, timeout_s: float = _TIMEOUT_S):
    # One try a call: what the adapter mends by itself would never reach the room.
    network = PlatformNetwork(url, CLIENT_ID, CLIENT_SECRET, timeout_s=timeout_s, tries=1)
    printers = Printers(database, Profiles())
    jobs = PrintJobs(database, printers, StandardTemplates())
    networks = networks_of(database, network)
    return network, printers, jobs, Waybills(database, networks, jobs, printers, DIVISIONS, timeout_s)


def open_service(
    subscriptions: Subscriptions, addresses: SenderAddresses, actor: Actor, party=ORIGIN, carrier="ZTO"
):
    address = addresses.create(actor, party)
    point = subscriptions.network_points(actor, carrier, address.id)[0]
    account = "ACC-1" if carrier == "SF" else ""
    return subscriptions.apply(
        actor, Application(carrier, address.id, point.code, "王经理", "13900001111", "1", True, account)
    )


@pytest.fixture
def house(
    tmp_path: Path, sealer: Sealer, database: Database, mock: MockCarrier, factory: Actor
) -> Iterator[House]:
    clock = Clock()
    timed = Database(str(database.url), sealer=sealer, clock=clock)
    network, printers, jobs, waybills = build(timed, mock.url, factory)
    addresses = SenderAddresses(timed, DIVISIONS)
    subscriptions = Subscriptions(timed, networks_of(timed, network))
    subscriptions.connect(factory, f"shop-{factory.store_id}")
    opened = open_service(subscriptions, addresses, factory)
    (tmp_path / "out").mkdir()
    printers.add(factory, "bench", (tmp_path / "out").as_uri(), "file-zpl-203")
    yield House(timed, clock, addresses, subscriptions, jobs, printers, waybills, factory, opened.id)
    timed.close()


def order(**changes) -> IssueRequest:
    """A request for a parcel that no other test asks for."""
    return replace(
        IssueRequest(
            carrier="ZTO",
            orders=(f"O-{next(_orders)}",),
            recipient=RECIPIENT,
            shown_sender=SHOWN,
            items=(Item("青瓷杯 300ml", 2), Item("茶盘", 1)),
            store_name="云上小店",
        ),
        **changes,
    )


# --- issue ----------------------------------------------------------------------------------------------------


def test_issue(house: House, mock: MockCarrier):
    """W1, W4, W9: a parcel gets one number in its carrier's format, with routing code and centre; the balance falls by one."""
    before = house.subscriptions.balance(house.actor, house.subscription_id)
    request = order()
    waybill = house.waybills.issue(house.actor, request, "k1")
    assert waybill.state is WaybillState.ISSUED
    assert looks_like("ZTO", waybill.number)
    assert waybill.route_code and waybill.sorting_mark and waybill.consolidation_centre
    assert mock.live(request.orders[0]) == [waybill.number]
    assert house.subscriptions.balance(house.actor, house.subscription_id) == before - 1
    assert house.waybills.get(house.actor, waybill.number) == waybill
    history = house.waybills.history(house.actor, waybill.id)
    assert [event.after for event in history] == ["requested", "issued"]


def test_same_parcel_same_number(house: House, mock: MockCarrier):
    """W2: the same key, another key, and another order of the order numbers answer the same waybill with one network call."""
    request = order(orders=("M-1", "M-2"))
    first = house.waybills.issue(house.actor, request, "k1")
    mark = mock.mark()
    assert house.waybills.issue(house.actor, request, "k1") == first
    assert house.waybills.issue(house.actor, request, "k2") == first
    assert house.waybills.issue(house.actor, replace(request, orders=("M-2", "M-1")), "k3") == first
    assert mock.log(mark) == []
    other = house.waybills.issue(house.actor, replace(request, package="2"), "k4")
    assert other.number != first.number


def test_key_reused(house: House):
    """W2: a key that stood for another parcel, or another content, is a conflict; so it stays for a parcel met by a second key."""
    request = order()
    house.waybills.issue(house.actor, request, "k1")
    with pytest.raises(KeyReused):
        house.waybills.issue(house.actor, order(), "k1")
    with pytest.raises(KeyReused):
        house.waybills.issue(house.actor, replace(request, weight_g=5), "k1")
    house.waybills.issue(house.actor, request, "k2")
    with pytest.raises(KeyReused):
        house.waybills.issue(house.actor, order(), "k2")


def test_parcel_differs(house: House):
    """W2: a live parcel asked for with another recipient is a conflict that names the field, not a second number."""
    request = order()
    first = house.waybills.issue(house.actor, request, "k1")
    with pytest.raises(Conflict) as caught:
        house.waybills.issue(house.actor, replace(request, recipient=replace(RECIPIENT, name="李四")), "k2")
    assert (caught.value.code, caught.value.facts["fields"]) == ("parcel.differs", ["recipient"])
    assert caught.value.facts["waybill_id"] == first.id


@pytest.mark.parametrize("keys", ["one", "many"])
@pytest.mark.parametrize("mode", MODES)
def test_racing_requests(house: House, mock: MockCarrier, mode: str, keys: str):
    """W2: eight requests for one parcel at once give one number by one network call, in every mode of the network."""
    mock.control(repeat=mode, latency_ms=100)
    request, mark = order(), mock.mark()

    def issue(n: int) -> str | None:
        return house.waybills.issue(house.actor, request, "k" if keys == "one" else f"k{n}").number

    with ThreadPoolExecutor(8) as threads:
        numbers = set(threads.map(issue, range(8)))
    assert len(numbers) == 1
    assert mock.live(request.orders[0]) == list(numbers)
    assert [entry["type"] for entry in mock.log(mark)] == ["pdd.waybill.get"]


@pytest.mark.parametrize("mode", MODES)
def test_lost_answer(house: House, mock: MockCarrier, mode: str):
    """W2: a number whose answer was lost is found again by asking, in every mode; none is live twice, none is lost."""
    mock.control(repeat=mode, drop_answers=1, only="pdd.waybill.get")
    request = order()
    with pytest.raises(Unavailable) as caught:
        house.waybills.issue(house.actor, request, "k1")
    id = caught.value.facts["waybill_id"]
    assert house.waybills.get(house.actor, id).state is WaybillState.UNKNOWN
    given = mock.live(request.orders[0])
    assert len(given) == 1
    assert house.waybills.settle() == 1
    assert house.waybills.get(house.actor, id).number == given[0]
    assert mock.live(request.orders[0]) == given
    assert house.waybills.issue(house.actor, request, "k1").number == given[0]
    assert house.waybills.settle() == 0


@pytest.mark.parametrize("mode", MODES)
def test_repeated_request_is_identical(house: House, mock: MockCarrier, mode: str):
    """W2: where the network did nothing, the request is asked again and is identical, and the same key inherits its outcome."""
    mock.control(repeat=mode, fail_next=1, only="pdd.waybill.get")
    request, mark = order(), mock.mark()
    with pytest.raises(Unavailable):
        house.waybills.issue(house.actor, request, "k1")
    waybill = house.waybills.issue(house.actor, request, "k1")
    assert mock.live(request.orders[0]) == [waybill.number]
    asked = [entry for entry in mock.log(mark) if entry["type"] == "pdd.waybill.get"]
    assert len(asked) == 2
    assert len({entry["digest"] for entry in asked}) == 1


@pytest.mark.parametrize("mode", MODES)
def test_racing_settlers(house: House, mock: MockCarrier, mode: str):
    """W2: of eight that settle one waybill at once, one asks the network; the others leave it alone."""
    mock.control(repeat=mode, fail_next=1, only="pdd.waybill.get")
    request = order()
    with pytest.raises(Unavailable) as caught:
        house.waybills.issue(house.actor, request, "k1")
    mock.control(latency_ms=100)
    mark = mock.mark()
    with ThreadPoolExecutor(8) as threads:
        settled = sum(threads.map(lambda _: house.waybills.settle(), range(8)))
    assert settled >= 1
    number = house.waybills.get(house.actor, caught.value.facts["waybill_id"]).number
    assert mock.live(request.orders[0]) == [number]
    asked = [entry["type"] for entry in mock.log(mark)]
    assert asked == ["mock.waybill.find", "pdd.waybill.get", "mock.waybill.find"]


@pytest.mark.parametrize("mode", MODES)
def test_answer_lost_twice(house: House, mock: MockCarrier, mode: str):
    """W2: when also the repeated request's answer is lost, one number is kept and any other is cancelled."""
    request = order()
    mock.control(repeat=mode, fail_next=1, only="pdd.waybill.get")
    with pytest.raises(Unavailable):
        house.waybills.issue(house.actor, request, "k1")
    mock.control(drop_answers=1, only="pdd.waybill.get")
    with pytest.raises(Unavailable):
        house.waybills.issue(house.actor, request, "k1")
    waybill = house.waybills.issue(house.actor, request, "k1")
    assert mock.live(request.orders[0]) == [waybill.number]


def test_late_second_number_is_cancelled(house: House, mock: MockCarrier):
    """W2: two live numbers of one package end as one: the oldest is adopted, the other is cancelled."""
    request = order()
    mock.control(repeat="new", drop_answers=1, only="pdd.waybill.get")
    with pytest.raises(Unavailable) as caught:
        house.waybills.issue(house.actor, request, "k1")
    id = caught.value.facts["waybill_id"]
    # A duplicate on its way: the identical request reaches the network once more behind our back.
    network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET)
    found = house.waybills._register.filed(id)
    parcel = ParcelRequest(
        id, request.orders, request.channel, request.recipient, request.items, request.weight_g
    )
    network.get(f"shop-{house.actor.store_id}", GetRequest("ZTO", found.waybill.origin, (parcel,)))
    both = mock.live(request.orders[0])
    assert len(both) == 2
    assert house.waybills.settle() == 1
    assert house.waybills.get(house.actor, id).number == both[0]
    assert mock.live(request.orders[0]) == both[:1]
    assert network.find(f"shop-{house.actor.store_id}", request.orders, id)[1].live is False


def test_slow_network(house: House, mock: MockCarrier):
    """W2: a network slower than the time-out leaves the waybill unknown; what it did is adopted later."""
    request = order()
    mock.control(latency_ms=1500, only="pdd.waybill.get")
    with pytest.raises(Unavailable):
        house.waybills.issue(house.actor, request, "k1")
    mock.control(latency_ms=0)
    deadline = time.monotonic() + 10
    while not mock.live(request.orders[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    waybill = house.waybills.issue(house.actor, request, "k1")
    assert mock.live(request.orders[0]) == [waybill.number]


_CHILD = """
import runpy, sys
from pathlib import Path
test, url, address, keys, store, number = sys.argv[1:]
sys.path.insert(0, str(Path(test).parents[1]))
here = runpy.run_path(test)
database = here["Database"](address, sealer=here["Sealer"].from_file(Path(keys)))
actor = here["Actor"].operator(store)
waybills = here["build"](database, url, actor, timeout_s=20)[3]
waybills.issue(actor, here["order"](orders=(number,)), "k1")
"""


@pytest.mark.parametrize(
    ("mode", "moment"),
    [("new", "before the effect"), *((mode, "after the effect") for mode in MODES)],
)
def test_killed_process(house: House, mock: MockCarrier, tmp_path: Path, mode: str, moment: str):
    """W2: a process killed with -9 in the middle of the call loses no number and makes none twice, in every mode."""
    request = order()
    mock.control(repeat=mode, latency_ms=800, only="pdd.waybill.get")
    mark = mock.mark()
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _CHILD,
            __file__,
            mock.url,
            house.database.url.render_as_string(hide_password=False),
            str(tmp_path / "sealing.key"),
            house.actor.store_id,
            request.orders[0],
        ]
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            asked = [entry for entry in mock.log(mark) if entry["type"] == "pdd.waybill.get"]
            if asked and (moment == "before the effect" or asked[0]["code"] is not None):
                break
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    assert [w.state for w in house.waybills.list(house.actor)] == [WaybillState.REQUESTED]
    assert house.waybills.settle() == 0  # the dead process's lease still lives: nobody asks
    mock.control(latency_ms=0)
    deadline = time.monotonic() + 10
    while not mock.live(request.orders[0]) and time.monotonic() < deadline:
        time.sleep(0.02)  # the network finishes what it was asked
    house.later()
    assert house.waybills.settle() == 1
    waybill = house.waybills.list(house.actor)[0]
    assert waybill.state is WaybillState.ISSUED
    assert mock.live(request.orders[0]) == [waybill.number]


def test_refused_frees_the_parcel(house: House, mock: MockCarrier):
    """W4: out of balance is refused before anything is printed; the parcel can be asked again after a recharge."""
    poor = open_service(
        house.subscriptions, house.addresses, house.actor, replace(ORIGIN, detail="空仓 1 号"), "STO"
    )
    for n in range(12):
        house.waybills.issue(house.actor, order(carrier="STO"), f"spend-{n}")
    assert house.subscriptions.balance(house.actor, poor.id) == 0
    request = order(carrier="STO")
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            house.waybills.issue(house.actor, request, "k1")
        assert caught.value.code == "balance.empty"
    refused = house.waybills.list(house.actor, state="refused")
    assert [(w.number, w.reason) for w in refused] == [(None, "balance.empty")]
    with pytest.raises(Conflict):
        house.waybills.print(house.actor, refused[0].id, "bench", "p1")
    spent = house.waybills.list(house.actor, state="issued", limit=1)[0]
    house.waybills.cancel(house.actor, spent.id)
    assert house.waybills.issue(house.actor, request, "k2").state is WaybillState.ISSUED


def test_origin(house: House):
    """E8, W10: an origin elsewhere than the opened address is refused, and the answer shows both, down to the district."""
    with pytest.raises(Refused) as caught:
        house.waybills.issue(house.actor, order(origin=replace(ORIGIN, district="余杭区")), "k1")
    assert caught.value.code == "origin.mismatch"
    assert caught.value.facts["requested"]["district"] == "余杭区"
    assert caught.value.facts["opened"] == ORIGIN.division
    assert house.waybills.list(house.actor) == []
    assert house.waybills.issue(house.actor, order(origin=replace(ORIGIN, detail="")), "k2").number


def test_origin_under_a_former_name(house: House):
    """E8, W10: a district's former name is its name of today, a part that went elsewhere is not; the carrier gets the opened text."""
    opened = {}
    for district, detail in (("上城区", "四季青街道 1 号"), ("钱塘区", "下沙街道 2 号大街 1 号")):
        party = replace(ORIGIN, district=district, detail=detail)
        opened[district] = open_service(house.subscriptions, house.addresses, house.actor, party)

    def issue(key: str, district: str, **asked: str):
        origin = Party("", "", "浙江", "杭州", asked.pop("place"), asked.pop("detail", ""))
        request = order(origin=origin, subscription_id=opened[district].id)
        return house.waybills.issue(house.actor, request, key)

    for number, (district, asked) in enumerate(
        [
            ("上城区", {"place": "上城"}),
            ("上城区", {"place": "江干区"}),
            ("上城区", {"place": "江干", "detail": "四季青街道"}),
            ("钱塘区", {"place": "江干区"}),  # its own detail says which part of it
            ("钱塘区", {"place": "江干区", "detail": "下沙街道"}),
        ]
    ):
        waybill = issue(f"same {number}", district, **asked)
        assert waybill.number and waybill.origin.district == district
    for number, (district, asked) in enumerate(
        [
            ("上城区", {"place": "钱塘区"}),
            ("上城区", {"place": "江干区", "detail": "下沙街道"}),
            ("上城区", {"place": "下城区"}),  # part of 拱墅区 today
            ("钱塘区", {"place": "上城区"}),
        ]
    ):
        with pytest.raises(Refused) as caught:
            issue(f"other {number}", district, **asked)
        assert caught.value.code == "origin.mismatch"
        assert caught.value.facts["opened"]["district"] == district
        assert caught.value.facts["requested"]["district"] == asked["place"]
    # Without naming one, the only open service of that place is found.
    found = house.waybills.issue(house.actor, order(origin=replace(ORIGIN, district="江干")), "whose")
    assert found.subscription_id == opened["上城区"].id


def test_edited_address_keeps_its_origin(house: House):
    """E7, W10: after the address's detail was edited, the carrier still gets the text of the application."""
    address = house.addresses.list(house.actor)[0]
    house.addresses.edit(house.actor, address.id, replace(ORIGIN, detail="搬到 2 号"))
    assert house.waybills.issue(house.actor, order(), "k1").state is WaybillState.ISSUED


def test_which_subscription(house: House):
    """E0: without a name the store's only open subscription is used; none or several is said."""
    with pytest.raises(Refused) as caught:
        house.waybills.issue(house.actor, order(carrier="YTO"), "k1")
    assert caught.value.code == "subscription.not_open"
    second = open_service(house.subscriptions, house.addresses, house.actor, replace(ORIGIN, detail="二仓"))
    with pytest.raises(Invalid) as several:
        house.waybills.issue(house.actor, order(), "k2")
    assert several.value.errors[0].field == "subscription_id"
    issued = house.waybills.issue(house.actor, order(subscription_id=second.id), "k3")
    assert issued.subscription_id == second.id
    with pytest.raises(Invalid):
        house.waybills.issue(house.actor, order(subscription_id="nope"), "k4")


def test_not_connected(house: House, merchant: Actor):
    """A store without an access token is told so, and nothing is stored."""
    with pytest.raises(Refused) as caught:
        house.waybills.issue(merchant, order(), "k1")
    assert caught.value.code == "network.not_connected"
    assert house.waybills.list(merchant) == []


def test_expired_token(house: House, mock: MockCarrier):
    """W2: a token that expired between two attempts doesn't lose what the first one may have got."""
    request = order()
    mock.control(drop_answers=1, only="pdd.waybill.get")
    with pytest.raises(Unavailable):
        house.waybills.issue(house.actor, request, "k1")
    house.subscriptions.connect(house.actor, "EXPIRED")
    with pytest.raises(Unavailable) as caught:
        house.waybills.issue(house.actor, request, "k1")
    assert caught.value.code == "network.token"
    house.subscriptions.connect(house.actor, f"shop-{house.actor.store_id}")
    assert mock.live(request.orders[0]) == [house.waybills.issue(house.actor, request, "k1").number]


def test_masked_and_clear(house: House, merchant: Actor):
    """D7: every answer is masked; clear parties need the right, and the orders must be the store's own."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    for shown in (waybill, house.waybills.get(house.actor, waybill.id), house.waybills.list(house.actor)[0]):
        assert shown.recipient == RECIPIENT.masked()
        assert shown.shown_sender == SHOWN.masked()
    assert house.waybills.clear(house.actor, waybill.id).recipient == RECIPIENT
    blind = replace(house.actor, rights=house.actor.rights - {Right.SEE_CLEAR_DATA})
    with pytest.raises(Forbidden):
        house.waybills.clear(blind, waybill.id)
    merchants = house.waybills.issue(house.actor, order(owner_id=merchant.store_id), "k2")
    with pytest.raises(Refused):
        house.waybills.clear(house.actor, merchants.id)


def test_two_merchants_one_order_number(house: House, merchant: Actor):
    """W2: the same order number of two merchants is two parcels."""
    request = order()
    own = house.waybills.issue(house.actor, request, "k1")
    other = house.waybills.issue(house.actor, replace(request, owner_id=merchant.store_id), "k2")
    assert own.number != other.number


def test_tenancy(house: House, merchant: Actor):
    """One store's waybills are not there for another, by id or number."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    assert house.waybills.list(merchant) == []
    for name in (waybill.id, waybill.number):
        for verb in (house.waybills.get, house.waybills.cancel, house.waybills.history):
            with pytest.raises(NotFound):
                verb(merchant, name)


def test_list_pages(house: House):
    """Waybills are listed newest first, page by page."""
    made = [house.waybills.issue(house.actor, order(), f"k{n}").id for n in range(5)][::-1]
    page = house.waybills.list(house.actor, limit=2)
    assert [w.id for w in page] == made[:2]
    assert [w.id for w in house.waybills.list(house.actor, after=page[-1].id)] == made[2:]
    for wrong in ({"limit": 0}, {"limit": 1000}, {"state": "nope"}):
        with pytest.raises(Invalid):
            house.waybills.list(house.actor, **wrong)


def test_sealed(house: House):
    """Requests, answers and print data don't stand readable in the database files."""
    waybill = house.waybills.issue(house.actor, order(note="轻拿轻放给老王"), "k1")
    house.waybills.print(house.actor, waybill.id, "bench", "p1")
    content = stored_bytes(house.database)
    for secret in (RECIPIENT.name, RECIPIENT.phone, RECIPIENT.detail, SHOWN.name, ORIGIN.phone, "老王"):
        assert secret.encode() not in content
    assert waybill.number.encode() in content  # the search itself works


# --- print ----------------------------------------------------------------------------------------------------


def test_print_once(house: House):
    """P3, W10: the label has the merchant's sender, the recipient in clear and the route; a second print is refused, the same key isn't."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    job = house.waybills.print(house.actor, waybill.id, "bench", "p1")
    assert [(label.subject, label.title) for label in job.labels] == [(waybill.subject, waybill.number)]
    assert [warning.code for warning in job.warnings] == []
    assert house.waybills.print(house.actor, waybill.number, "bench", "p1").id == job.id
    with pytest.raises(Conflict) as caught:
        house.waybills.print(house.actor, waybill.id, "bench", "p2")
    assert (caught.value.code, caught.value.facts["job_id"]) == ("waybill.already_printed", job.id)
    with pytest.raises(KeyReused):
        house.waybills.print(house.actor, waybill.id, "browser", "p1")
    data = house.waybills._register.filed(waybill.id).print_data
    assert data["recipient"]["name"] == RECIPIENT.name
    assert data["recipient"]["mobile"] == RECIPIENT.phone
    assert data["sender"]["name"] == SHOWN.name
    assert data["sender"]["address"]["detail"] == SHOWN.detail
    assert ORIGIN.detail not in str(data)
    assert data["routingInfo"]["routeCode"] == waybill.route_code
    assert data["waybillCode"] == data["qr"] == waybill.number
    assert data["goods"] == {
        "summary": "青瓷杯 300ml ×2；茶盘 ×1",
        "count": 3,
        "lines": "青瓷杯 300ml ×2\n茶盘 ×1",
        "short": "青瓷杯×2\n茶盘×1",
        "items": [
            {"name": "青瓷杯 300ml", "shortName": "青瓷杯", "count": 2},
            {"name": "茶盘", "shortName": "茶盘", "count": 1},
        ],
    }


@pytest.mark.parametrize("template", ["waybill-76x130", "waybill-100x180"])
def test_labels_tell_the_number(house: House, template: str):
    """W1: the label that comes out of the print data carries the number, the names and the route as text."""
    pypdfium2 = pytest.importorskip("pypdfium2")
    waybill = house.waybills.issue(house.actor, order(), "k1")
    _, label = house.waybills.open_pdf(house.actor, waybill.id, "p1", template=template)
    page = pypdfium2.PdfDocument(house.jobs.open_pdf(house.actor, label.id))[0]
    text = page.get_textpage().get_text_bounded().replace("\r", "").replace("\n", "")
    for shown in (
        waybill.number,
        waybill.route_code,
        RECIPIENT.masked_for_label().name,
        RECIPIENT.masked_for_label().phone,
        SHOWN.name,
        SHOWN.phone,
    ):
        assert shown.replace(" ", "") in text.replace(" ", "")
    assert ORIGIN.phone not in text


def test_racing_prints(house: House):
    """W8: of eight prints with different keys at once, exactly one is a label."""
    waybill = house.waybills.issue(house.actor, order(), "k1")

    def press(n: int) -> str:
        try:
            return house.waybills.print(house.actor, waybill.id, "bench", f"p{n}").id
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(press, range(8)))
    assert outcomes.count("waybill.already_printed") == 7
    assert len(house.jobs.labels(house.actor, subject=waybill.subject)) == 1


def test_print_interrupted(house: House, monkeypatch: pytest.MonkeyPatch):
    """W8: a process that died between the claim and the job is healed by the same key, or by the next to ask: one label."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    other = house.waybills.issue(house.actor, order(), "k2")
    with monkeypatch.context() as stopped:
        stopped.setattr(house.jobs, "submit", _die)
        for id in (waybill.id, other.id):
            with pytest.raises(_Died):
                house.waybills.print(house.actor, id, "bench", "p1")
    house.later()
    assert len(house.waybills.print(house.actor, waybill.id, "bench", "p1").labels) == 1
    with pytest.raises(Conflict) as caught:
        house.waybills.print(house.actor, other.id, "bench", "p2")
    assert caught.value.code == "waybill.already_printed"
    for id in (waybill.subject, other.subject):
        assert len(house.jobs.labels(house.actor, subject=id)) == 1


class _Died(BaseException):
    """Stands for the end of the process."""


def _die(*_: object) -> None:
    raise _Died


def test_refused_print_gives_its_claim_back(house: House):
    """A print that printing refuses (no such printer, no such template) stands in nobody's way."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    with pytest.raises(Invalid):
        house.waybills.print(house.actor, waybill.id, "nowhere", "p1")
    with pytest.raises((Invalid, NotFound)):
        house.waybills.print(house.actor, waybill.id, "bench", "p2", template="nope")
    assert len(house.waybills.print(house.actor, waybill.id, "bench", "p3").labels) == 1


def test_print_again_after_cancelled_job(house: House):
    """A label that was cancelled before it came out can be printed again without being a reprint."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    job = house.waybills.print(house.actor, waybill.id, "bench", "p1")
    house.jobs.cancel(house.actor, job.id)
    again = house.waybills.print(house.actor, waybill.id, "bench", "p2")
    assert again.id != job.id
    assert again.labels[0].reprint_count == 0


def test_reprint(house: House):
    """W8: a reprint needs a label that came out and a reason; it is counted, and its key makes it once."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    with pytest.raises(Conflict) as caught:
        house.waybills.reprint(house.actor, waybill.id, "bench", "torn", "r0")
    assert caught.value.code == "waybill.not_printed"
    _, label = house.waybills.open_pdf(house.actor, waybill.id, "p1")
    house.came_out(label.id)
    with pytest.raises(Conflict):
        house.waybills.print(house.actor, waybill.id, "bench", "p2")
    with pytest.raises(Conflict):
        house.waybills.open_pdf(house.actor, waybill.id, "p3")
    with pytest.raises(Invalid):
        house.waybills.reprint(house.actor, waybill.id, "bench", "", "r1")
    first = house.waybills.reprint(house.actor, waybill.id, "bench", "torn", "r1")
    assert house.waybills.reprint(house.actor, waybill.id, "bench", "torn", "r1").id == first.id
    second_job, second = house.waybills.open_pdf(house.actor, waybill.id, "r2", reason="torn again")
    assert (first.labels[0].reprint_count, second.reprint_count) == (1, 2)
    assert second_job.labels == (second,)


def test_follow_printing(house: House):
    """W5: a waybill is printed once its label came out, as the print queue's feed says; reading again changes nothing."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    _, label = house.waybills.open_pdf(house.actor, waybill.id, "p1")
    while house.waybills.follow_printing():
        pass
    assert house.waybills.get(house.actor, waybill.id).state is WaybillState.ISSUED
    house.came_out(label.id)
    assert house.waybills.follow_printing() > 0
    printed = house.waybills.get(house.actor, waybill.id)
    assert printed.state is WaybillState.PRINTED
    assert printed.printed_at is not None
    assert house.waybills.follow_printing() == 0


def test_held(house: House):
    """P10: a held waybill isn't printed, and its queued label doesn't come out; after the release it does."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    _, label = house.waybills.open_pdf(house.actor, waybill.id, "p1")
    assert house.waybills.hold(house.actor, waybill.id, "under review").held_reason == "under review"
    with pytest.raises(Refused):
        house.jobs.open_pdf(house.actor, label.id)
    other = house.waybills.issue(house.actor, order(), "k2")
    house.waybills.hold(house.actor, other.id, "under review")
    with pytest.raises(Refused) as caught:
        house.waybills.print(house.actor, other.id, "bench", "p2")
    assert caught.value.code == "waybill.held"
    house.waybills.release(house.actor, other.id)
    assert house.waybills.print(house.actor, other.id, "bench", "p2").labels


# --- cancel ---------------------------------------------------------------------------------------------------


def test_cancel(house: House, mock: MockCarrier):
    """W5, W10: an unprinted number is given back at once, twice is harmless, and the parcel gets a new number under a new id."""
    request = order()
    before = house.subscriptions.balance(house.actor, house.subscription_id)
    waybill = house.waybills.issue(house.actor, request, "k1")
    cancelled = house.waybills.cancel(house.actor, waybill.id)
    assert cancelled.state is WaybillState.CANCELLED
    assert house.waybills.cancel(house.actor, waybill.id) == cancelled
    assert mock.live(request.orders[0]) == []
    assert house.subscriptions.balance(house.actor, house.subscription_id) == before
    assert house.waybills.issue(house.actor, request, "k1").state is WaybillState.CANCELLED
    fresh = house.waybills.issue(house.actor, request, "k2")
    assert fresh.id != waybill.id
    assert fresh.number not in (None, waybill.number)
    assert mock.live(request.orders[0]) == [fresh.number]


def test_cancel_queued_label(house: House):
    """W5, P10: cancelling takes the queued label with it, and nothing can be printed any more."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    job = house.waybills.print(house.actor, waybill.id, "bench", "p1")
    assert house.waybills.cancel(house.actor, waybill.id).state is WaybillState.CANCELLED
    assert [label.state for label in house.jobs.get(house.actor, job.id).labels] == [LabelState.CANCELLED]
    for verb in (
        lambda: house.waybills.print(house.actor, waybill.id, "bench", "p2"),
        lambda: house.waybills.reprint(house.actor, waybill.id, "bench", "torn", "r1"),
        lambda: house.waybills.open_pdf(house.actor, waybill.id, "p3"),
    ):
        with pytest.raises(Conflict) as caught:
            verb()
        assert caught.value.code == "waybill.not_issued"


def test_cancel_printed(house: House, mock: MockCarrier):
    """W5: a label on paper makes it void pending, the parcel stays taken, until the label is said to be destroyed."""
    request = order()
    waybill = house.waybills.issue(house.actor, request, "k1")
    _, label = house.waybills.open_pdf(house.actor, waybill.id, "p1")
    house.came_out(label.id)
    house.waybills.follow_printing()
    pending = house.waybills.cancel(house.actor, waybill.id)
    assert (pending.state, pending.void_wait) == (WaybillState.VOID_PENDING, VoidWait.LABEL)
    assert mock.live(request.orders[0]) == [waybill.number]
    with pytest.raises(Conflict) as caught:
        house.waybills.issue(house.actor, request, "k2")
    assert caught.value.code == "waybill.void_pending"
    house.later()
    assert house.waybills.settle() == 0
    assert house.waybills.cancel(house.actor, waybill.id, label_destroyed=True).state == "cancelled"
    assert mock.live(request.orders[0]) == []


@pytest.mark.parametrize("fault", [{"drop_answers": 1}, {"fail_next": 1}, {"error": 52103}])
def test_cancel_interrupted(house: House, mock: MockCarrier, fault: dict[str, int]):
    """W5: a cancellation whose answer is lost, or that the network doesn't take now, is void pending and settled later."""
    request = order()
    waybill = house.waybills.issue(house.actor, request, "k1")
    mock.control(only="pdd.waybill.cancel", **fault)
    pending = house.waybills.cancel(house.actor, waybill.id)
    assert (pending.state, pending.void_wait) == (WaybillState.VOID_PENDING, VoidWait.NETWORK)
    mock.control(error=0)
    assert house.waybills.settle() == 0  # not yet due
    house.later()
    assert house.waybills.settle() == 1
    assert house.waybills.get(house.actor, waybill.id).state is WaybillState.CANCELLED
    assert mock.live(request.orders[0]) == []


def test_cancel_stopped_after_its_intent(house: House, mock: MockCarrier, monkeypatch: pytest.MonkeyPatch):
    """W5: a process that died right after the intent to cancel is finished by settle."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    with monkeypatch.context() as stopped:
        stopped.setattr(house.jobs, "block", _die)
        with pytest.raises(_Died):
            house.waybills.cancel(house.actor, waybill.id)
    house.later()
    assert house.waybills.settle() == 1
    assert house.waybills.get(house.actor, waybill.id).state is WaybillState.CANCELLED


def test_cancel_picked_up(house: House, mock: MockCarrier):
    """W5: a number that was handed over can't be cancelled; it lives on as handed over."""
    waybill = house.waybills.issue(house.actor, order(), "k1")
    network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET)
    network._call(
        f"shop-{house.actor.store_id}",
        "mock.waybill.pick_up",
        {"waybill_code": waybill.number, "wp_code": "ZTO"},
        "mock_waybill_pick_up_response",
    )
    with pytest.raises(Refused) as caught:
        house.waybills.cancel(house.actor, waybill.id)
    assert caught.value.code == "waybill.picked_up"
    assert house.waybills.get(house.actor, waybill.id).state is WaybillState.HANDED_OVER


def test_cancel_unknown(house: House, mock: MockCarrier):
    """W2, W5: cancelling a waybill whose number isn't known first finds the number, then gives it back."""
    request = order()
    mock.control(drop_answers=1, only="pdd.waybill.get")
    with pytest.raises(Unavailable) as caught:
        house.waybills.issue(house.actor, request, "k1")
    assert house.waybills.cancel(house.actor, caught.value.facts["waybill_id"]).state == "cancelled"
    assert mock.live(request.orders[0]) == []


# --- the adapter ----------------------------------------------------------------------------------------------


def test_network_refuses_connection():
    """Nothing left this machine: the adapter knows that the request didn't happen."""
    network = PlatformNetwork("http://127.0.0.1:9/api/router", "a", "b", timeout_s=1)
    with pytest.raises(Unavailable) as caught:
        network.carriers("shop")
    assert (caught.value.may_have_happened, caught.value.code) == (False, "network.unreachable")


@pytest.mark.parametrize("fault", [{"drop_answers": 1}, {"fail_next": 1}, {"latency_ms": 1500}])
def test_network_silent(mock: MockCarrier, fault: dict[str, int]):
    """A lost, late or broken answer may have happened."""
    network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=0.5)
    mock.control(only="mock.carriers", **fault)
    with pytest.raises(Unavailable) as caught:
        network.carriers("shop")
    assert caught.value.may_have_happened is True


@pytest.mark.parametrize(("secret", "code"), [("wrong", "network.20004"), (CLIENT_SECRET, None)])
def test_signature(mock: MockCarrier, secret: str, code: str | None):
    """The network checks our signature, so a wrong secret is refused by its number."""
    network = PlatformNetwork(mock.url, CLIENT_ID, secret, timeout_s=2)
    if code is None:
        assert network.carriers("shop")
        return
    with pytest.raises(Refused) as caught:
        network.carriers("shop")
    assert caught.value.code == code


def test_refusals_quote_nothing(house: House, mock: MockCarrier):
    """Errors of the network name its field or number, never what was sent."""
    request = order(
        channel="OTHERS", items=(Item("杯" * 200, 1),), recipient=replace(RECIPIENT, province="不存在省")
    )
    house.waybills.issue(house.actor, request, "k1")
    mock.control(error=50002, only="pdd.waybill.get")
    with pytest.raises(Refused) as caught:
        house.waybills.issue(house.actor, order(), "k2")
    said = f"{caught.value} {caught.value.facts} {caught.value.code}"
    assert RECIPIENT.name not in said and RECIPIENT.phone not in said


def test_batch_of_parcels(house: House, mock: MockCarrier):
    """W3: one call takes several parcels, and one bad parcel doesn't block the others."""
    from labelsvc.waybills.carriers import GetRequest, Given, ParcelRequest

    network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=3)
    token = f"shop-{house.actor.store_id}"

    def parcel(n: int, name: str = "杯子") -> ParcelRequest:
        return ParcelRequest(f"B{n}", (f"batch-{n}",), "OTHERS", RECIPIENT, (Item(name, 1),), 0)

    mark = mock.mark()
    good = network.get(token, GetRequest("ZTO", ORIGIN, (parcel(1), parcel(2))))
    assert len({one.number for one in good}) == 2
    assert len(mock.log(mark)) == 1
    mixed = network.get(token, GetRequest("ZTO", ORIGIN, (parcel(3), parcel(4, "x" * 201), parcel(5))))
    assert [type(one) for one in mixed] == [Given, Refused, Given]
