"""Text for paper: cleaned of what can't be printed, broken into lines, and made to fit its box.

Hides which face has which character, where Chinese and Latin text may be broken, and the search for a size.
All measures are dots. Widths come from the fonts' own advances, so what is measured is what is printed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from labelsvc.labels import fonts
from labelsvc.labels.page import Run

#: No label has room for more; a longer text overflows anyway, and is not worth measuring.
LONGEST = 4000
ELLIPSIS = "…"

# Characters that steer the direction or the shape of others and have no picture of their own: printed, they would
# let data reorder what the courier reads. Variation selectors go too: the base character is printed.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_NEWLINE = re.compile("\r\n|\r")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u1680\u2000-\u200a\u2028\u2029\u202f\u205f]")
_BROKEN = re.compile("[\ud800-\udfff\ufdd0-\ufdef]|[^\x00-\U0010ffff]")
_MARKED = re.compile("(.)([\u0300-\u036f\u3099\u309a]+)")

# Punctuation that may not begin, or end, a line (kinsoku 避头尾).
_NOT_FIRST = frozenset("，。、；：？！）】》」』〉〕〗’”…—·,.;:?!)]}%％℃°")
_NOT_LAST = frozenset("（【《「『〈〔〖‘“([{￥¥$#＃№")


def clean(text: str) -> str:
    """The text as it can be printed.

    CR LF and CR become line feeds; every other control character, tab, line and paragraph separator, and unusual
    space becomes a space; characters without a picture (zero width, direction controls, variation selectors) are
    dropped; halves of characters become U+FFFD; a letter with loose accents becomes one character where there is one.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _NEWLINE.sub("\n", text)
    text = _CONTROL.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    text = _BROKEN.sub("\ufffd", text)
    # Only where accents are loose: normalizing all would turn some name characters into their unified look-alikes.
    return _MARKED.sub(lambda pair: unicodedata.normalize("NFC", pair[0]), text)


@lru_cache(maxsize=32768)
def _glyph(char: str, weight: int) -> tuple[str, float, bool]:
    """Face key, advance as a share of the em, and whether any font has the character."""
    face = fonts.face_for(char, weight)
    chosen = face or fonts.face(f"sans-{weight}")
    return chosen.key, chosen.units(char) / chosen.units_per_em, face is not None


@dataclass(frozen=True)
class Line:
    """One line: its text, the runs of one face each, its width, and the characters that no face has."""

    text: str
    runs: tuple[Run, ...]
    width: int
    missing: str


@dataclass(frozen=True)
class Fitted:
    """A text in its box: the size and weight it got, its lines, the distance from line to line, and by how many dots it is
    still too wide or too high (0: it fits)."""

    size: int
    weight: int
    spacing: int
    pitch: int
    lines: tuple[Line, ...]
    over_width: int
    over_height: int

    @property
    def fits(self) -> bool:
        """True if nothing sticks out of the box."""
        return not self.over_width and not self.over_height

    @property
    def height(self) -> int:
        """From the top of the first line box to the bottom of the last."""
        return self.pitch * (len(self.lines) - 1) + line_height(self.size) if self.lines else 0


def line_height(size: int) -> int:
    """Height of the line box of a text of ``size`` dots an em."""
    return round((fonts.ASCENT + fonts.DESCENT) * size)


@dataclass(frozen=True)
class Setter:
    """How a text is to be set in a box of ``width`` × ``height``.

    ``weight`` and ``spacing`` depend on the size (small bold strokes clog; spacing may be a share of the em).
    ``strict`` counts the descenders' room too: then no two lines or boxes can touch.
    """

    width: int
    height: int
    wrap: bool
    line_share: float
    weight: Callable[[int], int]
    spacing: Callable[[int], int]
    strict: bool

    def fit(self, text: str, size: int, smallest: int) -> Fitted:
        """The text at ``size``, or at the largest size down to ``smallest`` at which it fits; at ``smallest`` if at none."""
        text = text[: LONGEST + 1]
        while True:
            fitted = self._at(text, size)
            if fitted.fits or size <= smallest:
                return fitted
            size -= 1

    def fit_largest(self, text: str, smallest: int) -> Fitted:
        """The text as large as the box allows."""
        low, high = smallest, max(smallest, self.height)
        while low < high:
            middle = (low + high + 1) // 2
            if self._at(text, middle).fits:
                low = middle
            else:
                high = middle - 1
        return self._at(text, low)

    def cut(self, text: str, size: int, end: str = ELLIPSIS) -> Fitted:
        """As many lines as the box holds (at least one), the last one shortened to carry ``end``."""
        weight, spacing, pitch = self._measures(size)
        room = max(1, 1 + (self.height - self._needed(size)) // pitch)
        lines = self._broken(text[: LONGEST + 1], size, weight, spacing)
        kept = lines[:room]
        last = kept[-1]
        if len(lines) > room or _width(last, size, weight, spacing) > self.width:
            while last and _width(last + end, size, weight, spacing) > self.width:
                last = last[:-1]
            kept[-1] = last.rstrip(" ") + end
        if not self.wrap:
            kept = [self._shorten(line, end, size, weight, spacing) for line in kept]
        return self._fitted(kept, size, weight, spacing, pitch)

    def _shorten(self, line: str, end: str, size: int, weight: int, spacing: int) -> str:
        if _width(line, size, weight, spacing) <= self.width:
            return line
        while line and _width(line + end, size, weight, spacing) > self.width:
            line = line[:-1]
        return line + end

    def _needed(self, size: int) -> int:
        return line_height(size) if self.strict else size

    def _measures(self, size: int) -> tuple[int, int, int]:
        pitch = max(1, round(size * self.line_share))
        return self.weight(size), self.spacing(size), max(pitch, line_height(size)) if self.strict else pitch

    def _at(self, text: str, size: int) -> Fitted:
        weight, spacing, pitch = self._measures(size)
        return self._fitted(self._broken(text, size, weight, spacing), size, weight, spacing, pitch)

    def _fitted(self, lines: Sequence[str], size: int, weight: int, spacing: int, pitch: int) -> Fitted:
        made = tuple(_line(line, size, weight, spacing) for line in lines)
        widest = max((line.width for line in made), default=0)
        high = pitch * (len(made) - 1) + self._needed(size)
        return Fitted(
            size, weight, spacing, pitch, made, max(0, widest - self.width), max(0, high - self.height)
        )

    def _broken(self, text: str, size: int, weight: int, spacing: int) -> list[str]:
        lines: list[str] = []
        for paragraph in text.split("\n"):
            if self.wrap:
                lines += _wrap(paragraph, size, weight, spacing, self.width)
            else:
                lines.append(paragraph)
        return lines


def _width(text: str, size: int, weight: int, spacing: int) -> float:
    return sum(_glyph(char, weight)[1] for char in text) * size + spacing * max(0, len(text) - 1)


def _line(text: str, size: int, weight: int, spacing: int) -> Line:
    runs: list[Run] = []
    missing: dict[str, None] = {}
    x, begin, start, key = 0.0, 0.0, 0, ""
    for at, char in enumerate(text):
        face, share, known = _glyph(char, weight)
        if not known:
            missing[char] = None
        if face != key:
            if at:
                runs.append(Run(key, text[start:at], round(begin)))
            key, start, begin = face, at, x
        x += share * size + spacing
    if text:
        runs.append(Run(key, text[start:], round(begin)))
        x -= spacing
    return Line(text, tuple(runs), math.ceil(x - 0.01), "".join(missing))


def _is_wide(char: str) -> bool:
    """True for characters between which Chinese text may be broken."""
    code = ord(char)
    return (
        0x2E80 <= code <= 0xA4CF
        or 0xAC00 <= code <= 0xD7AF
        or 0xF900 <= code <= 0xFAFF
        or 0xFE30 <= code <= 0xFE4F
        or 0xFF00 <= code <= 0xFFEF
        or code >= 0x20000
    )


def _may_break(before: str, after: str) -> bool:
    if after == " ":
        return False
    if before == " ":
        return True
    if after in _NOT_FIRST or before in _NOT_LAST:
        return False
    if before == "-" and after.isdigit():
        return False  # a phone number stays whole
    return _is_wide(before) or _is_wide(after) or before in "-/,;，；、"


def _wrap(text: str, size: int, weight: int, spacing: int, limit: int) -> list[str]:
    """Greedy lines no wider than the limit; a word that is wider by itself is broken anywhere. Spaces at a break go."""
    lines: list[str] = []
    start, possible, x = 0, 0, 0.0
    widths = [_glyph(char, weight)[1] * size for char in text]
    at = 0
    while at < len(text):
        if at > start and _may_break(text[at - 1], text[at]):
            possible = at
        x += widths[at] + (spacing if at > start else 0)
        if x > limit + 0.01 and text[at] != " " and at > start:
            end = possible if possible > start else at
            lines.append(text[start:end].rstrip(" "))
            start = possible = end
            x = sum(widths[start:at]) + spacing * max(0, at - start - 1)
            if at > start:
                x += spacing
            x += widths[at]
            if x > limit + 0.01 and at > start:
                # What was carried over is too wide with this character: break again right here.
                lines.append(text[start:at])
                start = possible = at
                x = widths[at]
        at += 1
    last = text[start:]
    lines.append(last.rstrip(" ") if x > limit + 0.01 else last)
    return lines
