"""An online environment on loopback: a tenant, its login service, and an application with a key made for the run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import SessionMemory
from erpsyncd.domain.tenants import Auth, AuthKind, Credentials, Environment, Protocol, TenantSpec
from erpsyncd.netserver.api import NetServerApi
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.sandbox import SandboxApplication, SandboxServer, SandboxTenant, TenantState
from netserver_support import QUICK

CONTEXT = "Cust12345"
SYSTEM_TOKEN = "Sandbox App-8k8Q7DmBgo"
REFRESH_TOKEN = "KXrPcQtpmQBNdvYSKXsUEkpPnhFvmyTd"
CLIENT_SECRET = "sandbox-client-secret"


@cache
def private_key(number: int = 0) -> rsa.RSAPrivateKey:
    """A key of an application; another for each number. Making one takes longer than most tests."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Clock:
    """The time of this machine; only tests move it."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **duration: float) -> None:
        self.time += timedelta(**duration)


def credentials(kind: AuthKind, **overrides: str) -> Credentials:
    fields = {
        AuthKind.SYSTEM_USER: {
            "system_token": SYSTEM_TOKEN,
            "private_key": pem(private_key()),
            "application_token": CLIENT_SECRET,
        },
        AuthKind.REFRESH_TOKEN: {
            "client_id": "sandbox-client",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
        },
    }[kind]
    return Credentials(kind=kind, **{name: Secret(text) for name, text in (fields | overrides).items()})


@dataclass(kw_only=True)
class OnlineWorld:
    """A sandbox, and what is needed to get into its one tenant."""

    server: SandboxServer
    clock: Clock = field(default_factory=Clock)
    environment_clock: Clock = field(default_factory=Clock)
    apis: NetServerApis = field(init=False)

    def __post_init__(self) -> None:
        self.server.login.now = self.environment_clock
        self.apis = self.new_apis()

    def new_apis(self, **options: Any) -> NetServerApis:
        hosts = {Environment.SOD: self.server.url}
        return NetServerApis(QUICK, hosts=hosts, now=self.clock, **options)

    @property
    def tenant(self) -> TenantState:
        return self.server.tenant(CONTEXT)

    @property
    def counts(self) -> dict[str, int]:
        """How often the login service was asked for each thing."""
        return dict(self.server.login.counts)

    def spec(self, protocol: Protocol, **overrides: Any) -> TenantSpec:
        fields: dict[str, Any] = {
            "name": "acme",
            "url": self.server.tenant_url(CONTEXT),
            "protocol": protocol,
            "environment": Environment.SOD,
            "context": CONTEXT,
            "quote_services": 88,
            "calls_per_second": 1e6,
            "auth": Auth(kind=AuthKind.SYSTEM_USER, fields={}),
        }
        return TenantSpec(**(fields | overrides))

    @asynccontextmanager
    async def opened(
        self,
        protocol: Protocol = Protocol.REST,
        given: Credentials | None = None,
        *,
        apis: NetServerApis | None = None,
        memory: SessionMemory | None = None,
        read_only: bool = False,
        **overrides: Any,
    ) -> AsyncIterator[NetServerApi]:
        spec = self.spec(protocol, **overrides)
        given = given or credentials(AuthKind.SYSTEM_USER)
        async with (apis or self.apis).open(spec, given, memory=memory, read_only=read_only) as api:
            yield api

    def document(self, protocol: str, kind: AuthKind, connections: str = "", **overrides: str) -> str:
        """The import document of the tenant."""
        known = credentials(kind, **overrides)
        names = {
            AuthKind.SYSTEM_USER: ("system_token", "private_key", "application_token"),
            AuthKind.REFRESH_TOKEN: ("client_id", "client_secret", "refresh_token"),
        }[kind]
        auth = "\n".join(f"{name} = {json.dumps(getattr(known, name).reveal())}" for name in names)
        return f"""
[[tenants]]
name = "acme"
url = "{self.server.tenant_url(CONTEXT)}"
environment = "sod"
context = "{CONTEXT}"
protocol = "{protocol}"
quote_services = 88
[tenants.auth]
kind = "{kind}"
{auth}
{connections}
"""


@contextmanager
def online_world(**options: Any) -> Iterator[OnlineWorld]:
    """A running sandbox whose application was approved by the tenant."""
    tenant = SandboxTenant(application_token=CLIENT_SECRET, **options)
    with SandboxServer(tenants={CONTEXT: tenant}) as server:
        server.login.applications = (
            SandboxApplication(
                public_key=private_key().public_key(),
                system_tokens={CONTEXT: SYSTEM_TOKEN},
                refresh_tokens={REFRESH_TOKEN: CONTEXT},
            ),
        )
        yield OnlineWorld(server=server)
