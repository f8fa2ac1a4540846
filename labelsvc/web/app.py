"""The app: puts gate, session, problems, API and pages together; hides the order in which they must stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apiflask import APIFlask
from flask import Request, json
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import BadRequest
from werkzeug.routing import BaseConverter

import labelsvc
from labelsvc.errors import Invalid
from labelsvc.settings import Settings
from labelsvc.web import api, gate, metrics, pages, problems, session
from labelsvc.web.api.shape import Patience
from labelsvc.web.rooms import Rooms, install

_UI = Path(__file__).parent / "ui"


class _Ident(BaseConverter):
    """An id in an address; anything else there is no such address."""

    regex = "[0-9a-hjkmnp-tv-z]{26}"


class _WaybillReference(BaseConverter):
    """A waybill's id or its number."""

    regex = "[0-9A-Za-z]{6,40}"


class _TemplateName(BaseConverter):
    """A standard template's name."""

    regex = "[a-z0-9][a-z0-9-]{0,79}"


class _Json(DefaultJSONProvider):
    """JSON as RFC 8259 has it: no NaN, no half surrogates, which no database or printer could take; and no bombs."""

    ensure_ascii = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            found = super().loads(s, parse_constant=_refuse_constant, **kwargs)
            if "\\ud" in s.lower() if isinstance(s, str) else b"\\ud" in s.lower():
                json.dumps(found).encode()
        except RecursionError:
            raise ValueError("nested too deep") from None
        return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class _Request(Request):
    """A request whose missing body is an empty object, so that the answer names the fields that are missing."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        if not self.get_data(cache=True):
            return {}
        try:
            found = super().get_json(force=force, silent=silent, cache=cache)
        except BadRequest:
            raise BadRequest from None
        if not isinstance(found, dict):
            raise Invalid("must be a JSON object", field="body")
        return found


class _App(APIFlask):
    request_class = _Request
    json_provider_class = _Json


def create_app(rooms: Rooms, settings: Settings) -> APIFlask:
    """The WSGI app over ``rooms``; starts nothing."""
    app = _App(
        "labelsvc.web",
        title="labelsvc",
        version=labelsvc.__version__,
        spec_path="/api/openapi.json",
        docs_path=None,
        json_errors=False,
        static_folder=str(_UI / "static"),
        template_folder=str(_UI / "templates"),
    )
    app.config["SESSION_S"] = settings.session_hours * 3600
    app.json.sort_keys = False  # type: ignore[attr-defined]  # keys stand in the order of the model
    app.url_map.converters["ident"] = _Ident
    app.url_map.converters["waybill"] = _WaybillReference
    app.url_map.converters["template"] = _TemplateName
    app.url_map.strict_slashes = True
    app.extensions["labelsvc.patience"] = Patience(max(1, settings.threads // 2))
    install(app, rooms)
    gate.install(app, settings)
    session.install(app)
    problems.install(app)
    api.install(app)
    pages.install(app)
    metrics.install(app)
    return app
