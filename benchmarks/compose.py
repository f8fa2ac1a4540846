"""``./dev bench compose``: how long a label's layout takes, for all-new Chinese data on every label and for a batch of one sender.

Hides the data and the clock: processor time of this process, the best of several passes over 600 labels, because what runs
beside it can only make a pass slower.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from benchmarks.table import Row, show  # noqa: E402
from labelsvc.labels import StandardTemplates, compose  # noqa: E402
from labelsvc.labels.layout import lay_out  # noqa: E402

LABELS, PASSES = 600, 7
TEMPLATES = ("waybill-76x130", "waybill-100x150", "waybill-100x180")
GOAL_US = 150.0


class Data:
    """Label data without end; the same from run to run."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.pool = "".join(map(chr, self.random.sample(range(0x4E00, 0x9000), 2500)))

    def words(self, count: int) -> str:
        """So many Chinese characters."""
        return "".join(self.random.choices(self.pool, k=count))

    def digits(self, count: int) -> str:
        """So many digits."""
        return "".join(self.random.choices("0123456789", k=count))

    def address(self) -> dict[str, str]:
        """An address of some 25 characters."""
        return {
            "province": self.words(2) + "省",
            "city": self.words(2) + "市",
            "district": self.words(2) + "区",
            "town": self.words(2) + "街道",
            "detail": self.words(8) + self.digits(3) + "号",
        }

    def label(self, number: int) -> dict[str, Any]:
        """All of one label."""
        return {
            "recipient": {"name": self.words(3), "mobile": "199" + self.digits(8), "address": self.address()},
            "sender": {"name": self.words(4), "phone": "0757-" + self.digits(8), "address": self.address()},
            "waybillCode": "YT" + self.digits(13),
            "carrierName": self.words(2) + "速递",
            "routingInfo": {
                "routeCode": f"{self.digits(3)}-{self.digits(3)}-00 {self.digits(3)}",
                "bigShotName": self.words(5),
                "consolidation": {"name": self.words(2) + "转运中心"},
            },
            "shippingOption": {"title": self.words(2) + "快递"},
            "goods": {"count": number % 9 + 1, "lines": f"{self.words(6)} ×2\n{self.words(5)} ×1"},
            "orderNumbers": f"260911-{self.digits(12)}",
            "storeName": self.words(4),
            "custom": {"text": self.words(6)},
            "print": {"time": f"2026-11-23 {number // 60:02}:{number % 60:02}", "sequence": f"{number}/600"},
            "service": {"text": self.words(4)},
        }


def microseconds(name: str, labels: list[dict[str, Any]], passes: int = PASSES) -> float:
    """Processor time a label."""
    template = StandardTemplates().get(name)
    for label in labels[:100]:
        compose(template, label)
    best = float("inf")
    for _ in range(passes):
        begun = time.process_time()
        for label in labels:
            compose(template, label)
        best = min(best, time.process_time() - begun)
    return best / len(labels) * 1e6


def anew(name: str, labels: list[dict[str, Any]]) -> float:
    """The same without a kept plan: all laid out for each label."""
    template = StandardTemplates().get(name)
    begun = time.process_time()
    for label in labels:
        datas = (template.bind(label), None)
        for plan in lay_out(template, 203, None, datas):
            plan.draw(datas)
    return (time.process_time() - begun) / len(labels) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made = Data()
    fresh = [made.label(number) for number in range(LABELS)]
    shared = ("sender", "carrierName", "shippingOption", "storeName", "service", "custom")
    batch = [label | {key: fresh[0][key] for key in shared} for label in fresh]
    rows: list[Row] = []
    for name in TEMPLATES:
        goal = GOAL_US if name == TEMPLATES[-1] else None
        value = microseconds(name, fresh)
        rows.append(Row(f"{name}, all new", value, "µs", "lower", "goal" if goal else None, goal, 1.0))
        rows.append(Row(f"{name}, batch of one sender", microseconds(name, batch), "µs", "lower"))
    rows.append(Row(f"{TEMPLATES[-1]}, without a kept plan", anew(TEMPLATES[-1], fresh[:60]), "µs", "lower"))
    show(f"Layout of a label ({LABELS} labels, 203 dpi)", rows, arguments.json)


if __name__ == "__main__":
    main()
