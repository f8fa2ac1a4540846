"""A TSPL printer on paper of dots, read from the TSPL/TSPL2 programming manual, not from our encoder: strict.

Hides the language: command lines ended by CR LF, quoted contents with their escapes, a bitmap's bytes. A command or a
parameter that the manual doesn't give, a control character in a content, a dot beside the label: Fault.

Of the manual: a bitmap's bit 0 is a printed dot; rotation is clockwise about (x, y); ``\\["]`` is a double quote in a
content, ``\\[R]`` and ``\\[L]`` are CR and LF; the image stays until CLS; 203 dpi are 8 dots a mm.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from support import second_encoder
from support.paper import Fault, Paper

DOTS_PER_MM = {203: 8.0, 300: 300 / 25.4, 600: 600 / 25.4}

#: The resident bitmap fonts: the cell (width, height) of a wide character, twice a Latin one's.
FONTS = {
    "1": (16, 12),
    "2": (24, 20),
    "3": (32, 24),
    "4": (48, 32),
    "5": (64, 48),
    "6": (28, 19),
    "7": (42, 27),
    "8": (28, 25),
    "TST24.BF2": (24, 24),
    "TSS24.BF2": (24, 24),
    "TST16.BF2": (16, 16),
    "TSS16.BF2": (16, 16),
    "TSS20.BF2": (20, 20),
    "TSS32.BF2": (32, 32),
    "K": (24, 24),
}
#: What the contents of a resident font of double-byte characters are encoded in, whatever the code page.
ENCODINGS = {"TSS": "gb18030", "TST": "big5", "K": "euc_kr"}

_NAME = re.compile(rb"[A-Z0-9_]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(mm|dot)?")
_CODE_128M = re.compile(r"!([0-9]{3})|([^!])", re.S)


def read(stream: bytes, dpi: int = 203) -> list[Paper]:
    """The labels that a stream prints, one Paper a printed label; Fault where the manual doesn't allow the stream."""
    return _Printer(stream, dpi).run()


class _Printer:
    def __init__(self, stream: bytes, dpi: int) -> None:
        self.stream = stream
        self.at = 0
        self.begin = 0
        self.dpi = dpi
        self.size: tuple[int, int] | None = None
        self.paper: Paper | None = None
        self.reference = (0, 0)
        self.shift = (0, 0)
        self.codepage = "cp437"
        self.printed: list[Paper] = []

    # -- the stream

    def fault(self, why: str) -> Fault:
        return Fault(self.begin, why)

    def run(self) -> list[Paper]:
        while self.at < len(self.stream):
            self.begin = self.at
            if self.stream.startswith(b"\r\n", self.at):
                self.at += 2
                continue
            if self.stream.startswith(b"\x1b!", self.at):
                # The immediate commands: a status, or a reset. None of them marks paper.
                if self.stream[self.at + 2 : self.at + 3] not in b"?RSCPO." or self.at + 3 > len(self.stream):
                    raise self.fault("an unknown immediate command")
                self.at += 3
                continue
            found = _NAME.match(self.stream, self.at)
            if not found:
                raise self.fault(f"no command: {self.stream[self.at : self.at + 20]!r}")
            name = found.group().decode()
            self.at = found.end()
            command: Callable[[], None] | None = getattr(self, f"do_{name}", None)
            if command is None:
                raise self.fault(f"unknown command {name}")
            command()
            self.end()
        if self.paper is not None and self.paper.drawn and not self.printed:
            raise self.fault("the stream ends without PRINT")
        return self.printed

    def end(self) -> None:
        if not self.stream.startswith(b"\r\n", self.at):
            raise Fault(self.at, f"no CR LF after the command: {self.stream[self.at : self.at + 20]!r}")
        self.at += 2

    def parameters(self) -> list[str]:
        """All parameters up to the line's end: numbers and words as they stand, contents with a leading ``"``."""
        if self.stream.startswith(b"\r\n", self.at):
            return []
        if self.stream[self.at : self.at + 1] != b" ":
            raise self.fault("no space after the command's name")
        self.at += 1
        found = []
        while True:
            found.append(self.quoted() if self.stream[self.at : self.at + 1] == b'"' else self.bare())
            if self.stream[self.at : self.at + 1] != b",":
                return found
            self.at += 1

    def bare(self) -> str:
        end = self.at
        while end < len(self.stream) and self.stream[end] not in b',"\r\n':
            if not 0x20 <= self.stream[end] < 0x7F:
                raise Fault(end, f"byte {self.stream[end]:#x} in a parameter")
            end += 1
        word = self.stream[self.at : end].decode("ascii").strip(" ")
        if not word:
            raise Fault(self.at, "an empty parameter")
        self.at = end
        return word

    def quoted(self) -> str:
        """A content in double quotes, as latin-1 text of its bytes, its escapes resolved, with a leading ``"``."""
        self.at += 1
        out = bytearray(b'"')
        while True:
            if self.at >= len(self.stream):
                raise self.fault("a content without its end")
            byte = self.stream[self.at]
            if self.stream[self.at : self.at + 2] == b"\\[":
                escaped = self.stream[self.at + 2 : self.at + 4]
                if escaped == b'"]':
                    out += b'"'
                elif escaped == b"R]":
                    out += b"\r"
                elif escaped == b"L]":
                    out += b"\n"
                else:
                    raise Fault(self.at, f"an unknown escape {escaped!r}")
                self.at += 4
                continue
            if byte == 0x22:
                self.at += 1
                return out.decode("latin-1")
            if byte < 0x20 or byte == 0x7F:
                raise Fault(self.at, f"byte {byte:#x} in a content")
            out.append(byte)
            self.at += 1

    # -- parameters

    def number(self, word: str, low: float, high: float) -> int:
        if not _NUMBER.fullmatch(word) or not low <= float(word) <= high:
            raise self.fault(f"{word!r} is no number from {low} to {high}")
        if float(word) != int(float(word)):
            raise self.fault(f"{word!r} is no whole number of dots")
        return int(float(word))

    def length(self, word: str) -> int:
        """A length in dots: of mm, of dots, or (without a unit) of inches."""
        found = _LENGTH.fullmatch(word)
        if not found:
            raise self.fault(f"{word!r} is no length")
        value = float(found[1])
        if found[2] == "dot":
            return round(value)
        return round(value * DOTS_PER_MM[self.dpi] * (1 if found[2] else 25.4))

    def content(self, word: str, font: str = "") -> str:
        """A content's text."""
        if not word.startswith('"'):
            raise self.fault(f"{word!r} is no content in quotes")
        encoding = next((name for start, name in ENCODINGS.items() if font.startswith(start)), self.codepage)
        try:
            return word[1:].encode("latin-1").decode(encoding)
        except UnicodeDecodeError as wrong:
            raise self.fault(f"a content that isn't {encoding}: {wrong.reason}") from None

    def exactly(self, count: int | range) -> list[str]:
        found = self.parameters()
        allowed = range(count, count + 1) if isinstance(count, int) else count
        if len(found) not in allowed:
            raise self.fault(f"{len(found)} parameters")
        return found

    def place(self, x: str, y: str) -> tuple[int, int]:
        return (
            self.number(x, -9999, 99999) + self.reference[0] + self.shift[0],
            self.number(y, -9999, 99999) + self.reference[1] + self.shift[1],
        )

    def sheet(self) -> Paper:
        if self.paper is None:
            raise self.fault("a drawing command before SIZE and CLS")
        return self.paper

    # -- set-up

    def do_SIZE(self) -> None:
        words = self.exactly(range(1, 3))
        if len(words) == 1:
            raise self.fault("SIZE without a height")
        self.size = self.length(words[0]), self.length(words[1])
        if not all(self.size):
            raise self.fault("a label without extent")

    def do_GAP(self) -> None:
        for word in self.exactly(2):
            self.length(word)

    do_BLINE = do_GAP

    def do_OFFSET(self) -> None:
        self.length(self.exactly(1)[0])

    def do_SPEED(self) -> None:
        word = self.exactly(1)[0]
        if not _NUMBER.fullmatch(word) or not 0.5 <= float(word) <= 18:
            raise self.fault(f"a speed of {word}")

    def do_DENSITY(self) -> None:
        self.number(self.exactly(1)[0], 0, 15)

    def do_DIRECTION(self) -> None:
        for word in self.exactly(range(1, 3)):
            self.number(word, 0, 1)

    def do_REFERENCE(self) -> None:
        x, y = self.exactly(2)
        self.reference = self.number(x, 0, 99999), self.number(y, 0, 99999)

    def do_SHIFT(self) -> None:
        words = self.exactly(range(1, 3))
        down = self.number(words[-1], -9999, 9999)
        self.shift = (self.number(words[0], -9999, 9999) if len(words) == 2 else 0), down

    def do_CODEPAGE(self) -> None:
        word = self.exactly(1)[0]
        pages = {"437": "cp437", "850": "cp850", "UTF-8": "utf-8", "1252": "cp1252", "936": "gb18030"}
        if word not in pages:
            raise self.fault(f"unknown code page {word}")
        self.codepage = pages[word]

    def do_COUNTRY(self) -> None:
        self.number(self.exactly(1)[0], 1, 999)

    def do_SET(self) -> None:
        words = self.exactly(1)[0].split(" ")
        allowed = {
            "TEAR": r"ON|OFF",
            "PEEL": r"ON|OFF",
            "CUTTER": r"OFF|BATCH|[0-9]+",
            "PARTIAL_CUTTER": r"OFF|BATCH|[0-9]+",
            "RIBBON": r"ON|OFF",
            "REPRINT": r"ON|OFF",
            "RESPONSE": r"ON|OFF|BATCH|CUT",
        }
        if len(words) != 2 or words[0] not in allowed or not re.fullmatch(allowed[words[0]], words[1]):
            raise self.fault(f"SET {words}")

    def do_CLS(self) -> None:
        self.exactly(0)
        if self.size is None:
            raise self.fault("CLS before SIZE")
        self.paper = Paper(*self.size)

    def _nothing(self) -> None:
        self.exactly(0)

    do_CUT = do_HOME = do_FORMFEED = do_EOJ = do_INITIALPRINTER = _nothing

    def do_FEED(self) -> None:
        self.number(self.exactly(1)[0], 1, 9999)

    do_BACKFEED = do_BACKUP = do_FEED

    def do_SOUND(self) -> None:
        level, interval = self.exactly(2)
        self.number(level, 0, 9)
        self.number(interval, 1, 4095)

    def do_PRINT(self) -> None:
        words = self.exactly(range(1, 3))
        sets = self.number(words[0], 1, 65535)
        copies = self.number(words[1], 1, 65535) if len(words) == 2 else 1
        if sets * copies > 1000:
            raise self.fault(f"{sets * copies} labels")
        self.printed += [self.sheet().copy() for _ in range(sets * copies)]

    # -- marks

    def do_BAR(self) -> None:
        x, y, width, height = self.exactly(4)
        left, top = self.place(x, y)
        self.sheet().rule(left, top, self.number(width, 1, 99999), self.number(height, 1, 99999), self.begin)

    def do_BOX(self) -> None:
        words = self.exactly(range(5, 7))
        left, top = self.place(words[0], words[1])
        right, bottom = self.place(words[2], words[3])
        thickness = self.number(words[4], 1, 9999)
        if right <= left or bottom <= top:
            raise self.fault("a box without extent")
        if len(words) == 6 and (radius := self.number(words[5], 0, 9999)):
            from PIL import Image, ImageDraw

            picture = Image.new("1", (right - left, bottom - top))
            ImageDraw.Draw(picture).rounded_rectangle(
                (0, 0, right - left - 1, bottom - top - 1), radius, outline=1, width=thickness
            )
            self.sheet().put(np.asarray(picture), left, top, self.begin, note=("rule", "", ""))
            return
        bits = np.ones((bottom - top, right - left), bool)
        bits[thickness:-thickness, thickness:-thickness] = False
        self.sheet().put(bits, left, top, self.begin, note=("rule", "", ""))

    def do_CIRCLE(self) -> None:
        x, y, diameter, thickness = self.exactly(4)
        across = self.number(diameter, 1, 9999)
        self.sheet().ellipse(*self.place(x, y), across, across, self.number(thickness, 1, 9999), self.begin)

    def do_ELLIPSE(self) -> None:
        x, y, width, height, thickness = self.exactly(5)
        self.sheet().ellipse(
            *self.place(x, y),
            self.number(width, 1, 9999),
            self.number(height, 1, 9999),
            self.number(thickness, 1, 9999),
            self.begin,
        )

    def do_DIAGONAL(self) -> None:
        x1, y1, x2, y2, thickness = self.exactly(5)
        self.sheet().line(
            *self.place(x1, y1), *self.place(x2, y2), self.number(thickness, 1, 9999), self.begin
        )

    def do_ERASE(self) -> None:
        x, y, width, height = self.exactly(4)
        self.sheet().rule(
            *self.place(x, y), self.number(width, 1, 99999), self.number(height, 1, 99999), self.begin, False
        )

    def do_REVERSE(self) -> None:
        x, y, width, height = self.exactly(4)
        self.sheet().rule(
            *self.place(x, y), self.number(width, 1, 99999), self.number(height, 1, 99999), self.begin, None
        )

    def do_BITMAP(self) -> None:
        if self.stream[self.at : self.at + 1] != b" ":
            raise self.fault("no space after BITMAP")
        self.at += 1
        words = []
        for _ in range(5):
            words.append(self.bare())
            if self.stream[self.at : self.at + 1] != b",":
                raise self.fault("BITMAP without its five parameters")
            self.at += 1
        left, top = self.place(words[0], words[1])
        width, height = self.number(words[2], 1, 9999), self.number(words[3], 1, 99999)
        mode = self.number(words[4], 0, 2)
        data = self.stream[self.at : self.at + width * height]
        if len(data) != width * height:
            raise self.fault(f"{len(data)} bytes of a bitmap of {width * height}")
        if b"\x1b!" in data:
            raise self.fault("ESC ! in a bitmap, which a printer obeys wherever it meets it")
        self.at += len(data)
        dots = np.unpackbits(np.frombuffer(data, np.uint8).reshape(height, width), axis=1) == 0
        self.sheet().put(dots, left, top, self.begin, ("over", "or", "xor")[mode])

    def turn(self, word: str) -> int:
        if word not in ("0", "90", "180", "270"):
            raise self.fault(f"a rotation by {word}")
        return int(word)

    def do_TEXT(self) -> None:
        words = self.exactly(range(7, 9))
        left, top = self.place(words[0], words[1])
        font = self.content(words[2])
        turn = self.turn(words[3])
        if len(words) == 8 and self.number(words[6], 0, 3) > 1:
            raise self.fault("an alignment that this reader doesn't draw")
        text = self.content(words[-1], font)
        if font in FONTS:
            cell = FONTS[font]
            across, down = self.number(words[4], 1, 10), self.number(words[5], 1, 10)
            size = cell[0] * across, cell[1] * down
        elif font == "0" or font.upper().endswith(".TTF"):
            # A scalable font: the multiplications are its width and height in points.
            across, down = self.number(words[4], 1, 999), self.number(words[5], 1, 999)
            dots = DOTS_PER_MM[self.dpi] * 25.4 / 72
            size = round(across * dots), round(down * dots)
        else:
            raise self.fault(f"unknown font {font}")
        if any(ord(char) < 0x20 for char in text):
            raise self.fault("a control character in a text")
        if font in FONTS and not font.startswith(("T", "K")) and not text.isascii():
            raise self.fault(f"font {font} has no characters beyond ASCII")
        self.sheet().text(text, size, left, top, self.begin, turn)

    def do_BARCODE(self) -> None:
        words = self.exactly(range(9, 11))
        left, top = self.place(words[0], words[1])
        kind = self.content(words[2])
        height = self.number(words[3], 1, 9999)
        if self.number(words[4], 0, 3):
            raise self.fault("a human-readable line, which labels write themselves")
        turn = self.turn(words[5])
        narrow, _wide = self.number(words[6], 1, 99), self.number(words[7], 1, 99)
        if len(words) == 10 and self.number(words[8], 0, 3) > 1:
            raise self.fault("an alignment that this reader doesn't draw")
        data = self.content(words[-1])
        if not data or not data.isascii():
            raise self.fault("a barcode's content that is no ASCII")
        if kind == "128M":
            stretches = self.manual(data)
            widths = second_encoder.code128(stretches)
            data = "".join(each for _, each in stretches)
        elif kind in second_encoder.LINEAR:
            widths = second_encoder.bars(kind, data)
        else:
            raise self.fault(f"unknown code type {kind}")
        self.sheet().bars(widths, narrow, height, left, top, self.begin, turn, kind, data)

    def manual(self, data: str) -> tuple[tuple[str, str], ...]:
        """Code 128 by hand: !103 to !105 begin in set A, B, C; !101, !100, !099 switch to them."""
        sets = {"103": "A", "104": "B", "105": "C", "101": "A", "100": "B", "099": "C"}
        stretches: list[list[str]] = []
        position = 0
        while position < len(data):
            found = _CODE_128M.match(data, position)
            if not found:
                raise self.fault("a ! that is no code")
            if found[1]:
                if found[1] not in sets or (not stretches) != (found[1] in ("103", "104", "105")):
                    raise self.fault(f"!{found[1]} in 128M")
                stretches.append([sets[found[1]], ""])
            elif not stretches:
                raise self.fault("128M without a start")
            else:
                stretches[-1][1] += found[2]
            position = found.end()
        if any(
            (code_set == "C" and not re.fullmatch("([0-9]{2})+", each)) or not each
            for code_set, each in stretches
        ):
            raise self.fault("128M: set C without pairs of digits, or an empty stretch")
        return tuple((code_set, each) for code_set, each in stretches)

    def do_QRCODE(self) -> None:
        words = self.exactly(range(7, 11))
        left, top = self.place(words[0], words[1])
        if words[2] not in ("L", "M", "Q", "H"):
            raise self.fault(f"level {words[2]}")
        cell = self.number(words[3], 1, 10)
        if words[4] != "A":
            raise self.fault(f"encoding {words[4]}: only A is read")
        turn = self.turn(words[5])
        model, mask = "M1", None
        for word in words[6:-1]:
            if word in ("M1", "M2"):
                model = word
            elif re.fullmatch("S[0-8]", word):
                mask = int(word[1]) if word != "S8" else None
            elif word != "J1":
                raise self.fault(f"QRCODE option {word}")
        if model != "M2":
            raise self.fault("a QR code of the old model 1, which few scanners read")
        if not words[-1].startswith('"') or len(words[-1]) == 1:
            raise self.fault("a QR code without content")
        data = words[-1][1:].encode("latin-1")
        rows = second_encoder.qrcode(data, words[2], mask)
        text = data.decode(self.codepage if self.codepage != "cp437" else "utf-8")
        self.sheet().modules(rows, (cell, cell), left, top, self.begin, turn, "QRCODE", text)

    def do_DMATRIX(self) -> None:
        words = self.exactly(range(5, 11))
        left, top = self.place(words[0], words[1])
        for word in words[2:4]:
            self.number(word, 1, 9999)
        module, turn = 0, 0
        for word in words[4:-1]:
            if re.fullmatch("x[0-9]+", word):
                module = int(word[1:])
            elif re.fullmatch("r(0|90|180|270)", word):
                turn = int(word[1:])
            elif not re.fullmatch(r"c[0-9]+|a0|[0-9]+", word):
                raise self.fault(f"DMATRIX option {word}")
        data = self.content(words[-1])
        if not data or not module:
            raise self.fault("a Data Matrix without content or module size")
        if "~" in data and not any(word.startswith("c") for word in words[4:-1]):
            raise self.fault("~ is Data Matrix's own escape")
        rows = second_encoder.datamatrix(data.encode())
        self.sheet().modules(rows, (module, module), left, top, self.begin, turn, "DMATRIX", data)

    def do_PDF417(self) -> None:
        words = self.exactly(range(6, 16))
        left, top = self.place(words[0], words[1])
        for word in words[2:4]:
            self.number(word, 1, 9999)
        turn = (360 - self.turn(words[4])) % 360  # counterclockwise here, says the manual
        across, down, columns, level = 2, 4, 0, -1
        for word in words[5:-1]:
            if re.fullmatch("W[2-9]", word):
                across = int(word[1:])
            elif re.fullmatch("H[0-9]+", word) and 4 <= int(word[1:]) <= 99:
                down = int(word[1:])
            elif re.fullmatch("C[0-9]+", word):
                columns = int(word[1:])
            elif re.fullmatch("E[0-8]", word):
                level = int(word[1:])
            elif not re.fullmatch("P[01]|M[01]|R[0-9]+|T0", word):
                raise self.fault(f"PDF417 option {word}")
        data = self.content(words[-1])
        if not data:
            raise self.fault("a PDF417 without content")
        rows = second_encoder.pdf417(data.encode(), columns, level)
        self.sheet().modules(rows, (across, down), left, top, self.begin, turn, "PDF417", data)
