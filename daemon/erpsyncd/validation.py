"""What `validate` does with the store: it looks, and makes and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from erpsyncd.bootstrap import secret_resolver
from erpsyncd.domain.documents import Document
from erpsyncd.errors import ConfigurationError, Problem
from erpsyncd.settings import Settings
from erpsyncd.state_directory import refuse_another_users
from erpsyncd.store import Standing, existing_store, store_standing
from erpsyncd.store.import_plan import StoredSide, find_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What is wrong with documents, and what is only doubtful; one line each, with its place."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def validate_documents(
    settings: Settings, sources: Sequence[tuple[str, bytes]], environ: Mapping[str, str], *, resolve: bool
) -> Validation:
    """Check documents as an import would, all of it, and against the store if there is one.

    Raises:
        ConfigurationError: the store that is there cannot be used.
        StoreError: the store does not answer.
    """
    from erpsyncd.service.document import read_documents  # noqa: PLC0415 -- as in bootstrap
    from erpsyncd.service.document_references import check_references  # noqa: PLC0415 -- as above
    from erpsyncd.service.document_warnings import document_warnings  # noqa: PLC0415 -- as in bootstrap

    refuse_another_users(settings.state_directory)
    try:
        document = read_documents(sources, stored_tenants=lambda: stored_tenants(settings))
    except ConfigurationError as exc:
        return Validation(problems=exc.problems)
    resolver = secret_resolver(environ)
    references = _problems_of(lambda: check_references(document, resolver=resolver, resolve=resolve))
    return Validation(
        problems=(*references, *_problems_in_store(settings, document)),
        warnings=(*document_warnings(document), *_not_compared(settings)),
    )


def _problems_of(check: Callable[[], object]) -> tuple[str, ...]:
    """Return the problems that a check finds; what is not about the document goes through."""
    try:
        check()
    except ConfigurationError as exc:
        if not exc.problems:
            raise
        return exc.problems
    return ()


def _problems_in_store(settings: Settings, document: Document) -> tuple[str, ...]:
    with existing_store(settings.store_url, key_path=settings.key_path) as store:
        if store is None:
            return find_problems(document, StoredSide(tenants={}, connections={}), prune=False)
        return _problems_of(lambda: store.apply_document(document, dry_run=True))


def stored_tenants(settings: Settings) -> frozenset[str]:
    """Return the names in the store, if there is one; nothing is made for the asking.

    Raises:
        ConfigurationError: the store that is there cannot be used, or root must not touch it.
        StoreError: the store does not answer.
    """
    refuse_another_users(settings.state_directory)
    with existing_store(settings.store_url, key_path=settings.key_path) as store:
        return frozenset(tenant.name for tenant in store.list_tenants()) if store else frozenset()


def _not_compared(settings: Settings) -> tuple[str, ...]:
    if store_standing(settings.store_url) is Standing.BEHIND:
        reason = "is of an older version, so the documents were not compared with it; see: erpsyncd doctor"
        return (Problem("the store", reason),)
    return ()
