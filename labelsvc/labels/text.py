"""Text for paper: cleaned of what can't be printed, broken into lines, and made to fit its box.

Hides which face has which character, where Chinese, Latin, Tibetan and Arabic text may be broken, and the search for a
size. All measures are dots. Widths come from the fonts' own advances, so what is measured is what is printed.

Nearly all text is plain, from one face, and has been seen before character by character: that takes microseconds. What
must be shaped goes through ``shaping``.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from labelsvc.labels import fonts, shaping
from labelsvc.labels.page import Run

#: No label has room for more; a longer text overflows anyway, and is not worth measuring.
LONGEST = 4000
ELLIPSIS = "…"

# Characters that steer the direction or the shape of others and have no picture of their own: printed, they would
# let data reorder what the courier reads. Variation selectors go too: the base character is printed.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_CONTROL = "\x00-\x09\x0b-\x1f\x7f-\x9f\u1680\u2000-\u200a\u2028\u2029\u202f\u205f"
_BROKEN = "\ud800-\udfff\ufdd0-\ufdef"
_MARKS = "\u0300-\u036f\u3099\u309a"
_JAMO = "\u1100-\u1112\u1161-\u1175\u11a8-\u11c2"
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001faff"
)

_NEWLINE = re.compile("\r\n|\r")
_SELECTORS = re.compile("[\ufe00-\ufe0f]")
# A joiner stays between two emoji: a family is one picture where the font has it.
_INVISIBLES = re.compile(f"(?<=[{_EMOJI}])(\u200d)(?=[{_EMOJI}])|[{_INVISIBLE}]")
_CONTROLS = re.compile(f"[{_CONTROL}]")
_HALVES = re.compile(f"[{_BROKEN}]")
_LOOSE = re.compile(f"[^{_MARKS}][{_MARKS}]+|[{_JAMO}]{{2,}}")
_DIRTY = re.compile(f"[\r{_INVISIBLE}{_CONTROL}{_BROKEN}{_MARKS}{_JAMO}]")

# Punctuation that may not begin, or end, a line (kinsoku 避头尾).
_NOT_FIRST = frozenset("，。、；：？！）】》」』〉〕〗’”…—·,.;:?!)]}%％℃°،؛؟།༎༏༐༑༔་༌")
_NOT_LAST = frozenset("（【《「『〈〔〖‘“([{￥¥$#＃№")
#: A Tibetan syllable ends with a point, and a line may.
_SYLLABLE_END = "་"


def clean(text: str) -> str:
    """The text as it can be printed.

    CR LF and CR become line feeds; every other control character, tab, line and paragraph separator, and unusual
    space becomes a space; characters without a picture (zero width, direction controls, variation selectors) are
    dropped, but for joiners between emoji; halves of characters become U+FFFD; a letter with loose accents becomes one
    character where there is one, and so do the letters of a Korean syllable.
    """
    if _DIRTY.search(text) is None:
        return text
    text = _NEWLINE.sub("\n", text)
    text = _CONTROLS.sub(" ", text)
    text = _INVISIBLES.sub(r"\1", _SELECTORS.sub("", text))
    text = _HALVES.sub("\ufffd", text)
    # Only where accents are loose: normalizing all would turn some name characters into their unified look-alikes.
    return _LOOSE.sub(lambda pair: unicodedata.normalize("NFC", pair[0]), text)


class Line(NamedTuple):
    """One line: its text, the runs of one face and direction each as they lie from left to right, its width, and the
    characters that no face has."""

    text: str
    runs: tuple[Run, ...]
    width: int
    missing: str


class Fitted(NamedTuple):
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


def baseline(size: int) -> int:
    """From the top of a line box down to its baseline, for a text of ``size`` dots an em."""
    # A row of dots is black from 0.44 of its height on (``fonts``): what is less needs no room.
    return int(fonts.ASCENT * size + 0.55)


def line_height(size: int) -> int:
    """Height of the line box of a text of ``size`` dots an em: no ink leaves it."""
    return int(fonts.ASCENT * size + 0.55) + int(fonts.DESCENT * size + 0.55)


# Named tuples without their constructors, which take longer than what they hold.
_new = tuple.__new__

# ── plain text ──


class _Known(dict[str, int]):
    """The advances, in thousandths of an em, of characters that the first face has and that need no shaping."""

    def __init__(self, weight: int) -> None:
        super().__init__()
        self.weight = weight
        self.key = f"sans-{weight}"

    def learn(self, text: str) -> None:
        for char in set(text).difference(self):
            if char != "\n" and not shaping.needed(char):
                key, share, known = shaping.plain(char, self.weight)
                if known and key == self.key:
                    self[char] = round(share * 1000)


_known = {weight: _Known(weight) for weight in fonts.WEIGHTS}


class _Plain:
    """A text without line feeds whose characters stand one by one, as ``shaping.Paragraph`` is for all others."""

    __slots__ = ("alone", "count", "ends", "key", "solid", "text", "weight")

    def __init__(self, text: str, weight: int, units: Sequence[float] | None = None) -> None:
        self.text = text
        self.weight = weight
        known = _known[weight]
        self.key = known.key
        self.alone = True
        if units is None:
            try:
                units = list(map(known.__getitem__, text))
            except KeyError:
                known.learn(text)
                self.alone = known.keys() >= set(text)
                units = [shaping.plain(char, weight)[1] * 1000 for char in text]
        #: The sum of the advances before each character, and of all, in thousandths of an em.
        self.ends = [0, *accumulate(units)]
        #: How many characters and how much of their advances aren't spaces.
        self.count, self.solid = len(text), self.ends[-1]
        if spaces := text.count(" "):
            at = text.index(" ")
            self.count -= spaces
            self.solid -= spaces * (self.ends[at + 1] - self.ends[at])

    def broken(
        self, size: int, spacing: int, limit: int, may_break: Callable[[str, str], bool]
    ) -> list[tuple[int, int]]:
        """Greedy lines no wider than the limit, as (start, end); a word that is wider by itself is broken anywhere. Spaces at
        a break belong to neither line."""
        text, ends, count = self.text, self.ends, len(self.text)
        if spacing:
            each = spacing * 1000 / size
            ends = [end + each * at for at, end in enumerate(ends)]
        # The spacing after a line's last character needs no room.
        room = (limit + spacing + 0.01) * 1000 / size
        lines: list[tuple[int, int]] = []
        start = 0
        while True:
            full = bisect_right(ends, ends[start] + room, start) - 1
            at = max(full, start + 1)
            while at < count and text[at] == " ":
                at += 1
            if at >= count:
                break
            end = at
            while end > start and not may_break(text[end - 1], text[end]):
                end -= 1
            if end <= start:
                end = at
            lines.append((start, start + len(text[start:end].rstrip(" "))))
            start = end
        lines.append((start, count if full >= count else start + len(text[start:].rstrip(" "))))
        return lines

    def width(self, start: int, end: int, size: int, spacing: int) -> int:
        """Width in dots of the line from ``start`` to ``end``."""
        if end <= start:
            return 0
        across = (self.ends[end] - self.ends[start]) * size / 1000 + spacing * (end - start - 1)
        return math.ceil(across - 0.01)

    def line(self, start: int, end: int, size: int, spacing: int) -> tuple[tuple[Run, ...], int, str]:
        """The line from ``start`` to ``end`` as runs from left to right, its width in dots, and the characters no font has."""
        text = self.text[start:end]
        width = self.width(start, end, size, spacing)
        if self.alone and text:
            return (_new(Run, (self.key, text, 0, ())),), width, ""
        runs: list[Run] = []
        missing: dict[str, None] = {}
        begun, key = start, ""
        for at in range(start, end):
            face, _, known = shaping.plain(self.text[at], self.weight)
            if not known:
                missing[self.text[at]] = None
            if face != key:
                if at > start:
                    runs.append(self._run(key, start, begun, at, size, spacing))
                key, begun = face, at
        if text:
            runs.append(self._run(key, start, begun, end, size, spacing))
        return tuple(runs), width, "".join(missing)

    def _run(self, key: str, start: int, begun: int, end: int, size: int, spacing: int) -> Run:
        x = (self.ends[begun] - self.ends[start]) * size / 1000 + spacing * (begun - start)
        return Run(key, self.text[begun:end], round(x))


_Paragraph = _Plain | shaping.Paragraph
#: A line before it is set: its paragraph, and from where to where in its text.
_Span = tuple[_Paragraph, int, int]


@dataclass(slots=True, eq=False)
class Setter:
    """How a text is to be set in a box of ``width`` × ``height``.

    ``weight`` and ``spacing`` depend on the size (small bold strokes clog; spacing may be a share of the em); neither may grow
    as the size falls. ``strict`` counts the descenders' room too: then no two lines or boxes can touch. ``direction`` is
    that of the text as a whole ("ltr", "rtl"): words keep their own.
    """

    width: int
    height: int
    wrap: bool
    line_share: float
    weight: Callable[[int], int]
    spacing: Callable[[int], int]
    strict: bool
    direction: str = "ltr"
    _kept: dict[int, tuple[int, int, int, int]] = field(default_factory=dict, init=False, repr=False)

    def fit(self, text: str, size: int, smallest: int) -> Fitted:
        """The text at ``size``, or at the largest size down to ``smallest`` at which it fits; at ``smallest`` if at none."""
        if self.direction != "rtl" and 0 < len(text) <= LONGEST:
            # One line of characters that were all seen before is what nearly every text of a label is: nothing is prepared for it.
            weight, spacing, pitch, needed = self._kept.get(size) or self._measures(size)
            known = _known[weight]
            try:
                total = sum(map(known.__getitem__, text))
            except KeyError:
                pass
            else:
                width = total * size / 1000 + spacing * (len(text) - 1) - 0.01
                if width <= self.width and needed <= self.height:
                    line = _new(Line, (text, (_new(Run, (known.key, text, 0, ())),), math.ceil(width), ""))
                    return _new(Fitted, (size, weight, spacing, pitch, (line,), 0, 0))
                if found := self._fit_known(text, size, smallest):
                    return found
        weight, spacing, pitch, needed = self._measures(size)
        prepared = _Prepared(text[: LONGEST + 1], self.direction)
        measured, of_weight = prepared.measured(weight), weight
        while size > smallest:
            weight, spacing, pitch, needed = self._measures(size)
            if weight != of_weight:
                measured, of_weight = prepared.measured(weight), weight
            room = 1 + (self.height - needed) // pitch
            # Most sizes can't do wherever the text would be broken: plain text is as wide in pieces as it is whole, shaped
            # text about as wide, and spaces don't count, for they go at the end of a line.
            made, solid, count, widest = measured
            if self.wrap:
                may_fit = solid * size / 1000 + spacing * count <= room * (self.width + spacing + 0.02)
            else:
                may_fit = widest * size / 1000 <= self.width + 0.02 or spacing < 0
            if may_fit and len(made) <= room:
                spans = self._spans(made, size, spacing)
                if len(spans) <= room:
                    fitted = self._fitted(spans, size, weight, spacing, pitch)
                    if not fitted[5] and not fitted[6]:
                        return fitted
            size -= 1
        return self._at(prepared, size)

    def _fit_known(self, text: str, size: int, smallest: int) -> Fitted | None:
        """What ``fit`` gives, for a text of one face and one paragraph whose characters were all seen before, as nearly every
        text of a label is; None for others."""
        of_weight, count, letters = 0, len(text), len(text) - text.count(" ")
        while True:
            weight, spacing, pitch, needed = self._measures(size)
            if weight != of_weight:
                known, of_weight = _known[weight], weight
                try:
                    units = list(map(known.__getitem__, text))
                except KeyError:
                    return None
                total = solid = sum(units)
                plain: _Plain | None = None
                if letters < count:
                    solid -= (count - letters) * known[" "]
            room = 1 + (self.height - needed) // pitch
            width = total * size / 1000 + spacing * (count - 1) - 0.01
            if room > 0 and width <= self.width:
                line = _new(Line, (text, (_new(Run, (known.key, text, 0, ())),), math.ceil(width), ""))
                return _new(Fitted, (size, weight, spacing, pitch, (line,), 0, 0))
            if size <= smallest:
                return self._at(_Prepared(text, self.direction), size)
            # Spaces go at the end of a line, so only the others are sure to take room.
            sure = solid * size / 1000 + spacing * letters
            if (
                self.wrap
                and (room > 1 or (room == 1 and text[-1] == " "))
                and sure <= room * (self.width + spacing + 0.02)
            ):
                plain = plain or _Plain(text, weight, units)
                spans = plain.broken(size, spacing, self.width, _may_break)
                if len(spans) <= room:
                    fitted = self._fitted([(plain, *span) for span in spans], size, weight, spacing, pitch)
                    if not fitted[5]:
                        return fitted
            size -= 1

    def fit_largest(self, text: str, smallest: int) -> Fitted:
        """The text as large as the box allows."""
        prepared = _Prepared(text[: LONGEST + 1], self.direction)
        return self._at(prepared, self._largest(prepared, smallest, max(smallest, self.height)))

    def cut(self, text: str, size: int, end: str = ELLIPSIS) -> Fitted:
        """As many lines as the box holds (at least one), the last one shortened to carry ``end``."""
        weight, spacing, pitch, needed = self._measures(size)
        room = max(1, 1 + (self.height - needed) // pitch)
        prepared = _Prepared(text[: LONGEST + 1], self.direction)
        spans = self._spans(prepared.at(weight), size, spacing)
        kept = spans[:room]
        for at, span in enumerate(kept):
            last = at == len(kept) - 1 and len(spans) > room
            if last or (
                (at == len(kept) - 1 or not self.wrap)
                and span[0].width(*span[1:], size, spacing) > self.width
            ):
                kept[at] = self._shortened(span, end, size, weight, spacing)
        return self._fitted(kept, size, weight, spacing, pitch)

    def _shortened(self, span: _Span, end: str, size: int, weight: int, spacing: int) -> _Span:
        """As much of the line as there is room for with ``end`` after it."""
        paragraph, start, stop = span
        line = paragraph.text[start:stop]
        if isinstance(paragraph, _Plain):
            tail = _Plain(end, weight).ends[-1] * size / 1000 + spacing * (len(end) if line else len(end) - 1)
            room = (self.width - tail + 0.01) * 1000 / size
            each = spacing * 1000 / size
            begin = paragraph.ends[start] + each
            kept = bisect_right(
                range(len(line)),
                room,
                key=lambda at: paragraph.ends[start + at + 1] + each * (at + 1) - begin,
            )
        else:
            places = [place - start for place in paragraph.starts if start <= place <= stop]
            low, high = 0, len(places) - 1
            while low < high:
                middle = (low + high + 1) // 2
                shorter = _paragraph(line[: places[middle]] + end, weight, self.direction)
                if shorter.width(0, len(shorter.text), size, spacing) <= self.width:
                    low = middle
                else:
                    high = middle - 1
            kept = places[low]
        made = _paragraph(line[:kept].rstrip(" ") + end, weight, self.direction)
        return made, 0, len(made.text)

    def _measures(self, size: int) -> tuple[int, int, int, int]:
        """Weight, spacing, the distance from line to line, and the height of one line."""
        found = self._kept.get(size)
        if found is None:
            needed = line_height(size) if self.strict else size
            pitch = max(1, round(size * self.line_share), needed if self.strict else 0)
            found = self._kept[size] = (self.weight(size), self.spacing(size), pitch, needed)
        return found

    def _largest(self, prepared: _Prepared, low: int, high: int) -> int:
        while low < high:
            middle = (low + high + 1) // 2
            if self._fits(prepared, middle):
                low = middle
            else:
                high = middle - 1
        return low

    def _fits(self, prepared: _Prepared, size: int) -> bool:
        weight, spacing, pitch, needed = self._measures(size)
        spans = self._spans(prepared.at(weight), size, spacing)
        return pitch * (len(spans) - 1) + needed <= self.height and all(
            paragraph.width(start, end, size, spacing) <= self.width for paragraph, start, end in spans
        )

    def _at(self, prepared: _Prepared, size: int) -> Fitted:
        weight, spacing, pitch, _ = self._measures(size)
        return self._fitted(self._spans(prepared.at(weight), size, spacing), size, weight, spacing, pitch)

    def _fitted(self, spans: Sequence[_Span], size: int, weight: int, spacing: int, pitch: int) -> Fitted:
        widest, made = 0, []
        for paragraph, start, end in spans:
            runs, width, missing = paragraph.line(start, end, size, spacing)
            made.append(_new(Line, (paragraph.text[start:end], runs, width, missing)))
            if width > widest:
                widest = width
        high = pitch * (len(made) - 1) + self._measures(size)[3]
        over_width = widest - self.width if widest > self.width else 0
        over_height = high - self.height if high > self.height else 0
        return _new(Fitted, (size, weight, spacing, pitch, tuple(made), over_width, over_height))

    def _spans(self, paragraphs: Sequence[_Paragraph], size: int, spacing: int) -> list[_Span]:
        spans: list[_Span] = []
        for paragraph in paragraphs:
            if self.wrap:
                spans += [
                    (paragraph, start, end)
                    for start, end in paragraph.broken(size, spacing, self.width, _may_break)
                ]
            else:
                spans.append((paragraph, 0, len(paragraph.text)))
        return spans


_Measured = tuple[list[_Paragraph], float, int, float]


class _Prepared:
    """A text's paragraphs, ready to be broken, made once for each weight that a search for a size meets."""

    __slots__ = ("direction", "kept", "text")

    def __init__(self, text: str, direction: str) -> None:
        self.text = text
        self.direction = direction
        self.kept: dict[int, _Measured] = {}

    def at(self, weight: int) -> list[_Paragraph]:
        """The paragraphs at a weight."""
        return self.measured(weight)[0]

    def measured(self, weight: int) -> _Measured:
        """The paragraphs, the advances (thousandths of an em) of all but their spaces, how many plain characters that are,
        and the advances of the widest plain one."""
        found = self.kept.get(weight)
        if found is None:
            made = [_paragraph(part, weight, self.direction) for part in self.text.split("\n")]
            found = self.keep(weight, made)
        return found

    def keep(self, weight: int, made: list[_Paragraph]) -> _Measured:
        """Remember what the paragraphs are at a weight."""
        solid, count, widest = 0.0, 0, 0.0
        for one in made:
            if isinstance(one, _Plain):
                solid += one.solid
                count += one.count
                widest = max(widest, one.ends[-1])
            else:
                # Letters take other forms, perhaps narrower, where a word is cut; not by a fifth over a whole text.
                solid += one.solid / 1.2
        found = self.kept[weight] = (made, solid, count, widest)
        return found


def _paragraph(text: str, weight: int, direction: str) -> _Paragraph:
    if direction == "rtl" or shaping.needed(text):
        return shaping.Paragraph(text, weight, direction != "rtl")
    return _Plain(text, weight)


def _is_wide(char: str) -> bool:
    """True for characters between which Chinese text may be broken."""
    code = ord(char)
    return (
        0x2E80 <= code <= 0xA4CF
        or 0xAC00 <= code <= 0xD7AF
        or 0xF900 <= code <= 0xFAFF
        or 0xFE30 <= code <= 0xFE4F
        or 0xFF00 <= code <= 0xFFEF
        or 0x1F000 <= code <= 0x1FAFF
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
    return _is_wide(before) or _is_wide(after) or before in f"-/,;，；、{_SYLLABLE_END}"
