"""SOAP replies, written as WCF writes them: as text, for lxml would tidy the namespaces up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erpsyncd.sandbox.contract import EXCEPTION_INFO, Dictionary, Kind, Many, Member, Operation, Record
from erpsyncd.sandbox.problems import Problem
from erpsyncd.sandbox.soap_reading import ARRAYS, INSTANCE, SOAP_11, namespace_of

DISPATCHER = "http://schemas.microsoft.com/net/2005/12/windowscommunicationfoundation/dispatcher"
ADDRESSING_NONE = "http://schemas.microsoft.com/ws/2005/05/addressing/none"
SERVICE_MODEL = "http://schemas.datacontract.org/2004/07/System.ServiceModel"

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[&<>\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One way of writing that a client has to read like any other."""

    envelope: str
    instance: str
    arrays: str | None
    """None re-declares the default namespace on every item."""
    redeclare: bool
    """Say the default namespace again on inner elements."""
    empty_exception: bool
    """Success as an empty ExceptionInfo instead of a nil one."""


STYLES = (
    Style(envelope="s", instance="i", arrays="a", redeclare=False, empty_exception=False),
    Style(envelope="soap", instance="b", arrays=None, redeclare=True, empty_exception=True),
    Style(envelope="SOAP-ENV", instance="xsi", arrays="d4p1", redeclare=True, empty_exception=False),
)


def escape(text: str) -> str:
    """Escape text as .NET's XmlWriter does; control characters become references, though XML 1.0 forbids most."""
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], f"&#x{ord(found[0]):X};"), text)


class Writer:
    """Writes values of one reply."""

    def __init__(self, style: Style, namespace: str) -> None:
        self._style = style
        self._namespace = namespace

    def members(self, members: tuple[Member, ...], values: Mapping[str, Any]) -> str:
        """Write a record's members in contract order; those without a value are left out."""
        return "".join(self.element(name, kind, values[name]) for name, kind in members if name in values)

    def element(self, name: str, kind: Kind, value: Any, declarations: str = "") -> str:
        """Write one element of the service's namespace."""
        if value is None:
            return f'<{name} {self._style.instance}:nil="true"{declarations}/>'
        match kind:
            case Record():
                again = f' xmlns="{self._namespace}"' if self._style.redeclare and not declarations else ""
                return f"<{name}{declarations}{again}>{self.members(kind.members, value)}</{name}>"
            case Many(in_arrays=True):
                return self._array(name, kind, value)
            case Many():
                items = "".join(self.element(kind.item, kind.kind, item) for item in value)
                return f"<{name}{declarations}>{items}</{name}>"
            case Dictionary():
                pairs = "".join(
                    f"<{kind.item}><Key>{escape(key)}</Key><Value>{escape(text)}</Value></{kind.item}>"
                    for key, text in value.items()
                )
                return f"<{name}{declarations}>{pairs}</{name}>"
            case _:
                text = str(value).lower() if isinstance(value, bool) else escape(str(value))
                return f"<{name}{declarations}>{text}</{name}>" if text else f"<{name}{declarations}/>"

    def _array(self, name: str, kind: Many, values: list[int]) -> str:
        prefix = self._style.arrays
        if prefix is None:
            return (
                f"<{name}>" + "".join(f'<{kind.item} xmlns="{ARRAYS}">{v}</{kind.item}>' for v in values) + f"</{name}>"
            )
        items = "".join(f"<{prefix}:{kind.item}>{value}</{prefix}:{kind.item}>" for value in values)
        return f'<{name} xmlns:{prefix}="{ARRAYS}">{items}</{name}>'


def write_reply(
    operation: Operation, services: int, values: Mapping[str, Any], *, turn: int, problem: Problem | None = None
) -> bytes:
    """Return the reply envelope. With a *problem* it is the 200 that says Succeeded=false."""
    namespace = namespace_of(services)
    style = STYLES[turn % len(STYLES)]
    writer = Writer(style, namespace)
    instance = f' xmlns:{style.instance}="{INSTANCE}"'
    body = "".join(
        writer.element(name, kind, values[name], instance) for name, kind in operation.reply if name in values
    )
    headers = _headers(style, namespace, problem)
    return (
        f'<{style.envelope}:Envelope xmlns:{style.envelope}="{SOAP_11}">'
        f"<{style.envelope}:Header>{headers}</{style.envelope}:Header>"
        f'<{style.envelope}:Body><{operation.reply_element} xmlns="{namespace}">{body}</{operation.reply_element}>'
        f"</{style.envelope}:Body></{style.envelope}:Envelope>"
    ).encode()


def _headers(style: Style, namespace: str, problem: Problem | None) -> str:
    declared = f'xmlns:h="{namespace}" xmlns="{namespace}" xmlns:{style.instance}="{INSTANCE}"'
    nil = f'{style.instance}:nil="true" {declared}'
    if problem is not None:
        inner = Writer(style, namespace).members(EXCEPTION_INFO.members, exception_info(problem))
        exception = f"<h:ExceptionInfo {declared}>{inner}</h:ExceptionInfo>"
    elif style.empty_exception:
        exception = f"<h:ExceptionInfo {declared}/>"
    else:
        exception = f"<h:ExceptionInfo {nil}/>"
    succeeded = f'<h:Succeeded xmlns:h="{namespace}">{"false" if problem else "true"}</h:Succeeded>'
    return f"{exception}<h:ExtraInfo {nil}/>{succeeded}<h:TimeZone {nil}/>"


def exception_info(problem: Problem) -> dict[str, Any]:
    """Return a problem as the members of SoExceptionInfo."""
    return {
        "Message": problem.message,
        "StackTrace": "   at SuperOffice.Services.Implementation.Sandbox.Throw()",
        "FriendlyText": problem.message,
        "ExceptionType": problem.exception_type,
        "Source": "SuperOffice.Services.Implementation",
        "InnerException": None,
        "Parameters": problem.parameters,
    }


def write_fault(code: str, text: str, *, code_namespace: str | None = None, detail: str = "") -> bytes:
    """Return a soap:Fault. *code* is in SOAP's own namespace unless another one is named."""
    prefix, declared = ("s", "") if code_namespace is None else ("a", f' xmlns:a="{code_namespace}"')
    return (
        f'<s:Envelope xmlns:s="{SOAP_11}"><s:Body><s:Fault>'
        f'<faultcode{declared}>{prefix}:{code}</faultcode><faultstring xml:lang="en-US">{escape(text)}</faultstring>'
        f"{detail}</s:Fault></s:Body></s:Envelope>"
    ).encode()


def write_exception_fault(problem: Problem) -> bytes:
    """Return what WCF makes of an exception that NetServer did not wrap."""
    detail = (
        f'<detail><ExceptionDetail xmlns="{SERVICE_MODEL}" xmlns:i="{INSTANCE}">'
        '<HelpLink i:nil="true"/><InnerException i:nil="true"/>'
        f"<Message>{escape(problem.message)}</Message>"
        "<StackTrace>   at SuperOffice.Services.Implementation.Sandbox.Throw()</StackTrace>"
        f"<Type>{escape(problem.exception_type)}</Type></ExceptionDetail></detail>"
    )
    return write_fault("InternalServiceFault", problem.message, code_namespace=DISPATCHER, detail=detail)
