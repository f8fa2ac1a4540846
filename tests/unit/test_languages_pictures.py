"""PDFs and pictures of others: where they lie on the paper, what stays sharp, what is dithered, and what is refused in time."""

from __future__ import annotations

import io
import random
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pypdf
import pytest
from PIL import Image, ImageChops, ImageDraw
from reportlab.pdfgen.canvas import Canvas
from support.pages import bars, page, qr, text
from support.readers import decode, zpl_to_image

from labelsvc import languages
from labelsvc.errors import Invalid
from labelsvc.labels import ImageMark, Media, Page, RectMark, symbols
from labelsvc.languages import Target, encode, pictures, raster
from labelsvc.languages.foreign import Request, place

MEDIA = Media(100, 60, 203)  # 800 × 480 dots
DOT = 72 / 203.2  #: points


def grey(made: Page) -> Image.Image:
    return raster.image(made).convert("L")


def as_file(picture: Image.Image, kind: str = "PNG", **how) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


def pdf_of(draw, size: tuple[float, float] = (800, 480), pages: int = 1) -> bytes:
    """A PDF that reportlab made; sizes in dots of 203 dpi, y upwards."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(size[0] * DOT, size[1] * DOT), invariant=1)
    for number in range(pages):
        canvas.scale(DOT, DOT)
        draw(canvas, number) if pages > 1 else draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def refused(content: bytes, **how) -> str:
    with pytest.raises(Invalid) as error:
        pictures.pages(content, MEDIA, **how)
    assert error.value.errors[0].field == "document"
    return error.value.code


# ── what comes out ──


@pytest.mark.parametrize("dpi", [203, 300])
def test_a_label_of_ours_as_pdf_prints_as_the_same_dots(dpi):
    """A PDF in dots of the printer keeps each of them: bars, modules and frames equal the label's own picture."""
    label = page(
        bars("YT0012345678901", x=31, y=40, module=2),
        qr("YT0012345678901", x=31, y=200, module=4),
        RectMark(3, 3, 700, 400, 3),
        size=(800, 480) if dpi == 203 else (1181, 709),
        dpi=dpi,
    )
    (made,) = pictures.pages(encode(label, Target("pdf", dpi)), Media(100, 60, dpi))
    assert (made.width, made.height, made.dpi) == (label.width, label.height, dpi)
    assert ImageChops.difference(grey(made), grey(label)).getbbox() is None
    (mark,) = made.marks
    assert isinstance(mark, ImageMark) and (mark.x, mark.y) == (3, 3)


def test_a_document_of_several_pages_is_as_many_labels():
    """Each page is a label, in order; a page in another direction is turned; a blank one stays one."""
    out = io.BytesIO()
    labels = [
        page(bars("A1", y=200), size=(800, 480)),
        page(size=(800, 480)),
        page(bars("A3", y=300), size=(480, 800)),
    ]
    languages.write(labels, Target("pdf"), out)
    made = pictures.pages(out.getvalue(), MEDIA)
    assert [(each.width, each.height) for each in made] == [(800, 480)] * 3
    assert [decode(grey(each)) for each in made] == [[("Code 128", "A1")], [], [("Code 128", "A3")]]
    assert made[1].marks == ()


def test_the_zpl_of_a_foreign_document_is_its_picture():
    """Read back by zplkit, the printer's bytes are the page's dots, all of them."""
    chance = random.Random(4)
    noise = Image.frombytes("L", (300, 200), chance.randbytes(60000))
    (made,) = pictures.pages(as_file(noise), MEDIA, dither="diffusion")
    drawn = zpl_to_image(encode(made, Target("zpl")), (made.width, made.height))
    assert ImageChops.difference(drawn, grey(made)).getbbox() is None
    assert 20000 < sum(grey(made).histogram()[:1]) < 40000


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_pictures_of_each_kind_print(kind):
    """One pixel is one dot where the picture doesn't say more, and its bars decode."""
    drawn = grey(page(bars("YT0012345678901", x=30, y=30), size=(600, 200))).convert("RGB")
    (made,) = pictures.pages(as_file(drawn, kind), MEDIA)
    assert decode(grey(made)) == [("Code 128", "YT0012345678901")]
    left, top = (800 - 600) // 2 + 30, (480 - 200) // 2 + 30
    assert abs(made.marks[0].x - left) <= 1 and abs(made.marks[0].y - top) <= 1


def test_what_is_transparent_is_paper_and_a_turned_photograph_stands_upright():
    """A logo without ground prints black on white; a camera's mark of direction is heeded; sixteen bits are read as grey."""
    logo = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    ImageDraw.Draw(logo).rectangle((10, 10, 29, 19), fill=(0, 0, 0, 255))
    (made,) = pictures.pages(as_file(logo), MEDIA)
    assert made.marks[0][:4] == (350 + 10, 210 + 10, 20, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = Image.new("L", (100, 60), 255)
    ImageDraw.Draw(turned).rectangle((0, 0, 9, 29), fill=0)
    (made,) = pictures.pages(as_file(turned, "PNG", exif=exif), MEDIA)
    assert made.marks[0][2:4] == (30, 10)
    deep = np.full((60, 100), 65535, np.uint16)
    deep[5:15, 5:35] = 20000
    (made,) = pictures.pages(as_file(Image.fromarray(deep)), MEDIA)
    assert made.marks[0][2:4] == (30, 10)


def test_a_tiff_of_several_pages_is_several_labels_and_an_animation_one():
    """A scan's pages all print; of a moving picture only what it begins with."""
    frames = [Image.new("1", (200, 100), 1) for _ in range(3)]
    for number, frame in enumerate(frames):
        ImageDraw.Draw(frame).rectangle((10, 10, 19 + 10 * number, 19), fill=0)
    more = {"save_all": True, "append_images": frames[1:]}
    assert [each.marks[0].width for each in pictures.pages(as_file(frames[0], "TIFF", **more), MEDIA)] == [
        10,
        20,
        30,
    ]
    assert len(pictures.pages(as_file(frames[0].convert("P"), "GIF", **more), MEDIA)) == 1


# ── where it lies ──

ASKED = Request(800, 480, 8.0, "shrink", "auto", 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("size", "fit", "rotate", "expected"),
    [
        ((800, 480), "shrink", "auto", (0, 0, 0, 800, 480, False)),
        # Half a millimetre more or less is rounding: no bar is scaled for it.
        ((803, 481.6), "shrink", "auto", (0, -2, -1, 803, 482, False)),
        ((797, 480), "fill", "auto", (0, 1, 0, 797, 480, False)),
        ((400, 240), "shrink", "auto", (0, 200, 120, 400, 240, False)),
        ((400, 240), "fill", "auto", (0, 0, 0, 800, 480, False)),
        ((1600, 960), "shrink", "auto", (0, 0, 0, 800, 480, False)),
        ((1600, 960), "actual", "auto", (0, -400, -240, 1600, 960, True)),
        ((480, 800), "shrink", "auto", (90, 0, 0, 800, 480, False)),
        ((480, 800), "shrink", 0, (0, 256, 0, 288, 480, False)),
        ((480, 800), "shrink", 270, (270, 0, 0, 800, 480, False)),
        ((100, 200), "shrink", "auto", (0, 350, 140, 100, 200, False)),
        ((100, 200), "fill", "auto", (90, 0, 40, 800, 400, False)),
        ((800, 480), "shrink", 180, (180, 0, 0, 800, 480, False)),
        ((0.7, 100000), "fill", 0, (0, 399, 0, 1, 480, False)),
    ],
)  # fmt: skip
def test_where_a_page_comes_to_lie(size, fit, rotate, expected):
    """Its own size if it fits, else smaller; in the middle; turned only where that helps."""
    assert place(*size, ASKED._replace(fit=fit, rotate=rotate)) == expected


def test_a_picture_that_says_its_resolution_has_its_own_size():
    """A scan at 406.4 dpi is as large on paper as it was; a screen's 96 dpi means nothing, and one pixel is one dot."""
    for dpi, expected in ((406.4, (200, 100)), (96, (400, 200)), (None, (400, 200))):
        solid = Image.new("L", (400, 200))
        how = {"dpi": (dpi, dpi)} if dpi else {}
        (made,) = pictures.pages(as_file(solid, **how), MEDIA)
        assert made.marks[0][2:4] == expected


def test_a_page_that_is_cut_says_so():
    """What is larger than the paper and must not shrink is cut, with a warning; a huge page costs no more than the paper."""
    (made,) = pictures.pages(as_file(Image.new("L", (900, 100))), MEDIA, fit="actual")
    assert [warning.code for warning in made.warnings] == ["picture.cut"]
    assert made.marks[0][:4] == (0, 190, 800, 100)
    solid = Image.new("L", (50, 50))
    began = time.monotonic()
    (made,) = pictures.pages(as_file(solid, dpi=(11, 0.5 + 10.6)), MEDIA, fit="actual")
    assert made.marks[0][2:4] == (800, 480) and time.monotonic() - began < 20


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_chosen_turn_is_clockwise(turn):
    """A chosen turn is clockwise, for PDFs and for pictures alike."""
    drawn = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(drawn).rectangle((20, 40, 59, 59), fill=0)
    expected = drawn.rotate(-turn).point(lambda level: 255 - level).getbbox()

    def corner(canvas):
        canvas.rect(20, 240, 40, 20, stroke=0, fill=1)

    for content in (as_file(drawn), pdf_of(corner, (300, 300))):
        (made,) = pictures.pages(content, MEDIA, rotate=turn)
        x, y, width, height = made.marks[0][:4]
        assert (x - 250, y - 90, x - 250 + width, y - 90 + height) == expected


# ── what stays sharp ──


def code_128(module: float, offset: float):
    """Draws a Code 128 of a module of any width, in dots."""
    widths = symbols.code128("YT0012345678901").widths

    def draw(canvas):
        x = 40 + offset
        for place_, width in enumerate(widths):
            if place_ % 2 == 0:
                canvas.rect(x, 40, width * module, 80, stroke=0, fill=1)
            x += width * module

    return draw


def qr_code(module: float, offset: float):
    """Draws a QR code of a module of any width, in dots."""
    rows = symbols.qrcode("YT0012345678901", "M").rows

    def draw(canvas):
        for down, row in enumerate(rows):
            for across, dark in enumerate(row):
                if dark == "1":
                    canvas.rect(
                        40 + offset + across * module,
                        300 - offset - down * module,
                        module,
                        module,
                        stroke=0,
                        fill=1,
                    )

    return draw


def symbols_of(module: float, offsets: tuple[float, ...]) -> bytes:
    """A PDF with a Code 128 and a QR code on each page, their edges ``offsets`` off the dots."""

    def draw(canvas, number):
        code_128(module, offsets[number])(canvas)
        qr_code(module, offsets[number])(canvas)

    return pdf_of(draw, pages=len(offsets))


BOTH = [("Code 128", "YT0012345678901"), ("QR Code", "YT0012345678901")]


@pytest.mark.parametrize("module", [2.0, 2.1, 2.37, 2.5, 2.8, 3.33, 3.7])
def test_symbols_decode_though_their_modules_are_no_whole_dots(module):
    """Bars and modules of a foreign PDF decode at 203 dpi from 2 dots (0.25 mm) a module on, wherever their edges fall between
    dots. (Finer ones need a finer printer: ``test_from_which_module_on_symbols_decode`` shows which.)"""
    for made in pictures.pages(symbols_of(module, (0, 0.25, 0.37, 0.5)), MEDIA):
        assert sorted(decode(grey(made))) == BOTH


@pytest.mark.sweep
def test_from_which_module_on_symbols_decode():
    """How fine modules may be: from 2 dots on in dots wherever PDFium's own grey picture decodes."""
    import pypdfium2

    offsets = tuple(number / 8 for number in range(8))
    for tenths in range(11, 40):
        document = symbols_of(tenths / 10, offsets)
        drawn = pypdfium2.PdfDocument(document)
        soft = [decode(drawn[number].render(scale=1 / DOT, grayscale=True).to_pil()) for number in range(8)]
        hard = [decode(grey(made)) for made in pictures.pages(document, MEDIA)]
        for symbol in BOTH:
            read = [sum(symbol in found for found in way) for way in (soft, hard)]
            print(
                f"{symbol[0]}, {tenths / 10} dots a module: of 8 decode {read[0]} in grey, {read[1]} in dots"
            )
            assert tenths < 20 or read[1] == 8


@pytest.mark.parametrize("factor", [0.73, 1.31, 1.75])
def test_bars_of_a_picture_decode_when_it_is_scaled(factor):
    """A label as a picture that must shrink or grow to its paper keeps its bars."""
    label = grey(
        page(bars("YT0012345678901", x=50, y=30, module=3), qr("A1", x=50, y=130, module=5), size=(600, 360))
    )
    media = Media(600 * factor / 8, 360 * factor / 8, 203)
    (made,) = pictures.pages(as_file(label), media, fit="fill")
    assert sorted(found for _, found in decode(grey(made))) == ["A1", "YT0012345678901"]


def photograph(width: int, height: int) -> np.ndarray:
    """Soft tones with a grain, as a camera gives."""
    y, x = np.mgrid[:height, :width]
    tones = 128 + 70 * np.sin(x / 37) * np.cos(y / 29) + 40 * np.sin((x + y) / 90)
    grain = np.random.default_rng(5).normal(0, 3, tones.shape)
    return np.clip(tones + grain, 0, 255).astype(np.uint8)


def test_letters_and_bars_stay_sharp_beside_a_photograph():
    """On one page the photograph is dithered to its own greys, and bars and letters are exactly what the threshold gives."""
    drawn = np.asarray(
        grey(page(bars("YT0012345678901", x=30, y=30), text("易碎品 请轻放", x=30, y=140), size=(800, 480)))
    ).copy()
    drawn[220:460, 300:620] = photograph(320, 240)
    content = as_file(Image.fromarray(drawn), "JPEG", quality=90)
    made, sharp = (pictures.pages(content, MEDIA, dither=way)[0] for way in ("auto", "threshold"))
    dots, hard = (np.asarray(raster.image(each)) for each in (made, sharp))
    assert decode(grey(made)) == [("Code 128", "YT0012345678901")]
    assert (dots[:200] == hard[:200]).all()
    assert (dots[:200] == (drawn[:200] > 127)).all()

    # The photograph: the same grey on average everywhere, which a threshold isn't.
    def fields(picture):
        return picture[228:452, 308:612].reshape(14, 16, 19, 16).mean(axis=(1, 3))

    wanted = fields(drawn / 255)
    assert np.abs(fields(dots) - wanted).max() < 0.12 < np.abs(fields(hard) - wanted).max()


def test_strokes_thinner_than_a_dot_survive():
    """Hairlines and small letters, which are no dot wide anywhere, are there; an even light ground leaves no speck."""

    def draw(canvas):
        canvas.setFillGray(0.85)
        canvas.rect(0, 0, 800, 480, stroke=0, fill=1)
        canvas.setFillGray(0)
        for number in range(10):
            canvas.rect(100 + 20.1 * number, 100, 0.6, 200, stroke=0, fill=1)

    (made,) = pictures.pages(pdf_of(draw), MEDIA)
    dots = ~np.asarray(raster.image(made))
    columns = np.flatnonzero(dots[250])
    assert len(columns) >= 10 and {round((column - 100) / 20.1) for column in columns} == set(range(10))
    assert not dots[:150].any() and not dots[:, 400:].any()


# ── what is refused ──


def test_documents_that_cannot_be_used_are_refused_by_name():
    """Each with a code of its own: no document, broken, encrypted, too many bytes, pages, pixels."""
    sound = pdf_of(lambda canvas: canvas.rect(9, 9, 9, 9))
    assert refused(b"") == refused(b"hello" * 100) == refused(b"%PDF-1.7 nothing") == "picture.unreadable"
    assert refused(as_file(Image.new("L", (50, 50)))[:60]) == "picture.unreadable"
    # A format that Pillow knows but nobody needs isn't opened.
    assert refused(as_file(Image.new("L", (50, 50)), "PCX")) == "picture.unreadable"
    writer = pypdf.PdfWriter(io.BytesIO(sound))
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    assert refused(out.getvalue()) == "picture.encrypted"
    assert refused(bytes(pictures.MAX_BYTES + 1)) == "picture.size"
    many = pdf_of(lambda canvas, number: canvas.rect(number, 9, 9, 9), pages=pictures.MAX_PAGES + 1)
    assert refused(many) == "picture.pages"


def test_a_picture_that_unpacks_to_gigabytes_is_refused_unopened():
    """A PNG of a few kB that says 60,000 × 60,000 pixels costs neither memory nor time."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    pixels = zlib.compress(bytes(10**6))
    head = (60000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    assert refused(bomb) == "picture.size"
    # The same in a PDF, which PDFium would leave out and print the rest.
    writer = pypdf.PdfWriter()
    leaf = writer.add_blank_page(200, 200)
    picture = pypdf.generic.StreamObject()
    picture._data = pixels
    said = {"/Type": "/XObject", "/Subtype": "/Image", "/ColorSpace": "/DeviceRGB", "/Filter": "/FlateDecode"}
    for key, value in said.items():
        picture[name(key)] = name(value)
    for key, number in (("/Width", 60000), ("/Height", 60000), ("/BitsPerComponent", 8)):
        picture[name(key)] = pypdf.generic.NumberObject(number)
    shows(writer, leaf, writer._add_object(picture), b"200 0 0 200 0 0 cm /X Do")
    out = io.BytesIO()
    writer.write(out)
    assert refused(out.getvalue()) == "picture.size"


name = pypdf.generic.NameObject


def shows(writer: pypdf.PdfWriter, leaf, shown, operators: bytes) -> None:
    """Let a page show one object, called X."""
    content = pypdf.generic.StreamObject()
    content.set_data(operators)
    leaf[name("/Contents")] = writer._add_object(content)
    objects = pypdf.generic.DictionaryObject({name("/X"): shown})
    leaf[name("/Resources")] = pypdf.generic.DictionaryObject({name("/XObject"): objects})


def nested(levels: int, fan: int) -> bytes:
    """A PDF whose page shows a form that shows ten forms that show ten forms ..."""
    writer = pypdf.PdfWriter()
    leaf = writer.add_blank_page(200, 200)
    inner = None
    for level in range(levels):
        form = pypdf.generic.StreamObject()
        say = b"0 0 9 9 re f " if inner is None else b"/X Do " * fan
        form.set_data(say)
        form[name("/Type")], form[name("/Subtype")] = name("/XObject"), name("/Form")
        form[name("/BBox")] = pypdf.generic.ArrayObject(
            map(pypdf.generic.NumberObject, (0, 0, 200, 200 + level))
        )
        if inner is not None:
            shown = pypdf.generic.DictionaryObject({name("/X"): inner})
            form[name("/Resources")] = pypdf.generic.DictionaryObject({name("/XObject"): shown})
        inner = writer._add_object(form)
    shows(writer, leaf, inner, b"/X Do")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_pdf_that_draws_for_ever_is_ended(monkeypatch):
    """A form of ten forms of ten forms ... takes the time that it may have, and not more."""
    monkeypatch.setattr(pictures, "MAX_SECONDS", 1)
    began = time.monotonic()
    assert refused(nested(9, 40)) == "picture.time"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "picture.unreadable"),
        ("import sys; sys.stdin.buffer.read(); print('{}')", "picture.unreadable"),
        ("print('[1]' * 500)", "picture.unreadable"),
        (
            "import sys; sys.stdin.buffer.read(); print('{\"cut\": false}'); print('short')",
            "picture.unreadable",
        ),
        ("import time; time.sleep(60)", "picture.time"),
    ],
)
def test_an_opener_that_crashes_or_lies_is_only_a_refusal(script, code, monkeypatch, tmp_path):
    """Whatever a document makes of the process that opens it, the daemon gets an answer and goes on."""
    opener = tmp_path / "opener.py"
    opener.write_text(script)
    monkeypatch.setattr(pictures, "_OPENER", opener)
    monkeypatch.setattr(pictures, "MAX_SECONDS", 1)
    monkeypatch.setattr(pictures, "_PATIENCE", 2)
    assert refused(pdf_of(lambda canvas: None)) == code


def test_the_opener_has_no_more_memory_than_it_may(monkeypatch):
    """A document that would need more than the bound is refused, and the process that opened it is gone."""
    large = as_file(Image.new("RGB", (6000, 6000), "white"), compress_level=1)
    assert pictures.pages(large, MEDIA)[0].marks == ()
    monkeypatch.setattr(pictures, "MAX_MEMORY", 120 * 2**20)
    assert refused(large) == "picture.size"


def test_the_daemon_itself_opens_no_foreign_document():
    """Importing and using the room loads neither PDFium nor a decoder into this process."""
    import subprocess

    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from labelsvc.labels import Media; from labelsvc.languages import pictures\n"
            "try: pictures.pages(b'GIF89a', Media(50, 30, 203))\n"
            "except Exception as error: print(error.code)\n"
            "print([name for name in ('pypdfium2', 'PIL.GifImagePlugin', 'PIL.PngImagePlugin') if name in sys.modules])",
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.stdout.split("\n")[:2] == ["picture.unreadable", "[]"], said.stderr
