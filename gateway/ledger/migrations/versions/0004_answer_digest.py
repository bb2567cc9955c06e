"""The digest of an answer, and an entry that names the cut which earlier versions made without one. Additive."""

import sqlalchemy as sa
from alembic import op

from gateway.ledger.chain import cut, link

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("entries", sa.Column("answer_digest", sa.Text, nullable=False, server_default=""))
    chain = sa.table("chain", *map(sa.column, ("tail_position", "tail_hash", "head_position", "head_hash")))
    ends = op.get_bind().execute(sa.select(chain)).one()
    if not ends.tail_position:
        return
    entry, position = cut(ends.tail_position, ends.tail_hash), ends.head_position + 1
    placed = vars(entry) | {"position": position, "hash": link(ends.head_hash, position, entry)}
    names = [column["name"] for column in sa.inspect(op.get_bind()).get_columns("entries")]
    op.bulk_insert(sa.table("entries", *map(sa.column, names)), [{name: placed[name] for name in names}])
    op.execute(chain.update().values(head_position=position, head_hash=placed["hash"]))
