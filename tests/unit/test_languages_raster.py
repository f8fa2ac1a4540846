"""The picture of a page: dots of bars, modules, text and lines; PNG."""

from __future__ import annotations

import io
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from support.pages import bars, page, qr, text
from support.readers import decode

from labelsvc.errors import Invalid
from labelsvc.labels import (
    EllipseMark,
    Fixed,
    Glyph,
    GroupMark,
    ImageMark,
    LineMark,
    Page,
    RectMark,
    Run,
    fonts,
)
from labelsvc.languages import LANGUAGES, Target, encode, media_type, raster


def runs(row) -> list[tuple[bool, int]]:
    """(black, length) of each run of equal dots."""
    return [(black, len(list(group))) for black, group in itertools.groupby(row)]


def black_row(picture: Image.Image, y: int) -> list[bool]:
    return [not picture.getpixel((x, y)) for x in range(picture.width)]


def dots(*marks, size=(200, 160)) -> np.ndarray:
    """The page of the marks, True for black."""
    stride, rows = raster.draw(page(*marks, size=size))
    found = np.frombuffer(rows, np.uint8).reshape(size[1], stride)
    return np.unpackbits(found, axis=1)[:, : size[0]] == 1


def put_together(mark, size) -> np.ndarray:
    """The glyphs of an upright text, one after the other, by the plainest means."""
    room = 400
    paper = np.zeros((size[1] + 2 * room, size[0] + 2 * room), bool)
    for run in mark.runs:
        pen = mark.x + run.x + 0.5
        for char in run.text:
            ink = fonts.ink_on_grid(run.face, mark.size, char, mark.italic)
            if ink is not None:
                high, wide = ink.rows.shape
                top, left = mark.y + mark.baseline + ink.top + room, math.floor(pen) + ink.left + room
                if top >= 0 and left >= 0:
                    part = paper[top : top + high, left : left + wide]
                    part |= ink.rows[: part.shape[0], : part.shape[1]]
            pen += fonts.face(run.face).advance(char, mark.size) + mark.letter_spacing
    return paper[room : room + size[1], room : room + size[0]]


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


@given(
    words=st.text("收寄张三丰龘ABgjyil1.,—※ 𠮷", min_size=1, max_size=12),
    x=st.integers(-90, 220),
    y=st.integers(-50, 170),
    size=st.integers(8, 70),
    spacing=st.sampled_from([0, 0, 3, -2, -9]),
    italic=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_text_is_its_glyphs_at_their_pens(words, x, y, size, spacing, italic):
    """Text is, dot for dot, its glyphs put together: at any place within a byte, over the edges, where letters overlap."""
    mark = text(words, x=x, y=y, size=size, letter_spacing=spacing)._replace(italic=italic)
    assert (dots(mark) == put_together(mark, (200, 160))).all()


@pytest.mark.parametrize("size", [20, 24, 32, 40])
def test_ideographs_lie_on_whole_dots_and_where_they_were(size):
    """Fitted to the dots, ideographs have fewer edges, as much ink within a tenth, and lie within a dot or two of the plain
    drawing; other characters and larger ones are left as they are."""
    edges, ink = [0, 0], [0, 0]
    for char in "浙江省杭州市余杭区欧阳晓晴鹰潭龚家湾丰镇街道":
        drawings = [draw("sans-500", size, char) for draw in (fonts.ink, fonts.ink_on_grid)]
        for which, drawn in enumerate(drawings):
            framed = np.pad(drawn.rows, 1).astype(int)
            edges[which] += np.abs(np.diff(framed, axis=0)).sum() + np.abs(np.diff(framed, axis=1)).sum()
            ink[which] += drawn.rows.sum()
        plain, fitted = ((each.left, each.top, *each.rows.shape) for each in drawings)
        assert all(abs(one - other) <= 2 + size // 20 for one, other in zip(plain, fitted, strict=True))
    assert edges[1] < 0.97 * edges[0] and 0.9 < ink[1] / ink[0] < 1.05
    assert fonts.ink_on_grid("sans-500", size, "A") is fonts.ink("sans-500", size, "A")
    assert fonts.ink_on_grid("sans-500", 80, "浙") is fonts.ink("sans-500", 80, "浙")


def test_lines_that_overlap_are_both_there():
    """Two lines of text over each other, and one twice, leave the dots of both: none is lost, none more comes up."""
    one, other = text("欧阳晓晴", x=20, y=20, size=40), text("龘靐齉爨", x=31, y=27, size=40)
    assert (dots(one, other, one) == dots(one) | dots(other)).all()


def test_what_is_fixed_is_drawn_once_and_the_page_is_the_same():
    """A page with a fixed part is the page without one, and a label's own marks never get into the kept drawing."""
    still = (RectMark(5, 5, 190, 150, 3), text("收", x=20, y=20, size=30))
    fixed = Fixed(still)
    for name in ("张三", "欧阳晓晴"):
        own = text(name, x=60, y=20, size=30)
        label = Page(200, 160, 203, (*still, own), (), fixed)
        assert raster.draw(label) == raster.draw(page(*still, own, size=(200, 160)))
    assert len(fixed.kept) == 1


def test_a_shaped_run_is_drawn_as_shaping_placed_it():
    """Glyphs of a shaped run are drawn by their ids at their pens, not character by character."""
    face = fonts.face("sans-400")
    gids = [face.gid(char) for char in "ab"]
    run = Run("sans-400", "ab", 4, (Glyph(gids[1], 0.0, 0.0), Glyph(gids[0], 60.0, 5.0)))
    mark = text("ab", x=20, y=40, size=40)._replace(runs=(run,))
    ink = fonts.ink_of_run("sans-400", 40, run.glyphs)
    expected = np.zeros((160, 200), bool)
    top, left = 40 + mark.baseline + ink.top, 24 + ink.left
    expected[top : top + ink.rows.shape[0], left : left + ink.rows.shape[1]] = ink.rows
    assert (dots(mark) == expected).all() and expected.any()


def test_an_erasing_box_covers_what_was_drawn_before_it_only():
    """A white box takes away what lies under it, keeps its border, and what comes later is drawn on it."""
    before, after = RectMark(0, 0, 200, 160, 0, fill=True), RectMark(60, 60, 10, 10, 0, fill=True)
    for radius in (0, 9):
        found = dots(before, RectMark(50, 50, 60, 40, 2, erase=True, radius=radius), after)
        assert found[49, 80] and found[50, 80] and found[51, 80] and not found[52, 80]
        assert not found[70, 80] and found[65, 65] and found[89, 80] and found[90, 80]
    assert not dots(before, RectMark(50, 50, 60, 40, 0, erase=True))[50:90, 50:110].any()


def test_an_ellipse_touches_its_box_from_inside():
    """A ring reaches each side of its box and no further, is hollow, and a disc has the area of one."""
    ring = dots(EllipseMark(30, 20, 101, 61, 3))
    down, across = np.nonzero(ring)
    assert (across.min(), across.max(), down.min(), down.max()) == (30, 130, 20, 80)
    assert not ring[50, 40:120].any() and ring[50, 30:33].all() and not ring[50, 33]
    disc = dots(EllipseMark(30, 20, 101, 61, 0, fill=True))
    assert abs(disc.sum() - math.pi * 50.5 * 30.5) < 0.02 * disc.sum() and (disc | ring == disc).all()


def test_rows_of_a_stacked_symbol_have_heights_of_their_own():
    """A symbol with row heights takes them, in the picture and in the boxes for PDF, at each rotation."""
    mark = qr("A")._replace(rows=("101", "010"), row_dots=(12, 3), module=2, width=6, height=15)
    found = dots(mark._replace(x=10, y=10))
    assert found[10:22, 10:12].all() and not found[10:22, 12:14].any() and found[22:25, 12:14].all()
    for turn in (0, 90, 180, 270):
        wide, high = (15, 6) if turn in {90, 270} else (6, 15)
        turned = mark._replace(rotation=turn, width=wide, height=high, x=10, y=10)
        boxes = np.zeros((160, 200), bool)
        for x, y, width, height in raster.module_boxes(turned):
            boxes[y : y + height, x : x + width] = True
        assert (boxes == dots(turned)).all() and boxes.sum() == found.sum()


# ── groups ──


def test_a_group_is_cut_to_its_clip():
    """Nothing of a group leaves its clip; inside it is what the marks are by themselves, white boxes included."""
    words = text("浙江省杭州市余杭区", x=20, y=40, size=40)
    clip = (31, 47, 77, 21)
    cut = dots(GroupMark((words,), clip))
    inside = np.zeros((160, 200), bool)
    inside[47:68, 31:108] = True
    assert (cut == dots(words) & inside).all() and cut.any()
    ground = RectMark(0, 0, 200, 160, 0, fill=True)
    whitened = dots(ground, GroupMark((RectMark(0, 0, 200, 160, 0, erase=True), words), clip))
    assert (whitened == ~inside | cut).all()
    assert (dots(GroupMark((words,), None)) == dots(words)).all()
    assert not dots(GroupMark((words,), (500, 500, 20, 20))).any()


@pytest.mark.parametrize("turn", [90, 180, 270, -90])
def test_a_group_turned_by_quarters_is_the_picture_turned(turn):
    """Quarter turns about the middle of a square give the upright picture turned clockwise, but for single dots."""
    marks = (RectMark(40, 40, 60, 30, 4), bars("AB", x=50, y=80, module=1, height=30))
    upright = dots(*marks, size=(160, 160))
    found = dots(GroupMark(marks, None, turn, 80, 80), size=(160, 160))
    assert (found == np.rot90(upright, -turn // 90)).mean() > 0.999


def test_symbols_in_a_slanting_group_are_decoded():
    """A barcode turned by 10° about the page's middle still gives its number; nested turns add up."""
    mark = bars("YT0012345678901", x=66, y=200, module=3, height=200)
    middle = (300.0, 300.0)
    slanting = GroupMark((mark,), None, 10, *middle)
    label = page(slanting, size=(600, 600))
    assert decode(raster.image(label)) == [("Code 128", "YT0012345678901")]
    twice = GroupMark((GroupMark((mark,), None, 50, *middle),), None, -40, *middle)
    near = dots(slanting, size=(600, 600)) == dots(twice, size=(600, 600))
    assert near.mean() > 0.98


def test_slanting_text_keeps_its_strokes_and_erases_under_it():
    """Text turned by 45° has the ink of upright text within a tenth, and a white box in a turned group clears what it covers."""
    words = text("面单作废", x=60, y=130, size=40, weight=700)
    upright = dots(words, size=(300, 300))
    turned = dots(GroupMark((words,), None, 45, 150, 150), size=(300, 300))
    assert 0.9 < turned.sum() / upright.sum() < 1.1
    ground = RectMark(0, 0, 300, 300, 0, fill=True)
    cleared = dots(
        ground, GroupMark((RectMark(100, 100, 100, 100, 0, erase=True),), None, 45, 150, 150), size=(300, 300)
    )
    assert not cleared[150, 85:215].any() and cleared[105, 105] and abs((~cleared).sum() - 10_000) < 300


def test_a_huge_turned_group_is_drawn_within_bounds():
    """Marks far larger than the page in a turned group cost no more than the page does."""
    wild = GroupMark(
        (RectMark(-30_000, -30_000, 60_000, 60_000, 5_000), text("收" * 3000, x=-9000, y=10, size=60)),
        None,
        33,
        50,
        50,
    )
    assert dots(wild).any()


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
    """Importing the languages loads neither reportlab nor Pillow nor numpy nor fontTools: the command line stays quick."""
    code = (
        "import sys, labelsvc.languages;"
        "print([name for name in ('reportlab', 'PIL', 'fontTools', 'zint', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_language_has_a_name_and_a_media_type():
    """The table of languages is complete, and an unknown language is refused by its field."""
    assert {name: media_type(name) for name in LANGUAGES} == {
        "zpl": "application/vnd.zebra.zpl",
        "pdf": "application/pdf",
        "png": "image/png",
        "escpos": "application/vnd.epson.escpos",
        "tspl": "application/vnd.tsc.tspl",
        "cpcl": "application/vnd.zebra.cpcl",
    }
    assert all(language.name == name for name, language in LANGUAGES.items())
    with pytest.raises(Invalid) as refused:
        encode(page(), Target("dpl"))
    assert refused.value.errors[0].field == "language"
