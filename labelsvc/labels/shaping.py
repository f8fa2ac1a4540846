"""Text whose letters join, stack or run from right to left, as glyphs in the order in which they lie on paper.

Hides HarfBuzz's shaping, the order of mixed directions (Unicode's bidirectional algorithm; text that steers it is dropped
before), which characters must come from one font together, and how small a script must be set for its tallest stacks to
stay in the line box. Plain Chinese and Latin text never comes here: ``needed`` tells.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from labelsvc.labels import fonts
from labelsvc.labels.page import Glyph, Run

_JOINER = "\u200d"
# Combining marks, Arabic, Tibetan, other right-to-left scripts, joined emoji, flags, skin tones.
_NEEDED = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0590-\u08ff\u0f00-\u0fff\u1ab0-\u1aff\u1dc0-\u1dff\u200d\u20d0-\u20ff\u302a-\u302f\u3099\u309a"
    "\ufb1d-\ufdcf\ufdf0-\ufdff\ufe20-\ufe2f\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff"
    "\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]"
)
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_FLAG = frozenset(map(chr, range(0x1F1E6, 0x1F200)))
_SKIN = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
_KEYCAP = "\u20e3"

#: The bidirectional types of characters that only stand in the text.
_STANDING = frozenset({"L", "R", "AL", "EN", "ES", "ET", "AN", "CS", "NSM", "WS", "ON"})
#: Families of scripts that are shaped always, and the language whose forms are wanted.
_SCRIPTS = {"arabic": "ug", "tibetan": "bo"}
#: Below this share of its full size a script can't be read; what still reaches out of the line box is moved in.
_SMALLEST = 0.5
#: The longest text whose glyphs are kept.
_KEPT_LENGTH = 120


def needed(text: str) -> bool:
    """True if the text holds a character that can't be set one by one at its own advance."""
    return _NEEDED.search(text) is not None


@lru_cache(maxsize=32768)
def plain(char: str, weight: int) -> tuple[str, float, bool]:
    """Face key, advance as a share of the em, and whether any font has the character."""
    found = fonts.face_for(char, weight)
    chosen = found or fonts.face(f"sans-{weight}")
    return chosen.key, chosen.units(char) / chosen.units_per_em, found is not None


class _Shaped(NamedTuple):
    """One glyph in font units: its place is the pen's plus the offsets. ``cluster`` is the index of its first character."""

    gid: int
    advance: int
    right: int
    up: int
    cluster: int


def _shape(face_key: str, text: str, backwards: bool) -> tuple[_Shaped, ...]:
    """A text of one font and direction as glyphs from left to right."""
    # A search for a size asks for the same lines again and again; whole long texts would fill the memory.
    shape = _shape_kept if len(text) <= _KEPT_LENGTH else _shape_kept.__wrapped__
    return shape(face_key, text, backwards)


@lru_cache(maxsize=1024)
def _shape_kept(face_key: str, text: str, backwards: bool) -> tuple[_Shaped, ...]:
    import uharfbuzz  # type: ignore[import-untyped]

    face = fonts.face(face_key)
    buffer = uharfbuzz.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if backwards else "ltr"
    if backwards:
        # Brackets and points alone have no script, and so would be taken for left to right and not be turned.
        buffer.script = "Arab"
    buffer.language = _SCRIPTS.get(face.family, "und")
    uharfbuzz.shape(face.font, buffer)
    return tuple(
        _Shaped(info.codepoint, place.x_advance, place.x_offset, place.y_offset, info.cluster)
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
    )


class _Cluster(NamedTuple):
    """Characters that are drawn together. ``face`` is the key of their face at full size where they are shaped, else at the
    size at which the character is set; ``share`` is the advance of one that isn't shaped; odd levels run from right to left."""

    text: str
    face: str
    shaped: bool
    level: int
    share: float
    known: bool


class Paragraph:
    """A text without line feeds, ready to be broken and set at any size. ``weight`` is of ``fonts.WEIGHTS``; ``rightwards`` is
    False where the paragraph as a whole runs from right to left."""

    def __init__(self, text: str, weight: int, rightwards: bool = True) -> None:
        self.text = text
        self.weight = weight
        self.base = 0 if rightwards else 1
        self.clusters = _clusters(text, weight, self.base)
        #: Where each cluster begins in the text, and the text's end.
        self.starts = [0, *accumulate(len(cluster.text) for cluster in self.clusters)]
        self.faces: dict[str, tuple[fonts.Face, float]] = {}
        self._set_sizes()
        self.shares = self._advances()
        #: The advances of all that isn't a space, in thousandths of an em, as on one endless line.
        self.solid = 1000 * sum(
            share for share, one in zip(self.shares, self.clusters, strict=True) if one.text != " "
        )

    def _set_sizes(self) -> None:
        """For each shaped face: how small it is set, and how far it is raised, for all its ink in this text to stay in the
        line box."""
        reaches: dict[str, tuple[float, float]] = {}
        for key, backwards, text in _shaped_groups(self.clusters):
            face = fonts.face(key)
            above, below = reaches.get(key, (0.0, 0.0))
            for glyph in _shape(key, text, backwards):
                up, down = face.reach(glyph.gid)
                if up or down:
                    above = max(above, up + glyph.up / face.units_per_em)
                    below = max(below, down - glyph.up / face.units_per_em)
            reaches[key] = above, below
        for key, (above, below) in reaches.items():
            room = fonts.ASCENT + fonts.DESCENT
            face = fonts.at_share(fonts.face(key), max(_SMALLEST, min(1.0, room / max(above + below, 1e-9))))
            share = face.percent / 100
            rise = max(0.0, below * share - fonts.DESCENT) or min(0.0, fonts.ASCENT - above * share)
            self.faces[key] = face, rise

    def _advances(self) -> list[float]:
        """Each cluster's advance as a share of the em, as if on one endless line."""
        shares = [cluster.share for cluster in self.clusters]
        at = 0
        for shaped, group in groupby(self.clusters, _run_of):
            members = list(group)
            if shaped[1]:
                face = self.faces[shaped[0]][0]
                places = {
                    start: at + number
                    for number, start in enumerate(
                        accumulate((len(each.text) for each in members), initial=0)
                    )
                }
                text = "".join(each.text for each in members)
                owner = at
                owners = [owner := places.get(index, owner) for index in range(len(text))]
                for glyph in _shape(shaped[0], text, shaped[2] % 2 == 1):
                    shares[owners[glyph.cluster]] += glyph.advance / face.units_per_em
            at += len(members)
        return shares

    def broken(
        self, size: int, spacing: int, limit: int, may_break: Callable[[str, str], bool]
    ) -> list[tuple[int, int]]:
        """Greedy lines no wider than ``limit`` dots, as (start, end) in the text; spaces at a break belong to neither line."""
        ends = [0.0, *accumulate(share * size + spacing for share in self.shares)]
        lines: list[tuple[int, int]] = []
        first, count = 0, len(self.clusters)
        while first < count:
            reach = max(first + 1, bisect_right(ends, ends[first] + limit + spacing + 0.01) - 1)
            while reach < count and self.clusters[reach].text == " ":
                reach += 1
            if reach >= count and self._drawn(first, count, size, spacing) <= limit:
                break
            end = self._end(first, min(reach, count - 1), size, spacing, limit, may_break)
            if first + 1 == count:
                break
            lines.append((self.starts[first], self._stop(first, end)))
            first = end
        whole = self.width(self.starts[first], len(self.text), size, spacing) <= limit
        lines.append((self.starts[first], len(self.text) if whole else self._stop(first, count)))
        return lines

    def _end(
        self,
        first: int,
        reach: int,
        size: int,
        spacing: int,
        limit: int,
        may_break: Callable[[str, str], bool],
    ) -> int:
        """The cluster after a line's last. Letters take other forms where a word is cut: what is really drawn decides."""
        for end in range(reach, first, -1):
            before, after = self.text[self.starts[end] - 1], self.text[self.starts[end]]
            if may_break(before, after) and self._drawn(first, end, size, spacing) <= limit:
                return end
        for end in range(reach, first + 1, -1):
            if self._drawn(first, end, size, spacing) <= limit:
                return end
        return first + 1

    def _stop(self, first: int, end: int) -> int:
        start = self.starts[first]
        return start + len(self.text[start : self.starts[end]].rstrip(" "))

    def _drawn(self, first: int, end: int, size: int, spacing: int) -> int:
        return self.width(self.starts[first], self._stop(first, end), size, spacing)

    def width(self, start: int, end: int, size: int, spacing: int) -> int:
        """Width in dots of the line from ``start`` to ``end``."""
        return self.line(start, end, size, spacing)[1]

    def line(self, start: int, end: int, size: int, spacing: int) -> tuple[tuple[Run, ...], int, str]:
        """The line from ``start`` to ``end`` as runs from left to right, its width in dots, and the characters no font has."""
        first, last = bisect_right(self.starts, start) - 1, bisect_right(self.starts, end - 1)
        clusters = self.clusters[first:last] if end > start else []
        return _set(tuple(clusters), self.base, size, spacing, self.faces)


def _run_of(cluster: _Cluster) -> tuple[str, bool, int]:
    return cluster.face, cluster.shaped, cluster.level


def _shaped_groups(clusters: list[_Cluster]) -> list[tuple[str, bool, str]]:
    return [
        (key, level % 2 == 1, "".join(each.text for each in group))
        for (key, shaped, level), group in groupby(clusters, _run_of)
        if shaped
    ]


def _set(
    clusters: tuple[_Cluster, ...],
    base: int,
    size: int,
    spacing: int,
    faces: dict[str, tuple[fonts.Face, float]],
) -> tuple[tuple[Run, ...], int, str]:
    # Rule L1: spaces at the line's end lie where the paragraph ends.
    kept = list(clusters)
    for at in range(len(kept) - 1, -1, -1):
        if kept[at].text != " ":
            break
        kept[at] = kept[at]._replace(level=base)
    groups = [(key, list(group)) for key, group in groupby(kept, _run_of)]
    runs: list[Run] = []
    missing: dict[str, None] = {}
    pen, gap = 0.0, 0
    for (key, shaped, level), members in _in_visual_order(groups):
        text = "".join(each.text for each in members)
        begin = round(pen)
        if not shaped:
            runs.append(Run(key, text, begin))
            for each in members:
                pen += each.share * size + spacing
                if not each.known:
                    missing[each.text] = None
            gap = spacing
            continue
        face, rise = faces[key]
        scale = size / face.units_per_em
        # Joined letters stay joined: no spacing inside a word of Arabic letters.
        gap = 0 if face.family == "arabic" else spacing
        glyphs: list[Glyph] = []
        before = None
        for glyph in _shape(key, text, level % 2 == 1):
            if before is not None and glyph.cluster != before:
                pen += gap
            before = glyph.cluster
            up = glyph.up * scale + rise * size
            above, below = face.reach(glyph.gid)
            if above or below:
                up = min(max(up, (below - fonts.DESCENT) * size), (fonts.ASCENT - above) * size)
            glyphs.append(Glyph(glyph.gid, pen + glyph.right * scale - begin, up))
            pen += glyph.advance * scale
        runs.append(Run(face.key, text, begin, tuple(glyphs)))
        gap = spacing
        pen += gap
    return tuple(runs), max(0, math.ceil(pen - gap - 0.01)), "".join(missing)


def _in_visual_order(
    groups: list[tuple[tuple[str, bool, int], list[_Cluster]]],
) -> list[tuple[tuple[str, bool, int], list[_Cluster]]]:
    """Rule L2: from the highest level down to the lowest odd one, every stretch at that level or above is turned round."""
    highest = max((key[2] for key, _ in groups), default=0)
    for level in range(highest, 0, -1):
        start = 0
        while start < len(groups):
            end = start
            while end < len(groups) and groups[end][0][2] >= level:
                end += 1
            groups[start:end] = groups[start:end][::-1]
            start = end + 1
    return groups


def _clusters(text: str, weight: int, base: int) -> list[_Cluster]:
    levels = _levels(text, base) if base or _RIGHT_TO_LEFT.search(text) else None
    clusters: list[_Cluster] = []
    for start, part in _parted(text):
        level = levels[start] if levels else 0
        family = _family_of(part, weight, clusters[-1].face if clusters else "", level)
        if family is None:
            # No font has all of it: each character by itself, and the missing ones as boxes.
            for char in part:
                key, share, known = plain(char, weight)
                clusters.append(_Cluster(char, key, False, level - level % 2, share, known))
        elif family in _SCRIPTS or level % 2 or len(part) > 1 or part in _FLAG:
            clusters.append(_Cluster(part, f"{family}-{weight}", True, level, 0.0, True))
        else:
            key, share, known = plain(part, weight)
            clusters.append(_Cluster(part, key, False, level, share, known))
    return clusters


def _parted(text: str) -> list[tuple[int, str]]:
    """The text's clusters with their starts: a character with its marks, an emoji sequence, a flag's two letters."""
    parts: list[tuple[int, str]] = []
    at = 0
    while at < len(text):
        end = at + 1
        if text[at] in _FLAG and text[end : end + 1] in _FLAG:
            end += 1
        while end < len(text):
            if text[end] == _JOINER:
                end += 2
            elif text[end] in _SKIN or unicodedata.category(text[end])[0] == "M":
                end += 1
            else:
                break
        end = min(end, len(text))
        parts.append((at, text[at:end]))
        at = end
    return parts


def _family_of(part: str, weight: int, before: str, level: int) -> str | None:
    """The first family that has every character of a cluster; None if none has, or none has the one."""
    visible = part.replace(_JOINER, "")
    if not visible:
        return "sans"
    # Spaces and points inside a script's run stay with it.
    family, _, _ = before.partition("-")
    if family in _SCRIPTS and unicodedata.category(part[0])[0] in "ZP" and _has_all(family, weight, visible):
        return family
    joined = len(visible) < len(part) or part[-1] == _KEYCAP or not _SKIN.isdisjoint(part) or part[0] in _FLAG
    for family in ("emoji", *fonts.FAMILIES) if joined else fonts.FAMILIES:
        if _has_all(family, weight, visible):
            return family
    return None


def _has_all(family: str, weight: int, text: str) -> bool:
    face = fonts.face(f"{family}-{weight}")
    return all(map(face.has, text))


def _levels(text: str, base: int) -> list[int]:
    """The embedding level of each character: odd ones run from right to left."""
    from bidi import algorithm  # type: ignore[import-untyped]

    storage = algorithm.get_empty_storage()
    storage["base_level"], storage["base_dir"] = base, "LR"[base]
    algorithm.get_embedding_levels(text, storage)
    for char in storage["chars"]:
        if char["type"] not in _STANDING:
            # Unassigned characters, joiners and separators; what would steer the direction steers nothing.
            char["type"] = char["orig"] = "ON" if char["type"] else "L"
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage)
    _pair_brackets(storage["chars"], "LR"[base])
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    return [char["level"] for char in storage["chars"]]


def _pair_brackets(chars: list[dict[str, Any]], embedding: str) -> None:
    """Rule N0, which the library lacks: both brackets of a pair run as what they hold and where they stand. Without it, a
    Latin name in brackets after a Uyghur one would have its brackets torn apart."""
    from bidi.mirror import MIRRORED  # type: ignore[import-untyped]

    open_ones: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for at, char in enumerate(chars):
        if char["type"] != "ON":
            continue
        match unicodedata.category(char["ch"]):
            case "Ps":
                open_ones.append((MIRRORED.get(char["ch"], ""), at))
            case "Pe":
                begun = next(
                    (n for n in reversed(range(len(open_ones))) if open_ones[n][0] == char["ch"]), None
                )
                if begun is not None:
                    pairs.append((open_ones[begun][1], at))
                    del open_ones[begun:]
    strong = {"L": "L", "R": "R", "EN": "R", "AN": "R"}
    for start, end in sorted(pairs):
        inside = {strong.get(char["type"]) for char in chars[start + 1 : end]} - {None}
        if not inside:
            continue
        turned = embedding
        if embedding not in inside:
            before = (strong[char["type"]] for char in reversed(chars[:start]) if char["type"] in strong)
            turned = next(before, embedding)
        chars[start]["type"] = chars[end]["type"] = turned
