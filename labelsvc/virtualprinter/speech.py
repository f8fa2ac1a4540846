"""What hosts say to a printer, whatever the language: the events that a language's stream is taken apart into, and what the
printer knows about itself when it answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LABEL_BYTES = 16 * 1024 * 1024
"""A label that grows beyond this is given up, as a printer does whose memory is full."""

MAX_COPIES = 99_999_999


@dataclass(frozen=True)
class Label:
    """A label received: its bytes, copies, ``length_dots`` if said, whether it puts anything on paper (a
    format that only sets options, or is only stored, feeds no label), and whether it is whole (half a slip
    that the next host's bytes come after is on paper, but no label).  ``reprint`` switches the printing
    again of labels that were cut, from this label on."""

    raw: bytes
    copies: int = 1
    length_dots: int | None = None
    draws: bool = True
    whole: bool = True
    reprint: bool | None = None


@dataclass(frozen=True)
class LabelBegun:
    """A label begins; whatever remainder lay in the printer is forgotten."""


@dataclass(frozen=True)
class Query:
    """Answered at once, whatever waits to be printed.  ``name`` is the language's own."""

    name: str
    detail: bytes = b""


@dataclass(frozen=True)
class InTurn:
    """A query that is answered when everything before it is printed; with ``newest_only`` not at all when
    another such waits behind it."""

    query: Query
    newest_only: bool = False


@dataclass(frozen=True)
class Watch:
    """From now on the host is told of every change, unasked: which ones, as the language's own mask; 0 ends
    it."""

    mask: int


@dataclass(frozen=True)
class CancelAll:
    """Everything received goes, but the label under the head."""


@dataclass(frozen=True)
class Reset:
    """Like switching off and on."""


@dataclass(frozen=True)
class Pause:
    """Pause, or the end of one."""

    paused: bool


@dataclass(frozen=True)
class Reprint:
    """Whether labels that were cut are printed again."""

    reprint: bool


Event = Label | LabelBegun | Query | InTurn | Watch | CancelAll | Reset | Pause | Reprint


@dataclass(frozen=True)
class Condition:
    """What the printer knows about itself at one moment.  ``waiting`` labels are formats, not copies;
    ``labels_left`` copies of the first; ``labels`` and ``length_mm`` printed for life, ``labels_since_on``
    since it was switched on."""

    name: str
    maker: str
    model: str
    serial: str
    dpi: int
    paper_out: bool
    paper_low: bool
    head_open: bool
    ribbon_out: bool
    jammed: bool
    cutter_stuck: bool
    paused: bool
    printing: bool
    buffer_full: bool
    partial: bool
    waiting: int
    labels_left: int
    length_dots: int
    labels: int
    labels_since_on: int
    length_mm: int

    @property
    def blocked(self) -> bool:
        """Nothing can be printed until a person has been at the printer."""
        return self.paper_out or self.head_open or self.ribbon_out or self.jammed or self.cutter_stuck


class RealTime:
    """Commands that are obeyed at once wherever they stand, data included, found in a stream cut at any byte.

    ``pattern`` matches a whole command, of at most ``longest`` bytes.
    """

    def __init__(self, pattern: re.Pattern[bytes], longest: int) -> None:
        self._pattern = pattern
        self._kept = longest - 1  # bytes that may begin a command whose end is yet to come
        self._recent = b""

    def forget(self) -> None:
        """What comes next ends no command that began before."""
        self._recent = b""

    def split(self, data: bytes) -> Iterator[tuple[bytes, re.Match[bytes] | None]]:
        """The stream in pieces, each with the command that it ends with; the last one with None."""
        at = len(self._recent)
        seen = self._recent + data
        obeyed = 0
        for found in self._pattern.finditer(seen):
            yield seen[at : found.end()], found
            at = obeyed = found.end()
        self._recent = seen[max(obeyed, len(seen) - self._kept) :]
        yield seen[at:], None
