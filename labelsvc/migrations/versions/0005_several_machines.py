"""Machines that share a PostgreSQL database: which live, which drives which printer, and where a printer hangs.

Printers of earlier versions hang nowhere in particular: whichever machine starts first drives them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and make the new tables."""
    if sa.inspect(op.get_bind()).has_table("nodes"):
        return  # made of the declared schema, under an earlier number
    # Opening in a browser is one step now, after which nobody looks for one that was interrupted.
    op.execute(
        "UPDATE labels SET state = 'uncertain', reason = 'the service stopped while sending' WHERE state = 'sending'"
        " AND printer_id IN (SELECT id FROM printers WHERE uri = 'browser:')"
    )
    op.add_column("printers", sa.Column("node", sa.String(length=64), nullable=True))
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=26), nullable=False),
        sa.Column("lock", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_nodes")),
    )
    op.create_table(
        "printer_leases",
        sa.Column("printer_id", sa.String(length=26), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=26), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.name"], name=op.f("fk_printer_leases_node_nodes")),
        sa.ForeignKeyConstraint(
            ["printer_id"], ["printers.id"], name=op.f("fk_printer_leases_printer_id_printers")
        ),
        sa.PrimaryKeyConstraint("printer_id", name=op.f("pk_printer_leases")),
    )


def downgrade() -> None:
    """There is no way back: an earlier version would drive every printer beside the machines that lease them."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )
