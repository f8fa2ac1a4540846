"""A label template in CNPL, the markup that shops' templates are written in, read into a tree of checked elements.

Hides XML, what becomes of ``<% … %>`` before it is parsed, and which line a fault came from. Data never meets the markup:
the places for values are set aside before the XML is parsed and filled when the page is composed, so no data can become
an element.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers import expat

from labelsvc.errors import NotFound, TemplateError
from labelsvc.labels import cnpl
from labelsvc.labels.element import (
    UNKNOWN,
    Context,
    ContextPlace,
    DataPath,
    Element,
    LabelData,
    Place,
    SaidPlace,
    Value,
)
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

OWN_NAMESPACE = "urn:labelsvc:template"
_CNPL_NAMESPACES = {"", "http://cloudprint.cainiao.com/print"}

# Private use characters stand for the opening and the end of a place's number while the XML is parsed.
_OPEN, _CLOSE = "\uf8fe", "\uf8ff"
_PLACE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_TAG = re.compile(r"<[^\W\d]")
_NAME = re.compile(r"\w[\w.-]{0,49}")
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
            return (*self._value(text.replace(_STATEMENT, "")), UNKNOWN)
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
        if namespace not in _CNPL_NAMESPACES or tag not in cnpl.ATTRIBUTES:
            here.fail("is not an element of CNPL")
        self._belongs(here)
        opened = _Open(tag, here.line)
        for name, text in found.items():
            space, _, local = name.rpartition("\n")
            if space == OWN_NAMESPACE:
                self._own(here, opened, local, text)
            elif not space:
                self._attribute(here, opened, local, text)
        missing = [name for name in cnpl.NEEDED.get(tag, ()) if name not in opened.attributes]
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
        if tag not in cnpl.INSIDE.get(parent.tag, ()):
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
        if name not in cnpl.OWN_ATTRIBUTES or _OPEN in text:
            here.fail("has an attribute of labelsvc's that isn't known or depends on data")
        here.checked(name, text, cnpl.OWN_ATTRIBUTES[name])
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
                if not colon or known not in cnpl.STYLES:
                    here.fail(f"part {place} of its style is not a property that CNPL has")
                opened.style[known] = filled = self._value(value.strip())
                self._check(here, f"style {known}", filled, cnpl.STYLES[known].read)
            return
        readers = cnpl.ATTRIBUTES[here.tag]
        if name not in readers:
            here.fail("has an attribute that CNPL doesn't give it")
        opened.attributes[name] = filled = self._value(text)
        if any(not isinstance(part, str) for part in filled) and (
            name in cnpl.NEVER_FROM_DATA or (not self.open and name in {"width", "height"})
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
        if opened.tag in cnpl.WORDED or opened.tag in cnpl.CELLS:
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
        if opened.tag in cnpl.CELLS:
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
        path = self.directory / f"{name}.xml"
        # Only what can stand in the directory itself is looked for: no name leads out of it.
        if not (_NAME.fullmatch(name) and path.is_file()):
            raise NotFound("There is no such template", code="template.unknown", field="template")
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
