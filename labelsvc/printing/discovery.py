"""Finds printers: on the USB bus as they are plugged in, and on the network by what they announce there.

Hides sysfs, netlink and multicast DNS. What is found is a proposal, kept in memory and never stored: a device's words are data,
a person adds the printer. No address is ever tried that nobody announced.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labelsvc.errors import Invalid, LabelsvcError
from labelsvc.languages import identity
from labelsvc.languages.identity import Identity
from labelsvc.log import get_logger
from labelsvc.printing.model import Proposal
from labelsvc.printing.printers import Printers
from labelsvc.printing.transports import parse_uri
from labelsvc.security import Actor, Right

log = get_logger("printing")

#: Raw printing on port 9100, and the queues of print servers (RFC 6763 names; Apple, Bonjour Printing 1.2.1).
SERVICES = ("_pdl-datastream._tcp.local.", "_ipp._tcp.local.")
_BUS = Path("/sys/bus/usb/devices")
_SETTLE_S = 0.3  # a device announces itself and its interfaces one after the other
_POLL_S = 1.0
_RESOLVE_MS = 3000


@dataclass(frozen=True)
class Found:
    """A printer that announced itself."""

    uri: str
    name: str
    identity: Identity
    said: tuple[str, ...]


class Discovery:
    """What is there to be added. ``network`` also listens to, and asks, the local network's multicast DNS."""

    def __init__(
        self,
        printers: Printers,
        *,
        usb: bool = True,
        network: bool = False,
        bus: Path = _BUS,
        interfaces: list[str] | None = None,
    ) -> None:
        self._printers = printers
        self._usb = _UsbBus(bus, printers.wake_usb) if usb else None
        self._network = _Network(interfaces) if network else None

    def start(self) -> None:
        """Look once, then watch in the background."""
        for watch in (self._usb, self._network):
            if watch is not None:
                watch.start()

    def stop(self) -> None:
        """End watching; harmless twice, and before ``start``."""
        for watch in (self._usb, self._network):
            if watch is not None:
                watch.stop()

    def look(self, seconds: float) -> None:
        """Watch for so long and end: for those who don't run all day."""
        self.start()
        threading.Event().wait(seconds)
        self.stop()

    def found(self, actor: Actor) -> list[Proposal]:
        """What is there now, by address; also printers that the store has, which ``added_as`` names."""
        actor.require(Right.MANAGE_PRINTERS)
        there = [*(self._usb.found() if self._usb else ()), *(self._network.found() if self._network else ())]
        return [
            self._printers.proposal(actor, each.uri, each.name, each.identity, each.said)
            for each in sorted(there, key=lambda each: each.uri)
        ]


def usb_printers(bus: Path = _BUS) -> list[Found]:
    """Printers on this machine's USB bus, as sysfs tells them; nothing is opened and no byte sent.

    A printer is told by its serial number, or by the port it hangs on where it has none or shares it with another.
    """
    devices = []
    for interface in sorted(bus.glob("*:*.*")) if bus.is_dir() else ():
        # Class 7 prints; protocol 4 is IPP over USB, which takes no printer language.
        if _read(interface / "bInterfaceClass") == "07" and _read(interface / "bInterfaceProtocol") != "04":
            device = bus / interface.name.partition(":")[0]
            ids = f"{_read(device / 'idVendor')}:{_read(device / 'idProduct')}"
            devices.append((device, ids, _read(device / "serial"), _read(interface / "ieee1284_id")))
    serials = Counter((ids, serial) for _, ids, serial, _ in devices)
    found = []
    for device, ids, serial, device_id in devices:
        unique = serial and serials[ids, serial] == 1
        uri = f"usb://{ids}/{quote(serial, safe='')}" if unique else f"usb://{ids}/@{device.name}"
        described = identity.described(_read(device / "manufacturer"), _read(device / "product"))
        known = identity.read_device_id(device_id).merged(described)
        # The kernel reads the device id only while its own driver has the printer.
        said = ("IEEE 1284",) if device_id else ("USB",)
        found += _usable(Found(uri, described.model or known.model, known, said))
    return found


def network_printer(service: str, host: str, port: int, told: Mapping[str, str]) -> Found | None:
    """The printer that a service at ``host`` announces with these TXT records; None if none that we can print to.

    Source of the keys: Apple, Bonjour Printing Specification 1.2.1, 9.2.
    """
    if service == SERVICES[0]:
        uri = f"tcp://{f'[{host}]' if ':' in host else host}:{port}"
    else:
        queue = told.get("rp", "").partition("printers/")[2]
        if not queue:  # a printer's own IPP takes no printer language
            return None
        uri = f"cups://{f'[{host}]' if ':' in host else host}:{port}/{quote(queue, safe='')}"
    named = identity.described(told.get("usb_MFG", ""), told.get("usb_MDL", ""))
    kind = identity.described("", told.get("ty", "") or told.get("product", "").strip("()"))
    spoken = identity.spoken(told.get("usb_CMD", ""))
    known = Identity(named.maker, named.model, spoken, named.dpi).merged(kind)
    return next(iter(_usable(Found(uri, kind.model or known.model, known, ("mDNS",)))), None)


def _usable(found: Found) -> list[Found]:
    """It, unless its address is none that we can print to."""
    try:
        parse_uri(found.uri)
    except Invalid:
        return []
    return [found]


def _read(file: Path) -> str:
    """A line of sysfs; empty where there is none, also while the device is going."""
    try:
        return file.read_bytes()[:1024].decode("utf-8", "replace").strip()
    except OSError:
        return ""


class _UsbBus:
    """The printers on the bus; read anew whenever the kernel tells that something was plugged in or out."""

    def __init__(self, bus: Path, changed: Callable[[], None]) -> None:
        self._bus = bus
        self._changed = changed
        self._found: dict[str, Found] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usb bus", daemon=True)

    def start(self) -> None:
        self._look_whatever_happens()
        self._thread.start()

    def stop(self) -> None:
        """The thread ends within a second; nobody need wait for it, it only reads."""
        self._stopping.set()

    def found(self) -> Iterable[Found]:
        return self._found.values()

    def look(self) -> None:
        """Read the bus; whoever waits for a printer on it looks too, if anything came or went."""
        now = {each.uri: each for each in usb_printers(self._bus)}
        before, self._found = self._found, now
        for uri in now.keys() ^ before.keys():
            log.info("printer.plugged" if uri in now else "printer.unplugged", uri=uri)
        if now.keys() != before.keys():
            self._changed()

    def _look_whatever_happens(self) -> None:
        try:
            self.look()
        except (
            LabelsvcError
        ) as error:  # the books are away; whoever waits for a printer tries it again anyway
            log.warning("discovery.failed", code=error.code)

    def _watch(self) -> None:
        monitor = _monitor()
        while monitor is not None and not self._stopping.is_set():
            if monitor.poll(_POLL_S) is None:
                continue
            while not self._stopping.is_set() and monitor.poll(_SETTLE_S) is not None:
                pass
            self._look_whatever_happens()


def _monitor() -> Any:
    """What the kernel tells of USB, after udev set the device's permissions where it runs; None where nothing tells."""
    if sys.platform != "linux":
        return None
    try:
        import pyudev

        source = "udev" if Path("/run/udev/control").exists() else "kernel"
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)
        monitor.filter_by("usb")
        monitor.start()
    except (ImportError, OSError) as error:
        log.warning("discovery.no_hotplug", reason=type(error).__name__)
        return None
    return monitor


class _Network:
    """The printers that announce themselves on the local network."""

    def __init__(self, interfaces: list[str] | None) -> None:
        self._interfaces = interfaces
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Found] = {}
        self._zeroconf: Any = None

    def start(self) -> None:
        from zeroconf import InterfaceChoice, ServiceBrowser, Zeroconf

        try:
            # A loop of its own: that of a thread that happens to run one may stand still when we wait for it.
            self._zeroconf = Zeroconf(
                interfaces=self._interfaces or InterfaceChoice.Default, use_asyncio=False
            )
        except OSError as error:
            log.warning("discovery.no_network", reason=type(error).__name__)
            return
        ServiceBrowser(self._zeroconf, list(SERVICES), handlers=[self._told])

    def stop(self) -> None:
        if self._zeroconf is not None:
            self._zeroconf.close()
            self._zeroconf = None

    def found(self) -> Iterable[Found]:
        """One a printer, also where it announces several services."""
        with self._lock:
            return list({each.uri: each for each in self._found.values()}.values())

    def _told(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        """A service came, changed, said goodbye or ran out; called by the browser, in its thread."""
        found = None
        if state_change.name != "Removed":
            with suppress(OSError):
                found = self._resolved(zeroconf, service_type, name)
        with self._lock:
            if found is None:
                self._found.pop((service_type, name), None)
            else:
                self._found[service_type, name] = found

    def _resolved(self, zeroconf: Any, service: str, name: str) -> Found | None:
        info = zeroconf.get_service_info(service, name, _RESOLVE_MS)
        addresses = sorted(info.parsed_addresses(), key=lambda each: ":" in each) if info is not None else []
        if not addresses or not info.port:
            return None
        told = {
            key.decode("utf-8", "replace"): (value or b"").decode("utf-8", "replace")
            for key, value in info.properties.items()
        }
        return network_printer(service, addresses[0], info.port, told)
