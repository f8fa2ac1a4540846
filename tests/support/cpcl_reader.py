"""A CPCL printer on paper of dots, read from Zebra's CPCL programming manual, not from our encoder: strict.

Hides the language: sessions from ``!`` to PRINT, lines ended by CR LF, the data lines of two-dimensional codes, the bytes
of compressed graphics. A command or parameter that the manual doesn't give, a control character in a text, a dot
beside the label: Fault.

Of the manual: graphics print their bits of 1; TEXT90 and VBARCODE run upwards from (x, y); the height of the label is in
the session's first line, its width in PAGE-WIDTH; COUNTRY CHINA makes bytes above 127 GB 18030.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from support import second_encoder
from support.paper import Fault, Paper

#: (font, size) to its wide cell (width, height); a Latin character is half as wide. "Font information" of the manual.
FONTS = {
    ("0", "0"): (16, 9),
    ("0", "1"): (16, 9),
    ("0", "2"): (16, 18),
    ("0", "3"): (32, 18),
    ("0", "4"): (32, 18),
    ("0", "5"): (32, 36),
    ("0", "6"): (64, 36),
    ("1", "0"): (48, 48),
    ("2", "0"): (40, 12),
    ("2", "1"): (40, 24),
    ("4", "0"): (46, 47),
    ("4", "1"): (46, 94),
    ("4", "2"): (90, 45),
    ("4", "3"): (90, 90),
    ("5", "0"): (26, 24),
    ("5", "1"): (26, 48),
    ("5", "2"): (52, 46),
    ("5", "3"): (52, 92),
    ("6", "0"): (56, 27),
    ("7", "0"): (24, 24),
    ("7", "1"): (24, 48),
    ("8", "0"): (24, 24),
    ("24", "0"): (24, 24),
    ("55", "0"): (16, 16),
    ("GBUNSG16.CPF", "0"): (16, 16),
    ("GBUNSG24.CPF", "0"): (24, 24),
}
#: Fonts of Chinese makers, whose printers take GB 18030 without being told.
MAKERS = {"8", "24", "55"}
#: The fonts that hold Chinese characters.
CHINESE = {*MAKERS, "GBUNSG16.CPF", "GBUNSG24.CPF"}

_SESSION = re.compile(r"! (-?[0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+)")
_TYPES = {
    "128": "128",
    "39": "39",
    "93": "93",
    "CODABAR": "CODA",
    "EAN13": "EAN13",
    "EAN8": "EAN8",
    "I2OF5": "25",
    "MSI": "MSI",
    "UCCEAN128": "EAN128",
    "UPCA": "UPCA",
    "UPCE": "UPCE",
}


def read(stream: bytes, dpi: int = 203) -> list[Paper]:
    """The labels that a stream prints, one Paper a printed label; Fault where the manual doesn't allow the stream."""
    return _Printer(stream, dpi).run()


class _Printer:
    def __init__(self, stream: bytes, dpi: int) -> None:
        self.stream = stream
        self.dpi = dpi
        self.at = 0
        self.begin = 0
        self.paper: Paper | None = None
        self.height = 0
        self.width = 0
        self.copies = 1
        self.offset = 0
        self.encoding = "ascii"
        self.mag = (1, 1)
        self.bold = 0
        self.gap = 0
        self.early: list[Callable[[], None]] = []
        self.printed: list[Paper] = []

    def fault(self, why: str) -> Fault:
        return Fault(self.begin, why)

    def line(self) -> bytes:
        """The next line without its CR LF; what is inside has no CR, LF or NUL."""
        end = self.stream.find(b"\r\n", self.at)
        if end < 0:
            raise Fault(self.at, "a line without CR LF")
        found = self.stream[self.at : end]
        for offset, byte in enumerate(found):
            if byte < 0x20 or byte == 0x7F:
                raise Fault(self.at + offset, f"byte {byte:#x} in a line")
        self.at = end + 2
        return found

    def run(self) -> list[Paper]:
        while self.at < len(self.stream):
            self.begin = self.at
            raw = self.line()
            if not raw:
                continue
            try:
                words = raw.decode("ascii")
            except UnicodeDecodeError:
                raise self.fault("a line outside a session") from None
            if words.startswith("! U1 "):
                if not re.fullmatch(
                    r'! U1 ((SPEED|TONE|CONTRAST) -?[0-9]+|COUNTRY [A-Z]+|setvar "[a-z._0-9]+" "[^"]*"|END-PAGE|FORM)',
                    words,
                ):
                    raise self.fault(f"utility {words}")
                continue
            found = _SESSION.fullmatch(words)
            if not found:
                raise self.fault(f"no session begins with {words[:40]!r}")
            self.offset = int(found[1])
            if not 100 <= int(found[2]) <= 600 or found[2] != found[3]:
                raise self.fault("a resolution that no printer has")
            self.height = int(found[4])
            self.copies = int(found[5])
            if not 1 <= self.height <= 20000 or not 1 <= self.copies <= 1024:
                raise self.fault("height or quantity out of range")
            self.session()
        return self.printed

    def session(self) -> None:
        self.paper, self.width = None, 0
        self.encoding, self.mag, self.bold, self.gap = "ascii", (1, 1), 0, 0
        while True:
            self.begin = self.at
            head = re.compile(rb"[A-Z][A-Z0-9-]*").match(self.stream, self.at)
            if not head:
                raise self.fault(f"no command: {self.stream[self.at : self.at + 20]!r}")
            name = head.group().decode()
            if name == "PRINT":
                if self.line() != b"PRINT":
                    raise self.fault("words after PRINT")
                self.printed += [self.sheet().copy() for _ in range(self.copies)]
                return
            command: Callable[[], None] | None = getattr(self, "do_" + name.replace("-", "_"), None)
            if command is None:
                raise self.fault(f"unknown command {name}")
            command()

    # -- parameters

    def words(self, count: int | range) -> list[str]:
        """The parameters of a command that holds no data: printable ASCII, parted by one space."""
        try:
            found = self.line().decode("ascii").split(" ")[1:]
        except UnicodeDecodeError:
            raise self.fault("bytes above 127 in a command") from None
        allowed = range(count, count + 1) if isinstance(count, int) else count
        if len(found) not in allowed or "" in found:
            raise self.fault(f"{len(found)} parameters")
        return found

    def with_data(self, count: int) -> tuple[list[str], bytes]:
        """``count`` parameters, then data up to the line's end."""
        parts = self.line().split(b" ", count + 1)
        if len(parts) != count + 2:
            raise self.fault("parameters are missing")
        try:
            return [part.decode("ascii") for part in parts[1:-1]], parts[-1]
        except UnicodeDecodeError:
            raise self.fault("bytes above 127 in a parameter") from None

    def number(self, word: str, low: int, high: int) -> int:
        if not re.fullmatch("-?[0-9]+", word) or not low <= int(word) <= high:
            raise self.fault(f"{word!r} is no whole number from {low} to {high}")
        return int(word)

    def place(self, x: str, y: str) -> tuple[int, int]:
        return self.number(x, 0, 65535) + self.offset, self.number(y, 0, 65535)

    def decoded(self, data: bytes, encoding: str) -> str:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as wrong:
            raise self.fault(f"a text that isn't {encoding}: {wrong.reason}") from None

    def sheet(self) -> Paper:
        if self.paper is None:
            if not self.width:
                raise self.fault("no PAGE-WIDTH: the reader can't know the label's")
            self.paper = Paper(self.width, self.height)
        return self.paper

    # -- set-up

    def do_PAGE_WIDTH(self) -> None:
        width = self.number(self.words(1)[0], 1, 20000)
        if self.paper is not None:
            raise self.fault("PAGE-WIDTH after marks")
        self.width = width

    do_PW = do_PAGE_WIDTH

    def do_COUNTRY(self) -> None:
        word = self.words(1)[0]
        known = {"USA": "ascii", "CHINA": "gb18030", "BIG5": "big5"}
        if word not in known:
            raise self.fault(f"country {word}")
        self.encoding = known[word]

    def do_ENCODING(self) -> None:
        word = self.words(1)[0]
        known = {"ASCII": "ascii", "UTF-8": "utf-8", "GB18030": "gb18030"}
        if word not in known:
            raise self.fault(f"encoding {word}")
        self.encoding = known[word]

    def do_SETMAG(self) -> None:
        width, height = self.words(2)
        self.mag = self.number(width, 0, 16) or 1, self.number(height, 0, 16) or 1

    def do_SETBOLD(self) -> None:
        self.bold = self.number(self.words(1)[0], 0, 5)

    def do_SETSP(self) -> None:
        self.gap = self.number(self.words(1)[0], 0, 99)

    def do_TONE(self) -> None:
        self.number(self.words(1)[0], -99, 200)

    def do_CONTRAST(self) -> None:
        self.number(self.words(1)[0], 0, 3)

    def do_SPEED(self) -> None:
        self.number(self.words(1)[0], 0, 5)

    def _count(self) -> None:
        self.number(self.words(1)[0], 0, 65535)

    do_PREFEED = do_POSTFEED = do_WAIT = do_CUT_AT = _count

    def _nothing(self) -> None:
        self.words(0)

    do_FORM = do_GAP_SENSE = do_BAR_SENSE = do_NO_PACE = do_PACE = do_CUT = do_PARTIAL_CUT = do_LEFT = (
        _nothing
    )
    do_IN_DOTS = do_CHAR_COUNT = _nothing

    # -- marks

    def do_TEXT(self, turn: int = 0) -> None:
        (font, size, x, y), data = self.with_data(4)
        if (font, size) not in FONTS:
            raise self.fault(f"unknown font {font} {size}")
        text = self.decoded(data, "gb18030" if font in MAKERS and self.encoding == "ascii" else self.encoding)
        if font not in CHINESE and not text.isascii():
            raise self.fault(f"font {font} has no characters beyond ASCII")
        cell = FONTS[font, size]
        left, top = self.place(x, y)
        self.sheet().text(
            text, (cell[0] * self.mag[0], cell[1] * self.mag[1]), left, top, self.begin, turn, self.bold > 0, False, self.gap
        )  # fmt: skip

    do_T = do_TEXT

    def do_TEXT90(self) -> None:
        self.do_TEXT(270)  # counterclockwise, in the manual's words

    do_T90 = do_VT = do_VTEXT = do_TEXT90

    def do_TEXT180(self) -> None:
        self.do_TEXT(180)

    do_T180 = do_TEXT180

    def do_TEXT270(self) -> None:
        self.do_TEXT(90)

    do_T270 = do_TEXT270

    def do_LINE(self, ink: bool | None = True) -> None:
        x1, y1, x2, y2, width = self.words(5)
        (left, top), (right, bottom) = self.place(x1, y1), self.place(x2, y2)
        thick = self.number(width, 1, 9999)
        if left == right:
            self.sheet().rule(left, min(top, bottom), thick, abs(bottom - top) or 1, self.begin, ink)
        elif top == bottom:
            self.sheet().rule(min(left, right), top, abs(right - left), thick, self.begin, ink)
        elif ink is None:
            raise self.fault("a slanting INVERSE-LINE")
        else:
            self.sheet().line(left, top, right, bottom, thick, self.begin)

    do_L = do_LINE

    def do_INVERSE_LINE(self) -> None:
        self.do_LINE(None)

    do_IL = do_INVERSE_LINE

    def do_BOX(self) -> None:
        x1, y1, x2, y2, width = self.words(5)
        (left, top), (right, bottom) = self.place(x1, y1), self.place(x2, y2)
        thick = self.number(width, 1, 9999)
        if right <= left or bottom <= top:
            raise self.fault("a box without extent")
        bits = np.ones((bottom - top, right - left), bool)
        bits[thick:-thick, thick:-thick] = False
        self.sheet().put(bits, left, top, self.begin, note=("rule", "", ""))

    def do_EXPANDED_GRAPHICS(self) -> None:
        (width, height, x, y), data = self.with_data(4)
        across, down = self.number(width, 1, 9999), self.number(height, 1, 65535)
        if not re.fullmatch(b"[0-9A-F]*", data) or len(data) != across * down * 2:
            raise self.fault(f"{len(data)} hexadecimal digits of {across * down * 2}")
        self.graphics(bytes.fromhex(data.decode()), across, down, x, y)

    do_EG = do_EXPANDED_GRAPHICS

    def do_COMPRESSED_GRAPHICS(self) -> None:
        head = re.compile(rb"[A-Z-]+ ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ").match(self.stream, self.at)
        if not head:
            raise self.fault("COMPRESSED-GRAPHICS without its parameters")
        width, height, x, y = (part.decode() for part in head.groups())
        across, down = self.number(width, 1, 9999), self.number(height, 1, 65535)
        data = self.stream[head.end() : head.end() + across * down]
        if len(data) != across * down:
            raise self.fault(f"{len(data)} bytes of graphics of {across * down}")
        if re.search(rb"\x1b[A-Za-z]", data):
            raise self.fault("ESC and a letter in graphics, which a printer obeys wherever it meets it")
        self.at = head.end() + len(data)
        if self.line():
            raise self.fault("more after the graphics' bytes")
        self.graphics(data, across, down, x, y)

    do_CG = do_COMPRESSED_GRAPHICS

    def graphics(self, data: bytes, across: int, down: int, x: str, y: str) -> None:
        dots = np.unpackbits(np.frombuffer(data, np.uint8).reshape(down, across), axis=1).astype(bool)
        self.sheet().put(dots, *self.place(x, y), self.begin)

    def do_BARCODE(self, turn: int = 0) -> None:
        head = re.compile(rb"[A-Z-]+ ([A-Z0-9-]+)(?: |\r\n)").match(self.stream, self.at)
        kind = head[1].decode() if head else ""
        if kind == "QR":
            return self.qr(turn)
        if kind == "PDF-417":
            return self.pdf417(turn)
        if kind == "DATAMATRIX":
            return self.datamatrix(turn)
        (_, width, ratio, height, x, y), data = self.with_data(6)
        if kind not in _TYPES:
            raise self.fault(f"unknown barcode {kind}")
        module = self.number(width, 1, 32)
        if self.number(ratio, 0, 30) in range(5, 20):
            raise self.fault(f"ratio {ratio}")
        if not data or not data.isascii():
            raise self.fault("a barcode's data that is no ASCII")
        text = data.decode("ascii")
        widths = second_encoder.bars(_TYPES[kind], text)
        left, top = self.place(x, y)
        self.sheet().bars(
            widths, module, self.number(height, 1, 9999), left, top, self.begin, turn, kind, text
        )
        return None

    do_B = do_BARCODE

    def do_VBARCODE(self) -> None:
        self.do_BARCODE(270)

    do_VB = do_VBARCODE

    def do_BARCODE_TEXT(self) -> None:
        if self.words(range(1, 5)) != ["OFF"]:
            raise self.fault("a human-readable line, which labels write themselves")

    do_BT = do_BARCODE_TEXT

    def options(self, words: list[str], allowed: dict[str, tuple[int, int]]) -> dict[str, int]:
        if len(words) % 2:
            raise self.fault("an option without its value")
        found = {}
        for name, value in zip(words[::2], words[1::2], strict=True):
            if name not in allowed:
                raise self.fault(f"option {name}")
            found[name] = self.number(value, *allowed[name])
        return found

    def block(self, end: bytes) -> bytes:
        """The one data line of a two-dimensional code, up to the line that ends it."""
        data = self.line()
        if self.line() != end:
            raise self.fault(f"no {end.decode()} after the data")
        if not data:
            raise self.fault("a code without data")
        return data

    def qr(self, turn: int) -> None:
        _, x, y, *rest = self.words(range(3, 8))
        found = self.options(rest, {"M": (1, 2), "U": (1, 32)})
        if found.get("M", 2) != 2:
            raise self.fault("a QR code of the old model 1, which few scanners read")
        data = self.block(b"ENDQR")
        head = re.match(rb"([HQML])([0-8]?)([AM]),", data)
        if not head:
            raise self.fault("QR data without level, mask and input mode")
        body = data[head.end() :]
        if head[3] == b"M":
            body = self.by_hand(body)
        if not body:
            raise self.fault("a QR code without data")
        mask = int(head[2]) if head[2] and head[2] != b"8" else None
        rows = second_encoder.qrcode(body, head[1].decode(), mask)
        unit = found.get("U", 6)
        self.sheet().modules(
            rows, (unit, unit), *self.place(x, y), self.begin, turn, "QR", body.decode("utf-8", "replace")
        )

    def by_hand(self, body: bytes) -> bytes:
        """QR data in manual mode: N digits, A alphanumeric, Bnnnn bytes, parted by commas."""
        out = b""
        while body:
            mode = body[:1]
            if mode == b"B":
                if not re.fullmatch(b"[0-9]{4}", body[1:5]):
                    raise self.fault("B without its four digits")
                count = int(body[1:5])
                piece, body = body[5 : 5 + count], body[5 + count :]
                if len(piece) != count:
                    raise self.fault("fewer bytes than B says")
            elif mode in (b"N", b"A"):
                piece, _, body = body[1:].partition(b",")
                if not re.fullmatch(b"[0-9]+" if mode == b"N" else rb"[0-9A-Z $%*+\-./:]+", piece):
                    raise self.fault("characters that the QR mode doesn't hold")
                out += piece
                continue
            else:
                raise self.fault(f"QR mode {mode!r}")
            out += piece
            if body and body[:1] != b",":
                raise self.fault("no comma between QR modes")
            body = body[1:]
        return out

    def pdf417(self, turn: int) -> None:
        _, x, y, *rest = self.words(range(3, 12))
        found = self.options(rest, {"XD": (1, 32), "YD": (1, 32), "C": (1, 30), "S": (0, 8)})
        data = self.block(b"ENDPDF")
        rows = second_encoder.pdf417(data, found.get("C", 3), found.get("S", 1))
        size = found.get("XD", 2), found.get("YD", 6)
        self.sheet().modules(
            rows, size, *self.place(x, y), self.begin, turn, "PDF-417", data.decode("utf-8", "replace")
        )

    def datamatrix(self, turn: int) -> None:
        _, x, y, *rest = self.words(range(3, 16))
        allowed = {"H": (1, 999), "S": (200, 200), "C": (0, 999), "R": (0, 999), "F": (1, 6), "G": (0, 255)}
        found = self.options(rest, allowed)
        data = self.block(b"ENDDATAMATRIX")
        unit = found.get("H", 5)
        self.sheet().modules(
            second_encoder.datamatrix(data), (unit, unit), *self.place(x, y), self.begin, turn, "DATAMATRIX",
            data.decode("utf-8", "replace"),
        )  # fmt: skip
