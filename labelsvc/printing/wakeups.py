"""Wakes the threads of this process when something is to do or has been done, so that nobody sleeps in the path.

Hides the events and the condition. What other processes do is found by polling; a missed wake-up costs time, never a label.
"""

from __future__ import annotations

import threading


class Wakeups:
    """One event a printer, and one condition for those who wait for outcomes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._printers: dict[str, threading.Event] = {}
        self._changed = threading.Condition()
        self._turn = 0

    def of_printer(self, printer_id: str) -> threading.Event:
        """The event that a printer's thread rests on."""
        with self._lock:
            return self._printers.setdefault(printer_id, threading.Event())

    def wake(self, printer_id: str) -> None:
        """There may be a label to print."""
        self.of_printer(printer_id).set()

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
        """Return when more changes than ``since`` were told, or after ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(lambda: self._turn != since, timeout_s)
