"""Metrics and backup: what leaves the house for those who run it, without a person in it."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import rows
from support.web import House

from labelsvc import metrics
from labelsvc.daemon import assemble
from labelsvc.db import Database
from labelsvc.errors import Conflict, Refused, Unavailable
from labelsvc.security import Actor
from labelsvc.settings import load

RECIPIENT = rows.party()


@pytest.fixture
def house(tmp_path: Path):
    rooms = assemble(load(state_dir=tmp_path / "state", spooler=False))
    yield House(rooms)
    rooms.database.close()


def _series(body: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_counts_and_no_people(house: House):
    """GET /metrics says how many waybills and labels are in each state, and nothing of whom they are for."""
    caller = house.caller("云上小店")
    actor = Actor.operator(caller.store.id)
    with house.rooms.database.transaction() as connection:
        for state in ("issued", "issued", "cancelled"):
            rows.add_waybill(connection, actor, RECIPIENT, state=state)
    answer = house.app.test_client().get("/metrics", headers={"Host": "localhost"})
    assert answer.status_code == 200 and answer.mimetype == "text/plain"
    found = _series(answer.data)
    assert found["labelsvc_waybills", "issued"] == 2
    assert found["labelsvc_waybills", "cancelled"] == 1
    assert found["labelsvc_waybills", "delivered"] == found["labelsvc_labels", "printed"] == 0
    text = answer.get_data(as_text=True)
    for secret in (RECIPIENT.name, RECIPIENT.phone, RECIPIENT.detail, actor.store_id, "云上小店", "7313"):
        assert secret not in text


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("10.0.0.9", {}),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.9"}),
        ("::1", {"Forwarded": "for=10.0.0.9"}),
    ],
)
def test_strangers_need_a_token(house: House, address: str, headers: dict[str, str]):
    """From elsewhere, also by way of a proxy on this machine, nobody reads the metrics without a token."""
    client = house.app.test_client()
    given = {"Host": "localhost", **headers}
    refused = client.get("/metrics", headers=given, environ_overrides={"REMOTE_ADDR": address})
    assert refused.status_code == 401
    token = {"Authorization": f"Bearer {house.caller('云上小店').token}"}
    read = client.get("/metrics", headers={**given, **token}, environ_overrides={"REMOTE_ADDR": address})
    assert read.status_code == 200


def test_calls_are_counted_by_what_came_of_them():
    """Each outcome of a network call has its own series; the error goes on to whoever asked."""

    def count(outcome: str) -> float:
        return _series(metrics.exposition({}, {}, {})).get(
            ("labelsvc_network_calls_total", "pdd.waybill.get", outcome), 0.0
        )

    cases = [
        (None, "ok"),
        (Refused("no", code="sender.mismatch"), "refused"),
        (Unavailable("silent", code="network.silent"), "silent"),
        (Unavailable("busy", code="network.busy"), "busy"),
        (Unavailable("resting", code="network.resting"), "resting"),
        (KeyError("x"), "broken"),
    ]
    for fault, outcome in cases:
        before = count(outcome)
        try:
            with metrics.network_call("pdd.waybill.get"):
                if fault is not None:
                    raise fault
        except Exception as raised:
            assert raised is fault
        assert count(outcome) == before + 1


def test_a_backup_is_whole_and_sealed(sqlite_database: Database, factory: Actor, tmp_path: Path):
    """A copy made while a writer is at work is one consistent database, private, and without a readable person."""
    with sqlite_database.transaction() as connection:
        id = rows.add_waybill(connection, factory, RECIPIENT)
    path = tmp_path / "backup.db"
    with sqlite_database.reading():
        sqlite_database.backup(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT id FROM waybills").fetchall() == [(id,)]
    assert RECIPIENT.name.encode() not in path.read_bytes()
    with pytest.raises(Conflict):
        sqlite_database.backup(path)


def test_postgresql_is_backed_up_by_its_own_tool(database: Database, tmp_path: Path):
    """On PostgreSQL the verb says so instead of writing half a copy."""
    if database.is_sqlite:
        pytest.skip("SQLite's backup has its own test")
    with pytest.raises(Refused) as fault:
        database.backup(tmp_path / "backup.db")
    assert fault.value.code == "backup.postgresql"
    assert not (tmp_path / "backup.db").exists()
