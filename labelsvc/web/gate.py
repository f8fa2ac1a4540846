"""What every request passes before anything looks at it, and every answer on its way out.

Hides the Host and Origin checks against rebinding and cross-site calls, the content types and sizes that are let in,
the headers that browsers want to hear, and the one log line per request, which never holds a raw URL.
"""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from labelsvc.errors import Forbidden, LabelsvcError
from labelsvc.log import get_logger
from labelsvc.settings import Settings

log = get_logger("web")

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_BODY_BYTES = 2 * 1024 * 1024
#: The only calls that take a file, and the most bytes of its body: the file's own limit, and the form around it.
UPLOADS = {
    "batches.from_file": 9 * 1024 * 1024,
    "batches_pages.start": 9 * 1024 * 1024,
    "batches_pages.check": 9 * 1024 * 1024,
    "subscriptions.import_numbers": 17 * 1024 * 1024,
    "subscriptions_pages.import_numbers": 17 * 1024 * 1024,
}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"^(?P<name>\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?$")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; frame-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # Not no-referrer: under that, browsers call even our own forms' Origin "null", which is what we refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Misdirected(LabelsvcError):
    """The request names a host that isn't ours: a rebound name, or a proxy that we weren't told of."""

    status = 421
    default_code = "host.refused"


def install(app: Flask, settings: Settings) -> None:
    """Set the gate before every route of ``app``, the errors' included."""
    own = _LOOPBACK | {host.lower() for host in settings.allowed_hosts}
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES

    @app.before_request
    def enter() -> None:
        g.entered_at = time.monotonic()
        host = request.environ.get("HTTP_HOST", "")
        if not _is_own(host, own):
            raise Misdirected("this host name isn't one of ours; see the setting allowed_hosts")
        _refuse_foreign_origin(host)
        _refuse_foreign_body()

    app.after_request(_leave)


def _is_own(host: str, own: frozenset[str]) -> bool:
    found = _HOST.match(host)
    return found is not None and (found["name"].lower() in own or host.lower() in own)


def _refuse_foreign_origin(host: str) -> None:
    """A page of another origin may neither read nor act here, whatever its user holds. Raises Forbidden."""
    origin = request.headers.get("Origin")
    if origin is not None:
        try:
            parts = urlsplit(origin)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or parts.netloc.lower() != host.lower():
            raise Forbidden("calls from pages of another origin are refused", code="origin.refused")
    # "same-site" is another port of this host: without an Origin of our own it is foreign too.
    site = request.headers.get("Sec-Fetch-Site")
    if request.method not in SAFE and site not in (None, "same-origin", "none"):
        raise Forbidden("calls from pages of another site are refused", code="origin.refused")


def _refuse_foreign_body() -> None:
    """Raises the HTTP errors 413 and 415."""
    most = UPLOADS.get(request.endpoint or "")
    request.max_content_length = most or MAX_BODY_BYTES
    if (request.content_length or 0) > (most or MAX_BODY_BYTES):
        raise RequestEntityTooLarge
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    taken = "multipart/form-data" if most else "application/json"
    if has_body and request.path.startswith("/api/") and request.mimetype != taken:
        raise UnsupportedMediaType


def _leave(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    rule = request.url_rule.rule if request.url_rule else "-"
    actor = g.get("actor")
    log.info(
        "http.answered",
        method=request.method if request.method.isalpha() else "-",
        route=rule,
        status=response.status_code,
        ms=round((time.monotonic() - g.get("entered_at", time.monotonic())) * 1000, 1),
        user=actor.user_id if actor else None,
    )
    return response
