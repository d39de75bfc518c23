"""The sandbox's SOAP side, byte by byte: what it refuses, what it drops without a word, how it writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from erpsyncd.sandbox import (
    Absent,
    ConfigReading,
    SandboxConnector,
    SandboxServer,
    SandboxTenant,
)
from sandbox_support import ARRAYS, INSTANCE, Soap, logged_in, send

PAIRS = "<n:ConfigFields><n:StringKeyValuePair>{}</n:StringKeyValuePair></n:ConfigFields>"
MEMBERS = "<n:ErpConnectionId>0</n:ErpConnectionId><n:ErpConnectorId>1</n:ErpConnectorId>"


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(tenants={"acme": SandboxTenant()}) as running:
        yield running


def test_soap_12_envelope_is_a_version_mismatch(server: SandboxServer) -> None:
    """An envelope in the SOAP 1.2 namespace gives a VersionMismatch fault with status 500."""
    soap = logged_in(server)
    envelope = soap.envelope("<n:HasConnections/>").replace(
        b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"
    )

    answered = soap.post("Quote", "HasConnections", envelope)

    assert (answered.status, answered.text("faultcode")) == (500, "s:VersionMismatch")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "application/soap+xml"}, 415),
        ({"Content_Type": "text/xml; charset=iso-8859-1"}, 415),
        ({"Content_Type": 'text/xml;charset="UTF-8"'}, 200),
        ({"Content_Type": "text/xml"}, 200),
        ({"SOAPAction": '""'}, 500),
        ({"SOAPAction": "http://www.superoffice.net/ws/crm/NetServer/Services86/Quote/HasConnections"}, 200),
        ({"SOAPAction": '"http://www.superoffice.net/ws/crm/NetServer/Services83/Quote/HasConnections"'}, 500),
        ({"SOAPAction": '"http://www.superoffice.net/ws/crm/NetServer/Services86/Quote/hasconnections"'}, 500),
        ({"SOAPAction": '"http://www.superoffice.net/ws/crm/NetServer/Services86/ErpSync/GetConnection"'}, 500),
    ],
)
def test_http_headers_have_to_be_right(server: SandboxServer, headers: dict[str, str], status: int) -> None:
    """The content type is text/xml in UTF-8, SOAPAction names this agent's operation letter by letter."""
    soap = logged_in(server)

    answered = soap.post("Quote", "HasConnections", soap.envelope("<n:HasConnections/>"), **headers)

    assert answered.status == status


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<a><b></a>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"/>',
    ],
)
def test_what_is_no_xml_is_a_bad_request(server: SandboxServer, body: bytes) -> None:
    """Empty, broken and DTD-bearing bodies are 400, as WCF has it."""
    assert logged_in(server).post("Quote", "HasConnections", body).status == 400


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<n:GetConnection/>",
        '<HasConnections xmlns="http://www.superoffice.net/ws/crm/NetServer/Services83"/>',
        "<HasConnections/>",
    ],
)
def test_body_element_must_be_the_operation_s(server: SandboxServer, body: str) -> None:
    """The body holds the operation's element in the namespace of that very version."""
    soap = logged_in(server)

    answered = soap.post("Quote", "HasConnections", soap.envelope(body))

    assert (answered.status, answered.text("faultcode")) == (500, "a:DeserializationFailed")


def test_credentials_count_in_the_header_of_that_version_only(server: SandboxServer) -> None:
    """A ticket beside the body, in another version's namespace or without one is no ticket."""
    soap = logged_in(server)
    right = f"<n:Credentials><n:Ticket>{soap.ticket}</n:Ticket></n:Credentials>"
    other = right.replace("n:", "o:").replace(
        "<o:Credentials>", '<o:Credentials xmlns:o="http://www.superoffice.net/ws/crm/NetServer/Services83">'
    )
    beside = soap.envelope("<n:HasConnections/>", header="").replace(b"<e:Body>", right.encode() + b"<e:Body>")

    def outcome(envelope: bytes) -> str | None:
        answered = soap.post("Quote", "HasConnections", envelope)
        assert answered.status == 200
        return answered.text("ExceptionType")

    assert outcome(soap.envelope("<n:HasConnections/>", header=right)) is None
    for envelope in (
        soap.envelope("<n:HasConnections/>", header=other),
        soap.envelope("<n:HasConnections/>", header=right.replace("n:", "")),
        beside,
    ):
        assert outcome(envelope) == "SuperOffice.Exceptions.SoSessionException"


def test_unknown_header_that_must_be_understood(server: SandboxServer) -> None:
    """A header that insists on being understood is a fault, one that does not is ignored."""
    soap = logged_in(server)
    ticket = f"<n:Credentials><n:Ticket>{soap.ticket}</n:Ticket></n:Credentials>"
    body = "<n:HasConnections/>"

    ignored = soap.post("Quote", "HasConnections", soap.envelope(body, header=f"{ticket}<w xmlns='urn:w'/>"))
    insisting = f"{ticket}<w xmlns='urn:w' e:mustUnderstand='1'/>"
    answered = soap.post("Quote", "HasConnections", soap.envelope(body, header=insisting))

    assert ignored.text("IsOk") == "false"
    assert answered.text("faultcode") == "s:MustUnderstand"


def test_misplaced_member_is_dropped_without_a_word(server: SandboxServer) -> None:
    """A member that comes too late leaves its default behind; unknown ones and foreign namespaces are skipped."""
    answered = logged_in(server).save(
        "<n:ErpConnectorId>1</n:ErpConnectorId><n:ErpConnectionId>9</n:ErpConnectionId>"
        "<n:DisplayName>first</n:DisplayName><n:DisplayName>again</n:DisplayName><n:Unknown>1</n:Unknown>"
        "<n:AllAccess>true</n:AllAccess><n:Active>true</n:Active><DisplayDescription>lost</DisplayDescription>"
    )

    row = server.tenant("acme").connections[1]
    assert answered.text("Succeeded") == "true"
    assert (row.display_name, row.display_description, row.active, row.all_access) == ("first", "", False, True)


def test_access_ids_count_in_the_arrays_namespace_only(server: SandboxServer) -> None:
    """`int` in the service's namespace is dropped; duplicates are one row."""
    logged_in(server).save(
        f"{MEMBERS}<n:UserGroupAccessIds><a:int>3</a:int><n:int>4</n:int><a:int> 1 </a:int><a:int>3</a:int>"
        "</n:UserGroupAccessIds><n:AssociateAccessIds><n:int>4</n:int></n:AssociateAccessIds>"
    )

    row = server.tenant("acme").connections[1]
    assert (row.user_group_access_ids, row.associate_access_ids) == ((3, 1), ())


@pytest.mark.parametrize(
    "members",
    [
        "<n:ErpConnectionId>x</n:ErpConnectionId>",
        "<n:ErpConnectionId>2147483648</n:ErpConnectionId>",
        '<n:ErpConnectionId x:nil="true"/>',
        "<n:Active>True</n:Active>",
        PAIRS.format("<n:Key>a</n:Key>"),
        PAIRS.format("<n:Value>1</n:Value><n:Key>a</n:Key>"),
        "<n:ConfigFields>"
        + "<n:StringKeyValuePair><n:Key>a</n:Key><n:Value>1</n:Value></n:StringKeyValuePair>" * 2
        + "</n:ConfigFields>",
        "<n:UserGroupAccessIds><a:int/></n:UserGroupAccessIds>",
    ],
)
def test_unreadable_values_are_deserialization_faults(server: SandboxServer, members: str) -> None:
    """Values that .NET cannot parse end the call before any work."""
    answered = logged_in(server).save(members)

    assert (answered.status, answered.text("faultcode")) == (500, "a:DeserializationFailed")
    assert server.tenant("acme").connections == {}
    assert [call.worked for call in server.saves("acme")] == [False]


def test_replies_are_written_in_wcf_s_ways(server: SandboxServer) -> None:
    """Prefixes change from reply to reply, namespaces are declared again, and the values are the same."""
    soap = logged_in(server)
    soap.save(f"{MEMBERS}<n:UserGroupAccessIds><a:int>3</a:int></n:UserGroupAccessIds>")

    answers = [soap.get(1) for _ in range(3)]

    assert len({answered.body.split(b":Envelope")[0] for answered in answers}) == 3
    for answered in answers:
        assert [found.text for found in answered.xml.iterfind(f".//{{{ARRAYS}}}int")] == ["3"]
        assert answered.headers["Content-Type"] == "text/xml; charset=utf-8"
        headers = answered.xml.find("{*}Header")
        assert headers is not None
        names = [str(header.tag).rpartition("}")[2] for header in headers]
        assert names == ["ExceptionInfo", "ExtraInfo", "Succeeded", "TimeZone"]
    nil = [answered.xml.find(".//{*}ExceptionInfo") for answered in answers]
    assert sorted(str(found.get(f"{{{INSTANCE}}}nil")) for found in nil if found is not None) == [
        "None",
        "true",
        "true",
    ]


def test_control_characters_come_back_as_net_writes_them(server: SandboxServer) -> None:
    """.NET writes a control character as a reference that XML 1.0 forbids: the client gets an unreadable reply."""
    server.tenant("acme").add(display_name="bell\x07")

    answered = logged_in(server).get(1)

    assert b"bell&#x7;" in answered.body


def test_changes_are_told_in_every_way(server: SandboxServer) -> None:
    """No changes: nil, no element, empty lists, nil lists."""
    soap = logged_in(server)
    bodies = [soap.call("Quote", "HasConnections") for _ in range(4)]

    assert b"<Changes " in bodies[0].body
    assert b"Changes" not in bodies[1].body
    assert (bodies[2].text("AddedRecords"), bodies[3].text("AddedRecords")) == ("", None)


def test_get_all_connections_is_in_the_newer_88_only(server: SandboxServer) -> None:
    """GetAllConnections and Status exist in the newer Services88 and nowhere else."""
    tenant = server.tenant("acme")
    tenant.add(display_name="kept", active=True, config_fields={"Client": "1"})
    arguments = "<n:IncludeDeleted>false</n:IncludeDeleted>"

    older = logged_in(server, services=88)
    assert older.call("ErpSync", "GetAllConnections", arguments).text("faultcode") == "a:ActionNotSupported"
    assert older.call("Quote", "HasConnections").text("Status") is None
    tenant.configure(newer_services88=True)
    listed = older.call("ErpSync", "GetAllConnections", arguments)
    assert (listed.text("DisplayName"), listed.text("ConfigFields")) == ("kept", None)
    assert older.call("Quote", "HasConnections").text("Status") == "Ok"
    answered = logged_in(server, services=87).call("ErpSync", "GetAllConnections", arguments)
    assert answered.text("faultcode") == "a:ActionNotSupported"


def test_addresses(server: SandboxServer) -> None:
    """Addresses do not care about case; tenants, versions and agents that do not exist are 404; GET is 405."""
    soap = logged_in(server)
    server.tenant("acme").configure(services=frozenset({86}))
    envelope = soap.envelope("<n:HasConnections/>")
    headers = {"Content-Type": "text/xml", "SOAPAction": f"{soap.namespace}/Quote/HasConnections"}

    def status(path: str, method: str = "POST") -> int:
        return send(server.url + path, method=method, headers=headers, body=envelope).status

    assert status("/ACME/remote/services86/quote.SVC") == 200
    assert status("/acme/Remote/Services86/Quote.svc", "GET") == 405
    assert status("/acme/Remote/Services83/Quote.svc") == 404
    assert status("/acme/Remote/Services86/Contact.svc") == 404
    assert status("/other/Remote/Services86/Quote.svc") == 404
    assert status("/acme/Remote/Services86/Quote.svc/x") == 404


@pytest.mark.parametrize("wrapped", [True, False])
def test_errors_come_as_the_tenant_is_configured(server: SandboxServer, wrapped: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Wrapped: 200 with Succeeded=false. Unwrapped: 500 with a fault. Both name the exception."""
    server.tenant("acme").configure(wrap_exceptions=wrapped, unknown_id=Absent.EXCEPTION)

    answered = logged_in(server).get(4711)

    named = answered.text("ExceptionType") if wrapped else answered.text("Type")
    assert named == "SuperOffice.Exceptions.SoNotFoundException"
    assert (answered.status, answered.text("Succeeded")) == ((200, "false") if wrapped else (500, None))


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ("<n:ErpConnectionId>0</n:ErpConnectionId><n:ErpConnectorId>9</n:ErpConnectorId>", "SoNotFoundException"),
        ("<n:ErpConnectionId>9</n:ErpConnectionId><n:ErpConnectorId>1</n:ErpConnectorId>", "SoNotFoundException"),
        (f"{MEMBERS}<n:DisplayDescription>{'x' * 255}</n:DisplayDescription>", "SoValidationException"),
        (MEMBERS + PAIRS.format(f"<n:Key>{'x' * 255}</n:Key><n:Value/>"), "SoValidationException"),
        (MEMBERS + PAIRS.format(f"<n:Key>a</n:Key><n:Value>{'x' * 1024}</n:Value>"), "SoValidationException"),
        ("<n:ErpConnectorId>3</n:ErpConnectorId>", "SoServerException"),
        ("<n:ErpConnectorId>4</n:ErpConnectorId>", "SoValidationException"),
    ],
)
def test_saves_that_are_refused(server: SandboxServer, members: str, kind: str) -> None:
    """Unknown ids, too long texts, a connector that is down or misses a field: nothing is saved."""
    connectors = {
        1: SandboxConnector(name="Visma"),
        3: SandboxConnector(name="Down", up=False),
        4: SandboxConnector(name="Strict", mandatory_keys=frozenset({"Filename"})),
    }
    server.tenant("acme").configure(connectors=connectors)

    answered = logged_in(server).save(members)

    assert answered.text("ExceptionType") == f"SuperOffice.Exceptions.{kind}"
    assert server.tenant("acme").connections == {}


def test_config_values_are_shown_as_configured(server: SandboxServer) -> None:
    """Clear, masked or blank: that is how they are read, never how they are stored."""
    tenant = server.tenant("acme")
    tenant.add(config_fields={"Password": "pass word"})
    soap = logged_in(server)

    def value(reading: ConfigReading) -> str | None:
        tenant.configure(config_reading=reading)
        return soap.get(1).text("Value")

    assert [value(reading) for reading in ConfigReading] == [
        "pass word",
        "********",
        "",
        "(hidden)",
        "p*****d",
        None,
    ]
    assert tenant.connections[1].config_fields == {"Password": "pass word"}


def test_cursor_moves_by_itself_and_rewinds_are_seen(server: SandboxServer) -> None:
    """The cursor moves on reads and after saves; a save that sends back anything but the last one is recorded."""
    soap, tenant = logged_in(server), server.tenant("acme")

    def save(cursor: str | None) -> str | None:
        return soap.save(
            "<n:ErpConnectionId>1</n:ErpConnectionId><n:ErpConnectorId>1</n:ErpConnectorId>"
            f"<n:MostRecentTimestamp>{cursor}</n:MostRecentTimestamp>"
        ).text("MostRecentTimestamp")

    def rewinds() -> list[str]:
        return [rewind.sent for rewind in tenant.rewinds]

    assert soap.save(MEMBERS).text("MostRecentTimestamp") == ""
    reads = [soap.get(1).text("MostRecentTimestamp") for _ in range(3)]
    assert reads[0] == reads[1] != reads[2]
    assert save(reads[2]) == reads[2]
    assert rewinds() == []
    save(reads[2])
    save("")
    assert rewinds() == [reads[2], ""]


def test_tickets_run_out(server: SandboxServer) -> None:
    """A ticket is good for so many calls, and an unknown one for none."""
    server.tenant("acme").configure(ticket_uses=2)
    soap = logged_in(server)

    outcomes = [soap.call("Quote", "HasConnections").text("Succeeded") for _ in range(3)]

    assert outcomes == ["true", "true", "false"]
    stranger = Soap(server=server, ticket="7T:c29tZXRoaW5n").call("Quote", "HasConnections")
    assert stranger.text("ExceptionType") == "SuperOffice.Exceptions.SoSessionException"


def test_tickets_expire_by_the_clock() -> None:
    """A ticket lives on with each use and dies when it is left alone for too long."""
    now = [0.0]
    with SandboxServer(tenants={"acme": SandboxTenant(ticket_seconds=10)}, clock=lambda: now[0]) as server:
        soap = logged_in(server)

        def succeeds_at(second: float) -> bool:
            now[0] = second
            return soap.call("Quote", "HasConnections").text("Succeeded") == "true"

        assert [succeeds_at(second) for second in (9, 18, 27.9, 38)] == [True, True, True, False]


def test_access_tokens_stand_in_for_tickets_since_86() -> None:
    """An access token works in the ticket's place from Services86 on."""
    with SandboxServer(tenants={"acme": SandboxTenant(bearer_tokens=frozenset({"8A:Cust1.x"}))}) as server:
        answers = [
            Soap(server=server, services=services, ticket="8A:Cust1.x").call("Quote", "HasConnections")
            for services in (84, 86)
        ]

        assert [answered.text("Succeeded") for answered in answers] == ["false", "true"]


def test_application_token_is_checked_where_there_is_one(server: SandboxServer) -> None:
    """A tenant with an application token refuses calls without it, logins too."""
    server.tenant("acme").configure(application_token="token")
    login = "<n:UserName>sandbox</n:UserName><n:Password>sandbox</n:Password>"
    soap = Soap(server=server)
    body = f"<n:AuthenticateUsernamePassword>{login}</n:AuthenticateUsernamePassword>"

    def outcome(header: str) -> str | None:
        envelope = soap.envelope(body, header=header)
        return soap.post("SoPrincipal", "AuthenticateUsernamePassword", envelope).text("AuthenticationSucceeded")

    assert outcome("<n:ApplicationToken>token</n:ApplicationToken>") == "true"
    assert outcome("<n:ApplicationToken>other</n:ApplicationToken>") == "false"
    assert outcome("") == "false"


def test_accounts_lock(server: SandboxServer) -> None:
    """After so many wrong passwords the right one does not help either."""
    server.tenant("acme").configure(lock_after=2)
    soap = Soap(server=server)

    def login(password: str) -> str | None:
        inner = f"<n:UserName>SANDBOX</n:UserName><n:Password>{password}</n:Password>"
        answered = soap.call("SoPrincipal", "AuthenticateUsernamePassword", inner)
        return answered.text("AuthenticationSucceeded")

    assert [login(word) for word in ("sandbox", "wrong", "wrong", "sandbox")] == ["true", "false", "false", "false"]
    assert server.tenant("acme").logins == (1, 3)
