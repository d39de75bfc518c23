"""Tenants of Online, the way operators have them: one login for many runs, and a "no" that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import Erpsyncd, connection, document
from erpsyncd.domain.tenants import AuthKind
from erpsyncd.sandbox import AuthorizeErrorCode, Call, SandboxServer
from in_process import InProcess
from online_support import CLIENT_SECRET, CONTEXT, REFRESH_TOKEN, SYSTEM_TOKEN, OnlineWorld, online_world, pem
from online_support import private_key as application_key

KINDS = [AuthKind.SYSTEM_USER, AuthKind.REFRESH_TOKEN]
LOGIN = {AuthKind.SYSTEM_USER: "Authenticate", AuthKind.REFRESH_TOKEN: "tokens"}
#: As processes of their own, each protocol and each kind once; a start of a program knows neither.
EACH_WAY = [
    ("soap", AuthKind.SYSTEM_USER, Erpsyncd),
    ("rest", AuthKind.REFRESH_TOKEN, Erpsyncd),
    ("soap", AuthKind.REFRESH_TOKEN, InProcess),
    ("rest", AuthKind.SYSTEM_USER, InProcess),
]
THREE = "".join(connection(key) for key in ("a", "b", "c"))


@dataclass
class Installation:
    """A store, and the online tenant that is in it."""

    erpsyncd: Erpsyncd
    world: OnlineWorld

    @property
    def server(self) -> SandboxServer:
        return self.world.server

    def logins(self, kind: AuthKind) -> int:
        return self.world.counts.get(LOGIN[kind], 0)

    def row(self) -> dict[str, Any]:
        """The tenant's row as it lies in the file."""
        with sqlite3.connect(self.erpsyncd.directory / "state" / "erpsyncd.db") as database:
            database.row_factory = sqlite3.Row
            return dict(database.execute("SELECT * FROM tenants").fetchone())

    def shift_environment(self, minutes: float) -> None:
        """Move the login service's clock away from this machine's."""
        self.server.login.now = lambda: datetime.now(UTC) + timedelta(minutes=minutes)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes the installation that a test is about; its sandbox has the real time."""
    with online_world() as world:

        def make(command: type[Erpsyncd] = InProcess) -> Installation:
            erpsyncd = command(tmp_path, environ={"ERPSYNCD__ONLINE__SOD": world.server.url})
            made = Installation(erpsyncd, world)
            made.shift_environment(0)
            return made

        yield make


@pytest.mark.parametrize(("protocol", "kind", "command"), EACH_WAY)
def test_runs_in_a_row_log_in_once(
    at: Callable[..., Installation], protocol: str, kind: AuthKind, command: type[Erpsyncd]
) -> None:
    """Each run is a process of its own, and only the first one logs in. A converged run does not write the ticket."""
    site = at(command)
    assert 0 == site.erpsyncd.load(site.world.document(protocol, kind, THREE)).code

    first, kept = site.erpsyncd.run_once(), site.row()
    second = site.erpsyncd.run_once()

    assert (0, 0) == (first.code, second.code)
    assert 3 == first.json["counts"]["created"]
    assert 1 == site.logins(kind)
    assert {401, 403}.isdisjoint(call.http_status for call in site.server.calls)
    assert kept["session_auth"]
    assert {**kept, "lease_fence": 0, "last_checked_at": 0} == {**site.row(), "lease_fence": 0, "last_checked_at": 0}


def test_a_password_over_soap_logs_in_once_too(tmp_path: Path, sandbox: SandboxServer) -> None:
    """The ticket of a password is kept for the next run like any other."""
    erpsyncd = InProcess(tmp_path)
    erpsyncd.load(document(sandbox.url, "soap", THREE))

    codes = [erpsyncd.run_once().code for _ in range(3)]

    assert [0, 0, 0] == codes
    assert (1, 0) == sandbox.tenant("acme").logins


@pytest.mark.parametrize("protocol", ["soap", "rest"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_that_ends_in_mid_pass(at: Callable[..., Installation], protocol: str, kind: AuthKind) -> None:
    """Calls are under way when the session goes: one renewal, each connection is made once, the run is a success."""
    site = at()
    ended: list[int] = []

    def end_it(call: Call) -> None:
        if call.operation == "SaveConnection" and not ended:
            ended.append(site.world.tenant.expire_tickets())

    site.server.before_call = end_it
    site.erpsyncd.load(site.world.document(protocol, kind, "".join(connection(f"c{n}") for n in range(8))))

    run = site.erpsyncd.run_once()

    assert (0, 8) == (run.code, run.json["counts"]["created"])
    assert [1] == ended
    assert 2 == site.logins(kind)
    assert 8 == len(site.world.tenant.connections)
    again = site.erpsyncd.run_once()
    assert (0, 2) == (again.code, site.logins(kind))


def test_a_wrong_clock_is_no_refusal(at: Callable[..., Installation]) -> None:
    """A clock that is minutes off ends the pass as temporary, says by how much, and is forgotten once it is right."""
    site = at()
    site.shift_environment(8)
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, THREE))

    wrong = site.erpsyncd.run_once()
    site.shift_environment(0)
    right = site.erpsyncd.run_once()

    outcomes = wrong.json["outcomes"]
    assert (75, 0) == (wrong.code, right.code)
    assert {"clock_skew"} == {each["error_class"] for each in outcomes if each["status"] == "failed"}
    assert any("s behind it; set it: timedatectl set-ntp true" in str(each["error"]) for each in outcomes)
    assert 3 == right.json["counts"]["created"]


@pytest.mark.parametrize(
    ("code", "word"),
    [(AuthorizeErrorCode.REVOKED, "Revoked"), (AuthorizeErrorCode.NEEDS_REAPPROVAL, "NeedsReapproval")],
)
def test_a_revoked_application(at: Callable[..., Installation], code: AuthorizeErrorCode, word: str) -> None:
    """A refusal is exit 77 and not tried again, by no run, until somebody says that it was put right."""
    site = at()
    site.server.login.refuse = code
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, THREE))

    refused, again = site.erpsyncd.run_once(), site.erpsyncd.run_once()
    asked = site.logins(AuthKind.SYSTEM_USER)
    site.server.login.refuse = None
    assert 0 == site.erpsyncd("tenants", "resume", "acme").code
    resumed = site.erpsyncd.run_once()

    assert (77, 77, 0) == (refused.code, again.code, resumed.code)
    assert any(word in str(each["error"]) for each in refused.json["outcomes"])
    assert 1 == asked
    assert 2 == site.logins(AuthKind.SYSTEM_USER)


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_a_wrong_key(at: Callable[..., Installation], protocol: str) -> None:
    """Exit 77, asked once, with what to look at; the right key is other credentials, and is tried at once."""
    site = at()
    wrong = pem(application_key(1))
    site.erpsyncd.load(site.world.document(protocol, AuthKind.SYSTEM_USER, THREE, private_key=wrong))

    refused = [site.erpsyncd.run_once() for _ in range(2)]
    asked = site.logins(AuthKind.SYSTEM_USER)
    site.erpsyncd.load(site.world.document(protocol, AuthKind.SYSTEM_USER, THREE))
    right = site.erpsyncd.run_once()

    assert ([77, 77], 1) == ([run.code for run in refused], asked)
    assert any("private_key is not the key of this application" in str(o["error"]) for o in refused[0].json["outcomes"])
    assert not any("PRIVATE KEY" in run.stdout + run.stderr for run in refused)
    assert (0, 3) == (right.code, right.json["counts"]["created"])


def test_the_environment_signs_with_another_key(at: Callable[..., Installation]) -> None:
    """A daemon that knows the old key looks once more, half a minute after the last time, and goes on by itself."""
    site = at(Erpsyncd)
    login = site.server.login
    site.erpsyncd.environ |= {"ERPSYNCD__SCHEDULE__RECONCILE": "1s", "ERPSYNCD__SCHEDULE__JITTER": "0s"}
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, connection("a")))
    with site.erpsyncd.daemon() as daemon:
        daemon.wait_for("connection.applied")
        login.keys.rotate()
        site.world.tenant.expire_tickets()
        site.erpsyncd.load(connection("b"))
        applied = daemon.wait_for("connection.applied")

    assert "b" == applied["key"]
    assert 2 == login.counts["jwks"]
    assert {"in_sync"} == {row["state"] for row in site.erpsyncd.listed("connections")}


def test_a_revoked_refresh_token(at: Callable[..., Installation]) -> None:
    """`invalid_grant` is a refusal; another token is other credentials, and is tried at once."""
    site = at()
    site.erpsyncd.load(site.world.document("rest", AuthKind.REFRESH_TOKEN, THREE, refresh_token="an old one"))

    refused = [site.erpsyncd.run_once().code for _ in range(2)]
    site.erpsyncd.load(site.world.document("rest", AuthKind.REFRESH_TOKEN, THREE))

    assert [77, 77] == refused
    assert 1 == site.logins(AuthKind.REFRESH_TOKEN)
    assert 0 == site.erpsyncd.run_once().code


def test_a_session_serves_only_what_it_was_given_for(at: Callable[..., Installation]) -> None:
    """Other credentials, and another address, log in anew: a ticket is shown to nobody it was not given for."""
    site = at()
    text = site.world.document("rest", AuthKind.SYSTEM_USER, THREE)
    site.erpsyncd.load(text)
    site.erpsyncd.run_once()
    other = pem(application_key())[:-1]  # the same key, written in another way
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, THREE, private_key=other))
    changed = site.row()["session"]
    site.erpsyncd.run_once()
    site.erpsyncd.load(text.replace(f"{site.server.url}/{CONTEXT}", f"{site.server.url}/{CONTEXT.lower()}"))
    moved = site.row()["session"]
    site.erpsyncd.run_once()

    assert (None, None) == (changed, moved)
    assert 3 == site.logins(AuthKind.SYSTEM_USER)


def test_a_session_does_not_outlive_a_rotated_secret(tmp_path: Path, sandbox: SandboxServer) -> None:
    """Where what a reference stands for has changed, the old ticket is not used, though it would still be taken."""
    erpsyncd = InProcess(tmp_path, environ={"P": "sandbox"})
    erpsyncd.load(document(sandbox.url, "soap", THREE, password="@{env:P}"))
    before = erpsyncd.run_once().code
    erpsyncd.environ["P"] = "another one"

    after = erpsyncd.run_once().code

    assert (0, 77) == (before, after)
    assert (1, 1) == sandbox.tenant("acme").logins


def test_a_damaged_session_is_replaced(at: Callable[..., Installation]) -> None:
    """A session that does not open any more costs one login and nothing else."""
    site = at()
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, THREE))
    site.erpsyncd.run_once()
    with sqlite3.connect(site.erpsyncd.directory / "state" / "erpsyncd.db") as database:
        database.execute("UPDATE tenants SET session = replace(session, 'v1:', 'v1:00')")

    run = site.erpsyncd.run_once()

    assert (0, 2) == (run.code, site.logins(AuthKind.SYSTEM_USER))
    assert 0 == site.erpsyncd.run_once().code
    assert 2 == site.logins(AuthKind.SYSTEM_USER)


def test_a_plan_uses_the_session_and_writes_nothing(at: Callable[..., Installation]) -> None:
    """A dry run may use what is kept, or log in; it keeps nothing."""
    site = at()
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, THREE))
    planned = site.erpsyncd("plan", "--output", "json")
    before = site.row()
    site.erpsyncd.run_once()
    kept = site.row()
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER, THREE + connection("d")))
    again = site.erpsyncd("plan", "--output", "json")

    assert (0, 0) == (planned.code, again.code)
    assert before["session"] is None
    assert kept["session"] == site.row()["session"]
    assert 2 == site.logins(AuthKind.SYSTEM_USER)


@pytest.mark.parametrize(("protocol", "kind", "command"), EACH_WAY)
def test_no_secret_of_online_escapes(
    at: Callable[..., Installation], protocol: str, kind: AuthKind, command: type[Erpsyncd]
) -> None:
    """Neither what was given nor what was got for it stands in the store or in anything that is written."""
    site = at(command)
    given = [CLIENT_SECRET, SYSTEM_TOKEN, REFRESH_TOKEN, pem(application_key()).splitlines()[3]]
    got: list[str] = []
    service, tenant = site.server.login, site.world.tenant
    issue, issue_access, mint = tenant.issue_ticket, tenant.issue_access_token, service.mint

    def keep(text: str) -> str:
        got.append(text)
        return text

    service.mint = lambda key, header, claims: keep(mint(key, header, claims))
    tenant.issue_ticket = lambda user="sandbox": keep(issue(user))  # type: ignore[method-assign]
    tenant.issue_access_token = lambda seconds: keep(issue_access(seconds))  # type: ignore[method-assign]
    seen = []
    site.erpsyncd.load(site.world.document(protocol, kind, THREE))
    debug = ("--output", "json", "--log-level", "debug", "--debug")
    commands = [("--run-once", *debug), ("tenants", "test", "acme", *debug), ("doctor", *debug)]
    commands += [("export",), ("tenants", "show", "acme", "--output", "json"), ("status",)]
    for arguments in (*commands, ("--run-once", *debug)):
        done = site.erpsyncd(*arguments)
        seen += [done.stdout, done.stderr]
    service.refuse = AuthorizeErrorCode.DENIED
    tenant.expire_tickets()
    service.applications = ()
    refused = site.erpsyncd("--run-once", *debug)
    seen += [refused.stdout, refused.stderr]

    state = b"".join(path.read_bytes() for path in (site.erpsyncd.directory / "state").iterdir())
    assert 77 == refused.code
    assert got
    assert "acme" in "".join(seen)
    for secret in (*given, *got):
        assert secret not in "".join(seen)
        assert secret.encode() not in state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_trying_a_tenant_out(at: Callable[..., Installation], protocol: str, kind: AuthKind) -> None:
    """`tenants test` and `doctor` log in for themselves, whatever is kept, and say what came of it."""
    site = at()
    site.erpsyncd.load(site.world.document(protocol, kind, THREE))
    site.erpsyncd.run_once()

    tested = site.erpsyncd("tenants", "test", "acme")
    examined = site.erpsyncd("doctor", "--output", "json")
    site.server.login.applications = ()
    refused = site.erpsyncd("tenants", "test", "acme")
    doctored = site.erpsyncd("doctor", "--output", "json")

    login = [each for each in examined.json["items"] if each["check"] == "login"]
    what = {AuthKind.SYSTEM_USER: "a ticket", AuthKind.REFRESH_TOKEN: "an access token"}[kind]
    assert (0, 0, 77) == (tested.code, examined.code, refused.code)
    assert [("ok", f"the login service gave {what}")] == [(each["result"], each["detail"]) for each in login]
    assert "failed" in [each["result"] for each in doctored.json["items"] if each["check"] == "login"]
    assert 5 == site.logins(kind)


def test_doctor_tells_a_wrong_clock(at: Callable[..., Installation]) -> None:
    """What is to be done about it is said: it is the clock of this machine, and not the tenant's log."""
    site = at()
    site.shift_environment(-8)
    site.erpsyncd.load(site.world.document("rest", AuthKind.SYSTEM_USER))

    examined = site.erpsyncd("doctor", "--output", "json")

    (login,) = [each for each in examined.json["items"] if each["check"] == "login"]
    assert "s ahead of it" in login["detail"]
    assert "timedatectl" in login["remedy"]


@pytest.mark.parametrize("kind", KINDS)
def test_describing_by_hand(at: Callable[..., Installation], kind: AuthKind) -> None:
    """`tenants add` takes what each kind needs, secrets by reference only, and names what is missing."""
    site = at()
    site.erpsyncd.environ |= {"S": CLIENT_SECRET, "T": SYSTEM_TOKEN, "R": REFRESH_TOKEN, "K": pem(application_key())}
    needed = {
        AuthKind.SYSTEM_USER: "--secret-ref @{env:T} --private-key-ref @{env:K} --application-token-ref @{env:S}",
        AuthKind.REFRESH_TOKEN: "--secret-ref @{env:R} --client-id sandbox-client --client-secret-ref @{env:S}",
    }[kind].split()
    url = f"{site.server.url}/{CONTEXT}"
    where = ("--url", url, "--environment", "sod", "--context", CONTEXT, "--protocol", "rest", "--auth", kind)

    lacking = site.erpsyncd("tenants", "add", "acme", *where, "--secret-ref", "@{env:T}")
    added = site.erpsyncd("tenants", "add", "acme", *where, *needed)
    tested = site.erpsyncd("tenants", "test", "acme")
    exported = site.erpsyncd("export").stdout

    assert (2, 0, 0) == (lacking.code, added.code, tested.code)
    assert {AuthKind.SYSTEM_USER: "--private-key-ref", AuthKind.REFRESH_TOKEN: "--client-id"}[kind] in lacking.stderr
    assert 'environment = "sod"' in exported
    assert "@{env:S}" in exported
