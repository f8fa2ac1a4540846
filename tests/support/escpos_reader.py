"""An ESC/POS printer on a roll of dots, read from Epson's public command reference for TM printers, not from our encoder: strict.

Hides the language: commands of bytes, the line buffer, standard and page mode, graphics, resident fonts, native barcodes. A
command or parameter that the reference doesn't give, text bytes that the chosen characters don't have, a dot beside the
print area: Fault. A cash drawer's pulse is a Fault too: no label may open one.

Of the reference: graphics print their bits of 1; in page mode a position is the lower left corner of what is put there, and
ESC T turns the whole area; Code 128's set C takes a byte for each pair of digits; GS k needs {A, {B or {C first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from support import second_encoder
from support.paper import Fault, Paper, wide

ESC, FS, GS, DLE = 0x1B, 0x1C, 0x1D, 0x10

#: The longest paper that one label may take, in dots.
LONGEST = 16000

_FONT = {0: (24, 24), 48: (24, 24), 1: (18, 17), 49: (18, 17)}
_CODEPAGES = {0: "cp437", 2: "cp850", 16: "cp1252", 255: "ascii"}
_LINEAR = {65: "UPCA", 66: "UPCE", 67: "EAN13", 68: "EAN8", 69: "39", 70: "25", 71: "CODA", 72: "93"}


def read(stream: bytes, width: int = 576) -> list[Paper]:
    """The labels that a stream prints, each up to a cut, a form feed or the end; ``width`` is the head's, in dots."""
    return _Printer(stream, width).run()


@dataclass
class _Piece:
    """Something in the line buffer: its dots, its place from the left, what it is."""

    bits: np.ndarray
    x: int
    note: tuple[str, str, str]


class _Printer:
    def __init__(self, stream: bytes, width: int) -> None:
        self.stream = stream
        self.at = 0
        self.begin = 0
        self.width = width
        self.printed: list[Paper] = []
        self.roll = Paper(width, LONGEST)
        self.y = 0
        self.reset()

    def fault(self, why: str) -> Fault:
        return Fault(self.begin, why)

    def reset(self) -> None:
        """ESC @: everything as at power on."""
        self.line: list[_Piece] = []
        self.x = 0
        self.spacing = 30
        self.font = 0
        self.size = (1, 1)
        self.kanji = False
        self.kanji_size = (1, 1)
        self.codepage = "cp437"
        self.utf8 = False
        self.bold = False
        self.inverse = False
        self.justified = 0
        self.margin = 0
        self.asked = self.width
        self.gap = 0
        self.bar_height, self.bar_module = 162, 3
        self.stored: dict[int, bytes] = {}
        self.two: dict[tuple[int, int], bytes] = {}
        self.graphic: np.ndarray | None = None
        self.page: Paper | None = None
        self.window = (0, 0, self.width, LONGEST)
        self.direction = 0
        self.v: int | None = None

    # -- the stream

    def byte(self, low: int = 0, high: int = 255) -> int:
        if self.at >= len(self.stream):
            raise self.fault("the stream ends inside a command")
        found = self.stream[self.at]
        if not low <= found <= high:
            raise self.fault(
                f"parameter {found} at {self.at - self.begin} of the command, not {low} to {high}"
            )
        self.at += 1
        return found

    def one_of(self, *allowed: int) -> int:
        found = self.byte()
        if found not in allowed:
            raise self.fault(f"parameter {found}, not one of {allowed}")
        return found

    def word(self) -> int:
        return self.byte() | self.byte() << 8

    def take(self, count: int) -> bytes:
        found = self.stream[self.at : self.at + count]
        if len(found) != count:
            raise self.fault(f"{len(found)} bytes of data where {count} belong")
        if re.search(rb"\x10[\x04\x05\x14]", found):
            raise self.fault("a real-time command in data, which a printer obeys wherever it meets it")
        self.at += count
        return found

    def run(self) -> list[Paper]:
        while self.at < len(self.stream):
            self.begin = self.at
            first = self.byte()
            if first >= 0x20 and first != 0x7F:
                self.at -= 1
                self.write()
                continue
            if first in (ESC, FS, GS, DLE):
                second = self.byte()
                name = f"do_{first:02X}_{second:02X}"
            else:
                name = f"do_{first:02X}"
            command: Callable[[], None] | None = getattr(self, name, None)
            if command is None:
                raise self.fault(f"unknown command {name[3:]}")
            command()
        if self.line:
            raise self.fault("the stream ends with a line that isn't printed")
        if self.page is not None:
            raise self.fault("the stream ends in page mode")
        self.tear()
        return self.printed

    # -- paper

    def tear(self) -> None:
        """The label is done: what came out since the last one."""
        if not self.roll.drawn:
            self.y = 0
            return
        done = Paper(self.width, self.y)
        if self.roll.ink[self.y :].any():
            raise self.fault("dots below the paper that was fed")
        done.ink = self.roll.ink[: self.y].copy()
        done.drawn = self.roll.drawn
        self.printed.append(done)
        self.roll, self.y = Paper(self.width, LONGEST), 0

    def feed(self, dots: int) -> None:
        self.y += dots
        if self.y > LONGEST:
            raise self.fault("paper without end")

    def flush(self, advance: int) -> None:
        """Print the line buffer, all on one baseline, and feed."""
        height = max((piece.bits.shape[0] for piece in self.line), default=0)
        used = max((piece.x + piece.bits.shape[1] for piece in self.line), default=0)
        shift = self.aligned(used)
        for piece in self.line:
            top = self.y + height - piece.bits.shape[0]
            self.roll.put(piece.bits, shift + piece.x, top, self.begin, note=piece.note)
        self.line, self.x = [], 0
        self.feed(max(advance, height))

    @property
    def area(self) -> int:
        """The print area's width: what GS W asked for, as far as the left margin leaves it."""
        return min(self.asked, self.width - self.margin)

    def aligned(self, used: int) -> int:
        room = self.area
        return self.margin + (room - used) * self.justified // 2 if used < room else self.margin

    def place(self, bits: np.ndarray, note: tuple[str, str, str], block: bool) -> None:
        """Put dots where the position is: into the line, on their own lines (``block``), or into the page."""
        height, width = bits.shape
        if self.page is not None:
            self.into_page(bits, note)
        elif block:
            if self.line:
                raise self.fault("graphics or a barcode while the line buffer isn't empty")
            if self.x + width > self.area and bits[:, max(0, self.area - self.x) :].any():
                raise self.fault("black dots beyond the print area")
            left = self.margin + self.x if self.x else self.aligned(width)
            self.roll.put(bits, left, self.y, self.begin, note=note)
            self.x = 0
            self.feed(height)
        else:
            if self.x + width > self.area:
                raise self.fault("the line is longer than the print area: the printer would break it")
            self.line.append(_Piece(bits, self.x, note))
            self.x += width

    def into_page(self, bits: np.ndarray, note: tuple[str, str, str]) -> None:
        assert self.page is not None
        if self.v is None or self.x < 0:
            raise self.fault("something in page mode without GS $ and ESC $ before it: where, no manual says")
        left, top, width, height = self.window
        u, v = self.x, self.v - bits.shape[0]
        inside = (width, height) if self.direction in (0, 2) else (height, width)
        if v < 0 or u + bits.shape[1] > inside[0] or v + bits.shape[0] > inside[1]:
            # White dots may hang over the area: they are cut off. Black ones may not.
            kept = bits[max(0, -v) : max(0, inside[1] - v), : max(0, inside[0] - u)]
            if kept.sum() != bits.sum():
                raise self.fault("black dots outside the page's print area")
        if self.direction == 0:
            x, y, turn = left + u, top + v, 0
        elif self.direction == 1:
            x, y, turn = left + v, top + height - u, 270
        elif self.direction == 2:
            x, y, turn = left + width - u, top + height - v, 180
        else:
            x, y, turn = left + width - v, top + u, 90
        self.page.put(bits, x, y, self.begin, "or", turn, note)
        if note[0] == "text":
            self.x += bits.shape[1]
        else:
            self.x = -1

    # -- text

    def write(self) -> None:
        end = self.at
        while end < len(self.stream) and self.stream[end] >= 0x20 and self.stream[end] != 0x7F:
            end += 1
        raw = self.take(end - self.at)
        if self.utf8:
            encoding = "utf-8"
        elif self.kanji:
            encoding = "gb18030"
        else:
            encoding = self.codepage
        try:
            words = raw.decode(encoding)
        except UnicodeDecodeError as wrong:
            raise self.fault(f"text that isn't {encoding}: {wrong.reason}") from None
        if encoding == "gb18030" and any(0x7F < ord(char) < 0x100 and ord(char) not in (0xA4, 0xA7, 0xA8, 0xB0, 0xB1, 0xB7, 0xD7, 0xF7) for char in words):  # fmt: skip
            raise self.fault("characters that GB fonts hold at four bytes only")
        cell = _FONT[self.font]
        for char in words:
            across, down = self.size
            if wide(char) or (self.kanji and not char.isascii()):
                across, down = across * self.kanji_size[0], down * self.kanji_size[1]
                size = 24 * across, 24 * down
            else:
                size = cell[0] * across, cell[1] * down
            stage = Paper(size[0] + self.gap, size[1])
            stage.text(char, size, 0, 0, self.begin, bold=self.bold, inverse=self.inverse)
            width = size[0] if wide(char) else max(1, size[0] // 2)
            self.place(stage.ink[:, : width + self.gap], ("text", char, ""), block=False)

    # -- controls of one byte

    def do_0A(self) -> None:
        if self.page is not None:
            self.x = 0
            self.v = None if self.v is None else self.v + self.spacing
            return
        self.flush(self.spacing)

    def do_0D(self) -> None:
        """CR alone does nothing where automatic line feed is off, as it is on any interface but parallel."""

    def do_0C(self) -> None:
        if self.page is None:
            if self.line:
                raise self.fault("FF in standard mode over a line that isn't printed")
            self.tear()
            return
        self.print_page()
        self.page = None
        self.window, self.v, self.x = (0, 0, self.width, LONGEST), None, 0

    def do_18(self) -> None:
        if self.page is None:
            raise self.fault("CAN outside page mode")
        left, top, width, height = self.window
        self.page.ink[top : top + height, left : left + width] = False

    def print_page(self) -> None:
        assert self.page is not None
        rows = np.flatnonzero(self.page.ink.any(axis=1))
        _, top, _, height = self.window
        # Paper is fed by the area; where none was set, by what is on it.
        bottom = max(top + height if height < LONGEST else 0, int(rows[-1]) + 1 if len(rows) else 0)
        for each in self.page.drawn:
            self.roll.drawn.append(
                type(each)(each.what, each.x, each.y + self.y, each.width, each.height, each.text, each.kind)
            )
        self.roll.ink[self.y : self.y + bottom] |= self.page.ink[:bottom]
        self.feed(bottom)

    # -- DLE, real time

    def do_10_04(self) -> None:
        if self.byte(1, 8) >= 7:
            self.byte(1, 3)

    def do_10_05(self) -> None:
        self.byte(0, 2)

    # -- ESC

    def do_1B_40(self) -> None:
        self.reset()

    def do_1B_0C(self) -> None:
        if self.page is None:
            raise self.fault("ESC FF outside page mode")
        self.print_page()

    def do_1B_21(self) -> None:
        n = self.byte()
        if n & 0b01000110:
            raise self.fault("ESC ! with bits that mean nothing")
        self.font, self.bold = n & 1, bool(n & 8)
        self.size = 1 + (n >> 5 & 1), 1 + (n >> 4 & 1)

    def do_1B_20(self) -> None:
        self.gap = self.byte()

    def do_1B_24(self) -> None:
        self.x = self.word()
        if self.page is None and self.x >= self.width:
            raise self.fault("a position beyond the paper")

    def do_1B_5C(self) -> None:
        by = self.word()
        self.x += by - 65536 if by >= 32768 else by
        if self.x < 0:
            raise self.fault("a position left of the paper")

    def do_1B_2A(self) -> None:
        mode = self.one_of(0, 1, 32, 33)
        columns = self.word()
        deep = 3 if mode >= 32 else 1
        if not 1 <= columns <= 2400:
            raise self.fault("ESC * without columns")
        data = np.frombuffer(self.take(columns * deep), np.uint8).reshape(columns, deep)
        bits = np.unpackbits(data, axis=1).T.astype(bool)
        if mode in (0, 32):
            bits = np.repeat(bits, 2, axis=1)
        if deep == 1:
            bits = np.repeat(bits, 3, axis=0)
        self.place(bits, ("bits", "", ""), block=False)

    def do_1B_2D(self) -> None:
        if self.one_of(0, 1, 2, 48, 49, 50) % 48:
            raise self.fault("underlining, which labels draw themselves")

    def do_1B_32(self) -> None:
        self.spacing = 30

    def do_1B_33(self) -> None:
        self.spacing = self.byte()

    def do_1B_3D(self) -> None:
        self.one_of(1)

    def do_1B_44(self) -> None:
        while self.byte():
            pass

    def do_1B_45(self) -> None:
        self.bold = bool(self.byte() & 1)

    do_1B_47 = do_1B_45

    def do_1B_4A(self) -> None:
        self.flush(self.byte())

    def do_1B_64(self) -> None:
        self.flush(self.byte() * self.spacing)

    def do_1B_4D(self) -> None:
        self.font = self.one_of(*_FONT)

    def do_1B_52(self) -> None:
        self.byte(0, 17)

    def do_1B_74(self) -> None:
        n = self.byte()
        if n not in _CODEPAGES:
            raise self.fault(f"code page {n}")
        self.codepage = _CODEPAGES[n]

    def do_1B_61(self) -> None:
        self.justified = self.one_of(0, 1, 2, 48, 49, 50) % 48
        if self.line:
            raise self.fault("ESC a inside a line")

    def do_1B_63(self) -> None:
        self.one_of(0x33, 0x34, 0x35)
        self.byte()

    def do_1B_69(self) -> None:
        self.tear()

    do_1B_6D = do_1B_69

    def do_1B_56(self) -> None:
        if self.one_of(0, 1, 48, 49) % 48:
            raise self.fault("characters turned one by one, which this reader doesn't draw")

    def do_1B_7B(self) -> None:
        if self.byte() & 1:
            raise self.fault("upside-down lines, which this reader doesn't draw")

    def do_1B_4C(self) -> None:
        if self.page is not None or self.line:
            raise self.fault("ESC L in page mode or inside a line")
        self.page = Paper(self.width, LONGEST)
        self.x, self.v = -1, None

    def do_1B_53(self) -> None:
        if self.page is None:
            raise self.fault("ESC S outside page mode")
        self.page, self.x = None, 0
        self.window = (0, 0, self.width, LONGEST)

    def do_1B_54(self) -> None:
        self.direction = self.one_of(0, 1, 2, 3, 48, 49, 50, 51) % 48
        self.x, self.v = (-1, None) if self.page is not None else (self.x, self.v)

    def do_1B_57(self) -> None:
        left, top, width, height = self.word(), self.word(), self.word(), self.word()
        if not width or not height or left >= self.width or top + height > LONGEST:
            raise self.fault("a print area without extent, or beside the page")
        self.window = left, top, min(width, self.width - left), height
        self.x, self.v = (-1, None) if self.page is not None else (self.x, self.v)

    # -- FS

    def do_1C_26(self) -> None:
        self.kanji = True

    def do_1C_2E(self) -> None:
        self.kanji = False

    def do_1C_21(self) -> None:
        n = self.byte()
        if n & 0b01110011:
            raise self.fault("FS ! with bits that mean nothing, or underlining")
        self.kanji_size = 1 + (n >> 2 & 1), 1 + (n >> 3 & 1)

    def do_1C_2D(self) -> None:
        self.one_of(0, 48)

    def do_1C_53(self) -> None:
        self.byte()
        self.byte()

    def do_1C_57(self) -> None:
        n = self.byte() & 1
        self.kanji_size = (2, 2) if n else (1, 1)

    def do_1C_28(self) -> None:
        which, data = self.byte(), self.take(self.word())
        if which == 0x43 and len(data) == 2 and data[0] == 48 and data[1] in (1, 2, 49, 50):
            self.utf8 = data[1] in (2, 50)
        elif which == 0x41 and len(data) == 2 and data[0] == 48 and data[1] in (0, 48):
            pass  # the 24-dot kanji font, the only one here
        elif which == 0x4C and data and data[0] in (33, 34, 48, 65, 66, 67, 80):
            pass  # the position of label paper: feeds that mark nothing
        else:
            raise self.fault(f"FS ( {chr(which)} {data[:8].hex()}")

    # -- GS

    def do_1D_21(self) -> None:
        n = self.byte()
        if n & 0x88:
            raise self.fault("GS ! beyond 8 times")
        self.size = (n >> 4) + 1, (n & 7) + 1

    def do_1D_42(self) -> None:
        self.inverse = bool(self.byte() & 1)

    def do_1D_4C(self) -> None:
        self.margin = self.word()
        if self.margin >= self.width or self.line:
            raise self.fault("a margin beyond the paper, or inside a line")

    def do_1D_57(self) -> None:
        self.asked = self.word()
        if not self.asked:
            raise self.fault("a print area without width")

    def do_1D_50(self) -> None:
        # 203 a side keeps motion units at one dot; 0 is the default, which is a dot on these printers.
        self.one_of(0, 203, 180)
        self.one_of(0, 203, 180)

    def do_1D_24(self) -> None:
        at = self.word()
        if self.page is None:
            raise self.fault("GS $ outside page mode")
        self.v = at

    def do_1D_5C(self) -> None:
        by = self.word()
        if self.page is None or self.v is None:
            raise self.fault("GS \\ without a position")
        self.v += by - 65536 if by >= 32768 else by

    def do_1D_54(self) -> None:
        self.one_of(0, 1, 48, 49)
        self.line = []

    def do_1D_56(self) -> None:
        mode = self.one_of(0, 1, 48, 49, 65, 66, 97, 98, 103, 104)
        if mode >= 65:
            self.byte()
        if self.line or self.page is not None:
            raise self.fault("a cut inside a line or a page")
        self.tear()

    def do_1D_0C(self) -> None:
        self.tear()

    def do_1D_61(self) -> None:
        self.byte()

    def do_1D_72(self) -> None:
        self.one_of(1, 2, 49, 50)

    def do_1D_49(self) -> None:
        self.byte()

    def do_1D_62(self) -> None:
        self.byte()

    def do_1D_76(self) -> None:
        self.one_of(0x30)
        mode = self.one_of(0, 1, 2, 3, 48, 49, 50, 51) % 48
        across, down = self.word(), self.word()
        # Epson's own limit: rows go to 2303, more only on later models; a clone's buffer holds less still.
        if not across or not 1 <= down <= 2303:
            raise self.fault(f"a raster of {across} bytes by {down} rows")
        self.raster(self.take(across * down), across, down, 1 + (mode & 1), 1 + (mode >> 1))

    def raster(self, data: bytes, across: int, down: int, wider: int, higher: int) -> None:
        bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(down, across), axis=1).astype(bool)
        self.place(np.repeat(np.repeat(bits, wider, 1), higher, 0), ("bits", "", ""), block=True)

    def graphics(self, data: bytes) -> None:
        if data[:2] == b"\x30\x70":
            if len(data) < 10 or data[2] != 48 or not {data[3], data[4]} <= {1, 2} or data[5] != 49:
                raise self.fault("GS ( L 112 with wrong parameters")
            across, down = data[6] | data[7] << 8, data[8] | data[9] << 8
            stride = (across + 7) // 8
            if not across or not down or len(data) != 10 + stride * down:
                raise self.fault("GS ( L 112 whose length isn't its picture's")
            bits = np.unpackbits(np.frombuffer(data[10:], np.uint8).reshape(down, stride), axis=1)[:, :across]
            self.graphic = np.repeat(np.repeat(bits.astype(bool), data[3], 1), data[4], 0)
        elif data in (b"\x30\x32", b"\x30\x02"):
            if self.graphic is None:
                raise self.fault("GS ( L 50 without graphics in the buffer")
            self.place(self.graphic, ("bits", "", ""), block=True)
            self.graphic = None
        elif data[:2] in (b"\x30\x31", b"\x30\x01") and len(data) == 4:
            pass  # the reference dot density
        else:
            raise self.fault(f"GS ( L {data[:4].hex()}")

    def do_1D_38(self) -> None:
        self.one_of(0x4C)
        count = self.word() | self.word() << 16
        self.graphics(self.take(count))

    def do_1D_28(self) -> None:
        which = self.byte()
        data = self.take(self.word())
        if not data:
            raise self.fault("GS ( without parameters")
        if which == 0x4C:
            self.graphics(data)
        elif which == 0x6B:
            self.two_dimensional(data)
        elif which == 0x4B:
            if data[0] not in (48, 49, 50, 97) or len(data) != 2:
                raise self.fault(f"GS ( K {data.hex()}")
        elif which == 0x48:
            if data[:2] != b"\x30\x30" or len(data) != 6:
                raise self.fault(f"GS ( H {data.hex()}")
        else:
            raise self.fault(f"GS ( {chr(which)}")

    def do_1D_48(self) -> None:
        if self.one_of(0, 1, 2, 3, 48, 49, 50, 51) % 48:
            raise self.fault("a human-readable line, which labels write themselves")

    def do_1D_66(self) -> None:
        self.byte(0, 49)

    def do_1D_68(self) -> None:
        self.bar_height = self.byte(1)

    def do_1D_77(self) -> None:
        self.bar_module = self.byte(2, 6)

    def do_1D_6B(self) -> None:
        kind = self.byte()
        if kind <= 6:
            end = self.stream.find(b"\0", self.at)
            if end < 0:
                raise self.fault("a barcode's data without NUL")
            data = self.take(end - self.at)
            self.at += 1
            kind += 65
        elif kind in _LINEAR or kind == 73:
            data = self.take(self.byte(1))
        else:
            raise self.fault(f"barcode type {kind}")
        if kind == 73:
            stretches = self.code128(data)
            widths = second_encoder.code128(stretches)
            text, name = "".join(each for _, each in stretches), "128"
        else:
            if not data.isascii():
                raise self.fault("a barcode's data that is no ASCII")
            text, name = data.decode(), _LINEAR[kind]
            widths = second_encoder.bars(name, text)
        row = np.repeat(np.arange(len(widths)) % 2 == 0, np.array(widths) * self.bar_module)
        if self.page is None and len(row) > self.area:
            raise self.fault("a barcode wider than the print area: the printer would leave it out")
        self.place(np.tile(row, (self.bar_height, 1)), ("symbol", text, name), block=True)

    def code128(self, data: bytes) -> tuple[tuple[str, str], ...]:
        stretches: list[list[str]] = []
        at = 0
        while at < len(data):
            if data[at] == 0x7B:
                then = data[at + 1 : at + 2]
                if then in (b"A", b"B", b"C"):
                    stretches.append([then.decode(), ""])
                    at += 2
                    continue
                if then != b"{" or not stretches or stretches[-1][0] == "C":
                    raise self.fault(f"{{{then!r} in Code 128")
                stretches[-1][1] += "{"
                at += 2
                continue
            if not stretches:
                raise self.fault("Code 128 without {A, {B or {C first")
            code_set, _ = stretches[-1]
            if code_set == "C":
                if data[at] > 99:
                    raise self.fault("set C beyond 99")
                stretches[-1][1] += f"{data[at]:02}"
            elif (code_set == "A" and data[at] > 95) or (code_set == "B" and not 32 <= data[at] <= 127):
                raise self.fault(f"byte {data[at]:#x} in set {code_set}")
            else:
                stretches[-1][1] += chr(data[at])
            at += 1
        if any(not each for _, each in stretches):
            raise self.fault("Code 128 with an empty stretch")
        return tuple((code_set, each) for code_set, each in stretches)

    def two_dimensional(self, data: bytes) -> None:
        if len(data) < 3:
            raise self.fault("GS ( k without a function")
        code, function, rest = data[0], data[1], data[2:]
        if code not in (48, 49, 54):
            raise self.fault(f"symbol type {code}")
        if function == 80:
            if rest[0] != 48 or len(rest) < 2:
                raise self.fault("GS ( k: stored data without m = 48, or none")
            self.stored[code] = rest[1:]
        elif function == 81:
            if rest != b"\x30" or code not in self.stored:
                raise self.fault("GS ( k: printed without stored data")
            self.print_symbol(code)
        else:
            allowed = {
                49: {65: {b"\x32\x00"}, 67: set(range(1, 17)), 69: set(range(48, 52))},
                48: {
                    65: set(range(31)),
                    66: {0, *range(3, 91)},
                    67: set(range(2, 9)),
                    68: set(range(2, 9)),
                    70: {0},
                },
                54: {66: {b"\x00\x00\x00"}, 67: set(range(2, 17))},
            }[code]
            if code == 48 and function == 69:
                if not (len(rest) == 2 and rest[0] == 48 and 48 <= rest[1] <= 56):
                    raise self.fault("GS ( k: error correction of PDF417")
            elif function not in allowed or not (
                rest in allowed[function] or (len(rest) == 1 and rest[0] in allowed[function])
            ):
                raise self.fault(f"GS ( k {data.hex()}")
            self.two[code, function] = rest

    def print_symbol(self, code: int) -> None:
        data = self.stored[code]
        if code == 49:
            level = "LMQH"[self.two.get((49, 69), b"\x30")[0] - 48]
            unit = self.two.get((49, 67), b"\x03")[0]
            rows, size, name = second_encoder.qrcode(data, level), (unit, unit), "QRCODE"
        elif code == 54:
            unit = self.two.get((54, 67), b"\x03")[0]
            rows, size, name = second_encoder.datamatrix(data), (unit, unit), "DATAMATRIX"
        else:
            across = self.two.get((48, 67), b"\x03")[0]
            down = self.two.get((48, 68), b"\x03")[0] * across
            columns = self.two.get((48, 65), b"\x00")[0]
            level = self.two.get((48, 69), b"\x30\x31")[1] - 48
            rows, size, name = second_encoder.pdf417(data, columns, level), (across, down), "PDF417"
        bits = np.repeat(np.repeat(rows, size[1], axis=0), size[0], axis=1)
        if self.page is None and bits.shape[1] > self.area:
            raise self.fault("a symbol wider than the print area: the printer would leave it out")
        self.place(bits, ("symbol", data.decode("utf-8", "replace"), name), block=True)
