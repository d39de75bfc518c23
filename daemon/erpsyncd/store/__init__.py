"""The store: what tenants should look like, what they were last made to look like, and what happened.

Rows stay in here. `open_store` is the way in.
"""

from erpsyncd.store.examination import examine_store
from erpsyncd.store.existing import existing_store, store_standing
from erpsyncd.store.schema import Standing
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
    "SqlStore",
    "Standing",
    "TenantView",
    "examine_store",
    "existing_store",
    "open_store",
    "store_standing",
    "upgrade_store",
]
