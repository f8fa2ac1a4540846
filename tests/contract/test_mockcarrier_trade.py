"""The mock network's calls around waybills, dropship factories and shipping, tried as a program through a public SDK of the platform."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pddsdk.client
import pytest
from support.programs import MockCarrier, mock_carrier

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET, trade

ADDRESS = {
    "province": "浙江省",
    "city": "杭州市",
    "district": "余杭区",
    "town": "",
    "detail": "文一西路 969 号",
}
SENDER = {"name": "厂家甲", "mobile": "13700009999", "phone": "057100000000", "address": ADDRESS}
NAME, MOBILE, STREET = "欧阳测试人", "13900001234", "天河路 385 号 1201 室"
RECIPIENT = {
    "name": NAME,
    "mobile": MOBILE,
    "address": {
        "province": "广东省",
        "city": "广州市",
        "district": "天河区",
        "town": "石牌街道",
        "detail": STREET,
    },
}
ROOTS = {
    "pdd.logistics.online.send": "logistics_online_send_response",
    "pdd.logistics.companies.get": "logistics_companies_get_response",
    "pdd.logistics.address.get": "logistics_address_get_response",
    "pdd.order.information.get": "order_info_get_response",
    "pdd.order.number.list.increment.get": "order_sn_increment_get_response",
    "pdd.order.status.get": "order_status_get_response",
    "pdd.order.merge.ship.order.group": "merge_ship_order_group_response",
    "pdd.order.upload.extra.logistics": "upload_extra_logistics_response",
    "pdd.refund.address.list.get": "refund_address_list_get_response",
    "pdd.open.logistics.pre.check": "logistics_pre_check_response",
    "pdd.open.waybill.type.report": "open_waybill_type_report_response",
    "pdd.order.update.address": "response",
}


@dataclass(frozen=True)
class Shop:
    """A shop at the network, by its token."""

    network: MockCarrier
    token: str

    def raw(self, type_: str, **parameters: Any) -> dict[str, Any]:
        client = pddsdk.client.Client(CLIENT_ID, CLIENT_SECRET, url=self.network.url)
        texts = {
            k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in parameters.items()
        }
        answer: dict[str, Any] = client.call({"type": type_, "access_token": self.token, **texts})
        return answer

    def call(self, type_: str, **parameters: Any) -> dict[str, Any]:
        """A good call's answer without its root."""
        answer = self.raw(type_, **parameters)
        root = ROOTS.get(type_, type_.replace(".", "_") + "_response")
        assert list(answer) == [root], answer
        inner: dict[str, Any] = answer[root]
        return inner

    def refusal(self, type_: str, **parameters: Any) -> tuple[int, str]:
        error = self.raw(type_, **parameters)["error_response"]
        return error["error_code"], error["sub_msg"]

    def put(self, order_sn: str, **changes: Any) -> str:
        order = {
            "order_sn": order_sn,
            "recipient": RECIPIENT,
            "items": [
                {
                    "goods_name": "毛巾",
                    "goods_spec": "蓝色",
                    "goods_count": 3,
                    "goods_price": 1990,
                    "product_price": 850,
                    "outer_id": "SKU-1",
                    "outer_goods_id": "ART-1",
                }
            ],
            "remark": "轻放",
            "mall_name": "商家一号店",
        }
        return str(self.call("mock.order.put", order=order | changes)["order_sn"])

    def assign(self, order_sn: str, factory: Shop) -> dict[str, str]:
        """Give an order to a factory; how the factory names it."""
        there = factory.call("mock.shop")["shop"]
        answer = self.call("mock.order.assign", order_sn=order_sn, factory_shop=there)
        return {name: answer[name] for name in ("mall_mask_id", "order_mask_sn")}

    def state(self, order_sn: str) -> dict[str, Any]:
        return self.call("mock.order.get", order_sn=order_sn)

    def open_service(self, wp_code: str = "ZTO") -> None:
        place = {name: ADDRESS[name] for name in ("province", "city", "district")}
        points = self.call("mock.network.points", wp_code=wp_code, **place)["points"]
        self.call(
            "mock.subscription.apply",
            wp_code=wp_code,
            branch_code=points[0]["branch_code"],
            address=ADDRESS,
            contact={"name": "联系人甲", "phone": "057100000000"},
            agreement_version="2026-01",
        )

    def fds_get(self, *parcels: dict[str, Any], wp_code: str = "ZTO", **changes: Any) -> dict[str, Any]:
        return {
            "param_fds_waybill_get_request": {
                "sender": SENDER,
                "wp_code": wp_code,
                "trade_order_info_dtos": list(parcels),
            }
            | changes
        }

    def number_for(self, named: dict[str, str], package_id: str = "1") -> str:
        (module,) = self.call("pdd.fds.waybill.get", **self.fds_get(parcel([named], package_id)))["modules"]
        return str(module["waybill_code"])


def parcel(orders: list[dict[str, str]], package_id: str = "1", **changes: Any) -> dict[str, Any]:
    return {
        "object_id": f"object-{package_id}",
        "user_id": 7,
        "template_url": "labelsvc://waybill-76x130",
        "order_info": {"order_channels_type": "PDD", "trade_order_list": orders},
        "package_info": {
            "id": package_id,
            "items": [{"name": "毛巾", "count": 3}],
            "weight": 300,
            "total_packages_count": "1",
        },
    } | changes


def now_window() -> dict[str, int]:
    now_ms = int(time.time() * 1000)
    return {"start_updated_time": now_ms - 20 * 60_000, "end_updated_time": now_ms + 60_000}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    """One mock network for all; each test's shops are its own."""
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=1000) as running:
        yield running


@pytest.fixture
def merchant(network: MockCarrier, request: pytest.FixtureRequest) -> Shop:
    return Shop(network, f"merchant of {request.node.name}")


@pytest.fixture
def factory(network: MockCarrier, request: pytest.FixtureRequest) -> Shop:
    shop = Shop(network, f"factory of {request.node.name}")
    shop.open_service()
    return shop


def test_a_dropship_parcel_goes_all_the_way(merchant: Shop, factory: Shop) -> None:
    """The factory sees a masked order, gets and returns a number without a recipient, takes it back, returns it, and the merchant ships."""
    assert factory.call("pdd.fds.role.get")["mall_role"] == 0
    merchant.put("260101-1")
    named = merchant.assign("260101-1", factory)
    assert factory.call("pdd.fds.role.get")["mall_role"] == 2
    assert merchant.call("pdd.fds.role.get")["mall_role"] == 0
    listed = factory.call(
        "pdd.fds.order.list.get",
        param_fds_order_list_get_request=now_window() | {"page": 1, "page_size": 100},
    )
    assert listed["total"] == 1
    (order,) = listed["order_list"]
    one = factory.call("pdd.fds.order.get", param_fds_order_get_request=named)
    assert {k: v for k, v in one.items() if k != "request_id"} == order
    allowed = (
        "mall_mask_id mall_mask_name order_mask_sn province city district receiver_id goods_name goods_spec"
        " goods_number product_sn out_sku_sn product_price remark allow_time status return_status"
        " after_sales_status sf_only"
    )
    assert set(order) == set(allowed.split())
    assert (order["goods_number"], order["product_price"], order["product_sn"]) == (3, 850, "ART-1")
    assert (order["district"], order["status"], order["return_status"]) == ("天河区", 1, 0)
    assert order["mall_mask_name"] == "商家一号店"

    (module,) = factory.call("pdd.fds.waybill.get", **factory.fds_get(parcel([named])))["modules"]
    number = module["waybill_code"]
    assert set(json.loads(module["print_data"])) == {
        *("encryptedData", "signature", "templateUrl", "userid", "ver")
    }
    (again,) = factory.call("pdd.fds.waybill.get", **factory.fds_get(parcel([named])))["modules"]
    assert again == module
    opened = factory.call("mock.print_data.open", print_data=module["print_data"])["print_data"]
    assert json.loads(opened)["data"]["recipient"]["name"] == NAME

    back = named | {"waybill_code": number, "wp_code": "ZTO"}
    for _ in range(2):
        returned = factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=back)
        assert returned["return_result"] is True
    assert (merchant.state("260101-1")["waybill_code"], merchant.state("260101-1")["return_status"]) == (
        number,
        1,
    )
    assert factory.call("pdd.fds.order.get", param_fds_order_get_request=named)["return_status"] == 1
    for _ in range(2):
        taken = factory.call("pdd.fds.waybill.cancel", pdd_fds_waybill_cancel_request=back)
        assert taken["return_result"] is True
    assert merchant.state("260101-1")["waybill_code"] == ""
    factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=back)

    sent = merchant.call(
        "pdd.logistics.online.send", order_sn="260101-1", logistics_id=115, tracking_number=number
    )
    assert sent["is_success"] is True
    info = merchant.call("pdd.order.information.get", order_sn="260101-1")["order_info"]
    assert (info["order_status"], info["logistics_id"], info["tracking_number"]) == (2, 115, number)
    assert info["shipping_time"]
    assert info["receiver_name"] == ""
    refused = factory.refusal("pdd.fds.waybill.cancel", pdd_fds_waybill_cancel_request=back)
    assert refused == (50002, "order is not to be shipped")


def test_nothing_that_a_factory_gets_names_the_recipient(merchant: Shop, factory: Shop) -> None:
    """Name, phone and street are in no answer to the factory, nor in the network's log; what the print component opens has them."""
    merchant.put("260102-1")
    named = merchant.assign("260102-1", factory)
    number = factory.number_for(named)
    listed = [{"waybill_code": number, "wp_code": "ZTO", "object_id": "o"}]
    heard = [
        factory.raw("pdd.fds.order.get", param_fds_order_get_request=named),
        factory.raw(
            "pdd.fds.order.list.get",
            param_fds_order_list_get_request=now_window() | {"page": 1, "page_size": 9},
        ),
        factory.raw("pdd.fds.waybill.get", **factory.fds_get(parcel([named]))),
        factory.raw("pdd.waybill.query.by.waybillcode", param_list=listed),
        factory.raw("mock.waybill.find", orders=[named["order_mask_sn"]]),
        factory.network.log(),
    ]
    for answer in heard:
        text = json.dumps(answer, ensure_ascii=False)
        assert number in text or named["order_mask_sn"] in text
        for secret in (NAME, MOBILE, STREET, "石牌"):
            assert secret not in text
        assert answer is heard[-1] or "260102-1" not in text  # the network itself may know the order's number
    control = factory.call(
        "mock.print_data.open",
        print_data=heard[2]["pdd_fds_waybill_get_response"]["modules"][0]["print_data"],
    )
    assert STREET in control["print_data"]


def test_a_factory_cant_read_or_print_what_is_not_its_own(
    merchant: Shop, factory: Shop, network: MockCarrier
) -> None:
    """Orders of others, guessed names and withdrawn assignments are refused with one and the same message."""
    merchant.put("260103-1")
    named = merchant.assign("260103-1", factory)
    stranger = Shop(network, "a stranger's factory")
    stranger.open_service()
    refused = (50002, "order is not assigned to this factory")
    assert stranger.refusal("pdd.fds.order.get", param_fds_order_get_request=named) == refused
    assert stranger.refusal("pdd.fds.waybill.get", **factory.fds_get(parcel([named]))) == refused
    wrong = named | {"mall_mask_id": "M0"}
    assert factory.refusal("pdd.fds.order.get", param_fds_order_get_request=wrong) == refused
    merchant.call("mock.order.assign", order_sn="260103-1", factory_shop="")
    assert factory.call("pdd.fds.order.get", param_fds_order_get_request=named)["status"] == 0
    assert factory.refusal("pdd.fds.waybill.get", **factory.fds_get(parcel([named]))) == refused
    assert merchant.assign("260103-1", stranger)["order_mask_sn"] != named["order_mask_sn"]


def test_equal_recipients_have_equal_ids_and_may_share_a_parcel(merchant: Shop, factory: Shop) -> None:
    """A factory may merge orders of one receiver_id without seeing the recipient; others are refused."""
    other = RECIPIENT | {"name": "另一个人"}
    first, second, third = (
        merchant.assign(merchant.put(f"260104-{at}", recipient=recipient), factory)
        for at, recipient in enumerate((RECIPIENT, RECIPIENT, other))
    )
    ids = [
        factory.call("pdd.fds.order.get", param_fds_order_get_request=named)["receiver_id"]
        for named in (first, second, third)
    ]
    assert ids[0] == ids[1] != ids[2]
    (module,) = factory.call("pdd.fds.waybill.get", **factory.fds_get(parcel([first, second])))["modules"]
    for named in (first, second):
        back = named | {"waybill_code": module["waybill_code"], "wp_code": "ZTO"}
        factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=back)
    code, reason = factory.refusal("pdd.fds.waybill.get", **factory.fds_get(parcel([first, third], "2")))
    assert (code, reason.endswith("the orders have several recipients")) == (50002, True)
    groups = merchant.call(
        "pdd.order.merge.ship.order.group",
        order_list=[{"order_sn": f"260104-{at}"} for at in (0, 1, 2, 9)],
    )["order_group_list"]
    assert groups == [{"order_sn_list": ["260104-0", "260104-1"]}, {"order_sn_list": ["260104-2"]}]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"wp_code": "SF"}, 21001, "wp_code: one of"),
        ({"sender": SENDER | {"phone": ""}}, 21002, "sender.phone: is required"),
        (
            {"sender": SENDER | {"address": ADDRESS | {"detail": "文一西路 969号"}}},
            50002,
            "sender address matches",
        ),
        ({"trade_order_info_dtos": []}, 21002, "is empty"),
        ({"trade_order_info_dtos": [{}] * 11}, 21001, "at most 10 elements"),
        ({"trade_order_info_dtos": [{"recipient": RECIPIENT}]}, 21001, "comes from the merchant's order"),
        (
            {"trade_order_info_dtos": [{"package_info": {"total_packages_count": 1}}]},
            21001,
            "total_packages_count: must be text",
        ),
    ],
)
def test_a_wrong_fds_request_names_its_field(
    merchant: Shop, factory: Shop, changes: dict[str, Any], code: int, said: str
) -> None:
    """The factory's get takes four carriers, its sender letter for letter, no recipient, ten parcels, and a count as text."""
    named = merchant.assign(merchant.put("260105-1"), factory)
    request = factory.fds_get(parcel([named]), **changes)
    found = factory.refusal("pdd.fds.waybill.get", **request)
    assert found[0] == code
    assert said in found[1]


def test_a_return_wants_a_number_of_that_order(merchant: Shop, factory: Shop) -> None:
    """A number that does not exist, of another order, cancelled, or a second one is not returned."""
    first, second = (merchant.assign(merchant.put(f"260106-{at}"), factory) for at in (1, 2))
    number, other = factory.number_for(first), factory.number_for(second)
    spare = factory.number_for(first, "2")

    def refused(code: str, wp_code: str = "ZTO") -> tuple[int, str]:
        asked = first | {"waybill_code": code, "wp_code": wp_code}
        return factory.refusal("pdd.fds.waybill.return", param_fds_waybill_return_request=asked)

    assert refused("73000000000000") == (50002, "waybill does not exist")
    assert refused(number, "YTO") == (50002, "waybill does not exist")
    assert refused(other) == (50002, "waybill was not given for this order")
    factory.call("pdd.waybill.cancel", waybill_code=spare, wp_code="ZTO")
    assert refused(spare) == (50002, "waybill was cancelled")
    good = first | {"waybill_code": number, "wp_code": "ZTO"}
    factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=good)
    third = factory.number_for(first, "3")
    assert refused(third)[1].startswith("another waybill was returned")
    assert factory.refusal("pdd.fds.waybill.return", param_fds_waybill_return_request={})[0] == 21002
    broken_rule = {"param_fds_waybill_cancel_request": good}  # the wrapper is named otherwise than all others
    assert factory.refusal("pdd.fds.waybill.cancel", **broken_rule)[0] == 21002


def test_further_numbers_are_returned_after_the_main_one(merchant: Shop, factory: Shop) -> None:
    """At most ten further numbers of an order, without the main one, and only once that was returned."""
    named = merchant.assign(merchant.put("260107-1"), factory)
    main, *others = (factory.number_for(named, str(at)) for at in range(3))
    asked = named | {"waybill_codes": others, "wp_code": "ZTO"}
    assert factory.refusal("pdd.fds.waybill.return.slave", request=asked)[0] == 50002
    factory.call(
        "pdd.fds.waybill.return",
        param_fds_waybill_return_request=named | {"waybill_code": main, "wp_code": "ZTO"},
    )
    for _ in range(2):
        assert factory.call("pdd.fds.waybill.return.slave", request=asked)["result"] is True
    assert merchant.state("260107-1")["waybill_codes"] == others
    with_main = asked | {"waybill_codes": [main]}
    assert factory.refusal("pdd.fds.waybill.return.slave", request=with_main)[0] == 50002
    eleven = asked | {"waybill_codes": [f"7300000000{at:04d}" for at in range(11)]}
    assert factory.refusal("pdd.fds.waybill.return.slave", request=eleven)[0] == 21001


@pytest.mark.parametrize(
    "changes",
    [{"after_sales_status": 2}, {"risk_control_status": 1}, {"refund_status": 3}, {"order_status": 2}],
)
def test_an_abnormal_order_is_neither_assigned_nor_printed(
    merchant: Shop, factory: Shop, changes: dict[str, int]
) -> None:
    """An after-sale case, a review, a refund or a shipment stops assignment, and a get where no number was returned yet."""
    merchant.put("260108-1", **changes)
    there = factory.call("mock.shop")["shop"]
    assert merchant.refusal("mock.order.assign", order_sn="260108-1", factory_shop=there)[0] == 50002
    named = merchant.assign(merchant.put("260108-2"), factory)
    returned = merchant.assign(merchant.put("260108-3"), factory)
    number = factory.number_for(returned)
    back = returned | {"waybill_code": number, "wp_code": "ZTO"}
    factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=back)
    merchant.put("260108-2", **changes)
    merchant.put("260108-3", **changes)
    assert factory.refusal("pdd.fds.waybill.get", **factory.fds_get(parcel([named])))[0] == 50002
    assert factory.number_for(returned) == number


def test_a_changed_recipient_needs_a_new_number(merchant: Shop, factory: Shop) -> None:
    """The order stays assigned, the factory sees it as changed, and the old number can't be had again for the new address."""
    named = merchant.assign(merchant.put("260109-1"), factory)
    number = factory.number_for(named)
    before = factory.call("pdd.fds.order.get", param_fds_order_get_request=named)
    changed = merchant.call(
        "pdd.order.update.address",
        order_sn="260109-1",
        receiver_name="新的收件人",
        receiver_phone="13900005678",
        province="广东省",
        city="东莞市",
        town="虎门镇",
        address="人民路 1 号",
    )
    assert (changed["success"], changed["errorCode"]) == (True, 0)
    after = factory.call("pdd.fds.order.get", param_fds_order_get_request=named)
    assert after["receiver_id"] != before["receiver_id"]
    assert (after["city"], after["district"], after["status"]) == ("东莞市", "虎门镇", 1)
    code, reason = factory.refusal("pdd.fds.waybill.get", **factory.fds_get(parcel([named])))
    assert (code, reason) == (50002, "the parcel's waybill has another recipient: cancel it first")
    factory.call("pdd.waybill.cancel", waybill_code=number, wp_code="ZTO")
    assert factory.number_for(named) != number


def test_an_address_that_does_not_exist_or_comes_late_is_not_taken(merchant: Shop) -> None:
    """A place must exist, by name or by id; after shipping the platform says no inside its good answer."""
    merchant.put("260110-1")
    address = {
        "order_sn": "260110-1",
        "receiver_name": "甲乙",
        "receiver_phone": "13900005678",
        "province": "广东省",
        "city": "广州市",
        "town": "临平区",
        "address": "人民路 1 号",
    }
    assert merchant.refusal("pdd.order.update.address", **address)[0] == 21001
    info = merchant.call("pdd.order.information.get", order_sn="260110-1")["order_info"]
    by_id = dict.fromkeys(("province", "city", "town"), "") | {
        name: info[name] for name in ("province_id", "city_id", "town_id")
    }
    assert merchant.call("pdd.order.update.address", **address | by_id)["success"] is True
    merchant.call(
        "pdd.logistics.online.send", order_sn="260110-1", logistics_id=85, tracking_number="YT1234567890123"
    )
    late = merchant.call("pdd.order.update.address", **address | by_id)
    assert (late["success"], late["errorCode"]) == (False, 50002)
    assert late["errorMsg"]


def test_shipping_refuses_what_the_platform_refuses(merchant: Shop, factory: Shop) -> None:
    """An unavailable or unknown carrier, a dead number, another carrier's number and a shipped order don't ship; a changed number does."""
    companies = merchant.call("pdd.logistics.companies.get")["logistics_companies"]
    assert all(set(one) == {"id", "code", "logistics_company", "available"} for one in companies)
    ids = {one["code"]: one["id"] for one in companies}
    gone = next(one["id"] for one in companies if one["available"] == 0)
    merchant.put("260111-1")
    number = factory.number_for(merchant.assign("260111-1", factory))

    def refused(logistics_id: int, tracking_number: str, **more: Any) -> tuple[int, str]:
        return merchant.refusal(
            "pdd.logistics.online.send",
            order_sn="260111-1",
            logistics_id=logistics_id,
            tracking_number=tracking_number,
            **more,
        )

    def allowed(code: str, tracking_number: str) -> bool:
        asked = {"order_sn": "260111-1", "ship_code": code, "tracking_number": tracking_number}
        return bool(merchant.call("pdd.open.logistics.pre.check", **asked)["allowed"])

    assert refused(gone, "123456") == (50002, "logistics_id: this carrier is not available")
    assert refused(987654, "123456")[0] == 21001
    assert refused(ids["YTO"], number) == (50002, "tracking_number: is another carrier's")
    assert refused(ids["ZTO"], number, redelivery_type=2) == (50002, "order was not shipped yet")
    assert refused(ids["ZTO"], number, refund_address_id="77") == (
        50002,
        "refund_address_id: no such return address",
    )
    assert (allowed("ZTO", number), allowed("YTO", number), allowed("XYZ", number)) == (True, False, False)
    merchant.call(
        "pdd.logistics.online.send", order_sn="260111-1", logistics_id=ids["ZTO"], tracking_number=number
    )
    merchant.call(
        "pdd.logistics.online.send", order_sn="260111-1", logistics_id=ids["ZTO"], tracking_number=number
    )
    assert refused(ids["YTO"], "YT1234567890123") == (50002, "order is not to be shipped")
    assert not allowed("ZTO", number)
    merchant.call(
        "pdd.logistics.online.send",
        order_sn="260111-1",
        logistics_id=ids["YTO"],
        tracking_number="YT1234567890123",
        redelivery_type=2,
    )
    info = merchant.call("pdd.order.information.get", order_sn="260111-1")["order_info"]
    assert info["tracking_number"] == "YT1234567890123"


def test_return_addresses_and_the_one_used(merchant: Shop) -> None:
    """The shop's return addresses are listed with the first as default, and shipping may name one of them."""
    assert merchant.call("pdd.refund.address.list.get")["refund_address_list"] == []
    party = {"name": "退货组", "mobile": "13700001111", "address": ADDRESS}
    first = merchant.call("mock.refund_address.put", address=party)["refund_address_id"]
    assert merchant.call("mock.refund_address.put", address=party)["refund_address_id"] == first
    second = merchant.call("mock.refund_address.put", address=party | {"name": "二号仓"})["refund_address_id"]
    listed = merchant.call("pdd.refund.address.list.get")["refund_address_list"]
    assert [(one["refund_address_id"], one["is_default"]) for one in listed] == [(first, "Y"), (second, "N")]
    assert (listed[0]["refund_name"], listed[0]["district_name"]) == ("退货组", "余杭区")
    assert listed[0]["district_id"] > 0
    merchant.put("260112-1")
    merchant.call(
        "pdd.logistics.online.send",
        order_sn="260112-1",
        logistics_id=1,
        tracking_number="773000000000001",
        refund_address_id=second,
    )


def test_further_numbers_printing_and_waybill_types_are_noted(merchant: Shop) -> None:
    """Extra numbers stand in the list of their kind; the print report answers without a root; types are reported per order."""
    merchant.put("260113-1")
    tracks = [{"shipping_id": 1, "tracking_number": "773000000000001"}]
    for kind in (1, 2, 1):
        sent = merchant.call(
            "pdd.order.upload.extra.logistics",
            order_sn="260113-1",
            extra_track_type=kind,
            extra_track_list=tracks,
        )
        assert sent["success"] is True
    info = merchant.call("pdd.order.information.get", order_sn="260113-1")["order_info"]
    shown = [{"logistics_id": 1, "tracking_number": "773000000000001"}]
    assert (info["extra_delivery_list"], info["resend_delivery_list"]) == (shown, shown)
    assert info["gift_delivery_list"] == []
    told = merchant.raw(
        "pdd.erp.order.sync", order_sn="260113-1", order_state=1, waybill_no="773000000000001", logistics_id=1
    )
    assert {k: told[k] for k in told if k != "request_id"} == {
        "error_code": 0,
        "error_msg": "",
        "result": True,
        "success": True,
    }
    reported = merchant.call(
        "pdd.open.waybill.type.report", order_sn_list=["260113-1", "unknown"], waybill_type=2
    )["result_list"]
    assert reported == [
        {"order_sn": "260113-1", "success": True},
        {"order_sn": "unknown", "success": False},
    ]
    state = merchant.state("260113-1")
    assert (state["printed"], state["waybill_type"]) == ("773000000000001", 2)


def test_orders_are_listed_by_change_and_page(merchant: Shop) -> None:
    """The increment has 30 minutes and 100 orders at most, filters by state, and tells either the total or whether more follows."""
    for at in range(5):
        merchant.put(f"260114-{at}", order_status=1 + at % 2, refund_status=1 + at % 2)
    now_s = int(time.time())
    window = {"start_updated_at": now_s - 1500, "end_updated_at": now_s + 60}

    def ask(**more: Any) -> dict[str, Any]:
        asked = {"order_status": 5, "refund_status": 5} | window | more
        return merchant.call("pdd.order.number.list.increment.get", **asked)

    everything = ask()
    numbers = [order["order_sn"] for order in everything["order_sn_list"]]
    assert (sorted(numbers), everything["total_count"]) == ([f"260114-{at}" for at in range(5)], 5)
    assert "has_next" not in everything
    assert ask(order_status=1)["total_count"] == 3
    assert ask(refund_status=2)["total_count"] == 2
    pages = [ask(page=page, page_size=2, use_has_next="true") for page in (1, 2, 3, 4)]
    assert [page["has_next"] for page in pages] == [True, True, False, False]
    assert [order["order_sn"] for page in pages for order in page["order_sn_list"]] == numbers
    assert "total_count" not in pages[0]
    too_long = window | {"start_updated_at": now_s - 1800}
    name = "pdd.order.number.list.increment.get"
    assert merchant.refusal(name, order_status=5, refund_status=5, **too_long)[0] == 21001
    assert merchant.refusal(name, order_status=5, refund_status=5, page_size=101, **window)[0] == 21001
    assert merchant.refusal(name, order_status=4, refund_status=5, **window)[0] == 21001
    states = merchant.call("pdd.order.status.get", order_sns="260114-0,260114-1,nothing")["order_status_list"]
    assert states == [
        {"orderSn": "260114-0", "order_status": 1, "refund_status": 1},
        {"orderSn": "260114-1", "order_status": 2, "refund_status": 2},
    ]


def test_a_factorys_list_has_its_limits(merchant: Shop, factory: Shop) -> None:
    """The factory's window is 30 minutes within a month, its pages 1 to 100 orders; cancelled assignments stay listed."""
    for at in range(3):
        merchant.assign(merchant.put(f"260115-{at}"), factory)
    merchant.call("mock.order.assign", order_sn="260115-1", factory_shop="")

    def wrapped(**changes: int) -> dict[str, Any]:
        return {"param_fds_order_list_get_request": now_window() | {"page": 1, "page_size": 100} | changes}

    name = "pdd.fds.order.list.get"
    found = factory.call(name, **wrapped())
    assert (found["total"], sorted(order["status"] for order in found["order_list"])) == (3, [0, 1, 1])
    assert len(factory.call(name, **wrapped(page=2, page_size=2))["order_list"]) == 1
    now_ms = int(time.time() * 1000)
    for wrong in (
        {"start_updated_time": now_ms - 31 * 60_000, "end_updated_time": now_ms},
        {"start_updated_time": now_ms, "end_updated_time": now_ms - 1},
        {"start_updated_time": now_ms - 40 * 86_400_000, "end_updated_time": now_ms - 40 * 86_400_000},
        {"page_size": 101},
        {"page": 0},
    ):
        assert factory.refusal(name, **wrapped(**wrong))[0] == 21001, wrong
    assert factory.refusal(name, param_fds_order_list_get_request=now_window())[0] == 21002


def test_an_orders_recipient_is_ciphertext_or_nothing(merchant: Shop) -> None:
    """While an order is to be shipped its receiver fields are ciphertext with masked twins, under review they are empty."""
    merchant.put("260116-1")
    info = merchant.call("pdd.order.information.get", order_sn="260116-1")["order_info"]
    for name in ("receiver_name", "receiver_phone", "receiver_address", "address"):
        assert info[name].startswith("~")
        assert info[name].endswith("~2~~")
        assert "*" in info[f"{name}_mask"]
    assert info["receiver_name_mask"] == "欧****"
    assert info["receiver_phone_mask"].count("*") >= 6
    assert (info["province"], info["town"], info["item_list"][0]["goods_price"]) == ("广东省", "天河区", 19.9)
    merchant.put("260116-1", risk_control_status=1)
    hidden = merchant.call("pdd.order.information.get", order_sn="260116-1")["order_info"]
    assert {hidden[name] for name in ("receiver_name", "receiver_phone", "receiver_name_mask")} == {""}
    assert hidden["risk_control_status"] == 1


def test_templates_and_custom_areas(merchant: Shop) -> None:
    """Each carrier has its standard templates, and each of them its custom areas."""
    datas = merchant.call("pdd.cloudprint.stdtemplates.get", wp_code="ZTO")["result"]["datas"]
    assert [data["wp_code"] for data in datas] == ["ZTO"]
    assert len(merchant.call("pdd.cloudprint.stdtemplates.get")["result"]["datas"]) == 9
    for template in datas[0]["standard_templates"]:
        assert set(template) == {
            *(
                "standard_template_id",
                "standard_template_name",
                "standard_template_url",
                "standard_waybill_type",
            )
        }
        area = merchant.call("pdd.cloudprint.customares.get", template_id=template["standard_template_id"])
        (custom,) = area["result"]["datas"]
        assert set(custom) == {"custom_area_id", "custom_area_name", "custom_area_url", "keys"}
    assert merchant.refusal("pdd.cloudprint.customares.get", template_id=1)[0] == 50002


def test_the_region_tree_is_served_whole(merchant: Shop) -> None:
    """Country, provinces, cities and counties with parents and national codes, in one answer."""
    listed = merchant.call("pdd.logistics.address.get")["logistics_address_list"]
    assert set(listed[0]) == {"id", "parent_id", "region_name", "region_type", "national_code", "is_enabled"}
    by_id = {region["id"]: region for region in listed}
    (county,) = (region for region in listed if region["national_code"] == "653229")
    way = [county, by_id[county["parent_id"]], by_id[by_id[county["parent_id"]]["parent_id"]]]
    assert [region["region_name"] for region in way] == ["和安县", "和田地区", "新疆维吾尔自治区"]
    assert [region["region_type"] for region in way] == [3, 2, 1]


JUNK = [
    "",
    "x",
    "-1",
    "1e9",
    "null",
    "[]",
    "[[]]",
    "{}",
    "[{}]",
    '[{"order_sn": 5}]',
    '{"order_sn": {}}',
    "[" * 60,
    '"\\ud800"',
    "9" * 30,
]
NAMES = [
    *("param_fds_order_list_get_request", "param_fds_order_get_request", "param_fds_waybill_get_request"),
    *("param_fds_waybill_return_request", "pdd_fds_waybill_cancel_request", "request", "wp_code"),
    *("template_id", "order_sn", "logistics_id", "tracking_number", "ship_code", "extra_track_type"),
    *("extra_track_list", "order_state", "waybill_no", "order_sn_list", "waybill_type", "start_updated_at"),
    *("end_updated_at", "order_status", "refund_status", "order_sns", "order_list", "receiver_name"),
    *("receiver_phone", "province", "city", "town_id", "address", "order", "factory_shop", "print_data"),
]


@pytest.mark.parametrize("junk", JUNK)
def test_junk_is_refused_by_name_and_never_an_internal_error(merchant: Shop, junk: str) -> None:
    """Whatever stands in any parameter of any of these calls, the answer is good or a parameter's or business error."""
    for type_ in trade.CALLS:
        answer = merchant.raw(type_, **dict.fromkeys(NAMES, junk))
        error = answer.get("error_response", {"error_code": 0})
        assert error["error_code"] in (0, 10000, 21001, 21002, 50002), (type_, error)


def test_a_factory_cant_change_or_unseal_its_label(merchant: Shop, factory: Shop) -> None:
    """An update of a dropship number is refused as business, and leaves its print data sealed."""
    number = factory.number_for(merchant.assign(merchant.put("260118-1"), factory))
    change = {"waybill_code": number, "wp_code": "ZTO", "sender": {"name": "厂家乙", "mobile": "13700001111"}}
    refused = factory.refusal("pdd.waybill.update", param_waybill_cloud_print_update_request=change)
    assert refused[0] == 50002
    listed = [{"waybill_code": number, "wp_code": "ZTO"}]
    (module,) = factory.call("pdd.waybill.query.by.waybillcode", param_list=listed)["modules"]
    assert "encryptedData" in json.loads(module["waybill_cloud_print_response"]["print_data"])


def test_the_log_names_orders_and_numbers_of_every_call(merchant: Shop, factory: Shop) -> None:
    """The network's log tells which orders and numbers a call was about, also where a factory names them its own way."""
    merchant.put("260119-1")
    named = merchant.assign("260119-1", factory)
    before = factory.network.mark()
    number = factory.number_for(named)
    back = named | {"waybill_code": number, "wp_code": "ZTO"}
    factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=back)
    merchant.call("pdd.logistics.online.send", order_sn="260119-1", logistics_id=115, tracking_number=number)
    entries = factory.network.log(before)
    masked = [named["order_mask_sn"]]
    assert [entry["orders"] for entry in entries] == [masked, masked, ["260119-1"]]
    assert [entry["numbers"] for entry in entries] == [[number]] * 3
    assert [entry["code"] for entry in entries] == [0, 0, 0]


def test_trade_is_kept_through_a_kill(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was answered about orders, assignments and returned numbers stands after the network was killed."""
    where = tmp_path_factory.mktemp("killed")
    with mock_carrier(where) as running:
        merchant, factory = Shop(running, "merchant"), Shop(running, "factory")
        factory.open_service()
        named = merchant.assign(merchant.put("260117-1"), factory)
        number = factory.number_for(named)
        back = named | {"waybill_code": number, "wp_code": "ZTO"}
        factory.call("pdd.fds.waybill.return", param_fds_waybill_return_request=back)
        running.process.kill()
        running.process.wait(10)
    with mock_carrier(where) as running:
        merchant, factory = Shop(running, "merchant"), Shop(running, "factory")
        assert merchant.state("260117-1")["waybill_code"] == number
        assert factory.number_for(named) == number
