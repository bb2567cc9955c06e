"""The quota of each tenant: as the configuration has it, also while the gateway runs, and as replicas divide it."""

import asyncio
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gateway.config import Config, ConfigError, load
from gateway.errors import GatewayError
from gateway.files import version_of
from gateway.graph.quota import LEASE_S, Quota, Sharing, Weight
from gateway.ledger.ledger import Shares
from gateway.metrics import RELOADS
from gateway.stake import Granted

log = logging.getLogger(__name__)

BEAT_S = 0.5
UNKNOWN_REPLICAS = 10  # as many may there be, before the ledger could be asked


def quota_of(config: Config) -> tuple[int, int, Sharing]:
    """A tenant's writes and requests in 20 s, and how callers share them."""
    weights = {name: Weight(caller.weight, caller.priority) for name, caller in config.quota.weights.items()}
    sharing = Sharing(weights, config.quota.reserve, config.quota.most_waiting)
    return config.graph.writes_per_20s, config.graph.requests_per_20s, sharing


class Replicas:
    """What this replica has of each tenant's quota. Where the ledger is for one gateway alone, that is all of it.

    While the ledger cannot be asked, the last share goes on, but for no more than one of as many parts as there were replicas,
    and half of all; writes wait for the ledger anyhow. Others leave it that part for a while: they may have the ledger still.
    """

    def __init__(self, quotas: Mapping[str, Quota], ledger: Shares) -> None:
        self._ledger = ledger
        self._turns = [(tenant, turns) for tenant, quota in quotas.items() for turns in (quota.writes, quota.requests)]
        self._replicas, self._asked_at = UNKNOWN_REPLICAS, -math.inf
        if ledger.is_shared:
            for _, turns in self._turns:
                turns.share(Granted(max(turns.window.limit.ceiling // UNKNOWN_REPLICAS, 1), 0, UNKNOWN_REPLICAS, 0.0))

    async def ask(self) -> None:
        """For the shares of now; every BEAT_S."""
        if not self._ledger.is_shared:
            return
        now = asyncio.get_running_loop().time()
        try:
            answers = await self._ledger.share([turns.stake(tenant) for tenant, turns in self._turns])
        except GatewayError:
            if now > self._asked_at + LEASE_S:
                for _, turns in self._turns:
                    turns.cut(self._replicas)
            return
        self._asked_at, self._replicas = now, answers[0].replicas
        for (_, turns), granted in zip(self._turns, answers, strict=True):
            turns.share(granted)

    async def leave(self) -> None:
        """What is not used is for the others."""
        if not self._ledger.is_shared:
            return
        for _, turns in self._turns:
            turns.share(Granted(0, 0, self._replicas, 0.0))
        with suppress(GatewayError):
            await self._ledger.share([turns.stake(tenant)._replace(alone=0) for tenant, turns in self._turns])


class QuotaFile:
    """The file that the quotas are from; None where there is none, and nothing changes."""

    def __init__(self, quotas: Mapping[str, Quota], source: Path | None) -> None:
        self._quotas, self._source = quotas, source
        self._seen = source and version_of(source)

    async def reload(self) -> None:
        """Takes [quota] and the limits of [graph] if the file has changed and is fit."""
        if self._source is None or (seen := version_of(self._source)) == self._seen:
            return
        self._seen = seen
        try:
            config = await asyncio.to_thread(load, self._source)
        except ConfigError as exc:
            RELOADS.labels("quota", "refused").inc()
            log.error("the new configuration is wrong; the quota stays as it is", extra={"why": str(exc)})  # noqa: TRY400
        else:
            for quota in self._quotas.values():
                quota.change(*quota_of(config))
            RELOADS.labels("quota", "ok").inc()
            log.info("quota loaded", extra={"file": str(self._source)})
