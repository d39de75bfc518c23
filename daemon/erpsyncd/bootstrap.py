"""The only place that builds: settings become a store, clients and services, and what was opened is closed.

Imports that only some commands need are made where they are needed: `--run-once` loads neither APScheduler nor
Alembic, and httpx or lxml only where a tenant is called; a list loads none of them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from erpsyncd.domain.plan import Limits
from erpsyncd.domain.tenants import Environment
from erpsyncd.domain.unknown_names import no_such_tenant
from erpsyncd.errors import RunInterrupted, UsageError
from erpsyncd.logs import configure_logging, set_level
from erpsyncd.observation import Observation, observed
from erpsyncd.settings import Settings, load_settings
from erpsyncd.state_directory import prepare
from erpsyncd.store.addresses import read_url, sqlite_path

if TYPE_CHECKING:
    from erpsyncd.domain.documents import ImportReport
    from erpsyncd.domain.ports import Progress
    from erpsyncd.domain.results import RunReport
    from erpsyncd.domain.watching import CallWatcher
    from erpsyncd.netserver.apis import NetServerApis
    from erpsyncd.service.daemon import Reloaded, Schedule
    from erpsyncd.service.notify import Notifier
    from erpsyncd.service.policy import Policy, RunOptions
    from erpsyncd.service.reconciler import Reconciler
    from erpsyncd.service.secrets import SecretResolver
    from erpsyncd.service.watchdog import Watchdog
    from erpsyncd.store import SqlPassStore, SqlStore
    from erpsyncd.store.views import Backup


S = TypeVar("S", bound="SqlPassStore")

#: How many objects are made before Python looks for cycles among them; with its own 700 it does little else in a pass.
_OBJECTS_BETWEEN_LOOKS = 10_000

#: A request that could not leave for so long after its intent (a process that was stopped, a store that was slow) is
#: not sent any more. Longer than connecting may take.
LEAVE_WITHIN = timedelta(seconds=30)


def start(
    config: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str], *, in_colour: bool = True
) -> Settings:
    """Read the settings and set up logging.

    Raises:
        ConfigurationError: with every problem and its place.
    """
    settings = load_settings(config, environ, overrides)
    configure_logging(
        level=settings.log.level,
        format=settings.log.format,
        in_colour=in_colour,
        journal_stream=environ.get("JOURNAL_STREAM"),
    )
    return settings


@contextmanager
def opened_store(settings: Settings, *, upgrading: Callable[[], None] | None = None) -> Iterator[SqlStore]:
    """Open the store, brought up to date where that is allowed, and close it. `upgrading` is called meanwhile.

    Raises:
        ConfigurationError: the store or its directory cannot be used as it is.
    """
    from erpsyncd.store import SqlStore  # noqa: PLC0415 -- see the module's docstring

    with _opened(SqlStore, settings, upgrading) as store:
        yield store


@contextmanager
def opened_pass_store(settings: Settings) -> Iterator[SqlPassStore]:
    """Open the store as `opened_store` does, for who makes one pass and nothing else."""
    from erpsyncd.store import SqlPassStore  # noqa: PLC0415 -- see the module's docstring

    with _opened(SqlPassStore, settings) as store:
        yield store


def _opened(kind: type[S], settings: Settings, upgrading: Callable[[], None] | None = None) -> S:
    # From here on work is done, which may leave cycles behind; modules do not.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
    prepare(settings.state_directory)
    # A key in a place of the operator's choice is the operator's to make; the one in the state directory is ours.
    ours = settings.key_path == settings.state_directory / "erpsyncd.key"
    return kind.opened(
        settings.store_url,
        key_path=None if ours else settings.key_path,
        state_directory=settings.state_directory,
        upgrading=upgrading,
    )


def upgrade(settings: Settings) -> bool:
    """Upgrade the store's schema; say whether there was anything to do."""
    from erpsyncd.store import upgrade_store  # noqa: PLC0415 -- see the module's docstring

    prepare(settings.state_directory)
    return upgrade_store(settings.store_url)


def back_up(settings: Settings, target: Path, *, replace: bool) -> Backup:
    """Write a SQLite store as it is now to a file, beside whoever works with it.

    Raises:
        UsageError: the store is on a server, or the target may not be written.
        StoreError: the store cannot be read, or is damaged; nothing was left behind.
    """
    from erpsyncd.store.backup import back_up as write_backup  # noqa: PLC0415 -- see the module's docstring

    return write_backup(read_url(settings.store_url), target, replace=replace)


def import_documents(
    settings: Settings,
    sources: Sequence[tuple[str, bytes]],
    environ: Mapping[str, str],
    *,
    prune: bool,
    dry_run: bool,
    resolve: bool,
) -> tuple[ImportReport, tuple[str, ...]]:
    """Read documents and put them into the store, all or nothing; return what changed, and warnings.

    Raises:
        ConfigurationError: with every problem and its place; nothing was written.
    """
    from erpsyncd.service.document import read_documents  # noqa: PLC0415 -- see the docstring
    from erpsyncd.service.document_references import check_references  # noqa: PLC0415 -- as above
    from erpsyncd.service.document_warnings import document_warnings  # noqa: PLC0415 -- see the docstring

    document = read_documents(sources, stored_tenants=lambda: _stored_tenants(settings))
    check_references(document, resolver=secret_resolver(environ), resolve=resolve)
    with opened_store(settings) as store:
        return store.apply_document(document, prune=prune, dry_run=dry_run), document_warnings(document)


def _stored_tenants(settings: Settings) -> frozenset[str]:
    """Return the names in the store; a SQLite one is not made for the asking."""
    path = sqlite_path(read_url(settings.store_url))
    if path is not None and not path.exists():
        return frozenset()
    with opened_pass_store(settings) as store:
        return store.tenant_names()


def run_once(
    settings: Settings, options: RunOptions, environ: Mapping[str, str], progress: Progress | None = None
) -> RunReport:
    """Make one pass over every tenant, or those selected; return the report.

    The first SIGTERM or SIGINT lets calls in flight end, a second one or `schedule.stop_within` cuts them off.

    Raises:
        UsageError: `force` or the selection names what the store does not have; nothing was done.
        RunInProgress: another process holds the store.
        RunInterrupted: it was cut off by a signal.
        StoreError: the store failed.
    """
    with opened_pass_store(settings) as store:
        _raise_if_unknown(store, options)
        if options.only_drift:
            store.lock_if_free()  # a look goes on beside a daemon; leases keep the two apart
        elif not options.dry_run:
            store.lock_process()
        # Before the run is on record: a lost key is no run that died.
        store.unlock()
        return asyncio.run(_one_run(settings, store, options, environ, progress))


def _raise_if_unknown(store: SqlPassStore, options: RunOptions) -> None:
    if not options.force and options.selection.is_everything:
        return
    names = store.tenant_names()
    for name in sorted(options.force - names):
        raise UsageError(f"--force: {no_such_tenant(name, names)}")
    options.selection.raise_if_unknown(names, store.connection_keys)


def run_daemon(settings: Settings, environ: Mapping[str, str], read_again: Callable[[], Settings]) -> int:
    """Run the daemon until it is told to stop; return its exit code.

    Raises:
        RunInProgress: another process holds the store.
    """
    from erpsyncd.service.daemon import Daemon  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.service.notify import Notifier  # noqa: PLC0415 -- as above

    notifier = Notifier(environ.get("NOTIFY_SOCKET"))
    with opened_store(settings, upgrading=notifier.upgrading()) as store:
        store.lock_process()
        store.unlock()

        async def live() -> int:
            async with observed(settings, store, secret_resolver(environ), serves=True) as observation:
                daemon = Daemon(
                    reconciler=_reconciler(settings, store, environ, observation),
                    history=_History(store, timedelta(days=settings.retention.days)),
                    schedule=_schedule(settings),
                    reload=lambda: _reload(settings, read_again(), observation),
                    notifier=notifier,
                    watchdog=_watchdog(store, notifier, environ),
                )
                return await daemon.run()

        return asyncio.run(live())


def _watchdog(store: SqlPassStore, notifier: Notifier, environ: Mapping[str, str]) -> Watchdog | None:
    from erpsyncd.service.watchdog import Watchdog, watchdog_interval  # noqa: PLC0415 -- see the module's docstring

    interval = watchdog_interval(environ, pid=os.getpid())
    return Watchdog(notifier=notifier, interval=interval, store_moves=store.pulse) if interval else None


class _History:
    """The prune job's view of the store."""

    def __init__(self, store: SqlStore, keep: timedelta) -> None:
        self._store = store
        self._keep = keep

    async def prune(self, *, now: datetime) -> int:
        """Forget history past its retention; return how many rows went."""
        pruned = await asyncio.to_thread(self._store.prune_history, now - self._keep)
        return pruned.total


async def _one_run(
    settings: Settings, store: SqlPassStore, options: RunOptions, environ: Mapping[str, str], progress: Progress | None
) -> RunReport:
    async with observed(settings, store, secret_resolver(environ), serves=False) as observation:
        reconciler = _reconciler(settings, store, environ, observation)
        if progress is not None:
            reconciler.progress = progress
        return await _stoppable(reconciler, options, settings.schedule.stop_within)


async def _stoppable(reconciler: Reconciler, options: RunOptions, stop_within: timedelta) -> RunReport:
    """Make a run that signals stop."""
    loop = asyncio.get_running_loop()
    run = asyncio.create_task(reconciler.run(options))

    def stop() -> None:
        if reconciler.stopping.is_set():
            run.cancel()
        else:
            reconciler.stopping.set()
            loop.call_later(stop_within.total_seconds(), run.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        return await run
    except asyncio.CancelledError:
        raise RunInterrupted("cut off by a signal; what was under way is settled by the next run") from None


def _reconciler(
    settings: Settings, store: SqlPassStore, environ: Mapping[str, str], observation: Observation
) -> Reconciler:
    from erpsyncd.netserver.deferred import DeferredApis  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.service.clocks import uptime  # noqa: PLC0415 -- as above
    from erpsyncd.service.reconciler import Reconciler  # noqa: PLC0415 -- as above

    return Reconciler(
        store=store,
        apis=DeferredApis(lambda: tenant_apis(settings, on_call=observation.on_call)),
        resolver=secret_resolver(environ),
        policy=policy_of(settings),
        owner=lease_owner(),
        now=lambda: datetime.now(UTC),
        uptime=uptime,
        watchers=observation.watchers,
    )


def tenant_apis(settings: Settings, *, on_call: CallWatcher | None = None) -> NetServerApis:
    """Return what opens tenants, with the limits of the settings; `on_call` is told of each call."""
    from erpsyncd.netserver.apis import NetServerApis  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.netserver.limits import RemoteLimits  # noqa: PLC0415 -- as above
    from erpsyncd.netserver.retries import log_retries_quietly  # noqa: PLC0415 -- as above

    log_retries_quietly()
    return NetServerApis(
        RemoteLimits(
            deadline_seconds=settings.remote.deadline.total_seconds(),
            max_body_bytes=settings.remote.max_body_bytes,
            max_connections=settings.limits.http_connections,
            attempts=settings.remote.attempts,
        ),
        hosts=online_hosts(settings),
        certificates=online_certificates(settings),
        on_call=on_call,
    )


def online_hosts(settings: Settings) -> dict[Environment, str]:
    """Return where each of the vendor's environments is asked."""
    return {environment: getattr(settings.online, environment.value) for environment in Environment}


def online_certificates(settings: Settings) -> dict[Environment, str]:
    """Return what signs the tokens of each environment, where that is configured."""
    paths = {environment: getattr(settings.online, f"{environment.value}_certificate") for environment in Environment}
    return {environment: path for environment, path in paths.items() if path}


def lease_owner() -> str:
    """Return a name for this process that no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def secret_resolver(environ: Mapping[str, str]) -> SecretResolver:
    """Return what finds the secrets that this process can reach."""
    from erpsyncd.service.secrets import SecretResolver  # noqa: PLC0415 -- see the module's docstring

    credentials = environ.get("CREDENTIALS_DIRECTORY")
    return SecretResolver(environ=environ, credentials_directory=Path(credentials) if credentials else None)


def policy_of(settings: Settings) -> Policy:
    """Return how passes behave."""
    from erpsyncd.service.policy import Policy  # noqa: PLC0415 -- see the module's docstring

    return Policy(
        settle=settings.remote.settle,
        # The time to leave, the deadline, and what it takes to write down that it has passed.
        call_budget=LEAVE_WITHIN + settings.remote.deadline + timedelta(seconds=30),
        leave_within=LEAVE_WITHIN,
        tenants_at_once=settings.limits.tenants_at_once,
        connections_at_once=settings.limits.connections_at_once,
        limits=Limits(max_deletes=settings.safety.max_deletes, max_drift_percent=settings.safety.max_drift_percent),
        backoff_first=settings.backoff.first,
        backoff_longest=settings.backoff.longest,
        breaker_failures=settings.breaker.failures,
        breaker_park=settings.breaker.park,
        list_lifetime=settings.schedule.lists,
        checks_enabled=settings.checks.enabled,
        check_interval=settings.schedule.quote_check,
        drift_interval=settings.schedule.drift,
    )


def _schedule(settings: Settings) -> Schedule:
    from erpsyncd.service.daemon import Schedule  # noqa: PLC0415 -- see the module's docstring

    return Schedule(
        reconcile=settings.schedule.reconcile,
        quote_check=settings.schedule.quote_check,
        drift=settings.schedule.drift or None,
        prune=settings.schedule.prune,
        jitter=settings.schedule.jitter,
        stop_within=settings.schedule.stop_within,
    )


def _reload(at_start: Settings, now: Settings, observation: Observation) -> Reloaded:
    """Apply what can be applied to a running daemon, and name what cannot."""
    from erpsyncd.service.daemon import Reloaded  # noqa: PLC0415 -- see the module's docstring

    set_level(now.log.level)
    observation.reloaded(now)
    # Calls keep the deadline that they were started with, so leases and settling must keep it too.
    policy = policy_of(replace(now, remote=at_start.remote))
    return Reloaded(schedule=_schedule(now), policy=policy, restart_needed=_restart_needed(at_start, now))


def _restart_needed(at_start: Settings, now: Settings) -> tuple[str, ...]:
    pairs = {
        "store.url": (at_start.store_url, now.store_url),
        "state.directory": (at_start.state_directory, now.state_directory),
        "state.key_file": (at_start.key_path, now.key_path),
        "remote.deadline": (at_start.remote.deadline, now.remote.deadline),
        "remote.settle": (at_start.remote.settle, now.remote.settle),
        "remote.attempts": (at_start.remote.attempts, now.remote.attempts),
        "remote.max_body_bytes": (at_start.remote.max_body_bytes, now.remote.max_body_bytes),
        "online": (at_start.online, now.online),
        "limits.http_connections": (at_start.limits.http_connections, now.limits.http_connections),
        "retention.days": (at_start.retention.days, now.retention.days),
        "web": (at_start.web, now.web),
        "notify": (at_start.notify, now.notify),
        "log.format": (at_start.log.format, now.log.format),
    }
    return tuple(name for name, (before, after) in pairs.items() if before != after)
