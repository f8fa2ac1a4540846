"""Who asks the carrier networks over a SQLite database: processes of one machine, each known by a lock that dies with it.

Hides the lock file beside the database, and what a process inherits of others once all of them are dead. On PostgreSQL
askers may be on any machine and nobody can know that they are: there the leases of the dead lapse by themselves.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from labelsvc.db import Database
from labelsvc.log import get_logger
from labelsvc.waybills import batch_store, issue_store

_log = get_logger("waybills")


class Askers:
    """The processes that ask, this one among them from now on."""

    def __init__(self, database: Database, timeout_s: float) -> None:
        """``timeout_s`` is a network's longest answer."""
        self._database = database
        self._timeout = timedelta(seconds=timeout_s)
        self._handle: int | None = None
        if database.path is not None:
            path = database.path.resolve()
            # Nothing is written into it; whoever runs the command line may have made it.
            self._handle = os.open(
                path.with_name(path.name + ".askers"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
            weakref.finalize(self, os.close, self._handle)
            fcntl.flock(self._handle, fcntl.LOCK_SH)

    def take_over(self) -> int:
        """Shorten the leases of the dead, if every other asker is; for a daemon's start, before it asks for anything.

        A request that one of them sent may still come to the network, but no later than its longest answer: so long nobody
        asks, and then the number is looked for and the identical request repeated (W2). Answers how many leases there were.
        """
        with self._alone() as alone:
            if not alone:
                return 0
            with self._database.transaction() as connection:
                found = issue_store.shorten_leases(connection, self._database.now() + self._timeout)
                found += batch_store.end_leases(connection)
        if found:
            _log.info("waybills.taken_over", leases=found)
        return found

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other asker lives; while the block runs none begins."""
        if self._handle is None:
            yield False
            return
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        try:
            yield alone
        finally:
            # Where the other lock wasn't to be had the shared one is gone too, and is taken anew.
            fcntl.flock(self._handle, fcntl.LOCK_SH)
