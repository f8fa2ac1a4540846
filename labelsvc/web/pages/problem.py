"""The page that tells a person what is wrong and where to go from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, render_template

from labelsvc.errors import FieldError
from labelsvc.web.pages import words


def problem_page(
    status: int, code: str, detail: str, errors: Sequence[Mapping[str, str]], facts: Mapping[str, Any]
) -> Response:
    """The error as a page, in words where the code has some, else in the error's own."""
    text = words.problem(code, detail)
    wrong = [words.wrong(FieldError(one["field"], one["reason"])) for one in errors]
    html = render_template("problem.html", status=status, text=text, errors=wrong, facts=facts, code=code)
    return Response(html, status)
