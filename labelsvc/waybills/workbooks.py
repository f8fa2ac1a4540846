"""XLSX files that strangers hand in: the cells of the first sheet, without trusting what the file says of its own size.

Hides zip and XML. A spreadsheet library that trusts a file's dimensions dies on a hundred bytes that claim a cell in the
last corner, and with it the daemon; here nothing is kept but cells with values, and never more than the bounds allow.
"""

from __future__ import annotations

import io
import math
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable
from xml.parsers import expat

from labelsvc.errors import Invalid

Cell = str | float | bool

_PART_BYTES = 32 * 1024 * 1024
_TEXT = 32 * 1024 * 1024
_COLUMNS = 256
_SHARED = "xl/sharedstrings.xml"
_ROWS = 1_048_576
_CHUNK = 64 * 1024
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


def first_sheet(content: bytes, most_rows: int) -> list[list[Cell]]:
    """The first sheet's rows in their places, each up to its last value; an empty cell is an empty text.

    Columns from the 257th on are left out. Raises Invalid ``file.unreadable``, and ``file.size`` where it unpacks to too much
    or has values in more than ``most_rows`` rows.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            if sum(part.file_size for part in package.infolist()) > 2 * _PART_BYTES:
                raise _too_much()  # as far as it tells the truth; the parts are measured as they unpack
            names = set(package.namelist())
            strings: list[str] = []
            for name in names:
                if name.lower() == _SHARED:  # writers disagree about its capitals
                    reader = _Strings(strings)
                    _parse(package, name, reader.start, reader.end, reader.text)
            sheet = _Sheet(strings, most_rows)
            _parse(package, _first(package, names), sheet.start, sheet.end, sheet.text)
            return sheet.rows
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, OSError, KeyError, ValueError):
        raise _unreadable() from None
    except (RuntimeError, NotImplementedError):  # encrypted, or packed in another way
        raise _unreadable() from None


def _first(package: zipfile.ZipFile, names: set[str]) -> str:
    """The name of the first sheet's part. Raises Invalid."""
    ids: list[str] = []
    targets: dict[str, str] = {}

    def sheet(tag: str, given: dict[str, str]) -> None:
        if tag == "sheet":
            ids.append(
                next((value for name, value in given.items() if name.endswith("relationships id")), "")
            )

    def relation(tag: str, given: dict[str, str]) -> None:
        if tag == "Relationship":
            targets[given.get("Id", "")] = given.get("Target", "")

    _parse(package, "xl/workbook.xml", sheet)
    _parse(package, "xl/_rels/workbook.xml.rels", relation)
    target = targets.get(ids[0], "") if ids else ""
    found = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))
    if found not in names:
        raise _unreadable()
    return found


class _Strings:
    """The table of texts that cells refer to."""

    def __init__(self, found: list[str]) -> None:
        self._found = found
        self._parts: list[str] = []
        self._in_text = False
        self._in_reading = False  # how a word is spoken, which stands beside it

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "si":
            self._parts = []
        elif tag == "rPh":
            self._in_reading = True
        self._in_text = tag == "t" and not self._in_reading

    def text(self, text: str) -> None:
        if self._in_text:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        self._in_text = False
        if tag == "si":
            self._found.append("".join(self._parts).strip())
        elif tag == "rPh":
            self._in_reading = False


class _Sheet:
    """The rows of a sheet."""

    def __init__(self, strings: list[str], most_rows: int) -> None:
        self.rows: list[list[Cell]] = []
        self._strings = strings
        self._left_rows = most_rows
        self._left_text = _TEXT
        self._row = self._column = 0
        self._cells: dict[int, Cell] = {}
        self._kind = ""
        self._parts: list[str] = []
        self._in_value = False

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "row":
            self._row = int(given["r"]) if "r" in given else self._row + 1
            self._column = 0
        elif tag == "c":
            place = _REFERENCE.fullmatch(given.get("r", ""))
            self._column = _column_of(place[1]) if place else self._column + 1
            self._kind = given.get("t", "n")
            self._parts = []
        self._in_value = tag == "v" or (tag == "t" and self._kind == "inlineStr")

    def text(self, text: str) -> None:
        if self._in_value and self._column <= _COLUMNS:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        self._in_value = False
        if tag == "c" and self._parts and self._column <= _COLUMNS:
            value = self._value("".join(self._parts))
            if value != "":
                self._cells[self._column] = value
        elif tag == "row":
            self._end_row()

    def _value(self, text: str) -> Cell:
        if self._kind == "s":
            text = self._strings[_place(text, len(self._strings))]
        elif self._kind == "b":
            return text.strip() == "1"
        elif self._kind == "n":
            number = float(text)
            if not math.isfinite(number):
                raise ValueError
            return number
        self._left_text -= len(text)
        if self._left_text < 0:
            raise _too_much()
        return text.strip()

    def _end_row(self) -> None:
        if not self._cells:
            return
        self._left_rows -= 1
        if self._left_rows < 0 or not len(self.rows) < self._row <= _ROWS:
            raise _too_much() if self._left_rows < 0 else _unreadable()
        # One list stands for all the empty rows before: there may be a million of them.
        self.rows += [_EMPTY] * (self._row - len(self.rows) - 1)
        self.rows.append([self._cells.get(at, "") for at in range(1, max(self._cells) + 1)])
        self._cells = {}


_EMPTY: list[Cell] = []


def _parse(
    package: zipfile.ZipFile,
    name: str,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Read a part as XML, element by element, as far as the bounds allow."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, given: start(tag.rpartition(" ")[2], given)
    if end is not None:
        parser.EndElementHandler = lambda tag: end(tag.rpartition(" ")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _no_doctype
    left = _PART_BYTES
    with package.open(name) as part:
        while chunk := part.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _too_much()
            parser.Parse(chunk)
    parser.Parse(b"", True)


def _no_doctype(*_: object) -> None:
    raise _unreadable()  # only those who mean harm declare entities


def _column_of(letters: str) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column


def _place(text: str, count: int) -> int:
    place = int(text)
    if not 0 <= place < count:
        raise ValueError
    return place


def _too_much() -> Invalid:
    return Invalid("the file unpacks to too much", code="file.size", field="file")


def _unreadable() -> Invalid:
    return Invalid("is no XLSX file", code="file.unreadable", field="file")
