"""Wakes the threads of this process when something is to do or has been done, so that nobody sleeps in the path.

Hides the events and the condition, and on PostgreSQL the ear for what other processes did, on any machine. What isn't heard
is found by polling; a missed wake-up costs time, never a label.
"""

from __future__ import annotations

import threading

from labelsvc.db import Database, Listener
from labelsvc.printing.journal import CHANGED

#: How soon what another process did is found by looking, without an ear for it, and with one that might miss a word.
_DEAF_S, _HEARING_S = 0.1, 2.0


class Wakeups:
    """One event a printer, and one condition for those who wait for outcomes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._printers: dict[str, threading.Event] = {}
        self._to_look_at: set[str] = set()
        self._changed = threading.Condition()
        self._turn = 0
        self._listener: Listener | None = None
        self.hears = False  #: whether what other processes do is told at once
        self.any_printer = (
            threading.Event()
        )  #: set with every printer's event: for who looks after all of them

    def listen(self, database: Database) -> None:
        """From now on wake this process for what others do, too. On SQLite there is no ear."""
        if not database.is_sqlite:
            self._listener = Listener(database, self._hear, self._hearing)
            self._listener.start()

    def stop_listening(self) -> None:
        """Harmless if it didn't begin."""
        if self._listener is not None:
            self._listener.stop()

    def _hear(self, word: str) -> None:
        if word != CHANGED:
            self.wake(word)
        self.tell_change()

    def _hearing(self, hears: bool) -> None:
        """Something may have been missed."""
        self.hears = hears
        with self._lock:
            events = list(self._printers.values())
        for event in events:
            event.set()
        self.any_printer.set()
        self.tell_change()

    def of_printer(self, printer_id: str) -> threading.Event:
        """The event that a printer's thread rests on."""
        with self._lock:
            return self._printers.setdefault(printer_id, threading.Event())

    def wake(self, printer_id: str) -> None:
        """There may be a label to print, or the printer was changed."""
        self.of_printer(printer_id).set()
        self.any_printer.set()

    def look_at(self, printer_id: str) -> None:
        """Its device may have come or gone: its thread looks at it now, also when it has nothing to print."""
        with self._lock:
            self._to_look_at.add(printer_id)
        self.wake(printer_id)

    def is_to_be_looked_at(self, printer_id: str) -> bool:
        """Whether ``look_at`` was called since the last such question."""
        with self._lock:
            there = printer_id in self._to_look_at
            self._to_look_at.discard(printer_id)
            return there

    def tell_change(self) -> None:
        """A label took a step."""
        with self._changed:
            self._turn += 1
            self._changed.notify_all()

    @property
    def turn(self) -> int:
        """How many changes were told so far; read it before looking, hand it to ``wait_for_change`` after."""
        return self._turn

    def wait_for_change(self, since: int, timeout_s: float) -> None:
        """Return when more changes than ``since`` were told, or after ``timeout_s``, or when it is time to look again."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._turn != since, min(timeout_s, _HEARING_S if self.hears else _DEAF_S)
            )
