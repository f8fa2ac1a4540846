"""A page for printers that only add dots: what they say by themselves, and all else as few small pieces of picture.

Hides the parting of a page's marks (white covers what lies below it, and no printer takes dots away again), the cutting of
a picture into pieces without much blank paper, the keeping of a template's fixed part, when a line of text fits a printer's
own Chinese font, and when its own QR code must come out as large as the layout's. Used by TSPL, CPCL and ESC/POS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from labelsvc.labels import (
    BarMark,
    EllipseMark,
    Fixed,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    RectMark,
    TextMark,
)
from labelsvc.languages import raster

if TYPE_CHECKING:
    import numpy as np

    from labelsvc.languages.target import Target

    Bytes = np.ndarray[tuple[int, int], np.dtype[np.uint8]]

#: A box by its edges, in dots: left, top, right, bottom (the last two just outside).
Edges = tuple[int, int, int, int]

#: Blank bytes that cost less than one more piece's command would.
_GAP = 32
#: A template makes few kinds of label; a strange one shall not fill the memory.
_KEPT = 64


class Piece(NamedTuple):
    """A piece of the page's picture: ``bits`` holds ``height`` rows of ``stride`` bytes, 1 = black, high bit left; ``x`` is
    a multiple of 8. The pieces of one picture never overlap."""

    x: int
    y: int
    stride: int
    height: int
    bits: bytes

    @property
    def edges(self) -> Edges:
        """The piece's box."""
        return self.x, self.y, self.x + 8 * self.stride, self.y + self.height


def write(
    page: Page,
    target: Target,
    say: Callable[[Mark], bytes | None],
    graphic: Callable[[Piece], bytes],
) -> bytes:
    """The page's commands without its frame: pieces of picture first, then what the printer says by itself.

    ``say`` gives the commands of a mark, or None if it must go as dots; ``graphic`` those of a piece. Pictures come first
    and never overlap, so that it is all one whether a printer lays a picture over what is there or only adds its dots.
    What the page's fixed part becomes is kept, under the language and target.
    """
    hidden = covered(page.marks)
    fixed = page.fixed.marks if page.fixed else ()
    under = frozenset(place for place in hidden if place < len(fixed))
    kept = _kept(page, target, under, say)
    said, dots = list(kept.said), [fixed[place] for place in sorted(under)]
    for place, mark in enumerate(page.marks[len(fixed) :], len(fixed)):
        words = None if place in hidden else say(mark)
        if words is None:
            dots.append(mark)
        else:
            said.append(words)
    return b"".join([*map(graphic, cut(page, dots, target, kept.dots)), *said])


class _Kept(NamedTuple):
    """What became of a fixed part: commands, and the marks that go as dots (as a fixed part, so that they are drawn once)."""

    said: tuple[bytes, ...]
    dots: Fixed


def _kept(page: Page, target: Target, under: frozenset[int], say: Callable[[Mark], bytes | None]) -> _Kept:
    """The fixed marks, but for those that something white of this label covers (``under``)."""
    if page.fixed is None:
        return _Kept((), Fixed(()))
    # The page's size belongs to it too: it is where bars are cut off.
    key: Hashable = (target.language, target, page.width, page.height, under)
    found: _Kept | None = page.fixed.kept.get(key)
    if found is not None:
        return found
    said: list[bytes] = []
    dots: list[Mark] = []
    for place, mark in enumerate(page.fixed.marks):
        if place not in under:
            words = say(mark)
            if words is None:
                dots.append(mark)
            else:
                said.append(words)
    made = _Kept(tuple(said), Fixed(tuple(dots)))
    if len(page.fixed.kept) < _KEPT:
        page.fixed.kept[key] = made
    return made


# ── white ──


def covered(marks: tuple[Mark, ...]) -> frozenset[int]:
    """The places of marks that a later mark paints white over, at least in part, and of the white ones themselves.

    They must come as dots, drawn together: a printer's own black can't be taken away again.
    """
    found: set[int] = set()
    white: list[Edges] = []
    for place in range(len(marks) - 1, -1, -1):
        mark = marks[place]
        if white:
            box = reach(mark)
            if any(_meet(box, over) for over in white):
                found.add(place)
        if _is_white(mark):
            found.add(place)
            white.append(reach(mark))
    return frozenset(found)


def _is_white(mark: Mark) -> bool:
    match mark:
        case TextMark():
            return mark.inverse
        case RectMark():
            return mark.erase
        case GroupMark():
            return any(_is_white(inner) for inner in mark.marks)
        case _:
            return False


_EVERYWHERE: Edges = (-(2**31), -(2**31), 2**31, 2**31)


def reach(mark: Mark) -> Edges:
    """A box that holds all of a mark's dots, rather too large than too small."""
    match mark:
        case TextMark():
            # Glyphs may stick out of their line box, and a line that does not fit sticks out at its end.
            longest = max((len(run.text) for run in mark.runs), default=0)
            along = mark.height if mark.rotation in {90, 270} else mark.width
            most = max((run.x for run in mark.runs), default=0) + longest * (mark.size + mark.letter_spacing)
            room = mark.size + max(0, most - along)
            return mark.x - room, mark.y - room, mark.x + mark.width + room, mark.y + mark.height + room
        case LineMark():
            room = mark.thickness
            return (
                min(mark.x1, mark.x2) - room,
                min(mark.y1, mark.y2) - room,
                max(mark.x1, mark.x2) + room,
                max(mark.y1, mark.y2) + room,
            )
        case GroupMark():
            if mark.clip is not None and not mark.angle:
                x, y, width, height = mark.clip
                return x, y, x + width, y + height
            return _EVERYWHERE
        case RectMark() | EllipseMark() | ImageMark():
            return mark.x, mark.y, mark.x + mark.width, mark.y + mark.height
        case _:
            return mark.x, mark.y, mark.x + mark.width, mark.y + mark.height


def _meet(one: Edges, other: Edges) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# ── dots ──


def draw(page: Page, target: Target) -> tuple[int, bytes]:
    """The page as (bytes a row, rows), moved by the target's offset and cut at the page's edges."""
    stride, rows = raster.draw(page)
    if not (target.offset_x or target.offset_y):
        return stride, rows
    from PIL import Image

    moved = Image.new("1", (page.width, page.height))
    moved.paste(Image.frombytes("1", (page.width, page.height), rows), (target.offset_x, target.offset_y))
    return stride, moved.tobytes()


def cut(page: Page, marks: list[Mark], target: Target, fixed: Fixed | None = None) -> list[Piece]:
    """The marks' picture, drawn one over the other after ``fixed``, as pieces that leave out blank paper; from top to bottom."""
    before = fixed.marks if fixed else ()
    if not before and not marks:
        return []
    import numpy as np

    part = Page(page.width, page.height, page.dpi, (*before, *marks), fixed=fixed if before else None)
    stride, rows = draw(part, target)
    return list(_cut(np.frombuffer(rows, np.uint8).reshape(page.height, stride), 0, 0))


def _cut(dots: Bytes, x: int, y: int) -> Iterator[Piece]:
    """Cuts along blank rows or else along blank columns (of eight dots), and the parts likewise, until neither helps."""
    spans = list(inked((dots.max(axis=1) != 0).tobytes(), max(1, _GAP // dots.shape[1])))
    if len(spans) > 1:
        for top, bottom in spans:
            yield from _cut(dots[top:bottom], x, y + top)
        return
    if not spans:
        return
    [(top, bottom)] = spans
    dots = dots[top:bottom]
    spans = list(inked((dots.max(axis=0) != 0).tobytes(), max(1, _GAP // (bottom - top))))
    if len(spans) > 1:
        for left, right in spans:
            yield from _cut(dots[:, left:right], x + left, y + top)
        return
    [(left, right)] = spans
    yield Piece(8 * (x + left), y + top, right - left, bottom - top, dots[:, left:right].tobytes())


def inked(line: bytes, gap: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each stretch of ones, ``line`` being ones and zeros; stretches nearer than ``gap`` count as one."""
    blank = bytes(gap + 1)
    start = line.find(1)
    while start >= 0:
        end = line.find(blank, start)
        if end < 0:
            yield start, len(line.rstrip(b"\0"))
            return
        yield start, end
        start = line.find(1, end)


# ── what printers draw or encode themselves ──

#: Text from this size and weight on goes as dots: what a sorter reads from two metres must look as designed, and a font
#: of 24 dots, blown up, doesn't.
_DISPLAY_SIZE_MM, _DISPLAY_WEIGHT = 5.0, 700
#: Rows of a resident font's cell above the baseline: 21 of 24 (Epson TM-T88III specification, figure 3.12.2).
_ABOVE = 21 / 24


class Words(NamedTuple):
    """A line of text for a printer's own Chinese font: the top left corner of its first cell, how many times the font is
    enlarged, its width and height in dots, and the text itself."""

    x: int
    y: int
    scale: int
    width: int
    height: int
    text: str


def words(mark: TextMark, page: Page, cell: int, target: Target, ascii_em: float = 0.5) -> Words | None:
    """The line as a resident font of square cells (``cell`` dots) would set it, or None if it must go as dots.

    Such fonts set Chinese in whole cells and ASCII in ``ascii_em`` cells. The line goes if it has the font's size or nearly a
    multiple of it, stays within the width that the layout gave it (and a quarter cell), is upright, plain, on the paper, and has nothing but
    printable ASCII and GB 2312, which every Chinese printer has: of rarer characters some would be blank.
    """
    if mark.rotation or mark.underline or mark.letter_spacing or mark.inverse or mark.italic or mark.missing:
        return None
    if mark.weight >= _DISPLAY_WEIGHT and mark.size >= _DISPLAY_SIZE_MM * page.dpi / 25.4:
        return None
    scale = max(1, round(mark.size / cell))
    height = scale * cell
    if abs(height - mark.size) * 8 > mark.size or mark.text != mark.text.strip():
        return None
    wide = 0
    for char in mark.text:
        if not " " <= char <= "~":
            if not _in_gb2312(char):
                return None
            wide += 1
    parts = list(raster.stretches(mark))
    last = parts[-1] if parts else None
    if last is None or last.face is None:
        return None
    start, end = parts[0].x, last.x + last.face.width(last.text, mark.size)
    width = math.ceil(height * (wide + ascii_em * (len(mark.text) - wide)))
    if width > max(mark.width, math.ceil(end - start)) + cell // 4:
        return None
    # What the line is narrower than the layout's, or a hair wider, is shared between both ends.
    x = round(mark.x + start + (end - start - width) / 2) + target.offset_x
    y = round(mark.y + mark.baseline - _ABOVE * height) + target.offset_y
    if x < 0 or y < 0 or x + width > page.width or y + height > page.height:
        return None
    return Words(x, y, scale, width, height, mark.text)


@lru_cache(maxsize=8192)
def _in_gb2312(char: str) -> bool:
    try:
        return len(char.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False


def boxes(found: Iterable[raster.Box], page: Page, target: Target) -> list[raster.Box]:
    """Black boxes moved by the target's offset and cut at the page's edges; empty ones are left out."""
    said = []
    for x, y, width, height in found:
        left, top = x + target.offset_x, y + target.offset_y
        right, bottom = min(page.width, left + width), min(page.height, top + height)
        left, top = max(0, left), max(0, top)
        if left < right and top < bottom:
            said.append((left, top, right - left, bottom - top))
    return said


def whole(mark: BarMark | MatrixMark, page: Page, target: Target) -> tuple[int, int] | None:
    """A symbol's top left corner, moved by the target's offset; None if it isn't on the page as a whole."""
    x, y = mark.x + target.offset_x, mark.y + target.offset_y
    on_it = x >= 0 and y >= 0 and x + mark.width <= page.width and y + mark.height <= page.height
    return (x, y) if on_it else None


def rect_boxes(mark: RectMark) -> list[raster.Box] | None:
    """A rectangle as black boxes: one if it is filled, four sides if not; None if its corners are round or it is white."""
    x, y, width, height, thick = mark.x, mark.y, mark.width, mark.height, mark.thickness
    if mark.erase or mark.radius:
        return None
    if not (mark.fill or thick) or min(width, height) <= 0:
        return []
    if mark.fill or 2 * thick >= min(width, height):
        return [(x, y, width, height)]
    inner = height - 2 * thick
    return [
        (x, y, width, thick),
        (x, y + height - thick, width, thick),
        (x, y + thick, thick, inner),
        (x + width - thick, y + thick, thick, inner),
    ]


def sure_qr(mark: MatrixMark) -> bool:
    """True if any printer's own QR code of the mark's data must be as large as the laid-out one.

    Encoders pack data in more or less clever ways, and choose masks as they like: all scan, but a cleverer one might need a smaller
    symbol. Sure is what can be neither smaller by the best packing there is nor larger by the plainest (ISO/IEC 18004, 7.4).
    Only printable ASCII, for beyond it printers disagree on the character set.
    """
    modules = mark.width // mark.module if mark.module else 0
    version, rest = divmod(modules - 17, 4)
    if mark.kind != "qrcode" or rest or not 1 <= version <= 40 or mark.rotation or not mark.data:
        return False
    if not (mark.data.isascii() and mark.data.isprintable()) or mark.level not in _LEVELS:
        return False
    plain = 4 + (8 if version < 10 else 16) + 8 * len(mark.data)
    if plain > _capacity(version, mark.level):
        return False
    return version == 1 or _fewest_bits(mark.data, version - 1) > _capacity(version - 1, mark.level)


def _fewest_bits(data: str, version: int) -> float:
    """Bits of the best of all ways to pack printable ASCII: stretches of digits, of capitals and digits, of bytes.

    A stretch's last digits or letters may take a fraction of a bit more than is counted here.
    """
    size = 0 if version < 10 else 1 if version < 27 else 2
    digits, capitals, octets = (4 + (10, 12, 14)[size], 4 + (9, 11, 13)[size], 4 + (8, 16, 16)[size])
    never = float("inf")
    in_digits = in_capitals = in_octets = never
    best = 0.0
    for char in data:
        # Each way goes on from the same way, or begins anew after the best of all.
        if char.isdigit():
            in_digits = min(in_digits, best + digits) + 10 / 3
            in_capitals = min(in_capitals, best + capitals) + 5.5
        else:
            in_digits = never
            in_capitals = min(in_capitals, best + capitals) + 5.5 if char in _CAPITALS else never
        in_octets = min(in_octets, best + octets) + 8
        best = min(in_digits, in_capitals, in_octets)
    return best


_LEVELS = {"L": 1, "M": 0, "Q": 3, "H": 2}
_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


@cache
def _capacity(version: int, level: str) -> int:
    """Bits of data that a QR code holds."""
    from segno import consts

    bits: Any = consts.SYMBOL_CAPACITY
    return int(bits[version][_LEVELS[level]])
