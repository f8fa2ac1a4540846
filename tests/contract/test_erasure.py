"""Erasure after a set time: the people go, the record of what was shipped and printed stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text, update
from support import rows

from labelsvc import daemon  # also: every table there is
from labelsvc.daemon import Erasure
from labelsvc.db import Database, metadata
from labelsvc.dropship import NewOrder, OrderLine, Orders
from labelsvc.errors import Conflict, Gone
from labelsvc.labels import StandardTemplates
from labelsvc.printing import DocumentRequest, LabelState, Printers, PrintJobs, PrintRequest, Profiles
from labelsvc.security import Accounts, Actor, Audit
from labelsvc.waybills import Batches, Divisions, SenderAddresses
from labelsvc.waybills import store as waybill_rows
from labelsvc.waybills.people import People
from labelsvc.waybills.register import Register

RECIPIENT = rows.party()
OLD = timedelta(days=200)
BEFORE = timedelta(days=180)


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


def _before() -> datetime:
    return datetime.now(UTC) - BEFORE


def _age(database: Database, table: str) -> None:
    """Make every row of a table old."""
    with database.transaction() as connection:
        connection.execute(update(metadata.tables[table]).values(created_at=datetime.now(UTC) - OLD))


def _opened(database: Database, table: str) -> str:
    """All that a table holds, opened: what somebody with the keys could read."""
    with database.reading() as connection:
        return str(connection.execute(select(metadata.tables[table])).all())


def test_an_old_waybill_keeps_its_record_and_loses_its_people(
    database: Database, people: People, factory: Actor
):
    """Number, carrier, state, times, orders and division stay; names, phones, addresses, goods, note and data go."""
    with database.transaction() as connection:
        old = rows.add_waybill(
            connection,
            factory,
            RECIPIENT,
            state="printed",
            age=OLD,
            print_data={"recipient": RECIPIENT.as_dict()},
            answer={"to": RECIPIENT.name},
        )
        young = rows.add_waybill(connection, factory, rows.party("李雷", "13900000000"))
        before = waybill_rows.filed(connection, old).waybill
    assert people.erase(_before()) == 1
    assert people.erase(_before()) == 0
    with database.reading() as connection:
        filed = waybill_rows.filed(connection, old)
        kept = waybill_rows.filed(connection, young).waybill
    after = filed.waybill
    for field in ("number", "carrier", "state", "orders", "package", "created_at", "store_id", "owner_id"):
        assert getattr(after, field) == getattr(before, field), field
    assert after.erased_at is not None and kept.erased_at is None
    assert after.recipient.division == RECIPIENT.division
    assert kept.recipient.name == "李雷"
    opened = repr(filed)
    for gone in (
        RECIPIENT.name,
        RECIPIENT.phone,
        RECIPIENT.detail,
        RECIPIENT.town,
        rows.SHOP.phone,
        "青瓷杯",
        "轻放",
    ):
        assert gone in repr(before) and gone not in opened, gone
    assert filed.print_data is None
    assert people.find_person(factory, phone=RECIPIENT.phone) == []
    assert [found.id for found in people.find_person(factory, name="李雷")] == [young]
    with pytest.raises(Gone) as fault:
        people.clear(factory, old)
    assert fault.value.code == "waybill.erased"
    assert people.clear(factory, young).recipient.name == "李雷"


def test_what_is_still_being_asked_keeps_its_request(database: Database, people: People, factory: Actor):
    """W2: a waybill whose outcome is open is not erased, however old: the identical request may be needed."""
    with database.transaction() as connection:
        for state in ("requested", "unknown", "refused", "cancelled"):
            rows.add_waybill(connection, factory, RECIPIENT, state=state, age=OLD)
    assert people.erase(_before()) == 2
    with database.reading() as connection:
        left = connection.execute(text("SELECT state FROM waybills WHERE erased_at IS NULL")).scalars().all()
    assert sorted(left) == ["requested", "unknown"]


def test_batches_are_small_and_each_is_in_the_trail(
    database: Database, people: People, factory: Actor, merchant: Actor
):
    """A round erases at most its limit, oldest first, and writes a line for each owner."""
    with database.transaction() as connection:
        for number in range(5):
            owner = merchant if number == 0 else factory
            age = OLD + timedelta(days=9 - number)
            rows.add_waybill(connection, factory, RECIPIENT, owner_id=owner.store_id, age=age)
    assert [people.erase(_before(), limit=3) for _ in range(3)] == [3, 2, 0]
    audit = Audit(database)
    assert [(line.user_id, line.action, line.subject) for line in audit.list(factory)] == [
        ("erasure", "waybill.erase", "2 waybills"),
        ("erasure", "waybill.erase", "2 waybills"),
    ]
    assert [line.subject for line in audit.list(merchant)] == ["1 waybills"]


def test_an_old_order_loses_its_people(database: Database, orders: Orders, merchant: Actor):
    """Number, goods and division stay; clear and a new waybill answer ``order.erased``; the same order again is none (D3)."""
    lines = (OrderLine("S", "青瓷杯", 1),)
    new = NewOrder("A-1", RECIPIENT, lines, shown_sender=rows.SHOP, note="轻放")
    made = orders.create(merchant, new)
    _age(database, "orders")
    assert orders.erase(_before()) == 1 and orders.erase(_before()) == 0
    after = orders.get(merchant, "A-1")
    assert after.erased_at is not None and after.lines == lines and after.note == ""
    assert after.recipient.division == RECIPIENT.division
    opened = _opened(database, "orders")
    assert not any(
        gone in opened for gone in (RECIPIENT.name, RECIPIENT.phone, RECIPIENT.detail, rows.SHOP.phone)
    )
    assert orders.find_person(merchant, phone=RECIPIENT.phone) == []
    with pytest.raises(Gone) as fault:
        orders.clear(merchant, made.id)
    assert fault.value.code == "order.erased"
    with pytest.raises(Gone):
        orders.issue_waybill(merchant, made.id, "ZTO", "key")
    assert orders.create(merchant, new).id == made.id
    with pytest.raises(Conflict):
        orders.create(merchant, NewOrder("A-1", RECIPIENT, (OrderLine("S", "青瓷杯", 2),), rows.SHOP))


def test_printing_forgets_what_it_printed_not_that_it_did(
    database: Database, jobs: PrintJobs, factory: Actor
):
    """Document and bytes go; job, label, state and history stay; a waiting label is cancelled; looking answers Gone."""
    browser = jobs._printers.browser(factory).name
    data = {"waybillCode": "73130000000001", "recipient": {"name": RECIPIENT.name}}
    document = DocumentRequest("waybill-76x130", data, subject="waybill:1", title="73130000000001")
    done = jobs.submit(factory, PrintRequest(browser, (document,), key="done")).labels[0]
    waits = jobs.submit(factory, PrintRequest(browser, (document,), key="waits")).labels[0]
    jobs.open_pdf(factory, done.id)
    assert RECIPIENT.name in _opened(database, "documents")
    _age(database, "print_jobs")
    assert jobs.erase(_before()) == 2 and jobs.erase(_before()) == 0
    assert RECIPIENT.name not in _opened(database, "documents")
    with database.reading() as connection:
        assert connection.execute(select(metadata.tables["labels"].c.bytes)).scalars().all() == [None, None]
    assert jobs.label(factory, done.id).state is LabelState.SENT
    assert jobs.label(factory, waits.id).state is LabelState.CANCELLED
    assert [change.after for change in jobs.history(factory, done.job_id)] == ["queued", "sending", "sent"]
    for look in (
        lambda: jobs.preview(factory, done.id),
        lambda: jobs.reprint(factory, done.id, "again", "reprint"),
    ):
        with pytest.raises(Gone) as fault:
            look()
        assert fault.value.code == "label.erased"


def test_the_rounds_erase_by_the_setting(
    database: Database, people: People, orders: Orders, jobs: PrintJobs, factory: Actor, monkeypatch
):
    """The daemon's duty goes by erase_after_days; 0 keeps everything."""
    with database.transaction() as connection:
        rows.add_waybill(connection, factory, RECIPIENT, age=OLD)
    kept = {"print_jobs": jobs, "orders": orders, "waybills": people}
    assert Erasure(database, 0, **kept).round() == 0
    assert Erasure(database, 365, **kept).round() == 0
    assert Erasure(database, 180, **kept).round() == 1
    erasure = Erasure(database, 180, **kept)
    assert erasure.round() == 0
    with database.transaction() as connection:
        rows.add_waybill(connection, factory, RECIPIENT, age=OLD)
    assert erasure.round() == 0, "where nothing was due it rests a minute"
    now = daemon.elapsed()
    monkeypatch.setattr(daemon, "elapsed", lambda: now + 61)
    assert erasure.round() == 1


def test_what_is_due_is_told_beforehand(
    database: Database, people: People, orders: Orders, jobs: PrintJobs, factory: Actor, merchant: Actor
):
    """A dry run counts what the rounds would erase, of each kind, over batches, and changes no row."""
    batches = Batches(database, None)  # type: ignore[arg-type]
    with database.transaction() as connection:
        for state in ("issued", "cancelled", "unknown"):
            rows.add_waybill(connection, factory, RECIPIENT, state=state, age=OLD)
        for state in ("open", "done"):
            rows.add(connection, metadata.tables["waybill_batches"], store_id=factory.store_id, state=state)
    browser = jobs._printers.browser(factory).name
    document = DocumentRequest("waybill-76x130", {"waybillCode": "1"}, subject="waybill:1", title="1")
    jobs.submit(factory, PrintRequest(browser, (document,), key="one"))
    for number in range(101):  # more than a round's worth
        orders.create(merchant, NewOrder(f"D-{number}", RECIPIENT, (OrderLine("S", "杯", 1),), rows.SHOP))
    for table in ("print_jobs", "orders", "waybill_batches"):
        _age(database, table)
    orders.create(merchant, NewOrder("young", RECIPIENT, (OrderLine("S", "杯", 1),), rows.SHOP))
    erasure = Erasure(database, 180, waybills=people, orders=orders, print_jobs=jobs, batches=batches)
    due = {"waybills": 2, "orders": 101, "print_jobs": 1, "batches": 1}
    everything = [_opened(database, table.name) for table in metadata.sorted_tables]
    assert erasure.due() == due == erasure.due()
    assert [_opened(database, table.name) for table in metadata.sorted_tables] == everything
    assert Erasure(database, 0, waybills=people, orders=orders).due() == {"waybills": 0, "orders": 0}
    erased = 0
    while found := erasure.round():
        erased += found
    assert erased == sum(due.values()) and set(erasure.due().values()) == {0}
