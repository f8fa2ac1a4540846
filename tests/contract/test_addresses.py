"""Sender addresses on a real database file: limits, defaults, and what a service that rests on one forbids."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from labelsvc.db import Database
from labelsvc.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from labelsvc.security import RIGHTS, Actor, Role
from labelsvc.waybills import Divisions, Party, SenderAddresses

PARTY = Party("周掌柜", "13911112222", "浙江省", "杭州市", "西湖区", "文三路 1 号")
DIVISIONS = Divisions()


@pytest.fixture
def addresses(database: Database) -> SenderAddresses:
    return SenderAddresses(database, DIVISIONS)


def test_first_is_default(addresses: SenderAddresses, merchant: Actor):
    """E7: the first address is the default; there is exactly one, whichever is made so; a deleted default is followed."""
    first = addresses.create(merchant, PARTY)
    second = addresses.create(merchant, replace(PARTY, detail="2 号"))
    assert (first.is_default, second.is_default) == (True, False)
    third = addresses.create(merchant, replace(PARTY, detail="3 号"), default=True)
    assert [a.id for a in addresses.list(merchant) if a.is_default] == [third.id]
    addresses.make_default(merchant, second.id)
    assert [a.id for a in addresses.list(merchant) if a.is_default] == [second.id]
    addresses.delete(merchant, second.id)
    assert [a.id for a in addresses.list(merchant) if a.is_default] == [first.id]
    assert addresses.default(merchant).id == first.id


def test_names_in_full(addresses: SenderAddresses, merchant: Actor):
    """A division without its endings is stored in full; a wrong one is refused with suggestions and stores nothing."""
    made = addresses.create(merchant, replace(PARTY, province="浙江", city="杭州", district="西湖"))
    assert made.party.division == PARTY.division
    with pytest.raises(Invalid) as caught:
        addresses.create(merchant, replace(PARTY, district="西胡区"))
    assert caught.value.errors[0].field == "party.district"
    assert "西湖区" in caught.value.facts["suggestions"]
    assert len(addresses.list(merchant)) == 1


def test_edit(addresses: SenderAddresses, merchant: Actor):
    """E7: an address nobody uses can be changed in every part."""
    made = addresses.create(merchant, PARTY)
    edited = addresses.edit(
        merchant, made.id, replace(PARTY, city="宁波市", district="鄞州区", name="钱掌柜")
    )
    assert (edited.party.city, edited.party.name, edited.is_default) == ("宁波市", "钱掌柜", True)


def test_other_stores_see_nothing(addresses: SenderAddresses, merchant: Actor, factory: Actor):
    """An address of one store is not there for another."""
    made = addresses.create(merchant, PARTY)
    assert addresses.list(factory) == []
    for verb in (
        lambda: addresses.get(factory, made.id),
        lambda: addresses.edit(factory, made.id, PARTY),
        lambda: addresses.make_default(factory, made.id),
        lambda: addresses.delete(factory, made.id),
    ):
        with pytest.raises(NotFound):
            verb()


def test_rights(addresses: SenderAddresses, merchant: Actor):
    """R1: an auditor reads addresses and changes none."""
    auditor = Actor("u", merchant.store_id, "u", RIGHTS[Role.AUDITOR], "test")
    assert addresses.list(auditor) == []
    with pytest.raises(Forbidden):
        addresses.create(auditor, PARTY)


def test_limit_in_a_race(addresses: SenderAddresses, merchant: Actor, factory: Actor):
    """E4: from 75 addresses, fifty racing creates: exactly 25 succeed, the others say why; another store is not touched."""
    for n in range(75):
        addresses.create(merchant, replace(PARTY, detail=f"{n} 号"))

    def create(n: int) -> str:
        try:
            addresses.create(merchant, replace(PARTY, detail=f"竞 {n} 号"), default=n % 2 == 0)
        except LimitReached as refusal:
            return refusal.code
        return "created"

    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(create, range(50)))
    assert outcomes.count("created") == 25
    assert outcomes.count("address.limit") == 25
    stored = addresses.list(merchant)
    assert len(stored) == 100
    assert sum(address.is_default for address in stored) == 1
    addresses.create(factory, PARTY)
    addresses.delete(merchant, stored[50].id)
    addresses.create(merchant, PARTY)
    with pytest.raises(LimitReached):
        addresses.create(merchant, PARTY)


def test_limit_is_a_constraint(addresses: SenderAddresses, database: Database, merchant: Actor):
    """E4: the database itself refuses a slot beyond 100, a slot used twice, and a second default."""
    made = addresses.create(merchant, PARTY)
    addresses.create(merchant, PARTY)
    raw = sqlite3.connect(database.path)
    for change in ("slot = 101", "slot = 2", "slot = 0"):
        with pytest.raises(sqlite3.IntegrityError):
            raw.execute(f"UPDATE sender_addresses SET {change} WHERE id = ?", (made.id,))
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute("UPDATE sender_addresses SET default_of = ?", (merchant.store_id,))
    raw.close()


def test_sealed(addresses: SenderAddresses, database: Database, merchant: Actor):
    """Names, phones and addresses don't stand readable in the database file."""
    addresses.create(merchant, PARTY)
    content = database.path.read_bytes()
    wal = database.path.with_name(database.path.name + "-wal")
    content += wal.read_bytes() if wal.exists() else b""
    for secret in (PARTY.name, PARTY.phone, PARTY.detail, PARTY.city):
        assert secret.encode() not in content


def test_unknown_is_not_found(addresses: SenderAddresses, merchant: Actor):
    """An unknown id is NotFound, whatever it looks like."""
    for id in ("", "x" * 10_000, "'; DROP TABLE stores; --"):
        with pytest.raises(NotFound):
            addresses.get(merchant, id)


def test_conflict_is_a_conflict():
    """LimitReached is a Conflict, so that doors answer 409."""
    assert issubclass(LimitReached, Conflict)
