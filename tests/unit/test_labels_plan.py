"""A template laid out once gives the same labels as one laid out anew for each; and what is kept is really kept."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelsvc import languages
from labelsvc.errors import LabelsvcError
from labelsvc.labels import RectMark, StandardTemplates, TextMark, compose, parse
from labelsvc.labels.boxes import Box, ink
from labelsvc.labels.layout import lay_out
from labelsvc.labels.text import Setter
from labelsvc.languages import Target
from tests.unit.test_labels_standard import NAMES, data

OWN = 'xmlns:labelsvc="urn:labelsvc:template"'


def page_of(inner, width=60, height=40):
    return parse(f'<page width="{width}" height="{height}" {OWN}>{inner}</page>')


def anew(template, filled, dpi=203):
    """The page without a kept plan: everything laid out for these data."""
    bound = template.bind(filled)
    (plan,) = lay_out(template, dpi, None, (bound, None))
    return plan.draw((bound, None))


def outcome(make):
    try:
        return make(), None
    except LabelsvcError as error:
        return None, (error.code, error.detail)


def same(template, filled, dpi=203):
    """Compose both ways; the same marks, warnings and dots, or the same error."""
    kept, kept_error = outcome(lambda: compose(template, filled, dpi))
    fresh, fresh_error = outcome(lambda: anew(template, filled, dpi))
    assert kept_error == fresh_error
    if kept is None:
        return
    assert sorted(map(repr, kept.marks)) == sorted(map(repr, fresh.marks))
    assert set(kept.warnings) == set(fresh.warnings)
    assert kept.marks[: len(kept.fixed.marks)] == kept.fixed.marks
    target = Target("png", dpi)
    assert languages.encode(kept, target) == languages.encode(fresh, target)


VALUES = st.sampled_from(
    ["", " ", "浙", "浙江省杭州市余杭区文一西路", "A-1", "two words\nand lines", "𬞞", "12345678"]
)
WORDS = st.sampled_from(
    ["<%= _data.a %>", "<%= _data.b %>", "<%= _data.a %> <%= _data.c.d %>", "收", "固定文字", ""]
)
TONES = st.sampled_from(
    [
        "",
        "backgroundColor:#000000;fontColor:#ffffff",
        "backgroundColor:#ffffff",
        "borderWidth:1",
        "fontColor:#ffffff",
    ]
)
OWNS = st.sampled_from(
    [
        "",
        'labelsvc:hideEmpty="true"',
        'labelsvc:minFontSize="5"',
        'labelsvc:trim="true"',
        'labelsvc:required="true"',
    ]
)
TURNS = st.sampled_from(["", "", "", ";rotation:90", ";rotation:180", ";rotation:37"])


@st.composite
def boxes(draw):
    left, top = draw(st.integers(0, 40)), draw(st.integers(0, 25))
    left = draw(st.sampled_from([str(left), str(left), str(left), "<%= _data.left %>"]))
    return f'left="{left}" top="{top}" width="{draw(st.integers(4, 20))}" height="{draw(st.integers(3, 15))}"'


@st.composite
def elements(draw, depth=0):
    kind = draw(
        st.sampled_from(
            ["text", "text", "text", "rect", "barcode", "line", "round"] + ["layout"] * (depth < 2)
        )
    )
    place, tone, turn = draw(boxes()), draw(TONES), draw(TURNS)
    match kind:
        case "text":
            size = draw(st.sampled_from(["8", "14", "<%= _data.size %>"]))
            return f'<text {place} {draw(OWNS)} value="{draw(WORDS)}" style="fontSize:{size};{tone}{turn}"/>'
        case "rect" | "round":
            fill = draw(st.sampled_from(["#000000", "#ffffff"]))
            return f'<{kind} {place} style="fillColor:{fill}{turn}"/>'
        case "barcode":
            return f'<barcode {place} type="qrcode" value="<%= _data.code %>"/>'
        case "line":
            return '<line startX="1" startY="5" endX="50" endY="5" style="lineWidth:2"/>'
        case _:
            inner = "".join(draw(st.lists(elements(depth=depth + 1), max_size=4)))
            hidden = draw(
                st.sampled_from(["", ";overflow:hidden", ";zIndex:1", ";zIndex:<%= _data.depth %>"])
            )
            return f'<layout {place} style="{tone}{hidden}{turn}">{inner}</layout>'


ANY_LABEL = given(
    st.lists(elements(), min_size=1, max_size=6),
    VALUES,
    VALUES,
    VALUES,
    st.integers(0, 30),
    st.sampled_from(["6", "11"]),
)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def kept_is_anew(inner, a, b, c, left, size):
    """Two labels of one template, each composed by the kept plan and anew."""
    template = page_of("".join(inner))
    for first, second in ((a, b), (b, c)):
        same(
            template,
            {"a": first, "b": second, "c": {"d": c}, "code": "X1", "left": left, "size": size, "depth": "2"},
        )


@ANY_LABEL
@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
def test_a_kept_plan_gives_the_same_label(inner, a, b, c, left, size):
    """Any template, any data, twice with the same plan: marks, warnings and dots are those of a layout made anew."""
    kept_is_anew(inner, a, b, c, left, size)


@pytest.mark.sweep
@ANY_LABEL
@settings(max_examples=1500, deadline=None, suppress_health_check=SLOW)
def test_a_kept_plan_gives_the_same_label_at_length(inner, a, b, c, left, size):
    """The same, for as long as a night allows."""
    kept_is_anew(inner, a, b, c, left, size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dpi", [203, 300])
def test_shipped_templates_give_the_same_label(name, dpi):
    """Also where names are long, and hidden elements hide."""
    template = StandardTemplates().get(name)
    for changes in (
        {},
        {"recipient__name": "欧阳" * 12},
        {"reprint__mark": "补打 2"},
        {"goods__lines": "杯\n" * 30},
    ):
        same(template, data(**changes), dpi)


def test_frames_come_before_what_changes_unless_white_lies_between():
    """Black commutes with black: a later frame is drawn first. A black box that later covers a white text isn't moved."""
    text = '<text left="5" top="5" width="20" height="5" value="<%= _data.a %>" style="{}"/>'
    later = '<rect left="0" top="0" width="30" height="20" style="{}"/>'
    moved = compose(page_of(text.format("") + later.format("borderWidth:1")), {"a": "x"})
    assert [type(mark) for mark in moved.fixed.marks] == [RectMark]
    stays = compose(page_of(text.format("fontColor:#ffffff") + later.format("fillColor:#000000")), {"a": "x"})
    assert stays.fixed.marks == () and isinstance(stays.marks[0], TextMark)
    apart = '<rect left="40" top="20" width="5" height="5" style="fillColor:#000000"/>'
    assert len(compose(page_of(text.format("fontColor:#ffffff") + apart), {"a": "x"}).fixed.marks) == 1


def test_labels_of_a_template_share_what_is_fixed():
    """One object a template and resolution, so that languages keep what they made of it."""
    template = page_of('<rect left="1" top="1" width="9" height="9"/><text value="<%= _data.a %>"/>')
    one, other = compose(template, {"a": "1"}), compose(template, {"a": "2"})
    assert one.fixed is other.fixed and len(one.fixed.marks) == 1
    assert compose(template, {"a": "1"}, 300).fixed is not one.fixed
    assert [mark.text for mark in other.own] == ["2"]


def test_warnings_of_fixed_parts_come_with_every_label():
    """What is wrong with the template itself is told on each label."""
    template = page_of(
        '<text left="1" top="1" width="8" height="4" value="放不下的文字"/><text value="<%= _data.a %>"/>'
    )
    assert [warning.code for warning in compose(template, {}).warnings] == ["text.overflow"]
    assert [warning.code for warning in compose(template, {"a": "1"}).warnings] == [
        "text.overflow",
        "text.overlap",
    ]


def test_white_boxes_on_white_paper_are_left_out():
    """A white background covers only where something can lie below it."""
    box = '<{} left="5" top="5" width="9" height="9" style="backgroundColor:#ffffff"/>'
    assert compose(page_of(box.format("layout")), {}).marks == ()
    under = '<rect left="0" top="0" width="30" height="30" style="fillColor:#000000"/>'
    marks = compose(page_of(under + box.format("layout")), {}).marks
    assert [mark.erase for mark in marks] == [False, True]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (False, "false"), (12, "12"), (1.5, "1.5"), (2.0, "2"), (True, "true"), (None, "")],
)
def test_numbers_and_truth_values_are_said_as_scripts_say_them(value, said):
    """The quick way of looking up gives what the element's own filling gives; 0 and false are no empty texts."""
    template = page_of('<text value="<%= _data.a %>"/><text top="9" value="n=<%= _data.a %>"/>')
    same(template, {"a": value})
    assert "n=" + said in [mark.text for mark in compose(template, {"a": value}).marks]


@pytest.mark.parametrize("name", NAMES)
@given(st.text(max_size=60), st.text(max_size=120), st.text(max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_mark_of_a_shipped_template_leaves_its_page(name, name_of, address, goods):
    """Whatever the data hold: refused, or on the paper."""
    filled = data(
        recipient__name=name_of, sender__address__detail=address, goods__lines=goods, custom__text=address
    )
    page, _ = outcome(lambda: compose(StandardTemplates().get(name), filled))
    paper = Box(0, 0, page.width, page.height) if page else None
    assert page is None or all(paper.holds(box) for mark in page.marks for box in ink(mark))


@given(
    st.text(st.sampled_from("浙江省 杭州a1-，。W\n"), min_size=1, max_size=40),
    st.integers(20, 300),
    st.integers(20, 120),
    st.booleans(),
    st.integers(-2, 6),
)
@settings(max_examples=150, deadline=None)
def test_a_text_gets_the_largest_size_at_which_it_fits(text, width, height, wraps, spacing):
    """The search leaves out sizes that can't do; what it finds is what trying one after the other finds."""

    def weight(size):
        return 500 if size >= 20 else 400

    setter = Setter(width, height, wraps, 1.2, weight, lambda _: spacing, strict=True)
    one_by_one = next(
        (tried for size in range(40, 12, -1) if (tried := setter.fit(text, size, size)).fits), None
    )
    found = setter.fit(text, 40, 12)
    assert found == (one_by_one or setter.fit(text, 12, 12))
