"""What proves that a label came out: a counter of the printer's, or its receipt for that very label.

Hides which printer proves how. What stays unproven is asked of a person; nothing here ever allows a label to be sent again.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

from labelsvc.errors import Invalid
from labelsvc.languages import Condition, escpos
from labelsvc.printing.conversation import Conversation
from labelsvc.printing.model import Label, Profile, Unproven


@dataclass(frozen=True)
class Finding:
    """What the printer says of the label in hand so far: it came out, or (``against``) that can't be proved any more."""

    proved: bool = False
    against: str = ""


class Proof(ABC):
    """The proof of one label after another on one connection."""

    #: What the counter said before the label in hand; None where a receipt proves.
    counter_before: int | None = None
    #: Whether the printer's buffer must be empty before a label is sent, lest another host's be taken for it.
    needs_quiet = True
    #: Whether a label still counts as out if paper or head stopped the printer in its middle, unless it prints it again.
    whole = True

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def begin(self) -> bool:
        """Prepare for a label, before its first byte. False: the printer is silent. Raises TransportBroken, and Invalid
        ``reply.unknown`` if the printer says that it can't prove."""
        return True

    def ending(self, printer_id: str, sent_no: int) -> bytes:
        """What is sent behind the label of this number so that the printer tells of it."""
        return b""

    @abstractmethod
    def look(self, label: Label, condition: Condition) -> Finding | None:
        """What it says of the label that was sent; None if it is silent. Raises TransportBroken."""

    def settles(self, unproven: Unproven, condition: Condition) -> bool:
        """Whether it proves a label that is uncertain since an earlier connection, or an earlier process."""
        return False

    @abstractmethod
    def open_at_last(self) -> str:
        """The reason why a label is uncertain whose printer rests and has not proved it."""


class Odometer(Proof):
    """ZPL: the counter of all labels in the printer's life moved by exactly the label's pages, and nothing is left to come.

    It is lasting, so it also proves what an earlier process sent. More than the pages is no proof: another host's label, or
    a printer that printed again what an error had cut.
    """

    _moved = 0

    def begin(self) -> bool:
        self.counter_before = self._conversation.counter()
        return self.counter_before is not None

    def look(self, label: Label, condition: Condition) -> Finding | None:
        counter = self._counter()
        if counter is None or self.counter_before is None:
            return None
        moved = self._moved = counter - self.counter_before
        if not 0 <= moved <= label.pages:
            return Finding(against=f"the printer's counter moved by {moved}")
        return Finding(proved=moved == label.pages and condition.idle)

    def settles(self, unproven: Unproven, condition: Condition) -> bool:
        return (
            unproven.counter_after is not None
            and condition.idle
            and self._counter() == unproven.counter_after
        )

    def open_at_last(self) -> str:
        return f"the printer is idle and its counter moved by {self._moved}"

    def _counter(self) -> int | None:
        try:
            return self._conversation.counter()
        except Invalid:  # it did count before the label
            return None


class LabelCount(Odometer):
    """TSPL: the counter of labels since the printer was switched on.

    After a break it proves nothing, for the printer may have been off and begun anew. Its question waits behind what was
    sent, so it is put only to a printer that rests.
    """

    def look(self, label: Label, condition: Condition) -> Finding | None:
        return super().look(label, condition) if condition.idle and not condition.blocked else Finding()

    def settles(self, unproven: Unproven, condition: Condition) -> bool:
        return False


class Receipt(Proof):
    """ESC/POS: the process id that was sent behind the label came back, which it does once the label is printed.

    It tells that the bytes are worked through: where paper ran out in the middle, half of the label hangs on the old roll and
    half on the new one. So it proves only while we look on, and nothing after a break. Only that very id proves. A later one does not prove an earlier label: a buffer that was cleared between them loses one
    and prints the other.
    """

    needs_quiet = False
    whole = False

    def ending(self, printer_id: str, sent_no: int) -> bytes:
        return escpos.receipt_query(_receipt_number(printer_id, sent_no))

    def look(self, label: Label, condition: Condition) -> Finding | None:
        assert label.sent_no is not None
        number = _receipt_number(label.printer_id, label.sent_no)
        return Finding(proved=number in self._conversation.receipts())

    def open_at_last(self) -> str:
        return "the printer is ready and its receipt didn't come back"


def _receipt_number(printer_id: str, sent_no: int) -> int:
    """It rises with each label of a printer, and begins elsewhere on each, so that a device that stood in another printer's
    place can't be heard with that one's receipt."""
    return (zlib.crc32(printer_id.encode()) + sent_no) % escpos.RECEIPTS


def proof_by(profile: Profile, conversation: Conversation) -> Proof | None:
    """What proves a label on a printer of this profile; None if nothing does: its labels are *sent*, never *printed*."""
    match profile.proof:
        case "odometer":
            return Odometer(conversation)
        case "label-count":
            return LabelCount(conversation)
        case "process-id":
            return Receipt(conversation)
    return None
