"""One call as it goes out and as it comes back, before anybody knows what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import LOGIN_OPERATIONS
from erpsyncd.netserver.certificates import Certificate

T = TypeVar("T")

LOGIN_OPERATION = "AuthenticateUsernamePassword"
#: The operations that change nothing in the tenant; a dry run's transport passes no others.
READING_OPERATIONS = LOGIN_OPERATIONS | {
    "GetConnection",
    "GetAllConnections",
    "GetList",
    "HasConnections",
    "GetConnectionStartupErrors",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one operation of one agent is served."""

    agent: str
    operation: str
    url: str
    advice: str
    """Which settings to look at when nothing is served there, as the end of a sentence."""

    where: str = field(init=False)
    """Host, port and path of the address, for messages."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        object.__setattr__(self, "where", f"{parts.netloc.rpartition('@')[2]}{parts.path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, ready to be sent. Its headers and body hold secrets."""

    endpoint: Endpoint
    headers: Mapping[str, str] = field(repr=False)
    method: str = "POST"
    """GET where REST has something to read at an address of its own: it runs no operation of an agent."""

    body: bytes = field(default=b"", repr=False)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    """What must not come back in a message, should the tenant repeat it to us."""

    @property
    def wire_operation(self) -> str:
        """The operation that the other side will carry out: of the SOAPAction header, else of the address."""
        return self.headers.get("SOAPAction", self.endpoint.url).strip('"').rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer: its status, the headers that matter, and its whole body."""

    status: int
    content_type: str = ""
    retry_after: float | None = None
    """Seconds that the other side asked us to wait."""

    redirect_host: str = ""
    """The host that a redirection points at; never its path or query."""

    date: datetime | None = None
    """The other side's clock (Date), as it says so itself."""

    certificate: Certificate | None = None
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Generic[T]):
    """One operation with its arguments: how its request is written and how its reply is read."""

    endpoint: Endpoint
    repeatable: bool
    """Whether a second attempt does no harm, whatever became of the first."""

    write: Callable[[Secret], Call]
    """Takes the session's credential. May raise `RemoteRejected` with effect `never_sent`."""

    read: Callable[[Call, Reply], T]
    """Raises `RemoteError`, or `SessionLost` when the session is not (or no longer) accepted."""


def hiding(exchange: Exchange[T], secrets: tuple[Secret, ...]) -> Exchange[T]:
    """Return the exchange with more secrets that must not come back in a message, though they are not sent."""

    def write(credential: Secret) -> Call:
        call = exchange.write(credential)
        return replace(call, secrets=(*call.secrets, *secrets))

    return replace(exchange, write=write) if secrets else exchange
