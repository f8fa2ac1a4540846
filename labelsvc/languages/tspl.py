r"""TSPL and TSPL2: a Page as the commands of TSC printers and of the many that speak like them (Gprinter, Xprinter, HPRT, Deli).

Hides which marks the printer says by itself and which go as dots, that a bitmap's bit is white when set, and escaping: data
reaches the stream through ``_command`` alone, so that no text can become a command.

Choices that are not obvious:

- Bars, lines and the sides of boxes are ``BAR``: a filled box whose dots are exact in every dialect. ``BOX`` is not (some draw
  its line inwards, some about the edge), nor is ``BARCODE "128"``, whose printer picks the code sets.
- With the printer's own font trusted (``letters="font"``), Code 128 is ``BARCODE "128M"``, which names every code set, so that the
  symbol is the laid-out one; QR is ``QRCODE`` where its size is sure.
- A resident ``TSS24.BF2`` is taken for text of its size or nearly a multiple of it; a TrueType font by its name, in points.
- Bitmaps come before all else and never overlap: whether a dialect's mode 1 adds dots or replaces them is then all one.
- No ``GAP``, ``SHIFT`` and ``OFFSET``: they are the paper's, and stand in the printer. ``DIRECTION`` and ``REFERENCE`` are set, for
  others leave them turned or mirrored.
- The first bytes end a line that another sender left unfinished.
- A bitmap never holds the bytes ``ESC !``: printers obey ``ESC ! R`` (reset) wherever they meet it. The white dot that would
  spell them is blackened; between two black dots, so that no bar or module of two dots or more is touched.

Source: TSC, TSPL/TSPL2 Programming (the pages of the commands named).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from labelsvc.errors import Invalid
from labelsvc.labels import DOTS_PER_MM, BarMark, LineMark, Mark, MatrixMark, Page, RectMark, TextMark
from labelsvc.languages import patches, raster
from labelsvc.languages.condition import Condition, all_true, first_true
from labelsvc.languages.target import Target

name = "tspl"
media_type = "application/vnd.tsc.tspl"

#: The resident font of simplified Chinese that most of these printers have.
_FONT = "TSS24.BF2"
_CELL = re.compile(r"TSS([0-9]{2})\.BF2", re.IGNORECASE)
_TRUETYPE = re.compile(r"[A-Z0-9_-]{1,8}\.TTF", re.IGNORECASE)
#: ASCII in a TrueType font of Chinese, in em: half in most, up to this in some.
_TRUETYPE_ASCII = 0.62
#: TEXT enlarges up to ten times.
_MOST = 10

_INVERSE = bytes(255 - byte for byte in range(256))
_START = {"A": "!103", "B": "!104", "C": "!105"}
_SWITCH = {"A": "!101", "B": "!100", "C": "!099"}
#: More strokes than this are cheaper as dots.
_STROKES = 8


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One label, ``SIZE`` to ``PRINT``; Invalid if the page was composed for another resolution.

    ``speed`` is in inches a second, ``darkness`` 0 to 15.
    """
    target.require_dpi(page)
    writing = _Label(page, target)
    body = patches.write(page, target, writing.say, writing.graphic)
    return b"".join([writing.head(), body, b"PRINT 1,1\r\n"])


class _Label:
    """One label being written."""

    def __init__(self, page: Page, target: Target) -> None:
        self.page = page
        self.target = target
        self.own_font = target.letters == "font"
        font = target.font or _FONT
        cell = _CELL.fullmatch(font)
        self.font = font if cell or _TRUETYPE.fullmatch(font) else ""
        self.cell = int(cell[1]) if cell else 0

    def head(self) -> bytes:
        target = self.target
        per_mm = DOTS_PER_MM[self.page.dpi]
        width, height = (f"{round(dots / per_mm, 2):g}" for dots in (self.page.width, self.page.height))
        lines = [f"SIZE {width} mm,{height} mm"]
        if target.speed is not None:
            lines.append(f"SPEED {target.speed}")
        if target.darkness is not None:
            lines.append(f"DENSITY {min(15, max(0, target.darkness))}")
        lines.append("SET CUTTER 1" if target.cut else "SET CUTTER OFF")
        lines += ["DIRECTION 0,0", "REFERENCE 0,0"]
        if self.own_font and self.font and not self.cell:
            lines.append("CODEPAGE UTF-8")
        lines.append("CLS")
        return ("\r\n" + "\r\n".join(lines) + "\r\n").encode("ascii")

    def say(self, mark: Mark) -> bytes | None:
        """The commands of a mark that the printer draws exactly as laid out; None if it must go as dots."""
        match mark:
            case BarMark():
                return (self.own_font and self.barcode(mark)) or self.bars(raster.bar_boxes(mark))
            case LineMark():
                strokes = raster.line_boxes(mark)
                return None if strokes is None or len(strokes) > _STROKES else self.bars(strokes)
            case RectMark():
                sides = patches.rect_boxes(mark)
                return None if sides is None else self.bars(sides)
            case TextMark() if self.own_font:
                return self.text(mark)
            case MatrixMark() if self.own_font:
                return self.qrcode(mark)
            case _:
                return None

    def bars(self, found: Iterable[raster.Box]) -> bytes:
        said = patches.boxes(found, self.page, self.target)
        return "".join(f"BAR {x},{y},{width},{height}\r\n" for x, y, width, height in said).encode("ascii")

    def text(self, mark: TextMark) -> bytes | None:
        if not mark.text.strip():
            return b""
        if not self.font:
            return None
        if self.cell:
            words = patches.words(mark, self.page, self.cell, self.target)
            if words is None or words.scale > _MOST:
                return None
            across, encoding = words.scale, "gb2312"
        else:
            # A TrueType font is asked for in whole points: the size below the laid-out one.
            points = mark.size * 72 // self.page.dpi
            cell = points * self.page.dpi // 72
            if points < 4:
                return None
            words = patches.words(mark, self.page, cell, self.target, _TRUETYPE_ASCII)
            if words is None:
                return None
            across, encoding = points, "utf-8"
        place = f'TEXT {words.x},{words.y},"{self.font}",0,{across},{across},'
        return _command(place, words.text, encoding)

    def barcode(self, mark: BarMark) -> bytes | None:
        if mark.kind != "code128" or mark.rotation or not mark.plan or mark.module > 10 or "!" in mark.data:
            return None
        place = patches.whole(mark, self.page, self.target)
        if place is None or "".join(stretch for _, stretch in mark.plan) != mark.data:
            return None
        said = "".join(
            (_SWITCH if before else _START)[code_set] + stretch
            for before, (code_set, stretch) in enumerate(mark.plan)
        )
        x, y = place
        return _command(
            f'BARCODE {x},{y},"128M",{mark.height},0,0,{mark.module},{mark.module},', said, "ascii"
        )

    def qrcode(self, mark: MatrixMark) -> bytes | None:
        place = patches.whole(mark, self.page, self.target)
        if place is None or mark.module > 10 or not patches.sure_qr(mark):
            return None
        # Without M2 the manual's printer draws model 1, which few scanners read; a model brings its mask with it.
        head = f"QRCODE {place[0]},{place[1]},{mark.level},{mark.module},A,0,M2,S7,"
        return _command(head, mark.data, "ascii")

    def graphic(self, piece: patches.Piece) -> bytes:
        bits = piece.bits.translate(_INVERSE)
        if b"\x1b!" in bits:
            bits = bits.replace(b"\x1b!", b"\x1b\x01")
        place = f"BITMAP {piece.x},{piece.y},{piece.stride},{piece.height},1,"
        return b"".join([place.encode("ascii"), bits, b"\r\n"])


def _command(place: str, data: str, encoding: str) -> bytes | None:
    r"""A command with data as a quoted string, the only way for data into the stream; None if no string can hold it.

    A quote is ``\["]``. For control characters there is no escape that all dialects know, nor is there one for a backslash,
    which might begin an escape together with what follows. ``~!`` begins the commands that ask for the status.
    """
    if "~!" in data or any(char < " " or char in "\\\x7f" for char in data):
        return None
    quoted = data.replace('"', '\\["]').encode(encoding, "strict")
    return b"".join([place.encode("ascii"), b'"', quoted, b'"\r\n'])


# ── what a cut label leaves behind ──


def finish(length: int) -> bytes:
    """What follows a label of at most ``length`` bytes that may have been cut anywhere, so that the next bytes are understood.

    Ends of lines, as many bytes as the label had: within a bitmap they are its dots, which the next ``CLS`` wipes out, and
    otherwise nothing.
    """
    return b"\r\n" * (length // 2 + 1)


# ── the printer's answers ──

#: Asks for one byte of status; obeyed at once. Never to be sent into a label.
STATUS_QUERY = b"\x1b!?"
#: Asks for four bytes of status, which newer firmware knows.
DETAIL_QUERY = b"\x1b!S"
#: Asks how many labels were printed since the printer was switched on. It waits its turn behind what was sent before.
COUNTER_QUERY = b"OUT @LABEL\r\n"


def read_status(reply: bytes) -> Condition | None:
    """The answer to ``STATUS_QUERY``, one byte of flags; None before it came.

    More than one byte is no such answer: Invalid (``reply.garbage``). Bit 7 has a meaning of its maker's: *fault*.
    Source: Gprinter GP-2120T programming manual p. 30; TSC, TSPL/TSPL2 Programming, ``<ESC>!?``.
    """
    if not reply:
        return None
    if len(reply) > 1:
        raise _garbage("more than one byte")
    flags = reply[0]
    return Condition(
        blocked=first_true(
            {
                "head_open": bool(flags & 0x01),
                "cover_open": bool(flags & 0x40),
                "paper_out": bool(flags & 0x04),
                "jam": bool(flags & 0x02),
                "ribbon_out": bool(flags & 0x08),
                "fault": bool(flags & 0x80),
                "paused": bool(flags & 0x10),
            }
        ),
        quiet=not flags & 0x20,
    )


def read_detail(reply: bytes) -> Condition | None:
    """The answer to ``DETAIL_QUERY``: STX, four bytes, ETX CR LF; None before it is whole.

    Invalid (``reply.garbage``) as soon as it can't be one. Source: TSC TTP-244 Plus manual p. 85; TSC, TSPL/TSPL2 Programming,
    ``<ESC>!S``.
    """
    head, flags, tail = reply[:1], reply[1:5], reply[5:]
    if not (b"\x02".startswith(head) and b"\x03\r\n".startswith(tail)) or any(
        flag & 0xC0 != 0x40 for flag in flags
    ):
        raise _garbage("a byte that stands nowhere in it")
    if len(tail) < 3:
        return None
    doing, warning, fault, supply = flags
    return Condition(
        blocked=first_true(
            {
                "head_open": bool(supply & 0x20),
                "paper_out": bool(supply & 0x01),
                "jam": bool(supply & 0x0A),
                "ribbon_out": bool(supply & 0x04),
                "cutter": bool(fault & 0x08),
                "over_temperature": bool(fault & 0x03),
                "memory_full": bool(fault & 0x10),
                "fault": bool(fault & 0x04) or doing == 0x45,
                "paused": doing == 0x60,
            }
        ),
        # Backing, cutting, feeding, printing, imaging.
        quiet=doing not in (0x42, 0x43, 0x46, 0x50, 0x57),
        warnings=all_true(
            {
                "paper_low": bool(warning & 0x01),
                "buffer_full": bool(warning & 0x08),
                "label_waiting": doing == 0x4C,
            }
        ),
    )


def read_counter(reply: bytes) -> int | None:
    """The number in an answer to ``COUNTER_QUERY``; None before there is a digit. Which byte ends it is written nowhere: who
    asks waits until no more come.

    Invalid (``reply.garbage``) if it is no number. Source: TSC, TSPL/TSPL2 Programming, ``@LABEL`` and ``OUT``.
    """
    if len(reply) > 24:
        raise _garbage("more than a number")
    text = reply.strip(b"\r\n\0 ")
    if not text:
        return None
    if not set(text) <= set(b"0123456789") or len(text) > 18:
        raise _garbage("no number")
    return int(text)


def _garbage(what: str) -> Invalid:
    return Invalid(f"The printer's answer has {what}", code="reply.garbage")
