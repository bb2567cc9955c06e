"""A set that nobody has passes through the domain without a change of code: path, action, parameter, row type and what of a row
counts are its value's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fake_ledger import NoLedger

from gateway.assignments.edits import Add, Remove
from gateway.assignments.looks import Bounds
from gateway.assignments.patience import Patience
from gateway.assignments.policy import WriterDeps
from gateway.assignments.routes import Routes
from gateway.assignments.rows import RowSet, key_of
from gateway.assignments.writers import Writers
from gateway.call import Record
from gateway.entry import Entry, utc_now
from gateway.graph.client import GraphAnswer, Permit
from gateway.graph.quota import Bid, Quota
from gateway.ledger.write import Write
from gateway.revision import PolicyName
from gateway.sets import AssignableSet

WIDGETS = AssignableSet(
    name="widgets",
    path="/beta/factory/widgets",
    action="assignAll",
    parameter="widgetAssignments",
    policy_type="widget",
    row_type="#microsoft.graph.widgetAssignment",
    permission="Widgets.ReadWrite.All",
    service="widgets",
    compared=("intent",),
)
DEVICES = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}
USERS = {"@odata.type": "#microsoft.graph.allLicensedUsersAssignmentTarget"}


class Factory:
    """Graph, with nothing but one widget."""

    def __init__(self) -> None:
        self.rows = [{"id": "w_users", "intent": "required", "target": USERS}]
        self.posted: list[tuple[str, dict]] = []

    quota = Quota(10**9, 10**9)

    @asynccontextmanager
    async def permit(self, deadline: float, bid: Bid, *, urgent: bool = False) -> AsyncIterator[Permit]:
        yield Permit("token")

    async def get(self, path: str, **_) -> GraphAnswer:
        assert path.startswith("/beta/factory/widgets/w")
        return GraphAnswer(200, {"value" if path.endswith("/assignments") else "assignments": self.rows})

    async def post(self, path: str, body: bytes, *_) -> GraphAnswer:
        self.posted.append((path, json.loads(body)))
        self.rows = [{"id": f"w_{n}", **row} for n, row in enumerate(self.posted[-1][1]["widgetAssignments"])]
        return GraphAnswer(204, None)


def write() -> Write:
    entry = Entry(id=uuid4().hex, tenant="t", policy="w", operation="CreateComplianceAssignment", began_at=utc_now())
    one = Write(NoLedger(), entry, Record(), asyncio.get_running_loop().time() + 10)
    one.waiting = 1
    return one


async def test_its_rows_are_edited_as_any_others():
    factory, ledger = Factory(), NoLedger()
    writers = Writers(
        {"t": factory}, WriterDeps(Routes("assign", lambda: 0.0), ledger, ledger, Patience(), Bounds(0.0, 0.0), 60.0)
    )
    created = await writers.carry_out(write(), WIDGETS, "w", Add(DEVICES))
    assert created.row["target"] == DEVICES
    path, body = factory.posted[0]
    assert path == "/beta/factory/widgets/w/assignAll"
    assert body["widgetAssignments"][0]["intent"] == "required", "what a row has beside its target goes back as it came"
    assert body["widgetAssignments"][1] == {"@odata.type": "#microsoft.graph.widgetAssignment", "target": DEVICES}
    await writers.carry_out(write(), WIDGETS, "w", Remove(created.row["id"]))
    assert [row["target"] for row in factory.rows] == [USERS]
    assert set(ledger.revisions) == {PolicyName("t", "widgets", "w")}, "leases and revisions are the set's own"
    await writers.close(1)


def test_what_counts_of_its_rows_is_compared():
    one, other = (RowSet(WIDGETS, [{"id": "w", "intent": intent, "target": DEVICES}]) for intent in ("required", "available"))
    assert one.value(key_of(one.rows[0])) != other.value(key_of(other.rows[0]))
