"""Sender addresses on a real database file: limits, defaults, and what a service that rests on one forbids."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from labelsvc.security import RIGHTS, Actor, Audit, Role
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
    assert (edited.party.city, edited.party.name, edited.is_default) == ("宁波市", "钱**", True)
    assert addresses.clear(merchant, made.id).party.name == "钱掌柜"


def test_masked_until_looked_at(database: Database, addresses: SenderAddresses, merchant: Actor):
    """R1: a store sees its own addresses masked; in clear only with the right, and the look is in the trail."""
    made = addresses.create(merchant, PARTY)
    masked = PARTY.masked_for_label()
    assert masked.name != PARTY.name and masked.phone != PARTY.phone
    for shown in (
        made,
        addresses.get(merchant, made.id),
        addresses.default(merchant),
        *addresses.list(merchant),
    ):
        assert shown.party == masked
    assert Audit(database).list(merchant) == []
    assert addresses.clear(merchant, made.id, "寄错了").party == PARTY
    (line,) = Audit(database).list(merchant)
    assert (line.action, line.subject, line.reason) == ("address.clear", f"address:{made.id}", "寄错了")
    clerk = replace(merchant, rights=RIGHTS[Role.CLERK])
    with pytest.raises(Forbidden):
        addresses.clear(clerk, made.id)
    assert addresses.default_party(merchant.store_id) == PARTY


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
    for change in ("slot = 101", "slot = 2", "slot = 0"):
        with pytest.raises(IntegrityError), database.transaction() as connection:
            connection.execute(text(f"UPDATE sender_addresses SET {change} WHERE id = :id"), {"id": made.id})
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(text("UPDATE sender_addresses SET default_of = store_id"))


def test_sealed(addresses: SenderAddresses, database: Database, merchant: Actor):
    """Names, phones and addresses don't stand readable in the database file."""
    addresses.create(merchant, PARTY)
    content = stored_bytes(database)
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
