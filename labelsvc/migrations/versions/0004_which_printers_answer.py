"""Whether the device in a printer's place ever answered a status query.

Of earlier versions' printers it isn't known: they are asked again, as new ones are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    if any(column["name"] == "answered_at" for column in sa.inspect(op.get_bind()).get_columns("printers")):
        return  # made of the declared schema, under an earlier number
    op.add_column("printers", sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """There is no way back: an earlier version has no place for it."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )
