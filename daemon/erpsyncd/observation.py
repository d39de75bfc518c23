"""Builds what watches a process, from the settings: metrics, health, notifications. Without any of them, nothing.

It is the part of `bootstrap` that has to do with watching; what is not asked for is not imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from erpsyncd.errors import DaemonError, StoreError
from erpsyncd.logs import redact_text

if TYPE_CHECKING:
    from erpsyncd.domain.notifications import Notification
    from erpsyncd.domain.watching import CallWatcher, Census, FinishedRun, RunWatcher, StartedRun
    from erpsyncd.hooks.courier import Courier
    from erpsyncd.service.secrets import SecretResolver
    from erpsyncd.setting_sections import NotifySettings
    from erpsyncd.settings import Settings
    from erpsyncd.store import SqlPassStore
    from erpsyncd.web.census import CensusTaker
    from erpsyncd.web.health import Health
    from erpsyncd.web.http import Answer, Page
    from erpsyncd.web.metrics import Counts

log = structlog.stdlib.get_logger(__name__)

_LEAST_STALE = timedelta(minutes=10)


@dataclass(kw_only=True)
class Observation:
    """Who watches, to be given to whom he watches."""

    watchers: tuple[RunWatcher, ...] = ()
    on_call: CallWatcher | None = None
    health: Health | None = None

    def reloaded(self, settings: Settings) -> None:
        """Follow a schedule that was read again."""
        if self.health is not None:
            self.health.stale_after = stale_after(settings)


@asynccontextmanager
async def observed(
    settings: Settings, store: SqlPassStore, resolver: SecretResolver, *, serves: bool
) -> AsyncIterator[Observation]:
    """Yield who watches; at the end of the block what they have begun is finished. `serves` is for the daemon.

    Raises:
        ConfigurationError: nobody can listen at `web.listen`.
    """
    observation = Observation()
    async with AsyncExitStack() as stack:
        if serves and settings.web.listen:
            await _serve(settings, store, observation, stack)
        if settings.web.textfile:
            textfile = _Textfile(Path(settings.web.textfile), store.census, settings.web.max_tenants)
            stack.push_async_callback(textfile.finish)
            observation.watchers += (textfile,)
        if _tells_anybody(settings.notify):
            courier = _courier(settings.notify, store, resolver)
            stack.push_async_callback(courier.finish, settings.notify.deadline.total_seconds())
            observation.watchers += (courier,)
        yield observation


def stale_after(settings: Settings) -> timedelta:
    """Return how long ago the last pass of a daemon may have ended that does its work."""
    interval = settings.schedule.reconcile
    if settings.web.stale_after:
        return settings.web.stale_after
    return max(3 * interval, _LEAST_STALE) if isinstance(interval, timedelta) else timedelta(days=1)


async def _serve(settings: Settings, store: SqlPassStore, observation: Observation, stack: AsyncExitStack) -> None:
    from erpsyncd.domain.listening import parse_listen  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.web.census import CensusTaker  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.web.health import Health  # noqa: PLC0415 -- as above
    from erpsyncd.web.http import Server  # noqa: PLC0415 -- as above
    from erpsyncd.web.metrics import Counts  # noqa: PLC0415 -- as above

    taker, counts = CensusTaker(read=store.census), Counts()
    health = Health(census=taker, holds_lock=store.holds_lock, stale_after=stale_after(settings))
    pages: dict[str, Page] = {
        "/healthz": health.healthz,
        "/readyz": health.readyz,
        "/metrics": lambda: _metrics(taker, counts, settings.web.max_tenants),
    }
    await stack.enter_async_context(Server(pages).listening(parse_listen(settings.web.listen)))
    store.watch_commits(counts.committed)
    observation.watchers += (counts, health)
    observation.on_call = counts.call_finished
    observation.health = health


async def _metrics(taker: CensusTaker, counts: Counts, max_tenants: int) -> Answer:
    from erpsyncd.web.http import Answer  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.web.metrics import CONTENT_TYPE, rendered_census  # noqa: PLC0415 -- as above

    census: Census | None = None
    # A store that does not answer is a fact to be told (erpsyncd_store_up), not a reason to tell nothing.
    with contextlib.suppress(StoreError):
        census = await taker.census()
    return Answer(content_type=CONTENT_TYPE, body=counts.rendered() + rendered_census(census, max_tenants=max_tenants))


class _Textfile:
    """A `RunWatcher` that writes the metrics of the store to a file after each pass."""

    def __init__(self, path: Path, census: Callable[[], Census], max_tenants: int) -> None:
        self._path = path
        self._census = census
        self._max_tenants = max_tenants
        self._writing: asyncio.Task[None] | None = None

    def run_started(self, run: StartedRun) -> None:
        """See the port."""

    def run_finished(self, run: FinishedRun) -> None:  # noqa: ARG002 -- the port's
        """Begin to write; the last one of two that come at once is the one to keep."""
        before = self._writing
        self._writing = asyncio.create_task(self._write(before))

    async def finish(self) -> None:
        """Wait until it is written."""
        if self._writing is not None:
            await self._writing

    async def _write(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        await asyncio.to_thread(self._write_now)

    def _write_now(self) -> None:
        from erpsyncd.web.metrics import rendered_census  # noqa: PLC0415 -- see the module's docstring
        from erpsyncd.web.textfile import write_textfile  # noqa: PLC0415 -- as above

        census: Census | None = None
        try:
            census = self._census()
        except DaemonError as exc:
            log.warning("metrics.failed", error=str(exc))
        try:
            write_textfile(self._path, rendered_census(census, max_tenants=self._max_tenants))
        except DaemonError as exc:
            log.warning("metrics.failed", error=str(exc))


# Notifications -------------------------------------------------------------------------------------------------


def _tells_anybody(notify: NotifySettings) -> bool:
    return any((notify.start, notify.success, notify.failure, notify.command))


def _courier(notify: NotifySettings, store: SqlPassStore, resolver: SecretResolver) -> Courier:
    from erpsyncd.domain.notifications import Event, read_command, read_events  # noqa: PLC0415 -- as above
    from erpsyncd.hooks.command import Command  # noqa: PLC0415 -- see the module's docstring
    from erpsyncd.hooks.courier import Courier  # noqa: PLC0415 -- as above

    courier = Courier(host=socket.gethostname(), redact=redact_text, failed_before=_failed_before(store))
    for event in Event:
        address = getattr(notify, event)
        if address:
            courier.add(f"notify.{event}", frozenset({event}), _Address(address, notify, resolver))
    if notify.command:
        command = Command(
            words=read_command(notify.command),
            on=read_events(notify.command_on),
            deadline_seconds=notify.deadline.total_seconds(),
            environ=resolver.environ,
        )
        courier.add("notify.command", frozenset(Event), command)
    return courier


def _failed_before(store: SqlPassStore) -> bool:
    """Say how the last pass went that this store knows of."""
    from erpsyncd.domain.results import RunStatus  # noqa: PLC0415 -- as above

    last = store.census().last_runs
    return bool(last) and max(last, key=lambda status: last[status]) is not RunStatus.OK


@dataclass(frozen=True, slots=True)
class _Address:
    """A target whose address and secret are looked up each time: one that was changed counts at once."""

    _address: str
    _notify: NotifySettings
    _resolver: SecretResolver = field(repr=False)

    async def deliver(self, notification: Notification) -> None:
        """See the port."""
        from erpsyncd.domain.notifications import webhook_problem  # noqa: PLC0415 -- as above
        from erpsyncd.domain.proxies import parse_proxy  # noqa: PLC0415 -- as above
        from erpsyncd.domain.secrets import parse_template  # noqa: PLC0415 -- as above
        from erpsyncd.hooks.targets import NotDelivered  # noqa: PLC0415 -- see the module's docstring
        from erpsyncd.hooks.webhook import Webhook  # noqa: PLC0415 -- as above

        texts = (self._address, self._notify.secret, self._notify.proxy)
        address, secret, proxy = (parse_template(text) if text else None for text in texts)
        assert address is not None, "who has no address is nobody's target"
        wanted = {reference for template in (address, secret, proxy) if template for reference in template.references}
        found, missing = await asyncio.to_thread(self._resolver.resolve, wanted)
        if missing:
            raise NotDelivered("; ".join(missing.values()))
        url = address.resolve(found)
        if webhook_problem(url.reveal()) is not None:
            raise NotDelivered(f"{self._address} {webhook_problem(url.reveal())}")
        webhook = Webhook(
            url=url,
            secret=secret.resolve(found) if secret else None,
            proxy=parse_proxy(proxy).resolve(found) if proxy else None,
            deadline_seconds=self._notify.deadline.total_seconds(),
            attempts=self._notify.attempts,
        )
        await webhook.deliver(notification)
