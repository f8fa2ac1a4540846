"""Signing in, by a one-time link or an API token, and out. 登录

A one-time code stands behind the ``#`` of the link: the browser keeps it to itself, the page posts it, so no log, proxy or
link previewer ever sees or uses it up.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, current_app, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import Unauthenticated
from labelsvc.web import session
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms

pages = Blueprint("sign_in", __name__)


@pages.get("/sign-in")
def show() -> str:
    """The way in."""
    return render_template("sign_in.html")


@pages.post("/sign-in")
def enter() -> Response:
    """Turn a code or token into a session."""
    secret = request.form.get("secret", "").strip()
    try:
        if not 0 < len(secret) <= 200:
            raise Unauthenticated("no code or token", code="sign_in.invalid")
        issued = rooms().accounts.sign_in(secret, timedelta(seconds=current_app.config["SESSION_S"]))
    except Unauthenticated as error:
        return make_response(render_template("sign_in.html", fault=words.of(error)), 401)
    response = make_response(redirect(url_for("home.first"), 303))
    session.begin(response, issued)
    return response


@pages.post("/sign-out")
def leave() -> Response:
    """End the session."""
    response = make_response(redirect(url_for("sign_in.show", done="bye"), 303))
    session.end(response)
    g.pop("actor", None)
    return response
