"""What erpsyncd knows about a tenant: where it is, how to speak to it, as whom."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from erpsyncd.domain.secrets import Secret, Template

if TYPE_CHECKING:
    from erpsyncd.domain.sessions import KeptSession
    from erpsyncd.domain.tenant_states import ReportedState

TenantId: TypeAlias = int

Origin: TypeAlias = tuple[str, str | None, int]
"""Scheme, host and port of an address."""

_PORTS = {"http": 80, "https": 443}


class Protocol(StrEnum):
    """One per tenant: the vendor asks not to mix them in one application."""

    SOAP = "soap"
    REST = "rest"


class AuthKind(StrEnum):
    """How a tenant lets us in."""

    PASSWORD = "password"  # noqa: S105 -- the name of a kind, not a password
    TICKET = "ticket"
    BEARER = "bearer"
    SYSTEM_USER = "system-user"
    """The vendor's way for what runs unattended: a signed token is exchanged for a ticket (domain of Online only)."""

    REFRESH_TOKEN = "refresh-token"  # noqa: S105 -- as above
    """OAuth on behalf of a person who once agreed."""


class Environment(StrEnum):
    """The vendor's three Online worlds. Which host each logs in at is a setting."""

    SOD = "sod"
    STAGE = "stage"
    ONLINE = "online"


class DriftPolicy(StrEnum):
    """What becomes of a field that somebody changed in the tenant."""

    REPORT = "report"
    ENFORCE = "enforce"


#: The kinds that only Online knows: they log in at an environment's host, for a context.
ONLINE_KINDS = frozenset({AuthKind.SYSTEM_USER, AuthKind.REFRESH_TOKEN})

#: The secret without which a kind of auth is nothing.
SECRET_OF = {
    AuthKind.PASSWORD: "password",
    AuthKind.TICKET: "ticket",
    AuthKind.BEARER: "token",
    AuthKind.SYSTEM_USER: "system_token",
    AuthKind.REFRESH_TOKEN: "refresh_token",
}

#: The auth fields of each kind: (required, optional). `application_token` is the vendor's client secret.
AUTH_FIELDS: dict[AuthKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    AuthKind.PASSWORD: (("username", "password"), ("application_token",)),
    AuthKind.TICKET: (("ticket",), ("application_token",)),
    AuthKind.BEARER: (("token",), ("application_token",)),
    AuthKind.SYSTEM_USER: (("system_token", "private_key", "application_token"), ()),
    AuthKind.REFRESH_TOKEN: (("client_id", "client_secret", "refresh_token"), ()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How to log in, as described: `fields` holds the templates of `AUTH_FIELDS` that are set."""

    kind: AuthKind
    fields: dict[str, Template]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to log in, resolved. Fields that the kind does not have are empty secrets."""

    kind: AuthKind
    username: Secret = Secret("")
    password: Secret = Secret("")
    ticket: Secret = Secret("")
    token: Secret = Secret("")
    application_token: Secret = Secret("")
    system_token: Secret = Secret("")
    private_key: Secret = Secret("")
    client_id: Secret = Secret("")
    client_secret: Secret = Secret("")
    refresh_token: Secret = Secret("")

    @property
    def app_token(self) -> Secret:
        """What goes with every call beside who we are: online, the application's client secret (domain.md §3.3)."""
        return self.client_secret if self.kind is AuthKind.REFRESH_TOKEN else self.application_token


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSpec:
    """One `[[tenants]]` entry of the import document."""

    name: str
    url: str
    """Empty for a tenant of Online, whose address its environment tells."""

    protocol: Protocol
    auth: Auth
    environment: Environment | None = None
    context: str | None = None
    """The vendor's number of the installation, `Cust12345`. It goes with an environment, and only with one."""

    soap_url: str | None = None
    rest_url: str | None = None
    erpsync_services: int = 86
    quote_services: int = 83
    calls_per_second: float = 10.0
    language: str | None = None
    """In which language checks are answered; never sent with what is written back."""

    time_zone: str | None = None
    """In which time zone checks are answered."""

    careful: bool = False
    """Whether each save is tested before and after, and taken back where it fails."""

    drift: DriftPolicy = DriftPolicy.REPORT
    sync_all_after_save: bool = False
    """Whether the sync engine is asked to run after a pass that changed something."""

    ca_file: str | None = None
    """Whom to trust instead of whom the system trusts: the path of certificates in PEM."""

    client_certificate: str | None = None
    """What to show to a tenant that asks who we are: the path of a certificate with its chain in PEM."""

    client_key: str | None = None
    """The path of that certificate's key; None where it stands in the same file."""

    proxy: Template | None = None
    """The forward proxy before the tenant; see `domain/proxies.py`."""

    @property
    def logs_in(self) -> bool:
        """Whether there is a login, and its credentials do not go with each call instead."""
        by_password = self.protocol is Protocol.SOAP and self.auth.kind is AuthKind.PASSWORD
        return by_password or self.auth.kind in ONLINE_KINDS

    @property
    def files(self) -> dict[str, str]:
        """The files that it names, by their keys in the document."""
        named = {
            "ca_file": self.ca_file,
            "client_certificate": self.client_certificate,
            "client_key": self.client_key,
        }
        return {key: path for key, path in named.items() if path is not None}

    @property
    def templates(self) -> dict[str, Template]:
        """The values that may hold secrets or refer to them, by their places in the document."""
        found = {f"auth.{name}": template for name, template in self.auth.fields.items()}
        return found if self.proxy is None else found | {"proxy": self.proxy}

    @property
    def soap_base(self) -> str:
        """The address under which `ServicesNN/{Agent}.svc` lies."""
        return soap_base(self.soap_url or self.url, overridden=self.soap_url is not None)

    @property
    def rest_base(self) -> str:
        """The address under which `Agents/{Agent}/{Operation}` lies."""
        return rest_base(self.rest_url or self.url)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Who gets what is sent over either protocol, as far as that is described."""
        given = (self.soap_url or self.url, self.rest_url or self.url)
        return tuple(_origin(address) for address in given if address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant as the store holds it."""

    id: TenantId
    spec: TenantSpec
    paused: bool = False
    parked_until: datetime | None = None
    transient_failures: int = 0
    refused_auth: str | None = None
    """Fingerprint of the credentials that the tenant refused; None when it refused none."""

    last_checked_at: datetime | None = None
    last_drift_at: datetime | None = None
    reported: ReportedState | None = None
    """What the vendor last said of a tenant of Online, and until when that is good."""

    session: KeptSession | None = None
    """What the last login gave, where it can be used again."""

    @property
    def name(self) -> str:
        """The name that operators gave it."""
        return self.spec.name


def located(tenant: TenantSpec, state: ReportedState) -> TenantSpec:
    """Return a tenant at the address that its state names. `soap_url` and `rest_url` override it, `url` does not."""
    endpoint = state.endpoint or state.api.removesuffix("/api")
    return replace(tenant, url=endpoint, rest_url=tenant.rest_url or state.api or None)


_INSTALLATION = re.compile(r"(^|/)Cust\d+$", re.IGNORECASE)


def soap_base(url: str, *, overridden: bool = False) -> str:
    """Return the address under which `ServicesNN` lies.

    `url` is an installation's root and gets `/Remote` (contract.md). A `soap_url` may also name that folder
    itself, with or without `ServicesNN`, because a stand-alone NetServer has no `Remote` (domain.md §1.2).
    """
    base = re.sub(r"/Services\d+$", "", url.rstrip("/"), flags=re.IGNORECASE)
    path = urlsplit(base).path
    if path.lower().endswith("/remote"):
        return base
    if overridden and path and not _INSTALLATION.search(path):
        return base
    return f"{base}/Remote"


def rest_base(url: str) -> str:
    """Return the address under which `Agents` lies, from the root, from `…/api` or from `…/api/v1`."""
    base = url.rstrip("/")
    path = urlsplit(base).path.lower()
    if path.endswith("/v1"):
        return base
    return f"{base}/v1" if path.endswith("/api") else f"{base}/api/v1"


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
