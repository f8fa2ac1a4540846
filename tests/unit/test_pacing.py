"""When a carrier network may be asked: its rate, its rest, the pause before a repetition."""

from __future__ import annotations

import threading

import pytest

from labelsvc.waybills.carriers.pacing import Breaker, Pacer, back_off_s


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_back_off_grows_with_jitter():
    """The pause doubles from 0.2 s to 5 s, and chance takes at most a half of it away."""
    assert [round(back_off_s(n, lambda: 1.0), 3) for n in (1, 2, 3, 9)] == [0.2, 0.4, 0.8, 5.0]
    assert [round(back_off_s(n, lambda: 0.0), 3) for n in (1, 2, 3, 9)] == [0.1, 0.2, 0.4, 2.5]
    assert len({back_off_s(1) for _ in range(20)}) > 1


def test_no_limit_before_a_complaint(clock: Clock):
    """A network that never complained is asked as fast as we can."""
    pacer = Pacer(clock)
    assert [pacer.turn_in_s(0) for _ in range(500)] == [0.0] * 500
    assert pacer.rate_per_s is None


def test_complaint_halves_the_rate(clock: Clock):
    """After a complaint the calls come at half the rate that we had, one after the other, for all askers together."""
    pacer = Pacer(clock)
    for _ in range(20):
        pacer.turn_in_s(0)
    clock.at += 0.5
    pacer.limited()
    assert pacer.rate_per_s == 10
    assert [pytest.approx(pacer.turn_in_s(9)) for _ in range(3)] == [0.1, 0.2, 0.3]


def test_one_burst_is_one_complaint(clock: Clock):
    """Eight calls in flight that are all refused halve the rate once, not eight times; a second later it halves again."""
    pacer = Pacer(clock)
    for _ in range(8):
        pacer.turn_in_s(0)
    for _ in range(8):
        pacer.limited()
    assert pacer.rate_per_s == 4
    clock.at += 1.5
    pacer.limited()
    assert pacer.rate_per_s == 1  # no call in the last second, and never less than the least


def test_turn_too_far_is_not_taken(clock: Clock):
    """An asker who can't wait so long is told so, and doesn't push the others back."""
    pacer = Pacer(clock)
    pacer.turn_in_s(0)
    pacer.limited()  # one call a second
    assert pacer.turn_in_s(0.5) is None
    assert pacer.next_turn_s() == 1
    assert pacer.turn_in_s(1) == 1
    assert pacer.turn_in_s(1.5) is None
    assert pacer.turn_in_s(2) == 2


def test_rate_recovers(clock: Clock):
    """Each second that is served allows a tenth more, and in the end the limit is dropped."""
    pacer = Pacer(clock)
    for _ in range(100):
        pacer.turn_in_s(0)
    pacer.limited()
    pacer.answered()
    assert pacer.rate_per_s == 50
    clock.at += 1
    pacer.answered()
    pacer.answered()
    assert pacer.rate_per_s == pytest.approx(55)
    for _ in range(20):
        clock.at += 1
        pacer.answered()
    assert pacer.rate_per_s is None
    assert pacer.turn_in_s(0) == 0.0


def test_breaker_opens_after_five_silences_in_a_row(clock: Clock):
    """Four silences are borne, an answer forgives them, the fifth in a row opens it for 2 s."""
    breaker = Breaker(clock)
    for _ in range(4):
        assert breaker.admit() == 0
        breaker.silent()
    breaker.answered()
    for _ in range(4):
        breaker.silent()
    assert (breaker.state, breaker.admit()) == ("closed", 0)
    breaker.silent()
    assert (breaker.state, breaker.admit()) == ("open", 2.0)
    clock.at += 1.5
    assert breaker.admit() == 0.5


def test_breaker_lets_one_probe_through(clock: Clock):
    """After the pause one call tries the network, while all others go on resting; its answer closes the breaker."""
    breaker = Breaker(clock)
    for _ in range(5):
        breaker.silent()
    clock.at += 2
    assert breaker.state == "half_open"
    gate, admitted = threading.Barrier(8), []

    def ask() -> None:
        gate.wait()
        if breaker.admit() == 0:
            admitted.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 1
    breaker.answered()
    assert (breaker.state, breaker.admit()) == ("closed", 0)
    for _ in range(4):
        breaker.silent()
    assert breaker.state == "closed"  # it counts from the start again


def test_breaker_pause_doubles(clock: Clock):
    """Every probe that meets silence doubles the pause: 2, 4, 8 ... 60 s; an answer brings it back to 2 s."""
    breaker, pauses = Breaker(clock), []
    for _ in range(5):
        breaker.silent()
    for _ in range(7):
        pauses.append(breaker.admit())
        clock.at += pauses[-1]
        assert breaker.admit() == 0
        breaker.silent()
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    clock.at += 60
    assert breaker.admit() == 0
    breaker.answered()
    for _ in range(5):
        breaker.silent()
    assert breaker.admit() == 2


def test_late_silences_prolong_nothing(clock: Clock):
    """Calls that were in flight when the breaker opened end in silence too, which says nothing new."""
    breaker = Breaker(clock)
    for _ in range(12):
        breaker.silent()
    assert breaker.admit() == 2
    breaker.answered()  # one of them was answered after all
    assert breaker.state == "closed"


def test_lost_probe_is_replaced(clock: Clock):
    """A probe that never reports doesn't close the door for ever."""
    breaker = Breaker(clock, probe_s=10)
    for _ in range(5):
        breaker.silent()
    clock.at += 2
    assert breaker.admit() == 0
    assert breaker.admit() > 0
    clock.at += 10
    assert breaker.admit() == 0
