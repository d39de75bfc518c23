"""The decision: what has to be done to a connection, and whether so much may be done at once."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from erpsyncd.domain.connections import (
    DesiredConnection,
    ErpConnection,
    ListedConnection,
    State,
    name_variants,
    same_guid,
)
from erpsyncd.domain.fingerprints import changed_fields
from erpsyncd.domain.items import command
from erpsyncd.errors import Undecided, UnsafePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """The tenant does not have it."""

    desired: DesiredConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The tenant has it, and what we last pushed is not what is desired now."""

    desired: DesiredConnection
    observed: ErpConnection
    fields: tuple[str, ...]
    """The names of the fields that changed since the last push; never their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """The tenant has it and should not."""

    desired: DesiredConnection
    observed: ErpConnection


Change: TypeAlias = Create | Update | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one pass may do to one tenant without being told so."""

    max_deletes: int = 3
    max_drift_percent: int = 30
    """Of a tenant's connections, how many may be pushed over because they drifted; where there are at least 10."""


def needs_observation(desired: DesiredConnection) -> bool:
    """Say whether the tenant has to be asked before `plan_connection` can decide.

    A connection that was never created there cannot be read, and one that stands as we last pushed it needs
    no save, whatever the tenant answers: drift is looked for elsewhere. One that was found missing or
    replaced is looked at again, in case it came back.
    """
    if desired.stored.erp_connection_id is None:
        return False
    undecided = desired.stored.state in (State.MISSING, State.REPLACED)
    return undecided or desired.spec is None or desired.fingerprints != desired.stored.applied


def plan_connection(desired: DesiredConnection, observed: ErpConnection | None, *, tenant: str) -> Change | None:
    """Return the one change that brings the tenant to `desired`, or None when nothing has to be done.

    Saving is decided by what we last pushed, never by comparing with what the tenant gives back: it may mask
    secrets, and its cursor moves by itself. `observed` is None when the tenant does not have the connection
    or when `needs_observation` said that it need not be asked. `tenant` is its name, for messages.

    Raises:
        Undecided: what stands there is not ours any more (`replaced`), or is gone (`missing`).
    """
    stored = desired.stored
    if stored.erp_connection_id is None:
        return None if desired.spec is None else Create(desired=desired)
    if not needs_observation(desired):
        return None
    gone = observed is None or observed.deleted
    if desired.spec is None and gone:
        return None
    number = stored.erp_connection_id
    resolve = command("connections", "resolve", tenant, desired.key)
    if observed is None or gone:
        raise Undecided(
            "missing",
            f"the tenant no longer has connection {number}; somebody deleted it there. "
            f"To create a new one: {resolve} --create; else mark it absent",
        )
    if not stored.connection_id and _is_a_stranger(desired, observed):
        raise Undecided(
            "replaced",
            f"connection {number}, {observed.spec.display_name!r} of connector {observed.spec.erp_connector_id}, was "
            f"never known to be this one; if it is to be: {resolve} --id {number}, else --create",
        )
    # An answer without a GUID says nothing about whose it is.
    if stored.connection_id and observed.connection_id and not same_guid(stored.connection_id, observed.connection_id):
        raise Undecided(
            "replaced",
            f"connection {number} is another one now: its ConnectionId is {observed.connection_id}, ours was "
            f"{stored.connection_id}. A restored backup does this; if it is to be ours all the same: "
            f"{resolve} --id {number}",
        )
    if desired.spec is None:
        return Delete(desired=desired, observed=observed)
    if desired.fingerprints == stored.applied:
        return None
    fields = changed_fields(desired.fingerprints, stored.applied) if stored.applied else ()
    return Update(desired=desired, observed=observed, fields=fields)


def _is_a_stranger(desired: DesiredConnection, observed: ErpConnection) -> bool:
    """Say whether what stands under a number is hardly what an operator meant who named that number.

    It was not there when it was looked at, and appeared later; or it is another connector's, which a save would change.
    """
    spec, theirs = desired.spec, observed.spec.erp_connector_id
    return desired.stored.state in (State.MISSING, State.REPLACED) or (
        spec is not None and theirs not in (0, spec.erp_connector_id)
    )


def raise_if_unsafe(deletes: int, *, tenant: str, connections: int, limits: Limits) -> None:
    """Stop a pass that would delete more than an operator can have meant.

    `deletes` counts what is marked absent and may stand in the tenant, also where it could not be read: a limit
    that failed reads get around is none. `connections` is how many of the store's connections exist there. "All
    of them" counts from two: a single one that was marked absent by name is what somebody asked for.

    Raises:
        UnsafePlan: with the numbers and the way out.
    """
    way_out = f"If that is meant, run: {command('--run-once', '--only', tenant, '--force', tenant)}"
    if deletes > limits.max_deletes:
        raise UnsafePlan(
            f"{deletes} connections would be deleted, more than {limits.max_deletes} (safety.max_deletes). {way_out}"
        )
    if deletes > 1 and deletes >= connections:
        raise UnsafePlan(f"all {deletes} connections would be deleted. {way_out}")


#: A part of fewer connections than this says little.
_MANY = 10


def raise_if_too_much_drift(pushes: int, *, tenant: str, connections: int, limits: Limits) -> None:
    """Stop a pass that would push over more drift than somebody can have made by hand.

    So much that differs is a restored backup, a migration, or a server that shows things otherwise since its upgrade.

    Raises:
        UnsafePlan: with the numbers and the way out.
    """
    if connections >= _MANY and pushes * 100 > connections * limits.max_drift_percent:
        look, force = command("drift", "--only", tenant), command("--run-once", "--only", tenant, "--force", tenant)
        raise UnsafePlan(
            f"{pushes} of {connections} connections would be updated because they drifted, more than "
            f"{limits.max_drift_percent} % (safety.max_drift_percent). Look at them: {look}. "
            f"If that is meant, run: {force}"
        )


def candidates(
    same_name: Iterable[ListedConnection], *, erp_connector_id: int, owned: Container[int]
) -> tuple[ListedConnection, ...]:
    """Return those of the listed connections that nobody owns and that may have this connector.

    A list may lack the connector id and may show one translation of a multi-language name, so each candidate
    is confirmed by reading it (`is_twin`).
    """
    return tuple(
        item
        for item in same_name
        if item.erp_connection_id not in owned and item.erp_connector_id in (None, erp_connector_id)
    )


def is_twin(observed: ErpConnection | None, *, erp_connector_id: int, display_name: str) -> bool:
    """Say whether a connection just read has this connector and display name.

    One translation of a multi-language name counts as the name: a tenant may give back no more than that, and
    a twin overlooked is a connection made twice.
    """
    return (
        observed is not None
        and not observed.deleted
        and observed.spec.erp_connector_id == erp_connector_id
        and not name_variants(observed.spec.display_name).isdisjoint(name_variants(display_name))
    )
