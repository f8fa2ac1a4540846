"""The database: engine, transactions, clock and ids; hides what differs between SQLite and PostgreSQL.

SQLite runs with WAL and ``synchronous=FULL``, checked on every connection: with ``NORMAL`` a committed transaction
may roll back at a power cut, which here would mean a second label.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import TypeDecorator

from labelsvc.errors import LabelsvcError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_id_lock = threading.Lock()
_last_id = 0


def new_id() -> str:
    """Return a fresh id: 26 characters, sortable by time of creation, strictly rising within one process.

    The layout is a ULID's (48 bits of milliseconds, 80 random bits, Crockford's base 32), in lower case.
    """
    global _last_id
    with _id_lock:
        fresh = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
        _last_id = value = max(fresh, _last_id + 1)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware UTC outside; SQLite keeps it as text without zone, PostgreSQL as ``timestamptz``."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, which would be in nobody knows which zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone can't be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back that SQLite drops."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """One database and its clock.

    ``sealer`` (see ``labelsvc.security.Sealer``) serves the sealed column types on this database's connections.
    """

    def __init__(
        self, url: str, *, sealer: object | None = None, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.url = make_url(url)
        self._clock = clock or (lambda: datetime.now(UTC))
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        name = self.url.database
        self.path = Path(name) if self.is_sqlite and name and name != ":memory:" else None
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.is_sqlite:
            # A connection a thread: SQLite's cost is opening, and a waiting writer must not starve readers.
            self.engine: Engine = create_engine(self.url, pool_size=8, max_overflow=40, pool_timeout=30)
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(self.url, pool_pre_ping=True)
        self.engine.dialect.labelsvc_sealer = sealer  # type: ignore[attr-defined]  # read by the sealed types

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._clock()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction: committed at the end of the block, rolled back by any error.

        SQLite takes its one write lock at the start (``BEGIN IMMEDIATE``), so a read inside can't go stale before the
        write that rests on it. Raises Unavailable when the lock isn't to be had in time, or the disk is full.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise _translated(error) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading only: one consistent view, no write lock."""
        try:
            with (
                self.engine.connect().execution_options(labelsvc_reading=True) as connection,
                connection.begin(),
            ):
                yield connection
        except OperationalError as error:
            raise _translated(error) from error

    def revision(self) -> str | None:
        """The schema's revision, or None on an empty database."""
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return str(found) if found else None

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Set WAL, FULL, foreign keys and a busy time-out, and refuse to work without the first two."""
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=15000")
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    cursor.execute("PRAGMA synchronous=FULL")
    level = cursor.execute("PRAGMA synchronous").fetchone()[0]
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    if mode not in ("wal", "memory") or level != 2:
        raise LabelsvcError(f"SQLite gives journal_mode={mode}, synchronous={level}; wal and 2 are needed")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("labelsvc_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _translated(error: OperationalError) -> LabelsvcError:
    """Say in the house's words why the database can't serve now (no SQL, no parameters)."""
    reason = str(error.orig).lower()
    if "locked" in reason or "busy" in reason:
        return Unavailable("the database is busy", code="database.busy")
    if "full" in reason or "disk" in reason:
        return Unavailable("the disk is full", code="database.disk_full")
    return Unavailable("the database doesn't answer", code="database.unavailable")
