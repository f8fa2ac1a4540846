"""A parcel's way once it leaves the bench (W5): handed over by us, then in transit and delivered as the carrier's scans say.

Hides the pace at which scans are looked at, so that a waybill is asked about at most every ten minutes and ever more seldom,
by one process; and that a life never goes backwards, in whatever order news arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, LabelsvcError, Refused
from labelsvc.log import get_logger
from labelsvc.printing import PrintJobs
from labelsvc.security import Actor, Right
from labelsvc.waybills import store as rows
from labelsvc.waybills.carriers import Networks, NetworkSilent, Trace
from labelsvc.waybills.model import LIVE, OUT, STEPS, Filed, Waybill, WaybillState
from labelsvc.waybills.register import Register
from labelsvc.waybills.subscription_store import access_token
from labelsvc.waybills.update_store import pending_update

_log = get_logger("waybills")

HAND_OVERS = 500
#: A waybill's scans are looked at this often at most; an older one's after a twelfth of its age.
_LEAST_PAUSE = timedelta(minutes=10)
_LONGEST_PAUSE = timedelta(hours=12)
#: What hasn't arrived by then won't be heard of any more.
_GIVE_UP = timedelta(days=60)

_STATE_AFTER = {
    "picked_up": WaybillState.HANDED_OVER,
    "in_transit": WaybillState.IN_TRANSIT,
    "delivered": WaybillState.DELIVERED,
}
_ORDER = (WaybillState.HANDED_OVER, WaybillState.IN_TRANSIT, WaybillState.DELIVERED)


class Handover:
    """Hands parcels over and follows them."""

    def __init__(self, database: Database, networks: Networks, register: Register, jobs: PrintJobs) -> None:
        self._database = database
        self._networks = networks
        self._register = register
        self._jobs = jobs

    def hand_over(self, actor: Actor, ids_or_numbers: Sequence[str]) -> list[Waybill | LabelsvcError]:
        """Note that parcels left with the carrier: a result for each of at most 500, in order.

        An item is NotFound, Conflict ``waybill.handed_over`` (a second time), ``waybill.void`` (cancelled, or about to be),
        ``waybill.not_issued``, ``waybill.update_open``, ``waybill.label_void`` (it was updated, and its new label isn't
        printed: the one on the parcel is invalid, W6), or Refused ``waybill.held``. Raises Invalid.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        if not 1 <= len(ids_or_numbers) <= HAND_OVERS:
            raise Invalid(f"must be 1 to {HAND_OVERS} waybills", field="waybills")
        results: list[Waybill | LabelsvcError] = []
        for name in ids_or_numbers:
            try:
                results.append(self._hand_over(actor, self._register.own(actor, name).waybill.id))
            except LabelsvcError as fault:
                results.append(fault)
        return results

    def _hand_over(self, actor: Actor, id: str) -> Waybill:
        now = self._database.now()
        with self._database.transaction() as connection:
            found = rows.filed(connection, id, lock=True)
            assert found is not None
            waybill = found.waybill
            _require_presentable(waybill)
            if pending_update(connection, id) is not None:
                raise Conflict("an update of the waybill is on its way", code="waybill.update_open")
            rows.step_waybill(
                connection,
                id,
                LIVE,
                WaybillState.HANDED_OVER,
                now=now,
                actor=actor.user_id,
                values={"handed_over_at": now},
            )
            # A label that still waits would go on a second parcel.
            self._jobs.block(waybill.subject, "waybill handed over", connection)
        _log.info("waybill.handed_over", waybill=id, carrier=waybill.carrier)
        return self._register.filed(id).waybill.masked()

    def follow_traces(self, limit: int = 20) -> int:
        """Look at the carrier's scans of the waybills that are due, and take the steps that they tell; how many it took.

        Stops at the first silence of a network: the others would only wait for it too, and are due again soon.
        """
        taken = 0
        with self._database.reading() as connection:
            due = rows.looks_due(connection, self._database.now(), limit)
        for id, seen in due:
            found = self._register.filed(id)
            now = self._database.now()
            with self._database.transaction() as connection:
                mine = rows.take_look(connection, id, seen, _next_look(found.waybill, now))
            if not mine or found.waybill.number is None:
                continue
            try:
                taken += self._follow(found)
            except NetworkSilent as silence:
                _log.info("waybill.trace_silent", waybill=id, reason=silence.code)
                break
            except LabelsvcError as fault:
                _log.info("waybill.no_trace", waybill=id, reason=fault.code)
        return taken

    def _follow(self, found: Filed) -> bool:
        waybill = found.waybill
        assert waybill.number is not None
        with self._database.reading() as connection:
            token = access_token(connection, waybill.store_id)
        if token is None:
            return False
        traces = self._networks.of(found.network).traces(token, waybill.carrier, waybill.number)
        return self._apply(waybill.id, traces)

    def _apply(self, id: str, traces: Sequence[Trace]) -> bool:
        told = {_STATE_AFTER[trace.action]: trace.at for trace in reversed(traces) if trace.action != "other"}
        if not told:
            return False
        furthest = max(told, key=_ORDER.index)
        with self._database.transaction() as connection:
            found = rows.filed(connection, id, lock=True)
            assert found is not None
            waybill = found.waybill
            if furthest not in STEPS[waybill.state]:
                return False
            values: dict[str, Any] = {"void_wait": None, "next_try_at": None}
            if waybill.handed_over_at is None:
                values["handed_over_at"] = min(told.values())
            if furthest is WaybillState.DELIVERED:
                values["delivered_at"] = told[furthest]
            now = self._database.now()
            if furthest is not WaybillState.DELIVERED:
                values["next_look_at"] = _next_look(waybill, now)
            taken = rows.step_waybill(
                connection,
                id,
                [waybill.state],
                furthest,
                now=now,
                actor="carrier",
                reason="waybill.picked_up" if waybill.state is WaybillState.VOID_PENDING else "",
                values=values,
            )
            if waybill.state not in OUT:
                self._jobs.block(waybill.subject, "waybill handed over", connection)
        _log.info("waybill.scanned", waybill=id, carrier=waybill.carrier, state=furthest.value)
        return taken


def _require_presentable(waybill: Waybill) -> None:
    """Raises Conflict, Refused, as ``hand_over`` says."""
    if waybill.state in OUT:
        raise Conflict(
            "the waybill was handed over before",
            code="waybill.handed_over",
            state=waybill.state.value,
            handed_over_at=waybill.handed_over_at.isoformat() if waybill.handed_over_at else None,
        )
    if waybill.state in (WaybillState.VOID_PENDING, WaybillState.CANCELLED):
        raise Conflict(
            "the waybill's number is given back: take the parcel out",
            code="waybill.void",
            state=waybill.state.value,
        )
    if waybill.state not in LIVE:
        raise Conflict("the waybill has no number", code="waybill.not_issued", state=waybill.state.value)
    if waybill.held_reason:
        raise Refused("the waybill is held", code="waybill.held")
    if waybill.revision and waybill.state is not WaybillState.PRINTED:
        raise Conflict(
            "the waybill was updated and its new label isn't printed: an older one is invalid",
            code="waybill.label_void",
            revision=waybill.revision,
        )


def _next_look(waybill: Waybill, now: datetime) -> datetime | None:
    """When the scans of a waybill are looked at again, or None once it is too old to be heard of."""
    age = now - (waybill.issued_at or waybill.created_at)
    if age > _GIVE_UP:
        return None
    return now + min(max(_LEAST_PAUSE, age / 12), _LONGEST_PAUSE)
