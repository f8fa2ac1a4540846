"""Pages of sender addresses. 发货地址"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import LabelsvcError
from labelsvc.security import Right
from labelsvc.waybills import Party
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("addresses_pages", __name__, url_prefix="/addresses")

_FIELDS = ("name", "phone", "province", "city", "district", "town", "detail")


@pages.get("")
def listed() -> str:
    """All sender addresses; clear for those who keep them."""
    who = actor()
    clear = who.may(Right.MANAGE_ADDRESSES) or who.may(Right.SEE_CLEAR_DATA)
    found = [(one, one.party if clear else one.party.masked()) for one in rooms().addresses.list(who)]
    return render_template("addresses.html", rows=found)


@pages.get("/new")
def new() -> str:
    """The form of a new address."""
    return render_template("address.html", given={})


@pages.post("/new")
def add() -> Response | tuple[str, int]:
    """Add an address."""
    given = {name: request.form.get(name, "").strip() for name in _FIELDS}
    try:
        rooms().addresses.create(actor(), Party(**given), default=request.form.get("default") == "yes")
    except LabelsvcError as error:
        wrong = words.wrong_fields(error)
        html = render_template("address.html", given=given, fault=words.of(error), wrong=wrong)
        return html, error.status
    return redirect(url_for(".listed", done="address_added"), 303)


@pages.post("/<ident:address_id>/default")
def make_default(address_id: str) -> Response:
    """Make it the default."""
    rooms().addresses.make_default(actor(), address_id)
    return redirect(url_for(".listed", done="address_default"), 303)


@pages.post("/<ident:address_id>/delete")
def delete(address_id: str) -> Response:
    """Delete it."""
    rooms().addresses.delete(actor(), address_id)
    return redirect(url_for(".listed", done="address_deleted"), 303)
