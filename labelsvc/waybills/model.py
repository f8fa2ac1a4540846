"""The nouns of e-waybills and the rules that need no database: parties, subscriptions, waybills and their legal steps.

Hides how personal data is checked and masked, and which step of a waybill's life may follow which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelsvc.errors import FieldError, Invalid
from labelsvc.waybills.masking import HIDDEN, masked_detail, masked_name, masked_phone

ADDRESSES_PER_STORE = 100
ORDERS_PER_PARCEL = 100
ITEMS_PER_PARCEL = 100
PIECES_PER_SET = 50

_PHONE = re.compile(r"\+?[0-9#\- ]{4,24}")


@dataclass(frozen=True)
class Party:
    """A sender or a recipient: who, reachable how, where. 寄件人 / 收件人

    ``district`` is empty, or a town, where a city has no districts (东莞) or is itself of county level (仙桃).
    """

    name: str
    phone: str
    province: str
    city: str
    district: str
    detail: str
    town: str = ""

    def checked(self, field: str) -> Party:
        """The party without blanks at the ends. Raises Invalid naming every wrong field as ``field.phone`` etc."""
        tidy, wrong = {}, []
        for part, (least, most) in _LENGTHS.items():
            value = getattr(self, part)
            if not isinstance(value, str):
                wrong.append(FieldError(f"{field}.{part}", "must be text"))
                continue
            tidy[part] = value = value.strip()
            reason = text_fault(value, least, most)
            if reason is None and part == "phone" and not _is_phone(value):
                reason = "must be a phone number: 5 to 25 digits, spaces, +, - or #"
            if reason:
                wrong.append(FieldError(f"{field}.{part}", reason))
        if wrong:
            raise Invalid("an address is incomplete or wrong", errors=wrong)
        return self if tidy == vars(self) else Party(**tidy)

    def masked(self) -> Party:
        """What someone without the right may see (D7): 张*, 138******78, address down to the district."""
        return replace(
            self, name=masked_name(self.name), phone=masked_phone(self.phone), detail=HIDDEN, town=""
        )

    def masked_for_label(self) -> Party:
        """What a label prints by default (GB/T 41833-2022): name and phone masked, of the detail road, number and compound."""
        return replace(
            self,
            name=masked_name(self.name),
            phone=masked_phone(self.phone),
            detail=masked_detail(self.detail),
        )

    def erased(self) -> Party:
        """What stays once the personal data are erased: the division."""
        return replace(self, name="", phone="", detail="", town="")

    @property
    def division(self) -> dict[str, str]:
        """Province, city and district: what E8 compares, and no more than D7 lets everybody see."""
        return {"province": self.province, "city": self.city, "district": self.district}

    def as_dict(self) -> dict[str, str]:
        """All fields, for sealing."""
        return dict(vars(self))


_LENGTHS = {
    "name": (1, 60),
    "phone": (5, 25),
    "province": (1, 20),
    "city": (1, 20),
    "district": (0, 20),
    "detail": (1, 120),
    "town": (0, 30),
}


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TURNING = re.compile("[\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def text_fault(value: object, least: int, most: int) -> str | None:
    """Why ``value`` isn't a line of ``least`` to ``most`` characters that a label can print, or None."""
    if not isinstance(value, str):
        return "must be text"
    if len(value) < least:
        return "is missing" if not value else f"must have at least {least} characters"
    if len(value) > most:
        return f"must have at most {most} characters"
    # Surrogates can't be encoded; control characters would reach a printer's command stream.
    if _CONTROL.search(value):
        return "must not contain control characters"
    if _TURNING.search(value):
        return "must not contain characters that turn the direction of writing or break the line"
    return None


def _is_phone(value: str) -> bool:
    return bool(_PHONE.fullmatch(value)) and sum(char.isdigit() for char in value) >= 5


class CarrierKind(StrEnum):
    """Who runs the branches (E9): direct-operated 直营 has a settlement account, franchise 加盟 a prepaid balance."""

    DIRECT = "direct"
    FRANCHISE = "franchise"


@dataclass(frozen=True)
class Carrier:
    """A carrier as the network lists it. 快递公司"""

    code: str
    name: str
    kind: CarrierKind


@dataclass(frozen=True)
class NetworkPoint:
    """A carrier's branch that gives us numbers. 网点"""

    carrier: str
    code: str
    name: str
    phone: str = ""


@dataclass(frozen=True)
class SenderAddress:
    """Where a store's parcels leave from. 发货地址"""

    id: str
    store_id: str
    party: Party
    is_default: bool
    in_use: bool
    created_at: datetime
    changed_at: datetime


class SubscriptionState(StrEnum):
    """Where an application for a carrier's e-waybill service stands (E1)."""

    DRAFT = "draft"
    UNDER_REVIEW = "under_review"
    OPEN = "open"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    CLOSED = "closed"


#: In these states an address is occupied (E5, E7).
OCCUPYING = frozenset({SubscriptionState.UNDER_REVIEW, SubscriptionState.OPEN, SubscriptionState.SUSPENDED})


@dataclass(frozen=True)
class Application:
    """What a store says to open the service (E2); the settlement account only for a direct-operated carrier (E9)."""

    carrier: str
    address_id: str
    branch_code: str
    contact_name: str
    contact_phone: str
    agreement_version: str
    accepted: bool
    settlement_account: str = ""


@dataclass(frozen=True)
class Subscription:
    """The right to issue at a network point with one sender address. 电子面单服务

    ``origin`` is the frozen text with which the service was opened: the only one that the carrier gets (W10, E7).
    ``contact`` is for the service only and never printed. ``reason`` is a code, ``carrier_reason`` the carrier's own words
    (E1). A *draft* may lack anything and has no ``kind``; nobody has agreed yet.
    """

    id: str
    store_id: str
    carrier: str
    carrier_name: str
    kind: CarrierKind | None
    address_id: str | None
    branch_code: str
    branch_name: str
    state: SubscriptionState
    origin: Party
    contact_name: str
    contact_phone: str
    settlement_account: str
    agreement_version: str
    agreed_at: datetime | None
    agreed_by: str
    created_at: datetime
    opened_at: datetime | None
    reason: str
    network_application_id: str
    network: str = "platform"
    carrier_reason: str = ""
    accepted: bool = False


@dataclass(frozen=True)
class SubscriptionEvent:
    """One line of an application's history (E10).

    ``actor`` is a user, or "carrier" for what the carrier decided. ``changed`` names the fields of the application that a
    correction changed.
    """

    seq: int
    at: datetime
    subscription_id: str
    actor: str
    before: str
    after: str
    reason: str
    carrier_reason: str = ""
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Balance:
    """Numbers left at an open subscription's network point (W4); None: a direct-operated carrier's, which has none (E9)."""

    subscription_id: str
    carrier: str
    branch_code: str
    branch_name: str
    numbers: int | None
    low: bool


@dataclass(frozen=True)
class NetworkAccess:
    """A store's access to the carrier network. ``renewable``: it renews itself when it expires."""

    connected_at: datetime
    expires_at: datetime | None
    renewable: bool


class Obstacle(StrEnum):
    """What stands between a subscription and its first label (E11)."""

    NONE = "none"
    NOT_SUBMITTED = "not_submitted"
    UNDER_REVIEW = "under_review"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    NO_NUMBERS = "no_numbers"


@dataclass(frozen=True)
class NextSteps:
    """What comes after opening (E11): whether a label can be issued, else why not; numbers left, where that is known."""

    subscription: Subscription
    obstacle: Obstacle
    balance: Balance | None


class WaybillState(StrEnum):
    """Where a waybill stands (architecture, section 3; W5)."""

    REQUESTED = "requested"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    ISSUED = "issued"
    PRINTED = "printed"
    HANDED_OVER = "handed_over"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    VOID_PENDING = "void_pending"
    CANCELLED = "cancelled"


UNSETTLED = frozenset({WaybillState.REQUESTED, WaybillState.UNKNOWN})
#: A label of it can be printed.
LIVE = frozenset({WaybillState.ISSUED, WaybillState.PRINTED})
#: The carrier has the parcel: nothing can be changed, cancelled or printed any more.
OUT = frozenset({WaybillState.HANDED_OVER, WaybillState.IN_TRANSIT, WaybillState.DELIVERED})

#: The legal steps. From *printed* back to *issued*: an update made the label void (W6). From *void pending* on: the carrier
#: had picked the parcel up, so the number lives on. The carrier's scans may be seen late, so steps may be left out (W5).
STEPS: dict[WaybillState, frozenset[WaybillState]] = {
    WaybillState.REQUESTED: frozenset({WaybillState.ISSUED, WaybillState.REFUSED, WaybillState.UNKNOWN}),
    WaybillState.UNKNOWN: frozenset({WaybillState.ISSUED, WaybillState.REFUSED, WaybillState.UNKNOWN}),
    WaybillState.ISSUED: frozenset({WaybillState.PRINTED, WaybillState.VOID_PENDING}) | OUT,
    WaybillState.PRINTED: frozenset({WaybillState.ISSUED, WaybillState.VOID_PENDING}) | OUT,
    WaybillState.HANDED_OVER: frozenset({WaybillState.IN_TRANSIT, WaybillState.DELIVERED}),
    WaybillState.IN_TRANSIT: frozenset({WaybillState.DELIVERED}),
    WaybillState.VOID_PENDING: frozenset({WaybillState.CANCELLED}) | OUT,
    WaybillState.REFUSED: frozenset(),
    WaybillState.CANCELLED: frozenset(),
    WaybillState.DELIVERED: frozenset(),
}


class VoidWait(StrEnum):
    """What a void-pending waybill waits for: its label's destruction, or the network."""

    LABEL = "label"
    NETWORK = "network"


@dataclass(frozen=True)
class Item:
    """Goods in a parcel."""

    name: str
    count: int


@dataclass(frozen=True)
class IssueRequest:
    """One parcel to get a number for (W1). 取号

    ``subscription_id`` None: the store's only open one of the carrier. ``origin``, if given, must name the subscription's
    province, city and district (E8). ``shown_sender`` is printed (P3, W10), ``recipient`` goes to the carrier and the label.
    ``owner_id`` is the store whose orders these are (a merchant's, when a factory ships); empty: the actor's own.
    ``piece`` of ``pieces`` where the orders leave in several parcels under one parent number (W7).
    """

    carrier: str
    orders: tuple[str, ...]
    recipient: Party
    shown_sender: Party
    items: tuple[Item, ...]
    subscription_id: str | None = None
    package: str = "1"
    weight_g: int = 0
    note: str = ""
    store_name: str = ""
    channel: str = "OTHERS"
    custom: str = ""
    origin: Party | None = None
    owner_id: str = ""
    pieces: int = 1
    piece: int = 1

    def checked(self) -> IssueRequest:
        """The request, tidied. Raises Invalid naming every wrong field."""
        wrong: list[FieldError] = []
        parties: dict[str, Party] = {}
        for field in ("recipient", "shown_sender"):
            try:
                parties[field] = getattr(self, field).checked(field)
            except Invalid as fault:
                wrong += fault.errors
        # The wire's own limits are narrower than a label's.
        for part, most in (("name", 40), ("phone", 20)):
            if "recipient" in parties and len(getattr(parties["recipient"], part)) > most:
                wrong.append(FieldError(f"recipient.{part}", f"carriers take at most {most} characters"))

        def say(field: str, value: object, least: int, most: int) -> None:
            if reason := text_fault(value, least, most):
                wrong.append(FieldError(field, reason))

        say("carrier", self.carrier, 1, 20)
        say("package", self.package, 1, 20)
        say("note", self.note, 0, 200)
        say("store_name", self.store_name, 0, 60)
        say("channel", self.channel, 1, 20)
        for line in self.custom.split("\n"):
            say("custom", line, 0, 400)
        if len(self.custom) > 800:
            wrong.append(FieldError("custom", "must have at most 800 characters"))
        if not 1 <= len(self.orders) <= ORDERS_PER_PARCEL:
            wrong.append(FieldError("orders", f"must name 1 to {ORDERS_PER_PARCEL} order numbers"))
        for at, order in enumerate(self.orders[:ORDERS_PER_PARCEL]):
            say(f"orders[{at}]", order, 1, 64)
        if len(set(self.orders)) != len(self.orders):
            wrong.append(FieldError("orders", "names an order twice"))
        if not 1 <= len(self.items) <= ITEMS_PER_PARCEL:
            wrong.append(FieldError("items", f"must list 1 to {ITEMS_PER_PARCEL} goods"))
        for at, item in enumerate(self.items[:ITEMS_PER_PARCEL]):
            say(f"items[{at}].name", item.name, 1, 200)
            if not isinstance(item.count, int) or not 1 <= item.count <= 1_000_000:
                wrong.append(FieldError(f"items[{at}].count", "must be a whole number from 1 to 1000000"))
        if not isinstance(self.weight_g, int) or not 0 <= self.weight_g <= 1_000_000:
            wrong.append(FieldError("weight_g", "must be 0 to 1000000 g"))
        if not isinstance(self.pieces, int) or not 1 <= self.pieces <= PIECES_PER_SET:
            wrong.append(FieldError("pieces", f"must be 1 to {PIECES_PER_SET}"))
        elif not isinstance(self.piece, int) or not 1 <= self.piece <= self.pieces:
            wrong.append(FieldError("piece", "must be 1 to the number of pieces"))
        if wrong:
            raise Invalid("the waybill request is wrong", errors=wrong)
        if parties["recipient"] is self.recipient and parties["shown_sender"] is self.shown_sender:
            return self
        return replace(self, recipient=parties["recipient"], shown_sender=parties["shown_sender"])

    def as_dict(self) -> dict[str, Any]:
        """All fields, for sealing and comparing; a single parcel's as they were before there were sets."""
        # dataclasses.asdict takes ten times as long, and every number pays for it.
        fields: dict[str, Any] = dict(vars(self))
        for field in ("recipient", "shown_sender", "origin"):
            fields[field] = fields[field].as_dict() if fields[field] else None
        fields["items"] = [dict(vars(item)) for item in self.items]
        if self.pieces == 1:
            del fields["pieces"], fields["piece"]
        return fields

    def erased(self) -> IssueRequest:
        """What stays of the request once the personal data are erased: carrier, orders, package, weight, divisions."""
        return replace(
            self,
            recipient=self.recipient.erased(),
            shown_sender=self.shown_sender.erased(),
            origin=self.origin.erased() if self.origin else None,
            items=(),
            note="",
            store_name="",
            custom="",
        )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> IssueRequest:
        """What ``as_dict`` stored."""
        fields = dict(stored)
        fields["orders"] = tuple(fields["orders"])
        fields["items"] = tuple(Item(**item) for item in fields["items"])
        for field in ("recipient", "shown_sender", "origin"):
            fields[field] = Party(**fields[field]) if fields[field] else None
        return cls(**fields)


@dataclass(frozen=True)
class Waybill:
    """A number for one parcel, from the request on. 面单 / 运单

    Its parties are masked (D7) unless it came from ``Waybills.clear``. ``number`` is None until it is issued; ``reason``
    is a code for *refused*, *unknown* and *void pending*. ``void_wait`` says what a void-pending one waits for, and
    ``next_try_at`` when the network is asked again. ``revision`` counts its updates (W6); with each the label is another one.
    ``piece`` of ``pieces`` leave under ``parent_number`` (W7). ``erased_at``: its personal data are gone.
    """

    id: str
    store_id: str
    owner_id: str
    number: str | None
    state: WaybillState
    carrier: str
    carrier_name: str
    subscription_id: str
    orders: tuple[str, ...]
    package: str
    recipient: Party
    shown_sender: Party
    origin: Party
    items: tuple[Item, ...]
    weight_g: int
    note: str
    store_name: str
    route_code: str
    sorting_mark: str
    consolidation_centre: str
    reason: str
    held_reason: str
    void_wait: VoidWait | None
    created_at: datetime
    issued_at: datetime | None
    printed_at: datetime | None
    cancelled_at: datetime | None
    parent_number: str = ""
    piece: int = 1
    pieces: int = 1
    revision: int = 0
    handed_over_at: datetime | None = None
    delivered_at: datetime | None = None
    erased_at: datetime | None = None
    next_try_at: datetime | None = None

    @property
    def subject(self) -> str:
        """The name under which ``printing`` knows its label in force."""
        return subject_of(self.id, self.revision)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The names of all its labels, those made void by an update first."""
        return tuple(subject_of(self.id, revision) for revision in range(self.revision + 1))

    def masked(self) -> Waybill:
        """The same with masked parties."""
        return replace(
            self,
            recipient=self.recipient.masked(),
            shown_sender=self.shown_sender.masked(),
            origin=self.origin.masked(),
        )


@dataclass(frozen=True)
class WaybillEvent:
    """One change of a waybill's state."""

    seq: int
    at: datetime
    waybill_id: str
    actor: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class PrintWish:
    """How a waybill's label was asked for: kept, so that an interrupted print can be finished word for word.

    ``batch`` and ``sequence`` ("12/80") stand on labels that are printed in a batch (T1).
    """

    printer: str
    template: str
    lane: str
    batch: str = ""
    sequence: str = ""


@dataclass(frozen=True)
class Filed:
    """A waybill with what only this room needs: the clear request, the lease on asking the network, the print claim.

    ``attempts`` fences: who asks the network holds the number that ``attempts`` had when the lease was taken.
    ``network`` names the carrier network whose number it is.
    ``print_no`` counts print claims; ``print_key`` is the caller's, empty when the claim was given back; ``print_clear``
    says whether that label shows its recipient in clear. ``void_tries`` counts how often the network was asked to cancel.
    """

    waybill: Waybill
    request: IssueRequest
    print_data: Mapping[str, Any] | None
    attempts: int
    attempt_until: datetime | None
    label_destroyed: bool
    print_no: int
    print_key: str
    print_wish: PrintWish | None
    print_at: datetime | None
    print_clear: bool = False
    void_tries: int = 0
    network: str = "platform"


class UpdateState(StrEnum):
    """Where an update of a waybill stands (W6)."""

    PENDING = "pending"
    DONE = "done"
    GIVEN_BACK = "given_back"
    REFUSED = "refused"


@dataclass(frozen=True)
class Update:
    """An update of recipient, goods or weight that was asked for; it makes the waybill's revision ``revision``. 更新

    ``wanted`` is None once its outcome is known. ``attempts`` fences, as in ``Filed``.
    """

    id: str
    waybill_id: str
    actor: str
    revision: int
    state: UpdateState
    reason: str
    wanted: IssueRequest | None
    attempts: int
    attempt_until: datetime | None


@dataclass(frozen=True)
class VoidLabel:
    """A label on paper, or perhaps, that an update made void: to be destroyed (W6). 作废面单"""

    waybill_id: str
    number: str
    revision: int
    label_id: str
    label_state: str
    voided_at: datetime


SUBJECT_PREFIX = "waybill:"


def subject_of(waybill_id: str, revision: int = 0) -> str:
    """``printing``'s subject of a waybill's label: after each update it is another one (W6)."""
    return f"{SUBJECT_PREFIX}{waybill_id}:{revision}" if revision else SUBJECT_PREFIX + waybill_id


def read_subject(subject: str | None) -> tuple[str, int] | None:
    """The waybill and the revision that a subject names, or None if it is no waybill's."""
    if subject is None or not subject.startswith(SUBJECT_PREFIX):
        return None
    id, _, revision = subject.removeprefix(SUBJECT_PREFIX).partition(":")
    return id, int(revision or 0)
