"""The HTTP API, one file a resource; this one hangs them up and completes their description in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask

from labelsvc.web.api import (
    addresses,
    audit,
    batches,
    carriers,
    jobs,
    labels,
    numbers,
    orders,
    printers,
    subscriptions,
    system,
    templates,
    waybills,
)
from labelsvc.web.codes import CODES
from labelsvc.web.gate import SAFE

_RESOURCES = (
    system,
    printers,
    templates,
    jobs,
    labels,
    addresses,
    carriers,
    subscriptions,
    orders,
    waybills,
    batches,
    numbers,
    audit,
)
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. Further members are facts of the code.",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {
            "type": "string",
            "description": "Stable, for machines; a * stands for a number of the network's. New ones may come.",
            "x-extensible-enum": sorted(CODES),
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "reason"],
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}
#: What any call may answer, and what only calls that change something do.
_ALWAYS = {
    400: "The request can't be read",
    401: "No valid token or session",
    403: "Without the right, or from a foreign page",
    404: "No such thing",
    405: "The method isn't known here",
    410: "One-time access that was used, or personal data that were erased",
    413: "The body is too large",
    415: "The body isn't JSON, or not a form with a file where that is wanted",
    421: "The host name isn't ours",
    422: "Fields are wrong, or a rule says no",
    503: "The other side doesn't answer now; ask again later",
}
_UNSAFE = {409: "Clashes with the present state"}
_PATTERNS = {"waybill": "^[0-9A-Za-z]{6,40}$"}
_IDENT = "^[0-9a-hjkmnp-tv-z]{26}$"


def install(app: APIFlask) -> None:
    """Hang every resource up in ``app``."""
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        AUTO_SERVERS=False,
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_OPERATION_ID=True,
        DESCRIPTION="From an order to a waybill to a label on a thermal printer.",
        LICENSE={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        SECURITY_SCHEMES={"token": {"type": "http", "scheme": "bearer"}},
    )
    for resource in _RESOURCES:
        app.register_blueprint(resource.api)
    app.spec_processor(_complete)


def _complete(spec: dict[Any, Any] | str) -> dict[Any, Any] | str:
    """Add what holds for every call: who may, the problems it may answer with, the form of ids in addresses."""
    assert isinstance(spec, dict)
    components = spec.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["responses"] = {
        f"Problem{status}": {
            "description": text,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, text in (_ALWAYS | _UNSAFE).items()
    }
    for path, operations in spec["paths"].items():
        for parameter in operations.get("parameters", []):
            parameter["schema"]["pattern"] = _PATTERNS.get(parameter["name"], _IDENT)
        for method, operation in operations.items():
            if method == "parameters":
                continue
            expected = _ALWAYS | ({} if method.upper() in SAFE else _UNSAFE)
            for status in expected:
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
            if path != "/api/v1/health":
                operation["security"] = [{"token": []}]
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
    return spec
