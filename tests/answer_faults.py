"""Faults of answers: NetServer says no, or what comes back cannot be used, or says nothing about the work it did."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import fault_kinds as kinds
import wire_faults as wire
from fault_kinds import EXCEPTIONS, OddCase, WireCase
from faulty_proxy import Fault, Visit
from netserver_support import NIL

_ID = re.compile(rb'(ErpConnectionId(?:>|":))(\d+)')
_SUCCEEDED = re.compile(rb"(<\w+:Succeeded[^>]*>)true(</[^>]+>)")
_REPLY = re.compile(rb"<(\w+Response) .*</\1>", re.DOTALL)
#: The id of a connection that stands in the tenant already and is nobody's in the store.
_KNOWN_ID = b"1"
_TWO_ENTITIES = '<!ENTITY f SYSTEM "file:///etc/hostname"><!ENTITY s SYSTEM "http://ELSEWHERE/entity">'
_LAUGHS = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 11))


def _with_id(new: bytes) -> Fault:
    return wire.spoiled(lambda _visit, body: _ID.sub(rb"\g<1>" + new, body))


def _id_twice(visit: Visit, body: bytes) -> bytes:
    between = b"</ErpConnectionId><ErpConnectionId>" if visit.request.protocol == "soap" else b',"ErpConnectionId":'
    return _ID.sub(rb"\g<0>" + between + b"999", body)


#: The exceptions of domain.md §2.1 that say nothing about the session, with what they mean.
_EXCEPTIONS = {
    "SoSentryException": "The user has no right to do this.",
    "SoLicenseException": "A license is missing.",
    "SoValidationException": "Some fields were refused.",
    "SoInvalidArgumentException": "A parameter was refused.",
    "SoIllegalOperationException": "This cannot be done now.",
    "SoDuplicateException": "There is one like it already.",
    "SoDbAccessException": "The tenant's database failed.",
    "SoNotSupportedException": "This installation cannot do that.",
    "SoNotImplementedException": "This version cannot do that.",
    "SoAsyncProviderTimeoutException": "Something inside took too long.",
}
_SESSION_EXCEPTIONS = {
    "SoSessionException": "The session is not known (any more).",
    "SoInvalidPasswordException": "The password is not accepted.",
}


def _exception_cases() -> tuple[WireCase, ...]:
    """Return the cases of every ExceptionType that is known."""
    said = (
        kinds.said_no(
            name=name,
            what=what,
            fault=wire.answering(wire.refused_with(name)),
        )
        for name, what in _EXCEPTIONS.items()
    )
    refused = (
        kinds.turned_away(
            group=EXCEPTIONS,
            name=f"{name} ({protocol})",
            what=what,
            error_class="unauthorized",
            ends_pass=True,
            fault=wire.answering(wire.refused_with(name)),
            note=note,
            **more,
        )
        for name, what in _SESSION_EXCEPTIONS.items()
        for protocol, note, more in (
            ("SOAP", "As 401. Believed of the outermost exception only.", kinds.LOGIN_AGAIN),
            ("REST", "As 401.", kinds.NO_OTHER_LOGIN),
        )
    )
    return (*said, *refused)


EXCEPTION_CASES = (
    *_exception_cases(),
    kinds.said_no(
        name="SoNotFoundException",
        what="Something that the request names is not there.",
        fault=wire.answering(wire.refused_with("SoNotFoundException")),
        note="A read is believed only if the tenant's list agrees.",
        read_error_class="malformed",
    ),
    kinds.said_no(
        name="SoServerException",
        what="NetServer passes on what went wrong further in.",
        fault=wire.answering(
            wire.refused_with("SoServerException", inner="SuperOffice.Exceptions.SoDbAccessException")
        ),
        note="The cause is shown, not what was wrapped around it.",
    ),
    kinds.said_no(
        name="no reason",
        what="`Succeeded=false` and nothing else.",
        fault=wire.answering(wire.in_soap(f"<Response {NIL}/>", headers="<Succeeded>false</Succeeded>")),
        protocols=("soap",),
    ),
    kinds.said_no(
        name="an exception and success",
        what="`Succeeded=true` beside a filled `ExceptionInfo`.",
        fault=wire.answering(
            wire.in_soap(
                f"<Response {NIL}/>",
                headers="<ExceptionInfo><Message>no</Message></ExceptionInfo><Succeeded>true</Succeeded>",
            )
        ),
        protocols=("soap",),
        note="The exception is believed.",
    ),
    kinds.said_no(
        name="a message and 200",
        what="An object with `Message` and `MessageDetail` instead of a result.",
        fault=wire.answering(wire.in_json({"Message": "An error has occurred.", "MessageDetail": "No."})),
        protocols=("rest",),
    ),
)

UNUSABLE_CASES = (
    kinds.unusable(
        name="a page for people",
        what="200 with an HTML page: a proxy's, a login form, a maintenance page.",
        fault=wire.page(),
        note="The message says so and names the setting to look at.",
    ),
    kinds.unusable(
        name="another format",
        what="JSON where XML belongs, or the other way round.",
        fault=wire.answering(wire.saying(wire.in_json({"ErpConnectionId": 7}), wire.in_soap("<Response/>"))),
    ),
    kinds.unusable(name="an empty body", what="200 and no body.", fault=wire.answering()),
    kinds.unusable(
        name="an empty response",
        only_replies=True,  # a list that is nil is an empty list (contract.md)
        what="`Response` is nil.",
        fault=wire.answering(wire.in_soap(f"<Response {NIL}/>")),
        protocols=("soap",),
    ),
    kinds.unusable(name="null", what="200 with `null`.", fault=wire.answering(b"null"), protocols=("rest",)),
    kinds.unusable(
        name="another operation's reply",
        what="The answer to a question that was not asked.",
        fault=wire.answering(
            wire.saying(
                wire.in_soap("<Response><IsOk>true</IsOk></Response>", wrapper="HasConnectionsResponse"),
                wire.in_json({"IsOk": True, "UserExplanation": ""}),
            )
        ),
    ),
    kinds.unusable(
        only_replies=True,
        name="another connection's id",
        what="The reply carries the id of a connection that the call was not about.",
        fault=_with_id(_KNOWN_ID),
    ),
    kinds.unusable(only_replies=True, name="no id", what="The reply's id is 0.", fault=_with_id(b"0")),
    kinds.unusable(
        only_replies=True, name="an id that is no number", what="The reply's id is a word.", fault=_with_id(b'"seven"')
    ),
    kinds.unusable(
        only_replies=True, name="two ids", what="The reply carries its id twice.", fault=wire.spoiled(_id_twice)
    ),
    kinds.unusable(
        name="neither true nor false",
        what="`Succeeded` holds another word.",
        fault=wire.answering(wire.good_but("", headers="<Succeeded>perhaps</Succeeded>")),
        protocols=("soap",),
    ),
    kinds.unusable(
        name="two verdicts",
        what="`Succeeded` comes twice, once as true and once as false.",
        fault=wire.spoiled(lambda _visit, body: _SUCCEEDED.sub(rb"\g<0>\g<1>false\g<2>", body)),
        protocols=("soap",),
    ),
    kinds.unusable(
        name="two replies",
        what="The answer holds two replies.",
        fault=wire.spoiled(lambda _visit, body: _REPLY.sub(rb"\g<0>\g<0>", body)),
        protocols=("soap",),
    ),
    kinds.unusable(
        name="too much",
        what="The answer is larger than `remote.max_body_bytes`.",
        fault=wire.flood,
        note="No more than that is read.",
    ),
    kinds.unusable(
        name="gzip bomb",
        what="A small body that unpacks to a huge one.",
        fault=wire.answering(wire.gzip_bomb(20_000_000), Content_Encoding="gzip"),
        note="Nothing beyond the limit is unpacked.",
    ),
    kinds.unusable(
        name="not in its encoding",
        what="A body that is not compressed as it claims.",
        fault=wire.answering(wire.good, Content_Encoding="gzip"),
    ),
    kinds.unusable(
        name="a document type",
        what="XML with a DTD.",
        fault=wire.answering(wire.with_doctype('<!ENTITY a "x">')),
        protocols=("soap",),
    ),
    kinds.unusable(
        name="entity bomb",
        what='XML entities that multiply ("billion laughs").',
        fault=wire.answering(wire.with_doctype(_LAUGHS, "&a10;")),
        protocols=("soap",),
        note="Entities are not expanded.",
    ),
    kinds.unusable(
        name="external entity",
        what="XML that refers to a file or to another server.",
        fault=wire.answering(wire.with_doctype(_TWO_ENTITIES, "&f;&s;")),
        protocols=("soap",),
        note="Neither is opened.",
    ),
    kinds.unusable(
        name="nested too deeply",
        what="Elements or lists inside each other, hundreds of them.",
        fault=wire.answering(wire.nested(elements=1_000, lists=100_000)),
    ),
    kinds.unusable(
        name="too many elements",
        what="More elements than any answer has, each a few bytes long.",
        fault=wire.answering(wire.good_but("<a/>" * 250_000)),
        protocols=("soap",),
    ),
    kinds.unusable(
        name="half a letter",
        what="Text that is not the UTF-8 it claims to be.",
        fault=wire.answering(lambda visit: wire.good(visit).replace(b"Visma", b"Visma\xc3")),
    ),
)

_LOST: dict[str, Any] = {"error_class": "outcome_unknown", "read_attempts": 3}
_NOT_NOW: dict[str, Any] = {"error_class": "unavailable", "read_attempts": 3}
_SAID_NO: dict[str, Any] = {"error_class": "fault", "read_attempts": 1}
_UNUSABLE: dict[str, Any] = {"error_class": "malformed", "read_attempts": 1}


def _done(name: str, what: str, fault: Fault, **more: Any) -> WireCase:
    what = f"The tenant has done the work; {what}"
    return kinds.done(name=f"done, then {name}", what=what, fault=wire.done_but(fault), **more)


DONE_CASES = (
    _done("reset", "the connection is reset.", wire.reset, **_LOST),
    _done("silence", "nothing comes back.", wire.hang, until_deadline=True, **_LOST),
    _done("500", "a page says 500.", wire.page("500 Internal Server Error"), **_NOT_NOW),
    _done("503", "a proxy says 503.", wire.page("503 Service Unavailable"), **_NOT_NOW),
    _done("504", "a proxy had no patience.", wire.page("504 Gateway Timeout"), **_LOST),
    _done(
        "a fault",
        "something failed afterwards, and a SOAP fault says so.",
        wire.answering(wire.soap_fault("SoServerException"), "500 Internal Server Error"),
        protocols=("soap",),
        **_SAID_NO,
    ),
    _done(
        "an error",
        "something failed afterwards: `Succeeded=false`, or an error object.",
        wire.answering(wire.refused_with("SoServerException")),
        **_SAID_NO,
    ),
    _done("a page", "what comes back is an HTML page with 200.", wire.page(), **_UNUSABLE),
    _done("garbage", "what comes back cannot be read.", wire.answering(b"\x00\xff<garbage"), **_UNUSABLE),
    _done("no HTTP", "what comes back is not even HTTP.", wire.garbage_status_line, **_LOST),
)


def _listed_twice(visit: Visit, body: bytes) -> bytes:
    if visit.request.protocol == "soap":
        return re.sub(rb"<MDOListItem.*</MDOListItem>", rb"\g<0>\g<0>", body, flags=re.DOTALL)
    return json.dumps(json.loads(body) * 2).encode()


def _with_head(**headers: str) -> Fault:
    return wire.rewritten(lambda answer: wire.http(answer.body, **headers))


ODD_CASES = (
    OddCase(
        name="another content type",
        what="A good answer that calls itself plain text.",
        fault=_with_head(kind="text/plain"),
    ),
    OddCase(
        name="compressed without being asked",
        what="A good answer, packed with gzip.",
        fault=wire.rewritten(lambda answer: wire.http(gzip.compress(answer.body), Content_Encoding="gzip")),
    ),
    OddCase(
        name="another encoding",
        what="A good answer in UTF-16 instead of UTF-8.",
        fault=wire.rewritten(lambda answer: wire.http(answer.body.decode().encode("utf-16"))),
    ),
    OddCase(
        name="in chunks",
        what="A good answer, cut into chunks of seven bytes.",
        fault=wire.rewritten(lambda answer: wire.chunked(answer.body, 7)),
    ),
    OddCase(
        name="please wait",
        what="Interim answers (`100 Continue`, `102 Processing`) before the real one.",
        fault=wire.rewritten(
            lambda answer: b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + answer.raw
        ),
    ),
    OddCase(
        name="closed after each answer",
        what="A good answer, after which the connection is closed.",
        fault=wire.then(wire.hang_up),
    ),
    OddCase(
        name="listed twice",
        what="The tenant's list shows every connection twice.",
        fault=wire.spoiled(_listed_twice),
        operations=("GetList", "GetAllConnections"),
    ),
)
