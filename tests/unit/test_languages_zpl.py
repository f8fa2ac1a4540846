"""ZPL: drawn by renderers that this project did not write, and searched for commands that data might have brought in."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops
from support.pages import bars, page, qr, text
from support.readers import decode, missing_js, zpl_to_image, zpl_to_image_js

from labelsvc.errors import Invalid
from labelsvc.labels import (
    BarMark,
    EllipseMark,
    Fixed,
    GroupMark,
    ImageMark,
    LineMark,
    MatrixMark,
    Page,
    RectMark,
    fonts,
    symbols,
)
from labelsvc.languages import Target, encode, raster
from labelsvc.languages import zpl as language

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


def drawn_js(label, **options) -> Image.Image:
    picture, reason = zpl_to_image_js(zpl(label, **options), (label.width, label.height), label.dpi)
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
    found = re.findall(rb"([\^~])([A-Z][A-Z0-9@])([^\^~]*)", stream)
    cut = re.split(rb"[\^~]", stream)[1:]
    assert len(found) == len(cut), "a ^ or ~ that begins no command"
    assert stream[:1] in (b"^", b"~")
    return [((mark + name).decode(), rest.decode().rstrip("\n")) for mark, name, rest in found]


def fields(stream: bytes) -> list[str]:
    """What each ^FD prints, its escapes undone where ^FH_ stands before it."""
    read = commands(stream)
    out = []
    for (before, escape), (command, data) in itertools.pairwise(read):
        if command == "^FD":
            raw = data.encode()
            if before == "^FH":
                assert escape == "_"
                raw = re.sub(rb"_([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), raw)
            out.append(raw.decode())
    return out


OURS = {
    "^XA", "^CI", "^LH", "^LR", "^PW", "^LL", "^FO", "^FT", "^A0", "^FH", "^FD", "^FS", "^GF", "^GB", "^BY", "^BC",
    "^BQ", "^XZ",
}  # fmt: skip
#: A font in the printer, and what a label is told besides.
BY_FONT = {"letters": "font", "font": "E:SIMSUN.TTF"}


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


@pytest.mark.parametrize("graphics", ["raw", "runs", "zip"])
@pytest.mark.parametrize("dpi", [203, 300])
def test_what_goes_as_dots_is_the_picture_dot_for_dot(dpi, graphics):
    """Chinese, turned, spaced and underlined text, shapes, lines, groups and pictures come out as in our own picture, in
    each packing."""
    label = page(
        text("欧阳𠮷㛃 先生", x=20, y=20, size=40, weight=700),
        text("浙江省杭州市余杭区", x=20, y=80, size=26),
        text("已验视", x=500, y=20, size=30, rotation=90),
        text("代收", x=400, y=200, size=30, rotation=270),
        text("YT0012345678901", x=20, y=120, size=24, letter_spacing=3),
        text("重要", x=300, y=140, size=24, underline=True),
        text("分拨中心", x=20, y=180, size=90, weight=700),
        text("倾斜", x=20, y=150, size=24)._replace(italic=True),
        EllipseMark(450, 210, 60, 40, 3),
        GroupMark((text("作废作废", x=500, y=140, size=30),), (505, 140, 80, 40), 20, 540, 160),
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
        assert differing(drawn(label, profile, graphics=graphics), raster.image(label)) == 0
    if missing_js() is None:
        assert differing(drawn_js(label, graphics=graphics), raster.image(label)) == 0


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
        assert found[0] >= 18 and found[2] <= 20 + mark.width + 2 + size // 24


def test_the_printer_takes_the_ascii_out_of_a_chinese_line():
    """Digits and letters of a mixed line are the printer's, where the layout has them; all else is the picture, dot for dot."""
    mark = text("环城街1864号绿地城10栋1单元A座", x=20, y=20, size=32)
    label = page(mark, size=(608, 100))
    assert fields(zpl(label)) == ["1864", "10"]
    ours, theirs = raster.image(label).convert("L"), drawn(label)
    pen = mark.x
    for stretch in re.findall("[0-9]{2,}|.", mark.text):
        wide = fonts.face("sans-400").width(stretch, 32)
        box = (round(pen) + 1, 0, round(pen + wide) - 1, 100)
        if stretch.isdigit() and len(stretch) > 1:
            left, _, right, _ = ink(theirs.crop(box))
            assert left <= 5 and right >= box[2] - box[0] - 5, stretch
        else:
            assert differing(theirs.crop(box), ours.crop(box)) == 0, stretch
        pen += wide


def test_what_white_lies_on_goes_as_dots():
    """A printer only adds black: boxes, bars and text on which white is laid go with it into the picture, others don't."""
    label = page(
        RectMark(40, 40, 60, 60, 0, fill=True),
        text("收", x=48, y=46, size=44, weight=700, inverse=True),
        text("寄", x=200, y=46, size=44, weight=700),
        bars("A1", x=300, y=40, module=2),
        RectMark(320, 50, 30, 20, 2, erase=True),
        bars("B2", x=300, y=200, module=2),
        GroupMark((RectMark(310, 210, 20, 20, 0, erase=True),), (305, 200, 30, 40)),
        bars("C3", x=40, y=200, module=2),
    )
    read = commands(zpl(label))
    assert fields(zpl(label)) == ["C3"] and ("^GB", "30,20,2") not in read
    assert differing(drawn(label), raster.image(label)) == 0
    if missing_js() is None:
        assert differing(drawn_js(label), raster.image(label)) == 0


def test_no_picture_is_larger_than_printers_take():
    """A page full of dots goes in several pictures, each within the limit, cut at blank rows where there are any."""
    words = tuple(text("浙江省杭州市余杭区五常街道" * 3, x=8, y=8 + 50 * line, size=20) for line in range(28))
    full = ImageMark(0, 0, 800, 1430, (bytes([255]) * 50 + bytes(49) + b"\x01") * 1430)
    for label in (page(*words, size=(808, 1440)), page(full, size=(808, 1440))):
        sizes = [int(rest.split(",")[1]) for command, rest in commands(zpl(label)) if command == "^GF"]
        assert len(sizes) > 1 and max(sizes) <= 25_000
        assert differing(drawn(label), raster.image(label)) == 0


# ── what is the same on every label ──


@pytest.mark.parametrize("options", [{}, {"graphics": "zip", "offset_x": -9}, BY_FONT])
def test_a_fixed_part_is_said_once_and_prints_the_same(options):
    """A page with a fixed part prints what the page without one does, for each target; only its own part is made anew."""
    still = (RectMark(5, 5, 598, 390, 3), text("寄件人", x=20, y=20, size=30), text("RETURN 5", x=20, y=70))
    fixed = Fixed(still)
    for words in ("张三", "欧阳晓晴"):
        own = (text(words, x=160, y=20, size=30), bars("A1B2", y=120))
        label, plain = Page(608, 400, 203, (*still, *own), (), fixed), page(*still, *own)
        if "letters" in options:
            assert fields(zpl(label, **options)) == fields(zpl(plain, **options))
            assert zpl(label, **options).count(b"SIMSUN") == 1
        else:
            assert differing(drawn(label, **options), drawn(plain, **options)) == 0
    assert len(fixed.kept) == 1


def test_a_labels_white_on_the_fixed_part_still_shows():
    """White text of a label on a black box of the fixed part is white: the fixed part is then not taken as it was kept."""
    ground = RectMark(40, 40, 160, 60, 0, fill=True)
    fixed = Fixed((ground,))
    zpl(Page(608, 400, 203, (ground, text("张", y=200)), (), fixed))
    mark = text("补打", x=48, y=46, size=44, weight=700, inverse=True)
    label = Page(608, 400, 203, (ground, mark), (), fixed)
    assert differing(drawn(label), raster.image(label)) == 0


# ── a font in the printer ──


def test_chinese_by_the_printers_font():
    """With a font in the printer a mixed line is one field of raw UTF-8, the font named once, and no dots are sent."""
    label = page(
        text("收件人 欧阳晓晴 138", x=20, y=20, size=32),
        text("浙江省杭州市", x=20, y=80),
        text("13800138000", x=20, y=120),
    )
    stream = zpl(label, **BY_FONT)
    read = commands(stream)
    assert fields(stream) == ["收件人 欧阳晓晴 138", "浙江省杭州市", "13800138000"]
    assert [rest.split(",")[3:] for command, rest in read if command == "^A@"] == [["E:SIMSUN.TTF"], []]
    assert ("^A@", "N,24,24") in read and "^GF" not in dict(read) and ("^CI", "28") in read


@pytest.mark.parametrize(
    ("coverage", "native"),
    [("gb2312", "张"), ("gbk", "张镕"), ("gb18030", "张镕㛃"), ("unicode", "张镕㛃𠮷")],
)
def test_what_the_printers_font_lacks_goes_as_dots(coverage, native):
    """A line with a character beyond what the printer's font covers goes as dots, whole; the others don't."""
    for char in "张镕㛃𠮷":
        label = page(text(f"收{char}件", size=30))
        stream = zpl(label, coverage=coverage, **BY_FONT)
        assert fields(stream) == ([f"收{char}件"] if char in native else []), char
        if char not in native:
            assert differing(drawn(label, coverage=coverage, **BY_FONT), raster.image(label)) == 0


@pytest.mark.parametrize("packing", ["zip", "runs"])
def test_our_own_font_downloaded_draws_where_the_layout_is(packing):
    """Our font, downloaded by ~DY and drawn by zplkit through ^A@, lies on the layout's baseline and stays in the layout's
    width; however it is packed."""
    words = "收件人欧阳晓晴 浙江省 1381234"
    font = language.font_download(fonts.subset_ttf("sans-400", words), "E:NOTO.TTF", packing)
    mark = text(words, x=40, y=60, size=40)
    label = page(mark, size=(700, 160))
    stream = zpl(label, letters="font", font="E:NOTO.TTF")
    assert fields(stream) == [words]
    left, top, right, bottom = ink(zpl_to_image(font + stream, (700, 160)))
    ours = ink(raster.image(label))
    assert abs(left - ours[0]) <= 4 and right <= mark.x + mark.width + 1
    assert abs(bottom - ours[3]) <= 14 and abs(top - ours[1]) <= 14


def test_a_font_download_is_the_font_and_nothing_else():
    """~DY carries the font under a name that is checked, in letters, so that the next command ends one that was cut; other
    names and other files are refused."""
    font = fonts.subset_ttf("sans-400", "收")
    head = b"~DYE:NOTO,A,T,%d,," % len(font)
    sent = language.font_download(font, "E:NOTO.TTF", "runs")
    assert sent.startswith(head) and bytes.fromhex(sent.removeprefix(head).decode()) == font
    zipped = language.font_download(font, "E:NOTO.TTF").removeprefix(head).strip().decode()
    _, kind, letters, check = zipped.split(":")
    assert (kind, zlib.decompress(base64.b64decode(letters))) == ("Z64", font)
    assert int(check, 16) == binascii.crc_hqx(letters.encode(), 0)
    assert not set(b"^~") & set(zipped.encode())
    for name in ("NOTO.TTF", "E:NOTO^XZ.TTF", "E:TOOLONGNAME.TTF", "E:NOTO", "C:NOTO.TTF", "E:NOTO.TTF\n"):
        with pytest.raises(Invalid) as refused:
            language.font_download(font, name)
        assert refused.value.code == "font.name"
        with pytest.raises(Invalid):
            zpl(page(text("张")), letters="font", font=name)
    with pytest.raises(Invalid) as refused:
        language.font_download(b"OTTO" + font, "E:NOTO.TTF")
    assert refused.value.code == "font.format"


# ── symbols that printers know ──


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("code39", "ABC-123 $"),
        ("code93", "TEST93"),
        ("c25inter", "12345678"),
    ],
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_other_bar_codes_are_native_module_for_module(kind, data, rotation):
    """What the printer draws for these types is, dot for dot, what was laid out."""
    symbol = symbols.encode(kind, data)
    length = symbol.modules * 2
    wide, high = (80, length) if rotation else (length, 80)
    mark = BarMark(60, 50, wide, high, 2, 20, kind, symbol.data, symbol.widths, symbol.plan, rotation)
    label = page(mark, size=(600, 600))
    assert "^GF" not in dict(commands(zpl(label)))
    for profile in PROFILES:
        assert differing(drawn(label, profile), raster.image(label)) == 0


@pytest.mark.parametrize(
    ("kind", "data"),
    [("ean13", "690123456789"), ("upca", "01234567890"), ("itf14", "1234567890123")],
)
def test_bar_codes_that_printers_draw_otherwise_go_as_dots(kind, data):
    """EAN and UPC, whose guard bars a printer lengthens, and ITF-14 are drawn as laid out."""
    symbol = symbols.encode(kind, data)
    mark = BarMark(60, 50, 2 * symbol.modules, 80, 2, 20, kind, symbol.data, symbol.widths)
    label = page(mark, size=(600, 200))
    assert "^GF" in dict(commands(zpl(label))) and differing(drawn(label), raster.image(label)) == 0


@pytest.mark.parametrize("kind", ["datamatrix", "aztec", "pdf417"])
def test_other_matrix_codes_go_as_dots(kind):
    """Symbols that printers size and pack by their own rules are drawn as laid out."""
    symbol = symbols.encode(kind, "YT0012345678901")
    rows = tuple(symbol.rows)
    mark = MatrixMark(60, 50, 3 * len(rows[0]), 3 * len(rows), 3, 6, kind, symbol.data, rows)
    label = page(mark)
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


def test_darkness_speed_and_cut_are_set_only_when_asked_for():
    """~SD, ^PR and ^MM stand in the stream if, and only if, the target names them; darkness keeps within the scale."""
    assert {command for command, _ in commands(zpl(page(text("张"))))} <= OURS
    asked = commands(zpl(page(text("张")), darkness=40, speed=6))
    assert asked[0] == ("~SD", "30") and ("^PR", "6") in asked
    assert ("^MM", "C") in commands(zpl(page(text("张")), cut=True))


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


def unzipped(data: str) -> bytes:
    """A Z64 field undone, its check sum computed bit by bit as the guide's CRC-16 is (polynomial 0x1021, from 0)."""
    _, kind, text, check = data.split(":")
    assert kind == "Z64"
    crc = 0
    for byte in text.encode("ascii"):
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    assert f"{crc:04X}" == check
    return zlib.decompress(base64.b64decode(text, validate=True))


def test_a_slow_link_gets_fewer_bytes():
    """On a slow link the same picture takes less room."""
    label = page(
        *(text("浙江省杭州市余杭区五常街道文一西路", y=20 + 40 * line, size=32) for line in range(8))
    )
    fast, slow = (zpl(label, graphics="zip", slow_link=slow) for slow in (False, True))
    assert len(slow) < len(fast) and differing(drawn(label, graphics="zip"), raster.image(label)) == 0


@given(
    stride=st.integers(1, 260),
    rows=st.lists(
        st.tuples(st.sampled_from([0, 1, 15, 16, 255, 0x5A]), st.integers(0, 300)), min_size=1, max_size=6
    ),
    packing=st.sampled_from(["raw", "runs", "zip"]),
)
@settings(max_examples=60, deadline=None)
def test_compressed_dots_are_the_dots(stride, rows, packing):
    """Any picture comes back from its packed form: runs of every length, blank rows, rows like the one before."""
    content = b"".join(
        bytes([value]) * min(length, stride) + bytes(max(0, stride - length)) for value, length in rows
    )
    bits = content + content[-stride:]
    label = page(ImageMark(0, 0, stride * 8, len(rows) + 1, bits), size=(stride * 8, len(rows) + 1))
    stream = zpl(label, graphics=packing)
    read = [rest for command, rest in commands(stream) if command == "^GF"]
    if not any(bits):
        assert read == []
        return
    kind, total, again, row_bytes, data = read[0].split(",", 4)
    assert (kind, total) == ("A", again)
    found = {"raw": bytes.fromhex, "runs": lambda data: unpacked(data, int(row_bytes)), "zip": unzipped}[
        packing
    ](data)
    assert len(found) == int(total)
    picture = Image.new("L", (label.width, label.height), 255)
    (place,) = [rest for command, rest in commands(stream) if command == "^FO"]
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


@given(
    words=HOSTILE.filter(bool),
    size=st.integers(12, 60),
    rotation=st.sampled_from([0, 90, 180, 270]),
    options=st.sampled_from([{}, {"graphics": "zip"}, BY_FONT, {**BY_FONT, "coverage": "unicode"}]),
)
@settings(max_examples=200, deadline=None)
def test_text_never_becomes_a_command(words, size, rotation, options):
    """For any text in a text mark, ^ and ~ stand in the stream only where the encoder put them, and native text is exact."""
    stream = zpl(page(text(words, size=size, rotation=rotation)), **options)
    read = [command for command, _ in commands(stream)]
    assert set(read) <= OURS | {"^A@"}
    assert (read.count("^XA"), read.count("^XZ"), read[0], read[-1]) == (1, 1, "^XA", "^XZ")
    assert all((said in words and said == said.strip(" ")) or said == words for said in fields(stream))


@pytest.mark.parametrize("options", [{}, BY_FONT, {**BY_FONT, "coverage": "unicode"}])
def test_no_byte_and_no_prefix_escapes(options):
    """Every byte 0 to 255 and every sign that begins a command, before, in and after Chinese and ASCII text and in symbols."""
    known = set(commands(zpl(page(text("收A1张"), bars("A1"), qr("A1")), **options)))
    known = {command for command, _ in known} | OURS | {"^A@"}
    for odd in (
        *map(chr, range(256)),
        "^",
        "~",
        "^XZ",
        "~JR",
        "^FS^XZ^XA",
        "_5E",
        "\u2028",
        "\ufeff",
        "\U000e0041",
    ):
        for words in (f"{odd}A1", f"A{odd}1", f"收{odd}张", f"收件A1{odd}"):
            stream = zpl(page(text(words), size=(900, 400)), **options)
            read = [command for command, _ in commands(stream)]
            assert set(read) <= known and read.count("^XA") == read.count("^XZ") == 1
            assert all(said in words for said in fields(stream))
        if odd.isascii():
            stream = zpl(page(bars(f"A{odd}1"), qr(f"A{odd}1", y=200), size=(1500, 400)), **options)
            assert {command for command, _ in commands(stream)} <= known
            assert set(fields(stream)) <= {f"A{odd}1", f"MA,A{odd}1"}


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
