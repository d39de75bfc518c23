"""Notifications: who is told what, and that nobody who is told can hold up or change a pass."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import select
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from certificates import Authority
from erpsyncd.domain.notifications import Event, Notification, of_end, of_start, read_command, read_events
from erpsyncd.domain.proxies import parse_proxy
from erpsyncd.domain.results import Outcome, RunReport, Status, TenantReport
from erpsyncd.domain.secrets import Secret, parse_template
from erpsyncd.domain.watching import FinishedRun, StartedRun
from erpsyncd.hooks.command import Command
from erpsyncd.hooks.courier import Courier
from erpsyncd.hooks.targets import NotDelivered
from erpsyncd.hooks.webhook import Webhook
from erpsyncd.logs import redact_text
from forward_proxy import forward_proxy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTED = StartedRun(trigger="reconcile", dry_run=False, started_at=NOW)
SECRET = Secret("canary-7d1f")


def ended(status: Status | None = None, **overrides: Any) -> FinishedRun:
    """A run over one tenant, in which one connection came to this."""
    outcomes = () if status is None else (Outcome(tenant="acme", key="a", status=status, error="canary-7d1f"),)
    report = RunReport(run_id=7, started_at=NOW, tenants=(TenantReport(tenant="acme", outcomes=outcomes),))
    given: dict[str, Any] = {"started": STARTED, "report": report, "finished_at": NOW + timedelta(seconds=2)}
    return FinishedRun(duration=timedelta(seconds=1.5), **(given | overrides))


def told(run: FinishedRun, *, failed_before: bool = False) -> Notification:
    return of_end(run, host="here", failed_before=failed_before, redact=redact_text)


# What is told --------------------------------------------------------------------------------------------------


def test_the_end_of_a_pass_in_numbers_and_names() -> None:
    """No text of a tenant is among it: an error may repeat anything."""
    notification = told(ended(Status.FAILED))

    assert Event.FAILURE is notification.event
    assert "canary" not in json.dumps(notification.body)
    assert {
        "version": 1,
        "kind": "notification",
        "event": "failure",
        "host": "here",
        "trigger": "reconcile",
        "started_at": "2026-03-01T12:00:00Z",
        "finished_at": "2026-03-01T12:00:02Z",
        "duration_ms": 1500,
        "recovered": False,
        "run_id": 7,
        "status": "partial",
        "exit_code": 3,
        "counts": {str(status): int(status is Status.FAILED) for status in Status},
        "tenants": 1,
        "failed_tenants": ["acme"],
        "failed_tenants_in_all": 1,
        "error_class": None,
        "error": None,
    } == notification.body


def test_a_success_after_a_failure_is_a_recovery() -> None:
    """Only then; a run that broke off is a failure, and what it says is redacted."""
    broke_off = told(ended(report=None, error_class="store", error="no https://u:canary-7d1f@h/"))

    assert [frozenset({"success"}), frozenset({"success", "recovered"})] == [
        told(ended(), failed_before=before).words for before in (False, True)
    ]
    assert (Event.FAILURE, "failed", 1, "no https://***@h/") == (
        broke_off.event,
        broke_off.body["status"],
        broke_off.body["exit_code"],
        broke_off.body["error"],
    )
    assert frozenset({"failure"}) == told(ended(Status.FAILED), failed_before=True).words


@pytest.mark.parametrize("text", ["sh -c 'x", "mail root", "'' x"])
def test_a_command_that_cannot_be_one_is_refused(text: str) -> None:
    """Not closed, or found by the PATH of whoever started the daemon."""
    with pytest.raises(ValueError, match=r"quotation|absolute path"):
        read_command(text)


def test_commands_and_events_are_read() -> None:
    """Quoted as in a shell, but run without one."""
    assert ("/bin/x", "a b", "$HOME;") == read_command("/bin/x 'a b' $HOME\\;")
    assert () == read_command("")
    assert frozenset({"failure", "recovered"}) == read_events("failure, recovered")
    with pytest.raises(ValueError, match="must be words out of failure, recovered, start, success"):
        read_events("always")


# Webhooks ------------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """Somebody else's server, which does what a test wants."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """The status lines, one for each request; `hang` for none at all. `200 OK` when there are no more."""


@asynccontextmanager
async def receiving(*answers: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers=list(answers))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            receiver.requests.append((headers, await reader.readexactly(int(headers["content-length"]))))
            answer = receiver.answers.pop(0) if receiver.answers else "200 OK"
            if answer == "hang":
                await reader.read()
            else:
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 2\r\nLocation: /canary\r\n\r\nno".encode())
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/canary-7d1f?token=canary"
    try:
        yield receiver
    finally:
        server.close()


async def no_pause(_seconds: float) -> None:
    """Wait for nothing."""


def bare() -> ssl.SSLContext:
    """Return what trusts nobody, and costs nothing to make."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def webhook(url: str, **overrides: Any) -> Webhook:
    given: dict[str, Any] = {"secret": SECRET, "deadline_seconds": 10, "attempts": 3, "pause": no_pause, "tls": bare}
    return Webhook(url=Secret(url), **(given | overrides))


async def test_the_receiver_can_tell_who_sent_it_and_when() -> None:
    """HMAC-SHA256 over the timestamp, a dot and the body, computed here from the documentation alone."""
    async with receiving() as receiver:
        await webhook(receiver.url, now=lambda: 1_800_000_000.9).deliver(told(ended()))

    ((headers, body),) = receiver.requests
    expected = hmac.new(b"canary-7d1f", b"1800000000." + body, hashlib.sha256).hexdigest()
    assert (f"v1={expected}", "1800000000") == (headers["x-erpsyncd-signature"], headers["x-erpsyncd-timestamp"])
    assert ("success", "application/json") == (headers["x-erpsyncd-event"], headers["content-type"])
    assert json.loads(body) == told(ended()).body
    async with receiving() as receiver:
        await webhook(receiver.url, secret=None).deliver(told(ended()))
    assert "x-erpsyncd-signature" not in receiver.requests[0][0]


async def test_what_may_pass_is_tried_again() -> None:
    """Under one delivery id, so that a receiver who got it twice can see that."""
    async with receiving("503 No", "429 No") as receiver:
        await webhook(receiver.url).deliver(told(ended()))

    assert 3 == len(receiver.requests)
    assert 1 == len({headers["x-erpsyncd-delivery"] for headers, _ in receiver.requests})


@pytest.mark.parametrize(
    ("answers", "tries", "reason"),
    [
        (("404 No",), 1, "127.0.0.1 answered 404"),
        (("302 There",), 1, "127.0.0.1 answered 302"),
        (("500 No",) * 4, 3, "127.0.0.1 answered 500"),
    ],
)
async def test_what_is_refused_is_given_up(answers: tuple[str, ...], tries: int, reason: str) -> None:
    """No redirect is followed; the reason does not repeat the address, which may be the password."""
    async with receiving(*answers) as receiver:
        with pytest.raises(NotDelivered) as raised:
            await webhook(receiver.url).deliver(told(ended()))

    assert (reason, tries) == (str(raised.value), len(receiver.requests))


async def test_a_receiver_that_hangs_costs_its_time_and_no_more() -> None:
    """All tries share one deadline."""
    async with receiving("503 No", "hang") as receiver:
        with pytest.raises(NotDelivered, match=r"^127\.0\.0\.1 did not answer in 1 s$"):
            await webhook(receiver.url, deadline_seconds=1).deliver(told(ended()))

    assert 2 == len(receiver.requests)


async def test_nobody_there() -> None:
    """The reason has no words of the library's, which could repeat the address."""
    with pytest.raises(NotDelivered, match=r"^127\.0\.0\.1 cannot be reached \(ConnectError\)$"):
        await webhook("http://127.0.0.1:9/canary").deliver(told(ended()))


async def test_a_proxy_stands_between_here_and_elsewhere(tmp_path: Path) -> None:
    """With its login, and the tunnel's end checked as ever; the environment's is not asked."""
    authority = Authority(directory=tmp_path)
    trusted = partial(ssl.create_default_context, cafile=authority.file)
    tls = authority.server(authority.issue("hooks.example"))
    async with receiving(tls=tls) as receiver, forward_proxy() as proxy:
        proxy.leads_to = urlsplit(receiver.url).port
        address = parse_proxy(parse_template(proxy.url("user:pass%40word"))).resolve({})
        target = webhook("https://hooks.example/canary", proxy=address, tls=trusted)
        await target.deliver(told(ended()))

    assert 1 == len(receiver.requests)
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT hooks.example:443 ")
    login = base64.b64encode(b"user:pass@word")
    assert b"Proxy-Authorization: Basic " + login in head


async def test_this_machine_is_reached_without_the_proxy() -> None:
    """It would not know the way."""
    nobody = parse_proxy(parse_template("http://127.0.0.1:9")).resolve({})
    async with receiving() as receiver:
        await webhook(receiver.url, proxy=nobody).deliver(told(ended()))

    assert 1 == len(receiver.requests)


async def test_a_proxy_that_refuses_is_named_without_its_login() -> None:
    """It is another's fault than the receiver's."""
    async with forward_proxy() as proxy:
        proxy.answer = b"HTTP/1.1 407 Canary\r\nContent-Length: 0\r\n\r\n"
        address = parse_proxy(parse_template(proxy.url("user:canary"))).resolve({})
        reason = rf"^hooks\.example cannot be reached through 127\.0\.0\.1:{proxy.port} \(ProxyError\)$"
        with pytest.raises(NotDelivered, match=reason):
            await webhook("https://hooks.example/canary", proxy=address).deliver(told(ended()))


# Commands ------------------------------------------------------------------------------------------------------


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(stat.S_IRWXU)
    return path


def command(*words: str, **overrides: Any) -> Command:
    given: dict[str, Any] = {
        "on": frozenset({"failure", "recovered"}),
        "deadline_seconds": 10,
        "environ": {"PATH": os.environ["PATH"], "ACME_PASSWORD": "canary-7d1f"},
    }
    return Command(words=words, **(given | overrides))


async def test_a_command_gets_the_event_and_no_secrets(tmp_path: Path) -> None:
    """The JSON on stdin, the gist in its environment, its arguments as they are, and nothing of the daemon's else."""
    run = script(tmp_path / "run", 'cat > "$1"; env > "$1.env"')

    await command(str(run), str(tmp_path / "a; touch b")).deliver(told(ended(Status.FAILED)))

    assert told(ended(Status.FAILED)).body == json.loads((tmp_path / "a; touch b").read_text())
    environment = (tmp_path / "a; touch b.env").read_text()
    assert "ERPSYNCD_EVENT=failure\n" in environment
    assert "ERPSYNCD_RUN=7\n" in environment
    assert "canary" not in environment
    assert not (tmp_path / "b").exists()


async def test_a_command_is_run_for_what_it_was_asked_for(tmp_path: Path) -> None:
    """Failures and recoveries, unless told otherwise."""
    run = script(tmp_path / "run", f'echo "$ERPSYNCD_EVENT" >> {tmp_path}/events')
    target = command(str(run))

    await target.deliver(of_start(STARTED, host="here"))
    await target.deliver(told(ended()))
    await target.deliver(told(ended(Status.FAILED)))
    await target.deliver(told(ended(), failed_before=True))

    assert "failure\nrecovered\n" == (tmp_path / "events").read_text()


async def test_a_command_that_hangs_is_ended_with_all_its_children(tmp_path: Path) -> None:
    """Also one that does not want to end; what it started goes too."""
    stubborn = script(tmp_path / "stubborn", "trap '' TERM; while :; do sleep 1000; done")
    run = script(tmp_path / "run", f"{stubborn} & echo $! > {tmp_path}/child; wait")

    with pytest.raises(NotDelivered, match=r"^run took longer than 0\.3 s and was ended$"):
        await command(str(run), deadline_seconds=0.3).deliver(told(ended(Status.FAILED)))

    child = int((tmp_path / "child").read_text())
    assert ends(child)


def ends(pid: int) -> bool:
    """Whether it does, within a time in which it can only be that nobody told it to."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


async def test_a_command_that_fails_or_is_not_there(tmp_path: Path) -> None:
    """Each is said by its name; its arguments, which may hold a token, are not."""
    failing = script(tmp_path / "failing", "exit 3")

    for words, reason in (
        ((str(failing), "canary"), "failing ended with 3"),
        ((str(tmp_path / "none"), "canary"), "none cannot be started: No such file or directory"),
    ):
        with pytest.raises(NotDelivered) as raised:
            await command(*words).deliver(told(ended(Status.FAILED)))
        assert reason == str(raised.value)


# The courier ---------------------------------------------------------------------------------------------------


@dataclass
class Listener:
    """A target with a memory."""

    got: list[str] = field(default_factory=list)
    work: Callable[[], Awaitable[None]] | None = None

    async def deliver(self, notification: Notification) -> None:
        if self.work is not None:
            await self.work()
        self.got.append(str(notification.event))


def courier(**targets: Listener) -> Courier:
    made = Courier(host="here", redact=redact_text, failed_before=False)
    for name, target in targets.items():
        made.add(name, frozenset(Event), target)
    return made


async def test_passes_are_told_of_in_order_and_nothing_else() -> None:
    """Plans, dry runs and checks are nobody's heartbeat."""
    listener = Listener()
    made = courier(one=listener)
    for trigger, dry_run in (("plan", True), ("run-once", True), ("quote_check", False)):
        other = StartedRun(trigger=trigger, dry_run=dry_run, started_at=NOW)
        made.run_started(other)
        made.run_finished(ended(started=other))

    made.run_started(STARTED)
    made.run_finished(ended(Status.FAILED))
    made.run_started(STARTED)
    made.run_finished(ended())
    await made.finish(10)

    assert ["start", "failure", "start", "success"] == listener.got


async def test_one_that_hangs_holds_up_nobody() -> None:
    """Not the pass, not the other targets, not the end. The log says what was not told."""
    hanging, listener = Listener(work=asyncio.Event().wait), Listener()  # type: ignore[arg-type]
    made = courier(hanging=hanging, listener=listener)

    with capture_logs() as logs:
        for _ in range(20):
            made.run_finished(ended())
            await asyncio.sleep(0)
        await made.finish(0.1)

    assert ([], ["success"] * 20) == (hanging.got, listener.got)
    assert 3 == [line["event"] for line in logs].count("notification.dropped")
    assert [["hanging"]] == [line["targets"] for line in logs if line["event"] == "notification.given_up"]


async def test_one_that_fails_is_told_again_next_time() -> None:
    """A refusal and even a defect end nothing but themselves."""
    problems: list[Exception] = [NotDelivered("host answered 500"), ZeroDivisionError()]

    async def work() -> None:
        if problems:
            raise problems.pop(0)

    listener = Listener(work=work)
    made = courier(one=listener)
    with capture_logs() as logs:
        for _ in range(3):
            made.run_finished(ended())
        await made.finish(10)

    assert ["success"] == listener.got
    assert ["notification.failed", "notification.crashed", "notification.delivered"] == [line["event"] for line in logs]
