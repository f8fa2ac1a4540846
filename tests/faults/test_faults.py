"""What goes wrong at a printer, on its wire and on this machine: each fault has its end state, and none a label too many (P7, P8).

The real spooler, the real virtual printer in its own process, real sockets. What came out is known by the bytes in the
printer's tray, told apart by the bytes that were sent; not by what our database says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from support.programs import VirtualPrinter, virtual_printer
from support.usb_backend import Bus, Plug

from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.languages import escpos, tspl, zpl
from labelsvc.printing import (
    DOWNLOADED,
    DocumentRequest,
    LabelState,
    Printers,
    PrintJobs,
    PrintRequest,
    Profiles,
    Spooler,
)
from labelsvc.printing.rendering import Download
from labelsvc.printing.tables import labels
from labelsvc.security import Accounts, Actor, Sealer, StoreKind

pytestmark = pytest.mark.usefixtures("sqlite_database")

TEMPLATE = """<page xmlns="http://cloudprint.cainiao.com/print" width="60" height="20">
  <layout left="2" top="2" width="56" height="16">
    <text left="0" top="0" width="56" height="10" value="<%= _data.text %>" style="fontSize:12"/>
  </layout>
</page>"""
#: Language -> the virtual printer's profile.
PROFILES = {"zpl": "virtual-zpl-203", "escpos": "virtual-escpos-80", "tspl": "virtual-tspl-203"}
#: How many bytes a ready printer is asked before each label.
ASKED = {
    "zpl": len(zpl.STATUS_QUERY + zpl.COUNTER_QUERY),
    "escpos": len(escpos.status_query(escpos.PRINTER, escpos.PAPER)),
    "tspl": len(tspl.STATUS_QUERY + tspl.COUNTER_QUERY),
}
PRINTED, UNCERTAIN, QUEUED = LabelState.PRINTED, LabelState.UNCERTAIN, LabelState.QUEUED
WAIT_S = 30  # generous: only a failing test waits so long


class Bench:
    """One printer of one store, the labels that were ordered, and those that came out."""

    def __init__(self, database: Database, actor: Actor, tmp_path: Path) -> None:
        self.database = database
        self.actor = actor
        self.tmp_path = tmp_path
        self.printers = Printers(database, Profiles())
        self.jobs = PrintJobs(database, self.printers, StandardTemplates(tmp_path))
        self.device: VirtualPrinter | None = None

    @contextmanager
    def spooling(self, **options) -> Iterator[Spooler]:
        """A spooler that is in a hurry."""
        chosen = {"poll_s": 0.05, "printer_retry_s": 0.1, "proof_timeout_s": 1.5, "answer_s": 0.5, **options}
        spooler = Spooler(self.database, self.printers, self.jobs, **chosen)
        spooler.start()
        try:
            yield spooler
        finally:
            spooler.stop()

    @contextmanager
    def printing(self, language: str = "zpl", uri: str = "", **options) -> Iterator[VirtualPrinter]:
        """A printer "p" that proved one label, and so is known to answer; a spooler drives it."""
        with (
            virtual_printer(self.tmp_path / "printer", language=language, **options) as device,
            self.spooling(),
        ):
            self.printers.add(self.actor, "p", uri or device.uri, PROFILES[language])
            self.device = device
            assert self.states(self.order("0"), settled=True) == [PRINTED]
            yield device

    def order(self, *texts: str, **other) -> str:
        """A job with a document for each text."""
        documents = tuple(
            DocumentRequest("own", {"text": text}, template_text=TEMPLATE, title=text) for text in texts
        )
        request = PrintRequest("p", documents, **{"key": texts[0], "lane": "batch", **other})
        return self.jobs.submit(self.actor, request).id

    def states(self, job: str, settled: bool = False) -> list[LabelState]:
        """Its labels' states; ``settled``: once nothing further happens by itself."""
        if settled:
            assert self.jobs.wait(self.actor, job, WAIT_S).settled, self.jobs.get(self.actor, job).labels
        return [label.state for label in self.jobs.get(self.actor, job).labels]

    def reason(self, job: str) -> str:
        """Why its first label is as it is."""
        return self.jobs.get(self.actor, job).labels[0].reason

    def answer(self, job: str, came_out: bool) -> None:
        """A person says what became of its uncertain labels."""
        for label in self.jobs.get(self.actor, job).labels:
            if label.state is UNCERTAIN:
                self.jobs.resolve(self.actor, label.id, came_out)

    def until(self, true, what: str = "") -> None:
        """Wait until ``true()``."""
        end = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < end, f"never came: {what or true}"
            time.sleep(0.01)

    def until_state(self, value: str, reason: str) -> None:
        """Wait until this is known of the printer."""

        def known() -> bool:
            state = self.printers.get(self.actor, "p").state
            return (state.value, state.reason) == (value, reason)

        self.until(known, f"{value} {reason}")

    def came_out(self) -> list[str]:
        """The texts of the labels in the tray, in their order."""
        assert self.device is not None
        with self.database.reading() as connection:
            sent = {
                row.title: row.bytes
                for row in connection.execute(select(labels.c.title, labels.c.bytes))
                if row.bytes
            }
        found = []
        for path in self.device.labels():
            paper = path.read_bytes().strip()
            (title,) = [title for title, data in sent.items() if paper in data]
            found.append(title)
        return found


@pytest.fixture
def bench(database: Database, factory: Actor, tmp_path: Path) -> Bench:
    """The bench."""
    return Bench(database, factory, tmp_path)


# ---------------------------------------------------------------- at the printer


@pytest.mark.parametrize("language", ["zpl", "tspl"])
def test_paper_out_in_the_middle_of_a_batch(bench, language):
    """P7, P8: the batch waits, and goes on by itself at the right label: the printer repeats the one that was cut, we don't."""
    with bench.printing(language, speed_mm_s=300) as device:
        device.faults(paper_out_after_labels=1)
        job = bench.order("1", "2", "3", "4")
        bench.until_state("not_ready", "paper_out")
        assert bench.states(job)[2:] == [QUEUED, QUEUED]
        device.faults(paper_out=False)
        assert bench.states(job, settled=True) == [PRINTED] * 4
        assert bench.came_out() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("language", ["zpl", "escpos"])
def test_a_label_that_paper_out_spoilt(bench, language):
    """P7: a printer that doesn't repeat the label it was in: it is asked about and not sent again; the batch goes on."""
    with bench.printing(language, speed_mm_s=300) as device:
        device.faults(paper_out_after_labels=1, reprint=False)
        job = bench.order("1", "2", "3")
        bench.until_state("not_ready", "paper_out")
        device.faults(paper_out=False)
        assert bench.states(job, settled=True) == [PRINTED, UNCERTAIN, PRINTED]
        assert bench.came_out() == ["0", "1", "3"]
        bench.answer(job, came_out=False)
        assert bench.states(job, settled=True) == [PRINTED] * 3
        assert bench.came_out() == ["0", "1", "3", "2"]


@pytest.mark.parametrize(
    ("language", "word", "state"),
    [("zpl", "head_open", PRINTED), ("escpos", "cover_open", UNCERTAIN), ("tspl", "head_open", PRINTED)],
)
def test_head_open(bench, language, word, state):
    """P7, P8: opened over a label: it is waited for; the printer repeats it, or (ESC/POS) leaves it in pieces and a person is asked."""
    with bench.printing(language, speed_mm_s=40) as device:
        job = bench.order("1", "2")
        bench.until(lambda: device.state()["printing"], "a label under the head")
        device.faults(head_open=True)
        bench.until_state("not_ready", word)
        device.faults(head_open=False, speed_mm_s=0)
        assert bench.states(job, settled=True) == [state, PRINTED]
        assert bench.came_out() == ["0", "1", "2"] if state is PRINTED else ["0", "2"]


# ---------------------------------------------------------------- on the wire


@pytest.mark.parametrize("after", [1, 60, -1])
def test_wire_cut(bench, after):
    """P7: cut in the first byte of a label, in its middle, before its last: uncertain, never sent again by itself, and the next go."""
    with bench.printing() as device:
        length = len(device.labels()[0].read_bytes())
        device.faults(die_after_bytes=ASKED["zpl"] + after % length)
        job, other = bench.order("1"), bench.order("2")
        assert bench.states(job, settled=True) == [UNCERTAIN]
        assert bench.states(other, settled=True) == [PRINTED]
        assert bench.came_out() == ["0", "2"]


@pytest.mark.parametrize(
    ("language", "state"), [("zpl", PRINTED), ("escpos", UNCERTAIN), ("tspl", UNCERTAIN)]
)
def test_wire_cut_behind_a_label(bench, language, state):
    """P7: all of it arrived and comes out; a lasting counter proves it later, what only this connection could tell doesn't."""
    with bench.printing(language) as device:
        device.faults(drain_delay_s=0.5)
        job = bench.order("1")
        bench.until(lambda: device.state()["queue"], "the label in the buffer")
        device.faults(unplugged=True)
        bench.until(lambda: bench.states(job) == [UNCERTAIN], "the break")
        device.faults(unplugged=False, drain_delay_s=0)
        bench.until(lambda: len(device.labels()) == 2)
        other = bench.order("2")
        assert bench.states(other, settled=True) == [PRINTED]
        assert bench.states(job) == [state]
        assert bench.came_out() == ["0", "1", "2"]


def test_half_open_connection(bench):
    """P7: the other end forgot the connection without a word: the label is uncertain, a new connection serves the next."""
    with bench.printing() as device:
        device.faults(half_open_after_bytes=ASKED["zpl"])
        job, other = bench.order("1"), bench.order("2")
        bench.until(lambda: bench.states(job) == [UNCERTAIN], "silence")
        device.faults(half_open=False)
        assert bench.states(other, settled=True) == [PRINTED]
        assert bench.states(job) == [UNCERTAIN]
        assert bench.came_out() == ["0", "2"]


def test_accepts_and_never_reads(bench):
    """P8: nothing is sent to a printer that no longer answers; once it reads again, it goes on."""
    with bench.printing() as device:
        device.faults(accept_never_read=True)
        job = bench.order("1", "2")
        bench.until_state("unknown", "silent")
        assert bench.states(job) == [QUEUED, QUEUED]
        device.faults(accept_never_read=False)
        assert bench.states(job, settled=True) == [PRINTED, PRINTED]
        assert bench.came_out() == ["0", "1", "2"]


@pytest.mark.parametrize("language", ["zpl", "escpos"])
def test_one_kilobyte_a_second(bench, language):
    """P7: a label that takes seconds on its wire is proved and not given up."""
    with bench.printing(language) as device:
        device.faults(bytes_per_s=1000)
        job = bench.order("1", "2")
        assert bench.states(job, settled=True) == [PRINTED, PRINTED]
        assert bench.came_out() == ["0", "1", "2"]


@pytest.mark.parametrize("language", PROFILES)
@pytest.mark.parametrize("whole", [False, True])
def test_usb_unplugged(bench, tmp_path, language, whole):
    """P7: pulled in the middle of a write, or with all of it in the printer. Plugged in again the next label comes out as it is:
    the half that lies in the printer doesn't spoil it, though it is the same stream of bytes."""
    path = tmp_path / "usb"
    with (
        Bus([Plug(path)]).installed(),
        bench.printing(language, "usb://0525:a4a8/S1", usb=path, serial="S1", usb_id="0525:a4a8") as device,
    ):
        if whole:
            device.faults(drain_delay_s=0.5)
        else:
            device.faults(die_after_bytes=ASKED[language] + len(device.labels()[0].read_bytes()) // 2)
        job, other = bench.order("1"), bench.order("2")
        if whole:
            bench.until(lambda: device.state()["queue"], "the label in the buffer")
            device.faults(unplugged=True)
        bench.until(lambda: bench.states(job) == [UNCERTAIN], "the break")
        bench.until_state("not_ready", "unreachable")
        device.faults(unplugged=False, drain_delay_s=0)
        assert bench.states(other, settled=True) == [PRINTED]
        assert bench.states(job) == [PRINTED if whole and language == "zpl" else UNCERTAIN]
        assert bench.came_out() == (["0", "1", "2"] if whole else ["0", "2"])


def test_usb_unplugged_within_a_font(bench, tmp_path):
    """Pulled in the middle of a font: it goes again, whole, and the half that lies in the printer swallows nothing of what follows."""
    path = tmp_path / "usb"
    with (
        Bus([Plug(path)]).installed(),
        bench.printing("zpl", "usb://0525:a4a8/S1", usb=path, serial="S1", usb_id="0525:a4a8") as device,
    ):
        font = zpl.font_download(b"\0\1\0\0" + os.urandom(20_000), DOWNLOADED, "runs")
        bench.jobs.rendering._downloads["runs"] = Download(DOWNLOADED, "d" * 64, font)
        received = device.state()["bytes_received"]
        device.faults(die_after_bytes=len(font) // 2)
        printer = bench.printers.get(bench.actor, "p")
        bench.printers.edit(bench.actor, printer.id, letters="font", font=DOWNLOADED)
        job = bench.order("1", "2")
        bench.until_state("not_ready", "unreachable")
        device.faults(unplugged=False)
        assert bench.states(job, settled=True) == [PRINTED, PRINTED]
        assert device.state()["bytes_received"] - received > len(font) * 3 // 2
        assert bench.came_out() == ["0", "1", "2"]


# ---------------------------------------------------------------- on this machine


def test_database_locked(bench, database):
    """P7: another process holds the database while a label comes out: its outcome is kept in hand, and no other label goes."""
    with bench.printing() as device:
        device.faults(drain_delay_s=0.5)
        job = bench.order("1", "2")
        bench.until(lambda: device.state()["queue"], "the label in the buffer")
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
                "c.execute('BEGIN IMMEDIATE'); print(flush=True); sys.stdin.read()",
                str(database.path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            holder.stdout.readline()
            bench.until(lambda: len(device.labels()) == 2)
            time.sleep(0.3)
            assert bench.states(job) == [LabelState.SENDING, QUEUED]
        finally:
            holder.communicate()
        assert bench.states(job, settled=True) == [PRINTED, PRINTED]
        assert bench.came_out() == ["0", "1", "2"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "labelsvc-test", str(folder)], check=False
        ).returncode
    ):
        pytest.skip("a small disk needs root, to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_disk_full(tmp_path, small_disk, sealer: Sealer, migrated: Path):
    """P7: where the intent can't be written nothing is sent; where the outcome can't, it is kept in hand; both go on by themselves."""
    place = small_disk / "labelsvc.db"
    place.write_bytes(migrated.read_bytes())
    database = Database(f"sqlite:///{place}", sealer=sealer)
    accounts = Accounts(database)
    store = accounts.create_store("s", StoreKind.FACTORY)
    bench = Bench(database, Actor.operator(store.id, via="test"), tmp_path)
    filler = small_disk / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    return

    try:
        with bench.printing() as device:
            device.faults(drain_delay_s=0.5)
            job = bench.order("1", "2")
            bench.until(lambda: device.state()["queue"], "the label in the buffer")
            fill()
            bench.until(lambda: len(device.labels()) == 2)
            time.sleep(0.3)
            assert bench.states(job) == [LabelState.SENDING, QUEUED]
            filler.unlink()
            assert bench.states(job, settled=True) == [PRINTED, PRINTED]
            device.faults(paper_out=True)
            job = bench.order("3", "4")
            bench.until_state("not_ready", "paper_out")
            fill()
            device.faults(paper_out=False)
            time.sleep(0.5)
            assert bench.states(job) == [QUEUED, QUEUED]
            filler.unlink()
            assert bench.states(job, settled=True) == [PRINTED, PRINTED]
            assert bench.came_out() == ["0", "1", "2", "3", "4"]
    finally:
        database.close()


#: Shifts the wall clock of a process by the seconds in a file; sleeps and waits, which go by the other clock, are left alone
#: (libfaketime's never end after a jump back).
CLOCK = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long shift(void) {
    long found = 0;
    FILE *file = fopen(getenv("CLOCK_SHIFT"), "r");
    if (file) { if (fscanf(file, "%ld", &found) != 1) found = 0; fclose(file); }
    return found;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && clock == CLOCK_REALTIME) at->tv_sec += shift();
    return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
DRIVER = """
import sys, time
from pathlib import Path
from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.printing import Printers, PrintJobs, Profiles, Spooler
from labelsvc.security import Sealer
folder = Path(sys.argv[2])
database = Database(sys.argv[1], sealer=Sealer.from_file(folder / "sealing.key"))
printers = Printers(database, Profiles())
jobs = PrintJobs(database, printers, StandardTemplates(folder))
Spooler(database, printers, jobs, poll_s=0.05, printer_retry_s=0.1, proof_timeout_s=5, answer_s=1).start()
for _ in sys.stdin:
    print("it is", int(time.time()), flush=True)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="setting the clock back needs cc")
def test_clock_set_back_an_hour(bench, tmp_path):
    """P7, P8: the clock jumps back in the middle of a label: order, proof and the history's numbers hold."""
    (tmp_path / "clock.c").write_text(CLOCK)
    shim, shift = tmp_path / "clock.so", tmp_path / "shift"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(shim), str(tmp_path / "clock.c")], check=True)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, bench.database.url.render_as_string(False), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(shim), "CLOCK_SHIFT": str(shift)},
    )

    def time_there() -> int:
        print(file=driver.stdin, flush=True)
        while not (said := driver.stdout.readline()).startswith("it is"):
            assert driver.poll() is None
        return int(said.split()[-1])

    try:
        with virtual_printer(tmp_path / "printer") as bench.device:
            bench.printers.add(bench.actor, "p", bench.device.uri, PROFILES["zpl"])
            assert bench.states(bench.order("0"), settled=True) == [PRINTED]
            before = time_there()
            bench.device.faults(drain_delay_s=0.5)
            job = bench.order("1", "2", "3")
            bench.until(lambda: bench.device.state()["queue"], "the label in the buffer")
            shift.write_text("-3600")
            assert time_there() < before - 3000
            assert bench.states(job, settled=True) == [PRINTED] * 3
            assert bench.came_out() == ["0", "1", "2", "3"]
            history = bench.jobs.history(bench.actor, job)
            assert history[-1].at < history[0].at
            assert [change.seq for change in history] == sorted(change.seq for change in history)
    finally:
        driver.kill()
        driver.wait()
        driver.stdin.close()
        driver.stdout.close()
