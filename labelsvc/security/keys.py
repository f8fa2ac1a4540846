"""Rotation of the sealing keys while everything goes on: a new key seals, old values are sealed anew bit by bit, then the
old key is retired.

Hides the walk over every sealed column of every table. A row is replaced only while it is locked, and one that somebody
is writing is passed over: no write is lost, and no writer ever waits in a circle with the walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    and_,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
    update,
)

from labelsvc.db import Database, metadata
from labelsvc.errors import Conflict
from labelsvc.log import get_logger
from labelsvc.security.sealing import Sealed, SealedBytes, Sealer, sealed_by

_log = get_logger("security")

#: A process that looked at the key file just before a rotation may be about to write by the old key: retiring waits longer.
SETTLE = timedelta(seconds=60)


@dataclass(frozen=True)
class SealingKey:
    """A key as its operator sees it: never its bytes. 密钥"""

    id: str
    current: bool
    replaced_at: datetime | None
    values: int  #: how many sealed values need it


class Keys:
    """The sealing keys of one database."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._reached: dict[str, tuple[Any, ...]] = {}

    def add(self) -> str:
        """Make a fresh key known, not yet current; its id. The first step where several machines have the key file."""
        return self._sealer.add()

    def use(self, key_id: str) -> None:
        """Seal by a known key from now on. The second step, once every machine has the file. Raises NotFound."""
        self._sealer.use(key_id, self._database.now())
        _log.info("keys.current", current=key_id)

    def rotate(self) -> str:
        """Both steps at once, for one machine: running daemons there follow by themselves. The new key's id."""
        key_id = self.add()
        self.use(key_id)
        return key_id

    def left(self) -> int:
        """How many values are not sealed by the current key."""
        return sum(key.values for key in self.list() if not key.current)

    def reseal(self, limit: int = 200) -> int:
        """Seal up to ``limit`` rows anew, in one short transaction; how many rows were. 0: this walk is through.

        Goes on where the last call stopped. A row that somebody is writing is left to the next walk. Raises LabelsvcError
        ``key.missing`` if a value's key isn't there any more.
        """
        done, current = 0, sealed_by(self._sealer.current)
        with self._database.transaction() as connection:
            for table, columns in _sealed_tables():
                while done < limit:
                    rows = self._next(connection, table, columns, current, limit - done)
                    if not rows:
                        break
                    for row in rows:
                        self._reseal(connection, table, columns, row, current)
                    done += len(rows)
                if done >= limit:
                    break
        if not done:
            self._reached.clear()
        return done

    def retire(self, key_id: str) -> None:
        """Take a key out of the file for good; what it sealed in old backups can't be read after that.

        Raises NotFound ``key.unknown``; Conflict ``key.current``, ``key.in_use`` while any value is sealed by it (``values``
        says how many), or ``key.too_fresh`` if it was replaced a moment ago (``wait_s``).
        """
        if key_id == self._sealer.current:
            raise Conflict("the current key can't be retired: rotate first", code="key.current")
        replaced_at, now = self._sealer.replaced_at(key_id), self._database.now()
        if replaced_at is not None and now - replaced_at < SETTLE:
            raise Conflict(
                "the key was current a moment ago: a write by it may be under way",
                code="key.too_fresh",
                wait_s=int((SETTLE - (now - replaced_at)).total_seconds()) + 1,
            )
        # Nobody writes while we count and take the key away: whoever comes after seals by the current one.
        with self._database.transaction() as connection:
            if not self._database.is_sqlite:
                names = ", ".join(f'"{table.name}"' for table, _ in _sealed_tables())
                connection.execute(text(f"LOCK TABLE {names} IN SHARE MODE"))
            values = _counts(connection).get(key_id, 0)
            if values:
                raise Conflict("values are sealed by this key still", code="key.in_use", values=values)
            self._sealer.forget(key_id)
        _log.info("keys.retired", retired=key_id)

    def _next(
        self, connection: Connection, table: Table, columns: list[_Column], current: bytes, limit: int
    ) -> list[Any]:
        """The next rows of a table with a value of another key, in order of the primary key, locked."""
        names = list(table.primary_key.columns)
        old = [and_(column.raw.is_not(None), column.head != current) for column in columns]
        query = select(*names, *(column.raw.label(f"sealed_{column.name}") for column in columns))
        if table.name in self._reached:
            query = query.where(tuple_(*names) > tuple_(*map(literal, self._reached[table.name])))
        query = query.where(or_(*old)).order_by(*names).limit(limit).with_for_update(skip_locked=True)
        rows = connection.execute(query).all()
        if rows:
            self._reached[table.name] = tuple(rows[-1][: len(names)])
        return list(rows)

    def _reseal(
        self, connection: Connection, table: Table, columns: list[_Column], row: Any, current: bytes
    ) -> None:
        this = [name == value for name, value in zip(table.primary_key.columns, row, strict=False)]
        for column in columns:
            found = getattr(row, f"sealed_{column.name}")
            if found is None or bytes(found[: len(current)]) == current:
                continue
            plain = self._sealer.open(column.purpose, bytes(found))
            fresh = literal(self._sealer.seal(column.purpose, plain), LargeBinary())
            connection.execute(update(table).where(*this).values({column.name: fresh}))

    # the last method, because its name hides the type
    def list(self) -> list[SealingKey]:
        """Every key in the file, and any that sealed a value but isn't there any more; the current one first."""
        with self._database.reading() as connection:
            counts = _counts(connection)
        current, known = self._sealer.current, set(self._sealer.key_ids)
        names = sorted(known | set(counts), key=lambda name: (name != current, name))
        return [
            SealingKey(name, name == current, self._sealer.replaced_at(name), counts.get(name, 0))
            for name in names
        ]


@dataclass(frozen=True)
class _Column:
    name: str
    purpose: str  #: what the value is authenticated with
    raw: ColumnElement[bytes]

    @property
    def head(self) -> ColumnElement[bytes]:
        """Version and key id of the value."""
        return type_coerce(func.substr(self.raw, 1, len(sealed_by("0000"))), LargeBinary)


def _sealed_tables() -> Iterator[tuple[Table, list[_Column]]]:
    """Every table with sealed columns, parents first."""
    for table in metadata.sorted_tables:
        columns = [
            _Column(column.name, column.type.column, type_coerce(column, LargeBinary))
            for column in table.columns
            if isinstance(column.type, Sealed | SealedBytes)
        ]
        if columns:
            yield table, columns


def _counts(connection: Connection) -> dict[str, int]:
    """How many values each key sealed."""
    counts: dict[str, int] = {}
    for _, columns in _sealed_tables():
        for column in columns:
            head = column.head.label("head")
            query = select(head, func.count().label("count")).where(column.raw.is_not(None))
            # By the label: PostgreSQL takes two equal expressions with parameters for different ones.
            for row in connection.execute(query.group_by(text("head"))):
                name = bytes(row.head)[1:].decode("ascii", "replace")
                counts[name] = counts.get(name, 0) + row[1]
    return counts
