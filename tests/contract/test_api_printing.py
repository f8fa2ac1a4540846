"""Printers, jobs and labels over the API, on real rooms; nothing drives a printer here, so labels stay where they are put."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from support.web import House, assert_problem, build, label_data

from labelsvc.security import Actor, Role
from labelsvc.web.api.shape import Patience


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """An app on real rooms."""
    return House(build(tmp_path_factory.mktemp("printing")))


@pytest.fixture(scope="module")
def owner(house):
    """The owner of a merchant with one printer."""
    caller = house.caller("云上小店")
    body = {"name": "打包台 1", "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-203"}
    assert caller.post("/printers", body).status_code == 201
    return caller


_numbers = count(1)


def _document(**more):
    """A waybill of a number that no other has."""
    data = {**label_data(), "waybillCode": f"YT{next(_numbers):013}"}
    return {"template": "waybill-76x130", "data": data, **more}


def _job(owner, key, printer="打包台 1", **more):
    documents = [_document(title=key)]
    return owner.post("/jobs", {"printer": printer, "documents": documents, **more}, key=key)


def test_health_needs_nobody_and_me_says_who(house, owner):
    """The one open call, and the caller's own picture."""
    assert house.stranger().get("/health").json["status"] == "ok"
    me = owner.get("/me").json
    assert me["store_name"] == "云上小店" and "labels.print" in me["rights"]


def test_printers_are_kept_over_the_api(owner):
    """Add, see, edit, pause, resume, remove."""
    made = owner.post(
        "/printers",
        {"name": "二号", "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-300", "offset_x": -8},
    )
    assert made.status_code == 201 and made.json["dpi"] == 300 and made.json["offset_x"] == -8
    path = f"/printers/{made.json['id']}"
    assert owner.get(path).json["state"]["value"] == "unknown"
    assert owner("PATCH", path, {"name": "三号"}).json["name"] == "三号"
    assert owner.post(f"{path}/pause").json["paused_at"]
    assert owner.post(f"{path}/resume").json["paused_at"] is None
    assert_problem(
        owner.post("/printers", {"name": "三号", "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-203"}),
        409,
    )
    assert owner("DELETE", path).status_code == 204
    assert_problem(owner.get(path), 404)


def test_models_and_templates_are_listed(owner):
    """What a client picks from."""
    assert "virtual-zpl-203" in {found["name"] for found in owner.get("/printers/profiles").json["items"]}
    templates = {found["name"]: found for found in owner.get("/templates").json["items"]}
    assert (
        templates["waybill-76x130"]["width_mm"] == 76
        and "waybillCode" in templates["waybill-76x130"]["paths"]
    )


def test_a_job_is_stored_and_seen(owner):
    """201 with its labels, then GET, list, history; no data of the label in any of them."""
    made = _job(owner, "seen")
    assert made.status_code == 201, made.json
    job = made.json
    assert job["state"] == "queued" and [label["title"] for label in job["labels"]] == ["seen"]
    assert owner.get(f"/jobs/{job['id']}").json == job
    assert job["id"] in {found["id"] for found in owner.get("/jobs?state=queued").json["items"]}
    history = owner.get(f"/jobs/{job['id']}/history")
    assert [change["after"] for change in history.json["items"]] == ["queued"]
    text = made.get_data(as_text=True) + history.get_data(as_text=True)
    assert "欧阳" not in text and "13912345678" not in text


def test_the_same_key_is_the_same_job_even_at_once(owner):
    """Issue 2, item 4: the same request 20 times at once with one key is one job with one label."""
    found, start = [], threading.Barrier(20)
    asked = {"printer": "打包台 1", "documents": [_document(title="racing")]}

    def ask():
        start.wait()
        answer = owner.post("/jobs", asked, key="racing")
        found.append((answer.status_code, answer.json["id"]))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and len(set(found)) == 1 and found[0][0] == 201


def test_the_same_key_with_other_content_is_a_conflict(owner):
    """409 with its code."""
    assert _job(owner, "reused").status_code == 201
    assert_problem(_job(owner, "reused", lane="batch"), 409, "key.reused")


def test_hold_release_and_cancel(owner):
    """Only what hasn't left is held or cancelled; a second cancel says so."""
    path = f"/jobs/{_job(owner, 'held', hold=True).json['id']}"
    assert owner.get(path).json["state"] == "held"
    assert owner.post(f"{path}/release").json["state"] == "queued"
    assert owner.post(f"{path}/hold").json["state"] == "held"
    assert owner.post(f"{path}/cancel").json["state"] == "cancelled"
    assert_problem(owner.post(f"{path}/hold"), 409)


def test_waiting_ends_with_the_time_when_nothing_happens(owner):
    """A job that can't print is answered as it is."""
    job = _job(owner, "waiting").json
    assert owner.get(f"/jobs/{job['id']}?wait_s=0.2").json["state"] == "queued"


def test_a_second_copy_is_asked_about_over_the_api(owner):
    """P15: held, listed among the questions, not released with its job, answered for itself."""
    document = _document()
    for key in ("copy 1", "copy 2"):
        made = owner.post("/jobs", {"printer": "打包台 1", "documents": [document]}, key=key).json
    [label] = made["labels"]
    assert (made["state"], label["held_for"]) == ("held", "second_copy")
    assert label["number"] == document["data"]["waybillCode"] and label["expires_at"]
    assert label["id"] in {found["id"] for found in owner.get("/labels/questions").json["items"]}
    refused = owner.post(f"/jobs/{made['id']}/release")
    assert_problem(refused, 409, "label.second_copy")
    assert owner.post(f"/labels/{label['id']}/confirm", {"wanted": True}).json["state"] == "queued"
    assert_problem(owner.post(f"/labels/{label['id']}/confirm", {"wanted": False}), 409, "label.step")


def test_a_job_moves_and_expires_over_the_api(owner):
    """P8: to another printer, all that waits or single labels; it says until when it is worth printing."""
    other = {"name": "打包台 8", "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-300"}
    other = owner.post("/printers", other).json["id"]
    job = _job(owner, "moves", expire_s=3600).json
    assert job["expires_at"] == job["labels"][0]["expires_at"] > job["created_at"]
    moved = owner.post(f"/jobs/{job['id']}/move", {"printer": "打包台 8"}).json
    assert moved["printer_id"] == moved["labels"][0]["printer_id"] == other
    only = {"printer": "打包台 1", "labels": [job["labels"][0]["id"]]}
    assert owner.post(f"/jobs/{job['id']}/move", only).json["labels"][0]["printer_id"] == job["printer_id"]
    assert_problem(owner.post(f"/jobs/{job['id']}/move", {"printer": "打包台 9"}), 422, "printer.not_found")
    assert_problem(_job(owner, "too long", expire_s=10**9), 422)


def test_groups_aliases_and_swaps_over_the_api(owner):
    """P2, P13: a group is named like a printer, an alias is as good as a name, a device goes and the place stays."""
    ids = [
        owner.post(
            "/printers", {"name": name, "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-203"}
        ).json["id"]
        for name in ("左", "右")
    ]
    made = owner.post("/printers/groups", {"name": "两台", "members": ["左", ids[1]], "mode": "spread"})
    assert made.status_code == 201 and (made.json["members"], made.json["mode"]) == (ids, "spread")
    group = f"/printers/groups/{made.json['id']}"
    assert owner("PATCH", group, {"members": ids[::-1]}).json["members"] == ids[::-1]
    assert_problem(owner.post("/printers/groups", {"name": "左", "members": ["右"]}), 409, "printer.exists")
    assert_problem(owner.post("/printers/groups", {"name": "x", "members": ["nowhere"]}), 422)
    assert _job(owner, "grouped", printer="两台").json["labels"][0]["printer_id"] == made.json["id"]
    named = owner("PUT", f"/printers/{ids[0]}/aliases", {"aliases": ["ZDesigner"]})
    assert named.json["aliases"] == ["ZDesigner"]
    assert _job(owner, "by alias", printer="ZDesigner").json["printer_id"] == ids[0]
    wanted = {"uri": "tcp://127.0.0.1:10", "profile": "virtual-zpl-300"}
    swapped = owner.post(f"/printers/{ids[0]}/swap", wanted).json
    assert (swapped["name"], swapped["dpi"], swapped["aliases"]) == ("左", 300, ["ZDesigner"])
    assert_problem(owner.post(f"/printers/{made.json['id']}/swap", wanted), 409, "printer.group")
    assert owner.post("/jobs/release-moved").json == {"labels": 0}  # P14: nothing was restored here


def test_a_label_that_is_not_uncertain_has_no_question(owner):
    """Resolving answers a question that must stand."""
    label = _job(owner, "certain").json["labels"][0]
    assert_problem(owner.post(f"/labels/{label['id']}/resolve", {"came_out": True}), 409, "label.step")
    assert_problem(owner.post(f"/labels/{label['id']}/reprint", {"reason": "卡纸"}, key="re-certain"), 409)


def test_the_preview_is_a_picture_for_those_who_may_see_clear_data(house, owner):
    """D7: no preview without the right; and looking isn't printing."""
    label = _job(owner, "preview").json["labels"][0]
    seen = owner.get(f"/labels/{label['id']}/preview.png")
    assert (seen.status_code, seen.mimetype, seen.data[:8]) == (200, "image/png", b"\x89PNG\r\n\x1a\n")
    assert owner.get(f"/labels/{label['id']}").json["state"] == "queued"
    packer = house.caller("云上小店", role=Role.PACKER)
    assert_problem(packer.get(f"/labels/{label['id']}/preview.png"), 403, "forbidden")


def test_the_pdf_comes_once_and_only_from_the_browser_printer(house, owner):
    """P6."""
    house.rooms.printers.browser(Actor.operator(owner.store.id))
    wired = _job(owner, "wired").json["labels"][0]
    assert_problem(owner.post(f"/labels/{wired['id']}/pdf"), 409)
    label = _job(owner, "once", printer="browser").json["labels"][0]
    opened = owner.post(f"/labels/{label['id']}/pdf")
    assert opened.status_code == 200 and opened.data[:5] == b"%PDF-"
    assert_problem(owner.post(f"/labels/{label['id']}/pdf"), 410, "pdf.opened")
    again = owner.post(f"/labels/{label['id']}/reprint", {"reason": "卡纸"}, key="re-once")
    assert again.status_code == 201 and again.json["labels"][0]["reprint_count"] == 1


def test_other_stores_jobs_and_labels_are_not_there(house, owner):
    """Tenancy: 404 on every verb."""
    job = _job(owner, "mine").json
    other = house.caller("别家小店")
    assert_problem(other.get(f"/jobs/{job['id']}"), 404)
    assert_problem(other.post(f"/jobs/{job['id']}/cancel"), 404)
    assert_problem(other.get(f"/labels/{job['labels'][0]['id']}/preview.png"), 404)
    assert_problem(
        other.post(
            "/jobs",
            {
                "printer": job["printer_id"],
                "documents": [_document()],
            },
            key="x",
        ),
        422,
    )
    assert other.get("/jobs").json["items"] == []


def test_only_so_many_requests_wait_at_once():
    """Waiting requests never take every thread: one too many isn't kept, and a seat is free again after use."""
    patience = Patience(1)
    with patience.seconds(5) as first, patience.seconds(5) as second:
        assert (first, second) == (5, 0)
    with patience.seconds(3) as again:
        assert again == 3
