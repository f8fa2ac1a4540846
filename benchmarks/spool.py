"""``./dev bench spool``: labelsvc beside CUPS in the same run: accept, first byte, done; many printers; paper; a long history; rest.

Hides the printers with a stop-watch (of ``first_label.py``), one for each program, which take everything at once, so that what
is measured is the spooler. CUPS is a real ``cupsd`` with raw queues to the same kind of printer and gets the same bytes, ready
made; labelsvc gets a template and data over HTTP and renders the label itself. *Done* is when a client can know: the job's
state *done* there (proved by the printer), *completed* here (handed over). The printer whose paper ends is the virtual one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.cupsd import HINDRANCE, Cupsd, cupsd  # noqa: E402
from support.daemon import PRINTER, Api, Daemon, running_daemon  # noqa: E402
from support.programs import virtual_printer  # noqa: E402

from benchmarks.first_label import StopwatchPrinter, another_parcel, memory_mib, prepared  # noqa: E402
from benchmarks.table import Row, show  # noqa: E402
from labelsvc.daemon import assemble  # noqa: E402
from labelsvc.printing.transports import cups  # noqa: E402
from labelsvc.security import Actor  # noqa: E402
from labelsvc.settings import load  # noqa: E402

PROFILE = "virtual-zpl-203"
#: (a full run, a quick one)
ROUNDS, PAIRS, HISTORY, IDLE_S = (100, 20), (9, 3), (1_000_000, 50_000), (30.0, 5.0)
CROWDS = ((1, 50), (10, 200), (100, 400))  # printers, labels over all
A_PAIR = 10
#: Not counted: in its first seconds the daemon draws the letters that waybills are made of.
WARM = 10
LIMITS = {"accept": 0.5, "done": 1.0}
_TICK = os.sysconf("SC_CLK_TCK")


def ask(api: Api, printer: str, key: str, copies: int = 1) -> dict[str, Any]:
    """A job of one document, so many copies."""
    document = {"template": "waybill-76x130", "data": another_parcel(), "title": key[:40], "copies": copies}
    return api.post("/jobs", {"printer": printer, "documents": [document]}, key=key)


def queue_of(printer: StopwatchPrinter) -> str:
    """A CUPS device that leads to it."""
    return f"socket://127.0.0.1:{urlsplit(printer.uri).port}/?waiteof=false"


# ------------------------------------------------------------ one label after another


def beside_cups(folder: Path, rounds: int) -> list[Row]:
    """Accept, first byte and done of single labels, in turn: labelsvc, ``lp``, and CUPS by IPP without a process for each."""
    ours, theirs = StopwatchPrinter(), StopwatchPrinter()
    settings, token = prepared(folder / "beside", ours)
    times: dict[str, dict[str, list[float]]] = {}

    def note(program: str, began: float, **ends: float) -> None:
        for what, end in ends.items():
            times.setdefault(program, {}).setdefault(what, []).append((end - began) * 1000)

    with (
        running_daemon(settings, folder / "daemon.log") as daemon,
        cupsd({"raw": queue_of(theirs)}) as server,
    ):
        api = daemon.api(token)
        caller = http.client.HTTPConnection(urlsplit(daemon.address).netloc)
        file = folder / "label.zpl"
        for number in range(rounds + WARM):
            program = "labelsvc" if number >= WARM else "warming up"
            began = time.perf_counter()
            job = _post(caller, token, f"beside-{number}")
            accepted = time.perf_counter()
            state = api.get(f"/jobs/{job['id']}?wait_s=10")["state"]
            done = time.perf_counter()
            if state != "done":
                raise RuntimeError(f"label {number} is {state}")
            note(program, began, accept=accepted, first=ours.began[number], done=done)
            if number == 0:
                file.write_bytes(ours.last)
            for way, hand_over in (("lp", by_lp), ("IPP", by_ipp)):
                program = way if number >= WARM else "warming up"
                before = len(theirs.came)
                began = time.perf_counter()
                link = hand_over(server, file)
                accepted = time.perf_counter()
                link.flush()
                done = time.perf_counter()
                theirs.wait_for(before + 1)
                note(program, began, accept=accepted, first=theirs.began[before], done=done)
    rows = []
    for what in ("accept", "first", "done"):
        for how, figure in (
            ("median", statistics.median),
            ("p99", lambda t: statistics.quantiles(t, n=100)[98]),
        ):
            for way in ("lp", "IPP"):
                goal = LIMITS.get(what) if (way, how) == ("lp", "median") else None
                mine, other = figure(times["labelsvc"][what]), figure(times[way][what])
                case = {"accept": "accepted", "first": "first byte", "done": "done"}[what]
                rows.append(Row(f"{case}, {how}", mine, "ms", "lower", f"CUPS by {way}", other, goal))
    return rows


def _post(caller: http.client.HTTPConnection, token: str, key: str) -> dict[str, Any]:
    """A job of one label, by a client that does no more than it must, as ``lp`` does."""
    document = {"template": "waybill-76x130", "data": another_parcel(), "title": key}
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    caller.request("POST", "/api/v1/jobs", json.dumps({"printer": PRINTER, "documents": [document]}), headers)
    answer = caller.getresponse()
    said: dict[str, Any] = json.loads(answer.read())
    if answer.status != 201:
        raise RuntimeError(f"refused: {answer.status} {said.get('code')}")
    return said


def by_lp(server: Cupsd, file: Path) -> cups.QueueLink:
    """As a person or an ERP does; the link is for asking about the job."""
    said = subprocess.run(
        ["lp", "-h", server.server, "-d", "raw", "-o", "raw", str(file)],
        check=True,
        capture_output=True,
        text=True,
    )
    link = cups.QueueLink(cups.Queue("raw", "127.0.0.1", server.port))
    link._job = int(said.stdout.split()[3].rpartition("-")[2])  # "request id is raw-12 (1 file(s))"
    return link


def by_ipp(server: Cupsd, file: Path) -> cups.QueueLink:
    """As labelsvc's own transport does."""
    link = cups.QueueLink(cups.Queue("raw", "127.0.0.1", server.port))
    link.write(file.read_bytes(), "label")
    return link


# ------------------------------------------------------------ many printers


def crowds(folder: Path) -> list[Row]:
    """Labels a minute over 1, 10 and 100 printers, each with a job of its own; CUPS gets the same in as many queues."""
    rows = []
    for printers, labels in CROWDS:
        ours = [StopwatchPrinter() for _ in range(printers)]
        theirs = [StopwatchPrinter() for _ in range(printers)]
        each = labels // printers
        settings, token = with_printers(folder / f"crowd-{printers}", ours)
        with running_daemon(settings, folder / "daemon.log") as daemon:
            api = daemon.api(token)
            for number, printer in enumerate(ours):  # the first connection isn't the spooler's speed
                ask(api, f"bench {number}", f"warm-{number}")
                printer.wait_for(1)

            def post(number: int, api: Api = api, each: int = each, printers: int = printers) -> None:
                ask(api, f"bench {number}", f"crowd-{printers}-{number}", each)

            mine = _per_minute(ours, post, each, before=1)
        queues = {f"raw{number}": queue_of(printer) for number, printer in enumerate(theirs)}
        with cupsd(queues) as server:

            def spool(
                number: int, server: Cupsd = server, each: int = each, last: bytes = ours[0].last
            ) -> None:
                link = cups.QueueLink(cups.Queue(f"raw{number}", "127.0.0.1", server.port))
                for _ in range(each):
                    link.write(last, "label")

            other = _per_minute(theirs, spool, each, before=0)
        rows.append(
            Row(f"labels a minute, {printers} printers", mine, "/min", "higher", "CUPS by IPP", other)
        )
        for printer in (*ours, *theirs):
            printer.close()
    return rows


def _per_minute(
    printers: list[StopwatchPrinter], hand_over: Callable[[int], None], each: int, before: int
) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(min(8, len(printers))) as callers:
        list(callers.map(hand_over, range(len(printers))))
    for printer in printers:
        printer.wait_for(before + each, 300)
    last = max(printer.came[-1] for printer in printers)
    return len(printers) * each / (last - began) * 60


def with_printers(state_dir: Path, printers: list[StopwatchPrinter]) -> tuple[dict[str, Any], str]:
    """``prepared``, with these printers too, as "bench 0" and so on."""
    settings, token = prepared(state_dir, printers[0])
    rooms = assemble(load(**settings))
    actor = Actor.operator(only_store(state_dir), via="bench")
    for number, printer in enumerate(printers):
        rooms.printers.add(actor, f"bench {number}", uri=printer.uri, profile=PROFILE)
    rooms.printers.remove(actor, PRINTER)
    rooms.database.close()
    return settings, token


def only_store(state_dir: Path) -> str:
    """The id of the store of a fresh state directory."""
    with sqlite3.connect(state_dir / "labelsvc.db") as raw:
        return str(raw.execute("SELECT id FROM stores").fetchone()[0])


# ------------------------------------------------------------ paper


def after_paper(folder: Path, rounds: int) -> list[Row]:
    """From paper in to the label in the tray: the printer is asked until it is ready, and the queue goes on by itself."""
    waits = []
    with virtual_printer(folder / "paper") as printer:
        watch = StopwatchPrinter()
        settings, token = prepared(folder / "paper-state", watch)
        watch.close()
        rooms = assemble(load(**settings))
        rooms.printers.edit(
            Actor.operator(only_store(folder / "paper-state"), via="bench"), PRINTER, uri=printer.uri
        )
        rooms.database.close()
        with running_daemon(settings, folder / "daemon.log") as daemon:
            api = daemon.api(token)
            for number in range(rounds):
                printer.faults(paper_out=True)
                job = ask(api, PRINTER, f"paper-{number}")
                time.sleep(
                    3 + number % 7 / 3
                )  # so that its pauses between two questions have grown, and aren't in step
                began = time.perf_counter()
                printer.faults(paper_out=False)
                if api.get(f"/jobs/{job['id']}?wait_s=20")["state"] != "done":
                    raise RuntimeError("the label never came out")
                waits.append(time.perf_counter() - began)
    return [
        Row("paper in to label proved, median", statistics.median(waits), "s", "lower", "limit", 3.0, 1.0),
        Row("paper in to label proved, slowest", max(waits), "s", "lower", "limit", 3.0, 1.0),
    ]


# ------------------------------------------------------------ history


def against_history(folder: Path, size: int, pairs: int) -> list[Row]:
    """The same labels on an empty database and on one with a long history, in turn; the median of the pairs' ratios."""
    few, many = StopwatchPrinter(), StopwatchPrinter()
    settings, token = prepared(folder / "few", few)
    with running_daemon(settings, folder / "daemon.log") as daemon:
        job = ask(daemon.api(token), PRINTER, "sample")
        daemon.api(token).wait_for_job(job["id"])
    shutil.copytree(folder / "few", folder / "many")
    began = time.perf_counter()
    multiply(folder / "many" / "labelsvc.db", size)
    print(f"  seeded {size} labels in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rooms = assemble(load(**{**settings, "state_dir": str(folder / "many")}))
    rooms.printers.edit(Actor.operator(only_store(folder / "many"), via="bench"), PRINTER, uri=many.uri)
    rooms.database.close()
    figures: dict[str, list[float]] = {"few": [], "many": []}
    with ExitStack() as stack:
        apis = {}
        for name in figures:
            chosen = {**settings, "state_dir": str(folder / name)}
            apis[name] = stack.enter_context(running_daemon(chosen, folder / "daemon.log")).api(token)
            for number in range(5):
                apis[name].wait_for_job(ask(apis[name], PRINTER, f"warm-{number}")["id"])
        for pair in range(pairs):
            for name in ("few", "many") if pair % 2 else ("many", "few"):
                spent = []
                for number in range(A_PAIR):
                    began = time.perf_counter()
                    job = ask(apis[name], PRINTER, f"pair-{pair}-{number}")
                    apis[name].get(f"/jobs/{job['id']}?wait_s=10")
                    spent.append((time.perf_counter() - began) * 1000)
                figures[name].append(statistics.median(spent))
    ratio = statistics.median(a / b for a, b in zip(figures["many"], figures["few"], strict=True))
    empty = statistics.median(figures["few"])
    return [
        Row(
            f"POST to done with {size:,} labels of history ({pairs} pairs)",
            empty * ratio,
            "ms",
            "lower",
            "empty database",
            empty,
            1.2,
        )
    ]


def multiply(path: Path, size: int) -> None:
    """The one job of a database, with its document, label and history, so many times, as if they had come before it.

    Their personal data are erased, as they are after ``erase_after_days``: a long history is mostly that.
    """
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA cache_size=-1000000")
    raw.execute("PRAGMA journal_mode=OFF")
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("PRAGMA foreign_keys=OFF")
    sample = {
        table: raw.execute(f"SELECT id FROM {table} LIMIT 1").fetchone()[0]
        for table in ("print_jobs", "documents", "labels")
    }
    an_id = "printf('0%025d', n)"
    changed = {
        "print_jobs": {"id": an_id, "key": "printf('seed-%d', n)", "erased_at": "created_at"},
        "documents": {
            **dict.fromkeys(("template_text", "data", "warnings"), "''"),
            **dict.fromkeys(("area_text", "picture", "content", "images", "symbols"), "NULL"),
            "id": an_id,
            "job_id": an_id,
        },
        "labels": {
            "seq": "NULL",
            "id": an_id,
            "job_id": an_id,
            "document_id": an_id,
            "sent_no": "-n",
            "number": "printf('77%013d', n)",
            "bytes": "NULL",
        },
        "changes": {"seq": "NULL", "job_id": an_id, "label_id": an_id},
    }
    for at in range(0, size, 100_000):
        raw.execute("BEGIN IMMEDIATE")
        for table, columns in changed.items():
            names = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join(columns.get(name, f'"{name}"') for name in names)
            which = "label_id" if table == "changes" else "id"
            of = sample["labels" if table == "changes" else table]
            raw.execute(
                f"WITH RECURSIVE numbers(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
                f"INSERT INTO {table} SELECT {chosen} FROM numbers, (SELECT * FROM {table} WHERE {which} = ?)",
                (at + 1, min(at + 100_000, size), of),
            )
        raw.execute("COMMIT")
    # Rooms above read the feed as it grew; they aren't to read all of it while the clock runs.
    raw.execute("INSERT OR REPLACE INTO feed_cursors SELECT 'waybills.printing', max(seq) FROM changes")
    raw.execute("ANALYZE")
    raw.execute("PRAGMA journal_mode=WAL")
    raw.close()


# ------------------------------------------------------------ at rest


def at_rest(folder: Path, seconds: float) -> list[Row]:
    """What the daemon costs with 20 printers and nothing to print."""
    printers = [StopwatchPrinter() for _ in range(20)]
    settings, token = with_printers(folder / "rest", printers)
    with running_daemon(settings, folder / "daemon.log") as daemon:
        api = daemon.api(token)
        for number in range(20):
            api.wait_for_job(ask(api, f"bench {number}", f"rest-{number}")["id"])
        time.sleep(5)  # kept connections are let go
        before, began = _spent_s(daemon), time.monotonic()
        time.sleep(seconds)
        share = (_spent_s(daemon) - before) / (time.monotonic() - began) * 100
        memory = memory_mib(daemon)
    return [
        Row("processor at rest, 20 printers", share, "%", "lower", "limit", 1.0, 1.0),
        Row("memory at rest, 20 printers (PSS)", memory, "MiB", "lower"),
    ]


def _spent_s(daemon: Daemon) -> float:
    """Processor time of the daemon's processes so far."""
    pids, total = [daemon.process.pid], 0
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


@contextmanager
def room() -> Iterator[Path]:
    """A folder for one part, gone afterwards: a long history takes its space."""
    with tempfile.TemporaryDirectory(prefix="labelsvc-bench-") as name:
        yield Path(name)


def main() -> None:
    """Run every part, or those that are named."""
    parser = argparse.ArgumentParser(prog="./dev bench spool", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--only", choices=("beside", "crowds", "paper", "history", "rest"), help="one part")
    options = parser.parse_args()
    quick = int(options.quick)
    parts: dict[str, Callable[[Path], list[Row]]] = {
        "beside": lambda folder: beside_cups(folder, ROUNDS[quick]),
        "crowds": crowds,
        "paper": lambda folder: after_paper(folder, 3 if quick else 9),
        "history": lambda folder: against_history(folder, HISTORY[quick], PAIRS[quick]),
        "rest": lambda folder: at_rest(folder, IDLE_S[quick]),
    }
    if HINDRANCE:
        print(f"left out, what stands beside CUPS: {HINDRANCE}", file=sys.stderr)
        del parts["beside"], parts["crowds"]
    rows = []
    for name, part in parts.items():
        if options.only in (None, name):
            with room() as folder:
                rows += part(folder)
    show("spool", rows, options.json)


if __name__ == "__main__":
    main()
