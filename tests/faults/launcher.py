"""Starts the daemon over and over and kills it where it is told to: at the N-th time that it passes a point of a kind.

A program of its own, so that the product has no fault switch. It hides how the points are put around SQLAlchemy's commits,
the transports and the carrier's HTTP calls from outside, how they are counted across the daemon's processes, and how a start
is made quick: everything is imported and the letters of the usual labels are drawn once, and each daemon is a fork of this program.

It obeys one JSON object a line on standard input and answers each with one line:

    {"do": "start", "settings": {...}, "ledger": FILE, "said": FILE, "log": FILE,
     "kind": str | null, "nth": N, "whom": "all" | "worker" | "arbiter", "sealed": bool,
     "usb": [SOCKET, ...]}                                                                   -> {"group": PGID}
    {"do": "signal", "group": PGID, "number": N}    (or "signal-leader": the arbiter alone)     -> {"done": bool}
    {"do": "gone", "group": PGID, "timeout_s": s}                                            -> {"gone": bool}
    {"do": "end"}: kill -9 for every daemon that is left                                     -> {"done": true}

Every point that a daemon passes is a line in its ledger, ``name when``; the line ``! kill`` follows the one at which it killed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import http.client
import importlib
import io
import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
#: Where a point is named after its caller, these are too deep down to say anything.
_BELOW = (
    "labelsvc.db",
    "labelsvc.waybills.carriers",
    "labelsvc.printing.transports",
    "labelsvc.printing.conversation",
)
SMALL = "small"
SMALL_TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30">
  <layout left="2" top="2" width="72" height="26">
    <barcode left="2" top="2" width="68" height="12" type="code128" value="<%= _data.waybillCode %>" style="hideText:true"/>
    <text left="2" top="16" width="40" height="8" value="<%= _data.recipient.name %>" style="fontSize:14"/>
  </layout>
</page>
"""


class Points:
    """The points that the processes of one daemon pass, counted in a file that outlives them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledger: Path | None = None
        self._kind: str | None = None
        self._nth = 0
        self._whom = "all"
        self._group = 0

    def arm(self, ledger: Path, kind: str | None, nth: int, whom: str) -> None:
        """Count into ``ledger``, and kill ``whom`` at the ``nth`` time that ``kind`` is passed (None: never)."""
        self._ledger, self._kind, self._nth, self._whom = ledger, kind, nth, whom
        self._group = os.getpgrp()

    def pass_by(self, kind: str) -> None:
        """Count one point; there are those who don't come back from here."""
        if self.reached(kind):
            self.kill()

    def reached(self, kind: str) -> bool:
        """Count one point; whether it is the one to kill at, which the caller then does in the middle of its work."""
        if self._ledger is None:
            return False
        with (
            self._lock,
            self._ledger.open("a+b") as ledger,
        ):  # opened anew: a lock on it ends with the process
            fcntl.flock(ledger, fcntl.LOCK_EX)
            ledger.write(kind.encode() + b"\n")
            ledger.flush()
            if kind != self._kind:
                return False
            ledger.seek(0)
            return ledger.read().split(b"\n").count(kind.encode()) == self._nth

    def kill(self) -> None:
        """Kill -9, at once."""
        assert self._ledger is not None
        with self._ledger.open("ab") as ledger:
            ledger.write(b"! kill\n")
        if self._whom == "all":
            os.killpg(0, signal.SIGKILL)
        elif self._whom == "worker":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            os.kill(self._group, signal.SIGKILL)


POINTS = Points()


def caller() -> str:
    """``room.file:function`` of the product's code that led here."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("labelsvc.") and not module.startswith(_BELOW):
            return f"{module.removeprefix('labelsvc.')}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return "elsewhere"


def replace(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """Put ``wrap(original)`` in the place of ``owner.name``."""
    setattr(owner, name, wrap(getattr(owner, name)))


def watch_commits() -> None:
    """A point before and after each commit that changes anything."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine.base import Connection

    def note(_connection: Any, cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
        if statement[:6].upper() in ("INSERT", "UPDATE", "DELETE") and cursor.rowcount:
            context.root_connection.info["launcher_changed"] = True

    event.listen(Engine, "after_cursor_execute", note)

    def changed(connection: Any) -> bool:
        """Since this connection's last commit or rollback. SQLite counts by itself, also what goes past SQLAlchemy."""
        info, driver = connection.info, connection.connection.driver_connection
        if connection.dialect.name != "sqlite":
            return bool(info.pop("launcher_changed", False))
        before, info["launcher_total"] = info.get("launcher_total", 0), driver.total_changes
        return bool(driver.total_changes != before)

    def wrap(original: Any) -> Any:
        def commit(self: Any) -> None:
            if not changed(self):
                return original(self)
            name = f"commit {caller()}"
            POINTS.pass_by(f"{name} before")
            original(self)
            POINTS.pass_by(f"{name} after")
            return None

        return commit

    def forget(original: Any) -> Any:
        def rollback(self: Any) -> None:
            changed(self)
            original(self)

        return rollback

    replace(Connection, "_commit_impl", wrap)
    replace(Connection, "_rollback_impl", forget)


def watch_transports() -> None:
    """A point before, in the middle of and after each connect, write and read of a printer."""
    from labelsvc.printing.transports import file, serial, tcp, usb

    def connect(original: Any) -> Any:
        def call(self: Any) -> Any:
            name = f"printer connect {caller()}"
            POINTS.pass_by(f"{name} before")
            link = original(self)
            POINTS.pass_by(f"{name} after")
            return link

        return call

    def read(original: Any) -> Any:
        def call(self: Any, timeout_s: float) -> Any:
            # Before a read is after the query, and a read that found nothing is nothing that happened.
            found = original(self, timeout_s)
            if found:
                POINTS.pass_by(f"printer answer {caller()} after")
            return found

        return call

    def halves(original: Any) -> Any:
        def write(self: Any, data: bytes, name: str) -> Any:
            point = f"printer {'label' if name else 'query'} {caller()}"
            POINTS.pass_by(f"{point} before")
            if POINTS.reached(f"{point} middle"):
                original(self, data[: len(data) // 2], name)
                POINTS.kill()
                data = data[len(data) // 2 :]  # only where it was another process that died
            original(self, data, name)
            POINTS.pass_by(f"{point} after")

        return write

    for transport, link in (
        (tcp.Tcp, tcp.TcpLink),
        (usb.Usb, usb.UsbLink),
        (serial.SerialLine, serial.SerialLink),
        (file.Directory, file.DirectoryLink),
    ):
        replace(transport, "connect", connect)
        replace(link, "write", halves)
        replace(link, "read", read)


def watch_carrier_calls() -> None:
    """A point before each HTTP call, with half of it sent, with all of it sent, with its answer waiting unread, and after."""
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool

    def whole(original: Any) -> Any:
        def urlopen(self: Any, *arguments: Any, **options: Any) -> Any:
            name = f"carrier {caller()}"
            POINTS.pass_by(f"{name} before")
            answer = original(self, *arguments, **options)
            POINTS.pass_by(f"{name} after")
            return answer

        return urlopen

    def half(original: Any) -> Any:
        def send(self: Any, data: Any) -> None:
            is_body = isinstance(self, HTTPConnection) and bytes(data[:5]) != b"POST "
            if is_body and POINTS.reached(f"carrier {caller()} half sent"):
                original(self, data[: len(data) // 2])
                POINTS.kill()
                data = data[len(data) // 2 :]  # only where it was another process that died
            original(self, data)

        return send

    def unread(original: Any) -> Any:
        def getresponse(self: Any) -> Any:
            name = f"carrier {caller()}"
            POINTS.pass_by(f"{name} sent")
            if POINTS.reached(f"{name} answered"):
                select.select([self.sock], [], [], 10)
                POINTS.kill()
            return original(self)

        return getresponse

    replace(HTTPConnectionPool, "urlopen", whole)
    replace(http.client.HTTPConnection, "send", half)
    replace(HTTPConnection, "getresponse", unread)


def import_everything() -> None:
    """Load what every daemon needs, and warm what it would work out anew at each start.

    Font files are read into memory first: an open file would share its position with every fork.
    """
    from fontTools import ttLib

    class InMemory(ttLib.TTFont):
        def __init__(self, file: Any = None, *arguments: Any, **options: Any) -> None:
            if isinstance(file, str | os.PathLike):
                file = io.BytesIO(Path(file).read_bytes())
            super().__init__(file, *arguments, **options)

    ttLib.TTFont = InMemory

    # What a daemon imports only once it runs.
    for name in ("gunicorn.workers.gthread", "pyudev", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"):
        importlib.import_module(name)

    from labelsvc import daemon, web  # noqa: F401

    daemon.ROUND_S = 0.1  # else most trials were over before the first round that finds something

    from labelsvc.labels import StandardTemplates, Template, parse

    class AndSmall(StandardTemplates):
        """The shipped ones, and one whose label a printer at 1 kB/s takes in half a second."""

        def names(self) -> list[str]:
            return [*super().names(), SMALL]

        def get(self, name: str) -> Template:
            return parse(SMALL_TEMPLATE, SMALL) if name == SMALL else super().get(name)

    daemon.StandardTemplates = AndSmall  # type: ignore[misc]

    from labelsvc.waybills import Divisions

    daemon._warm_up(StandardTemplates())
    Divisions().provinces()
    gc.collect()
    gc.freeze()  # else each daemon's collector would copy every page that it shares with this program


def start(order: dict[str, Any]) -> int:
    """Fork a daemon into a process group of its own; its group's id."""
    child = os.fork()
    if child:
        os.setpgid(child, child)  # here and there: whoever comes first, the group is there when we answer
        return child
    try:
        os.setpgid(0, 0)
        # All of a daemon ends with this program, however that ends.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for descriptor, path in ((1, order["said"]), (2, order["log"])):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, descriptor)
            os.close(file)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        if order.get("usb"):
            from support.usb_backend import install

            install(order["usb"])
        if not order.get("sealed", True):
            unseal()
        from labelsvc.daemon import serve
        from labelsvc.settings import load

        POINTS.arm(Path(order["ledger"]), order.get("kind"), order.get("nth", 1), order.get("whom", "all"))
        serve(load(**order["settings"]))
    except SystemExit:
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(70)
    os._exit(0)


def unseal() -> None:
    """Store personal data as it is: the control of the search for it."""
    from labelsvc.security import Sealer

    Sealer.seal = lambda self, column, plain: plain  # type: ignore[method-assign]
    Sealer.open = lambda self, column, sealed: sealed  # type: ignore[method-assign]


def gone(group: int, timeout_s: float) -> bool:
    """Whether no process of ``group`` is left, waiting for it so long."""
    deadline = time.monotonic() + timeout_s
    while True:
        reap()
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)


def reap() -> None:
    """Bury every child and grandchild that ended."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def obey(order: dict[str, Any], groups: set[int]) -> dict[str, Any]:
    """Carry out one order; ``groups`` are those of the daemons that may be left."""
    match order["do"]:
        case "start":
            groups.add(group := start(order))
            return {"group": group}
        case "end":
            for group in groups:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            for group in groups:
                gone(group, 5)
            groups.clear()
            return {"done": True}
        case "signal" | "signal-leader" as verb:
            try:
                (os.killpg if verb == "signal" else os.kill)(order["group"], order["number"])
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
                return {"done": False}
            return {"done": True}
        case "gone":
            if over := gone(order["group"], order["timeout_s"]):
                groups.discard(order["group"])
            return {"gone": over}
    raise ValueError(order["do"])


def main() -> None:
    """Obey until standard input ends, then end every daemon that is left."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # a worker whose arbiter died comes to us
    import_everything()
    watch_commits()
    watch_transports()
    watch_carrier_calls()
    print(json.dumps({"ready": True}), flush=True)
    groups: set[int] = set()
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line), groups)), flush=True)
    obey({"do": "end"}, groups)


if __name__ == "__main__":
    main()
