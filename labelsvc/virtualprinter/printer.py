"""The printer itself: receive buffer, print queue, head, paper, and what it says about them.

Hides all concurrency: connections, the head and the control port meet in one lock, so that a status answer,
the tray and the odometer never contradict each other.  Times are the monotonic clock's seconds.

What it does as real ones do: several hosts are heard at once, labels print in the order in which their
last byte arrived; a full buffer stops reading; a label received is printed whatever becomes of its host; one
cut off by the end of the paper or an open head is printed again, if the language has that, and the stump
doesn't count; half a label stays in the buffer until the next begins or a reset.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from . import escpos, tspl, zpl
from .faults import Faults
from .speech import (
    CancelAll,
    Condition,
    Event,
    InTurn,
    Label,
    LabelBegun,
    Pause,
    Query,
    Reprint,
    Reset,
    Watch,
)
from .tray import Tray

LANGUAGES = {"zpl": zpl, "escpos": escpos, "tspl": tspl}
_MM_PER_INCH = 25.4
_RUBBISH = bytes(range(256)) * 16
_DEFAULT_LENGTH_MM = 150.0
_LARGEST_READ = 65_536
_READS_PER_S = 20
"""A limited link is read in pieces small enough to look even."""


class ConnectionLost(Exception):
    """The printer has dropped this connection: power cycle, a fault, or the end."""


class ConnectionForgotten(ConnectionLost):
    """The printer knows nothing of this connection any more, and the host is not told."""


@dataclass(eq=False)
class Line:
    """One host's way to the printer.  A ``lasting`` one (USB, serial) is there whether a host is or not, so
    that what one host left undone meets the next one's bytes; it outlives a cable pulled out."""

    unread: Callable[[], int]
    send: Callable[[bytes], None]
    lasting: bool
    stream: zpl.Stream | escpos.Stream | tspl.Stream
    forgotten: bool = False
    watches: int = 0  # what the host wants to be told of unasked
    told: bytes = b""


class Wire(Protocol):
    """One way to the printer: a raw port, a USB port, a serial line."""

    def obey(self, faults: Faults) -> None:
        """Be connectable, or not, as the faults want it."""

    def drop_connections(self) -> None:
        """The printer was switched off and on."""

    def close(self) -> None:
        """For good."""


@dataclass(frozen=True)
class Build:
    """What the printer is: resolution, head, buffer, how long it takes to be ready for its first label."""

    language: str = "zpl"
    cutter: bool = True
    name: str = "vp"
    maker: str = "labelsvc"
    model: str = "virtual-203"
    serial: str = "VP000001"
    dpi: int = 203
    width_mm: float = 104.0
    buffer_bytes: int = 262_144
    warm_up_s: float = 0.0

    def device_id(self, serial: str) -> bytes:
        """Its IEEE 1284 device id."""
        return (
            f"MFG:{self.maker};CMD:{self.language.upper()};MDL:{self.model};CLS:PRINTER;SN:{serial};".encode(
                "ascii"
            )
        )


@dataclass
class _Turn:
    """What waits its turn: a label with the copies that are still to come out, or a question that is answered
    when everything before it is printed."""

    said: Label | InTurn
    line: Line
    received_at: float
    copies_left: int
    drained: bool = False

    @property
    def held_bytes(self) -> int:
        return len(self.said.raw) if isinstance(self.said, Label) else 8 + len(self.said.query.detail)


class Printer:
    """One printer.  Every public method may be called from any thread; ``run`` is the head's own."""

    def __init__(self, build: Build, tray: Tray, faults: Faults) -> None:
        self.build = build
        self._tray = tray
        self._faults = faults
        self._changed = threading.Condition(threading.RLock())
        self._language = LANGUAGES[build.language]
        self._queue: deque[_Turn] = deque()
        self._lines: list[Line] = []  # oldest first
        self._under_head: _Turn | None = None
        self._remainder_bytes = 0  # halves of formats whose connection is gone
        self._link_free_at = self._drained_at = 0.0
        self._warm_at = time.monotonic() + build.warm_up_s
        self._length_dots = round(_DEFAULT_LENGTH_MM / _MM_PER_INCH * build.dpi)
        self._reprint = self._reprints_at_first = build.language != "escpos"
        self._printed = self._printed_since_on = 0
        self._bytes_received = 0
        self._stopping = False

    # ------------------------------------------------------------------ the port's side

    def attach(self, unread: Callable[[], int], send: Callable[[bytes], None], lasting: bool = False) -> Line:
        """A host has connected, or a lasting line is ready.  ``unread`` tells how many of its bytes have
        arrived and are not yet taken; ``send`` must return at once, whether anybody listens or not."""
        with self._changed:
            stream = self._language.Stream(self.build.dpi, self.build.cutter)
            line = Line(unread, send, lasting, stream, forgotten=self._faults.half_open and not lasting)
            self._lines.append(line)
            return line

    def detach(self, line: Line) -> None:
        """The host is gone and all it sent is read; half a format stays behind."""
        with self._changed:
            if line in self._lines:
                self._lines.remove(line)
                self._keep_remainder(line)
                self._changed.notify_all()

    def take(self, line: Line, read: Callable[[int], bytes]) -> bool:
        """Take in the next bytes of a line as soon as the buffer, the link's speed and the faults allow:
        ``read(most)`` must return at once, ``b""`` at the end of the stream.  False at the end.  Raises
        ConnectionLost, and whatever ``read`` raises."""
        with self._changed:
            while (hindrance := self._read_hindrance(line)) > 0:
                self._changed.wait(None if hindrance == math.inf else hindrance)
            most = self._most_to_read()
            data = read(most) if most else b""
            if most and not data:
                return False
            self._bytes_received += len(data)
            if self._faults.bytes_per_s:
                self._link_free_at = (
                    max(self._link_free_at, time.monotonic()) + len(data) / self._faults.bytes_per_s
                )
            line.stream.tilde_in_data = self._faults.tilde_in_data
            for event in line.stream.feed(data):
                self._obey(line, event)
            self._burn_fuses(line, len(data))
            self._note_change()
            return True

    def bytes_before_cut(self, line: Line) -> int:
        """How many more bytes may cross a line before ``die_after_bytes`` cuts it."""
        with self._changed:
            fuse = 0 if self._faults.unplugged else self._faults.die_after_bytes
            return _LARGEST_READ if fuse is None else max(0, fuse - line.unread())

    def _read_hindrance(self, line: Line) -> float:
        """Seconds to wait before this line may be read; inf until something changes."""
        if line.forgotten:
            raise ConnectionForgotten
        if self._stopping or line not in self._lines:
            raise ConnectionLost
        if self._faults.accept_never_read:
            return math.inf
        # With nothing to print, a format that is longer than the buffer is drawn while it comes in.
        if self._queue and self._held_bytes() >= self.build.buffer_bytes:
            return math.inf
        # One receive buffer, in order of arrival: else a host that comes back would be told "nothing here"
        # while the label of its former connection still waits to be read.
        older = itertools.takewhile(lambda other: other is not line, self._lines)
        if any(other.unread() for other in older if not other.forgotten):
            return math.inf
        return self._link_free_at - time.monotonic() if self._faults.bytes_per_s else 0.0

    def _most_to_read(self) -> int:
        room = self.build.buffer_bytes - (self._held_bytes() if self._queue else 0)
        limits = [_LARGEST_READ, room]
        if self._faults.bytes_per_s:
            limits.append(max(1, self._faults.bytes_per_s // _READS_PER_S))
        fuses = (
            self._faults.die_after_bytes,
            self._faults.half_open_after_bytes,
            self._faults.exit_after_bytes,
        )
        return min(*limits, *(fuse for fuse in fuses if fuse is not None))

    def _burn_fuses(self, line: Line, count: int) -> None:
        if self._burnt("exit_after_bytes", count):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._burnt("half_open_after_bytes", count) and not line.lasting:
            self._faults = replace(self._faults, half_open=True)
            self._forget_connections()
            self._note_change()
            raise ConnectionForgotten
        if self._burnt("die_after_bytes", count):
            if not self._faults.keep_partial:
                line.stream.forget_all()
            if line.lasting:
                self._faults = replace(self._faults, unplugged=True)
            else:
                self._lines.remove(line)
                self._keep_remainder(line)
            self._changed.notify_all()
            raise ConnectionLost

    def _burnt(self, fuse: str, count: int) -> bool:
        """Shorten a fuse by so many bytes; whether it has burnt down."""
        left = getattr(self._faults, fuse)
        if left is None:
            return False
        self._faults = self._faults.changed({fuse: left - count or None})
        return bool(left == count)

    def _forget_connections(self) -> None:
        for line in self._lines:
            line.forgotten |= not line.lasting

    def _keep_remainder(self, line: Line) -> None:
        if line.stream.partial:
            self._remainder_bytes += line.stream.held_bytes

    def _held_bytes(self) -> int:
        waiting = sum(turn.held_bytes for turn in self._queue)
        return waiting + self._remainder_bytes + sum(line.stream.held_bytes for line in self._lines)

    # ------------------------------------------------------------------ what the stream says

    def _obey(self, line: Line, event: Event) -> None:
        match event:
            case LabelBegun():
                self._remainder_bytes = 0
            case Label():
                self._queue.append(_Turn(event, line, time.monotonic(), event.copies))
                self._length_dots = event.length_dots or self._length_dots
                self._reprint = self._reprint if event.reprint is None else event.reprint
            case InTurn():
                self._queue.append(_Turn(event, line, time.monotonic(), 0, drained=True))
            case Query():
                self._answer(line, event)
            case Watch():
                line.watches = event.mask
                line.told = b""  # the first is told at once
            case CancelAll():
                self._cancel_all(line)
            case Reset():
                self._forget_everything(line)
            case Pause():
                self._faults = replace(self._faults, paused=event.paused)
            case Reprint():
                self._reprint = event.reprint

    def _answer(self, line: Line, query: Query) -> None:
        faults = self._faults
        if faults.silent or (faults.silent_when_blocked and faults.blocked):
            return
        answer = self._language.answer(query, self._condition())
        if answer and faults.babble:
            answer = _RUBBISH
        elif faults.half_answers:
            answer = answer[: len(answer) // 2]
        if answer and not line.forgotten:
            line.send(answer)

    def _note_change(self) -> None:
        """Wake whoever waits, and tell those hosts that want to be told unasked."""
        self._changed.notify_all()
        watching = [line for line in self._lines if line.watches and not line.forgotten]
        if not watching or self._faults.silent:
            return
        now = self._condition()
        for line in watching:
            notice = self._language.notice(line.watches, now)
            if notice != line.told:
                line.told = notice
                line.send(notice)

    def _cancel_all(self, speaking: Line | None) -> None:
        """Everything goes but the label that is under the head, which comes out."""
        under_head = self._under_head
        self._queue.clear()
        if under_head:
            under_head.copies_left = 1
            self._queue.append(under_head)
        self._forget_partial_labels(speaking)

    def _forget_everything(self, speaking: Line | None) -> None:
        """Power-on reset: buffer and print queue are empty, the label under the head stays half done."""
        self._queue.clear()
        self._forget_partial_labels(speaking)
        self._warm_at = time.monotonic() + self.build.warm_up_s
        self._faults = replace(self._faults, paused=False)
        self._reprint = self._reprints_at_first
        self._printed_since_on = 0

    def _forget_partial_labels(self, speaking: Line | None) -> None:
        self._remainder_bytes = 0
        for line in self._lines:
            if line is speaking:
                line.stream.forget()  # what it says behind the command still holds
            else:
                line.stream.forget_all()

    def _partial(self) -> bool:
        return self._remainder_bytes > 0 or any(line.stream.partial for line in self._lines)

    def _waiting(self) -> list[_Turn]:
        return [turn for turn in self._queue if isinstance(turn.said, Label)]

    def _condition(self) -> Condition:
        faults, waiting = self._faults, self._waiting()
        return Condition(
            name=self.build.name,
            maker=self.build.maker,
            model=self.build.model,
            serial=self.build.serial,
            dpi=self.build.dpi,
            paper_out=faults.paper_out,
            paper_low=faults.paper_low,
            head_open=faults.head_open,
            ribbon_out=faults.ribbon_out,
            jammed=faults.jammed,
            cutter_stuck=faults.cutter_stuck,
            paused=faults.paused,
            printing=self._under_head is not None,
            buffer_full=self._held_bytes() >= self.build.buffer_bytes,
            partial=self._partial(),
            waiting=len(waiting),
            labels_left=waiting[0].copies_left if waiting else 0,
            length_dots=self._length_dots,
            labels=self._tray.odometer,
            labels_since_on=self._printed_since_on,
            length_mm=self._tray.length_mm,
        )

    # ------------------------------------------------------------------ the head

    def run(self) -> None:
        """Print, label by label, until ``stop``."""
        while True:
            with self._changed:
                while not self._stopping and (hindrance := self._print_hindrance()) > 0:
                    self._changed.wait(None if hindrance == math.inf else hindrance)
                if self._stopping:
                    return
                self._next(self._queue[0])
                self._note_change()
            time.sleep(0.0002)  # at boundless speed the lock would never be free for the others

    def _print_hindrance(self) -> float:
        """Seconds until what is next may begin; inf until something changes."""
        if not self._queue or self._faults.blocked or self._faults.paused:
            return math.inf
        return max(self._warm_at, self._ready_at(self._queue[0])) - time.monotonic()

    def _ready_at(self, turn: _Turn) -> float:
        if turn.drained or not isinstance(turn.said, Label):
            return turn.received_at
        ready_at = turn.received_at + self._faults.drain_delay_s
        if self._faults.drain_bytes_per_s:
            begun_at = max(self._drained_at, turn.received_at)
            ready_at = max(ready_at, begun_at + len(turn.said.raw) / self._faults.drain_bytes_per_s)
        return ready_at

    def _next(self, turn: _Turn) -> None:
        if not turn.drained:
            turn.drained = True
            self._drained_at = time.monotonic()
        match turn.said:
            case InTurn():
                self._queue.popleft()
                newer = (later.said for later in self._queue if isinstance(later.said, InTurn))
                if not (turn.said.newest_only and any(said.newest_only for said in newer)):
                    self._answer(turn.line, turn.said.query)
            case Label(draws=False):
                self._queue.popleft()
            case Label():
                self._print_label(turn, turn.said)

    def _print_label(self, turn: _Turn, label: Label) -> None:
        if self._faults.paper_out_after_labels == 0:
            self._faults = replace(self._faults, paper_out=True, paper_out_after_labels=None)
            self._cut(turn, label)
            return
        self._under_head = turn
        length_mm = left_mm = self._length_mm(label)
        while self._may_go_on(turn) and (speed_mm_s := self._faults.speed_mm_s) and left_mm > 0:
            moving_since = time.monotonic()
            self._changed.wait(left_mm / speed_mm_s)
            left_mm -= (time.monotonic() - moving_since) * speed_mm_s
        self._under_head = None
        if not self._may_go_on(turn):
            self._cut(turn, label)
            return
        if label.whole:
            self._tray.drop(label.raw, length_mm)
            self._printed += 1
            self._printed_since_on += 1
        else:
            self._tray.drop_cut(label.raw)
        self._count_down(turn)
        if self._faults.paper_out_after_labels is not None:
            self._faults = replace(
                self._faults, paper_out_after_labels=self._faults.paper_out_after_labels - 1
            )

    def _cut(self, turn: _Turn, label: Label) -> None:
        """A stump; without a reprint the rest of the label comes out later as another, and is not counted."""
        self._tray.drop_cut(label.raw)
        reprint = self._reprint if self._faults.reprint is None else self._faults.reprint
        if not reprint and self._queue and self._queue[0] is turn:
            self._count_down(turn)

    def _count_down(self, turn: _Turn) -> None:
        turn.copies_left -= 1
        if turn.copies_left == 0:
            self._queue.popleft()

    def _may_go_on(self, turn: _Turn) -> bool:
        has_power = not self._stopping and bool(self._queue) and self._queue[0] is turn
        return has_power and not self._faults.blocked

    def _length_mm(self, label: Label) -> float:
        dots = label.length_dots
        return dots / self.build.dpi * _MM_PER_INCH if dots else _DEFAULT_LENGTH_MM

    # ------------------------------------------------------------------ the control port's side

    def change_faults(self, request: object) -> Faults:
        """Apply {fault: value} as a whole or not at all.  Raises BadFault."""
        with self._changed:
            self._faults = self._faults.changed(request)
            if self._faults.half_open:
                self._forget_connections()
            self._note_change()
            return self._faults

    @property
    def faults(self) -> Faults:
        """All faults in force."""
        return self._faults

    def port_status(self) -> int:
        """One byte for GET_PORT_STATUS: not in error 0x08, selected 0x10, paper empty 0x20."""
        faults = self._faults
        ready = not (faults.blocked or faults.paused)
        return ready * 0x08 + (not faults.paused) * 0x10 + faults.paper_out * 0x20

    def soft_reset(self) -> None:
        """SOFT_RESET of the USB printer class: all that was received is gone, but the label under the head."""
        with self._changed:
            self._cancel_all(None)
            self._note_change()

    def power_cycle(self) -> None:
        """Off and on again: buffer, partial formats and connections are gone, odometer, paper and faults
        stay."""
        with self._changed:
            self._forget_everything(None)
            self._lines = [line for line in self._lines if line.lasting]
            self._changed.notify_all()

    def stop(self) -> None:
        """Power off for good: ``run`` returns, connections are lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def state(self) -> dict[str, object]:
        """The truth about the printer at one moment, for JSON: ``printed`` since the program's start,
        ``odometer`` for life, ``queue`` labels waiting (a batch of copies is one) and ``labels_left`` of the
        first of them, whether bytes are ``arriving`` that it has not taken yet, ``buffered`` bytes, the names
        of ``cut`` labels, the faults in force."""
        with self._changed:
            waiting = self._waiting()
            return {
                "name": self.build.name,
                "language": self.build.language,
                "dpi": self.build.dpi,
                "width_mm": self.build.width_mm,
                "printed": self._printed,
                "odometer": self._tray.odometer,
                "queue": len(waiting),
                "labels_left": waiting[0].copies_left if waiting else 0,
                "printing": self._under_head is not None,
                "paper": "out" if self._faults.paper_out else "loaded",
                "head": "open" if self._faults.head_open else "closed",
                "partial": self._partial(),
                "connections": sum(not line.lasting for line in self._lines),
                "bytes_received": self._bytes_received,
                "arriving": any(line.unread() for line in self._lines if not line.forgotten),
                "buffered": self._held_bytes(),
                "cut": self._tray.cut_labels(),
                "faults": asdict(self._faults),
            }

    def labels(self) -> list[str]:
        """Names of the labels in the tray, in the order they came out."""
        with self._changed:
            return self._tray.labels()

    def label(self, name: str) -> bytes | None:
        """The bytes of one label; None if there is none of that name."""
        return self._tray.read(name)
