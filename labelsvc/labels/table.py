"""Tables: columns and rows measured, spans carried down, lines between cells drawn once, rows broken over pages.

Hides the grid. Columns are as many as there are headers, else as the longest row has cells; a column is as wide as its
header, else as its widest cell, else an equal share of what is left. A cell that is wider or taller than its column or
row widens it; a smaller one is ignored. A row without a height is as high as what stands in its cells.

A table breaks between rows, never inside one, nor between rows that a cell spans; the header is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labelsvc.labels import text as texts
from labelsvc.labels.boxes import Area, Box, Sides
from labelsvc.labels.cnpl import MM_PER_PT, Stroke, Style
from labelsvc.labels.element import Element
from labelsvc.labels.page import Mark
from labelsvc.labels.textbox import setter_for

if TYPE_CHECKING:
    from labelsvc.labels.layout import Composer

#: A row that misses the page by less than this is taken to fit: sums of tenths of millimetres aren't exact.
_EXACT_MM = 1e-6
#: The most places for cells that a table has, with what spans count for.
MAX_CELLS = 20_000


@dataclass
class _Cell:
    """A cell in the grid: its first row and column, and how many of each it spans."""

    element: Element
    style: Style
    row: int
    column: int
    rows: int
    columns: int


@dataclass
class _Grid:
    """The cells of a table in their places."""

    cells: list[_Cell] = field(default_factory=list)
    rows: int = 0
    columns: int = 0
    has_header: bool = False


@dataclass(frozen=True)
class _Rule:
    """How a line between cells is drawn; ``ends`` is the thickness of those that it meets, so that corners are filled."""

    thick: int
    stroke: Stroke
    ends: int


class Table:
    """One table in its place; the place's height is the most that it may take on this page."""

    def __init__(self, element: Element, style: Style, place: Area, composer: Composer) -> None:
        self.element = element
        self.style = style
        self.place = place
        self.composer = composer
        self.grid = self._placed()
        self.widths = self._widths()
        self.heights = self._heights()

    # ── measuring ──

    def _placed(self) -> _Grid:
        data = self.composer.data
        grid = _Grid(rows=len(self.element.children))
        taken: set[tuple[int, int]] = set()
        for row, line in enumerate(self.element.children):
            line_style = line.styled(data, self.style)
            column = 0
            for element in line.children:
                while (row, column) in taken:
                    column += 1
                if element.tag == "th":
                    grid.has_header = True
                across = element.count("colspan", data)
                down = min(element.count("rowspan", data), grid.rows - row)
                style = element.styled(data, line_style)
                grid.cells.append(_Cell(element, style, row, column, down, across))
                if len(taken) + down * across > MAX_CELLS:
                    element.fail(f"the table has more than {MAX_CELLS} cells", code="template.too_long")
                taken |= {(row + y, column + x) for y in range(down) for x in range(across)}
                column += across
        grid.columns = max((column + 1 for _, column in taken), default=0)
        if grid.has_header:
            heads = sum(cell.columns for cell in grid.cells if cell.row == 0)
            if heads < grid.columns:
                self.element.fail("a row has more cells than there are headers")
            grid.columns = heads
        return grid

    def _widths(self) -> list[float]:
        data, room = self.composer.data, self.place.width
        widths = [0.0] * self.grid.columns
        spanning: list[tuple[_Cell, float]] = []
        for cell in self.grid.cells:
            extent = cell.element.extent("width", data)
            if extent is None:
                continue
            width = room * extent[0] / 100 if extent[1] == "%" else extent[0]
            if cell.columns == 1:
                widths[cell.column] = max(widths[cell.column], width)
            else:
                spanning.append((cell, width))
        open_ones = [at for at, width in enumerate(widths) if not width]
        if open_ones:
            share = max(0.0, room - sum(widths)) / len(open_ones)
            for at in open_ones:
                widths[at] = share
        for cell, width in spanning:
            self._widen(widths, cell.column, cell.columns, width)
        return widths

    @staticmethod
    def _widen(lengths: list[float], first: int, count: int, wanted: float) -> None:
        """Let some neighbours be as long as wanted together, each in proportion."""
        total = sum(lengths[first : first + count])
        if wanted <= total:
            return
        for at in range(first, first + count):
            lengths[at] = lengths[at] * wanted / total if total else wanted / count

    def _heights(self) -> list[float]:
        heights = [0.0] * self.grid.rows
        spanning: list[tuple[_Cell, float]] = []
        for cell in self.grid.cells:
            given = cell.element.length("height", self.composer.data)
            height = self._content_height(cell) if given is None else given
            if cell.rows == 1:
                heights[cell.row] = max(heights[cell.row], height)
            else:
                spanning.append((cell, height))
        for cell, height in spanning:
            missing = height - sum(heights[cell.row : cell.row + cell.rows])
            if missing > 0:
                heights[cell.row + cell.rows - 1] += missing
        return heights

    def _content_height(self, cell: _Cell) -> float:
        """What the cell's content needs, with its padding and the lines about it."""
        top, right, bottom, left = cell.style.padding_mm
        above, beside, below, _ = self._rules_mm(cell)
        width = sum(self.widths[cell.column : cell.column + cell.columns]) - left - right - 2 * beside
        room = max(0.0, width)
        needed = max((self._needed(child, cell.style, room) for child in cell.element.children), default=0.0)
        return needed + top + bottom + above + below if needed else 0.0

    def _needed(self, element: Element, above: Style, width: float) -> float:
        """Millimetres down to the foot of an element in a cell."""
        data, grid = self.composer.data, self.composer.grid
        if element.tag == "line":
            return max(element.length(name, data) or 0.0 for name in ("startY", "endY"))
        top = element.length("top", data) or 0.0
        height = element.length("height", data)
        if height is not None:
            return top + height
        style = element.styled(data, above)
        left = element.length("left", data) or 0.0
        own = element.length("width", data)
        room = max(0.0, width - left) if own is None else own
        if element.tag == "layout":
            inner = [self._needed(child, style, room) for child in element.children]
            return top + max(inner, default=0.0)
        if element.tag == "table":
            return top + sum(Table(element, style, Area(0, 0, room, 0), self.composer).heights)
        if element.tag != "text" or style.font_size_pt is None:
            return 0.0
        value = texts.clean(element.fill(element.content, data))
        if not value.strip():
            return 0.0
        setter = setter_for(style, grid, max(1, grid.dots(room)), 10**6, strict=False)
        size = grid.size(style.font_size_pt)
        return top + (setter.fit(value, size, size).height + 1) / grid.scale

    def _rules_mm(self, cell: _Cell) -> Sides:
        """What the lines about a cell take of it, each lying half on either side of the edge."""
        across, down = self._pair(cell)[0]
        above = across
        if self.grid.has_header and cell.row:
            # On a further page any row can come below the header.
            above = max(across, (self.style.header_border_pt or self.style.cell_border_pt)[0])
        half = MM_PER_PT / 2
        return above * half, down * half, across * half, down * half

    def _pair(self, cell: _Cell) -> tuple[tuple[float, float], tuple[Stroke, Stroke]]:
        """Widths in pt and strokes of the horizontal and vertical lines about a cell."""
        style = self.style
        if cell.element.tag == "th":
            return (
                style.header_border_pt or style.cell_border_pt,
                style.header_border_strokes or style.cell_border_strokes,
            )
        return style.cell_border_pt, style.cell_border_strokes

    # ── breaking ──

    def _groups(self) -> list[tuple[int, int]]:
        """The stretches of rows that stay together: first row, and the one after the last."""
        ends = list(range(1, self.grid.rows + 1))
        for cell in self.grid.cells:
            ends[cell.row] = max(ends[cell.row], cell.row + cell.rows)
        groups: list[tuple[int, int]] = []
        first, end = 0, 0
        for row in range(self.grid.rows):
            end = max(end, ends[row])
            if row + 1 == end:
                groups.append((first, end))
                first = end
        return groups

    def draw(self) -> None:
        """All rows, on as many pages as they take; tells the composer where the table ended."""
        composer = self.composer
        splits = composer.splits
        header = [0] if self.grid.has_header else []
        top, room_end = self.place.top, composer.bottom_mm
        rows: list[int] = []
        at = top
        for first, end in self._groups():
            group = list(range(first, end))
            high = sum(self.heights[row] for row in group)
            if splits and rows and at + high > room_end + _EXACT_MM:
                self._rows(rows, top)
                composer.next_page(self.element)
                top = at = composer.top_mm
                rows = [*header]
                at += sum(self.heights[row] for row in header)
            if splits and at + high > room_end + _EXACT_MM:
                if rows or at > composer.top_mm + _EXACT_MM:
                    fresh = composer.top_mm + sum(self.heights[row] for row in header if first)
                    if fresh + high <= room_end + _EXACT_MM:
                        composer.next_page(self.element)
                        top = at = composer.top_mm
                if at + high > room_end + _EXACT_MM:
                    line = self.element.children[first]
                    missing = composer.grid.missing_mm((at + high - room_end) * composer.grid.scale)
                    line.fail(
                        f"the row is higher than a page, {missing} mm are missing",
                        code="label.row_too_high",
                        missing_mm=missing,
                    )
            rows += group
            at += high
        if rows:
            self._rows(rows, top)
        composer.end = (composer.page, at)

    # ── drawing ──

    def _rows(self, rows: list[int], top: float) -> None:
        """Some rows, one below the other, on the page at hand."""
        composer = self.composer
        xs = [self.place.left]
        for width in self.widths:
            xs.append(xs[-1] + width)
        tops: dict[int, float] = {}
        at = top
        for row in rows:
            tops[row] = at
            at += self.heights[row]
        ends = {row: tops[row] + self.heights[row] for row in rows}
        whole = Area(xs[0], top, xs[-1] - xs[0], at - top)
        composer.still(self.element, composer.backdrop(self.element, self.style, composer.grid.box(whole)))
        shown = [cell for cell in self.grid.cells if cell.row in tops]
        areas = [
            Area(
                xs[cell.column],
                tops[cell.row],
                xs[cell.column + cell.columns] - xs[cell.column],
                ends[cell.row + cell.rows - 1] - tops[cell.row],
            )
            for cell in shown
        ]
        for cell, area in zip(shown, areas, strict=True):
            ground = composer.backdrop(cell.element, cell.style, composer.grid.box(area))
            composer.still(cell.element, ground)
        for cell, area in zip(shown, areas, strict=True):
            inner = area.inset(self._rules_mm(cell)).inset(cell.style.padding_mm)
            composer.children(cell.element, cell.element.children, cell.style, inner, vertical=False)
        boxes = [composer.grid.box(area) for area in areas]
        composer.still(self.element, self._lines(shown, boxes))

    def _lines(self, cells: list[_Cell], boxes: list[Box]) -> list[Mark]:
        """The lines about cells, each drawn once and as long as it can be; of two the thicker one."""
        sides: dict[tuple[bool, int, int, int], _Rule] = {}
        for cell, box in zip(cells, boxes, strict=True):
            widths, strokes = self._pair(cell)
            high, wide = (self.composer.grid.thickness(width) for width in widths)
            across, down = _Rule(high, strokes[0], wide), _Rule(wide, strokes[1], high)
            for key, rule in (
                ((True, box.top, box.left, box.right), across),
                ((True, box.bottom, box.left, box.right), across),
                ((False, box.left, box.top, box.bottom), down),
                ((False, box.right, box.top, box.bottom), down),
            ):
                if rule.thick and (key not in sides or rule.thick > sides[key].thick):
                    sides[key] = rule
        marks: list[Mark] = []
        pending: tuple[bool, int, int, int, _Rule] | None = None
        for (level, at, begin, end), rule in sorted(sides.items(), key=lambda side: side[0]):
            if (
                pending
                and pending[0] == level
                and pending[1] == at
                and begin <= pending[3]
                and pending[4] == rule
            ):
                pending = (level, at, pending[2], max(end, pending[3]), rule)
                continue
            marks += self._stroke(pending)
            pending = (level, at, begin, end, rule)
        marks += self._stroke(pending)
        return marks

    def _stroke(self, side: tuple[bool, int, int, int, _Rule] | None) -> list[Mark]:
        if side is None:
            return []
        level, at, begin, end, rule = side
        begin, end = begin - rule.ends // 2, end + rule.ends - rule.ends // 2
        ends = (begin, at, end, at) if level else (at, begin, at, end)
        pencil = self.composer.pencil
        return list(pencil.line(*ends, rule.thick, rule.stroke, self.element.source))
