"""Tables and queries beside the journal: stores' custom areas, which fonts were sent to which printer, what else printers are
called and which of them are a group, and where the database was driven from; hides SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    delete,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError

from labelsvc.db import Prepared, UtcDateTime, metadata, put
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


printer_aliases = Table(
    "printer_aliases",
    metadata,
    Column("store_id", ForeignKey("stores.id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("printer_id", ForeignKey("printers.id"), nullable=False),
)

printer_members = Table(
    "printer_members",
    metadata,
    Column("group_id", ForeignKey("printers.id"), primary_key=True),
    Column("printer_id", ForeignKey("printers.id"), primary_key=True),
    Column("position", Integer, nullable=False),
    Index("ix_printer_members_printer_id", "printer_id"),
)


database_origin = Table(
    "database_origin",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("database_id", String(26), nullable=False),
    Column("server", String(100), nullable=False),
)


_FIND_AREA = Prepared(
    select(custom_areas).where(
        custom_areas.c.store_id == bindparam("store_id"), custom_areas.c.template == bindparam("template")
    )
)


def find_area(connection: Connection, store_id: str, template: str) -> CustomArea | None:
    """A store's custom area of a template."""
    row = _FIND_AREA.first(connection, store_id=store_id, template=template)
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


def aliases_of(connection: Connection, store_id: str) -> dict[str, tuple[str, ...]]:
    """What else a store's printers are called: id -> names."""
    found: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(
        select(printer_aliases).where(printer_aliases.c.store_id == store_id).order_by(printer_aliases.c.name)
    ):
        found[row.printer_id] = (*found.get(row.printer_id, ()), row.name)
    return found


def set_aliases(connection: Connection, store_id: str, printer_id: str, names: Iterable[str]) -> None:
    """These are a printer's aliases from now on, and no others."""
    connection.execute(delete(printer_aliases).where(printer_aliases.c.printer_id == printer_id))
    for name in names:
        connection.execute(
            printer_aliases.insert().values(store_id=store_id, name=name, printer_id=printer_id)
        )


def members_of(connection: Connection, group_id: str) -> tuple[str, ...]:
    """The ids of a group's printers, in their order; of a printer none."""
    rows = connection.execute(
        select(printer_members.c.printer_id)
        .where(printer_members.c.group_id == group_id)
        .order_by(printer_members.c.position)
    )
    return tuple(row.printer_id for row in rows)


def set_members(connection: Connection, group_id: str, printer_ids: Iterable[str]) -> None:
    """These are a group's printers from now on, in this order."""
    connection.execute(delete(printer_members).where(printer_members.c.group_id == group_id))
    for position, printer_id in enumerate(printer_ids):
        connection.execute(
            printer_members.insert().values(group_id=group_id, printer_id=printer_id, position=position)
        )


def leave_groups(connection: Connection, printer_id: str) -> None:
    """A printer, or a group, is removed: it is no member of anything, and has none."""
    connection.execute(delete(printer_members).where(printer_members.c.printer_id == printer_id))
    connection.execute(delete(printer_members).where(printer_members.c.group_id == printer_id))


@dataclass(frozen=True)
class Origin:
    """Which database this is, and on which server it was driven last ("" for a file)."""

    database_id: str
    server: str


def find_origin(connection: Connection) -> Origin | None:
    """What is known of the database; None if it was never driven."""
    row = connection.execute(select(database_origin)).first()
    return Origin(row.database_id, row.server) if row else None


def save_origin(connection: Connection, origin: Origin) -> None:
    """Remember it."""
    put(
        connection,
        database_origin,
        {"one": 1},
        {"database_id": origin.database_id, "server": origin.server},
    )


def server(connection: Connection) -> str:
    """Which PostgreSQL server, database and timeline this is: a dump that was read in elsewhere has other ones, and a server
    that was put back to an earlier time, or took over from another, another timeline. "" if it doesn't say.

    PostgreSQL manual, 9.28.12 "Control Data Functions": ``pg_control_system``, ``pg_control_checkpoint``.
    """
    if connection.dialect.name != "postgresql":
        return ""
    try:
        with connection.begin_nested():
            row = connection.execute(
                text(
                    "SELECT s.system_identifier, d.oid, c.timeline_id FROM pg_control_system() s, "
                    "pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database()"
                )
            ).one()
    except DBAPIError:  # not for every role
        return ""
    return f"{row.system_identifier}/{row.oid}/{row.timeline_id}"
