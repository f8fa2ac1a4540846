"""What a label template may show of a waybill (``_data``); pure.

Hides the names that the trade's templates use, and the two spellings that networks have for the routing block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from labelsvc.waybills.model import IssueRequest, Party, Waybill

_BRACKETS = re.compile(r"[（(【\[《<][^）)】\]》>]*[）)】\]》>]")


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
    pieces = f"{waybill.piece}/{waybill.pieces}"
    return {
        "recipient": _on_label(request.recipient),
        "sender": _on_label(request.shown_sender),
        "waybillCode": waybill.number,
        "parentWaybillCode": waybill.parent_number,
        "wpCode": waybill.carrier,
        "carrierName": waybill.carrier_name,
        "carrierLogo": "",
        "payment": {"text": ""},
        "routingInfo": routing(data) if route is None else route,
        "shippingOption": {"code": str(option.get("code") or ""), "title": str(option.get("title") or "")},
        "goods": {
            "summary": "；".join(goods),
            "count": sum(item.count for item in request.items),
            "lines": "\n".join(goods),
            "short": "\n".join(f"{short_name(item.name)}×{item.count}" for item in request.items),
            "items": [
                {"name": item.name, "shortName": short_name(item.name), "count": item.count}
                for item in request.items
            ],
        },
        "orderNumbers": "、".join(request.orders),
        "storeName": request.store_name,
        "custom": {"text": request.custom or request.note},
        "reprint": {"mark": ""},
        "print": {"time": "", "batch": "", "sequence": pieces},
        "parcel": {
            "piece": waybill.piece,
            "pieces": waybill.pieces,
            # Of a single parcel there is nothing to say (W7).
            "text": pieces if waybill.pieces > 1 else "",
            "parent": f"母单 {waybill.parent_number}" if waybill.parent_number else "",
        },
        "service": {"text": f"{request.weight_g / 1000:.2f} kg" if request.weight_g else ""},
        "qr": waybill.number,
    }


def short_name(name: str) -> str:
    """Goods as a packer calls them: without what stands in brackets, up to the first break, at most 8 characters.

    A name that begins with a bracket keeps what is behind it.
    """
    bare = _BRACKETS.sub(" ", name).split()
    return (bare[0] if bare else name.strip())[:8]


def with_masked_recipient(shown: Mapping[str, Any]) -> dict[str, Any]:
    """``print_data`` with its recipient as labels show it by default: name, phone, unit and room masked."""
    clear = shown["recipient"]
    recipient = Party(name=clear["name"], phone=clear["mobile"], **clear["address"])
    return {**shown, "recipient": _on_label(recipient.masked_for_label())}


def sample_label() -> dict[str, Any]:
    """A label's data about people and goods that don't exist, for previews and for trying templates."""
    return {
        "recipient": {
            "name": "欧阳晓*",
            "mobile": "138******78",
            "phone": "",
            "address": {
                "province": "浙江省",
                "city": "杭州市",
                "district": "余杭区",
                "town": "仓前街道",
                "detail": "海棠路88号样张小区3幢***",
            },
        },
        "sender": {
            "name": "样张家居旗舰店",
            "mobile": "0757-00000000",
            "phone": "",
            "address": {
                "province": "广东省",
                "city": "佛山市",
                "district": "顺德区",
                "town": "乐从镇",
                "detail": "样张大道1号",
            },
        },
        "waybillCode": "YT0000000000000",
        "parentWaybillCode": "",
        "wpCode": "YTO",
        "carrierName": "样张快递",
        "carrierLogo": "",
        "payment": {"text": "寄付月结"},
        "routingInfo": routing(
            {
                "routingInfo": {
                    "threeSegmentCode": "330-A12 08",
                    "bigShotName": "杭州余杭",
                    "consolidation": {"name": "杭州转运中心", "code": "571901"},
                    "originBranchName": "佛山乐从",
                    "originBranchCode": "757012",
                    "endBranchName": "余杭仓前",
                    "endBranchCode": "571088",
                }
            }
        ),
        "shippingOption": {"code": "STANDARD", "title": "标准快递"},
        "goods": {
            "summary": "棉麻抱枕套 ×2；陶瓷马克杯 ×1",
            "count": 6,
            "lines": "棉麻抱枕套（雾蓝 45×45）×2\n陶瓷马克杯（350ml 白）×1\n原木置物架（三层）×1\n纯棉毛巾（灰）×2",
            "short": "抱枕套×2\n马克杯×1\n置物架×1\n毛巾×2",
            "items": [
                {"name": "棉麻抱枕套（雾蓝 45×45）", "shortName": "抱枕套", "count": 2},
                {"name": "陶瓷马克杯（350ml 白）", "shortName": "马克杯", "count": 1},
                {"name": "原木置物架（三层）", "shortName": "置物架", "count": 1},
                {"name": "纯棉毛巾（灰）", "shortName": "毛巾", "count": 2},
            ],
        },
        "orderNumbers": "261129-000000000001",
        "storeName": "样张家居旗舰店",
        "custom": {"text": "易碎品，请轻放"},
        "reprint": {"mark": ""},
        "print": {"time": "2026-11-29 09:30", "batch": "B1129", "sequence": "3/40"},
        "parcel": {"piece": 1, "pieces": 1, "text": "", "parent": ""},
        "service": {"text": "1.20 kg"},
        "qr": "YT0000000000000",
    }


def sample_list() -> dict[str, Any]:
    """A pick list's and a delivery note's data about people and goods that don't exist."""
    goods = (
        ("A-01-03", "棉麻抱枕套", "雾蓝 45×45 cm", "BZ-45-WL", 6),
        ("A-01-07", "棉麻抱枕套", "米白 45×45 cm", "BZ-45-MB", 2),
        ("A-02-11", "陶瓷马克杯", "350 ml 白", "MK-350-B", 12),
        ("B-04-02", "原木置物架", "三层", "ZW-3", 1),
        ("B-04-05", "纯棉毛巾", "灰", "MJ-H", 8),
    )
    return {
        "batch": "B1129-01",
        "number": "261129-000000000001",
        "orders": 14,
        "count": sum(row[4] for row in goods),
        "time": "2026-11-29 09:30",
        "storeName": "样张家居旗舰店",
        "recipient": "欧阳晓*",
        "note": "收到后请先点数；如有破损，请在 48 小时内联系我们。",
        "rows": [
            {"place": place, "name": name, "spec": spec, "sku": sku, "count": count}
            for place, name, spec, sku, count in goods
        ],
    }


def sample_of(paths: Iterable[str]) -> dict[str, Any]:
    """The sample for a template that takes these paths from its data: a list's if it has rows, else a label's."""
    return sample_list() if any(path.split(".")[0] == "rows" for path in paths) else sample_label()
