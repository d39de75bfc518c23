"""Reads a damaged reply with everything that erpsyncd has, and says what is wrong with what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any
from xml.sax.saxutils import escape

from erpsyncd.domain.connections import ConnectionSpec, ErpConnection, ListedConnection
from erpsyncd.domain.results import PluginResponse
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import AuthKind, Protocol, TenantSpec
from erpsyncd.errors import Effect, RemoteError, Unauthorized
from erpsyncd.netserver.apis import NetServerApis
from erpsyncd.netserver.calls import LOGIN_OPERATION
from erpsyncd.netserver.explanations import MAX_EXPLANATION
from erpsyncd.netserver.limits import RemoteLimits
from erpsyncd.netserver.rate import RateLimiter
from erpsyncd.netserver.wire import Answer, BodyTooLarge, Request
from fuzz_captures import (
    ACTIONS,
    ANYWHERE,
    CONFIG_SECRETS,
    CREATE,
    KNOWN_ID,
    LOGIN,
    PASSWORD,
    TICKET,
    TOKEN,
    UPDATE,
    Capture,
    HttpReply,
)
from fuzz_replies import damaged_reply
from netserver_support import credentials, operation_asked_for
from processor_time import TookTooLong, processor_time

SEED = int(os.environ.get("ERPSYNCD_FUZZ_SEED", "20260301"))

#: No second attempts and no pauses, whatever a reply asks for; no body of the fuzz is as large as that.
LIMITS = RemoteLimits(attempts=1, retry_after_max_seconds=0, max_body_bytes=4 * 1024 * 1024)
#: No reply here costs a tenth of this, however slow and busy the machine; what is quadratic costs far more.
MAX_CPU_SECONDS = 5.0
#: Where, what, the type of an exception, and 256 characters of the tenant's own words.
MAX_MESSAGE = 1024


def _limiter() -> RateLimiter:
    """Return a limiter for which a second goes by whenever it looks, so that nothing waits."""
    return RateLimiter(clock=count(step=1.0).__next__, sleep=lambda _: asyncio.sleep(0))


@dataclass(kw_only=True)
class Replay:
    """Answers everything with one reply, or a login with one and everything else with another."""

    reply: HttpReply
    login: HttpReply | None = None
    answered: set[str] = field(default_factory=set)

    async def ask(self, request: Request, max_body: int) -> Answer:
        operation = operation_asked_for(request)
        self.answered.add(operation)
        reply = self.login if self.login is not None and operation == LOGIN_OPERATION else self.reply
        if len(reply.body) > max_body:
            raise BodyTooLarge
        return Answer(reply.status, reply.headers, reply.body)

    async def aclose(self) -> None:
        """Do nothing; there is no connection."""


@dataclass(kw_only=True)
class Reader:
    """Reads replies one by one, counts what came of them and collects what should not have."""

    captures: Sequence[Capture]
    limits: RemoteLimits = LIMITS
    url: str = ""
    """Where a real server answers, with what it is told to; empty for a replay of the reply itself."""

    results: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    apis: NetServerApis = field(init=False)
    _wire: Replay = field(init=False)

    def __post_init__(self) -> None:
        self.apis = NetServerApis(self.limits, limiter=_limiter, wire=None if self.url else lambda: self._wire)
        vars(self.apis)["_tls"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates, which take time
        self._good = next(each.reply for each in self.captures if each.action == "check")

    async def read_damaged(self, seed: str) -> None:
        """Read one more damaged reply, which the seed alone decides on."""
        dice = Random(seed)
        capture = dice.choice(self.captures)
        await self.read(seed, capture, damaged_reply(dice, capture, self.captures))

    async def read(self, name: str, capture: Capture, reply: HttpReply) -> None:
        """Let the client make the capture's call and be answered with a reply."""
        is_login = capture.action == LOGIN
        self._wire = Replay(reply=self._good, login=reply) if is_login else Replay(reply=reply)
        given = credentials(
            AuthKind.PASSWORD if is_login or capture.dialect.protocol is Protocol.REST else AuthKind.TICKET
        )
        result: Any
        try:
            with processor_time(MAX_CPU_SECONDS):
                async with self.apis.open(self._tenant(capture), given) as api:
                    result = await ACTIONS[capture.action](api)
        except (RemoteError, Unauthorized) as error:
            result = error
        except (Exception, TookTooLong) as error:  # noqa: BLE001 -- this is what the fuzz is looking for
            self._complain(name, f"{type(error).__name__}: {error}", reply)
            return
        await asyncio.sleep(0)  # lets the loop forget the timers of this call
        self.results[type(result).__name__ if isinstance(result, Exception) else "value"] += 1
        answered = self.url or self._wire.answered - {LOGIN_OPERATION}
        problem = (
            _problem_of_error(result, capture, answered=bool(answered))
            if isinstance(result, RemoteError | Unauthorized)
            else _problem_of_value(result, capture)
        )
        if problem:
            self._complain(name, problem, reply)

    def _tenant(self, capture: Capture) -> TenantSpec:
        """Return a tenant of whose calls only a few are remembered."""
        return replace(capture.dialect.tenant(self.url or ANYWHERE), calls_per_second=10)

    def _complain(self, name: str, problem: str, reply: HttpReply) -> None:
        shown = f"{reply.status} {reply.headers!r:.600} {reply.body[:600]!r}"
        self.wrong.append(f"{name}: {problem:.1200}\n    {shown}")


def _secrets_of(capture: Capture) -> tuple[str, ...]:
    """Return what the client sent as secrets, and so can know not to repeat, as it is and as it was written."""
    sent = (
        [PASSWORD, TOKEN] if capture.dialect.protocol is Protocol.REST or capture.action == LOGIN else [TOKEN, TICKET]
    )
    if capture.action in (CREATE, UPDATE):
        sent += CONFIG_SECRETS
    return (*sent, *(escape(secret) for secret in sent), *(json.dumps(secret)[1:-1] for secret in sent))


def _leaked(text: str, capture: Capture) -> str | None:
    return next((f"repeats {secret!r}: {text}" for secret in _secrets_of(capture) if secret in text), None)


def _problem_of_error(error: RemoteError | Unauthorized, capture: Capture, *, answered: bool) -> str | None:
    message = str(error)
    if not message.isprintable() or len(message) > MAX_MESSAGE:
        return f"is not one short line: {message!r}"
    if answered and isinstance(error, RemoteError) and error.effect is Effect.NEVER_SENT:
        return f"was answered and says that it was never sent: {message}"
    return _leaked(f"{message} {getattr(error, 'exception_type', '')}", capture)


def _problem_of_value(value: Any, capture: Capture) -> str | None:
    action = capture.action
    if action in (CREATE, UPDATE) and (not isinstance(value, ErpConnection) or value.erp_connection_id <= 0):
        return f"saved something without an id: {value!r}"
    if action in ("get", UPDATE) and isinstance(value, ErpConnection) and value.erp_connection_id != KNOWN_ID:
        return f"is another connection than was asked for: {value!r}"
    if action == "list" and len({each.erp_connection_id for each in value if each.erp_connection_id > 0}) != len(value):
        return f"lists ids twice, or none: {value!r:.300}"
    if isinstance(value, PluginResponse):
        texts = (value.user_explanation, value.tech_explanation, value.error_code, value.status)
        if max(map(len, texts)) > MAX_EXPLANATION:
            return "explains at too great a length"
        if leaked := _leaked(" ".join((*texts, *(each.table_name for each in value.changes))), capture):
            return leaked
    return _problem_of_parts(value)


def _problem_of_parts(value: Any) -> str | None:
    """Say what no database takes: half a surrogate pair, a NUL, a number of more than 64 bits."""
    if isinstance(value, str):
        return "holds a text that cannot be stored" if "\0" in value or not _is_unicode(value) else None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else "holds too large a number"
    if isinstance(value, Secret):
        return _problem_of_parts(value.reveal())
    if isinstance(value, dict):
        value = (*value, *value.values())
    elif isinstance(value, ErpConnection | ConnectionSpec | PluginResponse | ListedConnection) or hasattr(
        value, "record_id"
    ):
        value = tuple(getattr(value, name) for name in value.__slots__)
    if isinstance(value, tuple):
        return next((problem for each in value if (problem := _problem_of_parts(each))), None)
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
