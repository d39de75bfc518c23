"""Faults on the way to a tenant, which meet its connections and not single requests: TLS, and a proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from certificates import Authority
from erpsyncd.domain.secrets import parse_template
from erpsyncd.errors import Effect
from fault_bench import FaultBench
from fault_cases import FaultCase
from forward_proxy import ForwardProxy
from tls_door import TlsDoor

TLS = "TLS"
PROXY = "A proxy before the tenant"
LOGIN = "proxy-user:proxy%20password"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Way:
    """The way to the tenant `acme`: TLS at its door, and a forward proxy for those who want to go through one."""

    bench: FaultBench
    door: TlsDoor
    ours: Authority
    """Signs for `acme`, and is what its `ca_file` names."""

    stranger: Authority
    forward: ForwardProxy

    def show(self, certificate: Path, **how: Any) -> None:
        """Let `acme` show this certificate to whoever comes from now on."""
        self.door.context = self.ours.server(certificate, **how)

    def settings(self, case: WayCase) -> dict[str, Any]:
        """Return what has to be described about `acme` for a case."""
        settings: dict[str, Any] = {"url": f"{self.door.url}/acme", "ca_file": str(self.ours.file)}
        if case.strangers_certificate:
            settings["client_certificate"] = str(self.stranger.issue("a client"))
        if case.group == PROXY:
            settings["proxy"] = parse_template(self.forward.url(LOGIN))
        return settings

    async def mend(self) -> None:
        """Undo whatever a case did."""
        self.show(self.ours.issue())
        self.forward.answer, self.forward.is_silent = b"", False
        await self.forward.listen()


Strike: TypeAlias = Callable[[Way], None]
"""Brings a fault about for all connections that are made after it."""


@dataclass(frozen=True, kw_only=True)
class WayCase(FaultCase):
    """A fault that meets connections."""

    strike: Strike
    strangers_certificate: bool = False
    """Whether erpsyncd has a client certificate, but one that the tenant has nothing to do with."""

    is_slow: bool = False
    """Whether only a time limit ends each attempt."""


def _certificate(**how: Any) -> Strike:
    return lambda way: way.show(way.ours.issue(**how))


def _of_a_stranger(way: Way) -> None:
    way.show(way.stranger.issue())


def _speaking(version: ssl.TLSVersion) -> Strike:
    return lambda way: way.show(way.ours.issue(), only=version)


def _demanding(version: ssl.TLSVersion) -> Strike:
    return lambda way: way.show(way.ours.issue(), only=version, demands=way.ours)


def _answering(status: str) -> Strike:
    def strike(way: Way) -> None:
        way.forward.answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()

    return strike


def _silent(way: Way) -> None:
    way.forward.is_silent = True


def _cutting(way: Way) -> None:
    way.forward.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"


_unreachable = partial(
    WayCase, error_class="unreachable", effect=Effect.NEVER_SENT, read_attempts=3, save_attempts=3, group=TLS
)
#: In TLS 1.3 a client may speak before it knows whether its certificate was accepted.
_perhaps = partial(_unreachable, error_class="outcome_unknown", effect=Effect.UNCERTAIN, save_attempts=1)
_by_proxy = partial(_unreachable, group=PROXY)

TLS_CASES = (
    _unreachable(
        name="certificate expired",
        what="The tenant shows a certificate whose time is over.",
        strike=_certificate(starts=-2 * _HOUR, ends=-_HOUR),
        note="As with every row of this table, it is the whole tenant's trouble, so none of its connections is done. "
        "It is tried again like any failure to connect: behind one name there may be servers with other certificates.",
    ),
    _unreachable(
        name="certificate not yet valid",
        what="The tenant shows a certificate whose time has not come.",
        strike=_certificate(starts=_HOUR, ends=2 * _HOUR),
        note="Look at this machine's clock first.",
    ),
    _unreachable(
        name="certificate of another host",
        what="The tenant shows a certificate for a name that is not the one in `url`.",
        strike=_certificate(name="other.example"),
    ),
    _unreachable(
        name="certificate of an unknown authority",
        what="The tenant's certificate is signed by nobody whom this machine, or the tenant's `ca_file`, trusts.",
        strike=_of_a_stranger,
        note="For an authority of your own, name its certificate in `ca_file`.",
    ),
    _unreachable(
        name="TLS 1.1",
        what="The tenant speaks nothing newer than TLS 1.1.",
        strike=_speaking(ssl.TLSVersion.TLSv1_1),
        note="1.2 is the oldest that is spoken, whatever this machine allows.",
    ),
    _unreachable(
        name="client certificate demanded (TLS 1.2)",
        what="The tenant wants a client certificate, and there is none.",
        strike=_demanding(ssl.TLSVersion.TLSv1_2),
        note="Name one in `client_certificate`.",
    ),
    _perhaps(
        name="client certificate demanded (TLS 1.3)",
        what="As above; the refusal comes when the request has left.",
        strike=_demanding(ssl.TLSVersion.TLSv1_3),
        note="The tenant has hardly read the request, but that cannot be known.",
    ),
    _unreachable(
        name="wrong client certificate (TLS 1.2)",
        what="The tenant does not trust who signed our client certificate.",
        strike=_demanding(ssl.TLSVersion.TLSv1_2),
        strangers_certificate=True,
    ),
    _perhaps(
        name="wrong client certificate (TLS 1.3)",
        what="As above; the refusal comes when the request has left.",
        strike=_demanding(ssl.TLSVersion.TLSv1_3),
        strangers_certificate=True,
    ),
)

PROXY_CASES = (
    _by_proxy(
        name="proxy not there",
        what="Nobody listens at the address in `proxy`.",
        strike=lambda way: way.forward.refuse(),
        note="There is no way around a proxy: nothing is sent directly. As with every row of this table, none of the "
        "tenant's connections is done.",
    ),
    _by_proxy(
        name="proxy wants other credentials (407)",
        what="The proxy refuses the user name and password in `proxy`, or there are none.",
        strike=_answering("407 Proxy Authentication Required"),
        read_attempts=1,
        save_attempts=1,
        ends_pass=True,
        note="It is asked once in a pass, and the pass over this tenant ends: a wrong password often enough locks an "
        "account.",
    ),
    _by_proxy(
        name="proxy forbids it (403)",
        what="The proxy does not let anybody through to this host.",
        strike=_answering("403 Forbidden"),
    ),
    _by_proxy(
        name="proxy gets no connection (502)",
        what="The proxy cannot reach the tenant itself.",
        strike=_answering("502 Bad Gateway"),
    ),
    _by_proxy(
        name="proxy says nothing",
        what="The proxy takes the connection and does not answer for 15 seconds.",
        strike=_silent,
        is_slow=True,
    ),
    _by_proxy(
        name="proxy cuts the tunnel",
        what="The proxy makes a tunnel and closes it before TLS stands.",
        strike=_cutting,
    ),
)

WAY_CASES: tuple[WayCase, ...] = (*TLS_CASES, *PROXY_CASES)
