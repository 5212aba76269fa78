"""Runs inside the transaction that :func:`hub.migrate.upgrade` opened and locked."""

from alembic import context

from hub.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's too: a migration is there whole or not at all
    render_as_batch=True,
)
context.run_migrations()
