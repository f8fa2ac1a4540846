"""How a template begins: a commented template for paper of any size, and data to see any template with.

Hides how the names of a template's data are found, in places and in scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from labelsvc.errors import Invalid
from labelsvc.labels.template import MAX_PAGE_MM, OWN_NAMESPACE, Template

#: The smallest paper that a starter is made for, in mm.
SMALLEST_MM = (30.0, 20.0)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
#: The narrowest paper on which a waybill number stands as Code 128, and the lowest for a whole waybill.
_WAYBILL_MM = (60.0, 90.0)

# What a step of a path can be: a name, a name in quotes, a number, or a script's variable, which counts through a list.
_STEP = re.compile(r"""\.\s*([^\W\d][\w$]*)|\[\s*(?:"([^"]*)"|'([^']*)'|([0-9]{1,2})|([^\W\d][\w$]*))\s*\]""")
_ANY_STEP = r"""\s*(?:\.\s*[^\W\d][\w$]*|\[\s*(?:"[^"]*"|'[^']*'|[0-9]{1,2}|[^\W\d][\w$]*)\s*\])"""
_PATH = re.compile(rf"(?<![\w$.])_data((?:{_ANY_STEP})+)(\s*\()?")
#: What lists know themselves: not a name in the data.
_KNOWN_TO_LISTS = frozenset({"length", "forEach", "map", "filter", "join", "reduce", "some", "every", "sort"})
_BARCODE = re.compile(r"<barcode\b(.*?)(?:/>|</barcode>)", re.DOTALL)
#: A number that every type of barcode can hold that doesn't ask for another length.
_NUMBER = "6901234567892"


def sample_data(template: Template, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Data to show a template with: what is ``known``, and for what else it takes from its data, a value named so.

    A list has two rows; where a barcode needs digits, there are digits.
    """
    data: dict[str, Any] = _copy(known or {})
    coded = [path for barcode in _BARCODE.findall(template.text) for path in _paths(barcode)]
    for path in sorted(
        _paths(template.text), key=len, reverse=True
    ):  # what has parts before what is only counted
        name = next(step for step in reversed(path) if isinstance(step, str))
        _put(data, path, _NUMBER if path in coded else name)
    return data


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _paths(text: str) -> Iterator[list[str | int]]:
    for written, call in _PATH.findall(text):
        path: list[str | int] = []
        for name, double, single, number, variable in _STEP.findall(written):
            path.append(int(number) if number else 0 if variable else name or double or single)
        if path[-1] in _KNOWN_TO_LISTS:
            path[-1] = 0
        elif call:
            path = path[:-1]
        if path and isinstance(path[0], str):
            yield path


def _put(data: Any, path: list[str | int], leaf: str) -> None:
    """Make the way to ``path`` where there is none; what is there stays."""
    for at, step in enumerate(path):
        following = path[at + 1] if at + 1 < len(path) else None
        fresh: Any = leaf if following is None else {} if isinstance(following, str) else []
        if isinstance(step, int):
            if not isinstance(data, list):
                return
            while len(data) <= max(step, 1):
                data.append(_copy(data[0]) if data and isinstance(data[0], dict | list) else _copy(fresh))
            if isinstance(following, str) and isinstance(data[step], dict):
                for row in data:  # every row of a list has the same names
                    if isinstance(row, dict):
                        _put(row, path[at + 1 :], leaf)
                return
        elif not isinstance(data, dict):
            return
        elif step not in data or (following is not None and isinstance(data[step], str)):
            data[step] = fresh
        data = data[step]


def starter(name: str, width_mm: float, height_mm: float) -> str:
    """A template to begin with, commented, that checks and prints without a warning. Invalid for a name that can't be a
    file's, or paper smaller than 30 × 20 mm or larger than a page can be."""
    if not _NAME.fullmatch(name):
        raise Invalid("A template's name has small letters, digits and hyphens", field="name")
    if not (SMALLEST_MM[0] <= width_mm <= MAX_PAGE_MM and SMALLEST_MM[1] <= height_mm <= MAX_PAGE_MM):
        raise Invalid(f"The paper must be 30 × 20 mm to {MAX_PAGE_MM:g} × {MAX_PAGE_MM:g} mm", field="size")
    waybill = width_mm >= _WAYBILL_MM[0] and height_mm >= _WAYBILL_MM[1]
    body = _waybill(width_mm, height_mm) if waybill else _small(width_mm, height_mm)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<!-- {name}: {width_mm:g} × {height_mm:g} mm. Lengths are in mm from the top left corner of the element around, "
        "type in pt.\n"
        "     A value from the label's data is written <\\%= _data.recipient.name %\\>. What depends on something stands\n"
        "     between <\\% if (_data.storeName) { %\\> and <\\% } %\\>. What begins with labelsvc: is our own: required says that\n"
        "     the text must be printed whole or the label is refused, minFontSize how small it may become before that. -->\n"
        f'<page xmlns="http://cloudprint.cainiao.com/print" xmlns:labelsvc="{OWN_NAMESPACE}" '
        f'width="{width_mm:g}" height="{height_mm:g}">\n{body}</page>\n'
    )


_ADDRESS = "".join(
    f"<%= _data.{{0}}.address.{part} %>" for part in ("province", "city", "district", "town", "detail")
)


def _waybill(width: float, height: float) -> str:
    inside = width - 4
    bars = round(0.17 * inside + 6, 1)
    unit = round(
        (height - bars - 4) / 12, 2
    )  # the rest in rows: 2 route, 4 recipient, 2 sender, 4 custom area
    route, recipient = 2 + bars, 2 + bars + 2 * unit
    sender, area = recipient + 4 * unit, recipient + 6 * unit
    text = round(min(14.0, 1.6 * unit), 1)
    return f"""
  <!-- The number. hideText:false prints it below the bars too. -->
  <barcode left="2" top="2" width="{inside:g}" height="{bars - 1:g}" type="code128" value="<%= _data.waybillCode %>"
           labelsvc:name="number" labelsvc:required="true" style="hideText:false;fontSize:11"/>

  <!-- The routing code 三段码: the largest type, because parcels are sorted by it. -->
  <text left="2" top="{route:g}" width="{inside:g}" height="{2 * unit - 1:g}" value="<%= _data.routingInfo.routeCode %>"
        labelsvc:name="routing code" labelsvc:required="true" labelsvc:minFontSize="12"
        style="fontSize:{round(min(42.0, 3.4 * unit), 1):g};fontWeight:bold;align:center;valign:middle;wrap:false"/>
  <line startX="2" startY="{recipient - 0.5:g}" endX="{width - 2:g}" endY="{recipient - 0.5:g}"/>

  <!-- A layout is a box; what stands in it is placed from its corner and has its type. -->
  <layout left="2" top="{recipient:g}" width="{inside:g}" height="{4 * unit:g}" style="fontSize:{text:g}">
    <text left="0" top="0" width="{0.55 * inside:g}" height="{1.4 * unit:g}" value="收 <%= _data.recipient.name %>"
          labelsvc:name="recipient name" labelsvc:required="true" labelsvc:minFontSize="5" style="fontWeight:bold;valign:middle"/>
    <text left="{0.56 * inside:g}" top="0" width="{0.44 * inside:g}" height="{1.4 * unit:g}" value="<%= _data.recipient.mobile %>"
          labelsvc:name="recipient phone" labelsvc:required="true" labelsvc:minFontSize="5"
          style="fontWeight:bold;align:right;valign:middle;wrap:false"/>
    <text left="0" top="{1.5 * unit:g}" width="{inside:g}" height="{2.4 * unit:g}" labelsvc:name="recipient address"
          labelsvc:required="true" labelsvc:minFontSize="5" value="{_ADDRESS.format("recipient")}"/>
  </layout>
  <line startX="2" startY="{sender:g}" endX="{width - 2:g}" endY="{sender:g}" style="lineType:dashed"/>
  <text left="2" top="{sender + 0.5:g}" width="{inside:g}" height="{2 * unit - 1:g}" labelsvc:name="sender" labelsvc:minFontSize="5"
        style="fontSize:{round(0.7 * text, 1):g}" value="寄 <%= _data.sender.name %> <%= _data.sender.mobile %> {_ADDRESS.format("sender")}"/>
  <line startX="2" startY="{area:g}" endX="{width - 2:g}" endY="{area:g}" style="lineType:dashed"/>

  <!-- The place for a store's custom area 自定义区; without one, what stands here is printed. -->
  <layout labelsvc:area="custom" left="2" top="{area + 0.5:g}" width="{inside:g}" height="{4 * unit - 1:g}">
    <text left="0" top="0" width="{inside:g}" height="{4 * unit - 1:g}" value="<%= _data.goods.lines %>" labelsvc:name="goods"
          labelsvc:minFontSize="5" style="fontSize:{round(0.7 * text, 1):g}"/>
  </layout>
"""


def _small(width: float, height: float) -> str:
    side = round(min(height - 4, (width - 5) * 0.5, 25.0), 2)
    left = 3 + side
    room = round(width - left - 2, 2)
    return f"""
  <!-- The number as a QR code, for Code 128 needs wider paper. -->
  <barcode left="2" top="2" width="{side:g}" height="{side:g}" type="qrcode" value="<%= _data.waybillCode %>"
           labelsvc:name="number" labelsvc:required="true"/>

  <text left="{left:g}" top="2" width="{room:g}" height="{height / 2 - 2:g}" value="<%= _data.recipient.name %>"
        labelsvc:name="recipient name" labelsvc:required="true" labelsvc:minFontSize="5"
        style="fontSize:10;fontWeight:bold;valign:middle"/>
  <text left="{left:g}" top="{height / 2:g}" width="{room:g}" height="{height / 2 - 2:g}" value="<%= _data.goods.summary %>"
        labelsvc:name="goods" labelsvc:minFontSize="5" style="fontSize:8"/>
"""
