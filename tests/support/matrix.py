"""The matrix: each shipped template in each language, resolution and kind of letters that its paper allows, drawn by others and read.

Hides which renderer draws what, how a picture is spoilt as printing and scanning spoil it, and how well a text was read.
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from support import cpcl_reader, escpos_reader, second_encoder, tspl_reader
from support.paper import Paper
from support.readers import (
    decode,
    missing_js,
    ocr_line,
    pdf_text,
    pdf_to_image,
    pypdf_text,
    resident_font,
    zpl_to_image,
    zpl_to_image_js,
)
from support.recipients import Recipient, label_data, list_data, recipients
from support.sound import flat, symbols

from labelsvc.labels import DOTS_PER_MM, BarMark, MatrixMark, Page, StandardTemplates, TextMark, compose_all
from labelsvc.labels.boxes import Box, quiet_zone
from labelsvc.languages import LANGUAGES, Target, encode

#: Heads of ESC/POS printers, in dots at 203 dpi: 58 mm paper, 80 mm paper, 4 inch label printers.
HEADS = (384, 576, 832)
#: The widest paper, in mm, that goes through a label printer; wider pages are for office printers.
WIDEST_MM = 108
#: The resolutions that each language's printers come with.
RESOLUTIONS = {
    "zpl": (203, 300, 600),
    "tspl": (203, 300, 600),
    "cpcl": (203, 300),
    "escpos": (203,),
    "pdf": (203, 600),
    "png": (203, 300, 600),
}
#: Languages whose printers have letters of their own, with a font that printers in China hold.
FONTS = {"zpl": "E:SIMSUN.TTF", "tspl": "TSS24.BF2", "cpcl": "24", "escpos": ""}
#: Templates for rolls of receipt paper: through ESC/POS printers, PDF and PNG only.
ROLLS = ("slip-",)
#: How zxing-cpp names the types it reads.
READABLE = {
    "code128": "Code 128",
    "gs1_128": "Code 128",
    "qrcode": "QR Code",
    "datamatrix": "Data Matrix",
    "pdf417": "PDF417",
    "code39": "Code 39",
    "code93": "Code 93",
    "ean13": "EAN-13",
    "ean8": "EAN-8",
    "upca": "UPC-A",
    "upce": "UPC-E",
    "itf14": "ITF",
    "interleaved2of5": "ITF",
    "codabar": "Codabar",
    "aztec": "Aztec",
    "maxicode": "MaxiCode",
}
#: The elements whose lines OCR reads, by the names that shipped templates give them.
READ = {"recipient name": "name", "recipient address": "address"}


@dataclass(frozen=True)
class Cell:
    """One place of the matrix."""

    template: str
    language: str
    dpi: int
    letters: str = "dots"

    def __str__(self) -> str:
        return f"{self.template}-{self.language}-{self.dpi}" + ("-font" if self.letters == "font" else "")

    @property
    def target(self) -> Target:
        """What the languages are asked for."""
        target = Target(self.language, self.dpi)
        return (
            replace(target, letters="font", font=FONTS[self.language]) if self.letters == "font" else target
        )


@cache
def cells() -> tuple[Cell, ...]:
    """All cells of the templates and languages that there are."""
    found = []
    for name in StandardTemplates().names():
        template = StandardTemplates().get(name)
        for language in LANGUAGES:
            for dpi in RESOLUTIONS[language]:
                printer = language not in ("pdf", "png")
                if printer and template.width_mm > WIDEST_MM:
                    continue
                if language == "escpos" and template.width_mm * 8 > HEADS[-1]:
                    continue
                if language in ("zpl", "tspl", "cpcl") and name.startswith(ROLLS):
                    continue
                found.append(Cell(name, language, dpi))
                if language in FONTS:
                    found.append(Cell(name, language, dpi, "font"))
    return tuple(found)


@dataclass
class Drawn:
    """A page as one renderer drew it; ``paper`` where it was one of our readers."""

    by: str
    picture: Image.Image
    paper: Paper | None = None


def data_for(template: str, recipient: Recipient, at: int) -> dict[str, Any]:
    """What the template shows of the recipient's order: a list has rows, all others a waybill's data."""
    paths = StandardTemplates().get(template).paths
    return list_data(recipient, at) if "rows" in paths else label_data(recipient, at)


def pages_for(cell: Cell, recipient: Recipient, at: int) -> tuple[Page, ...]:
    """The recipient's label, or list of pages."""
    template = StandardTemplates().get(cell.template)
    return compose_all(template, data_for(cell.template, recipient, at), cell.dpi)


def draw(page: Page, cell: Cell, second: bool = False) -> list[Drawn]:
    """The page in the cell's language, drawn by each renderer for it; ``second`` also by slow ones. ValueError if one refuses."""
    stream = encode(page, cell.target, "WAYBILL")
    return draw_stream(stream, page, cell, second)


def draw_stream(stream: bytes, page: Page, cell: Cell, second: bool = False) -> list[Drawn]:
    """As ``draw``, of bytes that are there already."""
    size = page.width, page.height
    if cell.language == "zpl":
        fonts = b""
        if cell.letters == "font":
            fonts = _simsun(
                frozenset(
                    char for mark in flat(page.marks) if isinstance(mark, TextMark) for char in mark.text
                )
            )
        drawn = [Drawn("zplkit", zpl_to_image(stream, size, cell.dpi, fonts=fonts))]
        if second and cell.letters == "dots" and missing_js() is None:
            picture, _ = zpl_to_image_js(stream, size, cell.dpi)
            assert picture is not None
            drawn.append(Drawn("zpl-renderer-js", picture))
        return drawn
    if cell.language == "pdf":
        # Coarse dots are drawn finer and put together: PDFium's own rounding is a whole pixel.
        fine = 3 if cell.dpi < 300 else 1
        picture = pdf_to_image(stream, fine * DOTS_PER_MM[cell.dpi] * 25.4)
        return [Drawn("pdfium", picture.reduce(fine) if fine > 1 else picture)]
    if cell.language == "png":
        return [Drawn("pillow", Image.open(io.BytesIO(stream)).convert("L"))]
    if cell.language == "escpos":
        papers = escpos_reader.read(stream, next(head for head in HEADS if page.width <= head))
    else:
        papers = {"tspl": tspl_reader.read, "cpcl": cpcl_reader.read}[cell.language](stream, cell.dpi)
    if len(papers) != 1:
        raise ValueError(f"the stream prints {len(papers)} labels")
    return [Drawn("reader", papers[0].picture.convert("L"), papers[0])]


@cache
def _usual() -> str:
    """All that usual labels say: one font for all of them, because making it takes seconds."""
    said = {char for each in recipients() for char in f"{each.name}{each.address}{each.note}"}
    for at in range(12):
        said |= set(str(label_data(recipients()[at], at)) + str(list_data(recipients()[at], at)))
    for path in StandardTemplates().directory.glob("*.xml"):
        said |= set(path.read_text("utf-8"))
    return "".join(sorted(said | {chr(code) for code in range(0x20, 0x7F)}))


def _simsun(characters: frozenset[str]) -> bytes:
    """The font that a printer holds: all characters of the usual labels, and more only where a page needs them."""
    extra = {char for char in characters if char.isprintable()} - set(_usual())
    return resident_font(FONTS["zpl"], _usual() + "".join(sorted(extra)))


# -- symbols


def faults(page: Page, drawn: Drawn, seed: str = "") -> list[str]:
    """What is wrong with the barcodes of a picture: each must read as its data, as it is, blurred, turned and noisy."""
    found = []
    picture = drawn.picture
    if picture.width < page.width or picture.height < page.height:
        return [f"{drawn.by}: {picture.size} dots of {page.width} x {page.height}"]
    marks = symbols(page)
    if not marks:
        return found
    for mark in marks:
        if mark.kind not in READABLE:
            found.append(f"{mark.source}: nothing reads {mark.kind}")
            continue
        if isinstance(mark, BarMark):
            found += [f"{drawn.by}: {mark.source} {fault}" for fault in bar_faults(picture, mark)]
        clean = cut(picture, quiet_zone(mark))
        for name in SPOILT:
            read = scan(clean, mark, name, f"{seed}{mark.source}{mark.data}")
            if read != [(READABLE[mark.kind], mark.data)]:
                found.append(f"{drawn.by}: {mark.source} {name} reads as {read}, not {mark.data}")
    if drawn.paper is not None:
        for native in drawn.paper.symbols():
            if not any(
                (m.x, m.y, m.width, m.height) == (native.x, native.y, native.width, native.height)
                and m.data == native.text
                for m in marks
            ):
                found.append(f"the printer draws {native.text} at {native.box}, where the page has none")
    return found


def scan(clean: Image.Image, mark: BarMark | MatrixMark, spoilt: str, seed: str) -> list[tuple[str, str]]:
    """What zxing-cpp reads in a symbol's picture, spoilt: the first reading counts, right or wrong.

    Its reading depends on the pixels of a module more than on the symbol (of 700 clean, blurred, turned and noisy ones it
    read all bars at 6 pixels and all cells at 12, but not at 3 or 4), so the picture is brought to that; the other views are a
    scanner's next frames, nearer and farther: of thousands, single blurred QR codes were read at 15 and 16 pixels only.
    """
    for pixels in (6, 8, 10, 7, 12) if isinstance(mark, BarMark) else (12, 10, 14, 16, 15, 18, 9):
        zoom = pixels / mark.module
        size = max(1, round(clean.width * zoom)), max(1, round(clean.height * zoom))
        how = Image.Resampling.BICUBIC if zoom >= 1 else Image.Resampling.BOX
        read = decode(spoil(clean.resize(size, how), pixels, spoilt, seed))
        if read:
            return read
    return []


def bar_faults(picture: Image.Image, mark: BarMark) -> list[str]:
    """Where bars and spaces aren't as wide as the second encoder says, module for module, at three heights.

    zxing-cpp is kind: it reads Code 128 though a bar be moved by a module. Hand scanners that measure from edge to edge aren't.
    """
    wanted = second_encoder.code128(mark.plan) if mark.plan else mark.widths
    piece = picture.crop((mark.x, mark.y, mark.x + mark.width, mark.y + mark.height))
    dark = np.asarray(piece) < 128
    if mark.rotation in (90, 270):
        dark = dark.T
    if mark.rotation in (180, 270):
        dark = dark[:, ::-1]
    for share in (0.15, 0.5, 0.85):
        line = dark[int(share * (dark.shape[0] - 1))]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], line, [False])).astype(np.int8)))
        widths = np.diff(edges) / mark.module
        if len(widths) != len(wanted) or np.abs(widths - np.array(wanted)).max() > 0.3:
            return ["bars aren't the second encoder's"]
    return []


def cut(picture: Image.Image, zone: Box) -> Image.Image:
    """A symbol with its quiet zone, with as much white round it as turning needs."""
    piece = picture.crop((zone.left, zone.top, zone.right, zone.bottom))
    edge = 12
    framed = Image.new("L", (piece.width + 2 * edge, piece.height + 2 * edge), 255)
    framed.paste(piece, (edge, edge))
    return framed


#: What printing and scanning do to a symbol; each alone.
SPOILT = ("clean", "blurred", "turned", "noisy")


def spoil(clean: Image.Image, module: float, how: str, seed: str) -> Image.Image:
    """The picture as it is, or blurred by half a module, or turned by 3 degrees, or with noise of 5 % of full scale."""
    if how == "blurred":
        return clean.filter(ImageFilter.GaussianBlur(0.5 * module))
    if how == "turned":
        return clean.rotate(3, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    if how == "noisy":
        chance = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
        noise = chance.standard_normal((clean.height, clean.width), np.float32) * np.float32(0.05 * 255)
        return Image.fromarray(np.clip(np.asarray(clean, np.float32) + noise, 0, 255).astype(np.uint8))
    return clean


def with_a_bar_moved(picture: Image.Image, mark: BarMark, bar: int) -> Image.Image:
    """The picture with one bar (``bar`` counts bars and spaces; even) moved by a module to the right over its full height,
    a grey edge dot of a PDF included."""
    moved = picture.copy()
    across = mark.rotation in (0, 180)
    start = sum(mark.widths[:bar]) * mark.module
    length = mark.widths[bar] * mark.module
    if mark.rotation in (180, 270):  # the symbol runs from the far end
        start = sum(mark.widths) * mark.module - start - length

    def box(at: int, long: int) -> tuple[int, int, int, int]:
        if across:
            return mark.x + at, mark.y - 1, mark.x + at + long, mark.y + mark.height + 1
        return mark.x - 1, mark.y + at, mark.x + mark.width + 1, mark.y + at + long

    moved.paste(255, box(start, mark.module))
    moved.paste(0, box(start + mark.module, length))
    return moved


# -- texts


def lines_of(page: Page, element: str) -> list[TextMark]:
    """The lines that the template's element ("recipient name") printed, in order."""
    return [
        mark
        for mark in flat(page.marks)
        if isinstance(mark, TextMark) and mark.source.startswith(f"{element} (")
    ]


def read_shares(page: Page, drawn: Drawn, recipient: Recipient) -> list[float]:
    """How well OCR reads name and address from the picture, each from 0 to 1; none of an element that the template hasn't."""
    shares = []
    for element, field in READ.items():
        lines = lines_of(page, element)
        if not lines:
            continue
        meant = getattr(recipient, field)
        read = "".join(
            ocr_line(drawn.picture, (m.x - 4, m.y - 2, m.x + m.width + 4, m.y + m.height + 2)) for m in lines
        )
        shares.append(likeness(read, meant))
    return shares


def likeness(read: str, meant: str) -> float:
    """1 - edit distance / length, blanks out, full-width forms as their half-width twins, which no eye tells apart."""
    read, meant = (unicodedata.normalize("NFKC", text).replace(" ", "") for text in (read, meant))
    row = list(range(len(meant) + 1))
    for at, char in enumerate(read, 1):
        before, row[0] = row[0], at
        for to, other in enumerate(meant, 1):
            before, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, before + (char != other))
    return max(0.0, 1 - row[-1] / len(meant))


def text_faults(stream: bytes, page: Page) -> list[str]:
    """What is wrong with the text that PDFium and pypdf take out of a PDF: it must be the page's, character for character,
    also where no font has one and a box is drawn."""
    lines = ["".join(mark.text.split()) for mark in flat(page.marks) if isinstance(mark, TextMark)]
    wanted = Counter("".join(lines))
    found = []
    for by, text in (("pdfium", pdf_text(stream)), ("pypdf", pypdf_text(stream))):
        got = "".join(text.split())
        if Counter(got) != wanted:
            more = dict(Counter(got) - wanted)
            found.append(f"{by}: missing {dict(wanted - Counter(got))}, too many {more}")
        found += [f"{by}: the line {line!r} is torn" for line in lines if line not in got]
    return found


def native_text_faults(page: Page, paper: Paper) -> list[str]:
    """What the printer's own fonts wrote that no line of the page says."""
    said = Counter(
        char
        for mark in flat(page.marks)
        if isinstance(mark, TextMark)
        for char in unicodedata.normalize("NFKC", mark.text)
    )
    wrote = Counter(char for text in paper.texts() for char in unicodedata.normalize("NFKC", text))
    too_many = {char: count for char, count in (wrote - said).items() if not char.isspace()}
    return [f"the printer writes {too_many}, which no line says"] if too_many else []


def dot_faults(page: Page, drawn: Drawn) -> list[str]:
    """Where a printer that gets dots prints others than the preview shows, a few lone ones apart.

    Those keep a picture from spelling a command that printers obey anywhere (ESC/POS DLE EOT, TSPL ESC !, CPCL ESC p).
    """
    preview = Image.open(io.BytesIO(encode(page, Target("png", page.dpi)))).convert("L")
    first, second = (np.asarray(picture) < 128 for picture in (drawn.picture, preview))
    off = first[: page.height, : page.width] != second
    beside = int(first.sum()) - int(first[: page.height, : page.width].sum())
    if off.sum() > 40 or beside:
        return [f"{int(off.sum())} dots differ from the preview, {beside} lie beside the label"]
    return []
