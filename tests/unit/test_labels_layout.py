"""Placing marks: boxes, text in boxes, symbols with whole dots and quiet zones, pictures."""

import base64
import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelsvc.errors import Invalid, TemplateError
from labelsvc.labels import (
    BarMark,
    ImageMark,
    LineMark,
    MatrixMark,
    RectMark,
    TextMark,
    compose,
    parse,
)
from labelsvc.labels.boxes import turned

OWN = 'xmlns:labelsvc="urn:labelsvc:template"'


def page(inner, data=None, dpi=203, width=100, height=50):
    return compose(parse(f'<page width="{width}" height="{height}" {OWN}>{inner}</page>'), data or {}, dpi)


def only(composed, kind):
    (mark,) = [mark for mark in composed.marks if isinstance(mark, kind)]
    return mark


def codes(composed):
    return [warning.code for warning in composed.warnings]


def box(mark):
    return mark.x, mark.y, mark.width, mark.height


@pytest.mark.parametrize(("dpi", "width"), [(203, 800), (300, 1181), (600, 2362)])
def test_a_page_is_whole_dots(dpi, width):
    """8, 11.8 and 23.6 dots a millimetre."""
    composed = page("", dpi=dpi)
    assert (composed.width, composed.dpi) == (width, dpi)


def test_another_resolution_is_invalid():
    """Heads have 203, 300 or 600 dpi."""
    with pytest.raises(Invalid) as caught:
        page("", dpi=150)
    assert caught.value.errors[0].field == "dpi"


def test_neighbours_meet_at_every_resolution():
    """Edges are rounded and not lengths: boxes that touch in mm touch in dots."""
    for dpi in (203, 300, 600):
        boxes = [
            f'<rect left="{at * 1.37}" top="0" width="1.37" height="2" style="fillColor:#000000"/>'
            for at in range(30)
        ]
        marks = page("".join(boxes), dpi=dpi).marks
        assert all(a.x + a.width == b.x for a, b in itertools.pairwise(marks))


def test_boxes_nest_and_layouts_are_drawn_by_depth():
    """left and top are the parent's; a higher zIndex is drawn later; a border and a background are the layout's own."""
    composed = page(
        '<layout left="10" top="5" width="40" height="20" style="zIndex:2;borderWidth:0.71">'
        '<rect left="1" top="2" width="3" height="4" style="fillColor:#000000"/></layout>'
        '<layout left="0" top="0" width="5" height="5" style="backgroundColor:#000000;zIndex:1"/>'
    )
    assert composed.marks == (
        RectMark(0, 0, 40, 40, 0, fill=True, source="layout line 1"),
        RectMark(80, 40, 320, 160, 2, source="layout line 1"),
        RectMark(88, 56, 24, 32, 0, fill=True, source="rect line 1"),
    )


def test_children_without_a_place_share_their_parent():
    """Floating children share the width (or height) in proportion; a single one fills the box."""
    style = 'style="fillColor:#000000"'
    across = page(
        f'<layout left="0" top="0" width="90" height="10"><rect width="1" {style}/><rect width="2" {style}/></layout>'
    )
    assert [box(mark) for mark in across.marks] == [(0, 0, 240, 80), (240, 0, 480, 80)]
    down = page(
        f'<layout left="0" top="0" width="9" height="30" orientation="vertical"><rect height="1" {style}/><rect height="2" {style}/></layout>'
    )
    assert [box(mark) for mark in down.marks] == [(0, 0, 72, 80), (0, 80, 72, 160)]
    alone = page(f'<layout left="5" top="5" width="10" height="10"><rect {style}/></layout>')
    assert [box(mark) for mark in alone.marks] == [(40, 40, 80, 80)]
    with pytest.raises(TemplateError, match="share"):
        page('<layout left="0" top="0" width="9" height="3"><text>a</text><text>b</text></layout>')


def test_lines_have_thickness_and_dashes():
    """lineWidth is in pt; dashed and dotted lines say so; a line is cut at the paper's edge."""
    solid = only(page('<line startX="0" startY="5" endX="100" endY="5" style="lineWidth:1.06"/>'), LineMark)
    assert (solid.x1, solid.y1, solid.x2, solid.y2, solid.thickness, solid.dash) == (0, 40, 800, 40, 3, None)
    dashed = only(page('<line startX="9" startY="9" endX="9" endY="1" style="lineType:dashed"/>'), LineMark)
    assert (dashed.y1, dashed.y2, dashed.dash) == (8, 72, (8, 6))
    cut = only(page('<line startX="-5" startY="50" endX="300" endY="50"/>'), LineMark)
    assert (cut.x1, cut.x2) == (0, 800)
    assert cut.y1 - cut.thickness // 2 + cut.thickness <= 400


def test_borders_of_unlike_sides_are_lines():
    """One to four widths in pt, CSS order."""
    marks = page('<layout left="5" top="5" width="10" height="10" style="borderWidth:1 0 2 0"/>').marks
    assert [(mark.y1, mark.thickness) for mark in marks] == [(41, 3), (117, 6)]


# ── text ──


@pytest.mark.parametrize(
    ("align", "x"), [("left", 80), ("center", 80 + (240 - 40) // 2), ("right", 80 + 240 - 40)]
)
def test_text_is_aligned_across(align, x):
    """The line box lies left, centred or right in the element's box."""
    mark = only(
        page(
            f'<text left="10" top="5" width="30" height="10" value="浙江" style="fontSize:2.5mm;align:{align}"/>'
        ),
        TextMark,
    )
    assert (mark.x, mark.width, mark.size, mark.baseline, mark.height) == (x, 40, 20, 17, 22)


@pytest.mark.parametrize(("valign", "y"), [("top", 40), ("middle", 70), ("bottom", 98)])
def test_text_is_aligned_down(valign, y):
    """The middle is that of the em, so that Chinese characters stand even."""
    mark = only(
        page(
            f'<text left="10" top="5" width="30" height="10" value="浙" style="fontSize:2.5mm;valign:{valign}"/>'
        ),
        TextMark,
    )
    assert mark.y == y


def test_weights_follow_size_and_style():
    """Bold 700; normal 500 from 2.5 mm and 400 below; light 400."""
    weights = [
        only(page(f'<text value="浙" style="fontSize:{size}mm;fontWeight:{weight}"/>'), TextMark).weight
        for size, weight in ((2.4, "normal"), (2.5, "normal"), (4, "light"), (2, "bold"))
    ]
    assert weights == [400, 500, 400, 700]


def test_white_on_black():
    """A black background is a filled box before the text, and the text says that it is white."""
    marks = page(
        '<text left="1" top="1" width="5" height="5" value="收" style="backgroundColor:#000000;fontColor:#ffffff"/>'
    ).marks
    assert isinstance(marks[0], RectMark) and marks[0].fill and box(marks[0]) == (8, 8, 40, 40)
    assert marks[1].inverse


def test_an_empty_element_can_hide():
    """hideEmpty leaves the background out too; without it the black box is printed."""
    inner = '<text {} left="1" top="1" width="5" height="5" value="<%= _data.x %>" style="backgroundColor:#000000"/>'
    assert page(inner.format('labelsvc:hideEmpty="true"')).marks == ()
    assert len(page(inner.format("")).marks) == 1


def test_trim_drops_needless_spaces():
    """Two numbers of which one is missing leave no space behind; without trim white space stays, as CNPL says."""
    inner = '<text {} value="<%= _data.a %> <%= _data.b %>"/>'
    for data in ({"a": "1"}, {"b": "1"}):
        assert only(page(inner.format('labelsvc:trim="true"'), data), TextMark).text == "1"
    assert only(page(inner.format(""), {"a": "1"}), TextMark).text == "1 "


def test_a_foreign_text_that_does_not_fit_is_drawn_and_reported():
    """Without our attributes the text is drawn as written, with a warning; overflow hidden cuts it."""
    inner = '<text left="1" top="1" width="10" height="4" value="浙江省杭州市余杭区" style="{}"/>'
    visible = page(inner.format(""))
    assert codes(visible) == ["text.overflow"]
    assert "".join(mark.text for mark in visible.marks) == "浙江省杭州市余杭区"
    hidden = page(inner.format("overflow:hidden"))
    assert codes(hidden) == ["text.overflow"]
    assert [mark.text for mark in hidden.marks] == ["浙江省"]


def test_a_text_with_a_minimum_shrinks_and_then_is_cut():
    """First smaller, down to the minimum; then an ellipsis and a warning, never in silence."""
    inner = '<text labelsvc:minFontSize="6pt" left="1" top="1" width="20" height="4" value="<%= _data.x %>" style="fontSize:10"/>'
    small = page(inner, {"x": "浙江省杭州市"})
    assert codes(small) == []
    assert 17 <= small.marks[0].size < 28
    cut = page(inner, {"x": "浙江省杭州市余杭区文一西路"})
    assert codes(cut) == ["text.overflow"]
    assert cut.marks[0].text.endswith("…")
    assert cut.marks[0].width <= 160


def test_a_required_text_that_does_not_fit_is_refused():
    """The error names the element and the missing millimetres, not the text."""
    inner = (
        '<text labelsvc:required="true" labelsvc:name="recipient name" labelsvc:minFontSize="8" left="1" top="1"'
        ' width="20" height="4" value="<%= _data.x %>" style="fontSize:10;wrap:{}"/>'
    )
    for wrap in ("true", "false"):
        with pytest.raises(TemplateError) as caught:
            page(inner.format(wrap), {"x": "浙江省杭州市余杭区文一西路"})
        assert caught.value.code == "label.does_not_fit"
        assert caught.value.facts["element"] == "recipient name"
        assert 0 < caught.value.facts["missing_mm"] < 20
        assert "浙" not in caught.value.detail


def test_the_missing_millimetres_are_enough():
    """A box larger by what was said to be missing takes the text."""
    inner = '<text labelsvc:required="true" left="1" top="1" width="20" height="{}" value="{}" style="fontSize:10"/>'
    text = "浙江省杭州市余杭区文一西路"
    with pytest.raises(TemplateError) as caught:
        page(inner.format(4, text))
    assert page(inner.format(4 + caught.value.facts["missing_mm"], text)).marks


def test_auto_size_fills_the_box():
    """fontSize auto takes the largest size that fits; without width and height it is an error."""
    for value in ("浙", "浙江省杭州市余杭区"):
        marks = page(
            f'<text left="1" top="1" width="20" height="9" value="{value}" style="fontSize:auto"/>'
        ).marks
        assert sum(mark.height for mark in marks) > 36
        assert all(mark.width <= 160 for mark in marks)
    with pytest.raises(TemplateError, match="auto"):
        page('<text value="x" style="fontSize:auto"/>')


def test_a_missing_character_is_drawn_and_reported():
    """Never blank: it stands in the mark with its place, and the warning names its code."""
    composed = page('<text value="<%= _data.x %>"/>', {"x": "张𬞞"})
    mark = only(composed, TextMark)
    assert (mark.text, mark.missing) == ("张𬞞", "𬞞")
    assert [(w.code, w.detail) for w in composed.warnings] == [("glyph.missing", "No font has U+2C79E")]


@given(
    st.sampled_from([0, 90, 180, 270]),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 30),
    st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_turning_keeps_boxes_inside(rotation, x, y, wide, high):
    """A box inside an upright area lies inside the turned area; four quarter turns are none."""
    width, height = x + wide + 3, y + high + 5
    on_x, on_y, w, h = turned(rotation, (x, y, wide, high), width, height)
    across, down = (height, width) if rotation in {90, 270} else (width, height)
    assert on_x >= 0 and on_x + w <= across and on_y >= 0 and on_y + h <= down
    turn = (x, y, wide, high)
    for _ in range(4):
        turn = turned(90, turn, width, height)
        width, height = height, width
    assert turn == (x, y, wide, high)


def test_rotated_text_lies_in_its_box():
    """Clockwise: at 90 the first line is at the right edge, at 270 at the left."""
    inner = (
        '<text left="10" top="10" width="10" height="30" value="浙江" style="fontSize:2.5mm;rotation:{}"/>'
    )
    assert box(only(page(inner.format(90)), TextMark)) == (160 - 22, 80, 22, 40)
    assert box(only(page(inner.format(270)), TextMark)) == (80, 320 - 40, 22, 40)
    assert box(only(page(inner.format(180)), TextMark)) == (160 - 40, 320 - 22, 40, 22)


def test_text_off_the_page_is_reported_and_never_begins_before_it():
    """No mark has a negative place, which no printer language can say."""
    composed = page('<text left="-1" top="-1" width="30" height="10" value="浙江"/>')
    assert codes(composed) == ["mark.off_page"]
    assert (composed.marks[0].x, composed.marks[0].y) == (0, 0)


# ── symbols ──


def bars(width, value="YT0012345678901", style="", dpi=203, height=14, kind="code128", own=""):
    return page(
        f'<barcode {own} left="2" top="2" width="{width}" height="{height}" type="{kind}" value="{value}" style="{style}"/>',
        dpi=dpi,
    )


@pytest.mark.parametrize(
    ("width", "dpi", "module"),
    [(44, 203, 2), (65.9, 203, 2), (66, 203, 3), (72, 203, 3), (88, 203, 4), (45, 300, 3), (44.8, 600, 6)],
)
def test_bars_are_whole_dots_with_quiet_zones(width, dpi, module):
    """156 modules and twice 10 of quiet zone: the largest whole number of dots that the width allows, centred."""
    composed = bars(width, dpi=dpi)
    mark = only(composed, BarMark)
    assert mark.module == module
    assert mark.width == sum(mark.widths) * module == 156 * module
    assert mark.quiet == 10 * module
    left, right = 2 * (composed.width / 100), (2 + width) * (composed.width / 100)
    assert mark.x - mark.quiet >= left - 1 and mark.x + mark.width + mark.quiet <= right + 1
    assert codes(composed) == []


@pytest.mark.parametrize(("width", "missing"), [(43.9, 0.2), (30, 14.0), (1, 43.0)])
def test_bars_that_do_not_fit_say_what_is_missing(width, missing):
    """2 dots a module at 203 dpi are the least; the error has the millimetres (rounded up) and the element."""
    with pytest.raises(Invalid) as caught:
        bars(width, own='labelsvc:required="true"')
    assert caught.value.code == "barcode.does_not_fit"
    assert caught.value.facts == {"line": 1, "element": "barcode", "missing_mm": missing}
    assert bars(width + missing).marks


def test_the_readable_line_stands_below_the_bars():
    """hideText false keeps the bars' place and puts the number below, inside the element's box."""
    hidden = only(bars(72), BarMark)
    composed = bars(72, style="hideText:false;fontSize:10")
    mark, text = only(composed, BarMark), only(composed, TextMark)
    assert hidden.height == 14 * 8
    assert text.text == mark.data
    assert mark.y + mark.height < text.y and text.y + text.height <= 16 * 8
    assert mark.x - mark.quiet <= text.x and text.x + text.width <= mark.x + mark.width + mark.quiet


def test_low_bars_are_reported():
    """Below 15 % of the length a hand scanner slips off."""
    assert codes(bars(72, height=8)) == ["barcode.low"]


@pytest.mark.parametrize("rotation", [90, 270])
def test_bars_can_lie(rotation):
    """Turned bars take their length from the height of the box."""
    inner = f'<barcode left="2" top="2" width="10" height="46" type="code128" value="YT0012345678901" style="rotation:{rotation}"/>'
    mark = only(page(inner), BarMark)
    assert (mark.width, mark.height, mark.module, mark.rotation) == (80, 312, 2, rotation)


def test_code_sets_can_be_forced():
    """code128b stays in set B; code128a refuses small letters, without quoting them."""
    assert only(bars(80, "123456", kind="code128b"), BarMark).plan == (("B", "123456"),)
    with pytest.raises(Invalid) as caught:
        bars(80, "secret", kind="code128a")
    assert caught.value.code == "barcode.data" and "secret" not in caught.value.detail


def test_a_barcode_has_no_control_characters_and_no_chinese():
    """A scanner types what it reads."""
    for value in ("A\x01", "A\u202e", "张"):
        for kind in ("code128", "qrcode"):
            if (value, kind) == ("张", "qrcode"):
                continue
            with pytest.raises(Invalid) as caught:
                page(
                    f'<barcode left="0" top="0" width="90" height="40" type="{kind}" value="<%= _data.x %>"/>',
                    {"x": value},
                )
            assert caught.value.code == "barcode.data"


def test_a_barcode_without_data_is_left_out_or_refused():
    """With a warning in a foreign template; as an error where it is required."""
    inner = '<barcode {} left="0" top="0" width="90" height="40" type="code128" value="<%= _data.x %>"/>'
    assert codes(page(inner.format(""))) == ["barcode.empty"]
    with pytest.raises(Invalid) as caught:
        page(inner.format('labelsvc:required="true" labelsvc:name="number"'))
    assert (caught.value.code, caught.value.facts["element"]) == ("barcode.empty", "number")


@pytest.mark.parametrize(
    ("side", "dpi", "module"), [(10.875, 203, 3), (14.5, 203, 4), (10, 300, 4), (11.1, 600, 9)]
)
def test_qr_codes_are_whole_dots_with_quiet_zones(side, dpi, module):
    """21 modules and twice 4: the largest whole number of dots, centred."""
    composed = page(
        f'<barcode left="2" top="2" width="{side}" height="{side}" type="qrcode" errorCorrection="1" value="YT0012345678901"/>',
        dpi=dpi,
    )
    mark = only(composed, MatrixMark)
    assert (mark.module, mark.width, mark.level, len(mark.rows)) == (module, 21 * module, "M", 21)
    assert mark.quiet == 4 * module


def test_a_qr_code_that_does_not_fit_says_what_is_missing():
    """3 dots a module at 203 dpi are the least."""
    with pytest.raises(Invalid) as caught:
        page(
            '<barcode labelsvc:required="true" left="2" top="2" width="10" height="30" type="qrcode" value="YT0012345678901"/>'
        )
    assert (caught.value.code, caught.value.facts["missing_mm"]) == ("barcode.does_not_fit", 0.9)


def test_a_barcode_off_the_page_is_refused():
    """A cut barcode is none."""
    with pytest.raises(TemplateError) as caught:
        page('<barcode left="50" top="2" width="72" height="30" type="code128" value="YT0012345678901"/>')
    assert caught.value.code == "label.off_page"


def test_something_in_a_quiet_zone_is_reported():
    """Text, lines or the paper's edge where the scanner needs white."""
    inner = '<barcode left="2" top="2" width="66" height="14" type="code128" value="YT0012345678901"/>'
    assert codes(page(inner)) == []
    assert codes(page(inner + '<line startX="67" startY="0" endX="67" endY="20"/>')) == ["barcode.crowded"]
    assert codes(page(inner + '<rect left="0" top="0" width="70" height="20" style="borderWidth:1"/>')) == []


# ── pictures ──


def picture(kind="PNG", size=(16, 8), colour=0, mode="L"):
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_become_dots(kind):
    """Scaled to the box; one bit a dot, high bit left, 1 is black."""
    mark = only(page(f'<image left="1" top="1" width="2.5" height="2" src="{picture(kind)}"/>'), ImageMark)
    assert box(mark) == (8, 8, 20, 16)
    assert mark.bits == bytes([0xFF, 0xFF, 0xF0]) * 16
    white = only(
        page(f'<image left="1" top="1" width="2.5" height="2" src="{picture(kind, colour=255)}"/>'), ImageMark
    )
    assert not any(white.bits)


def test_see_through_is_paper():
    """A transparent logo has no black box behind it."""
    source = picture(mode="RGBA", colour=(0, 0, 0, 0))
    assert not any(
        only(page(f'<image left="0" top="0" width="3" height="3" src="{source}"/>'), ImageMark).bits
    )


@pytest.mark.parametrize(
    "source", ["http://127.0.0.1/x.png", "file:///etc/passwd", "logo.png", "", "data:image/tiff;base64,AAAA"]
)
def test_pictures_from_elsewhere_are_refused(source):
    """Nothing is fetched and no file is opened for a template."""
    with pytest.raises(TemplateError) as caught:
        page(f'<image left="0" top="0" width="3" height="3" src="{source}"/>')
    assert caught.value.code == "image.source"


@pytest.mark.parametrize("bad", ["data:image/png;base64,AAAA", "bomb", "data:image/png;base64,A"])
def test_a_broken_picture_is_a_warning_or_an_error(bad):
    """allowFailure decides; a picture that unfolds to too many dots is broken too."""
    source = picture(size=(3000, 3000)) if bad == "bomb" else bad
    inner = f'<image left="0" top="0" width="3" height="3" src="{source}" '
    assert codes(page(inner + "/>")) == ["image.failed"]
    with pytest.raises(TemplateError) as caught:
        page(inner + 'allowFailure="false"/>')
    assert caught.value.code == "image.failed"
