"""PDF: size, fonts and text read back by PDFium and pypdf, bars by zxing-cpp."""

from __future__ import annotations

import io
import itertools
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pypdf
import pytest
from PIL import Image, ImageChops, ImageFilter
from support.pages import bars, page, qr, text
from support.readers import decode, pdf_size, pdf_text, pdf_to_image

from labelsvc import languages
from labelsvc.errors import Invalid
from labelsvc.labels import (
    DOTS_PER_MM,
    EllipseMark,
    Fixed,
    Glyph,
    GroupMark,
    ImageMark,
    LineMark,
    MatrixMark,
    Page,
    RectMark,
    Run,
    StandardTemplates,
    TextMark,
    compose,
    fonts,
)
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


@pytest.mark.parametrize(
    "changes", [{"letter_spacing": 30}, {"rotation": 90}, {"rotation": 270}, {"italic": True}]
)
def test_text_is_extracted_exactly_however_it_is_set(changes):
    """Spacing makes no words, and neither turning nor leaning changes the text."""
    italic = changes.pop("italic", False)
    mark = text("浙江省杭州 R2-B", x=20, y=20, **changes)._replace(italic=italic)
    assert both_texts(page(mark, size=(900, 900))) == ["浙江省杭州 R2-B"] * 2


def test_a_hyphen_at_a_lines_end_stays_one():
    """A line that ends with a hyphen isn't joined with the next, as PDFium does with words that were divided."""
    lines = ["五常大道ABC-", "DEF大厦 12-", "34号-", "A座"]
    label = page(*(text(line, x=10, y=10 + 30 * place) for place, line in enumerate(lines)))
    assert both_texts(label) == ["\n".join(lines)] * 2


def test_a_missing_character_is_in_the_text_too():
    """A character that no font has is drawn as a box, and what is copied from the PDF is the character."""
    label = page(text("王\U000f0000先生"))
    assert both_texts(label) == ["王\U000f0000先生"] * 2
    assert "3 Tr" in content(pdf(label))


def shaped(words: str, x: int = 40, y: int = 40, size: int = 24) -> TextMark:
    """A text as if shaping had made one glyph of it, or as many as it pleases: three."""
    face = fonts.face("sans-400")
    glyphs = tuple(
        Glyph(face.gid(char), place * size * 0.8, place * 2.0) for place, char in enumerate("中國永")
    )
    return TextMark(x, y, 4 * size, size, size, 21, words, (Run("sans-400", words, 0, glyphs),))


@pytest.mark.parametrize("words", ["བཀྲ་ཤིས", "ئابدۇللا", "مۇھەممەت ئابدۇللا", "👨‍👩‍👧", "é"])
def test_shaped_text_is_extracted_exactly(words):
    """What shaping made glyphs of (Tibetan, Uyghur, joined emoji) is copied as the text it was, also from right to left."""
    assert both_texts(page(shaped(words))) == [words] * 2
    # The text itself isn't seen: what is drawn are the glyphs, which here are other ones.
    drawn = pdf_to_image(pdf(page(shaped(words))))
    assert ink_box(drawn) == ink_box(pdf_to_image(pdf(page(shaped("x")))))


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("欧阳𠮷", True),
        ("བཀྲ་ཤིས་དོན་གྲུབ།", True),
        ("王😀👨‍👩‍👧先生", True),
        ("ئابدۇللا", True),
        ("مۇھەممەت ئابدۇللا", False),
    ],
)
def test_the_text_of_a_whole_label_is_extracted_exactly(name, exact):
    """Every line of a waybill with a real name is in the text of its PDF as it stands on the label.

    (PDFium gives the words of a line that mixes directions in the order in which they lie; pypdf gives them as they are read.)
    """
    template = StandardTemplates(Path(__file__).parents[2] / "templates").get("waybill-76x130")
    address = {
        "province": "浙江省",
        "city": "杭州市",
        "district": "余杭区",
        "detail": "文一西路969号A-B座" * 5,
    }
    label = compose(
        template,
        {
            "waybillCode": "YT8800123456789",
            "recipient": {"name": name, "mobile": "13812345678", "address": address},
            "goods": {"count": 3},
            "custom": {"text": f"备注 {name} 易碎"},
            "routingInfo": {"routeCode": "830-120-00 012"},
        },
        203,
    )
    wanted = [mark.text.strip() for mark in label.marks if isinstance(mark, TextMark)]
    assert any(name in line for line in wanted) and len(wanted) > 8
    document = pdf(label)
    found = pypdf.PdfReader(io.BytesIO(document), strict=True).pages[0].extract_text()
    assert [line for line in wanted if line not in found] == []
    missed = [line for line in wanted if line not in pdf_text(document)]
    assert missed == [] or (not exact and missed == [f"备注 {name} 易碎"])


def both_texts(label: Page) -> list[str]:
    """The text as PDFium and as pypdf extract it."""
    document = pdf(label)
    return [
        pdf_text(document).strip("\n"),
        pypdf.PdfReader(io.BytesIO(document), strict=True).pages[0].extract_text().strip("\n"),
    ]


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


@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_bars_modules_lines_and_pictures_are_exact(dpi):
    """At the printer's resolution PDFium blackens exactly the dots of our own picture, and no more: all edges are whole dots."""
    chance = random.Random(dpi)
    size = round(100 * DOTS_PER_MM[dpi]), round(180 * DOTS_PER_MM[dpi])
    picture = ImageMark(
        377, 903, 101, 83, Image.frombytes("1", (101, 83), chance.randbytes(13 * 83)).tobytes()
    )
    label = page(
        *(bars("A1", x=31 + 57 * turn, y=500 + turn, module=2, rotation=turn * 90) for turn in range(4)),
        *(qr("A1", x=29 + 150 * turn, y=703 + turn, module=5, rotation=turn * 90) for turn in range(4)),
        MatrixMark(500, 500, 30, 12, 3, 0, "gs1stacked", "1", ("1011010110", "0100101101"), row_dots=(5, 7)),
        picture,
        picture._replace(x=7, y=1100),
        RectMark(3, 3, size[0] - 9, size[1] - 9, 3),
        RectMark(200, 40, 333, 99, 0, fill=True),
        RectMark(211, 51, 300, 50, 4, erase=True),
        LineMark(0, 170, size[0], 170, 2),
        LineMark(11, 50, 11, size[1], 3, dash=(7, 3)),
        size=size,
        dpi=dpi,
    )
    drawn = pdf_to_image(pdf(label), DOTS_PER_MM[dpi] * 25.4)
    assert drawn.size == size
    off = ImageChops.difference(raster.image(label).convert("L"), drawn)
    assert off.getextrema()[1] <= 2


def test_equal_pictures_are_in_the_file_once():
    """A shop's sign on every label is one object of the document."""
    picture = ImageMark(5, 5, 64, 64, random.Random(1).randbytes(512))
    other = picture._replace(bits=random.Random(2).randbytes(512))
    out = io.BytesIO()
    languages.write([page(picture), page(other, picture), page(picture)], Target("pdf"), out)
    assert out.getvalue().count(b"/ImageMask true") == 2


@pytest.mark.parametrize("angle", [0, 3, -20, 90])
def test_the_pdf_of_shapes_and_groups_is_the_picture(angle):
    """Ellipses, rounded and erasing boxes, italics, shaped runs, and groups that are cut and slant, come out as in our own picture."""
    group = GroupMark(
        (
            RectMark(300, 60, 260, 120, 4, radius=20),
            text("浙江省杭州市", x=320, y=80, size=36),
            bars("A1", x=330, y=130, height=40),
            text("切掉", x=540, y=80, size=40),
        ),
        (290, 50, 275, 140),
        angle,
        430,
        120,
    )
    label = page(
        group,
        EllipseMark(20, 20, 200, 90, 5),
        EllipseMark(30, 130, 60, 60, 0, fill=True),
        RectMark(100, 200, 160, 90, 0, fill=True),
        RectMark(120, 210, 100, 60, 3, radius=12, erase=True),
        text("斜体 Ag", x=20, y=320, size=40)._replace(italic=True),
        text("斜", x=220, y=300, size=60, rotation=90)._replace(italic=True),
        shaped("ئا", x=300, y=320, size=40),
        size=(640, 400),
    )
    same_picture(label)
    if angle == 3:
        assert [found for _, found in decode(pdf_to_image(pdf(page(group)), 406.4))] == ["A1"]


def same_picture(label: Page) -> None:
    """PDFium's picture is ours but for soft edges: grown by a dot, each covers the other."""
    ours = raster.image(label).convert("L")
    theirs = pdf_to_image(pdf(label), DOTS_PER_MM[label.dpi] * 25.4)
    assert theirs.size == ours.size
    black = [picture.point(lambda level: 255 if level < 100 else 0) for picture in (ours, theirs)]
    for one, other in (black, black[::-1]):
        grown = other.filter(ImageFilter.MaxFilter(3))
        alone = ImageChops.subtract(one, grown).histogram()[255]
        assert alone <= 0.002 * one.histogram()[255], f"{alone} dots are in one picture only"


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


def test_what_labels_have_in_common_is_in_the_document_once():
    """The fixed part of a template is one form that each page shows, and each face one font that holds all pages' characters."""
    fixed = Fixed((text("收件人", y=5), RectMark(3, 3, 500, 300, 3), bars("A1", y=200)))
    own = [text(f"张{chr(0x4E00 + number)}", y=60) for number in range(50)]
    labels = [Page(608, 400, 203, (*fixed.marks, mark), fixed=fixed) for mark in own]
    out = io.BytesIO()
    assert languages.write(iter(labels), Target("pdf"), out) == 50
    document = out.getvalue()
    assert document.count(b"/Subtype /Form") == 1 and document.count(b"/FontFile2") == 1
    reader = pypdf.PdfReader(io.BytesIO(document), strict=True)
    for number in (0, 49):
        assert reader.pages[number].extract_text().split() == ["收件人", own[number].text]
        assert pdf_text(pdf(labels[number])).split() == ["收件人", own[number].text]
    # A page is the same with its form and without.
    flat = Page(608, 400, 203, labels[7].marks)
    one, other = (pdf_to_image(pdf(label)) for label in (labels[7], flat))
    assert ImageChops.difference(one, other).getextrema() == (0, 0)
    assert len(document) / 50 < 1500


def test_a_page_is_written_before_the_next_is_asked_for():
    """No page waits for the others: each is in the stream by the time the next is made."""
    out = io.BytesIO()
    sizes = []

    def labels():
        for number in range(5):
            sizes.append(out.tell())
            yield page(text(f"第{number}张"), bars(f"A{number}", y=200))

    languages.write(labels(), Target("pdf"), out)
    assert all(later - earlier > 300 for earlier, later in itertools.pairwise(sizes))


def test_qpdf_finds_nothing_wrong(tmp_path):
    """A second program that reads the file's structure to the letter has no complaint."""
    if shutil.which("qpdf") is None:
        pytest.skip("qpdf is not installed")
    out = io.BytesIO()
    fixed = Fixed((text("收件人", y=5),))
    marks = (text("王\U000f0000"), shaped("ئا", y=90), ImageMark(5, 5, 16, 16, bytes(32)))
    languages.write(
        [Page(608, 400, 203, (*fixed.marks, *marks), fixed=fixed), page(bars("A1"))], Target("pdf"), out, "标"
    )
    file = tmp_path / "label.pdf"
    file.write_bytes(out.getvalue())
    done = subprocess.run(["qpdf", "--check", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr
