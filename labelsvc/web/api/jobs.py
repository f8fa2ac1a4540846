"""Print jobs over the API. 打印任务"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.errors import Invalid
from labelsvc.printing import (
    MAX_EXPIRE_S,
    MAX_PAPER_MM,
    Change,
    DocumentRequest,
    Label,
    Picture,
    PrintJob,
    PrintRequest,
)
from labelsvc.printing import JobState as State
from labelsvc.web.api.shape import (
    Answer,
    Body,
    Free,
    Id,
    Key,
    Line,
    Lines,
    Name,
    Paging,
    Query,
    Reference,
    moment,
    page_of,
    patience,
)
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("jobs", __name__, url_prefix="/api/v1/jobs", tag="jobs")

LABEL_STATES = Literal["queued", "held", "sending", "printed", "sent", "failed", "uncertain", "cancelled"]
Fit = Literal["shrink", "actual", "fill"]
Turning = Literal["auto", "0", "90", "180", "270"]
Dither = Literal["auto", "threshold", "diffusion"]
Grade = Literal["A", "B", "C", "D", "F"]
JOB_STATES = Literal["queued", "held", "printing", "done", "attention", "failed", "cancelled"]


class PictureIn(Body):
    content_base64: Annotated[str, Field(min_length=4, max_length=12_000_000)] = Field(
        description="A PDF, PNG, JPEG, GIF, BMP, WebP or TIFF."
    )
    width_mm: float = Field(ge=5, le=MAX_PAPER_MM, allow_inf_nan=False, description="Of the paper.")
    height_mm: float = Field(ge=5, le=MAX_PAPER_MM, allow_inf_nan=False)
    fit: Fit = Field(
        "shrink", description="shrink: never larger than it is; fill: as large as the paper allows."
    )
    rotate: Turning = Field("auto", description="Degrees clockwise; auto: as it fits better.")
    dither: Dither = Field(
        "auto", description="auto: bars and letters by threshold, photographs by diffusion."
    )

    def picture(self, number: int) -> Picture:
        """The room's noun, of document ``number``. Raises Invalid."""
        try:
            content = base64.b64decode(self.content_base64, validate=True)
        except ValueError:
            field = f"documents[{number}].picture.content_base64"
            raise Invalid("must be base64", field=field) from None
        return Picture(content, **self.model_dump(exclude={"content_base64"}))


class DocumentIn(Body):
    template: Name = Field(
        description="A standard template's name; with template_text that text's name, with picture the picture's."
    )
    template_text: Annotated[
        Lines | None, Field(max_length=65536, description="A template of one's own, CNPL.")
    ] = None
    data: Free | None = Field(
        None, description="What the template's data paths name. Needed unless there is a picture."
    )
    picture: PictureIn | None = Field(
        None, description="A finished PDF or picture instead of template and data."
    )
    copies: int = Field(1, ge=1, le=50)
    title: Annotated[Line, Field(max_length=80, description="Shown in lists; no personal data.")] = ""
    number: Annotated[Line, Field(min_length=4, max_length=40)] | None = Field(
        None,
        description="The waybill number on it. Needless where the data name it and a barcode says it; "
        "of a picture nothing else tells.",
    )

    def request(self, number: int) -> DocumentRequest:
        """The room's noun; ``number`` counts from 0. Raises Invalid."""
        if self.data is None and self.picture is None:
            raise Invalid("Field required", field=f"documents[{number}].data")
        given = self.model_dump(exclude={"picture", "data"})
        picture = self.picture.picture(number) if self.picture else None
        return DocumentRequest(**given, data=self.data or {}, picture=picture)


class JobIn(Body):
    printer: Reference = Field(description="A printer's id or name.")
    documents: list[DocumentIn] = Field(min_length=1, max_length=500)
    lane: Literal["bench", "batch"] = "bench"
    hold: bool = False
    expire_s: int | None = Field(
        None, ge=1, le=MAX_EXPIRE_S, description="Labels that haven't left after so long are cancelled."
    )


class Move(Body):
    printer: Reference = Field(description="The other printer's id or name.")
    labels: Annotated[list[Id], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="Only these; else all that wait."
    )


class LabelOut(Answer):
    id: str
    job_id: str
    printer_id: str
    document_no: int
    copy_no: int
    state: LABEL_STATES
    title: str
    reason: str = Field(description="Why it is in this state.")
    queued_at: str
    sent_at: str | None
    settled_at: str | None
    bytes_count: int | None
    reprint_of: str | None
    reprint_count: int
    pages: int = Field(description="Pieces of paper that it comes out on.")
    number: str | None = Field(description="The waybill number on it.")
    held_for: Literal["", "second_copy", "moved"] = Field(
        description="What a held label waits for: a release; the answer at /confirm; or, in a database that was restored "
        "or copied, /jobs/release-moved."
    )
    expires_at: str | None = Field(description="If it still waits then, it is cancelled.")


class GradeOut(Answer):
    document_no: int
    grade: Grade = Field(
        description="The lowest of its barcodes by their geometry; /labels/{label_id}/quality says why."
    )


class WarningOut(Answer):
    document_no: int
    code: str
    detail: str
    source: str


class JobOut(Answer):
    id: str
    printer_id: str
    state: JOB_STATES
    lane: Literal["bench", "batch"]
    origin: str
    created_by: str
    created_at: str
    expires_at: str | None
    labels: list[LabelOut]
    warnings: list[WarningOut]
    grades: list[GradeOut] = Field(description="How well each document's barcodes can be scanned at best.")


class JobsOut(Answer):
    items: list[JobOut]
    next: str | None


class ReleasedOut(Answer):
    labels: int


class ChangeOut(Answer):
    seq: int
    at: str
    label_id: str
    before: LABEL_STATES | None
    after: LABEL_STATES
    actor: str
    reason: str


class HistoryOut(Answer):
    items: list[ChangeOut]


class JobsQuery(Paging):
    state: JOB_STATES | None = None


class Wait(Query):
    wait_s: float = Field(
        0, ge=0, le=30, allow_inf_nan=False, description="How long to wait until it is settled."
    )


def label_out(label: Label) -> dict[str, Any]:
    """A label as the API shows it."""
    return {
        "id": label.id,
        "job_id": label.job_id,
        "printer_id": label.printer_id,
        "document_no": label.document_no,
        "copy_no": label.copy_no,
        "state": label.state.value,
        "title": label.title,
        "reason": label.reason,
        "queued_at": moment(label.queued_at),
        "sent_at": moment(label.sent_at),
        "settled_at": moment(label.settled_at),
        "bytes_count": label.bytes_count,
        "reprint_of": label.reprint_of,
        "reprint_count": label.reprint_count,
        "pages": label.pages,
        "number": label.number,
        "held_for": label.held_for,
        "expires_at": moment(label.expires_at),
    }


def job_out(job: PrintJob) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "id": job.id,
        "printer_id": job.printer_id,
        "state": job.state.value,
        "lane": job.lane,
        "origin": job.origin,
        "created_by": job.created_by,
        "created_at": moment(job.created_at),
        "expires_at": moment(job.expires_at),
        "labels": [label_out(label) for label in job.labels],
        "warnings": [
            {
                "document_no": found.document_no,
                "code": found.code,
                "detail": found.detail,
                "source": found.source,
            }
            for found in job.warnings
        ],
        "grades": job.grades,
    }


def change_out(change: Change) -> dict[str, Any]:
    """A step of a label as the API shows it."""
    return {
        "seq": change.seq,
        "at": moment(change.at),
        "label_id": change.label_id,
        "before": change.before.value if change.before else None,
        "after": change.after.value,
        "actor": change.actor,
        "reason": change.reason,
    }


@api.post("")
@api.input(Key, location="headers")
@api.input(JobIn)
@api.output(JobOut, status_code=201)
def submit(headers_data: Key, json_data: JobIn) -> dict[str, Any]:
    """Print documents; the answer comes once they are durably stored. The same key again gives the same job."""
    request = PrintRequest(
        printer=json_data.printer,
        documents=tuple(document.request(number) for number, document in enumerate(json_data.documents)),
        key=headers_data.idempotency_key,
        lane=json_data.lane,
        hold=json_data.hold,
        expire_s=json_data.expire_s,
        origin=actor().via,
    )
    return job_out(rooms().jobs.submit(actor(), request))


@api.get("")
@api.input(JobsQuery, location="query")
@api.output(JobsOut)
def listed(query_data: JobsQuery) -> dict[str, Any]:
    """Jobs, newest first."""
    found = rooms().jobs.list(
        actor(),
        after=query_data.after,
        limit=query_data.limit,
        state=State(query_data.state) if query_data.state else None,
    )
    return page_of(found, query_data.limit, job_out)


@api.post("/release-moved")
@api.output(ReleasedOut)
def release_moved() -> dict[str, Any]:
    """Let all labels go that are held because the database was restored or copied (P14)."""
    return {"labels": rooms().jobs.release_moved(actor())}


@api.get("/<ident:job_id>")
@api.input(Wait, location="query")
@api.output(JobOut)
def one(job_id: str, query_data: Wait) -> dict[str, Any]:
    """One job with its labels; with wait_s, once nothing further happens by itself or the time is over.

    Where too many requests wait already, the answer comes at once.
    """
    with patience().seconds(query_data.wait_s) as seconds:
        if seconds:
            return job_out(rooms().jobs.wait(actor(), job_id, seconds))
    return job_out(rooms().jobs.get(actor(), job_id))


@api.post("/<ident:job_id>/hold")
@api.output(JobOut)
def hold(job_id: str) -> dict[str, Any]:
    """Keep the queued labels back."""
    return job_out(rooms().jobs.hold(actor(), job_id))


@api.post("/<ident:job_id>/release")
@api.output(JobOut)
def release(job_id: str) -> dict[str, Any]:
    """Let the held labels go on; second copies of a waybill number need an answer each (/labels/{id}/confirm)."""
    return job_out(rooms().jobs.release(actor(), job_id))


@api.post("/<ident:job_id>/cancel")
@api.output(JobOut)
def cancel(job_id: str) -> dict[str, Any]:
    """Cancel the labels whose bytes haven't left; the others keep their state."""
    return job_out(rooms().jobs.cancel(actor(), job_id))


@api.post("/<ident:job_id>/move")
@api.input(Move)
@api.output(JobOut)
def move(job_id: str, json_data: Move) -> dict[str, Any]:
    """Let waiting labels print on another printer, made anew for it, behind what waits there."""
    return job_out(rooms().jobs.move(actor(), job_id, json_data.printer, json_data.labels))


@api.get("/<ident:job_id>/history")
@api.output(HistoryOut)
def history(job_id: str) -> dict[str, Any]:
    """Every step of every label of the job, oldest first."""
    return {"items": [change_out(change) for change in rooms().jobs.history(actor(), job_id)]}
