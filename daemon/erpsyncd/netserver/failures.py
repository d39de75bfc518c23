"""What an answer means when it is not the one that was hoped for: one table for both protocols.

The text of a fault is the tenant's: it is cut, put on one line and freed of our own secrets before it
becomes part of a message. Bodies never do.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import LOGIN_OPERATIONS
from erpsyncd.errors import (
    Effect,
    MalformedResponse,
    Misdirected,
    OutcomeUnknown,
    RemoteError,
    RemoteFault,
    RemoteForbidden,
    RemoteNotFound,
    RemoteRejected,
    RemoteUnavailable,
    Unauthorized,
)
from erpsyncd.netserver.calls import LOGIN_OPERATION, READING_OPERATIONS, Call, Reply

MAX_TEXT = 256
#: How much of a text is looked at to make a line of it; some are as long as a body can be.
_MAX_FLATTENED = 64 * MAX_TEXT
#: Shorter values are not looked for in a message: replacing every "1" would hide nothing and spoil the sentence.
MIN_HIDDEN = 4

#: A code of WS-Security that says "not logged in".
FAILED_AUTHENTICATION = "FailedAuthentication"
#: NetServer's own ways to say so (domain.md §2.1). They are believed of the outermost exception only: further
#: in, it may be a connector's login at its ERP system that failed, in the middle of the work.
_SESSION_FAULTS = frozenset(
    {"SoSessionException", "SoInvalidPasswordException", "SoAuthenticationException", FAILED_AUTHENTICATION}
)
#: What counts as the type of a login's fault whose body says that the login was refused.
REFUSED_LOGIN = "SoAuthenticationException"
#: What a failed login may say, at any depth; .NET's own exception is about other logins on any other call.
_LOGIN_FAULTS = _SESSION_FAULTS | {"AuthenticationException"}
#: What a login can fail of while nobody has looked at the password.
_NOT_ABOUT_CREDENTIALS = frozenset(
    {
        "SoDbAccessException",
        "SoServerException",
        "SoLicenseException",
        "SoNotSupportedException",
        "SoAsyncProviderTimeoutException",
    }
)
_LOGIN_WORDS = re.compile(
    r"authenticat|log.?(?:in|on)\b|passw|credential|account|user.?name|user is locked", re.IGNORECASE
)
NOT_FOUND_FAULT = "SoNotFoundException"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a readable error said: a SOAP fault, an ExceptionInfo or a JSON error object."""

    exception_type: str = ""
    """The cause's .NET type without namespace and assembly, such as `SoSentryException`; empty where none came."""

    text: str = ""
    """The reason; empty where none came."""

    types: tuple[str, ...] = ()
    """The types of all exceptions that have one, with their namespaces, outermost first."""


class SessionLost(Exception):
    """The session was not accepted, so the call did no work. Never leaves `netserver/`."""

    def __init__(self, call: Call, message: str, *, forbidden: bool) -> None:
        super().__init__(message)
        self.operation = call.endpoint.operation
        #: Answered 403, which may also mean that this operation is not granted to us.
        self.forbidden = forbidden

    def verdict(self) -> Unauthorized | RemoteForbidden:
        """Return what it means when a fresh login has not helped or is not possible."""
        if self.forbidden:
            return RemoteForbidden(self.operation, str(self))
        return Unauthorized(f"{self.operation}: {self}")


def short_type(exception_type: str) -> str:
    """Return the bare name of a .NET type: no namespace, no assembly, nothing that is not a name."""
    name = exception_type.partition(",")[0].strip().rpartition(".")[2]
    return name if name.isidentifier() and len(name) <= MAX_TEXT else ""


def without_secrets(text: str, secrets: tuple[Secret, ...]) -> str:
    """Return the tenant's text without what we sent as secrets, however that was written; the longest go first."""
    values = {way for secret in secrets for way in _ways_to_write(secret.reveal()) if len(way) >= MIN_HIDDEN}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _ways_to_write(value: str) -> tuple[str, ...]:
    """Return a secret as it is, as XML, HTML, JSON and a form have it, and as it reads on one line."""
    as_json = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    octets = value.encode(errors="surrogatepass")
    as_form = quote(octets, safe=""), quote_plus(octets)
    in_page = html.escape(value)
    as_markup = html.escape(value, quote=False), in_page, in_page.replace("&#x27;", "&#39;")
    return value, *as_markup, *as_json, *as_form, _flat(value)


def _flat(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def one_line(text: str, secrets: tuple[Secret, ...] = ()) -> str:
    """Return the tenant's text as we may repeat it: one line, at most 256 characters, none of our secrets."""
    text = without_secrets(text, secrets)[:_MAX_FLATTENED]
    line = without_secrets(_flat(text), secrets)  # flat, it may read like a secret again
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 1]}…"


def unreadable(call: Call, reply: Reply, problem: str, *, parsed: bool) -> MalformedResponse:
    """Return what an answer is that cannot be read: a page for people if it is one, even with 2xx."""
    what = f"gave an answer that cannot be read: {problem}"
    if not parsed and _is_html(reply):
        what = f"answered with an HTML page; a proxy or a login page stands at this address: {call.endpoint.advice}"
    return MalformedResponse(call.endpoint.operation, f"{call.endpoint.where} {what}")


def _is_html(reply: Reply) -> bool:
    """Whether a body that is nothing else is a page: from a proxy, a login form, IIS itself."""
    if "html" in reply.content_type.lower():
        return True
    start = reply.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html"))


def raise_for_failure(call: Call, reply: Reply, fault: Fault | None) -> None:
    """Raise what the answer means, if it is a failure.

    Raises:
        SessionLost: 401, 403, or a fault that says "not logged in", whatever its status.
        RemoteError: any other status outside 2xx, or a fault.
    """
    if fault is not None and _says_not_logged_in(call, fault):
        raise SessionLost(call, _sentence(call, reply, fault, "refused the session"), forbidden=False)
    if (by_status := _BY_STATUS.get(reply.status)) is not None:
        raise by_status(call, reply, fault)
    if fault is not None:
        raise _fault(call, reply, fault)
    if not 200 <= reply.status < 300:  # noqa: PLR2004 -- the range of success
        raise _other(call, reply)


def _says_not_logged_in(call: Call, fault: Fault) -> bool:
    """Whether a fault means that the call did no work because of who we are.

    A read that was repeated for nothing does no harm, so one exception around it is looked through as well.
    """
    operation = call.endpoint.operation
    if operation == LOGIN_OPERATION:
        return any(short_type(each) in _LOGIN_FAULTS for each in fault.types)
    levels = fault.types[: 2 if operation in READING_OPERATIONS else 1]
    return any(short_type(each) in _SESSION_FAULTS and _is_netservers(each) for each in levels)


def _is_netservers(exception_type: str) -> bool:
    """Whether a type has SuperOffice's namespace, or none."""
    return "." not in exception_type.partition(",")[0] or exception_type.strip().startswith("SuperOffice.")


def _may_be_the_password(reply: Reply, fault: Fault) -> bool:
    """Whether a failed login is better not repeated: a wrong password often enough locks the account."""
    if fault.types:
        return not is_about_something_else(fault)
    # A server's own error without a type, such as "ActionNotSupported", is one unless it speaks of logging in.
    return reply.status < 500 or _LOGIN_WORDS.search(fault.text) is not None  # noqa: PLR2004 -- see above


def is_about_something_else(fault: Fault) -> bool:
    """Whether a failed login failed of something that no other password would mend."""
    return any(short_type(each) in _NOT_ABOUT_CREDENTIALS for each in fault.types)


def _sentence(call: Call, reply: Reply, fault: Fault | None, what: str) -> str:
    head = f"{call.endpoint.where} {what} ({reply.status})"
    text = one_line(fault.text, call.secrets) if fault is not None else ""
    return f"{head}: {text}" if text else head


def _fault(call: Call, reply: Reply, fault: Fault) -> Exception:
    if call.endpoint.operation == LOGIN_OPERATION and _may_be_the_password(reply, fault):
        return SessionLost(call, _sentence(call, reply, fault, "refused the login"), forbidden=False)
    kind = fault.exception_type
    if without_secrets(kind, call.secrets) != kind:
        kind = ""
    said = one_line(fault.text, call.secrets) or kind or "the tenant gave no reason"
    status = "" if reply.status == 200 else f" ({call.endpoint.where} answered {reply.status})"  # noqa: PLR2004 -- OK
    named = f"{kind}: {said}" if kind and said != kind else said
    return RemoteFault(call.endpoint.operation, f"{named}{status}", exception_type=kind)


def _other(call: Call, reply: Reply) -> RemoteError:
    endpoint = call.endpoint
    if reply.status >= 500:  # noqa: PLR2004 -- where the server's own errors begin
        message = f"{endpoint.where} failed without a reason ({reply.status})"
        return RemoteUnavailable(endpoint.operation, message, retry_after=reply.retry_after)
    if reply.status < 400:  # noqa: PLR2004 -- where the client's errors begin
        lower = tuple(Secret(secret.reveal().lower()) for secret in call.secrets)  # as host names are written
        target = one_line(reply.redirect_host, lower) or "an unnamed host"
        message = f"{endpoint.where} redirects to {target} ({reply.status}); set url to the address that answers itself"
        return RemoteRejected(endpoint.operation, message)
    return RemoteRejected(endpoint.operation, f"{endpoint.where} rejected the request ({reply.status})")


def _unauthenticated(call: Call, reply: Reply, fault: Fault | None) -> Exception:
    return SessionLost(call, _sentence(call, reply, fault, "refused the credentials"), forbidden=False)


def _forbidden(call: Call, reply: Reply, fault: Fault | None) -> Exception:
    if call.endpoint.operation in LOGIN_OPERATIONS:
        return _unauthenticated(call, reply, fault)
    return SessionLost(call, _sentence(call, reply, fault, "does not grant this operation to us"), forbidden=True)


def _not_found(call: Call, reply: Reply, fault: Fault | None) -> Exception:
    if fault is not None and fault.exception_type:  # NetServer itself is there: it is the record that is missing
        return _fault(call, reply, fault)
    return RemoteNotFound(
        call.endpoint.operation, f"there is no {call.endpoint.where} ({reply.status}); {call.endpoint.advice}"
    )


def _proxy_unauthorized(call: Call, reply: Reply, _fault: Fault | None) -> Exception:
    message = f"a proxy before {call.endpoint.where} wants to know who we are ({reply.status}); check proxy"
    return RemoteRejected(call.endpoint.operation, message, effect=Effect.REFUSED)


def _misdirected(call: Call, reply: Reply, _fault: Fault | None) -> Exception:
    message = f"{call.endpoint.where} does not serve this tenant ({reply.status}); set url to its current host"
    return Misdirected(call.endpoint.operation, message)


def _not_now(call: Call, reply: Reply, fault: Fault | None) -> Exception:
    refused = reply.status == 429  # noqa: PLR2004 -- Too Many Requests is decided before any work
    return RemoteUnavailable(
        call.endpoint.operation,
        _sentence(call, reply, fault, "asks us to come back later"),
        effect=Effect.REFUSED if refused else Effect.UNCERTAIN,
        retry_after=reply.retry_after,
    )


def _no_answer(call: Call, reply: Reply, fault: Fault | None) -> Exception:
    message = _sentence(call, reply, fault, "passed the call on and got no answer")
    return OutcomeUnknown(call.endpoint.operation, message, retry_after=reply.retry_after)


_BY_STATUS: dict[int, Callable[[Call, Reply, Fault | None], Exception]] = {
    401: _unauthenticated,
    403: _forbidden,
    404: _not_found,
    407: _proxy_unauthorized,
    408: _not_now,
    421: _misdirected,
    429: _not_now,
    502: _no_answer,
    503: _not_now,
    504: _no_answer,
}
