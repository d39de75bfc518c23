"""The official WSDL and Swagger files as judges: find them, read them, validate one message against them.

The files belong to SuperOffice and are not part of this project. `ERPSYNCD_CONTRACTS` names the directory
that holds them (`ServicesNN-Agent.wsdl`, `Swagger-v1-AgentAgent.json`); without it `../shared/contracts` is
tried, relative to the repository. A test that needs a file which is not there is skipped, or fails where `CI` is set.

    schemas = load_schemas("ErpSync", 86)           # skips or fails when the file is missing
    schemas.check_request("SaveConnection", envelope)    # bytes or an lxml element; AssertionError says what is wrong
    schemas.check_reply("SaveConnection", envelope)
    schemas.check_element(element)                  # any one element the schema declares globally
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
XSD = "http://www.w3.org/2001/XMLSchema"

_FILE_NAME = re.compile(r"Services(?P<version>\d+)-(?P<agent>\w+)\.wsdl")
_ADVICE = (
    "download the official SuperOffice WSDL (ServicesNN-Agent.wsdl) and Swagger (Swagger-v1-AgentAgent.json) files"
    " and name their directory in ERPSYNCD_CONTRACTS"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One direction of an operation: the body's element and the header elements by name, in WSDL order."""

    body: str
    """`{namespace}LocalName`."""

    headers: Mapping[str, str]
    """Part name to `{namespace}LocalName`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of an agent as the WSDL binds it."""

    soap_action: str
    request: Message
    reply: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """Everything one WSDL file says about messages."""

    agent: str
    version: int
    namespace: str
    operations: Mapping[str, Operation]
    schema: etree.XMLSchema

    def check_element(self, element: etree._Element) -> None:
        """Raise AssertionError where *element* is not what the schema says."""
        # A copy of its own: the schema must not see the envelope around it.
        alone = etree.fromstring(etree.tostring(element, with_tail=False))
        if not self.schema.validate(alone):
            problems = str(self.schema.error_log)
            raise AssertionError(f"{self.agent} {self.version}: {element.tag} is not valid:\n{problems}")

    def check_request(self, operation: str, envelope: bytes | etree._Element) -> None:
        """Raise AssertionError where a request envelope for *operation* breaks the contract."""
        self._check_envelope(self.operations[operation].request, envelope)

    def check_reply(self, operation: str, envelope: bytes | etree._Element) -> None:
        """Raise AssertionError where a reply envelope of *operation* breaks the contract."""
        self._check_envelope(self.operations[operation].reply, envelope)

    def check_body(self, element: etree._Element, message: Message) -> None:
        """Raise AssertionError where *element* is not the body element of *message*."""
        assert element.tag == message.body, f"the body holds {element.tag}, the WSDL says {message.body}"
        self.check_element(element)

    def check_headers(self, elements: Iterable[etree._Element], message: Message) -> None:
        """Raise AssertionError where a header element is undeclared, repeated or invalid. Any may be left out."""
        seen: set[str] = set()
        for element in elements:
            tag = str(element.tag)
            assert tag in message.headers.values(), f"the header {tag} is none of {sorted(message.headers.values())}"
            assert tag not in seen, f"the header {tag} comes twice"
            seen.add(tag)
            self.check_element(element)

    def _check_envelope(self, message: Message, envelope: bytes | etree._Element) -> None:
        root = etree.fromstring(envelope) if isinstance(envelope, bytes) else envelope
        assert root.tag == f"{{{SOAP_11}}}Envelope", f"{root.tag} is no SOAP 1.1 envelope"
        parts = [str(child.tag) for child in root.iterchildren(tag=etree.Element)]
        allowed = ([f"{{{SOAP_11}}}Body"], [f"{{{SOAP_11}}}Header", f"{{{SOAP_11}}}Body"])
        assert parts in allowed, f"an envelope is Header?, Body and nothing else, not {parts}"
        self.check_headers(root.iterfind(f"{{{SOAP_11}}}Header/*"), message)
        bodies = list(root.iterfind(f"{{{SOAP_11}}}Body/*"))
        assert len(bodies) == 1, f"the body holds {len(bodies)} elements"
        self.check_body(bodies[0], message)


def contracts_directory() -> Path:
    """Return where the official files should be; it may not exist."""
    named = os.environ.get("ERPSYNCD_CONTRACTS")
    return Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared" / "contracts"


def available() -> list[tuple[str, int]]:
    """Return the (agent, version) pairs whose WSDL is here, sorted; empty where the directory is missing."""
    found = (_FILE_NAME.fullmatch(path.name) for path in contracts_directory().glob("*.wsdl"))
    return sorted((match["agent"], int(match["version"])) for match in found if match)


def versions(agent: str) -> list[int]:
    """Return the versions to parametrize a test of *agent* with.

    Never empty: with no file at hand it names one version, so that the test runs into `load_schemas`
    and is skipped or failed there instead of vanishing from the report.
    """
    return [version for name, version in available() if name == agent] or [86]


def missing(file_name: str) -> None:
    """End the running test because *file_name* is not here: a skip, or a failure where `CI` is set."""
    reason = f"{file_name} is missing: {_ADVICE}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def wsdl_path(agent: str, version: int) -> Path:
    """Return the path of a WSDL; skips or fails the running test where there is none."""
    path = contracts_directory() / f"Services{version}-{agent}.wsdl"
    if not path.is_file():
        missing(path.name)
    return path


def load_schemas(agent: str, version: int) -> Schemas:
    """Return the contract of one agent; skips or fails the running test where its file is missing."""
    return _read(wsdl_path(agent, version), agent, version)


def load_swagger(agent: str) -> dict[str, Any]:
    """Return the Swagger document of an agent (`ErpSync`, `Quote`); skips or fails where its file is missing."""
    path = contracts_directory() / f"Swagger-v1-{agent}Agent.json"
    if not path.is_file():
        missing(path.name)
    return _read_json(path)


@cache
def _read_json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    return document


@cache
def _read(path: Path, agent: str, version: int) -> Schemas:
    root = etree.parse(path).getroot()
    messages = {
        str(message.get("name")): {
            str(part.get("name")): _qualified(part, "element") for part in message.iterfind(f"{{{WSDL}}}part")
        }
        for message in root.iterfind(f"{{{WSDL}}}message")
    }
    port = {
        str(operation.get("name")): operation for operation in root.iterfind(f"{{{WSDL}}}portType/{{{WSDL}}}operation")
    }
    operations = {
        str(bound.get("name")): Operation(
            soap_action=_find(bound, f"{{{WSDL_SOAP}}}operation").get("soapAction", ""),
            request=_message(bound, port[str(bound.get("name"))], "input", messages),
            reply=_message(bound, port[str(bound.get("name"))], "output", messages),
        )
        for bound in root.iterfind(f"{{{WSDL}}}binding/{{{WSDL}}}operation")
    }
    return Schemas(
        agent=agent,
        version=version,
        namespace=str(root.get("targetNamespace")),
        operations=operations,
        schema=_compile(root.findall(f"{{{WSDL}}}types/{{{XSD}}}schema")),
    )


def _find(element: etree._Element, path: str) -> etree._Element:
    found = element.find(path)
    assert found is not None, f"the WSDL has no {path} in {element.get('name')}"
    return found


def _qualified(element: etree._Element, attribute: str) -> str:
    """Resolve a `prefix:name` attribute to `{namespace}name`."""
    prefix, _, name = str(element.get(attribute)).rpartition(":")
    return f"{{{element.nsmap[prefix or None]}}}{name}"


def _message(
    bound: etree._Element, declared: etree._Element, direction: str, messages: Mapping[str, Mapping[str, str]]
) -> Message:
    """Join what portType (the body's message) and binding (the header parts) say about one direction."""
    body_parts = messages[str(_find(declared, f"{{{WSDL}}}{direction}").get("message")).rpartition(":")[2]]
    headers = {
        str(header.get("part")): messages[str(header.get("message")).rpartition(":")[2]][str(header.get("part"))]
        for header in bound.iterfind(f"{{{WSDL}}}{direction}/{{{WSDL_SOAP}}}header")
    }
    (body,) = body_parts.values()
    return Message(body=body, headers=headers)


class _Embedded(etree.Resolver):
    """Serves the schemas of one WSDL from memory by the name `embedded:N`."""

    def __init__(self, texts: list[bytes]) -> None:
        super().__init__()
        self._texts = texts

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]  # the stubs forget context
        text = self._texts[int(system_url.removeprefix("embedded:"))]
        return self.resolve_string(text, context)  # type: ignore[call-arg]  # the stubs ask for what lxml makes optional


def _compile(schemas: list[etree._Element]) -> etree.XMLSchema:
    """Compile all the schemas that a WSDL embeds into one that knows their global elements."""
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Embedded([etree.tostring(schema, with_tail=False) for schema in schemas]))
    imports = "".join(
        f'<xs:import namespace="{schema.get("targetNamespace")}" schemaLocation="embedded:{number}"/>'
        for number, schema in enumerate(schemas)
    )
    driver = f'<xs:schema xmlns:xs="{XSD}">{imports}</xs:schema>'
    return etree.XMLSchema(etree.fromstring(driver, parser))
