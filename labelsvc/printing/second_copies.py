"""Which waybill number a label carries, and what is said of its second copy (P15); pure.

Hides the names under which shops' data hold a number, the formats that are no other thing's, and the words of the question.
A number counts only where a barcode of the page says it: a slip that merely mentions the number is no label of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from labelsvc.labels import Page
from labelsvc.printing.model import DocumentRequest, LabelState

#: Labels and lists show China's time whatever the machine says; China has no summer time.
_CHINA = timezone(timedelta(hours=8))
_NUMBER = re.compile(r"[A-Z0-9-]{4,40}")
#: What the trade's templates call it, in lower case without ``_``.
_NAMES = frozenset(
    {
        *("waybillcode", "waybillno", "waybillnumber", "waybillid", "mailno", "mailnumber"),
        *("expressno", "expressnumber", "expresscode", "logisticcode", "logisticsno", "kuaidinum"),
        *("trackingno", "trackingnumber", "trackingcode", "运单号", "快递单号", "面单号", "物流单号"),
    }
)
#: SF, YTO and J&T begin their numbers with letters that no order number or article has before so many digits.
_CERTAIN = re.compile(r"(?:SF[0-9A-Z]\d{12}|(?:YT|JT)\d{13})")
_DONE = {
    LabelState.PRINTED: "printed",
    LabelState.SENT: "sent",
    LabelState.UNCERTAIN: "perhaps printed",
    LabelState.SENDING: "being printed",
    LabelState.QUEUED: "waiting",
    LabelState.HELD: "waiting",
}
#: Of several copies the one that is surest on paper is named.
SUREST = tuple(_DONE)
TWICE = "the number stands twice in this job"


@dataclass(frozen=True)
class FirstCopy:
    """A label of the same number that is there already."""

    state: LabelState
    at: datetime
    printer: str  #: its name
    subject: str | None


def normal(number: str) -> str | None:
    """A number as it is compared: half-width, upper case, without blanks; None if it can't be one."""
    plain = "".join(unicodedata.normalize("NFKC", number).upper().split())
    return plain if _NUMBER.fullmatch(plain) else None


def number_of(document: DocumentRequest, pages: Iterable[Page]) -> str | None:
    """The waybill number of a document, as it is compared; None if it is no label of one waybill.

    What the request says counts; else the one number that its data name and a barcode says, or that a barcode or a
    picture's title can only be.
    """
    if document.number is not None:
        return normal(document.number)
    if document.picture is not None:
        title = normal(document.title)
        return title if title and _CERTAIN.fullmatch(title) else None
    said = {normal(data) for page in pages for data in page.symbols()} - {None}
    found = said & set(_named(document.data)) or {one for one in said if one and _CERTAIN.fullmatch(one)}
    return found.pop() if len(found) == 1 else None


def _named(data: Mapping[str, Any], deeper: bool = True) -> Iterator[str]:
    for name, value in data.items():
        if isinstance(value, str):
            if name.replace("_", "").lower() in _NAMES and (number := normal(value)):
                yield number
        elif isinstance(value, Mapping) and deeper:
            yield from _named(value, deeper=False)


def question(first: FirstCopy, now: datetime) -> str:
    """What a person is told: "printed 14:03 on bench 7"; with the date if it wasn't today."""
    at, today = first.at.astimezone(_CHINA), now.astimezone(_CHINA).date()
    when = at.strftime("%H:%M" if at.date() == today else "%Y-%m-%d %H:%M")
    return f"{_DONE[first.state]} {when} on {first.printer}"
