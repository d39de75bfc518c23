"""Tenants have certificates and a proxy of their own.

Revision: 0003
Follows: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; tenants that are there already have none of it."""
    op.add_column("tenants", sa.Column("ca_file", sa.Text()))
    op.add_column("tenants", sa.Column("client_certificate", sa.Text()))
    op.add_column("tenants", sa.Column("client_key", sa.Text()))
    op.add_column("tenants", sa.Column("proxy", sa.JSON()))


def downgrade() -> None:
    """Forget them; a tenant that needs them cannot be reached until it is imported again."""
    op.drop_column("tenants", "proxy")
    op.drop_column("tenants", "client_key")
    op.drop_column("tenants", "client_certificate")
    op.drop_column("tenants", "ca_file")
