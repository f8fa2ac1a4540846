"""The web door lets nobody in without asking who they are, from where they call, and whether their page means it."""

from __future__ import annotations

import re

import pytest
from support.web import RECIPIENT, House, assert_problem, build, label_data

from labelsvc.security import Actor, Role

IDENT = "01m0000000000000000000000a"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An app on real rooms."""
    return House(build(tmp_path_factory.mktemp("doors")))


@pytest.fixture(scope="module")
def owner(house):
    """The owner of a merchant, by token."""
    return house.caller("云上小店")


class Browser:
    """A signed-in browser on the pages: keeps its cookie, and tells where it calls from as browsers do."""

    def __init__(self, house, token):
        self.client = house.app.test_client()
        answer = self("POST", "/sign-in", data={"secret": token})
        assert answer.status_code == 303
        self.cookie = answer.headers["Set-Cookie"]
        page = self("GET", "/printers").get_data(as_text=True)
        self.csrf = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', page)[1]

    def __call__(self, method, path, headers=None, **options):
        headers = {"Host": "localhost", "Accept": "text/html", **(headers or {})}
        return self.client.open(path, method=method, headers=headers, **options)


def _routes(house):
    for rule in house.app.url_map.iter_rules():
        path = re.sub(r"<(ident|waybill):\w+>", IDENT, rule.rule).replace("<path:filename>", "look.css")
        path = path.replace("<template:template>", "waybill-76x130")
        assert "<" not in path, rule.rule
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield rule, method, path


def test_every_route_but_the_public_ones_needs_a_token_or_a_session(house):
    """Deny by default: each route is called without identity, and only the known public ones answer."""
    public = {
        "/api/v1/health",
        "/api/openapi.json",
        "/static/<path:filename>",
        "/sign-in",
        "/metrics",  # of this machine only, see test_metrics
    }
    client, seen = house.app.test_client(), 0
    for rule, method, path in _routes(house):
        answer = client.open(path, method=method, headers={"Host": "localhost", "Accept": "text/html"})
        if rule.rule in public:
            assert answer.status_code in (200, 401), rule.rule
            continue
        seen += 1
        if rule.rule.startswith("/api/") or method != "GET":
            assert answer.status_code == 401, (method, rule.rule, answer.status_code)
        else:
            assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in"), rule.rule
    assert seen > 60


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer lsv_wrong", "Bearer " + "x" * 5000]
)
def test_a_wrong_authorization_is_a_401_problem(house, header):
    """A header that isn't a valid token is refused, whatever its form."""
    answer = house.stranger().get("/me", headers={"Authorization": header})
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "localhost:x",
        "[::1",
        "a" * 300,
    ],
)
def test_a_foreign_host_name_is_refused(house, owner, host):
    """A rebound name reaches nothing, not even health."""
    assert_problem(owner.get("/me", headers={"Host": host}), 421, "host.refused")
    assert_problem(house.stranger().get("/health", headers={"Host": host}), 421)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8317", "127.0.0.1:8317", "[::1]:8317", "LocalHost:80"]
)
def test_our_own_host_names_are_taken(owner, host):
    """Loopback names with any port are ours."""
    assert owner.get("/me", headers={"Host": host}).status_code == 200


def test_a_configured_host_name_is_taken(tmp_path):
    """The setting allowed_hosts adds exact names."""
    house = House(build(tmp_path, allowed_hosts=["labels.lan"]))
    caller = house.caller("云上小店")
    assert caller.get("/me", headers={"Host": "labels.lan:8317"}).status_code == 200
    assert_problem(caller.get("/me", headers={"Host": "other.lan"}), 421)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:1", "file://", "http://[", "https://localhost.evil"],
)
def test_a_page_of_another_origin_is_refused(owner, origin):
    """Even with a token, a call from a foreign page neither reads nor writes."""
    for method in ("GET", "POST"):
        answer = owner(method, "/jobs", {} if method == "POST" else None, headers={"Origin": origin})
        assert_problem(answer, 403, "origin.refused")


def test_cross_site_fetch_metadata_is_refused_for_unsafe_calls(owner):
    """Sec-Fetch-Site tells even where Origin is missing."""
    for site in ("cross-site", "same-site"):
        answer = owner.post("/jobs", {}, headers={"Sec-Fetch-Site": site})
        assert_problem(answer, 403, "origin.refused")


def test_a_session_needs_the_csrf_token_for_unsafe_calls(house, owner):
    """A cookie alone changes nothing: forms and API calls of a page carry its token."""
    browser = Browser(house, owner.token)
    name = {"name": "打包台", "uri": "tcp://127.0.0.1:9101", "profile": "virtual-zpl-203"}
    assert browser("POST", "/printers/new", data=name).status_code == 403
    assert browser("POST", "/printers/new", data={**name, "csrf_token": "0" * 64}).status_code == 403
    assert_problem(browser("POST", "/api/v1/printers", json=name), 403, "csrf.refused")
    assert owner.get("/printers").json["items"] == []
    done = browser("POST", "/api/v1/printers", json=name, headers={"X-CSRF-Token": browser.csrf})
    assert done.status_code == 201
    removed = browser("POST", f"/printers/{done.json['id']}/remove", data={"csrf_token": browser.csrf})
    assert removed.status_code == 303
    assert owner.get("/printers").json["items"] == []


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(house, owner):
    """HttpOnly, SameSite=Strict, with an end."""
    cookie = Browser(house, owner.token).cookie
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Max-Age=" in cookie


def test_a_sign_in_link_works_once_and_looking_at_it_spends_nothing(house, owner):
    """The one-time code is spent by POST only; GET of the page, by a person or a previewer, isn't."""
    operator = Actor.operator(owner.store.id)
    code = house.rooms.accounts.create_sign_in(operator, Role.OWNER.value).secret
    client = house.app.test_client()
    for _ in range(3):
        assert client.get("/sign-in", headers={"Host": "localhost"}).status_code == 200
    Browser(house, code)
    again = client.post(
        "/sign-in", data={"secret": code}, headers={"Host": "localhost", "Accept": "text/html"}
    )
    assert again.status_code == 401


def test_signing_out_ends_the_session_in_the_book(house, owner):
    """A copied cookie is worth nothing after sign-out."""
    browser = Browser(house, owner.token)
    value = re.match(r"([^=]+)=([^;]+)", browser.cookie)
    assert browser("POST", "/sign-out", data={"csrf_token": browser.csrf}).status_code == 303
    thief = house.app.test_client()
    thief.set_cookie(value[1], value[2], domain="localhost")
    assert thief.get("/api/v1/me", headers={"Host": "localhost"}).status_code == 401


def _everything(house):
    """Every row of every table but the ones that signing in writes, and the trail of looks: a preview is a look."""
    with house.rooms.database.reading() as connection:
        from labelsvc.db import metadata

        return {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in metadata.sorted_tables
            if table.name not in ("credentials", "audit_entries")
        }


def test_get_never_changes_anything(house, owner):
    """Each GET route is called, with a session and with a token, on a house with data: no row differs afterwards."""
    order = owner.post(
        "/orders",
        {
            "number": "GET-1",
            "recipient": RECIPIENT,
            "shown_sender": RECIPIENT,
            "lines": [{"name": "茶", "quantity": 1}],
        },
    )
    assert order.status_code == 201, order.json
    printer = house.rooms.printers.browser(Actor.operator(owner.store.id))
    job = owner.post(
        "/jobs",
        {"printer": printer.id, "documents": [{"template": "waybill-76x130", "data": label_data()}]},
        key="doors-get",
    )
    assert job.status_code == 201, job.json
    idents = {
        "job_id": job.json["id"],
        "label_id": job.json["labels"][0]["id"],
        "order_id": order.json["id"],
        "printer_id": printer.id,
        "template": "waybill-76x130",
    }
    browser, before = Browser(house, owner.token), _everything(house)
    for rule in house.app.url_map.iter_rules():
        if "GET" in rule.methods:
            path = re.sub(r"<\w+:(\w+)>", lambda found: idents.get(found[1], IDENT), rule.rule)
            browser("GET", path)
            if path.startswith("/api/v1"):
                owner.get(path.removeprefix("/api/v1"))
    assert _everything(house) == before


def test_answers_carry_the_headers_that_keep_browsers_safe(house, owner):
    """No inline scripts, no sniffing, no referrer to others, no cache for anything but static files."""
    for path in ("/sign-in", "/api/v1/health", "/nope"):
        answer = house.app.test_client().get(path, headers={"Host": "localhost"})
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"


def test_pages_hold_nothing_inline_and_nothing_foreign(house, owner):
    """What the content security policy would block isn't there: no inline script, style or handler, no other host."""
    browser = Browser(house, owner.token)
    for path in (
        "/orders",
        "/jobs",
        "/printers",
        "/printers/new",
        "/addresses",
        "/addresses/new",
        "/subscriptions",
    ):
        html = browser("GET", path).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", html), path


def test_the_log_line_of_a_request_names_the_route_and_not_the_address(house, owner, capfd):
    """What callers put into addresses never reaches the log."""
    owner.get("/divisions?province=秘密省份&city=13912345678")
    owner.get("/waybills/SECRETNUMBER123")
    lines = capfd.readouterr()
    text = lines.out + lines.err
    assert "/api/v1/waybills/<waybill:waybill>" in text
    assert "SECRETNUMBER123" not in text and "秘密省份" not in text and "13912345678" not in text
