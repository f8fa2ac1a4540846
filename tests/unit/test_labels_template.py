"""Reading CNPL: what is taken, what is refused and on which line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelsvc.errors import NotFound, TemplateError
from labelsvc.labels import StandardTemplates, TextMark, compose, parse

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
    assert said(inner, data) == [text]


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
        ('\n<text value="x"\n/><bogus/>', 3, "not an element"),
        ("\n\n<table/>", 3, "not supported yet"),
        ('\n<text colour="red"/>', 2, "CNPL doesn't give"),
        ('\n\n<text style="fontsize:8"/>', 3, "style"),
        ('\n<text style="fontSize:big"/>', 2, "measure"),
        ('\n<text style="align:centre"/>', 2, "left or center"),
        ('\n<text style="rotation:45"/>', 2, "90"),
        ('\n<text style="fontColor:red"/>', 2, "colour"),
        ('\n<text style="fontItalic:true"/>', 2, "not supported yet"),
        ('\n<text left="10%"/>', 2, "percentage"),
        ('\n<text width="-3"/>', 2, "negative"),
        ('\n<barcode value="1" width="50" height="10"/>', 2, "type is missing"),
        ('\n<barcode type="ean13" value="1"/>', 2, "code128"),
        ('\n<barcode type="qrcode" mode="3"/>', 2, "not supported yet"),
        ('\n<line startX="1" startY="1" endX="2"/>', 2, "endY is missing"),
        ("\n<layout>words</layout>", 2, "text can only"),
        ("\n<text><text/></text>", 2, "inside text"),
        ("\n<page/>", 2, "outermost"),
        ("\n<text>x<![CDATA[y]]></text>", 2, "CDATA"),
        ('\n<text value="a" value="b"/>', 2, "duplicate"),
        ("\n<text>", 2, "mismatched"),
        ("\n<text>&nbsp;</text>", 2, "undefined entity"),
        ("\n<% if (_data.x) { %>\n", 2, "scripts"),
        ("\n\n<text><%= _data.x + 1 %></text>", 3, "scripts"),
        ('\n<text value="<%= _data.x.trim() %>"/>', 2, "scripts"),
        ('\n<%@ include "x.js" %>', 2, "scripts"),
        ("\n<text><%= _data </text>", 2, "scripts"),
        ("\n<text value='<%=\n _data.x\n%>'/>\n<bogus/>", 5, "not an element"),
        ("\n<text>\uf8fe</text>", 2, "reserved"),
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


BILLION = '<!DOCTYPE page [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><page width="9" height="9"><text>&b;</text></page>'


@pytest.mark.parametrize(
    "text",
    [
        BILLION,
        '<!DOCTYPE page SYSTEM "file:///etc/passwd"><page width="9" height="9"/>',
        page("<layout>" * 16 + "</layout>" * 16),
        page("<rect/>" * 2001),
        page(" " * 300_000),
        page("<text>\ud800</text>"),
        "",
        "   ",
        "<layout/>",
        '<page width="0" height="10"/>',
        '<page width="10"/>',
        '<page width="2000" height="10"/>',
        '<page width="<%= _data.w %>" height="10"/>',
        '<page width="76" height="130" splitable="true"/>',
    ],
)
def test_hostile_or_useless_templates_are_refused(text):
    """Entities, document types, depth, number, size and pages without a size end in a TemplateError, soon."""
    with pytest.raises(TemplateError):
        parse(text)


@pytest.mark.timeout(60)
def test_many_broken_scripts_are_refused_at_once():
    """The search for scripts is linear, so that even these end before the test's time limit."""
    with pytest.raises(TemplateError, match="scripts"):
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
