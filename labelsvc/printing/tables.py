"""The tables of printing: printers, jobs, documents, labels, the numbered feed of changes, blocks. 表"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from labelsvc.db import (
    UtcDateTime,
    metadata,
)
from labelsvc.printing.model import (
    LANES,
    LabelState,
)
from labelsvc.security import Sealed, SealedBytes


def _number() -> Any:
    """A 64-bit number that SQLite takes as its own row id, so that it never hands one out twice."""
    return BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=column)


printers = Table(
    "printers",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("name", String(80), nullable=False),
    Column("uri", String(300), nullable=False),
    Column("profile", String(80), nullable=False),
    Column("dpi", Integer, nullable=False),
    Column("darkness", Integer),
    Column("speed", Integer),
    Column("offset_x", Integer, nullable=False),
    Column("offset_y", Integer, nullable=False),
    Column("letters", String(4)),
    Column("font", String(40)),
    Column("state", String(10), nullable=False),
    Column("state_reason", String(40), nullable=False),
    Column("state_source", String(20), nullable=False),
    Column("state_at", UtcDateTime()),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("answered_at", UtcDateTime()),
    Column(
        "sent_floor", BigInteger, nullable=False, server_default="0"
    ),  # of labels that were sent and moved away
    Column("paused_at", UtcDateTime()),
    Column("removed_at", UtcDateTime()),
    Column("node", String(64)),
    Column("device_no", Integer, nullable=False, server_default="0"),
    Column("mode", String(10)),  # of a group
    _one_of("state", ("ready", "not_ready", "unknown")),
)
# A removed printer keeps its row, because labels point to it, and gives its name back.
Index(
    "uq_printers_store_id_name",
    printers.c.store_id,
    printers.c.name,
    unique=True,
    sqlite_where=printers.c.removed_at.is_(None),
    postgresql_where=printers.c.removed_at.is_(None),
)

print_jobs = Table(
    "print_jobs",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("printer_id", ForeignKey("printers.id"), nullable=False),
    Column("key", String(200), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("lane", String(10), nullable=False),
    Column("origin", String(100), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime()),
    Column("erased_at", UtcDateTime()),
    UniqueConstraint("store_id", "key"),
    Index("ix_print_jobs_store_id_id", "store_id", "id"),
    # What erasure looks at: only what it hasn't been at.
    Index(
        "ix_print_jobs_not_erased",
        "created_at",
        sqlite_where=text("erased_at IS NULL"),
        postgresql_where=text("erased_at IS NULL"),
    ),
    _one_of("lane", LANES),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("job_id", ForeignKey("print_jobs.id"), nullable=False),
    Column("no", Integer, nullable=False),
    Column("template", String(200), nullable=False),
    Column("template_text", Sealed("documents.template_text"), nullable=False),
    Column("data", Sealed("documents.data"), nullable=False),
    Column("area_text", Sealed("documents.area_text")),
    Column("picture", Sealed("documents.picture")),
    Column("content", SealedBytes("documents.content")),
    Column("images", Sealed("documents.images")),
    Column("warnings", Sealed("documents.warnings"), nullable=False),
    Column("grade", String(1)),
    Column("symbols", Text),  # JSON: the geometry of barcodes, never what they say
    Column("title", String(100), nullable=False),
    Column("subject", String(100)),
    Column("copies", Integer, nullable=False),
    Column("private", Boolean, nullable=False),
    UniqueConstraint("job_id", "no"),
)

#: Which labels may still expire, as the index says it: only so does SQLite take it.
EXPIRING = "expires_at IS NOT NULL AND state IN ('queued', 'held')"

labels = Table(
    "labels",
    metadata,
    Column("seq", _number(), primary_key=True, autoincrement=True),
    Column("id", String(26), nullable=False, unique=True),
    Column("job_id", ForeignKey("print_jobs.id"), nullable=False),
    Column("document_id", ForeignKey("documents.id"), nullable=False),
    Column("printer_id", ForeignKey("printers.id"), nullable=False),
    Column("group_id", String(26)),  # whose printers may take it; printer_id as well, until one of them did
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("document_no", Integer, nullable=False),
    Column("copy_no", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("lane", String(10), nullable=False),
    Column("place", Integer, nullable=False),  # 0: a person said it did not come out, it goes next; else 1
    Column("grouped", String(100)),
    Column("subject", String(100)),
    Column("title", String(100), nullable=False),
    Column("number", String(40)),
    Column("reason", Text, nullable=False),
    Column("held_for", String(12), nullable=False, server_default=""),
    Column("expires_at", UtcDateTime()),
    Column("reprint_of", ForeignKey("labels.id")),
    Column("reprint_count", Integer, nullable=False),
    Column("bytes", SealedBytes("labels.bytes")),
    Column("bytes_count", Integer),
    Column("counter_before", BigInteger),
    Column(
        "sent_no", BigInteger
    ),  # rises on each printer: which label was sent last, whatever the clock says
    Column("attempt", Integer, nullable=False),
    Column("pages", Integer, nullable=False, server_default="1"),
    Column("queued_at", UtcDateTime(), nullable=False),
    Column("sent_at", UtcDateTime()),
    Column("settled_at", UtcDateTime()),
    Index("ix_labels_turn", "printer_id", "state", "lane", "place", "seq"),
    Index("ix_labels_printer_id_sent_no", "printer_id", "sent_no", unique=True),
    Index("ix_labels_job_id_state", "job_id", "state"),
    Index("ix_labels_store_id_state", "store_id", "state"),
    Index("ix_labels_subject", "subject"),
    Index("ix_labels_reprint_of", "reprint_of"),
    Index(
        "ix_labels_number",
        "store_id",
        "number",
        sqlite_where=text("number IS NOT NULL"),
        postgresql_where=text("number IS NOT NULL"),
    ),
    # Only what may still expire: the look for it, once a second, costs nothing.
    Index(
        "ix_labels_expiring",
        "expires_at",
        sqlite_where=text(EXPIRING),
        postgresql_where=text(EXPIRING),
    ),
    _one_of("state", LabelState),
    _one_of("lane", LANES),
    sqlite_autoincrement=True,
)

changes = Table(
    "changes",
    metadata,
    Column("seq", _number(), primary_key=True, autoincrement=True),
    Column("at", UtcDateTime(), nullable=False),
    Column("label_id", ForeignKey("labels.id"), nullable=False),
    Column("job_id", ForeignKey("print_jobs.id"), nullable=False),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("subject", String(100)),
    Column("before", String(10)),
    Column("after", String(10), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_changes_job_id_seq", "job_id", "seq"),
    _one_of("after", LabelState),
    sqlite_autoincrement=True,
)

blocks = Table(
    "blocks",
    metadata,
    Column("subject", String(100), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime(), nullable=False),
)
