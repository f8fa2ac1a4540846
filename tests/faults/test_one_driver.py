"""Two daemons on one database: one drives the printers, and when it dies the other takes over; each label once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from faults.trial import RECIPIENT, Launcher, Running, Street, number_on, street
from support.daemon import PRINTER, SENDER, Api, Lost

pytestmark = pytest.mark.xdist_group("crash-3")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest, launcher: Launcher):
    """One street for this module, on each database: the lock is a file's there, a session's here."""
    on_postgresql = request.param == "postgresql"
    cluster = request.getfixturevalue("postgresql_cluster") if on_postgresql else None
    with street(cluster, launcher=launcher) as found:
        yield found


def _listening(daemon: Running, token: str) -> Api:
    deadline = time.monotonic() + 30
    while not daemon.address():
        assert time.monotonic() < deadline, daemon.log.read_text()
        time.sleep(0.02)
    return Api(daemon.address(), token)


def _drives(daemon: Running) -> bool:
    return "spooler.driving" in daemon.log.read_text()


def _issued(api: Api, order: str) -> dict:
    body = {
        "carrier": "ZTO",
        "orders": [order],
        "recipient": RECIPIENT,
        "shown_sender": SENDER.__dict__,
        "items": [{"name": "茶", "count": 1}],
    }
    return api.post("/waybills", body, key=f"issue {order}")


def _print(api: Api, waybill: dict) -> dict:
    return api.post(f"/waybills/{waybill['id']}/print", {"printer": PRINTER}, key=f"print {waybill['id']}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_daemon_waits_and_takes_over(town: Street, number: int):
    """A second daemon serves but doesn't drive while the first lives; once the first ends it drives; each label once."""
    trial, prepared = town.fresh_state()
    before = len(town.printer.labels())
    first = town.start(prepared, "first")
    try:
        api = _listening(first, prepared.token)
        deadline = time.monotonic() + 10
        while not _drives(first):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        second = town.start(prepared, "second")
        other = _listening(second, prepared.token)
        waybills = [_issued(api if parcel % 2 else other, f"D{trial}-{parcel}") for parcel in range(8)]
        jobs = [_print(other if parcel % 2 else api, waybill) for parcel, waybill in enumerate(waybills[:4])]
        for job in jobs:
            assert [label["state"] for label in other.wait_for_job(job["id"])["labels"]] == ["printed"]
        assert not _drives(second), "two daemons drive one printer"

        town.printer.faults(speed_mm_s=300)  # so that the first dies with a label under the head
        jobs += [_print(other, waybill) for waybill in waybills[4:]]
        deadline = time.monotonic() + 10
        while not town.printer.state()["printing"]:
            assert time.monotonic() < deadline
        first.stop(number)
        uncertain = _settle(other, town, [job["id"] for job in jobs], before)
        deadline = time.monotonic() + 10
        while not _drives(
            second
        ):  # at its next look, also where the first got everything out before it ended
            assert time.monotonic() < deadline, "nobody took over"
            time.sleep(0.02)
        assert uncertain <= 1
        paper = Counter(number_on(path) for path in town.printer.labels()[before:])
        assert paper == Counter(waybill["number"] for waybill in waybills)
        second.stop(signal.SIGTERM)
    finally:
        town.printer.faults(speed_mm_s=0)
        town.launcher.tell(do="signal", group=first.group, number=signal.SIGKILL)


def _settle(api: Api, town: Street, jobs: list[str], before: int) -> int:
    """Wait for the jobs, answering truthfully what a dead daemon left uncertain; how many were ever uncertain."""
    ever: set[str] = set()
    deadline = time.monotonic() + 60
    while True:
        labels = [label for job in jobs for label in api.get(f"/jobs/{job}")["labels"]]
        for label in labels:
            if label["state"] == "uncertain":
                ever.add(label["id"])
                while (state := town.printer.state())["queue"] or state["printing"]:
                    time.sleep(0.05)
                came_out = label["title"] in {number_on(path) for path in town.printer.labels()[before:]}
                status, _ = api.raw("POST", f"/labels/{label['id']}/resolve", {"came_out": came_out})
                assert status in (200, 409)  # 409: the printer's counter was quicker
        if all(label["state"] == "printed" for label in labels):
            return len(ever)
        assert time.monotonic() < deadline, [label["state"] for label in labels]
        time.sleep(0.05)


def test_a_worker_without_its_arbiter_stops_and_lets_the_port_go(town: Street):
    """Kill -9 on the arbiter alone: its worker ends by itself soon, and with it the driver's lock."""
    _, prepared = town.fresh_state()
    first = town.start(prepared, "first")
    api = _listening(first, prepared.token)
    assert api.get("/printers")["items"]
    Path(f"/proc/{first.group}").stat()
    town.launcher.tell(do="signal-leader", group=first.group, number=signal.SIGKILL)
    assert first.gone(20), "the worker outlives its arbiter"
    with pytest.raises(Lost):
        api.get("/printers")
    second = town.start(prepared, "second")
    _listening(second, prepared.token)
    deadline = time.monotonic() + 10
    while not _drives(second):
        assert time.monotonic() < deadline, "the lock of a dead daemon still holds"
        time.sleep(0.02)
    second.stop(signal.SIGTERM)
