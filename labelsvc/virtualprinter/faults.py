"""What can be wrong with the printer at this moment, as one immutable record, and how a request changes it.

Hides the checking of such a request: all of it is right, or nothing changes and the error names the field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

_LARGEST = 1_000_000_000


class BadFault(ValueError):
    """A fault that does not exist, or a value of the wrong type or range.  Names the field and the reason,
    not the value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class Faults:
    """Flags hold until they are changed.  A count goes down to nought, acts once and is then None; bytes
    are counted over all connections, queries included.

    ``paper_out``, ``head_open``, ``ribbon_out``, ``jammed``, ``cutter_stuck``
                                     nothing prints; the label under the head is cut off
    ``paper_low``                    the roll is nearly at its end; nothing stops
    ``reprint``                      whether a label that was cut is printed again, whatever its language says;
                                     None: as that says (ZPL ^JZ and TSPL SET REPRINT: yes unless switched
                                     off; ESC/POS: no, the printer goes on in the middle of it)
    ``paused``                       the label under the head comes out, then nothing prints
    ``silent``                       no query is answered
    ``silent_when_blocked``          none is answered while nothing can be printed (newer firmware)
    ``half_answers``                 an answer breaks off in its middle
    ``babble``                       rubbish is answered in place of an answer
    ``refuse_connections``           nobody listens on the raw port; those connected stay
    ``accept_never_read``            connections are accepted, their bytes stay on the wire
    ``half_open``                    whoever is or gets connected over the network is never heard nor answered
                                     again, not even when this is cleared, and is not told
    ``half_open_after_bytes``        that begins with the connection that brings the last
    ``unplugged``                    no cable: connections are lost, nobody can connect; the printer stays on
    ``usb_serial``                   serial number on USB from the next plugging in; None: the printer's own
    ``die_after_bytes``              the connection that brings the last is reset (a USB or serial cable is
                                     ``unplugged``); whole formats are printed
    ``keep_partial``                 whether half a format outlives ``die_after_bytes``
    ``exit_after_bytes``             the program kills itself
    ``paper_out_after_labels``       so many labels come out; the paper ends within the one after them
    ``bytes_per_s``                  speed of the link, all connections together; None: no limit
    ``speed_mm_s``                   speed of the paper; 0: labels take no time
    ``drain_delay_s``                how long a label lies in the buffer, at least, before it is printed
    ``drain_bytes_per_s``            how quickly labels are worked through once they are in the buffer
    ``tilde_in_data``                a ``~`` within field data begins a command
    """

    paper_out: bool = False
    head_open: bool = False
    ribbon_out: bool = False
    jammed: bool = False
    cutter_stuck: bool = False
    paper_low: bool = False
    paused: bool = False
    silent: bool = False
    silent_when_blocked: bool = False
    half_answers: bool = False
    babble: bool = False
    refuse_connections: bool = False
    accept_never_read: bool = False
    half_open: bool = False
    unplugged: bool = False
    keep_partial: bool = True
    tilde_in_data: bool = False
    reprint: bool | None = None
    usb_serial: str | None = None
    die_after_bytes: int | None = None
    half_open_after_bytes: int | None = None
    exit_after_bytes: int | None = None
    paper_out_after_labels: int | None = None
    bytes_per_s: int | None = None
    speed_mm_s: float = 152.0
    drain_delay_s: float = 0.0
    drain_bytes_per_s: int | None = None

    @property
    def blocked(self) -> bool:
        """Nothing can be printed until a person has been at the printer."""
        return self.paper_out or self.head_open or self.ribbon_out or self.jammed or self.cutter_stuck

    def changed(self, request: object) -> Faults:
        """These faults after a request, a JSON object {fault: value}.  Raises BadFault."""
        if not isinstance(request, Mapping):
            raise BadFault("body", "must be a JSON object")
        for field, value in request.items():
            if field not in _KINDS:
                raise BadFault(str(field)[:60], "no such fault")
            _check(field, _KINDS[field], value)
        return replace(self, **request)


_FLAG, _CHOICE, _COUNT, _RATE, _MEASURE, _NAME = (
    "true or false",
    "true, false or null",
    "a whole number from 0, or null",
    "a whole number from 1, or null",
    "a number from 0",
    "1 to 60 printable ASCII characters, or null",
)
_KINDS = dict.fromkeys(
    (
        "paper_out",
        "head_open",
        "ribbon_out",
        "jammed",
        "cutter_stuck",
        "paper_low",
        "paused",
        "silent",
        "silent_when_blocked",
        "half_answers",
        "babble",
        "refuse_connections",
        "accept_never_read",
        "half_open",
        "unplugged",
        "keep_partial",
        "tilde_in_data",
    ),
    _FLAG,
) | {
    "reprint": _CHOICE,
    "usb_serial": _NAME,
    "drain_bytes_per_s": _RATE,
    "die_after_bytes": _COUNT,
    "half_open_after_bytes": _COUNT,
    "exit_after_bytes": _COUNT,
    "paper_out_after_labels": _COUNT,
    "bytes_per_s": _RATE,
    "speed_mm_s": _MEASURE,
    "drain_delay_s": _MEASURE,
}


def _check(field: str, kind: str, value: object) -> None:
    if kind == _FLAG or (kind == _CHOICE and value is not None):
        right = isinstance(value, bool)
    elif value is None:
        right = kind in (_CHOICE, _COUNT, _RATE, _NAME)
    elif kind == _NAME:
        right = isinstance(value, str) and value.isascii() and value.isprintable() and 1 <= len(value) <= 60
    elif isinstance(value, bool) or not isinstance(value, int | float):  # in Python True is an int
        right = False
    elif kind == _MEASURE:
        right = math.isfinite(value) and 0 <= value <= _LARGEST
    else:
        right = isinstance(value, int) and (1 if kind == _RATE else 0) <= value <= _LARGEST
    if not right:
        raise BadFault(field, f"must be {kind}")
