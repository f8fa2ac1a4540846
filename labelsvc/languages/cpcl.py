"""CPCL: a Page as the commands of Zebra's mobile printers and of the many belt printers that speak like them (HPRT, Jolimark).

Hides which marks the printer says by itself and which go as dots, and escaping: data reaches the stream through ``_line``
alone, on the line of its command, so that no text can become one.

Choices that are not obvious:

- Bars, lines and the sides of boxes are ``LINE`` with the *thickness* across: that is exact in every dialect. Whether a
  line's end is still black is not, so the end lies where a dot more or less does no harm: at a bar's foot.
- ``BARCODE 128`` is never used: its printer picks the code sets by rules that no manual gives.
- A resident font of Chinese is used where ``font`` names one whose cell is known; QR is ``BARCODE QR`` where its size is sure and
  the printer's own drawing is trusted (``letters="font"``).
- Pictures come before all else and never overlap: the manual doesn't say whether ``CG`` covers what is there or adds to it.
- ``CG`` (a byte a byte) instead of ``EG`` (two hex digits): belt printers hang on Bluetooth. Its data never holds ESC and a letter:
  printers obey ``ESC p`` (switch off) wherever they may meet it. The white dot that would spell it is blackened; between two
  black dots, so that no bar or module of two dots or more is touched.
- ``200 200`` is said at every resolution: lengths are the printer's dots, and the manual knows no other figure.
- A label that was cut on a cable can't be ended: ``ABORT`` ends a session, but not the counted bytes of ``CG``, and outside
  a session these printers print what they get as text.
- These printers have no cutter: ``cut`` goes unnoticed.

Source: Zebra, CPCL Programming Manual (PROMAN-CPCL): 2-2 session, 3-1 text, 6 QR, 7-2 LINE, 7-7 CG, 11 escape commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from labelsvc.labels import BarMark, LineMark, Mark, MatrixMark, Page, RectMark, TextMark
from labelsvc.languages import patches, raster
from labelsvc.languages.target import Target

name = "cpcl"
media_type = "application/vnd.zebra.cpcl"

#: The numbered Chinese fonts of Chinese makers: dots of a cell.
_CELLS = {"8": 24, "24": 24, "55": 16}
#: Zebra's own say it in their names, such as GBUNSG24.CPF.
_NAMED = re.compile(r"[A-Z]{2,6}([0-9]{2})\.CPF", re.IGNORECASE)
#: SETMAG enlarges up to 16 times.
_MOST = 16
#: Modules of a QR code: 1 to 32 dots.
_MODULE = 32
#: More strokes than this are cheaper as dots.
_STROKES = 8
_ESCAPE = re.compile(rb"\x1b(?=[A-Za-z])")


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One label, ``! 0`` to ``PRINT``; Invalid if the page was composed for another resolution.

    ``speed`` is 0 to 5, ``darkness`` the contrast, 0 to 3. ``FORM`` feeds to the next label.
    """
    target.require_dpi(page)
    writing = _Label(page, target)
    body = patches.write(page, target, writing.say, writing.graphic)
    return b"".join([writing.head(), body, b"FORM\r\nPRINT\r\n"])


class _Label:
    """One label being written."""

    def __init__(self, page: Page, target: Target) -> None:
        self.page = page
        self.target = target
        self.own_font = target.letters == "font"
        named = _NAMED.fullmatch(target.font)
        self.cell = int(named[1]) if named else _CELLS.get(target.font, 0)
        self.encoding = named is not None

    def head(self) -> bytes:
        target = self.target
        lines = [f"! 0 200 200 {self.page.height} 1", f"PAGE-WIDTH {self.page.width}"]
        if target.speed is not None:
            lines.append(f"SPEED {min(5, max(0, target.speed))}")
        if target.darkness is not None:
            lines.append(f"CONTRAST {min(3, max(0, target.darkness))}")
        if self.own_font and self.encoding:
            lines.append("ENCODING GB18030")
        return ("\r\n".join(lines) + "\r\n").encode("ascii")

    def say(self, mark: Mark) -> bytes | None:
        """The commands of a mark that the printer draws as laid out; None if it must go as dots."""
        match mark:
            case BarMark():
                return self.lines(raster.bar_boxes(mark), upright=mark.rotation in {0, 180})
            case LineMark():
                strokes = raster.line_boxes(mark)
                if strokes is None or len(strokes) > _STROKES:
                    return None
                return self.lines(strokes, upright=mark.x1 == mark.x2)
            case RectMark():
                sides = patches.rect_boxes(mark)
                return None if sides is None else self.lines(sides)
            case TextMark() if self.own_font:
                return self.text(mark)
            case MatrixMark() if self.own_font:
                return self.qrcode(mark)
            case _:
                return None

    def lines(self, found: Iterable[raster.Box], *, upright: bool | None = None) -> bytes:
        """Black boxes; ``upright`` tells which way they are long (None: each as it is)."""
        said = []
        for x, y, width, height in patches.boxes(found, self.page, self.target):
            if upright if upright is not None else height > width:
                said.append(f"LINE {x} {y} {x} {y + height} {width}\r\n")
            else:
                said.append(f"LINE {x} {y} {x + width} {y} {height}\r\n")
        return "".join(said).encode("ascii")

    def text(self, mark: TextMark) -> bytes | None:
        if not mark.text.strip():
            return b""
        words = patches.words(mark, self.page, self.cell, self.target) if self.cell else None
        if words is None or words.scale > _MOST:
            return None
        line = _line(f"TEXT {self.target.font} 0 {words.x} {words.y} ", words.text)
        if line is None or words.scale == 1:
            return line
        larger = f"SETMAG {words.scale} {words.scale}\r\n".encode("ascii")
        return larger + line + b"SETMAG 0 0\r\n"

    def qrcode(self, mark: MatrixMark) -> bytes | None:
        place = patches.whole(mark, self.page, self.target)
        if place is None or mark.module > _MODULE or not patches.sure_qr(mark):
            return None
        # Level, automatic choice of the packing, then the data: it never stands at the beginning of a line.
        data = _line(f"{mark.level}A,", mark.data)
        if data is None:
            return None
        x, y = place
        return f"BARCODE QR {x} {y} M 2 U {mark.module}\r\n".encode("ascii") + data + b"ENDQR\r\n"

    def graphic(self, piece: patches.Piece) -> bytes:
        bits = piece.bits
        if b"\x1b" in bits:
            bits = _ESCAPE.sub(b"\x1f", bits)
        place = f"CG {piece.stride} {piece.height} {piece.x} {piece.y} "
        return b"".join([place.encode("ascii"), bits, b"\r\n"])


def _line(command: str, data: str) -> bytes | None:
    r"""A command and its data on one line, the only way for data into the stream; None if no line can hold it.

    There is no escape: control characters, backslashes (fields of stored formats are ``\\``) and a space at the beginning or
    end go as dots.
    """
    if not data or data != data.strip() or any(char < " " or char in "\\\x7f" for char in data):
        return None
    return command.encode("ascii") + data.encode("gb18030") + b"\r\n"
