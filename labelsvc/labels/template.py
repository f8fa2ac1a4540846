"""A label template in CNPL, the markup that shops' templates are written in, read into a tree of checked elements.

Hides XML, the ``<%= … %>`` places, which style goes down to what is inside, and the tables of what CNPL knows. Data never
meets the markup: the places are set aside before the XML is parsed and filled when the page is composed, so no data can
become an element.

All elements, attributes and style properties of CNPL are read. What CNPL doesn't have, a typing error say, is refused
with its line; nothing is skipped in silence but attributes of foreign namespaces (editors leave them). Our own attributes
are in the namespace ``urn:labelsvc:template``:

``required``     the text must be printed whole or the label is refused
``minFontSize``  how small (pt) a text may become to fit its box
``name``         what errors and warnings call the element
``trim``         white space at the ends goes, and several spaces become one
``hideEmpty``    with nothing to say, the element is left out, its background included
``more``         of a list, a line an item, what doesn't fit becomes a number in this text: ``+%d``
``joint``        what a list's items are joined by instead of standing in a line each
``area``         on a layout: a store's custom area of this name takes the place of what stands in it
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, Protocol, TypeVar
from xml.parsers import expat

from labelsvc.errors import NotFound, TemplateError
from labelsvc.labels.script import Code, Piece, Program, split

#: Bounds of a template: what a stranger's file may cost us. The elements are counted with every ``ref`` followed.
MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_ELEMENTS = 5000
#: The longest side of a page. The widest thermal heads print 8 inches.
MAX_PAGE_MM = 1000.0
#: What scripts may make of a template, for one label: a pick list of a thousand rows.
MAX_SCRIPTED_BYTES = 1024 * 1024
MAX_SCRIPTED_ELEMENTS = 20_000

MM_PER_PT = 25.4 / 72
OWN_NAMESPACE = "urn:labelsvc:template"
_CNPL_NAMESPACES = {"", "http://cloudprint.cainiao.com/print"}

# Private use characters stand for the opening and the end of a place's number while the XML is parsed.
_OPEN, _CLOSE = "\uf8fe", "\uf8ff"
_PLACE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_TAG = re.compile(r"<[^\W\d]")
_STATEMENT = "\uf8fd"  # and this one for a statement, where a template is checked without data
_STEP = r"""\s*(?:\.\s*[^\W\d][\w$]*|\[\s*(?:"[^"\\<>]*"|'[^'\\<>]*'|[0-9]{1,4})\s*\])"""
_PATH = re.compile(rf"=\s*_data((?:{_STEP})+)\s*;?\s*", re.DOTALL)
_ANY_PATH = re.compile(rf"(?<![\w$.])_data((?:{_STEP})+)")
_KEY = re.compile(r"""\.\s*([^\W\d][\w$]*)|\[\s*(?:"([^"]*)"|'([^']*)'|([0-9]+))\s*\]""")
_CALL = re.compile(
    r"""=\s*(?:_config\s*\.\s*(?P<config>needTopLogo|needBottomLogo)
          |_context\s*\.\s*(?P<call>documentNumber|documentCount)\s*\(\s*\)
          |_context\s*\.\s*formatStartTime\s*\(\s*(?:"(?P<double>[^"\\<>\n]*)"|'(?P<single>[^'\\<>\n]*)')\s*\)
        )\s*;?\s*""",
    re.VERBOSE,
)


T = TypeVar("T")


# ── what a label is filled with ─────────────────────────────────────────────────────────────────────────────────────

_SHANGHAI = timezone(timedelta(hours=8))
_TIME_LETTERS = "yyyy|yy|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s|SSS|S|EEE|EE|E"
_WEEKDAYS = "一二三四五六日"


@dataclass(frozen=True)
class Context:
    """What a template can know beside its data (``_context``, ``_config``): which label of how many it is, when printing
    started, and whether the carrier's logos are wanted."""

    number: int = 1
    count: int = 1
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    top_logo: bool = True
    bottom_logo: bool = True

    def format_start_time(self, pattern: str) -> str:
        """The start in Asia/Shanghai, written with ``yyyy MM dd HH hh mm ss S`` and ``E EE EEE`` (一, 周一, 星期一).

        A letter twice is padded to two digits; ``hh`` counts to twelve; ``S`` is the milliseconds.
        """
        words = self._time_words()
        return re.sub(_TIME_LETTERS, lambda letters: words[letters[0]], pattern)

    def _time_words(self) -> dict[str, str]:
        """What each group of letters stands for."""
        at = self.started_at.astimezone(_SHANGHAI)
        numbers = {
            "M": at.month, "d": at.day, "H": at.hour, "h": at.hour % 12 or 12, "m": at.minute, "s": at.second,
        }  # fmt: skip
        words = {letter: str(number) for letter, number in numbers.items()}
        words |= {letter * 2: f"{number:02d}" for letter, number in numbers.items()}
        day = _WEEKDAYS[at.weekday()]
        milliseconds = at.microsecond // 1000
        words |= {"yyyy": f"{at.year:04d}", "yy": f"{at.year % 100:02d}"}
        words |= {"S": str(milliseconds), "SSS": f"{milliseconds:03d}"}
        return words | {"E": day, "EE": f"周{day}", "EEE": f"星期{day}"}

    def for_scripts(self) -> dict[str, Any]:
        """The context as the interpreter's prelude wants it."""
        return {
            "config": {"needTopLogo": self.top_logo, "needBottomLogo": self.bottom_logo},
            "number": self.number,
            "count": self.count,
            "letters": _TIME_LETTERS,
            "words": self._time_words(),
        }


class LabelData(dict[str, Any]):
    """The data of one label, ``_data``, with all else that its places are filled from.

    ``root`` is the tree to compose: the same object for every label of a template without statements.
    """

    __slots__ = ("context", "root", "said")

    def __init__(
        self, data: Mapping[str, Any], root: Element, context: Context, said: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(data)
        self.root = root
        self.context = context
        self.said = said  #: what the template's scripts made of their ``<%= … %>``, in order


class Place(Protocol):
    """A place in a template that is filled for each label."""

    def find(self, data: Any) -> Any:
        """The value there; None for nothing."""


@dataclass(frozen=True)
class DataPath:
    """A place that takes a value from the label data: ``recipient.name``; whole numbers index lists."""

    keys: tuple[str | int, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.keys))

    def find(self, data: Any) -> Any:
        """The value there; None where the way ends."""
        for key in self.keys:
            if isinstance(key, str) and isinstance(data, Mapping):
                data = data.get(key)
            elif isinstance(key, int) and isinstance(data, list | tuple) and key < len(data):
                data = data[key]
            else:
                return None
        return data


@dataclass(frozen=True)
class ContextPlace:
    """A place that takes a value from the label's Context: a field of it, or the start time in a pattern."""

    name: Literal["number", "count", "top_logo", "bottom_logo", "started_at"]
    pattern: str = ""

    def __str__(self) -> str:
        return self.name

    def find(self, data: Any) -> Any:
        """The value there."""
        context = data.context if isinstance(data, LabelData) else Context()
        return (
            context.format_start_time(self.pattern)
            if self.name == "started_at"
            else getattr(context, self.name)
        )


@dataclass(frozen=True)
class SaidPlace:
    """A place that takes the value which the template's scripts said at its number."""

    number: int

    def __str__(self) -> str:
        return "script"

    def find(self, data: Any) -> Any:
        """The value there."""
        return data.said[self.number] if isinstance(data, LabelData) else None


class _Unknown:
    """A place in what a statement may change; nothing can be said about it before there is data."""

    def find(self, data: Any) -> Any:
        return None


_UNKNOWN = _Unknown()
Value = tuple[str | Place, ...]


def _number(value: float) -> str:
    """A number as scripts write it: 2, 0.5, 1e-7."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return re.sub(r"e([+-])0+", r"e\1", repr(value))


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────

Unit = Literal["mm", "%"]


@dataclass(frozen=True, eq=False)
class Element:
    """An element whose literal values are known to be good. Values with places are checked when filled.

    ``data`` is what ``Template.bind`` gives; a plain mapping does where no place asks for the context.
    """

    tag: str
    line: int
    attributes: Mapping[str, Value]
    style: Mapping[str, Value]
    own: Mapping[str, str]
    body: Value
    children: tuple[Element, ...]
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False, init=False)

    @property
    def source(self) -> str:
        """What warnings and errors call it."""
        return (
            f"{self.own['name']} (line {self.line})" if "name" in self.own else f"{self.tag} line {self.line}"
        )

    def fail(self, reason: str, **facts: Any) -> NoReturn:
        """Raise the TemplateError of this element."""
        facts.setdefault("line", self.line)
        facts.setdefault("element", self.own.get("name", self.tag))
        raise TemplateError(f"Line {self.line}, {self.tag}: {reason}", **facts)

    def wants(self, own: str) -> bool:
        """True if one of our own attributes is set to true."""
        return self.own.get(own, "").strip().lower() == "true"

    def depends(self, *names: str) -> bool:
        """True if something of the element itself differs from label to label: any of the named attributes, where
        ``style`` is all of the style and ``body`` its text; without names, anything."""
        found = self._kept.get(names)
        if found is None:
            found = self._kept[names] = any(
                not isinstance(part, str) for value in self._values(names) for part in value
            )
        return bool(found)

    def _values(self, names: tuple[str, ...]) -> Iterator[Value]:
        if not names:
            yield from self.attributes.values()
        for name in names or ("style", "body"):
            if name == "style":
                yield from self.style.values()
            else:
                yield self.body if name == "body" else self.attributes.get(name, ())

    @property
    def is_literal(self) -> bool:
        """True if the element and all in it are the same on every label."""
        found = self._kept.get("literal")
        if found is None:
            found = self._kept["literal"] = not self.depends() and all(
                child.is_literal for child in self.children
            )
        return bool(found)

    @property
    def content(self) -> Value:
        """What a text, barcode or page index says: its ``value`` (``format``), or else its body."""
        return self.attributes.get("format" if self.tag == "pageIndex" else "value") or self.body

    def fill(self, value: Value, data: Mapping[str, Any]) -> str:
        """A value with its places filled: nothing for what is missing, true and false and numbers as scripts write them."""
        return "".join(part if isinstance(part, str) else self._say(part, data) for part in value)

    def _say(self, place: Place, data: Mapping[str, Any]) -> str:
        found = place.find(data)
        if found is None:
            return ""
        if isinstance(found, str):
            return found
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, int) and abs(found) < 10**100:  # Python refuses to write out far larger ones
            return str(found)
        if isinstance(found, float):
            return _number(found)
        return self.fail(f"the data at {place} is not a text, a number or a truth value", field=str(place))

    def length(self, name: str, data: Mapping[str, Any]) -> float | None:
        """A length in mm; None if it isn't given."""
        return self._read(name, data, _length)

    def extent(self, name: str, data: Mapping[str, Any]) -> tuple[float, Unit] | None:
        """A table cell's width, in mm or as a percentage of the table's; None if it isn't given."""
        return self._read(name, data, _extent)

    def count(self, name: str, data: Mapping[str, Any], default: int = 1) -> int:
        """A number of rows or columns."""
        found = self._read(name, data, _count)
        return default if found is None else found

    def flag(self, name: str, data: Mapping[str, Any], default: bool) -> bool:
        """A truth value."""
        found = self._read(name, data, _flag)
        return default if found is None else found

    def word(self, name: str, data: Mapping[str, Any]) -> str:
        """An attribute's text, empty if it isn't given; of a word that CNPL lists, one that it lists."""
        value = self.attributes.get(name, ())
        text = self.fill(value, data)
        if name in _WORDS and len(value) and self.depends(name):
            return str(self.checked(name, text, _ATTRIBUTES[self.tag][name]))
        return text.strip() if name in _WORDS else text

    def styled(self, data: Mapping[str, Any], parent: Style | None = None) -> Style:
        """The element's style: what it says itself, what comes down from ``parent``, and CNPL's defaults."""
        kept = self._kept.get("style")
        if kept and kept[0] is parent:
            style: Style = kept[1]
            return style
        changes: dict[str, Any] = {}
        for name, value in self.style.items():
            known = _STYLES[name]
            changes[known.sets] = self.checked(f"style {name}", self.fill(value, data), known.read)
        base = parent.handed_down if parent else _DEFAULT
        style = replace(base, **changes) if changes else base
        if not self.depends("style"):
            self._kept["style"] = (parent, style)
        return style

    def _read(self, name: str, data: Mapping[str, Any], read: Callable[[str], T]) -> T | None:
        if name not in self.attributes:
            return None
        return self.checked(name, self.fill(self.attributes[name], data), read)

    def checked(self, name: str, text: str, read: Callable[[str], T]) -> T:
        """What the reader makes of a text; its ValueError becomes this element's TemplateError."""
        try:
            return read(text)
        except ValueError as error:
            return self.fail(f"{name} {error}")

    def walk(self) -> Iterator[Element]:
        """This element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


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


_DEFAULT = Style()


@dataclass(frozen=True)
class Template:
    """A template that can be composed. 模板

    ``is_area``: it is a custom area 自定义区, to be put into a place of another template or printed alone. ``areas`` are the
    names of the places for such areas that it has. ``paths`` is what it takes from the data, as far as it is written out.
    ``root`` is the tree; where scripts decide what stands in it, it is what is known without data, and a label's own tree
    is that of ``bind``.
    """

    name: str
    width_mm: float
    height_mm: float
    text: str = field(repr=False)
    paths: tuple[str, ...] = field(repr=False)
    root: Element = field(repr=False)
    is_area: bool = False
    areas: tuple[str, ...] = ()
    program: Program | None = field(default=None, repr=False)
    _trees: OrderedDict[tuple[int, ...], Element] = field(
        default_factory=OrderedDict, repr=False, init=False, compare=False
    )

    def bind(self, data: Mapping[str, Any], context: Context | None = None) -> LabelData:
        """The data of one label, with the tree to fill from it: ``root`` itself, or of a template with statements one of
        its own, the same object for labels on which the same elements stand.

        Raises TemplateError (``line``, ``element``) for what the template's scripts make wrong of this data, code
        ``template.script_limit`` where they take too much; Unavailable where no script can run.
        """
        context = context or Context()
        if not self.program:
            return LabelData(data, self.root, context)
        said = self.program.run(data, context.for_scripts())
        root = self._tree(self.program, said.pieces) if self.program.statements else self.root
        return LabelData(data, root, context, said.values)

    def _tree(self, program: Program, numbers: tuple[int, ...]) -> Element:
        """The tree of the pieces with these numbers; the last ones are kept, for most labels of a template are alike."""
        with _keeping:
            if root := self._trees.get(numbers):
                self._trees.move_to_end(numbers)
                return root
        text = _Text()
        for number in numbers:
            if number < 0:
                text.place(SaidPlace(len(text.places)))
            else:
                text.piece(program.pieces[number])
            if text.size > MAX_SCRIPTED_BYTES:
                raise TemplateError(
                    f"Scripts make the template longer than {MAX_SCRIPTED_BYTES // 1024} KiB",
                    code="template.too_long",
                )
        root = _Tree(text, most=MAX_SCRIPTED_ELEMENTS).read()
        if (root.tag, root.length("width", {}), root.length("height", {})) != (
            self.root.tag, self.width_mm, self.height_mm,
        ):  # fmt: skip
            root.fail("width and height can't depend on data")
        with _keeping:
            self._trees[numbers] = root
            while len(self._trees) > _KEPT_TREES:
                self._trees.popitem(last=False)
        return root


_KEPT_TREES = 32
_keeping = threading.Lock()


# ── what CNPL's words mean; each reader raises ValueError with the reason, never the value ──────────────────────────

_NUMBER = re.compile(
    r"\s*(-?(?:\d{1,6}(?:\.\d{0,20})?|\.\d{1,20}))\s*(mm|pt|%)?\s*", re.ASCII | re.IGNORECASE
)


def _measure(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if not match:
        raise ValueError("is not a measure")
    return float(match[1]), (match[2] or "").lower()


def _length(text: str) -> float:
    number, unit = _measure(text)
    if unit == "%":
        raise ValueError("can't be a percentage here")
    return number * MM_PER_PT if unit == "pt" else number


def _size(text: str) -> float:
    length = _length(text)
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


def _flag(text: str) -> bool:
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


def _extent(text: str) -> tuple[float, Unit]:
    number, unit = _measure(text)
    if number < 0:
        raise ValueError("is negative")
    if unit == "%":
        if number > 100:
            raise ValueError("is more than 100 %")
        return number, "%"
    return (number * MM_PER_PT if unit == "pt" else number), "mm"


def _count(text: str) -> int:
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


class _Property(NamedTuple):
    """A style property: the field of Style that it sets, whether it comes down to the elements inside, and its reader."""

    sets: str
    inherits: bool
    read: Callable[[str], Any]


_STYLES: Mapping[str, _Property] = {
    "fontFamily": _Property("font_family", True, str.strip),
    "fontSize": _Property("font_size_pt", True, _font_size),
    "fontWeight": _Property("weight", True, _one_of("light", "normal", "bold")),
    "fontItalic": _Property("italic", True, _flag),
    "fontItatlic": _Property("italic", True, _flag),  # spelt so in one version of CNPL's text
    "fontUnderline": _Property("underline", True, _flag),
    "fontColor": _Property("white_text", True, _is_white),
    "backgroundColor": _Property("black_background", False, _is_dark),
    "lineColor": _Property("white_line", True, _is_white),
    "fillColor": _Property("filled", False, _is_dark),
    "align": _Property("align", True, _one_of("left", "center", "right")),
    "valign": _Property("valign", True, _one_of("top", "middle", "bottom")),
    "wrap": _Property("wrap", True, _flag),
    "lineHeight": _Property("line_height", True, _percentage),
    "letterSpacing": _Property("letter_spacing", True, _spacing),
    "direction": _Property("direction", True, _one_of("ltr", "rtl")),
    "orientation": _Property("orientation", False, _one_of("horizontal", "vertical")),
    "rotation": _Property("rotation", False, _rotation),
    "alpha": _Property("alpha", False, _share),
    "opacity": _Property("alpha", False, _share),  # what the platform's own editor writes
    "zIndex": _Property("z_index", False, _integer),
    "overflow": _Property(
        "hidden_overflow", False, lambda text: _one_of("visible", "hidden")(text) == "hidden"
    ),
    "margin": _Property("margin_mm", False, _sides(_length)),
    "padding": _Property("padding_mm", False, _sides(_size)),
    "borderWidth": _Property("border_pt", False, _sides(points)),
    "borderStyle": _Property("border_strokes", False, _sides(_STROKE)),
    "cellBorderWidth": _Property("cell_border_pt", False, _pair(points)),
    "cellBorderStyle": _Property("cell_border_strokes", False, _pair(_STROKE)),
    "headerBorderWidth": _Property("header_border_pt", False, _pair(points)),
    "headerBorderStyle": _Property("header_border_strokes", False, _pair(_STROKE)),
    "lineWidth": _Property("line_pt", True, points),
    "lineType": _Property("line_stroke", True, _STROKE),
    "hideText": _Property("hide_text", False, _flag),
}

#: The fields of Style that come down to the elements inside. CNPL says that styles inherit, not which: those that would
#: mean nothing on a container itself.
INHERITED = tuple(dict.fromkeys(known.sets for known in _STYLES.values() if known.inherits))

#: The barcode types of CNPL's list, and code128a of its examples.
BARCODE_TYPES = (
    "code128", "code128a", "code128b", "ean128", "qrcode", "code11", "postnet", "pdf417", "code39", "code93", "upca",
    "upce", "ean8", "ean13", "itf14", "c25inter", "maxicode", "datamatrix", "aztec", "hibcAztec", "rm4scc",
    "gs1Datamatrix", "gs128Linear", "codabar",
)  # fmt: skip
#: The most rows or columns that a cell may span.
MAX_SPAN = 500

_BOX = {"left": _length, "top": _length, "width": _size, "height": _size}
_CELL = {"width": _extent, "height": _size}
_ATTRIBUTES: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "page": {"width": _size, "height": _size, "splitable": _flag},
    "header": {"height": _size},
    "footer": {"height": _size},
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
    "image": _BOX | {"src": _anything, "allowFailure": _flag},
    "line": {"startX": _length, "startY": _length, "endX": _length, "endY": _length},
    "rect": _BOX,
    "circle": _BOX,
    "round": _BOX,
    "table": _BOX,
    "tr": {},
    "th": _CELL,
    "td": _CELL | {"rowspan": _count, "colspan": _count},
}
#: Attributes whose text is one of the words that CNPL lists.
_WORDS = frozenset({"type", "ratioMode", "orientation", "errorCorrection"})
#: What decides the shape of the tree or of the paper can't wait for data.
_NEVER_FROM_DATA = frozenset({"id", "ref", "splitable"})
_NEEDED = {
    "page": ("width", "height"),
    "header": ("height",),
    "footer": ("height",),
    "barcode": ("type",),
    "line": ("startX", "startY", "endX", "endY"),
    "th": ("width",),
}
_OWN_ATTRIBUTES: Mapping[str, Callable[[str], Any]] = {
    "required": _flag,
    "minFontSize": points,
    "name": _anything,
    "hideEmpty": _flag,
    "trim": _flag,
    "area": _area_name,
    "more": _more,
    "joint": _anything,
}
_DRAWN = frozenset({"layout", "text", "barcode", "image", "line", "rect", "circle", "round", "table"})
#: What may stand in an element. Where pageIndex may stand, a header or footer must be somewhere above it.
_INSIDE: Mapping[str, frozenset[str]] = {
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
_WORDED = frozenset({"text", "barcode", "pageIndex"})
_CELLS = frozenset({"th", "td"})


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse(text: str, name: str = "", includes: Mapping[str, str] | None = None) -> Template:
    """Read a template of CNPL text; TemplateError with ``line`` and ``element`` for what is wrong with it.

    The root is a page, or a layout for a custom area 自定义区. The parser refuses document types and entities, more than
    256 KiB, 32 levels or 5,000 elements (every ``ref`` followed; 20,000 after scripts). ``includes`` are the scripts by
    name that the template may include; none by default. Scripts are compiled here and run by ``Template.bind``; where
    they decide what stands in the template, all that they can put there is checked here as far as it goes without data.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TemplateError(f"The template is longer than {MAX_BYTES // 1024} KiB", code="template.too_long")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")  # as XML reads line ends
    for stranger in (_OPEN, _CLOSE, _STATEMENT):
        if stranger in text:
            line = text.count("\n", 0, text.index(stranger)) + 1
            raise TemplateError(f"Line {line}: the character U+{ord(stranger):04X} is reserved", line=line)
    parts = list(split(text))
    places = [_place(part.text) for part in parts if isinstance(part, Code)]
    program = Program(parts, includes or {}) if None in places else None
    prepared = _Text()
    for part in parts:
        if isinstance(part, Piece):
            prepared.piece(part)
        elif part.text.startswith("="):
            known = _place(part.text)
            prepared.place(SaidPlace(len(prepared.places)) if program or not known else known)
        else:
            prepared.statement()
    tree = _Tree(prepared, certain=not (program and program.statements))
    root = tree.read()
    width, height = root.length("width", {}), root.length("height", {})
    if not width or not height or max(width, height) > MAX_PAGE_MM:
        root.fail(f"width and height must be between 0 and {MAX_PAGE_MM:g} mm")
    areas = tuple(dict.fromkeys(one.own["area"] for one in root.walk() if "area" in one.own))
    return Template(name, width, height, text, _paths(parts), root, root.tag == "layout", areas, program)


def _place(code: str) -> Place | None:
    """The place that a ``<% … %>`` of this code is; None if it takes a script engine to say."""
    if path := _PATH.fullmatch(code):
        return DataPath(_keys(path[1]))
    if call := _CALL.fullmatch(code):
        if call["config"]:
            return ContextPlace("top_logo" if call["config"] == "needTopLogo" else "bottom_logo")
        if call["call"]:
            return ContextPlace("number" if call["call"] == "documentNumber" else "count")
        return ContextPlace("started_at", call["double"] or call["single"] or "")
    return None


def _keys(path: str) -> tuple[str | int, ...]:
    return tuple(int(key[3]) if key[3] else key[0] or key[1] or key[2] for key in _KEY.findall(path))


def _paths(parts: Sequence[Piece | Code]) -> tuple[str, ...]:
    """The data paths that a template's places and scripts write out, once each."""
    found: dict[str, None] = {}
    for part in parts:
        if isinstance(part, Code):
            for path in _ANY_PATH.findall(part.text):
                keys = _keys(path)
                # What scripts ask of a list isn't in the data.
                found[str(DataPath(keys[:-1] if keys[-1] == "length" else keys))] = None
    found.pop("", None)
    return tuple(found)


class _Origin(NamedTuple):
    """Where a stretch of the parsed text comes from: its first byte and line, and that line in the template."""

    byte: int
    line: int
    template_line: int


class _Text:
    """The text that is parsed as XML, put together from a template's pieces and marks for what is filled in."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.places: list[Place] = []
        self.origins = [_Origin(0, 1, 1)]
        self.size = 0  #: in bytes of UTF-8
        self._line = 1  #: of the text so far
        self._begun = False  #: whether the root element is in it

    def piece(self, piece: Piece) -> None:
        text, line = piece
        if not self.parts:  # an XML declaration must be the very first: scripts before it leave line breaks
            text = text.lstrip()
            line += piece.text[: len(piece.text) - len(text)].count("\n")
            if not text:
                return
        self.origins.append(_Origin(self.size, self._line, line))
        self._add(text)
        self._line += text.count("\n")

    def place(self, place: Place) -> None:
        self._add(f"{_OPEN}{len(self.places)}{_CLOSE}")
        self.places.append(place)

    def statement(self) -> None:
        """A mark where a statement may put something in; outside of the root that wouldn't be XML."""
        if self._begun:
            self._add(_STATEMENT)

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self._begun = self._begun or _TAG.search(text) is not None
        self.size += len(text.encode("utf-8", "surrogatepass"))


class _Enough(Exception):
    """No more can be said about a template without data."""


class _Tree:
    """One reading of the XML of one template."""

    def __init__(self, text: _Text, *, certain: bool = True, most: int = MAX_ELEMENTS) -> None:
        """``certain``: this is what stands on a label. Otherwise statements decide, and it is all that they can put there
        at once: what is wrong because of that, such as two headers, isn't told."""
        self.text = text
        self.certain = certain
        self.most = most  #: elements
        self.places = text.places
        self.origins = text.origins
        self.open: list[_Open] = []
        self.count = 0
        self.areas: set[str] = set()
        self.layouts: dict[str, list[Element]] = {}
        self.refers = False
        self.root: Element | None = None

    def read(self) -> Element:
        """The root, with every ``ref`` followed; where the tree isn't certain and not well-formed, as much of it as came."""
        parser = expat.ParserCreate(namespace_separator="\n")
        parser.buffer_text = False
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartCdataSectionHandler = lambda: self._cdata(True)
        parser.EndCdataSectionHandler = lambda: self._cdata(False)
        self.expat = parser
        try:
            parser.Parse("".join(self.text.parts), True)
        except _Enough:
            return self._so_far()
        except expat.ExpatError as error:
            if not self.certain and (self.open or self.root):
                return self._so_far()
            reason = expat.ErrorString(error.code)
            line = self._line(parser.ErrorByteIndex, error.lineno)
            raise TemplateError(f"Line {line}: not well-formed XML ({reason})", line=line) from None
        except UnicodeEncodeError:
            raise TemplateError("The template holds half a character (a lone surrogate)") from None
        if self.root is None:
            raise TemplateError("The template is empty", line=1)
        if self.refers and self.certain:
            return _References(self.layouts, self.most).follow(self.root)
        return self.root

    def _so_far(self) -> Element:
        """What there is of a tree whose if and else aren't well-formed together."""
        while self.open:
            self._end("")
        assert self.root
        return self.root

    def _line(self, byte: int, line: int) -> int:
        origin = self.origins[bisect_right(self.origins, byte, key=lambda one: one.byte) - 1]
        return origin.template_line + line - origin.line

    @property
    def line(self) -> int:
        """The template's line that the parser is at."""
        return self._line(self.expat.CurrentByteIndex, self.expat.CurrentLineNumber)

    def _value(self, text: str) -> Value:
        if _STATEMENT in text:
            return (*self._value(text.replace(_STATEMENT, "")), _UNKNOWN)
        if _OPEN not in text:
            return (text,) if text else ()
        filled = (self.places[int(part)] if odd % 2 else part for odd, part in enumerate(_PLACE.split(text)))
        return tuple(part for part in filled if part != "")

    def _doctype(self, *_: object) -> None:
        raise TemplateError(f"Line {self.line}: document types and entities are not allowed", line=self.line)

    def _start(self, qualified: str, found: dict[str, str]) -> None:
        namespace, _, tag = qualified.rpartition("\n")
        shown = tag if re.fullmatch(r"\w{1,40}", tag) else "element"
        name = found.get(f"{OWN_NAMESPACE}\nname")
        here = Element(shown, self.line, {}, {}, {"name": name} if name else {}, (), ())
        self.count += 1
        if self.count > self.most:
            here.fail(f"more than {self.most} elements", code="template.too_long")
        if len(self.open) >= MAX_DEPTH:
            here.fail(f"more than {MAX_DEPTH} levels", code="template.too_deep")
        if namespace not in _CNPL_NAMESPACES or tag not in _ATTRIBUTES:
            here.fail("is not an element of CNPL")
        self._belongs(here)
        opened = _Open(tag, here.line)
        for name, text in found.items():
            space, _, local = name.rpartition("\n")
            if space == OWN_NAMESPACE:
                self._own(here, opened, local, text)
            elif not space:
                self._attribute(here, opened, local, text)
        missing = [name for name in _NEEDED.get(tag, ()) if name not in opened.attributes]
        if missing:
            here.fail(f"{missing[0]} is missing")
        self.open.append(opened)

    def _belongs(self, here: Element) -> None:
        """Refuse an element where CNPL doesn't let it stand."""
        tag = here.tag
        if not self.open:
            if tag not in {"page", "layout"}:
                here.fail("the outermost element must be page, or layout for a custom area")
            return
        parent = self.open[-1]
        if tag == "page" and not self.certain:
            raise _Enough
        if tag == "page":
            here.fail("can only be the outermost element")
        if tag not in _INSIDE.get(parent.tag, ()):
            here.fail(f"can't stand inside {parent.tag}")
        if not self.certain:
            return
        if tag in {"header", "footer"} and any(one.tag == tag for one in parent.children):
            here.fail(f"a page has one {tag} at most")
        if tag == "th" and self.open[-2].children:
            here.fail("can only stand in the first row of its table")
        if tag == "pageIndex" and not any(one.tag in {"header", "footer"} for one in self.open):
            here.fail("can only stand in a header or footer")

    def _own(self, here: Element, opened: _Open, name: str, text: str) -> None:
        if _STATEMENT in text:
            return
        if name not in _OWN_ATTRIBUTES or _OPEN in text:
            here.fail("has an attribute of labelsvc's that isn't known or depends on data")
        here.checked(name, text, _OWN_ATTRIBUTES[name])
        if name == "area":
            if here.tag != "layout":
                here.fail("only a layout can be the place of a custom area")
            if text in self.areas and self.certain:
                here.fail("there is a place for a custom area of this name already")
            self.areas.add(text)
        opened.own[name] = text

    def _attribute(self, here: Element, opened: _Open, name: str, text: str) -> None:
        if name == "style":
            for place, declaration in enumerate(text.split(";"), 1):
                if not declaration.strip():
                    continue
                known, colon, value = declaration.partition(":")
                known = known.replace(_STATEMENT, "").strip()
                if _STATEMENT in text and not known.strip():
                    continue
                if not colon or known not in _STYLES:
                    here.fail(f"part {place} of its style is not a property that CNPL has")
                opened.style[known] = filled = self._value(value.strip())
                self._check(here, f"style {known}", filled, _STYLES[known].read)
            return
        readers = _ATTRIBUTES[here.tag]
        if name not in readers:
            here.fail("has an attribute that CNPL doesn't give it")
        opened.attributes[name] = filled = self._value(text)
        if any(not isinstance(part, str) for part in filled) and (
            name in _NEVER_FROM_DATA or (not self.open and name in {"width", "height"})
        ):
            here.fail(f"{name} can't depend on data")
        self._check(here, name, filled, readers[name])

    def _check(self, here: Element, name: str, value: Value, read: Callable[[str], Any]) -> None:
        """Literal values are checked now, so that a template's fault shows when it is stored, not when it is printed."""
        if all(isinstance(part, str) for part in value):
            here.checked(name, "".join(map(str, value)), read)

    def _cdata(self, inside: bool) -> None:
        if self.open:
            self.open[-1].in_cdata = inside

    def _characters(self, text: str) -> None:
        opened = self.open[-1]
        text = text.replace(_STATEMENT, "")
        if opened.tag in _WORDED or opened.tag in _CELLS:
            opened.words.append((text, opened.in_cdata))
        elif text.strip():
            Element(opened.tag, self.line, {}, {}, {}, (), ()).fail(
                "text can only stand in a text, a barcode or a table's cell"
            )

    def _end(self, _: str) -> None:
        opened = self.open.pop()
        here = Element(
            opened.tag,
            opened.line,
            opened.attributes,
            opened.style,
            opened.own,
            self._value(opened.body()),
            tuple(opened.children),
        )
        if opened.tag in _CELLS:
            here = self._cell(here)
        elif opened.tag == "layout":
            self._name_layout(here)
        elif opened.tag == "text" and here.style.get("fontSize") == ("auto",):
            # A layout round it that has them will do: editors write a box as a layout with a text in it.
            above = self.open[-1].attributes if self.open[-1].tag == "layout" else {}
            if not all(side in here.attributes or side in above for side in ("width", "height")):
                here.fail("style fontSize auto needs a width and a height")
        if self.open:
            self.open[-1].children.append(here)
        else:
            self.root = here

    def _cell(self, here: Element) -> Element:
        """Bare text in a cell becomes a text element, so that a cell holds elements only."""
        if not "".join(part if isinstance(part, str) else "x" for part in here.body).strip():
            return replace(here, body=())
        if here.children:
            if self.certain:
                here.fail("has both text and elements in it")
            return here
        return replace(here, body=(), children=(Element("text", here.line, {}, {}, {}, here.body, ()),))

    def _name_layout(self, here: Element) -> None:
        if "ref" in here.attributes:
            self.refers = True
            if here.children:
                here.fail("has both a ref and content of its own")
        if name := here.word("id", {}):
            self.layouts.setdefault(name, []).append(here)


class _Open:
    """An element whose end hasn't come yet."""

    def __init__(self, tag: str, line: int) -> None:
        self.tag = tag
        self.line = line
        self.attributes: dict[str, Value] = {}
        self.style: dict[str, Value] = {}
        self.own: dict[str, str] = {}
        self.words: list[tuple[str, bool]] = []  # and whether they stand in CDATA
        self.in_cdata = False
        self.children: list[Element] = []

    def body(self) -> str:
        """What was written in the element, white space at line ends included.

        Only the template's own indentation goes: what stands round a CDATA section, or else the line break after the
        start tag and the one before the end tag with the blanks that belong to them.
        """
        if any(quoted for _, quoted in self.words) and not any(
            text.strip() for text, quoted in self.words if not quoted
        ):
            return "".join(text for text, quoted in self.words if quoted)
        body = "".join(text for text, _ in self.words)
        stripped = body.lstrip()
        if "\n" in body[: len(body) - len(stripped)]:
            body = stripped
        stripped = body.rstrip()
        if "\n" in body[len(stripped) :]:
            body = body[: body.index("\n", len(stripped))]
        return body


class _Followed(NamedTuple):
    """An element with what its layouts refer to, and how many elements and levels it is."""

    element: Element
    size: int
    levels: int


class _References:
    """The ``ref`` of layouts, followed: a layout that refers to another has that one's content in a box of its own."""

    def __init__(self, layouts: Mapping[str, Sequence[Element]], most: int) -> None:
        self.layouts = layouts
        self.most = most
        self.done: dict[Element, _Followed] = {}
        self.within: set[Element] = set()

    def follow(self, element: Element, depth: int = 1) -> Element:
        """The tree with what its layouts refer to; bounded as if it had been written out."""
        return self._followed(element, depth).element

    def _followed(self, element: Element, depth: int) -> _Followed:
        followed = self.done.get(element)
        if not followed and depth <= MAX_DEPTH:
            content = self._content(element)
            if element in self.within or content in self.within:
                element.fail("refers to itself")
            self.within |= {element, content}
            inner = [self._followed(child, depth + 1) for child in content.children]
            self.within -= {element, content}
            followed = _Followed(
                replace(element, children=tuple(one.element for one in inner)),
                1 + sum(one.size for one in inner),
                1 + max((one.levels for one in inner), default=0),
            )
            self.done[element] = followed
        if not followed or depth + followed.levels - 1 > MAX_DEPTH:
            element.fail(f"more than {MAX_DEPTH} levels", code="template.too_deep")
        if followed.size > self.most:
            element.fail(f"more than {self.most} elements", code="template.too_long")
        return followed

    def _content(self, element: Element) -> Element:
        """The layout that has the content of this one: itself, or where its ref leads in the end."""
        seen = {element}
        while "ref" in element.attributes:
            found = self.layouts.get(element.word("ref", {}), ())
            if len(found) != 1:
                element.fail(
                    "refers to an id that several layouts have" if found else "refers to no layout's id"
                )
            element = found[0]
            if element in seen:
                element.fail("refers to itself")
            seen.add(element)
        return element


# ── the shipped templates ───────────────────────────────────────────────────────────────────────────────────────────


class StandardTemplates:
    """The templates in a directory, one file ``NAME.xml`` each; by default those that come with labelsvc. 标准模板"""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or _shipped()

    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(path.stem for path in self.directory.glob("*.xml"))

    def get(self, name: str) -> Template:
        """The template of a name; NotFound if there is none."""
        # Only a name that was listed is opened: no name can lead out of the directory.
        if name not in self.names():
            raise NotFound("There is no such template", code="template.unknown", field="template")
        path = self.directory / f"{name}.xml"
        return _parsed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _parsed(path: Path, _changed: int) -> Template:
    return parse(path.read_text("utf-8"), path.stem)


def _shipped() -> Path:
    """``templates/`` beside the package in a clone, ``labelsvc/data/templates`` where the wheel put it."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "data" / "templates", package.parent / "templates"):
        if candidate.is_dir():
            return candidate
    raise NotFound("The shipped templates are missing", code="template.unknown")
