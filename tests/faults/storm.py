"""Parcels issued while everything goes wrong at once: the network follows a script of faults, daemon and network are killed.

Hides who is killed when, and how a clerk goes on: batches are posted under keys until they are accepted, and parcels that
were refused are posted again.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.daemon import CARRIER, SENDER, Answered, Api, Lost, Prepared, prepare, running_daemon
from support.programs import MockCarrier, VirtualPrinter, call, mock_carrier

GET = "pdd.waybill.get"
#: Every fault there is, each now and then; the seed of what goes wrong is the count of calls, so runs differ only in timing.
SCRIPT: list[dict[str, Any]] = [
    {"fault": "late", "only": GET, "ms": 300, "every": 5},
    {"fault": "twice", "only": GET, "every": 7},
    {"fault": "never", "only": GET, "ms": 200, "every": 11},
    {"fault": "drop", "only": GET, "every": 6},
    {"fault": "repeat_new", "only": GET, "every": 4},
    {"fault": "repeat_exists", "only": GET, "every": 9},
    {"fault": "http_500", "only": GET, "every": 13},
    {"fault": "http_502", "every": 17},
    {"fault": "http_503", "every": 19},
    {"fault": "error", "code": 52101, "only": GET, "every": 14},
    {"fault": "error", "code": 52102, "every": 23},
    {"fault": "error", "code": 70031, "only": GET, "every": 29},
    {"fault": "broken_json", "only": GET, "every": 8},
    {"fault": "half_answer", "only": GET, "every": 10},
    {"fault": "used_up", "only": GET, "every": 31},
    {"fault": "wrong_item", "only": GET, "every": 12},
]
#: Codes under which a clerk simply asks again, with the same parcel.
_TRY_AGAIN_S = 0.5


@dataclass
class Storm:
    """How bad it gets, and what became of it."""

    parcels: int
    daemon_kills: int
    network_kills: int
    seed: int = 1
    #: our numbers by order, filled at the end
    ours: dict[str, str] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)


def _free_port() -> int:
    """A port that nobody listens on: what is killed comes back where it was."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class _Programs:
    """The daemon and the network on fixed ports, killed with -9 and started again."""

    def __init__(self, folder: Path, prepared: Prepared) -> None:
        self._folder, self._prepared = folder, prepared
        self.daemon = self._daemon()
        self.running = next(self.daemon)
        self.kills = Counter[str]()

    def _daemon(self) -> Iterator[Any]:
        with running_daemon(self._prepared.settings, self._folder / "daemon.log") as daemon:
            yield daemon

    def kill_daemon(self) -> None:
        os.killpg(self.running.process.pid, signal.SIGKILL)
        self.running.process.wait()
        self.daemon.close()
        self.daemon = self._daemon()
        self.running = next(self.daemon)
        self.kills["daemon"] += 1

    def close(self) -> None:
        self.daemon.close()


@contextmanager
def _network(folder: Path, port: int) -> Iterator[MockCarrier]:
    with mock_carrier(folder, port=port, books=folder / "books.db", opening_balance=1_000_000) as mock:
        yield mock


def _request(order: str) -> dict[str, Any]:
    return {
        "carrier": CARRIER,
        "orders": [order],
        "recipient": {**SENDER.__dict__, "name": "欧阳晓晴", "phone": "19900002001"},
        "shown_sender": SENDER.__dict__,
        "items": [{"name": "茶", "count": 1}],
    }


def run(
    storm: Storm, folder: Path, printer: VirtualPrinter, **settings: Any
) -> tuple[dict[str, Any], list[Any]]:
    """Carry the storm out; the network's books and its log afterwards. ``storm.ours`` holds what labelsvc says."""
    dice = random.Random(storm.seed)
    port = _free_port()
    network = _network(folder, port)
    mock = network.__enter__()
    prepared = prepare(folder / "state", mock, printer, port=_free_port(), network_timeout_s=1.5, **settings)
    programs = _Programs(folder, prepared)
    mock.control(script=SCRIPT, latency_ms=5)
    stopping = threading.Event()
    failed: list[BaseException] = []

    def kill() -> None:
        """Kills spread over the storm; the network is away for a moment, the daemon starts at once."""
        nonlocal network, mock
        victims = ["daemon"] * storm.daemon_kills + ["network"] * storm.network_kills
        dice.shuffle(victims)
        try:
            for victim in victims:
                stopping.wait(dice.uniform(0.3, 1.5))
                if victim == "daemon":
                    programs.kill_daemon()
                else:
                    mock.process.kill()
                    with suppress(Exception):
                        network.__exit__(None, None, None)
                    time.sleep(dice.uniform(0.1, 0.8))
                    network = _network(folder, port)
                    mock = network.__enter__()
                    mock.control(script=SCRIPT, latency_ms=5)
                    programs.kills["network"] += 1
        except BaseException as error:
            failed.append(error)
        finally:
            stopping.set()

    killer = threading.Thread(target=kill, name="killer")
    killer.start()
    try:
        _issue_all(storm, lambda: programs.running.api(prepared.token), stopping)
        killer.join(300)
        assert not failed, failed
        assert programs.kills == Counter(daemon=storm.daemon_kills, network=storm.network_kills)
        mock.control(script=[], latency_ms=0)
        _issue_all(storm, lambda: programs.running.api(prepared.token), stopping)
        _settled(programs.running.api(prepared.token))
        storm.ours = _ours(programs.running.api(prepared.token))
        return call(f"{mock.base}/books"), mock.log()
    finally:
        stopping.set()
        killer.join(60)
        programs.close()
        with suppress(Exception):
            network.__exit__(None, None, None)


def _issue_all(storm: Storm, api: Any, calm: threading.Event) -> None:
    """Post what has no number yet, in batches of 100, round after round, until every parcel has one or the storm is over.

    In the calm, 20 rounds must do.
    """
    missing = [f"STORM-{number}" for number in range(storm.parcels)]
    storming = not calm.is_set()
    round_no, calm_rounds = 0, 0
    while missing:
        round_no += 1
        calm_rounds += calm.is_set()
        assert calm_rounds <= 20, f"{len(missing)} parcels never got a number: {storm.refusals}"
        left: list[str] = []
        for at in range(0, len(missing), 100):
            part = missing[at : at + 100]
            batch = _until(lambda: _post(api(), part, f"{storming} {round_no} {part[0]}"))  # noqa: B023
            for item in _until(lambda: _results(api(), batch["id"])):  # noqa: B023
                if item["state"] != "issued":
                    storm.refusals[item["problem"]["code"]] += 1
                    left.append(part[item["row"] - 1])
        missing = left
        if storming and calm.is_set():
            return


def _post(api: Api, orders: list[str], key: str) -> Any:
    return api.post("/batches", {"requests": [_request(order) for order in orders]}, key=key)


def _results(api: Api, batch_id: str) -> list[Any]:
    """A batch's results once nothing of it is open."""
    while api.get(f"/batches/{batch_id}")["open"]:
        time.sleep(0.1)
    found, after = [], 0
    while True:
        page = api.get(f"/batches/{batch_id}/results?after={after}&limit=200")
        found += page["items"]
        if not page.get("next"):
            return found
        after = page["next"]


def _until(ask: Any, seconds: float = 240) -> Any:
    """The answer, however often the daemon dies meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (Lost, Answered) as error:
            if isinstance(error, Answered) and error.status < 500:
                raise
            assert time.monotonic() < deadline, error
            time.sleep(_TRY_AGAIN_S)


def _settled(api: Api) -> None:
    """Wait until no waybill's outcome is open."""
    deadline = time.monotonic() + 120
    while any(
        api.get(f"/waybills?state={state}&limit=1")["items"]
        for state in ("requested", "unknown", "void_pending")
    ):
        assert time.monotonic() < deadline, "some waybills are never settled"
        time.sleep(0.3)


def _ours(api: Api) -> dict[str, str]:
    """Order -> its live number, as labelsvc says."""
    found: dict[str, str] = {}
    after = ""
    while True:
        page = api.get(f"/waybills?state=issued&limit=200{after}")
        for waybill in page["items"]:
            assert waybill["orders"][0] not in found, "two live waybills of one parcel"
            found[waybill["orders"][0]] = waybill["number"]
        if not page.get("next"):
            return found
        after = f"&after={page['next']}"


def unlike_repeats(log: list[Any]) -> list[str]:
    """Parcels (by package id) that were asked for with different content."""
    asked: dict[str, set[str]] = defaultdict(set)
    for entry in log:
        if entry["type"] == GET:
            for parcel in entry.get("parcels", ()):
                asked[parcel["package_id"]].add(parcel["digest"])
    return [package for package, digests in asked.items() if len(digests) > 1]


def retried(log: list[Any]) -> Counter[str]:
    """How often each call that changes something, other than get, was sent again after it had its effect."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for entry in log:
        if (
            entry["type"] in (GET, "(unreadable)")
            or entry["type"].startswith("mock.")
            or ".query" in entry["type"]
            or ".search" in entry["type"]
        ):
            continue
        if entry["code"] != 0:
            continue  # it had no effect; whether to try again was decided after a look
        seen[(entry["type"], entry["shop"], entry["digest"])] += 1
    return Counter(
        {f"{type} {digest[:8]}": times - 1 for (type, _shop, digest), times in seen.items() if times > 1}
    )
