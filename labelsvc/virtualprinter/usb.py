"""A USB printer class device, as a host's USB library sees it, over a Unix stream socket.

    host to device   op (1 byte), length (4 bytes, big endian), payload
    device to host   length (4 bytes, big endian), payload: one answer to each

    D                                             the descriptor, JSON
    O   timeout_ms (4), data                      bulk out: how many bytes were taken (4): fewer than sent when
                                                  the time is over, 0 when the device took none (NAK)
    I   timeout_ms (4), most (4)                  bulk in: bytes, none when the time is over
    C   setup packet (8), timeout_ms (4), data    control transfer: 0 and bytes, or 1 for a stall

A timeout of 0 is none.  The device closes the socket: unplugged; a new connection: plugged in again.  Bytes
that were taken stay in the device when the host dies, and go on into the printer.

Hides the frames, the device's small memory for each direction, and the three requests of the printer class
(USB Device Class Definition for Printing Devices 1.1, section 4.2).
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
import time
from pathlib import Path

from .faults import Faults
from .printer import ConnectionLost, Printer

_IN_BYTES = 65_536
_LARGEST_FRAME = 1_048_576
_PRINTER_IN, _PRINTER_OUT = 0xA1, 0x21
_GET_DEVICE_ID, _GET_PORT_STATUS, _SOFT_RESET = 0, 1, 2


class UsbPort:
    """Listens on the socket ``path``, which it replaces if a dead printer left it behind; raises OSError.
    ``fifo_bytes`` are taken from the host before the printer reads any."""

    def __init__(self, printer: Printer, path: Path, ids: tuple[int, int], fifo_bytes: int) -> None:
        self.path = path
        self._printer = printer
        self._vendor, self._product = ids
        self._fifo_bytes = fifo_bytes
        self._serial = printer.build.serial
        self._changed = threading.Condition()
        self._out = bytearray()
        self._in = bytearray()
        self._hosts: dict[socket.socket, int] = {}  # and what wakes each: an eventfd
        self._listener: socket.socket | None = None
        self._closed = False
        self._listen(True)
        self._line = printer.attach(self._unread, self._answer, lasting=True)
        threading.Thread(target=self._drain, daemon=True).start()

    # ------------------------------------------------------------------ the cable

    def obey(self, faults: Faults) -> None:
        """Plugged in or not."""
        plugged = not (faults.refuse_connections or faults.unplugged)
        with self._changed:
            if plugged and not self._listener:
                self._serial = faults.usb_serial or self._printer.build.serial
        self._listen(plugged)
        if faults.unplugged:
            self._disconnect()

    def drop_connections(self) -> None:
        """The printer has been switched off: what lies in the device is lost, hosts see it leave."""
        with self._changed:
            self._out.clear()
        self._disconnect()

    def close(self) -> None:
        """Unplug for good."""
        self._closed = True
        self._listen(False)
        self._disconnect()

    def _listen(self, plugged: bool) -> None:
        with self._changed:
            if plugged and not self._listener and not self._closed:
                self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.path.unlink(missing_ok=True)
                self._listener.bind(str(self.path))
                self._listener.listen(4)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
            elif not plugged and self._listener:
                self.path.unlink(missing_ok=True)
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
                self._listener.close()
                self._listener = None

    def _disconnect(self) -> None:
        with self._changed:
            self._in.clear()
            for host in self._hosts:
                try:
                    host.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the host was quicker

    # ------------------------------------------------------------------ the printer's side

    def _drain(self) -> None:
        """The device's memory into the printer, for life."""
        while True:
            with self._changed:
                while not self._out:
                    self._changed.wait()
            try:
                self._printer.take(self._line, self._read)
            except BlockingIOError:
                continue
            except ConnectionLost:
                if self._closed:
                    return
                self.obey(self._printer.faults)

    def _unread(self) -> int:
        with self._changed:
            return len(self._out)

    def _read(self, most: int) -> bytes:
        with self._changed:
            if not self._out:
                raise BlockingIOError
            data = bytes(self._out[:most])
            del self._out[:most]
            self._wake()
            return data

    def _answer(self, answer: bytes) -> None:
        """Kept until it is fetched, by the next host if this one is gone, as an endpoint's memory is."""
        with self._changed:
            self._in += answer[: _IN_BYTES - len(self._in)]
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        for wake in self._hosts.values():
            os.eventfd_write(wake, 1)

    # ------------------------------------------------------------------ the host's side

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                host, _ = listener.accept()
            except OSError:
                return
            wake = os.eventfd(0, os.EFD_NONBLOCK)
            with self._changed:
                self._hosts[host] = wake
            threading.Thread(target=self._serve, args=(host, wake), daemon=True).start()

    def _serve(self, host: socket.socket, wake: int) -> None:
        try:
            while True:
                head = _exactly(host, 5)
                length = int.from_bytes(head[1:], "big")
                if length > _LARGEST_FRAME:
                    return
                answer = self._frame(host, wake, head[:1], _exactly(host, length))
                host.sendall(len(answer).to_bytes(4, "big") + answer)
        except (OSError, EOFError, struct.error):
            return
        finally:
            with self._changed:
                del self._hosts[host]
                os.close(wake)
            host.close()

    def _frame(self, host: socket.socket, wake: int, op: bytes, payload: bytes) -> bytes:
        """The answer to one frame.  Raises EOFError for what is no frame, and when the host is gone."""
        if op == b"D":
            return json.dumps(self._descriptor()).encode()
        if op == b"O":
            (timeout_ms,) = struct.unpack_from(">I", payload)
            return self._take(host, wake, payload[4:], _until(timeout_ms)).to_bytes(4, "big")
        if op == b"I":
            timeout_ms, most = struct.unpack(">II", payload)
            return self._give(host, wake, most, _until(timeout_ms))
        if op == b"C":
            return self._control(*struct.unpack_from("<BBHHH", payload))
        raise EOFError

    def _descriptor(self) -> dict[str, object]:
        build = self._printer.build
        return {
            "vendor": self._vendor,
            "product": self._product,
            "serial": self._serial,
            "manufacturer": build.maker,
            "model": build.model,
            "in": 0x81,
            "out": 0x02,
            "interface": 0,
            "configuration": 1,
        }

    def _take(self, host: socket.socket, wake: int, data: bytes, until: float | None) -> int:
        taken = 0
        while True:
            uncut = self._printer.bytes_before_cut(self._line)
            with self._changed:
                room = min(self._fifo_bytes - len(self._out), uncut)
                piece = data[taken : taken + room]
                self._out += piece
                taken += len(piece)
                self._changed.notify_all()
            if taken == len(data) or not _waited(host, wake, until):
                return taken

    def _give(self, host: socket.socket, wake: int, most: int, until: float | None) -> bytes:
        while True:
            with self._changed:
                data = bytes(self._in[:most])
                del self._in[:most]
            if data or not most or not _waited(host, wake, until):
                return data

    def _control(self, kind: int, request: int, value: int, index: int, length: int) -> bytes:
        if (kind, request) == (_PRINTER_IN, _GET_DEVICE_ID):
            text = self._printer.build.device_id(self._serial)
            return b"\0" + ((len(text) + 2).to_bytes(2, "big") + text)[:length]
        if (kind, request) == (_PRINTER_IN, _GET_PORT_STATUS):
            return b"\0" + bytes([self._printer.port_status()])[:length]
        # The first draft of the class definition had the reset's recipient as "other": hosts still send it.
        if kind in (_PRINTER_OUT, 0x23) and request == _SOFT_RESET:
            with self._changed:
                self._out.clear()
                self._in.clear()
                self._wake()
            self._printer.soft_reset()
            return b"\0"
        return b"\1"


def _until(timeout_ms: int) -> float | None:
    return time.monotonic() + timeout_ms / 1000 if timeout_ms else None


def _waited(host: socket.socket, wake: int, until: float | None) -> bool:
    """True when the device's memory has changed; False when the time is over.  Raises EOFError when the host
    is gone: no byte of its transfer may be taken after that."""
    events = select.poll()
    events.register(host, select.POLLRDHUP)
    events.register(wake, select.POLLIN)
    found = events.poll(None if until is None else max(0, until - time.monotonic()) * 1000)
    if any(number != wake for number, _ in found):
        raise EOFError
    if found:
        os.eventfd_read(wake)
    return bool(found)


def _exactly(host: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = host.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
