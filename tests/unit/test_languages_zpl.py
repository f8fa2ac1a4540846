"""ZPL: drawn by renderers that this project did not write, and searched for commands that data might have brought in."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from support.pages import bars, page, qr, text
from support.readers import decode, missing_js, zpl_to_image, zpl_to_image_js

from labelsvc.errors import Invalid
from labelsvc.labels import ImageMark, LineMark, RectMark
from labelsvc.languages import Target, encode, raster

PROFILES = ("specification", "zd621")
NUMBERS = (
    "YT0012345678901",
    "SF1234567890123",
    "JDX012345678901",
    "78123456789012",
    "781234567890123",
    "4300012345678",
    "A1B2C3",
    "abc1234x12345",
)
needs_js = pytest.mark.skipif(missing_js() is not None, reason=str(missing_js()))


def zpl(label, **options) -> bytes:
    return encode(label, Target("zpl", label.dpi, **options))


def drawn(label, profile="specification", **options) -> Image.Image:
    return zpl_to_image(zpl(label, **options), (label.width, label.height), label.dpi, profile)


def drawn_js(label) -> Image.Image:
    picture, reason = zpl_to_image_js(zpl(label), (label.width, label.height), label.dpi)
    assert picture is not None, reason
    return picture.point(lambda level: 255 if level > 127 else 0)


def ink(picture: Image.Image):
    """The box of the black dots."""
    return ImageChops.invert(picture.convert("L")).point(lambda level: 255 if level > 127 else 0).getbbox()


def differing(one: Image.Image, other: Image.Image) -> int:
    """How many dots differ."""
    return ImageChops.difference(one.convert("L"), other.convert("L")).histogram()[255]


def commands(stream: bytes) -> list[tuple[str, str]]:
    """An independent reading of a ZPL stream: (command, its parameters), cut at every ^ and ~ as a printer does."""
    found = re.findall(rb"([\^~])([A-Z][A-Z0-9]|A0)([^\^~]*)", stream)
    cut = re.split(rb"[\^~]", stream)[1:]
    assert len(found) == len(cut), "a ^ or ~ that begins no command"
    assert stream[:1] in (b"^", b"~")
    return [((mark + name).decode(), rest.decode("ascii").rstrip("\n")) for mark, name, rest in found]


def fields(stream: bytes) -> list[str]:
    """What each ^FD prints, its ^FH_ escapes undone."""
    read = commands(stream)
    out = []
    for (before, escape), (command, data) in itertools.pairwise(read):
        if command == "^FD":
            assert (before, escape) == ("^FH", "_")
            raw = re.sub(
                rb"_([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), data.encode("ascii")
            )
            out.append(raw.decode())
    return out


OURS = {
    "^XA", "^CI", "^LH", "^LR", "^PW", "^LL", "^FO", "^FT", "^A0", "^FH", "^FD", "^FS", "^GF", "^GB", "^BY", "^BC",
    "^BQ", "^XZ",
}  # fmt: skip


# ── symbols ──


@pytest.mark.parametrize("dpi", [203, 300])
@pytest.mark.parametrize("number", NUMBERS)
def test_code128_is_native_and_dot_for_dot_the_layouts(number, dpi):
    """A Code 128 is a ^BC whose bars, drawn by zplkit as specified and as a ZD621, are the layout's dot for dot."""
    label = page(bars(number, module=dpi // 100), size=(900, 200), dpi=dpi)
    assert "^BC" in dict(commands(zpl(label))) and "^GF" not in dict(commands(zpl(label)))
    for profile in PROFILES:
        picture = drawn(label, profile)
        assert differing(picture, raster.image(label)) == 0
        assert decode(picture) == [("Code 128", number)]


@needs_js
def test_code128_and_qr_are_decoded_from_the_second_renderer():
    """zpl-renderer-js, which misreads explicit subset switches, gives every number and the QR too."""
    label = page(
        *(bars(number, x=60, y=20 + 110 * place, height=60) for place, number in enumerate(NUMBERS)),
        qr("YT0012345678901", x=640, y=40),
        size=(800, 900),
    )
    expected = [("Code 128", number) for number in NUMBERS] + [("QR Code", "YT0012345678901")]
    assert sorted(decode(drawn_js(label))) == sorted(expected)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_code128_is_native(rotation):
    """A turned Code 128 is a turned ^BC, dot for dot in its box."""
    label = page(bars("YT0012345678901", rotation=rotation, module=2), size=(600, 600))
    assert "^BC" in dict(commands(zpl(label)))
    assert differing(drawn(label), raster.image(label)) == 0


def test_a_symbol_that_automatic_mode_would_plan_otherwise_goes_as_dots():
    """Set B forced by the template, or a > in the data (the sign of ^BC's own codes), is drawn and not left to the printer."""
    from labelsvc.labels import symbols

    forced = symbols.code128("12345678", "B")
    mark = bars("12345678")._replace(widths=forced.widths, plan=forced.plan, width=forced.modules * 3)
    for odd, data in ((mark, "12345678"), (bars(">:A>51234"), ">:A>51234")):
        label = page(odd, size=(800, 200))
        assert "^BC" not in dict(commands(zpl(label)))
        assert decode(drawn(label)) == [("Code 128", data)]


@pytest.mark.parametrize("module", [3, 5])
@pytest.mark.parametrize(
    "data", ["YT0012345678901", "https://example.org/t?n=YT0012345678901&k=^~_\\,>", "7" * 40]
)
def test_qr_is_native_and_stays_in_its_box(data, module):
    """A QR is a ^BQ that decodes, lies where the layout put it in each reading of the guide, and leaves its quiet zone free."""
    mark = qr(data, x=60, y=70, module=module)
    label = page(mark, bars("A1"[:2], x=60, y=330, module=2, height=50), size=(400, 420))
    assert "^BQ" in dict(commands(zpl(label)))
    box = (mark.x, mark.y, mark.x + mark.width, mark.y + mark.height)
    for profile in PROFILES:
        picture = drawn(label, profile)
        assert ("QR Code", data) in decode(picture)
        assert ink(picture.crop((0, 0, 400, 320))) == box


@needs_js
def test_qr_of_the_second_renderer_is_off_by_less_than_a_module():
    """zpl-renderer-js moves a ^BQ down by the height of ^BY, here one dot: within the quiet zone."""
    mark = qr("YT0012345678901", x=60, y=70)
    left, top, right, bottom = ink(drawn_js(page(mark)))
    assert (left, right) == (60, 60 + mark.width) and 0 <= top - 70 <= 1 and bottom - top == mark.height


def test_chinese_in_a_qr_goes_as_dots():
    """A QR of Chinese text, whose packing printers disagree on, is drawn exactly as laid out."""
    label = page(qr("收件人 张三"), size=(300, 300))
    assert "^BQ" not in dict(commands(zpl(label)))
    assert decode(drawn(label)) == [("QR Code", "收件人 张三")]


# ── text, lines, pictures ──


@pytest.mark.parametrize("dpi", [203, 300])
def test_what_goes_as_dots_is_the_picture_dot_for_dot(dpi):
    """Chinese, mixed, turned, spaced and underlined text, frames, lines and pictures come out as in our own picture."""
    label = page(
        text("欧阳𠮷㛃 先生", x=20, y=20, size=40, weight=700),
        text("浙江省杭州市 1201室 A座", x=20, y=80, size=26),
        text("已验视", x=500, y=20, size=30, rotation=90),
        text("代收", x=400, y=200, size=30, rotation=270),
        text("YT0012345678901", x=20, y=120, size=24, letter_spacing=3),
        text("重要", x=300, y=140, size=24, underline=True),
        text("330-A12-08", x=20, y=180, size=90, weight=700),
        LineMark(10, 300, 590, 300, 2),
        LineMark(10, 310, 590, 310, 2, dash=(8, 5)),
        LineMark(300, 310, 300, 390, 3),
        LineMark(20, 320, 90, 380, 3),
        RectMark(5, 5, 598, 390, 2),
        RectMark(330, 320, 100, 60, 3, radius=12),
        RectMark(450, 320, 60, 61, 0, fill=True),
        ImageMark(540, 320, 12, 2, bytes([0xF0, 0xF0, 0x0F, 0x0F])),
        dpi=dpi,
    )
    for profile in PROFILES:
        assert differing(drawn(label, profile), raster.image(label)) == 0
    if missing_js() is None:
        assert differing(drawn_js(label), raster.image(label)) == 0


def test_ascii_text_is_native_and_lies_where_it_was_laid_out():
    """ASCII text is ^A0 on the layout's baseline, never wider than its line, within a few dots of its height and width."""
    mark = text("13800138000 Room B", x=50, y=60, size=32)
    label = page(mark, size=(608, 200))
    read = dict(commands(zpl(label)))
    assert "^A0" in read and "^GF" not in read
    ours = ink(raster.image(label))
    pictures = [drawn(label, profile) for profile in PROFILES]
    pictures += [drawn_js(label)] if missing_js() is None else []
    for picture in pictures:
        left, top, right, bottom = ink(picture)
        assert abs(bottom - ours[3]) <= 1 and abs(top - ours[1]) <= 3
        assert mark.x <= left <= ours[0] + 10 and ours[2] - 24 <= right <= mark.x + mark.width


@given(
    words=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30).filter(
        str.strip
    ),
    size=st.integers(14, 60),
)
@settings(max_examples=40, deadline=None)
def test_native_text_is_never_wider_than_laid_out(words, size):
    """Whatever the ASCII text, the printer's font stays inside the width that the layout gave it."""
    mark = text(words, x=20, y=20, size=size)
    label = page(mark, size=(mark.width + 60, 120))
    found = ink(drawn(label, "zd621"))
    if found:
        # The fonts' own side bearings may stand out by a dot or two.
        assert found[0] >= 18 and found[2] <= 20 + mark.width + 2


def test_inverse_text_is_white_on_black_in_the_stream():
    """A black box and the white text on it leave as one picture, for a printer can only add black."""
    label = page(
        RectMark(40, 40, 60, 60, 0, fill=True),
        text("收", x=48, y=46, size=44, weight=700, inverse=True),
        text("寄", x=200, y=46, size=44, weight=700),
    )
    assert differing(drawn(label), raster.image(label)) == 0


def test_offset_moves_the_print_and_cuts_what_leaves_the_paper():
    """A printer's offset moves every mark by its dots, also off the paper's left and top."""
    label = page(
        text("浙江省", x=4, y=3, size=40),
        LineMark(2, 60, 200, 60, 3),
        RectMark(0, 0, 300, 80, 2),
        bars("A1", x=100, y=20, height=30, module=2),
        size=(320, 120),
    )
    plain = raster.image(label).convert("L")
    for across, down in ((5, 7), (-9, -6), (0, -3)):
        moved = Image.new("L", plain.size, 255)
        moved.paste(plain, (across, down))
        assert differing(drawn(label, offset_x=across, offset_y=down), moved) == 0


def test_darkness_and_speed_are_set_only_when_asked_for():
    """~SD and ^PR stand in the stream if, and only if, the target names them; darkness keeps within the scale."""
    assert {command for command, _ in commands(zpl(page(text("张"))))} <= OURS
    asked = commands(zpl(page(text("张")), darkness=40, speed=6))
    assert asked[0] == ("~SD", "30") and ("^PR", "6") in asked


def test_one_label_of_the_pages_size():
    """The stream is one format, its width and length the page's, in printable ASCII, and the same each time."""
    label = page(text("张三"), bars("YT0012345678901", y=100), size=(600, 1040))
    stream = zpl(label)
    assert stream == zpl(label) and re.fullmatch(rb"[\x20-\x7E\n]+", stream)
    read = commands(stream)
    assert [command for command, _ in read].count("^XA") == 1
    assert read[0][0] == "^XA" and read[-1][0] == "^XZ" and ("^PW", "600") in read and ("^LL", "1040") in read


def test_a_page_of_another_resolution_is_refused():
    """A page composed for 203 dpi isn't sent to a printer of 300: it would come out a third too small."""
    with pytest.raises(Invalid) as refused:
        encode(page(text("张三")), Target("zpl", 300))
    assert refused.value.code == "page.dpi"


# ── compression ──


def unpacked(data: str, stride: int) -> bytes:
    """The guide's alternative data compression undone, read for this test alone."""
    rows: list[str] = []
    row, count = "", 0
    for sign in data:
        if "G" <= sign <= "Y":
            count += ord(sign) - ord("F")
        elif "g" <= sign <= "z":
            count += 20 * (ord(sign) - ord("f"))
        else:
            if sign == ",":
                row = row.ljust(stride * 2, "0")
            elif sign == ":":
                assert row == ""
                row = rows[-1]
            else:
                row += sign * (count or 1)
                count = 0
            if len(row) == stride * 2:
                rows.append(row)
                row = ""
    assert row == ""
    return bytes.fromhex("".join(rows))


@given(
    stride=st.integers(1, 260),
    rows=st.lists(
        st.tuples(st.sampled_from([0, 1, 15, 16, 255, 0x5A]), st.integers(0, 300)), min_size=1, max_size=6
    ),
)
@settings(max_examples=60, deadline=None)
def test_compressed_dots_are_the_dots(stride, rows):
    """Any picture comes back from the compressed form: runs of every length, blank rows, rows like the one before."""
    content = b"".join(
        bytes([value]) * min(length, stride) + bytes(max(0, stride - length)) for value, length in rows
    )
    bits = content + content[-stride:]
    label = page(ImageMark(0, 0, stride * 8, len(rows) + 1, bits), size=(stride * 8, len(rows) + 1))
    read = [rest for command, rest in commands(zpl(label)) if command == "^GF"]
    if not any(bits):
        assert read == []
        return
    kind, total, again, row_bytes, data = read[0].split(",", 4)
    assert (kind, total) == ("A", again)
    found = unpacked(data, int(row_bytes))
    assert len(found) == int(total)
    picture = Image.new("L", (label.width, label.height), 255)
    (place,) = [rest for command, rest in commands(zpl(label)) if command == "^FO"]
    x, y = map(int, place.split(","))
    piece = Image.frombytes("1", (int(row_bytes) * 8, len(found) // int(row_bytes)), found)
    picture.paste(0, (x, y), piece)
    assert differing(picture, raster.image(label)) == 0


# ── injection ──

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text("^~_\\>:;,XZAJRFSDH0123456789 \n\r\t\"'收张", max_size=40),
    st.sampled_from(
        ["^XZ~JR", "^XZ^XA^FO0,0^GB800,800,800^FS", "_5EXZ", "^FS^PQ99", "~HS", ">8>:^", "\x02\x03\x1b"]
    ),
)


@given(words=HOSTILE.filter(bool), size=st.integers(12, 60), rotation=st.sampled_from([0, 90, 180, 270]))
@settings(max_examples=150, deadline=None)
def test_text_never_becomes_a_command(words, size, rotation):
    """For any text in a text mark, ^ and ~ stand in the stream only where the encoder put them, and native text is exact."""
    stream = zpl(page(text(words, size=size, rotation=rotation)))
    read = [command for command, _ in commands(stream)]
    assert set(read) <= OURS
    assert (read.count("^XA"), read.count("^XZ"), read[0], read[-1]) == (1, 1, "^XA", "^XZ")
    assert fields(stream) in ([], [words.strip(" ")])


@given(data=st.text(st.characters(max_codepoint=0x7E), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_data_of_symbols_never_becomes_a_command(data):
    """For any ASCII data in a Code 128 and a QR, the same holds."""
    stream = zpl(page(bars(data), qr(data, y=150)))
    assert {command for command, _ in commands(stream)} <= OURS
    assert set(fields(stream)) <= {data, f"MA,{data}"}


def test_a_recipient_named_like_a_command_prints_as_that():
    """A recipient named ^XZ~JR prints as exactly those characters: one label, and the text is on it."""
    for mark in (text("^XZ_JR 5", x=30, y=30), text("^XZ~JR", x=30, y=30), text("张^XZ~JR", x=30, y=30)):
        label = page(mark, size=(300, 100))
        found = ink(drawn(label))
        assert found is not None and found[2] - found[0] > mark.width * 0.8
    assert fields(zpl(page(text("^XZ_JR 5")))) == ["^XZ_JR 5"]
