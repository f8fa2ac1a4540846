"""Many parcels over the API: batches from JSON and files, bulk calls, sets and hand-over, each with a result per item."""

from __future__ import annotations

import io
import zipfile

import pytest
import xlsxwriter
from support.programs import mock_carrier
from support.web import RECIPIENT, SENDER, House, assert_problem, build, fields

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Role
from labelsvc.waybills import template_csv

HEADINGS = "订单号,收件人,收件人手机,省,市,区,详细地址,商品,数量"
ROW = "{},欧阳春晓,13912345678,浙江省,杭州市,西湖区,文三路 478 号,龙井茶,2"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An app on real rooms, with the mock carrier network across the street."""
    place = tmp_path_factory.mktemp("batches")
    with mock_carrier(place) as mock:
        yield House(
            build(
                place, network_url=mock.url, network_client_id=CLIENT_ID, network_client_secret=CLIENT_SECRET
            )
        )


@pytest.fixture(scope="module")
def owner(house):
    """A merchant's owner with an open ZTO service."""
    caller = house.caller("云上小店")
    house.rooms.subscriptions.connect(Actor.operator(caller.store.id), "batches")
    address = caller.post("/addresses", {"party": SENDER}).json
    point = caller.get(f"/network-points?carrier=ZTO&address={address['id']}").json["items"][0]
    application = {
        "carrier": "ZTO",
        "address_id": address["id"],
        "branch_code": point["code"],
        "contact_name": "王经理",
        "contact_phone": "13900001111",
        "agreement_version": "1",
        "accepted": True,
    }
    assert caller.post("/subscriptions", application).json["state"] == "open"
    return caller


def _parcel(order, **changes):
    return {
        "carrier": "ZTO",
        "orders": [order],
        "recipient": RECIPIENT,
        "shown_sender": SENDER,
        "items": [{"name": "茶", "count": 1}],
        **changes,
    }


def _send(caller, content, name="parcels.csv", key=None, **form):
    headers = {"Host": "localhost", "Authorization": f"Bearer {caller.token}"}
    if key:
        headers["Idempotency-Key"] = key
    data = {**form, **({} if content is None else {"file": (io.BytesIO(content), name)})}
    return caller.client.post(
        "/api/v1/batches/files", data=data, headers=headers, content_type="multipart/form-data"
    )


def _work(house):
    """What the daemon's thread does."""
    while house.rooms.batches.work():
        pass


def _file(*orders):
    return "\r\n".join([HEADINGS, *(ROW.format(order) for order in orders)]).encode()


def test_a_batch_is_accepted_at_once_and_worked_off(house, owner):
    """W3: 202 before any number; then each parcel has its number, page by page in the order of the call."""
    body = {"requests": [_parcel(f"B-{at}") for at in range(5)]}
    filed = owner.post("/batches", body, key="batch-1")
    assert filed.status_code == 202
    assert {"state": "open", "total": 5, "open": 5, "issued": 0, "refused": 0}.items() <= filed.json.items()
    assert owner.post("/batches", body, key="batch-1").json["id"] == filed.json["id"]
    _work(house)
    done = owner.get(f"/batches/{filed.json['id']}").json
    assert (done["state"], done["issued"], done["open"]) == ("done", 5, 0)
    found, after = [], 0
    while after is not None:
        page = owner.get(f"/batches/{filed.json['id']}/results?after={after}&limit=2").json
        found += page["items"]
        after = page["next"]
    assert [(one["row"], one["order_number"], one["state"]) for one in found] == [
        (at + 1, f"B-{at}", "issued") for at in range(5)
    ]
    for one in found:
        assert owner.get(f"/waybills/{one['number']}").json["id"] == one["waybill_id"]
        assert one["problem"] is None
    assert owner.get("/batches").json["items"][0]["id"] == filed.json["id"]


def test_another_batch_under_the_same_key_is_refused(owner):
    """A key means one batch."""
    owner.post("/batches", {"requests": [_parcel("K-1")]}, key="batch-key")
    again = owner.post("/batches", {"requests": [_parcel("K-2")]}, key="batch-key")
    assert_problem(again, 409, "key.reused")


def test_one_parcel_that_the_rules_refuse_does_not_stop_the_others(house, owner):
    """W3, E8: its result has the code, the others have numbers."""
    far = {"province": "浙江省", "city": "杭州市", "district": "西湖区"}
    body = {"requests": [_parcel("R-1"), _parcel("R-2", origin=far), _parcel("R-3")]}
    batch = owner.post("/batches", body, key="batch-refused").json
    _work(house)
    items = owner.get(f"/batches/{batch['id']}/results").json["items"]
    assert [one["state"] for one in items] == ["issued", "refused", "issued"]
    assert items[1]["problem"]["code"] == "origin.mismatch" and items[1]["number"] is None


def test_batches_of_another_store_are_not_there(house, owner):
    """Tenancy: 404 for the batch and for its results."""
    batch = owner.post("/batches", {"requests": [_parcel("T-1")]}, key="batch-tenant").json
    stranger = house.caller("别家小店")
    assert_problem(stranger.get(f"/batches/{batch['id']}"), 404, "batch.not_found")
    assert_problem(stranger.get(f"/batches/{batch['id']}/results"), 404, "batch.not_found")


def test_a_file_is_tried_dry_and_then_filed(house, owner):
    """D19: a dry run tells and stores nothing; the same file is the same batch."""
    content = _file("F-1", "F-2")
    dry = _send(owner, content, carrier="ZTO", dry_run="true")
    assert (dry.status_code, dry.json["batch"]) == (202, None)
    assert dry.json["dry_run"] == {"rows": 2, "parcels": 2, "refused": []}
    filed = _send(owner, content, carrier="ZTO")
    assert filed.json["batch"]["total"] == 2 and filed.json["batch"]["name"] == "parcels.csv"
    assert _send(owner, content, carrier="ZTO").json["batch"]["id"] == filed.json["batch"]["id"]
    other = _send(owner, content, carrier="ZTO", key="another")
    assert other.json["batch"]["id"] != filed.json["batch"]["id"]
    _work(house)
    items = owner.get(f"/batches/{filed.json['batch']['id']}/results").json["items"]
    assert [one["file_row"] for one in items] == [2, 3]


def test_a_gb18030_file_and_a_workbook_say_the_same(owner):
    """D19: whatever program wrote the file."""
    assert _send(owner, _file("G-1").decode().encode("gb18030"), carrier="ZTO").json["batch"]["total"] == 1
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for at, line in enumerate(_file("X-1", "X-2").decode().split("\r\n")):
            for column, cell in enumerate(line.split(",")):
                sheet.write_string(at, column, cell)
    assert _send(owner, file.getvalue(), "parcels.xlsx", carrier="ZTO").json["batch"]["total"] == 2


def test_wrong_rows_are_named_by_row_and_column(owner):
    """D19: nothing of a file with a wrong row is filed; the value isn't repeated."""
    content = _file("W-1", "2.4E+14").replace(b"13912345678", b"secret-phone", 1)
    answer = _send(owner, content, carrier="ZTO")
    assert_problem(answer, 422, "batch.rows")
    assert {"rows[2].recipient_phone", "rows[3].order_number"} <= fields(answer)
    assert "secret-phone" not in answer.get_data(as_text=True)
    dry = _send(owner, content, carrier="ZTO", dry_run="true").json["dry_run"]
    assert [row["row"] for row in dry["refused"]] == [2, 3]


def _bomb():
    """A small workbook whose sheet unpacks to 100 MiB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("xl/worksheets/sheet1.xml", b"0" * (100 * 1024 * 1024))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"", 422, "file"),
        (None, 422, "file"),
        (b"\x00\x01\x02", 422, None),
        (b"\xff\xff\xfe\x80", 422, "file"),
        (b"PK\x03\x04 no workbook", 422, "file"),
        (b"a,b,c\r\n1,2,3", 422, "columns.order_number"),
        (b'"never closed\r\n' * 3, 422, None),
        (b"x" * (8 * 1024 * 1024 + 1), 422, "file"),
        (b"x" * (9 * 1024 * 1024 + 1), 413, None),
        (_file(*(f"M-{at}" for at in range(501))), 422, "requests"),
        (_file(*("L" * 70,)), 422, "rows[2].order_number"),
        (_file("C\x1b-1"), 422, "rows[2].order_number"),
    ],
    ids=["empty", "none", "binary", "no-text", "no-zip", "columns", "quotes", "large", "huge", "too-many", "long", "control"],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_told(owner, content, status, field):
    """Every broken file is a problem that says what is wrong with it."""
    answer = _send(owner, content, carrier="ZTO")
    assert_problem(answer, status)
    if field:
        assert field in fields(answer), answer.json


def test_a_workbook_that_unpacks_to_too_much_is_refused(owner):
    """A zip bomb isn't unpacked."""
    answer = _send(owner, _bomb(), "bomb.xlsx", carrier="ZTO")
    assert_problem(answer, 422, "file.size")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"carrier": "Z" * 21}, "carrier"),
        ({"carrier": "Z\x00"}, "carrier"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_wrong_field_of_the_form_is_named(owner, form, field):
    """Forms are as strict as bodies."""
    answer = _send(owner, _file("Q-1"), **form)
    assert_problem(answer, 422)
    assert field in fields(answer)


def test_a_file_goes_as_a_form_only(owner):
    """JSON where a form is wanted is 415; so is a form where JSON is."""
    assert_problem(owner.post("/batches/files", {"file": "x"}), 415, "media_type.refused")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(owner.post("/batches", b"--x--", key="k", headers=headers), 415, "media_type.refused")


def test_the_templates_are_files_to_fill_in(owner):
    """As CSV with a mark that spreadsheets understand, and as a workbook."""
    csv = owner.get("/batches/template.csv")
    assert (csv.mimetype, csv.data) == ("text/csv", template_csv())
    workbook = owner.get("/batches/template.xlsx")
    assert zipfile.is_zipfile(io.BytesIO(workbook.data))
    assert "attachment" in workbook.headers["Content-Disposition"]


def test_a_bulk_call_has_a_result_for_each_parcel(owner):
    """W3, A3: one bad order never blocks the others, and the order is kept."""
    bad = {**RECIPIENT, "phone": "1"}
    body = {
        "requests": [
            _parcel("U-1", key="u-1"),
            _parcel("U-2", key="u-2", recipient=bad),
            _parcel("U-3", key=""),
            _parcel("U-4", key="u-4", carrier="NOBODY"),
            _parcel("U-5", key="u-5"),
        ]
    }
    found = owner.post("/waybills/bulk", body)
    assert found.status_code == 200, found.json
    results = found.json["results"]
    assert [bool(one["waybill"]) for one in results] == [True, False, False, False, True]
    assert results[1]["problem"]["errors"][0]["field"] == "recipient.phone"
    assert results[2]["problem"]["errors"][0]["field"] == "key"
    assert results[3]["problem"]["code"]
    again = owner.post("/waybills/bulk", body).json["results"]
    assert [one["waybill"] and one["waybill"]["number"] for one in again] == [
        one["waybill"] and one["waybill"]["number"] for one in results
    ]


def test_a_set_has_one_parent_number(owner):
    """W7: three pieces of one order; the same key gives the same set."""
    body = _parcel("S-1", pieces=3)
    results = owner.post("/waybills/sets", body, key="set-1").json["results"]
    found = [one["waybill"] for one in results]
    assert [(one["piece"], one["pieces"]) for one in found] == [(1, 3), (2, 3), (3, 3)]
    assert len({one["number"] for one in found}) == 3
    assert len({one["parent_number"] for one in found}) == 1 and found[0]["parent_number"]
    again = owner.post("/waybills/sets", body, key="set-1").json["results"]
    assert [one["waybill"]["number"] for one in again] == [one["number"] for one in found]


def test_a_hand_over_says_what_becomes_of_each_parcel(owner):
    """W5: handed over, a second time refused, an unknown one told; afterwards it can't be cancelled."""
    one, two = (owner.post("/waybills", _parcel(f"H-{at}"), key=f"h-{at}").json for at in (1, 2))
    results = owner.post("/waybills/hand-over", {"waybills": [one["number"], "SF0000000", two["id"]]}).json
    states = [found["waybill"] and found["waybill"]["state"] for found in results["results"]]
    assert states == ["handed_over", None, "handed_over"]
    assert results["results"][0]["waybill"]["handed_over_at"]
    assert results["results"][1]["problem"]["code"] == "waybill.not_found"
    again = owner.post("/waybills/hand-over", {"waybills": [one["number"]]}).json["results"][0]
    assert again["problem"]["code"] == "waybill.handed_over" and again["problem"]["facts"]["handed_over_at"]
    assert_problem(owner.post(f"/waybills/{one['id']}/cancel", {}), {409, 422})


def test_an_update_makes_a_new_label(owner):
    """W6: the revision counts, the old label that may be on paper is listed until it is destroyed."""
    waybill = owner.post("/waybills", _parcel("P-1"), key="p-1").json
    changed = {"recipient": {**RECIPIENT, "detail": "文二路 1 号"}, "weight_g": 700}
    for _ in range(2):
        updated = owner.post(f"/waybills/{waybill['id']}/update", changed, key="p-update")
        assert updated.status_code == 200, updated.json
        assert (updated.json["revision"], updated.json["weight_g"]) == (1, 700)
    assert_problem(owner.post(f"/waybills/{waybill['id']}/update", {}, key="p-empty"), 422, "update.empty")


def test_a_void_label_is_listed_until_it_is_destroyed(house, owner):
    """W6: a label printed before the update."""
    house.rooms.printers.browser(Actor.operator(owner.store.id))
    waybill = owner.post("/waybills", _parcel("P-2"), key="p-2").json
    label = owner.post(f"/waybills/{waybill['id']}/pdf", {}, key="p-2-pdf").json["label"]
    assert owner.post(f"/labels/{label['id']}/pdf").status_code == 200
    while house.rooms.waybills.follow_printing():
        pass
    owner.post(f"/waybills/{waybill['id']}/update", {"weight_g": 5}, key="p-2-update")
    [void] = [
        one for one in owner.get("/waybills/void-labels").json["items"] if one["label_id"] == label["id"]
    ]
    assert (void["waybill_id"], void["number"], void["revision"]) == (waybill["id"], waybill["number"], 0)
    for _ in range(2):
        done = owner.post(f"/waybills/{waybill['id']}/destroyed", {"revision": void["revision"]})
        assert done.status_code == 204
    assert label["id"] not in [one["label_id"] for one in owner.get("/waybills/void-labels").json["items"]]
    assert_problem(owner.post(f"/waybills/{waybill['id']}/destroyed", {"revision": 7}), 404, "label.not_void")


def test_a_held_waybill_is_not_printed_until_it_is_released(owner):
    """P10."""
    waybill = owner.post("/waybills", _parcel("O-1"), key="o-1").json
    held = owner.post(f"/waybills/{waybill['id']}/hold", {"reason": "地址待确认"})
    assert held.json["held_reason"] == "地址待确认"
    assert_problem(
        owner.post(f"/waybills/{waybill['id']}/print", {"printer": "browser"}, key="o-print"),
        422,
        "waybill.held",
    )
    assert owner.post(f"/waybills/{waybill['id']}/release").json["held_reason"] == ""


def test_reconciling_finds_nothing_where_all_is_well(house, owner):
    """Each number is asked about; the points' totals are equal."""
    _work(house)
    owner.post("/waybills", _parcel("N-1"), key="n-1")
    found = owner.post("/reconciliations", {"since": "2020-01-01T00:00:00Z"})
    assert found.status_code == 200, found.json
    assert found.json["asked"] > 0 and found.json["unanswered"] == 0 and found.json["differences"] == []
    assert found.json["points"][0]["carrier"] == "ZTO"
    assert owner.post("/reconciliations", {}).json["asked"] == found.json["asked"]
    assert owner.post("/reconciliations", {"since": "2100-01-01T00:00:00+08:00"}).json["asked"] == 0
    assert owner.post("/reconciliations", {"until": "2020-01-01T00:00:00+08:00"}).json["asked"] == 0


def test_reconciling_goes_page_by_page(house, owner):
    """W2: every waybill of the period is asked about once, the totals come at the end; a lost number is adopted on its page."""
    for number in range(5):
        owner.post("/waybills", _parcel(f"NP-{number}"), key=f"np-{number}")
    everything = owner.post("/reconciliations", {"limit": 200}).json
    assert everything["next"] is None and everything["asked"] >= 5
    asked, after, sizes = 0, None, []
    while True:
        page = owner.post("/reconciliations", {"limit": 2, **({"after": after} if after else {})}).json
        asked += page["asked"]
        sizes.append(page["asked"])
        if page["next"] is None:
            break
        assert page["points"] is None and after != page["next"]
        after = page["next"]
    assert asked == everything["asked"] and max(sizes) == 2 and len(sizes) >= 3
    assert page["points"] == everything["points"] and page["points"][0]["ours_issued"] >= 5
    newest = owner.get("/waybills?limit=1").json["items"][0]
    assert owner.post("/reconciliations", {"after": newest["id"]}).json["asked"] == 0
    period = {"since": newest["created_at"], "until": "2100-01-01T00:00:00Z"}
    assert owner.post("/reconciliations", period).json["asked"] == 1
    clerk_of_another = house.caller("别家小店")
    assert clerk_of_another.post("/reconciliations", {}).json["asked"] == 0
    auditor = house.caller("云上小店", role=Role.AUDITOR)
    assert auditor.post("/reconciliations", {"limit": 1}).json["asked"] == 1
    assert_problem(auditor.post("/reconciliations", {"limit": 1, "fix": True}), 403, "forbidden")
    for wrong in ({"limit": 0}, {"limit": 201}, {"after": "x"}, {"until": "2026-11-24"}):
        assert_problem(owner.post("/reconciliations", wrong), 422, "invalid")
    for edge in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert fields(owner.post("/reconciliations", {"since": edge})) == {"since"}


def test_a_number_from_elsewhere_is_checked(owner):
    """W9: tidied, of the chosen carrier or not, with proposals; a check digit is judged for S10 alone."""
    assert owner.get("/numbers/check?carrier=YTO&number=yt1234567890123").json == {
        "number": "YT1234567890123",
        "in_force": True,
    }
    wrong = owner.get("/numbers/check?carrier=ZTO&number=YT1234567890123")
    assert assert_problem(wrong, 422, "number.format")["could_be"][0] == "YTO"
    assert_problem(owner.get("/numbers/check?carrier=EMS&number=RR123456789CN"), 422, "number.check_digit")
    assert owner.get("/numbers/guess?number=SF1234567890123").json["items"][0] == "SF"


def test_who_may_not_issue_may_not_in_bulk(house, owner):
    """R1: an auditor reads results and asks for nothing."""
    auditor = house.caller("云上小店", role=Role.AUDITOR)
    assert_problem(auditor.post("/batches", {"requests": [_parcel("A-1")]}, key="a"), 403, "forbidden")
    assert_problem(auditor.post("/waybills/bulk", {"requests": [_parcel("A-1", key="a")]}), 403, "forbidden")
    assert_problem(_send(auditor, _file("A-1"), carrier="ZTO"), 403, "forbidden")
    assert_problem(auditor.post("/waybills/hand-over", {"waybills": ["ZT00000001"]}), 403, "forbidden")
    assert auditor.get("/batches").status_code == 200
