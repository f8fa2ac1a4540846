"""PDF: size, fonts and text read back by PDFium and pypdf, bars by zxing-cpp."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor

import pypdf
import pytest
from PIL import Image, ImageChops
from support.pages import bars, page, qr, text
from support.readers import decode, pdf_size, pdf_text, pdf_to_image

from labelsvc import languages
from labelsvc.errors import Invalid
from labelsvc.labels import DOTS_PER_MM, LineMark, RectMark
from labelsvc.languages import Target, encode, raster

RARE = "𠮷㛃䶮𬭎"


def pdf(label, title: str = "YT0012345678901") -> bytes:
    return encode(label, Target("pdf", label.dpi), title)


def content(document: bytes) -> str:
    """The page's operators."""
    return pypdf.PdfReader(io.BytesIO(document)).pages[0].get_contents().get_data().decode("latin-1")


def fonts_of(document: bytes) -> list:
    resources = pypdf.PdfReader(io.BytesIO(document)).pages[0]["/Resources"]
    return [font.get_object() for font in resources["/Font"].values()] if "/Font" in resources else []


@pytest.mark.parametrize(
    ("width_mm", "height_mm", "dpi"), [(76, 130, 203), (100, 180, 203), (100, 150, 203), (76.2, 127, 300)]
)
def test_the_page_is_exactly_the_labels_size(width_mm, height_mm, dpi):
    """P6: the PDF's page is the label, to a thousandth of a point."""
    size = (round(width_mm * DOTS_PER_MM[dpi]), round(height_mm * DOTS_PER_MM[dpi]))
    found = pdf_size(pdf(page(text("张三"), size=size, dpi=dpi)))
    assert found == pytest.approx((width_mm / 25.4 * 72, height_mm / 25.4 * 72), abs=0.001)


@pytest.mark.parametrize("dpi", [203, 300])
def test_symbols_of_the_pdf_are_decoded(dpi):
    """Code 128 and QR of the PDF, drawn by PDFium, decode to their data."""
    label = page(
        bars("YT0012345678901", module=dpi // 100),
        bars("SF1234567890123", x=700, y=40, module=dpi // 100, rotation=90),
        qr("YT0012345678901", y=160, module=dpi // 70),
        size=(900, 900),
        dpi=dpi,
    )
    assert sorted(decode(pdf_to_image(pdf(label), DOTS_PER_MM[dpi] * 25.4))) == [
        ("Code 128", "SF1234567890123"),
        ("Code 128", "YT0012345678901"),
        ("QR Code", "YT0012345678901"),
    ]


def test_bars_are_vectors_of_whole_modules():
    """Each bar is one filled rectangle, its width and place a whole number of modules; no picture is in the file."""
    mark = bars("YT0012345678901", x=41)
    document = pdf(page(mark, size=(800, 200)))
    assert "3 0 0 80 41 40 cm" in content(document)
    found = [tuple(map(int, box)) for box in re.findall(r"(\d+) (\d+) (\d+) (\d+) re", content(document))]
    assert [width for _, _, width, _ in found] == list(mark.widths[::2])
    assert [x for x, *_ in found] == [sum(mark.widths[:place]) for place in range(0, len(mark.widths), 2)]
    assert all((y, height) == (0, 1) for _, y, _, height in found)
    assert b"/XObject" not in document


def test_all_fonts_are_embedded_and_helvetica_is_not_named():
    """Every font of the page is embedded with its Unicode map; the file doesn't rely on any font of the viewer's."""
    document = pdf(
        page(
            text("欧阳" + RARE, size=30),
            text("330-A12-08", y=100, weight=700),
            text("1/1", y=200, weight=500),
        )
    )
    found = fonts_of(document)
    assert len(found) >= 4  # three weights, and a second family for the rare characters
    for font in found:
        descriptor = font["/DescendantFonts"][0]["/FontDescriptor"]
        assert len(descriptor["/FontFile2"].get_object().get_data()) > 100 and "/ToUnicode" in font
    assert b"Helvetica" not in document
    names = [font["/BaseFont"] for font in found]
    assert len(set(names)) == len(names)


def test_a_page_without_text_names_no_font():
    """A page of bars alone has no font at all."""
    document = pdf(page(bars("A1")))
    assert fonts_of(document) == [] and b"Helvetica" not in document


@pytest.mark.parametrize(
    "words",
    [
        "欧阳娜娜",
        RARE,
        f"王{RARE}先生",
        "浙江省杭州市余杭区五常街道文一西路969号 A座 1201室",
        "^XZ~JR (test) \\ < > [x] {y} % #",
        "0571-88880000",
        "Größe ¥12.50 №5 × 2",
        "代收货款：￥100.00，易碎！",
    ],
)
def test_text_is_extracted_exactly(words):
    """The text of the PDF is, character for character, the text of the label, also beyond the BMP and across fonts."""
    assert pdf_text(pdf(page(text(words, x=10, size=20), size=(900, 100)))).strip("\n") == words


def test_text_is_exact_for_a_second_reader():
    """pypdf, which drops what reportlab's own map says of characters beyond the BMP, reads the same text."""
    document = pdf(page(text(f"收件人 王{RARE}", size=24)))
    assert pypdf.PdfReader(io.BytesIO(document)).pages[0].extract_text().strip() == f"收件人 王{RARE}"


def test_more_characters_than_one_simple_font_holds():
    """A label with more than 255 different characters of one face still has them all, exactly."""
    many = [chr(code) for code in range(0x4E00, 0x4E00 + 400)]
    lines = ["".join(many[at : at + 25]) for at in range(0, 400, 25)]
    label = page(*(text(line, x=5, y=5 + 24 * row, size=20) for row, line in enumerate(lines)))
    assert pdf_text(pdf(label)).split("\n")[: len(lines)] == lines


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_pdf_is_the_picture(rotation):
    """Drawn by PDFium, the PDF shows what our own picture shows, but for the soft edges of letters."""
    label = page(
        text("浙江省杭州 R2-B", x=100, y=100, size=40, rotation=rotation),
        text("重要", x=320, y=40, size=40, rotation=rotation, underline=True, letter_spacing=6),
        RectMark(400, 100, 80, 80, 0, fill=True),
        text("收", x=420, y=110, size=48, weight=700, rotation=rotation, inverse=True),
        text("王\U000f0000", x=300, y=250, size=40, rotation=rotation),
        RectMark(5, 5, 598, 390, 3),
        RectMark(500, 200, 80, 60, 4, radius=16),
        LineMark(20, 360, 580, 360, 2, dash=(10, 6)),
        LineMark(500, 300, 580, 340, 3),
        bars("A1", x=50, y=20, height=40, rotation=rotation),
        qr("A1", x=480, y=20, rotation=rotation),
        size=(608, 480),
    )
    ours = raster.image(label).convert("L")
    theirs = pdf_to_image(pdf(label)).resize(ours.size)
    # A dot may differ only where an edge is: both grown by a dot must cover the other's inside.
    off = ImageChops.difference(ours, theirs).point(lambda level: 255 if level > 160 else 0)
    assert off.histogram()[255] < 0.004 * off.width * off.height
    assert ink_box(theirs) == pytest.approx(ink_box(ours), abs=1)


def ink_box(picture: Image.Image) -> tuple[int, int, int, int]:
    return ImageChops.invert(picture).point(lambda level: 255 if level > 127 else 0).getbbox()


def test_modules_of_a_qr_leave_no_seam():
    """The QR is one path: no light line runs between its dark modules at an awkward scale."""
    mark = qr("YT0012345678901", x=20, y=20, module=4)
    picture = pdf_to_image(pdf(page(mark, size=(140, 140))), dpi=203.2 * 2.37)
    # The finder's centre is 3 × 3 dark modules.
    edge = [round((20 + 4 * place) * 2.37) for place in (2, 5)]
    square = picture.crop((edge[0] + 2, edge[0] + 2, edge[1] - 2, edge[1] - 2))
    assert max(square.get_flattened_data()) < 40


def test_the_title_is_the_given_one_and_nothing_else_tells():
    """The document's title is what was given; its other properties are constant, without a person's data or a date of today."""
    found = pypdf.PdfReader(io.BytesIO(pdf(page(text("欧阳娜娜"))))).metadata
    assert found.title == "YT0012345678901"
    assert "欧阳" not in str(dict(found)) and str(found.get("/CreationDate", "D:2000")).startswith("D:2000")


def test_the_same_page_gives_the_same_bytes_also_at_once():
    """Equal pages give equal bytes, one after another and from many threads at once."""
    labels = [
        page(text(f"欧阳{RARE}{number}"), text("330", y=90, weight=700), bars("A1", y=200))
        for number in range(6)
    ]
    one_by_one = [pdf(label) for label in labels]
    assert len(set(one_by_one)) == len(labels)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(pdf, labels * 3)) == one_by_one * 3


def test_a_document_of_several_labels_has_a_page_for_each():
    """All labels go into one document in their order, each page its own size; a stream that can't seek will do."""
    labels = [page(text(f"第{number}张"), size=(600 + number, 300)) for number in range(3)]

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.got = b""

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.got += bytes(data)
            return len(data)

    out = Pipe()
    assert languages.write(iter(labels), Target("pdf"), out, "批") == 3
    read = pypdf.PdfReader(io.BytesIO(out.got), strict=True)
    assert [found.extract_text().strip() for found in read.pages] == ["第0张", "第1张", "第2张"]
    assert [round(float(found.mediabox.width) / 72 * 203.2) for found in read.pages] == [600, 601, 602]
    assert read.metadata.title == "批"


def test_a_printers_labels_follow_each_other():
    """ZPL of several pages is the ZPL of each in turn; PNG takes one page, and both it and PDF need one."""
    labels = [page(text(f"A{number}")) for number in range(3)]
    out = io.BytesIO()
    assert languages.write(iter(labels), Target("zpl"), out) == 3
    assert out.getvalue() == b"".join(encode(label, Target("zpl")) for label in labels)
    assert languages.write((), Target("zpl"), out) == 0
    png = io.BytesIO()
    assert languages.write(labels[:1], Target("png"), png) == 1
    assert png.getvalue() == encode(labels[0], Target("png"))
    for several, language, code in (
        (labels, "png", "page.several"),
        ((), "png", "page.none"),
        ((), "pdf", "page.none"),
    ):
        with pytest.raises(Invalid) as refused:
            languages.write(several, Target(language), io.BytesIO())
        assert refused.value.code == code
