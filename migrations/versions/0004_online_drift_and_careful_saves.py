"""Online tenants, drift, careful saves, names instead of numbers, and whole answers.

Revision: 0004
Follows: 0003
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

#: The tables that are new.
TABLES = ("tenant_lists", "drifts", "drift_decisions")


def _new_columns() -> tuple[tuple[str, sa.Column[Any]], ...]:
    return (
        ("tenants", sa.Column("environment", sa.Text())),
        ("tenants", sa.Column("context", sa.Text())),
        ("tenants", sa.Column("language", sa.Text())),
        ("tenants", sa.Column("time_zone", sa.Text())),
        ("tenants", sa.Column("careful", sa.Boolean(), nullable=False, server_default=sa.false())),
        ("tenants", sa.Column("drift", sa.Text(), nullable=False, server_default="report")),
        ("tenants", sa.Column("sync_all_after_save", sa.Boolean(), nullable=False, server_default=sa.false())),
        ("tenants", sa.Column("sync_all_due", sa.Boolean(), nullable=False, server_default=sa.false())),
        ("tenants", sa.Column("session", sa.JSON())),
        ("tenants", sa.Column("session_auth", sa.Text())),
        ("tenants", sa.Column("session_until", MOMENT)),
        ("tenants", sa.Column("tenant_state", sa.Text())),
        ("tenants", sa.Column("tenant_running", sa.Boolean())),
        ("tenants", sa.Column("tenant_state_until", MOMENT)),
        ("tenants", sa.Column("endpoint", sa.Text())),
        ("tenants", sa.Column("api", sa.Text())),
        ("tenants", sa.Column("last_drift_at", MOMENT)),
        ("connections", sa.Column("names", sa.JSON())),
        ("intents", sa.Column("step", sa.Text())),
        ("intents", sa.Column("snapshot", sa.JSON())),
        ("checks", sa.Column("response", sa.JSON())),
    )


def upgrade() -> None:
    """Add what is described and remembered from now on; what is there already has none of it."""
    for table, column in _new_columns():
        op.add_column(table, column)
    _make_name_index("present AND erp_connector_id <> 0")
    op.create_index("ix_connections_named", "connections", ["tenant_id"], **_where("names IS NOT NULL"))
    op.create_table(
        "tenant_lists",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("tenant_id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("read_at", MOMENT, nullable=False),
        *_belonging("tenant_lists", "tenants", "tenant_id", "name"),
    )
    op.create_table(
        "drifts",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("connection_id", ROW_ID, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("desired", sa.JSON()),
        sa.Column("observed", sa.JSON()),
        sa.Column("observed_fingerprint", sa.Text(), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        *_belonging("drifts", "connections", "connection_id", "field"),
    )
    op.create_table(
        "drift_decisions",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("connection_id", ROW_ID, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("until", MOMENT),
        sa.Column("observed_fingerprint", sa.Text()),
        *_belonging("drift_decisions", "connections", "connection_id", "field"),
    )


def _belonging(table: str, owner: str, column: str, name: str) -> tuple[sa.Constraint, ...]:
    """Return the constraints of rows that go with their owner and are told apart by a name."""
    return (
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            [column], [f"{owner}.id"], name=op.f(f"fk_{table}_{column}_{owner}"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint(column, name, name=op.f(f"uq_{table}_{column}_{name}")),
    )


def _make_name_index(condition: str) -> None:
    """Say anew which connections need a name of their own: not those whose connector is not known yet."""
    op.drop_index("uq_connections_present_name", "connections")
    columns = ["tenant_id", "erp_connector_id", "display_name"]
    op.create_index("uq_connections_present_name", "connections", columns, unique=True, **_where(condition))


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def downgrade() -> None:
    """Forget them; a tenant of Online cannot be reached until it is imported again.

    Connections whose connector was given by name and never looked up are in no tenant, and nobody would know where to
    create them: they count as deleted.
    """
    op.execute("UPDATE connections SET present = false, state = 'deleted' WHERE present AND erp_connector_id = 0")
    op.drop_index("ix_connections_named", "connections")
    _make_name_index("present")
    for table in reversed(TABLES):
        op.drop_table(table)
    for table, column in reversed(_new_columns()):
        op.drop_column(table, column.name)
