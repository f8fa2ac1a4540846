"""The cells and bars of a symbol by the library zint.

Hides its options, its packed bits, and its messages: they quote data, so none is passed on.
"""

from __future__ import annotations

import re
from typing import Any

from labelsvc.errors import Invalid

#: Extended channel interpretation: the text is UTF-8.
_UTF8 = 26
#: zint's rows of bits.
_ROWS = 200
_CHECKSUM = re.compile(r"AI \((\d+)\).*checksum.*expected '(.)'")
_IDENTIFIER = re.compile(r"AI \((\d+)\)")


def draw(symbology: str, data: str, *, title: str = "", gs1: bool = False, **options: Any) -> tuple[str, ...]:
    """The rows of a symbol by zint, as strings of 0 and 1; Invalid if it can't."""
    import zint

    symbol = zint.Symbol()
    symbol.symbology = getattr(zint.Symbology, symbology)
    # Warnings would go to standard error, with data in them.
    symbol.warn_level = zint.WarningLevel.FAIL_ALL
    if gs1:
        symbol.input_mode = zint.InputMode.GS1
    for option, value in options.items():
        setattr(symbol, option, value)
    try:
        if data.isascii():
            symbol.encode(data)
        else:
            symbol.eci = _UTF8
            symbol.encode(data.encode())
    except (RuntimeError, UnicodeEncodeError, ValueError) as error:
        raise _refusal(title, str(error) if gs1 else "") from None
    packed, width = bytes(symbol.encoded_data), symbol.width
    stride = len(packed) // _ROWS
    rows = []
    for at in range(0, symbol.rows * stride, stride):
        # The first module is the lowest bit.
        bits = int.from_bytes(packed[at : at + (width + 7) // 8], "little")
        rows.append(f"{bits:0{width}b}"[::-1][:width])
    return tuple(rows)


def _refusal(title: str, reason: str) -> Invalid:
    if found := _CHECKSUM.search(reason):
        return Invalid(
            f"The check digit of ({found[1]}) must be {found[2]}",
            code="barcode.check_digit",
            expected=found[2],
        )
    if found := _IDENTIFIER.search(reason):
        return Invalid(f"The GS1 data are wrong at ({found[1]})", code="barcode.data")
    return Invalid(f"The data are too long for {title}, or it can't hold them", code="barcode.data")
