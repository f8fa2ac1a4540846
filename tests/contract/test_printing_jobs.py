"""Print jobs and printers on a real database: what is accepted, what a person may decide, what is kept. No spooler runs."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.stored import stored_bytes

from labelsvc.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KeyReused,
    NotFound,
    Refused,
    TemplateError,
)
from labelsvc.labels import StandardTemplates
from labelsvc.printing import (
    DocumentRequest,
    JobState,
    LabelState,
    Printers,
    PrintJobs,
    PrintRequest,
    Profiles,
    journal,
)
from labelsvc.security import Actor, Right

TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="30">
  <layout left="2" top="2" width="70" height="26">
    <text left="0" top="0" width="70" height="10" value="<%= _data.text %> <%= _data.reprint.mark %>" style="fontSize:10"/>
  </layout>
</page>
"""


def document(text="LABEL1", **other) -> DocumentRequest:
    """A document of one line."""
    return DocumentRequest(template="own", template_text=TEMPLATE, data={"text": text}, **other)


def request(key="k1", *documents: DocumentRequest, **other) -> PrintRequest:
    """A request for the printer "bench 7"."""
    return PrintRequest(
        **{"printer": "bench 7", "documents": documents or (document(),), "key": key, **other}
    )


@pytest.fixture
def printers(database) -> Printers:
    """The printers' verbs."""
    return Printers(database, Profiles())


@pytest.fixture
def jobs(database, printers, factory) -> PrintJobs:
    """The jobs' verbs, and one printer that no spooler drives."""
    printers.add(factory, "bench 7", "tcp://127.0.0.1:9", "virtual-zpl-203")
    return PrintJobs(database, printers, StandardTemplates())


def take_steps(database, label_id: str, *states: LabelState) -> None:
    """Move a label as the spooler would."""
    with database.transaction() as connection:
        for state in states:
            if state is LabelState.SENDING:
                assert journal.claim(connection, label_id, b"^XA^XZ", 7, database.now(), "spooler")
            else:
                journal.step(connection, label_id, state, database.now(), actor="spooler")


def stored(database) -> int:
    """How many jobs, documents and labels there are in all."""
    with database.reading() as connection:
        return sum(
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            for table in ("print_jobs", "documents", "labels", "changes")
        )


# ---------------------------------------------------------------- submitting


def test_a_job_is_stored_with_one_label_per_document_and_copy(jobs, factory):
    """P2: the answer carries the id of a durably stored job whose labels are queued in the order of acceptance."""
    job = jobs.submit(
        factory, request("k", document(title="N1", copies=2, subject="waybill:1"), document("B"))
    )
    again = jobs.get(factory, job.id)
    assert again == job
    assert job.state is JobState.QUEUED
    assert [(label.document_no, label.copy_no) for label in job.labels] == [(1, 1), (1, 2), (2, 1)]
    assert {label.state for label in job.labels} == {LabelState.QUEUED}
    assert [label.title for label in job.labels] == ["N1", "N1", ""]
    assert [label.id for label in jobs.labels(factory, "waybill:1")] == [label.id for label in job.labels[:2]]
    assert job.created_by == factory.user_id


def test_what_is_answered_is_what_is_stored(jobs, factory):
    """A job's first answer is made from what was stored, without reading it again: both are the same, field by field."""
    long = document("long text that does not fit into the box of this one line " * 4)
    bars = DocumentRequest("waybill-76x130", {"waybillCode": "YT1234567890123"}, copies=2)
    later = request("k2", bars, bars, document(subject="s", group="g"), lane="batch", hold=True, expire_s=60)
    for wanted in (request("k1", document(), long), later):
        job = jobs.submit(factory, wanted)
        assert jobs.get(factory, job.id) == job
    assert job.grades and {label.held_for for label in job.labels} == {"", "second_copy"}


def test_the_same_key_answers_the_same_job(jobs, factory, database):
    """P7: asked again with the same key and content, the first job is the answer and nothing is added."""
    first = jobs.submit(factory, request("k"))
    before = stored(database)
    assert jobs.submit(factory, request("k")) == first
    assert stored(database) == before


@pytest.mark.parametrize(
    "other",
    [
        request("k", document("another text")),
        request("k", document(copies=2)),
        request("k", document(subject="waybill:2")),
        request("k", lane="batch"),
        request("k", hold=True),
        request("k", document(), document()),
    ],
)
def test_the_same_key_with_other_content_is_a_conflict(jobs, factory, other):
    """P7: a key can't be reused for something else."""
    jobs.submit(factory, request("k"))
    with pytest.raises(KeyReused):
        jobs.submit(factory, other)


def test_where_it_came_from_is_not_its_content(jobs, factory):
    """P9: the origin is kept, and a retry through another door is still the same request."""
    job = jobs.submit(factory, request("k", origin="page"))
    assert jobs.submit(factory, request("k", origin="api")).id == job.id
    assert job.origin == "page"


def test_twenty_identical_requests_at_once_make_one_job(jobs, factory, database):
    """P7: of 20 racing requests with one key one job is stored, and all get it."""
    with ThreadPoolExecutor(20) as pool:
        start = threading.Barrier(20)

        def submit(_):
            start.wait()
            return jobs.submit(factory, request("k")).id

        ids = set(pool.map(submit, range(20)))
    assert len(ids) == 1
    assert len(jobs.list(factory)) == 1
    assert len(jobs.get(factory, ids.pop()).labels) == 1


def test_two_stores_may_use_the_same_key_and_see_only_their_own(jobs, printers, factory, merchant):
    """Keys, printers, jobs and labels of one store are none of another's."""
    job = jobs.submit(factory, request("k"))
    printers.add(merchant, "bench 7", "tcp://127.0.0.1:9", "virtual-zpl-203")
    other = jobs.submit(merchant, request("k"))
    assert other.id != job.id
    label = job.labels[0].id
    for verb in (
        lambda: jobs.get(merchant, job.id),
        lambda: jobs.label(merchant, label),
        lambda: jobs.history(merchant, job.id),
        lambda: jobs.cancel(merchant, job.id),
        lambda: jobs.hold(merchant, job.id),
        lambda: jobs.wait(merchant, job.id, 0),
        lambda: jobs.resolve(merchant, label, True),
        lambda: jobs.reprint(merchant, label, "why not", "k2"),
        lambda: jobs.preview(merchant, label),
        lambda: jobs.open_pdf(merchant, label),
        lambda: printers.get(merchant, printers.get(factory, "bench 7").id),
    ):
        with pytest.raises(NotFound):
            verb()
    assert [each.id for each in jobs.list(merchant)] == [other.id]


DEEP: dict = {}
_inner = DEEP
for _ in range(20):
    _inner["a"] = _inner = {}


@pytest.mark.usefixtures("sqlite_database")
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (request("k", printer="nowhere"), "printer"),
        (request("k", printer=""), "printer"),
        (request("k", printer=7), "printer"),
        (request(""), "key"),
        (request("x" * 201), "key"),
        (request("a\nb"), "key"),
        (request(None), "key"),
        (request("k", lane="fast"), "lane"),
        (request("k", hold="yes"), "hold"),
        (request("k", origin="\x00"), "origin"),
        (PrintRequest("bench 7", (), "k"), "documents"),
        (PrintRequest("bench 7", (document(),) * 10_001, "k"), "documents"),
        (request("k", document(copies=0)), "documents[0].copies"),
        (request("k", document(copies=51)), "documents[0].copies"),
        (request("k", document(copies=True)), "documents[0].copies"),
        (request("k", document(), document(title="x" * 101)), "documents[1].title"),
        (request("k", document(title="a\x1bb")), "documents[0].title"),
        (request("k", document(subject="")), "documents[0].subject"),
        (request("k", document("x" * 300_000)), "documents[0].data"),
        (request("k", document("\ud800")), "documents[0].data"),
        (request("k", DocumentRequest("own", DEEP, template_text=TEMPLATE)), "documents[0].data"),
        (request("k", DocumentRequest("own", ["a"], template_text=TEMPLATE)), "documents[0].data"),
        (request("k", DocumentRequest("own", {1: "a"}, template_text=TEMPLATE)), "documents[0].data"),
        (request("k", document(float("nan"))), "documents[0].data"),
        (request("k", document(b"bytes")), "documents[0].data"),
        (request("k", DocumentRequest("", {})), "documents[0].template"),
        (request("k", DocumentRequest("no-such", {})), "documents[0].template"),
        (request("k", DocumentRequest("../../etc/passwd", {})), "documents[0].template"),
        (request("k", DocumentRequest("own", {}, template_text="")), "documents[0].template_text"),
        (request("k", DocumentRequest("own", {}, template_text="<page")), "documents[0].template"),
        (request("k", DocumentRequest("own", {}, template_text="x" * 300_000)), "documents[0].template_text"),
    ],
)
def test_a_wrong_request_names_the_field_and_stores_nothing(jobs, factory, database, wrong, field):
    """Each wrong field is named, without its value, and nothing is stored."""
    with pytest.raises(Invalid) as fault:
        jobs.submit(factory, wrong)
    assert field in [error.field for error in fault.value.errors]
    assert stored(database) == 0


def test_a_templates_fault_reaches_the_person_who_can_mend_it(jobs, factory, database):
    """Architecture 3: every document is composed before anything is stored; the second one's fault is named as its own."""
    wrong = TEMPLATE.replace("</layout>", "")
    with pytest.raises(TemplateError) as fault:
        jobs.submit(
            factory, request("k", document(), DocumentRequest("own", {"text": "x"}, template_text=wrong))
        )
    assert [error.field for error in fault.value.errors] == ["documents[1].template"]
    assert stored(database) == 0


def test_a_label_wider_than_the_printer_is_refused(jobs, factory, database):
    """A label that the printer's head can't cover is Invalid, with both widths."""
    wide = DocumentRequest("own", {"text": "x"}, template_text=TEMPLATE.replace('width="76"', 'width="150"'))
    with pytest.raises(Invalid) as fault:
        jobs.submit(factory, request("k", wide))
    assert fault.value.code == "label.too_wide"
    assert fault.value.facts == {"label_mm": 150.0, "limit_mm": 104}
    assert [error.field for error in fault.value.errors] == ["printer"]
    assert stored(database) == 0


def test_a_font_that_the_language_has_no_name_for_is_refused(jobs, printers, factory, database):
    """What no page can be said with reaches the person who can mend it, though bytes are made only when they are wanted."""
    printers.edit(factory, "bench 7", letters="font", font="TSS24.BF2")
    with pytest.raises(Invalid) as fault:
        jobs.submit(factory, request())
    assert fault.value.code == "font.name"
    assert stored(database) == 0


def test_a_label_is_not_moved_to_a_narrower_printer(jobs, factory, database, tmp_path):
    """The pages that were composed for a printer a moment ago are measured anew for another model of the same language."""
    for name, width in (("wide", 104), ("narrow", 54)):
        (tmp_path / f"{name}.toml").write_text(
            f'maker = "m"\nmodel = "{name}"\nlanguage = "zpl"\ndpi = 203\nhead_width_mm = {width}\nverified = "emulator"\n'
            '[[sources]]\ndocument = "this test"\nof = ["language", "dpi", "head_width_mm"]\n'
        )
    printers = Printers(database, Profiles(tmp_path))
    for name in ("wide", "narrow"):
        printers.add(factory, name, "tcp://127.0.0.1:9", name)
    jobs = PrintJobs(database, printers, StandardTemplates(tmp_path))
    job = jobs.submit(factory, request(printer="wide"))
    with pytest.raises(Invalid) as fault:
        jobs.move(factory, job.id, "narrow")
    assert fault.value.code == "label.too_wide"
    assert jobs.get(factory, job.id).printer_id == job.printer_id


def test_a_pages_warnings_come_with_the_job(jobs, factory):
    """What a person should know of a page is said at once, with the document's number, and again later."""
    long = document("long text that does not fit into the box of this one line " * 4)
    job = jobs.submit(factory, request("k", document(), long))
    assert [(warning.document_no, warning.code) for warning in job.warnings] == [(2, "text.overflow")]
    assert jobs.get(factory, job.id).warnings == job.warnings


def test_a_blocked_subject_is_refused(jobs, factory, database):
    """P10: nothing is accepted for a subject that is blocked, and it is once the block is lifted."""
    jobs.block("waybill:1", "the waybill is cancelled")
    jobs.block("waybill:1", "the waybill was cancelled")
    with pytest.raises(Refused) as fault:
        jobs.submit(factory, request("k", document(), document(subject="waybill:1")))
    assert fault.value.code == "label.blocked"
    assert fault.value.facts == {"reason": "the waybill was cancelled", "document": 1}
    assert stored(database) == 0
    jobs.unblock("waybill:1")
    jobs.unblock("waybill:1")
    assert jobs.submit(factory, request("k", document(subject="waybill:1")))


def test_what_is_stored_can_not_be_read_in_the_database(jobs, factory, database):
    """Print data and templates are sealed: the database holds nothing of their text."""
    jobs.submit(factory, request("k", document("收件人张三丰 13812345678", title="TITLE9")))
    content = stored_bytes(database)
    assert b"TITLE9" in content  # what isn't personal is found, so the search works
    for text in ("张三丰", "13812345678", "fontSize"):
        assert text.encode() not in content


# ---------------------------------------------------------------- what a person decides


def test_hold_and_release_keep_the_place_in_the_queue(jobs, printers, factory, database):
    """P8: a held label doesn't go; released, it goes in the order in which it was accepted."""
    first, second = jobs.submit(factory, request("1")), jobs.submit(factory, request("2"))
    printer = printers.get(factory, "bench 7")

    def next_job() -> str:
        with database.reading() as connection:
            return journal.next_turn(connection, printer.id, database.now()).label.job_id

    assert next_job() == first.id
    assert jobs.hold(factory, first.id).state is JobState.HELD
    assert jobs.hold(factory, first.id).state is JobState.HELD
    assert next_job() == second.id
    assert jobs.release(factory, first.id).state is JobState.QUEUED
    assert next_job() == first.id


def test_cancel_takes_what_has_not_begun(jobs, factory, database):
    """A label in sending can't be cancelled; the others of its job are, and the answer shows which."""
    job = jobs.submit(factory, request("k", document(copies=3)))
    take_steps(database, job.labels[0].id, LabelState.SENDING)
    job = jobs.cancel(factory, job.id)
    assert [label.state for label in job.labels] == [
        LabelState.SENDING,
        LabelState.CANCELLED,
        LabelState.CANCELLED,
    ]
    with pytest.raises(Conflict) as fault:
        jobs.cancel(factory, job.id)
    assert fault.value.facts["state"] == "printing"


def test_cancelling_twice_is_harmless(jobs, factory):
    """A job that is cancelled already stays so without a fault; it can't be held or released any more."""
    job = jobs.submit(factory, request("k"))
    assert jobs.cancel(factory, job.id).state is JobState.CANCELLED
    assert jobs.cancel(factory, job.id).state is JobState.CANCELLED
    for verb in (jobs.hold, jobs.release):
        with pytest.raises(Conflict):
            verb(factory, job.id)


def test_a_person_answers_for_an_uncertain_label(jobs, printers, factory, database):
    """P7: "came out" makes it printed; "did not" sends it next, before all others of its lane."""
    jobs.submit(factory, request("0"))
    job = jobs.submit(factory, request("1", document(copies=2)))
    for label in job.labels:
        take_steps(database, label.id, LabelState.SENDING, LabelState.UNCERTAIN)
    assert jobs.get(factory, job.id).state is JobState.ATTENTION
    assert jobs.resolve(factory, job.labels[0].id, True).state is LabelState.PRINTED
    assert jobs.resolve(factory, job.labels[1].id, False).state is LabelState.QUEUED
    for answer in (True, False):
        for label in job.labels:
            with pytest.raises(Conflict):
                jobs.resolve(factory, label.id, answer)
    with database.reading() as connection:
        turn = journal.next_turn(connection, printers.get(factory, "bench 7").id, database.now())
    assert turn.label.id == job.labels[1].id
    assert turn.label.attempt == 1
    reasons = [change.reason for change in jobs.history(factory, job.id)][-2:]
    assert reasons == ["came out", "did not come out"]


def test_a_reprint_needs_a_reason_is_counted_and_says_so(jobs, factory, database):
    """W8: each reprint has a reason, a count over its subject, and the mark 补打 with that count in its data."""
    job = jobs.submit(factory, request("k", document(title="N1", subject="waybill:1")))
    take_steps(database, job.labels[0].id, LabelState.SENDING, LabelState.PRINTED)
    with pytest.raises(Invalid) as fault:
        jobs.reprint(factory, job.labels[0].id, "  ", "r1")
    assert [error.field for error in fault.value.errors] == ["reason"]
    first = jobs.reprint(factory, job.labels[0].id, "label torn", "r1")
    assert jobs.reprint(factory, job.labels[0].id, "label torn", "r1") == first
    with pytest.raises(KeyReused):
        jobs.reprint(factory, job.labels[0].id, "another reason", "r1")
    (label,) = first.labels
    assert (label.reprint_count, label.reprint_of, label.subject, label.title) == (
        1,
        job.labels[0].id,
        "waybill:1",
        "N1",
    )
    assert jobs.history(factory, first.id)[0].reason == "label torn"
    take_steps(database, label.id, LabelState.SENDING, LabelState.SENT)
    second = jobs.reprint(factory, label.id, "torn again", "r2").labels[0]
    assert (second.reprint_count, second.reprint_of) == (2, job.labels[0].id)
    with database.reading() as connection:
        assert journal.document_of(connection, label.id).data["reprint"] == {"mark": "补打 第1次"}
        assert journal.document_of(connection, second.id).data["reprint"] == {"mark": "补打 第2次"}


def test_racing_reprints_get_different_counts(jobs, factory, database):
    """W8: of reprints asked for at once each has its own count."""
    job = jobs.submit(factory, request("k"))
    take_steps(database, job.labels[0].id, LabelState.SENDING, LabelState.PRINTED)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda n: jobs.reprint(factory, job.labels[0].id, "torn", f"r{n}"), range(6)))
    assert sorted(each.labels[0].reprint_count for each in made) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((), "label.not_printed"),
        ((LabelState.SENDING,), "label.not_printed"),
        ((LabelState.SENDING, LabelState.UNCERTAIN), "label.uncertain"),
        ((LabelState.SENDING, LabelState.FAILED), "label.not_printed"),
        ((LabelState.CANCELLED,), "label.not_printed"),
    ],
)
def test_only_what_came_out_can_be_reprinted(jobs, factory, database, steps, code):
    """W8, P7: a label that is open has nothing to repeat; an uncertain one must be answered first."""
    job = jobs.submit(factory, request("k"))
    take_steps(database, job.labels[0].id, *steps)
    with pytest.raises(Conflict) as fault:
        jobs.reprint(factory, job.labels[0].id, "torn", "r")
    assert fault.value.code == code


def test_a_blocked_subject_is_not_reprinted(jobs, factory, database):
    """P10: a block holds for reprints as well."""
    job = jobs.submit(factory, request("k", document(subject="waybill:1")))
    take_steps(database, job.labels[0].id, LabelState.SENDING, LabelState.PRINTED)
    jobs.block("waybill:1", "cancelled")
    with pytest.raises(Refused):
        jobs.reprint(factory, job.labels[0].id, "torn", "r")


# ---------------------------------------------------------------- looking


def test_jobs_are_listed_newest_first_in_pages(jobs, factory):
    """Pages follow on one another by the last id seen; nothing is left out or doubled."""
    ids = [jobs.submit(factory, request(f"k{n}")).id for n in range(7)]
    seen, after = [], None
    while page := jobs.list(factory, after=after, limit=3):
        seen += [job.id for job in page]
        after = seen[-1]
    assert seen == ids[::-1]
    for wrong in (0, 201, "3"):
        with pytest.raises(Invalid):
            jobs.list(factory, limit=wrong)
    with pytest.raises(Invalid):
        jobs.list(factory, state="nonsense")


def test_filtering_by_state_agrees_with_the_derived_state(jobs, factory, database):
    """For every pair of label states the filter finds the job under its derived state, and under no other."""
    ways = {
        LabelState.QUEUED: (),
        LabelState.HELD: (LabelState.HELD,),
        LabelState.SENDING: (LabelState.SENDING,),
        LabelState.CANCELLED: (LabelState.CANCELLED,),
        LabelState.PRINTED: (LabelState.SENDING, LabelState.PRINTED),
        LabelState.SENT: (LabelState.SENDING, LabelState.SENT),
        LabelState.FAILED: (LabelState.FAILED,),
        LabelState.UNCERTAIN: (LabelState.SENDING, LabelState.UNCERTAIN),
    }
    for number, pair in enumerate(itertools.combinations_with_replacement(ways, 2)):
        job = jobs.submit(factory, request(f"k{number}", document(copies=2)))
        for label, state in zip(job.labels, pair, strict=True):
            take_steps(database, label.id, *ways[state])
    everything = {job.id: job.state for job in jobs.list(factory, limit=200)}
    assert len(everything) == 36
    for state in JobState:
        found = {job.id for job in jobs.list(factory, limit=200, state=state.value)}
        assert found == {job_id for job_id, derived in everything.items() if derived is state}, state
        assert found


def test_the_feed_numbers_every_step_once(jobs, factory, database):
    """P9: the change feed holds every step with its actor, in order, and goes on from a cursor."""
    job = jobs.submit(factory, request("k", document(subject="waybill:1")))
    start = jobs.changes(0)
    assert [(c.before, c.after, c.actor) for c in start] == [(None, LabelState.QUEUED, factory.user_id)]
    take_steps(database, job.labels[0].id, LabelState.SENDING, LabelState.PRINTED)
    rest = jobs.changes(start[-1].seq)
    assert [(c.before, c.after) for c in rest] == [
        (LabelState.QUEUED, LabelState.SENDING),
        (LabelState.SENDING, LabelState.PRINTED),
    ]
    assert {c.subject for c in rest} == {"waybill:1"}
    assert jobs.changes(rest[-1].seq) == []
    assert jobs.changes(0, limit=2) == [*start, rest[0]]
    assert jobs.history(factory, job.id) == [*start, *rest]


def test_waiting_ends_when_the_labels_are_settled(jobs, factory, database):
    """A waiter gets the job as soon as another thread settles it, and as it is when the time is over."""
    job = jobs.submit(factory, request("k"))
    assert jobs.wait(factory, job.id, 0).state is JobState.QUEUED
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(jobs.wait, factory, job.id, 20)
        take_steps(database, job.labels[0].id, LabelState.SENDING, LabelState.UNCERTAIN)
        assert waiting.result(15).state is JobState.ATTENTION


def test_a_preview_is_no_print_and_needs_the_right(jobs, factory):
    """D7: the picture of a label is for those who may see clear data; it changes nothing."""
    job = jobs.submit(factory, request("k"))
    picture = jobs.preview(factory, job.labels[0].id)
    assert picture.startswith(b"\x89PNG")
    assert jobs.get(factory, job.id) == job
    packer = Actor("u", factory.store_id, "p", frozenset({Right.PRINT, Right.READ_JOBS}), "test")
    with pytest.raises(Forbidden):
        jobs.preview(packer, job.labels[0].id)
    page = jobs.pages(factory, job.labels[0].id)[0]
    assert (page.width_mm, page.height_mm) == (76, 30)
    with pytest.raises(Forbidden):
        jobs.pages(packer, job.labels[0].id)


def test_another_stores_data_are_seen_only_with_the_right_to(jobs, factory):
    """D7: a private document is not shown to who may see only the own store's data, and its reprint is as private."""
    job = jobs.submit(factory, request("k", document(private=True), printer="browser"))
    jobs.open_pdf(factory, job.labels[0].id)
    again = jobs.reprint(factory, job.labels[0].id, "torn", "r")
    clerk = replace(factory, rights=factory.rights - {Right.SEE_OTHERS_DATA})
    for each in (job, again):
        with pytest.raises(Forbidden):
            jobs.preview(clerk, each.labels[0].id)
    own = jobs.submit(clerk, request("own"))
    assert jobs.preview(clerk, own.labels[0].id).startswith(b"\x89PNG")


def test_every_verb_asks_for_its_right(jobs, printers, factory):
    """An actor without rights may do nothing here."""
    job = jobs.submit(factory, request("k"))
    nobody = Actor("u", factory.store_id, "n", frozenset(), "test")
    label = job.labels[0].id
    for verb in (
        lambda: jobs.submit(nobody, request("k")),
        lambda: jobs.reprint(nobody, label, "torn", "r"),
        lambda: jobs.get(nobody, job.id),
        lambda: jobs.list(nobody),
        lambda: jobs.label(nobody, label),
        lambda: jobs.labels(nobody, "waybill:1"),
        lambda: jobs.history(nobody, job.id),
        lambda: jobs.wait(nobody, job.id, 0),
        lambda: jobs.preview(nobody, label),
        lambda: jobs.hold(nobody, job.id),
        lambda: jobs.release(nobody, job.id),
        lambda: jobs.cancel(nobody, job.id),
        lambda: jobs.resolve(nobody, label, True),
        lambda: jobs.open_pdf(nobody, label),
        lambda: printers.add(nobody, "p", "tcp://127.0.0.1:9", "virtual-zpl-203"),
        lambda: printers.get(nobody, "bench 7"),
        lambda: printers.list(nobody),
        lambda: printers.edit(nobody, "bench 7", name="x"),
        lambda: printers.pause(nobody, "bench 7"),
        lambda: printers.resume(nobody, "bench 7"),
        lambda: printers.remove(nobody, "bench 7"),
        lambda: printers.browser(nobody),
    ):
        with pytest.raises(Forbidden):
            verb()


# ---------------------------------------------------------------- the built-in printer


def test_a_pdf_is_opened_once_and_that_is_its_print(jobs, factory):
    """P6: opening gives the PDF and counts as sent; the second opening is Gone, and a reprint is the way."""
    job = jobs.submit(factory, request("k", printer="browser"))
    data = jobs.open_pdf(factory, job.labels[0].id)
    assert data.startswith(b"%PDF")
    label = jobs.label(factory, job.labels[0].id)
    assert (label.state, label.reason, label.bytes_count) == (
        LabelState.SENT,
        "opened in the browser",
        len(data),
    )
    with pytest.raises(Gone) as fault:
        jobs.open_pdf(factory, label.id)
    assert fault.value.code == "pdf.opened"
    again = jobs.reprint(factory, label.id, "the dialog was closed", "r")
    assert jobs.open_pdf(factory, again.labels[0].id).startswith(b"%PDF")


def test_of_racing_openings_one_gets_the_pdf(jobs, factory):
    """P6: one-time access holds also when several browsers ask at once."""
    job = jobs.submit(factory, request("k", printer="browser"))

    def open_it(_):
        try:
            return jobs.open_pdf(factory, job.labels[0].id)
        except Gone:
            return None

    with ThreadPoolExecutor(8) as pool:
        opened = [data for data in pool.map(open_it, range(8)) if data]
    assert len(opened) == 1


def test_opening_a_blocked_label_is_refused(jobs, factory):
    """P6, P10: blocks are checked at the opening, which cancels the label with the block's reason."""
    job = jobs.submit(factory, request("k", document(subject="waybill:1"), printer="browser"))
    jobs.block("waybill:1", "after-sale case")
    with pytest.raises(Refused) as fault:
        jobs.open_pdf(factory, job.labels[0].id)
    assert fault.value.facts == {"reason": "after-sale case"}
    assert jobs.label(factory, job.labels[0].id).state is LabelState.CANCELLED
    with pytest.raises(Conflict):
        jobs.open_pdf(factory, job.labels[0].id)


def test_only_the_built_in_printers_labels_open_as_pdf(jobs, factory):
    """A label that waits for a real printer, or is held, can't be opened in a browser."""
    for job in (
        jobs.submit(factory, request("1")),
        jobs.submit(factory, request("2", printer="browser", hold=True)),
    ):
        with pytest.raises(Conflict):
            jobs.open_pdf(factory, job.labels[0].id)


def test_the_built_in_printer_is_one_a_store_and_stays(printers, factory, merchant):
    """Asked for by many at once it is made once; it can't be edited, removed, or its name taken."""
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: printers.browser(factory).id, range(8)))
    assert len(found) == 1
    assert printers.browser(merchant).id not in found
    for verb in (
        lambda: printers.edit(factory, "browser", name="x"),
        lambda: printers.remove(factory, "browser"),
    ):
        with pytest.raises(Conflict):
            verb()
    with pytest.raises(Invalid):
        printers.add(factory, "browser", "tcp://127.0.0.1:9", "virtual-zpl-203")


# ---------------------------------------------------------------- printers


@pytest.mark.usefixtures("sqlite_database")
@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"name": ""}, ["name"]),
        ({"name": " p"}, ["name"]),
        ({"name": "a\tb"}, ["name"]),
        ({"uri": "tcp://host"}, ["uri"]),
        ({"profile": "none-such"}, ["profile"]),
        ({"profile": "browser"}, ["profile"]),
        ({"darkness": 31}, ["darkness"]),
        ({"speed": "fast"}, ["speed"]),
        ({"offset_x": None}, ["offset_x"]),
        ({"offset_y": 10_000}, ["offset_y"]),
        ({"name": "", "uri": "", "profile": ""}, ["name", "uri", "profile"]),
        ({"uri": "file:///"}, ["profile"]),
    ],
)
def test_a_wrong_printer_names_every_field(printers, factory, wrong, fields):
    """Each wrong field of a printer is named; nothing is stored."""
    given = {"name": "p", "uri": "tcp://127.0.0.1:9", "profile": "virtual-zpl-203", **wrong}
    with pytest.raises(Invalid) as fault:
        printers.add(factory, **given)
    assert [error.field for error in fault.value.errors] == fields
    assert printers.list(factory) == []


def test_printers_are_added_edited_paused_and_removed(printers, factory):
    """A store's printer is found by id and name; its name is free again once it is removed."""
    printer = printers.add(factory, "bench 7", "tcp://127.0.0.1:9", "virtual-zpl-203", darkness=12)
    assert (printer.dpi, printer.state.value, printer.darkness) == (203, "unknown", 12)
    assert printers.get(factory, printer.id) == printers.get(factory, "bench 7") == printer
    with pytest.raises(Conflict):
        printers.add(factory, "bench 7", "tcp://127.0.0.1:9", "virtual-zpl-203")
    edited = printers.edit(factory, "bench 7", name="bench 8", profile="virtual-zpl-300")
    assert (edited.id, edited.name, edited.dpi, edited.darkness) == (printer.id, "bench 8", 300, 12)
    assert printers.pause(factory, "bench 8").paused_at is not None
    assert printers.resume(factory, "bench 8").paused_at is None
    printers.remove(factory, "bench 8")
    with pytest.raises(NotFound):
        printers.get(factory, printer.id)
    assert printers.add(factory, "bench 8", "tcp://127.0.0.1:9", "virtual-zpl-203").id != printer.id


def test_a_printer_with_open_labels_stays(jobs, printers, factory):
    """P7: no label is lost by removing its printer."""
    job = jobs.submit(factory, request("k"))
    with pytest.raises(Conflict) as fault:
        printers.remove(factory, "bench 7")
    assert fault.value.facts == {"labels": 1}
    jobs.cancel(factory, job.id)
    printers.remove(factory, "bench 7")
    assert jobs.get(factory, job.id).state is JobState.CANCELLED


# ---------------------------------------------------------------- whose turn it is


def turns(database, printer_id: str) -> list[str]:
    """Send everything; the titles in the order in which they went."""
    went = []
    with database.transaction() as connection:
        while turn := journal.next_turn(connection, printer_id, database.now()):
            journal.claim(connection, turn.label.id, b"", None, database.now(), "spooler")
            journal.step(connection, turn.label.id, LabelState.SENT, database.now(), actor="spooler")
            went.append(turn.label.title)
    return went


def test_the_bench_passes_between_two_labels_of_a_batch(jobs, printers, factory, database):
    """P8: a label for the bench goes before the rest of a batch; in each lane the order of acceptance holds."""
    jobs.submit(factory, request("b1", document(title="b1"), document(title="b2"), lane="batch"))
    printer = printers.get(factory, "bench 7").id
    with database.transaction() as connection:
        first = journal.next_turn(connection, printer, database.now())
        journal.claim(connection, first.label.id, b"", None, database.now(), "spooler")
    jobs.submit(factory, request("n1", document(title="n1")))
    jobs.submit(factory, request("n2", document(title="n2")))
    assert first.label.title == "b1"
    assert turns(database, printer) == ["n1", "n2", "b2"]


def test_nothing_passes_between_the_parcels_of_one_order(jobs, printers, factory, database):
    """P8: once the first parcel of an order has gone, the others follow before the bench, and before a repeated label."""
    parcels = [document(title=f"p{n}", group="order 9") for n in (1, 2, 3)]
    jobs.submit(factory, request("b", *parcels, document(title="next"), lane="batch"))
    printer = printers.get(factory, "bench 7").id
    with database.transaction() as connection:
        first = journal.next_turn(connection, printer, database.now()).label
        journal.claim(connection, first.id, b"", None, database.now(), "spooler")
        journal.step(connection, first.id, LabelState.UNCERTAIN, database.now(), actor="spooler")
    jobs.submit(factory, request("n", document(title="bench")))
    jobs.resolve(factory, first.id, False)
    assert turns(database, printer) == ["p1", "p2", "p3", "bench", "next"]


def test_a_removed_or_paused_printer_gets_nothing(jobs, printers, factory, database):
    """A pause that comes after the look and before the claim still holds."""
    job = jobs.submit(factory, request("k"))
    printers.pause(factory, "bench 7")
    with database.transaction() as connection:
        assert journal.claim(connection, job.labels[0].id, b"", None, database.now(), "spooler") is None
    assert jobs.label(factory, job.labels[0].id).state is LabelState.QUEUED
