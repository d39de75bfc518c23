"""A tenant's forward proxy: as the document describes it, and resolved.

`http://[user[:password]@]host:port`, or `https://…`. References may stand for the user name and the password only,
so that the address is known and can be shown. Their values are taken as they are; what is written out follows the
rules of addresses, where `%40` is an `@`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from erpsyncd.domain.input_rules import is_loopback
from erpsyncd.domain.secrets import Damaged, Reference, Secret, Template, Withheld

#: Stands for a reference while the address is taken apart; one line of text cannot hold it.
_MARK = "\0"
_FORM = re.compile(
    rf"(?P<scheme>https?)://(?:(?P<login>[^@/?#]*)@)?(?P<host>[\w.-]+|\[[^\]{_MARK}]*\]):(?P<port>\d{{1,5}})/?",
    re.ASCII,
)
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyAddress:
    """Where a proxy listens. Nothing in it is secret."""

    scheme: str
    host: str
    """As in an address: IPv6 in brackets."""

    port: int

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether it listens on this machine only."""
        return is_loopback(self.host.strip("[]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A forward proxy as a pass uses it; one without a user name lets everybody through."""

    address: ProxyAddress
    username: Secret = Secret("")
    password: Secret = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTemplate:
    """A forward proxy as described."""

    address: ProxyAddress
    username: Template | None = None
    password: Template | None = None

    def resolve(self, values: Mapping[Reference, Secret]) -> Proxy:
        """Return the proxy with each reference replaced.

        Raises:
            KeyError: a reference is not in `values`; the key is that reference.
        """
        return Proxy(
            address=self.address,
            username=self.username.resolve(values) if self.username else Secret(""),
            password=self.password.resolve(values) if self.password else Secret(""),
        )


def parse_proxy(template: Template) -> ProxyTemplate:
    """Take a proxy's address apart.

    Raises:
        KeyError: the value is damaged or not here; the key is that part.
        ValueError: it is none; the phrase never repeats what was written, which may hold a password.
    """
    for part in template.parts:
        if isinstance(part, Damaged | Withheld):
            raise KeyError(part)
    references = iter(part for part in template.parts if isinstance(part, Reference))
    found = _FORM.fullmatch("".join(part if isinstance(part, str) else _MARK for part in template.parts))
    if found is None:
        raise ValueError(
            "must be an address such as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128; "
            "references may stand for the user name and the password only, and a special character is written as %40"
        )
    address = ProxyAddress(scheme=found["scheme"], host=found["host"], port=int(found["port"]))
    if not _is_host(address.host) or not 0 < address.port <= _LAST_PORT:
        raise ValueError("must name a host and a port that can be ones")
    username = password = None
    if found["login"] is not None:
        name, colon, secret = found["login"].partition(":")
        if not name:
            raise ValueError("must have a user name before the password")
        username = _login_part(name, references)
        password = _login_part(secret, references) if colon else None
    return ProxyTemplate(address=address, username=username, password=password)


def proxy_problem(template: Template) -> str | None:
    """Return what is wrong with a proxy's address as a phrase that goes after a place, or None."""
    if template.is_withheld:
        return None
    try:
        parse_proxy(template)
    except ValueError as exc:
        return str(exc)
    return None


def distance_problem(template: Template, urls: Iterable[str | None]) -> str | None:
    """Return why a proxy that can be read may not stand between here and these addresses, as such a phrase."""
    plain = any(url is not None and url.lower().startswith("http:") for url in urls)
    if plain and not parse_proxy(template).address.is_here:
        # What never leaves this machine needs no encryption; what goes through another one does.
        return "must be on this machine too where an address of the tenant is http"
    return None


def _is_host(host: str) -> bool:
    """Say whether a host can be one; a name may be anything, but what looks like a number has to be an address."""
    bracketed = host.startswith("[")
    if not bracketed and not re.fullmatch(r"[\d.]+", host):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return bracketed == isinstance(address, ipaddress.IPv6Address)


def _login_part(text: str, references: Iterator[Reference]) -> Template:
    """Return a user name or password with its references back in their places."""
    parts: list[str | Reference] = []
    for number, literal in enumerate(text.split(_MARK)):
        if number:
            parts.append(next(references))
        if literal:
            parts.append(unquote(literal))
    return Template(tuple(parts or ("",)))
