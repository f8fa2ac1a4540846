"""What every benchmark ends with: a table for people, and the same rows as JSON; hides their format."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One result; ``peer`` names another program (or limit) measured in the same run, if there is one.

    ``goal`` is what the ratio should reach, or stay below where lower is better.
    """

    case: str
    value: float
    unit: str
    better: Literal["higher", "lower"]
    peer: str | None = None
    peer_value: float | None = None
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours to the peer's."""
        return round(self.value / self.peer_value, 3) if self.peer_value else None


def show(title: str, rows: list[Row], json_file: Path | None) -> None:
    """Print the table; write the JSON list if a file is named."""
    width = max(len(row.case) for row in rows)
    print(f"\n{title}")
    for row in rows:
        line = f"  {row.case:<{width}}  {row.value:>10.1f} {row.unit:<4} ({row.better} is better)"
        if row.peer is not None and row.peer_value is not None:
            line += f"   {row.peer}: {row.peer_value:.1f} {row.unit}, ratio {row.ratio}"
            if row.goal is not None:
                line += f" (goal {'at least' if row.better == 'higher' else 'at most'} {row.goal:g})"
        print(line)
    if json_file:
        found = [{**asdict(row), "value": round(row.value, 3), "ratio": row.ratio} for row in rows]
        json_file.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
