"""Queries of jobs, documents and labels: what is stored, whose turn it is, each step, blocks, and the numbered feed of changes.

Hides SQL. Every step of a label passes ``step``, which checks that it is legal and writes its change in the same
transaction; rows never leave this file, nouns do. Functions take the connection of the caller's transaction; one that may
take a step, store a job or set a block is the transaction of ``TURN``, taken at its start.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import Prepared, new_id, notify, put, take_turn
from labelsvc.errors import Conflict, NotFound
from labelsvc.printing.model import (
    LANES,
    SETTLED,
    Change,
    Document,
    DocumentGrade,
    JobState,
    JobWarning,
    Label,
    LabelState,
    Lane,
    Picture,
    Printer,
    PrintJob,
    Turn,
    Unproven,
    derive,
    require_step,
)
from labelsvc.printing.printer_store import (
    driven_printer,
    made_for,
    queues_of,
)
from labelsvc.printing.second_copies import SUREST, FirstCopy
from labelsvc.printing.tables import (
    EXPIRING,
    blocks,
    changes,
    documents,
    labels,
    print_jobs,
    printers,
)

#: Steps, new jobs, blocks and what a person chooses for a printer have one turn. The feed needs it: its readers keep a
#: cursor, so its numbers must become visible in their order. And a claim rests on what isn't there, a block. Taken first,
#: before any row is locked.
TURN = "printing"

#: What ``db.notify`` tells of a step; of something to do, it tells the printer's id instead.
CHANGED = ""

#: Documents are sealed and stored in such portions: a job of ten thousand needn't lie in memory twice.
_PORTION = 200

#: What lists and steps need of a label; never its bytes, which only the sender has in hand.
_LABEL = [column for column in labels.c if column.name != "bytes"]

# Statements on a label's way from a request to paper stand made beside what asks them: making one takes longer than SQLite
# takes to answer it.


# ---------------------------------------------------------------- storing and finding jobs


@dataclass(frozen=True)
class NewDocument:
    """A checked document on its way into the journal."""

    template: str
    template_text: str
    data: dict[str, Any]
    title: str
    subject: str | None
    copies: int
    group: str | None
    private: bool
    warnings: list[dict[str, str]]
    grade: str | None
    symbols: str
    area_text: str | None = None
    picture: Picture | None = None
    images: Mapping[str, bytes] | None = None
    pages: int = 1
    reprint_of: str | None = None
    reprint_count: int = 0
    number: str | None = None
    replaces: tuple[str, ...] = ()
    question: str = ""  #: why it is held as a second copy; "" if it isn't


@dataclass(frozen=True)
class NewJob:
    """A checked request on its way into the journal."""

    store_id: str
    printer_id: str
    key: str
    fingerprint: str
    lane: Lane
    hold: bool
    origin: str
    created_by: str
    reason: str
    documents: Sequence[NewDocument]
    expires_at: datetime | None = None
    to_group: bool = False
    asked_until: datetime | None = None  #: second copies that nobody confirmed are cancelled then


_INSERT_JOB, _INSERT_DOCUMENTS = Prepared(print_jobs.insert()), Prepared(documents.insert())
_INSERT_LABELS, _INSERT_CHANGES = Prepared(labels.insert()), Prepared(changes.insert())
_LABEL_FIELDS = frozenset(each.name for each in fields(Label))
#: What a label is stored with; the other fields come to be as it is printed.
_FRESH = _LABEL_FIELDS - {"sent_at", "settled_at", "bytes_count", "sent_no"}


def insert_job(connection: Connection, job: NewJob, now: datetime) -> tuple[PrintJob, list[str]]:
    """Store a job with its documents and labels; answers it as ``find_job`` would, and its documents' ids, in order.

    Raises KeyTaken if the store used the key before: the constraint decides, so that of racing twins one wins.
    """
    job_id = new_id()
    try:
        _INSERT_JOB.run(
            connection,
            {
                "id": job_id,
                "store_id": job.store_id,
                "printer_id": job.printer_id,
                "key": job.key,
                "fingerprint": job.fingerprint,
                "lane": job.lane,
                "origin": job.origin,
                "created_by": job.created_by,
                "created_at": now,
                "expires_at": job.expires_at,
            },
        )
    except IntegrityError:
        raise KeyTaken from None
    document_ids = [new_id() for _ in job.documents]
    numbered = list(enumerate(zip(document_ids, job.documents, strict=True), start=1))
    for start in range(0, len(numbered), _PORTION):
        portion = numbered[start : start + _PORTION]
        _INSERT_DOCUMENTS.run(connection, *(_document_row(job_id, *one) for one in portion))
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "job_id": job_id,
            "document_id": document_ids[no - 1],
            "printer_id": job.printer_id,
            "group_id": job.printer_id if job.to_group else None,
            "store_id": job.store_id,
            "document_no": no,
            "copy_no": copy_no,
            "state": (LabelState.HELD if job.hold or document.question else LabelState.QUEUED).value,
            "lane": job.lane,
            "place": 1,
            "grouped": document.group,
            "subject": document.subject,
            "title": document.title,
            "number": document.number,
            "reason": document.question,
            "held_for": "second_copy" if document.question else "",
            "expires_at": _earlier(job.expires_at, job.asked_until if document.question else None),
            "reprint_of": document.reprint_of,
            "reprint_count": document.reprint_count,
            "attempt": 0,
            "pages": document.pages,
            "queued_at": now,
        }
        for no, document in enumerate(job.documents, start=1)
        for copy_no in range(1, document.copies + 1)
    ]
    _INSERT_LABELS.run(connection, *rows)
    _record(
        connection,
        [
            {
                "at": now,
                "label_id": row["id"],
                "job_id": job_id,
                "store_id": job.store_id,
                "subject": row["subject"],
                "before": None,
                "after": row["state"],
                "actor": job.created_by,
                "reason": row["reason"] or job.reason,
            }
            for row in rows
        ],
    )
    notify(connection, job.printer_id)
    made = [
        Label(**{name: row[name] for name in _FRESH} | {"state": LabelState(row["state"])}) for row in rows
    ]
    stored = PrintJob(
        id=job_id,
        store_id=job.store_id,
        printer_id=job.printer_id,
        state=derive([label.state for label in made]),
        key=job.key,
        lane=job.lane,
        origin=job.origin,
        created_by=job.created_by,
        created_at=now,
        labels=tuple(made),
        expires_at=job.expires_at,
        warnings=tuple(
            JobWarning(document_no=no, **warning)
            for no, document in enumerate(job.documents, start=1)
            for warning in document.warnings
        ),
        grades=tuple(
            DocumentGrade(no, document.grade)
            for no, document in enumerate(job.documents, start=1)
            if document.grade
        ),
    )
    return stored, document_ids


def _earlier(*times: datetime | None) -> datetime | None:
    return min((each for each in times if each is not None), default=None)


def _document_row(job_id: str, no: int, given: tuple[str, NewDocument]) -> dict[str, Any]:
    document_id, document = given
    return {
        "id": document_id,
        "job_id": job_id,
        "no": no,
        "template": document.template,
        "template_text": document.template_text,
        "data": document.data,
        "area_text": document.area_text,
        "picture": _without_content(document.picture),
        "content": document.picture.content if document.picture else None,
        "images": {
            source: base64.b64encode(content).decode() for source, content in (document.images or {}).items()
        }
        or None,
        "warnings": document.warnings,
        "grade": document.grade,
        "symbols": document.symbols,
        "title": document.title,
        "subject": document.subject,
        "copies": document.copies,
        "private": document.private,
    }


class KeyTaken(Exception):
    """The store has a job with this key; inside this room only."""


def _record(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Append to the feed, in the caller's turn (asked for once more: a forgotten one would lose news silently)."""
    take_turn(connection, TURN)
    _INSERT_CHANGES.run(connection, *rows)


def _label(row: Row[Any]) -> Label:
    return Label(
        id=row.id,
        job_id=row.job_id,
        store_id=row.store_id,
        printer_id=row.printer_id,
        document_no=row.document_no,
        copy_no=row.copy_no,
        state=LabelState(row.state),
        lane=row.lane,
        title=row.title,
        subject=row.subject,
        reason=row.reason,
        queued_at=row.queued_at,
        sent_at=row.sent_at,
        settled_at=row.settled_at,
        bytes_count=row.bytes_count,
        attempt=row.attempt,
        reprint_of=row.reprint_of,
        reprint_count=row.reprint_count,
        pages=row.pages,
        sent_no=row.sent_no,
        number=row.number,
        held_for=row.held_for,
        expires_at=row.expires_at,
    )


def _without_content(picture: Picture | None) -> dict[str, Any] | None:
    """What is to be done with a picture; its content has a column of its own."""
    if picture is None:
        return None
    return {
        "width_mm": picture.width_mm,
        "height_mm": picture.height_mm,
        "fit": picture.fit,
        "rotate": picture.rotate,
        "dither": picture.dither,
    }


_LABELS_OF_JOBS = (
    select(*_LABEL)
    .where(labels.c.job_id.in_(bindparam("job_ids", expanding=True)))
    .order_by(labels.c.document_no, labels.c.copy_no)  # not seq: a moved label went behind others
)
_WARNINGS_OF_JOBS = (
    select(documents.c.job_id, documents.c.no, documents.c.warnings, documents.c.grade)
    .where(documents.c.job_id.in_(bindparam("job_ids", expanding=True)))
    .order_by(documents.c.no)
)


def _jobs(connection: Connection, rows: Sequence[Row[Any]]) -> list[PrintJob]:
    """The jobs of these rows of print_jobs, in their order, each with its labels and warnings: two queries for any number."""
    if not rows:
        return []
    ids = [row.id for row in rows]
    found: dict[str, list[Label]] = {job_id: [] for job_id in ids}
    for label in connection.execute(_LABELS_OF_JOBS, {"job_ids": ids}):
        found[label.job_id].append(_label(label))
    warned: dict[str, list[JobWarning]] = {job_id: [] for job_id in ids}
    graded: dict[str, list[DocumentGrade]] = {job_id: [] for job_id in ids}
    for document in connection.execute(_WARNINGS_OF_JOBS, {"job_ids": ids}):
        warned[document.job_id] += [
            JobWarning(document_no=document.no, **warning) for warning in document.warnings
        ]
        if document.grade:
            graded[document.job_id].append(DocumentGrade(document.no, document.grade))
    return [
        PrintJob(
            id=row.id,
            store_id=row.store_id,
            printer_id=row.printer_id,
            state=derive([label.state for label in found[row.id]]),
            key=row.key,
            lane=row.lane,
            origin=row.origin,
            created_by=row.created_by,
            created_at=row.created_at,
            labels=tuple(found[row.id]),
            expires_at=row.expires_at,
            warnings=tuple(warned[row.id]),
            grades=tuple(graded[row.id]),
        )
        for row in rows
    ]


_FIND_JOB = Prepared(
    select(print_jobs).where(
        print_jobs.c.store_id == bindparam("store_id"), print_jobs.c.id == bindparam("job_id")
    )
)
_FIND_JOB_BY_KEY = Prepared(
    select(print_jobs).where(
        print_jobs.c.store_id == bindparam("store_id"), print_jobs.c.key == bindparam("key")
    )
)
_JOB_STATES = Prepared(
    select(labels.c.state)
    .where(labels.c.job_id == bindparam("job_id"), labels.c.store_id == bindparam("store_id"))
    .distinct()
)


def find_job(connection: Connection, store_id: str, job_id: str) -> PrintJob | None:
    """The store's job with this id."""
    found = _jobs(connection, _FIND_JOB.all(connection, store_id=store_id, job_id=job_id))
    return found[0] if found else None


def find_job_by_key(connection: Connection, store_id: str, key: str) -> tuple[PrintJob, str] | None:
    """The store's job with this idempotency key, and its content's fingerprint."""
    row = _FIND_JOB_BY_KEY.first(connection, store_id=store_id, key=key)
    return (_jobs(connection, [row])[0], row.fingerprint) if row else None


def job_states(connection: Connection, store_id: str, job_id: str) -> set[LabelState]:
    """The states of a job's labels, none if the store has no such job; cheaper than the job, for those who wait."""
    rows = _JOB_STATES.all(connection, store_id=store_id, job_id=job_id)
    return {LabelState(row.state) for row in rows}


def _has(*states: LabelState) -> ColumnElement[bool]:
    return exists().where(labels.c.job_id == print_jobs.c.id, labels.c.state.in_(states))


def _in_state(state: JobState) -> ColumnElement[bool]:
    """``model.derive`` said in SQL, for filtering; a test holds the two together."""
    s = LabelState
    calm = not_(_has(s.UNCERTAIN, s.SENDING))
    begun = _has(s.PRINTED, s.SENT, s.FAILED)
    over = and_(calm, not_(_has(s.QUEUED, s.HELD)))
    return {
        JobState.ATTENTION: _has(s.UNCERTAIN),
        JobState.PRINTING: and_(not_(_has(s.UNCERTAIN)), or_(_has(s.SENDING), and_(_has(s.QUEUED), begun))),
        JobState.QUEUED: and_(calm, _has(s.QUEUED), not_(begun)),
        JobState.HELD: and_(calm, not_(_has(s.QUEUED)), _has(s.HELD)),
        JobState.FAILED: and_(over, _has(s.FAILED)),
        JobState.CANCELLED: and_(over, not_(begun)),
        JobState.DONE: and_(over, not_(_has(s.FAILED)), _has(s.PRINTED, s.SENT)),
    }[state]


#: Few labels are in these states at any time: jobs in such a state are found from the labels, not by reading all jobs.
_RARE = {
    JobState.ATTENTION: (LabelState.UNCERTAIN,),
    JobState.PRINTING: (LabelState.SENDING, LabelState.QUEUED),
    JobState.QUEUED: (LabelState.QUEUED,),
    JobState.HELD: (LabelState.HELD,),
}


def list_jobs(
    connection: Connection, store_id: str, after: str | None, limit: int, state: JobState | None
) -> list[PrintJob]:
    """A store's jobs, newest first, those older than the job ``after``."""
    query = select(print_jobs).where(print_jobs.c.store_id == store_id)
    if after is not None:
        query = query.where(print_jobs.c.id < after)
    if state is not None:
        query = query.where(_in_state(state))
        if state in _RARE:
            open_ones = select(labels.c.job_id).where(
                labels.c.store_id == store_id, labels.c.state.in_(_RARE[state])
            )
            query = query.where(print_jobs.c.id.in_(open_ones))
    return _jobs(connection, connection.execute(query.order_by(print_jobs.c.id.desc()).limit(limit)).all())


def count_states(connection: Connection) -> dict[str, int]:
    """How many labels of all stores are in each state."""
    rows = connection.execute(select(labels.c.state, func.count().label("n")).group_by(labels.c.state))
    return {state.value: 0 for state in LabelState} | {row.state: row.n for row in rows}


def find_label(connection: Connection, store_id: str, label_id: str) -> Label | None:
    """The store's label with this id."""
    row = connection.execute(
        select(*_LABEL).where(labels.c.store_id == store_id, labels.c.id == label_id)
    ).first()
    return _label(row) if row else None


def label_state(connection: Connection, label_id: str) -> LabelState:
    """Where a label stands; it must exist."""
    return LabelState(connection.execute(select(labels.c.state).where(labels.c.id == label_id)).scalar_one())


def labels_of_subject(connection: Connection, store_id: str, subject: str) -> list[Label]:
    """A subject's labels in the store, oldest first."""
    rows = connection.execute(
        select(*_LABEL)
        .where(labels.c.store_id == store_id, labels.c.subject == subject)
        .order_by(labels.c.seq)
    )
    return [_label(row) for row in rows]


def _first_copies(having_number: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            labels.c.number,
            labels.c.state,
            labels.c.subject,
            func.coalesce(labels.c.settled_at, labels.c.sent_at, labels.c.queued_at).label("at"),
            printers.c.name,
        )
        .join(printers, printers.c.id == labels.c.printer_id)
        .where(
            labels.c.store_id == bindparam("store_id"),
            having_number,
            labels.c.state.in_(SUREST),
            not_(and_(labels.c.state == LabelState.HELD, labels.c.held_for == "second_copy")),
        )
        .order_by(labels.c.seq.desc())
    )


_FIRST_COPIES = _first_copies(labels.c.number.in_(bindparam("numbers", expanding=True)))
_FIRST_COPIES_OF_ONE = Prepared(_first_copies(labels.c.number == bindparam("number")))


def first_copies(connection: Connection, store_id: str, numbers: Iterable[str]) -> dict[str, list[FirstCopy]]:
    """The store's labels that carry these waybill numbers, the surest on paper and of those the newest first.

    One that failed or was cancelled is none, nor one that itself waits to be confirmed as a second copy.
    """
    found: dict[str, list[FirstCopy]] = {}
    wanted = sorted(set(numbers))
    rows: list[Any] = []
    if len(wanted) == 1:
        rows += _FIRST_COPIES_OF_ONE.all(connection, store_id=store_id, number=wanted[0])
    else:
        for start in range(0, len(wanted), _PORTION):
            some = {"store_id": store_id, "numbers": wanted[start : start + _PORTION]}
            rows += connection.execute(_FIRST_COPIES, some)
    for row in rows:
        copy = FirstCopy(LabelState(row.state), row.at, row.name, row.subject)
        found.setdefault(row.number, []).append(copy)
    for copies in found.values():
        copies.sort(key=lambda copy: SUREST.index(copy.state))
    return found


def asked(connection: Connection, store_id: str) -> list[Label]:
    """The store's labels that wait for a person's answer, oldest first: uncertain ones and second copies."""
    rows = connection.execute(
        select(*_LABEL)
        .where(
            labels.c.store_id == store_id,
            or_(
                labels.c.state == LabelState.UNCERTAIN,
                and_(labels.c.state == LabelState.HELD, labels.c.held_for == "second_copy"),
            ),
        )
        .order_by(labels.c.seq)
    )
    return [_label(row) for row in rows]


_DOCUMENT_OF = Prepared(
    select(
        *(column for column in documents.c if column.name not in ("warnings", "symbols")),
        print_jobs.c.erased_at,
        print_jobs.c.created_at,
        select(func.count())
        .where(documents.c.job_id == labels.c.job_id)
        .correlate(labels)
        .scalar_subquery()
        .label("documents_of_job"),
    )
    .join(labels, labels.c.document_id == documents.c.id)
    .join(print_jobs, print_jobs.c.id == documents.c.job_id)
    .where(labels.c.id == bindparam("label_id"))
)


def document_of(connection: Connection, label_id: str) -> Document:
    """The document that a label renders."""
    (row,) = _DOCUMENT_OF.all(connection, label_id=label_id)
    return Document(
        row.id,
        row.template,
        row.template_text,
        row.data,
        row.title,
        row.subject,
        row.private,
        row.created_at,
        row.no,
        row.documents_of_job,
        row.area_text,
        Picture(content=row.content, **row.picture) if row.picture else None,
        {source: base64.b64decode(content) for source, content in (row.images or {}).items()},
        erased=row.erased_at is not None,
    )


def symbols_of(connection: Connection, label_id: str) -> str:
    """The quality report of a label's barcodes as it was stored, JSON; of an earlier version's label an empty list."""
    found = connection.execute(
        select(documents.c.symbols)
        .join(labels, labels.c.document_id == documents.c.id)
        .where(labels.c.id == label_id)
    ).scalar()
    return found or "[]"


def reprints(connection: Connection, label: Label) -> int:
    """How often a label, or anything of its subject, was reprinted so far (W8)."""
    root = label.reprint_of or label.id
    same = or_(labels.c.id == root, labels.c.reprint_of == root)
    if label.subject is not None:
        same = or_(same, labels.c.subject == label.subject)
    return int(
        connection.execute(
            select(func.max(labels.c.reprint_count)).where(labels.c.store_id == label.store_id, same)
        ).scalar_one()
    )


def history(connection: Connection, store_id: str, job_id: str) -> list[Change]:
    """Every step of a job's labels, in order (P9)."""
    rows = connection.execute(
        select(changes)
        .where(changes.c.store_id == store_id, changes.c.job_id == job_id)
        .order_by(changes.c.seq)
    )
    return [_change(row) for row in rows]


_CHANGES_AFTER = (
    select(changes)
    .where(changes.c.seq > bindparam("after_seq"))
    .order_by(changes.c.seq)
    .limit(bindparam("most"))
)


def changes_after(connection: Connection, after: int, limit: int) -> list[Change]:
    """The feed of all stores from number ``after`` (not included) on."""
    return [_change(row) for row in connection.execute(_CHANGES_AFTER, {"after_seq": after, "most": limit})]


def _change(row: Row[Any]) -> Change:
    return Change(
        seq=row.seq,
        at=row.at,
        label_id=row.label_id,
        job_id=row.job_id,
        store_id=row.store_id,
        subject=row.subject,
        before=LabelState(row.before) if row.before else None,
        after=LabelState(row.after),
        actor=row.actor,
        reason=row.reason,
    )


# ---------------------------------------------------------------- steps


_LOCKED = Prepared(select(*_LABEL).where(labels.c.id == bindparam("label_id")).with_for_update())
_STEP = Prepared(update(labels).where(labels.c.seq == bindparam("label_seq")))


def step(
    connection: Connection,
    label_id: str,
    after: LabelState,
    now: datetime,
    *,
    actor: str,
    reason: str = "",
    of_attempt: int | None = None,
    **values: Any,
) -> Label:
    """Take one step and write its change. Raises Conflict ``label.step`` if it isn't legal from the present state.

    ``of_attempt``: what the caller knows is of this attempt to print the label; of a later one it knows nothing.
    """
    row = _LOCKED.first(connection, label_id=label_id)
    if row is None:
        raise NotFound("no such label", code="label.not_found")
    if of_attempt is not None and row.attempt != of_attempt:
        raise Conflict("the label was sent again since", code="label.step", state=str(row.state))
    return _step(connection, row, after, now, actor, reason, **values)


def _step(
    connection: Connection,
    row: Row[Any],
    after: LabelState,
    now: datetime,
    actor: str,
    reason: str = "",
    **values: Any,
) -> Label:
    """``step`` of a label whose row is locked."""
    before = LabelState(row.state)
    require_step(before, after)
    values = {"held_for": ""} | values
    values |= {
        "state": after.value,
        "reason": reason,
        "settled_at": now if after in SETTLED else None,
    }
    if row.group_id and not row.grouped and (before, after) == (LabelState.SENDING, LabelState.QUEUED):
        # No byte left: another printer of the group may take it. Parcels of one order stay where the first one went.
        values |= {"printer_id": row.group_id, "sent_no": None}
    _STEP.run(connection, {"label_seq": row.seq, **values})
    _record(
        connection,
        [
            {
                "at": now,
                "label_id": row.id,
                "job_id": row.job_id,
                "store_id": row.store_id,
                "subject": row.subject,
                "before": before.value,
                "after": after.value,
                "actor": actor,
                "reason": reason,
            }
        ],
    )
    notify(connection, row.printer_id if after is LabelState.QUEUED else CHANGED)
    changed = {name: value for name, value in values.items() if name in _LABEL_FIELDS}
    return replace(_label(row), **changed | {"state": after})


def move(
    connection: Connection, label_id: str, printer: Printer, now: datetime, *, actor: str, reason: str
) -> Label:
    """Put a waiting label behind all that waits at another printer; its state stays, its history says so.

    Raises Conflict ``label.step`` if it doesn't wait.
    """
    (row,) = _LOCKED.all(connection, label_id=label_id)
    if row.state not in (LabelState.QUEUED, LabelState.HELD):
        raise Conflict(
            f"the label is {row.state} and can't be moved", code="label.step", state=str(row.state)
        )
    if row.sent_no is not None:
        # It was sent once: its number is the old printer's for good, or its receipt would prove another label.
        connection.execute(
            update(printers)
            .where(printers.c.id == row.printer_id, printers.c.sent_floor < row.sent_no)
            .values(sent_floor=row.sent_no)
        )
    connection.execute(
        update(labels)
        .where(labels.c.seq == row.seq)
        .values(
            printer_id=printer.id,
            group_id=printer.id if printer.is_group else None,
            seq=_last_place(connection),
            sent_no=None,
            counter_before=None,
        )
    )
    _record(
        connection,
        [
            {
                "at": now,
                "label_id": label_id,
                "job_id": row.job_id,
                "store_id": row.store_id,
                "subject": row.subject,
                "before": row.state,
                "after": row.state,
                "actor": actor,
                "reason": reason,
            }
        ],
    )
    notify(connection, printer.id)
    return _label(connection.execute(select(*_LABEL).where(labels.c.id == label_id)).one())


def _last_place(connection: Connection) -> Any:
    """The number behind all labels that there are."""
    if connection.dialect.name == "postgresql":
        return func.nextval(func.pg_get_serial_sequence("labels", "seq"))
    # SQLite goes on from there at the next insert; labels are never deleted.
    return select(func.max(labels.c.seq) + 1).scalar_subquery()


def name_printer(connection: Connection, job_id: str, printer_id: str) -> None:
    """The job is another printer's now, all of it."""
    connection.execute(update(print_jobs).where(print_jobs.c.id == job_id).values(printer_id=printer_id))


_NEXT = (
    select(*_LABEL)
    .where(labels.c.printer_id == bindparam("queue"), labels.c.state == LabelState.QUEUED)
    .order_by(labels.c.place, labels.c.seq)
    .limit(1)
)
_NEXT_OF_LANE = Prepared(_NEXT.where(labels.c.lane == bindparam("lane")))
_NEXT_OF_ORDER = Prepared(
    _NEXT.where(labels.c.job_id == bindparam("job_id"), labels.c.grouped == bindparam("grouped"))
)
_LAST_SENT = Prepared(
    select(labels.c.job_id, labels.c.grouped, labels.c.bytes_count)
    .where(labels.c.printer_id == bindparam("printer_id"), labels.c.sent_no.is_not(None))
    .order_by(labels.c.sent_no.desc())
    .limit(1)
)


def next_turn(connection: Connection, printer_id: str, now: datetime) -> Turn | None:
    """Whose turn it is on a printer (P8): of its own labels, and of those that its groups have for it.

    The rest of a group whose label went last comes first: nothing passes between the parcels of one order. Then the
    bench before the batch, in each lane labels that a person sent again before all others, then order of acceptance.
    """
    row: Any = None
    last = _LAST_SENT.first(connection, printer_id=printer_id)
    if last is not None and last.grouped is not None:
        row = _NEXT_OF_ORDER.first(connection, queue=printer_id, job_id=last.job_id, grouped=last.grouped)
    queues = [] if row is not None else queues_of(connection, printer_id, now)
    for lane in LANES:
        if row is None:
            heads = [_NEXT_OF_LANE.first(connection, queue=queue, lane=lane) for queue in queues]
            row = min((head for head in heads if head), key=lambda head: (head.place, head.seq), default=None)
    if row is None:
        return None
    return Turn(_label(row), document_of(connection, row.id))


def claim(
    connection: Connection,
    label_id: str,
    data: bytes,
    counter_before: int | None,
    now: datetime,
    actor: str,
    pages: int = 1,
    ending: Callable[[str, int], bytes] = lambda printer_id, sent_no: b"",
    printer: Printer | None = None,
) -> Label | None:
    """Commit the intent to send ``data`` as this label, if it may still go now; None if not.

    ``ending`` is what goes behind the data, by the printer and the label's ``sent_no``: how the printer is to tell of it.
    ``printer`` is the one that the bytes were made for: none of them leave if the label was moved since, or something that
    makes other bytes was changed.

    A label that was held or cancelled since its turn came stays so; one whose printer was paused stays queued; one
    whose subject is blocked is cancelled with the block's reason (P10), one whose time is over as expired.
    """
    (row,) = _LOCKED.all(connection, label_id=label_id)
    here = driven_printer(connection, printer.id if printer else row.printer_id)
    if row.state != LabelState.QUEUED or here is None or here.is_group:
        return None
    if printer is not None and made_for(here) != made_for(printer):
        return None
    if row.printer_id != here.id and row.printer_id not in queues_of(connection, here.id, now):
        return None
    reason = block_on(connection, row.subject)
    if reason is None and row.expires_at is not None and row.expires_at <= now:
        reason = "expired"
    if reason is not None:
        _step(connection, row, LabelState.CANCELLED, now, actor, reason)
        return None
    if row.printer_id != here.id and row.grouped:
        # The other parcels of the order follow the first to its printer (P8).
        connection.execute(
            update(labels)
            .where(
                labels.c.job_id == row.job_id,
                labels.c.grouped == row.grouped,
                labels.c.printer_id == row.printer_id,
                labels.c.state.in_([LabelState.QUEUED, LabelState.HELD]),
            )
            .values(printer_id=here.id)
        )
    sent_no = _newest_sent(connection, here.id) + 1
    data += ending(here.id, sent_no)
    return _step(
        connection,
        row,
        LabelState.SENDING,
        now,
        actor,
        bytes=data,
        bytes_count=len(data),
        pages=pages,
        printer_id=here.id,
        counter_before=counter_before,
        sent_no=sent_no,
        sent_at=now,
        attempt=row.attempt + 1,
    )


def sweep(connection: Connection, now: datetime, printer_id: str, reason: str = "") -> list[Label]:
    """Make every label uncertain that whoever drove a printer before left in ``sending``."""
    rows = connection.execute(
        select(labels.c.id).where(labels.c.printer_id == printer_id, labels.c.state == LabelState.SENDING)
    )
    return [
        step(
            connection,
            row.id,
            LabelState.UNCERTAIN,
            now,
            actor="spooler",
            reason=reason or "the service stopped while sending",
        )
        for row in rows.all()
    ]


_NEWEST_SENT = Prepared(
    select(
        printers.c.sent_floor,
        select(func.max(labels.c.sent_no))
        .where(labels.c.printer_id == bindparam("printer_id"))
        .scalar_subquery()
        .label("newest"),
    ).where(printers.c.id == bindparam("printer_id"))
)


def _newest_sent(connection: Connection, printer_id: str) -> int:
    """The number of the label that was sent to a printer last, also if it was moved away since; 0: none."""
    (row,) = _NEWEST_SENT.all(connection, printer_id=printer_id)
    return int(max(row.sent_floor, row.newest or 0))


def last_length(connection: Connection, printer_id: str) -> int:
    """How many bytes the label had that was sent last to a printer; 0 if there was none."""
    last = _LAST_SENT.first(connection, printer_id=printer_id)
    return (last.bytes_count or 0) if last is not None else 0


_NEWEST_CHANGE = select(func.max(changes.c.seq))


def newest_change(connection: Connection) -> int:
    """The number of the newest change; 0 if there is none."""
    return int(connection.execute(_NEWEST_CHANGE).scalar() or 0)


def hold_all(connection: Connection, now: datetime, reason: str) -> int:
    """Hold every label of every store that waits, until a person releases it (P14); how many."""
    rows = connection.execute(
        select(labels.c.id).where(labels.c.state == LabelState.QUEUED).order_by(labels.c.seq)
    ).all()
    for row in rows:
        step(connection, row.id, LabelState.HELD, now, actor="spooler", reason=reason, held_for="moved")
    return len(rows)


def held_moved(connection: Connection, store_id: str) -> list[str]:
    """The ids of the store's labels that are held since the database was restored or copied, in their order."""
    rows = connection.execute(
        select(labels.c.id)
        .where(
            labels.c.store_id == store_id,
            labels.c.state == LabelState.HELD,
            labels.c.held_for == "moved",
        )
        .order_by(labels.c.seq)
    )
    return [row.id for row in rows]


# State by state and in the index's order: else SQLite's planner, once it has seen a long history, reads all of it.
_TWO_IN_STATE = Prepared(
    select(*_LABEL)
    .where(labels.c.printer_id == bindparam("printer_id"), labels.c.state == bindparam("in_state"))
    .order_by(labels.c.lane, labels.c.place, labels.c.seq)
    .limit(2)
)


def unproven(connection: Connection, printer_id: str) -> Unproven | None:
    """The one label of a printer that it may still prove: uncertain, and the last that was sent to it.

    With a second uncertain label, or one sent since, a counter that moved by one could mean either.
    """
    rows = [
        row
        for state in (LabelState.UNCERTAIN, LabelState.SENDING)
        for row in _TWO_IN_STATE.all(connection, printer_id=printer_id, in_state=state)
    ]
    if len(rows) != 1 or rows[0].state != LabelState.UNCERTAIN:
        return None
    if rows[0].sent_no != _newest_sent(connection, printer_id):
        return None
    return Unproven(_label(rows[0]), rows[0].counter_before)


# Said as the index says it, so that SQLite takes it.
_EXPIRED = text(EXPIRING), labels.c.expires_at <= bindparam("now")
_ANY_EXPIRED = select(exists().where(*_EXPIRED))


def expired(connection: Connection, now: datetime) -> bool:
    """Whether ``expire`` has something to do."""
    return bool(connection.execute(_ANY_EXPIRED, {"now": now}).scalar_one())


def expire(connection: Connection, now: datetime) -> list[Label]:
    """Cancel the labels that still wait though their time is over; never one whose bytes may have left."""
    rows = connection.execute(
        select(labels.c.id, labels.c.held_for, labels.c.reason)
        .where(*_EXPIRED)
        .order_by(labels.c.seq)
        .limit(_PORTION),
        {"now": now},
    ).all()
    return [
        step(
            connection,
            row.id,
            LabelState.CANCELLED,
            now,
            actor="spooler",
            reason=f"not confirmed in time: {row.reason}" if row.held_for else "expired",
        )
        for row in rows
    ]


# ---------------------------------------------------------------- blocks


def set_block(connection: Connection, subject: str, reason: str, now: datetime) -> None:
    """Block a subject; a second block replaces the first one's reason."""
    put(connection, blocks, {"subject": subject}, {"reason": reason, "at": now})


def clear_block(connection: Connection, subject: str) -> None:
    """Unblock a subject; harmless if it isn't blocked."""
    connection.execute(delete(blocks).where(blocks.c.subject == subject))


_BLOCK_ON = Prepared(select(blocks.c.reason).where(blocks.c.subject == bindparam("subject")))


def block_on(connection: Connection, subject: str | None) -> str | None:
    """The reason why a subject is blocked, or None."""
    if subject is None:
        return None
    row = _BLOCK_ON.first(connection, subject=subject)
    return row.reason if row else None


# ---------------------------------------------------------------- erasure


def erasable(connection: Connection, before: datetime, limit: int) -> list[tuple[str, str]]:
    """Ids and stores of jobs made before a time whose documents are still there, oldest first; none that is being sent."""
    rows = connection.execute(
        select(print_jobs.c.id, print_jobs.c.store_id)
        .where(*_erasable(before))
        .order_by(print_jobs.c.created_at)
        .limit(limit)
    )
    return [(row.id, row.store_id) for row in rows]


def count_erasable(connection: Connection, before: datetime) -> int:
    """How many jobs ``erasable`` would name without a limit."""
    return connection.execute(
        select(func.count()).select_from(print_jobs).where(*_erasable(before))
    ).scalar_one()


def _erasable(before: datetime) -> tuple[ColumnElement[bool], ...]:
    sending = exists().where(labels.c.job_id == print_jobs.c.id, labels.c.state == LabelState.SENDING)
    return print_jobs.c.erased_at.is_(None), print_jobs.c.created_at < before, not_(sending)


def erase(connection: Connection, job_ids: list[str], now: datetime) -> None:
    """Erase what jobs were to print and the bytes that were sent; that they were, when and how it went stays.

    A label that still waits is cancelled: there is nothing left to print.
    """
    waiting = connection.execute(
        select(labels.c.id).where(
            labels.c.job_id.in_(job_ids), labels.c.state.in_([LabelState.QUEUED, LabelState.HELD])
        )
    ).all()
    for row in waiting:
        step(connection, row.id, LabelState.CANCELLED, now, actor="erasure", reason="erased")
    connection.execute(
        update(documents)
        .where(documents.c.job_id.in_(job_ids))
        .values(
            data={}, template_text="", warnings=[], area_text=None, picture=None, content=None, images=None
        )
    )
    connection.execute(update(labels).where(labels.c.job_id.in_(job_ids)).values(bytes=None))
    connection.execute(update(print_jobs).where(print_jobs.c.id.in_(job_ids)).values(erased_at=now))
