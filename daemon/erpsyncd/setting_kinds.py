"""The kinds of values that settings have, and how each is read. A text is in UTF-8, and a number is no text.

An annotation is a type, or one with what reads a value of it, step by step: `Annotated[str, _read_listen]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from erpsyncd.domain.input_rules import url_problem
from erpsyncd.domain.listening import parse_listen
from erpsyncd.domain.notifications import read_command, read_events, webhook_problem
from erpsyncd.domain.schedules import cron_problem, parse_duration
from erpsyncd.domain.secrets import parse_template

_DATABASES = re.compile(r"postgres(ql(\+psycopg)?)?://.+|sqlite(\+pysqlite)?:////.+", re.DOTALL)


def _positive(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than nothing")
    return duration


def _read_schedule(value: object) -> object:
    if not isinstance(value, str) or len(value.split()) == 1:
        return _positive(parse_duration(value))
    problem = cron_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def _read_database(url: str) -> str:
    if url and not _DATABASES.fullmatch(url):
        raise ValueError("must be empty or begin with postgresql:// or with sqlite:/// and the absolute path of a file")
    return url


def _read_path(path: str) -> str:
    if path and (not path.startswith("/") or "\0" in path):
        raise ValueError("must be an absolute path: another working directory would mean another store")
    return path


def _read_url(url: str) -> str:
    problem = url_problem(url)
    if problem:
        raise ValueError(problem)
    return url.rstrip("/")


def _read_listen(text: str) -> str:
    return str(parse_listen(text)) if text else ""


def _read_reference(text: str) -> str:
    template = parse_template(text) if text else None
    if template is not None and [str(part) for part in template.references] != [text]:
        raise ValueError("must be a reference, such as @{systemd:NAME} or @{file:PATH}: a secret is no setting")
    return text


def _read_webhook(text: str) -> str:
    if not text or text.startswith("@{"):
        return _read_reference(text)
    problem = webhook_problem(text)
    if problem:
        raise ValueError(problem)
    return text


def _read_proxy(text: str) -> str:
    if not text:
        return text
    from erpsyncd.domain.proxies import parse_proxy  # noqa: PLC0415 -- few have one

    try:
        described = parse_proxy(parse_template(text))
    except KeyError:
        raise ValueError("must be an address: nothing is stored for a setting") from None
    if described.password is not None and described.password.holds_secret_text:
        raise ValueError("must have a reference for its password, such as @{systemd:NAME}: a secret is no setting")
    return text


def _read_command_line(text: str) -> str:
    read_command(text)
    return text


def _read_event_words(text: str) -> str:
    read_events(text)
    return text


def from_to(least: int, most: int | None = None) -> Callable[[int], int]:
    """Return what reads a number that is not below the least one, and not above the most."""

    def read(number: int) -> int:
        if number < least:
            raise ValueError(f"must be at least {least}")
        if most is not None and number > most:
            raise ValueError(f"must be at most {most}")
        return number

    return read


# After the type, what reads a value, one after the other.
AbsoluteUrl: TypeAlias = Annotated[str, _read_url]
Duration: TypeAlias = Annotated[timedelta, parse_duration, _positive]
DurationOrNone: TypeAlias = Annotated[timedelta, parse_duration]
Schedule: TypeAlias = Annotated[timedelta | str, _read_schedule]
Webhook: TypeAlias = Annotated[str, _read_webhook]
AbsolutePath: TypeAlias = Annotated[str, _read_path]
Database: TypeAlias = Annotated[str, _read_database]
Listen: TypeAlias = Annotated[str, _read_listen]
NotifyProxy: TypeAlias = Annotated[str, _read_proxy]
Reference: TypeAlias = Annotated[str, _read_reference]
CommandLine: TypeAlias = Annotated[str, _read_command_line]
EventWords: TypeAlias = Annotated[str, _read_event_words]


def bare_type(annotation: Any) -> Any:
    """Return the type of an annotation."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def read_as(annotation: Any, value: object) -> object:
    """Return the value that something given stands for, where it shall be of this annotation.

    Raises:
        ValueError: it is no such value; the message says what it must be, and does not repeat it.
    """
    value = _typed(bare_type(annotation), value)
    for step in getattr(annotation, "__metadata__", ()):
        value = step(value)
    return value


def _typed(wanted: Any, value: object) -> object:
    """Return a value that has its type already. "3" is no number in a file; texts of the environment are converted."""
    if get_origin(wanted) is Literal:
        return _read_word(value, get_args(wanted))
    if wanted is str:
        if not isinstance(value, str):
            raise ValueError("must be a text")
        _raise_if_no_unicode(value)
    elif wanted is int and (not isinstance(value, int) or isinstance(value, bool)):
        raise ValueError("must be a whole number")
    elif wanted is bool and not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _read_word(value: object, words: tuple[str, ...]) -> str:
    word = value.lower() if isinstance(value, str) else value
    if word not in words:
        *others, last = map(repr, words)
        raise ValueError(f"must be {', '.join(others)} or {last}")
    return str(word)


def _raise_if_no_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be a text in UTF-8") from None
