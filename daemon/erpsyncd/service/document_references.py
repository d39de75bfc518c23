"""Looking for what an import document only refers to: secrets, certificates and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from erpsyncd.domain.secrets import Reference, Scheme, Template
from erpsyncd.errors import ConfigurationError, Problem
from erpsyncd.files import MAX_PEM_BYTES, FileUnreadable, read_regular_file

if TYPE_CHECKING:
    from erpsyncd.domain.documents import Document
    from erpsyncd.service.secrets import SecretResolver


def check_references(document: Document, *, resolver: SecretResolver, resolve: bool) -> None:
    """Check that what the document refers to can be read: files always, other secrets with `resolve`.

    The environment and the credentials of an operator's shell are seldom those of the daemon. Connections that
    are to be absent need no secrets.

    Raises:
        ConfigurationError: with one problem for each reference, at the first place that uses it.
    """
    users: dict[Reference, list[str]] = {}
    for place, template in _templates(document):
        for reference in template.references:
            if resolve or reference.scheme is Scheme.FILE:
                users.setdefault(reference, []).append(place)
    _, missing = resolver.resolve(users)
    problems = (
        *_unreadable_files(document),
        *(
            Problem(places[0], missing[reference] + (f" (and {len(places) - 1} more places)" if places[1:] else ""))
            for reference, places in users.items()
            if reference in missing
        ),
    )
    if problems:
        raise ConfigurationError("the document refers to what cannot be read", problems=problems)


def _unreadable_files(document: Document) -> Iterator[str]:
    """Name the certificates and keys that cannot be read here. What stands in them is looked at in each pass."""
    for tenant in document.tenants:
        for key, path in tenant.spec.files.items():
            try:
                read_regular_file(Path(path), max_bytes=MAX_PEM_BYTES)
            except FileUnreadable as exc:
                yield Problem(f"{tenant.place}.{key}", f"{path} {exc} ({tenant.spec.name})")


def _templates(document: Document) -> Iterator[tuple[str, Template]]:
    for tenant in document.tenants:
        for name, template in tenant.spec.templates.items():
            yield f"{tenant.place}.{name}", template
    for connection in document.connections:
        if connection.present:
            for name, template in connection.template.templates.items():
                yield f"{connection.place}.{name}", template
