"""Personal data over the API: clear by right and on the record, found by phone or name, gone once erased; store preferences."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.programs import mock_carrier
from support.web import RECIPIENT, SENDER, House, assert_problem, build, fields

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Role, StoreKind

ORDER = {"recipient": RECIPIENT, "shown_sender": SENDER, "lines": [{"name": "茶", "quantity": 1}]}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An app on real rooms, with the mock carrier network across the street."""
    place = tmp_path_factory.mktemp("people")
    with mock_carrier(place) as mock:
        yield House(
            build(
                place, network_url=mock.url, network_client_id=CLIENT_ID, network_client_secret=CLIENT_SECRET
            )
        )


@pytest.fixture(scope="module")
def owner(house):
    """A merchant's owner with an open service, an order and its waybill."""
    caller = house.caller("云上小店")
    house.rooms.subscriptions.connect(Actor.operator(caller.store.id), "people")
    address = caller.post("/addresses", {"party": SENDER}).json
    point = caller.get(f"/network-points?carrier=ZTO&address={address['id']}").json["items"][0]
    application = {
        "carrier": "ZTO",
        "address_id": address["id"],
        "branch_code": point["code"],
        "contact_name": "王经理",
        "contact_phone": "13900001111",
        "agreement_version": "1",
        "accepted": True,
    }
    assert caller.post("/subscriptions", application).json["state"] == "open"
    return caller


def _issued(owner, number):
    order = owner.post("/orders", {**ORDER, "number": number}).json
    waybill = owner.post(f"/orders/{order['id']}/waybill", {"carrier": "ZTO"}, key=number).json
    return order["id"], waybill["id"]


def _is_clear(text):
    return any(part in text for part in (RECIPIENT["name"], RECIPIENT["phone"], RECIPIENT["detail"]))


def test_each_look_in_clear_is_written_down(owner):
    """R1: waybill, order and address, each with its reason, newest first; the trail itself names nobody."""
    order, waybill = _issued(owner, "C-1")
    address = owner.get("/addresses").json["items"][0]["id"]
    for path in (f"/waybills/{waybill}", f"/orders/{order}"):
        assert not _is_clear(owner.get(path).get_data(as_text=True))
        assert owner.look(path).json["recipient"]["phone"] == RECIPIENT["phone"]
    assert owner.look(f"/addresses/{address}", "moved").json["party"]["phone"] == SENDER["phone"]
    trail = owner.get("/audit?limit=3")
    assert [(one["action"], one["subject"], one["reason"], one["via"]) for one in trail.json["items"]] == [
        ("address.clear", f"address:{address}", "moved", "api"),
        ("order.clear", f"order:{order}", "call", "api"),
        ("waybill.clear", f"waybill:{waybill}", "call", "api"),
    ]
    assert not _is_clear(trail.get_data(as_text=True))
    older = owner.get(f"/audit?limit=1&after={trail.json['items'][0]['seq']}").json
    assert older["items"][0]["action"] == "order.clear" and older["next"] == older["items"][0]["seq"]


def test_no_look_without_the_right_and_none_is_written_down_then(house, owner):
    """R1: a clerk sees masked data only; what isn't there is told before anything is written."""
    order, waybill = _issued(owner, "C-2")
    clerk = house.caller("云上小店", role=Role.CLERK)
    before = owner.get("/audit?limit=1").json["items"]
    for path in (f"/waybills/{waybill}", f"/orders/{order}"):
        assert clerk.get(path).status_code == 200
        answer = clerk.look(path)
        assert_problem(answer, 403, "forbidden")
        assert not _is_clear(answer.get_data(as_text=True))
    assert owner.get("/audit?limit=1").json["items"] == before


def test_people_are_found_by_phone_and_name(owner):
    """Exact, whatever the spelling, masked, in a body; the search is written down without whom it was for."""
    order, waybill = _issued(owner, "F-1")
    spelt = "139 1234-5678"
    for body in ({"phone": spelt}, {"name": RECIPIENT["name"]}, {"phone": spelt, "name": RECIPIENT["name"]}):
        for path, id in (("/waybills/find", waybill), ("/orders/find", order)):
            answer = owner.post(path, body)
            assert id in [one["id"] for one in answer.json["items"]], (path, body)
            assert not _is_clear(answer.get_data(as_text=True))
    assert owner.post("/waybills/find", {"phone": "13912345679"}).json["items"] == []
    assert owner.post("/waybills/find", {"phone": spelt, "name": "别人"}).json["items"] == []
    actions = [(one["action"], one["subject"]) for one in owner.get("/audit?limit=8").json["items"]]
    assert ("waybill.find_person", "by:phone+name") in actions and ("order.find_person", "by:name") in actions
    nobody = owner.post("/orders/find", {})
    assert_problem(nobody, 422)
    assert fields(nobody) == {"phone"}
    assert_problem(owner.get("/waybills/find"), {404, 405})


def test_people_of_another_store_are_not_found(house, owner):
    """Tenancy: the index is each store's own."""
    _issued(owner, "F-2")
    stranger = house.caller("别家小店")
    assert stranger.post("/waybills/find", {"phone": RECIPIENT["phone"]}).json["items"] == []
    assert stranger.post("/orders/find", {"name": RECIPIENT["name"]}).json["items"] == []


@pytest.mark.parametrize("role", Role)
def test_the_audit_trail_is_read_by_owners_and_auditors(house, owner, role):
    """R1."""
    caller = house.caller("云上小店", role=role)
    answer = caller.get("/audit")
    if role in (Role.OWNER, Role.AUDITOR):
        assert answer.status_code == 200
    else:
        assert_problem(answer, 403, "forbidden")


def test_a_stores_choice_of_labels_is_kept_and_written_down(house, owner):
    """Recipients are masked on labels unless the store's owner chooses otherwise."""
    assert owner.get("/preferences").json == {"clear_labels": False}
    assert owner("PUT", "/preferences", {"clear_labels": True}).json == {"clear_labels": True}
    assert owner.get("/preferences").json == {"clear_labels": True}
    assert owner.get("/audit?limit=1").json["items"][0]["subject"] == "labels:clear"
    clerk = house.caller("云上小店", role=Role.CLERK)
    assert_problem(clerk("PUT", "/preferences", {"clear_labels": False}), 403, "forbidden")
    owner("PUT", "/preferences", {"clear_labels": False})


def test_a_factory_sees_no_merchants_recipient(house, owner):
    """D7: neither in clear, nor by a search."""
    factory = house.caller("青山工厂", StoreKind.FACTORY)
    binding = owner.post("/bindings", {"factory_id": factory.store.id}).json
    factory.post(f"/bindings/{binding['id']}/accept")
    order = owner.post("/orders", {**ORDER, "number": "D-1"}).json
    owner.post("/orders/assign", {"order_ids": [order["id"]], "factory_id": factory.store.id})
    assert_problem(factory.look(f"/orders/{order['id']}"), 422, "order.masked")
    assert factory.post("/orders/find", {"phone": RECIPIENT["phone"]}).json["items"] == []


def test_what_was_erased_is_gone(house, owner):
    """The record stays, its people are gone: 410 for a look, nothing found, and no label any more."""
    order, waybill = _issued(owner, "E-1")
    later = house.rooms.database.now() + timedelta(seconds=1)
    while house.rooms.waybills.erase(later) + house.rooms.orders.erase(later):
        pass
    for path, code in ((f"/waybills/{waybill}", "waybill.erased"), (f"/orders/{order}", "order.erased")):
        left = owner.get(path).json
        assert left["erased_at"] and left["recipient"]["name"] in ("", "*")
        assert_problem(owner.look(path), 410, code)
    assert owner.post("/waybills/find", {"phone": RECIPIENT["phone"]}).json["items"] == []
    house.rooms.printers.browser(Actor.operator(owner.store.id))
    assert_problem(owner.post(f"/waybills/{waybill}/pdf", {}, key="erased"), 410, "waybill.erased")
    again = owner.post(f"/orders/{order}/waybill", {"carrier": "ZTO"}, key="E-2")
    assert_problem(again, 410, "order.erased")
    assert "waybill.erase" in [one["action"] for one in owner.get("/audit?limit=10").json["items"]]
