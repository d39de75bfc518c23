"""A tenant seen from outside: its name, its certificate, its clock, and what it says of its own agents."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

from erpsyncd.domain.inspections import ContractReport, Greeting
from erpsyncd.domain.tenants import AuthKind, Protocol, TenantSpec
from erpsyncd.errors import RemoteError, RemoteUnreachable
from erpsyncd.netserver.calls import Endpoint, Reply
from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.failures import one_line
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.operations import AUTHENTICATE, SYNC_ALL, Operation
from erpsyncd.netserver.soap import SOAP_OPERATIONS, services_version, soap_endpoint
from erpsyncd.netserver.transport import Transport
from erpsyncd.netserver.wsdl import is_wsdl, parts_named_in
from erpsyncd.netserver.wsdl_comparison import compare_wsdl
from erpsyncd.netserver.xml_parsing import Element, parse_xml

#: WCF spreads the description of an agent over two or three documents.
_MAX_PARTS = 12
#: More say no more than that this is another server than it is taken for.
_MAX_MISMATCHES = 20
#: The first has everything in one document; older installations have the second only.
_QUERIES = ("singleWsdl", "wsdl")
_OK = 200
_FETCH = "GET"


class NetServerInspector:
    """One tenant, as `erpsyncd.domain.ports.TenantInspector` describes it."""

    def __init__(self, tenant: TenantSpec, transport: Transport, limits: RemoteLimits) -> None:
        self._tenant = tenant
        self._transport = transport
        self._limits = limits
        self._replies: dict[str, Reply] = {}

    async def addresses(self) -> tuple[str, ...]:
        """Return what the name in the tenant's address resolves to.

        Raises:
            RemoteUnreachable: to nothing, or nobody could be asked.
        """
        parts = urlsplit(self._first_url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise _unresolved(host, f"no answer in {self._limits.connect_seconds:g} s") from None
        except (OSError, UnicodeError) as exc:
            raise _unresolved(host, exc.strerror if isinstance(exc, OSError) else "that is no host name") from exc
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    async def greet(self) -> Greeting:
        """Connect and look at who answers, whatever the answer is.

        Raises:
            RemoteError: nobody does.
        """
        reply = await self._fetch(self._first_url)
        certificate = reply.certificate
        return Greeting(
            date=reply.date,
            tls_version=certificate.tls_version if certificate else "",
            certificate_expires_at=certificate.expires_at if certificate else None,
        )

    async def contracts(self) -> tuple[ContractReport, ...]:
        """Compare what the tenant says of its agents with what we send. REST has no such description."""
        if self._tenant.protocol is Protocol.REST:
            return ()
        return tuple([await self._contract(operations) for operations in self._agents()])

    @property
    def _first_url(self) -> str:
        if self._tenant.protocol is Protocol.REST:
            return self._tenant.rest_base.removesuffix("/v1")
        return f"{soap_endpoint(self._tenant, SOAP_OPERATIONS[1]).url}?{_QUERIES[0]}"

    def _agents(self) -> Iterator[tuple[Operation[Any], ...]]:
        """Yield the operations that this tenant is asked for, those of each agent together."""
        unused = {
            AUTHENTICATE: self._tenant.auth.kind is not AuthKind.PASSWORD,
            SYNC_ALL: not self._tenant.sync_all_after_save,
        }
        asked = [operation for operation in SOAP_OPERATIONS if not unused.get(operation)]
        for _, operations in groupby(asked, key=attrgetter("agent")):
            yield tuple(operations)

    async def _contract(self, operations: tuple[Operation[Any], ...]) -> ContractReport:
        agent, version = operations[0].agent, services_version(self._tenant, operations[0])
        url = soap_endpoint(self._tenant, operations[0]).url
        try:
            documents = await self._documents(url, agent)
            mismatches = compare_wsdl(documents, operations, version=version)
        except (RemoteError, Unreadable) as exc:
            reason = one_line(str(exc))
            return ContractReport(agent=agent, operations=len(operations), not_compared=reason)
        lines = [one_line(str(each)) for each in mismatches[:_MAX_MISMATCHES]]  # the tenant's names stand in them
        if len(mismatches) > _MAX_MISMATCHES:
            lines.append(f"and {len(mismatches) - _MAX_MISMATCHES} more")
        return ContractReport(agent=agent, operations=len(operations), mismatches=tuple(lines))

    async def _documents(self, url: str, agent: str) -> list[Element]:
        """Return the WSDL of an agent, in one document or in several.

        Raises:
            Unreadable: the tenant does not serve it.
            RemoteError: it did not answer.
        """
        problem = ""
        for query in _QUERIES:
            reply = await self._fetch(f"{url}?{query}")
            if reply.status != _OK:
                problem = problem or f"the tenant does not serve it ({reply.status})"
                continue
            try:
                root = parse_xml(reply.body, reply.content_type)
            except Unreadable as exc:
                problem = f"what the tenant serves as WSDL cannot be read: {exc}"
                continue
            if is_wsdl(root):
                return await self._with_parts(root, len(reply.body), url, agent)
            problem = "what the tenant serves as WSDL is something else"
        raise Unreadable(problem)

    async def _with_parts(self, root: Element, size: int, url: str, agent: str) -> list[Element]:
        """Return a document with those that it names; together they may be as large as one answer."""
        documents, waiting, seen = [root], list(parts_named_in(root, agent)), set[str]()
        while waiting and len(seen) < _MAX_PARTS:
            query = waiting.pop(0)
            if query in seen:
                continue
            seen.add(query)
            reply = await self._fetch(f"{url}?{query}")
            if reply.status == _OK:
                size += len(reply.body)
                if size > self._limits.max_body_bytes:
                    raise Unreadable(f"its parts have more than {self._limits.max_body_bytes} bytes together")
                documents.append(parse_xml(reply.body, reply.content_type))
                waiting += parts_named_in(documents[-1], agent)
        return documents

    async def _fetch(self, url: str) -> Reply:
        if url not in self._replies:
            endpoint = Endpoint(agent="", operation=_FETCH, url=url, advice="check url")
            self._replies[url] = await self._transport.fetch(endpoint)
        return self._replies[url]


def _unresolved(host: str, reason: str | None) -> RemoteUnreachable:
    message = f"{host} does not resolve to an address: {reason or 'no reason given'}; check url and the name servers"
    return RemoteUnreachable(_FETCH, message)
