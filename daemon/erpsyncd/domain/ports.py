"""What the service needs from the outside: a tenant's API and the store.

Their adapters stand in `netserver/` and `store/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

from erpsyncd.domain.state_ports import TenantStates, Whereabouts
from erpsyncd.domain.store_ports import LookStore, NameStore

if TYPE_CHECKING:
    from erpsyncd.domain.careful import Snapshot, Step
    from erpsyncd.domain.connections import ErpConnection, ListedConnection, Owned, StoredConnection
    from erpsyncd.domain.documents import Document
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.intents import Intent, Lease, Moment
    from erpsyncd.domain.lists import ListItem, ListName
    from erpsyncd.domain.proxies import Proxy
    from erpsyncd.domain.results import ChangeKind, Check, Outcome, PluginResponse, RunReport, Verdict
    from erpsyncd.domain.secrets import Reference, Secret
    from erpsyncd.domain.sessions import KeptSession, SessionMemory
    from erpsyncd.domain.tenant_states import ReportedState
    from erpsyncd.domain.tenants import Credentials, Tenant, TenantId, TenantSpec

StillAllowed: TypeAlias = Callable[[], bool]
"""Asked when the first byte of a request is about to leave; after False nothing is sent."""

BeforeSend: TypeAlias = Callable[[], Awaitable[StillAllowed]]
"""Awaited each time a writing request is about to leave: after any login, and after the wait for its turn.

What it raises goes through, and nothing is sent.
"""


class TenantApi(Protocol):
    """One tenant, spoken to over its protocol.

    Every method raises `RemoteError` for a failed call and `Unauthorized` when the credentials are refused.
    Logging in, renewing a lost session once, the rate limit, deadlines and retries are the adapter's.
    """

    async def list_connections(self) -> tuple[ListedConnection, ...]:
        """Return every connection that is not deleted, without config fields."""
        ...

    async def get_list(self, name: ListName) -> tuple[ListItem, ...]:
        """Return what a list holds, headings and deleted items left out; an id may stand there twice."""
        ...

    async def get_connection(self, erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> ErpConnection | None:
        """Return one connection with its config fields; None when the tenant says it has none, or says nothing.

        No message repeats what is `hidden`, should the tenant quote it.
        """
        ...

    async def save_connection(
        self, connection: ErpConnection, before_send: BeforeSend, hidden: tuple[Secret, ...] = ()
    ) -> ErpConnection:
        """Create (`erp_connection_id` 0, `connection_id` empty) or replace a connection; return it as saved.

        Never repeated after an uncertain attempt. `hidden` is for values that the tenant has heard before, beside
        those that are sent.
        """
        ...

    async def delete_connection(self, erp_connection_id: int, before_send: BeforeSend) -> None:
        """Delete a connection; `before_send` as for a save."""
        ...

    async def test_connection_by_config(
        self, erp_connector_id: int, config_fields: Mapping[str, Secret], hidden: tuple[Secret, ...] = ()
    ) -> bool:
        """Let a connector try config fields before anything is saved; False is a "no", not an error.

        It writes nothing, but it calls the external connector: a dry run's client refuses it.
        """
        ...

    async def test_connection_by_id(self, erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> bool:
        """Let a connector try a connection as it stands in the tenant, active or not; `hidden` as for a read."""
        ...

    async def has_connections(self, hidden: tuple[Secret, ...] = ()) -> PluginResponse:
        """Ask whether this user has Quote connections; `is_ok` false is a "no", not an error.

        Neither the answer nor a message repeats what is `hidden`, should the tenant quote it.
        """
        ...

    async def connection_startup_errors(self, hidden: tuple[Secret, ...] = ()) -> tuple[PluginResponse, ...]:
        """Ask what each Quote connection said that could not be initialised; `hidden` as for `has_connections`."""
        ...

    async def sync_all(self, before_send: BeforeSend, hidden: tuple[Secret, ...] = ()) -> PluginResponse:
        """Let the tenant's sync engine work on all active connections; `before_send` as for a save.

        Never repeated after an uncertain attempt; `hidden` as for `has_connections`.
        """
        ...


class TenantApis(TenantStates, Protocol):
    """Opens tenants."""

    def open(
        self,
        tenant: TenantSpec,
        credentials: Credentials,
        *,
        proxy: Proxy | None = None,
        read_only: bool = False,
        whereabouts: Whereabouts | None = None,
        memory: SessionMemory | None = None,
    ) -> AbstractAsyncContextManager[TenantApi]:
        """Return a client for one pass. Nothing is sent before its first call; read-only ones cannot write.

        With `whereabouts`, calls go where the tenant is at any time, and raise `TenantNotRunning` once it does not
        run. A session in `memory` is used before anybody logs in anew; what became of it stands there afterwards.
        Entering it raises `ConfigurationError` where address, certificates or proxy cannot be used.
        """
        ...


class Progress(Protocol):
    """Is told how a run goes on, for somebody who watches it."""

    def run_started(self, tenants: int) -> None:
        """So many tenants will be visited."""
        ...

    def tenant_started(self, tenant: str) -> None:
        """A tenant's pass begins."""
        ...

    def connections_due(self, tenant: str, count: int) -> None:
        """So many of its connections will be worked on."""
        ...

    def outcome_reported(self, outcome: Outcome) -> None:
        """This became of a connection, or of a whole tenant."""
        ...

    def tenant_finished(self, tenant: str) -> None:
        """A tenant's pass ended."""
        ...


class PassStore(NameStore, LookStore, Protocol):
    """The store as a pass sees it. Methods that take a lease raise `LeaseLost` when its fence is not current.

    Each method is one short transaction off the event loop; it returns after its commit. All of them may
    raise `StoreError`.
    """

    @property
    def fingerprinter(self) -> Fingerprinter:
        """The store's own fingerprint key, at work."""
        ...

    async def start_run(self, *, trigger: str, dry_run: bool, started_at: datetime) -> int:
        """Record that a run began; one that never ends is visible as such."""
        ...

    async def finish_run(self, report: RunReport, *, finished_at: datetime) -> None:
        """Record how a run ended."""
        ...

    async def tenants(self) -> tuple[Tenant, ...]:
        """Return all tenants by name."""
        ...

    async def claim(self, tenant_id: TenantId, *, owner: str, now: datetime, seconds: float) -> Lease | None:
        """Lease a tenant, or None when another owner's lease on it has not run out."""
        ...

    async def renew(self, lease: Lease, *, now: datetime, seconds: float) -> None:
        """Extend a lease."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease back; a lost one is no error here."""
        ...

    async def remember_tenant(
        self,
        lease: Lease,
        *,
        refused_auth: str | None,
        parked_until: datetime | None,
        transient_failures: int,
    ) -> None:
        """Record what the pass learned about the tenant as a whole."""
        ...

    async def remember_state(self, lease: Lease, state: ReportedState, *, at: datetime) -> None:
        """Record how the vendor says that the tenant is; what waits in one that does not run becomes `parked`."""
        ...

    async def remember_session(self, lease: Lease, kept: KeptSession | None) -> None:
        """Keep the tenant's session for the next pass, sealed; or forget it."""
        ...

    async def references(self, tenant_id: TenantId) -> Mapping[Reference, str | None]:
        """Return each distinct reference of the tenant's connections with its last known fingerprint."""
        ...

    async def record_references(
        self, lease: Lease, *, resolved: Mapping[Reference, str], missing: frozenset[Reference]
    ) -> int:
        """Record fingerprints; make due what uses a changed or missing reference. Return how many became due."""
        ...

    async def due_connections(
        self,
        tenant_id: TenantId,
        *,
        now: datetime,
        longest_backoff: timedelta | None,
        using: frozenset[Reference] = frozenset(),
    ) -> tuple[StoredConnection, ...]:
        """Return the connections that a pass has to work on, by key.

        Those are `pending`, `in_flight` and `parked`; `failed`, `missing` and `replaced`; plus, for a dry run that
        may not write, all that use one of the `using` references. With `longest_backoff`, what failed is due past
        its `next_attempt_at` only, unless that is further away than any wait can be: a clock was wrong then.
        """
        ...

    async def connections_by_row_id(self, tenant_id: TenantId, ids: frozenset[int]) -> tuple[StoredConnection, ...]:
        """Return these connections whatever their state; unknown ids are left out."""
        ...

    async def owned_ids(self, tenant_id: TenantId) -> Owned:
        """Return the `erp_connection_id` of everything in the store that is not `deleted`, with its GUIDs."""
        ...

    async def in_sync_count(self, tenant_id: TenantId) -> int:
        """Return how many of the tenant's connections are in sync."""
        ...

    async def open_intents(self, tenant_id: TenantId) -> tuple[Intent, ...]:
        """Return the intents that nobody settled, oldest first."""
        ...

    async def open_intent(
        self,
        lease: Lease,
        *,
        run_id: int,
        connection: StoredConnection,
        kind: ChangeKind,
        seen: frozenset[int],
        sent: Moment,
        step: Step | None = None,
        snapshot: Snapshot | None = None,
    ) -> int:
        """Record that a write call is about to be made; the connection becomes `in_flight`. Return the intent's id.

        Raises `NotTried` when the connection was removed, or is wanted absent instead of present or the other
        way round, since it was read: nothing may be sent for it.
        """
        ...

    async def resend_intent(self, lease: Lease, intent_id: int, *, sent: Moment, step: Step | None = None) -> None:
        """Record that the call of an open intent is about to be made again, or that its time cannot be right.

        Of a careful save it may be the next step that is about to be made.
        """
        ...

    async def settle(
        self,
        lease: Lease,
        *,
        run_id: int,
        connection: StoredConnection,
        verdict: Verdict,
        outcome: Outcome | None,
        intent_id: int | None = None,
        at: datetime,
    ) -> None:
        """Record what became of a connection: its row, the outcome (if any), and the end of an intent.

        Where the desired side was changed since `connection` was read, the row becomes `pending` instead of
        the verdict's state; the rest is recorded as it is.
        """
        ...

    async def adopt(self, lease: Lease, document: Document, verdict: Verdict, *, at: datetime) -> None:
        """Put a document with one connection of the tenant into the store, and record a verdict on it: both or neither.

        Raises `ConfigurationError` for one that cannot stand there.
        """
        ...

    async def record_check(self, lease: Lease, *, run_id: int, check: Check) -> bool:
        """Record an answer and its changed records. Equal ones in a row are one row; return whether it is a new one."""
        ...

    async def sync_all_is_due(self, tenant_id: TenantId) -> bool:
        """Say whether something was saved in a tenant with `sync_all_after_save`, and no SyncAll was sent since."""
        ...

    async def owe_sync_all(self, lease: Lease, *, due: bool) -> None:
        """Record that a SyncAll is about to be sent, or that one was not sent after all and is still due."""
        ...
