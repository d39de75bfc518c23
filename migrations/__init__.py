"""The store's history: every change of its tables, in order. Installed as `erpsyncd.migrations`."""
