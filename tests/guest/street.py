"""What the programs inside the guest share: the daemon's API as a warehouse PC calls it, printers beside it, and a person at the tray.

Hides nothing of the product: only the standard library is needed, because a module takes a tenth of a second to import here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHARED = Path("/srv/shared")
#: The labels in the middle of which the power goes.
CUT = range(40, 44)
#: And those in the middle of which the service stands still.
HUNG = range(50, 53)
#: Where the printer outside puts its labels.
TRAY = SHARED / "tray"
#: A label of the least work that still has a barcode: its number stands in the bytes as it is.
TEMPLATE = """<page xmlns="http://cloudprint.cainiao.com/print" width="60" height="40">
  <barcode left="4" top="4" width="52" height="20" type="code128" value="<%= _data.number %>" style="hideText:true"/>
</page>"""


def number_of(order: int) -> str:
    """The number on the nth label."""
    return f"SF{10_000_000 + order}"


def job(printer: str, orders: range) -> dict[str, Any]:
    """The body of a request for a label of each number."""
    documents = [
        {
            "template": "number",
            "template_text": TEMPLATE,
            "data": {"number": number_of(order)},
            "title": number_of(order),
        }
        for order in orders
    ]
    return {"printer": printer, "documents": documents}


class Printer:
    """A virtual printer on this machine, with a USB socket."""

    def __init__(self, serial: str, tray: Path, **options: Any) -> None:
        tray.mkdir(parents=True, exist_ok=True)
        self.tray = tray
        self.socket = f"/run/{serial}.usb"
        command = [sys.executable, "-m", "labelsvc.virtualprinter", "--port", "0", "--control-port", "0"]
        options = {"usb": self.socket, "serial": serial, "tray": tray, "speed_mm_s": 0, **options}
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/srv/labelsvc")

    def ready(self) -> Printer:
        """Wait until it is there."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        found = re.search(r"control (http://\S+)", line)
        assert found, line
        self._control = found[1]
        return self

    def faults(self, **faults: Any) -> None:
        """What a person does at it."""
        _http("POST", f"{self._control}/faults", faults)

    def numbers(self) -> list[str]:
        """What came out, in order."""
        return numbers_in(self.tray)


def numbers_in(tray: Path) -> list[str]:
    """The numbers on the labels in a tray, in the order they came out."""
    return [
        number
        for path in sorted(tray.glob("[0-9]*.zpl"))
        for number in re.findall(r"SF\d{8}", path.read_text("latin-1"))
    ]


class Api:
    """The daemon's API with a token."""

    def __init__(self, token: str, address: str = "http://127.0.0.1:8317") -> None:
        self._token = token
        self._address = address

    def get(self, path: str) -> Any:
        """The answer's JSON."""
        return self._call("GET", path)

    def post(self, path: str, body: Any = None, key: str = "") -> Any:
        """The answer's JSON."""
        return self._call("POST", path, body or {}, {"Idempotency-Key": key} if key else {})

    def print(self, printer: str, orders: range, key: str) -> str:
        """One job with a label for each number; its id."""
        return str(self.post("/jobs", job(printer, orders), key)["id"])

    def settled(self, job_id: str, *further: str, seconds: float = 120) -> Any:
        """The job once nothing further happens to it by itself."""
        return until(
            lambda: self._job_in(job_id, {"printed", "sent", "failed", "cancelled", "uncertain", *further}),
            seconds,
        )

    def resolve(self, label_id: str, came_out: bool) -> bool:
        """A person's answer; False if it is settled already."""
        try:
            self.post(f"/labels/{label_id}/resolve", {"came_out": came_out})
        except AssertionError as answer:
            if " 409 " not in str(answer):
                raise
            return False
        return True

    def _job_in(self, job_id: str, states: set[str]) -> Any:
        job = self.get(f"/jobs/{job_id}")
        return job if all(label["state"] in states for label in job["labels"]) else None

    def _call(self, method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        given = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        return _http(method, f"{self._address}/api/v1{path}", body, given)


def _http(method: str, url: str, body: Any = None, headers: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {error.code} {error.read().decode()[:500]}") from None
    return json.loads(text) if text else None


def until(found: Callable[[], Any], seconds: float = 60, pause_s: float = 0.2) -> Any:
    """What a look gives once it gives anything; the last, empty one after a while. Looking costs an emulated machine more than waiting."""
    deadline = time.monotonic() + seconds
    while not (seen := found()) and time.monotonic() < deadline:
        time.sleep(pause_s)
    return seen


def shell(command: str) -> str:
    """What a command says."""
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout.strip()
