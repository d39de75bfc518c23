"""Carries notifications while passes go on: to each target in order, and to none at another one's expense."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from erpsyncd.domain.notifications import Event, Notification, of_end, of_start
from erpsyncd.domain.watching import FinishedRun, StartedRun
from erpsyncd.hooks.targets import NotDelivered, Target

log = structlog.stdlib.get_logger(__name__)

#: So many wait for one target. The oldest goes first: what is new matters more.
_WAITING = 16


@dataclass
class _Queue:
    name: str
    events: frozenset[Event]
    target: Target
    waiting: deque[Notification] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Courier:
    """A `RunWatcher` that tells targets of passes."""

    def __init__(self, *, host: str, redact: Callable[[str], str], failed_before: bool) -> None:
        """`failed_before` is how the last pass before this process went; it decides what is a recovery."""
        self._host = host
        self._redact = redact
        self._failed_before = failed_before
        self._queues: list[_Queue] = []

    def add(self, name: str, events: frozenset[Event], target: Target) -> None:
        """Tell this target of these events; `name` is what the log calls it."""
        self._queues.append(_Queue(name, events, target))

    def run_started(self, run: StartedRun) -> None:
        """Tell that a pass begins."""
        if run.is_pass:
            self._put(of_start(run, host=self._host))

    def run_finished(self, run: FinishedRun) -> None:
        """Tell how a pass ended."""
        if run.started.is_pass:
            told = of_end(run, host=self._host, failed_before=self._failed_before, redact=self._redact)
            self._failed_before = told.event is Event.FAILURE
            self._put(told)

    async def finish(self, seconds: float) -> None:
        """Let what is under way arrive; after so many seconds it is given up."""
        tasks = [queue.task for queue in self._queues if queue.task is not None and not queue.task.done()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            log.warning("notification.given_up", targets=[q.name for q in self._queues if q.task in late])
            await asyncio.wait(late)

    def _put(self, notification: Notification) -> None:
        for queue in self._queues:
            if notification.event not in queue.events:
                continue
            if len(queue.waiting) >= _WAITING:
                dropped = queue.waiting.popleft()
                log.warning("notification.dropped", target=queue.name, about=str(dropped.event))
            queue.waiting.append(notification)
            if queue.task is None or queue.task.done():
                queue.task = asyncio.create_task(self._carry(queue))

    async def _carry(self, queue: _Queue) -> None:
        while queue.waiting:
            notification = queue.waiting.popleft()
            try:
                await queue.target.deliver(notification)
            except NotDelivered as exc:
                log.warning("notification.failed", target=queue.name, about=str(notification.event), error=str(exc))
            except Exception:  # a defect here must not end what comes after it
                log.exception("notification.crashed", target=queue.name, about=str(notification.event))
            else:
                log.debug("notification.delivered", target=queue.name, about=str(notification.event))
