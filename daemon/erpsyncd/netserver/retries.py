"""When a call is tried again: the error says whether that helps, the call says whether it harms.

Only stamina's `retry_context` is used: the decorator hands the arguments of what it decorates to its hooks,
and a ticket and a password came out in a log that way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from erpsyncd.errors import ClockSkewed, Effect, ProxyUnauthorized, RemoteUnavailable, TemporaryRemoteError
from erpsyncd.netserver.limits import RemoteLimits

log = structlog.get_logger(__name__)

T = TypeVar("T")


def may_retry(error: Exception, *, repeatable: bool) -> bool:
    """Say whether a call that failed so may be made again without asking anybody.

    A read may whenever it can help. A write may only when nobody can have carried it out: it was never sent,
    or it was turned away because of the rate. A wrong password for the proxy does not get right within seconds, and
    a wrong clock neither.
    """
    if not isinstance(error, TemporaryRemoteError) or isinstance(error, ProxyUnauthorized | ClockSkewed):
        return False
    if repeatable or error.effect is Effect.NEVER_SENT:
        return True
    return isinstance(error, RemoteUnavailable) and error.effect is Effect.REFUSED


async def carried_out(call: Callable[[], Awaitable[T]], limits: RemoteLimits, *, repeatable: bool) -> T:
    """Return what a call returns, tried again where that helps and cannot harm.

    The number of attempts is bounded, and they are exponentially apart, jittered. A pause that the tenant asks for
    (Retry-After) is kept, or the call is given up at once if it is too long. Nothing is prepared for a call that
    works at once: stamina sees an outcome that is a failure already, and takes over from there.
    """
    try:
        return await call()
    except TemporaryRemoteError as error:
        if limits.attempts == 1 or not may_retry(error, repeatable=repeatable):
            raise
        failed = error
    context = stamina.retry_context(
        on=backoff(limits, repeatable=repeatable),
        attempts=limits.attempts,
        timeout=None,
        wait_initial=limits.wait_initial_seconds,
        wait_jitter=limits.wait_jitter_seconds,
        wait_max=limits.wait_max_seconds,
    )
    async for attempt in context:
        with attempt:
            if attempt.num == 1:
                raise failed
            return await call()
    raise AssertionError("stamina yields an attempt or raises")  # pragma: no cover -- for the type checker


def backoff(limits: RemoteLimits, *, repeatable: bool) -> Callable[[Exception], bool | float]:
    """Return stamina's hook: False gives up, True waits as long as we choose, a number so many seconds."""

    def decide(error: Exception) -> bool | float:
        if not may_retry(error, repeatable=repeatable):
            return False
        asked = error.retry_after if isinstance(error, TemporaryRemoteError) else None
        if not asked:
            return True
        return asked if asked <= limits.retry_after_max_seconds else False

    return decide


def log_retries_quietly() -> None:
    """Replace stamina's own log lines and counters, for the whole process, by one debug event of ours.

    Its defaults warn about every retry and register a counter with prometheus-client by themselves. Only the
    composition root calls this.
    """
    set_on_retry_hooks([_log_retry])


def _log_retry(details: RetryDetails) -> None:
    error = details.caused_by
    log.debug(
        "call.retried",
        operation=getattr(error, "operation", ""),
        error_class=getattr(error, "error_class", type(error).__name__),
        attempt=details.retry_num,
        wait_seconds=round(details.wait_for, 2),
    )
