"""What CNPL can say about one element: turning, clipping, padding, shapes, vertical text, every barcode, pictures from elsewhere."""

import base64
import io

import pytest
from PIL import Image, ImageDraw

from labelsvc import languages
from labelsvc.errors import Invalid, Refused, TemplateError
from labelsvc.labels import (
    BarMark,
    EllipseMark,
    GroupMark,
    ImageMark,
    LineMark,
    MatrixMark,
    RectMark,
    TextMark,
    compose,
    parse,
    symbols,
)
from labelsvc.labels.boxes import Box, bounds, ink, quiet_zone
from labelsvc.languages import Target

OWN = 'xmlns:labelsvc="urn:labelsvc:template"'


def page(inner, data=None, dpi=203, width=100, height=50, **more):
    template = parse(f'<page width="{width}" height="{height}" {OWN}>{inner}</page>')
    return compose(template, data or {}, dpi, **more)


def codes(composed):
    return [warning.code for warning in composed.warnings]


def box(mark):
    return mark.x, mark.y, mark.width, mark.height


def one(composed, kind):
    (mark,) = [mark for mark in composed.marks if isinstance(mark, kind)]
    return mark


# ── boxes ──


def test_margins_and_padding_make_boxes_smaller():
    """A margin lies inside the place and outside border and background; a padding between border and content."""
    inner = (
        '<layout left="10" top="5" width="40" height="20" style="margin:1 2 3 4;padding:2;borderWidth:1">'
        '<rect left="0" top="0" style="fillColor:#000000"/></layout>'
    )
    frame, black = page(inner).marks
    assert box(frame) == (112, 48, 34 * 8, 16 * 8)
    assert box(black) == (128, 64, 30 * 8, 12 * 8)


def test_borders_and_backgrounds_of_texts_and_pictures():
    """Not layouts alone have them."""
    composed = page('<text left="1" top="1" width="9" height="5" value="x" style="borderWidth:1;padding:1"/>')
    frame, text = composed.marks
    assert box(frame) == (8, 8, 72, 40) and (text.x, text.y) == (16, 16)


def test_what_floats_down_and_across():
    """Since 1.5.2 a child without a top floats down and one without a left across, each among its own."""
    black = 'style="fillColor:#000000"'
    inner = (
        f'<layout left="0" top="0" width="40" height="30"><rect left="5" width="3" height="1" {black}/>'
        f'<rect left="9" width="3" height="2" {black}/></layout>'
    )
    assert [box(mark) for mark in page(inner).marks] == [(40, 0, 24, 80), (72, 80, 24, 160)]
    inner = inner.replace('left="5" width', 'top="5" width').replace('left="9" width', 'top="9" width')
    assert [box(mark) for mark in page(inner).marks] == [(0, 40, 160, 8), (160, 72, 160, 16)]


def test_floating_layouts_stand_in_the_order_of_their_depth():
    """zIndex orders what floats."""
    black = "backgroundColor:#000000"
    inner = (
        f'<layout left="0" top="0" width="30" height="5"><layout width="2" style="zIndex:2;{black}"/>'
        f'<layout width="1" style="zIndex:1;{black}"/></layout>'
    )
    assert [box(mark) for mark in page(inner).marks] == [(0, 0, 80, 40), (80, 0, 160, 40)]


def test_hidden_overflow_cuts_what_sticks_out():
    """What lies inside stays a mark of its own; what is cut is a group; what lies outside isn't drawn."""
    inner = (
        '<layout left="10" top="10" width="20" height="10" style="overflow:hidden">'
        '<text left="1" top="1" width="9" height="4" value="内"/>'
        '<rect left="15" top="5" width="20" height="20" style="fillColor:#000000"/>'
        '<rect left="30" top="0" width="2" height="2" style="fillColor:#000000"/></layout>'
    )
    text, cut = page(inner).marks
    assert isinstance(text, TextMark)
    assert cut.clip == (80, 80, 160, 80) and [box(mark) for mark in cut.marks] == [(200, 120, 160, 160)]
    assert ink(cut) == [Box(200, 120, 240, 160)]
    with pytest.raises(TemplateError) as caught:
        page(
            '<layout left="0" top="0" width="20" height="10" style="overflow:hidden">'
            '<barcode left="0" top="0" width="60" height="10" type="code128" value="12345678"/></layout>'
        )
    assert caught.value.code == "label.off_page"


def test_faint_things_are_left_out_and_others_black():
    """A thermal head has no grey."""
    inner = '<rect left="1" top="1" width="5" height="5" style="fillColor:#000000;alpha:{}"/>'
    assert [len(page(inner.format(alpha)).marks) for alpha in ("0", "0.1", "0.2", "1")] == [0, 0, 1, 1]


def test_shapes():
    """A circle fills its box, a round has corners; who says nothing of border and filling gets a border."""
    circle = one(page('<circle left="1" top="1" width="10" height="5"/>'), EllipseMark)
    assert box(circle) == (8, 8, 80, 40) and (circle.thickness, circle.fill) == (3, False)
    rounded = one(
        page('<round left="1" top="1" width="10" height="5" style="fillColor:#000000;borderWidth:2"/>'),
        RectMark,
    )
    assert (rounded.radius, rounded.fill, rounded.thickness) == (8, True, 6)
    assert one(page('<rect left="1" top="1" width="10" height="5"/>'), RectMark).thickness == 3
    assert page('<rect left="1" top="1" width="10" height="5" style="borderWidth:0"/>').marks == ()


# ── turning ──


def test_texts_turn_by_any_angle_about_their_middle():
    """Quarters are the mark's own rotation; others are a group with background and border in it."""
    inner = '<text left="20" top="20" width="20" height="6" value="斜" style="borderWidth:1;rotation:{}"/>'
    assert {mark.rotation for mark in page(inner.format(90)).marks if isinstance(mark, TextMark)} == {90}
    group = one(page(inner.format(30)), GroupMark)
    assert (group.angle, group.pivot_x, group.pivot_y) == (30, 240.0, 184.0)
    assert [type(mark) for mark in group.marks] == [RectMark, TextMark]
    around = bounds(ink(group))
    assert around.width > 160 and around.height > 115


def black(composed):
    return Image.open(io.BytesIO(languages.encode(composed, Target("png", composed.dpi)))).convert("L")


INSIDE = (
    '<rect left="0" top="0" width="8" height="4" style="fillColor:#000000"/>'
    '<rect left="1" top="24" width="14" height="4" style="borderWidth:2"/>'
    '<line startX="1" startY="12" endX="10" endY="20" style="lineWidth:2"/>'
    '<line startX="1" startY="22" endX="15" endY="22" style="lineWidth:3"/>'
    '<line startX="15" startY="2" endX="15" endY="20" style="lineWidth:3"/>'
    '<circle left="10" top="1" width="5" height="3"/>'
)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_turned_layouts_are_the_upright_ones_turned(angle):
    """Dot for dot: the layout of 16 × 30 mm, drawn upright and its picture turned, is the turned layout drawn."""
    size = (30, 16) if angle in {90, 270} else (16, 30)
    upright = black(
        page(f'<layout left="0" top="0" width="16" height="30">{INSIDE}</layout>', width=16, height=30)
    )
    turned = black(
        page(
            f'<layout left="0" top="0" width="{size[0]}" height="{size[1]}" style="rotation:{angle}">{INSIDE}</layout>',
            width=size[0],
            height=size[1],
        )
    )
    expected = upright.rotate(-angle, expand=True)
    assert turned.size == expected.size
    different = sum(a != b for a, b in zip(turned.tobytes(), expected.tobytes(), strict=True))
    # Slanting lines and curves may be rasterized otherwise by a dot at their edges.
    assert different < 0.012 * len(expected.tobytes())


def test_marks_in_turned_layouts_stay_what_they_are():
    """A turned layout's text is a text and its barcode a barcode, so that languages and scanners know them."""
    inner = (
        '<layout left="10" top="5" width="20" height="40" style="rotation:90">'
        '<text left="1" top="1" width="20" height="5" value="字"/>'
        '<barcode left="1" top="8" width="38" height="8" type="code128" value="12345678"/></layout>'
    )
    composed = page(inner)
    text, bars = one(composed, TextMark), one(composed, BarMark)
    assert (text.rotation, bars.rotation) == (90, 90)
    assert bars.height == sum(bars.widths) * bars.module
    assert all(Box(80, 40, 240, 360).holds(area) for mark in composed.marks for area in ink(mark))


def test_slanting_barcodes_are_reported_or_refused():
    """Bars that aren't parallel to the rows of dots have ragged edges."""
    inner = '<barcode {} left="20" top="15" width="50" height="10" type="code128" value="12345678" style="rotation:20"/>'
    assert "barcode.slanted" in codes(page(inner.format("")))
    with pytest.raises(TemplateError):
        page(inner.format('labelsvc:required="true"'))


def test_what_is_turned_off_the_page_is_cut():
    """With a warning, and no mark outside the page."""
    composed = page(
        '<layout left="0" top="0" width="40" height="3" style="rotation:45;backgroundColor:#000000"/>'
    )
    assert codes(composed) == ["mark.off_page"]
    assert all(Box(0, 0, 800, 400).holds(area) for mark in composed.marks for area in ink(mark))


# ── text ──


def test_vertical_text_runs_down_in_columns_from_the_right():
    """Characters stand upright, brackets are turned; align moves columns, valign characters."""
    inner = '<text left="10" top="5" width="12" height="10" value="{}" style="orientation:vertical;fontSize:2.5mm;{}"/>'
    marks = page(inner.format("一二三「五", "align:right")).marks
    places = [(mark.text, mark.rotation) for mark in marks]
    assert places == [("一", 0), ("二", 0), ("三", 0), ("「", 90), ("五", 0)]
    assert [mark.y for mark in marks[:3]] == [40, 60, 80]
    assert marks[4].x < marks[0].x and marks[4].y == marks[0].y
    assert marks[0].x + marks[0].size == 176
    cut = page(inner.format("长" * 40, "").replace("<text", '<text labelsvc:minFontSize="5"'))
    assert codes(cut) == ["text.overflow"] and cut.marks[-1].text == "…"


def test_letter_and_line_spacing():
    """Per cent of the size, pt or mm; lineHeight is a share of the size."""
    inner = '<text left="0" top="0" width="50" height="20" value="一二&#10;三" style="fontSize:2.5mm;{}"/>'
    assert page(inner.format("letterSpacing:50%")).marks[0].letter_spacing == 10
    assert page(inner.format("letterSpacing:1mm")).marks[0].letter_spacing == 8
    marks = page(inner.format("lineHeight:200%")).marks
    assert marks[1].y - marks[0].y == 40


def test_italic_and_underline_are_the_marks_own():
    """Languages draw them."""
    mark = one(page('<text value="x" style="fontItalic:true;fontUnderline:true"/>'), TextMark)
    assert mark.italic and mark.underline


LIST = '<text labelsvc:more="+%d" {} left="0" top="0" width="{}" height="{}" value="<%= _data.x %>" style="fontSize:8"/>'


@pytest.mark.parametrize(
    ("count", "lines"),
    [(2, ["货一", "货二"]), (3, ["货一", "货二", "货三"]), (6, ["货一", "货二", "货三 +3"])],
)
def test_list_items_that_do_not_fit_are_counted(count, lines):
    """T6: as many short names as fit, then how many more; nothing is lost in silence, so there is no warning."""
    names = "\n".join("货" + digit for digit in "一二三四五六"[:count])
    composed = page(LIST.format("", 20, 11), {"x": names})
    assert [mark.text for mark in composed.marks] == lines and codes(composed) == []


def test_list_items_can_be_joined():
    """T6: by a joint instead of a line each; where not even the first one fits, its end makes room for the number."""
    joined = page(LIST.format('labelsvc:joint="、"', 30, 3.5), {"x": "杯\n盘\n碗"})
    assert [mark.text for mark in joined.marks] == ["杯、盘、碗"]
    more = page(LIST.format('labelsvc:joint="、"', 16, 3.5), {"x": "杯\n盘\n碗\n勺\n筷"})
    (mark,) = more.marks
    assert mark.text.startswith("杯、") and mark.text.endswith((" +3", " +2")) and mark.width <= 128
    long = page(LIST.format("", 16, 3.5), {"x": "很长很长的名字\n盘"})
    assert long.marks[0].text.endswith("… +1")
    with pytest.raises(TemplateError) as caught:
        page(LIST.format('labelsvc:required="true"', 20, 3.5), {"x": "杯\n盘"})
    assert caught.value.code == "label.does_not_fit"


def test_texts_over_texts_are_reported():
    """In a foreign template nobody else would see it."""
    inner = '<text left="0" top="0" width="30" height="4" value="上面"/><text left="3" top="{}" width="9" height="4" value="下"/>'
    assert codes(page(inner.format(1))) == ["text.overlap"]
    assert codes(page(inner.format(4))) == []


# ── barcodes ──

DATA = {
    "ean13": "690123456789", "ean8": "1234567", "upca": "01234567890", "upce": "0123456", "itf14": "1690123456789",
    "postnet": "12345", "rm4scc": "SN34RD1A", "ean128": "(01)06912345678902", "gs128Linear": "(01)06912345678902",
    "gs1Datamatrix": "(01)06912345678902", "codabar": "A123A", "hibcAztec": "A123", "code11": "12345",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(symbols.KINDS.keys() - {"code128c"}))
@pytest.mark.parametrize("rotation", [0, 90])
def test_every_barcode_lies_in_its_box_with_its_quiet_zones(kind, rotation):
    """Whole dots, no warning, symbol and quiet zone inside 62 × 62 mm, upright and lying."""
    composed = page(
        f'<barcode labelsvc:required="true" left="10" top="5" width="62" height="62" type="{kind}"'
        f' value="{DATA.get(kind, "12345678")}" style="hideText:false;rotation:{rotation}"/>',
        height=70,
        width=90,
    )
    mark = one(composed, BarMark | MatrixMark | ImageMark)
    assert mark.kind == kind and codes(composed) == []
    zone = quiet_zone(mark)
    assert Box(80, 40, 576, 536).holds(zone)
    if isinstance(mark, MatrixMark):
        across = len(mark.rows[0]) * mark.module
        down = sum(mark.row_dots) or len(mark.rows) * mark.module
        assert (mark.width, mark.height) == ((across, down) if rotation == 0 else (down, across))


def test_ignored_ratio_stretches_rows_of_stacked_symbols():
    """PDF417 grows down to its box; with keepRatio its rows stay three modules high."""
    inner = '<barcode left="5" top="5" width="60" height="40" type="pdf417" symbolSize="3" value="12345678" ratioMode="{}"/>'
    kept = one(page(inner.format("keepRatio")), MatrixMark)
    stretched = one(page(inner.format("ignoreRatio")), MatrixMark)
    assert kept.row_dots[0] == 3 * kept.module < stretched.row_dots[0]
    assert stretched.width == kept.width and stretched.height <= 320


def test_foreign_barcodes_get_as_much_as_their_box_has():
    """First their quiet zones go outside the box, then modules become too narrow, each with its warning."""
    inner = '<barcode {} left="20" top="2" width="{}" height="14" type="code128" value="YT0012345678901"/>'
    roomy = page(inner.format("", 40))
    assert one(roomy, BarMark).module == 2 and codes(roomy) == []
    crowded = page(inner.format("", 40) + '<line startX="19" startY="0" endX="19" endY="20"/>')
    assert codes(crowded) == ["barcode.crowded"]
    narrow = page(inner.format("", 30))
    assert one(narrow, BarMark).module == 1 and codes(narrow) == ["barcode.narrow"]
    for own, width in (('labelsvc:required="true"', 40), ("", 19)):
        with pytest.raises(Invalid) as caught:
            page(inner.format(own, width))
        assert caught.value.code == "barcode.does_not_fit"


def test_barcodes_say_what_is_wrong_with_their_data():
    """With the facts of the symbology; the line and element are the template's."""
    with pytest.raises(Invalid) as caught:
        page('<barcode left="5" top="5" width="60" height="20" type="ean13" value="6901234567890"/>')
    assert caught.value.code == "barcode.check_digit"
    assert caught.value.facts == {"line": 1, "element": "barcode", "expected": "2"}


# ── pictures ──


def encoded(picture, kind="PNG"):
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()


def source(picture, kind="PNG"):
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded(picture, kind)).decode()}"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_four_formats(kind):
    """All become the same dots."""
    inner = f'<image left="1" top="1" width="2" height="2" src="{source(Image.new("L", (8, 8), 0), kind)}"/>'
    assert one(page(inner), ImageMark).bits == bytes([0xFF, 0xFF]) * 16


def test_photos_are_dithered_and_line_art_keeps_its_edges():
    """A grey ramp becomes more black from left to right; a logo with soft edges is cut at half."""
    ramp = Image.linear_gradient("L").rotate(90)
    bits = one(page(f'<image left="0" top="0" width="32" height="32" src="{source(ramp)}"/>'), ImageMark).bits
    picture = Image.frombytes("1", (256, 256), bits)
    share = [
        picture.crop((at, 0, at + 64, 256)).convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        for at in range(0, 256, 64)
    ]
    assert (
        share == sorted(share, reverse=share[0] > share[-1])
        and 10 < min(share) < 60
        and 195 < max(share) < 245
    )
    logo = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(logo).ellipse((8, 8, 56, 56), fill=0)
    soft = logo.resize((40, 40), Image.Resampling.LANCZOS)
    bits = one(page(f'<image left="0" top="0" width="16" height="16" src="{source(soft)}"/>'), ImageMark).bits
    row = Image.frombytes("1", (128, 128), bits).crop((0, 64, 128, 65)).tobytes()
    assert bin(int.from_bytes(row, "big"))[2:].strip("0").count("0") == 0


def test_pictures_from_elsewhere_come_through_the_callers_loader():
    """compose opens nothing itself; what the loader refuses is a warning, or with allowFailure="false" an error."""
    asked = []

    def load(address):
        asked.append(address)
        if "no" in address:
            raise Refused("the host is not allowed", code="image.source")
        return encoded(Image.new("L", (8, 8), 0))

    inner = '<image left="1" top="1" width="2" height="2" src="https://x.example/{}.png" {}/>'
    for _ in range(2):
        assert one(page(inner.format("logo", ""), pictures=load), ImageMark).bits[0] == 0xFF
    assert asked == ["https://x.example/logo.png"] * 2
    assert codes(page(inner.format("no", ""), pictures=load)) == ["image.failed"]
    with pytest.raises(TemplateError) as caught:
        page(inner.format("no", 'allowFailure="false"'), pictures=load)
    assert caught.value.code == "image.failed" and "not allowed" in caught.value.detail
    with pytest.raises(TemplateError) as caught:
        page(inner.format("logo", ""))
    assert caught.value.code == "image.source"


def test_pictures_that_leave_the_page_are_cut():
    """Drawn as written, with a warning."""
    inner = f'<image left="95" top="10" width="10" height="5" src="{source(Image.new("L", (8, 8), 0))}"/>'
    composed = page(inner)
    assert box(one(composed, ImageMark)) == (760, 80, 40, 40) and codes(composed) == ["mark.off_page"]
    assert len(one(composed, ImageMark).bits) == 5 * 40


def test_lines_slant():
    """A line's ends are its own; lines of white aren't drawn."""
    line = one(page('<line startX="1" startY="9" endX="5" endY="2"/>'), LineMark)
    assert (line.x1, line.y1, line.x2, line.y2) == (8, 72, 40, 16)
    assert page('<line startX="1" startY="9" endX="5" endY="2" style="lineColor:#ffffff"/>').marks == ()
