"""What a database really holds, byte for byte, for looking for what mustn't be there."""

from __future__ import annotations

from sqlalchemy import inspect, text

from labelsvc.db import Database


def stored_bytes(database: Database) -> bytes:
    """Everything of a database: SQLite's files with the write-ahead log, or each value of each PostgreSQL table."""
    if database.path is not None:
        return b"".join(
            path.read_bytes() for path in sorted(database.path.parent.glob(f"{database.path.name}*"))
        )
    found = []
    with database.reading() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')):
                for value in row:
                    raw = bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode()
                    found.append(raw)
    return b"\0".join(found)
