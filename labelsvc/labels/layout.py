"""A template and data become a Page: every length turned into whole dots once, every mark placed.

Hides how boxes nest, how text and symbols are fitted, and what is refused: a barcode that can't keep whole dots and its
quiet zones, and a required text that doesn't fit, are errors that say how many millimetres are missing. What is merely
bad (an overflow, a character that no font has) is drawn and comes as a warning of the page.

Decisions where CNPL leaves a choice: edges are rounded to dots, not lengths, so that neighbours meet; ``width`` and
``height`` of a rotated element are its box on the page; text wraps unless ``wrap:false``; ``lineHeight`` is 120 %.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labelsvc.errors import Invalid
from labelsvc.labels import symbols
from labelsvc.labels import text as texts
from labelsvc.labels.fonts import ASCENT
from labelsvc.labels.page import (
    DOTS_PER_MM,
    BarMark,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    PageWarning,
    RectMark,
    Rotation,
    TextMark,
)
from labelsvc.labels.template import MM_PER_PT, Element, LabelData, Stroke, Style, Template, points

#: Narrowest modules that scanners read from thermal paper, in mm, as whole dots: 2, 3 and 6 (Code 128), 3, 4 and 9 (QR)
#: at 203, 300 and 600 dpi.
CODE128_MODULE_MM = 0.25
QRCODE_MODULE_MM = 0.375
#: Bars lower than this share of the symbol's length are hard to hit with a hand scanner.
BAR_HEIGHT_SHARE = 0.15
#: The most a picture inside a template may unfold to.
MAX_IMAGE_PIXELS = 4_000_000
#: The smallest text that can be read at 203 dpi, in pt; what ``fontSize:auto`` stops at.
SMALLEST_PT = 5.0

_CODE_SETS: Mapping[str, Literal["A", "B"]] = {"code128a": "A", "code128b": "B"}
_DATA_URL = re.compile(r"data:image/(?:png|jpeg|jpg);base64,([A-Za-z0-9+/=\s]+)", re.ASCII)


@dataclass(frozen=True)
class Area:
    """A box in mm on the page."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Box:
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


def compose(template: Template, data: Mapping[str, Any], dpi: int = 203) -> Page:
    """The page of a template filled with data, for a head of 203, 300 or 600 dpi.

    Raises TemplateError (``line``, ``element``; code ``label.does_not_fit`` with ``missing_mm`` for required text) and
    Invalid (codes ``barcode.does_not_fit`` with ``missing_mm``, ``barcode.data``, ``barcode.empty``).
    """
    if dpi not in DOTS_PER_MM:
        raise Invalid("The resolution must be 203, 300 or 600 dpi", field="dpi")
    return _Composer(template, template.bind(data), dpi).page()


class _Composer:
    """One composing of one page."""

    def __init__(self, template: Template, data: LabelData, dpi: int) -> None:
        self.template = template
        self.data = data
        self.dpi = dpi
        self.scale = DOTS_PER_MM[dpi]
        self.marks: list[Mark] = []
        self.warnings: dict[PageWarning, None] = {}
        self.paper = Box(0, 0, self.dots(template.width_mm), self.dots(template.height_mm))

    def page(self) -> Page:
        area = Area(0, 0, self.template.width_mm, self.template.height_mm)
        root = self.data.root
        self.children(root, area, vertical=False, style=root.styled(self.data))
        self.look_for_crowding()
        return Page(self.paper.right, self.paper.bottom, self.dpi, tuple(self.marks), tuple(self.warnings))

    # ── measures ──

    def dots(self, mm: float) -> int:
        return math.floor(mm * self.scale + 0.5)

    def thickness(self, width_pt: float) -> int:
        return max(1, self.dots(width_pt * MM_PER_PT)) if width_pt > 0 else 0

    def box(self, area: Area) -> Box:
        return Box(
            self.dots(area.left),
            self.dots(area.top),
            self.dots(area.left + area.width),
            self.dots(area.top + area.height),
        )

    def warn(self, code: str, detail: str, element: Element) -> None:
        self.warnings[PageWarning(code, detail, element.source)] = None

    def millimetres(self, dots: float) -> float:
        """Missing dots in mm, rounded up to a tenth, for people."""
        return math.ceil(round(dots / self.scale * 10, 6)) / 10

    # ── boxes in boxes ──

    def children(self, parent: Element, area: Area, vertical: bool, style: Style) -> None:
        placed = self.place(parent.children, area, vertical)
        # Only a layout has a zIndex; the sort is stable, so equals stay in the template's order.
        for element, inner in sorted(placed, key=lambda pair: self.depth(pair[0])):
            self.draw(element, inner, style)

    def depth(self, element: Element) -> int:
        return element.styled(self.data).z_index if element.tag == "layout" else 0

    def place(self, elements: Sequence[Element], area: Area, vertical: bool) -> list[tuple[Element, Area]]:
        """Each child's area on the page. Children without left and top share their parent's in proportion."""
        floating = [
            element
            for element in elements
            if element.tag != "line" and not {"left", "top"} & element.attributes.keys()
        ]
        shares = self.shares(floating, area, vertical)
        placed: list[tuple[Element, Area]] = []
        for element in elements:
            if element in shares:
                placed.append((element, shares[element]))
                continue
            left = element.length("left", self.data) or 0.0 if element.tag != "line" else 0.0
            top = element.length("top", self.data) or 0.0 if element.tag != "line" else 0.0
            width = height = None
            if element.tag != "line":
                width, height = element.length("width", self.data), element.length("height", self.data)
            placed.append(
                (
                    element,
                    Area(
                        area.left + left,
                        area.top + top,
                        max(0.0, area.width - left) if width is None else width,
                        max(0.0, area.height - top) if height is None else height,
                    ),
                )
            )
        return placed

    def shares(self, floating: Sequence[Element], area: Area, vertical: bool) -> dict[Element, Area]:
        along, across = ("height", "width") if vertical else ("width", "height")
        if len(floating) == 1:
            element = floating[0]
            width, height = element.length("width", self.data), element.length("height", self.data)
            return {
                element: Area(
                    area.left,
                    area.top,
                    area.width if width is None else width,
                    area.height if height is None else height,
                )
            }
        lengths: list[float] = []
        for element in floating:
            length = element.length(along, self.data)
            if not length:
                element.fail(f"needs left and top, or a {along} to share its parent by")
            lengths.append(length)
        room, total = (area.height if vertical else area.width), sum(lengths)
        shares: dict[Element, Area] = {}
        at = 0.0
        for element, length in zip(floating, lengths, strict=True):
            part = room * length / total
            other = element.length(across, self.data)
            if vertical:
                shares[element] = Area(area.left, area.top + at, area.width if other is None else other, part)
            else:
                shares[element] = Area(
                    area.left + at, area.top, part, area.height if other is None else other
                )
            at += part
        return shares

    def draw(self, element: Element, area: Area, above: Style) -> None:
        style = element.styled(self.data, above)
        if style.quarter is None or (style.rotation and element.tag not in {"text", "barcode"}):
            element.fail("style rotation is supported for text and barcodes only, by quarters")
        match element.tag:
            case "layout":
                self.background(element, style, self.box(area))
                self.border(element, style, self.box(area))
                vertical = element.word("orientation", self.data).strip() == "vertical"
                self.children(element, area, vertical, style)
            case "text":
                self.text(element, style, self.box(area))
            case "barcode":
                self.barcode(element, style, self.box(area))
            case "line":
                self.line(element, style, area)
            case "rect":
                self.rect(element, style, self.box(area))
            case "image":
                self.image(element, self.box(area))
            case _:
                element.fail("is not supported yet")

    # ── lines and boxes ──

    def background(self, element: Element, style: Style, box: Box) -> None:
        if style.black_background:
            self.filled(box, element.source)

    def filled(self, box: Box, source: str) -> None:
        box = self.clipped(box)
        if box.width > 0 and box.height > 0:
            self.marks.append(RectMark(box.left, box.top, box.width, box.height, 0, fill=True, source=source))

    def border(self, element: Element, style: Style, box: Box) -> None:
        sides = [self.thickness(width_pt) for width_pt in style.border_pt or ()]
        if not any(sides):
            return
        clipped = self.clipped(box)
        if clipped == box and len(set(sides)) == 1 and set(style.border_strokes) == {"solid"}:
            self.marks.append(
                RectMark(box.left, box.top, box.width, box.height, sides[0], source=element.source)
            )
            return
        top, right, bottom, left = sides
        edges = (
            (box.left, box.top + top // 2, box.right, box.top + top // 2, top),
            (box.right - right + right // 2, box.top, box.right - right + right // 2, box.bottom, right),
            (
                box.left,
                box.bottom - bottom + bottom // 2,
                box.right,
                box.bottom - bottom + bottom // 2,
                bottom,
            ),
            (box.left + left // 2, box.top, box.left + left // 2, box.bottom, left),
        )
        for (x1, y1, x2, y2, thick), stroke in zip(edges, style.border_strokes, strict=True):
            if thick:
                self.stroke(x1, y1, x2, y2, thick, stroke, element.source)

    def rect(self, element: Element, style: Style, box: Box) -> None:
        if style.filled or style.black_background:
            self.filled(box, element.source)
        self.border(element, style, box)

    def line(self, element: Element, style: Style, area: Area) -> None:
        ends = {name: element.length(name, self.data) or 0.0 for name in ("startX", "startY", "endX", "endY")}
        if style.white_line or not style.line_pt:
            return
        self.stroke(
            self.dots(area.left + ends["startX"]),
            self.dots(area.top + ends["startY"]),
            self.dots(area.left + ends["endX"]),
            self.dots(area.top + ends["endY"]),
            self.thickness(style.line_pt),
            style.line_stroke,
            element.source,
        )

    def stroke(self, x1: int, y1: int, x2: int, y2: int, thick: int, stroke: Stroke, source: str) -> None:
        """A line whose thickness lies about it (the odd dot below, or right); what leaves the page is cut off."""
        right, bottom = self.paper.right, self.paper.bottom
        if y1 == y2:
            if not thick // 2 <= y1 <= bottom - thick + thick // 2:
                y1 = y2 = min(max(y1, thick // 2), bottom - thick + thick // 2)
        elif x1 == x2 and not thick // 2 <= x1 <= right - thick + thick // 2:
            x1 = x2 = min(max(x1, thick // 2), right - thick + thick // 2)
        x1, x2 = (min(max(x, 0), right) for x in (x1, x2))
        y1, y2 = (min(max(y, 0), bottom) for y in (y1, y2))
        if (x1, y1) > (x2, y2):
            x1, y1, x2, y2 = x2, y2, x1, y1
        if (x1, y1) == (x2, y2):
            return
        dashes = {
            "solid": None,
            "dashed": (self.dots(1.0), self.dots(0.75)),
            "dotted": (thick, 2 * thick),
        }
        self.marks.append(LineMark(x1, y1, x2, y2, thick, dashes[stroke], source))

    def clipped(self, box: Box) -> Box:
        right, bottom = self.paper.right, self.paper.bottom
        return Box(
            min(max(box.left, 0), right),
            min(max(box.top, 0), bottom),
            min(max(box.right, 0), right),
            min(max(box.bottom, 0), bottom),
        )

    # ── text ──

    def text(self, element: Element, style: Style, box: Box) -> None:
        value = element.fill(element.content, self.data)
        value = texts.clean(value)
        if element.wants("trim"):
            value = re.sub(" +", " ", value).strip()
        if not value.strip() and element.wants("hideEmpty"):
            return
        self.background(element, style, box)
        if value.strip():
            self.lines(element, style, box, value)

    def lines(self, element: Element, style: Style, box: Box, value: str) -> None:
        """The lines of a text in its box, shrunk, cut or refused as the element says."""
        sideways = style.rotation in {90, 270}
        width, height = (box.height, box.width) if sideways else (box.width, box.height)
        required = element.wants("required")
        smallest = element.own.get("minFontSize")
        ours = required or smallest is not None

        def weight(size: int) -> int:
            if style.weight == "bold":
                return 700
            # Dense characters clog at 500 below 2.5 mm, and lose strokes at 400 on a worn head above.
            return 500 if style.weight == "normal" and size >= 2.5 * self.scale else 400

        def spacing(size: int) -> int:
            amount, unit = style.letter_spacing
            return round(amount * size) if unit == "em" else self.dots(amount)

        setter = texts.Setter(width, height, style.wrap, style.line_height, weight, spacing, strict=ours)
        if style.font_size_pt is None:
            fitted = setter.fit_largest(value, self.dots(SMALLEST_PT * MM_PER_PT))
        else:
            size = max(1, self.dots(style.font_size_pt * MM_PER_PT))
            least = size
            if smallest is not None:
                least_pt = element.checked("minFontSize", smallest, points)
                least = min(size, max(1, self.dots(least_pt * MM_PER_PT)))
            fitted = setter.fit(value, size, least)
        if not fitted.fits:
            if required:
                over = fitted.over_height or fitted.over_width
                side = "height" if fitted.over_height else "width"
                missing = self.millimetres(over)
                element.fail(
                    f"the text doesn't fit, {missing} mm of {side} are missing",
                    code="label.does_not_fit",
                    missing_mm=missing,
                )
            self.warn("text.overflow", "The text doesn't fit its box", element)
            if ours:
                fitted = setter.cut(value, fitted.size)
            elif style.hidden_overflow:
                fitted = setter.cut(value, fitted.size, end="")
        self.put(element, style, box, fitted, setter.strict)

    def put(self, element: Element, style: Style, box: Box, fitted: texts.Fitted, strict: bool) -> None:
        sideways = style.rotation in {90, 270}
        width, height = (box.height, box.width) if sideways else (box.width, box.height)
        # The em box, not the line box, is centred: Chinese characters fill it evenly.
        block = fitted.height - texts.line_height(fitted.size) + fitted.size
        top = {"top": 0, "middle": (height - block) // 2, "bottom": height - fitted.height}[style.valign]
        if strict:
            top = max(0, min(top, height - fitted.height))
        for number, line in enumerate(fitted.lines):
            if not line.text.strip():
                continue
            slack = width - line.width
            left = {"left": 0, "center": slack // 2, "right": slack}[style.align]
            x, y, on_x, on_y = turned(
                style.quarter or 0,
                (left, top + number * fitted.pitch, line.width, texts.line_height(fitted.size)),
                width,
                height,
            )
            x, y = box.left + x, box.top + y
            if x < 0 or y < 0 or x + on_x > self.paper.right or y + on_y > self.paper.bottom:
                self.warn("mark.off_page", "The text leaves the page", element)
                # No language can begin left of or above the page.
                x, y = max(0, x), max(0, y)
            if line.missing:
                codes = " ".join(f"U+{ord(char):04X}" for char in line.missing)
                self.warn("glyph.missing", f"No font has {codes}", element)
            self.marks.append(
                TextMark(
                    x=x,
                    y=y,
                    width=on_x,
                    height=on_y,
                    size=fitted.size,
                    baseline=round(ASCENT * fitted.size),
                    text=line.text,
                    runs=line.runs,
                    weight=fitted.weight,
                    rotation=style.quarter or 0,
                    inverse=style.white_text,
                    letter_spacing=fitted.spacing,
                    underline=style.underline,
                    missing=line.missing,
                    source=element.source,
                )
            )

    # ── symbols ──

    def barcode(self, element: Element, style: Style, box: Box) -> None:
        value = element.fill(element.content, self.data)
        kind = element.word("type", self.data)
        if not value:
            if element.wants("required"):
                raise Invalid(
                    f"{element.source}: the barcode has no data",
                    code="barcode.empty",
                    line=element.line,
                    element=element.own.get("name", "barcode"),
                )
            self.warn("barcode.empty", "The barcode has no data and was left out", element)
            return
        if texts.clean(value).replace("\n", " ") != value:
            # A scanner types what it reads: control characters would press keys.
            raise self.unfit(element, "the data holds a control character", "barcode.data")
        if box != self.clipped(box):
            element.fail("the barcode leaves the page", code="label.off_page")
        if kind == "qrcode":
            self.qrcode(element, style, box, value)
        else:
            self.code128(element, style, box, value, _CODE_SETS.get(kind))

    def unfit(self, element: Element, reason: str, code: str, **facts: Any) -> Invalid:
        name = element.own.get("name", "barcode")
        return Invalid(
            f"Line {element.line}, {name}: {reason}", code=code, line=element.line, element=name, **facts
        )

    def module(self, element: Element, room: int, modules: int, smallest_mm: float) -> int:
        """Dots a module: as many whole ones as the room allows."""
        smallest = max(1, round(smallest_mm * self.scale))
        found = room // modules
        if found < smallest:
            missing = self.millimetres(modules * smallest - room)
            raise self.unfit(
                element,
                f"the barcode doesn't fit, {missing} mm are missing",
                "barcode.does_not_fit",
                missing_mm=missing,
            )
        return found

    def code128(
        self, element: Element, style: Style, box: Box, value: str, code_set: Literal["A", "B"] | None
    ) -> None:
        try:
            symbol = symbols.code128(value, code_set)
        except Invalid as error:
            raise self.unfit(element, error.detail, error.code) from error
        sideways = style.rotation in {90, 270}
        width, height = (box.height, box.width) if sideways else (box.width, box.height)
        module = self.module(element, width, symbol.modules + 2 * symbols.CODE128_QUIET, CODE128_MODULE_MM)
        length = symbol.modules * module
        below = 0
        if not style.hide_text:
            size = self.dots((style.font_size_pt or 8.0) * MM_PER_PT)
            below = texts.line_height(size) + self.dots(0.4)
        bars = height - below
        if bars <= 0:
            raise self.unfit(
                element,
                "no height is left for the bars",
                "barcode.does_not_fit",
                missing_mm=self.millimetres(1 - bars),
            )
        if bars < BAR_HEIGHT_SHARE * length:
            self.warn("barcode.low", "The bars are lower than 15 % of the barcode's length", element)
        x, y, on_x, on_y = turned(style.quarter or 0, ((width - length) // 2, 0, length, bars), width, height)
        self.marks.append(
            BarMark(
                x=box.left + x,
                y=box.top + y,
                width=on_x,
                height=on_y,
                module=module,
                quiet=symbols.CODE128_QUIET * module,
                kind="code128",
                data=value,
                widths=symbol.widths,
                plan=symbol.plan,
                rotation=style.quarter or 0,
                source=element.source,
            )
        )
        if below:
            self.readable(element, style, box, value, below - self.dots(0.4))

    def readable(self, element: Element, style: Style, box: Box, value: str, high: int) -> None:
        """The human-readable line below the bars, on the side where their foot is."""
        match style.quarter:
            case 0:
                strip = Box(box.left, box.bottom - high, box.right, box.bottom)
            case 90:
                strip = Box(box.left, box.top, box.left + high, box.bottom)
            case 180:
                strip = Box(box.left, box.top, box.right, box.top + high)
            case _:
                strip = Box(box.right - high, box.top, box.right, box.bottom)
        along = strip.height if style.rotation in {90, 270} else strip.width
        weight = 700 if style.weight == "bold" else 500
        amount, unit = style.letter_spacing
        size = self.dots((style.font_size_pt or 8.0) * MM_PER_PT)
        setter = texts.Setter(
            along,
            high,
            wrap=False,
            line_share=1.0,
            weight=lambda _: weight,
            spacing=lambda size: round(amount * size) if unit == "em" else self.dots(amount),
            strict=True,
        )
        fitted = setter.fit(value, size, min(size, self.dots(SMALLEST_PT * MM_PER_PT)))
        if not fitted.fits:
            raise self.unfit(
                element,
                "the number below the bars doesn't fit",
                "barcode.does_not_fit",
                missing_mm=self.millimetres(fitted.over_width or fitted.over_height),
            )
        centred = Style(align="center", rotation=style.rotation)
        self.put(element, centred, strip, fitted, strict=True)

    def qrcode(self, element: Element, style: Style, box: Box, value: str) -> None:
        word = element.word("errorCorrection", self.data).strip() or "M"
        level = "LMQH"[int(word)] if word.isdigit() else word
        try:
            symbol = symbols.qrcode(value, _level(level))
        except Invalid as error:
            raise self.unfit(element, error.detail, error.code) from error
        side = len(symbol.rows)
        module = self.module(
            element, min(box.width, box.height), side + 2 * symbols.QRCODE_QUIET, QRCODE_MODULE_MM
        )
        length = side * module
        self.marks.append(
            MatrixMark(
                x=box.left + (box.width - length) // 2,
                y=box.top + (box.height - length) // 2,
                width=length,
                height=length,
                module=module,
                quiet=symbols.QRCODE_QUIET * module,
                kind="qrcode",
                data=value,
                rows=symbol.rows,
                level=symbol.level,
                rotation=style.quarter or 0,
                source=element.source,
            )
        )

    def look_for_crowding(self) -> None:
        """Warn where something is drawn in a symbol's quiet zone."""
        inked = [(mark, box) for mark in self.marks for box in ink(mark)]
        for mark in self.marks:
            if isinstance(mark, BarMark | MatrixMark):
                zone = quiet_zone(mark)
                if any(other is not mark and zone.meets(box) for other, box in inked) or zone != self.clipped(
                    zone
                ):
                    self.warnings[
                        PageWarning("barcode.crowded", "Something stands in the quiet zone", mark.source)
                    ] = None

    # ── pictures ──

    def image(self, element: Element, box: Box) -> None:
        source = element.word("src", self.data).strip()
        match = _DATA_URL.fullmatch(source)
        if not match:
            element.fail("src must be a PNG or JPEG as a data URL", code="image.source")
        if box != self.clipped(box) or box.width <= 0 or box.height <= 0:
            element.fail("the image has no size or leaves the page", code="label.off_page")
        try:
            bits = _one_bit(base64.b64decode(match[1], validate=False), box.width, box.height)
        except ValueError as error:
            if element.flag("allowFailure", self.data, default=True):
                self.warn("image.failed", "The image can't be read and was left out", element)
                return
            element.fail(f"the image {error}", code="image.failed")
        self.marks.append(ImageMark(box.left, box.top, box.width, box.height, bits, source=element.source))


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


def ink(mark: Mark) -> Iterable[Box]:
    """The boxes that a mark may blacken; a frame's four sides, not its inside."""
    if isinstance(mark, LineMark):
        half = mark.thickness // 2
        rest = mark.thickness - half
        if mark.y1 == mark.y2:
            return (Box(mark.x1, mark.y1 - half, mark.x2, mark.y1 + rest),)
        if mark.x1 == mark.x2:
            top, bottom = sorted((mark.y1, mark.y2))
            return (Box(mark.x1 - half, top, mark.x1 + rest, bottom),)
        top, bottom = sorted((mark.y1, mark.y2))
        return (Box(min(mark.x1, mark.x2) - half, top - half, max(mark.x1, mark.x2) + rest, bottom + rest),)
    if isinstance(mark, GroupMark):
        return [box for inner in mark.marks for box in ink(inner)]
    right, bottom = mark.x + mark.width, mark.y + mark.height
    if isinstance(mark, RectMark) and not mark.fill:
        thick = mark.thickness
        return (
            Box(mark.x, mark.y, right, mark.y + thick),
            Box(mark.x, bottom - thick, right, bottom),
            Box(mark.x, mark.y, mark.x + thick, bottom),
            Box(right - thick, mark.y, right, bottom),
        )
    return (Box(mark.x, mark.y, right, bottom),)


def quiet_zone(mark: BarMark | MatrixMark) -> Box:
    """The box of a symbol with its quiet zones: at both ends of the bars, all round a matrix."""
    along = 0 if isinstance(mark, BarMark) and mark.rotation in {90, 270} else mark.quiet
    across = 0 if isinstance(mark, BarMark) and mark.rotation in {0, 180} else mark.quiet
    return Box(mark.x - along, mark.y - across, mark.x + mark.width + along, mark.y + mark.height + across)


def _level(word: str) -> Literal["L", "M", "Q", "H"]:
    match word:
        case "L" | "M" | "Q" | "H":
            return word
    raise Invalid("The error correction must be L, M, Q or H")


def _one_bit(content: bytes, width: int, height: int) -> bytes:
    """The picture scaled to dots, black where it is darker than half; ValueError (no data in it) if it can't be."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
            if picture.width * picture.height > MAX_IMAGE_PIXELS:
                raise ValueError("has too many pixels")
            picture.load()
    except (OSError, SyntaxError, binascii.Error, Warning, Image.DecompressionBombError) as error:
        raise ValueError("can't be read") from error
    rgba = picture.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, "white")
    grey = Image.alpha_composite(paper, rgba).convert("L").resize((width, height), Image.Resampling.LANCZOS)
    # Pillow's one-bit rows are high bit left with 1 for white; a mark says 1 for black.
    return grey.point(lambda level: 255 if level < 128 else 0).convert("1").tobytes()
