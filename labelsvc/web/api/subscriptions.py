"""E-waybill subscriptions over the API. 电子面单服务"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.waybills import Application, Subscription, SubscriptionEvent
from labelsvc.waybills import SubscriptionState as State
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.shape import Answer, Body, Id, Line, Query, moment
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("subscriptions", __name__, url_prefix="/api/v1/subscriptions", tag="subscriptions")

STATES = Literal["draft", "under_review", "open", "rejected", "suspended", "closed"]


class ApplicationIn(Body):
    carrier: CarrierCode
    address_id: Id
    branch_code: Annotated[Line, Field(min_length=1, max_length=40)]
    contact_name: Annotated[Line, Field(min_length=1, max_length=60)]
    contact_phone: Annotated[Line, Field(min_length=5, max_length=25)]
    agreement_version: Annotated[Line, Field(min_length=1, max_length=40)]
    accepted: bool = Field(description="That the agreement was read and accepted.")
    settlement_account: Annotated[Line, Field(max_length=60)] = ""


class SubscriptionOut(Answer):
    id: str
    carrier: str
    kind: Literal["direct", "franchise"]
    address_id: str | None
    branch_code: str
    branch_name: str
    state: STATES
    province: str
    city: str
    district: str
    reason: str
    created_at: str
    opened_at: str | None


class SubscriptionsOut(Answer):
    items: list[SubscriptionOut]


class SubscriptionEventOut(Answer):
    seq: int
    at: str
    actor: str
    before: str
    after: str
    reason: str


class SubscriptionEventsOut(Answer):
    items: list[SubscriptionEventOut]


class BalanceOut(Answer):
    balance: int | None = Field(
        description="Numbers left; null for a direct-operated carrier, which has none."
    )


class ListQuery(Query):
    carrier: CarrierCode | None = None
    state: STATES | None = None


def subscription_out(found: Subscription) -> dict[str, Any]:
    """A subscription as the API shows it: its origin down to the district, its contact and account not at all."""
    return {
        **{name: getattr(found, name) for name in ("id", "carrier", "address_id", "branch_code")},
        "branch_name": found.branch_name,
        "kind": found.kind.value,
        "state": found.state.value,
        **found.origin.division,
        "reason": found.reason,
        "created_at": moment(found.created_at),
        "opened_at": moment(found.opened_at),
    }


def event_out(event: SubscriptionEvent) -> dict[str, Any]:
    """One line of the history."""
    return {
        **{name: getattr(event, name) for name in ("seq", "actor", "before", "after", "reason")},
        "at": moment(event.at),
    }


@api.get("")
@api.input(ListQuery, location="query")
@api.output(SubscriptionsOut)
def listed(query_data: ListQuery) -> dict[str, Any]:
    """The store's subscriptions."""
    state = State(query_data.state) if query_data.state else None
    found = rooms().subscriptions.list(actor(), carrier=query_data.carrier, state=state)
    return {"items": [subscription_out(one) for one in found]}


@api.post("")
@api.input(ApplicationIn)
@api.output(SubscriptionOut, status_code=201)
def apply(json_data: ApplicationIn) -> dict[str, Any]:
    """Apply at a network point (E2); the answer says how the application stands."""
    found = rooms().subscriptions.apply(actor(), Application(**json_data.model_dump()))
    return subscription_out(found)


@api.get("/<ident:subscription_id>")
@api.output(SubscriptionOut)
def one(subscription_id: str) -> dict[str, Any]:
    """One subscription."""
    return subscription_out(rooms().subscriptions.get(actor(), subscription_id))


@api.get("/<ident:subscription_id>/history")
@api.output(SubscriptionEventsOut)
def history(subscription_id: str) -> dict[str, Any]:
    """What happened to it, oldest first (E10)."""
    return {"items": [event_out(event) for event in rooms().subscriptions.history(actor(), subscription_id)]}


@api.post("/<ident:subscription_id>/close")
@api.output(SubscriptionOut)
def close(subscription_id: str) -> dict[str, Any]:
    """Close it; its address is free again."""
    return subscription_out(rooms().subscriptions.close(actor(), subscription_id))


@api.get("/<ident:subscription_id>/balance")
@api.output(BalanceOut)
def balance(subscription_id: str) -> dict[str, Any]:
    """Numbers left at its network point, asked of the network now (W4)."""
    return {"balance": rooms().subscriptions.balance(actor(), subscription_id)}
