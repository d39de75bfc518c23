"""The store: what tenants should look like, what they were last made to look like, and what happened.

Rows stay in here. `open_store` is the way in. What stands here is imported from where it is when somebody asks for it:
a pass needs little of it, and commands something else each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from erpsyncd.store.examination import examine_store
    from erpsyncd.store.existing import existing_store, store_standing
    from erpsyncd.store.schema import Standing
    from erpsyncd.store.sql_pass_store import SqlPassStore
    from erpsyncd.store.sql_store import SqlStore, open_store, upgrade_store
    from erpsyncd.store.views import (
        ChangeView,
        CheckDetail,
        CheckView,
        ConnectionView,
        DriftView,
        Examined,
        OutcomeView,
        Pruned,
        RunView,
        TenantView,
    )

__all__ = [
    "ChangeView",
    "CheckDetail",
    "CheckView",
    "ConnectionView",
    "DriftView",
    "Examined",
    "OutcomeView",
    "Pruned",
    "RunView",
    "SqlPassStore",
    "SqlStore",
    "Standing",
    "TenantView",
    "examine_store",
    "existing_store",
    "open_store",
    "store_standing",
    "upgrade_store",
]

_ELSEWHERE = {
    "SqlPassStore": "sql_pass_store",
    "SqlStore": "sql_store",
    "Standing": "schema",
    "examine_store": "examination",
    "existing_store": "existing",
    "open_store": "sql_store",
    "store_standing": "existing",
    "upgrade_store": "sql_store",
}
"""Where each is that is no view."""

if not TYPE_CHECKING:  # mypy would take every name to be here

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'views')}"), name)
