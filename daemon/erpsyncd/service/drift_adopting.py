"""What a tenant shows becomes what we describe, so that nothing has to be pushed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from erpsyncd.domain.connections import (
    CONFIG_PREFIX,
    ConnectionTemplate,
    DesiredConnection,
    ErpConnection,
    State,
)
from erpsyncd.domain.documents import Document, DocumentConnection
from erpsyncd.domain.drift import OF_THE_WHOLE, DriftKind, KnownDrift
from erpsyncd.domain.input_rules import near_miss
from erpsyncd.domain.items import command
from erpsyncd.domain.results import Verdict
from erpsyncd.domain.secrets import Secret, Template
from erpsyncd.errors import NotAdopted

if TYPE_CHECKING:
    from erpsyncd.domain.fingerprints import Fingerprinter
    from erpsyncd.domain.intents import Lease
    from erpsyncd.domain.ports import PassStore
    from erpsyncd.service.policy import Adopting

log = structlog.stdlib.get_logger(__name__)

#: What is described by names, by the field that holds the ids. Ids that are adopted take the names' place.
_NAMES_OF = {"user_group_access_ids": "user_groups", "associate_access_ids": "associates"}


@dataclass(frozen=True, kw_only=True)
class DriftAdoption:
    """Takes over what one look found in one connection."""

    tenant: str
    store: PassStore
    lease: Lease
    now: Callable[[], datetime]

    async def adopt(
        self,
        desired: DesiredConnection,
        observed: ErpConnection | None,
        known: tuple[KnownDrift, ...],
        wanted: Adopting,
    ) -> tuple[str, ...]:
        """Describe what was just read, and return the fields; what was read before does not count.

        Raises:
            NotAdopted: nothing differs, or what differs cannot be taken over like this.
            ConfigurationError: what the tenant shows cannot stand here beside what is described.
        """
        chosen = tuple(one for one in known if wanted.field is None or one.drift.field == wanted.field)
        self._refuse_nothing(desired, known, chosen, wanted)
        stored = desired.stored
        if chosen[0].drift.kind is DriftKind.REPLACED:
            raise NotAdopted(
                f"{self.tenant}/{stored.key} is another connection in the tenant; to say that it is that one: "
                f"{command('connections', 'resolve', self.tenant, stored.key, '--id', str(stored.erp_connection_id))}"
            )
        fields = tuple(one.drift.field for one in chosen)
        if chosen[0].drift.kind in OF_THE_WHOLE:
            entry = self._entry(desired, stored.template, present=False)
            verdict = Verdict(state=State.DELETED)
        else:
            assert observed is not None, "it was read"
            template = self._template(desired, observed, fields)
            applied = _applied(desired, observed, template, fields, self.store.fingerprinter)
            entry, verdict = self._entry(desired, template, present=True), Verdict(state=State.IN_SYNC, applied=applied)
        document = Document(tenants=(), connections=(entry,))
        await self.store.adopt_drift(self.lease, document, verdict, fields, at=self.now())
        log.info("drift.adopted", tenant=self.tenant, key=stored.key, fields=list(fields), reason=wanted.reason)
        return fields

    def _refuse_nothing(
        self,
        desired: DesiredConnection,
        known: tuple[KnownDrift, ...],
        chosen: tuple[KnownDrift, ...],
        wanted: Adopting,
    ) -> None:
        if chosen:
            return
        what = f"{self.tenant}/{desired.key}"
        if wanted.field is None:
            raise NotAdopted(f"the tenant shows {what} as it was pushed; there is nothing to adopt")
        hint = near_miss(wanted.field, [one.drift.field for one in known])
        raise NotAdopted(
            f"{wanted.field!r} of {what} does not differ in the tenant, or is hidden there, so nothing can be adopted; "
            f"a hidden value can be given by an import{hint}"
        )

    def _entry(self, desired: DesiredConnection, template: ConnectionTemplate, *, present: bool) -> DocumentConnection:
        place = f"{self.tenant}/{desired.key} as the tenant shows it"
        return DocumentConnection(tenant=self.tenant, key=desired.key, present=present, template=template, place=place)

    def _template(
        self, desired: DesiredConnection, observed: ErpConnection, fields: tuple[str, ...]
    ) -> ConnectionTemplate:
        template, shown = desired.stored.template, observed.spec
        plain: dict[str, Any] = {}
        config = dict(template.config_fields)
        pushed = {field.removeprefix(CONFIG_PREFIX) for field in desired.stored.applied}
        for field in fields:
            if not field.startswith(CONFIG_PREFIX):
                plain[field] = getattr(shown, field)
                if field in _NAMES_OF:
                    plain[_NAMES_OF[field]] = ()
                continue
            name = field.removeprefix(CONFIG_PREFIX)
            if name in config and config[name].references:
                kept = ", ".join(sorted(map(str, config[name].references)))
                raise NotAdopted(f"{field} of {self.tenant}/{desired.key} is kept in {kept}; change it there")
            if config.pop(name, None) is None and name not in (shown.config_fields.keys() | pushed):
                raise NotAdopted(f"{field} of {self.tenant}/{desired.key} has a longer name than can be described")
            if name in shown.config_fields:
                config[name] = self._literal(desired, field, shown.config_fields[name])
        return replace(template, **plain, config_fields=config)

    def _literal(self, desired: DesiredConnection, field: str, value: Secret) -> Template:
        """Return a value that is shown as it is described, to be sealed."""
        if value.looks_hidden:
            raise NotAdopted(
                f"the tenant hides {field} of {self.tenant}/{desired.key}, so it cannot be adopted; "
                "import the entry with its value"
            )
        return Template((value.reveal(),))


def _applied(
    desired: DesiredConnection,
    observed: ErpConnection,
    template: ConnectionTemplate,
    fields: tuple[str, ...],
    fingerprinter: Fingerprinter,
) -> dict[str, str]:
    """Return what counts as pushed: what was, and in the adopted fields what stands there."""
    assert desired.spec is not None, "what is compared should exist"
    plain = {field: getattr(observed.spec, field) for field in fields if not field.startswith(CONFIG_PREFIX)}
    names = (field.removeprefix(CONFIG_PREFIX) for field in fields if field.startswith(CONFIG_PREFIX))
    secrets = {name: observed.spec.config_fields[name] for name in names if name in template.config_fields}
    taken = fingerprinter.of_spec(replace(desired.spec, **plain, config_fields=secrets))
    kept = {name: value for name, value in desired.stored.applied.items() if name not in fields}
    return kept | {field: taken[field] for field in fields if field in taken}
