"""The font faces that labels are set in: which face has a character, how wide it is, how its dots lie, and fonts cut from it.

Hides where the font files lie (packages of Noto fonts, and ``faces/`` for what no package has; variable ones have Thin as
their default instance, which is never used), HarfBuzz, which reads, draws and cuts them, their loading on first need, and
the memory of drawn glyphs. Any thread may call anything.

A face's key is ``family-weight``: ``sans-400`` (Noto Sans SC), ``jp-700``; with ``@percent`` it is set that much smaller:
``sans-400@90``. Characters are looked up in the families' order, see ``FAMILIES``. Advances are unhinted and without
kerning, so that layout, picture and PDF agree.

No ink of a text leaves its line box (``ASCENT``, ``DESCENT``), or lines would touch: a character that is too high for it, such
as Ё or Ấ, comes from its face set smaller, see ``face_for``; ``shaping`` does the same for whole runs.
"""

# HarfBuzz and fontTools carry no py.typed mark: hence the ignored imports.

from __future__ import annotations

import io
import re
import tempfile
import threading
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from labelsvc.errors import NotFound, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import ImageFont

    from labelsvc.labels.page import Glyph

#: The families in the order in which a character is looked for: Noto Sans SC, JP, TC, KR, Noto Sans (Latin, Greek, Cyrillic),
#: Noto Sans Arabic, Noto Serif Tibetan, Noto Emoji (black), Noto Sans Symbols 2, STIX Two Math.
FAMILIES = ("sans", "jp", "tc", "kr", "latin", "arabic", "tibetan", "emoji", "symbols", "math")
#: Weights in use. Lighter ones lose strokes on a worn thermal head. Emoji and signs have one look for all.
WEIGHTS = (400, 500, 700)
#: The line box of a text, as shares of the em: from the top down to the baseline, and from there to the bottom. As low as
#: Chinese characters, and as deep as g and j, need it at all weights: the fonts' own 1.16 + 0.288 leave air for others.
ASCENT = 0.865
DESCENT = 0.244
#: The Chinese character sets that a printer's own font may cover.
Coverage = Literal["gb2312", "gbk"]
#: How far italic leans: dots to the right a dot above the baseline (12°). The fonts have no italic of their own.
SLANT = 0.2126

#: Coverage (of 255) from which a dot is black. Below half, so that strokes thinner than a dot survive.
_THRESHOLD = 112
#: What drawn glyphs may hold in memory.
_INK_BYTES = 48 * 2**20

#: What a glyph may reach out of the line box, in ems: at the sizes of labels that is less than the half dot that rounds away.
_SLACK = 0.007
#: The smallest a face is set, in percent, and the steps down to there.
_SMALLEST, _STEP = 40, 5


class _File(NamedTuple):
    package: str
    path: str
    words: str  #: for the names of fonts cut from it
    varies: bool = True
    emboldened: bool = False  #: strokes grow with the weight though the file has but one: thin ones get lost
    share: float = 1.0  #: of the em: emoji are a third wider than Chinese characters


_FILES = {
    "sans": _File("justmytype_intl_cjk", "fonts/ofl/notosanssc/NotoSansSC[wght].ttf", "NotoSansSC"),
    "jp": _File("justmytype_intl_cjk", "fonts/ofl/notosansjp/NotoSansJP[wght].ttf", "NotoSansJP"),
    "tc": _File("justmytype_intl_cjk", "fonts/ofl/notosanstc/NotoSansTC[wght].ttf", "NotoSansTC"),
    "kr": _File("justmytype_intl_cjk", "fonts/ofl/notosanskr/NotoSansKR[wght].ttf", "NotoSansKR"),
    "latin": _File("justmytype_western_core", "fonts/ofl/notosans/NotoSans[wdth,wght].ttf", "NotoSans"),
    "arabic": _File(
        "justmytype_intl_rtl", "fonts/ofl/notosansarabic/NotoSansArabic[wdth,wght].ttf", "NotoSansArabic"
    ),
    "tibetan": _File(
        "labelsvc",
        "labels/faces/NotoSerifTibetan-Regular.ttf",
        "NotoSerifTibetan",
        varies=False,
        emboldened=True,
    ),
    "emoji": _File("labelsvc", "labels/faces/NotoEmoji-Regular.ttf", "NotoEmoji", varies=False, share=0.8),
    "symbols": _File(
        "justmytype_western_core",
        "fonts/ofl/notosanssymbols2/NotoSansSymbols2-Regular.ttf",
        "NotoSansSymbols",
        varies=False,
    ),
    "math": _File(
        "justmytype_western_core",
        "fonts/ofl/stixtwomath/STIXTwoMath-Regular.ttf",
        "StixMath",
        varies=False,
    ),
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

        file = _FILES[name]
        try:
            path = Path(str(files(file.package) / file.path))
        except ModuleNotFoundError:
            path = Path(file.path)
        if not path.is_file():
            raise Unavailable(f"The font file {path.name} is not installed", code="font.missing")
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
    """A family at one weight, set at ``percent`` of its full size."""

    def __init__(self, family: str, weight: int, percent: int = 100) -> None:
        import uharfbuzz

        self.key = f"{family}-{weight}" + (f"@{percent}" if percent != 100 else "")
        self.family = family
        self.weight = weight
        self.percent = percent
        source = _family(family)
        #: The font as HarfBuzz has it, at the weight, in font units. Never changed after this.
        self.font: Any = uharfbuzz.Font(source.face)
        if _FILES[family].varies:
            self.font.set_variations({"wght": weight})
        if _FILES[family].emboldened:
            grown = (weight - 300) / 100 * 0.008
            self.font.synthetic_bold = (grown, grown, True)
        #: Font units in an em of the text: more than in the file's em where the face is set smaller.
        self.units_per_em: int = round(source.face.upem * 100 / (percent * _FILES[family].share))
        self._gids: dict[str, int] = {}
        self._units: dict[str, int] = {}
        self._reaches: dict[int, tuple[float, float]] = {}

    @property
    def path(self) -> Path:
        """The font's file; a variable one is Thin at its default instance, so set the weight after opening."""
        return _family(self.family).path

    @property
    def postscript_name(self) -> str:
        """The name of fonts cut from this face; unlike for each face, for a PDF writer takes fonts of one name for one font."""
        smaller = f"-S{self.percent}" if self.percent != 100 else ""
        return f"Labelsvc{_FILES[self.family].words}-W{self.weight}{smaller}"

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

    def reach(self, gid: int) -> tuple[float, float]:
        """How far the glyph's ink reaches above and below the baseline, in ems; (0, 0) if it has none."""
        known = self._reaches.get(gid)
        if known is None:
            extents, known = self.font.get_glyph_extents(gid), (0.0, 0.0)
            if extents is not None and extents.height:
                above = extents.y_bearing
                known = above / self.units_per_em, -(above + extents.height) / self.units_per_em
            self._reaches[gid] = known
        return known

    def outline(self, gid: int) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """The glyph's outline in font units, y upwards, to be filled non-zero: ("moveTo", (x, y)), ("lineTo", (x, y)),
        ("curveTo", (x1, y1, x2, y2, x, y)), ("closePath", ())."""
        return _outline(self, gid)


@lru_cache(maxsize=1024)
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
    """The face of a key such as ``sans-400`` or ``tibetan-400@75``; NotFound for any other word."""
    family, _, rest = key.partition("-")
    weight, at, percent = rest.partition("@")
    if (
        family not in _FILES
        or weight not in {str(each) for each in WEIGHTS}
        or (at and percent not in {str(each) for each in range(_SMALLEST, 100, _STEP)})
    ):
        raise NotFound("There is no such font face", code="font.unknown", field="face")
    return Face(family, int(weight), int(percent or 100))


def face_for(char: str, weight: int) -> Face | None:
    """The first face of the chain that has the character, set so small that it stays in the line box; None if no font has it."""
    for family in FAMILIES:
        candidate = face(f"{family}-{weight}")
        if candidate.has(char):
            return smaller(candidate, *candidate.reach(candidate.gid(char)))
    return None


def smaller(chosen: Face, above: float, below: float) -> Face:
    """The face set so small that ink reaching so many ems above and below the baseline at full size stays in the line box."""
    share = min(1.0, (ASCENT + _SLACK) / max(above, 1e-9), (DESCENT + _SLACK) / max(below, 1e-9))
    return at_share(chosen, share)


def at_share(chosen: Face, share: float) -> Face:
    """The face set at the largest step not above a share of its full size (or at the smallest step there is)."""
    percent = max(_SMALLEST, int(share * 100 / _STEP + 1e-9) * _STEP)
    return chosen if percent >= 100 else face(f"{chosen.family}-{chosen.weight}@{percent}")


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

    def keep(self, key: object, ink: Ink | None, glyphs: int = 1) -> None:
        with self.lock:
            # About what Python's own objects take: an array's head, two tuples, the key, its place in the table.
            self.bytes += 360 + 120 * glyphs + (0 if ink is None else ink.rows.nbytes)
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
        _drawn.keep(key, found, len(glyphs))
    return found


#: Ideographs up to this size are fitted to the dots: larger ones have edges enough as they are.
FITTED_SIZE = 64
_IDEOGRAPH = re.compile("[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
#: How far an ideograph may be moved, in dots, and narrowed: 4 % are one dot of 24.
_MOVES = (0.0, -0.25, 0.25)
_STRETCHES = (1.0, 0.98, 0.96)


def ink_on_grid(face_key: str, size: int, char: str, italic: bool = False) -> Ink | None:
    """The dots of a character for a print head; None if it has no ink.

    An ideograph is moved by a quarter of a dot and narrowed by a few hundredths where its strokes then lie on whole dots:
    they print sharper, and the picture takes less room on the wire. Tried out, not hinted, for the fonts hold no hints.
    """
    if italic or size > FITTED_SIZE or not _IDEOGRAPH.match(char):
        return ink(face_key, size, char, italic)
    key = (face_key, size, char, "on grid")
    found: Ink | None = _drawn.young.get(key, _UNKNOWN)
    if found is _UNKNOWN:
        found = _drawn.old.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            chosen = face(face_key)
            gid = chosen.gid(char)
            found = _fitted(chosen, size, gid) if gid else None
        _drawn.keep(key, found)
    return found


def _fitted(chosen: Face, size: int, gid: int) -> Ink | None:
    """The drawing with the fewest edges between black and white: level strokes first, then upright ones."""
    best = _draw(chosen, size, ((gid, 0.0, 0.0),), False)
    if best is None:
        return None
    fewest, up, high = _edges(best), 0.0, 1.0
    middle, centre = 0.38 * size, 0.5 * size
    for stretch in _STRETCHES:
        for move in _MOVES:
            y = move + (1 - stretch) * middle
            drawn = _draw(chosen, size, ((gid, 0.0, y),), False, (1.0, stretch))
            if drawn is not None and _edges(drawn) < fewest:
                best, fewest, up, high = drawn, _edges(drawn), y, stretch
    for stretch in _STRETCHES:
        for move in _MOVES:
            x = move + (1 - stretch) * centre
            drawn = _draw(chosen, size, ((gid, x, up),), False, (stretch, high))
            if drawn is not None and _edges(drawn) < fewest:
                best, fewest = drawn, _edges(drawn)
    return best


def _edges(drawn: Ink) -> int:
    """How often black and white meet, along rows and columns."""
    import numpy as np

    rows = drawn.rows
    inside = np.count_nonzero(rows[1:] != rows[:-1]) + np.count_nonzero(rows[:, 1:] != rows[:, :-1])
    return int(inside + rows[0].sum() + rows[-1].sum() + rows[:, 0].sum() + rows[:, -1].sum())


def _draw(
    chosen: Face,
    size: int,
    glyphs: Sequence[Glyph | tuple[int, float, float]],
    italic: bool,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Ink | None:
    import numpy as np
    import uharfbuzz

    scale = size / chosen.units_per_em
    drawing = uharfbuzz.RasterDraw()
    for gid, x, y in glyphs:
        lean = SLANT if italic else 0.0
        drawing.transform = (scale * stretch[0], 0.0, scale * lean, scale * stretch[1], x + y * lean, y)
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
    em = _family(chosen.family).face.upem / chosen.units_per_em * size
    font = ImageFont.truetype(str(chosen.path), em, layout_engine=ImageFont.Layout.BASIC)
    if _FILES[chosen.family].varies:
        # FreeType wants a value for every axis: the other one is the width.
        axes = len(font.get_variation_axes())
        font.set_variation_by_axes([float(chosen.weight), 100.0][:axes])
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
    cut = plan.execute()
    same = chosen.units_per_em == cut.upem
    return (cut.blob.data if same else _built(cut, chosen)), dict(plan.old_to_new_glyph_mapping)


def _wanted(chosen: Face, without: Iterable[str]) -> Any:
    """What to cut from a face: nothing yet, at its weight, without some tables."""
    import uharfbuzz

    wanted = uharfbuzz.SubsetInput()
    if _FILES[chosen.family].varies:
        wanted.pin_all_axes_to_default(_family(chosen.family).cutting)
        wanted.pin_axis_location(_family(chosen.family).cutting, "wght", chosen.weight)
    wanted.flags = uharfbuzz.SubsetFlags.NO_HINTING | uharfbuzz.SubsetFlags.NO_LAYOUT_CLOSURE
    wanted.drop_table_tag_set.update(int.from_bytes(tag.encode(), "big") for tag in without)
    return wanted


#: Tables that neither a PDF nor a printer looks at.
_NOT_NEEDED = ("BASE", "DSIG", "GDEF", "GPOS", "GSUB", "STAT", "VORG", "gasp", "meta", "vhea", "vmtx")


def _named(cut: Any, chosen: Face) -> bytes:
    """A cut font under a name of its own: the files' names are reserved, and a PDF writer takes fonts of one name for one."""
    from fontTools.ttLib import newTable  # type: ignore[import-untyped]

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
    return _built(cut, chosen, name=names.compile(None))


def _built(cut: Any, chosen: Face, **replaced: bytes) -> bytes:
    from fontTools.ttLib.sfnt import SFNTWriter  # type: ignore[import-untyped]

    tables = {tag: cut.reference_table(tag).data for tag in cut.table_tags} | replaced
    # A face set smaller has more units in its em; the outlines are the same.
    head = tables["head"]
    tables["head"] = head[:18] + chosen.units_per_em.to_bytes(2, "big") + head[20:]
    out = io.BytesIO()
    writer = SFNTWriter(out, len(tables), "\0\1\0\0")
    for tag in sorted(tables):
        writer[tag] = tables[tag]
    writer.close()
    return out.getvalue()


def static_ttf(key: str, coverage: Coverage = "gb2312", folder: Path | None = None) -> bytes:
    """A static TrueType font of ASCII and a Chinese character set, for a printer to keep: GB 2312 takes 2.2 MB, GBK 7.3.

    It is cut in less than a second. With a ``folder`` (made if need be) it is kept there, and is the same bytes
    ever after, so that a printer which has it needs no other when a library is new. Raises OSError of the folder.
    """
    kept = folder and folder / f"{key}-{coverage}.ttf"
    if kept and kept.is_file():
        return kept.read_bytes()
    content = subset_ttf(key, [*map(chr, range(0x20, 0x7F)), *_charset(coverage)])
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: a half-written font must never be found.
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as half:
            half.write(content)
        Path(half.name).replace(kept)
    return content


def _charset(coverage: Coverage) -> str:
    """Every character of two bytes in a Chinese character set."""
    pairs = (bytes((high, low)) for high in range(0x81, 0xFF) for low in range(0x40, 0xFF))
    return "".join(pair.decode(coverage, "ignore") for pair in pairs)
