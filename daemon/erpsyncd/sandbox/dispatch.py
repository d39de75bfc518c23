"""From an address to an answer: finds the tenant and the protocol, keeps the journal, lets faults happen."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from erpsyncd.sandbox import rest, soap, states
from erpsyncd.sandbox.contract import AGENTS, Operation
from erpsyncd.sandbox.faults import Action, Answer, Drop, Faults, Hang, Raise, When
from erpsyncd.sandbox.journal import Call, Journal
from erpsyncd.sandbox.messages import Hangup, Reply, Request, html_reply, json_reply
from erpsyncd.sandbox.options import SandboxTenant
from erpsyncd.sandbox.problems import Problem
from erpsyncd.sandbox.tenant import TenantState

Hook = Callable[[Call], Action | None]
"""Called with a call; may block, and may return what is to go wrong with it."""

_SOAP = re.compile(r"/(?P<tenant>[^/]+)/Remote/Services(?P<services>\d{1,4})/(?P<agent>\w+)\.svc", re.IGNORECASE)
_REST = re.compile(r"/(?P<tenant>[^/]+)/api/v1/Agents/(?P<agent>\w+)/(?P<operation>\w+)/?", re.IGNORECASE)
_LIST = re.compile(r"/(?P<tenant>[^/]+)/api/v1/MDOList/(?P<name>\w+)/?", re.IGNORECASE)
_VERSION = re.compile(r"/(?P<tenant>[^/]+)/api/?", re.IGNORECASE)
RESERVED = "_sandbox"


class _CutShort(Exception):
    """An action ends the call here."""

    def __init__(self, outcome: Reply | Hangup) -> None:
        super().__init__()
        self.outcome = outcome


class Tenants:
    """The tenants of a server by lower case name; an open house makes the missing ones."""

    def __init__(
        self,
        configured: Mapping[str, SandboxTenant],
        *,
        open_house: SandboxTenant | None,
        seed: int,
        clock: Callable[[], float],
    ) -> None:
        self._open_house = open_house
        self._seed = seed
        self._clock = clock
        self._lock = threading.Lock()
        self._states = {name.lower(): self._new(name.lower(), options) for name, options in configured.items()}
        if RESERVED in self._states:
            raise ValueError(f"no tenant can be called {RESERVED}")

    def find(self, name: str) -> TenantState | None:
        """Return a tenant; in an open house every name is one."""
        name = name.lower()
        with self._lock:
            state = self._states.get(name)
            if state is None and self._open_house is not None and name != RESERVED:
                state = self._states[name] = self._new(name, self._open_house)
            return state

    def all(self) -> list[TenantState]:
        """Return all tenants by name."""
        with self._lock:
            return [state for _, state in sorted(self._states.items())]

    def _new(self, name: str, options: SandboxTenant) -> TenantState:
        return TenantState(name, options, seed=self._seed, clock=self._clock)


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """Everything a request meets behind the HTTP layer."""

    tenants: Tenants
    journal: Journal
    faults: Faults
    base_url: str = ""
    before_call: Hook | None = None
    after_call: Hook | None = None

    def tenant_of(self, path: str) -> str | None:
        """Return the lower case tenant that a path belongs to, if it is an address of this sandbox."""
        found = (address.fullmatch(path) for address in (_SOAP, _REST, _LIST, _VERSION, states.STATE_PATH))
        return next((match["tenant"].lower() for match in found if match), None)

    def answer(self, request: Request) -> Reply | Hangup:
        """Answer one request."""
        if match := _SOAP.fullmatch(request.path):
            return self._answer_soap(request, match)
        if match := _REST.fullmatch(request.path):
            return self._answer_rest(request, match)
        if match := states.STATE_PATH.fullmatch(request.path):
            return self._answer_state(request, match["tenant"])
        if match := _LIST.fullmatch(request.path):
            return self._answer_list(request, match)
        match = _VERSION.fullmatch(request.path)
        if match and self.tenants.find(match["tenant"]):
            return self._answer_version(request, match["tenant"])
        return html_reply(404, "File or directory not found.")

    def _answer_soap(self, request: Request, match: re.Match[str]) -> Reply | Hangup:
        tenant, services = self.tenants.find(match["tenant"]), int(match["services"])
        agent = AGENTS.get(match["agent"].lower())
        if tenant is None or agent is None or services not in tenant.options.services:
            return html_reply(404, "File or directory not found.")
        call = _call(tenant, request, services=services, agent=agent, operation=soap.action_operation(request))
        course = _Course(dispatcher=self, tenant=tenant, call=call)
        return course.run(
            lambda: (
                states.turned_away(tenant.options.online, request)
                or soap.answer(tenant, request, services, agent, course.work)
            )
        )

    def _answer_rest(self, request: Request, match: re.Match[str]) -> Reply | Hangup:
        tenant = self.tenants.find(match["tenant"])
        if tenant is None:
            return html_reply(404, "File or directory not found.")
        agent = AGENTS.get(match["agent"].lower(), match["agent"])
        operation = rest.find_operation(agent, match["operation"])
        name = operation.name if operation else match["operation"]
        call = _call(tenant, request, services=None, agent=agent, operation=name)
        course = _Course(dispatcher=self, tenant=tenant, call=call)
        return course.run(
            lambda: (
                states.turned_away(tenant.options.online, request)
                or rest.answer(tenant, request, operation, course.work)
            )
        )

    def _answer_state(self, request: Request, name: str) -> Reply | Hangup:
        tenant = self.tenants.find(name)
        if tenant is None:
            return json_reply({"Message": f"No tenant {name} is known."}, 404)
        call = _call(tenant, request, services=None, agent="State", operation=states.OPERATION)
        course = _Course(dispatcher=self, tenant=tenant, call=call)
        return course.run(
            lambda: states.state_reply(tenant.options.online, request, asked_for=name, base_url=self.base_url)
        )

    def _answer_list(self, request: Request, match: re.Match[str]) -> Reply | Hangup:
        tenant = self.tenants.find(match["tenant"])
        if tenant is None or not tenant.options.list_addresses:
            return html_reply(404, "File or directory not found.")
        call = _call(tenant, request, services=None, agent="MDO", operation="GetList")
        course = _Course(dispatcher=self, tenant=tenant, call=call)
        return course.run(
            lambda: (
                states.turned_away(tenant.options.online, request)
                or rest.answer_list(tenant, request, match["name"], course.work)
            )
        )

    def _answer_version(self, request: Request, tenant: str) -> Reply:
        """Answer `GET {api}`, which needs no login and is a page for people unless JSON is asked for."""
        if request.method != "GET":
            return json_reply({"Message": "The requested resource does not support this method."}, 405, Allow="GET")
        if not request.accepts("application/json", "text/json"):
            return html_reply(200, "SuperOffice NetServer WebAPI")
        members = {"NetServerVersion": "8.8.0.0", "Services": "Services87", "ServicesCurrent": "Services88"}
        return json_reply({**members, "v1": f"{self.base_url}/{tenant}/api/v1"})


@dataclass(slots=True, kw_only=True)
class _Course:
    """One call on its way through journal, faults and work."""

    dispatcher: Dispatcher
    tenant: TenantState
    call: Call
    later: list[Action] = field(default_factory=list)
    """What is to happen once the work is done."""

    def run(self, answer: Callable[[], Reply]) -> Reply | Hangup:
        """Take the call through; it is in the journal before its answer leaves."""
        self.call = self.dispatcher.journal.begin(self.call)
        outcome: Reply | Hangup = Hangup()
        try:
            self._meet(self.dispatcher.before_call(self.call) if self.dispatcher.before_call else None)
            self._meet(self.dispatcher.faults.action_for(self.call, read=False))
            outcome = answer()
            for action in self.later:
                self._act(action)
        except _CutShort as cut:
            outcome = cut.outcome
        finally:
            self.dispatcher.journal.end(self.call, outcome.status if isinstance(outcome, Reply) else 0)
        return outcome

    def work(self, operation: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry an operation out, unless something is to go wrong before that."""
        self._note(erp_connection_id=_erp_connection_id(arguments))
        self._meet(self.dispatcher.faults.action_for(self.call, read=True))
        self._raise(When.BEFORE)
        try:
            values = self.tenant.perform(operation.name, arguments)
            self._note(erp_connection_id=_erp_connection_id(values), worked=True)
        finally:
            hook = self.dispatcher.after_call
            if hook and (action := hook(self.call)):
                self.later.append(action)
        self._raise(When.AFTER)
        return values

    def _note(self, *, erp_connection_id: int | None, worked: bool | None = None) -> None:
        noted = self.dispatcher.journal.note(self.call.number, erp_connection_id=erp_connection_id, worked=worked)
        self.call = noted or self.call

    def _meet(self, action: Action | None) -> None:
        """Act now, or keep for later what belongs behind the work."""
        if action is None:
            return
        if isinstance(action, Raise) or action.when is When.AFTER:
            self.later.append(action)
        else:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case Answer():
                raise _CutShort(
                    Reply(status=action.status, body=action.body, headers=action.headers, cut_after=action.cut_after)
                )
            case Drop():
                raise _CutShort(Hangup(reset=action.reset))
            case Hang():
                self.dispatcher.faults.hang(action)
            case Raise():
                """Raised where the work is, or nowhere: a call that was turned away did not get that far."""

    def _raise(self, when: When) -> None:
        for action in self.later:
            if isinstance(action, Raise) and action.when is when:
                raise Problem(action.exception_type, action.message)


def _time_zone(request: Request, services: int | None) -> str:
    return request.header("so-timezone") if services is None else soap.time_zone_of(request, services)


def _call(tenant: TenantState, request: Request, *, services: int | None, agent: str, operation: str) -> Call:
    return Call(
        number=0,
        tenant=tenant.name,
        protocol="rest" if services is None else "soap",
        services=services,
        agent=agent,
        operation=operation,
        at=0.0,
        connection=request.connection,
        open_connections=request.open_connections,
        running=0,
        language=request.header("so-language") or request.header("accept-language"),
        time_zone=_time_zone(request, services),
    )


def _erp_connection_id(values: Mapping[str, Any]) -> int | None:
    """Return what a request or a reply is about; 0 is a connection that is yet to be created."""
    carrier = values.get("Connection") or values.get("Response")
    identity = carrier.get("ErpConnectionId") if isinstance(carrier, dict) else values.get("ErpConnectionId")
    return identity if isinstance(identity, int) else None
