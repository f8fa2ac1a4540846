"""Ways to a printer, one file each; a transport knows no printer language.

A transport's URI chooses it from ``TRANSPORTS``. A new one needs a parser from URI to ``Transport`` in that table, and to pass
the contract suite in tests/contract/test_transports.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, urlsplit

from labelsvc.errors import Invalid
from labelsvc.printing.transports import cups, file, serial, tcp, usb
from labelsvc.printing.transports.link import Guarded, Link, Transport, TransportBroken

#: URI scheme -> parser. A parser raises Invalid on field ``uri``.
TRANSPORTS: Mapping[str, Callable[[SplitResult], Transport]] = {
    "tcp": tcp.parse,
    "usb": usb.parse,
    "serial": serial.parse,
    "cups": cups.parse,
    "file": file.parse,
}

__all__ = ["TRANSPORTS", "Guarded", "Link", "Transport", "TransportBroken", "is_slow", "parse_uri"]


def parse_uri(uri: str, *, here: bool = True) -> Transport:
    """The transport that a printer's URI names; ``here`` on this machine, where its folder must exist.

    Raises Invalid on field ``uri``.
    """
    if not isinstance(uri, str) or len(uri) > 300 or not uri.isprintable():
        raise Invalid("must be at most 300 printable characters", code="uri.invalid", field="uri")
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise Invalid("isn't a URI", code="uri.invalid", field="uri") from None
    parse = TRANSPORTS.get(parts.scheme)
    if parse is None:
        raise Invalid(
            f"must begin with one of {', '.join(f'{scheme}://' for scheme in TRANSPORTS)}",
            code="uri.invalid",
            field="uri",
        )
    found = parse(parts)
    if here and isinstance(found, file.Directory):
        found.require()
    return found


def is_slow(uri: str) -> bool:
    """Whether the way that a printer's URI names carries a few ten kB a second at most."""
    return urlsplit(uri).scheme == "serial"
