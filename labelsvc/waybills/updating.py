"""Changing a parcel's recipient or goods until it is handed over (W6): with the answer the old label is void.

Hides the order of things: the intent is committed together with the block on the old label; the network is asked with no
transaction open; then the new content, its print data and the next revision are committed together:

    pending  -> done         the new revision's label may be printed, once, as a first print
             -> refused      the network says no: the old label holds again
             -> given back   it didn't happen, or can't be seen to have happened: the old label holds again, ask again

A silence is never answered by asking again blindly: the network is looked at first, and what the label says there decides.
Goods and weight alone can't be seen there, so an update of these only is given back after a silence; a repeat of the same
content, by whoever wants it, is harmless.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, Invalid, KeyReused, LabelsvcError, NotFound, Refused, Unavailable
from labelsvc.log import get_logger
from labelsvc.printing import PrintJobs
from labelsvc.security import Actor, Right, fingerprint
from labelsvc.waybills import store as rows
from labelsvc.waybills import update_store as updates
from labelsvc.waybills.carriers import Given, Networks, NetworkSilent, ParcelRequest
from labelsvc.waybills.issuing import Issuing
from labelsvc.waybills.label_data import print_data, routing
from labelsvc.waybills.model import (
    LIVE,
    OUT,
    UNSETTLED,
    Filed,
    IssueRequest,
    Item,
    Party,
    Update,
    UpdateState,
    VoidLabel,
    Waybill,
    WaybillState,
    subject_of,
)
from labelsvc.waybills.people import erased
from labelsvc.waybills.people_store import replace_person
from labelsvc.waybills.printouts import MAYBE_ON_PAPER, WAITING
from labelsvc.waybills.register import Register, check_key
from labelsvc.waybills.subscription_store import access_token
from labelsvc.waybills.subscriptions import not_connected

_log = get_logger("waybills")

_POLL_S = 0.05
_RACES = 20
#: What printing says of a label whose waybill is being changed, or was.
_BLOCKED = "waybill updated"
#: Refusals that say nothing of the update, and pass once the store is connected again.
_OF_THE_ACCOUNT = ("network.token", "network.not_connected")


class Updating:
    """Updates waybills and settles updates whose outcome is open."""

    def __init__(
        self,
        database: Database,
        networks: Networks,
        register: Register,
        jobs: PrintJobs,
        issuing: Issuing,
        timeout_s: float,
    ) -> None:
        """``timeout_s`` is the network's longest answer: nobody looks whether a silent one happened before that is over."""
        self._database = database
        self._networks = networks
        self._register = register
        self._jobs = jobs
        self._issuing = issuing
        self._lease = timedelta(seconds=1.5 * timeout_s)

    def update(
        self,
        actor: Actor,
        waybill_id: str,
        key: str,
        *,
        recipient: Party | None = None,
        items: Sequence[Item] | None = None,
        weight_g: int | None = None,
    ) -> Waybill:
        """Change what is given, once: the same key again answers the same waybill (W6).

        A label of the old revision that still waits never comes out; one on paper is void (``void_labels``). The waybill is
        *issued* again and its label is printed anew. Raises Invalid, KeyReused, Refused (``waybill.handed_over``,
        ``waybill.picked_up`` and what else the network says), Conflict ``waybill.not_live``, Gone ``waybill.erased``,
        Unavailable ``waybill.not_updated`` (nothing changed: ask again with the same key) or, with the network silent, its code.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        check_key(key)
        given = {
            name: value
            for name, value in (
                ("recipient", recipient),
                ("items", None if items is None else tuple(items)),
                ("weight_g", weight_g),
            )
            if value is not None
        }
        if not given:
            raise Invalid("names nothing to change", code="update.empty", field="recipient")
        own = self._register.own(actor, waybill_id)
        if own.waybill.state in UNSETTLED:
            self._issuing.outcome(actor, own.waybill.id)
        for _ in range(_RACES):
            try:
                update, fence = self._file(actor, own.waybill.id, key, given)
            except rows.Raced:
                continue
            if fence is not None:
                self._ask(update, fence)
            elif update.state is UpdateState.PENDING:
                self._await(update)
            update = self._now(update)
            if update.waybill_id == own.waybill.id and update.state is not UpdateState.PENDING:
                if self._is_key(actor, key, update):
                    return self._outcome(update)
                continue  # it was another's that stood in the way, and it has ended
            raise _not_known(update)
        raise Unavailable("too many updates of this waybill at once", code="database.busy")

    def settle(self, limit: int = 50) -> int:
        """Look what became of updates whose answer is missing; how many were brought to an end."""
        with self._database.reading() as connection:
            waiting = updates.updates_waiting(connection, self._database.now(), limit)
        settled = 0
        for update in waiting:
            try:
                self._settle_one(update)
            except LabelsvcError as fault:
                _log.info("waybill.update_open", waybill=update.waybill_id, reason=fault.code)
            settled += self._now(update).state is not UpdateState.PENDING
        return settled

    def void_labels(self, actor: Actor, limit: int = 200) -> list[VoidLabel]:
        """The store's labels on paper, or perhaps, that updates made void and nobody has destroyed yet, newest first."""
        actor.require(Right.READ_WAYBILLS)
        since = self._database.now() - updates.LISTED
        with self._database.reading() as connection:
            made = updates.undestroyed(connection, actor.store_id, since, limit)
        operator = Actor.operator(actor.store_id, via=actor.via)
        found = []
        for waybill_id, revision, at in made:
            for label in self._jobs.labels(operator, subject_of(waybill_id, revision)):
                if label.state in MAYBE_ON_PAPER:
                    found.append(
                        VoidLabel(waybill_id, label.title, revision, label.id, label.state.value, at)
                    )
        return found

    def confirm_destroyed(self, actor: Actor, waybill_id: str, revision: int) -> None:
        """A person has destroyed the void labels of a revision: they are no longer listed. Twice is harmless."""
        actor.require(Right.PRINT)
        waybill = self._register.own(actor, waybill_id).waybill
        with self._database.transaction() as connection:
            if not updates.set_destroyed(connection, waybill.id, revision, self._database.now()):
                raise NotFound("no label of this revision was made void", code="label.not_void")
        _log.info("waybill.void_label_destroyed", waybill=waybill.id, revision=revision, user=actor.user_id)

    # ------------------------------------------------------------ intent

    def _file(self, actor: Actor, id: str, key: str, given: Mapping[str, Any]) -> tuple[Update, int | None]:
        """Commit the intent, or find the update that this key stands for, or the one that stands in its way.

        The fence is None unless this call is the one to ask the network. Raises rows.Raced.
        """
        with self._database.transaction() as connection:
            found = rows.filed(connection, id, lock=True)
            assert found is not None
            content = fingerprint(
                connection.dialect, "waybill.update", [id, {name: _plain(given[name]) for name in given}]
            )
            known = updates.update_by_key(connection, actor.store_id, key)
            if known is not None:
                if known[0] != content:
                    raise KeyReused("this key was used for another update")
                if known[1].state is not UpdateState.GIVEN_BACK:
                    return known[1], None
            if found.waybill.erased_at is not None:
                raise erased()  # new data would stay for ever: nothing is erased twice
            wanted = replace(found.request, **given).checked()
            standing = updates.pending_update(connection, id)
            if standing is not None:
                return standing, None
            waybill = found.waybill
            _require_changeable(waybill)
            now = self._database.now()
            revision = waybill.revision + 1
            if known is not None:
                update_id = known[1].id
                fence = updates.reopen_update(connection, known[1], revision, wanted, now + self._lease)
            else:
                same = wanted == found.request
                update_id, fence = new_id(), 1
                updates.insert_update(
                    connection,
                    id=update_id,
                    store_id=actor.store_id,
                    key=key,
                    fingerprint=content,
                    waybill_id=id,
                    actor=actor.user_id,
                    revision=waybill.revision if same else revision,
                    wanted=wanted,
                    now=now,
                    attempt_until=None if same else now + self._lease,
                )
                if same:
                    return updates.find_update(connection, update_id), None
            self._jobs.block(waybill.subject, _BLOCKED, connection)
            return updates.find_update(connection, update_id), fence

    # ------------------------------------------------------------ effect

    def _ask(self, update: Update, fence: int) -> None:
        """The effect, with no transaction open, and its outcome. Raises Refused, Unavailable after committing that."""
        found = self._register.filed(update.waybill_id)
        assert update.wanted is not None and found.waybill.number is not None
        try:
            token = self._token(found)
            given = self._networks.of(found.network).update(
                token, found.waybill.carrier, found.waybill.number, _parcel(found, update.wanted)
            )
        except NetworkSilent as silence:
            if silence.may_have_happened:
                self._wait_for_look(update, fence, silence.code)
            else:
                self._give_back(update, fence, UpdateState.GIVEN_BACK, silence.code)
            raise Unavailable(silence.detail, code=silence.code, waybill_id=update.waybill_id) from None
        except Refused as refusal:
            mendable = refusal.code in _OF_THE_ACCOUNT
            self._give_back(
                update, fence, UpdateState.GIVEN_BACK if mendable else UpdateState.REFUSED, refusal.code
            )
            raise
        self._record(update, fence, given)

    def _settle_one(self, update: Update) -> None:
        """Take the lease, if it is to be had, and look whether the update happened."""
        now = self._database.now()
        with self._database.transaction() as connection:
            fence = updates.take_update(connection, update, now, now + self._lease)
        if fence is None:
            return
        found = self._register.filed(update.waybill_id)
        assert update.wanted is not None and found.waybill.number is not None
        try:
            token = self._token(found)
            given = self._networks.of(found.network).query(token, found.waybill.carrier, found.waybill.number)
        except NetworkSilent as silence:
            self._wait_for_look(update, fence, silence.code)
            return
        except Refused as refusal:
            if refusal.code in _OF_THE_ACCOUNT:
                self._wait_for_look(update, fence, refusal.code)  # it says nothing about the update
            else:
                self._give_back(update, fence, UpdateState.REFUSED, refusal.code)
            return
        if _shows(given.data, update.wanted.recipient) and not _shows(given.data, found.request.recipient):
            self._record(update, fence, given)
        else:
            self._give_back(update, fence, UpdateState.GIVEN_BACK, "waybill.not_updated")

    def _await(self, update: Update) -> None:
        """Wait for whoever is asking, or look when nobody is and it is time."""
        while True:
            update = self._now(update)
            if update.state is not UpdateState.PENDING:
                return
            if update.attempt_until is not None and update.attempt_until >= self._database.now():
                if update.reason:
                    return  # nobody asks at this moment: it is too early to look
                time.sleep(_POLL_S)
                continue
            self._settle_one(update)

    # ------------------------------------------------------------ outcome

    def _record(self, update: Update, fence: int, given: Given) -> None:
        """New content, new print data, the next revision and the old label's end, in one transaction."""
        now = self._database.now()
        with self._database.transaction() as connection:
            found = rows.filed(connection, update.waybill_id, lock=True)
            assert found is not None and update.wanted is not None
            if not updates.end_update(connection, update.id, fence, UpdateState.DONE, "", now):
                return  # another asker recorded it
            old, wanted = found.waybill, update.wanted
            waybill = replace(
                old,
                recipient=wanted.recipient,
                items=wanted.items,
                weight_g=wanted.weight_g,
                revision=old.revision + 1,
                printed_at=None,
            )
            route = routing(given.data)
            rows.revise_waybill(
                connection,
                found,
                wanted,
                given.data,
                {
                    "print_data": print_data(waybill, wanted, given.data),
                    "route_code": route["routeCode"][:60],
                    "sorting_mark": route["bigShotName"][:80],
                    "consolidation_centre": route["consolidation"]["name"][:80],
                },
                now=now,
                actor=update.actor,
            )
            replace_person(connection, old.id, old.owner_id, wanted.recipient)
            self._jobs.block(old.subject, _BLOCKED, connection)
            if old.held_reason or old.state not in LIVE:
                self._jobs.block(waybill.subject, old.held_reason or "waybill cancelled", connection)
        _log.info("waybill.updated", waybill=old.id, carrier=old.carrier, revision=waybill.revision)
        self._clear_queue(old)

    def _clear_queue(self, old: Waybill) -> None:
        """Take the old label's jobs out of the queue; the block would do it at their turn, but people look at queues."""
        operator = Actor.operator(old.store_id, via="waybills")
        for label in self._jobs.labels(operator, old.subject):
            if label.state in WAITING:
                with suppress(Conflict):
                    self._jobs.cancel(operator, label.job_id)

    def _give_back(self, update: Update, fence: int, state: UpdateState, reason: str) -> None:
        """Nothing changed: the old label holds again, unless something else keeps it in."""
        now = self._database.now()
        with self._database.transaction() as connection:
            found = rows.filed(connection, update.waybill_id, lock=True)
            assert found is not None
            if not updates.end_update(connection, update.id, fence, state, reason, now):
                return
            waybill = found.waybill
            if reason == "waybill.picked_up":
                rows.step_waybill(
                    connection,
                    waybill.id,
                    [WaybillState.ISSUED, WaybillState.PRINTED],
                    WaybillState.HANDED_OVER,
                    now=now,
                    actor="network",
                    reason=reason,
                    values={"handed_over_at": now},
                )
            elif waybill.held_reason:
                self._jobs.block(waybill.subject, waybill.held_reason, connection)
            elif waybill.state in LIVE:
                self._jobs.unblock(waybill.subject, connection)
        _log.warning("waybill.not_updated", waybill=waybill.id, carrier=waybill.carrier, reason=reason)

    def _wait_for_look(self, update: Update, fence: int, reason: str) -> None:
        """Pauses grow with the number of looks: a second, two, four ... a quarter of an hour, after the network's longest answer."""
        pause = timedelta(seconds=min(2 ** min(fence - 1, 10), 900))
        with self._database.transaction() as connection:
            updates.wait_for_look(
                connection, update.id, fence, self._database.now() + self._lease + pause, reason
            )
        _log.warning("waybill.update_unknown", waybill=update.waybill_id, reason=reason)

    def _outcome(self, update: Update) -> Waybill:
        if update.state is UpdateState.REFUSED:
            if update.reason == "waybill.erased":
                raise erased()
            raise Refused(
                "the carrier network refused the update", code=update.reason, waybill_id=update.waybill_id
            )
        if update.state is UpdateState.GIVEN_BACK:
            raise Unavailable(
                "the waybill was not updated; ask again",
                code="waybill.not_updated",
                waybill_id=update.waybill_id,
            )
        return self._register.filed(update.waybill_id).waybill.masked()

    # ------------------------------------------------------------ inside

    def _token(self, found: Filed) -> str:
        with self._database.reading() as connection:
            token = access_token(connection, found.waybill.store_id)
        if token is None:
            raise not_connected()
        return token

    def _now(self, update: Update) -> Update:
        with self._database.reading() as connection:
            return updates.find_update(connection, update.id)

    def _is_key(self, actor: Actor, key: str, update: Update) -> bool:
        with self._database.reading() as connection:
            known = updates.update_by_key(connection, actor.store_id, key)
        return known is not None and known[1].id == update.id


def _require_changeable(waybill: Waybill) -> None:
    """Raises Refused ``waybill.handed_over``, Conflict ``waybill.not_live``."""
    if waybill.state in OUT:
        raise Refused(
            "the parcel was handed over: nothing can be changed any more",
            code="waybill.handed_over",
            state=waybill.state.value,
        )
    if waybill.state not in LIVE:
        raise Conflict(
            f"the waybill is {waybill.state.value}: there is nothing to update",
            code="waybill.not_live",
            state=waybill.state.value,
        )


def _not_known(update: Update) -> Unavailable:
    return Unavailable(
        "the network was silent; whether it updated the waybill is not known yet",
        code=update.reason or "network.silent",
        waybill_id=update.waybill_id,
    )


def _parcel(found: Filed, wanted: IssueRequest) -> ParcelRequest:
    return ParcelRequest(
        id=found.waybill.id,
        orders=wanted.orders,
        channel=wanted.channel,
        recipient=wanted.recipient,
        items=wanted.items,
        weight_g=wanted.weight_g,
        pieces=wanted.pieces,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Party):
        return value.as_dict()
    return [[item.name, item.count] for item in value] if isinstance(value, tuple) else value


def _shows(data: Mapping[str, Any], recipient: Party) -> bool:
    """Whether the network's label data show this recipient; blanks aside, as the networks differ in them."""
    shown = data.get("recipient")
    address = shown.get("address") if isinstance(shown, Mapping) else None
    if not isinstance(shown, Mapping) or not isinstance(address, Mapping):
        return False

    def said(within: Mapping[str, Any], name: str) -> str:
        return "".join(str(within.get(name) or "").split())

    def meant(text: str) -> str:
        return "".join(text.split())

    return (
        said(shown, "name") == meant(recipient.name)
        and meant(recipient.phone) in (said(shown, "mobile"), said(shown, "phone"))
        and all(
            said(address, part) == meant(getattr(recipient, part)) for part in ("province", "city", "detail")
        )
        # Where there is no district, the city stands for it on the wire.
        and said(address, "district") in (meant(recipient.district), meant(recipient.city))
        and said(address, "town") == meant(recipient.town)
    )
