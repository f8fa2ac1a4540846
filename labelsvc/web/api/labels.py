"""Labels over the API: the answer to an uncertain one, reprints, a look, and the one-time PDF. 标签"""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from labelsvc.web.api.jobs import Grade, JobOut, LabelOut, job_out, label_out
from labelsvc.web.api.shape import Answer, Body, Key, Query, Reason, Reference
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("labels", __name__, url_prefix="/api/v1/labels", tag="labels")

_Responses = dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]
_PICTURE: _Responses = {200: {"description": "A picture", "content": {"image/png": {}}}}
_PDF: _Responses = {200: {"description": "The label, once", "content": {"application/pdf": {}}}}


class SidesOut(Answer):
    left: float
    top: float
    right: float
    bottom: float


class FindingOut(Answer):
    code: str
    detail: str


class SymbolOut(Answer):
    """How well a barcode can be scanned, as far as its geometry says."""

    kind: str
    title: str
    standard: str
    source: str = Field(description="The template's element.")
    length: int = Field(description="Characters that it holds.")
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    rotation: int
    module_mm: float = Field(description="Width of its narrowest bar or module.")
    module_dots: int
    quiet: SidesOut = Field(description="What is free around it on the page, in modules.")
    quiet_needed: SidesOut = Field(description="What its standard asks, in modules.")
    height_share: float = Field(description="Height of the bars over their length; 0 for cells.")
    module_grade: Grade
    quiet_grade: Grade
    height_grade: Grade
    grade: Grade = Field(description="The lowest of the three: print quality can only lower it further.")
    findings: list[FindingOut]


class QualityOut(Answer):
    items: list[SymbolOut]


class Which(Query):
    page: int = Field(1, ge=1, le=1000, description="Of a label that takes several.")


class Resolve(Body):
    came_out: bool
    printer: Reference | None = Field(None, description="Where one that didn't goes next; else where it was.")


class Confirm(Body):
    wanted: bool = Field(description="Print the second copy all the same, or cancel it.")


class QuestionsOut(Answer):
    items: list[LabelOut]


class Reprint(Body):
    reason: Reason
    printer: Reference | None = None


@api.get("/questions")
@api.output(QuestionsOut)
def questions() -> dict[str, Any]:
    """Labels that wait for a person's answer, oldest first: uncertain ones and second copies."""
    return {"items": [label_out(label) for label in rooms().jobs.questions(actor())]}


@api.get("/<ident:label_id>")
@api.output(LabelOut)
def one(label_id: str) -> dict[str, Any]:
    """One label."""
    return label_out(rooms().jobs.label(actor(), label_id))


@api.post("/<ident:label_id>/resolve")
@api.input(Resolve)
@api.output(LabelOut)
def resolve(label_id: str, json_data: Resolve) -> dict[str, Any]:
    """A person's answer whether an uncertain label came out; one that did not goes next."""
    return label_out(rooms().jobs.resolve(actor(), label_id, json_data.came_out, json_data.printer))


@api.post("/<ident:label_id>/confirm")
@api.input(Confirm)
@api.output(LabelOut)
def confirm(label_id: str, json_data: Confirm) -> dict[str, Any]:
    """A person's answer to a second copy of a waybill number, which is held (P15)."""
    return label_out(rooms().jobs.confirm(actor(), label_id, json_data.wanted))


@api.post("/<ident:label_id>/reprint")
@api.input(Key, location="headers")
@api.input(Reprint)
@api.output(JobOut, status_code=201)
def reprint(label_id: str, headers_data: Key, json_data: Reprint) -> dict[str, Any]:
    """Print a label again, with a reason; the paper says that it is a reprint (W8)."""
    found = rooms().jobs.reprint(
        actor(), label_id, json_data.reason, headers_data.idempotency_key, printer=json_data.printer
    )
    return job_out(found)


@api.get("/<ident:label_id>/quality")
@api.output(QualityOut)
def quality(label_id: str) -> dict[str, Any]:
    """How well each of the label's barcodes can be scanned, as far as its geometry says; none where it has none."""
    return {"items": rooms().jobs.quality(actor(), label_id)}


@api.get("/<ident:label_id>/preview.png")
@api.input(Which, location="query")
@api.doc(responses=_PICTURE)
def preview(label_id: str, query_data: Which) -> Response:
    """How the label looks; no print, and only with the right to see clear data."""
    return Response(rooms().jobs.preview(actor(), label_id, query_data.page), mimetype="image/png")


@api.post("/<ident:label_id>/pdf")
@api.doc(responses=_PDF)
def pdf(label_id: str) -> Response:
    """Open a label of the browser printer as PDF: this is its print, possible once (P6); a second time is 410."""
    return Response(rooms().jobs.open_pdf(actor(), label_id), mimetype="application/pdf")
