"""Structured log: one event a line on standard error (``print.uncertain``, ``waybill.issued``), personal data redacted by key.

A value under a key that may hold personal data never reaches the line, however deep it lies; log ids and counts instead.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

#: Keys whose values are personal, or could be.
PERSONAL = frozenset(
    [
        "name",
        "phone",
        "mobile",
        "address",
        "detail",
        "province",
        "city",
        "district",
        "town",
        "recipient",
        "sender",
        "contact",
        "party",
        "data",
        "print_data",
        "document",
        "documents",
        "template_text",
        "body",
        "content",
        "password",
        "token",
        "secret",
        "key",
        "access_token",
        "sign",
    ]
)


def redact(value: Any, key: str = "") -> Any:
    """Return ``value`` with everything under a personal key replaced."""
    if key.lower() in PERSONAL:
        return "[redacted]"
    if isinstance(value, dict):
        return {name: redact(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return value


def _redacted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in list(event):
        if key not in ("event", "level", "timestamp", "logger"):
            event[key] = redact(event[key], key)
    return event


class _Stderr:
    """Writes to whatever standard error is now; a log that can't be written must not stop a label in hand."""

    def __init__(self, *_names: str) -> None:
        pass

    def msg(self, message: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            print(message, file=sys.stderr, flush=True)

    debug = info = warning = error = critical = exception = msg


def configure(level: str = "info", *, json: bool = True) -> None:
    """Set the process's log up; call once."""
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redacted,
            _faults_by_name,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=_Stderr,
    )


def _faults_by_name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn ``exc_info`` into the fault's type and where it happened: its text, and local values, may be personal."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else sys.exc_info()[1] if info else None
    if error is not None:
        event["fault"] = type(error).__name__
        places, trace = [], error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_qualname}:{trace.tb_lineno}")
            trace = trace.tb_next
        event["at"] = places[-6:]
    return event


def get_logger(room: str) -> Any:
    """The logger of a room."""
    return structlog.get_logger(room=room)
