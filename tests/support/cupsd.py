"""A CUPS of our own on loopback, with a raw queue to a printer; hides its folders, its configuration and its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = shutil.which("cupsd") or shutil.which("/usr/sbin/cupsd")
#: Why it can't run here; "" where it can.
HINDRANCE = (
    "cupsd is not installed (package cups)"
    if not PROGRAM
    else ""
    if os.geteuid() == 0
    else "cupsd needs root"
)
_START_S = 20

_CUPSD = """
Listen 127.0.0.1:{port}
Listen {folder}/cups.sock
LogLevel warn
MaxLogSize 0
Browsing Off
WebInterface No
DefaultAuthType None
PreserveJobHistory Yes
PreserveJobFiles No
MaxJobs 0
JobRetryInterval 1
JobKillDelay 1
<Location />
  Order allow,deny
  Allow from all
</Location>
<Policy default>
  JobPrivateAccess all
  JobPrivateValues none
  SubscriptionPrivateAccess all
  SubscriptionPrivateValues none
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""
_FILES = """
ServerRoot {folder}
StateDir {folder}/state
CacheDir {folder}/cache
RequestRoot {folder}/spool
TempDir {folder}/spool/tmp
AccessLog {folder}/access.log
ErrorLog {folder}/error.log
PageLog {folder}/page.log
Sandboxing relaxed
SystemGroup root
"""
_PRINTER = """<Printer {name}>
Info {name}
DeviceURI {device}
State Idle
Type 4
Accepting Yes
Shared No
JobSheets none none
QuotaPeriod 0
PageLimit 0
KLimit 0
OpPolicy default
ErrorPolicy {policy}
</Printer>
"""


@dataclass
class Cupsd:
    """A running CUPS."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def server(self) -> str:
        """What ``CUPS_SERVER`` and ``lp -h`` take."""
        return f"127.0.0.1:{self.port}"

    def uri(self, queue: str) -> str:
        """A queue's address for labelsvc."""
        return f"cups://127.0.0.1:{self.port}/{queue}"

    def kill(self, whole_group: bool) -> None:
        """Kill -9 of cupsd alone, or of its backends too, as systemd does with what is left of a unit."""
        if whole_group:
            # Backends have process groups of their own; their parent is cupsd.
            for child in _children(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Begin, or again after an end; returns once it listens."""
        command = [
            PROGRAM or "cupsd",
            "-f",
            "-c",
            f"{self.folder}/cupsd.conf",
            "-s",
            f"{self.folder}/cups-files.conf",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        log = self.folder / "error.log"
        raise RuntimeError(f"cupsd did not start: {log.read_text()[-2000:] if log.exists() else ''}")

    def stop(self) -> None:
        """End it and what it started."""
        left = _children(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


@contextmanager
def cupsd(queues: dict[str, str], policy: str = "retry-job", more: str = "") -> Iterator[Cupsd]:
    """Run a CUPS whose raw queues lead to these devices (``{"raw": "socket://127.0.0.1:9100"}``).

    ``policy`` is what it does with a job whose backend failed; retry-job is Debian's. ``more`` stands in cupsd.conf too.
    """
    # Not below a test's own folder: cupsd's backends run as another user, who may not look into that.
    folder = Path(tempfile.mkdtemp(prefix="labelsvc-cups-"))
    folder.chmod(0o755)
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for name in ("state", "cache", "spool", "spool/tmp"):
            (folder / name).mkdir()
        (folder / "cupsd.conf").write_text(_CUPSD.format(port=port, folder=folder) + more + "\n")
        (folder / "cups-files.conf").write_text(_FILES.format(folder=folder))
        printers = [
            _PRINTER.format(name=name, device=device, policy=policy) for name, device in queues.items()
        ]
        (folder / "printers.conf").write_text("".join(printers))
        running = Cupsd(folder, port, None)  # type: ignore[arg-type]
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
