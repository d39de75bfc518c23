"""How a tenant is told from an impostor, and how we show a tenant who we are.

Files are read anew for each pass, so that a renewed certificate needs no restart.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn, Protocol

from erpsyncd.domain.tenants import TenantSpec
from erpsyncd.errors import ConfigurationError
from erpsyncd.files import MAX_PEM_BYTES, FileUnreadable, read_regular_file


class Tls(Protocol):
    """What one tenant's connections are secured with."""

    @property
    def tenant(self) -> ssl.SSLContext:
        """For the tenant."""

    @property
    def proxy(self) -> ssl.SSLContext:
        """For a proxy that is itself spoken to over https.

        It is told from impostors alike, and not told who we are.
        """

    async def prepare(self) -> None:
        """Make both, off the event loop: awaited before either of them is asked for."""


class SystemTls:
    """For every tenant that leaves it to the system whom to trust: one context, made for the first connection.

    A pass without any must not wait for it: to read the system's certificates takes as long as to import httpx.
    """

    @cached_property
    def tenant(self) -> ssl.SSLContext:
        """The same for all."""
        return tls_context()

    @property
    def proxy(self) -> ssl.SSLContext:
        """The same as well."""
        return self.tenant

    async def prepare(self) -> None:
        """Read the system's certificates in another thread, once: everybody would wait for as long as that takes."""
        if "tenant" not in vars(self):
            await asyncio.to_thread(lambda: self.tenant)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTls:
    """For a tenant that names files."""

    tenant: ssl.SSLContext
    proxy: ssl.SSLContext

    async def prepare(self) -> None:
        """There is nothing left to do: `own_tls` has read them."""


class _EncryptedKey(Exception):
    """OpenSSL asked for a passphrase."""


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that trusts whom the system trusts, or only whom a file names."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python sets: an end without a goodbye would look like one
    context.set_alpn_protocols(["http/1.1"])
    return context


def own_tls(tenant: TenantSpec, shared: SystemTls) -> OwnTls:
    """Return the contexts of a tenant that names files; `shared` is for what it leaves to the system.

    Reads files, so it is called off the event loop.

    Raises:
        ConfigurationError: a file cannot be read, or is not what it should be; the message names key and file.
    """
    for key, path in tenant.files.items():
        try:
            read_regular_file(Path(path), max_bytes=MAX_PEM_BYTES)
        except FileUnreadable as exc:
            raise _unusable(tenant, key, str(exc)) from None
    trust = shared.tenant if tenant.ca_file is None else _trusting(tenant)
    if tenant.client_certificate is None:
        return OwnTls(tenant=trust, proxy=trust)
    return OwnTls(tenant=_with_client_certificate(tenant, tls_context(tenant.ca_file)), proxy=trust)


def _trusting(tenant: TenantSpec) -> ssl.SSLContext:
    try:
        context = tls_context(tenant.ca_file)
    except OSError:  # of which ssl.SSLError is one
        raise _unusable(tenant, "ca_file", "holds no certificates in PEM that can be read") from None
    if not context.cert_store_stats()["x509"]:
        raise _unusable(tenant, "ca_file", "holds no certificates, only revocation lists")
    return context


def _with_client_certificate(tenant: TenantSpec, context: ssl.SSLContext) -> ssl.SSLContext:
    assert tenant.client_certificate is not None, "it is only asked for where there is one"
    key = "client_key" if tenant.client_key is not None else "client_certificate"
    try:
        # OpenSSL does not say which of the two files is wrong, so the certificate is read by itself first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=tenant.client_certificate)
    except OSError:
        raise _unusable(tenant, "client_certificate", "holds no certificate in PEM that can be read") from None
    try:
        context.load_cert_chain(tenant.client_certificate, tenant.client_key, password=_refuse_passphrase)
    except _EncryptedKey:
        reason = "holds an encrypted key, and nobody is there to type a passphrase; decrypt it, mode 600"
        raise _unusable(tenant, key, reason) from None
    except OSError as exc:
        if isinstance(exc, ssl.SSLError) and exc.reason == "KEY_VALUES_MISMATCH":
            reason = f"holds a key that does not belong to the certificate in {tenant.client_certificate}"
            raise _unusable(tenant, key, reason) from None
        raise _unusable(tenant, key, "holds no private key in PEM that can be read") from None
    return context


def _refuse_passphrase() -> NoReturn:
    """Stand between OpenSSL and the terminal, where it would ask."""
    raise _EncryptedKey


def _unusable(tenant: TenantSpec, key: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"tenant {tenant.name}: {key} {tenant.files[key]} {reason}")
