"""Where alembic begins. It works on the connection it is given: no logging, no settings, no output."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from erpsyncd.store.partial_indexes import metadata


def run(connection: Connection) -> None:
    """Run the migrations inside the transaction that the connection is in."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
