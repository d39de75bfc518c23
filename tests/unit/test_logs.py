"""Logging, and what it must not say."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from erpsyncd.domain.secrets import Secret
from erpsyncd.logs import configure_logging, redact, redact_text, set_level

CANARY = "canary-7d1f"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


pytestmark = pytest.mark.usefixtures("logging_restored")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the events of a JSON log."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object() -> None:
    """Event, level, UTC time, values and the context that is bound."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    structlog.contextvars.bind_contextvars(run_id=7)

    structlog.get_logger().info("connection.applied", key="visma\nno", fields=("active",))

    [event] = lines(stream)
    assert datetime.fromisoformat(event.pop("timestamp")).tzinfo == UTC
    assert event == {
        "event": "connection.applied",
        "level": "info",
        "run_id": 7,
        "key": "visma\nno",
        "fields": ["active"],
    }


def test_the_standard_library_takes_the_same_road() -> None:
    """Records of libraries look like ours, redacted, with their logger's name."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    structlog.contextvars.bind_contextvars(run_id=7)

    logging.getLogger("some.library").warning("went to %s", f"https://u:{CANARY}@h/")

    [event] = lines(stream)
    assert (event["event"], event["level"], event["logger"]) == ("went to https://***@h/", "warning", "some.library")
    assert event["run_id"] == 7


@pytest.mark.parametrize(
    ("stream", "format", "is_json"),
    [
        (io.StringIO(), "auto", True),
        (Terminal(), "auto", False),
        (Terminal(), "json", True),
        (io.StringIO(), "console", False),
    ],
)
def test_people_and_machines(stream: io.StringIO, format: Any, *, is_json: bool) -> None:  # noqa: A002 -- as the option
    """Auto writes for people on a terminal and JSON elsewhere."""
    configure_logging(level="info", format=format, stream=stream)
    structlog.get_logger().info("run.started", tenants=2)

    assert stream.getvalue().startswith("{") is is_json
    assert ("\x1b[" in stream.getvalue()) is (stream.isatty() and not is_json)


def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Results go to stdout, logs to stderr."""
    configure_logging(level="info")
    structlog.get_logger().info("run.started")

    captured = capsys.readouterr()
    assert (captured.out, "run.started" in captured.err) == ("", True)


def test_configuring_again_replaces(caplog: pytest.LogCaptureFixture) -> None:
    """No event is written twice, and handlers of others stay."""
    first, second = io.StringIO(), io.StringIO()
    before = logging.getLogger().handlers[:]
    configure_logging(level="info", stream=first)
    log = structlog.get_logger()
    configure_logging(level="info", stream=second)
    log.info("run.started")

    assert (first.getvalue(), len(lines(second))) == ("", 1)
    assert logging.getLogger().handlers[:-1] == before


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "apscheduler.scheduler", "alembic", "sqlalchemy.engine"])
def test_chatty_libraries_are_capped(name: str) -> None:
    """At debug, too, because they write requests and statements; and never below our own level."""
    stream = io.StringIO()
    configure_logging(level="debug", stream=stream)
    logging.getLogger(name).info("body")
    logging.getLogger(name).warning("shown")
    set_level("error")
    logging.getLogger(name).warning("hidden")

    assert [event["event"] for event in lines(stream)] == ["shown"]


def test_the_level_changes_for_loggers_in_use() -> None:
    """A reload takes effect on loggers that were made and used before."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    log = structlog.get_logger().bind(tenant="acme")
    log.debug("call.made", n=1)
    set_level("debug")
    log.debug("call.made", n=2)
    set_level("warning")
    log.info("call.made", n=3)

    assert [event["n"] for event in lines(stream)] == [2]


def raise_with_locals() -> None:
    """Fail with a password in a local variable and another one in the message."""
    password = f"{CANARY}-local"
    raise ConnectionError(f"cannot reach postgresql://me:{CANARY}@db/x of {len(password)}")


@pytest.mark.parametrize("format", ["json", "console"])
def test_tracebacks_have_no_secrets(format: Any) -> None:  # noqa: A002 -- as the option
    """Neither local variables nor userinfo of addresses, for our loggers and for others, causes included."""
    stream = io.StringIO()
    configure_logging(level="info", format=format, stream=stream)
    try:
        try:
            raise_with_locals()
        except ConnectionError as exc:
            raise RuntimeError("the outer one") from exc
    except RuntimeError:
        structlog.get_logger().exception("run.failed")
        logging.getLogger("other").exception("failed")

    text = stream.getvalue()
    assert CANARY not in text
    assert text.count("cannot reach postgresql://***@db/x") >= 2
    assert text.count("raise_with_locals") >= 2


def test_secrets_are_redacted_at_every_depth() -> None:
    """By type, by key and in addresses, inside of lists and mappings, whatever the case of the key."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    names = ["password", "ticket", "token", "Authorization", "secret", "private_key", "application_token"]

    structlog.get_logger().info(
        "call.made",
        **dict.fromkeys(names, CANARY),
        config_fields={"Client": CANARY},
        new_password=CANARY,
        headers=[{"SO-Token": CANARY, "X": f"https://a@b:{CANARY}@h"}],
        values=(Secret(CANARY), {Secret(CANARY)}),
        error=ValueError(f"at ftp://x:{CANARY}@h/"),
        body=CANARY.encode(),
        path=Path("/x"),
        nothing=None,
        count=1.5,
        active=True,
    )

    [event] = lines(stream)
    assert CANARY not in stream.getvalue()
    assert {event[name] for name in [*names, "config_fields", "new_password"]} == {"***"}
    assert event["headers"] == [{"SO-Token": "***", "X": "https://***@h"}]
    assert event["values"] == ["***", ["***"]]
    assert (event["error"], event["body"], event["path"]) == ("at ftp://***@h/", "<11 bytes>", "/x")
    assert (event["nothing"], event["count"], event["active"]) == (None, 1.5, True)


def test_names_of_secrets_are_no_secrets() -> None:
    """What is called similarly is left alone, and so is the name of a field as a value."""
    event = {"key": "k", "secret_missing": 2, "fields": ["config_fields.Password"], "error_class": "secret_missing"}

    assert redact(None, "info", dict(event)) == event


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://crm.example:8443/x?mail=a", "https://crm.example:8443/x?mail=a"),
        ("https://u@h", "https://***@h"),
        ("postgresql+psycopg://u:p@h:5432/d", "postgresql+psycopg://***@h:5432/d"),
        ("postgresql://u:p/w@x?#@h/d and http://a:b@c", "postgresql://***@h/d and http://***@c"),
        ("https://me@acme.example:pw@h/", "https://***@h/"),
        ("http://:pw@h", "http://***@h"),
        ("mail me@acme.example", "mail me@acme.example"),
        ("a\x1b[2Jb\x9bc\x00\r\n\td", "a\\x1b[2Jb\\x9bc\\x00\\x0d\n\td"),
    ],
)
def test_texts_are_redacted(text: str, expected: str) -> None:
    """Userinfo goes, the rest of an address stays; what a terminal would obey becomes visible."""
    assert expected == redact_text(text)


def test_redaction_of_long_texts_is_quick() -> None:
    """No text makes the search run away."""
    redact_text("://a:" * 20_000)
    redact_text("://" + "a" * 100_000)


def test_warnings_become_events() -> None:
    """A warning of Python is an event, too, so that stderr holds nothing else."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("careful", UserWarning, stacklevel=1)

    assert "careful" in lines(stream)[0]["event"]


class Unprintable:
    """A value whose text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError(CANARY)


def test_an_event_that_cannot_be_written_is_counted_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The loss is said; what was lost, and the traceback, are not."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    structlog.get_logger("here").info("x.done", value=Unprintable())

    assert lines(stream) == [{"event": "log.failed", "logger": "here", "exception": "RuntimeError"}]
    assert CANARY not in "".join(capsys.readouterr())


def test_a_closed_stream_ends_nothing() -> None:
    """Losing the log must not stop the work."""
    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    stream.close()

    structlog.get_logger().info("run.started")


def test_one_line_at_a_time() -> None:
    """Whoever writes, one of ours or a library, and in whichever thread: no other thread writes meanwhile."""
    free: list[bool] = []

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            other = threading.Thread(target=try_it)
            other.start()
            other.join()
            return super().write(text)

    def try_it() -> None:
        free.append(lock.acquire(blocking=False))
        if free[-1]:
            lock.release()

    configure_logging(level="info", stream=Watched())
    lock: Any = logging.getLogger().handlers[-1].lock
    structlog.get_logger().info("run.started")
    logging.getLogger("library").warning("careful")

    assert [False, False] == free


def test_a_value_that_logs_while_it_is_written() -> None:
    """Both events are there, and nobody waits for himself."""

    class Talkative:
        def __str__(self) -> str:
            structlog.get_logger().info("value.shown")
            return "shown"

    stream = io.StringIO()
    configure_logging(level="info", stream=stream)
    writer = threading.Thread(target=lambda: structlog.get_logger().info("x.done", value=Talkative()), daemon=True)
    writer.start()
    writer.join(5)

    assert [("value.shown", None), ("x.done", "shown")] == [
        (each["event"], each.get("value")) for each in lines(stream)
    ]
