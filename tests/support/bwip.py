"""Every type of barcode by bwip-js, which shares no line with the encoders of labelsvc; run by node."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_NODE = Path(__file__).parent / "node"
#: MaxiCode's lines of hexagons.
_MAXICODE_COLUMNS, _MAXICODE_LINES = 30, 33


def missing() -> str | None:
    """Why bwip-js can't be used here; None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (_NODE / "node_modules" / "bwip-js").is_dir():
        return "bwip-js is not installed: run npm ci in tests/support/node"
    return None


def rows(asked: Sequence[tuple[str, str, dict[str, Any]]]) -> list[tuple[str, ...] | None]:
    """The rows of 0 and 1 of each (type in bwip-js, text, options), bars as one row; None where it refuses.

    Bars of a postal code come as its rows from top to bottom, a bar and a space being one module each.
    """
    run = subprocess.run(
        ["node", str(_NODE / "symbols.cjs")],
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=120,
        check=True,
    )
    return [_rows(type_, made) for (type_, _, _), made in zip(asked, json.loads(run.stdout), strict=True)]


def _rows(type_: str, made: dict[str, Any]) -> tuple[str, ...] | None:
    if "refusal" in made:
        return None
    if type_ in {"postnet", "royalmail"}:
        return _postal(made["heights"], made["feet"])
    if type_ == "maxicode":
        dark = set(made["cells"])
        return tuple(
            "".join("01"[line * _MAXICODE_COLUMNS + column in dark] for column in range(_MAXICODE_COLUMNS))
            for line in range(_MAXICODE_LINES)
        )
    if made.get("widths"):
        return ("".join("10"[at % 2] * width for at, width in enumerate(made["widths"])),)
    columns = made["columns"]
    cells = "".join(map(str, made["cells"]))
    return tuple(cells[at : at + columns] for at in range(0, len(cells), columns))


def _postal(heights: Sequence[float], feet: Sequence[float]) -> tuple[str, ...]:
    """From bars that begin at ``feet`` above the ground and are ``heights`` high: cells of each level."""
    edges = sorted(
        {round(foot, 4) for foot in feet} | {round(a + b, 4) for a, b in zip(heights, feet, strict=True)}
    )
    levels = list(itertools.pairwise(edges))[::-1]
    return tuple(
        "0".join(
            "01"[round(foot, 4) <= low and high <= round(foot + height, 4)]
            for height, foot in zip(heights, feet, strict=True)
        )
        for low, high in levels
    )
