"""The service on a machine of its own: real systemd, a real kernel's USB, and a power cut that takes what was only in memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guest.machine import Machine, Missing
from guest.street import CUT, HUNG, number_of, numbers_in
from support.programs import VirtualPrinter, virtual_printer

from labelsvc.daemon import assemble
from labelsvc.security import Actor, Role, StoreKind
from labelsvc.settings import load

SHIPPED = Path(__file__).parents[2] / "systemd"
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("guest")]

_TARGET = """[Unit]
Description=All that the tests need
Requires=systemd-udevd.service labelsvc.socket seen.service dbus.socket
After=labelsvc.socket
AllowIsolate=yes
"""
_SEEN = """[Unit]
After=systemd-udevd.service labelsvc.socket dbus.socket
[Service]
ExecStartPre=/sbin/modprobe -a usblp dummy_hcd vhci-hcd usb_f_printer
ExecStart=/opt/labelsvc/bin/python /srv/labelsvc/tests/guest/service.py {when}
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
"""
#: What Debian starts besides, and nobody needs here.
_MASKED = """systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-sysusers.service systemd-machine-id-commit.service
systemd-update-utmp.service systemd-hwdb-update.service systemd-random-seed.service systemd-timesyncd.service systemd-sysctl.service
systemd-modules-load.service systemd-binfmt.service systemd-remount-fs.service systemd-firstboot.service systemd-boot-system-token.service
systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-pstore.service systemd-journal-flush.service systemd-ask-password-console.path
kmod-static-nodes.service apparmor.service ldconfig.service keyboard-setup.service console-setup.service
systemd-udev-trigger.service systemd-repart.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount
sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-ask-password-wall.path cups.service cups.socket cups.path
cups-browsed.service printer.target polkit.service"""


def _missing(reason: Missing) -> None:
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(str(reason))
    pytest.skip(str(reason))


def _state(folder: Path, printers: dict[str, str]) -> str:
    """A state directory with a store and its printers; the owner's token."""
    rooms = assemble(load(state_dir=folder))
    store = rooms.accounts.create_store("青山工厂", StoreKind.FACTORY)
    actor = Actor.operator(store.id, via="test")
    rooms.accounts.create_user(actor, "owner", Role.OWNER)
    for name, uri in printers.items():
        rooms.printers.add(actor, name, uri=uri, profile="virtual-zpl-203")
    token = rooms.accounts.create_token(actor, "owner", "test").secret
    rooms.database.close()
    return token


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What was seen in a guest with systemd, which lost its power in the middle of a label and was switched on again: name of a
    step -> its facts."""
    folder = tmp_path_factory.mktemp("guest")
    disk, outside = folder / "disk.img", folder / "outside.usb"
    devices = [
        *("-drive", f"file={disk},format=raw,if=virtio,cache=writeback"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=printer,path={outside}"),
        *("-device", "virtserialport,chardev=printer"),
    ]
    machine = Machine(folder, devices)
    _furnish(machine, disk)
    tray = machine.shared / "tray"
    with virtual_printer(
        folder, tray=tray, usb=outside, usb_id="1203:0230", serial="OUTSIDE", bytes_per_s=60
    ) as printer:
        try:
            machine.start()
            machine.wait_for(machine.shared / "accepted", 700)
            _until(lambda: _in_a_label(printer))
            came_out = printer.state()["printed"]
            machine.kill()  # the power cut
            facts = {"cut": {"came_out": [came_out, printer.state()["printed"]], "disk": _features(disk)}}
            _again(machine)
            machine.start()
            machine.wait_for(machine.shared / "ended", 700)
        except Missing as missing:
            _missing(missing)
        finally:
            machine.kill()
            print(machine.console[-3000:])
            if (machine.shared / "journal").exists():
                print((machine.shared / "journal").read_text()[-6000:])
        _rests(printer)
        facts["tray"] = numbers_in(tray)
    for name in ("facts.json", "again.json"):
        facts |= json.loads((machine.shared / name).read_text())
        print(facts.pop("took_s"))
    facts["accepted"] = (machine.shared / "accepted").read_text()
    print(json.dumps(facts, indent=1, ensure_ascii=False))
    return facts


def _in_a_label(printer: VirtualPrinter) -> bool:
    """Whether something came out, and enough of the next label to be cut is in the printer."""
    state = printer.state()
    return state["printed"] > 0 and state["buffered"] > 20


def _features(disk: Path) -> str:
    """What the file system says of itself, without being touched."""
    told = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, check=True).stdout
    return next(line for line in told.splitlines() if line.startswith("Filesystem features:"))


def _rests(printer: VirtualPrinter) -> None:
    """Until nothing moves in it for as long as thirty of its bytes take."""
    before = None
    while before != (before := (printer.state()["buffered"], printer.state()["partial"], printer.labels())):
        time.sleep(0.5)


def _furnish(machine: Machine, disk: Path) -> None:
    """Units and rule as they are shipped, a state directory on a disk of its own, and what the guest itself needs."""
    files = machine.shared / "files" / "etc"
    units, rules = _units(machine), files / "udev" / "rules.d"
    for folder in (units / "labelsvc.service.d", rules):
        folder.mkdir(parents=True)
    for name in ("labelsvc.service", "labelsvc.socket"):
        shutil.copy(SHIPPED / name, units)
    shutil.copy(SHIPPED / "70-labelsvc.rules", rules)
    # The heartbeat of a slow machine, but soon enough to be seen.
    (units / "labelsvc.service.d" / "watchdog.conf").write_text("[Service]\nWatchdogSec=60\n")
    (units / "guest.target").write_text(_TARGET)
    (units / "seen.service").write_text(_SEEN.format(when=""))
    # It stays the same machine when it is switched on again.
    (files / "machine-id").write_text(f"{1:032x}\n")
    for name in _MASKED.split():
        (units / name).symlink_to("/dev/null")
    state = machine.folder / "state"
    uris = {
        "A": "usb://0a5f:0166/EQUAL-A",
        "B": "usb://0a5f:0166/EQUAL-B",
        "OUTSIDE": "usb://1203:0230/OUTSIDE",
    }
    token = _state(state / "labelsvc", uris)
    (machine.shared / "token").write_text(token)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", state, disk, "64M"], check=True)


def _again(machine: Machine) -> None:
    """The next boot starts the service by itself, and systemd misses its heartbeat sooner."""
    units = _units(machine)
    (units / "labelsvc.service.d" / "watchdog.conf").write_text("[Service]\nWatchdogSec=24\n")
    (units / "guest.target").write_text(_TARGET.replace("Requires=", "Requires=labelsvc.service "))
    (units / "seen.service").write_text(_SEEN.format(when="again"))


def _units(machine: Machine) -> Path:
    return machine.shared / "files" / "etc" / "systemd" / "system"


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_first_request_starts_the_service(seen):
    """Socket activation, and ready when requests are answered: the unit is active, without a restart."""
    found = seen["activated"]
    assert found["before"] == "inactive"
    assert found["answer"] == "HTTP/1.0 401", found
    assert (found["ActiveState"], found["Type"], found["NRestarts"]) == ("active", "notify", "0")
    assert found["StatusText"] == "listening on http://127.0.0.1:8317"


def test_printers_belong_to_the_group_lp(seen):
    """The udev rule, on this kernel and this udev (P5)."""
    assert len(seen["plugged"]) == 2
    for node in seen["plugged"]:
        assert (node["owner"], node["group"], node["mode"], node["driver"]) == (0, "lp", "0o660", "usblp")
        assert ":uaccess:" in node["tags"]


def test_the_service_has_no_rights(seen):
    """No capability, none to be had, and a filter on its system calls."""
    assert seen["sandbox"] == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}


def test_two_equal_printers_are_told_apart(seen):
    """By serial number, through real libusb from inside the sandbox; usblp gets its interfaces back (P5)."""
    found = seen["told_apart"]
    assert found["states"] == [["printed", "printed"], ["printed"]]
    assert (found["A"], found["B"]) == ([number_of(0), number_of(1)], [number_of(2)])
    assert found["given_back"], found


def test_a_printer_of_another_stack_answers(seen):
    """The kernel's own gadget: IEEE 1284 id, port status, 100 kB whole, an answer; usblp before and after (P5)."""
    found = seen["gadget"]
    assert found["driver"] == ["usblp", "usbfs", "usblp"]
    # This kernel's gadget forgets the two bytes of length when it counts, so the last two letters are missing.
    assert found["device_id"] == "MFG:Tests;MDL:Gadget;CMD:ZP"
    assert found["statuses"] == [0x18, 0x30]
    assert (found["whole"], found["said"]) == (True, "\x02030,0,0\x03")


def test_paper_out_is_seen_over_usb(seen):
    """The label waits, the reason is told, and it goes by itself (P8)."""
    found = seen["paper"]
    assert (found["said"]["value"], "paper" in found["said"]["reason"]) == ("not_ready", True)
    assert set(found["waiting"]) <= {"queued", "sending"}
    assert (found["states"], found["paper"]) == (["printed"], [number_of(2), number_of(10)])


def test_a_resting_printer_is_looked_at_when_the_kernel_tells(seen):
    """Unplugged and plugged in again, it is looked at long before the spooler's own rounds would come to it (P8)."""
    found = seen["woken"]
    at_s: dict[str, float] = {}
    for event, at in found["log"]:
        at_s.setdefault(event, at)
    # Its own next round was a minute after the last look.
    assert at_s["printer.unplugged"] < at_s["printer.not_ready"] < at_s["printer.unplugged"] + 30, found
    assert at_s["printer.not_ready"] < at_s["printer.ready"] and "printer.plugged" in at_s, found


def test_a_printer_unplugged_in_a_batch_goes_on_at_another_port(seen):
    """Four labels, the cable pulled within one of them: each on paper once, and at most one was asked for (P7, P8)."""
    found = seen["replugged"]
    assert found["unplugged"]["value"] in ("unknown", "not_ready"), found
    assert "queued" in found["at_once"] and not {"failed", "cancelled"} & set(found["at_once"])
    assert found["states"] == ["printed"] * 4
    assert sorted(found["paper"]) == [number_of(order) for order in range(20, 24)]
    assert len(found["asked"]) <= 1


def test_the_heartbeat_goes_on(seen):
    """Through unplugging and paper out: a printer's trouble isn't the service's."""
    assert (seen["alive"]["beat"], seen["alive"]["NRestarts"], seen["alive"]["ActiveState"]) == (
        True,
        "0",
        "active",
    )


def test_a_command_of_readme_acts_on_the_services_data(seen):
    """As the service's user, beside the running service, whose files stay as they were."""
    found = seen["by_hand"]
    assert (found["status"], "青山工厂" in found["said"]) == (0, True), found
    assert found["before"] == found["after"] and len(found["after"]) > 2


def test_a_power_cut_prints_no_label_twice_and_loses_none(seen):
    """The machine killed in the middle of a label, its memory lost, and started again from its disk: what was accepted comes out, once;
    only the label in the air was asked about, and the others went on by themselves (P2, P7)."""
    assert "needs_recovery" in seen["cut"]["disk"], "the file system was in use when the power went"
    found = seen["recovered"]
    assert "recovery complete" in found["file_system"], found["file_system"]
    assert found["job"] == seen["accepted"], "the accepted job is known by its key"
    assert 1 <= seen["cut"]["came_out"][0] < len(CUT), "it was cut in the middle"
    assert found["states"] == ["printed"] * len(CUT)
    assert sorted(found["paper"]) == [number_of(order) for order in CUT]
    # The last that came out may still have been without proof.
    first, last = seen["cut"]["came_out"]
    in_the_air = {number_of(order) for order in CUT[first - 1 : last + 1]}
    _each_once(found, in_the_air, len(CUT))
    assert [states.count("uncertain") for states in found["taken"].values()].count(1) == 1


def test_a_service_that_stands_still_is_killed_and_prints_no_label_twice(seen):
    """Stopped in the middle of a label: systemd misses the heartbeat, kills it, starts it again, and the batch goes on (P7)."""
    found = seen["hung"]
    assert "Watchdog timeout (limit 24s)!" in found["said"] and "result 'watchdog'" in found["said"], found
    assert int(found["restarts"][1]) == int(found["restarts"][0]) + 1
    assert found["left"].count("sending") == 1 and "queued" in found["left"], "it was stopped in the middle"
    assert found["states"] == ["printed"] * len(HUNG)
    on_paper = [number for number in found["paper"] if number >= number_of(HUNG[0])]
    assert sorted(on_paper) == [number_of(order) for order in HUNG]
    _each_once(found, {number_of(HUNG[found["left"].index("sending")])}, len(HUNG))
    assert seen["tray"] == found["paper"], "nothing came out afterwards"


def _each_once(found: dict[str, Any], in_the_air: set[str], labels: int) -> None:
    """Every number was sent once, or again only after a person had been asked about it: nobody was about any but those in the air."""
    assert len(found["taken"]) == labels
    for number, states in found["taken"].items():
        if number in in_the_air and "uncertain" in states:
            resent = ["queued", "sending", "printed"] if number in found["asked"] else []
            assert states[3:] in (["printed"], resent), (number, states)
            states = [*states[:3], "printed"]
            assert states == ["queued", "sending", "uncertain", "printed"]
        else:
            assert states == ["queued", "sending", "printed"], (number, states)
    assert set(found["asked"]) <= in_the_air
