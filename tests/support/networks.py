"""The carrier networks as the daemon puts them together, for tests that build the rooms themselves."""

from __future__ import annotations

from labelsvc.db import Database
from labelsvc.waybills import CarrierNetwork, Networks, NumberPool, OfflineNetwork


def networks_of(database: Database, platform: CarrierNetwork) -> Networks:
    """A platform's network, and beside it the numbers in ``database``."""
    return Networks(platform, OfflineNetwork(NumberPool(database)))
