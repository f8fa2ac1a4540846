"""Groups of printers, other names of printers, and how many devices stood in a printer's place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and make the tables; every printer that is there is one device's."""
    if sa.inspect(op.get_bind()).has_table("printer_members"):
        return  # made of the declared schema, under an earlier number
    op.add_column("printers", sa.Column("device_no", sa.Integer(), server_default="0", nullable=False))
    op.add_column("printers", sa.Column("mode", sa.String(length=10), nullable=True))
    op.add_column("labels", sa.Column("group_id", sa.String(length=26), nullable=True))
    op.create_table(
        "printer_aliases",
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("printer_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(
            ["printer_id"], ["printers.id"], name=op.f("fk_printer_aliases_printer_id_printers")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_printer_aliases_store_id_stores")),
        sa.PrimaryKeyConstraint("store_id", "name", name=op.f("pk_printer_aliases")),
    )
    op.create_table(
        "printer_members",
        sa.Column("group_id", sa.String(length=26), nullable=False),
        sa.Column("printer_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["printers.id"], name=op.f("fk_printer_members_group_id_printers")
        ),
        sa.ForeignKeyConstraint(
            ["printer_id"], ["printers.id"], name=op.f("fk_printer_members_printer_id_printers")
        ),
        sa.PrimaryKeyConstraint("group_id", "printer_id", name=op.f("pk_printer_members")),
    )
    op.create_index("ix_printer_members_printer_id", "printer_members", ["printer_id"])


def downgrade() -> None:
    """There is no way back: an earlier version knows no groups, and would print their labels nowhere."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )
