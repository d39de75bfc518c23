"""What headers say, and which addresses and certificates are good enough."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import ConfigurationError
from erpsyncd.netserver.addresses import check_base_url
from erpsyncd.netserver.headers import by_name, redirect_host, retry_after_seconds
from erpsyncd.netserver.tls import tls_context
from netserver_support import Wire, opened, tenant_spec

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("999999999", 86400.0),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 12:01:00 -0000", 60.0),
        ("Fri, 01 Jan 2027 12:00:30 GMT", 86400.0),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
        ("Thu, 01 Jan 99999 12:00:30 GMT", None),
    ],
)
def test_retry_after_header(value: str, expected: float | None) -> None:
    """Seconds and HTTP dates are read, everything else is none."""
    assert expected == retry_after_seconds(value, NOW)


@given(value=st.text(max_size=60))
def test_retry_after_takes_anything(value: str) -> None:
    """No header makes it raise."""
    seconds = retry_after_seconds(value, NOW)

    assert seconds is None or 0 <= seconds <= 86400


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://user:placeholder@other.example:444/path?ticket=placeholder", "other.example"),
        ("/login?ReturnUrl=x", ""),
        ("https://[bad/", ""),
        ("", ""),
    ],
)
def test_redirect_host(location: str, expected: str) -> None:
    """Only the host of a redirection's target is kept."""
    assert expected == redirect_host(location)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.acme.example/Remote",
        "https://[2001:db8::1]:8443/x",
        "http://localhost:1/x",
        "http://127.9.9.9",
        "http://[::1]:5/",
    ],
)
def test_good_addresses(url: str) -> None:
    """https anywhere, and plain http on this machine."""
    check_base_url("acme", "url", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.acme.example",
        "http://127.0.0.1.acme.example",
        "http://localhost.acme.example",
        "ftp://crm.acme.example",
        "crm.acme.example",
        "https://",
        "https://user:placeholder@crm.acme.example",
        "https://@crm.acme.example",
        "https://crm.acme.example/?ticket=placeholder",
        "https://crm.acme.example/#x",
        "https://crm.acme.example:99999",
        "https://crm.acme.example:x",
        "https://[crm",
        "https://crm acme.example",
        "https://crm.acme.example\n.evil.example",
    ],
)
@pytest.mark.parametrize("protocol", Protocol)
async def test_bad_addresses(url: str, protocol: Protocol) -> None:
    """Passwords go nowhere that cannot keep them; the message names tenant and setting, and not the address."""
    with pytest.raises(ConfigurationError) as caught:
        async with opened(Wire(), tenant_spec(protocol, url=url)):
            pass

    assert str(caught.value).startswith("tenant acme: url ")
    assert "placeholder" not in str(caught.value)


@pytest.mark.parametrize(("protocol", "setting"), [(Protocol.SOAP, "soap_url"), (Protocol.REST, "rest_url")])
async def test_override_is_named(protocol: Protocol, setting: str) -> None:
    """The setting that is wrong is the one that is named."""
    with pytest.raises(ConfigurationError, match=f"tenant acme: {setting} must be https"):
        async with opened(Wire(), tenant_spec(protocol, **{setting: "http://crm.acme.example"})):
            pass


def test_a_header_that_comes_several_times_is_one_list() -> None:
    """However many lines a tenant sends, to read them takes no longer than they are long."""
    headers = [(b"Via", b"a"), (b"Date", b"now")] + [(b"VIA", b"b")] * 500_000

    assert {"via": "a" + ", b" * 500_000, "date": "now"} == by_name(headers)


def test_tls() -> None:
    """Certificates are checked, and nothing older than TLS 1.2 is spoken."""
    context = tls_context()

    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
