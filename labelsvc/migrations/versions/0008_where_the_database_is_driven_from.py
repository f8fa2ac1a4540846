"""Which database this is, so that a restored or copied one is noticed; a database that is there gets its id when it is driven."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, empty."""
    if sa.inspect(op.get_bind()).has_table("database_origin"):
        return  # made of the declared schema, under an earlier number
    op.create_table(
        "database_origin",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("database_id", sa.String(length=26), nullable=False),
        sa.Column("server", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_database_origin")),
    )


def downgrade() -> None:
    """There is no way back: an earlier version would print what is held."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )
