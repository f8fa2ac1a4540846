"""What is known of each type of barcode (its measures and where they come from), and the nouns that encoders return.

Hides nothing: a table. Lengths are modules, the width of the narrowest bar or cell, unless a name ends in ``_mm``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

Family = Literal["bars", "matrix", "postal", "picture"]
Level = Literal["L", "M", "Q", "H"]
Plan = tuple[tuple[str, str], ...]

_GS1 = "GS1 General Specifications"
#: Bars lower than this share of the symbol's length are hard to hit with a hand scanner.
BAR_HEIGHT_SHARE = 0.15
#: Narrowest modules that scanners read from thermal paper, whole dots being the nearest: 2, 3 and 6 for bars, 3, 4 and 9 for
#: cells at 203, 300 and 600 dpi. No standard below asks for more on labels printed on demand (EAN and UPC: 0.249 mm,
#: GS1 General Specifications, 5.12.3; PDF417: 0.191 mm, ISO/IEC 15438; the others leave it to the application).
BARS_MM, CELLS_MM = 0.25, 0.375


class Kind(NamedTuple):
    """A type of barcode.

    ``smallest_mm`` is the narrowest module. Where the standard fixes the size, ``fixed_mm`` is the only module (0
    elsewhere): a bar of a postal code, a hexagon of MaxiCode. Quiet zones lie left and right of the upright symbol, and
    ``quiet_around`` above and below it. ``ratio`` is a wide bar's width where there are two widths only (0 elsewhere).
    """

    name: str
    title: str  #: what people call it
    standard: str
    family: Family
    smallest_mm: float
    quiet_left: int
    quiet_right: int
    quiet_around: int = 0
    bar_height_share: float = 0.0
    fixed_mm: float = 0.0
    ratio: int = 0

    @property
    def gs1(self) -> bool:
        """True if the data are GS1 fields, between which ASCII 29 may stand."""
        return self.standard == _GS1


class Bars(NamedTuple):
    """A symbol of bars: ``widths`` alternate bar and space from a bar to a bar, ``modules`` is their sum.

    ``plan`` is the code set and characters of each stretch (Code 128 only), ``readable`` what may stand below the bars.
    """

    kind: str
    data: str
    widths: tuple[int, ...]
    modules: int
    plan: Plan = ()
    readable: str = ""


class Matrix(NamedTuple):
    """A symbol of cells: ``lines`` rows of ``columns``, as strings of 0 and 1 without quiet zone.

    ``rows`` may be made on first use. ``row_shares`` are the heights of the rows where they aren't 1 module each (PDF417,
    postal codes). ``level`` is the error correction as the symbology names it (QR: L, M, Q, H), empty if the encoder chose.
    """

    kind: str
    data: str
    columns: int
    lines: int
    rows: Sequence[str]
    level: str = ""
    row_shares: tuple[int, ...] = ()

    @property
    def height(self) -> int:
        """Height in modules."""
        return sum(self.row_shares) if self.row_shares else self.lines


def _bars(name: str, title: str, standard: str, left: int = 10, right: int = 10, ratio: int = 0) -> Kind:
    return Kind(name, title, standard, "bars", BARS_MM, left, right, 0, BAR_HEIGHT_SHARE, 0.0, ratio)


def _cells(name: str, title: str, standard: str, quiet: int, smallest_mm: float = CELLS_MM) -> Kind:
    return Kind(name, title, standard, "matrix", smallest_mm, quiet, quiet, quiet)


#: A bar and a space of a postal code are this wide each: 22 bars an inch, the middle of the 20 to 24 both posts allow.
_POSTAL_MM = 25.4 / 22 / 2
#: MaxiCode's hexagons from flat to flat.
_HEXAGON_MM = 0.88

_CODE128, _EAN, _ITF = "ISO/IEC 15417", "ISO/IEC 15420", "ISO/IEC 16390"

#: Every type that CNPL names, by that name.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            _bars("code128", "Code 128", _CODE128),
            _bars("code128a", "Code 128 set A", _CODE128),
            _bars("code128b", "Code 128 set B", _CODE128),
            _bars("code128c", "Code 128 set C", _CODE128),
            _bars("ean128", "GS1-128", _GS1),
            _bars("gs128Linear", "GS1-128", _GS1),
            _bars("code39", "Code 39", "ISO/IEC 16388", ratio=3),
            _bars("code93", "Code 93", "AIM USS Code 93"),
            _bars("code11", "Code 11", "AIM USD-8", ratio=3),
            _bars("codabar", "Codabar", "EN 798", ratio=3),
            _bars("c25inter", "Interleaved 2 of 5", _ITF, ratio=3),
            _bars("itf14", "ITF-14", _ITF, ratio=3),
            _bars("ean13", "EAN-13", _EAN, 11, 7),
            _bars("ean8", "EAN-8", _EAN, 7, 7),
            _bars("upca", "UPC-A", _EAN, 9, 9),
            _bars("upce", "UPC-E", _EAN, 9, 7),
            _cells("qrcode", "QR code", "ISO/IEC 18004", 4),
            _cells("datamatrix", "Data Matrix", "ISO/IEC 16022", 1),
            _cells("gs1Datamatrix", "GS1 DataMatrix", _GS1, 1),
            # Aztec needs no quiet zone (ISO/IEC 24778, 5.1); one module keeps a neighbour's line from growing into it.
            _cells("aztec", "Aztec", "ISO/IEC 24778", 1),
            _cells("hibcAztec", "HIBC Aztec", "ANSI/HIBC 2", 1),
            _cells("pdf417", "PDF417", "ISO/IEC 15438", 2, BARS_MM),
            # 1/8 inch left and right, 1/25 inch above and below.
            Kind("postnet", "POSTNET", "USPS DMM 708.4", "postal", _POSTAL_MM, 6, 6, 2, 0.0, _POSTAL_MM),
            # 2 mm all round.
            Kind("rm4scc", "RM4SCC", "Royal Mail 4-state", "postal", _POSTAL_MM, 4, 4, 4, 0.0, _POSTAL_MM),
            Kind("maxicode", "MaxiCode", "ISO/IEC 16023", "picture", _HEXAGON_MM, 1, 1, 1, 0.0, _HEXAGON_MM),
        )
    }
)
