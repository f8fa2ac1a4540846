"""The service manager's view: units that systemd accepts, sockets it hands over, and what it is told and when."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.daemon import environment, running_daemon

from labelsvc import daemon
from labelsvc.daemon import BooksCheck, Rounds, assemble
from labelsvc.db import Database, News
from labelsvc.errors import Unavailable
from labelsvc.printing import Spooler
from labelsvc.settings import load
from labelsvc.systemd import Heartbeat, ServiceManager

UNITS = Path(__file__).parents[2] / "systemd"
_TOOL = shutil.which("systemd-analyze")


class Manager:
    """A service manager's socket, and what came in on it."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(30)
        self.said: list[str] = []

    def until(self, word: str) -> str:
        """The next message with a word."""
        while True:
            self.said.append(self._socket.recv(4096).decode())
            if word in self.said[-1]:
                return self.said[-1]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    with closing(Manager(tmp_path / "notify")) as found:
        yield found


@pytest.mark.skipif(
    _TOOL is None, reason="needs systemd-analyze (./dev test installs systemd where it is root)"
)
def test_the_units_are_right_and_hardened(tmp_path):
    """systemd understands every line of them, and finds an exposure of at most 2.0 of 10."""
    for unit in UNITS.glob("labelsvc.*"):
        text = unit.read_text().replace("/opt/labelsvc/bin/labelsvc", sys.executable)
        (tmp_path / unit.name).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())
    assert len(units) == 2
    verified = subprocess.run([_TOOL, "verify", *units], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    judged = subprocess.run(
        [_TOOL, "security", "--offline=true", "--threshold=20", str(tmp_path / "labelsvc.service")],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout[-3000:]


def test_ready_is_told_when_requests_are_answered_and_the_heartbeat_follows(manager, tmp_path, monkeypatch):
    """Not before; then a beat a third of the watchdog's period, and "stopping" with the first signal."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "900000")
    with running_daemon({"state_dir": str(tmp_path / "state"), "port": 0}, tmp_path / "log") as daemon:
        assert manager.until("READY=1") == f"READY=1\nSTATUS=listening on {daemon.address}"
        assert not any("READY" in word for word in manager.said[:-1]), "nobody else speaks for us"
        assert daemon.api("no token").raw("GET", "/jobs")[0] == 401
        manager.until("WATCHDOG=1")
        manager.until("WATCHDOG=1")
        daemon.process.terminate()
        manager.until("STOPPING=1")
        assert daemon.process.wait(20) == 0


def test_sockets_that_systemd_holds_are_used(tmp_path):
    """Socket activation: a client that came before the service did is answered, on systemd's address."""
    program = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
        "from labelsvc.__main__ import main; sys.argv = ['labelsvc', 'serve']; main()"
    )
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 30) as client:
            client.settimeout(60)
            client.sendall(b"GET /api/v1/jobs HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            handle = os.dup(held.fileno())
            os.set_inheritable(handle, True)
            chosen = {"state_dir": tmp_path / "state", "spooler": False, "port": 1}
            service = subprocess.Popen(
                [sys.executable, "-c", program, str(handle)],
                env={**os.environ, **environment(chosen)},
                close_fds=False,
                stdout=subprocess.PIPE,
                text=True,
            )
            os.close(handle)
            try:
                assert client.recv(100).startswith(b"HTTP/1.0 401")
                assert service.stdout.readline() == f"labelsvc listening on http://127.0.0.1:{port}\n"
            finally:
                service.terminate()
                assert service.wait(20) == 0
                service.stdout.close()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # that is what it is about
def test_the_heartbeat_ends_with_a_dead_thread_and_goes_on_while_the_world_is_ill(manager, tmp_path):
    """A dead driver or a writer that hangs needs a new process; a driver that waits for another's lock needs none."""
    settings = load(state_dir=tmp_path / "state")
    rooms = assemble(settings)
    try:
        told = ServiceManager(manager.address, 60)
        database = Database(settings.database)
        spooler = Spooler(database, rooms.printers, rooms.jobs)
        second = Spooler(database, rooms.printers, rooms.jobs)
        broken = Spooler(database, rooms.printers, rooms.jobs, lock_path=Path("/proc/nowhere/lock"))
        try:
            spooler.start()
            _until(lambda: spooler.driving)
            second.start()
            well = Heartbeat(told, {"spooler": lambda: spooler.stuck(30), "second": lambda: second.stuck(30)})
            assert well.beat()
            manager.until("WATCHDOG=1")
            broken.start()
            _until(lambda: broken.stuck(30) != "")
            assert not Heartbeat(told, {"spooler": lambda: broken.stuck(30)}).beat()
            assert "dead" in manager.until("STATUS=")
        finally:
            for each in (spooler, second, broken):
                each.stop()
        assert spooler.stuck(0) == "", "a driver that was told to stop isn't stuck"
        database.close()
    finally:
        rooms.database.close()


def test_a_hung_driver_is_told_from_a_slow_one(tmp_path):
    """Its thread waits for the database, which a writer of this process keeps: after the patience it is stuck, then it isn't."""
    rooms = assemble(load(state_dir=tmp_path / "state"))
    spooler = Spooler(rooms.database, rooms.printers, rooms.jobs)
    try:
        with rooms.database.transaction():
            spooler.start()  # its first duty, the sweep, has to wait
            _until(lambda: spooler.driving and spooler.stuck(0.1) != "")
            assert spooler.stuck(30) == ""
        _until(lambda: spooler.stuck(0.5) == "")
    finally:
        spooler.stop()
        rooms.database.close()


def test_books_that_nobody_can_write_for_long_are_stuck(tmp_path, monkeypatch):
    """Another connection keeps the only right to write: busy at first, stuck when it lasts, well when it ends."""
    monkeypatch.setattr("labelsvc.db._WAIT_S", 0.05)
    rooms = assemble(load(state_dir=tmp_path / "state"))
    impatient, patient = BooksCheck(rooms.database, 0.0), BooksCheck(rooms.database)
    try:
        hangs, ends = threading.Event(), threading.Event()

        def keep() -> None:
            with rooms.database.transaction():
                hangs.set()
                ends.wait(30)

        thread = threading.Thread(target=keep)
        thread.start()
        hangs.wait(30)
        assert (impatient(), patient()) == ("nobody can write to the database", "")
        ends.set()
        thread.join()
        assert (impatient(), patient()) == ("", "")
    finally:
        rooms.database.close()


def test_a_quiet_house_has_few_rounds(sqlite_database, monkeypatch):
    """A round comes when somebody committed something, again after one that failed, and now and then for what falls due."""
    monkeypatch.setattr(daemon, "ROUND_S", 0.02)
    monkeypatch.setattr(daemon, "QUIET_ROUND_S", 3600.0)
    done, failing = [], threading.Event()

    def duty() -> None:
        done.append(time.monotonic())
        if failing.is_set():
            raise Unavailable("the database is busy", code="database.busy")

    rounds = Rounds("rounds", duty, news=News(sqlite_database))
    rounds.start()
    try:
        _until(lambda: len(done) == 1)
        time.sleep(0.3)
        assert len(done) == 1
        failing.set()
        with sqlite_database.transaction() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
        _until(lambda: len(done) > 4)
        failing.clear()
        time.sleep(0.3)
        so_far = len(done)
        time.sleep(0.3)
        assert len(done) == so_far
        monkeypatch.setattr(daemon, "QUIET_ROUND_S", 0.1)
        _until(lambda: len(done) > so_far + 2)
    finally:
        rounds.stop()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # that is what it is about
def test_rounds_are_stuck_when_their_thread_is_dead():
    """They outlive every error; what ends a thread all the same is seen."""
    rounds = Rounds("rounds", lambda: (_ for _ in ()).throw(SystemExit))
    assert rounds.stuck() == ""
    rounds.start()
    _until(lambda: rounds.stuck() == "their thread is dead")
    rounds.stop()


def test_a_check_that_breaks_ends_the_heartbeat(manager):
    """What can't be looked at isn't well."""
    assert not Heartbeat(ServiceManager(manager.address, 60), {"part": lambda: str(1 // 0)}).beat()


def test_nobody_is_told_without_a_manager():
    """By hand there is no socket; a watchdog that is meant for another process isn't ours."""
    ServiceManager.take({}).tell(ready=1)
    ServiceManager("/nowhere/notify").tell(ready=1)
    ours = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}
    assert ServiceManager.take(ours).watchdog_s == 1.0
    assert not ours, "nothing is left to a child"
    assert (
        ServiceManager.take(
            {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
        ).watchdog_s
        == 0
    )


def _until(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
