"""Languages: a Page becomes bytes, a printer's reply becomes a status. Pure: no printer, no file, no clock.

Hides how each language says a mark, and how several pages go into one stream. A new language is a module with ``name``,
``media_type`` and ``encode``, and a line in ``LANGUAGES``; a printer's pages follow each other, a document's language
(``Document``) has ``write`` too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from labelsvc.errors import Invalid
from labelsvc.labels import Page
from labelsvc.languages import cpcl, escpos, pdf, png, raster, tspl, zpl
from labelsvc.languages.condition import Condition, read_port_status
from labelsvc.languages.target import Document, Language, Target

LANGUAGES: dict[str, Language] = {
    "zpl": zpl,
    "escpos": escpos,
    "tspl": tspl,
    "cpcl": cpcl,
    "pdf": pdf,
    "png": png,
}

__all__ = [
    "LANGUAGES",
    "Condition",
    "Language",
    "Target",
    "encode",
    "escpos",
    "finish",
    "media_type",
    "raster",
    "read_port_status",
    "require",
    "tspl",
    "write",
    "zpl",
]


def require(target: Target) -> None:
    """Raise Invalid for a target that no page can be said to: ``language.unknown``, or ``font.name``. Any other takes every
    page of its resolution, so who composed a page needn't encode it to know that it can be printed."""
    if _language(target.language) is zpl:
        zpl.require_font(target)


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One copy of the page in the target's language.

    ``title`` names the document where the language has a place for it (PDF): a waybill number, never personal data.
    Invalid if the language is unknown or the page was composed for another resolution than the printer's.
    """
    return _language(target.language).encode(page, target, title)


def write(pages: Iterable[Page], target: Target, out: BinaryIO, title: str = "") -> int:
    """All pages in the target's language, one after another, written to ``out`` as they come; how many they were.

    A printer's language gives one label after the other, PDF one document, PNG holds one page. No page is kept once it is
    written, so that a job of ten thousand labels takes no more memory than one of ten. ``out`` need not be seekable.
    Invalid as in ``encode``; ``page.several`` if the language holds one page and there are more, ``page.none`` if it needs
    one and there is none (what was written to ``out`` is then no document).
    """
    language = _language(target.language)
    if isinstance(language, Document):
        return language.write(pages, target, out, title)
    count = 0
    for page in pages:
        out.write(language.encode(page, target, title))
        count += 1
    return count


def finish(language: str, length: int) -> bytes:
    """What makes a printer understand again after a label of at most ``length`` bytes that may have been cut anywhere, without
    printing or forgetting anything else; nothing where no such bytes are known: in CPCL what fills the counted bytes of a graphic
    is text, or feeds paper, in a printer that had the whole label."""
    speaks = {"zpl": zpl.finish, "tspl": tspl.finish, "escpos": escpos.finish}
    return speaks[language](length) if language in speaks else b""


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
