"""Giving a number back (W5): by way of *void pending*, so that no label of a cancelled number can be out unnoticed.

Hides the order of things: the intent, the block on the label, the look whether one came out, the network's answer; the
lease by which one of many asks the network; that a repeated cancellation looks first whether it already happened; and the
pauses, growing, after which a network that refuses for the moment is asked again.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta

from labelsvc.db import Database
from labelsvc.errors import Conflict, LabelsvcError, Refused
from labelsvc.log import get_logger
from labelsvc.printing import PrintJobs
from labelsvc.security import Actor, Right
from labelsvc.waybills import store as rows
from labelsvc.waybills.carriers import Networks, NetworkSilent
from labelsvc.waybills.issuing import Issuing
from labelsvc.waybills.model import OUT, UNSETTLED, Filed, VoidWait, Waybill, WaybillState
from labelsvc.waybills.printouts import MAYBE_ON_PAPER, WAITING
from labelsvc.waybills.register import Register
from labelsvc.waybills.subscription_store import access_token
from labelsvc.waybills.subscriptions import not_connected

_log = get_logger("waybills")

_POLL_S = 0.05
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=2)
#: The number is free already: by an earlier try, or by the carrier's own recycling.
_GONE = ("waybill.was_cancelled", "waybill.unknown_number")


class Voiding:
    """Cancels waybills."""

    def __init__(
        self,
        database: Database,
        networks: Networks,
        register: Register,
        jobs: PrintJobs,
        issuing: Issuing,
        timeout_s: float,
    ) -> None:
        """``timeout_s`` is the network's longest answer: a lease outlives a look and a call."""
        self._database = database
        self._networks = networks
        self._register = register
        self._jobs = jobs
        self._issuing = issuing
        self._lease = timedelta(seconds=3 * timeout_s)

    def cancel(self, actor: Actor, waybill_id: str, label_destroyed: bool = False) -> Waybill:
        """Give a number back (W5). Twice is harmless.

        The answer is *cancelled*, or *void pending*: ``void_wait`` ``label`` if a label may be on paper (ask again with
        ``label_destroyed`` once it is destroyed), ``network`` if the network doesn't do it now (``reason`` says why, as
        ``waybill.cancel_limit``; it is asked again by itself, at ``next_try_at``). Raises Refused ``waybill.handed_over``
        or ``waybill.picked_up``, Conflict ``waybill.not_issued``, Unavailable while its number isn't known.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        found = self._register.own(actor, waybill_id)
        if found.waybill.state in UNSETTLED:
            self._issuing.outcome(actor, found.waybill.id)
            found = self._register.own(actor, waybill_id)
        waybill = found.waybill
        if waybill.state is WaybillState.REFUSED:
            raise Conflict(
                "the waybill never got a number", code="waybill.not_issued", state=waybill.state.value
            )
        # The intent first, with a next try: whatever stops us, settle goes on.
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                waybill.id,
                [WaybillState.ISSUED, WaybillState.PRINTED, WaybillState.VOID_PENDING],
                WaybillState.VOID_PENDING,
                now=self._database.now(),
                actor=actor.user_id,
                reason=waybill.reason if waybill.state is WaybillState.VOID_PENDING else "",
                values={
                    "void_wait": VoidWait.NETWORK.value,
                    "next_try_at": self._database.now() + _FIRST_PAUSE,
                    "label_destroyed": label_destroyed or found.label_destroyed,
                },
            )
        found = self._register.filed(waybill.id)
        if found.waybill.state in OUT:
            raise Refused(
                "the parcel was handed over: its number can't be cancelled any more",
                code="waybill.handed_over",
                state=found.waybill.state.value,
            )
        return self._void(found, actor)

    def settle(self, limit: int = 50) -> int:
        """Go on with interrupted cancellations and those that the network refused for the moment; how many ended."""
        settled = 0
        with self._database.reading() as connection:
            voids = rows.voids_waiting(connection, self._database.now(), limit)
        for id in voids:
            found = self._register.filed(id)
            try:
                self._void(found, Actor.operator(found.waybill.store_id, via="settle"))
            except LabelsvcError as fault:
                _log.info("waybill.void_pending", waybill=id, reason=fault.code)
            settled += self._register.filed(id).waybill.state is not WaybillState.VOID_PENDING
        return settled

    def _void(self, found: Filed, actor: Actor) -> Waybill:
        """Block the label, see whether one is out, and give the number back; of a void-pending waybill."""
        waybill = found.waybill
        if waybill.state is not WaybillState.VOID_PENDING:
            return waybill.masked()
        self._jobs.block(waybill.subject, "waybill cancelled")
        # After the block, no label of it can begin to leave; those that began are seen now.
        labels = self._register.all_labels(waybill)
        operator = Actor.operator(waybill.store_id, via=actor.via)
        for job_id in {label.job_id for label in labels if label.state in WAITING}:
            with suppress(Conflict):  # its turn came meanwhile, and the block cancelled it
                self._jobs.cancel(operator, job_id)
        if any(label.state in MAYBE_ON_PAPER for label in labels) and not found.label_destroyed:
            return self._wait(found, None, VoidWait.LABEL, "label.on_paper", None)
        now = self._database.now()
        with self._database.transaction() as connection:
            fence = rows.take_lease(connection, found, now, now + self._lease)
            if fence is not None:
                rows.count_void_try(connection, waybill.id, fence)
        if fence is None:
            return self._another_asks(waybill.id)
        return self._ask(found, fence, actor)

    def _another_asks(self, id: str) -> Waybill:
        """The waybill once whoever asks the network has an answer."""
        while True:
            found = self._register.filed(id)
            asked = found.attempt_until is not None and found.attempt_until >= self._database.now()
            if found.waybill.state is not WaybillState.VOID_PENDING or not asked:
                return found.waybill.masked()
            time.sleep(_POLL_S)

    def _ask(self, found: Filed, fence: int, actor: Actor) -> Waybill:
        """The effect, with no transaction open, and its outcome. Raises Refused ``waybill.picked_up``."""
        waybill = found.waybill
        assert waybill.number is not None
        with self._database.reading() as connection:
            token = access_token(connection, waybill.store_id)
        network = self._networks.of(found.network)
        try:
            if token is None:
                raise not_connected()
            if found.void_tries:
                # The try before may have done it, though its answer never came.
                network.query(token, waybill.carrier, waybill.number)
            network.cancel(token, waybill.carrier, waybill.number)
        except NetworkSilent as silence:
            return self._wait(found, fence, VoidWait.NETWORK, silence.code, self._next_try(found))
        except Refused as refusal:
            if refusal.code == "waybill.picked_up":
                self._revive(waybill, fence, actor)
                raise
            if refusal.code not in _GONE:
                return self._wait(found, fence, VoidWait.NETWORK, refusal.code, self._next_try(found))
        now = self._database.now()
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                waybill.id,
                [WaybillState.VOID_PENDING],
                WaybillState.CANCELLED,
                now=now,
                actor=actor.user_id,
                fence=fence,
                values={"void_wait": None, "attempt_until": None, "next_try_at": None, "cancelled_at": now},
            )
        _log.info("waybill.cancelled", waybill=waybill.id, carrier=waybill.carrier)
        return self._register.filed(waybill.id).waybill.masked()

    def _next_try(self, found: Filed) -> datetime:
        pause = min(_FIRST_PAUSE * float(2 ** min(found.void_tries, 10)), _LONGEST_PAUSE)
        return self._database.now() + pause

    def _wait(
        self, found: Filed, fence: int | None, wait: VoidWait, reason: str, next_at: datetime | None
    ) -> Waybill:
        id = found.waybill.id
        with self._database.transaction() as connection:
            rows.set_void(connection, id, wait, reason, next_at, fence=fence)
        _log.info("waybill.void_pending", waybill=id, reason=reason, tries=found.void_tries)
        return self._register.filed(id).waybill.masked()

    def _revive(self, waybill: Waybill, fence: int, actor: Actor) -> None:
        """The carrier has the parcel: the number lives on, and its label stays in, as of any parcel that is out."""
        now = self._database.now()
        with self._database.transaction() as connection:
            rows.step_waybill(
                connection,
                waybill.id,
                [WaybillState.VOID_PENDING],
                WaybillState.HANDED_OVER,
                now=now,
                actor=actor.user_id,
                reason="waybill.picked_up",
                fence=fence,
                values={
                    "void_wait": None,
                    "attempt_until": None,
                    "next_try_at": None,
                    "label_destroyed": False,
                    "handed_over_at": now,
                },
            )
