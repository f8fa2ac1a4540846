"""A barcode in its box: modules of whole dots, quiet zones, the line that people read.

Hides how large a module may be and what happens where the box is too small. A required barcode keeps the narrowest module
that scanners read, and its quiet zones inside its box, or the label is refused with the missing millimetres. A foreign one
is drawn as large as whole dots allow, first at the cost of its quiet zones (they then lie outside the box, where something
else may stand), with warnings; it is refused only if not even one dot a module fits.

Cells are always square: ``ratioMode:ignoreRatio`` stretches bars to the box's height and rows of stacked symbols, never
cells, for a stretched cell is read worse and no box asks for it that wouldn't be filled better by a larger module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from labelsvc.errors import Invalid
from labelsvc.labels import symbols
from labelsvc.labels import text as texts
from labelsvc.labels.boxes import Box, Grid, turned
from labelsvc.labels.cnpl import Style
from labelsvc.labels.element import Element, Value
from labelsvc.labels.page import BarMark, ImageMark, MatrixMark, Rotation
from labelsvc.labels.plan import Piece, Sheet
from labelsvc.labels.textbox import SMALLEST_PT, TextPiece, setter_for
from labelsvc.labels.turning import quarter_turned

#: Between the bars and the line that people read.
READABLE_GAP_MM = 0.4
READABLE_PT = 8.0
NARROW = "The modules are narrower than scanners are sure to read"


class BarcodePiece(Piece):
    """A barcode whose box and style are known; ``options`` are what its type takes beside the data."""

    is_symbol = True
    raw = True

    def __init__(
        self,
        element: Element,
        style: Style,
        box: Box,
        grid: Grid,
        paper: Box,
        value: Value,
        kind: str,
        options: Mapping[str, Any],
        *,
        stretch: bool = True,
    ) -> None:
        self.element = element
        self.value = value
        self.source = element.source
        self.box = box
        self.grid = grid
        self.kind = symbols.KINDS[kind]
        self.options = options
        self.stretch = stretch
        self.required = element.wants("required")
        self.rotation: Rotation = style.quarter or 0
        sideways = self.rotation in {90, 270}
        self.width, self.height = (box.height, box.width) if sideways else (box.width, box.height)
        self.smallest = max(1, round(self.kind.smallest_mm * grid.scale))
        self.quiet = max(self.kind.quiet_left, self.kind.quiet_right)
        self.reach = (box,)
        if not paper.holds(box) or box.width <= 0 or box.height <= 0:
            element.fail("the barcode leaves the page or has no size", code="label.off_page")
        self.readable: TextPiece | None = None
        self.below = 0
        if not style.hide_text and self.kind.family == "bars":
            self._make_room_to_read(style, paper)

    def _make_room_to_read(self, style: Style, paper: Box) -> None:
        """The strip below the bars, on the side where their foot is."""
        size = self.grid.size(style.font_size_pt or READABLE_PT)
        high = texts.line_height(size)
        self.below = high + self.grid.dots(READABLE_GAP_MM)
        left, top, right, bottom = self.box
        match self.rotation:
            case 0:
                strip = Box(left, bottom - high, right, bottom)
            case 90:
                strip = Box(left, top, left + high, bottom)
            case 180:
                strip = Box(left, top, right, top + high)
            case _:
                strip = Box(right - high, top, right, bottom)
        line = replace(
            style, align="center", valign="top", wrap=False, white_text=False, underline=False,
            line_height=1.0, orientation="horizontal", font_size_pt=style.font_size_pt or READABLE_PT,
        )  # fmt: skip
        self.readable = TextPiece(self.element, line, strip, self.grid, paper, ())
        setter = setter_for(line, self.grid, self.readable.width, high, strict=True, wrap=False)
        # The strokes of digits don't clog: medium at any size.
        weight = 700 if style.weight == "bold" else 500
        self.readable.setter = replace(setter, weight=lambda _: weight)
        self.readable.least = min(size, self.grid.size(SMALLEST_PT))
        self.readable.is_safe = paper.holds(strip)

    def draw(self, sheet: Sheet, value: str) -> None:
        """The symbol and its line."""
        if not value and not self.required and self.element.wants("hideEmpty"):
            return
        if not value:
            if self.required:
                raise Invalid(
                    f"{self.source}: the barcode has no data",
                    code="barcode.empty",
                    line=self.element.line,
                    element=self.element.own.get("name", "barcode"),
                )
            sheet.warn("barcode.empty", "The barcode has no data and was left out", self.source)
            return
        typed = value.replace(symbols.GS1_SEPARATOR, "") if self.kind.gs1 else value
        if not (typed.isascii() and typed.isprintable()) and texts.clean(typed).replace("\n", " ") != typed:
            # A scanner types what it reads: control characters would press keys.
            raise unfit(self.element, "the data holds a control character", "barcode.data")
        try:
            symbol = symbols.encode(self.kind.name, value, **self.options)
        except Invalid as error:
            raise unfit(self.element, error.detail, error.code, **error.facts) from error
        if isinstance(symbol, symbols.Bars):
            self._bars(sheet, symbol)
        elif isinstance(symbol, symbols.Matrix):
            self._cells(sheet, symbol)
        else:
            self._picture(sheet, symbol)

    def _too_small(self, missing_dots: float) -> NoReturn:
        missing = self.grid.missing_mm(missing_dots)
        raise unfit(
            self.element,
            f"the barcode doesn't fit, {missing} mm are missing",
            "barcode.does_not_fit",
            missing_mm=missing,
        )

    def _module(self, sheet: Sheet, across: int, down: int = 0) -> int:
        """Dots a module for a symbol of so many modules: as many whole ones as the box allows."""
        around = self.kind.quiet_around
        room = self.width // (across + 2 * self.quiet)
        if down:
            room = min(room, self.height // (down + 2 * around))
        if room >= self.smallest:
            return room
        if self.required:
            self._too_small(
                max(
                    (across + 2 * self.quiet) * self.smallest - self.width,
                    (down + 2 * around) * self.smallest - self.height if down else 0,
                )
            )
        room = self.width // across
        if down:
            room = min(room, self.height // down)
        if room < 1:
            self._too_small(max(across - self.width, down - self.height))
        sheet.loose = True  # the quiet zones lie outside the box
        if room < self.smallest:
            sheet.warn("barcode.narrow", NARROW, self.source)
        return room

    def _fixed(self, sheet: Sheet, module: int, across: int, down: int) -> int:
        """The module that a standard fixes; in a foreign template one that fits."""
        around = self.kind.quiet_around
        over = max(
            (across + 2 * self.quiet) * module - self.width, (down + 2 * around) * module - self.height
        )
        if over <= 0:
            return module
        smaller = min(module, self.width // across, self.height // down)
        if self.required or smaller < 1:
            self._too_small(over)
        sheet.loose = True  # the quiet zones lie outside the box
        if smaller < module:
            sheet.warn("barcode.narrow", NARROW, self.source)
        return smaller

    def _bars(self, sheet: Sheet, symbol: symbols.Bars) -> None:
        module = self._module(sheet, symbol.modules)
        length = symbol.modules * module
        bars = self.height - self.below
        if bars <= 0:
            missing = self.grid.missing_mm(1 - bars)
            raise unfit(
                self.element, "no height is left for the bars", "barcode.does_not_fit", missing_mm=missing
            )
        if bars < self.kind.bar_height_share * length:
            sheet.warn("barcode.low", "The bars are lower than 15 % of the barcode's length", self.source)
        box = self.box
        local = ((self.width - length) // 2, 0, length, bars)
        x, y, wide, high = turned(self.rotation, local, self.width, self.height) if self.rotation else local
        sheet.marks.append(
            BarMark(
                box.left + x, box.top + y, wide, high, module, self.quiet * module, symbol.kind, symbol.data,
                symbol.widths, symbol.plan, self.rotation, self.source,
            )
        )  # fmt: skip
        if self.readable:
            self._read_line(sheet, self.readable, symbol.readable or symbol.data)

    def _read_line(self, sheet: Sheet, line: TextPiece, value: str) -> None:
        fitted = line.fitted(value)
        if not fitted.fits and self.required:
            missing = self.grid.missing_mm(fitted.over_width or fitted.over_height)
            raise unfit(
                self.element,
                "the number below the bars doesn't fit",
                "barcode.does_not_fit",
                missing_mm=missing,
            )
        if not fitted.fits:
            sheet.warn("text.overflow", "The text doesn't fit its box", self.source)
            sheet.loose = True
        line.put(sheet, fitted)

    def _cells(self, sheet: Sheet, symbol: symbols.Matrix) -> None:
        row_dots: tuple[int, ...] = ()
        if self.kind.fixed_mm:
            module = max(1, round(self.kind.fixed_mm * self.grid.scale))
            module = self._fixed(sheet, module, symbol.columns, symbol.height)
        else:
            module = self._module(sheet, symbol.columns, symbol.height)
        if symbol.row_shares:
            around = 2 * self.kind.quiet_around * module
            stretch = 1
            if self.stretch and not self.kind.fixed_mm:
                stretch = max(1, (self.height - around) // (symbol.height * module))
            row_dots = tuple(share * module * stretch for share in symbol.row_shares)
        length, height = symbol.columns * module, sum(row_dots) or symbol.lines * module
        local = ((self.width - length) // 2, (self.height - height) // 2, length, height)
        x, y, wide, high = turned(self.rotation, local, self.width, self.height) if self.rotation else local
        sheet.marks.append(
            MatrixMark(
                self.box.left + x, self.box.top + y, wide, high, module, self.quiet * module, symbol.kind,
                symbol.data, symbol.rows, symbol.level, self.rotation, self.source, row_dots,
            )
        )  # fmt: skip

    def _picture(self, sheet: Sheet, symbol: symbols.Picture) -> None:
        """MaxiCode, which has one size; in a foreign template as large as fits."""
        scale, quiet_mm = self.grid.scale, self.quiet * self.kind.fixed_mm
        over = max(
            (symbol.width_mm + 2 * quiet_mm) * scale - self.width,
            (symbol.height_mm + 2 * quiet_mm) * scale - self.height,
        )
        room = min(self.width / scale / symbol.width_mm, self.height / scale / symbol.height_mm, 1.0)
        if over >= 1:
            if self.required or room <= 0:
                self._too_small(over)
            sheet.loose = True
            if room < 1:
                sheet.warn("barcode.narrow", NARROW, self.source)
        width, height, bits = symbol.bits(scale * room)
        x = self.box.left + (self.width - width) // 2
        y = self.box.top + (self.height - height) // 2
        quiet = int(quiet_mm * scale)
        mark = ImageMark(x, y, width, height, bits, self.source, symbol.kind, symbol.data, quiet)
        sheet.marks.append(quarter_turned(mark, self.rotation, self.box) if self.rotation else mark)


def unfit(element: Element, reason: str, code: str, **facts: Any) -> Invalid:
    """The error of a barcode that can't be drawn; it names line and element, never the data."""
    name = element.own.get("name", "barcode")
    return Invalid(
        f"Line {element.line}, {name}: {reason}", code=code, line=element.line, element=name, **facts
    )
