"""Tenants without a file: described, changed in part, tried out. Secrets are typed, piped or referred to."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import COMMAND, PATIENCE, Erpsyncd, connection, document
from erpsyncd.domain.secrets import Secret
from erpsyncd.domain.tenants import Tenant
from erpsyncd.sandbox import SandboxServer, SandboxTenant
from erpsyncd.store import open_store


def stored(quick: Erpsyncd, name: str = "acme") -> Tenant:
    """The tenant as a pass has it."""
    with open_store(quick.store_url, key_path=None, state_directory=quick.directory / "state") as store:
        found = store.read_tenant(name)
    assert found is not None
    return found


def secrets(tenant: Tenant) -> dict[str, str]:
    fields = tenant.spec.auth.fields
    return {name: template.source() for name, template in fields.items()}


_ON_A_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


def on_a_terminal(erpsyncd: Erpsyncd, *arguments: str, answers: tuple[str, ...]) -> tuple[int, str]:
    """Run a command on a terminal of its own; type one answer for each prompt; return its code and what one saw."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL, COMMAND, *arguments],
        env=erpsyncd.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen, waiting, deadline = b"", list(answers), time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 1)
            try:
                seen += os.read(ours, 4096) if ready else b""
            except OSError:  # the other end is closed: it ended
                break
            if waiting and seen.count(b"acme: ") + seen.count(b"confirmation: ") > len(answers) - len(waiting):
                os.write(ours, waiting.pop(0).encode() + b"\n")
        return process.wait(PATIENCE), seen.decode()
    finally:
        process.kill()
        os.close(ours)


def test_a_tenant_from_nothing_to_all_is_well(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """Added, tried out, and worked on, without a file."""
    added = quick(
        "tenants", "add", "acme", "--url", f"{sandbox.url}/acme", "--username", "sandbox", "--secret-stdin",
        stdin="sandbox\n",
    )  # fmt: skip
    tried = quick("tenants", "test", "acme")

    assert (0, "acme is described; to try it out: erpsyncd tenants test acme\n") == (added.code, added.stdout)
    assert (0, 4) == (tried.code, tried.stdout.count("ok"))
    assert "HasConnections: no (" in tried.stdout
    assert [0, 0] == [quick.load(connection("a")).code, quick.run_once().code]
    again = quick(
        "tenants", "add", "acme", "--url", "https://other.example", "--username", "x", "--secret-ref", "@{env:X}"
    )
    assert (2, True) == (again.code, "erpsyncd tenants edit acme" in again.stderr)


def test_only_what_is_given_changes(quick: Erpsyncd) -> None:
    """The rest stays, secrets included; an empty address takes an override away."""
    quick(
        "tenants", "add", "acme", "--url", "https://acme.example", "--soap-url", "https://soap.example",
        "--username", "sync", "--secret-stdin", "--application-token-ref", "@{env:TOKEN}",
        stdin="pass@{word",
    )  # fmt: skip
    before = stored(quick)

    edited = quick("tenants", "edit", "acme", "--calls-per-second", "5", "--soap-url", "", "--erpsync-services", "88")

    after = stored(quick)
    assert (0, 10.0, 5.0, "https://soap.example", None, 88) == (
        edited.code,
        before.spec.calls_per_second,
        after.spec.calls_per_second,
        before.spec.soap_url,
        after.spec.soap_url,
        after.spec.erpsync_services,
    )
    assert before.spec.auth == after.spec.auth
    assert 0 == quick("tenants", "edit", "acme", "--proxy", "http://me:@{env:P}@proxy:3128").code
    assert "http://me:@{env:P}@proxy:3128" == stored(quick).spec.templates["proxy"].source()
    assert Secret("pass@{word") == after.spec.auth.fields["password"].resolve({})
    same = quick("tenants", "edit", "acme", "--calls-per-second", "5")
    assert "acme is described just like this already.\n" == same.stdout
    told = quick("tenants", "edit", "acme", "--protocol", "rest", "--output", "json").json
    assert ("tenants", [{"name": "acme", "changed": True}]) == (told["kind"], told["items"])


def test_a_tenant_is_moved_by_hand_with_its_secrets(quick: Erpsyncd) -> None:
    """A document alone must not send what is stored elsewhere; once an operator did, it may say the same."""
    quick.load(document("https://old.example", "soap", connection("a"), password="tenant-canary"))
    moved = document("https://new.example", "soap", connection("a"), password="@{stored}")
    file = quick.write("moved.toml", moved)

    refused = quick("import", str(file)), quick("validate", str(file))
    before = stored(quick)
    edited = quick("tenants", "edit", "acme", "--url", "https://new.example/acme")
    imported = quick("import", str(file))

    for result in refused:
        assert (78, True) == (result.code, "auth.password" in result.stdout + result.stderr), result
        assert "tenants edit acme" in result.stdout + result.stderr
    assert "https://old.example/acme" == before.spec.url
    assert (0, 0) == (edited.code, imported.code)
    assert ("https://new.example/acme", "tenant-canary") == (stored(quick).spec.url, secrets(stored(quick))["password"])
    named = quick("tenants", "edit", "acme", "--url", "https://other.example", "--username", "@{stored}")
    assert (78, True) == (named.code, "auth.username: is @{stored}" in named.stderr), named


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--username", "sync"), "--url is missing"),
        (("--url", "https://acme.example"), "--username is missing"),
        ((), "--url is missing; --username is missing"),
        (("--auth", "bearer", "--secret-ref", "@{env:X}"), "--url is missing"),
        (("--environment", "sod"), "--context is missing; --username is missing"),
    ],
)
def test_a_new_tenant_lacks_options(quick: Erpsyncd, arguments: tuple[str, ...], reason: str) -> None:
    """They are named as options, before a secret is asked for; the line cannot be meant."""
    refused = quick("tenants", "add", "acme", *arguments)

    assert (2, f"erpsyncd: {reason} (see: erpsyncd tenants add --help)\n") == (refused.code, refused.stderr)
    assert [] == quick.listed("tenants")


def test_another_kind_of_auth(quick: Erpsyncd) -> None:
    """What the new kind has no use for goes; its own secret has to be given."""
    quick(
        "tenants", "add", "acme", "--url", "https://acme.example", "--username", "sync", "--secret-stdin",
        "--application-token-ref", "@{env:TOKEN}", stdin="password",
    )  # fmt: skip

    refused = quick("tenants", "edit", "acme", "--auth", "bearer")
    quick("tenants", "edit", "acme", "--auth", "bearer", "--secret-ref", "@{env:BEARER}")

    assert (78, True) == (refused.code, "tenant.auth.token: is missing (acme)" in refused.stderr)
    assert {"token": "@{env:BEARER}", "application_token": "@{env:TOKEN}"} == secrets(stored(quick))


def test_the_rules_are_those_of_the_document(quick: Erpsyncd, tmp_path: Path) -> None:
    """Each problem is told with its place, nothing is written, and what is doubtful is said beside the result."""
    refused = quick(
        "tenants", "add", "acme", "--url", "http://crm.example", "--protocol", "sopa", "--auth", "system-user",
        "--secret-ref", "@{env:X}", "--private-key-ref", "@{env:X}", "--application-token-ref", "@{env:X}",
    )  # fmt: skip
    missing = quick(
        "tenants", "add", "acme", "--url", "https://acme.example", "--username", "x",
        "--secret-ref", f"@{{file:{tmp_path}/not-there}}",
    )  # fmt: skip
    fast = quick(
        "tenants", "add", "fast", "--url", "https://acme.example", "--username", "x", "--secret-ref", "@{env:X}",
        "--calls-per-second", "50",
    )  # fmt: skip

    assert 78 == refused.code
    for problem in ("tenant.url: must be https", 'tenant.protocol: must be "soap" or "rest"', "logs in at Online"):
        assert problem in refused.stderr
    assert (78, True) == (missing.code, f"{tmp_path}/not-there" in missing.stderr)
    assert (0, True) == (fast.code, "calls_per_second" in fast.stderr)
    assert ["fast"] == [tenant["name"] for tenant in quick.listed("tenants")]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--secret-ref", "geheim"), "never the secret itself"),
        (("--secret-ref", "x@{env:X}"), "never the secret itself"),
        (("--secret-ref", "@{no:geheim"), "--secret-ref: a reference"),
        (("--application-token-ref", "geheim"), "never the secret itself"),
        (("--secret-ref", "@{env:X}", "--secret-stdin"), "in one way"),
        (("--application-token-ref", "@{env:X}", "--ask-application-token", "--secret-stdin"), "in one way"),
        ((), "no terminal to ask on; use --secret-stdin"),
        (("--password", "geheim"), "No such option"),
        (("--proxy", "http://me:geheim@proxy:3128", "--secret-ref", "@{env:X}"), "--proxy takes its password"),
    ],
)
def test_no_secret_stands_on_the_line(quick: Erpsyncd, arguments: tuple[str, ...], reason: str) -> None:
    """It is refused there, and not repeated."""
    refused = quick("tenants", "add", "acme", "--url", "https://acme.example", "--username", "x", *arguments)

    assert (2, True, False) == (refused.code, reason in refused.stderr, "geheim" in refused.stdout + refused.stderr)
    assert [] == quick.listed("tenants")


def test_an_unknown_tenant_is_not_edited(quick: Erpsyncd) -> None:
    """Nor tried out."""
    for arguments in (("edit", "nobody", "--url", "https://x.example"), ("test", "nobody")):
        refused = quick("tenants", *arguments)
        assert (2, True) == (refused.code, "see: erpsyncd tenants list" in refused.stderr)


def test_secrets_are_typed_unseen(erpsyncd: Erpsyncd) -> None:
    """Twice, on the terminal, which shows nothing of it; a slip of the finger is noticed; edit asks when told to."""
    address = ("--url", "https://acme.example", "--username", "sync")
    added = on_a_terminal(
        erpsyncd, "tenants", "add", "acme", *address, "--ask-application-token",
        answers=("app-token", "app-token", "first", "frist", "first", "first"),
    )  # fmt: skip
    store_url = erpsyncd.store_url or f"sqlite:///{erpsyncd.directory}/state/erpsyncd.db"
    on_store = Erpsyncd(erpsyncd.directory, store_url)
    after_add = secrets(stored(on_store))
    edited = on_a_terminal(erpsyncd, "tenants", "edit", "acme", "--ask-secret", answers=("second", "second"))

    assert (0, 0) == (added[0], edited[0]), (added, edited)
    assert {"username": "sync", "password": "first", "application_token": "app-token"} == after_add
    assert "second" == secrets(stored(on_store))["password"]
    assert "do not match" in added[1]
    for secret in ("first", "frist", "second", "app-token"):
        assert secret not in added[1] + edited[1]


@pytest.mark.parametrize("protocol", ["soap", "rest"])
def test_trying_out_a_tenant(quick: Erpsyncd, protocol: str) -> None:
    """Each step says ok or what is wrong, with the command for it; the code tells the kind of it."""
    quick.environ["ERPSYNCD__REMOTE__ATTEMPTS"] = "1"
    with SandboxServer(tenants={"acme": SandboxTenant()}) as server:
        quick(
            "tenants", "add", "acme", "--url", f"{server.url}/acme", "--protocol", protocol,
            "--username", "sandbox", "--secret-stdin", stdin="wrong",
        )  # fmt: skip
        server.tenant("acme").add(display_name="one", active=True)
        wrong = quick("tenants", "test", "acme")
        quick("tenants", "edit", "acme", "--secret-ref", "@{env:NOT_HERE}")
        missing = quick("tenants", "test", "acme", "--output", "json")
        quick("tenants", "edit", "acme", "--secret-stdin", stdin="sandbox")
        right = quick("tenants", "test", "acme", "--output", "json")
        called = {call.operation for call in server.calls}
        states = quick.listed("tenants")
    gone = quick("tenants", "test", "acme")

    assert 77 == wrong.code
    assert "erpsyncd tenants edit acme --ask-secret" in wrong.stdout
    assert ["ok", "failed", "-", "-"] == [line.split()[0] for line in wrong.stdout.splitlines() if line[0] != " "]
    assert (1, [False, None, None, None]) == (missing.code, [step["is_ok"] for step in told(missing)])
    assert ("secret_missing", True) == (told(missing)[0]["error_class"], "NOT_HERE" in str(told(missing)[0]["what"]))
    assert (0, [True] * 4) == (right.code, [step["is_ok"] for step in told(right)])
    assert ["1 connection", "yes"] == [step["what"] for step in told(right)[2:]]
    assert (75, True) == (gone.code, "erpsyncd tenants edit acme --url" in gone.stdout)
    assert {"AuthenticateUsernamePassword", "GetList", "GetAllConnections", "HasConnections"} >= called
    assert ["active"] == [tenant["state"] for tenant in states]
    assert 80 >= max(len(line) for line in (wrong.stdout + gone.stdout).splitlines())


def told(result: object) -> list[dict[str, object]]:
    """The steps that a trial told as JSON."""
    steps: list[dict[str, object]] = result.json["items"][0]["steps"]  # type: ignore[attr-defined]
    return steps


def test_a_tenant_that_lets_us_in_again(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """Refused credentials are not tried again; a trial that insists does so, and says how to go on."""
    quick.load(document(sandbox.url, "soap", connection("a")))
    sandbox.tenant("acme").configure(users={"sandbox": "another"})
    refused = quick.run_once().code
    sandbox.tenant("acme").configure(users={"sandbox": "sandbox"})

    calls = len(sandbox.calls)
    left = quick("tenants", "test", "acme")
    left_alone = len(sandbox.calls) == calls
    tried = quick("tenants", "test", "--retry", "acme")

    assert (77, 77, True) == (refused, left.code, left_alone)
    assert ["ok", "failed", "-", "-"] == [line.split()[0] for line in left.stdout.splitlines() if line[0] != " "]
    assert "erpsyncd tenants test --retry acme" in " ".join(left.stdout.split())
    assert (0, True) == (tried.code, "    erpsyncd tenants resume acme" in tried.stdout.splitlines()[3])
    assert [0, 0] == [quick("tenants", "resume", "acme").code, quick.run_once().code]


def test_a_list_that_fails_is_told_apart_from_the_login(quick: Erpsyncd, sandbox: SandboxServer) -> None:
    """We were let in; the other questions are still asked, and their failures are told."""
    quick(
        "tenants", "add", "acme", "--url", f"{sandbox.url}/acme", "--username", "sandbox", "--secret-stdin",
        "--quote-services", "84", stdin="sandbox",
    )  # fmt: skip
    sandbox.tenant("acme").configure(services=frozenset({86}))
    no_quote = quick("tenants", "test", "acme", "--output", "json")
    quick("tenants", "edit", "acme", "--protocol", "rest", "--rest-url", f"{sandbox.url}/acme/wrong/api")
    no_rest = quick("tenants", "test", "acme", "--output", "json")

    assert (1, [True, True, True, False]) == (no_quote.code, [step["is_ok"] for step in told(no_quote)])
    assert (1, [True, None, False, False]) == (no_rest.code, [step["is_ok"] for step in told(no_rest)])
    assert {"not_found"} == {str(step["error_class"]) for step in (told(no_quote)[3], *told(no_rest)[2:])}
