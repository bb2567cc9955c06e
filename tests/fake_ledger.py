"""A ledger for tests of what stands above it: it keeps no entries, and what it knows of policies in memory."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from gateway.config import LedgerConfig
from gateway.entry import Entry
from gateway.errors import GatewayError, Reason
from gateway.ledger.evidence import changed, may_become
from gateway.ledger.leases import Lease
from gateway.ledger.ledger import Claim
from gateway.revision import Change, Grant, PolicyName, Revision

ME = 1


class NoLedger:
    """Every claim is new, every entry written down is ours, and nobody else asks for a policy.

    revisions, repaired: all of a policy's, for tests to look at or to make up; their moments do not age.
    """

    up, fault, secret, is_shared = True, "", b"s" * 32, False

    def __init__(self, settings: LedgerConfig | None = None) -> None:
        self.leases: dict[PolicyName, Lease] = defaultdict(Lease)
        self.revisions: dict[PolicyName, dict[int, Revision]] = defaultdict(dict)
        self.repaired: dict[PolicyName, set[int]] = defaultdict(set)

    async def claim(self, entry: Entry) -> Claim:
        return Claim("new", replace(entry, owner=ME))

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        return {entry.id for entry in entries}

    async def take_over(self) -> list[Entry]:
        return []

    async def acquire(self, policy: PolicyName, after: int = 0) -> Grant | None:
        self.leases[policy], granted = self.leases[policy].asked(ME, 0.0, 1.0, lambda: (ME,))
        unsettled = [revision for revision in self.revisions[policy].values() if revision.state not in ("settled", "void")]
        known = (r if r.number > after else replace(r, touched=b"", sent=None) for r in unsettled)
        lease = self.leases[policy]
        return Grant(lease.generation, lease.numbers, tuple(known)) if granted else None

    async def renew(self, policy: PolicyName, generation: int) -> bool:
        return self.leases[policy].held_by(ME, generation)

    async def release(self, policy: PolicyName, generation: int) -> None:
        self.leases[policy] = self.leases[policy].released(ME, generation)

    async def write_down(
        self, policy: PolicyName, revision: Revision, entries: Sequence[Entry], repaired: Collection[int] = ()
    ) -> tuple[int, set[str]]:
        if not self.leases[policy].held_by(ME, revision.generation):
            raise GatewayError(Reason.LEASE_LOST)
        self.repaired[policy].update(repaired)
        return self._add(policy, revision), {entry.id for entry in entries}

    async def conclude(
        self, policy: PolicyName, generation: int, changes: Sequence[Change], foreign: Sequence[Revision] = ()
    ) -> list[int]:
        known, holds = self.revisions[policy], self.leases[policy].held_by(ME, generation)
        for change in changes:
            if not (holds or change.answered):
                continue
            found = known.get(change.number)
            if found is not None and may_become(found.state, change.state, sender=found.owner == ME):
                known[change.number] = changed(found, change)
        if not holds:
            raise GatewayError(Reason.LEASE_LOST)
        seen = {"kind": "foreign", "state": "shown", "acked_s": 0.0, "landed_s": 0.0}
        return [self._add(policy, replace(revision, **seen)) for revision in foreign]

    async def recall(self, policy: PolicyName, number: int) -> Revision | None:
        return self.revisions[policy].get(number)

    async def unsettled(self) -> list[PolicyName]:
        return []

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def _add(self, policy: PolicyName, revision: Revision) -> int:
        number = len(self.revisions[policy]) + 1
        self.revisions[policy][number] = replace(revision, number=number, owner=ME)
        return number
