"""One trial: parcels go from a warehouse PC to paper while the daemon is killed, and the books are compared afterwards.

Hides who is who: the launcher's daemons, the carrier network and the printer across the street, the PC that asks again with
the same keys, and the person who looks into the tray and answers truthfully.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import make_url
from support import readers
from support.daemon import CARRIER, PRINTER, SENDER, Answered, Api, Lost, Prepared, prepare
from support.postgres import Cluster
from support.programs import MockCarrier, VirtualPrinter, mock_carrier, virtual_printer

T = TypeVar("T")

LABEL_DOTS = (608, 1040)  # 76 x 130 mm at 8 dots a mm
RECIPIENT = {
    "name": "欧阳晓晴",
    "phone": "19900002001",
    "province": "广东省",
    "city": "深圳市",
    "district": "南山区",
    "detail": "科技园南区高新南九道10号16栋2单元801室",
}
#: What the daemon is told to be: quick to look again, else as it would be anywhere.
QUICK = {
    "poll_s": 0.05,
    "printer_retry_s": 0.2,
    "proof_timeout_s": 5,
    "network_timeout_s": 1,
    "log_level": "debug",
}
_PATIENCE_S = 60
#: What is done as often as the clock has it: asking the printer, connecting anew to one that rested, noting its state, reading
#: printing's news.
BY_THE_CLOCK = (
    "printer connect",
    "printer query",
    "printer answer",
    "commit printing.spooler:_OnePrinter._note",
    "commit waybills.printouts:Printouts.follow_printing",
)


class Launcher:
    """The launcher program, and its daemons."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launcher.py"))],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._answer(90)["ready"]

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        line = self._answers.get(timeout=timeout_s)
        assert line, "the launcher ended"
        return json.loads(line)

    def tell(self, **order: Any) -> dict[str, Any]:
        """Have it do something."""
        assert self._process.stdin
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._answer(60)

    def end(self) -> None:
        """End every daemon that is left, and go on."""
        self.tell(do="end")

    def close(self) -> None:
        """End it and every daemon it started."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class Kill:
    """Where to kill: at the ``nth`` time that a point of ``kind`` is passed, and whom."""

    kind: str
    nth: int = 1
    whom: str = "all"

    def __str__(self) -> str:
        return f"{self.kind} #{self.nth} ({self.whom})"


@dataclass
class Running:
    """A daemon of the launcher's."""

    launcher: Launcher
    group: int
    said: Path
    log: Path
    ledger: Path

    def address(self) -> str:
        """Where it listens; "" until it says so. A restarted worker listens where the one before did."""
        found = re.findall(r"listening on (http\S+)", self.said.read_text()) if self.said.exists() else []
        return found[-1] if found else ""

    def api(self, token: str) -> Api:
        """A client of it, once it listens. Raises AssertionError."""
        deadline = time.monotonic() + 30
        while not self.address():
            assert time.monotonic() < deadline, f"not listening:\n{self.log.read_text()[-2000:]}"
            time.sleep(0.01)
        return Api(self.address(), token)

    def gone(self, timeout_s: float = 0) -> bool:
        """Whether every process of it ended."""
        return bool(self.launcher.tell(do="gone", group=self.group, timeout_s=timeout_s)["gone"])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and see it gone."""
        self.launcher.tell(do="signal", group=self.group, number=number)
        if not self.gone(20):
            self.launcher.tell(do="signal", group=self.group, number=signal.SIGKILL)
            assert self.gone(5), "a daemon outlives kill -9"
            raise AssertionError(f"the daemon didn't stop within 20 s of signal {number}")

    def points(self) -> list[str]:
        """The points that it passed, in their order."""
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    @property
    def killed(self) -> bool:
        """Whether the launcher killed it."""
        return "! kill" in self.points()


@dataclass
class Street:
    """What stands around the daemon and outlives it: the network, the printer, the launcher, and a prepared state."""

    folder: Path
    mock: MockCarrier
    printer: VirtualPrinter
    launcher: Launcher
    prepared: Prepared
    cluster: Cluster | None = None  #: where the databases are; None: SQLite, in the state directory
    template: str | None = None  #: that labels are printed with; None: the usual one
    _trials: Iterator[int] = field(default_factory=lambda: count(1))

    def fresh_state(self) -> tuple[int, Prepared]:
        """A number for a trial, and a copy of the prepared state for it."""
        number = next(self._trials)
        home = self.folder / f"trial-{number}"
        shutil.copytree(self.prepared.settings["state_dir"], home / "state")
        prepared = self.prepared.moved(home / "state")
        if self.cluster is not None:
            name = self.cluster.create(_database_of(self.prepared))
            prepared.settings["database_url"] = self.cluster.url(name)
        return number, prepared

    def forget(self, prepared: Prepared) -> None:
        """Throw a trial's state away."""
        shutil.rmtree(Path(prepared.settings["state_dir"]).parent)
        if self.cluster is not None:
            self.cluster.drop(_database_of(prepared))

    def start(self, prepared: Prepared, name: str, kill: Kill | None = None, **settings: Any) -> Running:
        """Start a daemon; it may be dead before it ever listens."""
        home = Path(prepared.settings["state_dir"]).parent
        said, log, ledger = (home / f"{name}.{kind}" for kind in ("said", "log", "ledger"))
        chosen = {**prepared.settings, **settings}
        armed = {"kind": kill.kind, "nth": kill.nth, "whom": kill.whom} if kill else {}
        files = {"said": str(said), "log": str(log), "ledger": str(ledger)}
        usb = [str(self.printer.usb)] if self.printer.usb else []
        group = self.launcher.tell(do="start", settings=chosen, usb=usb, **files, **armed)["group"]
        return Running(self.launcher, group, said, log, ledger)


def _database_of(prepared: Prepared) -> str:
    """The name of a PostgreSQL database."""
    found = make_url(prepared.settings["database_url"]).database
    assert found
    return found


@contextmanager
def street(
    cluster: Cluster | None = None,
    wire: str = "tcp",
    template: str | None = None,
    launcher: Launcher | None = None,
    **printer: Any,
) -> Iterator[Street]:
    """The network, the printer and the launcher until the block ends; ``printer`` are the virtual printer's options.

    The printer hangs on ``wire``: tcp, usb or serial. A ``launcher`` that stands on another street at other times saves the
    seconds that a new one takes.

    The daemons' databases are SQLite's, or in ``cluster``.
    """
    with tempfile.TemporaryDirectory(prefix="labelsvc-faults-") as name:
        folder = Path(name)
        sockets = {"usb": {"usb": folder / "usb"}, "serial": {"pty": folder / "ttyPRINTER"}}
        printer |= sockets.get(wire, {})
        with (
            mock_carrier(folder, opening_balance=1_000_000) as mock,
            virtual_printer(folder, **printer) as paper,
        ):
            used = launcher or Launcher()
            try:
                chosen = {**QUICK, "database_url": cluster.url(cluster.create())} if cluster else QUICK
                prepared = prepare(folder / "prepared" / "state", mock, paper, **chosen)
                yield Street(folder, mock, paper, used, prepared, cluster, template)
            finally:
                (used.end if launcher else used.close)()


@dataclass
class Trial:
    """A number of parcels, one kill at most, and everything that was seen."""

    street: Street
    parcels: int
    kill: Kill | None = None
    dropped: int = 0  #: how many of the network's answers get lost on their way
    printer: dict[str, Any] = field(default_factory=dict)  #: what is wrong with the printer
    number: int = 0
    uncertain: list[str] = field(default_factory=list)
    restarts: int = 0
    reached: bool = False

    def __post_init__(self) -> None:
        self.number, self.prepared = self.street.fresh_state()
        self.orders = [f"T{self.number}-{parcel}" for parcel in range(1, self.parcels + 1)]
        self._tray_before = len(self.street.printer.labels())
        self._daemon: Running | None = None
        self._deadline = 0.0

    def run(self) -> Trial:
        """Let the parcels go all the way, whatever happens to the daemon, and check every promise."""
        self._deadline = time.monotonic() + _PATIENCE_S + 5 * self.parcels
        self.street.mock.control(drop_answers=self.dropped)
        self.street.printer.faults(**self.printer)
        first = self._daemon = self.street.start(self.prepared, "armed", self.kill)
        try:
            waybills = [self._until_answered(lambda order=order: self._issue(order)) for order in self.orders]
            jobs = [
                self._until_answered(lambda waybill=waybill: self._print(waybill)) for waybill in waybills
            ]
            for job in jobs:
                self._until_settled(job["id"])
            self._check(waybills, jobs)
        except BaseException as fault:
            fault.add_note(self._report())
            raise
        finally:
            if self._daemon is not None:
                self._daemon.stop(signal.SIGKILL)
            first.stop(signal.SIGKILL)
        self.points = [point for point in first.points() if point != "! kill"]
        self.reached = first.killed
        self.street.forget(self.prepared)
        return self

    # ------------------------------------------------------------ the warehouse PC

    def _issue(self, order: str) -> Any:
        body = {
            "carrier": CARRIER,
            "orders": [order],
            "recipient": RECIPIENT,
            "shown_sender": SENDER.__dict__,
            "items": [{"name": "手作陶瓷马克杯", "count": 1}],
        }
        return self._api.post("/waybills", body, key=f"issue {order}")

    def _print(self, waybill: dict[str, Any]) -> Any:
        body = {"printer": PRINTER}
        if self.street.template:
            body["template"] = self.street.template
        return self._api.post(f"/waybills/{waybill['id']}/print", body, key=f"print {waybill['id']}")

    @property
    def _api(self) -> Api:
        assert self._daemon
        address = self._daemon.address()
        if not address:
            raise Lost("not listening yet")
        return Api(address, self.prepared.token)

    def _until_answered(self, ask: Callable[[], T]) -> T:
        """Ask with the same key until there is an answer that isn't "not now"; start the daemon again when it is dead."""
        while True:
            try:
                return ask()
            except Lost:
                self._bring_back()
            except Answered as problem:
                if problem.status not in (502, 503):
                    raise
            assert time.monotonic() < self._deadline, "no answer any more"
            time.sleep(0.02)

    def _bring_back(self) -> None:
        """What systemd would do: a daemon whose main process is gone is started again."""
        assert self._daemon
        if self._daemon.gone():
            self.restarts += 1
            self._daemon = self.street.start(self.prepared, f"again-{self.restarts}")

    def _until_settled(self, job_id: str) -> None:
        while True:
            job = self._until_answered(lambda: self._api.get(f"/jobs/{job_id}?wait_s=2"))
            for label in job["labels"]:
                if label["state"] == "uncertain":
                    self._answer(label)
            if all(label["state"] in ("printed", "sent", "failed", "cancelled") for label in job["labels"]):
                return
            assert time.monotonic() < self._deadline, (
                f"labels are still {[x['state'] for x in job['labels']]}"
            )

    # ------------------------------------------------------------ the person at the printer

    def _answer(self, label: dict[str, Any]) -> None:
        """Look whether the label lies in the tray, once the printer stands still, and say so."""
        self._until_printer_rests()
        came_out = label["title"] in self.tray()
        try:
            self._until_answered(
                lambda: self._api.post(f"/labels/{label['id']}/resolve", {"came_out": came_out})
            )
        except Answered as problem:
            if problem.status != 409:  # the printer's counter was quicker
                raise

    def _until_printer_rests(self) -> None:
        before = None
        while True:
            state = self.street.printer.state()
            seen = (state["queue"], state["printing"], state["arriving"], state["bytes_received"])
            if seen == before and not any(seen[:3]):
                return
            assert time.monotonic() < self._deadline, "the printer never rests"
            before = seen
            time.sleep(0.03)

    def tray(self) -> list[str]:
        """The numbers on the labels that came out in this trial, decoded from the bytes that the printer received."""
        return [number_on(path) for path in self.street.printer.labels()[self._tray_before :]]

    # ------------------------------------------------------------ the promises

    def _check(self, waybills: list[dict[str, Any]], jobs: list[dict[str, Any]]) -> None:
        self._until_printer_rests()
        steps = [
            step
            for job in jobs
            for step in self._until_answered(lambda job=job: self._api.get(f"/jobs/{job['id']}/history"))[
                "items"
            ]
        ]
        uncertain = [step for step in steps if step["after"] == "uncertain"]
        self.uncertain = [step["label_id"] for step in uncertain]
        assert len(uncertain) <= (1 if self.kill else 0), f"{len(uncertain)} labels became uncertain"
        assert all(step["before"] == "sending" for step in uncertain), (
            "a label outside sending became uncertain"
        )

        live = self._live()
        assert all(len(numbers) == 1 for numbers in live.values()), f"live numbers of a parcel: {live}"
        ours = {waybill["orders"][0]: waybill["number"] for waybill in waybills}
        assert ours == {order: numbers[0] for order, numbers in live.items()}, (
            "our number isn't the network's"
        )

        self._until_known_printed(waybills)
        paper = Counter(self.tray())
        assert paper == Counter(ours.values()), f"on paper {dict(paper)}, issued {sorted(ours.values())}"
        states = Counter(
            label["state"]
            for job in jobs
            for label in self._until_answered(lambda job=job: self._api.get(f"/jobs/{job['id']}"))["labels"]
        )
        assert states == {"printed": self.parcels}, f"labels ended as {dict(states)}"

    def _until_known_printed(self, waybills: list[dict[str, Any]]) -> None:
        """The waybills room reads printing's news in its rounds, and forgets none over a crash."""
        for waybill in waybills:
            path = f"/waybills/{waybill['id']}"
            while self._until_answered(lambda path=path: self._api.get(path))["state"] != "printed":
                assert time.monotonic() < self._deadline, "a waybill never learns that it was printed"
                time.sleep(0.03)

    def _live(self) -> dict[str, list[str]]:
        """Each parcel's live numbers, once none has two: what a crash left over is cancelled in one of the next rounds."""
        patience = time.monotonic() + 10
        while True:
            live = {order: self.street.mock.live(order) for order in self.orders}
            if all(len(numbers) == 1 for numbers in live.values()) or time.monotonic() > patience:
                return live
            time.sleep(0.1)

    def _report(self) -> str:
        logs = sorted(Path(self.prepared.settings["state_dir"]).parent.glob("*.log"))
        tail = "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)
        return f"killed at {self.kill}, restarts {self.restarts}, tray {self.tray()}\n{tail}"


def number_on(label: Path) -> str:
    """The waybill number on a label: what zxing-cpp reads in zplkit's drawing of the bytes received."""
    image = readers.zpl_to_image(label.read_bytes(), LABEL_DOTS)
    numbers = {text for kind, text in readers.decode(image) if kind == "Code 128"}
    assert len(numbers) == 1, f"{label.name} shows {len(numbers)} numbers"
    return numbers.pop()


def points_of(street: Street, parcels: int) -> list[Kill]:
    """Every point that a trial without a kill passes, in its order: where to kill in the trials that follow."""
    seen: Counter[str] = Counter()
    kills = []
    for kind in Trial(street, parcels).run().points:
        seen[kind] += 1
        kills.append(Kill(kind, seen[kind]))
    return kills


@dataclass
class Tally:
    """What a number of trials came to."""

    trials: int = 0
    kills: int = 0
    uncertain: int = 0
    points: Counter[str] = field(default_factory=Counter)
    survived: list[Kill] = field(default_factory=list)
    lost: bool = False  #: whether answers of the network got lost in some
    whole: bool = False  #: whether this tells of every point, not of a part

    def add(self, trial: Trial) -> None:
        """Count one."""
        self.trials += 1
        self.kills += trial.reached
        self.uncertain += len(trial.uncertain)
        self.lost |= trial.dropped > 0
        if trial.kill and not trial.reached:
            self.survived.append(trial.kill)
        elif trial.kill:
            self.points[trial.kill.kind] += 1

    def merge(self, other: Tally) -> None:
        """Count another's trials too."""
        self.trials += other.trials
        self.kills += other.kills
        self.uncertain += other.uncertain
        self.lost |= other.lost
        self.points += other.points
        self.survived += other.survived

    def check(self) -> None:
        """Every kind of point was killed at, and every point of a kind that is passed once for each label.

        How often a printer is asked and in how many rounds its news are read hangs on the clock; how often an answer
        arrives, on how many were lost before.
        """
        once_a_label = {
            str(kill)
            for kill in self.survived
            if not kill.kind.startswith(BY_THE_CLOCK) and not (self.lost and kill.kind.startswith("carrier "))
        }
        never = {kill.kind for kill in self.survived} - set(self.points) if self.whole else set()
        assert not once_a_label | never, f"never reached: {sorted(once_a_label | never)}"

    def table(self, title: str) -> str:
        """For people. A duplicate or a lost label fails its trial, so a table that is printed has none."""
        width = max((len(kind) for kind in self.points), default=0)
        rows = [f"  {kind:<{width}}  {kills:>4}" for kind, kills in sorted(self.points.items())]
        head = f"{title}: {self.trials} trials, {self.kills} kills, {self.uncertain} uncertain, 0 duplicates, 0 lost"
        return "\n".join(["", head, *rows])
