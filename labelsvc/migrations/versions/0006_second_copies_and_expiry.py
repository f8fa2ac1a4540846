"""The waybill number on a label, what a held label waits for, and when a job expires.

Labels of waybills carried their number as their title; with it they are first copies, also of labels to come.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_EXPIRING = sa.text("expires_at IS NOT NULL AND state IN ('queued', 'held')")
_NUMBERED = sa.text("number IS NOT NULL")


def upgrade() -> None:
    """Add the columns, and read the numbers of the labels that are there."""
    if any(column["name"] == "held_for" for column in sa.inspect(op.get_bind()).get_columns("labels")):
        return  # made of the declared schema, under an earlier number
    op.add_column("printers", sa.Column("sent_floor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("print_jobs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("labels", sa.Column("number", sa.String(length=40), nullable=True))
    op.add_column("labels", sa.Column("held_for", sa.String(length=12), server_default="", nullable=False))
    op.add_column("labels", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE labels SET number = upper(title) "
        "WHERE subject LIKE 'waybill:%' AND title <> '' AND length(title) <= 40"
    )
    op.create_index(
        "ix_labels_number",
        "labels",
        ["store_id", "number"],
        sqlite_where=_NUMBERED,
        postgresql_where=_NUMBERED,
    )
    op.create_index(
        "ix_labels_expiring", "labels", ["expires_at"], sqlite_where=_EXPIRING, postgresql_where=_EXPIRING
    )


def downgrade() -> None:
    """There is no way back: an earlier version has no place for what these columns hold."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )
