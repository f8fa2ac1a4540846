"""ESC/POS: a Page as the commands of receipt printers (80 and 58 mm) and of label printers that speak like them.

Hides the cutting of a picture into rasters that a small buffer holds, which lines the printer may set in its own Chinese
font, and that some bytes are obeyed even in the middle of a picture. python-escpos gives the table of commands; its printer
classes stay out of the way, for importing them leaves a temporary directory behind, and its picture path takes 40 ms a label.

Choices that are not obvious:

- ``ESC @`` first: it drops a line that another sender left unfinished, page mode, margins and enlargements. The receive buffer
  and what is printed already are not touched, so that a label before this one comes out whole.
- Pictures by ``GS v 0`` in standard mode, which every such printer knows, in bands of at most 4 kB (the smallest usual buffer).
  ``GS ( L`` costs 16 bytes more a band and packs no better.
- Blank paper is a raster one byte wide: it feeds by dots. ``ESC J`` feeds by a unit that is half a dot on some printers, and
  ``GS P``, which sets the unit, is not known to all.
- A picture never holds DLE followed by EOT, ENQ or DC4: printers obey these real-time commands wherever they meet them, for
  instance by clearing their buffers. The stroke of one dot that would spell one is made two dots wide: no bar or module of two
  dots or more can spell one.
- Standard mode, not page mode, for the printer's own font too. In page mode a picture hangs by its foot from the line
  (TM-T88III specification 3.12.3), which copies of Epson don't follow alike; its buffer ends after 831 dots (117 mm); and many
  printers of 58 mm have none. So the page is parted into strips: rows that hold nothing but text of the font's size
  on one line, or one barcode, or one QR code, are said; all other rows are pictures. A slip is such rows for the most part.
- Code 128 is ``GS k`` function B with every code set named, so that the symbol is the laid-out one.
- At 300 dpi all is dots: the unit of positions, ``GS P``, ends at 255 an inch.

Source: Epson TM-T88III specification (standard) rev. B and TM-L90 programming manual 10.01, the pages of the commands
named; FS commands: SUREPRINT SP91 and HCC POS80B technical manuals.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from escpos import constants

from labelsvc.errors import Invalid
from labelsvc.labels import BarMark, Mark, MatrixMark, Page, TextMark
from labelsvc.languages import patches
from labelsvc.languages.condition import Condition, all_true, first_true
from labelsvc.languages.target import Target

Buffer = bytes | memoryview

name = "escpos"
media_type = "application/vnd.epson.escpos"

#: Most bytes of one raster: the smallest usual receive buffer (TM-T88III, 1.8).
_BAND = 4096
#: Most rows of one raster: the count's high byte stays 0.
_ROWS = 255
#: Fewer blank rows than this are no feed of their own.
_BLANK = 12
#: DLE EOT, DLE ENQ, DLE DC4.
_REAL_TIME = re.compile(
    re.escape(constants.DLE) + b"([" + constants.EOT + constants.ENQ + constants.DC4 + b"])"
)
#: Font A is 12 × 24, Chinese 24 × 24.
_CELL = 24
#: GS ! enlarges up to eight times.
_MOST = 8
_CUT = constants.GS + b"V\x42\x00"
_POSITION: bytes = constants.ESC + b"$"
_MARGIN: bytes = constants.GS + b"L"
_FEED = constants.ESC + b"J"
_CONTROL = constants.GS + b"(K\x02\x00"
_SYMBOL: bytes = constants.GS + b"(k"
#: International characters of the USA ("$" is no "¥"), Chinese mode, positions in dots.
_OWN_FONT = constants.ESC + b"R\x00" + constants.FS + b"&" + constants.GS + b"P\xcb\xcb"
_NOTHING = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
_LEVELS = {"L": b"0", "M": b"1", "Q": b"2", "H": b"3"}


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One label or slip, ``ESC @`` to the feed of its last row, and a cut if the target cuts.

    ``darkness`` and ``speed`` are those of ``GS ( K`` (functions 49 and 50). Invalid if the page was composed for another
    resolution.
    """
    target.require_dpi(page)
    said: list[Buffer] = [constants.HW_INIT]
    if target.darkness is not None:
        said.append(_CONTROL + b"1" + bytes([min(255, max(0, target.darkness))]))
    if target.speed is not None:
        said.append(_CONTROL + b"2" + bytes([min(255, max(0, target.speed))]))
    if target.letters == "font" and page.dpi == 203:
        said += _strips(page, target)
    else:
        said += _rasters(*patches.draw(page, target))
    if target.cut:
        # Feeds to the knife by itself.
        said.append(_CUT)
    return b"".join(said)


# ── dots ──


def _rasters(stride: int, rows: bytes) -> Iterator[Buffer]:
    """Rows as rasters, cropped on the right; blank ones as rasters of one byte a row."""
    if not rows:
        return
    import numpy as np

    dots = np.frombuffer(rows, np.uint8).reshape(-1, stride)
    at = 0
    for top, bottom in patches.inked((dots.max(axis=1) != 0).tobytes(), _BLANK):
        yield from _feed(top - at)
        part = dots[top:bottom]
        wide = len((part.max(axis=0) != 0).tobytes().rstrip(b"\0"))
        yield from _bands(wide, part[:, :wide].tobytes())
        at = bottom
    yield from _feed(len(dots) - at)


def _feed(high: int) -> Iterator[bytes]:
    for at in range(0, high, _ROWS):
        few = min(_ROWS, high - at)
        yield _head(1, few) + bytes(few)


def _bands(stride: int, rows: bytes) -> Iterator[Buffer]:
    spelt = [found.end() - 1 for found in _REAL_TIME.finditer(rows)]
    if spelt:
        changed = bytearray(rows)
        for at in spelt:
            changed[at] |= 0x08
        rows = bytes(changed)
    high, most = len(rows) // stride, max(1, min(_ROWS, _BAND // stride))
    view = memoryview(rows)
    for at in range(0, high, most):
        few = min(most, high - at)
        yield _head(stride, few)
        yield view[at * stride : (at + few) * stride]


def _head(stride: int, high: int) -> bytes:
    said: bytes = constants.S_RASTER_N
    return said + stride.to_bytes(2, "little") + high.to_bytes(2, "little")


# ── the printer's own font, barcodes and QR codes ──


class _Strip(NamedTuple):
    """Rows from ``top`` to ``bottom`` that the printer draws by itself: the commands of each mark in them, with its left and
    right edge. ``lines`` is the enlargement of text, 0 for a symbol."""

    top: int
    bottom: int
    scale: int
    said: tuple[tuple[int, int, bytes, Mark], ...]

    def commands(self) -> bytes:
        """All its commands, and the feed to the row below."""
        words = b"".join(said for _, _, said, _ in sorted(self.said, key=lambda each: each[0]))
        if not self.scale:
            return words
        size = bytes([(self.scale - 1) * 0x11])
        return b"".join([constants.TXT_SIZE, size, words, _FEED, bytes([self.bottom - self.top])])


def _strips(page: Page, target: Target) -> Iterator[Buffer]:
    """The page from top to bottom, strips that the printer draws by itself between pictures of all else."""
    strips, dots = _parted(page, target)
    stride, rows = patches.draw(page if not strips else _of(page, dots), target)
    # A glyph may reach out of its line box: whatever has ink in the rows of a strip goes as dots together with the strip's marks.
    while inked := [strip for strip in strips if any(rows[strip.top * stride : strip.bottom * stride])]:
        strips = [strip for strip in strips if strip not in inked]
        dots += [said[3] for strip in inked for said in strip.said]
        stride, rows = patches.draw(_of(page, dots), target)
    if strips:
        yield _OWN_FONT
    at = 0
    for strip in strips:
        yield from _rasters(stride, rows[at * stride : strip.top * stride])
        yield strip.commands()
        at = strip.bottom
    yield from _rasters(stride, rows[at * stride :])


def _parted(page: Page, target: Target) -> tuple[list[_Strip], list[Mark]]:
    """Strips from top to bottom that don't meet, and the marks that go as dots, in drawing order."""
    hidden = patches.covered(page.marks)
    found: dict[tuple[int, int, int, int], _Strip] = {}
    dots: list[Mark] = []
    for place, mark in enumerate(page.marks):
        strip = None if place in hidden else _said(mark, page, target)
        if strip is None or _REAL_TIME.search(strip.commands()):
            dots.append(mark)
        elif strip.said:
            # Words on one line share a strip; a symbol has its own.
            key = (strip.top, strip.bottom, strip.scale, -1 if strip.scale else place)
            before = found.get(key)
            found[key] = strip._replace(said=before.said + strip.said) if before else strip
    strips = sorted(found.values(), key=lambda strip: strip.top)
    taken = [_rows(mark, target) for mark in dots]
    while True:
        alone = [strip for strip in strips if _apart(strip, strips, taken)]
        if len(alone) == len(strips):
            return strips, dots
        moved = [said[3] for strip in strips if strip not in alone for said in strip.said]
        taken += [_rows(mark, target) for mark in moved]
        dots += moved
        strips = alone


def _apart(one: _Strip, strips: list[_Strip], taken: list[tuple[int, int]]) -> bool:
    """True if a strip's words stand side by side, and nothing else lies in its rows."""
    edges = sorted((left, right) for left, right, _, _ in one.said)
    if any(after[0] < before[1] for before, after in itertools.pairwise(edges)):
        return False
    others = [(other.top, other.bottom) for other in strips if other is not one]
    return not any(one.top < bottom and top < one.bottom for top, bottom in (*others, *taken))


def _rows(mark: Mark, target: Target) -> tuple[int, int]:
    """The rows that a mark's dots lie in, but for glyphs that reach out of their line."""
    if isinstance(mark, TextMark):
        return mark.y + target.offset_y, mark.y + mark.height + target.offset_y
    _, top, _, bottom = patches.reach(mark)
    return top + target.offset_y, bottom + target.offset_y


def _of(page: Page, marks: list[Mark]) -> Page:
    """A page of some of its marks."""
    return Page(page.width, page.height, page.dpi, tuple(marks))


def _said(mark: Mark, page: Page, target: Target) -> _Strip | None:
    """The strip of a mark that the printer can draw as laid out; None if it must go as dots."""
    match mark:
        case TextMark():
            if not mark.text.strip():
                return _Strip(0, 0, 0, ())
            words = patches.words(mark, page, _CELL, target)
            if words is None or words.scale > _MOST:
                return None
            said = _POSITION + words.x.to_bytes(2, "little") + _letters(words.text)
            each = (words.x, words.x + words.width, said, mark)
            return _Strip(words.y, words.y + words.height, words.scale, (each,))
        case BarMark():
            place = patches.whole(mark, page, target)
            bars = _barcode(mark)
            return None if place is None or bars is None else _alone(mark, *place, bars)
        case MatrixMark():
            place = patches.whole(mark, page, target)
            level = _LEVELS.get(mark.level)
            if place is None or level is None or mark.module > 8 or not patches.sure_qr(mark):
                return None
            said = b"".join(
                [
                    _function(b"1A2\x00"),
                    _function(b"1C" + bytes([mark.module])),
                    _function(b"1E" + level),
                    _function(b"1P0" + _letters(mark.data)),
                    _function(b"1Q0"),
                ]
            )
            return _alone(mark, *place, said)
        case _:
            return None


def _alone(mark: BarMark | MatrixMark, x: int, y: int, said: bytes) -> _Strip:
    """A symbol's strip: it stands at the left margin, which is set back after it."""
    said = _MARGIN + x.to_bytes(2, "little") + said + _MARGIN + b"\x00\x00"
    return _Strip(y, y + mark.height, 0, ((x, x + mark.width, said, mark),))


def _barcode(mark: BarMark) -> bytes | None:
    plain = all(" " <= char <= "~" for char in mark.data)
    if mark.kind != "code128" or mark.rotation or not mark.plan or not plain:
        return None
    if not (2 <= mark.module <= 6 and 1 <= mark.height <= 255):
        return None
    if "".join(stretch for _, stretch in mark.plan) != mark.data:
        return None
    data = b""
    for code_set, stretch in mark.plan:
        data += b"{" + code_set.encode("ascii")
        if code_set == "C":
            data += bytes(int(stretch[at : at + 2]) for at in range(0, len(stretch), 2))
        else:
            data += _letters(stretch).replace(b"{", b"{{")
    if len(data) > 255:
        return None
    return b"".join(
        [
            constants.BARCODE_HEIGHT + bytes([mark.height]),
            constants.BARCODE_WIDTH + bytes([mark.module]),
            constants.BARCODE_TXT_OFF,
            constants.BARCODE_TYPE_B["CODE128"] + bytes([len(data)]) + data,
        ]
    )


def _function(data: bytes) -> bytes:
    """A function of ``GS ( k``."""
    return _SYMBOL + len(data).to_bytes(2, "little") + data


def _letters(data: str) -> bytes:
    """Data as the printer's characters, the only way for data into the stream but for the digit pairs of a barcode.

    Printable ASCII and GB 2312: every command begins with a byte below 0x20, and none is among these. A control character,
    were one to come so far, would print as nothing.
    """
    return data.translate(_NOTHING).encode("gb2312")


# ── what a cut label leaves behind ──


def finish(length: int) -> bytes:
    """What follows a label of at most ``length`` bytes that may have been cut anywhere, so that the next bytes are understood.

    NUL, as many as the longest raster has bytes: within one they are blank rows, and otherwise nothing.
    """
    return bytes(min(length, _BAND) + 8)


# ── the printer's answers ──

#: Questions of DLE EOT: the printer, why it is offline, what its error is, its paper.
PRINTER, OFFLINE, ERROR, PAPER = 1, 2, 3, 4
#: How many numbers ``receipt_query`` can tell apart: four characters of 95.
RECEIPTS = 95**4
_RECEIPT: bytes = constants.GS + b"(H\x06\x0000"
_RECEIPT_HEAD = b"\x37\x22"
_RECEIPT_LENGTH = 7
_XON, _XOFF = 0x11, 0x13


def status_query(*questions: int) -> bytes:
    """``DLE EOT n`` for each question; obeyed at once, also between the bytes of a label, so never to be sent into one."""
    return b"".join(constants.DLE + constants.EOT + bytes([n]) for n in questions)


def receipt_query(number: int) -> bytes:
    """``GS ( H`` function 48 with a process id: sent behind a label, the printer answers once that label is printed.

    ``number`` counts 0 to ``RECEIPTS`` - 1. Where the buffer is cleared instead, the answer never comes; of several that are due
    only the newest may. Source: Epson's reference for ``GS ( H``.
    """
    if not 0 <= number < RECEIPTS:
        raise ValueError("not a number of four characters")
    digits = bytearray()
    for _ in range(4):
        number, digit = divmod(number, 95)
        digits.append(0x20 + digit)
    return _RECEIPT + bytes(reversed(digits))


class Heard(NamedTuple):
    """What a printer said, told apart: the answers to DLE EOT in their order, the newest automatic status (ASB, four bytes),
    the numbers of ``receipt_query`` that came back, and the bytes that are not whole yet."""

    answers: bytes
    automatic: bytes
    receipts: tuple[int, ...]
    rest: bytes


def hear(reply: bytes) -> Heard:
    """Tell apart what was received so far; a cut may be anywhere.

    A byte of DLE EOT is ``0xx1xx10``, the first of an automatic status ``0xx1xx00`` and its other three ``0xx0xxxx``, a
    receipt begins with 37 22 (hex) and ends with 00; flow control bytes are passed over. Invalid (``reply.garbage``) at any other.
    Source: Citizen CT-S310 command reference p. 310.
    """
    answers, automatic, receipts = bytearray(), b"", []
    at = 0
    while at < len(reply):
        byte = reply[at]
        if byte in (_XON, _XOFF):
            at += 1
        elif byte == _RECEIPT_HEAD[0]:
            piece = reply[at : at + _RECEIPT_LENGTH]
            number = _receipt(piece)
            if len(piece) < _RECEIPT_LENGTH:
                break
            receipts.append(number)
            at += _RECEIPT_LENGTH
        elif byte & 0x93 == 0x12:
            answers.append(byte)
            at += 1
        elif byte & 0x93 == 0x10:
            group = reply[at : at + 4]
            if any(each & 0x90 for each in group[1:]):
                raise _garbage("an automatic status of other bytes")
            if len(group) < 4:
                break
            automatic = group
            at += 4
        else:
            raise _garbage("a byte that answers nothing")
    return Heard(bytes(answers), automatic, tuple(receipts), reply[at:])


def _receipt(piece: bytes) -> int:
    """The number of a receipt, as far as it is there. Raises Invalid unless it is one or may become one."""
    if piece[:2] != _RECEIPT_HEAD[: len(piece)]:
        raise _garbage("another block of data")
    number = 0
    for digit in piece[2:6]:
        if not 0x20 <= digit < 0x7F:
            raise _garbage("a process id of other characters")
        number = number * 95 + digit - 0x20
    if piece[6:] not in (b"", b"\0"):
        raise _garbage("a process id without its end")
    return number


def read_status(answers: Mapping[int, int]) -> Condition:
    """What the answers to DLE EOT (question -> byte) say; a question that wasn't asked says nothing.

    Whether something is left to print no answer tells. Source: Epson's reference for ``DLE EOT``.
    """
    printer, offline = answers.get(PRINTER, 0), answers.get(OFFLINE, 0)
    error, paper = answers.get(ERROR, 0), answers.get(PAPER, 0)
    return Condition(
        blocked=first_true(
            {
                "cover_open": bool(offline & 0x04),
                "paper_out": bool(offline & 0x20 or paper & 0x60),
                "cutter": bool(error & 0x08),
                "over_temperature": bool(error & 0x40),  # the error that passes by itself
                "fault": bool(error & 0x20 or offline & 0x40),
                "paused": bool(offline & 0x08),  # the feed button is held
                "offline": bool(printer & 0x08),
            }
        ),
        warnings=all_true({"paper_low": bool(paper & 0x0C)}),
    )


def read_automatic(group: bytes) -> Condition:
    """What the four bytes of an automatic status (``Heard.automatic``) say. Source: Epson TM-L90 manual, ``GS a`` p. 319."""
    printer, error, paper, _ = group
    return Condition(
        blocked=first_true(
            {
                "cover_open": bool(printer & 0x20),
                "paper_out": bool(paper & 0x0C),
                "cutter": bool(error & 0x08),
                "over_temperature": bool(error & 0x40),
                "fault": bool(error & 0x24),
                "paused": bool(error & 0x02),
                "offline": bool(printer & 0x08),
            }
        ),
        warnings=all_true({"paper_low": bool(paper & 0x03)}),
    )


def _garbage(what: str) -> Invalid:
    return Invalid(f"The printer's answer has {what}", code="reply.garbage")
