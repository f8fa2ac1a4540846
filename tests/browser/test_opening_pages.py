"""The pages of opening the e-waybill service in a real Chromium on the real programs: from the carrier to the first label."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from sqlalchemy import text

from labelsvc.db import new_id
from labelsvc.security import Actor, Role, StoreKind
from labelsvc.waybills import Application, Party

pytestmark = pytest.mark.browser
expect.set_options(timeout=15_000)

HOME = Party("周掌柜", "13911112222", "广东省", "广州市", "天河区", "天河北路 233 号 1203 室")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Shop:
    """A fresh store with access to the network, its owner's page, and what stands across the street."""

    def __init__(self, street, context, who):
        self.street, self.rooms, self.who = street, street.rooms, who
        self.context, self.page = context, context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.wrong.append(message.text) if "Content Security" in message.text else None,
        )
        self.page.set_default_timeout(15_000)

    def go(self, path):
        """Open a page; its HTTP status."""
        return self.page.goto(self.street.daemon.address + path).status

    def sign_in(self):
        """As the owner."""
        code = self.rooms.accounts.create_sign_in(self.who, "owner").secret
        self.page.goto(f"{self.street.daemon.address}/sign-in#{code}")
        self.page.wait_for_url("**/orders")

    def address(self, **changes):
        """A further sender address, made by the room."""
        return self.rooms.addresses.create(self.who, replace(HOME, **changes)).id

    def applied(self, carrier, address_id, account=""):
        """An application, made by the room."""
        point = self.rooms.subscriptions.network_points(self.who, carrier, address_id)[0]
        return self.rooms.subscriptions.apply(
            self.who,
            Application(carrier, address_id, point.code, HOME.name, HOME.phone, "2026-11", True, account),
        )

    def settled(self):
        """The carrier is asked within a second rather than half a minute."""
        with self.rooms.database.transaction() as connection:
            connection.execute(
                text("UPDATE subscriptions SET look_at = created_at WHERE store_id = :store"),
                {"store": self.who.store_id},
            )

    def until(self, id, state):
        """Until a subscription is in a state; fails after a bounded wait."""
        for _ in range(100):
            if self.rooms.subscriptions.get(self.who, id).state == state:
                return
            time.sleep(0.1)
        raise AssertionError(f"never {state}")

    def reviewed(self, decision, reason=""):
        """A clerk of the carrier decides on the carrier's own page about the one application that this store has there."""
        clerk = self.context.new_page()
        clerk.goto(f"{self.street.mock.base}/review")
        pending = clerk.locator("article", has=clerk.get_by_role("button", name=decision))
        assert pending.count() == 1
        if reason:
            pending.get_by_role("textbox").fill(reason)
        pending.get_by_role("button", name=decision).click()
        clerk.wait_for_load_state()
        assert clerk.locator(".wrong").count() == 0
        clerk.close()
        self.settled()


def _shop(street, chromium, locale="zh-CN", connected=True, scripts=True):
    store = street.rooms.accounts.create_store(f"店铺 {new_id()[-8:]}", StoreKind.MERCHANT)
    who = Actor.operator(store.id, via="test")
    street.rooms.accounts.create_user(who, "owner", Role.OWNER)
    if connected:
        street.rooms.subscriptions.connect(who, f"shop-{store.id}")
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, locale=locale, java_script_enabled=scripts
    )
    return Shop(street, context, who)


@pytest.fixture
def shop(street, chromium):
    """A store with access to the network, its owner signed in."""
    found = _shop(street, chromium)
    found.sign_in()
    yield found
    found.context.close()
    assert found.wrong == []


@pytest.fixture
def by_hand(street):
    """The carriers review by hand."""
    street.mock.control(review="by_hand")
    yield
    street.mock.control(review="at_once")


def _fill_address(page, name="二号仓"):
    page.get_by_label("寄件人").fill(name)
    page.get_by_label("电话", exact=True).fill("02088990011")
    for label, value in (("省份", "广东省"), ("城市", "广州市"), ("区县", "天河区")):
        page.get_by_label(label).select_option(value)
    page.get_by_label("详细地址").fill("天河北路 233 号 1203 室")


def _trail(page):
    return [line.inner_text() for line in page.locator("ol.trail li").all()]


def test_a_direct_operated_carrier_from_the_first_address_to_the_first_label(shop, by_hand):
    """E1, E2, E3, E9, E10, E11: a new address within the form, points, account, review by hand, rejected, corrected, open."""
    page = shop.page
    shop.go("/subscriptions/new")
    # The store has no address yet, so the form begins with one; what was typed before stays.
    page.get_by_label("顺丰速运").check()
    _fill_address(page)
    page.get_by_label("电话", exact=True).fill("12")
    page.get_by_role("button", name="保存地址，继续").click()
    expect(page.get_by_role("alert")).to_contain_text("电话：至少 5 个字")
    expect(page.get_by_label("区县")).to_have_value("天河区")
    page.get_by_label("电话", exact=True).fill("02088990011")
    page.get_by_role("button", name="保存地址，继续").click()
    expect(page.get_by_label("从哪里发货").locator("option:checked")).to_contain_text("广东省广州市天河区")
    expect(page.get_by_label("顺丰速运")).to_be_checked()
    point = page.locator("label", has_text="顺丰广州天河")
    expect(point.get_by_role("radio")).to_be_checked()
    # The account is the direct-operated carriers' alone; it survives a look at another carrier, and so does the contact.
    page.get_by_label("联系人").fill(HOME.name)
    page.get_by_label("月结账号").fill("7551234567")
    page.get_by_label("中通快递").check()
    expect(page.get_by_label("月结账号")).to_have_count(0)
    page.get_by_label("顺丰速运").check()
    expect(page.get_by_label("月结账号")).to_have_value("7551234567")
    expect(page.get_by_label("联系人")).to_have_value(HOME.name)
    # A second address for another point: nothing typed is lost on the way.
    page.get_by_label("从哪里发货").select_option("new")
    expect(page.get_by_role("button", name="保存地址，继续")).to_be_visible()
    _fill_address(page, "三号仓")
    page.get_by_role("button", name="保存地址，继续").click()
    expect(page.get_by_label("从哪里发货").locator("option:checked")).to_contain_text("三**")
    expect(page.get_by_label("月结账号")).to_have_value("7551234567")
    expect(page.get_by_label("联系人")).to_have_value(HOME.name)
    page.get_by_label("联系电话").fill(HOME.phone)
    with shop.context.expect_page() as agreement:
        page.get_by_role("link", name="阅读协议").click()
    expect(agreement.value.get_by_role("heading", level=1)).to_have_text("电子面单服务协议")
    expect(agreement.value.locator("main")).to_contain_text("版本 2026-11")
    agreement.value.close()
    page.get_by_label("已阅读并同意").check()
    page.get_by_role("button", name="提交申请").click()
    expect(page.get_by_text("快递公司正在审核")).to_be_visible()
    (applied,) = shop.rooms.subscriptions.list(shop.who)
    assert (applied.agreement_version, applied.contact_phone) == ("2026-11", HOME.phone)
    assert applied.agreed_at is not None and applied.settlement_account == "7551234567"
    # Rejected: the page follows by itself.
    shop.reviewed("驳回", "月结账号不存在")
    expect(page.get_by_text("快递公司驳回了申请：月结账号不存在")).to_be_visible()
    shop.go("/subscriptions")
    page.get_by_text("历史").click()
    assert [line.split()[1] for line in _trail(page)] == ["审核中", "已驳回"]
    assert "月结账号不存在" in _trail(page)[1] and "快递公司" in _trail(page)[1]
    page.get_by_role("link", name="修改后重新提交").click()
    expect(page.get_by_text("驳回原因：月结账号不存在")).to_be_visible()
    expect(page.get_by_label("顺丰速运")).to_be_checked()
    assert HOME.phone not in page.content() and "139******22" in page.content()
    page.get_by_label("月结账号").fill("7557654321")
    page.get_by_label("已阅读并同意").check()
    page.get_by_role("button", name="重新提交").click()
    expect(page.get_by_text("快递公司正在审核")).to_be_visible()
    shop.reviewed("通过")
    expect(page.get_by_role("heading", name="接下来")).to_be_visible()
    (opened,) = shop.rooms.subscriptions.list(shop.who)
    assert (opened.settlement_account, opened.contact_name) == ("7557654321", HOME.name)
    assert "改了：月结账号" in _trail(page)[2] and "已开通" in _trail(page)[3]
    # What comes next.
    expect(page.get_by_text("按月结账号结算，没有单号余额")).to_be_visible()
    page.get_by_role("button", name="改为这个网点的地址").click()
    expect(page.get_by_text("默认发货地址已更换")).to_be_visible()
    assert shop.rooms.addresses.default(shop.who).id == opened.address_id
    shop.go(f"/subscriptions/{opened.id}")
    expect(page.get_by_text("默认发货地址就是这个网点的发货地址")).to_be_visible()
    page.get_by_role("link", name="打印使用说明").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("打印使用说明")
    page.go_back()
    page.get_by_role("link", name="去打第一张面单").click()
    page.wait_for_url("**/orders")


def test_a_draft_of_a_franchise_carrier_is_completed_and_shows_its_balance(shop):
    """E1, E9: kept as a draft without a contact's phone in clear, continued, submitted without an account, open with numbers."""
    shop.address()
    page = shop.page
    shop.go("/subscriptions/new")
    page.get_by_label("从哪里发货").select_option(index=1)
    page.get_by_label("中通快递").check()
    page.locator("label", has_text="中通广州天河").last.click()
    page.get_by_label("联系人").fill(HOME.name)
    page.get_by_label("联系电话").fill(HOME.phone)
    page.get_by_role("button", name="存为草稿").click()
    expect(page.get_by_text("草稿已保存")).to_be_visible()
    page.get_by_role("link", name="继续填写").click()
    expect(page.get_by_label("中通快递")).to_be_checked()
    chosen = page.locator("input[name=branch_code]:checked").input_value()
    assert chosen and HOME.phone not in page.content()
    # Submitted without agreeing: the browser and the room say no, the room in words.
    page.evaluate("document.querySelector('form[data-steps]').noValidate = true")
    page.get_by_role("button", name="提交申请").click()
    expect(page.get_by_role("alert")).to_contain_text("服务协议：请先阅读并同意")
    assert page.locator("input[name=branch_code]:checked").input_value() == chosen
    page.get_by_label("已阅读并同意").check()
    page.get_by_role("button", name="提交申请").click()
    expect(page.get_by_text("已开通，可以取号了")).to_be_visible()
    expect(page.locator(".todo .huge")).to_have_text("1000")
    (opened,) = shop.rooms.subscriptions.list(shop.who)
    assert (opened.contact_name, opened.contact_phone) == (HOME.name, HOME.phone)
    assert (opened.branch_code, opened.settlement_account) == (chosen, "")
    shop.go("/subscriptions")
    expect(page.locator("article")).to_contain_text("单号余额 1000")


def test_withdrawn_and_closed_free_the_address(shop, by_hand):
    """E1, E5, E6: an occupied address can't be chosen again; withdrawing or closing, once confirmed, frees it."""
    home, other = shop.address(), shop.address(district="越秀区")
    pending, page = shop.applied("YTO", home), shop.page
    shop.go("/subscriptions/new")
    taken = page.locator(f"#f-address_id option[value='{home}']")
    assert taken.is_disabled() and "已用于其他网点" in taken.inner_text()
    assert not page.locator(f"#f-address_id option[value='{other}']").is_disabled()
    shop.go(f"/subscriptions/{pending.id}")
    page.get_by_role("button", name="撤回申请…").click()
    page.get_by_role("dialog").get_by_role("button", name="返回").click()
    page.get_by_role("button", name="撤回申请…").click()
    page.get_by_role("dialog").get_by_role("button", name="撤回申请", exact=True).click()
    expect(page.get_by_text("已撤回")).to_be_visible()
    shop.street.mock.control(review="at_once")
    opened = shop.applied("YTO", home)
    shop.go(f"/subscriptions/{opened.id}")
    page.get_by_role("button", name="关闭服务…").click()
    page.get_by_role("dialog").get_by_role("button", name="关闭服务", exact=True).click()
    expect(page.get_by_text("电子面单服务已关闭")).to_be_visible()
    page.locator("summary", has_text="已关闭").click()
    expect(page.locator("details.past article")).to_have_count(2)
    shop.go("/subscriptions/new")
    assert not page.locator(f"#f-address_id option[value='{home}']").is_disabled()


def test_suspended_by_the_carrier_with_its_reason(shop):
    """E1: the page of an open service follows by itself when the carrier suspends it, and says why; it goes on when resumed."""
    opened = shop.applied("STO", shop.address())
    shop.go(f"/subscriptions/{opened.id}")
    shop.street.mock.decide(opened.network_application_id, "suspend", "欠费停用")
    shop.settled()
    expect(shop.page.get_by_text("快递公司停用了这项服务：欠费停用")).to_be_visible()
    shop.street.mock.decide(opened.network_application_id, "resume")
    shop.settled()
    shop.until(opened.id, "open")
    shop.page.reload()
    expect(shop.page.get_by_role("heading", name="接下来")).to_be_visible()


def test_no_network_point_is_a_clear_answer(shop):
    """E3: where a carrier has no point the form says so in words, and another carrier can be chosen at once."""
    shop.address(province="西藏自治区", city="拉萨市", district="城关区")
    shop.go("/subscriptions/new")
    shop.page.get_by_label("从哪里发货").select_option(index=1)
    shop.page.get_by_label("韵达快递").check()
    expect(shop.page.get_by_text("韵达快递在这个地址没有网点")).to_be_visible()
    shop.page.get_by_label("圆通速递").check()
    expect(shop.page.locator("input[name=branch_code]").first).to_be_visible()


def test_a_silent_network_loses_nothing_that_was_typed(shop):
    """Carriers that don't answer are named so, what was typed stays or is kept as a draft, and the next try finds the points."""
    shop.address()
    page = shop.page
    shop.go("/subscriptions/new")
    page.get_by_label("从哪里发货").select_option(index=1)
    page.get_by_label("联系人").fill(HOME.name)
    expect(page.locator("form[data-steps]")).not_to_have_attribute("aria-busy", "true")
    shop.street.mock.control(script=[{"fault": "http_503", "only": "mock.carriers"}])
    try:
        page.get_by_label(
            "中通快递"
        ).click()  # check() would look for the box in the answer, which can't list it
        expect(page.get_by_text("暂时查不到快递公司和网点")).to_be_visible()
        expect(page.get_by_label("联系人")).to_have_value(HOME.name)
        page.get_by_label("联系电话").fill(HOME.phone)
    finally:
        shop.street.mock.control(script=[])
    for _ in range(20):
        page.get_by_role("button", name="再试一次").click()
        page.wait_for_timeout(500)
        if page.get_by_label("中通快递").count():
            break
    expect(page.get_by_label("中通快递")).to_be_checked()
    expect(page.get_by_label("联系人")).to_have_value(HOME.name)
    expect(page.get_by_label("联系电话")).to_have_value(HOME.phone)
    expect(page.locator("input[name=branch_code]").first).to_be_visible()


def test_who_types_while_the_form_comes_anew_goes_on_typing(shop):
    """The answer to a choice takes neither the letters typed meanwhile nor the caret."""
    shop.address()
    page = shop.page
    shop.go("/subscriptions/new")
    page.route("**/subscriptions/new", lambda route: (page.wait_for_timeout(300), route.continue_()))
    page.get_by_label("从哪里发货").select_option(index=1)
    page.get_by_label("联系人").focus()
    for letter in "周小掌柜":
        page.keyboard.insert_text(letter)
        page.wait_for_timeout(200)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("form[data-steps]")).not_to_have_attribute("aria-busy", "true")
    page.keyboard.insert_text("大")
    expect(page.get_by_label("联系人")).to_have_value("周小掌大柜")


def test_a_store_is_connected_by_its_code_or_token(street, chromium):
    """Without access the way leads to the page that connects; a wrong code is told there; a token isn't shown again."""
    shop = _shop(street, chromium, connected=False)
    try:
        shop.sign_in()
        page = shop.page
        shop.go("/subscriptions/new")
        page.wait_for_url("**/subscriptions/connect")
        page.get_by_label("授权码").fill("no-such-code")
        page.get_by_role("button", name="接入", exact=True).first.click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("访问令牌").fill("token-of-this-shop")
        page.get_by_role("button", name="接入", exact=True).last.click()
        expect(page.get_by_text("已接入快递网络")).to_be_visible()
        page.get_by_role("link", name="网络授权").click()
        expect(page.get_by_role("definition").filter(has_text="不会自动续期")).to_be_visible()
        assert "token-of-this-shop" not in page.content()
    finally:
        shop.context.close()


def test_offline_numbers_are_imported_and_added_to(shop):
    """A carrier's file opens a point, a wrong line is named and imports nothing, few numbers are warned of, a further file adds."""
    shop.address()
    page = shop.page

    def upload(content):
        page.get_by_label("单号文件").set_input_files(
            {"name": "numbers.csv", "mimeType": "text/csv", "buffer": content.encode()}
        )
        page.get_by_role("button", name="导入").click()

    shop.go("/subscriptions/numbers")
    page.get_by_label("快递公司").select_option("ZTO")
    page.get_by_label("发货地址").select_option(index=1)
    page.get_by_label("网点编码").fill("02007")
    page.get_by_label("网点名称").fill("中通天河离线部")
    upload("运单号\n73000000000001\nSF1\n")
    expect(page.get_by_role("alert")).to_contain_text("第 3 行：不是这家快递公司的单号")
    expect(page.get_by_label("网点名称")).to_have_value("中通天河离线部")
    assert shop.rooms.subscriptions.list(shop.who) == []
    upload("运单号\n73000000000001\n73000000000002\n")
    expect(page.get_by_text("单号已导入")).to_be_visible()
    expect(page.locator(".todo .huge")).to_have_text("2")
    expect(page.get_by_text("单号余额不多了")).to_be_visible()
    page.get_by_role("link", name="补充单号").click()
    expect(page.get_by_label("网点编码")).to_have_value("02007")
    upload("73000000000003\n")
    expect(page.locator(".todo .huge")).to_have_text("3")
    shop.go("/orders")
    expect(page.get_by_text("的单号只剩 3 个")).to_be_visible()


def test_sender_addresses_are_masked_looked_at_changed_and_deleted(shop):
    """E4, E7: masked, counted, in clear for a reason on the record; changed; one in use keeps its place and can't be deleted."""
    used, spare = shop.address(), shop.address(district="越秀区", detail="中山五路 33 号 2 座 901")
    shop.applied("ZTO", used)
    page = shop.page
    shop.go("/addresses")
    assert page.locator("h1").inner_text().split()[-3:] == ["2", "/", "100"]
    assert HOME.phone not in page.content() and "1203" not in page.content()
    mine = page.locator("article", has_text="天河区")
    assert mine.get_by_role("button", name="删除…").count() == 0
    mine.get_by_role("button", name="显示明文…").click()
    page.get_by_role("dialog").get_by_text("核对地址").click()
    page.get_by_role("dialog").get_by_role("button", name="显示明文").click()
    expect(page.locator("article.clear")).to_contain_text("天河北路 233 号 1203 室")
    look = shop.rooms.audit.list(shop.who)[0]
    assert (look.action, look.subject, look.reason) == ("address.clear", f"address:{used}", "核对地址")
    page.get_by_role("link", name="重新隐藏").click()
    page.locator("article", has_text="天河区").get_by_role("button", name="修改").click()
    expect(page.get_by_text("省、市、区县不能改")).to_be_visible()
    district = page.locator("select[name=district]")  # scripts make it a list soon after the page stands
    expect(district).to_have_value("天河区")
    district.select_option("越秀区")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("alert")).to_contain_text("这个地址正在使用电子面单服务")
    expect(district).to_have_value("越秀区")
    district.select_option("天河区")
    page.get_by_label("详细地址").fill("体育西路 9 号")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("发货地址已修改")).to_be_visible()
    page.locator("article", has_text="越秀区").get_by_role("button", name="设为默认").click()
    expect(page.get_by_text("默认发货地址已更换")).to_be_visible()
    assert shop.rooms.addresses.default(shop.who).id == spare
    page.locator("article", has_text="越秀区").get_by_role("button", name="删除…").click()
    page.get_by_role("dialog").get_by_role("button", name="删除", exact=True).click()
    expect(page.get_by_text("发货地址已删除")).to_be_visible()
    assert [one.id for one in shop.rooms.addresses.list(shop.who)] == [used]


def test_a_wrong_place_is_met_with_suggestions_without_scripts_too(street, chromium):
    """E8: typed without scripts, a short name is taken, a wrong one is answered with the names that are near."""
    shop = _shop(street, chromium, scripts=False)
    try:
        token = shop.rooms.accounts.create_token(shop.who, "owner", "test").secret
        shop.go("/sign-in")
        page = shop.page
        page.locator("#secret").fill(token)
        page.get_by_role("button", name="登录").click()
        shop.go("/subscriptions/new")
        for label, value in (("寄件人", "仓"), ("省份", "浙江"), ("城市", "杭州"), ("区县", "西胡区")):
            page.get_by_label(label).fill(value)
        page.get_by_label("电话", exact=True).fill("057188990011")
        page.get_by_label("详细地址").fill("文三路 1 号")
        page.get_by_role("button", name="保存地址，继续").click()
        expect(page.get_by_role("alert")).to_contain_text("您是不是要找：西湖区")
        page.get_by_label("区县").fill("西湖")
        page.get_by_role("button", name="保存地址，继续").click()
        (made,) = shop.rooms.addresses.list(shop.who)
        assert made.party.division == {"province": "浙江省", "city": "杭州市", "district": "西湖区"}
        page.get_by_label("中通快递").check()
        page.get_by_role("button", name="查找网点").click()
        expect(page.locator("input[name=branch_code]").first).to_be_visible()
    finally:
        shop.context.close()


def _scenes(shop):
    """Every page of opening, with something to show on it: name -> path."""
    street = shop.street
    rejected = shop.applied("SF", shop.address(), "7551234567")
    suspended = shop.applied("JD", shop.address(district="越秀区"), "010K12345")
    opened = shop.applied("ZTO", shop.address(district="海珠区"))
    pending = shop.applied("YTO", shop.address(district="荔湾区"))
    for one in shop.rooms.subscriptions.list(shop.who):
        street.mock.decide(
            one.network_application_id, "reject", "账号有误"
        ) if one.id == rejected.id else None
        street.mock.decide(one.network_application_id, "approve") if one.id in (
            opened.id,
            suspended.id,
        ) else None
    shop.settled()
    shop.until(opened.id, "open")
    street.mock.decide(
        shop.rooms.subscriptions.get(shop.who, suspended.id).network_application_id, "suspend", "欠费"
    )
    shop.settled()
    shop.until(suspended.id, "suspended")
    shop.until(rejected.id, "rejected")
    draft = shop.rooms.subscriptions.save_draft(shop.who, Application("STO", "", "", "", "", "", False))
    ids = [one.id for one in (rejected, suspended, opened, pending, draft)]
    return [
        "/subscriptions",
        "/subscriptions/new",
        f"/subscriptions/new?carrier=SF&address_id={shop.address(district='白云区')}",
        "/subscriptions/new?address_id=new",
        *[f"/subscriptions/{id}" for id in ids],
        f"/subscriptions/{rejected.id}/edit",
        "/subscriptions/connect",
        "/subscriptions/numbers",
        "/subscriptions/agreement",
        "/addresses",
        "/addresses/new",
        "/manual",
    ]


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_every_page_is_accessible_fits_and_speaks_one_language(street, chromium, by_hand, locale):
    """axe finds nothing wrong on any page of opening; nothing scrolls sideways at 390 px; in English no word of ours is Chinese."""
    shop, axe, found = _shop(street, chromium, locale), Axe(), []
    try:
        shop.sign_in()
        for path in _scenes(shop):
            assert shop.go(path) == 200, path
            shop.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            shop.page.wait_for_load_state("networkidle") if "new" in path else None
            violations = axe.run(shop.page).response["violations"]
            found += [(path, one["id"], one["nodes"][0]["html"][:160]) for one in violations]
            shop.page.set_viewport_size({"width": 390, "height": 800})
            if not shop.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
                found.append((path, "scrolls sideways"))
            shop.page.set_viewport_size({"width": 1280, "height": 900})
            if locale == "en-GB":
                said = shop.page.locator("main").locator("button, h1, legend, summary, dt, .state, .tag")
                found += [(path, one) for one in said.all_inner_texts() if CHINESE.search(_ours(one))]
            assert not re.search(
                r"\b(carrier|network|subscription|address)\.[a-z_]+\b", shop.page.inner_text("main")
            )
    finally:
        shop.context.close()
    assert found == []
    assert shop.wrong == []


def _ours(words):
    """Without the names of places and points, which are Chinese everywhere."""
    return words.rpartition("·")[0] if "·" in words else words
