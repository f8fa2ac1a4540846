"""The font faces that labels are set in: which face has a character, how wide it is, how its dots lie, and fonts cut from it.

Hides where the font files lie (packages of Noto fonts as variable TrueType, whose default instance, Thin, is never used),
HarfBuzz, which reads, draws and cuts them, their loading on first need, and the memory of drawn glyphs. Any thread may
call anything.

A face's key is ``family-weight``: ``sans-400`` (Noto Sans SC), ``jp-700``. Characters are looked up in the families'
order, see ``FAMILIES``. Advances are unhinted and without kerning, so that layout, picture and PDF agree.
"""

# HarfBuzz and fontTools carry no py.typed mark: hence the ignored imports.

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labelsvc.errors import NotFound, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import ImageFont

    from labelsvc.labels.page import Glyph

#: The families in the order in which a character is looked for.
FAMILIES = ("sans", "jp", "tc", "kr")
#: Weights in use. Lighter ones lose strokes on a worn thermal head.
WEIGHTS = (400, 500, 700)
#: The line box of a text, as shares of the em: from the top down to the baseline, and from there to the bottom.
#: (The fonts' own 1.16 + 0.288 leave air for scripts that no label has.)
ASCENT = 0.88
DESCENT = 0.2
#: How far italic leans: dots to the right a dot above the baseline (12°). The fonts have no italic of their own.
SLANT = 0.2126

#: Coverage (of 255) from which a dot is black. Below half, so that strokes thinner than a dot survive.
_THRESHOLD = 112
#: What drawn glyphs may hold in memory.
_INK_BYTES = 48 * 2**20

_FILES = {
    "sans": ("notosanssc", "NotoSansSC[wght].ttf"),
    "jp": ("notosansjp", "NotoSansJP[wght].ttf"),
    "tc": ("notosanstc", "NotoSansTC[wght].ttf"),
    "kr": ("notosanskr", "NotoSansKR[wght].ttf"),
}


class Ink(NamedTuple):
    """The black dots of a glyph: ``rows`` (height × width, True is black, read only) is cut to them; its first dot lies
    ``left`` dots right of the pen and ``top`` dots below the baseline (so ``top`` is negative for nearly all)."""

    left: int
    top: int
    rows: NDArray[np.bool_]


class _Family:
    """One font file. HarfBuzz maps it into memory, and its readers are safe in any thread."""

    def __init__(self, name: str) -> None:
        import uharfbuzz  # type: ignore[import-untyped]

        folder, file = _FILES[name]
        path = Path(str(files("justmytype_intl_cjk") / "fonts" / "ofl" / folder / file))
        if not path.is_file():
            raise Unavailable(f"The font file {file} is not installed", code="font.missing")
        self.path = path
        self.face: Any = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path)))

    @property
    def cutting(self) -> Any:
        """The face made ready for cutting: ten times as fast from the second time on."""
        return _prepared(self)


@cache
def _family(name: str) -> _Family:
    return _Family(name)


@cache
def _prepared(family: _Family) -> Any:
    import uharfbuzz

    return uharfbuzz.subset_preprocess(family.face)


class Face:
    """A family at one weight."""

    def __init__(self, family: str, weight: int) -> None:
        import uharfbuzz

        self.key = f"{family}-{weight}"
        self.family = family
        self.weight = weight
        source = _family(family)
        #: The font as HarfBuzz has it, at the weight, in font units. Never changed after this.
        self.font: Any = uharfbuzz.Font(source.face)
        self.font.set_variations({"wght": weight})
        #: Font units in an em.
        self.units_per_em: int = source.face.upem
        self._gids: dict[str, int] = {}
        self._units: dict[str, int] = {}

    @property
    def path(self) -> Path:
        """The variable font's file; at its default instance it is Thin, so set the weight after opening."""
        return _family(self.family).path

    @property
    def postscript_name(self) -> str:
        """The name of fonts cut from this face; unlike for each face, for a PDF writer takes fonts of one name for one font."""
        return f"LabelsvcNotoSans{self.family.capitalize()}-W{self.weight}"

    def gid(self, char: str) -> int:
        """The id of the character's glyph; 0 if the face has none."""
        known = self._gids.get(char)
        if known is None:
            known = self._gids[char] = self.font.get_nominal_glyph(ord(char)) or 0
        return known

    def has(self, char: str) -> bool:
        """True if the face has a glyph for the character."""
        return self.gid(char) != 0

    def units(self, char: str) -> int:
        """Advance width in font units; a character that the face lacks takes one em (the box drawn in its place)."""
        known = self._units.get(char)
        if known is None:
            gid = self.gid(char)
            known = self.font.get_glyph_h_advance(gid) if gid else self.units_per_em
            self._units[char] = known
        return known

    def advance(self, char: str, size: float) -> float:
        """Advance width of a character at ``size`` dots an em, in dots, unrounded."""
        return self.units(char) * size / self.units_per_em

    def width(self, text: str, size: float, letter_spacing: float = 0) -> float:
        """Width of a text in dots: the advances and the spacing between characters (none after the last)."""
        units = sum(map(self.units, text))
        return units * size / self.units_per_em + letter_spacing * max(0, len(text) - 1)

    def outline(self, gid: int) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """The glyph's outline in font units, y upwards, to be filled non-zero: ("moveTo", (x, y)), ("lineTo", (x, y)),
        ("curveTo", (x1, y1, x2, y2, x, y)), ("closePath", ())."""
        return _outline(self, gid)


@lru_cache(maxsize=4096)
def _outline(face: Face, gid: int) -> tuple[tuple[str, tuple[float, ...]], ...]:
    import uharfbuzz

    said: list[tuple[str, tuple[float, ...]]] = []
    pen = uharfbuzz.DrawFuncs()
    pen.set_move_to_func(lambda x, y, _: said.append(("moveTo", (x, y))))
    pen.set_line_to_func(lambda x, y, _: said.append(("lineTo", (x, y))))
    pen.set_cubic_to_func(lambda x1, y1, x2, y2, x, y, _: said.append(("curveTo", (x1, y1, x2, y2, x, y))))
    pen.set_close_path_func(lambda _: said.append(("closePath", ())))
    face.font.draw_glyph(gid, pen)
    return tuple(said)


@cache
def face(key: str) -> Face:
    """The face of a key such as ``sans-400``; NotFound for any other word."""
    family, _, weight = key.partition("-")
    if family not in _FILES or weight not in {str(each) for each in WEIGHTS}:
        raise NotFound("There is no such font face", code="font.unknown", field="face")
    return Face(family, int(weight))


def face_for(char: str, weight: int) -> Face | None:
    """The first face of the chain that has the character; None if no font has it."""
    for family in FAMILIES:
        candidate = face(f"{family}-{weight}")
        if candidate.has(char):
            return candidate
    return None


# ── dots ──


class _Drawn:
    """Ink by what it was drawn from, in at most so many bytes. Two generations: when the young one has half of them, the old
    one goes, and what is asked for again meanwhile has moved over. Reading takes no lock."""

    def __init__(self, limit: int) -> None:
        self.half = limit // 2
        self.young: dict[object, Any] = {}
        self.old: dict[object, Any] = {}
        self.bytes = 0
        self.lock = threading.Lock()

    def keep(self, key: object, ink: Ink | None) -> None:
        with self.lock:
            # About what Python's own objects take: an array's head, two tuples, the key, its place in the table.
            self.bytes += 480 + (0 if ink is None else ink.rows.nbytes)
            if self.bytes > self.half:
                self.old, self.young, self.bytes = self.young, {}, 0
            self.young[key] = ink


_drawn = _Drawn(_INK_BYTES)
_UNKNOWN: Any = object()


def ink(face_key: str, size: int, char: str, italic: bool = False) -> Ink | None:
    """The dots of a character at ``size`` dots an em; None if it has no ink, or the face lacks it."""
    key = (face_key, size, char, italic)
    found: Ink | None = _drawn.young.get(key, _UNKNOWN)
    if found is _UNKNOWN:
        found = _drawn.old.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            chosen = face(face_key)
            gid = chosen.gid(char)
            found = _draw(chosen, size, ((gid, 0.0, 0.0),), italic) if gid else None
        _drawn.keep(key, found)
    return found


def ink_of_glyph(face_key: str, size: int, gid: int, italic: bool = False) -> Ink | None:
    """The dots of one glyph by its id, its pen on a whole dot; None if it has no ink. For a shaped run see ``ink_of_run``."""
    return ink_of_run(face_key, size, ((gid, 0.0, 0.0),), italic)


def ink_of_run(
    face_key: str, size: int, glyphs: Sequence[Glyph | tuple[int, float, float]], italic: bool = False
) -> Ink | None:
    """The dots of a shaped run as one picture, from the run's pen position on the baseline; None if it has no ink.

    Each glyph is drawn where shaping put it, to a fraction of a dot: joined letters meet without gap or step, as they would
    not if each were moved to whole dots.
    """
    key = (face_key, size, glyphs, italic)
    found: Ink | None = _drawn.young.get(key, _UNKNOWN)
    if found is _UNKNOWN:
        found = _drawn.old.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            found = _draw(face(face_key), size, glyphs, italic)
        _drawn.keep(key, found)
    return found


def _draw(
    chosen: Face, size: int, glyphs: Sequence[Glyph | tuple[int, float, float]], italic: bool
) -> Ink | None:
    import numpy as np
    import uharfbuzz

    scale = size / chosen.units_per_em
    drawing = uharfbuzz.RasterDraw()
    for gid, x, y in glyphs:
        lean = SLANT if italic else 0.0
        drawing.transform = (scale, 0.0, scale * lean, scale, x + y * lean, y)
        drawing.draw_glyph(chosen.font, gid)
    image = drawing.render()
    extents = image.extents
    if not extents.width or not extents.height:
        return None
    cover = np.frombuffer(image.buffer, np.uint8, extents.height * extents.stride)
    # HarfBuzz's rows go upwards.
    black = cover.reshape(extents.height, extents.stride)[::-1, : extents.width] >= _THRESHOLD
    down, across = np.flatnonzero(black.any(axis=1)), np.flatnonzero(black.any(axis=0))
    if not down.size:
        return None
    rows = np.ascontiguousarray(black[down[0] : down[-1] + 1, across[0] : across[-1] + 1])
    rows.flags.writeable = False
    return Ink(extents.x_origin + int(across[0]), int(down[0]) - extents.y_origin - extents.height, rows)


_opening = threading.Lock()


@lru_cache(maxsize=96)
def _opened(key: str, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    chosen = face(key)
    font = ImageFont.truetype(str(chosen.path), size, layout_engine=ImageFont.Layout.BASIC)
    font.set_variation_by_axes([chosen.weight])
    return font


def pil(key: str, size: int) -> ImageFont.FreeTypeFont:
    """The face as a Pillow font of ``size`` dots an em, at its weight, without kerning; opened once."""
    with _opening:
        return _opened(key, size)


# ── fonts cut from a face ──


def subset_ttf(key: str, chars: Iterable[str]) -> bytes:
    """A static TrueType font with just these characters at the face's weight: a few kB in a ms.

    The character map holds the true Unicode values (format 12 beyond the BMP); the vertical metrics are the original's.
    Characters that the face lacks are left out. The same characters give the same bytes.
    """
    chosen = face(key)
    wanted = _wanted(chosen, _NOT_NEEDED)
    wanted.unicode_set.update(ord(char) for char in chars if chosen.has(char))
    return _named(wanted.subset(_family(chosen.family).cutting), chosen)


def cut_glyphs(key: str, gids: Iterable[int]) -> tuple[bytes, dict[int, int]]:
    """A nameless TrueType font with just these glyphs at the face's weight, for a PDF, and the id of each glyph in it.

    It has no character map: who embeds it says which glyph is meant. The same glyphs give the same bytes.
    """
    import uharfbuzz

    chosen = face(key)
    wanted = _wanted(chosen, (*_NOT_NEEDED, "OS/2", "cmap", "name", "post"))
    wanted.glyph_set.update(gids)
    plan = uharfbuzz.SubsetPlan(_family(chosen.family).cutting, wanted)
    return bytes(plan.execute().blob.data), dict(plan.old_to_new_glyph_mapping)


def _wanted(chosen: Face, without: Iterable[str]) -> Any:
    """What to cut from a face: nothing yet, at its weight, without some tables."""
    import uharfbuzz

    wanted = uharfbuzz.SubsetInput()
    wanted.pin_axis_location(_family(chosen.family).cutting, "wght", chosen.weight)
    wanted.flags = uharfbuzz.SubsetFlags.NO_HINTING | uharfbuzz.SubsetFlags.NO_LAYOUT_CLOSURE
    wanted.drop_table_tag_set.update(int.from_bytes(tag.encode(), "big") for tag in without)
    return wanted


#: Tables that neither a PDF nor a printer looks at.
_NOT_NEEDED = ("BASE", "DSIG", "GDEF", "GPOS", "GSUB", "STAT", "VORG", "gasp", "meta", "vhea", "vmtx")


def _named(cut: Any, chosen: Face) -> bytes:
    """A cut font under a name of its own: the files' names are reserved, and a PDF writer takes fonts of one name for one."""
    from fontTools.ttLib import newTable  # type: ignore[import-untyped]
    from fontTools.ttLib.sfnt import SFNTWriter  # type: ignore[import-untyped]

    names = newTable("name")
    names.names = []
    said = (
        chosen.postscript_name,
        "Regular",
        chosen.postscript_name,
        chosen.postscript_name,
        "Version 1.000",
    )
    for number, text in zip((1, 2, 3, 4, 5, 6), (*said, chosen.postscript_name), strict=True):
        names.setName(text, number, 3, 1, 0x409)
    tables = {tag: cut.reference_table(tag).data for tag in sorted(cut.table_tags)}
    tables["name"] = names.compile(None)
    out = io.BytesIO()
    writer = SFNTWriter(out, len(tables), "\0\1\0\0")
    for tag, content in tables.items():
        writer[tag] = content
    writer.close()
    return out.getvalue()
