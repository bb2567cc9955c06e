"""The durable record of every write: its intent before anything is sent to Graph, its outcome after. One table serves
idempotency, audit and recovery (docs/design.md §7); other tables have the revisions of policies and the leases to write them.

    ledger        the Protocols that a ledger implements
    sql_ledger    the built-in ledger: SQLite or PostgreSQL through SQLAlchemy; commits queued jobs together
    store         its blocking half: carries out jobs, a transaction at a time
    policy_jobs   jobs on a policy's lease and revisions
    leases        the rule that says who may write a policy; pure
    evidence      how the state of a revision may change; pure
    databases     the differences between SQLite and PostgreSQL
    schema        the tables; migrations/ has their versions (Alembic)
    statements    SQL for entries; revisions: for leases and revisions; expiry: for what is deleted
    chain         the hash chain over finished entries; seals: its signed head; replays: whether a stored answer is genuine
"""
