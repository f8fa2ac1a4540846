"""Several machines on one PostgreSQL database: real daemons that share printers, die, freeze and come back; each label once."""

from __future__ import annotations

import base64
import io
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.trial import QUICK, Launcher, Running
from PIL import Image
from support.daemon import PRINTER, Answered, Api, Lost, Prepared, prepare
from support.postgres import Cluster, _as_user, _user, cluster, programs
from support.programs import MockCarrier, VirtualPrinter, mock_carrier, virtual_printer

pytestmark = pytest.mark.xdist_group("nodes")

LEASE_S = 1
TEMPLATE = (
    '<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30"><layout left="2" top="2" width="70"'
    ' height="26"><text left="0" top="0" width="70" height="10" value="<%= _data.text %>"/></layout></page>'
)


class Site:
    """A printer on the network, a database, and the machines that a test starts."""

    def __init__(self, folder: Path, prepared: Prepared, printer: VirtualPrinter, launcher: Launcher) -> None:
        self.folder, self.prepared, self.printer, self.launcher = folder, prepared, printer, launcher
        self.running: dict[str, Running] = {}
        self._before = len(printer.labels())
        self._starts = 0

    def start(self, name: str, **settings: Any) -> Api:
        """Start the machine ``name``; its API once it listens."""
        return self.launch(name, **settings).api(self.prepared.token)

    def launch(self, name: str, **settings: Any) -> Running:
        """The same, not yet listening. It has a state directory of its own."""
        self._starts += 1
        home = self.folder / f"{name}-{self._starts}"
        home.mkdir()
        state = self.folder / name
        state.mkdir(exist_ok=True)
        key = Path(self.prepared.settings["state_dir"]) / "sealing.key"
        (state / "sealing.key").write_bytes(key.read_bytes())
        (state / "sealing.key").chmod(0o600)
        chosen = {**self.prepared.settings, "state_dir": str(state), "node": name, "lease_s": LEASE_S}
        files = {kind: str(home / kind) for kind in ("said", "log", "ledger")}
        group = self.launcher.tell(do="start", settings={**chosen, **settings}, **files)["group"]
        found = Running(self.launcher, group, *(Path(files[kind]) for kind in ("said", "log", "ledger")))
        self.running[name] = found
        return found

    def signal(self, name: str, number: int) -> None:
        """To every process of a machine's daemon."""
        assert self.launcher.tell(do="signal", group=self.running[name].group, number=number)["done"]

    def log(self, name: str) -> str:
        """What a machine wrote down."""
        return self.running[name].log.read_text()

    def close(self) -> None:
        """End every machine."""
        for running in self.running.values():
            for number in (signal.SIGCONT, signal.SIGKILL):
                self.launcher.tell(do="signal", group=running.group, number=number)
            assert running.gone(20)
        self.printer.faults(speed_mm_s=0, bytes_per_s=None, accept_never_read=False)

    # ------------------------------------------------------------ printers and labels

    def driver(self, api: Api) -> str | None:
        """Who drives the printer."""
        return self.shown(api)["driven_by"]

    def shown(self, api: Api) -> dict[str, Any]:
        """The printer as a machine shows it."""
        (found,) = [one for one in api.get("/printers")["items"] if one["name"] == PRINTER]
        return found

    def hangs_on(self, api: Api, node: str) -> None:
        """A person says where the printer hangs."""
        status, _ = api.raw("PATCH", f"/printers/{self.shown(api)['id']}", {"node": node})
        assert status == 200

    def post(self, api: Api, *texts: str, picture: bytes | None = None) -> str:
        """A job with a label for each text, or of one picture that takes long to write; its id."""
        documents = [
            {"template": "own", "template_text": TEMPLATE, "data": {"text": text}, "title": text}
            for text in texts
        ]
        if picture is not None:
            content = base64.b64encode(picture).decode()
            paper = {"content_base64": content, "width_mm": 100, "height_mm": 400, "dither": "threshold"}
            documents = [{"template": "noise", "picture": paper, "title": texts[0]}]
        body = {"printer": PRINTER, "documents": documents}
        return str(api.post("/jobs", body, key=f"{texts[0]} {self._starts}")["id"])

    def labels(self, api: Api, *jobs: str) -> list[dict[str, Any]]:
        """The jobs' labels, in order."""
        return [label for job in jobs for label in api.get(f"/jobs/{job}")["labels"]]

    def tray(self) -> list[str]:
        """The texts of the labels that came out since this site began; "" for one without."""
        found = []
        for path in self.printer.labels()[self._before :]:
            data = path.read_bytes()
            texts = [
                part.split(b"^")[0].decode() for part in data.split(b"^FD")[1:] if part.startswith(b"LABEL")
            ]
            found += texts or [""]
        return found

    def settle(self, api: Api, *jobs: str) -> int:
        """Wait until all came out, answering truthfully what is uncertain; how many ever were."""
        ever: set[str] = set()

        def over() -> bool:
            found = self.labels(api, *jobs)
            for label in found:
                if label["state"] == "uncertain":
                    ever.add(label["id"])
                    until(self.rests, "the printer rests")
                    out = label["title"] in self.tray()
                    status, _ = api.raw("POST", f"/labels/{label['id']}/resolve", {"came_out": out})
                    assert status in (200, 409)  # 409: the printer's counter was quicker
            return all(label["state"] == "printed" for label in found)

        until(over, "all printed")
        return len(ever)

    def rests(self) -> bool:
        """Whether nothing is in the printer or on its way out of it."""
        state = self.printer.state()
        return not state["queue"] and not state["printing"]


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What ``true()`` answers once it is; a test that never gets there fails."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.03)
    return found


class Town:
    """What a module's sites share: the printer, the network across the street, the launcher, a prepared database."""

    def __init__(
        self, folder: Path, server: Cluster, mock: MockCarrier, printer: VirtualPrinter, launcher: Launcher
    ) -> None:
        self.folder, self.server, self.mock, self.printer, self.launcher = (
            folder,
            server,
            mock,
            printer,
            launcher,
        )
        self._count = 0

    @contextmanager
    def site(self, server: Cluster | None = None) -> Iterator[Site]:
        """A database of its own on the same printer."""
        self._count += 1
        home = self.folder / f"site-{self._count}"
        url = (server or self.server).url((server or self.server).create())
        prepared = prepare(
            home / "prepared",
            self.mock,
            self.printer,
            shop=f"s{self._count}",
            **{**QUICK, "database_url": url},
        )
        found = Site(home, prepared, self.printer, self.launcher)
        try:
            yield found
        except BaseException as fault:
            for name in found.running:
                fault.add_note(f"--- {name}\n{found.log(name)[-3000:]}")
            raise
        finally:
            found.close()


@pytest.fixture(scope="module")
def town(
    postgresql_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, launcher: Launcher
) -> Iterator[Town]:
    """The town of this module."""
    folder = tmp_path_factory.mktemp("nodes")
    with mock_carrier(folder) as mock, virtual_printer(folder) as printer:
        yield Town(folder, postgresql_cluster, mock, printer, launcher)


def test_a_job_posted_anywhere_comes_out_where_the_printer_hangs(town: Town):
    """P2, P7, P13: posted at a, printed by b; handed over by an edit and by a clean stop; a printer whose machine is away waits."""
    with town.site() as site:
        a, b = site.start("a"), site.start("b")
        site.hangs_on(a, "b")
        until(lambda: site.driver(a) == "b", "b drives")
        job = site.post(a, "LABEL1")
        assert a.wait_for_job(job)["state"] == "done"
        assert "print.printed" in site.log("b") and "print.printed" not in site.log("a")
        site.hangs_on(b, "a")
        until(lambda: site.driver(b) == "a", "a drives")
        assert b.wait_for_job(site.post(b, "LABEL2"))["state"] == "done"
        assert "print.printed" in site.log("a")

        site.running["a"].stop(signal.SIGTERM)
        assert site.driver(b) is None, "a gave it back before it ended"
        waiting = site.post(b, "LABEL3")
        state = site.shown(b)["state"]
        assert (state["value"], state["reason"]) == ("unknown", "node_away")
        assert [label["state"] for label in site.labels(b, waiting)] == ["queued"]
        alive = {node["name"]: node["alive"] for node in b.get("/nodes")["items"]}
        assert alive == {"a": False, "b": True}
        site.hangs_on(b, "")  # any machine: b takes it over
        assert b.wait_for_job(waiting)["state"] == "done"
        assert Counter(site.tray()) == Counter(["LABEL1", "LABEL2", "LABEL3"])


def test_a_killed_machines_printer_is_taken_over(town: Town):
    """P7: kill -9 in the middle of a batch: after the lease another drives; one label at most is asked about, each comes out once."""
    with town.site() as site:
        a, b = site.start("a"), site.start("b")
        driver = until(lambda: site.driver(a), "somebody drives")
        api = {"a": b, "b": a}[driver]
        town.printer.faults(speed_mm_s=150)
        texts = [f"LABEL{n}" for n in range(6)]
        job = site.post(api, *texts)
        until(lambda: len(site.tray()) >= 1 and town.printer.state()["printing"], "the second comes out")
        site.signal(driver, signal.SIGKILL)
        assert site.settle(api, job) <= 1
        assert site.driver(api) != driver
        assert Counter(site.tray()) == Counter(texts)


def noise() -> bytes:
    """A picture of 100 x 400 mm that no printer's language can pack: more than the kernels at both ends of a wire hold."""
    image = Image.frombytes("1", (800, 3200), random.Random(5).randbytes(800 * 3200 // 8))
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()


def test_a_frozen_machine_writes_nothing_more(town: Town):
    """P7: SIGSTOP in the middle of a label, past the lease; another takes over. After SIGCONT the first writes no byte more,
    its outcome is refused, and every label comes out once."""
    with town.site() as site:
        api = site.start("a")
        b = site.start("b")
        site.hangs_on(api, "b")
        until(lambda: site.driver(api) == "b", "b drives")
        town.printer.faults(bytes_per_s=20_000)
        before = town.printer.state()["bytes_received"]
        big = site.post(b, "NOISE", picture=noise())
        rest = site.post(b, "LABEL1", "LABEL2")
        until(lambda: town.printer.state()["bytes_received"] > before + 5_000, "bytes of it arrive")
        town.printer.faults(accept_never_read=True)
        site.signal("b", signal.SIGSTOP)
        town.printer.faults(bytes_per_s=None, accept_never_read=False)
        site.hangs_on(api, "")
        until(lambda: site.driver(api) == "a", "a took over")
        (label,) = site.labels(api, big)
        assert (label["state"], label["reason"]) == (
            "uncertain",
            "the lease of node b ran out while sending",
        )
        assert "NOISE" not in site.tray() and "" not in site.tray()
        site.signal("b", signal.SIGCONT)
        until(lambda: "print.outcome_refused" in site.log("b"), "b's outcome is refused")
        # The half label in the printer is gone with b's connection; a person has seen that nothing came out.
        api.post(f"/labels/{label['id']}/resolve", {"came_out": False})
        site.settle(api, big, rest)
        until(site.rests, "all is out")
        assert Counter(site.tray()) == Counter(["", "LABEL1", "LABEL2"])
        assert "print.printed" not in site.log("b")


def test_machines_started_at_once_share_one_printer(town: Town):
    """P7: two that start on one fresh database at the same moment: one drives, each label comes out once, wherever posted."""
    with town.site() as site:
        starting = {name: site.launch(name) for name in "ab"}
        found = {name: running.api(site.prepared.token) for name, running in starting.items()}
        jobs = [site.post(found["ab"[n % 2]], f"LABEL{n}") for n in range(6)]
        assert site.settle(found["a"], *jobs) == 0
        assert Counter(site.tray()) == Counter(f"LABEL{n}" for n in range(6))


def test_a_restart_of_the_server_in_the_middle_of_a_batch(town: Town):
    """P7: PostgreSQL is restarted while labels come out: none is lost, none comes out twice, and printing goes on by itself."""
    with cluster() as server, town.site(server) as site:
        a, b = site.start("a", lease_s=3), site.start("b", lease_s=3)
        until(lambda: site.driver(a), "somebody drives")
        town.printer.faults(speed_mm_s=150)
        texts = [f"LABEL{n}" for n in range(6)]
        job = site.post(a, *texts)
        until(lambda: len(site.tray()) >= 1, "the first is out")
        with restarted(server):
            until(lambda: answers(b), "b answers again")
            until(lambda: answers(a), "a answers again")
            site.settle(a, job)
            assert Counter(site.tray()) == Counter(texts)
            assert b.wait_for_job(site.post(b, "LABEL9"))["state"] == "done"
            site.close()


def answers(api: Api) -> bool:
    """Whether a machine answers again."""
    try:
        api.get("/printers")
    except (Answered, Lost):
        return False
    return True


@contextmanager
def restarted(server: Cluster) -> Iterator[None]:
    """Restart the server, whose keeper doesn't know of it: at the end of the block it is stopped here."""
    control = [str(programs() / "pg_ctl"), "-D", str(server.folder / "data"), "-m", "fast", "-w"]
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}

    def tell(verb: str) -> None:
        command = [part for part in _as_user(_user(), *control, verb) if not part.startswith("--pdeathsig")]
        subprocess.run(
            command, check=True, cwd=server.folder, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    server.close()
    tell("restart")
    try:
        yield
    finally:
        server.close()
        tell("stop")


@pytest.mark.sweep
def test_many_machines_die_freeze_and_stop_at_random(town: Town):
    """P7: twenty times one of three machines is killed, frozen past its lease or stopped while a batch comes out; each label once."""
    dice = random.Random(20)
    with town.site() as site:
        apis = {name: site.start(name) for name in "abc"}
        town.printer.faults(speed_mm_s=150)
        jobs, texts, uncertain = [], [], 0
        for turn in range(20):
            chosen = [f"LABEL{turn}X{n}" for n in range(4)]
            texts += chosen
            jobs.append(site.post(apis[dice.choice("abc")], *chosen))
            until(lambda: site.driver(apis["a"]), "somebody drives")
            victim = site.driver(apis["a"]) or "a"
            other = apis[dice.choice([name for name in "abc" if name != victim])]
            until(lambda turn=turn: len(site.tray()) > 4 * turn + dice.randrange(3), "some are out")
            what = dice.choice([signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
            site.signal(victim, what)
            uncertain += site.settle(other, jobs[-1])
            if what == signal.SIGSTOP:
                site.signal(victim, signal.SIGCONT)
            else:
                assert site.running[victim].gone(30)
                apis[victim] = site.start(victim)
            assert Counter(site.tray()) == Counter(texts)
        print(f"\n20 machines lost, {len(texts)} labels, {uncertain} uncertain, 0 duplicates, 0 lost")
