"""The second copy of a waybill number is asked about, jobs expire, and labels move: on a real database, no spooler runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, NotFound
from labelsvc.labels import StandardTemplates
from labelsvc.printing import (
    DocumentRequest,
    Label,
    LabelState,
    Picture,
    Printers,
    PrintJob,
    PrintJobs,
    PrintRequest,
    Profiles,
    journal,
)
from labelsvc.printing.second_copies import normal

CODE = """<?xml version="1.0" encoding="UTF-8"?>
<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30">
  <layout left="2" top="2" width="70" height="26">
    <barcode left="0" top="0" width="70" height="20" type="code128" value="<%= _data.{name} %>"/>
  </layout>
</page>
"""
NUMBER = "YT0012345678901"
#: 14:03 in Shanghai.
NOON = datetime(2026, 5, 1, 6, 3, tzinfo=UTC)


class Clock:
    """A time that stands until a test puts it forward."""

    at = NOON

    def __call__(self) -> datetime:
        return self.at


class Bench:
    """Two printers of one store, 203 and 300 dpi, and a clock."""

    def __init__(self, database: Database, actor: Any, clock: Clock) -> None:
        self.database, self.actor, self.clock = database, actor, clock
        self.printers = Printers(database, Profiles())
        self.jobs = PrintJobs(database, self.printers, StandardTemplates())
        self.seven = self.printers.add(actor, "bench 7", "tcp://127.0.0.1:9", "virtual-zpl-203")
        self.eight = self.printers.add(actor, "bench 8", "tcp://127.0.0.1:10", "virtual-zpl-300")

    def submit(self, key: str, *documents: DocumentRequest, **other: Any) -> PrintJob:
        """A job for bench 7."""
        request = PrintRequest(
            **{"printer": "bench 7", "documents": documents or (label(),), "key": key, **other}
        )
        return self.jobs.submit(self.actor, request)

    def send(self, found: Label, state: LabelState | None = LabelState.PRINTED) -> None:
        """As the spooler would."""
        with self.database.transaction(journal.TURN) as connection:
            now = self.database.now()
            assert journal.claim(connection, found.id, b"^XA^XZ", 7, now, "spooler")
            if state is not None:
                journal.step(connection, found.id, state, now, actor="spooler")

    def turns(self, printer: Any) -> list[str]:
        """The ids of what waits for a printer, in the order in which it would leave."""
        found = []
        with self.database.transaction(journal.TURN) as connection:
            while turn := journal.next_turn(connection, printer.id, self.database.now()):
                found.append(turn.label.id)
                assert journal.claim(connection, turn.label.id, b"", None, self.database.now(), "spooler")
        return found

    def now(self, found: Label) -> Label:
        """The label as it is now."""
        return self.jobs.label(self.actor, found.id)


def label(value: str = NUMBER, name: str = "waybillCode", **other: Any) -> DocumentRequest:
    """A document whose barcode says the number that its data name."""
    return DocumentRequest(template="own", template_text=CODE.format(name=name), data={name: value}, **other)


@pytest.fixture
def bench(database, factory, sealer):
    """The bench, with its clock on the database."""
    clock = Clock()
    timed = Database(database.url.render_as_string(hide_password=False), sealer=sealer, clock=clock)
    yield Bench(timed, factory, clock)
    timed.close()


def test_a_second_label_of_a_number_is_held_and_asked(bench):
    """P15: whatever template and key; the question says when and where the first one came out, and a person's yes is kept."""
    first = bench.submit("a").labels[0]
    assert (first.state, first.number) == (LabelState.QUEUED, NUMBER)
    bench.send(first)
    second = bench.submit("b", label(" yt0012345678901 ", name="mailNo")).labels[0]
    assert (second.state, second.held_for) == (LabelState.HELD, "second_copy")
    assert second.reason == "printed 14:03 on bench 7"
    assert bench.jobs.questions(bench.actor) == [second]
    with pytest.raises(Conflict) as refused:
        bench.jobs.release(bench.actor, second.job_id)
    assert refused.value.code == "label.second_copy"
    answered = bench.jobs.confirm(bench.actor, second.id, True)
    assert (answered.state, answered.held_for, answered.expires_at) == (LabelState.QUEUED, "", None)
    last = bench.jobs.history(bench.actor, second.job_id)[-1]
    assert (last.actor, last.reason) == (bench.actor.user_id, "wanted: printed 14:03 on bench 7")
    assert bench.jobs.questions(bench.actor) == []
    with pytest.raises(Conflict):
        bench.jobs.confirm(bench.actor, second.id, False)


def test_each_known_number_of_a_job_is_asked_about(bench):
    """P15: of a job of several numbers exactly those are held that are on a label already."""
    others = ["YT0012345678902", "YT0012345678903"]
    bench.send(bench.submit("a").labels[0])
    bench.send(bench.submit("b", label(others[0])).labels[0])
    found = bench.submit("c", label(), label(others[0]), label(others[1])).labels
    assert [one.held_for for one in found] == ["second_copy", "second_copy", ""]
    assert [one.state for one in found] == [LabelState.HELD, LabelState.HELD, LabelState.QUEUED]


def test_the_question_names_the_surest_copy_and_its_day(bench):
    """P15: of a printed and a waiting one the printed is named, on another day with its date."""
    bench.send(bench.submit("a").labels[0])
    bench.clock.at += timedelta(days=1)
    bench.jobs.confirm(bench.actor, bench.submit("b").labels[0].id, True)
    assert bench.submit("c").labels[0].reason == "printed 2026-05-01 14:03 on bench 7"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (LabelState.SENT, "sent 14:03 on bench 7"),
        (LabelState.UNCERTAIN, "perhaps printed 14:03 on bench 7"),
        (None, "being printed 14:03 on bench 7"),
    ],
)
def test_a_label_that_may_be_on_paper_is_a_first_copy(bench, state, words):
    """P15, P7: also where nobody knows."""
    bench.send(bench.submit("a").labels[0], state)
    assert bench.submit("b").labels[0].reason == words


def test_what_came_to_nothing_is_no_first_copy(bench):
    """P15: of a failed and a cancelled label no paper exists."""
    bench.send(bench.submit("a").labels[0], LabelState.FAILED)
    bench.jobs.cancel(bench.actor, bench.submit("b").id)
    assert bench.submit("c").labels[0].state is LabelState.QUEUED


def test_copies_that_were_asked_for_and_reprints_are_not_asked_about(bench):
    """P15, W8: copies=2 is one wish, a reprint said its reason; the number twice in one job isn't."""
    job = bench.submit("a", label(copies=2))
    assert [found.state for found in job.labels] == [LabelState.QUEUED] * 2
    bench.send(job.labels[0])
    again = bench.jobs.reprint(bench.actor, job.labels[0].id, "torn", "r")
    assert again.labels[0].state is LabelState.QUEUED
    twice = bench.submit("b", label("YT0012345678902"), label("YT0012345678902"))
    assert [found.state for found in twice.labels] == [LabelState.QUEUED, LabelState.HELD]


def test_an_answer_that_it_did_not_come_out_is_no_second_copy(bench):
    """P15, P7: the same label goes again."""
    first = bench.submit("a").labels[0]
    bench.send(first, LabelState.UNCERTAIN)
    assert bench.jobs.resolve(bench.actor, first.id, False).state is LabelState.QUEUED


def test_a_label_that_an_update_made_void_is_replaced_unasked(bench):
    """P15, W6: the new label says which it replaces; another door's is asked about all the same."""
    bench.send(bench.submit("a", label(subject="waybill:1")).labels[0])
    new = bench.submit("b", label(subject="waybill:1:1", replaces=("waybill:1",))).labels[0]
    assert new.state is LabelState.QUEUED
    bench.send(new)
    assert bench.submit("c").labels[0].state is LabelState.HELD


@pytest.mark.parametrize(
    ("document", "number"),
    [
        (label("7712 3456 7890 123"), "771234567890123"),
        (label(NUMBER, name="快递单号"), NUMBER),
        (label("SF1234567890123", name="anything"), "SF1234567890123"),
        (label("6901234567892", name="article"), None),
        (label("260501-123456789", name="order_number"), None),
        (
            DocumentRequest("own", {"waybillCode": NUMBER, "x": "A1"}, template_text=CODE.format(name="x")),
            None,
        ),
        (label("6901234567892", name="article", number=NUMBER), NUMBER),
    ],
)
def test_which_labels_carry_a_number(bench, document, number):
    """P15: what the data name and a barcode says, or a barcode that can be nothing else; no article, no order, no slip."""
    assert bench.submit("a", document).labels[0].number == number


def test_a_picture_carries_the_number_that_is_said_of_it(bench):
    """P15: by its number, or a title that can be nothing else."""
    content = bench.jobs.preview(bench.actor, bench.submit("a", label("A-1", name="x")).labels[0].id)
    picture = Picture(content, 76, 30)
    by_title = bench.submit("b", DocumentRequest("p", {}, picture=picture, title=NUMBER)).labels[0]
    assert by_title.number == NUMBER
    said = bench.submit("c", DocumentRequest("p", {}, picture=picture, number=NUMBER)).labels[0]
    assert said.state is LabelState.HELD
    with pytest.raises(Invalid):
        bench.submit("d", label(number="?"))


def test_a_number_is_compared_without_blanks_and_width():
    """P15."""
    assert normal(" yt001 2345\u3000678901 ") == NUMBER
    assert normal("ＪＤＶ１２３４５－１") == "JDV12345-1"
    assert normal("运单") is None


def test_of_racing_doors_one_prints(bench):
    """P15: the check and the label are one turn."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda at: bench.submit(f"k{at}").labels[0].state, range(4)))
    assert sorted(found) == [LabelState.HELD] * 3 + [LabelState.QUEUED]


def test_an_unanswered_question_ends_by_itself_and_whoever_waits_is_told(bench):
    """P15: not confirmed in time, it is cancelled, with what was asked."""
    bench.send(bench.submit("a").labels[0])
    job = bench.submit("b")
    bench.clock.at += timedelta(seconds=599)
    assert bench.jobs.expire() == 0
    bench.clock.at += timedelta(seconds=1)
    assert bench.jobs.expire() == 1
    told = bench.jobs.wait(bench.actor, job.id, 5).labels[0]
    assert (told.state, told.reason) == (
        LabelState.CANCELLED,
        "not confirmed in time: printed 14:03 on bench 7",
    )


# ---------------------------------------------------------------- expiry


def test_a_job_expires_where_it_has_not_left(bench):
    """P9: queued and held labels are cancelled with the reason; sent, uncertain and half-sent ones stay."""
    job = bench.submit("a", *(label(f"YT001234567890{at}") for at in range(5)), expire_s=60)
    for found, state in zip(job.labels, (LabelState.SENT, LabelState.UNCERTAIN, None), strict=False):
        bench.send(found, state)
    held = bench.submit("b", label("YT0012345678909"), expire_s=60, hold=True)
    bench.clock.at += timedelta(seconds=60)
    assert bench.jobs.expire() == 3
    states = [found.state.value for found in bench.jobs.get(bench.actor, job.id).labels]
    assert states == ["sent", "uncertain", "sending", "cancelled", "cancelled"]
    assert bench.now(held.labels[0]).reason == "expired"
    again = bench.jobs.resolve(bench.actor, job.labels[1].id, False)
    assert again.expires_at is None  # a person wants it now
    with pytest.raises(Invalid):
        bench.submit("c", expire_s=0)


def test_the_claim_looks_at_the_time_too(bench):
    """P9: between two looks at what expired nothing slips through."""
    job = bench.submit("a", expire_s=60)
    bench.clock.at += timedelta(minutes=2)
    with bench.database.transaction(journal.TURN) as connection:
        now = bench.database.now()
        assert journal.claim(connection, job.labels[0].id, b"", None, now, "spooler") is None
    found = bench.now(job.labels[0])
    assert (found.state, found.reason) == (LabelState.CANCELLED, "expired")


def test_a_confirmed_copy_expires_with_its_job(bench):
    """P15, P9: the answer doesn't lengthen what the job asked for."""
    bench.submit("a")
    second = bench.submit("b", expire_s=3600).labels[0]
    assert second.expires_at == NOON + timedelta(minutes=10)
    assert bench.jobs.confirm(bench.actor, second.id, True).expires_at == NOON + timedelta(hours=1)


# ---------------------------------------------------------------- moving


def test_what_waits_moves_behind_what_waits_there(bench):
    """P8, P9: order kept, the history says where it went; what left stays."""
    job = bench.submit("a", *(label(f"YT001234567890{at}") for at in range(4)))
    bench.send(job.labels[0])
    there = bench.submit("b", label("YT0012345678908"), printer="bench 8").labels[0]
    later = bench.submit("c", label("YT0012345678909"), printer="bench 8").labels[0]
    moved = bench.jobs.move(bench.actor, job.id, "bench 8")
    assert [found.printer_id for found in moved.labels] == [bench.seven.id, *[bench.eight.id] * 3]
    assert moved.printer_id == bench.seven.id
    last = bench.jobs.history(bench.actor, job.id)[-1]
    assert (last.before, last.after) == (LabelState.QUEUED, LabelState.QUEUED)
    assert (last.actor, last.reason) == (bench.actor.user_id, "moved from bench 7 to bench 8")
    newest = bench.submit("d", label("YT0012345678907"), printer="bench 8").labels[0]
    expected = [there.id, later.id, *(found.id for found in job.labels[1:]), newest.id]
    assert bench.turns(bench.eight) == expected
    assert bench.turns(bench.seven) == []
    with pytest.raises(Conflict):
        bench.jobs.move(bench.actor, job.id, "bench 7")


def test_single_labels_move_and_only_waiting_ones(bench):
    """P7: never one that is, or may be, on the wire."""
    job = bench.submit("a", *(label(f"YT001234567890{at}") for at in range(3)))
    bench.send(job.labels[0], None)
    with pytest.raises(Conflict):
        bench.jobs.move(bench.actor, job.id, "bench 8", [job.labels[0].id])
    with pytest.raises(NotFound):
        bench.jobs.move(bench.actor, job.id, "bench 8", [bench.submit("b", label("YT1")).labels[0].id])
    with pytest.raises(Invalid):
        bench.jobs.move(bench.actor, job.id, "bench 9")
    moved = bench.jobs.move(bench.actor, job.id, "bench 8", [job.labels[2].id])
    assert [found.printer_id for found in moved.labels] == [bench.seven.id] * 2 + [bench.eight.id]
    assert [found.document_no for found in moved.labels] == [1, 2, 3]


def test_bytes_made_for_the_old_printer_never_leave(bench):
    """P7: a label that moved between its turn and its claim is made anew for its new printer."""
    job = bench.submit("a")
    with bench.database.reading() as connection:
        turn = journal.next_turn(connection, bench.seven.id, bench.database.now())
    bench.jobs.move(bench.actor, job.id, "bench 8")
    with bench.database.transaction(journal.TURN) as connection:
        now = bench.database.now()
        stale = journal.claim(connection, turn.label.id, b"", None, now, "spooler", 1, printer=bench.seven)
        assert stale is None
        assert journal.claim(connection, turn.label.id, b"", None, now, "spooler", 1, printer=bench.eight)


def test_one_that_did_not_come_out_goes_next_on_another_printer(bench):
    """P7, P8: the answer may name where."""
    first, other = bench.submit("a").labels[0], bench.submit("b", label("YT2", number="YT22")).labels[0]
    bench.send(first, LabelState.UNCERTAIN)
    bench.jobs.move(bench.actor, other.job_id, "bench 8")
    answered = bench.jobs.resolve(bench.actor, first.id, False, "bench 8")
    assert (answered.state, answered.printer_id) == (LabelState.QUEUED, bench.eight.id)
    assert bench.turns(bench.eight) == [first.id, other.id]


def test_a_label_sent_again_elsewhere_leaves_its_number_behind(bench):
    """P7: an uncertain label isn't proved by a counter that another one may have moved, nor by another's receipt."""
    one, two, three = (bench.submit(key, label(f"YT001234567890{key}")).labels[0] for key in "123")
    bench.send(one, LabelState.UNCERTAIN)
    bench.send(two, LabelState.UNCERTAIN)
    bench.jobs.resolve(bench.actor, two.id, False, "bench 8")
    with bench.database.reading() as connection:
        assert journal.unproven(connection, bench.seven.id) is None
    bench.send(three, LabelState.UNCERTAIN)
    assert (bench.now(one).sent_no, bench.now(three).sent_no) == (1, 3)
