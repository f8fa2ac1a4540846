"""Marks turned by quarters, as marks: a turned layout's texts stay texts and its barcodes barcodes.

Hides what each kind of mark needs to be turned, odd dots of thickness included.
"""

from __future__ import annotations

from typing import Any

from labelsvc.labels.boxes import Box, turned
from labelsvc.labels.page import (
    BarMark,
    EllipseMark,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    RectMark,
    Rotation,
    TextMark,
)


def as_quarter(angle: float) -> Rotation | None:
    """The quarter turn of an angle; None if it is another, 0 included."""
    match angle:
        case 90:
            return 90
        case 180:
            return 180
        case 270:
            return 270
    return None


def quarter_turned(mark: Mark, rotation: Rotation, box: Box) -> Mark:
    """A mark that was set in an upright box, turned clockwise with it. ``box`` is where the box lies on the page; the upright
    one has the same left top corner, and the sides swapped for 90 and 270 degrees."""
    width, height = (box.height, box.width) if rotation in {90, 270} else (box.width, box.height)

    def moved(x: int, y: int, wide: int, high: int) -> tuple[int, int, int, int]:
        x, y, wide, high = turned(rotation, (x - box.left, y - box.top, wide, high), width, height)
        return box.left + x, box.top + y, wide, high

    if isinstance(mark, LineMark):
        thick = mark.thickness
        left, top = min(mark.x1, mark.x2), min(mark.y1, mark.y2)
        x, y, wide, high = moved(left, top, abs(mark.x1 - mark.x2), abs(mark.y1 - mark.y2))
        # An odd dot of thickness changes its side where the line is turned over.
        odd = thick % 2
        if wide == 0 and rotation == 90:
            x -= odd
        if high == 0 and rotation == 180:
            y -= odd
        if wide == 0 and rotation == 180:
            x -= odd
        if high == 0 and rotation == 270:
            y -= odd
        falls = (mark.x2 - mark.x1) * (mark.y2 - mark.y1) >= 0
        if rotation in {90, 270}:
            falls = not falls
        y1, y2 = (y, y + high) if falls or not wide else (y + high, y)
        return mark._replace(x1=x, y1=y1, x2=x + wide, y2=y2)
    if isinstance(mark, GroupMark):
        if mark.angle:
            # Already turned about a point of its own: turned once more about the box's corner and moved into place.
            return GroupMark(
                (mark,), None, float(rotation), *_hinge(rotation, box, width, height), mark.source
            )
        clip = moved(*mark.clip) if mark.clip else None
        return mark._replace(
            marks=tuple(quarter_turned(inner, rotation, box) for inner in mark.marks), clip=clip
        )
    x, y, wide, high = moved(mark.x, mark.y, mark.width, mark.height)
    if isinstance(mark, TextMark | BarMark | MatrixMark):
        turn: Any = (mark.rotation + rotation) % 360
        return mark._replace(x=x, y=y, width=wide, height=high, rotation=turn)
    if isinstance(mark, ImageMark):
        return mark._replace(x=x, y=y, width=wide, height=high, bits=_turned_bits(mark, rotation))
    if isinstance(mark, RectMark | EllipseMark):
        return mark._replace(x=x, y=y, width=wide, height=high)
    return mark


def _hinge(rotation: Rotation, box: Box, width: int, height: int) -> tuple[float, float]:
    """The point about which an upright box turns into the place of the turned one."""
    match rotation:
        case 90:
            return box.left + height / 2, box.top + height / 2
        case 180:
            return box.left + width / 2, box.top + height / 2
        case _:
            return box.left + width / 2, box.top + width / 2


def _turned_bits(mark: ImageMark, rotation: Rotation) -> bytes:
    from PIL import Image

    turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    picture = Image.frombytes("1", (mark.width, mark.height), mark.bits)
    return picture.transpose(turns[rotation]).tobytes()
