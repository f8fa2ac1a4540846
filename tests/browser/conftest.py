"""Fixtures of the browser tests: the real daemon with the demo's people, the mock network, the virtual printer, and Chromium."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.daemon import Daemon, running_daemon
from support.programs import MockCarrier, VirtualPrinter, mock_carrier, virtual_printer

from labelsvc.daemon import Rooms, assemble
from labelsvc.demo import FACTORY, USER, set_up
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor
from labelsvc.settings import load

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
_ARGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@dataclass(frozen=True)
class Street:
    """Everything that runs: the daemon and what stands across the street from it."""

    daemon: Daemon
    mock: MockCarrier
    printer: VirtualPrinter
    rooms: Rooms

    @property
    def factory(self) -> Actor:
        """The factory's owner."""
        return Actor.operator(self.rooms.accounts.store(FACTORY).id, via="test")

    def link(self) -> str:
        """A one-time sign-in link for the factory's owner."""
        code = self.rooms.accounts.create_sign_in(self.factory, USER).secret
        return f"{self.daemon.address}/sign-in#{code}"


@pytest.fixture(scope="session")
def street(tmp_path_factory):
    """The demo's people on the real programs."""
    place: Path = tmp_path_factory.mktemp("street")
    with mock_carrier(place) as mock, virtual_printer(place) as printer:
        chosen = {
            "state_dir": str(place / "state"),
            "port": 0,
            "network_url": mock.url,
            "network_client_id": CLIENT_ID,
            "network_client_secret": CLIENT_SECRET,
            "printer_retry_s": 0.3,
        }
        rooms = assemble(load(**chosen))
        set_up(rooms, "browser-tests", printer.uri)
        with running_daemon(chosen, place / "daemon.log") as daemon:
            yield Street(daemon, mock, printer, rooms)
        rooms.database.close()


@pytest.fixture(scope="session")
def chromium():
    """A real Chromium, headless; skipped where there is none."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium at /usr/bin/chromium; CHROMIUM names another place")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, street):
    """A fresh page, signed in as the factory's owner, that fails the test if a script fails or the policy blocks something."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    found = context.new_page()
    wrong: list[str] = []
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on(
        "console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None
    )
    found.set_default_timeout(15_000)
    found.goto(street.link())
    found.wait_for_url("**/orders")
    yield found
    context.close()
    assert wrong == []
