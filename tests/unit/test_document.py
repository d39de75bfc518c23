"""Reading the import document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.connections import ConnectionTemplate
from erpsyncd.domain.documents import Document
from erpsyncd.domain.secrets import Reference, Scheme, Template, parse_template
from erpsyncd.domain.tenants import Auth, AuthKind, DriftPolicy, Environment, Protocol, TenantSpec
from erpsyncd.errors import ConfigurationError
from erpsyncd.service.document import read_documents
from erpsyncd.service.document_references import check_references
from erpsyncd.service.document_warnings import document_warnings
from erpsyncd.service.formats import read_content
from erpsyncd.service.secrets import SecretResolver

CONFIG = Path(__file__).parents[2] / "config"
CANARY = "canary-7d1f"

TOML = """
[[tenants]]
name = "acme"
url = "https://crm.acme.example"      # a comment
soap_url = "https://soap.acme.example/NetServer"
rest_url = "https://rest.acme.example/api"
protocol = "rest"
erpsync_services = 88
quote_services = 84
calls_per_second = 2.5
ca_file = "/etc/erpsyncd/acme-ca.pem"
client_certificate = "/etc/erpsyncd/acme.pem"
client_key = "/etc/erpsyncd/acme.key"
proxy = "http://erpsyncd:@{file:/etc/erpsyncd/proxy.password}@proxy.acme.example:3128"
[tenants.auth]
kind = "password"
username = "sync@acme.example"
password = "@{env:ACME_PASSWORD}"
application_token = "@{file:/etc/erpsyncd/acme.token}"

[[connections]]
tenant = "acme"
key = "visma-no"
erp_connector_id = 1
display_name = "Visma Norway"
display_description = "two\\nlines"
active = false
all_access = true
user_group_access_ids = [3, 1, 3]
associate_access_ids = []
state = "present"
[connections.config_fields]
Client = "F0001"
Password = "x@{systemd:acme-visma}"
Empty = ""

[[connections]]
tenant = "acme"
key = "old"
state = "absent"
"""


def tenant(**changes: Any) -> dict[str, Any]:
    """Return a tenant of a document; a change to None leaves a key out."""
    auth = {"kind": "password", "username": "u", "password": CANARY}
    return without_none({"name": "acme", "url": "https://crm.example", "auth": auth} | changes)


def connection(**changes: Any) -> dict[str, Any]:
    """Return a connection of a document; a change to None leaves a key out."""
    base = {"tenant": "acme", "key": "no", "erp_connector_id": 1, "display_name": "Norway"}
    return without_none(base | changes)


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def read(*entries: dict[str, Any], name: str = "acme.json") -> Document:
    """Read a document of these tenants and connections."""
    content = {
        "tenants": [entry for entry in entries if "tenant" not in entry],
        "connections": [entry for entry in entries if "tenant" in entry],
    }
    return read_documents([(name, json.dumps(content).encode())])


def problems_of(act: Callable[[], object]) -> list[str]:
    """Return the problems that an import is refused with; none of them shows a secret."""
    with pytest.raises(ConfigurationError, match="cannot be imported") as caught:
        act()
    assert CANARY not in str(caught.value)
    return list(caught.value.problems)


def problems(*entries: dict[str, Any]) -> list[str]:
    """Return what is wrong with these tenants and connections."""
    return problems_of(lambda: read(*entries))


def problems_in(content: str | bytes, name: str = "x.toml") -> list[str]:
    """Return what is wrong with a file."""
    return problems_of(lambda: read_documents([(name, content.encode() if isinstance(content, str) else content)]))


# What is read ---------------------------------------------------------------------------------------------------


def as_json(text: str) -> str:
    """Return a TOML text as JSON."""
    return json.dumps(read_content("x.toml", text.encode()))


def as_yaml(text: str) -> str:
    """Return a TOML text as YAML."""
    return yaml.safe_dump(json.loads(as_json(text)), allow_unicode=True)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("suffix", "convert"), [("toml", str), ("TOML", str), ("json", as_json), ("yaml", as_yaml), ("yml", as_yaml)]
)
def test_every_field_is_read_from_every_format(suffix: str, convert: Callable[[str], str], *, named: bool) -> None:
    """The three formats say the same; on stdin the format is found out."""
    name = f"acme.{suffix}" if named else "-"

    document = read_documents([(name, convert(TOML).encode())])

    assert [item.place for item in document.tenants] == [f"{name}: tenants[1]"]
    assert document.tenants[0].spec == TenantSpec(
        name="acme",
        url="https://crm.acme.example",
        soap_url="https://soap.acme.example/NetServer",
        rest_url="https://rest.acme.example/api",
        protocol=Protocol.REST,
        erpsync_services=88,
        quote_services=84,
        calls_per_second=2.5,
        ca_file="/etc/erpsyncd/acme-ca.pem",
        client_certificate="/etc/erpsyncd/acme.pem",
        client_key="/etc/erpsyncd/acme.key",
        proxy=parse_template("http://erpsyncd:@{file:/etc/erpsyncd/proxy.password}@proxy.acme.example:3128"),
        auth=Auth(
            kind=AuthKind.PASSWORD,
            fields={
                "username": parse_template("sync@acme.example"),
                "password": Template((Reference(Scheme.ENV, "ACME_PASSWORD"),)),
                "application_token": Template((Reference(Scheme.FILE, "/etc/erpsyncd/acme.token"),)),
            },
        ),
    )
    present, absent = document.connections
    assert (present.place, present.tenant, present.key, present.present) == (
        f"{name}: connections[1]",
        "acme",
        "visma-no",
        True,
    )
    assert present.template == ConnectionTemplate(
        erp_connector_id=1,
        display_name="Visma Norway",
        display_description="two\nlines",
        active=False,
        all_access=True,
        user_group_access_ids=(3, 1),
        associate_access_ids=(),
        config_fields={
            "Client": Template(("F0001",)),
            "Password": Template(("x", Reference(Scheme.SYSTEMD, "acme-visma"))),
            "Empty": Template(("",)),
        },
    )
    assert (absent.key, absent.present) == ("old", False)


def test_defaults() -> None:
    """What is left out has the documented value."""
    document = read(tenant(auth={"kind": "ticket", "ticket": "t"}), connection())

    spec, template = document.tenants[0].spec, document.connections[0].template
    assert (spec.protocol, spec.erpsync_services, spec.quote_services) == (Protocol.SOAP, 86, 83)
    assert (spec.calls_per_second, spec.soap_url, spec.rest_url) == (10.0, None, None)
    assert (spec.files, spec.proxy) == ({}, None)
    assert template == ConnectionTemplate(erp_connector_id=1, display_name="Norway")
    assert document.connections[0].present


def test_several_files_are_one_document() -> None:
    """Tenants and connections may stand in files of their own."""
    tenants = json.dumps({"tenants": [tenant()]}).encode()
    connections = json.dumps({"connections": [connection()]}).encode()

    document = read_documents([("a.json", tenants), ("b.json", connections)])

    assert [item.place for item in document.connections] == ["b.json: connections[1]"]
    assert read_documents([]) == Document()


@pytest.mark.parametrize("name", ["demo/tenants.toml", "example.toml"])
def test_the_shipped_documents_are_right(name: str) -> None:
    """The demo and the example can be imported as they are, without a warning."""
    document = read_documents([(name, (CONFIG / name).read_bytes())])

    assert document.tenants
    assert document.connections
    assert document_warnings(document) == ()


def test_the_commented_parts_of_the_example_are_right() -> None:
    """Whoever removes a comment sign of the example gets something valid."""
    text = re.sub(r"^#(?=\w+ = |\[)", "", (CONFIG / "example.toml").read_text(), flags=re.MULTILINE)

    document = read_documents([("example.toml", text.encode())])

    assert [item.present for item in document.connections] == [True, False, True]
    assert document.connections[2].template.user_groups == ("Sales",)
    assert document.tenants[0].spec.soap_url
    assert "application_token" in document.tenants[0].spec.auth.fields


def test_the_demo_is_as_documented() -> None:
    """Two tenants of either protocol, whose address the demo replaces."""
    text = (CONFIG / "demo" / "tenants.toml").read_text()

    document = read_documents([("demo.toml", text.replace("http://127.0.0.1:8700", "http://127.0.0.1:1").encode())])

    assert {(item.spec.name, item.spec.protocol, item.spec.url) for item in document.tenants} == {
        ("demo-soap", Protocol.SOAP, "http://127.0.0.1:1/demo-soap"),
        ("demo-rest", Protocol.REST, "http://127.0.0.1:1/demo-rest"),
    }
    assert [item.tenant for item in document.connections] == ["demo-soap"] * 3 + ["demo-rest"] * 2
    assert {item.template.erp_connector_id for item in document.connections} == {1, 2}


def test_ten_thousand_connections_are_read() -> None:
    """A large document is no problem, and neither is one that is wrong everywhere."""
    many = [
        connection(key=f"k{number}", display_name=f"N {number}", config_fields={"P": CANARY})
        for number in range(10_000)
    ]

    assert len(read(*many).connections) == 10_000
    assert len(problems(*[entry | {"active": 1} for entry in many])) == 10_000


# What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": None}, "name: is missing"),
        ({"name": 5}, "name: must be a text, not a number; put it in quotes"),
        ({"name": "a/b"}, 'name: must not contain "/", which separates TENANT/KEY'),
        ({"url": None}, "url: is missing (acme)"),
        (
            {"url": "http://crm.example"},
            "url: must be https; http is for this machine only (127.0.0.1, ::1, localhost) (acme)",
        ),
        (
            {"url": f"https://u:{CANARY}@h"},
            "url: must not contain a user name or password; they belong to the tenant's auth (acme)",
        ),
        ({"soap_url": "x"}, "soap_url: must be an address such as https://crm.example.com (acme)"),
        ({"rest_url": 1}, "rest_url: must be a text, not a number; put it in quotes (acme)"),
        ({"protocol": "saop"}, 'protocol: must be "soap" or "rest"; did you mean "soap"? (acme)'),
        ({"protocol": True}, 'protocol: must be "soap" or "rest", not true or false (acme)'),
        ({"erpsync_services": 83}, "erpsync_services: must be at least 84 (acme)"),
        ({"erpsync_services": "86"}, "erpsync_services: must be a whole number, not a text (acme)"),
        ({"quote_services": 89}, "quote_services: must be at most 88 (acme)"),
        ({"quote_services": 86.0}, "quote_services: must be a whole number, not one with a fraction (acme)"),
        ({"calls_per_second": 0}, "calls_per_second: must be a number from 0.001 to 1000000 (acme)"),
        ({"calls_per_second": True}, "calls_per_second: must be a number, not true or false (acme)"),
        ({"calls_per_second": 10**400}, "calls_per_second: must be a number from 0.001 to 1000000 (acme)"),
        ({"calls_per_second": 1e-320}, "calls_per_second: must be a number from 0.001 to 1000000 (acme)"),
        ({"calls_per_second": float("nan")}, "calls_per_second: must be a number from 0.001 to 1000000 (acme)"),
        ({"calls_per_second": float("inf")}, "calls_per_second: must be a number from 0.001 to 1000000 (acme)"),
        ({"ca_file": "ca.pem"}, "ca_file: must be an absolute path (acme)"),
        ({"ca_file": ""}, "ca_file: must be an absolute path (acme)"),
        ({"client_certificate": 1}, "client_certificate: must be a text, not a number; put it in quotes (acme)"),
        (
            {"client_certificate": "/a\nb"},
            "client_certificate: must be one line without control characters, but character 3 is one (acme)",
        ),
        ({"client_key": "/a.key"}, "client_key: is of no use without a client_certificate (acme)"),
        ({"proxy": 3128}, "proxy: must be a text, not a number; put it in quotes (acme)"),
        ({"proxy": ""}, "proxy: must not be empty (acme)"),
        (
            {"proxy": f"http://u:@{{{CANARY}@proxy.example:3128"},
            "proxy: a reference that starts with @{ is not closed; write @@{ for a literal @{ (acme)",
        ),
        (
            {"proxy": f"http://u:{CANARY}@proxy.example"},
            (
                "proxy: must be an address such as http://proxy.example.com:3128 or "
                "http://user:password@proxy.example.com:3128; references may stand for the user name and the password "
                "only, and a special character is written as %40 (acme)"
            ),
        ),
        (
            {"proxy": f"http://u:{CANARY}@300.1.1.1:3128"},
            "proxy: must name a host and a port that can be ones (acme)",
        ),
        (
            {"proxy": f"http://:{CANARY}@proxy.example:3128"},
            "proxy: must have a user name before the password (acme)",
        ),
        (
            {"rest_url": "http://127.0.0.1", "proxy": "https://proxy.example:3128"},
            "proxy: must be on this machine too where an address of the tenant is http (acme)",
        ),
        ({"calls_per_secnd": 1}, 'calls_per_secnd: is not known; did you mean "calls_per_second"? (acme)'),
        ({"auth": None}, "auth: is missing (acme)"),
        ({"auth": []}, "auth: must be a table, not a list (acme)"),
        ({"auth": {}}, "auth.kind: is missing (acme)"),
        (
            {"auth": {"kind": CANARY}},
            'auth.kind: must be "password" or "ticket" or "bearer" or "system-user" or "refresh-token" (acme)',
        ),
        ({"auth": {"kind": "bearer"}}, "auth.token: is missing (acme)"),
        ({"auth": {"kind": "bearer", "token": ""}}, "auth.token: must not be empty (acme)"),
        ({"auth": {"kind": "bearer", "token": 1}}, "auth.token: must be a text, not a number; put it in quotes (acme)"),
        (
            {"auth": {"kind": "bearer", "token": f"{CANARY}\n"}},
            f"auth.token: must be one line without control characters, but character {len(CANARY) + 1} is one (acme)",
        ),
        (
            {"auth": {"kind": "bearer", "token": f"@{{{CANARY}"}},
            "auth.token: a reference that starts with @{ is not closed; write @@{ for a literal @{ (acme)",
        ),
        ({"auth": {"kind": "bearer", "token": "t", "passwd": CANARY}}, "auth.passwd: is not known (acme)"),
        ({"auth": {"kind": "ticket", "ticket": "t", "password": CANARY}}, "auth.password: is not known (acme)"),
    ],
)
def test_a_wrong_tenant(changes: dict[str, Any], problem: str) -> None:
    """Each field of a tenant is checked; the place and the name are told, secrets are not."""
    assert problems(tenant(), tenant(**{"name": "acme", **changes})) == [
        f"acme.json: tenants[2].{problem}",
        *(
            ["acme.json: tenants[2].name: stands twice; the first is acme.json: tenants[1].name"]
            if "name" not in changes
            else []
        ),
    ]


ONLINE = {"environment": "sod", "context": "Cust12345"}
SYSTEM_USER = {"kind": "system-user", "system_token": "App-1", "private_key": CANARY, "application_token": "t"}


def test_a_tenant_of_online() -> None:
    """It needs no address: its environment tells it."""
    (entry,) = read(tenant(**ONLINE, url=None, auth=SYSTEM_USER, language="nb-NO", time_zone="UTC")).tenants
    spec = entry.spec

    assert ("", Environment.SOD, "Cust12345") == (spec.url, spec.environment, spec.context)
    assert ("nb-NO", "UTC", AuthKind.SYSTEM_USER) == (spec.language, spec.time_zone, spec.auth.kind)
    assert (DriftPolicy.REPORT, False, False) == (spec.drift, spec.careful, spec.sync_all_after_save)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"environment": "sod"}, "context: is missing: it goes with environment (acme)"),
        ({"context": "Cust1"}, "environment: is missing: it goes with context (acme)"),
        ({**ONLINE, "context": "Cust1/.."}, 'context: must be a customer such as "Cust12345" (acme)'),
        ({**ONLINE, "environment": "prod"}, 'environment: must be "sod" or "stage" or "online" (acme)'),
        ({"language": "no\r\nX: y"}, 'language: must be one such as "en" or "nb-NO" (acme)'),
        ({"time_zone": "W. Europe\n"}, "time_zone: must be printable ASCII without blanks around it (acme)"),
        ({"careful": 1}, "careful: must be true or false, not a number (acme)"),
        ({"drift": "undo"}, 'drift: must be "report" or "enforce" (acme)'),
        (
            {"auth": SYSTEM_USER},
            'auth.kind: "system-user" logs in at Online: it needs the tenant\'s environment and context (acme)',
        ),
        (
            {**ONLINE, "auth": {"kind": "refresh-token", "client_id": "i", "client_secret": "s"}},
            "auth.refresh_token: is missing (acme)",
        ),
    ],
)
def test_a_wrong_tenant_of_online(changes: dict[str, Any], problem: str) -> None:
    """What goes together is asked for together; nothing that becomes an address or a header can be more than that."""
    assert [f"acme.json: tenants[1].{problem}"] == problems(tenant(**changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tenant": ""}, "tenant: must have 1 to 127 characters, not 0"),
        ({"key": None}, "key: is missing"),
        ({"key": " no"}, "key: must not begin or end with a blank"),
        ({"erp_connector_id": None}, "erp_connector_id: is missing (acme/no)"),
        ({"erp_connector_id": 0}, "erp_connector_id: must be at least 1 (acme/no)"),
        ({"erp_connector_id": 2**31}, "erp_connector_id: must be at most 2147483647 (acme/no)"),
        ({"erp_connector_id": True}, "erp_connector_id: must be a whole number, not true or false (acme/no)"),
        ({"display_name": None}, "display_name: is missing (acme/no)"),
        ({"display_name": " "}, "display_name: must not be blank (acme/no)"),
        ({"display_name": "x" * 255}, "display_name: must not be longer than 254 characters, but has 255 (acme/no)"),
        (
            {"display_description": "\x00"},
            "display_description: must not contain U+0000 (character 1): XML cannot carry it (acme/no)",
        ),
        (
            {"display_description": "x" * 255},
            "display_description: must not be longer than 254 characters, but has 255 (acme/no)",
        ),
        (
            {"display_description": "\ud800"},
            "display_description: must not contain U+D800 (character 1): XML cannot carry it (acme/no)",
        ),
        ({"active": "yes"}, "active: must be true or false, not a text (acme/no)"),
        ({"all_access": 1}, "all_access: must be true or false, not a number (acme/no)"),
        (
            {"user_group_access_ids": 1},
            "user_group_access_ids: must be a list of whole numbers, not a number (acme/no)",
        ),
        ({"user_group_access_ids": [1, 0]}, "user_group_access_ids[2]: must be at least 1 (acme/no)"),
        ({"associate_access_ids": ["1"]}, "associate_access_ids[1]: must be a whole number, not a text (acme/no)"),
        ({"state": "absnt"}, 'state: must be "present" or "absent"; did you mean "absent"? (acme/no)'),
        ({"config_fields": [CANARY]}, "config_fields: must be a table, not a list (acme/no)"),
        ({"config_fields": {"P": 1234}}, "config_fields.P: must be a text, not a number; put it in quotes (acme/no)"),
        (
            {"config_fields": {"P": True}},
            "config_fields.P: must be a text, not true or false; put it in quotes (acme/no)",
        ),
        ({"config_fields": {"P": [CANARY]}}, "config_fields.P: must be a text, not a list (acme/no)"),
        (
            {"config_fields": {"P": f"{CANARY}\x01"}},
            f"config_fields.P: must not contain U+0001 (character {len(CANARY) + 1}): XML cannot carry it (acme/no)",
        ),
        (
            {"config_fields": {"P": CANARY * 200}},
            f"config_fields.P: must not be longer than 1023 characters, but has {200 * len(CANARY)} (acme/no)",
        ),
        (
            {"config_fields": {"a b": f"@{{file:{CANARY}}}"}},
            'config_fields."a b": a reference @{file:PATH} must name an absolute path (acme/no)',
        ),
        ({"config_fields": {"": CANARY}}, 'config_fields."": a key must have 1 to 254 characters, not 0 (acme/no)'),
        (
            {"config_fields": {"x" * 255: CANARY}},
            f'config_fields."{"x" * 60}": a key must have 1 to 254 characters, not 255 (acme/no)',
        ),
        (
            {"config_fields": {"a\n": CANARY}},
            'config_fields."a\\n": a key must be one line without control characters, but character 2 is one (acme/no)',
        ),
        ({"displayname": "x"}, 'displayname: is not known; did you mean "display_name"? (acme/no)'),
    ],
)
def test_a_wrong_connection(changes: dict[str, Any], problem: str) -> None:
    """Each field of a connection is checked; the place, the tenant and the key are told, values are not."""
    assert problems(connection(**changes)) == [f"acme.json: connections[1].{problem}"]


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
def test_what_a_document_says_about_itself(suffix: str) -> None:
    """As an export does; another kind of document, or a newer one, is refused."""
    convert = {"toml": lambda text: text, "yaml": as_yaml, "json": as_json}[suffix]

    def read_text(head: str) -> Document:
        return read_documents([(f"x.{suffix}", convert(f"{head}\n{TOML}").encode())])

    assert read_text("") == read_text('version = 1\nkind = "document"')
    assert problems_of(lambda: read_text('version = 2\nkind = "run_report"')) == [
        f'x.{suffix}: kind: must be "document"',
        f"x.{suffix}: version: is a newer erpsyncd's; import it with that one",
    ]
    assert problems_of(lambda: read_text("version = 0")) == [f"x.{suffix}: version: must be at least 1"]


def test_null_is_no_value() -> None:
    """A key without a value is a mistake, not a default."""
    assert problems({**connection(), "active": None, "config_fields": {"P": None}, "display_description": None}) == [
        "acme.json: connections[1].display_description: must be a text, not nothing (null); put it in quotes (acme/no)",
        "acme.json: connections[1].active: must be true or false, not nothing (null) (acme/no)",
        "acme.json: connections[1].config_fields.P: must be a text, not nothing (null); put it in quotes (acme/no)",
    ]


def test_long_values_with_references() -> None:
    """Only the literal text of a value can be measured before it is resolved."""
    value = "x" * 1023 + "@{env:A}"

    assert read(connection(config_fields={"P": value})).connections
    assert problems(connection(config_fields={"P": "x" + value}))


def test_an_absent_connection_is_checked_as_far_as_it_goes() -> None:
    """It needs tenant and key only; what else is said has to be right."""
    [found] = read(connection(erp_connector_id=None, display_name=None, state="absent")).connections
    assert (found.present, found.template) == (False, ConnectionTemplate(erp_connector_id=0, display_name=""))

    assert problems(connection(erp_connector_id=0, display_name=None, state="absent", key=None)) == [
        "acme.json: connections[1].key: is missing",
        "acme.json: connections[1].erp_connector_id: must be at least 1",
    ]


def test_names_in_the_place_of_ids() -> None:
    """A connector by name or URL, groups and associates by name: each instead of its ids."""
    named = {"erp_connector": "Visma", "user_groups": ["Sales", "Support", "Sales"], "associates": ["SAL0"]}
    [found] = read(connection(erp_connector_id=None, **named)).connections

    assert ("Visma", 0) == (found.template.erp_connector, found.template.erp_connector_id)
    assert (("Sales", "Support"), ("SAL0",)) == (found.template.user_groups, found.template.associates)
    [beside] = read(connection(user_groups=["Sales"], associate_access_ids=[7])).connections
    assert ((), ("Sales",), (7,)) == (
        beside.template.user_group_access_ids,
        beside.template.user_groups,
        beside.template.associate_access_ids,
    )


def test_names_and_ids_of_the_same_thing() -> None:
    """Both forms of one thing are refused, also where they are empty."""
    both = {"erp_connector": "Visma", "user_groups": [], "user_group_access_ids": [1], "associates": ["A"]}

    assert problems(connection(**both, associate_access_ids=[])) == [
        "acme.json: connections[1].erp_connector: cannot go with erp_connector_id; give one of the two (acme/no)",
        "acme.json: connections[1].user_groups: cannot go with user_group_access_ids; give one of the two (acme/no)",
        "acme.json: connections[1].associates: cannot go with associate_access_ids; give one of the two (acme/no)",
    ]


@pytest.mark.parametrize(
    ("given", "place", "reason"),
    [
        ({"erp_connector": 7}, "erp_connector", "must be a text, not a number; put it in quotes"),
        ({"erp_connector": " "}, "erp_connector", "must not be blank"),
        ({"erp_connector": "x" * 1024}, "erp_connector", "must not be longer than 1023 characters, but has 1024"),
        ({"user_groups": "Sales"}, "user_groups", "must be a list of names, not a text"),
        ({"user_groups": ["a", 7]}, "user_groups[2]", "must be a text, not a number; put it in quotes"),
        ({"associates": ["a", ""]}, "associates[2]", "must not be blank"),
        ({"associates": ["x" * 255]}, "associates[1]", "must not be longer than 254 characters, but has 255"),
        ({"user_groups": None}, "user_groups", "must be a list of names, not nothing (null)"),
    ],
)
def test_names_that_cannot_be_any(given: dict[str, Any], place: str, reason: str) -> None:
    """Each is told with its place."""
    more = {"erp_connector_id": None} if "erp_connector" in given else {}
    entry = connection(**more) | given

    assert problems(entry) == [f"acme.json: connections[1].{place}: {reason} (acme/no)"]


def test_one_connector_by_the_same_name() -> None:
    """Names that are equal but for their case are one connector's, so the display names must differ."""
    first = connection(erp_connector_id=None, erp_connector="Visma")
    second = connection(erp_connector_id=None, erp_connector="visma", key="b")

    (problem,) = problems(first, second)
    assert "has the same tenant, connector and display name" in problem
    assert 2 == len(read(first, second | {"erp_connector": "File"}).connections)


def test_duplicates_inside_the_document() -> None:
    """Across files, too: tenants by name, connections by key and by connector and display name."""
    one = json.dumps({"tenants": [tenant()], "connections": [connection(), connection(key="b", state="absent")]})
    two = json.dumps({"tenants": [tenant()], "connections": [connection(display_name="x"), connection(key="c")]})

    found = problems_of(lambda: read_documents([("1.json", one.encode()), ("2.json", two.encode())]))

    assert found == [
        "2.json: tenants[1].name: stands twice; the first is 1.json: tenants[1].name",
        "2.json: connections[1].key: stands twice; the first is 1.json: connections[1].key",
        (
            "2.json: connections[2].display_name: has the same tenant, connector and display name as another "
            "connection; the first is 1.json: connections[1].display_name"
        ),
    ]
    assert problems_of(lambda: read_documents([("1.json", one.encode())] * 2))


def test_names_that_read_alike_in_one_language() -> None:
    """A tenant may list either of them in that language; another connector or tenant, or an absent one, is fine."""
    several = 'US:"Norway";NO:"Norge"'
    alike = (
        connection(),
        connection(key="b", display_name=several),
        connection(key="c", display_name="Norge"),
        connection(key="d", display_name=several),
    )
    reason = (
        "reads in one language as another connection of this tenant and connector, so that after a create without an "
        "answer nobody could tell which of the two is there"
    )

    found = problems(*alike)

    place = "acme.json: connections[{}].display_name"
    assert found == [
        f"{place.format(2)}: {reason}; the first is {place.format(1)}",
        f"{place.format(3)}: {reason}; the first is {place.format(2)}",
        (
            f"{place.format(4)}: has the same tenant, connector and display name as another connection; "
            f"the first is {place.format(2)}"
        ),
    ]
    elsewhere = (
        alike[1] | {"erp_connector_id": 2}, alike[2] | {"tenant": "other"}, alike[3] | {"state": "absent"},
    )  # fmt: skip
    assert 4 == len(read(alike[0], *elsewhere).connections)


def test_all_problems_of_all_files_at_once() -> None:
    """One unreadable file does not hide the problems of the others."""
    with pytest.raises(ConfigurationError) as caught:
        read_documents([("a.toml", b"x = "), ("b.json", b'{"tenants": [1, {}], "connections": {}}'), ("c.txt", b"")])

    assert str(caught.value).splitlines() == [
        "a.toml, b.json, c.txt cannot be imported",
        "  a.toml: line 1 (its end): is not valid TOML: Invalid value",
        "  b.json: tenants[1]: must be a table, not a number",
        "  b.json: tenants[2].name: is missing",
        "  b.json: tenants[2].url: is missing",
        "  b.json: tenants[2].auth: is missing",
        "  b.json: connections: must be a list of tables ([[connections]]), not a table",
        "  c.txt: the name must end in .toml, .yaml, .yml or .json",
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["tenants", "connections", "x"]), VALUES, min_size=1))
def test_nothing_makes_it_crash(content: dict[str, Any]) -> None:
    """Any JSON is a document or a list of problems."""
    try:
        read_documents([("x.json", json.dumps(content).encode())])
    except ConfigurationError as exc:
        assert exc.problems  # noqa: PT017 -- both endings are right


@given(
    st.dictionaries(
        st.sampled_from(["tenant", "key", "erp_connector_id", "display_name", "active", "config_fields", "state"]),
        VALUES,
    )
)
def test_no_entry_makes_it_crash(entry: dict[str, Any]) -> None:
    """Any value of any field is read or refused."""
    try:
        read_documents([("x.json", json.dumps({"connections": [entry], "tenants": [entry]}).encode())])
    except ConfigurationError as exc:
        assert all(problem.startswith("x.json: ") for problem in exc.problems)  # noqa: PT017 -- both endings are right


# Warnings and references ----------------------------------------------------------------------------------------


def test_a_high_rate_is_warned_about() -> None:
    """More than the vendor allows can be meant, on an installation of one's own."""
    document = read(tenant(calls_per_second=10), tenant(name="b", calls_per_second=11))

    assert document_warnings(document) == (
        "acme.json: tenants[2].calls_per_second: is above 10, the most that the vendor allows (b)",
    )


def test_references_are_checked(tmp_path: Path) -> None:
    """Files always; variables and credentials only when asked for; each reference once, with its first place."""
    good = tmp_path / "good"
    good.write_text(CANARY)
    bad = {"kind": "bearer", "token": "@{env:NONE}", "application_token": f"@{{file:{tmp_path}/none}}"}
    document = read(
        tenant(auth=bad),
        connection(config_fields={"P": f"@{{file:{tmp_path}/none}}", "Q": f"@{{file:{good}}}", "R": "@{systemd:x}"}),
        connection(key="b", display_name="b", config_fields={"P": f"@{{file:{tmp_path}/none}}", "S": "@{env:SET}"}),
        connection(key="c", state="absent", config_fields={"P": "@{file:/not/needed}"}),
    )
    resolver = SecretResolver({"SET": CANARY}, tmp_path)

    with pytest.raises(ConfigurationError) as caught:
        check_references(document, resolver=resolver, resolve=False)
    missing = f"@{{file:{tmp_path}/none}} cannot be read: no such file or directory (and 2 more places)"
    assert caught.value.problems == (f"acme.json: tenants[1].auth.application_token: {missing}",)

    with pytest.raises(ConfigurationError) as caught:
        check_references(document, resolver=resolver, resolve=True)
    assert CANARY not in str(caught.value)
    assert caught.value.problems == (
        "acme.json: tenants[1].auth.token: @{env:NONE} is not set",
        f"acme.json: tenants[1].auth.application_token: {missing}",
        "acme.json: connections[1].config_fields.R: @{systemd:x} cannot be read: no such file or directory",
    )


def test_files_and_proxies_are_checked(tmp_path: Path) -> None:
    """Certificates and keys must be there to be read, whatever stands in them; so must a proxy's password."""
    (tmp_path / "good").write_text("not even PEM")
    document = read(
        tenant(
            ca_file=f"{tmp_path}/none",
            client_certificate=f"{tmp_path}/good",
            client_key=str(tmp_path),
            proxy=f"http://u:@{{file:{tmp_path}/none}}@proxy.example:3128",
        )
    )

    with pytest.raises(ConfigurationError, match="refers to what cannot be read") as caught:
        check_references(document, resolver=SecretResolver({}), resolve=False)

    assert caught.value.problems == (
        f"acme.json: tenants[1].ca_file: {tmp_path}/none cannot be read: no such file or directory (acme)",
        f"acme.json: tenants[1].client_key: {tmp_path} cannot be read: it is not a regular file (acme)",
        f"acme.json: tenants[1].proxy: @{{file:{tmp_path}/none}} cannot be read: no such file or directory",
    )


def test_a_proxy_on_this_machine() -> None:
    """Through it even http is sent, because that stays on this machine."""
    (found,) = read(tenant(url="http://127.0.0.1:8080", proxy="http://localhost:3128")).tenants

    assert found.spec.proxy == parse_template("http://localhost:3128")


def test_readable_references_are_fine(tmp_path: Path) -> None:
    """Nothing is said when everything can be read."""
    (tmp_path / "x").write_text("y")
    document = read(connection(config_fields={"P": f"@{{file:{tmp_path}/x}}@{{env:A}}@{{systemd:x}}"}))

    check_references(document, resolver=SecretResolver({"A": "x"}, tmp_path), resolve=True)
