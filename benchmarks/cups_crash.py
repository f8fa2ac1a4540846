"""``./dev bench cups-crash``: what a kill -9 in mid-job costs in labels, with labelsvc and with CUPS in front of the same printer.

Hides how a moment in mid-job is found: an undisturbed run is timed, and the kills are spread evenly over that time. Both send
labels of the same kind to the same virtual printer: one whose wire carries 1 kB/s, and one that prints from a buffer which
drains on after its host died. CUPS writes down its jobs at once here (``DirtyCleanInterval 0``); as it comes, one that is
younger than half a minute is forgotten in a crash. After the kill the program is started again and left alone until it is done. What labelsvc asks
a person is answered by a look into the tray, once the printer stands still; that is counted too.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.cupsd import HINDRANCE, Cupsd, cupsd  # noqa: E402
from support.daemon import PRINTER, Answered, Api, Lost, running_daemon  # noqa: E402
from support.programs import VirtualPrinter, virtual_printer  # noqa: E402

from labelsvc.daemon import assemble  # noqa: E402
from labelsvc.security import Actor, Role, StoreKind  # noqa: E402
from labelsvc.settings import load  # noqa: E402

LABELS = 4
PRINTERS: dict[str, dict[str, Any]] = {
    "1 kB/s": {"bytes_per_s": 1000},
    "a buffer that drains on": {"faults": {"drain_delay_s": 0.7}, "speed_mm_s": 100},
}
#: About 1 kB of ZPL: a number in the printer's own letters, and a frame of lines.
LINES = "".join(
    f'<line startX="2" startY="{y}" endX="70" endY="{y}" style="lineWidth:1"/>' for y in range(11, 28)
)
TEMPLATE = (
    '<page width="76" height="30"><layout left="2" top="1" width="70" height="28">'
    f'<text left="0" top="0" width="70" height="9" value="<%= _data.no %>" style="fontSize:10"/></layout>{LINES}</page>'
)
_NUMBER = re.compile(rb"7[0-9]{11}")


@dataclass
class Count:
    """What so many kills came to."""

    kills: int = 0
    labels: int = 0
    twice: int = 0
    lost: int = 0
    asked: int = 0

    def add(self, numbers: list[str], paper: Counter[str], asked: int) -> None:
        """One trial."""
        self.kills += 1
        self.labels += len(numbers)
        self.twice += sum(max(0, paper[number] - 1) for number in numbers)
        self.lost += sum(not paper[number] for number in numbers)
        self.asked += asked


@dataclass
class Bench:
    """One printer with all that stands in front of it."""

    printer: VirtualPrinter
    cups: Cupsd | None
    settings: dict[str, Any]
    token: str
    folder: Path
    _next: int = 700_000_000_000
    _seen: int = 0

    def numbers(self) -> list[str]:
        """So many that no label had yet."""
        self._next += LABELS
        return [str(self._next - back) for back in range(LABELS)]

    def paper(self) -> Counter[str]:
        """The numbers that came out since the last look."""
        files = self.printer.labels()
        new, self._seen = files[self._seen :], len(files)
        return Counter(found[0].decode() for path in new if (found := _NUMBER.search(path.read_bytes())))

    def tray(self) -> set[str]:
        """The numbers that came out since then, without taking them."""
        files = self.printer.labels()[self._seen :]
        return {found[0].decode() for path in files if (found := _NUMBER.search(path.read_bytes()))}

    def until_rest(self, seconds: float = 1.5) -> None:
        """Return when no label has come out, and none waited to, for so long: one takes less at 1 kB/s."""
        before, since = None, time.monotonic()
        while time.monotonic() - since < seconds:
            state = self.printer.state()
            seen = state["odometer"]  # bytes come for ever where the printer is asked how it is
            if seen != before or state["queue"] or state["printing"]:
                before, since = seen, time.monotonic()
            time.sleep(0.05)

    # ------------------------------------------------------------ labelsvc

    def labelsvc(self, kill_after_s: float | None) -> tuple[list[str], Counter[str], int, float]:
        """A job of labels, killed after so long; numbers, paper, questions, and how long it took."""
        numbers, asked = self.numbers(), 0
        documents = [
            {"template": "frame", "template_text": TEMPLATE, "data": {"no": number}, "title": number}
            for number in numbers
        ]
        body = {"printer": PRINTER, "documents": documents}
        log = self.folder / "daemon.log"
        with running_daemon(self.settings, log) as daemon:
            api = daemon.api(self.token)
            began = time.monotonic()
            job = api.post("/jobs", body, key=numbers[0])
            if kill_after_s is None:
                self._settled(api, job["id"])
            else:
                time.sleep(max(0.0, began + kill_after_s - time.monotonic()))
                os.killpg(daemon.process.pid, signal.SIGKILL)
            took = time.monotonic() - began
        if kill_after_s is not None:
            with running_daemon(self.settings, log) as daemon:
                asked = self._settled(daemon.api(self.token), job["id"])
        self.until_rest()
        return numbers, self.paper(), asked, took

    def _settled(self, api: Api, job_id: str) -> int:
        """Wait for the job's end, answering what is asked; how many questions there were."""
        asked: set[str] = set()
        while True:
            job = api.get(f"/jobs/{job_id}?wait_s=2")
            open_questions = [label for label in job["labels"] if label["state"] == "uncertain"]
            for label in open_questions:
                self.until_rest()
                asked.add(label["id"])
                with suppress(Answered, Lost):  # the printer's counter may have been quicker
                    api.post(f"/labels/{label['id']}/resolve", {"came_out": label["title"] in self.tray()})
            if not open_questions and job["state"] not in ("queued", "printing"):
                return len(asked)

    # ------------------------------------------------------------ CUPS

    def in_cups(
        self, kill_after_s: float | None, whole_group: bool
    ) -> tuple[list[str], Counter[str], int, float]:
        """The same as one file through ``lp``."""
        assert self.cups
        numbers = self.numbers()
        file = self.folder / "labels.zpl"
        lines = "".join(f"^FO16,{y * 8}^GB544,3,3^FS" for y in range(10, 28))
        file.write_text("".join(f"^XA^FO16,16^A0N,40^FD{number}^FS{lines}^XZ" for number in numbers))
        began = time.monotonic()
        subprocess.run(
            ["lp", "-h", self.cups.server, "-d", "raw", "-o", "raw", str(file)],
            check=True,
            capture_output=True,
        )
        if kill_after_s is None:
            self._cups_idle()
        else:
            time.sleep(max(0.0, began + kill_after_s - time.monotonic()))
            self.cups.kill(whole_group)
        took = time.monotonic() - began
        if kill_after_s is not None:
            self.cups.start()
            self._cups_idle()
        self.until_rest(3.0)  # a backend that was left alone may still have bytes
        return numbers, self.paper(), 0, took

    def _cups_idle(self) -> None:
        assert self.cups
        while subprocess.run(
            ["lpstat", "-h", self.cups.server, "-W", "not-completed", "-o"], capture_output=True, check=True
        ).stdout:
            time.sleep(0.1)


def prepared(state_dir: Path, uri: str) -> tuple[dict[str, Any], str]:
    """A factory with its printer in a fresh state directory: (settings, its owner's token)."""
    settings = {"state_dir": str(state_dir), "port": 0, "log_level": "warning"}
    rooms = assemble(load(**settings))
    actor = Actor.operator(rooms.accounts.create_store("青山工厂", StoreKind.FACTORY).id, via="bench")
    rooms.accounts.create_user(actor, "owner", Role.OWNER)
    token = rooms.accounts.create_token(actor, "owner").secret
    rooms.printers.add(actor, PRINTER, uri=uri, profile="virtual-zpl-203")
    rooms.database.close()
    return settings, token


def measure(kind: str, faults: dict[str, Any], trials: int, folder: Path) -> list[tuple[str, str, Count]]:
    """Every program in front of one printer."""
    with virtual_printer(folder, **faults) as printer:
        settings, token = prepared(folder / "state", printer.uri)
        queue = {
            "raw": f"socket://127.0.0.1:{printer.port}"
        }  # as CUPS does by default, its backend waits until the printer has read
        with cupsd(queue, more="DirtyCleanInterval 0") as cups:
            bench = Bench(printer, cups, settings, token, folder)
            subjects: dict[str, Callable[[float | None], tuple[list[str], Counter[str], int, float]]] = {
                "labelsvc": bench.labelsvc,
                "CUPS, cupsd killed": lambda after: bench.in_cups(after, whole_group=False),
                "CUPS, cupsd and its backend killed": lambda after: bench.in_cups(after, whole_group=True),
            }
            found = []
            for name, run in subjects.items():
                numbers, paper, _, whole_s = run(None)
                if paper != Counter(numbers):
                    raise RuntimeError(f"{name}: undisturbed, {dict(paper)} came out")
                count = Count()
                for trial in range(trials):
                    numbers, paper, asked, _ = run((trial + 0.5) / trials * whole_s)
                    count.add(numbers, paper, asked)
                found.append((name, kind, count))
                print(f"  {name}, {kind}: {count}", file=sys.stderr, flush=True)
            return found


def main() -> None:
    """Measure and print the table, ready for docs/printing.md."""
    parser = argparse.ArgumentParser(prog="./dev bench cups-crash", description=__doc__)
    parser.add_argument("--trials", type=int, default=10, help="kills for each program and printer")
    options = parser.parse_args()
    if HINDRANCE:
        sys.exit(f"skipped: {HINDRANCE}")
    print("| program | printer | kills | labels | printed twice | lost | asked of a person |")
    print("|---|---|---|---|---|---|---|")
    for kind, faults in PRINTERS.items():
        with tempfile.TemporaryDirectory(prefix="labelsvc-bench-") as name:
            for program, printer, c in measure(kind, faults, options.trials, Path(name)):
                print(
                    f"| {program} | {printer} | {c.kills} | {c.labels} | {c.twice} | {c.lost} | {c.asked} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
