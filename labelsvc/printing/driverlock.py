"""One process of a machine drives: a lock held by the process that writes to the wire.

Hides the file. The lock is freed when its process dies, however it dies; neither a program it started nor a fork of it keeps
it, so an orphan can't hold the printers.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from pathlib import Path

_open_locks: weakref.WeakSet[DriverLock] = weakref.WeakSet()


class DriverLock:
    """The lock; ``acquire`` waits, in small steps, so that a service that is told to stop does."""

    def __init__(self, path: Path) -> None:
        """The lock of a file, which the kernel keeps."""
        self._path = path
        self._handle: int | None = None
        _open_locks.add(self)

    @property
    def held(self) -> bool:
        """Whether this process drives, as far as it knows."""
        return self._handle is not None

    @property
    def identity(self) -> str:
        """Names the locked file among all machines' files, until this machine is started anew; "" while it isn't held."""
        if self._handle is None:
            return ""
        found = os.fstat(self._handle)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{found.st_dev}:{found.st_ino}"

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it."""
        if self._handle is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def acquire(self, stopping: threading.Event, every_s: float = 0.1) -> bool:
        """Wait for the lock; False if ``stopping`` came first."""
        while not stopping.is_set():
            if self.try_acquire():
                return True
            stopping.wait(every_s)
        return False

    def release(self) -> None:
        """Give the lock away; harmless if it isn't held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def forget(self) -> None:
        """In a forked child: close the inherited handle; the parent still holds the lock."""
        self.release()


def _after_fork_in_child() -> None:
    for lock in list(_open_locks):
        lock.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)
