"""The words of CNPL: its elements and where they stand, their attributes, the style properties, and what their values mean.

Hides how each value is written. A reader makes of a text what it means, in mm or pt, and raises ValueError with the reason,
never with the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

MM_PER_PT = 25.4 / 72

T = TypeVar("T")
Unit = Literal["mm", "%"]
Align = Literal["left", "center", "right"]
VAlign = Literal["top", "middle", "bottom"]
Stroke = Literal["solid", "dashed", "dotted"]
Quarter = Literal[0, 90, 180, 270]
Sides = tuple[float, float, float, float]  #: top, right, bottom, left


@dataclass(frozen=True)
class Style:
    """The style properties that change what is printed, with CNPL's defaults.

    What says how text and strokes look comes down from page, layout, table, row and cell to what is in them; what says
    how a box looks or where it is belongs to its own element (``INHERITED``).
    """

    font_family: str = ""  #: as written; a font that we don't have is replaced by ours
    font_size_pt: float | None = 8.0  #: None: as large as fits
    weight: Literal["light", "normal", "bold"] = "normal"
    italic: bool = False
    underline: bool = False
    white_text: bool = False
    align: Align = "left"
    valign: VAlign = "top"
    wrap: bool = True
    line_height: float = 1.2  #: share of the font size
    letter_spacing: tuple[float, str] = (0.0, "mm")  #: and its unit: mm or em
    direction: Literal["ltr", "rtl"] = "ltr"
    line_pt: float = 1.0
    line_stroke: Stroke = "solid"
    white_line: bool = False
    orientation: Literal["horizontal", "vertical"] = "horizontal"
    rotation: float = 0.0  #: degrees clockwise, from 0 to less than 360
    alpha: float = 1.0  #: 0 (nothing to see) to 1
    z_index: int = 0
    hidden_overflow: bool = False
    hide_text: bool = True
    black_background: bool | None = None
    filled: bool | None = None  #: black, white (covers what is below), or not at all
    margin_mm: Sides = (0.0, 0.0, 0.0, 0.0)
    padding_mm: Sides = (0.0, 0.0, 0.0, 0.0)
    border_pt: Sides | None = None  #: None: not said
    border_strokes: tuple[Stroke, Stroke, Stroke, Stroke] = ("solid", "solid", "solid", "solid")
    #: The lines between a table's cells: horizontal, vertical. A header without its own has those of the cells.
    cell_border_pt: tuple[float, float] = (1.0, 1.0)
    cell_border_strokes: tuple[Stroke, Stroke] = ("solid", "solid")
    header_border_pt: tuple[float, float] | None = None
    header_border_strokes: tuple[Stroke, Stroke] | None = None

    @property
    def quarter(self) -> Quarter | None:
        """The rotation where it is a quarter turn; else None."""
        match self.rotation:
            case 0:
                return 0
            case 90:
                return 90
            case 180:
                return 180
            case 270:
                return 270
        return None

    @cached_property
    def handed_down(self) -> Style:
        """The style that an element inside begins with."""
        return Style(**{name: getattr(self, name) for name in INHERITED})


DEFAULT = Style()


_NUMBER = re.compile(
    r"\s*(-?(?:\d{1,6}(?:\.\d{0,20})?|\.\d{1,20}))\s*(mm|pt|%)?\s*", re.ASCII | re.IGNORECASE
)


def _measure(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if not match:
        raise ValueError("is not a measure")
    return float(match[1]), (match[2] or "").lower()


def read_length(text: str) -> float:
    number, unit = _measure(text)
    if unit == "%":
        raise ValueError("can't be a percentage here")
    return number * MM_PER_PT if unit == "pt" else number


def read_size(text: str) -> float:
    length = read_length(text)
    if length < 0:
        raise ValueError("is negative")
    return length


def points(text: str) -> float:
    """A size in pt, also where it is written in mm; ValueError with the reason."""
    number, unit = _measure(text)
    if number < 0:
        raise ValueError("is negative")
    if unit == "%":
        raise ValueError("can't be a percentage here")
    return number / MM_PER_PT if unit == "mm" else number


def _font_size(text: str) -> float | None:
    if text.strip() == "auto":
        return None
    size = points(text)
    if not 1 <= size <= 500:
        raise ValueError("is not between 1 and 500 pt")
    return size


def read_flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in {"true", "false"}:
        raise ValueError("is neither true nor false")
    return word == "true"


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if (word := text.strip()) not in words:
            raise ValueError("must be " + " or ".join(words))
        return word

    return read


def _rotation(text: str) -> float:
    number, unit = _measure(text)
    if unit:
        raise ValueError("is not an angle in degrees")
    return number % 360


def _percentage(text: str) -> float:
    number, unit = _measure(text)
    if unit not in {"%", ""} or not 50 <= number <= 1000:
        raise ValueError("is not a percentage between 50 and 1000")
    return number / 100


def _spacing(text: str) -> tuple[float, str]:
    number, unit = _measure(text)
    if unit == "%":
        return number / 100, "em"
    return (number * MM_PER_PT if unit == "pt" else number), "mm"


def _lightness(text: str) -> float:
    match = re.fullmatch(r"\s*#([0-9a-fA-F]{6})\s*", text)
    if not match:
        raise ValueError("is not a colour like #000000")
    red, green, blue = bytes.fromhex(match[1])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def _is_white(text: str) -> bool:
    # A thermal head has no grey: what is not nearly white is printed black, so that it can be read.
    return _lightness(text) > 0.9


def _is_dark(text: str) -> bool:
    return _lightness(text) < 0.5


def _sides(read: Callable[[str], T]) -> Callable[[str], tuple[T, T, T, T]]:
    """One to four values, in the order of CSS: top, right, bottom, left; who isn't named is as the one opposite."""

    def sides(text: str) -> tuple[T, T, T, T]:
        found = [read(part) for part in text.split()]
        if not 1 <= len(found) <= 4:
            raise ValueError("takes one to four values")
        top = found[0]
        right = found[1] if len(found) > 1 else top
        bottom = found[2] if len(found) > 2 else top
        return top, right, bottom, found[3] if len(found) > 3 else right

    return sides


def _pair(read: Callable[[str], T]) -> Callable[[str], tuple[T, T]]:
    """One or two values: horizontal, vertical."""

    def pair(text: str) -> tuple[T, T]:
        found = [read(part) for part in text.split()]
        if not 1 <= len(found) <= 2:
            raise ValueError("takes one or two values")
        return found[0], found[-1]

    return pair


def _share(text: str) -> float:
    number, unit = _measure(text)
    if unit or not 0 <= number <= 1:
        raise ValueError("is not between 0 and 1")
    return number


def read_extent(text: str) -> tuple[float, Unit]:
    number, unit = _measure(text)
    if number < 0:
        raise ValueError("is negative")
    if unit == "%":
        if number > 100:
            raise ValueError("is more than 100 %")
        return number, "%"
    return (number * MM_PER_PT if unit == "pt" else number), "mm"


def read_count(text: str) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,4}\s*", text, re.ASCII) or not 1 <= int(text) <= MAX_SPAN:
        raise ValueError(f"is not a whole number from 1 to {MAX_SPAN}")
    return int(text)


def _integer(text: str) -> int:
    if not re.fullmatch(r"\s*-?[0-9]{1,6}\s*", text):
        raise ValueError("is not a whole number")
    return int(text)


def _anything(text: str) -> str:
    return text


def _more(text: str) -> str:
    if text.count("%d") != 1:
        raise ValueError("must have one %d for how many more there are")
    return text


def _area_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", text):
        raise ValueError("is not a name of small letters, digits and hyphens")
    return text


_STROKE = _one_of("solid", "dashed", "dotted")


class Property(NamedTuple):
    """A style property: the field of Style that it sets, whether it comes down to the elements inside, and its reader."""

    sets: str
    inherits: bool
    read: Callable[[str], Any]


STYLES: Mapping[str, Property] = {
    "fontFamily": Property("font_family", True, str.strip),
    "fontSize": Property("font_size_pt", True, _font_size),
    "fontWeight": Property("weight", True, _one_of("light", "normal", "bold")),
    "fontItalic": Property("italic", True, read_flag),
    "fontItatlic": Property("italic", True, read_flag),  # spelt so in one version of CNPL's text
    "fontUnderline": Property("underline", True, read_flag),
    "fontColor": Property("white_text", True, _is_white),
    "backgroundColor": Property("black_background", False, _is_dark),
    "lineColor": Property("white_line", True, _is_white),
    "fillColor": Property("filled", False, _is_dark),
    "align": Property("align", True, _one_of("left", "center", "right")),
    "valign": Property("valign", True, _one_of("top", "middle", "bottom")),
    "wrap": Property("wrap", True, read_flag),
    "lineHeight": Property("line_height", True, _percentage),
    "letterSpacing": Property("letter_spacing", True, _spacing),
    "direction": Property("direction", True, _one_of("ltr", "rtl")),
    "orientation": Property("orientation", False, _one_of("horizontal", "vertical")),
    "rotation": Property("rotation", False, _rotation),
    "alpha": Property("alpha", False, _share),
    "opacity": Property("alpha", False, _share),  # what the platform's own editor writes
    "zIndex": Property("z_index", False, _integer),
    "overflow": Property(
        "hidden_overflow", False, lambda text: _one_of("visible", "hidden")(text) == "hidden"
    ),
    "margin": Property("margin_mm", False, _sides(read_length)),
    "padding": Property("padding_mm", False, _sides(read_size)),
    "borderWidth": Property("border_pt", False, _sides(points)),
    "borderStyle": Property("border_strokes", False, _sides(_STROKE)),
    "cellBorderWidth": Property("cell_border_pt", False, _pair(points)),
    "cellBorderStyle": Property("cell_border_strokes", False, _pair(_STROKE)),
    "headerBorderWidth": Property("header_border_pt", False, _pair(points)),
    "headerBorderStyle": Property("header_border_strokes", False, _pair(_STROKE)),
    "lineWidth": Property("line_pt", True, points),
    "lineType": Property("line_stroke", True, _STROKE),
    "hideText": Property("hide_text", False, read_flag),
}

#: The fields of Style that come down to the elements inside. CNPL says that styles inherit, not which: those that would
#: mean nothing on a container itself.
INHERITED = tuple(dict.fromkeys(known.sets for known in STYLES.values() if known.inherits))

#: The barcode types of CNPL's list, and code128a of its examples.
BARCODE_TYPES = (
    "code128", "code128a", "code128b", "ean128", "qrcode", "code11", "postnet", "pdf417", "code39", "code93", "upca",
    "upce", "ean8", "ean13", "itf14", "c25inter", "maxicode", "datamatrix", "aztec", "hibcAztec", "rm4scc",
    "gs1Datamatrix", "gs128Linear", "codabar",
)  # fmt: skip
#: The most rows or columns that a cell may span.
MAX_SPAN = 500

_BOX = {"left": read_length, "top": read_length, "width": read_size, "height": read_size}
_CELL = {"width": read_extent, "height": read_size}
ATTRIBUTES: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "page": {"width": read_size, "height": read_size, "splitable": read_flag},
    "header": {"height": read_size},
    "footer": {"height": read_size},
    "pageIndex": _BOX | {"format": _anything},
    "layout": _BOX | {"orientation": _one_of("horizontal", "vertical"), "id": _anything, "ref": _anything},
    "text": _BOX | {"value": _anything},
    "barcode": _BOX
    | {
        "type": _one_of(*BARCODE_TYPES),
        "value": _anything,
        "ratioMode": _one_of("keepRatio", "ignoreRatio"),
        "errorCorrection": _one_of("0", "1", "2", "3", "L", "M", "Q", "H"),
        "mode": _integer,
        "primary": _anything,
        "symbolSize": _anything,
    },
    "image": _BOX | {"src": _anything, "allowFailure": read_flag},
    "line": {"startX": read_length, "startY": read_length, "endX": read_length, "endY": read_length},
    "rect": _BOX,
    "circle": _BOX,
    "round": _BOX,
    "table": _BOX,
    "tr": {},
    "th": _CELL,
    "td": _CELL | {"rowspan": read_count, "colspan": read_count},
}
#: Attributes whose text is one of the words that CNPL lists.
WORDS = frozenset({"type", "ratioMode", "orientation", "errorCorrection"})
#: What decides the shape of the tree or of the paper can't wait for data.
NEVER_FROM_DATA = frozenset({"id", "ref", "splitable"})
NEEDED = {
    "page": ("width", "height"),
    "header": ("height",),
    "footer": ("height",),
    "barcode": ("type",),
    "line": ("startX", "startY", "endX", "endY"),
    "th": ("width",),
}
OWN_ATTRIBUTES: Mapping[str, Callable[[str], Any]] = {
    "required": read_flag,
    "minFontSize": points,
    "name": _anything,
    "hideEmpty": read_flag,
    "trim": read_flag,
    "area": _area_name,
    "more": _more,
    "joint": _anything,
}
_DRAWN = frozenset({"layout", "text", "barcode", "image", "line", "rect", "circle", "round", "table"})
#: What may stand in an element. Where pageIndex may stand, a header or footer must be somewhere above it.
INSIDE: Mapping[str, frozenset[str]] = {
    "page": _DRAWN | {"header", "footer"},
    "header": _DRAWN | {"pageIndex"},
    "footer": _DRAWN | {"pageIndex"},
    "layout": _DRAWN | {"pageIndex"},
    "table": frozenset({"tr"}),
    "tr": frozenset({"th", "td"}),
    "th": frozenset({"text"}),
    "td": _DRAWN - {"table"} | {"pageIndex"},
}
#: Elements with a text of their own. In a cell, bare text is a text element that fills the cell.
WORDED = frozenset({"text", "barcode", "pageIndex"})
CELLS = frozenset({"th", "td"})
