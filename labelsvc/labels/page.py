"""What will be printed, in dots: a Page of marks, which each printer language says in its own way.

Origin is the top left corner, x to the right, y downwards. All lengths are whole dots of the page's ``dpi``
unless named otherwise. A Page never holds a picture of the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Dots per millimetre are exact for thermal heads: "203 dpi" is 8 dots/mm (not 203/25.4), 300 dpi 11.8, 600 dpi 23.6.
DOTS_PER_MM = {203: 8.0, 300: 300 / 25.4, 600: 600 / 25.4}

Rotation = Literal[0, 90, 180, 270]


@dataclass(frozen=True)
class Media:
    """The paper a label goes on. 纸张"""

    width_mm: float
    height_mm: float
    dpi: int


@dataclass(frozen=True)
class Run:
    """Characters of one line that share one font face; ``x`` is the pen position relative to the mark's x."""

    face: str  #: key of a face in ``labels.fonts`` such as ``sans-400`` or ``jp-400``
    text: str
    x: int


@dataclass(frozen=True)
class TextMark:
    """One line of text, already broken, aligned, sized. ``x``/``y``/``width``/``height`` is its line box as it lies on the page.

    ``size`` is the em in dots, ``baseline`` the distance from the line box's top down to the baseline. With a rotation the
    line is set upright in a box of the swapped sides (90, 270), which is turned clockwise into the page's box.
    ``text`` is the exact text of the line; ``runs`` split it by font face; ``missing`` are characters no face has
    (drawn as a visible box, and reported in the page's warnings). ``inverse`` is white on black.
    """

    x: int
    y: int
    width: int
    height: int
    size: int
    baseline: int
    text: str
    runs: tuple[Run, ...]
    weight: int = 400
    rotation: Rotation = 0
    inverse: bool = False
    letter_spacing: int = 0
    underline: bool = False
    missing: str = ""
    source: str = ""  #: the template element that made it, for warnings ("text line 12")


@dataclass(frozen=True)
class BarMark:
    """A one-dimensional barcode in whole dots. The box holds the bars only; quiet zones lie outside and are kept free.

    ``widths`` are the alternating bar/space widths in modules, beginning with a bar. ``plan`` is how the data was
    encoded (for Code 128: ("B", "YT") ("C", "0012")... in order), so that a language can ask the printer for the same.
    """

    x: int
    y: int
    width: int
    height: int
    module: int  #: dots per module
    quiet: int  #: dots kept free left and right
    kind: Literal["code128"]
    data: str
    widths: tuple[int, ...]
    plan: tuple[tuple[str, str], ...] = ()
    rotation: Rotation = 0
    source: str = ""


@dataclass(frozen=True)
class MatrixMark:
    """A two-dimensional symbol (QR) in whole dots; ``rows`` are strings of 0 and 1 without quiet zone."""

    x: int
    y: int
    width: int
    height: int
    module: int
    quiet: int
    kind: Literal["qrcode"]
    data: str
    rows: tuple[str, ...]
    level: Literal["L", "M", "Q", "H"] = "M"
    version: int = 1
    mask: int = 0
    rotation: Rotation = 0
    source: str = ""


@dataclass(frozen=True)
class LineMark:
    """A straight line from (x1, y1) to (x2, y2), ``thickness`` dots, dashed by ``dash`` (on, off) dots if given."""

    x1: int
    y1: int
    x2: int
    y2: int
    thickness: int
    dash: tuple[int, int] | None = None
    source: str = ""


@dataclass(frozen=True)
class RectMark:
    """A rectangle: border of ``thickness`` dots inside the box (0: none), filled black if ``fill``; ``radius`` rounds corners."""

    x: int
    y: int
    width: int
    height: int
    thickness: int
    fill: bool = False
    radius: int = 0
    source: str = ""


@dataclass(frozen=True)
class ImageMark:
    """A one-bit picture, already scaled to dots: ``bits`` holds rows of ``(width + 7) // 8`` bytes, 1 = black, high bit left."""

    x: int
    y: int
    width: int
    height: int
    bits: bytes
    source: str = ""


Mark = TextMark | BarMark | MatrixMark | LineMark | RectMark | ImageMark


@dataclass(frozen=True)
class PageWarning:
    """Something a person should know about a page: ``code`` such as ``glyph.missing`` or ``text.overflow``; no data in it
    but for the missing characters themselves."""

    code: str
    detail: str
    source: str = ""


@dataclass(frozen=True)
class Page:
    """One label as it will be printed. 页面"""

    width: int
    height: int
    dpi: int
    marks: tuple[Mark, ...]
    warnings: tuple[PageWarning, ...] = ()

    @property
    def width_mm(self) -> float:
        """Width in mm."""
        return self.width / DOTS_PER_MM[self.dpi]

    @property
    def height_mm(self) -> float:
        """Height in mm."""
        return self.height / DOTS_PER_MM[self.dpi]
