"""The first tables.

Revision: 0001
Follows: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

#: In the order in which they can be made.
TABLES = (
    "store_metadata",
    "tenants",
    "connections",
    "secret_references",
    "connection_references",
    "listings",
    "intents",
    "runs",
    "outcomes",
    "checks",
    "changes",
)


def upgrade() -> None:
    _create_store_metadata()
    _create_tenants()
    _create_connections()
    _create_secret_references()
    _create_connection_references()
    _create_listings()
    _create_intents()
    _create_runs()
    _create_outcomes()
    _create_checks()
    _create_changes()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_store_metadata() -> None:
    op.create_table(
        "store_metadata",
        sa.Column(
            "id",
            sa.Integer(),
            sa.CheckConstraint("id = 1", name=op.f("ck_store_metadata_one_row")),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("fingerprint_key", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_metadata")),
    )


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("soap_url", sa.Text(), nullable=True),
        sa.Column("rest_url", sa.Text(), nullable=True),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("erpsync_services", sa.Integer(), nullable=False),
        sa.Column("quote_services", sa.Integer(), nullable=False),
        sa.Column("calls_per_second", sa.Float(), nullable=False),
        sa.Column("auth_kind", sa.Text(), nullable=False),
        sa.Column("auth_fields", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("parked_until", MOMENT, nullable=True),
        sa.Column("transient_failures", sa.Integer(), nullable=False),
        sa.Column("refused_auth", sa.Text(), nullable=True),
        sa.Column("last_checked_at", MOMENT, nullable=True),
        sa.Column("connection_count", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("lease_fence", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
        sqlite_autoincrement=True,
    )


def _create_connections() -> None:
    op.create_table(
        "connections",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("tenant_id", ROW_ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("erp_connector_id", sa.Integer(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("display_description", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("all_access", sa.Boolean(), nullable=False),
        sa.Column("user_group_access_ids", sa.JSON(), nullable=False),
        sa.Column("associate_access_ids", sa.JSON(), nullable=False),
        sa.Column("config_fields", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("erp_connection_id", ROW_ID, nullable=True),
        sa.Column("connection_id", sa.Text(), nullable=True),
        sa.Column("applied", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_connections_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_connections_tenant_id_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_connections_not_in_sync",
        "connections",
        ["tenant_id", "state"],
        sqlite_where=sa.text("state <> 'in_sync'"),
        postgresql_where=sa.text("state <> 'in_sync'"),
    )
    op.create_index(
        "uq_connections_present_name",
        "connections",
        ["tenant_id", "erp_connector_id", "display_name"],
        unique=True,
        sqlite_where=sa.text("present"),
        postgresql_where=sa.text("present"),
    )


def _create_secret_references() -> None:
    op.create_table(
        "secret_references",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("tenant_id", ROW_ID, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_secret_references_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secret_references")),
        sa.UniqueConstraint("tenant_id", "reference", name=op.f("uq_secret_references_tenant_id_reference")),
    )


def _create_connection_references() -> None:
    op.create_table(
        "connection_references",
        sa.Column("connection_id", ROW_ID, nullable=False),
        sa.Column("reference_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_connection_references_connection_id_connections"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["secret_references.id"],
            name=op.f("fk_connection_references_reference_id_secret_references"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", "reference_id", name=op.f("pk_connection_references")),
    )
    op.create_index(op.f("ix_connection_references_reference_id"), "connection_references", ["reference_id"])


def _create_listings() -> None:
    op.create_table(
        "listings",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("tenant_id", ROW_ID, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("ids", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_listings_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listings")),
        sa.UniqueConstraint("tenant_id", "digest", name=op.f("uq_listings_tenant_id_digest")),
    )


def _create_intents() -> None:
    op.create_table(
        "intents",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("tenant_id", ROW_ID, nullable=False),
        sa.Column("connection_id", ROW_ID, nullable=False),
        sa.Column("run_id", ROW_ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("erp_connector_id", sa.Integer(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("listing_id", ROW_ID, nullable=True),
        sa.Column("sent_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_intents_connection_id_connections"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["listing_id"], ["listings.id"], name=op.f("fk_intents_listing_id_listings")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_intents_tenant_id_tenants"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intents")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_intents_connection_id"), "intents", ["connection_id"])
    op.create_index(op.f("ix_intents_listing_id"), "intents", ["listing_id"])
    op.create_index(op.f("ix_intents_tenant_id"), "intents", ["tenant_id"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("changed_records", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_started_at"), "runs", ["started_at"])


def _create_outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("run_id", ROW_ID, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("change", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_outcomes_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcomes")),
    )
    op.create_index(op.f("ix_outcomes_run_id"), "outcomes", ["run_id"])


def _create_checks() -> None:
    op.create_table(
        "checks",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("run_id", ROW_ID, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("is_ok", sa.Boolean(), nullable=False),
        sa.Column("user_explanation", sa.Text(), nullable=False),
        sa.Column("tech_explanation", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("changed_records", sa.Integer(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checks")),
    )
    op.create_index(op.f("ix_checks_last_at"), "checks", ["last_at"])
    op.create_index("ix_checks_tenant_operation", "checks", ["tenant", "operation", "id"])


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("run_id", ROW_ID, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("record_id", ROW_ID, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
    )
    op.create_index(op.f("ix_changes_recorded_at"), "changes", ["recorded_at"])
    op.create_index(op.f("ix_changes_tenant"), "changes", ["tenant"])
