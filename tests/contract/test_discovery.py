"""Printers are found on the USB bus and on the network, and proposed: nothing is stored, nothing printed, nobody scanned."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.programs import virtual_printer
from support.usb_backend import Bus, Plug
from support.web import House, build

from labelsvc.daemon import assemble
from labelsvc.errors import Forbidden, Invalid
from labelsvc.languages.identity import Identity
from labelsvc.printing import Discovery, Printers, Profiles, Spooler
from labelsvc.printing.discovery import Found, network_printer, usb_printers
from labelsvc.security import Actor, StoreKind
from labelsvc.settings import load


def plug(bus: Path, port: str, ids: str = "0a5f:0185", serial: str = "", **texts: str) -> Path:
    """A device on a made-up bus, laid out as the kernel does; its interface's folder."""
    device, interface = bus / port, bus / f"{port}:1.0"
    device.mkdir(parents=True)
    interface.mkdir()
    vendor, _, product = ids.partition(":")
    (device / "idVendor").write_text(f"{vendor}\n")
    (device / "idProduct").write_text(f"{product}\n")
    if serial:
        (device / "serial").write_text(f"{serial}\n")
    for name in ("manufacturer", "product"):
        if name in texts:
            (device / name).write_text(f"{texts[name]}\n")
    (interface / "bInterfaceClass").write_text(texts.get("class_", "07") + "\n")
    (interface / "bInterfaceProtocol").write_text(texts.get("protocol", "02") + "\n")
    if "ieee1284_id" in texts:
        (interface / "ieee1284_id").write_text(f"{texts['ieee1284_id']}\n")
    return interface


def test_printers_are_read_from_the_bus(tmp_path: Path):
    """Told by serial number; by port where it has none, or shares it; what prints no language, or isn't a printer, is no proposal."""
    plug(
        tmp_path, "1-1", serial="D2J/19 8", manufacturer="Zebra Technologies", product="ZTC ZD421-203dpi ZPL"
    )
    plug(tmp_path, "1-2", ids="2d37:83d7", ieee1284_id="MFG:TSC;MDL:TE200;CMD:TSPL;")
    plug(tmp_path, "1-3.1", ids="0483:5743", serial="0000")
    plug(tmp_path, "1-3.2", ids="0483:5743", serial="0000")
    plug(tmp_path, "2-1", ids="1111:2222", class_="03")
    plug(tmp_path, "2-2", ids="1111:2222", protocol="04")
    assert usb_printers(tmp_path) == [
        Found(
            "usb://0a5f:0185/D2J%2F19%208",
            "ZTC ZD421-203dpi ZPL",
            Identity("Zebra Technologies", "ZTC ZD421-203dpi ZPL", (), 203),
            ("USB",),
        ),
        Found("usb://2d37:83d7/@1-2", "TE200", Identity("TSC", "TE200", ("tspl",)), ("IEEE 1284",)),
        Found("usb://0483:5743/@1-3.1", "", Identity(), ("USB",)),
        Found("usb://0483:5743/@1-3.2", "", Identity(), ("USB",)),
    ]
    assert usb_printers(tmp_path / "no bus") == []


def test_a_plugged_printer_is_proposed_and_wakes_its_thread(sqlite_database, factory, tmp_path: Path):
    """P13: what comes and goes is seen at once by who waits for it; a printer that the store has is named, not proposed anew."""
    printers = Printers(sqlite_database, Profiles())
    discovery = Discovery(printers, bus=tmp_path)
    discovery.start()
    try:
        assert discovery.found(factory) == []
        mine = printers.add(factory, "bench 7", "usb://0A5F:0185/D2J19", "zebra-zd421-203")
        woken = printers.wakeups.of_printer(mine.id)
        woken.clear()
        plug(tmp_path, "1-1", serial="D2J19", product="ZTC ZD421-203dpi ZPL")
        discovery._usb.look()  # what the kernel's word leads to; the kernel itself speaks in the guest's tests
        assert woken.is_set()
        [there] = discovery.found(factory)
        assert (there.profile, there.known, there.added_as) == ("zebra-zd421-203", True, "bench 7")
        woken.clear()
        discovery._usb.look()
        assert not woken.is_set()
        (tmp_path / "1-1:1.0" / "bInterfaceClass").unlink()
        discovery._usb.look()
        assert woken.is_set()
        assert discovery.found(factory) == []
    finally:
        discovery.stop()


def test_a_resting_printer_is_looked_at_when_something_was_plugged(tmp_path: Path):
    """Its own rounds are a minute apart, ten seconds where it was gone: what the kernel tells is sooner (P8)."""
    with (
        virtual_printer(tmp_path, usb=tmp_path / "usb") as device,
        Bus([Plug(tmp_path / "usb")]).installed(),
    ):
        rooms = assemble(load(state_dir=tmp_path / "state"))
        store = rooms.accounts.create_store("青山工厂", StoreKind.FACTORY)
        desk = Actor.operator(store.id, via="test")
        printer = rooms.printers.add(desk, "bench 7", uri=device.uri, profile="virtual-zpl-203")
        spooler = Spooler(rooms.database, rooms.printers, rooms.jobs)
        spooler.start()

        def comes(value: str) -> bool:
            deadline = time.monotonic() + 6
            while (said := rooms.printers.get(desk, printer.id).state.value) != value:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            return said == value

        try:
            assert comes("ready")
            device.faults(unplugged=True)
            rooms.printers.wake_usb()
            assert comes("not_ready")
            device.faults(unplugged=False)
            rooms.printers.wake_usb()
            assert comes("ready")
        finally:
            spooler.stop()
            rooms.database.close()


@pytest.mark.parametrize(
    ("service", "told", "expected"),
    [
        (
            "_pdl-datastream._tcp.local.",
            {"ty": "Zebra ZTC ZD621-300dpi ZPL", "usb_MFG": "Zebra Technologies", "usb_CMD": "ZPL"},
            Found(
                "tcp://192.0.2.7:9100",
                "Zebra ZTC ZD621-300dpi ZPL",
                Identity("Zebra Technologies", "Zebra ZTC ZD621-300dpi ZPL", ("zpl",), 300),
                ("mDNS",),
            ),
        ),
        ("_pdl-datastream._tcp.local.", {}, Found("tcp://192.0.2.7:9100", "", Identity(), ("mDNS",))),
        (
            "_pdl-datastream._tcp.local.",
            {"product": "(TE200)\x1b[2J"},
            Found("tcp://192.0.2.7:9100", "TE200)[2J", Identity("", "TE200)[2J"), ("mDNS",)),
        ),
        ("_ipp._tcp.local.", {"rp": "ipp/print", "ty": "an office printer"}, None),
    ],
)
def test_an_announcement_is_read(service: str, told: dict[str, str], expected: Found | None):
    """What a service tells of itself are words, whatever it says; one that takes no printer language is none for us."""
    assert network_printer(service, "192.0.2.7", 9100, told) == expected


@contextmanager
def announced(name: str, port: int, **told: str):
    """A printer that announces itself on loopback."""
    from zeroconf import ServiceInfo, Zeroconf

    kind = "_pdl-datastream._tcp.local."
    info = ServiceInfo(
        kind,
        f"{name}.{kind}",
        port,
        properties=told,
        server=f"{name}.local.",
        addresses=[socket.inet_aton("127.0.0.1")],
    )
    speaker = Zeroconf(interfaces=["127.0.0.1"], use_asyncio=False)  # a browser's test may have left a loop
    try:
        speaker.register_service(info)
        yield lambda: speaker.unregister_service(info)
    finally:
        speaker.close()


def until(condition, seconds: float = 20):
    """Wait until it holds; say so if it doesn't."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_a_printer_on_the_network_is_found_and_forgotten(sqlite_database, factory):
    """A real announcement is found by a real browser, and gone after its goodbye; whose thread started it doesn't matter."""
    printers = Printers(sqlite_database, Profiles())
    discovery = Discovery(printers, usb=False, network=True, interfaces=["127.0.0.1"])

    async def start():
        discovery.start()

    with ThreadPoolExecutor(1) as another:
        another.submit(asyncio.run, start()).result()  # its loop ends here, the discovery doesn't
    try:
        with announced("label-printer-4711", 9103, ty="TSC TTP-244 Pro", usb_CMD="TSPL") as goodbye:

            def mine():
                return [each for each in discovery.found(factory) if each.uri == "tcp://127.0.0.1:9103"]

            until(mine)
            [found] = mine()
            assert (found.profile, found.known, found.said) == ("tsc-ttp-244-pro", True, ("mDNS",))
            goodbye()
            until(lambda: not mine())
    finally:
        discovery.stop()


def test_the_page_and_the_api_show_what_was_found(tmp_path: Path):
    """P13: a found printer is added by a person, with a test page that goes the ordinary way; then it is found no more."""
    rooms = build(tmp_path / "state")
    plug(tmp_path / "bus", "1-1", serial="D2J19", product="ZTC ZD421-203dpi ZPL")
    discovery = Discovery(rooms.printers, bus=tmp_path / "bus")
    discovery._usb.look()
    house = House(replace(rooms, discovery=discovery))
    owner = house.caller("云上小店")
    [found] = owner.get("/printers/found").json["items"]
    assert (found["uri"], found["profile"], found["added_as"]) == (
        "usb://0a5f:0185/D2J19",
        "zebra-zd421-203",
        None,
    )
    browser = house.app.test_client()
    headers = {"Host": "localhost", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    browser.post("/sign-in", data={"secret": owner.token}, headers=headers)
    page = browser.get("/printers", headers=headers).get_data(as_text=True)
    assert "发现的打印机" in page
    link = re.search(r'href="(/printers/new\?[^"]+)"', page)
    form = browser.get(link[1].replace("&amp;", "&"), headers=headers).get_data(as_text=True)
    assert 'value="usb://0a5f:0185/D2J19"' in form
    csrf = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', form)[1]
    given = {
        "name": "打包台 7",
        "uri": found["uri"],
        "profile": found["profile"],
        "test": "on",
        "csrf_token": csrf,
    }
    answer = browser.post("/printers/new", data=given, headers=headers)
    assert answer.status_code == 303 and "/jobs/" in answer.headers["Location"], answer.headers
    assert "发现的打印机" not in browser.get("/printers", headers=headers).get_data(as_text=True)
    assert [each["added_as"] for each in owner.get("/printers/found").json["items"]] == ["打包台 7"]
    [job] = owner.get("/jobs").json["items"]
    assert job["state"] == "queued"


def test_who_may_not_manage_printers_sees_none(sqlite_database, factory, accounts):
    """What hangs on the machine is no business of who can't add it."""
    discovery = Discovery(Printers(sqlite_database, Profiles()), usb=False)
    with pytest.raises(Forbidden):
        discovery.found(replace(factory, rights=frozenset()))


def test_only_what_answers_is_probed(sqlite_database, factory, tmp_path: Path):
    """A folder is asked nothing."""
    with pytest.raises(Invalid):
        Printers(sqlite_database, Profiles()).probe(factory, f"file://{tmp_path}")
