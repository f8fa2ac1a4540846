"""The HTTP server: gunicorn, embedded, one worker process of threads; hides gunicorn.

The app is made in the worker, after the fork, so that no lock, thread or database connection crosses a fork. The arbiter
holds the port and restarts a worker that died; a worker whose arbiter died stops by itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn import arbiter as gunicorn_arbiter
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from labelsvc.settings import Settings

#: How long answers in hand may take after SIGTERM or SIGINT; longer than the longest wait that the API grants.
GRACEFUL_S = 35


def serve(
    make_app: Callable[[], Flask],
    settings: Settings,
    on_ready: Callable[[str], None],
    on_stopping: Callable[[], None],
    on_stop: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT, which let answers in hand finish; returns by SystemExit.

    Where systemd holds the port (socket activation) its sockets are used, whatever the settings say.

    ``make_app`` runs in the worker, ``on_ready(address)`` there once requests are answered (so with the port in force
    where ``settings.port`` is 0), ``on_stop`` there after the last answer. A restarted worker calls all three again.
    ``on_stopping`` runs in the arbiter, once it is told to stop.
    """
    _Server(make_app, settings, on_ready, on_stopping, on_stop).run()


class _Worker(ThreadWorker):
    """Ctrl-C reaches the worker too, and means the same as SIGTERM: finish what is in hand."""

    def init_signals(self) -> None:
        super().init_signals()
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.signal(signal.SIGQUIT, self.handle_exit)


class _Arbiter(gunicorn_arbiter.Arbiter):
    def __init__(self, app: BaseApplication, on_stopping: Callable[[], None]) -> None:
        self._on_stopping = on_stopping
        super().__init__(app)

    def handle_int(self) -> None:
        self.handle_term()

    def stop(self, graceful: bool = True) -> None:
        self._on_stopping()
        super().stop(graceful)


class _Server(BaseApplication):
    def __init__(
        self,
        make_app: Callable[[], Flask],
        settings: Settings,
        on_ready: Callable[[str], None],
        on_stopping: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._make_app = make_app
        self._settings = settings
        self._on_ready = on_ready
        self._on_stopping = on_stopping
        self._on_stop = on_stop
        super().__init__()

    def load_config(self) -> None:
        host = self._settings.host
        options: dict[str, Any] = {
            "bind": [f"[{host}]:{self._settings.port}" if ":" in host else f"{host}:{self._settings.port}"],
            "workers": 1,
            "threads": self._settings.threads,
            "worker_class": _Worker,
            "graceful_timeout": GRACEFUL_S,
            "timeout": 60,
            "keepalive": 5,
            "control_socket_disable": True,
            "accesslog": None,
            "loglevel": "error",
            "proc_name": "labelsvc",
            "post_worker_init": self._ready,
            "worker_exit": self._stopped,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()

    def run(self) -> None:
        _Arbiter(self, self._on_stopping).run()

    def _ready(self, worker: Any) -> None:
        host, port = worker.sockets[0].sock.getsockname()[:2]
        self._on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def _stopped(self, _server: Any, _worker: Any) -> None:
        self._on_stop()
