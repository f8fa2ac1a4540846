"""Starts the real programs that stand beside the product in tests, the mock carrier network and the virtual printer; hides ports and ends."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_START_S = 30


def call(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST of JSON, on a program's side door; the answer's JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@dataclass(frozen=True)
class MockCarrier:
    """A running mock carrier network."""

    url: str
    books: Path
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        """Address of its side doors."""
        return self.url.removesuffix("/api/router")

    def control(self, **settings: Any) -> Any:
        """Change how it behaves: repeat, latency_ms, drop_answers, fail_next, error, only, script, rate_per_s, review ..."""
        return call(f"{self.base}/control", settings)

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Every request since ``after``."""
        return call(f"{self.base}/log?after={after}")["entries"]

    def mark(self) -> int:
        """The number of the last request so far."""
        return max((entry["seq"] for entry in self.log()), default=0)

    def live(self, order: str | None = None) -> list[str]:
        """Numbers that are live, of one order or of all."""
        waybills = call(f"{self.base}/books")["waybills"]
        return [
            w["number"] for w in waybills if w["state"] == "live" and (order is None or order in w["orders"])
        ]

    def decide(self, application_id: str, decision: str, reason: str = "") -> Any:
        """What its reviewer decides: approve, reject, suspend or resume."""
        decided = {"application_id": application_id, "decision": decision, "reason": reason}
        return call(f"{self.base}/review", decided)

    def subscriptions(self) -> list[dict[str, Any]]:
        """Every application: application_id, shop, wp_code, branch_code, state."""
        return call(f"{self.base}/books")["subscriptions"]

    def accounts(self) -> list[dict[str, Any]]:
        """Balances of all network points."""
        return call(f"{self.base}/books")["accounts"]


@dataclass(frozen=True)
class VirtualPrinter:
    """A running virtual printer."""

    host: str
    port: int
    control_url: str
    tray: Path
    process: subprocess.Popen[str]
    usb: Path | None = None
    pty: Path | None = None

    @property
    def uri(self) -> str:
        """Its address for ``Printers.add``: on USB or at a serial line if it has one, else over TCP."""
        if self.usb:
            return "usb://0525:a4a8/VP000001"
        if self.pty:
            return f"serial://{self.pty}?baud=115200&flow=none"
        return f"tcp://{self.host}:{self.port}"

    def state(self) -> dict[str, Any]:
        """What it is doing."""
        return call(f"{self.control_url}/state")

    def faults(self, **faults: Any) -> Any:
        """Set or clear faults: paper_out, head_open, die_after_bytes ..."""
        return call(f"{self.control_url}/faults", faults)

    def reset(self) -> Any:
        """Switch it off and on."""
        return call(f"{self.control_url}/reset", {})

    def labels(self) -> list[Path]:
        """The labels that came out, in order."""
        return sorted(self.tray.glob("[0-9]*-*"))


@contextmanager
def mock_carrier(tmp_path: Path, **options: Any) -> Iterator[MockCarrier]:
    """Run the mock carrier network; ``options`` are its command line's (``repeat="new"``, ``opening_balance=3``,
    ``review="by_hand"``, ``tokens="strict"``); ``script`` may be a list of rules."""
    books = Path(options.pop("books", tmp_path / "books.db"))
    options.setdefault("port", 0)
    if isinstance(options.get("script"), list):
        script = tmp_path / "script.json"
        script.write_text(json.dumps(options["script"]))
        options["script"] = script
    with _running("labelsvc.mockcarrier", {"books": books, **options}) as (process, line):
        found = re.search(r"listening on (http://\S+)", line)
        assert found, line
        yield MockCarrier(found[1], books, process)


@contextmanager
def virtual_printer(tmp_path: Path, **options: Any) -> Iterator[VirtualPrinter]:
    """Run the virtual printer, by default with no waits for paper; ``options`` are its command line's: ``usb``
    and ``pty`` give it these wires too, ``faults`` may be a dict."""
    tray = Path(options.pop("tray", tmp_path / "tray"))
    tray.mkdir(parents=True, exist_ok=True)
    options = {"port": 0, "control_port": 0, "speed_mm_s": 0, **options}
    if isinstance(options.get("faults"), dict):
        options["faults"] = json.dumps(options["faults"])
    with _running("labelsvc.virtualprinter", {"tray": tray, **options}) as (process, line):
        found = re.search(r"tcp://([^:]+):(\d+) control (http://\S+)", line)
        assert found, line
        wires = (Path(options[wire]) if wire in options else None for wire in ("usb", "pty"))
        yield VirtualPrinter(found[1], int(found[2]), found[3].rstrip("/"), tray, process, *wires)


@contextmanager
def _running(module: str, options: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start ``python -m module`` and wait for its one line; end it afterwards, however the test ended."""
    command = [sys.executable, "-m", module]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process, _first_line(process, module)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _first_line(process: subprocess.Popen[str], module: str) -> str:
    """The line that says it listens; a thread reads, so that a program that says nothing doesn't hang the tests."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        lines.put(process.stdout.readline())

    threading.Thread(target=read, daemon=True).start()
    try:
        line = lines.get(timeout=_START_S)
    except queue.Empty:
        line = ""
    if not line:
        raise RuntimeError(f"{module} did not start (exit code {process.poll()})")
    return line
