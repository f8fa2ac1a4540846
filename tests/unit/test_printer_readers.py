"""The readers of TSPL, CPCL and ESC/POS draw what the manuals' own examples and another program's streams say, and refuse the rest."""

import numpy as np
import pytest
from PIL import Image
from support import cpcl_reader, escpos_reader, tspl_reader
from support.paper import Fault, Paper
from support.readers import decode


def tspl(body: str, **given) -> Paper:
    """The one label of a TSPL stream of 60 × 40 mm around some commands."""
    head = "SIZE 60 mm,40 mm\r\nGAP 2 mm,0 mm\r\nDIRECTION 1\r\nCLS\r\n"
    (paper,) = tspl_reader.read((head + body + "PRINT 1,1\r\n").encode("latin-1"), **given)
    return paper


def cpcl(body: str, size=(480, 320)) -> Paper:
    """The one label of a CPCL session around some commands."""
    head = f"! 0 200 200 {size[1]} 1\r\nPAGE-WIDTH {size[0]}\r\n"
    (paper,) = cpcl_reader.read((head + body + "FORM\r\nPRINT\r\n").encode("latin-1"))
    return paper


def escpos(stream: bytes, width=576) -> Paper:
    (paper,) = escpos_reader.read(b"\x1b@" + stream, width)
    return paper


def padded(paper: Paper) -> Image.Image:
    """The picture with white all round, for a symbol that lies at the paper's edge."""
    return Image.fromarray(~np.pad(paper.ink, 40)).convert("L")


def test_tspl_bitmap_prints_its_zero_bits():
    """The manual's bitmap is an arrow of white on black: its first dots, of bits 0, are black."""
    rows = [
        "0000",
        "0000",
        "0000",
        "07FF",
        "03FF",
        "11FF",
        "18FF",
        "1C7F",
        "1E3F",
        "1F1F",
        "1F8F",
        "1FC7",
        "1FE3",
        "1FE7",
        "1FFF",
        "1FFF",
    ]
    paper = tspl("BITMAP 200,200,2,16,0," + bytes.fromhex("".join(rows)).decode("latin-1") + "\r\n")
    assert paper.ink[200:203, 200:216].all()
    assert [int(i) for i in np.flatnonzero(~paper.ink[203, 200:216])] == list(range(5, 16))
    assert paper.ink.sum() == sum(16 - int(row, 16).bit_count() for row in rows)


@pytest.mark.parametrize(("mode", "black"), [(0, 24), (1, 64), (2, 40)])
def test_tspl_bitmap_modes(mode, black):
    """OVERWRITE, OR and XOR over a black square."""
    halves = b"\xf0\xf8" * 4 if mode != 0 else b"\xf8" * 8
    paper = tspl(f"BAR 0,0,8,8\r\nBITMAP 0,0,1,8,{mode}," + halves.decode("latin-1") + "\r\n")
    assert (
        paper.ink.sum() == black
        if mode != 2
        else paper.ink.sum() == 64 - sum(8 - b.bit_count() for b in halves)
    )


def test_tspl_draws_text_and_symbols_where_it_is_told():
    """Text in the resident Chinese font, Code 128 automatic and by hand, a QR code turned about its corner."""
    gb = "张三丰 A1".encode("gb18030").decode("latin-1")
    paper = tspl(
        f'TEXT 10,20,"TSS24.BF2",0,2,1,"{gb}"\r\n'
        'BARCODE 40,80,"128",60,0,0,2,4,"YT8800123"\r\n'
        'BARCODE 40,160,"128M",60,0,0,2,4,"!104YT!09988001234"\r\n'
        'QRCODE 460,20,M,4,A,90,M2,"a\\["]b"\r\n'
    )
    assert paper.texts() == ["张三丰 A1"]
    text = paper.drawn[0]
    assert text.box == (10, 20, 10 + 2 * (3 * 24 + 3 * 12), 44)
    assert [(each.text, each.y) for each in paper.symbols()] == [
        ("YT8800123", 80),
        ("YT88001234", 160),
        ('a"b', 20),
    ]
    assert paper.symbols()[2].box[2] == 460
    assert {text for _, text in decode(paper.picture)} == {"YT8800123", "YT88001234", 'a"b'}


@pytest.mark.parametrize(
    "body",
    [
        'TEXT 10,20,"TSS24.BF2",0,1,1,"a\r\nSELFTEST\r\n"\r\n',
        'TEXT 10,20,"TSS24.BF2",0,1,1,"a"b"\r\n',
        'TEXT 10,20,"TSS24.BF2",0,1,1,"\x00"\r\n',
        'TEXT 10,20,"TSS24.BF2",0,1,1,"\xb0"\r\n',
        'TEXT 10,20,"TSS24.BF2",45,1,1,"a"\r\n',
        'TEXT 470,20,"TSS24.BF2",0,1,1,"abc"\r\n',
        'TEXT 10,20,"NOFONT",0,1,1,"abc"\r\n',
        "BAR 0,0,481,2\r\n",
        "BAR 0,0,480\r\n",
        "BAR 0,0,1.5,2\r\n",
        "BITMAP 0,0,1,2,0,\xff\r\n",
        "BITMAP 479,0,1,1,0,\x00\r\n",
        "BITMAP 0,0,2,1,1,\x1b!\r\n",  # a reset inside a picture
        'QRCODE 0,0,M,4,A,0,"old model"\r\n',
        'BARCODE 0,0,"128",60,1,0,2,4,"A"\r\n',
        "SELFTEST\r\n",
        'DOWNLOAD "A.BAS"\r\n',
        "CLS\n",
    ],
)
def test_tspl_refuses_what_the_manual_does_not_allow(body):
    with pytest.raises(Fault):
        tspl(body)


def test_tspl_sizes():
    """203 dpi are 8 dots a mm, 600 dpi 600 an inch; dots and inches are units too."""
    assert (tspl("BAR 0,0,1,1\r\n").width, tspl("BAR 0,0,1,1\r\n").height) == (480, 320)
    assert tspl("BAR 0,0,1,1\r\n", dpi=600).width == 1417
    (paper,) = tspl_reader.read(b"SIZE 100 dot,2\r\nCLS\r\nBAR 99,405,1,1\r\nPRINT 1\r\n")
    assert (paper.width, paper.height) == (100, 406)


def test_cpcl_draws_the_manuals_examples():
    """Expanded graphics, a barcode and its vertical twin, a QR code, lines, a box: as the manual's examples."""
    paper = cpcl("EG 2 16 90 45 " + "F0F0" * 4 + "0F0F" * 4 + "F0F0" * 4 + "0F0F" * 4 + "\r\n")
    assert paper.ink.sum() == 128
    assert paper.ink[45, 90:94].all() and not paper.ink[45, 94:98].any()
    both = cpcl("BARCODE 128 2 1 50 10 10 ACROSS\r\nVBARCODE 128 2 1 50 250 230 UPWARD\r\n")
    horizontal, vertical = both.symbols()
    assert (horizontal.width, horizontal.height) == (vertical.height, vertical.width)
    assert vertical.box == (250, 230 - vertical.height, 300, 230)
    assert {text for _, text in decode(padded(both))} == {"ACROSS", "UPWARD"}
    code = cpcl(
        "B QR 10 50 M 2 U 8\r\nMA,QR code ABC123\r\nENDQR\r\nLINE 0 0 100 0 1\r\nBOX 300 0 400 100 2\r\n"
    )
    assert decode(padded(code))[0][1] == "QR code ABC123"
    assert code.ink[0, :100].all() and not code.ink[1, :100].any()
    assert (
        code.ink[0:2, 300:400].all() and code.ink[98:100, 300:400].all() and not code.ink[50, 302:398].any()
    )


def test_cpcl_compressed_graphics_and_chinese():
    raw = bytes(range(256)).decode("latin-1")
    paper = cpcl(f"CG 16 16 0 0 {raw}\r\n")
    assert paper.ink.sum() == sum(byte.bit_count() for byte in range(256))
    gb = "收件人 张三".encode("gb18030").decode("latin-1")
    paper = cpcl(
        f"COUNTRY CHINA\r\nSETMAG 2 2\r\nT GBUNSG24.CPF 0 20 30 {gb}\r\nSETMAG 0 0\r\nT90 8 0 20 300 {gb}\r\n"
    )
    assert paper.texts() == ["收件人 张三"] * 2
    assert paper.drawn[0].box == (20, 30, 20 + 2 * (5 * 24 + 12), 78)
    assert paper.drawn[1].box == (20, 300 - (5 * 24 + 12), 44, 300)


@pytest.mark.parametrize(
    "body",
    [
        "TEXT 8 0 10 10 a\nPRINT\r\n",
        "TEXT 8 0 10 10 \xb0\r\n",
        "TEXT GBUNSG24.CPF 0 10 10 \xb0\xa1\r\n",
        "TEXT 99 0 10 10 a\r\n",
        "TEXT 8 0 470 10 abc\r\n",
        "EG 1 1 0 0 F\r\n",
        "EG 1 1 0 0 fg\r\n",
        "CG 1 2 0 0 \xff\r\n",
        "CG 2 1 0 0 \x1bp\r\n",  # switch off, inside a picture
        "LINE 0 0 481 0 1\r\n",
        "LINE 0 0 10 0\r\n",
        "B 128 1 1 50 10 10 \r\n",
        "B QR 10 10 M 2 U 4\r\nMA,abc\r\nPRINT\r\n",
        "B QR 10 10 M 1 U 4\r\nMA,abc\r\nENDQR\r\n",
        "B QR 10 10 M 2 U 4\r\nMB0004,abc\r\nENDQR\r\n",
        "! U1 setvar \"device.reset\" \"\"\r\n",
        "DUMP\r\n",
    ],
)  # fmt: skip
def test_cpcl_refuses_what_the_manual_does_not_allow(body):
    with pytest.raises(Fault):
        cpcl(body)


@pytest.fixture(scope="module")
def dummy():
    from escpos.printer import Dummy

    return Dummy


@pytest.mark.parametrize("how", ["bitImageRaster", "graphics", "bitImageColumn"])
def test_escpos_draws_the_pictures_of_python_escpos(dummy, how):
    """Another program's three ways to send a picture give its dots."""
    # Dots of two by two: a lone one may spell a real-time command, which is a Fault.
    dots = np.kron(np.random.default_rng(4).random((48, 100)) < 0.3, np.ones((2, 2), bool))
    printer = dummy()
    printer.image(Image.fromarray(~dots), impl=how, center=False, fragment_height=48)
    paper = escpos(printer.output + b"\x1dV\x00", 576)
    assert np.array_equal(paper.ink[:96, :200], dots) and paper.ink.sum() == dots.sum()


def test_escpos_draws_the_text_and_symbols_of_python_escpos(dummy):
    """Native QR and Code 128 of python-escpos decode; texts come as written."""
    printer = dummy()
    printer.textln("Hello 123")
    printer.qr("https://example.com/1", native=True, size=6)
    printer.barcode("{BSF12345", "CODE128", function_type="B", pos="OFF", width=2, height=80)
    printer.cut()
    (paper,) = escpos_reader.read(b"\x1b@" + printer.output)
    assert {text for _, text in decode(padded(paper))} == {"https://example.com/1", "SF12345"}
    assert "".join(paper.texts()) == "Hello 123"


@pytest.mark.parametrize("direction", [0, 1, 2, 3])
def test_escpos_page_mode_turns_with_its_area(direction):
    """ESC T: text, picture and symbol run to the right, up, upside-down, down, from the area's four corners."""
    area = b"\x1bW" + b"".join(n.to_bytes(2, "little") for n in (40, 20, 300, 400))
    mark = b"\x1dv0\x00\x01\x00\x01\x00\x80"
    qr = b"\x1d(k\x03\x00\x31\x43\x04\x1d(k\x07\x00\x31P0ABCD\x1d(k\x03\x00\x31Q0"
    go = b"\x1b$\x00\x00\x1d$\x01\x00" + mark + b"\x1b$\x40\x00\x1d$\xb4\x00" + qr
    paper = escpos(b"\x1bL" + area + b"\x1bT" + bytes([direction]) + go + b"\x0c\x1dV\x00")
    corner = [(40, 20), (40, 419), (339, 419), (339, 20)][direction]
    assert paper.ink[corner[1], corner[0]]
    assert [text for _, text in decode(padded(paper))] == ["ABCD"]
    ((_, x, y, width, height, *_),) = [
        (e.what, e.x - 40, e.y - 20, e.width, e.height) for e in paper.symbols()
    ]
    side = 84
    assert (x, y) == [(64, 180 - side), (180 - side, 400 - 64 - side), (300 - 64 - side, 400 - 180), (300 - 180, 64)][direction]  # fmt: skip
    assert width == height == side


def test_escpos_chinese():
    """FS & takes GB 18030 in pairs and fours, doubled by FS !; without it such bytes are none of the code page's ASCII."""
    words = "收件人：张㛃"
    paper = escpos(b"\x1c&\x1c!\x0c" + words.encode("gb18030") + b"\x0a\x1dV\x00")
    assert "".join(paper.texts()) == words
    assert {(each.width, each.height) for each in paper.drawn} == {(48, 48)}


@pytest.mark.parametrize(
    "stream",
    [
        b"\x1bp\x00\x19\xfa",  # a drawer's pulse
        b"\x1dv0\x00\x01\x00\x02\x00\xff",  # a raster cut short
        b"\x1dv0\x00\x02\x00\x01\x00\x10\x14\x0a",  # a real-time command inside a picture
        b"\x1dv0\x00\x49\x00\x01\x00" + b"\xff" * 73,  # wider than the head
        b"abc",  # never printed
        b"\x01",
        b"\x1b\x01",
        b"\x1dk\x49\x05SF123",  # Code 128 without its set
        b"\x1dw\x01",
        b"\x1c&\xff\xff\x0a",
        b"\x1bL\x1bW\x00\x00\x00\x00\x10\x00\x10\x00\x1dv0\x00\x01\x00\x01\x00\xff\x0c",  # no position
        b"\x1bL\x1bW\x00\x00\x00\x00\x10\x00\x10\x00\x1b$\x0c\x00\x1d$\x04\x00\x1dv0\x00\x01\x00\x01\x00\xff\x0c",
        b"\x1bLabc",
        b"\x1d(k\x03\x00\x31Q0",  # printed without data
    ],
)
def test_escpos_refuses_what_the_reference_does_not_allow(stream):
    with pytest.raises(Fault):
        escpos(stream)
