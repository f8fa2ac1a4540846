"""Numbers in a storm: whatever the network, the daemon and its machine do, each parcel ends with exactly one live number."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faults.storm import CANCEL, EVERY_FAULT, GET, Storm, asked_for, retried, run, struck, unlike_repeats
from support.programs import virtual_printer

KINDS = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.xdist_group(f"storm-{kind}")) for kind in ("sqlite", "postgresql")],
)


def _weather(storm: Storm, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    where = {"database_url": request.getfixturevalue("postgresql_url")} if kind == "postgresql" else {}
    began = time.monotonic()
    with virtual_printer(tmp_path) as printer:
        books, log = run(storm, tmp_path, printer, **where)
    numbers: dict[str, list[str]] = {}
    for waybill in books["waybills"]:
        if waybill["state"] == "live":
            numbers.setdefault(waybill["orders"][0], []).append(waybill["number"])
    asked, strikes = asked_for(log), struck(log)
    repeated = {package: digests for package, digests in asked.items() if len(digests) > 1}
    print(
        f"\n{storm.parcels} parcels on {kind}, {storm.kills['daemon']} + {storm.kills['network']} kills, "
        f"{time.monotonic() - began:.0f} s: {len(log)} calls, {len(books['waybills'])} numbers given, "
        f"{sum(map(len, numbers.values()))} live; {len(repeated)} parcels asked for again, "
        f"{max(map(len, repeated.values()), default=0)} times at most; refused on the way: {dict(storm.refusals)}; "
        f"faults: {dict(sorted(strikes.items()))}, of these called at the end: {storm.called}"
    )
    assert storm.kills == Counter(daemon=storm.daemon_kills, network=storm.network_kills)
    assert {order: live for order, live in numbers.items() if len(live) != 1} == {}
    assert len(numbers) == storm.parcels
    assert storm.ours == {order: live[0] for order, live in numbers.items()}
    account = books["accounts"][0]
    assert account["allocated"] - account["cancelled"] == storm.parcels
    assert storm.reconciled["differences"] == []
    assert storm.reconciled["unanswered"] == 0
    assert EVERY_FAULT - set(strikes) == set(), "faults that never struck"
    assert repeated, "no request was ever repeated: nothing is shown about repetitions"
    assert unlike_repeats(log) == []
    assert retried(log, books) == []


@KINDS
def test_sixty_parcels_in_a_storm(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    """W2: 60 parcels, every fault of the network, kills of daemon and network: one live number each, and equal books.

    The long one has 2,000, and ten times the kills and more."""
    _weather(Storm(parcels=60, daemon_kills=2, network_kills=2), kind, tmp_path, request)


@pytest.mark.sweep
@KINDS
def test_two_thousand_parcels_in_a_storm(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    """W2: the same with 2,000 parcels, 30 kills of the daemon and 10 of the network."""
    _weather(Storm(parcels=2000, daemon_kills=30, network_kills=10), kind, tmp_path, request)


def _entry(seq: int, type: str, **changes: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "type": type,
        "digest": "same",
        "code": 0,
        "fault": "",
        "replay_of": None,
        "answer_dropped": False,
        "package_ids": [],
        "numbers": [],
        "parcels": [],
        **changes,
    }


def test_what_the_log_would_show():
    """The storm's own control: a repetition with other content, a blind one, and a fault without effect are told apart."""
    parcel = {"package_id": "p", "digest": "a"}
    gets = [_entry(1, GET, parcels=[parcel]), _entry(2, GET, parcels=[{**parcel, "digest": "b"}])]
    assert unlike_repeats(gets) == ["p"]
    assert unlike_repeats([gets[0], gets[0]]) == []
    books = {"waybills": [{"number": "77", "package_id": "p"}]}
    silent = _entry(1, CANCEL, numbers=["77"], code=None)
    look = _entry(2, "mock.waybill.find", package_ids=["p"])
    again = _entry(3, CANCEL, numbers=["77"])
    assert retried([silent, look, again], books) == []
    assert retried([silent, again], books) == [f"{CANCEL}, call 3"]
    assert retried([{**silent, "code": 0}, look, again], books) == [f"{CANCEL}, call 3"]
    assert retried([silent, {**look, "package_ids": ["another"]}, again], books) == [f"{CANCEL}, call 3"]
    dropped = _entry(1, GET, fault="drop", answer_dropped=True)
    assert struck([dropped, {**dropped, "code": None}]) == {"drop": 1}
    assert struck([_entry(1, GET, fault="error", code=52101)]) == {"error 52101": 1}
