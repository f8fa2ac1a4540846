"""A private PostgreSQL cluster for the tests: made when a test first wants it, gone with the last process that used it.

Hides initdb, the switch to a user that PostgreSQL accepts (it refuses root), and who stops the cluster: every user holds a
shared lock on a file, a keeper process waits for the exclusive one, and the kernel frees a lock however its holder dies.
The workers of one pytest run share a cluster; each test gets a database of its own, copied from a migrated template.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psycopg
from psycopg import sql

from labelsvc.db import Database
from labelsvc.migrations import migrate

TEMPLATE = "labelsvc_template"
_START_S = 60
_IN_MEMORY, _ROOM = Path("/dev/shm"), 1 << 30
#: Nothing here has to outlive the machine. The collation is a real one, so that what needs bytewise order shows it.
_INITDB = (
    "--no-sync",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--locale-provider=icu",
    "--icu-locale=zh-CN",
)
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "150",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "logging_collector": "off",
    "log_min_messages": "fatal",
    "timezone": "Asia/Shanghai",  # not ours: what takes the server's zone for UTC shows it
}


class Missing(Exception):
    """PostgreSQL's server programs can't be had here; the text says why."""


def programs() -> Path:
    """The folder of initdb and postgres, of the newest version there is. Raises Missing."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True
    )
    folders += [Path(found).parent for found in [shutil.which("initdb")] if found]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Missing("PostgreSQL's server isn't installed; as root, ./dev test installs it")


def _user() -> str:
    """Who runs the cluster. Raises Missing."""
    if os.getuid() != 0:
        return getpass.getuser()
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Missing("PostgreSQL doesn't run as root, and there is no other user")


def _as_user(user: str, *command: str) -> list[str]:
    # Should the keeper be killed itself, the kernel stops what it started.
    other = ["--pdeathsig=INT"]
    if os.getuid() == 0:
        who = pwd.getpwnam(user)
        other += [f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
    return ["setpriv", *other, *command]


class Cluster:
    """A running cluster, as one of its users sees it."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid  #: of the postmaster
        self._admin: psycopg.Connection | None = None

    def url(self, name: str) -> str:
        """The address of a database as the product's settings want it."""
        return f"postgresql+psycopg://labelsvc@/{name}?host={self.folder}"

    @property
    def admin(self) -> psycopg.Connection:
        """A connection to the cluster's own database, each statement a transaction."""
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(
                host=str(self.folder), user="labelsvc", dbname="postgres", autocommit=True
            )
        return self._admin

    def create(self, template: str = TEMPLATE) -> str:
        """A fresh database, a copy of ``template``; its name."""
        name = f"test_{secrets.token_hex(6)}"
        self.admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The address of a fresh database, dropped at the end of the block."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def close(self) -> None:
        """Close this user's own connection."""
        if self._admin is not None:
            self._admin.close()


@contextmanager
def cluster(run: str = "") -> Iterator[Cluster]:
    """The cluster of a test run, started if nobody has; ``run`` is the same for all processes that share it. Raises Missing."""
    programs(), _user()
    name = hashlib.sha256((run or secrets.token_hex()).encode()).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"labelsvc-pg-{os.getuid()}-{name}"
    with _in_use(home), (home / "start").open("a") as start:
        # The keeper takes the two locks in the same order, so neither waits for the other for ever.
        fcntl.flock(start, fcntl.LOCK_EX)
        try:
            ready = home / "ready"
            if not ready.exists():
                _start(home)
            told = json.loads(ready.read_text())
        finally:
            fcntl.flock(start, fcntl.LOCK_UN)
        found = Cluster(Path(told["folder"]), told["pid"])
        try:
            yield found
        finally:
            found.close()


def _in_use(home: Path) -> TextIO:
    """Hold the lock that says so until the file is closed."""
    while True:
        home.mkdir(mode=0o711, exist_ok=True)
        try:
            users = (home / "users").open("a")
            fcntl.flock(users, fcntl.LOCK_SH)
            if os.fstat(users.fileno()).st_ino == (home / "users").stat().st_ino:
                return users
        except FileNotFoundError:
            pass  # the keeper of an earlier cluster tidied up at this moment


def _start(home: Path) -> None:
    """Have a keeper make a cluster, and the template in it."""
    log = home / "log"
    with log.open("w") as said:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(home)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C at the terminal is for the tests; the cluster ends after them
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    running, ready = home / "running", home / "ready"
    deadline = time.monotonic() + _START_S
    while not running.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            keeper.kill()
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)
    told = json.loads(running.read_text())
    made = Cluster(Path(told["folder"]), told["pid"])
    made.admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    made.close()
    database = Database(made.url(TEMPLATE))
    migrate(database)
    database.close()  # a template with a connection can't be copied
    running.rename(ready)


def keep(home: Path) -> None:
    """The keeper: make a cluster under ``home``, wait until nobody uses it, and leave nothing behind."""
    # Short: a socket's path may have 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="labelsvc-pg-", dir=_memory()))
    try:
        server = _run(folder, home)
        try:
            with (home / "users").open("a") as users, (home / "start").open("a") as start:
                fcntl.flock(users, fcntl.LOCK_EX)
                fcntl.flock(start, fcntl.LOCK_EX)
                for file in ("running", "ready"):
                    (home / file).unlink(missing_ok=True)
                server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
                try:
                    server.wait(10)
                except subprocess.TimeoutExpired:
                    server.send_signal(signal.SIGQUIT)
                    server.wait(10)
        finally:
            if server.poll() is None:
                server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def _memory() -> Path | None:
    """A folder in memory with room enough, where a database is copied in a fifth of the time; None if there is none."""
    try:
        return (
            _IN_MEMORY
            if shutil.disk_usage(_IN_MEMORY).free > _ROOM and os.access(_IN_MEMORY, os.W_OK)
            else None
        )
    except OSError:
        return None


def _run(folder: Path, home: Path) -> subprocess.Popen[bytes]:
    """initdb and the postmaster; returns once it answers."""
    user, found, data = _user(), programs(), folder / "data"
    if os.getuid() == 0:
        shutil.chown(folder, user)
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    subprocess.run(
        _as_user(user, str(found / "initdb"), "--pgdata", str(data), "--username=labelsvc", *_INITDB),
        check=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    options = {**_OPTIONS, "unix_socket_directories": str(folder)}
    server = subprocess.Popen(
        _as_user(
            user,
            str(found / "postgres"),
            "-D",
            str(data),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ),
        cwd=folder,
        env=environment,
    )
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(host=str(folder), user="labelsvc", dbname="postgres", connect_timeout=5).close()
            break
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                raise
            time.sleep(0.02)
    draft = home / "running.draft"
    draft.write_text(json.dumps({"folder": str(folder), "pid": server.pid}))
    draft.rename(home / "running")
    return server


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
