"""All between us and the carriers: sender addresses, subscriptions and e-waybills (电子面单), from the number to the print job."""

from labelsvc.waybills.addresses import SenderAddresses
from labelsvc.waybills.carriers import CarrierNetwork, NetworkSilent
from labelsvc.waybills.carriers.platform import PlatformNetwork
from labelsvc.waybills.divisions import Division, Divisions
from labelsvc.waybills.issuing import Waybills
from labelsvc.waybills.model import (
    ITEMS_PER_PARCEL,
    Application,
    Carrier,
    CarrierKind,
    IssueRequest,
    Item,
    NetworkPoint,
    Party,
    SenderAddress,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
    VoidWait,
    Waybill,
    WaybillEvent,
    WaybillState,
    looks_like,
    subject_of,
    text_fault,
)
from labelsvc.waybills.subscriptions import Subscriptions

__all__ = [
    "ITEMS_PER_PARCEL",
    "Application",
    "Carrier",
    "CarrierKind",
    "CarrierNetwork",
    "Division",
    "Divisions",
    "IssueRequest",
    "Item",
    "NetworkPoint",
    "NetworkSilent",
    "Party",
    "PlatformNetwork",
    "SenderAddress",
    "SenderAddresses",
    "Subscription",
    "SubscriptionEvent",
    "SubscriptionState",
    "Subscriptions",
    "VoidWait",
    "Waybill",
    "WaybillEvent",
    "WaybillState",
    "Waybills",
    "looks_like",
    "subject_of",
    "text_fault",
]
