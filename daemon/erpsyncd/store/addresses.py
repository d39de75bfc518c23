"""Where the store is: reading `store.url` and showing it without its password."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from erpsyncd.errors import ConfigurationError

_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_FORMS = "write sqlite:////var/lib/erpsyncd/erpsyncd.db or postgresql://user@host/database"


def read_url(text: str, name: str = "store.url") -> URL:
    """Return where the store is, with the driver that erpsyncd uses; `name` is what the text is called in messages.

    Raises:
        ConfigurationError: that is no place for a store, or its driver is not installed. The text itself is
            not repeated, because it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"{name} cannot be read; {_FORMS}") from None
    if _may_be_misread(text, url):
        raise ConfigurationError(
            f"{name} has more than one @ in it; a special character in the user name or password is written as %40"
        )
    if url.drivername in _SQLITE:
        return _sqlite(url, name)
    if url.drivername in _POSTGRES:
        return _postgres(url)
    raise ConfigurationError(f"{name}: erpsyncd cannot keep its store in {url.drivername!r}; {_FORMS}")


def holds_password(url: URL) -> bool:
    """Say whether whoever sees this URL sees a password."""
    return url.password is not None or "password" in url.query


def sqlite_path(url: URL) -> Path | None:
    """Return the database's file, or None where the store is not a file."""
    if url.get_backend_name() != "sqlite":
        return None
    assert url.database is not None, "read_url refuses SQLite without a file"
    return Path(url.database)


def shown(url: URL) -> str:
    """Return the URL as messages may show it."""
    path = sqlite_path(url)
    # The query may hold a password as well.
    return str(path) if path is not None else url.set(query={}).render_as_string(hide_password=True)


def database_file(text: str) -> Path | None:
    """Return the file of a SQLite store; None for a server, and for what is no place for a store."""
    try:
        return sqlite_path(read_url(text))
    except ConfigurationError:
        return None


def without_password(text: str) -> str:
    """Return an address for `config show`: as it was given, but for what may be secret in it."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return "***"
    if _may_be_misread(text, url):
        return "***"
    return url.set(query={}).render_as_string(hide_password=True) + ("?***" if url.query else "")


def _may_be_misread(text: str, url: URL) -> bool:
    """Say whether parts of a password may stand in the host or behind it, because an @ in it was taken for its end."""
    is_path = url.drivername in _SQLITE and url.username is None
    return text.count("@") > 1 and not is_path


def _sqlite(url: URL, name: str) -> URL:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError(f"{name} must name a file that stays, such as sqlite:////var/lib/erpsyncd/erpsyncd.db")
    if url.query:
        raise ConfigurationError(f"{name}: a SQLite store takes no options after a question mark")
    # A link is followed here and nowhere else: the lock and the log stand beside the file that it leads to.
    return url.set(drivername="sqlite+pysqlite", database=os.path.realpath(url.database))


def _postgres(url: URL) -> URL:
    if find_spec("psycopg") is None:
        raise ConfigurationError("a PostgreSQL store needs a driver; run: pip install 'erpsyncd[postgres]'")
    # libpq's own default is to wait for ever for a host that does not answer.
    return url.set(drivername="postgresql+psycopg").update_query_dict(
        {
            "application_name": "erpsyncd",
            "connect_timeout": "10",
            # A network that went silent is noticed in half a minute; the kernel's own answer takes two hours.
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "30000",
        }
        | dict(url.query)
    )
