"""A state directory ready to work with, the real daemon on it, and a warehouse PC's HTTP client; hides start-up and ends."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from support.books import furnish
from support.programs import MockCarrier, VirtualPrinter

from labelsvc.daemon import assemble
from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.security import Actor, Role, StoreKind
from labelsvc.settings import load
from labelsvc.waybills import Application, Party

PRINTER, CARRIER = "1号打包台", "ZTO"
SENDER = Party("青山发货部", "19900001002", "浙江省", "杭州市", "临平区", "星桥北路66号青山工业园3幢")
_START_S = 60


@dataclass(frozen=True)
class Prepared:
    """A state directory with a factory, its open subscription and its printer, and a token of its owner."""

    settings: dict[str, Any]  #: what differs from the defaults; JSON
    token: str
    store_id: str

    def moved(self, state_dir: Path) -> Prepared:
        """The same in a copy of the directory."""
        return Prepared({**self.settings, "state_dir": str(state_dir)}, self.token, self.store_id)


def prepare(
    state_dir: Path,
    mock: MockCarrier,
    printer: VirtualPrinter,
    shop: str = "tests",
    *,
    clear_labels: bool = False,
    **settings: Any,
) -> Prepared:
    """Set a factory up in a fresh state directory; ``settings`` are the product's own.

    ``clear_labels``: its labels show recipients in clear, for tests that compare them.
    """
    chosen = {
        "state_dir": str(state_dir),
        "port": 0,
        "network_url": mock.url,
        "network_client_id": CLIENT_ID,
        "network_client_secret": CLIENT_SECRET,
        **settings,
    }
    if "database_url" not in chosen:
        furnish(state_dir)
    rooms = assemble(load(**chosen))
    store = rooms.accounts.create_store("青山工厂", StoreKind.FACTORY)
    actor = Actor.operator(store.id, via="test")
    rooms.accounts.create_user(actor, "owner", Role.OWNER)
    token = rooms.accounts.create_token(actor, "owner", "test").secret
    if clear_labels:
        rooms.preferences.set(actor, clear_labels=True)
    rooms.subscriptions.connect(actor, shop)
    address = rooms.addresses.create(actor, SENDER, default=True)
    point = rooms.subscriptions.network_points(actor, CARRIER, address.id)[0]
    rooms.subscriptions.apply(
        actor,
        Application(
            carrier=CARRIER,
            address_id=address.id,
            branch_code=point.code,
            contact_name=SENDER.name,
            contact_phone=SENDER.phone,
            agreement_version="2026-01",
            accepted=True,
        ),
    )
    rooms.printers.add(actor, PRINTER, uri=printer.uri, profile="virtual-zpl-203")
    rooms.database.close()
    return Prepared(chosen, token, store.id)


class Answered(Exception):
    """The API answered with a problem."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(
            f"{status} {problem.get('code')}: {problem.get('detail')} {problem.get('errors', '')}"
        )
        self.status, self.problem = status, problem


class Lost(Exception):
    """No answer came: nobody listens, or the connection ended before it."""


@dataclass
class Api:
    """The daemon's API as a warehouse PC calls it: a token, keys, no retries of its own."""

    address: str
    token: str
    _http: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        self._http = urllib3.PoolManager(
            maxsize=32, retries=False, timeout=urllib3.Timeout(connect=5, read=60)
        )

    def get(self, path: str) -> Any:
        """The answer's JSON. Raises Answered, Lost."""
        return self._answer(*self.raw("GET", path))

    def post(self, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> Any:
        """The answer's JSON. Raises Answered, Lost."""
        return self._answer(*self.raw("POST", path, body or {}, key))

    def raw(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> tuple[int, bytes]:
        """Status and body. Raises Lost."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.request(method, f"{self.address}/api/v1{path}", body=data, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise Lost(type(error).__name__) from None
        return answer.status, answer.data

    @staticmethod
    def _answer(status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body) if body else None
        except ValueError:
            answer = {"detail": "not JSON"}
        if status >= 400:
            raise Answered(status, answer or {})
        return answer

    def wait_for_job(self, job_id: str, seconds: float = 30) -> Any:
        """The job, once nothing further happens to it by itself. Raises Answered, Lost, AssertionError."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.get(f"/jobs/{job_id}?wait_s=5")
            if job["state"] not in ("queued", "printing"):
                return job
            assert time.monotonic() < deadline, f"the job is still {job['state']}"


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    address: str
    process: subprocess.Popen[str]
    log: Path
    started_in_s: float

    def api(self, token: str) -> Api:
        """A client of it."""
        return Api(self.address, token)


def environment(settings: dict[str, Any]) -> dict[str, str]:
    """The settings as the product reads them."""
    return {f"LABELSVC_{name.upper()}": str(value) for name, value in settings.items()}


@contextmanager
def running_daemon(settings: dict[str, Any], log: Path) -> Iterator[Daemon]:
    """``python -m labelsvc serve`` until the block ends; its standard error goes to ``log``."""
    began = time.monotonic()
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "labelsvc", "serve"],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, **environment(settings)},
        )
    try:
        address = _address(process, log)
        yield Daemon(address, process, log, time.monotonic() - began)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout
        process.stdout.close()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    said: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout
        with suppress(ValueError):
            for line in process.stdout:
                if found := re.search(r"listening on (http\S+)", line):
                    said.put(found[1])
        said.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        address = said.get(timeout=_START_S)
    except queue.Empty:
        address = ""
    if not address:
        raise RuntimeError(f"the daemon did not start:\n{log.read_text()[-2000:]}")
    return address
