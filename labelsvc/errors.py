"""The one tree of errors that rooms raise; doors map it to HTTP problems and exit codes.

::

    LabelsvcError            internal unless a subclass says more      500
    ├── Invalid              input is wrong; names field and reason    422
    │   └── TemplateError    a label template is wrong; line, element  422
    ├── Unauthenticated      nobody we know                            401
    ├── Forbidden            known, but without the right              403
    ├── NotFound             not there, or not this store's            404
    ├── Conflict             clashes with what is already there        409
    │   ├── KeyReused        same idempotency key, other content       409
    │   └── LimitReached     a domain limit (100 addresses ...)        409
    ├── Gone                 one-time access that was used             410
    ├── Refused              a domain rule or the network says no      422
    └── Unavailable          the other side doesn't answer now         503

No message carries personal data: a name, phone or address is named by its field, never quoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """One wrong field: its path (``recipient.phone``) and the reason, without the value."""

    field: str
    reason: str


class LabelsvcError(Exception):
    """Root of the tree.

    ``code`` is stable and machine-readable (``address.limit``); ``detail`` is one English sentence for people;
    ``facts`` are further JSON-safe members of the answer (``missing_mm``, ``balance``), free of personal data.
    """

    status = 500
    default_code = "internal"

    def __init__(
        self, detail: str, *, code: str | None = None, field: str | None = None, **facts: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.facts: Mapping[str, Any] = facts
        self.errors: tuple[FieldError, ...] = (FieldError(field, detail),) if field else ()


class Invalid(LabelsvcError):
    """Input is wrong. ``errors`` names every field that is, with its reason."""

    status = 422
    default_code = "invalid"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        **facts: Any,
    ) -> None:
        super().__init__(detail, code=code, field=field, **facts)
        if errors:
            self.errors = tuple(errors)


class TemplateError(Invalid):
    """A label template can't be used. ``facts`` hold ``line`` (from 1) and ``element`` where they are known."""

    default_code = "template.invalid"


class Unauthenticated(LabelsvcError):
    """No valid token or session."""

    status = 401
    default_code = "unauthenticated"


class Forbidden(LabelsvcError):
    """The actor is known but lacks the right."""

    status = 403
    default_code = "forbidden"


class NotFound(LabelsvcError):
    """There is no such thing in the actor's store."""

    status = 404
    default_code = "not_found"


class Conflict(LabelsvcError):
    """The request clashes with the present state."""

    status = 409
    default_code = "conflict"


class KeyReused(Conflict):
    """The idempotency key was used before with other content."""

    default_code = "key.reused"


class LimitReached(Conflict):
    """A limit of the domain is reached, such as 100 sender addresses a store."""

    default_code = "limit.reached"


class Gone(LabelsvcError):
    """One-time access was used up or has expired."""

    status = 410
    default_code = "gone"


class Refused(LabelsvcError):
    """A rule of the domain, or the carrier network, says no; asking again unchanged won't help."""

    status = 422
    default_code = "refused"


class Unavailable(LabelsvcError):
    """The other side doesn't answer now; nothing is lost, asking again later is right."""

    status = 503
    default_code = "unavailable"
