"""Resolving references to secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from erpsyncd.domain.secrets import Reference, Scheme, Secret
from erpsyncd.service.secrets import MAX_BYTES, SecretResolver

CANARY = "canary-7d1f"


def env(name: str) -> Reference:
    """Return a reference to a variable."""
    return Reference(Scheme.ENV, name)


def file(path: Path) -> Reference:
    """Return a reference to a file."""
    return Reference(Scheme.FILE, str(path))


def resolve_one(reference: Reference, resolver: SecretResolver | None = None) -> Secret | str:
    """Return the secret, or the reason why there is none."""
    found, missing = (resolver or SecretResolver({}, None)).resolve([reference])
    assert {reference} == {*found, *missing}
    return found.get(reference) or missing[reference]


def test_variables() -> None:
    """A variable is taken as it is; unset, empty and undecodable ones are missing."""
    resolver = SecretResolver({"A": f" {CANARY}\n", "EMPTY": "", "BAD": f"{CANARY}\udcff", "UTF": "påss"}, None)

    found, missing = resolver.resolve([env("A"), env("EMPTY"), env("BAD"), env("UTF"), env("NONE"), env("A")])

    assert found == {env("A"): Secret(f" {CANARY}\n"), env("UTF"): Secret("påss")}
    assert missing == {
        env("EMPTY"): "@{env:EMPTY} is empty",
        env("BAD"): "@{env:BAD} is not UTF-8",
        env("NONE"): "@{env:NONE} is not set",
    }


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b"secret\r", "secret\r"),
        (b" two\nlines \n", " two\nlines "),
        ("pässword".encode(), "pässword"),
        (b"x" * MAX_BYTES, "x" * MAX_BYTES),
    ],
)
def test_files(tmp_path: Path, content: bytes, text: str) -> None:
    """The text of a file, less the one line break at its end."""
    path = tmp_path / "secret"
    path.write_bytes(content)

    assert Secret(text) == resolve_one(file(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\r\n", "is empty"),
        (b"x" * (MAX_BYTES + 1), "cannot be read: it is larger than 64 KiB"),
        (CANARY.encode() + b"\xff", "cannot be read: it is not UTF-8"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, reason: str) -> None:
    """The reason is told, the content is not."""
    path = tmp_path / "secret"
    path.write_bytes(content)

    assert f"@{{file:{path}}} {reason}" == resolve_one(file(path))


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """Return a named pipe that nobody writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    path.unlink()


def test_what_is_no_file(tmp_path: Path, pipe: Path) -> None:
    """Directories, pipes (without waiting for one), missing files and impossible paths are told apart."""
    assert resolve_one(file(tmp_path)) == f"@{{file:{tmp_path}}} cannot be read: it is not a regular file"
    assert resolve_one(file(pipe)) == f"@{{file:{pipe}}} cannot be read: it is not a regular file"
    assert resolve_one(file(tmp_path / "none")).endswith("cannot be read: no such file or directory")  # type: ignore[union-attr]  # a reason is a str
    assert "cannot be read" in str(resolve_one(Reference(Scheme.FILE, "/a\0b")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    """A file of somebody else is named as such."""
    path = tmp_path / "secret"
    path.write_text(CANARY)
    path.chmod(0)

    assert resolve_one(file(path)) == f"@{{file:{path}}} cannot be read: permission denied"


def test_reading_can_fail_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk is a reason like any other."""
    path = tmp_path / "secret"
    path.write_text(CANARY)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)

    assert resolve_one(file(path)) == f"@{{file:{path}}} cannot be read: permission denied"


def test_reading_can_fail_even_later() -> None:
    """What opens like any other file, and cannot be read, is a reason as well."""
    assert resolve_one(file(Path("/proc/self/mem"))).endswith("cannot be read: input/output error")  # type: ignore[union-attr]  # a reason is a str


def test_symlinks_are_followed(tmp_path: Path) -> None:
    """Kubernetes and others mount secrets as links."""
    (tmp_path / "real").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert Secret("secret") == resolve_one(file(tmp_path / "link"))


def test_systemd_credentials(tmp_path: Path) -> None:
    """A credential is a file in the directory that systemd names."""
    (tmp_path / "acme").write_text("secret\n")
    resolver = SecretResolver({}, tmp_path)

    assert Secret("secret") == resolve_one(Reference(Scheme.SYSTEMD, "acme"), resolver)
    assert "no such file" in str(resolve_one(Reference(Scheme.SYSTEMD, "other"), resolver))
    assert "gave this process no credentials; erpsyncd-admin has" in str(resolve_one(Reference(Scheme.SYSTEMD, "acme")))


def test_each_reference_is_read_once_per_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is named; and again at the next call, since secrets are rotated."""
    path = tmp_path / "secret"
    path.write_text("old")
    resolver = SecretResolver({}, None)
    opened: list[object] = []
    real = os.open

    def counting(target: str | Path, flags: int) -> int:
        opened.append(target)
        return real(target, flags)

    monkeypatch.setattr(os, "open", counting)

    resolver.resolve([file(path)] * 5)
    path.write_text("new")
    found, _ = resolver.resolve([file(path)])

    assert found == {file(path): Secret("new")}
    assert [item for item in opened if item == path] == [path, path]


def test_the_environment_is_not_shown() -> None:
    """A resolver in a traceback does not print the environment."""
    assert CANARY not in repr(SecretResolver({"A": CANARY}, None))
