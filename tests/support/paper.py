"""Paper for the readers of printer languages: dots come on it as a printer would put them, and nothing may miss it.

Hides turning, combining (over, or, xor), resident fonts (any font, drawn at the cell size of the manual) and the notes of
what was drawn. A reader that meets a byte, a word or a position its manual doesn't allow raises Fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from PIL import Image, ImageDraw, ImageFont


class Fault(ValueError):
    """The stream is not what the language's manual allows: where (byte) and why."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"at byte {at}: {why}")
        self.at = at


@dataclass(frozen=True)
class Drawn:
    """What came on paper: ``what`` is text, symbol, bits, rule or clear; the box in dots as it lies; text or a symbol's data."""

    what: str
    x: int
    y: int
    width: int
    height: int
    text: str = ""
    kind: str = ""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom)."""
        return self.x, self.y, self.x + self.width, self.y + self.height


class Paper:
    """One label: ``ink`` is an array of bool, rows of dots, True where black; ``drawn`` lists what made it."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.ink = np.zeros((height, width), bool)
        self.drawn: list[Drawn] = []

    @property
    def picture(self) -> Image.Image:
        """The label as a picture of one bit a dot, black on white."""
        return Image.fromarray(~self.ink)

    def texts(self) -> list[str]:
        """What the printer's own fonts wrote."""
        return [each.text for each in self.drawn if each.what == "text"]

    def symbols(self) -> list[Drawn]:
        """The barcodes that the printer drew itself."""
        return [each for each in self.drawn if each.what == "symbol"]

    def copy(self) -> Paper:
        """The label as it is now: a later command draws on the other."""
        again = Paper(self.width, self.height)
        again.ink = self.ink.copy()
        again.drawn = list(self.drawn)
        return again

    def put(
        self,
        bits: np.ndarray,
        x: int,
        y: int,
        at: int,
        how: str = "or",
        turn: int = 0,
        note: tuple[str, str, str] = ("bits", "", ""),
    ) -> None:
        """Dots turned clockwise by ``turn`` degrees about (x, y), which is their top left corner before; ``how`` they meet
        what is there: or, over, xor. A black dot beside the paper is a Fault; white ones may hang over."""
        height, width = bits.shape
        if turn:
            bits = np.rot90(bits, -turn // 90)
            x, y = {90: (x - height, y), 180: (x - width, y - height), 270: (x, y - width)}[turn]
            height, width = bits.shape
        left, top = max(0, -x), max(0, -y)
        right, bottom = min(width, self.width - x), min(height, self.height - y)
        if int(bits.sum()) != int(bits[top : max(top, bottom), left : max(left, right)].sum()):
            raise Fault(
                at, f"black dots of {note[0]} {note[1]!r} at {x},{y} ({width} x {height}) beside the paper"
            )
        self.drawn.append(Drawn(note[0], x, y, width, height, note[1], note[2]))
        if right <= left or bottom <= top:
            return
        place = self.ink[y + top : y + bottom, x + left : x + right]
        piece = bits[top:bottom, left:right]
        if how == "over":
            place[...] = piece
        elif how == "xor":
            place ^= piece
        else:
            place |= piece

    def rule(self, x: int, y: int, width: int, height: int, at: int, ink: bool | None = True) -> None:
        """A filled rectangle: black, white (``ink`` False) or turned over (None)."""
        if width <= 0 or height <= 0:
            raise Fault(at, f"a rectangle of {width} x {height}")
        if ink is False:
            self.ink[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = False
            self.drawn.append(Drawn("clear", x, y, width, height))
            return
        self.put(
            np.ones((height, width), bool), x, y, at, "xor" if ink is None else "or", 0, ("rule", "", "")
        )

    def line(self, x1: int, y1: int, x2: int, y2: int, thickness: int, at: int) -> None:
        """A slanting line, its middle on the two points."""
        left, top = min(x1, x2) - thickness, min(y1, y2) - thickness
        picture = Image.new("1", (abs(x2 - x1) + 2 * thickness + 1, abs(y2 - y1) + 2 * thickness + 1))
        ImageDraw.Draw(picture).line((x1 - left, y1 - top, x2 - left, y2 - top), fill=1, width=thickness)
        self.put(np.asarray(picture), left, top, at, note=("rule", "", ""))

    def ellipse(self, x: int, y: int, width: int, height: int, thickness: int, at: int) -> None:
        """A ring that touches its box from inside."""
        picture = Image.new("1", (width, height))
        ImageDraw.Draw(picture).ellipse((0, 0, width - 1, height - 1), outline=1, width=thickness)
        self.put(np.asarray(picture), x, y, at, note=("rule", "", ""))

    def bars(
        self,
        widths: tuple[int, ...],
        module: int,
        height: int,
        x: int,
        y: int,
        at: int,
        turn: int,
        kind: str,
        data: str,
    ) -> None:
        """A linear symbol that the printer draws."""
        row = np.repeat(np.arange(len(widths)) % 2 == 0, np.array(widths) * module)
        self.put(np.tile(row, (height, 1)), x, y, at, "or", turn, ("symbol", data, kind))

    def modules(
        self,
        rows: np.ndarray,
        size: tuple[int, int],
        x: int,
        y: int,
        at: int,
        turn: int,
        kind: str,
        data: str,
    ) -> None:
        """A symbol of modules that the printer draws, ``size`` dots (width, height) each."""
        dots = np.repeat(np.repeat(rows, size[1], axis=0), size[0], axis=1)
        self.put(dots, x, y, at, "or", turn, ("symbol", data, kind))

    def text(
        self, words: str, cell: tuple[int, int], x: int, y: int, at: int, turn: int = 0, bold: bool = False,
        inverse: bool = False, gap: int = 0,
    ) -> int:  # fmt: skip
        """Words in a resident font whose wide (Chinese) cell is ``cell`` dots (width, height), a Latin one half as wide;
        returns the width that they took."""
        pieces = [_glyph(char, cell, bold) for char in words]
        if not pieces:
            return 0
        spaced = [np.pad(piece, ((0, 0), (0, gap))) for piece in pieces] if gap else pieces
        bits = np.concatenate(spaced, axis=1)
        self.put(~bits if inverse else bits, x, y, at, "or", turn, ("text", words, ""))
        return bits.shape[1]


def wide(char: str) -> bool:
    """Whether a resident font gives the character a whole cell: all that double-byte codes hold."""
    return ord(char) > 0xFF


@lru_cache(4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = files("justmytype_intl_cjk") / "fonts" / "ofl" / "notosanssc" / "NotoSansSC[wght].ttf"
    font = ImageFont.truetype(str(path), size)
    font.set_variation_by_axes([500])
    return font


@lru_cache(4096)
def _glyph(char: str, cell: tuple[int, int], bold: bool) -> np.ndarray:
    """One character in its cell, squeezed into it where the cell isn't the font's shape."""
    width = cell[0] if wide(char) else max(1, cell[0] // 2)
    # A font's em is a little less than its cell, so that neighbours stay apart.
    size = max(6, round(cell[1] * 0.92))
    font = _font(size)
    em = size if wide(char) else max(1, round(font.getlength(char)))
    drawn = Image.new("L", (em, cell[1]))
    ImageDraw.Draw(drawn).text((0, cell[1] - round(size * 0.12)), char, fill=255, font=font, anchor="ls")
    room = max(1, width - 1)
    if em > room or wide(char):
        drawn = drawn.resize((room, cell[1]), Image.Resampling.LANCZOS)
    bits = np.zeros((cell[1], width), bool)
    shift = (room - drawn.width) // 2
    bits[:, shift : shift + drawn.width] = np.asarray(drawn) > 110
    if bold:
        bits[:, 1:] |= bits[:, :-1]
    return bits
