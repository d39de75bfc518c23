"""A sandbox that knows which process a call comes from, and that can be waited for."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from commands import PATIENCE
from erpsyncd.sandbox import Action, Call, SandboxServer
from erpsyncd.sandbox.messages import Hangup, Reply, Request

WRITES = ("SaveConnection", "DeleteConnection")


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """A call, and who made it."""

    pid: int
    """The process id in the User-Agent; 0 where there is none."""

    call: Call
    """As it was when it arrived."""


class WatchedSandbox(SandboxServer):
    """A stand-in NetServer. `attributed` has every call of a signed process (`torture.doomed`)."""

    def __init__(self) -> None:
        super().__init__(open_tenants=True)
        self.attributed: list[Attributed] = []
        self.at_arrival: Callable[[Call], Action | None] | None = None
        """As `before_call`, which is taken."""

        self.at_work: Callable[[Call], Action | None] | None = None
        """As `after_call`, which is taken."""

        self._here = threading.local()
        self._work_done = threading.Condition()
        self._worked: set[int] = set()
        self.before_call, self.after_call = self._arrives, self._works

    def when_quiet(self) -> None:
        """Return once everything that dead clients sent was worked on and their connections are closed."""
        # Connections are accepted in the order they came: ours is behind all that dead clients have opened.
        with urllib.request.urlopen(f"{self.url}/_sandbox/state?tenant=none", timeout=PATIENCE) as answer:
            answer.read()
        assert self._server is not None
        connections = self._server.connections
        with connections._changed:
            assert connections._changed.wait_for(lambda: not connections._tenants, PATIENCE)

    def when_worked(self, call: Call) -> None:
        """Return once a call that has arrived was carried out."""
        with self._work_done:
            assert self._work_done.wait_for(lambda: call.number in self._worked, PATIENCE)

    def key_of(self, call: Call) -> str:
        """Return the key of the connection that a write is about; empty where nothing was found out about it."""
        row = self.tenant(call.tenant).connections.get(call.erp_connection_id or 0)
        return row.config_fields["Client"] if row else ""

    def worked_writes(self, *, after: int = 0) -> list[tuple[str, str]]:
        """Return tenant and key of each write that was carried out, of those with a higher number than `after`."""
        return [
            (call.tenant, self.key_of(call))
            for call in self.calls
            if call.number > after and call.operation in WRITES and call.worked
        ]

    def caller(self) -> int:
        """Return the process whose call is being answered in this thread."""
        pid: int = self._here.pid
        return pid

    def _arrives(self, call: Call) -> Action | None:
        self.attributed.append(Attributed(pid=self.caller(), call=call))
        return self.at_arrival(call) if self.at_arrival else None

    def _works(self, call: Call) -> Action | None:
        with self._work_done:
            self._worked.add(call.number)
            self._work_done.notify_all()
        return self.at_work(call) if self.at_work else None

    def _answer(self, request: Request) -> Reply | Hangup:
        _, _, signature = request.headers.get("user-agent", "").partition("+")
        self._here.pid = int(signature or 0)
        return super()._answer(request)
