"""The database: engine, transactions, clock and ids; hides what differs between SQLite and PostgreSQL.

SQLite runs with WAL and ``synchronous=FULL``, checked on every connection: with ``NORMAL`` a committed transaction
may roll back at a power cut, which here would mean a second label. PostgreSQL works with READ COMMITTED: there a
transaction sees at each statement what others have committed meanwhile. So whatever reads and then writes does so with a
constraint, a conditional update, a locked row, or in its turn (``transaction(turn)``, ``take_turn``), which SQLite's one
writer at a time gives for nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    Insert,
    MetaData,
    Select,
    Table,
    Update,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from labelsvc.errors import Conflict, Invalid, LabelsvcError, Refused, Unavailable

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


#: How long a writer waits for the others, on SQLite.
_WAIT_S = 15


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

    Several machines on PostgreSQL go by the server's clock, so that one whose own is wrong does no harm.
    ``sealer`` (see ``labelsvc.security.Sealer``) serves the sealed column types on this database's connections.
    """

    def __init__(
        self, url: str, *, sealer: object | None = None, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.url = make_url(url)
        self._server_clock = _ServerClock()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._clock = clock or ((lambda: datetime.now(UTC)) if self.is_sqlite else self._server_clock.now)
        self._writing = threading.RLock()
        self._news: list[News] = []
        name = self.url.database
        self.path = Path(name) if self.is_sqlite and name and name != ":memory:" else None
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.is_sqlite:
            # A connection a thread: SQLite's cost is opening, and a waiting writer must not starve readers.
            self.engine: Engine = create_engine(self.url, pool_size=8, max_overflow=40, pool_timeout=30)
            event.listen(self.engine, "connect", _prepare_sqlite)
            self._reader: Engine = self.engine
        elif self.url.get_backend_name() == "postgresql":
            self.engine = create_engine(
                self.url,
                pool_size=8,
                max_overflow=40,
                pool_timeout=30,
                pool_pre_ping=True,  # after a restart of the server the pool mends itself
                isolation_level="READ COMMITTED",  # whatever the server's own default is
                connect_args=_POSTGRESQL,
            )
            event.listen(self.engine, "connect", self._prepare_postgresql)
            self._reader = self.engine.execution_options(**_ONE_VIEW)
        else:
            raise Invalid("must name SQLite or PostgreSQL", field="database_url")
        self.engine.dialect.labelsvc_sealer = sealer  # type: ignore[attr-defined]  # read by the sealed types
        self.engine.dialect.labelsvc_prepared = {}  # type: ignore[attr-defined]  # what Prepared compiled

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._clock()

    @contextmanager
    def transaction(self, turn: str | None = None) -> Iterator[Connection]:
        """A writing transaction: committed at the end of the block, rolled back by any error.

        Of the transactions that name the same ``turn`` one runs at a time, on any machine: each sees all that the ones
        before committed. On SQLite that holds for all of them (``BEGIN IMMEDIATE``).

        Raises Unavailable when a lock isn't to be had in time, two transactions wait for each other, the disk is full, or
        the connection breaks; Invalid for what the database can't store at all (a NUL in a text).
        """
        with translating(), self._writer(), self.engine.begin() as connection:
            self._begin(connection, "BEGIN IMMEDIATE")
            if turn is not None:
                take_turn(connection, turn)
            yield connection

    @contextmanager
    def changing_schema(self) -> Iterator[Connection]:
        """A writing transaction that changes tables, one at a time on any machine; all of it comes to be, or nothing.

        SQLite alters a table by making it anew and dropping the old one. Foreign keys in force would see that as the end of
        all its rows, and act on those that refer to them; so there they are out of force meanwhile, and looked at before
        the commit. Raises LabelsvcError ``database.dangling`` if a row refers to one that isn't there, and what
        ``transaction`` does.
        """
        with translating(), self._writer(), self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            if self.is_sqlite:
                driver.execute("PRAGMA foreign_keys=OFF")  # inside a transaction it would do nothing
            try:
                with connection.begin():
                    self._begin(connection, "BEGIN IMMEDIATE")
                    take_turn(connection, "schema")
                    yield connection
                    if self.is_sqlite:
                        _refuse_dangling(connection)
            finally:
                if self.is_sqlite:
                    driver.execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """On SQLite, wait for this process's other writers: SQLite's own wait sleeps and looks again, up to 0.1 s a time."""
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=_WAIT_S):
            raise Unavailable("the database is busy", code="database.busy")
        try:
            yield
        finally:
            self._writing.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading only: one consistent view, no write lock."""
        with translating(), self._reader.begin() as connection:
            self._begin(connection, "BEGIN")
            yield connection

    def _begin(self, connection: Connection, how: str) -> None:
        """Begin on SQLite, whose driver is told not to by itself; past SQLAlchemy, as each request does it several times."""
        if self.is_sqlite:
            driver: Any = connection.connection.driver_connection
            driver.execute(how)

    def revision(self) -> str | None:
        """The schema's revision, or None on an empty database."""
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return str(found) if found else None

    def tidy(self) -> None:
        """Bring SQLite's log back into its file, as far as that keeps nobody waiting; nothing on PostgreSQL.

        Else whoever commits when the log is long does it, in the middle of somebody's answer.
        """
        if self.path is not None:
            with translating(), closing(self.engine.raw_connection()) as own, suppress(sqlite3.Error):
                driver: Any = own.driver_connection
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def backup(self, path: Path) -> None:
        """Copy the database into a new file while it is in use: one consistent state, readable by its owner only.

        Raises Conflict if there is a file of that name, Refused ``backup.postgresql`` (pg_dump does it there). The sealing
        keys are not in it.
        """
        if not self.is_sqlite:
            raise Refused("a PostgreSQL database is backed up by pg_dump", code="backup.postgresql")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            raise Conflict("a file of this name exists", code="backup.exists", field="path") from None
        with closing(sqlite3.connect(path)) as copy, closing(self.engine.raw_connection()) as own:
            source: Any = own.driver_connection
            source.backup(copy)

    def close(self) -> None:
        """Close all connections that nobody has in hand. SQLite's last one leaves the file whole, without a log beside it."""
        for each in self._news:
            each.forget()
        self.engine.dispose()

    def _prepare_postgresql(self, connection: Any, _record: ConnectionPoolEntry) -> None:
        """Set the time-outs, read the clock, and refuse to work with another encoding, or without durable commits."""
        with connection.cursor() as cursor:
            # A process that hangs inside a transaction mustn't keep its locks from everybody.
            cursor.execute("SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '15s'")
            began = elapsed()
            cursor.execute(
                "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'), clock_timestamp()"
            )
            encoding, durable, at = cursor.fetchone()
            self._server_clock.note(at, began)
            if durable == "off":
                cursor.execute("SET synchronous_commit = on")
        connection.commit()
        if encoding != "UTF8":
            raise LabelsvcError(f"the PostgreSQL database is encoded in {encoding}; UTF8 is needed")


def elapsed() -> float:
    """Seconds by a clock that nobody sets and that goes on while the machine sleeps; only differences mean anything."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class _ServerClock:
    """PostgreSQL's clock as read at times, carried on in between by ``elapsed``."""

    def __init__(self) -> None:
        self._known: tuple[datetime, float] | None = None

    def note(self, at: datetime, began: float) -> None:
        """The server's clock stood at ``at`` between ``began`` and now."""
        self._known = at.astimezone(UTC), (began + elapsed()) / 2

    def now(self) -> datetime:
        """The server's time; before anything was heard of it, this machine's."""
        if self._known is None:
            return datetime.now(UTC)
        at, when = self._known
        return at + timedelta(seconds=elapsed() - when)


class Prepared:
    """A statement that stands on a label's way: compiled once, then run over and over. 预备语句

    On SQLite the driver runs it, because SQLAlchemy takes longer to execute a statement than SQLite to answer it; values are
    bound and read by their columns' types all the same, and a row has its columns as attributes. On PostgreSQL, where the way
    to the server is longer, it is executed as any other. Values are single ones, never lists. Raises what SQLAlchemy would.
    """

    def __init__(self, statement: Select[Any] | Insert | Update) -> None:
        self._statement = statement

    def all(self, connection: Connection, **given: Any) -> Sequence[Any]:
        """Its rows."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, given).all()
        compiled = self._of(connection.dialect, tuple(given))
        return [compiled.read(row) for row in compiled.run(connection, given)]

    def first(self, connection: Connection, **given: Any) -> Any | None:
        """Its first row, or None; ask for no more with ``limit``."""
        rows = self.all(connection, **given)
        return rows[0] if rows else None

    def run(self, connection: Connection, *given: Mapping[str, Any]) -> None:
        """Insert or update, once for each of ``given``, which all name the same columns."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, given[0] if len(given) == 1 else list(given))
            return
        compiled = self._of(connection.dialect, tuple(given[0]))
        for values in given:
            compiled.run(connection, values)

    def _of(self, dialect: Dialect, names: tuple[str, ...]) -> _Compiled:
        """Kept by each database for itself, because its keys seal, and for the names given, because an update sets no others."""
        kept: dict[tuple[Prepared, tuple[str, ...]], _Compiled] = dialect.labelsvc_prepared  # type: ignore[attr-defined]
        found = kept.get((self, names))
        if found is None:
            found = kept[self, names] = _Compiled(self._statement, dialect, names)
        return found


class _Compiled:
    """A statement as SQLite's driver takes it, with what its types do to values on their way in and out."""

    def __init__(
        self, statement: Select[Any] | Insert | Update, dialect: Dialect, names: tuple[str, ...]
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=names)
        state = compiled.construct_expanded_state(dict.fromkeys(names))
        self._sql: str = state.statement
        #: For each place its name, its own value if it has none, and what binds it.
        self._binds = [
            (
                name,
                state.parameters[name],
                compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
                if name in compiled.binds
                else None,
            )
            for name in state.positiontup
        ]
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._row = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._readers = [(place, reader) for place, reader in enumerate(readers) if reader is not None]

    def run(self, connection: Connection, given: Mapping[str, Any]) -> sqlite3.Cursor:
        values = [
            bind(given.get(name, own)) if bind else given.get(name, own) for name, own, bind in self._binds
        ]
        driver: Any = connection.connection.driver_connection
        try:
            return driver.execute(self._sql, values)  # type: ignore[no-any-return]
        except sqlite3.IntegrityError as error:
            raise IntegrityError(self._sql, None, error) from None

    def read(self, row: Sequence[Any]) -> Any:
        values = list(row)
        for place, reader in self._readers:
            values[place] = reader(values[place])
        return self._row(*values)


class Apart:
    """A connection to PostgreSQL beside the pool, for a thread that must wait for nobody: each statement is a transaction.

    Made when it is first wanted, and anew after it broke. ``timeout_s``: the longest that connecting, or a statement, may
    take.
    """

    def __init__(self, database: Database, timeout_s: float = 10.0) -> None:
        self._database = database
        self._engine = create_engine(
            database.url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                **_POSTGRESQL,
                "connect_timeout": max(2, int(timeout_s)),  # libpq knows no shorter one
                "options": f"-c statement_timeout={int(timeout_s * 1000)}",
            },
        )
        event.listen(self._engine, "connect", database._prepare_postgresql)
        self._connection: Connection | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """The connection; thrown away if the block fails. Raises Unavailable."""
        with translating():
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                yield self._connection
            except BaseException:
                self.close()
                raise

    def read_clock(self) -> None:
        """See that the server still answers, and what its clock says. Raises Unavailable."""
        with self.connection() as connection:
            began = elapsed()
            self._database._server_clock.note(
                connection.execute(select(func.clock_timestamp())).scalar_one(), began
            )

    def close(self) -> None:
        """Close it; harmless if there is none."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


class News:
    """Whether anything was committed since it was last asked, by whichever process: for what need only look when it was. 新变化

    SQLite tells in microseconds. Where that can't be told, on PostgreSQL, there always is news. For one thread.
    """

    def __init__(self, database: Database) -> None:
        self._path = database.path
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        database._news.append(self)

    def __call__(self) -> bool:
        """True the first time."""
        if self._path is None:
            return True
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:  # who looks will hear what is wrong
            self.forget()
            return True
        news = version != self._version
        self._version = version
        return bool(news)

    def forget(self) -> None:
        """What it told wasn't seen to: there is news the next time, whatever happened."""
        connection, self._connection = self._connection, None
        self._version = -1
        if connection is not None:
            connection.close()


#: What ``notify`` tells goes over this channel of PostgreSQL's.
_CHANNEL = "labelsvc"


def notify(connection: Connection, word: str) -> None:
    """Tell ``Listener`` on every machine a short word once this transaction is committed; on SQLite nobody listens.

    The same word twice in a transaction is told once.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(_CHANNEL, word)))


class Listener:
    """Hears what ``notify`` told, on PostgreSQL, in a thread and on a connection of its own, which it renews.

    ``hear`` is called for each word; ``hearing(True)`` when it begins to hear, also again after a break in which words
    were lost, and ``hearing(False)`` when it is deaf.
    """

    _LOOK_S = 30.0  # how often a server that says nothing is asked whether it lives

    def __init__(
        self, database: Database, hear: Callable[[str], None], hearing: Callable[[bool], None]
    ) -> None:
        self._apart = Apart(database)
        self._hear = hear
        self._hearing = hearing
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go, name="listener", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End, within a second or two."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def _go(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._apart.connection() as connection:
                    driver: Any = connection.connection.driver_connection
                    driver.execute(f"LISTEN {_CHANNEL}")
                    self._hearing(True)
                    self._listen(driver)
            except LabelsvcError:
                pass
            self._hearing(False)
            self._stopped.wait(0.5)
        self._apart.close()

    def _listen(self, driver: Any) -> None:
        import psycopg  # not where SQLite is all there is

        looked = elapsed()
        while not self._stopped.is_set():
            try:
                for notice in driver.notifies(timeout=1.0):
                    self._hear(notice.payload)
            except psycopg.OperationalError as error:
                raise Unavailable("the database doesn't answer", code="database.unavailable") from error
            if elapsed() - looked > self._LOOK_S:
                self._apart.read_clock()
                looked = elapsed()


def _prepare_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Set WAL, FULL, foreign keys and a busy time-out, and refuse to work without the first two."""
    connection.isolation_level = None  # we say BEGIN ourselves, see Database._begin
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_WAIT_S * 1000}")
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    cursor.execute("PRAGMA synchronous=FULL")
    level = cursor.execute("PRAGMA synchronous").fetchone()[0]
    cursor.execute("PRAGMA foreign_keys=ON")
    # Mostly ``Database.tidy`` was there before; a label writes 30 pages.
    cursor.execute("PRAGMA wal_autocheckpoint=4000")
    cursor.close()
    if mode not in ("wal", "memory") or level != 2:
        raise LabelsvcError(f"SQLite gives journal_mode={mode}, synchronous={level}; wal and 2 are needed")


def _refuse_dangling(connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if found is not None:
        raise LabelsvcError(
            f"rows of {found[0]} refer to rows of {found[2]} that aren't there: the database was changed by other means",
            code="database.dangling",
        )


#: A server that is gone is noticed within seconds, and no lock is waited for longer than on SQLite.
_POSTGRESQL: Mapping[str, Any] = {
    "application_name": "labelsvc",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_ONE_VIEW: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def take_turn(connection: Connection, turn: str) -> None:
    """Wait until no other open transaction has this turn, and have it until this one ends.

    For what no constraint can say: rows that must become visible in the order of their numbers, a decision that rests on
    rows which aren't there yet. Take turns before touching rows, so that two transactions don't wait for each other.
    Raises nothing by itself; a time-out ends the transaction as Unavailable.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(lock_number(turn))))


def lock_number(name: str) -> int:
    """The 64-bit number that stands for a name among PostgreSQL's advisory locks, the same on every machine."""
    digest = hashlib.sha256(f"labelsvc {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def put(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Insert the row with this primary or unique ``key``, or change the one that is there: one statement, so nobody's race."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            postgresql.insert(table)
            .values(**key, **values)
            .on_conflict_do_update(index_elements=list(key), set_=dict(values))
        )
    else:
        connection.execute(
            sqlite.insert(table)
            .values(**key, **values)
            .on_conflict_do_update(index_elements=list(key), set_=dict(values))
        )


@contextmanager
def translating() -> Iterator[None]:
    """Say in the house's words why the database can't serve now (no SQL, no parameters)."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("the database is busy", code="database.busy") from error
    except DataError as error:
        raise Invalid("holds something that the database can't store", code="invalid") from error
    except (OperationalError, InterfaceError, InternalError, sqlite3.OperationalError) as error:
        # InternalError: an idle transaction ended by the server, or a server that only reads (a standby).
        raise _translated(error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _translated(error) from error
        raise


_BUSY = {"40001", "40P01", "55P03", "53300", "57014"}  # serialization, deadlock, lock, connections, time-out


def _translated(error: DBAPIError | sqlite3.OperationalError) -> LabelsvcError:
    reported = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(reported, "sqlstate", None)
    reason = "" if state else str(reported).lower()
    if state in _BUSY or "locked" in reason or "busy" in reason:
        return Unavailable("the database is busy", code="database.busy")
    if state == "53100" or "full" in reason or "disk" in reason:
        return Unavailable("the disk is full", code="database.disk_full")
    return Unavailable("the database doesn't answer", code="database.unavailable")
