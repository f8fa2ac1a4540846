"""TSPL and TSPL2: one line's byte stream, taken apart into labels and queries, and the answers.

Hides where a line ends and where a bitmap's bytes do, with packets cut at any byte.  A label is what was
drawn since ``CLS``, with the settings before it, up to its ``PRINT m,n``; a second ``PRINT`` prints the
same again.  Commands that begin with ESC ! are obeyed wherever they stand, within a bitmap too; those that
begin with ~! where a command may begin.

Source: TSC, TSPL/TSPL2 Programming: PRINT, CLS, SET REPRINT, OUT, @LABEL, "Status polling and immediate
commands"; TTP-244 Plus manual p. 85 for ESC ! S.
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
    InTurn,
    Label,
    LabelBegun,
    Pause,
    Query,
    RealTime,
    Reprint,
    Reset,
)

_IMMEDIATE = re.compile(rb"\x1b!([?SRCPO.])")
_LONGEST_LINE = 8192
_LINE_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)
_BITMAP = re.compile(rb"\s*BITMAP\s+-?\d+\s*,\s*-?\d+\s*,\s*(\d{1,5})\s*,\s*(\d{1,6})\s*,\s*\d\s*,", re.I)
_DOWNLOAD = re.compile(rb'\s*DOWNLOAD\s+(?:[FE]\s*,\s*)?"[^"\r\n]*"\s*,\s*(\d{1,8})\s*,', re.I)
_WORD = re.compile(rb"\s*(~![A-Z@]|[A-Z]+)", re.I)
_PRINT = re.compile(rb"\s*PRINT\s+(\d{1,9})(?:\s*,\s*(\d{1,9}))?\s*\Z", re.I)
_SIZE = re.compile(rb"\s*SIZE\s+[\d.]+\s*(?:mm|dots?)?\s*,\s*([\d.]{1,9})\s*(mm|dots?)?\s*\Z", re.I)
_REPRINT = re.compile(rb"\s*SET\s+REPRINT\s+(ON|OFF)\s*\Z", re.I)
_OUT = re.compile(rb'("[^"]*"|@LABEL)\s*[,;]?\s*', re.I)
_SETTINGS = {
    b"SIZE", b"GAP", b"BLINE", b"OFFSET", b"SPEED", b"DENSITY", b"DIRECTION", b"REFERENCE", b"SHIFT",
    b"COUNTRY", b"CODEPAGE", b"SET", b"CLS",
}  # fmt: skip


class Stream:
    """See zpl.Stream: the same promises."""

    def __init__(self, dpi: int, cutter: bool) -> None:
        self.tilde_in_data = False
        self._dpi = dpi
        self._real_time = RealTime(_IMMEDIATE, 3)
        self._pending = bytearray()
        self._label = bytearray()
        self._settings_from = 0  # in _label: what of it would belong to the next label
        self._data_left = 0
        self._drawn = False
        self._after_query = False  # whose own line end is no part of a label
        self._length_dots: int | None = None

    @property
    def partial(self) -> bool:
        """Whether something is drawn and not printed."""
        return self._drawn or self._data_left > 0

    @property
    def held_bytes(self) -> int:
        return len(self._pending) + (len(self._label) if self._drawn else 0)

    def forget(self) -> None:
        """Drop what is drawn (not the bytes behind it)."""
        self._label.clear()
        self._settings_from = self._data_left = 0
        self._drawn = False

    def forget_all(self) -> None:
        """Drop everything held."""
        self.forget()
        self._pending.clear()
        self._real_time.forget()

    def feed(self, data: bytes) -> Iterator[Event]:
        for piece, found in self._real_time.split(data):
            self._pending += piece
            yield from self._parse()
            if found:
                yield from _immediate(found[1])

    def _parse(self) -> Iterator[Event]:
        while self._pending:
            if self._data_left:
                count = min(self._data_left, len(self._pending))
                self._data_left -= count
                self._keep(count)
                continue
            if self._pending[0] == 0x1B:
                if len(self._pending) < 3 and b"\x1b!".startswith(bytes(self._pending[:2])):
                    return
                del self._pending[: 3 if _IMMEDIATE.match(self._pending) else 1]
                continue
            if binary := _BITMAP.match(self._pending) or _DOWNLOAD.match(self._pending):
                sizes = [int(size) for size in binary.groups()]
                self._data_left = sizes[0] * (sizes[1] if len(sizes) > 1 else 1)
                self._drawn |= len(sizes) > 1
                self._keep(binary.end())
                self._settings_from = len(self._label) + self._data_left
                continue
            end = self._line_end()
            if end is None:
                return
            yield from self._line(end)

    def _keep(self, count: int) -> None:
        if len(self._label) + count > MAX_LABEL_BYTES:
            self._label.clear()
            self._drawn = False
        self._label += self._pending[:count]
        del self._pending[:count]

    def _line_end(self) -> int | None:
        """Bytes of the line at the front with its end, or None while it is incomplete."""
        if found := _LINE_END.search(self._pending):
            return found.end()
        if len(self._pending) > _LONGEST_LINE:
            return len(self._pending)
        # An immediate command has no line end.
        word = _WORD.match(self._pending)
        return word.end() if word and word[1].startswith(b"~!") else None

    def _line(self, end: int) -> Iterator[Event]:
        line = bytes(self._pending[:end])
        text = _IMMEDIATE.sub(b"", line).strip(b"\r\n")
        found = _WORD.match(text)
        word = found[1].upper() if found else b""
        after_query, self._after_query = self._after_query, False
        if after_query and not text:
            del self._pending[:end]
        elif word.startswith(b"~!"):
            del self._pending[: found.end() if found else 1]
            self._after_query = True
            yield Query(word.decode("ascii"))
        elif word == b"OUT":
            del self._pending[:end]
            yield InTurn(Query("OUT", text[found.end() if found else 0 :].strip()))
        elif word == b"CLS":
            del self._label[: self._settings_from]
            self._keep(end)
            self._settings_from = 0
            self._drawn = False
            yield LabelBegun()
        elif word == b"PRINT" and (count := _PRINT.match(text)):
            self._keep(end)
            copies = int(count[1]) * int(count[2] or 1)
            self._settings_from = len(self._label)
            self._drawn = False
            if 1 <= copies <= MAX_COPIES:
                yield Label(bytes(self._label), copies, self._length_dots)
        elif word in _SETTINGS or not word:
            self._keep(end)
            if switch := _REPRINT.match(text):
                yield Reprint(switch[1].upper() == b"ON")
            elif size := _SIZE.match(text):
                self._length_dots = _dots(size[1], size[2] or b"", self._dpi) or self._length_dots
        else:
            self._keep(end)
            self._drawn = True
            self._settings_from = len(self._label)


def _dots(number: bytes, unit: bytes, dpi: int) -> int | None:
    try:
        length = float(number)
    except ValueError:
        return None
    per = {b"mm": dpi / 25.4, b"": float(dpi)}.get(unit.lower(), 1.0)
    return min(32_000, round(length * per)) or None


def _immediate(letter: bytes) -> Iterator[Event]:
    match letter:
        case b"?" | b"S":
            yield Query("ESC!" + letter.decode("ascii"))
        case b"R" | b"C":
            yield Reset()
        case b".":
            yield CancelAll()
        case b"P":
            yield Pause(True)
        case b"O":
            yield Pause(False)


# ---------------------------------------------------------------- answers


def answer(query: Query, now: Condition) -> bytes:
    """What the printer says to a query; nothing to one that it doesn't know."""
    match query.name:
        case "ESC!?":
            return bytes([_status(now)])
        case "ESC!S":
            return b"\x02" + bytes(_four(now)) + b"\x03\r\n"
        case "~!T":
            return now.model.encode("ascii", "replace") + b"\r\n"
        case "~!@":
            return b"%d\r" % (now.length_mm // 1_000_000)
        case "~!I":
            return b"001,437\r\n"
        case "~!A":
            return b"4096\r\n"
        case "OUT":
            values = (found[1] for found in _OUT.finditer(query.detail))
            said = (
                str(now.labels_since_on).encode("ascii") if value[:1] == b"@" else value[1:-1]
                for value in values
            )
            return b"".join(said) + b"\r\n"
    return b""


def notice(mask: int, now: Condition) -> bytes:
    """TSPL printers say nothing unasked."""
    return b""


def _status(now: Condition) -> int:
    return (
        now.head_open * 0x01
        + now.jammed * 0x02
        + now.paper_out * 0x04
        + now.ribbon_out * 0x08
        + now.paused * 0x10
        + (now.printing or (now.waiting > 0 and not (now.blocked or now.paused))) * 0x20
        + now.cutter_stuck * 0x80
    )


def _four(now: Condition) -> list[int]:
    if now.blocked:
        first = 0x45
    elif now.paused:
        first = 0x60
    else:
        first = 0x50 if now.printing or now.waiting else 0x40
    return [
        first,
        0x40 + now.buffer_full * 0x08,
        0x40 + now.cutter_stuck * 0x08,
        0x40 + now.paper_out * 0x01 + now.jammed * 0x02 + now.ribbon_out * 0x04,
    ]
