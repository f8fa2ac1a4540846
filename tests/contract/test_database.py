"""What both databases promise: turns, feeds that skip nothing, errors in the house's words, recovery, one driver."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    func,
    insert,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError
from support import postgres, rows
from support.postgres import Cluster

from labelsvc.db import Database, MetaData, News, Prepared, metadata, new_id, put, take_turn
from labelsvc.errors import Invalid, LabelsvcError, Unavailable
from labelsvc.labels import StandardTemplates
from labelsvc.migrations import HEAD, migrate
from labelsvc.printing import DocumentRequest, Printers, PrintJobs, PrintRequest, Profiles
from labelsvc.security import Sealer

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(40), unique=True),
    Column("n", Integer, nullable=False, server_default="0"),
)


@pytest.fixture
def table(database: Database) -> Table:
    """Two rows to quarrel about."""
    with database.transaction() as connection:
        things.create(connection)
        connection.execute(insert(things), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    return things


def _jobs(database: Database, factory) -> PrintJobs:
    printers = Printers(database, Profiles())
    printers.add(factory, "bench", "tcp://127.0.0.1:9", "virtual-zpl-203")
    return PrintJobs(database, printers, StandardTemplates())


def _request(key: str) -> PrintRequest:
    data = {"waybillCode": key, "recipient": {"name": "收件人", "mobile": "00000"}}
    return PrintRequest(
        printer="bench", key=key, documents=(DocumentRequest(template="waybill-76x130", data=data),)
    )


def test_a_reader_with_a_cursor_misses_no_change(database: Database, factory):
    """Printing's feed, read from a cursor while eight threads write, holds each change exactly once and in order."""
    jobs = _jobs(database, factory)
    jobs.submit(factory, _request("warm"))
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        cursor = 0
        while True:
            last_look = done.is_set()
            found = jobs.changes(cursor, 50)
            seen.extend(change.seq for change in found)
            cursor = found[-1].seq if found else cursor
            if last_look and not found:
                return

    def write(thread: int) -> None:
        for n in range(6):
            job = jobs.submit(factory, _request(f"k{thread}-{n}"))
            if n % 2:
                jobs.cancel(factory, job.id)

    reader = threading.Thread(target=follow)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    done.set()
    reader.join(20)
    with database.reading() as connection:
        all_of_them = list(connection.execute(text("SELECT seq FROM changes ORDER BY seq")).scalars())
    assert len(all_of_them) == 1 + 8 * 6 + 8 * 3
    assert seen == all_of_them


def test_a_change_waits_for_the_one_before_it(database: Database, factory):
    """While a transaction that writes to the feed is open nobody else writes to it, so no number appears below one read."""
    jobs = _jobs(database, factory)
    job = jobs.submit(factory, _request("first"))
    started, finished = threading.Event(), threading.Event()

    def another() -> None:
        started.set()
        jobs.submit(factory, _request("second"))
        finished.set()

    from labelsvc.printing import journal
    from labelsvc.printing.model import LabelState

    thread = threading.Thread(target=another)
    with database.transaction(journal.TURN) as connection:
        journal.step(connection, job.labels[0].id, LabelState.HELD, database.now(), actor="test")
        thread.start()
        assert started.wait(5)
        assert not finished.wait(0.5), "a higher number is visible before a lower one"
    thread.join(20)
    assert [change.after for change in jobs.changes(0)] == ["queued", "held", "queued"]


def test_a_turn_is_had_by_one_at_a_time(database: Database, table: Table):
    """Read-then-write in one turn loses no update, and a turn of another name waits for nobody on PostgreSQL."""

    def add(_: int) -> None:
        with database.transaction("add") as connection:
            n = connection.execute(select(table.c.n).where(table.c.id == 1)).scalar_one()
            connection.execute(update(table).where(table.c.id == 1).values(n=n + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(60)))
    with database.reading() as connection:
        assert connection.execute(select(table.c.n).where(table.c.id == 1)).scalar_one() == 60
    if not database.is_sqlite:
        with database.transaction("one"), database.transaction("two") as connection:
            take_turn(connection, "three")


def test_a_prepared_statement_does_what_an_executed_one_does(database: Database):
    """Times, truths, sealed values, NULL and constants go in and come out by their columns' types; a constraint is in force."""
    documents, jobs = metadata.tables["documents"], metadata.tables["print_jobs"]
    found = (
        select(documents, jobs.c.created_at, func.coalesce(jobs.c.erased_at, jobs.c.created_at).label("at"))
        .join(jobs, jobs.c.id == documents.c.job_id)
        .where(documents.c.id == bindparam("document_id"), documents.c.copies.in_([1, 2]))
    )
    prepared, change = (
        Prepared(found),
        Prepared(update(documents).where(documents.c.id == bindparam("of_id"))),
    )
    with database.transaction() as connection:
        given = rows.add(connection, documents, data={"收件人": "欧阳"}, private=True, subject=None, copies=2)
        which = {"document_id": given["id"]}

        def same() -> dict[str, object]:
            executed = connection.execute(found, which).one()._asdict()
            assert prepared.first(connection, **which)._asdict() == executed
            return executed

        assert (same()["data"], same()["private"]) == ({"收件人": "欧阳"}, True)
        change.run(connection, {"of_id": given["id"], "data": {"b": None}})
        change.run(connection, {"of_id": given["id"], "private": False, "subject": "s"})
        assert (same()["data"], same()["private"], same()["subject"]) == ({"b": None}, False, "s")
        Prepared(documents.insert()).run(
            connection, *({**given, "id": new_id(), "no": no, "copies": 9} for no in (2, 3))
        )
        assert prepared.all(connection, document_id="none") == []
        assert connection.execute(select(func.count()).select_from(documents)).scalar() == 3
        with pytest.raises(IntegrityError), connection.begin_nested():
            Prepared(documents.insert()).run(connection, given)
    raw = select(type_coerce(documents.c.data, LargeBinary)).where(documents.c.id == given["id"])
    with database.reading() as connection:
        assert b'"b"' not in bytes(connection.execute(raw).scalar_one())


def test_put_inserts_or_changes_also_in_a_race(database: Database, table: Table):
    """Many who put the same row at once leave one row, and none fails."""
    with ThreadPoolExecutor(8) as pool:

        def one(n: int) -> None:
            with database.transaction() as connection:
                put(connection, table, {"name": "c"}, {"id": 7, "n": n})

        list(pool.map(one, range(40)))
    with database.reading() as connection:
        rows = connection.execute(select(table.c.id, table.c.n).where(table.c.name == "c")).all()
    assert len(rows) == 1
    assert rows[0].id == 7
    assert rows[0].n in range(40)


def test_news_is_what_anybody_committed(database: Database, table: Table):
    """P9: who looks only when something was committed misses nothing, whoever committed it, and at first looks once."""
    news = News(database)
    assert news()
    if not database.is_sqlite:
        assert news(), "on PostgreSQL it can't be told, so there always is"
        return
    assert not news()
    with database.reading() as connection:
        connection.execute(select(table)).all()
    assert not news()
    other = Database(str(database.url))
    for writer in (database, other):
        with writer.transaction() as connection:
            connection.execute(update(table).values(n=table.c.n + 1))
            assert not news(), "not committed yet"
        assert news() and not news()
    other.close()
    news.forget()
    assert news()


def test_a_tidy_database_has_its_log_in_its_file(database: Database, table: Table, tmp_path: Path):
    """What was committed is in the file itself, though the log is still there and others have the database open."""
    database.tidy()
    if not database.is_sqlite:
        return  # nothing to do there
    assert database.path
    copied = tmp_path / "copy.db"
    shutil.copyfile(database.path, copied)
    assert database.path.with_name(database.path.name + "-wal").stat().st_size > 0
    with closing(sqlite3.connect(copied)) as alone:
        assert alone.execute("SELECT name FROM things ORDER BY id").fetchall() == [("a",), ("b",)]
    with database.transaction() as connection:
        connection.execute(update(table).values(n=7))
        database.tidy()  # while somebody writes: nobody waits, nothing is lost
    with database.reading() as connection:
        assert connection.execute(select(func.min(table.c.n))).scalar() == 7


def test_a_reader_has_one_view(database: Database, table: Table):
    """What another commits between two looks of one reading isn't seen by the second."""
    with database.reading() as connection:
        before = connection.execute(select(func.sum(table.c.n))).scalar_one()
        with database.transaction() as writing:
            writing.execute(update(table).values(n=5))
        assert connection.execute(select(func.sum(table.c.n))).scalar_one() == before
    with database.reading() as connection:
        assert connection.execute(select(func.sum(table.c.n))).scalar_one() == 10


def test_a_constraint_leaves_a_savepoint_usable(database: Database, table: Table):
    """A violated constraint inside a savepoint costs only that; the transaction goes on and commits."""
    with database.transaction() as connection:
        connection.execute(insert(table).values(id=3, name="c"))
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(insert(table).values(id=4, name="a"))
        connection.execute(insert(table).values(id=5, name="e"))
    with database.reading() as connection:
        assert list(connection.execute(select(table.c.id).order_by(table.c.id)).scalars()) == [1, 2, 3, 5]


def test_ids_sort_as_bytes(database: Database, table: Table):
    """Ids keep their order of creation in the database's own collation, which the pages of lists rest on."""
    ids = [new_id() for _ in range(200)]
    with database.transaction() as connection:
        connection.execute(insert(table), [{"id": 100 + n, "name": id} for n, id in enumerate(reversed(ids))])
    with database.reading() as connection:
        found = connection.execute(select(table.c.name).where(table.c.id >= 100).order_by(table.c.name))
        assert list(found.scalars()) == sorted(ids)


def test_what_cannot_be_stored_is_invalid(database: Database, table: Table):
    """A NUL in a text is Invalid where the database can't hold it, never an internal error."""
    try:
        with database.transaction() as connection:
            connection.execute(insert(table).values(id=9, name="a\0b"))
    except Invalid as error:
        assert "a\0b" not in str(error)
        assert not database.is_sqlite


def test_two_that_start_on_an_empty_database_make_it_once(
    postgresql_cluster: Cluster, sealer: Sealer, database: Database, tmp_path: Path
):
    """Three processes that migrate an empty database at once leave one schema at its head."""
    with suppress(psycopg.Error):
        postgresql_cluster.admin.execute("CREATE DATABASE empty TEMPLATE template0")
    if database.is_sqlite:
        url, name = f"sqlite:///{tmp_path / 'empty.db'}", ""
    else:
        name = postgresql_cluster.create("empty")
        url = postgresql_cluster.url(name)
    code = (
        "import sys; from labelsvc.db import Database; from labelsvc.migrations import migrate\n"
        "import labelsvc.daemon; migrate(Database(sys.argv[1]))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(3)]
    assert [each.wait(60) for each in started] == [0, 0, 0]
    found = Database(url)
    assert found.revision() == HEAD
    migrate(found)
    found.close()
    if name:
        postgresql_cluster.drop(name)


# ---------------------------------------------------------------- PostgreSQL's own troubles


def test_a_deadlock_is_busy(postgresql_url: str):
    """Two transactions that lock two rows crosswise: one commits, the other is Unavailable ``database.busy``."""
    database = Database(postgresql_url)
    with database.transaction() as connection:
        things.create(connection)
        connection.execute(insert(things), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    both = threading.Barrier(2)

    def lock(first: int, second: int) -> str:
        try:
            with database.transaction() as connection:
                connection.execute(update(things).where(things.c.id == first).values(n=first))
                both.wait(10)
                connection.execute(update(things).where(things.c.id == second).values(n=second))
        except Unavailable as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lock, (1, 2), (2, 1)))
    assert outcomes == ["database.busy", "done"]
    database.close()


def test_a_lost_connection_is_unavailable_and_mends_itself(
    postgresql_cluster: Cluster, postgresql_url: str, sealer: Sealer
):
    """The server ends every connection in the middle of a transaction: Unavailable, and the next one works."""
    database = Database(postgresql_url, sealer=sealer)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with database.transaction() as connection:
        things.create(connection)
    with pytest.raises(Unavailable) as lost, database.transaction() as connection:
        connection.execute(insert(things).values(id=1, name="a"))
        postgresql_cluster.admin.execute(end, [database.url.database])
        connection.execute(insert(things).values(id=2, name="b"))
    assert lost.value.code == "database.unavailable"
    postgresql_cluster.admin.execute(end, [database.url.database])  # those that rest in the pool
    with database.transaction() as connection:
        connection.execute(insert(things).values(id=3, name="c"))
    with database.reading() as connection:
        assert list(connection.execute(select(things.c.id)).scalars()) == [3]
    database.close()


def test_no_server_is_unavailable(tmp_path: Path):
    """Nobody listens: Unavailable, for readers and writers."""
    database = Database(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    with pytest.raises(Unavailable), database.reading():
        pass
    with pytest.raises(Unavailable), database.transaction():
        pass


def test_another_kind_of_database_is_refused():
    """Only SQLite and PostgreSQL are spoken; the refusal names the setting."""
    with pytest.raises(LabelsvcError) as refused:
        Database("mssql+pyodbc://x")
    assert refused.value.errors[0].field == "database_url"


def test_commits_are_durable_whatever_the_server_says(postgresql_cluster: Cluster, postgresql_url: str):
    """A database whose default is synchronous_commit=off, or another isolation, is used durably and READ COMMITTED."""
    name = postgresql_url.rsplit("/", 1)[0]
    assert name
    database = Database(postgresql_url)
    admin = postgresql_cluster.admin
    admin.execute(f'ALTER DATABASE "{database.url.database}" SET synchronous_commit = off')
    admin.execute(
        f'ALTER DATABASE "{database.url.database}" SET default_transaction_isolation = serializable'
    )
    with database.transaction() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "read committed"
    with database.reading() as connection:
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "repeatable read"
        assert connection.execute(text("SHOW transaction_read_only")).scalar() == "on"
    with database.transaction() as connection:  # the same connection, written with again
        assert connection.execute(text("SHOW transaction_read_only")).scalar() == "off"
    database.close()


# ---------------------------------------------------------------- the tests' own cluster


def test_a_copy_of_the_template_is_whole_and_apart(postgresql_cluster: Cluster):
    """Each test's database is migrated, empty, and gone afterwards."""
    with postgresql_cluster.database() as url, postgresql_cluster.database() as other:
        one, two = Database(url), Database(other)
        assert one.revision() == two.revision() == HEAD
        with one.transaction() as connection:
            connection.execute(text("INSERT INTO feed_cursors (name, seq) VALUES ('x', 1)"))
        with two.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM feed_cursors")).scalar() == 0
    names = [row[0] for row in postgresql_cluster.admin.execute("SELECT datname FROM pg_database")]
    assert one.url.database not in names


def test_a_cluster_ends_with_its_last_user_however_that_ends(tmp_path: Path, postgresql_cluster: Cluster):
    """A test run that is killed -9 leaves no server behind."""
    code = (
        "import sys, time; from support.postgres import cluster\n"
        "with cluster() as found:\n"
        "    print(found.pid, found.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin:/usr/local/bin"},
    )
    assert user.stdout
    pid, folder = user.stdout.readline().split()
    status = Path(f"/proc/{pid}/stat")
    assert status.exists()
    user.send_signal(signal.SIGKILL)
    user.wait(10)
    user.stdout.close()
    deadline = time.monotonic() + 20
    while status.exists() or Path(folder).exists():
        assert time.monotonic() < deadline, "the cluster outlives its user"
        time.sleep(0.05)
    assert postgres.programs().exists()
