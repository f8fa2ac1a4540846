"""Pages of e-waybill subscriptions: the list, and a plain form of application. 电子面单服务"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import LabelsvcError, Unavailable
from labelsvc.waybills import Application
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("subscriptions_pages", __name__, url_prefix="/subscriptions")

#: The version of the service agreement that the form shows and the application records (E2).
AGREEMENT = "2026-11"
_FIELDS = ("carrier", "address_id", "branch_code", "contact_name", "contact_phone", "settlement_account")


@pages.get("")
def listed() -> str:
    """All subscriptions."""
    return render_template("subscriptions.html", subscriptions=rooms().subscriptions.list(actor()))


@pages.get("/<ident:subscription_id>")
def one(subscription_id: str) -> str:
    """One subscription: its balance, asked now, and its history."""
    found = rooms().subscriptions.get(actor(), subscription_id)
    balance: int | None = None
    silent = False
    if found.state.value == "open":
        try:
            balance = rooms().subscriptions.balance(actor(), subscription_id)
        except Unavailable:
            silent = True  # the page stands without the network's answer
    events = rooms().subscriptions.history(actor(), subscription_id)
    return render_template(
        "subscription.html", subscription=found, balance=balance, silent=silent, events=events
    )


@pages.get("/new")
def new() -> str:
    """The form of an application; address and carrier are chosen first, and give the network points."""
    return _form({name: request.args.get(name, "") for name in ("carrier", "address_id")})


@pages.post("/new")
def apply() -> Response | tuple[str, int]:
    """Apply."""
    given = {name: request.form.get(name, "").strip() for name in _FIELDS}
    application = Application(
        **given, agreement_version=AGREEMENT, accepted=request.form.get("accepted") == "yes"
    )
    try:
        found = rooms().subscriptions.apply(actor(), application)
    except LabelsvcError as error:
        return _form(given, error), error.status
    return redirect(url_for(".one", subscription_id=found.id, done="applied"), 303)


@pages.post("/<ident:subscription_id>/close")
def close(subscription_id: str) -> Response:
    """Close it."""
    rooms().subscriptions.close(actor(), subscription_id)
    return redirect(url_for(".listed", done="closed"), 303)


def _form(given: dict[str, str], error: LabelsvcError | None = None) -> str:
    who = actor()
    points: list[Any] = []
    if given.get("carrier") and given.get("address_id"):
        points = rooms().subscriptions.network_points(who, given["carrier"], given["address_id"])
    fault: dict[str, Any] = {"fault": words.of(error), "wrong": words.wrong_fields(error)} if error else {}
    return render_template(
        "subscription_form.html",
        given=given,
        carriers=rooms().subscriptions.carriers(who),
        addresses=rooms().addresses.list(who),
        points=points,
        agreement=AGREEMENT,
        **fault,
    )
