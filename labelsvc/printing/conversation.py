"""Asking a printer over an open link how it is and what its counter says; hides queries, patience and half answers.

Never asked into the middle of a label: the spooler asks before the first byte and after the last. A printer's silence is
an answer of its own (None), never "ready".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labelsvc.errors import Invalid
from labelsvc.languages import zpl
from labelsvc.printing.transports import Link

_LONGEST_REPLY = 4096  # a printer that talks on and on is not answering

Answer = TypeVar("Answer")


class ZplConversation:
    """``~HS`` and the odometer, as ZPL printers answer them."""

    source = "zpl-hs"

    def __init__(self, link: Link, answer_s: float) -> None:
        self._link = link
        self._answer_s = answer_s

    def status(self) -> zpl.HostStatus | None:
        """How the printer is; None if it keeps silent or babbles. Raises TransportBroken."""
        return self._ask(zpl.STATUS_QUERY, zpl.read_status)

    def counter(self) -> int | None:
        """How many labels came out in the printer's life; None if it doesn't say. Raises TransportBroken."""
        return self._ask(zpl.COUNTER_QUERY, zpl.read_counter)

    def _ask(self, query: bytes, read: Callable[[bytes], Answer | None]) -> Answer | None:
        for _ in range(16):  # a late answer to an earlier question is not the answer to this one
            if not self._link.read(0):
                break
        self._link.write(query, "")
        reply = b""
        end = time.monotonic() + self._answer_s
        while (left := end - time.monotonic()) > 0 and len(reply) < _LONGEST_REPLY:
            reply += self._link.read(left)
            try:
                answer = read(reply)
            except Invalid:
                return None
            if answer is not None:
                return answer
        return None
