"""What a carrier network must be able to do for us, in our words; one adapter a network.

Hides the wire. An adapter never asks for anything twice by itself but an identical ``get``, and raises only

- NetworkSilent: no usable answer; ``may_have_happened`` says whether the call may have been carried out,
- NetworkBusy, NetworkResting: silences in which nothing happened, because the network or the adapter slowed us down,
- AlreadyIssued: the network has given a number for this parcel before, and doesn't say which,
- Refused: the network says no, and nothing happened; ``code`` is a word of ours, or ``network.<its code>``. Its free
  text is never passed on, but for the reason of a rejected application (E1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from labelsvc.errors import Invalid, Refused, Unavailable
from labelsvc.waybills.model import Carrier, CarrierKind, Item, NetworkPoint, Party

#: Carriers by the codes of the platforms (reference/platform-waybill-api.md, 2.3), for networks that list none by name.
KNOWN_CARRIERS: dict[str, Carrier] = {
    code: Carrier(code, name, kind)
    for code, name, kind in (
        ("SF", "顺丰速运", CarrierKind.DIRECT),
        ("STO", "申通快递", CarrierKind.FRANCHISE),
        ("YTO", "圆通速递", CarrierKind.FRANCHISE),
        ("ZTO", "中通快递", CarrierKind.FRANCHISE),
        ("YUNDA", "韵达快递", CarrierKind.FRANCHISE),
        ("JTSD", "极兔速递", CarrierKind.FRANCHISE),
        ("EMS", "中国邮政 EMS", CarrierKind.DIRECT),
        ("JD", "京东快递", CarrierKind.DIRECT),
        ("DBKD", "德邦快递", CarrierKind.DIRECT),
        ("CNSD", "菜鸟速递", CarrierKind.DIRECT),
    )
}


class NetworkSilent(Unavailable):
    """The network gave no usable answer."""

    default_code = "network.silent"

    def __init__(
        self, detail: str, *, may_have_happened: bool, code: str | None = None, **facts: Any
    ) -> None:
        super().__init__(detail, code=code or (None if may_have_happened else "network.unreachable"), **facts)
        self.may_have_happened = may_have_happened


class NetworkBusy(NetworkSilent):
    """The network has too much to do, or we ask too often (52101, 52102, 70031): nothing happened, ask again later."""

    def __init__(self, detail: str, *, retry_after_s: float = 1.0, **facts: Any) -> None:
        super().__init__(
            detail,
            may_have_happened=False,
            code="network.busy",
            retry_after_s=round(retry_after_s, 3),
            **facts,
        )
        self.retry_after_s = retry_after_s


class NetworkResting(NetworkSilent):
    """The network was silent so often that it is left alone for a while: nothing was sent."""

    def __init__(self, retry_after_s: float = 1.0) -> None:
        super().__init__(
            "the carrier network didn't answer several times; it is asked again after a pause",
            may_have_happened=False,
            code="network.resting",
            retry_after_s=round(retry_after_s, 3),
        )
        self.retry_after_s = retry_after_s


class AlreadyIssued(Refused):
    """The parcel has a number, which the answer doesn't name."""

    default_code = "network.already_issued"


@dataclass(frozen=True)
class ParcelRequest:
    """One parcel on the wire; ``id`` is the package id that tells it from others of the same orders.

    ``pieces`` > 1: it is one of so many of a parent and its children (W7), each of which is asked for by an id of its own.
    """

    id: str
    orders: tuple[str, ...]
    channel: str
    recipient: Party
    items: tuple[Item, ...]
    weight_g: int
    pieces: int = 1


@dataclass(frozen=True)
class GetRequest:
    """1 to ``CarrierNetwork.batch`` parcels of one carrier and one origin (W3)."""

    carrier: str
    origin: Party
    parcels: tuple[ParcelRequest, ...]


@dataclass(frozen=True)
class Given:
    """A number that the network gave. ``data`` is what its label must show, as the network says it; empty if that couldn't
    be read, and then ``query`` tells.

    ``parent_number`` is empty but for a child (W7). ``repeated``: the adapter had asked before without an answer, so the
    parcel may have a further number, which only ``find`` tells.
    """

    parcel_id: str
    number: str
    data: Mapping[str, Any]
    live: bool = True
    parent_number: str = ""
    repeated: bool = False


@dataclass(frozen=True)
class PointAccount:
    """A network point as the network's search lists it; ``balance`` None: it has no prepaid balance (E9).

    ``allocated``, ``cancelled`` and ``recycled`` count the numbers ever given, given back, and taken back by the carrier.
    ``addresses`` are those opened there, as on the wire: province, city, district, town, detail.
    """

    carrier: str
    branch_code: str
    branch_name: str
    balance: int | None
    allocated: int
    cancelled: int
    recycled: int
    addresses: tuple[dict[str, str], ...]


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


ReviewState = Literal["under_review", "open", "rejected", "suspended", "closed"]


@dataclass(frozen=True)
class Applied:
    """Where an application stands (E1); ``reason`` is the carrier's, one line of at most 80 characters."""

    application_id: str
    state: ReviewState
    reason: str


@dataclass(frozen=True)
class Tokens:
    """A store's access to the network, and what renews it."""

    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True)
class Trace:
    """What the carrier did with a parcel. 物流轨迹"""

    action: Literal["picked_up", "in_transit", "delivered", "other"]
    at: datetime


class CarrierNetwork(Protocol):
    """A carrier network; ``token`` is a store's access token. Safe to use from several threads."""

    #: Calls of ``get`` that may run at once.
    in_flight: int
    #: Parcels that a call of ``get`` takes.
    batch: int

    def carriers(self, token: str) -> list[Carrier]:
        """The carriers that can be opened."""

    def points(self, token: str, carrier: Carrier, place: Party) -> list[NetworkPoint]:
        """The network points that cover a place; none is an empty list (E3)."""

    def apply(self, token: str, application: PointApplication) -> Applied:
        """Apply for a network point. The same again gives the same, in its present state; corrected, it is a new one."""

    def review(self, token: str, application_id: str, application: PointApplication) -> Applied:
        """Where an application stands now."""

    def close(self, token: str, application_id: str) -> None:
        """Give a network point up, or withdraw its application; harmless the second time."""

    def search(self, token: str, carrier: str | None = None) -> list[PointAccount]:
        """The points that are open, of one carrier or of all, with their balances and totals."""

    def get(self, token: str, request: GetRequest) -> list[Given | Refused | NetworkSilent]:
        """Ask for numbers: a result for each parcel, in order; never raises for what the network says or doesn't.

        One bad parcel doesn't block the others (W3). A call that gets no answer is a NetworkSilent for each of its parcels.
        """

    def update(self, token: str, carrier: str, number: str, parcel: ParcelRequest) -> Given:
        """Change a live number's recipient, goods and weight (W6); what its label must show from now on."""

    def query(self, token: str, carrier: str, number: str) -> Given:
        """What the label of a live number must show. Raises Refused ``waybill.was_cancelled``, ``waybill.unknown_number``."""

    def find(self, token: str, orders: tuple[str, ...], parcel_id: str) -> list[Given] | None:
        """Every number given for a parcel, oldest first; None where the network has no such call."""

    def cancel(self, token: str, carrier: str, number: str) -> None:
        """Give a number back; harmless the second time."""

    def traces(self, token: str, carrier: str, number: str) -> list[Trace]:
        """What the carrier did with a parcel, oldest first; none is an empty list."""

    def exchange(self, code: str) -> Tokens:
        """Access for the code that the network's authorisation page gave. Raises Refused ``network.token``."""

    def refresh(self, refresh_token: str) -> Tokens:
        """New access for the same store. Raises Refused ``network.token``."""


@dataclass(frozen=True)
class Networks:
    """The carrier networks by the name that a subscription keeps."""

    platform: CarrierNetwork
    offline: CarrierNetwork

    def of(self, name: str) -> CarrierNetwork:
        """The network called "platform" or "offline". Raises Invalid."""
        if name == "platform":
            return self.platform
        if name == "offline":
            return self.offline
        raise Invalid("is no carrier network", field="network")
