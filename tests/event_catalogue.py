"""What each event of the log means: rows of docs/reference/events.md, held against the calls that write them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from erpsyncd.domain.results import Status

PACKAGE = Path(__file__).parents[1] / "daemon" / "erpsyncd"
LEVELS = ("debug", "info", "warning", "error", "exception")

#: Event → what has happened, in a sentence for operators.
MEANING: Mapping[str, str] = {
    "call.finished": "A call to a tenant was answered. Its body and its headers are never logged.",
    "call.retried": "A call failed in a way that may pass, and is made again after a pause.",
    "changed_data.recorded": "A tenant said that it has changed a record behind the scenes (ChangedData).",
    "check.failed": "HasConnections could not be asked.",
    "check.recorded": "HasConnections or another `operation` was answered; `is_ok` false is a no, and no failure.",
    "check.unexplained": "After a no, GetConnectionStartupErrors could not be asked; the no is on record.",
    "clock.jumped": "The machine's clock was set by so many seconds; the schedule was mended.",
    "connection.adopted": "A connection that the tenant had already was taken over into the store.",
    "connection.applied": "A connection was created, updated or deleted in the tenant, and that is on record.",
    "connection.drifted": "A look found what a tenant has otherwise than it was pushed; values are never logged.",
    "connection.failed": "A connection could not be brought to what is described; `error_class` says of which kind.",
    "connection.planned": "A plan or a dry run found a change to make.",
    "connection.recovered": "What a crash or a lost answer had left open was settled.",
    "connection.skipped": "A connection's turn did not come, because the pass over its tenant ended before.",
    "connection.undrifted": "A look found a connection as it was pushed that was not so before.",
    "drift.adopted": "A connection is described now as its tenant has it, because somebody decided so.",
    "drift.stubborn": "Ours was pushed over a drift, and the tenant altered it at once; no policy repeats that.",
    "history.pruned": "Records older than `retention.days` were deleted.",
    "list.changed": "A list of connectors, groups or associates has changed; so many connections became due.",
    "list.failed": "A list that names are looked up in could not be read again; what was read before stays.",
    "operation.missing": "A tenant does not have an operation, which is no failure; told once, until it is otherwise.",
    "metrics.failed": "The metrics file could not be written, or the store did not answer for it.",
    "notification.crashed": "A defect kept somebody from being told of a pass; please report it.",
    "notification.delivered": "Somebody was told of a pass (`notify`).",
    "notification.dropped": "Too many notifications waited for one target; the oldest was given up.",
    "notification.failed": "Somebody could not be told of a pass. The pass is not touched.",
    "notification.given_up": "At the end there was no more time for what was still to be told.",
    "plan.refused": "A safety limit stopped a tenant's pass before any write.",
    "run.failed": "A run ended because of the store, or because another process has it.",
    "run.finished": "A pass over all tenants ended: the one line to keep.",
    "run.started": "A pass over all tenants began.",
    "secret.changed": "References lead to other values than before; so many connections became due.",
    "service.cut_off": "Calls under way did not end in time while stopping; the next start settles them.",
    "service.started": "The daemon is ready.",
    "service.stopped": "The daemon has ended in order.",
    "service.stopping": "The daemon was told to stop, and lets calls under way end.",
    "setting.doubted": "A setting is allowed, but hardly meant.",
    "settings.rejected": "The settings could not be read again; those that were in force stay.",
    "settings.reloaded": "The settings were read again; `restart_needed` names those that count from the next start.",
    "signal.received": "The daemon got a signal.",
    "sync_all.failed": "SyncAll failed; the run is partial. It is tried again only if it cannot have begun.",
    "tenant.crashed": "A defect ended one tenant's pass; please report it.",
    "tenant.failed": "A tenant's pass ended before its end.",
    "tenant.finished": "A tenant's pass ended: its one line to keep.",
    "tenant.looked_at": "A look at what a tenant has ended; so many connections are as they were pushed.",
    "tenant.parked": "A tenant failed too often in a row, and is left alone until then.",
    "tenant.skipped": "A tenant was left alone: parked, or another process works on it.",
    "tenant_state.read": "The vendor said of a tenant of Online whether it runs, where, and until when that is good.",
    "tenant_state.unread": "The vendor could not be asked for a tenant's state; what was known of it before counts.",
    "watcher.crashed": "A defect in what watches runs (metrics, health, notifications); please report it.",
    "web.crashed": "A defect kept a question from being answered (`web.listen`); please report it.",
    "web.started": "The daemon answers /healthz, /readyz and /metrics there.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An event as the program writes it."""

    levels: frozenset[str]
    members: frozenset[str]


def written_events() -> dict[str, Written]:
    """Return every event that the program's source writes, with its levels and members."""
    levels: dict[str, set[str]] = defaultdict(set)
    members: dict[str, set[str]] = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        for event, level, named in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            levels[event].add(level)
            members[event] |= named
    return {
        event: Written(levels=frozenset(levels[event]), members=frozenset(members[event])) for event in sorted(levels)
    }


def _calls(tree: ast.Module) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the events of calls such as `log.info("run.started", …)`, and of those that hand an event on."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        first = node.args[0]
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            continue
        named = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
        if node.func.attr in LEVELS and isinstance(node.func.value, ast.Name) and node.func.value.id == "log":
            level = "error" if node.func.attr == "exception" else node.func.attr
            yield first.value, level, named.union(*map(_unpacked, node.keywords))
        elif node.func.attr == "report_tenant":
            yield first.value, "warning", {"tenant", "error_class", "error"}


def _unpacked(keyword: ast.keyword) -> set[str]:
    """Return the members that are handed over together: counts, or whom an event is about."""
    if keyword.arg is not None:
        return set()
    return {"tenant", "key", "change"} if isinstance(keyword.value, ast.Name) else {str(status) for status in Status}
