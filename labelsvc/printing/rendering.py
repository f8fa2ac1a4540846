"""A stored document becomes the bytes for one printer; hides parsing, composing, encoding, and remembering.

Copies of a document, and a label rendered a moment ago as a check, need not be rendered again: the last few results are
kept in memory, never on disk, because they hold personal data.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from labelsvc.errors import Gone, Invalid
from labelsvc.labels import Page, StandardTemplates, Template, compose, parse
from labelsvc.languages import Target, encode
from labelsvc.printing.model import Document, Printer, Profile

_KEPT_TEMPLATES = 32
_KEPT_RESULTS = 32


class Rendering:
    """Renders for printers; safe for many threads."""

    def __init__(self, templates: StandardTemplates) -> None:
        self._templates = templates
        self._lock = threading.Lock()
        self._parsed: OrderedDict[tuple[str, str], Template] = OrderedDict()
        self._results: OrderedDict[tuple[str, Target], bytes] = OrderedDict()

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

    def page(self, template: Template, data: Mapping[str, Any], printer: Printer, profile: Profile) -> Page:
        """The label as it will be printed. Raises TemplateError, or Invalid ``label.too_wide``, ``label.too_long``."""
        page = compose(template, data, printer.dpi)
        _fits("wide", page.width_mm, profile.head_width_mm)
        _fits("long", page.height_mm, profile.max_length_mm)
        return page

    def check(
        self,
        template: Template,
        data: Mapping[str, Any],
        title: str,
        printer: Printer,
        profile: Profile,
    ) -> tuple[Page, bytes]:
        """The page and its bytes; raises what is wrong with them."""
        page = self.page(template, data, printer, profile)
        return page, encode(page, target(printer, profile), title)

    def remember(self, document_id: str, printer: Printer, profile: Profile, data: bytes) -> None:
        """Keep a checked result for the label's turn, which mostly comes at once."""
        with self._lock:
            self._results[document_id, target(printer, profile)] = data
            while len(self._results) > _KEPT_RESULTS:
                self._results.popitem(last=False)

    def bytes_for(self, document: Document, printer: Printer, profile: Profile) -> bytes:
        """The bytes of a stored document for ``printer``. Raises TemplateError, Invalid, Gone ``label.erased``."""
        require_whole(document)
        with self._lock:
            found = self._results.get((document.id, target(printer, profile)))
        if found is None:
            template = self.template(document.template, document.template_text)
            _, found = self.check(template, document.data, document.title, printer, profile)
            self.remember(document.id, printer, profile, found)
        return found

    def page_of(self, document: Document, printer: Printer, profile: Profile) -> Page:
        """The page of a stored document. Raises TemplateError, Invalid, Gone ``label.erased``."""
        require_whole(document)
        template = self.template(document.template, document.template_text)
        return self.page(template, document.data, printer, profile)


def require_whole(document: Document) -> None:
    """Raise Gone ``label.erased`` if a document's personal data were erased: there is nothing to render."""
    if document.erased:
        raise Gone("the personal data of this label were erased", code="label.erased")


def target(printer: Printer, profile: Profile) -> Target:
    """What a printer wants its bytes to be; its own choices over its profile's."""
    return Target(
        language=profile.language,
        dpi=printer.dpi,
        darkness=profile.darkness if printer.darkness is None else printer.darkness,
        speed=profile.speed if printer.speed is None else printer.speed,
        offset_x=printer.offset_x,
        offset_y=printer.offset_y,
    )


def _fits(how: str, length_mm: float, limit_mm: float | None) -> None:
    if limit_mm is not None and length_mm > limit_mm + 0.13:  # a dot of rounding is no fault
        raise Invalid(
            f"the label is too {how} for the printer: {length_mm:.1f} mm of {limit_mm:.1f} mm",
            code=f"label.too_{how}",
            field="printer",
            label_mm=round(length_mm, 1),
            limit_mm=limit_mm,
        )
