r"""CPCL: read line by line as the manual says, painted, decoded, and searched for commands that data brought in.

Commands were checked against Zebra's CPCL Programming Manual (PROMAN-CPCL): page 2-2 (session, height), 7-2 (LINE, whose
corners are those of the stroke), 7-7 (CG, EG), 8-25 (FORM, PRINT), 11-2 to 11-6 (escape commands).
"""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from support.pages import bars, page, qr, text
from support.readers import decode

from labelsvc.errors import Invalid
from labelsvc.labels import EllipseMark, Fixed, ImageMark, LineMark, Page, RectMark
from labelsvc.languages import LANGUAGES, Target, encode, raster

OURS = {
    "!",
    "PAGE-WIDTH",
    "SPEED",
    "CONTRAST",
    "ENCODING",
    "SETMAG",
    "TEXT",
    "BARCODE",
    "CG",
    "LINE",
    "FORM",
    "PRINT",
}
PREFIXES = (
    "\r\nPRINT\r\n", "\nENDQR\n", "ENDQR", "! UTILITIES\r\n", "! 0 200 200 9 9\r\n", "\x1bp", "\x1bh", "\\\\", "TEXT 4 0 0 0 x",
    "\r", "\n", "\x00", "! U1 setvar \"x\" \"y\"", "FORM", "ABORT", "END", " ", "COUNT -1", "SETBOLD 1",
)  # fmt: skip
WORDS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.text(max_size=20),
    st.lists(st.sampled_from((*PREFIXES, "张三", "AB", "123456", "㛃")), max_size=5).map("".join),
)


def cpcl(label, **options) -> bytes:
    return encode(label, Target("cpcl", label.dpi, **options))


def commands(stream: bytes) -> list[tuple[str, list[bytes], bytes]]:
    """(command, parameters, data): a command a line; TEXT has its data after four parameters, CG counted bytes after four,
    BARCODE QR the lines up to ENDQR."""
    found = []
    at = 0

    def line() -> bytes:
        nonlocal at
        end = stream.index(b"\r\n", at)
        said, at = stream[at:end], end + 2
        assert all(byte >= 0x20 and byte != 0x7F for byte in said), said
        return said

    while at < len(stream):
        if stream.startswith(b"CG ", at):
            head = re.compile(rb"CG (\d+) (\d+) (\d+) (\d+) ").match(stream, at)
            assert head
            size = int(head[1]) * int(head[2])
            found.append(("CG", list(head.groups()), stream[head.end() : head.end() + size]))
            at = head.end() + size
            assert line() == b""
            continue
        said = line()
        name, _, rest = said.partition(b" ")
        if name == b"TEXT":
            *parameters, data = rest.split(b" ", 4)
            assert len(parameters) == 4
            assert data and data[:1] != b" "
        elif name == b"BARCODE":
            parameters, lines = rest.split(b" "), []
            assert parameters[0] == b"QR"
            while (said := line()) != b"ENDQR":
                lines.append(said)
            [data] = lines
        else:
            parameters, data = rest.split(b" ") if rest else [], b""
        found.append((name.decode(), parameters, data))
    return found


def painted(stream: bytes, size: tuple[int, int], mode: str = "add", end: int = 0) -> Image.Image:
    """The label's dots (set is black) as far as lines and pictures go; ``end`` 1: the end of a line is black too."""
    paper = Image.new("1", size)
    for command, parameters, data in commands(stream):
        if command == "LINE":
            x1, y1, x2, y2, width = map(int, parameters)
            assert x1 == x2 or y1 == y2
            if x1 == x2:
                paper.paste(255, (x1, y1, x1 + width, y2 + end))
            else:
                paper.paste(255, (x1, y1, x2 + end, y1 + width))
        if command == "CG":
            wide, high, x, y = map(int, parameters)
            ink = Image.frombytes("1", (8 * wide, high), data)
            if mode == "add":
                paper.paste(255, (x, y), ink)
            else:
                paper.paste(ink, (x, y))
    return paper


def on_paper(label) -> Image.Image:
    return Image.frombytes("1", (label.width, label.height), raster.draw(label)[1])


BUSY = (
    text("收件人 张三 13812345678", 40, 20),
    text("深圳市南山区科技园", 40, 300, size=30),
    bars("SF1234567890123", 40, 60, module=2),
    bars("YT0012345678901", 560, 20, module=2, height=40, rotation=90),
    qr("https://example.cn/a?b=SF1234567890123", 60, 160),
    LineMark(0, 50, 500, 50, 3),
    LineMark(0, 390, 500, 390, 2, dash=(6, 6)),
    LineMark(300, 200, 420, 280, 2),
    RectMark(10, 10, 540, 380, 2),
    RectMark(300, 160, 120, 30, 2, radius=6),
    EllipseMark(440, 160, 60, 40, 2),
    RectMark(300, 330, 100, 40, 0, fill=True),
    text("补打", 310, 336, inverse=True),
    ImageMark(440, 220, 20, 9, b"\xaa\xaa\xa0" * 9),
)
NUMBERS = {("Code 128", "SF1234567890123"), ("Code 128", "YT0012345678901")}


@pytest.mark.parametrize("mode", ["add", "cover"])
@pytest.mark.parametrize("dpi", [203, 300])
def test_the_label_is_the_layout_dot_for_dot(dpi, mode):
    label = page(*BUSY, dpi=dpi)
    picture = painted(cpcl(label), (label.width, label.height), mode)
    assert picture.tobytes() == on_paper(label).tobytes()
    assert set(decode(picture.point(lambda level: 255 - level))) >= NUMBERS


def test_a_line_whose_end_is_black_too_changes_no_bar_s_width():
    label = page(*BUSY)
    picture = painted(cpcl(label), (label.width, label.height), end=1)
    assert set(decode(picture.point(lambda level: 255 - level))) >= NUMBERS
    added = ImageChops.logical_xor(picture, on_paper(label))
    # Only at the feet of bars and the ends of lines: none inside the upright symbol.
    assert added.crop((40, 60, 400, 140)).getbbox() is None


def test_white_covers_what_the_printer_would_have_drawn_itself():
    label = page(
        LineMark(0, 100, 600, 100, 4),
        bars("A1", 40, 40),
        RectMark(100, 60, 80, 60, 0, erase=True),
        RectMark(0, 0, 50, 20, 0, fill=True),
    )
    stream = cpcl(label)
    assert painted(stream, (label.width, label.height)).tobytes() == on_paper(label).tobytes()
    assert [parameters for command, parameters, _ in commands(stream) if command == "LINE"] == [
        [b"0", b"0", b"50", b"0", b"20"]
    ]


def test_a_label_byte_for_byte():
    label = page(
        LineMark(0, 9, 80, 9, 2),
        RectMark(4, 16, 40, 20, 3),
        bars("1", 4, 0, module=1, height=6),
        ImageMark(48, 20, 12, 3, b"\x80\x10\xff\xf0\x80\x10"),
        size=(80, 40),
    )
    said = cpcl(label, speed=9, darkness=2, cut=True)
    assert said == (
        b"! 0 200 200 40 1\r\n"  # 2-2: no offset, height in dots, one label
        b"PAGE-WIDTH 80\r\n"
        b"SPEED 5\r\n"
        b"CONTRAST 2\r\n"
        b"CG 2 3 48 20 \x80\x10\xff\xf0\x80\x10\r\n"  # 7-7: bytes a row, rows, x, y, a byte a byte
        b"LINE 0 8 80 8 2\r\n"  # 7-2: corners, thickness
        b"LINE 4 16 44 16 3\r\nLINE 4 33 44 33 3\r\nLINE 4 19 4 33 3\r\nLINE 41 19 41 33 3\r\n"
        b"LINE 4 0 4 6 2\r\nLINE 7 0 7 6 1\r\nLINE 10 0 10 6 1\r\nLINE 15 0 15 6 1\r\nLINE 18 0 18 6 3\r\n"
        b"LINE 23 0 23 6 2\r\nLINE 26 0 26 6 2\r\nLINE 30 0 30 6 3\r\nLINE 35 0 35 6 1\r\n"
        b"LINE 37 0 37 6 2\r\nLINE 42 0 42 6 3\r\nLINE 46 0 46 6 1\r\nLINE 48 0 48 6 2\r\n"
        b"FORM\r\n"  # to the next label's top
        b"PRINT\r\n"
    )
    assert b"SPEED" not in cpcl(label) and b"CONTRAST" not in cpcl(label)


@pytest.mark.parametrize(
    ("font", "size"), [("8", 24), ("24", 24), ("55", 16), ("GBUNSG24.CPF", 24), ("GBUNSG16.CPF", 16)]
)
def test_the_printer_s_font_sets_plain_chinese_of_its_size(font, size):
    label = page(
        text("收件人张三 138", 40, 20, size=size),
        text("大字", 40, 60, size=2 * size),
        text("罕见㛃", 40, 140, size=size),
        text("五号", 40, 200, size=20),
    )
    stream = cpcl(label, letters="font", font=font)
    said = [(parameters, data) for command, parameters, data in commands(stream) if command == "TEXT"]
    assert [data.decode("gb18030") for _, data in said] == ["收件人张三 138", "大字"]
    assert all(parameters[:2] == [font.encode(), b"0"] for parameters, _ in said)
    assert re.search(rb"\r\nSETMAG 2 2\r\nTEXT [^\r]*\r\nSETMAG 0 0\r\n", stream)
    assert (b"ENCODING GB18030\r\n" in stream) == font.endswith(".CPF")
    assert sum(command == "CG" for command, _, _ in commands(stream)) >= 2


@pytest.mark.parametrize("font", ["", "7", "X.CPF", "8\r\nPRINT", "GBUNSG24.CPF "])
def test_a_font_whose_cell_isn_t_known_is_never_asked_for(font):
    assert "TEXT" not in {
        command for command, _, _ in commands(cpcl(page(text("张三")), letters="font", font=font))
    }


def test_a_qr_code_of_sure_size_is_said_and_any_other_drawn():
    sure, unsure = qr("https://example.cn/a?b=c&d=efghijkl"), qr("12345678901234567890")
    [(parameters, data)] = [
        (parameters, data)
        for command, parameters, data in commands(cpcl(page(sure), letters="font"))
        if command == "BARCODE"
    ]
    assert parameters == b"QR 40 40 M 2 U 4".split()
    assert data == b"MA," + sure.data.encode()
    for label in (page(unsure), page(sure._replace(rotation=90)), page(sure, dpi=203)):
        letters = "dots" if label.marks[0] is sure else "font"
        stream = cpcl(label, letters=letters)
        assert painted(stream, (label.width, label.height)).tobytes() == on_paper(label).tobytes()


def check_data(words: str, number: str, address: str, letters: str) -> None:
    marks = [text(words.replace("\0", ""), 20, 20)]
    with contextlib.suppress(Invalid):
        marks.append(bars(number, 20, 80, module=1))
    if 0 < len(address.encode()) < 60:
        marks.append(qr(address, 20, 200))
    read = commands(cpcl(page(*marks, size=(1600, 500)), letters=letters, font="8"))
    names = [command for command, _, _ in read]
    assert set(names) <= OURS
    assert names[0] == "!" and names.count("!") == 1
    assert names[-2:] == ["FORM", "PRINT"] and names.count("PRINT") == names.count("FORM") == 1
    for command, _, data in read:
        if command == "TEXT":
            assert data.decode("gb18030") == words.replace("\0", "")
        if command == "BARCODE":
            assert data.decode("ascii") == "MA," + address


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


def test_a_picture_never_says_switch_off():
    rows = b"\x1bp\x1bh\x1b\x1bN\x1b" * 4
    label = page(ImageMark(0, 0, 64, 4, rows), size=(64, 8))
    stream = cpcl(label)
    assert not re.search(rb"\x1b[A-Za-z]", stream)
    ours, laid = (
        int.from_bytes(each.tobytes(), "big") for each in (painted(stream, (64, 8)), on_paper(label))
    )
    # One dot more for each, and none less.
    assert ours & laid == laid
    assert (ours ^ laid).bit_count() == 12


def test_the_offset_moves_all_and_nothing_leaves_the_paper():
    label = page(*BUSY)
    picture = painted(cpcl(label, offset_x=-20, offset_y=7), (label.width, label.height))
    wanted = Image.new("1", (label.width, label.height))
    wanted.paste(on_paper(label), (-20, 7))
    assert picture.tobytes() == wanted.tobytes()


def test_the_same_page_gives_the_same_bytes_with_and_without_what_was_kept():
    fixed = BUSY[4:12]
    kept = Fixed(fixed)
    for name in ("张三", "李四"):
        own = (text(name, 40, 120), bars("SF1234567890123", 300, 60, module=2), BUSY[12])
        label = Page(608, 400, 203, fixed + own, fixed=kept)
        first = cpcl(label)
        assert cpcl(label) == first
        assert painted(first, (608, 400)).tobytes() == on_paper(Page(608, 400, 203, fixed + own)).tobytes()
    assert len([key for key in kept.kept if key[0] == "cpcl"]) == 1


def test_a_page_for_another_resolution_is_refused():
    with pytest.raises(Invalid) as refused:
        encode(page(text("张三")), Target("cpcl", 300))
    assert refused.value.code == "page.dpi"


def test_the_language_is_listed():
    assert LANGUAGES["cpcl"].name == "cpcl"
    assert LANGUAGES["cpcl"].media_type == "application/vnd.zebra.cpcl"
