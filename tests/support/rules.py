"""docs/rules.md from the tests: which test checks which domain rule, and on which databases.

A test checks a rule by naming it in its docstring ("W2: ..."). The rules of opening (E) and of waybills (W) must each have
one that runs on SQLite and on PostgreSQL.

    python tests/support/rules.py            say what is wrong with docs/rules.md, exit code 1 if anything is
    python tests/support/rules.py --update   write it anew
"""

from __future__ import annotations

import io
import re
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rules.md"

#: The rules in our words. What has no test yet isn't listed on the page.
RULES = {
    "E0": "Every store, merchant or factory, issues on its own subscription and pays from its own balance.",
    "E1": "An application goes from draft to under review to open, or is rejected with a reason and can be corrected; later it may be suspended or closed.",
    "E2": "An application names carrier, address, network point, contact and the accepted agreement, with who and when; none may be missing.",
    "E3": "The network points offered are those that cover the address; none is an answer, not an error.",
    "E4": "A store keeps at most 100 sender addresses, also when requests race.",
    "E5": "An address has at most one network point (or one per carrier, as set), also when requests race; closing or rejection frees it.",
    "E6": "A carrier that is open can be opened again at a further point with another address.",
    "E7": "Addresses are created, edited, listed, made default and deleted; one in use keeps its division and can't be deleted; the carrier goes on getting the text of the opening.",
    "E8": "A waybill's origin must name the province, city and district with which the service was opened; a refusal shows both.",
    "E9": "A direct-operated carrier wants a settlement account, a franchise carrier has a balance of numbers.",
    "E10": "The list shows each application's state, and expanded its whole history: who, when, what.",
    "E11": "Once it is open the page leads on to the printers and a test label.",
    "W1": "One number for one parcel: one order, several merged, or part of one; the answer carries the route.",
    "W2": "The same parcel has one live number, whatever times out, crashes or races; a number that was given but not recorded is found again.",
    "W3": "One to ten parcels a network call, with a result for each: a bad one never blocks the others.",
    "W4": "A balance goes down by each number and up by each cancelled one; an empty one is said before printing, a low one beforehand.",
    "W5": "Issued, printed, handed over, in transit, delivered; cancelled by way of void pending; never after hand-over; twice is harmless.",
    "W6": "Recipient and goods can be updated until hand-over; the old label is void and a new one is printed.",
    "W7": "One order in several parcels has a parent number and children, printed 1/3, 2/3, 3/3.",
    "W8": "A reprint is counted, has a reason, and says so on its label.",
    "W9": "Numbers have the carriers' public formats; a check digit refuses only where its rule is public (S10).",
    "W10": "Origin, shown sender and return address are three: only the frozen origin reaches the carrier, only the shown sender the label.",
    "P1": "Jobs come in over HTTP, the command line and pages.",
    "P2": "A job is accepted once it is durably stored; the answer carries its id.",
    "P3": "A label shows the merchant's sender, also when a factory prints it.",
    "P4": "Labels come out as ZPL, PDF and PNG.",
    "P5": "Labels leave over USB, TCP 9100, a serial line, a queue of CUPS, or into a file.",
    "P6": "Opening a label as PDF is a print: once, counted, checked for blocks.",
    "P7": "Nothing is printed twice and nothing is lost; where it can't be known, a person is asked.",
    "P8": "Labels leave in order within a lane, and wait for a printer that isn't ready.",
    "P9": "Every job's history is kept.",
    "P10": "A blocked or cancelled waybill is refused at the last moment before its bytes leave.",
    "P13": "A printer is a place with further names; the device behind it is swapped in one step, and queue, names and offsets stay.",
    "P14": "After a restored or copied database nothing prints until a person releases it.",
    "P15": "The second copy of a waybill number is held and asked about, whatever door it came by.",
    "D1": "A store is a merchant or a factory.",
    "D2": "A merchant binds a factory by its store id; a wrong id gives no hint.",
    "D3": "The same order twice changes nothing.",
    "D4": "An order belongs to one factory at a time.",
    "D7": "A factory sees masked recipients only; clear data reach the carrier and the label, nothing else.",
    "D11": "A held order gets no number and its label doesn't come out.",
    "D19": "Files come in UTF-8, GB18030 and XLSX; spoiled numbers are refused by row; a dry run shows what would happen.",
    "R1": "Roles have the rights that they need and no more; every look at clear data is logged.",
    "A3": "Error codes are stable; bulk calls give a result per item.",
}
_NAMED = re.compile(r"\b([EPWDR]\d{1,2}|A3)(?:\s*[-–]\s*([EPWDR])(\d{1,2}))?\b")


def named_in(docstring: str) -> set[str]:
    """The rules that a docstring names; "E1-E3" names three."""
    found = set()
    for one in _NAMED.finditer(docstring):
        found.add(one[1])
        if one[2] == one[1][0]:
            found |= {f"{one[2]}{number}" for number in range(int(one[1][1:]), int(one[3]) + 1)}
    return found & set(RULES)


class _Collected:
    """A pytest plugin that keeps what was collected."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note each test's rules and the databases it runs on."""
        for item in items:
            function = getattr(item, "function", None)
            where = f"{item.path.relative_to(ROOT)}::{item.originalname}"  # type: ignore[attr-defined]
            text = (function.__doc__ or "") if function else ""
            parameters = getattr(getattr(item, "callspec", None), "params", {})
            on = parameters.get("database") or parameters.get("database_url")
            for rule in named_in(text):
                self.tests[rule][where].add(str(on) if on else "")


def collected() -> dict[str, dict[str, set[str]]]:
    """Rule -> test -> the databases it runs on ("" where it has nothing to do with one)."""
    plugin = _Collected()
    with redirect_stdout(io.StringIO()):
        code = pytest.main(
            ["--collect-only", "-qq", "-p", "no:cacheprovider", str(ROOT / "tests")], plugins=[plugin]
        )
    if code != 0:
        raise SystemExit("the tests can't be collected")
    return plugin.tests


def page(tests: dict[str, dict[str, set[str]]]) -> str:
    """The page's text."""
    lines = [
        "# From rule to test",
        "",
        "Written by `python tests/support/rules.py --update` from the tests' docstrings; `./dev check` compares.",
        "Tests marked *both* run on SQLite and on PostgreSQL.",
        "",
    ]
    for rule, words in RULES.items():
        if rule not in tests:
            continue
        lines += [f"## {rule}", "", words, ""]
        for where, on in sorted(tests[rule].items()):
            both = " *both*" if len(on - {""}) > 1 else ""
            lines.append(f"- `{where}`{both}")
        lines.append("")
    return "\n".join(lines)


def faults(tests: dict[str, dict[str, set[str]]]) -> list[str]:
    """What is wrong: rules without a test on both databases, and a page that isn't up to date."""
    wrong = [
        f"{rule}: no test runs on both databases"
        for rule in RULES
        if rule[0] in "EW" and not any(len(on - {""}) > 1 for on in tests.get(rule, {}).values())
    ]
    if not PAGE.exists() or PAGE.read_text() != page(tests):
        wrong.append("docs/rules.md isn't up to date: python tests/support/rules.py --update")
    return wrong


if __name__ == "__main__":
    known = collected()
    if "--update" in sys.argv:
        PAGE.write_text(page(known))
    found = faults(known)
    print("\n".join(found))
    sys.exit(bool(found))
