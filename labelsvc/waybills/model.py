"""The nouns of e-waybills and the rules that need no database: parties, subscriptions, waybills and their legal steps.

Hides how personal data is checked and masked, and which step of a waybill's life may follow which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelsvc.errors import FieldError, Invalid

ADDRESSES_PER_STORE = 100
ORDERS_PER_PARCEL = 100
ITEMS_PER_PARCEL = 100

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
        return Party(**tidy)

    def masked(self) -> Party:
        """What someone without the right may see (D7): 张*, 138******78, address down to the district."""
        return replace(
            self, name=_masked_name(self.name), phone=_masked_phone(self.phone), detail="***", town=""
        )

    @property
    def division(self) -> dict[str, str]:
        """Province, city and district: what E8 compares, and no more than D7 lets everybody see."""
        return {"province": self.province, "city": self.city, "district": self.district}

    def as_dict(self) -> dict[str, str]:
        """All fields, for sealing."""
        return asdict(self)


_LENGTHS = {
    "name": (1, 60),
    "phone": (5, 25),
    "province": (1, 20),
    "city": (1, 20),
    "district": (0, 20),
    "detail": (1, 120),
    "town": (0, 30),
}


def text_fault(value: object, least: int, most: int) -> str | None:
    """Why ``value`` isn't a line of ``least`` to ``most`` characters that a label can print, or None."""
    if not isinstance(value, str):
        return "must be text"
    if len(value) < least:
        return "is missing" if not value else f"must have at least {least} characters"
    if len(value) > most:
        return f"must have at most {most} characters"
    # Surrogates can't be encoded; control characters would reach a printer's command stream.
    if any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in value):
        return "must not contain control characters"
    if any(char in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for char in value):
        return "must not contain characters that turn the direction of writing or break the line"
    return None


def _is_phone(value: str) -> bool:
    return bool(_PHONE.fullmatch(value)) and sum(char.isdigit() for char in value) >= 5


def _masked_name(name: str) -> str:
    return name[:1] + "*" * (len(name) - 1) if len(name) > 1 else "*"


def _masked_phone(phone: str) -> str:
    """At most three leading and two trailing digits stay, and at least six are hidden: all, if there are fewer than seven."""
    if "*" in phone:  # masked before: no phone has a star of its own
        return phone
    digits = [at for at, char in enumerate(phone) if char.isdigit()]
    shown = max(0, min(5, len(digits) - 6))
    keep = set(digits[: min(3, shown)])
    if shown > 3:
        keep |= set(digits[3 - shown :])
    return "".join("*" if char.isdigit() and at not in keep else char for at, char in enumerate(phone))


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
    ``contact`` is for the service only and never printed.
    """

    id: str
    store_id: str
    carrier: str
    carrier_name: str
    kind: CarrierKind
    address_id: str | None
    branch_code: str
    branch_name: str
    state: SubscriptionState
    origin: Party
    contact_name: str
    contact_phone: str
    settlement_account: str
    agreement_version: str
    agreed_at: datetime
    agreed_by: str
    created_at: datetime
    opened_at: datetime | None
    reason: str
    network_application_id: str


@dataclass(frozen=True)
class SubscriptionEvent:
    """One line of an application's history (E10)."""

    seq: int
    at: datetime
    subscription_id: str
    actor: str
    before: str
    after: str
    reason: str


class WaybillState(StrEnum):
    """Where a waybill stands (architecture, section 3; W5)."""

    REQUESTED = "requested"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    ISSUED = "issued"
    PRINTED = "printed"
    VOID_PENDING = "void_pending"
    CANCELLED = "cancelled"


#: The legal steps. From *void pending* back: the carrier had picked the parcel up, so the number lives on.
STEPS: dict[WaybillState, frozenset[WaybillState]] = {
    WaybillState.REQUESTED: frozenset({WaybillState.ISSUED, WaybillState.REFUSED, WaybillState.UNKNOWN}),
    WaybillState.UNKNOWN: frozenset({WaybillState.ISSUED, WaybillState.REFUSED, WaybillState.UNKNOWN}),
    WaybillState.ISSUED: frozenset({WaybillState.PRINTED, WaybillState.VOID_PENDING}),
    WaybillState.PRINTED: frozenset({WaybillState.VOID_PENDING}),
    WaybillState.VOID_PENDING: frozenset({WaybillState.CANCELLED, WaybillState.ISSUED, WaybillState.PRINTED}),
    WaybillState.REFUSED: frozenset(),
    WaybillState.CANCELLED: frozenset(),
}

UNSETTLED = frozenset({WaybillState.REQUESTED, WaybillState.UNKNOWN})
LIVE = frozenset({WaybillState.ISSUED, WaybillState.PRINTED})


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
        if wrong:
            raise Invalid("the waybill request is wrong", errors=wrong)
        return replace(self, recipient=parties["recipient"], shown_sender=parties["shown_sender"])

    def as_dict(self) -> dict[str, Any]:
        """All fields, for sealing and comparing."""
        return asdict(self)

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
    is a code for *refused*, *unknown* and *void pending*. ``void_wait`` says what a void-pending one waits for.
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

    @property
    def subject(self) -> str:
        """The name under which ``printing`` knows it."""
        return subject_of(self.id)

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
    """How a waybill's label was asked for: kept, so that an interrupted print can be finished word for word."""

    printer: str
    template: str
    lane: str


@dataclass(frozen=True)
class Filed:
    """A waybill with what only this room needs: the clear request, the lease on asking the network, the print claim.

    ``attempts`` fences: who asks the network holds the number that ``attempts`` had when the lease was taken.
    ``print_no`` counts print claims; ``print_key`` is the caller's, empty when the claim was given back.
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


SUBJECT_PREFIX = "waybill:"


def subject_of(waybill_id: str) -> str:
    """``printing``'s subject of a waybill."""
    return SUBJECT_PREFIX + waybill_id


#: Public number formats of the carriers, newest table (reference/platform-waybill-api.md, 3.1, column A).
NUMBER_FORMATS: dict[str, str] = {
    "SF": r"SF[0-9A-Z]\d{12}",
    "STO": r"(77|43)\d{12,15}",
    "YTO": r"YT\d{13}",
    "ZTO": r"7[3-68]\d{12}",
    "YUNDA": r"[34]\d{14}|5\d{12}",
    "JTSD": r"JT\d{13}",
    "EMS": r"[981]\d{12}|P[A-Z]\d{11}",
    "JD": r"JD[A-Z0-9]{2}\d{11}",
    "DBKD": r"DPK\d{12}",
    "CNSD": r"621\d{12}",
}


def looks_like(carrier: str, number: str) -> bool:
    """Whether ``number`` has ``carrier``'s public format (W9); True for a carrier without a known one."""
    pattern = NUMBER_FORMATS.get(carrier)
    return pattern is None or re.fullmatch(pattern, number) is not None
