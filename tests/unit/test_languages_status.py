"""The printers' answers in every language, whole, cut anywhere, one after another and hostile: bytes from a wire are believed nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelsvc.errors import Invalid
from labelsvc.languages import Condition, escpos, read_port_status, tspl, zpl

READERS = (
    zpl.read_status,
    zpl.read_errors,
    zpl.read_counter,
    escpos.hear,
    tspl.read_status,
    tspl.read_detail,
    tspl.read_counter,
)
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
    assert status is not None and status.condition == Condition(quiet=True) and status.condition.idle
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
    assert status is not None and status.condition == Condition(blocked=reason, quiet=True)


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
    assert getattr(status, name) == expected and not status.condition.blocked


@pytest.mark.parametrize(("line", "field", "value"), [(0, 4, "001"), (0, 7, "1"), (1, 8, "00000001")])
def test_a_printer_with_work_left_is_not_idle(line, field, value):
    """Formats waiting, half a format received, or labels left of a batch: not idle."""
    status = zpl.read_status(answer(line, field, value))
    assert status is not None and not status.condition.idle


def test_the_cause_comes_before_the_pause():
    """A printer paused because its head is open says head_open: that is what a person must mend."""
    both = answer(1, 2, "1").replace(b"030,0,0,", b"030,1,1,", 1)
    status = zpl.read_status(both)
    assert status is not None and (status.paper_out, status.paused, status.condition.blocked) == (
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
        assert status is not None and status.condition.blocked == "paper_out"


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
    for read in READERS:
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


# ---------------------------------------------------------------- ~HQES


def errors(flags: int, warnings: int = 0, gap: bytes = b" ") -> bytes:
    """An answer to ~HQES."""
    lines = (b"ERRORS:", flags), (b"WARNINGS:", warnings)
    told = [name + gap + b"%d 00000000 %08X" % (bool(value), value) for name, value in lines]
    return b"\x02\r\n" + gap + b"\r\n".join([b"PRINTER STATUS", *told]) + b"\r\n\x03"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (0, ""),
        (0x1, "paper_out"),
        (0x2, "ribbon_out"),
        (0x4, "head_open"),
        (0x8, "cutter"),
        (0x1000, "jam"),
        (0x2000, "fault"),
        (0x8000, "jam"),
        (0x10000, "paused"),
        (0x80000, "fault"),
        (0x10005, "head_open"),
        (0x400000, "fault"),
    ],
)
@pytest.mark.parametrize("gap", [b" ", b"         "])
def test_each_error_has_its_word(flags, word, gap):
    """~HQES: what a person must mend first; an error that no table has is a fault; what is left to print it doesn't say."""
    assert zpl.read_errors(errors(flags, gap=gap)) == Condition(blocked=word)


def test_warnings_block_nothing():
    """~HQES: paper near its end and a head to be cleaned are told, and don't keep a printer from printing."""
    assert zpl.read_errors(errors(0, 0xA)) == Condition(warnings=("clean_head", "paper_low"))


def test_errors_cut_anywhere_are_not_whole():
    """~HQES: nothing is concluded before its last byte."""
    whole = errors(0x1)
    assert [zpl.read_errors(whole[:cut]) for cut in range(len(whole))] == [None] * len(whole)


@pytest.mark.parametrize(
    "reply",
    [IDLE, b"x", b"\x02" + b"1" * 300, errors(0).replace(b"ERRORS", b"ERROR"), errors(0).replace(b"0", b"g")],
)
def test_errors_of_another_form_are_refused(reply):
    """~HQES: another frame, one without an end, other digits."""
    with pytest.raises(Invalid) as refused:
        zpl.read_errors(reply)
    assert refused.value.code == "reply.garbage"


# ---------------------------------------------------------------- ESC/POS


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({1: 0x12, 4: 0x12}, Condition()),
        ({1: 0x16, 4: 0x12}, Condition()),  # the drawer's pin is high
        ({1: 0x12, 4: 0x1E}, Condition(warnings=("paper_low",))),
        ({1: 0x1A, 2: 0x12, 3: 0x12, 4: 0x12}, Condition(blocked="offline")),
        ({1: 0x1A, 2: 0x16, 3: 0x12, 4: 0x12}, Condition(blocked="cover_open")),
        ({1: 0x1A, 2: 0x32, 3: 0x12, 4: 0x7E}, Condition(blocked="paper_out", warnings=("paper_low",))),
        ({1: 0x12, 4: 0x72}, Condition(blocked="paper_out")),
        ({1: 0x1A, 2: 0x52, 3: 0x1A, 4: 0x12}, Condition(blocked="cutter")),
        ({1: 0x1A, 2: 0x52, 3: 0x32, 4: 0x12}, Condition(blocked="fault")),
        ({1: 0x1A, 2: 0x52, 3: 0x52, 4: 0x12}, Condition(blocked="over_temperature")),
        ({1: 0x1A, 2: 0x1A, 3: 0x12, 4: 0x12}, Condition(blocked="paused")),
    ],
)
def test_what_dle_eot_says(answers, expected):
    """ESC/POS: each bit has its word, and no answer says that nothing is left to print."""
    assert escpos.read_status(answers) == expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("10000000", Condition()),
        ("14000000", Condition()),
        ("18000000", Condition(blocked="offline")),
        ("38000000", Condition(blocked="cover_open")),
        ("18080000", Condition(blocked="cutter")),
        ("18200000", Condition(blocked="fault")),
        ("18400000", Condition(blocked="over_temperature")),
        ("10000300", Condition(warnings=("paper_low",))),
        ("18000f00", Condition(blocked="paper_out", warnings=("paper_low",))),
    ],
)
def test_what_an_automatic_status_says(group, expected):
    """ESC/POS: the four bytes of ASB."""
    heard = escpos.hear(bytes.fromhex(group))
    assert heard == (b"", bytes.fromhex(group), (), b"")
    assert escpos.read_automatic(heard.automatic) == expected


def test_replies_are_told_apart_wherever_they_are_cut():
    """ESC/POS: DLE EOT, ASB, process ids and flow control in one stream, fed in two pieces at every place."""
    stream = bytes.fromhex("12 1a 18000c00 11 37222020202100 13 16 10000000 37227e7e7e7e00")
    for cut in range(len(stream) + 1):
        first = escpos.hear(stream[:cut])
        second = escpos.hear(first.rest + stream[cut:])
        assert first.answers + second.answers == b"\x12\x1a\x16"
        assert first.receipts + second.receipts == (1, 95**4 - 1)
        assert (second.automatic or first.automatic) == bytes.fromhex("10000000")
        assert second.rest == b""


@pytest.mark.parametrize(
    "reply", ["00", "ff", "5f5400", "3721", "37221f", "3722202020207f", "18900000", "1800001c", "01"]
)
def test_other_replies_are_refused(reply):
    """ESC/POS: a byte that answers nothing, another block of data, a process id of other characters, half of an ASB."""
    with pytest.raises(Invalid) as refused:
        escpos.hear(bytes.fromhex(reply))
    assert refused.value.code == "reply.garbage"


@pytest.mark.parametrize(
    ("number", "process_id"), [(0, b"    "), (1, b"   !"), (94, b"   ~"), (95, b"  ! "), (95**4 - 1, b"~~~~")]
)
def test_a_receipt_is_asked_for_by_four_characters_that_rise(number, process_id):
    """ESC/POS: GS ( H function 48 (P7); what comes back is the same number."""
    asked = escpos.receipt_query(number)
    assert asked == b"\x1d(H\x06\x00\x30\x30" + process_id
    assert escpos.hear(b"\x37\x22" + process_id + b"\0").receipts == (number,)


def test_the_questions_of_escpos():
    """ESC/POS: DLE EOT n for each n."""
    assert escpos.status_query(escpos.PRINTER, escpos.PAPER) == b"\x10\x04\x01\x10\x04\x04"
    for number in (-1, 95**4):
        with pytest.raises(ValueError, match="four characters"):
            escpos.receipt_query(number)


# ---------------------------------------------------------------- TSPL


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x00, Condition(quiet=True)),
        (0x01, Condition(blocked="head_open", quiet=True)),
        (0x02, Condition(blocked="jam", quiet=True)),
        (0x04, Condition(blocked="paper_out", quiet=True)),
        (0x05, Condition(blocked="head_open", quiet=True)),
        (0x08, Condition(blocked="ribbon_out", quiet=True)),
        (0x10, Condition(blocked="paused", quiet=True)),
        (0x20, Condition(quiet=False)),
        (0x24, Condition(blocked="paper_out", quiet=False)),
        (0x40, Condition(blocked="cover_open", quiet=True)),
        (0x80, Condition(blocked="fault", quiet=True)),
    ],
)
def test_what_the_status_byte_says(flags, expected):
    """TSPL: <ESC>!?, whose bits combine."""
    assert tspl.read_status(bytes([flags])) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("40404040", Condition(quiet=True)),
        ("50404040", Condition(quiet=False)),
        ("57404040", Condition(quiet=False)),
        ("60404040", Condition(blocked="paused", quiet=True)),
        ("45404041", Condition(blocked="paper_out", quiet=True)),
        ("45404042", Condition(blocked="jam", quiet=True)),
        ("45404044", Condition(blocked="ribbon_out", quiet=True)),
        ("45404060", Condition(blocked="head_open", quiet=True)),
        ("45404840", Condition(blocked="cutter", quiet=True)),
        ("45404140", Condition(blocked="over_temperature", quiet=True)),
        ("45405040", Condition(blocked="memory_full", quiet=True)),
        ("45404040", Condition(blocked="fault", quiet=True)),
        ("4c484040", Condition(quiet=True, warnings=("buffer_full", "label_waiting"))),
    ],
)
def test_what_the_four_bytes_say(flags, expected):
    """TSPL: <ESC>!S, whole and cut anywhere."""
    reply = b"\x02" + bytes.fromhex(flags) + b"\x03\r\n"
    assert tspl.read_detail(reply) == expected
    assert [tspl.read_detail(reply[:cut]) for cut in range(8)] == [None] * 8


@pytest.mark.parametrize(
    ("read", "reply"),
    [
        (tspl.read_status, b"\0\0"),
        (tspl.read_detail, b"x"),
        (tspl.read_detail, b"\x02@@@\x03"),
        (tspl.read_detail, b"\x02@@@@\x03\r\n\0"),
        (tspl.read_detail, b"\x02@@@@@"),
        (tspl.read_counter, b"12 13"),
        (tspl.read_counter, b"-1"),
        (tspl.read_counter, b"1" * 19),
        (tspl.read_counter, b" " * 30),
    ],
)
def test_what_tspl_does_not_say(read, reply):
    """TSPL: more bytes than an answer has, or others, are refused."""
    with pytest.raises(Invalid) as refused:
        read(reply)
    assert refused.value.code == "reply.garbage"


@pytest.mark.parametrize(
    ("reply", "number"), [(b"", None), (b"\r\n", None), (b"0", 0), (b"12\r\n", 12), (b"7\0", 7)]
)
def test_the_counter_of_tspl(reply, number):
    """TSPL: @LABEL, whatever ends it."""
    assert tspl.read_counter(reply) == number


# ---------------------------------------------------------------- IEEE 1284


@pytest.mark.parametrize(
    ("byte", "word"),
    [
        (0x18, ""),
        (0x38, "paper_out"),
        (0x30, "paper_out"),
        (0x10, "fault"),
        (0x08, "offline"),
        (0x58, "jam"),
        (0x98, "cover_open"),
        (0x00, "fault"),
    ],
)
def test_what_the_port_status_says(byte, word):
    """USB's printer class: paper, error, selected; what is left to print it doesn't say."""
    assert read_port_status(byte) == Condition(blocked=word)
    with pytest.raises(Invalid):
        read_port_status(-1)
