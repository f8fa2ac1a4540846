"""The shapes that every resource shares: strict bodies, keys, paging, masked parties; hides pydantic's laxness."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, TypeVar

from flask import current_app, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from werkzeug.datastructures import FileStorage

from labelsvc.errors import LabelsvcError
from labelsvc.waybills import Party

T = TypeVar("T")


#: Control characters, halves of pairs, separators of lines and paragraphs; a full-width space is an honest one.
_REFUSED = frozenset(["Cc", "Cs", "Zl", "Zp"])
#: Characters that turn the direction of writing: a name with one can make its line read as another.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _one_line(text: str) -> str:
    if any(unicodedata.category(char) in _REFUSED or char in _TURNS for char in text):
        raise ValueError("must not hold control characters")
    return text


def _lines(text: str) -> str:
    _one_line(text.translate({ord("\n"): " ", ord("\r"): " ", ord("\t"): " "}))
    return text


def _free(value: dict[str, Any]) -> dict[str, Any]:
    """Free JSON: any names and values, but no control character that a printer might obey, wherever it lies."""
    open_: list[Any] = [value]
    while open_:
        found = open_.pop()
        if isinstance(found, str):
            # What Python calls printable has neither; asked first, because it takes a hundredth of the time.
            if not found.isprintable() and any(
                unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\r\t" for char in found
            ):
                raise ValueError("must not hold control characters")
        elif isinstance(found, dict):
            open_ += [*found.keys(), *found.values()]
        elif isinstance(found, list):
            open_ += found
    return value


#: Text of one line; combine with Field(min_length=, max_length=).
Line = Annotated[str, AfterValidator(_one_line)]
#: Text that may have line ends.
Lines = Annotated[str, AfterValidator(_lines)]
#: Any JSON object.
Free = Annotated[dict[str, Any], AfterValidator(_free)]
Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_one_line)]
Reason = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
Id = Annotated[str, Field(pattern=r"^[0-9a-hjkmnp-tv-z]{26}$", description="An id.")]
#: The id or the name of a thing.
Reference = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_one_line)]


class Body(BaseModel):
    """A request's body: known fields only, of exactly their type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """A request's query: known parameters only."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A part of an answer, read from a noun's attributes."""

    model_config = ConfigDict(from_attributes=True, json_schema_serialization_defaults_required=True)


class Key(BaseModel):
    """The header of calls that print or issue: the same key, the same effect once."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    idempotency_key: str = Field(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="1 to 200 printable ASCII characters, chosen by the caller, unique per intent.",
    )


class KeyIfAny(BaseModel):
    """The same header where the content itself can stand for it."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="As elsewhere; without it the same content is the same request.",
    )


class Paging(Query):
    """One page of a list."""

    after: Id | None = Field(None, description="The last id of the page before.")
    limit: int = Field(50, ge=1, le=100)


class Look(Body):
    """Why personal data are wanted unmasked: only by right, and each look is written down (R1). Lists never are.

    A body and not a query, because addresses stand in the logs of proxies and browsers.
    """

    reason: Reason = Field(description="For the audit trail. No personal data.")


class PartyIn(Body):
    """A sender or recipient. 寄件人, 收件人"""

    name: Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_one_line)]
    phone: Annotated[str, Field(min_length=5, max_length=25), AfterValidator(_one_line)]
    province: Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_one_line)]
    city: Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_one_line)]
    district: Annotated[str, Field(max_length=40), AfterValidator(_one_line)] = ""
    town: Annotated[str, Field(max_length=60), AfterValidator(_one_line)] = ""
    detail: Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]

    def party(self) -> Party:
        """The room's noun."""
        return Party(**self.model_dump())


class Person(Body):
    """Whom something is for: a phone, a name, or both. In a body, because addresses stand in logs."""

    phone: Annotated[str, Field(min_length=5, max_length=40), AfterValidator(_one_line)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_one_line)] | None = None


class PartyOut(Answer):
    """A sender or recipient as the asker may see it."""

    name: str
    phone: str
    province: str
    city: str
    district: str
    town: str
    detail: str


class FieldFault(Answer):
    """A wrong field."""

    field: str
    reason: str


class ItemProblem(Answer):
    """Why one item of many has no result, as the same call for it alone would have said."""

    code: str
    detail: str
    errors: list[FieldFault]
    facts: dict[str, Any] = Field(description="Further facts of the code.")


def item_problem(error: LabelsvcError) -> dict[str, Any]:
    """An item's error as the API shows it."""
    errors = [{"field": fault.field, "reason": fault.reason} for fault in error.errors]
    return {"code": error.code, "detail": error.detail, "errors": errors, "facts": dict(error.facts)}


def uploaded(file: FileStorage) -> tuple[str, bytes]:
    """A file's name, without folders, and its content."""
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    return name, file.read()


def page_of(
    items: Sequence[T], limit: int, show: Callable[[T], Any], key: Callable[[T], str] | None = None
) -> dict[str, Any]:
    """``items`` shown, with the id to ask on from if there may be more."""
    ident = key or (lambda item: str(item.id))  # type: ignore[attr-defined]
    return {
        "items": [show(item) for item in items],
        "next": ident(items[-1]) if len(items) == limit else None,
    }


def body() -> dict[str, Any]:
    """The JSON object that was sent."""
    found: dict[str, Any] = request.get_json(force=True)
    return found


class Patience:
    """Lets only so many requests wait at once, so that waiting ones never take every thread."""

    def __init__(self, most: int) -> None:
        self._seats = threading.BoundedSemaphore(most)

    @contextmanager
    def seconds(self, wanted: float) -> Iterator[float]:
        """The seconds that this request may wait: ``wanted``, or 0 when the seats are taken."""
        if wanted <= 0 or not self._seats.acquire(blocking=False):
            yield 0.0
            return
        try:
            yield wanted
        finally:
            self._seats.release()


def patience() -> Patience:
    """The app's seats for waiting requests."""
    found: Patience = current_app.extensions["labelsvc.patience"]
    return found


def moment(at: datetime | None) -> str | None:
    """An instant as RFC 3339 in UTC."""
    return at.isoformat().replace("+00:00", "Z") if at else None
