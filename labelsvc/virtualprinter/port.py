"""The raw port (9100 on real printers): connections in, bytes to the printer, its answers back.

Hides sockets: how a port refuses without giving up its number, how a connection is reset rather than closed,
how one goes on existing that nobody serves any more.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import sys
import termios
import threading
from functools import partial

from .faults import Faults
from .printer import ConnectionForgotten, ConnectionLost, Line, Printer

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_RECEIVE_WINDOW_BYTES = 65_536
"""Kept small, so that a host feels a full buffer soon instead of after megabytes in the kernel."""


class RawPort:
    """Listens on ``host`` (an address of this machine) and ``port`` (0 for a free one); raises OSError."""

    def __init__(self, printer: Printer, host: str, port: int) -> None:
        self._printer = printer
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        # Bound but never listening: it keeps the number ours while connections are refused.
        self._reservation = self._bound((host, port))
        self.address: tuple[str, int] = self._reservation.getsockname()[:2]

    @staticmethod
    def _bound(address: tuple[str, int]) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_WINDOW_BYTES)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        return bound

    def obey(self, faults: Faults) -> None:
        """Listen, or refuse whoever comes; those connected stay, unless the cable is out."""
        self._listen(not (faults.refuse_connections or faults.unplugged))
        if faults.unplugged:
            self.drop_connections()

    def close(self) -> None:
        """Refuse whoever comes, reset whoever is there."""
        self._listen(False)
        self.drop_connections()

    def _listen(self, accept: bool) -> None:
        with self._lock:
            if accept and not self._listener:
                self._listener = self._bound(self.address)
                self._listener.listen(16)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
            elif not accept and self._listener:
                self._listener.shutdown(
                    socket.SHUT_RDWR
                )  # a thread sits in accept(); closing alone would not wake it
                self._listener.close()
                self._listener = None

    def drop_connections(self) -> None:
        """Wake every connection; those that the printer has lost are reset."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the host was quicker
            while self._forgotten:
                connection = self._forgotten.pop()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._listener is not listener:  # the port was closed just as somebody came
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    connection.close()
                    return
                self._connections.add(connection)
            line = self._printer.attach(partial(_unread_bytes, connection), partial(_send, connection))
            threading.Thread(target=self._serve, args=(connection, line), daemon=True).start()

    def _serve(self, connection: socket.socket, line: Line) -> None:
        arrived = select.poll()
        arrived.register(connection, select.POLLIN)
        forgotten = False
        try:
            while True:
                arrived.poll()
                try:
                    if not self._printer.take(line, lambda most: connection.recv(most, socket.MSG_DONTWAIT)):
                        return
                except BlockingIOError:
                    continue
        except ConnectionForgotten:
            forgotten = True
        except ConnectionLost:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except ConnectionError:
            return  # reset by the host: what arrived before it stays
        finally:
            self._printer.detach(line)
            with self._lock:
                self._connections.discard(connection)
                if forgotten:
                    self._forgotten.add(connection)
                else:
                    connection.close()


def _send(connection: socket.socket, answer: bytes) -> None:
    """What doesn't fit into the kernel is lost, as in a printer whose host doesn't listen."""
    try:
        connection.send(answer, socket.MSG_DONTWAIT)
    except OSError:
        return  # nobody listens any more; what was sent before may still be unread


def _unread_bytes(connection: socket.socket) -> int:
    count = fcntl.ioctl(connection, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(count, sys.byteorder)
