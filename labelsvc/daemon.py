"""The roof: assembles the rooms from the settings, starts what runs by itself, and stops it in order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from labelsvc.db import Database, News, elapsed
from labelsvc.dropship import Bindings, Orders
from labelsvc.errors import LabelsvcError, Unavailable
from labelsvc.labels import StandardTemplates, compose
from labelsvc.languages import Target, encode
from labelsvc.log import configure, get_logger
from labelsvc.metrics import round_of
from labelsvc.migrations import migrate
from labelsvc.printing import (
    CustomAreas,
    Discovery,
    PictureSources,
    Printers,
    PrintJobs,
    Profiles,
    Spooler,
    Wakeups,
    host_name,
)
from labelsvc.security import Accounts, Audit, Keys, Sealer
from labelsvc.settings import Settings
from labelsvc.systemd import Heartbeat, ServiceManager
from labelsvc.waybills import (
    Batches,
    CarrierLogos,
    Divisions,
    Networks,
    NumberPool,
    OfflineNetwork,
    PlatformNetwork,
    Preferences,
    SenderAddresses,
    Subscriptions,
    Waybills,
    sample_label,
)

if TYPE_CHECKING:
    from flask import Flask

log = get_logger("daemon")

#: How often waybills left open are looked after, and printing's news read; and how often where nobody committed anything.
ROUND_S, QUIET_ROUND_S = 1.0, 5.0
#: What is due by the day needn't be looked for each second.
_ERASURE_REST_S = 60.0
#: How long the driver or our own writers may hang before only a new process helps; all that is waited for ends sooner.
STUCK_S = 90.0


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
    discovery: Discovery
    jobs: PrintJobs
    areas: CustomAreas
    addresses: SenderAddresses
    subscriptions: Subscriptions
    waybills: Waybills
    bindings: Bindings
    orders: Orders
    batches: Batches
    preferences: Preferences
    audit: Audit
    keys: Keys


def assemble(settings: Settings) -> Rooms:
    """Open the database (bringing its schema up to date) and put the rooms on one another; starts nothing."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealer = Sealer.from_file(settings.key_file)
    database = Database(settings.database, sealer=sealer)
    migrate(database)
    profiles, templates, wakeups = Profiles(), StandardTemplates(), Wakeups()
    printers = Printers(database, profiles, wakeups, settings.node)
    sources = PictureSources(settings.image_hosts, settings.image_folder)
    jobs = PrintJobs(
        database,
        printers,
        templates,
        wakeups,
        sources,
        settings.state_dir / "fonts",
        ask_s=settings.second_copy_ask_s,
    )
    network = PlatformNetwork(
        settings.network_url,
        settings.network_client_id,
        settings.network_client_secret.get_secret_value(),
        settings.network_timeout_s,
        in_flight=settings.network_in_flight,
    )
    networks = Networks(network, OfflineNetwork(NumberPool(database)))
    divisions = Divisions()
    addresses = SenderAddresses(database, divisions)
    subscriptions = Subscriptions(
        database,
        networks,
        settings.one_point_per_address,
        low_balance=settings.low_balance,
        timeout_s=settings.network_timeout_s,
    )
    network.renew_with(subscriptions.refresh_token)
    waybills = Waybills(
        database,
        networks,
        jobs,
        printers,
        divisions,
        settings.network_timeout_s,
        logos=CarrierLogos(settings.logo_folder),
    )
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
        discovery=Discovery(printers, usb=settings.discovery != "off", network=settings.discovery == "all"),
        jobs=jobs,
        areas=CustomAreas(database, templates),
        addresses=addresses,
        subscriptions=subscriptions,
        waybills=waybills,
        bindings=Bindings(database, accounts),
        orders=Orders(database, accounts, waybills, addresses),
        batches=Batches(database, waybills),
        preferences=Preferences(database),
        audit=Audit(database),
        keys=Keys(database, sealer),
    )


class Rounds:
    """A thread that does its duties one after the other, again and again: what nobody asks for and must be done all the same."""

    def __init__(
        self,
        name: str,
        *duties: Callable[[], object],
        news: News | None = None,
        hurry: Callable[[], object] | None = None,
    ) -> None:
        """``news``: while it tells of nothing committed a round is done every ``QUIET_ROUND_S`` only, for what falls due.
        ``hurry`` is called once the thread is to stop, so that a long duty ends early.
        """
        self.name = name
        self._duties = duties
        self._news = news
        self._hurry = hurry
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first round is at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round in hand."""
        self._stopped.set()
        if self._hurry is not None:
            self._hurry()
        self._thread.join(10)

    def stuck(self) -> str:
        """That the thread is dead, if it is; a long round is none, it may wait for a network."""
        dead = self._thread.ident is not None and not self._thread.is_alive() and not self._stopped.is_set()
        return "their thread is dead" if dead else ""

    def _go(self) -> None:
        last = float("-inf")
        while not self._stopped.is_set():
            if self._news is None or self._news() or time.monotonic() - last >= QUIET_ROUND_S:
                last = time.monotonic()
                if not self._round() and self._news is not None:
                    self._news.forget()
            self._stopped.wait(ROUND_S)

    def _round(self) -> bool:
        """Whether all went well."""
        well = True
        for duty in self._duties:
            try:
                with round_of(duty.__qualname__):
                    duty()
            except LabelsvcError as error:
                log.warning("round.failed", duty=duty.__qualname__, code=error.code)
                well = False
            except Exception:
                log.exception("round.broke", duty=duty.__qualname__)
                well = False
        return well


class BooksCheck:
    """Whether the books can be written, or say why not; only "busy" without end is ours: a writer of this process hangs."""

    def __init__(self, database: Database, patience_s: float = STUCK_S) -> None:
        self._database = database
        self._patience_s = patience_s
        self._busy_since = 0.0

    def __call__(self) -> str:
        """What is stuck, or ""; takes as long as the database lets writers wait."""
        began = time.monotonic()
        try:
            with self._database.transaction():
                pass
        except Unavailable as fault:
            # A server that is away, or a full disk: another process would fare no better.
            if fault.code == "database.busy":
                self._busy_since = self._busy_since or began
                if time.monotonic() - self._busy_since > self._patience_s:
                    return "nobody can write to the database"
                return ""
        self._busy_since = 0.0
        return ""


class Forgetful(Protocol):
    """A room, or a part of one, that keeps personal data for a time."""

    def erasable(self, before: datetime) -> int:
        """How many things made before a time hold personal data that are due."""

    def erase(self, before: datetime) -> int:
        """Erase those of a small batch of them; of how many."""


class Erasure:
    """Erases personal data once they are old: of waybills, orders and labels, a small batch of each a round."""

    def __init__(self, database: Database, days: int, **rooms: Forgetful) -> None:
        self._database = database
        self._age = timedelta(days=days)
        self._rooms = rooms
        self._rests_until = 0.0

    @classmethod
    def of(cls, rooms: Rooms, days: int) -> Erasure:
        """Of every room that keeps personal data for a time."""
        return cls(
            rooms.database,
            days,
            waybills=rooms.waybills,
            orders=rooms.orders,
            print_jobs=rooms.jobs,
            batches=rooms.batches,
        )

    def due(self) -> dict[str, int]:
        """How much of what would be erased now, in as many rounds as it takes; touches nothing."""
        before = self._database.now() - self._age
        return {name: room.erasable(before) if self._age else 0 for name, room in self._rooms.items()}

    def round(self) -> int:
        """Erase what is due, as far as a batch goes; how much was. Where nothing was, it isn't looked for again at once."""
        if not self._age or elapsed() < self._rests_until:
            return 0
        before = self._database.now() - self._age
        erased = sum(room.erase(before) for room in self._rooms.values())
        self._rests_until = 0.0 if erased else elapsed() + _ERASURE_REST_S
        return erased


def _warm_up(templates: StandardTemplates) -> None:
    """Load fonts and parse waybills while nobody waits for them: the first label would pay a second for it.

    Lists begin with a script's interpreter, a process that a machine without lists needn't have.
    """
    for name in templates.names():
        if not name.startswith("waybill-"):
            continue
        try:
            encode(compose(templates.get(name), sample_label()), Target("zpl"))
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
    manager = ServiceManager.take(os.environ)
    running: list[Spooler | Rounds | Discovery | Heartbeat] = []
    opened: list[Database] = []

    def make_app() -> Flask:
        rooms = assemble(settings)
        opened.append(rooms.database)
        rooms.wakeups.listen(rooms.database)
        checks: dict[str, Callable[[], str]] = {"database": BooksCheck(rooms.database)}
        if settings.spooler:
            node = settings.node or host_name()
            spooler = Spooler(
                rooms.database,
                rooms.printers,
                rooms.jobs,
                poll_s=settings.poll_s,
                printer_retry_s=settings.printer_retry_s,
                proof_timeout_s=settings.proof_timeout_s,
                node=node,
                lease_s=settings.lease_s,
                # A node's next process needn't wait for the lease of one that died.
                lock_path=None if rooms.database.is_sqlite else settings.state_dir / f"{node}.driver",
                mark_path=None if rooms.database.path else settings.state_dir / "database.mark",
            )
            checks["spooler"] = partial(spooler.stuck, STUCK_S)
            running.append(spooler)
        running.append(rooms.discovery)
        threading.Thread(target=_warm_up, args=(rooms.templates,), name="warm-up", daemon=True).start()
        # What only reads our own books, what asks the network, and what asks it hundreds of times: each in a thread of its
        # own, so that a slow network doesn't keep a printed label from being known.
        erasure = Erasure.of(rooms, settings.erase_after_days)
        waybills = rooms.waybills
        waybills.take_over()
        follow = [spooler.origin.follow] if settings.spooler else []
        running.append(
            Rounds(
                "rounds",
                rooms.jobs.expire,
                *follow,
                waybills.follow_printing,
                erasure.round,
                rooms.database.tidy,
                news=News(rooms.database),
            )
        )
        running.append(
            Rounds(
                "network rounds",
                rooms.subscriptions.settle,
                waybills.settle,
                waybills.settle_updates,
                waybills.follow_traces,
                news=News(rooms.database),
                hurry=waybills.stop,
            )
        )
        running.append(
            Rounds("batches", rooms.batches.work, news=News(rooms.database), hurry=rooms.batches.stop)
        )
        checks |= {part.name: part.stuck for part in running if isinstance(part, Rounds)}
        running.insert(0, Heartbeat(manager, checks))  # ends first: a part that has stopped isn't stuck
        for part in running:
            part.start()
        return create_app(rooms, settings)

    def ready(address: str) -> None:
        log.info("daemon.ready", listening=address)
        print(f"labelsvc listening on {address}", flush=True)
        # Only now: the schema is up to date, the driver waits for its lock or has it, and requests are answered.
        manager.tell(ready=1, status=f"listening on {address}")

    def stop() -> None:
        for part in running:
            part.stop()
        for database in opened:
            database.close()
        log.info("daemon.stopped")

    serve_http(
        make_app,
        settings,
        on_ready=ready,
        on_stopping=lambda: manager.tell(stopping=1, status="finishing what is in hand"),
        on_stop=stop,
    )
