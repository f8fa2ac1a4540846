"""``./dev bench first-label``: how long a label takes from POST to its last byte at the printer, and what the daemon costs.

Hides the printer with a stop-watch that stands in for a real one: it answers as one, prints in no time, and notes when each
label's last byte came. The daemon is the real program, with its defaults, over real HTTP; sending and receiving ends of a
measurement are in this process, so one clock times both.
"""

from __future__ import annotations

import argparse
import itertools
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.daemon import PRINTER, Api, Daemon, running_daemon  # noqa: E402

from benchmarks.table import Row, show  # noqa: E402
from labelsvc.daemon import assemble  # noqa: E402
from labelsvc.security import Actor, Role, StoreKind  # noqa: E402
from labelsvc.settings import load  # noqa: E402

LABELS, BURST, CALLERS, STARTS = 300, 400, 8, 5
#: What a host says to a printer: a label, or a question.
_SAID = re.compile(rb'\^XA.*?\^XZ|~HS|! U1 getvar "odometer.total_label_count"\r\n', re.DOTALL)
DATA = {
    "waybillCode": "780000000000001",
    "wpCode": "ZTO",
    "qr": "780000000000001",
    "recipient": {
        "name": "欧阳晓晴",
        "mobile": "19900002001",
        "address": {
            "province": "广东省",
            "city": "深圳市",
            "district": "南山区",
            "detail": "科技园南区高新南九道10号16栋2单元801室",
        },
    },
    "sender": {
        "name": "青山发货部",
        "mobile": "19900001002",
        "address": {"province": "浙江省", "city": "杭州市", "district": "临平区", "detail": "星桥北路66号"},
    },
    "routingInfo": {"threeSegmentCode": "571-204-00 018", "consolidation": {"name": "杭州集包"}},
    "goods": {"summary": "手作陶瓷马克杯 x1", "count": 1},
}
_numbers = itertools.count(780_000_000_000_001)


def another_parcel() -> dict[str, Any]:
    """``DATA`` with a number of its own: the second copy of a number is held (P15)."""
    number = str(next(_numbers))
    return DATA | {"waybillCode": number, "qr": number}


class StopwatchPrinter:
    """Answers ``~HS`` and the odometer.

    ``began`` and ``came`` are the times at which labels began and were complete, in ``perf_counter`` seconds; ``last`` is the
    newest.
    """

    def __init__(self) -> None:
        self.began: list[float] = []
        self.came: list[float] = []
        self.last = b""
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        """For ``Printers.add``."""
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def wait_for(self, count: int, timeout_s: float = 60) -> None:
        """Return once ``count`` labels came. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.came) >= count, timeout_s):
                raise TimeoutError(f"{len(self.came)} of {count} labels came")

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        unread, begun = b"", 0.0
        while data := _received(peer):
            now = time.perf_counter()
            begun = begun if unread else now
            unread += data
            while found := _SAID.search(unread):
                said, unread = found[0], unread[found.end() :]
                if said.endswith(b"^XZ"):
                    with self._changed:
                        self.began.append(begun)
                        self.came.append(now)
                        self.last = said
                        self._changed.notify_all()
                elif said == b"~HS":
                    lines = (
                        b"030,0,0,1040,000,0,0,0,000,0,0,0",
                        b"000,0,0,0,0,2,6,0,00000000,1,000",
                        b"1234,0",
                    )
                    peer.sendall(b"".join(b"\x02" + line + b"\x03\r\n" for line in lines))
                else:
                    peer.sendall(b'"%d"' % len(self.came))
                begun = now


def _received(peer: socket.socket) -> bytes:
    """Whatever comes next; nothing once the host is gone, however it went."""
    try:
        return peer.recv(262_144)
    except ConnectionError:
        return b""


def prepared(state_dir: Path, printer: StopwatchPrinter) -> tuple[dict[str, Any], str]:
    """A factory with its printer in a fresh state directory: (settings, its owner's token)."""
    settings = {"state_dir": str(state_dir), "port": 0, "log_level": "warning"}
    rooms = assemble(load(**settings))
    actor = Actor.operator(rooms.accounts.create_store("青山工厂", StoreKind.FACTORY).id, via="bench")
    rooms.accounts.create_user(actor, "owner", Role.OWNER)
    token = rooms.accounts.create_token(actor, "owner").secret
    rooms.printers.add(actor, PRINTER, uri=printer.uri, profile="virtual-zpl-203")
    rooms.database.close()
    return settings, token


def post(api: Api, key: str) -> dict[str, Any]:
    """One label asked for."""
    document = {"template": "waybill-76x130", "data": another_parcel(), "title": key}
    return api.post("/jobs", {"printer": PRINTER, "documents": [document]}, key=key)


def latencies(api: Api, printer: StopwatchPrinter) -> tuple[list[float], list[float], list[float]]:
    """One label after another, each on a resting printer. Milliseconds from the POST to: its answer, the last byte, the proof."""
    answers, last_bytes, proofs = [], [], []
    for number in range(LABELS + 5):
        began = time.perf_counter()
        job = post(api, f"one-{number}")
        answered = time.perf_counter()
        printer.wait_for(number + 1)
        done = api.get(f"/jobs/{job['id']}?wait_s=10")
        proved = time.perf_counter()
        if done["state"] != "done":
            raise RuntimeError(f"label {number} is {done['state']}")
        if number >= 5:  # the first few fill caches
            for times, end in ((answers, answered), (last_bytes, printer.came[-1]), (proofs, proved)):
                times.append((end - began) * 1000)
    return answers, last_bytes, proofs


def accepted_per_s(api: Api) -> float:
    """Jobs durably taken per second from ``CALLERS`` at once, while the printer rests."""
    printer_id = api.get("/printers")["items"][0]["id"]
    api.post(f"/printers/{printer_id}/pause")
    began = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda number: post(api, f"burst-{number}"), range(BURST)))
    return BURST / (time.perf_counter() - began)


def printed_per_s(api: Api, printer: StopwatchPrinter) -> float:
    """Labels that leave per second once the printer goes on with that queue: status, proof and all."""
    printer_id, before = api.get("/printers")["items"][0]["id"], len(printer.came)
    api.post(f"/printers/{printer_id}/resume")
    printer.wait_for(before + BURST, 120)
    return (BURST - 1) / (printer.came[-1] - printer.came[before])


def memory_mib(daemon: Daemon) -> float:
    """Proportional set size of the daemon's processes."""
    pids, total = [daemon.process.pid], 0
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


def measure() -> list[Row]:
    """Run everything once."""
    with tempfile.TemporaryDirectory(prefix="labelsvc-bench-") as name:
        folder = Path(name)
        printer = StopwatchPrinter()
        settings, token = prepared(folder / "state", printer)
        starts = []
        for _ in range(STARTS):
            with running_daemon(settings, folder / "daemon.log") as daemon:
                daemon.api(token).get("/health")
                starts.append(daemon.started_in_s)
        with running_daemon(settings, folder / "daemon.log") as daemon:
            api = daemon.api(token)
            resting = memory_mib(daemon)
            answers, last_bytes, proofs = latencies(api, printer)
            accepted = accepted_per_s(api)
            printed = printed_per_s(api, printer)
            busy = memory_mib(daemon)
    rows = []
    for case, times in (
        ("last byte at the printer", last_bytes),
        ("answer", answers),
        ("proof known", proofs),
    ):
        rows.append(Row(f"POST to {case}, median", statistics.median(times), "ms", "lower"))
        rows.append(Row(f"POST to {case}, p99", statistics.quantiles(times, n=100)[98], "ms", "lower"))
    return [
        *rows,
        Row(f"jobs accepted, {CALLERS} callers", accepted, "1/s", "higher"),
        Row("labels printed from a full queue", printed, "1/s", "higher"),
        Row("start to ready, median", statistics.median(starts), "s", "lower"),
        Row("memory at rest (PSS)", resting, "MiB", "lower"),
        Row("memory after the work (PSS)", busy, "MiB", "lower"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="./dev bench first-label", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    options = parser.parse_args()
    show("first label", measure(), options.json)
