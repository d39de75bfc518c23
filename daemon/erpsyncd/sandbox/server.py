"""The sandbox as one object: tenants, journal, faults and the listening socket."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from erpsyncd.sandbox import control
from erpsyncd.sandbox.dispatch import Dispatcher, Hook, Tenants
from erpsyncd.sandbox.doors import Doors
from erpsyncd.sandbox.faults import Faults, Rule
from erpsyncd.sandbox.journal import Call, Journal, Peaks
from erpsyncd.sandbox.messages import Hangup, Reply, Request
from erpsyncd.sandbox.online_login import LoginService
from erpsyncd.sandbox.options import SandboxTenant
from erpsyncd.sandbox.sockets import Server
from erpsyncd.sandbox.tenant import TenantState

_POLL_SECONDS = 0.01  # how long close() may have to wait for the accepting thread


class SandboxServer:
    """A stand-in NetServer that serves from `__enter__` (or `start`) until `__exit__` (or `close`).

    *tenants* are the installations by the name in their address. With *open_tenants* any other name becomes
    one on first use, with the options of *defaults*. Port 0 takes a free one. *clock* (seconds, monotonic)
    decides when tickets expire and what a second of the journal is. The same *seed* repeats GUIDs and tickets.
    """

    def __init__(
        self,
        *,
        tenants: Mapping[str, SandboxTenant] | None = None,
        open_tenants: bool = False,
        defaults: SandboxTenant | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._family = loopback_family(host)
        self._address = (host, port)
        self._journal = Journal(clock=clock)
        self.faults = Faults()
        house = (defaults or SandboxTenant()) if open_tenants else None
        self._dispatcher = Dispatcher(
            tenants=Tenants(tenants or {}, open_house=house, seed=seed, clock=clock),
            journal=self._journal,
            faults=self.faults,
        )
        self.login = LoginService(self._dispatcher.tenants.find)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._doors = Doors(self._family, self._answer, self._dispatcher.tenant_of)

    # Life.

    def start(self) -> Self:
        """Bind and serve in a thread of its own; raises OSError where the port is taken."""
        self._server = Server(self._address, self._family, self._answer, self._dispatcher.tenant_of)
        self._dispatcher.base_url = self.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="sandbox", daemon=True
        )
        self._thread.start()
        return self

    def wait(self) -> None:
        """Block until `close`, or until a signal handler raises (as Ctrl-C does)."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop listening, let go what hangs, close every connection. Closing twice is no error."""
        if self._server is None or self._thread is None:
            return
        self.faults.close()
        self._doors.close_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.connections.close_all()
        self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Addresses.

    @property
    def port(self) -> int:
        """The port in use."""
        if self._server is None:
            raise RuntimeError("the sandbox is not running")
        return self._server.server_port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        host = f"[{self._address[0]}]" if self._family is socket.AF_INET6 else self._address[0]
        return f"http://{host}:{self.port}"

    def tenant_url(self, name: str) -> str:
        """Return the address of one tenant."""
        return f"{self.url}/{name}"

    def open_door(self) -> str:
        """Listen at one more port, too, and return its base URL: tenants can move there, see `SandboxState`."""
        return self._doors.open(self._address[0])

    def close_door(self, url: str) -> None:
        """Stop listening there: connections are refused from now on."""
        self._doors.close(url)

    # What tests ask and change.

    def tenant(self, name: str) -> TenantState:
        """Return a tenant's state; with open tenants it is made where it is new. Raises KeyError."""
        state = self._dispatcher.tenants.find(name)
        if state is None:
            raise KeyError(name)
        return state

    def state(self) -> dict[str, Any]:
        """Return what `GET /_sandbox/state` answers."""
        return control.state(self._dispatcher)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call so far, oldest first; running ones have no `http_status` yet."""
        return self._journal.calls()

    def calls_of(self, tenant: str, operation: str | None = None) -> tuple[Call, ...]:
        """Return the calls of one tenant, of one operation where it is named."""
        return self._journal.calls(tenant.lower(), operation)

    def saves(self, tenant: str) -> tuple[Call, ...]:
        """Return the SaveConnection calls of a tenant; `worked` tells which of them were carried out."""
        return self.calls_of(tenant, "SaveConnection")

    def counts(self, tenant: str) -> dict[str, int]:
        """Return how often each operation was called."""
        return self._journal.counts(tenant.lower())

    def peaks(self, tenant: str) -> Peaks:
        """Return the most calls per second, running calls and open connections that a tenant saw."""
        return self._journal.peaks(tenant.lower())

    def add_faults(self, *rules: Rule) -> None:
        """Put fault rules into force."""
        self.faults.add(*rules)

    @property
    def before_call(self) -> Hook | None:
        """Called when a call arrives; may block, and may return an action."""
        return self._dispatcher.before_call

    @before_call.setter
    def before_call(self, hook: Hook | None) -> None:
        self._dispatcher.before_call = hook

    @property
    def after_call(self) -> Hook | None:
        """Called when the work is done, before the answer leaves; may block, and may return an action."""
        return self._dispatcher.after_call

    @after_call.setter
    def after_call(self, hook: Hook | None) -> None:
        self._dispatcher.after_call = hook

    def _answer(self, request: Request) -> Reply | Hangup:
        if (reply := self.login.answer(request)) is not None:
            return reply
        if request.path.startswith(control.PREFIX):
            return control.answer(self._dispatcher, request)
        return self._dispatcher.answer(request)


def loopback_family(host: str) -> socket.AddressFamily:
    """Return the address family of a loopback host; raises ValueError for any other address.

    The sandbox shows config values to whoever asks: it must not be reachable from elsewhere.
    """
    if host == "localhost":
        return socket.AF_INET
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"the sandbox binds loopback addresses only, not {host!r}") from None
    if not address.is_loopback:
        raise ValueError(f"the sandbox binds loopback addresses only, not {host!r}")
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004  # IPv6
