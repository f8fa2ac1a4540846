"""Opens PDFs and pictures that others made, in a process of its own, and gives out each page in grey, placed on the paper.

Run as a script by ``pictures``, never imported by the daemon: a document made to crash PDFium, to run for ever or to fill the
memory ends this process, which bounds its own memory and processor time, and nothing else. It imports nothing of labelsvc.

Reads one line of JSON (``Request``) and the document from its standard input; writes for each page a line of JSON
(``{"cut": bool}``) and ``width × height`` bytes of grey, 0 = black, then ``{"pages": n}``. What is wrong is said as
``{"error": word}``: encrypted, unreadable, pages, pixels.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

#: Picture formats that are opened. Each is one decoder more that reads foreign bytes.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
#: By so much a page may be larger than the paper and still be printed at its own size, its edge cut off, in mm: sizes are rounded
#: by many programs, and shrinking by a thousandth would spoil all bars.
OVERHANG_MM = 0.5
#: Resolutions that programs write where they know none.
_SCREENS = {72, 96}


class Request(NamedTuple):
    """What is wanted: the paper in dots and dots a millimetre; how pages are laid on it; bounds."""

    width: int
    height: int
    per_mm: float
    fit: str  #: shrink, actual, fill
    rotate: int | str  #: auto, 0, 90, 180, 270
    max_pages: int
    max_pixels: int
    max_memory: int
    max_seconds: int


class Place(NamedTuple):
    """Where a page comes to lie: turned clockwise by ``turn``, then ``width`` × ``height`` dots at (x, y), which may be
    negative; ``cut`` if it leaves the paper by more than rounding."""

    turn: int
    x: int
    y: int
    width: int
    height: int
    cut: bool


class Wrong(Exception):
    """The document can't be used, in one word."""


def place(width: float, height: float, asked: Request) -> Place:
    """Where a page of ``width`` × ``height`` dots (at its own size) comes to lie, in the paper's middle."""
    room = OVERHANG_MM * asked.per_mm

    def fitting(across: float, down: float) -> float:
        return min(asked.width / across, asked.height / down)

    def fits(across: float, down: float) -> bool:
        return across <= asked.width + room and down <= asked.height + room

    if asked.rotate == "auto":
        # Only where it helps: a small page stays as it is, unless it is to fill the paper.
        helps = fitting(height, width) > 1.01 * fitting(width, height)
        turn = 90 if helps and (asked.fit == "fill" or not fits(width, height)) else 0
    else:
        turn = int(asked.rotate)
    if turn % 180:
        width, height = height, width
    scale = 1.0
    if asked.fit == "fill":
        scale = fitting(width, height)
        close = abs(width - asked.width) <= room and height <= asked.height + room
        if close or (abs(height - asked.height) <= room and width <= asked.width + room):
            scale = 1.0
    elif asked.fit == "shrink" and not fits(width, height):
        scale = fitting(width, height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    cut = across > asked.width + room or down > asked.height + room
    return Place(turn, (asked.width - across) // 2, (asked.height - down) // 2, across, down, cut)


def main(source: BinaryIO, out: BinaryIO) -> None:
    """Answer one request."""
    asked = Request(**json.loads(source.readline()))
    _bound(asked)
    content = source.read()
    count = 0
    try:
        pages = _pdf(content, asked) if b"%PDF-" in content[:1024] else _picture(content, asked)
        for cut, grey in pages:
            out.write(json.dumps({"cut": cut}).encode() + b"\n")
            out.write(grey)
            count += 1
        _say(out, pages=count)
    except Wrong as wrong:
        _say(out, error=str(wrong))
    except MemoryError:
        _say(out, error="pixels")


def _say(out: BinaryIO, **what: Any) -> None:
    out.write(json.dumps(what).encode() + b"\n")
    out.flush()


def _bound(asked: Request) -> None:
    """From here on this process has so much memory and time, may write no file and start no other process."""
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, asked.max_memory),
        (resource.RLIMIT_CPU, asked.max_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(kind, (most, most))


def _pdf(content: bytes, asked: Request) -> Iterator[tuple[bool, bytes]]:
    import pypdfium2
    import pypdfium2.raw as pdfium

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        encrypted = getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD
        raise Wrong("encrypted" if encrypted else "unreadable") from error
    if len(document) > asked.max_pages:
        raise Wrong("pages")
    if not len(document):
        raise Wrong("unreadable")
    forms = document.init_forms() if document.get_formtype() != pdfium.FORMTYPE_NONE else None
    for number in range(len(document)):
        try:
            page = document[number]
        except pypdfium2.PdfiumError as error:
            raise Wrong("unreadable") from error
        # What PDFium has no memory for it leaves out without a word, and a label would come out blank.
        for picture in page.get_objects(filter=(pdfium.FPDF_PAGEOBJ_IMAGE,)):
            across, down = picture.get_px_size()
            if across * down > asked.max_pixels:
                raise Wrong("pixels")
        dots = asked.per_mm * 25.4 / 72
        width, height = (side * dots for side in page.get_size())
        if not (0.5 <= width < 1e6 and 0.5 <= height < 1e6):
            raise Wrong("unreadable")
        at = place(width, height, asked)
        bitmap = pypdfium2.PdfBitmap.new_native(asked.width, asked.height, pdfium.FPDFBitmap_Gray)
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, asked.width, asked.height)
        paper = pdfium.FS_RECTF(0, 0, asked.width, asked.height)
        matrix = pdfium.FS_MATRIX(*_matrix(at, *page.get_size()))
        # PDFium itself cuts what leaves the paper, so a huge page costs no more than the paper.
        pdfium.FPDF_RenderPageBitmapWithMatrix(
            bitmap, page, matrix, paper, pdfium.FPDF_ANNOT | pdfium.FPDF_GRAYSCALE
        )
        if forms is not None:
            pdfium.FPDF_FFLDraw(
                forms, bitmap, page, at.x, at.y, at.width, at.height, at.turn // 90, pdfium.FPDF_GRAYSCALE
            )
        rows, stride = bytes(bitmap.buffer), bitmap.stride
        if stride != asked.width:
            rows = b"".join(rows[row * stride : row * stride + asked.width] for row in range(asked.height))
        yield at.cut, rows
        bitmap.close()
        page.close()


#: So much a page is slanted, in dots a point: a tenth of a dot over its height. PDFium rounds a box that lies straight outwards to
#: whole dots, and a bar of two dots and a half would become one of three; one that slants is drawn as it is.
_SLANT = 2e-4


def _matrix(at: Place, width: float, height: float) -> tuple[float, float, float, float, float, float]:
    """What brings a page of so many points, y downwards, to its place: x' = a x + c y + e, y' = b x + d y + f."""
    right, bottom = at.x + at.width, at.y + at.height
    if at.turn in {90, 270}:
        across, down = at.width / height, at.height / width
        if at.turn == 90:
            return _SLANT, down, -across, 0, right, at.y
        return _SLANT, -down, across, 0, at.x, bottom
    across, down = at.width / width, at.height / height
    if at.turn == 180:
        return -across, 0, _SLANT, -down, right, bottom
    return across, 0, _SLANT, down, at.x, at.y


def _picture(content: bytes, asked: Request) -> Iterator[tuple[bool, bytes]]:
    import warnings

    from PIL import Image, ImageOps, ImageSequence

    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # bounded here, and before anything is unpacked
    try:
        opened = Image.open(io.BytesIO(content), formats=FORMATS)
        several = opened.format == "TIFF"
        if several and getattr(opened, "n_frames", 1) > asked.max_pages:
            raise Wrong("pages")
        for frame in ImageSequence.Iterator(opened):
            if frame.width * frame.height > asked.max_pixels:
                raise Wrong("pixels")
            resolution = frame.info.get("dpi")
            yield _laid(ImageOps.exif_transpose(_grey(frame)), resolution, asked)
            if not several:
                break
    except (Wrong, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders raise whatever a broken file makes of them.
        raise Wrong("unreadable") from error


def _grey(frame: Any) -> Any:
    """A picture in grey on white paper."""
    from PIL import Image

    if frame.mode.startswith("I;16"):
        return frame.convert("I").point(lambda level: level / 257).convert("L")
    if frame.mode in {"I", "F"}:
        return frame.convert("L")
    if frame.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in frame.info:
        coloured = frame.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, "white")
        made = Image.alpha_composite(paper, coloured).convert("L")
    else:
        made = frame.convert("L")
    made.info["exif"] = frame.info.get("exif", b"")
    return made


def _laid(grey: Any, resolution: Any, asked: Request) -> tuple[bool, bytes]:
    """A grey picture on the paper: one dot a pixel, unless the picture says how large it is or the paper is too small."""
    from PIL import Image

    across, down = (float(each) for each in resolution) if resolution else (0.0, 0.0)
    known = min(across, down) > 10 and not {round(across), round(down)} <= _SCREENS
    dots = asked.per_mm * 25.4
    at = place(
        grey.width * dots / across if known else grey.width,
        grey.height * dots / down if known else grey.height,
        asked,
    )
    if at.turn:
        # Pillow turns the other way.
        turns = {
            90: Image.Transpose.ROTATE_270,
            180: Image.Transpose.ROTATE_180,
            270: Image.Transpose.ROTATE_90,
        }
        grey = grey.transpose(turns[at.turn])
    left, top = max(0, at.x), max(0, at.y)
    right, bottom = min(asked.width, at.x + at.width), min(asked.height, at.y + at.height)
    if (at.width, at.height) == grey.size:
        seen = grey.crop((left - at.x, top - at.y, right - at.x, bottom - at.y))
    else:
        # Only what is seen is scaled. Shares of area downwards: a bar keeps its width on average.
        sx, sy = grey.width / at.width, grey.height / at.height
        box = ((left - at.x) * sx, (top - at.y) * sy, (right - at.x) * sx, (bottom - at.y) * sy)
        smaller = sx >= 1 and sy >= 1
        way = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
        seen = grey.resize((right - left, bottom - top), way, box=box)
    paper = Image.new("L", (asked.width, asked.height), 255)
    paper.paste(seen, (left, top))
    return at.cut, paper.tobytes()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
