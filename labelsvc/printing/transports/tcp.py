"""Raw TCP, as network printers take it on port 9100: ``tcp://HOST:PORT``.

Hides sockets. ``flush`` returns once the printer's machine has acknowledged every byte, so that a cable pulled before that
is noticed; a peer that accepts and never reads is told by the clock that runs while no byte moves.
"""

from __future__ import annotations

import fcntl
import re
import select
import socket
import struct
import termios
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult

from labelsvc.errors import Invalid
from labelsvc.printing.transports.link import Guarded, StallClock, TransportBroken

_CHUNK = 16 * 1024
#: What may lie in this machine's kernel, from where it goes on to the printer also when we are dead or stand still. By itself
#: the kernel would take megabytes: whole labels.
_BUFFER = 32 * 1024
_HOST = re.compile(r"[0-9A-Za-z._-]{1,253}|[0-9a-fA-F:.]{2,45}")
#: SO_LINGER on with zero seconds: closing discards unsent bytes and resets the connection.
_DISCARD = struct.pack("ii", 1, 0)


def parse(parts: SplitResult) -> Tcp:
    """``tcp://HOST:PORT``. Raises Invalid on field ``uri``."""
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise Invalid("must be tcp://HOST:PORT and nothing more", code="uri.invalid", field="uri")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Invalid("names a port that can't be one", code="uri.invalid", field="uri") from None
    if not host or not port:
        raise Invalid("must name a host and a port: tcp://HOST:PORT", code="uri.invalid", field="uri")
    if not _HOST.fullmatch(host):
        raise Invalid("names no host that could exist", code="uri.invalid", field="uri")
    return Tcp(host, port)


@dataclass(frozen=True)
class Tcp:
    """A printer on the network.

    ``stall_s`` is how long a write waits without one byte moving: longer than the longest label takes to print, because
    a printer with a full buffer closes its window for that time.
    """

    host: str
    port: int
    connect_s: float = 3.0
    stall_s: float = 30.0
    answers: bool = True
    local: bool = False

    def connect(self) -> TcpLink:
        """Connect. Raises TransportBroken ``unreachable``."""
        try:
            peer = socket.create_connection((self.host, self.port), timeout=self.connect_s)
        except OSError as error:
            raise TransportBroken(
                f"the printer can't be reached ({type(error).__name__})", reason="unreachable"
            ) from None
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        # A kept connection to a printer that lost its power is found out within half a minute.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        # One that dies while bytes are on their way: keep-alive is silent then, and the kernel alone would try for a quarter
        # of an hour.
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.stall_s * 1000))
        peer.setblocking(False)
        return TcpLink(peer, self.stall_s)


class TcpLink(Guarded):
    """One connection."""

    def __init__(self, peer: socket.socket, stall_s: float) -> None:
        super().__init__()
        self._peer = peer
        self._stall_s = stall_s
        self._closing = threading.Lock()
        self._gone = threading.Event()

    def write(self, data: bytes, name: str) -> None:
        """Write in chunks, each with a bounded wait."""
        sent = 0
        clock = StallClock(self._stall_s)
        try:
            self._still_there()
            while sent < len(data):
                room = self._wait(select.POLLOUT, min(0.1, self._stall_s))
                self.require_leave(sent)
                if room:
                    sent += self._peer.send(data[sent : sent + _CHUNK])
                clock.look(sent, self._unacknowledged())
        except (TransportBroken, OSError) as fault:
            self.abort()
            raise _broken(fault, sent) from None

    def flush(self) -> None:
        """Wait until the peer's machine has everything; what is left may shrink slowly, but it must shrink."""
        clock = StallClock(self._stall_s)
        try:
            while (left := self._unacknowledged()) > 0:
                self.require_leave(0)
                clock.look(left)
                self._wait(0, 0.002)
        except (TransportBroken, OSError) as fault:
            self.abort()
            raise _broken(fault, 0) from None

    def read(self, timeout_s: float) -> bytes:
        """What has come, up to 64 KiB."""
        try:
            if not self._wait(select.POLLIN, timeout_s):
                return b""
            found = self._peer.recv(65536)
        except BlockingIOError:
            return b""
        except OSError as fault:
            raise _broken(fault, 0) from None
        if not found:
            raise TransportBroken("the printer closed the connection", reason="closed")
        return found

    def close(self) -> None:
        """Orderly: the kernel goes on delivering what it has."""
        with self._closing:
            self._gone.set()
            self._peer.close()

    def abort(self) -> None:
        """Reset: bytes that still lie here are discarded, so they can't come out after a person answered for them."""
        with self._closing:
            if not self._gone.is_set():
                self._gone.set()
                with suppress(OSError):
                    self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
                self._peer.close()

    def _still_there(self) -> None:
        """Notice before the first byte that the printer closed a kept connection."""
        try:
            if self._peer.recv(1, socket.MSG_PEEK) == b"":
                raise TransportBroken("the printer closed the connection", reason="closed")
        except BlockingIOError:
            pass

    def _unacknowledged(self) -> int:
        if self._gone.is_set():
            raise TransportBroken("the connection was closed", reason="closed")
        error = self._peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "")
        answer = fcntl.ioctl(self._peer.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])

    def _wait(self, events: int, timeout_s: float) -> bool:
        """Wait for readiness; True also when the connection broke, which the next call on it then tells."""
        if self._gone.is_set():
            raise TransportBroken("the connection was closed", reason="closed")
        poll = select.poll()
        poll.register(self._peer.fileno(), events)
        return bool(poll.poll(timeout_s * 1000))


def _broken(fault: TransportBroken | OSError, sent: int) -> TransportBroken:
    if isinstance(fault, TransportBroken):
        return TransportBroken(fault.detail, reason=fault.reason, sent=sent)
    return TransportBroken(f"the connection broke ({type(fault).__name__})", reason="broken", sent=sent)
