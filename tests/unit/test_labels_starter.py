"""Templates to begin with, and the sample data that any template can be seen with."""

import re

import pytest

from labelsvc.errors import Invalid
from labelsvc.labels import StandardTemplates, TextMark, compose, parse, sample_data, starter
from labelsvc.waybills import sample_label, sample_of

#: Of an ordinary label there is nothing to say here.
MAY_BE_EMPTY = {
    "carrierLogo",
    "reprint.mark",
    "parcel.text",
    "parcel.parent",
    "recipient.phone",
    "sender.phone",
}


@pytest.mark.parametrize("dpi", [203, 300, 600])
@pytest.mark.parametrize(
    "size", [(30, 20), (40, 30), (60, 40), (60, 90), (58, 200), (150, 60), (76, 130), (100, 150), (100, 180), (210, 297)]
)  # fmt: skip
def test_a_starter_is_clean_on_any_paper(size, dpi):
    """It is read, composed without a warning, and shows number and recipient."""
    template = parse(starter("my-own", *size), "my-own")
    page = compose(template, sample_data(template, sample_of(template.paths)), dpi)
    assert (template.width_mm, template.height_mm, page.warnings) == (*size, ())
    assert template.areas == (("custom",) if size[0] >= 60 and size[1] >= 90 else ())
    data = [mark.data for mark in page.marks if hasattr(mark, "data")]
    assert data == ["YT0000000000000"]
    assert "欧阳晓*" in "".join(mark.text for mark in page.marks if isinstance(mark, TextMark))


@pytest.mark.parametrize(
    ("name", "size", "field"),
    [("My", (100, 180), "name"), ("../x", (100, 180), "name"), ("", (100, 180), "name"), ("x", (29, 50), "size"), ("x", (50, 1001), "size")],
)  # fmt: skip
def test_no_starter_for_what_can_not_be(name, size, field):
    """A name that is no file's, paper too small or too large."""
    with pytest.raises(Invalid) as caught:
        starter(name, *size)
    assert caught.value.errors[0].field == field


def test_every_standard_template_has_sample_data():
    """Each path that a shipped template takes from the data is there and says something or is meant to be empty on an
    ordinary label, so that a picture of it shows everything; a list has what each row takes."""
    for name in StandardTemplates().names():
        template = StandardTemplates().get(name)
        data = sample_of(template.paths)
        for path in template.paths:
            found = data
            for key in path.removesuffix(".length").split("."):
                found = found[key]
            assert found or path in MAY_BE_EMPTY, (name, path)
        for key in re.findall(r"<%= row[.](\w+) %>", template.text):
            assert all(row[key] for row in data["rows"]), (name, key)
        assert compose(template, data).warnings == (), name


def test_sample_data_follow_what_a_foreign_template_asks_for():
    """Names become their own values, lists get two rows, barcodes digits, through paths and scripts alike; methods and
    what isn't data are no names."""
    template = parse(
        '<page width="90" height="90"><text value="<%= _data.foo["b c"] %><%= _data.recipient.name %>"/>'
        '<barcode type="ean13" value="<%= _data.kd %>"/>'
        "<% for (var i = 0; i < _data.rows.length; i++) { %><text><%= _data.rows[i].n %> <%= _data.rows[i].m.q[2] %></text><% } %>"
        "<% _data.more.forEach(function (x) {}); 'my._data.no'; _data.flag %></page>"
    )
    data = sample_data(template, sample_label())
    assert data["foo"] == {"b c": "b c"}
    assert data["kd"].isdigit()
    assert data["rows"] == [{"n": "n", "m": {"q": ["q", "q", "q"]}}] * 2
    assert (data["flag"], data["recipient"]["name"], "no" in data) == ("flag", "欧阳晓*", False)
    assert len(template.bind(data).root.children) == 4
    assert sample_data(template, sample_label()) == data


def test_a_custom_area_has_sample_data_too():
    """A layout of its own is shown like a page."""
    area = parse('<layout width="60" height="20"><text value="<%= _data.shop.note %>"/></layout>')
    assert sample_data(area)["shop"] == {"note": "note"}
