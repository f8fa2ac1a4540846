"""Conversations with printers that answer late, in pieces, with something else, or never: over real TCP, with the manuals' bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from labelsvc.errors import Invalid
from labelsvc.languages import Condition, escpos, tspl, zpl
from labelsvc.printing import Label, LabelState, Profiles
from labelsvc.printing.conversation import Conversation, converse
from labelsvc.printing.model import Unproven
from labelsvc.printing.proof import proof_by
from labelsvc.printing.transports import parse_uri

HS = b"\x02030,0,0,1245,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,6,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n"
HQES = b"\x02\r\nPRINTER STATUS\r\nERRORS: %d 00000000 %08X\r\nWARNINGS: 0 00000000 00000000\r\n\x03"
READY = b"\x12\x12"


class Printer:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[bytes, list[bytes]] = {}
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def says(self, query: bytes, *pieces: bytes) -> None:
        """From now on; each piece comes a moment after the one before."""
        self.answers[query] = list(pieces)

    def say(self, data: bytes) -> None:
        """Something that nobody asked for."""
        self.peer.sendall(data)
        time.sleep(0.05)

    def _serve(self) -> None:
        self.peer, _ = self._listener.accept()
        waiting = b""
        while data := self.peer.recv(4096):
            self.heard += data
            waiting += data
            for query, pieces in self.answers.items():
                if waiting.endswith(query):
                    waiting = b""
                    for piece in pieces:
                        time.sleep(0.02)
                        self.peer.sendall(piece)
                    break

    def close(self) -> None:
        self._listener.close()


@contextmanager
def talking(status: str, proof: str = "none") -> Iterator[tuple[Printer, Conversation]]:
    """A printer, and a conversation with it as a profile of this status has."""
    printer = Printer()
    link = parse_uri(f"tcp://127.0.0.1:{printer.port}").connect()
    profile = replace(Profiles().get("virtual-zpl-203"), status=status, proof=proof)
    found = converse(profile, link, 0.3)
    assert found is not None
    try:
        yield printer, found
    finally:
        link.close()
        printer.close()


def label(number: int, pages: int = 1) -> Label:
    """A label that was sent as this number."""
    return Label(
        "L", "J", "S", "P", 1, 1, LabelState.SENDING, "bench", "t", None, "", datetime.now(UTC), pages=pages, sent_no=number
    )  # fmt: skip


# ---------------------------------------------------------------- ZPL


def test_zpl_in_pieces_and_after_something_late():
    """~HS comes in two pieces; what came before it was asked is an answer to nothing."""
    with talking("zpl-hs") as (printer, conversation):
        printer.says(zpl.STATUS_QUERY, HS[:40], HS[40:])
        assert conversation.status() == Condition(quiet=True)
        printer.say(HS.replace(b"030,0,0", b"030,1,0"))
        assert conversation.status() == Condition(quiet=True)
        assert conversation.source == "zpl-hs"


def test_zpl_silent_where_it_can_not_print():
    """Where ~HS is silent ~HQES may say why; if it knows no reason, or none of the question, silence stays unknown."""
    with talking("zpl-hs") as (printer, conversation):
        printer.says(zpl.ERRORS_QUERY, HQES % (1, 1))
        assert conversation.status() == Condition(blocked="paper_out")
        assert conversation.source == "zpl-hqes"
        printer.says(zpl.ERRORS_QUERY, HQES % (0, 0))
        assert conversation.status() is None
        printer.answers.clear()
        asked = printer.heard.count(zpl.ERRORS_QUERY)
        assert conversation.status() is None and conversation.status() is None
        assert printer.heard.count(zpl.ERRORS_QUERY) == asked + 1


def test_zpl_counters():
    """A counter; a printer that has none says so; one that is silent may still answer late, and is not believed after that."""
    with talking("zpl-hs", "odometer") as (printer, conversation):
        printer.says(zpl.COUNTER_QUERY, b'"12', b'34"')
        assert conversation.counter() == 1234 and not conversation.behind
        printer.says(zpl.COUNTER_QUERY, b'"?"')
        with pytest.raises(Invalid):
            conversation.counter()
        printer.says(zpl.COUNTER_QUERY, b"HTTP/1.1 400")
        assert conversation.counter() is None and conversation.behind


@pytest.mark.parametrize(
    ("counter", "left", "proved", "against"),
    [
        (5, b"000", False, ""),
        (7, b"000", True, ""),
        (7, b"001", False, ""),
        (6, b"000", False, ""),
        (8, b"000", False, "the printer's counter moved by 3"),
        (4, b"000", False, "the printer's counter moved by -1"),
    ],
)
def test_the_odometer_proves_by_exactly_the_pages(counter, left, proved, against):
    """P7: two pages are proved by a counter two higher and an empty buffer; less is open, more or fewer never a proof."""
    with talking("zpl-hs", "odometer") as (printer, conversation):
        proof = proof_by(replace(Profiles().get("virtual-zpl-203"), proof="odometer"), conversation)
        printer.says(zpl.COUNTER_QUERY, b'"5"')
        assert proof.begin() and proof.counter_before == 5
        printer.says(zpl.COUNTER_QUERY, b'"%d"' % counter)
        condition = Condition(quiet=left == b"000")
        finding = proof.look(label(1, pages=2), condition)
        assert (finding.proved, finding.against) == (proved, against)
        assert proof.settles(Unproven(label(1, pages=2), 5), condition) is proved
        assert not proof.settles(Unproven(label(1, pages=2), None), condition)
        assert not proof.settles(Unproven(label(1, pages=2), 5), replace(condition, partial=True))


# ---------------------------------------------------------------- ESC/POS


def test_escpos_is_asked_for_the_cause_only_where_there_is_one():
    """DLE EOT 1 and 4; 2 and 3 only of a printer that isn't ready."""
    with talking("escpos") as (printer, conversation):
        printer.says(escpos.status_query(1, 4), b"\x12", b"\x1e")
        assert conversation.status() == Condition(warnings=("paper_low",))
        assert printer.heard == escpos.status_query(1, 4)
        printer.says(escpos.status_query(1, 4), b"\x1a\x12")
        printer.says(escpos.status_query(2, 3), b"\x16\x12")
        assert conversation.status() == Condition(blocked="cover_open")


@pytest.mark.parametrize("answer", [b"", b"\x12", b"\xff\xff", b"\x37\x22ab"])
def test_half_an_answer_of_escpos_is_silence(answer):
    """One byte of two could be either's; after that the connection can't be read any more."""
    with talking("escpos") as (printer, conversation):
        printer.says(escpos.status_query(1, 4), answer)
        assert conversation.status() is None and conversation.behind


def test_a_receipt_proves_its_own_label_and_no_other():
    """P7: a receipt among other answers, cut in two, or late; an older or a later one, and any after a break, proves nothing."""
    with talking("escpos", "process-id") as (printer, conversation):
        profile = replace(Profiles().get("virtual-zpl-203"), proof="process-id")
        proof = proof_by(profile, conversation)
        assert proof.begin() and proof.counter_before is None
        asked = {n: proof.ending("P", n) for n in (6, 7, 8)}
        receipts = {n: b"\x37\x22" + each[-4:] + b"\0" for n, each in asked.items()}
        assert asked[6] < asked[7] < asked[8] and asked[7] != proof.ending("Q", 7)
        printer.says(escpos.status_query(1, 4), receipts[6] + b"\x12", b"\x12" + receipts[8][:3])
        condition = conversation.status()
        assert condition == Condition()
        assert not proof.look(label(7), condition).proved
        printer.say(receipts[8][3:])
        assert not proof.look(label(7), condition).proved
        printer.say(receipts[7])
        assert proof.look(label(7), condition).proved
        assert not proof.settles(Unproven(label(8), None), condition)


# ---------------------------------------------------------------- TSPL


def test_tspl_explains_other_errors():
    """<ESC>!? says 80 for whatever its maker means; <ESC>!S says what, if the printer knows it."""
    with talking("tspl") as (printer, conversation):
        printer.says(tspl.STATUS_QUERY, b"\x20")
        assert conversation.status() == Condition(quiet=False)
        printer.says(tspl.STATUS_QUERY, b"\x80")
        assert conversation.status() == Condition(blocked="fault", quiet=True)
        printer.says(tspl.DETAIL_QUERY, b"\x02\x45\x40\x48\x40\x03\r\n")
        assert conversation.status() == Condition(blocked="cutter", quiet=True)


def test_tspl_counts_whatever_ends_a_number():
    """P7: "1" and "2" in two pieces are twelve; asked only at rest, and no evidence after a break, for it may have begun anew."""
    with talking("tspl", "label-count") as (printer, conversation):
        proof = proof_by(replace(Profiles().get("virtual-zpl-203"), proof="label-count"), conversation)
        printer.says(tspl.COUNTER_QUERY, b"1", b"2")
        assert proof.begin() and proof.counter_before == 12
        asked = printer.heard.count(tspl.COUNTER_QUERY)
        for condition in (Condition(quiet=False), Condition(blocked="paper_out", quiet=True)):
            assert not proof.look(label(1), condition).proved
        assert printer.heard.count(tspl.COUNTER_QUERY) == asked
        printer.says(tspl.COUNTER_QUERY, b"13\r\n")
        assert proof.look(label(1), Condition(quiet=True)).proved
        assert not proof.settles(Unproven(label(1), 12), Condition(quiet=True))
        printer.answers.clear()
        assert proof.look(label(1), Condition(quiet=True)) is None and conversation.behind


# ---------------------------------------------------------------- the port


def test_a_port_status_needs_a_port(tmp_path):
    """Beside a link that is no USB there is no port status, and so no way to ask."""
    profile = replace(Profiles().get("virtual-zpl-203"), status="usb-port")
    assert converse(profile, parse_uri(f"file://{tmp_path}").connect(), 0.3) is None
