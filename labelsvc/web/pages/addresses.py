"""Pages of sender addresses. 发货地址"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import LabelsvcError
from labelsvc.security import Right
from labelsvc.waybills import Party, SenderAddress
from labelsvc.web.pages import paper, words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("addresses_pages", __name__, url_prefix="/addresses")

_FIELDS = ("name", "phone", "province", "city", "district", "town", "detail")


@pages.get("")
def listed() -> str:
    """All sender addresses, masked."""
    return _list()


@pages.post("/<ident:address_id>/clear")
def clear(address_id: str) -> str:
    """The same with one of them in clear, for a reason that is written down (R1)."""
    return _list(rooms().addresses.clear(actor(), address_id, paper.look_reason()))


@pages.get("/<ident:address_id>/clear")
def masked_again(address_id: str) -> Response:
    """Nobody looks without a reason."""
    return redirect(url_for(".listed"), 303)


@pages.get("/new")
def new() -> str:
    """The form of a new address."""
    return _form({})


@pages.post("/new")
def add() -> Response | tuple[str, int]:
    """Add an address."""
    given = _given()
    try:
        rooms().addresses.create(actor(), Party(**given), default=request.form.get("default") == "yes")
    except LabelsvcError as error:
        return _form(given, error=error), error.status
    return redirect(url_for(".listed", done="address_added"), 303)


@pages.post("/<ident:address_id>/open")
def open_(address_id: str) -> str:
    """The form of an address, filled in clear for those who may see it, which is written down; else empty but for the place."""
    who = actor()
    who.require(Right.MANAGE_ADDRESSES)
    if who.may(Right.SEE_CLEAR_DATA):
        found = rooms().addresses.clear(who, address_id, str(words.TO_CHANGE))
        return _form(found.party.as_dict(), found)
    found = rooms().addresses.get(who, address_id)
    return _form(dict(found.party.division), found)


@pages.post("/<ident:address_id>")
def edit(address_id: str) -> Response | tuple[str, int]:
    """Change an address (E7)."""
    given = _given()
    try:
        rooms().addresses.edit(actor(), address_id, Party(**given))
    except LabelsvcError as error:
        return _form(given, rooms().addresses.get(actor(), address_id), error), error.status
    return redirect(url_for(".listed", done="address_changed"), 303)


@pages.get("/<ident:address_id>")
@pages.get("/<ident:address_id>/open")
def one(address_id: str) -> Response:
    """An address stands in the list; its form is opened from there."""
    rooms().addresses.get(actor(), address_id)
    return redirect(url_for(".listed"), 303)


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


def _given() -> dict[str, str]:
    return {name: request.form.get(name, "").strip() for name in _FIELDS}


def _list(clear: SenderAddress | None = None) -> str:
    rows = [
        clear if clear is not None and one.id == clear.id else one for one in rooms().addresses.list(actor())
    ]
    return render_template("addresses.html", rows=rows, clear=clear)


def _form(
    given: dict[str, str], address: SenderAddress | None = None, error: LabelsvcError | None = None
) -> str:
    fault: dict[str, Any] = {}
    if error is not None:
        fault = {"fault": words.of(error), "wrong": words.wrong_fields(error)}
        fault["suggestions"] = error.facts.get("suggestions")
    return render_template(
        "address.html",
        given=given,
        address=address,
        **fault,
    )
