"""Two tenants of a sandbox, one of them behind a faulty proxy: what the tests of the fault matrix are made on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from erpsyncd.domain.intents import Intent
from erpsyncd.domain.results import RunReport
from erpsyncd.domain.tenants import Protocol
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.tls import tls_context
from erpsyncd.sandbox import SandboxServer, SandboxTenant
from erpsyncd.service.policy import Policy, RunOptions
from erpsyncd.service.reconciler import Reconciler
from erpsyncd.service.secrets import SecretResolver
from erpsyncd.store import SqlStore
from factories import make_connection, make_document, make_tenant
from faulty_proxy import FaultyProxy

#: The connection that the fault is for stands between its neighbours, in the order of the pass.
HIT, NEIGHBOURS = "hit", ("alpha", "omega")
KEYS = ("alpha", "hit", "omega")
SAVE, READ = "SaveConnection", "GetConnection"
LISTS = {"soap": "GetList", "rest": "GetAllConnections"}

#: Stands in the tenant from the beginning, and is nobody's in the store. It has the first id.
BY_HAND = "Typed in by hand"

#: Pauses too short to notice, a body limit that is quickly reached, a deadline that no healthy call comes near.
LIMITS = RemoteLimits(
    deadline_seconds=20,
    max_body_bytes=2_000_000,
    wait_initial_seconds=0.001,
    wait_jitter_seconds=0,
    wait_max_seconds=0.01,
)
#: For faults that only the deadline ends.
IMPATIENT = replace(LIMITS, deadline_seconds=0.8)


@dataclass(kw_only=True)
class FaultBench:
    """A store, a sandbox, a proxy before the tenant `acme` and none before the tenant `other`, and a clock."""

    store: SqlStore
    sandbox: SandboxServer
    proxy: FaultyProxy
    protocol: str
    settings: dict[str, Any] = field(default_factory=dict)
    """What is described about `acme` beyond the rest, or instead of it."""

    connections_at_once: int = 2
    time: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def describe(self, description: str = "") -> None:
        """Import both tenants and their connections, described like this."""
        same: dict[str, Any] = {"protocol": Protocol(self.protocol), "calls_per_second": 1e6}
        self.store.apply_document(
            make_document(
                make_tenant("acme", **{"url": f"{self.proxy.url}/acme", **same, **self.settings}),
                make_tenant("other", url=self.sandbox.tenant_url("other"), **same),
                *(make_connection(key, display_description=description) for key in KEYS),
                make_connection("only", tenant="other", display_description=description),
            )
        )

    async def run(self, limits: RemoteLimits = LIMITS, *, scheduled: bool = False, wire: Any = None) -> RunReport:
        """Make one pass over both tenants."""
        apis = NetServerApis(limits, wire=wire)
        vars(apis)["_tls"] = _tls()  # one of its own would cost more than the rest of the pass
        reconciler = Reconciler(
            store=self.store,
            apis=apis,
            resolver=SecretResolver(environ={}),
            policy=Policy(connections_at_once=self.connections_at_once),
            owner="test",
            now=lambda: self.time,
            rng=Random(1),
        )
        return await reconciler.run(RunOptions(trigger="reconcile", scheduled=scheduled))

    def pass_by(self, **span: int) -> None:
        """Let time go by."""
        self.time += timedelta(**span)

    async def intents(self) -> dict[str, Intent]:
        """Return the open intents of `acme`, by the display name that they sent."""
        (tenant,) = [tenant for tenant in await self.store.tenants() if tenant.name == "acme"]
        return {intent.display_name: intent for intent in await self.store.open_intents(tenant.id)}

    def row(self, key: str, tenant: str = "acme") -> Any:
        (found,) = self.store.list_connections(tenant=tenant, key=key)
        return found

    async def heal(self, *, refused: bool = False) -> None:
        """Lift all faults of the proxy, let time go by, and make the pass that is due."""
        self.proxy.lift()
        if refused:
            sent = len(self.proxy.requests)
            assert ("failed", "unauthorized") == results(await self.run())[None]
            assert sent == len(self.proxy.requests)
            self.store.resume_tenant("acme")
        self.pass_by(hours=1)
        await self.run(scheduled=True)

    def is_as_described(self, description: str = "") -> bool:
        """Say whether every connection exists exactly once, as it was described, and is known to."""
        wanted = Counter({(BY_HAND, ""): 1} | {(name_of(key), description): 1 for key in KEYS})
        return wanted == self.there() and {"in_sync"} == set(self.states().values())

    def states(self) -> dict[str, str]:
        return {view.key: str(view.state) for view in self.store.list_connections()}

    def there(self, tenant: str = "acme") -> Counter[tuple[str, str]]:
        """Return what really stands in a tenant: how often each name with each description."""
        rows = self.sandbox.tenant(tenant).connections.values()
        return Counter((row.display_name, row.display_description) for row in rows if not row.deleted)

    def has(self, key: str) -> bool:
        """Say whether a connection really stands in `acme`."""
        return any(name == name_of(key) for name, _ in self.there())

    def saves(self, key: str) -> int:
        """Return how often SaveConnection was sent for a connection of `acme`."""
        return len(self.proxy.made(SAVE, name_of(key)))


_tls = cache(tls_context)


def sandbox_server() -> SandboxServer:
    """Return a sandbox that knows the tenants of `factories`."""
    server = SandboxServer(open_tenants=True, defaults=SandboxTenant(users={"sync": "tenant password"}))
    for name in ("acme", "other"):
        server.tenant(name).add(display_name=BY_HAND)
    return server


def name_of(key: str) -> str:
    return f"Name of {key}"


def results(report: RunReport) -> dict[str | None, tuple[str, str | None]]:
    """Return status and error class of each connection; None is for what is not about one."""
    return {
        outcome.key: (str(outcome.status), outcome.error_class)
        for tenant in report.tenants
        for outcome in tenant.outcomes
    }
