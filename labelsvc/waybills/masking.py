"""What of a name, a phone and an address may be shown; pure. Hides where in a Chinese address the unit and the room begin.

The limits are those of the express waybill standard (GB/T 41833-2022): a name hides at least one character, a phone at
least six digits, an address its unit and room.
"""

from __future__ import annotations

import re
import unicodedata

#: What stands for the hidden end of an address, whatever its length.
HIDDEN = "***"

_NUMERAL = "〇零一二三四五六七八九十百两壹贰叁肆伍陆柒捌玖拾"
#: After a number these say that it counts something within a compound or a building, or a household of a village.
_WITHIN = "号楼|号|號|栋|幢|座|单元|楼|层|室|房|户|梯|组|队|弄|排|舍|铺|档|柜|社(?!区)|门(?![诊口头前店市面])|期|库|仓"
_NOT_A_ROAD_NUMBER = "楼|栋|幢|座|门|房|室|厅|馆|仓|库|铺|柜|单元|线|机|公寓|宿舍|别墅|桥"
_NUMBER = rf"(?:\d++|[{_NUMERAL}]++)"
#: A road's own number: 阜通东大街6号院, 张杨路123弄, 文三路 1 号, 人民路88; not 人民路3号楼, 人民路88-402.
_ROAD_NUMBER = re.compile(
    rf"(?<=[路街道巷弄里段条坊])\s*(?:{_NUMBER}(?:[-－—之]{_NUMBER})?\s*(?:[号號](?!{_NOT_A_ROAD_NUMBER})院?|弄)"
    rf"|\d++(?!\s*(?:[-－—#/、.,A-Za-z]|{_WITHIN})))"
)
_ROAD_NUMBER_AFTER_ALLEY = re.compile(rf"(?<=胡同)\s*{_NUMBER}\s*[号號](?!{_NOT_A_ROAD_NUMBER})院?")
#: Numbers that are names of roads, lines and areas.
_NAME = re.compile(r"[A-Za-z]?\d+\s*(?:国道|省道|县道|乡道|号线|公里|米|里)")
#: Whatever may be a building's, a unit's, a floor's or a room's: anything with a digit, a letter or numeral before such a word.
_INNER = re.compile(
    rf"第?(?:[A-Za-z]*[-－#.]?\d|[A-Za-z]\s*(?:{_WITHIN}|区)|[{_NUMERAL}]+\s*(?:{_WITHIN})"
    r"|[甲乙丙丁戊东西南北](?:单元|座|栋|幢|室|户))"
)


def masked_name(name: str) -> str:
    """The first character, and a star for each other: 张*. Only stars where no visible one would be hidden."""
    if any(unicodedata.category(char)[0] in "LNSP" for char in name[1:]):
        return name[:1] + "*" * (len(name) - 1)
    return "*"


def masked_phone(phone: str) -> str:
    """At most three leading and two trailing digits stay, and at least six are hidden: all, if there are fewer than seven."""
    if "*" in phone:  # masked before: no phone has a star of its own
        return phone
    digits = [at for at, char in enumerate(phone) if char.isdigit()]
    shown = max(0, min(5, len(digits) - 6))
    keep = set(digits[: min(3, shown)])
    if shown > 3:
        keep |= set(digits[3 - shown :])
    return "".join("*" if char.isdigit() and at not in keep else char for at, char in enumerate(phone))


def masked_detail(detail: str) -> str:
    """Road, its number and the compound's name stay; building, unit, floor and room, and all behind them, are hidden.

    Where no such part is known, at least the last third is hidden, and the road's number with it unless enough stands
    behind that. Masking twice changes nothing.
    """
    shown = detail.removesuffix(HIDDEN)
    if shown != detail and _first_inner(shown) is None:
        return detail
    cut = _first_inner(detail)
    if cut is None:
        road = _road_number(detail)
        cut = len(detail) * 2 // 3
        if road is not None:
            cut = road[1] if road[1] <= cut else min(cut, road[0])
    # The hidden text must not be read off what is shown: 啊啊啊啊, 1号1.
    while cut and detail[cut:].strip() in detail[:cut]:
        cut -= 1
    while 0 < cut < len(detail) and detail[cut - 1].isdigit() and detail[cut].isdigit():
        cut -= 1
    return detail[:cut].rstrip() + HIDDEN


def _road_number(detail: str) -> tuple[int, int] | None:
    found = [hit.span() for hit in (road.search(detail) for road in _ROADS) if hit is not None]
    return min(found, default=None)


_ROADS = (_ROAD_NUMBER, _ROAD_NUMBER_AFTER_ALLEY)


def _first_inner(detail: str) -> int | None:
    """Where the first number begins that isn't the road's own, nor part of a name; from the front, so that an address
    written room first hides it too."""
    spared = [hit.span() for hit in _NAME.finditer(detail)]
    road = _road_number(detail)
    if road is not None:
        spared.append(road)
    for hit in _INNER.finditer(detail):
        if not any(start <= hit.start() < end or start < hit.end() <= end for start, end in spared):
            return hit.start()
    return None
