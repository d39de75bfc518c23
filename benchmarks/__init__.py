"""How fast erpsyncd is, always as a ratio of two things that are measured side by side in the same run."""
