"""Which tenants and connections somebody wants to be concerned: `--only` and `--exclude`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from erpsyncd.domain.input_rules import near_miss
from erpsyncd.errors import UsageError


@dataclass(frozen=True, slots=True)
class Pattern:
    """A `TENANT[/KEY]`, each part a name or a glob of names."""

    tenant: str
    key: str | None = None
    """None stands for the whole tenant."""

    def matches_tenant(self, tenant: str) -> bool:
        """Say whether it is about this tenant, or about something of it."""
        return _matches(tenant, self.tenant)

    def matches_key(self, key: str) -> bool:
        """Say whether it is about this connection, in a tenant that it matches."""
        return self.key is None or _matches(key, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a command is to concern; everything, unless it says otherwise. `exclude` wins over `only`."""

    only: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing was said."""
        return not self.only and not self.exclude

    def matches(self, tenant: str, key: str | None = None) -> bool:
        """Say whether this connection is selected; without a key, whether anything of this tenant may be."""
        wanted, unwanted = self._about(tenant)
        if key is None:
            return (bool(wanted) or not self.only) and all(pattern.key is not None for pattern in unwanted)
        return (not self.only or any(pattern.matches_key(key) for pattern in wanted)) and not any(
            pattern.matches_key(key) for pattern in unwanted
        )

    def is_whole(self, tenant: str) -> bool:
        """Say whether all of this tenant is selected, those of its connections too that do not exist yet."""
        wanted, unwanted = self._about(tenant)
        return not unwanted and (not self.only or any(pattern.key is None for pattern in wanted))

    def raise_if_unknown(self, tenants: Collection[str], keys_of: Callable[[str], Iterable[str]]) -> None:
        """Refuse a pattern that matches nothing, which is a slip of the pen, and a selection that leaves nothing.

        `keys_of` is asked for the keys of a tenant only where a pattern names keys.

        Raises:
            UsageError: with the name that may have been meant.
        """
        for pattern in (*self.only, *self.exclude):
            _raise_if_unknown(pattern, tenants, keys_of)
        if not self.is_everything and not any(self.matches(tenant) for tenant in tenants):
            raise UsageError("--only and --exclude leave nothing")

    def _about(self, tenant: str) -> tuple[list[Pattern], list[Pattern]]:
        return (
            [pattern for pattern in self.only if pattern.matches_tenant(tenant)],
            [pattern for pattern in self.exclude if pattern.matches_tenant(tenant)],
        )


def parse_selection(only: Iterable[str], exclude: Iterable[str]) -> Selection:
    """Read what `--only` and `--exclude` were given.

    Raises:
        UsageError: one of them is no `TENANT[/KEY]`.
    """
    return Selection(
        only=tuple(_parse_pattern("--only", text) for text in only),
        exclude=tuple(_parse_pattern("--exclude", text) for text in exclude),
    )


def _parse_pattern(option: str, text: str) -> Pattern:
    tenant, slash, key = text.partition("/")
    if not tenant or "/" in key or (slash and not key):
        raise UsageError(f'{option} must be TENANT or TENANT/KEY, not "{text}"')
    return Pattern(tenant, key if slash else None)


def _raise_if_unknown(pattern: Pattern, tenants: Collection[str], keys_of: Callable[[str], Iterable[str]]) -> None:
    found = [tenant for tenant in tenants if pattern.matches_tenant(tenant)]
    if not found:
        raise UsageError(f'no tenant matches "{pattern.tenant}"{near_miss(pattern.tenant, tenants)}')
    if pattern.key is None:
        return
    keys = {key for tenant in found for key in keys_of(tenant)}
    if not any(pattern.matches_key(key) for key in keys):
        raise UsageError(f'no connection of {pattern.tenant} matches "{pattern.key}"{near_miss(pattern.key, keys)}')


def _matches(name: str, pattern: str) -> bool:
    # A name is itself before it is a glob: it may hold brackets.
    return name == pattern or fnmatchcase(name, pattern)
