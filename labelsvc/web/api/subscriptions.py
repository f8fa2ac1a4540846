"""Opening the e-waybill service over the API: from the draft to the balance, and the access to the network. 电子面单服务"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from apiflask.fields import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from labelsvc.security import Right
from labelsvc.waybills import (
    Application,
    Balance,
    NetworkAccess,
    Subscription,
    SubscriptionEvent,
    read_numbers,
)
from labelsvc.waybills import SubscriptionState as State
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.shape import Answer, Body, Id, Line, Query, moment, uploaded
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
    settlement_account: Annotated[Line, Field(max_length=60)] = Field(
        "", description="Of a direct-operated carrier alone (E9)."
    )


class DraftIn(Body):
    """An application as far as it is known."""

    carrier: Annotated[Line, Field(max_length=20)] = ""
    address_id: Id | None = None
    branch_code: Annotated[Line, Field(max_length=40)] = ""
    contact_name: Annotated[Line, Field(max_length=60)] = ""
    contact_phone: Annotated[Line, Field(max_length=25)] = ""
    agreement_version: Annotated[Line, Field(max_length=40)] = ""
    accepted: bool = False
    settlement_account: Annotated[Line, Field(max_length=60)] = ""

    def application(self) -> Application:
        """The room's noun."""
        return Application(**{**self.model_dump(), "address_id": self.address_id or ""})


class NumbersForm(BaseModel):
    """A form with a carrier's file of numbers; fields are text, as in any form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile = Field(description="TXT, CSV or XLSX, one number a line, at most 16 MiB.")
    carrier: CarrierCode
    address_id: Id
    branch_code: Annotated[Line, Field(min_length=1, max_length=40)]
    branch_name: Annotated[Line, Field(min_length=1, max_length=80)]


class TokenIn(Body):
    access_token: Annotated[Line, Field(min_length=1, max_length=200)]


class CodeIn(Body):
    code: Annotated[Line, Field(min_length=1, max_length=200, description="Of the authorisation page.")]


class AccessOut(Answer):
    connected: bool
    connected_at: str | None
    expires_at: str | None
    renewable: bool = Field(description="Whether it renews itself when it expires.")


class SubscriptionOut(Answer):
    id: str
    carrier: str
    carrier_name: str
    network: Literal["platform", "offline"]
    kind: Literal["direct", "franchise"] | None = Field(description="Null: of a draft.")
    address_id: str | None
    branch_code: str
    branch_name: str
    state: STATES
    province: str
    city: str
    district: str
    reason: str = Field(description="A code.")
    carrier_reason: str = Field(
        description="Why it was rejected or suspended, in the carrier's own words (E1)."
    )
    agreement_version: str
    agreed_at: str | None
    agreed_by: str
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
    carrier_reason: str
    changed: list[str] = Field(description="Fields of the application that a correction changed.")


class SubscriptionEventsOut(Answer):
    items: list[SubscriptionEventOut]


class BalanceOut(Answer):
    balance: int | None = Field(
        description="Numbers left; null for a direct-operated carrier, which has none."
    )


class PointBalanceOut(Answer):
    subscription_id: str
    carrier: str
    branch_code: str
    branch_name: str
    numbers: int | None = Field(description="Left; null for a direct-operated carrier, which has none (E9).")
    low: bool = Field(description="Fewer than the setting low_balance (W4).")


class BalancesOut(Answer):
    items: list[PointBalanceOut]


class NextStepsOut(Answer):
    subscription: SubscriptionOut
    obstacle: Literal[
        "none", "not_submitted", "under_review", "rejected", "suspended", "closed", "no_numbers"
    ]
    balance: PointBalanceOut | None = Field(description="Null: not open, or the network doesn't answer.")
    printers: int = Field(description="How many printers the store has; the built-in PDF printer counts.")
    manual: str = Field(description="The page that tells how the print component is set up.")


class ListQuery(Query):
    carrier: CarrierCode | None = None
    state: STATES | None = None


def subscription_out(found: Subscription) -> dict[str, Any]:
    """A subscription as the API shows it: its origin down to the district, its contact and account not at all."""
    plain = ("id", "carrier", "carrier_name", "network", "address_id", "branch_code", "branch_name")
    return {
        **{name: getattr(found, name) for name in plain},
        "kind": found.kind.value if found.kind else None,
        "state": found.state.value,
        **found.origin.division,
        "reason": found.reason,
        "carrier_reason": found.carrier_reason,
        "agreement_version": found.agreement_version,
        "agreed_at": moment(found.agreed_at),
        "agreed_by": found.agreed_by,
        "created_at": moment(found.created_at),
        "opened_at": moment(found.opened_at),
    }


def event_out(event: SubscriptionEvent) -> dict[str, Any]:
    """One line of the history."""
    plain = ("seq", "actor", "before", "after", "reason", "carrier_reason")
    return {
        **{name: getattr(event, name) for name in plain},
        "changed": list(event.changed),
        "at": moment(event.at),
    }


def balance_out(found: Balance) -> dict[str, Any]:
    """A point's numbers as the API shows them."""
    return {name: getattr(found, name) for name in PointBalanceOut.model_fields}


def access_out(found: NetworkAccess | None) -> dict[str, Any]:
    """The store's access to the network, never its token."""
    return {
        "connected": found is not None,
        "connected_at": moment(found.connected_at) if found else None,
        "expires_at": moment(found.expires_at) if found else None,
        "renewable": found is not None and found.renewable,
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


@api.post("/drafts")
@api.input(DraftIn)
@api.output(SubscriptionOut, status_code=201)
def save_draft(json_data: DraftIn) -> dict[str, Any]:
    """Keep an application that isn't whole yet; nobody has agreed to anything."""
    return subscription_out(rooms().subscriptions.save_draft(actor(), json_data.application()))


@api.put("/drafts/<ident:subscription_id>")
@api.input(DraftIn)
@api.output(SubscriptionOut)
def change_draft(subscription_id: str, json_data: DraftIn) -> dict[str, Any]:
    """Keep a draft as it is now."""
    found = rooms().subscriptions.save_draft(actor(), json_data.application(), subscription_id)
    return subscription_out(found)


@api.post("/offline")
@api.input(NumbersForm, location="form_and_files")
@api.output(SubscriptionOut, status_code=201)
def import_numbers(form_and_files_data: NumbersForm) -> dict[str, Any]:
    """Open a point whose numbers the carrier handed over as a file; once it is open, add a further file's to it."""
    form = form_and_files_data
    name, content = uploaded(form.file)
    found = rooms().subscriptions.open_offline(
        actor(),
        form.carrier,
        form.address_id,
        form.branch_code,
        form.branch_name,
        read_numbers(name, content, form.carrier),
    )
    return subscription_out(found)


@api.get("/balances")
@api.output(BalancesOut)
def balances() -> dict[str, Any]:
    """The numbers left at every point that is open or suspended, and which are few, asked of the network now (W4)."""
    return {"items": [balance_out(one) for one in rooms().subscriptions.balances(actor())]}


@api.get("/access")
@api.output(AccessOut)
def access() -> dict[str, Any]:
    """Whether, and until when, the store has access to the carrier network."""
    return access_out(rooms().subscriptions.access(actor()))


@api.post("/access/token")
@api.input(TokenIn)
@api.output(AccessOut)
def connect(json_data: TokenIn) -> dict[str, Any]:
    """Keep the store's access token to the network, one that doesn't renew itself."""
    rooms().subscriptions.connect(actor(), json_data.access_token)
    return access_out(rooms().subscriptions.access(actor()))


@api.post("/access/code")
@api.input(CodeIn)
@api.output(AccessOut)
def connect_by_code(json_data: CodeIn) -> dict[str, Any]:
    """Connect by the code of the network's authorisation page; the access renews itself from then on."""
    return access_out(rooms().subscriptions.connect_by_code(actor(), json_data.code))


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


@api.post("/<ident:subscription_id>/submit")
@api.output(SubscriptionOut)
def submit(subscription_id: str) -> dict[str, Any]:
    """Submit a draft; the answer says how the application stands."""
    return subscription_out(rooms().subscriptions.submit(actor(), subscription_id))


@api.post("/<ident:subscription_id>/correct")
@api.input(ApplicationIn)
@api.output(SubscriptionOut)
def correct(subscription_id: str, json_data: ApplicationIn) -> dict[str, Any]:
    """Submit a rejected application anew, corrected; it keeps its history (E1)."""
    found = rooms().subscriptions.correct(actor(), subscription_id, Application(**json_data.model_dump()))
    return subscription_out(found)


@api.post("/<ident:subscription_id>/withdraw")
@api.output(SubscriptionOut)
def withdraw(subscription_id: str) -> dict[str, Any]:
    """Take an application back that isn't open: a draft, one under review, a rejected one."""
    return subscription_out(rooms().subscriptions.withdraw(actor(), subscription_id))


@api.get("/<ident:subscription_id>/next-steps")
@api.output(NextStepsOut)
def next_steps(subscription_id: str) -> dict[str, Any]:
    """What comes after opening (E11): what is in the way of a first label, numbers and printers, and the manual."""
    found = rooms().subscriptions.next_steps(actor(), subscription_id)
    return {
        "subscription": subscription_out(found.subscription),
        "obstacle": found.obstacle.value,
        "balance": balance_out(found.balance) if found.balance else None,
        "printers": len(rooms().printers.list(actor())) if actor().may(Right.READ_PRINTERS) else 0,
        "manual": "/manual",
    }


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
