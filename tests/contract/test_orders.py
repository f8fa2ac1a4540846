"""Bindings, orders and their waybills, over the real mock carrier network: who sees what, who may issue, what a hold stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.networks import networks_of
from support.programs import MockCarrier, mock_carrier
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.dropship import Bindings, BindingState, NewOrder, Order, OrderLine, Orders, OrderState
from labelsvc.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from labelsvc.labels import StandardTemplates
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.printing import Printers, PrintJobs, Profiles
from labelsvc.security import RIGHTS, Accounts, Actor, Right, Role, StoreKind
from labelsvc.waybills import (
    Application,
    Divisions,
    Party,
    PlatformNetwork,
    Preferences,
    SenderAddresses,
    Subscriptions,
    Waybills,
)

SHOP = Party("云上小店", "13911112222", "浙江省", "杭州市", "余杭区", "仓前街道 9 号")
FACTORY = Party("青山工厂", "0571-88880000", "浙江省", "杭州市", "西湖区", "文三路 1 号")
RECIPIENT = Party(
    "欧阳春晓", "13812345678", "广东省", "广州市", "天河区", "天河北路 233 号 1204 室", "林和街道"
)
LINES = (OrderLine("SKU-1", "青瓷杯", 2, "300ml", 1250), OrderLine("SKU-2", "茶盘", 1))


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network")) as running:
        yield running


@dataclass
class House:
    """The rooms under test."""

    addresses: SenderAddresses
    waybills: Waybills
    jobs: PrintJobs
    bindings: Bindings
    orders: Orders
    database: Database


@pytest.fixture
def house(
    tmp_path: Path, database: Database, accounts: Accounts, mock: MockCarrier, merchant: Actor, factory: Actor
) -> House:
    network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=5)
    printers = Printers(database, Profiles())
    jobs = PrintJobs(database, printers, StandardTemplates())
    addresses = SenderAddresses(database, Divisions())
    subscriptions = Subscriptions(database, networks_of(database, network))
    waybills = Waybills(database, networks_of(database, network), jobs, printers, Divisions(), timeout_s=5)
    for actor, party in ((merchant, SHOP), (factory, FACTORY)):
        address = addresses.create(actor, party)
        subscriptions.connect(actor, f"shop-{actor.store_id}")
        point = subscriptions.network_points(actor, "ZTO", address.id)[0]
        subscriptions.apply(
            actor, Application("ZTO", address.id, point.code, "王经理", "13900001111", "1", True)
        )
    return House(
        addresses,
        waybills,
        jobs,
        Bindings(database, accounts),
        Orders(database, accounts, waybills, addresses),
        database,
    )


def bind(house: House, merchant: Actor, factory: Actor) -> None:
    """Bind the two."""
    house.bindings.accept(factory, house.bindings.propose(merchant, factory.store_id).id)


def assigned(house: House, merchant: Actor, factory: Actor, number: str = "A-1") -> Order:
    """An order that the merchant assigned to the factory, as the merchant sees it."""
    bind(house, merchant, factory)
    made = house.orders.create(merchant, NewOrder(number, RECIPIENT, LINES))
    return house.orders.assign(merchant, [made.id], factory.store_id)[0]


def test_binding(house: House, merchant: Actor, factory: Actor):
    """D2: a merchant proposes by store ID, the factory accepts; both list it; nothing is proposed twice."""
    proposed = house.bindings.propose(merchant, factory.store_id)
    assert proposed.state is BindingState.PROPOSED
    with pytest.raises(Conflict):
        house.bindings.propose(merchant, factory.store_id)
    with pytest.raises(NotFound):
        house.bindings.accept(merchant, proposed.id)
    accepted = house.bindings.accept(factory, proposed.id)
    assert accepted.state is BindingState.ACCEPTED
    assert house.bindings.accept(factory, proposed.id) == accepted
    with pytest.raises(Conflict):
        house.bindings.decline(factory, proposed.id)
    assert house.bindings.list(merchant) == house.bindings.list(factory) == [accepted]


def test_declined_can_be_proposed_again(house: House, merchant: Actor, factory: Actor):
    """D2: a declined proposal stands in nobody's way."""
    first = house.bindings.propose(merchant, factory.store_id)
    assert house.bindings.decline(factory, first.id).state is BindingState.DECLINED
    assert house.bindings.propose(merchant, factory.store_id).state is BindingState.PROPOSED


def test_wrong_factory_gives_no_hint(house: House, accounts: Accounts, merchant: Actor, factory: Actor):
    """D2: an unknown ID, a store's name and a store that is no factory get one and the same answer."""
    other = accounts.create_store("another merchant", StoreKind.MERCHANT)
    answers = set()
    for id in ("nope", "", "青山工厂", other.id, merchant.store_id):
        with pytest.raises(Refused) as caught:
            house.bindings.propose(merchant, id)
        answers.add((caught.value.code, str(caught.value), str(caught.value.facts)))
    assert len(answers) == 1
    with pytest.raises(Refused):
        house.bindings.propose(factory, factory.store_id)


def test_create_twice(house: House, merchant: Actor, factory: Actor):
    """D3: the same order twice changes nothing; the number with other content is a conflict; orders are a merchant's."""
    new = NewOrder("A-1", RECIPIENT, LINES, note="礼物")
    made = house.orders.create(merchant, new)
    assert house.orders.create(merchant, new) == made
    with pytest.raises(Conflict) as caught:
        house.orders.create(merchant, replace(new, note="急"))
    assert caught.value.code == "order.differs"
    assert house.orders.list(merchant) == [made]
    assert house.orders.get(merchant, "A-1") == made
    assert (made.lines, made.note, made.state) == (LINES, "礼物", OrderState.UNASSIGNED)
    with pytest.raises(Refused):
        house.orders.create(factory, new)


def test_shown_sender(house: House, merchant: Actor):
    """P3: without a sender of its own an order shows the store's default address."""

    def sender_of(new: NewOrder) -> Party:
        return house.orders.clear(merchant, house.orders.create(merchant, new).id).shown_sender

    assert sender_of(NewOrder("A-1", RECIPIENT, LINES)) == SHOP
    own = replace(SHOP, name="别的名字")
    assert sender_of(NewOrder("A-2", RECIPIENT, LINES, own)) == own


@pytest.mark.usefixtures("sqlite_database")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"number": ""}, "number"),
        ({"number": "x" * 65}, "number"),
        ({"number": "a\nb"}, "number"),
        ({"lines": ()}, "lines"),
        ({"lines": (OrderLine("s", "", 1),)}, "lines[0].name"),
        ({"lines": (OrderLine("s", "n", 0),)}, "lines[0].quantity"),
        ({"lines": (OrderLine("s", "n", True),)}, "lines[0].quantity"),
        ({"lines": (OrderLine("s", "n", 1, "", 1.5),)}, "lines[0].price_fen"),
        ({"recipient": replace(RECIPIENT, phone="x")}, "recipient.phone"),
        ({"shown_sender": replace(SHOP, name="")}, "shown_sender.name"),
        ({"note": "x" * 201}, "note"),
    ],
)
def test_wrong_fields(house: House, merchant: Actor, changes, field):
    """D3: a wrong field of an order is named, and nothing is stored."""
    with pytest.raises(Invalid) as caught:
        house.orders.create(merchant, replace(NewOrder("A-1", RECIPIENT, LINES), **changes))
    assert [error.field for error in caught.value.errors] == [field]
    assert house.orders.list(merchant) == []


def test_assign(house: House, merchant: Actor, factory: Actor):
    """D4: an order is assigned to a bound factory only, and to one at a time; all are assigned or none."""
    one, two = (house.orders.create(merchant, NewOrder(f"A-{n}", RECIPIENT, LINES)) for n in (1, 2))
    with pytest.raises(Refused) as caught:
        house.orders.assign(merchant, [one.id], factory.store_id)
    assert caught.value.code == "binding.none"
    bind(house, merchant, factory)
    with pytest.raises(NotFound):
        house.orders.assign(merchant, [one.id, "nope"], factory.store_id)
    assert house.orders.list(merchant, state="assigned") == []
    assert {o.state for o in house.orders.assign(merchant, [one.id, two.id], factory.store_id)} == {
        "assigned"
    }
    assert house.orders.assign(merchant, [one.id], factory.store_id)[0].factory_id == factory.store_id


def test_factory_sees_masked(house: House, merchant: Actor, factory: Actor):
    """D7: the factory sees goods and masked parties, whatever its rights; other stores and unassigned orders aren't there."""
    order = assigned(house, merchant, factory)
    house.orders.create(merchant, NewOrder("A-2", RECIPIENT, LINES))
    seen = house.orders.list(factory)
    assert [o.id for o in seen] == [order.id]
    for shown in (seen[0], house.orders.get(factory, order.id)):
        assert (shown.recipient, shown.clear) == (RECIPIENT.masked(), False)
        assert shown.lines == LINES
        assert RECIPIENT.name not in repr(shown) and RECIPIENT.detail not in repr(shown)
    with pytest.raises(NotFound):
        house.orders.get(factory, "A-1")  # a merchant's order number says nothing at a factory


def test_merchant_sees_by_right(house: House, merchant: Actor):
    """R1, D7: the merchant sees its order masked, and in clear only by asking for it with the right."""
    made = house.orders.create(merchant, NewOrder("A-1", RECIPIENT, LINES))
    assert (made.recipient, made.clear) == (RECIPIENT.masked(), False)
    shown = house.orders.clear(merchant, made.id)
    assert (shown.recipient, shown.clear) == (RECIPIENT, True)
    clerk = replace(merchant, rights=merchant.rights - {Right.SEE_CLEAR_DATA})
    with pytest.raises(Forbidden):
        house.orders.clear(clerk, made.id)
    finance = replace(merchant, rights=RIGHTS[Role.FINANCE])
    with pytest.raises(Forbidden):
        house.orders.create(finance, NewOrder("A-2", RECIPIENT, LINES))


def test_factory_issues(house: House, mock: MockCarrier, merchant: Actor, factory: Actor):
    """E0, P3, W10: the factory's subscription pays, the label shows the merchant's sender, the merchant can't issue too."""
    order = assigned(house, merchant, factory)
    with pytest.raises(Forbidden):
        house.orders.issue_waybill(merchant, order.id, "ZTO", "k0")
    waybill = house.orders.issue_waybill(factory, order.id, "ZTO", "k1")
    assert waybill.store_id == factory.store_id
    assert waybill.recipient == RECIPIENT.masked()
    assert house.orders.issue_waybill(factory, order.id, "ZTO", "k2") == waybill
    assert mock.live("A-1")[-1] == waybill.number
    assert house.orders.waybill_of(factory, order.id) == waybill
    assert house.orders.get(factory, order.id).waybill_id == waybill.id
    assert house.orders.waybill_of(merchant, order.id) is None
    with pytest.raises(Refused):
        house.waybills.clear(factory, waybill.id)
    pypdfium2 = pytest.importorskip("pypdfium2")
    _, label = house.waybills.open_pdf(factory, waybill.id, "p1")
    page = pypdfium2.PdfDocument(house.jobs.open_pdf(factory, label.id))[0]
    text = page.get_textpage().get_text_bounded()
    masked = RECIPIENT.masked_for_label()
    assert SHOP.name in text and SHOP.phone in text and masked.name in text and masked.phone in text
    assert RECIPIENT.name not in text and RECIPIENT.phone not in text and "1204" not in text
    assert FACTORY.phone not in text and FACTORY.name not in text
    assert "青瓷杯 300ml" in text


def test_the_merchant_decides_what_its_labels_show(house: House, merchant: Actor, factory: Actor):
    """The merchant's switch, not the factory's, puts the recipient in clear on the label that the factory prints."""
    order = assigned(house, merchant, factory)
    pypdfium2 = pytest.importorskip("pypdfium2")
    preferences = Preferences(house.database)
    preferences.set(merchant, clear_labels=True)
    preferences.set(factory, clear_labels=False)
    waybill = house.orders.issue_waybill(factory, order.id, "ZTO", "k1")
    _, label = house.waybills.open_pdf(factory, waybill.id, "p1")
    page = pypdfium2.PdfDocument(house.jobs.open_pdf(factory, label.id))[0]
    text = page.get_textpage().get_text_bounded()
    assert RECIPIENT.name in text and RECIPIENT.phone in text and "1204" in text


def test_assigned_after_waybill(house: House, merchant: Actor, factory: Actor):
    """D4: an order that has a waybill isn't given away; after its cancellation it is."""
    bind(house, merchant, factory)
    made = house.orders.create(merchant, NewOrder("A-1", RECIPIENT, LINES))
    waybill = house.orders.issue_waybill(merchant, made.id, "ZTO", "k1")
    with pytest.raises(Conflict) as caught:
        house.orders.assign(merchant, [made.id], factory.store_id)
    assert caught.value.code == "order.has_waybill"
    house.waybills.cancel(merchant, waybill.id)
    assert house.orders.assign(merchant, [made.id], factory.store_id)[0].state is OrderState.ASSIGNED


def test_hold(house: House, merchant: Actor, factory: Actor):
    """P10, D11: a held order gets no waybill; its queued label, at the factory, doesn't come out; a release lets it go on."""
    order = assigned(house, merchant, factory)
    house.orders.hold(merchant, order.id, "after-sale case")
    with pytest.raises(Refused) as caught:
        house.orders.issue_waybill(factory, order.id, "ZTO", "k1")
    assert caught.value.code == "order.held"
    house.orders.release(merchant, order.id)
    waybill = house.orders.issue_waybill(factory, order.id, "ZTO", "k1")
    _, label = house.waybills.open_pdf(factory, waybill.id, "p1")
    assert house.orders.hold(merchant, order.id, "after-sale case").held_reason == "after-sale case"
    with pytest.raises(Refused):
        house.jobs.open_pdf(factory, label.id)
    assert house.jobs.label(factory, label.id).state == "cancelled"
    house.orders.release(merchant, order.id)
    _, label = house.waybills.open_pdf(factory, waybill.id, "p2")
    assert house.jobs.open_pdf(factory, label.id)
    with pytest.raises(NotFound):
        house.orders.hold(factory, order.id, "no business of ours")


@pytest.mark.parametrize("moment", ["before it is filed", "while the carrier is asked"])
def test_held_meanwhile(house: House, merchant: Actor, monkeypatch: pytest.MonkeyPatch, moment: str):
    """P10: a hold that comes while a waybill is being issued holds the waybill that comes of it."""
    made = house.orders.create(merchant, NewOrder("A-1", RECIPIENT, LINES))
    room, verb = (house.waybills, "issue") if moment == "before it is filed" else (PlatformNetwork, "get")
    real = getattr(room, verb)

    def held_first(*given):
        house.orders.hold(merchant, made.id, "address changed")
        return real(*given)

    monkeypatch.setattr(room, verb, held_first)
    waybill = house.orders.issue_waybill(merchant, made.id, "ZTO", "k1")
    with pytest.raises(Refused) as caught:
        house.waybills.print(merchant, waybill.id, "browser", "p1")
    assert caught.value.code == "waybill.held"


def test_held_order_is_not_assigned(house: House, merchant: Actor, factory: Actor):
    """D5: a held order isn't assigned."""
    bind(house, merchant, factory)
    made = house.orders.create(merchant, NewOrder("A-1", RECIPIENT, LINES))
    house.orders.hold(merchant, made.id, "under review")
    with pytest.raises(Refused):
        house.orders.assign(merchant, [made.id], factory.store_id)


def test_list_pages(house: House, merchant: Actor):
    """Orders are listed newest first, page by page."""
    made = [house.orders.create(merchant, NewOrder(f"A-{n}", RECIPIENT, LINES)).id for n in range(5)][::-1]
    page = house.orders.list(merchant, limit=2)
    assert [o.id for o in page] == made[:2]
    assert [o.id for o in house.orders.list(merchant, after=page[-1].id)] == made[2:]
    for wrong in ({"limit": 0}, {"limit": 1000}, {"state": "nope"}):
        with pytest.raises(Invalid):
            house.orders.list(merchant, **wrong)


def test_sealed(house: House, merchant: Actor):
    """An order's parties and note don't stand readable in the database files."""
    house.orders.create(merchant, NewOrder("A-1", RECIPIENT, LINES, note="送给老王"))
    content = stored_bytes(house.database)
    for secret in (RECIPIENT.name, RECIPIENT.phone, RECIPIENT.detail, SHOP.phone, "老王"):
        assert secret.encode() not in content
    assert b"A-1" in content
