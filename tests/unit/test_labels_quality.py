"""The quality report: what the geometry of a page's barcodes allows."""

import json

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pages import bars, page, qr, text

from labelsvc.labels import (
    DOTS_PER_MM,
    BarMark,
    EllipseMark,
    GroupMark,
    ImageMark,
    LineMark,
    MatrixMark,
    RectMark,
    compose,
    parse,
    quality,
    symbols,
)

NUMBER = "YT0012345678901"  # 156 modules


def only(*marks, **more):
    (found,) = quality.report(page(*marks, **more))
    return found


def codes(found):
    return [finding.code for finding in found.findings]


def cells(kind, data, x=60, y=60, module=3, row_dots=(), **options):
    symbol = symbols.encode(kind, data, **options)
    high = sum(row_dots) or symbol.height * module
    return MatrixMark(
        x,
        y,
        symbol.columns * module,
        high,
        module,
        0,
        kind,
        data,
        symbol.rows,
        symbol.level,
        row_dots=row_dots,
    )


def test_a_good_code_128_is_a_and_measured_as_it_lies():
    """Three dots a module, free paper, high bars: A with every length in mm and modules."""
    found = only(bars(NUMBER, x=40, y=30, module=3, height=80))
    assert (found.kind, found.title, found.standard, found.length) == (
        "code128",
        "Code 128",
        "ISO/IEC 15417",
        15,
    )
    assert (found.grade, found.module_grade, found.quiet_grade, found.height_grade) == ("A", "A", "A", "A")
    assert (found.x_mm, found.y_mm, found.width_mm, found.height_mm) == (5.0, 3.75, 58.5, 10.0)
    assert (found.module_mm, found.module_dots) == (0.375, 3)
    assert found.quiet == (round(40 / 3, 2), 10.0, round((608 - 40 - 468) / 3, 2), round((400 - 110) / 3, 2))
    assert found.quiet_needed == (10, 0, 10, 0)
    assert found.height_share == round(80 / 468, 3)
    assert found.findings == ()


@pytest.mark.parametrize(
    ("dpi", "module", "grade", "found_codes"),
    [
        (203, 1, "F", ["symbol.module_coarse", "symbol.module_small"]),
        (203, 2, "B", []),
        (203, 3, "A", []),
        (300, 2, "F", ["symbol.module_small"]),
        (300, 3, "A", []),
        (600, 5, "F", ["symbol.module_small"]),
        (600, 6, "A", []),
    ],
)
def test_the_module_counts_in_dots_and_in_millimetres(dpi, module, grade, found_codes):
    """0.25 mm is 2, 3 and 6 dots; one dot is too coarse, two are B."""
    mark = bars("12345678", x=20 * module, y=20, module=module, height=12 * module + 200)
    found = only(mark, size=(200 * module, 800), dpi=dpi)
    assert (found.module_grade, codes(found)) == (grade, found_codes)
    assert found.module_mm == round(module / DOTS_PER_MM[dpi], 4)


@pytest.mark.parametrize(
    ("height", "grade"), [(80, "A"), (70, "B"), (60, "B"), (50, "C"), (43, "C"), (30, "D"), (20, "F")]
)
def test_low_bars_are_graded_by_their_share_of_the_length(height, grade):
    """468 dots long: 70.2 dots are 15 %."""
    found = only(bars(NUMBER, height=height))
    assert (found.height_grade, found.grade) == (grade, grade)
    assert codes(found) == ([] if grade == "A" else ["symbol.height_low"])


def test_bars_under_five_millimetres_are_c_at_best():
    """However short the symbol is."""
    found = only(bars("12345678", height=39, module=2))
    assert found.height_share > 0.15 and found.height_grade == "C"


@pytest.mark.parametrize(
    ("other", "side", "free"),
    [
        (text("x", x=20, y=60, size=20)._replace(width=15), "left", 5 / 3),
        (RectMark(10, 10, 592, 200, 6), "left", 24 / 3),
        (RectMark(516, 20, 60, 60, 0, fill=True), "right", 8 / 3),
        (LineMark(30, 0, 30, 300, 4), "left", 8 / 3),
        (LineMark(0, 50, 20, 50, 3), "left", 20 / 3),
        (LineMark(20, 0, 36, 400, 1), "left", None),
        (EllipseMark(522, 30, 60, 60, 2), "right", 14 / 3),
        (ImageMark(518, 60, 16, 16, b"\xff\xff" * 16), "right", 10 / 3),
        (GroupMark((RectMark(0, 0, 30, 400, 0, fill=True),)), "left", 10 / 3),
        (GroupMark((RectMark(0, 0, 600, 400, 0, fill=True),), clip=(0, 0, 20, 400)), "left", 20 / 3),
        (GroupMark((RectMark(-400, 0, 400, 28, 0, fill=True),), angle=270.0), "left", 12 / 3),
    ],
)
def test_what_stands_in_the_quiet_zone_is_found(other, side, free):
    """Text, frames, lines, slanting ones, pictures and groups: the zone is what is really free, and too little is F."""
    for marks in ((bars(NUMBER), other), (other, bars(NUMBER))):
        found = quality.report(page(*marks))[0]
        measured = getattr(found.quiet, side)
        assert measured < 10 if free is None else measured == round(free, 2)
        assert (found.quiet_grade, found.grade, codes(found)) == ("F", "F", ["symbol.quiet_short"])
        assert {"left": "on the left", "right": "on the right"}[side] in found.findings[0].detail


@pytest.mark.parametrize(
    "other",
    [
        text("12345", x=100, y=122, size=24),
        RectMark(0, 0, 608, 400, 4),
        RectMark(2, 2, 500, 20, 0, fill=True),
        LineMark(0, 130, 608, 130, 4),
        RectMark(2, 50, 30, 30, 0, fill=True, erase=True),
        RectMark(2, 50, 30, 30, 0),
        EllipseMark(-400, -400, 1400, 1200, 2),
        GroupMark((RectMark(0, 0, 30, 400, 0, fill=True),), clip=(40, 300, 50, 50)),
    ],
)
def test_what_stands_elsewhere_is_not(other):
    """Above and below bars anything may stand, and white is no ink."""
    found = quality.report(page(bars(NUMBER), other))[0]
    assert (found.grade, found.findings) == ("A", ())


def test_white_boxes_take_away_what_they_cover():
    """A box behind that is erased again leaves the zone free; a symbol that is erased in part is spoilt."""
    black, white = RectMark(10, 50, 25, 30, 0, fill=True), RectMark(8, 45, 30, 40, 0, erase=True)
    assert only(black, white, bars(NUMBER)).grade == "A"
    assert only(bars(NUMBER), RectMark(300, 60, 20, 20, 0, erase=True)).findings[0].code == "symbol.covered"
    assert only(RectMark(300, 60, 20, 20, 0, erase=True), bars(NUMBER)).grade == "A"
    assert quality.report(page(bars(NUMBER), RectMark(0, 0, 608, 400, 0, erase=True))) == ()


@pytest.mark.parametrize(
    ("marks", "code"),
    [
        ((bars(NUMBER), LineMark(0, 80, 608, 80, 2)), "symbol.covered"),
        ((RectMark(0, 0, 608, 400, 0, fill=True), bars(NUMBER)), "symbol.covered"),
        ((bars(NUMBER), text("over", x=200, y=70)), "symbol.covered"),
        ((GroupMark((bars(NUMBER),), clip=(0, 0, 300, 400)),), "symbol.covered"),
        ((bars(NUMBER, x=300),), "symbol.off_page"),
        ((GroupMark((bars(NUMBER),), angle=10.0, pivot_x=270, pivot_y=80),), "symbol.slanted"),
    ],
)
def test_a_spoilt_symbol_is_f(marks, code):
    """Printed over, cut, off the page, slanting."""
    found = only(*marks)
    assert found.grade == "F" and code in codes(found)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_quiet_zones_turn_with_the_symbol(rotation):
    """EAN-13 asks 11 modules at its start and 7 at its end, wherever those lie; bars across the feed are mentioned."""
    symbol = symbols.encode("ean13", "690123456789")
    long, high = symbol.modules * 3, 80
    wide, tall = (high, long) if rotation in {90, 270} else (long, high)
    mark = BarMark(33, 33, wide, tall, 3, 33, "ean13", symbol.data, symbol.widths, (), rotation)
    found = only(mark, size=(wide + 66, tall + 66))
    start = {0: "left", 90: "top", 180: "right", 270: "bottom"}[rotation]
    end = {0: "right", 90: "bottom", 180: "left", 270: "top"}[rotation]
    assert (getattr(found.quiet_needed, start), getattr(found.quiet_needed, end)) == (11, 7)
    assert sum(found.quiet_needed) == 18
    assert (found.grade, found.width_mm, found.height_mm) == ("A", round(long / 8, 2), 10.0)
    assert codes(found) == (["symbol.ladder"] if rotation in {90, 270} else [])
    moved = {"left": (32, 33), "top": (33, 32), "right": (34, 33), "bottom": (33, 34)}[start]
    assert only(mark._replace(x=moved[0], y=moved[1]), size=(wide + 66, tall + 66)).grade == "F"


@pytest.mark.parametrize(("free", "grade"), [(16, "A"), (15, "B"), (14, "C"), (13, "F"), (0, "F")])
def test_a_qr_codes_quiet_zone_is_graded_by_what_lacks(free, grade):
    """Four modules of four dots all round, corners included."""
    mark = qr("YT0012345678901", x=60, y=60)
    for other in (
        RectMark(60 - free - 20, 60, 20, 20, 0, fill=True),
        RectMark(60, 60 - free - 20, 20, 20, 0, fill=True),
        RectMark(60 - free - 20, 60 - 10, 20, 10, 0, fill=True),
        LineMark(60 + mark.width + free, 0, 60 + mark.width + free, 300, 1),
    ):
        found = quality.report(page(mark, other))[0]
        assert found.quiet_grade == grade
        assert found.quiet_needed == (4, 4, 4, 4)
    assert found.height_share == 0


def test_stacked_postal_and_fixed_symbols_have_rules_of_their_own():
    """PDF417's rows, the bars an inch of postal codes, MaxiCode's one size, at every resolution."""
    lines = symbols.encode("pdf417", NUMBER).lines
    assert only(cells("pdf417", NUMBER, row_dots=(9,) * lines)).grade == "A"
    low = only(cells("pdf417", NUMBER, row_dots=(8,) * lines))
    assert (low.height_grade, codes(low)) == ("F", ["symbol.rows_low"])
    for dpi, scale in DOTS_PER_MM.items():
        module = round(symbols.KINDS["postnet"].fixed_mm * scale)
        for kind, shares in (("postnet", (3, 2)), ("rm4scc", (3, 2, 3))):
            rows = tuple(share * module for share in shares)
            found = only(
                cells(kind, "12345", x=200, y=200, module=module, row_dots=rows), size=(3000, 900), dpi=dpi
            )
            assert (found.grade, found.findings) == ("A", ())
            wrong = cells(kind, "12345", x=200, y=200, module=module - 1 - dpi // 300, row_dots=rows)
            assert codes(only(wrong, size=(3000, 900), dpi=dpi)) == ["symbol.size"]
        width, height, bits = symbols.encode("maxicode", "hello").bits(scale)
        edge = round(0.88 * scale)
        picture = ImageMark(edge, edge, width, height, bits, kind="maxicode", data="hello", quiet=edge)
        assert only(picture, size=(width + 2 * edge, height + 2 * edge), dpi=dpi).grade == "A"
        small = picture._replace(width=width * 3 // 4, height=height * 3 // 4)
        assert codes(only(small, size=(2000, 2000), dpi=dpi)) == ["symbol.size"]


_DATA = {
    "code128": NUMBER, "code128a": "ABC-1", "code128b": "abc1234", "ean128": "010950110153000310AB\x1d17261231",
    "gs128Linear": "(01)09501101530003", "code39": "ABC-1", "code93": "abc1", "code11": "123-45", "codabar": "A1234B",
    "c25inter": "12345", "itf14": "0950110153000", "ean13": "690123456789", "ean8": "1234567", "upca": "12345678901",
    "upce": "123456", "qrcode": "张三", "datamatrix": "张三", "gs1Datamatrix": "(01)09501101530003(10)AB", "aztec": "张三",
    "hibcAztec": "A123BJC5D6E71", "pdf417": NUMBER * 4, "postnet": "12345", "rm4scc": "EC1A1BB", "maxicode": "张三",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(_DATA))
def test_what_the_layout_places_is_good_on_every_head(kind):
    """Each type in a box with room: composed for 203, 300 and 600 dpi it has grade A or B (two dots a module) and no finding."""
    template = parse(
        '<page width="100" height="100"><layout left="0" top="0" width="100" height="100">'
        f'<barcode left="4" top="4" width="92" height="60" type="{kind}" value="<%= _data.code %>"/>'
        "</layout></page>"
    )
    for dpi in DOTS_PER_MM:
        composed = compose(template, {"code": _DATA[kind]}, dpi)
        (found,) = quality.report(composed)
        (mark,) = composed.marks
        assert (found.kind, mark.data, found.findings, composed.warnings) == (kind, _DATA[kind], (), ())
        assert found.grade == ("B" if found.module_dots == 2 else "A")
    if kind == "pdf417":
        assert mark.width / mark.height > 1.2  # as wide as its box, where it can be


def test_a_page_without_barcodes_has_an_empty_report():
    """A picture of a logo is no symbol."""
    assert quality.report(page(text("x"), ImageMark(0, 0, 8, 8, b"\0" * 8))) == ()


def test_a_report_is_plain_values_and_holds_no_data():
    """It can be sent as JSON; the number, the address in the QR code and the words beside aren't in it."""
    found = quality.report(page(bars(NUMBER), qr("张三 secret", x=40, y=200), text("李四", x=300, y=300)))
    said = json.dumps([symbol.json() for symbol in found], ensure_ascii=False)
    assert [symbol["kind"] for symbol in json.loads(said)] == ["code128", "qrcode"]
    assert json.loads(said)[1]["quiet_needed"] == {"left": 4, "top": 4, "right": 4, "bottom": 4}
    for secret in (NUMBER, "张三", "secret", "李四"):
        assert secret not in said and secret not in repr(found)


def test_every_finding_has_words():
    """Its detail begins with them."""
    found = only(bars(NUMBER, x=0, height=10, module=1), LineMark(0, 45, 600, 45, 2))
    assert {"symbol.module_coarse", "symbol.quiet_short", "symbol.height_low", "symbol.covered"} <= set(
        codes(found)
    )
    for finding in found.findings:
        assert finding.detail.startswith(quality.FINDINGS[finding.code])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_free_paper_is_what_a_picture_of_the_page_shows(data):
    """Against dots: black boxes strewn about, the paper left of and right of the bars counted one by one."""
    mark = bars("1234", x=150, y=100, module=2, height=60)
    boxes = data.draw(
        st.lists(
            st.tuples(st.integers(0, 500), st.integers(0, 300), st.integers(1, 60), st.integers(1, 60)).map(
                lambda box: RectMark(*box, 0, fill=True)
            ),
            max_size=5,
        )
    )
    found = quality.report(page(*boxes, mark))[0]
    right, bottom = mark.x + mark.width, mark.y + mark.height
    dots = numpy.zeros((400, 608), bool)
    for box in boxes:
        dots[box.y : box.y + box.height, box.x : box.x + box.width] = True
    if dots[mark.y : bottom, mark.x : right].any():
        assert "symbol.covered" in codes(found)
        return
    before, after = (
        dots[mark.y : bottom, : mark.x][:, ::-1].any(axis=0),
        dots[mark.y : bottom, right:].any(axis=0),
    )
    free = [int(side.argmax()) if side.any() else len(side) for side in (before, after)]
    assert [found.quiet.left, found.quiet.right] == [free[0] / 2, free[1] / 2]
