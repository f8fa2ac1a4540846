"""A waybill's label on paper: printed once, reprinted with a reason (W8), opened as PDF (P6).

Hides the print claim: which key asked for the label, word for word, so that an interrupted print is finished and never
doubled; that a label shows its recipient masked unless the merchant whose order it is chose otherwise; that an update makes
it another label (W6); that a direct-operated carrier's label is another one (E9), and where its logo comes from; and the
cursor in printing's feed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

from labelsvc.db import Database
from labelsvc.errors import Conflict, Gone, KeyReused, LabelsvcError, Refused, Unavailable
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
from labelsvc.waybills.label_data import with_masked_recipient
from labelsvc.waybills.logos import CarrierLogos
from labelsvc.waybills.model import (
    LIVE,
    CarrierKind,
    Filed,
    PrintWish,
    Waybill,
    WaybillState,
    read_subject,
)
from labelsvc.waybills.people_store import clear_labels
from labelsvc.waybills.register import Register, check_key
from labelsvc.waybills.subscription_store import kind_of

_FEED = "waybills.printing"
#: Labels print China's time whatever the machine says; China has no summer time.
_CHINA = timezone(timedelta(hours=8))
#: A label in one of these states is on paper, or may be.
MAYBE_ON_PAPER = frozenset({LabelState.SENDING, LabelState.SENT, LabelState.PRINTED, LabelState.UNCERTAIN})
WAITING = frozenset({LabelState.QUEUED, LabelState.HELD})


class Printouts:
    """Prints waybills' labels and learns which came out."""

    def __init__(
        self,
        database: Database,
        register: Register,
        jobs: PrintJobs,
        printers: Printers,
        template: str = "waybill-76x130",
        logos: CarrierLogos | None = None,
    ) -> None:
        self._database = database
        self._register = register
        self._jobs = jobs
        self._printers = printers
        self._template = template
        self._logos = logos or CarrierLogos()

    def print(
        self,
        actor: Actor,
        waybill_id: str,
        printer: str,
        key: str,
        template: str | None = None,
        lane: Lane = "bench",
        batch: str = "",
        sequence: str = "",
    ) -> PrintJob:
        """Print a waybill's label, once: the same key again answers the same job.

        ``batch`` (at most 40 characters) and ``sequence`` ("12/80") stand on the label of a batch (T1).

        Raises Conflict ``waybill.already_printed`` with ``job_id`` and ``label_state`` if a label of it waits or may be on
        paper (reprint it with a reason), ``waybill.not_issued``; Refused ``waybill.held``; and what printing raises.
        """
        actor.require(Right.PRINT)
        check_key(key)
        wish = PrintWish(printer, template or self._template, lane, batch, sequence)
        while True:
            found = self._register.own(actor, waybill_id)
            waybill = found.waybill
            if not template and self._is_direct(waybill):
                # Its label names who pays, and has no consolidation centre (E9).
                wish = replace(wish, template=f"{self._template}-direct")
            if found.print_key == key and found.print_no:
                if found.print_wish != wish:
                    raise KeyReused("this key was used to print the waybill in another way")
                return self._submit(actor, found)
            _require_printable(waybill)
            standing = [
                label for label in self._register.labels(waybill) if label.state in MAYBE_ON_PAPER | WAITING
            ]
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
                if any(label.state in MAYBE_ON_PAPER | WAITING for label in job.labels):
                    raise _printed_before(job.labels[-1])
            with self._database.transaction() as connection:
                clear = clear_labels(connection, waybill.owner_id)
                rows.claim_print(connection, found, key, wish, clear, self._database.now())

    def reprint(self, actor: Actor, waybill_id: str, printer: str | None, reason: str, key: str) -> PrintJob:
        """Print once more a label that came out (W8): counted, with a reason, marked on the label.

        Raises Conflict ``waybill.not_printed`` if none did, and what printing raises (an uncertain label is answered first).
        """
        actor.require(Right.PRINT)
        waybill = self._register.own(actor, waybill_id).waybill
        _require_printable(waybill)
        out = [label for label in self._register.labels(waybill) if label.state in MAYBE_ON_PAPER]
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
        # What stands beside the claim, a logo's file, may have changed since: the stored job is the answer all the same.
        if (stored := self._jobs.of_key(actor, _job_key(found))) is not None:
            return stored
        wish, at = found.print_wish, found.print_at
        assert wish is not None and at is not None and found.print_data is not None
        waybill = found.waybill
        document = DocumentRequest(
            template=wish.template,
            data={
                **(found.print_data if found.print_clear else with_masked_recipient(found.print_data)),
                **self._of_carrier(waybill),
                "print": {
                    "time": at.astimezone(_CHINA).strftime("%Y-%m-%d %H:%M"),
                    "batch": wish.batch,
                    "sequence": wish.sequence or f"{waybill.piece}/{waybill.pieces}",
                },
            },
            subject=waybill.subject,
            title=waybill.number or "",
            private=waybill.owner_id != waybill.store_id,
            replaces=tuple(subject for subject in waybill.subjects if subject != waybill.subject),
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

    def _is_direct(self, waybill: Waybill) -> bool:
        with self._database.reading() as connection:
            return kind_of(connection, waybill.subscription_id) is CarrierKind.DIRECT

    def _of_carrier(self, waybill: Waybill) -> dict[str, Any]:
        """What the label shows of its carrier: who pays a direct-operated one, and a logo in the name's place."""
        shown: dict[str, Any] = {}
        if self._is_direct(waybill):
            shown["payment"] = {"text": "寄付月结"}
        if logo := self._logos.of(waybill.carrier):
            shown |= {"carrierLogo": logo, "carrierName": ""}
        return shown

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
                    named = read_subject(change.subject)
                    if named is None:
                        continue
                    id, revision = named
                    rows.step_waybill(
                        connection,
                        id,
                        [WaybillState.ISSUED],
                        WaybillState.PRINTED,
                        now=self._database.now(),
                        actor="printing",
                        revision=revision,
                        values={"printed_at": change.at},
                    )
        except rows.Raced:
            return 0
        return len(changes)


def _job_key(found: Filed) -> str:
    """Printing's key of a print claim: one claim, one job."""
    return f"waybill:{found.waybill.id}:print:{found.print_no}"


def _require_printable(waybill: Waybill) -> None:
    """Raises Conflict ``waybill.not_issued``, Refused ``waybill.held``, Gone ``waybill.erased``."""
    if waybill.state not in LIVE:
        raise Conflict(
            f"the waybill is {waybill.state.value}: there is nothing to print",
            code="waybill.not_issued",
            state=waybill.state.value,
        )
    if waybill.held_reason:
        raise Refused("the waybill is held", code="waybill.held")
    if waybill.erased_at is not None:
        raise Gone("the waybill's personal data were erased", code="waybill.erased")


def _printed_before(label: Label) -> Conflict:
    waits = label.state in WAITING
    return Conflict(
        "the waybill's label waits to be printed"
        if waits
        else "the waybill was printed; reprint it with a reason",
        code="waybill.already_printed",
        job_id=label.job_id,
        label_id=label.id,
        label_state=label.state.value,
    )
