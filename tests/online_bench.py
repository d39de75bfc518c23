"""A tenant of Online in the sandbox, a real store and whole passes: what tests of tenant states are made on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from erpsyncd.domain.connections import State
from erpsyncd.domain.documents import DocumentTenant
from erpsyncd.domain.results import RunReport
from erpsyncd.domain.tenants import Environment, Tenant
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.sandbox import Call, SandboxServer, TenantState
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.reconciler import Reconciler
from erpsyncd.service.secrets import SecretResolver
from erpsyncd.store import ConnectionView, SqlStore
from factories import make_connection, make_document, make_tenant

NAME = "Cust12345"


async def no_pause(_seconds: float) -> None:
    """Let no time go by."""


def online_tenant(**overrides: Any) -> DocumentTenant:
    """A tenant that only its environment knows the address of."""
    return make_tenant(
        **{
            "url": "",
            "environment": Environment.SOD,
            "context": NAME,
            "auth": {"username": "sandbox", "password": "sandbox"},
            "calls_per_second": 1000.0,
            **overrides,
        }
    )


@dataclass(kw_only=True)
class OnlineBench:
    """One tenant called acme, which the vendor knows as Cust12345."""

    store: SqlStore
    sandbox: SandboxServer
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Near the real one: the sandbox says by its own clock until when an answer is good."""

    host: str = ""
    """Where the vendor is asked, if not at the sandbox's first address."""

    policy: Policy = field(default_factory=Policy)

    def load(self, *entries: Any) -> None:
        self.store.apply_document(make_document(*entries))

    def say(self, **members: Any) -> None:
        """Change what is said of the tenant, and what is true of it."""
        there = self.there
        there.configure(online=replace(there.options.online, **members))

    @property
    def there(self) -> TenantState:
        return self.sandbox.tenant(NAME)

    @property
    def asked(self) -> int:
        """How often the vendor was asked for the state."""
        return self.sandbox.counts(NAME.lower()).get("GetState", 0)

    @property
    def saves(self) -> list[Call]:
        """The saves that were carried out."""
        return [call for call in self.sandbox.saves(NAME.lower()) if call.worked]

    def row(self, key: str = "visma") -> ConnectionView:
        return next(row for row in self.store.list_connections() if row.key == key)

    def tenant(self) -> Tenant:
        found = self.store.read_tenant("acme")
        assert found is not None
        return found

    async def run(self, **options: Any) -> RunReport:
        apis = NetServerApis(
            RemoteLimits(attempts=1, deadline_seconds=10, connect_seconds=5),
            hosts={Environment.SOD: self.host or self.sandbox.url},
            limiter=lambda: RateLimiter(sleep=no_pause),
        )
        reconciler = Reconciler(
            store=self.store,
            apis=apis,
            resolver=SecretResolver(environ={}),
            policy=self.policy,
            owner="test",
            now=lambda: self.time,
            rng=Random(1),
        )
        return await reconciler.run(RunOptions(trigger="run-once", **options))

    async def converge(self, *keys: str) -> None:
        """Make one good pass over these connections."""
        self.load(online_tenant(), *(make_connection(key) for key in keys))
        report = await self.run()
        assert 0 == report.exit_code
        assert {State.IN_SYNC} == {State(row.state) for row in self.store.list_connections()}

    def pass_time(self, **lapse: float) -> None:
        self.time += timedelta(**lapse)
