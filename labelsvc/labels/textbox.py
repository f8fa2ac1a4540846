"""A text in its box: fitted, shrunk, cut or refused, aligned, turned, and made into marks.

Hides what may be done to a text that doesn't fit. With our own attributes (``required``, ``minFontSize``, ``more``) it wraps,
then shrinks to the set minimum, then loses its end to an ellipsis, with a warning; a required one is refused instead. A
foreign text is drawn as written, and warned of.

A text in vertical orientation runs down in columns from right to left; its characters stand upright but for brackets
and dashes, which are turned.
"""

from __future__ import annotations

import re
from dataclasses import replace

from labelsvc.labels import text as texts
from labelsvc.labels.boxes import Box, Grid, turned
from labelsvc.labels.cnpl import Style, points
from labelsvc.labels.element import Element, Value
from labelsvc.labels.page import Mark, Rotation, Run, TextMark
from labelsvc.labels.plan import Piece, Sheet

#: The smallest text that can be read at 203 dpi, in pt; what ``fontSize:auto`` stops at.
SMALLEST_PT = 5.0
#: Below this size normal strokes are light ones: dense characters clog at 500, and lose strokes at 400 on a worn head above.
DENSE_MM = 2.5
#: A text's line box may stick out of its own box by this share of the size where descenders aren't counted (foreign texts).
_AIR = 0.4

_new = tuple.__new__
_SPACES = re.compile(" +")
_TURNED = frozenset("（）()［］[]【】〔〕｛｝{}《》〈〉<>「」『』“”‘’—–-…～~｜|")


def weigher(style: Style, grid: Grid) -> tuple[int, int, int]:
    """The weight of small text, that of large text, and from how many dots on a text is large."""
    if style.weight == "bold":
        return 700, 700, 1
    if style.weight == "light":
        return 400, 400, 1
    return 400, 500, max(1, round(DENSE_MM * grid.scale + 0.499999))


def setter_for(
    style: Style, grid: Grid, width: int, height: int, *, strict: bool, wrap: bool | None = None
) -> texts.Setter:
    """How texts of a style are set in a box."""
    small, large, from_size = weigher(style, grid)
    amount, unit = style.letter_spacing
    spaced = grid.dots(amount) if unit != "em" else 0

    def spacing(size: int) -> int:
        return round(amount * size) if unit == "em" else spaced

    return texts.Setter(
        max(0, width),
        max(0, height),
        wrap=style.wrap if wrap is None else wrap,
        line_share=style.line_height,
        weight=lambda size: large if size >= from_size else small,
        spacing=spacing,
        strict=strict,
        direction=style.direction,
    )


class TextPiece(Piece):
    """A text whose box and style are known.

    ``backdrop`` are marks that are drawn before it, and left out with it where it hides when it has nothing to say.
    """

    is_text = True

    def __init__(
        self,
        element: Element,
        style: Style,
        box: Box,
        grid: Grid,
        paper: Box,
        value: Value,
        backdrop: tuple[Mark, ...] = (),
    ) -> None:
        self.element = element
        self.value = value
        self.source = element.source
        self.box = box
        self.grid = grid
        self.paper = paper
        self.backdrop = backdrop
        self.style = style
        self.rotation: Rotation = style.quarter or 0
        sideways = self.rotation in {90, 270}
        self.width, self.height = (box.height, box.width) if sideways else (box.width, box.height)
        self.trims, self.hides = element.wants("trim"), element.wants("hideEmpty")
        self.required = element.wants("required")
        self.more = element.own.get("more", "")
        self.joint = element.own.get("joint", "\n")
        self.ours = self.required or bool(self.more) or "minFontSize" in element.own
        self.setter = setter_for(style, grid, self.width, self.height, strict=self.ours)
        self.white = style.white_text
        self._underline, self._italic = style.underline, style.italic
        self._metrics: dict[int, tuple[int, int, int]] = {}
        self._sizes()
        # A box that can't hold a line is overrun by any text.
        self.is_safe = paper.holds(box) and self.height >= texts.line_height(self.least)
        air = 0 if self.ours else round(_AIR * (self.size or self.height))
        self.reach = (box.grown(air),)
        align = style.align
        if style.direction == "rtl" and "align" not in element.style:
            align = "right"
        self._slack = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
        self._drop = {"top": 0.0, "middle": 0.5, "bottom": 1.0}[style.valign]
        self._last: tuple[str, tuple[Mark, ...]] = ("", ())
        self.is_quick = (
            self.is_safe
            and self.size > 0
            and not self.rotation
            and self.joint == "\n"
            and style.orientation == "horizontal"
        )

    def _sizes(self) -> None:
        own_least = self.element.own.get("minFontSize")
        if self.style.font_size_pt is None:
            if (
                self.width <= 0
                or self.height <= 0
                or not {"width", "height"} <= self.element.attributes.keys()
            ):
                self.element.fail("fontSize:auto needs width and height")
            self.size = 0
            least_pt = points(own_least) if own_least else SMALLEST_PT
            self.least = self.grid.size(least_pt)
            return
        self.size = self.grid.size(self.style.font_size_pt)
        least_pt = points(own_least) if own_least else self.style.font_size_pt
        self.least = min(self.size, self.grid.size(least_pt))

    def draw(self, sheet: Sheet, value: str) -> None:
        """The lines of the text; nothing for white space."""
        last, marks = self._last
        if value == last:
            sheet.marks += marks
            return
        begun, said, given = len(sheet.marks), sheet.said, value
        if self.trims:
            if "  " in value:
                value = _SPACES.sub(" ", value)
            value = value.strip()
        if self.is_quick and value and not value.isspace():
            sheet.marks += self.backdrop
            fitted = self.setter.fit(value, self.size, self.least)
            size, weight, spacing, _, lines, over_width, over_height = fitted
            text, runs, wide, missing = lines[0]
            if len(lines) == 1 and not (over_width or over_height or missing):
                # What an upright text of a given size mostly is: one line.
                mark = self._mark(size, weight, spacing, text, runs, wide)
                sheet.marks.append(mark)
                self._last = given, (*self.backdrop, mark)
                return
            if over_width or over_height:
                fitted = self._unfit(sheet, value, fitted)
            self.put(sheet, fitted)
        else:
            self._set(sheet, value)
        if sheet.said == said:
            # In a batch many texts are those of the label before: the sender's, the carrier's, the date.
            self._last = given, tuple(sheet.marks[begun:])

    def _mark(
        self, size: int, weight: int, spacing: int, text: str, runs: tuple[Run, ...], wide: int
    ) -> TextMark:
        """The only line of an upright text."""
        high, baseline, top = self._metrics.get(size) or self._metrics_of(size)
        left, slack = self.box[0], self._slack
        if slack:
            left += self.width - wide if slack == 1 else (self.width - wide) // 2
        # Without the constructor, which takes as long as all else here.
        return _new(TextMark, (
            left, self.box[1] + top, wide, high, size, baseline, text, runs, weight, 0, self.white,
            spacing, self._underline, "", self.source, self._italic,
        ))  # fmt: skip

    def _set(self, sheet: Sheet, value: str) -> None:
        items = value
        if self.joint != "\n":
            items = self.joint.join(self._items(value))
        if value.strip() or not self.hides:
            sheet.marks += self.backdrop
        if not value or value.isspace():
            return
        if self.style.orientation == "vertical":
            self._columns(sheet, items)
            return
        fitted = self.fitted(items)
        if fitted.over_width or fitted.over_height:
            fitted = self._unfit(sheet, value, fitted)
        self.put(sheet, fitted)

    def fitted(self, value: str) -> texts.Fitted:
        """The text at the size that it gets, fitting or not."""
        return (
            self.setter.fit(value, self.size, self.least)
            if self.size
            else self.setter.fit_largest(value, self.least)
        )

    def _unfit(self, sheet: Sheet, value: str, fitted: texts.Fitted) -> texts.Fitted:
        if self.required:
            over = fitted.over_height or fitted.over_width
            side = "height" if fitted.over_height else "width"
            missing = self.grid.missing_mm(over)
            self.element.fail(
                f"the text doesn't fit, {missing} mm of {side} are missing",
                code="label.does_not_fit",
                missing_mm=missing,
            )
        if self.more and len(items := self._items(value)) > 1:
            return self._and_more(items, fitted.size)
        sheet.warn("text.overflow", "The text doesn't fit its box", self.source)
        if self.ours:
            return self.setter.cut(value, fitted.size)
        if self.style.hidden_overflow:
            return self.setter.cut(value, fitted.size, end="")
        sheet.loose = True
        return fitted

    def _and_more(self, items: list[str], size: int) -> texts.Fitted:
        """As many of a list's items as fit, and how many more there are."""

        def more(shown: int) -> str:
            return " " + self.more.replace("%d", str(len(items) - shown))

        best, low, high = None, 1, len(items) - 1
        while low <= high:
            shown = (low + high) // 2
            tried = self.setter.fit(self.joint.join(items[:shown]) + more(shown), size, size)
            if tried.fits:
                best, low = tried, shown + 1
            else:
                high = shown - 1
        # Not even the first one fits whole: its end makes room for the number of the others.
        return best or self.setter.cut(items[0], size, end=texts.ELLIPSIS + more(1))

    @staticmethod
    def _items(value: str) -> list[str]:
        return [line.strip() for line in value.split("\n") if line.strip()]

    def put(self, sheet: Sheet, fitted: texts.Fitted) -> None:
        """The marks of fitted lines."""
        size, weight, spacing, pitch, lines, over_width, over_height = fitted
        high, baseline, top = self._metrics_of(size)
        if len(lines) > 1:
            top = self._top(size, pitch * (len(lines) - 1) + high, high)
        slack, box, rotation = self._slack, self.box, self.rotation
        is_safe = self.is_safe and not over_width and not over_height
        for text, runs, wide, missing in lines:
            if text and not text.isspace():
                left = 0
                if slack:
                    left = self.width - wide if slack == 1 else (self.width - wide) // 2
                if rotation:
                    x, y, on_x, on_y = turned(rotation, (left, top, wide, high), self.width, self.height)
                    x, y = box[0] + x, box[1] + y
                else:
                    x, y, on_x, on_y = box[0] + left, box[1] + top, wide, high
                if not is_safe:
                    x, y = self._on_paper(sheet, x, y, on_x, on_y)
                    if x >= self.paper.right or y >= self.paper.bottom:
                        top += pitch
                        continue
                if missing:
                    self._report(sheet, missing)
                sheet.marks.append(
                    _new(TextMark, (
                        x, y, on_x, on_y, size, baseline, text, runs, weight, rotation, self.white, spacing,
                        self._underline, missing, self.source, self._italic,
                    ))
                )  # fmt: skip
            top += pitch

    def _metrics_of(self, size: int) -> tuple[int, int, int]:
        """Of a size: the height of a line box, where its baseline is, and how far down a single line stands."""
        found = self._metrics.get(size)
        if found is None:
            high = texts.line_height(size)
            found = self._metrics[size] = (high, texts.baseline(size), self._top(size, high, high))
        return found

    def _top(self, size: int, whole: int, high: int) -> int:
        """How far down lines stand that are ``whole`` dots high together."""
        top = 0
        if self._drop == 0.5:
            # The em box, not the line box, is centred: Chinese characters fill it evenly.
            top = (self.height - whole + high - size) // 2
        elif self._drop:
            top = self.height - whole
        return max(0, min(top, self.height - whole)) if self.ours else top

    def _on_paper(self, sheet: Sheet, x: int, y: int, wide: int, high: int) -> tuple[int, int]:
        paper = self.paper
        if not paper.holds(Box(x, y, x + wide, y + high)):
            sheet.warn("mark.off_page", "The text leaves the page", self.source)
            if x + wide <= paper.left or y + high <= paper.top:
                return paper.right, paper.bottom  # nothing to be seen of it
            # No language can begin left of or above the page.
            x, y = max(paper.left, x), max(paper.top, y)
        return x, y

    def _report(self, sheet: Sheet, missing: str) -> None:
        codes = " ".join(f"U+{ord(char):04X}" for char in missing)
        sheet.warn("glyph.missing", f"No font has {codes}", self.source)

    # ── from top to bottom ──

    def _columns(self, sheet: Sheet, value: str) -> None:
        """The text in columns from right to left, as large as allowed and no larger than fits."""
        size, most = self.least, self.size or max(self.least, min(self.width, self.height))
        while size < most:
            middle = (size + most + 1) // 2
            if self._has_room(value, middle):
                size = middle
            else:
                most = middle - 1
        spacing, pitch = self.setter.spacing(size), max(1, round(size * self.style.line_height))
        columns = self._broken(value, size, spacing)
        if not self._has_room(value, size):
            if self.required:
                missing = self.grid.missing_mm(max(1, pitch * (len(columns) - 1) + size - self.width))
                self.element.fail(
                    f"the text doesn't fit, {missing} mm of width are missing",
                    code="label.does_not_fit",
                    missing_mm=missing,
                )
            sheet.warn("text.overflow", "The text doesn't fit its box", self.source)
            if self.ours or self.style.hidden_overflow:
                columns = self._cut(columns, size, spacing, pitch)
            sheet.loose = True
        whole = pitch * (len(columns) - 1) + size
        # align says where the columns stand in the box, valign where the characters stand in a column.
        slack = self.width - whole
        right = self.width - {"left": slack, "center": slack // 2, "right": 0}[self.style.align]
        upright = replace(
            self.style, orientation="horizontal", align="center", valign="top", letter_spacing=(0.0, "mm")
        )
        for number, column in enumerate(columns):
            length = len(column) * (size + spacing) - spacing
            down = {"top": 0, "middle": (self.height - length) // 2, "bottom": self.height - length}[
                self.style.valign
            ]
            left = right - number * pitch - size
            for at, char in enumerate(column):
                if char.isspace():
                    continue
                self._one(sheet, char, upright, left, down + at * (size + spacing), size)

    def _one(self, sheet: Sheet, char: str, style: Style, left: int, top: int, size: int) -> None:
        x, y, wide, high = turned(self.rotation, (left, top, size, size), self.width, self.height)
        cell = Box(self.box.left + x, self.box.top + y, self.box.left + x + wide, self.box.top + y + high)
        turn = (self.rotation + (90 if char in _TURNED else 0)) % 360
        one = TextPiece(
            self.element, replace(style, rotation=float(turn)), cell, self.grid, self.paper, (char,)
        )
        one.is_safe = False
        one.put(
            sheet,
            texts.Setter(
                size,
                size,
                wrap=False,
                line_share=1.0,
                weight=self.setter.weight,
                spacing=lambda _: 0,
                strict=False,
            ).fit(char, size, size),
        )

    def _has_room(self, value: str, size: int) -> bool:
        spacing, pitch = self.setter.spacing(size), max(1, round(size * self.style.line_height))
        columns = self._broken(value, size, spacing)
        longest = max(len(column) for column in columns) * (size + spacing) - spacing
        return pitch * (len(columns) - 1) + size <= self.width and longest <= self.height

    def _broken(self, value: str, size: int, spacing: int) -> list[str]:
        room = max(1, (self.height + spacing) // max(1, size + spacing))
        columns: list[str] = []
        for line in value[: texts.LONGEST].split("\n"):
            if self.style.wrap:
                columns += [line[at : at + room] for at in range(0, max(1, len(line)), room)]
            else:
                columns.append(line)
        return columns

    def _cut(self, columns: list[str], size: int, spacing: int, pitch: int) -> list[str]:
        room = max(1, (self.height + spacing) // max(1, size + spacing))
        kept = [column[:room] for column in columns[: max(1, 1 + (self.width - size) // pitch)]]
        if self.ours and (len(kept) < len(columns) or len(columns[len(kept) - 1]) > room):
            kept[-1] = kept[-1][: room - 1] + texts.ELLIPSIS
        return kept
