"""Pages of orders: from the order to the number to the printed label. 订单"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.db import new_id
from labelsvc.dropship import Order
from labelsvc.errors import Invalid, NotFound
from labelsvc.printing import Label, LabelState
from labelsvc.security import Right
from labelsvc.waybills import SubscriptionState, Waybill, WaybillState
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("orders_pages", __name__, url_prefix="/orders")

_PAGE = 30
_UNDER_WAY = frozenset({LabelState.QUEUED, LabelState.SENDING})


@pages.get("")
def listed() -> str:
    """Orders, newest first."""
    found = rooms().orders.list(actor(), after=request.args.get("after") or None, limit=_PAGE)
    rows = [(order.masked(), _waybill(order)) for order in found]
    return render_template("orders.html", rows=rows, next=found[-1].id if len(found) == _PAGE else None)


@pages.get("/<ident:order_id>")
def one(order_id: str) -> str:
    """One order: its waybill and label, and what can be done next."""
    return render_template("order.html", **_order(order_id), **_choices())


@pages.get("/<ident:order_id>/live")
def live(order_id: str) -> str:
    """How it stands, without the forms."""
    return render_template("_order.html", **_order(order_id))


@pages.post("/<ident:order_id>/issue")
def issue(order_id: str) -> Response:
    """Get a number on the chosen subscription."""
    chosen = request.form.get("subscription_id", "")
    subscription = rooms().subscriptions.get(actor(), chosen)
    rooms().orders.issue_waybill(
        actor(), order_id, subscription.carrier, _key(), subscription_id=subscription.id
    )
    return _back(order_id, "issued")


@pages.post("/<ident:order_id>/print")
def print_(order_id: str) -> Response:
    """Print its label."""
    rooms().waybills.print(
        actor(),
        _its(order_id).id,
        request.form.get("printer", ""),
        _key(),
        template=request.form.get("template") or None,
    )
    return _back(order_id, "queued")


@pages.post("/<ident:order_id>/reprint")
def reprint(order_id: str) -> Response:
    """Print it again, for a reason (W8)."""
    rooms().waybills.reprint(actor(), _its(order_id).id, request.form.get("printer", ""), _reason(), _key())
    return _back(order_id, "reprinted")


@pages.post("/<ident:order_id>/pdf")
def pdf(order_id: str) -> Response:
    """Make its label one that the browser prints (P6), and go to the page that opens it."""
    _job, label = rooms().waybills.open_pdf(
        actor(),
        _its(order_id).id,
        _key(),
        reason=_reason() or None,
        template=request.form.get("template") or None,
    )
    return redirect(url_for("labels_pages.sheet", label_id=label.id), 303)


@pages.post("/<ident:order_id>/cancel")
def cancel(order_id: str) -> Response:
    """Give the number back (W5)."""
    found = rooms().waybills.cancel(
        actor(), _its(order_id).id, label_destroyed=request.form.get("label_destroyed") == "yes"
    )
    return _back(order_id, "cancelled" if found.state is WaybillState.CANCELLED else "void_pending")


@pages.post("/<ident:order_id>/hold")
def hold(order_id: str) -> Response:
    """Stop the order."""
    rooms().orders.hold(actor(), order_id, _reason())
    return _back(order_id, "order_held")


@pages.post("/<ident:order_id>/release")
def release(order_id: str) -> Response:
    """Let it go on."""
    rooms().orders.release(actor(), order_id)
    return _back(order_id, "order_released")


def _back(order_id: str, done: str) -> Response:
    return redirect(url_for(".one", order_id=order_id, done=done), 303)


def _key() -> str:
    """The form's own key, so that a double click prints one label. Raises Invalid."""
    key = request.form.get("key", "")
    if not key:
        raise Invalid("the form is incomplete", field="key")
    return key


def _reason() -> str:
    """The reason chosen, or the one written beside the choices."""
    return request.form.get("other", "").strip() or request.form.get("reason", "")


def _its(order_id: str) -> Waybill:
    """The order's waybill. Raises NotFound."""
    found = rooms().orders.waybill_of(actor(), order_id)
    if found is None:
        raise NotFound("the order has no waybill")
    return found


def _waybill(order: Order) -> Waybill | None:
    """An order's waybill, if it has one and this person may see it."""
    if order.waybill_id is None or not actor().may(Right.READ_WAYBILLS):
        return None
    return rooms().orders.waybill_of(actor(), order.id)


def _order(order_id: str) -> dict[str, Any]:
    """The order, its waybill, its labels (newest first), and in one word how far it is."""
    who = actor()
    order = rooms().orders.get(who, order_id).masked()
    waybill = _waybill(order)
    labels: list[Label] = []
    if waybill is not None and who.may(Right.READ_JOBS):
        found = rooms().jobs.labels(who, subject=waybill.subject)
        labels = sorted(found, key=lambda label: label.id, reverse=True)
    state = waybill.state.value if waybill else "none"
    now = labels[0].state if labels else None
    under_way = now in _UNDER_WAY or state in ("requested", "unknown")
    return {
        "order": order,
        "waybill": waybill,
        "labels": labels,
        "state": state,
        "under_way": under_way,
        "stage": f"{state}/{now.value if now else '-'}/{bool(order.held_reason)}",
        "printers": {printer.id: printer for printer in rooms().printers.list(who)}
        if who.may(Right.READ_PRINTERS)
        else {},
        "mine": waybill is None or waybill.store_id == who.store_id,
    }


def _choices() -> dict[str, Any]:
    """What the forms offer."""
    who = actor()
    subscriptions = []
    if who.may(Right.ISSUE_WAYBILLS) and who.may(Right.READ_SUBSCRIPTIONS):
        subscriptions = rooms().subscriptions.list(who, state=SubscriptionState.OPEN)
    return {
        "key": new_id(),
        "subscriptions": subscriptions,
        "templates": [name for name in rooms().templates.names() if name.startswith("waybill")],
        "reasons": words.REPRINT_REASONS,
    }
