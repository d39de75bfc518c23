"""A daemon with intervals of milliseconds, which measures itself: `python driver.py PASSES SAMPLES`.

Everything in it is the program's own but the schedule, and that history is kept for seconds and not for days. Every few
passes something else is described, so that there is work; one tenant is never there, one secret always missing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from commands import connection
from erpsyncd import bootstrap
from erpsyncd.domain.listening import parse_listen
from erpsyncd.domain.watching import FinishedRun, StartedRun
from erpsyncd.observation import observed
from erpsyncd.service.daemon import Daemon, Reloaded, Schedule
from erpsyncd.service.document import read_documents
from erpsyncd.service.notify import Notifier
from erpsyncd.settings import Settings
from erpsyncd.store import SqlStore
from erpsyncd.store.addresses import database_file

_KEEP = timedelta(seconds=3)
_SCHEDULE = Schedule(
    reconcile=timedelta(milliseconds=5),
    quote_check=timedelta(seconds=1),
    prune=timedelta(seconds=1),
    jitter=timedelta(0),
    stop_within=timedelta(seconds=20),
)
#: After so many passes something else is described.
_CHANGE_EVERY = 10


@dataclass(kw_only=True)
class Meter:
    """A `RunWatcher` that counts passes, measures this process now and then, and ends it at last."""

    settings: Settings
    store: SqlStore
    passes: int
    every: int
    done: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def run_started(self, run: StartedRun) -> None:
        """See the port."""

    def run_finished(self, run: FinishedRun) -> None:
        """Count it."""
        if not run.started.is_pass or self.done == self.passes:
            return
        self.done += 1
        if self.done % _CHANGE_EVERY == 0:
            self._begin(self._describe(self.done))
        if self.done % self.every == 0:
            self._begin(self._measure(self.done))
        if self.done == self.passes:
            os.kill(os.getpid(), signal.SIGTERM)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        for done in [task for task in self.tasks if task.done()]:
            done.result()  # a defect in here ends the soak with its traceback
            self.tasks.remove(done)
        self.tasks.append(asyncio.create_task(work))

    async def _describe(self, number: int) -> None:
        changed = connection("a", display_description=str(number))
        document = read_documents([("changed.toml", changed.encode())], stored_tenants=lambda: frozenset({"acme"}))
        await asyncio.to_thread(self.store.apply_document, document)

    async def _measure(self, number: int) -> None:
        reader, writer = await asyncio.open_unix_connection(parse_listen(self.settings.web.listen).path)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        sample = {"passes": number, "ready": b"erpsyncd_store_up 1.0" in answer, **held(self.settings.store_url)}
        sys.stdout.write(json.dumps(sample) + "\n")
        sys.stdout.flush()


def held(store_url: str) -> dict[str, int]:
    """Return what this process holds: bytes of memory, open files, threads, and bytes of the database on disk."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    database = database_file(store_url)
    assert database is not None
    return {
        "memory": int(status["VmRSS"].split()[0]) * 1024,
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": int(status["Threads"]),
        "database": sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*")),
    }


async def soak(settings: Settings, store: SqlStore, passes: int, samples: int) -> int:
    """Run the daemon until it has made so many passes."""
    environ = dict(os.environ)
    async with observed(settings, store, bootstrap.secret_resolver(environ), serves=True) as observation:
        meter = Meter(settings=settings, store=store, passes=passes, every=max(1, passes // samples))
        observation.watchers += (meter,)
        reconciler = bootstrap._reconciler(settings, store, environ, observation)
        daemon = Daemon(
            reconciler=reconciler,
            history=bootstrap._History(store, _KEEP),
            schedule=_SCHEDULE,
            reload=lambda: Reloaded(schedule=_SCHEDULE, policy=reconciler.policy),
            notifier=Notifier(),
        )
        code = await daemon.run()
        await asyncio.gather(*meter.tasks)
    return code


def main() -> int:
    """Make so many passes, and measure so many times."""
    settings = bootstrap.start(None, os.environ, {"log.format": "json"})
    with bootstrap.opened_store(settings) as store:
        store.lock_process()
        store.unlock()
        return asyncio.run(soak(settings, store, int(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    sys.exit(main())
