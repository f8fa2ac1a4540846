"""Parcels issued while everything goes wrong at once: the network follows a script of faults, daemon and network are killed.

Hides who is killed when, and how people go on: a clerk posts batches under keys until they are accepted, a packer at the
bench posts one parcel at a time, and parcels that were refused are posted again. A fault counts once the network's own log
shows that it struck; those that never did while the storm lasted are called at its end, one parcel each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.daemon import (
    CARRIER,
    SENDER,
    Answered,
    Api,
    Lost,
    environment,
    prepare,
    running_daemon,
)
from support.programs import MockCarrier, VirtualPrinter, call, mock_carrier

GET, CANCEL = "pdd.waybill.get", "pdd.waybill.cancel"
#: Every fault there is, each with how rare it is once each has struck: every so-many-th call that it applies to.
FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "repeat_new", "only": GET, "every": 3},
    {"fault": "repeat_exists", "only": GET, "every": 4},
    {"fault": "drop", "only": CANCEL, "every": 2},
    {"fault": "drop", "only": GET, "every": 13},
    {"fault": "late", "only": GET, "ms": 300, "every": 16},
    {"fault": "twice", "only": GET, "every": 17},
    {"fault": "never", "only": GET, "ms": 200, "every": 37},
    {"fault": "half_answer", "only": GET, "every": 23},
    {"fault": "broken_json", "only": GET, "every": 19},
    {"fault": "http_500", "only": GET, "every": 29},
    {"fault": "http_502", "every": 37},
    {"fault": "http_503", "every": 41},
    {"fault": "error", "code": 52101, "only": GET, "every": 31},  # too many calls
    {"fault": "error", "code": 70031, "only": GET, "every": 41},  # the same of another kind
    {"fault": "error", "code": 52102, "every": 47},  # degraded
    {"fault": "used_up", "only": GET, "every": 43},
    {"fault": "wrong_item", "only": GET, "every": 26},
)
_DROP = {"fault": "drop", "only": GET}
#: What must go wrong first so that a fault has a call to strike at.
_LEADING_TO = {
    "repeat_new": [_DROP],
    "repeat_exists": [_DROP],
    f"drop {CANCEL}": [_DROP, {"fault": "repeat_new", "only": GET}],
}
_TRY_AGAIN_S = 0.3
_LATENCY_MS = 5


def name_of(fault: str, type: str, code: int | None) -> str:
    """A fault's name in reports: with its code if it is the platform's error, with its call if that isn't a get."""
    if fault == "error":
        return f"error {code}"
    return f"{fault} {type}" if (fault, type) == ("drop", CANCEL) else fault


EVERY_FAULT = frozenset(name_of(rule["fault"], rule.get("only", ""), rule.get("code")) for rule in FAULTS)


def struck(log: list[Any]) -> Counter[str]:
    """How often each fault had its way with a call, as the network wrote down: one whose network died before doesn't count."""
    found: Counter[str] = Counter()
    for entry in log:
        fault, code = entry["fault"], entry["code"]
        if not fault or entry["replay_of"] is not None:
            continue
        if fault == "never":
            done = True
        elif fault in ("drop", "half_answer", "broken_json"):
            done = code == 0 and entry["answer_dropped"]
        elif fault in ("late", "twice", "repeat_new"):
            done = code == 0
        else:
            done = code not in (0, None)
        found[name_of(fault, entry["type"], code)] += done
    return +found


def script(missing: Collection[str]) -> list[dict[str, Any]]:
    """The network's script: first each fault that never struck, at every other call, then all of them now and then."""
    once, often = [], []
    for rule in FAULTS:
        name = name_of(rule["fault"], rule.get("only", ""), rule.get("code"))
        if name in missing:
            once.append({**rule, "every": 1, "times": 1, "after": 0 if "repeat" in name else 2 * len(once)})
        often.append({**rule, "after": rule["every"]})
    return once + often


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
    kills: Counter[str] = field(default_factory=Counter)
    #: what `labelsvc waybills reconcile` says at the end
    reconciled: dict[str, Any] = field(default_factory=dict)
    #: faults that had to be called
    called: list[str] = field(default_factory=list)


def _free_port() -> int:
    """A port that nobody listens on: what is killed comes back where it was."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class _Programs:
    """The daemon and the network on fixed ports, killed with -9 and started again."""

    def __init__(self, folder: Path, printer: VirtualPrinter, **settings: Any) -> None:
        self._folder = folder
        self._port = _free_port()
        self._network = self._started_network([])
        self.mock = next(self._network)
        self.prepared = prepare(
            folder / "state", self.mock, printer, port=_free_port(), network_timeout_s=1, **settings
        )
        self._daemon = self._started_daemon()
        self.running = next(self._daemon)

    def _started_daemon(self) -> Iterator[Any]:
        with running_daemon(self.prepared.settings, self._folder / "daemon.log") as daemon:
            yield daemon

    def _started_network(self, rules: list[dict[str, Any]]) -> Iterator[MockCarrier]:
        # The script is its option, so that no call passes before it is in force.
        with mock_carrier(
            self._folder,
            port=self._port,
            books=self._folder / "books.db",
            opening_balance=1_000_000,
            script=rules,
            latency_ms=_LATENCY_MS,
        ) as mock:
            yield mock

    def kill_daemon(self) -> None:
        os.killpg(self.running.process.pid, signal.SIGKILL)
        self.running.process.wait()
        self._daemon.close()
        self._daemon = self._started_daemon()
        self.running = next(self._daemon)

    def kill_network(self, away_s: float, rules: Callable[[], list[dict[str, Any]]]) -> None:
        written = rules()
        self.mock.process.kill()
        with suppress(Exception):
            self._network.close()
        time.sleep(away_s)
        self._network = self._started_network(written)
        self.mock = next(self._network)

    def api(self) -> Api:
        return self.running.api(self.prepared.token)

    def reconcile(self) -> dict[str, Any]:
        """What our command says of our books and the network's."""
        told = subprocess.run(
            [sys.executable, "-m", "labelsvc", "waybills", "reconcile", "--json"],
            env={**os.environ, **environment(self.prepared.settings)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert told.returncode in (0, 4), told.stderr[-2000:]
        return json.loads(told.stdout)

    def close(self) -> None:
        self._daemon.close()
        with suppress(Exception):
            self._network.close()


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
    """Carry the storm out; the network's books and its log afterwards. ``storm`` then holds what labelsvc says."""
    programs = _Programs(folder, printer, **settings)
    try:
        programs.mock.control(script=script(EVERY_FAULT))
        orders = [f"STORM-{number}" for number in range(storm.parcels)]
        calm = threading.Event()
        failed: list[BaseException] = []

        def aside(work: Callable[[], None]) -> threading.Thread:
            def guarded() -> None:
                try:
                    work()
                except BaseException as error:
                    failed.append(error)
                    calm.set()

            thread = threading.Thread(target=guarded)
            thread.start()
            return thread

        # One parcel in ten is a packer's; the last ones wait for the faults that have to be called.
        for_roll, bench = orders[-len(FAULTS) :], orders[: -len(FAULTS) : 10]
        clerks = [one for one in orders[: -len(FAULTS)] if one not in set(bench)]
        killing = aside(lambda: _kill(storm, programs, calm))
        packing = aside(lambda: _pack(storm, programs.api, bench))
        left = _post_all(storm, programs.api, clerks, calm)
        for thread in (killing, packing):
            thread.join(900)
            assert not failed, failed
            assert not thread.is_alive(), "the storm doesn't end"
        left += _call_the_roll(storm, programs, for_roll)
        programs.mock.control(script=[])
        assert _post_all(storm, programs.api, left, calm) == []
        _settled(programs.api())
        storm.ours = _ours(programs.api())
        storm.reconciled = programs.reconcile()
        return call(f"{programs.mock.base}/books"), programs.mock.log()
    finally:
        programs.close()


def _kill(storm: Storm, programs: _Programs, calm: threading.Event) -> None:
    """Kills spread evenly over the parcels; the network is away for a moment, the daemon starts at once."""
    dice = random.Random(storm.seed)
    victims = ["daemon"] * storm.daemon_kills + ["network"] * storm.network_kills
    dice.shuffle(victims)
    log: list[Any] = []
    for at, victim in enumerate(victims):
        due = (storm.parcels - len(FAULTS)) * at // (len(victims) + 1)
        patience = time.monotonic() + 20
        while not calm.is_set() and time.monotonic() < patience:
            with suppress(OSError):
                log += programs.mock.log(after=log[-1]["seq"] if log else 0)
            asked = {parcel["package_id"] for entry in log for parcel in entry["parcels"]}
            if len(asked) > due:
                break
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 0.3))
        if victim == "daemon":
            programs.kill_daemon()
        else:
            programs.kill_network(
                dice.uniform(0.1, 0.8), lambda: script(EVERY_FAULT - set(struck(programs.mock.log())))
            )
        storm.kills[victim] += 1
    calm.set()


def _pack(storm: Storm, api: Callable[[], Api], orders: list[str]) -> None:
    """One parcel after another, each under its key until it is answered, and anew if it was refused."""
    for order in orders:
        for attempt in range(1, 21):
            try:
                _until(lambda: api().post("/waybills", _request(order), key=f"bench {attempt} {order}"))  # noqa: B023
                break
            except Answered as refused:
                storm.refusals[refused.problem["code"]] += 1
        else:
            raise AssertionError(f"a parcel never got a number: {storm.refusals}")


def _post_all(storm: Storm, api: Callable[[], Api], orders: list[str], calm: threading.Event) -> list[str]:
    """Post parcels in batches of many sizes, round after round, until every one has a number; in the calm 20 rounds must do.

    In a storm, those are left that have none when it is over.
    """
    sizes = random.Random(storm.seed).choice
    missing, storming = orders, not calm.is_set()
    for round_no in range(1, 1000):
        left: list[str] = []
        at = 0
        while at < len(missing):
            part = missing[at : at + sizes((1, 3, 10, 25, 60))]
            at += len(part)
            left += _post(storm, api, part, f"clerk {storming} {round_no} {part[0]}")
        missing = left
        if not missing or (storming and calm.is_set()):
            return missing
        assert storming or round_no < 20, f"{len(missing)} parcels never got a number: {storm.refusals}"
    raise AssertionError("the storm doesn't end")


def _post(storm: Storm, api: Callable[[], Api], orders: list[str], key: str) -> list[str]:
    """Post a batch and wait for its results; the parcels that were refused."""
    requests = [_request(order) for order in orders]
    batch = _until(lambda: api().post("/batches", {"requests": requests}, key=key))
    refused = []
    for item in _until(lambda: _results(api(), batch["id"])):
        if item["state"] != "issued":
            storm.refusals[item["problem"]["code"]] += 1
            refused.append(orders[item["row"] - 1])
    return refused


def _call_the_roll(storm: Storm, programs: _Programs, orders: list[str]) -> list[str]:
    """Have each fault that never struck do so, at a parcel of its own; the parcels that have no number afterwards."""
    left = list(orders)
    for name in sorted(EVERY_FAULT - set(struck(programs.mock.log()))):
        storm.called.append(name)
        rule = next(
            rule for rule in FAULTS if name == name_of(rule["fault"], rule.get("only", ""), rule.get("code"))
        )
        for _ in range(10):
            rules = [*_LEADING_TO.get(name, []), {part: rule[part] for part in rule if part != "every"}]
            programs.mock.control(script=[{**one, "times": 1} for one in rules])
            part = left[:1]
            left = left[1:] + _post(storm, programs.api, part, f"roll {name} {time.monotonic_ns()}")
            if struck(programs.mock.log())[name]:
                break
    return left


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


def _until(ask: Callable[[], Any], seconds: float = 240) -> Any:
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


def asked_for(log: list[Any]) -> dict[str, list[str]]:
    """Package id -> the contents it was asked for with, as digests, in order; what the network replayed itself isn't ours."""
    asked: dict[str, list[str]] = defaultdict(list)
    for entry in log:
        if entry["type"] == GET and entry["replay_of"] is None:
            for parcel in entry["parcels"]:
                asked[parcel["package_id"]].append(parcel["digest"])
    return asked


def unlike_repeats(log: list[Any]) -> list[str]:
    """Parcels (by package id) that were asked for with different content."""
    return [package for package, digests in asked_for(log).items() if len(set(digests)) > 1]


def retried(log: list[Any], books: dict[str, Any]) -> list[str]:
    """Calls, other than get, that would change something and were sent again blindly.

    That is: after they had their effect, or without a look at the number since they were sent before.
    """
    package_of = {waybill["number"]: waybill["package_id"] for waybill in books["waybills"]}
    sent: dict[tuple[str, str], Any] = {}
    blind = []
    for entry in log:
        type = entry["type"]
        if type == "mock.waybill.find" or ".query" in type:
            looked = {*entry["package_ids"], *(package_of.get(number) for number in entry["numbers"])}
            for before in sent.values():
                before["looked"] |= bool(looked & before["of"])
        if type in (GET, "(unreadable)") or type.startswith("mock.") or ".query" in type or ".search" in type:
            continue
        before = sent.get((type, entry["digest"]))
        if before is not None and (before["done"] or not before["looked"]):
            blind.append(f"{type}, call {entry['seq']}")
        of = {package_of.get(number) for number in entry["numbers"]} - {None}
        sent[type, entry["digest"]] = {"done": entry["code"] == 0, "looked": False, "of": of}
    return blind
