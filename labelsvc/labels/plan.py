"""A label's pieces, laid out once, drawn for each label: what never changes is kept as marks, the rest is filled from data.

Hides how values are looked up and cleaned together, which marks may be drawn before all others though they stand later
in the template, and how little must be looked at to know that nothing overlaps.

Black commutes with black: a mark that is the same on every label may move to the front unless it, or something that it
would pass and that shares a dot with it, paints white.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from labelsvc.labels import text as texts
from labelsvc.labels.boxes import EVERYWHERE, PATIENCE, Box, ink, meeting, quiet_zone
from labelsvc.labels.element import DataPath, Element, LabelData, Value
from labelsvc.labels.page import (
    BarMark,
    Fixed,
    GroupMark,
    ImageMark,
    Mark,
    MatrixMark,
    Page,
    PageWarning,
    RectMark,
    TextMark,
)
from labelsvc.labels.turning import as_quarter, quarter_turned

#: The data of a label: the template's, and the custom area's if it has one.
Datas = tuple[LabelData, LabelData | None]
#: Gets the bytes behind an address that isn't a data URL; raises an error of labelsvc's where it may not or can't.
Pictures = Callable[[str], bytes]


class Sheet:
    """The paper while one label is drawn: its marks, its warnings, and the values that pieces are filled with."""

    __slots__ = ("loose", "marks", "pictures", "said", "values", "warnings")

    def __init__(self, marks: list[Mark], values: Sequence[str], pictures: Pictures | None) -> None:
        self.marks = marks
        self.values = values
        self.pictures = pictures
        self.warnings: dict[PageWarning, None] = {}
        self.said = 0  #: how often something was told, the same thing included
        self.loose = False  #: something may lie outside the reach of its piece

    def warn(self, code: str, detail: str, source: str) -> None:
        """Tell of something; the same thing once."""
        self.said += 1
        self.warnings[PageWarning(code, detail, source)] = None


class Piece:
    """A part of a label whose place and style are known.

    ``reach`` are the boxes that its marks can't leave (but for ``Sheet.loose``), ``white`` tells that it may paint white.
    ``values`` are what it is filled from; ``slots``, set by the plan, where they stand in ``Sheet.values``.
    """

    reach: Sequence[Box] = (EVERYWHERE,)
    white: bool = False
    is_text: bool = False
    is_symbol: bool = False
    is_eraser: bool = False
    is_elsewhere: bool = False  #: its content isn't in the template, nor in the data
    element: Element
    value: Value | None = None
    raw: bool = False  #: the value is wanted as it is in the data, not cleaned for printing
    slot: int = 0
    origin: int = 0  #: which of the label's data fill it

    @property
    def parts(self) -> Sequence[Piece]:
        """The pieces that are filled: itself, or those that it is made of."""
        return (self,)

    def draw(self, sheet: Sheet, value: str) -> None:
        """Put the marks for a value on the sheet."""
        raise NotImplementedError


class Still(Piece):
    """Marks that don't depend on the data, with what there is to tell of them."""

    def __init__(self, element: Element, marks: Sequence[Mark], warnings: Sequence[PageWarning] = ()) -> None:
        self.element = element
        self.marks = tuple(marks)
        self.warnings = warnings
        self.reach = tuple(box for mark in self.marks for box in ink(mark))
        self.white = any(map(paints_white, self.marks))
        self.is_text = any(isinstance(mark, TextMark) for mark in self.marks)
        self.is_symbol = any(is_symbol(mark) for mark in self.marks)
        self.is_eraser = bool(marks) and all(isinstance(mark, RectMark) and mark.erase for mark in self.marks)

    def draw(self, sheet: Sheet, value: str) -> None:
        """All of them."""
        sheet.marks += self.marks
        for warning in self.warnings:
            sheet.warnings[warning] = None


class Later(Piece):
    """An element whose place, style or structure depends on data: laid out for each label."""

    white = True

    def __init__(self, element: Element, lay_out: Callable[[Datas], Sequence[Piece]]) -> None:
        self.element = element
        self.lay_out = lay_out


class Bundle(Piece):
    """Pieces that are cut to a box or turned together."""

    def __init__(
        self,
        element: Element,
        pieces: Sequence[Piece],
        box: Box,
        *,
        clip: bool = False,
        angle: float = 0.0,
        page: Box = EVERYWHERE,
    ) -> None:
        self.element = element
        self.pieces = pieces
        self.box = box
        self.clip = clip
        self.angle = angle % 360
        self.page = page
        self.white = any(piece.white for piece in pieces)
        self.is_text = any(piece.is_text for piece in pieces)
        self.is_symbol = any(piece.is_symbol for piece in pieces)
        if clip:
            self.reach = (box,)

    @property
    def parts(self) -> Sequence[Piece]:
        """What the pieces are filled from."""
        return [part for piece in self.pieces for part in piece.parts]

    def draw(self, sheet: Sheet, value: str) -> None:
        """The marks, in groups where they must be."""
        inner = Sheet([], sheet.values, sheet.pictures)
        for piece in self.pieces:
            piece.draw(inner, sheet.values[piece.slot])
        sheet.warnings.update(inner.warnings)
        sheet.said += inner.said
        sheet.loose = sheet.loose or inner.loose
        marks = inner.marks
        if self.clip:
            marks = self._cut(marks)
        if (quarter := as_quarter(self.angle)) is not None:
            marks = [quarter_turned(mark, quarter, self.box) for mark in marks]
        elif self.angle and marks:
            x, y = (self.box.left + self.box.right) / 2, (self.box.top + self.box.bottom) / 2
            marks = [GroupMark(tuple(marks), None, self.angle, x, y, self.element.source)]
        if self.angle and any(not self.page.holds(box) for mark in marks for box in ink(mark)):
            sheet.warn("mark.off_page", "The turned element leaves the page", self.element.source)
            size = (self.page.left, self.page.top, self.page.width, self.page.height)
            marks = [GroupMark(tuple(marks), size, source=self.element.source)]
        sheet.marks += marks

    def _cut(self, marks: list[Mark]) -> list[Mark]:
        cut = [any(not self.box.holds(box) for box in ink(mark)) for mark in marks]
        if not any(cut):
            return marks
        clip = (self.box.left, self.box.top, self.box.width, self.box.height)
        for mark, leaves in zip(marks, cut, strict=True):
            if leaves and is_symbol(mark):
                self.element.fail("a barcode is cut by what hides its overflow", code="label.off_page")
        if any(map(paints_white, marks)):
            return [GroupMark(tuple(marks), clip, source=self.element.source)]
        kept: list[Mark] = []
        for mark, leaves in zip(marks, cut, strict=True):
            if not leaves:
                kept.append(mark)
            elif any(self.box.meets(box) for box in ink(mark)):
                kept.append(GroupMark((mark,), clip, source=self.element.source))
        return kept


def paints_white(mark: Mark) -> bool:
    """True if it may whiten dots."""
    if isinstance(mark, TextMark):
        return mark.inverse
    if isinstance(mark, RectMark):
        return mark.erase
    return isinstance(mark, GroupMark) and any(map(paints_white, mark.marks))


def is_symbol(mark: Mark) -> bool:
    """True for what a scanner reads."""
    return isinstance(mark, BarMark | MatrixMark) or (isinstance(mark, ImageMark) and bool(mark.kind))


#: Larger whole numbers are left to the element to say, or refuse.
_LARGE = 10**15


class _Wanted(NamedTuple):
    """What pieces are filled with: a value of which data, cleaned for printing or raw."""

    value: Value
    origin: int
    raw: bool

    @property
    def shape(self) -> int:
        """0: one path; 1: texts and paths; 2: what only an element can say (the context)."""
        if not all(isinstance(part, str | DataPath) for part in self.value):
            return 2
        return 0 if len(self.value) == 1 and isinstance(self.value[0], DataPath) else 1


_Path = tuple[str | int, ...]  #: which data, then the keys


class _Reader:
    """Looks up what pieces are filled with: each part of a path once, each value once, all cleaned together."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        asking: dict[_Wanted, Piece] = {}
        for piece in (part for whole in pieces for part in whole.parts):
            if piece.value is not None:
                asking[_Wanted(piece.value, piece.origin, piece.raw)] = piece
        self._wanted = sorted(asking, key=lambda wanted: wanted.shape)
        self._elements = [asking[wanted].element for wanted in self._wanted]
        # Slot 0 is for pieces that are filled with nothing.
        slots = {wanted: number for number, wanted in enumerate(self._wanted, 1)}
        for piece in (part for whole in pieces for part in whole.parts):
            if piece.value is not None:
                piece.slot = slots[_Wanted(piece.value, piece.origin, piece.raw)]
        # Where values are found: the label's data, the template's own texts, then what hangs on the data.
        self._literals = sorted(
            {part for wanted in self._wanted for part in wanted.value if isinstance(part, str)}
        )
        places = self._set_groups(2 + len(self._literals))

        def found_at(wanted: _Wanted) -> list[int]:
            return [
                places[wanted.origin, *part.keys]
                if isinstance(part, DataPath)
                else 2 + self._literals.index(str(part))
                for part in wanted.value
            ]

        self._single = [found_at(wanted)[0] for wanted in self._wanted if wanted.shape == 0]
        self._joined = [_picker(found_at(wanted)) for wanted in self._wanted if wanted.shape == 1]
        self._first_other = len(self._single) + len(self._joined)

    def _set_groups(self, first: int) -> dict[_Path, int]:
        """Where each path's node will be found; what hangs on the same node is taken from it in one go."""
        groups: dict[_Path, dict[str | int, None]] = {}
        for wanted in self._wanted:
            for part in wanted.value:
                if isinstance(part, DataPath):
                    path: _Path = (wanted.origin, *part.keys)
                    for end in range(1, len(path)):
                        groups.setdefault(path[:end], {})[path[end]] = None
        places: dict[_Path, int] = {(0,): 0, (1,): 1}
        self._groups = []
        for parent in sorted(groups, key=len):
            keys = tuple(groups[parent])
            self._groups.append((places[parent], keys, _taker(keys)))
            places |= {(*parent, key): first + at for at, key in enumerate(keys)}
            first += len(keys)
        return places

    def read(self, datas: Datas) -> list[str]:
        """The values of a label, by slot."""
        found: list[Any] = [*datas, *self._literals]
        for parent, keys, take in self._groups:
            node = found[parent]
            try:
                found += take(node)
            except (KeyError, TypeError):
                found += [DataPath((key,)).find(node) for key in keys]
        values: list[Any] = [found[place] for place in self._single]
        for pick in self._joined:
            try:
                values.append("".join(pick(found)))
            except TypeError:
                values.append(_join(pick(found)))
        values += [None] * (len(self._wanted) - self._first_other)
        if set(map(type, values)) != {str}:
            for at, value in enumerate(values):
                if type(value) is not str:
                    values[at] = self._say(value, at, found)
        whole = "\n".join(values)
        if texts.clean(whole) != whole:
            values = [
                value if wanted.raw else texts.clean(value)
                for value, wanted in zip(values, self._wanted, strict=True)
            ]
        return ["", *values]

    def _say(self, value: Any, at: int, found: Sequence[Any]) -> str:
        """A value that isn't a text, as its element says it."""
        if value is None and at < self._first_other:
            return ""
        wanted = self._wanted[at]
        return self._elements[at].fill(wanted.value, found[wanted.origin])


def _taker(keys: Sequence[str | int]) -> Callable[[Any], Sequence[Any]]:
    """Takes the values of all keys from a mapping at once; KeyError or TypeError where it can't."""
    if len(keys) > 1 and all(isinstance(key, str) for key in keys):
        return itemgetter(*keys)

    def take(node: Any) -> Sequence[Any]:
        if len(keys) == 1 and isinstance(keys[0], str) and isinstance(node, dict):
            return (node.get(keys[0]),)
        raise TypeError

    return take


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Picks what stands at all places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda found: [found[place] for place in places]


def _join(said: Sequence[Any]) -> str | int:
    """The texts and whole numbers joined, missing ones left out; 0 if only the element can say what is among them."""
    there = [str(one) if type(one) is int and abs(one) < _LARGE else one for one in said if one is not None]
    return "".join(there) if all(type(one) is str for one in there) else 0


class Plan:
    """The pieces of one page, in drawing order. With ``keep``, it will be drawn for many labels."""

    def __init__(
        self,
        width: int,
        height: int,
        dpi: int,
        pieces: Sequence[Piece],
        *,
        keep: bool,
        front: Sequence[tuple[int, Mark]] = (),
    ) -> None:
        self.width = width
        self.height = height
        self.dpi = dpi
        self.paper = Box(0, 0, width, height)
        self.fixed: Fixed | None = None
        self.told: dict[PageWarning, None] = {}
        #: The fixed marks with a number (below 0) for the piece that each came from.
        self._front: list[tuple[int, Mark]] = list(front)
        self.pieces = _without_idle_erasers(pieces, [box for _, mark in front for box in ink(mark)])
        self.is_settled = not any(isinstance(part, Later) for piece in self.pieces for part in piece.parts)
        if keep:
            self._hoist()
        self._reader = _Reader(self.pieces)
        self._steps = [(piece.draw, piece.slot) for piece in self.pieces]
        self._watched: frozenset[int] | None = self._watch() if keep and self.is_settled else None

    def draw(self, datas: Datas, pictures: Pictures | None = None) -> Page:
        """The page for the data of one label."""
        if not self.is_settled:
            pieces: list[Piece] = []
            for piece in self.pieces:
                pieces += piece.lay_out(datas) if isinstance(piece, Later) else (piece,)
            inner = Plan(self.width, self.height, self.dpi, pieces, keep=False, front=self._front)
            inner.fixed, inner.told = self.fixed, self.told
            return inner.draw(datas, pictures)
        marks = list(self.fixed.marks) if self.fixed else []
        sheet = Sheet(marks, values := self._reader.read(datas), pictures)
        watched = self._watched
        if watched is not None and not watched:
            for draw, slot in self._steps:
                draw(sheet, values[slot])
            if not sheet.loose:
                if not sheet.warnings and not self.told:
                    return Page(self.width, self.height, self.dpi, tuple(marks), (), self.fixed)
                told = tuple(self.told | sheet.warnings)
                return Page(self.width, self.height, self.dpi, tuple(marks), told, self.fixed)
            sheet = Sheet(marks := list(self.fixed.marks) if self.fixed else [], values, pictures)
        starts = [len(marks)]
        for draw, slot in self._steps:
            draw(sheet, values[slot])
            starts.append(len(marks))
        owned = [*self._front]
        for number, (start, end) in enumerate(pairwise(starts)):
            owned += [(number, mark) for mark in marks[start:end]]
        if watched is not None and not sheet.loose:
            owned = [one for one in owned if one[0] in watched]
        warnings = self.told | sheet.warnings | look_for_clashes(owned, self.paper)
        return Page(self.width, self.height, self.dpi, tuple(marks), tuple(warnings), self.fixed)

    def _hoist(self) -> None:
        """Take the marks that never change to the front, as far as nothing white is passed."""
        rest: list[Piece] = []
        patience = PATIENCE
        for number, piece in enumerate(self.pieces, 1):
            if not isinstance(piece, Still):
                rest.append(piece)
                continue
            patience -= len(piece.marks) * len(rest)
            self.told.update(dict.fromkeys(piece.warnings))
            for mark in piece.marks:
                boxes, white = ink(mark), paints_white(mark)
                if patience < 0 or any(
                    (white or passed.white) and _meet(boxes, passed.reach) for passed in rest
                ):
                    rest.append(Still(piece.element, (mark,)))
                else:
                    self._front.append((-number, mark))
        self.fixed = Fixed(tuple(mark for _, mark in self._front))
        self.pieces = rest

    def _watch(self) -> frozenset[int]:
        """The pieces that may come to clash with something: only these are looked at for each label."""
        self.told |= look_for_clashes(self._front, self.paper)
        boxes: list[tuple[Box, tuple[int, bool, bool]]] = []
        for number, mark in self._front:
            symbol = is_symbol(mark)
            zones = [quiet_zone(mark)] if symbol else ink(mark)  # type: ignore[arg-type]
            boxes += [(box, (number, isinstance(mark, TextMark), symbol)) for box in zones]
        for number, piece in enumerate(self.pieces):
            boxes += [(box, (number, piece.is_text, piece.is_symbol)) for box in piece.reach]
        clashing: set[int] = set()
        for (one, text, symbol), (other, its_text, its_symbol) in meeting(boxes):
            if one != other and max(one, other) >= 0 and ((text and its_text) or symbol or its_symbol):
                clashing |= {one, other}
        for number, piece in enumerate(self.pieces):
            if piece.is_symbol and not all(self.paper.holds(box) for box in piece.reach):
                clashing.add(number)
        return frozenset(clashing)


def _meet(some: Sequence[Box], others: Sequence[Box]) -> bool:
    return any(one.meets(other) for one in some for other in others)


def _without_idle_erasers(pieces: Sequence[Piece], front: Sequence[Box]) -> list[Piece]:
    """Leave out white boxes under which nothing can lie: paper is white."""
    kept: list[Piece] = []
    patience = PATIENCE
    for piece in pieces:
        if piece.is_eraser and patience > 0:
            patience -= len(kept) + len(front)
            below = [front, *(under.reach for under in kept)]
            if not any(_meet(piece.reach, boxes) for boxes in below):
                continue
        kept.append(piece)
    return kept


def look_for_clashes(owned: Sequence[tuple[int, Mark]], paper: Box) -> dict[PageWarning, None]:
    """Warnings where something is drawn in a symbol's quiet zone, or a text over another; marks of one piece don't clash."""
    found: dict[PageWarning, None] = {}
    boxes: list[tuple[Box, tuple[int, Mark, bool]]] = []
    for number, mark in owned:
        boxes += [(box, (number, mark, False)) for box in ink(mark)]
        if isinstance(mark, BarMark | MatrixMark) or (isinstance(mark, ImageMark) and mark.kind):
            around = quiet_zone(mark)
            boxes.append((around, (number, mark, True)))
            if not paper.holds(around):
                found[_crowded(mark)] = None
    symbols = any(zone for _, (_, _, zone) in boxes)
    if not symbols:
        boxes = [one for one in boxes if isinstance(one[1][1], TextMark)]
    for (number, mark, zone), (its_number, other, its_zone) in meeting(boxes):
        if zone and not its_zone and other is not mark:
            found[_crowded(mark)] = None
        elif its_zone and not zone and other is not mark:
            found[_crowded(other)] = None
        elif (
            number != its_number
            and isinstance(mark, TextMark)
            and isinstance(other, TextMark)
            and _written(mark).meets(_written(other))
        ):
            found[PageWarning("text.overlap", "The text lies over another", other.source)] = None
    return found


def _crowded(mark: Any) -> PageWarning:
    return PageWarning("barcode.crowded", "Something stands in the quiet zone", mark.source)


def _written(mark: TextMark) -> Box:
    """The box of a text's characters: the line box without the air above and below."""
    air = (mark.width if mark.rotation in {90, 270} else mark.height) // 10
    across, down = (air, 0) if mark.rotation in {90, 270} else (0, air)
    return Box(mark.x + across, mark.y + down, mark.x + mark.width - across, mark.y + mark.height - down)
