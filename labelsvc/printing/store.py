"""Tables and queries beside the journal: stores' custom areas, and which fonts were sent to which printer; hides SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, ForeignKey, String, Table, Text, delete, select

from labelsvc.db import UtcDateTime, metadata, put
from labelsvc.printing.model import CustomArea

custom_areas = Table(
    "custom_areas",
    metadata,
    Column("store_id", ForeignKey("stores.id"), primary_key=True),
    Column("template", String(200), primary_key=True),
    Column("text", Text, nullable=False),
    Column("changed_by", String(64), nullable=False),
    Column("changed_at", UtcDateTime(), nullable=False),
)

printer_fonts = Table(
    "printer_fonts",
    metadata,
    Column("printer_id", ForeignKey("printers.id"), primary_key=True),
    Column("font", String(40), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("sent_at", UtcDateTime(), nullable=False),
)


def find_area(connection: Connection, store_id: str, template: str) -> CustomArea | None:
    """A store's custom area of a template."""
    row = connection.execute(
        select(custom_areas).where(custom_areas.c.store_id == store_id, custom_areas.c.template == template)
    ).first()
    return CustomArea(row.template, row.text, row.changed_by, row.changed_at) if row else None


def areas_of(connection: Connection, store_id: str) -> list[CustomArea]:
    """All custom areas of a store, by template."""
    rows = connection.execute(
        select(custom_areas).where(custom_areas.c.store_id == store_id).order_by(custom_areas.c.template)
    )
    return [CustomArea(row.template, row.text, row.changed_by, row.changed_at) for row in rows]


def save_area(connection: Connection, store_id: str, area: CustomArea) -> None:
    """Store a custom area in the place of an earlier one."""
    put(
        connection,
        custom_areas,
        {"store_id": store_id, "template": area.template},
        {"text": area.text, "changed_by": area.changed_by, "changed_at": area.changed_at},
    )


def drop_area(connection: Connection, store_id: str, template: str) -> None:
    """Forget a store's custom area; harmless if there is none."""
    connection.execute(
        delete(custom_areas).where(custom_areas.c.store_id == store_id, custom_areas.c.template == template)
    )


def font_sent(connection: Connection, printer_id: str, font: str) -> str | None:
    """The digest of the font that was sent to a printer under this name; None if none was."""
    return connection.execute(
        select(printer_fonts.c.digest).where(
            printer_fonts.c.printer_id == printer_id, printer_fonts.c.font == font
        )
    ).scalar()


def note_font(connection: Connection, printer_id: str, font: str, digest: str, now: datetime) -> None:
    """Remember that a font was sent."""
    put(
        connection,
        printer_fonts,
        {"printer_id": printer_id, "font": font},
        {"digest": digest, "sent_at": now},
    )


def forget_fonts(connection: Connection, printer_id: str) -> None:
    """Another device stands in the printer's place: it has none of the fonts."""
    connection.execute(delete(printer_fonts).where(printer_fonts.c.printer_id == printer_id))
