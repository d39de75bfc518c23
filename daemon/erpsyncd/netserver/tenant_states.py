"""The vendor's tenant state API: how it is asked, how its answer is read, and which addresses of it are believed.

Nobody logs in there, and no credential is sent. What it answers decides where credentials are sent afterwards, so
an address outside of the environment's own domain is refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from erpsyncd.domain.tenant_states import RUNNING_WORDS, WORDS, ReportedState
from erpsyncd.errors import MalformedResponse, RemoteRejected, UntrustedAddress
from erpsyncd.netserver.addresses import is_loopback
from erpsyncd.netserver.calls import Call, Endpoint, Reply
from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.failures import SessionLost, one_line, raise_for_failure, unreadable
from erpsyncd.netserver.json_replies import parse_json
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.retries import carried_out
from erpsyncd.netserver.transport import Transport

OPERATION = "TenantState"
_ADVICE = "check environment and context, and the addresses under [online]"
_MAX_WORD = 64
#: The longest that one question takes; it is a small one.
DEADLINE_SECONDS = 20.0
#: What an address of the vendor's looks like. No user name, no query, nothing that two readers may read differently.
_ADDRESS = re.compile(
    r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?(?:/(?!\.{1,2}(?:/|$))[\w.~-]+)*/?", re.IGNORECASE | re.ASCII
)
#: The part of an address that says whose it is.
_CUSTOMER = re.compile(r"/(Cust[0-9]+)(?=/|$)", re.IGNORECASE)
_DEFAULT_PORTS = {"https": 443, "http": 80}
#: The domain that all of the vendor's hosts lie in, wherever a tenant moves.
_VENDOR = "superoffice.com"


def state_limits(limits: RemoteLimits) -> RemoteLimits:
    """Return the bounds of a question for the state: a pass waits for it, and holds its lease meanwhile."""
    return replace(limits, deadline_seconds=min(limits.deadline_seconds, DEADLINE_SECONDS))


async def fetch_state(
    transport: Transport, host: str, context: str, limits: RemoteLimits, *, only_once: bool = False
) -> ReportedState:
    """Ask for a tenant's state at its environment's `host` (a base URL); again where that helps, unless `only_once`.

    Raises:
        UntrustedAddress: it runs, at an address that credentials are not sent to.
        RemoteError: there was no answer, or none that can be read.
    """
    endpoint = Endpoint(agent="", operation=OPERATION, url=f"{host.rstrip('/')}/api/state/{context}", advice=_ADVICE)
    bounds = replace(limits, attempts=1) if only_once else limits

    async def attempt() -> ReportedState:
        state = read_state(Call(endpoint=endpoint, headers={}), await transport.fetch(endpoint), context)
        check_addresses(state, host, context)
        return state

    return await carried_out(attempt, bounds, repeatable=True)


def read_state(call: Call, reply: Reply, context: str) -> ReportedState:
    """Return what an answer says; members that we do not know are passed over.

    Raises:
        RemoteError: it is a failure, cannot be read, or is about another customer.
    """
    try:
        raise_for_failure(call, reply, None)
    except SessionLost:
        message = f"{call.endpoint.where} wants to know who we are ({reply.status}); {_ADVICE}"
        raise RemoteRejected(OPERATION, message) from None
    document: Any = None
    try:
        document = parse_json(reply.body, reply.content_type)
        return _state(document, context)
    except Unreadable as problem:
        raise unreadable(call, reply, str(problem), parsed=document is not None) from None


def check_addresses(state: ReportedState, host: str, context: str) -> None:
    """Refuse a running tenant at an address that is not the environment's, or is another customer's.

    Raises:
        UntrustedAddress: it names one.
        MalformedResponse: it names none.
    """
    if not state.is_running:
        return
    given = [address for address in (state.endpoint, state.api) if address]
    if not given:
        raise MalformedResponse(OPERATION, "the tenant's state names no address")
    for address in given:
        if not is_trusted(address, host):
            raise UntrustedAddress(
                OPERATION,
                f"the tenant's state names the address {one_line(address)}, which is not {_trusted_by(host)}; "
                "nothing is sent there: ask SuperOffice, or correct the addresses under [online]",
            )
        customers = {segment.lower() for segment in _CUSTOMER.findall(urlsplit(address).path)}
        if customers - {context.lower()}:
            message = f"the state of {context} names the address {one_line(address)} of another customer"
            raise UntrustedAddress(OPERATION, f"{message}; nothing is sent there: check context, ask SuperOffice")


def is_trusted(address: str, host: str) -> bool:
    """Return whether credentials may be sent to an address that the environment at `host` names."""
    if not _ADDRESS.fullmatch(address) or not _has_port(address):
        return False
    there, ours = urlsplit(address), urlsplit(host).hostname or ""
    name = there.hostname or ""
    if is_loopback(ours):
        return is_loopback(name)
    if there.scheme != "https":
        return False
    return name == ours or (_is_vendors(ours) and _is_vendors(name))


def _trusted_by(host: str) -> str:
    ours = urlsplit(host).hostname or ""
    if is_loopback(ours):
        return "on this machine"
    return f"https under {_VENDOR}" if _is_vendors(ours) else f"https at {ours}"


def _is_vendors(name: str) -> bool:
    return name.endswith(f".{_VENDOR}")


def _state(document: Any, context: str) -> ReportedState:
    if not isinstance(document, dict):
        raise Unreadable("this is not an object")
    members = {name.lower(): value for name, value in document.items()}
    about = members.get("contextidentifier")
    if about is not None and str(about).lower() != context.lower():
        raise Unreadable("it is about another customer")
    word = _word(members.get("state"))
    is_running = members.get("isrunning")
    if is_running is None and word in WORDS.values():
        is_running = word in RUNNING_WORDS
    if isinstance(is_running, str):
        is_running = {"true": True, "false": False}.get(is_running.strip().lower())
    if not isinstance(is_running, bool):
        raise Unreadable("it does not say whether the tenant runs (IsRunning)")
    return ReportedState(
        word=word,
        is_running=is_running,
        endpoint=_address(members.get("endpoint")),
        api=_address(members.get("api")),
        valid_until=_moment(members.get("validuntil")),
    )


def _word(value: object) -> str:
    """Return the vendor's word; its number is one, too, and a word that is new to us is as good as any."""
    if isinstance(value, int) and not isinstance(value, bool):
        return WORDS.get(value, str(value))
    if isinstance(value, str):
        if value.strip() in {str(number) for number in WORDS}:
            return WORDS[int(value)]
        known = {word.lower(): word for word in WORDS.values()}
        return known.get(value.strip().lower(), one_line(value)[:_MAX_WORD]) or WORDS[0]
    return WORDS[0]


def _address(value: object) -> str:
    """Return an address as we write it: host in lower case, no port where it goes without saying, no slash at the end.

    What looks like no address stays as it is, and is refused before it is used.
    """
    if not isinstance(value, str):
        return ""
    value = value.strip()
    if not _ADDRESS.fullmatch(value):
        return one_line(value)
    parts = urlsplit(value)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    if not _has_port(value):
        return value
    shown = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{shown}{parts.path}".rstrip("/")


def _has_port(address: str) -> bool:
    """Return whether the port of an address, if it names one, is a port."""
    try:
        _ = urlsplit(address).port
    except ValueError:
        return False
    return True


def _moment(value: object) -> datetime | None:
    """Return a moment, of whose seven digits behind the second Python keeps six; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
