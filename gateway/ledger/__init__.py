"""The durable record of every write: the intent before Graph hears of it, the outcome after. One table serves idempotency,
audit and recovery (shared/DESIGN.md §7).

    ledger        what a ledger has to do: the Protocols
    sql_ledger    the built-in one: SQLite or PostgreSQL through SQLAlchemy; commits together what has gathered
    databases     what differs between the two
    schema        the tables; migrations/ has their versions (Alembic)
    statements    what is asked of the tables
    chain         the hash chain over finished entries
"""
