"""docs/printers.md from the profiles: what each model can do and prove, and where that is written.

python tests/support/models.py            say whether docs/printers.md is up to date, exit code 1 if not
python tests/support/models.py --update   write it anew
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from labelsvc.printing import QUIRKS, Profile, Profiles  # noqa: E402

PAGE = ROOT / "docs" / "printers.md"
_APART = ("various", "labelsvc")
_HEAD = """# Printers

Each model is a file in `printers/`, its *profile*. A profile says only what is written somewhere, and names where; what isn't written is
left out, and a printer of which nothing is written is asked nothing: its labels end as *sent*, never as *printed*. None of these was tried
on the device itself unless its last column says *hardware*; *manual* means that somebody read about it, *emulator* that the tests print on
a stand-in. Print a test label before you trust one. Honeywell's and SATO's speak ZPL only once they are set to it (ZSim, SZPL), so they are
chosen by hand; their makers' manuals weren't to be had, so they are asked nothing. Missing are the widths of Zebra's GX420, ZD611 and ZD621 and
most of Zebra's speeds, which were found in no text, and Epson's TM-T88, whose 180 dots an inch are not composed for.

`labelsvc printers probe URI` asks a printer what it is and proposes one of these. A model that isn't here takes the generic profile
of its language.

*answers*: which question about its state. *proves*: by what a label counts as printed. *width* and *length* of the print in mm, *speed* in
inches a second, *darkness* on the language's own scale, *finds by*: what its sensors tell labels apart by, *fits*: what can be fitted to it.

Written by `python tests/support/models.py --update` from the profiles; the tests compare.
"""


def page(profiles: Iterable[Profile]) -> str:
    """The page's text."""
    profiles = sorted(profiles, key=lambda each: (each.maker.lower(), each.model.lower(), each.dpi))
    real = [profile for profile in profiles if profile.maker not in _APART]
    lines = [_HEAD, f"## Models ({len(real)})", "", *_table(real), "", "## Generic and our own", ""]
    lines += [*_table(each for each in profiles if each.maker in _APART), "", "## Quirks", ""]
    lines += [f"- `{name}`: {what}" for name, what in QUIRKS.items()]
    lines += ["", "## Where it is written", ""]
    for profile in real:
        lines.append(f"- `{profile.name}`")
        lines += [f"  - {source.document} → {', '.join(source.claims)}" for source in profile.sources]
    return "\n".join([*lines, ""])


def _table(profiles: Iterable[Profile]) -> list[str]:
    lines = [
        "| profile | maker, model | language, dpi | width × length | speed | darkness | finds by | fits | answers | proves | quirks | tried |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in profiles:
        known = each.head_width_mm is not None or each.max_length_mm is not None
        size = f"{_number(each.head_width_mm)} × {_number(each.max_length_mm)}" if known else ""
        cells = (
            f"`{each.name}`",
            f"{each.maker} {each.model}",
            f"{each.language}, {each.dpi}",
            size,
            _span(each.speeds),
            _span(each.darkness_range or ()),
            ", ".join(each.sensors),
            ", ".join([*(["**cutter**"] if each.cutter else []), *each.options]),
            _unless_none(each.status),
            _unless_none(each.proof),
            ", ".join(each.quirks),
            each.verified,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _span(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}–{values[-1]:g}" if values else ""


def _unless_none(word: str) -> str:
    return "" if word == "none" else word


if __name__ == "__main__":
    written = page(Profiles().all())
    if "--update" in sys.argv:
        PAGE.write_text(written, "utf-8")
    if not PAGE.exists() or PAGE.read_text("utf-8") != written:
        sys.exit("docs/printers.md isn't up to date: python tests/support/models.py --update")
