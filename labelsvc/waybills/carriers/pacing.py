"""When a carrier network may be asked: the rate it bears, the rest it needs, the pause before a repetition.

Hides a token bucket that has no bottom until the network complains, a circuit breaker, and the jitter that keeps many
askers from coming back at the same moment. Nothing here sleeps: callers are told how long to wait. Clocks are monotonic
seconds.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
#: Complaints within so many seconds are answers to one burst.
_BURST_S = 1.0


def back_off_s(tries: int, chance: Callable[[], float] = random.random) -> float:
    """The pause after ``tries`` tries: 0.2 s doubling to 5 s, of which a half is left to ``chance`` (0 to 1)."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (tries - 1)) * (0.5 + chance() / 2)


class Pacer:
    """How many calls a second the network bears: as many as we like until it complains, then half of what we did.

    From then on each second without a complaint allows a tenth more, until the limit no longer binds and is dropped.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        least_per_s: float = 1.0,
        most_per_s: float = 200.0,
    ) -> None:
        self._clock = clock
        self._least = least_per_s
        self._most = most_per_s
        self._lock = threading.Lock()
        self._turns: deque[float] = deque(maxlen=1000)
        self._rate: float | None = None
        self._next = 0.0
        self._changed = float("-inf")

    @property
    def rate_per_s(self) -> float | None:
        """The limit in force; None: there is none."""
        with self._lock:
            return self._rate

    def turn_in_s(self, longest_s: float) -> float | None:
        """Take a turn: seconds to wait for it, or None, and no turn taken, if that would be more than ``longest_s``."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            if turn - now > longest_s:
                return None
            if self._rate is not None:
                self._next = turn + 1 / self._rate
            self._turns.append(turn)
            return turn - now

    def next_turn_s(self) -> float:
        """Seconds to the next free turn."""
        with self._lock:
            return max(0.0, self._next - self._clock())

    def limited(self) -> None:
        """The network complained of too many calls."""
        with self._lock:
            now = self._clock()
            if now - self._changed >= _BURST_S or self._rate is None:
                lately = sum(1 for turn in self._turns if now - _BURST_S < turn <= now)
                asked = min(self._rate or float("inf"), max(2 * self._least, lately / _BURST_S))
                self._rate = max(self._least, asked / 2)
                self._changed = now
            self._next = max(self._next, now + 1 / self._rate)

    def answered(self) -> None:
        """The network served a call."""
        with self._lock:
            now = self._clock()
            if self._rate is None or now - self._changed < _BURST_S:
                return
            self._rate *= 1.1
            self._changed = now
            if self._rate > self._most:
                self._rate = None
                self._next = 0.0


class Breaker:
    """Whether the network may be asked at all: closed (yes), open (a rest), half-open (one call tries it).

    It opens after ``most`` silences in a row, for ``pause_s``, which doubles up to ``longest_s`` with every probe that
    is met by silence. Whoever was admitted must tell ``answered`` or ``silent``.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        most: int = 5,
        pause_s: float = 2.0,
        longest_s: float = 60.0,
        probe_s: float = 60.0,
    ) -> None:
        """``probe_s``: a probe that was heard of no more for so long doesn't keep others from probing."""
        self._clock = clock
        self._most = most
        self._first = pause_s
        self._longest = longest_s
        self._probe_s = probe_s
        self._lock = threading.Lock()
        self._silences = 0
        self._pause = pause_s
        self._open_until: float | None = None
        self._probe_until: float | None = None

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        with self._lock:
            if self._open_until is None:
                return "closed"
            return "open" if self._clock() < self._open_until else "half_open"

    def admit(self) -> float:
        """0: the call may be made. Else the seconds to wait before asking again."""
        with self._lock:
            now = self._clock()
            if self._open_until is None:
                return 0.0
            if now < self._open_until:
                return self._open_until - now
            if self._probe_until is not None and now < self._probe_until:
                return min(self._first, self._probe_until - now)
            self._probe_until = now + self._probe_s
            return 0.0

    def answered(self) -> None:
        """The network answered, whatever it said."""
        with self._lock:
            self._silences = 0
            self._pause = self._first
            self._open_until = self._probe_until = None

    def silent(self) -> None:
        """The network didn't answer."""
        with self._lock:
            now = self._clock()
            if self._open_until is not None:
                if self._probe_until is None:
                    return  # a call from before the rest: it says nothing new
                self._pause = min(self._longest, self._pause * 2)
            else:
                self._silences += 1
                if self._silences < self._most:
                    return
            self._open_until = now + self._pause
            self._probe_until = None
