"""Alembic's entry: runs on the connection that ``store.migrate`` hands over."""

from alembic import context

from ringfence_server.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
