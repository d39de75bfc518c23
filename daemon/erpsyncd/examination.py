"""What `doctor` looks at: built and closed as in `bootstrap`, but nothing is made or changed, here or anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime

from erpsyncd.bootstrap import secret_resolver, tenant_apis
from erpsyncd.domain.findings import Finding, Result, finding_from
from erpsyncd.domain.secrets import Reference
from erpsyncd.domain.tenants import Tenant
from erpsyncd.domain.unknown_names import no_such_tenant
from erpsyncd.errors import ConfigurationError
from erpsyncd.service.local_checks import (
    check_clock,
    check_references,
    check_room,
    check_settings_file,
    check_state,
)
from erpsyncd.settings import Settings
from erpsyncd.state_directory import refuse_another_users
from erpsyncd.store import SqlStore, examine_store, existing_store
from erpsyncd.store.addresses import database_file, without_password


def examine(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    tenants: Collection[str],
    local: bool,
    retry: bool,
) -> tuple[Finding, ...]:
    """Look at this machine and, unless `local`, at these tenants, or at all of them; change nothing anywhere.

    Raises:
        UsageError: a name is no tenant's.
    """
    found = [*_about_settings(settings), *_about_files(settings)]
    try:
        refuse_another_users(settings.state_directory)
    except ConfigurationError as exc:
        return (*found, finding_from(exc, "database", otherwise="run it as the service's user"))
    about_store = tuple(examine_store(settings.store_url, key_path=settings.key_path))
    usable = all(finding.result is not Result.FAILED for finding in about_store)
    found += about_store
    with existing_store(settings.store_url, key_path=settings.key_path) if usable else nullcontext() as store:
        last_run = next(iter(store.list_runs(limit=1)), None) if store else None
        found.append(check_clock(datetime.now(UTC), last_run.started_at if last_run else None))
        if store is not None:
            found += asyncio.run(_about_tenants(settings, store, environ, tenants, local=local, retry=retry))
        elif usable and tenants:
            raise no_such_tenant(next(iter(tenants)), ())
    if not usable:
        detail = "not looked at, because the store cannot be used as it is"
        found.append(Finding(check="tenants", result=Result.NOTE, detail=detail, remedy="put the store right first"))
    return tuple(found)


def settings_problems(error: ConfigurationError) -> tuple[Finding, ...]:
    """Return the findings about settings that cannot be used; there is nothing else to look at then."""
    return tuple(
        finding_from(ConfigurationError(problem), "settings", otherwise="correct it there; see: erpsyncd config show")
        for problem in error.problems or (error.args[0],)
    )


def _about_settings(settings: Settings) -> Iterator[Finding]:
    named = str(settings.file) if settings.file else "no file; defaults and the environment"
    yield Finding(check="settings", result=Result.OK, detail=named)
    for warning in settings.warnings:
        yield Finding(check="settings", result=Result.WARNING, detail=warning, remedy="set it as that says")


def _about_files(settings: Settings) -> Iterator[Finding]:
    """Look at rights and room; the same for a store elsewhere, whose key is here."""
    path = database_file(settings.store_url)
    in_file = settings.sources.get("store.url") == str(settings.file)
    given = without_password(settings.store_url) != settings.store_url
    yield from check_settings_file(settings.file, holds_password=in_file and given)
    yield from check_state(settings.state_directory, [*([path] if path else []), settings.key_path])
    yield check_room(path.parent if path else settings.state_directory)


async def _about_tenants(
    settings: Settings,
    store: SqlStore,
    environ: Mapping[str, str],
    names: Collection[str],
    *,
    local: bool,
    retry: bool,
) -> tuple[Finding, ...]:
    from erpsyncd.service.access import Resolved  # noqa: PLC0415 -- as in bootstrap
    from erpsyncd.service.doctor import TenantDoctor  # noqa: PLC0415 -- as above

    known = {tenant.name: tenant for tenant in await store.tenants()}
    for name in names:
        if name not in known:
            raise no_such_tenant(name, known)
    chosen = [known[name] for name in dict.fromkeys(names or known)]
    users: dict[Reference, set[str]] = {}
    for tenant in chosen:
        wanted = set(await store.references(tenant.id))
        for reference in wanted.union(*(value.references for value in tenant.spec.templates.values())):
            users.setdefault(reference, set()).add(tenant.name)
    values, reasons = secret_resolver(environ).resolve(users)
    about_secrets = tuple(check_references(users, reasons))
    if local:
        return about_secrets
    apis, at_once = tenant_apis(settings), asyncio.Semaphore(settings.limits.tenants_at_once)

    async def one(tenant: Tenant) -> tuple[Finding, ...]:
        doctor = TenantDoctor(
            tenant=tenant,
            apis=apis,
            resolved=Resolved(values=values, reasons=reasons),
            fingerprint=store.fingerprinter.of_credentials,
            now=lambda: datetime.now(UTC),
            retry=retry,
        )
        async with at_once:
            return await doctor.examine()

    found = await asyncio.gather(*(one(tenant) for tenant in chosen))
    return (*about_secrets, *(finding for each in found for finding in each))
