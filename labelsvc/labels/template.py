"""A label template in CNPL, the markup that shops' templates are written in, read into a tree of checked elements.

Hides XML, the ``<%= _data.a.b %>`` places and the tables of what CNPL knows. Data never meets the markup: the places
are set aside before the XML is parsed and filled when the page is composed, so no data can become an element.

What is read is the part of CNPL that waybills need: page, layout, text, barcode (Code 128, QR), line, rect, image.
Everything else that CNPL or a typing error could hold is refused with its line; nothing is skipped in silence but
attributes of foreign namespaces (editors leave them). Our own attributes are in the namespace ``urn:labelsvc:template``:

``required``     the text must be printed whole or the label is refused
``minFontSize``  how small (pt) a text may become to fit its box
``name``         what errors and warnings call the element
``trim``         white space at the ends goes, and several spaces become one
``hideEmpty``    with nothing to say, the element is left out, its background included
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar
from xml.parsers import expat

from labelsvc.errors import NotFound, TemplateError

#: Bounds of a template: what a stranger's file may cost us.
MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_ELEMENTS = 2000
#: The longest side of a page. The widest thermal heads print 8 inches.
MAX_PAGE_MM = 1000.0

MM_PER_PT = 25.4 / 72
OWN_NAMESPACE = "urn:labelsvc:template"
_CNPL_NAMESPACES = {"", "http://cloudprint.cainiao.com/print"}

# Private use characters stand for the opening and the end of a place's number while the XML is parsed.
_OPEN, _CLOSE = "\uf8fe", "\uf8ff"
_PLACE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_SCRIPT = re.compile(r"<%(.*?)%>|<%", re.DOTALL)
_STEP = r"""\s*(?:\.\s*[^\W\d][\w$]*|\[\s*(?:"[^"\\<>]*"|'[^'\\<>]*'|[0-9]{1,4})\s*\])"""
_PATH = re.compile(rf"=\s*_data((?:{_STEP})+)\s*;?\s*", re.DOTALL)
_KEY = re.compile(r"""\.\s*([^\W\d][\w$]*)|\[\s*(?:"([^"]*)"|'([^']*)'|([0-9]+))\s*\]""")


T = TypeVar("T")


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


Value = tuple[str | DataPath, ...]


@dataclass(frozen=True, eq=False)
class Element:
    """An element whose literal values are known to be good. Values with data paths are checked when filled."""

    tag: str
    line: int
    attributes: Mapping[str, Value]
    style: Mapping[str, Value]
    own: Mapping[str, str]
    body: Value
    children: tuple[Element, ...]

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

    def fill(self, value: Value, data: Mapping[str, Any]) -> str:
        """A value with its places filled: nothing for what is missing, true and false and numbers as scripts write them."""
        return "".join(part if isinstance(part, str) else self._say(part, data) for part in value)

    def _say(self, path: DataPath, data: Mapping[str, Any]) -> str:
        found = path.find(data)
        if found is None:
            return ""
        if isinstance(found, str):
            return found
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, int) and abs(found) < 10**100:  # Python refuses to write out far larger ones
            return str(found)
        if isinstance(found, float):
            return str(int(found)) if found.is_integer() else repr(found)
        return self.fail(f"the data at {path} is not a text, a number or a truth value", field=str(path))

    def length(self, name: str, data: Mapping[str, Any]) -> float | None:
        """A length in mm; None if it isn't given."""
        return self._read(name, data, _length)

    def flag(self, name: str, data: Mapping[str, Any], default: bool) -> bool:
        """A truth value."""
        found = self._read(name, data, _flag)
        return default if found is None else found

    def word(self, name: str, data: Mapping[str, Any]) -> str:
        """An attribute's text, empty if it isn't given."""
        return self.fill(self.attributes.get(name, ()), data)

    def styled(self, data: Mapping[str, Any]) -> Style:
        """The element's style with its defaults."""
        changes: dict[str, Any] = {}
        for name, value in self.style.items():
            target, read = _STYLES[name]
            if target:
                changes[target] = self.checked(f"style {name}", self.fill(value, data), read)
        return replace(Style(), **changes)

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


@dataclass(frozen=True)
class Style:
    """The style properties that change what is printed, with CNPL's defaults. Sizes in pt; None: as large as fits."""

    font_size_pt: float | None = 8.0
    weight: Literal["light", "normal", "bold"] = "normal"
    align: Align = "left"
    valign: VAlign = "top"
    wrap: bool = True
    line_height: float = 1.2  #: share of the font size
    letter_spacing: tuple[float, str] = (0.0, "mm")  #: and its unit: mm or em
    rotation: Literal[0, 90, 180, 270] = 0
    underline: bool = False
    white_text: bool = False
    black_background: bool | None = None
    hidden_overflow: bool = False
    border_pt: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  #: top, right, bottom, left
    border_stroke: Stroke = "solid"
    filled: bool = False
    line_pt: float = 1.0
    line_stroke: Stroke = "solid"
    white_line: bool = False
    z_index: int = 0
    hide_text: bool = True


@dataclass(frozen=True)
class Template:
    """A template that can be composed. 模板"""

    name: str
    width_mm: float
    height_mm: float
    text: str = field(repr=False)
    paths: tuple[str, ...] = field(repr=False)
    root: Element = field(repr=False)


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


def _rotation(text: str) -> int:
    number, unit = _measure(text)
    if unit or number % 360 not in {0, 90, 180, 270}:
        raise ValueError("must be 0, 90, 180 or 270")
    return int(number % 360)


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


def _border(text: str) -> tuple[float, float, float, float]:
    widths = [points(part) for part in text.split()]
    if not 1 <= len(widths) <= 4:
        raise ValueError("takes one to four widths")
    top = widths[0]
    right = widths[1] if len(widths) > 1 else top
    bottom = widths[2] if len(widths) > 2 else top
    return top, right, bottom, widths[3] if len(widths) > 3 else right


def _integer(text: str) -> int:
    if not re.fullmatch(r"\s*-?[0-9]{1,6}\s*", text):
        raise ValueError("is not a whole number")
    return int(text)


def _anything(text: str) -> str:
    return text


def _only(*words: str) -> Callable[[str], str]:
    """A property that we can't honour yet: its default passes, the rest is refused rather than misprinted."""

    def read(text: str) -> str:
        if text.strip().lower() not in words:
            raise ValueError("is not supported yet")
        return text

    return read


_STROKES = _one_of("solid", "dashed", "dotted")

#: Style property: the field of Style that it sets (none: it changes nothing on a thermal label) and its reader.
_STYLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "fontFamily": ("", _anything),  # CNPL: an unknown font falls back; we have one, which has every character
    "fontSize": ("font_size_pt", _font_size),
    "fontWeight": ("weight", _one_of("light", "normal", "bold")),
    "fontItalic": ("", _only("false")),
    "fontItatlic": ("", _only("false")),  # spelt so in one version of CNPL's text
    "fontUnderline": ("underline", _flag),
    "fontColor": ("white_text", _is_white),
    "backgroundColor": ("black_background", _is_dark),
    "lineColor": ("white_line", _is_white),
    "fillColor": ("filled", _is_dark),
    "align": ("align", _one_of("left", "center", "right")),
    "valign": ("valign", _one_of("top", "middle", "bottom")),
    "wrap": ("wrap", _flag),
    "lineHeight": ("line_height", _percentage),
    "letterSpacing": ("letter_spacing", _spacing),
    "direction": ("", _only("ltr")),
    "orientation": ("", _only("horizontal")),
    "rotation": ("rotation", _rotation),
    "alpha": ("", _only("1", "1.0")),
    "zIndex": ("z_index", _integer),
    "overflow": ("hidden_overflow", lambda text: _one_of("visible", "hidden")(text) == "hidden"),
    "margin": ("", _only("0", "0mm", "0 0", "0 0 0 0")),
    "padding": ("", _only("0", "0mm", "0 0", "0 0 0 0")),
    "borderWidth": ("border_pt", _border),
    "borderStyle": ("border_stroke", _STROKES),
    "lineWidth": ("line_pt", points),
    "lineType": ("line_stroke", _STROKES),
    "hideText": ("hide_text", _flag),
}

_BOX = {"left": _length, "top": _length, "width": _size, "height": _size}
_ATTRIBUTES: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "page": {"width": _size, "height": _size, "splitable": _only("false")},
    "layout": _BOX | {"orientation": _one_of("horizontal", "vertical"), "id": _anything},
    "text": _BOX | {"value": _anything},
    "barcode": _BOX
    | {
        "type": _one_of("code128", "code128a", "code128b", "qrcode"),
        "value": _anything,
        "ratioMode": _one_of("keepRatio", "ignoreRatio"),
        "errorCorrection": _one_of("0", "1", "2", "3", "L", "M", "Q", "H"),
        "mode": _only(""),
        "primary": _only(""),
        "symbolSize": _only(""),
    },
    "image": _BOX | {"src": _anything, "allowFailure": _flag},
    "line": {"startX": _length, "startY": _length, "endX": _length, "endY": _length},
    "rect": _BOX,
}
_OWN_ATTRIBUTES: Mapping[str, Callable[[str], Any]] = {
    "required": _flag,
    "minFontSize": points,
    "name": _anything,
    "hideEmpty": _flag,
    "trim": _flag,
}
#: Elements that CNPL has and we don't yet: said so, rather than "unknown".
_LATER = {"header", "footer", "pageIndex", "table", "tr", "th", "td", "circle", "round"}
_NEEDED = {"page": ("width", "height"), "barcode": ("type",), "line": ("startX", "startY", "endX", "endY")}


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse(text: str, name: str = "") -> Template:
    """Read a template of CNPL text; TemplateError with ``line`` and ``element`` for what is wrong with it.

    The parser refuses document types and entities, more than 256 KiB, 16 levels or 2,000 elements.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TemplateError(f"The template is longer than {MAX_BYTES // 1024} KiB", code="template.too_long")
    return _Parser(text).template(name)


class _Parser:
    """One reading of one template."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.places: list[DataPath] = []
        self.longer: list[
            tuple[int, int]
        ] = []  # after this line of the parsed text, so many lines were taken out
        self.open: list[_Open] = []
        self.count = 0
        self.root: Element | None = None
        self.in_cdata = False

    def template(self, name: str) -> Template:
        prepared = self._set_places_aside(self.text)
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
            parser.Parse(prepared, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            line = self._line(error.lineno)
            raise TemplateError(f"Line {line}: not well-formed XML ({reason})", line=line) from None
        except UnicodeEncodeError:
            raise TemplateError("The template holds half a character (a lone surrogate)") from None
        if self.root is None:
            raise TemplateError("The template is empty", line=1)
        root = self.root
        width, height = root.length("width", {}), root.length("height", {})
        if not width or not height or max(width, height) > MAX_PAGE_MM:
            root.fail(f"width and height must be between 0 and {MAX_PAGE_MM:g} mm")
        paths = tuple(dict.fromkeys(map(str, self.places)))
        return Template(name, width, height, self.text, paths, root)

    def _set_places_aside(self, text: str) -> str:
        text = text.removeprefix("\ufeff")
        for stranger in (_OPEN, _CLOSE):
            if stranger in text:
                line = text.count("\n", 0, text.index(stranger)) + 1
                raise TemplateError(
                    f"Line {line}: the character U+{ord(stranger):04X} is reserved", line=line
                )
        out: list[str] = []
        at, line = 0, 1
        for match in _SCRIPT.finditer(text):
            before = text[at : match.start()]
            out.append(before)
            line += before.count("\n")
            place = _PATH.fullmatch(match[1] or "")
            if not place:
                original = line + sum(lines for _, lines in self.longer)
                raise TemplateError(
                    f"Line {original}: scripts are not supported yet, only <%= _data.name %>",
                    code="template.script",
                    line=original,
                )
            if lines := match[0].count("\n"):
                self.longer.append((line, lines))
            keys = tuple(
                int(key[3]) if key[3] else key[0] or key[1] or key[2] for key in _KEY.findall(place[1])
            )
            out.append(f"{_OPEN}{len(self.places)}{_CLOSE}")
            self.places.append(DataPath(keys))
            at = match.end()
        out.append(text[at:])
        return "".join(out)

    def _line(self, parsed: int) -> int:
        return parsed + sum(lines for line, lines in self.longer if line < parsed)

    def _value(self, text: str) -> Value:
        parts = _PLACE.split(text)
        filled = ((self.places[int(part)] if odd % 2 else part) for odd, part in enumerate(parts))
        return tuple(part for part in filled if part != "")

    def _doctype(self, *_: object) -> None:
        line = self._line(self.expat.CurrentLineNumber)
        raise TemplateError(f"Line {line}: document types and entities are not allowed", line=line)

    def _start(self, qualified: str, found: dict[str, str]) -> None:
        line = self._line(self.expat.CurrentLineNumber)
        namespace, _, tag = qualified.rpartition("\n")
        shown = tag if re.fullmatch(r"\w{1,40}", tag) else "element"
        here = Element(shown, line, {}, {}, {}, (), ())
        self.count += 1
        if self.count > MAX_ELEMENTS:
            here.fail(f"more than {MAX_ELEMENTS} elements", code="template.too_long")
        if len(self.open) >= MAX_DEPTH:
            here.fail(f"more than {MAX_DEPTH} levels", code="template.too_deep")
        if namespace not in _CNPL_NAMESPACES or tag not in _ATTRIBUTES:
            here.fail(
                "is not supported yet" if tag in _LATER else "is not an element of CNPL that labels have"
            )
        if (tag == "page") != (not self.open):
            here.fail(
                "the outermost element must be page, and only it"
                if self.open
                else "the outermost must be page"
            )
        if self.open and self.open[-1].tag not in {"page", "layout"}:
            here.fail(f"can't stand inside {self.open[-1].tag}")
        opened = _Open(tag, line)
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

    def _own(self, here: Element, opened: _Open, name: str, text: str) -> None:
        if name not in _OWN_ATTRIBUTES or _OPEN in text:
            here.fail("has an attribute of labelsvc's that isn't known or depends on data")
        here.checked(name, text, _OWN_ATTRIBUTES[name])
        opened.own[name] = text

    def _attribute(self, here: Element, opened: _Open, name: str, text: str) -> None:
        if name == "style":
            for place, declaration in enumerate(text.split(";"), 1):
                if not declaration.strip():
                    continue
                known, colon, value = declaration.partition(":")
                known = known.strip()
                if not colon or known not in _STYLES:
                    here.fail(f"part {place} of its style is not a property that CNPL has")
                opened.style[known] = filled = self._value(value.strip())
                self._check(here, f"style {known}", filled, _STYLES[known][1])
            return
        readers = _ATTRIBUTES[here.tag]
        if name not in readers:
            here.fail("has an attribute that CNPL doesn't give it")
        opened.attributes[name] = filled = self._value(text)
        self._check(here, name, filled, readers[name])

    def _check(self, here: Element, name: str, value: Value, read: Callable[[str], Any]) -> None:
        """Literal values are checked now, so that a template's fault shows when it is stored, not when it is printed."""
        if all(isinstance(part, str) for part in value):
            here.checked(name, "".join(map(str, value)), read)
        elif here.tag == "page":
            here.fail(f"{name} can't depend on data")

    def _cdata(self, inside: bool) -> None:
        self.in_cdata = inside
        if inside and self.open:
            self.open[-1].cdata = True

    def _characters(self, text: str) -> None:
        opened = self.open[-1]
        if opened.tag == "text":
            (opened.quoted if self.in_cdata else opened.plain).append(text)
        elif text.strip():
            Element(opened.tag, self._line(self.expat.CurrentLineNumber), {}, {}, {}, (), ()).fail(
                "text can only stand in a text element"
            )

    def _end(self, _: str) -> None:
        opened = self.open.pop()
        if opened.cdata:
            # What stands round a CDATA section is the template's own indentation.
            body = "".join(opened.quoted)
            if "".join(opened.plain).strip():
                Element(opened.tag, opened.line, {}, {}, {}, (), ()).fail("mixes CDATA with other text")
        else:
            body = re.sub(r"^[ \t]*\n\s*|\n\s*$", "", "".join(opened.plain))
        element = Element(
            opened.tag,
            opened.line,
            opened.attributes,
            opened.style,
            opened.own,
            self._value(body),
            tuple(opened.children),
        )
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element


class _Open:
    """An element whose end hasn't come yet."""

    def __init__(self, tag: str, line: int) -> None:
        self.tag = tag
        self.line = line
        self.attributes: dict[str, Value] = {}
        self.style: dict[str, Value] = {}
        self.own: dict[str, str] = {}
        self.plain: list[str] = []
        self.quoted: list[str] = []
        self.cdata = False
        self.children: list[Element] = []


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
