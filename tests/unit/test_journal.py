"""Events in systemd's journal, as a journal of our own gets them over its socket."""

from __future__ import annotations

import array
import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from erpsyncd.domain.secrets import Secret
from erpsyncd.journal import Journal, is_journal, message_id
from erpsyncd.logs import configure_logging
from event_catalogue import MEANING

CANARY = "canary-7d1f"

pytestmark = pytest.mark.usefixtures("logging_restored")


@dataclass
class Listening:
    """What stands in for journald: it reads its protocol as systemd's page about it says."""

    path: Path
    door: socket.socket

    def read(self) -> dict[str, str]:
        """Return the fields of the next event, from the datagram or from the file that came with it."""
        datagram, ancillary, _, _ = self.door.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if not datagram:
            ((_, _, content),) = ancillary
            (descriptor,) = array.array("i", content)
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                datagram = file.read()
        return dict(fields(datagram))


def fields(datagram: bytes) -> Iterator[tuple[str, str]]:
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(datagram[:8], "little")
            value, end, datagram = datagram[8 : 8 + length], datagram[8 + length : 9 + length], datagram[9 + length :]
            assert b"\n" == end
        yield name.decode(), value.decode()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Listening]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "socket"))
        door.settimeout(10)
        yield Listening(tmp_path / "socket", door)
    configure_logging(level="info", stream=io.StringIO())  # closes the handler of the test


def configured(path: Path, stream: io.StringIO | None = None) -> Any:
    configure_logging(level="info", format="journal", stream=stream or io.StringIO(), journal=Journal(path))
    return structlog.get_logger()


def test_each_member_is_a_field(journal: Listening) -> None:
    """The event, its level, its run and its members can be asked for; nothing goes to stderr."""
    stream = io.StringIO()
    structlog.contextvars.bind_contextvars(run_id=7)

    configured(journal.path, stream).warning("connection.failed", tenant="acme", key="visma no", fields=("active",))

    assert {
        "MESSAGE": 'connection.failed tenant=acme key="visma no" fields=["active"] run_id=7',
        "MESSAGE_ID": message_id("connection.failed"),
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "erpsyncd",
        "ERPSYNCD_EVENT": "connection.failed",
        "ERPSYNCD_RUN": "7",
        "ERPSYNCD_TENANT": "acme",
        "ERPSYNCD_KEY": "visma no",
        "ERPSYNCD_FIELDS": '["active"]',
    } == journal.read()
    assert "" == stream.getvalue()


def test_a_value_of_several_lines_is_one_field(journal: Listening) -> None:
    """Else whoever can put a line break into an error's text writes fields of his own."""
    configured(journal.path).error("run.failed", error="first\nPRIORITY=7\n_UID=0")

    read = journal.read()
    assert ("first\nPRIORITY=7\n_UID=0", "3") == (read["ERPSYNCD_ERROR"], read["PRIORITY"])
    assert "_UID" not in read


def test_what_is_too_large_for_a_datagram_arrives_whole(journal: Listening) -> None:
    """It goes as a file in memory. What nobody can want to read is cut."""
    log = configured(journal.path)
    large = "x\n" * 120_000

    log.info("check.recorded", tech_explanation=large, user_explanation="y" * 300_000)

    read = journal.read()
    assert large == read["ERPSYNCD_TECH_EXPLANATION"]
    assert 256 * 1024 == len(read["ERPSYNCD_USER_EXPLANATION"])
    log.info("run.started")
    assert "run.started" == journal.read()["ERPSYNCD_EVENT"]


def test_a_traceback_stands_under_its_event(journal: Listening) -> None:
    """As people read it, and without the values of variables."""
    log = configured(journal.path)
    password = CANARY
    try:
        [][len(password)]
    except IndexError:
        log.exception("tenant.crashed")

    message = journal.read()["MESSAGE"]
    assert message.startswith("tenant.crashed\nTraceback (most recent call last):\n")
    assert CANARY not in message


def test_redaction_comes_before_the_journal(journal: Listening) -> None:
    """As everywhere: names of secrets, secrets by their type, passwords in addresses."""
    configured(journal.path).info(
        "run.started", ticket=CANARY, inside={"password": CANARY}, value=Secret(CANARY), url=f"https://u:{CANARY}@h/"
    )

    read = journal.read()
    assert CANARY not in str(read)
    assert ("***", "https://***@h/") == (read["ERPSYNCD_TICKET"], read["ERPSYNCD_URL"])


def test_lines_of_libraries_are_no_events(journal: Listening) -> None:
    """They come too, with their logger's name, but without an identifier."""
    configured(journal.path)

    logging.getLogger("some.library").warning("went.wrong")

    read = journal.read()
    assert ("went.wrong logger=some.library", "some.library") == (
        read["MESSAGE"] + f" logger={read['ERPSYNCD_LOGGER']}",
        read["ERPSYNCD_LOGGER"],
    )
    assert not {"MESSAGE_ID", "ERPSYNCD_EVENT"} & set(read)


def test_without_a_journal_events_go_to_stderr(tmp_path: Path, journal: Listening) -> None:
    """As JSON, one by one: when the journal is back, so are they."""
    stream = io.StringIO()
    path = tmp_path / "later"
    log = configured(path, stream)

    log.info("run.started", tenants=2)
    path.symlink_to(journal.path)
    log.info("run.finished")

    (line,) = stream.getvalue().splitlines()
    assert ("run.started", 2) == (json.loads(line)["event"], json.loads(line)["tenants"])
    assert "run.finished" == journal.read()["ERPSYNCD_EVENT"]


def test_a_journal_that_takes_nothing_holds_nobody_up(journal: Listening) -> None:
    """When its queue is full, events go to stderr; none is lost."""
    stream = io.StringIO()
    log = configured(journal.path, stream)
    logged = 0
    while not stream.getvalue():
        log.info("run.started", number=logged)
        logged += 1

    (line,) = stream.getvalue().splitlines()
    assert logged - 1 == json.loads(line)["number"]
    assert [str(number) for number in range(logged - 1)] == [
        journal.read()["ERPSYNCD_NUMBER"] for _ in range(logged - 1)
    ]


def test_auto_looks_at_the_stream_itself(tmp_path: Path) -> None:
    """A child with another stderr inherits JOURNAL_STREAM; only device and inode tell."""
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        named = f"{status.st_dev}:{status.st_ino}"

        assert is_journal(stream.fileno(), named)
        for other in (None, "", "1:2", "nonsense", f"{status.st_dev}:{status.st_ino}0"):
            assert not is_journal(stream.fileno(), other)
    assert not is_journal(987_654, named)


def test_auto_chooses_the_journal_where_systemd_says_so(journal: Listening, tmp_path: Path) -> None:
    """With the variable's stream it is the journal, with any other JSON."""
    with (tmp_path / "stream").open("w+") as stream:
        status = os.fstat(stream.fileno())
        for named in (f"{status.st_dev}:{status.st_ino}", "1:2"):
            configure_logging(level="info", stream=stream, journal_stream=named, journal=Journal(journal.path))
            structlog.get_logger().info("run.started", named=named)
        stream.seek(0)

        assert ["1:2"] == [json.loads(line)["named"] for line in stream]
    assert "run.started" == journal.read()["ERPSYNCD_EVENT"]


def test_identifiers_never_change() -> None:
    """Scripts and journal catalogues hold on to them; no two events share one."""

    assert "3af316f5084a5bca92b1248ac526df4f" == message_id("run.finished")
    assert len(MEANING) == len({message_id(event) for event in MEANING})


def test_an_error_that_ends_the_service_is_an_error_in_the_journal(tmp_path: Path) -> None:
    """Else `journalctl -p err` would tell that it ended, and not why."""
    settings = tmp_path / "erpsyncd.toml"
    settings.write_text("[log]\nlevle = 'info'\nfromat = 'json'\n")
    words = [sys.executable, "-m", "erpsyncd", "--config", str(settings), "config", "check"]

    def told(journal: str) -> list[str]:
        with (tmp_path / "stderr").open("w+b") as stream:
            status = os.fstat(stream.fileno())
            named = f"{status.st_dev}:{status.st_ino}" if journal == "this" else "1:1"
            subprocess.run(words, stderr=stream, env={**os.environ, "JOURNAL_STREAM": named}, check=False)
        return (tmp_path / "stderr").read_text().splitlines()

    assert 3 == len(told("this"))
    assert all(line.startswith("<3>") for line in told("this"))
    assert [line.removeprefix("<3>") for line in told("this")] == told("another")
