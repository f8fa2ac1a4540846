"""Where things lie: areas in millimetres, boxes in whole dots, and the dots that a mark may blacken.

Hides rounding (edges are rounded to dots, not lengths, so that neighbours meet), quarter turns, and the search for boxes
that share a dot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from labelsvc.labels.cnpl import MM_PER_PT
from labelsvc.labels.page import (
    DOTS_PER_MM,
    BarMark,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    RectMark,
    Rotation,
)

T = TypeVar("T")

#: Top, right, bottom, left, in mm.
Sides = tuple[float, float, float, float]


class Area(NamedTuple):
    """A box in mm on the page."""

    left: float
    top: float
    width: float
    height: float

    def inset(self, sides: Sides) -> Area:
        """The area without a margin or padding of these sides; never less than nothing."""
        top, right, bottom, left = sides
        return Area(
            self.left + left,
            self.top + top,
            max(0.0, self.width - left - right),
            max(0.0, self.height - top - bottom),
        )


class Box(NamedTuple):
    """A box in dots: edges, the far ones not included."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In dots."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In dots."""
        return self.bottom - self.top

    def meets(self, other: Box) -> bool:
        """True if they share a dot."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """True if the other lies wholly inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def cut_to(self, other: Box) -> Box:
        """What of it lies in the other; of no size if nothing does."""
        return Box(
            min(max(self.left, other.left), other.right),
            min(max(self.top, other.top), other.bottom),
            min(max(self.right, other.left), other.right),
            min(max(self.bottom, other.top), other.bottom),
        )

    def grown(self, by: int) -> Box:
        """Larger by so many dots on every side."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)


#: How many pairs of boxes are compared on one page; an ordinary label has some hundreds.
PATIENCE = 200_000
#: For what may lie anywhere.
EVERYWHERE = Box(-(10**6), -(10**6), 10**6, 10**6)


class Grid:
    """Millimetres and points as whole dots of one resolution."""

    def __init__(self, dpi: int) -> None:
        self.dpi = dpi
        self.scale = DOTS_PER_MM[dpi]

    def dots(self, mm: float) -> int:
        """Dots, half ones up."""
        return math.floor(mm * self.scale + 0.5)

    def size(self, pt: float) -> int:
        """A font size; at least a dot."""
        return max(1, self.dots(pt * MM_PER_PT))

    def thickness(self, pt: float) -> int:
        """A line's width: at least a dot, unless it is none."""
        return max(1, self.dots(pt * MM_PER_PT)) if pt > 0 else 0

    def box(self, area: Area) -> Box:
        """The dots of an area."""
        return Box(
            self.dots(area.left),
            self.dots(area.top),
            self.dots(area.left + area.width),
            self.dots(area.top + area.height),
        )

    def missing_mm(self, dots: float) -> float:
        """Missing dots in mm, rounded up to a tenth, for people."""
        return math.ceil(round(dots / self.scale * 10, 6)) / 10


def turned(
    rotation: Rotation, local: tuple[int, int, int, int], width: int, height: int
) -> tuple[int, int, int, int]:
    """Where a box (x, y, width, height) inside an upright ``width`` × ``height`` lies when that is turned clockwise."""
    x, y, wide, high = local
    match rotation:
        case 0:
            return x, y, wide, high
        case 90:
            return height - y - high, x, high, wide
        case 180:
            return width - x - wide, height - y - high, wide, high
        case _:
            return y, width - x - wide, high, wide


def ink(mark: Mark) -> Sequence[Box]:
    """The boxes that a mark may blacken or whiten; a frame's four sides, not its inside."""
    if isinstance(mark, LineMark):
        half = mark.thickness // 2
        rest = mark.thickness - half
        left, right = sorted((mark.x1, mark.x2))
        top, bottom = sorted((mark.y1, mark.y2))
        if top == bottom:
            return (Box(left, top - half, right, top + rest),)
        if left == right:
            return (Box(left - half, top, left + rest, bottom),)
        return (Box(left - half, top - half, right + rest, bottom + rest),)
    if isinstance(mark, GroupMark):
        return _group_ink(mark)
    right, bottom = mark.x + mark.width, mark.y + mark.height
    if isinstance(mark, RectMark) and not mark.fill and not mark.erase:
        thick = mark.thickness
        return (
            Box(mark.x, mark.y, right, mark.y + thick),
            Box(mark.x, bottom - thick, right, bottom),
            Box(mark.x, mark.y, mark.x + thick, bottom),
            Box(right - thick, mark.y, right, bottom),
        )
    return (Box(mark.x, mark.y, right, bottom),)


def _group_ink(group: GroupMark) -> Sequence[Box]:
    boxes = [box for mark in group.marks for box in ink(mark)]
    if group.clip:
        x, y, width, height = group.clip
        clip = Box(x, y, x + width, y + height)
        boxes = [cut for box in boxes if (cut := box.cut_to(clip)).width > 0 and cut.height > 0]
    if group.angle % 360:
        boxes = [_swung(box, group.angle, group.pivot_x, group.pivot_y) for box in boxes]
    return boxes


def _swung(box: Box, angle: float, x: float, y: float) -> Box:
    """The upright box round a box that is turned clockwise about a point."""
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    corners = [
        (x + (left - x) * cosine - (top - y) * sine, y + (left - x) * sine + (top - y) * cosine)
        for left in (box.left, box.right)
        for top in (box.top, box.bottom)
    ]
    across, down = [corner[0] for corner in corners], [corner[1] for corner in corners]
    return Box(
        math.floor(min(across) + 1e-6),
        math.floor(min(down) + 1e-6),
        math.ceil(max(across) - 1e-6),
        math.ceil(max(down) - 1e-6),
    )


def bounds(boxes: Iterable[Box]) -> Box | None:
    """The smallest box round all; None if there is none."""
    found = list(boxes)
    if not found:
        return None
    return Box(
        min(box.left for box in found),
        min(box.top for box in found),
        max(box.right for box in found),
        max(box.bottom for box in found),
    )


def quiet_zone(mark: BarMark | MatrixMark | ImageMark) -> Box:
    """The box of a symbol with its quiet zones: at both ends of the bars, all round a matrix."""
    along = 0 if isinstance(mark, BarMark) and mark.rotation in {90, 270} else mark.quiet
    across = 0 if isinstance(mark, BarMark) and mark.rotation in {0, 180} else mark.quiet
    return Box(mark.x - along, mark.y - across, mark.x + mark.width + along, mark.y + mark.height + across)


def meeting(boxes: Sequence[tuple[Box, T]], patience: int = PATIENCE) -> Iterator[tuple[T, T]]:
    """The pairs whose boxes share a dot, earlier one first; quick where few do, however many there are.

    After so many comparisons it ends: a stranger's template may pile up thousands of boxes in one place.
    """
    order = sorted(range(len(boxes)), key=lambda at: boxes[at][0].top)
    alive: list[int] = []
    for at in order:
        box, what = boxes[at]
        alive = [other for other in alive if boxes[other][0].bottom > box.top]
        patience -= len(alive) + 1
        if patience < 0:
            return
        for other in alive:
            if box.meets(boxes[other][0]):
                yield (boxes[other][1], what) if other < at else (what, boxes[other][1])
        alive.append(at)
