"""A bare client for the sandbox's tests: raw HTTP, hand-written envelopes, no code shared with anybody."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from erpsyncd.sandbox import SandboxServer

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
ROOT = "http://www.superoffice.net/ws/crm/NetServer/Services"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came back over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def xml(self) -> etree._Element:
        return etree.fromstring(self.body)

    def text(self, name: str) -> str | None:
        """The text of the first element of that local name, None where there is none or it is nil."""
        found = self.xml.find(f".//{{*}}{name}")
        return None if found is None or found.get(f"{{{INSTANCE}}}nil") == "true" else (found.text or "")

    def texts(self, name: str) -> list[str]:
        return [found.text or "" for found in self.xml.iterfind(f".//{{*}}{name}")]


def send(
    url: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    with_length: bool = True,
    connection: http.client.HTTPConnection | None = None,
) -> Answered:
    """Send one request exactly as given, over a connection of its own unless one is handed in."""
    parts = urlsplit(url)
    used = connection or http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        used.putrequest(method, url.partition(parts.netloc)[2], skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            used.putheader(name, value)
        if with_length:
            used.putheader("Content-Length", str(len(body)))
        used.endheaders(body)
        response = used.getresponse()
        return Answered(status=response.status, headers=dict(response.headers), body=response.read())
    finally:
        if connection is None:
            used.close()


@dataclass(frozen=True, kw_only=True)
class Soap:
    """Calls of one tenant in one version."""

    server: SandboxServer
    tenant: str = "acme"
    services: int = 86
    ticket: str = ""

    @property
    def namespace(self) -> str:
        return f"{ROOT}{self.services}"

    def envelope(self, body: str, *, header: str | None = None) -> bytes:
        ticket = f"<n:Credentials><n:Ticket>{escape(self.ticket)}</n:Ticket></n:Credentials>"
        inner = (ticket if self.ticket else "") if header is None else header
        return (
            f'<e:Envelope xmlns:e="{SOAP_11}" xmlns:n="{self.namespace}" xmlns:a="{ARRAYS}" xmlns:x="{INSTANCE}">'
            f"<e:Header>{inner}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
        ).encode()

    def post(self, agent: str, operation: str, envelope: bytes, **headers: str) -> Answered:
        sent = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{self.namespace}/{agent}/{operation}"',
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        url = f"{self.server.tenant_url(self.tenant)}/Remote/Services{self.services}/{agent}.svc"
        return send(url, headers=sent, body=envelope)

    def call(self, agent: str, operation: str, inner: str = "") -> Answered:
        return self.post(agent, operation, self.envelope(f"<n:{operation}>{inner}</n:{operation}>"))

    def save(self, members: str) -> Answered:
        return self.call("ErpSync", "SaveConnection", f"<n:Connection>{members}</n:Connection>")

    def get(self, erp_connection_id: int) -> Answered:
        return self.call("ErpSync", "GetConnection", f"<n:ErpConnectionId>{erp_connection_id}</n:ErpConnectionId>")


def logged_in(server: SandboxServer, tenant: str = "acme", services: int = 86) -> Soap:
    """A SOAP client with a valid ticket."""
    return Soap(server=server, tenant=tenant, services=services, ticket=server.tenant(tenant).issue_ticket())


@dataclass(frozen=True, kw_only=True)
class Rest:
    """REST calls of one tenant."""

    server: SandboxServer
    tenant: str = "acme"
    authorization: str = "Basic c2FuZGJveDpzYW5kYm94"  # sandbox:sandbox

    def call(self, agent: str, operation: str, document: Any = None, *, query: str = "", **headers: str) -> Answered:
        sent = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": self.authorization,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = b"" if document is None else json.dumps(document).encode()
        url = f"{self.server.tenant_url(self.tenant)}/api/v1/Agents/{agent}/{operation}{query}"
        return send(url, headers={name: value for name, value in sent.items() if value}, body=body)

    def save(self, **members: Any) -> Answered:
        return self.call("ErpSync", "SaveConnection", {"Connection": members})

    def get(self, erp_connection_id: int) -> Answered:
        return self.call("ErpSync", "GetConnection", {"ErpConnectionId": erp_connection_id})
