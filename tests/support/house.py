"""The waybills room, put on a real database, the real print queue and a running mock carrier network, for tests of a waybill's life.

Hides how the rooms are put on one another, and a clock that tests put forward instead of waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import text
from support.programs import MockCarrier

from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.printing import LabelState, Printers, PrintJobs, Profiles
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import (
    Application,
    Batches,
    Divisions,
    IssueRequest,
    Item,
    Party,
    PlatformNetwork,
    Preferences,
    SenderAddresses,
    Subscriptions,
    Waybills,
)
from labelsvc.waybills.carriers import Networks
from labelsvc.waybills.carriers.offline import NumberPool, OfflineNetwork

ORIGIN = Party("仓库发货部", "0571-88880000", "浙江省", "杭州市", "西湖区", "文三路 1 号")
SHOWN = Party("云上小店", "13911112222", "浙江省", "杭州市", "余杭区", "仓前街道 9 号")
RECIPIENT = Party(
    "欧阳春晓", "13812345678", "广东省", "广州市", "天河区", "天河北路 233 号 1204 室", "林和街道"
)
MOVED = Party("欧阳春晓", "13812345678", "四川省", "成都市", "锦江区", "春熙路 8 号 2 单元 501 室")
CARRIER = "ZTO"
_DIVISIONS = Divisions()
_orders = count(1)


class Clock:
    """The real time, which a test can put forward instead of waiting for a lease to lapse."""

    ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class House:
    """The rooms under test, and the store that acts."""

    database: Database
    clock: Clock
    network: PlatformNetwork
    mock: MockCarrier
    addresses: SenderAddresses
    subscriptions: Subscriptions
    jobs: PrintJobs
    printers: Printers
    waybills: Waybills
    batches: Batches
    preferences: Preferences
    actor: Actor
    subscription_id: str

    @property
    def token(self) -> str:
        """The store's at the network."""
        return f"shop-{self.actor.store_id}"

    def restarted(self) -> Waybills:
        """The room in another process, which knows nothing of what this one learnt of the network."""
        networks = networks_at(self.mock.url, self.database, 1.0)
        return Waybills(self.database, networks, self.jobs, self.printers, _DIVISIONS, 1.0)

    def later(self, by: timedelta = timedelta(minutes=5)) -> None:
        """Let every lease lapse."""
        self.clock.ahead += by

    def issued(self, **changes: Any):
        """A waybill that has its number."""
        request = order(**changes)
        return self.waybills.issue(self.actor, request, f"issue {request.orders[0]}")

    def printed(self, waybill, key: str = "p"):
        """Its label, come out: opened in a browser, which is a print (P6)."""
        _, label = self.waybills.open_pdf(self.actor, waybill.id, f"{key} {waybill.id}")
        self.came_out(label.id)
        while self.waybills.follow_printing():
            pass
        return label

    def came_out(self, label_id: str) -> bytes:
        """Let a label leave."""
        data = self.jobs.open_pdf(self.actor, label_id)
        assert data.startswith(b"%PDF")
        assert self.jobs.label(self.actor, label_id).state is LabelState.SENT
        return data

    def scan(self, number: str, action: str) -> None:
        """The carrier scans a parcel: GOT, TRANSIT or SIGN."""
        self.network._call(
            self.token,
            "mock.waybill.trace",
            {"waybill_code": number, "wp_code": CARRIER, "action": action},
            "mock_waybill_trace_response",
        )

    def calls(self, after: int, *types: str) -> list[str]:
        """Which calls reached the network since a mark, of these types or of all."""
        return [entry["type"] for entry in self.mock.log(after) if not types or entry["type"] in types]

    def state(self, waybill) -> str:
        """A waybill's state now."""
        return self.waybills.get(self.actor, waybill.id).state.value


def networks_at(url: str, database: Database, timeout_s: float) -> Networks:
    """The carrier networks of a database, the platform's at ``url``."""
    platform = PlatformNetwork(url, CLIENT_ID, CLIENT_SECRET, timeout_s)
    return Networks(platform, OfflineNetwork(NumberPool(database)))


@contextmanager
def house(
    database: Database, sealer: Sealer, mock: MockCarrier, actor: Actor, timeout_s: float = 1.0
) -> Iterator[House]:
    """A store with an open service of ZTO, and the rooms it acts in."""
    clock = Clock()
    timed = Database(database.url.render_as_string(hide_password=False), sealer=sealer, clock=clock)
    try:
        networks = networks_at(mock.url, timed, timeout_s)
        printers = Printers(timed, Profiles())
        jobs = PrintJobs(timed, printers, StandardTemplates())
        waybills = Waybills(timed, networks, jobs, printers, _DIVISIONS, timeout_s)
        addresses = SenderAddresses(timed, _DIVISIONS)
        subscriptions = Subscriptions(timed, networks)
        subscriptions.connect(actor, f"shop-{actor.store_id}")
        address = addresses.create(actor, ORIGIN)
        point = subscriptions.network_points(actor, CARRIER, address.id)[0]
        opened = subscriptions.apply(
            actor, Application(CARRIER, address.id, point.code, "王经理", "13900001111", "1", True, "")
        )
        yield House(
            timed,
            clock,
            networks.platform,
            mock,
            addresses,
            subscriptions,
            jobs,
            printers,
            waybills,
            Batches(timed, waybills),
            Preferences(timed),
            actor,
            opened.id,
        )
    finally:
        timed.close()


def order(**changes: Any) -> IssueRequest:
    """A request for a parcel that no other test asks for."""
    return replace(
        IssueRequest(
            carrier=CARRIER,
            orders=(f"L-{next(_orders)}",),
            recipient=RECIPIENT,
            shown_sender=SHOWN,
            items=(Item("青瓷杯 300ml", 2), Item("茶盘", 1)),
            store_name="云上小店",
        ),
        **changes,
    )


def calm(mock: MockCarrier) -> None:
    """Let the network behave again."""
    mock.control(
        repeat="same", drop_answers=0, fail_next=0, error=0, latency_ms=0, only="", script=[], rate_per_s=0
    )


def until_somebody_waits(database: Database, work: Future[Any]) -> None:
    """Until ``work`` waits for a lock of PostgreSQL's; on SQLite writers wait for each other before they look at anything."""
    deadline = time.monotonic() + 5
    while not database.is_sqlite and not work.done() and time.monotonic() < deadline:
        with database.engine.connect() as connection:
            if connection.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).first():
                return
        time.sleep(0.01)
