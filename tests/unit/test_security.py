"""Security: sealed columns, stores and users, tokens shown once, one-time sign-in, rights."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, text
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.errors import Conflict, Forbidden, Invalid, LabelsvcError, NotFound, Unauthenticated
from labelsvc.migrations import migrate
from labelsvc.security import RIGHTS, Accounts, Actor, Right, Role, Sealed, SealedBytes, Sealer, StoreKind

PARTY = {"name": "欧阳小芳", "phone": "13812345678"}


def _table(database: Database) -> Table:
    table = Table(
        "things",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("party", Sealed("things.party")),
        Column("bytes", SealedBytes("things.bytes")),
    )
    with database.transaction() as connection:
        table.create(connection)
        connection.execute(table.insert().values(id=1, party=PARTY, bytes=b"^XA secret ^XZ"))
    return table


def test_a_sealed_column_reads_back_and_hides(database: Database):
    """What goes in comes out; the file holds nothing of it."""
    table = _table(database)
    with database.reading() as connection:
        row = connection.execute(table.select()).one()
    assert (row.party, row.bytes) == (PARTY, b"^XA secret ^XZ")
    raw = stored_bytes(database)
    assert "欧阳小芳".encode() not in raw
    assert b"secret" not in raw


def test_a_sealed_value_cannot_be_moved_or_changed(database: Database):
    """A value copied to another column, or altered by a bit, is refused, not shown."""
    table = _table(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE things SET bytes = party"))
    with database.reading() as connection, pytest.raises(LabelsvcError, match="changed or moved"):
        connection.execute(table.select()).one()


def test_the_key_file_is_private_and_made_once(tmp_path: Path):
    """The key file is 0600, a second start reads the same key, and one that others may read is refused."""
    path = tmp_path / "keys" / "sealing.key"
    sealed = Sealer.from_file(path).seal("a.b", b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Sealer.from_file(path).open("a.b", sealed) == b"x"
    assert [found.name for found in path.parent.iterdir()] == ["sealing.key"]
    path.chmod(0o644)
    with pytest.raises(LabelsvcError, match="0600"):
        Sealer.from_file(path)


def test_an_older_key_still_opens(tmp_path: Path):
    """After a new key became current, what the old one sealed opens."""
    path = tmp_path / "sealing.key"
    sealed = Sealer.from_file(path).seal("a.b", b"old")
    content = json.loads(path.read_text())
    content["keys"]["ffff"] = content["keys"][content["current"]][::-1].replace("=", "A")[:43] + "="
    content["current"] = "ffff"
    path.write_text(json.dumps(content))
    sealer = Sealer.from_file(path)
    assert sealer.open("a.b", sealed) == b"old"
    assert sealer.seal("a.b", b"x")[1:5] == b"ffff"


def test_a_fingerprint_needs_the_key(tmp_path: Path):
    """Equal data give equal fingerprints under one key, another under another key or purpose."""
    one, two = Sealer.from_file(tmp_path / "1"), Sealer.from_file(tmp_path / "2")
    assert one.fingerprint("p", b"x") == one.fingerprint("p", b"x")
    assert len({one.fingerprint("p", b"x"), one.fingerprint("q", b"x"), two.fingerprint("p", b"x")}) == 3


def test_a_token_is_shown_once_and_kept_hashed(database: Database, accounts: Accounts, factory: Actor):
    """A token identifies its user with the role's rights; its text isn't in the database."""
    accounts.create_user(factory, "packer", Role.PACKER)
    issued = accounts.create_token(factory, "packer")
    actor = accounts.by_token(issued.secret, "http")
    assert (actor.store_id, actor.name, actor.via) == (factory.store_id, "packer", "http")
    assert actor.rights == RIGHTS[Role.PACKER]
    raw = stored_bytes(database)
    assert issued.secret.encode() not in raw
    accounts.end_token(factory, issued.id)
    with pytest.raises(Unauthenticated):
        accounts.by_token(issued.secret, "http")


def test_a_sign_in_code_works_once(accounts: Accounts, factory: Actor):
    """The first use of a one-time code gives a session; the second use, and a session after sign-out, give nothing."""
    code = accounts.create_sign_in(factory, "owner").secret
    session = accounts.sign_in(code, timedelta(hours=1))
    assert accounts.by_session(session.secret, "web").name == "owner"
    with pytest.raises(Unauthenticated):
        accounts.sign_in(code, timedelta(hours=1))
    with pytest.raises(Unauthenticated):
        accounts.by_token(session.secret, "http")
    accounts.sign_out(session.secret)
    with pytest.raises(Unauthenticated):
        accounts.by_session(session.secret, "web")


def test_a_session_ends_by_itself(tmp_path: Path, sealer: Sealer):
    """A session is over when its time is."""
    now = datetime(2026, 11, 23, 8, tzinfo=UTC)
    database = Database(f"sqlite:///{tmp_path / 'clock.db'}", sealer=sealer, clock=lambda: now)
    migrate(database)
    accounts = Accounts(database)
    actor = Actor.operator(accounts.create_store("钟表店", StoreKind.MERCHANT).id)
    accounts.create_user(actor, "owner", Role.OWNER)
    session = accounts.sign_in(accounts.create_sign_in(actor, "owner").secret, timedelta(hours=1))
    now += timedelta(minutes=59)
    assert accounts.by_session(session.secret, "web")
    now += timedelta(minutes=2)
    with pytest.raises(Unauthenticated):
        accounts.by_session(session.secret, "web")


def test_stores_are_apart(accounts: Accounts, factory: Actor, merchant: Actor):
    """A store's owner can't make a token for another store's user: there is no such user."""
    with pytest.raises(NotFound):
        accounts.create_token(merchant, "owner")


def test_rights_are_asked(accounts: Accounts, factory: Actor):
    """R1: a packer makes no users; prices and orders aren't for IT."""
    packer = Actor("u", factory.store_id, "p", RIGHTS[Role.PACKER], "test")
    with pytest.raises(Forbidden, match=r"users\.manage"):
        accounts.create_user(packer, "x", Role.OWNER)
    assert Right.READ_ORDERS not in RIGHTS[Role.IT]
    assert Right.SEE_CLEAR_DATA not in RIGHTS[Role.PACKER]
    assert {role for role in Role if Right.READ_AUDIT in RIGHTS[role]} == {Role.OWNER, Role.AUDITOR}
    assert {role for role in Role if Right.MANAGE_PREFERENCES in RIGHTS[role]} == {Role.OWNER}


def test_names_are_checked(accounts: Accounts, factory: Actor):
    """A name that is empty, too long, unprintable or taken is refused by field."""
    for bad in ("", " ", "x" * 81, "a\x00b"):
        with pytest.raises(Invalid) as fault:
            accounts.create_user(factory, bad, Role.CLERK)
        assert fault.value.errors[0].field == "name"
    with pytest.raises(Conflict):
        accounts.create_user(factory, "owner", Role.CLERK)
