"""Pages of waybills: the list, the look-up, and one waybill with all that can be done with it. 面单"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import Invalid, LabelsvcError, NotFound
from labelsvc.printing import Label, LabelState
from labelsvc.security import Right
from labelsvc.waybills import Item, Party, Waybill, WaybillState
from labelsvc.web.pages import paper, people, words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("waybills_pages", __name__, url_prefix="/waybills")

_PAGE = 30
_NUMBER = re.compile(r"[0-9A-Za-z]{6,40}")
_PHONE = re.compile(r"\+?[0-9\- ]{5,25}")
#: What can be changed until the carrier has the parcel (W6).
_CHANGEABLE = frozenset({WaybillState.ISSUED, WaybillState.PRINTED})
_PARTY = ("name", "phone", "province", "city", "district", "town", "detail")


@pages.get("")
def listed() -> str:
    """Waybills, newest first, by state."""
    state = request.args.get("state")
    if state not in words.WAYBILL or state == "none":
        state = None
    found = rooms().waybills.list(
        actor(), after=request.args.get("after") or None, limit=_PAGE, state=state or None
    )
    return render_template(
        "waybills.html",
        rows=found,
        chosen=state,
        next=found[-1].id if len(found) == _PAGE else None,
        void=_void_labels(),
    )


@pages.post("/find")
def find() -> Response | tuple[str, int]:
    """A waybill by its number, or all of a person, by phone or name: typed into one field, and never into an address."""
    text = request.form.get("text", "").strip()
    found: list[Waybill] = []
    try:
        if _NUMBER.fullmatch(text):
            try:
                one_ = rooms().waybills.get(actor(), text)
                return redirect(url_for(".one", waybill_id=one_.id), 303)
            except NotFound:
                pass
        if _PHONE.fullmatch(text):
            found = rooms().waybills.find_person(actor(), phone=text)
        else:
            found = rooms().waybills.find_person(actor(), name=text)
    except Invalid:
        html = render_template("found.html", rows=[], fault=words.problem("find.invalid", ""))
        return html, 422
    return render_template("found.html", rows=found), 200


@pages.get("/find")
def find_again() -> Response:
    """What was looked for isn't in the address: look again."""
    return redirect(url_for(".listed"), 303)


@pages.get("/<ident:waybill_id>")
def one(waybill_id: str) -> str:
    """One waybill, masked."""
    return _page(waybill_id)


@pages.get("/<ident:waybill_id>/live")
def live(waybill_id: str) -> str:
    """How it stands, without the forms."""
    who = actor()
    return render_template("_waybill.html", **paper.standing(who, rooms().waybills.get(who, waybill_id)))


@pages.post("/<ident:waybill_id>/clear")
def clear(waybill_id: str) -> str:
    """The same page with its people in clear, for a reason that is written down (R1)."""
    return _page(waybill_id, clear=rooms().waybills.clear(actor(), waybill_id, paper.look_reason()))


@pages.get("/<ident:waybill_id>/clear")
@pages.get("/<ident:waybill_id>/update/open")
def masked_again(waybill_id: str) -> Response:
    """Nobody looks without a reason."""
    return redirect(url_for(".one", waybill_id=waybill_id), 303)


@pages.post("/<ident:waybill_id>/print")
def print_(waybill_id: str) -> Response:
    """Print its label."""
    rooms().waybills.print(
        actor(),
        waybill_id,
        request.form.get("printer", ""),
        paper.key(),
        template=request.form.get("template") or None,
    )
    return _back(waybill_id, "queued")


@pages.post("/<ident:waybill_id>/reprint")
def reprint(waybill_id: str) -> Response:
    """Print it again, for a reason (W8)."""
    rooms().waybills.reprint(
        actor(), waybill_id, request.form.get("printer", ""), paper.reason(), paper.key()
    )
    return _back(waybill_id, "reprinted")


@pages.post("/<ident:waybill_id>/pdf")
def pdf(waybill_id: str) -> Response:
    """Make its label one that the browser prints (P6), and go to the page that opens it."""
    _job, label = rooms().waybills.open_pdf(
        actor(),
        waybill_id,
        paper.key(),
        reason=paper.reason() or None,
        template=request.form.get("template") or None,
    )
    return redirect(url_for("labels_pages.sheet", label_id=label.id), 303)


@pages.post("/<ident:waybill_id>/cancel")
def cancel(waybill_id: str) -> Response:
    """Give the number back (W5)."""
    found = rooms().waybills.cancel(
        actor(), waybill_id, label_destroyed=request.form.get("label_destroyed") == "yes"
    )
    return _back(waybill_id, words.after_cancel(found))


@pages.post("/<ident:waybill_id>/hand-over")
def hand_over(waybill_id: str) -> Response:
    """The parcel left with the carrier (W5)."""
    result = rooms().waybills.hand_over(actor(), [waybill_id])[0]
    if isinstance(result, LabelsvcError):
        raise result
    return _back(waybill_id, "handed_over")


@pages.post("/<ident:waybill_id>/destroyed")
def destroyed(waybill_id: str) -> Response:
    """The void labels of a revision are torn up (W6)."""
    revision = request.form.get("revision", "")
    if not revision.isascii() or not revision.isdigit() or len(revision) > 6:
        raise Invalid("must be a whole number", field="revision")
    rooms().waybills.confirm_destroyed(actor(), waybill_id, int(revision))
    return _back(waybill_id, "destroyed")


@pages.get("/<ident:waybill_id>/update")
def change(waybill_id: str) -> str | Response:
    """The form that changes recipient or goods (W6); the recipient's fields are empty, as the data are masked."""
    actor().require(Right.ISSUE_WAYBILLS)
    found = rooms().waybills.get(actor(), waybill_id)
    if not _changeable(found):
        return redirect(url_for(".one", waybill_id=waybill_id), 303)
    return _update_form(found, {**_goods(found), **found.recipient.division})


@pages.post("/<ident:waybill_id>/update/open")
def change_clear(waybill_id: str) -> str:
    """The same form filled with the recipient in clear, which is written down."""
    found = rooms().waybills.clear(actor(), waybill_id, str(words.TO_CHANGE))
    return _update_form(found, {**_goods(found), **found.recipient.as_dict(), "change": "yes"})


@pages.post("/<ident:waybill_id>/update")
def update(waybill_id: str) -> Response | tuple[str, int]:
    """Change it; the old label is void (W6)."""
    given = {
        name: request.form.get(name, "").strip() for name in (*_PARTY, "items", "weight_g", "change", "key")
    }
    was = rooms().waybills.get(actor(), waybill_id)
    try:
        recipient = Party(**{name: given[name] for name in _PARTY}) if given["change"] == "yes" else None
        items = read_items(given["items"])
        weight_g = _whole(given["weight_g"], "weight_g")
        rooms().waybills.update(
            actor(),
            waybill_id,
            paper.key(),
            recipient=recipient,
            items=items if items != was.items else None,
            weight_g=weight_g if weight_g != was.weight_g else None,
        )
    except LabelsvcError as error:
        if given["change"] != "yes":  # the browser sends nothing of what can't be filled in
            given |= was.recipient.division
        return _update_form(was, given, error), error.status
    return _back(waybill_id, "updated")


def read_items(text: str) -> tuple[Item, ...]:
    """Goods, one a line, each with its count at the end: ``棉布衬衫 蓝 L ×2``; without one it is 1. Raises Invalid."""
    found = []
    for line in text.splitlines():
        if line.strip():
            parts = re.fullmatch(r"(.*?)(?:\s*[×xX*]\s*(\d{1,7}))?\s*", line.strip())
            assert parts is not None
            found.append(Item(parts[1].strip(), int(parts[2] or 1)))
    if not found:
        raise Invalid("is missing", field="items")
    return tuple(found)


def _whole(text: str, field: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text or "0"):
        raise Invalid("must be a whole number", field=field)
    return int(text or 0)


def _changeable(found: Waybill) -> bool:
    return found.state in _CHANGEABLE and found.erased_at is None


def _goods(found: Waybill) -> dict[str, str]:
    return {
        "items": "\n".join(f"{item.name} ×{item.count}" for item in found.items),
        "weight_g": str(found.weight_g or ""),
    }


def _update_form(found: Waybill, given: dict[str, str], error: LabelsvcError | None = None) -> str:
    fault: dict[str, Any] = {}
    if error is not None:
        # That nothing was changed is no one field's fault.
        wrong = {} if error.code == "update.empty" else words.wrong_fields(error)
        fault = {"fault": words.of(error), "wrong": wrong}
    on_paper = found.state is WaybillState.PRINTED or any(
        label.state is not LabelState.CANCELLED for label in _labels(found)
    )
    own = found.owner_id == actor().store_id
    return render_template(
        "waybill_update.html",
        waybill=found.masked(),
        given=given,
        own=own,
        on_paper=on_paper,
        key=given.get("key") or paper.choices()["key"],
        may_open=own and actor().may(Right.SEE_CLEAR_DATA) and "change" not in given,
        **fault,
    )


def _page(waybill_id: str, clear: Waybill | None = None) -> str:
    who = actor()
    found = rooms().waybills.get(who, waybill_id)
    set_: list[Waybill] = []
    if found.parent_number:
        of_order = rooms().waybills.of_order(found.owner_id, found.orders[0])
        set_ = sorted(
            (
                one
                for one in of_order
                if (one.store_id, one.parent_number) == (who.store_id, found.parent_number)
            ),
            key=lambda one: one.piece,
        )
    own = found.owner_id == who.store_id and found.erased_at is None
    return render_template(
        "waybill.html",
        clear=clear,
        changes=rooms().waybills.history(who, found.id),
        names=people.names(who),
        set=set_,
        void=[label for label in _void_labels() if label.waybill_id == found.id],
        may_look=own and who.may(Right.SEE_CLEAR_DATA),
        changeable=_changeable(found),
        **paper.standing(who, found),
        **paper.choices(),
    )


def _labels(found: Waybill) -> list[Label]:
    return rooms().jobs.labels(actor(), subject=found.subject) if actor().may(Right.READ_JOBS) else []


def _void_labels() -> list[Any]:
    """Labels on paper that updates made void, still to be destroyed (W6)."""
    return rooms().waybills.void_labels(actor(), limit=50)


def _back(waybill_id: str, done: str) -> Response:
    return redirect(url_for(".one", waybill_id=waybill_id, done=done), 303)
