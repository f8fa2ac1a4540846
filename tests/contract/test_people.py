"""Exact look-up of a person by phone or name, by keyed tokens: finds what it should, opens no more than it shows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from support import rows

import labelsvc.daemon  # noqa: F401  # every table there is
from labelsvc.db import Database
from labelsvc.dropship import NewOrder, OrderLine, Orders
from labelsvc.errors import Forbidden, Invalid
from labelsvc.labels import StandardTemplates
from labelsvc.printing import Printers, PrintJobs, Profiles
from labelsvc.security import RIGHTS, Accounts, Actor, Audit, Role, Sealer, index_token
from labelsvc.waybills import Divisions, SenderAddresses, people_store
from labelsvc.waybills.people import People
from labelsvc.waybills.register import Register


@pytest.fixture
def people(database: Database) -> People:
    jobs = PrintJobs(database, Printers(database, Profiles()), StandardTemplates())
    return People(database, Register(database, jobs))


@pytest.fixture
def orders(database: Database, accounts: Accounts) -> Orders:
    no_waybills = SimpleNamespace(of_order=lambda *_: [])
    return Orders(database, accounts, no_waybills, SenderAddresses(database, Divisions()))


@pytest.mark.parametrize(
    ("kind", "same", "other"),
    [
        (
            "phone",
            (
                "13812345678",
                "+86 138-1234-5678",
                "0086 13812345678",
                "8613812345678",
                "１３８１２３４５６７８",
            ),
            ("13812345679", "13812345678#1234", "1381234567"),
        ),
        ("phone", ("0571-8765 4321", "+86 571 87654321", "057187654321"), ("057187654322", "87654321")),
        (
            "phone",
            ("13812345678#1234", "13812345678-1234", "$13812345678$#1234#", "+8613812345678#1234#"),
            ("13812345678#1235", "13812345678"),
        ),
        ("name", ("Anna Schmidt", "anna schmidt", "ＡｎｎａSchmidt", " Anna  Schmidt "), ("Ann Schmidt",)),
        ("name", ("欧阳春晓", "欧阳 春晓"), ("欧阳春", "欧阳春晓晓")),
    ],
)
def test_spellings_of_one_person_give_one_token(kind, same, other, sqlite_database: Database):
    """Country code, blanks, hyphens, width and case don't matter; a digit, a character or an extension does."""
    dialect = sqlite_database.engine.dialect
    token = index_token(dialect, kind, same[0], "store")
    assert len(token) == 32
    assert {index_token(dialect, kind, each, "store") for each in same} == {token}
    assert token not in {index_token(dialect, kind, each, "store") for each in other}
    assert token != index_token(dialect, kind, same[0], "another store")
    assert token != index_token(dialect, "name" if kind == "phone" else "phone", same[0], "store")


def test_only_the_asking_stores_own_are_found(
    database: Database, people: People, factory: Actor, merchant: Actor
):
    """R1: a merchant finds its person's waybills, also those that a factory shipped; the factory finds only its own orders'."""
    person, other = rows.party(), rows.party("李雷", "13900000000")
    with database.transaction() as connection:
        own = rows.add_waybill(connection, factory, person)
        shipped = rows.add_waybill(connection, factory, person, owner_id=merchant.store_id)
        rows.add_waybill(connection, factory, other)
    assert [found.id for found in people.find_person(factory, phone="+86 138 1234 5678")] == [own]
    assert [found.id for found in people.find_person(merchant, name="欧阳 春晓")] == [shipped]
    assert people.find_person(factory, phone=person.phone, name=other.name) == []
    assert people.find_person(factory, phone="13800000000") == []
    (found,) = people.find_person(factory, phone=person.phone, name=person.name)
    assert found.recipient == person.masked(), "what is found is masked"


def test_nothing_is_opened_that_isnt_shown(
    database: Database, people: People, factory: Actor, monkeypatch: pytest.MonkeyPatch
):
    """Among 60 waybills the search for one person opens only that person's rows."""
    with database.transaction() as connection:
        for number in range(60):
            rows.add_waybill(connection, factory, rows.party(phone=f"139{number:08d}"))
    opened: list[str] = []
    original = Sealer.open

    def counted(self: Sealer, column: str, sealed: bytes) -> bytes:
        opened.append(column)
        return original(self, column, sealed)

    monkeypatch.setattr(Sealer, "open", counted)
    assert len(people.find_person(factory, phone="13900000007")) == 1
    assert opened.count("waybills.request") == 1 and len(opened) <= 4, opened
    opened.clear()
    assert people.find_person(factory, phone="13900009999") == [] and opened == []


def test_the_index_holds_nothing_readable(database: Database, factory: Actor, merchant: Actor):
    """Tokens are keyed: neither the phone nor a plain hash of it; the same person has another one at each store."""
    with database.transaction() as connection:
        rows.add_waybill(connection, factory, rows.party())
        rows.add_waybill(connection, factory, rows.party(), owner_id=merchant.store_id)
        stored = connection.execute(text("SELECT phone, name FROM waybill_people")).all()
    assert len({row.phone for row in stored}) == len({row.name for row in stored}) == 2
    assert "13812345678" not in str(stored) and "欧阳" not in str(stored)


def test_a_changed_recipient_is_found_by_the_new_one_alone(
    database: Database, people: People, factory: Actor
):
    """W6: after an update the old phone finds nothing."""
    new = rows.party(phone="13700000000")
    with database.transaction() as connection:
        id = rows.add_waybill(connection, factory, rows.party())
        people_store.replace_person(connection, id, factory.store_id, new)
    assert people.find_person(factory, phone="13812345678") == []
    assert [found.id for found in people.find_person(factory, phone=new.phone)] == [id]


def test_orders_are_found_too(orders: Orders, merchant: Actor, factory: Actor):
    """A merchant finds its own orders by their recipient, masked; a store without them finds nothing."""
    lines = (OrderLine("S", "青瓷杯", 1),)
    made = orders.create(merchant, NewOrder("A-1", rows.party(), lines, shown_sender=rows.SHOP))
    orders.create(merchant, NewOrder("A-2", rows.party("李雷", "13900000000"), lines, shown_sender=rows.SHOP))
    (found,) = orders.find_person(merchant, phone="138 1234 5678")
    assert (found.id, found.recipient) == (made.id, rows.party().masked())
    assert [each.number for each in orders.find_person(merchant, name="李雷")] == ["A-2"]
    assert orders.find_person(factory, name="李雷") == []


def test_a_search_is_written_down_without_whom_it_was_for(database: Database, people: People, factory: Actor):
    """The trail says that a person was searched for and by what, and no more."""
    people.find_person(factory, phone="13812345678", name="欧阳春晓")
    (line,) = Audit(database).list(factory)
    assert (line.action, line.subject, line.reason) == ("waybill.find_person", "by:phone+name", "")


@pytest.mark.parametrize(
    "given",
    [{}, {"phone": "12"}, {"phone": "x" * 41}, {"name": " "}, {"name": "x" * 61}, {"phone": "1\x001111"}],
)
def test_a_search_for_nothing_is_refused(given, people: People, sqlite_database: Database, factory: Actor):
    """Neither of the two, or something that is no phone and no name, is named by its field."""
    with pytest.raises(Invalid) as fault:
        people.find_person(factory, **given)
    assert fault.value.errors[0].field in ("phone", "name")


def test_a_search_needs_the_right(people: People, sqlite_database: Database, factory: Actor):
    """R1: IT sees no waybills, so it can't ask for whom there are any."""
    with pytest.raises(Forbidden):
        people.find_person(replace(factory, rights=RIGHTS[Role.IT]), phone="13812345678")
