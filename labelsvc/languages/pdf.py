"""PDF of labels: each page exactly its label's size, bars as vectors, text as text with its fonts embedded.

Hides the file's structure (reportlab's lower layer ``pdfdoc``, imported on first use), which fonts are cut and when, and that
nothing waits in memory: a page goes out as soon as it is written; only where each object lies, and each font's characters,
are kept to the end. What a template's labels have in common is one form that all pages show.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, BinaryIO

from labelsvc.errors import Invalid
from labelsvc.labels import (
    DOTS_PER_MM,
    BarMark,
    EllipseMark,
    Fixed,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    RectMark,
    Run,
    TextMark,
    fonts,
)
from labelsvc.languages import raster
from labelsvc.languages.target import Target

name = "pdf"
media_type = "application/pdf"

#: Circle quarter by a Bézier curve: the control points' distance, in radii.
_QUARTER = 0.5523
#: The text's own axes on the page, whose y points down: (across, down) of a step along the line.
_AXES = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}
_FONTS = "BasicFonts"
_DARK = re.compile("1+")


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """The label as a PDF of one page; ``title`` is the document's title. The same page gives the same bytes."""
    out = io.BytesIO()
    write((page,), target, out, title)
    return out.getvalue()


def write(pages: Iterable[Page], target: Target, out: BinaryIO, title: str = "") -> int:
    """The labels as one PDF of as many pages; how many they were. Invalid ``page.none`` if there is none.

    Each page is written to ``out`` before the next is asked for. The same pages give the same bytes.
    """
    document = _Document(out)
    count = 0
    for page in pages:
        document.page(page)
        count += 1
    if not count:
        raise Invalid("There is no page to write", code="page.none")
    document.close(title)
    return count


# ── the file ──


class _Document:
    """A PDF file on its way out: each object is written once it is whole, the table of their places at the end.

    reportlab's own document keeps every page to the end, and twice over while it is saved; its objects are used one by one.
    """

    def __init__(self, out: BinaryIO) -> None:
        from reportlab.pdfbase import pdfdoc

        self._pdfdoc = pdfdoc
        self.numbers: Any = pdfdoc.PDFDocument(invariant=1)
        self._out = out
        self._hash = hashlib.md5(usedforsecurity=False)
        self._at = 0
        self._written: list[str] = []
        # A new document of reportlab's begins with a dictionary of fonts, which is then ours.
        self._references: dict[str, Any] = {_FONTS: pdfdoc.PDFObjectReference(_FONTS)}
        self._kids: list[Any] = []
        self._forms: dict[tuple[Fixed, int, int], str] = {}
        self._pictures: dict[bytes, str] = {}
        self._fonts: dict[str, _Font] = {}
        self._send(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")

    def page(self, page: Page) -> None:
        """One more page, written at once."""
        points = 72 / 25.4 / DOTS_PER_MM[page.dpi]
        content = _Content(self)
        # From here on the page is in dots with y downwards, as the marks are.
        content.say(f"{_number(points)} 0 0 {_number(-points)} 0 {_number(page.height * points)} cm")
        if page.fixed is not None and page.fixed.marks:
            content.show(self._form(page.fixed, page.width, page.height))
            content.marks(page.own)
        else:
            content.marks(page.marks)
        number = len(self._kids)
        self.stream(f"content{number}", {}, content.bytes())
        self.object(
            f"page{number}",
            Type="/Page",
            Parent=self.reference("pages"),
            MediaBox=f"[0 0 {_side(page.width * points)} {_side(page.height * points)}]",
            Contents=self.reference(f"content{number}"),
            Resources=content.resources(),
        )
        self._kids.append(self.reference(f"page{number}"))

    def close(self, title: str) -> None:
        """The fonts, the list of the pages, and where each object lies."""
        pdfdoc = self._pdfdoc
        for font in self._fonts.values():
            font.write(self)
        self.object(_FONTS, **{font.name: self.reference(font.name) for font in self._fonts.values()})
        self.object("pages", Type="/Pages", Count=len(self._kids), Kids=pdfdoc.PDFArray(self._kids))
        self.object(
            "catalog",
            Type="/Catalog",
            Pages=self.reference("pages"),
            # A label is printed at its own size, whatever paper the driver thinks of.
            ViewerPreferences=pdfdoc.PDFDictionary({"PrintScaling": "/None"}),
        )
        info = pdfdoc.PDFInfo()
        info.title = title or "label"
        info.author = info.creator = "labelsvc"
        info.subject = "label"
        self._object("info", info)
        places = pdfdoc.PDFCrossReferenceTable()
        places.addsection(0, self._written)
        start, digest = self._at, self._hash.hexdigest()
        self._send(places.format(self.numbers))
        trailer = pdfdoc.PDFTrailer(
            startxref=start,
            Size=len(self._written) + 1,
            Root=self.reference("catalog"),
            Info=self.reference("info"),
            ID=f"[<{digest}><{digest}>]",
        )
        self._send(trailer.format(self.numbers))

    # ── what marks need ──

    def font(self, face: str) -> _Font:
        """The document's font of a face; ``""`` is the font of unseen text."""
        found = self._fonts.get(face)
        if found is None:
            found = self._fonts[face] = _Font(f"F{len(self._fonts)}", face or _UNSEEN, seen=bool(face))
        return found

    def picture(self, mark: ImageMark) -> str:
        """The name of a picture as a stencil of one unit's side; equal pictures are written once."""
        shape = b"%d %d " % (mark.width, mark.height)
        digest = hashlib.sha256(shape + mark.bits).digest()
        found = self._pictures.get(digest)
        if found is None:
            found = self._pictures[digest] = f"I{len(self._pictures)}"
            self.stream(
                found,
                {
                    "Type": "/XObject",
                    "Subtype": "/Image",
                    "Width": mark.width,
                    "Height": mark.height,
                    "ImageMask": "true",
                    "BitsPerComponent": 1,
                    "Decode": "[1 0]",
                    "Interpolate": "false",
                },
                mark.bits,
            )
        return found

    def _form(self, fixed: Fixed, width: int, height: int) -> str:
        """The name of the form that shows what a template's labels have in common."""
        key = fixed, width, height
        found = self._forms.get(key)
        if found is None:
            found = self._forms[key] = f"T{len(self._forms)}"
            content = _Content(self)
            content.marks(fixed.marks)
            self.stream(
                found,
                {
                    "Type": "/XObject",
                    "Subtype": "/Form",
                    "BBox": f"[0 0 {width} {height}]",
                    "Resources": content.resources(),
                },
                content.bytes(),
            )
        return found

    # ── objects ──

    def reference(self, key: str) -> Any:
        """A reference to the object of a name, written already or still to come."""
        found = self._references.get(key)
        if found is None:
            found = self._references[key] = self.numbers.Reference("", key)
        return found

    def dictionary(self, entries: dict[str, Any]) -> Any:
        """A dictionary; keys without their slash, values as they stand in the file."""
        return self._pdfdoc.PDFDictionary(entries)

    def object(self, key: str, **entries: Any) -> None:
        """Write a dictionary as an object of its own."""
        self._object(key, self.dictionary(entries))

    def stream(self, key: str, entries: dict[str, Any], data: bytes) -> None:
        """Write a compressed stream."""
        packed = zlib.compress(data, 6)
        head = self.dictionary(entries | {"Filter": "/FlateDecode", "Length": len(packed)})
        self._object(key, head.format(self.numbers) + b"\nstream\n" + packed + b"\nendstream")

    def _object(self, key: str, content: Any) -> None:
        self.reference(key)
        self.numbers.idToOffset[key] = self._at
        self._written.append(key)
        self._send(self._pdfdoc.PDFIndirectObject(key, content).format(self.numbers))

    def _send(self, data: bytes) -> None:
        self._out.write(data)
        self._hash.update(data)
        self._at += len(data)


# ── a page's content ──


class _Content:
    """A content stream, operator by operator, and what it refers to."""

    def __init__(self, document: _Document) -> None:
        self._document = document
        self._said: list[str] = []
        self._shown: dict[str, Any] = {}
        self._writes = False

    def say(self, operators: str) -> None:
        """Add operators."""
        self._said.append(operators)

    def show(self, xobject: str) -> None:
        """Show a form or a picture."""
        self._shown[xobject] = self._document.reference(xobject)
        self.say(f"/{xobject} Do")

    def bytes(self) -> bytes:
        """The stream."""
        return "\n".join(self._said).encode("ascii")

    def resources(self) -> Any:
        """What the stream names."""
        entries = {}
        if self._writes:
            entries["Font"] = self._document.reference(_FONTS)
        if self._shown:
            entries["XObject"] = self._document.dictionary(self._shown)
        return self._document.dictionary(entries)

    def marks(self, marks: Iterable[Mark]) -> None:
        """Draw marks in their order."""
        for mark in marks:
            match mark:
                case TextMark():
                    self._text(mark)
                case BarMark():
                    self._bars(mark)
                case MatrixMark():
                    self._matrix(mark)
                case ImageMark():
                    self._image(mark)
                case LineMark():
                    self._line(mark)
                case RectMark():
                    self._rect(mark)
                case EllipseMark():
                    self._ellipse(mark)
                case GroupMark():
                    self._group(mark)

    def _boxes(self, boxes: Iterable[raster.Box]) -> None:
        """Filled boxes as one path: neighbours in one path leave no seam between them."""
        path = [f"{x} {y} {width} {height} re" for x, y, width, height in boxes]
        self._fill(path)

    def _fill(self, path: list[str]) -> None:
        """Fill a path. A lone box is said twice: PDFium rounds a path of one box outwards, to a dot more, and no other."""
        if len(path) == 1:
            path = path * 2
        if path:
            self.say(f"{' '.join(path)} f")

    def _bars(self, mark: BarMark) -> None:
        turned = mark.rotation in {90, 270}
        at, bars = 0, []
        for place, width in enumerate(mark.widths):
            if not place % 2:
                bars.append(f"{at} 0 {width} 1 re")
            at += width
        self._symbol(mark, mark.module, mark.width if turned else mark.height, bars)

    def _matrix(self, mark: MatrixMark) -> None:
        if mark.row_dots:
            self._boxes(raster.module_boxes(mark))
            return
        dark = [
            f"{run.start()} {down} {run.end() - run.start()} 1 re"
            for down, row in enumerate(mark.rows)
            for run in _DARK.finditer(row)
        ]
        self._symbol(mark, mark.module, mark.module, dark)

    def _symbol(self, mark: BarMark | MatrixMark, across: int, down: int, dark: list[str]) -> None:
        """The dark boxes of an upright symbol as one path, in units of ``across`` × ``down`` dots, turned into the mark's box.

        In modules the numbers are short: half the bytes of dots.
        """
        if not dark:
            return
        right, bottom = mark.x + mark.width, mark.y + mark.height
        matrix = {
            0: f"{across} 0 0 {down} {mark.x} {mark.y}",
            90: f"0 {across} {-down} 0 {right} {mark.y}",
            180: f"{-across} 0 0 {-down} {right} {bottom}",
            270: f"0 {-across} {down} 0 {mark.x} {bottom}",
        }[mark.rotation]
        self.say(f"q {matrix} cm")
        self._fill(dark)
        self.say("Q")

    def _image(self, mark: ImageMark) -> None:
        if mark.width > 0 and mark.height > 0:
            # A picture is a unit square with y upwards. A hundredth of a dot inside its box: readers round outwards, and a
            # picture stretched by one dot is no longer the same.
            edges = (mark.width - 0.02, mark.height - 0.02, mark.x + 0.01, mark.y + mark.height - 0.01)
            self.say("q {} 0 0 -{} {} {} cm".format(*map(_number, edges)))
            self.show(self._document.picture(mark))
            self.say("Q")

    def _line(self, mark: LineMark) -> None:
        boxes = raster.line_boxes(mark)
        if boxes is not None:
            self._boxes(boxes)
            return
        for corners in raster.slanted_corners(mark):
            first, *others = (f"{_number(x)} {_number(y)}" for x, y in corners)
            self.say(f"{first} m " + " ".join(f"{point} l" for point in others) + " h f")

    def _rect(self, mark: RectMark) -> None:
        if mark.width <= 0 or mark.height <= 0:
            return
        outer = _rounded(mark.x, mark.y, mark.width, mark.height, mark.radius)
        thick = mark.thickness
        if mark.erase:
            self.say("1 g")
            self._fill([outer])
            self.say("0 g")
        if (mark.fill and not mark.erase) or (thick and 2 * thick >= min(mark.width, mark.height)):
            self._fill([outer])
        elif thick:
            inner = _rounded(
                mark.x + thick,
                mark.y + thick,
                mark.width - 2 * thick,
                mark.height - 2 * thick,
                max(0, mark.radius - thick),
            )
            self.say(f"{outer} {inner} f*")

    def _ellipse(self, mark: EllipseMark) -> None:
        if mark.width <= 0 or mark.height <= 0:
            return
        outer = _oval(mark.x, mark.y, mark.width, mark.height)
        thick = mark.thickness
        if mark.fill or (thick and 2 * thick >= min(mark.width, mark.height)):
            self.say(f"{outer} f")
        elif thick:
            inner = _oval(mark.x + thick, mark.y + thick, mark.width - 2 * thick, mark.height - 2 * thick)
            self.say(f"{outer} {inner} f*")

    def _group(self, mark: GroupMark) -> None:
        self.say("q")
        if mark.angle:
            cos, sin = math.cos(math.radians(mark.angle)), math.sin(math.radians(mark.angle))
            x, y = mark.pivot_x, mark.pivot_y
            turn = (cos, sin, -sin, cos, x - cos * x + sin * y, y - sin * x - cos * y)
            self.say(" ".join(map(_number, turn)) + " cm")
        if mark.clip is not None:
            self.say("{} {} {} {} re W n".format(*mark.clip))
        self.marks(mark.marks)
        self.say("Q")

    # ── text ──

    def _text(self, mark: TextMark) -> None:
        if not mark.text:
            return
        self._writes = True
        if mark.inverse:
            self.say("q 1 g")
        spacing = f"{mark.letter_spacing} Tc " if mark.letter_spacing else ""
        after = " 0 Tc ET" if spacing else " ET"
        for run in mark.runs:
            if run.glyphs:
                self._shaped(mark, run)
                continue
            font = self._document.font(run.face)
            try:
                codes = "".join(map(font.codes.__getitem__, run.text))
            except KeyError:
                self._with_boxes(mark, run)
                continue
            if mark.rotation or mark.italic:
                matrix = self._matrix_at(mark, run.x)
            else:
                matrix = f"1 0 0 -1 {mark.x + run.x} {mark.y + mark.baseline}"
            self.say(f"BT {spacing}/{font.name} {mark.size} Tf {matrix} Tm <{codes}> Tj{after}")
        if mark.text.endswith("-"):
            self._unseen_codes(mark, _GUARD, mark.height if mark.rotation in {90, 270} else mark.width, 100)
        if mark.underline:
            self._upright(mark, raster.underline_box(mark))
        if mark.inverse:
            self.say("Q")

    def _matrix_at(self, mark: TextMark, x: float, rise: float = 0, scale: float = 1) -> str:
        """The matrix that puts the pen at ``x`` of the upright line, ``rise`` above its baseline."""
        across, down = _AXES[mark.rotation]
        left, top = raster.turned_point(mark, x, mark.baseline - rise)
        lean = fonts.SLANT if mark.italic else 0.0
        # The line's x runs along (across, down), its y upwards along (down, -across), leaning towards x.
        axes = (across, down, down + lean * across, lean * down - across)
        return " ".join(map(_number, (*(each * scale for each in axes), left, top)))

    def _with_boxes(self, mark: TextMark, run: Run) -> None:
        """A run in which characters are missing: each is a visible box, with the character itself unseen upon it."""
        face = fonts.face(run.face)
        font = self._document.font(run.face)
        pen = float(run.x)
        for char in run.text:
            step = face.advance(char, mark.size)
            if face.has(char):
                matrix = self._matrix_at(mark, pen)
                self.say(f"BT /{font.name} {mark.size} Tf {matrix} Tm <{font.codes[char]}> Tj ET")
            else:
                (left, top, width, height), stroke = raster.missing_box(mark, pen)
                for side in (
                    (left, top, width, stroke),
                    (left, top + height - stroke, width, stroke),
                    (left, top, stroke, height),
                    (left + width - stroke, top, stroke, height),
                ):
                    self._upright(mark, side)
                self._unseen(mark, char, pen, step)
            pen += step + mark.letter_spacing

    def _shaped(self, mark: TextMark, run: Run) -> None:
        """What shaping made of a text: glyphs where they belong, and the text itself unseen upon them."""
        face = fonts.face(run.face)
        scale = mark.size / face.units_per_em
        for glyph in run.glyphs:
            # As paths: a glyph that stands for no one character is no text, and readers would give out its number.
            path = _outline(run.face, glyph.gid)
            if path:
                self.say(f"q {self._matrix_at(mark, run.x + glyph.x, glyph.y, scale)} cm {path} f Q")
        last = run.glyphs[-1]
        width = last.x + face.font.get_glyph_h_advance(last.gid) * scale
        text = run.text if _rightwards(run.text) else run.text[::-1]
        self._unseen(mark, text, run.x, width)

    def _unseen(self, mark: TextMark, text: str, x: float, width: float) -> None:
        """Text for readers and searches only, set over ``width`` dots."""
        font = self._document.font("")
        codes = "".join(map(font.codes.__getitem__, text))
        self._unseen_codes(mark, codes, x, 100 * width / (mark.size * len(text)))

    def _unseen_codes(self, mark: TextMark, codes: str, x: float, share: float) -> None:
        font = self._document.font("")
        self.say(
            f"BT 3 Tr {_number(share)} Tz /{font.name} {mark.size} Tf {self._matrix_at(mark, x)} Tm <{codes}> Tj"
            " 100 Tz 0 Tr ET"
        )

    def _upright(self, mark: TextMark, box: raster.Box) -> None:
        """A box given in the upright line, filled where it lies on the page."""
        x, y, width, height = box
        x1, y1 = raster.turned_point(mark, x, y)
        x2, y2 = raster.turned_point(mark, x + width, y + height)
        left, top, wide, high = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
        self._fill([f"{_number(left)} {_number(top)} {_number(wide)} {_number(high)} re"])


#: The code of an unseen character that no reader gives out: it has no Unicode value, and PDFium, which then takes the code for
#: one, drops 3. After a hyphen at a line's end it keeps PDFium from taking the hyphen for a word's division and joining the lines.
_GUARD = "0003"
#: The face and the character whose glyph stands for all unseen text.
_UNSEEN, _EM = "sans-400", "口"


def _rightwards(text: str) -> bool:
    """False if the text's first letter belongs to a script that runs to the left."""
    return next((way == "L" for way in map(unicodedata.bidirectional, text) if way in {"L", "R", "AL"}), True)


class _Codes(dict[str, str]):
    """Code of each character of a font in this document, as hex digits; KeyError if the face lacks it."""

    def __init__(self, font: _Font) -> None:
        super().__init__()
        self._font = font

    def __missing__(self, char: str) -> str:
        code = self[char] = self._font.add(char)
        return code


class _Font:
    """A face's glyphs in one document, numbered as they come; the font is cut once the document is whole.

    A composite font of two-byte codes (ISO 32000-1, 9.7): a code is the number of its glyph here; maps of the codes to
    Unicode and to the cut font's glyphs go with it. All codes of a font that is not ``seen`` mean one
    glyph of an em, because readers pass over text without extent.
    """

    def __init__(self, name: str, face: str, seen: bool) -> None:
        self.name = name
        self.codes = _Codes(self)
        self._seen = seen
        self._face = fonts.face(face)
        # Unseen text has codes from 4 on: see _GUARD.
        self._glyphs = [0] if seen else [self._face.gid(_EM)] * 4
        self._texts = [""] * len(self._glyphs)

    def add(self, char: str) -> str:
        """A new code for a character."""
        gid = self._face.gid(char if self._seen else _EM)
        if not gid:
            raise KeyError(char)
        self._glyphs.append(gid)
        self._texts.append(char)
        return f"{len(self._glyphs) - 1:04x}"

    def advance(self, gid: int) -> float:
        """Advance width of a glyph in ems."""
        return float(self._face.font.get_glyph_h_advance(gid)) / self._face.units_per_em

    def write(self, document: _Document) -> None:
        """The font and all that belongs to it."""
        from fontTools.ttLib.sfnt import SFNTReader  # type: ignore[import-untyped]

        face, key = self._face, self.name
        program, places = fonts.cut_glyphs(face.key, self._glyphs)
        # Six letters tell the subsets of one font apart (9.6.4).
        tag = "".join(chr(65 + byte % 26) for byte in hashlib.sha256(program).digest()[:6])
        base = f"/{tag}+{face.postscript_name}"
        per_mille = 1000 / face.units_per_em
        box = struct.unpack_from(">4h", SFNTReader(io.BytesIO(program))["head"], 36)
        extents = face.font.get_font_extents("ltr")
        document.stream(f"{key}program", {"Length1": len(program)}, program)
        document.object(
            f"{key}descriptor",
            Type="/FontDescriptor",
            FontName=base,
            Flags=4,  # its glyphs are beyond the standard Latin set
            FontBBox=f"[{' '.join(_number(edge * per_mille) for edge in box)}]",
            ItalicAngle=0,
            Ascent=_number(extents.ascender * per_mille),
            Descent=_number(extents.descender * per_mille),
            CapHeight=733,
            StemV=80,
            FontFile2=document.reference(f"{key}program"),
        )
        glyphs = struct.pack(f">{len(self._glyphs)}H", *(places[gid] for gid in self._glyphs))
        document.stream(f"{key}glyphs", {}, glyphs)
        widths = " ".join(_number(self.advance(gid) * 1000) for gid in self._glyphs)
        document.object(
            f"{key}descendant",
            Type="/Font",
            Subtype="/CIDFontType2",
            BaseFont=base,
            CIDSystemInfo=document.dictionary(
                {"Registry": "(Adobe)", "Ordering": "(Identity)", "Supplement": 0}
            ),
            FontDescriptor=document.reference(f"{key}descriptor"),
            CIDToGIDMap=document.reference(f"{key}glyphs"),
            W=f"[0 [{widths}]]",
        )
        document.stream(f"{key}unicode", {}, _to_unicode(self._texts).encode("ascii"))
        document.object(
            key,
            Type="/Font",
            Subtype="/Type0",
            BaseFont=base,
            Encoding="/Identity-H",
            DescendantFonts=f"[{document.reference(f'{key}descendant').format(document.numbers).decode()}]",
            ToUnicode=document.reference(f"{key}unicode"),
        )


def _to_unicode(texts: list[str]) -> str:
    """The map of a font's codes to Unicode (ISO 32000-1, 9.10.3): UTF-16BE, a surrogate pair beyond the BMP."""
    known = [(code, text) for code, text in enumerate(texts) if text or f"{code:04x}" == _GUARD]
    lines = [
        "/CIDInit /ProcSet findresource begin",
        "12 dict begin",
        "begincmap",
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        "/CMapName /Adobe-Identity-UCS def",
        "/CMapType 2 def",
        "1 begincodespacerange",
        "<0000> <FFFF>",
        "endcodespacerange",
    ]
    # The format allows 100 entries a block.
    for start in range(0, len(known), 100):
        block = known[start : start + 100]
        lines.append(f"{len(block)} beginbfchar")
        lines += [f"<{code:04x}> <{text.encode('utf-16-be').hex()}>" for code, text in block]
        lines.append("endbfchar")
    lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end"]
    return "\n".join(lines)


# ── shapes ──


@lru_cache(maxsize=1024)
def _outline(face: str, gid: int) -> str:
    """A glyph's outline as a path in whole font units; empty if it has no ink."""
    operators = {"moveTo": "m", "lineTo": "l", "curveTo": "c", "closePath": "h"}
    return " ".join(
        " ".join([*(str(round(number)) for number in points), operators[step]])
        for step, points in fonts.face(face).outline(gid)
    )


def _rounded(x: int, y: int, width: int, height: int, radius: int) -> str:
    """A box as a path, its corners rounded by ``radius`` dots."""
    r = min(radius, width // 2, height // 2)
    if r <= 0:
        return f"{x} {y} {width} {height} re"
    return _corners(x, y, width, height, r, r)


def _oval(x: int, y: int, width: int, height: int) -> str:
    """The ellipse that touches a box from inside, as a path."""
    return _corners(x, y, width, height, width / 2, height / 2)


def _corners(x: float, y: float, width: float, height: float, across: float, down: float) -> str:
    """A box with elliptic corners, as a path."""
    right, bottom = x + width, y + height
    dx, dy = across * (1 - _QUARTER), down * (1 - _QUARTER)

    def said(operator: str, *points: tuple[float, float]) -> str:
        return " ".join(f"{_number(px)} {_number(py)}" for px, py in points) + f" {operator}"

    return " ".join(
        [
            said("m", (x + across, y)),
            said("l", (right - across, y)),
            said("c", (right - dx, y), (right, y + dy), (right, y + down)),
            said("l", (right, bottom - down)),
            said("c", (right, bottom - dy), (right - dx, bottom), (right - across, bottom)),
            said("l", (x + across, bottom)),
            said("c", (x + dx, bottom), (x, bottom - dy), (x, bottom - down)),
            said("l", (x, y + down)),
            said("c", (x, y + dy), (x + dx, y), (x + across, y)),
            "h",
        ]
    )


def _side(points: float) -> str:
    """A side of the page, rounded down to a ten-thousandth of a point: who draws it at the printer's resolution rounds up to
    whole dots, and a dot more would stretch all bars."""
    return _number(math.floor(points * 10000 - 1e-3) / 10000)


def _number(value: float) -> str:
    """A PDF number: no exponent, no trailing zeros."""
    if isinstance(value, int):
        return str(value)
    said = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if said in {"", "-0"} else said
