"""Logging: structlog and the standard library through one pipeline to stderr, or to systemd's journal.

Events are `noun.past_participle` with values as keys, one per fact; bodies and secrets are never given to a
logger. The redaction here is the second line of defence, for the day somebody does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Literal, TextIO, TypeAlias

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from erpsyncd.domain.secrets import Secret
from erpsyncd.journal import Journal, is_journal

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Format: TypeAlias = Literal["auto", "console", "json", "journal"]

#: Libraries that write whole requests, statements or one line per job when they are let.
_CAPPED = ("httpx", "httpcore", "apscheduler", "alembic", "sqlalchemy")

_HIDDEN = "***"
_SECRET_KEYS = re.compile(
    r"(?:.*[_-])?(?:password|ticket|token|authorization|secret|private_key|application_token|config_fields)",
    re.IGNORECASE,
)
# `user:password@` with any password that has no blank or quote, or `user@`. It may take too much, never too little.
_USERINFO = re.compile(r"""://(?:[^\s/?#:"'<>]{0,256}:[^\s"'<>]{0,256}|[^\s/?#"'<>]{0,256})@""")
# Terminals obey these; line breaks stay, as tracebacks are made of them.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes our events, and the records of libraries; to be known again when logging is configured anew."""

    def __init__(self, stream: TextIO, processors: Sequence[Processor]) -> None:
        super().__init__(stream)
        self._processors = processors
        self.setFormatter(
            ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
                processors=[ProcessorFormatter.remove_processors_meta, *processors],
            )
        )

    def write_event(self, logger: str, event: EventDict) -> None:
        """Write one of ours."""
        self.acquire()
        try:
            text: Any = event
            for processor in self._processors:
                text = processor(None, "", text)
            self.put(text)
        except Exception:  # noqa: BLE001 -- logging's rule: what cannot be logged must not end what logs it
            self._tell_loss(logger)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of a library; logging lets in one at a time."""
        try:
            self.put(self.format(record))
        except Exception:  # noqa: BLE001 -- as above
            self.handleError(record)

    def put(self, text: str) -> None:
        """Write what is ready: redacted, and rendered."""
        self.stream.write(text + self.terminator)
        self.flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        """Say that an event was lost, not what was in it: logging's own way prints the unredacted arguments."""
        self._tell_loss(record.name)

    def _tell_loss(self, logger: str) -> None:
        cause = sys.exc_info()[0]
        name = cause.__name__ if cause else "unknown"
        # A full disk or a closed pipe must not end the daemon.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f'{{"event": "log.failed", "logger": "{logger}", "exception": "{name}"}}\n')


class _JournalHandler(_Handler):
    """Sends each event to the journal; one that the journal does not take goes to stderr, as JSON."""

    def __init__(self, stream: TextIO, processors: Sequence[Processor], journal: Journal) -> None:
        super().__init__(stream, processors)
        self._journal = journal

    def put(self, text: str) -> None:
        """Send the event as it would be written: nothing in it but text, numbers and lists."""
        try:
            self._journal.send(json.loads(text))
        except OSError:
            super().put(text)

    def close(self) -> None:
        """Let go of the journal too."""
        self._journal.close()
        super().close()


class _EventLogger:
    """What structlog hands our events to.

    They go to the handler as they are: the standard library would make a record of each, and look for who called,
    which costs more than writing the line.
    """

    def __init__(self, handler: _Handler, name: str = "root") -> None:
        self._handler = handler
        self._name = name
        # What `filter_by_level` asks; `set_level` answers for all of ours at once.
        self.disabled = False
        self.getEffectiveLevel = logging.getLogger().getEffectiveLevel

    def info(self, /, **event: Any) -> None:
        """Write an event; its level is a member of it."""
        self._handler.write_event(self._name, event)

    debug = warning = error = exception = critical = info


def configure_logging(
    *,
    level: Level,
    format: Format = "auto",  # noqa: A002 -- named as the option is
    stream: TextIO | None = None,
    in_colour: bool = True,
    journal_stream: str | None = None,
    journal: Journal | None = None,
) -> None:
    """Send every event to `stream` (stderr), or to the journal. Repeatable.

    `auto` is console for people on a terminal, the journal where `stream` is what systemd named in `journal_stream`,
    and JSON elsewhere. What the journal does not take goes to `stream` as JSON.
    """
    stream = stream or sys.stderr
    form = _chosen(stream, journal_stream) if format == "auto" else format
    processors = _processors(form, in_colour=in_colour and stream.isatty())
    handler = (
        _JournalHandler(stream, processors, journal or Journal()) if form == "journal" else _Handler(stream, processors)
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    set_level(level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED],
        logger_factory=partial(_EventLogger, handler),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Modules get their loggers before this runs; a cache would keep what was configured first.
        cache_logger_on_first_use=False,
    )


def set_level(level: Level) -> None:
    """Change the level of every logger there is, at once."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(number)
    for name in _CAPPED:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _chosen(stream: TextIO, journal_stream: str | None) -> Format:
    """Return the form for who reads the stream."""
    if stream.isatty():
        return "console"
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # one that is only in memory
        return "json"
    return "journal" if is_journal(descriptor, journal_stream) else "json"


def _processors(form: Format, *, in_colour: bool) -> Sequence[Processor]:
    if form == "console":
        return (
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=in_colour, exception_formatter=structlog.dev.plain_traceback),
        )
    # The journal is read by people, who want a traceback as text.
    exceptions = (
        structlog.processors.format_exc_info
        if form == "journal"
        else structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    )
    return (exceptions, redact, _as_json)


def _as_json(_logger: WrappedLogger | None, _method: str, event: EventDict) -> str:
    """Return the line of an event that was redacted, in which nothing is left that JSON does not know."""
    return json.dumps(event)


def redact(_logger: WrappedLogger | None, _method: str, event: EventDict) -> EventDict:
    """Take out what must not be read in a log; a structlog processor, the last one before the renderer."""
    return {key: _redact_item(key, value) for key, value in event.items()}


def _redact_item(key: object, value: object) -> object:
    if isinstance(key, str) and _is_secret(key):
        return _HIDDEN
    return _redact_value(value)


@lru_cache(maxsize=512)
def _is_secret(key: str) -> bool:
    """Whether what has this name is never shown. Events have few names, and have them again and again."""
    return _SECRET_KEYS.fullmatch(key) is not None


def _redact_value(value: object) -> object:  # noqa: PLR0911 -- one for each kind
    match value:  # what nearly everything is comes first
        case str():
            return redact_text(str(value))
        case None | bool() | int() | float():
            return value
        case Secret():
            return _HIDDEN
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case list() | tuple() | set() | frozenset():
            return [_redact_value(item) for item in value]
        case Mapping():
            return {str(key): _redact_item(key, item) for key, item in value.items()}
        case _:
            return redact_text(str(value))


def redact_text(text: str) -> str:
    """Take user names and passwords out of addresses, and make control characters visible."""
    if "://" in text:
        text = _USERINFO.sub(f"://{_HIDDEN}@", text)
    if text.isprintable():  # no control character is
        return text
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
