"""The page at the station: every label that waits for a person's answer, each answered by one key. 待确认"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from labelsvc.web.pages.jobs import names
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("questions_pages", __name__, url_prefix="/questions")


@pages.get("")
def listed() -> str:
    """The questions, oldest first."""
    return render_template("questions.html", **_list())


@pages.get("/live")
def live() -> str:
    """The same without its frame."""
    return render_template("_questions.html", **_list())


def _list() -> dict[str, Any]:
    return {"questions": rooms().jobs.questions(actor()), "printers": names()}
