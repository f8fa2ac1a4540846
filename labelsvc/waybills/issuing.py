"""E-waybills (面单): get a number for a parcel exactly once, print it, reprint it, cancel it.

Hides the pattern intent - effect - outcome around every network call, the lease by which one of many askers asks, and how
a number that was given but not recorded is found again (W2):

    requested  committed with a lease -> the network is asked with no transaction open -> issued | refused | unknown

Whoever finds a waybill *requested* with a lapsed lease, or *unknown*, takes the lease, looks at what the network has given
for its package id, asks the identical request again if there is nothing, looks again, keeps the oldest number and cancels
any other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, Invalid, KeyReused, LabelsvcError, NotFound, Refused, Unavailable
from labelsvc.log import get_logger
from labelsvc.printing import (
    DocumentRequest,
    Label,
    LabelState,
    Lane,
    Printers,
    PrintJob,
    PrintJobs,
    PrintRequest,
)
from labelsvc.security import Actor, Right
from labelsvc.waybills import store as rows
from labelsvc.waybills.carriers import (
    AlreadyIssued,
    CarrierNetwork,
    GetRequest,
    Given,
    NetworkSilent,
    ParcelRequest,
)
from labelsvc.waybills.model import (
    LIVE,
    SUBJECT_PREFIX,
    UNSETTLED,
    Filed,
    IssueRequest,
    Party,
    PrintWish,
    Subscription,
    SubscriptionState,
    VoidWait,
    Waybill,
    WaybillEvent,
    WaybillState,
    looks_like,
    text_fault,
)
from labelsvc.waybills.subscriptions import not_connected

_log = get_logger("waybills")

_POLL_S = 0.05
_RACES = 20
_VOID_RETRY = timedelta(seconds=30)
_FEED = "waybills.printing"
#: Labels print China's time whatever the machine says; China has no summer time.
_CHINA = timezone(timedelta(hours=8))
#: A label in one of these states is on paper, or may be.
_MAYBE_ON_PAPER = frozenset({LabelState.SENDING, LabelState.SENT, LabelState.PRINTED, LabelState.UNCERTAIN})
_WAITING = frozenset({LabelState.QUEUED, LabelState.HELD})


@dataclass(frozen=True)
class _Intent:
    """A filed request; ``fresh`` if this call filed it, and so holds its first lease."""

    waybill_id: str
    fresh: bool


class _LeaseLost(Exception):
    """Another asker has taken over; what we learn from the network now is theirs to record."""


class Waybills:
    """A store's waybills."""

    def __init__(
        self,
        database: Database,
        network: CarrierNetwork,
        jobs: PrintJobs,
        printers: Printers,
        timeout_s: float = 10,
        template: str = "waybill-76x130",
    ) -> None:
        """``timeout_s`` is the network's: a lease outlives any call by half of it."""
        self._database = database
        self._network = network
        self._jobs = jobs
        self._printers = printers
        self._lease = timedelta(seconds=1.5 * timeout_s)
        self._template = template

    # --- issue ------------------------------------------------------------------------------------------------

    def issue(self, actor: Actor, request: IssueRequest, key: str) -> Waybill:
        """Get a number for a parcel (W1); the same parcel, or the same key, again gets the same waybill (W2).

        Raises Invalid, KeyReused, Conflict ``parcel.differs`` (the parcel has a number for another recipient or carrier),
        Refused (``origin.mismatch`` E8, ``subscription.…``, ``balance.empty`` W4, ``sender.mismatch``, ``network.…``), and
        Unavailable with ``waybill_id`` if the network is silent: ask again with the same key, or let ``settle`` do it.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        request = request.checked()
        check_key(key)
        intent = self._file(actor, request, key)
        if intent.fresh:
            self._ask(intent.waybill_id, 1, asked_before=False, actor=actor.user_id)
        return self._outcome(actor, intent.waybill_id)

    def _file(self, actor: Actor, request: IssueRequest, key: str) -> _Intent:
        """Commit the intent, or find the waybill that this key or this parcel has."""
        parcel = rows.parcel_key(
            request.owner_id or actor.store_id, actor.store_id, request.orders, request.package
        )
        for _ in range(_RACES):
            try:
                with self._database.transaction() as connection:
                    content = rows.content_of(connection, request)
                    known = rows.find_key(connection, actor.store_id, key)
                    if known is not None:
                        if known[0] != content:
                            raise KeyReused("this key was used for another waybill request")
                        return _Intent(known[1], fresh=False)
                    live = rows.filed_by_parcel(connection, parcel)
                    if live is not None:
                        _require_same_parcel(live, request)
                        rows.insert_key(connection, actor.store_id, key, content, live.waybill.id)
                        return _Intent(live.waybill.id, fresh=False)
                    if rows.access_token(connection, actor.store_id) is None:
                        raise not_connected()
                    subscription = _usable(
                        rows.subscriptions_of(connection, actor.store_id, carrier=request.carrier), request
                    )
                    id, now = new_id(), self._database.now()
                    rows.insert_waybill(
                        connection,
                        id=id,
                        store_id=actor.store_id,
                        subscription=subscription,
                        request=request,
                        parcel=parcel,
                        now=now,
                        attempt_until=now + self._lease,
                        actor=actor.user_id,
                    )
                    rows.insert_key(connection, actor.store_id, key, content, id)
                return _Intent(id, fresh=True)
            except rows.Raced:
                continue  # the other request's waybill is there now
        raise Unavailable("too many requests for this parcel at once", code="database.busy")

    def _outcome(self, actor: Actor, id: str) -> Waybill:
        """The waybill once its outcome is known; waits for whoever is asking, and asks if nobody is."""
        while True:
            found = self._filed(id)
            state = found.waybill.state
            if state is WaybillState.REFUSED:
                raise Refused(
                    "the carrier network refused the number", code=found.waybill.reason, waybill_id=id
                )
            if state not in UNSETTLED:
                return found.waybill.masked()
            if found.attempt_until is not None and found.attempt_until >= self._database.now():
                time.sleep(_POLL_S)
                continue
            self._settle_one(id, actor.user_id)

    def settle(self, limit: int = 50) -> int:
        """Find the outcome of every waybill that nobody is asking for, and go on with interrupted cancellations.

        For the daemon, at its start and then every few seconds. Answers how many were brought to an end.
        """
        now, settled = self._database.now(), 0
        with self._database.reading() as connection:
            waiting = rows.unsettled(connection, now, limit)
            voids = rows.voids_waiting(connection, now, limit)
        for id in waiting:
            try:
                self._settle_one(id, "settle")
            except LabelsvcError as fault:
                _log.info("waybill.unsettled", waybill=id, reason=fault.code)
            settled += self._filed(id).waybill.state not in UNSETTLED
        for id in voids:
            try:
                self._void(self._filed(id), Actor.operator(self._filed(id).waybill.store_id, via="settle"))
            except LabelsvcError as fault:
                _log.info("waybill.void_pending", waybill=id, reason=fault.code)
            settled += self._filed(id).waybill.state is not WaybillState.VOID_PENDING
        return settled

    def _settle_one(self, id: str, actor: str) -> None:
        """Take the lease, if it is to be had, and ask."""
        found = self._filed(id)
        if found.waybill.state not in UNSETTLED:
            return
        now = self._database.now()
        with self._database.transaction() as connection:
            fence = rows.take_lease(connection, found, now, now + self._lease)
        if fence is not None:
            self._ask(id, fence, asked_before=True, actor=actor)

    def _ask(self, id: str, fence: int, *, asked_before: bool, actor: str) -> None:
        """The effect, with no transaction open, and its outcome. Raises Refused, Unavailable after committing that."""
        found = self._filed(id)
        with self._database.reading() as connection:
            token = rows.access_token(connection, found.waybill.store_id)
        try:
            if token is None:
                raise not_connected()
            number, surplus = self._number(found, fence, token, asked_before)
            for extra in surplus:
                self._renew(id, fence)
                self._cancel_surplus(found.waybill, token, extra.number)
        except _LeaseLost:
            return
        except Refused as refusal:
            if refusal.code in ("network.token", "network.not_connected") and asked_before:
                # It says nothing about the number that the first attempt may have got.
                self._record(found, fence, WaybillState.UNKNOWN, actor, refusal.code)
                raise Unavailable(refusal.detail, code=refusal.code, waybill_id=id) from None
            self._record(found, fence, WaybillState.REFUSED, actor, refusal.code)
            _log.warning("waybill.refused", waybill=id, carrier=found.waybill.carrier, reason=refusal.code)
            raise
        except NetworkSilent as silence:
            self._record(found, fence, WaybillState.UNKNOWN, actor, silence.code)
            _log.warning("waybill.unknown", waybill=id, carrier=found.waybill.carrier, reason=silence.code)
            raise Unavailable(silence.detail, code=silence.code, waybill_id=id) from None
        self._record_number(found, fence, number, actor)

    def _number(
        self, found: Filed, fence: int, token: str, asked_before: bool
    ) -> tuple[Given, Sequence[Given]]:
        """The number to keep and those to cancel."""
        id = found.waybill.id
        given: Given | None = None
        refusal: Refused | None = None
        known = self._live(found, token) if asked_before else None
        if not known:
            self._renew(id, fence)
            try:
                given = self._get(found, token)
            except AlreadyIssued:
                pass
            except Refused as answer:
                if not asked_before:
                    raise
                refusal = answer
            if given is not None and not asked_before:
                return given, ()
            # After a repeated request there may be two numbers, and one may have come late: look again.
            self._renew(id, fence)
            known = self._live(found, token)
        if known:
            return known[0], known[1:]
        if given is not None:
            return given, ()
        if refusal is not None:
            raise refusal
        raise NetworkSilent(
            "the network has a number for the parcel but doesn't name it", may_have_happened=True
        )

    def _get(self, found: Filed, token: str) -> Given:
        waybill, request = found.waybill, found.request
        answer = self._network.get(
            token,
            GetRequest(
                carrier=waybill.carrier,
                origin=waybill.origin,
                parcels=(
                    ParcelRequest(
                        id=waybill.id,
                        orders=request.orders,
                        channel=request.channel,
                        recipient=request.recipient,
                        items=request.items,
                        weight_g=request.weight_g,
                    ),
                ),
            ),
        )[0]
        if isinstance(answer, Refused):
            raise answer
        return answer

    def _live(self, found: Filed, token: str) -> list[Given] | None:
        """The live numbers of a waybill's package, oldest first; None where the network can't say."""
        numbers = self._network.find(token, found.request.orders, found.waybill.id)
        return None if numbers is None else [number for number in numbers if number.live]

    def _cancel_surplus(self, waybill: Waybill, token: str, number: str) -> None:
        try:
            self._network.cancel(token, waybill.carrier, number)
        except Refused as refusal:
            _log.error("waybill.surplus_stays", waybill=waybill.id, number=number, reason=refusal.code)
            return
        _log.warning("waybill.surplus_cancelled", waybill=waybill.id, number=number)

    def _renew(self, id: str, fence: int) -> None:
        with self._database.transaction() as connection:
            if not rows.renew_lease(connection, id, fence, self._database.now() + self._lease):
                raise _LeaseLost

    def _record(self, found: Filed, fence: int, after: WaybillState, actor: str, reason: str) -> None:
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                found.waybill.id,
                UNSETTLED,
                after,
                now=self._database.now(),
                actor=actor,
                reason=reason,
                fence=fence,
                values={"attempt_until": None},
            )

    def _record_number(self, found: Filed, fence: int, given: Given, actor: str) -> None:
        """Number and print data in one transaction: a number whose label can't be printed would be lost."""
        waybill = replace(found.waybill, number=given.number)
        if not looks_like(waybill.carrier, given.number):
            _log.warning("waybill.strange_number", waybill=waybill.id, carrier=waybill.carrier)
        route = _routing(given.data)
        now = self._database.now()
        with self._database.transaction() as connection:
            if rows.number_taken(connection, waybill.carrier, given.number, waybill.id):
                # Two parcels under one number would both be lost; better none.
                rows.step_waybill(
                    connection,
                    waybill.id,
                    UNSETTLED,
                    WaybillState.REFUSED,
                    now=now,
                    actor=actor,
                    reason="network.number_taken",
                    fence=fence,
                    values={"attempt_until": None},
                )
                _log.error("waybill.number_taken", waybill=waybill.id, carrier=waybill.carrier)
                return
            recorded = rows.step_waybill(
                connection,
                waybill.id,
                UNSETTLED,
                WaybillState.ISSUED,
                now=now,
                actor=actor,
                fence=fence,
                values={
                    "attempt_until": None,
                    "number": given.number,
                    "answer": dict(given.data),
                    "print_data": _print_data(waybill, found.request, given.data),
                    "route_code": route["routeCode"][:60],
                    "sorting_mark": route["bigShotName"][:80],
                    "consolidation_centre": route["consolidation"]["name"][:80],
                    "issued_at": now,
                },
            )
        # Not recorded: another asker took the lease over, and found this number at the network.
        if recorded:
            _log.info("waybill.issued", waybill=waybill.id, carrier=waybill.carrier)

    # --- look -------------------------------------------------------------------------------------------------

    def get(self, actor: Actor, id_or_number: str) -> Waybill:
        """A waybill of the store, parties masked. Raises NotFound."""
        actor.require(Right.READ_WAYBILLS)
        return self._own(actor, id_or_number).waybill.masked()

    def clear(self, actor: Actor, id_or_number: str) -> Waybill:
        """The same with its parties in clear, for the store whose orders it carries (D7). Raises Forbidden, NotFound."""
        actor.require(Right.READ_WAYBILLS)
        actor.require(Right.SEE_CLEAR_DATA)
        waybill = self._own(actor, id_or_number).waybill
        if waybill.owner_id != actor.store_id:
            raise Refused("the parties of a merchant's order stay masked", code="waybill.masked")
        _log.info("waybill.clear_data_seen", waybill=waybill.id, user=actor.user_id)
        return waybill

    def list(
        self,
        actor: Actor,
        after: str | None = None,
        limit: int = 50,
        state: WaybillState | str | None = None,
    ) -> list[Waybill]:
        """The store's waybills, newest first, older than the id ``after``; parties masked. Raises Invalid."""
        actor.require(Right.READ_WAYBILLS)
        if not 1 <= limit <= 200:
            raise Invalid("must be 1 to 200", field="limit")
        try:
            wanted = WaybillState(state) if state is not None else None
        except ValueError:
            raise Invalid("is no state of a waybill", field="state") from None
        with self._database.reading() as connection:
            found = rows.waybills_of(connection, actor.store_id, after, limit, wanted)
        return [waybill.masked() for waybill in found]

    def history(self, actor: Actor, waybill_id: str) -> Sequence[WaybillEvent]:
        """Every change of a waybill's state, oldest first."""
        actor.require(Right.READ_WAYBILLS)
        own = self._own(actor, waybill_id)
        with self._database.reading() as connection:
            return rows.waybill_history(connection, own.waybill.id)

    def of_order(self, owner_id: str, order_number: str) -> Sequence[Waybill]:
        """The live waybills, of whatever store, that an order of ``owner_id`` is in; for the room above, parties masked."""
        with self._database.reading() as connection:
            found = rows.live_of_order(connection, owner_id, order_number)
        return [filed.waybill.masked() for filed in found]

    # --- print ------------------------------------------------------------------------------------------------

    def print(
        self,
        actor: Actor,
        waybill_id: str,
        printer: str,
        key: str,
        template: str | None = None,
        lane: Lane = "bench",
    ) -> PrintJob:
        """Print a waybill's label, once: the same key again answers the same job.

        Raises Conflict ``waybill.already_printed`` with ``job_id`` and ``label_state`` if a label of it waits or may be on
        paper (reprint it with a reason), ``waybill.not_issued``; Refused ``waybill.held``; and what printing raises.
        """
        actor.require(Right.PRINT)
        check_key(key)
        wish = PrintWish(printer, template or self._template, lane)
        while True:
            found = self._own(actor, waybill_id)
            waybill = found.waybill
            if found.print_key == key and found.print_no:
                if found.print_wish != wish:
                    raise KeyReused("this key was used to print the waybill in another way")
                return self._submit(actor, found)
            _require_printable(waybill)
            standing = [label for label in self._labels(waybill) if label.state in _MAYBE_ON_PAPER | _WAITING]
            if standing:
                raise _printed_before(standing[-1])
            if found.print_key:
                # A claim of another key: its claimant is at work this moment, or died, or its label failed. Asking by
                # its own key finishes what was asked, or answers what became of it: never a second label.
                try:
                    job = self._submit(actor, found)
                except Unavailable:
                    raise
                except LabelsvcError:
                    continue  # it can't be printed like that; the claim was given back
                if any(label.state in _MAYBE_ON_PAPER | _WAITING for label in job.labels):
                    raise _printed_before(job.labels[-1])
            with self._database.transaction() as connection:
                rows.claim_print(connection, found, key, wish, self._database.now())

    def reprint(self, actor: Actor, waybill_id: str, printer: str | None, reason: str, key: str) -> PrintJob:
        """Print once more a label that came out (W8): counted, with a reason, marked on the label.

        Raises Conflict ``waybill.not_printed`` if none did, and what printing raises (an uncertain label is answered first).
        """
        actor.require(Right.PRINT)
        waybill = self._own(actor, waybill_id).waybill
        _require_printable(waybill)
        out = [label for label in self._labels(waybill) if label.state in _MAYBE_ON_PAPER]
        if not out:
            raise Conflict("no label of the waybill came out yet: print it", code="waybill.not_printed")
        # Every reprint hangs on the first label, so that a repeated key meets the same request.
        return self._jobs.reprint(actor, out[0].id, reason, key, printer=printer)

    def open_pdf(
        self, actor: Actor, waybill_id: str, key: str, reason: str | None = None, template: str | None = None
    ) -> tuple[PrintJob, Label]:
        """Queue the label on the built-in browser printer (P6); ``PrintJobs.open_pdf`` then opens it, once.

        With a ``reason`` it is a reprint (W8); without one it raises Conflict as ``print`` does.
        """
        browser = self._printers.browser(actor).name
        if reason is None:
            job = self.print(actor, waybill_id, browser, key, template)
        else:
            job = self.reprint(actor, waybill_id, browser, reason, key)
        return job, job.labels[0]

    def _submit(self, actor: Actor, found: Filed) -> PrintJob:
        """Submit the claimed print, word for word as claimed: by its key, printing stores it once."""
        wish, at = found.print_wish, found.print_at
        assert wish is not None and at is not None and found.print_data is not None
        waybill = found.waybill
        document = DocumentRequest(
            template=wish.template,
            data={
                **found.print_data,
                "print": {"time": at.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M"), "sequence": "1/1"},
            },
            subject=waybill.subject,
            title=waybill.number or "",
            private=waybill.owner_id != waybill.store_id,
        )
        request = PrintRequest(
            printer=wish.printer,
            documents=(document,),
            key=_job_key(found),
            lane="batch" if wish.lane == "batch" else "bench",
            origin=actor.via,
        )
        try:
            return self._jobs.submit(actor, request)
        except Unavailable:
            raise  # perhaps it is stored: the claim stays
        except LabelsvcError:
            with self._database.transaction() as connection:
                rows.give_back_print(connection, waybill.id, found.print_no)
            raise

    def follow_printing(self, limit: int = 200) -> int:
        """Read printing's changes from where we stopped and mark waybills whose label came out; how many were read."""
        with self._database.reading() as connection:
            seen = rows.cursor(connection, _FEED)
        changes = self._jobs.changes(seen, limit)
        if not changes:
            return 0
        try:
            with self._database.transaction() as connection:
                rows.move_cursor(connection, _FEED, seen, changes[-1].seq)
                for change in changes:
                    if change.after not in (LabelState.PRINTED, LabelState.SENT):
                        continue
                    if change.subject is None or not change.subject.startswith(SUBJECT_PREFIX):
                        continue
                    rows.step_waybill(
                        connection,
                        change.subject.removeprefix(SUBJECT_PREFIX),
                        [WaybillState.ISSUED],
                        WaybillState.PRINTED,
                        now=self._database.now(),
                        actor="printing",
                        values={"printed_at": change.at},
                    )
        except rows.Raced:
            return 0
        return len(changes)

    # --- hold, cancel -----------------------------------------------------------------------------------------

    def hold(self, actor: Actor, waybill_id: str, reason: str) -> Waybill:
        """Keep a waybill's label from coming out (P10), also one that is queued."""
        actor.require(Right.ISSUE_WAYBILLS)
        return self._hold(self._own(actor, waybill_id).waybill, reason)

    def release(self, actor: Actor, waybill_id: str) -> Waybill:
        """Let a held waybill's label come out again."""
        actor.require(Right.ISSUE_WAYBILLS)
        return self._release(self._own(actor, waybill_id).waybill)

    def hold_order(self, owner_id: str, order_number: str, reason: str) -> None:
        """Hold every live waybill, of whatever store, that an order is in; for the room above, which has asked for the right."""
        for waybill in self.of_order(owner_id, order_number):
            self._hold(waybill, reason)

    def release_order(self, owner_id: str, order_number: str) -> None:
        """Undo ``hold_order``."""
        for waybill in self.of_order(owner_id, order_number):
            self._release(waybill)

    def _hold(self, waybill: Waybill, reason: str) -> Waybill:
        if fault := text_fault(reason, 1, 80):
            raise Invalid(fault, field="reason")
        # The block first: if we stop between, the label stays in, and holding again is harmless.
        self._jobs.block(waybill.subject, reason)
        with self._database.transaction() as connection:
            rows.set_held(connection, waybill.id, reason)
        return self._filed(waybill.id).waybill.masked()

    def _release(self, waybill: Waybill) -> Waybill:
        with self._database.transaction() as connection:
            rows.set_held(connection, waybill.id, "")
        found = self._filed(waybill.id).waybill
        if found.state not in (WaybillState.VOID_PENDING, WaybillState.CANCELLED):
            self._jobs.unblock(waybill.subject)
        return found.masked()

    def cancel(self, actor: Actor, waybill_id: str, label_destroyed: bool = False) -> Waybill:
        """Give a number back (W5). Twice is harmless.

        The answer is *cancelled*, or *void pending*: ``void_wait`` ``label`` if a label may be on paper (ask again with
        ``label_destroyed`` once it is destroyed), ``network`` if the network doesn't do it now (settled by itself).
        Raises Refused ``waybill.picked_up``, Conflict ``waybill.not_issued``, Unavailable while its number isn't known.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        found = self._own(actor, waybill_id)
        if found.waybill.state in UNSETTLED:
            self._outcome(actor, found.waybill.id)
            found = self._own(actor, waybill_id)
        waybill = found.waybill
        if waybill.state is WaybillState.CANCELLED:
            return waybill.masked()
        if waybill.state is WaybillState.REFUSED:
            raise Conflict(
                "the waybill never got a number", code="waybill.not_issued", state=waybill.state.value
            )
        # The intent first, with the lease's column as its next try: whatever stops us, settle goes on.
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                waybill.id,
                [WaybillState.ISSUED, WaybillState.PRINTED, WaybillState.VOID_PENDING],
                WaybillState.VOID_PENDING,
                now=self._database.now(),
                actor=actor.user_id,
                values={
                    "void_wait": VoidWait.NETWORK.value,
                    "attempt_until": self._database.now() + _VOID_RETRY,
                    "label_destroyed": label_destroyed or found.label_destroyed,
                },
            )
        return self._void(self._filed(waybill.id), actor)

    def _void(self, found: Filed, actor: Actor) -> Waybill:
        """Block the label, see whether one is out, and give the number back; of a void-pending waybill."""
        waybill = found.waybill
        if waybill.state is not WaybillState.VOID_PENDING:
            return waybill.masked()
        self._jobs.block(waybill.subject, "waybill cancelled")
        operator = Actor.operator(waybill.store_id, via=actor.via)
        # After the block, no label of it can begin to leave; those that began are seen now.
        labels = self._labels(waybill)
        for job_id in {label.job_id for label in labels if label.state in _WAITING}:
            with suppress(Conflict):  # its turn came meanwhile, and the block cancelled it
                self._jobs.cancel(operator, job_id)
        if any(label.state in _MAYBE_ON_PAPER for label in labels) and not found.label_destroyed:
            return self._void_waits(waybill.id, VoidWait.LABEL, "label.on_paper", None)
        with self._database.reading() as connection:
            token = rows.access_token(connection, waybill.store_id)
        try:
            if token is None:
                raise not_connected()
            assert waybill.number is not None
            self._network.cancel(token, waybill.carrier, waybill.number)
        except NetworkSilent as silence:
            return self._void_waits(
                waybill.id, VoidWait.NETWORK, silence.code, self._database.now() + _VOID_RETRY
            )
        except Refused as refusal:
            if refusal.code == "waybill.picked_up":
                self._revive(waybill, actor)
                raise
            if refusal.code not in ("waybill.was_cancelled", "waybill.unknown_number"):
                return self._void_waits(
                    waybill.id, VoidWait.NETWORK, refusal.code, self._database.now() + _VOID_RETRY
                )
        now = self._database.now()
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                waybill.id,
                [WaybillState.VOID_PENDING],
                WaybillState.CANCELLED,
                now=now,
                actor=actor.user_id,
                values={"void_wait": None, "attempt_until": None, "cancelled_at": now},
            )
        _log.info("waybill.cancelled", waybill=waybill.id, carrier=waybill.carrier)
        return self._filed(waybill.id).waybill.masked()

    def _void_waits(self, id: str, wait: VoidWait, reason: str, next_at: datetime | None) -> Waybill:
        with self._database.transaction() as connection:
            rows.set_void(connection, id, wait, reason, next_at)
        _log.info("waybill.void_pending", waybill=id, reason=reason)
        return self._filed(id).waybill.masked()

    def _revive(self, waybill: Waybill, actor: Actor) -> None:
        """The carrier has the parcel: the number lives on."""
        before = WaybillState.PRINTED if waybill.printed_at else WaybillState.ISSUED
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                waybill.id,
                [WaybillState.VOID_PENDING],
                before,
                now=self._database.now(),
                actor=actor.user_id,
                reason="waybill.picked_up",
                values={"void_wait": None, "attempt_until": None, "label_destroyed": False},
            )
        if not waybill.held_reason:
            self._jobs.unblock(waybill.subject)

    # --- within -----------------------------------------------------------------------------------------------

    def _filed(self, id: str) -> Filed:
        with self._database.reading() as connection:
            found = rows.filed(connection, id)
        if found is None:
            raise NotFound("no such waybill", code="waybill.not_found")
        return found

    def _own(self, actor: Actor, id_or_number: str) -> Filed:
        with self._database.reading() as connection:
            found = rows.filed(connection, id_or_number, actor.store_id)
            if found is None:
                found = rows.filed_by_number(connection, id_or_number, actor.store_id)
        if found is None:
            raise NotFound("no such waybill", code="waybill.not_found")
        return found

    def _labels(self, waybill: Waybill) -> Sequence[Label]:
        return self._jobs.labels(Actor.operator(waybill.store_id, via="waybills"), subject=waybill.subject)


def check_key(key: str) -> None:
    """Raise Invalid unless ``key`` can be an idempotency key."""
    if reason := text_fault(key, 1, 200):
        raise Invalid(reason, field="key")


def _require_same_parcel(live: Filed, request: IssueRequest) -> None:
    """Raise Conflict if a parcel's live waybill isn't what is asked for now."""
    if live.waybill.state is WaybillState.VOID_PENDING:
        raise Conflict(
            "the parcel's waybill is being cancelled", code="waybill.void_pending", waybill_id=live.waybill.id
        )
    differs = [
        field
        for field, same in (
            ("carrier", live.waybill.carrier == request.carrier),
            ("recipient", live.request.recipient == request.recipient),
            ("subscription_id", request.subscription_id in (None, live.waybill.subscription_id)),
        )
        if not same
    ]
    if differs:
        raise Conflict(
            f"the parcel has a waybill with another {', '.join(differs)}: cancel it first",
            code="parcel.differs",
            waybill_id=live.waybill.id,
            fields=differs,
        )


def _usable(candidates: Sequence[Subscription], request: IssueRequest) -> Subscription:
    """The open subscription to issue on. Raises Invalid, Refused (E8)."""
    if request.subscription_id is not None:
        candidates = [one for one in candidates if one.id == request.subscription_id]
        if not candidates:
            raise Invalid("is no subscription of this store and carrier", field="subscription_id")
    usable = [one for one in candidates if one.state is SubscriptionState.OPEN]
    if not usable:
        raise Refused("the e-waybill service of this carrier isn't open", code="subscription.not_open")
    if request.origin is not None:
        matching = [one for one in usable if one.origin.division == request.origin.division]
        if not matching:
            raise Refused(
                "province, city and district of the origin must equal those of the opened address",
                code="origin.mismatch",
                requested=request.origin.division,
                opened=usable[0].origin.division,
            )
        usable = matching
    if len(usable) > 1:
        raise Invalid("several subscriptions of this carrier are open: name one", field="subscription_id")
    return usable[0]


def _job_key(found: Filed) -> str:
    """Printing's key of a print claim: one claim, one job."""
    return f"waybill:{found.waybill.id}:print:{found.print_no}"


def _require_printable(waybill: Waybill) -> None:
    """Raises Conflict ``waybill.not_issued``, Refused ``waybill.held``."""
    if waybill.state not in LIVE:
        raise Conflict(
            f"the waybill is {waybill.state.value}: there is nothing to print",
            code="waybill.not_issued",
            state=waybill.state.value,
        )
    if waybill.held_reason:
        raise Refused("the waybill is held", code="waybill.held")


def _printed_before(label: Label) -> Conflict:
    waits = label.state in _WAITING
    return Conflict(
        "the waybill's label waits to be printed"
        if waits
        else "the waybill was printed; reprint it with a reason",
        code="waybill.already_printed",
        job_id=label.job_id,
        label_id=label.id,
        label_state=label.state.value,
    )


def _routing(data: Mapping[str, Any]) -> dict[str, Any]:
    """The network's routing block under the names of both platforms, every one of them text."""
    given = data.get("routingInfo")
    block: Mapping[str, Any] = given if isinstance(given, Mapping) else {}

    def text(*names: str, within: Any = block) -> str:
        for name in names:
            value = within.get(name) if isinstance(within, Mapping) else None
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return str(value)
        return ""

    consolidation, origin, sortation = (block.get(n) for n in ("consolidation", "origin", "sortation"))
    route = text("routeCode", "threeSegmentCode")
    return {
        "routeCode": route,
        "threeSegmentCode": text("threeSegmentCode", "routeCode"),
        "bigShotName": text("bigShotName") or text("name", within=sortation),
        "bigShotCode": text("bigShotCode"),
        "consolidation": {
            "name": text("name", within=consolidation),
            "code": text("code", within=consolidation),
        },
        "origin": {
            "name": text("originBranchName") or text("name", within=origin),
            "code": text("originBranchCode") or text("code", within=origin),
        },
        "sortation": {"name": text("name", within=sortation) or text("bigShotName")},
        "originBranchName": text("originBranchName"),
        "originBranchCode": text("originBranchCode"),
        "endBranchName": text("endBranchName"),
        "endBranchCode": text("endBranchCode"),
    }


def _on_label(party: Party) -> dict[str, Any]:
    # Templates of the trade print ``mobile``; ``phone`` stays empty so that no number stands twice.
    return {
        "name": party.name,
        "mobile": party.phone,
        "phone": "",
        "address": {
            "province": party.province,
            "city": party.city,
            "district": party.district,
            "town": party.town,
            "detail": party.detail,
        },
    }


def _print_data(waybill: Waybill, request: IssueRequest, data: Mapping[str, Any]) -> dict[str, Any]:
    """What a label template may show (``_data``): the merchant's sender (P3, W10), the recipient in clear, the route."""
    option = data.get("shippingOption")
    option = option if isinstance(option, Mapping) else {}
    goods = [f"{item.name} ×{item.count}" for item in request.items]
    return {
        "recipient": _on_label(request.recipient),
        "sender": _on_label(request.shown_sender),
        "waybillCode": waybill.number,
        "wpCode": waybill.carrier,
        "carrierName": waybill.carrier_name,
        "routingInfo": _routing(data),
        "shippingOption": {"code": str(option.get("code") or ""), "title": str(option.get("title") or "")},
        "goods": {
            "summary": "；".join(goods),
            "count": sum(item.count for item in request.items),
            "lines": "\n".join(goods),
        },
        "orderNumbers": "、".join(request.orders),
        "storeName": request.store_name,
        "custom": {"text": request.custom or request.note},
        "reprint": {"mark": ""},
        "print": {"time": "", "sequence": "1/1"},
        "service": {"text": f"{request.weight_g / 1000:.2f} kg" if request.weight_g else ""},
        "qr": waybill.number,
    }
