"""How Alembic runs the steps: on the connection and in the transaction that it is given (schema.migrate)."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
