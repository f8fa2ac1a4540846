"""The pages of custom areas in a real Chromium: what a person picks is what the sample shows, and what labels then carry (T6)."""

from __future__ import annotations

import pytest

from labelsvc.printing import DocumentRequest, PrintRequest
from labelsvc.waybills import sample_label

pytestmark = pytest.mark.browser

TEMPLATE = "waybill-100x150"


def _open(page, street):
    page.goto(f"{street.daemon.address}/store/areas")
    page.locator(f"a[href='/store/areas/{TEMPLATE}']").click()


def _picture(page):
    return page.locator("[data-previewed] img").get_attribute("src")


def test_a_person_picks_rows_and_sees_them_at_once(page, street):
    """The sample follows the form without a button; saved, the area stands on the store's next label."""
    _open(page, street)
    before = _picture(page)
    page.locator("#show2").select_option("words")
    page.locator("#words2").fill("谢谢惠顾，欢迎再来")
    for _ in range(100):
        if _picture(page) != before:
            break
        page.wait_for_timeout(100)
    assert _picture(page) != before
    page.get_by_role("button", name="保存", exact=True).click()
    assert "自定义区已保存" in page.get_by_role("status").inner_text()

    template = page.url.split("?")[0].rsplit("/", 1)[1]
    document = DocumentRequest(template, sample_label(), title="area")
    job = street.rooms.jobs.submit(street.factory, PrintRequest("browser", (document,), f"area-{template}"))
    (found,) = street.rooms.jobs.pages(street.factory, job.labels[0].id)
    assert "谢谢惠顾，欢迎再来" in [getattr(mark, "text", "") for mark in found.marks]

    page.get_by_role("button", name="恢复模板自带的内容").click()
    assert "已恢复" in page.get_by_role("status").inner_text()
    assert street.rooms.areas.get(street.factory, template) is None


def test_a_fault_in_ones_own_cnpl_is_shown_where_it_is(page, street):
    """With its line; the text stays as it was written."""
    _open(page, street)
    page.get_by_label("自己写 CNPL").check()
    text = page.locator("#text").input_value().replace("fontSize:10", "fontSize:big")
    page.locator("#text").fill(text)
    page.get_by_role("button", name="保存", exact=True).click()
    alert = page.get_by_role("alert").first.inner_text()
    assert "模板" in alert or "line" in alert.lower()
    assert "fontSize:big" in page.locator("#text").input_value()


def test_pages_are_accessible_on_a_phone_too(page, street):
    """axe finds nothing, and nothing sticks out at 390 px."""
    from axe_playwright_python.sync_playwright import Axe

    for path in ("/store/areas", f"/store/areas/{TEMPLATE}"):
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(street.daemon.address + path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
