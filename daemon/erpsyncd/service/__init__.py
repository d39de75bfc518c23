"""Use cases: reading documents, reconciling tenants, the daemon's life. The outside is seen through ports only."""
