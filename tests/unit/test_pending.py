"""What is kept of an edit that was sent, and then found to have come to nothing."""

from gateway.assignments.edits import Add
from gateway.assignments.pending import Part, Pending
from gateway.assignments.rows import RowSet
from gateway.call import Record
from gateway.changes import NOTHING
from gateway.entry import Entry
from gateway.ledger.write import Write
from gateway.sets import SETS

SET = SETS["deviceCompliancePolicies"]


async def test_an_edit_that_found_its_wish_fulfilled_says_that_it_changed_nothing():
    """A first attempt went out, in a revision that the ledger keeps, and came to nothing; others made it so meanwhile."""
    entry = Entry(id="e", caller="c", tenant="t", operation="CreateComplianceAssignment", policy="p", target="group g")
    write = Write(None, entry, Record(), 0.0)
    write.sent(7, write.sending(b"{}", "assign", "id", b"the changes", "etag"))
    pending = Pending(Add({}), write)
    pending.unsent()
    pending.finish(Part(None, {}), RowSet(SET, []))
    assert (write.entry.changes, write.entry.revision) == (NOTHING, None)
