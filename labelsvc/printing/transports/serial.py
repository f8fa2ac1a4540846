"""Serial lines: ``serial:///dev/ttyUSB0?baud=9600&flow=rtscts&bits=8&parity=none&stop=1``.

Hides termios. A printer whose buffer is full holds the line by flow control; that it is held for too long is told by the
clock that runs while no byte moves, and no call here waits for the line without an end.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote

import serial

from labelsvc.errors import Invalid
from labelsvc.printing.transports.link import Guarded, StallClock, TransportBroken

_CHUNK = 1024
_SLICE_S = 0.1  # the longest that one wait keeps ``abort`` waiting
_BAUDS = (300, 4_000_000)
_WORDS = {"flow": ("rtscts", "xonxoff", "none"), "parity": ("none", "even", "odd")}
_NUMBERS = {"bits": (7, 8), "stop": (1, 2)}
#: linux/serial.h: is the transmitter empty, its own little memory too? Not every driver says.
_TIOCSERGETLSR, _TRANSMITTER_EMPTY = 0x5459, 0x01

Found = TypeVar("Found")


def parse(parts: SplitResult) -> SerialLine:
    """``serial:///DEVICE``, absolute, with the line's settings. Raises Invalid on field ``uri``."""
    path = PurePosixPath(unquote(parts.path))
    if parts.netloc or parts.fragment or not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise _invalid("must be serial:///DEVICE with an absolute path, such as serial:///dev/ttyUSB0")
    try:
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError:
        raise _invalid("has settings that aren't NAME=VALUE, joined by &") from None
    settings = dict(given)
    if len(settings) < len(given):
        raise _invalid("has a setting twice")
    for name, value in settings.items():
        if name in _WORDS:
            allowed = value in _WORDS[name]
        elif name in _NUMBERS:
            allowed = value in map(str, _NUMBERS[name])
        elif name == "baud":
            allowed = (
                value.isascii()
                and value.isdigit()
                and len(value) < 9
                and _BAUDS[0] <= int(value) <= _BAUDS[1]
            )
        else:
            raise _invalid("knows the settings baud, flow, bits, parity and stop only")
        if not allowed:
            raise _invalid(f"has a {name} that serial lines don't have")
    numbers = {name: int(value) for name, value in settings.items() if name not in _WORDS}
    words = {name: value for name, value in settings.items() if name in _WORDS}
    return SerialLine(str(path), **numbers, **words)  # type: ignore[arg-type]


@dataclass(frozen=True)
class SerialLine:
    """A printer at a serial port.

    ``flow`` is how it holds the line. The default is by its wires: without any, a full printer loses bytes and nobody learns
    of it, while a cable that lacks the wires is told by the first label that doesn't move.
    """

    path: str
    baud: int = 9600
    flow: str = "rtscts"
    bits: int = 8
    parity: str = "none"
    stop: int = 1
    stall_s: float = 30.0
    answers: bool = True
    local: bool = True

    def connect(self) -> SerialLink:
        """Open the port for us alone. Raises TransportBroken ``unreachable``, ``no_permission``, ``busy``."""
        try:
            port = serial.Serial(
                self.path,
                self.baud,
                bytesize=self.bits,
                parity=self.parity[0].upper(),
                stopbits=self.stop,
                rtscts=self.flow == "rtscts",
                xonxoff=self.flow == "xonxoff",
                exclusive=True,
            )
        except (serial.SerialException, OSError) as error:
            raise _not_opened(error.errno) from None
        except termios.error as error:
            raise _not_opened(error.args[0]) from None
        return SerialLink(port, self.stall_s)


class SerialLink(Guarded):
    """One open port. Bytes are written to it without waiting, in turns, so that ``abort`` never closes it under a write."""

    def __init__(self, port: Any, stall_s: float) -> None:
        super().__init__()
        self._port = port
        self._stall_s = stall_s
        self._turn = threading.Lock()
        self._gone = False

    def write(self, data: bytes, name: str) -> None:
        """Write in chunks, each with a bounded wait."""
        sent = 0
        clock = StallClock(self._stall_s)
        try:
            while sent < len(data):
                room = self._in_turn(_room)
                self.require_leave(sent)
                if room:
                    chunk = data[sent : sent + _CHUNK]
                    sent += self._in_turn(lambda descriptor, chunk=chunk: _written(descriptor, chunk))  # type: ignore[misc]
                clock.look(sent, self._in_turn(_left))
        except TransportBroken as broken:
            # What lies here of earlier writes was flushed: it may be discarded only together with some of this one.
            (self.abort if sent else self.close)()
            raise TransportBroken(broken.detail, reason=broken.reason, sent=sent) from None

    def flush(self) -> None:
        """Wait until the line has carried everything; what is left may shrink slowly, but it must shrink."""
        clock = StallClock(self._stall_s)
        try:
            while left := self._in_turn(_left):
                self.require_leave(0)
                clock.look(left)
                time.sleep(0.005)
        except TransportBroken:
            self.abort()
            raise

    def read(self, timeout_s: float) -> bytes:
        """What has come, up to 64 KiB."""
        end = time.monotonic() + timeout_s
        while True:
            left = end - time.monotonic()
            wait = max(0.0, min(left, _SLICE_S))
            found = self._in_turn(lambda descriptor, wait=wait: _found(descriptor, wait))  # type: ignore[misc]
            if found or left <= 0:
                return found

    def close(self) -> None:
        """Orderly: the kernel delivers what it has, for as long as it keeps a port that is being closed (30 s)."""
        with self._turn:
            self._gone = True
            self._port.close()

    def abort(self) -> None:
        """Discard what still lies here, so that it can't come out after a person answered for it."""
        with self._turn:
            if not self._gone:
                self._gone = True
                with suppress(termios.error):  # it may be unplugged
                    termios.tcflush(self._port.fileno(), termios.TCIOFLUSH)
                self._port.close()

    def _in_turn(self, action: Callable[[int], Found]) -> Found:
        """Do it with the descriptor, while nobody can close that. Raises TransportBroken."""
        with self._turn:
            if self._gone:
                raise TransportBroken("the port was closed", reason="closed")
            try:
                return action(self._port.fileno())
            except OSError as fault:
                word = errno.errorcode.get(fault.errno or 0, type(fault).__name__)
                raise TransportBroken(f"the line broke ({word})", reason="broken") from None


def _ready(descriptor: int, events: int, timeout_s: float) -> int:
    """Which of ``events`` hold. Raises OSError when the other end, or the port itself, is gone."""
    poll = select.poll()
    poll.register(descriptor, events)
    found = dict(poll.poll(timeout_s * 1000)).get(descriptor, 0)
    if found & (select.POLLHUP | select.POLLERR | select.POLLNVAL) and not found & select.POLLIN:
        raise OSError(errno.EIO, "")
    return found & events


def _room(descriptor: int) -> bool:
    return bool(_ready(descriptor, select.POLLOUT, _SLICE_S))


def _written(descriptor: int, chunk: bytes) -> int:
    try:
        return os.write(descriptor, chunk)
    except BlockingIOError:  # there was less room than poll says there is
        time.sleep(0.01)
        return 0


def _found(descriptor: int, timeout_s: float) -> bytes:
    if not _ready(descriptor, select.POLLIN, timeout_s):
        return b""
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _left(descriptor: int) -> int:
    """How many bytes haven't left the port; at least 1 while the port's own hardware holds any, if its driver tells."""
    _ready(descriptor, 0, 0)
    left = int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    if left:
        return left
    try:
        state = fcntl.ioctl(descriptor, _TIOCSERGETLSR, b"\0\0\0\0")
    except OSError:
        return 0
    return 0 if struct.unpack("i", state)[0] & _TRANSMITTER_EMPTY else 1


def _not_opened(number: int | None) -> TransportBroken:
    match number:
        case errno.EACCES | errno.EPERM:
            detail = "this user may not use the port: add it to the group that owns it (dialout)"
            return TransportBroken(detail, reason="no_permission")
        case errno.EAGAIN | errno.EBUSY:
            return TransportBroken("another program holds the port", reason="busy")
        case errno.ENOENT | errno.ENXIO | errno.ENODEV | errno.EIO:
            return TransportBroken("there is no such port", reason="unreachable")
        case _:
            return TransportBroken("it can't be opened as a serial port", reason="unreachable")


def _invalid(detail: str) -> Invalid:
    return Invalid(detail, code="uri.invalid", field="uri")
