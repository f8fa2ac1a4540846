"""``labelsvc doctor``: what hinders printing is found, named with its culprit, and has a remedy."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.daemon import environment

from labelsvc import doctor
from labelsvc.daemon import assemble
from labelsvc.doctor import Disk, Node, Process, Queue, UsbPrinter, Who
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
    assert {"disk", "clock", "key", "database", "port", "libusb", "usb", "cups", "fonts"} <= {
        finding["check"] for finding in findings
    }
    assert all(finding["remedy"] for finding in findings if finding["verdict"] != "ok")
    assert [finding["check"] for finding in findings if finding["verdict"] == "problem"] == ["key"]
