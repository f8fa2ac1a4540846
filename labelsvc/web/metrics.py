"""What Prometheus reads (``GET /metrics``): for this machine, or with a token; counts only, nothing personal.

Hides that counting by state is done at most every few seconds, however often it is asked for.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time

from flask import Blueprint, Flask, Response, current_app, request

from labelsvc import metrics
from labelsvc.web import session
from labelsvc.web.rooms import rooms

pages = Blueprint("metrics", __name__)

_KEPT_S = 10.0


class _Counts:
    """How many waybills and labels are in each state, as of a few seconds ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = -math.inf
        self._found: tuple[dict[str, int], ...] = ({}, {}, {})

    def read(self) -> tuple[dict[str, int], ...]:
        with self._lock:
            if time.monotonic() - self._at > _KEPT_S:
                self._found = (
                    rooms().waybills.count_states(),
                    rooms().jobs.count_states(),
                    rooms().printers.count_driven(),
                )
                self._at = time.monotonic()
            return self._found


def install(app: Flask) -> None:
    """Hang the metrics up in ``app``."""
    app.extensions["labelsvc.counts"] = _Counts()
    app.register_blueprint(pages)


@pages.get("/metrics")
def read() -> Response:
    """Everything counted, as text."""
    if not _is_here(request.remote_addr):
        session.enter()
    counts: _Counts = current_app.extensions["labelsvc.counts"]
    return Response(metrics.exposition(*counts.read()), content_type=metrics.CONTENT_TYPE)


def _is_here(address: str | None) -> bool:
    # Behind a proxy on this machine everybody comes from it: whom it passed on is a stranger.
    if not address or any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "Via")):
        return False
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
