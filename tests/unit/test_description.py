"""What is known as a table of the document, which the document's rules read as the same again."""

from __future__ import annotations

from dataclasses import fields

import pytest

from erpsyncd.domain.connections import ConnectionSpec, ConnectionTemplate
from erpsyncd.domain.secrets import Damaged, Secret, Template, parse_template
from erpsyncd.domain.tenants import DriftPolicy, Environment, Protocol, TenantSpec
from erpsyncd.errors import ConfigurationError
from erpsyncd.service.description import OPTIONAL, changed_table, connection_table, tenant_table
from erpsyncd.service.document import read_entries
from factories import make_tenant

PLAIN = make_tenant().spec
FULL = make_tenant(
    protocol=Protocol.REST,
    soap_url="https://soap.example",
    rest_url="https://rest.example",
    erpsync_services=88,
    quote_services=84,
    calls_per_second=2.5,
    environment=Environment.SOD,
    context="Cust1",
    language="nb-NO",
    time_zone="UTC",
    careful=True,
    drift=DriftPolicy.ENFORCE,
    sync_all_after_save=True,
    ca_file="/ca.pem",
    client_certificate="/client.pem",
    client_key="/client.key",
    proxy=parse_template("http://user:@{env:PROXY}@proxy.example:3128"),
    auth={"username": "@{env:U}", "password": "a@@{b", "application_token": "t"},
).spec


def read(table: object) -> TenantSpec:
    (tenant,) = read_entries("test", tenants=[table]).tenants
    return tenant.spec


def test_every_field_of_a_tenant_comes_back() -> None:
    """None is forgotten: an edit of one would take the others away."""
    same = {field.name for field in fields(TenantSpec) if getattr(FULL, field.name) == getattr(PLAIN, field.name)}

    assert {"name", "url"} == same
    assert (FULL, PLAIN) == (read(tenant_table(FULL)), read(tenant_table(PLAIN)))


def test_what_need_not_be_there_can_be_taken_away() -> None:
    """By an empty text; nothing else changes."""
    without = read(changed_table(tenant_table(FULL), dict.fromkeys({*OPTIONAL} - {"url"}, "")))

    assert {
        *("protocol", "erpsync_services", "quote_services", "calls_per_second", "auth"),
        *("careful", "drift", "sync_all_after_save"),
    } == {field.name for field in fields(TenantSpec) if getattr(without, field.name) != getattr(PLAIN, field.name)}


def test_an_address_can_be_taken_away_where_an_environment_tells_it() -> None:
    """Elsewhere it is missed."""
    assert "" == read(changed_table(tenant_table(FULL), {"url": ""})).url
    assert "url" not in tenant_table(read(changed_table(tenant_table(FULL), {"url": ""})))
    with pytest.raises(ConfigurationError, match=r"cannot be described") as caught:
        read(changed_table(tenant_table(PLAIN), {"url": ""}))

    assert ("test.url: is missing (acme)",) == caught.value.problems


def test_what_does_not_open_any_more_has_to_be_given_anew() -> None:
    """It is left to the store, which says that it cannot keep it."""
    damaged = Template((Damaged("altered"),))
    spec = make_tenant(proxy=damaged, auth={"username": "u", "password": "p"}).spec
    spec.auth.fields["password"] = damaged

    table = tenant_table(spec)

    assert ({"kind": "password", "username": "u", "password": "@{stored}"}, "@{stored}") == (
        table["auth"],
        table["proxy"],
    )


def test_every_field_of_a_connection_comes_back() -> None:
    """None is forgotten: what is taken over is described with all that it has."""
    spec = ConnectionSpec(
        erp_connector_id=2,
        display_name="Visma",
        display_description="by hand",
        active=False,
        all_access=True,
        user_group_access_ids=(3, 1),
        associate_access_ids=(2,),
        config_fields={"Client": Secret("F1"), "Password": Secret("a@{b@@{c")},
    )
    plain = ConnectionSpec(erp_connector_id=1, display_name="")

    (entry,) = read_entries("test", connections=[connection_table("acme", "visma", spec)]).connections

    assert all(getattr(spec, field.name) != getattr(plain, field.name) for field in fields(ConnectionSpec))
    named = {"erp_connector", "user_groups", "associates"}
    described = {field.name for field in fields(ConnectionTemplate)}
    assert {field.name for field in fields(ConnectionSpec)} == described - named
    assert spec == entry.template.resolve({})
