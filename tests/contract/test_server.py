"""The HTTP server's processes: answers in hand are finished, a dead worker is replaced, an orphaned one goes away."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from support.daemon import running_daemon
from support.web import House, build, label_data

from labelsvc.security import StoreKind


@pytest.fixture
def daemon(tmp_path):
    """A running daemon that drives no printer, a token for it, and a job that will wait for ever."""
    house = House(build(tmp_path / "state"))
    caller = house.caller("青山工厂", StoreKind.FACTORY)
    caller.post("/printers", {"name": "一号", "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-203"})
    body = {"printer": "一号", "documents": [{"template": "waybill-76x130", "data": label_data()}]}
    job = caller.post("/jobs", body, key="waits").json
    house.rooms.database.close()
    chosen = {"state_dir": str(tmp_path / "state"), "port": 0, "spooler": False}
    with running_daemon(chosen, tmp_path / "daemon.log") as found:
        yield found, found.api(caller.token), job["id"]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _within(seconds: float, true) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_an_answer_in_hand_is_finished_at_sigterm(daemon, tmp_path):
    """A client that waits gets its answer; the daemon then ends well, and leaves its database in one file."""
    running, api, job_id = daemon
    state_dir = tmp_path / "state"
    assert (state_dir / "labelsvc.db-wal").exists()
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(api.raw("GET", f"/jobs/{job_id}?wait_s=1.5")[0]))
    client.start()
    time.sleep(0.5)
    running.process.send_signal(signal.SIGTERM)
    client.join(15)
    assert answers == [200]
    assert running.process.wait(15) == 0
    assert not (state_dir / "labelsvc.db-wal").exists(), (
        "who copies the file after a stop must have all of it"
    )


def test_a_killed_worker_is_replaced_on_the_same_port(daemon):
    """The arbiter holds the port and starts another worker."""
    running, api, _job = daemon
    (worker,) = _children(running.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert _within(15, lambda: _children(running.process.pid) not in ([], [worker]))
    assert api.get("/health")["status"] == "ok"


def test_a_worker_whose_arbiter_was_killed_goes_away(daemon):
    """Nothing is left that could drive a printer beside the next daemon."""
    running, _api, _job = daemon
    (worker,) = _children(running.process.pid)
    running.process.kill()
    running.process.wait(5)
    assert _within(15, lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
