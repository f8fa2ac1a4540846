"""The virtual thermal printer, driven as a host and a person would: a real process, real sockets, a real
tray."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labelsvc.languages import LANGUAGES, Target
from labelsvc.virtualprinter.printer import LANGUAGES as PARSERS
from tests.support.pages import bars, page, qr

ROOT = Path(__file__).parents[2]
PATIENCE_S = 10
GETVAR = b'! U1 getvar "%s"\r\n'
ODOMETER = GETVAR % b"odometer.total_label_count"


class Process:
    """One running virtual printer, and the hands of the person beside it."""

    def __init__(self, tray, *options):
        self.tray = tray
        self.program = subprocess.Popen(
            [sys.executable, "-m", "labelsvc.virtualprinter", "--tray", str(tray), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.program.stdout.readline()
        found = re.fullmatch(
            r"virtualprinter listening on tcp://127\.0\.0\.1:(\d+) control http://127\.0\.0\.1:(\d+)\b.*\n",
            line,
        )
        assert found, f"unexpected first line {line!r}"
        self.port, self.control_port = int(found[1]), int(found[2])

    def connect(self):
        host = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return host

    def send(self, *pieces):
        with self.connect() as host:
            for piece in pieces:
                host.sendall(piece)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def faults(self, **faults):
        status, answer = self.request("POST", "/faults", json.dumps(faults))
        assert status == 200, answer
        return json.loads(answer)

    def state(self):
        return json.loads(self.request("GET", "/state")[1])

    def wait(self, **expected):
        """Until the state shows all of that; then the state."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            state = self.state()
            if all(state[key] == value for key, value in expected.items()):
                return state
            assert time.monotonic() < give_up_at, f"waited for {expected}, have {state}"
            time.sleep(0.005)

    def labels(self):
        """The bytes of every whole label, in the order they came out, read from the disk."""
        names = sorted(name.name for name in self.tray.glob("[0-9]*-*"))
        return [(self.tray / name).read_bytes() for name in names]

    def stop(self):
        self.program.terminate()
        return self.program.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path):
    started = []

    def start_one(*options, tray=tmp_path / "tray"):
        started.append(Process(tray, "--speed-mm-s", "0", *options))
        return started[-1]

    yield start_one
    for process in started:
        process.program.kill()
        process.program.wait()
        process.program.stdout.close()
        process.program.stderr.close()


@pytest.fixture
def printer(start):
    return start()


def a_format(text, more=b""):
    return b"^XA^CI28^PW800^LL400" + more + b"^FO40,40^A0N,40^FD" + text + b"^FS^XZ"


def read_until(host, end):
    answer = b""
    while not answer.endswith(end):
        piece = host.recv(1000)
        assert piece, f"closed after {answer!r}"
        answer += piece
    return answer


def ask_status(host):
    """Send ~HS; its three lines as lists of fields."""
    host.sendall(b"~HS\r\n")
    answer = b""
    while answer.count(b"\x03\r\n") < 3:
        piece = host.recv(1000)
        assert piece, f"closed after {answer!r}"
        answer += piece
    frames = re.fullmatch(rb"\x02([^\x02]*)\x03\r\n\x02([^\x02]*)\x03\r\n\x02([^\x02]*)\x03\r\n", answer)
    assert frames and len(answer) == 82, answer
    return [frame.decode().split(",") for frame in frames.groups()]


def ask(host, query):
    """Send a getvar; what stands between the quotes."""
    host.sendall(query)
    answer = host.recv(1000)
    while not (answer.startswith(b'"') and answer.endswith(b'"') and len(answer) > 1):
        answer += host.recv(1000)
    return answer[1:-1]


# ---------------------------------------------------------------- labels


def test_prints_the_very_bytes_of_a_format(printer):
    """One format is one file that holds what stood between ^XA and ^XZ, and nothing of what stood around
    it."""
    one = a_format("收件人 㛃".encode())
    printer.send(b"\r\nnoise " + one + b"\r\n noise")
    printer.wait(printed=1, queue=0)
    assert [name.name for name in printer.tray.glob("*.zpl")] == ["000001-1.zpl"]
    assert printer.labels() == [one]


def test_prints_several_in_the_order_of_arrival(printer):
    """Formats sent back to back come out one file each, in their order."""
    sent = [a_format(b"label %d" % n) for n in range(30)]
    printer.send(b"".join(sent))
    printer.wait(printed=30, queue=0)
    assert printer.labels() == sent


@pytest.mark.parametrize("cut", range(1, 8))
def test_packets_may_be_cut_anywhere(printer, cut):
    """The same bytes in pieces of any size make the same labels and the same answers."""
    sent = [a_format(b"first", b"^PQ2"), a_format(b"~HS in data"), a_format(b"third")]
    stream = b"\r\n".join(sent) + ODOMETER + b"~HS\r\n"
    with printer.connect() as host:
        for at in range(0, len(stream), cut):
            host.sendall(stream[at : at + cut])
        answer = read_until(host, b"1234,0\x03\r\n")
    printer.wait(printed=4, queue=0, partial=False, bytes_received=len(stream))
    assert re.match(rb'"\d"\x02030,', answer) and answer.count(b"\x02") == 3
    assert printer.labels() == [sent[0], sent[0], sent[1], sent[2]]


def test_copies_are_one_file_each(printer):
    """^PQ makes as many labels, each counted by the odometer."""
    printer.send(a_format(b"three", b"^PQ3,0,0,N"))
    printer.wait(printed=3, queue=0, odometer=3)
    assert len(printer.labels()) == 3 and len(set(printer.labels())) == 1


def test_a_format_that_draws_nothing_feeds_no_label(printer):
    """Set-up formats and stored formats leave no label; what follows does."""
    label = a_format(b"x")
    printer.send(b"^XA^JUS^XZ^XA^DFR:A.ZPL^FO1,1^FN1^FDa^FS^XZ", label)
    printer.wait(printed=1, queue=0)
    assert printer.labels() == [label]


def test_binary_graphics_are_taken_by_their_length(printer):
    """Bytes of a binary ^GF that look like commands are picture."""
    picture = b"^XZ~JR^XA~JA!^FS"
    label = b"^XA^LL100^FO0,0^GFB,%d,%d,4," % (len(picture), len(picture)) + picture + b"^FS^XZ"
    hexadecimal = b"^XA^FO0,0^GFA,4,4,1,AA55^FS^XZ"
    printer.send(label + hexadecimal)
    printer.wait(printed=2, queue=0)
    assert printer.labels() == [label, hexadecimal]


def test_several_hosts_at_once(printer):
    """Each connection has a stream of its own; formats interleave whole, and a format counts when it ends."""
    one, two = a_format(b"one"), a_format(b"two")
    with printer.connect() as first, printer.connect() as second:
        first.sendall(one[:25])
        printer.wait(partial=True, bytes_received=25)
        second.sendall(two)
        printer.wait(printed=1)
        first.sendall(one[25:])
        printer.wait(printed=2, partial=False)
    assert printer.labels() == [two, one]


def test_odometer_survives_a_restart(start):
    """The odometer goes on where it stood, also after kill -9, and when the labels were taken out of the
    tray."""
    first = start()
    first.send(a_format(b"a", b"^PQ2"))
    first.wait(printed=2)
    first.program.kill()
    first.program.wait()
    second = start()
    assert second.state()["odometer"] == 2 and second.state()["printed"] == 0
    second.send(a_format(b"b"))
    second.wait(odometer=3)
    assert (second.tray / "000003-3.zpl").exists()
    assert second.stop() == 0
    for label in second.tray.glob("*.zpl"):
        label.unlink()
    third = start()
    with third.connect() as host:
        assert ask(host, ODOMETER) == b"3"
    third.send(a_format(b"c"))
    third.wait(odometer=4)
    assert [name.name for name in third.tray.glob("*.zpl")] == ["000001-4.zpl"]


def test_the_odometer_never_lags_behind_the_tray(start):
    """A program killed between a label and the odometer's file knows the label when it starts again."""
    first = start()
    first.send(a_format(b"a", b"^PQ5"))
    first.wait(printed=5)
    first.stop()
    (first.tray / "odometer").write_text("4\n")
    assert start().state()["odometer"] == 5


def test_one_tray_one_printer(start, tmp_path):
    """A second printer on the same tray doesn't start, and says why."""
    start()
    second = subprocess.run(
        [sys.executable, "-m", "labelsvc.virtualprinter", "--tray", str(tmp_path / "tray")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 1 and "another printer uses this tray" in second.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--host", "0.0.0.0"),
        ("--host", "192.0.2.1"),
        ("--port", "70000"),
        ("--buffer-bytes", "0"),
        ("--bytes-per-s", "0"),
        ("--speed-mm-s", "nan"),
        ("--warm-up-s", "-1"),
    ],
)
def test_bad_options_are_refused(tmp_path, options):
    """It listens on loopback only, and no option takes a senseless number."""
    refused = subprocess.run(
        [sys.executable, "-m", "labelsvc.virtualprinter", "--tray", str(tmp_path), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2 and options[0] in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_on_a_signal(printer, number):
    """SIGTERM and SIGINT end it with exit code 0 and nothing on standard error, also with a host
    connected."""
    with printer.connect():
        printer.wait(connections=1)
        printer.program.send_signal(number)
        assert printer.program.wait(PATIENCE_S) == 0
    assert printer.program.stderr.read() == ""


# ---------------------------------------------------------------- answers


def test_status_of_an_idle_printer(printer):
    """~HS is three framed lines of 12, 11 and 2 fields, 82 bytes, every flag down."""
    with printer.connect() as host:
        one, two, three = ask_status(host)
    assert one == ["030", "0", "0", "1199", "000", "0", "0", "0", "000", "0", "0", "0"]
    assert two == ["000", "0", "0", "0", "0", "2", "6", "0", "00000000", "1", "000"]
    assert three == ["1234", "0"]


@pytest.mark.parametrize(
    ("fault", "line", "field"), [("paper_out", 0, 1), ("paused", 0, 2), ("head_open", 1, 2)]
)
def test_status_shows_what_stops_the_printer(printer, fault, line, field):
    """Paper out, pause and head open each raise their own flag and no other, with the formats and labels
    that wait."""
    printer.faults(**{fault: True})
    with printer.connect() as host:
        host.sendall(a_format(b"a", b"^PQ7") + a_format(b"b"))
        status = ask_status(host)
        flags = [*status[0][1:3], *status[0][5:8], status[1][2]]
        assert status[line][field] == "1" and flags.count("1") == 1
        assert status[0][3:5] == ["0400", "002"] and status[1][8] == "00000007"
        assert ask(host, ODOMETER) == b"0"
        printer.faults(**{fault: False})
        printer.wait(printed=8, queue=0)
        status = ask_status(host)
        assert status[0][4] == "000" and status[1][8] == "00000000" and status[line][field] == "0"


def test_status_while_a_label_is_printed(printer):
    """While a label is under the head the formats waiting include its own."""
    printer.faults(speed_mm_s=1)
    with printer.connect() as host:
        host.sendall(a_format(b"a", b"^PQ2"))
        printer.wait(printing=True)
        status = ask_status(host)
        assert status[0][4] == "001" and status[1][8] == "00000002"


def test_a_query_within_data_is_not_answered(printer):
    """~HS and getvar are taken at command position only: between formats, and between the fields of one."""
    quiet = a_format(b"~HS")
    talkative = b"^XA^FO1,1~HS^FDx^FS^XZ"
    with printer.connect() as host:
        host.sendall(quiet + a_format(ODOMETER))
        printer.wait(printed=2)
        host.sendall(talkative)
        answer = read_until(host, b"1234,0\x03\r\n")
    assert answer.startswith(b"\x02030,") and len(answer) == 82
    printer.wait(printed=3)
    assert printer.labels()[2] == talkative


def test_getvar(printer):
    """Variables are answered in quotes with nothing behind them; an unknown one is a question mark."""
    with printer.connect() as host:
        assert ask(host, ODOMETER) == b"0"
        assert ask(host, GETVAR % b"device.friendly_name") == b"vp"
        assert ask(host, GETVAR % b"no.such.thing") == b"?"
        lines = ask(host, GETVAR % b"device.host_status").split(b"\r\n")
        assert [line.count(b",") for line in lines] == [11, 10, 1] and b"\x02" not in b"".join(lines)
        host.sendall(b'! U1 setvar "device.friendly_name" "x"\r\n' + ODOMETER)
        assert host.recv(100) == b'"0"'


def test_silence(printer):
    """A silent printer reads queries and answers none, prints all the same, and answers again later."""
    printer.faults(silent=True)
    with printer.connect() as host:
        host.sendall(b"~HS\r\n" + ODOMETER + a_format(b"x"))
        printer.wait(printed=1, queue=0)
        printer.faults(silent=False)
        assert ask(host, ODOMETER) == b"1"


@pytest.mark.parametrize("fault", ["paper_out", "head_open"])
def test_silence_while_blocked(printer, fault):
    """Newer firmware answers nothing while paper is out or the head open; a query from then is not
    answered later."""
    printer.faults(silent_when_blocked=True, **{fault: True})
    with printer.connect() as host:
        host.sendall(b"~HS\r\n")
        printer.wait(bytes_received=5)
        printer.faults(**{fault: False})
        assert ask(host, ODOMETER) == b"0"


# ---------------------------------------------------------------- commands that act


def test_cancel_all_at_command_position(printer):
    """~JA empties the print queue and half a format."""
    printer.faults(paused=True)
    with printer.connect() as host, printer.connect() as other:
        other.sendall(b"^XA^FDhalf")
        printer.wait(partial=True)
        host.sendall(a_format(b"a", b"^PQ5") + a_format(b"b"))
        printer.wait(queue=2)
        host.sendall(b"~JA")
        printer.wait(queue=0, partial=False, buffered=0)
        host.sendall(a_format(b"after"))
        printer.faults(paused=False)
        printer.wait(printed=1, queue=0)
    assert printer.labels() == [a_format(b"after")]


def test_cancel_all_lets_the_label_under_the_head_out(printer):
    """~JA in the middle of a batch: the label being printed comes out whole, its copies don't."""
    batch = a_format(b"a", b"^PQ50")
    printer.faults(speed_mm_s=1)
    printer.send(batch + a_format(b"b"))
    printer.wait(printing=True, queue=2)
    printer.send(b"~JA")
    printer.wait(queue=1, labels_left=1)
    printer.faults(speed_mm_s=0)
    printer.wait(queue=0)
    assert printer.labels() == [batch] and printer.state()["cut"] == []


def test_reset_at_command_position(printer):
    """~JR drops buffer and partial formats; the odometer and the connection stay."""
    printer.send(a_format(b"before"))
    printer.wait(printed=1)
    printer.faults(paper_out=True)
    with printer.connect() as host:
        host.sendall(a_format(b"a") + b"^XA^FDhalf^FS~JR")
        printer.wait(queue=0, partial=False, buffered=0)
        printer.faults(paper_out=False)
        assert ask(host, ODOMETER) == b"1"
        assert printer.labels() == [a_format(b"before")]


@pytest.mark.parametrize("command", [b"~JA", b"~JR"])
def test_a_tilde_command_within_field_data_does_not_act(printer, command):
    """Field data that read ~JA or ~JR are printed as that, unless the printer is told to be of the other
    kind."""
    label = a_format(b"Zhang" + command + b"San")
    printer.faults(paused=True)
    printer.send(a_format(b"waiting") + label)
    printer.wait(queue=2)
    printer.faults(tilde_in_data=True)
    printer.send(label)
    printer.wait(queue=0)
    printer.faults(tilde_in_data=False, paused=False)
    printer.send(a_format(b"waiting") + label)
    printer.wait(printed=2, queue=0)
    assert printer.labels() == [a_format(b"waiting"), label]


def test_an_injected_end_of_format_really_harms(printer):
    """A caret ends field data: a recipient named ^XZ~JR, sent unescaped, resets the printer; escaped by
    ^FH it prints."""
    printer.faults(paused=True)
    printer.send(a_format(b"waiting") + a_format(b"^XZ~JR"))
    printer.wait(queue=0)
    escaped = b"^XA^FO1,1^FH^FD_5EXZ_7EJR^FS^XZ"
    printer.faults(paused=False)
    printer.send(escaped)
    printer.wait(printed=1)
    assert printer.labels() == [escaped]


# ---------------------------------------------------------------- paper, head


def test_paper_out_within_a_batch(printer):
    """The label cut by the end of the paper is printed again after it returns: none lost, none twice in
    the tray."""
    sent = [a_format(b"label %d" % n) for n in range(6)]
    printer.faults(paper_out_after_labels=3)
    printer.send(b"".join(sent))
    state = printer.wait(paper="out", queue=3)
    assert state["printed"] == 3 and state["cut"] == ["cut-0001.zpl"]
    assert printer.labels() == sent[:3] and (printer.tray / "cut-0001.zpl").read_bytes() == sent[3]
    printer.faults(paper_out=False)
    state = printer.wait(printed=6, queue=0, odometer=6)
    assert printer.labels() == sent and state["cut"] == ["cut-0001.zpl"]


@pytest.mark.parametrize("fault", ["paper_out", "head_open"])
def test_a_label_cut_under_the_head(printer, fault):
    """Paper out and head open while a label moves: it doesn't count, and comes out whole once they are
    mended."""
    printer.faults(speed_mm_s=1)
    label = a_format(b"a", b"^PQ2")
    printer.send(label)
    printer.wait(printing=True)
    printer.faults(**{fault: True})
    state = printer.wait(printing=False)
    assert state["printed"] == 0 and state["labels_left"] == 2 and state["cut"] == ["cut-0001.zpl"]
    printer.faults(speed_mm_s=0, **{fault: False})
    printer.wait(printed=2, queue=0)
    assert printer.labels() == [label] * 2


def test_pause_lets_the_label_under_the_head_out(printer):
    """A pause takes hold between two labels and cuts none."""
    printer.faults(speed_mm_s=1)
    printer.send(a_format(b"a", b"^PQ2"))
    printer.wait(printing=True)
    printer.faults(paused=True)
    printer.faults(speed_mm_s=0)
    state = printer.wait(printing=False)
    assert state["printed"] == 1 and state["labels_left"] == 1
    printer.faults(paused=False)
    assert printer.wait(printed=2, queue=0)["cut"] == []


def test_a_power_cycle_loses_the_buffer_but_not_the_odometer(printer):
    """POST /reset: connections are reset, queue and partial formats are gone, the odometer stays."""
    printer.send(a_format(b"a"))
    printer.wait(printed=1)
    printer.faults(paper_out=True)
    with printer.connect() as host:
        host.sendall(a_format(b"lost") + b"^XA^FDhalf")
        printer.wait(queue=1, partial=True)
        assert printer.request("POST", "/reset")[0] == 200
        with pytest.raises(ConnectionResetError):
            if not host.recv(10):
                raise ConnectionResetError
    printer.faults(paper_out=False)
    printer.send(a_format(b"b"))
    printer.wait(printed=2, queue=0, odometer=2, partial=False)
    assert printer.labels() == [a_format(b"a"), a_format(b"b")]


# ---------------------------------------------------------------- the wire


def test_half_a_format_stays_until_the_next_begins(printer):
    """The remainder of a host that died in mid-format is reported until another ^XA, and is never printed."""
    printer.send(a_format(b"dead")[:30])
    printer.wait(connections=0, partial=True)
    with printer.connect() as host:
        assert ask_status(host)[0][7] == "1"
        host.sendall(a_format(b"alive"))
        printer.wait(printed=1)
        assert ask_status(host)[0][7] == "0"
    assert printer.labels() == [a_format(b"alive")]


def test_a_host_reset_in_mid_format(printer):
    """A connection that ends by a reset leaves what it had brought: whole formats print, half a one stays."""
    host = printer.connect()
    host.sendall(a_format(b"whole") + b"^XA^FDhalf")
    printer.wait(bytes_received=len(a_format(b"whole")) + 10)
    host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    host.close()
    printer.wait(printed=1, connections=0, partial=True)
    assert printer.labels() == [a_format(b"whole")]


def test_the_buffer_drains_on_after_the_host_is_gone(start):
    """What was sent before the host died comes out, though it was still in the printer's buffer and the
    kernel's."""
    printer = start("--buffer-bytes", "500")
    printer.faults(drain_delay_s=1000)
    sent = [a_format(b"label %d" % n) for n in range(40)]
    printer.send(b"".join(sent))
    state = printer.wait(connections=1, buffered=500)
    assert state["printed"] == 0 and state["bytes_received"] < len(b"".join(sent))
    printer.faults(drain_delay_s=0)
    printer.wait(printed=40, queue=0, connections=0, bytes_received=len(b"".join(sent)))
    assert printer.labels() == sent


def test_a_full_buffer_stops_the_host(start):
    """With paper out and the buffer full the printer stops reading, and the host's writes block until it
    goes on."""
    printer = start("--buffer-bytes", "100000")
    printer.faults(paper_out=True)
    label = a_format(b"x" * 50_000)
    with printer.connect() as host:
        host.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        host.setblocking(False)
        sent = 0
        stream = label * 100
        while True:
            try:
                sent += host.send(stream[sent:])
            except BlockingIOError:
                if printer.state()["buffered"] == 100_000:
                    break
        state = printer.state()
        assert state["bytes_received"] == 100_000 and sent < len(stream)
        printer.faults(paper_out=False)
        host.settimeout(PATIENCE_S)
        host.sendall(stream[sent:])
        printer.wait(printed=100, queue=0)
    assert printer.labels() == [label] * 100


def test_buffer_full_is_reported(start):
    """The f flag is up once as many bytes are held as the buffer has, and down when they are printed."""
    printer = start("--buffer-bytes", "1000")
    with printer.connect() as host:
        # Said within a format, as its last bytes: after a full buffer nothing more would be read.
        host.sendall(b"^XA^FX" + b"x" * 1000 + b"^FS~HS")
        status = read_until(host, b"1234,0\x03\r\n").split(b",")
        assert status[5] == b"1" and status[7] == b"1"
        host.sendall(b"^FDx^FS^XZ")
        printer.wait(printed=1, queue=0)
        assert ask_status(host)[0][5] == "0"


def test_a_format_longer_than_the_buffer_prints(start):
    """An empty printer draws a format while it comes in: none is too long for it."""
    printer = start("--buffer-bytes", "1000")
    label = a_format(b"x" * 20_000)
    printer.send(label)
    printer.wait(printed=1, queue=0)
    assert printer.labels() == [label]


@pytest.mark.parametrize("keep", [True, False])
def test_dies_after_so_many_bytes(printer, keep):
    """The connection is reset at exactly that byte; whole formats print, the half one stays or goes as
    told."""
    one = a_format(b"one")
    printer.faults(die_after_bytes=len(one) + 7, keep_partial=keep)
    with printer.connect() as host:
        host.sendall(one + a_format(b"two") * 3)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while host.recv(100):
                pass
            raise ConnectionResetError
    state = printer.wait(printed=1, queue=0, connections=0, bytes_received=len(one) + 7, partial=keep)
    assert state["faults"]["die_after_bytes"] is None and printer.labels() == [one]
    printer.send(a_format(b"next"))
    printer.wait(printed=2, partial=False)


def test_dies_before_the_first_byte(printer):
    """A count of nought resets the connection as soon as a byte arrives, taking none; the next host is
    served."""
    mended = printer.faults()
    printer.faults(die_after_bytes=0)
    printer.send(a_format(b"x"))
    state = printer.wait(connections=0, faults=mended)
    assert state["bytes_received"] == 0 and state["partial"] is False
    printer.send(a_format(b"y"))
    printer.wait(printed=1)


def test_exits_after_so_many_bytes(start):
    """The program kills itself at that byte, without a word; what came out before stays."""
    printer = start()
    printer.send(a_format(b"a"))
    printer.wait(printed=1)
    printer.faults(exit_after_bytes=20)
    with printer.connect() as host:
        host.sendall(a_format(b"b"))
        assert printer.program.wait(PATIENCE_S) == -signal.SIGKILL
    assert printer.labels() == [a_format(b"a")]
    assert start().state()["odometer"] == 1


def test_refuses_connections_and_keeps_its_port(printer):
    """A printer that is off refuses at once; on again, it is at the same port; hosts connected before
    stay."""
    with printer.connect() as host:
        assert ask(host, ODOMETER) == b"0"
        printer.faults(refuse_connections=True)
        with pytest.raises(ConnectionRefusedError):
            printer.connect()
        assert ask(host, ODOMETER) == b"0"
        printer.faults(refuse_connections=False)
        with printer.connect() as another:
            assert ask(another, ODOMETER) == b"0"


def test_accepts_and_never_reads(printer):
    """Connections are taken, bytes are not; once they are, everything comes out."""
    printer.faults(accept_never_read=True)
    with printer.connect() as host:
        host.sendall(a_format(b"x"))
        assert printer.wait(connections=1)["bytes_received"] == 0
        printer.faults(accept_never_read=False)
        printer.wait(printed=1)


def test_a_slow_link_reads_in_small_pieces(start):
    """A limited link takes a format bit by bit; set free, it takes the rest at once."""
    printer = start("--bytes-per-s", "40")
    label = a_format(b"x" * 10_000)
    with printer.connect() as host:
        host.sendall(label)
        printer.wait(partial=True)
        assert printer.state()["bytes_received"] < len(label)
        printer.faults(bytes_per_s=None)
        printer.wait(printed=1)
    assert printer.labels() == [label]


def test_a_host_that_comes_back_hears_of_its_former_bytes(start):
    """Bytes are read in order of arrival: a new connection's status never overlooks what an older one
    still brings."""
    printer = start("--bytes-per-s", "4000")
    printer.faults(paused=True)
    printer.send(a_format(b"x" * 500))
    with printer.connect() as host:
        status = ask_status(host)
        assert status[0][4] == "001" and status[0][7] == "0"


def test_warm_up_delays_the_first_label(start, tmp_path):
    """A cold printer takes formats, says that they wait, and prints them once it is warm."""
    cold = start("--warm-up-s", "1000")
    with cold.connect() as host:
        host.sendall(a_format(b"x"))
        assert ask_status(host)[0][4] == "001"
    assert cold.wait(connections=0)["printed"] == 0
    soon_warm = start("--warm-up-s", "0.1", tray=tmp_path / "other")
    soon_warm.send(a_format(b"x"))
    soon_warm.wait(printed=1, queue=0)


# ---------------------------------------------------------------- the control port


def test_labels_over_http(printer):
    """The tray can be listed and read over the control port, and nothing outside of it."""
    printer.send(a_format(b"a") + a_format(b"b"))
    printer.wait(printed=2)
    assert json.loads(printer.request("GET", "/labels")[1]) == ["000001-1.zpl", "000002-2.zpl"]
    assert printer.request("GET", "/labels/000002-2.zpl") == (200, a_format(b"b"))
    for path in (
        "/labels/000009-9.zpl",
        "/labels/odometer",
        "/labels/../odometer",
        "/labels/%2e%2e%2fx.zpl",
        "/x",
    ):
        assert printer.request("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("faults", "field"),
    [
        ({"no_such_fault": True}, "no_such_fault"),
        ({"paper_out": 1}, "paper_out"),
        ({"silent": None}, "silent"),
        ({"die_after_bytes": -1}, "die_after_bytes"),
        ({"die_after_bytes": True}, "die_after_bytes"),
        ({"exit_after_bytes": 1.5}, "exit_after_bytes"),
        ({"bytes_per_s": 0}, "bytes_per_s"),
        ({"speed_mm_s": "fast"}, "speed_mm_s"),
        ({"speed_mm_s": None}, "speed_mm_s"),
        ({"drain_delay_s": float("inf")}, "drain_delay_s"),
        ({"paper_out": True, "head_open": "yes"}, "head_open"),
        ([], "body"),
        (None, "body"),
    ],
)
def test_a_bad_fault_changes_nothing(printer, faults, field):
    """A request with anything wrong in it is answered with 400 and the field's name, and none of it holds."""
    before = printer.state()["faults"]
    status, answer = printer.request("POST", "/faults", json.dumps(faults))
    assert (status, json.loads(answer)["field"]) == (400, field)
    assert printer.state()["faults"] == before


def test_bodies_that_are_not_json(printer):
    """Broken, endless and missing bodies are answered with 400."""
    assert printer.request("POST", "/faults", b"{")[0] == 400
    assert printer.request("POST", "/faults", b"[" * 50_000)[0] == 400
    assert printer.request("POST", "/faults", b"", {"Content-Length": "99999999"})[0] == 400
    assert printer.request("POST", "/faults", b"", {"Content-Length": "x"})[0] == 400


def test_control_answers_only_to_loopback_names(printer):
    """A web page can't reach the control port through a host name of its own."""
    assert printer.request("GET", "/state", headers={"Host": "printer.example"})[0] == 403
    assert printer.request("POST", "/faults", b"{}", {"Host": "127.0.0.1.example"})[0] == 403
    assert printer.request("GET", "/state", headers={"Host": f"localhost:{printer.control_port}"})[0] == 200


# ---------------------------------------------------------------- USB and serial


class UsbHost:
    """A host's USB library, as far as a printer meets it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))

    def transfer(self, op, payload=b""):
        self.socket.sendall(op + len(payload).to_bytes(4, "big") + payload)
        return self.exactly(int.from_bytes(self.exactly(4), "big"))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def descriptor(self):
        return json.loads(self.transfer(b"D"))

    def write(self, data, timeout_ms=PATIENCE_S * 1000):
        return int.from_bytes(self.transfer(b"O", timeout_ms.to_bytes(4, "big") + data), "big")

    def read(self, most=1000, timeout_ms=PATIENCE_S * 1000):
        return self.transfer(b"I", timeout_ms.to_bytes(4, "big") + most.to_bytes(4, "big"))

    def control(self, kind, request, length=1000):
        setup = bytes([kind, request]) + b"\0\0\0\0" + length.to_bytes(2, "little")
        return self.transfer(b"C", setup + (1000).to_bytes(4, "big"))


@pytest.fixture
def start_usb(start, tmp_path):
    def start_one(*options):
        printer = start("--usb", str(tmp_path / "usb"), *options)
        printer.usb = tmp_path / "usb"
        return printer

    return start_one


def test_usb_prints_and_answers(start_usb):
    """Bulk out prints, bulk in brings the answers, the descriptor names the device; an idle device answers
    a read with nothing when its time is over."""
    printer = start_usb("--serial", "42A", "--model", "X1", "--maker", "Acme")
    host = UsbHost(printer.usb)
    assert host.descriptor() == {
        "vendor": 0x0525,
        "product": 0xA4A8,
        "serial": "42A",
        "manufacturer": "Acme",
        "model": "X1",
        "in": 0x81,
        "out": 2,
        "interface": 0,
        "configuration": 1,
    }
    assert host.read(timeout_ms=1) == b""
    label = a_format(b"x" * 10_000) + ODOMETER
    sent = 0
    while sent < len(label):
        sent += host.write(label[sent:])
    assert host.read() == b'"0"'
    printer.wait(printed=1)
    assert printer.labels() == [label.removesuffix(ODOMETER)]


def test_usb_class_requests(start_usb):
    """The device id is the one of IEEE 1284, the port status tells paper and error, a soft reset empties the
    buffers; any other request is a stall."""
    printer = start_usb("--serial", "42A", "--model", "X1", "--maker", "Acme")
    host = UsbHost(printer.usb)
    name = b"MFG:Acme;CMD:ZPL;MDL:X1;CLS:PRINTER;SN:42A;"
    assert host.control(0xA1, 0) == b"\0" + (len(name) + 2).to_bytes(2, "big") + name
    assert host.control(0xA1, 0, 5)[1:] == b"\0" + bytes([len(name) + 2]) + name[:3]
    assert host.control(0xA1, 1) == b"\0\x18"
    printer.faults(paper_out=True)
    assert host.control(0xA1, 1) == b"\0\x30"
    host.write(a_format(b"gone") + b"^XA^FDhalf")
    printer.wait(queue=1, partial=True)
    assert host.control(0x21, 2) == b"\0"
    printer.wait(queue=0, partial=False)
    assert host.control(0x80, 6) == b"\1"


def test_usb_takes_no_more_than_it_holds(start_usb):
    """A device whose printer doesn't read takes what its memory holds, then nothing; what it took comes out
    though the host is gone."""
    printer = start_usb("--fifo-bytes", "100")
    printer.faults(accept_never_read=True)
    host = UsbHost(printer.usb)
    label = a_format(b"x" * 30)
    assert len(label) < 100 < 2 * len(label)
    assert host.write(label * 2, timeout_ms=1) == 100
    assert host.write(label, timeout_ms=1) == 0
    host.socket.close()
    printer.faults(accept_never_read=False)
    printer.wait(printed=1, partial=True)
    assert printer.labels() == [label]


def test_a_dead_host_transfers_nothing_more(start_usb):
    """A host that dies in the middle of a transfer has sent what the device had taken by then."""
    printer = start_usb("--fifo-bytes", "100")
    printer.faults(accept_never_read=True)
    host = UsbHost(printer.usb)
    payload = (60_000).to_bytes(4, "big") + a_format(b"x" * 300)
    host.socket.sendall(b"O" + len(payload).to_bytes(4, "big") + payload)
    host.socket.shutdown(socket.SHUT_RDWR)
    assert host.socket.recv(1) == b""
    printer.faults(accept_never_read=False)
    assert printer.wait(partial=True)["bytes_received"] == 100


def test_usb_unplugged_and_plugged_in_again(start_usb):
    """Unplugged, the device is gone; plugged in again it is there, under another serial number if told so,
    and what the printer had received is printed all the same."""
    printer = start_usb()
    printer.faults(paused=True)
    host = UsbHost(printer.usb)
    host.write(a_format(b"a"))
    printer.wait(queue=1)
    printer.faults(unplugged=True)
    with pytest.raises((EOFError, BrokenPipeError)):
        host.read()
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        UsbHost(printer.usb)
    printer.faults(unplugged=False, usb_serial="other", paused=False)
    assert UsbHost(printer.usb).descriptor()["serial"] == "other"
    printer.wait(printed=1)


def test_usb_unplugged_in_mid_write(start_usb):
    """The cable leaves at exactly that byte; half a format is met by the next host."""
    printer = start_usb()
    printer.faults(die_after_bytes=20)
    host = UsbHost(printer.usb)
    with pytest.raises(EOFError):
        host.write(a_format(b"cut"))
    assert printer.wait(bytes_received=20, partial=True)["faults"]["unplugged"] is True
    printer.faults(unplugged=False)
    UsbHost(printer.usb).write(a_format(b"whole"))
    printer.wait(printed=1, partial=False)
    assert printer.labels() == [a_format(b"whole")]


def test_a_serial_line(start, tmp_path):
    """The line prints and answers, byte for byte, and stays when a host closes it; unplugged it is hung up,
    plugged in again it is at the same place."""
    printer = start("--pty", str(tmp_path / "line"))
    label = a_format(bytes(range(256)).replace(b"^", b""))
    for count in (1, 2):
        with (tmp_path / "line").open("r+b", buffering=0) as line:
            line.write(label + ODOMETER)
            assert re.fullmatch(rb'"\d"', line.read(3))
            printer.wait(printed=count)
    assert printer.labels() == [label] * 2
    with (tmp_path / "line").open("r+b", buffering=0) as line:
        printer.faults(unplugged=True)
        assert not (tmp_path / "line").is_symlink()
        with pytest.raises(OSError):
            line.write(b"x")
    printer.faults(unplugged=False)
    with (tmp_path / "line").open("r+b", buffering=0) as line:
        line.write(ODOMETER)
        assert line.read(3) == b'"2"'


def test_a_serial_line_takes_no_more_than_it_holds(start, tmp_path):
    """A printer that doesn't read stops the host; set free, everything comes out in order."""
    printer = start("--pty", str(tmp_path / "line"), "--faults", '{"accept_never_read": true}')
    sent = [a_format(b"%03d" % n + b"x" * 1000) for n in range(100)]
    stream = b"".join(sent)
    handle = os.open(tmp_path / "line", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    taken = 0
    with pytest.raises(BlockingIOError):
        while True:
            taken += os.write(handle, stream[taken:])
    assert taken < len(stream)
    os.set_blocking(handle, True)
    printer.faults(accept_never_read=False)
    while taken < len(stream):
        taken += os.write(handle, stream[taken:])
    os.close(handle)
    printer.wait(printed=100)
    assert printer.labels() == sent


def test_half_open(printer):
    """Connections of a printer that has forgotten them are neither read nor answered nor closed; who comes
    later is served."""
    with printer.connect() as before:
        assert ask(before, ODOMETER) == b"0"
        printer.faults(half_open_after_bytes=10)
        before.sendall(a_format(b"x"))
        printer.wait(bytes_received=len(ODOMETER) + 10)
        printer.faults(half_open=False)
        before.sendall(b"~HS\r\n")
        with printer.connect() as after:
            assert ask(after, ODOMETER) == b"0"
            assert len(ask_status(after)) == 3
        before.setblocking(False)
        with pytest.raises(BlockingIOError):
            before.recv(1)


def test_a_late_answer_meets_the_next_usb_host(start_usb):
    """An answer that nobody fetched stays in the device for whoever reads next."""
    printer = start_usb()
    first = UsbHost(printer.usb)
    first.write(ODOMETER)
    printer.wait(bytes_received=len(ODOMETER))
    first.socket.close()
    assert UsbHost(printer.usb).read() == b'"0"'


# ---------------------------------------------------------------- what real printers of each language get


A_PAGE = page(bars("YT0012345678", module=2), qr("YT0012345678", y=150), size=(400, 300))


@pytest.mark.parametrize("language", ["zpl", "escpos", "tspl"])
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_labels_as_labelsvc_writes_them(start, language, cut):
    """Each of our own labels is one file with its very bytes, in packets cut anywhere."""
    written = bytes(LANGUAGES[language].encode(A_PAGE, Target(language, cut=True)))
    printer = start("--language", language)
    with printer.connect() as host:
        stream = written * 3
        for at in range(0, len(stream), cut):
            host.sendall(stream[at : at + cut])
        printer.wait(printed=3, queue=0, partial=False)
    # The line end behind ^XZ is no part of a format.
    label = written.removesuffix(b"\n") if language == "zpl" else written
    assert printer.labels() == [label] * 3


_PIECES = {
    "zpl": [b"^XA", b"^XZ", b"^FD", b"~HS", b"^GFB,9,9,1,", b'! U1 getvar "a"\r\n', b"~HQES", b"^PQ2"],
    "escpos": [
        b"\x1b@",
        b"\x1dVB\0",
        b"\x1dv0\0\x01\0\x02\0",
        b"\x10\x04\x01",
        b"\x1dk",
        b"\x0c",
        b"\x1d(H\x06\0",
    ],
    "tspl": [
        b"CLS\r\n",
        b"PRINT 1,1\r\n",
        b"BITMAP 0,0,1,9,1,",
        b'TEXT 1,1,"',
        b"\x1b!?",
        b"~!T",
        b"OUT @LABEL\n",
    ],
}


@pytest.mark.parametrize("language", ["zpl", "escpos", "tspl"])
def test_any_bytes_in_any_pieces(language):
    """No stream of bytes breaks a parser, and wherever it is cut the same is understood."""
    choose = random.Random(5)
    for _ in range(300):
        stream = b"".join(
            choose.choice([*_PIECES[language], choose.randbytes(choose.randrange(4)), b"\r\n"])
            for _ in range(choose.randrange(1, 25))
        )
        whole, pieces = (PARSERS[language].Stream(203, True) for _ in range(2))
        expected = list(whole.feed(stream))
        heard = []
        while stream:
            size = choose.randrange(1, 4)
            heard += pieces.feed(stream[:size])
            stream = stream[size:]
        assert heard == expected and pieces.partial == whole.partial


# ---------------------------------------------------------------- ESC/POS


@pytest.fixture
def escpos(start):
    return lambda *options: start("--language", "escpos", *options)


def a_slip(text, end=b"\x1dVB\0"):
    return b"\x1b@" + text + b"\n" + end


def exactly(host, count):
    answer = b""
    while len(answer) < count:
        piece = host.recv(count - len(answer))
        assert piece, f"closed after {answer!r}"
        answer += piece
    return answer


def process_id(text):
    return b"\x1d(H\x06\x0000" + text


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({}, b"\x12\x12\x12\x12"),
        ({"paper_out": True}, b"\x1a\x32\x12\x7e"),
        ({"head_open": True}, b"\x1a\x16\x12\x12"),
        ({"paper_low": True}, b"\x12\x12\x12\x1e"),
        ({"cutter_stuck": True}, b"\x1a\x52\x1a\x12"),
    ],
)
def test_escpos_real_time_status(escpos, faults, said):
    """DLE EOT 1 to 4 answer one byte each, at once, whatever waits to be printed, and within a picture too."""
    printer = escpos()
    printer.faults(**faults)
    with printer.connect() as host:
        host.sendall(b"".join(b"\x10\x04" + bytes([n]) for n in (1, 2, 3, 4)))
        assert exactly(host, 4) == said
        host.sendall(a_slip(b"waits") + b"\x1dv0\0\x04\0\x02\0AB\x10\x04\x04xyz")
        assert exactly(host, 1) == said[3:]


def test_escpos_status_back_unasked(escpos):
    """GS a: four bytes at once and at every change, none when switched off."""
    printer = escpos()
    with printer.connect() as host:
        host.sendall(b"\x1da\xff")
        assert exactly(host, 4) == b"\x10\0\0\0"
        printer.faults(paper_out=True)
        assert exactly(host, 4) == b"\x18\0\x0f\0"
        printer.faults(paper_out=False)
        assert exactly(host, 4) == b"\x10\0\0\0"
        host.sendall(b"\x1da\0\x10\x04\x01")
        assert exactly(host, 1) == b"\x12"
        printer.faults(head_open=True)
        host.sendall(b"\x10\x04\x01")
        assert exactly(host, 1) == b"\x1a"


def test_escpos_process_id_comes_when_all_before_it_is_printed(escpos):
    """GS ( H is answered after the paper, of several pending only the newest, and not at all if the data
    were cleared."""
    printer = escpos()
    printer.faults(paper_out=True)
    with printer.connect() as host:
        host.sendall(a_slip(b"one") + process_id(b"0001") + a_slip(b"two") + process_id(b"0002"))
        host.sendall(b"\x10\x04\x01")
        assert exactly(host, 1) == b"\x1a"
        printer.faults(paper_out=False)
        assert exactly(host, 7) == b"\x37\x220002\0"
        assert printer.state()["printed"] == 2
        printer.faults(paper_out=True)
        host.sendall(a_slip(b"three") + process_id(b"0003") + b"\x10\x05\x02")
        printer.faults(paper_out=False)
        host.sendall(a_slip(b"four") + process_id(b"0004"))
        assert exactly(host, 7) == b"\x37\x220004\0"
    assert printer.labels() == [a_slip(b"one"), a_slip(b"two"), a_slip(b"four")]


def test_escpos_names_itself(escpos):
    """GS I gives maker, model and serial number as text; GS r the paper; each in its turn."""
    printer = escpos("--maker", "Acme", "--model", "T-1", "--serial", "99")
    with printer.connect() as host:
        host.sendall(b"\x1dIB\x1dIC\x1dID\x1dr\x01")
        assert exactly(host, 16) == b"_Acme\0_T-1\0_99\0\0"


def test_escpos_goes_on_where_the_paper_ended(escpos):
    """A slip printer prints no slip again: the one that the paper ended within is two stumps, and its process
    id comes all the same."""
    printer = escpos()
    printer.faults(paper_out_after_labels=1)
    with printer.connect() as host:
        host.sendall(a_slip(b"one") + a_slip(b"two") + process_id(b"0002") + a_slip(b"three"))
        printer.wait(printed=1, paper="out")
        printer.faults(paper_out=False)
        assert exactly(host, 7) == b"\x37\x220002\0"
        state = printer.wait(printed=2)
    assert printer.labels() == [a_slip(b"one"), a_slip(b"three")]
    assert [(printer.tray / name).read_bytes() for name in state["cut"]] == [a_slip(b"two")]


def test_escpos_half_a_slip(escpos):
    """Half a slip of a host that died is on paper, but it is no label."""
    printer = escpos()
    printer.send(b"\x1b@half\n")
    printer.wait(connections=0, partial=True)
    printer.send(b"\x1b@half again\n" + a_slip(b"whole"))
    state = printer.wait(printed=1)
    assert printer.labels() == [a_slip(b"whole")] and len(state["cut"]) == 1


def test_escpos_without_a_knife(escpos):
    """Without a knife a slip ends at the next ESC @, at a process id, and at the feed to the next label."""
    printer = escpos("--no-cutter")
    with printer.connect() as host:
        host.sendall(a_slip(b"one", b"") + a_slip(b"two", b"") + process_id(b"0002"))
        assert exactly(host, 7) == b"\x37\x220002\0"
        host.sendall(a_slip(b"three", b"\x0c"))
        printer.wait(printed=3)
    assert printer.labels() == [a_slip(b"one", b""), a_slip(b"two", b""), a_slip(b"three", b"\x0c")]


def test_escpos_data_are_no_commands(escpos):
    """Bytes within pictures, barcodes and symbols end no slip."""
    cut = b"\x1dVB\0"
    inner = (
        b"\x1dv0\0\x02\0\x02\0"
        + cut
        + b"\x1b*\x21\x02\0"
        + cut
        + b"\x1b@"
        + b"\x1dkI\x04"
        + cut
        + b"\x1dk\x04A\x1dV\0"
        + b"\x1d(k\x08\x0010P0"
        + b"\x1dVB\x1b@"[:4]
        + b"\x1d8L\x04\0\0\0"
        + cut
        + b"\x1bD"
        + b"\x1dVB\0"
    )
    printer = escpos()
    printer.send(a_slip(inner))
    printer.wait(printed=1, queue=0, partial=False)
    assert printer.labels() == [a_slip(inner)]


# ---------------------------------------------------------------- TSPL


@pytest.fixture
def tspl(start):
    return lambda *options: start("--language", "tspl", *options)


def a_tspl_label(text, end=b"PRINT 1,1\r\n"):
    return b'\r\nSIZE 60 mm,40 mm\r\nCLS\r\nTEXT 1,1,"3",0,1,1,"' + text + b'"\r\n' + end


@pytest.mark.parametrize(
    ("faults", "byte", "four"),
    [
        ({}, b"\x00", b"@@@@"),
        ({"paper_out": True}, b"\x04", b"E@@A"),
        ({"head_open": True}, b"\x01", b"E@@@"),
        ({"head_open": True, "paper_out": True}, b"\x05", b"E@@A"),
        ({"ribbon_out": True}, b"\x08", b"E@@D"),
        ({"jammed": True}, b"\x02", b"E@@B"),
        ({"paused": True}, b"\x10", b"`@@@"),
    ],
)
def test_tspl_status(tspl, faults, byte, four):
    """ESC ! ? is one byte, ESC ! S four in a frame, also within a bitmap."""
    printer = tspl()
    printer.faults(**faults)
    with printer.connect() as host:
        host.sendall(b"\x1b!?\x1b!S")
        assert exactly(host, 9) == byte + b"\x02" + four + b"\x03\r\n"
        host.sendall(b"CLS\r\nBITMAP 0,0,2,4,1,ab\x1b!?")
        assert exactly(host, 1) == byte


def test_tspl_answers(tspl):
    """Model, mileage and the count of labels since it was switched on; OUT in its turn."""
    printer = tspl("--model", "TX-1")
    with printer.connect() as host:
        host.sendall(b"~!T~!@")
        assert read_until(host, b"0\r") == b"TX-1\r\n0\r"
        host.sendall(a_tspl_label(b"a", b"PRINT 2,2\r\n") + b'OUT "n=";@LABEL\r\n')
        assert read_until(host, b"\r\n") == b"n=4\r\n"
        assert printer.request("POST", "/reset")[0] == 200
    with printer.connect() as host:
        host.sendall(b"OUT @LABEL\r\n")
        assert read_until(host, b"\r\n") == b"0\r\n"
    assert printer.state()["odometer"] == 4


def test_tspl_bitmaps_are_taken_by_their_size(tspl):
    """What looks like commands within a bitmap or a quoted text is data."""
    bits = b"PRINT 1\r\nCLS\r\nOUT"
    label = a_tspl_label(b"PRINT 1", b"BITMAP 0,0,%d,1,1,%s\r\nPRINT 1\r\n" % (len(bits), bits))
    printer = tspl()
    printer.send(label)
    printer.wait(printed=1, queue=0, partial=False)
    assert printer.labels() == [label]


def test_tspl_half_a_label(tspl):
    """Half a label stays until CLS; a second PRINT prints the same again."""
    printer = tspl()
    printer.send(a_tspl_label(b"half", b""))
    printer.wait(connections=0, partial=True)
    printer.send(a_tspl_label(b"whole") + b"PRINT 1\r\n")
    printer.wait(printed=2, partial=False)
    assert printer.labels() == [a_tspl_label(b"whole"), a_tspl_label(b"whole") + b"PRINT 1\r\n"]


def test_a_broken_off_bitmap_swallows_what_the_next_host_sends(start_usb):
    """On a cable the printer goes on with the bitmap that a dead host left unfinished; a reset, obeyed within
    it, ends that."""
    printer = start_usb("--language", "tspl")
    UsbHost(printer.usb).write(b"CLS\r\nBITMAP 0,0,10,100,1,abc")
    printer.wait(partial=True)
    host = UsbHost(printer.usb)
    host.write(a_tspl_label(b"swallowed"))
    host.write(b"\x1b!R" + a_tspl_label(b"comes"))
    printer.wait(printed=1, partial=False)
    assert printer.labels() == [a_tspl_label(b"comes")]


@pytest.mark.parametrize("language", ["zpl", "tspl"])
def test_reprint_can_be_switched_off(start, language):
    """A label that was cut is not printed again when the language or the tester says so."""
    off = {"zpl": b"^XA^JZN^XZ", "tspl": b"SET REPRINT OFF\r\n"}[language]
    make = {"zpl": a_format, "tspl": a_tspl_label}[language]
    printer = start("--language", language)
    for count, (before, fault) in enumerate([(off, None), (b"", False), (b"", True)]):
        printer.faults(paper_out_after_labels=0, reprint=fault)
        printer.send(before + make(b"cut"))
        printer.wait(paper="out", queue=int(fault is True))
        assert len(printer.state()["cut"]) == count + 1
        printer.faults(paper_out=False)
        printer.wait(queue=0)
    assert len(printer.labels()) == 1


# ---------------------------------------------------------------- more answers, and none


def test_zebra_error_and_identity(start):
    """~HQES lists errors and warnings by their digits, ~HI model, version, resolution and memory."""
    printer = start("--model", "ZX1")
    printer.faults(paper_out=True, head_open=True, paused=True, paper_low=True)
    with printer.connect() as host:
        host.sendall(b"~HQES\r\n")
        answer = read_until(host, b"\x03")
        host.sendall(b"~HI")
        assert read_until(host, b"\r\n") == b"\x02ZX1,V1.00,8,8192KB\x03\r\n"
        assert ask(host, GETVAR % b"media.status") == b"out"
        assert ask(host, GETVAR % b"odometer.total_print_length") == b"0 INCHES, 0 CENTIMETERS"
    assert answer == (
        b"\x02\r\nPRINTER STATUS\r\nERRORS: 1 00000000 00010005\r\nWARNINGS: 1 00000000 00000008\r\n\x03"
    )


def test_pause_and_start_by_command(printer):
    """~PP pauses, ~PS goes on."""
    with printer.connect() as host:
        host.sendall(b"~PP" + a_format(b"x"))
        printer.wait(queue=1)
        assert ask_status(host)[0][2] == "1"
        host.sendall(b"~PS")
        printer.wait(printed=1)


def test_half_answers_and_rubbish(printer):
    """An answer may break off in its middle, or be rubbish."""
    printer.faults(half_answers=True)
    with printer.connect() as host:
        host.sendall(b"~HS\r\n")
        assert len(exactly(host, 41)) == 41
        printer.faults(half_answers=False, babble=True)
        host.sendall(b"~HS\r\n")
        assert exactly(host, 4096)[:3] == b"\0\1\2"
        printer.faults(babble=False)
        assert ask(host, ODOMETER) == b"0"


def test_a_slow_buffer(start):
    """A buffer that is worked through slowly holds labels that the host has long sent."""
    printer = start("--faults", '{"drain_bytes_per_s": 1}')
    with printer.connect() as host:
        host.sendall(a_format(b"a") + a_format(b"b"))
        assert ask_status(host)[0][4] == "002"
    printer.faults(drain_bytes_per_s=None)
    printer.wait(printed=2, queue=0)


def test_several_printers_in_one_program(start):
    """Each has wires, a tray and faults of its own; one control port addresses all."""
    printer = start("--count", "3")
    listed = json.loads(printer.request("GET", "/printers")[1])
    assert len(listed) == 3 and listed[0] == [f"tcp://127.0.0.1:{printer.port}"]
    third = int(listed[2][0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", third), timeout=PATIENCE_S) as host:
        host.sendall(ODOMETER + a_format(b"x"))
        assert exactly(host, 3) == b'"0"'
        assert ask(host, GETVAR % b"device.unique_id") == b"VP000001-3"
    while json.loads(printer.request("GET", "/printers/3/state")[1])["printed"] < 1:
        time.sleep(0.005)
    assert printer.state()["printed"] == 0
    assert (printer.tray / "3" / "000001-1.zpl").read_bytes() == a_format(b"x")
    assert printer.request("POST", "/printers/2/faults", b'{"paused": true}')[0] == 200
    assert printer.state()["faults"]["paused"] is False
    assert printer.request("GET", "/printers/4/state")[0] == 404
