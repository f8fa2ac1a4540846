"""Data of any type of barcode become a symbol.

Hides the encoder behind (zint, but for Code 128 and the size of QR codes), which characters each type has, check digits,
and what the options of a template mean to each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn, cast

from labelsvc.errors import Invalid
from labelsvc.labels.symbols import gs1
from labelsvc.labels.symbols.code_128 import CodeSet, code128
from labelsvc.labels.symbols.drawing import draw
from labelsvc.labels.symbols.kinds import KINDS, Bars, Kind, Level, Matrix
from labelsvc.labels.symbols.maxicode import Picture
from labelsvc.labels.symbols.qr import qrcode

_LEVELS: dict[str, Level] = {
    "": "M", "0": "L", "1": "M", "2": "Q", "3": "H", "L": "L", "M": "M", "Q": "Q", "H": "H",
}  # fmt: skip
_RUNS = re.compile("1+|0+")

_NUMERIC = re.compile(r"[0-9]+")
_CODE39 = re.compile(r"[0-9A-Z\-. $/+%]+")
_CODE11 = re.compile(r"[0-9\-]+")
_CODABAR = re.compile(r"([A-Da-d])?([0-9\-$:/.+]+)([A-Da-d])?")
_RM4SCC = re.compile(r"[0-9A-Z]+")
#: Postcode, then three digits of country and three of service.
_PRIMARY = re.compile(r"(?:[0-9]{1,9}|[0-9A-Z ]{1,6})[0-9]{6}")

#: Data Matrix sizes (rows, columns) as zint numbers them from 1 on; ISO/IEC 16022, table 7.
_DATAMATRIX_SIZES = (
    *((side, side) for side in (10, 12, 14, 16, 18, 20, 22, 24, 26, 32, 36, 40, 44, 48, 52, 64, 72, 80, 88, 96, 104, 120, 132, 144)),
    (8, 18), (8, 32), (12, 26), (12, 36), (16, 36), (16, 48),
)  # fmt: skip
_SQUARE = 100


@lru_cache(maxsize=64)
def encode(
    kind: str,
    data: str,
    *,
    level: str = "",
    mode: str = "",
    primary: str = "",
    size: str = "",
    aspect: float = 0.0,
) -> Bars | Matrix | Picture:
    """The symbol of a type of ``KINDS``.

    ``level``: L M Q H or 0 to 3 of a QR code (M). ``mode``: error correction of PDF417 (0 to 8) and Aztec (1 to 4), the mode
    of MaxiCode (2 to 6). ``primary``: MaxiCode's primary message, postcode, country (3 digits) and service (3). ``size``:
    Data Matrix as ``24x24`` or the number of the size (1 to 30), columns of PDF417 (1 to 30), layers of Aztec (1 to 36, 1 to 4
    compact). ``aspect``: width over height of the place, by which PDF417 takes its columns. Options that a type doesn't
    have are ignored. Missing check digits are added, given ones verified.

    Invalid with codes ``barcode.type``, ``barcode.empty``, ``barcode.data``, ``barcode.check_digit`` (``expected`` is the
    right one), ``barcode.option``. No message holds the data.
    """
    known = KINDS.get(kind)
    if known is None:
        raise Invalid("There is no such type of barcode", code="barcode.type")
    if not data:
        raise Invalid(f"{known.title} needs at least one character", code="barcode.empty")
    if kind == "code128":
        return code128(data)
    if kind == "qrcode":
        if level not in _LEVELS:
            raise Invalid("The error correction of a QR code must be L, M, Q or H", code="barcode.option")
        return qrcode(data, _LEVELS[level])
    if known.family == "bars":
        return _BARS[kind](known, data)
    if kind == "maxicode":
        return _maxicode(known, data, mode, primary)
    if kind == "pdf417":
        return _pdf417(known, data, mode, size, aspect)
    if kind in {"aztec", "hibcAztec"}:
        return _aztec(known, data, mode, size)
    if kind in {"datamatrix", "gs1Datamatrix"}:
        return _datamatrix(known, data, size)
    return _postal(known, data)


# ── bars ──


def _zint_bars(
    known: Kind, symbology: str, data: str, readable: str, shown: str = "", **options: Any
) -> Bars:
    """``data`` as zint wants them, ``shown`` as they were given."""
    (row,) = draw(symbology, data, title=known.title, **options)
    widths = [len(run) for run in _RUNS.findall(row.rstrip("0"))]
    if known.ratio and max(widths) < known.ratio:
        widths = [known.ratio if width > 1 else 1 for width in widths]
    return Bars(known.name, shown or data, tuple(widths), sum(widths), (), readable)


def _code128_set(known: Kind, data: str) -> Bars:
    return code128(data, cast(CodeSet, known.name[-1].upper()))


def _gs1_128(known: Kind, data: str) -> Bars:
    fields = gs1.elements(data)
    return _zint_bars(
        known,
        "GS1_128",
        "".join(f"[{identifier}]{content}" for identifier, content in fields),
        "".join(f"({identifier}){content}" for identifier, content in fields),
        data,
        gs1=True,
    )


def _code39(known: Kind, data: str) -> Bars:
    _charset(known, data, _CODE39, "digits, capital letters, space and - . $ / + %")
    return _zint_bars(known, "CODE39", data, data)


def _code93(known: Kind, data: str) -> Bars:
    if not data.isascii():
        _no_place(known, "ASCII characters")
    return _zint_bars(known, "CODE93", data, data)


def _code11(known: Kind, data: str) -> Bars:
    _charset(known, data, _CODE11, "digits and -")
    # One check digit up to ten characters, two above.
    return _zint_bars(known, "CODE11", data, data, option_2=1 if len(data) <= 10 else 0)


def _codabar(known: Kind, data: str) -> Bars:
    found = _CODABAR.fullmatch(data)
    if not found or bool(found[1]) != bool(found[3]):
        _no_place(known, "digits and - $ : / . + between two of A B C D, or neither")
    whole = data.upper() if found[1] else f"A{data}A"
    return _zint_bars(known, "CODABAR", whole, found[2], data)


def _c25inter(known: Kind, data: str) -> Bars:
    _charset(known, data, _NUMERIC, "digits")
    even = "0" * (len(data) % 2) + data
    return _zint_bars(known, "C25INTER", even, even, data)


def _itf14(known: Kind, data: str) -> Bars:
    number = _checked(known, data, 13)
    return _zint_bars(known, "ITF14", number[:-1], number, data)


def _ean13(known: Kind, data: str) -> Bars:
    number = _checked(known, data, 12)
    return _zint_bars(known, "EANX", number[:-1], number, data)


def _ean8(known: Kind, data: str) -> Bars:
    number = _checked(known, data, 7)
    return _zint_bars(known, "EANX", number[:-1], number, data)


def _upca(known: Kind, data: str) -> Bars:
    number = _checked(known, data, 11)
    return _zint_bars(known, "UPCA", number[:-1], number, data)


def _upce(known: Kind, data: str) -> Bars:
    _charset(known, data, _NUMERIC, "digits")
    if len(data) in {11, 12}:
        short = _shortened(_checked(known, data, 11))
        if short is None:
            raise Invalid("The number can't be shortened to a UPC-E", code="barcode.data")
    else:
        # Six digits are those that are printed, seven have the number system in front, eight the check digit behind.
        short = data if len(data) in {7, 8} else f"0{data}"
        if len(short) not in {7, 8} or short[0] not in "01":
            raise Invalid(
                "A UPC-E takes 6, 7, 8, 11 or 12 digits, 7 and 8 from 0 or 1 on", code="barcode.data"
            )
        proper = _shortened(_checked(known, _expanded(short[:7]) + short[7:], 11))
        if proper is None or proper[:7] != short[:7]:
            raise Invalid("The digits aren't how UPC-E shortens a number", code="barcode.data")
        short = proper
    return _zint_bars(known, "UPCE", short[:7], short, data)


def _expanded(short: str) -> str:
    """The 11 digits of UPC-A that number system and six digits of UPC-E stand for (ISO/IEC 15420, table 7)."""
    system, body, last = short[0], short[1:6], short[6]
    if last in "012":
        return f"{system}{body[:2]}{last}0000{body[2:]}"
    if last == "3":
        return f"{system}{body[:3]}00000{body[3:]}"
    if last == "4":
        return f"{system}{body[:4]}00000{body[4]}"
    return f"{system}{body}0000{last}"


def _shortened(whole: str) -> str | None:
    """The 8 digits of UPC-E for 12 of UPC-A; None if there are none. The first rule that serves is the one to take."""
    system, maker, item, check = whole[0], whole[1:6], whole[6:11], whole[11]
    if system not in "01":
        return None
    if maker[2] in "012" and maker[3:] == "00" and item[:2] == "00":
        return f"{system}{maker[:2]}{item[2:]}{maker[2]}{check}"
    if maker[3:] == "00" and item[:3] == "000":
        return f"{system}{maker[:3]}{item[3:]}3{check}"
    if maker[4] == "0" and item[:4] == "0000":
        return f"{system}{maker[:4]}{item[4]}4{check}"
    if item[:4] == "0000" and item[4] in "56789":
        return f"{system}{maker}{item[4]}{check}"
    return None


_BARS: dict[str, Callable[[Kind, str], Bars]] = {
    "code128a": _code128_set,
    "code128b": _code128_set,
    "code128c": _code128_set,
    "ean128": _gs1_128,
    "gs128Linear": _gs1_128,
    "code39": _code39,
    "code93": _code93,
    "code11": _code11,
    "codabar": _codabar,
    "c25inter": _c25inter,
    "itf14": _itf14,
    "ean13": _ean13,
    "ean8": _ean8,
    "upca": _upca,
    "upce": _upce,
}


# ── cells ──


def _matrix(
    known: Kind, symbology: str, data: str, shown: str, level: str, row_height: int = 1, **options: Any
) -> Matrix:
    rows = draw(symbology, data, title=known.title, **options)
    shares = (row_height,) * len(rows) if row_height > 1 else ()
    return Matrix(known.name, shown, len(rows[0]), len(rows), rows, level, shares)


def _datamatrix(known: Kind, data: str, size: str) -> Matrix:
    options: dict[str, Any] = {"option_2": _datamatrix_size(size)} if size else {"option_3": _SQUARE}
    if known.name == "gs1Datamatrix":
        fields = "".join(f"[{identifier}]{content}" for identifier, content in gs1.elements(data))
        return _matrix(known, "DATAMATRIX", fields, data, "200", gs1=True, **options)
    return _matrix(known, "DATAMATRIX", data, data, "200", **options)


def _datamatrix_size(size: str) -> int:
    found = re.fullmatch(r"([0-9]{1,3})(?:[xX*]([0-9]{1,3}))?", size.strip(), re.ASCII)
    if found and found[2]:
        sides = (int(found[1]), int(found[2]))
        if sides in _DATAMATRIX_SIZES:
            return _DATAMATRIX_SIZES.index(sides) + 1
    elif found and 1 <= int(found[1]) <= len(_DATAMATRIX_SIZES):
        return int(found[1])
    raise Invalid("A Data Matrix has no such size", code="barcode.option")


def _aztec(known: Kind, data: str, mode: str, size: str) -> Matrix:
    options: dict[str, Any] = {}
    level = _number(mode, 1, 4, "The error correction of an Aztec code is 1 to 4")
    layers = _number(size, 1, 36, "The size of an Aztec code is 1 to 36")
    if layers is not None:
        # zint lets the size have its way only where no level is asked.
        options["option_2"] = layers
    elif level is not None:
        options["option_1"] = level
    shown = "" if level is None or layers is not None else str(level)
    if known.name == "aztec":
        return _matrix(known, "AZTEC", data, data, shown, **options)
    return _matrix(known, "HIBC_AZTEC", _hibc(known, data), data, shown, **options)


_HIBC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"


def _hibc(known: Kind, data: str) -> str:
    """The data between ``+`` and check character, both of which the encoder adds; given ones are verified."""
    _charset(known, data, _CODE39, "digits, capital letters, space and - . $ / + %")
    if not data.startswith("+"):
        return data
    expected = _HIBC[sum(_HIBC.index(char) for char in data[:-1]) % 43]
    if len(data) < 3 or data[-1] != expected:
        _wrong_check(known, expected)
    return data[1:-1]


def _pdf417(known: Kind, data: str, mode: str, size: str, aspect: float) -> Matrix:
    options: dict[str, Any] = {}
    level = _number(mode, 0, 8, "The error correction of a PDF417 is 0 to 8")
    if level is not None:
        options["option_1"] = level
    columns = _number(size, 1, 30, "A PDF417 has 1 to 30 columns")
    shown = "" if level is None else str(level)
    symbol = _matrix(known, "PDF417", data, data, shown, 3, option_2=columns or 0, **options)
    if columns is not None and symbol.columns != 17 * columns + 69:
        raise Invalid("The data are too long for so few columns", code="barcode.data")
    if columns is None and aspect > 0:
        codewords = symbol.lines * (symbol.columns - 69) // 17
        best = min(range(1, 31), key=lambda count: _pdf417_need(codewords, count, aspect))
        if 17 * best + 69 != symbol.columns:
            symbol = _matrix(known, "PDF417", data, data, shown, 3, option_2=best, **options)
    return symbol


def _pdf417_need(codewords: int, columns: int, aspect: float) -> float:
    """Width of a place of this aspect that so many columns need, in modules with quiet zones."""
    rows = max(3, -(-codewords // columns))
    if rows > 90:
        return float("inf")
    return max(17 * columns + 69 + 4.0, (3 * rows + 4) * aspect)


# ── postal codes, MaxiCode ──


def _postal(known: Kind, data: str) -> Matrix:
    if known.name == "rm4scc":
        # Postcodes are typed either way; the code has capitals only.
        letters = data.replace(" ", "").upper()
        _charset(known, letters, _RM4SCC, "digits and letters")
        rows = draw("RM4SCC", letters, title=known.title)
        return Matrix(known.name, data, len(rows[0]), len(rows), rows, "", (3, 2, 3))
    digits = data.replace("-", "").replace(" ", "")
    _charset(known, digits, _NUMERIC, "digits")
    if len(digits) in {6, 10, 12}:
        expected = str(-sum(map(int, digits[:-1])) % 10)
        if digits[-1] != expected:
            _wrong_check(known, expected)
        digits = digits[:-1]
    if len(digits) not in {5, 9, 11}:
        raise Invalid(
            "A POSTNET takes 5, 9 or 11 digits, or one more with the check digit", code="barcode.data"
        )
    rows = draw("POSTNET", digits, title=known.title)
    return Matrix(known.name, data, len(rows[0]), len(rows), rows, "", (3, 2))


def _maxicode(known: Kind, data: str, mode: str, primary: str) -> Picture:
    number = _number(mode, 2, 6, "The mode of a MaxiCode is 2 to 6")
    if primary and not _PRIMARY.fullmatch(primary):
        raise Invalid(
            "The primary message of a MaxiCode is a postcode, three digits of country and three of service",
            code="barcode.option",
        )
    if number in {2, 3} and not primary:
        raise Invalid("A MaxiCode of mode 2 or 3 needs a primary message", code="barcode.option")
    if primary and number not in {2, 3}:
        number = 2 if primary.isdigit() else 3
    options: dict[str, Any] = {"primary": primary} if primary else {}
    rows = draw("MAXICODE", data, title=known.title, option_1=number or 4, **options)
    return Picture(known.name, data, rows, str(number or 4))


# ── what all share ──


def _charset(known: Kind, data: str, allowed: re.Pattern[str], words: str) -> None:
    if not allowed.fullmatch(data):
        _no_place(known, words)


def _no_place(known: Kind, words: str) -> NoReturn:
    raise Invalid(f"{known.title} takes {words} only", code="barcode.data")


def _checked(known: Kind, data: str, length: int) -> str:
    """The number with its check digit (GS1: weights 3 and 1 from the right)."""
    if not (data.isascii() and data.isdigit() and len(data) in {length, length + 1}):
        raise Invalid(
            f"{known.title} takes {length} digits, or {length + 1} with the check digit",
            code="barcode.data",
        )
    expected = str(-sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(data[length - 1 :: -1])) % 10)
    if len(data) > length and data[-1] != expected:
        _wrong_check(known, expected)
    return data[:length] + expected


def _wrong_check(known: Kind, expected: str) -> NoReturn:
    raise Invalid(
        f"The check digit of the {known.title} must be {expected}",
        code="barcode.check_digit",
        expected=expected,
    )


def _number(word: str, low: int, high: int, reason: str) -> int | None:
    """An option's whole number; None if it wasn't given."""
    word = word.strip()
    if not word:
        return None
    if word.isascii() and word.isdigit() and len(word) < 4 and low <= int(word) <= high:
        return int(word)
    raise Invalid(reason, code="barcode.option")
