"""One table of statuses for both protocols."""

from __future__ import annotations

from typing import Any

import pytest

from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import Protocol
from erpsyncd.errors import (
    Effect,
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
from erpsyncd.netserver.calls import Reply
from erpsyncd.netserver.failures import Fault, SessionLost, one_line, raise_for_failure, short_type, unreadable
from erpsyncd.netserver.rest import RestDialect
from erpsyncd.netserver.soap import SoapDialect
from netserver_support import call, credentials, reply, tenant_spec

SAID = Fault(exception_type="SoSentryException", text="No rights")
WORDS = Fault(text="some words")
UNCERTAIN, REFUSED = Effect.UNCERTAIN, Effect.REFUSED


@pytest.mark.parametrize(
    ("status", "fault", "error", "effect"),
    [
        (200, SAID, RemoteFault, UNCERTAIN),
        (204, WORDS, RemoteFault, UNCERTAIN),
        (301, None, RemoteRejected, UNCERTAIN),
        (302, SAID, RemoteFault, UNCERTAIN),
        (400, None, RemoteRejected, UNCERTAIN),
        (400, WORDS, RemoteFault, UNCERTAIN),
        (404, None, RemoteNotFound, REFUSED),
        (404, WORDS, RemoteNotFound, REFUSED),
        (404, SAID, RemoteFault, UNCERTAIN),
        (405, None, RemoteRejected, UNCERTAIN),
        (408, None, RemoteUnavailable, UNCERTAIN),
        (413, None, RemoteRejected, UNCERTAIN),
        (421, None, Misdirected, REFUSED),
        (421, WORDS, Misdirected, REFUSED),
        (429, None, RemoteUnavailable, REFUSED),
        (500, None, RemoteUnavailable, UNCERTAIN),
        (500, SAID, RemoteFault, UNCERTAIN),
        (501, None, RemoteUnavailable, UNCERTAIN),
        (502, None, OutcomeUnknown, UNCERTAIN),
        (503, SAID, RemoteUnavailable, UNCERTAIN),
        (504, None, OutcomeUnknown, UNCERTAIN),
        (599, None, RemoteUnavailable, UNCERTAIN),
    ],
)
def test_statuses(status: int, fault: Fault | None, error: type[RemoteError], effect: Effect) -> None:
    """Each status has one class and says what the call may have done."""
    with pytest.raises(RemoteError) as caught:
        raise_for_failure(call(), reply(b"", status), fault)

    assert (error, effect) == (type(caught.value), caught.value.effect)
    assert "SaveConnection" == caught.value.operation
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "fault", "verdict"),
    [
        (401, None, Unauthorized),
        (401, SAID, Unauthorized),
        (403, None, RemoteForbidden),
        (403, SAID, RemoteForbidden),
        (403, Fault(types=("SuperOffice.Exceptions.SoSessionException",)), Unauthorized),
        (200, Fault(types=("SoSessionException", "System.Exception")), Unauthorized),
        (500, Fault(types=("SoInvalidPasswordException",)), Unauthorized),
    ],
)
def test_sessions(status: int, fault: Fault | None, verdict: type[Exception]) -> None:
    """401 and "not logged in" are about us, 403 is about the operation, once a fresh login has not helped."""
    with pytest.raises(SessionLost) as caught:
        raise_for_failure(call(), reply(b"", status), fault)

    found = caught.value.verdict()
    assert verdict is type(found)
    assert str(found).startswith("SaveConnection: crm.acme.example/x ")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success(status: int) -> None:
    """Without a fault, 2xx is none."""
    raise_for_failure(call(), reply(b"<a/>", status), None)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504, 500])
def test_retry_after_is_kept(status: int) -> None:
    """What the tenant asks for reaches the retries."""
    with pytest.raises(RemoteError) as caught:
        raise_for_failure(call(), Reply(status=status, retry_after=7.0), None)

    assert 7.0 == getattr(caught.value, "retry_after", None)


def test_redirect_names_the_setting_and_the_host() -> None:
    """A redirection is not followed; the message has its target's host and the setting to change."""
    with pytest.raises(RemoteRejected, match=r"redirects to other\.example \(302\); set url to"):
        raise_for_failure(call(), Reply(status=302, redirect_host="other.example"), None)
    with pytest.raises(RemoteRejected, match="redirects to an unnamed host"):
        raise_for_failure(call(), Reply(status=302), None)


def _not_found(exchange: Any) -> str:
    with pytest.raises(RemoteNotFound) as caught:
        exchange.read(exchange.write(Secret("t")), Reply(status=404, content_type="text/html", body=b"<html>"))
    return str(caught.value)


def test_not_found_names_the_settings() -> None:
    """A 404 says which address was tried and which settings make it up."""
    soap = SoapDialect(tenant_spec(), credentials())
    rest = RestDialect(tenant_spec(Protocol.REST), credentials())

    assert (
        "HasConnections: there is no crm.acme.example/Remote/Services83/Quote.svc (404); check quote_services = 83 and "
        "url (or soap_url): installations newer than 2020 have no Services83, set quote_services = 86 or 88"
    ) == _not_found(soap.has_connections())
    assert (
        "GetConnection: there is no crm.acme.example/Remote/Services86/ErpSync.svc (404); "
        "check erpsync_services = 86 and url (or soap_url)"
    ) == _not_found(soap.get_connection(1))
    assert (
        "GetConnection: there is no crm.acme.example/api/v1/Agents/ErpSync/GetConnection (404); check url (or rest_url)"
    ) == _not_found(rest.get_connection(1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("SuperOffice.Exceptions.SoSessionException", "SoSessionException"),
        ("SoSessionException", "SoSessionException"),
        ("A.B.SoX, SoCore, Version=9.0.1.2, Culture=neutral", "SoX"),
        ("password=placeholder", ""),
        ("x" * 300, ""),
    ],
)
def test_short_types(given: str, expected: str) -> None:
    """Only the bare name of a type is kept, and nothing that is not one."""
    assert expected == short_type(given)


def test_texts_are_made_harmless() -> None:
    """Foreign text becomes one printable line without our secrets, the longest first."""
    secrets = (Secret("abcd"), Secret("abcdef"), Secret("x"), Secret(""))

    assert "a b [31mred *** *** x" == one_line("a\r\n\tb \x1b[31mred abcdef abcd x", secrets)
    assert 256 == len(one_line("y" * 1000))


@pytest.mark.parametrize(
    "said",
    [
        *("a <b> & c", "a &lt;b&gt; &amp; c", "a  <b>\n& c", "a\x00<b>\u200b& c"),
        *(r"x\u00e9\"y", 'x\u00e9\\"y', 'x\u00e9"y'),
    ],
)
def test_secrets_are_hidden_however_they_are_written(said: str) -> None:
    """A tenant may quote what we sent as it was sent, escaped, or spread over lines."""
    assert "no ***!" == one_line(f"no {said}!", (Secret("a <b> & c"), Secret('x\u00e9"y')))


def test_what_is_left_of_a_secret_on_one_line() -> None:
    """A secret of blanks does not hide every letter that is left of it."""
    assert "a banana" == one_line("a banana", (Secret("a\n\n\n\n"),))


def test_type_that_is_a_secret() -> None:
    """An exception that is called like our password has no name in the message."""
    fault = Fault(exception_type="placeholder", text="no")
    with pytest.raises(RemoteFault) as caught:
        raise_for_failure(call(secrets=(Secret("placeholder"),)), reply(b""), fault)

    assert ("SaveConnection: no", "") == (str(caught.value), caught.value.exception_type)


def test_host_that_is_a_secret() -> None:
    """A redirection to our password does not name it, in small letters either."""
    with pytest.raises(RemoteRejected, match=r"redirects to \*\*\*\.example \(302\)"):
        raise_for_failure(
            call(secrets=(Secret("Placeholder"),)), Reply(status=302, redirect_host="placeholder.example"), None
        )


def test_faults_without_words_still_say_something() -> None:
    """A fault that holds a type alone, or nothing, makes a sentence all the same."""
    for fault, words in ((Fault(exception_type="SoX"), "SoX"), (Fault(), "the tenant gave no reason")):
        with pytest.raises(RemoteFault) as caught:
            raise_for_failure(call(), reply(b""), fault)
        assert f"SaveConnection: {words}" == str(caught.value)


def test_html_with_an_error_status_keeps_the_status() -> None:
    """An HTML page with 500 is the server's failure."""
    with pytest.raises(RemoteUnavailable):
        raise_for_failure(call(), reply(b"<html>", 500), None)


def test_only_what_cannot_be_parsed_is_a_page() -> None:
    """The Content-Type does not make a page of an answer; the first words of one that is nothing else do."""
    page = reply(b"{}", content_type="text/html")

    assert "HTML page" not in str(unreadable(call(), page, "x", parsed=True))
    assert "HTML page" in str(unreadable(call(), page, "x", parsed=False))


ERP_LOGIN = "System.Security.Authentication.AuthenticationException"
SESSION = "SuperOffice.Exceptions.SoSessionException"


@pytest.mark.parametrize(
    ("operation", "types", "lost"),
    [
        ("SaveConnection", (ERP_LOGIN,), False),
        ("SaveConnection", ("Acme.Erp.SoSessionException",), False),
        ("SaveConnection", ("SuperOffice.Exceptions.SoServerException", SESSION), False),
        ("DeleteConnection", ("SuperOffice.Exceptions.SoServerException", SESSION), False),
        ("SaveConnection", (f"{SESSION}, SoCore, Version=9.0.1.2", ERP_LOGIN), True),
        ("GetConnection", ("SuperOffice.Exceptions.SoServerException", SESSION), True),
        ("GetConnection", ("SoServerException", "System.Exception", SESSION), False),
        ("GetConnection", (ERP_LOGIN,), False),
    ],
)
def test_only_the_outermost_exception_is_about_our_session(
    operation: str, types: tuple[str, ...], *, lost: bool
) -> None:
    """A write that failed of somebody's login on the way may have been carried out; a read may be repeated."""
    expected = SessionLost if lost else RemoteFault
    with pytest.raises((SessionLost, RemoteFault)) as caught:
        raise_for_failure(call(operation), reply(b"", 500), Fault(types=types, text="m"))

    assert expected is type(caught.value)
    assert lost or Effect.UNCERTAIN is getattr(caught.value, "effect", None)


@pytest.mark.parametrize(
    ("status", "fault", "error"),
    [
        (403, None, SessionLost),
        (200, Fault(types=(ERP_LOGIN,)), SessionLost),
        (500, Fault(types=("SoServerException", "SoInvalidPasswordException")), SessionLost),
        (500, Fault(types=("SoValidationException",)), SessionLost),
        (500, Fault(text="the user is locked"), SessionLost),
        (500, Fault(text="ActionNotSupported"), RemoteFault),
        (200, Fault(), SessionLost),
        (500, Fault(), RemoteFault),
        (500, None, RemoteUnavailable),
        (503, Fault(text="later"), RemoteUnavailable),
        (200, Fault(types=("SuperOffice.Exceptions.SoDbAccessException", "SqlException")), RemoteFault),
        (200, Fault(types=("SoServerException",)), RemoteFault),
        (200, Fault(types=("SoLicenseException",)), RemoteFault),
        (200, Fault(types=("SoNotSupportedException",)), RemoteFault),
        (200, Fault(types=("SoAsyncProviderTimeoutException",)), RemoteFault),
    ],
)
def test_failed_logins(status: int, fault: Fault | None, error: type[Exception]) -> None:
    """A failed login is a refused one, unless it surely failed of something else; repeating it locks accounts."""
    with pytest.raises(error) as caught:
        raise_for_failure(call("AuthenticateUsernamePassword"), reply(b"", status), fault)

    if isinstance(caught.value, SessionLost):
        assert Unauthorized is type(caught.value.verdict())


def test_a_secret_is_known_as_a_form_and_a_page_have_it() -> None:
    """A login service may quote the form that it was sent, and a page what it could not use."""
    secrets = (Secret("s/e+c r=t"), Secret('it\'s "x"'))

    said = "client_secret=s%2Fe%2Bc+r%3Dt, s%2Fe%2Bc%20r%3Dt, it&#x27;s &quot;x&quot;, it&#39;s &quot;x&quot;"
    assert "client_secret=***, ***, ***, ***" == one_line(said, secrets)
