"""The real platform's gateway (拼多多 open platform), as reference/platform-waybill-api.md describes its wire.

Hides the envelope, the MD5 signature, field names, what an answer, or its absence, means, which calls may be repeated, and
how fast the network may be asked. Calls that the platform offers only as web pages are made under ``mock.*``, which the
mock carrier network serves; where a gateway doesn't know them, its ``search`` answers for them.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, get_args

from labelsvc.errors import LabelsvcError, Refused
from labelsvc.metrics import network_call
from labelsvc.waybills.carriers import (
    KNOWN_CARRIERS,
    AlreadyIssued,
    Applied,
    GetRequest,
    Given,
    NetworkBusy,
    NetworkResting,
    NetworkSilent,
    ParcelRequest,
    PointAccount,
    PointApplication,
    ReviewState,
    Tokens,
    Trace,
)
from labelsvc.waybills.carriers.exchange import Exchange
from labelsvc.waybills.carriers.pacing import Breaker, Pacer, back_off_s
from labelsvc.waybills.model import Carrier, CarrierKind, NetworkPoint, Party

_PARCELS_A_CALL = 10
#: A whole ``get``, with its repetitions, ends within so many time-outs of a call.
_TIMEOUTS_A_GET = 2.5
#: A try that would have less than this share of a time-out isn't begun.
_LEAST_SHARE = 0.2
_REASON_LENGTH = 80
#: The platform tells China's time; China has no summer time.
_CHINA = timezone(timedelta(hours=8))

#: The gateway's own trouble (reference 1.1): the call wasn't carried out, or nobody knows.
_TOO_MANY = frozenset({52101, 70031})
_DEGRADED = frozenset({52102, 52103})
_PERHAPS_DONE = frozenset({50000, 50001, 52001, 52002})
_NO_SUCH_CALL = frozenset({10017, 20034, 20035, 30000})
_EXPIRED = 10019
_TOKEN = frozenset({_EXPIRED, 20031, 20032})
#: About the caller and not about what it asked for: the same for every parcel of a batch.
_CALLER = _NO_SUCH_CALL | _TOKEN | frozenset({10001, 10016, 10018, 20004, 20005, 30001})

#: Scan actions of the trade; what isn't listed is a scan on the way.
_ACTIONS: dict[str, Literal["picked_up", "delivered", "other"]] = {
    "GOT": "picked_up",
    "SIGN": "delivered",
    "SIGNED": "delivered",
    "FAIL": "other",
    "REJECTED": "other",
    "RETURN": "other",
    "OTHER": "other",
}

#: Senses of the business errors (reference 1.6), by words of the network's text; the text itself is never passed on.
_SENSES: tuple[tuple[str, str, str], ...] = (
    (r"exists already|已存在|重复取号", "network.already_issued", "the network has given a number before"),
    (
        r"not enough waybill|余额不足|单号不足|数量不足",
        "balance.empty",
        "the network point has no waybill numbers left",
    ),
    (
        r"matches no e-waybill service|未匹配到|发货地址.*不匹配",
        "sender.mismatch",
        "the origin isn't, character for character, an address with an open service",
    ),
    (
        r"several network points|多个网点",
        "parcel.several_points",
        "the orders have a number from another network point",
    ),
    (
        r"subscription does not exist|未订购|未开通",
        "subscription.not_open",
        "the e-waybill service isn't open",
    ),
    (r"picked up|已揽收|已揽件", "waybill.picked_up", "the carrier has picked the parcel up"),
    (
        r"over the limit|超.*上限|取消.*限制",
        "waybill.cancel_limit",
        "too many numbers were cancelled at this point; try later",
    ),
    (
        r"waybill does not exist|面单不存在|单号不存在",
        "waybill.unknown_number",
        "the network doesn't know the number",
    ),
    (
        r"another (sender|recipient)",
        "parcel.differs",
        "the parcel has a number for another sender or recipient",
    ),
    (r"segment is used up|号段", "network.segment_used_up", "the carrier has no numbers left"),
    (r"waybill was cancelled|已取消", "waybill.was_cancelled", "the number was cancelled"),
)


@dataclass
class _Access:
    """A store's token through one errand: it is renewed once at most."""

    token: str
    renewed: bool = False


@dataclass
class _Errand:
    """One ``get`` with all its tries: until when, and which parcels may have been given a number unheard."""

    access: _Access
    until: float
    perhaps: set[int] = field(default_factory=set)

    def left_s(self) -> float:
        return self.until - time.monotonic()


class PlatformNetwork:
    """One gateway, spoken to as one client; stores differ by their token. Safe to use from several threads."""

    batch = _PARCELS_A_CALL

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        timeout_s: float = 10,
        *,
        in_flight: int = 8,
        tries: int = 3,
        refresh: Callable[[str], str | None] | None = None,
        pacer: Pacer | None = None,
        breaker: Breaker | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """``refresh`` renews an expired access token: the old one in, a fresh one or None out; see ``renew_with``.

        ``tries``: how often one identical ``get`` is sent at most; nothing else is ever sent twice.
        """
        self.in_flight = in_flight
        self._client_id = client_id
        self._secret = client_secret
        self._timeout_s = timeout_s
        self._tries = tries
        self._refresh = refresh
        self._pacer = pacer or Pacer()
        self._breaker = breaker or Breaker(probe_s=2 * timeout_s)
        self._pause = pause
        self._exchange = Exchange(url, connections=in_flight + 8)
        self._slots = threading.BoundedSemaphore(in_flight)

    def renew_with(self, refresh: Callable[[str], str | None]) -> None:
        """Set who renews expired tokens, which is a room above that is built after its network."""
        self._refresh = refresh

    # --- points ---------------------------------------------------------------------------------------------------

    def carriers(self, token: str) -> list[Carrier]:
        """The carriers of the network; of a gateway without such a call those that the store has opened."""
        try:
            answer = self._call(token, "mock.carriers", {}, "mock_carriers_response")
        except Refused as refusal:
            if not _no_such_call(refusal):
                raise
            opened = {account.carrier: _kind_of(account) for account in self.search(token)}
            return [
                Carrier(code, KNOWN_CARRIERS[code].name if code in KNOWN_CARRIERS else code, kind)
                for code, kind in opened.items()
            ]
        with _reading():
            return [
                Carrier(str(one["wp_code"]), str(one["wp_name"]), _kind(one["wp_type"]))
                for one in answer["carriers"]
            ]

    def points(self, token: str, carrier: Carrier, place: Party) -> list[NetworkPoint]:
        """The points of a carrier that cover a place; of a gateway without such a call those opened for it."""
        wanted = {"wp_code": carrier.code, **_place(place)}
        try:
            answer = self._call(token, "mock.network.points", wanted, "mock_network_points_response")
        except Refused as refusal:
            if not _no_such_call(refusal):
                raise
            return [
                NetworkPoint(account.carrier, account.branch_code, account.branch_name)
                for account in self.search(token, carrier.code)
                if any(_is_in(address, place) for address in account.addresses)
            ]
        with _reading():
            return [
                NetworkPoint(
                    carrier.code, str(one["branch_code"]), str(one["branch_name"]), str(one.get("phone", ""))
                )
                for one in answer["points"]
            ]

    def apply(self, token: str, application: PointApplication) -> Applied:
        """Apply for a point; with a gateway that has web pages for it, see whether that was done there."""
        parameters = {
            "wp_code": application.carrier,
            "branch_code": application.branch_code,
            "address": _json(_address(application.origin)),
            "contact": _json({"name": application.contact_name, "phone": application.contact_phone}),
            "agreement_version": application.agreement_version,
        }
        if application.settlement_account:
            parameters["settlement_account"] = application.settlement_account
        try:
            answer = self._call(
                token, "mock.subscription.apply", parameters, "mock_subscription_apply_response"
            )
        except Refused as refusal:
            if _no_such_call(refusal):
                return self._listed(token, application)
            raise
        return _applied(answer, application)

    def review(self, token: str, application_id: str, application: PointApplication) -> Applied:
        """``mock.subscription.query``, or whether ``search`` lists the point and the address."""
        if not application_id:
            return self._listed(token, application)
        try:
            answer = self._call(
                token,
                "mock.subscription.query",
                {"application_id": application_id},
                "mock_subscription_query_response",
            )
        except Refused as refusal:
            if _no_such_call(refusal):
                return self._listed(token, application)
            raise
        return _applied({"application_id": application_id, **_object(answer)}, application)

    def _listed(self, token: str, application: PointApplication) -> Applied:
        """Open once the network's search lists the point with the origin, character for character (reference 1.6)."""
        wanted = _address(application.origin)
        listed = any(
            account.branch_code == application.branch_code
            and any(
                all(address.get(part, "") == text for part, text in wanted.items())
                for address in account.addresses
            )
            for account in self.search(token, application.carrier)
        )
        return Applied("", "open" if listed else "under_review", "")

    def close(self, token: str, application_id: str) -> None:
        """Close a point or withdraw its application; nothing to do where the platform has web pages for it."""
        if not application_id:
            return
        try:
            self._call(
                token,
                "mock.subscription.close",
                {"application_id": application_id},
                "mock_subscription_close_response",
            )
        except Refused as refusal:
            if not _no_such_call(refusal):
                raise

    def search(self, token: str, carrier: str | None = None) -> list[PointAccount]:
        """``pdd.waybill.search``."""
        answer = self._call(
            token,
            "pdd.waybill.search",
            {"wp_code": carrier} if carrier else {},
            "pdd_waybill_search_response",
        )
        with _reading():
            return [
                PointAccount(
                    carrier=str(one["wp_code"]),
                    branch_code=str(point["branch_code"]),
                    branch_name=str(point.get("branch_name") or ""),
                    balance=None
                    if _kind(one["wp_type"]) is CarrierKind.DIRECT
                    else int(point.get("quantity") or 0),
                    allocated=int(point.get("allocated_quantity") or 0),
                    cancelled=int(point.get("cancel_quantity") or 0),
                    recycled=int(point.get("recycled_quantity") or 0),
                    addresses=tuple(
                        {part: str(address.get(part) or "") for part in _PLACE_PARTS}
                        for address in point.get("shipp_address_cols") or []
                    ),
                )
                for one in answer["waybill_apply_subscription_cols"] or []
                for point in one["branch_account_cols"] or []
            ]

    # --- numbers --------------------------------------------------------------------------------------------------

    def get(self, token: str, request: GetRequest) -> list[Given | Refused | NetworkSilent]:
        """``pdd.waybill.get``. The gateway refuses a batch whole; what is asked again then is what it did not name.

        A refusal means that nothing happened, so that smaller groups of the same parcels can be asked for. If it comes
        after a try that wasn't answered, the parcel is *silent*: that try may have got it a number.
        """
        if not 1 <= len(request.parcels) <= _PARCELS_A_CALL:
            raise ValueError(f"a call takes 1 to {_PARCELS_A_CALL} parcels")
        errand = _Errand(_Access(token), time.monotonic() + _TIMEOUTS_A_GET * self._timeout_s)
        outcomes: dict[int, Given | Refused | NetworkSilent] = {}
        groups: list[tuple[int, ...]] = [tuple(range(len(request.parcels)))]
        while groups:
            group = groups.pop(0)
            answer = self._get_group(errand, request, group)
            if isinstance(answer, Refused):
                named = _named(answer, group)
                if len(group) > 1 and named is not None:
                    outcomes[named] = _outcome(answer, named in errand.perhaps)
                    groups.insert(0, tuple(at for at in group if at != named))
                    continue
                if len(group) > 1 and answer.facts.get("network_code") not in _CALLER:
                    groups[:0] = [(at,) for at in group]
                    continue
            for at in group:
                found = answer[at] if isinstance(answer, dict) else answer
                outcomes[at] = _outcome(found, at in errand.perhaps)
        return [outcomes[at] for at in range(len(request.parcels))]

    def _get_group(
        self, errand: _Errand, request: GetRequest, group: Sequence[int]
    ) -> dict[int, Given | NetworkSilent] | Refused | NetworkSilent:
        """One call for some of the parcels, repeated word for word while no answer says what became of it."""
        business = {
            "param_waybill_cloud_print_apply_new_request": _json(
                {
                    "need_encrypt": False,
                    "wp_code": request.carrier,
                    "sender": _party(request.origin),
                    "trade_order_info_dtos": [_element(request.parcels[at]) for at in group],
                }
            )
        }
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._get_once(errand, business)
            except Refused as refusal:
                return refusal
            except NetworkSilent as silence:
                if silence.may_have_happened:
                    errand.perhaps.update(group)
                pause_s = back_off_s(tries)
                if isinstance(silence, NetworkBusy):
                    pause_s = max(pause_s, silence.retry_after_s)
                if (
                    tries >= self._tries
                    or not _is_repeatable(silence)
                    or errand.left_s() - pause_s < self._least_s
                ):
                    return silence
                self._pause(pause_s)
                continue
            return {at: _found(answer, request.parcels[at]) for at in group}

    def _get_once(self, errand: _Errand, business: Mapping[str, str]) -> Any:
        """One request at the pace that the network bears; what stands under the answer's root key."""
        if not self._slots.acquire(timeout=max(0.0, errand.left_s() - self._least_s)):
            raise NetworkBusy("too many requests for numbers at once")
        try:
            wait_s = self._pacer.turn_in_s(errand.left_s() - self._least_s)
            if wait_s is None:
                raise NetworkBusy(
                    "the carrier network limits the rate of requests",
                    retry_after_s=self._pacer.next_turn_s(),
                )
            if wait_s:
                self._pause(wait_s)
            try:
                answer = self._ask(
                    errand.access,
                    "pdd.waybill.get",
                    business,
                    "pdd_waybill_get_response",
                    min(self._timeout_s, errand.left_s()),
                )
            except NetworkBusy as busy:
                if busy.facts.get("network_code") in _TOO_MANY:
                    self._pacer.limited()
                    busy.retry_after_s = self._pacer.next_turn_s()
                raise
            except Refused:
                self._pacer.answered()
                raise
            self._pacer.answered()
            return answer
        finally:
            self._slots.release()

    @property
    def _least_s(self) -> float:
        return _LEAST_SHARE * self._timeout_s

    def update(self, token: str, carrier: str, number: str, parcel: ParcelRequest) -> Given:
        """``pdd.waybill.update``; the sender isn't sent, so it stays."""
        element = _element(parcel)
        answer = self._call(
            token,
            "pdd.waybill.update",
            {
                "param_waybill_cloud_print_update_request": _json(
                    {
                        "waybill_code": number,
                        "wp_code": carrier,
                        "object_id": element["object_id"],
                        "template_url": element["template_url"],
                        "package_info": {part: element["package_info"][part] for part in ("items", "weight")},
                        "recipient": element["recipient"],
                    }
                )
            },
            "pdd_waybill_update_response",
        )
        with _reading():
            return _of_number(answer, parcel.id, number)

    def query(self, token: str, carrier: str, number: str) -> Given:
        """``pdd.waybill.query.by.waybillcode``."""
        answer = self._call(
            token,
            "pdd.waybill.query.by.waybillcode",
            {"param_list": _json([{"object_id": number, "waybill_code": number, "wp_code": carrier}])},
            "pdd_waybill_query_by_waybillcode_response",
        )
        with _reading():
            if not answer["modules"]:
                raise Refused("the network doesn't know the number", code="waybill.unknown_number")
            return _of_number(answer["modules"][0]["waybill_cloud_print_response"], "", number)

    def find(self, token: str, orders: tuple[str, ...], parcel_id: str) -> list[Given] | None:
        """Every number of a parcel, oldest first."""
        try:
            answer = self._call(
                token,
                "mock.waybill.find",
                {"orders": _json(list(orders)), "package_id": parcel_id},
                "mock_waybill_find_response",
            )
        except Refused as refusal:
            if _no_such_call(refusal):
                return None
            raise
        with _reading():
            return [_given(one, parcel_id, live=one["state"] != "cancelled") for one in answer["waybills"]]

    def cancel(self, token: str, carrier: str, number: str) -> None:
        """``pdd.waybill.cancel``."""
        answer = self._call(
            token,
            "pdd.waybill.cancel",
            {"waybill_code": number, "wp_code": carrier},
            "pdd_waybill_cancel_response",
        )
        with _reading():
            done = answer.get("cancel_result")
        if done is not True:
            raise Refused("the network did not cancel the number", code="waybill.cancel_refused")

    def traces(self, token: str, carrier: str, number: str) -> list[Trace]:
        """``pdd.logistics.ordertrace.get``; its root key is spelled so."""
        answer = self._call(
            token,
            "pdd.logistics.ordertrace.get",
            {"company_code": carrier, "mail_no": number},
            "logistics_ordertrace_get_resposne",
        )
        with _reading():
            found = [
                Trace(
                    _ACTIONS.get(str(one["action"]).upper(), "in_transit"),
                    _moment(one.get("status_time") or one["time"]),
                )
                for one in answer["trace_list"] or []
            ]
        return sorted(found, key=lambda trace: trace.at)

    # --- tokens ---------------------------------------------------------------------------------------------------

    def exchange(self, code: str) -> Tokens:
        """``pdd.pop.auth.token.create``."""
        return self._tokens("pdd.pop.auth.token.create", {"code": code}, "pop_auth_token_create_response")

    def refresh(self, refresh_token: str) -> Tokens:
        """``pdd.pop.auth.token.refresh``."""
        return self._tokens(
            "pdd.pop.auth.token.refresh",
            {"refresh_token": refresh_token},
            "pop_auth_token_refresh_response",
        )

    def _tokens(self, type: str, business: Mapping[str, str], root: str) -> Tokens:
        try:
            answer = self._ask(_Access("", renewed=True), type, business, root, self._timeout_s)
        except NetworkSilent:
            raise
        except Refused as refusal:
            raise Refused(
                "the carrier network gives no access for this code or token; connect the store again",
                code="network.token",
                **refusal.facts,
            ) from None
        with _reading():
            access, renewal = answer["access_token"], answer["refresh_token"]
            if not (isinstance(access, str) and access and isinstance(renewal, str)):
                raise ValueError("no token")
            # Their clock may differ from ours, so the lifetime is read and not the moment.
            lifetime = timedelta(seconds=int(answer["expires_in"]))
            return Tokens(access, renewal, datetime.now(UTC) + lifetime)

    # --- the gateway ----------------------------------------------------------------------------------------------

    def _call(self, token: str, type: str, business: Mapping[str, str], root: str) -> Any:
        """One call that is made once; what stands under the answer's root key."""
        return self._ask(_Access(token), type, business, root, self._timeout_s)

    def _ask(
        self, access: _Access, type: str, business: Mapping[str, str], root: str, timeout_s: float
    ) -> Any:
        """One call, made again with a fresh token if the old one has expired: then nothing happened."""
        try:
            return self._send(access.token, type, business, root, timeout_s)
        except Refused as refusal:
            if refusal.facts.get("network_code") != _EXPIRED or access.renewed or self._refresh is None:
                raise
            access.renewed = True
            try:
                fresh = self._refresh(access.token)
            except NetworkSilent as silence:
                # What is not known is the renewal's fate; the call itself was refused.
                raise NetworkSilent(silence.detail, may_have_happened=False) from None
            if not fresh:
                raise
            access.token = fresh
        return self._send(access.token, type, business, root, timeout_s)

    def _send(self, token: str, type: str, business: Mapping[str, str], root: str, timeout_s: float) -> Any:
        """One request, counted, if the network isn't left alone for now, and what its answer means."""
        with network_call(type):
            return self._sent(token, type, business, root, timeout_s)

    def _sent(self, token: str, type: str, business: Mapping[str, str], root: str, timeout_s: float) -> Any:
        if rest_s := self._breaker.admit():
            raise NetworkResting(rest_s)
        served = False
        try:
            answer = self._answer(token, type, business, timeout_s)
            with _reading():
                error = answer.get("error_response")
                if error is None:
                    found = answer[root]
                    served = True
                    return found
                # A word about the request, whatever it says, shows that the network is there.
                served = int(error["error_code"]) not in _DEGRADED | _PERHAPS_DONE
                raise _refusal(error)
        finally:
            if served:
                self._breaker.answered()
            else:
                self._breaker.silent()

    def _answer(self, token: str, type: str, business: Mapping[str, str], timeout_s: float) -> Any:
        parameters = {
            "type": type,
            "client_id": self._client_id,
            "timestamp": str(int(time.time())),
            "data_type": "JSON",
            "version": "V1",
            **({"access_token": token} if token else {}),
            **business,
        }
        parameters["sign"] = _signature(parameters, self._secret)
        status, body = self._exchange.post(parameters, timeout_s)
        if status != 200:
            raise NetworkSilent("the carrier network failed", may_have_happened=True, status=status)
        with _reading():
            return _object(json.loads(body))


class _reading:
    """Reads an answer: whatever isn't shaped as agreed is no answer."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        if isinstance(fault, LabelsvcError):
            return
        if isinstance(fault, KeyError | TypeError | ValueError | AttributeError | RecursionError):
            raise NetworkSilent(
                "the carrier network's answer can't be read", may_have_happened=True
            ) from None


def _signature(parameters: Mapping[str, str], secret: str) -> str:
    """Sorted keys and values between two secrets, MD5, upper-case hex (reference 1.1)."""
    joined = "".join(name + parameters[name] for name in sorted(parameters))
    return hashlib.md5(f"{secret}{joined}{secret}".encode(), usedforsecurity=False).hexdigest().upper()


def _refusal(error: Mapping[str, Any]) -> LabelsvcError:
    """Our word for the network's error; its text may quote what we sent, so only its sense and its number are kept."""
    code = int(error["error_code"])
    if code in _TOO_MANY:
        return NetworkBusy("the carrier network limits the rate of requests", network_code=code)
    if code in _DEGRADED:
        return NetworkBusy("the carrier network has too much to do", network_code=code)
    if code in _PERHAPS_DONE:
        return NetworkSilent("the carrier network is in trouble", may_have_happened=True, network_code=code)
    if code in _TOKEN:
        return Refused(
            "the carrier network doesn't accept the store's access token; connect it again",
            code="network.token",
            network_code=code,
        )
    facts: dict[str, Any] = {"network_code": code}
    # "path.to.field: reason" names a field by the wire's own words; a path can't hold personal data.
    if path := re.match(
        r"([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+(?:\[\d+\])?)*):?", str(error.get("sub_msg") or "")
    ):
        facts["network_field"] = path[1]
    text = f"{error.get('sub_msg') or ''} {error.get('error_msg') or ''}"
    for pattern, word, sense in _SENSES:
        if re.search(pattern, text):
            if word == "network.already_issued":
                return AlreadyIssued(sense, **facts)
            return Refused(sense, code=word, **facts)
    return Refused("the carrier network refuses the request", code=f"network.{code}", **facts)


def _no_such_call(refusal: Refused) -> bool:
    return refusal.facts.get("network_code") in _NO_SUCH_CALL


def _is_repeatable(silence: NetworkSilent) -> bool:
    """Whether the same ``get`` may be sent again now: after no answer, or one that says that nothing was done.

    Not after the gateway's own "internal error": it may be about to do it, and clients of the platform don't repeat it.
    """
    if isinstance(silence, NetworkResting):
        return False
    return isinstance(silence, NetworkBusy) or "network_code" not in silence.facts


def _named(refusal: Refused, group: Sequence[int]) -> int | None:
    """Which of the parcels a refused batch's answer names, if it names one."""
    found = re.search(r"\btrade_order_info_dtos\[(\d{1,3})\]", str(refusal.facts.get("network_field", "")))
    at = int(found[1]) if found else len(group)
    return group[at] if at < len(group) else None


def _outcome(found: Given | Refused | NetworkSilent, perhaps: bool) -> Given | Refused | NetworkSilent:
    """A parcel's result in the light of an earlier try that may have got it a number unheard."""
    if not perhaps or isinstance(found, AlreadyIssued):
        return found
    if isinstance(found, Given):
        return replace(found, repeated=True)
    if isinstance(found, NetworkSilent) and found.may_have_happened:
        return found
    return NetworkSilent(
        "the carrier network didn't answer at first", may_have_happened=True, then=found.code
    )


def _found(answer: Any, parcel: ParcelRequest) -> Given | NetworkSilent:
    """What a batch's answer says of one parcel; an element that can't be read doesn't spoil its neighbours."""
    try:
        with _reading():
            ours = [one for one in answer["modules"] if one["object_id"] == parcel.id]
            if len(ours) != 1:
                raise ValueError("not one element a parcel")
            return _given(ours[0], parcel.id)
    except NetworkSilent as silence:
        return silence


def _kind(wp_type: Any) -> CarrierKind:
    return CarrierKind.DIRECT if int(wp_type) == 1 else CarrierKind.FRANCHISE


def _kind_of(account: PointAccount) -> CarrierKind:
    return CarrierKind.DIRECT if account.balance is None else CarrierKind.FRANCHISE


_PLACE_PARTS = ("province", "city", "district", "town", "detail")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _is_in(address: Mapping[str, str], place: Party) -> bool:
    return all(address.get(part) == text for part, text in _place(place).items())


def _applied(answer: Any, application: PointApplication) -> Applied:
    with _reading():
        state: ReviewState = answer["state"]
        if state not in get_args(ReviewState):
            raise ValueError("no state of an application")
        return Applied(str(answer["application_id"]), state, _reason(answer.get("reason"), application))


def _reason(text: Any, application: PointApplication) -> str:
    """A carrier's reason as one short line that quotes nothing personal of the application."""
    line = " ".join(str(text or "").split())
    line = "".join(char for char in line if char.isprintable())
    private = (
        application.contact_name,
        application.contact_phone,
        application.settlement_account,
        application.origin.name,
        application.origin.phone,
        application.origin.detail,
    )
    for value in sorted((value for value in private if value), key=len, reverse=True):
        line = line.replace(value, "…")
    line = re.sub(r"\+?\d[\d -]{5,}\d", "…", line)
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 1] + "…"


def _moment(value: Any) -> datetime:
    """A moment as the platform writes it: China's time as text, or seconds or milliseconds."""
    text = str(value)
    if re.fullmatch(r"\d{10}(\d{3})?", text):
        return datetime.fromtimestamp(int(text) / (1000 if len(text) == 13 else 1), UTC)
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=_CHINA) if moment.tzinfo is None else moment).astimezone(UTC)


def _element(parcel: ParcelRequest) -> dict[str, Any]:
    package: dict[str, Any] = {
        "id": parcel.id,
        "items": [{"name": item.name, "count": item.count} for item in parcel.items],
        "weight": parcel.weight_g,
    }
    if parcel.pieces > 1:
        package["total_packages_count"] = parcel.pieces
    return {
        "object_id": parcel.id,
        "user_id": 1,
        "template_url": "labelsvc:waybill",
        "order_info": {
            "order_channels_type": parcel.channel,
            "trade_order_list": list(parcel.orders),
        },
        "package_info": package,
        "recipient": _party(parcel.recipient),
    }


def _place(place: Party) -> dict[str, str]:
    # The wire wants three levels; where there is no district, the city stands for it.
    return {"province": place.province, "city": place.city, "district": place.district or place.city}


def _address(party: Party) -> dict[str, str]:
    return {**_place(party), "town": party.town, "detail": party.detail}


def _party(party: Party) -> dict[str, Any]:
    reach = "mobile" if re.fullmatch(r"1\d{10}", party.phone) else "phone"
    return {"name": party.name, reach: party.phone, "address": _address(party)}


def _given(one: Mapping[str, Any], parcel_id: str, live: bool = True) -> Given:
    parent = one.get("parent_waybill_code")
    try:
        data = _object(json.loads(one["print_data"])["data"])
    except (KeyError, TypeError, ValueError):
        data = {}  # a number was given all the same; the room asks for what its label must show
    return Given(parcel_id, _number(one["waybill_code"]), data, live, _number(parent) if parent else "")


def _number(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Za-z-]{6,40}", value):
        raise ValueError("no waybill number")
    return value


def _of_number(one: Mapping[str, Any], parcel_id: str, number: str) -> Given:
    """An answer about a number that we named. Raises ValueError if it is about another."""
    given = _given(one, parcel_id)
    if given.number != number:
        raise ValueError("another number")
    if not given.data:
        raise ValueError("no print data")
    return given


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
