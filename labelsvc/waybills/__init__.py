"""All between us and the carriers: sender addresses, subscriptions and e-waybills (电子面单), from the number to the print job."""

from labelsvc.waybills.addresses import SenderAddresses
from labelsvc.waybills.batch_files import FileRow, template_csv, template_xlsx
from labelsvc.waybills.batch_store import Batch, BatchItem, BatchState, ItemState
from labelsvc.waybills.batches import PARCELS_PER_BATCH, Batches, DryRun
from labelsvc.waybills.carriers import CarrierNetwork, NetworkBusy, NetworkResting, Networks, NetworkSilent
from labelsvc.waybills.carriers.offline import NumberPool, OfflineNetwork, PoolNumber, read_numbers
from labelsvc.waybills.carriers.platform import PlatformNetwork
from labelsvc.waybills.divisions import Division, Divisions
from labelsvc.waybills.label_data import sample_label, sample_list, sample_of
from labelsvc.waybills.logos import CarrierLogos
from labelsvc.waybills.model import (
    ITEMS_PER_PARCEL,
    Application,
    Balance,
    Carrier,
    CarrierKind,
    IssueRequest,
    Item,
    NetworkAccess,
    NetworkPoint,
    NextSteps,
    Obstacle,
    Party,
    SenderAddress,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
    VoidLabel,
    VoidWait,
    Waybill,
    WaybillEvent,
    WaybillState,
    subject_of,
    text_fault,
)
from labelsvc.waybills.numbers import check_number, guess, looks_like
from labelsvc.waybills.people import Preferences, StorePreferences, check_person, searched_by
from labelsvc.waybills.reconciling import Difference, DifferenceKind, PointTotals, Reconciliation
from labelsvc.waybills.subscriptions import Subscriptions
from labelsvc.waybills.waybills import Waybills

__all__ = [
    "ITEMS_PER_PARCEL",
    "PARCELS_PER_BATCH",
    "Application",
    "Balance",
    "Batch",
    "BatchItem",
    "BatchState",
    "Batches",
    "Carrier",
    "CarrierKind",
    "CarrierLogos",
    "CarrierNetwork",
    "Difference",
    "DifferenceKind",
    "Division",
    "Divisions",
    "DryRun",
    "FileRow",
    "IssueRequest",
    "Item",
    "ItemState",
    "NetworkAccess",
    "NetworkBusy",
    "NetworkPoint",
    "NetworkResting",
    "NetworkSilent",
    "Networks",
    "NextSteps",
    "NumberPool",
    "Obstacle",
    "OfflineNetwork",
    "Party",
    "PlatformNetwork",
    "PointTotals",
    "PoolNumber",
    "Preferences",
    "Reconciliation",
    "SenderAddress",
    "SenderAddresses",
    "StorePreferences",
    "Subscription",
    "SubscriptionEvent",
    "SubscriptionState",
    "Subscriptions",
    "VoidLabel",
    "VoidWait",
    "Waybill",
    "WaybillEvent",
    "WaybillState",
    "Waybills",
    "check_number",
    "check_person",
    "guess",
    "looks_like",
    "read_numbers",
    "sample_label",
    "sample_list",
    "sample_of",
    "searched_by",
    "subject_of",
    "template_csv",
    "template_xlsx",
    "text_fault",
]
