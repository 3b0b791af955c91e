"""What Alembic runs for a command: it uses the connection that `database.migrations` hands it, and nothing else."""

from alembic import context

from database import metadata

connection = context.config.attributes["connection"]
# SQLite's DDL is transactional; Alembic's default allows for drivers that begin no transaction for it. Ours does.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
