"""Opening the e-waybill service over the API: drafts, review by the carrier, correction, withdrawal, numbers from a file."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from support.programs import mock_carrier
from support.web import RECIPIENT, SENDER, House, assert_problem, build, fields

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Role

NUMBERS = [f"YT{10**12 + at:013d}" for at in range(3)]

#: The tests follow one store through its applications, in the order in which they stand.
pytestmark = pytest.mark.xdist_group("api-subscriptions")


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    """A carrier network whose carriers look at each application."""
    with mock_carrier(tmp_path_factory.mktemp("network"), review="by_hand") as found:
        yield found


@pytest.fixture(scope="module")
def house(tmp_path_factory, mock):
    """An app on real rooms; what is under review is asked about at once."""
    place = tmp_path_factory.mktemp("subscriptions")
    found = House(
        build(place, network_url=mock.url, network_client_id=CLIENT_ID, network_client_secret=CLIENT_SECRET)
    )
    found.rooms.subscriptions._review_every = found.rooms.subscriptions._look_every = timedelta(0)
    return found


@pytest.fixture(scope="module")
def owner(house):
    """A merchant's owner, connected over the API."""
    caller = house.caller("云上小店")
    assert caller.get("/subscriptions/access").json["connected"] is False
    connected = caller.post("/subscriptions/access/token", {"access_token": "review"})
    assert connected.json["connected"] and not connected.json["renewable"]
    assert "review" not in connected.get_data(as_text=True)
    return caller


def _address(owner, detail):
    return owner.post("/addresses", {"party": {**SENDER, "detail": detail}}).json["id"]


def _application(owner, address, **changes):
    point = owner.get(f"/network-points?carrier=ZTO&address={address}").json["items"][0]
    return {
        "carrier": "ZTO",
        "address_id": address,
        "branch_code": point["code"],
        "contact_name": "王经理",
        "contact_phone": "13900001111",
        "agreement_version": "2026-11",
        "accepted": True,
        **changes,
    }


def _decide(house, mock, decision, reason=""):
    """What the carrier's reviewer decides of the newest application, and our daemon asks."""
    mock.decide(mock.subscriptions()[-1]["application_id"], decision, reason)
    house.rooms.subscriptions.settle()


def test_a_draft_is_kept_completed_and_submitted(house, owner, mock):
    """E1, E2: a draft may lack anything; submitting it names what is missing; then the carrier looks."""
    draft = owner.post("/subscriptions/drafts", {"carrier": "ZTO"})
    assert (draft.status_code, draft.json["state"], draft.json["kind"]) == (201, "draft", None)
    refused = owner.post(f"/subscriptions/{draft.json['id']}/submit")
    assert_problem(refused, 422)
    assert {"address_id", "branch_code", "contact_name", "accepted"} <= fields(refused)
    body = _application(owner, _address(owner, "一号仓"))
    kept = owner("PUT", f"/subscriptions/drafts/{draft.json['id']}", body)
    assert (kept.json["id"], kept.json["state"]) == (draft.json["id"], "draft")
    sent = owner.post(f"/subscriptions/{draft.json['id']}/submit").json
    assert sent["state"] == "under_review" and sent["agreed_at"]
    _assert_state(owner.post(f"/subscriptions/{draft.json['id']}/submit"))
    _decide(house, mock, "approve")
    found = owner.get(f"/subscriptions/{draft.json['id']}").json
    assert found["state"] == "open" and found["opened_at"]
    history = owner.get(f"/subscriptions/{draft.json['id']}/history").json["items"]
    assert [event["after"] for event in history][-2:] == ["under_review", "open"]
    assert history[-1]["actor"] == "carrier"


def _the_open_one(owner):
    """The subscription that the tests before left open; if there is none, the failure tells what became of each."""
    found = owner.get("/subscriptions?state=open&carrier=ZTO").json["items"]
    became = {
        one["id"]: (one["state"], owner.get(f"/subscriptions/{one['id']}/history").json["items"])
        for one in owner.get("/subscriptions").json["items"]
    }
    assert len(found) == 1, became
    return found[0]


def _assert_state(answer):
    assert_problem(answer, 409, "subscription.state")


def test_a_rejected_application_shows_why_and_is_corrected(house, owner, mock):
    """E1: the carrier's own words; corrected it keeps its history, with what was changed."""
    body = _application(owner, _address(owner, "二号仓"))
    sent = owner.post("/subscriptions", body)
    assert (sent.status_code, sent.json["state"]) == (201, "under_review")
    _decide(house, mock, "reject", "门牌号不清楚")
    rejected = owner.get(f"/subscriptions/{sent.json['id']}").json
    assert (rejected["state"], rejected["carrier_reason"]) == ("rejected", "门牌号不清楚")
    corrected = owner.post(
        f"/subscriptions/{sent.json['id']}/correct", {**body, "contact_phone": "13900002222"}
    )
    assert (corrected.json["id"], corrected.json["state"]) == (sent.json["id"], "under_review")
    history = owner.get(f"/subscriptions/{sent.json['id']}/history").json["items"]
    assert "门牌号不清楚" in [event["carrier_reason"] for event in history]
    assert "contact_phone" in history[-1]["changed"]
    _assert_state(owner.post(f"/subscriptions/{sent.json['id']}/correct", body))
    _assert_state(owner.post(f"/subscriptions/{sent.json['id']}/close"))
    for _ in range(2):
        assert owner.post(f"/subscriptions/{sent.json['id']}/withdraw").json["state"] == "closed"


def test_an_occupied_address_is_refused_until_it_is_free(owner):
    """E5: while one is under review on an address, no other; withdrawn, it is free."""
    body = _application(owner, _address(owner, "三号仓"))
    first = owner.post("/subscriptions", body).json
    assert_problem(owner.post("/subscriptions", body), 409, "address.occupied")
    owner.post(f"/subscriptions/{first['id']}/withdraw")
    again = owner.post("/subscriptions", body)
    assert again.status_code == 201
    owner.post(f"/subscriptions/{again.json['id']}/withdraw")


def test_after_opening_the_next_steps_are_told(house, owner):
    """E11, W4: what is in the way of a first label, numbers left, printers, the manual."""
    house.rooms.printers.browser(Actor.operator(owner.store.id))
    open_ = _the_open_one(owner)
    steps = owner.get(f"/subscriptions/{open_['id']}/next-steps").json
    assert steps["obstacle"] == "none" and steps["balance"]["numbers"] > 0
    assert steps["printers"] == 1 and steps["manual"] == "/manual"
    balances = owner.get("/subscriptions/balances").json["items"]
    assert [one["subscription_id"] for one in balances] == [open_["id"]] and not balances[0]["low"]
    draft = owner.post("/subscriptions/drafts", {}).json
    assert owner.get(f"/subscriptions/{draft['id']}/next-steps").json["obstacle"] == "not_submitted"
    assert owner.post(f"/subscriptions/{draft['id']}/withdraw").json["state"] == "closed"


def test_a_suspended_service_issues_nothing(house, owner, mock):
    """E1: the carrier suspends it, with its reason, and resumes it."""
    open_ = _the_open_one(owner)
    there = next(one for one in mock.subscriptions() if one["state"] == "open")
    mock.decide(there["application_id"], "suspend", "欠费")
    house.rooms.subscriptions.settle()
    assert owner.get(f"/subscriptions/{open_['id']}").json["state"] == "suspended"
    assert owner.get(f"/subscriptions/{open_['id']}/next-steps").json["obstacle"] == "suspended"
    mock.decide(there["application_id"], "resume")
    house.rooms.subscriptions.settle()
    assert owner.get(f"/subscriptions/{open_['id']}").json["state"] == "open"


def test_the_contact_and_the_account_are_never_shown(owner):
    """E2: they serve the application alone."""
    for path in ("/subscriptions", f"/subscriptions/{owner.get('/subscriptions').json['items'][0]['id']}"):
        text = owner.get(path).get_data(as_text=True)
        assert "王经理" not in text and "1390000" not in text and "号仓" not in text


def test_a_store_connects_by_a_code_and_renews_itself(house):
    """The network's authorisation page gives a code; a wrong one is refused."""
    caller = house.caller("另一家店")
    found = caller.post("/subscriptions/access/code", {"code": "shop:other"})
    assert found.status_code == 200, found.json
    assert found.json["renewable"] and found.json["expires_at"]
    assert_problem(caller.post("/subscriptions/access/code", {"code": "no such code"}), 422, "network.token")
    assert caller.get("/subscriptions/access").json == found.json


def _import(caller, content, name="numbers.txt", **changes):
    form = {"carrier": "YTO", "branch_code": "571001", "branch_name": "杭州西湖一部", **changes}
    if content is not None:
        form["file"] = (io.BytesIO(content), name)
    headers = {"Host": "localhost", "Authorization": f"Bearer {caller.token}"}
    return caller.client.post(
        "/api/v1/subscriptions/offline", data=form, headers=headers, content_type="multipart/form-data"
    )


def test_a_carriers_file_of_numbers_opens_a_point_without_a_network(owner):
    """A point is open at once, gives the file's numbers, and takes further files."""
    address = _address(owner, "四号仓")
    opened = _import(owner, "\n".join(NUMBERS[:2]).encode(), address_id=address)
    assert opened.status_code == 201, opened.json
    assert (opened.json["state"], opened.json["network"]) == ("open", "offline")
    parcel = {
        "carrier": "YTO",
        "orders": ["OFF-1"],
        "recipient": RECIPIENT,
        "shown_sender": SENDER,
        "items": [{"name": "茶", "count": 1}],
    }
    assert owner.post("/waybills", parcel, key="off-1").json["number"] in NUMBERS
    assert owner.get(f"/subscriptions/{opened.json['id']}/balance").json["balance"] == 1
    more = _import(owner, NUMBERS[2].encode(), address_id=address)
    assert more.json["id"] == opened.json["id"]
    assert owner.get(f"/subscriptions/{opened.json['id']}/balance").json["balance"] == 2
    assert_problem(_import(owner, NUMBERS[2].encode(), address_id=address), 422, "numbers.file")
    assert owner.post(f"/subscriptions/{opened.json['id']}/close").json["state"] == "closed"


@pytest.mark.parametrize(
    ("content", "name", "status", "field"),
    [
        (None, "", 422, "file"),
        (b"", "n.txt", 422, "file"),
        (b"73100000000000\nYT0000000000009", "n.txt", 422, "line 1"),
        (b"YT0000000000009\nYT0000000000009", "n.txt", 422, "line 2"),
        (b"\xff\xff\xfe\x80", "n.csv", 422, "file"),
        (b"PK\x03\x04", "n.xlsx", 422, "file"),
        (b"a\x00b", "n.txt", 422, "file"),
        (b"1" * (16 * 1024 * 1024 + 1), "n.txt", 422, "file"),
        (b"1" * (17 * 1024 * 1024 + 1), "n.txt", 413, None),
    ],
    ids=["none", "empty", "other-carrier", "twice", "no-text", "no-zip", "nul", "large", "huge"],
)
def test_a_wrong_file_of_numbers_is_told_by_its_line(owner, content, name, status, field):
    """All or none: nothing of a wrong file is taken."""
    answer = _import(owner, content, name, address_id="01m0000000000000000000000a")
    assert_problem(answer, status)
    if field:
        assert field in fields(answer), answer.json


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address_id": "x"}, "address_id"),
        ({"carrier": "NOBODY"}, "carrier"),
        ({"branch_code": ""}, "branch_code"),
        ({"branch_name": "b" * 81}, "branch_name"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_wrong_field_of_an_import_is_named(owner, changes, field):
    """Forms are as strict as bodies."""
    answer = _import(owner, NUMBERS[0].encode(), **{"address_id": "01m0000000000000000000000a", **changes})
    assert_problem(answer, 422)
    assert field in fields(answer), answer.json


def test_who_may_only_read_changes_nothing(house, owner):
    """R1."""
    auditor = house.caller("云上小店", role=Role.AUDITOR)
    [open_] = auditor.get("/subscriptions?state=open&carrier=ZTO").json["items"]
    for path, body in (
        ("/subscriptions/drafts", {}),
        (f"/subscriptions/{open_['id']}/submit", None),
        (f"/subscriptions/{open_['id']}/withdraw", None),
        (f"/subscriptions/{open_['id']}/close", None),
        ("/subscriptions/access/token", {"access_token": "x"}),
        ("/subscriptions/access/code", {"code": "x"}),
    ):
        assert_problem(auditor.post(path, body), 403, "forbidden")
    stranger = house.caller("第三家店")
    assert_problem(stranger.get(f"/subscriptions/{open_['id']}/next-steps"), 404)
