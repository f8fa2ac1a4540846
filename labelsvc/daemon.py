"""The roof: assembles the rooms from the settings, starts what runs by itself, and stops it in order."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelsvc.db import Database
from labelsvc.dropship import Bindings, Orders
from labelsvc.errors import LabelsvcError
from labelsvc.labels import StandardTemplates, compose
from labelsvc.languages import Target, encode
from labelsvc.log import configure, get_logger
from labelsvc.migrations import migrate
from labelsvc.printing import Printers, PrintJobs, Profiles, Spooler, Wakeups
from labelsvc.security import Accounts, Sealer
from labelsvc.settings import Settings
from labelsvc.waybills import Divisions, PlatformNetwork, SenderAddresses, Subscriptions, Waybills

if TYPE_CHECKING:
    from flask import Flask

log = get_logger("daemon")

#: How often waybills left open are looked after, and printing's news read.
ROUND_S = 1.0


#: The least that a waybill template prints.
_WARM_UP_DATA = {
    "waybillCode": "00000000000000",
    "carrierName": "快递",
    "routingInfo": {"routeCode": "000"},
    "recipient": {"name": "收件人", "mobile": "00000", "address": {"detail": "地址"}},
}


@dataclass(frozen=True)
class Rooms:
    """The assembled house: what every door opens on."""

    settings: Settings
    database: Database
    sealer: Sealer
    accounts: Accounts
    profiles: Profiles
    templates: StandardTemplates
    wakeups: Wakeups
    printers: Printers
    jobs: PrintJobs
    addresses: SenderAddresses
    subscriptions: Subscriptions
    waybills: Waybills
    bindings: Bindings
    orders: Orders


def assemble(settings: Settings) -> Rooms:
    """Open the database (bringing its schema up to date) and put the rooms on one another; starts nothing."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealer = Sealer.from_file(settings.key_file)
    database = Database(settings.database, sealer=sealer)
    migrate(database)
    profiles, templates, wakeups = Profiles(), StandardTemplates(), Wakeups()
    printers = Printers(database, profiles, wakeups)
    jobs = PrintJobs(database, printers, templates, wakeups)
    network = PlatformNetwork(
        settings.network_url,
        settings.network_client_id,
        settings.network_client_secret.get_secret_value(),
        settings.network_timeout_s,
    )
    addresses = SenderAddresses(database, Divisions())
    subscriptions = Subscriptions(database, network, settings.one_point_per_address)
    waybills = Waybills(database, network, jobs, printers, settings.network_timeout_s)
    accounts = Accounts(database)
    return Rooms(
        settings=settings,
        database=database,
        sealer=sealer,
        accounts=accounts,
        profiles=profiles,
        templates=templates,
        wakeups=wakeups,
        printers=printers,
        jobs=jobs,
        addresses=addresses,
        subscriptions=subscriptions,
        waybills=waybills,
        bindings=Bindings(database, accounts),
        orders=Orders(database, accounts, waybills, addresses),
    )


class Rounds:
    """A thread that settles what a crash or a time-out left open with the network, and reads which labels were printed."""

    def __init__(self, subscriptions: Subscriptions, waybills: Waybills) -> None:
        self._duties = (subscriptions.settle, waybills.settle, waybills.follow_printing)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go, name="rounds", daemon=True)

    def start(self) -> None:
        """Begin; the first round is at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round in hand."""
        self._stopped.set()
        self._thread.join(10)

    def _go(self) -> None:
        while not self._stopped.is_set():
            for duty in self._duties:
                try:
                    duty()
                except LabelsvcError as error:
                    log.warning("round.failed", duty=duty.__qualname__, code=error.code)
                except Exception:
                    log.exception("round.broke", duty=duty.__qualname__)
            self._stopped.wait(ROUND_S)


def _warm_up(templates: StandardTemplates) -> None:
    """Load fonts and parse templates while nobody waits for them: the first label would pay a second for it."""
    for name in templates.names():
        try:
            encode(compose(templates.get(name), _WARM_UP_DATA), Target("zpl"))
        except LabelsvcError as error:
            log.warning("daemon.not_warm", template=name, code=error.code)


def serve(settings: Settings) -> None:
    """Run the daemon in the foreground until SIGTERM or SIGINT.

    Prints ``labelsvc listening on ADDRESS`` when it answers. The worker process alone holds the database, the printers
    and the rounds; the arbiter beside it holds the port and restarts the worker should it die.
    """
    from labelsvc.web import create_app
    from labelsvc.web import serve as serve_http

    configure(settings.log_level)
    running: list[Spooler | Rounds] = []

    def make_app() -> Flask:
        rooms = assemble(settings)
        if settings.spooler:
            running.append(
                Spooler(
                    rooms.database,
                    rooms.printers,
                    rooms.jobs,
                    poll_s=settings.poll_s,
                    printer_retry_s=settings.printer_retry_s,
                    proof_timeout_s=settings.proof_timeout_s,
                )
            )
        threading.Thread(target=_warm_up, args=(rooms.templates,), name="warm-up", daemon=True).start()
        running.append(Rounds(rooms.subscriptions, rooms.waybills))
        for part in running:
            part.start()
        return create_app(rooms, settings)

    def ready(address: str) -> None:
        log.info("daemon.ready", listening=address)
        print(f"labelsvc listening on {address}", flush=True)

    def stop() -> None:
        for part in running:
            part.stop()
        log.info("daemon.stopped")

    serve_http(make_app, settings, on_ready=ready, on_stop=stop)
