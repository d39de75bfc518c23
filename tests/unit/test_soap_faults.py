"""Failures over SOAP: in the header, as a fault, with any status; and what of their words we repeat."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpsyncd.domain.secrets import Secret
from erpsyncd.errors import MalformedResponse, RemoteError, RemoteFault
from erpsyncd.netserver.calls import Exchange, Reply
from erpsyncd.netserver.failures import SessionLost
from erpsyncd.netserver.soap import SoapDialect
from netserver_support import (
    ENVELOPE,
    connection_xml,
    credentials,
    damaged,
    erp_connection,
    namespace,
    reply,
    soap_body,
    tenant_spec,
)

SOAP = SoapDialect(tenant_spec(), credentials())
NS = namespace(86)
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


def read(exchange: Exchange[Any], answer: bytes | Reply) -> Any:
    return exchange.read(
        exchange.write(Secret("7T:placeholder")), answer if isinstance(answer, Reply) else reply(answer)
    )


def get(body: bytes | Reply) -> Any:
    return read(SOAP.get_connection(7), body)


def exception(kind: str, message: str, inner: str = "", friendly: str = "") -> str:
    return (
        f"<Message>{message}</Message><StackTrace>at Secret.Place()</StackTrace><FriendlyText>{friendly}</FriendlyText>"
        f"<ExceptionType>{kind}</ExceptionType><Source>s</Source>"
        + (f"<InnerException>{inner}</InnerException>" if inner else "")
    )


SO = "SuperOffice.Exceptions."
HEADER_FAULTS = [
    ("<Succeeded>false</Succeeded>", "", "no reason"),
    ("<Succeeded> False </Succeeded>", "", "no reason"),
    (
        (
            f"<ExceptionInfo>{exception(SO + 'SoSentryException', 'm', friendly='No rights')}</ExceptionInfo>"
            "<Succeeded>false</Succeeded>"
        ),
        "SoSentryException",
        "No rights",
    ),
    (f"<ExceptionInfo>{exception('X', 'only the header says it')}</ExceptionInfo>", "X", "only the header says it"),
    (
        (
            f"<ExceptionInfo>{exception(SO + 'SoServerException', 'outer', exception('SoDbAccessException', 'inner'))}"
            "</ExceptionInfo><Succeeded>true</Succeeded>"
        ),
        "SoDbAccessException",
        "inner",
    ),
    (
        (
            f"<ExceptionInfo>{exception(SO + 'SoLicenseException, SoCore, Version=9.0.1.2', 'outer')}"
            f"<InnerException>{exception('', '')}</InnerException></ExceptionInfo>"
        ),
        "SoLicenseException",
        "outer",
    ),
    ("<ExceptionInfo><StackTrace>at Secret.Place()</StackTrace></ExceptionInfo>", "", "no reason"),
    (f"<ExceptionInfo>{exception('not a type!', 'two' + chr(10) + 'lines')}</ExceptionInfo>", "", "two lines"),
]


@pytest.mark.parametrize(("headers", "kind", "text"), HEADER_FAULTS)
def test_failures_in_the_header(headers: str, kind: str, text: str) -> None:
    """A 200 whose header says that it failed has failed; the innermost exception tells why."""
    with pytest.raises(RemoteFault) as caught:
        get(soap_body("GetConnection", f"<Response>{connection_xml()}</Response>", headers=headers))

    assert kind == caught.value.exception_type
    assert text in str(caught.value)
    assert "Secret.Place" not in str(caught.value)


def fault(inside: str, namespace_: str = ENVELOPE) -> bytes:
    return f'<e:Envelope xmlns:e="{namespace_}"><e:Body><e:Fault>{inside}</e:Fault></e:Body></e:Envelope>'.encode()


DETAIL = (
    '<detail><ExceptionDetail xmlns="http://schemas.datacontract.org/2004/07/System.ServiceModel">'
    "<HelpLink/><InnerException><Message>the cause</Message><Type>System.InvalidOperationException</Type>"
    "</InnerException><Message>around</Message><StackTrace>at Secret.Place()</StackTrace>"
    "<Type>System.Exception</Type></ExceptionDetail></detail>"
)
FAULTS = [
    (fault("<faultstring>it said SoNotFoundException: none</faultstring>"), "", "it said SoNotFound"),
    (fault("<faultcode>s:Server</faultcode><faultstring>broken</faultstring>"), "", "broken"),
    (fault(f"<faultcode>x</faultcode><faultstring>f</faultstring>{DETAIL}"), "InvalidOperationException", "the cause"),
    (
        fault(f"<faultstring>SuperOffice.Exceptions.SoNotFoundException: none ---> x</faultstring>{''}"),
        "SoNotFoundException",
        "none",
    ),
    (
        fault(
            "<e:Code><e:Value>e:Receiver</e:Value></e:Code><e:Reason><e:Text xml:lang='en'>twelve</e:Text></e:Reason>",
            SOAP12,
        ),
        "",
        "twelve",
    ),
    (fault(""), "", "no reason"),
    (
        fault(
            f"<faultstring/><detail><ExceptionInfo xmlns='{NS}'>{exception(SO + 'SoX', 'info')}"
            "</ExceptionInfo></detail>"
        ),
        "SoX",
        "info",
    ),
]


@pytest.mark.parametrize("status", [200, 500, 400])
@pytest.mark.parametrize(("body", "kind", "text"), FAULTS)
def test_faults_of_any_status(status: int, body: bytes, kind: str, text: str) -> None:
    """A SOAP fault is read with any status, from 1.1 and 1.2, with and without details."""
    with pytest.raises(RemoteFault) as caught:
        get(reply(body, status))

    assert kind == caught.value.exception_type
    assert text in str(caught.value)
    assert "Secret.Place" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        fault("<faultstring>SuperOffice.Exceptions.SoSessionException: Authentication failed! ---> x</faultstring>"),
        fault("<faultcode>a:FailedAuthentication</faultcode><faultstring>denied</faultstring>"),
        soap_body(
            "GetConnection",
            "",
            headers=f"<ExceptionInfo>{exception(SO + 'SoSessionException', 'm', exception('SqlException', 'i'))}"
            "</ExceptionInfo>",
        ),
        soap_body(
            "GetConnection",
            "",
            headers=f"<ExceptionInfo>{exception(SO + 'SoInvalidPasswordException', 'm')}</ExceptionInfo>",
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 403, 404, 500, 503])
def test_lost_sessions(body: bytes, status: int) -> None:
    """An outermost exception that says "not logged in" means the session, with whatever status."""
    with pytest.raises(SessionLost) as caught:
        get(reply(body, status))

    assert not caught.value.forbidden


def test_our_secrets_do_not_come_back() -> None:
    """A fault that repeats what we sent is freed of it; it is cut, too."""
    connection = erp_connection(config_fields={"Password": Secret("erp-pass word"), "Flag": Secret("1")})
    text = "cannot log in with erp-pass word and 7T:placeholder and placeholder-app-token in 1 try " + "x" * 300

    with pytest.raises(RemoteFault) as caught:
        read(SOAP.save_connection(connection), fault(f"<faultstring>{text}</faultstring>"))

    assert "cannot log in with *** and *** and *** in 1 try xxx" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_html_is_a_proxy() -> None:
    """A page for people with 200 is said to be one."""
    for answer in (
        Reply(status=200, content_type="text/html; charset=utf-8", body=b"<p>Log in"),
        Reply(status=200, content_type="text/html; charset=utf-8", body=b" Log in"),
        Reply(status=200, content_type="text/xml", body=b"\r\n<!DOCTYPE HTML><html><body/></html>"),
        Reply(status=200, body=b"<html xmlns='http://www.w3.org/1999/xhtml'/>"),
    ):
        with pytest.raises(MalformedResponse, match="an HTML page; a proxy or a login page stands at this address"):
            get(answer)


@given(seed=st.integers(min_value=0, max_value=2**32), status=st.sampled_from([200, 400, 403, 500, 502]))
def test_damaged_faults_stay_in_the_tree(seed: int, status: int) -> None:
    """A damaged fault is read or refused; nothing else ever happens."""
    sources = [body for body, _, _ in FAULTS]
    sources += [soap_body("GetConnection", "", headers=headers) for headers, _, _ in HEADER_FAULTS]
    with contextlib.suppress(RemoteError, SessionLost):
        get(reply(damaged(sources, seed), status))
