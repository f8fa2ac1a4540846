"""Applications under review at the mock carrier network: at once, after a delay, or by a clerk on a page, and what each state allows."""

import html
import re
import time
import urllib.parse
import urllib.request

import pytest
from support.gateway import ORIGIN, OTHER_ORIGIN, Network, get_request, numbers_of, package

GET, SEARCH = "pdd.waybill.get", "pdd.waybill.search"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One network for the tests of this file."""
    network = Network(tmp_path_factory.mktemp("review") / "books.sqlite", "--review", "by_hand")
    yield network
    assert network.end() == (0, "", "")


@pytest.fixture
def network(running):
    """A network whose clerk decides."""
    running.control(review="by_hand", review_delay_ms=0)
    return running


@pytest.fixture
def shop(request):
    """A shop of the test's own."""
    return f"token-of-{request.node.name}"


def state(network, shop, application):
    """(state, reason) as the network tells it."""
    told = network.call("mock.subscription.query", shop, application_id=application["application_id"])
    assert told["application_id"] == application["application_id"]
    return told["state"], told["reason"]


def listed(network, shop):
    """Whether search lists anything for the shop."""
    return bool(network.call(SEARCH, shop)["waybill_apply_subscription_cols"])


def test_an_application_waits_for_its_reviewer(network, shop):
    """E1: under review nothing is issued or listed; approved, the service is open with its balance, and the same application is the same one throughout."""
    _, applied = network.open_service("YTO", token=shop)
    assert (applied["state"], applied["reason"]) == ("under_review", "")
    assert not listed(network, shop)
    code, reason = network.refusal(GET, shop, **get_request(package(["A"])))
    assert (code, reason) == (50002, "e-waybill subscription does not exist: it is under review")
    _, again = network.open_service("YTO", token=shop)
    assert again["application_id"] == applied["application_id"]
    assert network.decide(applied["application_id"], "approve")[1]["state"] == "open"
    _, again = network.open_service("YTO", token=shop)
    assert (again["application_id"], again["state"]) == (applied["application_id"], "open")
    (column,) = network.call(SEARCH, shop)["waybill_apply_subscription_cols"]
    assert column["branch_account_cols"][0]["quantity"] == 1000
    network.call(GET, shop, **get_request(package(["A"])))


def test_a_rejection_has_a_reason_and_a_corrected_application_is_a_new_one(network, shop):
    """E1: rejected with the carrier's reason; applying again at the same address makes a further application."""
    _, applied = network.open_service("ZTO", token=shop)
    status, body = network.decide(applied["application_id"], "reject")
    assert (status, body["error"]) == (400, "reason: a rejection needs one")
    network.decide(applied["application_id"], "reject", "资料不全")
    assert state(network, shop, applied) == ("rejected", "资料不全")
    _, corrected = network.open_service("ZTO", token=shop)
    assert corrected["application_id"] != applied["application_id"]
    assert corrected["state"] == "under_review"
    assert state(network, shop, applied) == ("rejected", "资料不全")


def test_a_suspended_service_does_not_issue_until_it_is_resumed(network, shop):
    """E1: the carrier suspends and resumes; in between search doesn't list it and a get is refused; the balance stays."""
    _, applied = network.open_service("YTO", token=shop)
    network.decide(applied["application_id"], "approve")
    network.call(GET, shop, **get_request(package(["A"])))
    network.decide(applied["application_id"], "suspend", "欠费")
    assert state(network, shop, applied) == ("suspended", "欠费")
    assert not listed(network, shop)
    code, reason = network.refusal(GET, shop, **get_request(package(["B"])))
    assert (code, reason) == (50002, "e-waybill subscription does not exist: the carrier suspended it")
    network.decide(applied["application_id"], "resume")
    assert state(network, shop, applied) == ("open", "")
    network.call(GET, shop, **get_request(package(["B"])))
    (column,) = network.call(SEARCH, shop)["waybill_apply_subscription_cols"]
    assert column["branch_account_cols"][0]["quantity"] == 998


def test_an_application_is_withdrawn_by_closing_it(network, shop):
    """Closing withdraws what is under review, twice is harmless, and frees the address; nobody can decide it any more."""
    _, applied = network.open_service("YTO", token=shop)
    for _ in range(2):
        closed = network.call("mock.subscription.close", shop, application_id=applied["application_id"])
        assert closed["state"] == "closed"
    assert network.decide(applied["application_id"], "approve")[0] == 400
    assert state(network, shop, applied)[0] == "closed"
    _, again = network.open_service("YTO", token=shop)
    assert again["application_id"] != applied["application_id"]


def test_a_review_can_take_a_while_and_needs_nobody(network, shop):
    """delay: under review first, open by itself later, in whatever call it is asked about."""
    network.control(review="delay", review_delay_ms=300)
    _, applied = network.open_service("STO", token=shop)
    assert applied["state"] == "under_review"
    deadline = time.monotonic() + 20
    while state(network, shop, applied)[0] != "open":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert listed(network, shop)
    network.control(review_delay_ms=600_000)
    _, slow = network.open_service("STO", OTHER_ORIGIN, shop)
    assert network.decide(slow["application_id"], "reject", "不收")[0] == 200
    assert state(network, shop, slow)[0] == "rejected"


def test_a_delayed_review_outlives_a_kill(tmp_path):
    """The moment at which a service opens is in the books: a restarted network opens it."""
    books = tmp_path / "books.sqlite"
    first = Network(books, "--review", "delay", "--review-delay-ms", "200")
    _, applied = first.open_service("YTO")
    first.process.kill()
    first.end()
    second = Network(books)
    try:
        deadline = time.monotonic() + 20
        while state(second, "shop-1", applied)[0] != "open":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [one["state"] for one in second.books()["subscriptions"]] == ["open"]
        assert second.books()["accounts"][0]["quantity"] == 1000
    finally:
        second.end()


def test_another_point_is_refused_while_one_is_under_review(network, shop):
    """E5: an address has one point of a carrier under review, open or suspended."""
    place = {name: ORIGIN[name] for name in ("province", "city", "district")}
    for wp_code in ("YTO", "STO", "ZTO", "YUNDA", "JTSD"):
        points = network.call("mock.network.points", wp_code=wp_code, **place)["points"]
        if len(points) > 1:
            break
    application = {
        "wp_code": wp_code,
        "address": ORIGIN,
        "contact": {"name": "甲", "phone": "1"},
        "agreement_version": "1",
    }
    first, second = (point["branch_code"] for point in points[:2])
    network.call("mock.subscription.apply", shop, branch_code=first, **application)
    assert network.refusal("mock.subscription.apply", shop, branch_code=second, **application)[0] == 50002


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"application_id": "A1", "decision": "approve", "reason": ""}, "application_id"),
        ({"application_id": "A1", "decision": "frame", "reason": ""}, "decision"),
        ({"application_id": 7, "decision": "approve", "reason": ""}, "body"),
        ({"application_id": "A1", "decision": "reject", "reason": "长" * 201}, "body"),
        ({}, "body"),
    ],
)
def test_wrong_decisions_are_said(network, sent, named):
    """Whatever is wrong with a decision is a 400 that names it."""
    status, body = network.http("POST", "/review", urllib.parse.urlencode(sent).encode(), FORM)
    assert status == 400
    assert 'role="alert"' in body.decode()
    status, body = network.decide(sent.get("application_id"), sent.get("decision"), sent.get("reason"))
    assert status == 400
    assert body["error"].startswith(named)


def page_of(network):
    """The review page: (text, headers)."""
    with urllib.request.urlopen(f"{network.root}/review", timeout=20) as answer:
        return answer.read().decode(), answer.headers


def test_the_page_shows_what_waits_and_decides_it(network, shop):
    """The clerk sees carrier, point, address and contact in Chinese, escaped, and approves with an ordinary form that leads back."""
    address = ORIGIN | {"detail": "<b>文一西路</b> 1 号"}
    point, applied = network.open_service("SF", address, shop)
    text, headers = page_of(network)
    (article,) = [one for one in text.split("<article")[1:] if applied["application_id"] in one]
    for shown in (
        "顺丰速运",
        "直营",
        "审核中",
        point["branch_name"],
        "联系人甲",
        "057100000000",
        "0571000001",
    ):
        assert shown in article
    assert html.escape(address["detail"]) in article
    assert "<b>" not in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    sent = {"application_id": applied["application_id"], "decision": "approve", "reason": ""}
    assert re.search(r'<form method="post" action="/review">', article)
    request = urllib.request.Request(
        f"{network.root}/review", urllib.parse.urlencode(sent).encode(), FORM | {"Origin": network.root}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.url == f"{network.root}/review"
        text = answer.read().decode()
    (article,) = [one for one in text.split("<article")[1:] if applied["application_id"] in one]
    assert "已开通" in article
    assert state(network, shop, applied) == ("open", "")


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_the_page_is_for_this_machine_alone(network, shop, headers):
    """A page of another origin in the clerk's browser can neither read nor decide."""
    _, applied = network.open_service("YTO", token=shop)
    sent = {"application_id": applied["application_id"], "decision": "approve"}
    body = urllib.parse.urlencode(sent).encode()
    assert network.http("POST", "/review", body, FORM | headers)[0] == 403
    assert state(network, shop, applied)[0] == "under_review"


def test_tokens_are_made_refreshed_and_run_out(tmp_path):
    """strict: only tokens made here are good, a refreshed one is the same shop, an expired one is 10019, an unknown one 20032."""
    network = Network(tmp_path / "books.sqlite", "--tokens", "strict", "--token-lifetime-s", "600")
    try:
        assert network.refusal("mock.carriers", "anything")[0] == 20032
        made = network.call("pdd.pop.auth.token.create", None, code="shop:alpha")
        kinds = [
            f"{kind}expires_{what}" for kind in ("", "r1_", "r2_", "w1_", "w2_") for what in ("at", "in")
        ]
        assert set(made) == {
            *("access_token", "refresh_token", "owner_id", "owner_name", "scope", "request_id"),
            *("refresh_token_expires_at", "refresh_token_expires_in"),
            *kinds,
        }
        assert (made["owner_name"], made["expires_in"]) == ("alpha", 600)
        assert abs(made["expires_at"] - time.time() - 600) < 60
        network.open_service("YTO", token=made["access_token"])
        fresh = network.call("pdd.pop.auth.token.refresh", None, refresh_token=made["refresh_token"])
        assert fresh["access_token"] != made["access_token"]
        assert fresh["owner_id"] == made["owner_id"]
        (number,) = numbers_of(network.call(GET, fresh["access_token"], **get_request(package(["A"]))))
        other = network.call("pdd.pop.auth.token.create", None, code="shop:beta")
        assert not listed(network, other["access_token"])
        assert listed(network, made["access_token"])
        network.control(token_lifetime_s=0)
        gone = network.call("pdd.pop.auth.token.refresh", None, refresh_token=made["refresh_token"])
        assert network.refusal(GET, gone["access_token"], **get_request(package(["A"])))[0] == 10019
        assert numbers_of(network.call(GET, made["access_token"], **get_request(package(["A"])))) == [number]
        assert network.refusal("pdd.pop.auth.token.refresh", None, refresh_token="x")[0] == 20032
        assert network.refusal("pdd.pop.auth.token.create", None, code="x")[0] == 21001
        assert network.refusal("pdd.pop.auth.token.create", None)[0] == 21002
        secrets = (made["access_token"], made["refresh_token"], fresh["access_token"])
        network.end()
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("books.sqlite*"))
        assert not any(secret.encode() in kept for secret in secrets)
    finally:
        network.end()
