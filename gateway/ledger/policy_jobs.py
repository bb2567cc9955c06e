"""Jobs on policies: their leases and revisions, in one transaction. All that they concern is locked and read first, the jobs
are decided in memory, and the changes are written at the end: a few statements, however many jobs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Literal

import sqlalchemy as sa

from gateway.changes import NOTHING
from gateway.entry import Entry, utc_now
from gateway.errors import GatewayError, Reason
from gateway.ledger import history, notes, revisions
from gateway.ledger.databases import Database
from gateway.ledger.evidence import changed, is_unaware, may_become
from gateway.revision import Change, Grant, Kept, PolicyName, Revision

PolicyKind = Literal["acquire", "renew", "release", "write_down", "conclude"]


PolicyJob = tuple[PolicyKind, Sequence[Any]]  # the arguments begin with the policy's name
READERS = ("acquire", "conclude")


class PolicyJobs:
    """See ledger.Leases and ledger.Revisions for what each does.

    ours: tells which entries are the gateway's; asked after the leases are locked. entries: what is to be written of them.
    notes: entries of the ledger's own, which are new.
    """

    def __init__(
        self,
        connection: sa.Connection,
        database: Database,
        me: int,
        lease_s: float,
        jobs: Sequence[PolicyJob],
        ours: Callable[[], Collection[str]],
    ) -> None:
        self._connection, self._me, self._lease_s, self._ours = connection, me, lease_s, ours
        self._found = revisions.locked(connection, {arguments[0] for _, arguments in jobs})
        self._leases = dict(self._found)
        # Read after the rows are locked: read before, it could miss a gateway that started and took a lease in between.
        self._living = cache(partial(database.living, connection, me))
        self._now = database.now(connection)
        self._unsettled = revisions.heads(connection, {args[0] for kind, args in jobs if kind in READERS}, self._now)
        self._written: list[tuple[PolicyName, Revision]] = []
        self._changes: list[tuple[PolicyName, Change]] = []
        self._repaired: list[tuple[PolicyName, int]] = []
        self.entries: list[Entry] = []
        self.notes: list[Entry] = []
        self.kinds: Mapping[str, Callable[..., Any]] = {
            "acquire": self._acquire,
            "renew": self._renew,
            "release": self._release,
            "write_down": self._write_down,
            "conclude": self._conclude,
        }

    def finish(self) -> None:
        """Writes what the jobs changed, but for `entries`."""
        changed = {policy: lease for policy, lease in self._leases.items() if lease != self._found[policy]}
        revisions.save(self._connection, changed)
        revisions.insert(self._connection, self._written, self._now)
        revisions.change(self._connection, self._changes, self._now)
        revisions.mark_repaired(self._connection, self._repaired, utc_now())

    def _acquire(self, policy: PolicyName, after: int) -> Grant | None:
        lease, granted = self._leases[policy].asked(self._me, self._now, self._lease_s, self._living)
        self._leases[policy] = lease
        if not granted:
            return None
        unsettled = [revision for revision in self._unsettled[policy].values() if revision.state != "settled"]
        bodies = revisions.with_bodies(self._connection, policy, unsettled, after)
        return Grant(lease.generation, lease.numbers, bodies, None if unsettled else self._newest(policy, after))

    def _newest(self, policy: PolicyName, after: int) -> Kept | None:
        """Asked only where there may be one; what this transaction has not written yet, the database does not tell."""
        pending = any(policy == about for about, _ in (*self._written, *self._changes))
        if pending or self._leases[policy].numbers <= after:
            return None
        return history.newest(self._connection, policy, after, self._now)

    def _renew(self, policy: PolicyName, generation: int) -> bool:
        self._leases[policy], ours = self._leases[policy].renewed(self._me, generation, self._now, self._lease_s)
        return ours

    def _release(self, policy: PolicyName, generation: int) -> None:
        self._leases[policy] = self._leases[policy].released(self._me, generation)

    def _write_down(
        self, policy: PolicyName, revision: Revision, entries: Sequence[Entry], repaired: Collection[int]
    ) -> tuple[int, set[str]]:
        if not self._leases[policy].held_by(self._me, revision.generation):
            raise GatewayError(Reason.LEASE_LOST)
        ids = {entry.id for entry in entries}
        ours = ids.intersection(self._ours()) if ids else ids
        if ours != ids:
            return 0, ours
        number = self._add(policy, revision)
        self.entries += [replace(entry, revision=number) for entry in entries]
        self._repaired += [(policy, undone) for undone in repaired]
        return number, ids

    def _conclude(
        self, policy: PolicyName, generation: int, changes: Sequence[Change], foreign: Sequence[Revision]
    ) -> list[int]:
        known = self._unsettled[policy]
        holds = self._leases[policy].held_by(self._me, generation) and not any(is_unaware(known, change) for change in changes)
        for change in changes:
            if not (holds or change.answered):
                continue
            found = known.get(change.number)
            if found is not None and may_become(found.state, change.state, sender=found.owner == self._me):
                known[change.number] = changed(found, change)
                self._changes.append((policy, change))
                if found.kind == "repair" and not notes.took_effect(found):
                    self._note(policy, replace(known[change.number], changes=change.changes))
        if not holds:
            raise GatewayError(Reason.LEASE_LOST)
        seen: dict[str, Any] = {"kind": "foreign", "state": "shown", "acked_s": 0.0, "landed_s": 0.0}
        numbers = [self._add(policy, replace(revision, **seen)) for revision in foreign]
        for number in numbers:
            self._note(policy, self._unsettled[policy][number])
        return numbers

    def _note(self, policy: PolicyName, revision: Revision) -> None:
        if revision.changes and revision.changes != NOTHING and notes.took_effect(revision):
            self.notes.append(notes.note(policy, revision, revision.changes))

    def _add(self, policy: PolicyName, revision: Revision) -> int:
        lease = self._leases[policy]
        number = lease.numbers + 1
        self._leases[policy] = replace(lease, numbers=number)
        self._unsettled[policy][number] = added = replace(revision, number=number, owner=self._me, written_s=0.0)
        self._written.append((policy, added))
        return number
