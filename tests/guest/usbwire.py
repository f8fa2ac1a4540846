"""Plugs a virtual printer into this kernel's USB bus: answers the kernel's USB/IP requests from the printer's socket of frames.

Run as root where ``vhci-hcd`` is loaded. Hides both wires: the kernel's (Documentation/usb/usbip_protocol.rst: a header of 48
bytes, then data; the import that precedes it on a network isn't needed, the kernel takes any stream socket) and the printer's
(``op, length, payload``, see the virtual printer's USB port). The printer stands where its socket is; what it has taken stays
with it when this machine dies.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

VHCI = Path("/sys/devices/platform/vhci_hcd.0")
_HIGH_SPEED = 3
_HEADER = 48
_SUBMIT, _UNLINK, _RET_SUBMIT, _RET_UNLINK = 1, 2, 3, 4
_ECONNRESET, _EPIPE = -104, -32
_SLICE_MS = 20  #: the printer answers one frame at a time: none may keep the others waiting


class _Stream(Protocol):
    def send(self, data: bytes) -> None: ...
    def receive(self, size: int) -> bytes: ...


class _Socket:
    """A Unix socket on this machine."""

    def __init__(self, path: str) -> None:
        self._peer = socket.socket(socket.AF_UNIX)
        self._peer.connect(path)

    def send(self, data: bytes) -> None:
        self._peer.sendall(data)

    def receive(self, size: int) -> bytes:
        return self._peer.recv(size)

    def close(self) -> None:
        self._peer.close()


class _Port:
    """A port of virtio-serial, whose other end is a socket outside of this machine."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]

    def receive(self, size: int) -> bytes:
        return os.read(self._file, size)

    def close(self) -> None:
        os.close(self._file)


class _Frames:
    """The printer's end."""

    def __init__(self, path: str) -> None:
        self._stream = _Port(path) if path.startswith("/dev/") else _Socket(path)

    def ask(self, op: bytes, payload: bytes = b"") -> bytes:
        """One question. Raises EOFError when the printer is gone."""
        self._stream.send(op + struct.pack(">I", len(payload)) + payload)
        (size,) = struct.unpack(">I", self._whole(4))
        return self._whole(size)

    def _whole(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = self._stream.receive(size - len(found))
            if not more:
                raise EOFError("the printer closed its socket")
            found += more
        return found

    def close(self) -> None:
        self._stream.close()


@dataclass
class _Request:
    """A URB that the kernel waits for."""

    number: int
    into_host: bool
    length: int
    data: bytes = b""
    done: int = 0
    unlinked_by: int | None = None
    got: bytes = field(default=b"")


class Plugged:
    """One printer in one port of the virtual host controller."""

    def __init__(self, printer: str, port: int) -> None:
        """``printer``: a Unix socket's path, or a device of virtio-serial. ``port``: 0 to 7, high speed."""
        self.port = port
        self._printer = _Frames(printer)
        self._device = json.loads(self._printer.ask(b"D"))
        self._kernel, theirs = socket.socketpair()
        self._waiting: dict[bool, deque[_Request]] = {True: deque(), False: deque()}
        with theirs:
            (VHCI / "attach").write_text(f"{port} {theirs.fileno()} {0x10000 + port} {_HIGH_SPEED}")
        self._thread = threading.Thread(target=self._serve, name=f"usb port {port}", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pull the cable."""
        with suppress(OSError):
            (VHCI / "detach").write_text(str(self.port))
        self._thread.join(10)

    # ------------------------------------------------------------ the kernel's requests

    def _serve(self) -> None:
        try:
            while True:
                busy = any(self._waiting.values())
                if select.select([self._kernel], [], [], 0 if busy else None)[0]:
                    self._take()
                else:
                    self._advance()
        except (EOFError, OSError):
            pass  # either end is gone: unplugged
        finally:
            self._kernel.close()
            self._printer.close()

    def _take(self) -> None:
        header = self._whole(_HEADER)
        command, number, _device, direction, endpoint = struct.unpack(">5I", header[:20])
        if command == _UNLINK:
            self._unlink(number, struct.unpack(">I", header[20:24])[0])
            return
        (length,) = struct.unpack(">i", header[24:28])
        data = self._whole(length) if not direction and length > 0 else b""
        if endpoint == 0:
            status, answer = self._control(header[40:48], length, data)
            self._give_back(number, status, len(answer) if direction else len(data), answer)
        else:
            self._waiting[bool(direction)].append(_Request(number, bool(direction), length, data))

    def _unlink(self, number: int, which: int) -> None:
        for queue in self._waiting.values():
            for request in queue:
                if request.number == which:
                    queue.remove(request)
                    # The kernel must learn how much of it went: in RET_UNLINK there is no place for that.
                    self._give_back(which, _ECONNRESET, request.done, b"")
                    break
        self._kernel.sendall(struct.pack(">5Ii24x", _RET_UNLINK, number, 0, 0, 0, 0))

    def _advance(self) -> None:
        """A slice of the first request of either direction: requests of an endpoint are served in their order."""
        if self._waiting[False]:
            request = self._waiting[False][0]
            rest = request.data[request.done : request.done + 16384]
            answer = self._printer.ask(b"O", struct.pack(">I", _SLICE_MS) + rest)
            request.done += struct.unpack(">I", answer)[0]
            if request.done == len(request.data):
                self._waiting[False].popleft()
                self._give_back(request.number, 0, request.done, b"")
        if self._waiting[True]:
            request = self._waiting[True][0]
            found = self._printer.ask(b"I", struct.pack(">II", _SLICE_MS, request.length))
            if found:
                self._waiting[True].popleft()
                self._give_back(request.number, 0, len(found), found)

    def _give_back(self, number: int, status: int, length: int, data: bytes) -> None:
        self._kernel.sendall(
            struct.pack(">5I5i8x", _RET_SUBMIT, number, 0, 0, 0, status, length, 0, 0, 0) + data
        )

    def _whole(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = self._kernel.recv(size - len(found))
            if not more:
                raise EOFError("unplugged")
            found += more
        return found

    # ------------------------------------------------------------ endpoint 0

    def _control(self, setup: bytes, length: int, data: bytes) -> tuple[int, bytes]:
        kind, request, value, _index, _length = struct.unpack("<BBHHH", setup)
        if kind & 0x60 == 0x20:  # of the printer class: the printer's own affair
            answer = self._printer.ask(b"C", setup + struct.pack(">I", 1000) + data)
            return (0 if answer[0] == 0 else _EPIPE), answer[1:][:length]
        if request == 6:  # GET_DESCRIPTOR
            found = self._descriptor(value >> 8, value & 0xFF)
            return (0, found[:length]) if found else (_EPIPE, b"")
        if request == 0:  # GET_STATUS
            return 0, b"\x01\x00"[:length]
        if request == 8:  # GET_CONFIGURATION
            return 0, bytes([self._device["configuration"]])
        if request == 10:  # GET_INTERFACE
            return 0, b"\x00"
        return 0, b""  # SET_CONFIGURATION, SET_INTERFACE, CLEAR_FEATURE

    def _descriptor(self, kind: int, index: int) -> bytes:
        """As USB 2.0 chapter 9.6 lays them out; the printer's interface by the printer class 1.1, 5.2."""
        device = self._device
        if kind == 1:
            return struct.pack(
                "<BBHBBBBHHHBBBB",
                *(18, 1, 0x0200, 0, 0, 0, 64, device["vendor"], device["product"], 0x0100, 1, 2),
                *(3 if device["serial"] else 0, 1),
            )
        if kind == 2:
            interface = struct.pack("<9B", 9, 4, device["interface"], 0, 2, 7, 1, 2, 0)
            endpoints = b"".join(
                struct.pack("<BBBBHB", 7, 5, address, 2, 512, 0) for address in (device["out"], device["in"])
            )
            head = struct.pack(
                "<BBHBBBBB", 9, 2, 9 + len(interface + endpoints), 1, device["configuration"], 0, 0xC0, 1
            )
            return head + interface + endpoints
        if kind == 3:
            words = ("", device["manufacturer"], device["model"], device["serial"] or "")
            text = words[index].encode("utf-16-le") if index else b"\x09\x04"
            return bytes([2 + len(text), 3]) + text
        return b""  # no qualifier: a device of one speed
