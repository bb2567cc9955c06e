"""Previews (AIP-163): what an edit would change, from a fresh look that may be merged into; everything but the write."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.assignments.edits import Edit
from gateway.assignments.lease import leased
from gateway.assignments.looks import Look, Verdict
from gateway.assignments.merge import merging
from gateway.assignments.patience import MAY_PASS, OLD_READ_S
from gateway.assignments.pending import Written, part_of
from gateway.assignments.policy import Policy
from gateway.errors import GatewayError, Reason
from gateway.graph.retries import backoff
from gateway.pace import slowly


@dataclass(frozen=True)
class Previewed:
    """written: the outcome as it would be; new rows have no IDs yet. writes: the writes that it would take from Graph's quota.
    wait: seconds that the write would now wait for its turn."""

    written: Written
    writes: int
    wait: float


@dataclass(eq=False)
class Preview:
    """An edit to preview. deadline: event loop's clock."""

    edit: Edit
    deadline: float
    future: "asyncio.Future[Previewed]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: GatewayError) -> None:
        if not self.future.done():
            self.future.set_exception(error.copy())


async def show(policy: Policy, previews: Sequence[Preview]) -> bool:
    """Answers all previews, each as if it were alone. Returns whether the look showed that a repair is needed."""
    deadline = max(preview.deadline for preview in previews)
    try:
        look, verdict = await _fresh_look(policy, deadline)
    except GatewayError as error:
        for preview in previews:
            preview.fail(error)
        return False
    for preview in previews:
        if preview.future.done():
            continue
        merged = await slowly(merging(look.rows, [preview.edit], verdict.repairs))
        [outcome] = merged.outcomes
        if isinstance(outcome, GatewayError):
            preview.fail(outcome)
            continue
        rows = merged.rows.with_owned(look.rows)
        part = part_of(outcome, merged.rows)
        row = rows.row(part.key) if part.key else None
        written = Written(row, rows, look.rows, pieces=part.pieces)
        writes = int(bool(merged.touched))  # a repair is one as well, and goes out first
        if not preview.future.done():  # its caller may have left during the merge
            preview.future.set_result(Previewed(written, writes, policy.turns.wait_now()))
    return bool(verdict.repairs)


async def _fresh_look(policy: Policy, deadline: float) -> tuple[Look, Verdict]:
    """A look that may be merged into. Waits for temporary obstacles, as a write would. Raises GatewayError."""
    attempt = 1
    while True:
        try:
            async with leased(policy, deadline):
                look, verdict = await policy.look(deadline)
            if not verdict.old:
                return look, verdict
            error = GatewayError(Reason.READ_TOO_OLD, retry_after=max(verdict.fresh_at - policy.now(), 0.1))
            wait = min(error.retry_after or 0.0, OLD_READ_S)
        except GatewayError as exc:
            if exc.reason.kind not in MAY_PASS or attempt == policy.deps.patience.attempts:
                raise
            error, attempt = exc, attempt + 1
            wait = exc.retry_after or backoff(attempt - 1, policy.deps.patience.jitter())
        if asyncio.get_running_loop().time() + wait >= deadline:
            raise error
        await policy.deps.patience.sleep(wait)
