"""Number formats and the comparison with the network's books over the API. 单号规则, 对账"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from labelsvc.waybills import Difference, PointTotals, check_number, guess, looks_like
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.shape import Answer, Body, Id, Line, Query
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("numbers", __name__, url_prefix="/api/v1", tag="numbers")

Number = Annotated[Line, Field(min_length=1, max_length=60, description="As typed or scanned.")]
KINDS = Literal["cancelled_there", "unknown_there", "live_there", "unrecorded", "surplus", "totals"]


def _moment(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("must be a time as text, with its offset")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after 9999") from None


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_moment), AfterValidator(_in_utc)]


class NumberQuery(Query):
    carrier: CarrierCode
    number: Number


class GuessQuery(Query):
    number: Number


class NumberOut(Answer):
    number: str = Field(description="Tidied: half-width, upper-case, without blanks.")
    in_force: bool = Field(description="False: of an older format that parcels still carry.")


class GuessOut(Answer):
    items: list[str] = Field(description="Carriers, the likelier first; for proposing only.")


class ReconcileIn(Body):
    since: Moment | None = Field(None, description="Waybills made since then; by default from the first.")
    until: Moment | None = Field(None, description="Waybills made before then; by default up to now.")
    after: Id | None = Field(None, description="The `next` of the page before.")
    limit: int = Field(50, ge=1, le=200, description="How many waybills to compare in this call.")
    fix: bool = Field(
        False, description="Settle what is safe: adopt what isn't recorded, cancel what no label shows."
    )


class DifferenceOut(Answer):
    kind: KINDS
    waybill_id: str
    number: str
    ours: str
    theirs: str
    fixed: bool


class PointTotalsOut(Answer):
    carrier: str
    branch_code: str
    ours_issued: int
    ours_cancelled: int
    theirs_allocated: int
    theirs_cancelled: int
    balance: int | None


class ReconciliationOut(Answer):
    differences: list[DifferenceOut]
    points: list[PointTotalsOut] | None = Field(
        description="The totals of the store's points, of all times; with the last page, null before."
    )
    asked: int
    unanswered: int = Field(
        description="Waybills that the network didn't tell about: ask for this page again."
    )
    next: str | None = Field(description="Null: this was the last page.")


def difference_out(found: Difference) -> dict[str, Any]:
    """A difference as the API shows it."""
    plain = ("waybill_id", "number", "ours", "theirs", "fixed")
    return {**{name: getattr(found, name) for name in plain}, "kind": found.kind.value}


def totals_out(found: PointTotals) -> dict[str, Any]:
    """A point's totals as the API shows them."""
    return {name: getattr(found, name) for name in PointTotalsOut.model_fields}


@api.get("/numbers/check")
@api.input(NumberQuery, location="query")
@api.output(NumberOut)
def check(query_data: NumberQuery) -> dict[str, Any]:
    """Whether a number from elsewhere is one of the carrier's (W9); a check digit is judged only where its rule is public."""
    number = check_number(query_data.carrier, query_data.number)
    return {"number": number, "in_force": looks_like(query_data.carrier, number)}


@api.get("/numbers/guess")
@api.input(GuessQuery, location="query")
@api.output(GuessOut)
def guessed(query_data: GuessQuery) -> dict[str, Any]:
    """Whose number it could be."""
    return {"items": guess(query_data.number)}


@api.post("/reconciliations")
@api.input(ReconcileIn)
@api.output(ReconciliationOut)
def reconcile(json_data: ReconcileIn) -> dict[str, Any]:
    """Ask the network about the store's numbers, oldest first, a page a call, and at the end for the totals of its points."""
    found = rooms().waybills.reconcile(
        actor(),
        since=json_data.since,
        until=json_data.until,
        after=json_data.after or "",
        limit=json_data.limit,
        fix=json_data.fix,
    )
    return {
        "differences": [difference_out(one) for one in found.differences],
        "points": [totals_out(one) for one in found.points] if found.next is None else None,
        "asked": found.asked,
        "unanswered": found.unanswered,
        "next": found.next,
    }
