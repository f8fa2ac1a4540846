"""Pages of orders: from the order to the number to the printed label. 订单"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.dropship import Order
from labelsvc.errors import NotFound
from labelsvc.security import Right
from labelsvc.waybills import SubscriptionState, Waybill
from labelsvc.web.pages import paper, words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("orders_pages", __name__, url_prefix="/orders")

_PAGE = 30


@pages.get("")
def listed() -> str:
    """Orders, newest first."""
    found = rooms().orders.list(actor(), after=request.args.get("after") or None, limit=_PAGE)
    rows = [(order, _waybill(order)) for order in found]
    return render_template("orders.html", rows=rows, next=found[-1].id if len(found) == _PAGE else None)


@pages.get("/<ident:order_id>")
def one(order_id: str) -> str:
    """One order: its waybill and label, and what can be done next."""
    return _page(order_id)


@pages.post("/<ident:order_id>/clear")
def clear(order_id: str) -> str:
    """The same page with its people in clear, for a reason that is written down (R1)."""
    return _page(order_id, clear=rooms().orders.clear(actor(), order_id, paper.look_reason()))


@pages.get("/<ident:order_id>/clear")
def masked_again(order_id: str) -> Response:
    """Nobody looks without a reason."""
    return redirect(url_for(".one", order_id=order_id), 303)


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
        actor(), order_id, subscription.carrier, paper.key(), subscription_id=subscription.id
    )
    return _back(order_id, "issued")


@pages.post("/<ident:order_id>/print")
def print_(order_id: str) -> Response:
    """Print its label."""
    rooms().waybills.print(
        actor(),
        _its(order_id).id,
        request.form.get("printer", ""),
        paper.key(),
        template=request.form.get("template") or None,
    )
    return _back(order_id, "queued")


@pages.post("/<ident:order_id>/reprint")
def reprint(order_id: str) -> Response:
    """Print it again, for a reason (W8)."""
    rooms().waybills.reprint(
        actor(), _its(order_id).id, request.form.get("printer", ""), paper.reason(), paper.key()
    )
    return _back(order_id, "reprinted")


@pages.post("/<ident:order_id>/pdf")
def pdf(order_id: str) -> Response:
    """Make its label one that the browser prints (P6), and go to the page that opens it."""
    _job, label = rooms().waybills.open_pdf(
        actor(),
        _its(order_id).id,
        paper.key(),
        reason=paper.reason() or None,
        template=request.form.get("template") or None,
    )
    return redirect(url_for("labels_pages.sheet", label_id=label.id), 303)


@pages.post("/<ident:order_id>/cancel")
def cancel(order_id: str) -> Response:
    """Give the number back (W5)."""
    found = rooms().waybills.cancel(
        actor(), _its(order_id).id, label_destroyed=request.form.get("label_destroyed") == "yes"
    )
    return _back(order_id, words.after_cancel(found))


@pages.post("/<ident:order_id>/hold")
def hold(order_id: str) -> Response:
    """Stop the order."""
    rooms().orders.hold(actor(), order_id, paper.reason())
    return _back(order_id, "order_held")


@pages.post("/<ident:order_id>/release")
def release(order_id: str) -> Response:
    """Let it go on."""
    rooms().orders.release(actor(), order_id)
    return _back(order_id, "order_released")


def _back(order_id: str, done: str) -> Response:
    return redirect(url_for(".one", order_id=order_id, done=done), 303)


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


def _page(order_id: str, clear: Order | None = None) -> str:
    who = actor()
    found = _order(order_id)
    own = found["order"].merchant_id == who.store_id and found["order"].erased_at is None
    may_look = own and who.may(Right.SEE_CLEAR_DATA)
    return render_template("order.html", clear=clear, may_look=may_look, **found, **_choices())


def _order(order_id: str) -> dict[str, Any]:
    """The order, its waybill, its labels (newest first), and in one word how far it is."""
    order = rooms().orders.get(actor(), order_id)
    found = paper.standing(actor(), _waybill(order))
    return {"order": order, **found, "stage": f"{found['stage']}/{bool(order.held_reason)}"}


def _choices() -> dict[str, Any]:
    """What the forms offer."""
    who = actor()
    subscriptions = []
    if who.may(Right.ISSUE_WAYBILLS) and who.may(Right.READ_SUBSCRIPTIONS):
        subscriptions = rooms().subscriptions.list(who, state=SubscriptionState.OPEN)
    return {"subscriptions": subscriptions, **paper.choices()}
