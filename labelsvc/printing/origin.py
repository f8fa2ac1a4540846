"""Notices that the database was restored or copied: then nothing that waits in it prints by itself (P14).

A restored database knows less than what was printed, and a copy prints what the original prints, too. So beside the state lies
a small file, the mark: which database drives from here, and the number of its newest change. The mark is on the disk before
the bytes of a label leave, after the change itself was committed. A database behind its mark was restored; one without its
mark, or with a mark that was made elsewhere, was copied. PostgreSQL also says which server, database and timeline it is.

Hides the file. Two slots are written in turn, each in one sector with a check sum, so that a power cut in the middle of a
write leaves the one before; and as the mark is never ahead of what was committed, no crash looks like a restored database.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from labelsvc.db import Database, new_id
from labelsvc.log import get_logger
from labelsvc.printing import journal, store

log = get_logger("printing")

_MACHINE = Path("/etc/machine-id")
_SLOT = 512  # a sector: written whole or not at all
#: Why the labels are held.
RESTORED = "the database was restored or copied"


@dataclass(frozen=True)
class Mark:
    """What the file says: the database's id, where it was when the mark was made, and the number of its newest change."""

    database_id: str
    place: str
    number: int


class MarkFile:
    """The mark on the disk; one process has it open for writing at a time, the one that drives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._slot = 0

    def read(self) -> Mark | None:
        """The newest mark that is whole; None if there is none."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        found = [_parsed(data[at : at + _SLOT]) for at in (0, _SLOT)]
        self._slot = 1 if found[0] and (not found[1] or found[0].number >= found[1].number) else 0
        return max((one for one in found if one), key=lambda one: one.number, default=None)

    def start(self, mark: Mark) -> None:
        """Begin anew with this mark, whatever stood there. Raises OSError."""
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DSYNC, 0o600)
        try:
            os.write(handle, _line(mark).ljust(2 * _SLOT, b"\0"))
        finally:
            os.close(handle)
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._slot = 1

    def write(self, mark: Mark) -> None:
        """Put it on the disk in the place of the older of the two. Raises OSError."""
        if self._handle is None:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_DSYNC | os.O_CLOEXEC)
        os.pwrite(self._handle, _line(mark).ljust(_SLOT, b"\0"), self._slot * _SLOT)
        self._slot = 1 - self._slot

    def close(self) -> None:
        """Let the file go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Origin:
    """Whether the database that is driven from here is the one that was driven from here."""

    def __init__(self, database: Database, path: Path | None = None) -> None:
        """``path`` is the mark's; beside a SQLite database by default. Without one, PostgreSQL's own words alone count."""
        if path is None and database.path is not None:
            path = database.path.with_name(database.path.name + ".mark")
        self._database = database
        self._file = MarkFile(path) if path is not None else None
        self._place = _place(path) if path is not None else ""
        self._lock = threading.Lock()
        self._mark: Mark | None = None

    def check(self) -> int:
        """Before anything is driven: hold what waits if the database was restored or copied; how many labels that were.

        A database that was never driven by this version is what it is, and gets its id. Raises OSError if the mark can't be
        written.
        """
        now = self._database.now()
        with self._lock, self._database.transaction(journal.TURN) as connection:
            known, server = store.find_origin(connection), store.server(connection)
            stood = self._file.read() if self._file else None
            number = journal.newest_change(connection)
            held = 0
            if known is None:
                known = store.Origin(new_id(), server)
            else:
                if self._elsewhere(known, server, stood) or (
                    stood is not None and stood.database_id == known.database_id and number < stood.number
                ):
                    held = journal.hold_all(connection, now, RESTORED)
                    number = journal.newest_change(connection)
                known = replace(known, server=server or known.server)
            mark = Mark(known.database_id, self._place, number)
            store.save_origin(connection, known)
            if not held and self._file is not None:
                # Of a new database its mark comes first: one that has an id and no mark is a copy.
                self._file.start(mark)
        if held and self._file is not None:
            # What is held must be committed before the mark that says so: a crash in between holds it once more.
            self._file.start(mark)
        self._mark = mark
        if held:
            log.warning("database.moved", held=held)
        return held

    def reached(self, number: int) -> None:
        """Put on the disk that the database has come to this change, which is committed; before the bytes of a label leave.

        Raises OSError; then no byte may leave.
        """
        if self._file is None or self._mark is None:
            return
        with self._lock:
            if number > self._mark.number:  # else another thread wrote more meanwhile
                mark = replace(self._mark, number=number)
                self._file.write(mark)
                self._mark = mark

    def follow(self) -> None:
        """The same for changes that sent nothing, as a cancellation; for the daemon's rounds."""
        if self._file is not None and self._mark is not None:
            with self._database.reading() as connection:
                number = journal.newest_change(connection)
            self.reached(number)

    def _elsewhere(self, known: store.Origin, server: str, stood: Mark | None) -> bool:
        if not self._database.is_sqlite:
            # Several machines have a mark each, and a new one has none yet: the server says whether it is the same.
            return bool(server and known.server and server != known.server)
        return stood is None or stood.database_id != known.database_id or stood.place != self._place


def _place(path: Path) -> str:
    """This machine and this file, not to be read back."""
    machine = ""
    with suppress(OSError):
        machine = _MACHINE.read_text().strip()
    return hashlib.sha256(f"{machine} {path.resolve()}".encode()).hexdigest()[:32]


def _line(mark: Mark) -> bytes:
    said = f"labelsvc {mark.database_id} {mark.place or '-'} {mark.number}"
    return f"{said} {zlib.crc32(said.encode()):08x}\n".encode()


def _parsed(slot: bytes) -> Mark | None:
    words = slot.split(b"\n")[0].decode("ascii", "replace").split(" ")
    if len(words) != 5 or words[0] != "labelsvc" or not words[3].isdecimal():
        return None
    if f"{zlib.crc32(' '.join(words[:4]).encode()):08x}" != words[4]:
        return None
    return Mark(words[1], "" if words[2] == "-" else words[2], int(words[3]))
