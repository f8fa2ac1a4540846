"""The audit trail: each look at clear data leaves its line, in the same transaction, for those who may read it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from support import rows

import labelsvc.daemon  # noqa: F401  # every table there is
from labelsvc.db import Database
from labelsvc.dropship import NewOrder, OrderLine, Orders
from labelsvc.errors import Forbidden, Invalid, NotFound, Refused
from labelsvc.labels import StandardTemplates
from labelsvc.printing import DocumentRequest, Printers, PrintJobs, PrintRequest, Profiles
from labelsvc.security import RIGHTS, Accounts, Actor, Audit, Right, Role
from labelsvc.waybills import Divisions, Preferences, SenderAddresses
from labelsvc.waybills.people import People
from labelsvc.waybills.register import Register

RECIPIENT = rows.party()


def _role(actor: Actor, role: Role) -> Actor:
    return replace(actor, user_id=f"user-{role}", rights=RIGHTS[role])


@pytest.fixture
def jobs(database: Database) -> PrintJobs:
    return PrintJobs(database, Printers(database, Profiles()), StandardTemplates())


@pytest.fixture
def people(database: Database, jobs: PrintJobs) -> People:
    return People(database, Register(database, jobs))


@pytest.fixture
def orders(database: Database, accounts: Accounts) -> Orders:
    no_waybills = SimpleNamespace(of_order=lambda *_: [])
    return Orders(database, accounts, no_waybills, SenderAddresses(database, Divisions()))


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database)


def _lines(audit: Audit, actor: Actor) -> list[tuple[str, str, str]]:
    return [(line.action, line.subject, line.reason) for line in audit.list(actor)]


def test_a_look_at_a_waybill_is_written_down(
    database: Database, people: People, audit: Audit, factory: Actor
):
    """R1: the parties in clear come with a line that says who, what, by which door and why."""
    with database.transaction() as connection:
        id = rows.add_waybill(connection, factory, RECIPIENT)
    owner = _role(factory, Role.OWNER)
    assert people.clear(owner, id, "买家来电  改地址").recipient == RECIPIENT
    (line,) = audit.list(owner)
    assert (line.action, line.subject, line.reason) == ("waybill.clear", f"waybill:{id}", "买家来电 改地址")
    assert (line.store_id, line.user_id, line.via) == (factory.store_id, "user-owner", "test")


def test_a_refused_look_shows_nothing_and_leaves_no_line(
    database: Database, people: People, audit: Audit, factory: Actor, merchant: Actor
):
    """D7: without the right, of another store, or of a merchant's order there is no look, and so no line."""
    with database.transaction() as connection:
        own = rows.add_waybill(connection, factory, RECIPIENT)
        merchants = rows.add_waybill(connection, factory, RECIPIENT, owner_id=merchant.store_id)
    for actor, id, fault in (
        (_role(factory, Role.CLERK), own, Forbidden),
        (_role(factory, Role.AUDITOR), own, Forbidden),
        (merchant, own, NotFound),
        (factory, merchants, Refused),
    ):
        with pytest.raises(fault):
            people.clear(actor, id)
    with pytest.raises(Invalid):
        people.clear(factory, own, "x" * 201)
    assert audit.list(factory) == [] and audit.list(merchant) == []


def test_no_line_no_look(database: Database, people: People, factory: Actor, monkeypatch: pytest.MonkeyPatch):
    """A look whose line can't be written isn't given."""
    with database.transaction() as connection:
        id = rows.add_waybill(connection, factory, RECIPIENT)

    def broken(*_args, **_more):
        raise OSError("disk")

    monkeypatch.setattr(Audit, "note", broken)
    with pytest.raises(OSError):
        people.clear(factory, id)


def test_orders_are_masked_until_looked_at(orders: Orders, audit: Audit, merchant: Actor):
    """R1: create, list and get show a merchant its own order masked; clear shows it, and says so in the trail."""
    new = NewOrder("A-1", RECIPIENT, (OrderLine("S", "青瓷杯", 1),), shown_sender=rows.SHOP)
    made = orders.create(merchant, new)
    for shown in (made, orders.get(merchant, made.id), orders.list(merchant)[0]):
        assert shown.recipient == RECIPIENT.masked() and not shown.clear
        assert shown.shown_sender == rows.SHOP.masked()
    assert audit.list(merchant) == []
    clear = orders.clear(merchant, made.id, "核对")
    assert clear.clear and clear.recipient == RECIPIENT and clear.shown_sender == rows.SHOP
    assert _lines(audit, merchant) == [("order.clear", f"order:{made.id}", "核对")]
    with pytest.raises(Forbidden):
        orders.clear(_role(merchant, Role.CLERK), made.id)


def test_a_preview_and_a_pdf_are_looks(jobs: PrintJobs, audit: Audit, factory: Actor):
    """R1, P6: looking at a label's picture and opening it as PDF are written down; a second, refused opening isn't."""
    browser = jobs._printers.browser(factory).name
    data = {"waybillCode": "73130000000001", "recipient": {"name": "张*"}}
    document = DocumentRequest("waybill-76x130", data)
    label = jobs.submit(factory, PrintRequest(browser, (document,), key="k")).labels[0]
    jobs.preview(factory, label.id)
    jobs.open_pdf(factory, label.id)
    with pytest.raises(Exception, match="opened before"):
        jobs.open_pdf(factory, label.id)
    assert _lines(audit, factory) == [
        ("label.open_pdf", f"label:{label.id}", ""),
        ("label.preview", f"label:{label.id}", ""),
    ]


def test_the_switch_of_the_labels_is_the_owners_and_written_down(
    database: Database, audit: Audit, factory: Actor, merchant: Actor
):
    """Labels are masked until a store's owner says otherwise; the change is in the trail, and is that store's alone."""
    preferences = Preferences(database)
    assert not preferences.get(merchant).clear_labels
    for role in set(Role) - {Role.OWNER}:
        with pytest.raises(Forbidden):
            preferences.set(_role(merchant, role), clear_labels=True)
    with pytest.raises(Invalid):
        preferences.set(merchant, clear_labels="yes")  # type: ignore[arg-type]
    owner = _role(merchant, Role.OWNER)
    assert preferences.set(owner, clear_labels=True).clear_labels
    assert preferences.get(merchant).clear_labels and not preferences.get(factory).clear_labels
    assert not preferences.set(owner, clear_labels=False).clear_labels
    assert [subject for _, subject, _ in _lines(audit, owner)] == ["labels:masked", "labels:clear"]


def test_the_trail_is_read_by_owner_and_auditor_of_its_store(
    database: Database, audit: Audit, factory: Actor, merchant: Actor
):
    """R1: owner and auditor read their own store's lines, newest first and page by page; nobody else does."""
    with database.transaction() as connection:
        for number in range(5):
            audit.note(connection, factory, "waybill.clear", f"waybill:{number}")
        audit.note(connection, merchant, "order.clear", "order:1")
    for role in Role:
        reader = _role(factory, role)
        if role in (Role.OWNER, Role.AUDITOR):
            first = audit.list(reader, limit=2)
            rest = audit.list(reader, after=first[-1].seq)
            assert [line.subject for line in first + rest] == [f"waybill:{n}" for n in (4, 3, 2, 1, 0)]
        else:
            assert Right.READ_AUDIT not in reader.rights
            with pytest.raises(Forbidden):
                audit.list(reader)
    with pytest.raises(Invalid):
        audit.list(factory, limit=0)


def test_a_reason_is_kept_sealed(database: Database, audit: Audit, factory: Actor):
    """People write names into reasons: the column holds none of it."""
    with database.transaction() as connection:
        audit.note(connection, factory, "waybill.clear", "waybill:1", "欧阳春晓 13812345678")
    with database.reading() as connection:
        stored = bytes(connection.execute(text("SELECT reason FROM audit_entries")).scalar_one())
    assert "欧阳".encode() not in stored and b"138" not in stored[:40]
    assert audit.list(factory)[0].reason == "欧阳春晓 13812345678"
