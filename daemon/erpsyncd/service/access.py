"""How to get to a tenant and into it, as one pass found it: its references resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from erpsyncd.domain.items import command
from erpsyncd.domain.secrets import Reference, Secret, not_known, withheld_names
from erpsyncd.domain.tenants import ONLINE_KINDS, Credentials, TenantSpec
from erpsyncd.errors import ConfigurationError, SecretMissing, SecretUnknown, Unauthorized

if TYPE_CHECKING:
    from erpsyncd.domain.proxies import Proxy
    from erpsyncd.service.secrets import SecretResolver


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The references of one tenant as this pass found them."""

    values: Mapping[Reference, Secret]
    reasons: Mapping[Reference, str]
    """Why the others cannot be resolved."""

    changed: frozenset[Reference] = frozenset()
    """Those whose value is not the one that was last seen, or that cannot be resolved any more."""

    def reason(self, missing: KeyError) -> str:
        """Return why a template could not be resolved, from what it raised."""
        part = missing.args[0]
        return self.reasons.get(part, str(part))


def resolve_credentials(tenant: TenantSpec, resolved: Resolved) -> Credentials:
    """Return how to log in.

    Raises:
        SecretMissing: a value was never given to this store, or something that it refers to is not known here.
    """
    unknown = withheld_names(tenant.templates)
    if unknown:
        raise SecretUnknown(f"cannot log in: {not_known(unknown)}")
    try:
        fields = {name: template.resolve(resolved.values) for name, template in tenant.auth.fields.items()}
    except KeyError as exc:
        raise SecretMissing(f"cannot log in: {resolved.reason(exc)}") from None
    return Credentials(kind=tenant.auth.kind, **fields)


def resolve_proxy(tenant: TenantSpec, resolved: Resolved) -> Proxy | None:
    """Return the proxy to go through, if any.

    Raises:
        ConfigurationError: its address is none.
        SecretMissing: something that it refers to is not known here.
    """
    if tenant.proxy is None:
        return None
    from erpsyncd.domain.proxies import parse_proxy  # noqa: PLC0415 -- few tenants are behind one

    try:
        return parse_proxy(tenant.proxy).resolve(resolved.values)
    except KeyError as exc:
        raise SecretMissing(f"cannot use the proxy: {resolved.reason(exc)}") from None
    except ValueError as exc:
        raise ConfigurationError(f"tenant {tenant.name}: proxy {exc}") from None


def resolve_access(tenant: TenantSpec, resolver: SecretResolver) -> tuple[Credentials, Proxy | None]:
    """Return how to get to a tenant outside a pass, and into it. Reads files, so it is called off the event loop.

    Raises:
        ConfigurationError: the proxy's address is none.
        SecretMissing: something that it refers to is not known here.
    """
    wanted = {reference for template in tenant.templates.values() for reference in template.references}
    values, reasons = resolver.resolve(wanted)
    resolved = Resolved(values=values, reasons=reasons)
    return resolve_credentials(tenant, resolved), resolve_proxy(tenant, resolved)


def refused_before(tenant: TenantSpec) -> Unauthorized:
    """Return the error for credentials that a tenant has refused once. Trying them again can lock the account."""
    edit, resume = command("tenants", "edit", tenant.name, "--ask-secret"), command("tenants", "resume", tenant.name)
    if tenant.auth.kind in ONLINE_KINDS:
        return Unauthorized(
            "Online refused these credentials before, and is not asked again until they change; where the tenant's "
            f"administrator had to approve the application and has done so: {resume}"
        )
    return Unauthorized(
        f"the tenant refused these credentials before; they are not tried again until they change: {edit} "
        f"(where they were put right in the tenant: {resume})"
    )
