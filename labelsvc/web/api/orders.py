"""Orders and bindings over the API. 订单, 绑定"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.dropship import Binding, NewOrder, Order, OrderLine
from labelsvc.dropship import OrderState as State
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.shape import (
    Answer,
    Body,
    Id,
    Key,
    Line,
    Lines,
    Look,
    Paging,
    PartyIn,
    PartyOut,
    Person,
    Query,
    Reason,
    moment,
    page_of,
)
from labelsvc.web.api.waybills import WaybillOut, waybill_out
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("orders", __name__, url_prefix="/api/v1", tag="orders")


class LineIn(Body):
    sku: Annotated[Line, Field(max_length=64)] = ""
    name: Annotated[Line, Field(min_length=1, max_length=100)]
    quantity: int = Field(ge=1, le=1_000_000)
    spec: Annotated[Line, Field(max_length=80)] = ""
    price_fen: int | None = Field(None, ge=0, le=10**11, description="Settlement price, fen.")


class OrderIn(Body):
    number: Annotated[Line, Field(min_length=1, max_length=64)]
    recipient: PartyIn
    lines: list[LineIn] = Field(min_length=1, max_length=100)
    shown_sender: PartyIn | None = Field(None, description="Printed; without it the default sender address.")
    store_name: Annotated[Line, Field(max_length=60)] = ""
    note: Annotated[Line, Field(max_length=200)] = ""


class LineOut(Answer):
    sku: str
    name: str
    quantity: int
    spec: str
    price_fen: int | None


class OrderOut(Answer):
    id: str
    merchant_id: str
    number: str
    state: Literal["unassigned", "assigned"]
    factory_id: str | None
    recipient: PartyOut
    shown_sender: PartyOut
    clear: bool = Field(description="False: the parties are masked.")
    erased_at: str | None = Field(description="Since when its personal data are gone.")
    lines: list[LineOut]
    store_name: str
    note: str
    held_reason: str
    waybill_id: str | None
    created_at: str
    assigned_at: str | None


class OrdersOut(Answer):
    items: list[OrderOut]
    next: str | None


class OrdersFoundOut(Answer):
    items: list[OrderOut]


class OrdersQuery(Paging):
    state: Literal["unassigned", "assigned"] | None = None


class Assign(Body):
    order_ids: list[Id] = Field(min_length=1, max_length=500)
    factory_id: Id


class AssignedOut(Answer):
    items: list[OrderOut]


class Hold(Body):
    reason: Reason


class IssueForOrder(Body):
    carrier: CarrierCode
    subscription_id: Id | None = None
    package: Annotated[Line, Field(min_length=1, max_length=20)] = "1"
    custom: Annotated[Lines, Field(max_length=800, description="Text of the custom area.")] = ""


class BindingIn(Body):
    factory_id: Annotated[Line, Field(min_length=1, max_length=40)]


class BindingOut(Answer):
    id: str
    merchant_id: str
    merchant_name: str
    factory_id: str
    factory_name: str
    state: Literal["proposed", "accepted", "declined", "ended"]
    created_at: str
    answered_at: str | None


class BindingsOut(Answer):
    items: list[BindingOut]


def order_out(shown: Order) -> dict[str, Any]:
    """An order as the room gave it: masked, or in clear with its look written down (R1)."""
    plain = ("id", "merchant_id", "number", "factory_id", "recipient", "shown_sender", "clear", "store_name")
    return {
        **{name: getattr(shown, name) for name in plain},
        "lines": list(shown.lines),
        "note": shown.note,
        "held_reason": shown.held_reason,
        "waybill_id": shown.waybill_id,
        "state": shown.state.value,
        "created_at": moment(shown.created_at),
        "assigned_at": moment(shown.assigned_at),
        "erased_at": moment(shown.erased_at),
    }


def binding_out(found: Binding) -> dict[str, Any]:
    """A binding as the API shows it."""
    plain = ("id", "merchant_id", "merchant_name", "factory_id", "factory_name")
    return {
        **{name: getattr(found, name) for name in plain},
        "state": found.state.value,
        "created_at": moment(found.created_at),
        "answered_at": moment(found.answered_at),
    }


@api.get("/orders")
@api.input(OrdersQuery, location="query")
@api.output(OrdersOut)
def listed(query_data: OrdersQuery) -> dict[str, Any]:
    """A merchant's own orders, or a factory's assigned ones (D7), newest first, always masked."""
    state = State(query_data.state) if query_data.state else None
    found = rooms().orders.list(actor(), after=query_data.after, limit=query_data.limit, state=state)
    return page_of(found, query_data.limit, order_out)


@api.post("/orders")
@api.input(OrderIn)
@api.output(OrderOut, status_code=201)
def create(json_data: OrderIn) -> dict[str, Any]:
    """Hand an order in; the same again changes nothing (D3)."""
    sender = json_data.shown_sender
    order = NewOrder(
        number=json_data.number,
        recipient=json_data.recipient.party(),
        lines=tuple(OrderLine(**line.model_dump()) for line in json_data.lines),
        shown_sender=sender.party() if sender else None,
        store_name=json_data.store_name,
        note=json_data.note,
    )
    return order_out(rooms().orders.create(actor(), order))


@api.post("/orders/assign")
@api.input(Assign)
@api.output(AssignedOut)
def assign(json_data: Assign) -> dict[str, Any]:
    """Assign orders to a bound factory (D4)."""
    found = rooms().orders.assign(actor(), tuple(json_data.order_ids), json_data.factory_id)
    return {"items": [order_out(order) for order in found]}


@api.post("/orders/find")
@api.input(Person)
@api.output(OrdersFoundOut)
def find(json_data: Person) -> dict[str, Any]:
    """A merchant's orders for a person, newest first, at most 200, masked; exact, whatever the spelling. Written down."""
    found = rooms().orders.find_person(actor(), phone=json_data.phone, name=json_data.name)
    return {"items": [order_out(order) for order in found]}


@api.get("/orders/<ident:order_id>")
@api.input(Query, location="query")
@api.output(OrderOut)
def one(order_id: str, query_data: Query) -> dict[str, Any]:
    """One order, masked."""
    return order_out(rooms().orders.get(actor(), order_id))


@api.post("/orders/<ident:order_id>/clear")
@api.input(Look)
@api.output(OrderOut)
def clear(order_id: str, json_data: Look) -> dict[str, Any]:
    """One order of the merchant's own in clear, by right, and written down (R1)."""
    return order_out(rooms().orders.clear(actor(), order_id, json_data.reason))


@api.post("/orders/<ident:order_id>/hold")
@api.input(Hold)
@api.output(OrderOut)
def hold(order_id: str, json_data: Hold) -> dict[str, Any]:
    """Stop an order: no number is issued and no label of it leaves (P10)."""
    return order_out(rooms().orders.hold(actor(), order_id, json_data.reason))


@api.post("/orders/<ident:order_id>/release")
@api.output(OrderOut)
def release(order_id: str) -> dict[str, Any]:
    """Let a held order go on."""
    return order_out(rooms().orders.release(actor(), order_id))


@api.post("/orders/<ident:order_id>/waybill")
@api.input(Key, location="headers")
@api.input(IssueForOrder)
@api.output(WaybillOut, status_code=201)
def issue(order_id: str, headers_data: Key, json_data: IssueForOrder) -> dict[str, Any]:
    """Issue the order's waybill on the caller's own subscription."""
    found = rooms().orders.issue_waybill(
        actor(),
        order_id,
        json_data.carrier,
        headers_data.idempotency_key,
        subscription_id=json_data.subscription_id,
        package=json_data.package,
        custom=json_data.custom,
    )
    return waybill_out(found)


@api.get("/bindings")
@api.output(BindingsOut)
def bindings() -> dict[str, Any]:
    """The store's bindings (D2)."""
    return {"items": [binding_out(found) for found in rooms().bindings.list(actor())]}


@api.post("/bindings")
@api.input(BindingIn)
@api.output(BindingOut, status_code=201)
def propose(json_data: BindingIn) -> dict[str, Any]:
    """Ask a factory to ship for the caller's store (D2)."""
    return binding_out(rooms().bindings.propose(actor(), json_data.factory_id))


@api.post("/bindings/<ident:binding_id>/accept")
@api.output(BindingOut)
def accept(binding_id: str) -> dict[str, Any]:
    """The factory says yes."""
    return binding_out(rooms().bindings.accept(actor(), binding_id))


@api.post("/bindings/<ident:binding_id>/decline")
@api.output(BindingOut)
def decline(binding_id: str) -> dict[str, Any]:
    """The factory says no."""
    return binding_out(rooms().bindings.decline(actor(), binding_id))
