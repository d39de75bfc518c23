"""The system user of an online tenant: its signature, the exchange for a token, and what a "no" means.

Sources: domain.md §3.4. The signature is over the system token and the minute in UTC, so this machine's clock is
part of the credentials; that is told apart from credentials that were refused.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from erpsyncd.domain.items import command
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.sessions import OpenSession
from erpsyncd.domain.tenants import Credentials
from erpsyncd.errors import ClockSkewed, ConfigurationError, MalformedResponse, RemoteFault, Unauthorized
from erpsyncd.netserver.calls import Call, Endpoint, Exchange, Reply
from erpsyncd.netserver.carriers import Unreadable
from erpsyncd.netserver.failures import one_line, raise_for_failure, unreadable
from erpsyncd.netserver.json_replies import find_fault, parse_json
from erpsyncd.netserver.logins import ticket_session

_PATH = "/Login/api/PartnerSystemUser/Authenticate"
#: Two clocks that differ by less agree: the signature has whole minutes, and answers take their time.
CLOCKS_AGREE = timedelta(seconds=60)

_INVALID_TIMESTAMP = 6
#: The vendor's AuthorizeErrorCode: its word, and what is to be done (domain.md §3.4). 6 is this machine's clock.
_REFUSALS = {
    1: ("Revoked", "the application's access was revoked; an administrator of the tenant has to approve it again"),
    3: ("Expired", "the approval or the system token has expired; approve the application again, give the new token"),
    4: ("Denied", "the tenant denies the application access; ask its administrator to approve it"),
    5: ("NeedsReapproval", "the application asks for more than was approved; an administrator has to approve it again"),
    7: ("InvalidSignature", "private_key is not the key of this application in this environment; give the right one"),
}
#: How an ErrorMessage may name a code; the time first, because a signature is what holds it.
_WORDS = (
    (_INVALID_TIMESTAMP, re.compile(r"time ?stamp", re.IGNORECASE)),
    (7, re.compile(r"signature", re.IGNORECASE)),
    (5, re.compile(r"needs? ?re-?approv", re.IGNORECASE)),
    (1, re.compile(r"\brevoked\b", re.IGNORECASE)),
    (3, re.compile(r"\bexpired\b", re.IGNORECASE)),
    (4, re.compile(r"\bdenied\b", re.IGNORECASE)),
)
_KNOWN = _REFUSALS.keys() | {_INVALID_TIMESTAMP}
_DIGITS = re.compile(r"[0-9]{1,3}")
_WORDS_OF_BOOLEANS = {"true": True, "false": False}
_NUMBER = re.compile(r"error ?code\W{0,3}(\d{1,3})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAnswer:
    """What the login service gave: a token nobody has looked into yet, and the time of that service."""

    token: str = field(repr=False)
    date: datetime | None


class TokenReader(Protocol):
    """Finds the ticket in a token that it has validated."""

    async def ticket(self, answer: SignedAnswer) -> Secret:
        """Return the ticket; raises `RemoteError`."""
        ...


def signed_system_token(system_token: Secret, private_key: RSAPrivateKey, at: datetime) -> Secret:
    """Return the token as the login service wants it: `token.yyyymmddHHMM.signature`, in UTC.

    The signature is RSA PKCS#1 v1.5 with SHA-256, in base64, over the first two parts in UTF-8.
    """
    signed = f"{system_token.reveal()}.{at.astimezone(UTC):%Y%m%d%H%M}"
    signature = private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return Secret(f"{signed}.{base64.b64encode(signature).decode()}")


def read_private_key(tenant: str, pem: Secret) -> RSAPrivateKey:
    """Return the key in a PEM text; its own errors are not repeated, they may quote it.

    Raises:
        ConfigurationError: it is none.
    """
    place = f"tenant {tenant}: auth.private_key"
    text = pem.reveal().strip()
    if text.startswith("<"):
        raise ConfigurationError(f"{place} is XML, as the developer portal gives it; convert it to PEM")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise ConfigurationError(f"{place} is encrypted; give it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{place} is not a private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(f"{place} is not an RSA key")
    return key


@dataclass(kw_only=True)
class SystemUserLogin:
    """Exchanges a signed system token for a ticket, by way of a token that is validated."""

    tenant: str
    endpoint: Endpoint
    context: str
    credentials: Credentials
    perform: Callable[[Exchange[SignedAnswer], Secret], Awaitable[SignedAnswer]]
    tokens: TokenReader
    now: Callable[[], datetime]
    _key: RSAPrivateKey | None = field(default=None, init=False, repr=False)

    async def __call__(self) -> OpenSession:
        """Log in.

        Raises:
            ConfigurationError: the private key is none.
            SessionLost, Unauthorized: the login service refused us.
            ClockSkewed: it did because of this machine's clock.
            RemoteError: it did not answer, or not with a token that can be trusted.
        """
        if self._key is None:  # checking a long one takes most of a second, and most passes need no login
            self._key = await asyncio.to_thread(read_private_key, self.tenant, self.credentials.private_key)
        answer = await self.perform(self.exchange(self._key), Secret(""))
        return ticket_session(await self.tokens.ticket(answer), self.now())

    def exchange(self, key: RSAPrivateKey) -> Exchange[SignedAnswer]:
        """Return the exchange of the system token for a JWT; each attempt is signed anew."""

        def write(_: Secret) -> Call:
            signed = signed_system_token(self.credentials.system_token, key, self.now())
            document = {
                "SignedSystemToken": signed.reveal(),
                "ApplicationToken": self.credentials.application_token.reveal(),
                "ContextIdentifier": self.context,
                "ReturnTokenType": "JWT",
            }
            return Call(
                endpoint=self.endpoint,
                headers={"Accept": "application/json", "Content-Type": "application/json; charset=utf-8"},
                body=json.dumps(document).encode(),
                secrets=(signed, self.credentials.system_token, self.credentials.application_token),
            )

        def read(call: Call, reply: Reply) -> SignedAnswer:
            return _read_answer(call, reply, self.tenant, self.now())

        return Exchange(endpoint=self.endpoint, repeatable=True, write=write, read=read)


def system_user_endpoint(host: str) -> Endpoint:
    """Return where a login service takes system tokens."""
    return Endpoint(
        agent="PartnerSystemUser",
        operation="Authenticate",
        url=f"{host.rstrip('/')}{_PATH}",
        advice="check the tenant's environment, and the address of its login service in [online]",
    )


def _read_answer(call: Call, reply: Reply, tenant: str, now: datetime) -> SignedAnswer:
    """Return the token. A "no" in so many words counts whatever the status beside it is."""
    document: Any = None
    problem = "it is no answer of a login service"
    try:
        document = parse_json(reply.body, reply.content_type)
    except Unreadable as exc:
        problem = str(exc)
    members = {name.lower(): value for name, value in document.items()} if isinstance(document, dict) else {}
    said = members.get("issuccessful")
    successful = _WORDS_OF_BOOLEANS.get(said.strip().lower()) if isinstance(said, str) else said
    if not isinstance(successful, bool):
        succeeded = 200 <= reply.status < 300  # noqa: PLR2004 -- the range of success
        raise_for_failure(call, reply, find_fault(document, succeeded=succeeded))
        raise unreadable(call, reply, problem, parsed=document is not None)
    if not successful:
        raise _refusal(call, reply, members, tenant, now)
    token = members.get("token")
    if not isinstance(token, str) or not token:
        raise MalformedResponse(call.endpoint.operation, f"{call.endpoint.where} accepted the login and gave no token")
    return SignedAnswer(token=token, date=reply.date)


def _refusal(call: Call, reply: Reply, members: Mapping[str, Any], tenant: str, now: datetime) -> Exception:
    """Return what a "no" means; `members` have names in lower case.

    One without a reason that is known is not taken for one about the credentials.
    """
    endpoint = call.endpoint
    text = members.get("errormessage")
    said = one_line(text if isinstance(text, str) else "", call.secrets)
    code = _code_in(members, said)
    if code == _INVALID_TIMESTAMP:
        message = f"{endpoint.where} refused the time in our signature: {clock_sentence(reply.date, now)}"
        return ClockSkewed(endpoint.operation, message)
    if code not in _REFUSALS:
        return RemoteFault(endpoint.operation, f"{endpoint.where} refused the login: {said or 'it gave no reason'}")
    word, remedy = _REFUSALS[code]
    quoted = f", {said}" if said and said.casefold() != word.casefold() else ""
    resume = command("tenants", "resume", tenant)
    return Unauthorized(
        f"{endpoint.operation}: {endpoint.where} refused the system user ({code} {word}{quoted}): {remedy}; "
        f"then: {resume}"
    )


def _code_in(members: Mapping[str, Any], said: str) -> int | None:
    """Return the code that a member holds, as a number or in words, or that the sentence names."""
    for name in ("authorizeerrorcode", "errorcode"):
        given = members.get(name)
        number = str(given).strip() if not isinstance(given, bool) else ""
        if _DIGITS.fullmatch(number) is not None and int(number) in _KNOWN:
            return int(number)
        if isinstance(given, str) and given:
            said = f"{given} {said}"
    if (numbered := _NUMBER.search(said)) is not None:
        return int(numbered[1])
    return next((code for code, pattern in _WORDS if pattern.search(said)), None)


def clock_sentence(date: datetime | None, now: datetime) -> str:
    """Say how far this machine's clock is off, as far as the other side's Date tells."""
    if date is None:
        return "its answer has no date to compare this machine's clock with; check it: timedatectl"
    off = now - date
    if abs(off) <= CLOCKS_AGREE:
        return "by the date of its answer both clocks agree, so the next pass tries again"
    way = "ahead of" if off > timedelta() else "behind"
    seconds = round(abs(off).total_seconds())
    return f"this machine's clock is {seconds} s {way} it; set it: timedatectl set-ntp true"
