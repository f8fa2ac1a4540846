"""Print jobs: submit, look, wait, hold, cancel, resolve, reprint, open as PDF; never a byte on a wire.

Hides validation, idempotency and the check that composes every document before anything is stored. Sending is the spooler's.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelsvc.db import Database, take_turn
from labelsvc.errors import Conflict, FieldError, Gone, Invalid, KeyReused, NotFound, Refused, TemplateError
from labelsvc.labels import Page, StandardTemplates, quality
from labelsvc.languages import Target, encode
from labelsvc.log import get_logger
from labelsvc.printing import journal, printer_store, second_copies, store
from labelsvc.printing.model import (
    DITHERS,
    FITS,
    LANES,
    MAX_EXPIRE_S,
    MAX_PAPER_MM,
    ON_PAPER,
    SETTLED,
    TURNS,
    Change,
    Document,
    DocumentRequest,
    JobState,
    Label,
    LabelState,
    Picture,
    Printer,
    PrintJob,
    PrintRequest,
    Turn,
)
from labelsvc.printing.printers import Printers
from labelsvc.printing.rendering import Rendering, require_whole
from labelsvc.printing.sources import PictureSources
from labelsvc.printing.wakeups import Wakeups
from labelsvc.security import Actor, Audit, Right, fingerprint

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = get_logger("printing")

MAX_DOCUMENTS = 10_000
MAX_COPIES = 50
MAX_DATA_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_PICTURE_BYTES = 8 * 1024 * 1024
#: Control, format, surrogate, private and unassigned characters, line and paragraph separators.
_UNPRINTABLE = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
#: So many of a job's first labels need not be composed again when their turn comes. All of a large job would fill memory.
_REMEMBERED = 32


class PrintJobs:
    """The jobs of all stores, seen by one actor at a time."""

    def __init__(
        self,
        database: Database,
        printers: Printers,
        templates: StandardTemplates,
        wakeups: Wakeups | None = None,
        sources: PictureSources | None = None,
        font_folder: Path | None = None,
        *,
        ask_s: float = 600,
    ) -> None:
        """``ask_s``: a second copy of a number (P15) that nobody confirms so long is cancelled."""
        self._database = database
        self._printers = printers
        self.wakeups = wakeups or printers.wakeups
        self.rendering = Rendering(templates, sources, font_folder)
        self._audit = Audit(database)
        self._ask = timedelta(seconds=ask_s)

    # ------------------------------------------------------------ taking jobs

    def submit(self, actor: Actor, request: PrintRequest) -> PrintJob:
        """Store a job durably; the answer's ``warnings`` say what a person should know of its pages.

        The same key with the same content answers the same job, however often and however many at once. A label whose
        waybill number is, or may be, on paper already, or waits for it, is held until ``confirm``, for a time (P15). Raises
        Invalid naming every wrong field, TemplateError, KeyReused, and Refused ``label.blocked`` for a blocked subject.
        """
        actor.require(Right.PRINT)
        _validate(request)
        documents = [replace(document, data=_plain(document.data)) for document in request.documents]
        fingerprint = self._fingerprint("print job", _canonical(request, documents))
        with self._database.reading() as connection:
            known = self._known(connection, actor, request.key, fingerprint)
            if known is not None:
                return known
            printer = self._printers.for_request(actor, request.printer, connection)
            areas = _areas(connection, actor, documents)
        now = self._database.now()
        count = len(documents)
        devices = self._kinds(printer)
        checked = [
            self._checked(devices, document, f"documents[{number - 1}]", (number, count, now), area)
            for number, (document, area) in enumerate(zip(documents, areas, strict=True), 1)
        ]
        job = journal.NewJob(
            store_id=actor.store_id,
            printer_id=printer.id,
            key=request.key,
            fingerprint=fingerprint,
            lane=request.lane,
            hold=request.hold,
            origin=request.origin,
            created_by=actor.user_id,
            reason="",
            documents=[each.document for each in checked],
            expires_at=now + timedelta(seconds=request.expire_s) if request.expire_s else None,
            asked_until=now + self._ask,
            to_group=printer.is_group,
        )
        return self._store(actor, devices[0], job, [each.pages for each in checked if each.pages], now)

    def reprint(
        self, actor: Actor, label_id: str, reason: str, key: str, printer: str | None = None
    ) -> PrintJob:
        """Print once more a label that came out, with its count and the mark 补打 第N次 on it (W8).

        Raises Invalid (``reason`` is required, 1 to 200 characters), KeyReused, Refused ``label.blocked``, Gone
        ``label.erased``, and Conflict ``label.uncertain`` (answer that first) or ``label.not_printed``.
        """
        actor.require(Right.PRINT)
        faults = [*_text_faults("reason", reason, 1, 200), *_text_faults("key", key, 1, 200)]
        if isinstance(reason, str) and not reason.strip():
            faults = [FieldError("reason", "must say why")]
        if faults:
            raise Invalid("the reprint is wrong", code="reprint.invalid", errors=faults)
        fingerprint = self._fingerprint("reprint", [label_id, reason, printer])
        while True:
            with self._database.reading() as connection:
                known = self._known(connection, actor, key, fingerprint)
                if known is not None:
                    return known
                first = _label(connection, actor, label_id)
                _require_on_paper(first)
                stored = journal.document_of(connection, label_id)
                require_whole(stored)
                count = journal.reprints(connection, first) + 1
                place = printer_store.printer_of_label(connection, first)
            if printer is not None:
                place = self._printers.for_request(actor, printer)
            data = {**stored.data, "reprint": {"mark": f"补打 第{count}次"}}
            now = self._database.now()
            devices = self._kinds(place)
            checked = self._checked(
                devices,
                DocumentRequest(
                    template=stored.template,
                    template_text=stored.template_text,
                    data=data,
                    subject=stored.subject,
                    title=stored.title,
                    private=stored.private,
                    picture=stored.picture,
                ),
                "label",
                (1, 1, now),
                stored.area_text,
                stored.images,
                reprint_of=first.reprint_of or first.id,
                reprint_count=count,
            )
            job = journal.NewJob(
                store_id=actor.store_id,
                printer_id=place.id,
                key=key,
                fingerprint=fingerprint,
                lane=first.lane,
                hold=False,
                origin="reprint",
                created_by=actor.user_id,
                reason=reason,
                documents=[checked.document],
                to_group=place.is_group,
            )

            def still_this_count(connection: Connection, first: Label = first, count: int = count) -> bool:
                _require_on_paper(_label(connection, actor, first.id))
                return journal.reprints(connection, first) + 1 == count

            try:
                return self._store(actor, devices[0], job, [checked.pages], now, still_this_count)
            except _Overtaken:  # another reprint took this count, and it stands on the label
                continue

    # ------------------------------------------------------------ looking

    def get(self, actor: Actor, job_id: str) -> PrintJob:
        """One job. Raises NotFound."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            return _job(connection, actor, job_id)

    def of_key(self, actor: Actor, key: str) -> PrintJob | None:
        """The store's job that was posted with a key, whatever its content; None if there is none."""
        actor.require(Right.PRINT)
        with self._database.reading() as connection:
            found = journal.find_job_by_key(connection, actor.store_id, key)
        return found[0] if found else None

    def label(self, actor: Actor, label_id: str) -> Label:
        """One label. Raises NotFound."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            return _label(connection, actor, label_id)

    def labels(self, actor: Actor, subject: str) -> list[Label]:
        """The store's labels of a subject, oldest first."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            return journal.labels_of_subject(connection, actor.store_id, subject)

    def history(self, actor: Actor, job_id: str) -> list[Change]:
        """Every step of a job's labels, in order (P9). Raises NotFound."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            _job(connection, actor, job_id)
            return journal.history(connection, actor.store_id, job_id)

    def changes(self, after: int, limit: int = 100) -> list[Change]:
        """The feed of all stores from number ``after`` (not included) on, for rooms above that keep a cursor."""
        with self._database.reading() as connection:
            return journal.changes_after(connection, after, limit)

    def count_states(self) -> dict[str, int]:
        """How many labels of all stores are in each state, for the metrics."""
        with self._database.reading() as connection:
            return journal.count_states(connection)

    def wait(self, actor: Actor, job_id: str, timeout_s: float) -> PrintJob:
        """The job once all its labels are settled (an uncertain one is), or as it is after ``timeout_s``."""
        actor.require(Right.READ_JOBS)
        end = time.monotonic() + timeout_s
        while True:
            turn = self.wakeups.turn
            with self._database.reading() as connection:
                states = journal.job_states(connection, actor.store_id, job_id)
                if states <= SETTLED or time.monotonic() >= end:  # no states: no such job
                    return _job(connection, actor, job_id)
            self.wakeups.wait_for_change(turn, max(0.0, end - time.monotonic()))

    def pages(self, actor: Actor, label_id: str) -> tuple[Page, ...]:
        """The label's pages, to look at: counts nothing. May show clear data, so it needs the right, and the look is
        written down (D7, R1). Raises Gone ``label.erased``."""
        actor.require(Right.READ_JOBS)
        actor.require(Right.SEE_CLEAR_DATA)
        with self._database.reading() as connection:
            label = _label(connection, actor, label_id)
            document = journal.document_of(connection, label_id)
            printer = printer_store.printer_of_label(connection, label)
        printer = self._printers.devices(printer)[0]
        if document.private:
            actor.require(Right.SEE_OTHERS_DATA)
        pages = self.rendering.pages_of(document, printer, self._printers.profile(printer))
        with self._database.transaction() as connection:
            self._audit.note(connection, actor, "label.preview", f"label:{label_id}")
        return pages

    def preview(self, actor: Actor, label_id: str, number: int = 1) -> bytes:
        """One of ``pages`` (from 1) as PNG. There is no preview as PDF: opening that is a print (P6).

        Raises NotFound ``page.not_found`` beyond the last.
        """
        pages = self.pages(actor, label_id)
        if not 1 <= number <= len(pages):
            raise NotFound("the label has no such page", code="page.not_found")
        return encode(pages[number - 1], Target("png", pages[number - 1].dpi))

    def quality(self, actor: Actor, label_id: str) -> list[dict[str, Any]]:
        """How well each barcode of a label can be scanned by its geometry, as ``labels.quality`` judged it when the job was
        taken. Raises NotFound."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            _label(connection, actor, label_id)
            found: list[dict[str, Any]] = json.loads(journal.symbols_of(connection, label_id))
        return found

    # ------------------------------------------------------------ what a person decides

    def hold(self, actor: Actor, job_id: str) -> PrintJob:
        """Keep a job's queued labels back; their place in the queue stays. Raises Conflict if none is queued."""
        return self._move(actor, job_id, {LabelState.QUEUED}, LabelState.HELD)

    def release(self, actor: Actor, job_id: str) -> PrintJob:
        """Let a job's held labels go, but for second copies, of which each is a question of its own (``confirm``).

        Raises Conflict ``job.state`` if none is held, ``label.second_copy`` if only such ones are.
        """
        return self._move(actor, job_id, {LabelState.HELD}, LabelState.QUEUED)

    def move(
        self, actor: Actor, job_id: str, printer: str, label_ids: Collection[str] | None = None
    ) -> PrintJob:
        """Let a job's waiting labels, or those named, print elsewhere: made anew for that printer, behind what waits there.

        A label whose bytes left, or may have, stays where it is. Raises NotFound, Invalid on ``printer`` (none such, or
        too narrow for a label), Conflict ``job.state`` if none waits, ``label.step`` if one that is named doesn't.
        """
        actor.require(Right.PRINT)
        place = self._printers.for_request(actor, printer)
        with self._database.reading() as connection:
            job = _job(connection, actor, job_id)
            moving = _waiting(job, label_ids)
            documents = {label.document_no: label.id for label in moving}
        for label_id in documents.values():
            self._require_printable(label_id, place)
        now = self._database.now()
        with self._database.transaction(journal.TURN) as connection:
            job = _job(connection, actor, job_id)
            moving = [label for label in _waiting(job, label_ids) if label.printer_id != place.id]
            for label in moving:
                before = printer_store.printer_of_label(connection, label)
                self._moved(connection, actor, label.id, before, place, now)
            job = _job(connection, actor, job_id)
            if all(label.printer_id == place.id for label in job.labels):
                journal.name_printer(connection, job_id, place.id)
                job = replace(job, printer_id=place.id)
        log.info("print.moved", job=job_id, printer=place.id, count=len(moving))
        self._tell(place.id)
        return job

    def confirm(self, actor: Actor, label_id: str, wanted: bool) -> Label:
        """A person's answer to a second copy of a waybill number (P15): print it all the same, or don't.

        Raises Conflict ``label.step`` if the label doesn't wait for this answer (any more).
        """
        actor.require(Right.PRINT)
        if not isinstance(wanted, bool):
            raise Invalid("must be true or false", field="wanted")
        now = self._database.now()
        with self._database.transaction(journal.TURN) as connection:
            label = _label(connection, actor, label_id)
            if label.state is not LabelState.HELD or label.held_for != "second_copy":
                raise Conflict(
                    f"the label is {label.state.value} and waits for no answer",
                    code="label.step",
                    state=label.state.value,
                )
            after, verdict = (LabelState.QUEUED, "wanted") if wanted else (LabelState.CANCELLED, "not wanted")
            label = journal.step(
                connection,
                label_id,
                after,
                now,
                actor=actor.user_id,
                reason=f"{verdict}: {label.reason}",
                expires_at=_job(connection, actor, label.job_id).expires_at,
            )
        log.info("print.confirmed", label=label_id, job=label.job_id, wanted=wanted)
        self._tell(label.printer_id)
        return label

    def moved(self, actor: Actor) -> int:
        """How many of the store's labels are held because the database was restored or copied (P14)."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            return len(journal.held_moved(connection, actor.store_id))

    def release_moved(self, actor: Actor) -> int:
        """A person says that this restored or copied database is to print: all the store's labels that are held for that go
        on, in their order; how many."""
        actor.require(Right.PRINT)
        now = self._database.now()
        with self._database.transaction(journal.TURN) as connection:
            found = journal.held_moved(connection, actor.store_id)
            printers = {
                journal.step(connection, label_id, LabelState.QUEUED, now, actor=actor.user_id).printer_id
                for label_id in found
            }
        log.info("print.released", count=len(found))
        for printer_id in printers:
            self._tell(printer_id)
        return len(found)

    def questions(self, actor: Actor) -> list[Label]:
        """The store's labels that wait for a person's answer, oldest first: uncertain ones (``resolve``) and second copies
        (``confirm``)."""
        actor.require(Right.READ_JOBS)
        with self._database.reading() as connection:
            return journal.asked(connection, actor.store_id)

    def expire(self) -> int:
        """Cancel the labels whose time is over before they left; how many. For the daemon's rounds."""
        now = self._database.now()
        with self._database.reading() as connection:
            if not journal.expired(connection, now):
                return 0
        with self._database.transaction(journal.TURN) as connection:
            found = journal.expire(connection, now)
        for label in found:
            log.info("print.expired", label=label.id, job=label.job_id, reason=label.reason)
        self.wakeups.tell_change()
        return len(found)

    def cancel(self, actor: Actor, job_id: str) -> PrintJob:
        """Cancel a job's queued and held labels; the answer's labels show which were, and which were too late.

        Twice is harmless. Raises Conflict if no label could be cancelled.
        """
        return self._move(actor, job_id, {LabelState.QUEUED, LabelState.HELD}, LabelState.CANCELLED)

    def resolve(self, actor: Actor, label_id: str, came_out: bool, printer: str | None = None) -> Label:
        """A person looked at the printer: an uncertain label is printed, or goes next, on its ``printer`` or on another.

        Raises Conflict ``label.step`` if the label isn't uncertain (any more), Gone ``label.erased`` if it is to be sent
        again and can't, Invalid on ``printer`` as ``move``.
        """
        actor.require(Right.PRINT)
        if not isinstance(came_out, bool):
            raise Invalid("must be true or false", field="came_out")
        place = self._printers.for_request(actor, printer) if printer is not None and not came_out else None
        if place is not None:
            with self._database.reading() as connection:
                _label(connection, actor, label_id)
            self._require_printable(label_id, place)
        now = self._database.now()
        with self._database.transaction(journal.TURN) as connection:
            label = _label(connection, actor, label_id)
            if label.state is not LabelState.UNCERTAIN:
                raise Conflict(
                    f"the label is {label.state.value}, not uncertain",
                    code="label.step",
                    state=label.state.value,
                )
            if came_out:
                label = journal.step(
                    connection, label_id, LabelState.PRINTED, now, actor=actor.user_id, reason="came out"
                )
            else:
                require_whole(journal.document_of(connection, label_id))
                label = journal.step(
                    connection,
                    label_id,
                    LabelState.QUEUED,
                    now,
                    actor=actor.user_id,
                    reason="did not come out",
                    place=0,
                    counter_before=None,
                    expires_at=None,  # who was asked wants it now
                )
                before = printer_store.printer_of_label(connection, label)
                if place is not None and place.id != before.id:
                    label = self._moved(connection, actor, label_id, before, place, now)
        log.info("print.resolved", label=label_id, job=label.job_id, came_out=came_out)
        self._tell(label.printer_id)
        return label

    def block(self, subject: str, reason: str, connection: Connection | None = None) -> None:
        """Keep a subject's labels from coming out (P10): the claim that commits ``sending`` looks at this.

        Labels already queued stay so until their turn comes, which cancels them with this reason. With a ``connection``
        the block holds, or not, together with all that its transaction changes.
        """
        with self._turn(connection) as own:
            journal.set_block(own, subject, reason, self._database.now())

    def unblock(self, subject: str, connection: Connection | None = None) -> None:
        """Lift a block; harmless if there is none. ``connection`` as for ``block``."""
        with self._turn(connection) as own:
            journal.clear_block(own, subject)

    def open_pdf(self, actor: Actor, label_id: str) -> bytes:
        """The label as a PDF of exactly its size, once: this is its print (P6), with the spooler's own steps.

        Raises Gone ``pdf.opened`` the second time (a reprint is the way), Refused ``label.blocked``, and Conflict if the
        label is held, cancelled, or not for the built-in printer.
        """
        actor.require(Right.PRINT)
        with self._database.reading() as connection:
            label = _label(connection, actor, label_id)
            printer = printer_store.printer_of_label(connection, label)
            _require_openable(label, printer)
            turn = Turn(label, journal.document_of(connection, label_id))
        rendered = self.rendering.bytes_for(turn.document, printer, self._printers.profile(printer))
        with self._database.transaction(journal.TURN) as connection:
            claimed = journal.claim(
                connection,
                label_id,
                rendered.data,
                None,
                self._database.now(),
                actor.user_id,
                rendered.pages,
                printer=printer,
            )
            if claimed is not None:
                # Nobody can tell a page that never came from one that nobody printed, so there is no doubt to leave behind.
                journal.step(
                    connection,
                    label_id,
                    LabelState.SENT,
                    self._database.now(),
                    actor=actor.user_id,
                    reason="opened in the browser",
                )
                # the page that opens is a look too
                self._audit.note(connection, actor, "label.open_pdf", f"label:{label_id}")
        self.wakeups.tell_change()
        if claimed is None:
            with self._database.reading() as connection:
                label = _label(connection, actor, label_id)
                if label.state is LabelState.CANCELLED:
                    raise Refused("the label is blocked", code="label.blocked", reason=label.reason)
                _require_openable(label, printer)
            raise Conflict("the printer is paused", code="printer.paused")
        log.info("print.opened", label=label_id, job=label.job_id)
        return rendered.data

    def erasable(self, before: datetime) -> int:
        """How many jobs ``erase`` has to do with, made before a time."""
        with self._database.reading() as connection:
            return journal.count_erasable(connection, before)

    def erase(self, before: datetime, limit: int = 100) -> int:
        """Erase what up to ``limit`` jobs made before a time were to print, and the bytes sent; how many jobs were.

        For the daemon's rounds. That they were printed, when, where and how it went stays.
        """
        with self._database.reading() as connection:
            if not journal.erasable(connection, before, 1):
                return 0
        with self._database.transaction(journal.TURN) as connection:
            found = journal.erasable(connection, before, limit)
            journal.erase(connection, [id for id, _ in found], self._database.now())
            for store_id, count in Counter(store_id for _, store_id in found).items():
                eraser = Actor("erasure", store_id, "erasure", frozenset(), "daemon")
                self._audit.note(connection, eraser, "job.erase", f"{count} jobs")
        log.info("print.erased", count=len(found))
        self.wakeups.tell_change()
        return len(found)

    # ------------------------------------------------------------ inside

    @contextmanager
    def _turn(self, connection: Connection | None) -> Iterator[Connection]:
        """The queue's turn, in a transaction of its own or in the one given."""
        if connection is None:
            with self._database.transaction(journal.TURN) as own:
                yield own
        else:
            take_turn(connection, journal.TURN)
            yield connection

    def _known(self, connection: Connection, actor: Actor, key: str, fingerprint: str) -> PrintJob | None:
        found = journal.find_job_by_key(connection, actor.store_id, key)
        if found is None:
            return None
        job, stored = found
        if stored != fingerprint:
            raise KeyReused("this key was used for another request", field="key")
        return job

    def _fingerprint(self, purpose: str, content: Any) -> str:
        return fingerprint(self._database.engine.dialect, purpose, content)

    def _checked(
        self,
        devices: Sequence[Printer],
        document: DocumentRequest,
        field: str,
        place: tuple[int, int, datetime],
        area_text: str | None,
        images: Mapping[str, bytes] | None = None,
        reprint_of: str | None = None,
        reprint_count: int = 0,
    ) -> _Checked:
        """Compose once for each kind of device that it may come out of, so that a fault reaches the person who can mend it;
        faults name the document's field, and what is kept is the first device's.

        ``place`` is the document's number, of how many, and when; ``area_text`` the custom area that stands on it, and
        ``images`` the pictures of the label that a reprint repeats.
        """
        try:
            text = ""
            if document.picture is None:
                text = self.rendering.template(document.template, document.template_text).text
            wanted = Document(
                id="",
                template=document.template,
                template_text=text,
                data=document.data,
                title=document.title,
                subject=document.subject,
                private=document.private,
                started_at=place[2],
                no=place[0],
                count=place[1],
                area_text=area_text,
                picture=document.picture,
                images=images or {},
            )
            for other in devices[1:]:
                self.rendering.check(wanted, other, self._printers.profile(other))
            checked, pages = self.rendering.check(wanted, devices[0], self._printers.profile(devices[0]))
        except NotFound as fault:
            raise Invalid("no such template", code=fault.code, field=f"{field}.template") from None
        except TemplateError as fault:
            raise TemplateError(
                fault.detail, code=fault.code, field=f"{field}.template", **fault.facts
            ) from None
        symbols = [found for page in pages for found in quality.report(page)]
        return _Checked(
            journal.NewDocument(
                template=document.template,
                template_text=text,
                data=dict(document.data),
                title=document.title,
                subject=document.subject,
                copies=document.copies,
                group=document.group,
                private=document.private,
                warnings=[
                    {"code": code, "detail": detail, "source": source}
                    for code, detail, source in dict.fromkeys(
                        (warning.code, warning.detail, warning.source)
                        for page in pages
                        for warning in page.warnings
                    )
                ],
                grade=max((found.grade for found in symbols), default=None),
                symbols=json.dumps([found.json() for found in symbols], separators=(",", ":")),
                area_text=checked.area_text,
                picture=checked.picture,
                images=checked.images,
                pages=len(pages),
                reprint_of=reprint_of,
                reprint_count=reprint_count,
                number=second_copies.number_of(document, pages),
                replaces=document.replaces,
            ),
            pages if place[0] <= _REMEMBERED else (),
        )

    def _kinds(self, printer: Printer) -> list[Printer]:
        """One of each kind of device that a label for ``printer`` may come out of."""
        return list(
            {(one.profile, one.dpi): one for one in reversed(self._printers.devices(printer))}.values()
        )[::-1]

    def _require_printable(self, label_id: str, printer: Printer) -> None:
        """Raise what is wrong with a stored label on another printer, while somebody is there to hear it."""
        with self._database.reading() as connection:
            document = journal.document_of(connection, label_id)
        for device in self._kinds(printer):
            self.rendering.bytes_for(document, device, self._printers.profile(device))

    def _moved(
        self,
        connection: Connection,
        actor: Actor,
        label_id: str,
        before: Printer,
        after: Printer,
        now: datetime,
    ) -> Label:
        return journal.move(
            connection,
            label_id,
            after,
            now,
            actor=actor.user_id,
            reason=f"moved from {before.name} to {after.name}",
        )

    def _store(
        self,
        actor: Actor,
        printer: Printer,
        job: journal.NewJob,
        pages: list[tuple[Page, ...]],
        now: datetime,
        still_true: Callable[[Connection], bool] = lambda _: True,
    ) -> PrintJob:
        """One transaction; the job that the store has under this key, whoever of racing twins stored it.

        ``pages`` are those of the first documents, for ``printer``: to be remembered.
        """
        try:
            with self._database.transaction(journal.TURN) as connection:
                if not still_true(connection):
                    raise _Overtaken
                for number, document in enumerate(job.documents):
                    blocked = journal.block_on(connection, document.subject)
                    if blocked is not None:
                        raise Refused(
                            "the label is blocked", code="label.blocked", reason=blocked, document=number
                        )
                stored, document_ids = journal.insert_job(connection, _asking(connection, job, now), now)
        except journal.KeyTaken:
            with self._database.reading() as connection:
                known = self._known(connection, actor, job.key, job.fingerprint)
            if known is None:
                raise Conflict("the job can't be stored") from None
            return known
        profile = self._printers.profile(printer)
        for document_id, each in zip(document_ids, pages, strict=False):
            self.rendering.remember(document_id, printer, profile, each)
        log.info("print.accepted", job=stored.id, printer=job.printer_id, count=len(document_ids))
        self._tell(job.printer_id, is_group=job.to_group)
        return stored

    def _move(self, actor: Actor, job_id: str, before: set[LabelState], after: LabelState) -> PrintJob:
        actor.require(Right.PRINT)
        now = self._database.now()
        with self._database.transaction(journal.TURN) as connection:
            job = _job(connection, actor, job_id)
            moving = [label for label in job.labels if label.state in before]
            if after is LabelState.QUEUED:
                asked = [label for label in moving if label.held_for == "second_copy"]
                moving = [label for label in moving if label not in asked]
                if asked and not moving:
                    raise Conflict(
                        "the waybill number is on another label: each label needs its own answer",
                        code="label.second_copy",
                        reason=asked[0].reason,
                    )
            for label in moving:
                journal.step(connection, label.id, after, now, actor=actor.user_id)
            job = _job(connection, actor, job_id)
            if not moving and any(label.state is not after for label in job.labels):
                raise Conflict(
                    f"no label of the job can become {after.value}; the job is {job.state.value}",
                    code="job.state",
                    state=job.state.value,
                )
        self._tell(job.printer_id)
        return job

    def _tell(self, printer_id: str, is_group: bool = True) -> None:
        self._printers.wake(printer_id, is_group)
        self.wakeups.tell_change()

    # the last method, because its name hides the type
    def list(
        self, actor: Actor, after: str | None = None, limit: int = 50, state: JobState | str | None = None
    ) -> list[PrintJob]:
        """The store's jobs, newest first; ``after`` is the id of the last one seen. Raises Invalid."""
        actor.require(Right.READ_JOBS)
        if not isinstance(limit, int) or not 1 <= limit <= 200:
            raise Invalid("must be a whole number from 1 to 200", field="limit")
        try:
            wanted = JobState(state) if state is not None else None
        except ValueError:
            raise Invalid(f"must be one of {', '.join(JobState)}", field="state") from None
        with self._database.reading() as connection:
            return journal.list_jobs(connection, actor.store_id, after, limit, wanted)


def _waiting(job: PrintJob, label_ids: Collection[str] | None) -> list[Label]:
    """The job's labels that wait, or those named, which must. Raises NotFound, Conflict."""
    if label_ids is not None:
        missing = set(label_ids) - {label.id for label in job.labels}
        if missing:
            raise NotFound("the job has no such label", code="label.not_found")
    named = [label for label in job.labels if label_ids is None or label.id in label_ids]
    waiting = [label for label in named if label.state in (LabelState.QUEUED, LabelState.HELD)]
    if label_ids is not None and len(waiting) < len(named):
        state = next(label for label in named if label not in waiting).state.value
        raise Conflict(f"the label is {state} and can't be moved", code="label.step", state=state)
    if not waiting:
        raise Conflict(
            f"no label of the job waits; the job is {job.state.value}",
            code="job.state",
            state=job.state.value,
        )
    return waiting


def _areas(connection: Connection, actor: Actor, documents: Iterable[DocumentRequest]) -> list[str | None]:
    """The printing store's own custom area for each document: where it is of a standard template (T6), and the store has one."""
    names = [
        document.template if document.picture is None and document.template_text is None else None
        for document in documents
    ]
    found = [store.find_area(connection, actor.store_id, name) for name in {*names} if name is not None]
    texts: dict[str | None, str] = {area.template: area.text for area in found if area}
    return [texts.get(name) for name in names]


def _asking(connection: Connection, job: journal.NewJob, now: datetime) -> journal.NewJob:
    """The job with a question at each second copy of a waybill number; a reprint said its reason (W8) and isn't asked."""
    numbers = [found.number for found in job.documents if found.number and not found.reprint_of]
    if not numbers:
        return job
    known = journal.first_copies(connection, job.store_id, numbers)
    seen: set[str] = set()
    documents = []
    for document in job.documents:
        number, why = document.number, ""
        if number and not document.reprint_of:
            first = next((one for one in known.get(number, ()) if one.subject not in document.replaces), None)
            if first is not None:
                why = second_copies.question(first, now)
            elif number in seen:
                why = second_copies.TWICE
            seen.add(number)
        documents.append(replace(document, question=why) if why else document)
    return replace(job, documents=documents)


class _Overtaken(Exception):
    """What the request was composed from is no longer true; compose again."""


@dataclass(frozen=True)
class _Checked:
    document: journal.NewDocument
    pages: tuple[Page, ...]  #: to be remembered; none beyond the first documents of a job


def _job(connection: Connection, actor: Actor, job_id: str) -> PrintJob:
    found = journal.find_job(connection, actor.store_id, job_id)
    if found is None:
        raise NotFound("no such print job", code="job.not_found")
    return found


def _label(connection: Connection, actor: Actor, label_id: str) -> Label:
    found = journal.find_label(connection, actor.store_id, label_id)
    if found is None:
        raise NotFound("no such label", code="label.not_found")
    return found


def _require_on_paper(label: Label) -> None:
    if label.state is LabelState.UNCERTAIN:
        raise Conflict(
            "the label is uncertain: answer first whether it came out",
            code="label.uncertain",
            state=label.state.value,
        )
    if label.state not in ON_PAPER:
        raise Conflict(
            f"the label is {label.state.value}, so there is nothing to repeat",
            code="label.not_printed",
            state=label.state.value,
        )


def _require_openable(label: Label, printer: Printer) -> None:
    if not printer.is_browser:
        raise Conflict("the label is for another printer", code="pdf.other_printer")
    if label.state in (LabelState.HELD, LabelState.CANCELLED, LabelState.FAILED):
        raise Conflict(f"the label is {label.state.value}", code="label.step", state=label.state.value)
    if label.state is not LabelState.QUEUED:
        raise Gone("the label was opened before; opening it again is a reprint", code="pdf.opened")


# ---------------------------------------------------------------- what a request may be


def _validate(request: PrintRequest) -> None:
    """Raise Invalid naming every field of ``request`` that is wrong, without its value."""
    faults = _text_faults("printer", request.printer, 1, 80)
    faults += _text_faults("key", request.key, 1, 200)
    faults += _text_faults("origin", request.origin, 0, 100)
    if request.lane not in LANES:
        faults.append(FieldError("lane", f"must be one of {', '.join(LANES)}"))
    if not isinstance(request.hold, bool):
        faults.append(FieldError("hold", "must be true or false"))
    seconds = request.expire_s
    if seconds is not None and (
        not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= MAX_EXPIRE_S
    ):
        faults.append(FieldError("expire_s", f"must be a whole number from 1 to {MAX_EXPIRE_S}"))
    if not 1 <= len(request.documents) <= MAX_DOCUMENTS:
        faults.append(FieldError("documents", f"must be 1 to {MAX_DOCUMENTS} documents"))
    for number, document in enumerate(request.documents[:MAX_DOCUMENTS]):
        field = f"documents[{number}]"
        faults += _text_faults(f"{field}.template", document.template, 1, 200)
        faults += _text_faults(f"{field}.title", document.title, 0, 100)
        if document.subject is not None:
            faults += _text_faults(f"{field}.subject", document.subject, 1, 100)
        if document.group is not None:
            faults += _text_faults(f"{field}.group", document.group, 1, 100)
        copies = document.copies
        if not isinstance(copies, int) or isinstance(copies, bool) or not 1 <= copies <= MAX_COPIES:
            faults.append(FieldError(f"{field}.copies", f"must be a whole number from 1 to {MAX_COPIES}"))
        if document.number is not None and not (
            isinstance(document.number, str) and second_copies.normal(document.number)
        ):
            faults.append(FieldError(f"{field}.number", "must be a waybill number"))
        picture = document.picture
        if picture is not None:
            faults += _picture_faults(field, document, picture)
        text = document.template_text
        if text is not None:
            if not isinstance(text, str) or not text or not _storable(text):
                faults.append(FieldError(f"{field}.template_text", "must be text"))
            elif len(text.encode()) > MAX_DATA_BYTES:
                faults.append(FieldError(f"{field}.template_text", f"is over {MAX_DATA_BYTES} bytes"))
        why = _data_fault(document.data)
        if why:
            faults.append(FieldError(f"{field}.data", why))
    if faults:
        raise Invalid("the print request is wrong", code="print.invalid", errors=faults)


def _picture_faults(field: str, document: DocumentRequest, picture: Picture) -> list[FieldError]:
    faults: list[FieldError] = []
    if document.template_text is not None or document.data:
        faults.append(
            FieldError(f"{field}.picture", "stands alone: a document with one has no template and no data")
        )
    if not picture.content:
        faults.append(FieldError(f"{field}.picture", "must hold a PDF or a picture"))
    elif len(picture.content) > MAX_PICTURE_BYTES:
        faults.append(FieldError(f"{field}.picture", f"is over {MAX_PICTURE_BYTES} bytes"))
    for name in ("width_mm", "height_mm"):
        length = getattr(picture, name)
        number = isinstance(length, int | float) and not isinstance(length, bool)
        if not number or not 5 <= length <= MAX_PAPER_MM:
            faults.append(FieldError(f"{field}.{name}", f"must be 5 to {MAX_PAPER_MM} mm"))
    for name, words in (("fit", FITS), ("rotate", TURNS), ("dither", DITHERS)):
        if getattr(picture, name) not in words:
            faults.append(FieldError(f"{field}.{name}", f"must be one of {', '.join(words)}"))
    return faults


def _text_faults(field: str, value: object, least: int, most: int) -> list[FieldError]:
    if not isinstance(value, str) or not least <= len(value) <= most:
        return [FieldError(field, f"must be text of {least} to {most} characters")]
    if any(unicodedata.category(char) in _UNPRINTABLE for char in value):
        return [FieldError(field, "must hold printable characters only")]
    return []


def _storable(text: str) -> bool:
    """Whether the text is Unicode that can be encoded: no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _data_fault(data: object) -> str:
    """Why ``data`` can't be a label's data, or "": a JSON object, at most MAX_DEPTH deep and MAX_DATA_BYTES long."""
    if not isinstance(data, Mapping):
        return "must be an object"
    level: list[object] = [data]
    for _ in range(MAX_DEPTH):
        deeper: list[object] = []
        for value in level:
            if isinstance(value, str):  # first, because most are
                if not _storable(value):
                    return "holds text that isn't Unicode"
            elif isinstance(value, Mapping):
                if not all(isinstance(name, str) and _storable(name) for name in value):
                    return "must have names that are text"
                deeper += value.values()
            elif isinstance(value, list | tuple):
                deeper += value
            elif isinstance(value, float):
                if not math.isfinite(value):
                    return "holds a number that isn't finite"
            elif isinstance(value, int):
                if abs(value) >= 1 << 64:
                    return "holds a number that is too large"
            elif value is not None:
                return "holds something that isn't JSON"
        if not deeper:
            break
        level = deeper
    else:
        return f"is more than {MAX_DEPTH} levels deep"
    if len(json.dumps(data, ensure_ascii=False, default=dict).encode()) > MAX_DATA_BYTES:
        return f"is over {MAX_DATA_BYTES} bytes"
    return ""


def _plain(value: Any) -> Any:
    """The value as plain dicts and lists, which is what JSON knows."""
    if isinstance(value, str):  # first, because most are
        return value
    if isinstance(value, Mapping):
        made = {name: _plain(inner) for name, inner in value.items()}
        # What is plain already isn't doubled: a job may have ten thousand documents.
        same = type(value) is dict and all(made[name] is inner for name, inner in value.items())
        return value if same else made
    if isinstance(value, list | tuple):
        row = [_plain(inner) for inner in value]
        same = type(value) is list and all(map(operator.is_, row, value))
        return value if same else row
    return value


def _canonical(request: PrintRequest, documents: Iterable[DocumentRequest]) -> Any:
    """The request's content, with its documents made plain; not the key, and not the origin, which is the door's."""
    return [
        request.printer,
        request.lane,
        request.hold,
        [
            [
                document.template,
                document.template_text,
                document.data,
                document.copies,
                document.subject,
                document.title,
                document.group,
                document.private,
                # Only where there is one: a request of an earlier version must have the fingerprint that it had.
                *_picture_facts(document.picture),
                *([{"number": document.number}] if document.number is not None else []),
            ]
            for document in documents
        ],
        *([{"expire_s": request.expire_s}] if request.expire_s is not None else []),
    ]


def _picture_facts(picture: Picture | None) -> list[Any]:
    if picture is None:
        return []
    content = hashlib.sha256(picture.content).hexdigest()
    return [content, picture.width_mm, picture.height_mm, picture.fit, picture.rotate, picture.dither]
