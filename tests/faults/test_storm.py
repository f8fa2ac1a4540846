"""Numbers in a storm: whatever the network, the daemon and its machine do, each parcel ends with exactly one live number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from faults.storm import Storm, retried, run, unlike_repeats
from support.programs import virtual_printer


def _weather(storm: Storm, tmp_path: Path, **settings: object) -> None:
    with virtual_printer(tmp_path) as printer:
        books, log = run(storm, tmp_path, printer, **settings)
    live = Counter(waybill["orders"][0] for waybill in books["waybills"] if waybill["state"] == "live")
    numbers = {
        waybill["orders"][0]: waybill["number"] for waybill in books["waybills"] if waybill["state"] == "live"
    }
    print(
        f"\n{storm.parcels} parcels, {storm.daemon_kills} + {storm.network_kills} kills: {len(log)} calls, "
        f"{len(books['waybills'])} numbers given, {sum(live.values())} live; refused on the way: {dict(storm.refusals)}"
    )
    assert {order for order, count in live.items() if count != 1} == set()
    assert len(live) == storm.parcels
    assert storm.ours == numbers
    account = books["accounts"][0]
    assert account["allocated"] - account["cancelled"] == storm.parcels
    assert unlike_repeats(log) == []
    assert retried(log) == Counter()


def test_a_hundred_parcels_in_a_storm(tmp_path: Path):
    """W2: 100 parcels, every fault of the network, kills of daemon and network: one live number each, and equal books."""
    _weather(Storm(parcels=100, daemon_kills=5, network_kills=3), tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", [1])
def test_two_thousand_parcels_in_a_storm(tmp_path: Path, seed: int):
    """W2: the same with 2,000 parcels, 30 kills of the daemon and 10 of the network."""
    _weather(Storm(parcels=2000, daemon_kills=30, network_kills=10, seed=seed), tmp_path)
