"""What every carrier adapter promises: the platform's against the mock network's own process, the offline one on a real database."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest
import xlsxwriter
from support.programs import MockCarrier, call, mock_carrier

from labelsvc.db import Database
from labelsvc.errors import Invalid, Refused
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Accounts, Actor, Sealer, StoreKind
from labelsvc.waybills import (
    Item,
    NumberPool,
    OfflineNetwork,
    Party,
    PlatformNetwork,
    PoolNumber,
    read_numbers,
)
from labelsvc.waybills.carriers import (
    AlreadyIssued,
    CarrierNetwork,
    GetRequest,
    Given,
    Networks,
    NetworkSilent,
    ParcelRequest,
    PointApplication,
)

ORIGIN = Party("仓库发货部", "0571-88880000", "浙江省", "杭州市", "西湖区", "文三路 1 号")
ELSEWHERE = replace(ORIGIN, detail="文三路 2 号")
RECIPIENT = Party("欧阳春晓", "13812345678", "广东省", "广州市", "天河区", "天河北路 233 号")
OTHER = replace(RECIPIENT, name="司马懿", phone="13900001234")
_BALANCE = 12
_serial = count(1)


def zto(n: int) -> str:
    """A number in ZTO's format."""
    return f"73{n:012d}"


@dataclass(frozen=True)
class Desk:
    """A store at a network, with a point open for ORIGIN and twelve numbers."""

    net: CarrierNetwork
    token: str
    application: PointApplication
    application_id: str

    def get(
        self, *parcels: ParcelRequest, origin: Party = ORIGIN
    ) -> Sequence[Given | Refused | NetworkSilent]:
        return self.net.get(self.token, GetRequest("ZTO", origin, parcels))

    def give(self, parcel: ParcelRequest) -> Given:
        (found,) = self.get(parcel)
        assert isinstance(found, Given), found
        return found

    def find(self, parcel: ParcelRequest) -> list[Given]:
        found = self.net.find(self.token, parcel.orders, parcel.id)
        assert found is not None
        return found


def parcel(pieces: int = 1, orders: tuple[str, ...] = ()) -> ParcelRequest:
    """A parcel that nobody asked for yet."""
    n = next(_serial)
    return ParcelRequest(
        f"P{n}", orders or (f"order-{n}",), "OTHERS", RECIPIENT, (Item("杯子", 1),), 500, pieces
    )


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=_BALANCE) as running:
        yield running


@pytest.fixture(params=["platform", "offline-sqlite", "offline-postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, sealer: Sealer, mock: MockCarrier) -> Iterator[Desk]:
    """A new store's desk at each network; the platform's needs no database, so it isn't run twice."""
    if request.param == "platform":
        yield platform_desk(mock)
        return
    url = f"sqlite:///{tmp_path / 'labelsvc.db'}"
    if request.param == "offline-postgresql":
        url = request.getfixturevalue("postgresql_url")
    else:
        shutil.copy(request.getfixturevalue("migrated"), tmp_path / "labelsvc.db")
    database = Database(url, sealer=sealer)
    store = Accounts(database).create_store("青山工厂", StoreKind.FACTORY).id
    pool = NumberPool(database)
    pool.add(store, "ZTO", "B1", "西湖一部", [PoolNumber(zto(n)) for n in range(1, 1 + _BALANCE)])
    yield open_desk(OfflineNetwork(pool), store)
    database.close()


def platform_desk(mock: MockCarrier, timeout_s: float = 5) -> Desk:
    """A new shop's desk at the mock network."""
    return open_desk(
        PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=timeout_s), f"shop-{next(_serial)}"
    )


def open_desk(net: CarrierNetwork, token: str) -> Desk:
    carrier = next(one for one in net.carriers(token) if one.code == "ZTO")
    point = net.points(token, carrier, ORIGIN)[0]
    application = PointApplication("ZTO", point.code, ORIGIN, "王经理", "13900001111", "", "1")
    found = net.apply(token, application)
    assert found.state == "open"
    return Desk(net, token, application, found.application_id)


# --- every adapter ------------------------------------------------------------------------------------------------


def test_same_parcel_same_number(desk: Desk):
    """W2: a parcel asked for again, its orders in whatever order, has the number that it has."""
    asked = parcel(orders=("b", f"a{next(_serial)}"))
    first = desk.give(asked)
    again = desk.give(replace(asked, orders=asked.orders[::-1]))
    assert (again.number, again.data) == (first.number, first.data)
    assert [one.number for one in desk.find(asked)] == [first.number]


def test_asked_at_once(desk: Desk):
    """W2: eight askers of one parcel at once get one number."""
    asked = parcel()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: desk.give(asked).number, range(8)))
    assert len(set(found)) == 1
    assert [one.live for one in desk.find(asked)] == [True]


def test_other_parcels_other_numbers(desk: Desk):
    """W1: another package of the same order is another parcel."""
    one = parcel()
    assert desk.give(one).number != desk.give(replace(one, id=one.id + "b")).number


def test_result_per_item_in_order(desk: Desk):
    """W3: a parcel that can't have a number leaves its neighbours theirs, and the results stand in order."""
    taken, before, after = parcel(), parcel(), parcel()
    desk.give(taken)
    found = desk.get(before, replace(taken, recipient=OTHER), after)
    assert [type(one) for one in found] == [Given, Refused, Given]
    assert found[1].code == "parcel.differs"
    assert [one.parcel_id for one in found if isinstance(one, Given)] == [before.id, after.id]
    assert desk.find(before)[0].number == found[0].number


def test_out_of_balance(desk: Desk):
    """W4: when the numbers are used up the rest of a batch is refused clearly, and nothing is half done."""
    assert all(isinstance(one, Given) for one in desk.get(*(parcel() for _ in range(10))))
    last = [parcel() for _ in range(5)]
    found = desk.get(*last)
    assert [type(one) for one in found] == [Given, Given, Refused, Refused, Refused]
    assert {one.code for one in found if isinstance(one, Refused)} == {"balance.empty"}
    assert desk.find(last[4]) == []
    assert desk.give(last[0]).number == found[0].number  # a repetition costs nothing
    (account,) = desk.net.search(desk.token, "ZTO")
    assert (account.balance, account.allocated, account.cancelled) == (0, 12, 0)


def test_wrong_origin(desk: Desk):
    """W10: an origin that isn't the opened one, character for character, gets no number."""
    found = desk.get(parcel(), parcel(), origin=ELSEWHERE)
    assert [getattr(one, "code", "") for one in found] == ["sender.mismatch"] * 2


def test_cancel(desk: Desk):
    """W5: a cancelled number stays cancelled, twice is harmless, and its parcel gets another one if it is asked for."""
    asked = parcel()
    first = desk.give(asked)
    for _ in range(2):
        desk.net.cancel(desk.token, "ZTO", first.number)
    with pytest.raises(Refused) as caught:
        desk.net.query(desk.token, "ZTO", first.number)
    assert caught.value.code == "waybill.was_cancelled"
    second = desk.give(asked)
    assert second.number != first.number
    assert [(one.number, one.live) for one in desk.find(asked)] == [
        (first.number, False),
        (second.number, True),
    ]
    (account,) = desk.net.search(desk.token, "ZTO")
    assert (account.allocated, account.cancelled) == (2, 1)


def test_unknown_numbers(desk: Desk):
    """A number that nobody was given can't be cancelled, queried or updated."""
    for refused in (
        lambda: desk.net.cancel(desk.token, "ZTO", zto(999)),
        lambda: desk.net.query(desk.token, "ZTO", zto(999)),
        lambda: desk.net.update(desk.token, "ZTO", zto(999), parcel()),
    ):
        with pytest.raises(Refused) as caught:
            refused()
        assert caught.value.code == "waybill.unknown_number"


def test_query(desk: Desk):
    """A live number's label can be had again; it is what the number came with."""
    given = desk.give(parcel())
    found = desk.net.query(desk.token, "ZTO", given.number)
    assert (found.number, found.data, found.live) == (given.number, given.data, True)
    assert found.data["waybillCode"] == given.number
    assert isinstance(found.data["routingInfo"], dict)


def test_update(desk: Desk):
    """W6: a number can be made somebody else's; asked for again it is his, and no longer the first one's."""
    asked = parcel()
    given = desk.give(asked)
    changed = replace(asked, recipient=OTHER, items=(Item("碗", 3),), weight_g=900)
    for _ in range(2):
        found = desk.net.update(desk.token, "ZTO", given.number, changed)
        assert (found.parcel_id, found.number) == (asked.id, given.number)
    assert desk.give(changed).number == given.number
    (refused,) = desk.get(asked)
    assert isinstance(refused, Refused)
    assert refused.code == "parcel.differs"
    desk.net.cancel(desk.token, "ZTO", given.number)
    with pytest.raises(Refused) as caught:
        desk.net.update(desk.token, "ZTO", given.number, changed)
    assert caught.value.code == "waybill.was_cancelled"


def test_parent_and_children(desk: Desk):
    """W7: the pieces of one order have a number each and one parent between them, which is none of theirs."""
    order = (f"order-{next(_serial)}",)
    children = [parcel(3, order) for _ in range(3)]
    found = [*desk.get(*children[:2]), *desk.get(children[2])]
    assert all(isinstance(one, Given) for one in found)
    numbers = {one.number for one in found if isinstance(one, Given)}
    (parent,) = {one.parent_number for one in found if isinstance(one, Given)}
    assert len(numbers) == 3
    assert parent and parent not in numbers
    assert [one.parent_number for one in desk.find(children[1])] == [parent]
    assert desk.give(parcel()).parent_number == ""
    (account,) = desk.net.search(desk.token, "ZTO")
    assert account.allocated == 4  # the parent is nobody's parcel


def test_review_and_close(desk: Desk):
    """E1, E5: an application again is the same one; closed, twice if you like, it gives no more numbers."""
    assert desk.net.apply(desk.token, desk.application).application_id == desk.application_id
    assert desk.net.review(desk.token, desk.application_id, desk.application).state == "open"
    for _ in range(2):
        desk.net.close(desk.token, desk.application_id)
    assert desk.net.review(desk.token, desk.application_id, desk.application).state == "closed"
    (found,) = desk.get(parcel())
    assert isinstance(found, Refused)
    reopened = desk.net.apply(desk.token, desk.application)
    assert reopened.state == "open"
    assert reopened.application_id != desk.application_id
    assert isinstance(desk.get(parcel())[0], Given)


def test_search(desk: Desk):
    """W4: the points of one carrier, or of all, with what is left."""
    desk.give(parcel())
    (account,) = desk.net.search(desk.token)
    assert (account.carrier, account.branch_code) == ("ZTO", desk.application.branch_code)
    assert (account.balance, account.allocated, account.cancelled, account.recycled) == (11, 1, 0, 0)
    assert desk.net.search(desk.token, "YTO") == []


def test_no_traces_yet(desk: Desk):
    """W5: of a parcel that nobody scanned there are no traces."""
    assert desk.net.traces(desk.token, "ZTO", desk.give(parcel()).number) == []


def test_whole_batch_at_once(desk: Desk):
    """A batch of the network's size is taken, a larger one and an empty one are mistakes of the caller."""
    full = [parcel() for _ in range(desk.net.batch)]
    assert len(desk.get(*full)) == desk.net.batch
    for wrong in ([], [*full, parcel()]):
        with pytest.raises(ValueError, match="a call takes"):
            desk.get(*wrong)


def test_networks_by_name(desk: Desk):
    """A subscription's network is found by its name."""
    networks = Networks(platform=desk.net, offline=desk.net)
    assert networks.of("platform") is desk.net
    assert networks.of("offline") is desk.net
    with pytest.raises(Invalid):
        networks.of("carrier pigeon")


# --- the platform's alone -----------------------------------------------------------------------------------------


def test_repetitions_are_identical_and_nothing_else(mock: MockCarrier):
    """W2: the mock's own log: a get whose answer was lost was sent again with equal business parameters; a cancel wasn't."""
    desk = platform_desk(mock)
    mark = mock.mark()
    mock.control(drop_answers=1, only="pdd.waybill.get")
    given = desk.give(parcel())
    assert given.repeated
    mock.control(fail_next=1, only="pdd.waybill.cancel")
    with pytest.raises(NetworkSilent):
        desk.net.cancel(desk.token, "ZTO", given.number)
    log = mock.log(mark)
    assert [entry["type"] for entry in log] == ["pdd.waybill.get", "pdd.waybill.get", "pdd.waybill.cancel"]
    assert log[0]["digest"] == log[1]["digest"]
    assert log[0]["numbers"] == log[1]["numbers"] == [given.number]


def test_batches_in_flight_at_once(mock: MockCarrier):
    """W3: batches run side by side, and each parcel's result is its own."""
    desk = platform_desk(mock)
    batches = [[parcel() for _ in range(3)] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: desk.get(*batch), batches))
    for batch, results in zip(batches, found, strict=True):
        assert [one.parcel_id for one in results if isinstance(one, Given)] == [one.id for one in batch]
    assert len({one.number for results in found for one in results if isinstance(one, Given)}) == 12


# --- the offline one's alone --------------------------------------------------------------------------------------


@pytest.fixture
def offline(database: Database, factory: Actor) -> Desk:
    """Three numbers of which the file said more."""
    pool = NumberPool(database)
    file = (
        f"运单号,三段码,大头笔,集包地\n{zto(1)},830-120-00 012,粤-广州,广州集\n{zto(2)},,,\n{zto(3)},1,2,3\n"
    )
    added = pool.add(
        factory.store_id, "ZTO", "B1", "西湖一部", read_numbers("a.csv", file.encode("gb18030"), "ZTO")
    )
    assert (added.added, added.left) == (3, 3)
    return open_desk(OfflineNetwork(pool), factory.store_id)


def test_numbers_come_in_the_file_s_order(offline: Desk):
    """The carrier's order is kept, and its sorting words are on the label; where it gave none they are empty."""
    first, second = offline.give(parcel()), offline.give(parcel())
    assert (first.number, second.number) == (zto(1), zto(2))
    assert first.data["routingInfo"] == {
        "threeSegmentCode": "830-120-00 012",
        "bigShotName": "粤-广州",
        "consolidation": {"name": "广州集", "code": ""},
    }
    assert second.data["routingInfo"]["threeSegmentCode"] == ""


def test_cancelled_number_is_never_given_again(offline: Desk):
    """W5: the pool's cancelled numbers don't come back; used up is used up."""
    for n in (1, 2, 3):
        given = offline.give(parcel())
        assert given.number == zto(n)
        offline.net.cancel(offline.token, "ZTO", given.number)
    (found,) = offline.get(parcel())
    assert isinstance(found, Refused)
    assert found.code == "balance.empty"


def test_two_machines_draw_at_once(database: Database, factory: Actor, sealer: Sealer):
    """W2: machines that draw from one pool at the same time never give one number twice, nor one parcel two."""
    NumberPool(database).add(factory.store_id, "ZTO", "B1", "点", [PoolNumber(zto(n)) for n in range(60)])
    machines = [
        database,
        *(Database(database.url.render_as_string(hide_password=False), sealer=sealer) for _ in range(2)),
    ]
    desks = [open_desk(OfflineNetwork(NumberPool(one)), factory.store_id) for one in machines]
    shared, own = [parcel() for _ in range(6)], [[parcel() for _ in range(6)] for _ in machines]
    gate = threading.Barrier(len(desks))

    def draw(at: int) -> list[tuple[str, str]]:
        gate.wait()
        mixed = [*shared, *own[at]]
        found = [one for some in (mixed[at:], mixed[:at]) if some for one in desks[at].get(*some)]
        assert all(isinstance(one, Given) for one in found), found
        return [(one.parcel_id, one.number) for one in found if isinstance(one, Given)]

    with ThreadPoolExecutor(len(desks)) as pool:
        given = [pair for pairs in pool.map(draw, range(len(desks))) for pair in pairs]
    for one in machines[1:]:
        one.close()
    assert len(given) == 36
    assert len(set(given)) == 24  # six shared parcels, six of each machine's own: one number each
    assert len({number for _, number in given}) == 24


def test_pools_are_a_store_s_own(offline: Desk, accounts: Accounts):
    """Another store sees, cancels and draws nothing of this one's."""
    given = offline.give(parcel())
    stranger = accounts.create_store("别家", StoreKind.FACTORY).id
    net = offline.net
    assert (net.carriers(stranger), net.search(stranger)) == ([], [])
    for refused in (
        lambda: net.cancel(stranger, "ZTO", given.number),
        lambda: net.query(stranger, "ZTO", given.number),
        lambda: net.apply(stranger, offline.application),
    ):
        with pytest.raises(Refused):
            refused()
    (found,) = net.get(stranger, GetRequest("ZTO", ORIGIN, (parcel(),)))
    assert isinstance(found, Refused)
    net.close(stranger, offline.application_id)
    assert net.review(offline.token, offline.application_id, offline.application).state == "open"


def test_second_import_adds(database: Database, offline: Desk):
    """A further file adds its numbers behind the others'; a number that was ever in a pool is refused, with all of its file."""
    pool = NumberPool(database)
    assert pool.add(offline.token, "ZTO", "B1", "西湖一部", [PoolNumber(zto(7))]).left == 4
    with pytest.raises(Invalid) as caught:
        pool.add(offline.token, "ZTO", "B1", "西湖一部", [PoolNumber(zto(8)), PoolNumber(zto(2))])
    assert [(one.field, one.reason) for one in caught.value.errors] == [("number 2", "is known already")]
    (account,) = offline.net.search(offline.token)
    assert account.balance == 4


def test_two_points_of_a_carrier(database: Database, offline: Desk):
    """E6: each origin draws on the pool of its own point, and a parcel with a number of one gets none of the other."""
    NumberPool(database).add(offline.token, "ZTO", "B2", "余杭部", [PoolNumber(zto(50))])
    second = replace(offline.application, branch_code="B2", origin=ELSEWHERE)
    offline.net.apply(offline.token, second)
    asked = parcel()
    (found,) = offline.get(asked, origin=ELSEWHERE)
    assert isinstance(found, Given)
    assert found.number == zto(50)
    (refused,) = offline.get(asked)
    assert isinstance(refused, Refused)
    assert refused.code == "parcel.several_points"


def test_offline_needs_no_token(offline: Desk):
    """There is nobody to renew access with."""
    for refused in (offline.net.exchange, offline.net.refresh):
        with pytest.raises(Refused) as caught:
            refused("x")
        assert caught.value.code == "network.token"


def _xlsx(*lines: Sequence[object]) -> bytes:
    out = BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        for row, line in enumerate(lines):
            sheet.write_row(row, 0, line)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("n.txt", f"{zto(1)}\r\n\r\n  {zto(2)} \r\n".encode()),
        ("n.csv", f"\ufeff{zto(1)},A-1\n{zto(2)},\n".encode()),
        ("n.csv", f"备注;三段码;运单号\n;A-1;{zto(1)}\n;;{zto(2)}\n".encode("gb18030")),
        ("n.tsv", f"{zto(1)}\tA-1\n{zto(2)}\n".encode()),
        ("n.xlsx", _xlsx(["运单号", "三段码"], [zto(1), "A-1"], [], [int(zto(2)), None])),
    ],
)
def test_files_of_numbers(name: str, content: bytes):
    """A carrier's file is read in the forms that carriers use, with or without headings."""
    found = read_numbers(name, content, "ZTO")
    assert [one.number for one in found] == [zto(1), zto(2)]
    assert found[0].route_code == ("" if name == "n.txt" else "A-1")


def test_wrong_lines_are_named():
    """W9: each line that is no number of the carrier, or there twice, is named; none of the file is taken, none is quoted."""
    file = f"{zto(1)}\nYT1234567890123\n{zto(2)}\n{zto(1)}\nnonsense\n{zto(3)},{'长' * 61}\n"
    with pytest.raises(Invalid) as caught:
        read_numbers("n.csv", file.encode(), "ZTO")
    assert [one.field for one in caught.value.errors] == ["line 2", "line 4", "line 5", "line 6"]
    assert caught.value.errors[1].reason == "has the number of line 1"
    assert "nonsense" not in str([one.reason for one in caught.value.errors])


def test_s10_check_digit():
    """W9: where the format is S10 a wrong check digit is refused; other formats have no public rule, so none is refused."""
    assert read_numbers("n.txt", b"EB000717618HK\n9889510569807\n", "EMS")[0].number == "EB000717618HK"
    with pytest.raises(Invalid) as caught:
        read_numbers("n.txt", b"9889510569807\nEB000717619HK\n", "EMS")
    assert [(one.field, one.reason) for one in caught.value.errors] == [("line 2", "has a wrong check digit")]


@pytest.mark.parametrize(
    ("name", "content", "carrier", "field"),
    [
        ("n.csv", b"", "ZTO", "file"),
        ("n.csv", "运单号,三段码\n".encode(), "ZTO", "file"),
        ("n.csv", b"\xff\xfe\x00\x81\x00", "ZTO", "file"),
        ("n.xlsx", b"PK\x03\x04 not a workbook", "ZTO", "file"),
        ("n.xlsx", _xlsx([7.7e17]), "STO", "file"),
        ("n.csv", b"x" * (17 * 1024 * 1024), "ZTO", "file"),
        ("n.csv", b"1\n" * 200_001, "ZTO", "file"),
        ("n.csv", zto(1).encode(), "PIGEON", "carrier"),
    ],
)
def test_unusable_files(name: str, content: bytes, carrier: str, field: str):
    """An empty, broken, oversized file or an unknown carrier is refused as a whole."""
    with pytest.raises(Invalid) as caught:
        read_numbers(name, content, carrier)
    assert [one.field for one in caught.value.errors] == [field]


@pytest.fixture
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    mock.control(script=[])


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "drop", "times": 1},
        {"fault": "twice", "times": 1},
        {"fault": "never", "times": 1, "ms": 1500},
        {"fault": "late", "times": 1, "ms": 1500},
        {"fault": "http_500", "times": 2},
        {"fault": "http_503", "times": 1},
        {"fault": "error", "code": 52101, "times": 1},
        {"fault": "error", "code": 52102, "times": 1},
        {"fault": "broken_json", "times": 1},
        {"fault": "half_answer", "times": 1},
    ],
    ids=lambda rule: f"{rule['fault']}{rule.get('code', '')}",
)
def test_one_number_a_parcel_through_a_fault(mock: MockCarrier, _calm: None, rule: dict[str, object]):
    """W2: whatever becomes of one call, the adapter's identical repetition brings each parcel its one number."""
    desk = platform_desk(mock, timeout_s=1)
    asked = [parcel() for _ in range(3)]
    mock.control(script=[{"only": "pdd.waybill.get", **rule}])
    mark = mock.mark()
    found = desk.get(*asked)
    assert [type(one) for one in found] == [Given] * 3
    for one, given in zip(asked, found, strict=True):
        assert [(known.number, known.live) for known in desk.find(one)] == [(given.number, True)]
    gets = [entry for entry in mock.log(mark) if entry["type"] == "pdd.waybill.get"]
    assert len({entry["digest"] for entry in gets}) == 1
    assert len(gets) <= 3


def test_wrong_item_of_a_batch(mock: MockCarrier, _calm: None):
    """W3: one order that the network always refuses costs its batch one further call, and nobody else's number."""
    desk = platform_desk(mock)
    asked = [parcel() for _ in range(4)]
    mock.control(script=[{"fault": "wrong_item", "order": asked[1].orders[0]}])
    mark = mock.mark()
    found = desk.get(*asked)
    assert [type(one) for one in found] == [Given, Refused, Given, Given]
    assert len(mock.log(mark)) == 2


def test_segment_used_up(mock: MockCarrier, _calm: None):
    """W4: a carrier without numbers refuses each parcel by its own word, not as an empty balance."""
    desk = platform_desk(mock)
    mock.control(script=[{"fault": "used_up"}])
    assert {getattr(one, "code", "") for one in desk.get(parcel(), parcel())} == {"network.segment_used_up"}


def test_repeated_get_that_gets_a_second_number(mock: MockCarrier, _calm: None):
    """W2: where a repetition brings a further number the result says that it was repeated, and find names both."""
    desk = platform_desk(mock)
    mock.control(script=[{"fault": "drop", "only": "pdd.waybill.get", "times": 1}, {"fault": "repeat_new"}])
    asked = parcel()
    given = desk.give(asked)
    assert given.repeated
    assert len([one for one in desk.find(asked) if one.live]) == 2


def test_repeated_get_that_exists_already(mock: MockCarrier, _calm: None):
    """W2: where a repetition is refused because the number exists, that is the parcel's result, and find names it."""
    desk = platform_desk(mock)
    mock.control(
        script=[{"fault": "drop", "only": "pdd.waybill.get", "times": 1}, {"fault": "repeat_exists"}]
    )
    asked = [parcel(), parcel()]
    assert [type(one) for one in desk.get(*asked)] == [AlreadyIssued] * 2
    assert [len(desk.find(one)) for one in asked] == [1, 1]


def test_traces_of_a_parcel(mock: MockCarrier):
    """W5: what the courier scans is told in our words, in the order of the scans."""
    desk = platform_desk(mock)
    number = desk.give(parcel()).number
    net = desk.net
    assert isinstance(net, PlatformNetwork)
    for action in ("GOT", "TRANSIT", "SIGN"):
        net._call(
            desk.token,
            "mock.waybill.trace",
            {"waybill_code": number, "wp_code": "ZTO", "action": action},
            "mock_waybill_trace_response",
        )
    found = net.traces(desk.token, "ZTO", number)
    assert [one.action for one in found] == ["picked_up", "in_transit", "delivered"]
    assert abs((datetime.now(UTC) - found[0].at).total_seconds()) < 3600
    with pytest.raises(Refused) as caught:
        net.cancel(desk.token, "ZTO", number)
    assert caught.value.code == "waybill.picked_up"


def test_review_by_hand(mock: MockCarrier):
    """E1: under review until a person decides; the reason of a rejection comes with it, and a corrected one is new."""
    mock.control(review="by_hand")
    try:
        net = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=5)
        token = f"shop-{next(_serial)}"
        point = net.points(token, net.carriers(token)[0], ORIGIN)[0]
        application = PointApplication(point.carrier, point.code, ORIGIN, "王经理", "13900001111", "ACC", "1")
        applied = net.apply(token, application)
        assert applied.state == "under_review"
        assert net.review(token, applied.application_id, application) == applied
        decision = {"application_id": applied.application_id, "decision": "reject", "reason": "联系人不符"}
        call(f"{mock.base}/review", decision)
        found = net.review(token, applied.application_id, application)
        assert (found.state, found.reason) == ("rejected", "联系人不符")
        corrected = net.apply(token, replace(application, contact_name="李经理"))
        assert corrected.application_id != applied.application_id
        assert corrected.state == "under_review"
        net.close(token, corrected.application_id)
        assert net.review(token, corrected.application_id, application).state == "closed"
    finally:
        mock.control(review="at_once")


def test_tokens_of_a_strict_network(tmp_path: Path):
    """A code brings access, an unknown token is refused, and an expired one is renewed in the middle of a call."""
    with mock_carrier(tmp_path, tokens="strict") as mock:
        plain = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=5)
        with pytest.raises(Refused) as caught:
            plain.search("made up")
        assert caught.value.code == "network.token"
        mock.control(token_lifetime_s=0)
        stale = plain.exchange("shop:青山")
        mock.control(token_lifetime_s=600)
        asked: list[str] = []

        def renew(old: str) -> str:
            asked.append(old)
            return plain.refresh(stale.refresh_token).access_token

        net = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=5, refresh=renew)
        assert net.search(stale.access_token) == []
        assert asked == [stale.access_token]
        with pytest.raises(Refused):
            plain.refresh("made up")
