"""What will be printed, in dots: a Page of marks, which each printer language says in its own way.

Origin is the top left corner, x to the right, y downwards. All lengths are whole dots of the page's ``dpi``
unless named otherwise. A Page never holds a picture of the label. Marks are named tuples, because a label makes some
thirty of them and a printer's font leaves a quarter of a millisecond for the whole label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

#: Dots per millimetre are exact for thermal heads: "203 dpi" is 8 dots/mm (not 203/25.4), 300 dpi 11.8, 600 dpi 23.6.
DOTS_PER_MM = {203: 8.0, 300: 300 / 25.4, 600: 600 / 25.4}

Rotation = Literal[0, 90, 180, 270]


@dataclass(frozen=True)
class Media:
    """The paper a label goes on. 纸张"""

    width_mm: float
    height_mm: float
    dpi: int


class Glyph(NamedTuple):
    """A glyph of a shaped run: its id in the face's font, the pen position relative to the run's x (rightwards) and to the
    baseline (upwards), in dots, unrounded."""

    gid: int
    x: float
    y: float


class Run(NamedTuple):
    """Characters of one line that share one font face; ``x`` is the pen position relative to the mark's x.

    ``text`` is in reading order. ``glyphs`` is empty where each character is its own glyph at its own advance; else
    (Tibetan, Uyghur, combining marks) it holds what shaping made of the text, in order from left to right.
    """

    face: str  #: key of a face in ``labels.fonts`` such as ``sans-400`` or ``jp-400``
    text: str
    x: int
    glyphs: tuple[Glyph, ...] = ()


class TextMark(NamedTuple):
    """One line of text, already broken, aligned, sized. ``x``/``y``/``width``/``height`` is its line box as it lies on the page.

    ``size`` is the em in dots, ``baseline`` the distance from the line box's top down to the baseline. With a rotation the
    line is set upright in a box of the swapped sides (90, 270), which is turned clockwise into the page's box.
    ``text`` is the exact text of the line in reading order; ``runs`` split it by font face and direction, from left to
    right as they lie on paper; ``missing`` are characters no face has (drawn as a visible box, and reported in the page's
    warnings). ``inverse`` is white on black; ``italic`` leans the glyphs.
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
    italic: bool = False


class BarMark(NamedTuple):
    """A one-dimensional barcode in whole dots. The box holds the bars only; quiet zones lie outside and are kept free.

    ``kind`` is a type of ``symbols.KINDS``. ``widths`` are the alternating bar/space widths in modules, beginning with a
    bar. ``plan`` is how the data was encoded (for Code 128: ("B", "YT") ("C", "0012")... in order), so that a language can
    ask the printer for the same.
    """

    x: int
    y: int
    width: int
    height: int
    module: int  #: dots per module
    quiet: int  #: dots kept free left and right
    kind: str
    data: str
    widths: tuple[int, ...]
    plan: tuple[tuple[str, str], ...] = ()
    rotation: Rotation = 0
    source: str = ""


class MatrixMark(NamedTuple):
    """A symbol of dark and light modules in whole dots; ``rows`` are strings of 0 and 1 without quiet zone.

    ``rows`` may be made on first use, for a printer that draws the symbol itself never asks for them. ``row_dots`` are the
    heights of the rows where they aren't ``module`` dots each (stacked and postal symbols).
    """

    x: int
    y: int
    width: int
    height: int
    module: int
    quiet: int
    kind: str
    data: str
    rows: Sequence[str]
    level: str = ""  #: error correction as the symbology names it (QR: L, M, Q, H)
    rotation: Rotation = 0
    source: str = ""
    row_dots: tuple[int, ...] = ()


class LineMark(NamedTuple):
    """A straight line from (x1, y1) to (x2, y2), ``thickness`` dots, dashed by ``dash`` (on, off) dots if given."""

    x1: int
    y1: int
    x2: int
    y2: int
    thickness: int
    dash: tuple[int, int] | None = None
    source: str = ""


class RectMark(NamedTuple):
    """A rectangle: border of ``thickness`` dots inside the box (0: none), filled black if ``fill``; ``radius`` rounds corners.

    ``erase`` fills with white instead: it covers what was drawn before.
    """

    x: int
    y: int
    width: int
    height: int
    thickness: int
    fill: bool = False
    radius: int = 0
    source: str = ""
    erase: bool = False


class EllipseMark(NamedTuple):
    """An ellipse that touches its box from inside: border of ``thickness`` dots (0: none), filled black if ``fill``."""

    x: int
    y: int
    width: int
    height: int
    thickness: int
    fill: bool = False
    source: str = ""


class ImageMark(NamedTuple):
    """A one-bit picture, already scaled to dots: ``bits`` holds rows of ``(width + 7) // 8`` bytes, 1 = black, high bit left.

    ``kind`` and ``data`` are set where the picture is a symbol (MaxiCode), ``quiet`` are then the dots kept free round it.
    """

    x: int
    y: int
    width: int
    height: int
    bits: bytes
    source: str = ""
    kind: str = ""
    data: str = ""
    quiet: int = 0


class GroupMark(NamedTuple):
    """Marks that are drawn together on the page, then cut to ``clip`` (x, y, width, height; None: not cut), then turned
    clockwise by ``angle`` degrees about (``pivot_x``, ``pivot_y``). For what no single mark can say: slanting text, an
    overflow that is hidden. Turns by quarters are the marks' own ``rotation``."""

    marks: tuple[Mark, ...]
    clip: tuple[int, int, int, int] | None = None
    angle: float = 0.0
    pivot_x: float = 0.0
    pivot_y: float = 0.0
    source: str = ""


Mark = TextMark | BarMark | MatrixMark | LineMark | RectMark | EllipseMark | ImageMark | GroupMark


class Fixed:
    """Marks that are the same on every label of a template at one resolution, drawn before all others.

    One object a template and resolution: languages keep what they made of the marks in ``kept``, under a key of their
    own that begins with the language's name.
    """

    __slots__ = ("kept", "marks")

    def __init__(self, marks: tuple[Mark, ...]) -> None:
        self.marks = marks
        self.kept: dict[Any, Any] = {}


@dataclass(frozen=True)
class PageWarning:
    """Something a person should know about a page: ``code`` such as ``glyph.missing`` or ``text.overflow``; no data in it
    but for the missing characters themselves."""

    code: str
    detail: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One label as it will be printed. 页面

    ``marks`` are all marks in drawing order; where ``fixed`` is given, they begin with its marks.
    """

    width: int
    height: int
    dpi: int
    marks: tuple[Mark, ...]
    warnings: tuple[PageWarning, ...] = ()
    fixed: Fixed | None = None

    @property
    def own(self) -> tuple[Mark, ...]:
        """The marks that are this label's alone: all but the fixed ones."""
        return self.marks[len(self.fixed.marks) :] if self.fixed else self.marks

    def symbols(self) -> Iterator[str]:
        """What each of the page's barcodes says, in drawing order."""
        return _symbols(self.marks)

    @property
    def width_mm(self) -> float:
        """Width in mm."""
        return self.width / DOTS_PER_MM[self.dpi]

    @property
    def height_mm(self) -> float:
        """Height in mm."""
        return self.height / DOTS_PER_MM[self.dpi]


def _symbols(marks: Iterable[Mark]) -> Iterator[str]:
    for mark in marks:
        if isinstance(mark, GroupMark):
            yield from _symbols(mark.marks)
        elif isinstance(mark, BarMark | MatrixMark | ImageMark) and mark.kind:
            yield mark.data
