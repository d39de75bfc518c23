"""The tables, as the newest migration leaves them.

Operators may read them; their names are documented. What happened (`runs`, `outcomes`, `checks`, `changes`)
names tenants and connections by text, because history outlives what it tells of. Their partial indexes stand in
`partial_indexes`.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
)

from erpsyncd.store.columns import ForeignText, Json, RowId, UtcDateTime

#: The revisions that this program knows, oldest first. A store at any other one is newer than the program.
REVISIONS = ("0001", "0002", "0003", "0004")

#: What a store must be at; alembic agrees, which a test proves, so that no start has to import it.
HEAD = REVISIONS[-1]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: One row: which key this store was made with.
store_metadata = Table(
    "store_metadata",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("key_id", Text, nullable=False),
    Column("fingerprint_key", Text, nullable=False),  # sealed
    Column("created_at", UtcDateTime, nullable=False),
)

tenants = Table(
    "tenants",
    metadata,
    Column("id", RowId, primary_key=True),
    # As described.
    Column("name", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("soap_url", Text),
    Column("rest_url", Text),
    Column("protocol", Text, nullable=False),
    Column("erpsync_services", Integer, nullable=False),
    Column("quote_services", Integer, nullable=False),
    Column("calls_per_second", Float, nullable=False),
    Column("auth_kind", Text, nullable=False),
    Column("auth_fields", Json, nullable=False),  # {name: {"sealed": …} or {"reference": …}}
    # As remembered.
    Column("paused", Boolean, nullable=False),
    Column("parked_until", UtcDateTime),
    Column("transient_failures", Integer, nullable=False),
    Column("refused_auth", Text),
    Column("last_checked_at", UtcDateTime),
    Column("connection_count", Integer, nullable=False),  # kept, because counting a million rows is no constant
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("lease_fence", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # As described, too; a migration adds at the end.
    Column("ca_file", Text),
    Column("client_certificate", Text),
    Column("client_key", Text),
    Column("proxy", Json),  # {"sealed": …}
    Column("environment", Text),
    Column("context", Text),
    Column("language", Text),
    Column("time_zone", Text),
    Column("careful", Boolean, nullable=False, server_default=false()),
    Column("drift", Text, nullable=False, server_default="report"),
    Column("sync_all_after_save", Boolean, nullable=False, server_default=false()),
    Column("sync_all_due", Boolean, nullable=False, server_default=false()),  # as remembered
    # As remembered, too.
    Column("session", Json),  # {"sealed": …}: the ticket that the last pass used
    Column("session_auth", Text),  # fingerprint of the credentials that it was given for
    Column("session_until", UtcDateTime),
    Column("tenant_state", Text),  # as the vendor's state API said last, and until when that is good
    Column("tenant_running", Boolean),
    Column("tenant_state_until", UtcDateTime),
    Column("endpoint", Text),
    Column("api", Text),
    Column("last_drift_at", UtcDateTime),
    sqlite_autoincrement=True,  # a removed tenant's number must not come back: leases carry it
)

connections = Table(
    "connections",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("tenant_id", RowId, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    # As described.
    Column("present", Boolean, nullable=False),
    Column("erp_connector_id", Integer, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("display_description", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("all_access", Boolean, nullable=False),
    Column("user_group_access_ids", Json, nullable=False),
    Column("associate_access_ids", Json, nullable=False),
    Column("config_fields", Json, nullable=False),  # {name: {"sealed": …} or {"reference": …}}, in the given order
    Column("revision", Integer, nullable=False),
    # As remembered.
    Column("erp_connection_id", RowId),
    Column("connection_id", ForeignText),
    Column("applied", Json, nullable=False),  # {field: fingerprint}
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("error_class", Text),
    Column("error", ForeignText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # As described, too.
    Column("names", Json),  # {"erp_connector": …, "user_groups": […], "associates": […]}, where given by name
    UniqueConstraint("tenant_id", "key"),
    sqlite_autoincrement=True,  # intents and passes carry these numbers
)

#: Written with its literal wherever `ix_connections_not_in_sync` has to be used: no database can prove it from a
#: parameter.
NOT_IN_SYNC = connections.c.state != literal_column("'in_sync'")

secret_references = Table(
    "secret_references",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("tenant_id", RowId, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("reference", Text, nullable=False),
    Column("fingerprint", Text),  # NULL: never resolved, or could not be resolved the last time
    UniqueConstraint("tenant_id", "reference"),
)

connection_references = Table(
    "connection_references",
    metadata,
    Column("connection_id", RowId, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("reference_id", RowId, ForeignKey("secret_references.id", ondelete="CASCADE"), primary_key=True, index=True),
)

#: What a tenant listed before a create, shared by all intents that were opened under it.
listings = Table(
    "listings",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("tenant_id", RowId, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("digest", Text, nullable=False),
    Column("ids", Json, nullable=False),
    UniqueConstraint("tenant_id", "digest"),
)

#: Write calls that may be on their way. A settled one is gone; its outcome says what became of it.
intents = Table(
    "intents",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("tenant_id", RowId, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("connection_id", RowId, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("run_id", RowId, nullable=False),
    Column("kind", Text, nullable=False),
    Column("erp_connector_id", Integer, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("listing_id", RowId, ForeignKey("listings.id"), index=True),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("sent_boot_id", Text),
    Column("sent_uptime", Float),  # seconds since that start of the sending machine
    Column("step", Text),  # of a save in several steps
    Column("snapshot", Json),  # {"sealed": …}: what stood there before the first step
    sqlite_autoincrement=True,  # so that a late settlement cannot hit another intent
)

#: What a tenant's lists of connectors, groups and associates held when they were last read.
tenant_lists = Table(
    "tenant_lists",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("tenant_id", RowId, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("items", Json, nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)

#: What a look at the tenant found to differ, field by field, as long as it does.
drifts = Table(
    "drifts",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("connection_id", RowId, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("field", ForeignText, nullable=False),  # empty where it is about the connection as a whole
    Column("kind", Text, nullable=False),
    Column("desired", Json),  # of what is no secret
    Column("observed", Json),  # of what is no secret
    Column("observed_fingerprint", Text, nullable=False),  # to know the same value again
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    UniqueConstraint("connection_id", "field"),
)

#: What an operator decided about a field that differs, and what became of pushing over it.
drift_decisions = Table(
    "drift_decisions",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("connection_id", RowId, ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    Column("field", ForeignText, nullable=False),  # empty where it is about the connection as a whole
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Column("observed_fingerprint", Text),
    UniqueConstraint("connection_id", "field"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("trigger", Text, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("status", Text),  # NULL while it runs, or when it died
    Column("exit_code", Integer),
    Column("counts", Json, nullable=False),
    Column("changed_records", Integer, nullable=False),
    Column("problems", Json, nullable=False),
    Column("started_at", UtcDateTime, nullable=False, index=True),
    Column("finished_at", UtcDateTime),
    sqlite_autoincrement=True,  # people write these numbers down
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("run_id", RowId, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("tenant", Text, nullable=False),
    Column("key", Text),
    Column("change", Text),
    Column("status", Text, nullable=False),
    Column("error_class", Text),
    Column("error", ForeignText),
    Column("fields", Json, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)

checks = Table(
    "checks",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("run_id", RowId, nullable=False),  # of its last answer; not a foreign key, because it outlives runs
    Column("tenant", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("is_ok", Boolean, nullable=False),
    Column("user_explanation", ForeignText, nullable=False),
    Column("tech_explanation", ForeignText, nullable=False),
    Column("error_code", ForeignText, nullable=False),
    Column("status", ForeignText, nullable=False),
    Column("changed_records", Integer, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, index=True),
    Column("times", Integer, nullable=False),
    Column("response", Json),  # the whole answer; NULL in rows of older releases
)
Index("ix_checks_tenant_operation", checks.c.tenant, checks.c.operation, checks.c.id)

changes = Table(
    "changes",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("run_id", RowId, nullable=False),
    Column("tenant", Text, nullable=False, index=True),
    Column("operation", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("table_name", ForeignText, nullable=False),
    Column("record_id", RowId, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False, index=True),
)
