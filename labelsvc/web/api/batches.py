"""Batches over the API: hundreds of parcels from JSON or a file, worked off in the background, a result for each. 批次"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from apiflask.fields import UploadFile
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from labelsvc.waybills import PARCELS_PER_BATCH, Batch, BatchItem, DryRun, template_csv, template_xlsx
from labelsvc.web.api.shape import (
    Answer,
    Body,
    FieldFault,
    Id,
    ItemProblem,
    Key,
    KeyIfAny,
    Line,
    Paging,
    Query,
    moment,
    page_of,
    uploaded,
)
from labelsvc.web.api.waybills import IssueIn, request_of
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("batches", __name__, url_prefix="/api/v1/batches", tag="batches")

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]
_CSV_FILE: _Responses = {200: {"description": "A file to fill in", "content": {"text/csv": {}}}}
_XLSX_FILE: _Responses = {200: {"description": "A file to fill in", "content": {_XLSX: {}}}}


class BatchIn(Body):
    requests: list[IssueIn] = Field(min_length=1, max_length=PARCELS_PER_BATCH)


class FileForm(BaseModel):
    """A form with a file; fields are text, as in any form."""

    model_config = ConfigDict(extra="forbid")

    file: UploadFile = Field(description="CSV (UTF-8, UTF-16, GB18030) or XLSX, at most 8 MiB.")
    carrier: Annotated[Line, Field(max_length=20)] = Field(
        "", description="For files without such a column; such as YTO."
    )
    subscription_id: Id | None = Field(
        None, description="The network point for its carrier's parcels, where several are open (E6)."
    )
    dry_run: Literal["true", "false"] = Field("false", description="Only say what would become of each row.")


class BatchOut(Answer):
    id: str
    name: str = Field(description="Of the file, if it came by one.")
    state: Literal["open", "done"]
    total: int
    issued: int
    refused: int
    open: int
    created_at: str
    ended_at: str | None


class BatchesOut(Answer):
    items: list[BatchOut]
    next: str | None


class RefusedRow(Answer):
    row: int = Field(description="Of the file; 1 is the heading.")
    errors: list[FieldFault]


class DryRunOut(Answer):
    rows: int
    parcels: int = Field(description="How many could be asked for.")
    refused: list[RefusedRow]


class FiledOut(Answer):
    """What became of a file: its batch, or of a dry run what would."""

    batch: BatchOut | None
    dry_run: DryRunOut | None


class ResultsQuery(Query):
    after: int = Field(0, ge=0, le=PARCELS_PER_BATCH, description="The last row of the page before.")
    limit: int = Field(100, ge=1, le=PARCELS_PER_BATCH)


class BatchResultOut(Answer):
    row: int = Field(description="The parcel's place in the batch, from 1.")
    file_row: int | None
    order_number: str
    state: Literal["open", "issued", "refused"]
    waybill_id: str | None
    number: str | None
    problem: ItemProblem | None = Field(description="Why it is refused, or what it waits for.")


class BatchResultsOut(Answer):
    items: list[BatchResultOut]
    next: int | None


def batch_out(found: Batch) -> dict[str, Any]:
    """A batch as the API shows it."""
    plain = ("id", "name", "total", "issued", "refused", "open")
    return {
        **{name: getattr(found, name) for name in plain},
        "state": found.state.value,
        "created_at": moment(found.created_at),
        "ended_at": moment(found.ended_at),
    }


def result_out(item: BatchItem) -> dict[str, Any]:
    """A parcel of a batch as the API shows it."""
    errors = [{"field": item.field, "reason": item.detail}] if item.field else []
    problem = {"code": item.code, "detail": item.detail, "errors": errors, "facts": {}}
    plain = ("order_number", "waybill_id", "number")
    return {
        **{name: getattr(item, name) for name in plain},
        "row": item.place,
        "file_row": item.row,
        "state": item.state.value,
        "problem": problem if item.code else None,
    }


def dry_run_out(found: DryRun) -> dict[str, Any]:
    """A dry run as the API shows it."""
    refused = [{"row": row.row, "errors": list(row.errors)} for row in found.refused]
    return {"rows": found.rows, "parcels": found.parcels, "refused": refused}


@api.post("")
@api.input(Key, location="headers")
@api.input(BatchIn)
@api.output(BatchOut, status_code=202)
def create(headers_data: Key, json_data: BatchIn) -> dict[str, Any]:
    """File up to 500 parcels; the answer comes before any number. The same key again gives the same batch."""
    requests = [request_of(given) for given in json_data.requests]
    return batch_out(rooms().batches.create(actor(), requests, headers_data.idempotency_key))


@api.get("")
@api.input(Paging, location="query")
@api.output(BatchesOut)
def listed(query_data: Paging) -> dict[str, Any]:
    """The store's batches, newest first."""
    found = rooms().batches.list(actor(), query_data.after, query_data.limit)
    return page_of(found, query_data.limit, batch_out)


@api.post("/files")
@api.input(KeyIfAny, location="headers")
@api.input(FileForm, location="form_and_files")
@api.output(FiledOut, status_code=202)
def from_file(headers_data: KeyIfAny, form_and_files_data: FileForm) -> dict[str, Any]:
    """File the parcels of a CSV or XLSX file (D19); all of its rows must be right, which a dry run tells beforehand.

    Without a key the same file is the same batch. Where the file names no sender, the default sender address is shown.
    """
    name, content = uploaded(form_and_files_data.file)
    found = rooms().batches.from_file(
        actor(),
        name,
        content,
        carrier=form_and_files_data.carrier,
        sender=rooms().addresses.default_party(actor().store_id),
        subscription_id=form_and_files_data.subscription_id,
        key=headers_data.idempotency_key or "",
        dry_run=form_and_files_data.dry_run == "true",
    )
    if isinstance(found, DryRun):
        return {"batch": None, "dry_run": dry_run_out(found)}
    return {"batch": batch_out(found), "dry_run": None}


@api.get("/template.csv")
@api.doc(responses=_CSV_FILE)
def csv_template() -> Response:
    """A file to fill in, with all columns and no parcel."""
    return _download(template_csv(), "text/csv", "parcels.csv")


@api.get("/template.xlsx")
@api.doc(responses=_XLSX_FILE)
def xlsx_template() -> Response:
    """The same as a workbook, every cell text."""
    return _download(template_xlsx(), _XLSX, "parcels.xlsx")


@api.get("/<ident:batch_id>")
@api.output(BatchOut)
def one(batch_id: str) -> dict[str, Any]:
    """How far a batch is."""
    return batch_out(rooms().batches.get(actor(), batch_id))


@api.get("/<ident:batch_id>/results")
@api.input(ResultsQuery, location="query")
@api.output(BatchResultsOut)
def results(batch_id: str, query_data: ResultsQuery) -> dict[str, Any]:
    """A batch's parcels in their order, each with its result so far."""
    found = rooms().batches.results(actor(), batch_id, query_data.after, query_data.limit)
    return {
        "items": [result_out(item) for item in found],
        "next": found[-1].place if len(found) == query_data.limit else None,
    }


def _download(content: bytes, kind: str, name: str) -> Response:
    return Response(content, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
