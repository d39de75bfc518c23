"""One module for each revision; alembic loads them by path."""
