"""Intents know when their request left by a clock that nobody can set.

Revision: 0002
Follows: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; intents that are open already have only the wall clock's time."""
    op.add_column("intents", sa.Column("sent_boot_id", sa.Text()))
    op.add_column("intents", sa.Column("sent_uptime", sa.Float()))


def downgrade() -> None:
    """Forget them; the wall clock's time stays."""
    op.drop_column("intents", "sent_uptime")
    op.drop_column("intents", "sent_boot_id")
