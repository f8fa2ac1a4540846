"""Number formats and the comparison with the network's books over the API. 单号规则, 对账"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import AwareDatetime, BeforeValidator, Field

from labelsvc.waybills import Difference, PointTotals, check_number, guess, looks_like
from labelsvc.web.api.carriers import CarrierCode
from labelsvc.web.api.shape import Answer, Body, Line, Query
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("numbers", __name__, url_prefix="/api/v1", tag="numbers")

#: A call can't take as long as comparing everything may: the command line does that.
_SINCE = timedelta(days=3)

Number = Annotated[Line, Field(min_length=1, max_length=60, description="As typed or scanned.")]
KINDS = Literal["cancelled_there", "unknown_there", "live_there", "unrecorded", "surplus", "totals"]


def _moment(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("must be a time as text, with its offset")
    return value


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
    since: Annotated[AwareDatetime | None, Field(strict=False), BeforeValidator(_moment)] = Field(
        None, description="Waybills made since then; by default of the last three days."
    )
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
    points: list[PointTotalsOut]
    asked: int
    unanswered: int


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
    """Ask the network about each number of the store and the totals of its points; the answer may take minutes."""
    since = json_data.since or rooms().database.now() - _SINCE
    found = rooms().waybills.reconcile(actor(), since=since, fix=json_data.fix)
    return {
        "differences": [difference_out(one) for one in found.differences],
        "points": [totals_out(one) for one in found.points],
        "asked": found.asked,
        "unanswered": found.unanswered,
    }
