"""Reading CNPL: what is taken, what is refused and on which line."""

import re
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelsvc.errors import NotFound, TemplateError
from labelsvc.labels import Context, StandardTemplates, TextMark, compose, parse
from labelsvc.labels.cnpl import BARCODE_TYPES, INHERITED, Style
from labelsvc.labels.element import DataPath

OWN = 'xmlns:labelsvc="urn:labelsvc:template"'


def page(inner, attributes=""):
    return f'<page width="76" height="130" {attributes}>{inner}</page>'


def said(inner, data=None, attributes=""):
    composed = compose(parse(page(inner, attributes)), data or {})
    return [mark.text for mark in composed.marks if isinstance(mark, TextMark)]


def test_a_template_knows_its_size_name_and_data_paths():
    """The paths used are listed once each, however they are written."""
    template = parse(
        page('<text value="<%= _data.a.b %>-<%=_data["c"]%>"/><text><![CDATA[<%= _data.a.b; %>]]></text>'),
        "mine",
    )
    assert (template.name, template.width_mm, template.height_mm) == ("mine", 76, 130)
    assert template.paths == ("a.b", "c")


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ('<text value="收 <%= _data.name %>!"/>', "收 张三!"),
        ("<text>收 <%=_data.name%></text>", "收 张三"),
        ("<text><![CDATA[<%= _data['name'] %> & <b>]]></text>", "张三 & <b>"),
        ("<text>\n    <![CDATA[ x ]]>\n  </text>", " x "),
        ("<text>\n    x\n  </text>", "x"),
        ("<text>\n    x  \n  y  \n  </text>", "x  \n  y  "),
        ("<text>  x </text>", "  x "),
        ("<text>x<![CDATA[ & ]]>y</text>", "x & y"),
        ("<text>\n x \n\n \n</text>", "x "),
        ('<text value="<%= _data.list[1] %>"/>', "zwei"),
        ('<text value="<%= _data.deep["收件人"].名 %>"/>', "李四"),
        (
            '<text value="<%= _data.count %> <%= _data.share %> <%= _data.whole %> <%= _data.yes %>"/>',
            "3 0.5 2 true",
        ),
        ('<text value="a<%= _data.none %><%= _data.no.such.way %>b"/>', "ab"),
        ('<text value="&lt;%= _data.name %&gt;"/>', "<%= _data.name %>"),
    ],
)
def test_data_paths_are_filled(inner, text):
    """In attributes, bodies and CDATA, mixed with literal text; what is missing is empty."""
    data = {
        "name": "张三", "list": ["eins", "zwei"], "deep": {"收件人": {"名": "李四"}}, "count": 3, "share": 0.5,
        "whole": 2.0, "yes": True, "none": None,
    }  # fmt: skip
    bound = parse(page(inner)).bind(data)
    (element,) = bound.root.children
    assert element.fill(element.content, bound) == text


HOSTILE = [
    "]]>",
    "<%= _data.secret %>",
    "<text>x</text>",
    '"/><text value="x',
    "&lt;&amp;",
    "'\"",
    "<!-- ",
    "%>",
    ";rotation:90",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_data_is_never_markup(hostile):
    """Data with markup, CDATA ends, scripts or quotes is printed as it is, and nothing else comes of it."""
    data = {"name": hostile, "secret": "geheim"}
    assert said('<text style="wrap:false" value="<%= _data.name %>"/>', data) == [hostile]
    assert said('<text style="wrap:false"><![CDATA[<%= _data.name %>]]></text>', data) == [hostile]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("<>%=_data.&\"';]!-[CDATA \uf8fe0\uf8ff张"), min_size=1, max_size=30))
def test_any_data_prints_literally(text):
    """Whatever the characters, the page says exactly the data."""
    wanted = [text] if text.strip() else []
    assert said('<text style="wrap:false" value="<%= _data.x %>"/>', {"x": text}) == wanted


@pytest.mark.parametrize(
    ("inner", "line", "reason"),
    [
        ("\n<header height='1'/><layout/>\n<header height='1'/>", 3, "one header at most"),
        ("\n<footer height='1'/><footer height='1'/>", 2, "one footer at most"),
        ("\n<header/>", 2, "height is missing"),
        ("\n<layout><footer height='1'/></layout>", 2, "inside layout"),
        ("\n<layout><pageIndex/></layout>", 2, "header or footer"),
        ("\n<pageIndex/>", 2, "inside page"),
        ("\n<tr/>", 2, "inside page"),
        ("\n<table><td/></table>", 2, "inside table"),
        ("\n<table><tr><text/></tr></table>", 2, "inside tr"),
        ("\n<table><tr/>\n<tr><th width='3'>a</th></tr></table>", 3, "first row"),
        ("\n<table><tr><th>a</th></tr></table>", 2, "width is missing"),
        ("\n<table><tr><th width='3'><rect/></th></tr></table>", 2, "inside th"),
        ("\n<table><tr><th width='101%'/></tr></table>", 2, "more than 100"),
        ("\n<table><tr><td><table/></td></tr></table>", 2, "inside td"),
        ("\n<table><tr><td>a<text/></td></tr></table>", 2, "both text and elements"),
        ("\n<table><tr><td colspan='0'/></tr></table>", 2, "from 1 to 500"),
        ("\n<table><tr><td rowspan='1.5'/></tr></table>", 2, "from 1 to 500"),
        ("\n<table><tr width='3'/></table>", 2, "CNPL doesn't give"),
        ("\n<table>x</table>", 2, "text can only"),
        ("\n<layout><%= _data.x %></layout>", 2, "text can only"),
        ('\n<text style="alpha:2"/>', 2, "between 0 and 1"),
        ('\n<text style="margin:1 2 3 4 5"/>', 2, "one to four"),
        ('\n<text style="padding:-1"/>', 2, "negative"),
        ('\n<table style="cellBorderWidth:1 2 3"/>', 2, "one or two"),
        ('\n<text style="borderStyle:double"/>', 2, "dotted"),
        ('\n<text style="fontSize:auto" width="3"/>', 2, "needs a width and a height"),
        ('\n<barcode type="aztec" errorCorrection="4"/>', 2, "errorCorrection"),
        (f'\n<text {OWN} labelsvc:area="x"/>', 2, "only a layout"),
        (f'\n<layout {OWN} labelsvc:area="X y"/>', 2, "small letters"),
        (f'\n<layout {OWN} labelsvc:area="a"/><layout {OWN} labelsvc:area="a"/>', 2, "already"),
        ('\n<text value="x"\n/><bogus/>', 3, "not an element"),
        ('\n<text colour="red"/>', 2, "CNPL doesn't give"),
        ('\n\n<text style="fontsize:8"/>', 3, "style"),
        ('\n<text style="fontSize:big"/>', 2, "measure"),
        ('\n<text style="align:centre"/>', 2, "left or center"),
        ('\n<text style="rotation:45mm"/>', 2, "degrees"),
        ('\n<text style="fontColor:red"/>', 2, "colour"),
        ('\n<text style="fontItalic:yes"/>', 2, "true nor false"),
        ('\n<text left="10%"/>', 2, "percentage"),
        ('\n<text width="-3"/>', 2, "negative"),
        ('\n<barcode value="1" width="50" height="10"/>', 2, "type is missing"),
        ('\n<barcode type="ean14" value="1"/>', 2, "ean13"),
        ('\n<barcode type="aztec" mode="high"/>', 2, "whole number"),
        ('\n<line startX="1" startY="1" endX="2"/>', 2, "endY is missing"),
        ("\n<layout>words</layout>", 2, "text can only"),
        ("\n<text><text/></text>", 2, "inside text"),
        ("\n<page/>", 2, "outermost"),
        ('\n<text value="a" value="b"/>', 2, "duplicate"),
        ("\n<text>", 2, "mismatched"),
        ("\n<text>&nbsp;</text>", 2, "undefined entity"),
        ("\n<% if (_data.x) { %>\n", 2, "script: SyntaxError"),
        ("\n\n<text><%= _data.x + %></text>", 3, "script: SyntaxError"),
        ("\n<text value='<% var a=1;\n\n var b = 1 2 %>'/>", 4, "script: SyntaxError"),
        ('\n<%@ include "x.js" %>', 2, "isn't allowed"),
        ("\n<%@ page %>", 2, "not an include"),
        ("\n<text><%= _data </text>", 2, "without its end"),
        ("\n<text value='<%=\n _data.x\n%>'/>\n<bogus/>", 5, "not an element"),
        ("\n<text>\uf8fe</text>", 2, "reserved"),
        ("\r\n<rect/>\r<bogus/>", 3, "not an element"),
        ("\r\n<% var a =\r\n1 2 %>", 3, "SyntaxError"),
        (f'\n<text {OWN} labelsvc:requird="true"/>', 2, "isn't known"),
        (f'\n<text {OWN} labelsvc:name="<%= _data.x %>"/>', 2, "depends on data"),
        ('\n<text xmlns:x="urn:x"><x:y/></text>', 2, "not an element"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(inner, line, reason):
    """Elements, attributes, values, scripts and XML that can't be taken are TemplateErrors of their line."""
    with pytest.raises(TemplateError, match=reason) as caught:
        parse(page(inner))
    assert caught.value.facts["line"] == line


def test_a_value_from_data_is_checked_when_it_is_filled():
    """A style or length may come from data; a bad one is an error of the element, without the value."""
    text = page('\n<text left="<%= _data.x %>" style="fontSize:<%= _data.size %>" value="a"/>')
    assert compose(parse(text), {"x": "5", "size": 8}).marks[0].x == 40
    for data in ({"x": "secret", "size": 8}, {"x": 1, "size": "secret"}, {"x": {}, "size": 8}, {"x": 1}):
        with pytest.raises(TemplateError) as caught:
            compose(parse(text), data)
        assert caught.value.facts["line"] == 2
        assert "secret" not in caught.value.detail


def test_an_object_in_a_text_is_refused():
    """Only texts, numbers and truth values are printed."""
    for value in ({"a": 1}, [1], 10**5000):
        with pytest.raises(TemplateError, match="recipient") as caught:
            said('<text value="<%= _data.recipient %>"/>', {"recipient": value})
        assert caught.value.errors[0].field == "recipient"


def test_editors_attributes_are_ignored():
    """Attributes of foreign namespaces are left by editors and mean nothing."""
    attributes = (
        'xmlns="http://cloudprint.cainiao.com/print" xmlns:editor="http://x/schema/editor" editor:_deg_="7"'
    )
    assert said('<text editor:_for_="a" value="x"/>', attributes=attributes) == ["x"]


EVERYTHING = f"""<page width="100" height="150" splitable="true" {OWN} style="fontSize:9">
  <header height="10pt"><pageIndex left="1" top="1" width="30" height="5" format="currentPageNumber/totalPageNumber"/></header>
  <layout id="a" left="1" top="1" width="50" height="20mm" orientation="vertical" style="zIndex:2;overflow:hidden">
    <text value="x"/>
    <image src="data:," allowFailure="false"/>
    <line startX="0" startY="0" endX="1" endY="1" style="lineType:dotted;lineWidth:0.5pt;lineColor:#000000"/>
    <rect width="3" height="3" style="fillColor:#ffffff"/><circle width="3" height="3"/><round width="3" height="3"/>
  </layout>
  <layout ref="a" left="60" top="1" width="30" height="20"/>
  <layout labelsvc:area="custom" left="0" top="100" width="100" height="30"/>
  <barcode type="pdf417" width="40" height="20" ratioMode="keepRatio" errorCorrection="3" mode="2" primary="p" symbolSize="1">
    <![CDATA[<%= _data.code %>]]>
  </barcode>
  <table left="0" top="50" width="98" style="headerBorderWidth:2 1;headerBorderStyle:dashed;cellBorderWidth:0">
    <tr><th width="30%">名称</th><th width="20" height="6"><text value="数量"/></th></tr>
    <tr><td colspan="2" rowspan="3" width="50mm" height="5">a</td></tr>
    <tr><td><layout><table><tr><td/></tr></table></layout></td></tr>
  </table>
  <footer height="10"><layout><pageIndex format="currentPageNumber"/></layout></footer>
</page>"""


def find(template, tag, at=0):
    return [element for element in template.root.walk() if element.tag == tag][at]


def test_every_element_of_cnpl_is_read():
    """Each element with all attributes that CNPL gives it, where CNPL lets it stand."""
    template = parse(EVERYTHING)
    assert {element.tag for element in template.root.walk()} == {
        "page", "header", "footer", "pageIndex", "layout", "text", "barcode", "image", "line", "rect", "circle",
        "round", "table", "tr", "th", "td",
    }  # fmt: skip
    assert (template.is_area, template.areas) == (False, ("custom",))
    assert template.root.flag("splitable", {}, default=False)
    barcode = find(template, "barcode")
    assert barcode.fill(barcode.content, {"code": "1"}) == "1"
    assert find(template, "pageIndex").content == ("currentPageNumber/totalPageNumber",)
    assert find(template, "header").length("height", {}) == pytest.approx(25.4 / 72 * 10)


@pytest.mark.parametrize("kind", BARCODE_TYPES)
def test_every_barcode_type_of_cnpl_is_read(kind):
    """The whole list, as CNPL spells it."""
    assert find(parse(page(f'<barcode type="{kind}" value="1"/>')), "barcode").word("type", {}) == kind


def test_a_custom_area_is_a_template_of_its_own():
    """A layout as the root has the size of its box. T6"""
    template = parse('<layout left="3" top="90" width="70" height="30"><text value="x"/></layout>')
    assert (template.width_mm, template.height_mm, template.is_area) == (70, 30, True)


def test_cells_know_their_widths_and_spans():
    """In mm or per cent; one row and one column by default; bare text becomes a text element."""
    template = parse(EVERYTHING)
    assert find(template, "th").extent("width", {}) == (30, "%")
    assert find(template, "th", 1).extent("width", {}) == (20, "mm")
    cell = find(template, "td")
    assert (cell.count("colspan", {}), cell.count("rowspan", {}), cell.extent("width", {})) == (
        2,
        3,
        (50, "mm"),
    )
    assert find(template, "td", 1).count("colspan", {}) == 1
    assert [(one.tag, one.content) for one in cell.children] == [("text", ("a",))]
    assert [
        one.content for one in (find(template, "th").children[0], find(template, "th", 1).children[0])
    ] == [
        ("名称",),
        ("数量",),
    ]


def test_a_ref_has_the_content_but_not_the_box():
    """A layout that refers to another, which may come later and refer on, is filled with that one's content."""
    template = parse(
        page(
            '<layout ref="b" left="1" width="9"/><layout id="b" ref="a" width="5"/>'
            '<layout id="a" left="30" width="20"><text value="<%= _data.x %>"/></layout>'
        )
    )
    for layout in template.root.children:
        assert [child.content for child in layout.children] == [(DataPath(("x",)),)]
    assert [layout.length("width", {}) for layout in template.root.children] == [9, 5, 20]


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ('<layout ref="x"/>', "no layout's id"),
        ('<layout ref="a"/><layout id="a"/><layout id="a"/>', "several"),
        ('<layout id="a" ref="a"/>', "itself"),
        ('<layout id="a" ref="b"/><layout id="b" ref="a"/>', "itself"),
        ('<layout id="a"><layout ref="a"/></layout>', "itself"),
        ('<layout id="a"><layout ref="b"/></layout><layout id="b"><layout ref="a"/></layout>', "itself"),
        ('<layout ref="a"><text/></layout><layout id="a"/>', "both"),
        ('<layout ref="<%= _data.x %>"/>', "depend"),
        (
            '<layout id="0"><rect/></layout>'
            + "".join(
                f'<layout id="{n}">' + f'<layout ref="{n - 1}"/>' * 2 + "</layout>" for n in range(1, 20)
            ),
            "more than 5000 elements",
        ),
        (
            '<layout id="0"/>'
            + "".join(f'<layout id="{n}"><layout ref="{n - 1}"/></layout>' for n in range(1, 40)),
            "more than 32 levels",
        ),
    ],
)
def test_refs_that_lead_nowhere_or_too_far_are_refused(inner, reason):
    """Unknown, ambiguous and circular refs, and refs that multiply."""
    with pytest.raises(TemplateError, match=reason) as caught:
        parse(page(inner))
    assert caught.value.facts["element"] == "layout"


def test_text_and_strokes_inherit_boxes_do_not():
    """Each inherited property comes down from page, layout, table, row and cell, and can be taken back on the way; each
    property of a box stays with its element."""
    said = ";".join(f"{name}:{value}" for name, value in ALL_STYLES.items())
    template = parse(
        page(
            f'<layout style="{said}"><table><tr><td><text value="x"/></td></tr></table></layout>',
            'style="fontSize:7"',
        )
    )
    style, above = None, []
    for element in template.root.walk():
        style = element.styled({}, style)
        above.append(style)
    outer, full, inner = above[0], above[1], above[-1]
    assert (outer.font_size_pt, full.font_size_pt, inner.font_size_pt) == (7, 11, 11)
    for one in fields(Style):
        name, default = one.name, getattr(Style(), one.name)
        assert getattr(full, name) != default, name
        assert getattr(inner, name) == (getattr(full, name) if name in INHERITED else default), name
    assert set(INHERITED) == {
        "font_family", "font_size_pt", "weight", "italic", "underline", "white_text", "align", "valign", "wrap",
        "line_height", "letter_spacing", "direction", "line_pt", "line_stroke", "white_line",
    }  # fmt: skip


ALL_STYLES = {
    "fontFamily": "SimHei", "fontSize": "11", "fontWeight": "bold", "fontItalic": "true", "fontUnderline": "true",
    "fontColor": "#ffffff", "backgroundColor": "#000000", "lineColor": "#ffffff", "fillColor": "#000000",
    "align": "center", "valign": "bottom", "wrap": "false", "lineHeight": "150%", "letterSpacing": "10%",
    "direction": "rtl", "orientation": "vertical", "rotation": "-33.5", "alpha": "0.5", "zIndex": "3",
    "overflow": "hidden", "margin": "1", "padding": "1 2", "borderWidth": "1 2 3", "borderStyle": "dashed",
    "cellBorderWidth": "2", "cellBorderStyle": "solid dotted", "headerBorderWidth": "1 3", "headerBorderStyle": "solid",
    "lineWidth": "2", "lineType": "dashed", "hideText": "false",
}  # fmt: skip


@pytest.mark.parametrize(
    ("style", "field", "value"),
    [
        ("fontItatlic:true", "italic", True),
        ("opacity:.25", "alpha", 0.25),
        ("rotation:-33.5", "rotation", 326.5),
        ("rotation:450", "quarter", 90),
        ("rotation:45", "quarter", None),
        ("margin:1 2mm -3", "margin_mm", (1, 2, -3, 2)),
        ("padding:1 2 3 4", "padding_mm", (1, 2, 3, 4)),
        ("padding:72pt", "padding_mm", (25.4, 25.4, 25.4, 25.4)),
        ("borderWidth:1 2", "border_pt", (1, 2, 1, 2)),
        ("borderStyle:solid dashed dotted", "border_strokes", ("solid", "dashed", "dotted", "dashed")),
        ("cellBorderWidth:2 0", "cell_border_pt", (2, 0)),
        ("headerBorderStyle:dotted", "header_border_strokes", ("dotted", "dotted")),
        ("", "header_border_pt", None),
        ("fontFamily: Microsoft YaHei ;", "font_family", "Microsoft YaHei"),
        ("fontSize:10mm", "font_size_pt", pytest.approx(28.35, abs=0.01)),
        ("letterSpacing:1pt", "letter_spacing", (pytest.approx(0.353, abs=0.001), "mm")),
        ("lineHeight:90%", "line_height", 0.9),
        ("backgroundColor:#ffffff", "black_background", False),
        ("direction:rtl", "direction", "rtl"),
    ],
)
def test_style_values_are_read_in_their_units(style, field, value):
    """Angles come to one turn, sides go in the order of CSS, lengths become mm, borders and type pt."""
    assert getattr(find(parse(page(f'<text style="{style}"/>')), "text").styled({}), field) == value


def test_elements_know_what_depends_on_data():
    """An element says which of its values differ from label to label, and whether a whole branch never does."""
    template = parse(
        page(
            '<layout left="<%= _data.x %>"><text value="a" style="fontSize:9"/></layout>'
            '<text style="fontSize:<%= _data.size %>">a<%= _context.documentNumber() %></text>'
        )
    )
    layout, inner, text = template.root.children[0], *[find(template, "text", at) for at in (0, 1)]
    assert (layout.depends(), layout.depends("left"), layout.depends("top", "style", "body")) == (
        True,
        True,
        False,
    )
    assert (text.depends("value"), text.depends("style"), text.depends("body")) == (False, True, True)
    assert (inner.is_literal, layout.is_literal, template.root.is_literal) == (True, False, False)
    assert parse(page('<layout><text value="a"/></layout>')).root.is_literal


def test_the_context_is_filled_in():
    """Which label of how many, when printing began (in Shanghai, whatever the machine says), and whose logos."""
    context = Context(3, 7, datetime(2026, 3, 8, 22, 5, 9, 41000, UTC), top_logo=False, bottom_logo=True)
    places = (
        "_context.documentNumber()", "_context . documentCount( ) ;", "_config.needTopLogo", "_config.needBottomLogo",
        '_context.formatStartTime("yyyy-MM-dd HH:mm:ss.S")', "_context.formatStartTime('yy/M/d h:m:s hh E EE EEE')",
    )  # fmt: skip
    template = parse(page("<text>" + "|".join(f"<%={place}%>" for place in places) + "</text>"))
    bound = template.bind({}, context)
    text = bound.root.children[0]
    assert text.fill(text.content, bound) == (
        "3|7|false|true|2026-03-09 06:05:09.41|26/3/9 6:5:9 06 一 周一 星期一"
    )
    assert bound.root is template.bind({"x": 1}).root
    assert template.paths == ()


BILLION = '<!DOCTYPE page [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><page width="9" height="9"><text>&b;</text></page>'


@pytest.mark.parametrize(
    "text",
    [
        BILLION,
        '<!DOCTYPE page SYSTEM "file:///etc/passwd"><page width="9" height="9"/>',
        page("<layout>" * 32 + "</layout>" * 32),
        page("<rect/>" * 5001),
        page(" " * 300_000),
        page("<text>\ud800</text>"),
        "",
        "   ",
        "<layout/>",
        '<layout width="10"/>',
        '<layout width="<%= _data.w %>" height="10"/>',
        '<page width="0" height="10"/>',
        '<page width="10"/>',
        '<page width="2000" height="10"/>',
        '<page width="<%= _data.w %>" height="10"/>',
        '<page width="76" height="130" splitable="<%= _data.x %>"/>',
    ],
)
def test_hostile_or_useless_templates_are_refused(text):
    """Entities, document types, depth, number, size and pages without a size end in a TemplateError, soon."""
    with pytest.raises(TemplateError):
        parse(text)


# Bits of templates, well and badly formed, that a fuzzed template is put together from.
_BITS = st.sampled_from(
    """<page width="76" height="130">|</page>|<layout id="a" ref="a">|<layout width="9" height="9">|</layout>|<text>|</text>
    |<text value="x"/>|<table>|</table>|<tr>|</tr>|<td colspan="2">|</td>|<th width="3">|</th>|<header height="3">|</header>
    |<pageIndex format="currentPageNumber"/>|<barcode type="qrcode" value="|"/>|style="fontSize:|;rotation:|auto|"|'|<![CDATA[|]]>
    |<%= _data.x %>|<%= _data. %>|<%=|%>|<%|<% if (_data.x) { %>|<% } %>|<% } else { %>|<%@ include "a" %>|<\\%|%\\>|&amp;|&x;|<!--
    |-->|<?xml version="1.0" encoding="GBK"?>|<?x ?>|<!DOCTYPE page>|\uf8fd|\uf8fe1\uf8ff|\0|\ufeff|\ud800|mm| |1e9|-5%|九
    |xmlns="urn:x"|xmlns:l="urn:labelsvc:template" l:area="a"|#ffffff|<%= 1 + 1 %>""".replace("\n", "").split(
        "|"
    )
)
_TEMPLATES = st.one_of(
    st.text(max_size=200),
    st.lists(_BITS | st.text(max_size=3), max_size=25).map("".join),
    st.lists(_BITS | st.text(max_size=3), max_size=25).map("".join).map(page),
)


@settings(max_examples=300, deadline=None)
@given(_TEMPLATES)
def test_any_text_is_a_template_or_a_template_error(text):
    """Whatever the text, it is read or refused, and what is read can be bound to data or is refused then; nothing else."""
    _is_a_template_or_refused(text)


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@settings(max_examples=20_000, deadline=None)
@given(_TEMPLATES)
def test_any_text_is_a_template_or_a_template_error_at_length(text):
    """The same, many more."""
    _is_a_template_or_refused(text)


def _is_a_template_or_refused(text):
    try:
        template = parse(text)
        bound = template.bind({"x": [1, {"y": "z"}]})
        styles = {}
        for element in bound.root.walk():
            styles[element] = element.styled(bound)
            element.fill(element.content, bound)
    except TemplateError as error:
        assert error.facts.get("line", 1) >= 1
        assert error.facts.get("line", 1) <= len(re.findall("\r\n?|\n", text)) + 1
        assert error.code in {
            "template.invalid",
            "template.script",
            "template.script_limit",
            "template.too_long",
            "template.too_deep",
        }


@pytest.mark.timeout(60)
def test_many_broken_scripts_are_refused_at_once():
    """The search for scripts is linear, so that even these end before the test's time limit."""
    with pytest.raises(TemplateError, match="script"):
        parse(page("<%" * 100_000))
    with pytest.raises(TemplateError):
        parse(page("<%= _data" + " .a" * 60_000 + "! %>"))


def test_standard_templates_are_listed_and_found(tmp_path):
    """The two shipped ones are there; a directory of one's own too; no name leads out of it."""
    shipped = StandardTemplates()
    assert {"waybill-76x130", "waybill-100x180"} <= set(shipped.names())
    assert (shipped.get("waybill-76x130").width_mm, shipped.get("waybill-76x130").height_mm) == (76, 130)
    assert (shipped.get("waybill-100x180").width_mm, shipped.get("waybill-100x180").height_mm) == (100, 180)
    (tmp_path / "shop").mkdir()
    (tmp_path / "secret.xml").write_text(page(""))
    (tmp_path / "shop" / "own.xml").write_text(page(""))
    own = StandardTemplates(tmp_path / "shop")
    assert own.names() == ["own"]
    assert own.get("own").name == "own"
    for name in ("../secret", "nothing", "", "own.xml", str(tmp_path / "secret")):
        with pytest.raises(NotFound):
            own.get(name)


def test_a_changed_file_is_read_anew(tmp_path):
    """A template edited in its directory holds from the next label on."""
    path = tmp_path / "own.xml"
    path.write_text(page(""))
    assert StandardTemplates(tmp_path).get("own").height_mm == 130
    path.write_text('<page width="50" height="30"></page>')
    assert StandardTemplates(tmp_path).get("own").height_mm == 30
