"""One REST call of an agent, or for a list: from the HTTP request to the JSON answer."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from erpsyncd.sandbox.contract import (
    OPERATIONS,
    Dictionary,
    Kind,
    Many,
    Member,
    Operation,
    Record,
    Scalar,
    checked_int,
    defaults_of,
)
from erpsyncd.sandbox.messages import Refused, Reply, Request, html_reply, json_reply
from erpsyncd.sandbox.options import RestErrors, SandboxTenant
from erpsyncd.sandbox.problems import Problem, SessionProblem, UnreadableRequest
from erpsyncd.sandbox.tenant import TenantState

Work = Callable[[Operation, dict[str, Any]], dict[str, Any]]

_JSON = ("application/json", "text/json")
_DENIED = "Authorization has been denied for this request."
_BY_LOWER_NAME = {(agent, name.lower()): operation for (agent, name), operation in OPERATIONS.items() if operation.rest}
_LANGUAGE_PART = re.compile(r'(?P<language>[A-Za-z]{2}):"(?P<text>[^"]*)"')


def find_operation(agent: str, name: str) -> Operation | None:
    """Return an operation by its name in an address, where case does not count."""
    return _BY_LOWER_NAME.get((agent, name.lower()))


def answer(tenant: TenantState, request: Request, operation: Operation | None, work: Work) -> Reply:
    """Answer one REST request of an agent."""
    if operation is not None and operation.name in tenant.options.lacks:
        operation = None

    def checked() -> Operation:
        found = _existing(request, operation)
        _refuse_method(request, found)
        return found

    return _answered(tenant, request, checked, lambda found: work(found, _arguments(found, request)))


def answer_list(tenant: TenantState, request: Request, name: str, work: Work) -> Reply:
    """Answer a GET for a list, which is what the MDO agent's GetList answers, too."""

    def checked() -> Operation:
        if request.method != "GET":
            message = "The requested resource does not support this method."
            raise Refused(json_reply({"Message": message}, 405, Allow="GET"))
        return OPERATIONS["MDO", "GetList"]

    return _answered(
        tenant, request, checked, lambda found: work(found, {**defaults_of(found.arguments), "Name": name})
    )


def _answered(
    tenant: TenantState,
    request: Request,
    check: Callable[[], Operation],
    work: Callable[[Operation], dict[str, Any]],
) -> Reply:
    try:
        checked = check()
        _refuse_accept(request)
        _authenticate(tenant, request)
        values = work(checked)
    except Refused as refused:
        return refused.reply
    except SessionProblem:
        return json_reply({"Message": _DENIED}, 401, WWW_Authenticate='Basic realm="SuperOffice"')
    except Problem as problem:
        return _failure(tenant.options, problem)
    if not checked.reply:
        return Reply(status=204)
    return json_reply(_selected(_translated(values["Response"], request), request.parameter("$select")))


def _existing(request: Request, operation: Operation | None) -> Operation:
    """Return the operation to run; raise `Refused` where none is."""
    if operation is None:
        message = f"No HTTP resource was found that matches the request URI '{request.path}'."
        raise Refused(json_reply({"Message": message}, 404))
    return operation


def _refuse_method(request: Request, operation: Operation) -> None:
    if request.method == "GET":
        # A GET describes the method and does not run it.
        raise Refused(html_reply(200, f"{operation.agent} Agent: {operation.name}. Use POST to run it."))
    if request.method != "POST":
        message = "The requested resource does not support this method."
        raise Refused(json_reply({"Message": message}, 405, Allow="GET, POST"))


def _refuse_accept(request: Request) -> None:
    if request.header("accept") and not request.accepts(*_JSON, "application/*", "*/*"):
        raise Refused(html_reply(406, "Not Acceptable"))


def _authenticate(tenant: TenantState, request: Request) -> None:
    tenant.check_application_token(request.header("so-apptoken") or None)
    scheme, _, credentials = request.header("authorization").strip().partition(" ")
    match scheme.lower():
        case "basic":
            tenant.check_password(*_basic(credentials))
        case "soticket":
            tenant.check_ticket(credentials.strip())
        case "bearer":
            tenant.check_access_token(credentials.strip())
        case _:
            raise SessionProblem


def _basic(credentials: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise SessionProblem from exc
    if not colon:
        raise SessionProblem
    return user, password


def _arguments(operation: Operation, request: Request) -> dict[str, Any]:
    if not operation.arguments:
        return {}
    if request.media_type not in _JSON:
        message = "The request entity's media type is not supported for this resource."
        raise Refused(json_reply({"Message": message}, 415))
    try:
        return _members(json.loads(request.body.decode("utf-8-sig")), operation.arguments, "request")
    except (UnreadableRequest, ValueError) as exc:  # also what is no UTF-8
        raise Refused(json_reply({"Message": "The request is invalid.", "MessageDetail": str(exc)}, 400)) from exc


def _members(document: Any, members: tuple[Member, ...], where: str) -> dict[str, Any]:
    """Read an object. Unknown names are skipped, missing ones have their default; names count letter by letter."""
    if not isinstance(document, dict):
        raise UnreadableRequest(f"{where} must be an object.")
    given = {name: _value(document[name], kind, f"{where}.{name}") for name, kind in members if name in document}
    return {**defaults_of(members), **given}


def _value(value: Any, kind: Kind, where: str) -> Any:  # noqa: PLR0911  # one return for each kind
    match kind:
        case Scalar.OPAQUE:
            return None
        case Scalar.INT if type(value) is int:
            return checked_int(value, where)
        case Scalar.BOOLEAN if isinstance(value, bool):
            return value
        case Scalar.STRING if value is None or isinstance(value, str):
            return value
        case Record() | Many() | Dictionary() if value is None:
            return None
        case Record():
            return _members(value, kind.members, where)
        case Many() if isinstance(value, list):
            return [_value(item, kind.kind, f"{where}[{number}]") for number, item in enumerate(value)]
        case Dictionary() if isinstance(value, dict):
            return {key: _value(text, Scalar.STRING, f"{where}.{key}") or "" for key, text in value.items()}
    raise UnreadableRequest(f"Error converting value of {where}.")


def _failure(options: SandboxTenant, problem: Problem) -> Reply:
    match options.rest_errors:
        case RestErrors.NULL:
            return json_reply(None)
        case RestErrors.OBJECT:
            return json_reply({"Message": problem.message, "MessageDetail": problem.exception_type})
        case RestErrors.STATUS:
            members = {
                "Error": True,
                "ErrorType": problem.kind,
                "ErrorMessage": problem.message,
                "ErrorSource": "SuperOffice.Services.Implementation",
            }
            return json_reply(members, 500)


def _selected(value: Any, select: str) -> Any:
    """Null out every member that `$select` does not name."""
    wanted = {name.strip().lower() for name in select.split(",") if name.strip()}
    if not wanted:
        return value
    if isinstance(value, list):
        return [_selected(item, select) for item in value]
    if isinstance(value, Mapping):
        return {name: member if name.lower() in wanted else None for name, member in value.items()}
    return value


def _translated(value: Any, request: Request) -> Any:
    """Flatten multi-language texts where the client asks for a language. Written back, the others are lost."""
    language = request.header("so-language") or request.header("accept-language")
    if language in {"", "x", "*"}:
        return value
    return _flattened(value, language[:2].lower())


def _flattened(value: Any, language: str) -> Any:
    if isinstance(value, list):
        return [_flattened(item, language) for item in value]
    if isinstance(value, Mapping):
        return {name: _flattened(member, language) for name, member in value.items()}
    if not isinstance(value, str):
        return value
    parts = {found["language"].lower(): found["text"] for found in _LANGUAGE_PART.finditer(value)}
    return parts.get(language, next(iter(parts.values()), value))
