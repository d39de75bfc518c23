"""What the doctor says about this machine, one rule after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from erpsyncd.domain.findings import Finding, Result, exit_code, finding_from
from erpsyncd.domain.secrets import Reference, Scheme
from erpsyncd.errors import ConfigurationError, StoreError
from erpsyncd.service.local_checks import (
    check_clock,
    check_references,
    check_room,
    check_settings_file,
    check_state,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEBIBYTE = 1024 * 1024


def results(findings: Iterable[Finding]) -> list[tuple[Result, str]]:
    return [(finding.result, finding.remedy) for finding in findings]


@pytest.mark.parametrize(
    ("mode", "holds_password", "result", "remedy"),
    [
        (0o644, False, Result.OK, ""),
        (0o640, True, Result.OK, ""),
        (0o644, True, Result.FAILED, "chmod o-r {file}, or give it as ERPSYNCD__STORE__URL"),
        (0o664, False, Result.FAILED, "chmod go-w {file}"),
        (0o602, True, Result.FAILED, "chmod go-w {file}"),
    ],
)
def test_the_settings_file(tmp_path: Path, mode: int, result: Result, remedy: str, *, holds_password: bool) -> None:
    """Nobody else may change it; anybody may read it, unless the store's password is in there."""
    file = tmp_path / "erpsyncd.toml"
    file.touch()
    file.chmod(mode)

    assert [(result, remedy.format(file=file))] == results(check_settings_file(file, holds_password=holds_password))


def test_without_a_settings_file_there_is_nothing_to_say() -> None:
    """Defaults have no rights."""

    assert [] == list(check_settings_file(None, holds_password=False))


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ((0o700, 0o600), [Result.OK, Result.OK]),
        ((0o750, 0o640), [Result.WARNING, Result.WARNING]),
        ((0o755, 0o600), [Result.FAILED, Result.OK]),
        ((0o700, 0o604), [Result.OK, Result.FAILED]),
    ],
)
def test_the_state_directory_and_its_files(tmp_path: Path, modes: tuple[int, int], expected: list[Result]) -> None:
    """Open to the group is a warning, open to anybody a failure; the remedy is the command."""
    state = tmp_path / "state"
    state.mkdir()
    file = state / "erpsyncd.db"
    file.touch()
    file.chmod(modes[1])
    state.chmod(modes[0])

    found = list(check_state(state, [file, state / "erpsyncd.key"]))

    assert expected == [finding.result for finding in found]
    assert all(finding.remedy.startswith("chmod ") for finding in found if finding.result is not Result.OK)


def test_a_state_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    """It is made when it is needed."""

    assert [Result.NOTE] == [finding.result for finding in check_state(tmp_path / "state", [])]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of others")
def test_files_of_another_user(tmp_path: Path) -> None:
    """A file that root left in the service's directory is found, with the command that mends it."""
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 65534, 65534)
    key = tmp_path / "erpsyncd.key"
    key.touch(0o600)
    os.chown(key, 54321, 54321)

    directory, file = check_state(tmp_path, [key])

    assert (Result.OK, Result.FAILED) == (directory.result, file.result)
    assert f"{key} belongs to #54321, its directory to nobody" == file.detail
    assert f"chown nobody {key}" == file.remedy


@pytest.mark.parametrize(
    ("free", "result"), [(15 * MEBIBYTE, Result.FAILED), (255 * MEBIBYTE, Result.WARNING), (256 * MEBIBYTE, Result.OK)]
)
def test_room(tmp_path: Path, free: int, result: Result) -> None:
    """Asked where the store is to be, also before there is a directory for it."""
    asked: list[Path] = []

    def free_bytes(path: Path) -> int:
        asked.append(path)
        return free

    found = check_room(tmp_path / "not" / "there", free_bytes=free_bytes)

    assert (result, [tmp_path]) == (found.result, asked)
    assert bool(found.remedy) == (result is not Result.OK)


def test_room_of_a_real_disk(tmp_path: Path) -> None:
    """The file system is asked."""

    assert "MiB are free at" in check_room(tmp_path).detail


@pytest.mark.parametrize(
    ("now", "last", "result"),
    [
        (NOW, None, Result.OK),
        (NOW, NOW + timedelta(seconds=60), Result.OK),
        (NOW, NOW + timedelta(seconds=61), Result.FAILED),
        (datetime(1970, 1, 2, tzinfo=UTC), None, Result.FAILED),
    ],
)
def test_the_clock(now: datetime, last: datetime | None, result: Result) -> None:
    """It cannot be earlier than what was recorded, nor than erpsyncd itself."""

    assert result is check_clock(now, last).result


def test_references() -> None:
    """A file must be here; what the service's environment has, this shell may lack."""
    file, env = Reference(Scheme.FILE, "/x"), Reference(Scheme.ENV, "X")
    systemd, known = Reference(Scheme.SYSTEMD, "x"), Reference(Scheme.ENV, "KNOWN")
    missing = {reference: f"{reference} is missing" for reference in (file, env, systemd)}
    users = {reference: {"b", "a"} for reference in (*missing, known)}

    found = list(check_references(users, missing))

    assert [Result.FAILED, Result.WARNING, Result.WARNING] == [finding.result for finding in found]
    assert "@{file:/x} is missing (used by a, b)" == found[0].detail
    assert "Environment=" in found[1].remedy
    assert "LoadCredential=" in found[2].remedy


@pytest.mark.parametrize(("users", "detail"), [({}, "no references"), ({Reference(Scheme.ENV, "X"): {"a"}}, "1 ref")])
def test_references_that_are_all_here(users: dict[Reference, set[str]], detail: str) -> None:
    """One line for all of them."""
    (found,) = check_references(users, {})

    assert (Result.OK, True) == (found.result, found.detail.startswith(detail))


def finding(result: Result, tenant: str | None = None) -> Finding:
    return Finding(check="x", result=result, detail="y", tenant=tenant)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([finding(Result.OK), finding(Result.NOTE), finding(Result.WARNING), finding(Result.WARNING, "acme")], 0),
        ([finding(Result.OK), finding(Result.FAILED, "acme")], 1),
        ([finding(Result.FAILED), finding(Result.FAILED, "acme")], 78),
    ],
)
def test_exit_codes(findings: list[Finding], code: int) -> None:
    """Only failures count, and those of this machine come first."""

    assert code == exit_code(findings)


def test_an_errors_remedy_is_the_end_of_its_sentence() -> None:
    """Where it has none, the check's own stands there."""
    with_remedy = finding_from(ConfigurationError("it is open; run: chmod 600 x"), "key", otherwise="look")
    without = finding_from(StoreError(), "key", otherwise="look", tenant="acme", result=Result.WARNING)

    assert ("it is open", "run: chmod 600 x", "local") == (with_remedy.detail, with_remedy.remedy, with_remedy.scope)
    assert ("look", "tenant", Result.WARNING) == (without.remedy, without.scope, without.result)
