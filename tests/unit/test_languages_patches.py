"""Pages parted for printers that only add dots: pieces that hold every dot once, white that stays white, symbols of a sure size."""

from __future__ import annotations

import random

import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.pages import bars, page, qr, text

from labelsvc.labels import Fixed, GroupMark, ImageMark, LineMark, MatrixMark, Page, RectMark
from labelsvc.languages import Target, patches, raster

ANY = Target("any")


def laid(pieces, size) -> Image.Image:
    """The pieces put back on a page; fails if two of them meet."""
    picture = Image.new("1", size)
    taken: list[patches.Edges] = []
    for piece in pieces:
        assert piece.x % 8 == 0
        assert len(piece.bits) == piece.stride * piece.height
        left, top, right, bottom = piece.edges
        assert all(left >= r or a >= right or top >= b or t >= bottom for a, t, r, b in taken)
        taken.append(piece.edges)
        picture.paste(Image.frombytes("1", (8 * piece.stride, piece.height), piece.bits), (left, top))
    return picture


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 190), st.integers(0, 90), st.integers(1, 40), st.integers(1, 30)),
        max_size=12,
    )
)
def test_pieces_hold_every_dot_and_never_meet(boxes):
    label = page(*(RectMark(x, y, w, h, 0, fill=True) for x, y, w, h in boxes), size=(203, 101))
    pieces = patches.cut(label, list(label.marks), ANY)
    stride, rows = raster.draw(label)
    assert laid(pieces, (8 * stride, label.height)).tobytes() == rows


def test_pieces_leave_out_blank_paper():
    label = page(text("收件人", 8, 40), text("寄件人", 400, 40), text("备注", 8, 300), size=(800, 400))
    pieces = patches.cut(label, list(label.marks), ANY)
    assert len(pieces) >= 3
    assert sum(len(piece.bits) for piece in pieces) < 100 * 400 // 30
    assert patches.cut(page(size=(80, 80)), [], ANY) == []
    assert patches.cut(page(text(" "), size=(80, 80)), [text(" ")], ANY) == []


def test_an_offset_moves_the_dots_and_cuts_them_at_the_edge():
    label = page(RectMark(0, 0, 16, 10, 0, fill=True), size=(64, 40))
    moved = Target("any", offset_x=3, offset_y=-4)
    stride, rows = patches.draw(label, moved)
    wanted = raster.draw(page(RectMark(3, 0, 16, 6, 0, fill=True), size=(64, 40)))
    assert (stride, rows) == wanted


def test_what_white_covers_is_found_with_the_white():
    black = RectMark(0, 0, 100, 40, 0, fill=True)
    far = RectMark(0, 200, 100, 40, 0, fill=True)
    white = text("白", 10, 4, inverse=True)
    assert patches.covered((black, far, white)) == {0, 2}
    assert patches.covered((white, black, far)) == {0}
    assert patches.covered((black, RectMark(50, 0, 10, 10, 0, erase=True))) == {0, 1}
    assert patches.covered((black, far)) == frozenset()
    # A turned group may lie anywhere.
    assert patches.covered((far, GroupMark((white,), angle=30.0))) == {0, 1}
    assert patches.covered((far, GroupMark((white,), clip=(0, 0, 80, 80)))) == {1}
    assert patches.covered((far, LineMark(0, 0, 9, 9, 2), GroupMark((black,), angle=9.0))) == frozenset()


def say_lines(mark):
    return b"L" if isinstance(mark, LineMark) else None


def as_graphic(piece):
    return b"G%d,%d" % (piece.x, piece.y)


def test_a_fixed_part_is_made_once_a_target_and_gives_the_same_dots():
    calls = []

    def say(mark):
        calls.append(mark)
        return say_lines(mark)

    fixed = (LineMark(0, 60, 100, 60, 2), RectMark(0, 0, 40, 16, 2))
    kept = Fixed(fixed)
    for place in (80, 120):
        own = RectMark(0, place, 30, 10, 2)
        label = Page(200, 200, 203, (*fixed, own), fixed=kept)
        plain = Page(200, 200, 203, (*fixed, own))
        with_fixed = patches.write(label, ANY, say, as_graphic)
        assert sorted(with_fixed.split(b"G")) == sorted(
            patches.write(plain, ANY, say_lines, as_graphic).split(b"G")
        )
    assert calls.count(fixed[0]) == calls.count(fixed[1]) == 1
    patches.write(label, Target("any", offset_x=8), say, as_graphic)
    assert calls.count(fixed[0]) == 2


def test_a_fixed_part_never_meets_the_label_s_own_pictures():
    fixed = (RectMark(0, 0, 100, 100, 2, radius=8),)
    own = (ImageMark(40, 40, 8, 8, b"\xff" * 8), text("白", 200, 40, inverse=True))
    label = Page(300, 120, 203, fixed + own, fixed=Fixed(fixed))
    pieces = []
    patches.write(label, ANY, lambda mark: None, lambda piece: pieces.append(piece) or b"")
    stride, rows = raster.draw(label)
    assert laid(pieces, (8 * stride, label.height)).tobytes() == rows


def test_own_white_takes_the_fixed_black_below_it_along():
    fixed = (RectMark(0, 0, 100, 40, 0, fill=True), RectMark(0, 80, 100, 10, 0, fill=True))
    own = (text("白字", 10, 6, inverse=True),)
    label = Page(200, 100, 203, fixed + own, fixed=Fixed(fixed))
    said, pieces = [], []

    def say(mark):
        said.append(mark)
        return b"" if isinstance(mark, RectMark) else None

    patches.write(label, ANY, say, lambda piece: pieces.append(piece) or b"")
    assert said == [fixed[1]]
    stride, rows = raster.draw(Page(200, 100, 203, (fixed[0], *own)))
    assert laid(pieces, (8 * stride, 100)).tobytes() == rows


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
def test_a_sure_qr_code_is_as_large_from_other_encoders(level):
    chance = random.Random(4)
    alphabets = ("0123456789", "ABCDEFGHIJ0123456789", "abcdefghij/:.?=&0123456789", "abcXYZ 12")
    sure = 0
    for length in range(3, 120, 3):
        data = "".join(chance.choice(alphabets[length // 3 % 4]) for _ in range(length))
        cleverest = len(list(segno.make_qr(data, error=level, boost_error=False).matrix))
        plainest = len(list(segno.make_qr(data, error=level, boost_error=False, mode="byte").matrix))
        other = zxingcpp.create_barcode(data, zxingcpp.BarcodeFormat.QRCode, ec_level=level)
        third = other.to_image(scale=1, add_quiet_zones=False).shape[0]
        for size in {cleverest, plainest, third}:
            mark = MatrixMark(0, 0, size * 3, size * 3, 3, 12, "qrcode", data, (), level)
            if patches.sure_qr(mark):
                sure += 1
                assert cleverest == plainest == third == size
    assert sure >= 8


def test_a_qr_code_is_not_sure_beyond_ascii_turned_or_of_another_kind():
    mark = qr("https://example.cn/a?b=c&d=efghijkl")
    assert patches.sure_qr(mark)
    assert not patches.sure_qr(mark._replace(rotation=90))
    assert not patches.sure_qr(mark._replace(data="张三张三张三张三张三"))
    assert not patches.sure_qr(mark._replace(data="https://example.cn/a?b=c&d=e\r\nghij"))
    assert not patches.sure_qr(mark._replace(kind="datamatrix"))
    assert not patches.sure_qr(mark._replace(level="", data=""))
    assert not patches.sure_qr(mark._replace(width=mark.width + 2 * mark.module))


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (text("张三", size=24, rotation=90), "turned"),
        (text("张三", size=24, inverse=True), "white"),
        (text("张三", size=24, underline=True), "underlined"),
        (text("张三", size=24, letter_spacing=2), "spaced"),
        (text("张㛃", size=24), "a name character beyond GB 2312"),
        (text("张三", size=30), "neither the font's size nor a multiple"),
        (text("大字", size=48, weight=700), "what is read from two metres"),
        (text("深圳市南山区", size=22), "smaller than the font, and so wider in it"),
        (text("iiiiiiiiiiiiii", size=24), "wider in the printer's font than laid out"),
        (text("张三", x=-4, size=24), "left of the paper"),
        (text("张三", x=590, size=24), "right of the paper"),
        (text("a\x1b@b", size=24), "a control character"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_that_a_resident_font_would_not_set_as_laid_out(mark, why):
    assert patches.words(mark, page(mark), 24, ANY) is None


def test_text_of_the_font_s_size_or_a_multiple_stands_on_the_layout_s_baseline():
    for size, scale in ((24, 1), (26, 1), (48, 2), (72, 3)):
        mark = text("收件人 13812345678", x=20, y=40, size=size)
        words = patches.words(mark, page(mark, size=(1200, 400)), 24, ANY)
        assert words is not None
        assert (words.scale, words.height) == (scale, 24 * scale)
        assert words.width == 24 * scale * 3 + 12 * scale * 12
        assert words.y + 21 * scale == mark.y + mark.baseline
        assert mark.x - 3 <= words.x
        assert words.x + words.width <= mark.x + mark.width + 3
        assert abs(2 * words.x + words.width - 2 * mark.x - mark.width) <= 2


def test_boxes_are_cut_at_the_paper_s_edges():
    label = page(size=(100, 50))
    moved = Target("any", offset_x=-5, offset_y=4)
    assert patches.boxes([(0, 0, 10, 60), (90, 0, 30, 1), (0, 0, 5, 5), (0, 60, 5, 5)], label, moved) == [
        (0, 4, 5, 46),
        (85, 4, 15, 1),
    ]
    assert patches.rect_boxes(RectMark(0, 0, 10, 10, 2, radius=3)) is None
    assert patches.rect_boxes(RectMark(0, 0, 10, 10, 2, erase=True)) is None
    assert patches.rect_boxes(RectMark(0, 0, 10, 10, 0)) == []
    assert patches.rect_boxes(RectMark(0, 0, 10, 4, 2)) == [(0, 0, 10, 4)]
    assert patches.whole(bars("A1", x=80), label, ANY) is None
