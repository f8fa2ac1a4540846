"""The first page: wherever this person's work begins."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from labelsvc.security import Right
from labelsvc.web.session import actor

pages = Blueprint("home", __name__)


@pages.get("/")
def first() -> Response:
    """Orders for those who may see them, printers for the others."""
    return redirect(
        url_for("orders_pages.listed" if actor().may(Right.READ_ORDERS) else "printers_pages.listed"), 303
    )
