"""Rotation of the sealing keys under load: nothing unreadable, nothing lost, nothing retired that is needed."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, func, select, type_coerce
from support import rows

import labelsvc.daemon  # noqa: F401  # every table there is
from labelsvc.db import Database, metadata
from labelsvc.errors import Conflict, LabelsvcError, NotFound, Refused
from labelsvc.security import Keys, Sealed, SealedBytes, Sealer


class Ahead:
    """The real time, put forward."""

    by = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.by


@pytest.fixture
def clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """The database's clock, to be put forward past the time that a retirement waits."""
    found = Ahead()
    monkeypatch.setattr(database, "_clock", found)
    return found


@pytest.fixture
def keys(database: Database, sealer: Sealer) -> Keys:
    return Keys(database, sealer)


def _old_file(path: Path) -> None:
    """A key file as the first version wrote it: without a key for the index."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    path.write_text(json.dumps({"current": "0a0a", "keys": {"0a0a": key}}))
    path.chmod(0o600)


def _fill(database: Database) -> dict[str, int]:
    """A row in every table with sealed columns; how many values each has."""
    counts: dict[str, int] = {}
    with database.transaction() as connection:
        for table in metadata.sorted_tables:
            sealed = [c for c in table.columns if isinstance(c.type, Sealed | SealedBytes)]
            if sealed:
                rows.add(connection, table)
    with database.reading() as connection:
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, Sealed | SealedBytes):
                    query = select(func.count(type_coerce(column, LargeBinary)))
                    counts[f"{table.name}.{column.name}"] = connection.execute(query).scalar_one()
    return counts


def test_every_sealed_value_of_every_table_is_sealed_anew(database: Database, keys: Keys, sealer: Sealer):
    """After a rotation, resealing in batches leaves no value of the old key, and each still says what it said."""
    counts = _fill(database)
    assert len(counts) > 15 and all(counts.values()), counts
    before = sealer.current
    after = keys.rotate()
    assert keys.left() == sum(counts.values())
    batches = 0
    while (done := keys.reseal(limit=3)) > 0:
        assert done <= 3
        batches += 1
    assert batches > 3
    assert keys.left() == 0
    assert [(key.id, key.current, key.values) for key in keys.list()] == [
        (after, True, sum(counts.values())),
        (before, False, 0),
    ]
    with database.reading() as connection:
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, Sealed):
                    said = connection.execute(select(column)).scalars().all()
                    assert {"sealed": f"{table.name}.{column.name}"} in said
    assert keys.reseal() == 0


def test_a_key_is_retired_only_when_nothing_needs_it(
    database: Database, keys: Keys, clock: Ahead, sealer: Sealer, tmp_path: Path
):
    """Not the current key, not one replaced a moment ago, not one that a value is sealed by, not an unknown one."""
    _fill(database)
    first = sealer.current
    with pytest.raises(Conflict) as fault:
        keys.retire(first)
    assert fault.value.code == "key.current"
    keys.rotate()
    with pytest.raises(Conflict) as fault:
        keys.retire(first)
    assert fault.value.code == "key.too_fresh" and 0 < fault.value.facts["wait_s"] <= 60
    clock.by = timedelta(minutes=2)
    with pytest.raises(Conflict) as fault:
        keys.retire(first)
    assert fault.value.code == "key.in_use" and fault.value.facts["values"] == keys.left()
    while keys.reseal():
        pass
    keys.retire(first)
    assert first not in (tmp_path / "sealing.key").read_text()
    assert [key.id for key in keys.list()] == [sealer.current]
    with pytest.raises(NotFound):
        keys.retire(first)


def test_a_lost_key_is_named_and_nothing_is_overwritten(database: Database, keys: Keys, tmp_path: Path):
    """A value whose key is gone stops the walk with an error, stays as it is, and is listed under its key."""
    _fill(database)
    other = tmp_path / "other.key"
    _old_file(other)
    foreign = Keys(database, Sealer.from_file(other))
    total = keys.list()[0].values
    with pytest.raises(LabelsvcError, match="no key opens"):
        foreign.reseal()
    assert {key.id: key.values for key in foreign.list()} == {"0a0a": 0, keys.list()[0].id: total}
    with database.reading() as connection:
        assert connection.execute(select(metadata.tables["audit_entries"].c.reason)).scalars().all()


def test_equality_outlives_every_key(tmp_path: Path):
    """An old file's fingerprints stay valid through rotations, and after its first key, which they came from, is gone."""
    path = tmp_path / "sealing.key"
    _old_file(path)
    sealer = Sealer.from_file(path)
    before = sealer.fingerprint("waybill.request", b"same")
    # A name that sorts before the first must not become the one that the index key is derived from.
    for _ in range(12):
        sealer.use(sealer.add(), datetime.now(UTC))
    sealer.forget("0a0a")
    assert sealer.fingerprint("waybill.request", b"same") == before
    assert Sealer.from_file(path).fingerprint("waybill.request", b"same") == before


def test_another_process_follows(tmp_path: Path):
    """A sealer that has the file open already opens what another sealed by a newer key, and seals by it from then on."""
    path = tmp_path / "sealing.key"
    one, two = Sealer.from_file(path), Sealer.from_file(path)
    old = two.seal("a.b", b"old")
    name = one.add()
    assert two.seal("a.b", b"x")[1:5] == old[1:5], "a key that is only known must not seal"
    one.use(name, datetime.now(UTC))
    assert two.open("a.b", one.seal("a.b", b"new")) == b"new"
    assert two.seal("a.b", b"x")[1:5] == name.encode()
    assert two.open("a.b", old) == b"old"


@pytest.mark.parametrize("spoil", ["gone", "open", "broken", "foreign"])
def test_a_spoilt_key_file_stops_nobody_who_has_read_it(spoil: str, tmp_path: Path):
    """A running process goes on with the keys it has when the file vanishes, leaks, breaks or is another installation's."""
    path = tmp_path / "sealing.key"
    sealer = Sealer.from_file(path)
    sealed = sealer.seal("a.b", b"x")
    if spoil == "gone":
        path.unlink()
    elif spoil == "open":
        path.chmod(0o644)
        path.write_text(path.read_text() + " ")
    elif spoil == "broken":
        path.write_text("{")
    else:
        path.unlink()
        _old_file(path)
    assert sealer.open("a.b", sealer.seal("a.b", b"y")) == b"y"
    assert sealer.open("a.b", sealed) == b"x"


def test_rotations_at_once_lose_no_key(tmp_path: Path):
    """Eight rotations that race leave eight new keys in the file: none that could have sealed something is overwritten."""
    path = tmp_path / "sealing.key"
    first = Sealer.from_file(path).current
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Sealer.from_file(path).add(), range(8)))
    assert set(Sealer.from_file(path).key_ids) == {first, *made}
    assert len(set(made)) == 8


def test_a_credential_is_read_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A key handed over by systemd opens and seals though its mode shows the group's bits; rotating it is refused."""
    from labelsvc.settings import load

    path = tmp_path / "credentials" / "sealing.key"
    sealed = Sealer.from_file(path).seal("a.b", b"x")
    path.chmod(0o440)
    with pytest.raises(LabelsvcError, match="0600"):
        Sealer.from_file(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    chosen = load(state_dir=tmp_path / "state").key_file
    assert chosen == path
    sealer = Sealer.from_file(chosen)
    assert sealer.open("a.b", sealed) == b"x"
    before = path.read_bytes()
    with pytest.raises(Refused) as fault:
        sealer.add()
    assert fault.value.code == "key.read_only"
    assert path.read_bytes() == before
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert load(state_dir=tmp_path / "state").key_file == tmp_path / "state" / "sealing.key"


_WRITER = """
import sys
import time
from pathlib import Path
from sqlalchemy import select, update
from labelsvc.db import Database
from labelsvc.security import Sealer
from labelsvc.security.audit_store import audit_entries
database = Database(sys.argv[1], sealer=Sealer.from_file(Path(sys.argv[2])))
count = 0
print("ready", flush=True)
while not Path(sys.argv[3]).exists():
    count += 1
    with database.transaction() as connection:
        for seq in connection.execute(select(audit_entries.c.seq)).scalars().all():
            connection.execute(update(audit_entries).where(audit_entries.c.seq == seq).values(reason=f"{seq}:{count}"))
    with database.reading() as connection:
        for row in connection.execute(select(audit_entries)):
            assert row.reason == f"{row.seq}:{count}", "a write was lost"
    time.sleep(0.005)
print(count, flush=True)
"""


def test_a_daemon_that_writes_all_the_while_loses_nothing(
    database: Database, keys: Keys, clock: Ahead, sealer: Sealer, tmp_path: Path
):
    """Another process changes and reads the same rows without a pause through rotation, resealing and retirement."""
    with database.transaction() as connection:
        store = rows.add(connection, metadata.tables["stores"])["id"]
        for _ in range(12):
            rows.add(connection, metadata.tables["audit_entries"], store_id=store, reason="")
    stop = tmp_path / "stop"
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _WRITER, url, str(tmp_path / "sealing.key"), str(stop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stderr is not None
        assert writer.stdout.readline() == "ready\n"
        first = sealer.current
        try:
            for _ in range(2):
                last = sealer.current
                keys.rotate()
                clock.by += timedelta(minutes=2)
                for _ in range(200):
                    keys.reseal(limit=5)
                    if keys.left() == 0:
                        break
                keys.retire(last)
        finally:
            stop.touch()  # else whatever went wrong here would wait for a writer that goes on for ever
        said, fault = writer.communicate(timeout=30)
    assert writer.returncode == 0, fault[-1500:]
    assert int(said.split()[-1]) >= 1
    assert first not in sealer.key_ids and len(sealer.key_ids) == 1
    with database.reading() as connection:
        reasons = connection.execute(select(metadata.tables["audit_entries"].c.reason)).scalars().all()
    assert len({reason.split(":")[1] for reason in reasons}) == 1, reasons


def test_resealing_passes_over_what_somebody_is_writing(database: Database, keys: Keys, sealer: Sealer):
    """Two rows in a writer's hand keep nobody waiting, in whichever order they were taken, and keep what they were given."""
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time: nobody gets between")
    entries = metadata.tables["audit_entries"]
    with database.transaction() as connection:
        for _ in range(3):
            rows.add(connection, entries, reason="before")
        first, other, last = connection.execute(select(entries.c.seq).order_by(entries.c.seq)).scalars()
    keys.rotate()
    with database.transaction() as writer:
        writer.execute(entries.update().where(entries.c.seq == last).values(reason="after"))
        assert keys.reseal() == 2
        writer.execute(entries.update().where(entries.c.seq == first).values(reason="after"))
        assert keys.reseal() == 0
    with database.reading() as connection:
        reasons = connection.execute(select(entries.c.seq, entries.c.reason)).all()
    assert dict(reasons) == {first: "after", other: "before", last: "after"}
    assert keys.left() == 0


def test_a_key_is_never_shown(keys: Keys, sealer: Sealer, tmp_path: Path):
    """What the operator sees of a key is its id and how much needs it, never its bytes."""
    content = json.loads((tmp_path / "sealing.key").read_text())
    shown = repr(keys.list())
    assert sealer.current in shown
    assert not any(key in shown for key in content["keys"].values())
