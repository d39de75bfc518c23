"""The port's methods over either protocol: retries, sessions, and what an answer must at least be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from erpsyncd.domain.connections import ErpConnection, ListedConnection
from erpsyncd.domain.lists import ListItem, ListName
from erpsyncd.domain.ports import BeforeSend
from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import MalformedResponse, RemoteError, RemoteFault, RemoteNotFound, Unauthorized
from erpsyncd.netserver.authentication import Session
from erpsyncd.netserver.calls import Endpoint, Exchange, Reply, hiding
from erpsyncd.netserver.failures import NOT_FOUND_FAULT, SessionLost
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.places import Places
from erpsyncd.netserver.retries import carried_out
from erpsyncd.netserver.transport import Transport

T = TypeVar("T")


class Dialect(Protocol):
    """One protocol's way to say each operation."""

    def list_connections(self) -> Exchange[tuple[ListedConnection, ...] | None]:
        """List what is not deleted."""
        ...

    def get_list(self, name: ListName) -> tuple[Exchange[tuple[ListItem, ...] | None], ...]:
        """Read a list of names; each further way is for who does not have the one before."""
        ...

    def get_connection(self, erp_connection_id: int) -> Exchange[ErpConnection | None]:
        """Read one connection."""
        ...

    def save_connection(self, connection: ErpConnection) -> Exchange[ErpConnection | None]:
        """Write one connection."""
        ...

    def delete_connection(self, erp_connection_id: int) -> Exchange[bool]:
        """Delete one connection."""
        ...

    def test_connection_by_config(
        self, erp_connector_id: int, config_fields: Mapping[str, Secret]
    ) -> Exchange[bool | None]:
        """Let a connector try config fields."""
        ...

    def test_connection_by_id(self, erp_connection_id: int) -> Exchange[bool | None]:
        """Let a connector try a connection as it stands."""
        ...

    def has_connections(self) -> Exchange[PluginResponse | None]:
        """Ask for Quote connections."""
        ...

    def connection_startup_errors(self) -> Exchange[tuple[PluginResponse, ...] | None]:
        """Ask why there are none."""
        ...

    def sync_all(self) -> Exchange[PluginResponse | None]:
        """Start the sync engine."""
        ...


class Caller:
    """Performs exchanges on one tenant's transport."""

    def __init__(self, transport: Transport, limits: RemoteLimits, places: Places | None = None) -> None:
        """`places` knows where a tenant of Online is; others are where they are described."""
        self._transport = transport
        self._limits = limits
        self._places = places

    async def perform(self, exchange: Exchange[T], credential: Secret, before_send: BeforeSend | None = None) -> T:
        """Carry out one exchange, again where that helps and cannot harm.

        `before_send` is awaited each time a request is about to leave, when nothing more can hold it up.

        Raises:
            SessionLost: the credential was not accepted.
            RemoteError: the call failed.
        """

        async def attempt() -> T:
            if self._places is not None:
                return await self._places.carry_out(exchange, credential, self._transport.send, before_send)
            call = exchange.write(credential)
            return exchange.read(call, await self._transport.send(call, before_send))

        return await carried_out(attempt, self._limits, repeatable=exchange.repeatable)

    async def fetch(self, endpoint: Endpoint) -> Reply:
        """GET a document, again where that helps; what its status means is for who asks. Raises `RemoteError`."""
        return await carried_out(lambda: self._transport.fetch(endpoint), self._limits, repeatable=True)


class NetServerApi:
    """One tenant, as `erpsyncd.domain.ports.TenantApi` describes it."""

    def __init__(self, dialect: Dialect, session: Session, caller: Caller) -> None:
        self._dialect = dialect
        self._session = session
        self._caller = caller

    async def log_in(self) -> None:
        """Log in now, if that is a call of its own, and not with the first call that needs it."""
        await self._session.credential()

    async def list_connections(self) -> tuple[ListedConnection, ...]:
        """Return every connection that is not deleted; each id once. A list that contradicts itself says nothing."""
        exchange = self._dialect.list_connections()
        found = _present(exchange, await self._run(exchange))
        if any(each.erp_connection_id <= 0 for each in found):
            raise _malformed(exchange, "lists a connection without an id")
        by_id: dict[int, ListedConnection] = {}
        for each in found:
            if by_id.setdefault(each.erp_connection_id, each) != each:
                raise _malformed(exchange, f"lists two different connections as {each.erp_connection_id}")
        return tuple(by_id.values())

    async def get_list(self, name: ListName) -> tuple[ListItem, ...]:
        """Return what a list of the tenant holds, without what is deleted."""
        *others, last = self._dialect.get_list(name)
        for exchange in others:
            try:
                return _present(exchange, await self._run(exchange))
            except RemoteNotFound:
                continue
        return _present(last, await self._run(last))

    async def get_connection(self, erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> ErpConnection | None:
        """Return one connection; None when the tenant says it has none, or says nothing."""
        exchange = hiding(self._dialect.get_connection(erp_connection_id), hidden)
        try:
            found = await self._run(exchange)
        except RemoteFault as fault:
            if fault.exception_type == NOT_FOUND_FAULT:
                return None
            raise
        if found is None or found.erp_connection_id <= 0:  # an empty entity is how some agents say "none"
            return None
        if found.erp_connection_id != erp_connection_id:
            raise _malformed(exchange, f"was asked for {erp_connection_id} and answered {found.erp_connection_id}")
        return found

    async def save_connection(
        self, connection: ErpConnection, before_send: BeforeSend | None = None, hidden: tuple[Secret, ...] = ()
    ) -> ErpConnection:
        """Create or replace a connection and return it as saved. NetServer makes the GUID and the cursor."""
        creates = connection.erp_connection_id == 0
        if creates and (connection.connection_id or connection.most_recent_timestamp):
            connection = replace(connection, connection_id="", most_recent_timestamp="")
        exchange = hiding(self._dialect.save_connection(connection), hidden)
        saved = _present(exchange, await self._run(exchange, before_send))
        if creates and saved.erp_connection_id <= 0:
            raise _malformed(exchange, "created a connection without an id")
        if not creates and saved.erp_connection_id != connection.erp_connection_id:
            raise _malformed(exchange, f"saved {saved.erp_connection_id} and not {connection.erp_connection_id}")
        return saved

    async def delete_connection(self, erp_connection_id: int, before_send: BeforeSend | None = None) -> None:
        """Delete a connection; an answer that cannot be read counts if the connection is gone afterwards."""
        try:
            await self._run(self._dialect.delete_connection(erp_connection_id), before_send)
        except MalformedResponse:
            if not await self._is_gone(erp_connection_id):
                raise

    async def _is_gone(self, erp_connection_id: int) -> bool:
        try:
            found = await self.get_connection(erp_connection_id)
        except (RemoteError, Unauthorized):
            return False
        return found is None or found.deleted

    async def test_connection_by_config(
        self, erp_connector_id: int, config_fields: Mapping[str, Secret], hidden: tuple[Secret, ...] = ()
    ) -> bool:
        """Let a connector try config fields; False is its "no"."""
        exchange = hiding(self._dialect.test_connection_by_config(erp_connector_id, config_fields), hidden)
        return _present(exchange, await self._run(exchange))

    async def test_connection_by_id(self, erp_connection_id: int, hidden: tuple[Secret, ...] = ()) -> bool:
        """Let a connector try a connection as it stands; False is its "no"."""
        exchange = hiding(self._dialect.test_connection_by_id(erp_connection_id), hidden)
        return _present(exchange, await self._run(exchange))

    async def has_connections(self, hidden: tuple[Secret, ...] = ()) -> PluginResponse:
        """Ask whether this user has Quote connections."""
        exchange = hiding(self._dialect.has_connections(), hidden)
        return _present(exchange, await self._run(exchange))

    async def connection_startup_errors(self, hidden: tuple[Secret, ...] = ()) -> tuple[PluginResponse, ...]:
        """Ask what every Quote connection said that could not be initialised."""
        exchange = hiding(self._dialect.connection_startup_errors(), hidden)
        return _present(exchange, await self._run(exchange))

    async def sync_all(self, before_send: BeforeSend | None = None, hidden: tuple[Secret, ...] = ()) -> PluginResponse:
        """Let the sync engine work on all active connections."""
        exchange = hiding(self._dialect.sync_all(), hidden)
        return _present(exchange, await self._run(exchange, before_send))

    async def _run(self, exchange: Exchange[T], before_send: BeforeSend | None = None) -> T:
        """Perform an exchange; once more with a fresh credential if the first one was not accepted."""
        credential = await self._session.credential()
        try:
            return await self._caller.perform(exchange, credential, before_send)
        except SessionLost as lost:
            credential = await self._session.renew(lost, credential)
        try:
            return await self._caller.perform(exchange, credential, before_send)
        except SessionLost as lost:
            raise self._session.give_up(lost) from lost


def _present(exchange: Exchange[T | None], result: T | None) -> T:
    if result is None:
        raise _malformed(exchange, "answered with nothing")
    return result


def _malformed(exchange: Exchange[T], what: str) -> MalformedResponse:
    return MalformedResponse(exchange.endpoint.operation, f"{exchange.endpoint.where} {what}")
