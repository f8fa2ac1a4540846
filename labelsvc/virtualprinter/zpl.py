"""One host connection's byte stream, taken apart into formats and immediate commands.

Hides where a command starts and where data end, with packets cut at any byte.  Understood: ``^XA ^XZ ^PQ
^LL``, which commands draw, field data, binary graphics (``^GFB``, ``^GFC``, ``~DY``) by their byte count,
``~HS ~JA ~JR`` and ``! U1 getvar``. Everything else is carried along unread.  Not understood: changed
prefixes (``^CC``, ``^CT``).

Like on a real printer, a caret ends field data whether the host meant it or not: ``^FD^XZ~JR^FS`` ends the
format and resets. A tilde within field data is data, unless ``tilde_in_data`` is set (the ZPL guide
reserves both prefixes; firmware differs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_FORMAT_BYTES = 16 * 1024 * 1024
"""A format that grows beyond this is given up, as a printer does whose memory is full."""

MAX_COPIES = 99_999_999
MAX_LENGTH_DOTS = 32_000

_DATA_FOLLOWS = {b"^FD", b"^FV", b"^FX", b"^SN"}
_DRAWS = {
    b"^FD",
    b"^FV",
    b"^SN",
    b"^GB",
    b"^GC",
    b"^GD",
    b"^GE",
    b"^GF",
    b"^GS",
    b"^XG",
    b"^IM",
    b"^IL",
    b"^XF",
    b"^PH",
}
_SGD = b"! U1 "
_LONGEST_HEADER = 128
_LONGEST_SGD = 512

_PREFIX = re.compile(rb"[\^~]")
_PREFIX_OR_SGD = re.compile(rb"[\^~!]")
_CARET = re.compile(rb"\^")
_NUMBER = re.compile(rb"[ ]*(\d{1,9})")
_GETVAR = re.compile(rb'! U1 getvar "([^"\r\n]*)"\s*\Z')
_GRAPHIC = re.compile(rb"\^GF([A-Z]?),(\d{0,9}),[^,^~]*,[^,^~]*,", re.IGNORECASE)
_DOWNLOAD = re.compile(rb"~DY[^,^~]*,([A-Z]?),[^,^~]*,(\d{0,9}),[^,^~]*,", re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """A complete format: its bytes from ``^XA`` to ``^XZ``, copies (``^PQ``), ``length_dots`` (``^LL``) if
    said, and whether it puts anything on paper (one that only sets options, or is only stored, feeds no
    label)."""

    raw: bytes
    copies: int
    length_dots: int | None
    draws: bool


@dataclass(frozen=True)
class FormatBegun:
    """An ``^XA`` was read; whatever remainder lay in the printer is forgotten."""


@dataclass(frozen=True)
class StatusQuery:
    """``~HS``"""


@dataclass(frozen=True)
class VariableQuery:
    """``! U1 getvar "name"`` and a line feed."""

    name: str


@dataclass(frozen=True)
class CancelAll:
    """``~JA``"""


@dataclass(frozen=True)
class Reset:
    """``~JR``"""


Event = Format | FormatBegun | StatusQuery | VariableQuery | CancelAll | Reset
_IMMEDIATE: dict[bytes, Event] = {b"~HS": StatusQuery(), b"~JA": CancelAll(), b"~JR": Reset()}


class Stream:
    """The parser of one connection.  ``feed`` may be given any cut of the bytes; it yields events in stream
    order, each at the moment its last byte is taken, so that its caller can act (and ``forget``) before the
    bytes after it are read."""

    def __init__(self) -> None:
        self.tilde_in_data = False
        self._pending = bytearray()  # not yet understood
        self._format: bytearray | None = None  # the open format, up to _pending
        self._in_data = False
        self._binary_left = 0
        self._copies = 1
        self._length_dots: int | None = None
        self._draws = self._stored = False

    @property
    def partial(self) -> bool:
        """Whether a format has begun and not ended, be it by a single caret."""
        return self._format is not None or self._pending.startswith(b"^")

    @property
    def held_bytes(self) -> int:
        return len(self._pending) + len(self._format or b"")

    def forget(self) -> None:
        """Drop the open format (not the bytes behind it)."""
        self._format = None
        self._in_data = False
        self._binary_left = 0

    def forget_all(self) -> None:
        """Drop everything held."""
        self.forget()
        self._pending.clear()

    def feed(self, data: bytes) -> Iterator[Event]:
        self._pending += data
        while self._pending:
            if self._binary_left:
                self._binary_left -= self._consume(min(self._binary_left, len(self._pending)))
            elif self._in_data:
                stop = (_PREFIX if self.tilde_in_data else _CARET).search(self._pending)
                self._in_data = stop is None
                self._consume(stop.start() if stop else len(self._pending))
            elif self._pending[0] == 0x21 and self._format is None:
                length = self._sgd_length()
                if length is None:
                    return
                query = _GETVAR.match(bytes(self._pending[:length]))
                self._consume(length)
                if query:
                    yield VariableQuery(query[1].decode("ascii", "replace"))
            elif self._pending[0] in b"^~":
                if len(self._pending) < 3 and not _PREFIX.search(self._pending, 1):
                    return
                length = self._command_length()
                if length is None:
                    return
                yield from self._command(length)
            else:
                stop = (_PREFIX_OR_SGD if self._format is None else _PREFIX).search(self._pending)
                self._consume(stop.start() if stop else len(self._pending))
            if self._format is not None and len(self._format) > MAX_FORMAT_BYTES:
                self._format = None

    def _consume(self, count: int) -> int:
        if self._format is not None:
            self._format += self._pending[:count]
        del self._pending[:count]
        return count

    def _sgd_length(self) -> int | None:
        """Bytes of the variable command at the front (1 if it is none), or None while it is incomplete."""
        if not self._pending.startswith(_SGD[: len(self._pending)]):
            return 1
        end = self._pending.find(b"\n")
        line = self._pending[: end + 1 or len(self._pending)]
        if _PREFIX.search(line) or len(line) > _LONGEST_SGD:
            return 1
        return len(line) if end >= 0 else None

    def _command_length(self) -> int | None:
        """Bytes of the command at the front with the parameters that matter here, or None while they are
        incomplete."""
        second = _PREFIX.search(self._pending, 1, 3)
        if second:
            return second.start()
        code = bytes(self._pending[:3]).upper()
        if code in (b"^GF", b"~DY"):
            header = (_GRAPHIC if code == b"^GF" else _DOWNLOAD).match(self._pending)
            if header:
                return header.end()
        elif code not in (b"^PQ", b"^LL"):
            return 3
        end = _PREFIX.search(self._pending, 3)
        if end:
            return end.start() if code in (b"^PQ", b"^LL") else 3
        return None if len(self._pending) < _LONGEST_HEADER else 3

    def _command(self, length: int) -> Iterator[Event]:
        text = bytes(self._pending[:length])
        code = text[:3].upper()
        if code == b"^XA":
            self.forget()
            self._format = bytearray()
            self._copies, self._length_dots = 1, None
            self._draws = self._stored = False
            self._consume(length)
            yield FormatBegun()
            return
        self._consume(length)
        if code in _IMMEDIATE:
            yield _IMMEDIATE[code]
        elif code == b"^XZ" and self._format is not None:
            done = Format(
                bytes(self._format), self._copies, self._length_dots, self._draws and not self._stored
            )
            self.forget()
            yield done
        elif code in (b"^GF", b"~DY"):
            self._binary(text)
        elif code == b"^PQ":
            self._copies = _number(text[3:], MAX_COPIES) or 1
        elif code == b"^LL":
            self._length_dots = _number(text[3:], MAX_LENGTH_DOTS) or self._length_dots
        self._in_data = self._format is not None and code in _DATA_FOLLOWS
        self._draws |= code in _DRAWS
        self._stored |= code == b"^DF"

    def _binary(self, header: bytes) -> None:
        found = _GRAPHIC.match(header) or _DOWNLOAD.match(header)
        if found and found[1].upper() in (b"B", b"C", b"P") and found[2]:
            self._binary_left = int(found[2])


def _number(text: bytes, most: int) -> int | None:
    found = _NUMBER.match(text)
    return int(found[1]) if found and 1 <= int(found[1]) <= most else None
