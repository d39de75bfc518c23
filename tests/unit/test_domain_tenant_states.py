"""How long an answer of the tenant state API is good, and where it says that a tenant is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from erpsyncd.domain.tenant_states import (
    LONGEST,
    LONGEST_PARKED,
    SHORTEST,
    UNSAID,
    WORDS,
    ReportedState,
    for_operators,
    good_until,
)
from erpsyncd.domain.tenants import located
from factories import make_tenant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEARS = timedelta(days=3650)


@pytest.mark.parametrize(
    ("said", "running", "parked"),
    [
        (timedelta(minutes=10), timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(hours=2), timedelta(hours=2), LONGEST_PARKED),
        (YEARS, LONGEST, LONGEST_PARKED),
        (-YEARS, SHORTEST, SHORTEST),
        (timedelta(seconds=1), SHORTEST, SHORTEST),
        (None, UNSAID, UNSAID),
    ],
)
def test_good_until(said: timedelta | None, running: timedelta, parked: timedelta) -> None:
    """As long as it says, but neither for ever nor for no time at all."""
    moment = None if said is None else NOW + said

    assert (NOW + running, NOW + parked) == (
        good_until(moment, is_running=True, now=NOW),
        good_until(moment, is_running=False, now=NOW),
    )


@pytest.mark.parametrize(
    ("ahead", "good"),
    [(timedelta(0), False), (timedelta(seconds=1), True), (LONGEST, True), (LONGEST + timedelta(seconds=1), False)],
)
def test_is_good(ahead: timedelta, *, good: bool) -> None:
    """Further ahead than an answer can be good is the mark of a clock that was wrong."""
    assert good is ReportedState(word="Running", is_running=True, valid_until=NOW + ahead).is_good(NOW)
    assert not ReportedState(word="Running", is_running=True).is_good(NOW)


def test_which_states_need_somebody() -> None:
    """Maintenance ends by itself; what is suspended, deleted or failed does not; what runs needs nobody."""
    waiting = {word for word in WORDS.values() if ReportedState(word=word, is_running=False).needs_operator}

    assert {"Suspended", "Deleted", "Deleting", "ProvisioningFailed", "DeleteFailed"} == waiting
    assert waiting == {word for word in WORDS.values() if for_operators(word)}
    assert not ReportedState(word="Suspended", is_running=True).needs_operator


HOST = "https://sod2.superoffice.com"


@pytest.mark.parametrize(
    ("given", "soap", "rest"),
    [
        ({}, f"{HOST}/Cust1/Remote", f"{HOST}/Cust1/api/v1"),
        ({"url": "https://old.example"}, f"{HOST}/Cust1/Remote", f"{HOST}/Cust1/api/v1"),
        ({"soap_url": "https://soap.example/Remote"}, "https://soap.example/Remote", f"{HOST}/Cust1/api/v1"),
        ({"rest_url": "https://rest.example/api"}, f"{HOST}/Cust1/Remote", "https://rest.example/api/v1"),
    ],
)
def test_located(given: dict[str, str], soap: str, rest: str) -> None:
    """A soap_url or a rest_url overrides what the state says, a url does not."""
    spec = make_tenant(**{"url": "", **given}).spec
    state = ReportedState(word="Running", is_running=True, endpoint=f"{HOST}/Cust1", api=f"{HOST}/Cust1/api")

    found = located(spec, state)

    assert (soap, rest) == (found.soap_base, found.rest_base)


@pytest.mark.parametrize("said", [{"endpoint": f"{HOST}/Cust1"}, {"api": f"{HOST}/Cust1/api"}])
def test_one_address_tells_the_other(said: dict[str, Any]) -> None:
    """Where only one of both is said, the other lies beside it."""
    found = located(make_tenant(url="").spec, ReportedState(word="Running", is_running=True, **said))

    assert (f"{HOST}/Cust1/Remote", f"{HOST}/Cust1/api/v1") == (found.soap_base, found.rest_base)
