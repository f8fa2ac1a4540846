"""A store's custom areas (T6): edited, previewed, kept with each job, and never anything but the place that is the store's."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelsvc.errors import Forbidden, Invalid, NotFound, TemplateError
from labelsvc.labels import StandardTemplates, TextMark
from labelsvc.printing import (
    AreaRow,
    CustomAreas,
    DocumentRequest,
    Printers,
    PrintJobs,
    PrintRequest,
    Profiles,
)
from labelsvc.security import RIGHTS, Actor, Role
from labelsvc.waybills import sample_label

TEMPLATE = "waybill-76x130"
OWN = """<layout xmlns="http://cloudprint.cainiao.com/print" xmlns:labelsvc="urn:labelsvc:template" left="0" top="0" width="40" height="6">
  <text left="0" top="0" width="40" height="6" labelsvc:name="mine" value="客服 <%= _data.orderNumbers %>" style="fontSize:8"/>
</layout>"""


@pytest.fixture
def areas(database) -> CustomAreas:
    """The areas' verbs over the shipped templates."""
    return CustomAreas(database, StandardTemplates())


def words(page, source: str) -> str:
    """What texts of an element say."""
    return "".join(
        mark.text for mark in page.marks if isinstance(mark, TextMark) and mark.source.startswith(source)
    )


def test_every_waybill_template_leaves_a_place(areas: CustomAreas):
    """T6: the store has a place of its own on each waybill."""
    places = areas.places()
    names = [name for name in StandardTemplates().names() if name.startswith("waybill-")]
    assert set(names) <= set(places)
    assert all(place.width_mm > 30 and place.height_mm >= 5 for place in places.values())


def test_an_area_is_kept_for_its_store_alone(areas: CustomAreas, factory: Actor, merchant: Actor):
    """Another store's labels don't change."""
    assert areas.get(factory, TEMPLATE) is None
    kept = areas.save(factory, TEMPLATE, OWN)
    assert areas.get(factory, TEMPLATE) == kept
    assert areas.list(factory) == [kept]
    assert areas.get(merchant, TEMPLATE) is None
    areas.drop(factory, TEMPLATE)
    areas.drop(factory, TEMPLATE)
    assert areas.get(factory, TEMPLATE) is None


def test_only_the_place_changes(areas: CustomAreas, factory: Actor):
    """The standard part is mark for mark the same with any area."""
    rows = areas.text_of(TEMPLATE, [AreaRow("words", 9, words="谢谢惠顾")])
    one, _ = areas.preview(factory, TEMPLATE, rows, sample_label())
    two, _ = areas.preview(factory, TEMPLATE, OWN, sample_label())
    mine = {
        mark.source for page in (one, two) for mark in page.marks if mark.source.startswith(("mine", "words"))
    }
    assert len(mine) == 2
    assert [mark for mark in one.marks if mark.source not in mine] == [
        mark for mark in two.marks if mark.source not in mine
    ]


def test_rows_that_a_person_picked_become_an_area(areas: CustomAreas, factory: Actor):
    """Short names of goods, with what doesn't fit as a number; order numbers; words of the store's own."""
    data = sample_label()
    data["goods"]["short"] = "\n".join(f"商品{n}×1" for n in range(1, 40))
    text = areas.text_of(
        TEMPLATE,
        [
            AreaRow("short_goods", 9, bold=True),
            AreaRow("orders", 7),
            AreaRow("words", 7, words='<%= 1 %> & <b>"'),
        ],
    )
    page, picture = areas.preview(factory, TEMPLATE, text, data)
    goods = words(page, "short_goods")
    shown = goods.count("商品")
    assert 3 <= shown < 39
    assert goods.endswith(f"+{39 - shown}")
    assert words(page, "orders") == data["orderNumbers"]
    assert words(page, "words") == '<%= 1 %> & <b>"'
    assert picture.startswith(b"\x89PNG")
    assert not [warning for warning in page.warnings if warning.code in {"text.overflow", "mark.off_page"}]


def test_what_is_wrong_with_an_area_is_said(areas: CustomAreas, factory: Actor):
    """With its line and element, before anything is kept."""
    with pytest.raises(TemplateError) as caught:
        areas.save(factory, TEMPLATE, OWN.replace("fontSize:8", "fontSize:x"))
    assert caught.value.facts["line"] == 2
    with pytest.raises(TemplateError):
        areas.save(
            factory, TEMPLATE, '<page xmlns="http://cloudprint.cainiao.com/print" width="10" height="10"/>'
        )
    with pytest.raises(TemplateError):
        areas.save(factory, TEMPLATE, "nothing")
    with pytest.raises(Invalid) as large:
        areas.save(factory, TEMPLATE, OWN.replace('width="40"', 'width="300"'))
    assert large.value.code == "area.too_large"
    with pytest.raises(NotFound):
        areas.save(factory, "no-such-template", OWN)
    with pytest.raises(Invalid) as rows:
        areas.text_of(TEMPLATE, [AreaRow("secrets", 9), AreaRow("words", 99)])
    assert {fault.field for fault in rows.value.errors} == {
        "rows[0].show",
        "rows[1].words",
        "rows[1].size_pt",
    }
    assert areas.list(factory) == []


def test_a_packer_can_look_but_not_change(areas: CustomAreas, factory: Actor):
    """R1: what labels show is the owner's choice."""
    packer = Actor("p", factory.store_id, "packer", RIGHTS[Role.PACKER], "page")
    areas.preview(packer, TEMPLATE, OWN, sample_label())
    with pytest.raises(Forbidden):
        areas.save(packer, TEMPLATE, OWN)
    with pytest.raises(Forbidden):
        areas.drop(packer, TEMPLATE)


def test_a_job_keeps_the_area_of_the_day(database, areas: CustomAreas, factory: Actor, tmp_path: Path):
    """T6: an area saved later doesn't change a label that waits, nor a reprint of it."""
    printers = Printers(database, Profiles())
    printers.add(factory, "p", f"file://{tmp_path}", "file-zpl-203")
    jobs = PrintJobs(database, printers, StandardTemplates())
    areas.save(factory, TEMPLATE, OWN)
    request = PrintRequest("p", (DocumentRequest(TEMPLATE, sample_label(), title="N"),), "k")
    job = jobs.submit(factory, request)
    areas.save(factory, TEMPLATE, OWN.replace("客服", "售后"))
    assert words(jobs.pages(factory, job.labels[0].id)[0], "mine").startswith("客服")
    later = jobs.submit(factory, PrintRequest("p", request.documents, "k2"))
    assert words(jobs.pages(factory, later.labels[0].id)[0], "mine").startswith("售后")
