r"""TSPL: read by a tokenizer that knows the language's grammar alone, painted, decoded, and searched for commands that data brought in.

Commands were checked against the TSPL/TSPL2 Programming manual of TSC (TTP-343 edition, page IV for strings and line ends;
the pages of SIZE, SPEED, DENSITY, DIRECTION, REFERENCE, CLS, SET CUTTER, BAR, BITMAP, TEXT, BARCODE, QRCODE, PRINT).
"""

from __future__ import annotations

import itertools
import re

import pytest
from barcode.charsets import code128
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.pages import bars, page, qr, text
from support.readers import decode

from labelsvc.errors import Invalid
from labelsvc.labels import EllipseMark, Fixed, ImageMark, LineMark, Page, RectMark, symbols
from labelsvc.languages import LANGUAGES, Target, encode, raster

#: What a label may hold, and the number of parameters of each.
OURS = {
    "SIZE": {2}, "SPEED": {1}, "DENSITY": {1}, "SET": {1}, "DIRECTION": {2}, "REFERENCE": {2}, "CODEPAGE": {1}, "CLS": {0},
    "BITMAP": {5}, "BAR": {4}, "TEXT": {7}, "BARCODE": {9}, "QRCODE": {9}, "PRINT": {2},
}  # fmt: skip
#: Beginnings of commands, as data might bring them in.
PREFIXES = (
    '"\r\nSELFTEST\r\n', "\r\nPRINT 9\r\n", '",0,1,1,"', '\\["]', "\\[R]\\[L]", "\x1b!R", "\x1b!?", "~!T", "~!F", '"', "\\",
    'A"\nCLS', "DOWNLOAD F,\"A.BAS\",5,", "EOP", "!105", "!104", "!", "KILL \"*\"", "\r", "\n", "\x00",
)  # fmt: skip
WORDS = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=30),
    st.text(max_size=20),
    st.lists(st.sampled_from((*PREFIXES, "张三", "AB", "123456", "㛃")), max_size=5).map("".join),
)


def tspl(label, **options) -> bytes:
    return encode(label, Target("tspl", label.dpi, **options))


def commands(stream: bytes) -> list[tuple[str, list[str], bytes]]:
    r"""(command, parameters, data of a bitmap), read as the manual says: a line ends with CR LF outside strings, which quotes
    begin and end; ``\["]`` is a quote in a string; a bitmap's data are counted. Fails on what can't be read."""
    found = []
    at = 0
    coding = "gb18030"
    while at < len(stream):
        if stream.startswith(b"\r\n", at):
            at += 2
            continue
        name = re.compile(rb"[A-Z]+").match(stream, at)
        assert name, stream[at : at + 40]
        at = name.end()
        parameters, word, quoted = [], b"", False
        if stream[at : at + 1] == b" ":
            at += 1
        while True:
            assert at < len(stream), "a line without an end"
            if quoted:
                if stream.startswith(b'\\["]', at):
                    word += b'"'
                    at += 4
                    continue
                if stream[at] == ord('"'):
                    quoted = False
                assert stream[at] >= 0x20, "a control character in a string"
                assert stream[at] != ord("\\"), "an escape in a string"
                word += stream[at : at + 1]
            elif stream[at] == ord('"'):
                quoted = True
                word += b'"'
            elif stream[at] == ord(","):
                parameters.append(word)
                word = b""
                if name[0] == b"BITMAP" and len(parameters) == 5:
                    break
            elif stream.startswith(b"\r\n", at):
                break
            else:
                assert 0x20 <= stream[at] < 0x7F
                word += stream[at : at + 1]
            at += 1
        data = b""
        if name[0] == b"BITMAP":
            size = int(parameters[2]) * int(parameters[3])
            data = stream[at + 1 : at + 1 + size]
            at += 1 + size
        elif word or parameters:
            parameters.append(word)
        assert not quoted
        assert stream.startswith(b"\r\n", at), "data beyond its command"
        at += 2
        if name[0] == b"CODEPAGE":
            coding = parameters[0].decode()
        found.append((name[0].decode(), [each.decode(coding) for each in parameters], data))
    return found


def strings(read, name: str, place: int = -1) -> list[str]:
    """The string of each command of a name, without its quotes."""
    found = [parameters[place] for command, parameters, _ in read if command == name]
    assert all(word[0] == word[-1] == '"' for word in found)
    return [word[1:-1] for word in found]


def painted(stream: bytes, size: tuple[int, int], mode: str = "add") -> Image.Image:
    """The label's dots (set is black) as far as bars and bitmaps go; ``mode`` is what a bitmap's mode 1 does."""
    paper = Image.new("1", size)
    for command, parameters, data in commands(stream):
        if command == "CLS":
            paper.paste(0, (0, 0, *size))
        if command == "BAR":
            x, y, width, height = map(int, parameters)
            assert x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1]
            paper.paste(255, (x, y, x + width, y + height))
        if command == "BITMAP":
            x, y, wide, high, how = map(int, parameters)
            assert how == 1
            ink = Image.frombytes("1", (8 * wide, high), bytes(255 - byte for byte in data))
            if mode == "add":
                paper.paste(255, (x, y), ink)
            else:
                paper.paste(ink, (x, y))
    return paper


def on_paper(label) -> bytes:
    return Image.frombytes("1", (label.width, label.height), raster.draw(label)[1]).tobytes()


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


@pytest.mark.parametrize("mode", ["add", "cover"])
@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_the_label_is_the_layout_dot_for_dot(dpi, mode):
    label = page(*BUSY, dpi=dpi)
    picture = painted(tspl(label), (label.width, label.height), mode)
    assert picture.tobytes() == on_paper(label)
    read = decode(picture.point(lambda level: 255 - level))
    assert {("Code 128", "SF1234567890123"), ("Code 128", "YT0012345678901")} <= set(read)
    assert ("QR Code", "https://example.cn/a?b=SF1234567890123") in read


def test_white_covers_what_the_printer_would_have_drawn_itself():
    label = page(
        LineMark(0, 100, 600, 100, 4),
        bars("A1", 40, 40),
        RectMark(100, 60, 80, 60, 0, erase=True),
        text("白", 300, 88, inverse=True),
        RectMark(0, 0, 50, 20, 0, fill=True),
    )
    stream = tspl(label)
    assert painted(stream, (label.width, label.height)).tobytes() == on_paper(label)
    # Only what nothing white touches is said.
    assert [parameters for command, parameters, _ in commands(stream) if command == "BAR"] == [
        ["0", "0", "50", "20"]
    ]


def test_a_label_byte_for_byte():
    label = page(
        LineMark(0, 9, 80, 9, 2),
        RectMark(4, 16, 40, 20, 3),
        ImageMark(48, 20, 12, 3, b"\x80\x10\xff\xf0\x80\x10"),
        size=(80, 40),
    )
    assert tspl(label, speed=4, darkness=99, cut=True) == (
        b"\r\n"
        b"SIZE 10 mm,5 mm\r\n"  # SIZE m mm,n mm
        b"SPEED 4\r\n"  # inches a second
        b"DENSITY 15\r\n"  # 0 to 15
        b"SET CUTTER 1\r\n"  # a cut after each label
        b"DIRECTION 0,0\r\n"  # not turned, not mirrored
        b"REFERENCE 0,0\r\n"
        b"CLS\r\n"  # after SIZE
        b"BITMAP 48,20,2,3,1,\x7f\xef\x00\x0f\x7f\xef\r\n"  # bytes a row, rows; a set bit is white
        b"BAR 0,8,80,2\r\n"  # x, y, width, height
        b"BAR 4,16,40,3\r\nBAR 4,33,40,3\r\nBAR 4,19,3,14\r\nBAR 41,19,3,14\r\n"
        b"PRINT 1,1\r\n"
    )
    assert b"SET CUTTER OFF\r\n" in tspl(label)
    assert b"SPEED" not in tspl(label) and b"DENSITY" not in tspl(label)


def test_sizes_are_said_in_millimetres():
    for dpi, dots, said in ((203, 608, "76"), (300, 900, "76.2"), (600, 1795, "75.99")):
        assert f"SIZE {said} mm,".encode() in tspl(page(size=(dots, 400), dpi=dpi))


def test_the_printer_s_font_sets_plain_chinese_of_its_size():
    label = page(
        text('收件人"张三"13812345678', 40, 20),
        text("大字", 40, 60, size=48),
        text("罕见㛃", 40, 140),
        text("小", 40, 200, size=16),
    )
    read = commands(tspl(label, letters="font"))
    assert strings(read, "TEXT") == ['收件人"张三"13812345678', "大字"]
    assert strings(read, "TEXT", 2) == ["TSS24.BF2"] * 2
    first, second = (parameters for command, parameters, _ in read if command == "TEXT")
    assert first[1] == "20" and first[3:6] == ["0", "1", "1"]
    assert second[:2] == ["40", "60"] and second[3:6] == ["0", "2", "2"]
    assert sum(command == "BITMAP" for command, _, _ in read) >= 2
    assert not any(command == "CODEPAGE" for command, _, _ in read)
    assert b'"\xca\xd5\xbc\xfe\xc8\xcb\\["]' in tspl(label, letters="font")


def test_a_truetype_font_in_the_printer_is_asked_for_in_points_and_utf_8():
    label = page(text("深圳市南山区", 40, 20, size=34))
    stream = tspl(label, letters="font", font="SIMSUN.TTF")
    assert b"CODEPAGE UTF-8\r\nCLS" in stream
    [line] = re.findall(rb"TEXT [^\r]*", stream)
    # 12 points are 33 dots at 203 dpi: the size below the laid-out one.
    assert line.split(b",")[2:6] == [b'"SIMSUN.TTF"', b"0", b"12", b"12"]
    assert line.endswith('"深圳市南山区"'.encode())


@pytest.mark.parametrize("font", ["../X.TTF", 'A",0', "NOSUCH.BF2", "TSS24.BF2\r\nPRINT"])
def test_a_font_of_a_strange_name_is_never_asked_for(font):
    label = page(text("张三"))
    read = commands(tspl(label, letters="font", font=font))
    assert "TEXT" not in {command for command, _, _ in read}


def widths_of(values: list[int]) -> tuple[int, ...]:
    """A Code 128's bars and spaces from its symbol values, check character and stop added, by python-barcode's table."""
    check = (values[0] + sum(place * value for place, value in enumerate(values))) % 103
    modules = "".join(code128.CODES[value] for value in (*values, check)) + "1100011101011"
    return tuple(len(list(run)) for _, run in itertools.groupby(modules))


def from_128m(content: str) -> list[int]:
    """Symbol values of a BARCODE "128M": three digits after "!" are a value, code set B from the start if none is named."""
    values: list[int] = []
    code_set, at = "B", 0
    while at < len(content):
        if content[at] == "!":
            value = int(content[at + 1 : at + 4])
            values.append(value)
            code_set = {103: "A", 104: "B", 105: "C", 101: "A", 100: "B", 99: "C"}[value]
            at += 4
        elif code_set == "C":
            values.append(int(content[at : at + 2]))
            at += 2
        else:
            values.append(ord(content[at]) - 32)
            at += 1
    return values


@pytest.mark.parametrize(
    "number", ["YT0012345678901", "SF1234567890123", "78123456789012", "A1B2C3", "abc1234x12345", "1"]
)
def test_code_128_names_every_code_set_so_that_the_symbol_is_the_layout_s(number):
    read = commands(tspl(page(bars(number, module=2)), letters="font"))
    assert strings(read, "BARCODE", 2) == ["128M"]
    assert widths_of(from_128m(strings(read, "BARCODE")[0])) == symbols.code128(number).widths
    [parameters] = [parameters for command, parameters, _ in read if command == "BARCODE"]
    assert parameters[:2] + parameters[3:8] == ["40", "40", "80", "0", "0", "2", "2"]


@pytest.mark.parametrize(
    "mark",
    [bars("A!105B"), bars('A"B'), bars("A\\[R]"), bars("A1", rotation=90), bars("A\x1b"), bars("A1", x=-3)],
)
def test_a_code_128_that_no_string_can_say_is_drawn_bar_by_bar(mark):
    label = page(mark)
    stream = tspl(label, letters="font")
    assert "BARCODE" not in {command for command, _, _ in commands(stream)} or mark.data == 'A"B'
    if b"BARCODE" not in stream:
        assert painted(stream, (label.width, label.height)).tobytes() == on_paper(label)


def test_a_qr_code_of_sure_size_is_said_and_any_other_drawn():
    sure, unsure = qr("https://example.cn/a?b=c&d=efghijkl"), qr("12345678901234567890")
    assert strings(commands(tspl(page(sure), letters="font")), "QRCODE") == [sure.data]
    [parameters] = [p for command, p, _ in commands(tspl(page(sure), letters="font")) if command == "QRCODE"]
    assert parameters[:6] == ["40", "40", "M", "4", "A", "0"]
    for label in (page(unsure), page(sure._replace(rotation=90))):
        stream = tspl(label, letters="font")
        assert painted(stream, (label.width, label.height)).tobytes() == on_paper(label)


@settings(max_examples=150, deadline=None)
@given(WORDS, WORDS, WORDS, st.sampled_from(["dots", "font"]), st.sampled_from(["", "SIMHEI.TTF"]))
@example(*(["".join(map(chr, range(256)))] * 3), "font", "")
def test_data_never_becomes_a_command(words, number, address, letters, font):
    check_data(words, number, address, letters, font)


@pytest.mark.sweep
@settings(max_examples=5000, deadline=None)
@given(WORDS, WORDS, WORDS, st.sampled_from(["dots", "font"]), st.sampled_from(["", "SIMHEI.TTF"]))
def test_data_never_becomes_a_command_swept(words, number, address, letters, font):
    check_data(words, number, address, letters, font)


def check_data(words: str, number: str, address: str, letters: str, font: str) -> None:
    marks = [text(words.replace("\0", ""), 20, 20)]
    symbol = None
    try:
        symbol = bars(number, 20, 80, module=1)
        marks.append(symbol)
    except Invalid:
        pass
    if 0 < len(address.encode()) < 60:
        marks.append(qr(address, 20, 200))
    label = page(*marks, size=(1600, 500))
    stream = tspl(label, letters=letters, font=font)
    read = commands(stream)
    for command, parameters, _ in read:
        assert len(parameters) in OURS[command]
    assert [command for command, _, _ in read].count("PRINT") == 1
    assert read[-1][:2] == ("PRINT", ["1", "1"])
    assert set(strings(read, "TEXT")) <= {words.replace("\0", "")}
    assert set(strings(read, "QRCODE")) <= {address}
    if symbol is not None and "BARCODE" in {command for command, _, _ in read}:
        assert widths_of(from_128m(strings(read, "BARCODE")[0])) == symbols.code128(number).widths


def test_every_byte_and_every_command_prefix_through_every_field():
    for words in [*map(chr, range(256)), *PREFIXES]:
        within = f"A{words}B"
        check_data(words, words, "", "font", "")
        check_data(within, within, within, "font", "")
        check_data(within, within, "", "dots", "")


def test_a_bitmap_never_says_reset():
    # 1B 21 with set bits white.
    rows = bytes(255 - byte for byte in b"\xff\x1b!R\x1b!\xff\x1b") * 4
    label = page(ImageMark(0, 0, 64, 4, rows), size=(64, 8))
    stream = tspl(label)
    assert b"\x1b!" not in stream
    picture = painted(stream, (64, 8))
    # One dot more for each, and none less.
    ours, laid = (int.from_bytes(each, "big") for each in (picture.tobytes(), on_paper(label)))
    assert ours & laid == laid
    assert (ours ^ laid).bit_count() == 8


def test_the_offset_moves_all_and_nothing_leaves_the_paper():
    label = page(*BUSY)
    moved = Target("tspl", 203, offset_x=-20, offset_y=7)
    picture = painted(encode(label, moved), (label.width, label.height))
    wanted = Image.new("1", (label.width, label.height))
    wanted.paste(Image.frombytes("1", (label.width, label.height), raster.draw(label)[1]), (-20, 7))
    assert picture.tobytes() == wanted.tobytes()


def test_the_same_page_gives_the_same_bytes_with_and_without_what_was_kept():
    fixed = BUSY[4:12]
    kept = Fixed(fixed)
    for name in ("张三", "李四"):
        own = (text(name, 40, 120), bars("SF1234567890123", 300, 60, module=2), BUSY[12])
        label = Page(608, 400, 203, fixed + own, fixed=kept)
        for letters in ("dots", "font"):
            first = tspl(label, letters=letters)
            assert tspl(label, letters=letters) == first
            if letters == "dots":
                assert painted(first, (608, 400)).tobytes() == on_paper(Page(608, 400, 203, fixed + own))
    assert len([key for key in kept.kept if key[0] == "tspl"]) == 2


def test_a_page_for_another_resolution_is_refused():
    with pytest.raises(Invalid) as refused:
        encode(page(text("张三")), Target("tspl", 300))
    assert refused.value.code == "page.dpi"


def test_the_language_is_listed():
    assert LANGUAGES["tspl"].name == "tspl"
    assert LANGUAGES["tspl"].media_type == "application/vnd.tsc.tspl"
