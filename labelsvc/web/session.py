"""Who is asking: an API token in a header, or a page's session in a cookie, and then with proof that the page itself asks.

Hides the cookie (HttpOnly, SameSite=Strict, named after the port because browsers share loopback cookies between ports)
and the CSRF token, which is derived from the session and so needs no store.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from labelsvc.errors import Forbidden, Unauthenticated
from labelsvc.security import Actor, Issued
from labelsvc.web.gate import SAFE
from labelsvc.web.rooms import rooms

#: Served to anybody: whether we live, the API's description, the pages' looks, and the way in. The metrics ask themselves.
PUBLIC = frozenset({"api.health", "openapi.spec", "static", "sign_in.show", "sign_in.enter", "metrics.read"})
CSRF_HEADER = "X-CSRF-Token"


def install(app: Flask) -> None:
    """Ask everybody who they are, on every route but the public ones."""

    @app.before_request
    def identify() -> BaseResponse | None:
        if request.endpoint is None or request.endpoint in PUBLIC:
            return None  # no endpoint: no such route, or not with this method; the answer says so to anybody
        try:
            enter()
        except Unauthenticated:
            if request.path.startswith("/api/") or request.method not in SAFE:
                raise
            return redirect(url_for("sign_in.show"), 303)
        return None


def enter() -> None:
    """Find out who is asking. Raises Unauthenticated."""
    g.actor = _from_token() or _from_cookie()


def actor() -> Actor:
    """Who is asking."""
    return cast(Actor, g.actor)


def csrf_token() -> str:
    """What a page must send back with every unsafe call; empty if nobody is signed in."""
    secret = g.get("session_secret")
    return _csrf_token(secret) if secret else ""


def cookie_name() -> str:
    """The session cookie's name on the port that was asked."""
    port = urlsplit(f"//{request.environ.get('HTTP_HOST', '')}").port
    return f"labelsvc_{port or 80}"


def begin(response: Response, issued: Issued) -> None:
    """Give the browser its session."""
    response.set_cookie(
        cookie_name(),
        issued.secret,
        max_age=int(current_app.config["SESSION_S"]),
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )


def end(response: Response) -> None:
    """End the session, in the book and in the browser."""
    if secret := request.cookies.get(cookie_name()):
        rooms().accounts.sign_out(secret)
    response.delete_cookie(cookie_name(), httponly=True, samesite="Strict", secure=request.is_secure)


def _from_token() -> Actor | None:
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= 200 or not token.isascii():
        raise Unauthenticated("the Authorization header must be: Bearer <API token>")
    return rooms().accounts.by_token(token.strip(), via="api")


def _from_cookie() -> Actor:
    secret = request.cookies.get(cookie_name())
    if not secret or len(secret) > 200:
        raise Unauthenticated("an API token or a signed-in page is needed")
    found = rooms().accounts.by_session(secret, via="page")
    if request.method not in SAFE:
        given = request.headers.get(CSRF_HEADER) or (
            request.form.get("csrf_token", "") if not request.path.startswith("/api/") else ""
        )
        if not hmac.compare_digest(given.encode(), _csrf_token(secret).encode()):
            raise Forbidden("the call doesn't come from a page of this session", code="csrf.refused")
    g.session_secret = secret
    return found


def _csrf_token(secret: str) -> str:
    return hmac.new(secret.encode(), b"labelsvc csrf", hashlib.sha256).hexdigest()
