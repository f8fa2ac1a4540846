"""What every transport offers: a link that is opened, written to, read from and closed; and how it breaks.

Hides nothing; the spooler is written against these. How long a printer may take no byte is told by one clock for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from labelsvc.errors import Unavailable


class TransportBroken(Unavailable):
    """The way to the printer is broken.

    ``sent`` is how many bytes of the write may have left this machine: 0 means surely none. ``reason`` is one word.
    """

    default_code = "printer.unreachable"

    def __init__(self, detail: str, *, reason: str, sent: int = 0) -> None:
        super().__init__(detail, reason=reason)
        self.reason = reason
        self.sent = sent


class Guarded:
    """What every link asks before each piece that it writes: whether it still may.

    ``may_go`` is set by who opened the link, and answers at once: a machine whose lease of the printer ran out, perhaps
    while it stood still in the middle of a write, must not write on.
    """

    may_go: Callable[[], bool]

    def __init__(self) -> None:
        self.may_go = lambda: True

    def require_leave(self, sent: int) -> None:
        """Raise TransportBroken ``lease_lost`` unless the next byte after ``sent`` ones may leave."""
        if not self.may_go():
            raise TransportBroken(
                "the right to drive the printer was lost while writing", reason="lease_lost", sent=sent
            )


class StallClock:
    """Runs while no byte moves: neither into this machine's buffer nor out of it."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._seen: tuple[int, ...] = ()
        self._moved_at = time.monotonic()

    def look(self, *progress: int) -> None:
        """Raise TransportBroken if ``progress`` has been the same for too long."""
        now = time.monotonic()
        if progress != self._seen:
            self._seen, self._moved_at = progress, now
        elif now - self._moved_at > self._stall_s:
            raise TransportBroken("the printer takes no more bytes", reason="stalled")


class Link(Protocol):
    """An open way to one printer; used by one thread, but ``close`` may come from any."""

    #: Asked before each piece of a write; see ``Guarded``, from which links have it.
    may_go: Callable[[], bool]

    def write(self, data: bytes, name: str) -> None:
        """Hand all of ``data`` to this machine's end; ``name`` is what a file is called. Raises TransportBroken with ``sent``.

        Before each piece ``may_go`` is asked: after a no nothing more leaves, also of what still lies in this machine.
        """

    def flush(self) -> None:
        """Return when the printer's end has taken everything. Raises TransportBroken: how much it took is not known."""

    def read(self, timeout_s: float) -> bytes:
        """Bytes that the printer sent, as soon as there are any; none after ``timeout_s``. Raises TransportBroken."""

    def close(self) -> None:
        """Give the printer free, orderly; twice is harmless."""

    def abort(self) -> None:
        """Break off at once: what has not left yet never will, and a write in another thread ends."""


class Transport(Protocol):
    """A way to one printer, not yet opened.

    ``answers``: whether anything ever comes back on it. ``local``: the printer hangs on this machine, so that no other can
    print on it by the same address.
    """

    @property
    def answers(self) -> bool: ...

    @property
    def local(self) -> bool: ...

    def connect(self) -> Link:
        """Open it. Raises TransportBroken (``sent`` 0)."""
