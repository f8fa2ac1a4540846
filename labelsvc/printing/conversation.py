"""Asking a printer over an open link how it is, and whether what was sent came out; hides queries, patience and half answers.

Never asked into the middle of a label: the spooler asks before the first byte and after the last. A printer's silence is
an answer of its own (None), never "ready".
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from labelsvc.errors import Invalid
from labelsvc.languages import Condition, escpos, read_port_status, tspl, zpl
from labelsvc.printing.model import Profile
from labelsvc.printing.transports import Link

_LONGEST_REPLY = 4096  # a printer that talks on and on is not answering
_LAST_DIGIT_S = 0.15  # no more digits for so long: at 1200 baud one takes 8 ms
_RECEIPTS_KEPT = 64

Answer = TypeVar("Answer")


@runtime_checkable
class PortLink(Protocol):
    """A link beside which the printer tells its status: USB's printer class."""

    def port_status(self) -> int | None:
        """The answer to GET_PORT_STATUS; None if there is none. Raises TransportBroken."""


class Conversation(ABC):
    """How to ask one kind of printer. ``source`` names the question whose answer was the last one."""

    source: str
    #: Whether an answer may still be on its way that would be taken for the next one's. A new connection gets none.
    behind = False

    def __init__(self, link: Link, answer_s: float) -> None:
        self._link = link
        self._answer_s = answer_s

    @abstractmethod
    def status(self) -> Condition | None:
        """How the printer is; None if it keeps silent or babbles. Raises TransportBroken."""

    def counter(self) -> int | None:
        """How many labels came out so far; None if it doesn't say. Raises TransportBroken, and Invalid ``reply.unknown`` if
        the printer says that it doesn't count."""
        return None

    def receipts(self) -> frozenset[int]:
        """The numbers of receipts that came back lately on this link, now or with other answers. Raises TransportBroken."""
        return frozenset()

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
            except Invalid as wrong:
                if wrong.code == "reply.unknown":
                    raise
                return None
            if answer is not None:
                return answer
        return None


class ZplConversation(Conversation):
    """``~HS`` and the odometer; ``~HQES`` where ``~HS`` is silent, as Zebra's firmware is while it can't print."""

    source = "zpl-hs"

    def __init__(self, link: Link, answer_s: float) -> None:
        super().__init__(link, answer_s)
        self._tells_errors = True

    def status(self) -> Condition | None:
        found = self._ask(zpl.STATUS_QUERY, zpl.read_status)
        if found is not None:
            self.source = "zpl-hs"
            return found.condition
        if not self._tells_errors:
            return None
        errors = self._ask(zpl.ERRORS_QUERY, zpl.read_errors)
        if errors is None:
            self._tells_errors = False
            return None
        self.source = "zpl-hqes"
        # Without an error to explain it, the silence of ~HS stays what it is.
        return errors if errors.blocked else None

    def counter(self) -> int | None:
        found = self._ask(zpl.COUNTER_QUERY, zpl.read_counter)
        self.behind |= found is None
        return found


class EscposConversation(Conversation):
    """``DLE EOT``, and receipts by ``GS ( H``. An automatic status that another host asked for is taken where it comes."""

    source = "escpos"

    def __init__(self, link: Link, answer_s: float) -> None:
        super().__init__(link, answer_s)
        self._unread = b""
        self._receipts: list[int] = []

    def status(self) -> Condition | None:
        try:
            self._listen(0)  # what is late
            printer = self._answers(escpos.PRINTER, escpos.PAPER)
            if printer is None:
                return None
            answers = {escpos.PRINTER: printer[0], escpos.PAPER: printer[1]}
            if escpos.read_status(answers).blocked:
                causes = self._answers(escpos.OFFLINE, escpos.ERROR)
                if causes is not None:
                    answers |= {escpos.OFFLINE: causes[0], escpos.ERROR: causes[1]}
            return escpos.read_status(answers)
        except Invalid:
            self._unread, self.behind = b"", True
            return None

    def receipts(self) -> frozenset[int]:
        try:
            self._listen(0)
        except Invalid:
            self._unread = b""
        return frozenset(self._receipts)

    def _answers(self, *questions: int) -> bytes | None:
        self._link.write(escpos.status_query(*questions), "")
        said = b""
        end = time.monotonic() + self._answer_s
        while len(said) < len(questions):
            left = end - time.monotonic()
            if left <= 0:
                self.behind = True
                return None
            said += self._listen(left)
        return said

    def _listen(self, patience_s: float) -> bytes:
        """Answers to DLE EOT that came; receipts among them are kept. Raises Invalid."""
        heard = escpos.hear(self._unread + self._link.read(patience_s))
        self._unread = heard.rest
        self._receipts = (self._receipts + list(heard.receipts))[-_RECEIPTS_KEPT:]
        return heard.answers


class TsplConversation(Conversation):
    """``<ESC>!?``, explained by ``<ESC>!S`` where it says no more than "other error"; and the counter of labels."""

    source = "tspl"

    def status(self) -> Condition | None:
        found = self._ask(tspl.STATUS_QUERY, tspl.read_status)
        if found is not None and found.blocked == "fault":
            detail = self._ask(tspl.DETAIL_QUERY, tspl.read_detail)
            return detail if detail is not None and detail.blocked else found
        return found

    def counter(self) -> int | None:
        said = b""

        def read(reply: bytes) -> int | None:
            nonlocal said
            said = reply
            return tspl.read_counter(reply)

        self.behind |= self._ask(tspl.COUNTER_QUERY, read) is None
        if self.behind:
            return None
        while more := self._link.read(_LAST_DIGIT_S):
            said += more
            if len(said) > _LONGEST_REPLY:
                return None
        try:
            return tspl.read_counter(said)
        except Invalid:
            return None


class PortConversation(Conversation):
    """The port status of USB's printer class, which needs no language."""

    source = "usb-port"

    def __init__(self, link: PortLink) -> None:
        self._port = link

    def status(self) -> Condition | None:
        byte = self._port.port_status()
        return None if byte is None else read_port_status(byte)


def converse(profile: Profile, link: Link, answer_s: float) -> Conversation | None:
    """How to ask a printer of this profile on this link; None if there is no way. ``answer_s``: later than that is silence."""
    match profile.status:
        case "zpl-hs":
            return ZplConversation(link, answer_s)
        case "escpos":
            return EscposConversation(link, answer_s)
        case "tspl":
            return TsplConversation(link, answer_s)
        case "usb-port" if isinstance(link, PortLink):
            return PortConversation(link)
    return None
