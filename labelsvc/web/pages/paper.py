"""What the pages of orders and of waybills share: how far a waybill's label is, and what the forms that print it offer.

Hides which labels are in force, which rights the forms need, and how a reason is read from chips and a line of text.
"""

from __future__ import annotations

from typing import Any

from flask import request

from labelsvc.db import new_id
from labelsvc.errors import Invalid
from labelsvc.printing import Label, LabelState
from labelsvc.security import Actor, Right
from labelsvc.waybills import Waybill
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms

#: A label in one of these states stands in nobody's way.
VOID = frozenset({LabelState.FAILED, LabelState.CANCELLED})
_UNDER_WAY = frozenset({LabelState.QUEUED, LabelState.SENDING})


def standing(who: Actor, waybill: Waybill | None) -> dict[str, Any]:
    """The labels in force of a waybill (newest first), the printers, and in one word how far it is."""
    labels: list[Label] = []
    if waybill is not None and waybill.store_id == who.store_id and who.may(Right.READ_JOBS):
        found = rooms().jobs.labels(who, subject=waybill.subject)
        labels = sorted(found, key=lambda label: label.id, reverse=True)
    state = waybill.state.value if waybill else "none"
    now = labels[0].state if labels else None
    revision, wait = (waybill.revision, waybill.void_wait or "-") if waybill else (0, "-")
    return {
        "waybill": waybill,
        "labels": labels,
        "state": state,
        "under_way": now in _UNDER_WAY or state in ("requested", "unknown"),
        "stage": f"{state}/{now.value if now else '-'}/{revision}/{wait}",
        "printers": {printer.id: printer for printer in rooms().printers.list(who)}
        if who.may(Right.READ_PRINTERS)
        else {},
        "mine": waybill is None or waybill.store_id == who.store_id,
    }


def choices() -> dict[str, Any]:
    """What the forms offer, and the key that makes a double click print one label."""
    return {
        "key": new_id(),
        "templates": [name for name in rooms().templates.names() if name.startswith("waybill")],
        "reasons": words.REPRINT_REASONS,
    }


def key() -> str:
    """The form's own key. Raises Invalid."""
    found = request.form.get("key", "")
    if not found:
        raise Invalid("the form is incomplete", field="key")
    return found


def reason() -> str:
    """The reason chosen, or the one written beside the choices."""
    return request.form.get("other", "").strip() or request.form.get("reason", "")


def look_reason() -> str:
    """Why somebody looks at personal data. Raises Invalid if it isn't said: the trail must tell (R1)."""
    found = reason()
    if not found:
        raise Invalid("is missing", field="reason")
    return found
