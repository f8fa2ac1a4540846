r"""ESC/POS: read by a tokenizer that knows the commands' lengths alone, painted, decoded, compared with python-escpos, and searched
for commands that data brought in.

Commands were checked against Epson's TM-T88III specification (standard) rev. B: page 7 (buffers), 63-64 (page mode), 99
(ESC W), 144 (GS v 0), 139 (GS k); TM-L90 programming manual 10.01: 271 (size of bands); HCC POS80B 49 and SUREPRINT SP91 66 (FS).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile

import pytest
from barcode.charsets import code128
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.pages import bars, page, qr, text
from support.readers import decode

from labelsvc.errors import Invalid
from labelsvc.labels import EllipseMark, ImageMark, LineMark, RectMark, symbols
from labelsvc.languages import LANGUAGES, Target, encode, escpos, raster

PREFIXES = (
    "\x1b@", "\x1bp\x00\x19\x19", "\x1dV\x00", "\x1c.", "\x1dv0\x00", "\x1d(k", "\x10\x04\x01", "\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08",
    "\x10\x05\x02", "\n", "\r", "\x0c", "\x18", "\t", "\x1bL", "\x1b=\x00", "{B", "{C", "{", "{{A", "\x1f", "\x00",
)  # fmt: skip
WORDS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.text(max_size=20),
    st.lists(st.sampled_from((*PREFIXES, "张三", "AB", "1604", "㛃")), max_size=5).map("".join),
)
REAL_TIME = re.compile(rb"\x10[\x04\x05\x14]")

#: Commands that a label may hold and the parameters after them, in bytes. GS v 0, GS ( and GS k say themselves how long they are.
LENGTHS = {
    b"\x1b@": 0, b"\x1bR": 1, b"\x1b$": 2, b"\x1bJ": 1, b"\x1c&": 0,
    b"\x1dP": 2, b"\x1d!": 1, b"\x1dL": 2, b"\x1dh": 1, b"\x1dw": 1, b"\x1dH": 1,
}  # fmt: skip


def pos(label, **options) -> bytes:
    return encode(label, Target("escpos", label.dpi, **options))


def commands(stream: bytes) -> list[tuple[bytes, bytes]]:
    """(command, what belongs to it); characters to print come as (b"", the characters). Fails on a command that isn't ours."""
    assert not REAL_TIME.search(stream)
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(stream):
        if stream[at] >= 0x20:
            end = at
            while end < len(stream) and stream[end] >= 0x20:
                assert stream[end] < 0x7F or (stream[end] >= 0xA1 and stream[end + 1] >= 0xA1)
                end += 1 if stream[end] < 0x7F else 2
            found.append((b"", stream[at:end]))
            at = end
            continue
        name = stream[at : at + 2]
        at += 2
        if name == b"\x1dv":
            assert stream[at : at + 2] == b"0\x00"
            wide = int.from_bytes(stream[at + 2 : at + 4], "little")
            high = int.from_bytes(stream[at + 4 : at + 6], "little")
            length = 6 + wide * high
        elif name == b"\x1d(":
            assert stream[at : at + 1] in (b"k", b"K")
            length = 3 + int.from_bytes(stream[at + 1 : at + 3], "little")
        elif name == b"\x1dk":
            assert stream[at] == 73
            length = 2 + stream[at + 1]
        elif name == b"\x1dV":
            assert stream[at] == 66
            length = 2
        else:
            length = LENGTHS[name]
        assert at + length <= len(stream)
        found.append((name, stream[at : at + length]))
        at += length
    return found


def painted(stream: bytes, width: int) -> Image.Image:
    """The paper (set is black) as far as rasters go; the rows of text, barcodes and QR codes are left blank."""
    strips: list[tuple[int, Image.Image | None]] = []
    height, bars_high, module, qr_data = 0, 0, 0, ""
    for name, rest in commands(stream):
        if name == b"\x1dv":
            wide, high = int.from_bytes(rest[2:4], "little"), int.from_bytes(rest[4:6], "little")
            strips.append((height, Image.frombytes("1", (8 * wide, high), rest[6:])))
            height += high
        elif name == b"\x1bJ":
            height += rest[0]
        elif name == b"\x1dh":
            bars_high = rest[0]
        elif name == b"\x1dk":
            height += bars_high
        elif name == b"\x1d(" and rest[3:5] == b"1C":
            module = rest[5]
        elif name == b"\x1d(" and rest[3:5] == b"1P":
            qr_data = rest[6:].decode()
        elif name == b"\x1d(" and rest[3:5] == b"1Q":
            height += module * len(symbols.qrcode(qr_data, "M").rows)
    paper = Image.new("1", (width, height))
    for top, strip in strips:
        paper.paste(strip, (0, top))
    return paper


def on_paper(label) -> Image.Image:
    return Image.frombytes("1", (label.width, label.height), raster.draw(label)[1])


def printed(stream: bytes) -> list[str]:
    return [rest.decode("gb2312") for name, rest in commands(stream) if name == b""]


BUSY = (
    bars("SF1234567890123", 40, 60, module=2),
    bars("YT0012345678901", 560, 20, module=2, height=40, rotation=90),
    qr("https://example.cn/a?b=SF1234567890123", 60, 160),
    LineMark(0, 50, 500, 50, 3),
    LineMark(300, 200, 420, 280, 2),
    RectMark(10, 10, 540, 380, 2),
    RectMark(300, 160, 120, 30, 2, radius=6),
    EllipseMark(440, 160, 60, 40, 2),
    RectMark(300, 330, 100, 40, 0, fill=True),
    text("补打", 310, 336, size=32, inverse=True),
)


@pytest.mark.parametrize("dpi", [203, 300])
def test_the_label_is_the_layout_dot_for_dot(dpi):
    label = page(*BUSY, dpi=dpi)
    for letters in ("dots", "font"):
        picture = painted(pos(label, letters=letters), label.width)
        assert picture.size == (label.width, label.height)
        assert picture.tobytes() == on_paper(label).tobytes()
    read = decode(picture.point(lambda level: 255 - level))
    assert {("Code 128", "SF1234567890123"), ("Code 128", "YT0012345678901")} <= set(read)
    assert ("QR Code", "https://example.cn/a?b=SF1234567890123") in read


def test_text_comes_out_as_drawn_but_for_a_dot_where_a_real_time_command_would_be():
    label = page(
        text("广东省深圳市南山区科技园一路12号", 10, 20),
        text("收件人 李四", 10, 60, size=40),
        size=(576, 120),
    )
    ours, laid = (
        int.from_bytes(each.tobytes(), "big") for each in (painted(pos(label), 576), on_paper(label))
    )
    assert ours & laid == laid
    assert (ours ^ laid).bit_count() <= 3


@pytest.mark.parametrize("dpi", [203, 300])
def test_no_raster_overruns_a_small_buffer_and_blank_paper_costs_next_to_nothing(dpi):
    label = page(
        text("上", 0, 0), text("下", 0, 1390), RectMark(0, 400, 800, 200, 3), size=(800, 1440), dpi=dpi
    )
    stream = pos(label)
    for name, rest in commands(stream):
        if name == b"\x1dv":
            assert len(rest) - 6 <= 4096
            assert rest[5] == 0
    assert len(stream) < 22_000 + 1000
    assert painted(stream, 800).size == (800, 1440)


def test_a_slip_byte_for_byte():
    label = page(ImageMark(0, 20, 12, 3, b"\x80\x10\xff\xf0\x80\x10"), size=(384, 40))
    assert pos(label, darkness=3, speed=300, cut=True) == (
        b"\x1b@"  # ESC @
        b"\x1d(K\x02\x001\x03"  # GS ( K, function 49: density
        b"\x1d(K\x02\x002\xff"  # function 50: speed
        b"\x1dv0\x00\x01\x00\x14\x00" + bytes(20) +  # 20 blank rows
        # GS v 0 m xL xH yL yH: two bytes a row, three rows
        b"\x1dv0\x00\x02\x00\x03\x00\x80\x10\xff\xf0\x80\x10"
        b"\x1dv0\x00\x01\x00\x11\x00" + bytes(17) +
        b"\x1dVB\x00"  # GS V 66 0: feed to the knife, cut
    )  # fmt: skip


def test_a_slip_in_the_printer_s_font_byte_for_byte():
    label = page(
        text("张三", 20, 21), text("共两件", 300, 21), text("大字", 20, 72, size=48), size=(384, 120)
    )
    assert pos(label, letters="font") == (
        b"\x1b@"
        b"\x1bR\x00"  # ESC R 0: USA
        b"\x1c&"  # FS &: Chinese characters
        b"\x1dP\xcb\xcb"  # GS P 203 203: positions in dots
        b"\x1dv0\x00\x01\x00\x15\x00" + bytes(21) +
        b"\x1d!\x00"  # GS ! 0: size as it is
        b"\x1b$\x14\x00\xd5\xc5\xc8\xfd"  # ESC $ nL nH, GB 2312
        b"\x1b$\x2c\x01\xb9\xb2\xc1\xbd\xbc\xfe"
        b"\x1bJ\x18"  # ESC J 24: print, feed a line
        b"\x1dv0\x00\x01\x00\x1b\x00" + bytes(27) +
        b"\x1d!\x11"  # twice as wide and high
        b"\x1b$\x14\x00\xb4\xf3\xd7\xd6"
        b"\x1bJ\x30"
    )  # fmt: skip


def test_rows_that_hold_more_than_a_line_of_text_are_pictures():
    label = page(
        text("收件人张三", 40, 20),
        text("旁边", 400, 28),  # not on the same line
        text("罕见㛃", 40, 80),  # not in GB 2312
        text("收件人李四", 40, 140),
        LineMark(300, 130, 300, 150, 2),  # across the line
        text("备注无", 40, 200),
        text("备注有", 60, 200),  # one over the other
        text("只有这行", 40, 300),
        text("二十八", 40, 340, size=28),
        size=(576, 400),
    )
    stream = pos(label, letters="font")
    assert printed(stream) == ["只有这行"]
    assert painted(stream, 576).size == (576, 400)
    without = page(*(mark for mark in label.marks if mark != label.marks[7]), size=(576, 400))
    ours, laid = (int.from_bytes(each.tobytes(), "big") for each in (painted(stream, 576), on_paper(without)))
    assert ours & laid == laid and (ours ^ laid).bit_count() <= 4


def test_a_glyph_that_reaches_into_a_line_sends_the_line_as_dots():
    # The line boxes don't meet, the ink does: 40 dots of "国" above a line that begins 30 dots below its box's top.
    label = page(text("国", 40, 20, size=40)._replace(height=30), text("张三", 40, 51), size=(576, 120))
    stream = pos(label, letters="font")
    assert printed(stream) == []
    assert painted(stream, 576).tobytes() == on_paper(label).tobytes()


def widths_of(values: list[int]) -> tuple[int, ...]:
    """A Code 128's bars and spaces from its symbol values, check character and stop added, by python-barcode's table."""
    check = (values[0] + sum(place * value for place, value in enumerate(values))) % 103
    modules = "".join(code128.CODES[value] for value in (*values, check)) + "1100011101011"
    return tuple(len(list(run)) for _, run in itertools.groupby(modules))


def from_function_b(data: bytes) -> list[int]:
    """Symbol values of GS k 73: {A, {B, {C choose the code set, {{ is a brace, set C has pairs of digits as one byte."""
    values: list[int] = []
    code_set, at = "", 0
    while at < len(data):
        if data[at] == ord("{") and data[at + 1 : at + 2] != b"{":
            new = chr(data[at + 1])
            values.append(({"A": 101, "B": 100, "C": 99} if values else {"A": 103, "B": 104, "C": 105})[new])
            code_set, at = new, at + 2
        elif code_set == "C":
            values.append(data[at])
            at += 1
        else:
            at += data[at] == ord("{")
            values.append(data[at] - 32)
            at += 1
    return values


@pytest.mark.parametrize(
    "number", ["YT0012345678901", "SF1234567890123", "78123456789012", "A{B{C", "abc1234x12345", "1"]
)
def test_code_128_names_every_code_set_so_that_the_symbol_is_the_layout_s(number):
    mark = bars(number, 40, 100, module=2)
    stream = pos(page(mark, size=(576, 300)), letters="font")
    read = dict(commands(stream))
    assert widths_of(from_function_b(read[b"\x1dk"][2:])) == symbols.code128(number).widths
    assert (read[b"\x1dh"], read[b"\x1dw"], read[b"\x1dH"]) == (b"\x50", b"\x02", b"\x00")
    margins = [rest for name, rest in commands(stream) if name == b"\x1dL"]
    assert margins == [b"\x28\x00", b"\x00\x00"]
    assert painted(stream, 576).size == (576, 300)


@pytest.mark.parametrize(
    "mark",
    [
        bars("1604", 40, 100, module=2),  # the pairs are DLE EOT
        bars("0016050016140016", 40, 100, module=2),
        bars("A\x1b@", 40, 100, module=2),
        bars("A1", 40, 100, module=1),
        bars("A1", 40, 100, module=2, rotation=90),
        bars("A1", 550, 100, module=2),
        bars("A1", 40, 20, module=2, height=256),
    ],
)
def test_a_code_128_that_can_t_be_said_is_drawn(mark):
    label = page(mark, size=(576, 300))
    stream = pos(label, letters="font")
    assert b"\x1dk" not in dict(commands(stream))
    assert painted(stream, 576).tobytes() == on_paper(label).tobytes()


def test_a_qr_code_of_sure_size_is_said_and_any_other_drawn():
    sure = qr("https://example.cn/a?b=c&d=efghijkl", 100, 40, module=5)
    stream = pos(page(sure, size=(576, 300)), letters="font")
    functions = [rest[3:] for name, rest in commands(stream) if name == b"\x1d("]
    assert functions == [b"1A2\x00", b"1C\x05", b"1E1", b"1P0" + sure.data.encode(), b"1Q0"]
    assert painted(stream, 576).size == (576, 300)
    for mark in (qr("12345678901234567890", 100, 40), sure._replace(rotation=90), qr("a", 10, 10, module=9)):
        label = page(mark, size=(576, 300))
        assert painted(pos(label, letters="font"), 576).tobytes() == on_paper(label).tobytes()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """python-escpos's printer that keeps its bytes; its import's temporary directory lies where tests are cleaned up."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("escpos"))
    try:
        from escpos.printer import Dummy
    finally:
        tempfile.tempdir = before
    return Dummy


def test_our_raster_is_python_escpos_s_dot_for_dot(library):
    label = page(*BUSY, size=(576, 400))
    theirs = library()
    theirs.image(
        on_paper(label).point(lambda level: 255 - level).convert("L"), impl="bitImageRaster", center=False
    )
    pictures = []
    for stream in (theirs.output, pos(label)):
        picture, height = Image.new("1", (576, 400)), 0
        for found in re.finditer(rb"\x1dv0\x00(..)(..)", stream, re.DOTALL):
            wide, high = (int.from_bytes(found[each], "little") for each in (1, 2))
            picture.paste(
                Image.frombytes("1", (8 * wide, high), stream[found.end() : found.end() + wide * high]),
                (0, height),
            )
            height += high
        pictures.append(picture.tobytes())
        assert height == 400
    assert pictures[0] == pictures[1]


def test_our_barcode_and_qr_code_are_python_escpos_s_byte_for_byte(library):
    theirs = library()
    theirs.barcode("{BAB{{C", "CODE128", height=80, width=2, pos="OFF", align_ct=False, function_type="B")
    ours = pos(page(bars("AB{C", 40, 20, module=2), size=(576, 200)), letters="font")
    said = theirs.output
    assert re.search(rb"\x1dk.*", said, re.DOTALL)[0] in ours
    assert all(part in ours for part in (b"\x1dhP", b"\x1dw\x02", b"\x1dH\x00"))
    assert all(part in said for part in (b"\x1dhP", b"\x1dw\x02", b"\x1dH\x00"))
    theirs = library()
    theirs.qr("https://example.cn/a?b=c&d=efghijkl", ec=1, size=5, native=True)
    assert theirs.output in pos(page(qr("https://example.cn/a?b=c&d=efghijkl", module=5)), letters="font")


def test_the_language_leaves_no_temporary_directory_behind(tmp_path):
    code = (
        "import sys; from labelsvc.languages import encode, Target; from labelsvc.labels import Page;"
        "encode(Page(384, 80, 203, ()), Target('escpos', letters='font', cut=True));"
        "sys.exit('escpos.capabilities' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("second", [0x04, 0x05, 0x14])
def test_a_picture_never_says_a_real_time_command(second):
    for shift in range(8):
        bits = ((0x1000 | second) << 8 >> shift).to_bytes(3, "big") * 8
        label = page(ImageMark(0, 0, 64, 3, bits), size=(64, 3))
        ours, laid = (
            int.from_bytes(each.tobytes(), "big") for each in (painted(pos(label), 64), on_paper(label))
        )
        assert ours & laid == laid
        assert (ours ^ laid).bit_count() <= 9
    # Where the blank right side is cropped, one row's end meets the next row's beginning.
    wrapped = page(ImageMark(0, 0, 64, 2, bytes([0, 0x10, *[0] * 6, second, *[0] * 7])), size=(64, 2))
    assert painted(pos(wrapped), 64).tobytes()[8] == second | 8
    label = page(ImageMark(0, 0, 16, 2, bytes([0x10, second]) * 2), size=(16, 2))
    assert (painted(pos(label), 16).tobytes()) == bytes([0x10, second | 8]) * 2


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=24),
    st.integers(0, 15),
    st.integers(2, 4),
)
def test_a_symbol_s_dots_never_spell_a_real_time_command(data, x, module):
    label = page(bars(data, x, 2, module=module, height=4), qr(data, x, 10, module=module), size=(1600, 200))
    stream = pos(label)
    assert painted(stream, 1600).tobytes() == on_paper(label).tobytes()


def check_data(words: str, number: str, address: str, letters: str) -> None:
    marks = [text(words.replace("\0", ""), 20, 20)]
    symbol = None
    with contextlib.suppress(Invalid):
        symbol = bars(number, 20, 80, module=2)
        marks.append(symbol)
    if 0 < len(address.encode()) < 60:
        marks.append(qr(address, 20, 200))
    stream = pos(page(*marks, size=(1600, 500)), letters=letters, cut=True)
    read = commands(stream)
    assert read[0] == (b"\x1b@", b"") and read[-1] == (b"\x1dV", b"B\x00")
    names = [name for name, _ in read]
    assert names.count(b"\x1b@") == names.count(b"\x1dV") == 1
    assert set(printed(stream)) <= {words.replace("\0", "")}
    for name, rest in read:
        if name == b"\x1dk":
            assert widths_of(from_function_b(rest[2:])) == symbols.code128(number).widths
        if name == b"\x1d(" and rest[3:5] == b"1P":
            assert rest[6:].decode() == address


@settings(max_examples=150, deadline=None)
@given(WORDS, WORDS, WORDS, st.sampled_from(["dots", "font"]))
@example(*(["".join(map(chr, range(256)))] * 3), "font")
def test_data_never_becomes_a_command(words, number, address, letters):
    check_data(words, number, address, letters)


@pytest.mark.sweep
@settings(max_examples=5000, deadline=None)
@given(WORDS, WORDS, WORDS, st.sampled_from(["dots", "font"]))
def test_data_never_becomes_a_command_swept(words, number, address, letters):
    check_data(words, number, address, letters)


def test_every_byte_and_every_command_prefix_through_every_field():
    for words in [*map(chr, range(256)), *PREFIXES]:
        within = f"A{words}B"
        check_data(words, words, "", "font")
        check_data(within, within, within, "font")
        check_data(within, within, "", "dots")


def test_a_control_character_prints_as_nothing_even_if_it_came_so_far():
    assert escpos._letters("".join(map(chr, range(128))) + "\x9b张") == bytes(range(32, 127)) + "张".encode(
        "gb2312"
    )


def test_the_offset_moves_all_and_nothing_leaves_the_paper():
    label = page(*BUSY, size=(576, 400))
    wanted = Image.new("1", (576, 400))
    wanted.paste(on_paper(label), (-20, 7))
    assert painted(pos(label, offset_x=-20, offset_y=7), 576).tobytes() == wanted.tobytes()
    slip = page(text("张三", 20, 21), size=(384, 120))
    moved = pos(slip, letters="font", offset_x=5, offset_y=3)
    assert b"\x1b$\x19\x00" in moved and b"\x1dv0\x00\x01\x00\x18\x00" in moved


def test_the_same_page_gives_the_same_bytes():
    label = page(*BUSY, text("只有这行", 40, 500), size=(576, 600))
    for letters in ("dots", "font"):
        assert pos(label, letters=letters) == pos(label, letters=letters)


def test_a_page_for_another_resolution_is_refused():
    with pytest.raises(Invalid) as refused:
        encode(page(text("张三")), Target("escpos", 300))
    assert refused.value.code == "page.dpi"


def test_the_language_is_listed():
    assert LANGUAGES["escpos"].name == "escpos"
    assert LANGUAGES["escpos"].media_type == "application/vnd.epson.escpos"
