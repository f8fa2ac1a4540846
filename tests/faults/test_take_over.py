"""What a killed daemon was asking for: the next one on the machine knows that it is dead, and doesn't wait for its leases."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.daemon import CARRIER, SENDER, Answered, Api, Lost, prepare, running_daemon
from support.programs import MockCarrier, mock_carrier, virtual_printer

from labelsvc.daemon import assemble
from labelsvc.db import Database, UtcDateTime
from labelsvc.settings import load

GET = "pdd.waybill.get"
TIMEOUT_S = 3
ORDER = "TAKEN-OVER-1"


def _request(order: str) -> dict[str, Any]:
    return {
        "carrier": CARRIER,
        "orders": [order],
        "recipient": {**SENDER.__dict__, "name": "欧阳晓晴", "phone": "19900002001"},
        "shown_sender": SENDER.__dict__,
        "items": [{"name": "茶", "count": 1}],
    }


def _ask(api: Api, order: str) -> Any:
    return api.post("/waybills", _request(order), key=f"issue {order}")


def _leases(address: str) -> tuple[list[datetime], int]:
    """Until when waybills are leased, and how many batches are."""
    database = Database(address)
    try:
        with database.reading() as connection:
            asked = text("SELECT attempt_until FROM waybills WHERE attempt_until IS NOT NULL").columns(
                attempt_until=UtcDateTime()
            )
            batches = text("SELECT count(*) FROM waybill_batches WHERE lease_until IS NOT NULL")
            return list(connection.execute(asked).scalars()), connection.execute(batches).scalar_one()
    finally:
        database.close()


def _until_asked_for(mock: MockCarrier, parcels: int) -> None:
    deadline = time.monotonic() + 30
    while len({one["package_id"] for entry in mock.log() for one in entry["parcels"]}) < parcels:
        assert time.monotonic() < deadline, "the network was never asked"
        time.sleep(0.02)


def _until_answered(api: Api, order: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return _ask(api, order)
        except (Answered, Lost) as fault:
            assert time.monotonic() < deadline, fault
            time.sleep(0.1)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_dead_daemons_leases_are_shortened_and_no_living_ones(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
):
    """W2: on SQLite a daemon's start shortens its dead forerunner's leases to one time-out, while that lives none; one number.

    On PostgreSQL nobody can know that the forerunner is dead: its leases lapse by themselves.
    """
    where = {"database_url": request.getfixturevalue("postgresql_url")} if kind == "postgresql" else {}
    with mock_carrier(tmp_path) as mock, virtual_printer(tmp_path) as printer:
        prepared = prepare(tmp_path / "state", mock, printer, network_timeout_s=TIMEOUT_S, **where)
        settings = load(**prepared.settings)
        # The number is given, and only the answer fails to come.
        mock.control(script=[{"fault": "late", "only": GET, "ms": 60_000}])
        with running_daemon(prepared.settings, tmp_path / "first.log") as first:

            def post_and_wait() -> None:
                with suppress(Lost, Answered):
                    _ask(first.api(prepared.token), ORDER)

            bench = threading.Thread(target=post_and_wait)
            bench.start()
            first.api(prepared.token).post("/batches", {"requests": [_request("TAKEN-OVER-2")]}, key="batch")
            _until_asked_for(mock, 2)
            before = _leases(settings.database)
            assert (len(before[0]), before[1]) == (2, 1)
            rooms = assemble(settings)
            assert rooms.waybills.take_over() == 0
            rooms.database.close()
            del rooms  # or this process would be one that may ask
            os.killpg(first.process.pid, signal.SIGKILL)
            first.process.wait()
            bench.join()
        mock.control(script=[])
        before = _leases(settings.database)
        rooms = assemble(settings)
        taken = rooms.waybills.take_over()
        now = rooms.database.now()
        rooms.database.close()
        del rooms
        if kind == "sqlite":
            assert taken == 3
            leases, batches = _leases(settings.database)
            assert max(leases) <= now + timedelta(seconds=TIMEOUT_S) < max(before[0])
            assert batches == 0
        else:
            assert taken == 0
            assert _leases(settings.database) == before
        with running_daemon(prepared.settings, tmp_path / "second.log") as second:
            waybill = _until_answered(second.api(prepared.token), ORDER)
        assert mock.live(ORDER) == [waybill["number"]]
        asked = [
            entry for entry in mock.log() if waybill["id"] in entry["package_ids"] and entry["type"] == GET
        ]
        assert len(asked) == 1, "a number that was given was asked for again"


def test_a_daemon_takes_over_when_it_starts(tmp_path: Path):
    """The daemon does so by itself, before anything else asks."""
    with mock_carrier(tmp_path) as mock, virtual_printer(tmp_path) as printer:
        prepared = prepare(tmp_path / "state", mock, printer, network_timeout_s=TIMEOUT_S)
        mock.control(script=[{"fault": "late", "only": GET, "ms": 60_000}])
        log = tmp_path / "daemon.log"
        with running_daemon(prepared.settings, log) as first:
            first.api(prepared.token).post("/batches", {"requests": [_request(ORDER)]}, key="batch")
            _until_asked_for(mock, 1)
            assert "waybills.taken_over" not in log.read_text()
            os.killpg(first.process.pid, signal.SIGKILL)
            first.process.wait()
        with running_daemon(prepared.settings, log):
            assert "waybills.taken_over" in log.read_text()
