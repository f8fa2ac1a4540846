"""The printer's answers: ~HS and the label counter, whole, cut, concatenated and hostile (printer-status, 3.1)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelsvc.errors import Invalid
from labelsvc.languages import zpl

IDLE = b"\x02030,0,0,1245,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,6,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n"


def answer(line: int = 0, field: int = 0, value: str | None = None) -> bytes:
    """The idle answer with one field changed."""
    frames = [frame.split(b"\x02")[1].split(b",") for frame in IDLE.split(b"\x03\r\n")[:3]]
    if value is not None:
        frames[line][field] = value.encode()
    return b"".join(b"\x02" + b",".join(frame) + b"\x03\r\n" for frame in frames)


def test_the_idle_answer():
    """The guide's answer of a printer at rest: nothing blocks it, nothing is left to print."""
    status = zpl.read_status(IDLE)
    assert len(IDLE) == 82
    assert status is not None and status.blocked is None and status.idle
    assert (status.label_length_dots, status.print_mode) == (1245, 2)


@pytest.mark.parametrize(
    ("line", "field", "value", "reason"),
    [
        (0, 1, "1", "paper_out"),
        (0, 2, "1", "paused"),
        (0, 6, "1", "diagnostic_mode"),
        (0, 10, "1", "under_temperature"),
        (0, 11, "1", "over_temperature"),
        (1, 2, "1", "head_open"),
        (1, 3, "1", "ribbon_out"),
    ],
)
def test_what_blocks_a_printer(line, field, value, reason):
    """Each flag that keeps a printer from printing is told by its word."""
    status = zpl.read_status(answer(line, field, value))
    assert status is not None and status.blocked == reason and status.idle


@pytest.mark.parametrize(
    ("line", "field", "value", "name", "expected"),
    [
        (0, 3, "0832", "label_length_dots", 832),
        (0, 4, "007", "formats_waiting", 7),
        (0, 5, "1", "buffer_full", True),
        (0, 7, "1", "partial_format", True),
        (0, 9, "1", "memory_lost", True),
        (1, 5, "1", "print_mode", 1),
        (1, 7, "1", "label_waiting", True),
        (1, 8, "00000042", "labels_left", 42),
    ],
)
def test_each_field_stands_where_the_guide_says(line, field, value, name, expected):
    """Every other field is read from its place."""
    status = zpl.read_status(answer(line, field, value))
    assert getattr(status, name) == expected and status.blocked is None


@pytest.mark.parametrize(("line", "field", "value"), [(0, 4, "001"), (0, 7, "1"), (1, 8, "00000001")])
def test_a_printer_with_work_left_is_not_idle(line, field, value):
    """Formats waiting, half a format received, or labels left of a batch: not idle."""
    status = zpl.read_status(answer(line, field, value))
    assert status is not None and not status.idle


def test_the_cause_comes_before_the_pause():
    """A printer paused because its head is open says head_open: that is what a person must mend."""
    both = answer(1, 2, "1").replace(b"030,0,0,", b"030,1,1,", 1)
    status = zpl.read_status(both)
    assert status is not None and (status.paper_out, status.paused, status.blocked) == (
        True,
        True,
        "head_open",
    )


def test_an_answer_cut_anywhere_is_not_whole():
    """Wherever TCP cuts the answer, nothing is concluded before its last frame ended."""
    whole = IDLE.rindex(b"\x03") + 1
    for cut in range(whole):
        assert zpl.read_status(IDLE[:cut]) is None
    assert zpl.read_status(IDLE[:whole]) == zpl.read_status(IDLE)


def test_of_several_answers_the_newest_whole_one_counts():
    """Answers that came together are told apart; a begun one after them changes nothing."""
    newer = answer(0, 1, "1")
    for rest in (b"", IDLE[:20], IDLE[:50]):
        status = zpl.read_status(IDLE + newer + rest)
        assert status is not None and status.blocked == "paper_out"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x00" * 10,
        b"\x02hello\x03",
        b"\x02030,0,0\x03\r\n",
        b"\x02030,0,0,1245,000,0,0,0,000,0,0,0,0\x03",
        b"\x02030,0,0,1245,000,0,0,0,000,0,0,\x03",
        b"\x02030,-1,0,1245,000,0,0,0,000,0,0,0\x03",
        b"\x02" + b"1" * 100,
        b"\x02" + b"1," * 40 + b"\x03",
        b"\x02\xff",
        IDLE + b"x",
        b"\r\n" * 5000,
        "\x02０30,0,0,1245,000,0,0,0,000,0,0,0\x03".encode(),
    ],
)
def test_garbage_is_refused_not_believed(reply):
    """What can't be or become an answer is refused, and the refusal doesn't quote it."""
    with pytest.raises(Invalid) as refused:
        zpl.read_status(reply)
    assert refused.value.code == "reply.garbage" and "HTTP" not in refused.value.detail


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_break_the_readers(reply):
    """Any bytes at all give a value, nothing yet, or Invalid: never another error."""
    for read in (zpl.read_status, zpl.read_counter):
        with contextlib.suppress(Invalid):
            read(reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"", None),
        (b'"', None),
        (b'"12', None),
        (b'"1234"', 1234),
        (b'"0"\r\n', 0),
        (b'\r\n"000123"\x00', 123),
        (b'"12""13"', 13),
        (b'"12"\r\n"1', 12),
        (b'"?', None),
    ],
)
def test_the_counter(reply, expected):
    """The counter comes in quotes; of several answers the newest whole one counts."""
    assert zpl.read_counter(reply) == expected


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b'"?"', "reply.unknown"),
        (b'""', "reply.garbage"),
        (b'"12x"', "reply.garbage"),
        (b'"-1"', "reply.garbage"),
        (b"1234", "reply.garbage"),
        (b'"' + b"9" * 40, "reply.garbage"),
        (b" " * 5000, "reply.garbage"),
        (IDLE, "reply.garbage"),
    ],
)
def test_no_counter(reply, code):
    """A printer without the counter says "?"; anything else but a number in quotes is refused."""
    with pytest.raises(Invalid) as refused:
        zpl.read_counter(reply)
    assert refused.value.code == code


def test_the_queries():
    """The queries are those of the guide: host status, and the counter that is never reset."""
    assert zpl.STATUS_QUERY == b"~HS\r\n"
    assert zpl.COUNTER_QUERY == b'! U1 getvar "odometer.total_label_count"\r\n'
