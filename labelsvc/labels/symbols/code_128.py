"""Code 128 as label printers encode it by themselves.

Hides the choice of code sets and the library that holds the patterns (python-barcode).
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import mul
from typing import Literal

from labelsvc.errors import Invalid
from labelsvc.labels.symbols.kinds import Bars, Plan

CodeSet = Literal["A", "B", "C"]

#: Symbol values that begin or switch to a code set.
_START = {"A": b"\x67", "B": b"\x68", "C": b"\x69"}
_SWITCH = {"A": b"\x65", "B": b"\x64", "C": b"\x63"}
#: No label has room for more characters, and no reader takes them.
LONGEST = 256
_STOP = bytes((2, 3, 3, 1, 1, 1, 2))

_DIGITS = re.compile("((?:[0-9]{2}){2,})")
_CONTROL = re.compile("[\x00-\x1f]")
_SPECIAL = re.compile("[\x00-\x1f`-\x7f]")

#: Symbol values of bytes: characters in set A and B, and pairs of digits (as two halves of a byte) in set C.
_A = bytes((code - 32) % 96 if code < 96 else 0 for code in range(256))
_B = bytes(code - 32 if 32 <= code < 128 else 0 for code in range(256))
_C = bytes(code // 16 * 10 + code % 16 if code < 160 and code % 16 < 10 else 0 for code in range(256))
#: What the values count in the check character: start and first 1, second 2 ...
_WEIGHTS = (1, *range(1, LONGEST + 64))


@lru_cache(maxsize=64)
def code128(data: str, code_set: CodeSet | None = None) -> Bars:
    """Encode ASCII text, by itself in the code sets that printers take in automatic mode, or all in one set.

    Automatic mode is: four digits or more go to set C at once, an odd last one back to B. For a letter prefix and an odd
    number of digits that is one symbol character (11 modules) more than the shortest plan. It is worth it: a
    printer can be given the plain number, and prints module for module what was laid out; the switches that
    another plan needs are misread by some. Invalid (``barcode.empty``, ``barcode.data``) if a character has no place.
    """
    if not data:
        raise Invalid("A Code 128 needs at least one character", code="barcode.empty")
    if not data.isascii():
        raise _no_place(code_set)
    if len(data) > LONGEST:
        raise Invalid("The data are too long for a Code 128", code="barcode.data")
    if code_set is not None:
        plan = _in_one(data, code_set)
    elif _CONTROL.search(data):
        plan = _mixed(data)
    else:
        pieces = _DIGITS.split(data)
        plan = tuple([("BC"[at & 1], piece) for at, piece in enumerate(pieces) if piece])
    switches, said = _START, []
    for which, stretch in plan:
        said.append(switches[which])
        switches = _SWITCH
        # Digits by twos are what hexadecimal reads, and one look-up more makes them values.
        said.append(
            bytes.fromhex(stretch).translate(_C)
            if which == "C"
            else stretch.encode().translate(_B if which == "B" else _A)
        )
    values = b"".join(said)
    pattern = _patterns().__getitem__
    widths = b"".join(map(pattern, values)) + pattern(sum(map(mul, values, _WEIGHTS)) % 103) + _STOP
    kind = "code128" if code_set is None else "code128" + code_set.lower()
    return Bars(kind, data, tuple(widths), 11 * len(values) + 24, plan, data)


def _in_one(data: str, code_set: CodeSet) -> Plan:
    if code_set == "C":
        if not data.isdigit() or len(data) % 2:
            raise Invalid("Code 128 set C takes an even number of digits only", code="barcode.data")
    elif not all(_holds(code_set, char) for char in data):
        raise _no_place(code_set)
    return ((code_set, data),)


def _mixed(data: str) -> Plan:
    """The plan of data with control characters, which set A alone has."""
    plan: list[tuple[str, str]] = []
    at = 0
    while at < len(data):
        digits = _DIGITS.match(data, at)
        if digits:
            plan.append(("C", digits[0]))
            at = digits.end()
            continue
        char = data[at]
        code_set = plan[-1][0] if plan else "C"
        if code_set == "C" or not _holds(code_set, char):
            # A has the control characters, B the small letters: whichever comes first decides.
            special = _SPECIAL.search(data, at)
            code_set = "A" if special and special[0] < " " else "B"
        if plan and plan[-1][0] == code_set:
            plan[-1] = (code_set, plan[-1][1] + char)
        else:
            plan.append((code_set, char))
        at += 1
    return tuple(plan)


def _holds(code_set: str, char: str) -> bool:
    low, high = (0, 95) if code_set == "A" else (32, 127)
    return low <= ord(char) <= high


def _no_place(code_set: str | None) -> Invalid:
    where = f"Code 128 set {code_set}" if code_set else "Code 128"
    return Invalid(f"The barcode's data hold a character that {where} doesn't have", code="barcode.data")


@lru_cache(maxsize=1)
def _patterns() -> tuple[bytes, ...]:
    """Bar and space widths of each symbol value, read from python-barcode's module strings."""
    from itertools import groupby

    from barcode.charsets import code128 as table

    return tuple(bytes(len(list(run)) for _, run in groupby(code)) for code in table.CODES)
