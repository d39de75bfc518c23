"""A tenant's lists of connectors, groups and associates, and what a name in them stands for. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from erpsyncd.domain.connections import (
    ConnectionRowId,
    ConnectionTemplate,
    State,
    first_translation,
    name_variants,
)
from erpsyncd.errors import NameAmbiguous, NameUnknown

_MOST_CANDIDATES = 5
#: So many lines of a list are searched for what a name resembles: all tenants wait while they are compared.
_MOST_COMPARED = 1_000
#: So many characters of a tenant's name stand in a message.
_MOST_SHOWN = 100


class ListName(StrEnum):
    """A list that names are looked up in, as the vendor calls it (domain.md §4.7)."""

    CONNECTORS = "erpconnectors"
    USER_GROUPS = "usergroup"
    ASSOCIATES = "associate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListItem:
    """One line of a list: what it is called, and the number that a connection is saved with."""

    id: int
    name: str
    """May be multi-language: `US:"Sales";NO:"Salg"`."""

    url: str = ""
    """Of a connector; empty for everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantList:
    """A list as it was read at some moment."""

    name: ListName
    items: tuple[ListItem, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class _Kind:
    """How messages speak of what a list holds."""

    one: str
    by_id: str
    """The document key that takes the number instead."""


_KINDS = {
    ListName.CONNECTORS: _Kind("connector", "erp_connector_id"),
    ListName.USER_GROUPS: _Kind("user group", "user_group_access_ids"),
    ListName.ASSOCIATES: _Kind("associate", "associate_access_ids"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedConnection:
    """A connection with names, as far as these go: its template has no config fields."""

    id: ConnectionRowId
    state: State
    template: ConnectionTemplate


def names_in(template: ConnectionTemplate) -> dict[ListName, tuple[str, ...]]:
    """Return what a connection has by name, by the list that knows it."""
    names = {
        ListName.CONNECTORS: () if template.erp_connector is None else (template.erp_connector,),
        ListName.USER_GROUPS: template.user_groups,
        ListName.ASSOCIATES: template.associates,
    }
    return {name: wanted for name, wanted in names.items() if wanted}


def with_ids(template: ConnectionTemplate, ids: Mapping[ListName, tuple[int, ...]]) -> ConnectionTemplate:
    """Return the template with the ids that its names stand for, by the list that they are from."""
    connector = ids.get(ListName.CONNECTORS, (template.erp_connector_id,))
    return replace(
        template,
        erp_connector_id=connector[0],
        user_group_access_ids=ids.get(ListName.USER_GROUPS, template.user_group_access_ids),
        associate_access_ids=ids.get(ListName.ASSOCIATES, template.associate_access_ids),
    )


def is_outdated(named: NamedConnection, listed: TenantList) -> bool:
    """Say whether a connection has to be looked at again because of a list that changed.

    What failed is, once its names are found: perhaps it failed for them. What is in sync is where they stand for
    other ids now, or for none, which it has to be told.
    """
    wanted = names_in(named.template).get(listed.name, ())
    try:
        ids = {listed.name: tuple(find_id(name, listed) for name in wanted)} if wanted else {}
    except (NameUnknown, NameAmbiguous):
        return named.state is not State.FAILED
    now, before = with_ids(named.template, ids), named.template
    failed = named.state is State.FAILED and bool(wanted)
    return failed or any(
        set(new) != set(old)
        for new, old in (
            ((now.erp_connector_id,), (before.erp_connector_id,)),
            (now.user_group_access_ids, before.user_group_access_ids),
            (now.associate_access_ids, before.associate_access_ids),
        )
    )


def find_id(wanted: str, listed: TenantList) -> int:
    """Return the id of what is called `wanted`, in any of its languages, or has it for its URL.

    A name that is there letter by letter goes before one that differs in case.

    Raises:
        NameUnknown: nothing is called that; the message has what resembles it.
        NameAmbiguous: several are; the message has the id and name of each.
    """
    for found in _attempts(wanted, listed):
        by_id = {item.id: item for item in found}
        if len(by_id) > 1:
            raise _ambiguous(wanted, listed.name, tuple(by_id.values()))
        if by_id:
            return next(iter(by_id))
    raise _unknown(wanted, listed)


def _attempts(wanted: str, listed: TenantList) -> Iterable[tuple[ListItem, ...]]:
    if "://" in wanted:
        url = comparable_url(wanted)
        yield tuple(item for item in listed.items if item.url and comparable_url(item.url) == url)
    names = name_variants(wanted)
    yield tuple(item for item in listed.items if not names.isdisjoint(name_variants(item.name)))
    folded = _folded(names)
    yield tuple(item for item in listed.items if not folded.isdisjoint(_folded(name_variants(item.name))))


def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip().casefold() for name in names)


def comparable_url(url: str) -> str:
    """Return an address with what does not distinguish it made equal: the case of scheme and host, a last slash."""
    scheme, _, rest = url.strip().partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".rstrip("/")


def _ambiguous(wanted: str, name: ListName, found: tuple[ListItem, ...]) -> NameAmbiguous:
    kind = _KINDS[name]
    candidates = ", ".join(f"{item.id} {_shown(item)}" for item in found[:_MOST_CANDIDATES])
    more = f" and {len(found) - _MOST_CANDIDATES} more" if len(found) > _MOST_CANDIDATES else ""
    return NameAmbiguous(
        f"the tenant has {len(found)} {kind.one}s {wanted!r}: {candidates}{more}; rename one in the CRM, or give the "
        f"number as {kind.by_id}"
    )


def _unknown(wanted: str, listed: TenantList) -> NameUnknown:
    kind = _KINDS[listed.name]
    return NameUnknown(
        f"the tenant has no {kind.one} {wanted!r}{_resembling(wanted, listed)}; write it as the CRM shows it, create "
        f"it there, or give the number as {kind.by_id}"
    )


def _resembling(wanted: str, listed: TenantList) -> str:
    """Return what was perhaps meant; of a short list, all that there is."""
    near = listed.items[:_MOST_COMPARED]
    items = {variant.casefold(): item for item in near for variant in (*name_variants(item.name), item.url)}
    items.pop("", None)
    close = difflib.get_close_matches(wanted.casefold(), items, n=_MOST_CANDIDATES, cutoff=0.6)
    meant = dict.fromkeys(items[name] for name in close)
    if meant:
        return f" (perhaps {' or '.join(map(_shown, meant))})"
    if not listed.items:
        return " (it lists none at all, or none to this user)"
    if len(listed.items) <= _MOST_CANDIDATES:
        return f" (it has {', '.join(_shown(item) for item in listed.items)})"
    return ""


def _shown(item: ListItem) -> str:
    name = repr(_cut(first_translation(item.name)))
    return f"{name} ({_cut(item.url)})" if item.url else name


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
