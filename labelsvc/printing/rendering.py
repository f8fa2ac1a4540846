"""A document becomes the bytes for one printer; hides parsing, composing, encoding, pictures from elsewhere, and remembering.

Copies of a document, and a label composed a moment ago as a check, need not be made again: the last few results are
kept in memory, never on disk, because they hold personal data.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from labelsvc.errors import Gone, Invalid
from labelsvc.labels import Context, Media, Page, StandardTemplates, Template, compose_all, fonts, parse
from labelsvc.languages import Target, pictures, require, write, zpl
from labelsvc.printing.model import DOWNLOADED, Document, Printer, Profile, Turning
from labelsvc.printing.sources import PictureSources
from labelsvc.printing.transports import is_slow

#: What the downloaded font is cut from: the weight that ordinary text has.
DOWNLOADED_FACE = "sans-500"
_KEPT_TEMPLATES = 32
_KEPT_RESULTS = 32
#: A picture's turn as JSON says it, and as the room of languages does.
_TURNS: dict[Turning, pictures.Turn] = {"auto": "auto", "0": 0, "90": 90, "180": 180, "270": 270}


@dataclass(frozen=True)
class Download:
    """A font as a printer takes it, and its name there."""

    name: str
    digest: str
    data: bytes


@dataclass(frozen=True)
class Rendered:
    """What goes over a printer's wire for one label, and on how many pieces of paper it comes out."""

    data: bytes
    pages: int


class Rendering:
    """Renders for printers; safe for many threads."""

    def __init__(
        self,
        templates: StandardTemplates,
        sources: PictureSources | None = None,
        font_folder: Path | None = None,
    ) -> None:
        self._font_folder = font_folder
        self._downloads: dict[str, Download] = {}
        self._templates = templates
        self._sources = sources or PictureSources()
        self._lock = threading.Lock()
        self._parsed: OrderedDict[tuple[str, str], Template] = OrderedDict()
        self._results: OrderedDict[tuple[str, str, Target], Rendered | tuple[Page, ...]] = OrderedDict()

    def template(self, name: str, text: str | None) -> Template:
        """The standard template ``name``, or ``text`` parsed under that name. Raises NotFound, TemplateError."""
        if text is None:
            return self._templates.get(name)
        with self._lock:
            found = self._parsed.get((name, text))
        if found is None:
            found = parse(text, name)
            with self._lock:
                self._parsed[name, text] = found
                while len(self._parsed) > _KEPT_TEMPLATES:
                    self._parsed.popitem(last=False)
        return found

    def check(
        self, document: Document, printer: Printer, profile: Profile
    ) -> tuple[Document, tuple[Page, ...]]:
        """A document on its way into the journal, with the pictures that its template names; and its pages.

        Raises what is wrong with it: TemplateError, or Invalid such as ``label.too_wide``, ``picture.broken``. What a page
        can be, every printer language can say; so its bytes are made when they are wanted.
        """
        images: dict[str, bytes] = {}

        def fetched(source: str) -> bytes:
            if source not in images:
                images[source] = self._sources.fetch(source, spent=sum(map(len, images.values())))
            return images[source]

        require(target(printer, profile))
        pages = self._pages(document, printer, profile, fetched)
        return replace(document, images=images), pages

    def remember(
        self, document_id: str, printer: Printer, profile: Profile, made: Rendered | tuple[Page, ...]
    ) -> None:
        """Keep a document's checked pages, or its bytes, for the label's turn, which mostly comes at once."""
        with self._lock:
            self._results[document_id, profile.name, target(printer, profile)] = made
            while len(self._results) > _KEPT_RESULTS:
                self._results.popitem(last=False)

    def bytes_for(self, document: Document, printer: Printer, profile: Profile) -> Rendered:
        """The bytes of a stored document for ``printer``. Raises TemplateError, Invalid, Gone ``label.erased``."""
        require_whole(document)
        with self._lock:
            found = self._results.get((document.id, profile.name, target(printer, profile)))
        if not isinstance(found, Rendered):
            pages = self.pages_of(document, printer, profile) if found is None else found
            found = _encoded(pages, document, printer, profile)
            self.remember(document.id, printer, profile, found)
        return found

    def pages_of(self, document: Document, printer: Printer, profile: Profile) -> tuple[Page, ...]:
        """The pages of a stored document, with the pictures of the day it was stored.

        Raises TemplateError, Invalid, Gone ``label.erased``.
        """
        require_whole(document)
        return self._pages(document, printer, profile, document.images.__getitem__)

    def download(self, printer: Printer, profile: Profile) -> Download | None:
        """The font that ``printer`` must have before its labels: one of GB 2312, cut from the layout's own face; None if it
        needs none. The first call takes some seconds; the font is then kept in the folder.
        """
        wanted = target(printer, profile)
        if wanted.letters != "font" or wanted.font != DOWNLOADED or wanted.language != "zpl":
            return None
        with self._lock:
            found = self._downloads.get(wanted.graphics)
        if found is None:
            ttf = fonts.static_ttf(DOWNLOADED_FACE, "gb2312", self._font_folder)
            data = zpl.font_download(ttf, DOWNLOADED, wanted.graphics)
            # The digest is the font's: one that is in the printer already needn't go again because it would be packed otherwise.
            found = Download(DOWNLOADED, hashlib.sha256(ttf).hexdigest(), data)
            with self._lock:
                self._downloads[wanted.graphics] = found
        return found

    def _pages(
        self, document: Document, printer: Printer, profile: Profile, image: Callable[[str], bytes]
    ) -> tuple[Page, ...]:
        if document.picture is not None:
            wanted = document.picture
            media = Media(wanted.width_mm, wanted.height_mm, printer.dpi)
            pages = pictures.pages(
                wanted.content, media, fit=wanted.fit, rotate=_TURNS[wanted.rotate], dither=wanted.dither
            )
        else:
            area = document.area_text
            pages = compose_all(
                self.template(document.template, document.template_text),
                document.data,
                printer.dpi,
                context=Context(document.no, document.count, document.started_at),
                area=None if area is None else self.template("custom area", area),
                pictures=image,
            )
        for page in pages:
            _fits("wide", page.width_mm, profile.head_width_mm)
            _fits("long", page.height_mm, profile.max_length_mm)
        return pages


def require_whole(document: Document) -> None:
    """Raise Gone ``label.erased`` if a document's personal data were erased: there is nothing to render."""
    if document.erased:
        raise Gone("the personal data of this label were erased", code="label.erased")


def target(printer: Printer, profile: Profile) -> Target:
    """What a printer wants its bytes to be; its own choices over its profile's."""
    font = profile.font if printer.font is None else printer.font
    return Target(
        language=profile.language,
        dpi=printer.dpi,
        darkness=profile.darkness if printer.darkness is None else printer.darkness,
        speed=profile.speed if printer.speed is None else printer.speed,
        offset_x=printer.offset_x,
        offset_y=printer.offset_y,
        letters=printer.letters or profile.letters,
        font=font,
        coverage="gb2312" if font == DOWNLOADED else profile.coverage,
        graphics=profile.graphics,
        cut=profile.cutter,
        slow_link=is_slow(printer.uri),
    )


def _encoded(pages: tuple[Page, ...], document: Document, printer: Printer, profile: Profile) -> Rendered:
    out = io.BytesIO()
    write(pages, target(printer, profile), out, document.title)
    return Rendered(out.getvalue(), len(pages))


def _fits(how: str, length_mm: float, limit_mm: float | None) -> None:
    if limit_mm is not None and length_mm > limit_mm + 0.13:  # a dot of rounding is no fault
        raise Invalid(
            f"the label is too {how} for the printer: {length_mm:.1f} mm of {limit_mm:.1f} mm",
            code=f"label.too_{how}",
            field="printer",
            label_mm=round(length_mm, 1),
            limit_mm=limit_mm,
        )
