"""Whether a printer on the network, or a queue of CUPS, would take a connection now; no byte is sent that could be printed.

Hides sockets and CUPS's words. Only looking: a printer that takes one connection at a time is let go at once.
"""

from __future__ import annotations

import select
import socket
from typing import Literal

from labelsvc.printing.transports import TransportBroken, parse_uri
from labelsvc.printing.transports.cups import NO_SUCH_QUEUE, STOPPED, Queue
from labelsvc.printing.transports.tcp import Tcp

#: ``reached``, or what is in the way. Of a printer: ``unknown_name`` (its host's), ``no_way`` there, ``silent``, ``refused``,
#: ``dropped`` as soon as it was taken. Of a queue: ``no_cups``, ``no_queue``, ``stopped``, ``not_accepting``, ``no_permission``,
#: ``not_raw``, or an answer that is none, ``strange``.
Reach = Literal[
    "reached",
    "unknown_name",
    "no_way",
    "silent",
    "refused",
    "dropped",
    "no_cups",
    "no_queue",
    "stopped",
    "not_accepting",
    "no_permission",
    "not_raw",
    "strange",
]

CONNECT_S = 2.0
#: A printer that is another's takes the connection, and drops it in the same moment.
_DROPS_S = 0.3
_OF_A_QUEUE: dict[str, Reach] = {
    "unreachable": "no_cups",
    "not_accepting": "not_accepting",
    "no_permission": "no_permission",
    "refused": "not_raw",
    "broken": "strange",
}


def host_of(uri: str) -> tuple[str, int] | None:
    """Host and port of a printer on the network; None of any other. Raises Invalid."""
    transport = parse_uri(uri, here=False)
    return (transport.host, transport.port) if isinstance(transport, Tcp) else None


def reach(uri: str, connect_s: float = CONNECT_S) -> Reach:
    """Connect to what a ``tcp://`` address names, or ask the CUPS of a ``cups://`` address. Raises Invalid.

    Takes a little longer than ``connect_s``, and for a name that nobody knows as long as this machine asks for it.
    """
    transport = parse_uri(uri, here=False)
    if isinstance(transport, Tcp):
        return _printer(transport, connect_s)
    assert isinstance(transport, Queue), uri
    return _queue(transport)


def _printer(printer: Tcp, connect_s: float) -> Reach:
    try:
        peer = socket.create_connection((printer.host, printer.port), timeout=connect_s)
    except socket.gaierror:
        return "unknown_name"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "no_way"
    with peer:
        if not select.select([peer], [], [], _DROPS_S)[0]:
            return "reached"
        try:
            return "reached" if peer.recv(1) else "dropped"
        except OSError:
            return "dropped"


def _queue(queue: Queue) -> Reach:
    try:
        link = queue.connect()
        try:
            link.require_raw()
        finally:
            link.close()
    except TransportBroken as broken:
        # The spooler needs no word for these two: to it a printer behind them is as unreachable as one that is off.
        known: dict[str, Reach] = {NO_SUCH_QUEUE: "no_queue", STOPPED: "stopped"}
        return known.get(broken.detail) or _OF_A_QUEUE.get(broken.reason, "strange")
    return "reached"
