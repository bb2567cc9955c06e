"""What a ledger has to do. Plug-ins register in the entry-point group `compliance_gateway.ledgers`; they are made with the
section [ledger] of the configuration and have to pass gateway.testing.ledger_contract."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.changes import How
from gateway.entry import Entry
from gateway.revision import Change, Grant, Kept, PolicyName, Revision
from gateway.stake import Granted, Stake


class LedgerError(Exception):
    """The ledger cannot be used as it is configured; the text says why."""


@dataclass(frozen=True)
class Claim:
    """The answer to a claim, with the entry that holds the request id.

    new: it is ours, and nothing was done for it. running: a gateway works on it. done: carried out; entry.answer is what
    was answered. uncertain: it is ours now, and somebody may have carried it out; entry.sent is what was sent. forged: carried
    out, and what is kept of it is not what was written down; nobody is to be answered with it.
    """

    answer: Literal["new", "running", "done", "uncertain", "forged"]
    entry: Entry


@dataclass(frozen=True)
class Query:
    """Which entries to find; what is None or empty says nothing. All that is said has to hold.

    target: a part of the target or of the assignment's id, in what was asked for. touched: whose row was changed: the kind of
    target, its id or the beginning of it (4 letters or more), or both, as `group 0b1c2d3e`; how: what became of that row.
    since, until: of began_at, as entries tell the time; since is included. any_id: any of an entry's ids. after: positions in
    the chain beyond this one. newest: at most so many.
    """

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
    """The ends of the chain: position and hash of the entry before the first that is kept, and of the last."""

    tail: tuple[int, str]
    head: tuple[int, str]


class Ledger(Protocol):
    """The gateway's side. claim, update and take_over raise LEDGER_UNAVAILABLE where nothing can be written down.

    up: whether it can, as far as is known. fault: why not, empty while it can. secret: 32 random bytes, the same for every
    gateway of these records, kept with them and told to no caller; empty until it was up once.
    """

    @property
    def up(self) -> bool: ...

    @property
    def fault(self) -> str: ...

    @property
    def secret(self) -> bytes: ...

    async def claim(self, entry: Entry) -> Claim:
        """Writes the intent down, unless the entry's claim is taken.

        A claim whose entry has another digest is answered as it is, and never taken over.
        """
        ...

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        """Writes down what is new in entries that this ledger claimed, and whole ones that no one did. The ids that were ours.

        What another gateway has taken over stays as it is, unless it belongs to a revision of ours: whoever sent a write knows
        best what came of it. An entry that does not say its revision keeps the one that is written down. Where the ledger is
        down, running entries raise; finished and uncertain ones of ours are kept and written down later, new ones are dropped,
        and neither are among the ids: an outcome that is not written down is not to be answered.
        """
        ...

    async def take_over(self) -> list[Entry]:
        """Unfinished entries on which no living gateway works; from now on they are ours."""
        ...


class Leases(Protocol):
    """Which gateway may write a policy. All raise LEDGER_UNAVAILABLE; then nothing is known to have come about."""

    async def acquire(self, policy: PolicyName, after: int = 0) -> Grant | None:
        """The right to write the policy, with all unsettled revisions; those numbered up to `after` without their bodies.

        None: another living gateway holds it or is before us in line. We are in line from now on, as long as we ask again
        at least every leases.FRESH_S. Whoever asks for what it holds lets go of it first.
        """
        ...

    async def renew(self, policy: PolicyName, generation: int) -> bool:
        """Holds it for another `lease_s` from now. False: it is not ours any more."""
        ...

    async def release(self, policy: PolicyName, generation: int) -> None:
        """Lets go of it. Does nothing where it is not ours any more."""
        ...


class Revisions(Protocol):
    """What we know of a policy. All raise LEDGER_UNAVAILABLE; then nothing is known to have come about."""

    async def write_down(
        self, policy: PolicyName, revision: Revision, entries: Sequence[Entry], repaired: Collection[int] = ()
    ) -> tuple[int, set[str]]:
        """Before a write is sent: the revision under a new number, and its entries, which get that number, as `update` does.
        The number and the ids of the entries.

        The fence is here: raises LEASE_LOST where somebody else was granted the policy since `revision.generation`, however
        long ago ours should have passed. Where some entries are not ours (see `update`), nothing is written, and the
        answer is 0 and the ids that are. repaired: numbers of earlier revisions which this one restores; their entries say
        so from now on. owner and the moments of the revision are the ledger's to say.
        Of `changes` it keeps nothing: what a repair did is written down when it took effect, as `conclude` says.
        """
        ...

    async def conclude(
        self, policy: PolicyName, generation: int, changes: Sequence[Change], foreign: Sequence[Revision] = ()
    ) -> list[int]:
        """What became of revisions, and what others were seen to do: the numbers that `foreign` got.

        generation: of the lease under which was looked. Raises LEASE_LOST where somebody else was granted the policy since, and
        may have written what those looks were not judged by, or where somebody has acknowledged a write that they were judged
        without: then only what Graph answered is written down. Changes that
        evidence does not allow (see ledger.evidence) are left out, as are those of settled revisions.

        What others did, and a repair when it is first known to have taken effect, is an entry of its own too, if its `changes`
        are said (see ledger.notes).
        """
        ...

    async def recall(self, policy: PolicyName, number: int) -> Revision | None:
        """How far a revision has come, settled ones too, and the set before it; None where it is not kept any more."""
        ...


class History(Protocol):
    """What was done to a policy: its revisions that took effect, or may have. All raise LEDGER_UNAVAILABLE; none waits for what
    is being written, or holds it up."""

    async def page(
        self,
        policy: PolicyName,
        below: int | None,
        most: int,
        kinds: Collection[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> list[Kept]:
        """At most so many, newest first, numbered below; of these kinds, all if none is said; written down since and before
        until, in seconds since 1970."""
        ...

    async def kept(self, policy: PolicyName, number: int, *, whole: bool) -> Kept | None:
        """One; None where it is not kept, or never took effect. whole: with its base."""
        ...

    async def at(self, policy: PolicyName, moment: float) -> int | None:
        """The number of the newest that was written down by then, in seconds since 1970; None before the first."""
        ...

    async def first(self, policy: PolicyName) -> int | None:
        """The number of the oldest that is kept, whatever became of it. Where none is any more, that of the next one; None
        where there never was one."""
        ...

    async def entry(self, tenant: str, policy: str, entry_id: str) -> Entry | None:
        """An entry of this policy, by its whole id, without `request`, `answer` and `sent`. None where there is none, and where
        it is not what was written down."""
        ...


class Rota(Protocol):
    """Which policy is to be looked at next, for drift. Raises LEDGER_UNAVAILABLE."""

    async def due(self, tenant: str, every_s: float) -> PolicyName | None:
        """Of the policies that were ever written, the one that was due longest ago, and not within `every_s` seconds. It is
        given once: it was due now. None where there is none."""
        ...


class Shares(Protocol):
    """How gateways of one ledger divide the quota.

    is_shared: whether there may be several; where there is one, all is its own, and nobody asks.
    """

    @property
    def is_shared(self) -> bool: ...

    async def share(self, stakes: Sequence[Stake]) -> list[Granted]:
        """What the gateway gets of each of these windows, until it asks again, about every half second. All that it and others
        hold is no more than the window. Raises LEDGER_UNAVAILABLE."""
        ...


class Store(Ledger, Leases, Revisions, History, Rota, Shares, Protocol):
    """All that a kind of ledger gives to a gateway."""

    async def unsettled(self) -> list[PolicyName]:
        """Policies that nobody watches: their newest unsettled revision of ours, of others where there is none, is of a
        gateway that is not alive."""
        ...

    async def start(self) -> None:
        """Opens it. Raises LedgerError, but starts where it is merely down, and comes up by itself."""
        ...

    async def close(self) -> None:
        """Writes down what is kept, as far as it can, and lets go."""
        ...


class EntryReader(Protocol):
    """The auditor's side of the entries: reads, needs no start, blocks, raises LedgerError."""

    def probe(self) -> None:
        """Whether a gateway could open it, or has it open: says nothing and changes nothing, or raises LedgerError."""
        ...

    def find(self, query: Query) -> Iterator[Entry]:
        """Oldest first by began_at; with `after`, by position."""
        ...

    def ends(self) -> Ends:
        """The ends of the chain."""
        ...

    def chained(self) -> AbstractContextManager[tuple[Ends, Iterator[Entry]]]:
        """All that is kept of the chain at one moment, as chain.verify takes it."""
        ...


class HistoryReader(Protocol):
    """The auditor's side of the revisions, in the same way."""

    def revisions(
        self,
        tenant: str = "",
        policy: str = "",
        set: str = "",  # noqa: A002
        newest: int | None = None,
    ) -> Iterator[Kept]:
        """Those that took effect, newest first, at most so many; what is empty says nothing."""
        ...

    def revision(self, policy: PolicyName, number: int) -> Kept | None:
        """One with its base; None where it is not kept, or never took effect."""
        ...

    def policies_named(self, beginning: str, tenant: str = "") -> list[PolicyName]:
        """Those that were ever written and whose id is this, or begins so, with 4 letters or more; some of them where there are
        many. tenant: empty says nothing."""
        ...

    def entries_named(self, beginning: str) -> list[Entry]:
        """The one with this id; or those whose id begins so, with 4 letters or more, some of them where there are many. Without
        `request`, `answer` and `sent`."""
        ...


class LedgerReader(EntryReader, HistoryReader, Protocol):
    """All that an auditor reads."""
