"""The audit trail, and what a store chose for all its labels, over the API. 审计记录, 店铺设置"""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.security import AuditEntry
from labelsvc.waybills import StorePreferences
from labelsvc.web.api.shape import Answer, Body, Query, moment
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("audit", __name__, url_prefix="/api/v1", tag="audit")


class AuditQuery(Query):
    after: int | None = Field(None, ge=1, le=2**53, description="The last seq of the page before.")
    limit: int = Field(100, ge=1, le=500)


class AuditEntryOut(Answer):
    seq: int
    at: str
    user_id: str
    via: str = Field(description="The door: api, page, cli, batch, daemon.")
    action: str
    subject: str = Field(description="An id, or by what was searched; never a person's data.")
    reason: str


class AuditOut(Answer):
    items: list[AuditEntryOut]
    next: int | None


class PreferencesIn(Body):
    clear_labels: bool = Field(description="Whether recipients stand in clear on the store's labels.")


class PreferencesOut(Answer):
    clear_labels: bool


def entry_out(found: AuditEntry) -> dict[str, Any]:
    """A line of the audit trail as the API shows it."""
    plain = ("seq", "user_id", "via", "action", "subject", "reason")
    return {**{name: getattr(found, name) for name in plain}, "at": moment(found.at)}


def preferences_out(found: StorePreferences) -> dict[str, Any]:
    """A store's choices as the API shows them."""
    return {"clear_labels": found.clear_labels}


@api.get("/audit")
@api.input(AuditQuery, location="query")
@api.output(AuditOut)
def listed(query_data: AuditQuery) -> dict[str, Any]:
    """Who looked at personal data, or changed what protects them, newest first; for owners and auditors (R1)."""
    found = rooms().audit.list(actor(), query_data.after, query_data.limit)
    return {
        "items": [entry_out(one) for one in found],
        "next": found[-1].seq if len(found) == query_data.limit else None,
    }


@api.get("/preferences")
@api.output(PreferencesOut)
def preferences() -> dict[str, Any]:
    """What holds for the caller's store."""
    return preferences_out(rooms().preferences.get(actor()))


@api.put("/preferences")
@api.input(PreferencesIn)
@api.output(PreferencesOut)
def choose(json_data: PreferencesIn) -> dict[str, Any]:
    """Choose what labels show of the recipient; a factory's labels of this merchant follow too. Written down."""
    return preferences_out(rooms().preferences.set(actor(), clear_labels=json_data.clear_labels))
