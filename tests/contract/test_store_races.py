"""Requests that change the same things at once end in the room's own words, never in the database's."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from support.house import until_somebody_waits
from support.networks import networks_of

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, LimitReached, NotFound
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor
from labelsvc.waybills import (
    Application,
    Divisions,
    NumberPool,
    Party,
    PlatformNetwork,
    PoolNumber,
    SenderAddresses,
    Subscriptions,
    subscription_store,
)

PARTY = Party("周掌柜", "13911112222", "浙江省", "杭州市", "西湖区", "文三路 1 号")
DIVISIONS = Divisions()


@pytest.fixture
def addresses(database: Database) -> SenderAddresses:
    return SenderAddresses(database, DIVISIONS)


@pytest.mark.parametrize("anew", [True, False], ids=["new", "overwritten"])
def test_a_draft_for_an_address_that_is_being_deleted(
    database: Database, addresses: SenderAddresses, factory: Actor, anew: bool
):
    """E7: a draft that names an address while it is deleted is refused as for one that never was."""
    network = PlatformNetwork("http://127.0.0.1:9/", CLIENT_ID, CLIENT_SECRET, timeout_s=1)
    room = Subscriptions(database, networks_of(database, network))
    empty = Application("", "", "", "", "", "", False)
    draft_id = None if anew else room.save_draft(factory, empty).id
    address = addresses.create(factory, PARTY)
    with ThreadPoolExecutor(1) as threads:
        with database.transaction() as connection:
            subscription_store.delete_address(connection, address.id)
            saving = threads.submit(room.save_draft, factory, replace(empty, address_id=address.id), draft_id)
            until_somebody_waits(database, saving)
        with pytest.raises(Invalid) as refused:
            saving.result(30)
    assert refused.value.errors[0].field == "address_id"


def test_addresses_changed_by_many_at_once(addresses: SenderAddresses, factory: Actor):
    """E4: created, made default and deleted by eight at once: each is told yes or why not, and one default is left."""
    first = [addresses.create(factory, replace(PARTY, detail=f"文三路 {number} 号")) for number in range(6)]
    start = threading.Barrier(8)

    def clerk(seed: int) -> Counter[str]:
        dice, told = random.Random(seed), Counter[str]()
        start.wait()
        for turn in range(8):
            which = dice.choice(first).id
            made = replace(PARTY, detail=f"{seed} {turn} 号")
            acts: tuple[Callable[[], object], ...] = (
                partial(addresses.create, factory, made, default=True),
                partial(addresses.make_default, factory, which),
                partial(addresses.delete, factory, which),
            )
            try:
                dice.choice(acts)()
                told["done"] += 1
            except (NotFound, LimitReached) as refusal:
                told[refusal.code] += 1
        return told

    with ThreadPoolExecutor(8) as threads:
        told = sum(threads.map(clerk, range(8)), Counter())
    assert told["done"] > 8
    left = addresses.list(factory)
    assert sum(address.is_default for address in left) == min(1, len(left))


def test_a_file_of_numbers_imported_twice_at_once(database: Database, factory: Actor):
    """E0: of imports of the same numbers at once, in whatever order, one adds them and the others name them as known."""
    numbers = [PoolNumber(str(78_120_000_000_000 + number)) for number in range(1200)]
    start = threading.Barrier(4)

    def add(at: int) -> str:
        start.wait()
        mine = numbers if at % 2 else numbers[::-1]
        try:
            done = NumberPool(database).add(factory.store_id, "ZTO", f"B{at}", "西湖网点", mine)
        except Invalid as refusal:
            return refusal.code
        return f"added {done.added}"

    with ThreadPoolExecutor(4) as threads:
        assert Counter(threads.map(add, range(4))) == {"added 1200": 1, "numbers.file": 3}


def test_an_address_made_default_while_the_default_is_deleted(
    database: Database, addresses: SenderAddresses, factory: Actor
):
    """E4: neither waits for the other for ever, and the one that was chosen is the default."""
    for number in range(5):
        old, new = (
            addresses.create(factory, replace(PARTY, detail=f"{name} {number}")) for name in ("旧", "新")
        )
        addresses.make_default(factory, old.id)
        with ThreadPoolExecutor(2) as threads:
            start = threading.Barrier(2)

            def at_once(act: Callable[[Actor, str], object], id: str) -> None:
                start.wait()  # noqa: B023
                try:
                    act(factory, id)
                except Conflict as conflict:
                    raise AssertionError(f"refused: {conflict.code}") from conflict

            list(threads.map(at_once, (addresses.make_default, addresses.delete), (new.id, old.id)))
        left = addresses.list(factory)
        assert [address.id for address in left if address.is_default] == [new.id]
        for address in left:
            addresses.delete(factory, address.id)
