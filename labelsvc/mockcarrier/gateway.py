"""The network's doors: the platform's one POST endpoint, and the side doors through which tests watch and
disturb it.

Hides Flask, the table of call types with their response keys, and what a fault that was switched on does to a
call. Nothing of a request reaches standard output or an error text: the books' log is the only record.
"""

import ipaddress
import json
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, redirect, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from labelsvc.mockcarrier import trade
from labelsvc.mockcarrier.books import Application, Applied, Books, Closed, Given, Tokens
from labelsvc.mockcarrier.faults import GET, HOLD_MS, Occasion, Rule, Script, refuse_item
from labelsvc.mockcarrier.network import (
    BATCH,
    CARRIERS,
    DIRECT,
    SCANS,
    USED_UP,
    Address,
    UpdateRequest,
    WaybillRequest,
    network_points,
    read_carrier,
    read_orders,
)
from labelsvc.mockcarrier.review import page
from labelsvc.mockcarrier.server import BODY_LIMIT_BYTES, CUT, TOO_LARGE
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
    parcels_asked,
)

REPEATS = ("same", "new", "exists")
REVIEWS = ("at_once", "delay", "by_hand")
TOKENS = ("open", "strict")
_CHINA = timezone(timedelta(hours=8))
_SIDE_DOORS = ("/log", "/books", "/control", "/review")

Answer = tuple[dict[str, Any], Sequence[str]]
Verb = Callable[["Desk", str, Mapping[str, str]], Answer]


@dataclass(frozen=True)
class Behaviour:
    """How the network treats calls just now; what /control changes.

    `repeat`: same, new or exists. `latency_ms`: how long a call takes at least, from arrival to answer; half of it passes
    before the effect. `drop_answers`: that many further calls take effect and then lose their answer.
    `fail_next`: that many further calls get HTTP 502 without effect. `error`: every call is refused with this
    code, without effect, until it is 0. `only`: the one call type that the last three apply to; empty for
    all. `rate_per_s`: more gets within a second are refused with 52101; 0: as many as come. `review`: at_once,
    delay (by `review_delay_ms`) or by_hand. `tokens`: open takes any token for a shop, strict only those made
    here. `token_lifetime_s`: of the tokens made from now on.
    """

    repeat: str = "same"
    latency_ms: int = 0
    drop_answers: int = 0
    fail_next: int = 0
    error: int = 0
    only: str = ""
    rate_per_s: int = 0
    review: str = "at_once"
    review_delay_ms: int = 0
    tokens: str = "open"
    token_lifetime_s: int = 86_400

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                raise ValueError(f"{field.name}: wrong type")
            if isinstance(value, int) and not 0 <= value <= 600_000:
                raise ValueError(f"{field.name}: must be from 0 to 600000")
        for name, choices in (("repeat", REPEATS), ("review", REVIEWS), ("tokens", TOKENS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: one of {', '.join(choices)}")
        if self.error and self.error not in MEANING:
            raise ValueError("error: not a code of the platform's table")
        if self.only and self.only not in _CALLS:
            raise ValueError("only: no such call type")


class Desk:
    """Who answers the calls: reads a call's parameters, has the books do it, words the answer."""

    def __init__(self, books: Books, behaviour: Behaviour) -> None:
        self.books = books
        self._behaviour = behaviour
        self._script = Script()
        self._gets: deque[float] = deque()
        self._turn = threading.Lock()

    @property
    def behaviour(self) -> Behaviour:
        with self._turn:
            return self._behaviour

    def change(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change some settings, and the script if `script` is among them; what is in force then. ValueError
        names the one that is wrong, and then none is changed.
        """
        settings = {name: value for name, value in changes.items() if name != "script"}
        known = [field.name for field in fields(Behaviour)]
        if set(settings) - set(known):
            raise ValueError("no such setting; known: " + ", ".join([*known, "script"]))
        script = Script.read(changes["script"], tuple(_CALLS)) if "script" in changes else None
        with self._turn:
            self._behaviour = replace(self._behaviour, **settings)
            self._script = script or self._script
            return asdict(self._behaviour) | {"script": self._script.shown()}

    def fate(self, occasion: Occasion) -> Rule | None:
        """What goes wrong with a call, if anything does; counts it."""
        with self._turn:
            now, script = self._behaviour, self._script
            mine = now.only in ("", occasion.type)
            if mine and now.fail_next:
                self._behaviour = replace(now, fail_next=now.fail_next - 1)
                return Rule("http_502")
            if mine and now.error:
                return Rule("error", code=now.error)
            if occasion.type == GET and now.rate_per_s and self._too_many_gets(now.rate_per_s):
                return Rule("error", code=52101)
        struck = script.strike(occasion)
        if struck is not None:
            return struck
        with self._turn:
            if mine and self._behaviour.drop_answers:
                self._behaviour = replace(self._behaviour, drop_answers=self._behaviour.drop_answers - 1)
                return Rule("drop")
        return None

    def _too_many_gets(self, rate_per_s: int) -> bool:
        now_s = time.monotonic()
        while self._gets and self._gets[0] <= now_s - 1:
            self._gets.popleft()
        if len(self._gets) >= rate_per_s:
            return True
        self._gets.append(now_s)
        return False

    # -- the platform's calls --

    def waybill_get(self, shop: str, business: Mapping[str, str], repeat: str = "") -> Answer:
        """`repeat` overrides what is set, for this call."""
        field = Field.json_parameter(business, "param_waybill_cloud_print_apply_new_request")
        wanted = WaybillRequest.read(field)
        given = self.books.issue(shop, wanted, repeat or self.behaviour.repeat)
        modules = [
            {
                "object_id": parcel.object_id,
                "waybill_code": waybill.waybill_code,
                "parent_waybill_code": waybill.parent or None,
                "print_data": waybill.print_data,
            }
            for parcel, waybill in zip(wanted.parcels, given, strict=True)
        ]
        return {"modules": modules}, _numbers(given)

    def waybill_update(self, shop: str, business: Mapping[str, str]) -> Answer:
        wanted = UpdateRequest.read(
            Field.json_parameter(business, "param_waybill_cloud_print_update_request")
        )
        changed = self.books.update(shop, wanted)
        return {"waybill_code": changed.waybill_code, "print_data": changed.print_data}, _numbers([changed])

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
                    "recycled_quantity": 0,  # taken back for want of use: this network never does
                    "shipp_address_cols": [address.shown() for address in addresses],
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

    def order_trace(self, shop: str, business: Mapping[str, str]) -> Answer:
        carrier = read_carrier(Field.parameter(business, "company_code"))
        number = Field.parameter(business, "mail_no").required().text(40)
        branch, centre, scans = self.books.scans(shop, carrier, number)
        traces = []
        for action, at in scans:
            _, said, sentence = SCANS[action]
            traces.append(
                {
                    "action": action,
                    "desc": sentence.format(branch=branch, centre=centre),
                    "time": _china_time(at),
                    "status_time": _china_time(at),
                    "status_desc": said,
                    "node_description": said,
                }
            )
        return {"trace_list": traces}, [number]

    def time_get(self, shop: str, business: Mapping[str, str]) -> Answer:
        return {"time": _china_time(datetime.now(_CHINA))}, ()

    def token_create(self, shop: str, business: Mapping[str, str]) -> Answer:
        code = Field.parameter(business, "code").required().text(100)
        name = code.removeprefix("shop:")
        if name == code or not name.strip():
            raise Refused(21001, "code: here a code is shop:NAME")
        return _token_answer(self.books.create_tokens(name, self.behaviour.token_lifetime_s)), ()

    def token_refresh(self, shop: str, business: Mapping[str, str]) -> Answer:
        token = Field.parameter(business, "refresh_token").required().text(200)
        return _token_answer(self.books.refresh_tokens(token, self.behaviour.token_lifetime_s)), ()

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
        now = self.behaviour
        return _applied(self.books.apply(shop, application, now.review, now.review_delay_ms)), ()

    def subscription_query(self, shop: str, business: Mapping[str, str]) -> Answer:
        application_id = Field.parameter(business, "application_id").required().text(40)
        return _applied(self.books.application(shop, application_id)), ()

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
                "parent_waybill_code": waybill.parent or None,
                "print_data": waybill.print_data,
                "issued_at": waybill.issued_at,
            }
            for waybill in found
        ]
        return {"waybills": waybills}, _numbers(found)

    def waybill_pick_up(self, shop: str, business: Mapping[str, str]) -> Answer:
        return self._scan(shop, business, "GOT")

    def waybill_trace(self, shop: str, business: Mapping[str, str]) -> Answer:
        field = Field.parameter(business, "action").required()
        action = field.text(20)
        if action not in SCANS:
            raise Refused(21001, f"action: one of {', '.join(SCANS)}")
        return self._scan(shop, business, action)

    def _scan(self, shop: str, business: Mapping[str, str], action: str) -> Answer:
        number = Field.parameter(business, "waybill_code").required().text(40)
        carrier = read_carrier(Field.parameter(business, "wp_code"))
        return {"state": self.books.scan(shop, carrier, number, action)}, [number]

    def account_recharge(self, shop: str, business: Mapping[str, str]) -> Answer:
        carrier = read_carrier(Field.parameter(business, "wp_code"))
        branch_code = Field.parameter(business, "branch_code").required().text(20)
        quantity = Field.parameter(business, "quantity").required().whole(1, 1_000_000)
        return {"quantity": self.books.recharge(shop, carrier, branch_code, quantity)}, ()


# The platform's response keys follow no one rule, so each call has its own here.
_CALLS: dict[str, tuple[str, Verb]] = {
    "pdd.waybill.get": ("pdd_waybill_get_response", Desk.waybill_get),
    "pdd.waybill.update": ("pdd_waybill_update_response", Desk.waybill_update),
    "pdd.waybill.cancel": ("pdd_waybill_cancel_response", Desk.waybill_cancel),
    "pdd.waybill.query.by.waybillcode": ("pdd_waybill_query_by_waybillcode_response", Desk.waybill_query),
    "pdd.waybill.search": ("pdd_waybill_search_response", Desk.waybill_search),
    # so spelled
    "pdd.logistics.ordertrace.get": ("logistics_ordertrace_get_resposne", Desk.order_trace),
    "pdd.time.get": ("time_get_response", Desk.time_get),
    "pdd.pop.auth.token.create": ("pop_auth_token_create_response", Desk.token_create),
    "pdd.pop.auth.token.refresh": ("pop_auth_token_refresh_response", Desk.token_refresh),
    "mock.carriers": ("mock_carriers_response", Desk.carriers),
    "mock.network.points": ("mock_network_points_response", Desk.network_points),
    "mock.subscription.apply": ("mock_subscription_apply_response", Desk.subscription_apply),
    "mock.subscription.query": ("mock_subscription_query_response", Desk.subscription_query),
    "mock.subscription.close": ("mock_subscription_close_response", Desk.subscription_close),
    "mock.waybill.find": ("mock_waybill_find_response", Desk.waybill_find),
    "mock.waybill.pick_up": ("mock_waybill_pick_up_response", Desk.waybill_pick_up),
    "mock.waybill.trace": ("mock_waybill_trace_response", Desk.waybill_trace),
    "mock.account.recharge": ("mock_account_recharge_response", Desk.account_recharge),
} | trade.CALLS

# What needs no shop's consent.
_WITHOUT_TOKEN = frozenset(
    {
        "pdd.time.get",
        "pdd.pop.auth.token.create",
        "pdd.pop.auth.token.refresh",
        "pdd.logistics.companies.get",
        "pdd.logistics.address.get",
    }
)


def create_app(desk: Desk, client_id: str, client_secret: str) -> Flask:
    """The WSGI program of a desk."""
    app = Flask("labelsvc.mockcarrier", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = BODY_LIMIT_BYTES
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    books = desk.books

    @app.post("/api/router")
    @app.post("/api/router/")
    def router() -> Any:
        arrived_s = time.monotonic()
        parameters: dict[str, str] = {}
        try:
            parameters = flatten(_parameters_sent())
            call = open_envelope(parameters, client_id, client_secret, time.time(), _WITHOUT_TOKEN)
            shop = books.shop_by(call.token, desk.behaviour.tokens == "strict") if call.token else ""
            digest, named, asked = books.digest(canonical(call)), mentions(call), parcels_asked(call)
        except RequestEntityTooLarge:
            seq = books.note_arrival("(unreadable)", code=52004)
            return error_body(52004, f"body: at most {BODY_LIMIT_BYTES} bytes", _request_id(seq))
        except Refused as no:
            seq = books.note_arrival(loggable_type(parameters), code=no.code)
            return error_body(no.code, no.reason, _request_id(seq))

        def arrive(fault: str, replay_of: int | None = None) -> int:
            return books.note_arrival(
                loggable_type(parameters), shop, digest, named, None, asked, fault, replay_of
            )

        occasion = Occasion(
            call.type, tuple(one.orders for one in asked), lambda: books.has_live_number(shop, asked)
        )
        return _answer(desk, call, shop, occasion, arrive, arrived_s)

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
            return desk.change(changes)
        except ValueError as wrong:
            return {"error": str(wrong)}, 400

    @app.get("/review")
    def review() -> Any:
        return page(books.applications())

    @app.post("/review")
    def decide() -> Any:
        sent = request.get_json(silent=True) if request.is_json else request.form
        texts = [sent.get(name, "") for name in ("application_id", "decision", "reason")] if sent else [""]
        try:
            if len(texts) != 3 or not all(isinstance(text, str) and len(text) <= 200 for text in texts):
                raise ValueError(
                    "body: application_id, decision and reason, as text of at most 200 characters"
                )
            decided = books.decide(texts[0], texts[1], texts[2].strip())
        except (ValueError, AttributeError) as wrong:
            if request.is_json:
                return {"error": str(wrong)}, 400
            return page(books.applications(), str(wrong)), 400
        return _applied(decided) if request.is_json else redirect("/review", 303)

    @app.before_request
    def only_from_this_machine() -> Any:
        # a page in the user's browser can name our port under a host name of its own, but not under ours
        if request.path in _SIDE_DOORS and not is_loopback(_host_name(request.host)):
            return {"error": "Host: only loopback names"}, 403
        origin = request.headers.get("Origin")
        if request.path in _SIDE_DOORS and origin and not is_loopback(urlsplit(origin).hostname or ""):
            return {"error": "Origin: only loopback names"}, 403
        return None

    @app.errorhandler(Exception)
    def unforeseen(fault: Exception) -> Any:
        if isinstance(fault, HTTPException):
            return {"error": fault.name}, fault.code or 500
        if isinstance(fault, Closed):
            _hang_up()
            return ""
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


_HTTP_FAULTS = {
    "http_500": (500, 50000, "internal error"),
    "http_502": (502, 52001, "bad gateway"),
    "http_503": (503, 52103, "service unavailable"),
}


def _answer(
    desk: Desk, call: Call, shop: str, occasion: Occasion, arrive: Callable[..., int], arrived_s: float
) -> Any:
    """Note a call, carry it out, and answer it, unless something is to go wrong with it.

    `arrive` notes it and returns its sequence number. `arrived_s`: when it came, by the monotonic clock.
    """
    rule = desk.fate(occasion)
    fault = rule.fault if rule else ""
    seq = arrive(fault)
    if fault in _HTTP_FAULTS:
        status, code, text = _HTTP_FAULTS[fault]
        desk.books.note_outcome(seq, code)
        return Response(text, status, mimetype="text/plain")
    if rule and fault == "error":
        desk.books.note_outcome(seq, rule.code)
        return error_body(rule.code, "switched on by /control", _request_id(seq))
    if rule and fault == "never":
        _hold(rule.ms or HOLD_MS)
        _hang_up()
        return ""
    latency_s = desk.behaviour.latency_ms / 1000
    _sleep_until(arrived_s + latency_s / 2)
    body = _carry_out(desk, call, shop, occasion, seq, rule)
    if fault == "twice":
        seq = arrive(fault, seq)
        body = _carry_out(desk, call, shop, occasion, seq, rule)
    _sleep_until(arrived_s + latency_s)
    if rule and fault == "late":
        time.sleep(rule.ms / 1000)
    if fault in ("drop", "half_answer", "broken_json"):
        desk.books.note_dropped(seq)
    text = json.dumps(body, ensure_ascii=False)
    if fault == "drop":
        _hang_up()
    elif fault == "half_answer":
        request.environ[CUT] = True
    elif fault == "broken_json":
        text = text[: len(text) // 2] + "<html>"
    return Response(text, mimetype="application/json")


def _carry_out(
    desk: Desk, call: Call, shop: str, occasion: Occasion, seq: int, rule: Rule | None
) -> dict[str, Any]:
    """Do what a call asks; the answer's body."""

    def do() -> Answer:
        if rule and rule.fault == "used_up":
            raise Refused(50002, USED_UP)
        if rule and rule.fault == "wrong_item":
            raise refuse_item(rule, occasion)
        if call.type not in _CALLS:
            raise Refused(10017, "type: no such call")
        if rule and rule.fault in ("repeat_new", "repeat_exists"):
            return desk.waybill_get(shop, call.business, rule.fault.removeprefix("repeat_"))
        return _CALLS[call.type][1](desk, shop, call.business)

    try:
        answer = desk.books.perform(seq, do)
    except Refused as no:
        return error_body(no.code, no.reason, _request_id(seq))
    root = _CALLS[call.type][0]
    whole = answer | {"request_id": _request_id(seq)}
    return {root: whole} if root else whole


def _sleep_until(moment_s: float) -> None:
    time.sleep(max(0.0, moment_s - time.monotonic()))


def _hold(ms: int) -> None:
    """Wait, but no longer than the caller does."""
    select.select([request.environ["werkzeug.socket"]], [], [], ms / 1000)


def _hang_up() -> None:
    """Close the caller's connection: what is answered afterwards goes nowhere, and the server minds as little
    as when a caller hangs up.
    """
    connection: socket.socket = request.environ["werkzeug.socket"]
    with suppress(OSError):  # the caller was quicker
        connection.shutdown(socket.SHUT_RDWR)


def _parameters_sent() -> list[tuple[str, object]]:
    if TOO_LARGE in request.environ:
        raise RequestEntityTooLarge
    pairs: list[tuple[str, object]] = list(request.args.items(multi=True))
    if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        if request.mimetype != "application/json" and not request.get_data():
            return pairs  # all of it stands in the query
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


def _applied(application: Applied) -> dict[str, str]:
    return asdict(application)


def _token_answer(tokens: Tokens) -> dict[str, Any]:
    """As the platform words it: it names a time and a duration for the token and for four kinds of right."""
    now_s = int(time.time())
    answer: dict[str, Any] = {
        "access_token": tokens.access_token,
        "owner_id": tokens.owner_id,
        "owner_name": tokens.owner_name,
        "refresh_token": tokens.refresh_token,
        "scope": sorted(_CALLS),
    }
    for prefix in ("", "r1_", "r2_", "w1_", "w2_"):
        answer[f"{prefix}expires_at"] = tokens.expires_s
        answer[f"{prefix}expires_in"] = tokens.expires_s - now_s
    answer["refresh_token_expires_at"] = tokens.refresh_expires_s
    answer["refresh_token_expires_in"] = tokens.refresh_expires_s - now_s
    return answer


def _china_time(moment: datetime) -> str:
    return moment.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _request_id(seq: int) -> str:
    return f"mock-{seq}"
