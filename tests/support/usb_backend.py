"""A USB bus for pyusb whose devices are virtual printers in processes of their own; hides the frames between the two.

The transport under test is the real one and so is pyusb above this backend; only what libusb and the kernel would do is done
here: listing devices, their descriptors, claims, the kernel's own driver, and handing transfers on, byte for byte, to the
printer's USB socket (see ``labelsvc/virtualprinter/usb.py``). A claim is a lock of this machine, which a killed process loses.

    bus = Bus([Plug(tmp_path / "one.usb"), Plug(tmp_path / "two.usb")])
    with bus.installed():
        parse_uri("usb://1209:7a01/SERIAL").connect()

A daemon that a test starts gets it from the test's launcher: ``install([path, ...])`` before it serves.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import usb.backend
from usb.core import USBError, USBTimeoutError

from labelsvc.printing.transports import usb as transport

_PATIENCE_S = (
    10  # beyond a transfer's own time-out: then the printer's process hangs, and the test should say so
)
_BULK = 2


@dataclass(frozen=True)
class Setting:
    """One interface setting of a device: number, alternate, protocol of the printer class, and its bulk endpoints."""

    number: int
    alternate: int
    protocol: int
    endpoints: tuple[int, ...]
    interface_class: int = 7


@dataclass
class Plug:
    """One socket of the bus, with the printer whose process listens at ``path``; nothing is plugged in while it doesn't.

    ``settings`` replaces what the printer itself says of its interface.
    """

    path: Path
    ports: tuple[int, ...] = ()  #: set by the bus where it is left out
    kernel_driver: bool = False  #: usblp is bound to it
    permitted: bool = True
    configuration: int = 1  #: 0: not configured
    halted: bool = False  #: its bulk endpoints refuse all until a host clears them
    settings: tuple[Setting, ...] = ()
    said: list[str] = field(
        default_factory=list
    )  #: what was done to it: detach, attach, claim, release, configure ...


class _Handle:
    """An open device: a connection to its process, and the locks of what is claimed."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.plug: Plug = device.plug
        self.wire = _connected(self.plug.path)
        self.claims: dict[int, int] = {}


class Bus(usb.backend.IBackend):
    """Bus 1 of a machine."""

    def __init__(self, plugs: Iterable[Plug]) -> None:
        super().__init__()
        self.plugs = list(plugs)
        for number, plug in enumerate(self.plugs, start=1):
            plug.ports = plug.ports or (number,)

    def install(self) -> None:
        """In this process the transport finds this bus and no other."""
        transport.backend = lambda: self

    @contextmanager
    def installed(self) -> Iterator[Bus]:
        """The same, for a while."""
        before = transport.backend
        self.install()
        try:
            yield self
        finally:
            transport.backend = before

    # ------------------------------------------------------------ what is plugged in

    def enumerate_devices(self) -> Iterator[Any]:
        """Every plug whose printer listens, each with the descriptor of this moment."""
        for address, plug in enumerate(self.plugs, start=1):
            try:
                wire = _connected(plug.path)
            except USBError:
                continue
            with wire:
                said = json.loads(_asked(wire, b"D", b"", _PATIENCE_S))
            yield SimpleNamespace(plug=plug, address=address, said=said, settings=_settings(plug, said))

    def get_parent(self, dev: Any) -> None:
        """No hubs."""

    def get_device_descriptor(self, dev: Any) -> Any:
        """A device whose class its interfaces tell, with strings 1 (maker), 2 (model), 3 (serial number, if it has one)."""
        return SimpleNamespace(
            bLength=18,
            bDescriptorType=1,
            bcdUSB=0x200,
            bDeviceClass=0,
            bDeviceSubClass=0,
            bDeviceProtocol=0,
            bMaxPacketSize0=64,
            idVendor=dev.said["vendor"],
            idProduct=dev.said["product"],
            bcdDevice=0x100,
            iManufacturer=1,
            iProduct=2,
            iSerialNumber=3 if dev.said["serial"] else 0,
            bNumConfigurations=1,
            bus=1,
            address=dev.address,
            port_number=dev.plug.ports[-1],
            port_numbers=dev.plug.ports,
            speed=3,
        )

    def get_configuration_descriptor(self, dev: Any, config: int) -> Any:
        """The only one."""
        if config:
            raise IndexError(config)
        return SimpleNamespace(
            bLength=9,
            bDescriptorType=2,
            wTotalLength=32,
            bNumInterfaces=len({setting.number for setting in dev.settings}),
            bConfigurationValue=dev.said["configuration"],
            iConfiguration=0,
            bmAttributes=0xC0,
            bMaxPower=1,
            extra_descriptors=[],
        )

    def get_interface_descriptor(self, dev: Any, intf: int, alt: int, config: int) -> Any:
        """Counted as pyusb counts: the place in the list, not the number on it."""
        numbers = sorted({setting.number for setting in dev.settings})
        of_number = [
            setting for setting in dev.settings if setting.number == numbers[intf]
        ]  # IndexError: no more
        setting = of_number[alt]
        return SimpleNamespace(
            bLength=9,
            bDescriptorType=4,
            bInterfaceNumber=setting.number,
            bAlternateSetting=setting.alternate,
            bNumEndpoints=len(setting.endpoints),
            bInterfaceClass=setting.interface_class,
            bInterfaceSubClass=1,
            bInterfaceProtocol=setting.protocol,
            iInterface=0,
            endpoints=setting.endpoints,
            extra_descriptors=[],
        )

    def get_endpoint_descriptor(self, dev: Any, ep: int, intf: int, alt: int, config: int) -> Any:
        """Bulk, 512 bytes a packet."""
        endpoints = self.get_interface_descriptor(dev, intf, alt, config).endpoints
        return SimpleNamespace(
            bLength=7,
            bDescriptorType=5,
            bEndpointAddress=endpoints[ep],
            bmAttributes=_BULK,
            wMaxPacketSize=512,
            bInterval=0,
            bRefresh=0,
            bSynchAddress=0,
            extra_descriptors=[],
        )

    # ------------------------------------------------------------ opening and claiming

    def open_device(self, dev: Any) -> _Handle:
        """As usbfs: by those who may write to its node."""
        if not dev.plug.permitted:
            raise _error(errno.EACCES)
        return _Handle(dev)

    def close_device(self, dev_handle: _Handle) -> None:
        """Claims end with it."""
        for number in list(dev_handle.claims):
            self.release_interface(dev_handle, number)
        dev_handle.wire.close()

    def get_configuration(self, dev_handle: _Handle) -> int:
        """0: none."""
        return dev_handle.plug.configuration

    def set_configuration(self, dev_handle: _Handle, config_value: int) -> None:
        """Noted."""
        dev_handle.plug.said.append("configure")
        dev_handle.plug.configuration = config_value

    def set_interface_altsetting(self, dev_handle: _Handle, intf: int, altsetting: int) -> None:
        """Noted."""
        dev_handle.plug.said.append(f"alternate {intf} {altsetting}")

    def claim_interface(self, dev_handle: _Handle, intf: int) -> None:
        """One claim at a time, over all processes; the kernel's driver has the first."""
        plug = dev_handle.plug
        if plug.kernel_driver:
            raise _error(errno.EBUSY)
        lock = os.open(f"{plug.path}.claim-{intf}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise _error(errno.EBUSY) from None
        dev_handle.claims[intf] = lock
        plug.said.append(f"claim {intf}")

    def release_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Noted."""
        lock = dev_handle.claims.pop(intf, None)
        if lock is None:
            raise _error(errno.ENOENT)
        os.close(lock)
        dev_handle.plug.said.append(f"release {intf}")

    def is_kernel_driver_active(self, dev_handle: _Handle, intf: int) -> bool:
        """Whether usblp has it."""
        return dev_handle.plug.kernel_driver

    def detach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Noted."""
        if not dev_handle.plug.kernel_driver:
            raise _error(errno.ENOENT)
        dev_handle.plug.kernel_driver = False
        dev_handle.plug.said.append("detach")

    def attach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """As usbfs: not while anybody has claimed it."""
        if intf in dev_handle.claims:
            raise _error(errno.EBUSY)
        dev_handle.plug.kernel_driver = True
        dev_handle.plug.said.append("attach")

    def reset_device(self, dev_handle: _Handle) -> None:
        """Noted: nobody should."""
        dev_handle.plug.said.append("reset")

    def clear_halt(self, dev_handle: _Handle, ep: int) -> None:
        """Noted."""
        dev_handle.plug.halted = False
        dev_handle.plug.said.append(f"clear halt {ep:02x}")

    # ------------------------------------------------------------ transfers

    def bulk_write(self, dev_handle: _Handle, ep: int, intf: int, data: Any, timeout: int) -> int:
        """How many bytes the device took in time."""
        self._require(dev_handle, ep, intf)
        payload = struct.pack(">I", timeout) + data.tobytes()
        taken = int.from_bytes(_asked(dev_handle.wire, b"O", payload, timeout / 1000 + _PATIENCE_S), "big")
        if not taken and len(data):
            raise _timed_out()
        return taken

    def bulk_read(self, dev_handle: _Handle, ep: int, intf: int, buff: Any, timeout: int) -> int:
        """How many bytes came in time."""
        self._require(dev_handle, ep, intf)
        payload = struct.pack(">II", timeout, len(buff) * buff.itemsize)
        found = _asked(dev_handle.wire, b"I", payload, timeout / 1000 + _PATIENCE_S)
        if not found:
            raise _timed_out()
        memoryview(buff).cast("B")[: len(found)] = found
        return len(found)

    def ctrl_transfer(
        self,
        dev_handle: _Handle,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data: Any,
        timeout: int,
    ) -> int:
        """Strings and the standard status are the bus's; the rest is the printer's to answer or to stall."""
        into = bool(bmRequestType & 0x80)
        length = len(data) * data.itemsize
        setup = struct.pack("<BBHHH", bmRequestType, bRequest, wValue, wIndex, length)
        payload = setup + struct.pack(">I", timeout) + (b"" if into else data.tobytes())
        answer = _asked(dev_handle.wire, b"C", payload, timeout / 1000 + _PATIENCE_S)
        if (bmRequestType, bRequest) == (0x80, 0x00):
            answer = b"\0\1\0"
        elif (bmRequestType, bRequest) == (0x80, 0x06):
            text = _string(dev_handle.device.said, wValue)
            answer = b"\0" + text if text else b"\1"
        if answer[:1] != b"\0":
            raise _error(errno.EPIPE)
        if not into:
            return length
        found = answer[1 : 1 + length]
        memoryview(data).cast("B")[: len(found)] = found
        return len(found)

    @staticmethod
    def _require(handle: _Handle, endpoint: int, interface: int) -> None:
        """As usbfs: only through what is claimed, and only endpoints that are there."""
        known = {each for setting in handle.device.settings for each in setting.endpoints}
        if interface not in handle.claims or endpoint not in known:
            raise _error(errno.ENOENT)
        if handle.plug.halted:
            raise _error(errno.EPIPE)


def install(paths: Iterable[Path | str]) -> Bus:
    """In this process the transport finds the printers behind these sockets and no others."""
    bus = Bus([Plug(Path(path)) for path in paths])
    bus.install()
    return bus


def _settings(plug: Plug, said: dict[str, Any]) -> tuple[Setting, ...]:
    return plug.settings or (Setting(said["interface"], 0, 2, (said["out"], said["in"])),)


def _string(said: dict[str, Any], value: int) -> bytes:
    """A string descriptor; empty for what the device hasn't."""
    if value == 0x0300:
        return b"\x04\x03\x09\x04"
    texts = {0x0301: said["manufacturer"], 0x0302: said["model"], 0x0303: said["serial"]}
    text = texts.get(value, "").encode("utf-16-le")
    return bytes([len(text) + 2, 3]) + text if text else b""


def _connected(path: Path) -> socket.socket:
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    wire.settimeout(_PATIENCE_S)
    try:
        wire.connect(str(path))
    except OSError:
        wire.close()
        raise _error(errno.ENODEV) from None
    return wire


def _asked(wire: socket.socket, op: bytes, payload: bytes, patience_s: float) -> bytes:
    """One frame and its answer. Raises USBError ENODEV when the printer's end is gone."""
    wire.settimeout(patience_s)
    try:
        wire.sendall(op + len(payload).to_bytes(4, "big") + payload)
        return _exactly(wire, int.from_bytes(_exactly(wire, 4), "big"))
    except OSError:
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)  # it left: also what is sent from now on finds nobody
        raise _error(errno.ENODEV) from None


def _exactly(wire: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = wire.recv(count - len(found))
        if not piece:
            raise ConnectionError
        found += piece
    return found


def _error(number: int) -> USBError:
    return USBError(os.strerror(number), -1, number)


def _timed_out() -> USBTimeoutError:
    return USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
