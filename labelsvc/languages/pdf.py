"""PDF of a label: the page exactly the label's size, bars as vectors, text as text with its fonts embedded.

Hides reportlab (imported on first use) and makes good three of its habits: it names Helvetica on every page without embedding
it, writes the Unicode values of characters beyond the BMP wrongly, and keeps fonts in a table that threads share.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

from labelsvc.errors import Invalid
from labelsvc.labels import (
    DOTS_PER_MM,
    BarMark,
    ImageMark,
    LineMark,
    MatrixMark,
    Page,
    RectMark,
    TextMark,
    fonts,
)
from labelsvc.languages import raster
from labelsvc.languages.target import Target

if TYPE_CHECKING:
    from reportlab.pdfbase.ttfonts import TTFont

name = "pdf"
media_type = "application/pdf"

#: Circle quarter by a Bézier curve: the control points' distance, in radii.
_QUARTER = 0.5523


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """The label as a PDF of one page; ``title`` is the document's title. The same page gives the same bytes."""
    out = io.BytesIO()
    write((page,), target, out, title)
    return out.getvalue()


def write(pages: Iterable[Page], target: Target, out: BinaryIO, title: str = "") -> int:
    """The labels as one PDF of as many pages; how many they were. Invalid ``page.none`` if there is none."""
    several = tuple(pages)
    if not several:
        raise Invalid("There is no page to write", code="page.none")
    canvas_class = _classes()[0]
    # Ascii85 off: a third less. Invariant: no date, so that equal pages give equal bytes.
    canvas = canvas_class(out, pageCompression=1, invariant=1)
    canvas.setTitle(title or "label")
    canvas.setAuthor("labelsvc")
    canvas.setCreator("labelsvc")
    canvas.setSubject("label")
    writing = _Writing(canvas, _embedded(several))
    for page in several:
        points = 72 / 25.4 / DOTS_PER_MM[page.dpi]
        canvas.setPageSize((page.width * points, page.height * points))
        # From here on the page is in dots with y downwards, as the marks are.
        writing.say(f"{_number(points)} 0 0 {_number(-points)} 0 {_number(page.height * points)} cm")
        for mark in page.marks:
            writing.mark(mark)
        canvas.showPage()
    canvas.save()
    return len(several)


def _embedded(pages: Iterable[Page]) -> dict[str, TTFont]:
    """A small font for each face that the pages use, with just its characters."""
    used: dict[str, set[str]] = {}
    for mark in (mark for page in pages for mark in page.marks):
        if isinstance(mark, TextMark):
            for part in raster.stretches(mark):
                if part.face is not None:
                    used.setdefault(part.face.key, set()).update(part.text)
    font_class = _classes()[1]
    return {
        key: font_class(
            fonts.face(key).postscript_name,
            io.BytesIO(fonts.subset_ttf(key, chars)),
            asciiReadable=False,
            shapable=False,
        )
        for key, chars in sorted(used.items())
    }


class _Writing:
    """The page's content stream, operator by operator."""

    def __init__(self, canvas: Any, embedded: dict[str, TTFont]) -> None:
        self.canvas = canvas
        self.embedded = embedded

    def say(self, operators: str) -> None:
        self.canvas._code.append(operators)

    def mark(self, mark: object) -> None:
        match mark:
            case TextMark():
                self.text(mark)
            case BarMark():
                self.boxes(raster.bar_boxes(mark))
            case MatrixMark():
                self.boxes(raster.module_boxes(mark))
            case ImageMark():
                self.boxes(raster.image_boxes(mark))
            case LineMark():
                self.line(mark)
            case RectMark():
                self.rect(mark)

    def boxes(self, boxes: Iterable[raster.Box]) -> None:
        """Filled boxes as one path: neighbours in one path leave no seam between them."""
        path = " ".join(f"{x} {y} {width} {height} re" for x, y, width, height in boxes)
        if path:
            self.say(f"{path} f")

    def line(self, mark: LineMark) -> None:
        boxes = raster.line_boxes(mark)
        if boxes is not None:
            self.boxes(boxes)
            return
        for corners in raster.slanted_corners(mark):
            first, *others = (f"{_number(x)} {_number(y)}" for x, y in corners)
            self.say(f"{first} m " + " ".join(f"{point} l" for point in others) + " h f")

    def rect(self, mark: RectMark) -> None:
        if mark.width <= 0 or mark.height <= 0:
            return
        outer = _outline(mark.x, mark.y, mark.width, mark.height, mark.radius)
        thick = mark.thickness
        if mark.fill or 2 * thick >= min(mark.width, mark.height):
            self.say(f"{outer} f")
        elif thick:
            inner = _outline(
                mark.x + thick,
                mark.y + thick,
                mark.width - 2 * thick,
                mark.height - 2 * thick,
                max(0, mark.radius - thick),
            )
            self.say(f"{outer} {inner} f*")

    def text(self, mark: TextMark) -> None:
        if mark.inverse:
            self.say("q 1 g")
        # The text's own axes: x along the line, y up (the page's y points down).
        across, down = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[mark.rotation]
        for part in raster.stretches(mark):
            if part.face is None:
                self.missing(mark, part.x)
                continue
            x, y = raster.turned_point(mark, part.x, mark.baseline)
            font = self.embedded[part.face.key]
            pieces = []
            for subset, codes in font.splitString(part.text, self.canvas._doc):
                family = font.getSubsetInternalName(subset, self.canvas._doc)
                pieces.append(f"{family} {mark.size} Tf <{codes.hex()}> Tj")
            spacing = f"{mark.letter_spacing} Tc " if mark.letter_spacing else ""
            matrix = f"{across} {down} {down} {-across} {_number(x)} {_number(y)} Tm"
            self.say(f"BT {spacing}{matrix} {' '.join(pieces)}{' 0 Tc' if spacing else ''} ET")
        if mark.underline:
            self.upright(mark, raster.underline_box(mark))
        if mark.inverse:
            self.say("Q")

    def missing(self, mark: TextMark, x: float) -> None:
        (left, top, width, height), stroke = raster.missing_box(mark, x)
        for side in (
            (left, top, width, stroke),
            (left, top + height - stroke, width, stroke),
            (left, top, stroke, height),
            (left + width - stroke, top, stroke, height),
        ):
            self.upright(mark, side)

    def upright(self, mark: TextMark, box: raster.Box) -> None:
        """A box given in the upright line, filled where it lies on the page."""
        x, y, width, height = box
        x1, y1 = raster.turned_point(mark, x, y)
        x2, y2 = raster.turned_point(mark, x + width, y + height)
        self.say(
            f"{_number(min(x1, x2))} {_number(min(y1, y2))} {_number(abs(x2 - x1))} {_number(abs(y2 - y1))} re f"
        )


def _outline(x: int, y: int, width: int, height: int, radius: int) -> str:
    """A box as a path, its corners rounded by ``radius`` dots."""
    r = min(radius, width // 2, height // 2)
    if r <= 0:
        return f"{x} {y} {width} {height} re"
    k = r * (1 - _QUARTER)
    right, bottom = x + width, y + height

    def curve(*points: tuple[float, float]) -> str:
        return " ".join(f"{_number(px)} {_number(py)}" for px, py in points) + " c"

    return " ".join(
        [
            f"{x + r} {y} m {right - r} {y} l",
            curve((right - k, y), (right, y + k), (right, y + r)),
            f"{right} {bottom - r} l",
            curve((right, bottom - k), (right - k, bottom), (right - r, bottom)),
            f"{x + r} {bottom} l",
            curve((x + k, bottom), (x, bottom - k), (x, bottom - r)),
            f"{x} {y + r} l",
            curve((x, y + k), (x + k, y), (x + r, y)),
            "h",
        ]
    )


def _number(value: float) -> str:
    """A PDF number: no exponent, no trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


@cache
def _classes() -> tuple[Any, Any]:
    """(canvas class, font class): reportlab's with their faults mended, made on first use so that importing stays light."""
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas

    class LabelCanvas(Canvas):
        def _make_preamble(self) -> None:
            # reportlab's begins each page with Helvetica, which nothing here uses and which is not embedded.
            self._preamble = ""

    class LabelFont(TTFont):
        """Embedded under the true Unicode values; reportlab's own map is wrong beyond the BMP."""

        def addObjects(self, doc: Any) -> None:
            subsets = [list(subset) for subset in self.state[doc].subsets]
            super().addObjects(doc)
            for number, subset in enumerate(subsets):
                streams = [key for key in doc.idToObject if key.startswith("toUnicodeCMap:")]
                mine = [key for key in streams if key.endswith(f"+{self.fontName}")]
                doc.idToObject[mine[number]].content = _to_unicode(subset)

    return LabelCanvas, LabelFont


def _to_unicode(subset: list[int]) -> str:
    """The ToUnicode map of a font's codes (ISO 32000-1, 9.10.3): UTF-16BE, a surrogate pair beyond the BMP."""
    known = [(code, value) for code, value in enumerate(subset) if value]
    lines = [
        "/CIDInit /ProcSet findresource begin",
        "12 dict begin",
        "begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def",
        "/CMapType 2 def",
        "1 begincodespacerange",
        "<00> <FF>",
        "endcodespacerange",
    ]
    # The format allows 100 entries a block.
    for start in range(0, len(known), 100):
        block = known[start : start + 100]
        lines.append(f"{len(block)} beginbfchar")
        lines += [f"<{code:02X}> <{chr(value).encode('utf-16-be').hex().upper()}>" for code, value in block]
        lines.append("endbfchar")
    lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end"]
    return "\n".join(lines)
