"""A careful tenant of a sandbox, spoken to over real sockets: what tests of careful saves are made on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from erpsyncd.domain.intents import Intent
from erpsyncd.domain.results import RunReport
from erpsyncd.domain.tenants import Protocol
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.sandbox import SandboxConnection, SandboxServer
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.reconciler import Reconciler
from erpsyncd.service.secrets import SecretResolver
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant

LIMITS = RemoteLimits(wait_initial_seconds=0.001, wait_jitter_seconds=0, wait_max_seconds=0.01, deadline_seconds=20)
OLD, NEW = {"Client": "F0001", "Password": "old password"}, {"Client": "F0001", "Password": "new password"}
SECRETS = ("old password", "new password", "tenant password")

GET, SAVE = "GetConnection", "SaveConnection"
BY_CONFIG, BY_ID = "TestConnectionByConfig", "TestConnectionById"
_BESIDE = {
    "AuthenticateUsernamePassword",
    "HasConnections",
    "GetConnectionStartupErrors",
    "GetList",
    "GetAllConnections",
}


@dataclass(kw_only=True)
class CarefulBench:
    """A store, a sandbox with one tenant `acme` whose saves are careful, and a clock."""

    store: SqlStore
    sandbox: SandboxServer
    protocol: Protocol
    environ: dict[str, str] = field(default_factory=dict)
    careful: bool = True
    time: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)
    reconciler: Reconciler | None = None
    rewinds: int = 0
    """How many saves may send an old cursor: those that arrive too late."""

    _calls_before: int = 0
    _saves_before: int = 0

    @property
    def tenant(self) -> Any:
        return self.sandbox.tenant("acme")

    def describe(self, *keys: str, **overrides: Any) -> None:
        """Import the tenant and its connections, described like this."""
        described = {"config_fields": OLD} | overrides
        self.store.apply_document(
            make_document(
                make_tenant(
                    url=self.sandbox.tenant_url("acme"),
                    protocol=self.protocol,
                    careful=self.careful,
                    calls_per_second=1e6,
                    auth={"username": "sandbox", "password": "sandbox"},
                ),
                *(make_connection(key, **described) for key in keys or ("visma",)),
            )
        )

    async def run(self, limits: RemoteLimits = LIMITS, **options: Any) -> RunReport:
        """Make one pass, from which on calls and saves are counted."""
        self._calls_before = len(self.sandbox.calls)
        self._saves_before = len(self.tenant.saves)
        apis = NetServerApis(limits)
        vars(apis)["_tls"] = None  # nothing is encrypted here, and to load certificates takes longer than a pass
        self.reconciler = Reconciler(
            store=self.store,
            apis=apis,
            resolver=SecretResolver(environ=self.environ),
            policy=Policy(),
            owner="test",
            now=lambda: self.time,
            rng=Random(1),
        )
        return await self.reconciler.run(RunOptions(**({"trigger": "run-once"} | options)))

    async def impatient(self) -> RunReport:
        """Make one pass that does not wait long for an answer."""
        return await self.run(replace(LIMITS, deadline_seconds=0.5))

    def pass_by(self, **span: int) -> None:
        self.time += timedelta(**span)

    @property
    def calls(self) -> list[str]:
        """The operations of the last pass, but for those around the connections."""
        made = self.sandbox.calls[self._calls_before :]
        return [call.operation for call in made if call.operation not in _BESIDE]

    @property
    def saves(self) -> list[tuple[bool, str, str]]:
        """What each save of the last pass wrote: Active, the password, and the display name."""
        return [shape(row) for row in self.tenant.saves[self._saves_before :]]

    @property
    def there(self) -> list[tuple[bool, str, str]]:
        """What stands in the tenant now."""
        return [shape(row) for row in self.tenant.connections.values() if not row.deleted]

    @property
    def row(self) -> Any:
        (found,) = self.store.list_connections(tenant="acme", key="visma")
        return found

    async def intents(self) -> tuple[Intent, ...]:
        (tenant,) = await self.store.tenants()
        return await self.store.open_intents(tenant.id)


def shape(row: SandboxConnection) -> tuple[bool, str, str]:
    return row.active, row.config_fields.get("Password", ""), row.display_name
