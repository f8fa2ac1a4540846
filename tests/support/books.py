"""An empty database at the newest revision, made once in a process and copied: to migrate takes longer than many a test."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from labelsvc.db import Database
from labelsvc.migrations import migrate

#: What the daemon calls it in its state directory.
NAME = "labelsvc.db"


@cache
def empty() -> bytes:
    """The file, as SQLite left it."""
    with tempfile.TemporaryDirectory(prefix="labelsvc-empty-") as folder:
        path = Path(folder) / NAME
        made = Database(f"sqlite:///{path}")
        migrate(made)
        made.close()  # the last connection's end writes the log back into the file
        assert not path.with_name(f"{NAME}-wal").exists()
        return path.read_bytes()


def furnish(state_dir: Path) -> None:
    """Put it into a state directory that has none, for what isn't about the migration itself."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = state_dir / NAME
    if not place.exists():
        place.touch(0o600)
        place.write_bytes(empty())
