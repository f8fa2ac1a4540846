"""Tables, headers and footers, splitting over pages, and custom areas."""

import time

import pytest

from labelsvc.errors import TemplateError
from labelsvc.labels import BarMark, GroupMark, LineMark, RectMark, TextMark, compose, compose_all, parse

OWN = 'xmlns:labelsvc="urn:labelsvc:template"'
BARE = "cellBorderWidth:0"


def template(inner, width=100, height=50, splits=False):
    return parse(
        f'<page width="{width}" height="{height}" splitable="{str(splits).lower()}" {OWN}>{inner}</page>'
    )


def texts(page):
    return {mark.text: mark for mark in page.marks if isinstance(mark, TextMark)}


def place(mark):
    return mark.x, mark.y


def codes(page):
    return [warning.code for warning in page.warnings]


def table(rows, style=BARE, head="", where='left="0" top="0" width="80"'):
    return f'<table {where} style="{style}">{head}{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


# ── columns and rows ──


def test_columns_are_as_wide_as_their_headers():
    """In mm or as a share of the table; a wider cell wins, a narrower one is ignored."""
    head = '<tr><th width="20">a</th><th width="50%">b</th><th width="10">c</th></tr>'
    page = compose(template(table(['<td width="5">1</td><td>2</td><td width="12">3</td>'], head=head)), {})
    assert [texts(page)[text].x for text in "123"] == [0, 160, 480]
    wider = compose(template(table(['<td width="25">1</td><td>2</td><td>3</td>'], head=head)), {})
    assert [texts(wider)[text].x for text in "123"] == [0, 200, 520]


def test_columns_without_headers_take_the_widest_cell_or_share_the_rest():
    """As many as the longest row has cells, with colspan counted and rowspan carried down."""
    page = compose(template(table(["<td>1</td><td>2</td>", '<td width="20">3</td><td>4</td>'])), {})
    assert [texts(page)[text].x for text in "1234"] == [0, 160, 0, 160]
    spanned = compose(
        template(
            table(
                ['<td rowspan="2">1</td><td colspan="2">2</td>', "<td>3</td><td>4</td>"],
                where='left="0" top="0" width="60"',
            )
        ),
        {},
    )
    assert [texts(spanned)[text].x for text in "1234"] == [0, 160, 160, 320]


def test_rows_are_as_high_as_their_highest_cell():
    """A height, or else what stands in it: here a text of two lines."""
    rows = [
        '<td height="4">1</td><td height="7">2</td>',
        "<td>浙江省杭州市余杭区五常街道文</td><td>3</td>",
        "<td>4</td><td/>",
    ]
    page = compose(template(table(rows, BARE + ";fontSize:10", where='left="0" top="0" width="60"')), {})
    first, second, third = (texts(page)[text].y for text in "134")
    assert second - first == 7 * 8
    lines = [mark for mark in page.marks if len(mark.text) > 2]
    assert len(lines) == 2 and third >= lines[1].y + lines[1].size
    assert codes(page) == []


def test_a_spanning_cell_that_is_higher_heightens_its_last_row():
    """Rows that a cell spans are together at least as high as it."""
    page = compose(
        template(
            table(['<td rowspan="2" height="20">1</td><td height="5">2</td>', "<td>3</td>", "<td>4</td>"])
        ),
        {},
    )
    assert [texts(page)[text].y for text in "234"] == [0, 40, 160]


def test_more_cells_than_headers_are_an_error():
    """A column without a header has no width."""
    with pytest.raises(TemplateError, match="more cells"):
        compose(template(table(["<td>1</td><td>2</td>"], head='<tr><th width="9">a</th></tr>')), {})


def test_lines_between_cells_are_drawn_once():
    """Two by two cells: three lines each way, whole; none inside a cell that spans; the header's are its own."""
    page = compose(
        template(table(['<td height="5">1</td><td>2</td>', '<td height="5">3</td><td>4</td>'], "")), {}
    )
    lines = [mark for mark in page.marks if isinstance(mark, LineMark)]
    assert len(lines) == 6
    assert {mark.thickness for mark in lines} == {3}
    spanned = compose(template(table(['<td height="5" colspan="2">1</td>', "<td>3</td><td>4</td>"], "")), {})
    inner = [mark for mark in spanned.marks if isinstance(mark, LineMark) and mark.x1 == mark.x2 == 320]
    assert len(inner) == 1 and inner[0].y1 >= 38
    head = '<tr><th width="40" height="5">a</th><th width="40">b</th></tr>'
    own = compose(
        template(table(["<td>1</td><td>2</td>"], "headerBorderWidth:2 0;cellBorderWidth:1 0", head)), {}
    )
    assert [mark.thickness for mark in own.marks if isinstance(mark, LineMark)] == [6, 6, 3]


def test_cells_hold_layouts_barcodes_and_shapes():
    """Anything but a table; backgrounds fill the cell and lie below all lines."""
    cell = '<td width="40"><barcode type="code128" left="1" top="1" width="38" height="8" value="12345678"/></td>'
    other = '<td style="backgroundColor:#000000"><layout left="1" top="1" width="9" height="6"><text value="内" style="fontColor:#ffffff"/></layout></td>'
    page = compose(template(table([cell + other], "")), {})
    bars = next(mark for mark in page.marks if isinstance(mark, BarMark))
    assert bars.height == 64 and bars.y >= 8
    black = next(mark for mark in page.marks if isinstance(mark, RectMark) and mark.fill)
    assert (black.x, black.y, black.width) == (320, 0, 320) and black.height >= 72
    assert texts(page)["内"].inverse and codes(page) == []


def test_cells_are_filled_from_data():
    """A table with data in it is laid out for each label; its style comes down to the cells."""
    made = template(
        table(["<td><%= _data.a %></td><td>2</td>", "<td>3</td><td>4</td>"], BARE + ";fontWeight:bold")
    )
    low = compose(made, {"a": "x"})
    high = compose(made, {"a": "长" * 30})
    assert texts(high)["3"].y > texts(low)["3"].y
    assert {mark.weight for mark in low.marks} == {700}


# ── pages ──

HEADED = (
    '<header height="6"><text left="1" top="1" width="40" height="4">题</text>'
    '<pageIndex left="60" top="1" width="30" height="4" format="currentPageNumber of totalPageNumber"/></header>'
    '<footer height="4"><text left="1" top="0" width="40" height="4">脚</text></footer>'
)


def splitting(count, height=10, before="", after=""):
    rows = [f'<td height="{height}">r{number}</td>' for number in range(count)]
    head = '<tr><th width="30" height="5">头</th></tr>'
    return template(
        HEADED + before + f'<layout left="5" top="8" width="40">{table(rows, head=head)}</layout>' + after,
        splits=True,
    )


def test_a_table_breaks_between_rows_and_repeats_its_header():
    """From 8 mm to the footer at 46: header and three rows; then from below the page's header: header and three rows."""
    pages = compose_all(splitting(8), {})
    rows = [[text for text in texts(page) if text[0] == "r"] for page in pages]
    assert rows == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6", "r7"]]
    for number, page in enumerate(pages, 1):
        assert {"题", "脚", "头", f"{number} of 3"} <= texts(page).keys()
    assert texts(pages[0])["头"].y == 64 and texts(pages[1])["头"].y == 48
    assert texts(pages[1])["r3"].y == (6 + 5) * 8


def test_without_a_header_a_page_goes_on_where_the_first_one_begins():
    """The author's margin, here that of the heading, holds on every page."""
    rows = [f'<td height="10">r{number}</td>' for number in range(4)]
    inner = f'<text left="0" top="4" width="30" height="5">题</text><layout orientation="vertical"><layout left="5" top="12">{table(rows)}</layout></layout>'
    pages = compose_all(template(inner, splits=True), {})
    assert [sorted(texts(page)) for page in pages] == [["r0", "r1", "r2", "题"], ["r3"]]
    assert (texts(pages[0])["r0"].y, texts(pages[1])["r3"].y) == (12 * 8, 4 * 8)


@pytest.mark.parametrize(("height", "count"), [(11, 1), (11.1, 2)])
def test_a_row_that_misses_a_tenth_of_a_millimetre_moves_on(height, count):
    """8 + 5 + 3 × 11 is 46 exactly, where the footer begins."""
    assert len(compose_all(splitting(3, height), {})) == count


def test_rows_that_a_cell_spans_stay_together():
    """No break inside a cell."""
    rows = [
        '<td height="14">a</td><td>1</td>',
        '<td height="14">b</td><td>2</td>',
        '<td rowspan="2">c</td><td height="14">3</td>',
        '<td height="14">4</td>',
    ]
    pages = compose_all(
        template(f'<layout left="0" top="0" width="60">{table(rows)}</layout>', splits=True), {}
    )
    assert [sorted(texts(page)) for page in pages] == [["1", "2", "a", "b"], ["3", "4", "c"]]


def test_a_row_higher_than_a_page_is_named():
    """The error has the row's line and what is missing: 5 of the header and 40 in 40 mm."""
    with pytest.raises(TemplateError) as caught:
        compose_all(splitting(1, 40), {})
    assert (caught.value.code, caught.value.facts["element"], caught.value.facts["missing_mm"]) == (
        "label.row_too_high",
        "tr",
        5.0,
    )


def test_what_follows_a_table_floats_below_it():
    """A layout without a top stands where the table ended, on the next page if it must; one with a top on the first page."""
    after = '<layout left="0" height="6" width="20"><text>后</text></layout><text left="70" top="30" width="9" height="4">定</text>'
    pages = compose_all(splitting(2, after=after), {})
    assert len(pages) == 1 and texts(pages[0])["后"].y == (8 + 5 + 20) * 8
    pages = compose_all(splitting(3, after=after), {})
    assert len(pages) == 2
    assert "定" in texts(pages[0]) and texts(pages[1])["后"].y == 6 * 8


def test_compose_takes_one_page_only():
    """A label is one page: what splits is an error that says over how many."""
    with pytest.raises(TemplateError) as caught:
        compose(splitting(8), {})
    assert (caught.value.code, caught.value.facts["pages"]) == ("label.splits", 3)
    assert len(compose(splitting(1), {}).marks) > 0


def test_a_table_with_a_height_does_not_split():
    """Splitting needs splitable="true" and no height on the table and its layout."""
    rows = [f'<td height="20">r{number}</td>' for number in range(4)]
    fixed = f'<layout left="0" top="0" width="60" height="30">{table(rows)}</layout>'
    pages = compose_all(template(fixed, splits=True), {})
    assert len(pages) == 1 and "mark.off_page" in codes(pages[0])
    assert len(compose_all(template(fixed.replace(' height="30"', ""), splits=False), {})) == 1


def test_page_numbers_on_a_single_page():
    """Without a split it is page 1 of 1, and the format's default is both."""
    page = compose(
        template('<footer height="5"><pageIndex left="0" top="0" width="20" height="4"/></footer>'), {}
    )
    assert list(texts(page)) == ["1/1"] and texts(page)["1/1"].y == 45 * 8


# ── custom areas ──

AREA = '<layout left="30" top="20" width="{}" height="8" {}><text value="<%= _data.words %>" style="fontSize:9"/></layout>'
PLACE = '<layout left="10" top="5" width="40" height="10" labelsvc:area="custom"><text>{}</text></layout>'


def area(width=40):
    return parse(AREA.format(width, OWN))


def test_a_custom_area_takes_the_place_of_what_stands_there():
    """T6: the store's words instead of the template's own, filled from data of their own or the label's."""
    standard = template(
        PLACE.format("<%= _data.own %>") + '<text left="0" top="30" value="<%= _data.own %>"/>'
    )
    page = compose(standard, {"own": "标准"}, area=area(), area_data={"words": "自定"})
    assert {text: place(mark) for text, mark in texts(page).items()} == {"自定": (80, 40), "标准": (0, 240)}
    assert codes(page) == []
    assert "标准" in texts(compose(standard, {"own": "标准", "words": "自定"}))
    assert "自定" in texts(compose(standard, {"own": "标准", "words": "自定"}, area=area()))


def test_a_custom_area_that_is_too_large_is_cut():
    """T6: it can't touch the standard part."""
    standard = template(PLACE.format("x"))
    page = compose(standard, {"words": "长" * 14}, area=area(60))
    assert "area.cut" in codes(page)
    (group,) = page.marks
    assert isinstance(group, GroupMark) and group.clip == (80, 40, 320, 80)


def test_a_custom_area_stands_by_itself_where_there_is_no_place():
    """Its own left and top are the page's."""
    page = compose(template(""), {"words": "自定"}, area=area())
    assert place(texts(page)["自定"]) == (240, 160)
    alone = compose(area(), {"words": "自定"})
    assert (alone.width, alone.height, place(texts(alone)["自定"])) == (320, 64, (0, 0))


def test_a_kept_plan_is_of_one_area():
    """Another area is another plan."""
    standard = template(PLACE.format("x"))
    assert texts(compose(standard, {"words": "一"}, area=area())).keys() == {"一"}
    assert texts(compose(standard, {"words": "一"})).keys() == {"x"}
    assert texts(
        compose(standard, {}, area=parse(AREA.format(9, OWN).replace("<%= _data.words %>", "二")))
    ).keys() == {"二"}


# ── bounds ──


def test_a_table_that_spans_too_much_is_refused():
    """Spans multiply: a short template could ask for millions of cells."""
    row = "<td/>" + '<td rowspan="500" colspan="500"/>' * 3
    with pytest.raises(TemplateError) as caught:
        compose(template(table([row] * 100)), {})
    assert caught.value.code == "template.too_long"


def test_a_pile_of_texts_takes_bounded_time():
    """Thousands of things in one place aren't compared two by two."""
    pile = (
        '<text left="1" top="1" width="20" height="5" style="fontColor:#ffffff" value="<%= _data.a %>"/>'
        * 1500
    )
    under = '<rect left="0" top="0" width="30" height="9" style="fillColor:#ffffff"/>' * 500
    begun = time.process_time()
    page = compose(template(pile + under), {"a": "x"})
    assert len(page.marks) == 2000
    assert time.process_time() - begun < 10


def test_what_lies_wholly_off_the_page_is_left_out():
    """Lines below the paper can't be printed, and would pile up at its edge."""
    inner = '<text left="1" top="46" width="20" height="20" value="一&#10;二&#10;三" style="fontSize:8"/>'
    page = compose(template(inner), {})
    assert list(texts(page)) == ["一", "二"] and codes(page) == ["mark.off_page"]
