"""The pages of waybills, batches and the audit trail in a real Chromium on the real programs, in Chinese and in English."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from itertools import count

import pytest
from support import catalogue
from support.house import CARRIER, RECIPIENT, SHOWN

from labelsvc.demo import MERCHANT, USER
from labelsvc.security import Actor
from labelsvc.waybills import IssueRequest, Item
from labelsvc.web.pages import words

pytestmark = pytest.mark.browser

CANCEL = "pdd.waybill.cancel"
COLUMNS = ("订单号", "快递公司", "收件人", "手机", "省", "市", "区", "详细地址", "商品", "数量")
WHERE = ("广东省", "广州市", "天河区", "天河北路 233 号 1204 室")
_numbers = count(1)


def _row(name="欧阳春晓", phone="13812345678", goods="青瓷杯 300ml", quantity="2", carrier="中通"):
    """A parcel of a file, with an order number that no other test has."""
    return (f"B-{next(_numbers):05d}", carrier, name, phone, *WHERE, goods, quantity)


def _file(*rows):
    """A CSV file as an upload takes it."""
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    return {"name": "十一月二十四日.csv", "mimeType": "text/csv", "buffer": text.getvalue().encode()}


def _goto(page, street, path):
    page.goto(street.daemon.address + path)


def _start_batch(page, street, *rows):
    """Upload a good file and start it; ends on the batch's page, with every number there."""
    _goto(page, street, "/batches/new")
    page.set_input_files("#f-file", _file(*rows))
    page.get_by_text(f"{len(rows)} 个包裹可以取号").wait_for()
    page.get_by_role("button", name="开始取号").click()
    page.get_by_text("文件已接收").wait_for()
    page.get_by_role("button", name=f"打印未打印的 {len(rows)} 张标签").wait_for()


def _parcel(**changes):
    return IssueRequest(
        CARRIER, (f"W-{next(_numbers):05d}",), RECIPIENT, SHOWN, (Item("青瓷杯 300ml", 2),), **changes
    )


def _issued(street, **changes):
    """A waybill with its number, asked for behind the pages."""
    request = _parcel(**changes)
    return street.rooms.waybills.issue(street.factory, request, f"pages {request.orders[0]}")


def _open(page, street, waybill):
    _goto(page, street, f"/waybills/{waybill.id}")


def _print(page):
    """Print the label on the open page and wait until it came out."""
    page.get_by_role("button", name="打印面单").click()
    page.get_by_role("button", name="补打…").wait_for()


def _state(page, word):
    page.locator(".split .one .state").filter(has_text=word).first.wait_for()


def _confirm(page, button):
    """The named button of the dialog that is open."""
    page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()


def test_a_file_is_checked_row_by_row_before_anything_is_issued(page, street):
    """D19: the wrong row is named with its columns and reasons, nothing can be started; the mended file can."""
    mark = street.mock.mark()
    wrong = _row(name="", phone="12")
    _goto(page, street, "/batches/new")
    assert page.get_by_role("button", name="开始取号").is_disabled()
    page.set_input_files("#f-file", _file(_row(), wrong, _row(carrier="顺丰")))
    page.get_by_text("2 个包裹有错误").wait_for()
    second = page.get_by_role("table", name="有错误的行").get_by_role("row").nth(1).inner_text()
    assert second.split()[0] == "3"
    assert "收件人: 不能为空" in second and "收件人手机: 至少 5 个字" in second
    assert "没有开通这家快递公司的电子面单" in page.locator("tr", has_text="快递公司:").inner_text()
    assert page.get_by_role("button", name="开始取号").is_disabled()
    page.set_input_files("#f-file", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    page.get_by_text(re.compile("文件缺少必需的列：订单号、收件人")).wait_for()
    page.set_input_files("#f-file", _file(_row()))
    page.get_by_text("1 个包裹可以取号").wait_for()
    assert page.get_by_role("button", name="开始取号").is_enabled()
    assert "欧***" in page.locator("details").inner_text()  # and no more of the name
    assert "欧阳春晓" not in page.locator("main").inner_text()
    assert [one for one in street.mock.log(mark) if one["type"] == "pdd.waybill.get"] == []


def test_templates_are_downloaded_and_fit_the_upload(page, street):
    """D19: both templates come as files; the CSV one, filled in, is taken."""
    _goto(page, street, "/batches/new")
    with page.expect_download() as found:
        page.get_by_role("link", name="XLSX 模板").click()
    assert found.value.suggested_filename.endswith(".xlsx")
    with page.expect_download() as found:
        page.get_by_role("link", name="CSV 模板").click()
    with found.value.path().open(encoding="utf-8-sig", newline="") as file:
        (heading,) = csv.reader(file)
    filled = dict.fromkeys(heading, "")
    given = dict(zip(COLUMNS, _row(), strict=True))
    filled |= {name: given[name] for name in COLUMNS if name in filled} | {"收件人手机": "13812345678"}
    text = io.StringIO()
    csv.writer(text).writerows([heading, filled.values()])
    content = {"name": "x.csv", "mimeType": "text/csv", "buffer": text.getvalue().encode()}
    page.set_input_files("#f-file", content)
    page.locator("[data-good]").wait_for()
    # The template has the sender's columns too; an empty one is the default address.
    assert "1 个包裹可以取号" in page.locator("[data-good]").inner_text()


def test_a_batch_gets_its_numbers_and_is_printed_as_a_whole(page, street):
    """W3: progress without a reload, a number per row, results as a file, every label printed once and in order."""
    before = len(street.printer.labels())
    rows = [_row(phone=f"1381234{at:04d}") for at in range(12)]
    _start_batch(page, street, *rows)
    numbers = page.locator("td a.number").all_inner_texts()
    assert len(set(numbers)) == 12
    with page.expect_download() as found:
        page.get_by_role("link", name="下载结果 (CSV)").click()
    with found.value.path().open(encoding="utf-8-sig", newline="") as file:
        results = list(csv.reader(file))
    assert [line[1:3] for line in results[1:]] == [
        [f'="{row[0]}"', f'="{number}"'] for row, number in zip(rows, numbers, strict=True)
    ]
    page.get_by_role("button", name="打印未打印的 12 张标签").click()
    page.get_by_text("已加入打印队列").wait_for()
    page.locator("td .state", has_text="已打印").nth(11).wait_for(timeout=40_000)
    printed = street.printer.labels()[before:]
    assert len(printed) == 12
    assert all(number.encode() in label.read_bytes() for number, label in zip(numbers, printed, strict=True))


def test_a_refused_parcel_doesnt_stop_the_others(page, street):
    """W3: its reason stands in its row, in words; the batch is done."""
    taken = _row()
    _start_batch(page, street, taken)
    other = (taken[0], taken[1], "李明", "13900001111", *taken[4:])
    _goto(page, street, "/batches/new")
    page.set_input_files("#f-file", _file(other, _row()))
    page.get_by_role("button", name="开始取号").click()
    page.get_by_text("共 2 个包裹").wait_for()
    row = page.locator("tr", has_text=taken[0])
    assert "没有取到" in row.inner_text() and "这个包裹已用其他内容取过号" in row.inner_text()
    assert page.locator("td a.number").count() == 1


_UPLOAD = """([bytes, send]) => {
    const file = new File([new Uint8Array(bytes).fill(97)], "x.csv", {type: "text/csv"});
    const form = document.querySelector("form[data-check]"), chosen = new DataTransfer();
    chosen.items.add(file);
    form.elements.file.files = chosen.files;
    form.elements.file.dispatchEvent(new Event("change", {bubbles: true}));
    return send ? fetch(form.action, {method: "POST", body: new FormData(form)}).then((answer) => answer.status) : 0;
}"""


def test_a_file_that_is_too_large_is_refused(page, street):
    """The upload's bounds hold, at the room and before it at the door, and the page says so instead of hanging."""
    _goto(page, street, "/batches/new")
    page.evaluate(_UPLOAD, [(8 << 20) + 2, False])
    page.locator("[data-good=no]", has_text="文件太大").wait_for()
    assert page.evaluate(_UPLOAD, [10 << 20, True]) == 413
    page.get_by_text("没有检查成功").wait_for()
    assert page.get_by_role("button", name="开始取号").is_disabled()


def test_an_update_makes_the_old_label_void(page, street):
    """W6: opened in clear on the record, corrected, printed anew; the old label is asked for until it is destroyed."""
    waybill = _issued(street)
    _open(page, street, waybill)
    _print(page)
    page.get_by_role("link", name="更新收件人或商品").click()
    assert page.get_by_label("电话").is_disabled()
    page.get_by_role("button", name="更新面单").click()
    assert page.get_by_role("alert").inner_text() == "没有任何改动。"
    page.get_by_role("link", name="返回").click()
    page.get_by_role("link", name="更新收件人或商品").click()
    page.get_by_role("button", name="打开明文再修改").click()
    page.get_by_label("电话").fill("12")
    page.get_by_role("button", name="更新面单").click()
    assert "至少 5 个字" in page.locator("#w-phone").inner_text()
    page.get_by_label("电话").fill("13700002222")
    page.get_by_label("商品").fill("青瓷杯 300ml ×1\n茶盘")
    page.get_by_role("button", name="更新面单").click()
    page.get_by_text("面单已更新，请重新打印").wait_for()
    assert page.locator("#number").inner_text() == waybill.number
    assert (
        "137******22" in page.locator("main").inner_text() and "茶盘 ×1" in page.locator("main").inner_text()
    )
    _goto(page, street, "/waybills")
    page.locator(".note", has_text="作废的标签等待销毁").get_by_role("link", name=waybill.number).click()
    page.get_by_role("button", name="已销毁").click()
    page.get_by_text("作废的标签已销毁").wait_for()
    assert page.get_by_role("button", name="已销毁").count() == 0
    _print(page)
    clear = street.rooms.waybills.clear(street.factory, waybill.id, "test")
    assert (clear.recipient.phone, clear.recipient.name) == ("13700002222", RECIPIENT.name)


def test_a_form_can_be_sent_before_its_lists_of_places_have_come(page, street):
    """W6: the place that stands in the form is sent, also by who is quicker than the lists; they never come here."""
    waybill = _issued(street)
    page.route("**/api/v1/divisions**", lambda route: None)
    _goto(page, street, f"/waybills/{waybill.id}/update")
    # Until then the places are disabled, and never sent.
    page.get_by_role("button", name="打开明文再修改").click()
    page.get_by_label("商品").fill("茶盘")
    page.get_by_role("button", name="更新面单").click()
    page.get_by_text("面单已更新").wait_for()
    clear = street.rooms.waybills.clear(street.factory, waybill.id, "test")
    assert (clear.recipient.city, clear.recipient.district) == (RECIPIENT.city, RECIPIENT.district)


def test_a_person_is_found_and_seen_in_clear_on_the_record(page, street):
    """R1: found by phone without it in any address, masked; shown in clear for a reason; both lines stand in the audit trail."""
    phone = "13655554321"
    waybill = _issued(street)
    street.rooms.waybills.update(
        street.factory, waybill.id, f"u{waybill.id}", recipient=replace(RECIPIENT, phone=phone)
    )
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    _goto(page, street, "/waybills")
    page.get_by_placeholder("运单号").fill("136 5555 4321")
    page.get_by_role("button", name="查找").click()
    page.get_by_text("找到 1 个面单").wait_for()
    page.get_by_role("link", name=waybill.number).click()
    assert phone not in page.content() and RECIPIENT.name not in page.content()
    page.get_by_role("button", name="显示明文…").click()
    page.get_by_label("或者另写原因").fill("客户来电改约")
    _confirm(page, "显示明文")
    page.get_by_text("正在显示明文").wait_for()
    assert phone in page.content() and RECIPIENT.detail in page.content()
    page.get_by_role("link", name="重新隐藏").click()
    page.get_by_role("button", name="显示明文…").wait_for()
    assert phone not in page.content()
    _goto(page, street, "/store")
    page.get_by_role("link", name="全部审计记录").click()
    looks, finds = page.locator("tbody tr").nth(0).inner_text(), page.locator("tbody tr").nth(1).inner_text()
    assert all(word in looks for word in ("owner", "看了面单的明文", waybill.number, "客户来电改约"))
    assert "按人查找面单" in finds and "按电话" in finds
    assert phone not in page.content()
    assert not [url for url in asked if "5555" in url]
    _goto(page, street, "/waybills")
    page.get_by_placeholder("运单号").fill(waybill.number)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/waybills/{waybill.id}")


def test_a_number_is_cancelled_once_its_label_is_destroyed(page, street):
    """W5: with a label on paper it waits for word of its end; a network that refuses for now is told, and asked again."""
    waybill = _issued(street)
    _open(page, street, waybill)
    _print(page)
    page.get_by_role("button", name="取消运单号…").click()
    _confirm(page, "取消运单号")
    _state(page, "作废待确认")
    page.get_by_text("等待确认标签已销毁").wait_for()
    street.mock.control(error=52102, only=CANCEL)
    try:
        page.get_by_role("button", name="取消运单号…").click()
        page.get_by_label("没有打印过，或打印出来的标签已经销毁").check()
        _confirm(page, "取消运单号")
        page.get_by_text("会自动再试").first.wait_for()
        assert street.mock.live(waybill.orders[0]) == [waybill.number]
    finally:
        street.mock.control(error=0, only="")
    page.get_by_role("button", name="取消运单号…").click()
    _confirm(page, "取消运单号")
    page.get_by_text("运单号已取消").wait_for()
    _state(page, "已取消")
    assert street.mock.live(waybill.orders[0]) == []
    _goto(page, street, "/waybills?state=cancelled")
    assert page.get_by_role("link", name=waybill.number).count() == 1


def test_a_parcel_is_handed_over_and_then_stays(page, street):
    """W5: handed over, nothing can be changed, cancelled or printed any more."""
    waybill = _issued(street)
    _open(page, street, waybill)
    assert page.get_by_role("button", name="交给快递员…").count() == 0  # its label isn't printed
    _print(page)
    page.get_by_role("button", name="交给快递员…").click()
    _confirm(page, "已交付")
    page.get_by_text("包裹交给了快递员").wait_for()
    _state(page, "已交付")
    for gone in ("取消运单号…", "补打…", "交给快递员…"):
        assert page.get_by_role("button", name=gone).count() == 0
    _goto(page, street, f"/waybills/{waybill.id}/update")
    page.wait_for_url(f"**/waybills/{waybill.id}")


def test_the_pieces_of_a_set_stand_together(page, street):
    """W7: each piece says which it is, and leads to the others."""
    request = IssueRequest(CARRIER, (f"S-{next(_numbers):05d}",), RECIPIENT, SHOWN, (Item("家具", 1),))
    pieces = street.rooms.waybills.issue_set(street.factory, request, 3, f"set {request.orders[0]}")
    _open(page, street, pieces[0])
    assert "1/3" in page.locator("h1").inner_text()
    page.get_by_role("link", name=pieces[2].number, exact=True).click()
    page.locator("h1", has_text="3/3").wait_for()
    assert pieces[0].number in page.get_by_text("同一母单的包裹").locator("..").inner_text()


def test_an_order_leads_to_its_waybill_and_is_held(page, street, chromium):
    """P10: from the order to its waybill; the merchant holds the order, so the factory can't print it, and reads why."""
    _goto(page, street, "/orders")
    page.locator("tr", has_text="未取号").first.get_by_role("link").last.click()
    order = page.url
    page.get_by_role("button", name="取号", exact=True).click()
    number = page.locator("#number").inner_text()
    page.locator("#number").click()
    page.wait_for_url("**/waybills/*")
    assert page.locator("#number").inner_text() == number
    # The parties are a merchant's (D7): nobody here sees them in clear.
    assert page.get_by_role("button", name="显示明文…").count() == 0
    merchant = Actor.operator(street.rooms.accounts.store(MERCHANT).id, via="test")
    code = street.rooms.accounts.create_sign_in(merchant, USER).secret
    context = chromium.new_context(locale="zh-CN")
    theirs = context.new_page()
    theirs.goto(f"{street.daemon.address}/sign-in#{code}")
    theirs.wait_for_url("**/orders")
    theirs.goto(order)
    theirs.get_by_role("button", name="暂停订单…").click()
    theirs.get_by_role("dialog").get_by_label("原因").fill("客户要改地址")
    _confirm(theirs, "暂停")
    theirs.get_by_text("订单已暂停：客户要改地址").wait_for()
    page.reload()
    page.get_by_text("面单已被拦截：客户要改地址").wait_for()
    assert page.get_by_role("button", name="打印面单").count() == 0
    theirs.get_by_role("button", name="恢复订单").click()
    theirs.get_by_text("订单已恢复").wait_for()
    context.close()
    page.reload()
    page.get_by_role("button", name="打印面单").wait_for()


def test_the_list_is_read_page_by_page(page, street):
    """Thirty a page, the next without gap or repetition."""
    many = [_parcel() for _ in range(32)]
    street.rooms.waybills.issue_many(street.factory, [(one, f"list {one.orders[0]}") for one in many])
    _goto(page, street, "/waybills")
    first = page.locator("tbody a.number").all_inner_texts()
    page.get_by_role("link", name="更早的面单").click()
    page.wait_for_url("**after=*")
    second = page.locator("tbody a.number").all_inner_texts()
    assert len(first) == 30 and len(second) >= 2 and not set(first) & set(second)


def _paths(street):
    """Every page of this part, those of single things included."""
    waybill = _issued(street)
    batch = street.rooms.batches.create(street.factory, [_parcel()], f"paths {next(_numbers)}")
    return [
        "/waybills",
        "/waybills?state=delivered",
        f"/waybills/{waybill.id}",
        f"/waybills/{waybill.id}/update",
        "/batches",
        "/batches/new",
        f"/batches/{batch.id}",
        "/store",
        "/store/audit",
    ]


def test_every_page_of_this_part_is_accessible_in_both_languages(page, street):
    """axe finds nothing, the dialogs and the file's check included; in English nothing that a page says is left in Chinese."""
    from axe_playwright_python.sync_playwright import Axe

    axe, found = Axe(), []

    def look(where):
        page.wait_for_timeout(150)  # the picker fills itself
        violations = axe.run(page).response["violations"]
        found.extend((where, one["id"], one["nodes"][0]["html"][:160]) for one in violations)

    waybill = _issued(street)
    _start_batch(page, street, _row())
    for path in _paths(street):
        _goto(page, street, path)
        look(path)
    _open(page, street, waybill)
    for name in ("显示明文…", "取消运单号…"):
        page.get_by_role("button", name=name).click()
        look(name)
        _confirm(page, "返回")
    _goto(page, street, "/batches/new")
    page.set_input_files("#f-file", _file(_row(), _row(name="")))
    page.get_by_text("1 个包裹有错误").wait_for()
    look("check")
    assert found == []
    # What people wrote stays in the language in which they wrote it.
    written = {str(one) for one in (*words.LOOK_REASONS, words.TO_CHANGE)}
    ours = [one for one in catalogue.translated() if len(one) > 2 and one not in written]
    for path in _paths(street):
        _goto(page, street, path + ("&" if "?" in path else "?") + "language=en")
        said = page.locator("body").inner_text()
        assert [one for one in ours if one in said] == [], path
    _goto(page, street, "/waybills?language=zh")


@pytest.mark.parametrize(("width", "language"), [(390, "en"), (390, "zh"), (1280, "en")])
def test_no_page_of_this_part_scrolls_sideways(page, street, width, language):
    """At phone and desk width everything fits, in both languages."""
    page.set_viewport_size({"width": width, "height": 900})
    for path in _paths(street):
        _goto(page, street, path + ("&" if "?" in path else "?") + f"language={language}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
