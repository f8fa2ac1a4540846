"""The mock carrier network, tried as a program from outside with a signing client of the test's own."""

import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from support.gateway import (
    DETAIL,
    MOBILE,
    NAME,
    ORIGIN,
    OTHER_ORIGIN,
    Network,
    get_request,
    numbers_of,
    package,
    party,
    sign,
)

PUBLIC_FORMATS = {
    "STO": r"(77|43)\d{12,15}",
    "YTO": r"YT\d{13}",
    "ZTO": r"7[3-68]\d{12}",
    "YUNDA": r"[34]\d{14}|5\d{12}",
    "JTSD": r"JT\d{13}",
    "SF": r"SF[0-9A-Z]\d{12}",
    "EMS": r"[981]\d{12}|P[A-Z]\d{11}",
    "JD": r"JD[A-Z0-9]{2}\d{11}",
    "DBKD": r"DPK\d{12}",
}


@pytest.fixture
def start(tmp_path):
    """Start networks on one books file; whatever still runs at the end is stopped."""
    running = []

    def start_one(*options, books=tmp_path / "books.sqlite"):
        running.append(Network(books, *options))
        return running[-1]

    yield start_one
    for network in running:
        network.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One network for tests that each use a shop of their own and leave its behaviour as it was."""
    network = Network(tmp_path_factory.mktemp("mock") / "books.sqlite", "--opening-balance", "50")
    yield network
    code, out, err = network.end()
    assert (code, out, err) == (0, "", "")


@pytest.fixture
def shop(request):
    return f"token-of-{request.node.name}"


@pytest.mark.parametrize("form", ["json", "form", "query and form"])
@pytest.mark.parametrize("path", ["/api/router", "/api/router/"])
def test_three_body_forms_and_the_trailing_slash_are_accepted(shared, form, path):
    """Clients of all three families reach the same call, with non-ASCII values and either spelling of the
    path.
    """
    parameters = shared.envelope("mock.network.points", {"wp_code": "ZTO", **_place(ORIGIN)})
    status, body = shared.post(parameters, path, form)
    assert status == 200
    assert body["mock_network_points_response"]["points"]


@pytest.mark.parametrize("kind", ["text/plain", "application/json;charset=UTF-8", ""])
def test_a_json_body_is_known_whatever_it_is_called(shared, kind):
    """Clients that name their JSON body otherwise, or not at all, are understood too; all in the query is enough as well."""
    parameters = shared.envelope("mock.carriers", {})
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=20)
    connection.request(
        "POST", "/api/router", json.dumps(parameters).encode(), {"Content-Type": kind} if kind else {}
    )
    assert "mock_carriers_response" in json.loads(connection.getresponse().read())
    connection.request("POST", "/api/router?" + urllib.parse.urlencode(parameters))
    assert "mock_carriers_response" in json.loads(connection.getresponse().read())
    connection.close()


def _place(address):
    return {name: address[name] for name in ("province", "city", "district")}


@pytest.mark.parametrize("left_out", [(), ("",), ("", "[]")])
def test_both_families_of_signatures_for_empty_values_hold(shared, left_out):
    """A client may sign empty values or leave them out."""
    parameters = shared.envelope("mock.carriers", {"note": "", "list": "[]"}, sign="")
    del parameters["sign"]
    parameters["sign"] = sign(parameters, left_out)
    assert "mock_carriers_response" in shared.post(parameters)[1]


def test_milliseconds_and_session_are_accepted(shared):
    """13-digit timestamps and the token under the name session are in use."""
    stamp = str(int(time.time() * 1000))
    parameters = shared.envelope("mock.carriers", {}, access_token=None, session="shop-1", timestamp=stamp)
    assert "mock_carriers_response" in shared.post(parameters)[1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sign": "0" * 32}, 20004),
        ({"client_id": "somebody"}, 10016),
        ({"timestamp": "1500000000"}, 10001),
        ({"timestamp": "soon"}, 10001),
        ({"timestamp": None}, 10001),
        ({"type": None}, 10001),
        ({"type": "pdd.waybill.print"}, 10017),
        ({"access_token": None}, 20032),
        ({"access_token": "EXPIRED"}, 10019),
        ({"data_type": "XML"}, 10001),
        ({"version": "V2"}, 10001),
    ],
)
def test_a_wrong_envelope_gets_the_platforms_code(shared, changes, code):
    """Each common parameter is refused with its own code, at HTTP 200, in the platform's error shape."""
    status, body = shared.post(shared.envelope("mock.carriers", {}, **changes))
    assert (status, body["error_response"]["error_code"]) == (200, code)


def test_a_signature_over_other_values_is_refused(shared):
    """Changing any value after signing breaks the signature."""
    parameters = shared.envelope("mock.network.points", {"wp_code": "ZTO", **_place(ORIGIN)})
    parameters["city"] = "宁波市"
    assert shared.post(parameters)[1]["error_response"]["error_code"] == 20004


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 10000),
        (b"[1]", 10000),
        (b"[" * 100_000, 10000),
        (json.dumps({"type": {"a": 1}}).encode(), 10000),
        (b'{"type": "\\ud800"}', 10000),
        (b'{"type": "' + b"x" * (5 << 20) + b'"}', 52004),
    ],
    ids=["cut", "list", "deep", "object", "surrogate", "large"],
)
def test_unreadable_bodies_are_refused_not_fatal(shared, body, code):
    """Broken, nested and oversized bodies get a platform error and the network lives on."""
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=20)
    try:
        connection.request("POST", "/api/router", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    assert answer["error_response"]["error_code"] == code
    assert shared.http("GET", "/health") == (200, {"status": "ok"})


def test_one_parameter_with_two_values_is_refused(shared):
    """A query and a body that contradict each other can't be signed unambiguously."""
    parameters = shared.envelope("mock.carriers", {})
    status, body = shared.post(parameters, "/api/router?type=mock.waybill.find")
    assert (status, body["error_response"]["error_code"]) == (200, 10001)


def test_carriers_are_direct_operated_or_franchise(shared):
    """E9: the network says of each carrier whether it has a settlement account or a prepaid balance."""
    types = {carrier["wp_code"]: carrier["wp_type"] for carrier in shared.call("mock.carriers")["carriers"]}
    assert set(types) == set(PUBLIC_FORMATS)
    assert {code for code, type_ in types.items() if type_ == 1} == {"SF", "JD", "EMS", "DBKD"}


def test_network_points_are_those_of_the_district(shared):
    """E3: every district has its own 1 to 3 points, always the same ones; none found is an empty list, not an
    error.
    """
    first = shared.call("mock.network.points", wp_code="ZTO", **_place(ORIGIN))["points"]
    again = shared.call("mock.network.points", wp_code="ZTO", **_place(ORIGIN))["points"]
    elsewhere = shared.call("mock.network.points", wp_code="ZTO", **_place(ORIGIN | {"district": "西湖区"}))[
        "points"
    ]
    assert first == again
    assert 1 <= len(first) <= 3
    assert set(first[0]) == {"branch_code", "branch_name", "wp_code", "wp_type", "wp_name", "phone"}
    assert not {p["branch_code"] for p in first} & {p["branch_code"] for p in elsewhere}
    lhasa = {"province": "西藏自治区", "city": "拉萨市", "district": "城关区"}
    assert shared.call("mock.network.points", wp_code="YUNDA", **lhasa)["points"] == []
    assert shared.call("mock.network.points", wp_code="ZTO", **lhasa)["points"]


def test_an_application_opens_at_once_and_is_idempotent(shared, shop):
    """The same application again is the same service; its address and balance then stand in waybill.search."""
    assert shared.call("pdd.waybill.search", shop)["waybill_apply_subscription_cols"] == []
    point, opened = shared.open_service("ZTO", token=shop)
    assert opened["state"] == "open"
    assert shared.open_service("ZTO", token=shop)[1]["application_id"] == opened["application_id"]
    (column,) = shared.call("pdd.waybill.search", shop, wp_code="ZTO")["waybill_apply_subscription_cols"]
    assert (column["wp_code"], column["wp_type"]) == ("ZTO", 2)
    (branch,) = column["branch_account_cols"]
    assert (branch["branch_code"], branch["branch_name"]) == (point["branch_code"], point["branch_name"])
    assert branch["quantity"] == 50
    assert branch["shipp_address_cols"] == [ORIGIN | {"country": ""}]
    assert shared.call("pdd.waybill.search", "another-shop")["waybill_apply_subscription_cols"] == []


def test_a_closed_service_no_longer_issues(shared, shop):
    """After closing, search lists nothing and a get is refused; closing twice is harmless; reopening is a new
    service.
    """
    _, opened = shared.open_service("ZTO", token=shop)
    for _ in range(2):
        closed = shared.call("mock.subscription.close", shop, application_id=opened["application_id"])
        assert closed["state"] == "closed"
    assert shared.call("pdd.waybill.search", shop)["waybill_apply_subscription_cols"] == []
    refused = shared.refusal("pdd.waybill.get", shop, **get_request(package(["A1"]), wp_code="ZTO"))
    assert refused == (50002, "e-waybill subscription does not exist")
    assert shared.open_service("ZTO", token=shop)[1]["application_id"] != opened["application_id"]


def test_applications_are_checked(shared, shop):
    """E2, E9: nothing may be missing, the point must cover the address, a direct-operated carrier needs its
    account.
    """
    point, _ = shared.open_service("SF", token=shop)
    good = {
        "wp_code": "SF",
        "branch_code": point["branch_code"],
        "address": OTHER_ORIGIN,
        "contact": {"name": "甲", "phone": "1"},
        "settlement_account": "1",
        "agreement_version": "1",
    }
    for missing, named in {
        "settlement_account": "settlement_account",
        "agreement_version": "agreement_version",
        "branch_code": "branch_code",
        "contact": "contact",
        "address": "address",
        "wp_code": "wp_code",
    }.items():
        partial = {name: value for name, value in good.items() if name != missing}
        code, reason = shared.refusal("mock.subscription.apply", shop, **partial)
        assert code == 21002
        assert reason.startswith(named)
    assert shared.refusal("mock.subscription.apply", shop, **good | {"branch_code": "1"})[0] == 50002
    assert shared.refusal("mock.subscription.apply", shop, **good | {"wp_code": "DHL"})[0] == 21001


@pytest.mark.parametrize("wp_code", sorted(PUBLIC_FORMATS))
def test_numbers_have_the_public_format_and_labels_their_routing(shared, shop, wp_code):
    """W1, W9: a number of the carrier's format in the synthetic segment, and print data with nothing empty."""
    point, _ = shared.open_service(wp_code, token=shop)
    (module,) = shared.call("pdd.waybill.get", shop, **get_request(package(["A1"]), wp_code=wp_code))[
        "modules"
    ]
    assert set(module) == {"object_id", "waybill_code", "parent_waybill_code", "print_data"}
    number = module["waybill_code"]
    assert re.fullmatch(PUBLIC_FORMATS[wp_code], number)
    assert re.match(r"(770000|YT0000|730000|30000|JT0000|SF0000|90000|JDVA0000|DPK0000)", number)
    text = json.loads(module["print_data"])
    assert text["templateURL"] == "labelsvc://waybill-76x130"
    data = text["data"]
    assert data["recipient"] == party() | {"phone": ""}
    assert data["sender"]["address"] == ORIGIN
    assert (data["waybillCode"], data["wpCode"]) == (number, wp_code)
    routing = data["routingInfo"]
    assert re.fullmatch(r"\d{3}-\d{3}-00 \d{3}", routing["threeSegmentCode"])
    assert routing["consolidation"]["name"].startswith("广州")
    assert (routing["originBranchCode"], routing["originBranchName"]) == (
        point["branch_code"],
        point["branch_name"],
    )
    assert all(routing[name] for name in ("bigShotName", "bigShotCode", "endBranchCode", "endBranchName"))
    assert data["shippingOption"]["code"]
    assert data["shippingOption"]["title"]


def test_a_route_depends_on_the_recipients_district_alone(shared, shop):
    """The same district has the same route whoever lives there; another district has another."""
    shared.open_service("YTO", token=shop)
    elsewhere = party(address=party()["address"] | {"district": "越秀区"})
    next_door = party(name="别人", address=party()["address"] | {"detail": "天河路 1 号"})
    request = get_request(
        package(["A1"]), package(["A2"], recipient=next_door), package(["A3"], recipient=elsewhere)
    )
    modules = shared.call("pdd.waybill.get", shop, **request)["modules"]
    here, near, far = (
        json.loads(m["print_data"])["data"]["routingInfo"]["threeSegmentCode"] for m in modules
    )
    assert here == near != far


def test_a_batch_of_ten_answers_in_order_and_echoes_object_ids(shared, shop):
    """W3: 1 to 10 packages a call, one number each; eleven are refused."""
    shared.open_service("YTO", token=shop)
    packages = [package([f"B{n}"]) for n in range(11)]
    answer = shared.call("pdd.waybill.get", shop, **get_request(*packages[:10]))
    assert [m["object_id"] for m in answer["modules"]] == [p["object_id"] for p in packages[:10]]
    assert len(set(numbers_of(answer))) == 10
    code, reason = shared.refusal("pdd.waybill.get", shop, **get_request(*packages))
    assert code == 21001
    assert "trade_order_info_dtos" in reason


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"object_id": ""}, 21002, "[1].object_id"),
        ({"object_id": "obj-G1-1"}, 21001, "[1].object_id"),
        ({"user_id": "me"}, 21001, "[1].user_id"),
        ({"template_url": None}, 21002, "[1].template_url"),
        ({"order_info": {"order_channels_type": "PDD", "trade_order_list": []}}, 21002, "trade_order_list"),
        (
            {"order_info": {"order_channels_type": "PDD", "trade_order_list": ["A", "A"]}},
            21001,
            "trade_order_list",
        ),
        ({"order_info": {"trade_order_list": ["A"]}}, 21002, "order_channels_type"),
        ({"package_info": {"id": "1", "items": []}}, 21002, "package_info.items"),
        ({"package_info": {"id": "1", "items": [{"name": "x", "count": 0}]}}, 21001, "items[0].count"),
        ({"recipient": party(name="")}, 21002, "recipient.name"),
        ({"recipient": party(name="名" * 41)}, 21001, "recipient.name"),
        ({"recipient": party(mobile="")}, 21002, "recipient.mobile"),
        ({"recipient": party(address={"province": "广东省", "city": "广州市"})}, 21002, "address.district"),
        ({"recipient": "somebody"}, 21001, "recipient"),
        ({"logistics_services": "{"}, 10000, "logistics_services"),
        ({"logistics_services": '{"product_type": {"value": "rocket"}}'}, 21001, "product_type.value"),
    ],
)
def test_one_wrong_package_refuses_the_batch_by_name(shared, shop, change, code, named):
    """The refusal names the field, not its value, and the good package of the batch gets no number either."""
    shared.open_service("YTO", token=shop)
    bad = package(["G2"]) | change
    got, reason = shared.refusal("pdd.waybill.get", shop, **get_request(package(["G1"]), bad))
    assert got == code
    assert named in reason
    assert NAME not in reason
    assert MOBILE not in reason
    assert shared.call("mock.waybill.find", shop, orders=["G1"])["waybills"] == []


def test_the_sender_address_must_be_equal_character_for_character(shared, shop):
    """A space more, and the address matches no service; without any service of the carrier that is what is
    said.
    """
    shared.open_service("YTO", token=shop)
    spaced = ORIGIN | {"detail": ORIGIN["detail"] + " "}
    refused = shared.refusal("pdd.waybill.get", shop, **get_request(package(["A1"]), origin=spaced))
    assert refused == (50002, "sender address matches no e-waybill service")
    refused = shared.refusal("pdd.waybill.get", shop, **get_request(package(["A1"]), wp_code="STO"))
    assert refused == (50002, "e-waybill subscription does not exist")


def test_several_points_for_one_order_are_refused(shared, shop):
    """The same orders and package id with another carrier or sender address: cancel first, or use another
    package id.
    """
    for address in (ORIGIN, OTHER_ORIGIN):
        shared.open_service("YTO", address, shop)
    shared.open_service("STO", token=shop)
    (number,) = numbers_of(shared.call("pdd.waybill.get", shop, **get_request(package(["A1"]))))
    said = (50002, "one trade order cannot have numbers from several network points")
    elsewhere = get_request(package(["A1"]), origin=OTHER_ORIGIN)
    assert shared.refusal("pdd.waybill.get", shop, **elsewhere) == said
    by_another = get_request(package(["A1"]), wp_code="STO")
    assert shared.refusal("pdd.waybill.get", shop, **by_another) == said
    shared.call("pdd.waybill.get", shop, **get_request(package(["A1"], "2"), wp_code="STO"))
    shared.call("pdd.waybill.cancel", shop, waybill_code=number, wp_code="YTO")
    shared.call("pdd.waybill.get", shop, **by_another)


def test_a_parcel_asked_again_gets_the_same_number(shared, shop):
    """W2, mode same: the order of the trade orders does not matter; another package id, shop or recipient
    does.
    """
    for token in (shop, "the-neighbour"):
        shared.open_service("YTO", token=token)
    first = shared.call("pdd.waybill.get", shop, **get_request(package(["A1", "A2"])))
    again = shared.call("pdd.waybill.get", shop, **get_request(package(["A2", "A1"])))
    assert numbers_of(first) == numbers_of(again)
    assert first["modules"][0]["print_data"] == again["modules"][0]["print_data"]
    split = shared.call("pdd.waybill.get", shop, **get_request(package(["A1", "A2"], "2")))
    stranger = shared.call("pdd.waybill.get", "the-neighbour", **get_request(package(["A1", "A2"])))
    assert len({*numbers_of(first), *numbers_of(split), *numbers_of(stranger)}) == 3
    moved = get_request(package(["A1", "A2"], recipient=party(mobile="13800000000")))
    refused = shared.refusal("pdd.waybill.get", shop, **moved)
    assert refused == (50002, "the parcel's waybill has another recipient: cancel it first")


def test_the_same_parcel_twenty_times_at_once_has_one_number(shared, shop):
    """W2, mode same: racing requests don't get past the books; one number, one taken from the balance."""
    shared.open_service("YTO", token=shop)
    request = get_request(package(["RACE"]))
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(shared.call, "pdd.waybill.get", shop, **request) for _ in range(20)]
        numbers = {number for one in asked for number in numbers_of(one.result())}
    assert len(numbers) == 1
    assert _balance(shared, shop, "YTO")["quantity"] == 49


def _balance(network, shop, wp_code):
    (column,) = network.call("pdd.waybill.search", shop, wp_code=wp_code)["waybill_apply_subscription_cols"]
    return column["branch_account_cols"][0]


def test_mode_new_gives_a_further_number_and_both_live(start):
    """A repeated get in mode new: two live numbers for one parcel, both found by asking."""
    network = start("--repeat", "new")
    network.open_service("YTO")
    request = get_request(package(["A1"]))
    first, second = (numbers_of(network.call("pdd.waybill.get", **request))[0] for _ in range(2))
    assert first != second
    found = network.call("mock.waybill.find", orders=["A1"], package_id="1")["waybills"]
    assert [(w["waybill_code"], w["state"]) for w in found] == [(first, "live"), (second, "live")]


def test_mode_exists_refuses_and_gives_nothing_away(start):
    """A repeated get in mode exists: an error without the number, which only asking for the parcel brings
    back.
    """
    network = start("--repeat", "exists")
    network.open_service("YTO")
    request = get_request(package(["A1"]))
    (number,) = numbers_of(network.call("pdd.waybill.get", **request))
    status, body = network.post(network.envelope("pdd.waybill.get", request))
    assert (status, body["error_response"]["error_code"]) == (200, 50002)
    assert "exists already" in body["error_response"]["sub_msg"]
    assert number not in json.dumps(body)
    (found,) = network.call("mock.waybill.find", object_id="obj-A1-1", package_id="1")["waybills"]
    assert found["waybill_code"] == number
    network.call("pdd.waybill.cancel", waybill_code=number, wp_code="YTO")
    assert numbers_of(network.call("pdd.waybill.get", **request)) != [number]


def test_find_lists_live_and_cancelled_numbers_of_a_parcel(shared, shop):
    """W2: asking for a parcel finds every number it ever had, with what its label shows; of this shop only."""
    shared.open_service("YTO", token=shop)
    request = get_request(package(["F2", "F1"]))
    (old,) = shared.call("pdd.waybill.get", shop, **request)["modules"]
    shared.call("pdd.waybill.cancel", shop, waybill_code=old["waybill_code"], wp_code="YTO")
    (new,) = shared.call("pdd.waybill.get", shop, **request)["modules"]
    found = shared.call("mock.waybill.find", shop, orders=["F1", "F2"])["waybills"]
    assert [(w["waybill_code"], w["state"], w["print_data"]) for w in found] == [
        (old["waybill_code"], "cancelled", old["print_data"]),
        (new["waybill_code"], "live", new["print_data"]),
    ]
    assert found[0]["trade_order_list"] == ["F2", "F1"]
    assert shared.call("mock.waybill.find", shop, orders=["F1", "F2"], package_id="9")["waybills"] == []
    assert shared.call("mock.waybill.find", "nobody", orders=["F1", "F2"])["waybills"] == []
    assert shared.refusal("mock.waybill.find", shop)[0] == 21002


def test_query_by_number_returns_the_print_data(shared, shop):
    """A live number is answered as it was issued; a stranger's, an unknown and a cancelled one are errors."""
    shared.open_service("YTO", token=shop)
    (module,) = shared.call("pdd.waybill.get", shop, **get_request(package(["Q1"])))["modules"]
    asked = [{"object_id": "q", "waybill_code": module["waybill_code"], "wp_code": "YTO"}]
    answer = shared.call("pdd.waybill.query.by.waybillcode", shop, param_list=asked)
    assert answer["modules"] == [
        {
            "waybill_cloud_print_response": {
                "object_id": "q",
                "waybill_code": module["waybill_code"],
                "print_data": module["print_data"],
            }
        }
    ]
    unknown = (50002, "waybill does not exist")
    assert shared.refusal("pdd.waybill.query.by.waybillcode", "nobody", param_list=asked) == unknown
    shared.call("pdd.waybill.cancel", shop, waybill_code=module["waybill_code"], wp_code="YTO")
    cancelled = (50002, "waybill was cancelled")
    assert shared.refusal("pdd.waybill.query.by.waybillcode", shop, param_list=asked) == cancelled


def test_the_balance_goes_down_by_one_a_number_and_up_on_cancel(start):
    """W4: a batch over the balance is refused whole; cancelling credits once however often it is asked;
    buying adds.
    """
    network = start("--opening-balance", "3")
    point, _ = network.open_service("YTO")
    (first, _) = numbers_of(network.call("pdd.waybill.get", **get_request(package(["A1"]), package(["A2"]))))
    over = get_request(package(["A3"]), package(["A4"]))
    refused = (50002, "not enough waybill numbers left at the network point")
    assert network.refusal("pdd.waybill.get", **over) == refused
    assert _balance(network, "shop-1", "YTO")["quantity"] == 1
    assert network.call("mock.waybill.find", orders=["A3"])["waybills"] == []
    for _ in range(2):
        cancelled = network.call("pdd.waybill.cancel", waybill_code=first, wp_code="YTO")
        assert cancelled["cancel_result"] is True
    branch = _balance(network, "shop-1", "YTO")
    assert (branch["quantity"], branch["allocated_quantity"], branch["cancel_quantity"]) == (2, 2, 1)
    network.call("pdd.waybill.get", **over)
    assert network.refusal("pdd.waybill.get", **get_request(package(["A5"]))) == refused
    bought = network.call(
        "mock.account.recharge", branch_code=point["branch_code"], wp_code="YTO", quantity="5"
    )
    assert bought["quantity"] == 5
    network.call("pdd.waybill.get", **get_request(package(["A5"])))


def test_a_direct_operated_carrier_has_no_balance(start):
    """E9: SF issues with nothing prepaid, and sells no numbers."""
    network = start("--opening-balance", "0")
    point, _ = network.open_service("SF")
    network.call("pdd.waybill.get", **get_request(package(["A1"]), wp_code="SF"))
    assert _balance(network, "shop-1", "SF")["quantity"] == 0
    recharge = {"branch_code": point["branch_code"], "wp_code": "SF", "quantity": "5"}
    assert network.refusal("mock.account.recharge", **recharge)[0] == 50002


def test_a_picked_up_number_cannot_be_cancelled(shared, shop):
    """W5: after hand-over a number is no longer taken back."""
    shared.open_service("YTO", token=shop)
    (number,) = numbers_of(shared.call("pdd.waybill.get", shop, **get_request(package(["P1"]))))
    shared.call("mock.waybill.pick_up", shop, waybill_code=number, wp_code="YTO")
    refused = shared.refusal("pdd.waybill.cancel", shop, waybill_code=number, wp_code="YTO")
    assert refused == (50002, "waybill was picked up and can no longer be cancelled")
    unknown = shared.refusal("pdd.waybill.cancel", shop, waybill_code="YT0000999999999", wp_code="YTO")
    assert unknown == (50002, "waybill does not exist")


def update_request(number, wp_code="YTO", **changes):
    """The parameters of pdd.waybill.update."""
    return {
        "param_waybill_cloud_print_update_request": {"waybill_code": number, "wp_code": wp_code} | changes
    }


def test_an_update_changes_what_the_label_says(shared, shop):
    """W6: recipient, sender name and template change, the route follows the recipient, the number and its origin stay; a repeat is harmless."""
    shared.open_service("YTO", token=shop)
    (module,) = shared.call("pdd.waybill.get", shop, **get_request(package(["U1"])))["modules"]
    moved = party(name="新收件人", address=party()["address"] | {"district": "越秀区"})
    items = {"items": [{"name": "毛巾", "count": 3}], "weight": 200, "volume": 10}
    wanted = update_request(
        module["waybill_code"],
        object_id="x",
        recipient=moved,
        package_info=items,
        sender={"name": "新店名", "mobile": "", "phone": "021-1"},
        template_url="labelsvc://other",
    )
    first, second = (shared.call("pdd.waybill.update", shop, **wanted) for _ in range(2))
    assert set(first) == {"waybill_code", "print_data", "request_id"}
    assert (first["waybill_code"], first["print_data"]) == (module["waybill_code"], second["print_data"])
    old, new = json.loads(module["print_data"]), json.loads(first["print_data"])
    assert new["templateURL"] == "labelsvc://other"
    assert new["data"]["recipient"] == moved | {"phone": ""}
    assert new["data"]["sender"] == {
        "name": "新店名",
        "mobile": "",
        "phone": "021-1",
        "address": old["data"]["sender"]["address"],
    }
    changed = {name for name in old["data"] if old["data"][name] != new["data"][name]}
    assert changed == {"recipient", "sender", "routingInfo"}
    asked = [{"waybill_code": module["waybill_code"], "wp_code": "YTO"}]
    answer = shared.call("pdd.waybill.query.by.waybillcode", shop, param_list=asked)
    assert answer["modules"][0]["waybill_cloud_print_response"]["print_data"] == first["print_data"]
    alone = shared.call(
        "pdd.waybill.update", shop, **update_request(module["waybill_code"], package_info=items)
    )
    assert alone["print_data"] == first["print_data"]
    assert numbers_of(shared.call("pdd.waybill.get", shop, **get_request(package(["U2"])))) != [
        module["waybill_code"]
    ]


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"waybill_code": "YT0000999999999"}, 50002, "waybill does not exist"),
        ({"waybill_code": ""}, 21002, "waybill_code"),
        ({"wp_code": "DHL"}, 21001, "wp_code"),
        ({"recipient": {"name": "甲"}}, 21002, "recipient.address"),
        ({"recipient": []}, 21001, "recipient"),
        ({"sender": {"name": "甲"}}, 21002, "sender.mobile"),
        ({"package_info": {"items": [{"name": "x"}]}}, 21002, "items[0].count"),
        ({"package_info": {"weight": "heavy"}}, 21001, "package_info.weight"),
    ],
)
def test_a_wrong_update_is_refused_by_name(shared, shop, change, code, named):
    """W6: the refusal names the field, and the label stays as it was."""
    shared.open_service("YTO", token=shop)
    (module,) = shared.call("pdd.waybill.get", shop, **get_request(package(["U1"])))["modules"]
    sent = update_request(module["waybill_code"])["param_waybill_cloud_print_update_request"] | change
    refused = shared.refusal("pdd.waybill.update", shop, param_waybill_cloud_print_update_request=sent)
    assert refused[0] == code
    assert named in refused[1]
    (found,) = shared.call("mock.waybill.find", shop, orders=["U1"])["waybills"]
    assert found["print_data"] == module["print_data"]


def test_the_senders_address_cannot_be_updated(shared, shop):
    """W6: another sender address is refused; the same one, said again, is none."""
    shared.open_service("YTO", token=shop)
    (number,) = numbers_of(shared.call("pdd.waybill.get", shop, **get_request(package(["U1"]))))
    sender = {"name": "甲", "mobile": "1"}
    moved = update_request(number, sender=sender | {"address": OTHER_ORIGIN})
    assert shared.refusal("pdd.waybill.update", shop, **moved) == (50002, "sender.address: can't be changed")
    shared.call("pdd.waybill.update", shop, **update_request(number, sender=sender | {"address": ORIGIN}))


def test_what_left_or_was_cancelled_is_not_updated(shared, shop):
    """W6: until hand-over only, and never a cancelled number or a stranger's."""
    shared.open_service("YTO", token=shop)
    left, gone = numbers_of(
        shared.call("pdd.waybill.get", shop, **get_request(package(["U1"]), package(["U2"])))
    )
    shared.call("mock.waybill.pick_up", shop, waybill_code=left, wp_code="YTO")
    shared.call("pdd.waybill.cancel", shop, waybill_code=gone, wp_code="YTO")
    said = [shared.refusal("pdd.waybill.update", shop, **update_request(one)) for one in (left, gone)]
    assert said == [
        (50002, "waybill was picked up and can no longer be changed"),
        (50002, "waybill was cancelled"),
    ]
    assert shared.refusal("pdd.waybill.update", "nobody", **update_request(left))[0] == 50002


def piece(order, at, total):
    """One package of a set."""
    packed = package([order], str(at))
    packed["package_info"] = packed["package_info"] | {"total_packages_count": total}
    return packed


def test_packages_of_a_set_have_one_parent(shared, shop):
    """W7: each package its own number, one parent for all of them in whichever call they come, which costs nothing; a single package has none."""
    shared.open_service("YTO", token=shop)
    first = shared.call("pdd.waybill.get", shop, **get_request(piece("S", 1, 3), piece("S", 2, 3)))["modules"]
    (third,) = shared.call("pdd.waybill.get", shop, **get_request(piece("S", 3, 3)))["modules"]
    again = shared.call("pdd.waybill.get", shop, **get_request(piece("S", 1, 3)))["modules"]
    assert again == first[:1]
    numbers = {module["waybill_code"] for module in (*first, third)}
    (parent,) = {module["parent_waybill_code"] for module in (*first, third)}
    assert len(numbers) == 3
    assert re.fullmatch(PUBLIC_FORMATS["YTO"], parent)
    assert parent not in numbers
    assert _balance(shared, shop, "YTO")["quantity"] == 47
    for total in (1, 0):
        (single,) = shared.call("pdd.waybill.get", shop, **get_request(piece(f"T{total}", 1, total)))[
            "modules"
        ]
        assert single["parent_waybill_code"] is None
    other = shared.call("pdd.waybill.get", shop, **get_request(piece("S", 4, 4)))["modules"]
    assert other[0]["parent_waybill_code"] not in (None, parent)
    found = shared.call("mock.waybill.find", shop, orders=["S"], package_id="2")["waybills"]
    assert found[0]["parent_waybill_code"] == parent
    assert {w["number"] for w in shared.books()["waybills"] if w["parent"] == parent} == numbers


def test_scans_move_a_parcel_on_and_are_told(shared, shop):
    """W5: picked up, in transit, signed; told in China time and the platform's spelling, without personal data; a step back changes nothing."""
    point, _ = shared.open_service("YTO", token=shop)
    (number,) = numbers_of(shared.call("pdd.waybill.get", shop, **get_request(package(["W1"]))))
    which = {"waybill_code": number, "wp_code": "YTO"}
    trace = {"company_code": "YTO", "mail_no": number}
    assert shared.call("pdd.logistics.ordertrace.get", shop, **trace)["trace_list"] == []
    states = [
        shared.call("mock.waybill.trace", shop, action=action, **which)["state"]
        for action in ("GOT", "GOT", "TRANSIT", "TRANSIT", "SIGN", "TRANSIT", "GOT")
    ]
    assert states == ["picked_up", "picked_up", "in_transit", "in_transit", "signed", "signed", "signed"]
    told = shared.call("pdd.logistics.ordertrace.get", shop, **trace)["trace_list"]
    assert [one["action"] for one in told] == ["GOT", "TRANSIT", "TRANSIT", "SIGN"]
    assert {frozenset(one) for one in told} == {
        frozenset({"action", "desc", "time", "status_time", "status_desc", "node_description"})
    }
    assert point["branch_name"] in told[0]["desc"]
    at = datetime.strptime(told[0]["time"] + "+0800", "%Y-%m-%d %H:%M:%S%z")
    assert abs((at - datetime.now(UTC)).total_seconds()) < 60
    assert NAME not in json.dumps(told, ensure_ascii=False)
    assert shared.refusal("pdd.waybill.cancel", shop, **which)[0] == 50002
    assert shared.refusal("mock.waybill.trace", shop, action="LOST", **which)[0] == 21001
    assert shared.refusal("pdd.logistics.ordertrace.get", "nobody", **trace)[0] == 50002
    (entry,) = [w for w in shared.books()["waybills"] if w["number"] == number]
    assert entry["state"] == "signed"


def test_a_cancelled_number_is_not_scanned(shared, shop):
    """W5: the courier takes no parcel under a cancelled number."""
    shared.open_service("YTO", token=shop)
    (number,) = numbers_of(shared.call("pdd.waybill.get", shop, **get_request(package(["W1"]))))
    which = {"waybill_code": number, "wp_code": "YTO"}
    shared.call("pdd.waybill.cancel", shop, **which)
    assert shared.refusal("mock.waybill.trace", shop, action="GOT", **which) == (
        50002,
        "waybill was cancelled",
    )


def test_the_time_is_told_without_a_token(shared):
    """pdd.time.get answers China time to whoever signs."""
    told = shared.call("pdd.time.get", None)["time"]
    at = datetime.strptime(told + "+0800", "%Y-%m-%d %H:%M:%S%z")
    assert abs((at - datetime.now(UTC)).total_seconds()) < 60


def test_a_place_that_does_not_exist_has_no_point(shared):
    """E3: every carrier has a point in every county there is, and none elsewhere."""
    for place in (("浙江省", "杭州市", "天河区"), ("某省", "某市", "某区")):
        named = dict(zip(("province", "city", "district"), place, strict=True))
        assert shared.call("mock.network.points", wp_code="ZTO", **named)["points"] == []
    for place in (("北京市", "北京市", "东城区"), ("湖北省", "仙桃市", "仙桃市")):
        named = dict(zip(("province", "city", "district"), place, strict=True))
        assert shared.call("mock.network.points", wp_code="ZTO", **named)["points"]


@pytest.mark.parametrize("offset_s", [-601 - 60, 601 + 60])
@pytest.mark.parametrize("unit", [1, 1000])
def test_a_timestamp_more_than_ten_minutes_off_is_refused(shared, offset_s, unit):
    """Stale and early, in seconds and milliseconds: 10001."""
    stamp = str(int((time.time() + offset_s) * unit))
    body = shared.post(shared.envelope("mock.carriers", {}, timestamp=stamp))[1]
    assert body["error_response"]["error_code"] == 10001


def test_the_cancel_quota_holds_above_500_numbers(start, tmp_path):
    """W5: past 500 issued, cancellations over a fifth are refused for the moment; up to 500 they are not."""
    network = start()
    network.open_service("YTO")
    numbers = numbers_of(
        network.call("pdd.waybill.get", **get_request(*[package([f"C{n}"]) for n in range(4)]))
    )

    def account(allocated, cancelled):
        with sqlite3.connect(tmp_path / "books.sqlite", timeout=20) as books:
            books.execute("UPDATE account SET allocated = ?, cancelled = ?", (allocated, cancelled))
        books.close()

    def cancel(number):
        return network.envelope("pdd.waybill.cancel", {"waybill_code": number, "wp_code": "YTO"})

    account(500, 400)
    assert "pdd_waybill_cancel_response" in network.post(cancel(numbers[0]))[1]
    account(505, 100)
    assert "pdd_waybill_cancel_response" in network.post(cancel(numbers[1]))[1]
    refused = network.post(cancel(numbers[2]))[1]["error_response"]
    assert refused["error_code"] == 50002
    assert "over the limit" in refused["sub_msg"]


def test_the_log_shows_each_request_and_whether_two_were_identical(shared, shop):
    """W2: equal digests are equal requests, whatever time, body form and key order; the outcome stands beside
    them.
    """
    shared.open_service("YTO", token=shop)
    after = shared.last_seq()
    business = get_request(package(["L1"]))
    reordered = json.loads(json.dumps(business), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    shared.post(shared.envelope("pdd.waybill.get", business, shop))
    shared.post(
        shared.envelope("pdd.waybill.get", reordered, shop, timestamp=str(int(time.time()) - 9)), form="form"
    )
    changed = get_request(package(["L1"], recipient=party(name="别人")))
    shared.post(shared.envelope("pdd.waybill.get", changed, shop))
    first, second, third = shared.log(after)
    assert first["digest"] == second["digest"] != third["digest"]
    assert re.fullmatch("[0-9a-f]{64}", first["digest"])
    assert (first["type"], first["code"], second["code"], third["code"]) == ("pdd.waybill.get", 0, 0, 50002)
    assert (first["orders"], first["package_ids"], first["object_ids"]) == (["L1"], ["1"], ["obj-L1-1"])
    assert first["numbers"] == second["numbers"] != []
    assert third["numbers"] == []
    assert len({entry["shop"] for entry in (first, second, third)}) == 1
    mine = [w for w in shared.books()["waybills"] if w["shop"] == first["shop"]]
    assert [(w["number"], w["state"], w["orders"], w["package_id"], w["wp_code"]) for w in mine] == [
        (first["numbers"][0], "live", ["L1"], "1", "YTO")
    ]


def test_no_personal_data_in_log_overview_and_output(start):
    """Names, phones and addresses stay in the carrier's waybill rows, even when a client puts them in a wrong
    field.
    """
    network = start()
    network.open_service("YTO")
    network.call("pdd.waybill.get", **get_request(package(["A1"])))
    network.refusal("pdd.waybill.get", **get_request(package([NAME], object_id=DETAIL), wp_code="ZTO"))
    network.refusal(NAME)
    network.post(network.envelope("mock.carriers", {NAME: {"a": DETAIL}}), form="query and form")
    seen = json.dumps([network.log(), network.books()], ensure_ascii=False)
    code, out, err = network.end()
    for secret in (NAME, MOBILE, DETAIL, ORIGIN["detail"], "商家甲", "13700009999", "联系人甲", "shop-1"):
        assert secret not in seen + out + err
    assert (code, out, err) == (0, "", "")


def test_a_lost_answer_leaves_its_effect(start):
    """W2: the network hangs up after the commit; the identical request brings the same number."""
    network = start()
    network.open_service("YTO")
    network.control(drop_answers=1, only="pdd.waybill.get")
    request = get_request(package(["A1"]))
    assert network.call("mock.carriers")["carriers"]
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError, urllib.error.URLError)):
        network.post(network.envelope("pdd.waybill.get", request))
    (lost,) = [entry for entry in network.log() if entry["answer_dropped"]]
    assert numbers_of(network.call("pdd.waybill.get", **request)) == lost["numbers"]
    assert len(network.books()["waybills"]) == 1
    assert network.end() == (0, "", "")


def test_a_failing_gateway_has_no_effect(start):
    """HTTP 502 and a switched-on error leave nothing behind but the log; afterwards all is as before."""
    network = start()
    network.open_service("YTO")
    after = network.last_seq()
    request = get_request(package(["A1"]))
    network.control(fail_next=2)
    for _ in range(2):
        assert network.post(network.envelope("pdd.waybill.get", request))[0] == 502
    network.control(error=70031)
    assert network.refusal("pdd.waybill.get", **request)[0] == 70031
    assert network.control(error=0)["error"] == 0
    assert network.books()["waybills"] == []
    network.call("pdd.waybill.get", **request)
    assert [entry["code"] for entry in network.log(after)] == [52001, 52001, 70031, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"repeat": "maybe"},
        {"latency_ms": -1},
        {"latency_ms": True},
        {"error": 1},
        {"only": "x"},
        {"paper": 1},
    ],
)
def test_control_refuses_what_it_does_not_know(shared, changes):
    """A mistyped switch is an error and changes nothing."""
    before = shared.control()
    headers = {"Content-Type": "application/json"}
    status, body = shared.http("POST", "/control", json.dumps(changes).encode(), headers)
    assert status == 400
    assert body["error"]
    assert shared.control() == before


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7"])
def test_side_doors_answer_this_machine_only(shared, host):
    """A page under a host name of its own that resolves here gets nothing from log, books and control."""
    for method, path in (("GET", "/log"), ("GET", "/books"), ("POST", "/control")):
        assert shared.http(method, path, b"{}" if method == "POST" else None, {"Host": host})[0] == 403
    assert shared.http("GET", "/books", None, {"Host": f"localhost:{shared.port}"})[0] == 200
    assert shared.http("GET", "/books", None, {"Host": f"[::1]:{shared.port}"})[0] == 200


def test_nothing_answered_is_lost_by_a_kill_and_numbers_never_repeat(start):
    """W2: killed while numbers are being given, the network knows every answered one after a restart and goes
    on counting.
    """
    network = start("--opening-balance", "100000")
    network.open_service("YTO")
    answered, enough = [], threading.Event()

    def ask(lane):
        for turn in range(100_000):
            try:
                (module,) = network.call("pdd.waybill.get", **get_request(package([f"K{lane}-{turn}"])))[
                    "modules"
                ]
            except (OSError, http.client.HTTPException):
                return
            answered.append((f"K{lane}-{turn}", module["waybill_code"], module["print_data"]))
            if len(answered) >= 30:
                enough.set()

    lanes = [threading.Thread(target=ask, args=(lane,)) for lane in range(3)]
    for lane in lanes:
        lane.start()
    assert enough.wait(30)
    network.process.kill()
    for lane in lanes:
        lane.join()
    network.end()

    restarted = start()
    for order, number, print_data in answered:
        (found,) = restarted.call("mock.waybill.find", orders=[order])["waybills"]
        assert (found["waybill_code"], found["state"], found["print_data"]) == (number, "live", print_data)
    before = {waybill["number"] for waybill in restarted.books()["waybills"]}
    (account,) = restarted.books()["accounts"]
    assert account["quantity"] == 100000 - len(before)
    logged = {number for entry in restarted.log() if entry["code"] == 0 for number in entry["numbers"]}
    assert logged >= before
    (fresh,) = numbers_of(restarted.call("pdd.waybill.get", **get_request(package(["AFTER"]))))
    assert fresh not in before


def test_a_request_is_in_the_log_before_its_effect(start):
    """Killed between arrival and effect, the books show the request without an outcome, and no number."""
    network = start("--latency-ms", "60000")
    network.control(latency_ms=0)
    network.open_service("YTO")
    after = network.last_seq()
    network.control(latency_ms=60000)
    asked = threading.Thread(target=_ignore_hang_up, args=(network, get_request(package(["A1"]))))
    asked.start()
    deadline = time.monotonic() + 20
    while not network.log(after) and time.monotonic() < deadline:
        time.sleep(0.02)
    network.process.kill()
    asked.join()
    network.end()
    restarted = start()
    (entry,) = restarted.log(after)
    assert (entry["orders"], entry["code"], entry["numbers"]) == (["A1"], None, [])
    assert restarted.books()["waybills"] == []


def _ignore_hang_up(network, request):
    try:
        network.post(network.envelope("pdd.waybill.get", request))
    except (OSError, http.client.HTTPException):
        return
    raise AssertionError("answered after the kill")


def test_a_used_up_segment_is_said(start, tmp_path):
    """After the last number of a carrier's segment comes an error, never a longer or a repeated number."""
    network = start()
    network.open_service("ZTO")
    with sqlite3.connect(tmp_path / "books.sqlite", timeout=20) as books:
        books.execute("INSERT INTO segment VALUES ('ZTO', ?)", (10**8 - 2,))
    books.close()
    last = numbers_of(network.call("pdd.waybill.get", **get_request(package(["A1"]), wp_code="ZTO")))
    assert last == ["73000099999999"]
    refused = network.refusal("pdd.waybill.get", **get_request(package(["A2"]), wp_code="ZTO"))
    assert refused == (50002, "the carrier's number segment is used up")


def test_books_are_the_owners_alone_and_kept_safely(start, tmp_path):
    """The books hold personal data: mode 0600, its write-ahead log too; interrupting ends the program
    cleanly.
    """
    network = start()
    network.open_service("YTO")
    files = sorted(tmp_path.glob("books.sqlite*"))
    assert len(files) >= 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert network.end(signal.SIGINT) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--host"),
        (["--host", "192.168.1.4"], "--host"),
        (["--repeat", "often"], "--repeat"),
        (["--latency-ms", "-1"], "latency_ms"),
        (["--opening-balance", "-1"], "--opening-balance"),
        (["--port", "70000"], "--port"),
        (["--review", "never"], "--review"),
        (["--tokens", "none"], "--tokens"),
        (["--rate-per-s", "-1"], "rate_per_s"),
        (["--script", "/nowhere/script.json"], "--script"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, said):
    """Only loopback is bound, and every wrong option is named."""
    command = [sys.executable, "-m", "labelsvc.mockcarrier", "--books", str(tmp_path / "b.sqlite"), *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert not (tmp_path / "b.sqlite").exists()


def test_it_imports_nothing_else_of_labelsvc():
    """The network stands across the street: no module of the product is loaded with it."""
    script = (
        "import sys, labelsvc.mockcarrier.__main__\n"
        "print(*sorted(m for m in sys.modules if m.startswith('labelsvc')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
        timeout=20,
    )
    assert all(m == "labelsvc" or m.startswith("labelsvc.mockcarrier") for m in ended.stdout.split())
