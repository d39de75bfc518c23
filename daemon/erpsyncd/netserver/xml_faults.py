"""Failures in SOAP replies: the vendor's header parts, SOAP faults of 1.1 and 1.2, WCF's details."""

from __future__ import annotations

import re
from collections.abc import Iterator

from erpsyncd.errors import NOT_HERE_FAULT
from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.envelopes import services_tag
from erpsyncd.netserver.failures import FAILED_AUTHENTICATION, Fault, short_type
from erpsyncd.netserver.xml_parsing import Envelope, Node
from erpsyncd.netserver.xml_values import is_blank, is_nil, read_bool

#: NetServer's own exceptions, as the text of a fault without details begins. Further in, they may be quotations.
_TYPE_IN_TEXT = re.compile(r"(?:SuperOffice\.Exceptions\.)?So[A-Za-z]{1,60}Exception\b")


def find_fault(envelope: Envelope, version: int) -> Fault | None:
    """Return what went wrong, if the envelope says so in any of the ways there are.

    Raises:
        Unreadable: `Succeeded` is neither true nor false, or a header comes twice.
    """
    if envelope.fault is not None:
        return _soap_fault(envelope.fault)
    info = _header_part(envelope, "ExceptionInfo", version)
    chain = list(_exception_chain(info)) if info is not None and not is_nil(info) else []
    if chain:
        return _innermost(chain)
    return Fault() if succeeded(envelope, version) is False else None


def succeeded(envelope: Envelope, version: int) -> bool | None:
    """Return what the header says in so many words; None where it does not.

    Raises:
        Unreadable: `Succeeded` is neither true nor false, or comes twice.
    """
    flag = _header_part(envelope, "Succeeded", version)
    return None if flag is None or is_blank(flag) else read_bool(flag)


def _header_part(envelope: Envelope, name: str, version: int) -> Node | None:
    tag = services_tag(name, version)
    found = [part for part in envelope.header if part.tag == tag]
    if len(found) > 1:  # which of them would be meant?
        raise Unreadable(f"{name} comes twice")
    return found[0] if found else None


def _local(element: Node) -> str:
    return str(element.tag).rpartition("}")[2]


def _exception_chain(info: Node) -> Iterator[tuple[str, str]]:
    """Yield type and text of the exceptions that say something, outermost first.

    They are those of an ExceptionInfo or a WCF ExceptionDetail.
    """
    level: Node | None = info
    while level is not None and not is_nil(level):
        parts = {_local(part): part for part in level if not is_nil(part)}
        said = {name: (part.text or "").strip() for name, part in parts.items() if name != "InnerException"}
        text = said.get("FriendlyText") or said.get("Message") or ""
        kind = said.get("ExceptionType") or said.get("Type") or ""
        if text or kind or said.get("Source") or said.get("StackTrace"):
            yield (kind if short_type(kind) else "", text)
        level = parts.get("InnerException")


def _innermost(chain: list[tuple[str, str]]) -> Fault:
    """Return the cause, which tells more than what was wrapped around it."""
    types = tuple(kind for kind, _ in chain if kind)
    text = next((text for _, text in reversed(chain) if text), "")
    return Fault(exception_type=short_type(types[-1]) if types else "", text=text, types=types)


def _soap_fault(fault: Node) -> Fault:
    """Read a SOAP fault, 1.1 or 1.2, with or without WCF's details."""
    each_part: list[Node] = list(fault.iter())
    named = {_local(each): each for each in reversed(each_part)}  # the outermost of each name stays
    detail = named.get("ExceptionDetail")
    if detail is None:
        detail = named.get("ExceptionInfo")
    reason = named.get("faultstring")
    if reason is None:
        reason = named.get("Text")
    text = (reason.text or "").strip() if reason is not None else ""
    found = _innermost(list(_exception_chain(detail))) if detail is not None else Fault()
    types = found.types or _type_in(text) or _credential_code(named)
    # What WCF itself says is no exception of NetServer's: it has a name, and no part in what the session means.
    kind = short_type(types[-1]) if types else _code_if(NOT_HERE_FAULT, named)
    return Fault(exception_type=kind, text=found.text or text, types=types)


def _type_in(text: str) -> tuple[str, ...]:
    match = _TYPE_IN_TEXT.match(text)
    return (match.group(),) if match is not None else ()


def _credential_code(named: dict[str, Node]) -> tuple[str, ...]:
    """Return the fault's code where it is WS-Security's way to say "not logged in"."""
    code = _code_if(FAILED_AUTHENTICATION, named)
    return (code,) if code else ()


def _code_if(wanted: str, named: dict[str, Node]) -> str:
    """Return the fault's code where it is this one."""
    codes = (named[name].text or "" for name in ("faultcode", "Value") if name in named)
    return wanted if any(code.strip().rpartition(":")[2] == wanted for code in codes) else ""
