"""Waybills over the API: from the number, singly and in bulk, to the label, its changes, its hand-over and its end. 面单"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.errors import LabelsvcError
from labelsvc.waybills import PARCELS_PER_BATCH, IssueRequest, Item, Party, VoidLabel, Waybill, WaybillEvent
from labelsvc.waybills import WaybillState as State
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.jobs import JobOut, LabelOut, job_out, label_out
from labelsvc.web.api.shape import (
    Answer,
    Body,
    Id,
    ItemProblem,
    Key,
    Line,
    Lines,
    Look,
    Name,
    Paging,
    PartyIn,
    PartyOut,
    Person,
    Query,
    Reason,
    Reference,
    item_problem,
    moment,
    page_of,
)
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("waybills", __name__, url_prefix="/api/v1/waybills", tag="waybills")

STATES = Literal[
    "requested",
    "unknown",
    "refused",
    "issued",
    "printed",
    "handed_over",
    "in_transit",
    "delivered",
    "void_pending",
    "cancelled",
]


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


class SetIn(IssueIn):
    pieces: int = Field(ge=1, le=50, description="Parcels that leave under one parent number (W7).")


class SaidParty(Body):
    """A party of a bulk call: the door asks for text alone, so that one wrong parcel doesn't stop the others (W3)."""

    name: str
    phone: str
    province: str
    city: str
    district: str = ""
    town: str = ""
    detail: str


class SaidItem(Body):
    name: str
    count: int


class SaidOrigin(Body):
    province: str
    city: str
    district: str = ""


class BulkParcel(Body):
    """A parcel as in a single call, with its key; what its fields hold is checked parcel by parcel."""

    key: str = Field(description="As the header Idempotency-Key of a single call.")
    carrier: str
    orders: list[str] = Field(max_length=100)
    recipient: SaidParty
    shown_sender: SaidParty
    items: list[SaidItem] = Field(max_length=100)
    subscription_id: Id | None = None
    package: str = "1"
    weight_g: int = 0
    note: str = ""
    store_name: str = ""
    channel: str = "OTHERS"
    custom: str = ""
    origin: SaidOrigin | None = None


class BulkIn(Body):
    requests: list[BulkParcel] = Field(min_length=1, max_length=PARCELS_PER_BATCH)


class UpdateIn(Body):
    """What is to change; the rest stays."""

    recipient: PartyIn | None = None
    items: list[ItemIn] | None = Field(None, min_length=1, max_length=100)
    weight_g: int | None = Field(None, ge=0, le=1_000_000)


class HandOverIn(Body):
    waybills: list[Annotated[Line, Field(min_length=1, max_length=40)]] = Field(
        min_length=1, max_length=PARCELS_PER_BATCH, description="Ids or numbers."
    )


class HoldIn(Body):
    reason: Annotated[Line, Field(min_length=1, max_length=80)]


class DestroyedIn(Body):
    revision: int = Field(ge=0, le=1_000_000, description="As the list of void labels names it.")


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
    revision: int = Field(description="Counts the updates; each has a label of its own (W6).")
    piece: int
    pieces: int
    parent_number: str = Field(description="Of a set of several pieces (W7); empty otherwise.")
    created_at: str
    issued_at: str | None
    printed_at: str | None
    handed_over_at: str | None
    delivered_at: str | None
    cancelled_at: str | None
    erased_at: str | None = Field(description="Since when its personal data are gone.")


class WaybillsOut(Answer):
    items: list[WaybillOut]
    next: str | None


class WaybillsQuery(Paging):
    limit: int = Field(50, ge=1, le=200)
    state: STATES | None = None


class WaybillsFoundOut(Answer):
    items: list[WaybillOut]


class ResultOut(Answer):
    """One of both."""

    waybill: WaybillOut | None
    problem: ItemProblem | None


class ResultsOut(Answer):
    results: list[ResultOut] = Field(description="One an item, in the order of the call.")


class VoidLabelOut(Answer):
    waybill_id: str
    number: str
    revision: int
    label_id: str
    label_state: str
    voided_at: str


class VoidLabelsOut(Answer):
    items: list[VoidLabelOut]


_TEMPLATE = "By default `waybill-76x130`, of a direct-operated carrier its `-direct` sibling (E9)."


class PrintIn(Body):
    printer: Reference
    template: Name | None = Field(None, description=_TEMPLATE)
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
    template: Name | None = Field(None, description=_TEMPLATE)


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


def request_of(given: IssueIn | BulkParcel) -> IssueRequest:
    """The room's noun."""
    plain = ("carrier", "subscription_id", "package", "weight_g", "note", "store_name", "channel", "custom")
    origin = given.origin
    return IssueRequest(
        **{name: getattr(given, name) for name in plain},
        orders=tuple(given.orders),
        recipient=Party(**given.recipient.model_dump()),
        shown_sender=Party(**given.shown_sender.model_dump()),
        items=tuple(Item(item.name, item.count) for item in given.items),
        origin=Party("", "", origin.province, origin.city, origin.district, "") if origin else None,
    )


def results_out(found: list[Waybill | LabelsvcError]) -> dict[str, Any]:
    """A result for each item of a call for many."""
    return {
        "results": [
            {"waybill": None, "problem": item_problem(one)}
            if isinstance(one, LabelsvcError)
            else {"waybill": waybill_out(one), "problem": None}
            for one in found
        ]
    }


def void_label_out(found: VoidLabel) -> dict[str, Any]:
    """A label to be destroyed."""
    plain = ("waybill_id", "number", "revision", "label_id", "label_state")
    return {**{name: getattr(found, name) for name in plain}, "voided_at": moment(found.voided_at)}


@api.post("")
@api.input(Key, location="headers")
@api.input(IssueIn)
@api.output(WaybillOut, status_code=201)
def issue(headers_data: Key, json_data: IssueIn) -> dict[str, Any]:
    """Get a number for one parcel (W1, W2); the same parcel again gives the same number."""
    found = rooms().waybills.issue(actor(), request_of(json_data), headers_data.idempotency_key)
    return waybill_out(found)


@api.post("/bulk")
@api.input(BulkIn)
@api.output(ResultsOut)
def bulk(json_data: BulkIn) -> dict[str, Any]:
    """Get numbers for up to 500 parcels, each under its own key, and wait for them; a result for each (W3, A3)."""
    requests = [(request_of(given), given.key) for given in json_data.requests]
    return results_out(rooms().waybills.issue_many(actor(), requests))


@api.post("/sets")
@api.input(Key, location="headers")
@api.input(SetIn)
@api.output(ResultsOut)
def issue_set(headers_data: Key, json_data: SetIn) -> dict[str, Any]:
    """Get numbers for the pieces that one order leaves in, under one parent number (W7); the same key completes a set."""
    found = rooms().waybills.issue_set(
        actor(), request_of(json_data), json_data.pieces, headers_data.idempotency_key
    )
    return results_out(found)


@api.post("/find")
@api.input(Person)
@api.output(WaybillsFoundOut)
def find(json_data: Person) -> dict[str, Any]:
    """The waybills for a person, newest first, at most 200, masked; exact, whatever the spelling. Written down (R1)."""
    found = rooms().waybills.find_person(actor(), phone=json_data.phone, name=json_data.name)
    return {"items": [waybill_out(one) for one in found]}


@api.post("/hand-over")
@api.input(HandOverIn)
@api.output(ResultsOut)
def hand_over(json_data: HandOverIn) -> dict[str, Any]:
    """Note that parcels left with the carrier (W5); a result for each: a second time, a void one, a held one is refused."""
    return results_out(rooms().waybills.hand_over(actor(), json_data.waybills))


@api.get("/void-labels")
@api.output(VoidLabelsOut)
def void_labels() -> dict[str, Any]:
    """Labels on paper, or perhaps, that updates made void and nobody has destroyed yet (W6), newest first."""
    return {"items": [void_label_out(one) for one in rooms().waybills.void_labels(actor())]}


@api.get("")
@api.input(WaybillsQuery, location="query")
@api.output(WaybillsOut)
def listed(query_data: WaybillsQuery) -> dict[str, Any]:
    """The store's waybills, newest first, always masked."""
    state = State(query_data.state) if query_data.state else None
    found = rooms().waybills.list(actor(), after=query_data.after, limit=query_data.limit, state=state)
    return page_of(found, query_data.limit, waybill_out)


@api.get("/<waybill:waybill>")
@api.input(Query, location="query")
@api.output(WaybillOut)
def one(waybill: str, query_data: Query) -> dict[str, Any]:
    """One waybill, by id or number, masked."""
    return waybill_out(rooms().waybills.get(actor(), waybill))


@api.post("/<waybill:waybill>/clear")
@api.input(Look)
@api.output(WaybillOut)
def clear(waybill: str, json_data: Look) -> dict[str, Any]:
    """One waybill with its parties in clear, by right, for one's own orders (D7), and written down (R1)."""
    return waybill_out(rooms().waybills.clear(actor(), waybill, json_data.reason))


@api.get("/<waybill:waybill>/history")
@api.output(WaybillEventsOut)
def history(waybill: str) -> dict[str, Any]:
    """What happened to it, oldest first."""
    return {"items": [event_out(event) for event in rooms().waybills.history(actor(), _id(waybill))]}


@api.post("/<waybill:waybill>/update")
@api.input(Key, location="headers")
@api.input(UpdateIn)
@api.output(WaybillOut)
def update(waybill: str, headers_data: Key, json_data: UpdateIn) -> dict[str, Any]:
    """Change recipient, goods or weight until hand-over (W6): the old label is void, the new one is to be printed."""
    items = json_data.items
    found = rooms().waybills.update(
        actor(),
        waybill,
        headers_data.idempotency_key,
        recipient=json_data.recipient.party() if json_data.recipient else None,
        items=None if items is None else [Item(item.name, item.count) for item in items],
        weight_g=json_data.weight_g,
    )
    return waybill_out(found)


@api.post("/<waybill:waybill>/destroyed")
@api.input(DestroyedIn)
@api.output({}, status_code=204)
def destroyed(waybill: str, json_data: DestroyedIn) -> str:
    """Say that the void labels of a revision are destroyed; twice is harmless."""
    rooms().waybills.confirm_destroyed(actor(), waybill, json_data.revision)
    return ""


@api.post("/<waybill:waybill>/hold")
@api.input(HoldIn)
@api.output(WaybillOut)
def hold(waybill: str, json_data: HoldIn) -> dict[str, Any]:
    """Keep its label from coming out (P10), also one that is queued."""
    return waybill_out(rooms().waybills.hold(actor(), waybill, json_data.reason))


@api.post("/<waybill:waybill>/release")
@api.output(WaybillOut)
def release(waybill: str) -> dict[str, Any]:
    """Let a held one's label come out again."""
    return waybill_out(rooms().waybills.release(actor(), waybill))


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
