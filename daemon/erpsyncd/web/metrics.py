"""The daemon in numbers, for Prometheus.

Two kinds: what was counted in this process since it started, and what stands in the store now. The second kind is
true for a `--run-once` too, so it alone goes into a textfile. Names of tenants are the only labels that an operator
chooses, and only up to a number of tenants; what tenants answer never becomes one.
"""

from __future__ import annotations

import platform
from collections import Counter as Counting
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from erpsyncd import __version__
from erpsyncd.domain.connections import State
from erpsyncd.domain.results import RecordChange, RunStatus, Status
from erpsyncd.domain.watching import Census, FinishedRun, StartedRun, TenantCensus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PASS_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600)
_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_COMMIT_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)

#: The states of tenants that `tenants list` knows, so that each has a number, also 0.
_TENANT_STATES = ("active", "paused", "incomplete", "refused", "parked")


class Counts:
    """What is counted while this process lives: a `RunWatcher`, a `CallWatcher` and a `CommitWatcher`."""

    def __init__(self) -> None:
        # A second series for each counter, to say when it began: nobody asks, and it doubles what is stored.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._runs = Counter("erpsyncd_runs_total", "Runs that ended.", ("trigger", "status"), registry=self.registry)
        self._run_seconds = Histogram(
            "erpsyncd_run_duration_seconds",
            "How long runs took.",
            ("trigger",),
            buckets=_PASS_SECONDS,
            registry=self.registry,
        )
        self._outcomes = Counter(
            "erpsyncd_outcomes_total",
            "What became of connections; error_class is empty where nothing went wrong.",
            ("status", "error_class"),
            registry=self.registry,
        )
        self._tenant_failures = Counter(
            "erpsyncd_tenant_failures_total",
            "Passes over a tenant that broke off.",
            ("error_class",),
            registry=self.registry,
        )
        self._calls = Counter(
            "erpsyncd_calls_total",
            "Calls to tenants; outcome is the class of the HTTP status, or why there was none.",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "erpsyncd_call_duration_seconds",
            "How long calls to tenants took.",
            ("operation",),
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )
        self._checks = Counter("erpsyncd_checks_total", "HasConnections answers.", ("is_ok",), registry=self.registry)
        self._changed_records = Counter(
            "erpsyncd_changed_records_total",
            "Records that tenants said they had changed.",
            ("change",),
            registry=self.registry,
        )
        self._commit_seconds = Histogram(
            "erpsyncd_store_commit_duration_seconds",
            "How long transactions of the store took.",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Let the first event of a kind be an increase, which one that appears with 1 is not to Prometheus."""
        for status in RunStatus:
            self._runs.labels("reconcile", status)
        for outcome in Status:
            self._outcomes.labels(outcome, "")
        for is_ok in ("true", "false"):
            self._checks.labels(is_ok)
        for change in RecordChange:
            self._changed_records.labels(change)

    def run_started(self, run: StartedRun) -> None:
        """See the port."""

    def run_finished(self, run: FinishedRun) -> None:
        """Count a run and all that came of it."""
        self._runs.labels(run.started.trigger, run.status).inc()
        self._run_seconds.labels(run.started.trigger).observe(run.duration.total_seconds())
        if run.report is None:
            return
        for tenant in run.report.tenants:
            if tenant.error is not None:
                self._tenant_failures.labels(tenant.error).inc()
            for outcome in tenant.outcomes:
                if outcome.key is not None:
                    self._outcomes.labels(outcome.status, outcome.error_class or "").inc()
            if tenant.unchanged:
                self._outcomes.labels(Status.UNCHANGED, "").inc(tenant.unchanged)
            for check in tenant.checks:
                self._checks.labels(str(check.response.is_ok).lower()).inc()
                for item in check.response.changes:
                    self._changed_records.labels(item.change).inc()

    def call_finished(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to a tenant."""
        self._calls.labels(operation, outcome).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def committed(self, seconds: float) -> None:
        """Count a transaction; in any thread."""
        self._commit_seconds.observe(seconds)

    def rendered(self) -> bytes:
        """Return them as Prometheus reads them."""
        return generate_latest(self.registry)


def rendered_census(census: Census | None, *, max_tenants: int) -> bytes:
    """Return what stands in the store as Prometheus reads it; None where the store does not answer.

    Where there are more than `max_tenants` tenants, there are only numbers of all of them together.
    """
    registry = CollectorRegistry()
    registry.register(_CensusCollector(census, max_tenants))
    return generate_latest(registry)


class _CensusCollector(Collector):
    def __init__(self, census: Census | None, max_tenants: int) -> None:
        self._census = census
        self._max_tenants = max_tenants

    def collect(self) -> Iterator[Metric]:
        """Yield each metric."""
        build = InfoMetricFamily("erpsyncd_build", "Which program this is.")
        build.add_metric((), {"version": __version__, "python": platform.python_version()})
        yield build
        yield GaugeMetricFamily(
            "erpsyncd_store_up", "1 where the store answers, else 0.", value=float(self._census is not None)
        )
        if self._census is not None:
            yield from _together(self._census)
            if len(self._census.tenants) <= self._max_tenants:
                yield from _each(self._census.tenants)


def _together(census: Census) -> Iterator[Metric]:
    states = Counting(tenant.state for tenant in census.tenants)
    known = dict.fromkeys((*_TENANT_STATES, *states))
    yield _gauge("erpsyncd_tenants", "Tenants by state.", "state", {state: states[state] for state in known})
    connections: Counting[str] = Counting()
    for tenant in census.tenants:
        connections.update(tenant.connections)
    yield _gauge(
        "erpsyncd_connections", "Connections by state.", "state", {str(state): connections[state] for state in State}
    )
    answers = Counting(_answer(tenant) for tenant in census.tenants)
    yield _gauge(
        "erpsyncd_quote_answers",
        "Tenants by their last HasConnections answer.",
        "is_ok",
        {answer: answers[answer] for answer in ("true", "false", "unknown")},
    )
    yield _gauge(
        "erpsyncd_last_run_timestamp_seconds",
        "When the last pass of this status ended, in seconds since 1970.",
        "status",
        {str(status): at.timestamp() for status, at in census.last_runs.items()},
    )


def _each(tenants: tuple[TenantCensus, ...]) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "erpsyncd_tenant_connections",
        "Connections of a tenant by state; those that there are.",
        labels=("tenant", "state"),
    )
    states = GaugeMetricFamily(
        "erpsyncd_tenant_state", "1 for the state that a tenant is in.", labels=("tenant", "state")
    )
    quotes = GaugeMetricFamily(
        "erpsyncd_tenant_quote_ok", "A tenant's last HasConnections answer: 1 for yes, 0 for no.", labels=("tenant",)
    )
    for tenant in tenants:
        states.add_metric((tenant.name, tenant.state), 1)
        for state, number in tenant.connections.items():
            connections.add_metric((tenant.name, state), number)
        if tenant.quote_is_ok is not None:
            quotes.add_metric((tenant.name,), float(tenant.quote_is_ok))
    yield from (connections, states, quotes)


def _answer(tenant: TenantCensus) -> str:
    return "unknown" if tenant.quote_is_ok is None else str(tenant.quote_is_ok).lower()


def _gauge(name: str, meaning: str, label: str, values: dict[str, float]) -> Metric:
    metric = GaugeMetricFamily(name, meaning, labels=(label,))
    for value, number in values.items():
        metric.add_metric((value,), number)
    return metric
