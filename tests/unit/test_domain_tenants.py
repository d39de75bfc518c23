"""Where a tenant's services lie."""

from __future__ import annotations

import pytest

from erpsyncd.domain.secrets import parse_template
from erpsyncd.domain.tenants import (
    AUTH_FIELDS,
    Auth,
    AuthKind,
    Credentials,
    Protocol,
    Tenant,
    TenantSpec,
    rest_base,
    soap_base,
)


def make_spec(
    *, url: str = "https://crm.example", soap_url: str | None = None, rest_url: str | None = None
) -> TenantSpec:
    """Return a tenant with the addresses that matter here."""
    return TenantSpec(
        name="acme",
        url=url,
        soap_url=soap_url,
        rest_url=rest_url,
        protocol=Protocol.SOAP,
        auth=Auth(kind=AuthKind.TICKET, fields={"ticket": parse_template("x")}),
    )


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://crm.example", "https://crm.example/Remote"),
        ("https://crm.example/", "https://crm.example/Remote"),
        ("https://crm.example/Remote", "https://crm.example/Remote"),
        ("https://crm.example/remote/", "https://crm.example/remote"),
        ("https://crm.example/Remote/Services88", "https://crm.example/Remote"),
        ("https://sod.superoffice.com/Cust12345", "https://sod.superoffice.com/Cust12345/Remote"),
        ("https://crm.example/SuperOffice", "https://crm.example/SuperOffice/Remote"),
    ],
)
def test_soap_lies_under_remote(url: str, base: str) -> None:
    """An installation's address gets /Remote, once."""
    assert base == soap_base(url)
    assert base == make_spec(url=url).soap_base


@pytest.mark.parametrize(
    ("soap_url", "base"),
    [
        ("https://ns.example/NetServer", "https://ns.example/NetServer"),
        ("https://ns.example/NetServer/Services88/", "https://ns.example/NetServer"),
        ("https://ns.example/Remote/Services86", "https://ns.example/Remote"),
        ("https://ns.example", "https://ns.example/Remote"),
        ("https://ns.example/Cust12345", "https://ns.example/Cust12345/Remote"),
    ],
)
def test_a_soap_url_may_name_the_folder_itself(soap_url: str, base: str) -> None:
    """A stand-alone NetServer has no Remote; an installation has, also when named by soap_url."""
    assert base == make_spec(soap_url=soap_url).soap_base


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://crm.example", "https://crm.example/api/v1"),
        ("https://crm.example/", "https://crm.example/api/v1"),
        ("https://crm.example/api", "https://crm.example/api/v1"),
        ("https://crm.example/api/v1/", "https://crm.example/api/v1"),
        ("https://sod.superoffice.com/Cust12345/API", "https://sod.superoffice.com/Cust12345/API/v1"),
    ],
)
def test_rest_lies_under_api_v1(url: str, base: str) -> None:
    """The root, the api and the version are all understood."""
    assert base == rest_base(url)
    assert base == make_spec(rest_url=url).rest_base


def test_defaults_are_the_agreed_pair() -> None:
    """ErpSync 86 and Quote 83, ten calls per second."""
    spec = make_spec()

    assert (spec.erpsync_services, spec.quote_services, spec.calls_per_second) == (86, 83, 10.0)
    assert Tenant(id=1, spec=spec).name == "acme"


def test_every_auth_field_is_a_credential() -> None:
    """What a document may hold is what a resolved login can carry."""
    known = set(Credentials.__dataclass_fields__) - {"kind"}

    assert set(AUTH_FIELDS) == set(AuthKind)
    assert {name for fields in AUTH_FIELDS.values() for group in fields for name in group} == known
