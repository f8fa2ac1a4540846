"""What a carrier network must be able to do for us, in our words; one adapter a network.

Hides the wire. An adapter makes one call a method, never repeats one by itself, and raises only

- NetworkSilent: no usable answer; ``may_have_happened`` says whether the request may have left this machine,
- AlreadyIssued: the network has given a number for this parcel before, and doesn't say which,
- Refused: the network says no; ``code`` is a word of ours, or ``network.<its code>``. Its free text is never passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labelsvc.errors import Refused, Unavailable
from labelsvc.waybills.model import Carrier, Item, NetworkPoint, Party


class NetworkSilent(Unavailable):
    """The network gave no usable answer."""

    default_code = "network.silent"

    def __init__(self, detail: str, *, may_have_happened: bool, **facts: Any) -> None:
        super().__init__(detail, code=None if may_have_happened else "network.unreachable", **facts)
        self.may_have_happened = may_have_happened


class AlreadyIssued(Refused):
    """The parcel has a number, which the answer doesn't name."""

    default_code = "network.already_issued"


@dataclass(frozen=True)
class ParcelRequest:
    """One parcel on the wire; ``id`` is the package id that tells it from others of the same orders."""

    id: str
    orders: tuple[str, ...]
    channel: str
    recipient: Party
    items: tuple[Item, ...]
    weight_g: int


@dataclass(frozen=True)
class GetRequest:
    """1 to 10 parcels of one carrier and one origin (W3)."""

    carrier: str
    origin: Party
    parcels: tuple[ParcelRequest, ...]


@dataclass(frozen=True)
class Given:
    """A number that the network gave. ``data`` is what its label must show, as the network says it."""

    parcel_id: str
    number: str
    data: Mapping[str, Any]
    live: bool = True


@dataclass(frozen=True)
class PointAccount:
    """A network point as the network's search lists it; ``balance`` None: it has no prepaid balance (E9)."""

    carrier: str
    branch_code: str
    branch_name: str
    balance: int | None


@dataclass(frozen=True)
class PointApplication:
    """What the network is told to open a network point for an address (E2)."""

    carrier: str
    branch_code: str
    origin: Party
    contact_name: str
    contact_phone: str
    settlement_account: str
    agreement_version: str


class CarrierNetwork(Protocol):
    """A carrier network; ``token`` is a store's access token."""

    def carriers(self, token: str) -> list[Carrier]:
        """The carriers that can be opened."""

    def points(self, token: str, carrier: Carrier, place: Party) -> list[NetworkPoint]:
        """The network points that cover a place; none is an empty list (E3)."""

    def apply(self, token: str, application: PointApplication) -> str:
        """Apply; the network's id of the application, which it approves at once. The same again gives the same."""

    def close(self, token: str, application_id: str) -> None:
        """Give a network point up; harmless the second time."""

    def search(self, token: str, carrier: str) -> list[PointAccount]:
        """The points that are open, with their balances."""

    def get(self, token: str, request: GetRequest) -> list[Given | Refused]:
        """Ask for numbers: a result for each parcel, in order. One bad parcel doesn't block the others (W3)."""

    def find(self, token: str, orders: tuple[str, ...], parcel_id: str) -> list[Given] | None:
        """Every number given for a parcel, oldest first; None where the network has no such call."""

    def cancel(self, token: str, carrier: str, number: str) -> None:
        """Give a number back; harmless the second time."""
