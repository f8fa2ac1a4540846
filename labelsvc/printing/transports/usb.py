"""USB printers: ``usb://VID:PID/SERIAL``, or ``usb://VID:PID/@PORTPATH`` where a printer has no serial number.

Hides libusb: which of several equal printers is meant, who else holds it, and which of its interfaces and endpoints print
(Universal Serial Bus Device Class Definition for Printing Devices 1.1). A device that is in use is not reset and not
configured anew: what it still holds of an earlier label must come out, or be seen.
"""

from __future__ import annotations

import errno
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, quote, unquote

import usb.core
import usb.util

from labelsvc.errors import Invalid
from labelsvc.printing.transports.link import Guarded, StallClock, TransportBroken

_IDS = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})", re.IGNORECASE)
_PORT_PATH = re.compile(r"[1-9][0-9]{0,2}-[1-9][0-9]{0,2}(?:\.[1-9][0-9]{0,2}){0,6}")
_CHUNK = 16 * 1024
_SLICE_MS = 250  # the longest that one transfer keeps ``abort`` waiting
_CONTROL_MS = 1000
_PRINTER_CLASS = 7
#: bInterfaceProtocol, best first: with answers, without, IEEE 1284.4. 4 is IPP over USB: no printer language goes there.
_PROTOCOLS = (2, 1, 3)
_GET_STATUS = (0x80, 0x00)  # every device answers it (USB 2.0, 9.4.5)
_GET_DEVICE_ID = (0xA1, 0x00)  # printer class 1.1, 4.2.1
_GET_PORT_STATUS = (0xA1, 0x01)  # 4.2.2
_loading = threading.Lock()
_BROKEN_OFF = (errno.ENODEV, errno.ENOENT, errno.EIO, errno.ESHUTDOWN, errno.EPROTO)


def parse(parts: SplitResult) -> Usb:
    """``usb://VID:PID/SERIAL``, ``usb://VID:PID/@BUS-PORT.PORT`` or ``usb://VID:PID``. Raises Invalid on field ``uri``."""
    ids = _IDS.fullmatch(parts.netloc)
    if not ids or parts.query or parts.fragment:
        raise Invalid(
            "must be usb://VID:PID/SERIAL, with four hexadecimal digits each", code="uri.invalid", field="uri"
        )
    vendor, product = (int(digits, 16) for digits in ids.groups())
    rest = parts.path.removeprefix("/")
    if not rest.startswith("@"):
        return Usb(vendor, product, serial=unquote(rest))
    if not _PORT_PATH.fullmatch(rest[1:]):
        raise Invalid("must name the port as @BUS-PORT, such as @1-2.3", code="uri.invalid", field="uri")
    return Usb(vendor, product, port_path=rest[1:])


def backend() -> Any:
    """The libusb that speaks to the devices: the system's, else the one that came along. None if neither can be loaded."""
    import libusb_package
    from usb.backend import libusb1

    # Where several threads come first at once, pyusb lets one of them call a library whose types aren't declared yet, and the
    # process dies of a pointer cut in half.
    with _loading:
        return libusb1.get_backend() or libusb1.get_backend(find_library=libusb_package.find_library)


@dataclass(frozen=True)
class Attached:
    """A printer that hangs on this machine's USB now.

    ``serial``, ``manufacturer`` and ``model`` are empty where the device has none or may not be asked (``permitted``).
    """

    vendor: int
    product: int
    serial: str
    port_path: str
    manufacturer: str
    model: str
    permitted: bool = True
    alone: bool = True  #: no other printer has the same vendor, product and serial number

    @property
    def uri(self) -> str:
        """The address that finds this one again: by its serial number, else by where it is plugged in."""
        ids = f"usb://{self.vendor:04x}:{self.product:04x}"
        if self.serial and self.alone:
            return f"{ids}/{quote(self.serial, safe='')}"
        return f"{ids}/@{self.port_path}"


def attached() -> list[Attached]:
    """Every printer on this machine's USB, in order of its port path; nothing is claimed or sent to any interface.

    Raises TransportBroken ``unreachable`` if there is no libusb.
    """
    found = []
    for device in _devices():
        if not any(_way_in(configuration) for configuration in _configurations(device)):
            continue
        permitted = True
        serial = manufacturer = model = ""
        try:
            serial = _text(device, device.iSerialNumber)
            manufacturer = _text(device, device.iManufacturer)
            model = _text(device, device.iProduct)
        except usb.core.USBError:
            permitted = False
        finally:
            usb.util.dispose_resources(device)
        ids = (device.idVendor, device.idProduct)
        found.append(Attached(*ids, serial, _port_path(device), manufacturer, model, permitted))
    names = Counter((each.vendor, each.product, each.serial) for each in found)
    return [
        replace(each, alone=names[each.vendor, each.product, each.serial] == 1)
        for each in sorted(found, key=lambda each: each.port_path)
    ]


@dataclass(frozen=True)
class Usb:
    """A printer on USB. ``stall_s`` is how long a write waits without one byte moving, as for TCP."""

    vendor: int
    product: int
    serial: str = ""
    port_path: str = ""
    stall_s: float = 30.0
    answers: bool = True
    local: bool = True

    def connect(self) -> UsbLink:
        """Find it and claim its printing interface, taken from the kernel's ``usblp`` if that has it.

        Raises TransportBroken ``unreachable`` (not there), ``ambiguous`` (several fit), ``no_permission``, ``busy``.
        """
        device = self._find()
        try:
            return _claimed(device, self.stall_s)
        except BaseException:
            usb.util.dispose_resources(device)
            raise

    def _find(self) -> Any:
        """The one device that is meant. Raises TransportBroken."""
        fitting, forbidden = [], False
        for device in _devices(idVendor=self.vendor, idProduct=self.product):
            if self.port_path and _port_path(device) != self.port_path:
                continue
            if self.serial:
                try:
                    if _text(device, device.iSerialNumber) != self.serial:
                        usb.util.dispose_resources(device)
                        continue
                except usb.core.USBError:
                    forbidden = True
                    usb.util.dispose_resources(device)
                    continue
            fitting.append(device)
        if len(fitting) == 1:
            return fitting[0]
        for device in fitting:
            usb.util.dispose_resources(device)
        if fitting:
            by = "its port: usb://VID:PID/@BUS-PORT" if self.serial else "its serial number or port"
            raise TransportBroken(
                f"{len(fitting)} printers fit this address: name the one that is meant by {by}",
                reason="ambiguous",
            )
        if forbidden:
            raise _no_permission()
        raise TransportBroken("no such printer is plugged in", reason="unreachable")


class UsbLink(Guarded):
    """One claimed interface.

    Transfers are cut into slices, so that ``close`` and ``abort`` of another thread never pull a handle from under libusb.
    """

    def __init__(self, device: Any, configuration: Any, way_in: Any, stall_s: float, taken: bool) -> None:
        super().__init__()
        self._device = device
        self._configuration = configuration.index
        self._interface = way_in.bInterfaceNumber
        self._alternate = way_in.bAlternateSetting
        self._out, self._in = _endpoints(way_in)
        self._stall_s = stall_s
        self._taken_from_kernel = taken
        self._turn = threading.Lock()
        self._gone = threading.Event()

    def write(self, data: bytes, name: str) -> None:
        """Send in chunks, each going on where the device stopped taking."""
        sent = 0
        clock = StallClock(self._stall_s)
        try:
            self._still_there()
            while sent < len(data):
                self.require_leave(sent)
                sent += self._transfer(data, sent)
                clock.look(sent)
        except TransportBroken as broken:
            raise TransportBroken(broken.detail, reason=broken.reason, sent=max(sent, broken.sent)) from None

    def flush(self) -> None:
        """A transfer that is complete was taken by the device."""

    def read(self, timeout_s: float) -> bytes:
        """What the printer has to say, up to 16 KiB."""
        end = time.monotonic() + timeout_s
        while True:
            left_ms = int((end - time.monotonic()) * 1000)
            with self._turn:
                self._open()
                if self._in is None:
                    found = b""
                else:
                    try:
                        # A time-out of 0 would be none at all.
                        found = bytes(self._device.read(self._in, _CHUNK, max(1, min(left_ms, _SLICE_MS))))
                    except usb.core.USBTimeoutError:
                        found = b""
                    except usb.core.USBError as fault:
                        self._heal(self._in, fault)
                        raise _broken(fault, 0) from None
            if found or left_ms <= 0:
                return found
            self._gone.wait(
                0.001 if self._in is not None else left_ms / 1000
            )  # an empty packet comes at once

    def device_id(self) -> str:
        """Its IEEE 1284 id, such as ``MFG:Zebra;MDL:ZD420;CMD:ZPL;``; empty if it has none. Raises TransportBroken."""
        index = self._interface << 8 | self._alternate
        answer = self._ask(_GET_DEVICE_ID, self._configuration, index, 1024)
        if answer is None or len(answer) < 2:
            return ""
        # Two bytes of length, counting themselves; some firmware has them in the wrong order, so none is believed.
        return answer[2:].rstrip(b"\0").decode("ascii", "replace")

    def port_status(self) -> int | None:
        """Its status byte: 0x20 paper empty, 0x10 selected, 0x08 no error; None if it doesn't say. Raises TransportBroken."""
        answer = self._ask(_GET_PORT_STATUS, 0, self._interface, 1)
        return answer[0] if answer else None

    def close(self) -> None:
        """Release the interface, and give it back to the kernel's driver if that had it."""
        self._gone.set()
        with self._turn:
            if self._device is None:
                return
            device, self._device = self._device, None
            with suppress(usb.core.USBError):  # it may be unplugged
                usb.util.release_interface(device, self._interface)
            if self._taken_from_kernel:
                with suppress(usb.core.USBError, NotImplementedError):
                    device.attach_kernel_driver(self._interface)
            usb.util.dispose_resources(device)

    def abort(self) -> None:
        """End a write in another thread after the slice it is in; this machine holds no bytes back to be sent later."""
        self.close()

    def _open(self) -> None:
        if self._gone.is_set() or self._device is None:
            raise TransportBroken("the printer was let go", reason="closed")

    def _transfer(self, data: bytes, sent: int) -> int:
        """How many bytes the device took of the next chunk within a slice of time."""
        chunk = data[sent : sent + _CHUNK]
        with self._turn:
            self._open()
            try:
                return int(self._device.write(self._out, chunk, _SLICE_MS))
            except usb.core.USBTimeoutError:
                return 0
            except usb.core.USBError as fault:
                self._heal(self._out, fault)
                # A transfer that fails doesn't say how much of it the device took: all of it may have left.
                raise _broken(fault, sent + len(chunk)) from None

    def _heal(self, endpoint: int | None, fault: usb.core.USBError) -> None:
        """An endpoint that the device halted stays so, also for the next to connect, until it is told to go on."""
        if fault.errno == errno.EPIPE:
            with suppress(usb.core.USBError):
                self._device.clear_halt(endpoint)

    def _still_there(self) -> None:
        """Notice before the first byte that a printer was unplugged."""
        self._ask(_GET_STATUS, 0, 0, 2)

    def _ask(self, request: tuple[int, int], value: int, index: int, length: int) -> bytes | None:
        """A control request's answer; None where the device refuses it or doesn't answer."""
        answer = usb.util.create_buffer(length)
        with self._turn:
            self._open()
            try:
                # Not Device.ctrl_transfer: it would claim the interface of the index's low byte, which in GET_DEVICE_ID
                # is an alternate setting.
                context = self._device._ctx
                count = context.backend.ctrl_transfer(
                    context.managed_open(), *request, value, index, answer, _CONTROL_MS
                )
                return bytes(answer[:count])
            except usb.core.USBTimeoutError:
                return None
            except usb.core.USBError as fault:
                if fault.errno in _BROKEN_OFF:
                    raise _broken(fault, 0) from None
                return None  # EPIPE: it doesn't know the request


def _devices(**wanted: int) -> Any:
    library = backend()
    if library is None:
        raise TransportBroken("libusb can't be loaded on this machine", reason="unreachable")
    return usb.core.find(find_all=True, backend=library, **wanted)


def _claimed(device: Any, stall_s: float) -> UsbLink:
    """The link over the device's printing interface. Raises TransportBroken."""
    taken: int | None = None
    try:
        configuration = _active(device)
        if configuration is None:
            configuration = next(filter(_way_in, _configurations(device)), None)
            if configuration is not None:
                device.set_configuration(configuration.bConfigurationValue)
        way_in = None if configuration is None else _way_in(configuration)
        if way_in is None:
            raise TransportBroken("the device has no interface that prints", reason="unreachable")
        number = way_in.bInterfaceNumber
        with suppress(NotImplementedError):  # only Linux has drivers to detach
            if device.is_kernel_driver_active(number):
                device.detach_kernel_driver(number)
                taken = number
        usb.util.claim_interface(device, number)
        if way_in.bAlternateSetting:
            device.set_interface_altsetting(number, way_in.bAlternateSetting)
    except usb.core.USBError as fault:
        if taken is not None:
            with suppress(usb.core.USBError):
                usb.util.release_interface(device, taken)
                device.attach_kernel_driver(taken)
        if fault.errno in (errno.EACCES, errno.EPERM):
            raise _no_permission() from None
        if fault.errno == errno.EBUSY:
            raise TransportBroken(
                "another program holds the printer: a CUPS queue for it, perhaps", reason="busy"
            ) from None
        raise TransportBroken(f"the printer can't be opened ({_word(fault)})", reason="unreachable") from None
    return UsbLink(device, configuration, way_in, stall_s, taken is not None)


def _active(device: Any) -> Any:
    """The configuration that is set, or None; a device in use keeps it."""
    try:
        return device.get_active_configuration()
    except usb.core.USBError as fault:
        if fault.errno is not None:
            raise
        return None  # "Configuration not set", which has no number


def _configurations(device: Any) -> list[Any]:
    try:
        return list(device)
    except usb.core.USBError:  # unplugged while being looked at
        return []


def _way_in(configuration: Any) -> Any:
    """A configuration's interface setting to print through, out of its descriptors; None if it is no printer."""
    fitting = [
        setting
        for setting in configuration
        if setting.bInterfaceClass == _PRINTER_CLASS
        and setting.bInterfaceProtocol in _PROTOCOLS
        and _endpoints(setting)[0] is not None
    ]
    return min(fitting, key=lambda setting: _PROTOCOLS.index(setting.bInterfaceProtocol), default=None)


def _endpoints(setting: Any) -> tuple[int | None, int | None]:
    """Addresses of the bulk endpoints of an interface setting: to the printer, and from it."""
    out = into = None
    for endpoint in setting:
        if usb.util.endpoint_type(endpoint.bmAttributes) != usb.util.ENDPOINT_TYPE_BULK:
            continue
        if usb.util.endpoint_direction(endpoint.bEndpointAddress) == usb.util.ENDPOINT_OUT:
            out = endpoint.bEndpointAddress if out is None else out
        else:
            into = endpoint.bEndpointAddress if into is None else into
    return out, into


def _text(device: Any, index: int) -> str:
    """A string descriptor in the device's first language; empty if it has none. Raises USBError if it may not be asked."""
    if not index:
        return ""
    try:
        languages = bytes(device.ctrl_transfer(0x80, 0x06, 0x0300, 0, 255, _CONTROL_MS))
        if len(languages) < 4:
            return ""
        text = usb.util.get_string(device, index, int.from_bytes(languages[2:4], "little"))
    except usb.core.USBError as fault:
        if fault.errno in (errno.EACCES, errno.EPERM):
            raise
        return ""  # it says no, or is gone
    except (UnicodeDecodeError, IndexError):
        return ""
    return str(text or "").rstrip("\0")


def _port_path(device: Any) -> str:
    return f"{device.bus}-{'.'.join(str(port) for port in device.port_numbers or (0,))}"


def _no_permission() -> TransportBroken:
    return TransportBroken(
        "this user may not use the printer: install labelsvc's udev rule and plug it in again",
        reason="no_permission",
    )


def _broken(fault: usb.core.USBError, sent: int) -> TransportBroken:
    if fault.errno in (errno.ENODEV, errno.ESHUTDOWN):
        return TransportBroken("the printer was unplugged", reason="unplugged", sent=sent)
    return TransportBroken(f"the connection broke ({_word(fault)})", reason="broken", sent=sent)


def _word(fault: usb.core.USBError) -> str:
    return errno.errorcode.get(fault.errno or 0, type(fault).__name__)
