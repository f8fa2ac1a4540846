"""Kill -9 at every commit and at every step of the carrier call of an update: the books agree, and the right label comes out.

This file is also the program that is killed: ``python test_update_crash.py`` obeys one JSON object on standard input.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import pytest
from support.house import MOVED, RECIPIENT, calm, house, networks_at
from support.programs import mock_carrier

from labelsvc.db import Database
from labelsvc.errors import Conflict, Refused
from labelsvc.labels import StandardTemplates
from labelsvc.printing import Printers, PrintJobs, Profiles
from labelsvc.security import Actor, Sealer
from labelsvc.waybills import Divisions, Waybills, WaybillState

UPDATE, QUERY = "pdd.waybill.update", "pdd.waybill.query.by.waybillcode"
_KEY = "change"


def test_a_kill_at_any_point_of_an_update(database: Database, sealer: Sealer, factory: Actor, tmp_path: Path):
    """W6: wherever the process dies, network and books agree once settled, nothing was repeated blindly, one label is right."""
    with (
        mock_carrier(tmp_path, opening_balance=1000) as mock,
        house(database, sealer, mock, factory) as home,
    ):
        calm(mock)
        address = database.url.render_as_string(hide_password=False)

        def child(orders: list[dict[str, object]]) -> None:
            told = {
                "url": mock.url,
                "database": address,
                "keys": str(tmp_path / "sealing.key"),
                "store": factory.store_id,
            }
            subprocess.run(
                [sys.executable, __file__],
                input=json.dumps({**told, "orders": orders}),
                text=True,
                check=True,
                timeout=120,
            )

        rehearsal = home.issued()
        home.printed(rehearsal)
        ledger = tmp_path / "rehearsal"
        child([{"waybill": rehearsal.id, "ledger": str(ledger), "kind": None}])
        points = ledger.read_text().splitlines()
        assert home.waybills.get(home.actor, rehearsal.id).revision == 1
        assert any("updating:Updating._record" in point for point in points), points
        kills = list(dict.fromkeys(points))
        assert len(kills) >= 9, kills

        waybills, orders = [], []
        for at, kind in enumerate(kills):
            waybill = home.issued()
            home.printed(waybill)
            waybills.append(waybill)
            orders.append({"waybill": waybill.id, "ledger": str(tmp_path / f"{at}"), "kind": kind})
        mark = mock.mark()
        child(orders)
        for at, kind in enumerate(kills):
            assert (tmp_path / f"{at}").read_text().endswith("! kill\n"), f"never reached: {kind}"

        home.later()
        for _ in range(3):
            home.waybills.settle_updates()
            home.later(timedelta(hours=1))
        for waybill, kind in zip(waybills, kills, strict=True):
            found = home.waybills.get(home.actor, waybill.id)
            theirs = home.network.query(home.token, "ZTO", waybill.number).data["recipient"]
            assert theirs["address"]["city"] == found.recipient.city, kind
            assert found.revision == (found.recipient.city == MOVED.city), kind
            if found.revision == 0:
                assert found.state is WaybillState.PRINTED, kind
                assert home.waybills.reprint(home.actor, waybill.id, None, "torn", f"r {waybill.id}").labels
                with pytest.raises(Conflict):
                    home.waybills.print(home.actor, waybill.id, "browser", f"x {waybill.id}")
            # Whoever asked asks again with the same key, and gets what was wanted, whatever had happened.
            updated = home.waybills.update(home.actor, waybill.id, _KEY + waybill.id, recipient=MOVED)
            assert (updated.revision, updated.state) == (1, WaybillState.ISSUED), kind
            assert home.printed(updated).subject == updated.subject, kind
            with pytest.raises(Conflict):
                home.waybills.print(home.actor, waybill.id, "browser", f"y {waybill.id}")
            old = home.jobs.labels(home.actor, subject=waybill.subject)[0]
            with pytest.raises(Refused):
                home.jobs.reprint(home.actor, old.id, "torn", f"z {waybill.id}")
            assert mock.live(waybill.orders[0]) == [waybill.number], kind
        assert len(home.waybills.void_labels(home.actor)) == len(kills) + 1
        asked = Counter(entry["type"] for entry in mock.log(mark))
        # Each was updated at most twice at the network, and never without a look between.
        assert asked[UPDATE] <= 2 * len(kills)
        assert asked[QUERY] >= asked[UPDATE] - len(kills)
        assert RECIPIENT.city != MOVED.city


def _die(told: dict[str, str], order: dict[str, str | None]) -> None:
    """Update one waybill, as a process of its own that is killed at a point."""
    from faults.launcher import POINTS

    database = Database(told["database"], sealer=Sealer.from_file(Path(told["keys"])))
    networks = networks_at(told["url"], database, 1.0)
    printers = Printers(database, Profiles())
    jobs = PrintJobs(database, printers, StandardTemplates())
    waybills = Waybills(database, networks, jobs, printers, Divisions(), 1.0)
    POINTS.arm(Path(str(order["ledger"])), order["kind"], 1, "worker")
    actor = Actor.operator(told["store"], via="test")
    waybills.update(actor, str(order["waybill"]), _KEY + str(order["waybill"]), recipient=MOVED)
    os._exit(0)


def _obey(told: dict) -> None:
    """Fork a process for each order, after what they share is loaded and watched."""
    from faults.launcher import watch_carrier_calls, watch_commits

    watch_commits()
    watch_carrier_calls()
    for order in told["orders"]:
        child = os.fork()
        if child == 0:
            try:
                _die(told, order)
            finally:
                os._exit(70)
        os.waitpid(child, 0)


if __name__ == "__main__":
    _obey(json.load(sys.stdin))
