"""The nouns of dropshipping: bindings and orders, and what of an order each side may see; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelsvc.errors import FieldError, Invalid
from labelsvc.waybills import ITEMS_PER_PARCEL, Party, text_fault


class BindingState(StrEnum):
    """Where a binding stands (D2)."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    ENDED = "ended"


@dataclass(frozen=True)
class Binding:
    """A merchant and the factory that ships for it. 绑定"""

    id: str
    merchant_id: str
    merchant_name: str
    factory_id: str
    factory_name: str
    state: BindingState
    created_at: datetime
    answered_at: datetime | None


class OrderState(StrEnum):
    """Dropship state of an order, as far as this version goes (D6)."""

    UNASSIGNED = "unassigned"
    ASSIGNED = "assigned"


@dataclass(frozen=True)
class OrderLine:
    """Goods in an order; ``price_fen`` is the settlement price, None as long as there is none (D13). 明细"""

    sku: str
    name: str
    quantity: int
    spec: str = ""
    price_fen: int | None = None


@dataclass(frozen=True)
class NewOrder:
    """An order as it arrives. ``shown_sender`` None: the merchant's default sender address (P3)."""

    number: str
    recipient: Party
    lines: tuple[OrderLine, ...]
    shown_sender: Party | None = None
    store_name: str = ""
    note: str = ""

    def checked(self) -> NewOrder:
        """The order, tidied. Raises Invalid naming every wrong field."""
        wrong: list[FieldError] = []
        parties: dict[str, Party] = {}
        for field in ("recipient", "shown_sender"):
            party = getattr(self, field)
            if party is None:
                continue
            try:
                parties[field] = party.checked(field)
            except Invalid as fault:
                wrong += fault.errors

        def say(field: str, value: object, least: int, most: int) -> None:
            if reason := text_fault(value, least, most):
                wrong.append(FieldError(field, reason))

        say("number", self.number, 1, 64)
        say("store_name", self.store_name, 0, 60)
        say("note", self.note, 0, 200)
        if not 1 <= len(self.lines) <= ITEMS_PER_PARCEL:
            wrong.append(FieldError("lines", f"must be 1 to {ITEMS_PER_PARCEL} lines"))
        for at, line in enumerate(self.lines[:ITEMS_PER_PARCEL]):
            say(f"lines[{at}].sku", line.sku, 0, 64)
            say(f"lines[{at}].name", line.name, 1, 100)
            say(f"lines[{at}].spec", line.spec, 0, 80)
            if not _whole(line.quantity, 1, 1_000_000):
                wrong.append(FieldError(f"lines[{at}].quantity", "must be a whole number from 1 to 1000000"))
            if line.price_fen is not None and not _whole(line.price_fen, 0, 10**11):
                wrong.append(FieldError(f"lines[{at}].price_fen", "must be a whole number of fen"))
        if wrong:
            raise Invalid("the order is wrong", errors=wrong)
        return replace(self, recipient=parties["recipient"], shown_sender=parties.get("shown_sender"))

    def as_dict(self) -> dict[str, Any]:
        """All fields, for sealing and comparing."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> NewOrder:
        """What ``as_dict`` stored."""
        fields = dict(stored)
        fields["lines"] = tuple(OrderLine(**line) for line in fields["lines"])
        for field in ("recipient", "shown_sender"):
            fields[field] = Party(**fields[field]) if fields[field] else None
        return cls(**fields)


def erased(content: NewOrder) -> NewOrder:
    """What stays of an order once its personal data are erased: number, goods, divisions."""
    return replace(
        content,
        recipient=content.recipient.erased(),
        shown_sender=content.shown_sender.erased() if content.shown_sender else None,
        store_name="",
        note="",
    )


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


@dataclass(frozen=True)
class Order:
    """An order of one merchant, as the asking store may see it. 订单

    ``clear`` False: ``recipient`` and ``shown_sender`` are masked (D7); so it always is for a factory.
    ``waybill_id`` is a live waybill's, or None. ``erased_at``: its personal data are gone.
    """

    id: str
    merchant_id: str
    number: str
    state: OrderState
    factory_id: str | None
    recipient: Party
    shown_sender: Party
    lines: tuple[OrderLine, ...]
    store_name: str
    note: str
    held_reason: str
    waybill_id: str | None
    created_at: datetime
    assigned_at: datetime | None
    clear: bool = False
    erased_at: datetime | None = None

    def masked(self) -> Order:
        """The same with masked parties."""
        return replace(
            self, recipient=self.recipient.masked(), shown_sender=self.shown_sender.masked(), clear=False
        )

    def for_factory(self) -> Order:
        """What the factory may see (D7): masked, without the merchant's own note."""
        return replace(self.masked(), note="")

    def with_waybill(self, waybill_id: str) -> Order:
        """The same, naming its waybill."""
        return replace(self, waybill_id=waybill_id)
