"""What a ledger has to do. Plug-ins register in the entry-point group `compliance_gateway.ledgers`; they are made with the
section [ledger] of the configuration and have to pass gateway.testing.ledger_contract."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.entry import Entry


class LedgerError(Exception):
    """The ledger cannot be used as it is configured; the text says why."""


@dataclass(frozen=True)
class Claim:
    """The answer to a claim, with the entry that holds the request id.

    new: it is ours, and nothing was done for it. running: a gateway works on it. done: carried out; entry.answer is what
    was answered. uncertain: it is ours now, and somebody may have carried it out; entry.sent is what was sent.
    """

    answer: Literal["new", "running", "done", "uncertain"]
    entry: Entry


@dataclass(frozen=True)
class Query:
    """Which entries to find; what is None or empty says nothing. All that is said has to hold.

    target: a part of the target or of the assignment's id. since, until: of began_at, as entries tell the time; since is
    included. any_id: any of an entry's ids. after: positions in the chain beyond this one. newest: at most so many.
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

    up: whether it can, as far as is known.
    """

    @property
    def up(self) -> bool: ...

    async def claim(self, entry: Entry) -> Claim:
        """Writes the intent down, unless the entry's claim is taken.

        A claim whose entry has another digest is answered as it is, and never taken over.
        """
        ...

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        """Writes down what is new in entries that this ledger claimed, and whole ones that no one did. The ids that were ours.

        What another gateway has taken over stays as it is. Where the ledger is down, finished and uncertain entries of ours
        are kept and written down later, new ones are dropped, running ones raise.
        """
        ...

    async def take_over(self) -> list[Entry]:
        """Unfinished entries on which no living gateway works; from now on they are ours."""
        ...

    async def start(self) -> None:
        """Opens it. Raises LedgerError, but starts where it is merely down, and comes up by itself."""
        ...

    async def close(self) -> None:
        """Writes down what is kept, as far as it can, and lets go."""
        ...


class Book(Protocol):
    """The auditor's side of the same ledger: reads, needs no start, blocks, raises LedgerError."""

    def find(self, query: Query) -> Iterator[Entry]:
        """Oldest first by began_at; with `after`, by position."""
        ...

    def ends(self) -> Ends:
        """The ends of the chain."""
        ...
