"""The durable record of every write: the intent before Graph hears of it, the outcome after. One table serves idempotency,
audit and recovery (docs/design.md §7). Beside it stand the revisions of policies and the leases to write them.

    ledger        what a ledger has to do: the Protocols
    sql_ledger    the built-in one: SQLite or PostgreSQL through SQLAlchemy; commits together what has gathered
    store         its blocking half: jobs, a transaction at a time
    policy_jobs   jobs on a policy's lease and revisions
    leases        who may write a policy; pure
    evidence      how the state of a revision may change; pure
    databases     what differs between the two
    schema        the tables; migrations/ has their versions (Alembic)
    statements    what is asked of the entries; revisions: of leases and revisions; expiry: what is forgotten
    chain         the hash chain over finished entries; seals: its head, signed; replays: whether an answer is genuine
"""
