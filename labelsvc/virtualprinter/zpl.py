"""ZPL: one line's byte stream, taken apart into formats and immediate commands, and the answers.

Hides where a command starts and where data end, with packets cut at any byte.  Understood: ``^XA ^XZ ^PQ
^LL``, which commands draw, field data, binary graphics (``^GFB``, ``^GFC``, ``~DY``) by their byte count,
``^JZ``, ``~HS ~HQES ~HI ~JA ~JR ~PP ~PS`` and
``! U1 getvar``. Everything else is carried along unread.  Not understood: changed
prefixes (``^CC``, ``^CT``).

Like on a real printer, a caret ends field data whether the host meant it or not: ``^FD^XZ~JR^FS`` ends the
format and resets. A tilde within field data is data, unless ``tilde_in_data`` is set (the ZPL guide
reserves both prefixes; firmware differs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .speech import (
    MAX_COPIES,
    MAX_LABEL_BYTES,
    CancelAll,
    Condition,
    Event,
    Label,
    LabelBegun,
    Pause,
    Query,
    Reset,
)

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
_PREFIX_OR_CONTROL = re.compile(rb"[\^~\x00-\x20]")
_CARET = re.compile(rb"\^")
_NUMBER = re.compile(rb"[ ]*(\d{1,9})")
_GETVAR = re.compile(rb'! U1 getvar "([^"\r\n]*)"\s*\Z')
_GRAPHIC = re.compile(rb"\^GF([A-Z]?),(\d{0,9}),[^,^~]*,[^,^~]*,", re.IGNORECASE)
_DOWNLOAD = re.compile(rb"~DY[^,^~]*,([A-Z]?),[^,^~]*,(\d{0,9}),[^,^~]*,", re.IGNORECASE)


_IMMEDIATE: dict[bytes, Event] = {
    b"~HS": Query("~HS"),
    b"~HI": Query("~HI"),
    b"~JA": CancelAll(),
    b"~JR": Reset(),
    b"~PP": Pause(True),
    b"~PS": Pause(False),
}


class Stream:
    """The parser of one connection.  ``feed`` may be given any cut of the bytes; it yields events in stream
    order, each at the moment its last byte is taken, so that its caller can act (and ``forget``) before the
    bytes after it are read."""

    def __init__(self, dpi: int, cutter: bool) -> None:
        self.tilde_in_data = False
        self._pending = bytearray()  # not yet understood
        self._format: bytearray | None = None  # the open format, up to _pending
        self._in_data = False
        self._binary_left = 0
        self._copies = 1
        self._length_dots: int | None = None
        self._draws = self._stored = False
        self._reprint: bool | None = None

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
                    yield Query("getvar", query[1])
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
            if self._format is not None and len(self._format) > MAX_LABEL_BYTES:
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
        elif code == b"~HQ":
            # ~HQES is the one query of its family that is answered.
            wanted = len(self._pending) >= 5 or _PREFIX_OR_CONTROL.search(self._pending, 3)
            return (5 if bytes(self._pending[3:5]).upper() == b"ES" else 3) if wanted else None
        elif code == b"^JZ":
            return None if len(self._pending) < 4 else 3 if self._pending[3] in b"^~" else 4
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
            self._copies, self._length_dots, self._reprint = 1, None, None
            self._draws = self._stored = False
            self._consume(length)
            yield LabelBegun()
            return
        self._consume(length)
        if code in _IMMEDIATE:
            yield _IMMEDIATE[code]
        elif code == b"^XZ" and self._format is not None:
            draws = self._draws and not self._stored
            done = Label(bytes(self._format), self._copies, self._length_dots, draws, reprint=self._reprint)
            self.forget()
            yield done
        elif code in (b"^GF", b"~DY"):
            self._binary(text)
        elif text.upper() == b"~HQES":
            yield Query("~HQES")
        elif code == b"^JZ":
            self._reprint = {b"Y": True, b"N": False}.get(text[3:].upper(), self._reprint)
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


# ---------------------------------------------------------------- answers


def answer(query: Query, now: Condition) -> bytes:
    """What the printer says to a query."""
    match query.name:
        case "~HS":
            return b"".join(b"\x02" + line + b"\x03\r\n" for line in _host_status(now))
        case "~HQES":
            return _error_status(now)
        case "~HI":
            return f"\x02{now.model},V1.00,{_DOTS_PER_MM.get(now.dpi, 8)},8192KB\x03\r\n".encode("ascii")
        case "getvar":
            return b'"' + _variable(query.detail.decode("ascii", "replace"), now) + b'"'
    return b""


def notice(mask: int, now: Condition) -> bytes:
    """Nothing is said unasked."""
    return b""


_DOTS_PER_MM = {203: 8, 300: 12, 600: 24}


def _host_status(now: Condition) -> list[bytes]:
    """The three lines of ``~HS`` without their frames (ZPL II guide 45541L-004 pp. 171-172), 82 bytes
    when framed."""
    return [
        (
            f"030,{now.paper_out:d},{now.paused:d},{min(now.length_dots, 9999):04d},"
            f"{min(now.waiting, 999):03d},{now.buffer_full:d},0,{now.partial:d},000,0,0,0"
        ).encode("ascii"),
        f"000,0,{now.head_open:d},{now.ribbon_out:d},0,2,6,0,{now.labels_left:08d},1,000".encode("ascii"),
        b"1234,0",
    ]


def _error_status(now: Condition) -> bytes:
    """``~HQES``: a flag and two groups of digits for errors, and for warnings."""
    errors = (
        now.paper_out * 0x1
        + now.ribbon_out * 0x2
        + now.head_open * 0x4
        + now.cutter_stuck * 0x8
        + now.jammed * 0x1000
        + now.paused * 0x10000
    )
    warnings = now.paper_low * 0x8
    return (
        "\x02\r\nPRINTER STATUS\r\n"
        f"ERRORS: {errors > 0:d} 00000000 {errors:08X}\r\n"
        f"WARNINGS: {warnings > 0:d} 00000000 {warnings:08X}\r\n\x03"
    ).encode("ascii")


def _variable(name: str, now: Condition) -> bytes:
    """The value of a printer variable, "?" for one that doesn't exist; its answer is in double quotes
    with nothing behind them."""
    match name:
        case "odometer.total_label_count":
            found = str(now.labels)
        case "odometer.total_print_length":
            found = f"{int(now.length_mm / 25.4)} INCHES, {now.length_mm // 10} CENTIMETERS"
        case "device.host_status":
            return b"\r\n".join(_host_status(now))
        case "device.friendly_name":
            found = now.name
        case "device.product_name":
            found = now.model
        case "device.unique_id":
            found = now.serial
        case "device.languages":
            found = "zpl"
        case "appl.name":
            found = "V1.00"
        case "head.resolution.in_dpi":
            found = str(now.dpi)
        case "media.status":
            found = "out" if now.paper_out else "ok"
        case "head.latch":
            found = "open" if now.head_open else "ok"
        case _:
            found = "?"
    return found.encode("ascii", "replace")
