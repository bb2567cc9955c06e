"""In the ledger: what a gateway concluded from looks counts only under its lease; an id that was let go of is not answered."""

from pathlib import Path

import pytest
import pytest_asyncio
from ledgers import new_ledger

from gateway.config import LedgerConfig
from gateway.entry import Entry
from gateway.errors import GatewayError, Reason
from gateway.ledger import statements
from gateway.ledger.sql_ledger import SqlLedger
from gateway.revision import Change, PolicyName, Revision

POLICY = PolicyName("tenant", "deviceCompliancePolicies", "policy")


@pytest_asyncio.fixture
async def ledger(tmp_path: Path):
    ledger = SqlLedger(LedgerConfig(url=new_ledger(tmp_path)))
    await ledger.start()
    yield ledger
    await ledger.close()


async def test_conclusions_without_the_lease_are_refused_but_for_graphs_answers(ledger: SqlLedger):
    grant = await ledger.acquire(POLICY)
    assert grant
    first, _ = await ledger.write_down(POLICY, Revision(generation=grant.generation), [])
    second, _ = await ledger.write_down(POLICY, Revision(generation=grant.generation), [])
    assert await ledger.acquire(POLICY), "somebody else's, for all that matters here"
    changes = [Change(first, "settled"), Change(second, "shown", acked=True, landed=True, answered=True)]
    with pytest.raises(GatewayError) as refused:
        await ledger.conclude(POLICY, grant.generation, changes, [Revision(kind="foreign")])
    assert refused.value.reason is Reason.LEASE_LOST
    later = await ledger.acquire(POLICY)
    assert later
    assert [(r.number, r.state) for r in later.revisions] == [(first, "sent"), (second, "shown")]


def test_a_request_id_that_is_let_go_of_while_it_is_claimed_is_not_answered_as_done():
    """Another gateway finishes the entry between two statements of the claim: there is no answer to repeat."""
    freed = Entry(id="e", digest="d", state="finished", outcome="NOT_CARRIED_OUT", claim=None)
    assert statements._taken(None, freed, "d", 1, lambda: [1]).answer == "running"  # type: ignore[arg-type]
