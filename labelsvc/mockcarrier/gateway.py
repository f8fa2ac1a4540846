"""The network's doors: the platform's one POST endpoint, and the side doors through which tests watch and
disturb it.

Hides Flask, the table of call types with their response keys, and the faults that can be switched on while it
runs. Nothing of a request reaches standard output or an error text: the books' log is the only record.
"""

import ipaddress
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from labelsvc.mockcarrier.books import Application, Books, Given
from labelsvc.mockcarrier.network import (
    BATCH,
    CARRIERS,
    DIRECT,
    Address,
    WaybillRequest,
    network_points,
    read_carrier,
    read_orders,
)
from labelsvc.mockcarrier.wire import (
    MEANING,
    Call,
    Field,
    Refused,
    canonical,
    error_body,
    flatten,
    loggable_type,
    mentions,
    open_envelope,
)

REPEATS = ("same", "new", "exists")
BODY_LIMIT_BYTES = 4 * 1024 * 1024

Answer = tuple[dict[str, Any], Sequence[str]]
Verb = Callable[["Desk", str, Mapping[str, str]], Answer]


@dataclass(frozen=True)
class Behaviour:
    """How the network treats calls just now; what /control changes.

    `repeat`: same, new or exists. `latency_ms`: half of it passes before the effect and half between the
    commit and the answer. `drop_answers`: that many further calls take effect and then lose their answer.
    `fail_next`: that many further calls get HTTP 502 without effect. `error`: every call is refused with this
    code, without effect, until it is 0. `only`: the one call type that the last three apply to; empty for
    all.
    """

    repeat: str = "same"
    latency_ms: int = 0
    drop_answers: int = 0
    fail_next: int = 0
    error: int = 0
    only: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                raise ValueError(f"{field.name}: wrong type")
            if isinstance(value, int) and not 0 <= value <= 600_000:
                raise ValueError(f"{field.name}: must be from 0 to 600000")
        if self.repeat not in REPEATS:
            raise ValueError(f"repeat: one of {', '.join(REPEATS)}")
        if self.error and self.error not in MEANING:
            raise ValueError("error: not a code of the platform's table")
        if self.only and self.only not in _CALLS:
            raise ValueError("only: no such call type")


class Desk:
    """Who answers the calls: reads a call's parameters, has the books do it, words the answer."""

    def __init__(self, books: Books, behaviour: Behaviour) -> None:
        self.books = books
        self._behaviour = behaviour
        self._turn = threading.Lock()

    @property
    def behaviour(self) -> Behaviour:
        with self._turn:
            return self._behaviour

    def change(self, changes: Mapping[str, Any]) -> Behaviour:
        """Change some settings; ValueError names the one that is wrong, and then none is changed."""
        unknown = set(changes) - {field.name for field in fields(Behaviour)}
        if unknown:
            raise ValueError(
                "no such setting; known: " + ", ".join(field.name for field in fields(Behaviour))
            )
        with self._turn:
            self._behaviour = replace(self._behaviour, **changes)
            return self._behaviour

    def use_up(self, fault: str, type_: str) -> bool:
        """Whether this call suffers `fault` (drop_answers, fail_next); takes one off its count."""
        with self._turn:
            left = getattr(self._behaviour, fault)
            if left < 1 or self._behaviour.only not in ("", type_):
                return False
            self._behaviour = replace(self._behaviour, **{fault: left - 1})
            return True

    # -- the platform's calls --

    def waybill_get(self, shop: str, business: Mapping[str, str]) -> Answer:
        field = Field.json_parameter(business, "param_waybill_cloud_print_apply_new_request")
        wanted = WaybillRequest.read(field)
        given = self.books.issue(shop, wanted, self.behaviour.repeat)
        modules = [
            {
                "object_id": parcel.object_id,
                "waybill_code": waybill.waybill_code,
                "parent_waybill_code": None,
                "print_data": waybill.print_data,
            }
            for parcel, waybill in zip(wanted.parcels, given, strict=True)
        ]
        return {"modules": modules}, _numbers(given)

    def waybill_cancel(self, shop: str, business: Mapping[str, str]) -> Answer:
        number = Field.parameter(business, "waybill_code").required().text(40)
        self.books.cancel(shop, read_carrier(Field.parameter(business, "wp_code")), number)
        return {"cancel_result": True}, [number]

    def waybill_query(self, shop: str, business: Mapping[str, str]) -> Answer:
        modules, numbers = [], []
        for element in Field.json_parameter(business, "param_list").each(BATCH):
            carrier = read_carrier(element.at("wp_code"))
            number = element.at("waybill_code").required().text(40)
            object_id = element.at("object_id").text(64)
            waybill = self.books.by_number(shop, carrier, number)
            modules.append(
                {
                    "waybill_cloud_print_response": {
                        "object_id": object_id or waybill.object_id,
                        "waybill_code": number,
                        "print_data": waybill.print_data,
                    }
                }
            )
            numbers.append(number)
        return {"modules": modules}, numbers

    def waybill_search(self, shop: str, business: Mapping[str, str]) -> Answer:
        one = Field.parameter(business, "wp_code")
        carriers = list(CARRIERS.values()) if one.missing else [read_carrier(one)]
        columns = []
        for carrier in carriers:
            branches = [
                {
                    "branch_code": account["branch_code"],
                    "branch_name": account["branch_name"],
                    "quantity": account["quantity"],
                    "allocated_quantity": account["allocated"],
                    "cancel_quantity": account["cancelled"],
                    "recycled_quantity": 0,
                    "shipp_address_cols": [_wire_address(address) for address in addresses],
                    "service_info_cols": [
                        {
                            "service_code": "product_type",
                            "service_name": "产品类型",
                            "service_desc": "时效产品",
                            "required": False,
                            "service_attributes": [
                                {
                                    "attribute_code": product.code,
                                    "attribute_name": product.title,
                                    "attribute_type": "enum",
                                    "type_desc": "value",
                                }
                                for product in carrier.products
                            ],
                        }
                    ],
                    "vas_account_cols": [],
                }
                for account, addresses in self.books.services(shop, carrier)
            ]
            if branches:
                columns.append(
                    {"wp_code": carrier.wp_code, "wp_type": carrier.wp_type, "branch_account_cols": branches}
                )
        return {"waybill_apply_subscription_cols": columns}, ()

    # -- the network's own calls --

    def carriers(self, shop: str, business: Mapping[str, str]) -> Answer:
        return {
            "carriers": [
                {"wp_code": carrier.wp_code, "wp_name": carrier.wp_name, "wp_type": carrier.wp_type}
                for carrier in CARRIERS.values()
            ]
        }, ()

    def network_points(self, shop: str, business: Mapping[str, str]) -> Answer:
        carrier = read_carrier(Field.parameter(business, "wp_code"))
        place = [
            Field.parameter(business, name).required().text(20) for name in ("province", "city", "district")
        ]
        return {
            "points": [
                {
                    "branch_code": point.branch_code,
                    "branch_name": point.branch_name,
                    "wp_code": carrier.wp_code,
                    "wp_type": carrier.wp_type,
                    "wp_name": carrier.wp_name,
                    "phone": point.phone,
                }
                for point in network_points(carrier, *place)
            ]
        }, ()

    def subscription_apply(self, shop: str, business: Mapping[str, str]) -> Answer:
        carrier = read_carrier(Field.parameter(business, "wp_code"))
        branch_code = Field.parameter(business, "branch_code").required().text(20)
        address = Address.read(Field.json_parameter(business, "address"))
        contact = Field.json_parameter(business, "contact").required()
        settlement = Field.parameter(business, "settlement_account")
        if carrier.wp_type == DIRECT:
            settlement.required()
        nearby = network_points(carrier, address.province, address.city, address.district)
        point = next((point for point in nearby if point.branch_code == branch_code), None)
        if point is None:
            raise Refused(50002, "branch_code: this network point does not cover the address's district")
        application = Application(
            carrier=carrier,
            point=point,
            address=address,
            contact_name=contact.at("name").required().text(40),
            contact_phone=contact.at("phone").required().text(20),
            settlement_account=settlement.text(40),
            agreement_version=Field.parameter(business, "agreement_version").required().text(40),
        )
        return {"application_id": self.books.apply(shop, application), "state": "open"}, ()

    def subscription_close(self, shop: str, business: Mapping[str, str]) -> Answer:
        application_id = Field.parameter(business, "application_id").required().text(40)
        self.books.close_service(shop, application_id)
        return {"application_id": application_id, "state": "closed"}, ()

    def waybill_find(self, shop: str, business: Mapping[str, str]) -> Answer:
        orders_field = Field.json_parameter(business, "orders")
        orders = () if orders_field.missing else read_orders(orders_field)
        object_id = Field.parameter(business, "object_id").text(64)
        if bool(orders) == bool(object_id):
            raise Refused(21002, "orders: either orders or object_id is required, not both")
        package_id = Field.parameter(business, "package_id").text(64) if "package_id" in business else None
        found = self.books.find(shop, orders, object_id, package_id)
        waybills = [
            {
                "waybill_code": waybill.waybill_code,
                "wp_code": waybill.wp_code,
                "state": waybill.state,
                "object_id": waybill.object_id,
                "trade_order_list": list(waybill.orders),
                "package_id": waybill.package_id,
                "print_data": waybill.print_data,
                "issued_at": waybill.issued_at,
            }
            for waybill in found
        ]
        return {"waybills": waybills}, _numbers(found)

    def waybill_pick_up(self, shop: str, business: Mapping[str, str]) -> Answer:
        number = Field.parameter(business, "waybill_code").required().text(40)
        self.books.pick_up(shop, read_carrier(Field.parameter(business, "wp_code")), number)
        return {"state": "picked_up"}, [number]

    def account_recharge(self, shop: str, business: Mapping[str, str]) -> Answer:
        carrier = read_carrier(Field.parameter(business, "wp_code"))
        branch_code = Field.parameter(business, "branch_code").required().text(20)
        quantity = Field.parameter(business, "quantity").required().whole(1, 1_000_000)
        return {"quantity": self.books.recharge(shop, carrier, branch_code, quantity)}, ()


# The platform's response keys follow no one rule, so each call has its own here.
_CALLS: dict[str, tuple[str, Verb]] = {
    "pdd.waybill.get": ("pdd_waybill_get_response", Desk.waybill_get),
    "pdd.waybill.cancel": ("pdd_waybill_cancel_response", Desk.waybill_cancel),
    "pdd.waybill.query.by.waybillcode": ("pdd_waybill_query_by_waybillcode_response", Desk.waybill_query),
    "pdd.waybill.search": ("pdd_waybill_search_response", Desk.waybill_search),
    "mock.carriers": ("mock_carriers_response", Desk.carriers),
    "mock.network.points": ("mock_network_points_response", Desk.network_points),
    "mock.subscription.apply": ("mock_subscription_apply_response", Desk.subscription_apply),
    "mock.subscription.close": ("mock_subscription_close_response", Desk.subscription_close),
    "mock.waybill.find": ("mock_waybill_find_response", Desk.waybill_find),
    "mock.waybill.pick_up": ("mock_waybill_pick_up_response", Desk.waybill_pick_up),
    "mock.account.recharge": ("mock_account_recharge_response", Desk.account_recharge),
}


def create_app(books: Books, behaviour: Behaviour, client_id: str, client_secret: str) -> Flask:
    """The WSGI program over opened books."""
    app = Flask("labelsvc.mockcarrier", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = BODY_LIMIT_BYTES
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    desk = Desk(books, behaviour)

    @app.post("/api/router")
    @app.post("/api/router/")
    def router() -> Any:
        parameters: dict[str, str] = {}
        try:
            parameters = flatten(_parameters_sent())
            call = open_envelope(parameters, client_id, client_secret, time.time())
            digest, named = books.digest(canonical(call)), mentions(call)
        except RequestEntityTooLarge:
            seq = books.note_arrival("(unreadable)", code=52004)
            return error_body(52004, f"body: at most {BODY_LIMIT_BYTES} bytes", _request_id(seq))
        except Refused as no:
            seq = books.note_arrival(loggable_type(parameters), code=no.code)
            return error_body(no.code, no.reason, _request_id(seq))
        shop = books.shop_of(call.token)
        seq = books.note_arrival(loggable_type(parameters), shop, digest, named)
        return _answer(desk, call, shop, seq)

    @app.get("/health")
    def health() -> Any:
        return {"status": "ok"}

    @app.get("/log")
    def log() -> Any:
        after = request.args.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) < 19):
            return {"error": "after: must be a sequence number"}, 400
        return {"entries": books.log_after(int(after))}

    @app.get("/books")
    def overview() -> Any:
        return books.overview()

    @app.post("/control")
    def control() -> Any:
        changes = request.get_json(silent=True)
        if not isinstance(changes, dict):
            return {"error": "body: must be a JSON object sent as application/json"}, 400
        try:
            now = desk.change(changes)
        except ValueError as wrong:
            return {"error": str(wrong)}, 400
        return {field.name: getattr(now, field.name) for field in fields(now)}

    @app.before_request
    def only_from_this_machine() -> Any:
        # a page in the user's browser can name our port under a host name of its own, but not under ours
        if request.path in ("/log", "/books", "/control") and not is_loopback(_host_name(request.host)):
            return {"error": "Host: only loopback names"}, 403
        return None

    @app.errorhandler(Exception)
    def unforeseen(fault: Exception) -> Any:
        if isinstance(fault, HTTPException):
            return {"error": fault.name}, fault.code or 500
        print(f"mockcarrier: {type(fault).__name__} while answering a call", file=sys.stderr, flush=True)
        return error_body(50000, "the network failed", "")

    return app


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answer(desk: Desk, call: Call, shop: str, seq: int) -> Any:
    behaviour = desk.behaviour
    if desk.use_up("fail_next", call.type):
        desk.books.note_outcome(seq, 52001)
        return Response("bad gateway", 502, mimetype="text/plain")
    if behaviour.error and behaviour.only in ("", call.type):
        desk.books.note_outcome(seq, behaviour.error)
        return error_body(behaviour.error, "switched on by /control", _request_id(seq))
    time.sleep(behaviour.latency_ms / 2000)
    try:
        if call.type not in _CALLS:
            desk.books.note_outcome(seq, 10017)
            raise Refused(10017, "type: no such call")
        root, verb = _CALLS[call.type]
        answer = desk.books.perform(seq, lambda: verb(desk, shop, call.business))
        body = {root: answer | {"request_id": _request_id(seq)}}
    except Refused as no:
        body = error_body(no.code, no.reason, _request_id(seq))
    time.sleep(behaviour.latency_ms / 2000)
    if desk.use_up("drop_answers", call.type):
        desk.books.note_dropped(seq)
        _hang_up()
    return body


def _hang_up() -> None:
    """Close the caller's connection: what is answered afterwards goes nowhere, and the server minds as little
    as when a caller hangs up.
    """
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)


def _parameters_sent() -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = list(request.args.items(multi=True))
    if request.mimetype == "application/json":
        try:
            body = json.loads(request.get_data())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Refused(10000, "body: must be a JSON object")
        return pairs + list(body.items())
    return pairs + list(request.form.items(multi=True))


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    return host[1:].split("]")[0] if host.startswith("[") else host.split(":")[0]


def _numbers(waybills: Sequence[Given]) -> list[str]:
    return [waybill.waybill_code for waybill in waybills]


def _wire_address(address: Address) -> dict[str, str]:
    return {
        "province": address.province,
        "city": address.city,
        "district": address.district,
        "town": address.town,
        "detail": address.detail,
        "country": address.country,
    }


def _request_id(seq: int) -> str:
    return f"mock-{seq}"
