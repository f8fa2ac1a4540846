"""Files of parcels (D19): what a spreadsheet or a shop's export says becomes waybill requests, row by row.

Hides encodings (UTF-8 with and without mark, UTF-16, GB18030), separators, XLSX, the names that columns have in Chinese and
English, and what spreadsheets do to long numbers: one shown as 2.4E+14, or kept as a number of more than 15 digits, has lost
digits and is refused by its row. Rows of the same orders and package are one parcel with several goods.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]  # carries no types

from labelsvc.errors import FieldError, Invalid
from labelsvc.waybills.model import IssueRequest, Item, Party
from labelsvc.waybills.workbooks import first_sheet

MAX_BYTES = 8 * 1024 * 1024
MAX_ROWS = 5000
_SEPARATORS = ",;\t"

#: Our columns, with the names they have in files; the first is the template's. What stands in brackets there is unit or hint.
COLUMNS: dict[str, tuple[str, ...]] = {
    "order_number": ("订单号", "订单编号", "交易单号", "order", "ordernumber", "orderid", "orderno"),
    "package": ("包裹号", "包裹", "package"),
    "carrier": ("快递公司", "快递", "物流公司", "carrier"),
    "recipient_name": ("收件人", "收件人姓名", "收货人", "收货人姓名", "recipient", "name", "recipientname"),
    "recipient_phone": (
        "收件人手机", "收件人电话", "手机", "手机号", "电话", "联系电话", "收货人手机", "phone", "mobile", "recipientphone",
    ),
    "recipient_province": ("省", "省份", "收件省", "province", "recipientprovince"),
    "recipient_city": ("市", "城市", "收件市", "city", "recipientcity"),
    "recipient_district": ("区", "区县", "县", "收件区", "district", "recipientdistrict"),
    "recipient_town": ("街道", "镇", "乡镇", "town", "recipienttown"),
    "recipient_detail": ("详细地址", "地址", "收货地址", "收件地址", "address", "detail", "recipientdetail"),
    "item_name": ("商品", "商品名称", "品名", "宝贝标题", "goods", "item", "itemname", "product"),
    "item_count": ("数量", "商品数量", "件数", "count", "quantity", "qty", "itemcount"),
    "weight_g": ("重量g", "重量克", "重量", "weightg", "weight"),
    "note": ("备注", "留言", "note", "remark"),
    "store_name": ("店铺", "店铺名称", "shop", "store", "storename"),
    "sender_name": ("发件人", "寄件人", "发件人姓名", "sender", "sendername"),
    "sender_phone": ("发件人手机", "发件人电话", "寄件人手机", "寄件人电话", "senderphone"),
    "sender_province": ("发件省", "寄件省", "senderprovince"),
    "sender_city": ("发件市", "寄件市", "sendercity"),
    "sender_district": ("发件区", "寄件区", "senderdistrict"),
    "sender_detail": ("发件地址", "寄件地址", "senderaddress", "senderdetail"),
}  # fmt: skip
_ALWAYS = (
    "order_number", "recipient_name", "recipient_phone", "recipient_province", "recipient_city", "recipient_detail",
    "item_name",
)  # fmt: skip
_SENDER = ("sender_name", "sender_phone", "sender_province", "sender_city", "sender_detail")
_BY_NAME = {name: column for column, names in COLUMNS.items() for name in (*names, column.replace("_", ""))}

_CARRIERS = {
    "顺丰": "SF",
    "申通": "STO",
    "圆通": "YTO",
    "中通": "ZTO",
    "韵达": "YUNDA",
    "极兔": "JTSD",
    "邮政": "EMS",
    "京东": "JD",
    "德邦": "DBKD",
    "丹鸟": "CNSD",
}
_SPOILED = re.compile(r"[+-]?\d+(\.\d+)?E[+-]?\d+", re.IGNORECASE)
_LOST_DIGITS = "was spoiled by a spreadsheet: format the column as text and fill it in anew"


@dataclass(frozen=True)
class FileRow:
    """What a parcel's rows came to: its request, or every fault with the name of its column. Row 1 is the header."""

    row: int
    rows: tuple[int, ...]
    request: IssueRequest | None
    errors: tuple[FieldError, ...] = ()

    def refused(self, column: str, reason: str) -> FileRow:
        """The same, refused for one more reason."""
        return replace(self, request=None, errors=(*self.errors, FieldError(column, reason)))


def read(content: bytes, *, carrier: str = "", sender: Party | None = None) -> list[FileRow]:
    """The parcels of a file, in its order; ``carrier`` and ``sender`` where it has no such columns.

    Raises Invalid: ``file.size``, ``file.unreadable``, ``file.columns`` naming each missing one as ``columns.NAME``.
    """
    if len(content) > MAX_BYTES:
        raise Invalid(f"the file has more than {MAX_BYTES} bytes", code="file.size", field="file")
    table = _workbook(content) if content.startswith(b"PK\x03\x04") else _text(content)
    filled = [(number, cells) for number, cells in enumerate(table, 1) if any(cell != "" for cell in cells)]
    if not filled:
        raise Invalid("the file is empty", code="file.unreadable", field="file")
    if len(filled) > MAX_ROWS + 1:
        raise Invalid(f"the file has more than {MAX_ROWS} rows", code="file.size", field="file")
    columns = _columns(filled[0][1], carrier=carrier, sender=sender)
    parcels: dict[Any, list[_Line]] = {}
    for number, cells in filled[1:]:
        line = _Line(number, {name: cells[at] if at < len(cells) else "" for name, at in columns.items()})
        parcels.setdefault(line.parcel, []).append(line)
    return [_parcel(lines, carrier, sender) for lines in parcels.values()]


def template_csv() -> bytes:
    """A file to fill in, that every spreadsheet opens with its Chinese intact: the columns, and no parcel."""
    return ("﻿" + ",".join(names[0] for names in COLUMNS.values()) + "\r\n").encode()


def template_xlsx() -> bytes:
    """The same as XLSX, every cell text, so that no number is spoiled."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        as_text, bold = book.add_format({"num_format": "@"}), book.add_format({"bold": True})
        sheet = book.add_worksheet("parcels")
        sheet.set_column(0, len(COLUMNS) - 1, 18, as_text)
        for at, (column, names) in enumerate(COLUMNS.items()):
            sheet.write_string(0, at, names[0] + ("*" if column in _ALWAYS else ""), bold)
        sheet.freeze_panes(1, 0)
    return file.getvalue()


# --- reading cells ---


def _workbook(content: bytes) -> list[list[str]]:
    """The first sheet, every cell as text; a row more than is allowed, so that too many are told."""
    return [[_cell(value) for value in row] for row in first_sheet(content, MAX_ROWS + 2)]


def _cell(value: object) -> str:
    """A cell as the person meant it. A number beyond 15 digits is shown as what it is: digits that are lost."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float | int):
        if abs(value) >= 1e15:
            return f"{value:.5E}"
        return str(int(value)) if value == int(value) else repr(value)
    return _tidy(str(value))


def _text(content: bytes) -> list[list[str]]:
    text = _decoded(content)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    try:
        return [
            [_tidy(cell) for cell in row]
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        ]
    except csv.Error:
        raise Invalid("can't be read as rows and columns", code="file.unreadable", field="file") from None


def _decoded(content: bytes) -> str:
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid("is neither UTF-8 nor GB18030", code="file.unreadable", field="file")


def _tidy(cell: str) -> str:
    """A cell without the marks that keep a spreadsheet from spoiling it: ="123", a leading apostrophe or tab."""
    cell = cell.strip().strip("\u200b\ufeff").strip()
    if quoted := re.fullmatch(r'="(.*)"', cell):
        cell = quoted[1]
    return cell.removeprefix("'")


# --- columns and rows ---


def _columns(header: Sequence[str], *, carrier: str, sender: Party | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for at, name in enumerate(header):
        plain = unicodedata.normalize("NFKC", name).lower()
        column = _BY_NAME.get(re.sub(r"[\s_*:.()-]", "", plain))
        if column is not None:
            found.setdefault(column, at)
    needed: Iterable[str] = (
        *_ALWAYS,
        *(() if carrier else ("carrier",)),
        *(() if sender is not None else _SENDER),
    )
    missing = [column for column in needed if column not in found]
    if missing:
        raise Invalid(
            "columns are missing: " + ", ".join(f"{name} ({COLUMNS[name][0]})" for name in missing),
            code="file.columns",
            errors=[FieldError(f"columns.{name}", "is missing") for name in missing],
        )
    return found


class _Line:
    """One row of goods."""

    def __init__(self, number: int, cells: Mapping[str, str]) -> None:
        self.number = number
        self.cells = cells
        #: Rows with the same are one parcel; a row without an order is one by itself, and refused as such.
        self.parcel = (self.orders, self["package"] or "1") if self.orders else number

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    @property
    def orders(self) -> tuple[str, ...]:
        """Several orders of a merged parcel stand in one cell."""
        return tuple(part for part in re.split(r"[\s、,，;；|]+", self["order_number"]) if part)

    @property
    def common(self) -> dict[str, str]:
        """What must be the same in every row of a parcel."""
        return {name: cell for name, cell in self.cells.items() if not name.startswith("item_")}

    def spoiled(self) -> list[FieldError]:
        """The cells that have lost digits."""
        wrong = []
        for column in ("order_number", "recipient_phone", "sender_phone", "package"):
            parts = self.orders if column == "order_number" else (self[column],)
            if any(_SPOILED.fullmatch(part) for part in parts):
                wrong.append(FieldError(column, _LOST_DIGITS))
        return wrong

    def whole(self, column: str, default: int, wrong: list[FieldError]) -> int:
        """A whole number, or ``default`` where the cell is empty."""
        text = unicodedata.normalize("NFKC", self[column])
        if not text:
            return default
        if not re.fullmatch(r"\d{1,9}(\.0+)?", text):
            wrong.append(FieldError(column, "must be a whole number"))
            return default
        return int(text.partition(".")[0])


def _parcel(lines: Sequence[_Line], carrier: str, sender: Party | None) -> FileRow:
    first = lines[0]
    numbers = tuple(line.number for line in lines)
    wrong = [fault for line in lines for fault in line.spoiled()]
    if any(line.common != first.common for line in lines[1:]):
        wrong.append(FieldError("order_number", "stands in several rows that differ in more than the goods"))
    items = tuple(Item(line["item_name"], line.whole("item_count", 1, wrong)) for line in lines)
    if sender is None or first["sender_name"]:
        sender = Party(
            *(first[f"sender_{part}"] for part in ("name", "phone", "province", "city", "district", "detail"))
        )
    recipient = Party(
        *(
            first[f"recipient_{part}"]
            for part in ("name", "phone", "province", "city", "district", "detail", "town")
        )
    )
    request = IssueRequest(
        carrier=_carrier(first["carrier"]) or carrier,
        orders=first.orders,
        recipient=recipient,
        shown_sender=sender,
        items=items,
        package=first["package"] or "1",
        weight_g=first.whole("weight_g", 0, wrong),
        note=first["note"],
        store_name=first["store_name"],
    )
    try:
        request = request.checked()
    except Invalid as fault:
        named = {error.field for error in wrong}
        wrong += [
            FieldError(column, error.reason)
            for error in fault.errors
            if (column := _column_of(error.field)) not in named
        ]
    return FileRow(first.number, numbers, None if wrong else request, tuple(wrong))


def _carrier(text: str) -> str:
    """A carrier's code from its code or its name."""
    return next((code for name, code in _CARRIERS.items() if name in text), text.upper())


def _column_of(field: str) -> str:
    """The column that a request's field came from."""
    part = re.sub(r"\[\d+\]", "", field)
    part = part.replace("shown_sender.", "sender_").replace("items.", "item_").replace(".", "_")
    return {"orders": "order_number", "items": "item_name"}.get(part, part)
