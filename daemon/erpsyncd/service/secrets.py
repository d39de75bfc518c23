"""Resolving references: `@{env:NAME}`, `@{file:PATH}` and `@{systemd:NAME}` become secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from erpsyncd.domain.secrets import Reference, Scheme, Secret
from erpsyncd.files import FileUnreadable, read_regular_file

#: More than any password, token or key has; a wrong path may well name something huge.
MAX_BYTES = 64 * 1024


class _Unresolved(Exception):
    """The reason as a phrase that goes after the reference."""


@dataclass(frozen=True, slots=True)
class SecretResolver:
    """Knows where this process can find secrets.

    Nothing is remembered between calls: a rotated credential is seen by the next pass.
    """

    environ: Mapping[str, str] = field(repr=False)
    credentials_directory: Path | None = None
    """Where systemd puts credentials (`$CREDENTIALS_DIRECTORY`); None without systemd."""

    def resolve(self, references: Iterable[Reference]) -> tuple[dict[Reference, Secret], dict[Reference, str]]:
        """Read each distinct reference once; return what was found, and a sentence for each that was not.

        An empty secret counts as missing: it is a failed template or an empty file far more often than it is meant.
        Reads files, so it is called off the event loop.
        """
        found: dict[Reference, Secret] = {}
        missing: dict[Reference, str] = {}
        for reference in sorted(set(references)):
            try:
                found[reference] = Secret(self._read(reference))
            except _Unresolved as exc:
                missing[reference] = f"{reference} {exc}"
        return found, missing

    def _read(self, reference: Reference) -> str:
        text = self._read_source(reference)
        if not text:
            raise _Unresolved("is empty")
        return text

    def _read_source(self, reference: Reference) -> str:
        match reference.scheme:
            case Scheme.ENV:
                return self._read_variable(reference.name)
            case Scheme.FILE:
                return _read_file(Path(reference.name))
            case Scheme.SYSTEMD:
                if self.credentials_directory is None:
                    raise _Unresolved(
                        "cannot be read: systemd gave this process no credentials; erpsyncd-admin has the service's"
                    )
                return _read_file(self.credentials_directory / reference.name)

    def _read_variable(self, name: str) -> str:
        if name not in self.environ:
            raise _Unresolved("is not set")
        text = self.environ[name]
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise _Unresolved("is not UTF-8")
        return text


def _read_file(path: Path) -> str:
    """Return a file's text without the line break that editors and `echo` put at its end."""
    try:
        text = read_regular_file(path, max_bytes=MAX_BYTES).decode()
    except FileUnreadable as exc:
        raise _Unresolved(str(exc)) from None
    except UnicodeDecodeError:
        raise _Unresolved("cannot be read: it is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
