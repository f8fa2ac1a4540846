"""Numbers in bulk against the real mock carrier network: files in, a result for each parcel out, whatever stops in between."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import xlsxwriter
from support.house import ORIGIN, RECIPIENT, SHOWN, House, calm, house, order
from support.programs import MockCarrier, mock_carrier
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.errors import Forbidden, Invalid, KeyReused, NotFound
from labelsvc.security import Actor, Right, Sealer
from labelsvc.waybills import (
    Application,
    Batch,
    Batches,
    BatchState,
    DryRun,
    ItemState,
    template_csv,
    template_xlsx,
)
from labelsvc.waybills.batch_files import COLUMNS, read

GET = "pdd.waybill.get"
HEADER = ["订单号", "收件人", "手机", "省", "市", "区", "详细地址", "商品", "数量"]


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=100_000) as running:
        yield running


@pytest.fixture(name="home")
def _home(database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor) -> Iterator[House]:
    calm(mock)
    with house(database, sealer, mock, factory) as found:
        yield found
    calm(mock)


def row(at: int, **changes: str) -> list[str]:
    """A line of a file."""
    cells = dict(zip(HEADER, [f"F{at}", "欧阳春晓", "13812345678", "广东省", "广州市", "天河区", "天河北路 233 号", "青瓷杯", "2"], strict=True))  # fmt: skip
    return list({**cells, **changes}.values())


def as_csv(rows: list[list[str]], header: list[str] = HEADER, separator: str = ",") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows([header, *rows])
    return file.getvalue()


def as_xlsx(rows: list[list[object]], header: list[str] = HEADER) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for at, cells in enumerate([header, *rows]):
            for column, cell in enumerate(cells):
                sheet.write(at, column, cell)
    return file.getvalue()


def upload(home: House, content: bytes, **options):
    """A file with the carrier and sender that it has no columns for."""
    return home.batches.from_file(home.actor, "parcels.csv", content, carrier="ZTO", sender=SHOWN, **options)


# --- the worker ---


def test_batch(home: House, mock: MockCarrier):
    """W3: a batch answers before any number; worked off ten a call, each parcel has its result, one bad one blocks no other."""
    requests = [order() for _ in range(23)]
    requests[7] = replace(requests[7], carrier="YTO")  # not open
    mark = mock.mark()
    batch = home.batches.create(home.actor, requests, "b1")
    assert (batch.state, batch.total, batch.open) == (BatchState.OPEN, 23, 23)
    assert home.calls(mark) == []
    assert home.batches.work() == 23
    done = home.batches.get(home.actor, batch.id)
    assert (done.state, done.issued, done.refused, done.open) == (BatchState.DONE, 22, 1, 0)
    assert home.calls(mark) == [GET] * 3
    results = home.batches.results(home.actor, batch.id)
    assert [item.place for item in results] == list(range(1, 24))
    assert [(item.state, item.code) for item in results if item.state is not ItemState.ISSUED] == [
        (ItemState.REFUSED, "subscription.not_open")
    ]
    for item, request in zip(results, requests, strict=True):
        assert item.order_number == request.orders[0]
        if item.waybill_id is not None:
            assert home.waybills.get(home.actor, item.waybill_id).orders == request.orders
    assert [item.place for item in home.batches.results(home.actor, batch.id, after=20, limit=2)] == [21, 22]
    assert home.batches.work() == 0


def test_same_key(home: House):
    """W2: the same key with the same parcels is the same batch, with others a conflict; of eight at once one is made."""
    requests = [order() for _ in range(3)]
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: home.batches.create(home.actor, requests, "b1").id, range(8)))
    assert len(made) == 1
    home.batches.work()
    assert home.batches.create(home.actor, requests, "b1").issued == 3
    with pytest.raises(KeyReused):
        home.batches.create(home.actor, requests[:2], "b1")


def test_wrong_requests(home: House):
    """W3: a batch with a wrong request is refused whole, naming every wrong field without its value; so is one too large."""
    requests = [
        order(),
        order(recipient=replace(RECIPIENT, phone="never")),
        order(recipient=replace(RECIPIENT, name="")),
    ]
    with pytest.raises(Invalid) as caught:
        home.batches.create(home.actor, requests, "b1")
    assert [fault.field for fault in caught.value.errors] == [
        "requests[1].recipient.phone",
        "requests[2].recipient.name",
    ]
    assert "never" not in f"{caught.value} {caught.value.errors}"
    for wrong in ([], [order()] * 501):
        with pytest.raises(Invalid):
            home.batches.create(home.actor, wrong, "b2")


def test_silent_network(home: House, mock: MockCarrier):
    """W2, W3: parcels that a silent network left open stay open, are tried again after a pause, and get one number each."""
    requests = [order() for _ in range(12)]
    batch = home.batches.create(home.actor, requests, "b1")
    mock.control(script=[{"fault": "http_500", "only": GET}])
    home.batches.work()
    open_ = home.batches.get(home.actor, batch.id)
    assert (open_.state, open_.issued, open_.refused, open_.open) == (BatchState.OPEN, 0, 0, 12)
    assert home.batches.results(home.actor, batch.id)[0].code
    assert home.batches.work() == 0  # not yet due
    mock.control(script=[])
    worker = Batches(home.database, home.restarted())
    for _ in range(3):
        home.later(timedelta(minutes=11))
        worker.work()
    done = home.batches.get(home.actor, batch.id)
    assert (done.state, done.issued) == (BatchState.DONE, 12)
    assert all(len(mock.live(request.orders[0])) == 1 for request in requests)


def test_goes_on_after_a_crash(home: House, mock: MockCarrier, monkeypatch: pytest.MonkeyPatch):
    """W2: a worker that died in the middle, its results unrecorded, is followed by one that goes on, with no second number."""
    requests = [order() for _ in range(130)]
    batch = home.batches.create(home.actor, requests, "b1")
    issue, called = home.waybills.issue_many, []

    def die_at_the_second(actor, chunk):
        called.append(len(chunk))
        results = issue(actor, chunk)
        if len(called) == 2:
            raise _Died
        return results

    with monkeypatch.context() as stopped:
        stopped.setattr(home.waybills, "issue_many", die_at_the_second)
        with pytest.raises(_Died):
            home.batches.work()
    assert home.batches.get(home.actor, batch.id).issued == 100
    assert home.batches.work() == 0  # the dead one's lease still runs
    home.later()
    mark = mock.mark()
    assert Batches(home.database, home.waybills).work() == 30
    assert home.calls(mark, GET) == []
    assert home.batches.get(home.actor, batch.id).state is BatchState.DONE
    assert all(len(mock.live(request.orders[0])) == 1 for request in requests)
    assert called == [100, 30]


class _Died(BaseException):
    """Stands for the end of the process."""


def test_two_daemons(home: House, mock: MockCarrier):
    """W3: of four workers at once each batch has one, and no parcel is asked for twice."""
    batches = [home.batches.create(home.actor, [order() for _ in range(20)], f"b{n}") for n in range(3)]
    mark = mock.mark()
    workers = [Batches(home.database, home.waybills) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        results = sum(threads.map(lambda worker: worker.work(), workers))
    while more := home.batches.work():
        results += more
    assert results == 60
    assert {home.batches.get(home.actor, batch.id).issued for batch in batches} == {20}
    assert home.calls(mark) == [GET] * 6


def test_stop(home: House):
    """A worker that is told to stop ends after the parcels in hand, and another goes on at once."""
    batch = home.batches.create(home.actor, [order() for _ in range(110)], "b1")
    home.batches.stop()
    assert home.batches.work() == 100
    assert Batches(home.database, home.waybills).work() == 10
    assert home.batches.get(home.actor, batch.id).state is BatchState.DONE


def test_sealed_and_forgotten(home: House):
    """D7: what a batch waits for isn't readable in the database, is gone with its results, and expires with age."""
    home.batches.create(home.actor, [order(note="轻拿轻放给老王")], "b1")
    content = stored_bytes(home.database)
    for secret in (RECIPIENT.name, RECIPIENT.phone, "老王"):
        assert secret.encode() not in content
    home.batches.work()
    old = home.batches.create(home.actor, [order()], "b2")
    assert _requests(home) == 1
    home.later(timedelta(days=200))
    assert home.batches.erase(home.clock() - timedelta(days=180)) == 1
    assert _requests(home) == 0
    [item] = home.batches.results(home.actor, old.id)
    assert (item.state, item.code) == (ItemState.REFUSED, "batch.expired")


def _requests(home: House) -> int:
    from labelsvc.waybills.batch_store import waybill_batch_items as items

    with home.database.reading() as connection:
        return len([row for row in connection.execute(items.select()) if row.request is not None])


def test_rights_and_tenancy(home: House, merchant: Actor):
    """One store's batches aren't there for another, and asking for numbers needs the right."""
    batch = home.batches.create(home.actor, [order()], "b1")
    for look in (home.batches.get, home.batches.results):
        with pytest.raises(NotFound):
            look(merchant, batch.id)
    blind = replace(home.actor, rights=home.actor.rights - {Right.ISSUE_WAYBILLS})
    with pytest.raises(Forbidden):
        home.batches.create(blind, [order()], "b2")
    with pytest.raises(Forbidden):
        home.batches.from_file(blind, "x.csv", b"", carrier="ZTO", sender=SHOWN)


# --- files ---


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings(encoding: str, separator: str):
    """D19: UTF-8 with and without mark, GB18030 and UTF-16, with comma, semicolon or tab, say the same."""
    content = as_csv([row(1), row(2)], separator=separator).encode(encoding)
    found = read(content, carrier="ZTO", sender=SHOWN)
    assert [parcel.errors for parcel in found] == [(), ()]
    assert found[1].row == 3
    assert found[0].request.recipient.name == "欧阳春晓"
    assert found[0].request.items[0].name == "青瓷杯"


def test_english_columns():
    """D19: columns are known by English names too, in any order, whatever their case and marks; others are left alone."""
    header = ["Colour", "Address*", "Order No.", "Quantity", "Name", "Mobile", "Province", "City", "Item_Name", "Carrier"]  # fmt: skip
    cells = ["blue", "春熙路 8 号", "E1", "4", "张三", "13900000000", "四川省", "成都市", "杯", "中通快递"]
    [found] = read(as_csv([cells], header).encode(), sender=SHOWN)
    assert found.errors == ()
    assert (found.request.carrier, found.request.orders, found.request.items[0].count) == ("ZTO", ("E1",), 4)


def test_missing_columns():
    """D19: every missing column is named, in both languages."""
    with pytest.raises(Invalid) as caught:
        read("订单号,收件人,商品\r\nF1,张三,杯\r\n".encode())
    missing = {fault.field for fault in caught.value.errors}
    assert {"columns.recipient_phone", "columns.carrier", "columns.sender_name"} <= missing
    assert "recipient_phone (收件人)" not in caught.value.detail
    assert "carrier (快递公司)" in caught.value.detail


@pytest.mark.parametrize("spoiled", ["2.4E+14", "2.40101E+17", "2e+15"])
def test_spoiled_in_csv(spoiled: str):
    """D19: an order number that a spreadsheet spoiled is refused by its row; so is a phone."""
    content = as_csv([row(1), row(2, 订单号=spoiled), row(3, 手机="1.38E+10")])
    found = read(content.encode(), carrier="ZTO", sender=SHOWN)
    assert [(parcel.row, [fault.field for fault in parcel.errors]) for parcel in found] == [
        (2, []),
        (3, ["order_number"]),
        (4, ["recipient_phone"]),
    ]
    assert spoiled not in str(found[1].errors)


def test_xlsx():
    """D19: an XLSX says the same; numbers kept as numbers are read whole, and refused where digits are lost."""
    header = HEADER
    lost = row(3)
    lost[0] = 240101123456789012  # type: ignore[call-overload]
    kept = row(2)
    kept[0], kept[2], kept[8] = 24010112345678, 13812345678, 3  # type: ignore[call-overload]
    found = read(as_xlsx([row(1), kept, lost, row(4, 订单号="2.4E+14")], header), carrier="ZTO", sender=SHOWN)
    assert [parcel.row for parcel in found] == [2, 3, 4, 5]
    assert found[1].request.orders == ("24010112345678",)
    assert found[1].request.recipient.phone == "13812345678"
    assert found[1].request.items[0].count == 3
    for parcel in found[2:]:
        assert [fault.field for fault in parcel.errors] == ["order_number"]


def test_marks_that_keep_digits():
    """D19: ="123", a leading apostrophe and tabs, by which exports keep their numbers whole, aren't part of them."""
    rows = [row(1, 订单号='="240101123456789012"'), row(2, 订单号="'240101123456789013"), row(3, 订单号="\t240101123456789014")]  # fmt: skip
    found = read(as_csv(rows).encode(), carrier="ZTO", sender=SHOWN)
    assert [parcel.request.orders[0][-2:] for parcel in found] == ["12", "13", "14"]


def test_several_goods_and_merged_orders():
    """W1: rows of one order and package are one parcel with several goods; several orders in a cell are a merged parcel."""
    rows = [
        row(1),
        row(1, 商品="茶盘", 数量="1"),
        row(2, 订单号="M1、M2"),
        row(3),
        row(3, 收件人="别人"),
    ]
    found = read(as_csv(rows).encode(), carrier="ZTO", sender=SHOWN)
    assert [item.name for item in found[0].request.items] == ["青瓷杯", "茶盘"]
    assert found[0].rows == (2, 3)
    assert found[1].request.orders == ("M1", "M2")
    assert [fault.field for fault in found[2].errors] == ["order_number"]


def test_wrong_cells():
    """D19: each fault is named by its row and column, never by its value; a row without an order doesn't touch the others."""
    rows = [
        row(1, 手机="none", 数量="many"),
        row(2, 订单号=""),
        row(3, 订单号=""),
        row(4, 收件人="", 详细地址="路" * 121),
    ]
    found = read(as_csv(rows).encode(), carrier="ZTO", sender=SHOWN)
    assert [(parcel.row, {fault.field for fault in parcel.errors}) for parcel in found] == [
        (2, {"recipient_phone", "item_count"}),
        (3, {"order_number"}),
        (4, {"order_number"}),
        (5, {"recipient_name", "recipient_detail"}),
    ]
    assert "none" not in str(found) and "many" not in str(found)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file.unreadable"),
        (b"\r\n,,\r\n", "file.unreadable"),
        (b"PK\x03\x04nothing", "file.unreadable"),
        (b"\xff\xfe\x00", "file.unreadable"),
        (b"\x81\xff\xff", "file.unreadable"),
        (b"x" * (8 * 1024 * 1024 + 1), "file.size"),
        (as_csv([["x"]] * 5001).encode(), "file.size"),
    ],
    ids=["empty", "blank", "no zip", "half", "no text", "large", "long"],
)
def test_unreadable(content: bytes, code: str):
    """D19: what is no file of parcels, or too large, is said in one answer."""
    with pytest.raises(Invalid) as caught:
        read(content, carrier="ZTO", sender=SHOWN)
    assert caught.value.code == code


def test_zip_bomb():
    """A small file that unpacks to very much is refused before it is unpacked."""
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        for part in range(2):
            package.writestr(f"xl/{part}.xml", bytes(40 * 1024 * 1024))
    assert len(file.getvalue()) < 1024 * 1024
    with pytest.raises(Invalid) as caught:
        read(file.getvalue(), carrier="ZTO", sender=SHOWN)
    assert caught.value.code == "file.size"


@pytest.mark.parametrize("content", [template_csv(), template_xlsx()], ids=["csv", "xlsx"])
def test_template(content: bytes):
    """D19: the file to fill in has every column that is known, and no parcel."""
    assert read(content) == []
    if content.startswith(b"PK"):
        return
    assert content.startswith(b"\xef\xbb\xbf")
    assert len(content.decode("utf-8-sig").split(",")) == len(COLUMNS)


def test_dry_run(home: House, mock: MockCarrier):
    """D19: a dry run shows each row good or bad and stores nothing; a file with a bad row makes no batch, naming the rows."""
    content = as_csv([row(1), row(1, 商品="茶盘"), row(2, 手机="?"), row(3)]).encode()
    mark = mock.mark()
    shown = upload(home, content, dry_run=True)
    assert isinstance(shown, DryRun)
    assert (shown.rows, shown.parcels, [one.row for one in shown.refused]) == (4, 2, [4])
    with pytest.raises(Invalid) as caught:
        upload(home, content)
    assert [fault.field for fault in caught.value.errors] == ["rows[4].recipient_phone"]
    assert home.batches.work() == 0
    assert home.calls(mark) == []
    closed = home.batches.from_file(
        home.actor, "x.csv", as_csv([row(1)]).encode(), carrier="YTO", sender=SHOWN, dry_run=True
    )
    assert [fault.field for fault in closed.refused[0].errors] == ["carrier"]


def test_file_of_several_points(home: House):
    """E6: with two points of a carrier open a file says nothing of which: its rows are refused until one is named, and leave there."""
    second = home.addresses.create(home.actor, replace(ORIGIN, district="余杭区"))
    point = home.subscriptions.network_points(home.actor, "ZTO", second.id)[0]
    other = home.subscriptions.apply(
        home.actor, Application("ZTO", second.id, point.code, "王经理", "13900001111", "1", True, "")
    )
    content = as_csv([row(951), row(952)]).encode()
    shown = upload(home, content, dry_run=True)
    assert [(one.row, one.errors[0].field) for one in shown.refused] == [(2, "carrier"), (3, "carrier")]
    for id in (other.id, home.subscription_id):
        batch = upload(home, as_csv([row(f"951-{id}")]).encode(), subscription_id=id)
        home.batches.work()
        (result,) = home.batches.results(home.actor, batch.id)
        assert home.waybills.get(home.actor, result.number).subscription_id == id
        assert (result.waybill_state, result.revision) == ("issued", 0)
    with pytest.raises(Invalid) as caught:
        upload(home, content, subscription_id=home.actor.store_id)
    assert [fault.field for fault in caught.value.errors] == ["subscription_id"]


def test_file_to_numbers(home: House, mock: MockCarrier):
    """W3: a file becomes a batch, each parcel's result names its row, and the same file again is the same batch."""
    content = as_csv([row(901), row(902), row(902, 商品="茶盘"), row(903)]).encode("gb18030")
    batch = upload(home, content)
    assert isinstance(batch, Batch)
    assert (batch.total, batch.name) == (3, "parcels.csv")
    home.batches.work()
    results = home.batches.results(home.actor, batch.id)
    assert [(item.row, item.order_number, item.state.value) for item in results] == [
        (2, "F901", "issued"),
        (3, "F902", "issued"),
        (5, "F903", "issued"),
    ]
    again = upload(home, content)
    assert (again.id, again.issued) == (batch.id, 3)
    waybill = home.waybills.get(home.actor, results[1].waybill_id)
    assert [item.name for item in waybill.items] == ["青瓷杯", "茶盘"]
    assert mock.live("F902")[-1] == waybill.number
