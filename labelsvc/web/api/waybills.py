"""Waybills over the API: issue, print, reprint, cancel, and the PDF in a browser. 面单"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.security import Right
from labelsvc.waybills import IssueRequest, Item, Party, Waybill, WaybillEvent
from labelsvc.waybills import WaybillState as State
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.jobs import JobOut, LabelOut, job_out, label_out
from labelsvc.web.api.shape import (
    Answer,
    Body,
    Clear,
    ClearPaging,
    Id,
    Key,
    Line,
    Lines,
    Name,
    PartyIn,
    PartyOut,
    Reason,
    Reference,
    moment,
    page_of,
)
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("waybills", __name__, url_prefix="/api/v1/waybills", tag="waybills")

STATES = Literal["requested", "unknown", "refused", "issued", "printed", "void_pending", "cancelled"]


class ItemIn(Body):
    name: Annotated[Line, Field(min_length=1, max_length=200)]
    count: int = Field(ge=1, le=1_000_000)


class OriginIn(Body):
    """The place that the parcel is said to leave from; refused if it isn't the subscription's (E8)."""

    province: Annotated[Line, Field(min_length=1, max_length=40)]
    city: Annotated[Line, Field(min_length=1, max_length=40)]
    district: Annotated[Line, Field(max_length=40)] = ""


class IssueIn(Body):
    carrier: CarrierCode
    orders: list[Annotated[Line, Field(min_length=1, max_length=64)]] = Field(min_length=1, max_length=100)
    recipient: PartyIn
    shown_sender: PartyIn = Field(description="The sender that the label prints (P3).")
    items: list[ItemIn] = Field(min_length=1, max_length=100)
    subscription_id: Id | None = Field(None, description="Without it the carrier's only open one.")
    package: Annotated[Line, Field(min_length=1, max_length=20)] = "1"
    weight_g: int = Field(0, ge=0, le=1_000_000)
    note: Annotated[Line, Field(max_length=200)] = ""
    store_name: Annotated[Line, Field(max_length=60)] = ""
    channel: Annotated[Line, Field(min_length=1, max_length=20)] = "OTHERS"
    custom: Annotated[Lines, Field(max_length=800, description="Text of the custom area.")] = ""
    origin: OriginIn | None = None


class ItemOut(Answer):
    name: str
    count: int


class WaybillOut(Answer):
    id: str
    number: str | None
    state: STATES
    carrier: str
    carrier_name: str
    subscription_id: str
    orders: list[str]
    package: str
    recipient: PartyOut
    shown_sender: PartyOut
    items: list[ItemOut]
    weight_g: int
    note: str
    store_name: str
    route_code: str
    sorting_mark: str
    consolidation_centre: str
    reason: str
    held_reason: str
    void_wait: Literal["label", "network"] | None = Field(
        description="What a void-pending waybill waits for: the destruction of its label, or the network."
    )
    created_at: str
    issued_at: str | None
    printed_at: str | None
    cancelled_at: str | None


class WaybillsOut(Answer):
    items: list[WaybillOut]
    next: str | None


class WaybillsQuery(ClearPaging):
    state: STATES | None = None


class PrintIn(Body):
    printer: Reference
    template: Name | None = None
    lane: Literal["bench", "batch"] = "bench"


class ReprintIn(Body):
    printer: Reference
    reason: Reason


class CancelIn(Body):
    label_destroyed: bool = Field(
        False, description="That a label which may exist on paper was destroyed (W5)."
    )


class PdfIn(Body):
    reason: Reason | None = Field(
        None, description="Needed where a label exists already: it is a reprint (W8)."
    )
    template: Name | None = None


class PdfOut(Answer):
    job: JobOut
    label: LabelOut
    page: str = Field(description="The page of this service that opens the label, once.")


class WaybillEventOut(Answer):
    seq: int
    at: str
    actor: str
    before: str
    after: str
    reason: str


class WaybillEventsOut(Answer):
    items: list[WaybillEventOut]


def waybill_out(found: Waybill) -> dict[str, Any]:
    """A waybill as the API shows it."""
    plain = {name: getattr(found, name) for name in WaybillOut.model_fields}
    return {
        **plain,
        "state": found.state.value,
        "orders": list(found.orders),
        "items": list(found.items),
        "void_wait": found.void_wait.value if found.void_wait else None,
        **{name: moment(getattr(found, name)) for name in plain if name.endswith("_at")},
    }


def event_out(event: WaybillEvent) -> dict[str, Any]:
    """One change of a waybill's state."""
    return {
        **{name: getattr(event, name) for name in ("seq", "actor", "before", "after", "reason")},
        "at": moment(event.at),
    }


def _shown(found: Waybill, clear: bool) -> dict[str, Any]:
    """Clear only if asked for, with the right, and for one's own orders (R1, D7); the room logs each such look."""
    who = actor()
    if clear and who.may(Right.SEE_CLEAR_DATA) and found.owner_id == who.store_id:
        found = rooms().waybills.clear(who, found.id)
    return waybill_out(found)


@api.post("")
@api.input(Key, location="headers")
@api.input(IssueIn)
@api.output(WaybillOut, status_code=201)
def issue(headers_data: Key, json_data: IssueIn) -> dict[str, Any]:
    """Get a number for one parcel (W1, W2); the same parcel again gives the same number."""
    plain = ("carrier", "subscription_id", "package", "weight_g", "note", "store_name", "channel", "custom")
    request = IssueRequest(
        **{name: getattr(json_data, name) for name in plain},
        orders=tuple(json_data.orders),
        recipient=json_data.recipient.party(),
        shown_sender=json_data.shown_sender.party(),
        items=tuple(Item(item.name, item.count) for item in json_data.items),
        origin=_origin(json_data.origin),
    )
    return waybill_out(rooms().waybills.issue(actor(), request, headers_data.idempotency_key))


def _origin(given: OriginIn | None) -> Party | None:
    return Party("", "", given.province, given.city, given.district, "") if given else None


@api.get("")
@api.input(WaybillsQuery, location="query")
@api.output(WaybillsOut)
def listed(query_data: WaybillsQuery) -> dict[str, Any]:
    """The store's waybills, newest first."""
    state = State(query_data.state) if query_data.state else None
    found = rooms().waybills.list(actor(), after=query_data.after, limit=query_data.limit, state=state)
    return page_of(found, query_data.limit, lambda one: _shown(one, query_data.clear))


@api.get("/<waybill:waybill>")
@api.input(Clear, location="query")
@api.output(WaybillOut)
def one(waybill: str, query_data: Clear) -> dict[str, Any]:
    """One waybill, by id or number."""
    return _shown(rooms().waybills.get(actor(), waybill), query_data.clear)


@api.get("/<waybill:waybill>/history")
@api.output(WaybillEventsOut)
def history(waybill: str) -> dict[str, Any]:
    """What happened to it, oldest first."""
    return {"items": [event_out(event) for event in rooms().waybills.history(actor(), _id(waybill))]}


@api.post("/<waybill:waybill>/print")
@api.input(Key, location="headers")
@api.input(PrintIn)
@api.output(JobOut, status_code=201)
def print_(waybill: str, headers_data: Key, json_data: PrintIn) -> dict[str, Any]:
    """Print its label; once printed, only a reprint with a reason prints again (W8)."""
    job = rooms().waybills.print(
        actor(),
        _id(waybill),
        json_data.printer,
        headers_data.idempotency_key,
        template=json_data.template,
        lane=json_data.lane,
    )
    return job_out(job)


@api.post("/<waybill:waybill>/reprint")
@api.input(Key, location="headers")
@api.input(ReprintIn)
@api.output(JobOut, status_code=201)
def reprint(waybill: str, headers_data: Key, json_data: ReprintIn) -> dict[str, Any]:
    """Print its label again; the paper says that it is a reprint, and which (W8)."""
    job = rooms().waybills.reprint(
        actor(), _id(waybill), json_data.printer, json_data.reason, headers_data.idempotency_key
    )
    return job_out(job)


@api.post("/<waybill:waybill>/cancel")
@api.input(CancelIn)
@api.output(WaybillOut)
def cancel(waybill: str, json_data: CancelIn) -> dict[str, Any]:
    """Give the number back (W5): void pending as long as a label may exist on paper; twice is harmless."""
    found = rooms().waybills.cancel(actor(), _id(waybill), label_destroyed=json_data.label_destroyed)
    return waybill_out(found)


@api.post("/<waybill:waybill>/pdf")
@api.input(Key, location="headers")
@api.input(PdfIn)
@api.output(PdfOut, status_code=201)
def pdf(waybill: str, headers_data: Key, json_data: PdfIn) -> dict[str, Any]:
    """Print its label in a browser (P6): a job on the built-in printer, and the page that opens it once."""
    job, label = rooms().waybills.open_pdf(
        actor(),
        _id(waybill),
        headers_data.idempotency_key,
        reason=json_data.reason,
        template=json_data.template,
    )
    return {"job": job_out(job), "label": label_out(label), "page": f"/pdf/{label.id}"}


def _id(reference: str) -> str:
    """The id that an id or a number means to this store."""
    return rooms().waybills.get(actor(), reference).id
