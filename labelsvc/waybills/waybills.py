"""A store's waybills (面单): the room's verbs in one place, and those that only look or hold.

Hides which activity does what: getting numbers, printing, updating, handing over, giving numbers back.
"""

from __future__ import annotations

from collections.abc import Sequence

from labelsvc.db import Database
from labelsvc.errors import Invalid
from labelsvc.log import get_logger
from labelsvc.printing import Printers, PrintJobs
from labelsvc.security import Actor, Right
from labelsvc.waybills import store as rows
from labelsvc.waybills.askers import Askers
from labelsvc.waybills.asking import Asking
from labelsvc.waybills.carriers import Networks
from labelsvc.waybills.divisions import Divisions
from labelsvc.waybills.handover import Handover
from labelsvc.waybills.issuing import Issuing
from labelsvc.waybills.logos import CarrierLogos
from labelsvc.waybills.model import LIVE, UNSETTLED, Waybill, WaybillEvent, WaybillState, text_fault
from labelsvc.waybills.numbers import check_number
from labelsvc.waybills.people import People
from labelsvc.waybills.printouts import Printouts
from labelsvc.waybills.reconciling import Reconciling
from labelsvc.waybills.register import Register
from labelsvc.waybills.update_store import pending_update
from labelsvc.waybills.updating import Updating
from labelsvc.waybills.voiding import Voiding

_log = get_logger("waybills")


class Waybills:
    """A store's waybills."""

    def __init__(
        self,
        database: Database,
        networks: Networks,
        jobs: PrintJobs,
        printers: Printers,
        divisions: Divisions,
        timeout_s: float = 10,
        template: str = "waybill-76x130",
        logos: CarrierLogos | None = None,
    ) -> None:
        """``timeout_s`` is the network's longest answer; ``template`` what a label is printed with unless told, of a
        direct-operated carrier the one of that name with ``-direct``."""
        self._database = database
        self._jobs = jobs
        self._register = register = Register(database, jobs)
        asking = Asking(database, networks, register, timeout_s)
        issuing = self._issuing = Issuing(database, asking, divisions, register)
        printouts = Printouts(database, register, jobs, printers, template, logos)
        voiding = self._voiding = Voiding(database, networks, register, jobs, issuing, timeout_s)
        self.take_over = Askers(database, timeout_s).take_over
        self.stop = asking.stop
        self.issue = issuing.issue
        self.issue_many = issuing.issue_many
        self.issue_set = issuing.issue_set
        self.reconcile = Reconciling(database, networks, register, asking, issuing).reconcile
        self.print = printouts.print
        self.reprint = printouts.reprint
        self.open_pdf = printouts.open_pdf
        self.follow_printing = printouts.follow_printing
        self.cancel = voiding.cancel
        updating = Updating(database, networks, register, jobs, issuing, timeout_s)
        self.update = updating.update
        self.settle_updates = updating.settle
        self.void_labels = updating.void_labels
        self.confirm_destroyed = updating.confirm_destroyed
        handover = Handover(database, networks, register, jobs)
        self.hand_over = handover.hand_over
        self.follow_traces = handover.follow_traces
        self.check_number = check_number
        people = People(database, register)
        self.clear = people.clear
        self.find_person = people.find_person
        self.erasable = people.erasable
        self.erase = people.erase

    def settle(self, limit: int = 200) -> int:
        """Bring to an end what a crash or a silent network left open; for the daemon, at its start and every few seconds.

        Answers how many waybills were settled.
        """
        return self._issuing.settle(limit) + self._voiding.settle(limit)

    def get(self, actor: Actor, id_or_number: str) -> Waybill:
        """A waybill of the store, parties masked. Raises NotFound."""
        actor.require(Right.READ_WAYBILLS)
        return self._register.own(actor, id_or_number).waybill.masked()

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
        own = self._register.own(actor, waybill_id)
        with self._database.reading() as connection:
            return rows.waybill_history(connection, own.waybill.id)

    def count_states(self) -> dict[str, int]:
        """How many waybills of all stores are in each state, for the metrics."""
        with self._database.reading() as connection:
            return rows.count_states(connection)

    def of_order(self, owner_id: str, order_number: str) -> Sequence[Waybill]:
        """The live waybills, of whatever store, that an order of ``owner_id`` is in; for the room above, parties masked."""
        with self._database.reading() as connection:
            found = rows.live_of_order(connection, owner_id, order_number)
        return [filed.waybill.masked() for filed in found]

    def hold(self, actor: Actor, waybill_id: str, reason: str) -> Waybill:
        """Keep a waybill's label from coming out (P10), also one that is queued."""
        actor.require(Right.ISSUE_WAYBILLS)
        return self._hold(self._register.own(actor, waybill_id).waybill, reason)

    def release(self, actor: Actor, waybill_id: str) -> Waybill:
        """Let a held waybill's label come out again."""
        actor.require(Right.ISSUE_WAYBILLS)
        return self._release(self._register.own(actor, waybill_id).waybill)

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
        with self._database.transaction() as connection:
            found = rows.filed(connection, waybill.id, lock=True)
            assert found is not None
            rows.set_held(connection, waybill.id, reason)
            self._jobs.block(found.waybill.subject, reason, connection)
        return self._register.filed(waybill.id).waybill.masked()

    def _release(self, waybill: Waybill) -> Waybill:
        with self._database.transaction() as connection:
            found = rows.filed(connection, waybill.id, lock=True)
            assert found is not None
            rows.set_held(connection, waybill.id, "")
            if found.waybill.state in LIVE | UNSETTLED and pending_update(connection, waybill.id) is None:
                self._jobs.unblock(found.waybill.subject, connection)
        return self._register.filed(waybill.id).waybill.masked()
