"""Configuration files, so that the program finds them wherever it was installed."""
