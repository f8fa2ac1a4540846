"""Barcodes as modules: Code 128 as label printers encode it, QR codes at a fixed level.

Hides the choice of code sets and the libraries behind (python-barcode's table of patterns, segno). Nothing here knows
of dots: a symbol is its modules, without the quiet zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from labelsvc.errors import Invalid

#: Modules that must stay free left and right of a Code 128 symbol (ISO/IEC 15417) and all round a QR code (ISO/IEC 18004).
CODE128_QUIET = 10
QRCODE_QUIET = 4

#: Symbol values that begin or switch to a code set.
_START = {"A": 103, "B": 104, "C": 105}
_SWITCH = {"A": 101, "B": 100, "C": 99}
_STOP = (2, 3, 3, 1, 1, 1, 2)

_DIGITS = re.compile("(?:[0-9]{2}){2,}")
_SPECIAL = re.compile("[\x00-\x1f`-\x7f]")

Plan = tuple[tuple[str, str], ...]
Level = Literal["L", "M", "Q", "H"]


@dataclass(frozen=True)
class Code128:
    """A Code 128 symbol: ``widths`` alternate bar and space in modules, from a bar to a bar; ``plan`` is the code set
    and characters of each stretch, in order; ``values`` are the symbol characters from start to check, without the stop."""

    widths: tuple[int, ...]
    plan: Plan
    values: tuple[int, ...]

    @property
    def modules(self) -> int:
        """Length without quiet zones."""
        return sum(self.widths)


@dataclass(frozen=True)
class QRCode:
    """A QR code: ``rows`` of 0 and 1 without quiet zone, its version (1 to 40), mask (0 to 7) and level."""

    rows: tuple[str, ...]
    version: int
    mask: int
    level: Level


def code128(data: str, code_set: Literal["A", "B"] | None = None) -> Code128:
    """Encode ASCII text, by itself in the code sets that printers take in automatic mode, or all in one set.

    Automatic mode is: four digits or more go to set C at once, an odd last one back to B. For a letter prefix and an odd
    number of digits that is one symbol character (11 modules) more than the shortest plan. It is worth it: a
    printer can be given the plain number, and prints module for module what was laid out; the switches that
    another plan needs are misread by some. Invalid if a character has no place.
    """
    if not data:
        raise Invalid("A Code 128 needs at least one character", code="barcode.data")
    plan = _plan(data, code_set)
    values: list[int] = []
    for switch, stretch in plan:
        values.append((_SWITCH if values else _START)[switch])
        if switch == "C":
            values += [int(stretch[at : at + 2]) for at in range(0, len(stretch), 2)]
        elif switch == "B":
            values += [ord(char) - 32 for char in stretch]
        else:
            values += [(ord(char) - 32) % 96 for char in stretch]
    values.append((values[0] + sum(place * value for place, value in enumerate(values))) % 103)
    patterns = _patterns()
    widths = tuple(width for value in values for width in patterns[value]) + _STOP
    return Code128(widths, plan, tuple(values))


def _plan(data: str, forced: Literal["A", "B"] | None) -> Plan:
    plan: list[tuple[str, str]] = []
    at = 0
    while at < len(data):
        digits = None if forced else _DIGITS.match(data, at)
        if digits:
            plan.append(("C", digits[0]))
            at = digits.end()
            continue
        char = data[at]
        code_set = plan[-1][0] if plan else "C"
        if code_set == "C" or not _holds(code_set, char):
            # A has the control characters, B the small letters: whichever comes first decides.
            special = _SPECIAL.search(data, at)
            code_set = forced or ("A" if special and special[0] < " " else "B")
        if not _holds(code_set, char):
            where = f"set {forced}" if forced else "Code 128"
            raise Invalid(
                f"The barcode's data holds a character that {where} doesn't have", code="barcode.data"
            )
        if plan and plan[-1][0] == code_set:
            plan[-1] = (code_set, plan[-1][1] + char)
        else:
            plan.append((code_set, char))
        at += 1
    return tuple(plan)


def _holds(code_set: str, char: str) -> bool:
    low, high = (0, 95) if code_set == "A" else (32, 127)
    return low <= ord(char) <= high


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[int, ...], ...]:
    """Bar and space widths of each symbol value, read from python-barcode's module strings."""
    from itertools import groupby

    from barcode.charsets import code128 as table

    return tuple(tuple(len(list(run)) for _, run in groupby(code)) for code in table.CODES)


def qrcode(data: str, level: Level = "M") -> QRCode:
    """Encode text as the smallest QR code at exactly this level; text beyond ASCII as UTF-8 with its ECI mark.

    (Without the mark some readers take UTF-8 for Shift-JIS.) Invalid if the text is empty or too long.
    """
    import segno

    if not data:
        raise Invalid("A QR code needs at least one character", code="barcode.data")
    beyond = not data.isascii()
    try:
        symbol = segno.make_qr(
            data, error=level, boost_error=False, encoding="utf-8" if beyond else None, eci=beyond
        )
    except (segno.DataOverflowError, ValueError) as error:
        raise Invalid("The data is too long for a QR code", code="barcode.data") from error
    rows = tuple("".join("1" if cell & 1 else "0" for cell in row) for row in symbol.matrix)
    return QRCode(rows, int(symbol.version), symbol.mask, level)
