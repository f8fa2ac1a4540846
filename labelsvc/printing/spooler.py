"""Sends labels: one machine drives a printer, one thread a printer, one label at a time, and nothing twice.

The story of a label, told by ``_OnePrinter._round``:

1. look whose turn it is, and make the bytes for *this* printer;
2. connect, and ask the printer how it is: not ready, it is asked again until it is; labels stay queued meanwhile;
3. ask its counter, if that is what proves, then commit **sending** with the bytes, after a last look at blocks, holds and
   cancellations;
4. write, with no transaction open;
5. wait for proof (``proof``): a counter moved by the label's pages and the printer idle again, or its receipt;
6. commit the outcome: **printed**, **sent**, **uncertain**, or back to **queued** where surely no byte left.

Hides threads, patience, and what to do when the printer, the wire, the database or this process fails between any two of
these. A process that dies leaves ``sending`` behind; who drives the printer next makes it uncertain and never sends it again
by itself. Who may drive a printer is told by a lease (``leases``): asked before each piece of a write and in each commit.

A printer's silence is *unknown*. One that ever answered is waited for: firmware falls silent when paper is out. One that
never did, on this device, is asked three times; then its labels go as *sent*, and it is asked again only when it rests.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from labelsvc.db import Database, News
from labelsvc.errors import Conflict, Invalid, LabelsvcError, NotFound
from labelsvc.languages import Condition, finish
from labelsvc.log import get_logger
from labelsvc.printing import journal, printer_store, store
from labelsvc.printing.conversation import Conversation, converse
from labelsvc.printing.driverlock import DriverLock
from labelsvc.printing.jobs import PrintJobs
from labelsvc.printing.lease_store import Opening
from labelsvc.printing.leases import Driver, Lease, LeaseLost, Node, OneProcess, host_name
from labelsvc.printing.model import Label, LabelState, Printer, PrinterState, Profile, Turn, Unproven
from labelsvc.printing.origin import Origin
from labelsvc.printing.printers import Printers
from labelsvc.printing.proof import Proof, proof_by
from labelsvc.printing.rendering import Rendered
from labelsvc.printing.transports import Link, TransportBroken, parse_uri
from labelsvc.printing.wakeups import Wakeups

log = get_logger("printing")

_STOP_S = 10.0  # how long a stop waits for the labels in hand
_KEEP_LINK_S = 3.0  # an idle connection is kept this long: a fresh one costs, a held one keeps others out
_REST_S = 30.0  # the warden wakes whom a label waits for; looking oneself is for the case that it missed one
#: Who stored a label is still writing its answer when the printer's thread wakes, and only one of a process's threads runs at
#: a time: so long is left to it.
_ANSWER_S = 0.002
_LOOK_WELL_S = 60.0  # a resting printer that was ready is looked at this often ...
_LOOK_ILL_S = 10.0  # ... and one that was not, this often
_BACK_OFF_S = (0.05, 2.0)  # first and longest pause between questions to a printer that isn't ready
_BUSY_S = (0.02, 0.2)  # the same for one that is printing: also the pace at which proof is asked for
_SILENCES = 3  # unanswered questions after which the connection is given up, and a printer that never answered is believed
_ASK_MUTE_S = 300.0  # a resting printer that never answered is asked again so often
_PERHAPS_TWICE = ": after the error the printer may have printed it again"
_SLOWEST_BYTES_S = 960  # 9600 baud: a label of many bytes has that much longer to prove itself


class Spooler:
    """Drives printers: on SQLite all, if no other process does; on PostgreSQL those whose lease this machine has.

    ``poll_s``: how soon labels are found that another process stored; this one's own are found at once by ``Wakeups``, and
    on PostgreSQL all are. ``proof_timeout_s``: how long a ready, idle printer may leave a sent label unproven, beside the
    time that its bytes take on the slowest wire. ``answer_s``: a printer that takes longer to answer a question is silent.
    ``node``: the name of this machine, and ``lease_s`` how long after its last heartbeat another may drive in its place
    (PostgreSQL). ``lock_path``: a file that only one process of this machine holds locked; on SQLite by default beside the
    database.
    """

    def __init__(
        self,
        database: Database,
        printers: Printers,
        jobs: PrintJobs,
        *,
        poll_s: float = 0.2,
        printer_retry_s: float = 2.0,
        proof_timeout_s: float = 30.0,
        answer_s: float = 2.0,
        node: str = "",
        lease_s: float = 15.0,
        lock_path: Path | None = None,
        mark_path: Path | None = None,
        wakeups: Wakeups | None = None,
    ) -> None:
        """``mark_path``: see ``Origin``."""
        if lock_path is None and database.is_sqlite:
            if database.path is None:
                raise LabelsvcError("this database has no file beside which to lock; name a lock_path")
            lock_path = database.path.with_name(database.path.name + ".driver")
        self.database = database
        self.printers = printers
        self.jobs = jobs
        self.printer_retry_s = printer_retry_s
        self.proof_timeout_s = proof_timeout_s
        self.answer_s = answer_s
        self.wakeups = wakeups or jobs.wakeups
        self.stopping = threading.Event()
        self.stop_by = float("inf")
        self._poll_s = poll_s
        self.origin = Origin(database, mark_path)
        self._lease_s = lease_s
        lock = DriverLock(lock_path) if lock_path is not None else None
        self._driver: Driver = (
            OneProcess(database, lock)
            if database.is_sqlite and lock is not None
            else Node(database, node or host_name(), lease_s, lock)
        )
        self._leases: dict[str, Lease] = {}
        self._threads: dict[str, _OnePrinter] = {}
        self._warden = threading.Thread(target=self._watch, name="spooler", daemon=True)
        self._turned_at = 0.0
        self._news = News(database)
        self._nudging = False  # labels wait: their threads are woken again and again

    @property
    def driving(self) -> bool:
        """Whether this process may drive printers, as far as it knows."""
        return self._driver.held

    def stuck(self, patience_s: float) -> str:
        """Why this process will never drive again by itself, or "": a slow printer holds up only its own thread."""
        if self.stopping.is_set() or self._warden.ident is None:
            return ""
        if not self._warden.is_alive():
            return "the thread that starts the printers' threads is dead"
        if self.driving and time.monotonic() - self._turned_at > patience_s:
            return f"the thread that starts the printers' threads has hung for {patience_s:.0f} s"
        return ""

    def start(self) -> None:
        """Begin in the background: wait until this process may drive, then take printers, and sweep up after the dead."""
        self._warden.start()

    def stop(self) -> None:
        """Finish the labels in hand, at most 10 s; what is unproven then is uncertain. Then give the printers free.

        Harmless before ``start`` and the second time.
        """
        self.stop_by = time.monotonic() + _STOP_S
        self.stopping.set()
        self.wakeups.any_printer.set()
        if self._warden.ident is not None:
            self._warden.join(_STOP_S)
        for each in self._threads.values():
            each.wake()
        for each in self._threads.values():
            each.join(max(0.0, self.stop_by - time.monotonic()))
        for each in self._threads.values():
            each.abort()
        for each in self._threads.values():
            each.join(2.0)
        if any(each.is_alive() for each in self._threads.values()):
            # It may still write, so only the end of this process frees the printers.
            log.error(
                "spooler.stuck", printers=[name for name, each in self._threads.items() if each.is_alive()]
            )
        else:
            self._driver.release()
        log.info("spooler.stopped")

    def _watch(self) -> None:
        while self._driver.acquire(self.stopping):
            self._turned_at = time.monotonic()
            log.info("spooler.driving", node=self._driver.name)
            self._drive()
            if self.stopping.is_set():
                return
            log.error("spooler.lock_lost", node=self._driver.name)
            for each in self._threads.values():
                each.wake()
            for each in self._threads.values():
                each.join()  # what it is about to write is no business of the next driver's
            self._threads.clear()
            self._leases.clear()

    def _drive(self) -> None:
        """Take printers and start their threads until told to stop, or the right to drive is lost."""
        looked = False
        self._news.forget()
        while not self.stopping.is_set() and not self._driver.lost:
            self._turned_at = time.monotonic()
            woken = self.wakeups.any_printer.is_set()
            self.wakeups.any_printer.clear()
            ended = any(not each.is_alive() for each in self._threads.values())
            if not (self._news() or woken or ended or self._nudging):
                self.stopping.wait(self._poll_s)
                continue
            try:
                if not looked:
                    if self.origin.check():
                        self.wakeups.tell_change()
                    looked = True
                with self.database.reading() as connection:
                    found = self._driver.openings(connection)
                self._tend({opening.printer_id: opening for opening in found})
            except Exception as fault:
                self._news.forget()
                log.error("spooler.failed", exc_info=fault)
                self.stopping.wait(1.0)
            # Where others' news are heard, looking is for leases that ran out.
            self.stopping.wait(self._poll_s)
            if self.wakeups.hears and not self.stopping.is_set():
                self.wakeups.any_printer.wait(self._lease_s / 5)

    def _tend(self, openings: dict[str, Opening]) -> None:
        self._nudging = any(opening.waiting for opening in openings.values())
        for printer_id in [*self._threads, *self._leases]:
            thread = self._threads.get(printer_id)
            if thread is not None and thread.is_alive():
                if printer_id not in openings:  # removed, or it hangs on another machine now
                    thread.retire()
                continue
            lease = self._leases.get(printer_id)
            if (
                thread is not None
            ):  # the next one takes a lease of its own, which sweeps up what this one left
                del self._threads[printer_id]
                self._leases.pop(printer_id, None)
            if lease is not None and printer_id not in openings:
                self._leases.pop(printer_id, None)
                self._driver.give_back(lease)
        for printer_id, opening in openings.items():
            thread = self._threads.get(printer_id)
            if thread is not None:
                if opening.waiting:
                    thread.wake()
                continue
            lease = self._leases.get(printer_id)
            if lease is None or not lease.holds():
                lease = self._take(printer_id) if opening.free else None
            if lease is not None and not opening.paused:
                thread = self._threads[printer_id] = _OnePrinter(self, lease)
                thread.start()

    def _take(self, printer_id: str) -> Lease | None:
        """Take a printer; whatever was being sent there is uncertain, and seen as such at once."""
        taken = self._driver.take(printer_id)
        if taken is None:
            self._leases.pop(printer_id, None)
            return None
        lease, swept = taken
        self._leases[printer_id] = lease
        for label in swept:
            log.warning("print.uncertain", label=label.id, job=label.job_id, reason=label.reason)
        if swept:
            self.wakeups.tell_change()
        return lease


class _OnePrinter(threading.Thread):
    """The thread of one printer; it ends when the printer is paused or removed."""

    def __init__(self, spooler: Spooler, lease: Lease) -> None:
        super().__init__(name=f"printer {lease.printer_id}", daemon=True)
        self._spooler = spooler
        self._database = spooler.database
        self._stopping = spooler.stopping
        self._lease = lease
        self._retired = threading.Event()
        self._printer_id = lease.printer_id
        self._woken = spooler.wakeups.of_printer(lease.printer_id)
        self._printer: Printer | None = None
        self._profile: Profile | None = None
        self._link: Link | None = None
        self._conversation: Conversation | None = None
        self._proof: Proof | None = None
        self._condition: Condition | None = None
        self._fresh = True
        self._used_at = 0.0
        self._look_at = 0.0
        self._pause = 0.0
        self._cut = True  # half a label may lie in the printer, ours or an earlier process's
        self._silences = 0
        self._mute_until = 0.0  # it never answered: not asked again before this, nor while labels wait
        self._counts: bool | None = None  # whether its counter can be read; None: not known yet
        self._uncounted = 0
        self._seen_unproven: tuple[str, float] = ("", 0.0)
        self._unsent: Label | None = None

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def retire(self) -> None:
        """Finish the label in hand, and end."""
        self._retired.set()
        self._woken.set()

    def abort(self) -> None:
        """Break off what is being written."""
        link = self._link
        if link is not None:
            link.abort()

    def run(self) -> None:
        """Rounds until the spooler stops, or the printer is another machine's."""
        try:
            while not self._stopping.is_set() and not self._retired.is_set() and self._lease.holds():
                self._woken.clear()
                try:
                    if not self._round():
                        break
                except TransportBroken as broken:
                    self._lost(broken)
                    self._stopping.wait(self._pause)
                except LeaseLost:
                    break
                except Exception as fault:  # a thread that dies would silence its printer
                    log.error("spooler.failed", printer=self._printer_id, **_about(fault))
                    self._drop()
                    self._stopping.wait(1.0)
        finally:
            if not self._lease.holds():
                self.abort()
            self._drop()
            self._spooler.wakeups.any_printer.set()

    # ------------------------------------------------------------ the story

    def _round(self) -> bool:
        """One label, or one look, or a rest. False if the printer isn't to be driven any more."""
        self._take_back()
        with self._database.reading() as connection:
            printer = printer_store.driven_printer(connection, self._printer_id)
            turn = journal.next_turn(connection, self._printer_id, self._database.now())
            unproven = journal.unproven(connection, self._printer_id)
        if printer is None:
            return False
        if not self._take(printer):
            return True
        rendered = self._render(turn) if turn else None
        if turn is not None and rendered is None:
            return True
        pressing = turn is not None or self._worth_settling(unproven)
        if self._spooler.wakeups.is_to_be_looked_at(self._printer_id):
            self._look_at = 0.0
        if not pressing and time.monotonic() < self._look_at:
            self._rest()
            return True
        if not self._ready(pressing):
            self._wait_until_ready(pressing)
            return True
        self._look_at = time.monotonic() + _LOOK_WELL_S
        if unproven is not None and self._settle(unproven):
            return True
        if turn is None or rendered is None:
            if pressing:
                self._woken.wait(1.0)
            return True
        self._print(turn, rendered)
        return True

    def _print(self, turn: Turn, rendered: Rendered) -> None:
        """Claim, send, prove, commit."""
        self._outfit()
        proof = self._proof
        if proof is not None and not self._begin(proof):
            return
        now = self._database.now()
        self._unsent = turn.label
        with self._database.transaction(journal.TURN) as connection:
            self._lease.require(connection)
            if proof is None:
                label = journal.claim(
                    connection,
                    turn.label.id,
                    rendered.data,
                    None,
                    now,
                    "spooler",
                    rendered.pages,
                    printer=self._printer,
                )
            else:
                label = journal.claim(
                    connection,
                    turn.label.id,
                    rendered.data,
                    proof.counter_before,
                    now,
                    "spooler",
                    rendered.pages,
                    proof.ending,
                    self._printer,
                )
            number = journal.newest_change(connection)
        self._unsent = None
        self._spooler.wakeups.tell_change()
        if label is None:
            log.info("print.passed_over", label=turn.label.id, job=turn.label.job_id)
            return
        try:
            if not self._marked(number):
                state, reason = LabelState.QUEUED, "the mark beside the database can't be written"
            elif self._lease.holds():
                state, reason = self._send(label, rendered.data, proof)
            else:
                state, reason = LabelState.QUEUED, "the right to drive was lost before the first byte"
        except Exception as fault:  # whatever it was, bytes may have left
            log.error("spooler.failed", label=label.id, exc_info=fault)
            state, reason = LabelState.UNCERTAIN, "the service failed while sending"
            self._drop()
            self._cut = True
        self._commit(label, state, reason)
        if state is LabelState.QUEUED:
            self._stopping.wait(self._spooler.printer_retry_s)

    def _marked(self, number: int) -> bool:
        """What is claimed is on the disk beside the database, so that a restored one is known for what it is."""
        try:
            self._spooler.origin.reached(number)
        except OSError as fault:
            log.error("spooler.mark_failed", reason=fault.strerror)
            return False
        return True

    def _outfit(self) -> None:
        """Send the font that this printer's letters are set in, once: it prints nothing, so a repetition does no harm.

        Remembered until another device stands in the printer's place (``Printers.edit``) or a person says that it is gone.
        """
        assert self._printer is not None and self._profile is not None and self._link is not None
        font = self._spooler.jobs.rendering.download(self._printer, self._profile)
        if font is None:
            return
        with self._database.reading() as connection:
            if store.font_sent(connection, self._printer_id, font.name) == font.digest:
                return
        self._link.write(font.data, f"font-{font.digest[:12]}.{self._profile.language}")
        self._link.flush()
        with self._database.transaction() as connection:
            store.note_font(connection, self._printer_id, font.name, font.digest, self._database.now())
        log.info("printer.font_sent", printer=self._printer_id, font=font.name, bytes=len(font.data))

    def _take_back(self) -> None:
        """Where the database broke off during a claim it may have been committed; this thread knows that no byte left."""
        if self._unsent is None:
            return
        with self._database.transaction(journal.TURN) as connection:
            self._lease.require(connection)
            if journal.label_state(connection, self._unsent.id) is LabelState.SENDING:
                with suppress(Conflict):  # another driver has it since
                    journal.step(
                        connection,
                        self._unsent.id,
                        LabelState.QUEUED,
                        self._database.now(),
                        actor="spooler",
                        reason="the database broke off before the first byte",
                        of_attempt=self._unsent.attempt + 1,
                    )
        self._unsent = None

    def _begin(self, proof: Proof) -> bool:
        """Whether the proof of the next label is prepared; if not, what to do instead is done.

        A printer that says that it doesn't count, or that answers how it is but never what it counted, can't prove: its
        labels go as *sent*. One that did tell its counter is waited for.
        """
        try:
            if proof.begin():
                self._counts, self._uncounted = True, 0
                return True
            self._uncounted += 1
            if self._counts is None and self._uncounted >= _SILENCES:
                self._counts = False
        except Invalid:
            self._counts = False
        if self._counts is False:
            log.warning("printer.proves_nothing", printer=self._printer_id)
            self._proof = None
            return False
        self._note("unknown", "no_counter")
        self._drop()  # what it may still answer must not be taken for the next answer
        self._stopping.wait(_BACK_OFF_S[1])
        return False

    def _send(self, label: Label, data: bytes, proof: Proof | None) -> tuple[LabelState, str]:
        """Write, and find out what came of it."""
        assert self._profile is not None and self._link is not None
        if proof is not None:
            assert label.sent_no is not None
            data += proof.ending(label.printer_id, label.sent_no)
        try:
            self._link.write(data, f"{label.id}-{label.attempt}.{self._profile.language}")
        except TransportBroken as broken:
            self._lost(broken)
            self._cut = True
            if broken.sent == 0:
                return LabelState.QUEUED, "the connection broke before the first byte"
            return LabelState.UNCERTAIN, f"the connection broke after {broken.sent} of {len(data)} bytes"
        try:
            if proof is None:
                self._link.flush()
                return LabelState.SENT, ""
            return self._prove(label, proof, self._spooler.proof_timeout_s + len(data) / _SLOWEST_BYTES_S)
        except TransportBroken as broken:
            self._lost(broken)
            self._cut = True
            return LabelState.UNCERTAIN, "the connection broke before the printer proved the label"
        finally:
            self._used_at = time.monotonic()

    def _prove(self, label: Label, proof: Proof, patience_s: float) -> tuple[LabelState, str]:
        """Ask until the printer proves the label, or can't any more; blocked by paper or head, it goes on by itself."""
        assert self._profile is not None
        silence_means_blocked = "silent-when-blocked" in self._profile.quirks
        again = "reprints-after-error" in self._profile.quirks
        pause = _BUSY_S[0]
        resting_since = silent_since = 0.0
        was_blocked = False
        while True:
            condition = self._talk().status()
            found = proof.look(label, condition) if condition is not None else None
            was_blocked |= condition is not None and bool(condition.blocked)
            now = time.monotonic()
            if condition is None or found is None:
                self._note("unknown", "silent")
                silent_since = silent_since or now
                waits = condition is None and silence_means_blocked
                if now - silent_since > patience_s and not waits:
                    return LabelState.UNCERTAIN, "the printer fell silent before it proved the label"
            elif found.proved:
                self._note_condition(condition)
                if was_blocked and not (proof.whole or again):
                    return LabelState.UNCERTAIN, "the printer stopped in the middle of the label"
                return LabelState.PRINTED, ""
            elif found.against:
                return LabelState.UNCERTAIN, found.against + (_PERHAPS_TWICE if was_blocked and again else "")
            else:
                silent_since = 0.0
                self._note_condition(condition)
                rests = not condition.blocked and condition.quiet is not False
                resting_since = (resting_since or now) if rests else 0.0
                if resting_since and now - resting_since > patience_s:
                    return LabelState.UNCERTAIN, proof.open_at_last()
            if self._stopping.is_set() and now > self._spooler.stop_by - 1.0:
                return LabelState.UNCERTAIN, "the service stopped before the printer proved the label"
            if not self._lease.holds():
                self.abort()
                return LabelState.UNCERTAIN, "the right to drive was lost before the printer proved the label"
            time.sleep(pause)
            pause = min(pause * 1.3, _BUSY_S[1])

    def _settle(self, unproven: Unproven) -> bool:
        """Whether the printer proves the last, uncertain label: its pages came out since, and nothing is left to come.

        Anything else settles nothing. In particular an unmoved counter is no reason to send again, see ``Driver.take``.
        """
        if self._proof is None or self._condition is None:
            return False
        if not self._proof.settles(unproven, self._condition):
            return False
        with self._database.transaction(journal.TURN) as connection:
            self._lease.require(connection)
            if journal.unproven(connection, self._printer_id) != unproven:
                return False
            journal.step(
                connection,
                unproven.label.id,
                LabelState.PRINTED,
                self._database.now(),
                actor="counter",
                reason=f"the printer's counter moved by {unproven.label.pages}",
            )
        log.info("print.printed", label=unproven.label.id, job=unproven.label.job_id, by="counter")
        self._spooler.wakeups.tell_change()
        return True

    def _commit(self, label: Label, state: LabelState, reason: str) -> None:
        """Commit what became of a label; what is known must not be lost because the database is busy for a moment."""
        while True:
            try:
                with self._database.transaction(journal.TURN) as connection:
                    self._lease.require(connection)
                    journal.step(
                        connection,
                        label.id,
                        state,
                        self._database.now(),
                        actor="spooler",
                        reason=reason,
                        of_attempt=label.attempt,
                    )
                break
            except (
                Conflict,
                LeaseLost,
            ):  # it is uncertain already, and a person's or another machine's matter
                log.error("print.outcome_refused", label=label.id, job=label.job_id, outcome=state.value)
                return
            except Exception as fault:
                log.error("print.outcome_delayed", label=label.id, job=label.job_id, **_about(fault))
                if self._stopping.wait(0.2) and time.monotonic() > self._spooler.stop_by:
                    return  # the label stays in sending, which the next start makes uncertain
        event = log.warning if state is LabelState.UNCERTAIN else log.info
        event(f"print.{state.value}", label=label.id, job=label.job_id, attempt=label.attempt, reason=reason)
        self._spooler.wakeups.tell_change()

    # ------------------------------------------------------------ the printer

    def _take(self, printer: Printer) -> bool:
        """Note what a person may have changed since the last round."""
        if self._printer is not None and (
            self._printer.uri,
            self._printer.profile,
            self._printer.device_no,
        ) != (printer.uri, printer.profile, printer.device_no):
            self._look_at = self._mute_until = 0.0
            self._counts, self._uncounted = None, 0
        if self._printer is not None and (self._printer.uri, self._printer.device_no) != (
            printer.uri,
            printer.device_no,
        ):
            self._drop()
        if self._printer is None or self._printer.profile != printer.profile:
            self._drop()
            try:
                self._profile = self._spooler.printers.profile(printer)
            except NotFound:
                self._printer = printer
                self._profile = None
                self._note("not_ready", "profile_missing")
                self._printer = None
                self._stopping.wait(_BACK_OFF_S[1])
                return False
        self._printer = printer
        return True

    def _render(self, turn: Turn) -> Rendered | None:
        """The bytes, or None after committing that this label can't be made any more."""
        assert self._printer is not None and self._profile is not None
        try:
            return self._spooler.jobs.rendering.bytes_for(turn.document, self._printer, self._profile)
        except Exception as fault:  # one bad label must not stop the queue
            code = fault.code if isinstance(fault, LabelsvcError) else "internal"
            log.error("print.not_rendered", label=turn.label.id, job=turn.label.job_id, exc_info=fault)
            self._commit(turn.label, LabelState.FAILED, f"the label can't be made ({code})")
            return None

    def _ready(self, pressing: bool) -> bool:
        """Connected, and the printer says that it can print now (or never says anything, and we know that)."""
        assert self._printer is not None and self._profile is not None
        if self._conversation is not None and self._conversation.behind:
            self._drop()
        self._fresh = self._link is None
        if self._link is None:
            transport = parse_uri(self._printer.uri, here=False)
            self._link = transport.connect()
            self._link.may_go = self._lease.holds
            self._silences = 0
            if self._cut and transport.answers:
                self._finish()
            self._conversation = converse(self._profile, self._link, self._spooler.answer_s)
        self._used_at = time.monotonic()
        self._proof = self._condition = None  # until it answers
        if self._conversation is None:
            self._note("unknown", "no_status")
            return True
        if self._mute_until and (pressing or time.monotonic() < self._mute_until):
            self._note("unknown", "never_answers")
            return True
        self._condition = condition = self._conversation.status()
        if condition is None:
            return self._heard_nothing()
        self._silences, self._mute_until = 0, 0.0
        self._remember_answer()
        self._note_condition(condition)
        if condition.blocked:
            self._pause = min(max(self._pause * 2, _BACK_OFF_S[0]), _BACK_OFF_S[1])
            return False
        if self._counts is not False:
            self._proof = proof_by(self._profile, self._conversation)
        if self._proof is not None and self._proof.needs_quiet and condition.quiet is False:
            # Something is still to come out: a counter read now would be too low for our label's proof.
            self._pause = min(max(self._pause * 1.3, _BUSY_S[0]), _BUSY_S[1])
            return False
        self._pause = 0.0
        return True

    def _finish(self) -> None:
        """End what a break may have left half said, on USB and serial lines also by an earlier process: else the printer takes the
        next bytes for the rest of it, answers nothing, or prints half of the next label."""
        assert self._profile is not None and self._link is not None
        with self._database.reading() as connection:
            length = journal.last_length(connection, self._printer_id)
        if length:
            self._link.write(finish(self._profile.language, length), "")
        self._cut = False

    def _remember_answer(self) -> None:
        assert self._printer is not None
        if self._printer.answered_at is None:
            now = self._database.now()
            with self._database.transaction() as connection:
                printer_store.note_answer(connection, self._printer_id, now)
            self._printer = replace(self._printer, answered_at=now)

    def _wait_until_ready(self, pressing: bool) -> None:
        if pressing:
            self._stopping.wait(self._pause)
        else:
            self._look_at = time.monotonic() + _LOOK_ILL_S

    def _worth_settling(self, unproven: Unproven | None) -> bool:
        """For a while an uncertain label is reason enough to look; after that a person is asked sooner than the printer."""
        if unproven is None:
            return False
        label_id, since = self._seen_unproven
        if label_id != unproven.label.id:
            since = time.monotonic()
            self._seen_unproven = (unproven.label.id, since)
        return time.monotonic() - since < self._spooler.proof_timeout_s

    def _heard_nothing(self) -> bool:
        """Silence is unknown: the printer may be blocked, off, or of another kind. After a few tries begin anew.

        One that never answered isn't waited for any longer then: True, and its labels go unproven.
        """
        assert self._printer is not None
        self._silences += 1
        self._pause = _BACK_OFF_S[0]
        if self._silences < _SILENCES:
            self._note("unknown", "silent")
            return False
        if self._printer.answered_at is None:
            self._mute_until = time.monotonic() + _ASK_MUTE_S
            self._note("unknown", "never_answers")
            return True
        self._note("unknown", "silent")
        self._drop()
        self._pause = _BACK_OFF_S[1]
        return False

    def _lost(self, broken: TransportBroken) -> None:
        """The connection is gone, or was never there. One that was kept may just have been closed by the printer."""
        kept = self._link is not None and not self._fresh
        self._drop()
        if not self._lease.holds():
            return
        self._pause = 0.0 if kept else self._spooler.printer_retry_s
        if not kept:
            self._note("not_ready", broken.reason, source="connection")
            self._look_at = time.monotonic() + _LOOK_ILL_S

    def _talk(self) -> Conversation:
        assert self._conversation is not None
        self._used_at = time.monotonic()
        return self._conversation

    def _rest(self) -> None:
        """Nothing to do: wait for a wake-up, and let the printer go after a while."""
        now = time.monotonic()
        if self._link is not None and now - self._used_at > _KEEP_LINK_S:
            self._drop()
        until = self._used_at + _KEEP_LINK_S if self._link is not None else self._look_at
        if self._woken.wait(min(max(until - now, 0.01), _REST_S)):
            time.sleep(_ANSWER_S)

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = self._conversation = self._proof = self._condition = None

    def _note_condition(self, condition: Condition) -> None:
        """What it said of itself; a ready one with what a person should see to soon."""
        if condition.blocked:
            self._note("not_ready", condition.blocked)
        elif self._counts is False:
            self._note("ready", "no_counter")
        else:
            self._note("ready", condition.warnings[0] if condition.warnings else "")

    def _note(self, value: Literal["ready", "not_ready", "unknown"], reason: str, source: str = "") -> None:
        """Store what was learned of the printer, if it is news or the old news are getting old."""
        assert self._printer is not None
        old, now = self._printer.state, self._database.now()
        if not source:
            source = self._conversation.source if self._conversation else "connection"
        same = (old.value, old.reason, old.source) == (value, reason, source)
        if same and old.at is not None and (now - old.at).total_seconds() < _LOOK_WELL_S / 2:
            return
        state = PrinterState(value, reason, source, now)
        try:
            with self._database.transaction(journal.TURN) as connection:
                self._lease.require(connection)
                printer_store.set_printer_state(connection, self._printer_id, state)
        except LeaseLost:
            return  # how the printer is, is for another machine to say
        except LabelsvcError as fault:  # a label may be in hand, and matters more than this
            log.warning("printer.not_noted", printer=self._printer_id, detail=fault.detail)
            return
        self._printer = replace(self._printer, state=state)
        if not same:
            log.info(f"printer.{value}", printer=self._printer_id, reason=reason)
            self._spooler.wakeups.tell_change()


def _about(fault: Exception) -> dict[str, Any]:
    """What the log says of a fault: one that we know (a full disk, a database that is away) needs no trace."""
    return {"detail": fault.detail} if isinstance(fault, LabelsvcError) else {"exc_info": fault}
