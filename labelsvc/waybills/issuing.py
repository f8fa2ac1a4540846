"""E-waybills (面单): get a number for a parcel exactly once, for one or for hundreds at a time, and settle what stayed open.

Hides how a request becomes an intent: which key, parcel and subscription it stands for, and that many intents share a
transaction. The network is asked by ``asking``:

    requested  committed with a lease -> the network is asked with no transaction open -> issued | refused | unknown

Whoever finds a waybill *unknown*, or *requested* by somebody whose lease has lapsed, takes the lease, looks at what the
network has given for its package id, asks the identical request again if there is nothing, looks again, keeps the oldest
number and cancels any other (W2).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, Gone, Invalid, KeyReused, LabelsvcError, Refused, Unavailable
from labelsvc.log import get_logger
from labelsvc.security import Actor, Right
from labelsvc.waybills import issue_store
from labelsvc.waybills.asking import Asking, Claim, refused, stopping
from labelsvc.waybills.divisions import Divisions
from labelsvc.waybills.issue_store import Intent, KeyUse, Known
from labelsvc.waybills.model import (
    PIECES_PER_SET,
    UNSETTLED,
    Filed,
    IssueRequest,
    Party,
    Subscription,
    SubscriptionState,
    Waybill,
    WaybillState,
)
from labelsvc.waybills.register import Register, check_key
from labelsvc.waybills.store import Raced, parcel_key
from labelsvc.waybills.subscriptions import not_connected

_log = get_logger("waybills")

#: Requests that one call takes, and how many of them are filed in one transaction.
REQUESTS_A_CALL = 500
_CHUNK = 100
#: So few that the network has something to do soon.
_FIRST_CHUNK = 40
_POLL_S = 0.05
_RACES = 20

Result = Waybill | LabelsvcError


@dataclass
class _Filing:
    """What became of a chunk of requests in its transaction: for each the waybill's id, or why there is none."""

    found: list[str | LabelsvcError]
    intents: list[Intent] = field(default_factory=list)
    keys: list[KeyUse] = field(default_factory=list)


class Issuing:
    """Gets numbers (取号) and settles those whose outcome is open."""

    def __init__(self, database: Database, asking: Asking, divisions: Divisions, register: Register) -> None:
        self._database = database
        self._asking = asking
        self._divisions = divisions
        self._register = register

    def issue(self, actor: Actor, request: IssueRequest, key: str) -> Waybill:
        """Get a number for a parcel (W1); the same parcel, or the same key, again gets the same waybill (W2).

        Raises Invalid, KeyReused, Conflict ``parcel.differs`` (the parcel has a number for another recipient or carrier),
        Refused (``origin.mismatch`` E8, ``subscription.…``, ``balance.empty`` W4, ``sender.mismatch``, ``network.…``), and
        Unavailable with ``waybill_id`` if the network is silent or wants to be left alone: the request stays and is settled
        by ``settle``; the same key asks at once.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        result = self._issue(actor, [(request, key)])[0]
        if isinstance(result, LabelsvcError):
            raise result
        return result

    def issue_many(self, actor: Actor, requests: Sequence[tuple[IssueRequest, str]]) -> list[Result]:
        """Get numbers for up to 500 parcels, each with its key (W3): a result for each, in order, as ``issue`` has it.

        Parcels and keys that come twice get the same waybill. Raises Forbidden, and Invalid for too many or none.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        if not 1 <= len(requests) <= REQUESTS_A_CALL:
            raise Invalid(f"must be 1 to {REQUESTS_A_CALL} requests", field="requests")
        return self._issue(actor, requests)

    def issue_set(self, actor: Actor, request: IssueRequest, pieces: int, key: str) -> list[Result]:
        """Get numbers for the parcels of one order that leave under one parent number (W7): a result for each, in order.

        The same key completes a set of which some were refused or stayed open. Raises Forbidden, Invalid.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        check_key(key)
        if not isinstance(pieces, int) or not 1 <= pieces <= PIECES_PER_SET:
            raise Invalid(f"must be 1 to {PIECES_PER_SET}", field="pieces")
        parcels = [
            (replace(request, pieces=pieces, piece=piece), f"{key}#{piece}") for piece in range(1, pieces + 1)
        ]
        return self._issue(actor, parcels, complete=True)

    def outcome(self, actor: Actor, id: str) -> Waybill:
        """The waybill once its outcome is known; waits for whoever is asking, and asks if nobody is.

        Raises Refused, and Unavailable if the network doesn't tell now.
        """
        result = self._await(actor, [id])[id]
        if isinstance(result, LabelsvcError):
            raise result
        return result

    def settle(self, limit: int = 200) -> int:
        """Find the outcome of waybills that nobody is asking for; how many were brought to an end."""
        with self._database.reading() as connection:
            waiting = issue_store.unsettled(connection, self._database.now(), limit, self._asking.awake())
        results = self._ask_again(waiting, "settle", bench=False)
        return sum(not isinstance(result, Unavailable) for result in results.values())

    def settle_these(self, ids: Collection[str], actor: str) -> dict[str, Result]:
        """Find the outcome of these, as far as nobody is asking for them."""
        with self._database.reading() as connection:
            found = issue_store.filed_many(connection, ids)
        return self._ask_again(list(found.values()), actor, bench=False)

    # --- filing ---

    def _issue(
        self, actor: Actor, requests: Sequence[tuple[IssueRequest, str]], *, complete: bool = False
    ) -> list[Result]:
        """File chunk after chunk, while those filed before are asked for."""
        asking = self._asking.begin(actor.user_id, bench=len(requests) == 1)
        found: list[str | LabelsvcError] = []
        at, size = 0, _FIRST_CHUNK
        while at < len(requests):
            now = self._database.now()
            until = now + self._asking.lease
            filing = self._file(actor, requests[at : at + size], now, until, complete)
            at, size = at + size, _CHUNK
            found += filing.found
            fresh = [issue_store.fresh(intent, now, until) for intent in filing.intents]
            asking.add([Claim(filed, filed.attempts, repeated=False) for filed in fresh], until)
        results = asking.finish()
        others = {one for one in found if isinstance(one, str) and one not in results}
        if others:
            results = {**results, **self._await(actor, others)}
        return [one if isinstance(one, LabelsvcError) else results[one] for one in found]

    def _file(
        self,
        actor: Actor,
        requests: Sequence[tuple[IssueRequest, str]],
        now: datetime,
        until: datetime,
        complete: bool,
    ) -> _Filing:
        """Commit the intents of a chunk, or find the waybills that its keys or parcels have."""
        checked = [_checked(request, key) for request, key in requests]
        good = [
            (one, key)
            for one, (_, key) in zip(checked, requests, strict=True)
            if isinstance(one, IssueRequest)
        ]
        if not good:
            return _Filing([one for one in checked if isinstance(one, LabelsvcError)])
        parcels = [parcel_key(actor.store_id, request) for request, _ in good]
        for _ in range(_RACES):
            try:
                with self._database.transaction() as connection:
                    known = issue_store.look_up(connection, actor.store_id, good, parcels)
                    filing = self._plan(known, actor.store_id, good, parcels, complete)
                    issue_store.file_intents(
                        connection,
                        actor.store_id,
                        filing.intents,
                        filing.keys,
                        now=now,
                        attempt_until=until,
                        actor=actor.user_id,
                    )
                planned = iter(filing.found)
                filing.found = [one if isinstance(one, LabelsvcError) else next(planned) for one in checked]
                return filing
            except Raced:
                continue  # the other request's waybill is there now
        raise Unavailable("too many requests for these parcels at once", code="database.busy")

    def _plan(
        self,
        known: Known,
        store_id: str,
        requests: Sequence[tuple[IssueRequest, str]],
        parcels: Sequence[str],
        complete: bool,
    ) -> _Filing:
        """What is to be filed of good requests in the light of what is known; one in vain doesn't block the others (W3).

        ``complete``: a key that stands for a refused waybill may stand for a new one.
        """
        filing = _Filing([])
        new: dict[str, Intent] = {}
        keys = dict(known.keys)
        for (request, key), parcel, content in zip(requests, parcels, known.contents, strict=True):
            try:
                again = False
                if key in keys:
                    before, id, state = keys[key]
                    if before != content:
                        raise KeyReused("this key was used for another waybill request")
                    again = complete and state is WaybillState.REFUSED
                    if not again:
                        filing.found.append(id)
                        continue
                if parcel in new:
                    id = new[parcel].id
                    _require_same_parcel(id, new[parcel].request, new[parcel].subscription.id, request)
                elif parcel in known.parcels:
                    id = _live_waybill(known.parcels[parcel], request)
                else:
                    id = new_id()
                    subscription = self._usable(known, request)
                    new[parcel] = Intent(id, store_id, subscription, request, parcel)
                    filing.intents.append(new[parcel])
            except LabelsvcError as fault:
                filing.found.append(fault)
                continue
            filing.keys.append(KeyUse(key, content, id, again))
            keys[key] = (content, id, WaybillState.REQUESTED)
            filing.found.append(id)
        return filing

    def _usable(self, known: Known, request: IssueRequest) -> Subscription:
        """The open subscription to issue on (E0). Raises Invalid, Refused (E8)."""
        candidates: Sequence[Subscription] = known.subscriptions[request.carrier]
        if not known.connected:
            candidates = [one for one in candidates if one.network == "offline"]
            if not candidates:
                raise not_connected()
        if request.subscription_id is not None:
            candidates = [one for one in candidates if one.id == request.subscription_id]
            if not candidates:
                raise Invalid("is no subscription of this store and carrier", field="subscription_id")
        usable = [one for one in candidates if one.state is SubscriptionState.OPEN]
        if not usable:
            raise Refused("the e-waybill service of this carrier isn't open", code="subscription.not_open")
        if request.origin is not None:
            asked = request.origin
            # The parcel leaves from the opened address: its town and detail tell where a part of a former district went.
            matching = [
                one
                for one in usable
                if self._divisions.same(
                    one.origin,
                    asked if asked.detail else replace(asked, town=one.origin.town, detail=one.origin.detail),
                )
            ]
            if not matching:
                raise _origin_mismatch(self._divisions, request.origin, usable)
            usable = matching
        if len(usable) > 1:
            raise Invalid("several subscriptions of this carrier are open: name one", field="subscription_id")
        return usable[0]

    # --- outcomes ---

    def _await(self, actor: Actor, ids: Collection[str]) -> dict[str, Result]:
        """What became of these: wait for whoever is asking, ask ourselves where nobody is."""
        results: dict[str, Result] = {}
        while open_ := [id for id in ids if id not in results]:
            if self._asking.stopped:
                return results | {id: stopping(waybill_id=id) for id in open_}
            with self._database.reading() as connection:
                standing = issue_store.standings(connection, open_)
                settled = [id for id, one in standing.items() if one.state not in UNSETTLED]
                found = issue_store.filed_many(connection, settled) if settled else {}
            for id, filed in found.items():
                waybill = filed.waybill
                is_refused = waybill.state is WaybillState.REFUSED
                results[id] = refused(id, waybill.reason) if is_refused else waybill.masked()
            now = self._database.now()
            nobodys = [
                id
                for id, one in standing.items()
                if id not in results and (one.attempt_until is None or one.attempt_until < now)
            ]
            if nobodys:
                results.update(self.settle_these(nobodys, actor.user_id))
            elif len(results) < len(ids):
                time.sleep(_POLL_S)
        return results

    def _ask_again(self, found: Sequence[Filed], actor: str, *, bench: bool) -> dict[str, Result]:
        """Take the leases that are to be had, and ask."""
        open_ = [one for one in found if one.waybill.state in UNSETTLED]
        if not open_:
            return {}
        now = self._database.now()
        until = now + self._asking.lease
        with self._database.transaction() as connection:
            fences = issue_store.take_leases(connection, open_, now, until)
        asking = self._asking.begin(actor, bench=bench)
        asking.add(
            [
                Claim(one, fences[one.waybill.id], repeated=not _never_asked(one.waybill))
                for one in open_
                if one.waybill.id in fences
            ],
            until,
        )
        return asking.finish()


def _origin_mismatch(divisions: Divisions, origin: Party, opened: Sequence[Subscription]) -> Refused:
    """E8's refusal: what was asked, what is open, and what may have been meant."""
    try:
        divisions.check(**origin.division)
        suggestions = list(dict.fromkeys(_spelt(one.origin) for one in opened))[:3]
    except Invalid as fault:
        suggestions = list(fault.facts.get("suggestions", ()))
    return Refused(
        "province, city and district of the origin must equal those of the opened address",
        code="origin.mismatch",
        requested=origin.division,
        opened=opened[0].origin.division,
        suggestions=suggestions,
    )


def _spelt(party: Party) -> str:
    return " ".join(dict.fromkeys(part for part in party.division.values() if part))


def _checked(request: IssueRequest, key: str) -> IssueRequest | LabelsvcError:
    try:
        check_key(key)
        return request.checked()
    except Invalid as fault:
        return fault


def _never_asked(waybill: Waybill) -> bool:
    """Whether the network certainly wasn't asked for a waybill: only then does a *requested* one have a reason."""
    return waybill.state is WaybillState.REQUESTED and waybill.reason != ""


def _live_waybill(live: Filed, request: IssueRequest) -> str:
    """A parcel's live waybill, if it is what is asked for now. Raises Conflict."""
    waybill = live.waybill
    if waybill.state is WaybillState.VOID_PENDING:
        raise Conflict(
            "the parcel's waybill is being cancelled", code="waybill.void_pending", waybill_id=waybill.id
        )
    _require_same_parcel(waybill.id, live.request, waybill.subscription_id, request)
    return waybill.id


def _require_same_parcel(id: str, live: IssueRequest, subscription_id: str, request: IssueRequest) -> None:
    """Raise Conflict if a parcel's live waybill isn't what is asked for now, Gone if that can't be told any more."""
    if not live.recipient.name:
        raise Gone(
            "the parcel has a waybill whose personal data were erased", code="waybill.erased", waybill_id=id
        )
    differs = [
        name
        for name, same in (
            ("carrier", live.carrier == request.carrier),
            ("recipient", live.recipient == request.recipient),
            ("subscription_id", request.subscription_id in (None, subscription_id)),
            ("pieces", live.pieces == request.pieces),
        )
        if not same
    ]
    if differs:
        raise Conflict(
            f"the parcel has a waybill with another {', '.join(differs)}: cancel it first",
            code="parcel.differs",
            waybill_id=id,
            fields=differs,
        )
