"""Pages of single labels: the answer to an uncertain one, reprints, and the one-time PDF (P6). 标签"""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from labelsvc.db import new_id
from labelsvc.printing import LabelState
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("labels_pages", __name__)


@pages.post("/labels/<ident:label_id>/resolve")
def resolve(label_id: str) -> BaseResponse:
    """Did it come out?"""
    came_out = request.form.get("came_out") == "yes"
    label = rooms().jobs.resolve(actor(), label_id, came_out)
    done = "came_out" if came_out else "not_out"
    if request.form.get("back") == "job":
        return redirect(url_for("jobs_pages.one", job_id=label.job_id, done=done), 303)
    return redirect(url_for("questions_pages.listed", done=done), 303)


@pages.post("/labels/<ident:label_id>/confirm")
def confirm(label_id: str) -> BaseResponse:
    """The second copy of a waybill number: print it all the same?"""
    wanted = request.form.get("wanted") == "yes"
    rooms().jobs.confirm(actor(), label_id, wanted)
    return redirect(url_for("questions_pages.listed", done="wanted" if wanted else "not_wanted"), 303)


@pages.post("/labels/<ident:label_id>/reprint")
def reprint(label_id: str) -> BaseResponse:
    """Print it again, for a reason (W8)."""
    label = rooms().jobs.label(actor(), label_id)
    reason = request.form.get("other", "").strip() or request.form.get("reason", "")
    job = rooms().jobs.reprint(
        actor(),
        label_id,
        reason,
        request.form.get("key", ""),
        printer=request.form.get("printer") or label.printer_id,
    )
    if rooms().printers.get(actor(), job.printer_id).is_browser:
        return redirect(url_for(".sheet", label_id=job.labels[0].id), 303)
    return redirect(url_for("jobs_pages.one", job_id=job.id, done="reprinted"), 303)


@pages.get("/pdf/<ident:label_id>")
def sheet(label_id: str) -> str:
    """The page that opens a label once, by its script's POST; looking at it prints nothing."""
    label = rooms().jobs.label(actor(), label_id)
    fresh = label.state in (LabelState.QUEUED, LabelState.HELD)
    return render_template("pdf.html", label=label, fresh=fresh, key=new_id())


@pages.post("/pdf/<ident:label_id>/open")
def open_sheet(label_id: str) -> Response:
    """The label as PDF, once."""
    return Response(rooms().jobs.open_pdf(actor(), label_id), mimetype="application/pdf")
