"""The page that tells a person at a bench how to set printing up and what to do when something is wrong (E11). 使用说明"""

from __future__ import annotations

from flask import Blueprint, render_template

from labelsvc.web.rooms import rooms

pages = Blueprint("manual_pages", __name__, url_prefix="/manual")


@pages.get("")
def printing() -> str:
    """Printing, from the box to the label."""
    return render_template("manual.html", profiles=len(rooms().profiles.names()))
