"""Where a process may listen: on this machine only."""

from __future__ import annotations

from dataclasses import dataclass

from erpsyncd.domain.input_rules import is_loopback

_FORMS = 'must be empty, an address of this machine such as "127.0.0.1:9464", or "unix:" and the path of a socket'
_PORTS = range(1, 65536)
#: A socket's path has room for 108 bytes, the last of which is NUL.
_MAX_PATH = 107


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """An address: a host with a port, or the path of a socket."""

    host: str = ""
    port: int = 0
    path: str = ""
    """Empty where it is a host."""

    def __str__(self) -> str:
        return (
            f"unix:{self.path}" if self.path else f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        )


def parse_listen(text: str) -> Listen:
    """Read an address such as `127.0.0.1:9464`, `[::1]:9464` or `unix:/run/erpsyncd/web.sock`.

    Raises:
        ValueError: it is none, or of another machine: what is told there has no password before it.
    """
    kind, colon, path = text.partition(":")
    if kind == "unix" and colon:
        if not path.startswith("/") or "\0" in path or len(path.encode()) > _MAX_PATH:
            raise ValueError(f'"unix:" must be followed by an absolute path of at most {_MAX_PATH} bytes')
        return Listen(path=path)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) not in _PORTS:
        raise ValueError(_FORMS)
    bare = host.removeprefix("[").removesuffix("]")
    if not is_loopback(bare):
        raise ValueError(f"{_FORMS}; others reach it through a proxy that asks them who they are")
    return Listen(host="127.0.0.1" if bare == "localhost" else bare, port=int(port))
