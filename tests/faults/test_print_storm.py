"""Labels in a storm: clients post, hold, release and cancel, printers run out of paper and lose their wires, and at the end the
daemon's books are the trays, number by number (P7, P8).

Hides who does what when. A person stands at the printers: an uncertain label is answered by what lies in the tray, once the
printer has come to rest. ``STORM_JOBS`` and ``STORM_SECONDS`` make the long one shorter.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.daemon import Answered, Api, Lost, running_daemon
from support.programs import VirtualPrinter, call, virtual_printer

from labelsvc.daemon import assemble
from labelsvc.printing import LabelState, journal, tables
from labelsvc.printing.model import SETTLED, STEPS
from labelsvc.security import Actor, Role, StoreKind
from labelsvc.settings import load

TEMPLATE = """<page xmlns="http://cloudprint.cainiao.com/print" width="60" height="20">
  <layout left="2" top="2" width="56" height="16">
    <text left="0" top="0" width="56" height="10" value="<%= _data.text %>" style="fontSize:12"/>
  </layout>
</page>"""
#: What happens to a printer, and for how many seconds at most before somebody mends it.
FAULTS: tuple[tuple[dict[str, Any], float], ...] = (
    ({"paper_out": True}, 1.0),
    ({"paper_out_after_labels": 0}, 1.0),
    ({"head_open": True}, 1.0),
    ({"paused": True}, 0.5),
    ({"silent": True}, 0.5),
    ({"silent_when_blocked": True, "paper_out": True}, 1.0),
    ({"unplugged": True}, 0.5),
    ({"drain_delay_s": 0.3}, 1.0),
    ({"bytes_per_s": 2000}, 1.0),
)
MENDED = {
    "paper_out": False,
    "paper_out_after_labels": None,
    "head_open": False,
    "paused": False,
    "silent": False,
    "silent_when_blocked": False,
    "unplugged": False,
    "drain_delay_s": 0.0,
    "bytes_per_s": None,
    "die_after_bytes": None,
}
_AT_REST_S = 2.0  # so long a printer rests before a person believes that nothing more comes


@dataclass
class Storm:
    """How bad it gets, and what was done."""

    printers: int
    clients: int
    jobs: int
    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)


def _client(storm: Storm, api: Api, number: int) -> None:
    """Posts its share of the jobs, evenly over the time; some are held, released, cancelled, one is posted twice."""
    dice = random.Random(number)
    share = range(number, storm.jobs, storm.clients)
    began = time.monotonic()
    for turn, job_number in enumerate(share):
        time.sleep(max(0.0, began + storm.seconds * turn / len(share) - time.monotonic()))
        texts = [f"NUMBER{job_number:06}{letter}" for letter in "AB"[: dice.choice((1, 1, 2))]]
        body = {
            "printer": f"p{dice.randrange(storm.printers)}",
            "lane": dice.choice(("bench", "batch")),
            "hold": dice.random() < 0.1,
            "documents": [
                {"template": "own", "template_text": TEMPLATE, "data": {"text": text}, "title": text}
                for text in texts
            ],
        }
        for _ in range(2 if dice.random() < 0.05 else 1):
            job = api.post("/jobs", body, key=f"job-{job_number}")
            storm.done["posted"] += 1
        wish = dice.random()
        if wish < 0.05:
            _ask(storm, api, job["id"], "hold")
            body["hold"] = True
        elif wish < 0.12:
            _ask(storm, api, job["id"], "cancel")
        if body["hold"]:
            time.sleep(dice.random() * 0.3)
            _ask(storm, api, job["id"], "release" if dice.random() < 0.8 else "cancel")


def _ask(storm: Storm, api: Api, job_id: str, what: str) -> None:
    try:
        api.post(f"/jobs/{job_id}/{what}")
        storm.done[what] += 1
    except Answered as refused:  # it was too late for that
        assert refused.status == 409, refused
        storm.done[f"too late to {what}"] += 1


def _weather(storm: Storm, devices: list[VirtualPrinter]) -> None:
    """Something happens to a printer, and is mended; to one after another, until the storm is over."""
    dice = random.Random(0)
    while not storm.over.is_set():
        device = dice.choice(devices)
        if dice.random() < 0.3:
            device.faults(die_after_bytes=dice.randrange(1, 400))
            storm.done["cut wires"] += 1
            continue
        fault, seconds = dice.choice(FAULTS)
        device.faults(**fault)
        storm.done["faults"] += 1
        storm.over.wait(dice.random() * seconds)
        device.faults(**{name: MENDED[name] for name in {*fault, "paper_out"}})
    for device in devices:
        device.faults(**MENDED)


def _texts(device: VirtualPrinter) -> list[str]:
    """What lies in a printer's tray, in its order."""
    return [re.search(rb"NUMBER\d+[AB]", path.read_bytes())[0].decode() for path in device.labels()]


def _person(storm: Storm, api: Api, devices: dict[str, VirtualPrinter]) -> None:
    """Answers what is uncertain: it lies in the tray, or the printer rests without it."""
    resting: dict[str, float] = {}
    while not storm.over.wait(0.5):
        try:
            jobs = api.get("/jobs?state=attention&limit=100")["items"]
        except Lost:
            continue
        for label in [each for job in jobs for each in job["labels"] if each["state"] == "uncertain"]:
            device = devices[label["printer_id"]]
            state = device.state()
            rests = not (state["queue"] or state["printing"] or state["buffered"])
            if label["title"] in _texts(device):
                came_out = True
            elif rests and time.monotonic() - resting.setdefault(label["id"], time.monotonic()) > _AT_REST_S:
                came_out = False
            else:
                if not rests:
                    resting.pop(label["id"], None)
                continue
            try:
                api.post(f"/labels/{label['id']}/resolve", {"came_out": came_out})
                storm.done["came out" if came_out else "did not"] += 1
            except Answered as refused:  # the counter was quicker
                assert refused.status == 409, refused
            resting.pop(label["id"], None)


@contextmanager
def _street(folder: Path, count: int) -> Iterator[list[VirtualPrinter]]:
    """So many printers in one process."""
    with virtual_printer(folder, count=count) as first:
        yield [
            replace(
                first,
                port=int(wires[0].rsplit(":", 1)[1]),
                control_url=f"{first.control_url}/printers/{number}",
                tray=first.tray / str(number),
            )
            for number, wires in enumerate(call(f"{first.control_url}/printers"), start=1)
        ]


def _blow(storm: Storm, tmp_path: Path) -> None:
    settings = {"state_dir": str(tmp_path / "state"), "port": 0}
    rooms = assemble(load(**settings))
    store = rooms.accounts.create_store("s", StoreKind.FACTORY)
    actor = Actor.operator(store.id, via="test")
    rooms.accounts.create_user(actor, "owner", Role.OWNER)
    token = rooms.accounts.create_token(actor, "owner", "test").secret
    with _street(tmp_path, storm.printers) as devices:
        by_id = {
            rooms.printers.add(actor, f"p{n}", device.uri, "virtual-zpl-203").id: device
            for n, device in enumerate(devices)
        }
        began = time.monotonic()
        with running_daemon(settings, tmp_path / "log") as daemon:
            api = daemon.api(token)
            clients = [
                threading.Thread(target=_client, args=(storm, api, number)) for number in range(storm.clients)
            ]
            weather = threading.Thread(target=_weather, args=(storm, devices))
            for thread in (*clients, weather):
                thread.start()
            person_over = replace(storm, over=threading.Event())
            person = threading.Thread(target=_person, args=(person_over, api, by_id))
            person.start()
            for thread in clients:
                thread.join()
            storm.over.set()
            weather.join()
            _until_settled(rooms.database)
            person_over.over.set()
            person.join()
        took = time.monotonic() - began
        _compare(storm, rooms.database, by_id)
        print(
            f"\n{storm.jobs} jobs of {storm.clients} clients to {storm.printers} printers, {took:.0f} s: "
            f"{sum(len(device.labels()) for device in devices)} labels in the trays; {dict(sorted(storm.done.items()))}"
        )
    rooms.database.close()


def _until_settled(database: Any) -> None:
    """Wait until nothing is open: as long as something moves, and a minute more."""
    seen, since = None, time.monotonic()
    while True:
        with database.reading() as connection:
            counted = journal.count_states(connection)
        left = {
            state: counted[state]
            for state in LabelState
            if state not in SETTLED or state is LabelState.UNCERTAIN
        }
        if not any(left.values()):
            return
        if counted != seen:
            seen, since = counted, time.monotonic()
        assert time.monotonic() - since < 60, f"nothing moves any more: {left}"
        time.sleep(0.3)


def _compare(storm: Storm, database: Any, devices: dict[str, VirtualPrinter]) -> None:
    """Every step was legal, each lane kept its order, and what is printed lies in its tray, once; nothing else does."""
    labels, changes = tables.labels, tables.changes
    with database.reading() as connection:
        rows = connection.execute(
            select(labels.c.id, labels.c.seq, labels.c.printer_id, labels.c.lane, labels.c.title, labels.c.state, labels.c.attempt)
        ).all()  # fmt: skip
        steps = defaultdict(list)
        for row in connection.execute(select(changes).order_by(changes.c.seq)):
            steps[row.label_id].append((row.before, row.after))
    assert len({row.title for row in rows}) == len(rows) >= storm.jobs
    for row in rows:
        taken = steps[row.id]
        assert taken[0][0] is None and taken[-1][1] == row.state, row
        for (_, before), (said, after) in pairwise(taken):
            assert said == before and LabelState(after) in STEPS[LabelState(before)], (row, taken)
    for printer_id, device in devices.items():
        here = [row for row in rows if row.printer_id == printer_id]
        tray = _texts(device)
        assert Counter(tray) == Counter(row.title for row in here if row.state == LabelState.PRINTED)
        assert {row.state for row in here} <= {LabelState.PRINTED, LabelState.CANCELLED}
        place = {title: number for number, title in enumerate(tray)}
        for lane in ("bench", "batch"):
            straight = [
                row for row in here
                if row.lane == lane and row.title in place and row.attempt == 1
                and all(after != LabelState.HELD for _, after in steps[row.id])
            ]  # fmt: skip
            order = sorted(straight, key=lambda row: row.seq)
            assert order == sorted(straight, key=lambda row: place[row.title]), lane


def test_a_storm_of_labels(tmp_path: Path):
    """P7, P8: 80 jobs of 8 clients to 3 printers within 4 seconds."""
    storm = Storm(printers=3, clients=8, jobs=80, seconds=4)
    _blow(storm, tmp_path)
    assert storm.done["faults"] and storm.done["cut wires"] and storm.done["cancel"], storm.done


@pytest.mark.sweep
def test_ten_thousand_jobs_in_a_storm(tmp_path: Path):
    """P7, P8: 10,000 jobs of 50 clients to 20 printers in 5 minutes."""
    jobs, seconds = (
        int(os.environ.get(name, most)) for name, most in (("STORM_JOBS", 10_000), ("STORM_SECONDS", 300))
    )
    storm = Storm(printers=20, clients=50, jobs=jobs, seconds=seconds)
    _blow(storm, tmp_path)
