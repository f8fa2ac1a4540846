"""How well the barcodes of a page can be read, judged by their geometry: before anything is printed.

Hides how free paper is found between marks, and the thresholds. ``report(page)`` is the whole of it: per symbol the module,
the quiet zones that are really free, height, and grades A to F of which the lowest counts (as in ISO/IEC 15416 and 15415).
It is geometry only: what a worn head, the paper or the heat make of it, only a verifier on the print can say. No
data of a symbol is in it.

The grades and where they come from:

- *module*: each edge may be printed a quarter of a dot off, a width half a dot. ISO/IEC 15416 calls decodability what is then
  left of the half module that tells widths apart: 1 - 1/n for n dots a module; A from 0.62, B 0.50, C 0.37, D 0.25. So three
  dots are A, two B, one F. Under the narrowest module that scanners read (``symbols.KINDS``): F. Where the
  standard fixes the size: A within its tolerance, else F.
- *quiet zone*: bars keep what their standard asks, or the grade is F (ISO/IEC 15416). Cells are graded by the share that lacks
  on the worst side, as damage of a Data Matrix's zone is (ISO/IEC 16022, annex M): A none, B 9 %, C 13 %, D 17 %, F more.
- *height*: the share of the length is the tilt at which a scan line still crosses all bars: A from 15 % (8.5 degrees) and
  5 mm, which the standards advise for scanning by hand, B 12 %, C 9 %, D 6 %; under 5 mm C at best. PDF417: rows
  of three modules (ISO/IEC 15438), else F.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from labelsvc.labels.page import (
    DOTS_PER_MM,
    BarMark,
    EllipseMark,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    RectMark,
    TextMark,
)
from labelsvc.labels.symbols.kinds import KINDS, Kind

Grade = Literal["A", "B", "C", "D", "F"]
_GRADES: tuple[Grade, ...] = ("A", "B", "C", "D", "F")

_DECODABILITY = (0.62, 0.50, 0.37, 0.25)
_LACKING = (0.0, 0.09, 0.13, 0.17)
_HEIGHT_SHARES = (0.15, 0.12, 0.09, 0.06)
_LEAST_HEIGHT_MM = 5.0
_PDF417_ROW = 3
#: Bars an inch of postal codes, and hexagons in mm from flat to flat (ISO/IEC 16023, 4.11).
_POSTAL_BARS = (20.0, 24.0)
_HEXAGON_MM = (0.82, 0.94)
_HEXAGONS = 30
_SYMBOLS = (BarMark, MatrixMark, ImageMark)
#: A fixed size falls between dots: so many may be lost by rounding.
_ROUNDING_DOTS = 0.5
_SIDES = ("on the left", "above", "on the right", "below")

#: What a finding's code means; the words of a report are made from it.
FINDINGS: Mapping[str, str] = MappingProxyType(
    {
        "symbol.module_small": "The module is narrower than scanners are sure to read on thermal paper",
        "symbol.module_coarse": "The module has one dot only: bars and gaps can't be told apart safely",
        "symbol.size": "The standard fixes this symbol's size, and it has another",
        "symbol.quiet_short": "The quiet zone is too short",
        "symbol.covered": "Something else is printed on the symbol",
        "symbol.height_low": "The bars are low for their length: a scanner must be held straight",
        "symbol.rows_low": "The rows are lower than three modules",
        "symbol.off_page": "The symbol leaves the page",
        "symbol.slanted": "The symbol is turned by other than quarters: its edges don't fall on whole dots",
        "symbol.ladder": "The bars lie across the feed, where heat smears their edges: print slowly, or turn the symbol",
    }
)


class Finding(NamedTuple):
    """Something about a symbol that a person should know; ``code`` is one of ``FINDINGS``."""

    code: str
    detail: str


class Sides(NamedTuple):
    """A measure at each side of a symbol as it lies on the page, in modules."""

    left: float
    top: float
    right: float
    bottom: float


class SymbolQuality(NamedTuple):
    """What the geometry of one symbol allows. 条码质量

    ``length`` is the number of characters of its data. Lengths are mm; ``quiet`` is the paper that is free of other marks
    up to the next one or the edge of the page, ``quiet_needed`` what the standard asks, both in modules.
    ``height_mm`` and ``height_share`` (height over length of the bars; 0 for cells) are of the upright symbol.
    """

    kind: str
    title: str
    standard: str
    source: str
    length: int
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    rotation: int
    module_mm: float
    module_dots: int
    quiet: Sides
    quiet_needed: Sides
    height_share: float
    module_grade: Grade
    quiet_grade: Grade
    height_grade: Grade
    grade: Grade
    findings: tuple[Finding, ...]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            **self._asdict(),
            "quiet": self.quiet._asdict(),
            "quiet_needed": self.quiet_needed._asdict(),
            "findings": [finding._asdict() for finding in self.findings],
        }


def report(page: Page) -> tuple[SymbolQuality, ...]:
    """The quality of each barcode of a page, in drawing order; empty if it has none."""
    inks = _inks(page.marks)
    return tuple(_judge(at, inks, page) for at, ink in enumerate(inks) if ink.symbol)


# ── where there is ink ──


class _Ink(NamedTuple):
    """A box of one mark that isn't white. ``symbol``: the mark is a barcode; ``white``: it hides what was drawn before;
    ``slanted``: it lies in a turned group; ``cut``: a part of it isn't drawn."""

    left: float
    top: float
    right: float
    bottom: float
    mark: Mark
    symbol: bool = False
    white: bool = False
    slanted: bool = False
    cut: bool = False


def _inks(marks: Iterable[Mark]) -> list[_Ink]:
    """The boxes in drawing order, without those that a later white box covers whole."""
    found: list[_Ink] = []
    for mark in marks:
        if isinstance(mark, GroupMark):
            found += _group(mark)
            continue
        boxes = _boxes(mark)
        if isinstance(mark, RectMark) and mark.erase:
            left, top, right, bottom = boxes[0]
            found = [
                ink
                for ink in found
                if not (left <= ink.left and top <= ink.top and right >= ink.right and bottom >= ink.bottom)
            ]
            found.append(_Ink(left, top, right, bottom, mark, white=True))
            continue
        symbol = isinstance(mark, _SYMBOLS) and bool(mark.kind)
        found += [_Ink(*box, mark, symbol) for box in boxes]
    return found


_Box = tuple[float, float, float, float]


def _boxes(mark: Mark) -> list[_Box]:
    """Boxes (left, top, right, bottom) that hold the mark's ink, narrow enough not to hide paper that is free."""
    if isinstance(mark, TextMark) and not (mark.rotation or mark.inverse or mark.underline):
        # Characters reach less far than their line: capitals and Chinese 0.9 em up, tails a quarter down.
        base, bottom = mark.y + mark.baseline, mark.y + mark.height
        top = max(mark.y, base - 0.9 * mark.size)
        return [(mark.x, top, mark.x + mark.width, min(bottom, base + 0.25 * mark.size))]
    if isinstance(mark, LineMark):
        return _line(mark)
    if isinstance(mark, GroupMark):
        return [ink[:4] for ink in _group(mark)]
    left, top, right, bottom = mark.x, mark.y, mark.x + mark.width, mark.y + mark.height
    if isinstance(mark, RectMark) and not (mark.fill or mark.erase):
        thick = mark.thickness
        return [
            (left, top, right, top + thick),
            (left, bottom - thick, right, bottom),
            (left, top, left + thick, bottom),
            (right - thick, top, right, bottom),
        ] * bool(thick)
    if isinstance(mark, EllipseMark) and not mark.fill:
        return _ring(mark)
    return [(left, top, right, bottom)]


def _line(mark: LineMark) -> list[_Box]:
    half, other = mark.thickness // 2, mark.thickness - mark.thickness // 2
    if mark.y1 == mark.y2:
        return [(min(mark.x1, mark.x2), mark.y1 - half, max(mark.x1, mark.x2), mark.y1 + other)]
    if mark.x1 == mark.x2:
        return [(mark.x1 - half, min(mark.y1, mark.y2), mark.x1 + other, max(mark.y1, mark.y2))]
    steps = 1 + max(abs(mark.x2 - mark.x1), abs(mark.y2 - mark.y1)) // 8
    points = [
        (mark.x1 + (mark.x2 - mark.x1) * step / steps, mark.y1 + (mark.y2 - mark.y1) * step / steps)
        for step in range(steps + 1)
    ]
    return _along(points, mark.thickness / 2)


def _ring(mark: EllipseMark) -> list[_Box]:
    if not mark.thickness:
        return []
    across, down = (mark.width - mark.thickness) / 2, (mark.height - mark.thickness) / 2
    x, y = mark.x + mark.width / 2, mark.y + mark.height / 2
    points = [
        (x + across * math.cos(math.tau * step / 64), y + down * math.sin(math.tau * step / 64))
        for step in range(65)
    ]
    return _along(points, mark.thickness / 2)


def _along(points: list[tuple[float, float]], reach: float) -> list[_Box]:
    return [
        (min(x1, x2) - reach, min(y1, y2) - reach, max(x1, x2) + reach, max(y1, y2) + reach)
        for (x1, y1), (x2, y2) in pairwise(points)
    ]


def _group(group: GroupMark) -> list[_Ink]:
    found = []
    for ink in _inks(group.marks):
        box: _Box = ink[:4]
        cut = ink.cut
        if group.clip is not None:
            left, top, width, height = group.clip
            box = (
                max(ink.left, left),
                max(ink.top, top),
                min(ink.right, left + width),
                min(ink.bottom, top + height),
            )
            if box[0] >= box[2] or box[1] >= box[3]:
                continue
            cut = cut or box != ink[:4]
        if group.angle % 360:
            box = _turned_box(box, group)
        slanted = ink.slanted or bool(group.angle % 90)
        found.append(
            ink._replace(left=box[0], top=box[1], right=box[2], bottom=box[3], slanted=slanted, cut=cut)
        )
    return found


def _turned_box(box: _Box, group: GroupMark) -> _Box:
    turn = math.radians(group.angle)
    cosine, sine = round(math.cos(turn), 12), round(math.sin(turn), 12)
    corners = [(x - group.pivot_x, y - group.pivot_y) for x in (box[0], box[2]) for y in (box[1], box[3])]
    across = [group.pivot_x + x * cosine - y * sine for x, y in corners]
    down = [group.pivot_y + x * sine + y * cosine for x, y in corners]
    return min(across), min(down), max(across), max(down)


# ── grades ──


def _judge(at: int, inks: list[_Ink], page: Page) -> SymbolQuality:
    ink = inks[at]
    mark = ink.mark
    assert isinstance(mark, BarMark | MatrixMark | ImageMark)
    scale = DOTS_PER_MM[page.dpi]
    kind = KINDS[mark.kind]
    rotation = 0 if isinstance(mark, ImageMark) else mark.rotation
    sideways = rotation in {90, 270}
    long, high = (mark.height, mark.width) if sideways else (mark.width, mark.height)
    dots = max(long, high) / _HEXAGONS if isinstance(mark, ImageMark) else mark.module
    needed = Sides(kind.quiet_left, kind.quiet_around, kind.quiet_right, kind.quiet_around)
    for _ in range(rotation // 90):
        needed = Sides(needed.bottom, needed.left, needed.top, needed.right)
    quiet, covered = _free(at, inks, page, dots, kind.quiet_around * dots)

    findings: list[Finding] = []

    def find(code: str, more: str = "") -> None:
        findings.append(Finding(code, FINDINGS[code] + (f": {more}" if more else "")))

    module = _module_grade(kind, dots, scale, find)
    lacking = [
        1 - has / asks if (asks - has) * dots > _ROUNDING_DOTS else 0.0
        for has, asks in zip(quiet, needed, strict=True)
    ]
    worst = max(lacking)
    if not worst:
        quiet_grade: Grade = "A"
    else:
        quiet_grade = "F" if kind.family in {"bars", "postal"} else _graded(worst, _LACKING)
        side = lacking.index(worst)
        find(
            "symbol.quiet_short",
            f"{quiet[side]:.1f} of {needed[side]:.0f} modules {_SIDES[side]}",
        )
    height, share = _height_grade(kind, mark, long, high, scale, find)
    spoilt = [
        code
        for code, is_so in (
            (
                "symbol.off_page",
                ink.left < 0 or ink.top < 0 or ink.right > page.width or ink.bottom > page.height,
            ),
            ("symbol.covered", covered or ink.cut),
            ("symbol.slanted", ink.slanted),
        )
        if is_so
    ]
    for code in spoilt:
        find(code)
    if sideways and kind.family == "bars":
        find("symbol.ladder")
    grades: list[Grade] = [module, quiet_grade, height, *(["F"] * bool(spoilt))]  # type: ignore[list-item]
    return SymbolQuality(
        kind=kind.name,
        title=kind.title,
        standard=kind.standard,
        source=mark.source,
        length=len(mark.data),
        x_mm=round(mark.x / scale, 2),
        y_mm=round(mark.y / scale, 2),
        width_mm=round(long / scale, 2),
        height_mm=round(high / scale, 2),
        rotation=rotation,
        module_mm=round(dots / scale, 4),
        module_dots=round(dots),
        quiet=Sides(*(round(side, 2) for side in quiet)),
        quiet_needed=needed,
        height_share=round(share, 3),
        module_grade=module,
        quiet_grade=quiet_grade,
        height_grade=height,
        grade=max(grades),  # of letters the later is the worse
        findings=tuple(findings),
    )


def _graded(value: float, upto: tuple[float, ...]) -> Grade:
    """A to D by the highest value that each allows."""
    for grade, most in zip(_GRADES, upto, strict=False):
        if value <= most + 1e-9:
            return grade
    return "F"


def _free(at: int, inks: list[_Ink], page: Page, module: float, around: float) -> tuple[Sides, bool]:
    """Free paper at each side in modules, and whether anything lies on the symbol."""
    ink = inks[at]
    left, top, right, bottom = ink[:4]
    free_left, free_top, free_right, free_bottom = left, top, page.width - right, page.height - bottom
    # Where the zone runs all round, its corners belong to it.
    band_left, band_top, band_right, band_bottom = (
        left - around,
        top - around,
        right + around,
        bottom + around,
    )
    covered = False
    for place, other in enumerate(inks):
        if place == at:
            continue
        beside = other.top < band_bottom and other.bottom > band_top
        above = other.left < band_right and other.right > band_left
        if other.white:
            covered = covered or (
                place > at
                and other.left < right
                and other.right > left
                and other.top < bottom
                and other.bottom > top
            )
        elif beside and other.right <= left:
            free_left = min(free_left, left - other.right)
        elif beside and other.left >= right:
            free_right = min(free_right, other.left - right)
        elif above and other.bottom <= top:
            free_top = min(free_top, top - other.bottom)
        elif above and other.top >= bottom:
            free_bottom = min(free_bottom, other.top - bottom)
        elif other.left < right and other.right > left and other.top < bottom and other.bottom > top:
            covered = True
    return (
        Sides(*(max(0.0, dots) / module for dots in (free_left, free_top, free_right, free_bottom))),
        covered,
    )


def _module_grade(kind: Kind, dots: float, scale: float, find: Callable[..., None]) -> Grade:
    millimetres = dots / scale
    if kind.fixed_mm:
        allowed = (
            _HEXAGON_MM[0] <= millimetres <= _HEXAGON_MM[1]
            if kind.family == "picture"
            else _POSTAL_BARS[0] <= 25.4 / (2 * millimetres) <= _POSTAL_BARS[1]
        )
        if not allowed:
            find("symbol.size", f"a module of {millimetres:.3f} mm instead of {kind.fixed_mm:.3f}")
            return "F"
        return "A"
    if dots < 2:
        find("symbol.module_coarse")
    if dots < round(kind.smallest_mm * scale):
        find("symbol.module_small", f"{millimetres:.3f} mm, {kind.smallest_mm:.3f} are asked")
        return "F"
    # What is left of a module's half when a width is half a dot off.
    return _graded(1 / dots, tuple(1 - left for left in _DECODABILITY))


def _height_grade(
    kind: Kind,
    mark: BarMark | MatrixMark | ImageMark,
    long: int,
    high: int,
    scale: float,
    find: Callable[..., None],
) -> tuple[Grade, float]:
    """The grade, and the height's share of the length where that counts."""
    if kind.name == "pdf417" and isinstance(mark, MatrixMark):
        if min(mark.row_dots, default=mark.module) < _PDF417_ROW * mark.module:
            find("symbol.rows_low")
            return "F", 0.0
        return "A", 0.0
    if kind.family != "bars":
        return "A", 0.0
    share = high / long
    grade = _graded(-share, tuple(-least for least in _HEIGHT_SHARES))
    if high / scale < _LEAST_HEIGHT_MM:
        grade = max(grade, "C")
    if grade != "A":
        find("symbol.height_low", f"{high / scale:.1f} mm, {100 * share:.0f} % of the length")
    return grade, share
