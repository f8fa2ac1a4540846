"""Languages: a Page becomes bytes, a printer's reply becomes a status. Pure: no printer, no file, no clock.

Hides how each language says a mark. A new language is a module with ``name``, ``media_type`` and ``encode``, and a line
in ``LANGUAGES``.
"""

from __future__ import annotations

from labelsvc.errors import Invalid
from labelsvc.labels import Page
from labelsvc.languages import pdf, png, raster, zpl
from labelsvc.languages.target import Language, Target

LANGUAGES: dict[str, Language] = {"zpl": zpl, "pdf": pdf, "png": png}

__all__ = ["LANGUAGES", "Language", "Target", "encode", "media_type", "raster", "zpl"]


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One copy of the page in the target's language.

    ``title`` names the document where the language has a place for it (PDF): a waybill number, never personal data.
    Invalid if the language is unknown or the page was composed for another resolution than the printer's.
    """
    return _language(target.language).encode(page, target, title)


def media_type(language: str) -> str:
    """The media type of a language's bytes, such as ``application/pdf``; Invalid if the language is unknown."""
    return _language(language).media_type


def _language(name: str) -> Language:
    try:
        return LANGUAGES[name]
    except KeyError:
        known = ", ".join(LANGUAGES)
        raise Invalid(
            f"Unknown language; known are {known}", code="language.unknown", field="language"
        ) from None
