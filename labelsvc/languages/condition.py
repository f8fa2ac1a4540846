"""How a printer is, in one noun for every language; and the port status of USB's printer class, which is no language's.

Hides which bit of which answer said so. What a printer's silence means is not said here: the spooler decides that.
"""

from __future__ import annotations

from dataclasses import dataclass

from labelsvc.errors import Invalid


@dataclass(frozen=True)
class Condition:
    """What a printer says of itself. 打印机状态

    ``blocked`` is why it can't print now, in one word, or "": *head_open*, *cover_open*, *paper_out*, *ribbon_out*, *jam*,
    *cutter*, *over_temperature*, *under_temperature*, *memory_full*, *fault*, *diagnostic_mode*, *offline*, *paused*.
    ``quiet`` is whether nothing that it received waits or is being printed; None if it can't tell. ``partial``: half a label
    lies in its buffer. ``warnings`` are words of the same kind that don't keep it from printing: *paper_low*, *clean_head* ...
    """

    blocked: str = ""
    quiet: bool | None = None
    partial: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether it says that nothing is left to print."""
        return self.quiet is True and not self.partial


def first_true(reasons: dict[str, bool]) -> str:
    """The first word whose fact holds, or "". What a person must mend first comes first in ``reasons``."""
    return next((reason for reason, true in reasons.items() if true), "")


def all_true(reasons: dict[str, bool]) -> tuple[str, ...]:
    """Every word whose fact holds."""
    return tuple(reason for reason, true in reasons.items() if true)


def read_port_status(byte: int) -> Condition:
    """The answer to GET_PORT_STATUS: 0x20 paper empty, 0x10 selected, 0x08 no error. Source: USB printer class 1.1, 4.2.2.

    Some printers set 0x40 at a jam and 0x80 at an open cover (PAPPL); the standard keeps these bits zero. Invalid
    (``reply.garbage``) if it can't be a byte.
    """
    if not 0 <= byte <= 0xFF:
        raise Invalid("The printer's port status is no byte", code="reply.garbage")
    return Condition(
        blocked=first_true(
            {
                "cover_open": bool(byte & 0x80),
                "jam": bool(byte & 0x40),
                "paper_out": bool(byte & 0x20),
                "fault": not byte & 0x08,
                "offline": not byte & 0x10,
            }
        )
    )
