"""Pages of printers: their state, and adding, changing, pausing, testing them. 打印机"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.db import new_id
from labelsvc.errors import FieldError, Invalid, LabelsvcError
from labelsvc.printing import DocumentRequest, Mode, Printer, PrintRequest, Proposal
from labelsvc.security import Right
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("printers_pages", __name__, url_prefix="/printers")

_TEST_LABEL = Path(__file__).parent.parent / "ui" / "test-label.xml"
_WORDS = ("name", "uri", "profile", "letters", "font", "node")
_NUMBERS = ("darkness", "speed", "offset_x", "offset_y")


@pages.get("")
def listed() -> str:
    """All printers."""
    return render_template("printers.html", **_list(), found=_found())


@pages.get("/live")
def live() -> str:
    """The printers' cards alone."""
    return render_template("_printers.html", **_list(), found=_found())


@pages.get("/groups/new")
def new_group() -> str:
    """The form of a new group."""
    return _group_form({"mode": "first"}, None)


@pages.post("/groups/new")
def add_group() -> Response | tuple[str, int]:
    """Make a group."""
    try:
        rooms().printers.add_group(actor(), request.form.get("name", "").strip(), _members(), _mode())
    except LabelsvcError as error:
        return _group_form(request.form.to_dict(), None, error), error.status
    return redirect(url_for(".listed", done="group_saved"), 303)


@pages.get("/groups/<ident:group_id>")
def one_group(group_id: str) -> str:
    """The form of a group."""
    group = rooms().printers.get(actor(), group_id)
    turns = {f"turn-{member}": str(turn) for turn, member in enumerate(group.members, 1)}
    return _group_form({"name": group.name, "mode": group.mode or "", **turns}, group)


@pages.post("/groups/<ident:group_id>")
def edit_group(group_id: str) -> Response | tuple[str, int]:
    """Change a group."""
    try:
        name = request.form.get("name", "").strip()
        rooms().printers.edit_group(actor(), group_id, name=name, members=_members(), mode=_mode())
    except LabelsvcError as error:
        group = rooms().printers.get(actor(), group_id)
        return _group_form(request.form.to_dict(), group, error), error.status
    return redirect(url_for(".listed", done="group_saved"), 303)


@pages.post("/<ident:printer_id>/aliases")
def set_aliases(printer_id: str) -> Response:
    """What else it is called."""
    names = [name.strip() for name in request.form.get("aliases", "").splitlines() if name.strip()]
    found = rooms().printers.set_aliases(actor(), printer_id, names)
    if found.is_group:
        return redirect(url_for(".one_group", group_id=printer_id, done="aliases_saved"), 303)
    return redirect(url_for(".one", printer_id=printer_id, done="aliases_saved"), 303)


@pages.post("/<ident:printer_id>/swap")
def swap(printer_id: str) -> Response:
    """Another device stands in its place."""
    uri, profile = request.form.get("uri", "").strip(), request.form.get("profile", "")
    rooms().printers.swap(actor(), printer_id, uri, profile)
    return redirect(url_for(".one", printer_id=printer_id, done="device_swapped"), 303)


@pages.get("/new")
def new() -> str:
    """The form of a new printer, filled with what is known of one that was found."""
    told = {name: request.args[name] for name in ("name", "uri", "profile") if request.args.get(name)}
    if "uri" in told:
        told["test"] = "on"
    return _form({"profile": "zpl-generic-203", **told}, None)


@pages.post("/new")
def add() -> Response | tuple[str, int]:
    """Add a printer."""
    given = _given()
    try:
        changes = _numbers(given)
        printer = rooms().printers.add(
            actor(),
            given["name"],
            given["uri"],
            given["profile"],
            letters=_letters(given) or None,
            font=given["font"] or None,
            node=given["node"] or None,
            **{name: value for name, value in changes.items() if value is not None},
        )
    except LabelsvcError as error:
        return _form(given, None, error), error.status
    return test(printer.id) if given["test"] else redirect(url_for(".listed", done="printer_added"), 303)


@pages.get("/<ident:printer_id>")
def one(printer_id: str) -> str:
    """The form of a printer."""
    printer = rooms().printers.get(actor(), printer_id)
    given = {name: getattr(printer, name) for name in (*_WORDS, *_NUMBERS)}
    return _form({name: "" if value is None else str(value) for name, value in given.items()}, printer)


@pages.post("/<ident:printer_id>")
def edit(printer_id: str) -> Response | tuple[str, int]:
    """Change a printer."""
    given = _given()
    try:
        rooms().printers.edit(
            actor(),
            printer_id,
            name=given["name"],
            uri=given["uri"],
            profile=given["profile"],
            letters=_letters(given),
            font=given["font"],
            node=given["node"],
            **_numbers(given),
        )
    except LabelsvcError as error:
        return _form(given, rooms().printers.get(actor(), printer_id), error), error.status
    return redirect(url_for(".listed", done="printer_changed"), 303)


@pages.post("/<ident:printer_id>/pause")
def pause(printer_id: str) -> Response:
    """Pause."""
    rooms().printers.pause(actor(), printer_id)
    return redirect(url_for(".listed", done="printer_paused"), 303)


@pages.post("/<ident:printer_id>/resume")
def resume(printer_id: str) -> Response:
    """Resume."""
    rooms().printers.resume(actor(), printer_id)
    return redirect(url_for(".listed", done="printer_resumed"), 303)


@pages.post("/<ident:printer_id>/fonts")
def send_fonts_again(printer_id: str) -> Response:
    """The printer lost its downloaded font: it gets it before its next label."""
    rooms().printers.send_fonts_again(actor(), printer_id)
    return redirect(url_for(".listed", done="fonts_again"), 303)


@pages.post("/<ident:printer_id>/remove")
def remove(printer_id: str) -> Response:
    """Remove."""
    rooms().printers.remove(actor(), printer_id)
    return redirect(url_for(".listed", done="printer_removed"), 303)


@pages.post("/<ident:printer_id>/test")
def test(printer_id: str) -> Response:
    """Print a small label that shows the printer's name and a barcode, and is no waybill."""
    printer = rooms().printers.get(actor(), printer_id)
    document = DocumentRequest(
        template="test-label",
        template_text=_TEST_LABEL.read_text("utf-8"),
        data={"printer": printer.name, "time": words.clock(rooms().database.now())},
        title=str(words.TEST_LABEL),
    )
    job = rooms().jobs.submit(
        actor(), PrintRequest(printer.id, (document,), f"test-{new_id()}", origin="page")
    )
    return redirect(url_for("jobs_pages.one", job_id=job.id, done="test_sent"), 303)


def _list() -> dict[str, Any]:
    """The printers with a wire, and the groups of them; with ``state`` in the address only the printers that are so."""
    found = rooms().printers.list(actor())
    printers = [one for one in found if not one.is_browser and not one.is_group]
    states = ["paused" if one.paused_at else one.state.value for one in printers]
    chosen = request.args.get("state")
    if chosen not in words.PRINTER:
        chosen = None
    return {
        "printers": printers,
        "shown": [one for one, state in zip(printers, states, strict=True) if chosen in (None, state)],
        "counts": Counter(states),
        "chosen": chosen,
        "groups": [one for one in found if one.is_group],
        "names": {one.id: one.name for one in found},
        "models": {profile.name: words.model(profile) for profile in rooms().printers.profiles()},
    }


def _members() -> list[str]:
    """The printers that got a number, in the order of their numbers. Raises Invalid."""
    turns = {}
    for name, turn in request.form.items():
        if name.startswith("turn-") and turn.strip():
            if not turn.strip().isdecimal():
                raise Invalid("must be a whole number", field="members")
            turns[name.removeprefix("turn-")] = int(turn)
    return sorted(turns, key=lambda printer_id: turns[printer_id])


def _mode() -> Mode:
    return "spread" if request.form.get("mode") == "spread" else "first"


def _group_form(given: dict[str, str], group: Printer | None, error: LabelsvcError | None = None) -> str:
    fault: dict[str, Any] = {"fault": words.of(error), "wrong": words.wrong_fields(error)} if error else {}
    return render_template("group.html", given=given, group=group, printers=_list()["printers"], **fault)


def _found() -> list[Proposal]:
    """Printers that announce themselves and that the store doesn't have."""
    if not actor().may(Right.MANAGE_PRINTERS):
        return []
    return [each for each in rooms().discovery.found(actor()) if each.added_as is None]


def _given() -> dict[str, str]:
    return {name: request.form.get(name, "").strip() for name in (*_WORDS, *_NUMBERS, "test")}


def _letters(given: dict[str, str]) -> Literal["dots", "font", ""]:
    """What was chosen; empty for the model's own."""
    return "font" if given["letters"] == "font" else "dots" if given["letters"] == "dots" else ""


def _numbers(given: dict[str, str]) -> dict[str, Any]:
    """The form's numbers; an empty one is None. Raises Invalid naming each that is no whole number."""
    found: dict[str, Any] = {}
    faults = []
    for name in _NUMBERS:
        try:
            found[name] = int(given[name]) if given[name] else None
        except ValueError:
            faults.append(FieldError(name, "must be a whole number"))
    if faults:
        raise Invalid("the printer is wrong", code="printer.invalid", errors=faults)
    return found


def _form(given: dict[str, str], printer: Printer | None, error: LabelsvcError | None = None) -> str:
    fault: dict[str, Any] = {"fault": words.of(error), "wrong": words.wrong_fields(error)} if error else {}
    profiles = [profile for profile in rooms().printers.profiles() if profile.name != "browser"]
    nodes = [node.name for node in rooms().printers.nodes(actor())]
    return render_template(
        "printer.html", given=given, printer=printer, profiles=profiles, nodes=nodes, **fault
    )
