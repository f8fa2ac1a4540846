"""Pages of the store itself: what its labels show, and its audit trail. 店铺"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from labelsvc.errors import Forbidden, NotFound
from labelsvc.security import Actor, AuditEntry, Right
from labelsvc.web.pages import people, words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("store_pages", __name__, url_prefix="/store")

_PAGE = 50


@pages.get("")
def one() -> str:
    """What holds for the whole store."""
    who = actor()
    if not (who.may(Right.MANAGE_PREFERENCES) or who.may(Right.READ_AUDIT)):
        raise Forbidden("these pages are for owners and auditors", right=Right.MANAGE_PREFERENCES.value)
    return render_template(
        "store.html",
        store=rooms().accounts.store(who.store_id),
        preferences=rooms().preferences.get(who),
        entries=_told(who, rooms().audit.list(who, limit=5)) if who.may(Right.READ_AUDIT) else [],
        names=people.names(who),
        erase_days=rooms().settings.erase_after_days,
    )


@pages.post("/labels")
def labels() -> Response:
    """Choose what labels show of the recipient."""
    rooms().preferences.set(actor(), clear_labels=request.form.get("clear_labels") == "yes")
    return redirect(url_for(".one", done="preferences"), 303)


@pages.get("/audit")
def audit() -> str:
    """Who looked at personal data, or changed what protects them; newest first (R1)."""
    who = actor()
    text = request.args.get("after", "")
    after = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    found = rooms().audit.list(who, after=after, limit=_PAGE)
    return render_template(
        "audit.html",
        entries=_told(who, found),
        names=people.names(who),
        next=found[-1].seq if len(found) == _PAGE else None,
        after=after,
    )


def _told(who: Actor, entries: Sequence[AuditEntry]) -> list[tuple[AuditEntry, tuple[str, str]]]:
    """The lines, each with what it is about: in words, and the address of its page, if it has one."""
    known: dict[str, tuple[str, str]] = {}
    for entry in entries:
        if entry.subject not in known:
            known[entry.subject] = _subject(who, entry.subject)
    return [(entry, known[entry.subject]) for entry in entries]


def _subject(who: Actor, subject: str) -> tuple[str, str]:
    kind, _, id = subject.partition(":")
    try:
        if kind == "waybill" and who.may(Right.READ_WAYBILLS):
            waybill = rooms().waybills.get(who, id)
            return waybill.number or gettext("运单"), url_for("waybills_pages.one", waybill_id=id)
        if kind == "order" and who.may(Right.READ_ORDERS):
            return rooms().orders.get(who, id).number, url_for("orders_pages.one", order_id=id)
        if kind == "label" and who.may(Right.READ_JOBS):
            label = rooms().jobs.label(who, id)
            return label.title or gettext("标签"), url_for("jobs_pages.one", job_id=label.job_id)
    except NotFound:
        pass  # it is another store's, or gone
    if kind == "address":
        return gettext("发货地址"), url_for("addresses.listed") if who.may(Right.READ_ADDRESSES) else ""
    if number := re.fullmatch(r"(\d+) (?:waybills|orders|jobs)", subject):
        return gettext("%(n)s 条", n=number[1]), ""
    said = words.AUDIT_SUBJECTS.get(subject)
    return (str(said) if said is not None else id[-8:] or subject), ""
