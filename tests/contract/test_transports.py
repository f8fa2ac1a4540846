"""What every transport must do, tried on real sockets, terminals and directories, and on USB up to the host's own library."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cupsd import HINDRANCE, Cupsd, cupsd
from support.programs import VirtualPrinter, virtual_printer
from support.usb_backend import Bus, Plug, Setting

from labelsvc.errors import Invalid
from labelsvc.printing.model import Printer
from labelsvc.printing.profiles import Profiles
from labelsvc.printing.rendering import target
from labelsvc.printing.transports import TRANSPORTS, Transport, TransportBroken, is_slow, parse_uri, usb
from labelsvc.printing.transports.tcp import Tcp

LABEL = b"^XA^FO8,8^FDone label^FS^XZ"
BIG = b"^XA^FX" + b"x" * (8 << 20) + b"^FS^XZ"  # more than the buffers at both ends hold
#: The ways over which a printer answers, each to the same virtual printer.
WIRES = ("tcp", "usb", "serial")
USB_ID = "1209:2303"
NO_FAULTS = {
    "accept_never_read": False,
    "unplugged": False,
    "silent": False,
    "paper_out": False,
    "usb_serial": None,
    "die_after_bytes": None,
    "bytes_per_s": None,
}


@dataclass
class Way:
    """A transport's URI, and what is at its other end."""

    uri: str
    kind: str
    printer: VirtualPrinter

    @property
    def transport(self) -> Transport:
        return parse_uri(self.uri)

    def patient_for(self, stall_s: float) -> Transport:
        return replace(self.transport, stall_s=stall_s)

    def labels(self, count: int) -> list[bytes]:
        """The bytes of the labels that came out, once there are so many."""
        end = time.monotonic() + 10
        while len(found := self.printer.labels()) < count and time.monotonic() < end:
            time.sleep(0.01)
        return [path.read_bytes() for path in found]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Two printers of the same kind: the first is on all three wires, the second on USB."""
    folder = tmp_path_factory.mktemp("printers")
    with (
        virtual_printer(
            folder / "1", usb=folder / "usb1", pty=folder / "pty", serial="A/1", usb_id=USB_ID
        ) as one,
        virtual_printer(folder / "2", usb=folder / "usb2", serial="B 2", usb_id=USB_ID) as two,
    ):
        yield one, two


@pytest.fixture
def bus(street):
    """The USB that both hang on."""
    with Bus([Plug(each.usb) for each in street]).installed() as found:
        yield found


@pytest.fixture
def printer(street):
    """The first one, without faults and with an empty tray; afterwards too."""
    yield from _fresh(street[0])


@pytest.fixture
def second(street):
    """The other one."""
    yield from _fresh(street[1])


def _fresh(printer: VirtualPrinter):
    for label in printer.labels():
        label.unlink()
    yield printer
    printer.faults(**NO_FAULTS)
    printer.reset()


@pytest.fixture(params=WIRES)
def way(request, printer, bus):
    """A wire to the first printer."""
    uris = {
        "tcp": f"tcp://127.0.0.1:{printer.port}",
        "usb": "usb://1209:2303/A%2F1",
        "serial": f"serial://{printer.pty}?baud=115200",
    }
    return Way(uris[request.param], request.param, printer)


class Peer:
    """A listening socket on loopback, whose connections a test's function serves."""

    def __init__(self, serve) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._serve = serve
        self.connections = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self.connections.append(peer)
                with contextlib.suppress(OSError):
                    self._serve(peer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.connections:
            peer.close()
        self._thread.join(5)


@pytest.fixture
def peer_of():
    """Start a peer for the test, end it afterwards."""
    peers = []

    def start(serve) -> Peer:
        peers.append(Peer(serve))
        return peers[-1]

    yield start
    for peer in peers:
        peer.close()


def test_every_transport_is_in_the_suite():
    """A transport that is added to the table must be added to this suite."""
    assert set(TRANSPORTS) == {*WIRES, "cups", "file"}


# ------------------------------------------------------------ every wire


def test_bytes_arrive_whole_and_in_order(way: Way):
    """Two labels written and flushed arrive byte for byte, in order; closing twice is harmless."""
    link = way.transport.connect()
    link.write(LABEL, "a-1.zpl")
    link.write(LABEL.replace(b"one", b"two"), "b-1.zpl")
    link.flush()
    link.close()
    link.close()
    assert way.labels(2) == [LABEL, LABEL.replace(b"one", b"two")]


def test_what_a_printer_says_is_read(way: Way):
    """A query's answer is read; with nothing more to come reading gives nothing after the time-out."""
    link = way.transport.connect()
    link.write(b"~HS", "")
    found = b""
    while found.count(b"\x03") < 3:
        more = link.read(5)
        assert more
        found += more
    assert found.startswith(b"\x02")
    assert link.read(0) == link.read(0.02) == b""
    link.close()


def test_a_printer_that_is_not_there_breaks_with_nothing_sent(way: Way):
    """Connecting to a printer that is unplugged raises TransportBroken unreachable; plugged in again it is found anew (P8)."""
    way.printer.faults(unplugged=True)
    with pytest.raises(TransportBroken) as fault:
        way.transport.connect()
    assert (fault.value.reason, fault.value.sent) == ("unreachable", 0)
    way.printer.faults(unplugged=False)
    link = way.transport.connect()
    link.write(LABEL, "")
    link.flush()
    link.close()
    assert way.labels(1) == [LABEL]


def test_a_printer_that_left_before_the_first_byte_got_none(way: Way):
    """Writing to a kept link whose printer is gone raises TransportBroken with sent 0, and nothing left (P7)."""
    link = way.transport.connect()
    way.printer.faults(unplugged=True)
    with pytest.raises(TransportBroken) as fault:
        link.write(LABEL, "")
    assert fault.value.sent == 0
    link.close()


def test_a_wire_cut_in_the_middle_says_how_many_bytes_may_have_left(way: Way):
    """Cut at byte 20,000 the write breaks, and never says fewer than the printer got (P7)."""
    before = way.printer.state()["bytes_received"]
    way.printer.faults(die_after_bytes=20_000)
    link = way.transport.connect()
    with pytest.raises(TransportBroken) as fault:
        link.write(BIG, "")
    assert way.printer.state()["bytes_received"] - before == 20_000 <= fault.value.sent < len(BIG)
    link.close()


def test_a_short_label_cut_after_the_write_breaks_afterwards(way: Way):
    """Bytes that fit into what lies between are written without fault; that the printer died is told afterwards (P7)."""
    way.printer.faults(die_after_bytes=10)
    link = way.transport.connect()
    with pytest.raises(TransportBroken):
        link.write(LABEL, "")
        while True:
            link.flush()
            link.read(0.05)
    link.close()


def test_a_printer_that_never_reads_is_told(way: Way):
    """A write that moves no byte for stall_s breaks with what was handed over so far (P7)."""
    way.printer.faults(accept_never_read=True)
    link = way.patient_for(0.3).connect()
    with pytest.raises(TransportBroken) as fault:
        link.write(BIG, "")
    assert fault.value.reason == "stalled"
    assert 0 < fault.value.sent < len(BIG)
    link.close()


def test_a_slow_printer_is_not_a_dead_one(way: Way):
    """One that goes on reading slowly, slower in all than stall_s, gets every byte (P7)."""
    label = b"^XA^FO8,8^FD" + bytes(range(65, 91)) * 13_500 + b"^FS^XZ"
    way.printer.faults(bytes_per_s=400_000)
    link = way.patient_for(0.5).connect()
    link.write(label, "")
    link.flush()
    link.close()
    assert way.labels(1) == [label]


def test_aborting_ends_a_write_in_another_thread_and_discards_the_rest(way: Way):
    """After an abort the blocked write raises, and the printer gets no more than the write says may have left (P7)."""
    before = way.printer.state()["bytes_received"]
    way.printer.faults(accept_never_read=True)
    link = way.transport.connect()
    broken = []

    def write() -> None:
        try:
            link.write(BIG, "")
        except TransportBroken as fault:
            broken.append(fault)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.1)
    link.abort()
    writer.join(5)
    way.printer.faults(accept_never_read=False)
    time.sleep(0.05)
    assert broken[0].sent < len(BIG)
    assert way.printer.state()["bytes_received"] - before <= broken[0].sent
    with pytest.raises(TransportBroken):
        link.write(LABEL, "")
    link.close()


def test_nothing_is_written_without_leave(way: Way):
    """P7: a link whose leave was taken away writes nothing, and says that surely nothing left (a lease that ran out)."""
    link = way.transport.connect()
    link.write(LABEL, "a-1.zpl")
    link.flush()
    link.may_go = lambda: False
    with pytest.raises(TransportBroken) as fault:
        link.write(LABEL, "b-1.zpl")
    assert (fault.value.reason, fault.value.sent) == ("lease_lost", 0)
    link.close()
    assert way.labels(1) == [LABEL]
    assert way.printer.state()["partial"] is False


def test_leave_taken_in_the_middle_of_a_write_ends_it(way: Way):
    """P7: leave is asked for before each piece; once it is gone the rest, also of this machine's buffer, never leaves."""
    before = way.printer.state()["bytes_received"]
    way.printer.faults(accept_never_read=True)
    taken = threading.Event()
    link = way.transport.connect()
    link.may_go = lambda: not taken.is_set()
    threading.Timer(0.1, taken.set).start()
    with pytest.raises(TransportBroken) as fault:
        link.write(BIG, "")
    assert fault.value.reason == "lease_lost"
    assert 0 < fault.value.sent < len(BIG)
    way.printer.faults(accept_never_read=False)
    time.sleep(0.05)
    assert way.printer.state()["bytes_received"] - before <= fault.value.sent
    link.close()


# ------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "printer",
        "tcp://",
        "tcp://host",
        "tcp://host:0",
        "tcp://host:99999",
        "tcp://host:9100/queue",
        "tcp://user@host:9100",
        "tcp://host:9100?x=1",
        "tcp://a b:9100",
        "file://host/dir",
        "file:relative",
        "file:///no/such/directory",
        "file:///tmp/../etc",
        "usb://1:2",
        "usb://0a5f:0166:1/X",
        "usb://0a5f:0166/@1",
        "usb://0a5f:0166/@1-2/3",
        "usb://0a5f:0166/X?a=1",
        "usb:///dev/bus/usb/001/002",
        "serial://dev/ttyS0",
        "serial:///",
        "serial:///dev/../etc",
        "serial:///dev/ttyS0?baud=fast",
        "serial:///dev/ttyS0?baud=9600&baud=9600",
        "serial:///dev/ttyS0?flow=dtrdsr",
        "serial:///dev/ttyS0?parity=mark",
        "serial:///dev/ttyS0?color=red",
        "serial:///dev/ttyS0?baud",
        "cups://",
        "cups:///queue",
        "cups://host:x/queue",
        "cups://host/a/b",
        "cups://user@host/queue",
        "cups://queue?raw=1",
        "http://127.0.0.1:80",
        "tcp://host:9100\n",
        "x" * 400,
        "tcp://[::1:9100",
    ],
)
def test_a_wrong_uri_names_the_field(uri: str):
    """A URI that names no transport, or one wrongly, is Invalid on field uri."""
    with pytest.raises(Invalid) as fault:
        parse_uri(uri)
    assert [error.field for error in fault.value.errors] == ["uri"]


def test_a_way_says_what_it_is(tmp_path: Path):
    """Whether a printer answers, hangs on this machine, and is slow: by its URI alone."""
    said = {
        uri: (parse_uri(uri).answers, parse_uri(uri).local, is_slow(uri))
        for uri in ("tcp://10.0.0.9:9100", "usb://0a5f:0166/X", "serial:///dev/ttyS0", f"file://{tmp_path}")
    }
    assert list(said.values()) == [
        (True, False, False),
        (True, True, False),
        (True, True, True),
        (False, True, False),
    ]
    assert not is_slow("browser:")
    printer = Printer("1", "1", "bench", "serial:///dev/ttyS0", "zpl-generic-203", 203, datetime.now(UTC))
    profile = Profiles().get(printer.profile)
    assert target(printer, profile).slow_link
    assert not target(replace(printer, uri="tcp://10.0.0.9:9100"), profile).slow_link


# ------------------------------------------------------------ USB


def test_equal_printers_are_told_apart_by_serial_number(
    bus: Bus, printer: VirtualPrinter, second: VirtualPrinter
):
    """Each address reaches its own printer; one that fits both is refused, and so is a serial number that both have (P7)."""
    for uri, where in (("usb://1209:2303/B%202", second), ("usb://1209:2303/@1-1", printer)):
        link = parse_uri(uri).connect()
        link.write(LABEL, "")
        link.close()
        assert Way(uri, "usb", where).labels(1) == [LABEL]
    second.faults(unplugged=True)
    second.faults(unplugged=False, usb_serial="A/1")
    for uri in ("usb://1209:2303", "usb://1209:2303/A%2F1"):
        with pytest.raises(TransportBroken) as fault:
            parse_uri(uri).connect()
        assert (fault.value.reason, fault.value.sent) == ("ambiguous", 0)
    assert [each.uri for each in usb.attached()] == ["usb://1209:2303/@1-1", "usb://1209:2303/@1-2"]
    second.faults(unplugged=True)
    second.faults(unplugged=False, usb_serial=None)


def test_printers_on_usb_are_listed(bus: Bus, street):
    """Discovery gets ids, serial number, port, maker and model, and an address that finds each again."""
    bus.plugs[1].ports = (4, 2)
    found = usb.attached()
    assert [(each.vendor, each.product, each.serial, each.port_path) for each in found] == [
        (0x1209, 0x2303, "A/1", "1-1"),
        (0x1209, 0x2303, "B 2", "1-4.2"),
    ]
    assert all(each.manufacturer and each.model for each in found)
    for each in found:
        parse_uri(each.uri).connect().close()
    bus.plugs[0].permitted = False
    unasked = usb.attached()[0]
    assert (unasked.permitted, unasked.serial, unasked.uri) == (False, "", "usb://1209:2303/@1-1")


def test_the_kernels_driver_gets_the_printer_back(bus: Bus, printer: VirtualPrinter):
    """usblp is detached at open and given back at close; nothing is reset, and what is configured stays so."""
    plug = bus.plugs[0]
    plug.kernel_driver = True
    link = parse_uri("usb://1209:2303/A%2F1").connect()
    assert plug.said == ["detach", "claim 0"]
    link.close()
    assert plug.said == ["detach", "claim 0", "release 0", "attach"]
    plug.configuration = 0
    parse_uri("usb://1209:2303/A%2F1").connect().close()
    assert plug.said[4:] == ["configure", "detach", "claim 0", "release 0", "attach"]


def test_a_printer_that_another_holds_is_busy_and_a_forbidden_one_says_the_remedy(
    bus: Bus, printer: VirtualPrinter
):
    """Two programs can't have it at once; without permission the udev rule is named: nothing is sent in either case."""
    held = parse_uri("usb://1209:2303/A%2F1").connect()
    with pytest.raises(TransportBroken) as busy:
        parse_uri("usb://1209:2303/A%2F1").connect()
    held.close()
    parse_uri("usb://1209:2303/A%2F1").connect().close()
    assert (busy.value.reason, busy.value.sent) == ("busy", 0)
    bus.plugs[0].permitted = bus.plugs[1].permitted = False
    for uri in ("usb://1209:2303/A%2F1", "usb://1209:2303/@1-1"):
        with pytest.raises(TransportBroken) as forbidden:
            parse_uri(uri).connect()
        assert (forbidden.value.reason, forbidden.value.sent) == ("no_permission", 0)
        assert "udev" in forbidden.value.detail


def test_the_printing_interface_is_read_from_the_descriptors(bus: Bus, printer: VirtualPrinter):
    """Of a device's interfaces the one of the printer class with answers is taken; a device that prints nothing is none."""
    plug = bus.plugs[0]
    storage = Setting(0, 0, 80, (0x03, 0x84), interface_class=8)
    plug.settings = (
        storage,
        Setting(1, 0, 4, (0x05, 0x86)),  # IPP over USB
        Setting(2, 0, 1, (0x07,)),
        Setting(2, 1, 2, (0x88, 0x09)),
    )
    link = parse_uri("usb://1209:2303/@1-1").connect()
    assert plug.said == ["claim 2", "alternate 2 1"]
    link.write(LABEL + b"~HS", "")
    assert link.read(5).startswith(b"\x02")
    assert link.device_id().startswith("MFG:")
    link.close()
    assert plug.said[2:] == ["release 2"]  # not interface 1, the low byte of what GET_DEVICE_ID asks for
    plug.settings = (Setting(0, 0, 1, (0x07,)),)
    silent = parse_uri("usb://1209:2303/@1-1").connect()
    assert silent.read(0.01) == b""
    silent.close()
    plug.settings = (storage,)
    with pytest.raises(TransportBroken) as fault:
        parse_uri("usb://1209:2303/@1-1").connect()
    assert fault.value.reason == "unreachable"
    assert len(usb.attached()) == 1


def test_the_class_requests_of_usb_are_answered(bus: Bus, printer: VirtualPrinter):
    """The IEEE 1284 id, and the port status with its paper bit; after the printer left they break."""
    link = parse_uri("usb://1209:2303/A%2F1").connect()
    assert "CMD:" in link.device_id() or "COMMAND SET:" in link.device_id()
    assert link.port_status() & 0x38 == 0x18
    printer.faults(paper_out=True)
    assert link.port_status() & 0x20
    printer.faults(unplugged=True)
    for ask in (link.device_id, link.port_status):
        with pytest.raises(TransportBroken) as fault:
            ask()
        assert fault.value.reason == "unplugged"
    link.close()


def test_a_halted_endpoint_is_told_and_healed_for_the_next(bus: Bus, printer: VirtualPrinter):
    """A device that refuses the first transfer may have taken some of it; the next connection works (P7)."""
    link = parse_uri("usb://1209:2303/A%2F1").connect()
    bus.plugs[0].halted = True
    with pytest.raises(TransportBroken) as fault:
        link.write(LABEL, "")
    assert (fault.value.reason, fault.value.sent) == ("broken", len(LABEL))
    link.close()
    again = parse_uri("usb://1209:2303/A%2F1").connect()
    again.write(LABEL, "")
    again.close()
    assert Way("", "usb", printer).labels(1) == [LABEL]


def test_libusb_is_there_and_its_absence_is_told(monkeypatch: pytest.MonkeyPatch):
    """This machine's libusb, or the one that comes along, lists what is there; without any the reason is named."""
    assert isinstance(usb.attached(), list)
    monkeypatch.setattr(usb, "backend", lambda: None)
    with pytest.raises(TransportBroken) as fault:
        parse_uri("usb://1209:2303").connect()
    assert "libusb" in fault.value.detail


# ------------------------------------------------------------ serial


@pytest.fixture
def terminal():
    """A pseudo-terminal: our end, and the name of the other."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_flow_control_holds_the_line(terminal):
    """After XOFF no byte comes and the write stalls, bounded; after XON the next one arrives (P7)."""
    ours, name = terminal
    link = replace(parse_uri(f"serial://{name}?flow=xonxoff"), stall_s=0.3).connect()
    os.write(ours, b"\x13")
    with pytest.raises(TransportBroken) as fault:
        link.write(LABEL, "")
    assert (fault.value.reason, fault.value.sent) == ("stalled", 0)
    with pytest.raises(BlockingIOError):
        os.read(ours, 100)
    link = parse_uri(f"serial://{name}?flow=xonxoff").connect()
    os.write(ours, b"\x11")
    link.write(LABEL, "")
    link.flush()
    link.close()
    assert os.read(ours, 100) == LABEL


def test_a_lines_settings_are_obeyed(terminal):
    """Speed, stop bits and flow control of the URI stand in the terminal; the default holds the line by its wires."""
    _, name = terminal
    said = {}
    for query in ("", "?flow=none&baud=115200&stop=2", "?flow=xonxoff"):
        link = parse_uri(f"serial://{name}{query}").connect()
        look = os.open(name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        iflag, oflag, cflag, lflag, speed, *_ = termios.tcgetattr(look)
        os.close(look)
        link.close()
        assert not oflag & termios.OPOST and not lflag & (termios.ICANON | termios.ECHO)
        flags = (cflag & termios.CRTSCTS, iflag & termios.IXON, cflag & termios.CSTOPB)
        said[query] = (speed, *map(bool, flags))
    assert list(said.values()) == [
        (termios.B9600, True, False, False),
        (termios.B115200, False, False, True),
        (termios.B9600, False, True, False),
    ]


def test_a_port_belongs_to_one(terminal, tmp_path: Path):
    """A second opening is refused as busy; what is no serial port says so."""
    _, name = terminal
    held = parse_uri(f"serial://{name}").connect()
    with pytest.raises(TransportBroken) as busy:
        parse_uri(f"serial://{name}").connect()
    held.close()
    parse_uri(f"serial://{name}").connect().close()
    assert busy.value.reason == "busy"
    (tmp_path / "file").touch()
    with pytest.raises(TransportBroken) as fault:
        parse_uri(f"serial://{tmp_path / 'file'}").connect()
    assert fault.value.reason == "unreachable"


# ------------------------------------------------------------ TCP


def test_a_machine_that_is_gone_without_a_word_is_found_out(peer_of):
    """A half-open connection, whose other end acknowledges nothing any more: flush and read break within stall_s (P7)."""
    deaf = threading.Semaphore(0)

    def serve(peer: socket.socket) -> None:
        drop_everything(peer)
        deaf.release()

    port = peer_of(serve).port
    for wait in (lambda link: link.flush(), lambda link: link.read(20)):
        link = Tcp("127.0.0.1", port, stall_s=0.5).connect()
        assert deaf.acquire(timeout=5)
        link.write(LABEL, "")
        with pytest.raises(TransportBroken) as fault:
            wait(link)
        assert fault.value.reason in ("stalled", "broken")


def drop_everything(peer: socket.socket) -> None:
    """The kernel hands this connection no packet from now on: as if its machine had lost its power."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes
    peer.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))


def test_a_half_open_peer_answers_and_closes(peer_of):
    """What a peer said before it closed is still read; after that reading breaks."""

    def serve(peer: socket.socket) -> None:
        peer.sendall(b"\x02status")
        peer.shutdown(socket.SHUT_WR)

    link = parse_uri(f"tcp://127.0.0.1:{peer_of(serve).port}").connect()
    assert link.read(5) == b"\x02status"
    with pytest.raises(TransportBroken) as fault:
        link.read(5)
    assert fault.value.reason == "closed"


# ------------------------------------------------------------ CUPS


@pytest.fixture(scope="module")
def cups(street):
    """A real CUPS whose raw queue leads to the first printer."""
    if HINDRANCE:
        pytest.skip(HINDRANCE)
    with cupsd({"raw": f"socket://127.0.0.1:{street[0].port}/?waiteof=false"}) as running:
        yield running


def test_a_job_goes_through_cups_byte_for_byte(cups: Cupsd, printer: VirtualPrinter):
    """Written, flushed once CUPS calls the job completed, and at the printer as it was; nothing is ever read back (P5)."""
    way = Way(cups.uri("raw"), "cups", printer)
    assert (way.transport.answers, way.transport.local) == (False, True)
    link = way.transport.connect()
    labels = [LABEL.replace(b"one", bytes([value]) * 3) for value in (0xE9, 0x7F, 0x01)]
    for number, label in enumerate(labels):
        link.write(label, f"{number}.zpl")
        link.flush()
    assert link.read(0.01) == b""
    link.close()
    link.close()
    assert way.labels(3) == labels


def test_a_queue_that_is_not_there_or_takes_nothing_breaks_with_nothing_sent(
    cups: Cupsd, printer: VirtualPrinter, monkeypatch: pytest.MonkeyPatch
):
    """An unknown queue, a stopped or rejecting one, and a CUPS that isn't there: each reason is told before a byte leaves (P7)."""
    link = parse_uri(cups.uri("raw")).connect()
    told = {}
    for name, before, after in (
        ("stopped", "cupsdisable", "cupsenable"),
        ("rejecting", "cupsreject", "cupsaccept"),
    ):
        subprocess.run([before, "-h", cups.server, "raw"], check=True)
        with pytest.raises(TransportBroken) as fault:
            link.write(LABEL, "")
        told[name] = (fault.value.reason, fault.value.sent)
        subprocess.run([after, "-h", cups.server, "raw"], check=True)
    monkeypatch.setenv("CUPS_SERVER", cups.server)
    parse_uri("cups://raw").connect().close()
    monkeypatch.setenv("CUPS_SERVER", str(cups.folder / "cups.sock"))
    parse_uri("cups://raw").connect().close()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    for name, uri in (("unknown", "cups://other"), ("no server", f"cups://127.0.0.1:{nobody}/raw")):
        with pytest.raises(TransportBroken) as fault:
            parse_uri(uri).connect()
        told[name] = (fault.value.reason, fault.value.sent)
    assert told == {
        "stopped": ("paused", 0),
        "rejecting": ("not_accepting", 0),
        "unknown": ("unreachable", 0),
        "no server": ("unreachable", 0),
    }
    assert printer.labels() == []


def test_a_job_that_stands_still_in_cups_is_cancelled_there(cups: Cupsd, printer: VirtualPrinter):
    """When the printer takes nothing the job stalls, bounded, and never comes out after a person answered for it (P7)."""
    way = Way(cups.uri("raw"), "cups", printer)
    printer.faults(accept_never_read=True)
    label = b"^XA^FO8,8^FD" + b"x" * (8 << 20) + b"^FS^XZ"  # more than the backend can hand to the kernel
    link = way.patient_for(0.5).connect()
    link.write(label, "a-1.zpl")
    with pytest.raises(TransportBroken) as fault:
        link.flush()
    assert fault.value.reason == "stalled"
    printer.reset()
    printer.faults(accept_never_read=False)
    again = parse_uri(cups.uri("raw")).connect()
    again.write(LABEL, "b-1.zpl")
    again.flush()
    assert way.labels(1) == [LABEL]


def test_what_is_no_cups_is_told(peer_of):
    """An HTTP server that isn't CUPS, one that babbles and one that hangs up: broken or unreachable, nothing sent (P7)."""
    said = {}
    for name, answer in (
        ("web", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        (
            "babble",
            b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n\x02\x00\x00\x00\x00\x00\x00\x01\x04\x42\xff\xff",
        ),
        ("closed", b""),
    ):

        def serve(peer: socket.socket, answer: bytes = answer) -> None:
            peer.recv(65536)
            peer.sendall(answer)
            peer.close()

        with pytest.raises(TransportBroken) as fault:
            parse_uri(f"cups://127.0.0.1:{peer_of(serve).port}/raw").connect()
        said[name] = (fault.value.reason, fault.value.sent)
    assert said == {"web": ("refused", 0), "babble": ("broken", 0), "closed": ("unreachable", 0)}


# ------------------------------------------------------------ a directory


def test_files_arrive_whole_and_in_order(tmp_path: Path):
    """Two labels are two files, byte for byte; a directory says nothing; without leave, or when it is gone, nothing is sent (P7)."""
    transport = parse_uri(f"file://{tmp_path}")
    link = transport.connect()
    link.write(LABEL, "a-1.zpl")
    link.write(LABEL * 3, "b-1.zpl")
    link.flush()
    assert link.read(0.02) == b""
    link.may_go = lambda: False
    with pytest.raises(TransportBroken) as lost:
        link.write(LABEL, "c-1.zpl")
    assert (lost.value.reason, lost.value.sent) == ("lease_lost", 0)
    link.close()
    link.close()
    assert [path.read_bytes() for path in sorted(tmp_path.glob("*.zpl"))] == [LABEL, LABEL * 3]
    for path in tmp_path.glob("*.zpl"):
        path.unlink()
    tmp_path.rmdir()
    with pytest.raises(TransportBroken) as fault:
        transport.connect()
    assert (fault.value.reason, fault.value.sent) == ("unreachable", 0)


def test_a_file_is_whole_or_not_there(tmp_path: Path):
    """When the directory can't take the file, nothing is left in it, and surely nothing was sent."""
    tray = tmp_path / "tray"
    tray.mkdir()
    link = parse_uri(f"file://{tray}").connect()
    (tray / "a-1.zpl").mkdir()  # the rename must fail
    with pytest.raises(TransportBroken):
        link.write(LABEL, "a-1.zpl")
    assert sorted(path.name for path in tray.iterdir()) == ["a-1.zpl"]
    with pytest.raises(ValueError):
        link.write(LABEL, "../escape.zpl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tray"]


def test_threads_that_come_first_at_once_load_libusb_once():
    """Each printer has a thread, and all look for theirs when the service starts; pyusb by itself would crash the process (P7)."""
    told = subprocess.run([sys.executable, "-c", FIRST_AT_ONCE], capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stdout) == (0, "1\n"), told.stderr


FIRST_AT_ONCE = """
import threading, time
from usb.backend import libusb1
from labelsvc.printing.transports import usb
declare, loads = libusb1._setup_prototypes, []
def slowly(library):
    loads.append(library)
    time.sleep(0.5)
    declare(library)
libusb1._setup_prototypes = slowly
threads = [threading.Thread(target=usb.backend) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
print(len(loads))
"""
