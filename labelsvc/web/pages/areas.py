"""Pages of the store's custom areas: what its labels show in the place that a template leaves it. 自定义区"""

from __future__ import annotations

import base64
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import Invalid, LabelsvcError
from labelsvc.printing import AreaRow
from labelsvc.security import Right
from labelsvc.waybills import sample_label
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("areas_pages", __name__, url_prefix="/store/areas")

#: What a form begins with: what most shops put there.
_FIRST = (AreaRow("short_goods", 10, bold=True), AreaRow("orders", 7.5), AreaRow("note", 7.5))
ROWS = 4
ALIGNS = ("left", "center", "right")


@pages.get("")
def listed() -> str:
    """Every template that leaves a place, and whether the store uses it."""
    who = actor()
    who.require(Right.READ_PRINTERS)
    mine = {area.template: area for area in rooms().areas.list(who)}
    return render_template("areas.html", places=rooms().areas.places(), mine=mine)


@pages.get("/<template:template>")
def one(template: str) -> str:
    """The form of one area, and how a label looks with it."""
    who = actor()
    who.require(Right.READ_PRINTERS)
    area = rooms().areas.get(who, template)
    text = area.text if area else rooms().areas.text_of(template, _FIRST)
    return _form(template, _FIRST, text, by_hand=area is not None, saved=area is not None)


@pages.post("/<template:template>")
def save(template: str) -> Response | tuple[str, int] | str:
    """Look at the area without keeping it, keep it, or go back to what the template has."""
    who = actor()
    if request.form.get("act") == "drop":
        rooms().areas.drop(who, template)
        return redirect(url_for(".one", template=template, done="area_dropped"), 303)
    by_hand = request.form.get("by_hand") == "yes"
    chosen = _rows()
    saved = rooms().areas.get(who, template) is not None
    text = request.form.get("text", "").replace("\r\n", "\n")
    try:
        if not by_hand:
            text = rooms().areas.text_of(template, chosen)
        if request.form.get("act") == "save":
            rooms().areas.save(who, template, text)
            return redirect(url_for(".one", template=template, done="area_saved"), 303)
    except LabelsvcError as error:
        return _form(template, chosen, text, by_hand, saved, error), error.status
    return _form(template, chosen, text, by_hand, saved)


@pages.post("/<template:template>/preview")
def preview(template: str) -> str:
    """The picture alone, for a form that is being filled in."""
    actor().require(Right.READ_PRINTERS)
    text = request.form.get("text", "").replace("\r\n", "\n")
    try:
        if request.form.get("by_hand") != "yes":
            text = rooms().areas.text_of(template, _rows())
        return render_template("_area_preview.html", **_shown(template, text))
    except LabelsvcError as error:
        return render_template("_area_preview.html", fault=words.of(error), wrong=words.wrong_fields(error))


def _rows() -> tuple[AreaRow, ...]:
    """The rows that were filled in. A size that is no number is left to the room, which names the row."""
    found = []
    for at in range(ROWS):
        show = request.form.get(f"show{at}", "")
        if not show:
            continue
        try:
            size = float(request.form.get(f"size{at}", "") or 0)
        except ValueError:
            size = 0.0
        align = request.form.get(f"align{at}", "left")
        found.append(
            AreaRow(
                show,
                size,
                request.form.get(f"bold{at}") == "yes",
                "center" if align == "center" else "right" if align == "right" else "left",
                request.form.get(f"words{at}", "").strip(),
            )
        )
    return tuple(found)


def _shown(template: str, text: str) -> dict[str, Any]:
    page, picture = rooms().areas.preview(actor(), template, text, sample_label())
    return {
        "picture": f"data:image/png;base64,{base64.b64encode(picture).decode()}",
        "width_mm": page.width_mm,
        "height_mm": page.height_mm,
        "warnings": page.warnings,
    }


def _form(
    template: str,
    chosen: tuple[AreaRow, ...],
    text: str,
    by_hand: bool,
    saved: bool,
    error: LabelsvcError | None = None,
) -> str:
    given: dict[str, Any] = {}
    if error is not None:
        given = {"fault": words.of(error), "wrong": words.wrong_fields(error)}
    else:
        try:
            given = _shown(template, text)
        except Invalid as fault:
            given = {"fault": words.of(fault), "wrong": words.wrong_fields(fault)}
    rows = [*chosen, *[AreaRow("", 8)] * ROWS][:ROWS]
    return render_template(
        "area.html",
        template=template,
        place=rooms().areas.places()[template],
        rows=rows,
        shows=words.AREA_SHOWS,
        aligns=words.ALIGNS,
        text=text,
        by_hand=by_hand,
        saved=saved,
        may_save=actor().may(Right.MANAGE_PREFERENCES),
        **given,
    )
