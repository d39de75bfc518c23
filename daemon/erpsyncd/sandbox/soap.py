"""One SOAP call: from the HTTP request to the reply, with every way in which WCF turns a request down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from erpsyncd.sandbox import soap_reading as reading
from erpsyncd.sandbox import soap_writing as writing
from erpsyncd.sandbox.contract import OPERATIONS, Operation, defaults_of
from erpsyncd.sandbox.messages import Refused, Reply, Request, html_reply
from erpsyncd.sandbox.options import SandboxTenant
from erpsyncd.sandbox.problems import Problem, UnreadableRequest
from erpsyncd.sandbox.tenant import TenantState

Work = Callable[[Operation, dict[str, Any]], dict[str, Any]]

_HEADERS = {"Content-Type": "text/xml; charset=utf-8"}
_CHARSETS = {"", "utf-8", "utf-16", "utf-16le", "utf-16be"}
_MOVING_VERSION = 88
_ACCESS_TOKENS_SINCE = 86


def action_operation(request: Request) -> str:
    """Return the operation that SOAPAction names; empty where there is none."""
    return _soap_action(request).rpartition("/")[2]


def time_zone_of(request: Request, services: int) -> str:
    """Return what the TimeZone header of a request says, its id or its location; empty where there is none."""
    if b"TimeZone" not in request.body:
        return ""
    try:
        envelope = reading.parse_envelope(request.body)
    except (reading.NotXml, reading.VersionMismatch):
        return ""
    namespace = reading.namespace_of(services)
    parts = (f"TimeZone/{name}" for name in ("SoTimeZoneId", "SoTimeZoneLocationCode"))
    return next((text for path in parts if (text := reading.read_header(envelope, namespace, path))), "")


def answer(tenant: TenantState, request: Request, services: int, agent: str, work: Work) -> Reply:
    """Answer one SOAP request."""
    try:
        envelope = _envelope(request, services)
        operation = _operation(tenant.options, request, services, agent)
        arguments = _arguments(envelope, services, operation)
    except Refused as refused:
        return refused.reply
    try:
        _authenticate(tenant, operation, envelope, services)
        values = work(operation, arguments)
    except Problem as problem:
        return _failure(tenant, operation, services, problem)
    values = _fitting(values, tenant.options, services)
    return _reply(writing.write_reply(operation, services, values, turn=tenant.next_turn()))


def _envelope(request: Request, services: int) -> etree._Element:
    if request.method != "POST":
        raise Refused(html_reply(405, "Method Not Allowed", Allow="POST"))
    if request.media_type != "text/xml" or _charset(request) not in _CHARSETS:
        title = "Cannot process the message: the content type must be text/xml; charset=utf-8"
        raise Refused(html_reply(415, title))
    try:
        envelope = reading.parse_envelope(request.body)
        reading.check_headers(envelope, reading.namespace_of(services))
    except reading.NotXml:
        raise Refused(html_reply(400, "Bad Request")) from None
    except reading.VersionMismatch:
        raise _fault("VersionMismatch", "The envelope version is not that of Soap11.") from None
    except reading.MustUnderstand as exc:
        raise _fault("MustUnderstand", f"The header {exc} was not understood.") from exc
    return envelope


def _operation(options: SandboxTenant, request: Request, services: int, agent: str) -> Operation:
    """Return the operation of this agent that SOAPAction names letter by letter, if this version has it."""
    operation = OPERATIONS.get((agent, action_operation(request)))
    action = _soap_action(request)
    exists = operation is not None and (operation.soap or _is_newer_88(options, services))
    exists = exists and operation is not None and operation.name not in options.lacks
    if operation is not None and exists and action == f"{reading.namespace_of(services)}/{agent}/{operation.name}":
        return operation
    text = f"The message with Action '{action}' cannot be processed at the receiver."
    raise _fault("ActionNotSupported", text, namespace=writing.ADDRESSING_NONE)


def _arguments(envelope: etree._Element, services: int, operation: Operation) -> dict[str, Any]:
    try:
        return reading.read_body(envelope, reading.namespace_of(services), operation.name, operation.arguments)
    except UnreadableRequest as exc:
        text = f"The formatter threw an exception while trying to deserialize the message: {exc}"
        raise _fault("DeserializationFailed", text, namespace=writing.DISPATCHER) from exc


def _authenticate(tenant: TenantState, operation: Operation, envelope: etree._Element, services: int) -> None:
    namespace = reading.namespace_of(services)
    tenant.check_application_token(reading.read_header(envelope, namespace, "ApplicationToken"))
    if operation.agent != "SoPrincipal":
        ticket = reading.read_header(envelope, namespace, "Credentials/Ticket")
        tenant.check_ticket(ticket, access_token=services >= _ACCESS_TOKENS_SINCE)


def _failure(tenant: TenantState, operation: Operation, services: int, problem: Problem) -> Reply:
    if not tenant.options.wrap_exceptions:
        return Reply(status=500, body=writing.write_exception_fault(problem), headers=_HEADERS)
    nothing = defaults_of(operation.reply)
    return _reply(writing.write_reply(operation, services, nothing, turn=tenant.next_turn(), problem=problem))


def _fitting(values: dict[str, Any], options: SandboxTenant, services: int) -> dict[str, Any]:
    """Leave out what only the newer build of Services88 knows."""
    response = values.get("Response")
    if _is_newer_88(options, services) or not isinstance(response, dict | list):
        return values
    fitting = [_without_status(each) for each in response] if isinstance(response, list) else _without_status(response)
    return {**values, "Response": fitting}


def _without_status(response: Any) -> Any:
    if not isinstance(response, dict):
        return response
    return {name: value for name, value in response.items() if name != "Status"}


def _is_newer_88(options: SandboxTenant, services: int) -> bool:
    return services == _MOVING_VERSION and options.newer_services88


def _soap_action(request: Request) -> str:
    action = request.header("soapaction").strip()
    quoted = len(action) > 1 and action[0] == action[-1] == '"'
    return action[1:-1] if quoted else action


def _charset(request: Request) -> str:
    for parameter in request.header("content-type").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _reply(body: bytes) -> Reply:
    return Reply(status=200, body=body, headers=_HEADERS)


def _fault(code: str, text: str, *, namespace: str | None = None) -> Refused:
    body = writing.write_fault(code, text, code_namespace=namespace)
    return Refused(Reply(status=500, body=body, headers=_HEADERS))
