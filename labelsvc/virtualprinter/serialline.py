"""A serial line: a pseudo-terminal whose other end is a file that a host opens like any serial port.

Hides the terminal: it is raw from the start, it stays when a host closes it, and its flow control is the
kernel's, which takes no more once the printer doesn't read.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from pathlib import Path

from .faults import Faults
from .printer import ConnectionLost, Printer


class SerialLine:
    """``link`` becomes a symbolic link to the terminal, in the place of an older one; raises OSError."""

    def __init__(self, printer: Printer, link: Path) -> None:
        self.link = link
        self._printer = printer
        self._lock = threading.Lock()
        self._ends: tuple[int, int] | None = None  # ours, the host's
        self._server: threading.Thread | None = None
        self._wake = os.eventfd(0)
        self._closed = False
        self._line = printer.attach(self._unread, self._send, lasting=True)
        self.obey(printer.faults)

    def obey(self, faults: Faults) -> None:
        """Plugged in or not.  Unplugged, the host's terminal is hung up and the link is gone."""
        gone = None
        with self._lock:
            if faults.unplugged or self._closed:
                gone = self._unplug()
            elif not self._ends:
                self._plug()
        # A poll() on our end keeps it open: the host's is hung up only once that thread has left. Where it waits for the
        # printer instead, it keeps nothing open.
        if gone and gone is not threading.current_thread():
            gone.join(0.5)

    def drop_connections(self) -> None:
        """Nothing: a serial line doesn't tell that the printer was switched off."""

    def close(self) -> None:
        """Unplug for good."""
        self._closed = True
        self.obey(self._printer.faults)

    def _plug(self) -> None:
        self._ends = ours, hosts = os.openpty()
        # The host's end is kept open here too, so that the line stays when a host closes its own.
        tty.setraw(hosts)
        os.set_blocking(ours, False)
        aside = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        aside.symlink_to(os.ttyname(hosts))
        aside.replace(self.link)
        self._server = threading.Thread(target=self._serve, args=(self._ends,), daemon=True)
        self._server.start()

    def _unplug(self) -> threading.Thread | None:
        """The thread that served the line; it is about to leave."""
        if not self._ends:
            return None
        self.link.unlink(missing_ok=True)
        ends, self._ends = self._ends, None
        os.eventfd_write(self._wake, 1)  # a thread may sit in poll(): closing alone would not wake it
        for end in ends:
            os.close(end)
        return self._server

    def _serve(self, ends: tuple[int, int]) -> None:
        """Until unplugged: what the host sends, into the printer."""
        arrived = select.poll()
        arrived.register(ends[0], select.POLLIN)
        arrived.register(self._wake, select.POLLIN)
        while True:
            if any(number == self._wake for number, _ in arrived.poll()):
                os.eventfd_read(self._wake)
                return
            try:
                self._printer.take(self._line, self._read)
            except BlockingIOError:
                continue
            except ConnectionLost:
                self.obey(self._printer.faults)
                if self._closed:
                    return

    def _read(self, most: int) -> bytes:
        with self._lock:
            if not self._ends:
                raise BlockingIOError
            return os.read(self._ends[0], most)

    def _send(self, answer: bytes) -> None:
        """What doesn't fit into the terminal is lost: nobody reads."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._ends:
                os.write(self._ends[0], answer)

    def _unread(self) -> int:
        with self._lock:
            return len(select.select([self._ends[0]], [], [], 0)[0]) if self._ends else 0
