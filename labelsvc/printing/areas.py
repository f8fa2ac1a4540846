"""A store's custom areas: what it prints in the place that a standard template leaves it (T6). 自定义区

Hides where they are kept, the check of a shop's own CNPL, and how rows that a person picked become CNPL. The standard part of
a template is never touched: an area replaces what stands in its place, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

from labelsvc.db import Database
from labelsvc.errors import FieldError, Invalid, NotFound, TemplateError
from labelsvc.labels import Page, StandardTemplates, Template, compose, parse
from labelsvc.languages import Target, encode
from labelsvc.printing import store
from labelsvc.printing.model import CustomArea
from labelsvc.security import Actor, Right

#: What a row of an area may show, and the text of CNPL that shows it.
SHOWS: dict[str, str] = {
    "short_goods": "<%= _data.goods.short %>",
    "goods": "<%= _data.goods.lines %>",
    "count": "共 <%= _data.goods.count %> 件",
    "orders": "<%= _data.orderNumbers %>",
    "note": "<%= _data.custom.text %>",
    "store": "<%= _data.storeName %>",
    "time": "<%= _data.print.time %>",
    "batch": "<%= _data.print.batch %> <%= _data.print.sequence %>",
    "words": "",
}
MAX_ROWS = 6
MAX_TEXT = 64 * 1024
_NAMESPACES = 'xmlns="http://cloudprint.cainiao.com/print" xmlns:labelsvc="urn:labelsvc:template"'


@dataclass(frozen=True)
class AreaRow:
    """One row of a custom area, as a person picks it. ``words`` are a text of the store's own, for ``show`` "words"."""

    show: str
    size_pt: float = 9.0
    bold: bool = False
    align: Literal["left", "center", "right"] = "left"
    words: str = ""


@dataclass(frozen=True)
class Place:
    """The place that a standard template leaves a store, in mm."""

    width_mm: float
    height_mm: float


class CustomAreas:
    """The custom areas of all stores, seen by one actor at a time."""

    def __init__(self, database: Database, templates: StandardTemplates) -> None:
        self._database = database
        self._templates = templates

    def places(self) -> dict[str, Place]:
        """The standard templates that leave a place, by name."""
        found = ((name, _place(self._templates.get(name))) for name in self._templates.names())
        return {name: place for name, place in found if place is not None}

    def get(self, actor: Actor, template: str) -> CustomArea | None:
        """The store's area of a template; None if it shows what the template has there. Raises NotFound."""
        self._place(template)
        with self._database.reading() as connection:
            return store.find_area(connection, actor.store_id, template)

    def save(self, actor: Actor, template: str, text: str) -> CustomArea:
        """Keep ``text``, CNPL with a layout as its root, as the store's area: labels printed from now on show it.

        Raises NotFound, TemplateError (``line``, ``element``) and Invalid ``area.too_large``.
        """
        actor.require(Right.MANAGE_PREFERENCES)
        self._checked(template, text)
        area = CustomArea(template, text, actor.user_id, self._database.now())
        with self._database.transaction() as connection:
            store.save_area(connection, actor.store_id, area)
        return area

    def drop(self, actor: Actor, template: str) -> None:
        """Show again what the template has there; harmless if the store has no area."""
        actor.require(Right.MANAGE_PREFERENCES)
        self._place(template)
        with self._database.transaction() as connection:
            store.drop_area(connection, actor.store_id, template)

    def preview(self, actor: Actor, template: str, text: str, data: dict[str, Any]) -> tuple[Page, bytes]:
        """A label of ``data`` (made up: it isn't masked) with this area, as a page and as PNG. Keeps nothing.

        Raises as ``save`` does, and what composing raises.
        """
        actor.require(Right.READ_PRINTERS)
        page = compose(self._templates.get(template), data, area=self._checked(template, text))
        return page, encode(page, Target("png", page.dpi))

    def text_of(self, template: str, rows: Sequence[AreaRow]) -> str:
        """The CNPL of an area with these rows, one below the other, sharing its height in proportion to their sizes.

        Raises NotFound, and Invalid naming every wrong row.
        """
        place = self._place(template)
        faults = [fault for at, row in enumerate(rows) for fault in _row_faults(row, f"rows[{at}]")]
        if not 1 <= len(rows) <= MAX_ROWS:
            faults.append(FieldError("rows", f"must be 1 to {MAX_ROWS} rows"))
        if faults:
            raise Invalid("the custom area is wrong", code="area.invalid", errors=faults)
        share = place.height_mm / sum(row.size_pt for row in rows)
        lines, top = [], 0.0
        for row in rows:
            height = row.size_pt * share
            shown = quoteattr(row.words) if row.show == "words" else f'"{SHOWS[row.show]}"'
            more = ' labelsvc:more="+%d" labelsvc:joint="　"' if row.show == "short_goods" else ""
            style = f"fontSize:{row.size_pt:g};align:{row.align};valign:middle"
            if row.bold:
                style += ";fontWeight:bold"
            lines.append(
                f'  <text left="0" top="{top:.2f}" width="{place.width_mm:.2f}" height="{height:.2f}"'
                f' labelsvc:name="{row.show}" labelsvc:minFontSize="{min(5, row.size_pt):g}"{more}'
                f" value={shown}"
                f' style="{style}"/>'
            )
            top += height
        size = f'left="0" top="0" width="{place.width_mm:.2f}" height="{place.height_mm:.2f}"'
        return "\n".join([f"<layout {_NAMESPACES} {size}>", *lines, "</layout>", ""])

    def _checked(self, template: str, text: str) -> Template:
        place = self._place(template)
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise TemplateError(
                f"the custom area is longer than {MAX_TEXT} characters", code="template.too_long"
            )
        area = parse(text, "custom area")
        if not area.is_area:
            raise TemplateError("Line 1: a custom area begins with a layout", line=1, element="layout")
        if area.width_mm > place.width_mm + 0.05 or area.height_mm > place.height_mm + 0.05:
            raise Invalid(
                f"the custom area is larger than its place, {place.width_mm:g} × {place.height_mm:g} mm",
                code="area.too_large",
                field="text",
                width_mm=place.width_mm,
                height_mm=place.height_mm,
            )
        return area

    def _place(self, template: str) -> Place:
        place = _place(self._templates.get(template))
        if place is None:
            raise NotFound("the template leaves no place for a custom area", code="area.no_place")
        return place

    # the last method, because its name hides the type
    def list(self, actor: Actor) -> list[CustomArea]:
        """The store's areas, by template."""
        with self._database.reading() as connection:
            return store.areas_of(connection, actor.store_id)


def _place(template: Template) -> Place | None:
    for element in template.root.walk():
        if element.own.get("area") == "custom":
            return Place(element.length("width", {}) or 0.0, element.length("height", {}) or 0.0)
    return None


def _row_faults(row: AreaRow, field: str) -> list[FieldError]:
    faults = []
    if row.show not in SHOWS:
        faults.append(FieldError(f"{field}.show", f"must be one of {', '.join(SHOWS)}"))
    if row.show == "words" and not 1 <= len(row.words.strip()) <= 100:
        faults.append(FieldError(f"{field}.words", "must be 1 to 100 characters"))
    if not 5 <= row.size_pt <= 24:
        faults.append(FieldError(f"{field}.size_pt", "must be 5 to 24 pt"))
    if row.align not in ("left", "center", "right"):
        faults.append(FieldError(f"{field}.align", "must be left, center or right"))
    return faults
