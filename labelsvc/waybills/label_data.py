"""What a label template may show of a waybill (``_data``); pure.

Hides the names that the trade's templates use, and the two spellings that networks have for the routing block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelsvc.waybills.model import IssueRequest, Party, Waybill


def routing(data: Mapping[str, Any]) -> dict[str, Any]:
    """The network's routing block under the names of both platforms, every one of them text."""
    given = data.get("routingInfo")
    block: dict[str, Any] = given if isinstance(given, dict) else {}

    def text(*names: str, within: Any = block) -> str:
        for name in names:
            value = within.get(name) if isinstance(within, dict) else None
            if isinstance(value, str):
                if value:
                    return value
            elif isinstance(value, int) and value is not True and value is not False:
                return str(value)
        return ""

    consolidation, origin, sortation = (block.get(n) for n in ("consolidation", "origin", "sortation"))
    route = text("routeCode", "threeSegmentCode")
    return {
        "routeCode": route,
        "threeSegmentCode": text("threeSegmentCode", "routeCode"),
        "bigShotName": text("bigShotName") or text("name", within=sortation),
        "bigShotCode": text("bigShotCode"),
        "consolidation": {
            "name": text("name", within=consolidation),
            "code": text("code", within=consolidation),
        },
        "origin": {
            "name": text("originBranchName") or text("name", within=origin),
            "code": text("originBranchCode") or text("code", within=origin),
        },
        "sortation": {"name": text("name", within=sortation) or text("bigShotName")},
        "originBranchName": text("originBranchName"),
        "originBranchCode": text("originBranchCode"),
        "endBranchName": text("endBranchName"),
        "endBranchCode": text("endBranchCode"),
    }


def _on_label(party: Party) -> dict[str, Any]:
    # Templates of the trade print ``mobile``; ``phone`` stays empty so that no number stands twice.
    return {
        "name": party.name,
        "mobile": party.phone,
        "phone": "",
        "address": {
            "province": party.province,
            "city": party.city,
            "district": party.district,
            "town": party.town,
            "detail": party.detail,
        },
    }


def print_data(
    waybill: Waybill, request: IssueRequest, data: Mapping[str, Any], route: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a label template may show (``_data``): the merchant's sender (P3, W10), the recipient in clear, the route.

    ``route`` is ``routing(data)``, if it is at hand.
    """
    option = data.get("shippingOption")
    option = option if isinstance(option, Mapping) else {}
    goods = [f"{item.name} ×{item.count}" for item in request.items]
    return {
        "recipient": _on_label(request.recipient),
        "sender": _on_label(request.shown_sender),
        "waybillCode": waybill.number,
        "parentWaybillCode": waybill.parent_number,
        "wpCode": waybill.carrier,
        "carrierName": waybill.carrier_name,
        "routingInfo": routing(data) if route is None else route,
        "shippingOption": {"code": str(option.get("code") or ""), "title": str(option.get("title") or "")},
        "goods": {
            "summary": "；".join(goods),
            "count": sum(item.count for item in request.items),
            "lines": "\n".join(goods),
        },
        "orderNumbers": "、".join(request.orders),
        "storeName": request.store_name,
        "custom": {"text": request.custom or request.note},
        "reprint": {"mark": ""},
        "print": {"time": "", "sequence": f"{waybill.piece}/{waybill.pieces}"},
        "service": {"text": f"{request.weight_g / 1000:.2f} kg" if request.weight_g else ""},
        "qr": waybill.number,
    }


def with_masked_recipient(shown: Mapping[str, Any]) -> dict[str, Any]:
    """``print_data`` with its recipient as labels show it by default: name, phone, unit and room masked."""
    clear = shown["recipient"]
    recipient = Party(name=clear["name"], phone=clear["mobile"], **clear["address"])
    return {**shown, "recipient": _on_label(recipient.masked_for_label())}
