"""Pages of batches: a file of parcels, checked row by row before anything happens, then numbers with progress, then labels. 批量取号"""

from __future__ import annotations

import csv
import hashlib
import io
import time
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from labelsvc.errors import Conflict, Invalid, LabelsvcError
from labelsvc.security import Actor, Right
from labelsvc.waybills import (
    PARCELS_PER_BATCH,
    Batch,
    BatchItem,
    DryRun,
    ItemState,
    Party,
    SubscriptionState,
    WaybillState,
    subject_of,
    template_csv,
    template_xlsx,
)
from labelsvc.web.pages import paper, people, words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("batches_pages", __name__, url_prefix="/batches")

_PAGE = 100
_LISTED = 30
#: So long may one request go on with queueing labels.
_PORTION_S = 2.0
#: Good rows that the check shows; the refused ones are all shown.
_SHOWN = 20


@pages.get("")
def listed() -> str:
    """Batches, newest first, and the way to a new one."""
    return render_template("batches.html", **_listed())


@pages.get("/live")
def listed_live() -> str:
    """The list without its frame."""
    return render_template("_batches.html", **_listed())


@pages.get("/new")
def new() -> str:
    """The form that takes a file."""
    return _form()


@pages.post("/new")
def start() -> BaseResponse | tuple[str, int]:
    """File the parcels; numbers come by themselves."""
    try:
        name, content = _file()
        # The form's own key, so that a double click is one batch; with the content, as the file may be another by then.
        key = f"page:{paper.key()[:60]}:{hashlib.sha256(content).hexdigest()[:32]}"
        found = rooms().batches.from_file(actor(), name, content, key=key, **_chosen())
    except LabelsvcError as error:
        return _form(error), error.status
    assert isinstance(found, Batch)
    return redirect(url_for(".one", batch_id=found.id, done="batch_filed"), 303)


@pages.post("/check")
def check() -> str:
    """What would become of each row, as a part of the form's page; nothing is filed."""
    try:
        found = rooms().batches.from_file(actor(), *_file(), dry_run=True, **_chosen())
    except LabelsvcError as error:  # of the file as a whole; a part of a page tells it like any other result
        wrong = words.wrong_fields(error)
        columns = [words.field(name) for name in wrong] if error.code == "file.columns" else []
        return render_template("_check.html", fault=words.of(error), wrong=wrong, columns=columns, found=None)
    assert isinstance(found, DryRun)
    good = [row for row in found.checked if row.request is not None]
    return render_template(
        "_check.html",
        found=found,
        refused=[(row, [words.wrong(fault) for fault in row.errors]) for row in found.refused],
        good=[(row, row.request.recipient.masked()) for row in good[:_SHOWN] if row.request is not None],
        more=len(good) - _SHOWN,
        most=PARCELS_PER_BATCH,
    )


@pages.get("/template.csv")
def as_csv() -> Response:
    """A file to fill in."""
    return _attached(template_csv(), "text/csv; charset=utf-8", "labelsvc-parcels.csv")


@pages.get("/template.xlsx")
def as_xlsx() -> Response:
    """The same as XLSX."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _attached(template_xlsx(), kind, "labelsvc-parcels.xlsx")


@pages.get("/<ident:batch_id>")
def one(batch_id: str) -> str:
    """A batch, its results, and the way to its labels."""
    return _page(batch_id)


@pages.get("/<ident:batch_id>/live")
def live(batch_id: str) -> str:
    """The results without their frame."""
    return render_template("_batch.html", **_results(batch_id))


@pages.post("/<ident:batch_id>/print")
def print_(batch_id: str) -> BaseResponse | str:
    """Queue every label of the batch that isn't printed yet, in the order of the batch, for at most a few seconds.

    The page's script asks again from the answer's ``next`` on until there is none; without it a person does. A label that
    waits or came out already is passed over, so that a repetition prints nothing twice (W8).
    """
    who, key, until = actor(), paper.key(), time.monotonic() + _PORTION_S
    who.require(Right.PRINT)
    printer = rooms().printers.get(who, request.form.get("printer", ""))
    template = request.form.get("template") or None
    total = rooms().batches.get(who, batch_id).total
    faults: list[tuple[BatchItem, str]] = []
    next_ = None
    for item in rooms().batches.results(
        who, batch_id, _place(request.form.get("after", "")), PARCELS_PER_BATCH
    ):
        if item.waybill_id is None or item.waybill_state is not WaybillState.ISSUED:
            continue
        try:
            rooms().waybills.print(
                who,
                item.waybill_id,
                printer.id,
                f"{key}:{item.waybill_id}",
                template=template,
                lane="batch",
                batch=batch_id[-6:].upper(),
                sequence=f"{item.place}/{total}",
            )
        except Invalid:
            raise  # printer or template can't be used, whatever the parcel
        except LabelsvcError as error:
            if not (isinstance(error, Conflict) and error.code == "waybill.already_printed"):
                faults.append((item, words.of(error)))
        if time.monotonic() > until:
            next_ = item.place
            break
    if request.accept_mimetypes.best == "application/json":
        said = [{"number": item.number, "said": text} for item, text in faults]
        return jsonify({"next": next_, "faults": said})
    if faults:
        return _page(batch_id, faults)
    return redirect(url_for(".one", batch_id=batch_id, done="batch_queued"), 303)


@pages.get("/<ident:batch_id>/print")
def print_again(batch_id: str) -> BaseResponse:
    """Nothing is printed without a person's act."""
    return redirect(url_for(".one", batch_id=batch_id), 303)


@pages.get("/<ident:batch_id>/results.csv")
def results(batch_id: str) -> Response:
    """Every row with its number or its reason, for a spreadsheet."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(str(name) for name in words.RESULT_COLUMNS)
    for item in rooms().batches.results(actor(), batch_id, 0, PARCELS_PER_BATCH):
        number = item.number if item.state is ItemState.ISSUED else None
        lines.writerow(
            (
                item.row or item.place,
                _as_text(item.order_number),
                _as_text(number or ""),
                str(words.ITEM[item.state.value][0]),
                words.outcome(item),
            )
        )
    content = ("\ufeff" + text.getvalue()).encode()
    return _attached(content, "text/csv; charset=utf-8", f"labelsvc-{batch_id[-8:]}.csv")


def _as_text(cell: str) -> str:
    """A cell that a spreadsheet neither rounds, as a long number, nor runs, as what begins like a formula."""
    return f'="{cell.replace(chr(34), "")}"' if cell else ""


def _attached(content: bytes, kind: str, name: str) -> Response:
    return Response(content, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _file() -> tuple[str, bytes]:
    """The file's name and content. Raises Invalid."""
    found = request.files.get("file")
    if found is None or not found.filename:
        raise Invalid("is missing", field="file")
    name = "".join(char for char in found.filename if char.isprintable())[-200:]
    return name or "file", found.read()


def _chosen() -> dict[str, Any]:
    """What stands for columns that the file doesn't have: the chosen point's carrier, the default sender address."""
    # Its sender is printed and shown to nobody here.
    sender: Party | None = rooms().addresses.default_party(actor().store_id)
    id = request.form.get("subscription_id", "")
    if not id:
        return {"sender": sender}
    subscription = rooms().subscriptions.get(actor(), id)
    return {"sender": sender, "carrier": subscription.carrier, "subscription_id": subscription.id}


def _form(error: LabelsvcError | None = None) -> str:
    who = actor()
    who.require(Right.ISSUE_WAYBILLS)
    fault: dict[str, Any] = {"fault": words.of(error), "wrong": words.wrong_fields(error)} if error else {}
    return render_template(
        "batch_form.html",
        subscriptions=rooms().subscriptions.list(who, state=SubscriptionState.OPEN)
        if who.may(Right.READ_SUBSCRIPTIONS)
        else [],
        sender=rooms().addresses.default(who) if who.may(Right.READ_ADDRESSES) else None,
        chosen=request.form.get("subscription_id", ""),
        key=paper.choices()["key"],
        most=PARCELS_PER_BATCH,
        **fault,
    )


def _listed() -> dict[str, Any]:
    found = rooms().batches.list(actor(), request.args.get("after") or None, _LISTED)
    return {
        "batches": found,
        "names": people.names(actor()),
        "next": found[-1].id if len(found) == _LISTED else None,
    }


def _page(batch_id: str, faults: list[tuple[BatchItem, str]] | None = None) -> str:
    who = actor()
    printers = rooms().printers.list(who) if who.may(Right.READ_PRINTERS) else []
    results = _results(batch_id)
    ahead = _ahead(who, results["unprinted"])
    return render_template(
        "batch.html",
        faults=faults or [],
        names=people.names(who),
        printers={one.id: one for one in printers if not one.is_browser},
        ahead=ahead,
        to_print=len(results["unprinted"]) - ahead,
        **results,
        **paper.choices(),
    )


def _ahead(who: Actor, items: list[BatchItem]) -> int:
    """How many of these have a label already that waits for its turn, or is just coming out."""
    if not who.may(Right.READ_JOBS):
        return 0
    return sum(
        any(
            label.state not in paper.VOID
            for label in rooms().jobs.labels(who, subject_of(item.waybill_id, item.revision))
        )
        for item in items
        if item.waybill_id is not None
    )


def _results(batch_id: str) -> dict[str, Any]:
    """A page of results, and how far the whole batch is."""
    who = actor()
    batch = rooms().batches.get(who, batch_id)
    found = rooms().batches.results(who, batch_id, 0, PARCELS_PER_BATCH)
    after = _place(request.args.get("after", ""))
    items = [item for item in found if item.place > after][:_PAGE]
    issued = [item for item in found if item.waybill_state is WaybillState.ISSUED]
    return {
        "batch": batch,
        "items": items,
        "after": after,
        "next": items[-1].place if items and items[-1].place < batch.total else None,
        "unprinted": issued,
        "stage": f"{batch.state.value}/{bool(issued)}",
    }


def _place(text: str) -> int:
    """A place in a batch as a page sends it; anything else is the start."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
