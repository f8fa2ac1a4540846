"""The ground: ids, times, the database's promises, settings, and a log without personal data."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import threading
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from labelsvc import log, settings
from labelsvc.db import Database, new_id
from labelsvc.errors import Invalid, LabelsvcError
from labelsvc.migrations import HEAD


def test_ids_are_sortable_by_creation():
    """A thousand ids made in a row are all different and already in order."""
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {len(found) for found in ids} == {26}


def test_every_connection_is_wal_and_full(sqlite_database: Database):
    """Every pooled connection, not only the first, has WAL, synchronous=FULL and foreign keys."""
    seen = []

    def ask() -> None:
        with sqlite_database.reading() as connection:
            barrier.wait()
            seen.append(
                tuple(
                    connection.execute(text(f"PRAGMA {name}")).scalar()
                    for name in ("journal_mode", "synchronous", "foreign_keys")
                )
            )

    barrier = threading.Barrier(6)
    threads = [threading.Thread(target=ask) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert seen == [("wal", 2, 1)] * 6


def test_a_connection_that_cannot_be_full_is_refused(monkeypatch, tmp_path: Path):
    """Where SQLite won't give WAL, the database refuses to work rather than to lose a label at a power cut."""

    class Stubborn(sqlite3.Connection):
        def cursor(self, *args):
            cursor = super().cursor(*args)

            class Cursor:
                def execute(self, statement):
                    return cursor.execute(statement.replace("=WAL", "=DELETE"))

                def close(self):
                    cursor.close()

            return Cursor()

    from labelsvc import db

    with pytest.raises(LabelsvcError, match="journal_mode=delete"):
        db._prepare_sqlite(sqlite3.connect(tmp_path / "x.db", factory=Stubborn), None)


def test_a_write_waits_for_the_write_before_it(database: Database):
    """Two transactions of one turn that read and then write one row don't lose an update."""
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def add() -> None:
        for _ in range(20):
            with database.transaction("counter") as connection:
                n = connection.execute(text("SELECT n FROM counter")).scalar()
                connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=add) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    with database.reading() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar() == 100


def test_the_schema_is_at_its_head_and_has_no_drift(database: Database):
    """Migrating an empty file gives exactly the tables that the rooms declare, and the constant HEAD is the newest."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    import labelsvc.daemon  # every room's tables
    from labelsvc import migrations
    from labelsvc.db import metadata

    assert labelsvc.daemon
    assert database.revision() == HEAD
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == HEAD
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []


def test_a_time_without_zone_is_refused():
    """A naive time can't be stored: nobody knows whose clock it is."""
    from labelsvc.db import UtcDateTime

    with pytest.raises(ValueError, match="zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), None)
    assert UtcDateTime().process_result_value(datetime(2026, 1, 1), None) == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch):
    """Default, then TOML, then environment."""
    file = tmp_path / "labelsvc.toml"
    file.write_text("port = 4001\nlog_level = 'debug'\n")
    monkeypatch.setenv("LABELSVC_CONFIG", str(file))
    monkeypatch.setenv("LABELSVC_PORT", "4002")
    found = settings.load(state_dir=tmp_path)
    assert (found.port, found.log_level, found.host) == (4002, "debug", "127.0.0.1")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", "5000"),
        ("port", "9100"),
        ("port", "13528"),
        ("port", "x"),
        ("one_point_per_address", "never"),
    ],
)
def test_wrong_settings_name_the_option(option: str, value: str, tmp_path: Path, monkeypatch):
    """A wrong option is refused by name; a neighbour's port (5000, 9100, 13528) is wrong."""
    monkeypatch.setenv(f"LABELSVC_{option.upper()}", value)
    with pytest.raises(Invalid) as fault:
        settings.load(state_dir=tmp_path)
    assert [error.field for error in fault.value.errors] == [option]


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path, monkeypatch):
    """A misspelt option is told, not ignored."""
    file = tmp_path / "labelsvc.toml"
    file.write_text("prot = 4001\n")
    monkeypatch.setenv("LABELSVC_CONFIG", str(file))
    with pytest.raises(Invalid) as fault:
        settings.load(state_dir=tmp_path)
    assert [error.field for error in fault.value.errors] == ["prot"]


def test_the_log_redacts_by_key_and_hides_fault_texts():
    """Names, phones and addresses under their keys, however deep, and an exception's own text never reach a line."""
    stream = io.StringIO()
    with redirect_stderr(stream):
        log.configure("debug")
        logger = log.get_logger("test")
        try:
            raise ValueError("张三丰 13812345678")
        except ValueError:
            logger.exception(
                "order.stored", order="x1", recipient={"name": "张三丰"}, rows=[{"phone": "13812345678"}]
            )
    line = json.loads(stream.getvalue())
    assert "张三丰" not in stream.getvalue()
    assert "13812345678" not in stream.getvalue()
    assert (line["event"], line["order"], line["fault"]) == ("order.stored", "x1", "ValueError")


def test_a_log_that_cannot_be_written_stops_nothing():
    """A closed standard error (a full disk, a gone terminal) loses the line and not the label in hand."""
    stream = io.StringIO()
    with redirect_stderr(stream):
        log.configure("info")
        stream.close()
        log.get_logger("test").info("print.sent", label="x1")


def test_the_database_survives_being_opened_by_two_processes_at_once(tmp_path: Path):
    """Two processes that migrate the same empty file at the same moment both end with a current schema."""
    import subprocess
    import sys

    program = (
        "import sys; from labelsvc.db import Database; from labelsvc.migrations import migrate; import labelsvc.daemon;"
        "d = Database(sys.argv[1]); migrate(d); print(d.revision())"
    )
    url = f"sqlite:///{tmp_path / 'both.db'}"
    both = [
        subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, env=dict(os.environ))
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[0].decode().strip() for process in both] == [HEAD, HEAD]
