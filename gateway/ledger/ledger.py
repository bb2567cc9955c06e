"""The Protocols of a ledger. Plug-ins register in the entry-point group `compliance_gateway.ledgers`. They are constructed with
the section [ledger] of the configuration, and have to pass gateway.testing.ledger_contract."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.changes import How
from gateway.entry import Entry
from gateway.revision import Change, Grant, Kept, PolicyName, Revision
from gateway.stake import Granted, Stake


class LedgerError(Exception):
    """The ledger cannot be used as configured; the message says why."""


@dataclass(frozen=True)
class Claim:
    """The answer to a claim, with the entry that holds the request ID.

    new: this gateway holds the claim, and nothing was done for it. running: a gateway is working on it. done: carried out;
    entry.answer is the answer. uncertain: this gateway holds the claim now, and somebody may have carried it out; entry.sent is
    what was sent. forged: carried out, but the entry was changed in the database; no caller may be answered with it.
    """

    answer: Literal["new", "running", "done", "uncertain", "forged"]
    entry: Entry


@dataclass(frozen=True)
class Query:
    """Which entries to find. All fields that are neither None nor empty have to match.

    target: a part of the requested target or of the assignment's ID. touched: the target whose row was changed: its kind, its
    ID or the beginning of it (at least 4 characters), or both, as `group 0b1c2d3e`; how: what happened to that row. since,
    until: bounds of began_at, in the format of entries; since is inclusive. any_id: any of an entry's IDs. after: only
    positions in the chain after this one. newest: the most entries to return."""

    caller: str = ""
    tenant: str = ""
    policy: str = ""
    operation: str = ""
    outcome: str = ""
    request_id: str = ""
    client_request_id: str = ""
    graph_request_id: str = ""
    target: str = ""
    touched: str = ""
    how: How | Literal[""] = ""
    any_id: str = ""
    since: str = ""
    until: str = ""
    after: int | None = None
    newest: int | None = None


@dataclass(frozen=True)
class Ends:
    """The ends of the chain, as (position, hash). tail: of the entry before the oldest kept one. head: of the newest."""

    tail: tuple[int, str]
    head: tuple[int, str]


class Ledger(Protocol):
    """The entries, for the gateway. claim, update and take_over raise LEDGER_UNAVAILABLE if nothing can be written.

    up: whether the ledger can be written to, as far as is known. fault: why not; empty while up. secret: 32 random bytes,
    stored in the ledger, the same for all its gateways, and never shown to callers; empty until the ledger was up once."""

    @property
    def up(self) -> bool: ...

    @property
    def fault(self) -> str: ...

    @property
    def secret(self) -> bytes: ...

    async def claim(self, entry: Entry) -> Claim:
        """Records the intent of a write, unless the entry's claim is taken.

        If the claim's entry has another digest (another request with the same ID), it is returned as it is and never taken
        over."""
        ...

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        """Records changes of entries that this gateway claimed, and new entries that need no claim. Returns the IDs of the
        entries that were recorded.

        An entry that another gateway has taken over stays as it is, unless it belongs to a revision of this gateway: the sender
        of a write knows its outcome best. An entry without a revision keeps the recorded one. While the ledger is down, running
        entries raise LEDGER_UNAVAILABLE; finished and uncertain ones are kept in memory and recorded later, new ones are
        dropped. Neither are among the returned IDs: an outcome that is not recorded must not be answered."""
        ...

    async def take_over(self) -> list[Entry]:
        """Takes over the unfinished entries on which no living gateway works, and returns them."""
        ...


class Leases(Protocol):
    """Which gateway may write a policy. All methods raise LEDGER_UNAVAILABLE; then it is unknown whether they had an effect."""

    async def acquire(self, policy: PolicyName, after: int = 0) -> Grant | None:
        """Grants the lease of the policy, with all unsettled revisions; those numbered up to `after` come without their bodies.

        None: another living gateway holds it or is ahead in the queue. The caller is then in the queue, as long as it asks
        again at least every leases.FRESH_S. A gateway that asks for a lease that it holds releases it first."""
        ...

    async def renew(self, policy: PolicyName, generation: int) -> bool:
        """Extends the lease to `lease_s` from now. False: this gateway no longer holds it."""
        ...

    async def release(self, policy: PolicyName, generation: int) -> None:
        """Releases the lease. Does nothing if this gateway no longer holds it."""
        ...


class Revisions(Protocol):
    """The revisions of policies, for the writers. All methods raise LEDGER_UNAVAILABLE; then it is unknown whether they had an
    effect."""

    async def write_down(
        self, policy: PolicyName, revision: Revision, entries: Sequence[Entry], repaired: Collection[int] = ()
    ) -> tuple[int, set[str]]:
        """Records, before a write is sent, the revision under a new number, and its entries with that number, as `update` does.
        Returns the number and the IDs of the entries.

        This is the fence: it raises LEASE_LOST if another gateway was granted the lease since `revision.generation`, whatever
        the clocks say. If some entries belong to another gateway (see `update`), nothing is recorded, and it returns 0 and the
        IDs of the others. repaired: numbers of earlier revisions that this one restores; their entries are marked as repaired.
        The ledger sets owner and times of the revision. `revision.changes` is not recorded here: what a repair changed is
        recorded once it took effect, see `conclude`."""
        ...

    async def conclude(
        self, policy: PolicyName, generation: int, changes: Sequence[Change], foreign: Sequence[Revision] = ()
    ) -> list[int]:
        """Records what became of revisions, and the changes by others. Returns the numbers of the `foreign` revisions.

        generation: of the lease under which the policy was read. Raises LEASE_LOST if another gateway was granted the lease
        since, and may have written what those looks were not judged by, or if it has acknowledged a write that they were judged
        without: then only what Graph answered is recorded. Changes that the evidence does not allow (see ledger.evidence), and
        changes of settled revisions, are left out.

        A change by others, and a repair once it is known to have taken effect, also becomes an entry, if its `changes` are
        given (see ledger.notes)."""
        ...

    async def recall(self, policy: PolicyName, number: int) -> Revision | None:
        """The state of a revision, also of a settled one, and the set before it; None if it is no longer kept."""
        ...


class History(Protocol):
    """The history of a policy: its revisions that took effect, or may have. All methods raise LEDGER_UNAVAILABLE; they neither
    wait for writes to the ledger nor block them."""

    async def page(
        self,
        policy: PolicyName,
        below: int | None,
        most: int,
        kinds: Collection[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> list[Kept]:
        """At most `most` revisions, newest first, with numbers less than `below`; of these kinds, or of all if empty; recorded
        from `since` and before `until`, in seconds since 1970."""
        ...

    async def kept(self, policy: PolicyName, number: int, *, whole: bool) -> Kept | None:
        """One revision; None if it is no longer kept or never took effect. whole: with its base."""
        ...

    async def at(self, policy: PolicyName, moment: float) -> int | None:
        """The number of the newest revision at that moment, in seconds since 1970; None before the first."""
        ...

    async def first(self, policy: PolicyName) -> int | None:
        """The number of the oldest kept revision, whatever its state. If none is kept any more, that of the next one to come;
        None if there never was one."""
        ...

    async def entry(self, tenant: str, policy: str, entry_id: str) -> Entry | None:
        """An entry of this policy by its full ID, without `request`, `answer` and `sent`. None if there is none, or if it was
        changed in the database."""
        ...


class Rota(Protocol):
    """Which policy the sweep for drift is to read next. Raises LEDGER_UNAVAILABLE."""

    async def due(self, tenant: str, every_s: float) -> PolicyName | None:
        """Of all policies that were ever written, the one whose last turn is longest ago, and at least `every_s` seconds.
        Returning it counts as its turn. None if there is none."""
        ...


class Shares(Protocol):
    """How the gateways of one ledger divide the quota.

    is_shared: whether there may be several gateways. A single one has the whole quota, and does not call `share`.
    """

    @property
    def is_shared(self) -> bool: ...

    async def share(self, stakes: Sequence[Stake]) -> list[Granted]:
        """Reports this gateway's stakes, about every half second, and returns its share of each window until the next call. The
        shares of all gateways together never exceed the window. Raises LEDGER_UNAVAILABLE."""
        ...


class Store(Ledger, Leases, Revisions, History, Rota, Shares, Protocol):
    """All that a gateway needs of a ledger."""

    async def unsettled(self) -> list[PolicyName]:
        """Policies that no gateway watches: the owner of their newest unsettled revision (of a foreign one, if there are only
        such) is not alive."""
        ...

    async def start(self) -> None:
        """Opens the ledger. Raises LedgerError; if the ledger is merely down, it starts anyway and comes up later by itself."""
        ...

    async def close(self) -> None:
        """Records what is still in memory, as far as possible, and closes the ledger."""
        ...


class EntryReader(Protocol):
    """The entries, for an auditor. It only reads, needs no `start`, blocks, and raises LedgerError."""

    def probe(self) -> None:
        """Checks that a gateway could open the ledger, or has it open. Changes nothing; raises LedgerError if not."""
        ...

    def find(self, query: Query) -> Iterator[Entry]:
        """The matching entries, oldest first by began_at; with `after`, by position."""
        ...

    def ends(self) -> Ends:
        """The ends of the chain."""
        ...

    def chained(self) -> AbstractContextManager[tuple[Ends, Iterator[Entry]]]:
        """The ends and all kept entries of the chain at one moment, as chain.verify takes them."""
        ...


class HistoryReader(Protocol):
    """The revisions, for an auditor, in the same way."""

    def revisions(
        self,
        tenant: str = "",
        policy: str = "",
        set: str = "",  # noqa: A002
        newest: int | None = None,
    ) -> Iterator[Kept]:
        """The revisions that took effect, newest first, at most `newest`. Empty arguments match all."""
        ...

    def revision(self, policy: PolicyName, number: int) -> Kept | None:
        """One revision with its base; None if it is no longer kept or never took effect."""
        ...

    def policies_named(self, beginning: str, tenant: str = "") -> list[PolicyName]:
        """The policies that were ever written and whose ID is, or begins with, `beginning` (at least 4 characters); only some
        if there are many. tenant: empty matches all."""
        ...

    def entries_named(self, beginning: str) -> list[Entry]:
        """The entry with this ID, or those whose ID begins so (at least 4 characters; only some if there are many). Without
        `request`, `answer` and `sent`."""
        ...


class LedgerReader(EntryReader, HistoryReader, Protocol):
    """All that an auditor needs of a ledger."""
