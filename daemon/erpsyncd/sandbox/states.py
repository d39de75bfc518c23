"""Tenant states: what `GET /api/state/CustNNNNN` says, and what becomes of calls that meet it (Online only)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from erpsyncd.sandbox.messages import Reply, Request, html_reply, json_reply

STATE_PATH = re.compile(r"/api/state/(?P<tenant>[^/]+)/?", re.IGNORECASE)
#: How the journal calls a question for the state.
OPERATION = "GetState"
RUNNING_WORDS = frozenset({"Running", "OnlineMaintenance"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxState:
    """What is said of one tenant, and whether its services are there. Changed by `TenantState.configure(online=…)`."""

    state: str | int = "Running"
    """The vendor's word or number; any other is passed on as it is."""

    is_running: bool | None = None
    """None lets the word decide. What does not run answers every call with 503 and a page."""

    valid_seconds: float | None = 600.0
    """How far `ValidUntil` is ahead of each answer; None leaves it out."""

    valid_until: str | None = None
    """`ValidUntil` as it is written, instead."""

    address: str | None = None
    """Base URL where the tenant lives, of those that the sandbox listens at; None is all of them.

    Calls that come by another one are answered with 421.
    """

    endpoint: str | None = None
    """What is said as Endpoint, whatever is true; None says `{address}/{tenant}`."""

    api: str | None = None
    """What is said as Api; None says `{endpoint}/api`."""

    context: str | None = None
    """What is said as ContextIdentifier; None says what was asked for."""

    @property
    def runs(self) -> bool:
        """Whether the services answer."""
        return self.state in RUNNING_WORDS if self.is_running is None else self.is_running


def state_reply(online: SandboxState, request: Request, *, asked_for: str, base_url: str) -> Reply:
    """Answer a question for the state; no login is needed for it."""
    if request.method != "GET":
        return json_reply({"Message": "The requested resource does not support this method."}, 405, Allow="GET")
    endpoint = online.endpoint or f"{online.address or base_url}/{asked_for}"
    members: dict[str, Any] = {
        "ContextIdentifier": online.context or asked_for,
        "Endpoint": endpoint,
        "State": online.state,
        "IsRunning": online.runs,
        "ValidUntil": online.valid_until or _valid_until(online.valid_seconds),
        "Api": online.api or f"{endpoint}/api",
    }
    return json_reply({name: value for name, value in members.items() if value is not None})


def turned_away(online: SandboxState, request: Request) -> Reply | None:
    """Return what answers a call instead of the tenant: nothing is done where it does not live or does not run."""
    if online.address is not None and request.header("host").lower() != urlsplit(online.address).netloc.lower():
        return html_reply(421, "Wrong subdomain used to access tenant")
    if not online.runs:
        return html_reply(503, "Service Unavailable")
    return None


def changed_state(online: SandboxState, body: bytes) -> SandboxState:
    """Return a state with the members of a JSON object changed; raises ValueError."""
    document = json.loads(body or b"{}")
    known = {field.name for field in fields(SandboxState)}
    if not isinstance(document, dict) or not document.keys() <= known | {"tenant"}:
        raise ValueError(f"expected an object with tenant and any of {', '.join(sorted(known))}")
    return replace(online, **{name: value for name, value in document.items() if name != "tenant"})


def _valid_until(seconds: float | None) -> str | None:
    """Return a moment as the vendor writes it: with seven digits behind the second."""
    if seconds is None:
        return None
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}5Z"
