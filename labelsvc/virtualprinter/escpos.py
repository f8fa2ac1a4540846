"""ESC/POS: one line's byte stream, taken apart into slips and queries, and the answers.

Hides how long a command is, so that no byte of a picture is taken for one, with packets cut at any byte.  A
slip ends at the cut (``GS V``, ``ESC i``, ``ESC m``) or the feed to the next label (``FF``, ``GS FF``).  A
printer without a knife goes on and on: there a slip ends, torn off, before the next ``ESC @`` and at a
process id.  With a knife, an ``ESC @`` after printed rows leaves half a slip: it is not whole.

Real-time commands (DLE EOT, DLE ENQ, DLE DC4) are obeyed wherever they stand, within a picture too, as the
TM-U295 specification warns.

Source: Epson TM-T88III specification (standard) rev. B and TM-L90 programming manual 10.01, the pages of
the commands named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .speech import MAX_LABEL_BYTES, CancelAll, Condition, Event, InTurn, Label, Pause, Query, RealTime, Watch

_ESC, _GS, _FS, _DLE = 0x1B, 0x1D, 0x1C, 0x10
_REAL_TIME = re.compile(rb"\x10(?:\x04[\x01-\x04]|\x05[\x01\x02]|\x14\x08\x01\x03\x14\x01\x06\x02\x08)")
_LONGEST_REAL_TIME = 10
_LINE_DOTS = 34
"""An LF: a sixth of an inch at 203 dots an inch."""

_PARAMETERS = {
    _ESC: {
        **dict.fromkeys(b"@im2<", 0),
        **dict.fromkeys(b"!%-3=?EGJKMRSTUVadert{ ", 1),
        **dict.fromkeys(b"$\\c", 2),
        **dict.fromkeys(b"p", 3),
        **dict.fromkeys(b"W", 8),
    },
    _GS: {
        **dict.fromkeys(b"/!BHabfhrwxIT", 1),
        **dict.fromkeys(b"LPW\\$", 2),
        **dict.fromkeys(b"^", 3),
        **dict.fromkeys(b":\x0c", 0),
    },
    _FS: {**dict.fromkeys(b"!-CW", 1), **dict.fromkeys(b"Sp", 2), **dict.fromkeys(b"&.", 0)},
    _DLE: {},
}
"""Commands of a fixed length: how many bytes follow the second."""

_Found = tuple[int, int, int]
"""Bytes of a command with its parameters, bytes of data behind them, dots of paper that it feeds."""


class Stream:
    """See zpl.Stream: the same promises."""

    def __init__(self, dpi: int, cutter: bool) -> None:
        self.tilde_in_data = False
        self._cutter = cutter
        self._real_time = RealTime(_REAL_TIME, _LONGEST_REAL_TIME)
        self._pending = bytearray()
        self._slip = bytearray()
        self._data_left = 0
        self._feed_dots = 0
        self._inked = False

    @property
    def partial(self) -> bool:
        """Whether rows of an unfinished slip are held."""
        return self._inked or self._data_left > 0

    @property
    def held_bytes(self) -> int:
        return len(self._pending) + len(self._slip)

    def forget(self) -> None:
        """Drop the open slip (not the bytes behind it)."""
        self._slip.clear()
        self._data_left = self._feed_dots = 0
        self._inked = False

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
                yield from _real_time(found[0])

    def _parse(self) -> Iterator[Event]:
        while self._pending:
            if self._data_left:
                self._data_left -= self._keep(min(self._data_left, len(self._pending)))
                continue
            found = _measure(self._pending)
            if found is None:
                return
            length, self._data_left, dots = found
            yield from self._command(bytes(self._pending[:length]), length, dots)

    def _keep(self, count: int) -> int:
        if len(self._slip) + count > MAX_LABEL_BYTES:
            self._slip.clear()
            self._inked = False
        self._slip += self._pending[:count]
        del self._pending[:count]
        return count

    def _command(self, said: bytes, length: int, dots: int) -> Iterator[Event]:
        kind = said[:2]
        if kind == b"\x1b@":
            if self._inked:
                yield self._ended(whole=not self._cutter)
            self._slip.clear()  # settings before it hold no longer
            self._keep(length)
        elif kind in (b"\x1dI", b"\x1dr") or said[:3] == b"\x1d(H":
            del self._pending[:length]
            if said[:3] != b"\x1d(H":
                yield InTurn(Query(said[1:2].decode("ascii"), said[2:]))
            elif said[5:7] == b"00" and length == 11:
                if self._inked and not self._cutter:
                    yield self._ended()
                yield InTurn(Query("process id", said[7:]), newest_only=True)
        elif kind == b"\x1da":
            del self._pending[:length]
            yield Watch(said[2])
        elif said[0] == _DLE:
            del self._pending[:length]
        else:
            self._keep(length)
            self._feed_dots += dots
            self._inked |= dots > 0 or said[0] >= 0x20
            if self._cuts(said) and self._inked:
                yield self._ended()

    def _cuts(self, said: bytes) -> bool:
        if said in (b"\x0c", b"\x1d\x0c"):
            return True
        return self._cutter and (said[:2] == b"\x1dV" or said in (b"\x1bi", b"\x1bm"))

    def _ended(self, whole: bool = True) -> Label:
        slip = Label(bytes(self._slip), length_dots=max(1, self._feed_dots), whole=whole)
        self.forget()
        return slip


def _real_time(said: bytes) -> Iterator[Event]:
    if said[1] == 0x04:
        yield Query("DLE EOT", said[2:])
    elif said == b"\x10\x05\x01":
        yield Pause(False)
    else:
        yield CancelAll()
        yield Pause(False)
        if said[1] == 0x14:
            yield Query("cleared")


def _measure(pending: bytearray) -> _Found | None:
    """How long the command at the front is; None while that can't be told."""
    first = pending[0]
    if first not in _PARAMETERS:
        # Letters are set a line at a time, other controls but LF and FF do nothing.
        return 1, 0, _LINE_DOTS if first in b"\n\x0c" else 0
    if len(pending) < 2:
        return None
    second = pending[1]
    special = _SPECIAL.get(bytes(pending[:2]))
    if special:
        return special(pending)
    if first == _DLE:
        count = {0x04: 1, 0x05: 1, 0x14: 8 if pending[2:3] == b"\x08" else 3}.get(second, 0)
        if second == 0x14 and len(pending) < 3:
            return None
    else:
        count = _PARAMETERS[first].get(second, 0)
    length = 2 + count
    if len(pending) < length:
        return None
    if first == _ESC and second in b"JK":
        return length, 0, pending[2]
    if first == _ESC and second in b"de":
        return length, 0, pending[2] * _LINE_DOTS
    return length, 0, 0


def _words(pending: bytearray, at: int, count: int) -> list[int] | None:
    """So many little-endian words from ``at``; None while they are incomplete."""
    if len(pending) < at + 2 * count:
        return None
    return [int.from_bytes(pending[k : k + 2], "little") for k in range(at, at + 2 * count, 2)]


def _cut(pending: bytearray) -> _Found | None:
    """``GS V m`` and, for m from 65, one byte more."""
    if len(pending) < 3:
        return None
    length = 4 if pending[2] >= 65 else 3
    return None if len(pending) < length else (length, 0, 0)


def _raster(pending: bytearray) -> _Found | None:
    """``GS v 0 m xL xH yL yH`` and x times y bytes."""
    size = _words(pending, 4, 2)
    return None if size is None else (8, size[0] * size[1], size[1])


def _columns(pending: bytearray) -> _Found | None:
    """``ESC * m nL nH`` and one or three bytes a column."""
    count = _words(pending, 3, 1)
    return None if count is None else (5, count[0] * (3 if pending[2] >= 32 else 1), 0)


def _parcel(pending: bytearray) -> _Found | None:
    """``GS ( x pL pH`` and so many bytes.  Those of ``GS ( H`` and of a barcode's size are part of it."""
    count = _words(pending, 3, 1)
    if count is None:
        return None
    if pending[2] == ord("H") and count[0] <= 8:
        return (5 + count[0], 0, 0) if len(pending) >= 5 + count[0] else None
    dots = 100 if bytes(pending[5:8]) in (b"1Q0", b"0Q0") else 0
    if count[0] == 3 and len(pending) < 8:
        return None
    return 5, count[0], dots


def _long_parcel(pending: bytearray) -> _Found | None:
    """``GS 8 L p1 p2 p3 p4`` and so many bytes."""
    if len(pending) < 7:
        return None
    return 7, int.from_bytes(pending[3:7], "little"), 0


def _barcode(pending: bytearray) -> _Found | None:
    """``GS k m``: data up to a NUL, or for m from 65 so many."""
    if len(pending) < 4:
        return None
    if pending[2] >= 65:
        return 4, pending[3], 100
    end = pending.find(b"\0", 3, 3 + 256)
    if end < 0:
        return None if len(pending) < 3 + 256 else (3, 0, 0)
    return end + 1, 0, 100


def _bit_image(pending: bytearray) -> _Found | None:
    """``GS * x y`` and x times y times 8 bytes."""
    return None if len(pending) < 4 else (4, pending[2] * pending[3] * 8, 0)


def _tabs(pending: bytearray) -> _Found | None:
    """``ESC D`` and columns up to a NUL."""
    end = pending.find(b"\0", 2, 2 + 33)
    if end < 0:
        return None if len(pending) < 35 else (2, 0, 0)
    return end + 1, 0, 0


def _glyph(pending: bytearray) -> _Found | None:
    """``FS 2 c1 c2`` and 72 bytes."""
    return None if len(pending) < 4 else (4, 72, 0)


_SPECIAL = {
    b"\x1dV": _cut,
    b"\x1dv": _raster,
    b"\x1b*": _columns,
    b"\x1d(": _parcel,
    b"\x1b(": _parcel,
    b"\x1c(": _parcel,
    b"\x1d8": _long_parcel,
    b"\x1dk": _barcode,
    b"\x1d*": _bit_image,
    b"\x1bD": _tabs,
    b"\x1c2": _glyph,
}


# ---------------------------------------------------------------- answers


def answer(query: Query, now: Condition) -> bytes:
    """What the printer says to a query; nothing to one that it doesn't know."""
    match query.name:
        case "DLE EOT":
            return bytes([_status(query.detail[0], now)])
        case "cleared":
            return b"\x37\x25\x00"
        case "process id":
            return b"\x37\x22" + query.detail + b"\x00"
        case "r" if query.detail in (b"\x01", b"1"):
            return bytes([now.paper_low * 0x03 + now.paper_out * 0x0C])
        case "r":
            return b"\0"
        case "I":
            return _identity(query.detail[0], now)
    return b""


def _status(which: int, now: Condition) -> int:
    """One byte for DLE EOT 1 to 4."""
    found = {
        1: (now.blocked or now.paused) * 0x08,
        2: now.head_open * 0x04 + now.paper_out * 0x20 + (now.jammed or now.cutter_stuck) * 0x40,
        3: now.cutter_stuck * 0x08 + now.jammed * 0x04,
        4: (now.paper_low or now.paper_out) * 0x0C + now.paper_out * 0x60,
    }
    return 0x12 + found[which]


def notice(mask: int, now: Condition) -> bytes:
    """The four bytes of Automatic Status Back, b"" when the mask wants none (``GS a``)."""
    if not mask & 0x0F:
        return b""
    return bytes(
        [
            0x10 + (now.blocked or now.paused) * 0x08 + now.head_open * 0x20,
            now.jammed * 0x04 + now.cutter_stuck * 0x08,
            (now.paper_low or now.paper_out) * 0x03 + now.paper_out * 0x0C,
            0x00,
        ]
    )


def _identity(which: int, now: Condition) -> bytes:
    """``GS I``: one byte for 1 to 3, else an underscore, text and NUL."""
    if which in (1, 2, 3, 49, 50, 51):
        return bytes([{1: 0x20, 2: 0x02, 3: 0x01}[which % 48]])
    text = {65: "1.00", 66: now.maker, 67: now.model, 68: now.serial}.get(which)
    return b"" if text is None else b"_" + text.encode("ascii", "replace") + b"\0"
