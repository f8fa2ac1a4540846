"""Bad input over the API (issue 2, item 5): a 4xx problem that names the field and never the value, and nothing stored."""

from __future__ import annotations

import copy
import json

import pytest
from support.web import RECIPIENT, SENDER, House, assert_problem, build, fields, label_data

from labelsvc.db import metadata
from labelsvc.security import Actor

MISSING = object()
IDENT = "01m0000000000000000000000a"
MEGABYTE = "字" * 350_000


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An app on real rooms."""
    return House(build(tmp_path_factory.mktemp("bad")))


@pytest.fixture(scope="module")
def owner(house):
    """The owner of a merchant with the built-in printer."""
    caller = house.caller("云上小店")
    house.rooms.printers.browser(Actor.operator(caller.store.id))
    return caller


PARCEL = {
    "carrier": "ZTO",
    "orders": ["A-1"],
    "recipient": RECIPIENT,
    "shown_sender": SENDER,
    "items": [{"name": "龙井茶", "count": 2}],
    "weight_g": 500,
    "package": "1",
    "note": "",
    "store_name": "",
    "custom": "",
}
APPLICATION = {
    "carrier": "ZTO",
    "address_id": IDENT,
    "branch_code": "B1",
    "contact_name": "张三",
    "contact_phone": "13912345678",
    "agreement_version": "1",
    "accepted": True,
    "settlement_account": "88",
}

BODIES = {
    "/printers": {
        "name": "打包台 1",
        "uri": "tcp://127.0.0.1:9101",
        "profile": "virtual-zpl-203",
        "darkness": 10,
        "offset_x": 0,
    },
    "/jobs": {
        "printer": "browser",
        "documents": [{"template": "waybill-76x130", "data": {"qr": "1"}, "copies": 1, "title": "YT1"}],
        "lane": "bench",
        "hold": False,
    },
    "/addresses": {"party": SENDER, "default": True},
    "/orders": {
        "number": "A-1",
        "recipient": RECIPIENT,
        "shown_sender": SENDER,
        "lines": [{"sku": "t1", "name": "龙井茶", "quantity": 2, "spec": "250g", "price_fen": 1200}],
        "store_name": "云上小店",
        "note": "易碎",
    },
    "/orders/assign": {"order_ids": [IDENT], "factory_id": IDENT},
    f"/orders/{IDENT}/hold": {"reason": "缺货"},
    f"/orders/{IDENT}/waybill": {
        "carrier": "ZTO",
        "subscription_id": IDENT,
        "package": "1",
        "custom": "谢谢",
    },
    "/bindings": {"factory_id": IDENT},
    "/subscriptions": {
        "carrier": "ZTO",
        "address_id": IDENT,
        "branch_code": "B1",
        "contact_name": "张三",
        "contact_phone": "13912345678",
        "agreement_version": "1",
        "accepted": True,
        "settlement_account": "88",
    },
    "/waybills": {
        "carrier": "ZTO",
        "orders": ["A-1"],
        "recipient": RECIPIENT,
        "shown_sender": SENDER,
        "items": [{"name": "龙井茶", "count": 2}],
        "weight_g": 500,
        "package": "1",
        "note": "",
        "store_name": "云上小店",
        "custom": "",
    },
    "/waybills/ZT00000000001/print": {"printer": "browser", "template": "waybill-76x130", "lane": "bench"},
    "/waybills/ZT00000000001/reprint": {"printer": "browser", "reason": "卡纸"},
    "/waybills/ZT00000000001/cancel": {"label_destroyed": True},
    "/waybills/ZT00000000001/pdf": {"reason": "卡纸"},
    f"/labels/{IDENT}/resolve": {"came_out": True},
    f"/labels/{IDENT}/reprint": {"reason": "卡纸", "printer": "browser"},
    "/batches": {"requests": [PARCEL]},
    "/waybills/sets": {**PARCEL, "pieces": 3},
    "/waybills/hand-over": {"waybills": ["ZT00000000001"]},
    "/waybills/find": {"phone": "13912345678", "name": "欧阳春晓"},
    "/waybills/ZT00000000001/update": {
        "recipient": RECIPIENT,
        "items": [{"name": "龙井茶", "count": 2}],
        "weight_g": 5,
    },
    "/waybills/ZT00000000001/destroyed": {"revision": 1},
    "/waybills/ZT00000000001/hold": {"reason": "缺货"},
    "/waybills/ZT00000000001/clear": {"reason": "买家来电"},
    f"/orders/{IDENT}/clear": {"reason": "买家来电"},
    f"/addresses/{IDENT}/clear": {"reason": "买家来电"},
    "/orders/find": {"phone": "13912345678", "name": "欧阳春晓"},
    "/subscriptions/drafts": APPLICATION,
    f"/subscriptions/{IDENT}/correct": APPLICATION,
    "/subscriptions/access/token": {"access_token": "abc"},
    "/subscriptions/access/code": {"code": "abc"},
    "/reconciliations": {
        "since": "2026-11-23T00:00:00Z",
        "until": "2026-11-24T00:00:00+08:00",
        "after": IDENT,
        "limit": 50,
        "fix": False,
    },
}
REQUIRED = {
    "/printers": ["name", "uri", "profile"],
    "/jobs": ["printer", "documents", "documents[0].template", "documents[0].data"],
    "/addresses": ["party", *(f"party.{name}" for name in ("name", "phone", "province", "city", "detail"))],
    "/orders": [
        "number",
        "recipient",
        "lines",
        "lines[0].name",
        "lines[0].quantity",
        "recipient.name",
        "shown_sender.phone",
    ],
    "/orders/assign": ["order_ids", "factory_id"],
    f"/orders/{IDENT}/hold": ["reason"],
    f"/orders/{IDENT}/waybill": ["carrier"],
    "/bindings": ["factory_id"],
    "/subscriptions": [
        "carrier",
        "address_id",
        "branch_code",
        "contact_name",
        "contact_phone",
        "agreement_version",
        "accepted",
    ],
    "/waybills": [
        "carrier",
        "orders",
        "recipient",
        "shown_sender",
        "items",
        "items[0].name",
        "items[0].count",
    ],
    "/waybills/ZT00000000001/print": ["printer"],
    "/waybills/ZT00000000001/reprint": ["printer", "reason"],
    f"/labels/{IDENT}/resolve": ["came_out"],
    f"/labels/{IDENT}/reprint": ["reason"],
    "/batches": [
        "requests",
        *(f"requests[0].{name}" for name in ("carrier", "orders", "recipient", "shown_sender", "items")),
        "requests[0].recipient.phone",
    ],
    "/waybills/sets": ["carrier", "orders", "recipient", "pieces"],
    "/waybills/hand-over": ["waybills"],
    "/waybills/ZT00000000001/destroyed": ["revision"],
    "/waybills/ZT00000000001/hold": ["reason"],
    "/waybills/ZT00000000001/clear": ["reason"],
    f"/orders/{IDENT}/clear": ["reason"],
    f"/addresses/{IDENT}/clear": ["reason"],
    f"/subscriptions/{IDENT}/correct": ["carrier", "address_id", "branch_code", "contact_name", "accepted"],
    "/subscriptions/access/token": ["access_token"],
    "/subscriptions/access/code": ["code"],
}
#: Calls whose fields may all be left out.
OPTIONAL = ("/cancel", "/pdf", "/drafts", "/reconciliations")


def _leaves(value, path=""):
    """Every field of a body with its path, containers too; free JSON (``data``) counts as one field."""
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        here = f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}".lstrip(".")
        yield here, inner
        if isinstance(inner, dict | list) and name != "data":
            yield from _leaves(inner, here)


def _changed(body, path, value):
    """The body with the field at ``path`` replaced, or taken out."""
    changed = copy.deepcopy(body)
    steps = path.replace("[", ".[").lstrip(".").split(".")
    place = changed
    for step in steps[:-1]:
        place = place[int(step[1:-1])] if step.startswith("[") else place[step]
    last = int(steps[-1][1:-1]) if steps[-1].startswith("[") else steps[-1]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return changed


def _wrong_values(value):
    """Values of other types, and of the right type but past any sense."""
    if isinstance(value, bool):
        return ["true", 1, None, []]
    if isinstance(value, int):
        return ["7", 7.5, True, 10**12, -(10**12), 10**400, []]
    if isinstance(value, str):
        return [7, True, ["a"], {"a": 1}, MEGABYTE, "a\x00b", "a\x1bb", "\u202eabc\u2028"]
    if isinstance(value, list):
        return ["text", 7, {}, value * 600]
    return ["text", 7, []]


def _cases():
    for path, body in BODIES.items():
        for field, value in _leaves(body):
            for wrong in _wrong_values(value):
                yield pytest.param(path, field, wrong, id=f"{path}-{field}-{repr(wrong)[:14]}")


def _rows(house):
    with house.rooms.database.reading() as connection:
        return {
            table.name: connection.exec_driver_sql(f"SELECT count(*) FROM {table.name}").scalar()
            for table in metadata.sorted_tables
            if table.name != "credentials"
        }


#: A bulk call's parcels: the door asks for types alone, what they hold is told parcel by parcel.
BULK = {"requests": [{"key": "k", **PARCEL}]}


@pytest.fixture(autouse=True)
def nothing_stored(house, owner):
    """Whatever a test here sends, no table has a row more afterwards."""
    before = _rows(house)
    yield
    assert _rows(house) == before


def _named(answer, path):
    """Whether the problem names the field, or one in it or around it."""
    return any(
        found == path or found.startswith((f"{path}.", f"{path}[")) or (path.startswith(found) and found)
        for found in fields(answer)
    )


@pytest.mark.parametrize(("path", "field", "wrong"), list(_cases()))
def test_a_field_of_another_type_or_size_is_named(owner, path, field, wrong):
    """Each field of each body, wrong in each way: a 4xx that names it and doesn't repeat what was in it."""
    answer = owner.post(path, _changed(BODIES[path], field, wrong), key="bad")
    assert_problem(answer, {413, 422})
    assert _named(answer, field), (field, answer.json)
    if isinstance(wrong, str) and len(wrong) > 4:
        assert wrong[:20] not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("path", "field"), [(path, field) for path, found in REQUIRED.items() for field in found]
)
def test_a_missing_field_is_named(owner, path, field):
    """Each required field left out."""
    answer = owner.post(path, _changed(BODIES[path], field, MISSING), key="bad")
    assert_problem(answer, 422)
    assert field in fields(answer)


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field_is_named(owner, path):
    """A field that nobody knows is a mistake of the caller's, not to be skipped."""
    answer = owner.post(path, {**BODIES[path], "colour": "blue"}, key="bad")
    assert_problem(answer, 422)
    assert "colour" in fields(answer)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"null", b"[]", b'"text"', b"7", b"\xff\xfe\x00", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": "\\ud800"}',
     b"[" * 200_000, b'{"a":' * 50_000, b"9" * 5000, b"{}garbage"],
    ids=["cut", "empty", "null", "list", "text", "number", "not-utf8", "nan", "infinity", "half-surrogate", "deep-list",
         "deep-object", "long-number", "trailing"],
)  # fmt: skip
def test_a_broken_body_is_refused(owner, path, body):
    """What isn't a JSON object never reaches a room."""
    if path.endswith(OPTIONAL) and body == b"":
        return  # every field of theirs is optional
    answer = owner.post(path, body, key="bad")
    assert_problem(answer, {400, 422})


def test_half_a_pair_is_no_json_however_it_is_written(owner):
    """Half of a surrogate pair is refused before any field is looked at; a whole pair is a character like others."""
    for half in (b'{"a": "\\ud800"}', b'{"a": "\\uDFFF"}', b'{"\\uD83D": 1}'):
        assert_problem(owner.post("/jobs", half, key="bad"), 400)
    assert_problem(owner.post("/jobs", b'{"a": "\\uD83D\\ude00"}', key="bad"), 422)


@pytest.mark.parametrize("path", BODIES)
def test_a_body_over_two_megabytes_is_refused(owner, path):
    """413 before anything is parsed."""
    assert_problem(owner.post(path, b" " * (2 * 1024 * 1024 + 1), key="bad"), 413, "body.too_large")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_of_another_media_type_is_refused(owner, kind):
    """Forms of other pages can't pass as JSON."""
    answer = owner.post(
        "/jobs", json.dumps(BODIES["/jobs"]).encode(), key="bad", headers={"Content-Type": kind}
    )
    assert_problem(answer, 415, "media_type.refused")


@pytest.mark.parametrize("key", [None, "", " ", "a" * 201, "钥匙", "a\x01b"])
@pytest.mark.parametrize(
    "path",
    [
        "/jobs",
        "/waybills",
        "/waybills/sets",
        "/batches",
        "/waybills/ZT00000000001/print",
        "/waybills/ZT00000000001/update",
        f"/orders/{IDENT}/waybill",
    ],
)
def test_calls_that_print_or_issue_need_a_key(owner, path, key):
    """Missing, empty, too long, not ASCII: the header is named."""
    headers = {} if key is None else {"Idempotency-Key": key.encode().decode("latin-1")}
    answer = owner.post(path, BODIES[path], headers=headers)
    assert_problem(answer, 422)
    assert "Idempotency-Key" in fields(answer)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [(field, wrong) for field, value in _leaves(BULK) for wrong in (7.5, "x" if isinstance(value, int | list | dict) else 7, None)],
)  # fmt: skip
def test_a_field_of_another_type_in_a_bulk_call_is_named(owner, field, wrong):
    """A call that isn't a list of parcels is refused as a whole."""
    answer = owner.post("/waybills/bulk", _changed(BULK, field, wrong))
    assert_problem(answer, 422)
    assert _named(answer, field), (field, answer.json)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        (field, wrong)
        for field, value in _leaves(BULK["requests"][0])
        if isinstance(value, str) and value
        for wrong in (MEGABYTE, "a\x00b", "a\x1bb", "\u202eabc")
    ],
)
def test_a_wrong_parcel_in_a_bulk_call_is_told_by_its_result(owner, field, wrong):
    """W3: what a field holds is that parcel's fault alone; the value isn't repeated."""
    body = {"requests": [_changed(BULK["requests"][0], field, wrong)]}
    answer = owner.post("/waybills/bulk", body)
    assert answer.status_code == 200, answer.json
    problem = answer.json["results"][0]["problem"]
    assert field in [fault["field"] for fault in problem["errors"]], problem
    assert wrong[:20] not in answer.get_data(as_text=True)


def test_a_preference_of_another_type_is_named(owner):
    """PUT is as strict as POST."""
    for body in ({}, {"clear_labels": "yes"}, {"clear_labels": True, "colour": 1}):
        assert_problem(owner("PUT", "/preferences", body), 422)


def test_an_unknown_printer_is_named(owner):
    """A printer that the store doesn't have."""
    answer = owner.post("/jobs", {**BODIES["/jobs"], "printer": "nirgendwo"}, key="bad")
    assert_problem(answer, 422)
    assert fields(answer) == {"printer"}


def test_an_unknown_template_is_named(owner):
    """A template that isn't there, by its place in the documents."""
    answer = owner.post(
        "/jobs", _changed(BODIES["/jobs"], "documents[0].template", "kein-solches"), key="bad"
    )
    assert_problem(answer, 422)
    assert "documents[0].template" in fields(answer)


def test_a_broken_template_is_told_by_its_line(owner):
    """A template text of one's own that isn't CNPL."""
    document = {
        "template": "own",
        "template_text": "<page width='76' height='130'>\n<blink/>\n</page>",
        "data": {},
    }
    answer = owner.post("/jobs", {"printer": "browser", "documents": [document]}, key="bad")
    assert_problem(answer, 422)
    assert answer.json["line"] == 2


@pytest.mark.parametrize(
    "data",
    [{"a": {"b": {"c": {"d": [[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]}}}}, {"text": MEGABYTE}, {**label_data(), "storeName": "a\x00b"}],
    ids=["deep", "large", "control"],
)  # fmt: skip
def test_label_data_have_bounds(owner, data):
    """Free JSON, but not without end, and with nothing that a printer would obey."""
    answer = owner.post("/jobs", _changed(BODIES["/jobs"], "documents[0].data", data), key="bad")
    assert_problem(answer, 422)
    assert _named(answer, "documents[0].data")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/",
        "tcp://",
        "tcp://host",
        "tcp://host:99999",
        "file://relative",
        "gopher://x:1",
        "tcp://a b:9100",
    ],
)
def test_a_wrong_printer_address_is_named(owner, uri):
    """Only the schemes that we know, complete."""
    answer = owner.post("/printers", {**BODIES["/printers"], "uri": uri})
    assert_problem(answer, 422)
    assert "uri" in fields(answer)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/jobs?limit=0", "limit"),
        ("/jobs?limit=101", "limit"),
        ("/jobs?limit=x", "limit"),
        ("/jobs?after=x", "after"),
        ("/jobs?state=eaten", "state"),
        ("/jobs?colour=blue", "colour"),
        (f"/jobs/{IDENT}?wait_s=31", "wait_s"),
        (f"/jobs/{IDENT}?wait_s=nan", "wait_s"),
        ("/orders?clear=true", "clear"),
        ("/addresses?clear=true", "clear"),
        ("/waybills?clear=true", "clear"),
        (f"/orders/{IDENT}?clear=true", "clear"),
        (f"/addresses/{IDENT}?clear=true&reason=call", "reason"),
        (f"/waybills/{IDENT}?clear=true&reason=call", "reason"),
        (f"/batches/{IDENT}/results?after=-1", "after"),
        (f"/batches/{IDENT}/results?limit=501", "limit"),
        ("/audit?limit=501", "limit"),
        ("/audit?after=x", "after"),
        ("/audit?after=99999999999999999999", "after"),
        ("/numbers/check?carrier=ZTO", "number"),
        ("/numbers/guess?number=%1b", "number"),
        ("/network-points?carrier=ZTO", "address"),
    ],
)
def test_a_wrong_query_parameter_is_named(owner, path, name):
    """Queries are as strict as bodies."""
    answer = owner.get(path)
    assert_problem(answer, 422)
    assert name in fields(answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/jobs/not-an-id", 404),
        ("GET", f"/jobs/{IDENT}", 404),
        ("DELETE", "/jobs", 405),
        ("TRACE", "/jobs", 405),
        ("BREW", "/jobs", 405),
    ],
)
def test_unknown_addresses_and_methods_are_problems_too(owner, method, path, status):
    """Every error has the one shape."""
    assert_problem(owner(method, path), status)
