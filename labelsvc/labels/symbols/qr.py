"""QR codes whose size is known at once and whose cells are made when somebody asks.

Hides the table of capacities, the choice of mode and the library that draws (zint). A printer that makes the symbol by itself
never asks for the cells, and they cost more than the rest of its label.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

from labelsvc.errors import Invalid
from labelsvc.labels.symbols.drawing import draw
from labelsvc.labels.symbols.kinds import Level, Matrix

#: Data codewords of versions 1 to 40 by level (ISO/IEC 18004, table 7).
_CODEWORDS: dict[str, tuple[int, ...]] = {
    "L": (
        19, 34, 55, 80, 108, 136, 156, 194, 232, 274,
        324, 370, 428, 461, 523, 589, 647, 721, 795, 861,
        932, 1006, 1094, 1174, 1276, 1370, 1468, 1531, 1631, 1735,
        1843, 1955, 2071, 2191, 2306, 2434, 2566, 2702, 2812, 2956,
    ),
    "M": (
        16, 28, 44, 64, 86, 108, 124, 154, 182, 216,
        254, 290, 334, 365, 415, 453, 507, 563, 627, 669,
        714, 782, 860, 914, 1000, 1062, 1128, 1193, 1267, 1373,
        1455, 1541, 1631, 1725, 1812, 1914, 1992, 2102, 2216, 2334,
    ),
    "Q": (
        13, 22, 34, 48, 62, 76, 88, 110, 132, 154,
        180, 206, 244, 261, 295, 325, 367, 397, 445, 485,
        512, 568, 614, 664, 718, 754, 808, 871, 911, 985,
        1033, 1115, 1171, 1231, 1286, 1354, 1426, 1502, 1582, 1666,
    ),
    "H": (
        9, 16, 26, 36, 46, 60, 66, 86, 100, 122,
        140, 158, 180, 197, 223, 253, 283, 313, 341, 385,
        406, 442, 464, 514, 538, 596, 628, 661, 701, 745,
        793, 845, 901, 961, 986, 1054, 1096, 1142, 1222, 1276,
    ),
}  # fmt: skip
_LEVELS = ("L", "M", "Q", "H")
#: Widths of the character count for versions up to 9, 26 and 40, by mode.
_COUNTS = {"numeric": (10, 12, 14), "alphanumeric": (9, 11, 13), "byte": (8, 16, 16)}
_ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+\-./:]+")
#: Bits of the mark that names the character set.
_ECI_BITS = 12


class Rows(Sequence[str]):
    """The rows of a QR code, made on first use."""

    __slots__ = ("_ask", "_made", "columns")

    def __init__(self, data: str, level: Level, version: int) -> None:
        self._ask = (data, level, version)
        self._made: tuple[str, ...] | None = None
        self.columns = 17 + 4 * version

    @property
    def made(self) -> tuple[str, ...]:
        """All rows."""
        if self._made is None:
            data, level, version = self._ask
            self._made = draw(
                "QRCODE", data, title="QR code", option_1=1 + _LEVELS.index(level), option_2=version
            )
        return self._made

    def __len__(self) -> int:
        return self.columns

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        return self.made[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self.made)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows):
            return self._ask == other._ask
        return isinstance(other, tuple) and self.made == other

    def __hash__(self) -> int:
        return hash(self.made)


@lru_cache(maxsize=64)
def qrcode(data: str, level: Level = "M") -> Matrix:
    """The smallest QR code that holds the text in one mode at exactly this level; text beyond ASCII as UTF-8 with its ECI mark.

    (Without the mark some readers take UTF-8 for Shift-JIS.) A printer that changes modes within the text needs no more
    room. Invalid (``barcode.empty``, ``barcode.data``) if the text is empty or too long.
    """
    if not data:
        raise Invalid("A QR code needs at least one character", code="barcode.empty")
    version = _version(data, level)
    return Matrix("qrcode", data, 17 + 4 * version, 17 + 4 * version, Rows(data, level, version), level)


def _version(data: str, level: Level) -> int:
    length, ahead = len(data), 4
    if data.isascii():
        if data.isdigit():
            mode, bits = "numeric", length // 3 * 10 + (0, 4, 7)[length % 3]
        elif _ALPHANUMERIC.fullmatch(data):
            mode, bits = "alphanumeric", length // 2 * 11 + length % 2 * 6
        else:
            mode, bits = "byte", 8 * length
    else:
        try:
            mode, bits, ahead = "byte", 8 * len(data.encode()), 4 + _ECI_BITS
        except UnicodeEncodeError as error:
            raise Invalid("The data hold half a character", code="barcode.data") from error
    words = _CODEWORDS[level]
    for first, last, wide in zip((1, 10, 27), (9, 26, 40), _COUNTS[mode], strict=True):
        need = (ahead + wide + bits + 7) // 8
        if need <= words[last - 1]:
            return max(first, 1 + bisect_left(words, need, 0, last))
    raise Invalid("The data are too long for a QR code", code="barcode.data")
