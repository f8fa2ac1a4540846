"""GS1 element strings: what a GS1 barcode holds, as people write it or as a scanner gives it.

Hides how application identifiers are told from what follows them. Whether each field's content is right is the
encoder's to say.
"""

from __future__ import annotations

import re

from labelsvc.errors import Invalid

#: Ends a field of variable length in the plain form (FNC1 as readers give it).
SEPARATOR = "\x1d"

_WRITTEN = re.compile(r"[(\[](\d{2,4})[)\]]")
#: What readers put in front, and a leading FNC1.
_PREFIX = re.compile("(?:\\]C1|\\]d2|\x1d)+")
#: Digits of an application identifier by its first two, where it isn't two (GS1 General Specifications, figure 3.2-1).
_DIGITS = {
    **dict.fromkeys(("23", "24", "25", "40", "41", "42", "71"), 3),
    **dict.fromkeys(("31", "32", "33", "34", "35", "36", "39", "43", "70", "72", "80", "81", "82"), 4),
}
#: Digits of identifier and field together, by the identifier's first two, where no separator ends it (figure 7.8.5-2).
_PREDEFINED = {
    "00": 20,
    "01": 16,
    "02": 16,
    "03": 16,
    "04": 18,
    "20": 4,
    "41": 16,
    **dict.fromkeys(("11", "12", "13", "14", "15", "16", "17", "18", "19"), 8),
    **dict.fromkeys(("31", "32", "33", "34", "35", "36"), 10),
}


def elements(data: str) -> tuple[tuple[str, str], ...]:
    """(application identifier, content) of each field; Invalid (``barcode.data``) if the data aren't an element string.

    Taken are ``(01)09501101530003(10)AB``, the same with square brackets, and the plain form in which ASCII 29 ends a field
    of variable length, with or without a reader's ``]C1``.
    """
    if data[:1] in {"(", "["}:
        pieces = _WRITTEN.split(data)
        found = tuple(zip(pieces[1::2], pieces[2::2], strict=True))
        if pieces[0] or not all(content for _, content in found):
            raise _unreadable()
        return found
    return tuple(_plain(data[prefix.end() :] if (prefix := _PREFIX.match(data)) else data))


def _plain(data: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(data):
        first = data[at : at + 2]
        start = at + _DIGITS.get(first, 2)
        if first in _PREDEFINED:
            end = at + _PREDEFINED[first]
        else:
            end = data.find(SEPARATOR, start)
            end = len(data) if end < 0 else end
        identifier, content = data[at:start], data[start:end]
        if not (identifier.isascii() and identifier.isdigit()) or not content or SEPARATOR in content:
            raise _unreadable()
        found.append((identifier, content))
        at = end + 1 if data[end : end + 1] == SEPARATOR else end
    if not found:
        raise _unreadable()
    return found


def _unreadable() -> Invalid:
    return Invalid(
        "The barcode's data aren't GS1 fields such as (01)09501101530003(10)AB", code="barcode.data"
    )
