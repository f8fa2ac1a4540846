"""What the service manager is told: ready, status, stopping, and a heartbeat that ends when the daemon is stuck.

Hides systemd's protocol (sd_notify(3), sd_watchdog_enabled(3)): datagrams on a socket whose address comes in the environment.
Started by hand there is no such socket, and nothing is told to nobody.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress

from labelsvc.log import get_logger

log = get_logger("systemd")


class ServiceManager:
    """Where to tell it, and how often it wants to hear from us."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        #: Silence after which we are killed and started again; 0: never.
        self.watchdog_s = watchdog_s

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """Take the address out of the environment: no program that we start, and no library, shall speak for us."""
        address = environment.pop("NOTIFY_SOCKET", "")
        period_us = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address, int(period_us) / 1e6 if address and meant and period_us.isdigit() else 0.0)

    def tell(self, **facts: str | int) -> None:
        """Say ``READY=1`` as ``tell(ready=1)``. Never raises: printing doesn't hang on who listens."""
        if not self._address:
            return
        text = "\n".join(f"{name.upper()}={value}" for name, value in facts.items())
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ours,
        ):
            ours.connect(self._address)
            ours.send(text.encode())


class Heartbeat:
    """Tells the service manager that we are well, as long as no check knows why a restart is needed.

    A check returns "" or what is stuck. It must tell what only a new process can mend: a printer that is slow, a database
    server that is away or a full disk are bad, but a restart would mend none of them and leave labels *uncertain*. A check that
    itself never returns ends the heartbeat too.
    """

    def __init__(self, manager: ServiceManager, checks: Mapping[str, Callable[[], str]]) -> None:
        self._manager = manager
        self._checks = checks
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin, where anybody wants to hear it."""
        if self._manager.watchdog_s:
            self._thread.start()

    def stop(self) -> None:
        """No further beats."""
        self._stopped.set()

    def beat(self) -> bool:
        """One beat, unless something is stuck."""
        for name, check in self._checks.items():
            try:
                stuck = check()
            except Exception as fault:
                log.error("daemon.check_broke", part=name, exc_info=fault)
                return False
            if stuck:
                log.error("daemon.stuck", part=name, reason=stuck)
                self._manager.tell(status=f"stuck: {stuck}")
                return False
        self._manager.tell(watchdog=1)
        return True

    def _go(self) -> None:
        while not self._stopped.is_set():
            self.beat()
            # A third of the period: one beat may come late.
            self._stopped.wait(self._manager.watchdog_s / 3)
