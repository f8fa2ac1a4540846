"""The pages, in Chinese and English, one file a group; this one hangs them up and gives their templates what every page needs."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, request

from labelsvc.security import Right
from labelsvc.web.pages import (
    addresses,
    areas,
    batches,
    catalogue,
    home,
    jobs,
    labels,
    manual,
    orders,
    printers,
    questions,
    sign_in,
    store,
    subscriptions,
    waybills,
    words,
)
from labelsvc.web.rooms import rooms
from labelsvc.web.session import csrf_token

_GROUPS = (
    sign_in,
    home,
    orders,
    waybills,
    batches,
    jobs,
    questions,
    labels,
    printers,
    addresses,
    subscriptions,
    store,
    areas,
    manual,
)


def install(app: Flask) -> None:
    """Hang every page up in ``app``."""
    catalogue.install(app)
    for group in _GROUPS:
        app.register_blueprint(group.pages)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        clock=words.clock,
        age=words.age,
        reason=words.reason,
        carrier=words.carrier,
        why=words.why,
    )
    app.jinja_env.globals.update(
        words=words, csrf_token=csrf_token, Right=Right, languages=catalogue.LANGUAGES
    )
    app.context_processor(_frame)


def _frame() -> dict[str, Any]:
    """What the frame around a page shows: who is here, and how many labels wait for an answer."""
    who = g.get("actor")
    found: dict[str, Any] = {
        "who": who,
        "language": catalogue.chosen(),
        "done": words.DONE.get(request.args.get("done", "")),
        "done_look": "warn" if request.args.get("done") in words.DONE_BUT else "good",
    }
    if who is not None and who.may(Right.READ_JOBS):
        found["waiting"] = len(rooms().jobs.questions(who))
        found["moved"] = rooms().jobs.moved(who)
    return found
