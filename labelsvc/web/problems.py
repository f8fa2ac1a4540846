"""Every error as one shape: RFC 9457 ``application/problem+json`` for the API, a page in Chinese for people.

The only place that knows how the house's errors, the framework's and pydantic's map to it. An answer names fields and
reasons, never values; a fault of ours is logged by its type and place and answered with ``internal`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from apiflask import HTTPError
from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException

from labelsvc.errors import FieldError, LabelsvcError
from labelsvc.log import get_logger
from labelsvc.web.pages.problem import problem_page

log = get_logger("web")

MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 50
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "errors"})
#: Codes and words of the errors that HTTP itself knows; others go by their status alone.
_HTTP: dict[int, tuple[str, str]] = {
    400: ("request.malformed", "the request can't be read; a body must be valid JSON in UTF-8"),
    404: ("route.unknown", "there is no such address"),
    405: ("method.refused", "this address doesn't know the method"),
    413: ("body.too_large", "the body is larger than this address takes: 2 MiB, more only for files"),
    415: (
        "media_type.refused",
        "the body's Content-Type must be application/json, for files multipart/form-data",
    ),
}


def install(app: Flask) -> None:
    """Answer every error that reaches the top of ``app``."""
    app.register_error_handler(LabelsvcError, _labelsvc)
    app.register_error_handler(HTTPError, _framework)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _fault)


def _labelsvc(error: LabelsvcError) -> Response:
    if error.status >= 500 and error.code == LabelsvcError.default_code:
        return _fault(error)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.status == 503:
        headers["Retry-After"] = "2"
    return _answer(error.status, error.code, error.detail, error.errors, error.facts, headers)


def _framework(error: HTTPError) -> Response:
    """APIFlask's error: with a ``detail`` of {location: {field: [reasons]}} where the input doesn't fit its model."""
    fields = [
        FieldError(_header(str(field)) if place == "headers" else _path(str(field)), str(reason))
        for place, found in _places(error.detail)
        for field, reasons in found.items()
        for reason in reasons
    ]
    if fields:
        return _answer(error.status_code, "invalid", "the request has wrong fields", fields)
    code, detail = _HTTP.get(error.status_code, ("http", "the request was refused"))
    return _answer(error.status_code, code, detail)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if 300 <= status < 400:
        return error.get_response(request.environ)  # type: ignore[return-value]
    code, detail = _HTTP.get(status, ("http", HTTPStatus(status).phrase))
    keep = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _answer(status, code, detail, headers=keep)


def _fault(error: Exception) -> Response:
    log.error("web.failed", exc_info=error)
    return _answer(500, "internal", "a fault of the service; it is in the log")


def _places(detail: object) -> Iterable[tuple[str, Mapping[str, list[str]]]]:
    return detail.items() if isinstance(detail, dict) else ()


def _header(field: str) -> str:
    """A header as it is sent: its model knows it under a name that Python can spell."""
    return field.replace("_", "-").title()


def _path(field: str) -> str:
    """``blocks.0.code`` as ``blocks[0].code``; names that the client made up are cut and kept printable."""
    parts = field.split(".")
    text = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts).lstrip(".")
    kept = "".join(char if char.isprintable() else "?" for char in text[:100])
    return "body" if kept == "_schema" else kept


def _answer(
    status: int,
    code: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    facts: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    listed = [{"field": error.field, "reason": error.reason} for error in errors][:_MOST_ERRORS]
    more = {name: value for name, value in (facts or {}).items() if name not in _RESERVED}
    if not request.path.startswith("/api/") and request.accept_mimetypes.accept_html:
        response = problem_page(status, code, detail, listed, more)
    else:
        body = {
            "type": f"urn:labelsvc:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
            "errors": listed,
            **more,
        }
        response = Response(json.dumps(body), status, mimetype=MEDIA_TYPE)
    response.headers.update(headers or {})
    return response
