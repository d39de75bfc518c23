"""`doctor`, the way operators run it: on real stores, against a real sandbox, and with things that are wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commands import COMMAND, Erpsyncd, Result, connection, document
from erpsyncd.sandbox import SandboxServer
from in_process import InProcess
from postgres_server import PostgresServer

pytestmark = pytest.mark.usefixtures("logging_restored")

MEMBERS = {"scope", "tenant", "check", "result", "detail", "remedy"}


def found(examined: Result, result: str | None = None, **members: Any) -> list[dict[str, Any]]:
    wanted = members | ({"result": result} if result else {})
    items: list[dict[str, Any]] = examined.json["items"]
    assert all(MEMBERS == item.keys() for item in items)
    assert all(item["remedy"] for item in items if item["result"] in {"warning", "failed"})
    return [item for item in items if wanted.items() <= item.items()]


def doctor(erpsyncd: Erpsyncd, *arguments: str) -> Result:
    return erpsyncd("doctor", "--output", "json", *arguments)


@pytest.fixture
def local(tmp_path: Path) -> Erpsyncd:
    """A store on SQLite that has a tenant, which nobody answers for; the command line in this process."""
    erpsyncd = InProcess(tmp_path)
    assert 0 == erpsyncd.load(document("http://127.0.0.1:9", "soap", connection("a"))).code
    return erpsyncd


def test_a_healthy_installation(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """Exit 0: nothing failed here nor at either tenant; this machine stands first. Nothing was written there."""
    rest = document(sandbox.url, "rest", connection("a", tenant="umbrella"), name="umbrella")
    quick.load(document(sandbox.url, "soap", connection("a")) + rest)

    examined = doctor(quick)

    assert (0, "doctor", "") == (examined.code, examined.json["kind"], examined.stderr)
    assert [] == found(examined, "failed") + found(examined, "warning")
    tenants = [item["tenant"] for item in examined.json["items"]]
    assert ["local", "tenant"] == list(dict.fromkeys(item["scope"] for item in examined.json["items"]))
    assert [None, "acme", "umbrella"] == list(dict.fromkeys(tenants))
    checks = [item["check"] for item in found(examined, tenant="acme")]
    agents = ["MDO", "ErpSync", "Quote"]
    wsdls = [f"wsdl {agent}" for agent in ("SoPrincipal", *agents)]
    assert ["dns", "connection", "tls", "clock", *wsdls, "login", *(f"agent {each}" for each in agents)] == checks
    asked = {"", "AuthenticateUsernamePassword", "GetList", "GetConnection", "HasConnections"}
    assert {*asked, "GetConnectionStartupErrors"} == set(sandbox.counts("acme")), "it says no, and why"
    assert 1 == sandbox.counts("acme")["AuthenticateUsernamePassword"]
    assert {"GetAllConnections", "HasConnections"} <= set(sandbox.counts("umbrella"))
    assert [] == quick.listed("runs")


def test_only_those_that_are_named(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """Others are not called; an unknown one is a usage error that suggests the right one."""
    other = document(sandbox.url, "rest", "", name="umbrella")
    quick.load(document(sandbox.url, "soap", connection("a")) + other)

    named = doctor(quick, "umbrella", "umbrella")
    unknown = doctor(quick, "umbrela")

    assert (0, set()) == (named.code, set(sandbox.counts("acme")))
    assert {None, "umbrella"} == {item["tenant"] for item in named.json["items"]}
    assert 1 == len(found(named, tenant="umbrella", check="login"))
    assert (2, "there is no tenant 'umbrela'; did you mean 'umbrella'?") == (unknown.code, unknown.error["error"])


def test_wrong_credentials(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """They are tried once, and once a pass has noted the refusal not at all, unless asked to."""
    quick.load(document(sandbox.url, "soap", connection("a"), password="canary"))

    first = doctor(quick)
    assert 77 == quick.run_once().code
    second = doctor(quick)
    logins = sandbox.counts("acme")["AuthenticateUsernamePassword"]
    third = doctor(quick, "--retry")

    assert [1, 1, 1] == [examined.code for examined in (first, second, third)]
    assert "refused" in found(first, "failed", check="login")[0]["detail"]
    assert "not tried again" in found(second, "failed", check="login")[0]["detail"]
    assert (2, 3) == (logins, sandbox.counts("acme")["AuthenticateUsernamePassword"])
    assert "canary" not in first.stdout + third.stdout


def test_a_tenant_that_is_not_there(local: Erpsyncd) -> None:
    """Exit 1: it is the tenant's, not this machine's. With --local nobody is called."""
    examined = doctor(local)
    here = doctor(local, "--local")
    text = local("doctor", "acme")

    assert (1, 0) == (examined.code, here.code)
    assert ["connection"] == [item["check"] for item in found(examined, "failed")]
    assert {"local"} == {item["scope"] for item in here.json["items"]}
    assert "Tenant acme\n" in text.stdout
    assert "  -> check url, the network and the certificate" in text.stdout
    assert text.stdout.splitlines()[-1].startswith("1 failed")


def test_without_a_store_nothing_is_made(tmp_path: Path) -> None:
    """A new machine has notes and no failures, and the doctor leaves it as new."""
    erpsyncd = InProcess(tmp_path)

    examined, named = doctor(erpsyncd), doctor(erpsyncd, "acme")

    assert (0, {"settings", "rights", "disk", "database", "clock"}) == (
        examined.code,
        {item["check"] for item in examined.json["items"]},
    )
    assert [] == list(tmp_path.iterdir())
    assert (2, "there is no tenant 'acme'; see: erpsyncd tenants list") == (named.code, named.error["error"])


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    """Exit 78 with each problem and its remedy: there is nothing else to look at."""
    file = tmp_path / "erpsyncd.toml"
    file.write_text("[remote]\nsetle = 1\nattempts = 0\n")

    examined = doctor(InProcess(tmp_path), "--config", str(file))
    missing = doctor(InProcess(tmp_path), "--config", str(tmp_path / "none.toml"))

    assert (78, 78) == (examined.code, missing.code)
    assert ["settings", "settings"] == [item["check"] for item in found(examined, "failed")]
    assert ['did you mean "remote.settle"?'] == [item["remedy"] for item in found(examined)][:1]
    assert "none.toml" in found(missing, "failed")[0]["detail"]


def test_doubtful_settings_are_warnings(local: Erpsyncd) -> None:
    """They change nothing about the exit code."""
    local.environ["ERPSYNCD__RETENTION__DAYS"] = "7"

    examined = doctor(local, "--local")

    assert (0, ["settings"]) == (examined.code, [item["check"] for item in found(examined, "warning")])


def break_rights(state: Path) -> None:
    (state / "erpsyncd.db").chmod(0o644)


def break_key(state: Path) -> None:
    (state / "erpsyncd.key").unlink()


def break_key_rights(state: Path) -> None:
    (state / "erpsyncd.key").chmod(0o640)


def break_version(state: Path) -> None:
    with sqlite3.connect(state / "erpsyncd.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'newer'")
    database.close()


def break_database(state: Path) -> None:
    (state / "erpsyncd.db").write_bytes(b"not a database" * 1000)


def break_clock(state: Path) -> None:
    with sqlite3.connect(state / "erpsyncd.db") as database:
        database.execute(
            'INSERT INTO runs ("trigger", dry_run, counts, changed_records, problems, started_at) '
            "VALUES ('x', 0, '{}', 0, '[]', '2999-01-01 00:00:00.000000')"
        )
    database.close()


def break_lock(state: Path) -> None:
    (state / "erpsyncd.db.lock").symlink_to(state / "erpsyncd.db")


@pytest.mark.parametrize(
    ("spoil", "check", "words"),
    [
        (break_rights, "rights", "chmod 600"),
        (break_key, "key", "put that key there"),
        (break_key_rights, "key", "chmod 600"),
        (break_version, "database", "update erpsyncd here too"),
        (break_database, "database", "look at store.url"),
        (break_clock, "clock", "timedatectl"),
        (break_lock, "process", "look at its owner"),
    ],
)
def test_what_is_wrong_here(local: Erpsyncd, tmp_path: Path, spoil: Any, check: str, words: str) -> None:
    """Exit 78; the finding has the remedy in words, and the doctor does not mend anything by itself."""
    spoil(tmp_path / "state")
    before = {path.name: path.lstat().st_mode for path in (tmp_path / "state").iterdir()}

    examined = doctor(local, "--local")

    assert 78 == examined.code
    assert any(words in item["remedy"] for item in found(examined, "failed", check=check)), examined.stdout
    assert before == {path.name: path.lstat().st_mode for path in (tmp_path / "state").iterdir()}


def test_an_older_store(tmp_path: Path, upgraded_sqlite: Path) -> None:
    """On SQLite it is a note: the next command upgrades it. The doctor does not, and makes no key."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    shutil.copy(upgraded_sqlite, state / "erpsyncd.db")
    (state / "erpsyncd.db").chmod(0o600)
    unused = doctor(InProcess(tmp_path))
    with sqlite3.connect(state / "erpsyncd.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()

    older = doctor(InProcess(tmp_path))

    assert (0, 0) == (unused.code, older.code)
    assert ["key"] == [item["check"] for item in found(unused, "note")]
    assert {"database version", "key"} == {item["check"] for item in found(older, "note")}
    assert ["erpsyncd.db"] == [path.name for path in state.iterdir()]

    (state / "erpsyncd.key").write_bytes(b"A" * 43 + b"=\n")
    (state / "erpsyncd.key").chmod(0o600)

    assert ["ok"] == [item["result"] for item in found(doctor(InProcess(tmp_path)), check="key")]


@pytest.fixture
def server(tmp_path: Path, postgres: PostgresServer, upgraded_postgres: str) -> Iterator[Erpsyncd]:
    """The command line in this process, on an empty store in PostgreSQL."""
    with postgres.database(upgraded_postgres) as url:
        yield InProcess(tmp_path, url)


def test_an_older_server_store(server: Erpsyncd) -> None:
    """On PostgreSQL an operator has to upgrade it, because other nodes work on it."""
    with psycopg.connect(server.store_url) as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")

    examined = doctor(server)

    assert 78 == examined.code
    assert ["stop all nodes and run: erpsyncd db upgrade"] == [
        item["remedy"] for item in found(examined, "failed", check="database version")
    ]
    assert "not looked at" in found(examined, "note", check="tenants")[0]["detail"]


def test_a_server_that_only_answers_questions(server: Erpsyncd) -> None:
    """A standby is found before a pass fails on it."""
    server.store_url += "&options=-c%20default_transaction_read_only%3Don"

    examined = doctor(server)

    assert 78 == examined.code
    assert "primary" in found(examined, "failed", check="database writable")[0]["remedy"]


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """Its password is not shown."""
    examined = doctor(InProcess(tmp_path, store_url="postgresql://u:canary@127.0.0.1:9/e"))

    assert 78 == examined.code
    assert "does not answer" in found(examined, "failed", check="database")[0]["detail"]
    assert "canary" not in examined.stdout + examined.stderr


def test_an_address_that_is_no_store(tmp_path: Path) -> None:
    """A file where a directory should be is a finding, too."""
    (tmp_path / "file").touch()

    examined = doctor(InProcess(tmp_path, store_url=f"sqlite:///{tmp_path}/file/x.db"))
    options = doctor(InProcess(tmp_path, store_url=f"sqlite:///{tmp_path}/x.db?mode=ro"))

    assert (78, 78) == (examined.code, options.code)
    assert "cannot be looked at" in found(examined, "failed", check="database")[0]["detail"]


def test_a_password_in_the_settings_file(tmp_path: Path) -> None:
    """Whoever can read the file has the database."""
    file = tmp_path / "erpsyncd.toml"
    file.write_text('[store]\nurl = "postgresql://u:canary@127.0.0.1:9/e"\n')
    file.chmod(0o644)

    examined = doctor(InProcess(tmp_path), "--config", str(file))

    assert "chmod o-r" in found(examined, "failed", check="rights")[0]["remedy"]
    assert "canary" not in examined.stdout


def test_references_that_nothing_stands_behind(tmp_path: Path) -> None:
    """Named with their tenants: of the login and of connections. Values are never shown."""
    erpsyncd = InProcess(tmp_path, environ={"HERE": "canary"})
    secret = tmp_path / "secret"
    secret.write_text("canary")
    fields = {"A": "@{env:HERE}", "B": "@{env:NOT_HERE}", "C": f"@{{file:{secret}}}"}
    text = document("http://127.0.0.1:9", "soap", connection("a", config_fields=fields), password="@{systemd:acme}")
    assert 0 == erpsyncd.load(text).code

    warned = doctor(erpsyncd, "--local")
    secret.unlink()
    failed = doctor(erpsyncd, "--local")

    assert (0, 78) == (warned.code, failed.code)
    details = " ".join(item["detail"] for item in found(warned, "warning", check="secrets"))
    assert "@{env:NOT_HERE} is not set (used by acme)" in details
    assert "@{systemd:acme}" in details
    assert f"@{{file:{secret}}}" in found(failed, "failed", check="secrets")[0]["detail"]
    assert "canary" not in warned.stdout + failed.stdout


def test_beside_a_running_daemon(tmp_path: Path, sandbox: SandboxServer) -> None:
    """It is named, and not disturbed."""
    erpsyncd = Erpsyncd(tmp_path)
    erpsyncd.load(document(sandbox.url, "rest", connection("a")))
    with erpsyncd.daemon() as daemon:
        daemon.wait_for("run.finished")

        examined = doctor(erpsyncd)

        assert 0 == examined.code, examined.stdout
        (process,) = found(examined, check="process")
        assert f"process {daemon.process.pid} makes passes" == process["detail"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who must not touch another user's store")
def test_root_does_not_examine_the_service_as_root(local: Erpsyncd, tmp_path: Path) -> None:
    """It becomes the service's user; where that one cannot read this program, it is told what to run instead."""
    state = tmp_path / "state"
    for path in (state, *state.iterdir()):
        os.chown(path, 65534, 65534)

    examined = doctor(Erpsyncd(tmp_path))

    if examined.code == 78:
        (settings,) = found(examined, "failed", check="settings")
        assert f"sudo -u nobody env STATE_DIRECTORY={state} erpsyncd doctor" in str(settings)
    else:
        assert found(examined, "ok", check="database")
    assert {65534} == {path.stat().st_uid for path in (state, *state.iterdir())}


@pytest.fixture(params=[0o555, 0o755], ids=["directory", "file"])
def closed(local: Erpsyncd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """A store that its user may read and not write, and how to act as one without root's powers."""
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "state" / "erpsyncd.db").chmod(0o444)
    (tmp_path / "state" / "erpsyncd.key").chmod(0o400)
    (tmp_path / "state").chmod(request.param)
    yield ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    (tmp_path / "state").chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as a user who may not write there")
def test_a_store_that_cannot_be_written(local: Erpsyncd, tmp_path: Path, closed: list[str]) -> None:
    """It is found before a pass fails on it."""
    done = subprocess.run(
        [*closed, COMMAND, "doctor", "--output", "json"],
        env=local.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    examined = Result(done.returncode, done.stdout, done.stderr)
    assert 78 == examined.code
    assert any(item["check"].startswith("database") for item in found(examined, "failed")), examined.stdout
