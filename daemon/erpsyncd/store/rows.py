"""Rows read as domain values, and domain values written as rows: one function for each, nothing else knows both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, CursorResult, Row, Select, select

from erpsyncd.domain.connections import ConnectionTemplate, State, StoredConnection
from erpsyncd.domain.secrets import Reference, not_known, parse_template
from erpsyncd.domain.tenant_states import ReportedState
from erpsyncd.domain.tenants import Auth, AuthKind, DriftPolicy, Environment, Protocol, Tenant, TenantSpec
from erpsyncd.errors import SecretUnknown
from erpsyncd.store.sealing import (
    Sealer,
    StoredTemplate,
    TemplateReader,
    auth_of,
    config_fields_of,
    proxy_of,
    withheld,
)
from erpsyncd.store.sessions import read_session
from erpsyncd.store.tables import connections, tenants

#: What a row is made of, by column name.
Values: TypeAlias = dict[str, Any]


def inserted_id(result: CursorResult[Any]) -> int:
    """Return the number of the row that was just inserted."""
    assert result.inserted_primary_key is not None, "one row was inserted"
    row_id: int = result.inserted_primary_key[0]
    return row_id


def select_tenants(*where: ColumnElement[bool]) -> Select[Any]:
    """Return the query whose rows `read_tenant` reads."""
    return select(tenants).where(*where).order_by(tenants.c.name)


def select_connections(*where: ColumnElement[bool]) -> Select[Any]:
    """Return the query whose rows `read_connection` reads."""
    return (
        select(connections, tenants.c.name.label("tenant"))
        .join(tenants, tenants.c.id == connections.c.tenant_id)
        .where(*where)
    )


def read_tenant(row: Row[Any], reader: TemplateReader) -> Tenant:
    """Return the tenant that a row holds."""
    return Tenant(
        id=row.id,
        spec=read_tenant_spec(row, reader),
        paused=row.paused,
        parked_until=row.parked_until,
        transient_failures=row.transient_failures,
        refused_auth=row.refused_auth,
        last_checked_at=row.last_checked_at,
        last_drift_at=row.last_drift_at,
        reported=read_reported(row),
        session=read_session(row, reader),
    )


def read_reported(row: Row[Any]) -> ReportedState | None:
    """Return what the vendor last said of a tenant; None where it was not asked."""
    if row.tenant_state is None:
        return None
    return ReportedState(
        word=row.tenant_state,
        is_running=bool(row.tenant_running),
        endpoint=row.endpoint or "",
        api=row.api or "",
        valid_until=row.tenant_state_until,
    )


def read_tenant_spec(row: Row[Any], reader: TemplateReader) -> TenantSpec:
    """Return the described side of a tenant."""
    return TenantSpec(
        name=row.name,
        url=row.url,
        soap_url=row.soap_url,
        rest_url=row.rest_url,
        protocol=Protocol(row.protocol),
        erpsync_services=row.erpsync_services,
        quote_services=row.quote_services,
        calls_per_second=row.calls_per_second,
        environment=None if row.environment is None else Environment(row.environment),
        context=row.context,
        language=row.language,
        time_zone=row.time_zone,
        careful=row.careful,
        drift=DriftPolicy(row.drift),
        sync_all_after_save=row.sync_all_after_save,
        ca_file=row.ca_file,
        client_certificate=row.client_certificate,
        client_key=row.client_key,
        proxy=None if row.proxy is None else reader.read_template(row.proxy, proxy_of(row.name)),
        auth=Auth(kind=AuthKind(row.auth_kind), fields=reader.read_templates(row.auth_fields, auth_of(row.name))),
    )


def write_tenant_spec(spec: TenantSpec, sealer: Sealer) -> Values:
    """Return the columns of a tenant's described side."""
    return {
        "name": spec.name,
        "url": spec.url,
        "soap_url": spec.soap_url,
        "rest_url": spec.rest_url,
        "protocol": spec.protocol.value,
        "erpsync_services": spec.erpsync_services,
        "quote_services": spec.quote_services,
        "calls_per_second": spec.calls_per_second,
        "environment": spec.environment and spec.environment.value,
        "context": spec.context,
        "language": spec.language,
        "time_zone": spec.time_zone,
        "careful": spec.careful,
        "drift": spec.drift.value,
        "sync_all_after_save": spec.sync_all_after_save,
        "ca_file": spec.ca_file,
        "client_certificate": spec.client_certificate,
        "client_key": spec.client_key,
        "proxy": None if spec.proxy is None else sealer.store_template(spec.proxy, proxy_of(spec.name)),
        "auth_kind": spec.auth.kind.value,
        "auth_fields": sealer.store_templates(spec.auth.fields, auth_of(spec.name)),
    }


def read_connection(row: Row[Any], reader: TemplateReader) -> StoredConnection:
    """Return the connection that a row holds."""
    return StoredConnection(
        id=row.id,
        tenant_id=row.tenant_id,
        key=row.key,
        present=row.present,
        template=read_connection_template(row, reader, tenant=row.tenant),
        erp_connection_id=row.erp_connection_id,
        connection_id=row.connection_id,
        applied=row.applied,
        state=State(row.state),
        revision=row.revision,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )


def read_connection_template(row: Row[Any], reader: TemplateReader, *, tenant: str) -> ConnectionTemplate:
    """Return the described side of a connection."""
    return ConnectionTemplate(
        erp_connector_id=row.erp_connector_id,
        display_name=row.display_name,
        display_description=row.display_description,
        active=row.active,
        all_access=row.all_access,
        user_group_access_ids=tuple(row.user_group_access_ids),
        associate_access_ids=tuple(row.associate_access_ids),
        **read_names(row.names),
        config_fields=reader.read_templates(row.config_fields, config_fields_of(tenant, row.key)),
    )


def write_connection_template(template: ConnectionTemplate, sealer: Sealer, *, tenant: str, key: str) -> Values:
    """Return the columns of a connection's described side."""
    return {
        "erp_connector_id": template.erp_connector_id,
        "display_name": template.display_name,
        "display_description": template.display_description,
        "active": template.active,
        "all_access": template.all_access,
        "user_group_access_ids": list(template.user_group_access_ids),
        "associate_access_ids": list(template.associate_access_ids),
        "names": _names_of(template),
        "config_fields": sealer.store_templates(template.config_fields, config_fields_of(tenant, key)),
    }


def read_names(stored: Mapping[str, Any] | None) -> Values:
    """Return what a row has by name, as fields of a description."""
    names = stored or {}
    return {
        "erp_connector": names.get("erp_connector"),
        "user_groups": tuple(names.get("user_groups", ())),
        "associates": tuple(names.get("associates", ())),
    }


def _names_of(template: ConnectionTemplate) -> Values | None:
    names = {
        "erp_connector": template.erp_connector,
        "user_groups": list(template.user_groups),
        "associates": list(template.associates),
    }
    return {name: value for name, value in names.items() if value} or None


def incomplete_values(config_fields: Mapping[str, StoredTemplate]) -> Values:
    """Return what is different about a row that would be due, but waits for values that were never given."""
    names = [f"config_fields.{name}" for name in withheld(config_fields)]
    if not names:
        return {}
    return {
        "state": State.INCOMPLETE.value,
        "attempts": 0,
        "next_attempt_at": None,
        "error_class": SecretUnknown.error_class,
        "error": not_known(names),
    }


def read_reference(text: str) -> Reference:
    """Return the reference that stands in a row."""
    (reference,) = parse_template(text).references
    return reference
