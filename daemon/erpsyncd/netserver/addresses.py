"""Which addresses passwords may be sent to."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from erpsyncd.domain.tenants import Protocol, TenantSpec
from erpsyncd.errors import ConfigurationError

if TYPE_CHECKING:
    from erpsyncd.domain.proxies import Proxy, ProxyAddress


def check_base_url(tenant: str, setting: str, url: str) -> None:
    """Refuse an address that passwords must not be sent to.

    Raises:
        ConfigurationError: it is no http(s) address, holds a password or a query, or is plain http to another
            machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # reading it checks it
    except ValueError:
        raise ConfigurationError(f"tenant {tenant}: {setting} is not an address") from None
    if not url.isprintable() or " " in url:
        raise ConfigurationError(f"tenant {tenant}: {setting} holds characters that an address cannot")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"tenant {tenant}: {setting} must begin with https:// and name a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(f"tenant {tenant}: {setting} must hold neither a username nor a query")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"tenant {tenant}: {setting} must be https; plain http is for this machine only")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or its number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_proxy(tenant: str, url: str, proxy: ProxyAddress | None) -> None:
    """Refuse to let a proxy elsewhere read what is not encrypted because it stays on this machine.

    Raises:
        ConfigurationError: the tenant's address is plain http, and its proxy is on another machine.
    """
    if proxy is not None and urlsplit(url).scheme == "http" and not proxy.is_here:
        raise ConfigurationError(
            f"tenant {tenant}: proxy must be on this machine too, because the tenant's address is http"
        )


def check_tenant(tenant: TenantSpec, proxy: Proxy | None) -> None:
    """Refuse a tenant whose address, or whose way there, passwords must not be sent on.

    Raises:
        ConfigurationError: as above.
    """
    soap = tenant.protocol is Protocol.SOAP
    override, url = ("soap_url", tenant.soap_url) if soap else ("rest_url", tenant.rest_url)
    check_base_url(tenant.name, override if url else "url", url or tenant.url)
    check_proxy(tenant.name, url or tenant.url, proxy.address if proxy is not None else None)
