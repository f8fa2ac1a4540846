"""The real platform's gateway (拼多多 open platform), as reference/platform-waybill-api.md describes its wire.

Hides the envelope, the MD5 signature, field names, and what an answer, or its absence, means. Calls that the platform
offers only as web pages are made under ``mock.*``, which the mock carrier network serves.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

import urllib3

from labelsvc.errors import LabelsvcError, Refused
from labelsvc.waybills.carriers import (
    AlreadyIssued,
    GetRequest,
    Given,
    NetworkSilent,
    PointAccount,
    PointApplication,
)
from labelsvc.waybills.model import Carrier, CarrierKind, NetworkPoint, Party

_ANSWER_BYTES = 8 * 1024 * 1024
_PARCELS_A_CALL = 10

#: The gateway's own trouble: the call wasn't carried out, or nobody knows.
_NOT_DONE = frozenset({52101, 52102, 52103, 70031})
_PERHAPS_DONE = frozenset({50000, 50001, 52001, 52002})
_NO_SUCH_CALL = frozenset({10017, 20034, 20035, 30000})
_TOKEN = frozenset({10019, 20031, 20032})

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


class PlatformNetwork:
    """One gateway, spoken to as one client; stores differ by their token. Safe to use from several threads."""

    def __init__(self, url: str, client_id: str, client_secret: str, timeout_s: float = 10) -> None:
        self._url = url
        self._client_id = client_id
        self._secret = client_secret
        self._timeout_s = timeout_s
        # Redirects and retries stay off: a repeated get is a decision of the room above.
        self._pool = urllib3.PoolManager(maxsize=8, retries=False)

    def carriers(self, token: str) -> list[Carrier]:
        """The carriers of the network."""
        answer = self._call(token, "mock.carriers", {}, "mock_carriers_response")
        return [
            Carrier(str(one["wp_code"]), str(one["wp_name"]), _kind(one["wp_type"]))
            for one in answer["carriers"]
        ]

    def points(self, token: str, carrier: Carrier, place: Party) -> list[NetworkPoint]:
        """The points of a carrier that cover a place."""
        wanted = {"wp_code": carrier.code, **_place(place)}
        answer = self._call(token, "mock.network.points", wanted, "mock_network_points_response")
        return [
            NetworkPoint(
                carrier.code, str(one["branch_code"]), str(one["branch_name"]), str(one.get("phone", ""))
            )
            for one in answer["points"]
        ]

    def apply(self, token: str, application: PointApplication) -> str:
        """Apply for a point; its application's id."""
        parameters = {
            "wp_code": application.carrier,
            "branch_code": application.branch_code,
            "address": _json(_address(application.origin)),
            "contact": _json({"name": application.contact_name, "phone": application.contact_phone}),
            "agreement_version": application.agreement_version,
        }
        if application.settlement_account:
            parameters["settlement_account"] = application.settlement_account
        answer = self._call(token, "mock.subscription.apply", parameters, "mock_subscription_apply_response")
        return str(answer["application_id"])

    def close(self, token: str, application_id: str) -> None:
        """Close a point."""
        self._call(
            token,
            "mock.subscription.close",
            {"application_id": application_id},
            "mock_subscription_close_response",
        )

    def search(self, token: str, carrier: str) -> list[PointAccount]:
        """The open points of a carrier, with their balances."""
        answer = self._call(token, "pdd.waybill.search", {"wp_code": carrier}, "pdd_waybill_search_response")
        return [
            PointAccount(
                carrier=str(one["wp_code"]),
                branch_code=str(point["branch_code"]),
                branch_name=str(point.get("branch_name", "")),
                balance=None
                if _kind(one["wp_type"]) is CarrierKind.DIRECT
                else int(point.get("quantity") or 0),
            )
            for one in answer["waybill_apply_subscription_cols"] or []
            for point in one["branch_account_cols"] or []
        ]

    def get(self, token: str, request: GetRequest) -> list[Given | Refused]:
        """``pdd.waybill.get``. The gateway refuses a batch whole, so a refused batch is asked again one by one."""
        if not 1 <= len(request.parcels) <= _PARCELS_A_CALL:
            raise ValueError(f"a call takes 1 to {_PARCELS_A_CALL} parcels")
        parameter = {
            "need_encrypt": False,
            "wp_code": request.carrier,
            "sender": _party(request.origin),
            "trade_order_info_dtos": [
                {
                    "object_id": parcel.id,
                    "user_id": 1,
                    "template_url": "labelsvc:waybill",
                    "order_info": {
                        "order_channels_type": parcel.channel,
                        "trade_order_list": list(parcel.orders),
                    },
                    "package_info": {
                        "id": parcel.id,
                        "items": [{"name": item.name, "count": item.count} for item in parcel.items],
                        "weight": parcel.weight_g,
                    },
                    "recipient": _party(parcel.recipient),
                }
                for parcel in request.parcels
            ],
        }
        try:
            answer = self._call(
                token,
                "pdd.waybill.get",
                {"param_waybill_cloud_print_apply_new_request": _json(parameter)},
                "pdd_waybill_get_response",
            )
        except Refused as refusal:
            if len(request.parcels) == 1:
                return [refusal]
            alone = (GetRequest(request.carrier, request.origin, (parcel,)) for parcel in request.parcels)
            return [self.get(token, one)[0] for one in alone]
        with _reading():
            given = {str(one["object_id"]): _given(one, str(one["object_id"])) for one in answer["modules"]}
            return [given[parcel.id] for parcel in request.parcels]

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
            if refusal.code in {f"network.{code}" for code in _NO_SUCH_CALL}:
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
        if answer.get("cancel_result") is not True:
            raise Refused("the network did not cancel the number", code="waybill.cancel_refused")

    def _call(self, token: str, type: str, business: Mapping[str, str], root: str) -> Any:
        """One call; what stands under the answer's root key."""
        parameters = {
            "type": type,
            "client_id": self._client_id,
            "access_token": token,
            "timestamp": str(int(time.time())),
            "data_type": "JSON",
            "version": "V1",
            **business,
        }
        parameters["sign"] = _signature(parameters, self._secret)
        status, body = self._post(parameters)
        if status != 200:
            raise NetworkSilent("the carrier network failed", may_have_happened=True, status=status)
        with _reading():
            answer = json.loads(body)
            if "error_response" in answer:
                raise _refusal(answer["error_response"])
            return answer[root]

    def _post(self, parameters: Mapping[str, str]) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout_s
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                fields=dict(parameters),
                encode_multipart=False,
                timeout=urllib3.Timeout(total=self._timeout_s),
                preload_content=False,
            )
            try:
                body = b""
                while chunk := answer.read(65536):
                    body += chunk
                    # The socket's own time-out starts anew with every byte; a trickle must end too.
                    if len(body) > _ANSWER_BYTES or time.monotonic() > deadline:
                        answer.close()
                        raise NetworkSilent("the carrier network's answer never ends", may_have_happened=True)
                return int(answer.status), body
            finally:
                answer.release_conn()
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.LocationValueError,
        ):
            raise NetworkSilent("the carrier network can't be reached", may_have_happened=False) from None
        except urllib3.exceptions.HTTPError:
            raise NetworkSilent("the carrier network doesn't answer", may_have_happened=True) from None


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
    if code in _NOT_DONE or code in _PERHAPS_DONE:
        return NetworkSilent(
            "the carrier network is in trouble", may_have_happened=code in _PERHAPS_DONE, network_code=code
        )
    if code in _TOKEN:
        return Refused(
            "the carrier network doesn't accept the store's access token; connect it again",
            code="network.token",
            network_code=code,
        )
    text = f"{error.get('sub_msg') or ''} {error.get('error_msg') or ''}"
    for pattern, word, sense in _SENSES:
        if re.search(pattern, text):
            if word == "network.already_issued":
                return AlreadyIssued(sense, network_code=code)
            return Refused(sense, code=word, network_code=code)
    facts: dict[str, Any] = {"network_code": code}
    # "path.to.field: reason" names a field by the wire's own words; a path can't hold personal data.
    if path := re.match(r"([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+(?:\[\d+\])?)*):", str(error.get("sub_msg") or "")):
        facts["network_field"] = path[1]
    return Refused("the carrier network refuses the request", code=f"network.{code}", **facts)


def _kind(wp_type: Any) -> CarrierKind:
    return CarrierKind.DIRECT if int(wp_type) == 1 else CarrierKind.FRANCHISE


def _place(place: Party) -> dict[str, str]:
    # The wire wants three levels; where there is no district, the city stands for it.
    return {"province": place.province, "city": place.city, "district": place.district or place.city}


def _address(party: Party) -> dict[str, str]:
    return {**_place(party), "town": party.town, "detail": party.detail}


def _party(party: Party) -> dict[str, Any]:
    reach = "mobile" if re.fullmatch(r"1\d{10}", party.phone) else "phone"
    return {"name": party.name, reach: party.phone, "address": _address(party)}


def _given(one: Mapping[str, Any], parcel_id: str, live: bool = True) -> Given:
    data = json.loads(one["print_data"])["data"]
    if not isinstance(data, dict):
        raise TypeError("print data isn't an object")
    number = one["waybill_code"]
    if not isinstance(number, str) or not re.fullmatch(r"[0-9A-Za-z-]{6,40}", number):
        raise ValueError("no waybill number")
    return Given(parcel_id, number, data, live)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
