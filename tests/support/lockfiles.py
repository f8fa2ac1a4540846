"""Check that no lock file holds an address or a path of a machine; run by ``./dev check``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = re.compile(
    r"://|--(extra-)?index|--find-links|--trusted-host|\bfile:|^-e |(^|[\s\"'=@])/(?!/)\w|\"resolved\""
)


def lock_files() -> list[Path]:
    """Every lock file of the project."""
    return [
        *sorted((ROOT / "requirements").glob("*.txt")),
        *sorted(ROOT.glob("tests/support/node/package-lock.json")),
    ]


def faults(path: Path) -> list[str]:
    """The lines that name a place, as ``file:line``."""
    lines = path.read_text().splitlines()
    return [f"{path.name}:{number}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)]


if __name__ == "__main__":
    found = [fault for path in lock_files() for fault in faults(path)]
    if found:
        sys.exit("these lines of lock files hold an address or a path: " + ", ".join(found))
    print(f"{len(lock_files())} lock files name no place")
