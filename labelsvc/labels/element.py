"""An element of a template, and what its values are filled from: the label's data, the context, what scripts said.

Hides places: a value is literal text and places in it, and is read and checked when it is filled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, NoReturn, Protocol, TypeVar

from labelsvc.errors import TemplateError
from labelsvc.labels import cnpl
from labelsvc.labels.cnpl import Style, Unit

T = TypeVar("T")


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


class Unknown:
    """A place in what a statement may change; nothing can be said about it before there is data."""

    def find(self, data: Any) -> Any:
        return None


UNKNOWN = Unknown()
Value = tuple[str | Place, ...]


def _number(value: float) -> str:
    """A number as scripts write it: 2, 0.5, 1e-7."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return re.sub(r"e([+-])0+", r"e\1", repr(value))


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
        return self._read(name, data, cnpl.read_length)

    def extent(self, name: str, data: Mapping[str, Any]) -> tuple[float, Unit] | None:
        """A table cell's width, in mm or as a percentage of the table's; None if it isn't given."""
        return self._read(name, data, cnpl.read_extent)

    def count(self, name: str, data: Mapping[str, Any], default: int = 1) -> int:
        """A number of rows or columns."""
        found = self._read(name, data, cnpl.read_count)
        return default if found is None else found

    def flag(self, name: str, data: Mapping[str, Any], default: bool) -> bool:
        """A truth value."""
        found = self._read(name, data, cnpl.read_flag)
        return default if found is None else found

    def word(self, name: str, data: Mapping[str, Any]) -> str:
        """An attribute's text, empty if it isn't given; of a word that CNPL lists, one that it lists."""
        value = self.attributes.get(name, ())
        text = self.fill(value, data)
        if name in cnpl.WORDS and len(value) and self.depends(name):
            return str(self.checked(name, text, cnpl.ATTRIBUTES[self.tag][name]))
        return text.strip() if name in cnpl.WORDS else text

    def styled(self, data: Mapping[str, Any], parent: Style | None = None) -> Style:
        """The element's style: what it says itself, what comes down from ``parent``, and CNPL's defaults."""
        kept = self._kept.get("style")
        if kept and kept[0] is parent:
            style: Style = kept[1]
            return style
        changes: dict[str, Any] = {}
        for name, value in self.style.items():
            known = cnpl.STYLES[name]
            changes[known.sets] = self.checked(f"style {name}", self.fill(value, data), known.read)
        base = parent.handed_down if parent else cnpl.DEFAULT
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
