"""The pages' second language: who reads English, and the English words.

Hides the catalogue file (``en.po``, the source: nothing is compiled into the repository) and how the choice is kept.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, Response, request
from flask_babel import Babel, Domain, get_locale

#: The pages' languages; the first is the one they are written in.
LANGUAGES = {"zh": "中文", "en": "English"}
#: Chosen by hand, for this browser; it says nothing about who is signed in.
COOKIE = "labelsvc_language"
_A_YEAR_S = 365 * 24 * 3600
_CATALOGUE = Path(__file__).with_name("en.po")


def install(app: Flask) -> None:
    """Let ``app``'s pages speak the language of whoever reads them."""
    _Babel(app, default_locale="zh", locale_selector=chosen)

    @app.after_request
    def remember(response: Response) -> Response:
        if request.args.get("language") in LANGUAGES:
            response.set_cookie(COOKIE, request.args["language"], max_age=_A_YEAR_S, samesite="Strict")
        return response


def chosen() -> str:
    """The language of this request's page: as chosen by hand, else as the browser prefers, else Chinese."""
    by_hand = request.args.get("language", request.cookies.get(COOKIE))
    if by_hand in LANGUAGES:
        return by_hand
    return request.accept_languages.best_match(list(LANGUAGES)) or "zh"


class _Words(Domain):  # type: ignore[misc]  # flask_babel carries no types
    def get_translations(self) -> NullTranslations:
        """The words of the request's language."""
        return _english() if str(get_locale()) == "en" else NullTranslations()


class _Babel(Babel):  # type: ignore[misc]
    domain_instance = _Words()


@cache
def _english() -> Translations:
    with _CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="en")
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
