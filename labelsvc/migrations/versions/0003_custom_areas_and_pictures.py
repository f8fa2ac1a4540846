"""Custom areas, pictures to print, labels of several pages, and fonts in printers.

Rows of earlier versions need nothing said: they were labels of one page, without an area of the store's own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns to the tables that were there, and make the new ones."""
    if sa.inspect(op.get_bind()).has_table("custom_areas"):
        return  # made of the declared schema, under an earlier number
    op.add_column("printers", sa.Column("letters", sa.String(length=4), nullable=True))
    op.add_column("printers", sa.Column("font", sa.String(length=40), nullable=True))
    for name in ("area_text", "picture", "content", "images"):
        op.add_column("documents", sa.Column(name, sa.LargeBinary(), nullable=True))
    op.add_column("documents", sa.Column("grade", sa.String(length=1), nullable=True))
    op.add_column("documents", sa.Column("symbols", sa.Text(), nullable=True))
    op.add_column("labels", sa.Column("pages", sa.Integer(), server_default="1", nullable=False))
    for name, length in (("print_batch", 40), ("print_sequence", 15)):
        op.add_column(
            "waybills", sa.Column(name, sa.String(length=length), server_default="", nullable=False)
        )
    op.create_table(
        "custom_areas",
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("template", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_custom_areas_store_id_stores")),
        sa.PrimaryKeyConstraint("store_id", "template", name=op.f("pk_custom_areas")),
    )
    op.create_table(
        "printer_fonts",
        sa.Column("printer_id", sa.String(length=26), nullable=False),
        sa.Column("font", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["printer_id"], ["printers.id"], name=op.f("fk_printer_fonts_printer_id_printers")
        ),
        sa.PrimaryKeyConstraint("printer_id", "font", name=op.f("pk_printer_fonts")),
    )


def downgrade() -> None:
    """There is no way back: an earlier version has no place for what these columns hold."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )
