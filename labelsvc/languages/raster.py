"""A Page becomes dots: the one place that knows which dots a mark blackens.

Hides numpy, the glyphs kept ready, rotation and clipping. PNG and the raster languages are this picture; ZPL takes from it
what a printer can't say by itself; PDF takes the boxes of bars, modules and lines, so that all agree dot for dot.

A page is drawn in packed bytes, eight dots each. What is the same on every label (``Page.fixed``) is drawn once and copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from labelsvc.labels import (
    BarMark,
    EllipseMark,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    RectMark,
    Rotation,
    Run,
    TextMark,
    fonts,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    #: A picture dot by dot, True for black; and packed, eight dots a byte.
    Dots = NDArray[np.bool_]
    Bytes = NDArray[np.uint8]
    #: The bytes of a glyph that aren't blank: their offsets from the pen's byte on the baseline, and their dots.
    _Cell = tuple[NDArray[np.int32], Bytes]

#: A box in dots: x, y, width, height.
Box = tuple[int, int, int, int]

#: Coverage (of 255) from which a dot of a turned group is black: strokes thinner than a dot survive, as in glyphs.
_THRESHOLD = 112


@dataclass(frozen=True)
class Patch:
    """A piece of the page: ``bits`` holds ``height`` rows of ``(width + 7) // 8`` bytes, 1 = black, high bit left; dots
    beyond the width are 0."""

    x: int
    y: int
    width: int
    height: int
    bits: bytes


def draw(page: Page) -> tuple[int, bytes]:
    """The page as (bytes a row, rows): 1 = black, high bit left, rows padded to whole bytes."""
    return (page.width + 7) // 8, _page(page).inner().tobytes()


def image(page: Page) -> Image.Image:
    """The page as a one-bit Pillow picture, black on white."""
    from PIL import Image

    _, rows = draw(page)
    return Image.frombytes("1", (page.width, page.height), rows, "raw", "1;I")


def draw_marks(marks: Iterable[Mark], page: Page, within: Box | None = None) -> Patch | None:
    """The marks, drawn one over the other, cropped to their black dots on the page (and within a box); None if there are none.

    The left edge is cropped to whole bytes only, counted from the page's (or the box's) left.
    """
    left, top, right, bottom = 0, 0, page.width, page.height
    if within:
        left, top = max(0, within[0]), max(0, within[1])
        right, bottom = min(right, within[0] + within[2]), min(bottom, within[1] + within[3])
    if right <= left or bottom <= top:
        return None
    sheet = _Sheet(left, top, right - left, bottom - top)
    sheet.draw(marks)
    return sheet.patch()


def draw_bands(marks: Iterable[Mark], page: Page, most_bytes: int) -> list[Patch]:
    """The same as pieces one below the other, each of at most so many bytes: cut at blank rows if there are any."""
    sheet = _Sheet(0, 0, page.width, page.height)
    sheet.draw(marks)
    return sheet.patches(most_bytes)


def bar_boxes(mark: BarMark) -> Iterator[Box]:
    """The bars of a barcode on the page, each a whole number of modules."""
    along, across = _along_across(mark)
    at = 0
    for place, width in enumerate(mark.widths):
        if place % 2 == 0:
            yield _turned(mark, (at * mark.module, 0, width * mark.module, across), along, across)
        at += width


def module_boxes(mark: MatrixMark) -> Iterator[Box]:
    """The dark modules of a matrix symbol on the page, joined along each row."""
    along, across = _along_across(mark)
    down = 0
    for place, row in enumerate(mark.rows):
        high = mark.row_dots[place] if mark.row_dots else mark.module
        for start, length in _dark_runs(row):
            yield _turned(mark, (start * mark.module, down, length * mark.module, high), along, across)
        down += high


def line_boxes(mark: LineMark) -> list[Box] | None:
    """The dots of a level or upright line, dash by dash; None if it slants."""
    half = mark.thickness // 2
    if mark.y1 == mark.y2:
        low, high = sorted((mark.x1, mark.x2))
        return [(at, mark.y1 - half, on, mark.thickness) for at, on in _dashes(low, high, mark.dash)]
    if mark.x1 == mark.x2:
        low, high = sorted((mark.y1, mark.y2))
        return [(mark.x1 - half, at, mark.thickness, on) for at, on in _dashes(low, high, mark.dash)]
    return None


def slanted_corners(mark: LineMark) -> list[list[tuple[float, float]]]:
    """The corners of each dash of a slanting line."""
    across, down = mark.x2 - mark.x1, mark.y2 - mark.y1
    length = (across * across + down * down) ** 0.5
    ux, uy = across / length, down / length
    sideways = (-uy * mark.thickness / 2, ux * mark.thickness / 2)
    corners = []
    for at, on in _dashes(0, round(length), mark.dash):
        ends = [(mark.x1 + ux * end, mark.y1 + uy * end) for end in (at, at + on)]
        sides = [(x + sign * sideways[0], y + sign * sideways[1]) for sign in (1, -1) for x, y in ends]
        corners.append([sides[0], sides[1], sides[3], sides[2]])
    return corners


def image_boxes(mark: ImageMark) -> Iterator[Box]:
    """The black dots of a picture on the page, joined along each row."""
    stride = (mark.width + 7) // 8
    for down in range(mark.height):
        row = mark.bits[down * stride : (down + 1) * stride]
        for start, length in _dark_runs("".join(f"{byte:08b}" for byte in row)[: mark.width]):
            yield mark.x + start, mark.y + down, length, 1


@dataclass(frozen=True)
class Stretch:
    """Characters of a text that one face has, or a missing character: then ``face`` is None.

    ``x`` is the pen position along the upright line, in dots from the line box's left, unrounded.
    """

    face: fonts.Face | None
    text: str
    x: float


def stretches(mark: TextMark) -> Iterator[Stretch]:
    """A text line cut where the face changes or a character is missing, each with its pen position."""
    for run in mark.runs:
        face = fonts.face(run.face)
        pen, start, gathered = float(run.x), float(run.x), ""
        for char in run.text:
            lacks = char in mark.missing or not face.has(char)
            if lacks:
                if gathered:
                    yield Stretch(face, gathered, start)
                yield Stretch(None, char, pen)
                gathered = ""
            elif gathered:
                gathered += char
            else:
                gathered, start = char, pen
            pen += face.advance(char, mark.size) + mark.letter_spacing
        if gathered:
            yield Stretch(face, gathered, start)


def missing_box(mark: TextMark, x: float) -> tuple[Box, int]:
    """The outline drawn for a missing character at a pen position, upright, and its stroke."""
    (left, top, width, height), stroke = _hollow(mark.size)
    return (math.floor(x + 0.5) + left, mark.baseline + top, width, height), stroke


def underline_box(mark: TextMark) -> Box:
    """The underline of a text line, upright."""
    thickness = max(1, round(mark.size / 16))
    length = mark.height if mark.rotation in {90, 270} else mark.width
    return 0, mark.baseline + max(1, round(mark.size / 12)), length, thickness


def turned_point(mark: TextMark, x: float, y: float) -> tuple[float, float]:
    """Where a point of the upright line lies on the page."""
    match mark.rotation:
        case 0:
            return mark.x + x, mark.y + y
        case 90:
            return mark.x + mark.width - y, mark.y + x
        case 180:
            return mark.x + mark.width - x, mark.y + mark.height - y
        case _:
            return mark.x + y, mark.y + mark.height - x


# ── dots ──


def _page(page: Page) -> _Sheet:
    """The page, drawn."""
    fixed = page.fixed
    if fixed is None:
        sheet = _Sheet(0, 0, page.width, page.height)
        sheet.draw(page.marks)
        return sheet
    key = ("raster", page.width, page.height)
    kept = fixed.kept.get(key)
    if kept is None:
        sheet = _Sheet(0, 0, page.width, page.height)
        sheet.draw(fixed.marks)
        sheet.flush()
        kept = fixed.kept[key] = sheet.bits
    sheet = _Sheet(0, 0, page.width, page.height, kept)
    sheet.draw(page.own)
    return sheet


#: Dots of room on each side of a sheet, so that a glyph at the edge needs no cutting: whole bytes.
_ROOM = 64
#: So many glyph pictures are kept, each at one of its eight places within a byte: some 25 MB.
_KEPT_CELLS = 40_000
#: What slanting groups may take, in dots of the enlarged drawing.
_MAX_ENLARGED = 16_000_000


class _Letters(dict[str, "_Letter"]):
    """The characters of a face at a size, ready for rows of ``stride`` bytes; filled as they are met.

    ``left``, ``right`` (from the pen) and ``top``, ``bottom`` (from the baseline) hold all dots of all its characters.
    """

    def __init__(self, face: str, size: int, italic: bool, stride: int) -> None:
        super().__init__()
        self.face, self.size, self.italic, self.stride = fonts.face(face), size, italic, stride
        self.left = self.right = self.top = self.bottom = 0

    def __missing__(self, char: str) -> _Letter:
        rows, left, top = self.dots(char)
        if rows is not None:
            height, width = rows.shape
            self.left, self.right = min(self.left, left), max(self.right, left + width)
            self.top, self.bottom = min(self.top, top), max(self.bottom, top + height)
        letter = _Letter(self.face.advance(char, self.size), left, None if rows is None else [None] * 8)
        self[char] = letter
        return letter

    def dots(self, char: str) -> tuple[Dots | None, int, int]:
        """Black dots and where they lie from pen and baseline; the outline of a box if the face lacks the character."""
        if self.face.has(char):
            ink = fonts.ink_on_grid(self.face.key, self.size, char, self.italic)
            return (None, 0, 0) if ink is None else (ink.rows, ink.left, ink.top)
        import numpy as np

        (left, top, width, height), stroke = _hollow(self.size)
        rows = np.ones((height, width), np.bool_)
        rows[stroke : height - stroke, stroke : width - stroke] = False
        return rows, left, top

    def cell(self, char: str, shift: int) -> _Cell:
        """The character's bytes that aren't blank, its first dot ``shift`` dots into a byte."""
        import numpy as np

        global _cells
        rows, _, top = self.dots(char)
        assert rows is not None
        packed = _packed(rows, shift)
        down, across = np.nonzero(packed)
        cell = (((down + top) * self.stride + across).astype(np.int32), packed[down, across])
        shifts = self[char].shifts
        assert shifts is not None
        shifts[shift] = cell
        _cells += 1
        if _cells > _KEPT_CELLS:
            _cells = 0
            _tables.clear()
        return cell


class _Letter(NamedTuple):
    """A character in a face and size: advance in dots, its first black column from the pen, its cells by shift (None: blank)."""

    advance: float
    left: int
    shifts: list[_Cell | None] | None


_tables: dict[tuple[str, int, bool, int], _Letters] = {}
_cells = 0


def _letters(face: str, size: int, italic: bool, stride: int) -> _Letters:
    key = (face, size, italic, stride)
    found = _tables.get(key)
    if found is None:
        found = _tables[key] = _Letters(face, size, italic, stride)
    return found


class _Sheet:
    """A piece of the page that is drawn on: packed dots, 1 = black, with room all round that is cut off at the end.

    Black text is gathered and drawn at once: where thousands of bytes are known, adding them to a blank layer takes a
    tenth of the time that a glyph by itself takes. No bit may be added twice, for it would carry into its neighbour; the
    number of black dots tells, and then they are put together one by one.
    """

    def __init__(
        self, x: int, y: int, width: int, height: int, bits: Bytes | None = None, sees_white: bool = False
    ) -> None:
        import numpy as np

        self.x, self.y, self.width, self.height = x, y, width, height
        self.stride = (width + 7) // 8 + 2 * _ROOM // 8
        self.stride += -self.stride % 8
        self.rows = height + 2 * _ROOM
        self.bits = np.zeros((self.rows, self.stride), np.uint8) if bits is None else bits.copy()
        #: Dots that were made white on purpose, where someone asks.
        self.white = np.zeros_like(self.bits) if sees_white else None
        self.places: list[int] = []
        self.cells: list[_Cell] = []

    # what comes out

    def inner(self) -> Bytes:
        """The rows without the room round them, dots beyond the width blank."""
        self.flush()
        return self._inner(self.bits)

    def _inner(self, bits: Bytes) -> Bytes:
        stride = (self.width + 7) // 8
        cut = bits[_ROOM : _ROOM + self.height, _ROOM // 8 : _ROOM // 8 + stride].copy()
        if self.width % 8:
            cut[:, -1] &= 0xFF << (8 - self.width % 8) & 0xFF
        return cut

    def dots(self, white: bool = False) -> Dots:
        """The same dot by dot; those made white on purpose instead of the black ones if asked for."""
        import numpy as np

        self.flush()
        bits = self.white if white else self.bits
        assert bits is not None
        return np.unpackbits(self._inner(bits), axis=1)[:, : self.width].astype(np.bool_)

    # boxes and pictures

    def apply(self, rows: slice, columns: slice, bits: Bytes, white: bool) -> None:
        """Blacken (or whiten) the dots set in ``bits``, which fit the slices or spread over them."""
        if not white:
            part = self.bits[rows, columns]
            part |= bits
            if self.white is not None:
                part = self.white[rows, columns]
                part &= ~bits
            return
        self.flush()
        part = self.bits[rows, columns]
        part &= ~bits
        if self.white is not None:
            part = self.white[rows, columns]
            part |= bits

    def fill(self, box: Box, white: bool = False) -> None:
        """A full box."""
        import numpy as np

        x, y, width, height = box
        left = max(x - self.x + _ROOM, 0)
        right = min(x - self.x + _ROOM + width, self.stride * 8)
        if right > left and height > 0:
            first, last = left // 8, (right + 7) // 8
            row = ((1 << (right - left)) - 1) << (last * 8 - right)
            bits = np.frombuffer(row.to_bytes(last - first, "big"), np.uint8)
            top = y - self.y + _ROOM
            self.apply(slice(max(top, 0), max(top + height, 0)), slice(first, last), bits, white)

    def blit(self, dots: Dots, x: int, y: int, white: bool = False, height: int = 0) -> None:
        """Black dots of a picture; what leaves the sheet is cut. A single row may be repeated to ``height`` rows."""
        left, top = x - self.x + _ROOM, y - self.y + _ROOM
        high, wide = dots.shape
        high = height or high
        if left < 0:
            dots = dots[:, -left:]
            left = 0
        if left + wide > self.stride * 8:
            dots = dots[:, : max(0, self.stride * 8 - left)]
        if not height:
            dots = dots[max(0, -top) : max(0, self.rows - top)]
        bottom = min(top + high, self.rows)
        top = max(top, 0)
        if bottom <= top or not dots.size:
            return
        bits = _packed(dots, left & 7)
        self.apply(slice(top, bottom), slice(left >> 3, (left >> 3) + bits.shape[1]), bits, white)

    # text

    def text(self, mark: TextMark) -> None:
        """A line of text with its underline."""
        if mark.rotation:
            self.turned_text(mark)
            return
        if mark.inverse:
            self.flush()
        size, italic, stride, spacing = mark.size, mark.italic, self.stride, mark.letter_spacing
        places, cells = self.places, self.cells
        left, down = mark.x - self.x + _ROOM, mark.y + mark.baseline - self.y + _ROOM
        for run in mark.runs:
            if run.glyphs:
                ink = fonts.ink_of_run(run.face, size, run.glyphs, italic)
                if ink is not None:
                    x, y = mark.x + run.x + ink.left, mark.y + mark.baseline + ink.top
                    self.blit(ink.rows, x, y, mark.inverse)
                continue
            letters = _letters(run.face, size, italic, stride)
            start = left + run.x
            pen = start + 0.5
            row = down * stride
            before = len(places)
            for char in run.text:
                advance, first, shifts = letters[char]
                if shifts is not None:
                    at = int(pen) + first
                    cells.append(shifts[at & 7] or letters.cell(char, at & 7))
                    places.append(row + (at >> 3))
                pen += advance + spacing
            if (
                min(start, pen) + letters.left < 0
                or max(start, pen) + letters.right + 8 > stride * 8
                or down + letters.top < 0
                or down + letters.bottom > self.rows
            ):
                # Some of it leaves the sheet: letter by letter, each cut.
                del places[before:], cells[before:]
                self.letter_by_letter(letters, run, mark)
        if mark.underline:
            x, y, width, height = underline_box(mark)
            self.fill((mark.x + x, mark.y + y, width, height), mark.inverse)
        if mark.inverse:
            self.flush(white=True)

    def letter_by_letter(self, letters: _Letters, run: Run, mark: TextMark) -> None:
        pen = mark.x + run.x + 0.5
        for char in run.text:
            rows, left, top = letters.dots(char)
            if rows is not None:
                self.blit(rows, math.floor(pen) + left, mark.y + mark.baseline + top, mark.inverse)
            pen += letters[char].advance + mark.letter_spacing
            if abs(pen - self.x) > 1_000_000:
                break

    def turned_text(self, mark: TextMark) -> None:
        """Drawn upright on a sheet of its own, then turned clockwise into its box."""
        import numpy as np

        length, height = _along_across(mark)
        # Glyphs may reach out of their line box, and a line that doesn't fit out of its width.
        room = mark.size
        pen = max([length] + [round(part.x + mark.size * (len(part.text) + 1)) for part in stretches(mark)])
        reach = min(pen, length + self.stride * 8 + self.rows)
        sheet = _Sheet(-room, -room, reach + 2 * room, height + 2 * room)
        sheet.text(mark._replace(x=0, y=0, width=length, height=height, rotation=0, inverse=False))
        dots = np.rot90(sheet.dots(), -mark.rotation // 90)
        match mark.rotation:
            case 90:
                left, top = mark.x + mark.width - (height + room), mark.y - room
            case 180:
                left, top = mark.x + mark.width - (reach + room), mark.y + mark.height - (height + room)
            case _:
                left, top = mark.x - room, mark.y + mark.height - (reach + room)
        self.blit(dots, left, top, mark.inverse)

    def flush(self, white: bool = False) -> None:
        """Draw the text that was gathered."""
        if not self.cells:
            return
        import numpy as np

        offsets, values = zip(*self.cells, strict=True)
        at = np.concatenate(offsets).astype(np.intp)
        at += np.repeat(self.places, [len(each) for each in values])
        bits = np.concatenate(values)
        self.cells.clear()
        self.places.clear()
        layer = np.zeros(self.rows * self.stride, np.uint8)
        np.add.at(layer, at, bits)
        if np.bitwise_count(layer.view(np.uint64)).sum() != np.bitwise_count(bits).sum():
            layer[:] = 0
            np.bitwise_or.at(layer, at, bits)
        self.apply(slice(None), slice(None), layer.reshape(self.bits.shape), white)

    # all marks

    def draw(self, marks: Iterable[Mark]) -> None:
        """Marks, one over the other."""
        for mark in marks:
            match mark:
                case TextMark():
                    self.text(mark)
                case BarMark():
                    self.bars(mark)
                case MatrixMark():
                    self.matrix(mark)
                case LineMark():
                    boxes = line_boxes(mark)
                    if boxes is None:
                        for corners in slanted_corners(mark):
                            self.shape(_bounds(corners), corners, lambda pen, path: pen.polygon(path, fill=1))
                    else:
                        for box in boxes:
                            self.fill(box)
                case RectMark():
                    self.rect(mark)
                case EllipseMark():
                    self.ellipse(mark)
                case ImageMark():
                    self.blit(_unpacked(mark), mark.x, mark.y)
                case GroupMark():
                    self.group(mark)

    def bars(self, mark: BarMark) -> None:
        import numpy as np

        if mark.rotation in {90, 270}:
            for box in bar_boxes(mark):
                self.fill(box)
            return
        widths = np.array(mark.widths[:: -1 if mark.rotation else 1]) * mark.module
        row = np.repeat(np.arange(len(widths)) % 2 == 0, widths)
        self.blit(row.reshape(1, -1), mark.x, mark.y, height=mark.height)

    def matrix(self, mark: MatrixMark) -> None:
        import numpy as np

        rows = mark.rows
        if not rows or not rows[0]:
            return
        modules = np.frombuffer("".join(rows).encode("ascii"), np.uint8).reshape(len(rows), -1) == ord("1")
        dots = modules.repeat(mark.row_dots or mark.module, axis=0).repeat(mark.module, axis=1)
        if mark.rotation:
            dots = np.rot90(dots, -mark.rotation // 90)
        self.blit(dots, mark.x, mark.y)

    def rect(self, mark: RectMark) -> None:
        box, thick = (mark.x, mark.y, mark.width, mark.height), mark.thickness
        if mark.width <= 0 or mark.height <= 0:
            return
        full = mark.fill or 2 * thick >= min(mark.width, mark.height)
        if mark.radius:
            corners = _corners(box)
            if mark.erase:
                self.shape(box, corners, lambda pen, at: pen.rounded_rectangle(at, mark.radius, 1), True)
            if thick or (full and not mark.erase):
                fill = 1 if full and not mark.erase else None
                self.shape(
                    box,
                    corners,
                    lambda pen, at: pen.rounded_rectangle(at, mark.radius, fill, 1, max(1, thick)),
                )
            return
        if mark.erase:
            self.fill(box, white=True)
        elif full:
            self.fill(box)
            return
        x, y, width, height = box
        for side in (
            (x, y, width, thick),
            (x, y + height - thick, width, thick),
            (x, y, thick, height),
            (x + width - thick, y, thick, height),
        ):
            self.fill(side)

    def ellipse(self, mark: EllipseMark) -> None:
        box = (mark.x, mark.y, mark.width, mark.height)
        if mark.width <= 0 or mark.height <= 0 or not (mark.fill or mark.thickness):
            return
        fill = 1 if mark.fill else None
        self.shape(box, _corners(box), lambda pen, at: pen.ellipse(at, fill, 1, max(1, mark.thickness)))

    def shape(
        self,
        box: Box,
        points: list[tuple[float, float]],
        drawing: Callable[[Any, list[tuple[float, float]]], None],
        white: bool = False,
    ) -> None:
        """What Pillow draws by the points, all of which lies in the box."""
        import numpy as np
        from PIL import Image, ImageDraw

        cut = self.meets(box)
        if cut is not None:
            left, top, width, height = cut
            picture = Image.new("L", (width, height))
            drawing(ImageDraw.Draw(picture), [(x - left, y - top) for x, y in points])
            self.blit(np.asarray(picture) > 0, left, top, white)

    def meets(self, box: Box) -> Box | None:
        """The part of a box that lies on the sheet or in the room round it."""
        left, top = max(box[0], self.x - _ROOM), max(box[1], self.y - _ROOM)
        right = min(box[0] + box[2], self.x + self.stride * 8 - _ROOM)
        bottom = min(box[1] + box[3], self.y + self.rows - _ROOM)
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None

    def group(self, mark: GroupMark) -> None:
        """Marks drawn apart, cut, turned, and then laid on what is here: their black and what they erase."""
        if mark.angle % 360 and mark.marks:
            self.turned_group(mark)
        elif mark.clip is None:
            self.draw(mark.marks)
        else:
            cut = self.meets(mark.clip)
            if cut is not None:
                sheet = _Sheet(*cut, sees_white=True)
                sheet.draw(mark.marks)
                self.blit(sheet.dots(white=True), cut[0], cut[1], white=True)
                self.blit(sheet.dots(), cut[0], cut[1])

    def turned_group(self, mark: GroupMark) -> None:
        """The marks drawn larger, turned, and brought down to dots by their share of each."""
        import numpy as np
        from PIL import Image

        angle = math.radians(mark.angle)
        sine, cosine = math.sin(angle), math.cos(angle)
        pivot = mark.pivot_x, mark.pivot_y
        # Only what can come to lie on this sheet is drawn.
        sheet_box = (self.x - _ROOM, self.y - _ROOM, self.stride * 8, self.rows)
        seen = _bounds(_turned_points(_outer(sheet_box), pivot, -sine, cosine))
        region = _common(_common(mark.clip or _extent(mark.marks), _extent(mark.marks)), seen)
        if region is None:
            return
        x, y, width, height = region
        landing = self.meets(_bounds(_turned_points(_outer(region), pivot, sine, cosine)))
        if landing is None:
            return
        most = max(width * height, landing[2] * landing[3])
        scale = max(1, min(4, math.isqrt(_MAX_ENLARGED // most)))
        sheet = _Sheet(x * scale, y * scale, width * scale, height * scale, sees_white=True)
        sheet.draw(_enlarged(each, scale) for each in mark.marks)
        across, down = (landing[0] - pivot[0]) * scale, (landing[1] - pivot[1]) * scale
        matrix = (
            cosine,
            sine,
            cosine * across + sine * down + (pivot[0] - x) * scale,
            -sine,
            cosine,
            -sine * across + cosine * down + (pivot[1] - y) * scale,
        )
        for white in (True, False):
            picture = Image.fromarray(sheet.dots(white).astype(np.uint8) * 255)
            turned = picture.transform(
                (landing[2] * scale, landing[3] * scale),
                Image.Transform.AFFINE,
                matrix,
                Image.Resampling.BILINEAR,
            )
            self.blit(np.asarray(turned.reduce(scale)) >= _THRESHOLD, landing[0], landing[1], white)

    def patch(self) -> Patch | None:
        """The part with black dots."""
        import numpy as np

        bits = self.inner()
        inked = np.flatnonzero(np.bitwise_or.reduce(bits, axis=1))
        return self.cut(bits, int(inked[0]), int(inked[-1]) + 1) if inked.size else None

    def patches(self, most_bytes: int) -> list[Patch]:
        """The part with black dots as pieces from top to bottom, as few as ``most_bytes`` allows."""
        import numpy as np

        bits = self.inner()
        inked = np.flatnonzero(np.bitwise_or.reduce(bits, axis=1))
        if not inked.size:
            return []
        # Stretches of rows without a blank one between them: top, below, and the columns in which they have dots.
        gaps = np.flatnonzero(np.diff(inked) > 1)
        tops = inked[np.append(0, gaps + 1)]
        belows = inked[np.append(gaps, -1)] + 1
        columns = np.bitwise_or.reduceat(bits, tops, axis=0)
        found: list[Patch] = []
        top, held = int(tops[0]), columns[0]
        for stretch, below in enumerate(belows.tolist()):
            both = held | columns[stretch]
            across = both.nonzero()[0]
            stride = int(across[-1] - across[0]) + 1
            if (below - top) * stride <= most_bytes:
                held = both
                continue
            # No longer: all before this stretch is a piece.
            start = int(tops[stretch])
            if start > top:
                found.append(self.cut(bits, top, int(belows[stretch - 1])))
            top, held = start, columns[stretch]
            across = held.nonzero()[0]
            rows = max(1, most_bytes // (int(across[-1] - across[0]) + 1))
            while below - top > rows:
                found.append(self.cut(bits, top, top + rows))
                top += rows
        found.append(self.cut(bits, top, int(belows[-1])))
        return found

    def cut(self, bits: Bytes, top: int, below: int) -> Patch:
        """These rows, which aren't blank, cropped."""
        import numpy as np

        columns = np.bitwise_or.reduce(bits[top:below], axis=0)
        across = columns.nonzero()[0]
        first, last = int(across[0]), int(across[-1])
        blank = (int(columns[last]) & -int(columns[last])).bit_length() - 1
        rows = bits[top:below, first : last + 1]
        width = 8 * (last + 1 - first) - blank
        return Patch(self.x + 8 * first, self.y + top, width, below - top, rows.tobytes())


def _packed(dots: Dots, shift: int) -> Bytes:
    """Rows of dots as bytes, the first dot ``shift`` dots into its byte."""
    import numpy as np

    if shift:
        moved = np.zeros((dots.shape[0], dots.shape[1] + shift), np.bool_)
        moved[:, shift:] = dots
        dots = moved
    return np.packbits(dots, axis=1)


def _unpacked(mark: ImageMark) -> Dots:
    import numpy as np

    rows = np.frombuffer(mark.bits, np.uint8).reshape(mark.height, (mark.width + 7) // 8)
    return np.unpackbits(rows, axis=1)[:, : mark.width].view(np.bool_)


def _enlarged(mark: Mark, scale: int) -> Mark:
    """The mark at so many times its size, about the page's corner."""
    import numpy as np

    match mark:
        case LineMark():
            dash = mark.dash and (mark.dash[0] * scale, mark.dash[1] * scale)
            ends = {name: getattr(mark, name) * scale for name in ("x1", "y1", "x2", "y2", "thickness")}
            return mark._replace(**ends, dash=dash)
        case GroupMark():
            x, y, width, height = mark.clip or (0, 0, 0, 0)
            return mark._replace(
                marks=tuple(_enlarged(each, scale) for each in mark.marks),
                clip=mark.clip and (x * scale, y * scale, width * scale, height * scale),
                pivot_x=mark.pivot_x * scale,
                pivot_y=mark.pivot_y * scale,
            )
        case ImageMark():
            dots = _unpacked(mark).repeat(scale, axis=0).repeat(scale, axis=1)
            mark = mark._replace(bits=np.packbits(dots, axis=1).tobytes())
        case TextMark():
            runs = tuple(
                run._replace(
                    x=run.x * scale,
                    glyphs=tuple(
                        glyph._replace(x=glyph.x * scale, y=glyph.y * scale) for glyph in run.glyphs
                    ),
                )
                for run in mark.runs
            )
            mark = mark._replace(runs=runs)
        case MatrixMark():
            mark = mark._replace(row_dots=tuple(dots * scale for dots in mark.row_dots))
    lengths = _LENGTHS & set(mark._fields)
    return mark._replace(**{name: getattr(mark, name) * scale for name in lengths})


#: Fields of marks that are lengths in dots.
_LENGTHS = frozenset(
    (
        "x",
        "y",
        "width",
        "height",
        "size",
        "baseline",
        "letter_spacing",
        "module",
        "quiet",
        "thickness",
        "radius",
    )
)


# ── arithmetic ──


def _hollow(size: int) -> tuple[Box, int]:
    """The box of a missing character from pen and baseline, and its stroke."""
    left, top = round(0.08 * size), round(-0.80 * size)
    return (left, top, max(1, round(0.84 * size)), max(1, round(0.04 * size) - top)), max(1, size // 16)


def _along_across(mark: TextMark | BarMark | MatrixMark) -> tuple[int, int]:
    """Length and height of the mark before it is turned."""
    return (mark.height, mark.width) if mark.rotation in {90, 270} else (mark.width, mark.height)


def _corners(box: Box) -> list[tuple[float, float]]:
    """First and last dot of a box."""
    return [(box[0], box[1]), (box[0] + box[2] - 1, box[1] + box[3] - 1)]


def _outer(box: Box) -> list[tuple[float, float]]:
    """The four corners of a box."""
    x, y, width, height = box
    return [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]


def _bounds(points: list[tuple[float, float]]) -> Box:
    """The smallest box of whole dots round the points."""
    left, top = (math.floor(min(each[axis] for each in points)) for axis in (0, 1))
    right, bottom = (math.ceil(max(each[axis] for each in points)) for axis in (0, 1))
    return left, top, right - left + 1, bottom - top + 1


def _common(one: Box | None, other: Box) -> Box | None:
    if one is None:
        return None
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _extent(marks: Iterable[Mark]) -> Box:
    """A box that holds all dots of the marks before a group turns them."""
    points: list[tuple[float, float]] = []
    for mark in marks:
        match mark:
            case LineMark():
                thick = mark.thickness + 1
                for x, y in ((mark.x1, mark.y1), (mark.x2, mark.y2)):
                    points += [(x - thick, y - thick), (x + thick, y + thick)]
            case GroupMark():
                # Turned about its pivot, nothing of it comes further than its farthest corner.
                inner = _outer(mark.clip or _extent(mark.marks))
                pivot = (mark.pivot_x, mark.pivot_y)
                far = max(math.dist(pivot, corner) for corner in inner) if mark.angle else 0
                points += inner + [(pivot[0] + sign * far, pivot[1] + sign * far) for sign in (-1, 1) if far]
            case TextMark():
                room = mark.size
                length, _ = _along_across(mark)
                reach = max([length] + [part.x + room * (len(part.text) + 1) for part in stretches(mark)])
                more = round(min(reach - length, 100_000)) + room
                points += _outer(
                    (mark.x - more, mark.y - more, mark.width + 2 * more, mark.height + 2 * more)
                )
            case _:
                points += _outer((mark.x, mark.y, mark.width, mark.height))
    return _bounds(points)


def _turned_points(
    points: list[tuple[float, float]], pivot: tuple[float, float], sine: float, cosine: float
) -> list[tuple[float, float]]:
    """Points turned clockwise about a pivot."""
    x, y = pivot
    return [
        (x + (px - x) * cosine - (py - y) * sine, y + (px - x) * sine + (py - y) * cosine)
        for px, py in points
    ]


def _turned(mark: BarMark | MatrixMark, upright: Box, width: int, height: int) -> Box:
    """A box of the upright symbol (``width`` × ``height``), turned clockwise into the mark's box on the page."""
    x, y, wide, high = upright
    rotation: Rotation = mark.rotation
    match rotation:
        case 0:
            return mark.x + x, mark.y + y, wide, high
        case 90:
            return mark.x + height - y - high, mark.y + x, high, wide
        case 180:
            return mark.x + width - x - wide, mark.y + height - y - high, wide, high
        case _:
            return mark.x + y, mark.y + width - x - wide, high, wide


def _dashes(start: int, end: int, dash: tuple[int, int] | None) -> Iterator[tuple[int, int]]:
    """(start, length) of each stroke."""
    if dash is None:
        yield start, end - start
        return
    on, off = max(1, dash[0]), max(0, dash[1])
    for at in range(start, end, on + off):
        yield at, min(on, end - at)


def _dark_runs(row: str) -> Iterator[tuple[int, int]]:
    """(start, length) of each run of ones."""
    start = row.find("1")
    while start >= 0:
        end = row.find("0", start)
        end = len(row) if end < 0 else end
        yield start, end - start
        start = row.find("1", end)
