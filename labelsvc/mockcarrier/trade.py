"""The platform's calls around waybills: dropship factories, templates, orders, shipping, return addresses, regions.

Hides how each call's request is read and its answer worded, with the platform's own spellings, and how a
factory's data are veiled: it never sees a recipient, and its print data are encrypted.

Required: *. Times ms or s are Unix time. An order of the merchant's is `ORDER`:
    order_sn, order_status 1 to ship, 2 shipped, 3 received, refund_status 1 none, 2 in progress, 3 refunding,
    4 refunded, after_sales_status, confirm_status, risk_control_status, receiver_name, receiver_phone,
    receiver_address, address (each with a _mask twin; ciphertext while it is to be shipped and not under review,
    else empty), province, city, town and their _id, item_list[], created_time, updated_at, last_ship_time,
    shipping_time, logistics_id, tracking_number, buyer_memo, remark, remark_tag, order_tag_list[],
    gift_delivery_list[], resend_delivery_list[], extra_delivery_list[] {logistics_id, tracking_number}
and for its factory it is `DROPSHIP`:
    mall_mask_id, mall_mask_name, order_mask_sn, province, city, district, receiver_id, goods_name, goods_spec,
    goods_number, product_sn, out_sku_sn, product_price, remark, allow_time, status, return_status,
    after_sales_status, sf_only

    pdd.fds.role.get                    -> mall_role: 2 once an order was assigned to the shop, else 0
    pdd.fds.order.list.get              param_fds_order_list_get_request {start_updated_time*, end_updated_time*
                                        (ms, 30 minutes at most, a month back), page*, page_size* <= 100}
                                        -> order_list[] DROPSHIP, total
    pdd.fds.order.get                   param_fds_order_get_request {mall_mask_id*, order_mask_sn*} -> DROPSHIP
    pdd.fds.waybill.get                 param_fds_waybill_get_request: as pdd.waybill.get, without recipient,
                                        with trade_order_list[] {mall_mask_id*, order_mask_sn*} of one recipient,
                                        wp_code YTO|ZTO|YUNDA|STO, sender with mobile* and phone*, text
                                        total_packages_count -> modules[]; print_data: JSON text {encryptedData,
                                        signature, templateUrl, userid, ver}
    pdd.fds.waybill.return              param_fds_waybill_return_request {mall_mask_id*, order_mask_sn*,
                                        waybill_code*, wp_code*} -> return_result
    pdd.fds.waybill.cancel              pdd_fds_waybill_cancel_request {the same}: takes a return back
                                        -> return_result
    pdd.fds.waybill.return.slave        request {mall_mask_id*, order_mask_sn*, waybill_codes* 1-10, wp_code*}
                                        -> result
    pdd.cloudprint.stdtemplates.get     wp_code -> result.datas[] {wp_code, standard_templates[]}
    pdd.cloudprint.customares.get       template_id* -> result.datas[] {custom_area_id, ..., keys[]}
    pdd.logistics.companies.get         -> logistics_companies[] {id, code, logistics_company, available}
    pdd.logistics.address.get           -> logistics_address_list[] {id, parent_id, region_name, region_type,
                                        national_code, is_enabled}
    pdd.logistics.online.send           order_sn*, logistics_id*, tracking_number*, refund_address_id,
                                        redelivery_type 1|2, feature -> is_success
    pdd.open.logistics.pre.check        order_sn*, ship_code* (id or code), tracking_number* -> allowed
    pdd.order.upload.extra.logistics    order_sn*, extra_track_type* 1 split parcel|2 resend|3 gift,
                                        extra_track_list* [{shipping_id*, tracking_number*}] -> success
    pdd.erp.order.sync                  order_sn*, order_state* (1), waybill_no*, logistics_id*
                                        -> {error_code, error_msg, result, success}, no root object
    pdd.open.waybill.type.report        order_sn_list* 1-100, waybill_type* 0|1|2|99
                                        -> result_list[] {order_sn, success}
    pdd.order.number.list.increment.get start_updated_at*, end_updated_at* (s, 30 minutes at most),
                                        order_status* 1|2|3|5, refund_status* 1-5, page, page_size <= 100,
                                        use_has_next -> order_sn_list[] ORDER, total_count or has_next
    pdd.order.information.get           order_sn* -> order_info ORDER
    pdd.order.status.get                order_sns* (comma list of at most 100) -> order_status_list[] {orderSn,
                                        order_status, refund_status}
    pdd.order.merge.ship.order.group    order_list* 1-100 [{order_sn*}] -> order_group_list[] {order_sn_list[]}
    pdd.order.update.address            order_sn*, receiver_name*, receiver_phone*, province*, city*, town* (the
                                        district; or their _id), address* -> success, errorCode, errorMsg
    pdd.refund.address.list.get         -> refund_address_list[]
    mock.shop                           -> shop: the name that mock.order.assign wants of a factory
    mock.order.put                      order* {order_sn*, recipient* PARTY, items* [{goods_name*, goods_spec,
                                        goods_count*, goods_price and product_price (fen), goods_id, sku_id,
                                        outer_id, outer_goods_id}], order_status, refund_status,
                                        after_sales_status, risk_control_status 0|1, sf_only 0|1, buyer_memo,
                                        remark, remark_tag, mall_name} -> order_sn; put again: as it is now
    mock.order.assign                   order_sn*, factory_shop (empty: the assignment is cancelled)
                                        -> mall_mask_id, order_mask_sn (empty)
    mock.order.get                      order_sn* -> order_sn, order_mask_sn, assigned, return_status, wp_code,
                                        waybill_code, waybill_codes[], printed, waybill_type, extra_track_list[]
    mock.refund_address.put             address* PARTY -> refund_address_id; the first is the default
    mock.print_data.open                print_data* of a factory's waybill -> print_data in clear: what the
                                        platform's print component does
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from labelsvc.mockcarrier import counties
from labelsvc.mockcarrier.network import (
    BATCH,
    CARRIERS,
    ITEMS_PER_PARCEL,
    ORDERS_PER_PARCEL,
    Carrier,
    Party,
    WaybillRequest,
    read_carrier,
)
from labelsvc.mockcarrier.trade_books import (
    COMPANIES,
    NO_REFUND,
    NO_SUCH_ORDER,
    NOT_ASSIGNED,
    REFUNDED,
    TO_SHIP,
    Assignment,
    Content,
    Item,
    LogisticsCompany,
    Order,
    TradeBooks,
    new_mask_sn,
)
from labelsvc.mockcarrier.wire import Field, Refused

if TYPE_CHECKING:
    from labelsvc.mockcarrier.gateway import Answer, Desk, Verb

WINDOW_S = 30 * 60
REACH_S = 31 * 86_400
PAGE = 100
DROPSHIP_CARRIERS = ("YTO", "ZTO", "YUNDA", "STO")
SHIP_WITHIN_S = 48 * 3600
_CHINA = timezone(timedelta(hours=8))
_MOST = 2**63 - 1
_EXTRA_KINDS = {1: "extra_delivery_list", 2: "resend_delivery_list", 3: "gift_delivery_list"}
_SIZES = {1: ("76x130", "一联单"), 2: ("100x180", "二联单")}
_T = TypeVar("_T")

# -- the dropship factory --


def fds_role(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    return {"mall_role": 2 if _books(desk).is_factory(shop) else 0}, ()


def fds_order_list(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    asked = Field.json_parameter(business, "param_fds_order_list_get_request").required()
    start_ms = asked.at("start_updated_time").required().whole(0, _MOST)
    end_ms = asked.at("end_updated_time").required().whole(0, _MOST)
    _check_window(asked.path, "end_updated_time", start_ms, end_ms, WINDOW_S * 1000)
    if start_ms < (time.time() - REACH_S) * 1000:
        raise Refused(21001, f"{asked.path}.start_updated_time: reaches back one month at most")
    found = _books(desk).assignments(shop, start_ms, end_ms)
    shown = _page(found, asked.at("page").required(), asked.at("page_size").required())
    return {"order_list": [_for_factory(desk, each) for each in shown], "total": len(found)}, ()


def fds_order(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    asked = Field.json_parameter(business, "param_fds_order_get_request").required()
    return _for_factory(desk, _books(desk).assignment(shop, _masked_order(desk, shop, asked))), ()


def fds_waybill_get(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    name = "param_fds_waybill_get_request"
    asked = Field.json_parameter(business, name).required()
    carrier = read_carrier(asked.at("wp_code"))
    if carrier.wp_code not in DROPSHIP_CARRIERS:
        raise Refused(21001, f"{name}.wp_code: one of {', '.join(DROPSHIP_CARRIERS)}")
    for contact in ("mobile", "phone"):
        asked.at("sender").at(contact).required().text(20)
    elements = asked.at("trade_order_info_dtos").each(BATCH)
    # From here on it is a request as any merchant's, with the factory's names for the orders.
    whole = json.loads(business[name])
    for element, raw in zip(elements, whole["trade_order_info_dtos"], strict=True):
        if not element.at("recipient").missing:
            raise Refused(21001, f"{element.path}.recipient: comes from the merchant's order")
        element.at("package_info").at("total_packages_count").text(10)
        listed = element.at("order_info").at("trade_order_list").each(ORDERS_PER_PARCEL)
        assignments = [_books(desk).to_print(shop, _masked_order(desk, shop, one)) for one in listed]
        recipients = {each.order.recipient for each in assignments}
        if len(recipients) > 1:
            raise Refused(50002, f"{element.path}.order_info: the orders have several recipients")
        raw["order_info"]["trade_order_list"] = [each.order_mask_sn for each in assignments]
        raw["recipient"] = _wire_party(recipients.pop())
    wanted = WaybillRequest.read(Field(name, whole))
    modules, numbers = [], []
    for parcel, given in zip(
        wanted.parcels, desk.books.issue(shop, wanted, desk.behaviour.repeat), strict=True
    ):
        sealed = given.print_data
        if not _is_sealed(sealed):
            sealed = _seal_print_data(desk, sealed, parcel.template_url)
            _books(desk).seal_print_data(given.waybill_code, sealed)
        modules.append(
            {
                "object_id": parcel.object_id,
                "waybill_code": given.waybill_code,
                "parent_waybill_code": given.parent or None,
                "print_data": sealed,
            }
        )
        numbers.append(given.waybill_code)
    return {"modules": modules}, numbers


def fds_waybill_return(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    asked = Field.json_parameter(business, "param_fds_waybill_return_request").required()
    order_mask_sn, carrier, number = _returned(desk, shop, asked)
    _books(desk).return_number(shop, order_mask_sn, carrier, number)
    return {"return_result": True}, [number]


def fds_waybill_cancel(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    asked = Field.json_parameter(business, "pdd_fds_waybill_cancel_request").required()
    order_mask_sn, carrier, number = _returned(desk, shop, asked)
    _books(desk).take_back(shop, order_mask_sn, carrier, number)
    return {"return_result": True}, [number]


def fds_waybill_return_slave(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    asked = Field.json_parameter(business, "request").required()
    numbers = [number.required().text(40) for number in asked.at("waybill_codes").each(BATCH)]
    order_mask_sn = _masked_order(desk, shop, asked)
    _books(desk).return_slaves(shop, order_mask_sn, read_carrier(asked.at("wp_code")), numbers)
    return {"result": True}, numbers


def _returned(desk: Desk, shop: str, asked: Field) -> tuple[str, Carrier, str]:
    number = asked.at("waybill_code").required().text(40)
    return _masked_order(desk, shop, asked), read_carrier(asked.at("wp_code")), number


def _masked_order(desk: Desk, shop: str, named: Field) -> str:
    """The order that `mall_mask_id` and `order_mask_sn` name; both must be right."""
    mall_mask_id = named.at("mall_mask_id").required().text(64)
    order_mask_sn = named.at("order_mask_sn").required().text(64)
    if _mall_mask_id(desk, _books(desk).assignment(shop, order_mask_sn).order.shop) != mall_mask_id:
        raise Refused(50002, NOT_ASSIGNED)
    return order_mask_sn


def _for_factory(desk: Desk, assignment: Assignment) -> dict[str, Any]:
    """An order with all that a factory may see of it: no name, no phone, nothing finer than the district."""
    order, to = assignment.order, assignment.order.recipient.address
    goods = order.content.items[0]
    return {
        "mall_mask_id": _mall_mask_id(desk, order.shop),
        "mall_mask_name": order.content.mall_name,
        "order_mask_sn": assignment.order_mask_sn,
        "province": to.province,
        "city": to.city,
        "district": to.district,
        "receiver_id": _receiver_id(desk, order.recipient),
        "goods_name": goods.goods_name,
        "goods_spec": goods.goods_spec,
        "goods_number": goods.goods_count,
        "product_sn": goods.outer_goods_id,
        "out_sku_sn": goods.outer_id,
        "product_price": goods.product_price,
        "remark": order.content.remark,
        "allow_time": assignment.assigned_ms,
        "status": int(assignment.assigned),
        "return_status": int(bool(assignment.returned)),
        "after_sales_status": order.content.after_sales_status,
        "sf_only": order.content.sf_only,
    }


# -- templates --


def standard_templates(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    one = Field.parameter(business, "wp_code")
    carriers = list(CARRIERS.values()) if one.missing else [read_carrier(one)]
    return {
        "result": {
            "datas": [
                {
                    "wp_code": carrier.wp_code,
                    "standard_templates": [
                        {
                            "standard_template_id": _template_id(carrier, kind),
                            "standard_template_name": f"{carrier.wp_name}{title}",
                            "standard_template_url": f"labelsvc://waybill-{size}",
                            "standard_waybill_type": kind,
                        }
                        for kind, (size, title) in _SIZES.items()
                    ],
                }
                for carrier in carriers
            ]
        }
    }, ()


def custom_areas(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    template_id = Field.parameter(business, "template_id").required().whole(0, 2**31 - 1)
    known = {_template_id(carrier, kind) for carrier in CARRIERS.values() for kind in _SIZES}
    if template_id not in known:
        raise Refused(50002, "template_id: no such standard template")
    keys = ("goods", "remark", "order_sn", "print_time")
    return {
        "result": {
            "datas": [
                {
                    "custom_area_id": template_id * 10 + 1,
                    "custom_area_name": "商品与备注",
                    "custom_area_url": f"labelsvc://custom-area-{template_id}",
                    "keys": [{"key_name": key} for key in keys],
                }
            ]
        }
    }, ()


def _template_id(carrier: Carrier, kind: int) -> int:
    return 1000 + 10 * list(CARRIERS).index(carrier.wp_code) + kind


# -- shipping --


def companies(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    return {
        "logistics_companies": [
            {
                "id": company.id,
                "code": company.code,
                "logistics_company": company.name,
                "available": int(company.available),
            }
            for company in COMPANIES.values()
        ]
    }, ()


def send(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    company = _company(Field.parameter(business, "logistics_id"))
    number = Field.parameter(business, "tracking_number").required().text(40)
    refund_address_id = Field.parameter(business, "refund_address_id").text(40)
    redelivery = Field.parameter(business, "redelivery_type")
    again = not redelivery.missing and redelivery.whole(1, 2) == 2
    Field.parameter(business, "feature").text(500)
    books = _books(desk)
    books.ship(books.order(shop, order_sn), company, number, refund_address_id, again)
    return {"is_success": True}, [number]


def pre_check(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    code = Field.parameter(business, "ship_code").required().text(20)
    number = Field.parameter(business, "tracking_number").required().text(40)
    books = _books(desk)
    order = books.order(shop, order_sn)
    company = next((each for each in COMPANIES.values() if code in (str(each.id), each.code)), None)
    if company is None:
        return {"allowed": False}, ()
    try:
        books.can_ship(order, company, number, again=False)
    except Refused:
        return {"allowed": False}, ()
    return {"allowed": True}, ()


def upload_extra(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    kind = Field.parameter(business, "extra_track_type").required().whole(1, 3)
    books = _books(desk)
    tracks: list[dict[str, Any]] = []
    for track in Field.json_parameter(business, "extra_track_list").each(PAGE):
        company = _company(track.at("shipping_id"))
        number = track.at("tracking_number").required().text(40)
        books.can_carry(company, number)
        tracks.append({"extra_track_type": kind, "shipping_id": company.id, "tracking_number": number})
    books.add_extra(shop, order_sn, tracks)
    return {"success": True}, [track["tracking_number"] for track in tracks]


def erp_sync(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    Field.parameter(business, "order_state").required().whole(1, 1)
    number = Field.parameter(business, "waybill_no").required().text(40)
    _company(Field.parameter(business, "logistics_id"))
    _books(desk).note_printed(shop, order_sn, number)
    return {"error_code": 0, "error_msg": "", "result": True, "success": True}, [number]


def report_waybill_type(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    listed = Field.json_parameter(business, "order_sn_list").each(PAGE)
    kind = Field.parameter(business, "waybill_type").required().whole(0, 99)
    if kind not in (0, 1, 2, 99):
        raise Refused(21001, "waybill_type: one of 0, 1, 2, 99")
    numbers = [one.required().text(64) for one in listed]
    return {
        "result_list": [
            {"order_sn": number, "success": _books(desk).note_waybill_type(shop, number, kind)}
            for number in numbers
        ]
    }, ()


def _company(field: Field) -> LogisticsCompany:
    company = COMPANIES.get(field.required().whole(0, _MOST))
    if company is None:
        raise Refused(21001, f"{field.path}: no such carrier")
    return company


# -- orders --


def order_increment(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    start_s = Field.parameter(business, "start_updated_at").required().whole(0, _MOST)
    end_s = Field.parameter(business, "end_updated_at").required().whole(0, _MOST)
    _check_window("", "end_updated_at", start_s, end_s, WINDOW_S)
    status = Field.parameter(business, "order_status").required().whole(1, 5)
    if status == 4:
        raise Refused(21001, "order_status: one of 1, 2, 3, 5")
    refund = Field.parameter(business, "refund_status").required().whole(1, 5)
    found = _books(desk).changed(
        shop, start_s, end_s, None if status == 5 else status, None if refund == 5 else refund
    )
    page, size = Field.parameter(business, "page"), Field.parameter(business, "page_size")
    shown = _page(found, page, size)
    answer: dict[str, Any] = {"order_sn_list": [_for_merchant(desk, order) for order in shown]}
    if Field.parameter(business, "use_has_next").flag():
        answer["has_next"] = bool(shown) and shown[-1] is not found[-1]
    else:
        answer["total_count"] = len(found)
    return answer, ()


def order_information(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    return {"order_info": _for_merchant(desk, _books(desk).order(shop, order_sn))}, ()


def order_status(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    numbers = Field.parameter(business, "order_sns").required().text(10_000).split(",")
    if len(numbers) > PAGE:
        raise Refused(21001, f"order_sns: at most {PAGE} elements")
    orders = _known(desk, shop, (number.strip() for number in numbers))
    return {
        "order_status_list": [
            {
                "orderSn": order.order_sn,
                "order_status": order.order_status,
                "refund_status": order.refund_status,
            }
            for order in orders
        ]
    }, ()


def merge_groups(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    listed = Field.json_parameter(business, "order_list").each(PAGE)
    orders = _known(desk, shop, (one.at("order_sn").required().text(64) for one in listed))
    groups: dict[Party, list[str]] = {}
    for order in orders:
        if order.shippable:
            groups.setdefault(order.recipient, []).append(order.order_sn)
    return {"order_group_list": [{"order_sn_list": group} for group in groups.values()]}, ()


def update_address(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    place = [_region_name(business, name) for name in ("province", "city", "town")]
    changed = Party.read(
        Field(
            "address",
            {
                "name": Field.parameter(business, "receiver_name").required().text(40),
                "mobile": Field.parameter(business, "receiver_phone").required().text(20),
                "address": {
                    **dict(zip(("province", "city", "district"), place, strict=True)),
                    "detail": Field.parameter(business, "address").required().text(256),
                },
            },
        )
    )
    if not counties.covers(*place):
        raise Refused(21001, "town: there is no such place")
    try:
        _books(desk).readdress(shop, order_sn, changed)
    except Refused as no:
        return {"success": False, "errorCode": no.code, "errorMsg": no.reason}, ()
    return {"success": True, "errorCode": 0, "errorMsg": ""}, ()


def _known(desk: Desk, shop: str, numbers: Iterable[str]) -> list[Order]:
    """The orders of these numbers; those that don't exist are left out, as is a second mention."""
    orders = []
    for number in dict.fromkeys(numbers):
        try:
            orders.append(_books(desk).order(shop, number))
        except Refused as no:
            if no.reason != NO_SUCH_ORDER:
                raise
    return orders


def _for_merchant(desk: Desk, order: Order) -> dict[str, Any]:
    """An order as its merchant gets it: the recipient in ciphertext, with masked twins."""
    content, to = order.content, order.recipient.address
    secret = order.order_status == TO_SHIP and content.risk_control_status == 0
    phone = order.recipient.mobile or order.recipient.phone
    parts = {
        "receiver_name": (order.recipient.name, _mask(order.recipient.name, 1)),
        "receiver_phone": (phone, _mask(phone, 3, 2)),
        "receiver_address": (
            to.province + to.city + to.district + to.town + to.detail,
            to.province + to.city + to.district + "***",
        ),
        "address": (to.town + to.detail, "***"),
    }
    shown = {name: _ciphertext(desk, order, text) if secret else "" for name, (text, _) in parts.items()}
    masked = {f"{name}_mask": mask if secret else "" for name, (_, mask) in parts.items()}
    delivered: dict[str, list[dict[str, Any]]] = {name: [] for name in _EXTRA_KINDS.values()}
    for track in order.extra:
        delivered[_EXTRA_KINDS[track["extra_track_type"]]].append(
            {"logistics_id": track["shipping_id"], "tracking_number": track["tracking_number"]}
        )
    return {
        "order_sn": order.order_sn,
        "order_status": order.order_status,
        "refund_status": order.refund_status,
        "after_sales_status": content.after_sales_status,
        "confirm_status": 1,
        "risk_control_status": content.risk_control_status,
        **shown,
        **masked,
        "open_address_id": _receiver_id(desk, order.recipient),
        **_region_ids(to.province, to.city, to.district),
        "item_list": [
            {
                "goods_id": item.goods_id,
                "goods_name": item.goods_name,
                "goods_spec": item.goods_spec,
                "goods_count": item.goods_count,
                "goods_price": item.goods_price / 100,  # the platform's orders are in yuan
                "sku_id": item.sku_id,
                "outer_id": item.outer_id,
                "outer_goods_id": item.outer_goods_id,
                "goods_img": "",
            }
            for item in content.items
        ],
        "gift_list": [],
        "created_time": _china_time(order.created_s),
        "updated_at": _china_time(order.updated_s),
        "last_ship_time": _china_time(order.created_s + SHIP_WITHIN_S),
        "shipping_time": _china_time(order.shipped_s) if order.shipped_s else "",
        "logistics_id": order.logistics_id,
        "tracking_number": order.tracking_number,
        "buyer_memo": content.buyer_memo,
        "remark": content.remark,
        "remark_tag": content.remark_tag,
        "order_tag_list": [],
        **delivered,
    }


# -- addresses --


def refund_addresses(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    listed = []
    for at, (id_, party) in enumerate(_books(desk).refund_addresses(shop)):
        place = _region_ids(party.address.province, party.address.city, party.address.district)
        listed.append(
            {
                "id": id_,
                "refund_address_id": str(id_),
                "is_default": "Y" if at == 0 else "N",
                "is_legal": 1,
                "is_validated": 1,
                "mall_id": int(shop[:8], 16),
                "province_id": place["province_id"],
                "province_name": party.address.province,
                "city_id": place["city_id"],
                "city_name": party.address.city,
                "district_id": place["town_id"],
                "district_name": party.address.district,
                "refund_address": party.address.town + party.address.detail,
                "refund_name": party.name,
                "refund_phone": party.mobile,
                "refund_tel": party.phone,
            }
        )
    return {"refund_address_list": listed}, ()


def regions(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    return {
        "logistics_address_list": [
            {
                "id": region.id,
                "parent_id": region.parent_id,
                "region_name": region.name,
                "region_type": region.level,
                "national_code": region.code,
                "is_enabled": 1,
            }
            for region in counties.regions()
        ]
    }, ()


def _region_name(business: Mapping[str, str], name: str) -> str:
    """A level of an address, by name or by the id of the tree."""
    given = Field.parameter(business, name)
    if not given.missing:
        return given.text(20)
    wanted = Field.parameter(business, f"{name}_id")
    if wanted.missing:
        return given.required().text(20)
    id_ = wanted.whole(1, _MOST)
    if id_ > len(counties.regions()):
        raise Refused(21001, f"{name}_id: no such region")
    return counties.regions()[id_ - 1].name


def _region_ids(province: str, city: str, district: str) -> dict[str, Any]:
    """Names and ids of an address's three levels, under the platform's name for the third."""
    province_id, city_id, district_id = counties.region_ids(province, city, district)
    return {
        "province": province,
        "province_id": province_id,
        "city": city,
        "city_id": city_id,
        "town": district,
        "town_id": district_id,
    }


# -- the network's own calls --


def mock_shop(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    return {"shop": shop}, ()


def mock_order_put(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order = Field.json_parameter(business, "order").required()
    order_sn = order.at("order_sn").required().text(64)
    items = tuple(
        Item(
            goods_id=item.at("goods_id").whole(0, _MOST),
            goods_name=item.at("goods_name").required().text(200),
            goods_spec=item.at("goods_spec").text(200),
            goods_count=item.at("goods_count").required().whole(1, 1_000_000),
            goods_price=item.at("goods_price").whole(0, 10**12),
            product_price=item.at("product_price").whole(0, 10**12),
            sku_id=item.at("sku_id").whole(0, _MOST),
            outer_id=item.at("outer_id").text(100),
            outer_goods_id=item.at("outer_goods_id").text(100),
        )
        for item in order.at("items").each(ITEMS_PER_PARCEL)
    )
    content = Content(
        items=items,
        after_sales_status=order.at("after_sales_status").whole(0, 32),
        risk_control_status=order.at("risk_control_status").whole(0, 1),
        sf_only=order.at("sf_only").whole(0, 1),
        buyer_memo=order.at("buyer_memo").text(500),
        remark=order.at("remark").text(500),
        remark_tag=order.at("remark_tag").whole(0, 5),
        mall_name=order.at("mall_name").text(60),
    )
    status, refund = order.at("order_status"), order.at("refund_status")
    _books(desk).put(
        shop,
        order_sn,
        content,
        Party.read(order.at("recipient")),
        TO_SHIP if status.missing else status.whole(1, 3),
        NO_REFUND if refund.missing else refund.whole(NO_REFUND, REFUNDED),
    )
    return {"order_sn": order_sn}, ()


def mock_order_assign(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    factory = Field.parameter(business, "factory_shop").text(40)
    books, mall_mask_id = _books(desk), _mall_mask_id(desk, shop)
    if not factory:
        books.withdraw(shop, order_sn)
        return {"mall_mask_id": mall_mask_id, "order_mask_sn": ""}, ()
    assigned = books.assign(shop, order_sn, factory, new_mask_sn())
    return {"mall_mask_id": mall_mask_id, "order_mask_sn": assigned.order_mask_sn}, ()


def mock_order_get(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    order_sn = Field.parameter(business, "order_sn").required().text(64)
    order = _books(desk).order(shop, order_sn)
    assignment = _books(desk).assignment_of(shop, order_sn)
    return {
        "order_sn": order_sn,
        "order_mask_sn": assignment.order_mask_sn if assignment else "",
        "assigned": assignment is not None,
        "return_status": int(bool(assignment and assignment.returned)),
        "wp_code": assignment.wp_code if assignment else "",
        "waybill_code": assignment.returned if assignment else "",
        "waybill_codes": list(assignment.slaves) if assignment else [],
        "printed": order.printed,
        "waybill_type": order.waybill_type,
        "extra_track_list": list(order.extra),
    }, ()


def mock_refund_address_put(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    party = Party.read(Field.json_parameter(business, "address"))
    if not counties.covers(party.address.province, party.address.city, party.address.district):
        raise Refused(21001, "address.district: there is no such place")
    return {"refund_address_id": str(_books(desk).put_refund_address(shop, party))}, ()


def mock_print_data_open(desk: Desk, shop: str, business: Mapping[str, str]) -> Answer:
    sealed = Field.json_parameter(business, "print_data").required()
    try:
        text = base64.b64decode(sealed.at("encryptedData").required().text(2**20), validate=True)
        clear = _cipher(desk).decrypt(text[:12], text[12:], None)
    except (ValueError, InvalidTag):
        raise Refused(50002, "print_data: was not made by this network") from None
    return {"print_data": clear.decode()}, ()


# -- the veil --


def _books(desk: Desk) -> TradeBooks:
    return TradeBooks(desk.books.sql)


def _mall_mask_id(desk: Desk, shop: str) -> str:
    return "M" + desk.books.digest(f"mall {shop}".encode())[:16]


def _receiver_id(desk: Desk, recipient: Party) -> str:
    """Equal for equal name, phone and address, and says nothing about them."""
    return desk.books.digest(json.dumps(["receiver", _wire_party(recipient)]).encode())[:24]


def _cipher(desk: Desk) -> AESGCM:
    return AESGCM(bytes.fromhex(desk.books.digest(b"the platform's own key")))


def _encrypt(desk: Desk, text: str) -> str:
    """The same text always has the same ciphertext, because callers compare it; the nonce depends on the text."""
    nonce = bytes.fromhex(desk.books.digest(f"nonce {text}".encode()))[:12]
    return base64.b64encode(nonce + _cipher(desk).encrypt(nonce, text.encode(), None)).decode()


def _ciphertext(desk: Desk, order: Order, text: str) -> str:
    """A field of an order as the platform encrypts it: ~index~base64~2~~."""
    index = desk.books.digest(f"index {order.shop} {text}".encode())[:16]
    return f"~{index}~{_encrypt(desk, text)}~2~~"


def _is_sealed(print_data: str) -> bool:
    return "encryptedData" in json.loads(print_data)


def _seal_print_data(desk: Desk, clear: str, template_url: str) -> str:
    sealed = _encrypt(desk, clear)
    return json.dumps(
        {
            "encryptedData": sealed,
            "signature": desk.books.digest(f"signature {sealed}".encode()),
            "templateUrl": template_url,
            "userid": hashlib.sha256(sealed.encode()).hexdigest()[:8],
            "ver": "3",
        }
    )


def _mask(text: str, head: int, tail: int = 0) -> str:
    """At most `head` first and `tail` last letters, and never all of them."""
    head, tail = min(head, max(0, len(text) - 1)), tail if len(text) > head + tail else 0
    return text[:head] + "*" * (len(text) - head - tail) + (text[-tail:] if tail else "")


# -- small print --


def _wire_party(party: Party) -> dict[str, Any]:
    to = party.address
    return {
        "name": party.name,
        "mobile": party.mobile,
        "phone": party.phone,
        "address": {
            "province": to.province,
            "city": to.city,
            "district": to.district,
            "town": to.town,
            "detail": to.detail,
            "country": to.country,
        },
    }


def _check_window(path: str, end_name: str, start: int, end: int, most: int) -> None:
    where = f"{path}.{end_name}" if path else end_name
    if end < start:
        raise Refused(21001, f"{where}: lies before the start")
    if end - start > most:
        raise Refused(21001, f"{where}: at most 30 minutes after the start")


def _page(found: Sequence[_T], page: Field, page_size: Field) -> Sequence[_T]:
    """One page of `found`; pages count from 1 and hold 100 where nothing else is said."""
    size = PAGE if page_size.missing else page_size.whole(1, PAGE)
    at = 1 if page.missing else page.whole(1, 10**6)
    return found[(at - 1) * size : at * size]


def _china_time(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")


# The platform's response keys follow no one rule.
CALLS: dict[str, tuple[str, Verb]] = {
    "pdd.fds.role.get": ("pdd_fds_role_get_response", fds_role),
    "pdd.fds.order.list.get": ("pdd_fds_order_list_get_response", fds_order_list),
    "pdd.fds.order.get": ("pdd_fds_order_get_response", fds_order),
    "pdd.fds.waybill.get": ("pdd_fds_waybill_get_response", fds_waybill_get),
    "pdd.fds.waybill.return": ("pdd_fds_waybill_return_response", fds_waybill_return),
    "pdd.fds.waybill.cancel": ("pdd_fds_waybill_cancel_response", fds_waybill_cancel),
    "pdd.fds.waybill.return.slave": ("pdd_fds_waybill_return_slave_response", fds_waybill_return_slave),
    "pdd.cloudprint.stdtemplates.get": ("pdd_cloudprint_stdtemplates_get_response", standard_templates),
    "pdd.cloudprint.customares.get": ("pdd_cloudprint_customares_get_response", custom_areas),
    "pdd.logistics.companies.get": ("logistics_companies_get_response", companies),
    "pdd.logistics.address.get": ("logistics_address_get_response", regions),
    "pdd.logistics.online.send": ("logistics_online_send_response", send),
    "pdd.open.logistics.pre.check": ("logistics_pre_check_response", pre_check),
    "pdd.order.upload.extra.logistics": ("upload_extra_logistics_response", upload_extra),
    "pdd.erp.order.sync": ("", erp_sync),
    "pdd.open.waybill.type.report": ("open_waybill_type_report_response", report_waybill_type),
    "pdd.order.number.list.increment.get": ("order_sn_increment_get_response", order_increment),
    "pdd.order.information.get": ("order_info_get_response", order_information),
    "pdd.order.status.get": ("order_status_get_response", order_status),
    "pdd.order.merge.ship.order.group": ("merge_ship_order_group_response", merge_groups),
    "pdd.order.update.address": ("response", update_address),
    "pdd.refund.address.list.get": ("refund_address_list_get_response", refund_addresses),
    "mock.shop": ("mock_shop_response", mock_shop),
    "mock.order.put": ("mock_order_put_response", mock_order_put),
    "mock.order.assign": ("mock_order_assign_response", mock_order_assign),
    "mock.order.get": ("mock_order_get_response", mock_order_get),
    "mock.refund_address.put": ("mock_refund_address_put_response", mock_refund_address_put),
    "mock.print_data.open": ("mock_print_data_open_response", mock_print_data_open),
}
