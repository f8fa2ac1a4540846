"""A Page becomes dots: the one place that knows which dots a mark blackens.

Hides Pillow, the glyph cache and rotation. PNG is this picture; ZPL takes from it what a printer can't say by itself; PDF
takes the boxes of bars, modules and lines, so that all three agree dot for dot.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from labelsvc.labels import (
    BarMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    RectMark,
    Rotation,
    TextMark,
    fonts,
)

if TYPE_CHECKING:
    from PIL import Image

#: A box in dots: x, y, width, height.
Box = tuple[int, int, int, int]

#: Coverage (of 255) from which a dot is black. Below half, so that strokes thinner than a dot survive.
_THRESHOLD = 112
_BLACK, _WHITE = 255, 0


@dataclass(frozen=True)
class Patch:
    """A piece of the page: ``bits`` holds ``height`` rows of ``(width + 7) // 8`` bytes, 1 = black, high bit left."""

    x: int
    y: int
    width: int
    height: int
    bits: bytes


def draw(page: Page) -> tuple[int, bytes]:
    """The page as (bytes a row, rows): 1 = black, high bit left, rows padded to whole bytes."""
    return (page.width + 7) // 8, _canvas(page).tobytes()


def image(page: Page) -> Image.Image:
    """The page as a one-bit Pillow picture, black on white."""
    from PIL import ImageChops

    return ImageChops.invert(_canvas(page))


def draw_marks(marks: tuple[Mark, ...], page: Page, within: Box | None = None) -> Patch | None:
    """The marks, drawn one over the other, cropped to their black dots on the page (and within a box); None if there are none."""
    canvas = _blank(page.width, page.height)
    for mark in marks:
        _draw(canvas, mark)
    if within:
        left, top, width, height = within
        canvas = canvas.crop((left, top, left + width, top + height))
    else:
        left, top = 0, 0
    inked = canvas.getbbox()
    if inked is None:
        return None
    piece = canvas.crop(inked)
    return Patch(left + inked[0], top + inked[1], piece.width, piece.height, piece.tobytes())


def bar_boxes(mark: BarMark) -> Iterator[Box]:
    """The bars of a barcode on the page, each a whole number of modules."""
    along, across = (mark.height, mark.width) if mark.rotation in {90, 270} else (mark.width, mark.height)
    at = 0
    for place, width in enumerate(mark.widths):
        if place % 2 == 0:
            yield _turned(mark, (at * mark.module, 0, width * mark.module, across), along, across)
        at += width


def module_boxes(mark: MatrixMark) -> Iterator[Box]:
    """The dark modules of a matrix symbol on the page, joined along each row."""
    for down, row in enumerate(mark.rows):
        for start, length in _dark_runs(row):
            upright = (start * mark.module, down * mark.module, length * mark.module, mark.module)
            yield _turned(mark, upright, mark.width, mark.height)


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
    size = mark.size
    left, top = round(x + 0.08 * size), round(mark.baseline - 0.80 * size)
    return (left, top, round(0.84 * size), round(mark.baseline + 0.04 * size) - top), max(1, size // 16)


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


# ── Pillow ──


def _blank(width: int, height: int) -> Image.Image:
    from PIL import Image

    return Image.new("1", (width, height), _WHITE)


def _canvas(page: Page) -> Image.Image:
    """Ink on nothing: set dots are black."""
    canvas = _blank(page.width, page.height)
    for mark in page.marks:
        _draw(canvas, mark)
    return canvas


def _draw(canvas: Image.Image, mark: Mark) -> None:
    from PIL import Image, ImageDraw

    match mark:
        case TextMark():
            _draw_text(canvas, mark)
        case BarMark():
            _fill(canvas, bar_boxes(mark))
        case MatrixMark():
            _fill(canvas, module_boxes(mark))
        case LineMark():
            boxes = line_boxes(mark)
            if boxes is not None:
                _fill(canvas, iter(boxes))
            else:
                for corners in slanted_corners(mark):
                    ImageDraw.Draw(canvas).polygon(corners, fill=_BLACK)
        case RectMark():
            corner = (mark.x, mark.y, mark.x + mark.width - 1, mark.y + mark.height - 1)
            if mark.width > 0 and mark.height > 0 and (mark.fill or mark.thickness):
                ImageDraw.Draw(canvas).rounded_rectangle(
                    corner,
                    radius=mark.radius,
                    fill=_BLACK if mark.fill else None,
                    outline=_BLACK if mark.thickness else None,
                    width=mark.thickness,
                )
        case ImageMark():
            bits = Image.frombytes("1", (mark.width, mark.height), mark.bits)
            canvas.paste(_BLACK, (mark.x, mark.y), bits)


def _fill(canvas: Image.Image, boxes: Iterator[Box]) -> None:
    for x, y, width, height in boxes:
        if width > 0 and height > 0:
            canvas.paste(_BLACK, (x, y, x + width, y + height))


def _draw_text(canvas: Image.Image, mark: TextMark) -> None:
    from PIL import Image

    length, height = (mark.height, mark.width) if mark.rotation in {90, 270} else (mark.width, mark.height)
    # Glyphs may reach out of their line box (and a line that does not fit out of its width): room all round.
    room = mark.size
    reach = max(
        [length] + [round(part.x + mark.size * (len(part.text) + 1)) for part in stretches(mark) if part.text]
    )
    strip = _blank(room + max(length, min(reach, length + canvas.width)) + room, height + 2 * room)
    for part in stretches(mark):
        if part.face is None:
            (x, y, wide, high), stroke = missing_box(mark, part.x)
            outer = (room + x, room + y, room + x + wide, room + y + high)
            strip.paste(_BLACK, outer)
            strip.paste(_WHITE, (outer[0] + stroke, outer[1] + stroke, outer[2] - stroke, outer[3] - stroke))
            continue
        pen = part.x
        for char in part.text:
            glyph = _glyph(part.face.key, mark.size, char)
            if glyph is not None:
                ink, left, top = glyph
                strip.paste(_BLACK, (room + round(pen) + left, room + mark.baseline + top), ink)
            pen += part.face.advance(char, mark.size) + mark.letter_spacing
    if mark.underline:
        x, y, wide, high = underline_box(mark)
        strip.paste(_BLACK, (room + x, room + y, room + x + wide, room + y + high))
    # The strip is longer than the line on the right only: what turns to the page's left or top must move by that.
    surplus = strip.width - length - 2 * room
    left, top = mark.x - room, mark.y - room
    match mark.rotation:
        case 90:
            strip = strip.transpose(Image.Transpose.ROTATE_270)
        case 180:
            strip = strip.transpose(Image.Transpose.ROTATE_180)
            left -= surplus
        case 270:
            strip = strip.transpose(Image.Transpose.ROTATE_90)
            top -= surplus
    canvas.paste(_WHITE if mark.inverse else _BLACK, (left, top), strip)


_drawing = threading.Lock()


@lru_cache(maxsize=8192)
def _glyph(face: str, size: int, char: str) -> tuple[Image.Image, int, int] | None:
    """One character in one-bit dots and where it lies from the pen position on the baseline; None if it has no ink."""
    from PIL import Image, ImageDraw

    font = fonts.pil(face, size)
    with _drawing:
        left, top, right, bottom = (round(edge) for edge in font.getbbox(char, anchor="ls"))
        if right <= left or bottom <= top:
            return None
        grey = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(grey).text((-left, -top), char, font=font, fill=255, anchor="ls")
    return grey.point(lambda cover: 255 if cover >= _THRESHOLD else 0).convert("1"), left, top


# ── arithmetic ──


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
