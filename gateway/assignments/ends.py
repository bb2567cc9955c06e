"""How a round ends."""

from dataclasses import dataclass

from gateway.errors import GatewayError, Reason


@dataclass(frozen=True)
class Done:
    """Every edit of the batch has been answered."""


@dataclass(frozen=True)
class Retry:
    """The rest of the batch needs another round. error: the cause, which its callers get if there is no other round. after:
    seconds to wait first; None: the writer decides. is_of_edits: Graph refused what was sent, and one of several edits may be
    the cause: instead of giving up the batch, its halves get rounds of their own."""

    error: GatewayError
    after: float | None = None
    is_of_edits: bool = False


@dataclass(frozen=True)
class Split:
    """Graph refused the set because of one of several edits: the halves are tried one after the other. Nothing was carried
    out."""


End = Done | Retry | Split
AT_ONCE = Retry(GatewayError(Reason.SET_CHANGED), 0.0)
