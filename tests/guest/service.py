"""Runs inside the guest, beside real systemd: what a person would do with the service and its printers, and what is seen then.

The first time it ends in the middle of a label, because the machine is switched off; ``again`` is after that. Each step writes what it
saw to ``facts.json``, also when it fails; judging is test_guest.py's.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = ["/srv/labelsvc/tests", "/srv/labelsvc"]

from guest.street import CUT, HUNG, SHARED, TRAY, Api, Printer, number_of, numbers_in, shell, until  # noqa: E402
from guest.usbwire import Plugged  # noqa: E402

EQUALS = ("EQUAL-A", "EQUAL-B")
#: The printer that outlives this machine: its socket is behind the first port of virtio-serial.
OUTSIDE = str(next(Path("/dev").glob("vport*p1"), ""))

AGAIN = sys.argv[1:] == ["again"]
FACTS = SHARED / ("again.json" if AGAIN else "facts.json")
README = Path("/srv/labelsvc/README.md")

facts: dict[str, Any] = {}


def step(do: Callable[[], Any]) -> None:
    """Do it, and write down what came of it and how long it took."""
    began = time.monotonic()
    name = do.__name__
    try:
        facts[name] = do()
    except BaseException:
        facts[name] = {"failed": traceback.format_exc()}
        (SHARED / "journal").write_text(shell("journalctl -b --no-pager -o short-monotonic -n 300"))
    facts.setdefault("took_s", {})[name] = round(time.monotonic() - began, 1)
    FACTS.write_text(json.dumps(facts, indent=1, default=str))
    print(f"guest: {name} {time.monotonic() - began:.1f} s", flush=True)


def show(*names: str) -> dict[str, str]:
    """Properties of the service's unit."""
    asked = " ".join(f"-p {name}" for name in names)
    return dict(line.split("=", 1) for line in shell(f"systemctl show {asked} labelsvc.service").splitlines())


def logged(*events: str) -> list[dict[str, Any]]:
    """What the service logged of these events: the event, its fields, and when, in seconds since the machine started."""
    lines = shell("journalctl -b --no-pager -o json --output-fields=MESSAGE -u labelsvc.service").splitlines()
    found = []
    for line in map(json.loads, lines):
        try:
            said = json.loads(line["MESSAGE"])
        except (TypeError, ValueError):
            continue  # systemd's own words
        if isinstance(said, dict) and said.get("event") in events:
            found.append({**said, "at_s": int(line["__MONOTONIC_TIMESTAMP"]) / 1e6})
    return found


def nodes(vendor: str) -> list[Path]:
    """/sys folders of the devices of a vendor."""
    return [
        path.parent
        for path in sorted(Path("/sys/bus/usb/devices").glob("*/idVendor"))
        if path.read_text().strip() == vendor
    ]


def driver(device: Path) -> str:
    """Who drives the first interface of a device: usblp, usbfs, or nobody."""
    link = next(device.glob(f"{device.name}:*"), device) / "driver"
    return link.resolve().name if link.exists() else ""


def drivers(vendor: str) -> list[str]:
    """Who drives the devices of a vendor."""
    return sorted(driver(node) for node in nodes(vendor))


def own(device: Path) -> dict[str, Any]:
    """How udev left a device's node, and who has its interface."""
    bus, number = ((device / name).read_text().strip() for name in ("busnum", "devnum"))
    node = Path("/dev/bus/usb") / bus.zfill(3) / number.zfill(3)
    seen = node.stat()
    return {
        "group": shell(f"stat -c %G {node}"),
        "owner": seen.st_uid,
        "mode": oct(seen.st_mode & 0o777),
        "tags": shell(f"udevadm info -q property -n {node} | sed -n 's/^TAGS=//p'"),
        "driver": driver(device),
    }


api = Api((SHARED / "token").read_text().strip())
printers: dict[str, Printer] = {}
cables: dict[str, Plugged] = {}


def activated() -> Any:
    """The first request finds only systemd's socket, and is answered all the same."""
    before = show("ActiveState")["ActiveState"]
    with socket.create_connection(("127.0.0.1", 8317), 10) as client:
        client.settimeout(500)
        client.sendall(b"GET /api/v1/printers HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        for meanwhile in (plugged, gadget):
            step(meanwhile)
        answer = client.recv(12).decode()
    until(lambda: show("ActiveState")["ActiveState"] == "active", 60)
    return {
        "before": before,
        "answer": answer,
        **show("ActiveState", "StatusText", "Type", "User", "NRestarts"),
    }


def plugged() -> Any:
    """Two printers, equal but for their serial numbers, and usblp takes both; a third one, outside."""
    for serial in EQUALS:
        printers[serial] = Printer(serial, Path("/run/tray") / serial, usb_id="0a5f:0166")
    cables["OUTSIDE"] = Plugged(OUTSIDE, 7)
    for port, (serial, printer) in enumerate(printers.items()):
        cables[serial] = Plugged(printer.ready().socket, port)
    until(lambda: drivers("0a5f") == ["usblp", "usblp"])
    shell("udevadm settle")
    return [own(node) for node in nodes("0a5f")]


def sandbox() -> Any:
    """What the kernel says of the processes."""
    worker = shell("systemctl show -p MainPID --value labelsvc.service")
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {name: status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}


def gadget() -> Any:
    """Another USB stack's printer, with our transport alone: its id, its status, bytes both ways, usblp before and after."""
    from guest import gadget as made

    # The room's face would import the whole house, which takes half a minute here.
    room = types.ModuleType("labelsvc.printing")
    room.__path__ = ["/srv/labelsvc/labelsvc/printing"]
    sys.modules[room.__name__] = room
    from labelsvc.printing.transports import parse_uri

    printer = made.Gadget()
    (node,) = until(lambda: nodes("0525"))
    before = until(lambda: driver(node) == "usblp" and "usblp", 20)
    link: Any = parse_uri("usb://0525:a4a8/GADGET%201").connect()
    try:
        held = driver(node)
        statuses = []
        for byte in (0x18, 0x30):
            printer.status(byte)
            statuses.append(link.port_status())
        data = os.urandom(100_000)
        link.write(data, "label")
        link.flush()
        until(lambda: len(printer.received) >= len(data), 30)
        printer.say(b"\x02030,0,0\x03")
        said = link.read(10)
        id = link.device_id()
    finally:
        link.close()
    after = until(lambda: driver(node) == "usblp" and "usblp", 20)
    whole = bytes(printer.received) == data
    printer.remove()
    return {
        "driver": [before, held, after],
        "device_id": id,
        "statuses": statuses,
        "whole": whole,
        "said": said.decode("latin-1"),
    }


def told_apart() -> Any:
    """Each label at the printer whose serial number was named; each interface is given back to usblp afterwards."""
    jobs = [api.print("A", range(2), "first-a"), api.print("B", range(2, 3), "first-b")]
    states = [[label["state"] for label in api.settled(job)["labels"]] for job in jobs]
    held = drivers("0a5f")
    back = until(driver_free, 40)
    return {
        "states": states,
        "held": held,
        "given_back": bool(back),
        "A": printers["EQUAL-A"].numbers(),
        "B": printers["EQUAL-B"].numbers(),
    }


def paper() -> Any:
    """The status comes over USB: the label waits and says why, and goes by itself."""
    printers["EQUAL-B"].faults(paper_out=True)
    job = api.print("B", range(10, 11), "paper")
    said = until(lambda: (found := _state("B"))["value"] == "not_ready" and found, 60)
    waiting = [label["state"] for label in api.get(f"/jobs/{job}")["labels"]]
    printers["EQUAL-B"].faults(paper_out=False)
    states = [label["state"] for label in api.settled(job)["labels"]]
    return {"said": said, "waiting": waiting, "states": states, "paper": printers["EQUAL-B"].numbers()}


def woken() -> Any:
    """A resting printer, unplugged and plugged in again: what the service logged of it, and when."""
    began = until(lambda: driver_free() and time.monotonic(), 40)
    cables["EQUAL-B"].unplug()
    until(lambda: _state("B")["value"] == "not_ready")
    cables["EQUAL-B"] = Plugged(printers["EQUAL-B"].socket, 5)
    until(lambda: _state("B")["value"] == "ready")
    id = next(each["id"] for each in api.get("/printers")["items"] if each["name"] == "B")
    found = logged("printer.unplugged", "printer.plugged", "printer.not_ready", "printer.ready")
    return {
        "log": [
            (line["event"], line["at_s"])
            for line in found
            if line["at_s"] > began and (line.get("printer") == id or "EQUAL-B" in line.get("uri", ""))
        ],
    }


def driver_free() -> bool:
    """Whether the service has let its printers go."""
    return drivers("0a5f") == ["usblp", "usblp"]


def _state(name: str) -> Any:
    return next(each for each in api.get("/printers")["items"] if each["name"] == name)["state"]


def replugged() -> Any:
    """Unplugged in the middle of a batch and plugged in elsewhere: it goes on; what was in the air is asked of the person."""
    printer = printers["EQUAL-A"]
    printer.faults(bytes_per_s=60)
    job = api.print("A", range(20, 24), "batch")
    until(lambda: number_of(20) in printer.numbers(), 90)
    until(lambda: "sending" in [label["state"] for label in api.get(f"/jobs/{job}")["labels"]], 30)
    cables["EQUAL-A"].unplug()
    unplugged = until(lambda: (found := _state("A"))["value"] != "ready" and found, 60)
    at_once = [label["state"] for label in api.get(f"/jobs/{job}")["labels"]]
    printer.faults(bytes_per_s=None)
    cables["EQUAL-A"] = Plugged(printer.socket, 4)
    states, asked = _until_printed(job, printer.numbers)
    on_paper = [number for number in printer.numbers() if number >= number_of(20)]
    return {"unplugged": unplugged, "at_once": at_once, "asked": asked, "states": states, "paper": on_paper}


def _until_printed(job: str, tray: Callable[[], list[str]]) -> tuple[list[str], list[str]]:
    """The labels' states in the end, and what a person was asked who looks into the tray once the printer stands still."""
    asked: list[str] = []
    labels: list[Any] = []

    def ended() -> bool:
        nonlocal labels
        labels = api.settled(job)["labels"]
        for label in labels:
            if label["state"] == "uncertain":
                seen: list[str] = []
                while seen != (seen := tray()) or not seen:
                    time.sleep(4)
                came_out = label["title"] in seen
                if api.resolve(label["id"], came_out):
                    asked.append(label["title"])
        return all(label["state"] == "printed" for label in labels)

    until(ended, 120)
    return [label["state"] for label in labels], asked


def alive() -> Any:
    """The heartbeat goes on."""
    first = show("WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"]
    step(by_hand)
    beat = until(lambda: show("WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"] != first, 60)
    return {"beat": bool(beat), **show("NRestarts", "ActiveState", "WatchdogUSec")}


def by_hand() -> Any:
    """README's command on the service's data, beside the running service."""
    (command,) = re.findall(r"`(systemd-run [^`]+)`", README.read_text())
    state = "stat -c '%n %U %a' /var/lib/private/labelsvc /var/lib/private/labelsvc/*"
    before = shell(state)
    ran = subprocess.run(command, shell=True, capture_output=True, text=True)
    return {
        "status": ran.returncode,
        "said": ran.stdout,
        "errors": ran.stderr,
        "before": before.splitlines(),
        "after": shell(state).splitlines(),
    }


def cut() -> Any:
    """Four labels are accepted; somewhere in them the power goes."""
    job = api.print("OUTSIDE", CUT, "cut")
    (SHARED / "accepted").write_text(job)  # straight through to the other machine
    time.sleep(300)


def recovered() -> Any:
    """The same disk after the cut. The service was started by the boot, as on any morning; the PC asks again, a person is asked."""
    cables["OUTSIDE"] = Plugged(OUTSIDE, 7)
    found = {"file_system": shell("dmesg | grep -F 'EXT4-fs (vdc)'")}
    found["job"] = job = api.print("OUTSIDE", CUT, "cut")
    found["states"], found["asked"] = _until_printed(job, lambda: numbers_in(TRAY))
    return {**found, **_story(job)}


def hung() -> Any:
    """Every process of the service stands still in the middle of a label, until systemd misses the heartbeat."""
    before = show("NRestarts")["NRestarts"]
    job = api.print("OUTSIDE", HUNG, "hung")
    until(lambda: number_of(HUNG[0]) in numbers_in(TRAY))
    left = until(lambda: (now := _states(job)).count("sending") == 1 and now)
    shell("systemctl kill --signal=STOP labelsvc.service")
    until(lambda: show("NRestarts")["NRestarts"] != before, 200, 1)
    states, asked = _until_printed(job, lambda: numbers_in(TRAY))
    return {
        "left": left,
        "restarts": [before, show("NRestarts")["NRestarts"]],
        "said": shell("journalctl -b --no-pager -o cat -u labelsvc.service | grep -i watchdog"),
        "states": states,
        "asked": asked,
        **_story(job),
    }


def _states(job: str) -> list[str]:
    return [label["state"] for label in api.get(f"/jobs/{job}")["labels"]]


def _story(job: str) -> dict[str, Any]:
    """The states that each number took, one after the other, and every number that came out so far."""
    titles = {label["id"]: label["title"] for label in api.get(f"/jobs/{job}")["labels"]}
    taken: dict[str, list[str]] = {title: [] for title in titles.values()}
    for item in api.get(f"/jobs/{job}/history")["items"]:
        taken[titles[item["label_id"]]].append(item["after"])
    return {"taken": taken, "paper": numbers_in(TRAY)}


if __name__ == "__main__":
    first = (activated, sandbox, told_apart, paper, woken, replugged, alive, cut)
    for each in (recovered, hung) if AGAIN else first:
        step(each)
    (SHARED / "ended").touch()
