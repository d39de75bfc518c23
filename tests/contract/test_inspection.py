"""A tenant seen from outside, over real sockets: its certificate, its clock, its WSDL in one piece or in several."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from wsdl_schemas import wsdl_path

from certificates import Authority
from commands import Erpsyncd, document
from erpsyncd.domain.inspections import ContractReport
from erpsyncd.domain.tenants import Auth, AuthKind, Protocol
from erpsyncd.errors import ConfigurationError, MalformedResponse, RemoteUnreachable
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.inspection import NetServerInspector
from erpsyncd.netserver.limits import RemoteLimits
from netserver_support import tenant_spec
from stub_tenant import Page, StubTenant, serving

AGENTS = {"SoPrincipal": 86, "MDO": 86, "ErpSync": 86, "Quote": 83}
LIMITS = RemoteLimits(deadline_seconds=20, connect_seconds=10)


def address(agent: str, query: str) -> str:
    return f"/acme/Remote/Services{AGENTS[agent]}/{agent}.svc?{query}"


def pages(query: str = "singleWsdl") -> dict[str, Page]:
    return {
        address(agent, query): Page(body=wsdl_path(agent, version).read_bytes()) for agent, version in AGENTS.items()
    }


@asynccontextmanager
async def inspecting(
    stub: StubTenant, protocol: Protocol = Protocol.SOAP, limits: RemoteLimits = LIMITS, **fields: object
) -> AsyncIterator[NetServerInspector]:
    tenant = tenant_spec(protocol, url=f"{stub.url}/acme", **fields)
    async with NetServerApis(limits).inspect(tenant) as inspector:
        yield inspector


async def test_each_agent_is_compared_once() -> None:
    """One request for each agent where the server has it in one document; nobody is told who we are."""
    with serving(StubTenant(pages=pages())) as stub:
        async with inspecting(stub) as inspector:
            await inspector.greet()
            reports = await inspector.contracts()

    counts = {"SoPrincipal": 1, "MDO": 1, "ErpSync": 3, "Quote": 2}
    assert [ContractReport(agent=agent, operations=count) for agent, count in counts.items()] == list(reports)
    assert sorted(f"GET {address(agent, 'singleWsdl')}" for agent in AGENTS) == sorted(stub.asked)
    assert not {"Authorization", "SO-AppToken", "Cookie", "SOAPAction"} & {
        name for sent in stub.headers for name in sent
    }


async def test_a_ticket_needs_no_login() -> None:
    """SoPrincipal is not looked at where it is not asked."""
    with serving(StubTenant(pages=pages())) as stub:
        async with inspecting(stub, auth=Auth(kind=AuthKind.TICKET, fields={})) as inspector:
            reports = await inspector.contracts()

    assert ["MDO", "ErpSync", "Quote"] == [report.agent for report in reports]


async def test_what_differs_is_reported() -> None:
    """A server that has members in another place is found out."""
    served = pages()
    page = served[address("ErpSync", "singleWsdl")]
    page.body = page.body.replace(b'name="AllAccess"', b'name="EverybodysAccess"')
    with serving(StubTenant(pages=served)) as stub:
        async with inspecting(stub) as inspector:
            reports = {report.agent: report for report in await inspector.contracts()}

    assert ("SaveConnection: ErpConnection has no AllAccess",) == reports["ErpSync"].mismatches
    assert all(not report.mismatches for agent, report in reports.items() if agent != "ErpSync")


def in_parts(agent: str, host: str) -> dict[str, Page]:
    """The official document as WCF spreads it: bindings, port and messages, and each schema by itself."""
    text = wsdl_path(agent, AGENTS[agent]).read_text()
    start, end = text.index("<wsdl:types>") + len("<wsdl:types>"), text.index("</wsdl:types>")
    head, schemas, rest = text[:start], text[start:end], text[end:]
    root = text[text.index("<wsdl:definitions") : text.index("<wsdl:types>")]
    imports = "".join(
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:import schemaLocation="{host}'
        f'{address(agent, f"xsd=xsd{number}")}"/></xs:schema>'
        for number in range(schemas.count("</xs:schema>"))
    )
    binding = rest.index("<wsdl:binding")
    outer = f'{root}<wsdl:import location="{host}{address(agent, "wsdl=wsdl0")}"/>{rest[binding:]}'
    inner = f"{head}{imports}{rest[:binding]}</wsdl:definitions>"
    found = {address(agent, "wsdl"): outer, address(agent, "wsdl=wsdl0"): inner}
    for number, schema in enumerate(schemas.split("</xs:schema>")[:-1]):
        found[address(agent, f"xsd=xsd{number}")] = f"{schema.strip()}</xs:schema>"
    return {path: Page(body=body.encode()) for path, body in found.items()}


async def test_a_wsdl_in_parts_is_put_together_from_the_tenant_alone() -> None:
    """Its parts name a machine that we must not and cannot reach; they are asked for where the tenant is."""
    served = {path: page for agent in AGENTS for path, page in in_parts(agent, "http://inner.invalid").items()}
    with serving(StubTenant(pages=served)) as stub:
        async with inspecting(stub) as inspector:
            reports = await inspector.contracts()

    assert [("", ())] * len(AGENTS) == [(report.not_compared, report.mismatches) for report in reports]
    assert f"GET {address('ErpSync', 'xsd=xsd2')}" in stub.asked


async def test_parts_without_end_are_left() -> None:
    """A server that names ever more documents is asked for a few."""
    head = '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/">'
    served = {
        address("ErpSync", query): Page(
            body=f'{head}<wsdl:import location="/ErpSync.svc?wsdl=w{n + 1}"/>'
            f'<wsdl:import location="/ErpSync.svc?wsdl=w{n}"/></wsdl:definitions>'.encode()
        )
        for n in range(100)
        for query in [f"wsdl=w{n}" if n else "wsdl"]
    }
    with serving(StubTenant(pages=served)) as stub:
        async with inspecting(stub) as inspector:
            reports = {report.agent: report for report in await inspector.contracts()}

    assert "it does not describe ErpSync" == reports["ErpSync"].not_compared
    assert 15 > len([line for line in stub.asked if "ErpSync" in line])


async def test_parts_are_no_larger_together_than_one_answer() -> None:
    """What one document may not be, twelve of them may not be either."""
    body = b'<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema">' + b" " * 900 + b"</x:schema>"
    imports = "".join(f'<w:import location="/ErpSync.svc?xsd=xsd{n}"/>' for n in range(3))
    outer = f'<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/">{imports}</w:definitions>'.encode()
    served = {address("ErpSync", f"xsd=xsd{n}"): Page(body=body) for n in range(3)}
    served[address("ErpSync", "wsdl")] = Page(body=outer)
    with serving(StubTenant(pages=served)) as stub:
        async with inspecting(stub, limits=RemoteLimits(deadline_seconds=20, max_body_bytes=2000)) as inspector:
            reports = {report.agent: report for report in await inspector.contracts()}

    assert "its parts have more than 2000 bytes together" == reports["ErpSync"].not_compared


async def test_what_differs_is_told_in_a_few_short_lines() -> None:
    """A server that is another one altogether, or plays with us, does not fill a screen or move its cursor."""
    served = pages()
    page = served[address("ErpSync", "singleWsdl")]
    page.body = page.body.replace(b'soapAction="', b'soapAction="&#10;' + b"x" * 5000)
    start = page.body.index(b"<xs:element", page.body.index(b'complexType name="ErpConnection"'))
    more = b"".join(b'<xs:element name="x%d" type="xs:int"/>' % number for number in range(1000))
    page.body = page.body[:start] + more + page.body[start:]
    with serving(StubTenant(pages=served)) as stub:
        async with inspecting(stub) as inspector:
            reports = {report.agent: report for report in await inspector.contracts()}

    lines = reports["ErpSync"].mismatches
    assert (21, "and 983 more") == (len(lines), lines[-1])
    assert all(line.isprintable() and len(line) <= 256 for line in lines)
    assert lines[0].startswith("GetConnection: its SOAPAction is xxx")


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(status=404), "the tenant does not serve it (404)"),
        (Page(status=302, headers={"Location": "https://elsewhere.example/"}), "the tenant does not serve it (302)"),
        (Page(body=b"<html><body>Log in"), "cannot be read"),
        (Page(body=b"<html/>"), "is something else"),
        (Page(body=b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), "document type declaration"),
        (Page(body=b"<a>" + b" " * 2000 + b"</a>"), "more than 1500 bytes"),
    ],
)
async def test_a_server_without_a_wsdl_is_no_failure(page: Page, reason: str) -> None:
    """Whatever stands there instead, it is told and nothing is compared."""
    limits = RemoteLimits(deadline_seconds=20, max_body_bytes=1500)
    with serving(StubTenant(pages={address("Quote", query): page for query in ("singleWsdl", "wsdl")})) as stub:
        async with inspecting(stub, limits=limits) as inspector:
            reports = {report.agent: report for report in await inspector.contracts()}

    assert reason in reports["Quote"].not_compared
    assert all("elsewhere" not in line for line in stub.asked)


async def test_rest_has_nothing_to_compare() -> None:
    """Its address is looked at all the same."""
    with serving(StubTenant()) as stub:
        async with inspecting(stub, Protocol.REST) as inspector:
            greeting = await inspector.greet()
            reports = await inspector.contracts()

    assert (None, "", ()) == (greeting.date, greeting.tls_version, reports)
    assert ["GET /acme/api"] == stub.asked


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Wed, 25 Feb 2026 12:00:00 GMT", datetime(2026, 2, 25, 12, tzinfo=UTC)),
        ("Wed, 25 Feb 2026 12:00:00 -0000", datetime(2026, 2, 25, 12, tzinfo=UTC)),
        ("soon", None),
    ],
)
async def test_the_date_is_read(header: str, expected: datetime | None) -> None:
    """As HTTP writes it; anything else is no date."""
    with serving(StubTenant(date=header)) as stub:
        async with inspecting(stub) as inspector:
            greeting = await inspector.greet()

    assert expected == greeting.date


async def test_the_certificate_is_looked_at(tmp_path: Path) -> None:
    """Version of TLS and the day on which it ends; it is trusted by what the tenant's description says."""
    authority = Authority(directory=tmp_path)
    server = authority.server(authority.issue(ends=timedelta(days=9)))
    with serving(StubTenant(), server) as stub:
        async with inspecting(stub, ca_file=str(authority.file)) as inspector:
            greeting = await inspector.greet()
        async with inspecting(stub) as inspector:
            with pytest.raises(RemoteUnreachable, match="certificate"):
                await inspector.greet()

    assert "TLSv1.3" == greeting.tls_version
    assert greeting.certificate_expires_at is not None
    assert 8 <= (greeting.certificate_expires_at - datetime.now(UTC)).days <= 9


async def test_addresses_are_looked_up() -> None:
    """A name that resolves to nothing is told with what to look at."""
    stub = StubTenant(url="http://localhost:9")
    async with inspecting(stub) as inspector:
        assert {"127.0.0.1", "::1"} & set(await inspector.addresses())

    for host in ("nowhere.invalid", "a" * 64 + ".example"):
        stub = StubTenant(url=f"https://{host}")
        async with inspecting(stub) as inspector:
            with pytest.raises(RemoteUnreachable, match=r"does not resolve to an address: .*; check url"):
                await inspector.addresses()


async def test_name_servers_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not waited for longer than for a connection."""
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answered.wait(60)])

    async with inspecting(StubTenant(url="https://slow.example"), limits=RemoteLimits(connect_seconds=0.05)) as slow:
        with pytest.raises(RemoteUnreachable, match=r"no answer in 0\.05 s"):
            await slow.addresses()
    answered.set()


async def test_addresses_that_must_not_be_called_are_refused() -> None:
    """Nothing is asked over plain http elsewhere, not even without credentials."""
    with pytest.raises(ConfigurationError, match="must be https"):
        async with inspecting(StubTenant(url="http://crm.acme.example")):
            pass


async def test_what_is_too_large_is_not_read() -> None:
    """The limit of answers holds for documents, too."""
    with serving(StubTenant(pages={address("MDO", "singleWsdl"): Page(body=b"x" * 5000)})) as stub:
        async with inspecting(stub, limits=RemoteLimits(max_body_bytes=1024)) as inspector:
            with pytest.raises(MalformedResponse, match="more than 1024 bytes"):
                await inspector.greet()


def test_the_wsdl_of_the_live_server_is_compared(tmp_path: Path) -> None:
    """A server whose SaveConnection has a member in another place is found out: exit 1, with the setting to change."""
    text = wsdl_path("ErpSync", 86).read_bytes()
    spoiled = text.replace(b'name="Deleted" type="xs:boolean"', b'name="AllAccess" type="xs:boolean"', 20)
    pages = {
        f"/acme/Remote/Services{version}/{agent}.svc?singleWsdl": Page(body=body)
        for agent, version, body in (("ErpSync", 86, spoiled), ("Quote", 83, wsdl_path("Quote", 83).read_bytes()))
    }
    with serving(StubTenant(pages=pages)) as stub:
        erpsyncd = Erpsyncd(tmp_path)
        erpsyncd.load(document(stub.url, "soap", ""))

        examined = erpsyncd("doctor", "--output", "json")

    found = {item["check"]: item for item in examined.json["items"]}
    mismatch = found["wsdl ErpSync"]
    assert (1, "failed") == (examined.code, mismatch["result"])
    assert "SaveConnection: ErpConnection has no Deleted" in mismatch["detail"]
    assert "erpsync_services" in mismatch["remedy"]
    assert ("ok", "note") == (found["wsdl Quote"]["result"], found["wsdl MDO"]["result"])
