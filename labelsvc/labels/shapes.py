"""Lines, frames and filled boxes as marks; hides where a line's odd dot lies and how frames and dashes are cut to the paper."""

from __future__ import annotations

from collections.abc import Iterator

from labelsvc.labels.boxes import Box, Grid
from labelsvc.labels.cnpl import Stroke
from labelsvc.labels.page import EllipseMark, LineMark, Mark, RectMark

#: Of a dashed line, in mm: drawn, left out.
DASH_MM = (1.0, 0.75)
#: A dotted line leaves out twice what it draws.
DOT_GAP = 2
#: The corner of a round: this share of its shorter side. CNPL names no radius.
CORNER_SHARE = 0.2


class Pencil:
    """Draws shapes on paper of a size; what leaves the paper is cut off."""

    def __init__(self, grid: Grid, paper: Box) -> None:
        self.grid = grid
        self.paper = paper

    def filled(self, box: Box, source: str, *, erase: bool = False) -> Iterator[Mark]:
        """A black box, or with ``erase`` a white one that covers."""
        box = box.cut_to(self.paper)
        if box.width > 0 and box.height > 0:
            yield RectMark(box.left, box.top, box.width, box.height, 0, fill=True, source=source, erase=erase)

    def frame(
        self,
        box: Box,
        widths_pt: tuple[float, float, float, float],
        strokes: tuple[Stroke, Stroke, Stroke, Stroke],
        source: str,
    ) -> Iterator[Mark]:
        """Lines inside the edges of a box: top, right, bottom, left."""
        top, right, bottom, left = (self.grid.thickness(width) for width in widths_pt)
        if not (top or right or bottom or left) or box.width <= 0 or box.height <= 0:
            return
        if self.paper.holds(box) and top == right == bottom == left and set(strokes) == {"solid"}:
            yield RectMark(box.left, box.top, box.width, box.height, top, source=source)
            return
        low, far = box.bottom - bottom + bottom // 2, box.right - right + right // 2
        edges = (
            (box.left, box.top + top // 2, box.right, box.top + top // 2, top),
            (far, box.top, far, box.bottom, right),
            (box.left, low, box.right, low, bottom),
            (box.left + left // 2, box.top, box.left + left // 2, box.bottom, left),
        )
        for (x1, y1, x2, y2, thick), stroke in zip(edges, strokes, strict=True):
            if thick:
                yield from self.line(x1, y1, x2, y2, thick, stroke, source)

    def line(
        self, x1: int, y1: int, x2: int, y2: int, thick: int, stroke: Stroke, source: str
    ) -> Iterator[Mark]:
        """A line whose thickness lies about it (the odd dot below, or right)."""
        left, top, right, bottom = self.paper
        before, after = thick // 2, thick - thick // 2
        if y1 == y2:
            y1 = y2 = min(max(y1, top + before), bottom - after)
        elif x1 == x2:
            x1 = x2 = min(max(x1, left + before), right - after)
        x1, x2 = (min(max(x, left), right) for x in (x1, x2))
        y1, y2 = (min(max(y, top), bottom) for y in (y1, y2))
        if (x1, y1) > (x2, y2):
            x1, y1, x2, y2 = x2, y2, x1, y1
        if (x1, y1) == (x2, y2):
            return
        dashes = {
            "solid": None,
            "dashed": (self.grid.dots(DASH_MM[0]), self.grid.dots(DASH_MM[1])),
            "dotted": (thick, DOT_GAP * thick),
        }
        yield LineMark(x1, y1, x2, y2, thick, dashes[stroke], source)

    def ellipse(self, box: Box, width_pt: float, source: str, *, fill: bool) -> Iterator[Mark]:
        """An ellipse in a box."""
        thick = self.grid.thickness(width_pt)
        if box.width > 0 and box.height > 0 and (thick or fill):
            yield EllipseMark(box.left, box.top, box.width, box.height, thick, fill, source)

    def round(self, box: Box, width_pt: float, source: str, *, fill: bool) -> Iterator[Mark]:
        """A box with round corners."""
        thick = self.grid.thickness(width_pt)
        if box.width > 0 and box.height > 0 and (thick or fill):
            radius = round(CORNER_SHARE * min(box.width, box.height))
            yield RectMark(box.left, box.top, box.width, box.height, thick, fill, radius, source)
