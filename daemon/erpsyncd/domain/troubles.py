"""What is said of connections that are not as they should be, and the command for each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from erpsyncd.domain.connections import State
from erpsyncd.domain.items import Item, Severity, command, connections_are, without_command
from erpsyncd.domain.standing import Trouble, state_in_words

#: So many connections of a tenant that are in trouble for one reason are named one by one; more are one item.
EACH = 3

#: The connection that our own sentence about an `exists` names.
_NAMED_ID = re.compile(r"--id (\d+)")

#: Failures that time alone does not heal, or that leave a connection switched off.
_URGENT = frozenset({"exists", "not_restored"})

#: Failures that have to do with the tenant rather than with the connection.
_OF_THE_TENANT = frozenset({"unreachable", "unavailable", "unauthorized", "forbidden", "not_found", "clock_skew"})


def trouble_items(troubles: Iterable[Trouble]) -> Iterator[Item]:
    """Return what is to be said of connections in trouble: each by itself, or many of one kind together."""
    alike: dict[tuple[str, State, str | None], list[Trouble]] = defaultdict(list)
    for trouble in troubles:
        alike[trouble.tenant, trouble.state, trouble.error_class].append(trouble)
    for group in alike.values():
        if group[0].alike > EACH:
            yield _many(group[0])
        else:
            yield from (_one(trouble) for trouble in group)


def _many(first: Trouble) -> Item:
    why = f" ({first.error_class})" if first.state is State.FAILED and first.error_class else ""
    what, _ = _sentence(first)
    return Item(
        severity=_severity(first),
        reason=_reason(first),
        tenant=first.tenant,
        what=f"{connections_are(first.alike)} {first.state.replace('_', ' ')}{why}; {first.key}: {what}",
        do=command("connections", "list", "--tenant", first.tenant, "--state", first.state),
    )


def _one(trouble: Trouble) -> Item:
    what, do = _sentence(trouble)
    return Item(
        severity=_severity(trouble),
        reason=_reason(trouble),
        tenant=trouble.tenant,
        key=trouble.key,
        what=what,
        until=trouble.next_attempt_at if trouble.state is State.FAILED else None,
        do=do,
    )


def _sentence(trouble: Trouble) -> tuple[str, str]:
    """Return what is wrong with one connection, and the command for it."""
    resolve = command("connections", "resolve", trouble.tenant, trouble.key)
    show = command("connections", "show", trouble.tenant, trouble.key)
    match trouble.state:
        case State.MISSING:
            what = f"the tenant no longer has connection {trouble.erp_connection_id}; if it is to be created anew"
            return what, f"{resolve} --create"
        case State.REPLACED:
            what = f"connection {trouble.erp_connection_id} is another one now; if it is to be ours all the same"
            return what, f"{resolve} --id {trouble.erp_connection_id}"
        case State.IN_DOUBT:
            return without_command(trouble.error or state_in_words(trouble.state)), f"{resolve} --id N"
        case State.DRIFTED:
            look = command("drift", "look", trouble.tenant, trouble.key)
            return trouble.error or state_in_words(trouble.state), look
        case _ if trouble.error_class == "exists" and (twin := _NAMED_ID.search(trouble.error or "")):
            adopt = command("connections", "adopt", trouble.tenant, "--id", twin[1], "--key", trouble.key)
            return without_command(trouble.error or ""), adopt
        case _:
            do = command("tenants", "test", trouble.tenant) if trouble.error_class in _OF_THE_TENANT else show
            return without_command(trouble.error or state_in_words(trouble.state)), do


def _severity(trouble: Trouble) -> Severity:
    waits_for_us = trouble.state in (State.IN_DOUBT, State.REPLACED, State.MISSING, State.INCOMPLETE)
    return Severity.ERROR if waits_for_us or trouble.error_class in _URGENT else Severity.WARNING


def _reason(trouble: Trouble) -> str:
    """Return the state, or the error class of what just failed."""
    return trouble.error_class or "failed" if trouble.state is State.FAILED else trouble.state.value
