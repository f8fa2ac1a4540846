"""``./dev bench issue``: how near issuing comes to what the network allows, and what a waybill costs on a large database.

Hides the mock carrier network (the real program, a process apart), and how a million waybills come into a database: issued
ones are multiplied by raw inserts, with ids, numbers, keys and parcels of their own. The time of a run is wall time, its cost
the processor time of this process, which issues and does nothing else. The floor is what SQLite alone takes for equal rows.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.programs import MockCarrier, mock_carrier  # noqa: E402

from benchmarks.table import Row, show  # noqa: E402
from labelsvc.daemon import Rooms, assemble  # noqa: E402
from labelsvc.log import configure  # noqa: E402
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET  # noqa: E402
from labelsvc.security import Actor, StoreKind  # noqa: E402
from labelsvc.settings import load  # noqa: E402
from labelsvc.waybills import Application, IssueRequest, Item, Party, PlatformNetwork, Waybill  # noqa: E402
from labelsvc.waybills.carriers import GetRequest, Given, ParcelRequest  # noqa: E402

LATENCY_MS, A_CALL, A_NETWORK_CALL, RUNS = 50, 500, 10, 5
ORIGIN = Party("仓库发货部", "0571-88880000", "浙江省", "杭州市", "西湖区", "文三路 1 号")
SHOWN = Party("云上小店", "13911112222", "浙江省", "杭州市", "余杭区", "仓前街道 9 号")
#: What a waybill consists of, and the columns in which two differ.
TABLES = ("waybills", "waybill_orders", "waybill_keys", "waybill_people", "waybill_events")
SAMPLE = 40
_numbers = count(1)


@dataclass(frozen=True)
class House:
    """The rooms on one database, and the store that issues."""

    rooms: Rooms
    actor: Actor

    @property
    def database(self) -> Path:
        """The database's file."""
        path = self.rooms.database.path
        assert path is not None
        return path

    def issue(self, waybills: int) -> None:
        """Issue so many waybills, at most 500 a call, the calls at once."""
        requests = [(request(n), f"bench-{n}") for n in (next(_numbers) for _ in range(waybills))]
        calls = [requests[at : at + A_CALL] for at in range(0, waybills, A_CALL)]
        with ThreadPoolExecutor(len(calls)) as callers:
            for results in callers.map(partial(self.rooms.waybills.issue_many, self.actor), calls):
                for result in results:
                    assert isinstance(result, Waybill), result


def request(n: int) -> IssueRequest:
    """A parcel that no other run asks for."""
    recipient = Party(
        f"欧阳晓{n % 97}",
        f"138{n % 10**8:08d}",
        "广东省",
        "深圳市",
        "南山区",
        f"科技园高新南九道 {n} 号 801 室",
    )
    goods = (Item("手作陶瓷马克杯 300ml 青瓷", 1 + n % 3), Item("茶盘", 1))
    return IssueRequest("ZTO", (f"B-{n:010d}",), recipient, SHOWN, goods, store_name="云上小店", weight_g=500)


@contextmanager
def house(state_dir: Path, mock: MockCarrier, store: str | None = None) -> Iterator[House]:
    """The rooms on a state directory; without a ``store`` one is made and opens the service."""
    rooms = assemble(
        load(
            state_dir=state_dir,
            network_url=mock.url,
            network_client_id=CLIENT_ID,
            network_client_secret=CLIENT_SECRET,
            log_level="warning",
        )
    )
    try:
        if store is None:
            actor = Actor.operator(rooms.accounts.create_store("青山工厂", StoreKind.FACTORY).id, via="bench")
            rooms.subscriptions.connect(actor, f"shop-{actor.store_id}")
            address = rooms.addresses.create(actor, ORIGIN)
            point = rooms.subscriptions.network_points(actor, "ZTO", address.id)[0]
            application = Application("ZTO", address.id, point.code, "王经理", "13900001111", "1", True)
            rooms.subscriptions.apply(actor, application)
        else:
            actor = Actor.operator(store, via="bench")
        yield House(rooms, actor)
    finally:
        rooms.database.close()


def rows_of(path: Path, after: int) -> dict[str, list[dict[str, Any]]]:
    """Every row of the last waybills of a database, by table."""
    with sqlite3.connect(path) as raw:
        raw.row_factory = sqlite3.Row
        ids = [row[0] for row in raw.execute("SELECT id FROM waybills ORDER BY id DESC LIMIT ?", (after,))]
        marks = ",".join("?" * len(ids))
        found = {}
        for table in TABLES:
            column = "id" if table == "waybills" else "waybill_id"
            rows = raw.execute(f"SELECT * FROM {table} WHERE {column} IN ({marks})", ids)
            found[table] = [dict(row) for row in rows]
    return found


def another(table: str, row: dict[str, Any], n: int) -> tuple[Any, ...]:
    """A sample's row for the ``n``-th waybill."""
    changed: dict[str, Any] = {"waybill_id": f"000{n:023d}"}
    if table == "waybills":
        changed = {
            "id": f"000{n:023d}",
            "live_parcel": hashlib.sha256(b"parcel %d" % n).hexdigest(),
            "number": f"7{n:013d}",
        }
    elif table == "waybill_keys":
        changed["key"] = f"seed-{n}"
    elif table == "waybill_orders":
        changed["order_number"] = f"S-{n}"
    elif table == "waybill_people":
        changed |= {
            name: hashlib.sha256(b"%s %d" % (name.encode(), n)).hexdigest()[:32] for name in ("phone", "name")
        }
    elif table == "waybill_events":
        changed["seq"] = None
    return tuple((row | changed).values())


def insert(raw: sqlite3.Connection, sample: dict[str, list[dict[str, Any]]], numbers: range) -> None:
    """Insert a sample's rows for these waybills."""
    for table, rows in sample.items():
        by_waybill: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_waybill.setdefault(row["id" if table == "waybills" else "waybill_id"], []).append(row)
        kinds = list(by_waybill.values())
        marks = ",".join("?" * len(rows[0]))
        raw.executemany(
            f"INSERT INTO {table} VALUES ({marks})",
            (another(table, row, n) for n in numbers for row in kinds[n % len(kinds)]),
        )


def seeded(empty: Path, target: Path, waybills: int) -> None:
    """Copy an empty house with a few issued waybills, and multiply them."""
    shutil.copytree(empty, target)
    path = target / "labelsvc.db"
    sample = rows_of(path, SAMPLE)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA cache_size=-2000000")
    raw.execute("PRAGMA synchronous=OFF")
    for at in range(0, waybills, 50_000):
        raw.execute("BEGIN IMMEDIATE")
        insert(raw, sample, range(at, min(at + 50_000, waybills)))
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.execute("ANALYZE")
    raw.close()


def floor_s(empty: Path, waybills: int) -> float:
    """Processor seconds that SQLite takes for the rows of one waybill: inserted and committed as issuing does, nothing else."""
    path = empty / "floor.db"
    shutil.copy(empty / "labelsvc.db", path)
    sample = rows_of(path, SAMPLE)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    began = time.process_time()
    for at in range(0, waybills, A_NETWORK_CALL):
        raw.execute("BEGIN IMMEDIATE")
        insert(raw, sample, range(at, min(at + A_NETWORK_CALL, waybills)))
        raw.execute("COMMIT")
    took = time.process_time() - began
    raw.close()
    return took / waybills


def against_latency(folder: Path, waybills: int) -> list[Row]:
    """Wall time for so many waybills with a network that takes its time, the ideal, and what the calls alone take."""
    folder.mkdir()
    with mock_carrier(folder, opening_balance=1_000_000) as mock, house(folder / "state", mock) as ours:
        in_flight = ours.rooms.settings.network_in_flight
        ours.issue(20)  # connections and caches
        mock.control(latency_ms=LATENCY_MS)
        times: dict[str, list[float]] = {"ours": [], "calls": []}
        for _ in range(RUNS):
            for name, work in (
                ("ours", ours.issue),
                ("calls", partial(only_calls, mock, f"shop-{ours.actor.store_id}", in_flight)),
            ):
                began = time.perf_counter()
                work(waybills)
                times[name].append(time.perf_counter() - began)
    took, calls = (statistics.median(times[name]) * 1000 for name in ("ours", "calls"))
    ideal = math.ceil(math.ceil(waybills / A_NETWORK_CALL) / in_flight) * LATENCY_MS
    case = f"{waybills} waybills, {LATENCY_MS} ms latency, {in_flight} calls in flight, median of {RUNS}"
    return [
        Row(case, took, "ms", "lower", "ideal", ideal),
        Row("the same", took, "ms", "lower", "its network calls alone", calls),
    ]


def only_calls(mock: MockCarrier, token: str, in_flight: int, waybills: int) -> None:
    """The same calls to the network, with nothing filed and nothing recorded."""
    network = PlatformNetwork(mock.url, CLIENT_ID, CLIENT_SECRET, in_flight=in_flight)

    def call(_: int) -> None:
        parcels = tuple(
            ParcelRequest(one.orders[0], one.orders, "OTHERS", one.recipient, one.items, one.weight_g)
            for one in (request(next(_numbers)) for _ in range(A_NETWORK_CALL))
        )
        assert all(
            isinstance(given, Given) for given in network.get(token, GetRequest("ZTO", ORIGIN, parcels))
        )

    with ThreadPoolExecutor(in_flight) as threads:
        list(threads.map(call, range(math.ceil(waybills / A_NETWORK_CALL))))


def against_size(folder: Path, size: int, pairs: int, waybills: int) -> list[Row]:
    """Processor time a waybill on a large and on an empty database, by turns."""
    folder.mkdir()
    with mock_carrier(folder, opening_balance=1_000_000) as mock:
        with house(folder / "empty", mock) as first:
            store = first.actor.store_id
            first.issue(SAMPLE)
        seeded(folder / "empty", folder / "large", size)
        floor = floor_s(folder / "empty", 2_000)
        costs: dict[str, list[float]] = {"empty": [], "large": []}
        with (
            house(folder / "empty", mock, store) as empty,
            house(folder / "large", mock, store) as large,
        ):
            for turn in range(pairs + 1):
                order = [("empty", empty), ("large", large)]
                for name, one in order if turn % 2 else reversed(order):
                    began = time.process_time()
                    one.issue(waybills)
                    cost = (time.process_time() - began) / waybills
                    if turn:  # the first is for warming up
                        costs[name].append(cost)
    small, big = (statistics.median(costs[name]) for name in ("empty", "large"))
    ratio = statistics.median(b / s for b, s in zip(costs["large"], costs["empty"], strict=True))
    return [
        Row(f"processor time a waybill, {size} waybills there, median of {pairs}", big * 1e6, "us", "lower"),
        Row(
            "processor time a waybill, empty database",
            small * 1e6,
            "us",
            "lower",
            "SQLite alone",
            floor * 1e6,
        ),
        Row(f"large against empty, median of {pairs} pairs", ratio * 100, "%", "lower"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="./dev bench issue", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--waybills", type=int, default=1_000, help="issued against the latency")
    parser.add_argument("--seed", type=int, default=1_000_000, help="waybills in the large database")
    parser.add_argument("--pairs", type=int, default=9, help="measurements on each database")
    options = parser.parse_args()
    configure("warning")
    with tempfile.TemporaryDirectory(prefix="labelsvc-bench-") as name:
        found = against_latency(Path(name) / "latency", options.waybills)
        found += against_size(Path(name) / "size", options.seed, options.pairs, min(options.waybills, 200))
    show("issue", found, options.json)
