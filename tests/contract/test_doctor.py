"""``labelsvc doctor``: what hinders printing is found, named with its culprit, and has a remedy."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.cupsd import HINDRANCE, cupsd
from support.daemon import environment
from support.programs import virtual_printer

from labelsvc import doctor
from labelsvc.daemon import assemble
from labelsvc.doctor import Disk, Finding, Node, Process, Queue, UsbPrinter, Who
from labelsvc.printing import reach
from labelsvc.security import Actor, StoreKind
from labelsvc.settings import load

NODE = Node("/dev/bus/usb/001/002", 0o660, 0, 7)
ZEBRA = UsbPrinter("1-2", "Zebra ZD420", "D4J1", NODE, "usblp")
SERVICE = Who(-1, frozenset({7, 20}), "the service")
STRANGER = Who(1000, frozenset({1000}), "this user")
CUPSD = Process(33, "cupsd")
GOOD = Disk("/var/lib/labelsvc", True, True, 10**10, 10**6, "ext4", "rw,relatime", 0.004)
NOW = 1_796_000_000.0


def verdicts(findings) -> list[str]:
    return [finding.verdict for finding in findings]


def one(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("changed", "worst", "word"),
    [
        ({}, "ok", "MB free"),
        ({"exists": False}, "ok", "first start"),
        ({"writable": False}, "problem", "can't be written"),
        ({"free_bytes": 200_000_000}, "warning", "200 MB free"),
        ({"free_bytes": 4_000_000}, "problem", "4 MB free"),
        ({"free_inodes": 10}, "problem", "room for 10 files"),
        ({"free_inodes": None}, "ok", "MB free"),
        ({"kind": "tmpfs"}, "problem", "in memory"),
        ({"kind": "nfs4"}, "problem", "network file system"),
        ({"options": "rw,nobarrier"}, "problem", "barriers"),
        ({"commit_s": 0.4}, "warning", "400 ms"),
    ],
)
def test_a_disk_is_judged_by_what_it_keeps(changed, worst, word):
    """Space, rights, memory, network, barriers, pace (P7)."""
    findings = list(doctor.judge_disk(replace(GOOD, **changed)))
    assert any(finding.verdict == worst and word in finding.found for finding in findings), findings
    assert all(bool(finding.remedy) == (finding.verdict != "ok") for finding in findings)


@pytest.mark.parametrize(
    ("now", "newest", "kept", "verdict", "word"),
    [
        (NOW, NOW - 5, True, "ok", "kept right"),
        (NOW, NOW - 5, None, "ok", "20"),
        (NOW, NOW - 5, False, "warning", "nobody"),
        (3600.0, 0.0, True, "problem", "before this program was made"),
        (NOW, NOW + 3600, True, "warning", "set back"),
    ],
)
def test_a_clock_is_judged(now, newest, kept, verdict, word):
    """Long ago, set back under the service's own files, or kept by nobody."""
    finding = one(doctor.judge_clock(now, NOW - 1000, newest, kept))
    assert (finding.verdict, word in finding.found) == (verdict, True), finding


@pytest.mark.parametrize(
    ("printer", "who", "verdict", "word"),
    [
        (ZEBRA, SERVICE, "ok", "usblp"),
        (replace(ZEBRA, driver=""), SERVICE, "ok", "Zebra ZD420 at 1-2"),
        (ZEBRA, STRANGER, "problem", "this user may not use /dev/bus/usb/001/002"),
        (replace(ZEBRA, node=Node(NODE.path, 0o664, 0, 0)), SERVICE, "problem", "may not use"),
        (replace(ZEBRA, node=Node(NODE.path, 0o666, 0, 0)), STRANGER, "ok", "usblp"),
        (replace(ZEBRA, node=Node(NODE.path, 0o600, 1000, 0)), STRANGER, "ok", "usblp"),
        (replace(ZEBRA, node=None), SERVICE, "problem", "no device file"),
        (replace(ZEBRA, holders=(Process(9, "usb"),)), SERVICE, "problem", "in use by usb (process 9)"),
        (replace(ZEBRA, holders=(Process(9, "labelsvc"),)), SERVICE, "ok", "usblp"),
    ],
)
def test_a_printer_on_usb_is_judged(printer, who, verdict, word):
    """May it be used, and has another program got it (P5)."""
    finding = one(doctor.judge_usb([printer], who))
    assert (finding.verdict, word in finding.found) == (verdict, True), finding


def test_a_queue_of_cups_on_the_same_printer_is_found():
    """By its serial number; without one by its model; elsewhere it is no hindrance (P5)."""
    text = (
        "device for bench: usb://Zebra/ZD420?serial=D4J1\n"
        "device for other: usb://Zebra/ZD420?serial=D4J2\n"
        "device for old: usb://Zebra/ZD420\n"
        "device for net: socket://192.168.1.9:9100\n"
    )
    queues = doctor.parse_lpstat(text)
    assert [queue.name for queue in queues] == ["bench", "other", "old", "net"]
    found = list(doctor.judge_cups([CUPSD], [], queues, [ZEBRA]))
    assert [finding.found.split()[2] for finding in found] == ["bench", "old"]
    assert verdicts(found) == ["problem", "problem"]
    assert "lpadmin -x bench" in found[0].remedy and "cups://bench" in found[0].remedy
    assert verdicts(doctor.judge_cups([], [], queues[:1], [ZEBRA])) == ["warning"], "it may be started again"
    assert verdicts(doctor.judge_cups([CUPSD], [], [Queue("net", queues[3].uri)], [ZEBRA])) == ["ok"]
    assert verdicts(doctor.judge_cups([], [Process(8, "ipp-usb")], [], [ZEBRA])) == ["warning", "ok"]


def test_a_serial_line_is_judged():
    """The group, and who else has it (P5)."""
    node = Node("/dev/ttyUSB0", 0o660, 0, 20)
    assert verdicts(doctor.judge_serial([(node, ())], SERVICE)) == ["ok"]
    assert verdicts(doctor.judge_serial([(node, ())], STRANGER)) == ["problem"]
    assert verdicts(doctor.judge_serial([(node, (Process(4, "ModemManager"),))], SERVICE)) == ["warning"]


def test_the_program_that_took_the_port_is_named():
    """A real one, with its process id; the port is free once it is gone; libusb that is missing is a problem."""
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", listen], stdout=subprocess.PIPE, text=True) as thief:
        port = int(thief.stdout.readline())
        finding = one(doctor.judge_port("127.0.0.1", port, doctor.listeners(port)))
        thief.kill()
    assert (finding.verdict, f"(process {thief.pid})" in finding.found) == ("problem", True), finding
    assert "free" in one(doctor.judge_port("127.0.0.1", port, doctor.listeners(port))).found
    assert one(doctor.judge_port("127.0.0.1", port, None)).verdict == "warning"
    assert one(doctor.judge_port("127.0.0.1", port, [Process(1, "systemd")])).verdict == "ok"
    assert not list(doctor.judge_neighbour(9100, "raw printing", []))
    assert "cupsd" in one(doctor.judge_neighbour(9100, "raw printing", [CUPSD])).found
    assert one(doctor.judge_libusb("")).verdict == "problem"


def test_a_socket_on_ipv6_is_seen_too():
    """Both of the kernel's tables are read."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as held:
        (process,) = doctor.listeners(held.getsockname()[1])
    assert process.pid == os.getpid()


@contextmanager
def _mounted(place: Path, options: str):
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "labelsvc-test", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_full_and_a_read_only_file_system_are_problems(tmp_path):
    """Real ones: 1 MB of memory, then the same without the right to write (P7)."""
    with _mounted(tmp_path / "small", "size=1m,nr_inodes=20") as place:
        found = list(doctor.judge_disk(doctor._disk(place)))
        assert {"in memory", "MB free", "room for"} <= {
            word
            for word in ("in memory", "MB free", "room for")
            for finding in found
            if word in finding.found
        }
        assert set(verdicts(found)) == {"problem"}
    with _mounted(tmp_path / "read only", "ro") as place:
        disk = doctor._disk(place)
        assert (disk.writable, disk.kind) == (False, "tmpfs"), "a space in its name is none of the table's"


def test_devices_are_read_from_the_kernels_folders(tmp_path):
    """As /sys lays them out: an interface of class 7 makes a printer, whatever else the device has."""
    devices = tmp_path / "sys/bus/usb/devices"
    real = tmp_path / "sys/devices/usb1/1-2"
    for name, value in {
        "busnum": "1",
        "devnum": "12",
        "manufacturer": "Zebra ",
        "product": "ZD420",
        "serial": "D4J1",
    }.items():
        (real / name).parent.mkdir(parents=True, exist_ok=True)
        (real / name).write_text(value + "\n")
    devices.mkdir(parents=True)
    for interface, kind in (("1-2:1.0", "03"), ("1-2:1.1", "07")):
        (real / interface).mkdir()
        (real / interface / "bInterfaceClass").write_text(kind + "\n")
        (devices / interface).symlink_to(real / interface)
    (devices / "1-2").symlink_to(real)
    (tmp_path / "sys/bus/usb/drivers/usblp").mkdir(parents=True)
    (real / "1-2:1.1" / "driver").symlink_to(tmp_path / "sys/bus/usb/drivers/usblp")
    node = tmp_path / "dev/bus/usb/001/012"
    node.parent.mkdir(parents=True)
    node.touch(0o640)
    (tmp_path / "proc").mkdir()
    found = one(doctor.usb_printers(tmp_path))
    assert (found.port_path, found.name, found.serial, found.driver) == (
        "1-2",
        "Zebra ZD420",
        "D4J1",
        "usblp",
    )
    assert found.node == Node("/dev/bus/usb/001/012", 0o640, os.getuid(), os.getgid())


def test_keys_and_schemas_are_judged(tmp_path):
    """Nothing yet; then right; then a key that others may read, one that is gone, a schema of the future, a file that is none."""
    settings = load(state_dir=tmp_path / "state")
    assert (
        verdicts(doctor.judge_key(settings.key_file, False))
        == verdicts(doctor.judge_database(settings))
        == ["ok"]
    )
    assert not (tmp_path / "state").exists(), "the doctor makes nothing"
    rooms = assemble(settings)
    assert (
        verdicts(doctor.judge_key(settings.key_file, True))
        == verdicts(doctor.judge_database(settings))
        == ["ok"]
    )
    settings.key_file.chmod(0o640)
    assert "others may read" in one(doctor.judge_key(settings.key_file, True)).found
    settings.key_file.unlink()
    assert "is gone" in one(doctor.judge_key(settings.key_file, True)).found
    with rooms.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    rooms.database.close()
    assert "later version" in one(doctor.judge_database(settings)).found
    (tmp_path / "state" / "labelsvc.db").write_bytes(b"not a database at all " * 200)
    assert one(doctor.judge_database(settings)).verdict == "problem"


def test_the_command_tells_everything_and_its_exit_status_the_sum(tmp_path):
    """As JSON, on a machine where the state directory's key lies open: 1; nothing is said without a remedy."""
    settings = load(state_dir=tmp_path / "state")
    assemble(settings).database.close()
    settings.key_file.chmod(0o644)
    chosen = {**os.environ, **environment({"state_dir": settings.state_dir, "port": 1})}
    command = [sys.executable, "-m", "labelsvc", "doctor"]
    told = subprocess.run([*command, "--json"], capture_output=True, text=True, env=chosen)
    findings = json.loads(told.stdout)
    assert told.returncode == 1, told.stderr
    assert {"disk", "clock", "key", "database", "port", "libusb", "usb", "cups", "printer", "fonts"} <= {
        finding["check"] for finding in findings
    }
    assert all(finding["remedy"] for finding in findings if finding["verdict"] != "ok")
    assert [finding["check"] for finding in findings if finding["verdict"] == "problem"] == ["key"]


def asked(uri, **told):
    """What the doctor says of one printer, without what it holds open elsewhere on this machine."""
    return one(doctor.judge_printers([doctor.Asked(uri, **{"reach": reach(uri, 0.5), **told})]))


@contextmanager
def network_printer(*, held: bool):
    """A raw port of one connection, as many printers have: free, or another's, when it drops whoever comes next. Its bytes are kept."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as port:

        def serve():
            with suppress(OSError):
                while True:
                    peer, _ = port.accept()
                    if not held:
                        got.append(peer.recv(100))
                    peer.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{port.getsockname()[1]}", got
        port.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_printer_on_the_network_is_asked_and_gets_no_byte(tmp_path):
    """Reached: the real virtual printer, and a port that keeps what it gets."""
    with virtual_printer(tmp_path) as printer:
        assert asked(printer.uri).verdict == "ok"
        assert printer.state()["bytes_received"] == 0
    with network_printer(held=False) as (uri, got):
        assert asked(uri) == Finding("printer", "ok", f"{uri} takes connections")
    assert got == [b""]


def test_a_printer_that_holds_anothers_connection_is_busy():
    """It drops whoever comes next."""
    with network_printer(held=True) as (uri, _):
        finding = asked(uri)
    assert finding.verdict == "problem" and "busy" in finding.found and "another computer" in finding.remedy


def test_a_printer_that_refuses_may_be_busy_or_wrong(tmp_path):
    """The virtual printer that takes no further connection; and a port at which nobody is."""
    with virtual_printer(tmp_path, faults={"refuse_connections": True}) as printer:
        finding = asked(printer.uri)
        assert finding.verdict == "problem" and "refuses the connection" in finding.found
        printer.faults(refuse_connections=False)
        assert asked(printer.uri).verdict == "ok"


def test_a_printer_that_is_silent_is_given_up_soon():
    """A port whose queue of connections is full answers nothing, as one that is switched off."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(0)
        uri = f"tcp://127.0.0.1:{port.getsockname()[1]}"
        with socket.create_connection(port.getsockname()):
            began = time.monotonic()
            finding = asked(uri)
    assert finding.verdict == "problem" and "doesn't answer" in finding.found
    assert time.monotonic() - began < 5
    assert "switch it on" in finding.remedy


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("tcp://no-such-printer.invalid:9100", "nobody knows its host's name"),
        ("tcp://255.255.255.255:9100", "no way leads to it"),
        ("cups://127.0.0.1:1/label", "CUPS doesn't answer"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(uri, found):
    """A name that nobody knows (RFC 6761: .invalid), an address that is nobody's, and no CUPS."""
    finding = asked(uri)
    assert (finding.verdict, found in finding.found, bool(finding.remedy)) == ("problem", True, True), finding


def test_who_on_this_machine_is_connected_is_named(tmp_path):
    """Another program here, beside a printer that takes two connections or one; the service itself isn't disturbed."""
    with virtual_printer(tmp_path) as printer, socket.create_connection((printer.host, printer.port)):
        (holder,) = doctor.connected(printer.host, printer.port)
        assert holder.pid == os.getpid()
        assert doctor.connected("localhost", printer.port) == [holder], "by name, over either protocol"
        finding = asked(printer.uri, holders=(holder,))
        assert finding.verdict == "warning" and str(holder) in finding.found and finding.remedy
        printer.faults(refuse_connections=True)
        assert asked(printer.uri, holders=(holder,)).verdict == "problem"
    assert doctor.connected(printer.host, printer.port) == []
    ours = asked(printer.uri, reach=None, holders=(Process(7, "labelsvc"),))
    assert (ours.verdict, "the service is connected" in ours.found) == ("ok", True)
    assert "as root" in asked(printer.uri, holders=None).remedy
    assert (
        asked("tcp://127.0.0.1:9", reach=None, node="bench-2").found
        == "tcp://127.0.0.1:9 is bench-2's; ask there"
    )


@pytest.mark.skipif(bool(HINDRANCE), reason=HINDRANCE)
def test_a_queue_of_cups_is_asked_and_gets_no_job(tmp_path):
    """A real CUPS: ready for raw bytes, rejecting, stopped, for another user only, not there; and what it says is gone with it."""
    queues = dict.fromkeys(("ready", "rejects", "stopped", "theirs", "password"), "socket://127.0.0.1:9")
    closed = "<Policy closed>\n<Limit All>\nAuthType Basic\nRequire valid-user\n</Limit>\n</Policy>"
    with cupsd(queues, more=closed) as cups:
        for command in (
            ["cupsreject", "-h", cups.server, "rejects"],
            ["cupsdisable", "-h", cups.server, "stopped"],
            ["lpadmin", "-h", cups.server, "-p", "theirs", "-u", "allow:somebody"],
            ["lpadmin", "-h", cups.server, "-p", "password", "-o", "printer-op-policy=closed"],
        ):
            subprocess.run([f"/usr/sbin/{command[0]}", *command[1:]], check=True)
        found = {name: asked(cups.uri(name)) for name in (*queues, "absent")}
        jobs = subprocess.run(
            ["lpstat", "-h", cups.server, "-W", "all", "-o"], capture_output=True, text=True
        )
    assert found["ready"] == Finding("printer", "ok", f"{cups.uri('ready')} takes connections")
    assert [found[name].found.partition(": ")[2] for name in found if name != "ready"] == [
        "the queue takes no jobs",
        "the queue is stopped",
        "the queue isn't for the service's user",
        "the queue isn't for the service's user",
        "CUPS has no such queue",
    ]
    assert all(found[name].remedy for name in found if name != "ready")
    assert (jobs.returncode, jobs.stdout) == (0, ""), "no job was made"
    assert "CUPS doesn't answer" in asked(cups.uri("ready")).found


def test_an_answer_that_isnt_cups_is_told():
    """A printer's own raw port, of which somebody wrote ``cups://``."""
    with network_printer(held=False) as (uri, _):
        finding = asked(f"cups://{uri.removeprefix('tcp://')}/label")
    assert (finding.verdict, "isn't CUPS" in finding.found or "doesn't answer" in finding.found) == (
        "problem",
        True,
    )


def test_every_printer_of_every_store_is_asked_once(tmp_path):
    """From the database, read only; without one, or with another version's, nothing is asked."""
    settings = load(state_dir=tmp_path / "state")
    assert doctor.ask_printers(settings) == []
    rooms = assemble(settings)
    with virtual_printer(tmp_path) as printer:
        for shop in ("one", "two"):
            store = rooms.accounts.create_store(shop, StoreKind.FACTORY)
            desk = Actor.operator(store.id)
            rooms.printers.add(desk, "王芳", uri=printer.uri, profile="virtual-zpl-203")
            rooms.printers.add(desk, "folder", uri=f"file://{tmp_path}", profile="zpl-generic-203")
            rooms.printers.browser(desk)
        rooms.database.close()
        found = doctor.ask_printers(settings)
        assert [(each.uri, each.reach) for each in found] == [(printer.uri, "reached")]
        assert "王芳" not in str(list(doctor.judge_printers(found))), "a printer's name may be a person's"
    with sqlite3.connect(tmp_path / "state" / "labelsvc.db") as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    assert doctor.ask_printers(settings) == []
