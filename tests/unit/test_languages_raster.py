"""The picture of a page: dots of bars, modules, text and lines; PNG."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw
from support.pages import bars, page, qr, text
from support.readers import decode

from labelsvc.errors import Invalid
from labelsvc.labels import ImageMark, LineMark, RectMark, fonts
from labelsvc.languages import LANGUAGES, Target, encode, media_type, raster


def runs(row) -> list[tuple[bool, int]]:
    """(black, length) of each run of equal dots."""
    return [(black, len(list(group))) for black, group in itertools.groupby(row)]


def black_row(picture: Image.Image, y: int) -> list[bool]:
    return [not picture.getpixel((x, y)) for x in range(picture.width)]


@pytest.mark.parametrize("module", [2, 3, 4])
def test_every_bar_is_its_modules_in_whole_dots(module):
    """Each bar and space of a barcode is exactly its width in modules times the dots of a module, in its first and last row."""
    mark = bars("YT0012345678901", module=module)
    picture = raster.image(page(mark, size=(800, 200)))
    for y in (mark.y, mark.y + mark.height - 1):
        found = runs(black_row(picture, y)[mark.x : mark.x + mark.width])
        assert found == [(place % 2 == 0, width * module) for place, width in enumerate(mark.widths)]
    assert not any(black_row(picture, mark.y - 1)) and not any(black_row(picture, mark.y + mark.height))


@pytest.mark.parametrize("dpi", [203, 300])
def test_symbols_of_the_picture_are_decoded(dpi):
    """Code 128 and QR of the PNG decode to their data at 203 and 300 dpi."""
    label = page(
        bars("YT0012345678901", module=dpi // 100),
        qr("https://example.org/t/YT0012345678901?a=1&b=2", y=160, module=dpi // 70),
        size=(900, 500),
        dpi=dpi,
    )
    picture = Image.open(io.BytesIO(encode(label, Target("png", dpi))))
    assert sorted(decode(picture)) == [
        ("Code 128", "YT0012345678901"),
        ("QR Code", "https://example.org/t/YT0012345678901?a=1&b=2"),
    ]


def test_a_bar_moved_by_one_module_is_not_decoded():
    """The decoder is no yes-man: the same symbol with one bar a module further right is not read as the number."""
    mark = bars("YT0012345678901")
    widths = list(mark.widths)
    bar = next(at for at in range(20, len(widths), 2) if widths[at + 1] > 1)
    widths[bar - 1] += 1
    widths[bar + 1] -= 1
    moved = mark._replace(widths=tuple(widths))
    assert sum(moved.widths) == sum(mark.widths)
    assert ("Code 128", "YT0012345678901") in decode(raster.image(page(mark, size=(800, 200))))
    assert ("Code 128", "YT0012345678901") not in decode(raster.image(page(moved, size=(800, 200))))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_marks_are_the_upright_ones_turned_clockwise(rotation):
    """Bars, QR and text at a rotation are, dot for dot, the upright mark turned clockwise into its box."""
    turn = {
        90: Image.Transpose.ROTATE_270,
        180: Image.Transpose.ROTATE_180,
        270: Image.Transpose.ROTATE_90,
    }[rotation]
    for make in (
        lambda turned: bars("ABC-1234", rotation=turned),
        lambda turned: qr("ABC-1234", rotation=turned),
        lambda turned: text("寄件 R2-B", size=30, rotation=turned),
    ):
        upright, turned = make(0), make(rotation)
        size = (600, 600)
        piece = raster.image(page(upright, size=size)).crop(
            (upright.x, upright.y, upright.x + upright.width, upright.y + upright.height)
        )
        found = raster.image(page(turned, size=size)).crop(
            (turned.x, turned.y, turned.x + turned.width, turned.y + turned.height)
        )
        assert found.tobytes() == piece.transpose(turn).tobytes()


def test_qr_modules_are_whole_dots():
    """Each module of a QR code is a square of exactly the module's dots."""
    mark = qr("YT0012345678901", module=3)
    picture = raster.image(page(mark))
    for down, row in enumerate(mark.rows):
        for across, cell in enumerate(row):
            square = picture.crop(
                (
                    mark.x + across * 3,
                    mark.y + down * 3,
                    mark.x + across * 3 + 3,
                    mark.y + down * 3 + 3,
                )
            )
            assert set(square.get_flattened_data()) == {0 if cell == "1" else 255}


def test_thin_strokes_of_small_text_survive():
    """Small text keeps its ink: at 14 dots the strokes of 三 are all there, and a dense line is no paler than in grey."""
    picture = raster.image(page(text("三", size=14)))
    middle = 40 + 7
    column = [not picture.getpixel((middle, y)) for y in range(picture.height)]
    assert [black for black, _ in runs(column)].count(True) == 3

    words = "浙江省鹰潭市龚家湾"
    black = raster.image(page(text(words, size=14))).histogram()[0]
    grey = Image.new("L", (300, 40))
    ImageDraw.Draw(grey).text((5, 30), words, font=fonts.pil("sans-400", 14), fill=255, anchor="ls")
    covered = sum(level * count for level, count in enumerate(grey.histogram())) / 255
    assert 0.95 * covered < black < 1.3 * covered


def test_a_missing_character_is_a_visible_box():
    """A character that no font has is drawn as an outlined box of its em, never as a blank."""
    mark = text("王\U000f0000", size=40)
    assert mark.missing == "\U000f0000"
    picture = raster.image(page(mark))
    box = picture.crop((mark.x + 40, mark.y, mark.x + 80, mark.y + mark.height))
    found = Image.eval(box.convert("L"), lambda level: 255 - level).getbbox()
    assert found is not None
    width, height = found[2] - found[0], found[3] - found[1]
    assert 32 <= width <= 36 and 32 <= height <= 36
    assert box.getpixel(((found[0] + found[2]) // 2, (found[1] + found[3]) // 2)) == 255


def test_inverse_text_is_white_on_its_black_box():
    """Inverse text takes its strokes out of the black box that stands under it."""
    mark = text("收", x=50, y=50, size=40, weight=700, inverse=True)
    box = RectMark(44, 44, 52, 56, 0, fill=True)
    plain = raster.image(page(mark._replace(inverse=False))).crop((44, 44, 96, 100))
    found = raster.image(page(box, mark)).crop((44, 44, 96, 100))
    assert [not dot for dot in found.get_flattened_data()] == [
        bool(dot) for dot in plain.get_flattened_data()
    ]


def test_lines_frames_and_pictures_blacken_exactly_their_dots():
    """Lines (whole and dashed), a frame and a picture blacken the dots that the page names and no others."""
    label = page(
        LineMark(10, 20, 30, 20, 3),
        LineMark(50, 10, 50, 30, 2),
        LineMark(10, 40, 30, 40, 1, dash=(4, 3)),
        RectMark(60, 10, 20, 12, 2),
        ImageMark(100, 10, 10, 2, bytes([0b10000000, 0b01000000, 0b11111111, 0b11000000])),
        size=(120, 60),
    )
    expected = {(x, y) for x in range(10, 30) for y in (19, 20, 21)}
    expected |= {(x, y) for x in (49, 50) for y in range(10, 30)}
    expected |= {(x, 40) for x in range(10, 30) if (x - 10) % 7 < 4}
    expected |= {(x, y) for x in range(60, 80) for y in range(10, 22) if not (62 <= x < 78 and 12 <= y < 20)}
    expected |= {(100, 10), (109, 10)} | {(x, 11) for x in range(100, 110)}
    picture = raster.image(label)
    assert {(x, y) for x in range(120) for y in range(60) if not picture.getpixel((x, y))} == expected


def test_rows_are_padded_to_whole_bytes_and_one_is_black():
    """draw gives rows of whole bytes, high bit left, 1 for black."""
    stride, rows = raster.draw(page(RectMark(0, 0, 3, 1, 0, fill=True), size=(13, 2)))
    assert (stride, rows) == (2, bytes([0b11100000, 0, 0, 0]))


@pytest.mark.parametrize(("dpi", "per_metre"), [(203, 8000), (300, 11811)])
def test_png_says_its_resolution_and_is_one_bit(dpi, per_metre):
    """The PNG is one bit a dot and carries its resolution, so that it prints at its real size."""
    content = encode(page(text("张三"), dpi=dpi), Target("png", dpi))
    picture = Image.open(io.BytesIO(content))
    assert picture.mode == "1" and picture.size == (608, 400)
    at = content.index(b"pHYs") + 4
    assert int.from_bytes(content[at : at + 4], "big") == per_metre


def test_marks_that_leave_the_page_are_cut_not_refused():
    """A mark that reaches over the edge is drawn as far as the page goes, on each side and at each rotation."""
    for rotation in (0, 90, 180, 270):
        for x, y in ((-30, 5), (5, -30), (90, 90)):
            label = page(text("浙江省杭州市", x=x, y=y, size=40, rotation=rotation), size=(110, 110))
            stride, rows = raster.draw(label)
            assert len(rows) == stride * 110 and any(rows)


def test_importing_the_room_is_light():
    """Importing the languages loads neither reportlab nor Pillow nor fontTools: the command line stays quick."""
    code = (
        "import sys, labelsvc.languages;"
        "print([name for name in ('reportlab', 'PIL', 'fontTools', 'zint') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_language_has_a_name_and_a_media_type():
    """The table of languages is complete, and an unknown language is refused by its field."""
    assert {name: media_type(name) for name in LANGUAGES} == {
        "zpl": "application/vnd.zebra.zpl",
        "pdf": "application/pdf",
        "png": "image/png",
    }
    assert all(language.name == name for name, language in LANGUAGES.items())
    with pytest.raises(Invalid) as refused:
        encode(page(), Target("tspl"))
    assert refused.value.errors[0].field == "language"
