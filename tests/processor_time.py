"""A bound on what a piece of code may take of the processor, for tests of what must not hang."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TookTooLong(BaseException):
    """Something used up its processor time. No `Exception`, so that nothing under test can take it for one."""


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """Raise `TookTooLong` where the block needs more of the processor; a busy machine does not count."""

    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    if time.process_time() - started > seconds:  # in C, where no signal is looked at
        raise TookTooLong
