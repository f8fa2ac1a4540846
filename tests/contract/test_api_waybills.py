"""The API from the sender address to the label: addresses, subscriptions, orders, waybills, on the real mock network."""

from __future__ import annotations

import re

import pypdfium2
import pytest
from support.programs import mock_carrier
from support.web import RECIPIENT, SENDER, House, assert_problem, build, fields

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Role, StoreKind

ORDER = {
    "number": "A-1",
    "recipient": RECIPIENT,
    "shown_sender": SENDER,
    "lines": [{"sku": "t1", "name": "龙井茶", "quantity": 2, "spec": "250g", "price_fen": 1200}],
}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An app on real rooms, with the mock carrier network across the street."""
    place = tmp_path_factory.mktemp("api")
    with mock_carrier(place) as mock:
        yield House(
            build(
                place,
                network_url=mock.url,
                network_client_id=CLIENT_ID,
                network_client_secret=CLIENT_SECRET,
            )
        )


@pytest.fixture(scope="module")
def owner(house):
    """A merchant's owner with a sender address and an open ZTO subscription, applied for over the API."""
    caller = house.caller("云上小店")
    house.rooms.subscriptions.connect(Actor.operator(caller.store.id), "api-tests")
    address = caller.post("/addresses", {"party": SENDER}).json
    points = caller.get(f"/network-points?carrier=ZTO&address={address['id']}").json["items"]
    applied = caller.post(
        "/subscriptions",
        {
            "carrier": "ZTO",
            "address_id": address["id"],
            "branch_code": points[0]["code"],
            "contact_name": "王经理",
            "contact_phone": "13900001111",
            "agreement_version": "2026-11",
            "accepted": True,
        },
    )
    assert applied.status_code == 201, applied.json
    assert applied.json["state"] == "open"
    house.rooms.printers.browser(Actor.operator(caller.store.id))
    return caller


def _issued(owner, number):
    created = owner.post("/orders", {**ORDER, "number": number})
    assert created.status_code == 201, created.json
    found = owner.post(f"/orders/{created.json['id']}/waybill", {"carrier": "ZTO"}, key=f"issue-{number}")
    assert found.status_code == 201, found.json
    return found.json


def test_addresses_are_kept_over_the_api(owner):
    """Create, list masked and clear, edit, make default, delete."""
    other = {**SENDER, "name": "仓库二", "district": "越秀区", "detail": "中山五路 1 号"}
    made = owner.post("/addresses", {"party": other}).json
    assert made["party"]["name"] == "仓**" and not made["is_default"]
    masked = {found["id"]: found for found in owner.get("/addresses").json["items"]}[made["id"]]
    assert masked["party"]["name"] == "仓**" and "1 号" not in masked["party"]["detail"]
    assert fields(owner.get("/addresses?clear=true")) == {"clear"}  # lists never are
    clear = owner.look(f"/addresses/{made['id']}").json
    assert clear["party"]["detail"] == "中山五路 1 号"
    edited = owner("PUT", f"/addresses/{made['id']}", {"party": {**other, "detail": "中山五路 2 号"}})
    assert edited.json["party"]["name"] == "仓**"
    assert owner.look(f"/addresses/{made['id']}").json["party"]["detail"] == "中山五路 2 号"
    assert owner.post(f"/addresses/{made['id']}/default").json["is_default"]
    first = next(found for found in owner.get("/addresses").json["items"] if found["in_use"])
    assert owner.post(f"/addresses/{first['id']}/default").json["is_default"]
    assert owner("DELETE", f"/addresses/{made['id']}").status_code == 204
    assert_problem(owner.get(f"/addresses/{made['id']}"), 404)


def test_an_address_in_use_is_not_deleted(owner):
    """E7."""
    used = next(found for found in owner.get("/addresses").json["items"] if found["in_use"])
    assert_problem(owner("DELETE", f"/addresses/{used['id']}"), 409)


def test_a_wrong_district_is_named_with_suggestions(owner):
    """A province, city and district that don't exist together."""
    answer = owner.post("/addresses", {"party": {**SENDER, "district": "天荷区"}})
    body = assert_problem(answer, 422, "division.unknown")
    assert fields(answer) == {"party.district"} or fields(answer) == {"district"}
    assert "天河区" in body["suggestions"]


def test_subscriptions_show_their_state_balance_and_history(owner):
    """Open, with numbers left; origin down to the district, contact not at all."""
    found = owner.get("/subscriptions?state=open").json["items"][0]
    assert found["district"] == "天河区" and "contact_name" not in found
    assert owner.get(f"/subscriptions/{found['id']}/balance").json["balance"] > 0
    assert owner.get(f"/subscriptions/{found['id']}/history").json["items"]
    assert owner.get("/carriers").json["items"]


def test_an_order_becomes_a_number_once(owner):
    """W1, W2: the same key, and the same parcel with another key, give the same number."""
    first = _issued(owner, "A-once")
    order = first["orders"] == ["A-once"] and owner.get("/orders?limit=100").json["items"]
    found = next(one for one in order if one["number"] == "A-once")
    assert found["waybill_id"] == first["id"]
    again = owner.post(f"/orders/{found['id']}/waybill", {"carrier": "ZTO"}, key="issue-A-once").json
    other_key = owner.post(f"/orders/{found['id']}/waybill", {"carrier": "ZTO"}, key="issue-other").json
    assert first["number"] == again["number"] == other_key["number"]
    assert first["state"] == "issued" and first["route_code"] and first["carrier"] == "ZTO"


def test_the_same_order_again_changes_nothing(owner):
    """D3: handed in twice, there once; other content is a conflict."""
    body = {**ORDER, "number": "A-twice"}
    first = owner.post("/orders", body).json
    assert owner.post("/orders", body).json["id"] == first["id"]


def test_recipients_are_masked_unless_asked_for_with_the_right(house, owner):
    """R1: clear data only by right and only when asked for."""
    waybill = _issued(owner, "A-masked")
    path = f"/waybills/{waybill['number']}"
    assert waybill["recipient"]["name"] == owner.get(path).json["recipient"]["name"] == "欧***"
    assert owner.look(path).json["recipient"]["name"] == RECIPIENT["name"]
    clerk = house.caller("云上小店", role=Role.CLERK)
    refused = clerk.look(path)
    assert_problem(refused, 403, "forbidden")
    assert fields(owner.get("/waybills?clear=true")) == fields(owner.get("/orders?clear=true")) == {"clear"}
    text = refused.get_data(as_text=True) + owner.get("/orders").get_data(as_text=True)
    assert (
        RECIPIENT["name"] not in text and RECIPIENT["phone"] not in text and RECIPIENT["detail"] not in text
    )


def test_a_factory_never_gets_a_merchants_recipients_clear(house, owner):
    """D7: even its owner, even asking for clear."""
    factory = house.caller("青山工厂", StoreKind.FACTORY)
    binding = owner.post("/bindings", {"factory_id": factory.store.id}).json
    assert factory.post(f"/bindings/{binding['id']}/accept").json["state"] == "accepted"
    order = owner.post("/orders", {**ORDER, "number": "A-factory"}).json
    assigned = owner.post("/orders/assign", {"order_ids": [order["id"]], "factory_id": factory.store.id})
    assert assigned.json["items"][0]["state"] == "assigned"
    assert_problem(factory.look(f"/orders/{order['id']}"), 422, "order.masked")
    for path in (f"/orders/{order['id']}", "/orders"):
        text = factory.get(path).get_data(as_text=True)
        assert "A-factory" in text
        assert (
            RECIPIENT["name"] not in text
            and RECIPIENT["phone"] not in text
            and RECIPIENT["detail"] not in text
        )


def test_another_stores_things_are_not_there(house, owner):
    """Tenancy: 404, not 403, for what belongs to somebody else."""
    waybill = _issued(owner, "A-tenant")
    stranger = house.caller("别家小店")
    for path in (
        f"/waybills/{waybill['id']}",
        f"/waybills/{waybill['number']}",
        f"/subscriptions/{waybill['subscription_id']}",
    ):
        assert_problem(stranger.get(path), 404)
    assert_problem(stranger.post(f"/waybills/{waybill['id']}/print", {"printer": "browser"}, key="x"), 404)
    assert_problem(stranger.post(f"/waybills/{waybill['id']}/cancel", {}), 404)


def test_a_waybill_is_printed_in_the_browser_once(owner):
    """P6, W8: a job, a one-time PDF of the label's size, then Gone; a second print needs a reason."""
    waybill = _issued(owner, "A-pdf")
    made = owner.post(f"/waybills/{waybill['id']}/pdf", {}, key="pdf-1")
    assert made.status_code == 201, made.json
    label = made.json["label"]
    assert made.json["page"] == f"/pdf/{label['id']}" and label["title"] == waybill["number"]
    opened = owner.post(f"/labels/{label['id']}/pdf")
    assert (opened.status_code, opened.mimetype, opened.headers["Cache-Control"]) == (
        200,
        "application/pdf",
        "no-store",
    )
    page = pypdfium2.PdfDocument(opened.data)[0]
    assert [round(points / 72 * 25.4) for points in page.get_size()] == [76, 130]
    assert_problem(owner.post(f"/labels/{label['id']}/pdf"), 410, "pdf.opened")
    assert owner.get(f"/labels/{label['id']}").json["state"] == "sent"
    refused = owner.post(f"/waybills/{waybill['id']}/pdf", {}, key="pdf-2")
    assert_problem(refused, {409, 422})
    again = owner.post(f"/waybills/{waybill['id']}/pdf", {"reason": "卡纸"}, key="pdf-3")
    assert again.status_code == 201, again.json
    assert again.json["label"]["reprint_count"] == 1


def test_a_second_print_without_a_reason_is_refused(owner):
    """W8: print once, then only reprint."""
    waybill = _issued(owner, "A-print")
    job = owner.post(f"/waybills/{waybill['number']}/print", {"printer": "browser"}, key="print-1")
    assert job.status_code == 201, job.json
    same = owner.post(f"/waybills/{waybill['number']}/print", {"printer": "browser"}, key="print-1")
    assert same.json["id"] == job.json["id"]
    assert_problem(owner.post(f"/waybills/{waybill['id']}/print", {"printer": "browser"}, key="print-2"), 409)


def test_a_waybill_is_cancelled_and_twice_is_harmless(owner):
    """W5: nothing on paper, so the number goes back at once."""
    waybill = _issued(owner, "A-cancel")
    for _ in range(2):
        assert owner.post(f"/waybills/{waybill['id']}/cancel", {}).json["state"] == "cancelled"
    assert [event["after"] for event in owner.get(f"/waybills/{waybill['id']}/history").json["items"]][
        -1
    ] == "cancelled"


def test_a_held_order_gets_no_number(owner):
    """P10: hold, try, release, try."""
    order = owner.post("/orders", {**ORDER, "number": "A-held"}).json
    assert (
        owner.post(f"/orders/{order['id']}/hold", {"reason": "地址待确认"}).json["held_reason"]
        == "地址待确认"
    )
    assert_problem(
        owner.post(f"/orders/{order['id']}/waybill", {"carrier": "ZTO"}, key="held-1"), 422, "order.held"
    )
    assert owner.post(f"/orders/{order['id']}/release").json["held_reason"] == ""
    assert owner.post(f"/orders/{order['id']}/waybill", {"carrier": "ZTO"}, key="held-2").status_code == 201


def test_an_origin_that_is_not_the_subscriptions_is_refused(owner):
    """E8: what the caller says to leave from must be where the service was opened."""
    body = {
        "carrier": "ZTO",
        "orders": ["A-origin"],
        "recipient": RECIPIENT,
        "shown_sender": SENDER,
        "items": [{"name": "茶", "count": 1}],
        "origin": {"province": "浙江省", "city": "杭州市", "district": "西湖区"},
    }
    assert_problem(owner.post("/waybills", body, key="origin-1"), 422, "origin.mismatch")
    body["origin"] = {"province": "广东省", "city": "广州市", "district": "天河区"}
    issued = owner.post("/waybills", body, key="origin-2")
    assert issued.status_code == 201, issued.json


def test_lists_are_paged(owner):
    """after and limit walk the whole list once."""
    for number in range(3):
        _issued(owner, f"A-page-{number}")
    whole = [found["id"] for found in owner.get("/waybills?limit=100").json["items"]]
    seen, after = [], None
    while True:
        page = owner.get("/waybills?limit=2" + (f"&after={after}" if after else "")).json
        seen += [found["id"] for found in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == whole and len(whole) >= 3


def test_a_role_without_the_right_is_refused(house, owner):
    """R1: an auditor reads and changes nothing."""
    auditor = house.caller("云上小店", role=Role.AUDITOR)
    assert auditor.get("/orders").status_code == 200
    assert_problem(auditor.post("/orders", {**ORDER, "number": "A-audit"}), 403, "forbidden")
    assert_problem(
        auditor.post("/printers", {"name": "x", "uri": "tcp://127.0.0.1:1", "profile": "virtual-zpl-203"}),
        403,
    )


def test_a_silent_network_is_a_503_that_says_to_ask_again(tmp_path):
    """The other side doesn't answer: a problem with Retry-After, not a fault of ours."""
    house = House(build(tmp_path))
    caller = house.caller("云上小店")
    house.rooms.subscriptions.connect(Actor.operator(caller.store.id), "x")
    answer = caller.get("/carriers")
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize("role", Role)
def test_pages_answer_every_role(house, owner, role):
    """Whatever a role may do: each page answers or says that the right is missing, and none breaks or shows a recipient."""
    waybill = _issued(owner, f"A-role-{role.value}")
    orders = owner.get("/orders?limit=100").json["items"]
    order = next(one for one in orders if one["waybill_id"] == waybill["id"])
    job = owner.post(
        f"/waybills/{waybill['id']}/print", {"printer": "browser"}, key=f"role-{role.value}"
    ).json
    printer = owner.get("/printers").json["items"][0]
    parcel = {
        "carrier": "ZTO",
        "orders": [f"A-batch-{role.value}"],
        "recipient": RECIPIENT,
        "shown_sender": SENDER,
        "items": [{"name": "龙井茶", "count": 2}],
    }
    batch = owner.post("/batches", {"requests": [parcel]}, key=f"b-{role.value}").json
    visitor = house.caller("云上小店", role=role)
    browser = house.app.test_client()
    headers = {"Host": "localhost", "Accept": "text/html"}
    assert browser.post("/sign-in", data={"secret": visitor.token}, headers=headers).status_code == 303
    answered = 0
    for path in (
        "/orders",
        f"/orders/{order['id']}",
        f"/orders/{order['id']}/live",
        "/jobs",
        "/jobs/live",
        f"/jobs/{job['id']}",
        f"/jobs/{job['id']}/live",
        f"/pdf/{job['labels'][0]['id']}",
        "/printers",
        "/printers/live",
        "/printers/new",
        f"/printers/{printer['id']}",
        "/addresses",
        "/addresses/new",
        "/subscriptions",
        f"/subscriptions/{waybill['subscription_id']}",
        "/subscriptions/new",
        "/waybills",
        f"/waybills/{waybill['id']}",
        f"/waybills/{waybill['id']}/live",
        f"/waybills/{waybill['id']}/update",
        "/batches",
        "/batches/live",
        "/batches/new",
        f"/batches/{batch['id']}",
        f"/batches/{batch['id']}/live",
        f"/batches/{batch['id']}/results.csv",
        "/store",
        "/store/audit",
    ):
        page = browser.get(path, headers=headers)
        assert page.status_code in (200, 403), (path, page.status_code)
        answered += page.status_code == 200
        text = page.get_data(as_text=True)
        assert RECIPIENT["name"] not in text and RECIPIENT["phone"] not in text, path
        if path == "/orders":
            menu = re.search(r"<nav.*?</nav>", text, re.DOTALL)[0]
    assert answered >= 5
    for link in re.findall(r'href="([^"]+)"', menu):
        assert browser.get(link, headers=headers).status_code == 200, link
