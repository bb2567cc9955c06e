"""What a round comes to."""

from dataclasses import dataclass

from gateway.errors import GatewayError, Reason


@dataclass(frozen=True)
class Done:
    """Every edit of the batch has its answer."""


@dataclass(frozen=True)
class Retry:
    """What is left of the batch has another round. error: why, and what its callers are told if there is none. after: seconds
    to wait first; None: as the writer sees fit. is_of_edits: Graph refused what was sent, and one of several edits may be to
    blame: where the batch would be given up, its halves have a round of their own."""

    error: GatewayError
    after: float | None = None
    is_of_edits: bool = False


@dataclass(frozen=True)
class Split:
    """Graph refuses the set, and one of several edits is to blame: the halves, one after the other. Nothing was carried out."""


End = Done | Retry | Split
AT_ONCE = Retry(GatewayError(Reason.SET_CHANGED), 0.0)
