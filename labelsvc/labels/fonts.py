"""The font faces that labels are set in: which face has a character, how wide it is, and small static fonts cut from it.

Hides where the font files lie (the package ``justmytype-intl-cjk``: Noto Sans SC, JP, TC, KR as variable TrueType,
whose default instance, Thin, is never used), their loading on first need, and locks: any thread may call anything.

A face's key is ``family-weight``: ``sans-400`` (Noto Sans SC), ``jp-700``. Characters are looked up in the families'
order: sans, jp, tc, kr. Advances are unhinted and without kerning, so that layout, picture and PDF agree.
"""

# fontTools is typed in part only and carries no py.typed mark: hence the ignored imports.

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelsvc.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from PIL import ImageFont

#: The families in the order in which a character is looked for.
FAMILIES = ("sans", "jp", "tc", "kr")
#: Weights in use. Lighter ones lose strokes on a worn thermal head.
WEIGHTS = (400, 500, 700)
#: The line box of a text, as shares of the em: from the top down to the baseline, and from there to the bottom.
#: (The fonts' own 1.16 + 0.288 leave air for scripts that no label has.)
ASCENT = 0.88
DESCENT = 0.2

_FILES = {
    "sans": ("notosanssc", "NotoSansSC[wght].ttf"),
    "jp": ("notosansjp", "NotoSansJP[wght].ttf"),
    "tc": ("notosanstc", "NotoSansTC[wght].ttf"),
    "kr": ("notosanskr", "NotoSansKR[wght].ttf"),
}


class _Family:
    """One variable font file. All reading of the file is under its lock: the file position is shared."""

    def __init__(self, name: str) -> None:
        from importlib.resources import files

        from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

        folder, file = _FILES[name]
        path = Path(str(files("justmytype_intl_cjk") / "fonts" / "ofl" / folder / file))
        if not path.is_file():
            raise Unavailable(f"The font file {file} is not installed", code="font.missing")
        self.name = name
        self.path = path
        self.lock = threading.Lock()
        self.font: Any = TTFont(str(path), lazy=True)
        self.cmap: dict[int, str] = self.font.getBestCmap()
        self.units_per_em: int = self.font["head"].unitsPerEm
        self.glyph_sets: dict[int, Any] = {}

    def glyphs(self, weight: int) -> Any:
        """The glyph set at a weight; call with the lock held."""
        if weight not in self.glyph_sets:
            self.glyph_sets[weight] = self.font.getGlyphSet(location={"wght": weight})
        return self.glyph_sets[weight]


_families: dict[str, _Family] = {}
_loading = threading.Lock()


def _family(name: str) -> _Family:
    found = _families.get(name)
    if found is None:
        with _loading:
            found = _families.get(name)
            if found is None:
                found = _families[name] = _Family(name)
    return found


class Face:
    """A family at one weight."""

    def __init__(self, family: str, weight: int) -> None:
        self.key = f"{family}-{weight}"
        self.family = family
        self.weight = weight
        self._units: dict[str, int] = {}
        self._glyphs: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        """The variable font's file; at its default instance it is Thin, so set the weight after opening."""
        return _family(self.family).path

    @property
    def units_per_em(self) -> int:
        """Font units in an em."""
        return _family(self.family).units_per_em

    @property
    def postscript_name(self) -> str:
        """The name of fonts cut from this face; unlike for each face, for a PDF writer takes fonts of one name for one font."""
        return f"LabelsvcNotoSans{self.family.capitalize()}-W{self.weight}"

    def has(self, char: str) -> bool:
        """True if the face has a glyph for the character."""
        return ord(char) in _family(self.family).cmap

    def units(self, char: str) -> int:
        """Advance width in font units; a character that the face lacks takes one em (the box drawn in its place)."""
        known = self._units.get(char)
        if known is None:
            source = _family(self.family)
            name = source.cmap.get(ord(char))
            if name is None:
                known = source.units_per_em
            else:
                with source.lock:
                    known = round(source.glyphs(self.weight)[name].width)
            self._units[char] = known
        return known

    def advance(self, char: str, size: float) -> float:
        """Advance width of a character at ``size`` dots an em, in dots, unrounded."""
        return self.units(char) * size / self.units_per_em

    def width(self, text: str, size: float, letter_spacing: float = 0) -> float:
        """Width of a text in dots: the advances and the spacing between characters (none after the last)."""
        units = sum(map(self.units, text))
        return units * size / self.units_per_em + letter_spacing * max(0, len(text) - 1)

    def outline(self, char: str) -> Any:
        """The character's glyph at this weight as a simple fontTools ``Glyph`` in font units; ``.notdef`` if it has none."""
        found = self._glyphs.get(char)
        if found is None:
            from fontTools.pens.recordingPen import DecomposingRecordingPen  # type: ignore[import-untyped]
            from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]

            source = _family(self.family)
            name = source.cmap.get(ord(char), ".notdef") if char else ".notdef"
            with source.lock:
                glyphs = source.glyphs(self.weight)
                drawing = DecomposingRecordingPen(glyphs)
                glyphs[name].draw(drawing)
            pen = TTGlyphPen(None)
            drawing.replay(pen)
            found = self._glyphs[char] = pen.glyph()
        return found


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


def subset_ttf(key: str, chars: Iterable[str]) -> bytes:
    """A static TrueType font with just these characters at the face's weight: a few kB in a few ms.

    The character map holds the true Unicode values (format 12 beyond the BMP); the vertical metrics are the original's.
    Characters that the face lacks are left out. The same characters give the same bytes.
    """
    from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]

    chosen = face(key)
    source = _family(chosen.family)
    wanted = sorted({char for char in chars if chosen.has(char)})
    names = {char: f"u{ord(char):05X}" for char in wanted}
    glyphs = {".notdef": chosen.outline("")} | {names[char]: chosen.outline(char) for char in wanted}
    advances = {".notdef": source.units_per_em} | {names[char]: chosen.units(char) for char in wanted}
    with source.lock:
        header, typography = source.font["hhea"], source.font["OS/2"]

    builder = FontBuilder(source.units_per_em, isTTF=True)
    # A fixed date: the same label must give the same bytes.
    builder.updateHead(created=0, modified=0)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord(char): name for char, name in names.items()})
    builder.setupGlyf(glyphs)
    table = builder.font["glyf"]
    builder.setupHorizontalMetrics(
        {name: (advance, getattr(table[name], "xMin", 0)) for name, advance in advances.items()}
    )
    builder.setupHorizontalHeader(ascent=header.ascent, descent=header.descent)
    builder.setupNameTable(
        {
            "familyName": chosen.postscript_name,
            "styleName": "Regular",
            "uniqueFontIdentifier": chosen.postscript_name,
            "fullName": chosen.postscript_name,
            "psName": chosen.postscript_name,
            "version": "Version 1.000",
        }
    )
    builder.setupOS2(
        sTypoAscender=typography.sTypoAscender,
        sTypoDescender=typography.sTypoDescender,
        usWinAscent=typography.usWinAscent,
        usWinDescent=typography.usWinDescent,
        sCapHeight=typography.sCapHeight,
        sxHeight=typography.sxHeight,
        usWeightClass=chosen.weight,
    )
    builder.setupPost(keepGlyphNames=False)
    out = io.BytesIO()
    builder.font.recalcTimestamp = False
    builder.save(out)
    return out.getvalue()
