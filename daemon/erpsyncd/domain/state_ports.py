"""What a pass needs to know where a tenant of Online is; the adapters stand in `netserver/` and `service/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from erpsyncd.domain.proxies import Proxy
    from erpsyncd.domain.tenant_states import ReportedState
    from erpsyncd.domain.tenants import TenantSpec


class Whereabouts(Protocol):
    """Where a tenant of Online is, as far as one pass knows."""

    @property
    def current(self) -> ReportedState:
        """The newest answer."""
        ...

    async def ask_again(self, known: ReportedState) -> ReportedState:
        """Return the state after a call failed that was made under a `known` one.

        However many calls fail at once, it is asked for once; where it cannot be read, it is as it was.
        """
        ...


class TenantStates(Protocol):
    """Asks the vendor how tenants of Online are."""

    async def read_state(
        self, tenant: TenantSpec, *, proxy: Proxy | None = None, only_once: bool = False
    ) -> ReportedState:
        """Return the state of a tenant that has an environment; no credential is sent.

        Raises `RemoteError`, and `UntrustedAddress` for one that runs where credentials are not sent to.
        """
        ...

    def trusts(self, tenant: TenantSpec, state: ReportedState) -> bool:
        """Say whether credentials may be sent where an earlier answer says that the tenant is."""
        ...
