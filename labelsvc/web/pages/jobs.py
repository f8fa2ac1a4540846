"""Pages of print jobs. 打印任务"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.db import new_id
from labelsvc.printing import JobState, Printer
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("jobs_pages", __name__, url_prefix="/jobs")

_PAGE = 30


@pages.get("")
def listed() -> str:
    """Jobs, newest first."""
    return render_template("jobs.html", **_list())


@pages.get("/live")
def live() -> str:
    """The same without its frame."""
    return render_template("_jobs.html", **_list())


@pages.get("/<ident:job_id>")
def one(job_id: str) -> str:
    """One job: labels and history."""
    return render_template("job.html", key=new_id(), **_job(job_id))


@pages.get("/<ident:job_id>/live")
def one_live(job_id: str) -> str:
    """The same without its frame."""
    return render_template("_job.html", key=new_id(), **_job(job_id))


@pages.post("/release-moved")
def release_moved() -> Response:
    """This restored or copied database is the one that prints."""
    rooms().jobs.release_moved(actor())
    return redirect(url_for(".listed", done="released_moved"), 303)


@pages.post("/<ident:job_id>/hold")
def hold(job_id: str) -> Response:
    """Keep queued labels back."""
    rooms().jobs.hold(actor(), job_id)
    return redirect(url_for(".one", job_id=job_id, done="held"), 303)


@pages.post("/<ident:job_id>/release")
def release(job_id: str) -> Response:
    """Let held labels go."""
    rooms().jobs.release(actor(), job_id)
    return redirect(url_for(".one", job_id=job_id, done="released"), 303)


@pages.post("/<ident:job_id>/cancel")
def cancel(job_id: str) -> Response:
    """Cancel what hasn't left."""
    rooms().jobs.cancel(actor(), job_id)
    return redirect(url_for(".one", job_id=job_id, done="job_cancelled"), 303)


@pages.post("/<ident:job_id>/move")
def move(job_id: str) -> Response:
    """Print what waits on another printer."""
    rooms().jobs.move(actor(), job_id, request.form.get("printer", ""))
    return redirect(url_for(".one", job_id=job_id, done="moved"), 303)


def _list() -> dict[str, Any]:
    after = request.args.get("after") or None
    state = request.args.get("state") or None
    if state not in words.JOB:
        state = None
    who = actor()
    jobs = rooms().jobs.list(who, after=after, limit=_PAGE, state=JobState(state) if state else None)
    return {
        "jobs": jobs,
        "next": jobs[-1].id if len(jobs) == _PAGE else None,
        "chosen": state,
        "printers": names(),
    }


def _job(job_id: str) -> dict[str, Any]:
    job = rooms().jobs.get(actor(), job_id)
    # Where there are several labels, each step says whose it is.
    titles = {
        label.id: (label.title or str(label.document_no))
        + (f" ({label.copy_no})" if label.copy_no > 1 else "")
        for label in (job.labels if len(job.labels) > 1 else ())
    }
    printers = rooms().printers.list(actor())
    return {
        "job": job,
        "changes": rooms().jobs.history(actor(), job_id),
        "titles": titles,
        "printers": names(printers),
        "printer": next((one for one in printers if one.id == job.printer_id), None),
    }


def names(printers: Sequence[Printer] | None = None) -> dict[str, str]:
    """Printer id -> name; of the store's printers, which are asked for if they aren't at hand."""
    return {
        printer.id: str(words.BROWSER) if printer.is_browser else printer.name
        for printer in (rooms().printers.list(actor()) if printers is None else printers)
    }
