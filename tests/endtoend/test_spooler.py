"""The spooler, the real virtual printer, real sockets and a real database: every label on paper exactly once, or asked about.

Labels are told apart by the text that the printer received, not by what our database says.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, select
from support.programs import VirtualPrinter, virtual_printer

from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.languages import zpl
from labelsvc.printing import (
    DOWNLOADED,
    DocumentRequest,
    DriverLock,
    JobState,
    LabelState,
    Printers,
    PrintJobs,
    PrintRequest,
    Profiles,
    Spooler,
    journal,
    tables,
)
from labelsvc.printing.rendering import Download, Rendered
from labelsvc.security import Actor, Audit

TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30">
  <layout left="2" top="2" width="70" height="26">
    <text left="0" top="0" width="70" height="10" value="<%= _data.text %>" style="fontSize:10"/>
    <text left="0" top="12" width="70" height="10" value="<%= _data.reprint.mark %>" style="fontSize:10"/>
  </layout>
</page>
"""
WAIT_S = 20  # generous: only a failing test waits so long


class Room:
    """The printing room of one test: a store's actor, one printer, and the numbers that came out of it."""

    def __init__(self, database: Database, actor: Actor) -> None:
        self.database = database
        self.actor = actor
        self.printers = Printers(database, Profiles())
        self.jobs = PrintJobs(database, self.printers, StandardTemplates(Path(__file__).parent))

    def print(self, *texts: str, key: str = "", subject: str | None = None, **other):
        """Submit one job with a document for each text."""
        documents = tuple(
            DocumentRequest("own", {"text": text}, template_text=TEMPLATE, title=text, subject=subject)
            for text in texts
        )
        request = PrintRequest(**{"printer": "p", "key": key or texts[0], **other}, documents=documents)
        return self.jobs.submit(self.actor, request)

    def wait(self, job):
        """The job once it is settled."""
        found = self.jobs.wait(self.actor, job.id, WAIT_S)
        assert found.settled, found
        return found

    def until(self, true, what: str = "") -> None:
        """Wait until ``true()``; a test that never gets there fails."""
        end = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < end, f"never came: {what or true}"
            time.sleep(0.01)

    def state_of(self, job) -> LabelState:
        """The state of a job's only label."""
        (label,) = self.jobs.get(self.actor, job.id).labels
        return label.state

    def printer_state(self) -> tuple[str, str]:
        """What is known of the printer."""
        state = self.printers.get(self.actor, "p").state
        return state.value, state.reason


@pytest.fixture
def room(database, factory) -> Room:
    """The room."""
    return Room(database, factory)


@contextmanager
def spooling(room: Room, **options):
    """A spooler that runs in this process."""
    spooler = Spooler(
        room.database,
        room.printers,
        room.jobs,
        **{"poll_s": 0.05, "printer_retry_s": 0.1, "proof_timeout_s": 5, "answer_s": 1, **options},
    )
    spooler.start()
    try:
        yield spooler
    finally:
        spooler.stop()


def came_out(printer: VirtualPrinter) -> list[str]:
    """The texts of the labels in the tray, in order."""
    return [re.search(rb"LABEL\d+", path.read_bytes())[0].decode() for path in printer.labels()]


# ---------------------------------------------------------------- proof and order


def test_labels_are_proved_in_the_order_of_acceptance(room, tmp_path):
    """P8: labels come out once each, in order, and each is printed only by the printer's own counter."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        made = [room.print(f"LABEL{n}") for n in range(6)]
        for job in made:
            assert room.wait(job).state is JobState.DONE
            assert room.state_of(job) is LabelState.PRINTED
        assert came_out(printer) == [f"LABEL{n}" for n in range(6)]
        assert room.printer_state() == ("ready", "")
    steps = [change.after for change in room.jobs.history(room.actor, made[0].id)]
    assert steps == [LabelState.QUEUED, LabelState.SENDING, LabelState.PRINTED]


def test_a_list_is_proved_by_all_its_pages(room, tmp_path):
    """P7: a label of three pages is printed once the counter moved by three; the next one comes after it."""
    rows = "".join(f'<tr><td height="10"><text value="LABEL{n}"/></td></tr>' for n in range(6))
    text = f"""<page width="76" height="30" splitable="true"><layout left="0" top="0" width="76">
      <table left="2" top="2" width="70">{rows}</table></layout></page>"""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        request = PrintRequest("p", (DocumentRequest("list", {}, template_text=text),), "list")
        job = room.jobs.submit(room.actor, request)
        after = room.print("LABEL9")
        assert room.wait(job).labels[0].pages == 3
        assert room.state_of(job) is LabelState.PRINTED
        assert room.wait(after).state is JobState.DONE
        assert len(printer.labels()) == 4


def test_a_font_is_sent_once_and_remembered(room, tmp_path):
    """The font that labels are set in goes to the printer before the first of them, to another device anew, and never else."""
    with (
        virtual_printer(tmp_path / "one") as printer,
        virtual_printer(tmp_path / "two") as other,
        spooling(room),
    ):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203", letters="font", font=DOWNLOADED)
        # As large as a real one, which takes seconds to cut; its content is no matter to the wire.
        size = 500_000
        data = zpl.font_download(b"\0\1\0\0" + bytes(size), DOWNLOADED, "runs")
        room.jobs.rendering._downloads["runs"] = Download(DOWNLOADED, "d" * 64, data)

        def fonts_received(of: VirtualPrinter) -> int:
            return of.state()["bytes_received"] // len(data)

        for number in (1, 2):
            assert room.wait(room.print(f"LABEL{number}")).state is JobState.DONE
            assert fonts_received(printer) == 1
        room.printers.edit(room.actor, "p", uri=other.uri)
        assert room.wait(room.print("LABEL3")).state is JobState.DONE
        assert fonts_received(other) == 1
        room.printers.send_fonts_again(room.actor, "p")
        for number in (4, 5):
            assert room.wait(room.print(f"LABEL{number}")).state is JobState.DONE
            assert fonts_received(other) == 2


def test_what_is_stored_is_what_the_printer_received(room, tmp_path):
    """Intent: the bytes committed with sending are the bytes on the wire."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        job = room.wait(room.print("LABEL1"))
        with room.database.reading() as connection:
            data = connection.execute(select(tables.labels.c.bytes)).scalar_one()
        assert printer.labels()[0].read_bytes() in data
        assert job.labels[0].bytes_count == len(data)


def test_the_bench_passes_a_batch(room, tmp_path):
    """P8: while a batch is printing, a label for the bench comes out before the batch is through."""
    with virtual_printer(tmp_path, speed_mm_s=300) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        batch = room.print(*[f"LABEL{n}" for n in range(8)], lane="batch")
        room.until(printer.labels)
        urgent = room.print("LABEL99")
        room.wait(urgent)
        room.wait(batch)
        order = came_out(printer)
        assert order.index("LABEL99") < 7
        assert [text for text in order if text != "LABEL99"] == [f"LABEL{n}" for n in range(8)]


def test_twenty_identical_requests_at_once_print_one_label(room, tmp_path):
    """P7: the same print request sent 20 times at once with one key: one label."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        with ThreadPoolExecutor(20) as pool:
            found = list(pool.map(lambda _: room.print("LABEL1"), range(20)))
        assert len({job.id for job in found}) == 1
        room.wait(found[0])
        room.wait(room.print("LABEL2"))
        assert came_out(printer) == ["LABEL1", "LABEL2"]


@pytest.mark.usefixtures("sqlite_database")
def test_two_printers_print_at_the_same_time(room, tmp_path):
    """One printer that is out of paper doesn't keep another waiting."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with virtual_printer(tmp_path / "a") as blocked, virtual_printer(tmp_path / "b") as other, spooling(room):
        blocked.faults(paper_out=True)
        room.printers.add(room.actor, "p", blocked.uri, "virtual-zpl-203")
        room.printers.add(room.actor, "q", other.uri, "virtual-zpl-203")
        waiting = room.print("LABEL1")
        assert room.wait(room.print("LABEL2", printer="q")).state is JobState.DONE
        assert room.state_of(waiting) is LabelState.QUEUED


# ---------------------------------------------------------------- not ready


@pytest.mark.usefixtures("sqlite_database")
def test_a_printer_that_is_off_is_waited_for(room, tmp_path):
    """P8: jobs for a printer that isn't there stay queued, and go on by themselves once it is."""
    with virtual_printer(tmp_path) as printer:
        uri, port = printer.uri, printer.port
    with spooling(room):
        room.printers.add(room.actor, "p", uri, "virtual-zpl-203")
        job = room.print("LABEL1")
        room.until(lambda: room.printer_state() == ("not_ready", "unreachable"))
        assert room.state_of(job) is LabelState.QUEUED
        with virtual_printer(tmp_path, port=port) as printer:
            assert room.wait(job).state is JobState.DONE
            assert came_out(printer) == ["LABEL1"]
            assert room.printer_state() == ("ready", "")


@pytest.mark.usefixtures("sqlite_database")
@pytest.mark.parametrize(
    ("fault", "reason"), [("paper_out", "paper_out"), ("head_open", "head_open"), ("paused", "paused")]
)
def test_a_printer_that_is_not_ready_gets_nothing_until_it_is(room, tmp_path, fault, reason):
    """P8: paper out, head open or paused: the status says so before a byte is sent, and the job goes on by itself."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        printer.faults(**{fault: True})
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        job = room.print("LABEL1")
        room.until(lambda: room.printer_state() == ("not_ready", reason))
        assert room.state_of(job) is LabelState.QUEUED
        printer.faults(**{fault: False})
        assert room.wait(job).state is JobState.DONE
        assert came_out(printer) == ["LABEL1"]


@pytest.mark.usefixtures("sqlite_database")
def test_paper_out_in_mid_batch_loses_and_doubles_nothing(room, tmp_path):
    """P7, P8: the label cut by the end of the paper is repeated by the printer, never by us; each comes out once."""
    with virtual_printer(tmp_path, speed_mm_s=400) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        printer.faults(paper_out_after_labels=3)
        job = room.print(*[f"LABEL{n}" for n in range(7)], lane="batch")
        room.until(lambda: room.printer_state() == ("not_ready", "paper_out"))
        assert room.jobs.get(room.actor, job.id).state is JobState.PRINTING
        printer.faults(paper_out=False, paper_out_after_labels=None)
        assert {label.state for label in room.wait(job).labels} == {LabelState.PRINTED}
        assert came_out(printer) == [f"LABEL{n}" for n in range(7)]


@pytest.mark.usefixtures("sqlite_database")
def test_silence_is_not_readiness(room, tmp_path):
    """A printer that has answered and falls silent is unknown and gets nothing, until it answers; also after a restart."""
    with virtual_printer(tmp_path) as printer:
        with spooling(room, answer_s=0.1):
            room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
            room.wait(room.print("LABEL1"))
        printer.faults(silent=True)
        with spooling(room, answer_s=0.1):
            job = room.print("LABEL2")
            room.until(lambda: room.printer_state() == ("unknown", "silent"))
            for _ in range(4):  # more often than a printer that never answers is asked
                received = printer.state()["bytes_received"]
                room.until(
                    lambda before=received: printer.state()["bytes_received"] > before, "it is asked again"
                )
            assert room.state_of(job) is LabelState.QUEUED
            printer.faults(silent=False)
            assert room.wait(job).state is JobState.DONE
            assert room.state_of(job) is LabelState.PRINTED
            assert came_out(printer) == ["LABEL1", "LABEL2"]


@pytest.mark.usefixtures("sqlite_database")
def test_a_printer_that_never_answers_is_not_asked_in_the_middle_of_work(room, tmp_path):
    """P8: after three silences its labels go, unproven, and no question comes between them."""
    with virtual_printer(tmp_path) as printer, spooling(room, answer_s=0.1):
        printer.faults(silent=True)
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        job = room.wait(room.print("LABEL1"))
        assert job.labels[0].state is LabelState.SENT
        assert room.printer_state() == ("unknown", "never_answers")
        received = printer.state()["bytes_received"]
        batch = room.wait(room.print(*[f"LABEL{n}" for n in range(2, 6)], lane="batch"))
        assert {label.state for label in batch.labels} == {LabelState.SENT}
        room.until(lambda: len(printer.labels()) == 5)
        sent = sum(label.bytes_count for label in batch.labels)
        assert printer.state()["bytes_received"] == received + sent
        assert came_out(printer) == [f"LABEL{n}" for n in range(1, 6)]


def test_a_paused_printer_rests_until_resumed(room, tmp_path):
    """A printer that a person paused here gets no label; resumed, it goes on."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        room.printers.pause(room.actor, "p")
        job = room.print("LABEL2")
        assert room.jobs.wait(room.actor, job.id, 0.3).state is JobState.QUEUED
        room.printers.resume(room.actor, "p")
        room.wait(job)
        assert came_out(printer) == ["LABEL1", "LABEL2"]


def test_a_printer_moved_to_another_address_keeps_its_queue(room, tmp_path):
    """The device behind a printer is swapped by its URI: labels that waited come out of the new one."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with virtual_printer(tmp_path / "old") as old, virtual_printer(tmp_path / "new") as new, spooling(room):
        room.printers.add(room.actor, "p", old.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        old.faults(head_open=True)
        job = room.print("LABEL2")
        room.until(lambda: room.printer_state() == ("not_ready", "head_open"))
        room.printers.edit(room.actor, "p", uri=new.uri)
        room.wait(job)
        assert (came_out(old), came_out(new)) == (["LABEL1"], ["LABEL2"])


# ---------------------------------------------------------------- broken off


@pytest.mark.usefixtures("sqlite_database")
@pytest.mark.parametrize("really", [True, False])
def test_a_label_cut_off_on_the_wire_is_uncertain_and_a_person_decides(room, tmp_path, really):
    """P7: after a break between first byte and proof nothing is sent again by itself; the queue goes on; the answer counts."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        asked = len(zpl.STATUS_QUERY) + len(zpl.COUNTER_QUERY)
        printer.faults(die_after_bytes=asked + 20)  # the beginning of the label
        cut, other = room.print("LABEL2"), room.print("LABEL3")
        assert room.wait(cut).state is JobState.ATTENTION
        assert room.state_of(cut) is LabelState.UNCERTAIN
        assert room.wait(other).state is JobState.DONE
        assert came_out(printer) == ["LABEL1", "LABEL3"]
        label = room.jobs.get(room.actor, cut.id).labels[0]
        room.jobs.resolve(room.actor, label.id, really)
        assert room.wait(cut).state is JobState.DONE
        assert came_out(printer) == ["LABEL1", "LABEL3"] + ([] if really else ["LABEL2"])
        assert label.attempt == 1


@pytest.mark.usefixtures("sqlite_database")
def test_a_write_that_breaks_in_the_middle_is_uncertain_with_the_bytes_that_left(room, tmp_path):
    """P7: the connection breaks while bytes still wait here: the reason says how many left, and nothing is sent again."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        place = room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        job = room.print("LABEL2", hold=True)
        with room.database.reading() as connection:
            document = journal.document_of(connection, job.labels[0].id)
        # more than the buffers of both machines hold, so that the write itself is still going on
        big = b"^XA^FX" + b"x" * (12 << 20) + b"^FS^XZ"
        room.jobs.rendering.remember(document.id, place, room.printers.profile(place), Rendered(big, 1))
        printer.faults(die_after_bytes=100_000)
        room.jobs.release(room.actor, job.id)
        (label,) = room.wait(job).labels
        assert (label.state, label.attempt) == (LabelState.UNCERTAIN, 1)
        sent, whole = re.search(r"after (\d+) of (\d+) bytes", label.reason).groups()
        assert 100_000 <= int(sent) < int(whole) == len(big)
        room.wait(room.print("LABEL3"))
        assert room.state_of(job) is LabelState.UNCERTAIN
        assert came_out(printer) == ["LABEL1", "LABEL3"]


def test_a_label_that_arrived_before_the_break_is_proved_by_the_counter(room, tmp_path):
    """P7: the connection breaks when all bytes have arrived; the buffer drains on, and the counter then proves the label."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        length = len(printer.labels()[0].read_bytes())
        printer.faults(drain_delay_s=0.6, die_after_bytes=length + 60, keep_partial=True)
        job, other = room.print("LABEL2"), room.print("LABEL3")
        room.until(lambda: room.state_of(job) is LabelState.UNCERTAIN)
        room.until(lambda: room.state_of(job) is LabelState.PRINTED)
        room.wait(other)
        assert room.state_of(other) is LabelState.PRINTED
        assert came_out(printer) == ["LABEL1", "LABEL2", "LABEL3"]
        assert room.jobs.history(room.actor, job.id)[-1].actor == "counter"


@pytest.mark.usefixtures("sqlite_database")
def test_a_counter_that_another_host_moved_proves_nothing(room, tmp_path):
    """A counter that moved by two can mean either label: uncertain, and never printed."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        printer.faults(drain_delay_s=0.5)
        job = room.print("LABEL2")
        room.until(lambda: room.state_of(job) is LabelState.SENDING)
        with socket.create_connection((printer.host, printer.port)) as other:
            other.sendall(b"^XA^FDLABEL77^FS^PQ3^XZ")
            other.shutdown(socket.SHUT_WR)
            other.recv(10)
        assert room.wait(job).state is JobState.ATTENTION
        room.until(lambda: len(printer.labels()) == 5)
        assert room.state_of(job) is LabelState.UNCERTAIN


def test_an_unmoved_counter_becomes_uncertain_and_never_a_second_label(room, tmp_path):
    """P7: a printer that swallows a label is ready and idle with its counter unmoved: after the time-out a person is asked."""
    with virtual_printer(tmp_path) as printer, spooling(room, proof_timeout_s=0.4):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        room.wait(room.print("LABEL1"))
        printer.faults(drain_delay_s=30)
        job = room.print("LABEL2")
        room.until(lambda: room.state_of(job) is LabelState.SENDING)
        room.until(lambda: printer.state()["queue"])
        printer.reset()
        assert room.wait(job).state is JobState.ATTENTION
        assert came_out(printer) == ["LABEL1"]


@pytest.mark.usefixtures("sqlite_database")
def test_a_printer_that_proves_nothing_gives_sent(room, tmp_path):
    """Without proof a label is sent, never printed; the file transport leaves one whole file per label."""
    tray = tmp_path / "files"
    tray.mkdir()
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "zpl-generic-203")
        room.printers.add(room.actor, "f", f"file://{tray}", "file-zpl-203")
        room.printers.add(room.actor, "g", f"file://{tray}", "file-pdf")
        for name in "pfg":
            job = room.wait(room.print(f"LABEL{ord(name)}", printer=name))
            assert job.labels[0].state is LabelState.SENT
        room.until(printer.labels)
        assert came_out(printer) == ["LABEL112"]
        (zpl,) = tray.glob("*.zpl")
        (pdf,) = tray.glob("*.pdf")
        assert b"LABEL102" in zpl.read_bytes()
        assert pdf.read_bytes().startswith(b"%PDF")
        assert len(list(tray.iterdir())) == 2


# ---------------------------------------------------------------- what people decide


def test_held_and_cancelled_labels_do_not_come_out(room, tmp_path):
    """A held job waits for its release, a cancelled one never comes."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        held, cancelled = room.print("LABEL1", hold=True), room.print("LABEL2", hold=True)
        room.jobs.cancel(room.actor, cancelled.id)
        room.wait(room.print("LABEL3"))
        room.jobs.release(room.actor, held.id)
        room.wait(held)
        assert came_out(printer) == ["LABEL3", "LABEL1"]


def test_a_reprint_comes_out_with_its_mark(room, tmp_path):
    """W8: the reprint is another label whose paper differs from the original's."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        job = room.wait(room.print("LABEL1"))
        again = room.jobs.reprint(room.actor, job.labels[0].id, "label torn", "r")
        assert room.wait(again).labels[0].reprint_count == 1
        first, second = (path.read_bytes() for path in printer.labels())
        assert came_out(printer) == ["LABEL1", "LABEL1"]
        assert first != second


def test_a_label_blocked_while_it_waits_is_cancelled_at_its_turn(room, tmp_path):
    """P10: a block that comes after the job was accepted still keeps the label from coming out, with its reason."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        printer.faults(paper_out=True)
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        blocked = room.print("LABEL1", subject="waybill:1")
        other = room.print("LABEL2", subject="waybill:2")
        room.until(lambda: room.printer_state() == ("not_ready", "paper_out"))
        room.jobs.block("waybill:1", "the waybill was cancelled")
        assert room.state_of(blocked) is LabelState.QUEUED
        printer.faults(paper_out=False)
        room.wait(other)
        (label,) = room.wait(blocked).labels
        assert (label.state, label.reason) == (LabelState.CANCELLED, "the waybill was cancelled")
        assert came_out(printer) == ["LABEL2"]


def test_a_label_that_can_not_be_made_any_more_fails_alone(room, tmp_path):
    """One label whose profile changed under it fails with its reason; the queue goes on."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        printer.faults(paper_out=True)
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        bad = room.print("LABEL1", hold=True)
        with room.database.transaction() as connection:
            connection.execute(tables.documents.update().values(template_text="<page"))
        room.jobs.rendering._results.clear()
        good = room.print("LABEL2", hold=True)
        room.jobs.release(room.actor, bad.id)
        room.jobs.release(room.actor, good.id)
        printer.faults(paper_out=False)
        room.wait(good)
        (label,) = room.wait(bad).labels
        assert (label.state, label.reason) == (
            LabelState.FAILED,
            "the label can't be made (template.invalid)",
        )
        assert came_out(printer) == ["LABEL2"]


# ---------------------------------------------------------------- one driver, and what a dead one left


def test_only_one_holds_the_driver_lock(tmp_path):
    """The lock is one process's or object's at a time, and free again after its release."""
    first, second = DriverLock(tmp_path / "x.driver"), DriverLock(tmp_path / "x.driver")
    assert first.try_acquire() and first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


def test_a_fork_neither_holds_nor_frees_the_lock(tmp_path):
    """A forked child doesn't drive, can't free its parent's lock, and doesn't keep it when the parent gives it away."""
    lock, other = DriverLock(tmp_path / "x.driver"), DriverLock(tmp_path / "x.driver")
    assert lock.try_acquire()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        code = 1 if lock.held else 0
        os.read(reading, 1)
        os._exit(code)
    os.close(reading)
    time.sleep(0.1)
    assert not other.try_acquire()
    lock.release()
    assert other.try_acquire()
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    other.release()


DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.languages import zpl
from labelsvc.printing import Printers, PrintJobs, Profiles, Spooler
from labelsvc.security import Sealer
database = Database(sys.argv[1], sealer=Sealer.from_file(Path(sys.argv[2])))
printers = Printers(database, Profiles())
jobs = PrintJobs(database, printers, StandardTemplates(Path(sys.argv[2]).parent))
lock = Path(sys.argv[2]).with_name("driver")
spooler = Spooler(database, printers, jobs, poll_s=0.05, printer_retry_s=0.1, proof_timeout_s=5, lock_path=lock)
spooler.start()
while True:
    print("driving" if spooler.driving else "waiting", flush=True)
    time.sleep(0.05)
"""


@contextmanager
def second_process(room: Room, tmp_path: Path):
    """A spooler in a process of its own on the same database."""
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            DRIVER,
            room.database.url.render_as_string(False),
            str(tmp_path / "sealing.key"),
            root,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_process_waits_and_takes_over(room, tmp_path):
    """P7: beside a living driver another only waits; when the first is killed it drives, and each label comes out once."""
    with virtual_printer(tmp_path) as printer:
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        with second_process(room, tmp_path) as first:
            while first.stdout.readline() != "driving\n":
                pass
            with spooling(room, lock_path=tmp_path / "driver") as second:
                room.wait(room.print("LABEL1"))
                assert not second.driving
                os.kill(first.pid, signal.SIGKILL)
                room.until(lambda: second.driving)
                room.wait(room.print("LABEL2"))
                assert came_out(printer) == ["LABEL1", "LABEL2"]


@pytest.mark.parametrize("drains", [True, False])
def test_a_killed_drivers_label_is_uncertain_and_only_the_counter_or_a_person_settles_it(
    room, tmp_path, drains
):
    """P7: kill -9 between the last byte and the proof: the next driver doesn't send again; the counter proves what came out."""
    with virtual_printer(tmp_path) as printer:
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        with second_process(room, tmp_path) as first:
            while first.stdout.readline() != "driving\n":
                pass
            room.wait(room.print("LABEL1"))
            printer.faults(drain_delay_s=1.0)
            job, other = room.print("LABEL2"), room.print("LABEL3")
            room.until(lambda: printer.state()["queue"])
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        assert room.state_of(job) is LabelState.SENDING
        if not drains:
            printer.reset()
        printer.faults(drain_delay_s=0.0)
        with spooling(room, lock_path=tmp_path / "driver"):
            room.wait(other)
            if drains:
                room.until(lambda: room.state_of(job) is LabelState.PRINTED)
                assert came_out(printer) == ["LABEL1", "LABEL2", "LABEL3"]
            else:
                assert room.state_of(job) is LabelState.UNCERTAIN
                assert came_out(printer) == ["LABEL1", "LABEL3"]
        history = room.jobs.history(room.actor, job.id)
        assert [change.after for change in history[1:3]] == [LabelState.SENDING, LabelState.UNCERTAIN]
        assert history[2].reason == "the service stopped while sending"


def test_with_two_uncertain_labels_the_counter_proves_neither(room, tmp_path):
    """P7: a counter that moved by one could mean either of two uncertain labels, so a person is asked for both."""
    with virtual_printer(tmp_path) as printer:
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        job = room.print("LABEL1", "LABEL2")
        with room.database.transaction() as connection:
            for label in reversed(job.labels):  # the first in the queue is then the last that was sent
                journal.claim(connection, label.id, b"", 0, room.database.now(), "spooler")
        with socket.create_connection((printer.host, printer.port)) as other:
            other.sendall(b"^XA^FDLABEL1^FS^XZ")
        room.until(lambda: len(printer.labels()) == 1)
        with spooling(room):
            room.wait(room.print("LABEL3"))
            states = {label.state for label in room.jobs.get(room.actor, job.id).labels}
            assert states == {LabelState.UNCERTAIN}
            assert came_out(printer) == ["LABEL1", "LABEL3"]


def test_a_stop_finishes_the_label_in_hand(room, tmp_path):
    """Stopping in the middle of a batch leaves no label in sending, and the rest queued for the next start."""
    with virtual_printer(tmp_path, speed_mm_s=200) as printer:
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        job = room.print(*[f"LABEL{n}" for n in range(5)])
        with spooling(room):
            room.until(printer.labels)
        states = [label.state for label in room.jobs.get(room.actor, job.id).labels]
        assert states[0] is LabelState.PRINTED
        assert set(states) == {LabelState.PRINTED, LabelState.QUEUED}
        with spooling(room):
            room.wait(job)
        assert came_out(printer) == [f"LABEL{n}" for n in range(5)]


def test_opening_in_a_browser_is_one_step(room, monkeypatch):
    """P6, P7: an opening that breaks off before its commit leaves the label queued, with nothing in doubt; else it is sent."""
    job = room.print("LABEL1", printer="browser")

    def broken(*_):
        raise OSError("the disk broke")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="broke"):
        patched.setattr(Audit, "note", broken)
        room.jobs.open_pdf(room.actor, job.labels[0].id)
    assert room.state_of(job) is LabelState.QUEUED
    room.jobs.open_pdf(room.actor, job.labels[0].id)
    steps = [change.after for change in room.jobs.history(room.actor, job.id)]
    assert steps == [LabelState.QUEUED, LabelState.SENDING, LabelState.SENT]


def test_a_quiet_house_is_left_alone(room, sqlite_database, tmp_path):
    """Twenty idle printers cost next to nothing: while nothing is committed, the database is hardly asked."""
    asked: list[str] = []
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        room.printers.add(room.actor, f"p{number}", f"file://{tmp_path}/{number}", "file-zpl-203")

    def driven() -> int:
        return sum(thread.name.startswith("printer ") for thread in threading.enumerate())

    with spooling(room):
        room.until(lambda: driven() == 20)
        time.sleep(5.0)  # each was looked at once, and its connection given up again
        event.listen(
            room.database.engine, "checkout", lambda driver, *_: driver.set_trace_callback(asked.append)
        )
        time.sleep(2.0)
        assert len(asked) <= 8, asked
        room.printers.pause(room.actor, "p7")
        room.until(lambda: driven() == 19)
        room.printers.resume(room.actor, "p7")
        room.until(lambda: driven() == 20)


def test_labels_of_another_process_are_found(room, tmp_path, sealer):
    """A job stored by another process, whose wake-up can't be heard here, is printed as well."""
    with virtual_printer(tmp_path) as printer, spooling(room):
        room.printers.add(room.actor, "p", printer.uri, "virtual-zpl-203")
        time.sleep(4.0)  # its connection given up, the printer's own thread looks again in half a minute only
        elsewhere = Database(room.database.url.render_as_string(False), sealer=sealer)
        other = Room(elsewhere, room.actor)
        job = other.print("LABEL1")
        assert other.wait(job).state is JobState.DONE
        elsewhere.close()
        assert came_out(printer) == ["LABEL1"]
