"""What every transport must do, tried on real sockets and real directories."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from labelsvc.errors import Invalid
from labelsvc.printing.transports import TRANSPORTS, TransportBroken, parse_uri
from labelsvc.printing.transports.tcp import Tcp

LABEL = b"^XA^FO8,8^FDone label^FS^XZ"
BIG = b"x" * (8 << 20)  # more than the kernels' buffers at both ends hold


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


def reset(peer: socket.socket) -> None:
    """Close with a reset, as a printer does that loses power behind a switch."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class Collected:
    """Bytes that arrived at a peer."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = threading.Event()

    def __call__(self, peer: socket.socket) -> None:
        try:
            while found := peer.recv(65536):
                self.data += found
        finally:
            self.ended.set()


@pytest.fixture(params=["tcp", "file"])
def way(request, tmp_path: Path, peer_of):
    """A transport's URI, and a function that answers what has arrived once the link is closed."""
    if request.param == "file":
        return f"file://{tmp_path}", lambda: b"".join(
            path.read_bytes() for path in sorted(tmp_path.glob("*.zpl"))
        )
    collected = Collected()
    peer = peer_of(collected)

    def arrived() -> bytes:
        assert collected.ended.wait(5)
        return collected.data

    return f"tcp://127.0.0.1:{peer.port}", arrived


def test_every_transport_is_in_the_suite():
    """A transport that is added to the table must be added to this suite."""
    assert set(TRANSPORTS) == {"tcp", "file"}


def test_bytes_arrive_whole_and_in_order(way):
    """Two labels written and flushed arrive byte for byte, in order."""
    uri, arrived = way
    link = parse_uri(uri).connect()
    link.write(LABEL, "a-1.zpl")
    link.write(LABEL * 3, "b-1.zpl")
    link.flush()
    link.close()
    link.close()
    assert arrived() == LABEL * 4


def test_a_way_that_is_not_there_breaks_with_nothing_sent(tmp_path: Path):
    """Connecting to an absent peer or directory raises TransportBroken with sent 0."""
    gone = tmp_path / "gone"
    gone.mkdir()
    directory = parse_uri(f"file://{gone}")
    gone.rmdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for transport in (directory, parse_uri(f"tcp://127.0.0.1:{port}")):
        with pytest.raises(TransportBroken) as fault:
            transport.connect()
        assert (fault.value.reason, fault.value.sent) == ("unreachable", 0)


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


def test_a_peer_that_closed_before_the_first_byte_got_none(peer_of):
    """Writing to a kept connection that the printer has closed raises TransportBroken with sent 0, and nothing left."""
    closed = threading.Event()

    def serve(peer: socket.socket) -> None:
        peer.close()
        closed.set()

    link = parse_uri(f"tcp://127.0.0.1:{peer_of(serve).port}").connect()
    assert closed.wait(5)
    time.sleep(0.05)
    with pytest.raises(TransportBroken) as fault:
        link.write(LABEL, "")
    assert fault.value.sent == 0


def test_a_connection_cut_in_the_middle_says_that_bytes_left(peer_of):
    """A peer that resets after N bytes makes the write, or the flush after it, break; the write says how many left."""

    def serve(peer: socket.socket) -> None:
        peer.recv(1000)
        reset(peer)

    link = parse_uri(f"tcp://127.0.0.1:{peer_of(serve).port}").connect()
    with pytest.raises(TransportBroken) as fault:
        link.write(BIG, "")
    assert 0 < fault.value.sent < len(BIG)


def test_a_short_label_cut_after_the_write_breaks_in_flush_or_read(peer_of):
    """Bytes that fit the kernel's buffer are written without fault; that the peer died is told afterwards."""

    def serve(peer: socket.socket) -> None:
        peer.recv(1)
        reset(peer)

    link = parse_uri(f"tcp://127.0.0.1:{peer_of(serve).port}").connect()
    with pytest.raises(TransportBroken):
        link.write(LABEL, "")
        while True:
            link.flush()
            link.read(0.05)


def test_a_peer_that_accepts_and_never_reads_is_told(peer_of):
    """A write that moves no byte for stall_s breaks with what was handed over so far."""
    peer = peer_of(lambda _: None)
    link = Tcp("127.0.0.1", peer.port, stall_s=0.3).connect()
    with pytest.raises(TransportBroken) as fault:
        link.write(BIG, "")
    assert fault.value.reason == "stalled"
    assert 0 < fault.value.sent < len(BIG)


def test_a_slow_peer_is_not_a_dead_one(peer_of):
    """A peer that goes on reading slowly, slower in all than stall_s, gets every byte."""
    collected = Collected()

    def serve(peer: socket.socket) -> None:
        for _ in range(5):
            collected.data += peer.recv(65536)
            time.sleep(0.1)
        collected(peer)

    link = Tcp("127.0.0.1", peer_of(serve).port, stall_s=0.35).connect()
    link.write(BIG, "")
    link.flush()
    link.close()
    assert collected.ended.wait(10)
    assert collected.data == BIG


def test_aborting_ends_a_write_in_another_thread_and_discards_the_rest(peer_of):
    """After an abort the blocked write raises, and the peer gets no more than had left."""
    peer = peer_of(lambda _: None)
    link = Tcp("127.0.0.1", peer.port).connect()
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
    assert broken and broken[0].sent < len(BIG)


def test_nothing_is_written_without_leave(way):
    """P7: a link whose leave was taken away writes nothing, and says that surely nothing left (a lease that ran out)."""
    uri, arrived = way
    link = parse_uri(uri).connect()
    link.write(LABEL, "a-1.zpl")
    link.flush()
    link.may_go = lambda: False
    with pytest.raises(TransportBroken) as fault:
        link.write(LABEL, "b-1.zpl")
    assert (fault.value.reason, fault.value.sent) == ("lease_lost", 0)
    link.close()
    assert arrived() == LABEL


def test_leave_taken_in_the_middle_of_a_write_ends_it(peer_of):
    """P7: leave is asked for before each piece; once it is gone the rest, also of this machine's buffer, never leaves."""
    taken = threading.Event()
    link = parse_uri(f"tcp://127.0.0.1:{peer_of(lambda _: None).port}").connect()
    link.may_go = lambda: not taken.is_set()
    threading.Timer(0.1, taken.set).start()
    with pytest.raises(TransportBroken) as fault:
        link.write(BIG, "")
    assert fault.value.reason == "lease_lost"
    assert 0 < fault.value.sent < len(BIG)


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


def test_silence_is_no_bytes(peer_of, tmp_path: Path):
    """Reading from a printer that says nothing gives nothing after the time-out."""
    for uri in (f"tcp://127.0.0.1:{peer_of(lambda _: None).port}", f"file://{tmp_path}"):
        assert parse_uri(uri).connect().read(0.02) == b""


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
