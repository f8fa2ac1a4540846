"""The pages in a real Chromium on the real programs: from sign-in to a printed label, the PDF fallback, uncertain labels."""

from __future__ import annotations

import base64
import time

import pypdfium2
import pytest

pytestmark = pytest.mark.browser

PAGES = [
    "/orders",
    "/jobs",
    "/questions",
    "/printers",
    "/printers/new",
    "/addresses",
    "/addresses/new",
    "/subscriptions",
    "/subscriptions/new",
    "/nowhere",
]


def _goto(page, street, path):
    page.goto(street.daemon.address + path)


def _issue(page, street):
    """Issue the newest order that has no number yet, by its page; gives the number."""
    _goto(page, street, "/orders")
    page.locator("tr", has_text="未取号").first.get_by_role("link").last.click()
    page.get_by_role("button", name="取号", exact=True).click()
    number = page.locator("#number").inner_text()
    assert number
    return number


def _wait_for_labels(street, count):
    """Until the printer's tray holds so many labels; fails after a bounded wait."""
    for _ in range(200):
        if len(street.printer.labels()) >= count:
            break
        time.sleep(0.1)
    assert len(street.printer.labels()) == count


def _until(page, expression):
    """Until a script's expression is true; fails after a bounded wait (the policy forbids Playwright's own way)."""
    for _ in range(150):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {expression}")


def test_from_sign_in_to_a_printed_label(page, street):
    """A person signs in by the link, opens an order, gets a number, prints; the paper is in the tray, the page says so by itself."""
    before = len(street.printer.labels())
    number = _issue(page, street)
    page.get_by_role("button", name="打印面单").click()
    page.get_by_role("button", name="补打…").wait_for()
    assert page.locator(".state", has_text="已打印").count() >= 1
    _wait_for_labels(street, before + 1)
    assert number.encode() in street.printer.labels()[-1].read_bytes()


def test_a_reprint_asks_for_a_reason_and_prints_one_more(page, street):
    """W8: the dialog, the reason, the count on the page, one more label in the tray."""
    before = len(street.printer.labels())
    _issue(page, street)
    page.get_by_role("button", name="打印面单").click()
    page.get_by_role("button", name="补打…").click()
    page.get_by_text("打印不清").click()
    page.get_by_role("dialog").get_by_role("button", name="补打", exact=True).click()
    page.get_by_text("补打第 1 次").wait_for()
    _wait_for_labels(street, before + 2)


def test_the_pdf_fallback_opens_once_and_calls_the_print_dialog(page, street):
    """P6: the browser's own dialog comes up on a PDF of the label's size; a second opening offers a reprint with a reason."""
    before = len(street.printer.labels())
    page.add_init_script("""
        const open = URL.createObjectURL;
        URL.createObjectURL = (blob) => {
            blob.arrayBuffer().then((bytes) => {
                window.sheet = btoa(Array.from(new Uint8Array(bytes), (b) => String.fromCharCode(b)).join(""));
            });
            return open.call(URL, new Blob(["<!doctype html><title>sheet</title>"], {type: "text/html"}));
        };
        window.print = () => { window.top.printed = (window.top.printed || 0) + 1; };
    """)
    number = _issue(page, street)
    page.get_by_role("button", name="用浏览器打印").click()
    page.wait_for_url("**/pdf/*")
    _until(page, "window.printed === 1 && !!window.sheet")
    document = pypdfium2.PdfDocument(base64.b64decode(page.evaluate("window.sheet")))
    assert [round(points / 72 * 25.4) for points in document[0].get_size()] == [76, 130]
    assert number in document[0].get_textpage().get_text_range()
    page.get_by_role("button", name="再开一次打印窗口").click()
    _until(page, "window.printed === 2")
    page.reload()
    page.get_by_text("这张标签已经打开过一次").wait_for()
    assert page.locator("iframe").count() == 0
    page.get_by_role("button", name="补打", exact=True).click()
    _until(page, "window.printed === 1 && !!window.sheet")
    assert len(street.printer.labels()) == before


@pytest.mark.parametrize(("key", "came_out"), [("y", True), ("2", False)])
def test_an_uncertain_label_is_answered_by_one_key(page, street, key, came_out):
    """P7: the question stands first and has the focus; one key answers it, and 'did not' prints it next."""
    before = len(street.printer.labels())
    number = _issue(page, street)
    street.printer.faults(die_after_bytes=2000)
    page.get_by_role("button", name="打印面单").click()
    page.get_by_role("link", name="去确认").wait_for()
    assert page.locator("nav .count").inner_text() == "1" or page.reload() is None
    _goto(page, street, "/questions")
    question = page.locator(".question")
    assert number in question.inner_text() and "1号打包台" in question.inner_text()
    page.keyboard.press(key)
    page.get_by_role("status").wait_for()
    assert page.locator(".question").count() == 0
    _wait_for_labels(street, before if came_out else before + 1)
    _goto(page, street, "/jobs")
    page.locator("tr", has_text=number).first.get_by_text("已完成").wait_for()


def test_a_printer_out_of_paper_is_shown_and_goes_on_by_itself(page, street):
    """P8: why it waits stands on the page without a reload, and so does the end of it."""
    before = len(street.printer.labels())
    street.printer.faults(paper_out=True)
    try:
        _issue(page, street)
        page.get_by_role("button", name="打印面单").click()
        page.get_by_text("缺纸").first.wait_for()
        waybill = page.url
        _goto(page, street, "/jobs")
        page.locator("tbody a").first.click()
        page.get_by_text("缺纸").first.wait_for()
        page.goto(waybill)
    finally:
        street.printer.faults(paper_out=False)
    page.get_by_role("button", name="补打…").wait_for()
    _wait_for_labels(street, before + 1)


def test_a_sender_address_is_picked_and_kept(page, street):
    """E4: province, city and district fill one another; the new address is listed."""
    _goto(page, street, "/addresses/new")
    page.get_by_label("寄件人").fill("二号仓")
    page.get_by_label("电话").fill("057188990011")
    page.get_by_label("省份").select_option("广东省")
    page.get_by_label("城市").select_option("广州市")
    page.get_by_label("区县").select_option("天河区")
    page.get_by_label("详细地址").fill("天河北路 233 号")
    page.get_by_role("button", name="保存").click()
    page.get_by_text("发货地址已添加").wait_for()
    assert page.get_by_text("广东省广州市天河区").count() == 1


def test_a_printer_is_added_paused_resumed_and_tested(page, street):
    """A wrong address is told at its field; a right one makes a card; a test label comes out, and is no waybill."""
    before = len(street.printer.labels())
    _goto(page, street, "/printers/new")
    page.get_by_label("名称").fill("2号打包台")
    page.get_by_label("连接地址").fill("http://127.0.0.1")
    page.get_by_role("button", name="保存").click()
    assert "开头" in page.locator("#w-uri").inner_text()
    assert page.evaluate("document.activeElement.id") == "f-uri"
    assert "cups://" in page.locator("#h-uri").inner_text()
    page.get_by_label("连接地址").fill(street.printer.uri)
    page.get_by_label("机型").select_option("virtual-zpl-203")
    page.get_by_role("button", name="保存").click()
    card = page.get_by_role("article", name="2号打包台")
    card.get_by_role("button", name="暂停").click()
    card.get_by_role("button", name="恢复").click()
    card.get_by_role("button", name="打测试页").click()
    page.get_by_text("测试页").first.wait_for()
    _wait_for_labels(street, before + 1)
    page.goto(street.daemon.address + "/printers")
    page.get_by_role("article", name="2号打包台").get_by_role("link", name="修改").click()
    page.get_by_role("button", name="删除这台打印机").click()
    page.get_by_text("打印机已删除").wait_for()


def test_of_many_printers_those_in_one_state_are_shown(page, street):
    """The counts over the list lead to those printers alone, which stay alone as the page renews itself, and back to all."""
    from axe_playwright_python.sync_playwright import Axe

    printers, who = street.rooms.printers, street.factory
    resting = printers.add(who, "停着的", "tcp://127.0.0.1:9", "virtual-zpl-203").id
    printers.pause(who, resting)
    _goto(page, street, "/printers")
    names = page.locator("article.card h2")
    assert names.count() > 1
    page.get_by_role("link", name="已暂停 1").click()
    assert names.all_inner_texts() == ["停着的"]
    assert Axe().run(page).response["violations"] == []
    printers.resume(who, resting)
    page.get_by_text("没有这样的打印机").wait_for()
    page.get_by_role("link", name="全部打印机").click()
    page.get_by_role("article", name="停着的").wait_for()
    printers.remove(who, resting)


def test_every_page_is_accessible(page, street):
    """axe finds nothing wrong on any page, the order's, the job's and the sign-in page included."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    _goto(page, street, "/orders")
    order = page.locator("tbody a").first.get_attribute("href")
    _goto(page, street, "/jobs")
    job = page.locator("tbody a").first.get_attribute("href")
    _goto(page, street, "/printers")
    printer = page.get_by_role("link", name="修改").first.get_attribute("href")
    found = []
    for path in [*PAGES, order, job, printer, "/printers/groups/new"]:
        _goto(page, street, path)
        page.wait_for_load_state("networkidle") if path == "/addresses/new" else None
        violations = axe.run(page).response["violations"]
        found += [(path, one["id"], one["nodes"][0]["html"][:160]) for one in violations]
    page.get_by_role("button", name="退出").click()
    page.wait_for_url("**/sign-in*")
    found += [("/sign-in", one["id"]) for one in axe.run(page).response["violations"]]
    assert found == []


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_no_page_scrolls_sideways(page, street, width):
    """At phone, tablet and desk width everything fits."""
    page.set_viewport_size({"width": width, "height": 900})
    _goto(page, street, "/orders")
    order = page.locator("tbody a").first.get_attribute("href")
    _goto(page, street, "/printers")
    printer = page.get_by_role("link", name="修改").first.get_attribute("href")
    for path in [*PAGES, order, printer, "/printers/groups/new"]:
        _goto(page, street, path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    for language in ("en", "zh"):  # the whole menu is to be seen, its last entry too
        _goto(page, street, f"/printers?language={language}")
        assert page.evaluate(
            "(n => n.scrollWidth <= n.clientWidth && n.scrollHeight <= n.clientHeight)(document.querySelector('.bar nav'))"
        ), language
