"""A restored or copied database prints nothing by itself; nothing else looks like one. On real databases and files."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.printing import (
    DocumentRequest,
    LabelState,
    Printers,
    PrintJobs,
    PrintRequest,
    Profiles,
    Spooler,
    journal,
)
from labelsvc.printing.origin import RESTORED, Mark, MarkFile, Origin
from labelsvc.security import Actor

TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30">
  <layout left="2" top="2" width="70" height="26">
    <text left="0" top="0" width="70" height="10" value="<%= _data.text %>" style="fontSize:10"/>
  </layout>
</page>
"""


class Bench:
    """A printer that prints into a folder, and its jobs."""

    def __init__(self, database: Database, actor: Actor, folder: Path) -> None:
        self.database, self.actor, self.folder = database, actor, folder
        self.printers = Printers(database, Profiles())
        self.jobs = PrintJobs(database, self.printers, StandardTemplates(folder))

    def add(self) -> None:
        """The printer."""
        self.printers.add(self.actor, "p", f"file://{self.folder}", "file-zpl-203")

    def submit(self, key: str, **other):
        """A job of one label."""
        document = DocumentRequest("own", {"text": key}, template_text=TEMPLATE)
        return self.jobs.submit(self.actor, PrintRequest("p", (document,), key, **other))

    def send(self, job) -> int:
        """As the spooler would; the number of the claim's change."""
        with self.database.transaction(journal.TURN) as connection:
            now = self.database.now()
            assert journal.claim(connection, job.labels[0].id, b"x", None, now, "spooler")
            number = journal.newest_change(connection)
            journal.step(connection, job.labels[0].id, LabelState.SENT, now, actor="spooler")
        return number

    def states(self, *jobs) -> list[str]:
        """The states of their labels now."""
        return [self.jobs.get(self.actor, job.id).labels[0].state.value for job in jobs]


@pytest.fixture
def bench(database, factory, tmp_path) -> Bench:
    """A bench with its printer."""
    found = Bench(database, factory, tmp_path)
    found.add()
    return found


def _mark(bench: Bench, tmp_path: Path) -> Path:
    return tmp_path / "here" / "labels.mark"


def test_a_database_that_stays_where_it_is_goes_on(bench, tmp_path):
    """P14: new, or of an earlier version, or after any stop, nothing is held."""
    path = _mark(bench, tmp_path)
    job = bench.submit("1")
    first = Origin(bench.database, path)
    assert first.check() == 0
    first.reached(bench.send(bench.submit("2")))
    assert Origin(bench.database, path).check() == 0
    assert bench.states(job) == ["queued"]
    assert bench.jobs.moved(bench.actor) == 0


def test_a_crash_between_the_claim_and_the_mark_holds_nothing(bench, tmp_path):
    """P14, P7: the mark is behind what was committed, never ahead of it."""
    path = _mark(bench, tmp_path)
    Origin(bench.database, path).check()
    job, other = bench.submit("1"), bench.submit("2")
    bench.send(other)  # committed, and then the machine stopped
    assert Origin(bench.database, path).check() == 0
    assert bench.states(job) == ["queued"]


def test_a_database_behind_its_mark_was_restored(bench, tmp_path):
    """P14: all that waits is held, whatever a person held before stays his, one action releases the others, in their order."""
    path = _mark(bench, tmp_path)
    origin = Origin(bench.database, path)
    origin.check()
    one, two, mine = bench.submit("1"), bench.submit("2"), bench.submit("3", hold=True)
    with bench.database.reading() as connection:
        number = journal.newest_change(connection)
    origin.reached(number + 7)  # what was printed after the backup was made
    assert Origin(bench.database, path).check() == 2
    assert Origin(bench.database, path).check() == 0  # once
    assert bench.states(one, two, mine) == ["held", "held", "held"]
    label = bench.jobs.get(bench.actor, one.id).labels[0]
    assert (label.held_for, label.reason) == ("moved", RESTORED)
    later = bench.submit("4")  # somebody wants it here and now
    assert bench.states(later) == ["queued"]
    assert bench.jobs.moved(bench.actor) == 2
    assert bench.jobs.release_moved(bench.actor) == 2
    assert bench.states(one, two, mine) == ["queued", "queued", "held"]
    last = bench.jobs.history(bench.actor, one.id)[-1]
    assert (last.after, last.actor) == (LabelState.QUEUED, bench.actor.user_id)
    with bench.database.reading() as connection:
        printer = bench.printers.get(bench.actor, "p")
        turn = journal.next_turn(connection, printer.id, bench.database.now())
    assert turn.label.job_id == one.id


def test_one_job_of_a_restored_database_may_go_alone(bench, tmp_path):
    """P14: released or cancelled like any held one."""
    path = _mark(bench, tmp_path)
    origin = Origin(bench.database, path)
    origin.check()
    one, two = bench.submit("1"), bench.submit("2")
    origin.reached(10_000)
    Origin(bench.database, path).check()
    bench.jobs.release(bench.actor, one.id)
    bench.jobs.cancel(bench.actor, two.id)
    assert bench.states(one, two) == ["queued", "cancelled"]


def test_a_cancellation_after_the_backup_is_known_too(bench, tmp_path):
    """P14: what was cancelled after the backup would print again; the mark follows changes that sent nothing."""
    path = _mark(bench, tmp_path)
    origin = Origin(bench.database, path)
    origin.check()
    bench.jobs.cancel(bench.actor, bench.submit("1").id)
    origin.follow()
    with bench.database.reading() as connection:
        assert MarkFile(path).read().number == journal.newest_change(connection)


def test_another_server_is_a_copy(bench, tmp_path):
    """P14: a dump that was read in elsewhere, or a timeline that branched off; a new machine of the same server is none."""
    if bench.database.is_sqlite:
        return
    Origin(bench.database, _mark(bench, tmp_path)).check()
    job = bench.submit("1")
    assert Origin(bench.database, tmp_path / "other machine.mark").check() == 0
    with bench.database.transaction() as connection:
        before = connection.exec_driver_sql("SELECT server FROM database_origin").scalar()
        assert before.count("/") == 2
        connection.exec_driver_sql("UPDATE database_origin SET server = server || '0'")
    assert Origin(bench.database, _mark(bench, tmp_path)).check() == 1
    assert bench.states(job) == ["held"]


# ---------------------------------------------------------------- files


@pytest.fixture
def file_database(tmp_path, factory, database):
    """The SQLite file of the database under test, closed; only there."""
    if not database.is_sqlite:
        pytest.skip("a file is copied")
    return database.path


def _copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as own, closing(sqlite3.connect(target)) as copy:
        own.backup(copy)


def test_a_copied_file_prints_nothing_by_itself(file_database, factory, bench, tmp_path, sealer):
    """P14: a copy without its mark, and one of the whole folder, which has it; a restored backup in its own place."""
    Origin(bench.database).check()
    job = bench.submit("1")
    backup = tmp_path / "backup.db"
    _copied(file_database, backup)
    for name, with_mark in (("alone", False), ("folder", True)):
        target = tmp_path / name / file_database.name
        target.parent.mkdir()
        shutil.copy(backup, target)
        if with_mark:
            shutil.copy(f"{file_database}.mark", f"{target}.mark")
        copy = Database(f"sqlite:///{target}", sealer=sealer)
        assert Origin(copy).check() == 1
        assert Bench(copy, factory, tmp_path).states(job) == ["held"]
        copy.close()
    origin = Origin(bench.database)
    assert origin.check() == 0
    origin.reached(bench.send(job))
    bench.database.close()
    for ending in ("-wal", "-shm"):
        Path(f"{file_database}{ending}").unlink(missing_ok=True)
    shutil.copy(backup, file_database)
    restored = Database(f"sqlite:///{file_database}", sealer=sealer)
    assert Origin(restored).check() == 1
    assert Bench(restored, factory, tmp_path).states(job) == ["held"]
    restored.close()


def test_the_spooler_of_a_copy_sends_nothing_until_a_person_says_so(
    file_database, factory, bench, tmp_path, sealer
):
    """P14: the driver looks before it drives; released, all of it comes out."""
    Origin(bench.database).check()
    job = bench.submit("1")
    target = tmp_path / "copy" / "labels.db"
    target.parent.mkdir()
    _copied(file_database, target)
    copy = Database(f"sqlite:///{target}", sealer=sealer)
    there = Bench(copy, factory, tmp_path)
    spooler = Spooler(copy, there.printers, there.jobs, poll_s=0.05)
    spooler.start()
    try:
        end = time.monotonic() + 20
        while there.states(job) == ["queued"] and time.monotonic() < end:
            time.sleep(0.02)
        assert there.states(job) == ["held"]
        assert list(tmp_path.glob("*.zpl")) == []
        there.jobs.release_moved(factory)
        assert there.jobs.wait(factory, job.id, 20).labels[0].state is LabelState.SENT
        assert len(list(tmp_path.glob("*.zpl"))) == 1
        with copy.reading() as connection:
            newest = journal.newest_change(connection)
        assert newest - 1 <= MarkFile(Path(f"{target}.mark")).read().number <= newest
    finally:
        spooler.stop()
        copy.close()


def test_a_mark_survives_a_write_that_was_cut(tmp_path):
    """P14: of two slots one is always whole; a file without a whole one is no mark."""
    path = tmp_path / "m"
    file = MarkFile(path)
    assert file.read() is None
    file.start(Mark("a" * 26, "", 1))
    for number in range(2, 6):
        file.write(Mark("a" * 26, "here", number))
        assert MarkFile(path).read() == Mark("a" * 26, "here", number)
    data = path.read_bytes()
    at = data.index(b" 5 ")
    path.write_bytes(data[: at + 1] + b"9" + data[at + 2 :])
    again = MarkFile(path)
    assert again.read() == Mark("a" * 26, "here", 4)
    again.write(Mark("a" * 26, "here", 6))  # over the broken one
    assert MarkFile(path).read().number == 6
    path.write_bytes(b"\0" * 1024)
    assert MarkFile(path).read() is None
