"""The life of an application at the real mock carrier network: drafts, review, correction, suspension, tokens, offline."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.networks import networks_of
from support.programs import MockCarrier, call, mock_carrier
from support.stored import stored_bytes

from labelsvc.db import Database
from labelsvc.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unavailable
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import RIGHTS, Actor, Role
from labelsvc.waybills import (
    Application,
    Divisions,
    Obstacle,
    Party,
    PlatformNetwork,
    PoolNumber,
    SenderAddresses,
    Subscriptions,
    SubscriptionState,
)

PARTY = Party("周掌柜", "13911112222", "浙江省", "杭州市", "西湖区", "文三路 1 号")
DIVISIONS = Divisions()
EMPTY = Application("", "", "", "", "", "", False)
CALM = {
    "review": "at_once",
    "review_delay_ms": 0,
    "tokens": "open",
    "token_lifetime_s": 86_400,
    "latency_ms": 0,
}


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network")) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(mock: MockCarrier) -> Iterator[None]:
    yield
    mock.control(drop_answers=0, fail_next=0, error=0, only="", **CALM)


class House:
    """The rooms under test, for one store."""

    def __init__(self, database: Database, mock: MockCarrier, actor: Actor, setting: str = "address") -> None:
        self.database, self.mock, self.actor = database, mock, actor
        self.network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=3)
        self.addresses = SenderAddresses(database, DIVISIONS)
        self.subscriptions = self.room(setting)
        self.subscriptions.connect(actor, f"shop-{actor.store_id}")

    def room(self, setting: str = "address", **options) -> Subscriptions:
        """Subscriptions that look at what is due without a rest."""
        options = {"timeout_s": 3, "review_every_s": 0, "look_every_s": 0, **options}
        made = Subscriptions(self.database, networks_of(self.database, self.network), setting, **options)
        self.network.renew_with(made.refresh_token)
        return made

    def application(self, carrier: str = "ZTO", address_id: str | None = None, **changes) -> Application:
        """A whole application; without an address a new one."""
        if address_id is None:
            number = len(self.addresses.list(self.actor)) + 1
            address_id = self.addresses.create(self.actor, replace(PARTY, detail=f"文三路 {number} 号")).id
        point = self.subscriptions.network_points(self.actor, carrier, address_id)[0]
        whole = Application(carrier, address_id, point.code, "王经理", "0571-88889999", "2026-01", True)
        return replace(whole, **changes)

    def decide(self, id: str, decision: str, reason: str = "") -> None:
        """What the carrier's reviewer does on the network's own page."""
        application_id = self.subscriptions.get(self.actor, id).network_application_id
        call(
            f"{self.mock.base}/review",
            {"application_id": application_id, "decision": decision, "reason": reason},
        )

    def states(self, id: str) -> list[str]:
        """The states of its history."""
        return [event.after for event in self.subscriptions.history(self.actor, id)]


@pytest.fixture(params=["merchant", "factory"])
def house(request: pytest.FixtureRequest, database: Database, mock: MockCarrier) -> House:
    """E0: all this holds for a merchant and for a factory."""
    return House(database, mock, request.getfixturevalue(request.param))


@pytest.fixture
def shop(database: Database, mock: MockCarrier, merchant: Actor) -> House:
    return House(database, mock, merchant)


def test_draft_to_open(house: House):
    """E0, E1, E2: a draft lacks what it lacks, occupies nothing, and records at its submission who agreed to what and when."""
    room, actor = house.subscriptions, house.actor
    draft = room.save_draft(actor, EMPTY)
    assert (draft.state, draft.kind, draft.agreed_at, draft.agreed_by) == ("draft", None, None, "")
    with pytest.raises(Invalid) as caught:
        room.submit(actor, draft.id)
    assert len(caught.value.errors) == 7
    whole = house.application()
    filled = room.save_draft(actor, whole, draft.id)
    assert (filled.id, filled.branch_code, filled.contact_name) == (draft.id, whole.branch_code, "王经理")
    assert not house.addresses.get(actor, whole.address_id).in_use
    before = house.database.now()
    opened = room.submit(actor, draft.id)
    assert (opened.id, opened.state) == (draft.id, SubscriptionState.OPEN)
    assert (opened.agreement_version, opened.agreed_by) == ("2026-01", actor.user_id)
    assert before <= opened.agreed_at <= house.database.now()
    assert house.states(draft.id) == ["draft", "under_review", "open"]
    for verb in (
        lambda: room.submit(actor, draft.id),
        lambda: room.save_draft(actor, whole, draft.id),
        lambda: room.correct(actor, draft.id, whole),
        lambda: room.withdraw(actor, draft.id),
    ):
        with pytest.raises(Conflict) as conflict:
            verb()
        assert conflict.value.code == "subscription.state"


def test_draft_not_accepted(shop: House):
    """E2: a draft whose agreement nobody accepted isn't submitted; a draft is the store's own."""
    draft = shop.subscriptions.save_draft(shop.actor, shop.application(accepted=False))
    with pytest.raises(Invalid) as caught:
        shop.subscriptions.submit(shop.actor, draft.id)
    assert [error.field for error in caught.value.errors] == ["accepted"]
    with pytest.raises(Invalid) as caught:
        shop.subscriptions.save_draft(shop.actor, replace(EMPTY, address_id="nope"))
    assert caught.value.errors[0].field == "address_id"
    with pytest.raises(NotFound):
        shop.subscriptions.save_draft(shop.actor, EMPTY, "nope")
    assert shop.subscriptions.withdraw(shop.actor, draft.id).state is SubscriptionState.CLOSED


def test_draft_submitted_in_a_race(shop: House):
    """E1, E5: of eight submissions of one draft at once exactly one counts."""
    draft = shop.subscriptions.save_draft(shop.actor, shop.application())

    def submit(_: int) -> str:
        try:
            return shop.subscriptions.submit(shop.actor, draft.id).state
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(submit, range(8)))
    assert outcomes.count("open") == 1
    assert set(outcomes) <= {"open", "address.occupied", "subscription.state"}
    assert shop.states(draft.id) == ["draft", "under_review", "open"]


def test_review_by_hand(house: House):
    """E1, E5, E10: under review it keeps its address, and is open once the carrier says so; the history says who did it."""
    house.mock.control(review="by_hand")
    room, actor = house.subscriptions, house.actor
    application = house.application()
    waiting = room.apply(actor, application)
    assert waiting.state is SubscriptionState.UNDER_REVIEW
    assert room.settle() == 0
    with pytest.raises(Conflict):
        room.apply(actor, application)
    house.decide(waiting.id, "approve")
    assert room.settle() == 1
    opened = room.get(actor, waiting.id)
    assert opened.state is SubscriptionState.OPEN
    assert [(event.actor, event.before, event.after) for event in room.history(actor, waiting.id)] == [
        (actor.user_id, "", "under_review"),
        ("carrier", "under_review", "open"),
    ]


def test_review_after_a_delay(shop: House):
    """E1: an application that the carrier reviews for a while opens by itself."""
    shop.mock.control(review="delay", review_delay_ms=1)
    waiting = shop.subscriptions.apply(shop.actor, shop.application())
    for _ in range(1000):
        shop.subscriptions.settle()
        if shop.subscriptions.get(shop.actor, waiting.id).state is SubscriptionState.OPEN:
            break
    assert shop.states(waiting.id) == ["under_review", "open"]


def test_rejected_and_corrected(house: House, caplog: pytest.LogCaptureFixture):
    """E1, E5, E10: a rejection says why, frees the address, is corrected and submitted anew, and keeps one history."""
    caplog.set_level(logging.DEBUG)
    house.mock.control(review="by_hand")
    room, actor = house.subscriptions, house.actor
    application = house.application()
    filed = room.apply(actor, application)
    house.decide(filed.id, "reject", "营业执照不清晰")
    assert room.settle() == 1
    rejected = room.get(actor, filed.id)
    assert (rejected.state, rejected.reason) == (SubscriptionState.REJECTED, "carrier.rejected")
    assert rejected.carrier_reason == "营业执照不清晰"
    assert not house.addresses.get(actor, application.address_id).in_use
    assert "营业执照不清晰" not in caplog.text
    assert "营业执照不清晰".encode() not in stored_bytes(house.database)
    elsewhere = house.addresses.create(actor, replace(PARTY, detail="另一处 8 号")).id
    again = room.correct(actor, filed.id, replace(application, address_id=elsewhere, contact_name="李经理"))
    assert (again.id, again.state, again.address_id) == (filed.id, SubscriptionState.UNDER_REVIEW, elsewhere)
    assert (again.reason, again.carrier_reason, again.origin.detail) == ("", "", "另一处 8 号")
    assert again.network_application_id not in ("", rejected.network_application_id)
    house.decide(again.id, "approve")
    assert room.settle() == 1
    history = room.history(actor, filed.id)
    assert [event.after for event in history] == ["under_review", "rejected", "under_review", "open"]
    assert history[1].carrier_reason == "营业执照不清晰"
    assert history[2].changed == ("address_id", "contact_name")


def test_withdrawn(house: House):
    """E1, E5: an application under review is taken back, at the network too, and its address is free again."""
    house.mock.control(review="by_hand")
    room, actor = house.subscriptions, house.actor
    application = house.application()
    filed = room.apply(actor, application)
    assert room.withdraw(actor, filed.id).state is SubscriptionState.CLOSED
    assert room.withdraw(actor, filed.id).state is SubscriptionState.CLOSED
    books = call(f"{house.mock.base}/books")["subscriptions"]
    ours = [one for one in books if one["application_id"] == filed.network_application_id]
    assert [one["state"] for one in ours] == ["closed"]
    assert house.states(filed.id) == ["under_review", "closed"]
    assert room.apply(actor, application).state is SubscriptionState.UNDER_REVIEW


def test_withdrawn_without_an_answer(shop: House):
    """E1: an application whose answer was lost is withdrawn at the network too, under the id that we never saw."""
    shop.mock.control(review="by_hand", only="mock.subscription.apply", drop_answers=1)
    filed = shop.subscriptions.apply(shop.actor, shop.application())
    assert filed.network_application_id == ""
    ended = shop.subscriptions.withdraw(shop.actor, filed.id)
    assert (ended.state, ended.network_application_id != "") == (SubscriptionState.CLOSED, True)
    books = call(f"{shop.mock.base}/books")["subscriptions"]
    assert [o["state"] for o in books if o["application_id"] == ended.network_application_id] == ["closed"]


def test_withdraw_while_the_network_is_silent(shop: House):
    """E1: what the network doesn't hear isn't withdrawn, and can be withdrawn later."""
    shop.mock.control(review="by_hand")
    filed = shop.subscriptions.apply(shop.actor, shop.application())
    shop.mock.control(only="mock.subscription.close", fail_next=1)
    with pytest.raises(Unavailable):
        shop.subscriptions.withdraw(shop.actor, filed.id)
    assert shop.subscriptions.get(shop.actor, filed.id).state is SubscriptionState.UNDER_REVIEW
    assert shop.subscriptions.withdraw(shop.actor, filed.id).state is SubscriptionState.CLOSED


def test_suspended_and_resumed(house: House):
    """E1, E5, E7: what the carrier suspends is found out, keeps its address, and comes back."""
    room, actor = house.subscriptions, house.actor
    application = house.application()
    opened = room.apply(actor, application)
    house.decide(opened.id, "suspend", "欠费")
    assert room.settle() == 1
    suspended = room.get(actor, opened.id)
    assert (suspended.state, suspended.carrier_reason) == (SubscriptionState.SUSPENDED, "欠费")
    with pytest.raises(Conflict):
        room.apply(actor, application)
    with pytest.raises(Conflict):
        house.addresses.delete(actor, application.address_id)
    assert room.settle() == 0
    house.decide(opened.id, "resume")
    assert room.settle() == 1
    back = room.get(actor, opened.id)
    assert (back.state, back.opened_at, back.carrier_reason) == ("open", opened.opened_at, "")
    assert house.states(opened.id) == ["under_review", "open", "suspended", "open"]


def test_rounds_are_slow(sealer, database, mock, merchant):
    """E1: what is open is asked about every five minutes only, what is under review every half minute."""
    now = [datetime(2026, 11, 24, tzinfo=UTC)]
    url = database.url.render_as_string(hide_password=False)
    timed = Database(url, sealer=sealer, clock=lambda: now[0])
    house = House(timed, mock, merchant)
    room = house.room(review_every_s=30, look_every_s=300)
    room.apply(merchant, house.application())
    mock.control(review="by_hand")
    room.apply(merchant, house.application())

    def asked() -> int:
        mark = mock.mark()
        room.settle()
        return sum(entry["type"] == "mock.subscription.query" for entry in mock.log(mark))

    counts = []
    for seconds in (0, 29, 2, 200, 31, 39, 2):  # after 0, 29, 31, 231, 262, 301, 303 s
        now[0] += timedelta(seconds=seconds)
        counts.append(asked())
    timed.close()
    assert counts == [0, 0, 1, 1, 1, 2, 0]


def test_settling_in_a_race(shop: House):
    """E1: of several machines that look at once, one asks about each application, and one event is written."""
    shop.mock.control(review="by_hand")
    filed = [shop.subscriptions.apply(shop.actor, shop.application()) for _ in range(3)]
    for one in filed:
        shop.decide(one.id, "approve")
    with ThreadPoolExecutor(6) as threads:
        settled = sum(threads.map(lambda _: shop.room(look_every_s=300).settle(), range(6)))
    assert settled == 3
    assert all(shop.states(one.id) == ["under_review", "open"] for one in filed)


def test_address_under_review_is_frozen(shop: House):
    """E7: the address of an application under review isn't deleted or moved; a draft doesn't hold one."""
    shop.mock.control(review="by_hand")
    application = shop.application()
    draft = shop.subscriptions.save_draft(shop.actor, shop.application())
    shop.addresses.delete(shop.actor, draft.address_id)
    assert shop.subscriptions.get(shop.actor, draft.id).address_id is None
    shop.subscriptions.apply(shop.actor, application)
    for forbidden in (
        lambda: shop.addresses.delete(shop.actor, application.address_id),
        lambda: shop.addresses.edit(shop.actor, application.address_id, replace(PARTY, district="余杭区")),
    ):
        with pytest.raises(Conflict) as caught:
            forbidden()
        assert caught.value.code == "address.in_use"


def test_address_deleted_in_a_race(shop: House):
    """E7: an address that is applied for and deleted at once is either gone without a service, or kept with it."""
    for _ in range(4):
        application = shop.application()

        def apply(application=application) -> str:
            try:
                return shop.subscriptions.apply(shop.actor, application).id
            except (Invalid, Conflict):
                return ""

        def delete(application=application) -> bool:
            try:
                shop.addresses.delete(shop.actor, application.address_id)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            applied, deleted = threads.submit(apply), threads.submit(delete)
        assert bool(applied.result()) is not deleted.result()
        if applied.result():
            kept = shop.subscriptions.get(shop.actor, applied.result())
            assert shop.addresses.get(shop.actor, kept.address_id).in_use


def test_further_point(house: House):
    """E6: for a carrier that is open, a further point is opened with another address."""
    one, two = (house.subscriptions.apply(house.actor, house.application()) for _ in range(2))
    assert one.address_id != two.address_id
    assert [s.state for s in house.subscriptions.list(house.actor, carrier="ZTO")] == ["open", "open"]


def test_setting_switched_with_data(shop: House):
    """E5: two carriers on one address stay when the setting becomes strict, and it takes no third until both are closed."""
    loose, strict, actor = shop.room("carrier"), shop.room("address"), shop.actor
    first = shop.application()
    zto = loose.apply(actor, first)
    yto = loose.apply(actor, shop.application("YTO", first.address_id))
    third = shop.application("STO", first.address_id)

    def attempt(room: Subscriptions) -> str:
        try:
            return room.apply(actor, third).state
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(attempt, [strict] * 4)) == {"address.occupied"}
    strict.close(actor, zto.id)
    assert attempt(strict) == "address.occupied"
    strict.close(actor, yto.id)
    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(attempt, [strict, loose] * 2))
    assert outcomes == ["address.occupied"] * 3 + ["open"]


def test_settlement_account_only_for_direct(shop: House):
    """E9: a franchise carrier's form has no settlement account, and the answer names the field."""
    with pytest.raises(Invalid) as caught:
        shop.subscriptions.apply(shop.actor, shop.application(settlement_account="ACC-1"))
    assert [error.field for error in caught.value.errors] == ["settlement_account"]


def test_balances(house: House):
    """E9, W4: the numbers left at every point, which are few, and none for a direct-operated carrier."""
    actor = house.actor
    zto = house.subscriptions.apply(actor, house.application())
    sf = house.subscriptions.apply(actor, house.application("SF", settlement_account="0571123456"))
    found = {one.subscription_id: one for one in house.subscriptions.balances(actor)}
    assert set(found) == {zto.id, sf.id}
    assert (found[sf.id].numbers, found[sf.id].low) == (None, False)
    left = found[zto.id].numbers
    assert left == house.subscriptions.balance(actor, zto.id) > 0
    assert (found[zto.id].branch_code, found[zto.id].branch_name) == (zto.branch_code, zto.branch_name)
    for low_balance, low in ((left, False), (left + 1, True)):
        balances = house.room(low_balance=low_balance).balances(actor)
        assert [one.low for one in balances if one.numbers is not None] == [low]


def test_next_steps(house: House):
    """E11: what stands between a store and its first label is said at each step; open, it leads on with the balance."""
    house.mock.control(review="by_hand")
    room, actor = house.subscriptions, house.actor
    draft = room.save_draft(actor, house.application())
    assert room.next_steps(actor, draft.id).obstacle is Obstacle.NOT_SUBMITTED
    room.submit(actor, draft.id)
    assert room.next_steps(actor, draft.id).obstacle is Obstacle.UNDER_REVIEW
    house.decide(draft.id, "approve")
    room.settle()
    steps = room.next_steps(actor, draft.id)
    assert (steps.obstacle, steps.subscription.state) == (Obstacle.NONE, SubscriptionState.OPEN)
    assert steps.balance.numbers > 0
    house.mock.control(only="pdd.waybill.search", fail_next=1)
    assert room.next_steps(actor, draft.id).balance is None
    room.close(actor, draft.id)
    assert room.next_steps(actor, draft.id).obstacle is Obstacle.CLOSED


def test_rights(shop: House):
    """R1: who only reads subscriptions neither drafts nor submits, corrects, withdraws or connects."""
    auditor = Actor("u", shop.actor.store_id, "u", RIGHTS[Role.AUDITOR], "test")
    opened = shop.subscriptions.apply(shop.actor, shop.application())
    assert shop.subscriptions.list(auditor) == [opened]
    for verb in (
        lambda: shop.subscriptions.save_draft(auditor, EMPTY),
        lambda: shop.subscriptions.submit(auditor, opened.id),
        lambda: shop.subscriptions.correct(auditor, opened.id, EMPTY),
        lambda: shop.subscriptions.withdraw(auditor, opened.id),
        lambda: shop.subscriptions.connect(auditor, "x"),
        lambda: shop.subscriptions.connect_by_code(auditor, "shop:x"),
        lambda: shop.subscriptions.open_offline(auditor, "YTO", "x", "y", "z", ()),
    ):
        with pytest.raises(Forbidden):
            verb()


# --- access -------------------------------------------------------------------------------------------------------


def test_connected_by_code(shop: House):
    """A store connects by the code of the network's authorisation page, and sees until when; the tokens are sealed."""
    shop.mock.control(tokens="strict")
    with pytest.raises(Refused) as refused:
        shop.subscriptions.carriers(shop.actor)
    assert refused.value.code == "network.token"
    access = shop.subscriptions.connect_by_code(shop.actor, "shop:周记")
    assert access.renewable
    assert access.expires_at > shop.database.now()
    assert shop.subscriptions.carriers(shop.actor)
    with pytest.raises(Refused):
        shop.subscriptions.connect_by_code(shop.actor, "nonsense")
    assert shop.subscriptions.access(shop.actor) == access


def test_expired_token_is_renewed_once(shop: House):
    """Eight threads that meet an expired token at once renew it once, go on with the new one, and are the same shop."""
    shop.mock.control(tokens="strict", token_lifetime_s=1)
    shop.subscriptions.connect_by_code(shop.actor, f"shop:{shop.actor.store_id}")
    shop.mock.control(token_lifetime_s=86_400)
    _until_expired(shop)
    mark = shop.mock.mark()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: shop.subscriptions.carriers(shop.actor), range(8)))
    assert all(answers)
    renewals = [e for e in shop.mock.log(mark) if e["type"] == "pdd.pop.auth.token.refresh"]
    assert len(renewals) == 1
    assert shop.subscriptions.access(shop.actor).renewable


def test_refresh_token_that_is_not_taken(shop: House):
    """When the network doesn't renew, the store is told to connect again, and nobody asks a second time."""
    shop.mock.control(tokens="strict", token_lifetime_s=1)
    shop.subscriptions.connect_by_code(shop.actor, f"shop:{shop.actor.store_id}")
    _until_expired(shop)
    shop.mock.control(only="pdd.pop.auth.token.refresh", error=20032)
    mark = shop.mock.mark()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            shop.subscriptions.carriers(shop.actor)
        assert refused.value.code == "network.token"
    assert sum(e["type"] == "pdd.pop.auth.token.refresh" for e in shop.mock.log(mark)) == 1
    assert not shop.subscriptions.access(shop.actor).renewable


def _until_expired(shop: House) -> None:
    """Wait until the store's token has run out, as the network sees it."""
    bare = PlatformNetwork(shop.mock.url, CLIENT_ID, CLIENT_SECRET, timeout_s=3)
    room = Subscriptions(shop.database, networks_of(shop.database, bare))
    while True:
        try:
            room.carriers(shop.actor)
        except Refused:
            return


# --- offline ------------------------------------------------------------------------------------------------------


def test_open_offline(house: House):
    """E5, E6: numbers that a carrier handed over open a service without a network; a further file adds to it."""
    room, actor = house.subscriptions, house.actor
    address = house.addresses.create(actor, PARTY)
    numbers = [PoolNumber(f"YT{n:013}") for n in range(1, 6)]
    opened = room.open_offline(actor, "YTO", address.id, "571001", "杭州西湖", numbers[:3])
    assert (opened.state, opened.network) == (SubscriptionState.OPEN, "offline")
    assert opened.agreed_by == actor.user_id
    assert room.balance(actor, opened.id) == 3
    again = room.open_offline(actor, "YTO", address.id, "571001", "杭州西湖", numbers[3:])
    assert (again.id, room.balance(actor, opened.id)) == (opened.id, 5)
    with pytest.raises(Conflict):
        room.apply(actor, house.application("ZTO", address.id))
    with pytest.raises(Invalid):
        room.open_offline(actor, "YTO", address.id, "571001", "杭州西湖", numbers[:1])
    platform = room.apply(actor, house.application())
    assert {b.subscription_id for b in room.balances(actor)} == {opened.id, platform.id}
    assert room.settle() == 0
    assert room.close(actor, opened.id).state is SubscriptionState.CLOSED


def test_open_offline_unconnected(database, mock, merchant):
    """An offline service needs no access to any network."""
    network = PlatformNetwork("http://127.0.0.1:9/api/router", "x", "y", timeout_s=1)
    room = Subscriptions(database, networks_of(database, network))
    address = SenderAddresses(database, DIVISIONS).create(merchant, PARTY)
    opened = room.open_offline(
        merchant, "YTO", address.id, "571001", "杭州西湖", [PoolNumber("YT0000000000001")]
    )
    assert opened.state is SubscriptionState.OPEN
    assert [one.numbers for one in room.balances(merchant)] == [1]
