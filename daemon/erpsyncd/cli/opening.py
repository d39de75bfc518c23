"""How a command gets its settings and its store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from erpsyncd import bootstrap
from erpsyncd.cli.options import Invocation
from erpsyncd.settings import Settings
from erpsyncd.state_directory import become_owner

if TYPE_CHECKING:
    from erpsyncd.store import SqlStore

log = structlog.stdlib.get_logger(__name__)


def settings_of(invocation: Invocation) -> Settings:
    """Read the settings that this command line asks for, set up logging, and log what is doubtful about them.

    Root is the owner of the state directory from here on.
    """
    settings = bootstrap.start(
        invocation.config, invocation.environ, invocation.overrides(), in_colour=invocation.in_colour
    )
    become_owner(settings.state_directory, invocation.environ)
    for warning in settings.warnings:
        log.warning("setting.doubted", warning=warning)
    return settings


@contextmanager
def store_of(invocation: Invocation) -> Iterator[SqlStore]:
    """Open the store that this command line asks for."""
    with bootstrap.opened_store(settings_of(invocation)) as store:
        yield store
