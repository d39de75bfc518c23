"""The document that `erpsyncd demo` imports."""
