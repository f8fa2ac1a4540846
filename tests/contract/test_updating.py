"""Updates of waybills against the real mock carrier network and the real print queue: the old label is void, the new one is printed once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from support.house import MOVED, RECIPIENT, House, calm, house
from support.programs import MockCarrier, mock_carrier

from labelsvc.db import Database, metadata
from labelsvc.errors import Conflict, Forbidden, Gone, Invalid, KeyReused, NotFound, Refused, Unavailable
from labelsvc.printing import LabelState
from labelsvc.security import Actor, Right, Sealer
from labelsvc.waybills import Item, WaybillState
from labelsvc.waybills.update_store import pending_update

UPDATE, QUERY = "pdd.waybill.update", "pdd.waybill.query.by.waybillcode"


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=10_000) as running:
        yield running


@pytest.fixture(name="home")
def _home(database: Database, sealer: Sealer, mock: MockCarrier, factory: Actor) -> Iterator[House]:
    calm(mock)
    with house(database, sealer, mock, factory) as found:
        yield found
    calm(mock)


def data_of(home: House, label) -> dict:
    """What a label prints."""
    from labelsvc.printing import journal

    with home.database.reading() as connection:
        return journal.document_of(connection, label.id).data


def test_update(home: House, mock: MockCarrier):
    """W6: a changed recipient gives the same number, new print data and the next revision, by one call; history says so."""
    waybill = home.issued()
    mark = mock.mark()
    updated = home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert (updated.number, updated.revision, updated.state) == (waybill.number, 1, WaybillState.ISSUED)
    assert updated.recipient == MOVED.masked()
    assert updated.route_code != waybill.route_code
    assert home.calls(mark) == [UPDATE]
    assert mock.live(waybill.orders[0]) == [waybill.number]
    _, label = home.waybills.open_pdf(home.actor, waybill.id, "p1")
    assert label.subject == updated.subject != waybill.subject
    shown = data_of(home, label)
    assert shown["recipient"]["address"]["city"] == "成都市"
    assert shown["routingInfo"]["routeCode"] == updated.route_code
    last = home.waybills.history(home.actor, waybill.id)[-1]
    assert (last.before, last.after, last.reason) == ("issued", "issued", "waybill.updated")
    assert home.waybills.clear(home.actor, waybill.id).recipient == MOVED


def test_goods_and_weight(home: House):
    """W6: goods and weight change too, each without the other; what isn't named stays."""
    waybill = home.issued(weight_g=500)
    updated = home.waybills.update(home.actor, waybill.number, "u1", items=[Item("花瓶", 3)])
    assert (updated.items, updated.weight_g, updated.revision) == ((Item("花瓶", 3),), 500, 1)
    heavier = home.waybills.update(home.actor, waybill.id, "u2", weight_g=900)
    assert (heavier.items, heavier.weight_g, heavier.revision) == ((Item("花瓶", 3),), 900, 2)
    _, label = home.waybills.open_pdf(home.actor, waybill.id, "p1")
    assert data_of(home, label)["goods"]["summary"] == "花瓶 ×3"
    assert home.waybills.clear(home.actor, waybill.id).recipient == RECIPIENT


def test_queued_label_never_comes_out(home: House):
    """W6, P10: a label of the old revision that still waits is taken out of the queue, and can't be opened."""
    waybill = home.issued()
    job, label = home.waybills.open_pdf(home.actor, waybill.id, "p1")
    home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert home.jobs.get(home.actor, job.id).labels[0].state is LabelState.CANCELLED
    with pytest.raises((Refused, Conflict, Gone)):
        home.jobs.open_pdf(home.actor, label.id)
    assert home.waybills.void_labels(home.actor) == []
    fresh = home.waybills.print(home.actor, waybill.id, "browser", "p2")
    assert fresh.labels[0].reprint_count == 0


def test_printed_label_is_void(home: House):
    """W6, W8: a printed label is void and listed for destruction; the new one is a first print, and its count begins anew."""
    waybill = home.issued()
    old = home.printed(waybill)
    assert home.state(waybill) == "printed"
    updated = home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert (updated.state, updated.printed_at) == (WaybillState.ISSUED, None)
    [void] = home.waybills.void_labels(home.actor)
    assert (void.waybill_id, void.label_id, void.revision) == (waybill.id, old.id, 0)
    assert void.number == waybill.number
    with pytest.raises(Refused) as caught:
        home.jobs.reprint(home.actor, old.id, "torn", "r0")
    assert caught.value.code == "label.blocked"
    with pytest.raises(Conflict) as unprinted:
        home.waybills.reprint(home.actor, waybill.id, None, "torn", "r1")
    assert unprinted.value.code == "waybill.not_printed"
    [stuck] = home.waybills.hand_over(home.actor, [waybill.number])
    assert isinstance(stuck, Conflict) and stuck.code == "waybill.label_void"
    fresh = home.printed(updated, "again")
    assert fresh.reprint_count == 0
    assert home.state(waybill) == "printed"
    again = home.waybills.reprint(home.actor, waybill.id, None, "torn", "r2")
    assert again.labels[0].reprint_count == 1
    assert data_of(home, again.labels[0])["reprint"]["mark"] == "补打 第1次"
    with pytest.raises(Invalid):
        home.waybills.reprint(home.actor, waybill.id, None, " ", "r3")
    home.waybills.confirm_destroyed(home.actor, waybill.id, 0)
    home.waybills.confirm_destroyed(home.actor, waybill.id, 0)
    assert home.waybills.void_labels(home.actor) == []
    with pytest.raises(NotFound):
        home.waybills.confirm_destroyed(home.actor, waybill.id, 1)


def test_late_news_of_the_old_label(home: House):
    """W6: news that the old label came out, read after the update, don't make the new revision printed."""
    waybill = home.issued()
    _, label = home.waybills.open_pdf(home.actor, waybill.id, "p1")
    home.came_out(label.id)
    home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    while home.waybills.follow_printing():
        pass
    assert home.state(waybill) == "issued"
    assert len(home.waybills.void_labels(home.actor)) == 1


def test_same_key(home: House, mock: MockCarrier):
    """W6: the same key answers the same update without a call, also after another one; with other content it is a conflict."""
    waybill = home.issued()
    first = home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    mark = mock.mark()
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED) == first
    with pytest.raises(KeyReused):
        home.waybills.update(home.actor, waybill.id, "u1", weight_g=5)
    other = home.issued()
    with pytest.raises(KeyReused):
        home.waybills.update(home.actor, other.id, "u1", recipient=MOVED)
    assert home.calls(mark, UPDATE) == []
    back = home.waybills.update(home.actor, waybill.id, "u2", recipient=RECIPIENT)
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED) == back
    assert back.revision == 2


def test_nothing_to_change(home: House, mock: MockCarrier):
    """W6: an update that changes nothing asks nobody and voids nothing, and one that names nothing is refused."""
    waybill = home.issued()
    job = home.waybills.print(home.actor, waybill.id, "browser", "p1")
    mark = mock.mark()
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=RECIPIENT).revision == 0
    assert home.calls(mark) == []
    assert home.jobs.get(home.actor, job.id).labels[0].state is LabelState.QUEUED
    with pytest.raises(Invalid):
        home.waybills.update(home.actor, waybill.id, "u2")
    with pytest.raises(Invalid) as wrong:
        home.waybills.update(home.actor, waybill.id, "u3", recipient=replace(MOVED, phone="x"))
    assert [fault.field for fault in wrong.value.errors] == ["recipient.phone"]
    assert "x" not in str(wrong.value)


@pytest.mark.parametrize("keys", ["one", "many"])
def test_racing_updates(home: House, mock: MockCarrier, keys: str):
    """W6: of eight updates at once with one key one call is made; with eight keys each is made once, one after the other."""
    waybill = home.issued()
    mock.control(latency_ms=30, only=UPDATE)
    mark = mock.mark()

    def change(n: int) -> int:
        weight = 100 if keys == "one" else 100 + n
        key = "u" if keys == "one" else f"u{n}"
        return home.waybills.update(home.actor, waybill.id, key, weight_g=weight).revision

    with ThreadPoolExecutor(8) as threads:
        revisions = list(threads.map(change, range(8)))
    made = 1 if keys == "one" else 8
    assert max(revisions) == home.waybills.get(home.actor, waybill.id).revision == made
    assert home.calls(mark) == [UPDATE] * made


@pytest.mark.parametrize("fault", ["drop", "broken_json", "half_answer"])
def test_lost_answer_that_happened(home: House, mock: MockCarrier, fault: str):
    """W6: an update whose answer was lost is found by looking, never by asking again; meanwhile no label comes out."""
    waybill = home.issued()
    _, label = home.waybills.open_pdf(home.actor, waybill.id, "p1")
    mock.control(script=[{"fault": fault, "only": UPDATE, "times": 1}])
    mark = mock.mark()
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(Refused) as caught:
        home.jobs.open_pdf(home.actor, label.id)
    assert caught.value.code == "label.blocked"
    assert home.waybills.settle_updates() == 0  # too early to look
    home.later()
    assert home.waybills.settle_updates() == 1
    found = home.waybills.get(home.actor, waybill.id)
    assert (found.revision, found.recipient) == (1, MOVED.masked())
    assert home.calls(mark) == [UPDATE, QUERY]
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED) == found
    assert home.calls(mark) == [UPDATE, QUERY]
    assert home.printed(found).subject == found.subject


def test_lost_request(home: House, mock: MockCarrier):
    """W6: an update that never reached the network is given back: the old label holds again, and the same key asks anew."""
    waybill = home.issued()
    mock.control(script=[{"fault": "http_502", "only": UPDATE, "times": 1}])
    mark = mock.mark()
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(Refused):
        home.waybills.print(home.actor, waybill.id, "browser", "p0")
    home.later()
    assert home.waybills.settle_updates() == 1
    kept = home.waybills.get(home.actor, waybill.id)
    assert (kept.revision, kept.recipient) == (0, RECIPIENT.masked())
    assert home.calls(mark) == [UPDATE, QUERY]
    _, label = home.waybills.open_pdf(home.actor, waybill.id, "p1")
    assert label.subject == waybill.subject
    updated = home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert updated.revision == 1
    assert home.calls(mark) == [UPDATE, QUERY, UPDATE]


def test_goods_cannot_be_seen(home: House, mock: MockCarrier):
    """W6: after a silence, goods that the network doesn't show are given back and asked again by whoever wants them."""
    waybill = home.issued()
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 1}])
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", weight_g=700)
    home.later()
    assert home.waybills.settle_updates() == 1
    assert home.waybills.get(home.actor, waybill.id).revision == 0
    assert home.waybills.update(home.actor, waybill.id, "u1", weight_g=700).revision == 1


def test_the_same_key_looks_itself(home: House, mock: MockCarrier):
    """W6: whoever asks again with the key, once it is time to look, gets the outcome without the daemon's rounds."""
    waybill = home.issued()
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 1}])
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u2", weight_g=9)
    home.later()
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED).revision == 1


def test_network_stays_silent(home: House, mock: MockCarrier):
    """W6: while the network can't even be looked at, the update stays open, with growing pauses, and the label stays in."""
    waybill = home.issued()
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 1}, {"fault": "http_500", "only": QUERY}])
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    for _ in range(3):
        home.later()
        assert home.waybills.settle_updates() == 0
    with pytest.raises(Refused):
        home.waybills.print(home.actor, waybill.id, "browser", "p1")
    mock.control(script=[])
    home.later(timedelta(hours=1))
    assert home.waybills.settle_updates() == 1
    assert home.waybills.get(home.actor, waybill.id).revision == 1


def test_racing_settlers(home: House, mock: MockCarrier):
    """W6: of eight that look for one update's outcome at once, one asks the network."""
    waybill = home.issued()
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 1}])
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    home.later()
    mark = mock.mark()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: home.waybills.settle_updates(), range(8)))
    assert home.calls(mark) == [QUERY]
    assert home.waybills.get(home.actor, waybill.id).revision == 1


def test_stopped_after_its_intent(home: House, monkeypatch: pytest.MonkeyPatch):
    """W6: a process that died before it asked the network leaves a label that stays in until somebody has looked."""
    waybill = home.issued()

    def die(*_: object) -> None:
        raise _Died

    with monkeypatch.context() as stopped:
        stopped.setattr(home.network, "update", die)
        with pytest.raises(_Died):
            home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(Refused):
        home.waybills.print(home.actor, waybill.id, "browser", "p1")
    home.later()
    assert home.waybills.settle_updates() == 1
    assert home.waybills.print(home.actor, waybill.id, "browser", "p2").labels
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED).revision == 1


class _Died(BaseException):
    """Stands for the end of the process."""


def test_refused_by_the_network(home: House, mock: MockCarrier):
    """W6: a refusal is told, the same key is told again without a call, and the old label holds."""
    waybill = home.issued()
    mock.control(error=50002, only=UPDATE)
    with pytest.raises(Refused) as caught:
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    mock.control(error=0, only="")
    mark = mock.mark()
    with pytest.raises(Refused) as again:
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert again.value.code == caught.value.code
    assert home.calls(mark) == []
    assert home.waybills.print(home.actor, waybill.id, "browser", "p1").labels
    for secret in (MOVED.name, MOVED.phone, MOVED.detail):
        assert secret not in f"{caught.value} {caught.value.facts}"


def test_expired_access(home: House):
    """W6: an update refused for the store's access alone can be asked again with its key once the store is connected."""
    waybill = home.issued()
    home.subscriptions.connect(home.actor, "EXPIRED")
    with pytest.raises(Refused) as caught:
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert caught.value.code == "network.token"
    home.subscriptions.connect(home.actor, home.token)
    assert home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED).revision == 1


def test_picked_up(home: House):
    """W5, W6: a parcel that the carrier has can't be updated, whether we know it or learn it from the refusal."""
    waybill = home.issued()
    home.scan(waybill.number, "GOT")
    with pytest.raises(Refused) as caught:
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert caught.value.code == "waybill.picked_up"
    assert home.state(waybill) == "handed_over"
    with pytest.raises(Refused) as known:
        home.waybills.update(home.actor, waybill.id, "u2", recipient=MOVED)
    assert known.value.code == "waybill.handed_over"


def test_not_live(home: House):
    """W6: a cancelled waybill, or one that is being cancelled, can't be updated."""
    gone, pending = home.issued(), home.issued()
    home.waybills.cancel(home.actor, gone.id)
    home.printed(pending)
    home.waybills.cancel(home.actor, pending.id)
    for waybill in (gone, pending):
        with pytest.raises(Conflict) as caught:
            home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
        assert caught.value.code == "waybill.not_live"


def test_cancel_after_update(home: House):
    """W5, W6: a number whose old label is on paper isn't given back before that label, too, is destroyed."""
    waybill = home.issued()
    home.printed(waybill)
    home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    pending = home.waybills.cancel(home.actor, waybill.id)
    assert (pending.state, pending.void_wait) == (WaybillState.VOID_PENDING, "label")
    assert home.waybills.cancel(home.actor, waybill.id, label_destroyed=True).state == "cancelled"


def test_held_stays_held(home: House):
    """P10, W6: an update doesn't let a held waybill's label out, nor does a release let out the old one."""
    waybill = home.issued()
    home.waybills.hold(home.actor, waybill.id, "under review")
    updated = home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(Refused):
        home.waybills.print(home.actor, waybill.id, "browser", "p1")
    home.waybills.release(home.actor, waybill.id)
    assert home.printed(updated).subject == updated.subject


def test_release_during_an_update(home: House, mock: MockCarrier):
    """P10, W6: while it isn't known whether an update happened, a release doesn't let the old label out."""
    waybill = home.issued()
    home.waybills.hold(home.actor, waybill.id, "under review")
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 1}])
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    home.waybills.release(home.actor, waybill.id)
    with pytest.raises(Refused):
        home.waybills.print(home.actor, waybill.id, "browser", "p1")
    [item] = home.waybills.hand_over(home.actor, [waybill.id])
    assert isinstance(item, Conflict) and item.code == "waybill.update_open"


def test_rights_and_tenancy(home: House, merchant: Actor):
    """D7: an update needs the right, and another store's waybill isn't there."""
    waybill = home.issued()
    blind = replace(home.actor, rights=home.actor.rights - {Right.ISSUE_WAYBILLS})
    with pytest.raises(Forbidden):
        home.waybills.update(blind, waybill.id, "u1", recipient=MOVED)
    with pytest.raises(NotFound):
        home.waybills.update(merchant, waybill.id, "u1", recipient=MOVED)
    assert home.waybills.void_labels(merchant) == []


def test_found_by_the_new_recipient(home: House):
    """W6: after an update the waybill is found by its new recipient's phone, not by the old one's."""
    waybill = home.issued(recipient=replace(RECIPIENT, phone="13700001234"))
    home.waybills.update(home.actor, waybill.id, "u1", recipient=replace(MOVED, phone="13700004321"))
    assert home.waybills.find_person(home.actor, phone="13700001234") == []
    assert [found.id for found in home.waybills.find_person(home.actor, phone="13700004321")] == [waybill.id]


def test_wanted_is_sealed(home: House, mock: MockCarrier, tmp_path: Path):
    """What an open update wants doesn't stand readable in the database, and is gone once it has ended."""
    from support.stored import stored_bytes

    waybill = home.issued()
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 1}])
    with pytest.raises(Unavailable):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    content = stored_bytes(home.database)
    assert MOVED.detail.encode() not in content
    assert waybill.number.encode() in content  # the search itself works
    home.later()
    home.waybills.settle_updates()
    from labelsvc.waybills import update_store

    with home.database.reading() as connection:
        assert connection.execute(update_store.waybill_updates.select()).one().wanted is None


def test_masked_labels(home: House):
    """D7: a label shows its recipient masked, unless the merchant whose order it is chose clear; the store keeps it in clear."""
    masked, clear = home.issued(), home.issued()
    _, first = home.waybills.open_pdf(home.actor, masked.id, "p1")
    home.preferences.set(home.actor, clear_labels=True)
    _, second = home.waybills.open_pdf(home.actor, clear.id, "p2")
    hidden, shown = data_of(home, first)["recipient"], data_of(home, second)["recipient"]
    assert (shown["name"], shown["mobile"]) == (RECIPIENT.name, RECIPIENT.phone)
    assert shown["address"]["detail"] == RECIPIENT.detail
    assert (hidden["name"], hidden["mobile"]) != (RECIPIENT.name, RECIPIENT.phone)
    assert "1204" not in hidden["address"]["detail"]
    # The same key again is the same label, whatever was chosen meanwhile.
    assert home.waybills.open_pdf(home.actor, masked.id, "p1")[1].id == first.id
    assert home.waybills.clear(home.actor, masked.id).recipient == RECIPIENT


def test_an_erased_waybill_forgets_what_an_open_update_wanted(home: House, mock: MockCarrier):
    """W6: erasure ends an update whose answer never came, and the new recipient goes too; whoever asks later is told."""
    waybill, other = home.issued(), home.issued()
    mock.control(script=[{"fault": "drop", "only": UPDATE, "times": 2}])
    for one in (waybill, other):
        with pytest.raises(Unavailable):
            home.waybills.update(home.actor, one.id, "u" + one.id, recipient=MOVED)
    assert wanted_in(home) == [MOVED.detail] * 2  # the positive control: it is there, and can be read
    with home.database.transaction() as connection:
        table = metadata.tables["waybills"]
        old = home.database.now() - timedelta(days=200)
        connection.execute(table.update().where(table.c.id == waybill.id).values(created_at=old))
    assert home.waybills.erase(home.database.now() - timedelta(days=180)) == 1
    assert wanted_in(home) == [MOVED.detail]  # the other's, which isn't due
    home.later()
    assert home.waybills.settle_updates() == 1  # the other's again
    with home.database.reading() as connection:
        assert pending_update(connection, waybill.id) is None
    for key in ("u" + waybill.id, "later"):
        with pytest.raises(Gone) as told:
            home.waybills.update(home.actor, waybill.id, key, recipient=MOVED)
        assert told.value.code == "waybill.erased"
    assert wanted_in(home) == []
    left = home.waybills.get(home.actor, waybill.id)
    assert left.revision == 0 and left.recipient.town == "" and left.recipient.phone == ""
    assert home.waybills.get(home.actor, other.id).revision == 1


def wanted_in(home: House) -> list[str]:
    """The address details that updates hold, opened by the key."""
    with home.database.reading() as connection:
        found = connection.execute(select(metadata.tables["waybill_updates"].c.wanted)).scalars()
        return [wanted["recipient"]["detail"] for wanted in found if wanted]


def test_an_asker_whose_waybill_is_erased_meanwhile_records_nothing(home: House, mock: MockCarrier):
    """W6: an answer that comes after the erasure brings no personal data back."""
    waybill = home.issued()
    filed: list[int] = []
    ask = home.network.update

    def erased_meanwhile(*said):
        given = ask(*said)
        filed.append(home.waybills.erase(home.database.now() + timedelta(seconds=1)))
        return given

    home.network.update = erased_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Gone):
        home.waybills.update(home.actor, waybill.id, "u1", recipient=MOVED)
    assert filed == [1] and wanted_in(home) == []
    with home.database.reading() as connection:
        row = connection.execute(
            select(metadata.tables["waybills"]).where(metadata.tables["waybills"].c.id == waybill.id)
        ).one()
    assert MOVED.name not in str(row) and MOVED.detail not in str(row) and row.print_data is None
