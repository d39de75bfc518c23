"""The daemon's own small server: what it answers, and what no client can do to it."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest

from erpsyncd.domain.listening import Listen, parse_listen
from erpsyncd.domain.results import RunReport
from erpsyncd.domain.watching import Census, FinishedRun, StartedRun
from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.web.census import CensusTaker
from erpsyncd.web.health import Health
from erpsyncd.web.http import Answer, Server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LARGE = b"x" * 10_000_000


async def small() -> Answer:
    return Answer(body=b"small\n")


async def large() -> Answer:
    return Answer(body=LARGE)


async def broken() -> Answer:
    raise ZeroDivisionError("canary-7d1f")


PAGES = {"/small": small, "/large": large, "/broken": broken}


@pytest.fixture
def where() -> Listen:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Listen(host="127.0.0.1", port=probe.getsockname()[1])


@asynccontextmanager
async def asked(where: Listen) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if where.path:
        reader, writer = await asyncio.open_unix_connection(where.path)
    else:
        reader, writer = await asyncio.open_connection(where.host, where.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(where: Listen, request: str) -> tuple[int, dict[str, str], bytes]:
    async with asked(where) as (reader, writer):
        writer.write(request.encode("latin-1"))
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return int(line.split()[1]), dict(header.split(": ", 1) for header in headers), body


async def test_questions_are_answered(where: Listen) -> None:
    """GET with the body, HEAD without it; a query does not matter."""
    async with Server(PAGES).listening(where):
        status, headers, body = await ask(where, "GET /small?x=1 HTTP/1.1\r\nHost: localhost:9464\r\n\r\n")
        head = await ask(where, "HEAD /small HTTP/1.0\r\n\r\n")

    assert (200, b"small\n", "6", "close") == (status, body, headers["Content-Length"], headers["Connection"])
    assert (200, headers, b"") == head


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /nothing HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
        ("GET /../etc/passwd HTTP/1.1\r\n\r\n", HTTPStatus.NOT_FOUND),
        ("POST /small HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET /small HTTP/2.0\r\n\r\n", HTTPStatus.BAD_REQUEST),
        ("\xff\xfe\r\n\r\n", HTTPStatus.BAD_REQUEST),
        ("GET /small HTTP/1.1\r\nHost: rebound.example\r\n\r\n", HTTPStatus.MISDIRECTED_REQUEST),
        ("GET /small HTTP/1.1\r\nHost: [::1]:9464\r\n\r\n", HTTPStatus.OK),
        (f"GET /small HTTP/1.1\r\nX: {'x' * 20_000}", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        ("GET /broken HTTP/1.1\r\n\r\n", HTTPStatus.INTERNAL_SERVER_ERROR),
    ],
)
async def test_everything_else_is_refused(where: Listen, request_text: str, status: HTTPStatus) -> None:
    """With the reason's name and nothing of what was asked, or of what went wrong inside."""
    async with Server(PAGES).listening(where):
        got, headers, body = await ask(where, request_text)

    assert status == got
    assert (status is HTTPStatus.METHOD_NOT_ALLOWED) == ("Allow" in headers)
    assert status is HTTPStatus.OK or f"{status.phrase}\n".encode() == body


async def test_who_asks_slowly_is_cut_off(where: Listen) -> None:
    """The others are served meanwhile."""
    async with Server(PAGES, patience_seconds=0.1).listening(where), asked(where) as (reader, writer):
        writer.write(b"GET /small HTT")
        other = await ask(where, "GET /small HTTP/1.1\r\n\r\n")

        assert 200 == other[0]
        assert (await reader.read(-1)).startswith(b"HTTP/1.1 408 ")


class Watched(Server):
    """Says when it has let go of a client."""

    def __init__(self, patience_seconds: float) -> None:
        super().__init__(PAGES, patience_seconds=patience_seconds)
        self.let_go = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await super()._serve(reader, writer)
        self.let_go.set()


async def test_who_does_not_take_his_answer_is_cut_off(where: Listen) -> None:
    """He gets no more of it than what the network holds."""
    server = Watched(0.1)
    async with server.listening(where):
        with socket.socket() as client:
            client.setblocking(False)  # noqa: FBT003 -- the socket's own
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (where.host, where.port))
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(10):
                await server.let_go.wait()
                got = 0
                while chunk := await loop.sock_recv(client, 65536):
                    got += len(chunk)

    assert 0 < got < len(LARGE)


async def test_so_many_at_a_time_and_no_more(where: Listen) -> None:
    """Idle clients cannot use up the daemon's files; it says so to the next one."""
    server = Watched(30)
    async with server.listening(where):
        idle = [await asyncio.open_connection(where.host, where.port) for _ in range(16)]
        refused = await ask(where, "")
        server.let_go.clear()
        idle[0][1].close()
        async with asyncio.timeout(10):
            await server.let_go.wait()
        answered = await ask(where, "GET /small HTTP/1.1\r\n\r\n")
        for _, writer in idle:
            writer.close()

    assert (503, 200) == (refused[0], answered[0])


async def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    """One that a dead process left is replaced; it is for owner and group, and goes with the daemon."""
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    where = parse_listen(f"unix:{path}")

    async with Server(PAGES).listening(where):
        mode = stat.S_IMODE(path.stat().st_mode)
        status, _, body = await ask(where, "GET /small HTTP/1.1\r\n\r\n")
        with pytest.raises(ConfigurationError, match=r"web\.listen: cannot listen at unix:.*in use"):
            async with Server(PAGES).listening(where):
                pass
        assert path.exists()

    assert (200, b"small\n", 0o660, False) == (status, body, mode, path.exists())


async def test_an_address_that_is_taken_is_configuration(where: Listen) -> None:
    """The daemon says at once that nobody will see it there."""
    async with Server(PAGES).listening(where):
        with pytest.raises(ConfigurationError, match=r"web\.listen: cannot listen at 127\.0\.0\.1:\d+: .*in use"):
            async with Server(PAGES).listening(where):
                pass


async def test_a_file_is_never_removed_for_a_socket(tmp_path: Path) -> None:
    """Whoever names a file by mistake keeps it."""
    path = tmp_path / "precious"
    path.write_text("mine")

    with pytest.raises(ConfigurationError):
        async with Server(PAGES).listening(Listen(path=str(path))):
            pass

    assert "mine" == path.read_text()


# Health --------------------------------------------------------------------------------------------------------


def finished(*, trigger: str = "reconcile", broke_off: bool = False) -> FinishedRun:
    return FinishedRun(
        started=StartedRun(trigger=trigger, dry_run=False, started_at=NOW),
        finished_at=NOW,
        duration=timedelta(seconds=1),
        report=None if broke_off else RunReport(run_id=1, started_at=NOW),
    )


class Watch:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


async def ready(health: Health) -> tuple[int, dict[str, bool]]:
    answer = await health.readyz()
    said = json.loads(answer.body)
    assert said["ready"] is (answer.status == 200)
    return answer.status, {check["check"]: check["ok"] for check in said["checks"]}


async def test_ready_is_who_has_the_store_and_makes_passes() -> None:
    """Each of the three can say no; only passes that went through count, and the start counts as one."""
    watch, store = Watch(), {"answers": True, "lock": True}

    def read() -> Census:
        if not store["answers"]:
            raise StoreError("the disk failed")
        return Census()

    health = Health(
        census=CensusTaker(read=read, clock=watch),
        holds_lock=lambda: store["lock"],
        stale_after=timedelta(minutes=10),
        clock=watch,
    )

    assert (200, {"store": True, "lock": True, "last_pass": True}) == await ready(health)
    watch.time = 601
    for run in (finished(trigger="quote_check"), finished(broke_off=True)):
        health.run_finished(run)
        assert (503, {"store": True, "lock": True, "last_pass": False}) == await ready(health)
    health.run_finished(finished())
    assert 200 == (await ready(health))[0]
    store["lock"] = False
    assert (503, {"store": True, "lock": False, "last_pass": True}) == await ready(health)
    store |= {"lock": True, "answers": False}
    watch.time += 10
    assert (503, {"store": False, "lock": True, "last_pass": True}) == await ready(health)
    assert 200 == (await health.healthz()).status


async def test_a_store_that_hangs_holds_nobody_up() -> None:
    """It is asked once, in a thread, however many want to know; when it answers, all is well."""
    let_go, asked_times = asyncio.Event(), 0
    loop = asyncio.get_running_loop()

    def read() -> Census:
        nonlocal asked_times
        asked_times += 1
        asyncio.run_coroutine_threadsafe(let_go.wait(), loop).result()
        return Census()

    taker = CensusTaker(read=read, patience_seconds=0.01)
    for _ in range(3):
        with pytest.raises(StoreError, match=r"did not answer in 0\.01 s"):
            await taker.census()
    let_go.set()
    taker.patience_seconds = 10

    assert (Census(), 1) == (await taker.census(), asked_times)
    await taker.census()
    assert 1 == asked_times
