"""Writing a SaveConnection and reading its answer, without a network: ours against zeep's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import requests
from lxml import etree

from benchmarks.measuring import Figure, Round, Sample, Unit, cpu_of
from benchmarks.stub import reply_to_save
from benchmarks.zeep_loop import TICKET, Tenant
from erpsyncd.domain.connections import ConnectionSpec, ErpConnection
from erpsyncd.domain.secrets import Secret, parse_template
from erpsyncd.domain.tenants import Auth, AuthKind, Credentials, Protocol, TenantSpec
from erpsyncd.netserver.calls import Reply
from erpsyncd.netserver.soap import SoapDialect

TIMES = 300
#: What takes a tenth of the time is done ten times as often, so that no round is shorter than the machine's moods.
OURS_AS_OFTEN = 10


@contextmanager
def sides(times: int = TIMES) -> Iterator[tuple[Round, Round]]:
    """Prepare both codecs, and see that both read the same out of the same answer."""
    ours, theirs = _Ours(), _Zeep()
    answer = reply_to_save(ours.request())
    read, read_by_zeep = ours.once(answer), theirs.once(answer)
    assert read.erp_connection_id == read_by_zeep.ErpConnectionId
    assert read.spec.display_name == read_by_zeep.DisplayName == "Connection 7"
    assert len(read.spec.config_fields) == len(read_by_zeep.ConfigFields.StringKeyValuePair)

    def rounds(codec: _Ours | _Zeep, count: int) -> Sample:
        def work() -> None:
            for _ in range(count):
                codec.once(answer)

        sample = cpu_of(work)
        return replace(sample, value=sample.value / count)

    yield lambda: rounds(ours, times * OURS_AS_OFTEN), lambda: rounds(theirs, times)


class _Ours:
    def __init__(self) -> None:
        credentials = Credentials(kind=AuthKind.TICKET, ticket=Secret(TICKET))
        tenant = TenantSpec(
            name="acme",
            url="https://acme.example",
            protocol=Protocol.SOAP,
            auth=Auth(kind=AuthKind.TICKET, fields={"ticket": parse_template(TICKET)}),
        )
        self._dialect = SoapDialect(tenant, credentials)

    def _exchange(self) -> Any:
        spec = ConnectionSpec(
            erp_connector_id=1,
            display_name="Connection 7",
            display_description="",
            active=True,
            all_access=False,
            user_group_access_ids=(1, 3),
            associate_access_ids=(),
            config_fields={"Client": Secret("F00007"), "Password": Secret("password 7")},
        )
        draft = ErpConnection(erp_connection_id=0, connection_id="", most_recent_timestamp="", deleted=False, spec=spec)
        return self._dialect.save_connection(draft)

    def request(self) -> bytes:
        """Return the body of the request."""
        body: bytes = self._exchange().write(Secret(TICKET)).body
        return body

    def once(self, answer: bytes) -> ErpConnection:
        """Write the request, read the answer."""
        exchange = self._exchange()
        call = exchange.write(Secret(TICKET))
        reply = Reply(status=200, content_type="text/xml; charset=utf-8", body=answer)
        read: ErpConnection = exchange.read(call, reply)
        return read


class _Zeep:
    def __init__(self) -> None:
        self._tenant = Tenant("https://acme.example")
        self._binding = self._tenant.service._binding
        self._operation = self._binding.get("SaveConnection")

    def once(self, answer: bytes) -> Any:
        """Write the request, read the answer."""
        tenant = self._tenant
        entity = tenant.connection(display_name="Connection 7", client="F00007", password="password 7")  # noqa: S106 -- nobody has it
        envelope = tenant.client.create_message(tenant.service, "SaveConnection", entity, _soapheaders=tenant.headers)
        etree.tostring(envelope, encoding="utf-8", xml_declaration=True)
        response = requests.Response()
        response.status_code = 200
        response.headers["Content-Type"] = "text/xml; charset=utf-8"
        response._content = answer
        return self._binding.process_reply(tenant.client, self._operation, response).body.Response


CODEC = Figure(
    name="codec: writing one SaveConnection and reading its answer",
    against="zeep with the official WSDL, the same fields",
    unit=Unit.CPU,
    most=0.1,
    sides=sides,
)
