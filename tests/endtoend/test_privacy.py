"""Personal data at rest: after a whole trade no name, phone or address can be found in what the daemon keeps or says."""

from __future__ import annotations

import base64
import gzip
import os
import sqlite3
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import urllib3
from faults.trial import QUICK, Launcher, Running
from sqlalchemy import text
from support import traces
from support.daemon import CARRIER, PRINTER, Answered, Api, prepare
from support.postgres import Cluster, cluster, programs
from support.programs import mock_carrier, virtual_printer
from support.stored import stored_bytes

from labelsvc.daemon import assemble
from labelsvc.db import Database
from labelsvc.demo import RECIPIENTS, SENDER
from labelsvc.security import Actor, Role, Sealer, StoreKind
from labelsvc.settings import load

#: The phone of nobody in the demo, so that it is found only if it leaks from a refused request.
REFUSED = {
    "name": "皇甫无名氏",
    "phone": "199000099999999999999999999999",
    "detail": "不存在的路九千九百九十九号",
}


def _party(party: Any) -> dict[str, str]:
    return dict(party.__dict__)


def _secrets() -> set[str]:
    """What must not be found: names, phones, details of addresses."""
    return {text for party in (*RECIPIENTS, SENDER) for text in (party.name, party.phone, party.detail)}


def _lines() -> set[str]:
    """Nor whole addresses, which are put together only on the label."""
    parties = (*RECIPIENTS, SENDER)
    return {"".join((party.province, party.city, party.district, party.detail)) for party in parties}


@contextmanager
def _daemon(launcher: Launcher, folder: Path, settings: dict[str, Any], *, sealed: bool):
    """A daemon of the launcher's, which alone knows how to leave out the sealing."""
    try:
        files = {name: str(folder / f"daemon.{name}") for name in ("said", "log", "ledger")}
        group = launcher.tell(do="start", settings=settings, sealed=sealed, **files)["group"]
        yield Running(launcher, group, *(Path(files[name]) for name in ("said", "log", "ledger")))
    finally:
        launcher.end()


def _trade(api: Api, merchant: Api) -> None:
    """Issue, print, reprint, open as PDF, cancel, and mistakes, for every recipient of the demo."""
    for number, recipient in enumerate(RECIPIENTS):
        body = {
            "carrier": CARRIER,
            "orders": [f"P-{number}"],
            "recipient": _party(recipient),
            "shown_sender": _party(SENDER),
            "items": [{"name": "手作陶瓷马克杯", "count": 1}],
        }
        waybill = api.post("/waybills", body, key=f"issue {number}")
        path = f"/waybills/{waybill['id']}"
        job = api.wait_for_job(api.post(f"{path}/print", {"printer": PRINTER}, key=f"print {number}")["id"])
        assert [label["state"] for label in job["labels"]] == ["printed"]
        if number == 0:
            reprint = {"printer": PRINTER, "reason": "标签损坏"}
            api.wait_for_job(api.post(f"{path}/reprint", reprint, key="reprint")["id"])
            assert api.post(f"{path}/clear", {"reason": "核对"})["recipient"]["name"] == recipient.name
        if number == 1:
            opening = api.post(f"{path}/pdf", {"reason": "打印机故障"}, key="pdf")
            status, pdf = api.raw("POST", f"/labels/{opening['label']['id']}/pdf", {})
            assert status == 200 and pdf.startswith(b"%PDF")
        if number == 2:
            api.post(f"{path}/cancel", {"label_destroyed": True})
    order = {
        "number": "P-order",
        "recipient": _party(RECIPIENTS[0]),
        "lines": [{"name": "茶", "quantity": 1}],
    }
    made = merchant.post("/orders", {**order, "shown_sender": _party(SENDER)})
    look = merchant.post(f"/orders/{made['id']}/clear", {"reason": "核对"})
    assert look["recipient"]["phone"] == RECIPIENTS[0].phone
    wrong = {
        "carrier": CARRIER,
        "orders": ["P-wrong"],
        "recipient": {**_party(RECIPIENTS[0]), **REFUSED},
        "shown_sender": _party(SENDER),
        "items": [{"name": "茶", "count": 1}],
    }
    nowhere = {**_party(SENDER), "name": REFUSED["name"], "district": REFUSED["detail"]}
    for path, mistake in (("/waybills", wrong), ("/addresses", {"party": nowhere}), ("/addresses", nowhere)):
        with pytest.raises(Answered) as refused:
            api.post(path, mistake, key="wrong")
        assert 400 <= refused.value.status < 500
        said = str(refused.value.problem)
        assert not any(text in said for text in REFUSED.values()), "a problem repeats what was sent"
    with pytest.raises(Answered):
        api.post("/waybills", {**wrong, REFUSED["name"]: 1}, key="wrong")
    document = {"template": "waybill-76x130", "data": {"recipient": {"name": [REFUSED["name"]]}}}
    with pytest.raises(Answered):
        api.post("/jobs", {"printer": PRINTER, "documents": [document]}, key="wrong")


def _merchant_token(settings: dict[str, Any]) -> str:
    """A token of a merchant's owner, made as the operator would."""
    rooms = assemble(load(**settings))
    actor = Actor.operator(rooms.accounts.create_store("云上小店", StoreKind.MERCHANT).id, via="test")
    rooms.accounts.create_user(actor, "owner", Role.OWNER)
    token = rooms.accounts.create_token(actor, "owner").secret
    rooms.database.close()
    return token


Place = tuple[dict[str, Any], Callable[[Path], dict[str, bytes]]]


@contextmanager
def _sqlite(state: Path) -> Iterator[Place]:
    """The settings of a database in the state directory, and a look at all that it keeps beside its files there."""

    def look(folder: Path) -> dict[str, bytes]:
        kept = {}
        with closing(sqlite3.connect(state / "labelsvc.db")) as database:
            kept["SQL dump"] = "\n".join(database.iterdump()).encode()
            kept["audit trail"] = _lines_of(database.execute("SELECT * FROM audit_entries").fetchall())
        copy = folder / "backup.db"
        own = Database(f"sqlite:///{state / 'labelsvc.db'}")
        own.backup(copy)
        own.close()
        kept["backup file"] = copy.read_bytes()
        copy.unlink()
        return kept

    yield {}, look


@contextmanager
def _postgresql(state: Path) -> Iterator[Place]:
    """The same of a database in a cluster of its own: in a shared one the log of all databases would lie in the same files."""
    with cluster() as own:
        name = own.create()
        begun = own.admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()

        def look(folder: Path) -> dict[str, bytes]:
            database = Database(own.url(name))
            try:
                kept = {"columns": stored_bytes(database)}
                with database.reading() as connection:
                    kept["audit trail"] = _lines_of(
                        connection.execute(text("SELECT * FROM audit_entries")).all()
                    )
                    named = text(
                        "SELECT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                        " WHERE relkind IN ('r', 'i', 't') AND nspname IN ('public', 'pg_toast')"
                    )
                    relations = list(connection.execute(named).scalars())
            finally:
                database.close()
            kept["SQL dump"] = _dumped(own, name, "--inserts")
            kept["backup file"] = _dumped(own, name, "--format=custom")
            kept["WAL"] = _write_ahead_log(own, begun)
            own.admin.execute("CHECKPOINT")
            # A dump leaves out what was deleted or changed; the files don't, until they are tidied.
            kept["table files"] = b"\0".join(
                path.read_bytes() for each in relations if (path := own.folder / "data" / each).exists()
            )
            return kept

        yield {"database_url": own.url(name)}, look


def _dumped(own: Cluster, name: str, form: str) -> bytes:
    """What PostgreSQL's own program writes out."""
    dump = [str(programs() / "pg_dump"), "--host", str(own.folder), "--username", "labelsvc", form, name]
    return subprocess.run(dump, check=True, capture_output=True, timeout=120).stdout


def _write_ahead_log(own: Cluster, since: Any) -> bytes:
    """The bytes of the log from a position on."""
    positions = own.admin.execute(
        "SELECT pg_walfile_name(%(since)s), mod(%(since)s::pg_lsn - '0/0', %(segment)s)::bigint,"
        " pg_walfile_name(pg_current_wal_insert_lsn())",
        {"since": since[0], "segment": 16 << 20},
    ).fetchone()
    assert positions
    first, offset, last = positions
    folder = own.folder / "data" / "pg_wal"
    segments = sorted(path for path in folder.iterdir() if first <= path.name <= last)
    assert segments[0].name == first
    whole = b"".join(path.read_bytes() for path in segments)[offset:]
    return whole.rstrip(b"\0")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Callable[[Path], Any]:
    """Where the daemon keeps its data."""
    if request.param == "sqlite":
        return _sqlite
    request.getfixturevalue("postgresql_cluster")  # skips where none can be had
    return _postgresql


def _lines_of(rows: Sequence[Sequence[Any]]) -> bytes:
    return b"\n".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in rows
        for value in row
    )


def _kept(folder: Path, look: Callable[[Path], dict[str, bytes]]) -> dict[str, bytes]:
    """Everything that the daemon keeps or says: its files, an SQL dump, a backup, its audit trail, its log and output."""
    state = folder / "state"
    kept = {str(path.relative_to(state)): path.read_bytes() for path in state.rglob("*") if path.is_file()}
    kept |= look(folder)
    for name in ("log", "said"):
        kept[f"daemon.{name}"] = (folder / f"daemon.{name}").read_bytes()
    return kept


def _traded(
    launcher: Launcher, folder: Path, place: Callable[[Path], Any], *, sealed: bool
) -> dict[str, bytes]:
    with (
        place(folder / "state") as (where, look),
        mock_carrier(folder) as mock,
        virtual_printer(folder) as printer,
    ):
        prepared = prepare(folder / "state", mock, printer, **QUICK, **where)
        merchant = _merchant_token(prepared.settings)
        with _daemon(launcher, folder, prepared.settings, sealed=sealed) as daemon:
            _trade(daemon.api(prepared.token), daemon.api(merchant))
            living = _kept(folder, look)  # the write-ahead log too, which a clean end folds in
            metrics = urllib3.request("GET", f"{daemon.address()}/metrics", retries=False)
            assert metrics.status == 200
            living["metrics"] = metrics.data
            daemon.stop()
        kept = _kept(folder, look)
        return {**kept, **{f"{name} (while running)": data for name, data in living.items()}}


@pytest.mark.timeout(240)
def test_nothing_personal_is_kept_in_the_clear(
    place: Callable[[Path], Any], tmp_path: Path, launcher: Launcher
):
    """After a whole trade at log level debug: no trace of a name, phone or address in any file, the SQL dump or the log."""
    kept = _traded(launcher, tmp_path, place, sealed=True)
    assert b"waybill" in kept["daemon.log"] and b"INSERT INTO" in kept["SQL dump"]
    assert b"waybill.clear" in kept["audit trail"] and b"order.clear" in kept["audit trail"]
    assert b'labelsvc_labels{state="printed"}' in kept["metrics (while running)"]
    assert len(kept["backup file"]) > 4096
    assert len(kept["labelsvc.db-wal (while running)" if place is _sqlite else "WAL"]) > 4096
    for name, data in kept.items():
        found = traces.find(_secrets() | _lines() | set(REFUSED.values()), data)
        assert not found, f"{name} holds traces of {len(found)} personal texts: {sorted(found)[:3]}"


@pytest.mark.timeout(240)
def test_without_sealing_the_search_finds_everything(
    place: Callable[[Path], Any], tmp_path: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
):
    """The control: the same trade with sealing switched off leaves every name, phone and address where it is found."""
    monkeypatch.setattr(Sealer, "seal", lambda self, column, plain: plain)
    monkeypatch.setattr(Sealer, "open", lambda self, column, sealed: sealed)
    kept = _traded(launcher, tmp_path, place, sealed=False)
    missed = _secrets() - traces.find(_secrets(), kept["SQL dump"])
    assert not missed, f"the search of the SQL dump misses {sorted(missed)}"


@pytest.mark.timeout(240)
def test_the_search_of_each_place_finds_what_is_planted_there(place: Callable[[Path], Any], tmp_path: Path):
    """The control of every place: a phone in an unsealed column, a reason or a log line is found in all that hold it."""
    with place(tmp_path / "state") as (where, look):
        rooms = assemble(load(state_dir=tmp_path / "state", **where))
        actor = Actor.operator(rooms.accounts.create_store("云上小店", StoreKind.MERCHANT).id, via="test")
        phone = RECIPIENTS[0].phone
        with rooms.database.transaction() as connection:
            rooms.audit.note(connection, actor, "planted", phone)
        for name in ("log", "said"):
            (tmp_path / f"daemon.{name}").write_text(f"{name} {phone}\n")
        kept = _kept(tmp_path, look)
        rooms.database.close()
    holding = {name for name, data in kept.items() if traces.find([phone], data)}
    assert {"SQL dump", "audit trail", "backup file", "daemon.log", "daemon.said"} <= holding
    if place is _sqlite:
        assert holding & {"labelsvc.db", "labelsvc.db-wal"}
    else:
        assert {"columns", "table files", "WAL"} <= holding


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "gb18030"])
def test_the_search_sees_through_every_wrapping(encoding: str):
    """The search itself: a name is found raw, in base64 at any alignment, hex, URL, ``\\u``, and inside packed streams."""
    name = "欧阳晓晴"
    plain = f"收件人: {name} 电话".encode(encoding)
    # The same noise at every run, and a byte between that ends a run of letters: a raw stream has to begin one.
    noise = b"\0" + Random(20261123).randbytes(300) + b"\0"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = packer.compress(plain * 3) + packer.flush()
    wrapped = [
        plain,
        *(base64.b64encode(b"x" * shift + plain + b"yz") for shift in range(3)),
        *(base64.urlsafe_b64encode(b"\xff" * shift + plain) for shift in range(3)),
        plain.hex().encode(),
        zlib.compress(plain),
        gzip.compress(plain),
        deflated.hex().encode(),
        base64.b64encode(zlib.compress(plain)),
        b"^GFA,1,1,1,:Z64:" + base64.b64encode(zlib.compress(plain)) + b":ABCD",
        zlib.compress(plain).hex().encode(),
    ]
    for each in wrapped:
        assert traces.find([name], noise + each + noise) == {name}
    for written in (
        "\\u6b27\\u9633\\u6653\\u6674",
        "%E6%AC%A7%E9%98%B3%E6%99%93%E6%99%B4",
    ):
        assert traces.find([name], written.encode()) == {name}
    assert traces.find([name], os.urandom(20_000)) == set()
