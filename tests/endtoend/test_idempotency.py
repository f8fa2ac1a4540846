"""The same request, sent many times at once with one key over real HTTP, has one effect."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any

import pytest
from support.daemon import CARRIER, PRINTER, SENDER, Api, prepare, running_daemon
from support.programs import mock_carrier, virtual_printer

TIMES = 20


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory):
    """A real daemon, carrier network and printer: (API client, network, printer)."""
    folder = tmp_path_factory.mktemp("idempotency")
    with ExitStack() as stack:
        mock = stack.enter_context(mock_carrier(folder))
        printer = stack.enter_context(virtual_printer(folder))
        prepared = prepare(folder / "state", mock, printer)
        daemon = stack.enter_context(running_daemon(prepared.settings, folder / "daemon.log"))
        yield daemon.api(prepared.token), mock, printer


def _at_once(ask: Callable[[], Any]) -> list[Any]:
    """The answers to ``TIMES`` calls of ``ask`` that start together."""
    barrier = Barrier(TIMES)

    def one(_number: int) -> Any:
        barrier.wait()
        return ask()

    with ThreadPoolExecutor(TIMES) as callers:
        return list(callers.map(one, range(TIMES)))


def _issue(api: Api, order: str) -> dict[str, Any]:
    party = {**SENDER.__dict__, "name": "欧阳晓晴", "phone": "19900002001"}
    body = {
        "carrier": CARRIER,
        "orders": [order],
        "recipient": party,
        "shown_sender": SENDER.__dict__,
        "items": [{"name": "茶", "count": 1}],
    }
    return api.post("/waybills", body, key=f"issue {order}")


def test_the_same_issue_twenty_times_at_once_takes_one_number(town):
    """Twenty identical issues with one key give one waybill and one number, live once at the network (W1)."""
    api, mock, _ = town
    answers = _at_once(lambda: _issue(api, "ONCE-1"))
    assert len({(waybill["id"], waybill["number"]) for waybill in answers}) == 1
    assert mock.live("ONCE-1") == [answers[0]["number"]]


def test_the_same_waybill_print_twenty_times_at_once_gives_one_label(town):
    """Twenty identical prints of a waybill with one key give one job with one label, and one piece of paper."""
    api, _, printer = town
    waybill = _issue(api, "ONCE-2")
    before = len(printer.labels())
    answers = _at_once(
        lambda: api.post(f"/waybills/{waybill['id']}/print", {"printer": PRINTER}, key="print ONCE-2")
    )
    assert len({job["id"] for job in answers}) == 1
    assert [label["state"] for label in api.wait_for_job(answers[0]["id"])["labels"]] == ["printed"]
    assert len(printer.labels()) == before + 1


def test_the_same_print_request_twenty_times_at_once_gives_one_label(town):
    """Twenty identical print requests with one key give one job with one label, and one piece of paper."""
    api, _, printer = town
    before = len(printer.labels())
    body = {
        "printer": PRINTER,
        "documents": [{"template": "waybill-76x130", "data": {"waybillCode": "780000000000001"}}],
    }
    answers = _at_once(lambda: api.post("/jobs", body, key="the one"))
    assert len({job["id"] for job in answers}) == 1
    assert [label["state"] for label in api.wait_for_job(answers[0]["id"])["labels"]] == ["printed"]
    assert len(printer.labels()) == before + 1
    assert len([job for job in api.get("/jobs?limit=100")["items"] if job["id"] == answers[0]["id"]]) == 1
